"""Grade one submission in a process with limits.

When it ends, all that it started ends with it.
"""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from course import limits, sources, year
from course.environment import prefix_if_allowed, teachers_folders
from course.explanations import explain_failure

ISOLATE = [
    "setpriv",
    "--pdeathsig",
    "KILL",
    "unshare",
    "--map-root-user",
    "--net",
    "--pid",
    "--fork",
    "--kill-child",
]


def grade_one(folder: Path, assignment: str, student: str) -> str:
    """Grade a submission; return "", or a line for the teacher on why it could not be graded.

    Whatever a student's code does costs points there, so what fails is the machine. When this
    returns, all processes of the submission have ended.

    Raises:
        OSError: If the disk is at fault and not the submission.
    """
    log = year.log_path(folder, assignment, student)
    log.parent.mkdir(parents=True, exist_ok=True)
    # The output goes to a file, which the limit on files keeps small.
    with open(log, "wb") as file:
        process = subprocess.Popen(
            grading_command(folder, assignment, student),
            cwd=sources.CAMKIT,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code = process.wait(limits.SECONDS)
        except subprocess.TimeoutExpired:
            return f"it was still running after {limits.SECONDS} seconds"
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if code == 0:
        return ""
    return explain_failure(log.read_text(encoding="utf-8", errors="replace"), code)


def grading_command(folder: Path, assignment: str, student: str) -> list[str]:
    """Return the command that grades one submission within the limits."""
    program = [sys.executable, "-m", "course._child"]
    submission = [str(Path(folder).resolve()), assignment, student]
    amounts = [str(limits.MEMORY), str(limits.FILE_SIZE)]
    return [*isolation_prefix(), *program, *submission, *amounts]


def isolation_prefix() -> list[str]:
    """Return a command prefix: no network, a PID namespace, killed together with this process.

    [] where the system lacks the commands or does not allow them.
    """
    return prefix_if_allowed(ISOLATE)


def _environment() -> dict[str, str]:
    """Return the environment of the child: one thread, and no way to import the course.

    The child finds the package in the folder where it starts; answers, which run elsewhere, do not.
    """
    search_path = os.pathsep.join(teachers_folders())
    return os.environ | limits.ONE_THREAD | {"PYTHONPATH": search_path}
