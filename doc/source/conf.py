"""How Sphinx builds these documents."""

from __future__ import annotations

import sys
from importlib.metadata import version as installed_version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "rax-scheduled-images-ext"
copyright = "the contributors of rax-scheduled-images-ext"
release = installed_version(project)

extensions = [
    "command_reference",
    "reno.sphinxext",
    "sphinx.ext.autodoc",
]
# Commands are to be copied as they are: no typographic dashes and quotes.
smartquotes = False
default_role = "code"
highlight_language = "console"

autodoc_default_options = {"members": True, "show-inheritance": True}
autodoc_member_order = "bysource"
autodoc_typehints = "signature"

html_theme = "furo"
html_title = "Scheduled server images"
html_copy_source = False
