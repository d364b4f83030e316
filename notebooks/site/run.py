"""Runs the lessons top to bottom and writes them as pages: python notebooks/site [--dataset ...] [names ...]

Each lesson's parameters cell says which images and which backbone it works on. What is given on the command line
goes into a cell after it, as papermill does. Everything that went wrong is told at the end, and fails the run:
errors in cells, errors inside widgets, and whatever a reader would see on a red ground (standard error).
"""

import argparse
import ast
import base64
import hashlib
import os
import re
import sys
import time
from importlib import metadata
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from pages import page, page_name
from tqdm import tqdm

LESSONS = Path(__file__).resolve().parents[1]
DEFAULTS = {"DATASET": "mini", "BACKBONE": "mini", "WEIGHTS": "imagenet", "BOXES": ""}
WIDGETS = "application/vnd.jupyter.widget-state+json"


def made_from(path):
    """A checksum of all that a lesson's outputs depend on: the lesson, camkit, the embedded data, the versions."""
    root = LESSONS.parent
    code = [part for part in root.glob("camkit/**/*.*") if part.suffix in (".py", ".js", ".css")]
    parts = [path, *sorted(code), *sorted(root.glob("data/**/*.*"))]
    names = [
        re.match(r"[\w.-]+", line)[0]
        for line in metadata.requires("camkit")
        if "extra ==" not in line
    ]
    digest = hashlib.sha256(
        repr([sys.version, *((name, metadata.version(name)) for name in names)]).encode()
    )
    for part in parts:
        if Path(part).is_file():
            digest.update(Path(part).read_bytes())
    return digest.hexdigest()


def read(path, parameters=None):
    """The notebook at `path` with these parameters {name: value}, those that it has, in a cell after its own."""
    notebook = nbformat.read(path, as_version=4)
    if parameters:
        tagged = [
            i
            for i, cell in enumerate(notebook.cells)
            if "parameters" in cell.metadata.get("tags", [])
        ]
        if not tagged:
            raise ValueError(
                f"{Path(path).name} has no cell tagged `parameters` to put {parameters} after"
            )
        lines = ast.parse(notebook.cells[tagged[0]].source).body
        names = {target.id for line in lines for target in getattr(line, "targets", [])}
        source = "\n".join(
            f"{name} = {value!r}" for name, value in parameters.items() if name in names
        )
        if source:
            own = {"id": "injected-parameters", "metadata": {"tags": ["injected-parameters"]}}
            notebook.cells.insert(tagged[0] + 1, nbformat.v4.new_code_cell(source, **own))
    return notebook


def run(path, parameters=None, *, progress=None, timeout=1800):
    """The notebook at `path`, executed in the lessons' folder with these parameters; it ends at its first error.

    parameters: as in `read`. progress: called after each cell. timeout: seconds for one cell.
    """
    notebook = read(path, parameters)
    client = NotebookClient(
        notebook,
        timeout=timeout,
        kernel_name="python3",
        resources={"metadata": {"path": str(LESSONS)}},
        on_cell_complete=(lambda **_: progress()) if progress else None,
        extra_arguments=[
            "--IPKernelApp.log_level=40"
        ],  # a kernel's own notices are not the lesson's
    )
    notebook.metadata["made_from"] = made_from(path)
    start, cpu = time.perf_counter(), sum(os.times()[2:4])
    try:
        client.execute()
    except CellExecutionError:
        pass  # the cell's output holds it, for `problems` to find
    except (CellTimeoutError, DeadKernelError) as error:
        notebook.metadata["stopped"] = str(error)
    client.set_widgets_metadata()
    notebook.metadata["seconds"] = round(time.perf_counter() - start, 1)
    notebook.metadata["cpu_seconds"] = round(sum(os.times()[2:4]) - cpu, 1)
    return notebook


def problems(notebook):
    """What went wrong in an executed notebook, one line each: [] if nothing did."""
    places = [
        (f"cell {cell.id}", cell.outputs) for cell in notebook.cells if cell.cell_type == "code"
    ]
    widgets = notebook.metadata.get("widgets", {}).get(WIDGETS, {}).get("state", {})
    places += [
        ("inside a widget", widget["state"].get("outputs") or []) for widget in widgets.values()
    ]
    found = [notebook.metadata["stopped"]] if "stopped" in notebook.metadata else []
    for place, outputs in places:
        for output in outputs:
            if output["output_type"] == "error":
                found.append(f"{place}: {output['ename']}: {output['evalue']}")
            elif output["output_type"] == "stream" and output["name"] == "stderr":
                found.append(f"{place}: on standard error: {output['text'].strip()}")
    return found


def save(notebook, name, folder):
    """Writes the executed notebook, its page, and the figures of its cells tagged `readme` into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, folder / name)
    (folder / page_name(name)).write_text(page(notebook, name), encoding="utf-8")
    for cell in notebook.cells:
        pictures = [
            output["data"]["image/png"]
            for output in cell.get("outputs", [])
            if "image/png" in output.get("data", {})
        ]
        if "readme" in cell.metadata.get("tags", []) and pictures:
            (folder / "figures").mkdir(exist_ok=True)
            (folder / "figures" / f"{cell.id}.png").write_bytes(base64.b64decode(pictures[0]))


def write_reference(folder):
    """Writes the rest of the site, the reference and the search page, into `folder`."""
    import reference  # it loads camkit, which the lessons have in their own processes

    reference.write(folder)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in DEFAULTS.items():
        parser.add_argument(f"--{name.lower()}", default=default, help=f"default: {default}")
    parser.add_argument(
        "--out", help="folder for the pages; default: build, and build/DATASET-BACKBONE for others"
    )
    parser.add_argument(
        "names", nargs="*", help="the lessons to run, by the start of their names; default: all"
    )
    options = parser.parse_args()

    asked = {name: getattr(options, name.lower()) for name in DEFAULTS}
    for name in ("DATASET", "WEIGHTS", "BOXES"):  # the lessons run in their own folder
        value = asked[name]
        if value != DEFAULTS[name] and ("/" in value or "\\" in value or Path(value).exists()):
            asked[name] = str(Path(value).expanduser().resolve())
    parameters = {name: value for name, value in asked.items() if value != DEFAULTS[name]}
    other = f"{Path(asked['DATASET']).name}-{asked['BACKBONE']}" if parameters else ""
    folder = Path(options.out or LESSONS.parent / "build" / other)
    paths = [
        path
        for path in sorted(LESSONS.glob("*.ipynb"))
        if path.name.startswith(tuple(options.names or [""]))
    ]
    if not paths:
        sys.exit(f"no lesson in {LESSONS} starts with {' or '.join(options.names) or 'anything'}")

    failed = []
    total = sum(len(read(path, parameters).cells) for path in paths)
    with tqdm(total=total, unit="cell", disable=None) as bar:
        for path in paths:
            bar.set_description(path.stem)
            notebook = run(path, parameters, progress=bar.update)
            save(notebook, path.name, folder)
            bar.write(f"{notebook.metadata['seconds']:6.1f} s  {folder / page_name(path.name)}")
            failed += [f"{path.name}, {problem}" for problem in problems(notebook)]
    write_reference(folder)
    if failed:
        sys.exit(
            "\n".join(
                ["", "1 problem:" if len(failed) == 1 else f"{len(failed)} problems:", *failed]
            )
        )
