"""What the marker means, as a definition for Glance.

``glance-manage db load_metadefs`` loads the file beside this module, and dashboards
show it where they show an image's metadata.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

PATH = Path(__file__).with_name("scheduled-images.json")


def definition() -> dict[str, Any]:
    """Return the definition."""
    found: dict[str, Any] = json.loads(PATH.read_text(encoding="utf-8"))
    return found
