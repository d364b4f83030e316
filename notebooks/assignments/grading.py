"""Grades what students hand in, each submission in a process with limits: whatever happens there is a line, no more.

`python grading.py FOLDER ASSIGNMENT STUDENT` is such a process; course.py calls `grade` for all.
"""

import csv
import fcntl
import hashlib
import io
import json
import os
import re
import resource
import secrets
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import course
import feedback
import nbformat
import submissions
from nbgrader.api import Gradebook, MissingEntry
from nbgrader.converters import Autograde
from nbgrader.preprocessors import Execute
from tqdm import tqdm

from camkit._files import write_whole
from camkit.atlas.verdicts import FORMULA

SECONDS, CPU_SECONDS = (
    600,
    180,
)  # for a whole submission: on the clock, and of computing in one process
MEMORY, FILE = (
    6 << 30,
    64 << 20,
)  # bytes that a process may map (TensorFlow maps 3 GiB); of a file it writes
TIDIED = "handed-in"  # the folder of what nbgrader grades: what was handed in, tidied
ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS"), "1"
)  # two run
PRINTED = 200_000  # characters that a cell may print


class Apart(Execute):
    """nbgrader's Execute in an empty room: its folder holds what is handed out and no notebook, and floods end."""

    def preprocess(self, nb, resources, *args, **kwargs):
        self.printed = {}
        with tempfile.TemporaryDirectory() as room:
            shutil.copy(course.HERE / "checks.py", room)
            resources["metadata"]["path"] = room
            return super().preprocess(nb, resources, *args, **kwargs)

    def process_message(self, msg, cell, cell_index):
        if msg["msg_type"] == "stream":
            before = self.printed.get(cell_index, 0)
            self.printed[cell_index] = before + len(msg["content"]["text"])
            if before > PRINTED:
                return None
            if self.printed[cell_index] > PRINTED:
                msg["content"]["text"] = f"{msg['content']['text'][:PRINTED]}\n{FLOOD}\n"
        return super().process_message(msg, cell, cell_index)


def grade_here(folder, assignment, student):
    """Grades one submission in this process; exits with 0, or with 1 and nbgrader's log."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as plug, suppress(OSError):
        # Where this process has a network of its own, its loopback device is down, over which kernels are talked to.
        fcntl.ioctl(
            plug, 0x8914, struct.pack("16sh", b"lo", 0x41)
        )  # SIOCSIFFLAGS: IFF_UP | IFF_RUNNING
    nbgrader = course.api(folder)
    nbgrader.coursedir.submitted_directory = TIDIED
    steps = Autograde.autograde_preprocessors.default_args[0]
    nbgrader.config.Autograde.autograde_preprocessors = [
        Apart if step is Execute else step for step in steps
    ]
    told = nbgrader.autograde(assignment, student, force=True, create=True)
    print(told.get("log", ""), told.get("error", ""))
    sys.exit(not told["success"])


def alone():
    """The command that runs another without network, whose processes end with it, and it with us; [] without one."""
    command = [
        "setpriv",
        "--pdeathsig",
        "KILL",
        "unshare",
        "--map-root-user",
        "--net",
        "--pid",
        "--fork",
        "--kill-child",
    ]
    with suppress(FileNotFoundError):
        if subprocess.run([*command, "true"], capture_output=True).returncode == 0:
            return command
    return []


def limits():
    """Sets what this process and its children may use."""
    for kind, most in (
        (resource.RLIMIT_AS, MEMORY),
        (resource.RLIMIT_FSIZE, FILE),
        (resource.RLIMIT_CPU, CPU_SECONDS),
    ):
        with suppress(ValueError, OSError):  # macOS knows no limit of memory
            resource.setrlimit(kind, (most, most))


def grade_one(folder, assignment, student):
    """Why the submission could not be graded, a line for the student; "" where it was. Its processes are ended."""
    log = Path(folder) / "logs" / student / f"{assignment}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [*alone(), sys.executable, __file__, str(folder), assignment, student]
    with open(log, "wb") as file:  # a file, which a limit holds small
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            env=os.environ | ONE_THREAD,
            start_new_session=True,
            preexec_fn=limits,
        )
        try:
            code = child.wait(SECONDS)
        except subprocess.TimeoutExpired:
            return f"Your notebook was still running after {SECONDS} seconds and was stopped."
        finally:
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
    return reason(log.read_text(encoding="utf-8", errors="replace"), code) if code else ""


REASONS = {
    "DeadKernelError|Kernel died": "Your notebook ended the Python process that runs it (os._exit, a signal, a crash), "
    "so that nothing could be graded.",
    "CellTimeoutError": "A cell ran longer than a cell may, and nothing could interrupt it.",
    "MemoryError": "Your notebook stored more than the memory there is.",
    "ValidationError|KeyError": "The notebook's cells lack the marks that they were handed out with: start from the "
    "released notebook and copy your answers into it.",
}


FULL = "No space left on device|Disk quota exceeded|database or disk is full|Read-only file system"


def reason(log, code):
    """One line for the student out of nbgrader's log. Raises OSError where the disk is at fault and no student."""
    if found := re.search(FULL, log):
        raise OSError(
            f"{found[0]}, here or in {tempfile.gettempdir()}: make room and call again, nothing is lost"
        )
    for pattern, line in REASONS.items():
        if re.search(pattern, log):
            return line
    last = log.strip().splitlines()[-1:] or ["it left no message"]
    return f"Grading ended with code {code}: {last[0][:300]}"


FLOOD = "Here more was printed than is kept."
TOLD = {
    "CellTimeoutError": "ran longer than a cell may and was stopped",
    "MemoryError|Unable to allocate": "asked for more memory than there is",
    "SystemExit": "ends Python by exit(): leave that out",
    "Network is unreachable|Name or service not known|Temporary failure in name resolution|URLError": "asks for the network: while you are graded there is none",
    re.escape(FLOOD): "printed without end",
}


def happened(notebook):
    """[a line on each cell of a graded notebook in which something ran out or was refused]."""
    lines = []
    for cell in notebook.cells:
        outputs = cell.get("outputs", [])
        text = "".join(
            str(output.get(key, "")) for output in outputs for key in ("text", "ename", "evalue")
        )
        place = (
            f"The cell {submissions.mark(cell)['grade_id']}"
            if submissions.mark(cell)
            else "A cell of yours"
        )
        lines += [f"{place} {line}." for pattern, line in TOLD.items() if re.search(pattern, text)]
    return lines


def zero(folder, assignment, student):
    """Writes zero points into the gradebook for all of a submission, and takes away what an earlier one left."""
    shutil.rmtree(Path(folder) / "autograded" / student / assignment, ignore_errors=True)
    with Gradebook(course.database(folder), "camkit") as book:
        book.update_or_create_student(student)
        book.update_or_create_submission(assignment, student)
        for notebook in book.find_assignment(assignment).notebooks:
            for grade in book.find_submission_notebook(notebook.name, assignment, student).grades:
                grade.auto_score, grade.manual_score, grade.needs_manual_grade = 0, None, False
        book.db.commit()


def points(folder, assignment, student):
    """{cell: (points or None where a person has to give them, most points, comment)} of a graded submission."""
    with Gradebook(course.database(folder), "camkit") as book:
        (notebook,) = book.find_submission(assignment, student).notebooks
        comments = {comment.name: comment.comment for comment in notebook.comments}
        return {
            grade.name: (
                grade.auto_score if grade.manual_score is None else grade.manual_score,
                grade.max_score,
                comments.get(grade.name) or "",
            )
            for grade in notebook.grades
        }


def graded(folder, released, student, name, notebook, told):
    """Grades one submission, if it has changed since it was graded, and writes its feedback."""
    record = record_of(folder, student, name)
    text = nbformat.writes(notebook) if notebook else ""
    digest = hashlib.sha256(f"{text}{nbformat.writes(released)}{told}".encode()).hexdigest()
    known = json.loads(record.read_text(encoding="utf-8")) if record.exists() else {}
    if known.get("digest") != digest:
        why = "It cannot be graded."
        if notebook:
            path = folder / TIDIED / student / name / f"{name}.ipynb"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            why = grade_one(folder, name, student)
        if why:
            course.takes_files(folder)
            zero(folder, name, student)
            told = [*told, f"{why} That is 0 points."]
        else:
            path = folder / "autograded" / student / name / f"{name}.ipynb"
            told = told + happened(nbformat.read(path, as_version=4))
        known = {"digest": digest, "told": told}
    now = {cell: list(row) for cell, row in points(folder, name, student).items()}
    if known.get("points") != now:  # graded now, or since by hand
        feedback.write(folder, name, student, released, now, known["told"])
        record.parent.mkdir(parents=True, exist_ok=True)
        write_whole(record, json.dumps(known | {"points": now}).encode())


def record_of(folder, student, name):
    """The file that says that a submission is graded: a checksum of it, what is to be told, the points of each cell."""
    return folder / "graded" / student / f"{name}.json"


def grade(folder, submitted, workers=2):
    """Grades all of submitted/STUDENT/…ipynb into gradebook.db, feedback/, grades.csv and remarks.csv.

    What has been graded stays so: a run that was stopped goes on, a submission that changed is graded anew, and what
    was graded from another folder keeps its rows. A second process waits for the first.
    """
    folder, jobs, unknown = Path(folder).resolve(), [], []
    with course.turn(folder):
        released = sorted((folder / "release").glob("*/*.ipynb"))
        released = {path.stem: nbformat.read(path, as_version=4) for path in released}
        folders = [
            path
            for path in Path(submitted).iterdir()
            if path.is_dir() and not path.name.startswith(".")
        ]
        students = [path for path in folders if path.name == submissions.name_of(path)]
        unknown += [
            (submissions.name_of(path), "", "The name of this folder is no text: rename it.")
            for path in folders
            if path not in students
        ]
        for student in sorted(students):
            found, lines = submissions.read(student, released)
            unknown += [(student.name, "", line) for line in lines]
            jobs += [
                (folder, released[name], student.name, name, *one) for name, one in found.items()
            ]
        with (
            ThreadPoolExecutor(workers) as pool,
            tqdm(total=len(jobs), unit="submission", disable=None) as bar,
        ):
            for _ in pool.map(lambda job: graded(*job), jobs):
                bar.update()
        for _, _, student, name, *_ in jobs:
            hand_back(Path(submitted) / student / name, folder / "feedback" / student / name)
        with Gradebook(course.database(folder), "camkit") as book:
            everyone = sorted(
                {*(path.name for path in students), *(person.id for person in book.students)}
            )
            write_csv(folder / "grades.csv", grades(book, everyone, released))
        remarks = [
            (student, name, line)
            for student in everyone
            for name in released
            for line in remarks_on(folder, student, name)
        ]
        write_csv(
            folder / "remarks.csv",
            [("student", "assignment", "remark"), *sorted([*remarks, *unknown])],
        )


def hand_back(submission, page):
    """Puts the receipt of nbgrader's exchange for a submission beside its page: release_feedback finds students by it.

    Beside one that came another way lies a receipt that nobody has, so that the others get theirs.
    """
    for name, none in (
        ("timestamp.txt", b""),
        ("submission_secret.txt", secrets.token_hex().encode()),
    ):
        if (submission / name).is_file():
            with open(submission / name, "rb") as file:
                write_whole(page / name, file.read(1000))
        elif not (page / name).exists():
            write_whole(page / name, none)


def remarks_on(folder, student, name):
    """[a line on each thing that the teacher should know of a submission]."""
    record = record_of(folder, student, name)
    if not record.exists():
        return ["Nothing was handed in."]
    known = json.loads(record.read_text(encoding="utf-8"))
    waits = any(score is None for score, *_ in known["points"].values())
    return known["told"] + ["The written answer waits to be graded by hand."] * waits


def grades(book, students, names):
    """The rows of grades.csv: a row a student, a column an assignment, empty where nothing was handed in.

    Canvas takes these headings as they are and finds a student by ID or login; in Moodle map SIS Login ID to username.
    """
    yield ["Student", "ID", "SIS Login ID", "Section", *names]
    for login in students:
        row = []
        for name in names:
            try:
                row.append(f"{book.find_submission(name, login).score:g}")
            except MissingEntry:
                row.append("")
        try:
            person = book.find_student(login)
            called, number = (
                ", ".join(filter(None, (person.last_name, person.first_name))),
                person.lms_user_id,
            )
        except MissingEntry:
            called, number = "", None
        yield [called or login, number or "", login, "", *row]


def write_csv(path, rows):
    """Writes a table in which no cell is a formula to a spreadsheet."""
    text = io.StringIO(newline="")
    csv.writer(text).writerows(
        [f"'{cell}" if FORMULA.match(cell) else cell for cell in row] for row in rows
    )
    write_whole(path, text.getvalue().encode())


if __name__ == "__main__":
    grade_here(*sys.argv[1:])
