"""The pure functions of the views, by Node (`npm test` here also checks their types and lint)."""

import shutil
import subprocess
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent

# From this version on, Node reads a file that exports something as an ES module.
NEEDED = (20, 19)


def node_or_skip():
    """Return the path of Node; skip the test, visibly, without it."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("needs Node.js on the PATH, for the unit tests of the views")
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout
    numbers = [int(number) for number in version.strip().removeprefix("v").split(".")]
    if tuple(numbers[:2]) < NEEDED:
        pytest.skip(f"needs Node.js 20.19 or newer for the unit tests of the views, not {version}")
    return node


def test_the_pure_functions_of_the_views():
    command = [node_or_skip(), "--test", "--test-reporter=spec"]
    done = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "tests 0" not in done.stdout
