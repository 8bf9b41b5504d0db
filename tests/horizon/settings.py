"""Horizon as it is installed, with the panel, over a cloud that the test names."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import openstack_dashboard.local.enabled

import rax_scheduled_images_ext.horizon.enabled as panel

# What an operator writes into openstack_dashboard/local/local_settings.py.
_LOCAL = {
    "SECRET_KEY": "tests",
    "ALLOWED_HOSTS": ["*"],
    "CACHES": {
        "default": {
            "BACKEND": "django.core.cache.backends.locmem.LocMemCache",
            # Sessions are in it, which must not give way to parts of style sheets.
            "OPTIONS": {"MAX_ENTRIES": 100_000},
        }
    },
    "AVAILABLE_THEMES": [("default", "Default", "themes/default")],
    "COMPRESS_ENABLED": False,
    "COMPRESS_PRECOMPILERS": (),
    "API_RESULT_PAGE_SIZE": 5,
    "OPENSTACK_KEYSTONE_URL": "http://127.0.0.1/identity/v3",
}
_local = types.ModuleType("local.local_settings")
vars(_local).update(_LOCAL)
sys.modules[_local.__name__] = _local

# The file that an operator copies there.
openstack_dashboard.local.enabled.__path__.append(str(Path(panel.__file__).parent))

from openstack_dashboard.settings import *  # noqa: E402, F403
from openstack_dashboard.settings import HORIZON_CONFIG  # noqa: E402

HORIZON_CONFIG["customization_module"] = "rax_scheduled_images_ext.horizon.overrides"
