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
from course.proof import Price

PAGES = ("teachers", "guide")
RUBRIC = "**Rubric, for the grader.**"


def write(folder: Path, prices: Mapping[str, Sequence[Price]]) -> None:
    """Write folder/teachers.html and folder/guide.html.

    Args:
        folder: The year's folder.
        prices: {assignment: what `proof.prove` returned}.
    """
    with year.exclusive(folder):
        for name in PAGES:
            text = (sources.HERE / f"{name}.md").read_text(encoding="utf-8")
            cell = new_markdown_cell(_fill_in(text, prices), id=name)
            html = pages.page(new_notebook(cells=[cell]), f"{name}.html")
            write_whole(Path(folder) / f"{name}.html", html.encode())


def _fill_in(text: str, prices: Mapping[str, Sequence[Price]]) -> str:
    """Return Markdown in which each line `<!-- assignment -->` is replaced by its section.

    The pages link to each other as the Markdown files do.
    """
    text = re.sub(rf"\]\(({'|'.join(PAGES)})\.md\)", r"](\1.html)", text)

    def section_for(match: re.Match) -> str:
        name = match[1]
        return section(name, prices[name])

    return re.sub(r"^<!-- (\d-[\w-]+) -->$", section_for, text, flags=re.M)


def section(name: str, prices: Sequence[Price]) -> str:
    """Return Markdown on an assignment: what each wrong answer costs, and the rubric."""
    cells = nbformat.read(sources.source_path(name), as_version=4).cells
    lines = ["| step | points | what went wrong | costs |", "| --- | --- | --- | --- |"]
    for step, points in _points_of_steps(cells).items():
        step_column = f"`{step}`"
        points_column = str(points)
        for price in prices:
            if price.cell != step:
                continue
            mistake = escape(price.mistake)
            lines.append(f"| {step_column} | {points_column} | {mistake} | {price.points:g} |")
            # Step and points stand in the first of a step's rows alone.
            step_column = ""
            points_column = ""
    model, rubric = _written_answer(cells)
    lines += [
        "",
        "**The written answer.** An answer for full points:",
        "",
        block_quote(model),
        "",
        "Rubric:",
        "",
        block_quote(rubric),
    ]
    return "\n".join(lines)


def _points_of_steps(cells: Sequence[NotebookNode]) -> dict[str, float]:
    """Return {solution cell: the points of the test that follows it}."""
    points = {}
    step = None
    for cell in cells:
        cell_mark = mark(cell)
        if cell_mark.get("solution") and not cell_mark["grade"]:
            step = cell.id
        elif cell_mark.get("grade") and not cell_mark["solution"]:
            points[step] = cell_mark["points"]
    return points


def _written_answer(cells: Sequence[NotebookNode]) -> tuple[str, str]:
    """Return the model answer and the rubric of the assignment's written answer."""
    (cell,) = [cell for cell in cells if cell.cell_type == "markdown" and mark(cell)]
    solution = re.search(r"### BEGIN SOLUTION\n(.*?)\n### END SOLUTION", cell.source, re.S)[1]
    model, rubric = solution.split(RUBRIC)
    return model, rubric
