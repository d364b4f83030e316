"""An analysis on a Ray cluster is the one made here, bit for bit, whoever is killed on the way and
wherever it lies.
"""

import functools
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

os.environ |= {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_raylet_start_wait_time_s": "120",
    "RAY_worker_niceness": "0",
}

import keras
import numpy as np
import pytest
import ray
from crashes.writers import workers_of
from keras import layers
from moto.server import ThreadedMotoServer
from ray.cluster_utils import Cluster
from upath import UPath

import camkit
from camkit._files import present, write_whole
from camkit.analysis import _shards as shards, ray as module
from camkit.images.decoding import FileReader
from camkit.models import _serialize as inference
from camkit.models._part import part

ROOT = Path(__file__).resolve().parents[2]
BATCH, SHARDS = 1, 30  # 240 images, 8 a shard
SOON = {
    "health_check_initial_delay_ms": 0,
    "health_check_period_ms": 500,
    "health_check_failure_threshold": 3,
}


@pytest.fixture(autouse=True)
def bounded():
    """No test waits for ever for a cluster."""

    def end(*_):
        raise TimeoutError("the cluster has not answered for four minutes")

    before = signal.signal(signal.SIGALRM, end)
    signal.alarm(240)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="module")
def nodes():
    """A cluster of two machines of one core each, and the second of them, which may be killed."""
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "_system_config": SOON})
    second = made.add_node(num_cpus=1)
    ray.init(made.address, log_to_driver=False, logging_level="CRITICAL")
    yield made.address, second.all_processes["raylet"][0].process
    assert ray.is_initialized(), "a cluster that was the user's stays up"
    ray.shutdown()
    made.shutdown()


@pytest.fixture(scope="module")
def images():
    return camkit.load_images("mini", "Test")


@pytest.fixture(scope="module")
def model(images):
    return camkit.gap_classifier(camkit.backbone("mini"), images.class_names)


@pytest.fixture(scope="module")
def whole(model, images, tmp_path_factory):
    return camkit.analyze(
        model, images, tmp_path_factory.mktemp("whole") / "analysis", batch_size=BATCH
    )


def same(folder, whole):
    """Whether a folder holds the files of `whole` and no others."""
    files = {file.name: file.read_bytes() for file in whole.folder.iterdir()}
    return present(folder) == set(files) and all(
        (folder / name).read_bytes() == files[name] for name in files
    )


def when(folder, count, act):
    """Do it in a thread as soon as the folder holds so many shards; return a list that then has
    their number.
    """
    seen = []

    def watch():
        while len(found := [name for name in present(folder) if name.endswith("npz")]) < count:
            time.sleep(0.002)
        act()
        seen.append(len(found))

    threading.Thread(target=watch, daemon=True).start()
    return seen


DRIVER = """
import sys, keras, ray, camkit
ray.init(sys.argv[1], log_to_driver=False)
model = keras.models.load_model(sys.argv[2])
camkit.analyze(model, camkit.load_images("mini"), sys.argv[3], batch_size=1, engine="ray")
"""


def test_a_killed_driver_leaves_what_the_other_engine_goes_on_from(
    nodes, model, images, whole, tmp_path, monkeypatch
):
    model.save(tmp_path / "model.keras")
    driver = subprocess.Popen(
        [sys.executable, "-c", DRIVER, nodes[0], tmp_path / "model.keras", tmp_path / "out"],
        cwd=ROOT,
    )
    seen = when(tmp_path / "out", 3, driver.kill)
    assert driver.wait() == -signal.SIGKILL and 3 <= seen[0] < SHARDS
    kept, reads = len(list((tmp_path / "out").glob("shard-*.npz"))), []
    read = FileReader.__call__
    monkeypatch.setattr(
        FileReader,
        "__call__",
        lambda self, path, **options: reads.append(path) or read(self, path, **options),
    )
    # It reads 64 images again, to try them in other ranges of values.
    monkeypatch.setattr("camkit.analysis.run.hint_of_range", lambda *args: "")
    camkit.analyze(model, images, tmp_path / "out", batch_size=BATCH)
    assert same(tmp_path / "out", whole) and len(reads) <= len(images) - 8 * kept


@pytest.fixture(scope="module")
def store():
    """An address of a bucket that a server of this machine keeps."""
    server = ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    options = {
        "endpoint_url": "http://{}:{}".format(*server.get_host_and_port()),
        "key": "k",
        "secret": "s",
    }
    bucket = UPath("s3://bucket", **options)
    bucket.fs.mkdir("bucket")
    yield bucket
    server.stop()


def test_an_upload_that_breaks_off_leaves_nothing(store):
    def fill(stream):
        stream.write(bytes(6 * 2**20))
        raise KeyboardInterrupt

    for folder in (store / "broken", UPath("memory://broken")):
        with pytest.raises(KeyboardInterrupt):
            write_whole(folder / "a.npz", fill)
        assert present(folder) == set()
        write_whole(folder / "a.npz", b"whole")
        assert (folder / "a.npz").read_bytes() == b"whole" and present(folder) == {"a.npz"}


def test_a_folder_in_memory_holds_an_analysis_made_here(model, images, whole):
    folder = UPath("memory://analyses/mini")
    result = camkit.analyze(model, images, "memory://analyses/mini", batch_size=BATCH)
    assert same(folder, whole) and result.table.equals(whole.table)


def with_table():
    """Return a model of an image and a row of two numbers."""
    image, table = keras.Input((100, 100, 3), name="image"), keras.Input((2,), name="table")
    gap = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 9, 9, activation="relu")(image))
    joined = layers.Concatenate()([layers.Rescaling(1 / 50)(gap), table])
    return keras.Model([image, table], layers.Dense(12, "softmax")(joined))


@pytest.mark.parametrize("method", [None, camkit.grad_cam])
def test_a_worker_is_sent_the_rows_of_its_images(images, tmp_path, method):
    """Without a cluster: tasks and a worker in this process."""
    model = with_table()
    some = images.select(slice(0, 20))
    rows = np.random.default_rng(0).normal(size=(20, 2)).astype("float32")
    (tmp_path / "out").mkdir()
    sent = module._packed(part(model, {"table": np.zeros(2)}), method, some.reader)
    worker = module._Worker(sent, None, None, tmp_path / "out", BATCH, ("logits", "maps"))
    planned = shards.planned(20, BATCH)
    for task in module._tasks(planned, some, some.labels, {"table": rows}):
        assert worker(task)["error"] == b""
    here = camkit.analyze(model, some, inputs={"table": rows}, method=method, batch_size=BATCH)
    (batch,) = some.batches(20, 100)
    expected = model.predict([batch.astype("float32"), rows], verbose=0)
    np.testing.assert_allclose(here.probs, expected, atol=1e-5)
    for shard in planned:
        arrays = np.load(tmp_path / "out" / shard.name)
        for name in ("logits", "maps"):
            of_shard = getattr(here, name)[shard.start : shard.stop]
            np.testing.assert_array_equal(arrays[name], of_shard)


def test_a_cluster_computes_rows_as_they_are_here(nodes, images, tmp_path):
    some = images.select(slice(0, 20))
    rows = np.random.default_rng(0).normal(size=(20, 2))
    model = with_table()
    options = {"inputs": {"table": rows}, "batch_size": BATCH}
    wanted = camkit.analyze(model, some, tmp_path / "here", **options)
    camkit.analyze(model, some, tmp_path / "out", engine="ray", **options)
    assert same(tmp_path / "out", wanted)


# --- what cannot be done


def test_what_a_worker_meets_is_told(model, images, tmp_path):
    paths = [*images.paths[:3], tmp_path / "broken.png"]
    paths[-1].write_bytes(images.paths[0].read_bytes()[:500])
    foreign = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Lambda(lambda x: x * BATCH),
            layers.Conv2D(3, 5),
            layers.GlobalAveragePooling2D(),
            layers.Dense(12),
        ]
    )
    for read, bad, kind, said in (
        (3, model, OSError, "No such file or directory"),  # nobody has made the folder there
        (4, model, OSError, r"broken\.png cannot be read: truncated or damaged"),
        (
            3,
            foreign,
            ValueError,
            "a worker cannot read the model or the method, since it has only the modules installed",
        ),
    ):
        worker = module._Worker(
            pickle.dumps((inference.packed(bad), None, images.reader)),
            None,
            None,
            tmp_path / "none",
            BATCH,
            ["maps", "logits"],
        )
        task = pickle.dumps(("shard-00000.npz", paths[:read], images.labels[:read], {}))
        row = worker({"task": task})
        with pytest.raises(kind, match=said):
            raise pickle.loads(row["error"])


@pytest.mark.parametrize(
    "rows, said",
    [
        (
            [{"shard": "shard-00002.npz", "images": 8, "error": b""}],
            "a worker has written shard-00002.npz, but it is not in .*share",
        ),
        ([], "workers were lost 3 times before they had written a shard, such as shard-00000.npz"),
        ([{"error": pickle.dumps(OSError("as it was told"))}], "as it was told"),
    ],
)
def test_folders_that_workers_do_not_share_and_workers_that_always_die_are_told(
    nodes, model, images, tmp_path, monkeypatch, rows, said
):
    rounds = []
    monkeypatch.setattr(module, "_reports", lambda *_: rounds.append(0) or rows)
    with pytest.raises(OSError, match=said):
        camkit.analyze(model, images, tmp_path / "out", batch_size=BATCH, engine="ray")
    assert len(rounds) == (1 if rows else 3)


def test_workers_that_die_while_they_begin_are_others_in_the_next_round(
    nodes, model, images, tmp_path
):
    """Ray Data gives up a round whose actors die before they are made."""

    def kill():
        while not killed:
            for process in workers_of(os.getpid()):
                os.kill(process, signal.SIGKILL)
                killed.append(process)

    some, killed = images.select(slice(0, 16)), []
    wanted = camkit.analyze(model, some, tmp_path / "here", batch_size=BATCH)
    threading.Thread(target=kill, daemon=True).start()
    camkit.analyze(model, some, tmp_path / "out", batch_size=BATCH, engine="ray")
    assert killed and same(tmp_path / "out", wanted)


def test_engines_addresses_and_a_missing_extra_are_told(
    model, images, tmp_path, monkeypatch, capsys
):
    with pytest.raises(
        ValueError, match="engine is 'spark': None computes in this process, 'ray' on a cluster"
    ):
        camkit.analyze(model, images, tmp_path / "out", engine="spark")
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    for address, said in (
        ("127.0.0.1:1", "no Ray cluster answers at 127.0.0.1:1: ray start --head starts one"),
        ("ray://127.0.0.1:1", "ray://127.0.0.1:1 is that of Ray's client"),
    ):
        with pytest.raises(ConnectionError, match=said):
            with module.connected(address):
                pass
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(ray, "init", lambda *_, **__: 1 / 0)
    with pytest.raises(
        ConnectionError,
        match=r"Ray does not start on this machine: call again .* \(division by zero\)",
    ):
        with module.connected():
            pass
    monkeypatch.undo()
    monkeypatch.setitem(sys.modules, "upath", None)
    with pytest.raises(
        ImportError, match=r"s3://b/c is the address of a store: pip install 'camkit\[cluster\]'"
    ):
        camkit.load_analysis("s3://b/c")
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.delitem(sys.modules, "camkit.analysis.ray")
    monkeypatch.delattr(camkit.analysis, "ray")
    with pytest.raises(ImportError, match=r"needs Ray: pip install 'camkit\[cluster\]'"):
        camkit.analyze(model, images, tmp_path / "out", engine="ray")
    assert not (tmp_path / "out").exists()


def test_from_the_shell_on_this_machine_without_a_word(model, images, whole, tmp_path):
    """In a process of its own, with a cluster of its own, of which nothing is left."""
    model.save(tmp_path / "model.keras")
    command = [
        sys.executable,
        "-m",
        "camkit",
        "analyze",
        tmp_path / "model.keras",
        ROOT / "data" / "mini-fruits",
        "--out",
        tmp_path / "out",
        "--engine",
        "ray",
    ]
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=ROOT, env=os.environ | {"RAY_ADDRESS": ""}
    )
    assert (done.returncode, done.stderr, len(done.stdout.splitlines())) == (0, "", 1), done.stderr
    np.testing.assert_allclose(
        camkit.load_analysis(tmp_path / "out").logits, whole.logits, atol=1e-5
    )
    done = subprocess.run(
        [*command[:-2], "--address", "127.0.0.1:1"], capture_output=True, text=True, cwd=ROOT
    )
    assert (done.returncode, done.stdout) == (1, "") and "pass --engine ray too" in done.stderr


def test_the_engine_that_is_not_asked_for_is_not_imported():
    code = (
        "import camkit, sys; camkit.analysis; import camkit.__main__, camkit._cli\n"
        "print([m for m in ('ray', 'fsspec', 'upath', 'camkit.analysis.ray') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert (done.stdout, done.stderr) == ("[]\n", "")


# Last, since a machine is gone after it


def test_worker_and_machine_are_lost_in_a_run_begun_here_by_a_method_into_a_store(
    nodes, store, images, tmp_path, monkeypatch
):
    """Nothing is lost, nothing is done twice, and no pixels go through the cluster's memory: what a
    worker has is all there is. The last shard is of three pictures, the model has a layer that no
    module of the workers has.
    """

    class Travelling(layers.Layer):
        def call(self, x):
            return 2 * x

    first = [
        keras.Input((160, 160, 3)),
        layers.Rescaling(1 / 255),
        layers.Conv2D(3, 16, strides=16),
        Travelling(),
    ]
    model = keras.Sequential([*first, layers.Flatten(), layers.Dense(12)])
    some, folder = images.select(slice(0, 235)), store / "some" / "analysis"
    options = {
        "method": functools.partial(camkit.layer_cam, layer=model.layers[2]),
        "batch_size": BATCH,
    }
    wanted = camkit.analyze(model, some, tmp_path / "out", **options)
    compute = shards.compute
    with monkeypatch.context() as patch:  # dies when it has written three
        patch.setattr(
            shards,
            "compute",
            lambda reader, images, *rest: compute(reader, images.select(slice(0, 24)), *rest),
        )
        patch.setattr(shards, "join", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            camkit.analyze(model, some, folder, **options)
    with pytest.raises(ValueError, match="not finished"):
        camkit.load_analysis(folder)
    assert present(folder) == {"about.json", *(f"shard-{i:05d}.npz" for i in range(3))}
    before, held = (folder / "shard-00001.npz").stat().st_mtime, []

    def sample():  # until the machine is lost, and its memory with it
        while nodes[1].poll() is None:
            held.append(room - ray.available_resources().get("object_store_memory", room))
            time.sleep(0.02)

    monkeypatch.setattr(module, "STILL", 5)
    join = shards.join
    monkeypatch.setattr(
        shards,
        "join",
        lambda *args: kept.append((folder / "shard-00001.npz").stat().st_mtime) or join(*args),
    )
    room = ray.available_resources()["object_store_memory"]
    worker, kept = when(folder, 6, lambda: os.kill(workers_of(os.getpid())[0], signal.SIGKILL)), []
    machine = when(folder, 12, nodes[1].kill)
    threading.Thread(target=sample, daemon=True).start()
    result = camkit.analyze(model, some, folder, engine="ray", **options)
    assert 0 < max(held) < 8 * 160 * 160 * 3, "pixels of a shard went through the cluster's memory"
    assert 6 <= worker[0] < SHARDS and 12 <= machine[0] < SHARDS and nodes[1].poll() is not None
    assert same(folder, wanted) and kept == [before]
    assert isinstance(result.maps, np.memmap) and result.table.equals(wanted.table)
    place, last = result.folder, (234, result.predicted[234])
    assert place.is_dir()
    class_map = camkit.load_analysis(folder).class_map(*last)
    np.testing.assert_array_equal(class_map, wanted.class_map(*last))
    del result
    assert not place.exists()
