"""Prove that right answers cost nothing, and wrong ones their own step's points and no others.

right/NAME.py and wrong/NAME.py hold known answers: a line `#%% cell: what it does`, then the cell's
new source. `prove` puts each into the instructor's version and runs the cells in this process as
nbgrader would, with nbgrader's own `determine_grade`. `prove_by_nbgrader` grades whole submissions
for real, several wrong answers in one, and must get the same points: an answer that cost another
step's points would show there.
"""

import contextlib
import io
import re
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Collection
from pathlib import Path
from typing import NamedTuple

import matplotlib
import nbformat
from matplotlib.figure import Figure
from nbformat import NotebookNode
from nbgrader import utils

from camkit.plots import img_tag, png
from course import gradebook, isolation, sources, year
from course.bench import Bench, execute, imported_by, load_checks
from course.markdown import code_block
from course.release import release

LEAST_WRONG_ANSWERS = 2

SOLUTION = r"### BEGIN SOLUTION\n(.*?)\n### END SOLUTION"

# Where a namespace keeps the names that given cells have bound.
GIVEN_NAMES = "__given__"


class ProofError(AssertionError):
    """An assignment does not grade as it should; the message says which step."""


class Answer(NamedTuple):
    """A known answer: the solution cell, what the answer does, and the cell's source."""

    cell: str
    mistake: str
    source: str


class Price(NamedTuple):
    """What a wrong answer costs: the solution cell, what is wrong, and the points lost."""

    cell: str
    mistake: str
    points: float


class Proof(NamedTuple):
    """What the proof of an assignment found.

    Args:
        prices: What each known wrong answer costs.
        answers: {written answer: the model answer and its rubric, with the year's own tables}.
    """

    prices: list[Price]
    answers: dict[str, str]


class Trial(NamedTuple):
    """A submission of the proof: {cell: source} to put in, {test: points} that it should lose."""

    answers: dict[str, str]
    losses: dict[str, float]


def wrong_answers(name: str) -> list[Answer]:
    """Return the known wrong answers to the assignment `name`."""
    return read_answers(sources.wrong_answers_path(name))


def read_answers(path: Path) -> list[Answer]:
    """Return the answers in a file, none if there is no such file.

    Raises:
        ValueError: If a line that begins with `#%%` is not of the form `#%% cell: what it does`.
    """
    if not path.exists():
        return []
    text = path.read_text(encoding="utf-8")
    # Before the first heading there is nothing.
    _, *pieces = re.split(r"^#%%", text, flags=re.M)
    answers = []
    for piece in pieces:
        heading, _, source = piece.partition("\n")
        match = re.fullmatch(r" ([\w-]+): (.*)", heading)
        if match is None:
            place = f"{path.parent.name}/{path.name}"
            raise ValueError(f"{place}: '#%%{heading}' should read '#%% cell: what it does'")
        answers.append(Answer(match[1], match[2], source.strip() + "\n"))
    return answers


def grade_in_process(
    notebook: NotebookNode, namespace: dict, skip: Collection[str] = ()
) -> dict[str, float]:
    """Run a notebook's code in this process and return {test cell: points}; no error stops it.

    Args:
        notebook: The notebook; it is given the outputs of its tests.
        namespace: The variables to begin with; it is changed.
        skip: Ids of cells that are not run, since `namespace` holds what they define.
    """
    matplotlib.use("agg")
    table = Bench(namespace, load_checks(sources.checks_path()), namespace.get(GIVEN_NAMES))
    table.watch_imports(imported_by(cell.source for cell in notebook.cells if utils.is_grade(cell)))
    points = {}
    for cell in notebook.cells:
        if cell.cell_type != "code" or cell.id in skip:
            continue
        outputs = _run_cell(cell, table)
        if utils.is_grade(cell):
            cell.outputs = outputs
            score, _ = utils.determine_grade(cell)
            points[cell.metadata.nbgrader.grade_id] = score
    namespace[GIVEN_NAMES] = table.given
    return points


def _run_cell(cell: NotebookNode, table: Bench) -> list[NotebookNode]:
    """Run a cell and return its output, as a kernel would; what it prints is dropped."""
    silence = io.StringIO()
    try:
        with contextlib.redirect_stdout(silence), contextlib.redirect_stderr(silence):
            value = run_cell(cell, table)
    except (Exception, SystemExit) as error:
        output = nbformat.v4.new_output(
            "error", ename=type(error).__name__, evalue=str(error), traceback=[]
        )
        return [output]
    if value is None:
        return []
    return [nbformat.v4.new_output("execute_result", {"text/plain": repr(value)})]


def run_cell(cell: NotebookNode, table: Bench) -> object:
    """Run a cell as grading does, and return the value of its last line."""
    if utils.is_grade(cell):
        return table.run_test(cell.source)
    if utils.is_solution(cell):
        value = execute(cell.source, table.namespace)
        table.put_back()
        return value
    with table.given_cell():
        return execute(cell.source, table.namespace)


def pair_tests(notebook: NotebookNode) -> tuple[dict[str, str], dict[str, float]]:
    """Return {solution cell: the test cell that follows it} and {test cell: its points}."""
    tests = {}
    points = {}
    solution = None
    for cell in notebook.cells:
        if utils.is_solution(cell) and not utils.is_grade(cell):
            solution = cell.id
        elif utils.is_grade(cell) and cell.cell_type == "code":
            tests[solution] = cell.id
            points[cell.id] = float(cell.metadata.nbgrader.points)
    return tests, points


def prove(name: str, seed: int = sources.SEED) -> Proof:
    """Return what each known wrong answer to an assignment costs, and the model answers in words.

    Args:
        name: The assignment.
        seed: The year.

    Raises:
        ProofError: If a right answer loses points, if a wrong one costs no points of its own step
            or any of another, or if a step has too few wrong answers.
    """
    notebook = sources.with_seed(sources.source_path(name), seed)
    tests, full = pair_tests(notebook)
    namespace = {"__name__": "__main__"}
    points = grade_in_process(notebook, namespace)
    if points != full:
        raise ProofError(f"{name}: the instructor's version gets {points} of {full}")
    answers = _model_answers(notebook, namespace)
    for answer in read_answers(sources.right_answers_path(name)):
        losses = losses_by(answer, notebook, namespace)
        if losses:
            raise ProofError(
                f"{name}, {answer.cell}, {answer.mistake}: is right and costs {losses}"
            )
    prices = []
    for answer in wrong_answers(name):
        losses = losses_by(answer, notebook, namespace)
        test = tests[answer.cell]
        if set(losses) != {test}:
            raise ProofError(
                f"{name}, {answer.cell}, {answer.mistake}: should cost points of {test}, "
                f"costs {losses}"
            )
        prices.append(Price(answer.cell, answer.mistake, losses[test]))
    _check_number(name, tests, prices)
    return Proof(prices, answers)


def _model_answers(notebook: NotebookNode, namespace: dict) -> dict[str, str]:
    """Return {cell: Markdown} of the solutions in words.

    A line `{{name}}` becomes the value that this variable has at the end of the notebook, a figure
    as a picture: what a year's pictures show is in no other year's numbers.
    """

    def value_of(match: re.Match) -> str:
        value = namespace[match[1]]
        if isinstance(value, Figure):
            return img_tag(png(value), "The figure that students see")
        if hasattr(value, "to_string"):
            return code_block(value.to_string(float_format="{:.2f}".format))
        return code_block(str(value))

    answers = {}
    for cell in notebook.cells:
        if cell.cell_type == "markdown" and utils.is_solution(cell):
            (solution,) = re.findall(SOLUTION, cell.source, re.S)
            answers[cell.id] = re.sub(r"^\{\{(\w+)\}\}$", value_of, solution, flags=re.M)
    return answers


def losses_by(answer: Answer, notebook: NotebookNode, namespace: dict) -> dict[str, float]:
    """Return {test: points lost} of the tests that an answer keeps from full points.

    Args:
        answer: A known answer.
        notebook: The instructor's version, in which the answer takes the place of a cell.
        namespace: What the instructor's version has defined, as `grade_in_process` leaves it.
    """
    tests, full = pair_tests(notebook)
    code_cells = {cell.id for cell in notebook.cells if cell.cell_type == "code"}
    given_cells = code_cells - set(tests) - set(full)
    changed = sources.with_sources(notebook, {answer.cell: answer.source})
    points = grade_in_process(changed, dict(namespace), skip=given_cells)
    return {test: most - points[test] for test, most in full.items() if points[test] != most}


def _check_number(name: str, tests: dict[str, str], prices: list[Price]) -> None:
    """Raise ProofError if a step has fewer than two wrong answers."""
    counts = Counter(price.cell for price in prices)
    for cell in tests:
        if counts[cell] < LEAST_WRONG_ANSWERS:
            raise ProofError(
                f"{name}, {cell}: at least {LEAST_WRONG_ANSWERS} wrong answers are needed, "
                f"there are {counts[cell]}"
            )


def prove_by_nbgrader(
    name: str,
    prices: list[Price],
    seed: int = sources.SEED,
    rounds: int | None = None,
    progress: Callable[[str], object] = print,
) -> None:
    """Grade the instructor's version, the release and all wrong answers with nbgrader itself.

    One submission holds as many wrong answers as there are steps.

    Args:
        name: The assignment.
        prices: What `prove` returned.
        seed: The year.
        rounds: At most so many submissions of wrong answers; None for all.
        progress: Called with a line on each submission.

    Raises:
        ProofError: If nbgrader's points are not those of `prove`.
    """
    source = sources.source_path(name)
    notebook = sources.with_seed(source, seed)
    _, full = pair_tests(notebook)
    trials = _trials(name, notebook, prices, rounds)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        release(folder, seed, [source])
        released = nbformat.read(year.released_path(folder, name), as_version=4)
        for student, trial in trials.items():
            path = year.tidied_path(folder, name, student)
            path.parent.mkdir(parents=True)
            nbformat.write(sources.with_sources(released, trial.answers), path)
            start = time.perf_counter()
            points = _grade_by_nbgrader(folder, name, student, full)
            seconds = time.perf_counter() - start
            progress(f"{name}, {student}: {sum(points.values()):g} points in {seconds:.1f} s")
            expected = {test: most - trial.losses.get(test, 0) for test, most in full.items()}
            if points != expected:
                raise ProofError(
                    f"{name}, {student}: nbgrader gives {points}, in this process {expected}"
                )


def _grade_by_nbgrader(
    folder: Path, name: str, student: str, full: dict[str, float]
) -> dict[str, float]:
    """Return {test: points} of a submission that nbgrader has graded in its own process."""
    problem = isolation.grade_one(folder, name, student)
    if problem:
        raise ProofError(f"{name}, {student}: {problem}")
    scores = gradebook.scores(folder, name, student)
    return {cell: score.points for cell, score in scores.items() if cell in full}


def _trials(
    name: str, notebook: NotebookNode, prices: list[Price], rounds: int | None
) -> dict[str, Trial]:
    """Return {student: Trial}: all right, nothing written, then one wrong answer a step each."""
    tests, full = pair_tests(notebook)
    solutions = {cell.id: cell.source for cell in notebook.cells if utils.is_solution(cell)}
    trials = {"instructor": Trial(solutions, {}), "released": Trial({}, full)}
    used: Counter[str] = Counter()
    for answer, price in zip(wrong_answers(name), prices, strict=True):
        number = used[answer.cell]
        used[answer.cell] += 1
        if rounds is not None and number >= rounds:
            continue
        trial = trials.setdefault(f"wrong {number}", Trial(dict(solutions), {}))
        trial.answers[answer.cell] = answer.source
        trial.losses[tests[answer.cell]] = price.points
    return trials
