"""Release assignments.

nbgrader cuts solutions and hidden tests out of the instructor's notebooks.
"""

from collections.abc import Sequence
from pathlib import Path

import nbformat

from camkit._files import write_whole
from course import sources, year


def release(folder: Path, seed: int = sources.SEED, paths: Sequence[Path] | None = None) -> None:
    """Fill folder/release, which students get, and folder/gradebook.db, by which it is graded.

    Args:
        folder: The year's folder.
        seed: The year.
        paths: The instructor's notebooks; by default all assignments.

    Raises:
        RuntimeError: If nbgrader refuses, as it does once answers to another version were graded.
        OSError: If the folder cannot be written to.
    """
    with year.exclusive(folder):
        year.make_gradebook(folder)
        for path in paths or sources.assignments():
            _write_source(folder, path, seed)
            _release_one(folder, path)


def _write_source(folder: Path, path: Path, seed: int) -> None:
    """Write this year's version of an assignment, and what is handed out beside it."""
    source = year.source_folder(folder, path.stem)
    source.mkdir(parents=True, exist_ok=True)
    notebook = sources.with_seed(path, seed)
    write_whole(source / path.name, nbformat.writes(notebook).encode())
    for name in sources.HANDED_OUT:
        write_whole(source / name, sources.handed_out_path(name).read_bytes())


def _release_one(folder: Path, path: Path) -> None:
    api = year.nbgrader_api(folder)
    result = api.generate_assignment(path.stem, force=True, create=True)
    if result["success"]:
        return
    if "submissions associated" in result["log"]:
        raise RuntimeError(
            f"{folder} holds graded answers to another version of {path.name}: rename that folder"
        )
    raise RuntimeError(f"{path.name}:\n{result['log']}")
