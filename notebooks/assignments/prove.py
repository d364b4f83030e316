"""Wrong answers, put into the instructor's version one at a time: each costs its own cell's points and no others.

wrong/NAME.py holds them: `#%% cell: what is wrong` and the cell's new source. `in_process` grades one by running the
cells as nbgrader would and reading its own `determine_grade`; `by_nbgrader` grades whole submissions for real, several
mistakes in one, and must find the same points: a mistake that cost another cell's points would show there.
"""

import ast
import contextlib
import io
import re
import tempfile
import time
from pathlib import Path

import course
import grading
import matplotlib
import nbformat
from nbgrader import utils


def mutants(name):
    """[(cell, what is wrong, source)] of the assignment `name`."""
    text = (course.HERE / "wrong" / f"{name}.py").read_text(encoding="utf-8")
    return [
        (cell, told, source.strip() + "\n")
        for cell, told, source in re.findall(
            r"^#%% ([\w-]+): (.*)\n((?:(?!#%%).*\n?)*)", text, flags=re.M
        )
    ]


def with_sources(notebook, sources):
    """A copy of the notebook with these sources {cell: source}. Raises KeyError where it has no such cell."""
    copy = nbformat.from_dict(notebook)
    cells = {cell.id: cell for cell in copy.cells}
    for cell, source in sources.items():
        cells[cell].source = source
    return copy


def in_process(notebook, namespace=None, skip=()):
    """{cell: points} of the tests of a notebook that runs in this process from `namespace`; nothing stops at an error.

    skip: cells that have been run in `namespace` before.
    """
    matplotlib.use("agg")
    space, points = {"__name__": "__main__"} if namespace is None else dict(namespace), {}
    for cell in notebook.cells:
        if cell.cell_type != "code" or cell.id in skip:
            continue
        outputs = []
        try:
            with (
                contextlib.redirect_stdout(io.StringIO()),
                contextlib.redirect_stderr(io.StringIO()),
            ):
                value = execute(cell.source, space)
            if value is not None:
                outputs = [nbformat.v4.new_output("execute_result", {"text/plain": repr(value)})]
        except (Exception, SystemExit) as error:
            outputs = [
                nbformat.v4.new_output(
                    "error", ename=type(error).__name__, evalue=str(error), traceback=[]
                )
            ]
        if utils.is_grade(cell):
            cell.outputs = outputs
            points[cell.metadata.nbgrader.grade_id] = utils.determine_grade(cell)[0]
    return (points, space) if namespace is None else points


def execute(source, space):
    """Runs the source in `space`; the value of its last line where that is an expression, as a cell shows it."""
    body = ast.parse(source).body
    last = ast.Expression(body.pop().value) if body and isinstance(body[-1], ast.Expr) else None
    exec(compile(ast.Module(body, []), "<cell>", "exec"), space)
    return None if last is None else eval(compile(last, "<cell>", "eval"), space)


def tests_of(notebook):
    """{solution cell: the test cell that follows it} and {test cell: points}."""
    pairs, points, before = {}, {}, None
    for cell in notebook.cells:
        if utils.is_solution(cell) and not utils.is_grade(cell):
            before = cell.id
        elif utils.is_grade(cell) and cell.cell_type == "code":
            pairs[before] = cell.id
            points[cell.id] = float(cell.metadata.nbgrader.points)
    return pairs, points


def prove(name, seed=course.SEED):
    """[(cell, what is wrong, points lost)] of all wrong answers. AssertionError if one costs another step or none."""
    notebook = course.seeded(course.HERE / f"{name}.ipynb", seed)
    pairs, full = tests_of(notebook)
    points, space = in_process(notebook)
    assert points == full, f"the instructor's version gets {points} of {full}"
    given = (
        {cell.id for cell in notebook.cells if cell.cell_type == "code"} - set(pairs) - set(full)
    )
    table = []
    for cell, told, source in mutants(name):
        got = in_process(with_sources(notebook, {cell: source}), space, skip=given)
        lost = {test: full[test] - got[test] for test in full if got[test] != full[test]}
        assert set(lost) == {pairs[cell]}, (
            f"{cell}, {told}: should cost points of {pairs[cell]}, costs {lost}"
        )
        table.append((cell, told, lost[pairs[cell]]))
    lonely = {cell: sum(row[0] == cell for row in table) for cell in pairs}
    assert min(lonely.values()) >= 2, f"two wrong answers a cell are the least: {lonely}"
    return table


def by_nbgrader(name, table, seed=course.SEED, rounds=None, progress=print):
    """Grades the instructor's version, the release and all wrong answers, as many in one submission as cells allow.

    table: what `prove` found. rounds: how many submissions of wrong answers at the most, None for all.
    Raises AssertionError where nbgrader's points are not those of `prove`.
    """
    notebook = course.seeded(course.HERE / f"{name}.ipynb", seed)
    pairs, full = tests_of(notebook)
    solved = {cell.id: cell.source for cell in notebook.cells if utils.is_solution(cell)}
    queues = {}
    for cell, told, source in mutants(name):
        lost = next(lost for c, t, lost in table if (c, t) == (cell, told))
        queues.setdefault(cell, []).append((source, lost))
    submissions = {"instructor": (solved, {}), "released": ({}, full)}
    for n in range(max(map(len, queues.values())))[:rounds]:
        chosen = {cell: queue[n] for cell, queue in queues.items() if n < len(queue)}
        submissions[f"wrong {n}"] = (
            solved | {cell: source for cell, (source, _) in chosen.items()},
            {pairs[cell]: lost for cell, (_, lost) in chosen.items()},
        )
    with tempfile.TemporaryDirectory() as folder:
        course.release(folder, seed, [course.HERE / f"{name}.ipynb"])
        released = nbformat.read(Path(folder) / "release" / name / f"{name}.ipynb", as_version=4)
        for student, (sources, lost) in submissions.items():
            path = Path(folder) / grading.TIDIED / student / name
            path.mkdir(parents=True)
            nbformat.write(with_sources(released, sources), path / f"{name}.ipynb")
            start = time.perf_counter()
            why = grading.grade_one(folder, name, student)
            assert not why, f"{name}, {student}: {why}"
            got = {
                cell: score
                for cell, (score, *_) in grading.points(folder, name, student).items()
                if cell in full
            }
            want = {test: full[test] - lost.get(test, 0) for test in full}
            progress(
                f"{name}, {student}: {sum(got.values()):g} points in {time.perf_counter() - start:.1f} s"
            )
            assert got == want, f"{name}, {student}: nbgrader gives {got}, in this process {want}"
