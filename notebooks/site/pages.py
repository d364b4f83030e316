"""Turn an executed lesson into its page: one HTML file that needs no network.

`pages.html.j2` holds what stands around the cells and `pages.css` how all of it looks.
"""

import base64
import re
from collections.abc import Iterable
from html import escape, unescape
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import nbformat
import numpy as np
from latex2mathml.converter import convert
from nbconvert import HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from nbformat import NotebookNode
from PIL import Image

FOLDER = Path(__file__).resolve().parent
LESSONS = FOLDER.parent
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
INTERACTIVE = "<p class='interactive'>In JupyterLab an interactive view stands here.</p>"

# The lessons of the core, by the start of their names, in the order in which one reads them.
CORE = ("00", "03", "01", "02", "05", "06", "07", "13", "14")

# The electives, each with the lesson of the core after which it fits.
ELECTIVES = {
    "03b": "03",
    "03c": "03",
    "04": "02",
    "06b": "06",
    "08": "07",
    "08b": "07",
    "09": "07",
    "10": "05",
    "11": "06",
    "12": "07",
    "12b": "07",
    "13b": "13",
    "scale": "14",
}

# The folder of the playground beside the pages, which front.py writes, and where a lesson shows it.
PLAYGROUND = "playground"
PLACE = "<!-- playground -->"

# What a cell gives its page to play with: heads on the features of the embedded backbone, each with
# name, class_names, kernel (K × C) and bias, and examples, each with name and src, see types.d.ts.
HEADS = "application/vnd.camkit.heads+json"

# The document in a frame of a page. All pages share its files, which load where a page on disk may
# not load modules.
FRAMED = """<!doctype html>
<html lang="en"><head><title>Playground</title>
<link rel="stylesheet" href="{folder}/frame.css"><style>body {{ margin: 0; }}</style></head>
<body><main><div id="atlas"><p>The playground is in the folder {folder}, which belongs beside
this page: <code>make notebooks</code> writes it.</p></div></main>
<script src="{folder}/data/model.js"></script>{own}
<script src="{folder}/data/engine.js"></script>
<script src="{folder}/frame.js"></script></body></html>
"""
FRAME = (
    '<iframe class="playground" title="Playground" allow="camera" {loading}'
    'srcdoc="{document}"></iframe>'
)

# The heads and the examples of a page in place of those of the embedded model.
OWN = """<script>if (window.camkitPlayground) {{
const {{ heads, examples }} = {data};
camkitPlayground.model.heads = heads;
camkitPlayground.examples = examples;
}}</script>"""

# The elapsed time in the text of a progress bar, such as "2/9 [00:01<00:04" or "3s [00:03,".
PROGRESS_BAR = re.compile(r"\[(\d+:)?\d\d:\d\d[<,]")

# What the header of every page leads to.
SITE_LINKS = {
    "index.html": "Lessons",
    "camkit.glossary.html": "Glossary",
    "camkit.notation.html": "Notation",
    "camkit.references.html": "Papers",
    "camkit.html": "Reference",
}

# A link to a notebook, with or without a section of it.
NOTEBOOK_LINK = re.compile(r'href="([\w-]+\.ipynb)(#[^"]*)?"')

# A link from a lesson to a page beside the reference, with or without a section of it.
LINK_BESIDE = re.compile(r'href="site/([\w-]+)\.md(#[^"]*)?"')

# A PNG in the HTML of a page; the data of views and of frames are written in other ways.
PNG = re.compile(r'(<img[^>]* src="data:image/)png;base64,([\w+/=]+)')

# How a blockquote begins that is a call-out: with its kind.
CALL_OUT = re.compile(r"<p><strong>(Tip|Caution|Definition|Predict)\.</strong>")


class Heading(NamedTuple):
    """A heading of a notebook. Level 1 is the title, level 2 a section."""

    level: int
    name: str
    html: str


class Link(NamedTuple):
    """A link to a page: its file and the HTML of its title."""

    page: str
    title: str


def mathml(latex: str, display: str = "inline") -> str:
    """Return the MathML of a LaTeX formula.

    Args:
        latex: The formula, without dollar signs.
        display: "inline" or "block".

    Raises:
        ValueError: If the converter leaves some of the LaTeX in its result.
    """
    latex = re.sub(r"\\(begin|end)\{aligned\}", r"\\\1{split}", latex)
    latex = re.sub(r"\\operatorname\*?\s*\{", r"\\mathrm{", latex)
    math = convert(latex, display=display)
    if "\\" in math or "<mi>&</mi>" in math or "newline" in math:
        raise ValueError(f"the pages cannot show this formula, write it in simpler LaTeX: {latex}")
    return math


class Renderer(IPythonRenderer):
    """Markdown to HTML, with formulas as MathML and headings that links can lead to."""

    def inline_math(self, body: str) -> str:
        """Return a formula within a line. Browsers draw MathML by themselves."""
        return mathml(body)

    def block_math(self, body: str) -> str:
        """Return a formula on lines of its own."""
        return f'<div class="formula">{mathml(body, "block")}</div>'

    def latex_environment(self, name: str, body: str) -> str:
        """Return a formula that stands in a LaTeX environment."""
        return self.block_math(rf"\begin{{{name}}}{body}\end{{{name}}}")

    def block_html(self, html: str) -> str:
        """Return HTML as it stands, with its images embedded.

        nbconvert parses all HTML here, which would close a <details> that goes on below.
        """
        return super().block_html(html) if "<img" in html else html

    def block_quote(self, text: str) -> str:
        """Return a quotation, as a box of its kind where it is a call-out."""
        call_out = CALL_OUT.match(text.lstrip())
        if not call_out:
            return super().block_quote(text)
        return f'<div class="callout {call_out[1].lower()}" role="note">\n{text}</div>\n'

    def heading(self, text: str, level: int) -> str:
        """Return a heading, named as JupyterLab names it, so that one link serves both."""
        name = escape(plain(text).replace(" ", "-"))
        return f'<h{level} id="{name}">{text}</h{level}>\n'


def markdown2html(source: str) -> str:
    """Return the HTML of a Markdown cell, with its images embedded."""
    renderer = Renderer(
        escape=False,
        embed_images=True,
        path=str(LESSONS),
        exclude_anchor_links=True,
    )
    return MarkdownWithMath(renderer=renderer).render(source)


def plain(html: str) -> str:
    """Return the text of a piece of HTML."""
    return unescape(re.sub(r"<[^>]+>", "", html))


def headings(notebook: NotebookNode) -> list[Heading]:
    """Return the headings of a notebook in order."""
    all_headings = []
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            all_headings += cell_headings(cell.source)
    return all_headings


def cell_headings(source: str) -> list[Heading]:
    """Return the headings of a Markdown cell in order."""
    html = markdown2html(source)
    matches = re.findall(r'<h(\d) id="(.*?)">(.*?)</h\1>', html)
    return [Heading(int(level), name, text) for level, name, text in matches]


def page_name(name: str) -> str:
    """Return the file name of a notebook's page. The first lesson is the index of them all."""
    if name.startswith("00"):
        return "index.html"
    return name.removesuffix(".ipynb").removesuffix(".html") + ".html"


def number(name: str) -> str:
    """Return the start of a lesson's file name, which says which lesson it is: "08b"."""
    return name.removesuffix(".ipynb").partition("-")[0]


def neighbours(name: str) -> dict[str, Link | None]:
    """Return the links to the lessons before and after the one of this file name.

    They lead through the core. An elective stands between the core lesson after which it fits and
    the next one.

    Returns:
        {"previous": link, "next": link}; None where there is no such lesson.
    """
    links: dict[str, Link | None] = {"previous": None, "next": None}
    of_number = {number(path.name): path.name for path in LESSONS.glob("*.ipynb")}
    own = number(name)
    if of_number.get(own) != name:
        return links
    core = [each for each in CORE if each in of_number]
    if own in core:
        before = core[: core.index(own)]
        after = core[core.index(own) + 1 :]
    else:
        end = core.index(ELECTIVES[own]) + 1
        before = core[:end]
        after = core[end:]
    if before:
        links["previous"] = link_to(of_number[before[-1]])
    if after:
        links["next"] = link_to(of_number[after[0]])
    return links


def link_to(name: str) -> Link:
    """Return the link to the page of the lesson of this file name."""
    notebook = nbformat.read(LESSONS / name, as_version=4)
    # A lesson begins with its title; to render all of it would take a while.
    title = cell_headings(notebook.cells[0].source)[0]
    return Link(page_name(name), title.html)


def frame(own: str = "", loading: str = 'loading="lazy" ') -> str:
    """Return the playground as an element of a page, with a script of its own."""
    document = FRAMED.format(folder=PLAYGROUND, own=own)
    return FRAME.format(loading=loading, document=escape(document))


def page(notebook: NotebookNode, name: str) -> str:
    """Return an executed notebook as one HTML page.

    The page has links to its sections and, if it is a lesson, to other lessons and the index. A
    lesson, and a page whose metadata say `site`, begins with the links and the search box of the
    whole site. A cell whose source is hidden in JupyterLab has it folded, and neighbours that show
    nothing are folded together. The index begins with the playground, and lessons show it at
    `PLACE`, or with `HEADS` of their own.

    Args:
        notebook: The executed notebook; it stays as it is.
        name: Its file name.
    """
    notebook = nbformat.from_dict(notebook)
    for cell in notebook.cells:
        replace_widgets(cell)
        replace_heads(cell)
    notebook.cells = folded_together(notebook.cells)
    notebook.metadata.pop("widgets", None)

    contents = [heading for heading in headings(notebook) if heading.level <= 2]
    is_lesson = (LESSONS / name).exists()
    resources = {
        "title": plain(contents[0].html) if contents else name,
        "contents": contents,
        "page": page_name(name),
        "style": (FOLDER / "pages.css").read_text(encoding="utf-8"),
        "lesson": is_lesson,
        "elective": is_lesson and number(name) not in CORE,
        "site_links": SITE_LINKS,
        "playground": frame(loading=""),
        "site": notebook.metadata.get("site", is_lesson),
        **neighbours(name),
    }
    exporter = HTMLExporter(
        raw_template=(FOLDER / "pages.html.j2").read_text(encoding="utf-8"),
        exclude_input_prompt=True,
        exclude_output_prompt=True,
        filters={"markdown2html": markdown2html},
    )
    html, _ = exporter.from_notebook_node(notebook, resources)
    html = PNG.sub(as_webp, html)
    html = html.replace(PLACE, frame())
    html = LINK_BESIDE.sub(r'href="camkit.\1.html\2"', html)
    return NOTEBOOK_LINK.sub(link_between_pages, html)


def folded_together(cells: list[NotebookNode]) -> list[NotebookNode]:
    """Return the cells; one that is folded and shows nothing joins the next if that is folded."""
    kept: list[NotebookNode] = []
    for cell in cells:
        if kept and is_folded(cell) and is_folded(kept[-1]) and not kept[-1].outputs:
            cell.source = f"{kept.pop().source}\n\n{cell.source}"
        kept.append(cell)
    return kept


def is_folded(cell: NotebookNode) -> bool:
    """Return whether a cell is code that is hidden in JupyterLab."""
    hidden = cell.metadata.get("jupyter", {}).get("source_hidden", False)
    return cell.cell_type == "code" and hidden


def link_between_pages(match: re.Match) -> str:
    """Return the link to a page for a match of `NOTEBOOK_LINK`."""
    section = match[2] or ""
    return f'href="{page_name(match[1])}{section}"'


def replace_widgets(cell: NotebookNode) -> None:
    """Replace the interactive views among a cell's outputs by what a page can show.

    Progress bars are left out. A view that can live without Python (it has HTML beside it) does so;
    of others the page says that they exist.
    """
    outputs = cell.get("outputs", [])
    bars = [output for output in widget_views(outputs) if is_progress_bar(output)]
    if bars:
        cell.outputs = [output for output in outputs if output not in bars]
    for view in widget_views(cell.get("outputs", [])):
        html = view["data"].get("text/html", INTERACTIVE)
        view["data"] = {"text/html": html}


def as_webp(match: re.Match) -> str:
    """Return the start of an image for a match of `PNG`, as WebP of the same pixels if smaller."""
    stream = BytesIO()
    picture = Image.open(BytesIO(base64.b64decode(match[2])))
    # Quality is effort here: more of it takes twice the time and saves a twentieth.
    picture.save(stream, "webp", lossless=True, exact=True, quality=0, method=2)
    data = base64.b64encode(stream.getvalue()).decode()
    return f"{match[1]}webp;base64,{data}" if len(data) < len(match[2]) else match[0]


def replace_heads(cell: NotebookNode) -> None:
    """Replace the heads among a cell's outputs by a playground in which they answer."""
    for output in cell.get("outputs", []):
        if HEADS in output.get("data", {}):
            # No other part of a page needs camkit.
            from camkit.atlas._encoding import script_json

            given = output["data"][HEADS]
            heads = [played_head(head) for head in given["heads"]]
            data = script_json({"heads": heads, "examples": given["examples"]})
            output["data"] = {"text/html": frame(OWN.format(data=data))}


def played_head(head: dict) -> dict[str, str | list[str]]:
    """Return a head as the playground reads it: see `PlayHead` in camkit/atlas/view/types.d.ts."""
    return {
        "name": head["name"],
        "classNames": head["class_names"],
        "activation": "softmax",
        "kernel": floats(head["kernel"]),
        "bias": floats(head["bias"]),
    }


def floats(numbers: list) -> str:
    """Return numbers as float32 in base64."""
    return base64.b64encode(np.asarray(numbers, "<f4").tobytes()).decode()


def widget_views(outputs: Iterable[NotebookNode]) -> list[NotebookNode]:
    """Return those outputs that are interactive views."""
    return [output for output in outputs if WIDGET_VIEW in output.get("data", {})]


def is_progress_bar(view: NotebookNode) -> bool:
    """Return whether an interactive view is a progress bar of tqdm."""
    text = view["data"].get("text/plain", "")
    return PROGRESS_BAR.search(text) is not None
