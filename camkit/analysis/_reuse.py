"""Bringing a stored analysis up to date after images were added, removed or changed.

What is known of an image does not depend on the other images, so its rows are copied. The other
images are analysed in a folder of their own, `.update`, which is continued like any analysis. Then
a whole new analysis is written to `.next`, and takes the place of the stored one at the end: until
then, whenever the process is killed, the stored one is there.
"""

import functools
import json
import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from camkit._files import present, write_whole
from camkit.analysis import _shards
from camkit.analysis._folder import ABOUT, NEXT, array_names, is_finished

_UPDATE = ".update"

# An analysis gives way only to one that has at least this share of its images.
LEAST = 0.5

# The number of rows that are copied at a time.
_ROWS = 256

# `compute(rows, folder, batch_size)` analyses the images `rows` and writes their arrays.
Compute = Callable[[np.ndarray, Path, int], None]


def is_possible(stored: Mapping[str, Any], about: Mapping[str, Any]) -> bool:
    """Return whether images of an analysis can be known in a stored one.

    Version 1.0.0 stored no digests of images. What a user's method returns for an image may depend
    on the others of its batch.
    """
    method = about["method"]
    return "digests" in stored and (method is None or method.startswith("camkit."))


def known_rows(
    folder: Path, stored: Mapping[str, Any], about: Mapping[str, Any]
) -> tuple[np.ndarray, float]:
    """Return the row of each image in a stored analysis, and how much of that analysis remains.

    An image is known by its content. The maps of a method depend on its label as well, since the
    true class is one of theirs.

    Args:
        folder: The folder of the stored analysis.
        stored: The content of its about.json.
        about: That of the analysis of other images by the same model and method.

    Returns:
        Rows (N,), -1 where the results of an image are not known; and the share of what the stored
        analysis has computed that belongs to images of this set, 0 to 1.
    """
    keys = _keys(stored)
    available = {keys[row]: row for row in _available(folder, stored)}
    rows = [available.get(key, -1) for key in _keys(about)]
    contents = set(about["digests"])
    remaining = [content in contents for content, *_ in available]
    return np.array(rows), float(np.mean(remaining)) if remaining else 0.0


def _keys(about: Mapping[str, Any]) -> list[tuple]:
    """Return what the results of each image depend on."""
    if about["method"] is None:
        return list(zip(about["digests"], strict=True))
    labels = map(json.dumps, about["labels"])
    return list(zip(about["digests"], labels, strict=True))


def _available(folder: Path, stored: Mapping[str, Any]) -> Iterable[int]:
    """Return the rows of a stored analysis that were computed."""
    if is_finished(folder, stored):
        return range(len(stored["labels"]))
    return [row for shard in _shards_of(folder, stored) for row in range(shard.start, shard.stop)]


def _shards_of(folder: Path, stored: Mapping[str, Any]) -> list[_shards.Shard]:
    """Return the shards that an unfinished analysis has written."""
    names = present(folder)
    planned = _shards.planned(len(stored["labels"]), stored["batch_size"])
    return [shard for shard in planned if shard.name in names]


def update(
    folder: Path, stored: Mapping[str, Any], about: dict[str, Any], compute: Compute
) -> None:
    """Replace the stored analysis of a folder by that of other images.

    Args:
        folder: The folder of the stored analysis.
        stored: The content of its about.json.
        about: The content of the new one, which differs in its images.
        compute: Analyses the images that are not known.

    Raises:
        OSError: The folder cannot be written to.
    """
    if not is_finished(folder, stored):
        stored = _finish_with_what_is_there(folder, stored)
    rows, _ = known_rows(folder, stored, about)
    missing = np.flatnonzero(rows < 0)
    about = about | {"batch_size": stored["batch_size"]}
    sources = [(folder, rows)]
    if len(missing):
        _compute_missing(folder / _UPDATE, about, missing, compute)
        places = np.full(len(rows), -1)
        places[missing] = np.arange(len(missing))
        sources.append((folder / _UPDATE, places))
    _replace(folder, about, sources)


def tidy(folder: Path) -> None:
    """Finish or undo what a killed process has left of an update."""
    if not isinstance(folder, Path):
        return
    following = folder / NEXT
    if ABOUT in present(following):
        _move(following, folder)
    elif following.is_dir():
        shutil.rmtree(following)


def remove(folder: Path) -> None:
    """Delete what was computed for an update that is done."""
    if isinstance(folder, Path):
        shutil.rmtree(folder / _UPDATE, ignore_errors=True)


def _finish_with_what_is_there(folder: Path, stored: Mapping[str, Any]) -> dict[str, Any]:
    """Make a finished analysis of the images whose shards are there; return its about.json."""
    shards = _shards_of(folder, stored)
    rows = list(_available(folder, stored))
    about = dict(stored)
    for key in ("labels", "paths", "digests", "splits"):
        if stored.get(key) is not None:
            about[key] = [stored[key][row] for row in rows]
    # What is not that of these images is written anew when the update is done.
    about["images"] = about["metadata"] = about["splits"] = None
    following = _new_folder(folder)
    for name in array_names(about):
        _shards.join_files([folder / shard.name for shard in shards], following, name, len(rows))
    _finish(following, about)
    _move(following, folder)
    _shards.remove(folder)
    return about


def _compute_missing(folder: Path, about: dict, rows: np.ndarray, compute: Compute) -> None:
    """Analyse the images `rows` in a folder, where the work that was begun there is continued."""
    begun = {key: [about[key][row] for row in rows] for key in ("digests", "labels")}
    begun["batch_size"] = about["batch_size"]
    file = folder / ABOUT
    if not file.exists() or json.loads(file.read_text(encoding="utf-8")) != begun:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        write_whole(file, json.dumps(begun).encode())
    compute(rows, folder, about["batch_size"])


def _replace(folder: Path, about: dict, sources: list[tuple[Path, np.ndarray]]) -> None:
    """Put an analysis made of rows of others in the place of the one in a folder.

    Args:
        folder: The folder.
        about: The about.json of the new analysis.
        sources: Folders, and the row (N,) there of each image, -1 for those of the other folders.
    """
    following = _new_folder(folder)
    for name in array_names(about):
        arrays = [np.load(source / f"{name}.npy", mmap_mode="r") for source, _ in sources]
        rows = [rows for _, rows in sources]
        fill = functools.partial(_write_rows, arrays=arrays, rows=rows)
        write_whole(following / f"{name}.npy", fill)
    _finish(following, about)
    _move(following, folder)


def _write_rows(stream: IO[bytes], arrays: list[np.ndarray], rows: list[np.ndarray]) -> None:
    """Write the rows of several arrays to an open .npy file, in the order of the images."""
    count = len(rows[0])
    _shards.write_header(stream, arrays[0].dtype, (count, *arrays[0].shape[1:]))
    for start in range(0, count, _ROWS):
        stop = min(start + _ROWS, count)
        block = np.empty((stop - start, *arrays[0].shape[1:]), arrays[0].dtype)
        for array, places in zip(arrays, rows, strict=True):
            chosen = places[start:stop]
            block[chosen >= 0] = array[chosen[chosen >= 0]]
        stream.write(block.tobytes())


def _new_folder(folder: Path) -> Path:
    """Return the empty folder in which the next analysis is written."""
    following = folder / NEXT
    shutil.rmtree(following, ignore_errors=True)
    following.mkdir()
    return following


def _finish(following: Path, about: Mapping[str, Any]) -> None:
    """Write about.json, by which the next analysis is known to be whole."""
    write_whole(following / ABOUT, json.dumps(about).encode())


def _move(following: Path, folder: Path) -> None:
    """Move a whole next analysis to its place.

    While there are files of two analyses, the folder has no about.json, so that it is not read.
    """
    (folder / ABOUT).unlink(missing_ok=True)
    for name in sorted(present(following) - {ABOUT}):
        os.replace(following / name, folder / name)
    os.replace(following / ABOUT, folder / ABOUT)
    following.rmdir()
