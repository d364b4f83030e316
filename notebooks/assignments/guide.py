"""Writes the pages for the teacher: teachers.md, and guide.md with what the proof found and the notebooks' rubrics."""

import re
from pathlib import Path

import course
import feedback
import nbformat
from nbformat.v4 import new_markdown_cell, new_notebook

from camkit._files import write_whole


def write(folder, tables):
    """Writes folder/teachers.html and folder/guide.html. tables: {assignment: what `prove.prove` found}."""
    with course.turn(folder):
        for name in ("teachers", "guide"):
            text = (course.HERE / f"{name}.md").read_text(encoding="utf-8")
            text = re.sub(
                r"^<!-- (\d-[\w-]+) -->$",
                lambda one: section(one[1], tables[one[1]]),
                text,
                flags=re.M,
            )
            page = feedback.pages.page(
                new_notebook(cells=[new_markdown_cell(text, id=name)]), f"{name}.html"
            )
            write_whole(Path(folder) / f"{name}.html", page.encode())


def section(name, table):
    """Markdown on one assignment: each step's points, each wrong answer and its price; then the rubric."""
    cells = nbformat.read(course.HERE / f"{name}.ipynb", as_version=4).cells
    points, before = {}, None
    for cell in cells:
        mark = cell.metadata.get("nbgrader", {})
        if mark.get("solution") and not mark["grade"]:
            before = cell.id
        elif mark.get("grade") and not mark["solution"]:
            points[before] = mark["points"]
    lines = ["| step | points | what went wrong | costs |", "| --- | --- | --- | --- |"]
    for step, most in points.items():
        rows = [(told, lost) for cell, told, lost in table if cell == step]
        lines += [
            f"| {'' if n else f'`{step}`'} | {'' if n else most} | {feedback.plain(told)} | {lost:g} |"
            for n, (told, lost) in enumerate(rows)
        ]
    (answer,) = (
        cell.source
        for cell in cells
        if cell.cell_type == "markdown" and "nbgrader" in cell.metadata
    )
    answer = re.search(r"### BEGIN SOLUTION\n(.*?)\n### END SOLUTION", answer, re.S)[1]
    model, rubric = answer.split("**Rubric, for the grader.**")
    quote = lambda text: "\n".join(f"> {line}" for line in text.strip().splitlines())  # noqa: E731
    lines += ["", "**The written answer.** An answer for full points:", "", quote(model)]
    return "\n".join([*lines, "", "Rubric:", "", quote(rubric)])
