"""Reads what a student handed in: which file is which assignment, what was changed, what reads what it should not."""

import ast
import os
import warnings

import nbformat
from IPython.core.inputtransformer2 import TransformerManager

# Grading runs the tests in the same Python as the answers, so an answer could read them there.
SPIES = {
    "In",
    "_ih",
    "_i",
    "_ii",
    "_iii",
    "history_manager",
    "user_ns",
    "inspect",
    "linecache",
    "gc",
    "_getframe",
    "currentframe",
    "f_back",
    "settrace",
    "setprofile",
    "__main__",
}
SPIED = (
    "ipynb",
    "gradebook",
    "nbgrader",
    "/proc/",
)  # in a text: a file that it should not look for
LARGEST = 64 << 20  # bytes of a notebook
MAGICS = {"history", "hist", "recall", "rerun", "notebook"}


def mark(cell):
    """nbgrader's mark on a cell, {} where there is none (or nonsense)."""
    found = cell.metadata.get("nbgrader")
    return found if isinstance(found, dict) and found.get("grade_id") else {}


def marks(notebook):
    """The grade ids of a notebook's cells, in order."""
    return [mark(cell)["grade_id"] for cell in notebook.cells if mark(cell)]


def name_of(path):
    """A file's name as text, whatever bytes it is."""
    return os.fsencode(path.name).decode(errors="replace")


def read(folder, released):
    """({assignment: (notebook or None, [remark])}, [remark on a file that belongs to none]) of a student's folder.

    released: {assignment: notebook as handed out}. A notebook is known by its cells' marks, whatever its file is
    called; of several copies the last changed is taken. None where a file is called as an assignment and is none.
    """
    paths = [
        path
        for path in folder.rglob("*.ipynb")
        if ".ipynb_checkpoints" not in path.parts and path.is_file()
    ]
    found, unknown, lost = {}, [], {}
    for path in sorted(paths, key=lambda path: (path.stat().st_mtime, path.name)):
        named = next((name for name in released if name in str(path.relative_to(folder))), None)
        notebook, name, why = identify(path, released)
        if name:
            older = found[name][2:] if name in found else ()
            told = [
                f"{one} was handed in, too: {name_of(path)} is newer and was graded."
                for one in older
            ]
            found[name] = notebook, told, name_of(path)
        if why or name != named is not None:
            why = why or f"{name_of(path)} is the notebook of {name}."
            lost.setdefault(named, []).append(why) if named else unknown.append(why)
    for name, (notebook, told, _) in found.items():
        found[name] = notebook, told + tidied(notebook, released[name]) + lost.pop(name, [])
    return found | {name: (None, told) for name, told in lost.items()}, unknown


def identify(path, released):
    """(notebook, assignment, "") of a file, or (None, None, what is wrong with it)."""
    try:
        if path.stat().st_size > LARGEST:
            return (
                None,
                None,
                f"{name_of(path)} is larger than {LARGEST >> 20} MB: clear its outputs.",
            )
        with warnings.catch_warnings(action="ignore"):  # such as that two cells have one id
            notebook = nbformat.read(path, as_version=4)
        own = set(marks(notebook))
        nbformat.writes(notebook).encode()  # which grading does, as it reads what follows
        [cell.cell_type + cell.source for cell in notebook.cells]
    except Exception:  # nbformat raises what json, jsonschema and attribute access raise
        return None, None, f"{name_of(path)} is no notebook: it is empty or damaged."
    shared = {name: len(own & set(marks(one))) for name, one in released.items()}
    name = max(shared, key=shared.get)
    if not shared[name]:
        return (
            None,
            None,
            (
                f"{name_of(path)} lacks the marks that its cells were handed out with: start from the "
                "released notebook and copy your answers into it."
            ),
        )
    return notebook, name, ""


def tidied(notebook, released):
    """Makes a notebook one that nbgrader can grade; [a line on each thing that the student should know].

    A marked cell that was copied keeps its mark in the last copy alone (nbgrader would refuse the notebook). Cells that
    were changed or deleted and may not be come back by nbgrader itself: here it is only told. What spies is not run.
    """
    told, own = [], marks(notebook)
    for cell in notebook.cells:
        grade_id = mark(cell).get("grade_id")
        if own.count(grade_id) > 1:
            own.remove(grade_id)
            del cell.metadata["nbgrader"]
            told.append(f"There were two cells {grade_id}: the last of them was graded.")
    sources = {mark(cell)["grade_id"]: cell.source for cell in notebook.cells if mark(cell)}
    for cell in released.cells:
        grade_id, locked = mark(cell).get("grade_id"), mark(cell).get("locked")
        if locked and grade_id not in sources:
            told.append(f"The cell {grade_id} had been deleted: it was put back before grading.")
        elif locked and sources[grade_id].strip() != cell.source.strip():
            told.append(f"The cell {grade_id} had been changed: it was put back before grading.")
    for cell in notebook.cells:
        reads = cell.cell_type == "code" and not mark(cell).get("locked") and spied(cell.source)
        if reads:
            place = f"The cell {mark(cell)['grade_id']}" if mark(cell) else "A cell of yours"
            line = f"{place} reads {reads}, where tests and notes can be found. It was not run: ask your teacher."
            cell.source = f"raise PermissionError({line!r})\n\n{cell.source}"
            told.append(line)
    return told


def spied(source):
    """What a cell reads that grading keeps from it, "" if nothing."""
    try:
        tree = ast.parse(
            TransformerManager().transform_cell(source)
        )  # with IPython's magics as calls
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # MemoryError: nested too deeply
        return ""  # which will not run either
    for node in ast.walk(tree):
        names = {getattr(node, key, None) for key in ("id", "attr", "module")} & SPIES
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names |= {part for alias in node.names for part in alias.name.split(".")} & SPIES
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            names |= {text for text in SPIED if text in node.value}
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "run_line_magic":
            names |= {node.args[0].value} & MAGICS
        if names:
            return min(names)
    return ""
