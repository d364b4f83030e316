"""Notebooks as students hand them in, broken: a released one that random mutations of its JSON or
its bytes went over.
"""

import copy
import json

import numpy as np

from .models import places

VALUES = (
    None,
    0,
    -1,
    3,
    4.5,
    1e999,
    float("nan"),
    True,
    "",
    "code",
    "markdown",
    "raw",
    "\ud800",
    "\0",
    "a\u2028b",
    [],
    {},
    [[]],
    {"": {}},
    "\r",
    10**400,
    ["print(1)\n", 2],
    {"nbgrader": []},
    "import inspect",
    "def f(:",
    "%%bash\nls",
)
NAMES = (
    "1-gap-equation.ipynb",
    "copy of (1).ipynb",
    "1-gap-equation (2).ipynb",
    "苹" * 80 + ".ipynb",
    "a\nb.ipynb",
    b"\xff\xfe.ipynb",
    ".hidden.ipynb",
    "=1+1.ipynb",
    "1-gap-equation.ipynb.ipynb",
)


def mutated(seed, index, notebook):
    """Return [(name, bytes)] of what student `index` hands in; notebook: a released one as JSON."""
    rng = np.random.default_rng([seed, index])
    return [
        (NAMES[rng.integers(len(NAMES))], one(rng, copy.deepcopy(notebook)))
        for _ in range(rng.integers(1, 4))
    ]


def one(rng, notebook):
    """The bytes of a notebook that none to six mutations went over."""
    for _ in range(rng.integers(7)):
        try:
            notebook = MUTATIONS[rng.integers(len(MUTATIONS))](rng, notebook)
        except (KeyError, TypeError, IndexError, AttributeError, ValueError, RecursionError):
            pass  # after an earlier mutation
    data = json.dumps(notebook).encode(errors="surrogatepass")
    kind = rng.integers(12)
    if kind == 0:
        data = data[: rng.integers(len(data))]
    elif kind == 1:
        data = bytearray(data)
        for at in rng.integers(len(data), size=9):
            data[at] = rng.integers(256)
    elif kind == 2:
        data = json.dumps(notebook, ensure_ascii=False).encode("utf-16", errors="surrogatepass")
    elif kind == 3:
        data = (
            b"",
            b"null",
            b"[]",
            b"{}",
            b"[" * 100_000,
            b'{"cells":' * 3000,
            b"\xff" * 99,
            b"0",
        )[rng.integers(8)]
    return bytes(data)


def place(rng, notebook):
    found = places(notebook)
    return found[rng.integers(len(found))]


def other_value(rng, notebook):
    node, key = place(rng, notebook)
    node[key] = copy.deepcopy(VALUES[rng.integers(len(VALUES))])
    return notebook


def gone(rng, notebook):
    node, key = place(rng, notebook)
    del node[key]
    return notebook


def elsewhere(rng, notebook):
    (node, key), (other, old) = place(rng, notebook), place(rng, notebook)
    node[key] = copy.deepcopy(other[old])
    return notebook


def renamed(rng, notebook):
    node, key = place(rng, notebook)
    if isinstance(node, dict):
        node[str(VALUES[rng.integers(len(VALUES))])] = node.pop(key)
    return notebook


def version(rng, notebook):
    """It says that it is of another format, or has the shape of an old one."""
    notebook["nbformat"] = [1, 2, 3, 4, 5, 99, "4", None][rng.integers(8)]
    notebook["nbformat_minor"] = [0, 4, 5, 99, -1, "5"][rng.integers(6)]
    if rng.random() < 0.3:
        notebook["worksheets"] = [{"cells": notebook.pop("cells")}]
    return notebook


def marks(rng, notebook):
    """nbgrader's mark on a cell is of another kind, or another cell's."""
    cells = [cell for cell in notebook["cells"] if "nbgrader" in cell["metadata"]]
    cell, other = (cells[rng.integers(len(cells))] for _ in range(2))
    mark = cell["metadata"]["nbgrader"]
    kind = rng.integers(4)
    if kind == 0:
        cell["metadata"]["nbgrader"] = copy.deepcopy(VALUES[rng.integers(len(VALUES))])
    elif kind == 1:
        mark["grade_id"] = copy.deepcopy(VALUES[rng.integers(len(VALUES))])
    elif kind == 2:
        mark["grade_id"] = other["metadata"]["nbgrader"]["grade_id"]
    else:
        mark["locked"] = mark["solution"] = copy.deepcopy(VALUES[rng.integers(len(VALUES))])
    return notebook


def source(rng, notebook):
    """A cell is large, deeply nested, or no text that Python takes."""
    cells = notebook["cells"]
    cells[rng.integers(len(cells))]["source"] = [
        "x = 1\n" * 200_000,
        "(" * 5000,
        "[" * 900 + "]" * 900,
        "not " * 9000 + "a",
        "-" * 9000 + "1",
        "a" + ".b" * 9000,
        "\0",
        "\ud800",
        "%" * 999,
        "!ls\n" * 99,
        "def f(x):\n" * 150,
        "f'{" * 300,
        "1" * 9999,
        "\\",
        "?" * 999,
        ["a\n", None],
    ][rng.integers(16)]
    return notebook


def outputs(rng, notebook):
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    cells[rng.integers(len(cells))]["outputs"] = [
        [{"output_type": "stream", "name": "stdout", "text": "x" * 3_000_000}],
        [{"output_type": "evil"}],
        [{}],
        "x",
        [{"output_type": "display_data", "data": {"text/html": 7}}],
        {},
        [None],
    ][rng.integers(7)]
    return notebook


def nested(rng, notebook):
    node, key = place(rng, notebook)
    deep = []
    for _ in range(int(rng.choice([50, 150, 250]))):
        deep = {"cells": deep} if rng.random() < 0.5 else [deep]
    node[key] = deep
    return notebook


MUTATIONS = (
    other_value,
    gone,
    elsewhere,
    renamed,
    version,
    marks,
    marks,
    source,
    source,
    outputs,
    nested,
)
