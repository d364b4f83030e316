"""Grade one submission with nbgrader in this process, which `_child` has limited."""

import asyncio
import fcntl
import re
import socket
import struct
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import nbformat
from jupyter_client.manager import AsyncKernelManager
from nbclient.exceptions import DeadKernelError
from nbformat import NotebookNode
from nbgrader import utils
from nbgrader.converters import Autograde
from nbgrader.preprocessors import Execute
from traitlets import List, Unicode

from course import bench, limits, year
from course.environment import make_environment
from course.explanations import explain_order, explain_syntax
from course.limits import CUT_SHORT, PRINTED

# Linux's request to set the flags of a network device, and the flags IFF_UP and IFF_RUNNING.
SIOCSIFFLAGS = 0x8914
UP_AND_RUNNING = 0x41

# How often, in seconds, a running cell is looked after.
PULSE = 0.5

# What a cell's output says where it ran out of time, or ended the kernel.
TIMEOUT = "CellTimeoutError"
DEATH = "DeadKernelError"

# What a given cell raises where a package, memory or a file is missing.
LACKS = (
    "ImportError",
    "ModuleNotFoundError",
    "MemoryError",
    "_ArrayMemoryError",
    "OSError",
    "FileNotFoundError",
    "PermissionError",
)


class KernelManager(AsyncKernelManager):
    """A manager that starts this course's own kernel."""

    command = List(Unicode())

    def format_kernel_cmd(self, extra_arguments: list[str] | None = None) -> list[str]:
        """Return the command of the kernel, whatever the notebook's metadata name."""
        return [*self.command, "-f", self.connection_file, *(extra_arguments or [])]


class IsolatedExecute(Execute):
    """nbgrader's Execute, in which a cell that goes wrong takes nothing with it but itself.

    Cells run in an empty temporary folder, with checks.py, the student's own modules and no
    notebook, and in an environment of their own. A cell that computes for too long is interrupted.
    One that ends the kernel, or cannot be interrupted, is left out: a new kernel runs the cells
    before it again.
    """

    def preprocess(self, nb: NotebookNode, resources: dict, *args, **kwargs):
        """Execute the notebook in a folder of its own."""
        self.printed = {}
        self.left_out = set()
        self.ran_out = 0
        self.kernel_manager_class = KernelManager
        # How long the kernel may take to send what a cell has printed, on a busy machine, too.
        self.iopub_timeout = limits.SECONDS
        self.startup_timeout = limits.SECONDS
        with tempfile.TemporaryDirectory() as folder:
            self.environment = make_environment(Path(folder), [self.year_folder], self.modules)
            resources["metadata"]["path"] = str(self.environment.room)
            return super().preprocess(nb, resources, *args, **kwargs)

    def create_kernel_manager(self) -> KernelManager:
        """Return a manager of this course's kernel."""
        self.kernel_name = "python3"
        self.km = KernelManager(command=self.environment.command, config=self.config)
        return self.km

    def start_new_kernel(self, **kwargs) -> None:
        """Start the kernel with the variables of its environment."""
        cells = [cell for cell in self.nb.cells if cell.cell_type == "code"]
        tests = [cell.source for cell in cells if utils.is_grade(cell)]
        names = " ".join(bench.imported_by(tests))
        variables = self.environment.variables | {bench.IMPORTS_VARIABLE: names}
        super().start_new_kernel(env=variables, **kwargs)

    def preprocess_cell(self, cell: NotebookNode, resources: dict, index: int):
        """Execute a cell, as what it is."""
        if cell.cell_type == "code" and cell.source.strip():
            if not self._run(cell, index):
                self._start_again(index)
            if _lacks_something(cell):
                self._run_afresh(cell, index)
            if utils.is_grade(cell):
                _explain_missing_name(cell, self.nb.cells[:index], self.nb.cells[index + 1 :])
        return cell, resources

    def _run(self, cell: NotebookNode, index: int) -> bool:
        """Execute a cell and return whether the kernel is alive; if not, the cell is left out."""
        source = cell.source
        self.current = cell
        self.is_out_of_time = False
        cell.source = f"{_kind(cell)}\n{source}"
        alive = True
        try:
            self.execute_cell(cell, index, store_history=not utils.is_grade(cell))
        except DeadKernelError:
            alive = False
            self.left_out.add(index)
        finally:
            cell.source = source
        if self.is_out_of_time:
            self.ran_out += 1
            self.left_out.add(index)
            _replace_error(cell, TIMEOUT)
        elif not alive:
            _replace_error(cell, DEATH)
        if utils.is_grade(cell):
            _keep_last_result(cell)
        return alive

    def _start_again(self, index: int) -> None:
        """Start a new kernel and run the cells before `index` that are no tests once more."""
        self._cleanup_kernel()
        self.create_kernel_manager()
        self.start_new_kernel()
        self.start_new_kernel_client()
        for number, cell in enumerate(self.nb.cells[:index]):
            again = cell.cell_type == "code" and cell.source.strip() and not utils.is_grade(cell)
            if not again or number in self.left_out:
                continue
            if not self._run(nbformat.from_dict(cell), number):
                self._start_again(index)
                return

    def _run_afresh(self, cell: NotebookNode, index: int) -> None:
        """Execute a given cell that lacks something in a new kernel, in case memory was full.

        If it lacks something there, too, it is tried without the student's cells.

        Raises:
            RuntimeError: If it lacks something without any answer, too: no student is at fault.
        """
        left_out = set(self.left_out)
        self._run_in_new_kernel(cell, index)
        if not _lacks_something(cell):
            return
        own = (
            number for number, one in enumerate(self.nb.cells[:index]) if _kind(one) == bench.OWN
        )
        self.left_out.update(own)
        self._run_in_new_kernel(cell, index)
        check_machine(cell)
        if _errors(cell):
            # It needs the answers, and it is they that lack something.
            self.left_out = left_out
            self._run_in_new_kernel(cell, index)

    def _run_in_new_kernel(self, cell: NotebookNode, index: int) -> None:
        """Start a new kernel, run the cells before `index` and then this one."""
        self._start_again(index)
        if not self._run(cell, index):
            self._start_again(index)

    async def _async_poll_kernel_alive(self) -> None:
        """Watch the kernel while it runs a cell; interrupt it when the cell's time is over."""
        seconds = float(self.timeout)
        if self.ran_out >= limits.PATIENCE and not utils.is_grade(self.current):
            seconds *= limits.IMPATIENCE
        clock = Clock(self.km.provisioner.pid)
        try:
            while await self.km.is_alive():
                await asyncio.sleep(PULSE)
                if not clock.is_over(seconds):
                    continue
                if self.is_out_of_time:
                    await self.km.shutdown_kernel(now=True)
                    break
                self.is_out_of_time = True
                await self.km.interrupt_kernel()
                clock = Clock(self.km.provisioner.pid)
                seconds = limits.GRACE
        finally:
            # Where a reply has come, this changes nothing; else there will be none.
            self.task_poll_for_reply.cancel()

    def _get_timeout(self, cell: NotebookNode | None) -> None:
        """Leave the time to `_async_poll_kernel_alive`."""

    def process_message(self, msg: dict, cell: NotebookNode, cell_index: int):
        """Keep at most PRINTED characters of what a cell prints."""
        if msg["msg_type"] == "stream" and not self._keep_output(msg["content"], cell_index):
            return None
        return super().process_message(msg, cell, cell_index)

    def _keep_output(self, content: dict, cell_index: int) -> bool:
        """Return whether a printed piece is kept; the piece that exceeds the limit is cut short."""
        before = self.printed.get(cell_index, 0)
        after = before + len(content["text"])
        self.printed[cell_index] = after
        if before > PRINTED:
            return False
        if after > PRINTED:
            content["text"] = f"{content['text'][:PRINTED]}\n{CUT_SHORT}\n"
        return True


class Clock:
    """The time that a process has taken since this was made.

    Args:
        pid: The number of the process.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.start = time.monotonic()
        self.start_of_computing = _seconds_of_computing(pid)

    def is_over(self, seconds: float) -> bool:
        """Return whether the process has computed so long, or waited several times as long."""
        computed = _seconds_of_computing(self.pid) - self.start_of_computing
        waited = time.monotonic() - self.start
        return computed > seconds or waited > limits.CLOCK * seconds


def _seconds_of_computing(pid: int) -> float:
    """Return for how many seconds a process has computed, 0 if it has ended.

    Where processes have numbers of their own, as in isolation, /proc has others: the clock of a
    process is asked, whose number is made as in Linux's `clock_getcpuclockid`.
    """
    if hasattr(time, "CLOCK_BOOTTIME"):
        with suppress(OSError):
            return time.clock_gettime(~pid << 3 | 2)
        return 0.0
    import psutil

    with suppress(psutil.Error):
        return sum(psutil.Process(pid).cpu_times()[:2])
    return 0.0


def _kind(cell: NotebookNode) -> str:
    """Return the line that tells the kernel what a cell is."""
    if utils.is_grade(cell):
        return bench.TEST
    return bench.GIVEN if utils.is_locked(cell) else bench.OWN


def _replace_error(cell: NotebookNode, name: str) -> None:
    """Put an error of this name in the place of a cell's errors."""
    kept = [output for output in cell.outputs if output.output_type != "error"]
    error = nbformat.v4.new_output("error", ename=name, evalue="", traceback=[name])
    cell.outputs = [*kept, error]


def _keep_last_result(cell: NotebookNode) -> None:
    """Leave of a test's results the last, and none beside an error.

    nbgrader reads the first output that is a result or an error, and an answer may show a result.
    """
    results = [output for output in cell.outputs if output.output_type == "execute_result"]
    dropped = results if _errors(cell) else results[:-1]
    cell.outputs = [output for output in cell.outputs if output not in dropped]


def check_machine(cell: NotebookNode) -> None:
    """Raise RuntimeError if a given cell lacks a package, memory or a file."""
    if _lacks_something(cell):
        raise RuntimeError(f"the given cell {cell.id} fails: {_errors(cell)[0].evalue}")


def _lacks_something(cell: NotebookNode) -> bool:
    """Return whether a given cell has failed for want of a package, of memory or of a file."""
    return _kind(cell) == bench.GIVEN and any(one.ename in LACKS for one in _errors(cell))


def _errors(cell: NotebookNode) -> list[NotebookNode]:
    """Return the errors among the outputs of a cell."""
    return [output for output in cell.outputs if output.output_type == "error"]


def _explain_missing_name(
    test: NotebookNode, above: list[NotebookNode], below: list[NotebookNode]
) -> None:
    """Say of a name that a test misses if a cell above cannot be read, or one below defines it."""
    for error in _errors(test):
        missing = re.search(r"name '(\w+)' is not defined", error.evalue)
        if error.ename != "NameError" or not missing:
            continue
        lines = [explain_order(cell, missing[1]) for cell in below if cell.cell_type == "code"]
        lines += [explain_syntax(cell, missing[1]) for cell in above if cell.cell_type == "code"]
        found = [line for line in lines if line]
        if found:
            error.update(ename="Mistake", evalue=found[-1], traceback=[found[-1]])


def autograde(folder: str, assignment: str, student: str) -> bool:
    """Grade a submission, print nbgrader's log, and return whether it could be graded."""
    _start_loopback()
    api = year.nbgrader_api(Path(folder))
    api.coursedir.submitted_directory = year.TIDIED
    api.config.Autograde.autograde_preprocessors = _preprocessors()
    IsolatedExecute.year_folder = Path(folder)
    IsolatedExecute.modules = year.module_paths(Path(folder), assignment, student)
    result = api.autograde(assignment, student, force=True, create=True)
    print(result.get("log", ""), result.get("error", ""))
    return result["success"]


def _preprocessors() -> list[type]:
    """Return nbgrader's steps of grading, with IsolatedExecute in place of Execute."""
    default_steps = Autograde.autograde_preprocessors.default_args[0]
    return [IsolatedExecute if step is Execute else step for step in default_steps]


def _start_loopback() -> None:
    """Start the loopback device, over which kernels are talked to.

    It is down where this process has a network namespace of its own; elsewhere nothing happens.
    """
    request = struct.pack("16sh", b"lo", UP_AND_RUNNING)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as device, suppress(OSError):
        fcntl.ioctl(device, SIOCSIFFLAGS, request)
