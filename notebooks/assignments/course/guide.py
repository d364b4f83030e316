"""Write the pages for the teacher: teachers.md, and guide.md with prices and rubrics."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import nbformat
import pages
from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell, new_notebook

from camkit._files import write_whole
from course import sources, year
from course.markdown import block_quote, escape
from course.marks import mark
from course.proof import Price, Proof, pair_tests

PAGES = ("teachers", "guide")
RUBRIC = "**Rubric, for the grader.**"


def write(folder: Path, proofs: Mapping[str, Proof]) -> None:
    """Write folder/teachers.html and folder/guide.html, of those texts that the course has.

    Args:
        folder: The year's folder.
        proofs: {assignment: what `proof.prove` returned}.
    """
    with year.exclusive(folder):
        for name in PAGES:
            source = sources.HERE / f"{name}.md"
            if not source.exists():
                continue
            text = source.read_text(encoding="utf-8")
            cell = new_markdown_cell(_fill_in(text, proofs), id=name)
            html = pages.page(new_notebook(cells=[cell]), f"{name}.html")
            write_whole(Path(folder) / f"{name}.html", html.encode())


def _fill_in(text: str, proofs: Mapping[str, Proof]) -> str:
    """Return Markdown in which each line `<!-- assignment -->` is replaced by its section.

    The pages link to each other as the Markdown files do.
    """
    text = re.sub(rf"\]\(({'|'.join(PAGES)})\.md\)", r"](\1.html)", text)

    def section_for(match: re.Match) -> str:
        name = match[1]
        if name not in proofs:
            return f"There is no `{name}.ipynb` in this course: take this section out of the guide."
        return section(name, proofs[name])

    return re.sub(r"^<!-- (\d-[\w-]+) -->$", section_for, text, flags=re.M)


def section(name: str, proof: Proof) -> str:
    """Return Markdown on an assignment: what each wrong answer costs, and the rubrics."""
    notebook = nbformat.read(sources.source_path(name), as_version=4)
    tests, points = pair_tests(notebook)
    lines = ["| step | points | what went wrong | costs |", "| --- | --- | --- | --- |"]
    for step, test in tests.items():
        lines += _rows_of_step(step, points[test], proof.prices)
    for cell in notebook.cells:
        if cell.id in proof.answers:
            lines += _written_answer(cell, proof.answers[cell.id])
    return "\n".join(lines)


def _rows_of_step(step: str, points: float, prices: Sequence[Price]) -> list[str]:
    """Return the rows of a step's wrong answers; step and points stand in the first row alone."""
    rows = []
    for price in prices:
        if price.cell == step:
            first = f"`{step}` | {points:g}" if not rows else " | "
            rows.append(f"| {first} | {escape(price.mistake)} | {price.points:g} |")
    return rows


def _written_answer(cell: NotebookNode, solution: str) -> list[str]:
    """Return Markdown on a written answer: its points, a model answer and the rubric."""
    model, rubric = solution.split(RUBRIC)
    points = mark(cell)["points"]
    amount = "1 point" if points == 1 else f"{points:g} points"
    return [
        "",
        f"**The written answer** `{cell.id}`, {amount}. An answer for full points:",
        "",
        block_quote(model),
        "",
        "Rubric:",
        "",
        block_quote(rubric),
    ]
