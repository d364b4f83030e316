"""The shards of an analysis: what some 256 images give, in files that appear whole or not at all, and their joining.

Zarr 3 was tried in their place: its chunks are whole or not at all each by itself, so that four arrays need an order of
writing as well to be resumed, and then no joining. But what it gives is no memory map: with 22,688 pictures of 155
classes one map at random takes 2.9 ms from chunks of 256 pictures, and 6.5 ms from shards with a chunk for each, where
joined files take 0.07 ms. And masks, negative steps, rows with columns, and arithmetic, all of which NumPy's arrays
have and the lessons use, are refused, for four more packages that every reader would install.
"""

import functools
from pathlib import Path

import numpy as np

from camkit._files import present, write_whole
from camkit._progress import progress

BATCHES = 8  # in a shard


def planned(n, batch_size):
    """Return [(name, start, stop)] of the shards that n images make."""
    step = batch_size * BATCHES
    return [
        (f"shard-{start // step:05d}.npz", start, min(start + step, n))
        for start in range(0, n, step)
    ]


def missing(folder, n, batch_size):
    """Return those of the planned shards that the folder does not hold."""
    found = present(folder)
    return [shard for shard in planned(n, batch_size) if shard[0] not in found]


def contents(reader, batches, labels, batch_size, names):
    """Return the arrays {name: array} of a shard, of the images with these labels; `batches` is an iterator of theirs.

    Raises ValueError where the maps do not fit their precision.
    """
    parts = {name: [] for name in names}
    for first in range(0, len(labels), batch_size):
        batch, own = next(batches), np.resize(labels[first : first + batch_size], batch_size)
        out = reader.read(
            np.resize(batch, (batch_size, *batch.shape[1:])), own
        )  # full: same graph, same bits
        for name in names:
            parts[name].append(out[name][: len(batch)])
    arrays = {name: np.concatenate(part) for name, part in parts.items()}
    peak = np.abs(arrays["maps"]).max()
    if not peak < np.finfo(reader.precision).max:
        raise ValueError(
            f"class maps reach {peak:.3g}, beyond {reader.precision}: is the model trained?"
        )
    arrays["maps"] = arrays["maps"].astype(reader.precision)
    return arrays


def compute(reader, images, labels, folder, batch_size, names):
    """Write the shards that are missing, with the arrays of these names."""
    todo = missing(folder, len(images), batch_size)
    rest = images.select(
        np.concatenate([np.arange(start, stop) for _, start, stop in todo] or [[]]).astype(int)
    )
    with progress(len(images), "Analyzing", "image", done=len(images) - len(rest)) as bar:

        def seen():
            for batch in rest.batches(batch_size, reader.size):
                yield batch
                bar.update(len(batch))

        batches = seen()
        for name, start, stop in todo:
            arrays = contents(reader, batches, labels[start:stop], batch_size, names)
            write_whole(folder / name, functools.partial(np.savez, **arrays))


def join(folder, n, batch_size, names):
    """Join the shards into one .npy for each array, holding one shard at a time."""
    files, found = [folder / name for name, *_ in planned(n, batch_size)], present(folder)

    def load(file):
        return np.load(file if isinstance(file, Path) else file.open("rb"))

    for name in names:
        with load(files[0]) as first:
            header = {
                "descr": first[name].dtype.str,
                "fortran_order": False,
                "shape": (n, *first[name].shape[1:]),
            }

        def fill(stream):
            np.lib.format.write_array_header_1_0(stream, header)
            for file in files:
                with load(file) as part:
                    stream.write(part[name].tobytes())

        if f"{name}.npy" not in found:
            write_whole(folder / f"{name}.npy", fill)
