"""What went wrong while a submission was graded, in words for its author."""

import re
import tempfile

from nbformat import NotebookNode

from course import bench, syntax
from course.limits import CUT_SHORT
from course.marks import is_given, name_cell

LONGEST_QUOTE = 300

# What nbgrader, SQLite and the system say when it is the disk that is at fault.
DISK_FULL = (
    "No space left on device|Disk quota exceeded|database or disk is full|Read-only file system"
)

# Patterns in the outputs of a cell, and what is said of the cell.
OUTCOMES = {
    "CellTimeoutError": "ran longer than a cell may and was stopped",
    "DeadKernelError": "ended the Python process that ran it (os._exit, a signal, a crash)",
    "MemoryError|Unable to allocate": "asked for more memory than grading allows",
    "StdinNotImplementedError": "asks for input(): nobody answers while you are graded, so take "
    "what you need as arguments",
    "SystemExit": "ends Python with exit(): leave that out",
    "Network is unreachable|Name or service not known|Temporary failure in name resolution"
    "|URLError": "asks for the network: there is none while you are graded",
    re.escape(CUT_SHORT): "printed without end",
    bench.LOOKED: "looks at the program that grades it, which is refused",
}


# What Python raises where a cell cannot be read.
SYNTAX_ERRORS = ("SyntaxError", "IndentationError", "TabError")

# Beginnings of lines that a cell prints and that the teacher should read.
QUOTED = (bench.REPLACED, "Your function leaves its work to")


def explain_failure(log: str, code: int) -> str:
    """Return one line for the teacher on why a grading process failed.

    Args:
        log: The log of the process.
        code: Its exit status.

    Raises:
        OSError: If the disk is at fault and no student.
    """
    disk_message = re.search(DISK_FULL, log)
    if disk_message:
        raise OSError(
            f"{disk_message[0]}, here or in {tempfile.gettempdir()}: make room and call again, "
            "nothing is lost"
        )
    # nbgrader's own last line only refers to what stands above it.
    named = re.findall(r"the given cell \S+ fails: .*", log)
    lines = named or [line for line in log.splitlines() if line.strip()]
    last_line = lines[-1].strip() if lines else "it left no message"
    return f"grading ended with code {code}: {last_line[:LONGEST_QUOTE]}"


def explain_outputs(notebook: NotebookNode) -> list[str]:
    """Return a line on each cell of a graded notebook in which something ran out or was refused."""
    lines = []
    for cell in notebook.cells:
        text = _output_text(cell)
        subject = name_cell(cell)
        if is_given(cell):
            subject += " (it calls your functions)"
        for pattern, outcome in OUTCOMES.items():
            if re.search(pattern, text):
                lines.append(f"{subject} {outcome}.")
        for line in text.splitlines():
            if line.startswith(QUOTED):
                lines.append(f"{subject}: {line}")
    return lines


def explain_syntax(cell: NotebookNode, missing: str) -> str:
    """Return a line on a syntax error in a cell that should have defined a name, "" if none is.

    Args:
        cell: A cell that has run.
        missing: The name that is not defined.
    """
    if not re.search(rf"\b{re.escape(missing)}\b", cell.source):
        return ""
    for output in cell.get("outputs", []):
        if output.get("ename") not in SYNTAX_ERRORS:
            continue
        found = re.fullmatch(r"(.*) \(.*, line (\d+)\)", output.evalue, flags=re.S)
        if not found:
            return f"{name_cell(cell)} has a syntax error: {output.evalue}"
        number = int(found[2])
        line = "".join(cell.source.splitlines()[number - 1 : number]).strip()
        return f"{name_cell(cell)} has a syntax error in line {number}, `{line}`: {found[1]}"
    return ""


def explain_order(cell: NotebookNode, missing: str) -> str:
    """Return a line on a cell that defines a name further down than it is needed, "" if not so."""
    if not syntax.defines(cell.source, missing):
        return ""
    return (
        f"{name_cell(cell)} further down defines {missing}: define it above the cell that needs "
        "it, and run all cells from the first on."
    )


def _output_text(cell: NotebookNode) -> str:
    """Return all that a cell printed, and the names and messages of its errors."""
    texts = []
    for output in cell.get("outputs", []):
        for key in ("text", "ename", "evalue"):
            texts.append(str(output.get(key, "")))
    return "".join(texts)
