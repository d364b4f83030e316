"""camkit as a newcomer installs it: python tests/project/installed.py UV WHEEL

An environment in build/installed that is empty at first gets the wheel with its extra `lessons`, at
the locked versions. Then, without a network where the system can take it away, the shell copies the
lessons, and Jupyter runs the first one: it shows a photograph and the class map that a real
ImageNet classifier has of it.
"""

import fcntl
import json
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

from pythons import ROOT, call, make_environment

ENVIRONMENT = ROOT / "build" / "installed"
LESSON = "notebooks/00-index.ipynb"
CELL = "photograph-map"

# A namespace of its own has no network but 127.0.0.1, and that only once it has been switched on.
WITHOUT_NETWORK = ["unshare", "--map-root-user", "--net"]
SIOCSIFFLAGS = 0x8914
IFF_UP = 1


def switch_loopback_on():
    """Switch 127.0.0.1 on, over which Jupyter talks to its kernels."""
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh", b"lo", IFF_UP))


def run_a_lesson():
    """Copy the lessons to an empty folder and run one; raise if it does not show its figure."""
    commands = ENVIRONMENT / "bin"
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([commands / "camkit", "lessons", "mine"], cwd=folder, check=True)
        lesson = Path(folder, "mine", LESSON)
        execute = [commands / "jupyter", "execute", "--inplace", lesson.name]
        subprocess.run(execute, cwd=lesson.parent, check=True)
        cells = json.loads(lesson.read_text(encoding="utf-8"))["cells"]
    outputs = next(cell["outputs"] for cell in cells if cell["id"] == CELL)
    shown = [kind for output in outputs for kind in output.get("data", {})]
    if "image/png" not in shown and "text/html" not in shown:
        raise AssertionError(f"the cell {CELL} shows no figure but {outputs}")


def main(uv, wheel):
    _, install = make_environment(uv, sys.executable, ENVIRONMENT)
    call(*install, f"{wheel}[lessons]")
    isolated = (
        shutil.which("unshare") and subprocess.run([*WITHOUT_NETWORK, "true"]).returncode == 0
    )
    if not isolated:
        print("NOT CHECKED: this system cannot take the network away; it is there")
        run_a_lesson()
        return
    call(*WITHOUT_NETWORK, sys.executable, __file__, "--without-network")


if __name__ == "__main__":
    if sys.argv[1:] == ["--without-network"]:
        switch_loopback_on()
        run_a_lesson()
    else:
        main(*sys.argv[1:])
