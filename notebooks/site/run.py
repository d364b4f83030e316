"""Run one lesson: put its parameters in, execute it, find what went wrong, write its page."""

import ast
import base64
import hashlib
import os
import re
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from importlib import metadata
from pathlib import Path

import nbformat
import psutil
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode
from pages import FOLDER, page, page_name

LESSONS = Path(__file__).resolve().parents[1]
DEFAULTS = {"DATASET": "mini", "BACKBONE": "mini", "WEIGHTS": "imagenet", "BOXES": ""}
WIDGETS = "application/vnd.jupyter.widget-state+json"

# What NumPy, scikit-learn and TensorFlow read to learn how many threads they may use.
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS")

# A line of `pip show`-style metadata that belongs to an extra which no lesson needs.
OTHER_EXTRA = re.compile(r"extra == .(?!lessons|notebook)")


def made_from(*paths: Path) -> str:
    """Return a checksum of all that a lesson's outputs depend on.

    These are the lesson, or whatever else stands in the files `paths`, what the lessons share, the
    page that one of them shows, the code of camkit, the embedded data, Python and the versions of
    the packages that camkit and the lessons require.
    """
    root = LESSONS.parent
    suffixes = (".py", ".pyi", ".js", ".css", ".mjs", ".gz")
    code = [file for file in root.glob("camkit/**/*.*") if file.suffix in suffixes]
    data = root.glob("data/**/*.*")
    digest = hashlib.sha256(sys.version.encode())
    for name in required_packages():
        digest.update(f"{name}=={version_of(name)}\n".encode())
    shared = [*sorted(LESSONS.glob("*.py")), LESSONS / "assignments/checks.py"]
    shared += [FOLDER / "blind.html", *sorted(LESSONS.glob("records/*.csv"))]
    for file in [*paths, *shared, *sorted(code), *sorted(data)]:
        if Path(file).is_file():
            digest.update(Path(file).read_bytes())
    return digest.hexdigest()


def required_packages() -> list[str]:
    """Return the names of the packages that camkit and its lessons require, in order."""
    lines = metadata.requires("camkit") or []
    needed = [line for line in lines if not OTHER_EXTRA.search(line)]
    names = {re.match(r"[\w.-]+", line)[0] for line in needed}
    return sorted(names - {"camkit"})


def version_of(package: str) -> str | None:
    """Return the installed version of a package, None where it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def read(path: Path, parameters: dict[str, str] | None = None) -> NotebookNode:
    """Return the notebook at `path` with parameters in a cell after its own, as papermill does.

    Args:
        path: The notebook, with a cell tagged `parameters` that assigns the default values.
        parameters: {name: value}; names that the notebook does not have are left out.

    Raises:
        ValueError: If parameters are given and no cell is tagged `parameters`.
    """
    notebook = nbformat.read(path, as_version=4)
    if not parameters:
        return notebook
    position = parameters_position(notebook)
    if position is None:
        name = Path(path).name
        raise ValueError(f"{name} has no cell tagged `parameters` to put {parameters} after")
    names = assigned_names(notebook.cells[position].source)
    lines = [f"{name} = {value!r}" for name, value in parameters.items() if name in names]
    if lines:
        cell = nbformat.v4.new_code_cell(
            "\n".join(lines),
            id="injected-parameters",
            metadata={"tags": ["injected-parameters"]},
        )
        notebook.cells.insert(position + 1, cell)
    return notebook


def parameters_position(notebook: NotebookNode) -> int | None:
    """Return the position of the cell tagged `parameters`, None where there is none."""
    for position, cell in enumerate(notebook.cells):
        if "parameters" in cell.metadata.get("tags", []):
            return position
    return None


def assigned_names(source: str) -> set[str]:
    """Return the names that a cell of plain assignments assigns to."""
    names = set()
    for statement in ast.parse(source).body:
        for target in getattr(statement, "targets", []):
            names.add(target.id)
    return names


def run(
    path: Path,
    parameters: dict[str, str] | None = None,
    *,
    progress: Callable[[], object] | None = None,
    timeout: int = 1800,
    threads: int | None = None,
    started: Callable[[NotebookClient], object] | None = None,
) -> NotebookNode:
    """Execute the notebook at `path` in the lessons' folder, up to its first error.

    Args:
        path: The notebook.
        parameters: As in `read`.
        progress: Called after each cell of code.
        timeout: Seconds for one cell.
        threads: Threads that the numerical libraries may use; by default as many as they like.
            A number that the environment sets already is left as it is.
        started: Called with the client once its kernel is ready, so that a caller can end it.

    Returns:
        The executed notebook. Its metadata hold `made_from`, `seconds`, `cpu_seconds` and, where
        the kernel died or a cell took too long, `stopped` with the reason.
    """
    notebook = read(path, parameters)
    notebook.metadata["made_from"] = made_from(path)
    client = NotebookClient(
        notebook,
        timeout=timeout,
        kernel_name="python3",
        resources={"metadata": {"path": str(LESSONS)}},
        # What a kernel reports of itself, such as its interruption at the end, is not the lesson's.
        extra_arguments=["--IPKernelApp.log_level=50"],
    )
    notebook.metadata["cpu_seconds"] = 0.0

    def after_cell(**_: object) -> None:
        # A kernel that has ended meanwhile has no times; then those of the cell before stand.
        with suppress(psutil.Error):
            notebook.metadata["cpu_seconds"] = round(kernel_cpu_seconds(client), 1)
        if progress:
            progress()

    client.on_cell_executed = after_cell
    if started:
        client.on_notebook_start = lambda **_: started(client)
    start = time.perf_counter()
    try:
        # An error of a cell stands among its outputs, where `problems` sees it.
        with suppress(CellExecutionError):
            client.execute(env=environment(threads))
    except (CellTimeoutError, DeadKernelError) as error:
        notebook.metadata["stopped"] = str(error)
    client.set_widgets_metadata()
    notebook.metadata["seconds"] = round(time.perf_counter() - start, 1)
    return notebook


def environment(threads: int | None) -> dict[str, str]:
    """Return the environment of a kernel that may use so many threads."""
    limits = {} if threads is None else dict.fromkeys(THREAD_VARIABLES, str(threads))
    return limits | os.environ


def kernel_cpu_seconds(client: NotebookClient) -> float:
    """Return the processor seconds of a client's kernel and of the processes that it has ended."""
    times = psutil.Process(client.km.provisioner.pid).cpu_times()
    return times.user + times.system + times.children_user + times.children_system


def problems(notebook: NotebookNode) -> list[str]:
    """Return what went wrong in an executed notebook, one line each: [] if nothing did.

    These are errors in cells, errors inside widgets, whatever a reader would see on a red
    background (standard error), and the reason why the run stopped early.
    """
    sources = []
    for cell in notebook.cells:
        if cell.cell_type == "code":
            sources.append((f"cell {cell.id}", cell.outputs))
    widgets = notebook.metadata.get("widgets", {}).get(WIDGETS, {}).get("state", {})
    for widget in widgets.values():
        sources.append(("inside a widget", widget["state"].get("outputs") or []))

    lines = []
    if "stopped" in notebook.metadata:
        lines.append(notebook.metadata["stopped"])
    for source, outputs in sources:
        for output in outputs:
            if output["output_type"] == "error":
                lines.append(f"{source}: {output['ename']}: {output['evalue']}")
            elif output["output_type"] == "stream" and output["name"] == "stderr":
                lines.append(f"{source}: on standard error: {output['text'].strip()}")
    return lines


def save(notebook: NotebookNode, name: str, folder: Path) -> Path:
    """Write an executed notebook, its page and the figures of its cells tagged `readme`.

    Args:
        notebook: The executed notebook.
        name: The file name of the lesson.
        folder: Where the files go; it is made if need be.

    Returns:
        The page.
    """
    folder.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, folder / name)
    page_file = folder / page_name(name)
    page_file.write_text(page(notebook, name), encoding="utf-8")
    for cell in notebook.cells:
        figures = png_outputs(cell)
        if "readme" in cell.metadata.get("tags", []) and figures:
            file = folder / "figures" / f"{cell.id}.png"
            file.parent.mkdir(exist_ok=True)
            file.write_bytes(base64.b64decode(figures[0]))
    return page_file


def png_outputs(cell: NotebookNode) -> list[str]:
    """Return the PNG images among a cell's outputs, in base64."""
    bundles = [output.get("data", {}) for output in cell.get("outputs", [])]
    return [bundle["image/png"] for bundle in bundles if "image/png" in bundle]
