"""Builds the package by what setup.cfg says, with or without git."""

import os
import sys
from configparser import ConfigParser
from pathlib import Path

import setuptools

ROOT = Path(__file__).parent
sys.path[:0] = [str(ROOT), str(ROOT / "doc" / "source" / "_ext")]

import manual  # noqa: E402

settings = ConfigParser(interpolation=None)
settings.read(ROOT / "setup.cfg")
version = settings["metadata"]["version"]
# The version is what setup.cfg says, and not what git's tags do.
os.environ.setdefault("PBR_VERSION", version)
manual.write(ROOT / "doc" / "man", version)

setuptools.setup(setup_requires=["pbr>=2.0.0"], pbr=True)
