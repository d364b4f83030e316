"""The command line of the course: build, prove, grade. `teachers.md` says when to call what."""

import argparse
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from course import grading, guide, lateness, proof, roster, sources, year
from course.collecting import Collected
from course.files import is_archive
from course.release import release

# What grading writes into a year's folder.
RESULTS = {
    "grades.csv": "points and lateness",
    "canvas.csv": "points, for Canvas' gradebook",
    "moodle.csv": "points, for Moodle's gradebook",
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
            _prove(options.seed)
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
    commands.add_parser(
        "prove", help="grade all wrong answers with nbgrader itself: minutes for each assignment"
    )
    grade = commands.add_parser("grade", help="grade what students handed in")
    grade.add_argument(
        "submitted",
        help="what Moodle, Canvas, GitHub Classroom or nbgrader gave you, a folder or a .zip file, "
        "or a folder with a folder for each student",
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


def _prove(seed: int) -> None:
    """Grade all wrong answers to all assignments with nbgrader itself."""
    for path in sources.assignments():
        found = proof.prove(path.stem, seed)
        proof.prove_by_nbgrader(path.stem, found.prices, seed)


def _check_folders(
    parser: argparse.ArgumentParser, folder: Path, options: argparse.Namespace
) -> None:
    """Exit with a message unless there are a gradebook and submissions."""
    if not year.gradebook_path(folder).exists():
        parser.error(f"{folder} holds no gradebook: make course SEED={options.seed} makes it")
    submitted = Path(options.submitted)
    if not submitted.is_dir() and not (submitted.is_file() and is_archive(submitted.name)):
        parser.error(
            f"{submitted} is not a folder or .zip file: name what the platform gave you, or a "
            "folder with a folder for each student"
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
        people = roster.keep(Path(options.students), kept)
    elif kept.exists():
        people = roster.read(kept)
    collected = grading.grade(
        folder,
        Path(options.submitted),
        roster=people,
        due=dict(options.due),
        again=options.again,
    )
    for name, content in RESULTS.items():
        if (folder / name).exists():
            print(f"{folder / name}: {content}")
    for student, note in collected.notes:
        print(f"note: {student + ': ' if student else ''}{note}")
    problems = _problems(collected)
    if problems:
        sys.exit("\n".join(problems))
    if not collected.submissions:
        sys.exit(f"error: {options.submitted} holds no notebook with an answer")


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
