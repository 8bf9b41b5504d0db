"""Lets code with long lines be shown without scrolling: it tells the style how long."""

from __future__ import annotations

from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

# What fits at the usual size.
_COLUMNS = 90


def mark(app: Sphinx, document: nodes.document) -> None:
    """Put each block with longer lines into an element with their length."""
    for block in list(document.findall(nodes.literal_block)):
        longest = max(map(len, block.astext().expandtabs().splitlines()), default=0)
        if longest > _COLUMNS:
            begin = f'<div class="wide" style="--columns: {longest}">'
            around = [nodes.raw("", text, format="html") for text in (begin, "</div>")]
            block.replace_self([around[0], block.deepcopy(), around[1]])


def setup(app: Sphinx) -> dict[str, Any]:
    """Mark the blocks of each document that is read."""
    app.connect("doctree-read", mark)
    return {"parallel_read_safe": True}
