"""The panel for WSGI servers: ``gunicorn rax_scheduled_images_ext.panel.wsgi:app``.

People log in. The cloud is that of ``OS_CLOUD`` or ``OS_AUTH_URL``; the program's
options are environment variables here, see the documents.
"""

from __future__ import annotations

from rax_scheduled_images_ext.panel.cli import app_from_environment

app = app_from_environment()
