"""The folder of a course's year: its files, its gradebook, and one writer at a time.

The folder has nbgrader's layout (source/, release/, submitted/, autograded/, feedback/,
gradebook.db) and besides logs/, handed-in/ (the tidied notebooks that were handed in last, which
nbgrader grades) and graded/ (a record of each graded submission, and of what is told of the last
one besides its notebook).
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import get_ident

from nbgrader.api import Gradebook
from nbgrader.apps import NbGraderAPI
from traitlets.config import PyFileConfigLoader

from camkit._files import in_turn, write_whole
from course import sources

COURSE = "camkit"
CONFIG = "nbgrader_config.py"
TIDIED = "handed-in"
SECONDS_TO_WAIT_FOR_GRADEBOOK = 60
PROBE_BYTES = 1 << 20


def source_folder(folder: Path, assignment: str) -> Path:
    """Return the folder of an assignment's version of this year, with its solutions."""
    return Path(folder) / "source" / assignment


def released_path(folder: Path, assignment: str) -> Path:
    """Return the path of a notebook as it is handed out."""
    return Path(folder) / "release" / assignment / f"{assignment}.ipynb"


def tidied_path(folder: Path, assignment: str, student: str) -> Path:
    """Return the path of a submission as nbgrader is given it."""
    return Path(folder) / TIDIED / student / assignment / f"{assignment}.ipynb"


def tidied_paths(folder: Path, assignment: str) -> list[Path]:
    """Return the paths of all submissions of an assignment as nbgrader is given them."""
    return sorted((Path(folder) / TIDIED).glob(f"*/{assignment}/{assignment}.ipynb"))


def module_paths(folder: Path, assignment: str, student: str) -> list[Path]:
    """Return the paths of the Python files that a student handed in beside a notebook."""
    return sorted(tidied_path(folder, assignment, student).parent.glob("*.py"))


def autograded_path(folder: Path, assignment: str, student: str) -> Path:
    """Return the path of a submission as nbgrader has executed it."""
    return Path(folder) / "autograded" / student / assignment / f"{assignment}.ipynb"


def feedback_path(folder: Path, assignment: str, student: str) -> Path:
    """Return the path of a student's feedback page."""
    return Path(folder) / "feedback" / student / assignment / f"{assignment}.html"


def record_path(folder: Path, assignment: str, student: str) -> Path:
    """Return the path of the file that records that a submission is graded, and its points."""
    return Path(folder) / "graded" / student / f"{assignment}.json"


def kept_path(folder: Path, assignment: str, student: str) -> Path:
    """Return the path of the file that records what was handed in last, graded or not."""
    return Path(folder) / "graded" / student / f"{assignment}.handed-in.json"


def kept_paths(folder: Path, assignment: str) -> list[Path]:
    """Return the paths of the files that record what was handed in last for an assignment."""
    return sorted((Path(folder) / "graded").glob(f"*/{assignment}.handed-in.json"))


def unread_path(folder: Path) -> Path:
    """Return the path of the file that records what could not be read, until it is replaced."""
    return Path(folder) / "graded" / "unread.json"


def log_path(folder: Path, assignment: str, student: str) -> Path:
    """Return the path of the log of a submission's grading."""
    return Path(folder) / "logs" / student / f"{assignment}.log"


def roster_folder(folder: Path) -> Path:
    """Return the folder of the tables of students that a year was given last."""
    return Path(folder) / "students"


def known_path(folder: Path) -> Path:
    """Return the path of the file with what any table said of each student."""
    return Path(folder) / "known-students.json"


def gradebook_path(folder: Path) -> Path:
    """Return the path of the year's gradebook."""
    return Path(folder).resolve() / "gradebook.db"


def database(folder: Path) -> str:
    """Return the address of the gradebook; two writers at once wait for one another."""
    return f"sqlite:///{gradebook_path(folder)}?timeout={SECONDS_TO_WAIT_FOR_GRADEBOOK}"


def open_gradebook(folder: Path) -> Gradebook:
    """Return the year's gradebook, a context manager."""
    return Gradebook(database(folder), COURSE)


def make_gradebook(folder: Path) -> None:
    """Make an empty gradebook if there is none; it appears whole or not at all.

    nbgrader notes its version in a new database only, so a half-made one could never be used.
    """
    file = gradebook_path(folder)
    if file.exists():
        return
    # A process that was killed may have left its database behind, and its journal.
    partial = file.with_suffix(".partial")
    for leftover in file.parent.glob(f"{partial.name}*"):
        leftover.unlink()
    put_environment_on_path()
    with Gradebook(f"sqlite:///{partial}", COURSE):
        pass
    os.replace(partial, file)


def put_environment_on_path() -> None:
    """Put this environment's commands on the PATH: nbgrader calls `alembic` for its version."""
    commands = str(Path(sys.executable).parent)
    search_path = os.environ.get("PATH", os.defpath).split(os.pathsep)
    if search_path[0] != commands:
        os.environ["PATH"] = os.pathsep.join([commands, *search_path])


def nbgrader_api(folder: Path) -> NbGraderAPI:
    """Return nbgrader's interface to a year's folder, with the settings that stand there.

    The course's nbgrader_config.py is copied there first if there is none: from then on it is the
    teacher's to change.
    """
    config_file = Path(folder) / CONFIG
    if not config_file.exists():
        write_whole(config_file, sources.handed_out_path(CONFIG).read_bytes())
    config = PyFileConfigLoader(CONFIG, str(folder)).load_config()
    config.CourseDirectory.root = str(Path(folder).resolve())
    config.CourseDirectory.db_url = database(folder)
    api = NbGraderAPI(config=config)
    api.log_level = "WARN"
    return api


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Context manager: be the only process that writes to a year's folder; others wait.

    Raises:
        OSError: If the disk takes no more files, with the remedy.
    """
    with in_turn(Path(folder) / ".lock"):
        try:
            yield
        except Exception:
            check_disk(folder)
            raise


def check_disk(folder: Path) -> None:
    """Write a probe file of 1 MB and remove it.

    A full disk thus surfaces as OSError rather than as nbgrader's or SQLite's own message.
    """
    # Submissions are graded in several threads.
    probe = Path(folder) / f".room-{get_ident()}"
    write_whole(probe, bytes(PROBE_BYTES))
    probe.unlink()
