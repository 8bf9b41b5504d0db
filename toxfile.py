"""Lets tox find the interpreters that pyenv has installed but not activated.

pyenv puts a shim for each of them on the path, and the shims of inactive ones
only fail; the real ones are looked for behind them.
"""

import os
from pathlib import Path

_ROOT = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
_INSTALLED = sorted(str(folder) for folder in _ROOT.glob("versions/3.*/bin"))
os.environ["PATH"] = os.pathsep.join([os.environ.get("PATH", ""), *_INSTALLED])
