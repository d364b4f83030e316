"""What the child processes do: python child.py MEGABYTES pictures|archives|models|notebooks FOLDER.

They say in JSON what they found.
"""

import json
import os
import resource
import signal
import sys
import tempfile
from pathlib import Path


def pictures(folder):
    """{name: shape or reason} of a folder's pictures, read as camkit reads them, one by one and in
    batches.
    """
    from camkit.images import load_images

    images = load_images(folder)
    found = {path.name: reason for path, reason in images.skipped}
    for i, path in enumerate(images.paths):
        try:
            pixels = images[i]
            assert (
                pixels.dtype == "uint8"
                and pixels.ndim == 3
                and pixels.shape[2] == 3
                and pixels.size
            )
            found[path.name] = pixels.shape
        except Exception as error:
            found[path.name] = f"passed the check, then {type(error).__name__}: {error}"
    if all(isinstance(images, tuple) for images in found.values() if not isinstance(images, str)):
        for batch in images.batches(16, 24):
            assert batch.shape[1:] == (24, 24, 3)
    return found


def archives(folder):
    """{name: "unpacked" or the error} of a folder's archives, each in the place of Fruits-360 in a
    cache of its own.
    """
    from fuzz.archives import COUNTS

    from camkit.images import fruits360 as sources

    sources.FRUITS_360["counts"], found = COUNTS, {}
    for packed in sorted(folder.glob("*.zip")):
        cache = packed.with_suffix("")
        cache.mkdir()
        os.environ["CAMKIT_CACHE"] = str(cache)
        packed.rename(cache / f"fruits-360-{sources.FRUITS_360['version']}.zip")
        try:
            sources.fetch_fruits_360()
            found[cache.name] = "unpacked"
        except Exception as error:
            found[cache.name] = f"{type(error).__name__}: {error}"
    return found


def models(folder):
    """{number: how the command `analyze` ended} of model files mutated here, each in a process
    forked from this one.
    """
    from fuzz.models import mutated, write_whole

    from camkit import _cli as shell

    # Imports TensorFlow, which no process has run yet.
    from camkit.models import _backend  # noqa: F401

    found, whole = {}, folder / "whole.keras"
    if not os.fork():
        write_whole(whole)
        os._exit(0)
    os.wait()
    for file in sorted(folder.glob("*.keras")):
        if file != whole:
            file.write_bytes(mutated(0, int(file.stem), whole.read_bytes()))
        out = file.with_suffix("")
        out.mkdir()
        child = os.fork()
        if not child:
            said = os.open(out / "said", os.O_CREAT | os.O_WRONLY)
            os.dup2(said, 1), os.dup2(said, 2)
            sys.addaudithook(lambda event, args: watched(event, args, folder))
            signal.alarm(120)
            os.chdir(out)
            code = shell.main(
                ["analyze", str(file), str(folder / "pictures"), "--out", str(out / "analysis")]
            )
            os._exit(code)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        found[out.name] = [code, (out / "said").read_text(errors="replace")]
    return found


def notebooks(folder):
    """{student: what the grading reads of the notebooks handed in, or the error}, of a folder of
    students.
    """
    import nbformat
    from course import files, submissions

    course = Path(__file__).resolve().parents[3] / "notebooks" / "assignments"

    released = {
        path.stem: nbformat.read(path, as_version=4)
        for path in sorted(course.glob("[1-9]-*.ipynb"))
    }
    found = {}
    for student in sorted(folder.iterdir()):
        try:
            handed_in = files.list_files(student, student).files
            notebooks = [one for one in handed_in if submissions.is_notebook(one)]
            candidates = [submissions.examine(one, released) for one in notebooks]
            one, blank, unassigned = submissions.choose(candidates, released)
            unknown = [candidate.problem for candidate in unassigned]
            told = [line for submission in one.values() for line in submission.remarks]
            graded = [submission.notebook for submission in one.values() if submission.notebook]
            texts = [nbformat.writes(notebook) for notebook in graded]
            json.dumps([texts, *one, unknown, told], ensure_ascii=False).encode()
            found[student.name] = [len(texts) + len(blank), [*unknown, *told]]
        except Exception as error:
            found[student.name] = f"{type(error).__name__}: {error}"
    return found


def watched(event, args, folder):
    """Says what a process does that a model file should not make it do."""
    if event in (
        "os.system",
        "subprocess.Popen",
        "pickle.find_class",
        "socket.connect",
        "os.exec",
        "os.posix_spawn",
    ):
        os.write(1, f"DID {event} {args}\n".encode())
    if (
        event == "open"
        and isinstance(args[0], (str, bytes))
        and args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
    ):
        path = os.path.abspath(os.fsdecode(args[0]))
        own = (
            str(folder),
            "/dev/null",
            *(f"{tempfile.gettempdir()}/{name}" for name in ("tmp", "__autograph_gen")),
        )
        if (
            not path.startswith(own) and path != tempfile.gettempdir()
        ):  # with O_TMPFILE: without a name
            os.write(1, f"DID write {path}\n".encode())


if __name__ == "__main__":
    limit = int(sys.argv[1]) << 20
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    told = globals()[sys.argv[2]](Path(sys.argv[3]))
    print(
        json.dumps(
            {"found": told, "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10}
        )
    )
