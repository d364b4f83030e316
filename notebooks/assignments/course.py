"""The graded course. See teachers.md, or: python course.py --help

One instructor's notebook an assignment is the only source. `release` cuts solutions and hidden tests out of it
with nbgrader and fills the gradebook. SEED in the parameters cell is the year: the pictures, the numbers and the
hidden tests are drawn from it. grading.py grades what comes back, prove.py shows that wrong answers lose their
points and right ones none, and guide.py writes the instructor's guide.
"""

import argparse
import os
import re
import sys
from contextlib import contextmanager
from pathlib import Path

import nbformat
from nbgrader.api import Gradebook
from nbgrader.apps import NbGraderAPI
from traitlets.config import PyFileConfigLoader

from camkit._files import in_turn, write_whole

os.environ["PATH"] = (
    f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # nbgrader calls `alembic`
)

HERE = Path(__file__).resolve().parent
SEED = 2026
HANDED_OUT = ("checks.py", "nbgrader_config.py")  # beside each notebook


def assignments():
    """The instructor's notebooks, in the order in which they are handed out."""
    return sorted(HERE.glob("[1-9]-*.ipynb"))


def database(folder):
    """The gradebook's address; two graders may write at once, so each waits for the other."""
    return f"sqlite:///{Path(folder).resolve()}/gradebook.db?timeout=60"


def api(folder):
    """nbgrader at work in a course's folder: source/, release/, submitted/, autograded/, feedback/, gradebook.db."""
    if not (Path(folder) / "nbgrader_config.py").exists():
        write_whole(
            Path(folder) / "nbgrader_config.py", (HERE / "nbgrader_config.py").read_bytes()
        )  # then theirs
    config = PyFileConfigLoader("nbgrader_config.py", str(folder)).load_config()
    config.CourseDirectory.root = str(Path(folder).resolve())
    config.CourseDirectory.db_url = database(folder)
    found = NbGraderAPI(config=config)
    found.log_level = "WARN"
    return found


@contextmanager
def turn(folder):
    """The block alone writes to a course's folder; a second process waits. OSError with the remedy where it cannot."""
    with in_turn(Path(folder) / ".lock"):
        try:
            yield
        except Exception:
            takes_files(folder)
            raise


def takes_files(folder):
    """Raises the OSError that nbgrader and SQLite say in other words, where the disk takes no file of a megabyte."""
    write_whole(Path(folder) / ".room", bytes(1 << 20))
    (Path(folder) / ".room").unlink()


def make_gradebook(file):
    """An empty gradebook where there is none, whole or not at all: nbgrader notes its version only in a new one."""
    if not file.exists():
        partial = file.with_suffix(".partial")
        for left in file.parent.glob(f"{partial.name}*"):  # and its journal, of one that was killed
            left.unlink()
        with Gradebook(f"sqlite:///{partial}", "camkit"):
            pass
        os.replace(partial, file)


def seeded(path, seed):
    """The notebook at `path` with SEED = seed in its parameters cell. Raises ValueError without such a line."""
    notebook = nbformat.read(path, as_version=4)
    (cell,) = (cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", []))
    cell.source, times = re.subn(r"^SEED = \d+", f"SEED = {seed}", cell.source, flags=re.M)
    if times != 1:
        raise ValueError(
            f"{Path(path).name}: its parameters cell needs one line `SEED = …`, it has {times}"
        )
    return notebook


def release(folder, seed=SEED, paths=None):
    """Fills folder/release with what students get and folder/gradebook.db with what it is graded by.

    Raises RuntimeError where nbgrader refuses, as it does where answers to another version have been graded.
    """
    with turn(folder):
        make_gradebook(Path(folder).resolve() / "gradebook.db")
        for path in paths or assignments():
            source = Path(folder) / "source" / path.stem
            source.mkdir(parents=True, exist_ok=True)
            write_whole(source / path.name, nbformat.writes(seeded(path, seed)).encode())
            for name in HANDED_OUT:
                write_whole(source / name, (HERE / name).read_bytes())
            told = api(folder).generate_assignment(path.stem, force=True, create=True)
            if not told["success"]:
                why = (
                    f"{folder} holds graded answers to another version of {path.name}: rename that folder"
                    if "submissions associated" in told["log"]
                    else f"{path.name}:\n{told['log']}"
                )
                raise RuntimeError(why)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=SEED, help=f"the year; default: {SEED}")
    parser.add_argument("--folder", help="the year's folder; default: build/course/SEED")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser(
        "build", help="proves this year's version, releases it and writes the instructor's guide"
    )
    commands.add_parser(
        "prove", help="grades all wrong answers with nbgrader itself: minutes an assignment"
    )
    commands.add_parser("grade", help="grades SUBMITTED/STUDENT/…ipynb").add_argument("submitted")
    options = parser.parse_args()
    folder = Path(options.folder or HERE.parents[1] / "build" / "course" / str(options.seed))

    import grading
    import guide
    import prove

    if options.command == "build":
        tables = {}
        for path in assignments():
            tables[path.stem] = prove.prove(path.stem, options.seed)
            print(
                f"{path.stem}: {len(tables[path.stem])} wrong answers, each costs its own step alone",
                flush=True,
            )
        try:
            release(folder, options.seed)
        except RuntimeError as error:
            sys.exit(f"nbgrader cannot release: {error}")
        guide.write(folder, tables)
        print(f"{folder / 'release'}: for students\n{folder / 'guide.html'}: for you")
    elif options.command == "prove":
        for path in assignments():
            prove.by_nbgrader(path.stem, prove.prove(path.stem, options.seed), options.seed)
    else:
        if not (folder / "gradebook.db").exists():
            parser.error(f"{folder} holds no gradebook: make course SEED={options.seed} makes it")
        if not Path(options.submitted).is_dir():
            parser.error(
                f"{options.submitted} is no folder: it should hold a folder for each student"
            )
        grading.grade(folder, options.submitted)
        print(f"{folder / 'grades.csv'}: points, for Moodle and Canvas")
        print(f"{folder / 'remarks.csv'}: what you should know")
        print(f"{folder / 'feedback'}: pages for students")


if __name__ == "__main__":
    try:
        main()
    except OSError as error:
        sys.exit(f"error: {error}")
