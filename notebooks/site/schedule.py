"""Run the lessons and write their pages: python notebooks/site [--dataset ...] [names ...]

The front page comes first, with a playground for the minutes that the lessons take.

Each lesson's parameters cell says which images and which backbone it works on. What is given on the
command line goes into a cell after it. Two lessons run at a time where there are two cores. The
core of the course comes first, then the lesson that takes longest, so that both cores end at about
the same time. Everything that went wrong is listed at the end and fails the run.
"""

import argparse
import os
import re
import subprocess
import sys
import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import run
from nbclient import NotebookClient
from nbformat import NotebookNode
from pages import CORE, number
from tqdm import tqdm

# Two kernels with TensorFlow fit into the memory of any laptop; more may not.
LESSONS_AT_A_TIME = 2

# What stands in the code of a lesson that uses the model which several share.
SHARED = ("shared_model(", "../build/analysis")

# The lesson that makes this model anew, whatever lies there.
MAKER = "02"

# Every lesson says in its first cell how long it takes.
STATED_SECONDS = re.compile(r"about (\d+) seconds for a 2-core CPU")


@dataclass
class Lesson:
    """A lesson that is to run: its file and what the schedule needs to know of it."""

    path: Path
    cells: int
    seconds: float
    shares_model: bool

    @classmethod
    def read(cls, path: Path, parameters: dict[str, str] | None) -> "Lesson":
        """Return the lesson at `path`."""
        notebook = run.read(path, parameters)
        code = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
        return cls(
            path=path,
            cells=len(code),
            seconds=stated_seconds(notebook),
            shares_model=any(name in source for source in code for name in SHARED),
        )


class Schedule:
    """The lessons of one run: which may begin, which run, and how much is left.

    Of the lessons that share a model, lesson 2 or else the first one makes it, and the others wait
    for that one.

    Args:
        lessons: The lessons that are to run.
        at_a_time: How many of them run at once.
    """

    def __init__(self, lessons: list[Lesson], at_a_time: int) -> None:
        self.waiting = in_order(lessons)
        sharing = [lesson for lesson in self.waiting if lesson.shares_model]
        sharing.sort(key=lambda lesson: number(lesson.path.name) != MAKER)
        self.maker = sharing[0] if sharing else None
        self.at_a_time = at_a_time
        self.running: list[Lesson] = []
        self.ended: list[Lesson] = []
        # What the lessons that have ended state, and what they took.
        self.stated = 0.0
        self.measured = 0.0

    def begin_next(self) -> Lesson | None:
        """Move the next lesson that may begin to those that run, and return it."""
        if len(self.running) == self.at_a_time:
            return None
        for lesson in self.waiting:
            if self.may_begin(lesson):
                self.waiting.remove(lesson)
                self.running.append(lesson)
                return lesson
        return None

    def may_begin(self, lesson: Lesson) -> bool:
        """Return whether the model that the lesson reads, if it reads one, has been made."""
        if not lesson.shares_model or lesson is self.maker:
            return True
        return self.maker in self.ended

    def end(self, lesson: Lesson) -> None:
        """Note that a lesson has ended, however it did."""
        self.running.remove(lesson)
        self.ended.append(lesson)

    def compare(self, lesson: Lesson, seconds: float) -> None:
        """Note how long a lesson took, beside what it states."""
        self.stated += lesson.seconds
        self.measured += seconds

    def seconds_left(self) -> float:
        """Return an estimate, from what the lessons state and how true that was so far."""
        pace = self.measured / self.stated if self.stated else 1.0
        ahead = sum(lesson.seconds for lesson in self.waiting)
        # On average, half of a lesson that runs is done.
        ahead += sum(lesson.seconds for lesson in self.running) / 2
        return pace * ahead / self.at_a_time

    def what_is_left(self) -> str:
        """Return how many lessons are left and for about how long, in words."""
        left = len(self.waiting) + len(self.running)
        if left == 0:
            return "no lesson left"
        lessons = "1 lesson" if left == 1 else f"{left} lessons"
        return f"{lessons} left, about {self.seconds_left():.0f} s"


def in_order(lessons: list[Lesson]) -> list[Lesson]:
    """Return the lessons in the order in which they begin: the core, then the longest first."""
    core = [lesson for lesson in lessons if number(lesson.path.name) in CORE]
    others = [lesson for lesson in lessons if lesson not in core]
    core.sort(key=lambda lesson: CORE.index(number(lesson.path.name)))
    others.sort(key=lambda lesson: lesson.seconds, reverse=True)
    return core + others


def stated_seconds(notebook: NotebookNode) -> float:
    """Return the seconds that a lesson says it takes, 30 where it says nothing."""
    match = STATED_SECONDS.search(notebook.cells[0].source)
    return float(match[1]) if match else 30.0


def cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Series:
    """One run of many lessons, with their pages, the reference and the search.

    Args:
        paths: The lessons.
        parameters: As in `run.read`.
        folder: Where the pages go.
        at_a_time: How many lessons may run at once. They share the cores.
    """

    def __init__(
        self,
        paths: list[Path],
        parameters: dict[str, str] | None,
        folder: Path,
        at_a_time: int = LESSONS_AT_A_TIME,
    ) -> None:
        lessons = [Lesson.read(path, parameters) for path in paths]
        self.parameters = parameters
        self.folder = folder
        self.at_a_time = min(at_a_time, cores(), len(lessons))
        self.schedule = Schedule(lessons, self.at_a_time)
        self.futures: dict[Future, Lesson] = {}
        self.reference: Future | None = None
        self.clients: list[NotebookClient] = []
        self.failures: list[str] = []
        # The bar shows itself in a terminal alone; the lines are for terminals and for logs.
        cells = sum(lesson.cells for lesson in lessons)
        self.bar = tqdm(total=cells, unit="cell", disable=None, leave=False)

    def run(self) -> list[str]:
        """Run everything and return what went wrong, a line each."""
        with self.bar, ThreadPoolExecutor(self.at_a_time) as pool:
            self.bar.write(f"{self.schedule.what_is_left()}, {self.at_a_time} at a time")
            try:
                self.begin_lessons(pool)
                while self.futures:
                    self.end_lessons(pool)
                self.end_reference()
            except KeyboardInterrupt:
                self.kill_kernels()
                raise
        return self.failures

    def begin_lessons(self, pool: ThreadPoolExecutor) -> None:
        """Begin as many lessons as there is room for, and behind the last one the reference."""
        while lesson := self.schedule.begin_next():
            future = pool.submit(
                run.run,
                lesson.path,
                self.parameters,
                progress=self.bar.update,
                threads=max(1, cores() // self.at_a_time),
                started=self.clients.append,
            )
            self.futures[future] = lesson
        if self.reference is None and not self.schedule.waiting:
            self.reference = pool.submit(write_reference, self.folder)
        names = [lesson.path.stem for lesson in self.schedule.running]
        self.bar.set_description(", ".join(names))

    def end_lessons(self, pool: ThreadPoolExecutor) -> None:
        """Wait until a lesson ends, begin the next one, and meanwhile write the page."""
        done, _ = wait(self.futures, return_when=FIRST_COMPLETED)
        ended = {future: self.futures.pop(future) for future in done}
        for lesson in ended.values():
            self.schedule.end(lesson)
        self.begin_lessons(pool)
        for future, lesson in ended.items():
            # Whatever happens to one lesson, the others go on, and the end of the run lists it.
            try:
                self.write_page(lesson, future.result())
            except Exception as error:
                name = lesson.path.name
                self.failures.append(f"{name}, {type(error).__name__}: {error}")
                self.bar.write(f"  failed  {name}  ({self.schedule.what_is_left()})")

    def write_page(self, lesson: Lesson, notebook: NotebookNode) -> None:
        """Write the page of a lesson that has run, note its problems, and print where it is."""
        name = lesson.path.name
        seconds = notebook.metadata["seconds"]
        self.failures += [f"{name}, {problem}" for problem in run.problems(notebook)]
        self.schedule.compare(lesson, seconds)
        page = run.save(notebook, name, self.folder)
        self.bar.write(f"{seconds:6.1f} s  {page}  ({self.schedule.what_is_left()})")

    def end_reference(self) -> None:
        """Wait for the reference and the search."""
        try:
            self.reference.result()
        except Exception as error:
            self.failures.append(f"reference, {type(error).__name__}: {error}")

    def kill_kernels(self) -> None:
        """End the kernels that run; lessons that have not begun do not begin."""
        pending = [future for future in self.futures if not future.cancel()]
        # A kernel that is just starting joins the clients in a moment.
        while not all(future.done() for future in pending):
            for client in list(self.clients):
                # A client whose lesson has ended has no kernel any more.
                with suppress(AttributeError, OSError):
                    client.km.provisioner.process.kill()
            time.sleep(0.1)


def write_front(folder: Path) -> list[str]:
    """Write the front page and its playground; return what went wrong, a line each.

    A process of its own loads Keras, so that its memory is free when the lessons run.
    """
    command = [sys.executable, str(Path(__file__).with_name("front.py")), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False)
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        return [f"front page, {lines[-1]}"]
    page = folder / "index.html"
    print(f"{page} is ready: play while the lessons run ({page.as_uri()})")
    return []


def write_reference(folder: Path) -> None:
    """Write the rest of the site into `folder`: the reference and the search page."""
    # It loads camkit, which the lessons have in their own processes.
    import reference

    reference.write(folder)


def read_options() -> argparse.Namespace:
    """Return what the command line asks for."""
    parser = argparse.ArgumentParser(description="Run the lessons and write their pages.")
    for name, default in run.DEFAULTS.items():
        parser.add_argument(f"--{name.lower()}", default=default, help=f"default: {default!r}")
    parser.add_argument(
        "--out",
        help="the folder for the pages; default: build, and build/DATASET-BACKBONE for others",
    )
    parser.add_argument(
        "--at-a-time",
        type=int,
        default=LESSONS_AT_A_TIME,
        help="how many lessons run at once, where there are cores; default: %(default)s",
    )
    parser.add_argument(
        "names",
        nargs="*",
        help="the lessons to run, by the start of their names; default: all",
    )
    return parser.parse_args()


def changed_parameters(options: argparse.Namespace) -> dict[str, str]:
    """Return the parameters that differ from the defaults.

    Paths are made absolute, since the lessons run in their own folder; a name that is no path here
    stays a name.
    """
    parameters = {}
    for name, default in run.DEFAULTS.items():
        value = getattr(options, name.lower())
        may_be_path = name != "BACKBONE" and value != default
        if may_be_path and ("/" in value or "\\" in value or Path(value).exists()):
            value = str(Path(value).expanduser().resolve())
        if value != default:
            parameters[name] = value
    return parameters


def pages_folder(options: argparse.Namespace, parameters: dict[str, str]) -> Path:
    """Return the folder that the pages go to."""
    build = run.LESSONS.parent / "build"
    if options.out:
        return Path(options.out).resolve()
    if not parameters:
        return build
    chosen = run.DEFAULTS | parameters
    return build / f"{Path(chosen['DATASET']).name}-{chosen['BACKBONE']}"


def main() -> None:
    """Run the lessons that the command line names; exit with a list of all problems, if any."""
    options = read_options()
    parameters = changed_parameters(options)
    names = tuple(options.names or [""])
    paths = [path for path in sorted(run.LESSONS.glob("*.ipynb")) if path.name.startswith(names)]
    if not paths:
        sys.exit(
            f"no lesson in {run.LESSONS} starts with {' or '.join(options.names) or 'anything'}"
        )
    # Lines reach a log when they are written, not when a buffer is full.
    sys.stdout.reconfigure(line_buffering=True)

    folder = pages_folder(options, parameters)
    try:
        failures = write_front(folder)
        failures += Series(paths, parameters, folder, options.at_a_time).run()
    except KeyboardInterrupt:
        sys.exit("stopped; the pages that are there stay")
    if failures:
        count = "1 problem:" if len(failures) == 1 else f"{len(failures)} problems:"
        sys.exit("\n".join(["", count, *failures]))
