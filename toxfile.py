"""Tells tox which Pythons there are: pyenv's too, and which one is the newest.

pyenv puts a shim for each of them on the path, and the shims of inactive ones
only fail; the real ones are looked for behind them.
"""

import os
import shutil
from pathlib import Path

_ROOT = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
_SHIMS = str(_ROOT / "shims")
_PATH = [each for each in os.environ.get("PATH", "").split(os.pathsep) if each]
_REAL = [each for each in _PATH if each != _SHIMS]
_REAL += sorted(str(folder) for folder in _ROOT.glob("versions/3.*/bin"))
os.environ["PATH"] = os.pathsep.join([*_PATH, *_REAL])


def _newest(*minors: int) -> str:
    """Return the newest of these Pythons, or the oldest name where none is there."""
    path = os.pathsep.join(_REAL)
    there = [each for each in minors if shutil.which(f"python3.{each}", path=path)]
    return f"python3.{max(there, default=min(minors))}"


os.environ["NEWEST_PYTHON"] = _newest(10, 11, 12, 13, 14)
# The last that novaclient 7 works on is 3.11.
os.environ["NEWEST_PYTHON_BEFORE_3_12"] = _newest(10, 11)
