"""The command line of the course: build, prove, grade. `teachers.md` says when to call what."""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from course import gradebook, grading, guide, lateness, proof, roster, sources, year
from course.collecting import Collected
from course.files import is_archive
from course.release import release

# What grading writes into a year's folder.
RESULTS = {
    "grades.csv": "points, lateness, and how many answers you have still to read",
    "canvas.csv": "final marks, for Canvas' gradebook",
    "moodle-marks": "final marks, for Moodle's gradebook, a table for each assignment",
    "remarks.csv": "what you should know",
    "similarity.csv": "students whose answers are more alike than chance makes them",
    "changes.csv": "whose points are others than before, and since when",
    "feedback": "pages for students",
    "moodle-feedback": "the same pages, to upload to Moodle",
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Do what the command line asks for.

    Args:
        arguments: The arguments; by default those of this process.

    Raises:
        SystemExit: If the arguments, the proof or nbgrader refuse, with a message.
        OSError: If the disk is full or a folder cannot be written to.
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    if not sources.assignments():
        parser.error(
            f"{sources.HERE} holds no assignment: name them 1-name.ipynb, 2-name.ipynb and so on"
        )
    folder = Path(options.folder or _default_folder(options.seed))
    try:
        if options.command == "build":
            _build(folder, options.seed)
        elif options.command == "prove":
            _prove(_chosen(parser, options.only), options.seed)
        else:
            _check_folders(parser, folder, options)
            _grade(folder, options)
    except proof.ProofError as error:
        sys.exit(f"The proof failed: {error}")
    except roster.RosterError as error:
        sys.exit(f"error: {error}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m course", description="The graded course. teachers.md explains it."
    )
    parser.add_argument(
        "--seed", type=int, default=sources.SEED, help=f"the year; default: {sources.SEED}"
    )
    parser.add_argument("--folder", help="the year's folder; default: build/course/SEED")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser(
        "build", help="prove this year's version, release it and write the instructor's guide"
    )
    prove = commands.add_parser(
        "prove", help="grade all wrong answers with nbgrader itself: minutes for each assignment"
    )
    prove.add_argument(
        "only", nargs="*", metavar="ASSIGNMENT", help="such as 3 or 3-cam; by default all"
    )
    grade = commands.add_parser("grade", help="grade what students handed in")
    grade.add_argument(
        "submitted",
        nargs="?",
        help="what Moodle, Canvas, GitHub Classroom or nbgrader gave you, a folder or a .zip file, "
        "or a folder with a folder for each student; without it tables and pages are written anew, "
        "with the points and comments that you gave",
    )
    grade.add_argument(
        "--students",
        help="a platform's table of students (.csv), or a folder of such tables; it is kept for "
        "later calls",
    )
    grade.add_argument(
        "--due",
        action="append",
        default=[],
        metavar="ASSIGNMENT=TIME",
        type=_due,
        help="when an assignment is due, such as 3-cam=2026-10-09T23:59; it is kept",
    )
    grade.add_argument(
        "--again",
        action="store_true",
        help="grade anew what was graded and has not changed; changes.csv says what that changed",
    )
    return parser


def _due(text: str) -> tuple[str, datetime]:
    """Return the assignment and the time of an option --due."""
    assignment, separator, time = text.partition("=")
    try:
        moment = lateness.parse_due(time)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not like 3-cam=2026-10-09T23:59") from error
    return assignment, moment


def _default_folder(seed: int) -> Path:
    is_own = sources.HERE == sources.CAMKIT
    project = sources.CAMKIT.parents[1] if is_own else sources.HERE
    return project / "build" / "course" / str(seed)


def _build(folder: Path, seed: int) -> None:
    """Prove all assignments, release them and write the guide."""
    proofs = {}
    for path in sources.assignments():
        name = path.stem
        proofs[name] = proof.prove(name, seed)
        count = len(proofs[name].prices)
        print(f"{name}: {count} wrong answers, each costs its own step alone", flush=True)
    try:
        release(folder, seed)
    except RuntimeError as error:
        sys.exit(f"nbgrader cannot release: {error}")
    guide.write(folder, proofs)
    print(f"{folder / 'release'}: for students")
    print(f"{folder / 'guide.html'}: for you")


def _chosen(parser: argparse.ArgumentParser, only: Sequence[str]) -> list[str]:
    """Return the assignments with these names or numbers, all if there are none.

    Exits with a message if there is no such assignment.
    """
    names = [path.stem for path in sources.assignments()]
    chosen = [name for name in names if name in only or name.partition("-")[0] in only]
    known = {key for name in chosen for key in (name, name.partition("-")[0])}
    unknown = [key for key in only if key not in known]
    if unknown:
        parser.error(f"there is no assignment {', '.join(unknown)}: there are {', '.join(names)}")
    return chosen or names


def _prove(names: Sequence[str], seed: int) -> None:
    """Grade all wrong answers to assignments with nbgrader itself."""
    for name in names:
        found = proof.prove(name, seed)
        proof.prove_by_nbgrader(name, found.prices, seed)


def _check_folders(
    parser: argparse.ArgumentParser, folder: Path, options: argparse.Namespace
) -> None:
    """Exit with a message unless there are a gradebook and submissions."""
    if not year.gradebook_path(folder).exists():
        others = sorted(path.parent.name for path in folder.parent.glob("*/gradebook.db"))
        remedy = f"make course SEED={options.seed} makes it"
        if others and not options.folder:
            remedy += f", and there is one of {', '.join(others)}: make grade … SEED={others[-1]}"
        parser.error(f"{folder} holds no gradebook: {remedy}")
    submitted = Path(options.submitted or folder)
    if not submitted.is_dir() and not (submitted.is_file() and is_archive(submitted.name)):
        parser.error(
            f"{submitted} is not a folder or .zip file: name what the platform gave you, or a "
            "folder with a folder for each student"
        )
    if not options.submitted and not any(folder.glob("graded/*/*.json")):
        parser.error(
            "nothing has been graded yet: name what the platform gave you, make grade SUBMITTED=…"
        )
    if options.students and not Path(options.students).exists():
        parser.error(f"{options.students} does not exist: name a table of students (.csv)")
    released = sorted(path.name for path in (folder / "release").iterdir())
    for assignment, _ in options.due:
        if assignment not in released:
            parser.error(f"--due {assignment}: there are {', '.join(released)}")


def _grade(folder: Path, options: argparse.Namespace) -> None:
    """Grade what students handed in and print where the results are.

    Raises:
        SystemExit: With 1 if anything could not be read or graded, or if there is nothing.
    """
    kept = year.roster_folder(folder)
    people = None
    if options.students:
        people = roster.keep(Path(options.students), kept, gradebook.known_students(folder))
    elif kept.exists():
        people = roster.read(kept)
    with tempfile.TemporaryDirectory() as nothing:
        collected = grading.grade(
            folder,
            Path(options.submitted or nothing),
            roster=people,
            due=dict(options.due),
            again=options.again,
        )
    for name, content in RESULTS.items():
        if (folder / name).exists():
            print(f"{folder / name}: {content}")
    for student, note in collected.notes:
        print(f"note: {student + ': ' if student else ''}{note}")
    for line in _lines_on_reading(collected):
        print(line)
    problems = _problems(collected)
    if problems:
        sys.exit("\n".join(problems))
    if options.submitted and not collected.submissions:
        sys.exit(f"error: {options.submitted} holds no notebook with an answer")


def _lines_on_reading(collected: Collected) -> list[str]:
    """Return a line on each assignment of which answers are still to be read."""
    lines = []
    for name in sorted({assignment for _, assignment in collected.to_read}):
        counts = [count for (_, other), count in collected.to_read.items() if other == name]
        students = sum(count > 0 for count in counts)
        if students:
            lines.append(
                f"{name}: answers still to be read in Formgrader: {sum(counts)}; marks that are "
                f"not final until then, and in no table for a platform: {students}"
            )
    return lines


def _problems(collected: Collected) -> list[str]:
    """Return lines on what could not be graded and on what could not be read."""
    lines = []
    if collected.waiting:
        count = len(collected.waiting)
        what = "1 submission waits" if count == 1 else f"{count} submissions wait"
        lines.append(f"error: {what} to be graded, since this machine could not; call again:")
        for (student, assignment), fault in sorted(collected.waiting.items()):
            lines.append(f"  {student}: {assignment}: {fault}")
    if collected.unread:
        count = len(collected.unread)
        what = "1 file was" if count == 1 else f"{count} files were"
        lines.append(f"error: {what} not understood:")
        for student, place, reason in collected.unread:
            lines.append(f"  {student or '?'}: {place}: {reason}")
    return lines
