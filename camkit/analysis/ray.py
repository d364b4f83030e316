"""Computing the shards of an analysis on the machines of a Ray cluster.

Ray Data hands the paths of a shard's images to a worker: an actor with a private copy of the model,
which decodes them batch by batch, computes the shard, and writes it to the folder itself. Only the
shard's name is returned. (Decoding in a separate process would send pixels through the object
store: two workers then reach 1.66 times the speed of one instead of 1.87 times.)

So the folder is the only state of a run, the same as on one machine. A shard that a lost worker or
machine was computing is missing there, and is computed in the next round. A round is a separate
task beside the driver, so that it can be ended if it waits forever for a lost machine.
"""

import copy
import logging
import os
import pickle
import socket
import time
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

try:
    import ray
    from ray.data import ActorPoolStrategy, DataContext
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy
except ImportError as error:
    raise ImportError("engine='ray' needs Ray: pip install 'camkit[cluster]'") from error

from camkit._files import write_whole
from camkit._progress import progress
from camkit._quiet import held_back
from camkit.analysis._reader import Grid, Method, Reader, Rows, Size, keyword_of, reader_of
from camkit.analysis._shards import Shard, contents, cut, missing, saving
from camkit.images import ImageSet
from camkit.images._as_keras import Reader as ImageReader

if TYPE_CHECKING:
    import keras

# Shards that a worker has at a time: the one that it computes, and the next.
_IN_HAND = 2

# Rounds without a new shard before the run is given up.
_FRUITLESS_ROUNDS = 3

# Seconds without a shard after which a round that has lost a machine is ended.
STILL = 60

# Ray itself would wait several minutes for a cluster that does not answer.
_SECONDS_TO_ANSWER = 5


@contextmanager
def connected(address: str | None = None) -> Iterator[None]:
    """Context manager for a connection to a Ray cluster.

    An existing connection of this process is used, and left as it is. A new cluster on this machine
    is stopped at the end of the block.

    Args:
        address: The address of the cluster; None for the environment variable RAY_ADDRESS, or else
            for a new cluster on this machine.

    Raises:
        ConnectionError: No cluster answers, or the address is that of Ray's client.

    Example:
        >>> with connected():  # doctest: +SKIP
        ...     analysis = camkit.analyze(model, images, "my-analysis", engine="ray")
    """
    if ray.is_initialized():
        yield
        return
    address = address or os.environ.get("RAY_ADDRESS") or "local"
    if address.startswith("ray://"):
        raise ConnectionError(
            f"{address} is that of Ray's client, which has no Ray Data: call on a machine of the "
            "cluster and pass the cluster's own address, such as head:6379"
        )
    try:
        _connect(address)
    except Exception as error:
        # Ray raises errors of many classes here, some of them plain Exceptions.
        if address == "local":
            advice = (
                "Ray does not start on this machine: call again when it is less busy, or without "
                "engine='ray'"
            )
        else:
            advice = (
                f"no Ray cluster answers at {address}: ray start --head starts one and prints its "
                "address"
            )
        raise ConnectionError(f"{advice} ({_first_line(error)})") from error
    try:
        yield
    finally:
        ray.shutdown()


def _connect(address: str) -> None:
    """Connect to a cluster, or start one on this machine for the address "local"."""
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.CRITICAL}
    if address == "local":
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        options["include_dashboard"] = False
    _, _, location = address.rpartition("://")
    host, _, port = location.rpartition(":")
    if host:
        endpoint = (host.strip("[]"), int(port))
        socket.create_connection(endpoint, timeout=_SECONDS_TO_ANSWER).close()
    with held_back():
        ray.init(address, **options)


def _first_line(error: Exception) -> str:
    """Return the first line of an error's message."""
    return str(error).splitlines()[0]


@contextmanager
def _quiet() -> Iterator[None]:
    """Context manager: run Ray Data without bars and log messages, and tolerate lost shards.

    A shard that is lost is left to the next round.
    """
    context = copy.deepcopy(DataContext.get_current())
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.max_errored_blocks = -1
    handlers = logging.getLogger("ray.data").handlers
    consoles = [handler for handler in handlers if isinstance(handler, logging.StreamHandler)]
    levels = [handler.level for handler in consoles]
    for handler in consoles:
        handler.setLevel(logging.CRITICAL + 1)
    try:
        with DataContext.current(context):
            yield
    finally:
        for handler, level in zip(consoles, levels, strict=True):
            handler.setLevel(level)


def compute(
    model: "keras.Model",
    method: Method | None,
    input_size: Size,
    grid: Grid,
    images: ImageSet,
    labels: np.ndarray,
    rows: Rows,
    folder: Path,
    batch_size: int,
    names: tuple[str, ...],
) -> None:
    """Compute and write the missing shards, as `_shards.compute` does.

    Raises:
        OSError: A worker cannot read an image or write to the folder, the cluster is lost, or its
            machines do not share the folder.
        ValueError: A worker cannot load the model.

    Example:
        >>> camkit.analyze(model, images, "my-analysis", engine="ray")  # doctest: +SKIP
    """
    count = len(images)
    todo = missing(folder, count, batch_size)
    if not todo:
        # Joining the shards needs no cluster.
        return
    settings = {
        "sent": _packed(model, method, images.reader),
        "input_size": input_size,
        "grid": grid,
        "folder": folder.absolute() if isinstance(folder, Path) else folder,
        "batch_size": batch_size,
        "names": names,
    }
    done = count - _images_in(todo)
    fruitless_rounds = 0
    with connected(), progress(count, "Analyzing", "image", done) as bar:
        while todo:
            written, reason = set(), ""
            try:
                for row in _reports(_tasks(todo, images, labels, rows), settings):
                    if row["error"]:
                        raise pickle.loads(row["error"])
                    written.add(row["shard"])
                    bar.update(row["images"])
            except ray.exceptions.RayError as error:
                # Ray has given up the round, for instance because workers died while starting.
                reason = f" ({_first_line(error)})"
            remaining = missing(folder, count, batch_size)
            # A worker may have been lost after writing a shard and before reporting it.
            bar.update(count - _images_in(remaining) - bar.n)
            _expect_in(folder, written, remaining)
            has_progressed = len(remaining) < len(todo)
            fruitless_rounds = 0 if has_progressed else fruitless_rounds + 1
            if fruitless_rounds == _FRUITLESS_ROUNDS:
                raise OSError(
                    f"workers were lost {fruitless_rounds} times before they had written a shard, "
                    f"such as {remaining[0].name}: their machines' memory may be too small for the "
                    f"model; a smaller batch_size needs less{reason}"
                )
            todo = remaining


def _packed(model: "keras.Model", method: Method | None, image_reader: ImageReader) -> bytes:
    """Return a model, a method and a reader of images as bytes that a worker can unpack."""
    from camkit.models._serialize import packed

    layer = keyword_of(method, "layer")
    if method is not None and layer is not None:
        # A layer belongs to one model, and the worker has a copy of the model. So pass its name.
        method = partial(method, layer=getattr(layer, "name", layer))
    return ray.cloudpickle.dumps((packed(model), method, image_reader))


def _images_in(shards: list[Shard]) -> int:
    """Return the total number of images of the shards."""
    return sum(shard.stop - shard.start for shard in shards)


def _expect_in(folder: Path, written: set[str], remaining: list[Shard]) -> None:
    """Raise OSError if a shard that a worker has written is not in the folder."""
    elsewhere = written & {shard.name for shard in remaining}
    if elsewhere:
        raise OSError(
            f"a worker has written {min(elsewhere)}, but it is not in {folder}: choose a folder "
            "that all machines of the cluster share, such as s3://bucket/name"
        )


def _reports(tasks: list[dict], settings: dict) -> Iterator[dict]:
    """Yield a row for each shard as it is written, until the round is finished or is stuck.

    A row is {"shard": name, "images": count, "error": pickled exception or b""}.
    """
    machines = _machines()
    this_machine = NodeAffinitySchedulingStrategy(
        ray.get_runtime_context().get_node_id(), soft=False
    )
    options: dict[str, Any] = {
        "num_cpus": 0,
        "num_returns": "streaming",
        "max_retries": 0,
        "scheduling_strategy": this_machine,
        # A round has its own process, which ends together with everything that the round started.
        "max_calls": 1,
    }
    start_round = ray.remote(**options)(_round)
    rows: Any = start_round.remote(tasks, settings)
    last_time = time.monotonic()
    try:
        while not _is_stuck(machines, last_time):
            ready, _ = ray.wait([rows], timeout=1, fetch_local=False)
            if ready:
                row = next(rows, None)
                if row is None:
                    return
                yield ray.get(row)
                last_time = time.monotonic()
    finally:
        ray.cancel(rows, force=True)


def _tasks(todo: list[Shard], images: ImageSet, labels: np.ndarray, rows: Rows) -> list[dict]:
    """Return what a worker needs to know of each shard, pickled."""
    # Workers start in another working directory.
    paths = [Path(path).absolute() for path in images.paths]
    tasks = []
    for shard in todo:
        part = slice(shard.start, shard.stop)
        task = (shard.name, paths[part], labels[part], cut(rows, part))
        tasks.append({"task": pickle.dumps(task)})
    return tasks


def _is_stuck(machines: set[str], last_time: float) -> bool:
    """Return whether a round has lost one of its machines and has been silent since `last_time`."""
    silence = time.monotonic() - last_time
    if silence < STILL:
        return False
    lost = machines - _machines()
    return bool(lost)


def _machines() -> set[str]:
    """Return the ids of the cluster's machines that are alive."""
    return {node["NodeID"] for node in ray.nodes() if node["Alive"]}


def _round(tasks: list[dict], settings: dict) -> Iterator[dict]:
    """Yield the rows of all tasks that finish."""
    cores = int(ray.cluster_resources().get("CPU", 1))
    workers = min(len(tasks), max(1, cores))
    pool = ActorPoolStrategy(size=workers, max_tasks_in_flight_per_actor=_IN_HAND)
    # Ray warns about max_restarts, but has no other name for it yet.
    with _quiet(), warnings.catch_warnings(action="ignore"):
        # Without restarts, a lost worker is replaced by a new one. A restart might wait forever for
        # a lost machine.
        options: dict[str, Any] = {
            "fn_constructor_kwargs": settings,
            "compute": pool,
            "num_cpus": 1,
            "max_restarts": 0,
        }
        worker: Any = _Worker
        rows = ray.data.from_items(tasks, override_num_blocks=len(tasks)).map(worker, **options)
        yield from rows.iter_rows()


class _Worker:
    """Computes and writes shards with a private copy of the model."""

    def __init__(
        self,
        sent: bytes,
        input_size: Size,
        grid: Grid,
        folder: Path,
        batch_size: int,
        names: tuple[str, ...],
    ):
        self.sent = sent
        self.input_size = input_size
        self.grid = grid
        self.folder = folder
        self.batch_size = batch_size
        self.names = names

    @cached_property
    def readers(self) -> tuple[Reader, ImageReader]:
        """Return the readers of the model and of images, unpacked for the first shard."""
        from camkit.models._serialize import unpacked

        try:
            model, method, image_reader = pickle.loads(self.sent)
            reader = reader_of(unpacked(model), method, self.input_size, self.grid)
            return reader, image_reader
        except Exception as error:
            # The driver has read the same model, so this process lacks something that it has.
            raise _unreadable(error) from error

    def __call__(self, row: dict) -> dict:
        """Compute and write the shard of a task, and return its row."""
        name, paths, labels, rows = pickle.loads(row["task"])
        error = b""
        try:
            self.write(name, paths, labels, rows)
        except Exception as reason:
            error = pickle.dumps(_as_plain_error(reason))
        return {"shard": name, "images": len(paths), "error": error}

    def write(self, name: str, paths: list[Path], labels: np.ndarray, rows: Rows) -> None:
        """Write a shard, unless a worker that seemed lost has written it."""
        file = self.folder / name
        if file.exists():
            return
        reader, image_reader = self.readers
        images = ImageSet(Path(), paths, labels, class_names=[], skipped=[], reader=image_reader)
        batches = images.batches(self.batch_size, reader.size, channels=reader.channels)
        arrays = contents(reader, batches, labels, rows, self.batch_size, self.names, paths)
        # Two workers may write the same shard at once.
        partial_name = f".{uuid.uuid4().hex[:8]}.partial"
        write_whole(file, saving(arrays), partial_name)


def _as_plain_error(error: Exception) -> Exception:
    """Return an error as one that can be unpickled anywhere: an OSError or a ValueError."""
    if isinstance(error, OSError):
        return OSError(str(error))
    if isinstance(error, ValueError):
        return ValueError(str(error))
    return _unreadable(error)


def _unreadable(error: Exception) -> ValueError:
    """Return the error for a model or method that works in the driver, but not in a worker."""
    return ValueError(
        "a worker cannot read the model or the method, since it has only the modules installed on "
        f"its machine and nothing else of this process: {type(error).__name__}: {error}"
    )
