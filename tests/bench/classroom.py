"""What grading costs a teacher: a class whose work comes from Moodle and Canvas, a tenth of it
troubled.

    make bench PARTS=classroom            30 students, 6 assignments: half an hour on 2 idle cores

The first three assignments come as Moodle's .zip file, the others as Canvas' folder, with the
tables of students of both. All answers are right, so that every point lost is lost to trouble.
"""

import codecs
import collections
import copy
import csv
import io
import itertools
import os
import random
import re
import resource
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import nbformat
from measure import ROOT, Line
from nbformat.v4 import new_code_cell, new_markdown_cell

NAMES = ROOT / "notebooks" / "assignments", ROOT / "notebooks" / "site"
LOOP = "\n    while True:\n        pass\n"
MOST_POINTS = 21
FIRST_NAMES = ("Jana", "Patrick", "Nguyễn", "Zoë", "José", "Łucja")
LAST_NAMES = ("Müller", "O'Brien", "Văn An", "de la Cruz", "王")


# --- what goes wrong. A function changes a notebook, or returns the files that were handed in.


def place(notebook, name):
    return next(n for n, cell in enumerate(notebook.cells) if cell.id == name)


def first_answer(notebook):
    return next(
        cell
        for cell in notebook.cells
        if cell.cell_type == "code" and cell.metadata.get("nbgrader", {}).get("solution")
    )


def insert_on_top(source):
    """Return what puts a cell of the student's own at the top."""
    return lambda notebook: notebook.cells.insert(1, new_code_cell(source))


def delete(*names):
    """Return what deletes cells."""

    def change(notebook):
        notebook.cells = [cell for cell in notebook.cells if cell.id not in names]

    return change


def retype_text(notebook):
    number = place(notebook, "answer")
    notebook.cells[number] = new_markdown_cell(notebook.cells[number].source)


def write_below_stub(notebook):
    number = place(notebook, "answer")
    notebook.cells.insert(number + 1, new_markdown_cell(notebook.cells[number].source))
    notebook.cells[number].source = "*Your answer here.*"


def strip_marks(notebook):
    for cell in notebook.cells:
        cell.metadata.pop("nbgrader", None)


def loop_without_end(notebook):
    cell = first_answer(notebook)
    cell.source = re.sub(r"(def \w+\(.*\):)", rf"\1{LOOP}", cell.source, count=1)


CHANGES = {
    "an endless loop": loop_without_end,
    "a text retyped": retype_text,
    "a text below its stub": write_below_stub,
    "marks stripped": strip_marks,
    "imports deleted": delete("imports", "parameters"),
    "exit() in a cell": insert_on_top("exit()"),
    "another folder": insert_on_top("%cd -q /"),
    "builtins hidden": insert_on_top("sum = max = 0\nfrom numpy import *"),
}


def zipped(name, data):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(f"my work/{name}", data)
        archive.writestr(f"__MACOSX/._{name}", b"\0\5\x16\7")
    return {name.replace(".ipynb", ".zip"): stream.getvalue()}


FILES = {
    "a .zip in the .zip": zipped,
    ".ipynb.txt": lambda name, data: {f"{name}.txt": data},
    "a byte-order mark": lambda name, data: {name: codecs.BOM_UTF8 + data},
    "UTF-16": lambda name, data: {name: data.decode().encode("utf-16")},
    "an empty file": lambda name, data: {name: b""},
    "a .pdf": lambda name, data: {name.replace(".ipynb", ".pdf"): b"%PDF-1.4"},
}
LATE = "handed in late"
# In turn, so that a small class has some of all.
TROUBLES = [
    trouble
    for kinds in itertools.zip_longest(CHANGES, [*FILES, LATE])
    for trouble in kinds
    if trouble
]
# Here there is nothing to grade.
WITHOUT_ANSWER = ("an empty file", "a .pdf")


# --- the class


def solved(release, source):
    """Return the released notebook with the instructor's answers."""
    from course import sources
    from nbgrader import utils

    instructors = nbformat.read(source, as_version=4)
    answers = {cell.id: cell.source for cell in instructors.cells if utils.is_solution(cell)}
    return sources.with_sources(nbformat.read(release, as_version=4), answers)


def files_of(notebook, name, trouble):
    """Return {file name: bytes} of what a student hands in."""
    notebook = copy.deepcopy(notebook)
    CHANGES.get(trouble, lambda notebook: None)(notebook)
    data = nbformat.writes(notebook).encode()
    return FILES.get(trouble, lambda name, data: {name: data})(f"{name}.ipynb", data)


def write_class(folder, year, count):
    """Write what both platforms hand over, and their tables of students.

    Returns:
        The .zip file, the folder, the tables, and {(student, assignment): trouble}.
    """
    pairs = itertools.product(LAST_NAMES, FIRST_NAMES)
    people = [
        (first, last, f"student{n}@example.org")
        for n, (last, first) in enumerate(itertools.islice(pairs, count))
    ]
    names = [path.stem for path in sorted(NAMES[0].glob("[1-9]-*.ipynb"))]
    work = [(login, name) for _, _, login in people for name in names]
    shuffled = random.Random(0).sample(work, max(1, len(work) // 10))
    troubles = dict(zip(shuffled, itertools.cycle(TROUBLES)))

    tables, canvas = folder / "tables", folder / "canvas"
    tables.mkdir()
    canvas.mkdir()
    write_table(
        tables / "canvas.csv",
        ["Student", "ID", "SIS Login ID", "Section"],
        [
            [f"{last}, {first}", 1000 + n, login, "A"]
            for n, (first, last, login) in enumerate(people)
        ],
    )
    with zipfile.ZipFile(folder / "moodle.zip", "w") as moodle:
        for number, name in enumerate(names):
            notebook = solved(year / "release" / name / f"{name}.ipynb", NAMES[0] / f"{name}.ipynb")
            rows = []
            for n, (first, last, login) in enumerate(people):
                trouble = troubles.get((login, name), "")
                handed_in = files_of(notebook, name, trouble)
                participant = 5000 + 100 * number + n
                rows.append([f"Participant {participant}", f"{first} {last}", login])
                late = "LATE_" if trouble == LATE else ""
                squeezed = re.sub(r"[^\w]", "", f"{last}{first}".lower())
                for file, data in handed_in.items():
                    if number < len(names) // 2:
                        owner = f"{first} {last}_{participant}_assignsubmission_file"
                        moodle.writestr(f"{name}/{owner}/{file}", data)
                    else:
                        path = canvas / f"{squeezed}_{late}{1000 + n}_{9000 + n}_{file}"
                        path.write_bytes(data)
            if number < len(names) // 2:
                headings = ["Identifier", "Full name", "Email address"]
                write_table(tables / f"{name}.csv", headings, rows)
    return folder / "moodle.zip", canvas, tables, troubles


def write_table(path, headings, rows):
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([headings, *rows])


def read_table(path):
    with open(path, newline="", encoding="utf-8-sig") as file:
        return list(csv.reader(file))


# --- grading it


def graded(year, submitted, tables):
    """Grade as a teacher does; return seconds, seconds of the cores, and what was said."""
    search_path = os.pathsep.join(map(str, [*NAMES, ROOT]))
    command = [sys.executable, "-m", "course", "--folder", str(year), "grade", str(submitted)]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    done = subprocess.run(
        [*command, "--students", str(tables)],
        env=os.environ | {"PYTHONPATH": search_path},
        capture_output=True,
        text=True,
    )
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall, cpu, done.stdout + done.stderr


def lost_points(year, troubles):
    """Yield (trouble, student, assignment, points) where a right answer has lost points."""
    headings, *rows = read_table(year / "grades.csv")
    for row in rows:
        points = dict(zip(headings, row, strict=True))
        for name in headings[4::3]:
            trouble = troubles.get((points["SIS Login ID"], name), "")
            if trouble in WITHOUT_ANSWER:
                continue
            got = float(points[name] or 0)
            # The step with the loop has no points, and no other step loses any.
            allowed = 4 if trouble == "an endless loop" else 0
            if got < MOST_POINTS - allowed:
                yield trouble, points["SIS Login ID"], name, got


def classroom(scale):
    """A class's whole work: minutes for a hundred submissions, lost points, what is left to do."""
    sys.path[:0] = map(str, NAMES)
    from course.release import release

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        year = folder / "year"
        year.mkdir()
        release(year)
        moodle, canvas, tables, troubles = write_class(folder, year, scale["class"])
        results = [graded(year, submitted, tables) for submitted in (moodle, canvas)]
        wall, cpu = (sum(result[n] for result in results) for n in (0, 1))
        count = len(list((year / "graded").glob("*/*.handed-in.json")))
        yield from costs(count, wall, cpu)
        yield from by_hand(year, results, troubles)


def costs(count, wall, cpu):
    load = os.getloadavg()[0]
    details = f"{count} submissions: {wall:.0f} s, {cpu:.0f} s of the cores, load {load:.1f}"
    yield Line("a hundred submissions, time", wall / 60 / count * 100, "", None, " min", details)
    yield Line("a hundred submissions, cores", cpu / 60 / count * 100, "", None, " min", details)


def by_hand(year, results, troubles):
    lost = list(lost_points(year, troubles))
    kinds = ", ".join(f"{kind} {n}" for kind, n in collections.Counter(troubles.values()).items())
    details = f"trouble: {kinds}; lost: {lost}"
    yield Line("submissions that lost points to trouble", len(lost), "≤", 0, "", details)
    remarks = read_table(year / "remarks.csv")[1:]
    texts = sum(bool(cell) for row in read_table(year / "grades.csv")[1:] for cell in row[6::3])
    yield Line("submissions with texts to read", texts, "", None, "", "two texts each")
    unread = [
        line.strip()
        for *_, said in results
        for line in said.splitlines()
        if ".ipynb: " in line or ".pdf: " in line
    ]
    yield Line("files to ask for", len(unread), "", None, "", "; ".join(unread))
    lines = sorted({line for _, _, line in remarks})
    yield Line("remarks to read", len(remarks), "", None, "", "; ".join(lines))
