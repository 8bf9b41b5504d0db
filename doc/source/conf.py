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
    "sphinx_copybutton",
    "wide",
]
# Commands are to be copied as they are: no typographic dashes and quotes.
smartquotes = False
default_role = "code"
highlight_language = "console"

autodoc_default_options = {"members": True, "show-inheritance": True}
autodoc_member_order = "bysource"
autodoc_typehints = "signature"

html_theme = "furo"
html_title = f"Scheduled server images {release}"
html_copy_source = False
html_static_path = ["_static"]
html_css_files = ["wide.css"]

# Only what one types is copied.
copybutton_prompt_text = r"\$ |>>> "
copybutton_prompt_is_regexp = True
copybutton_line_continuation_character = "\\"
