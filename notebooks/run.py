"""Runs the lessons top to bottom and writes them as pages: python notebooks/run.py [--dataset ...] [names ...]

Each lesson's parameters cell says which images and which backbone it works on. What is given on the command line
goes into a cell after it, as papermill does. Everything that went wrong is told at the end, and fails the run:
errors in cells, errors inside widgets, and whatever a reader would see on a red ground (standard error).
"""

import argparse
import base64
import hashlib
import os
import re
import sys
import time
from pathlib import Path

import nbformat
from latex2mathml.converter import convert
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbconvert import HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from tqdm import tqdm

LESSONS = Path(__file__).resolve().parent
DEFAULTS = {"DATASET": "mini", "BACKBONE": "mini", "WEIGHTS": "imagenet"}
WIDGETS = "application/vnd.jupyter.widget-state+json"
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
INTERACTIVE = "<p class='interactive'>In JupyterLab an interactive view stands here.</p>"
TEMPLATE = """{% extends 'lab/index.html.j2' %}
{% block html_head_js %}{% endblock %}
{% block jupyter_widgets %}{% endblock %}
{% block html_head_js_mathjax %}{% endblock %}
{% block html_head_js_mermaidjs %}{% endblock %}
{% block footer %}</html>{% endblock %}
{% block html_head_css %}<style>
main { max-width: 60rem; margin: 0 auto; padding: 1rem; overflow-wrap: break-word; }
.jp-MarkdownCell { max-width: 52rem; }
.jp-CodeCell { --jp-code-font-size: 12px; }
.jp-RenderedHTMLCommon { font-size: 1rem; line-height: 1.6; }
.jp-RenderedHTMLCommon table { font-size: 0.9rem; line-height: 1.4; }
.jp-OutputArea-output { overflow-x: auto; }
.jp-OutputArea-output img { max-width: 100%; height: auto; }
math { font-family: "STIX Two Math", "Latin Modern Math", "Cambria Math", math; }
mo { font-family: "STIX Two Math", "Latin Modern Math", "Cambria Math", "DejaVu Serif", math; }
mtd[columnalign=right] { text-align: right; padding-right: 0; }
mtd[columnalign=left] { text-align: left; padding-left: 0; }
.formula { margin: 0.6em 0; padding: 0.4em 0; overflow-x: auto; }
nav { padding: 0 0.8rem; font-family: var(--jp-content-font-family); }
summary { cursor: pointer; color: #0b5394; }
details { margin: 0.5em 0 1.2em; }
details[open] { padding-left: 0.8em; border-left: 3px solid #ddd; }
.jp-MarkdownCell pre { font-size: 0.8rem; line-height: 1.4; margin: 0.7em 0; overflow-x: auto; }
.interactive { font-style: italic; color: #555; }
</style>{% endblock %}
{% block body_header %}{{ super() }}<nav><a href="index.html">All lessons</a></nav>{% endblock %}"""


def mathml(latex, display="inline"):
    """MathML of a LaTeX formula. Raises ValueError where the converter leaves something of the LaTeX in it."""
    latex = re.sub(r"\\(begin|end)\{aligned\}", r"\\\1{split}", latex)
    latex = re.sub(r"\\operatorname\*?\s*\{", r"\\mathrm{", latex)
    math = convert(latex, display=display)
    if "\\" in math or "<mi>&</mi>" in math or "newline" in math:
        raise ValueError(f"the pages cannot show this formula, write it in simpler LaTeX: {latex}")
    return math


class Renderer(IPythonRenderer):
    """Markdown with its LaTeX as MathML, which browsers draw by themselves: the pages need no network."""

    def inline_math(self, body):
        return mathml(body)

    def block_math(self, body):
        return f'<div class="formula">{mathml(body, "block")}</div>'

    def block_html(self, html):
        """As it stands: nbconvert's parser would end here a <details> that goes on below."""
        return super().block_html(html) if "<img" in html else html

    def latex_environment(self, name, body):
        return self.block_math(rf"\begin{{{name}}}{body}\end{{{name}}}")


def markdown2html(source):
    """HTML of one Markdown cell, with the pictures that it names inside."""
    renderer = Renderer(escape=False, embed_images=True, path=str(LESSONS), exclude_anchor_links=True)
    return MarkdownWithMath(renderer=renderer).render(source)


def made_from(path):
    """A checksum of all that a lesson's outputs depend on: the lesson, camkit, the embedded data and the lock."""
    root = LESSONS.parent
    parts = [path, root / "requirements.lock", *sorted(root.glob("camkit/*.py")), *sorted(root.glob("data/**/*.*"))]
    digest = hashlib.sha256()
    for part in parts:
        if Path(part).is_file():
            digest.update(Path(part).read_bytes())
    return digest.hexdigest()


def run(path, parameters=None, *, progress=None, timeout=1800):
    """The notebook at `path`, executed in the lessons' folder with these parameters; it ends at its first error.

    parameters: {name: value}, put into a cell after the one tagged `parameters`. progress: called after each cell.
    timeout: seconds for one cell.
    """
    notebook = nbformat.read(path, as_version=4)
    if parameters:
        tagged = [i for i, cell in enumerate(notebook.cells) if "parameters" in cell.metadata.get("tags", [])]
        if not tagged:
            raise ValueError(f"{Path(path).name} has no cell tagged `parameters` to put {parameters} after")
        source = "\n".join(f"{name} = {value!r}" for name, value in parameters.items())
        cell = nbformat.v4.new_code_cell(source, id="injected-parameters", metadata={"tags": ["injected-parameters"]})
        notebook.cells.insert(tagged[0] + 1, cell)
    client = NotebookClient(
        notebook, timeout=timeout, kernel_name="python3", resources={"metadata": {"path": str(LESSONS)}},
        on_cell_complete=(lambda **_: progress()) if progress else None,
        extra_arguments=["--IPKernelApp.log_level=40"],     # a kernel's own notices are not the lesson's
    )
    notebook.metadata["made_from"] = made_from(path)
    start, cpu = time.perf_counter(), sum(os.times()[2:4])
    try:
        client.execute()
    except CellExecutionError:
        pass                                            # the cell's output holds it, for `problems` to find
    except (CellTimeoutError, DeadKernelError) as error:
        notebook.metadata["stopped"] = str(error)
    client.set_widgets_metadata()
    notebook.metadata["seconds"] = round(time.perf_counter() - start, 1)
    notebook.metadata["cpu_seconds"] = round(sum(os.times()[2:4]) - cpu, 1)
    return notebook


def problems(notebook):
    """What went wrong in an executed notebook, one line each: [] if nothing did."""
    places = [(f"cell {cell.id}", cell.outputs) for cell in notebook.cells if cell.cell_type == "code"]
    widgets = notebook.metadata.get("widgets", {}).get(WIDGETS, {}).get("state", {})
    places += [("inside a widget", widget["state"].get("outputs") or []) for widget in widgets.values()]
    found = [notebook.metadata["stopped"]] if "stopped" in notebook.metadata else []
    for place, outputs in places:
        for output in outputs:
            if output["output_type"] == "error":
                found.append(f"{place}: {output['ename']}: {output['evalue']}")
            elif output["output_type"] == "stream" and output["name"] == "stderr":
                found.append(f"{place}: on standard error: {output['text'].strip()}")
    return found


def page_name(name):
    """The file name of a lesson's page: the first lesson is the index of them all."""
    return "index.html" if name.startswith("00") else name.removesuffix(".ipynb") + ".html"


def page(notebook, name):
    """An executed notebook as one HTML page that needs no network and no script.

    Progress bars are left out; of an interactive view the page tells that it is there.
    """
    notebook = nbformat.from_dict(notebook)
    for cell in notebook.cells:
        views = [output for output in cell.get("outputs", []) if WIDGET_VIEW in output.get("data", {})]
        bars = [view for view in views if "%|" in view["data"].get("text/plain", "")]
        if views:
            cell.outputs = [output for output in cell.outputs if output not in views]
        if len(views) > len(bars):
            cell.outputs.append(nbformat.v4.new_output("display_data", {"text/html": INTERACTIVE}))
    notebook.metadata.pop("widgets", None)
    heading = re.search(r"^# (.+)", "\n".join(c.source for c in notebook.cells if c.cell_type == "markdown"), re.M)
    notebook.metadata["title"] = heading[1].replace("$", "") if heading else name
    exporter = HTMLExporter(raw_template=TEMPLATE, exclude_input_prompt=True, exclude_output_prompt=True,
                            filters={"markdown2html": markdown2html})
    html = exporter.from_notebook_node(notebook)[0]
    return re.sub(r'href="([\w-]+\.ipynb)(#[^"]*)?"', lambda m: f'href="{page_name(m[1])}{m[2] or ""}"', html)


def save(notebook, name, folder):
    """Writes the executed notebook, its page, and the figures of its cells tagged `readme` into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, folder / name)
    (folder / page_name(name)).write_text(page(notebook, name), encoding="utf-8")
    for cell in notebook.cells:
        pictures = [output["data"]["image/png"] for output in cell.get("outputs", [])
                    if "image/png" in output.get("data", {})]
        if "readme" in cell.metadata.get("tags", []) and pictures:
            (folder / "figures").mkdir(exist_ok=True)
            (folder / "figures" / f"{cell.id}.png").write_bytes(base64.b64decode(pictures[0]))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in DEFAULTS.items():
        parser.add_argument(f"--{name.lower()}", default=default, help=f"default: {default}")
    parser.add_argument("--out", help="folder for the pages; default: build, and build/DATASET-BACKBONE for others")
    parser.add_argument("names", nargs="*", help="the lessons to run, by the start of their names; default: all")
    options = parser.parse_args()

    asked = {name: getattr(options, name.lower()) for name in DEFAULTS}
    for name, value in asked.items():                   # the lessons run in their own folder
        if "/" in value or "\\" in value:
            asked[name] = str(Path(value).expanduser().resolve())
    parameters = {name: value for name, value in asked.items() if value != DEFAULTS[name]}
    other = f"{Path(asked['DATASET']).name}-{asked['BACKBONE']}" if parameters else ""
    folder = Path(options.out or LESSONS.parent / "build" / other)
    paths = [path for path in sorted(LESSONS.glob("*.ipynb")) if path.name.startswith(tuple(options.names or [""]))]
    if not paths:
        sys.exit(f"no lesson in {LESSONS} starts with {' or '.join(options.names) or 'anything'}")

    failed = []
    total = sum(len(nbformat.read(path, as_version=4).cells) + bool(parameters) for path in paths)
    with tqdm(total=total, unit="cell", disable=None) as bar:
        for path in paths:
            bar.set_description(path.stem)
            notebook = run(path, parameters, progress=bar.update)
            save(notebook, path.name, folder)
            bar.write(f"{notebook.metadata['seconds']:6.1f} s  {folder / page_name(path.name)}")
            failed += [f"{path.name}, {problem}" for problem in problems(notebook)]
    if failed:
        sys.exit("\n".join(["", f"{len(failed)} problems:", *failed]))


if __name__ == "__main__":
    main()
