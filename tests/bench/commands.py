"""What the lessons and the two commands of the README cost, in this checkout and in another one
beside it.

Seconds differ from machine to machine, and on one machine from hour to hour. So a fixed matrix
product is timed beside each run, on one thread, and what is told is the ratio of both: of the time
that passed, and of the cores' time together.
"""

import os
import resource
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
from measure import ROOT, Line
from threadpoolctl import threadpool_limits

SIDE = 2000
ROUNDS = 3


def product():
    """Return (seconds, seconds of the core) of a fixed matrix product on one thread: the least of a
    few.
    """
    matrix = np.random.default_rng(0).normal(size=(SIDE, SIDE))
    walls = []
    cpus = []
    with threadpool_limits(1):
        for _ in range(ROUNDS):
            start = time.perf_counter()
            cpu_start = time.process_time()
            matrix @ matrix
            cpus.append(time.process_time() - cpu_start)
            walls.append(time.perf_counter() - start)
    return min(walls), min(cpus)


def timed(command, folder):
    """Return (seconds, seconds of the cores together) of a command and all that it starts."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    finished = subprocess.run(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if finished.returncode:
        output = finished.stdout.decode(errors="replace")
        raise RuntimeError(f"{' '.join(command)} failed in {folder}:\n{output[-3000:]}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall, cpu


def compared(name, commands):
    """Yield the lines of one thing: `commands` has [(checkout, command)], this checkout first."""
    results = []
    for folder, command in commands:
        before = product()
        wall, cpu = timed(command, folder)
        after = product()
        unit = (before[0] + after[0]) / 2
        cpu_unit = (before[1] + after[1]) / 2
        results.append((wall / unit, cpu / cpu_unit))
        where = "here" if folder == ROOT else str(folder)
        details = f"{where}: {wall:.1f} s, {cpu:.1f} s of the cores; the product {unit:.2f} s"
        yield Line(f"{name}, time", wall / unit, "", None, "×", details)
        yield Line(f"{name}, time of the cores", cpu / cpu_unit, "", None, "×", details)
    if len(results) == 2:
        (wall, cpu), (other_wall, other_cpu) = results
        details = f"time of the cores {cpu / other_cpu:.2f}×"
        yield Line(f"{name}, here / there", wall / other_wall, "", None, "×", details)


def runner(checkout):
    """Return the program that runs lessons in a checkout: a folder, or the one file of version
    1.0.0.
    """
    site = checkout / "notebooks" / "site"
    return site if site.is_dir() else checkout / "notebooks" / "run.py"


def checkouts(scale):
    """Return this checkout, and the one that it is compared with, if there is one."""
    other = scale.get("other")
    return [ROOT, Path(other).resolve()] if other else [ROOT]


def lessons(scale):
    """Each lesson, in order, since lesson 2 makes the model that others read. Pages go to a
    temporary folder.
    """
    names = [path.stem for path in sorted((ROOT / "notebooks").glob("*.ipynb"))]
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            commands = []
            for number, checkout in enumerate(checkouts(scale)):
                python = str(checkout / ".venv" / "bin" / "python")
                pages = os.path.join(folder, str(number))
                commands.append((checkout, [python, str(runner(checkout)), "--out", pages, name]))
            yield from compared(name, commands)


def commands(scale):
    """`make notebooks` and `make test`, in each checkout from an empty build/, which is put back
    afterwards.
    """
    for command in ("notebooks", "test"):
        for checkout in checkouts(scale):
            set_aside(checkout)
        try:
            yield from compared(
                f"make {command}", [(folder, ["make", command]) for folder in checkouts(scale)]
            )
        finally:
            for checkout in checkouts(scale):
                put_back(checkout)


def set_aside(checkout):
    """Move build/ away, so that nothing in it spares a command its work."""
    build = checkout / "build"
    if build.exists():
        build.rename(checkout / "build-set-aside")


def put_back(checkout):
    """Undo `set_aside`, and remove what the command has left."""
    aside = checkout / "build-set-aside"
    if aside.exists():
        shutil.rmtree(checkout / "build", ignore_errors=True)
        aside.rename(checkout / "build")
