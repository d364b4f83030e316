"""The core alone on other Pythons: python tests/project/pythons.py UV VERSION ...

For each VERSION, such as 3.12, that this machine has: an environment in build/pythons with the core
of camkit and TensorFlow at the locked versions and no other extra, the work of core.py, and the
unit tests of maps and analysis. A version that is not there is named at the end.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "build" / "pythons"
TESTS = ["test_cam.py", "test_attribution.py", "test_grad_cam.py", "test_analysis.py"]


def interpreters(version):
    """Yield the Pythons of this version that this machine may have: on the PATH, and of pyenv."""
    on_path = shutil.which(f"python{version}")
    if on_path:
        yield on_path
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    for path in sorted(pyenv.glob(f"versions/{version}.*/bin/python")):
        yield str(path)


def find_interpreter(version):
    """Return a Python of this version that runs, or None. A shim of pyenv may stand for one that is
    not chosen.
    """
    for path in interpreters(version):
        if subprocess.run([path, "-c", ""], capture_output=True).returncode == 0:
            return path
    return None


def constraints():
    """Write the versions of the lock, without their hashes, and return the file."""
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    versions = [line.removesuffix(" \\") for line in lines if re.match("[a-z0-9]", line)]
    FOLDER.mkdir(parents=True, exist_ok=True)
    file = FOLDER / "constraints.txt"
    file.write_text("\n".join(dict.fromkeys(versions)) + "\n", encoding="utf-8")
    return file


def call(*command):
    subprocess.run([str(part) for part in command], cwd=ROOT, check=True)


def make_environment(uv, interpreter, folder):
    """Make an empty environment; return its Python and what installs in it, at locked versions."""
    call(uv, "venv", "--quiet", "--clear", "--python", interpreter, folder)
    python = folder / "bin" / "python"
    install = [uv, "pip", "install", "--quiet", "--python", python, "--constraints", constraints()]
    return python, install


def check(uv, version, interpreter):
    """Install the core for this Python, use it, and run its tests."""
    python, install = make_environment(uv, interpreter, FOLDER / version)
    shutil.rmtree(ROOT / "build" / "lib", ignore_errors=True)  # or the wheel has old files, too
    call(*install, ".[tensorflow]")
    call(python, "-I", ROOT / "tests" / "project" / "core.py")
    call(*install, "pytest")
    tests = [f"tests/unit/{name}" for name in TESTS]
    call(python, "-m", "pytest", "-q", "-m", "not sweep", "-k", "not tf_keras_vis", *tests)


def main(uv, *versions):
    missing = []
    for version in versions:
        interpreter = find_interpreter(version)
        if interpreter is None:
            missing.append(version)
            continue
        print(f"-- Python {version}: {interpreter}", flush=True)
        check(uv, version, interpreter)
    for version in missing:
        print(f"NOT CHECKED: there is no Python {version} on this machine")


if __name__ == "__main__":
    main(*sys.argv[1:])
