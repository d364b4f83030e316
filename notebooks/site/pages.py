"""Turns an executed lesson into its page: one HTML file that needs no network and no script.

`pages.html.j2` holds what stands around the cells and `pages.css` how all of it looks.
"""

import re
from html import escape, unescape
from pathlib import Path

import nbformat
from latex2mathml.converter import convert
from nbconvert import HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

FOLDER = Path(__file__).resolve().parent
LESSONS = FOLDER.parent
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
INTERACTIVE = "<p class='interactive'>In JupyterLab an interactive view stands here.</p>"


def mathml(latex, display="inline"):
    """MathML of a LaTeX formula. Raises ValueError where the converter leaves something of the LaTeX in it."""
    latex = re.sub(r"\\(begin|end)\{aligned\}", r"\\\1{split}", latex)
    latex = re.sub(r"\\operatorname\*?\s*\{", r"\\mathrm{", latex)
    math = convert(latex, display=display)
    if "\\" in math or "<mi>&</mi>" in math or "newline" in math:
        raise ValueError(f"the pages cannot show this formula, write it in simpler LaTeX: {latex}")
    return math


class Renderer(IPythonRenderer):
    """Markdown with its LaTeX as MathML, which browsers draw by themselves, and headings that links can lead to."""

    def inline_math(self, body):
        return mathml(body)

    def block_math(self, body):
        return f'<div class="formula">{mathml(body, "block")}</div>'

    def block_html(self, html):
        """As it stands: nbconvert's parser would end here a <details> that goes on below."""
        return super().block_html(html) if "<img" in html else html

    def latex_environment(self, name, body):
        return self.block_math(rf"\begin{{{name}}}{body}\end{{{name}}}")

    def heading(self, text, level):
        """Named as JupyterLab names it, so that one link to it serves both."""
        name = escape(plain(text).replace(" ", "-"))
        return f'<h{level} id="{name}">{text}</h{level}>\n'


def markdown2html(source):
    """HTML of one Markdown cell, with the pictures that it names inside."""
    renderer = Renderer(
        escape=False, embed_images=True, path=str(LESSONS), exclude_anchor_links=True
    )
    return MarkdownWithMath(renderer=renderer).render(source)


def plain(text):
    """The text of a piece of HTML."""
    return unescape(re.sub(r"<[^>]+>", "", text))


def headings(notebook):
    """(level, id, HTML) of each heading of a notebook, in order: level 1 is its title, level 2 a section."""
    text = "".join(
        markdown2html(cell.source) for cell in notebook.cells if cell.cell_type == "markdown"
    )
    return [
        (int(level), name, heading)
        for level, name, heading in re.findall(r'<h(\d) id="(.*?)">(.*?)</h\1>', text)
    ]


def page_name(name):
    """The file name of a lesson's page: the first lesson is the index of them all."""
    return "index.html" if name.startswith("00") else name.removesuffix(".ipynb") + ".html"


def neighbours(name):
    """{"previous": (page, title), "next": (page, title)} of the lesson of this name, None where there is no such."""
    paths = sorted(LESSONS.glob("*.ipynb")) if (LESSONS / name).exists() else []
    before, after = (
        [p for p in paths if p.name < name][-1:],
        [p for p in paths if p.name > name][:1],
    )

    def link(path):
        return page_name(path.name), headings(nbformat.read(path, as_version=4))[0][2]

    return {"previous": next(map(link, before), None), "next": next(map(link, after), None)}


def page(notebook, name):
    """An executed notebook as one HTML page, with links to its sections and, from a lesson, to others and the index.

    A lesson, and a page whose metadata say `site`, begins with the links and the search box that the whole site has.
    Progress bars are left out; an interactive view that can live without Python (text/html beside the view) does so, of
    others the page tells that they are there. A cell whose source is hidden in JupyterLab has it folded.
    """
    notebook = nbformat.from_dict(notebook)
    for cell in notebook.cells:
        views = [
            output for output in cell.get("outputs", []) if WIDGET_VIEW in output.get("data", {})
        ]
        bars = [view for view in views if "%|" in view["data"].get("text/plain", "")]
        if bars:
            cell.outputs = [output for output in cell.outputs if output not in bars]
        for view in views:
            view["data"] = {"text/html": view["data"].get("text/html", INTERACTIVE)}
    notebook.metadata.pop("widgets", None)
    contents = [heading for heading in headings(notebook) if heading[0] <= 2]
    resources = {
        "title": plain(contents[0][2]) if contents else name,
        "contents": contents,
        "page": page_name(name),
        "style": (FOLDER / "pages.css").read_text(encoding="utf-8"),
        "lesson": (LESSONS / name).exists(),
        "site": notebook.metadata.get("site", (LESSONS / name).exists()),
        **neighbours(name),
    }
    exporter = HTMLExporter(
        raw_template=(FOLDER / "pages.html.j2").read_text(encoding="utf-8"),
        exclude_input_prompt=True,
        exclude_output_prompt=True,
        filters={"markdown2html": markdown2html},
    )
    text = exporter.from_notebook_node(notebook, resources)[0]
    return re.sub(
        r'href="([\w-]+\.ipynb)(#[^"]*)?"', lambda m: f'href="{page_name(m[1])}{m[2] or ""}"', text
    )
