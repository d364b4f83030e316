"""The command line of the course: build, prove, grade. `teachers.md` says when to call what."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from course import grading, guide, proof, sources, year
from course.release import release


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
    folder = Path(options.folder or _default_folder(options.seed))
    try:
        if options.command == "build":
            _build(folder, options.seed)
        elif options.command == "prove":
            _prove(options.seed)
        else:
            _check_folders(parser, folder, options)
            _grade(folder, options.submitted)
    except proof.ProofError as error:
        sys.exit(f"The proof failed: {error}")


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
    grade = commands.add_parser("grade", help="grade SUBMITTED/STUDENT/…ipynb")
    grade.add_argument("submitted", help="a folder with a folder for each student in it")
    return parser


def _default_folder(seed: int) -> Path:
    project = sources.HERE.parents[1]
    return project / "build" / "course" / str(seed)


def _build(folder: Path, seed: int) -> None:
    """Prove all assignments, release them and write the guide."""
    prices = {}
    for path in sources.assignments():
        name = path.stem
        prices[name] = proof.prove(name, seed)
        count = len(prices[name])
        print(f"{name}: {count} wrong answers, each costs its own step alone", flush=True)
    try:
        release(folder, seed)
    except RuntimeError as error:
        sys.exit(f"nbgrader cannot release: {error}")
    guide.write(folder, prices)
    print(f"{folder / 'release'}: for students")
    print(f"{folder / 'guide.html'}: for you")


def _prove(seed: int) -> None:
    """Grade all wrong answers to all assignments with nbgrader itself."""
    for path in sources.assignments():
        prices = proof.prove(path.stem, seed)
        proof.prove_by_nbgrader(path.stem, prices, seed)


def _check_folders(
    parser: argparse.ArgumentParser, folder: Path, options: argparse.Namespace
) -> None:
    """Exit with a message unless there are a gradebook and a folder of submissions."""
    if not year.gradebook_path(folder).exists():
        parser.error(f"{folder} holds no gradebook: make course SEED={options.seed} makes it")
    if not Path(options.submitted).is_dir():
        parser.error(
            f"{options.submitted} is not a folder: it should hold a folder for each student"
        )


def _grade(folder: Path, submitted: str) -> None:
    """Grade a folder of submissions and print where the results are."""
    grading.grade(folder, Path(submitted))
    print(f"{folder / 'grades.csv'}: points, for Moodle and Canvas")
    print(f"{folder / 'remarks.csv'}: what you should know")
    print(f"{folder / 'feedback'}: pages for students")
