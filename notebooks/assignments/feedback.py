"""A student's feedback page: points of each step, what the tests said, comments; no hidden test, no network."""

import re
import sys
from html import unescape

import course
import nbformat
import submissions
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from camkit._files import write_whole

sys.path.insert(0, str(course.HERE.parent / "site"))
import pages  # noqa: E402

SHOWN = ("text/plain", "image/png")  # a student's HTML is not run in the teacher's browser


def write(folder, name, student, released, points, told):
    """Writes folder/feedback/STUDENT/NAME/NAME.html.

    released: the notebook as handed out, whose texts frame the answers. points: {cell: (points, most, comment)}.
    told: lines on the whole.
    """
    path = folder / "autograded" / student / name / f"{name}.ipynb"
    answers = nbformat.read(path, as_version=4) if path.exists() else new_notebook()
    page = folder / "feedback" / student / name / f"{name}.html"
    page.parent.mkdir(parents=True, exist_ok=True)
    text = pages.page(notebook(answers, released, points, told, student), page.name)
    write_whole(
        page, text.replace("<pre>", '<pre tabindex="0">').encode()
    )  # so that keys can scroll long lines


def notebook(answers, released, points, told, student):
    """The feedback as a notebook, for its page."""
    graded = {
        submissions.mark(cell)["grade_id"]: cell for cell in answers.cells if submissions.mark(cell)
    }
    total = sum(score or 0 for score, *_ in points.values())
    cells = [new_markdown_cell(summary(released, points, told, student, total))]
    for cell in released.cells[1:]:
        mark, answer = submissions.mark(cell), graded.get(submissions.mark(cell).get("grade_id"))
        if not mark:
            cells.append(new_markdown_cell(cell.source))
        elif answer is not None and answer.cell_type == "code":
            source, outputs = answer.source if mark["solution"] else "", shown(answer)
            if mark["solution"] or mark["grade"] or outputs:
                cells.append(
                    new_code_cell(source or cell.source, outputs=outputs, metadata=folded(mark))
                )
        elif answer is not None:
            cells.append(new_markdown_cell(quoted(answer.source)))
        if mark.get("grade"):
            cells.append(new_markdown_cell(verdict(*points[mark["grade_id"]])))
    for n, cell in enumerate(cells):
        cell.id = f"cell-{n}"  # so that the same answers make the same page
    return new_notebook(cells=cells)


def summary(released, points, told, student, total):
    """Title, the lines on the whole, and a table of the steps."""
    title = re.match(r"# (.*)", released.cells[0].source)[1]
    most = sum(most for _, most, _ in points.values())
    lines = [f"# {title}", f"## {total:g} of {most:g} points", f"For {plain(student)}.", ""]
    lines += [*(f"- {plain(line)}" for line in told), "", "| step | points |", "| --- | --- |"]
    names = steps(released)
    lines += [
        f"| {names[step]} | {'by hand, later' if score is None else f'{score:g}'} of {most:g} |"
        for step, (score, most, _) in points.items()
    ]
    return "\n".join(lines)


def steps(released):
    """{graded cell: the heading that it stands under, as a link; its own name where there is none}."""
    found, step = {}, ""
    for cell in released.cells:
        for level, name, heading in pages.headings(new_notebook(cells=[cell])):
            text = re.sub(r" \(\d+ points?.*\)$", "", pages.plain(heading))
            step = f"[{plain(text)}](<#{unescape(name)}>)" if level > 1 else step
        if submissions.mark(cell).get("grade"):
            found[submissions.mark(cell)["grade_id"]] = step or plain(
                submissions.mark(cell)["grade_id"]
            )
    return found


def verdict(score, most, comment):
    """What a step got, and what a person wrote on it."""
    got = (
        "Your teacher has still to read this"
        if score is None
        else f"**{score:g} of {most:g} points**"
    )
    return f"{got}{f'. Comment: {plain(comment)}' if comment else ''}"


def plain(text):
    """Text that Markdown shows as it is."""
    return re.sub(r"([\\`*_{}\[\]<>()#+.!|$&~-])", r"\\\1", text.replace("\n", " "))


def quoted(text):
    """Text as a block, whatever is in it."""
    fence = "`" * max([3, *(len(run) + 1 for run in re.findall("`+", text))])
    return f"{fence}text\n{text}\n{fence}"


def folded(mark):
    return {} if mark["solution"] else {"jupyter": {"source_hidden": True}}


def shown(cell):
    """The outputs of a cell that are text or a picture; of an error its message, as the lines above it quote the tests.

    Of a test what it says is left, and not the number that nbgrader reads.
    """
    mark = submissions.mark(cell)
    outputs, test, given = [], mark.get("grade"), mark.get("locked") and not mark.get("grade")
    for output in cell.outputs:
        if test and output.output_type == "execute_result":
            continue
        if output.output_type == "error":
            text = said(output.ename, output.evalue)
            output = output | {"traceback": [f"No points are lost here. {text}" if given else text]}
        elif "data" in output:
            output = output | {
                "data": {kind: value for kind, value in output.data.items() if kind in SHOWN}
            }
        elif test:
            output = output | {"text": said("", output.text)}
        outputs.append(output)
    return outputs


def said(name, text):
    """An error's message, or what a test printed, without what only a programmer reads in it."""
    if name == "NotImplementedError":
        return "A function that this needs has not been written: raise NotImplementedError still stands in it."
    text = (
        f"{name}: {text}"
        if name and (name not in ("AssertionError", "Mistake") or not text)
        else text
    )
    text = re.sub(r"^\S*ipykernel_\S+\.py:(\d+): ", r"Line \1: ", text, flags=re.M)
    return re.sub(r"\b(case \d+ of \d+: )(?:AssertionError|Mistake): ", r"\1", text)
