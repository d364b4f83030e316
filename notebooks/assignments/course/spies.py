"""Answers that would read the tests: grading runs both in the same Python."""

import ast

from IPython.core.inputtransformer2 import TransformerManager

# Names through which a cell could read other cells, the tests' source, or whoever calls it.
NAMES = frozenset(
    {
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
)

# Parts of a text that names a file which an answer has no business to look for.
FILES = ("ipynb", "gradebook", "nbgrader", "/proc/")

# IPython's magics that show other cells.
MAGICS = frozenset({"history", "hist", "recall", "rerun", "notebook"})


def find_spying(source: str) -> str:
    """Return the name or file that a cell reads and should not, "" if there is none.

    A cell that cannot be parsed is not searched, since it will not run either.

    >>> find_spying("tests = In[-1]")
    'In'
    >>> find_spying("index = [0]")
    ''
    """
    try:
        # IPython's magics and shell commands become function calls.
        python = TransformerManager().transform_cell(source)
        tree = ast.parse(python)
    # The last two are raised where expressions are nested too deeply.
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ""
    for node in ast.walk(tree):
        read = _names_read(node)
        if read:
            return min(read)
    return ""


def _names_read(node: ast.AST) -> set[str]:
    """Return what a node of the syntax tree reads that it should not."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return {name} & NAMES
        case ast.Import(names=aliases):
            return _parts(aliases) & NAMES
        case ast.ImportFrom(module=module, names=aliases):
            return ({module} | _parts(aliases)) & NAMES
        case ast.Constant(value=str(text)):
            return {file for file in FILES if file in text}
        case ast.Call(
            func=ast.Attribute(attr="run_line_magic"),
            args=[ast.Constant(value=magic), *_],
        ):
            return {magic} & MAGICS
    return set()


def _parts(aliases: list[ast.alias]) -> set[str]:
    """Return the names between the dots of imported modules."""
    parts = set()
    for alias in aliases:
        parts.update(alias.name.split("."))
    return parts
