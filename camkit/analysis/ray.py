"""The shards of an analysis on the machines of a Ray cluster, into the same folder as on one.

Ray Data hands the paths of a shard's images to a worker: an actor with a private copy of the model, which decodes them
batch by batch, computes the shard, and writes it to the folder itself. (Pixels decoded by another process would go
through the cluster's memory: two workers then were 1.66 times one, and so they are 1.87 times.) Only the shard's name
comes back. So the folder is all that a run leaves and all that the next one asks: what a lost worker or machine had in
its hands is not there, and is done in the next round. A round is a task of its own, beside the driver, so that one that
waits for ever for a lost machine can be ended.
"""

import copy
import logging
import os
import pickle
import socket
import time
import uuid
import warnings
from contextlib import contextmanager
from functools import cached_property, partial

import numpy as np

try:
    import ray
    from ray.data import ActorPoolStrategy, DataContext
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy
except ImportError as lacking:
    raise ImportError("engine='ray' needs Ray: pip install camkit[cluster]") from lacking

from camkit._files import write_whole
from camkit._progress import progress
from camkit._quiet import held_back
from camkit.analysis import (
    _reader as reading,
)  # and TensorFlow where it is needed: actors that decode do without
from camkit.analysis import (
    _shards as shards,
)
from camkit.images import ImageSet

IN_HAND = 2  # shards that a worker has been given: one it computes, and the next
VAIN = 3  # rounds without a new shard before the run is given up
STILL = 60  # s without a shard, after which a round that has lost a machine is ended


@contextmanager
def connected(address=None):
    """Be connected to a Ray cluster: to the one that this process uses already, which is left as it is, or else to
    that at `address` (default: what RAY_ADDRESS says), or else to one of this machine alone, which ends with the block.
    Raises ConnectionError where nobody answers, and for Ray's client."""
    if ray.is_initialized():
        yield
        return
    address = address or os.environ.get("RAY_ADDRESS") or "local"
    if address.startswith("ray://"):
        raise ConnectionError(
            f"{address} is that of Ray's client, which has no Ray Data: call on a machine of the "
            "cluster, and name its own address, such as head:6379"
        )
    options = {"log_to_driver": False, "logging_level": logging.CRITICAL}
    if address == "local":
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        options["include_dashboard"] = False
    host, _, port = address.rpartition("://")[2].rpartition(":")
    try:
        if host:  # Ray itself would wait for minutes
            socket.create_connection((host.strip("[]"), int(port)), timeout=5).close()
        with held_back():
            ray.init(address, **options)
    except Exception as error:  # some of Ray's are of no other class
        told = (
            "Ray does not start on this machine: call again when it is less busy, or without engine='ray'"
            if address == "local"
            else f"no Ray cluster answers at {address}: ray start --head makes one, and says its address"
        )
        raise ConnectionError(f"{told} ({str(error).splitlines()[0]})") from error
    try:
        yield
    finally:
        ray.shutdown()


@contextmanager
def _quiet():
    """Ray Data without its bars and remarks, and with a lost shard left to the next round."""
    context = copy.deepcopy(DataContext.get_current())
    context.enable_progress_bars = context.print_on_execution_start = False
    context.max_errored_blocks = -1
    consoles = [
        handler
        for handler in logging.getLogger("ray.data").handlers
        if isinstance(handler, logging.StreamHandler)
    ]
    levels = [handler.level for handler in consoles]
    for handler in consoles:
        handler.setLevel(logging.CRITICAL + 1)
    try:
        with DataContext.current(context):
            yield
    finally:
        for handler, level in zip(consoles, levels):
            handler.setLevel(level)


def compute(model, method, input_size, images, labels, folder, batch_size, names):
    """Write the shards that are missing, as `shards.compute` does.

    Raises what a worker met: OSError where an image cannot be read or the folder cannot be written there, ValueError
    where the model cannot be loaded; OSError where the cluster is lost, or its machines do not share the folder.
    """
    from camkit.models import _copy as inference

    todo, n, vain = shards.missing(folder, len(images), batch_size), len(images), 0
    if not todo:  # no cluster for the joining alone
        return
    if layer := getattr(method, "keywords", {}).get(
        "layer"
    ):  # by its name: a layer is one of its own model
        method = partial(method, layer=getattr(layer, "name", layer))
    given = {
        "sent": ray.cloudpickle.dumps((inference.packed(model), method)),
        "input_size": input_size,
        "folder": folder if "://" in str(folder) else folder.absolute(),
        "batch_size": batch_size,
        "names": names,
    }
    with connected(), progress(n, "Analyzing", "image", done=n - _count(todo)) as bar:
        while todo:
            written, told = set(), ""
            try:
                for row in _rows(todo, images, labels, given):
                    if row["error"]:
                        raise pickle.loads(row["error"])
                    written.add(row["shard"])
                    bar.update(row["images"])
            except (
                ray.exceptions.RayError
            ) as error:  # Ray gave the round up: workers died while they began, say
                told = f" ({str(error).splitlines()[0]})"
            before, todo = todo, shards.missing(folder, n, batch_size)
            bar.update(n - _count(todo) - bar.n)  # what was written and not heard of
            if elsewhere := written & {name for name, *_ in todo}:
                raise OSError(
                    f"a worker has written {min(elsewhere)}, and it is not in {folder}: name a folder that "
                    "all machines of the cluster share, such as s3://bucket/name"
                )
            vain = 0 if len(todo) < len(before) else vain + 1
            if vain == VAIN:
                raise OSError(
                    f"workers were lost {VAIN} times before they had written a shard, such as {todo[0][0]}: "
                    "their machines' memory may be too small for the model; a smaller batch_size needs less"
                    f"{told}"
                )


def _count(todo):
    return sum(stop - start for _, start, stop in todo)


def _rows(todo, images, labels, given):
    """Yield {"shard": name, "images": how many, "error": pickled exception or b""} of each shard as it is written."""
    paths = [os.path.abspath(path) for path in images.paths]  # workers begin elsewhere
    tasks = [
        {"task": pickle.dumps((name, paths[start:stop], labels[start:stop]))}
        for name, start, stop in todo
    ]
    machines, pause, heard = _machines(), 0, time.monotonic()
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    begin = ray.remote(
        num_cpus=0, num_returns="streaming", max_retries=0, scheduling_strategy=here, max_calls=1
    )(_round)  # a process of its own, which ends with all that the round left
    rows = begin.remote(tasks, given)
    try:
        while pause < STILL or machines <= _machines():
            if ray.wait([rows], timeout=1, fetch_local=False)[0]:
                yield ray.get(next(rows))
                heard = time.monotonic()
            pause = time.monotonic() - heard
    except StopIteration:
        pass
    finally:
        ray.cancel(rows, force=True)


def _machines():
    """The ids of the cluster's machines that live."""
    return {node["NodeID"] for node in ray.nodes() if node["Alive"]}


def _round(tasks, given):
    """Yield the rows of all tasks that come to an end."""
    workers = min(len(tasks), max(1, int(ray.cluster_resources().get("CPU", 1))))
    pool = ActorPoolStrategy(size=workers, max_tasks_in_flight_per_actor=IN_HAND)
    with _quiet(), warnings.catch_warnings(action="ignore"):  # max_restarts has no other name yet
        written = ray.data.from_items(tasks, override_num_blocks=len(tasks)).map(
            _Worker, fn_constructor_kwargs=given, compute=pool, num_cpus=1, max_restarts=0
        )  # it might wait for ever for a lost machine: a new worker comes
        yield from written.iter_rows()


class _Worker:
    """Computes and writes shards with a private copy of the model."""

    def __init__(self, sent, input_size, folder, batch_size, names):
        self.sent, self.input_size = sent, input_size
        self.folder, self.batch_size, self.names = folder, batch_size, names

    @cached_property
    def reader(self):
        from camkit.models import _copy as inference

        packed, method = pickle.loads(self.sent)
        return reading.reader_of(inference.unpacked(packed), method, self.input_size)

    def __call__(self, row):
        name, paths, labels = pickle.loads(row["task"])
        error = b""
        try:
            self.write(name, paths, labels)
        except OSError as reason:
            error = pickle.dumps(OSError(str(reason)))
        except Exception as reason:
            told = (
                ""
                if isinstance(reason, ValueError)
                else (
                    "a worker has the model and the modules installed there, and nothing else of this process, and cannot "
                    f"read it: {type(reason).__name__}: "
                )
            )
            error = pickle.dumps(ValueError(f"{told}{reason}"))
        return {"shard": name, "images": len(paths), "error": error}

    def write(self, name, paths, labels):
        file = self.folder / name
        if not file.exists():  # else a worker that was thought lost has written it
            batches = ImageSet(None, paths, None, [], []).batches(self.batch_size, self.reader.size)
            arrays = shards.contents(self.reader, batches, labels, self.batch_size, self.names)
            write_whole(file, partial(np.savez, **arrays), f".{uuid.uuid4().hex[:8]}.partial")
