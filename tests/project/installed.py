"""camkit as a newcomer installs it: python tests/project/installed.py UV WHEEL

An environment in build/installed that is empty at first gets the wheel with its extra `lessons`, at
the locked versions. Then, without a network where the system can take it away, the shell copies the
lessons, and Jupyter runs two. The first shows a photograph and the class map that a real ImageNet
classifier has of it; lesson 7 shows more of them, and the judge's table on that classifier.
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

# Notebooks, and what must be among the outputs of their cells.
FIGURE = "image/png"
TABLE = "text/html"
LESSONS = {
    "00-index.ipynb": {"photograph-map": FIGURE},
    "07-trust.ipynb": {"contest-figure": FIGURE, "judge": TABLE},
}

# A namespace of its own has no network but 127.0.0.1, and that only once it has been switched on.
WITHOUT_NETWORK = ["unshare", "--map-root-user", "--net"]
SIOCSIFFLAGS = 0x8914
IFF_UP = 1


def switch_loopback_on():
    """Switch 127.0.0.1 on, over which Jupyter talks to its kernels."""
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh", b"lo", IFF_UP))


def run_lessons():
    """Copy the lessons to an empty folder and run two; raise if one does not show what it must."""
    commands = ENVIRONMENT / "bin"
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([commands / "camkit", "lessons", "mine"], cwd=folder, check=True)
        for name, wanted in LESSONS.items():
            lesson = Path(folder, "mine", "notebooks", name)
            execute = [commands / "jupyter", "execute", "--inplace", lesson.name]
            subprocess.run(execute, cwd=lesson.parent, check=True)
            cells = json.loads(lesson.read_text(encoding="utf-8"))["cells"]
            outputs = {cell["id"]: cell.get("outputs") for cell in cells}
            for cell, kind in wanted.items():
                if not any(kind in output.get("data", {}) for output in outputs[cell]):
                    raise AssertionError(f"{name}, cell {cell} shows no {kind} but {outputs[cell]}")
                print(f"{name}, cell {cell}: {kind}")


def main(uv, wheel):
    _, install = make_environment(uv, sys.executable, ENVIRONMENT)
    call(*install, f"{wheel}[lessons]")
    isolated = (
        shutil.which("unshare") and subprocess.run([*WITHOUT_NETWORK, "true"]).returncode == 0
    )
    if not isolated:
        print("NOT CHECKED: this system cannot take the network away; it is there")
        run_lessons()
        return
    call(*WITHOUT_NETWORK, sys.executable, __file__, "--without-network")


if __name__ == "__main__":
    if sys.argv[1:] == ["--without-network"]:
        switch_loopback_on()
        run_lessons()
    else:
        main(*sys.argv[1:])
