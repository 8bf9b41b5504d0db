"""What to install when a program lacks a Python module."""

from __future__ import annotations


def advice(missing: ModuleNotFoundError, extra: str) -> str:
    """Return what is missing, and the extra of this package that has it."""
    return (
        f"no Python module '{missing.name}': pip install"
        f" 'rax-scheduled-images-ext[{extra}]'"
    )
