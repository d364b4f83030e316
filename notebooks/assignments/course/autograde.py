"""Grade one submission with nbgrader in this process, which `_child` has limited."""

import fcntl
import shutil
import socket
import struct
import tempfile
from contextlib import suppress
from pathlib import Path

from nbformat import NotebookNode
from nbgrader.converters import Autograde
from nbgrader.preprocessors import Execute

from course import sources, year
from course.limits import CUT_SHORT, PRINTED

# Linux's request to set the flags of a network device, and the flags IFF_UP and IFF_RUNNING.
SIOCSIFFLAGS = 0x8914
UP_AND_RUNNING = 0x41


class IsolatedExecute(Execute):
    """nbgrader's Execute in an empty temporary folder, with runaway output cut short.

    The folder holds checks.py and no notebook.
    """

    def preprocess(self, nb: NotebookNode, resources: dict, *args, **kwargs):
        """Execute the notebook in a folder of its own."""
        self.printed = {}
        with tempfile.TemporaryDirectory() as folder:
            shutil.copy(sources.HERE / "checks.py", folder)
            resources["metadata"]["path"] = folder
            return super().preprocess(nb, resources, *args, **kwargs)

    def process_message(self, msg: dict, cell: NotebookNode, cell_index: int):
        """Keep at most PRINTED characters of what a cell prints."""
        if msg["msg_type"] == "stream" and not self._keep_output(msg["content"], cell_index):
            return None
        return super().process_message(msg, cell, cell_index)

    def _keep_output(self, content: dict, cell_index: int) -> bool:
        """Return whether a printed piece is kept; the piece that exceeds the limit is cut short."""
        before = self.printed.get(cell_index, 0)
        after = before + len(content["text"])
        self.printed[cell_index] = after
        if before > PRINTED:
            return False
        if after > PRINTED:
            content["text"] = f"{content['text'][:PRINTED]}\n{CUT_SHORT}\n"
        return True


def autograde(folder: str, assignment: str, student: str) -> bool:
    """Grade a submission, print nbgrader's log, and return whether it could be graded."""
    _start_loopback()
    api = year.nbgrader_api(Path(folder))
    api.coursedir.submitted_directory = year.TIDIED
    api.config.Autograde.autograde_preprocessors = _preprocessors()
    result = api.autograde(assignment, student, force=True, create=True)
    print(result.get("log", ""), result.get("error", ""))
    return result["success"]


def _preprocessors() -> list[type]:
    """Return nbgrader's steps of grading, with IsolatedExecute in place of Execute."""
    default_steps = Autograde.autograde_preprocessors.default_args[0]
    return [IsolatedExecute if step is Execute else step for step in default_steps]


def _start_loopback() -> None:
    """Start the loopback device, over which kernels are talked to.

    It is down where this process has a network namespace of its own; elsewhere nothing happens.
    """
    request = struct.pack("16sh", b"lo", UP_AND_RUNNING)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as device, suppress(OSError):
        fcntl.ioctl(device, SIOCSIFFLAGS, request)
