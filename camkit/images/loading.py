"""Loading: find the images of a source, check that they can be read, and label them."""

import os
import warnings
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from tqdm.auto import tqdm

from camkit._progress import progress
from camkit.images._checking import Checker
from camkit.images.decoding import THREADS, Opener, formats, suffixes
from camkit.images.folders import Layout, candidates, find_set, folders, quote
from camkit.images.image_set import ImageSet

# The label of an image without a class.
_NO_LABEL = -1


def load_images(
    source: str | os.PathLike = "mini",
    split: str | None = "Test",
    *,
    classes: str | Iterable[str] | None = None,
    per_class: int | None = None,
    seed: int = 0,
    image_opener: Opener | None = None,
) -> ImageSet:
    """Return the readable images of a source as an `ImageSet`, sorted by class and path.

    Every file is decoded once to check that it is complete. Files that cannot be read are listed in
    `skipped`; hidden files and sidecar files (.txt, .csv, .json, ...) are ignored.

    Classes are the sorted names of the folders in all splits. So a label means the same in Training
    and in Test, and a class keeps its label even if none of its images can be read.

    Args:
        source: "mini" (embedded), "fruits-360" (downloaded on first use), or a folder. At most
            three levels down, the folder holds Training/ and Test/ with a folder for each class, or
            else the class folders themselves. A folder that holds images itself, and none of these,
            is read without labels.
        split: "Training", "Test", "Validation", or None for all. Folders may be called train, val
            and valid, in upper or lower case; "Test" falls back on a validation folder. A set
            without split folders is returned as a whole, whichever split is requested: before
            training, check that the two sets share no path.
        classes: The names of the classes to load; None for all.
        per_class: The maximum number of readable images of each class; None for all.
        seed: Draws the images if `per_class` is given. The draw of a class does not depend on the
            other classes.
        image_opener: A function that opens a file in place of Pillow: it takes a path and returns a
            Pillow image or a uint8 array (H, W), (H, W, 3) or (H, W, 4).

    Returns:
        The ImageSet, with the labels and the skipped files.

    Raises:
        FileNotFoundError: There is no set, no such split or no readable image.
        ValueError: The split or a class is unknown, `per_class` is less than 1, or the folder holds
            several sets.
        OSError: "fruits-360" cannot be downloaded.
        ImportError: "fruits-360" has to be downloaded and camkit[lessons] is not installed.

    Example:
        >>> import camkit
        >>> camkit.load_images("mini", "Training", classes=["Lemon", "Lime"], per_class=5).labels
        array([0, 0, 0, 0, 0, 1, 1, 1, 1, 1])
    """
    if per_class is not None and per_class < 1:
        raise ValueError(f"per_class is {per_class}: it must be at least 1, or None for all images")
    layout = find_set(source, split)
    files = _files_by_folder(layout)
    names = _choose_classes(classes, files, layout.root)
    skipped = _misplaced(layout, files)
    queues = _queues(layout, files, names, per_class, seed)

    checker = Checker(image_opener)
    paths, labels = [], []
    for queue, checked in zip(queues, _check_all(queues, checker), strict=True):
        paths += checked.readable
        labels += [queue.label] * len(checked.readable)
        skipped += checked.unreadable
    if not paths:
        raise FileNotFoundError(_nothing_readable(layout, names, skipped))
    return ImageSet(
        layout.root,
        paths,
        np.array(labels),
        names,
        skipped,
        notes=checker.notes,
        reader=checker.reader,
    )


def _files_by_folder(layout: Layout) -> dict[Path, list[Path]]:
    """Return the files that should be images in each class folder of all splits."""
    return {folder: candidates(folder) for split in layout.splits for folder in folders(split)}


def _choose_classes(
    classes: str | Iterable[str] | None, files: dict[Path, list[Path]], root: Path
) -> list[str]:
    """Return the sorted names of the classes to load. Raises ValueError for an unknown one."""
    names = {folder.name for folder, inside in files.items() if inside}
    if classes is None:
        return sorted(names)
    wanted = {classes} if isinstance(classes, str) else set(classes)
    unknown = wanted - names
    if unknown:
        raise ValueError(f"no class {quote(unknown)} in {root}; its classes are {quote(names)}")
    return sorted(wanted)


def _misplaced(layout: Layout, files: dict[Path, list[Path]]) -> list[tuple[Path, str]]:
    """Return (path, reason) of images beside the class folders, and of empty class folders."""
    if not layout.splits:
        return []
    skipped = []
    known = suffixes()
    for split in layout.chosen:
        for path in candidates(split):
            if path in files and not files[path]:
                skipped.append((path, "a folder without images"))
            elif path not in files and path.suffix.lower() in known:
                skipped.append((path, "outside the class folders"))
    return skipped


class _Queue(NamedTuple):
    """The files of one class in the order in which they are tried, and how many to load."""

    label: int
    paths: list[Path]
    quota: int


def _queues(
    layout: Layout,
    files: dict[Path, list[Path]],
    names: list[str],
    per_class: int | None,
    seed: int,
) -> list[_Queue]:
    """Return a queue for each class, or one queue for images without classes."""
    if not layout.splits:
        return [_draw(_NO_LABEL, "", candidates(layout.root), per_class, seed)]
    queues = []
    for label, name in enumerate(names):
        paths = []
        for split in layout.chosen:
            paths += files.get(split / name, [])
        queues.append(_draw(label, name, paths, per_class, seed))
    return queues


def _draw(label: int, name: str, paths: list[Path], per_class: int | None, seed: int) -> _Queue:
    """Return the queue of a class, in an order that depends only on its name and `seed`."""
    if per_class is None or per_class >= len(paths):
        return _Queue(label, paths, quota=len(paths))
    generator = np.random.default_rng([seed, *os.fsencode(name)])
    order = generator.permutation(len(paths))
    return _Queue(label, [paths[i] for i in order], quota=per_class)


class _Checked(NamedTuple):
    """The result of a queue: its readable files, sorted, and (path, reason) of the others tried."""

    readable: list[Path]
    unreadable: list[tuple[Path, str]]


def _check_all(queues: list[_Queue], checker: Checker) -> list[_Checked]:
    """Return the result of each queue."""
    total = sum(queue.quota for queue in queues)
    with (
        ThreadPoolExecutor(THREADS) as pool,
        warnings.catch_warnings(),
        progress(total, "Checking images", "image") as bar,
    ):
        warnings.simplefilter("ignore", UserWarning)
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        return [_check(queue, checker, pool, bar) for queue in queues]


def _check(queue: _Queue, checker: Checker, pool: ThreadPoolExecutor, bar: tqdm) -> _Checked:
    """Try the files of a queue until it has as many readable ones as its quota says."""
    readable: list[Path] = []
    unreadable: list[tuple[Path, str]] = []
    untried = queue.paths
    while untried and len(readable) < queue.quota:
        missing = queue.quota - len(readable)
        trial = untried[:missing]
        untried = untried[missing:]
        for path, reason in zip(trial, pool.map(checker.reason, trial), strict=True):
            if reason is None:
                readable.append(path)
            else:
                unreadable.append((path, reason))
            bar.update()
    return _Checked(sorted(readable), unreadable)


def _nothing_readable(layout: Layout, names: list[str], skipped: list[tuple[Path, str]]) -> str:
    """Return the message for a set in which no image can be read."""
    where = f"class folders {quote(names)}" if layout.splits else "it"
    reasons = "; ".join(f"{path.name}: {reason}" for path, reason in skipped[:3])
    return (
        f"no readable image in {quote(layout.chosen)}: looked for {', '.join(formats())} in "
        f"{where}; files skipped: {len(skipped)} ({reasons})"
    )
