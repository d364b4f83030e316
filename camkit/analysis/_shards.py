"""The shards of an analysis: files of about 256 images, complete or absent, and joining them.

Zarr 3 was tried instead. Each of its chunks is complete or absent by itself, so resuming four
arrays also needs an order of writing, but no joining. However, it offers no memory map: with 22,688
images of 155 classes, reading one map at random takes 2.9 ms from chunks of 256 images and 6.5 ms
from shards with a chunk for each image, compared with 0.07 ms from joined files. It also rejects
masks, negative steps, rows with columns, and arithmetic, all of which NumPy's arrays have and the
lessons use. And every user would install four more packages.
"""

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from tqdm.auto import tqdm

from camkit._files import present, write_whole
from camkit._progress import progress
from camkit.analysis._folder import check_finite
from camkit.analysis._reader import Reader, Rows
from camkit.images import ImageSet

# The number of batches in a shard, and the beginning of its name.
_BATCHES = 8
_PREFIX = "shard-"


class Shard(NamedTuple):
    """A file name, and the images [start, stop) whose arrays it holds."""

    name: str
    start: int
    stop: int


def planned(count: int, batch_size: int) -> list[Shard]:
    """Return the shards of `count` images."""
    step = batch_size * _BATCHES
    shards = []
    for number, start in enumerate(range(0, count, step)):
        stop = min(start + step, count)
        shards.append(Shard(f"{_PREFIX}{number:05d}.npz", start, stop))
    return shards


def missing(folder: Path, count: int, batch_size: int) -> list[Shard]:
    """Return the planned shards that are not in the folder."""
    names = present(folder)
    return [shard for shard in planned(count, batch_size) if shard.name not in names]


def contents(
    reader: Reader,
    batches: Iterator[np.ndarray],
    labels: np.ndarray,
    rows: Rows,
    batch_size: int,
    names: Iterable[str],
    paths: Sequence[Path],
) -> dict[str, np.ndarray]:
    """Return the arrays {name: array} of a shard.

    Args:
        reader: How the model is run.
        batches: Yields batches of images, from which the shard takes its own.
        labels: The labels of the shard's images.
        rows: {input: (N, ...)}, the rows of these images in other inputs of the model, if each has
            its own.
        batch_size: The number of images in a full batch.
        names: The names of the arrays to store.
        paths: The files of the shard's images, for messages.

    Raises:
        ValueError: The scores or maps are not finite, or maps exceed the range of their precision.
    """
    parts: dict[str, list[np.ndarray]] = {name: [] for name in names}
    for start in range(0, len(labels), batch_size):
        batch = next(batches)
        in_batch = slice(start, start + batch_size)
        # The last batch is filled up, so that the same graph computes the same bits.
        full_batch = _filled(batch, batch_size)
        full_labels = _filled(labels[in_batch], batch_size)
        full_rows = {
            name: _filled(values, batch_size) for name, values in cut(rows, in_batch).items()
        }
        output = reader.read(full_batch, full_labels, full_rows)
        for name in names:
            parts[name].append(output[name][: len(batch)])
    arrays = {name: np.concatenate(part) for name, part in parts.items()}
    check_finite(arrays["logits"], paths)
    arrays["maps"] = _in_precision(arrays["maps"], reader.precision)
    return arrays


def cut(rows: Rows, images: slice | np.ndarray) -> dict[str, np.ndarray]:
    """Return the rows of some of the images."""
    return {name: values[images] for name, values in rows.items()}


def _filled(array: np.ndarray, count: int) -> np.ndarray:
    """Return an array (n, ...), repeated up to the length `count`."""
    return np.resize(array, (count, *array.shape[1:]))


def _in_precision(maps: np.ndarray, precision: str) -> np.ndarray:
    """Return maps as the dtype `precision`. Raises ValueError for NaN and values out of range."""
    peak = np.abs(maps).max()
    # Not `peak >= max`, which would accept NaN.
    if not peak < np.finfo(precision).max:
        raise ValueError(f"class maps reach {peak:.3g}, beyond {precision}: is the model trained?")
    return maps.astype(precision)


def compute(
    reader: Reader,
    images: ImageSet,
    labels: np.ndarray,
    rows: Rows,
    folder: Path,
    batch_size: int,
    names: Iterable[str],
) -> None:
    """Compute and write the missing shards, with the arrays of these names."""
    todo = missing(folder, len(images), batch_size)
    ranges = [np.arange(shard.start, shard.stop) for shard in todo]
    indices = np.concatenate([np.array([], dtype=int), *ranges])
    remaining = images.select(indices)
    done = len(images) - len(remaining)
    with progress(len(images), "Analyzing", "image", done) as bar:
        batches = _counted(
            remaining.batches(batch_size, reader.size, channels=reader.channels), bar
        )
        for shard in todo:
            part = slice(shard.start, shard.stop)
            arrays = contents(
                reader,
                batches,
                labels[part],
                cut(rows, part),
                batch_size,
                names,
                images.paths[part],
            )
            write_whole(folder / shard.name, saving(arrays))
        # A batch is counted when the next one is asked for.
        next(batches, None)


def saving(arrays: dict[str, Any]) -> Callable[[IO[bytes]], None]:
    """Return the function that writes the arrays of a shard to an open file."""

    def save(stream: IO[bytes]) -> None:
        np.savez(stream, **arrays)

    return save


def _counted(batches: Iterator[np.ndarray], bar: tqdm) -> Iterator[np.ndarray]:
    """Yield the batches, and advance the bar by the images of each when it has been processed."""
    for batch in batches:
        yield batch
        bar.update(len(batch))


def join(folder: Path, count: int, batch_size: int, names: Iterable[str]) -> None:
    """Join the shards into one .npy file for each array, holding one shard at a time."""
    files = [folder / shard.name for shard in planned(count, batch_size)]
    finished = present(folder)
    for name in names:
        if f"{name}.npy" not in finished:
            join_files(files, folder, name, count)


def join_files(files: list[Path], folder: Path, name: str, count: int) -> None:
    """Write the array `name` of some shards, which hold `count` images, to its file in a folder."""
    fill = functools.partial(_write_joined, files=files, name=name, count=count)
    write_whole(folder / f"{name}.npy", fill)


def remove(folder: Path) -> None:
    """Delete the shards of a folder, whose arrays have been joined."""
    for name in present(folder):
        if name.startswith(_PREFIX):
            (folder / name).unlink()


def _write_joined(stream: IO[bytes], files: list[Path], name: str, count: int) -> None:
    """Write the array `name` of all shards to an open .npy file."""
    with _load(files[0]) as shard:
        first = shard[name]
    write_header(stream, first.dtype, (count, *first.shape[1:]))
    for file in files:
        with _load(file) as shard:
            stream.write(shard[name].tobytes())


def write_header(stream: IO[bytes], dtype: np.dtype, shape: tuple[int, ...]) -> None:
    """Write the beginning of a .npy file, which the bytes of the array follow."""
    header = {"descr": dtype.str, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, header)


def _load(file: Path) -> np.lib.npyio.NpzFile:
    """Open a shard, on this machine or in a store."""
    return np.load(file if isinstance(file, Path) else file.open("rb"))
