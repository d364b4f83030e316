"""All that writes, each in a small case: `write(target)` begins or goes on, `begin(target)` is what
stands there before.

The network is arithmetic, the server of Fruits-360 and the cluster are near, the course is one tiny
assignment; what writes is real.
"""

import ctypes
import hashlib
import json
import mmap
import os
import shutil
import signal
import sqlite3
import sys
import time
import types
from contextlib import suppress
from pathlib import Path

import numpy as np

LONG = "苹" * 85  # 255 bytes, the most that a name may have
NAMES = ["Ant", "Bee", LONG]


class Writer:
    """One that writes into `target` what `inputs` and nothing else determines."""

    unfinished = ()  # files that may wait for the next call
    faults = None  # those that make sense for it; None: all that need no cluster

    def __init__(self, inputs):
        self.inputs = inputs

    def begin(self, target):
        target.parent.mkdir(exist_ok=True)

    def content(self, folder):
        """{path: what is in it} of all files. A lock that was held when its process was killed
        stays until the next one who writes; what only reads leaves it.
        """
        return {
            str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(folder.rglob("*"))
            if path.is_file() and not path.name.endswith(".lock")
        }

    def lost(self, target):
        """Whether something is gone that had been finished."""
        return False

    def workers(self):
        """Return the numbers of the processes that write for it on the machines of a cluster."""
        return []


class Analyze(Writer):
    name, unfinished = "analyze", ("about.json", "shard-*.npz")

    def __init__(self, inputs):
        from made_analyses import image_set

        import camkit

        self.images = image_set(inputs, labels=np.arange(40) % 3, names=NAMES)
        without_network()
        nothing = {name: lambda model: "model" for name in ("fingerprint", "packed", "unpacked")}
        sys.modules["camkit.models._serialize"] = types.SimpleNamespace(**nothing)
        sys.modules["camkit.models._part"] = types.SimpleNamespace(
            part=lambda *_: "model", rows_of_images=lambda *_: {}
        )
        self.analyze = camkit.analyze

    def write(self, target):
        self.analyze(None, self.images, target, batch_size=2)


class Update(Analyze):
    """Of the images that were analysed some are gone, and others are new."""

    name, unfinished = "analyze again", ("about.json", "shard-*.npz", "*.npy")

    def __init__(self, inputs):
        super().__init__(inputs)
        self.before = inputs / "before"
        self.analyze(None, self.images.select(slice(0, 24)), self.before, batch_size=2)
        self.images = self.images.select(slice(4, None))

    def begin(self, target):
        super().begin(target)
        shutil.copytree(self.before, target)

    def lost(self, target):
        """What was computed is in the old analysis, in the next one, or in files of both."""
        names = {path.name for path in target.rglob("*.npy")}
        return not {"gap.npy", "maps.npy", "logits.npy", "probs.npy"} <= names


def without_network(pause=0.0):
    """Let arithmetic stand in the place of a network."""
    from camkit.analysis import _reader as reading

    reading.by_cam = lambda *_: arithmetic(reading, pause)
    reading._image_shape = lambda _: (8, 8, 3)
    reading._checked = lambda _, reader, shape: reader.read


def arithmetic(reading, pause):
    """In the place of a network, which takes `pause` seconds for a batch."""
    bias = np.arange(3, dtype="float32")

    def read(batch, labels, rows):
        time.sleep(pause)
        maps = batch[:, :6, :6].astype("float32") / 255
        return {
            "maps": maps,
            "gap": maps.mean(axis=(1, 2)),
            "logits": maps.mean(axis=(1, 2)) + bias,
            "probs": maps.mean(axis=(1, 2)),
        }

    return reading.Reader(
        read,
        size=(8, 8),
        channels=3,
        classes=3,
        class_names=NAMES,
        bias=bias,
        has_rest=False,
        precision="float16",
        is_multi_label=False,
    )


# What a worker of the cluster finds in the place of the room that knows TensorFlow.
ELSEWHERE = """
import sys, types

def unpacked(packed):
    from writers import without_network
    without_network(0.1)
    return "model"

sys.modules["camkit.models._serialize"] = types.SimpleNamespace(unpacked=unpacked)
"""


class OnRay(Analyze):
    """On a cluster of two machines, which goes on when the one who asks is killed."""

    name, faults = (
        "analyze on Ray",
        ("killed_at_random_moments", "workers_killed_at_random_moments"),
    )

    def __init__(self, inputs):
        super().__init__(inputs)
        here, (port, said) = Path(__file__).resolve().parent, os.pipe()
        self.cluster = os.fork()
        if not self.cluster:
            ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # it ends with us, and its machines with it
            (inputs / "modules").mkdir()
            (inputs / "modules" / "sitecustomize.py").write_text(ELSEWHERE)
            os.environ["PYTHONPATH"] = os.pathsep.join(
                map(str, (inputs / "modules", here, here.parents[1]))
            )
            os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_raylet_start_wait_time_s": "120"}
            from ray.cluster_utils import Cluster

            cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
            cluster.add_node(num_cpus=1)
            os.write(said, cluster.address.encode())
            while True:
                signal.pause()
        os.environ["RAY_ADDRESS"] = os.read(port, 99).decode()

    def write(self, target):
        self.analyze(None, self.images, target, batch_size=1, engine="ray")

    def workers(self):
        return workers_of(self.cluster)


def workers_of(process):
    """The numbers of the processes that hold a model, on all machines of the Ray cluster that
    `process` has begun.
    """
    import psutil

    found = []
    for child in psutil.Process(process).children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            found += [child.pid] * child.name().startswith("ray::MapWorker")
    return found


class Download(Writer):
    name, unfinished = "download and unpacking", ("*.part", "*.zip")

    def __init__(self, inputs):
        from test_images import Server, pack

        from camkit.images import fruits360 as sources

        port, said = os.pipe()
        if not os.fork():
            ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # it ends with us
            os.write(said, str(Server(pack()).server_port).encode())
            while True:
                signal.pause()
        sources.FRUITS_360.update(
            counts={"classes": 2, "Training": 8, "Test": 4},
            url=f"http://127.0.0.1:{os.read(port, 9).decode()}/archive.zip",
        )
        sources.time = types.SimpleNamespace(sleep=lambda seconds: None)
        self.fetch = sources.fetch_fruits_360

    def write(self, target):
        os.environ["CAMKIT_CACHE"] = str(target)
        self.fetch()


class Atlas(Writer):
    """Where another atlas stands already: it is replaced, or stays."""

    name = "write_atlas"

    def __init__(self, inputs):
        from made_analyses import analysis_of, image_set

        from camkit.atlas import page

        self.images = image_set(inputs / "new", names=NAMES)
        analysis = analysis_of(self.images, names=NAMES)
        record = page.Record(analysis)
        record.index(open=True, chunk=page.CHUNK)
        page.Record = lambda *_: record  # its figures are not the subject
        self.page, self.analysis, self.old = page, analysis, inputs / "atlas"
        self.write(self.old)
        self.known = [self.content(self.old)]
        index = self.old / "index.html"
        index.write_bytes(index.read_bytes().replace(b"Error atlas", b"Old atlas"))
        self.known.append(self.content(self.old))

    def begin(self, target):
        super().begin(target)
        shutil.copytree(self.old, target)

    def write(self, target):
        self.page.write_atlas(self.analysis, self.images, target)

    def lost(self, target):
        kept = target if target.exists() else target.with_name(f".{target.name}.old")
        return self.content(kept) not in self.known


class Verdicts(Writer):
    name, unfinished = "verdicts", ("made",)

    def __init__(self, inputs):
        from camkit.atlas import verdicts

        self.verdicts, self.kept = verdicts.Verdicts, mmap.mmap(-1, 1)  # which processes share
        self.rows = [
            {
                "path": f"{LONG}/{i}.png",
                "true": "Ant",
                "predicted": "Bee",
                "verdict": "label wrong",
                "comment": "=1+1" * i,
                "reviewer": "Ada",
            }
            for i in range(6)
        ]

    def begin(self, target):
        super().begin(target)
        self.kept[0] = 0

    def write(self, target):
        file = self.verdicts(target)
        for i, row in enumerate(self.rows):
            if (row["path"], row["reviewer"]) not in file.read().index:
                file.save(row)
            self.kept[0] = max(self.kept[0], i + 1)

    def lost(self, target):
        return len(self.verdicts(target).read()) < self.kept[0]


class Course(Writer):
    name, unfinished = "course build", ("*",)

    def __init__(self, inputs):
        import nbformat
        import nbgrader.api
        import test_course
        from course import cli, proof, sources, year

        self.cli, here = cli, inputs / "here"
        here.mkdir(parents=True)
        config = (sources.HERE / "nbgrader_config.py").read_text()
        (here / "nbgrader_config.py").write_text(config)
        shutil.copy(sources.HERE / "checks.py", here)
        for name in ("guide", "teachers"):
            (here / f"{name}.md").write_text(f"# {name}\n")
        nbformat.write(test_course.tiny(), here / "1-tiny.ipynb")
        sources.HERE = here
        proof.prove = lambda *_: []  # which writes nothing
        year.put_environment_on_path()
        version = nbgrader.api.get_alembic_version()
        nbgrader.api.get_alembic_version = lambda: version
        self.inputs, self.test = inputs, test_course
        self.call(inputs / "course", "build")  # imports all that it needs

    def call(self, target, *command):
        self.cli.main(["--folder", str(target), *command])

    def write(self, target):
        self.call(target, "build")

    def content(self, folder):
        """The same without identities and times."""
        found = {}
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            name = str(path.relative_to(folder))
            if path.name == "gradebook.db":
                found[name] = rows_of(path)
            elif (
                path.suffix not in (".log", ".lock") and path.name != "submission_secret.txt"
            ):  # drawn by chance
                data = path.read_bytes()
                with suppress(ValueError):  # of one that is half written
                    data = (
                        repr(
                            [
                                {key: value for key, value in cell.items() if key != "metadata"}
                                for cell in json.loads(data)["cells"]
                            ]
                        ).encode()
                        if path.suffix == ".ipynb"
                        else data
                    )
                found[name] = hashlib.sha256(data).hexdigest()
        return found


class Grading(Course):
    name = "grading"

    def __init__(self, inputs):
        import nbformat

        super().__init__(inputs)
        released = nbformat.read(
            inputs / "course" / "release" / "1-tiny" / "1-tiny.ipynb", as_version=4
        )
        for student, text in (("ada", "{"), (LONG, nbformat.writes(self.test.answered(released)))):
            path = inputs / "submitted" / student / "1-tiny.ipynb"
            path.parent.mkdir(parents=True)
            path.write_text(text, encoding="utf-8")

    def begin(self, target):
        super().begin(target)
        shutil.copytree(self.inputs / "course", target)

    def write(self, target):
        self.call(target, "grade", str(self.inputs / "submitted"))


def rows_of(database):
    """{table: rows} of a gradebook, without identities and times."""
    book, found = sqlite3.connect(database), {}
    for (table,) in book.execute("select name from sqlite_master where type = 'table'").fetchall():
        columns = [row[1] for row in book.execute(f"pragma table_info({table})")]
        wanted = [name for name in columns if not name.endswith("id") and "timestamp" not in name]
        if wanted:
            found[table] = sorted(
                map(repr, book.execute(f"select {','.join(wanted)} from {table}"))
            )
    book.close()
    return found


WRITERS = {
    kind.name: kind for kind in (Analyze, Update, OnRay, Download, Atlas, Verdicts, Course, Grading)
}
