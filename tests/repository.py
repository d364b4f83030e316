"""The project's own files, as the tests read them."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = PYPROJECT["project"]
EXTRAS = PROJECT["optional-dependencies"]


# Where a program that a test starts finds camkit and the modules of the tests.
MODULES = [".", "tests", "tests/unit", "tests/course", "tests/stress", "tests/stress/crashes"]
MODULES += ["notebooks/assignments", "notebooks/site"]


def child_environment():
    """Return the environment of a program that imports what the tests do, and starts what is
    installed beside Python.
    """
    modules = os.pathsep.join(str(ROOT / name) for name in MODULES)
    commands = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return os.environ | {"PYTHONPATH": modules, "PATH": commands}


def read(name):
    """Return the text of a file of the project."""
    return (ROOT / name).read_text(encoding="utf-8")


def tracked():
    """Return the paths of all files that git tracks and that exist; without git, skip the test."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("this is not a git checkout, so there is no list of the project's files")
    names = [name for name in listed.stdout.split("\0") if name]
    return [ROOT / name for name in names if (ROOT / name).exists()]
