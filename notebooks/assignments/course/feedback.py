"""A student's feedback page: the points of each step, what the tests said, and comments.

It shows no hidden test and needs no network.
"""

import base64
import re
from collections.abc import Callable, Mapping, Sequence
from html import escape as escape_html, unescape
from io import BytesIO
from pathlib import Path
from urllib.parse import unquote

import nbformat
import pages
from nbconvert.filters.markdown_mistune import MarkdownWithMath
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_raw_cell
from PIL import Image

from camkit._files import write_whole
from course import year
from course.explanations import OUTCOMES
from course.gradebook import Score
from course.markdown import escape
from course.marks import cells_by_grade_id, is_given, mark

# A student's HTML is not run in the teacher's browser: of rich outputs only these are shown.
SHOWN = ("text/plain", "image/png")

# The pictures of written answers that are shown.
PICTURES = ("image/png", "image/jpeg", "image/gif", "image/webp")

# The errors that checks raise: their names tell a student nothing.
CHECK_ERRORS = ("AssertionError", "Mistake")


def write(
    folder: Path,
    assignment: str,
    student: str,
    released: NotebookNode,
    scores: Mapping[str, Score],
    remarks: Sequence[str],
) -> None:
    """Write the feedback page of a graded submission into a year's folder.

    Args:
        folder: The year's folder.
        assignment: The assignment.
        student: The student's login.
        released: The notebook as it was handed out, whose texts stand around the answers.
        scores: The score of each graded cell.
        remarks: Lines on the whole submission.
    """
    executed = year.autograded_path(folder, assignment, student)
    if executed.exists():
        answers = nbformat.read(executed, as_version=4)
    else:
        answers = new_notebook()
    path = year.feedback_path(folder, assignment, student)
    path.parent.mkdir(parents=True, exist_ok=True)
    html = pages.page(feedback_notebook(answers, released, scores, remarks, student), path.name)
    # The keyboard can scroll a block with long lines only if it takes the focus.
    html = html.replace("<pre>", '<pre tabindex="0">')
    write_whole(path, html.encode())


def feedback_notebook(
    answers: NotebookNode,
    released: NotebookNode,
    scores: Mapping[str, Score],
    remarks: Sequence[str],
    student: str,
) -> NotebookNode:
    """Return the feedback as a notebook, from which the page is made.

    Args:
        answers: The submission as nbgrader has executed it.
        released: The notebook as it was handed out.
        scores: The score of each graded cell.
        remarks: Lines on the whole submission.
        student: The student's login.
    """
    answer_cells = cells_by_grade_id(answers)
    cells = [new_markdown_cell(summary(released, scores, remarks, student))]
    # The first cell holds the title, which the summary repeats.
    for original in released.cells[1:]:
        grade_id = mark(original).get("grade_id")
        if grade_id is None:
            cells.append(new_markdown_cell(original.source))
        elif grade_id in answer_cells:
            cells += _answer(original, answer_cells[grade_id])
        if mark(original).get("grade"):
            cells.append(new_markdown_cell(verdict(scores[grade_id])))
    # Numbered ids, so that the same answers make the same page.
    for number, cell in enumerate(cells):
        cell.id = f"cell-{number}"
    return new_notebook(cells=cells)


def _answer(original: NotebookNode, answer: NotebookNode) -> list[NotebookNode]:
    """Return the cells that show what stands in a marked cell: an answer, or a test's outputs."""
    if answer.cell_type != "code":
        shown = {"raw_mimetype": "text/html"}
        return [new_raw_cell(render(answer.source, answer.get("attachments", {})), metadata=shown)]
    outputs = shown_outputs(answer)
    if mark(original)["solution"]:
        source = answer.source or original.source
        return [new_code_cell(source, outputs=outputs)]
    if mark(original)["grade"] or outputs:
        folded = {"jupyter": {"source_hidden": True}}
        return [new_code_cell(original.source, outputs=outputs, metadata=folded)]
    return []


class AnswerRenderer(pages.Renderer):
    """A student's Markdown to HTML: of HTML, of files and of the network it shows nothing."""

    def inline_math(self, body: str) -> str:
        """Return a formula, or its source where that is no LaTeX that the pages can show."""
        return self._formula(super().inline_math, f"${body}$", body)

    def block_math(self, body: str) -> str:
        """Return a formula on lines of its own, or its source."""
        return self._formula(super().block_math, f"$${body}$$", body)

    def latex_environment(self, name: str, body: str) -> str:
        """Return a formula in a LaTeX environment, or its source."""
        source = rf"\begin{{{name}}}{body}\end{{{name}}}"
        return self._formula(super().block_math, source, source)

    def _formula(self, convert: Callable[[str], str], source: str, body: str) -> str:
        try:
            return convert(body)
        # The converter raises whatever a student's LaTeX makes it raise.
        except Exception:
            return escape_html(source)

    def block_html(self, html: str) -> str:
        """Return HTML as text."""
        return f"<p>{escape_html(html)}</p>"

    def inline_html(self, html: str) -> str:
        """Return HTML as text."""
        return escape_html(html)

    def block_code(self, code: str, info: str | None = None) -> str:
        """Return code as it is."""
        return f"<pre>{escape_html(code)}</pre>"

    def block_quote(self, text: str) -> str:
        """Return a quotation."""
        return f"<blockquote>{text}</blockquote>"

    def heading(self, text: str, level: int, **attributes) -> str:
        """Return a heading as a line, since the page has headings of its own."""
        return f"<p><strong>{text}</strong></p>"

    def link(self, text: str, url: str, title: str | None = None) -> str:
        """Return a link as its text and its address."""
        address = escape_html(url)
        return text if text == address else f"{text} ({address})"

    def image(self, text: str, url: str, title: str | None = None) -> str:
        """Return a picture that was pasted, of others the text."""
        pasted = self.attachments.get(unquote(url.removeprefix("attachment:")), {})
        for kind in PICTURES if url.startswith("attachment:") else ():
            data = as_picture(pasted.get(kind))
            if data:
                alt = escape_html(pages.plain(text))
                return f'<img src="data:{kind};base64,{data}" alt="{alt}">'
        return escape_html(f"![{pages.plain(text)}]({url})")


def render(text: str, attachments: Mapping[str, Mapping[str, str]]) -> str:
    """Return a student's Markdown as HTML, with the pictures that were pasted into it."""
    renderer = AnswerRenderer(escape=True, attachments=dict(attachments))
    html = MarkdownWithMath(renderer=renderer).render(text)
    return f'<blockquote class="answer">\n{html}</blockquote>'


def as_picture(data: object) -> str:
    """Return a picture in base64 if it can be drawn, else ""."""
    try:
        decoded = base64.b64decode("".join(data))
        with Image.open(BytesIO(decoded), formats=("PNG", "JPEG", "GIF", "WEBP")) as picture:
            picture.load()
    # Damage raises whatever base64 and Pillow's decoders raise.
    except Exception:
        return ""
    return base64.b64encode(decoded).decode()


def summary(
    released: NotebookNode, scores: Mapping[str, Score], remarks: Sequence[str], student: str
) -> str:
    """Return Markdown with the title, the remarks on the whole, and a table of the steps."""
    title = re.match(r"# (.*)", released.cells[0].source)[1]
    total = sum(score.points or 0 for score in scores.values())
    most = sum(score.most for score in scores.values())
    count = sum(score.is_to_be_read for score in scores.values())
    answers = "1 answer is" if count == 1 else f"{count} answers are"
    so_far = f" so far: {answers} still to be read" if count else ""
    lines = [
        f"# {title}",
        f"## {total:g} of {most:g} points{so_far}",
        f"For {escape(student)}.",
        "",
        *(f"- {escape(remark)}" for remark in remarks),
        "",
        "| step | points |",
        "| --- | --- |",
    ]
    names = step_names(released)
    for cell, score in scores.items():
        points = "by hand, later" if score.points is None else f"{score.points:g}"
        lines.append(f"| {names[cell]} | {points} of {score.most:g} |")
    return "\n".join(lines)


def step_names(released: NotebookNode) -> dict[str, str]:
    """Return {graded cell: link to the heading above it, or its own name if there is none}."""
    names = {}
    link = ""
    for cell in released.cells:
        for level, heading_id, heading in pages.headings(new_notebook(cells=[cell])):
            if level > 1:
                link = _link(heading_id, heading)
        if mark(cell).get("grade"):
            grade_id = mark(cell)["grade_id"]
            names[grade_id] = link or escape(grade_id)
    return names


def _link(heading_id: str, heading: str) -> str:
    """Return a Markdown link to a heading, given as HTML, without the points that it names."""
    text = pages.plain(heading)
    text = re.sub(r" \(\d+ points?.*\)$", "", text)
    return f"[{escape(text)}](<#{unescape(heading_id)}>)"


def verdict(score: Score) -> str:
    """Return Markdown on what a step got, and what a person commented on it."""
    if score.points is None:
        result = "Your teacher has still to read this"
    else:
        result = f"**{score.points:g} of {score.most:g} points**"
    if score.comment:
        return f"{result}. Comment: {escape(score.comment)}"
    return result


def shown_outputs(cell: NotebookNode) -> list[NotebookNode]:
    """Return the outputs of a cell that a student is shown: text and pictures.

    Of an error only the message is left, since the lines above it quote hidden tests. Of a test the
    number that nbgrader reads is left out.
    """
    is_test = mark(cell).get("grade")
    outputs = []
    for output in cell.outputs:
        if is_test and output.output_type == "execute_result":
            continue
        if output.output_type == "error":
            output = _as_message(output, is_given(cell))
        elif "data" in output:
            data = {
                kind: value
                for kind, value in output.data.items()
                if kind in SHOWN and (kind not in PICTURES or as_picture(value))
            }
            output = output | {"data": data}
        elif is_test:
            output = output | {"text": reword("", output.text)}
        outputs.append(output)
    return outputs


def _as_message(error: NotebookNode, costs_nothing: bool) -> NotebookNode:
    """Return an error output that shows its message alone; one in a given cell costs no points."""
    message = reword(error.ename, error.evalue)
    if costs_nothing:
        message = f"No points are lost here. {message}"
    return error | {"traceback": [message]}


def reword(name: str, text: str) -> str:
    """Return an error's message, or what a test printed, in words that a student can use.

    Args:
        name: The name of the error, "" for printed text.
        text: Its message or the printed text.
    """
    if name == "NotImplementedError":
        return (
            "A function that this needs has not been written: raise NotImplementedError still "
            "stands in it."
        )
    if name == "StdinNotImplementedError":
        return f"It {OUTCOMES[name]}."
    if name and (name not in CHECK_ERRORS or not text):
        text = f"{name}: {text}"
    # A warning names the temporary file of a cell.
    text = re.sub(r"^\S*ipykernel_\S+\.py:(\d+): ", r"Line \1: ", text, flags=re.M)
    return re.sub(r"\b(case \d+ of \d+: )(?:AssertionError|Mistake): ", r"\1", text)
