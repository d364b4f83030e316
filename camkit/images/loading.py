"""Loading: find the images of a source, check that they can be read, and label them."""

import itertools
import os
import unicodedata
import warnings
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from PIL import Image
from tqdm.auto import tqdm

from camkit._progress import progress
from camkit.images._archives import read_archive
from camkit.images._arrays import images_of_arrays, images_of_batches
from camkit.images._as_arrays import ArrayReader
from camkit.images._checking import Checker
from camkit.images._labels import NO_LABEL
from camkit.images.decoding import THREADS, FileReader, Opener, names_of_formats
from camkit.images.folders import TABLES, check_split, existing, find_set, quote
from camkit.images.image_set import ImageSet
from camkit.images.tables import images_of_paths, images_of_table, read_table


def load_images(
    source: Any = "mini",
    split: str | None = "Test",
    *,
    classes: str | Iterable[str] | None = None,
    per_class: int | None = None,
    seed: int = 0,
    class_names: Sequence[str] | Mapping | None = None,
    multi_label: bool | None = None,
    path_column: str | None = None,
    label_column: str | Sequence[str] | None = None,
    root: str | os.PathLike | None = None,
    image_opener: Opener | None = None,
) -> ImageSet:
    """Return the readable images of a source as an `ImageSet`.

    Every file is decoded once to check that it is complete. What cannot be read is listed in
    `skipped`, and what was decided on the way in `notes`. Hidden files and sidecar files (.txt,
    .csv, .json, ...) are ignored.

    The images of a folder are sorted by class and path. Its classes are the sorted names of the
    class folders in all splits: a label means the same in Training and in Test, and a class keeps
    its label even if none of its images can be read. All other sources keep their order: row i of
    an array is `images[i]`, as 0 to 255.

    Arrays, batches and the files of an archive are written once into a temporary folder, as PNG
    files where they were none. It lives as long as the set; an analysis in a folder of its own
    copies them there.

    The source is one of:

    - "mini" or "photographs" (embedded) or "fruits-360" (downloaded on first use). A folder of
      such a name is "./photographs";
    - a folder. At most three levels down, it holds Training/ and Test/ with a folder for
      each class, or class folders with Training/ and Test/ in each, or the class folders
      alone. What lies deeper in a class folder belongs to the class. A folder of images
      without class folders is read without labels. A .zip file is read as the folder in it;
    - a table, as a DataFrame or as a .csv, .tsv or .parquet file, with a column of paths
      and one of labels. The other columns are kept as `metadata`;
    - a list or an iterator of paths, or the pair (paths, labels);
    - an array of images (N, H, W, C) or (N, H, W), or the pair (x, y) as `keras.datasets`
      give it. Values are 0 to 255, 0 to 1 or -1 to 1; a model is given them as they are;
    - a `tf.data.Dataset`, what `keras.utils.image_dataset_from_directory` returns, or
      anything else that yields images or batches, alone or in pairs with labels.

    Args:
        source: What holds the images, as above.
        split: "Training", "Test", "Validation", or None for all. Folders may be called train, val,
            dev, evaluation, test_set, seg_train and the like; "Test" falls back on a validation
            folder. The name of a split's folder, such as "unseen", chooses this one. A set without
            splits is returned as a whole, whichever split is requested: before training, check that
            the two sets share no path. A column of a table that is called "split", "subset" or the
            like is read likewise if all of its values are names of splits; else it is a column like
            any other, and all rows are loaded.
        classes: The names of the classes to load; None for all. Of nested folders, such as those of
            patients with a folder for each class in them, they choose the level; `metadata` has
            the folders above and below.
        per_class: The maximum number of readable images of each class; None for all.
        seed: Draws the images if `per_class` is given. The draw of a class does not depend on the
            other classes.
        class_names: The names of the classes, where labels are indices: class_names[i] is that of
            the label i; a dictionary such as `class_indices` of Keras says the same. None for the
            indices themselves, or for the sorted names that the labels are.
        multi_label: Whether an image has several labels, so that `labels` is (N, C) bool. None for
            yes if the labels are lists, texts such as "cat|dog", or rows of 0 and 1 that are not
            one-hot.
        path_column: The column of the paths in a table; None for the only one that holds files.
        label_column: The column of the labels in a table, or several columns of 0 and 1; None for
            the only one that may be meant.
        root: The folder that relative paths start from. None for that of a table's file, or for
            the working directory. If it is given or the table is a file, files are also found below
            it by their names, in another case, with another suffix or without one.
        image_opener: A function that opens a file in place of Pillow: it takes a path and returns a
            Pillow image or a uint8 array (H, W), (H, W, 3) or (H, W, 4).

    Returns:
        The ImageSet, with the labels and the skipped files.

    Raises:
        FileNotFoundError: There is no set, no such split or no readable image.
        ValueError: The split or a class is unknown, `per_class` is less than 1, the folder holds
            several sets, the columns of a table are not clear, or labels or values cannot be
            understood.
        TypeError: The source is none of these kinds, or `image_opener` is no function.
        OSError: "fruits-360" cannot be downloaded.
        ImportError: "fruits-360" has to be downloaded and camkit[lessons] is not installed, or a
            Parquet file needs camkit[parquet].

    Example:
        >>> import camkit, numpy
        >>> camkit.load_images("mini", "Training", classes=["Lemon", "Lime"], per_class=5).labels
        array([0, 0, 0, 0, 0, 1, 1, 1, 1, 1])
        >>> x = numpy.zeros((2, 32, 32, 3), "uint8")
        >>> camkit.load_images((x, [1, 0]), class_names=["cat", "dog"])[1].shape
        (32, 32, 3)
    """
    if per_class is not None and per_class < 1:
        raise ValueError(f"per_class is {per_class}: it must be at least 1, or None for all images")
    if image_opener is not None and not callable(image_opener):
        raise TypeError(
            f"image_opener is of type {type(image_opener).__name__}: pass a function that takes a "
            "path and returns a Pillow image or a uint8 array"
        )
    options = {
        "class_names": class_names,
        "multi_label": multi_label,
        "path_column": path_column,
        "label_column": label_column,
        "root": root,
    }
    given = {name: value for name, value in options.items() if value is not None}
    if isinstance(classes, str):
        classes = [classes]
    classes = None if classes is None else list(classes)
    checker = Checker(image_opener)

    read = partial(
        _read,
        split=split,
        classes=classes,
        per_class=per_class,
        seed=seed,
        checker=checker,
        options=given,
    )
    archive = _archive(source)
    if archive is None:
        return read(source)
    _allow(given, "an archive, whose folders are the classes")
    return read_archive(archive, read)


def _read(
    source: Any,
    *,
    split: str | None,
    classes: list[str] | None,
    per_class: int | None,
    seed: int,
    checker: Checker,
    options: dict,
) -> ImageSet:
    """Return the readable images of a source that is no archive."""
    images = _found(source, split, classes, checker.reader, options)
    if classes is not None:
        images = _of_classes(images, classes)
    return _readable(images, per_class, seed, checker)


def _archive(source: Any) -> Path | None:
    """Return the .zip file that a source is, or None."""
    if not _is_path(source):
        return None
    path = Path(source).expanduser().resolve()
    return path if path.suffix.lower() == ".zip" and path.is_file() else None


# The kinds of sources -----------------------------------------------------------------------------


def _found(
    source: Any, split: str | None, classes: list[str] | None, reader: FileReader, options: dict
) -> ImageSet:
    """Return the images of a source, not yet checked."""
    if isinstance(source, str | os.PathLike):
        return _of_name(source, split, classes, reader, options)
    if isinstance(source, pd.DataFrame):
        is_searched = "root" in options
        folder = _root(options)
        return images_of_table(source, split, folder, is_searched=is_searched, **options)
    check_split(split)
    source, labels = _parted(_listed(source))
    if _are_paths(source):
        _allow(options, "a list of paths", "class_names", "multi_label", "root")
        return images_of_paths(source, labels, _root(options), **_named(options))
    if hasattr(source, "file_paths") or hasattr(source, "filepaths"):
        images = _of_files_of_dataset(source, options)
        if images is not None:
            return images
    _allow(options, f"a {type(source).__name__}", "class_names", "multi_label")
    if isinstance(source, list | tuple) and not len(source):
        raise ValueError(f"the source is an empty {type(source).__name__}: there are no images")
    if isinstance(source, list | tuple) or hasattr(source, "__array__"):
        return images_of_arrays(source, labels, **_named(options))
    is_iterable = hasattr(source, "__iter__") or hasattr(source, "__getitem__")
    if is_iterable and not isinstance(source, dict | bytes):
        return images_of_batches(source, **_named(options))
    raise TypeError(
        f"source is of type {type(source).__name__}: pass a folder, a table, a .zip file, a list "
        "of paths, arrays (x, y), or a dataset that yields them"
    )


def _listed(source: Any) -> Any:
    """Return an iterator of paths, such as `folder.glob("*.png")`, as a list.

    Other sources are returned as they are, or go on from their first element.
    """
    if not hasattr(source, "__next__") or hasattr(source, "__len__"):
        return source
    first = next(source, None)
    if first is None:
        return source
    elements = itertools.chain([first], source)
    is_path = _is_path(first[0] if isinstance(first, tuple) and first else first)
    return list(elements) if is_path else elements


def _parted(source: Any) -> tuple[Any, Any]:
    """Return the images and the labels of a pair, or a source that is none, and None."""
    if isinstance(source, list) and source and _is_labelled_image(source[0]):
        images, labels = zip(*source, strict=True)
        return list(images), list(labels)
    if _is_batch_with_labels(source):
        return source[0], source[1]
    if not isinstance(source, tuple) or len(source) != 2 or _is_path(source[0]):
        return source, None
    images, labels = source
    if isinstance(images, tuple):
        raise ValueError(
            "the source is a pair of pairs, as load_data() returns it: pass one of them, such as "
            "load_images(data[1])"
        )
    return images, labels


def _named(options: dict) -> dict:
    """Return the options on labels."""
    return {name: options.get(name) for name in ("class_names", "multi_label")}


def _root(options: dict) -> Path:
    """Take the folder that relative paths start from out of the options, and return it."""
    return Path(options.pop("root", "")).expanduser().resolve()


def _allow(options: dict, kind: str, *names: str) -> None:
    """Raise ValueError if an option is given that has no meaning for a kind of source."""
    others = [name for name in options if name not in names]
    if others:
        raise ValueError(f"{others[0]}= has no meaning for {kind}: leave it out")


def _is_path(value: Any) -> bool:
    return isinstance(value, str | os.PathLike)


def _is_labelled_image(value: Any) -> bool:
    """Return whether a value is an image, or its path, with a label, as torchvision has them."""
    if not isinstance(value, tuple) or len(value) != 2:
        return False
    image, _ = value
    return _is_path(image) or isinstance(image, Image.Image) or np.ndim(image) in (2, 3)


def _is_batch_with_labels(source: Any) -> bool:
    """Return whether a source is [x, y] or (x, y, weights), arrays of images and what they have."""
    if not isinstance(source, list | tuple) or len(source) not in (2, 3):
        return False
    dimensions = [getattr(each, "ndim", 1) for each in source]
    is_list = [isinstance(each, list) or hasattr(each, "ndim") for each in source]
    return all(is_list) and (dimensions[0] == 4 or (dimensions[0] == 3 and dimensions[-1] == 1))


def _are_paths(source: Any) -> bool:
    """Return whether a source is a list, an array or a column of paths."""
    is_list = isinstance(source, list | tuple | pd.Series | pd.Index | np.ndarray)
    return is_list and len(source) > 0 and _is_path(next(iter(source)))


def _of_name(
    source: str | os.PathLike,
    split: str | None,
    classes: list[str] | None,
    reader: FileReader,
    options: dict,
) -> ImageSet:
    """Return the images of a folder or a table."""
    path = existing(source)
    if path.suffix.lower() in TABLES and path.is_file():
        table = read_table(path)
        folder = _root(options) if "root" in options else path.parent
        return images_of_table(table, split, folder, is_searched=True, **options)
    _allow(options, "a folder, whose folders are the classes")
    if path.is_dir():
        images = _of_folder(path, split, classes, reader)
        return replace(images, notes=[*_note_of_name(source, path), *images.notes])
    raise FileNotFoundError(
        f"{path} is a file: pass a folder of images, a table ({', '.join(TABLES)}) or a .zip file"
    )


def _note_of_name(source: str | os.PathLike, path: Path) -> list[str]:
    """Return a note if a name of camkit's own images is also that of a folder, else nothing."""
    folder = Path(source).expanduser().resolve()
    if folder == path or not folder.exists():
        return []
    name = os.fspath(source)
    return [f"{name!r} stands for camkit's own images: pass './{name}' for the folder {folder}"]


def _of_folder(
    folder: Path, split: str | None, classes: list[str] | None, reader: FileReader
) -> ImageSet:
    """Return the images of a folder."""
    layout = find_set(folder, split, reader, classes)
    index = {name: label for label, name in enumerate(layout.class_names)}
    rows = []
    for each in layout.classes:
        for path in each.files:
            inner = os.path.dirname(os.path.relpath(path, each.folder))
            rows.append((index[each.name], path, each.split, inner, each.above))
    # Two folders may be one class.
    rows.sort(key=lambda row: row[:2])
    rows += [(NO_LABEL, path, None, "", "") for path in layout.files]
    labels = np.array([label for label, *_ in rows], dtype=int)
    splits = [split for _, _, split, *_ in rows]
    folders = pd.DataFrame([row[3:] for row in rows], columns=["folder", "folder above"])
    metadata = folders.loc[:, (folders != "").any()]
    return ImageSet(
        layout.root,
        [path for _, path, *_ in rows],
        labels,
        layout.class_names,
        layout.skipped,
        metadata if len(metadata.columns) else None,
        layout.notes,
        _splits=splits if any(splits) else None,
    )


def _of_files_of_dataset(source: Any, options: dict) -> ImageSet | None:
    """Return the files that a dataset of Keras reads, or None if their labels are not known.

    Both `image_dataset_from_directory` and the iterators of `ImageDataGenerator` know their files.
    """
    if hasattr(source, "class_indices"):
        names = sorted(source.class_indices, key=source.class_indices.get)
        labels = [
            [names[index] for index in label] if isinstance(label, list | tuple) else int(label)
            for label in source.labels
        ]
        paths = source.filepaths
    else:
        names = list(getattr(source, "class_names", None) or [])
        paths = source.file_paths
        labels = _classes_in_paths(paths, names)
        if labels is None:
            return None
    _allow(options, f"a {type(source).__name__} of files", "multi_label")
    images = images_of_paths(
        paths, labels, Path().resolve(), names or None, options.get("multi_label")
    )
    note = (
        "the images are the files of the dataset, in the order of its list of files, as camkit "
        "reads them; images.read_as_keras(), with the interpolation, crop_to_aspect_ratio and "
        "pad_to_aspect_ratio that the dataset was given, reads them as the dataset does"
    )
    return replace(images, notes=[note, *images.notes])


def _classes_in_paths(paths: Sequence[str], names: list[str]) -> list[str] | None:
    """Return the class of each path: the name of its folder at the first depth where all have one.

    Without names of classes there are no labels, an empty list stands for them; None if a path
    lies in no folder of a class.
    """
    folders = [Path(path).parts[:-1] for path in paths]
    known = set(names)
    shared = len(Path(os.path.commonpath([Path(path).parent for path in paths])).parts)
    # The classes begin below the folder that all share, unless all images are of one class.
    for depth in (shared, *range(shared - 1, -1, -1)):
        found = [parts[depth] if depth < len(parts) else "" for parts in folders]
        if set(found) <= known:
            return found
    return None


# Choosing and checking ----------------------------------------------------------------------------


def _of_classes(images: ImageSet, classes: list[str]) -> ImageSet:
    """Return the images of some classes. Raises ValueError for an unknown one."""
    if images.labels.ndim == 2:
        raise ValueError(
            "classes= chooses among images with one label each: select those with several by "
            "images.select(images.labels[:, c])"
        )
    wanted = {unicodedata.normalize("NFC", str(name)) for name in classes}
    composed = [unicodedata.normalize("NFC", name) for name in images.class_names]
    unknown = wanted - set(composed)
    if unknown:
        raise ValueError(
            f"no class {quote(unknown)} in {images.root}; its classes are "
            f"{quote(images.class_names)}"
        )
    kept = [label for label, name in enumerate(composed) if name in wanted]
    new_labels = np.full(len(composed) + 1, NO_LABEL)
    new_labels[kept] = np.arange(len(kept))
    chosen = images.select(np.isin(images.labels, kept))
    names = [images.class_names[label] for label in kept]
    return replace(chosen, labels=new_labels[chosen.labels], class_names=names)


class _Queue(NamedTuple):
    """The images of one class in the order in which they are tried, and how many to load."""

    rows: np.ndarray
    quota: int


def _readable(images: ImageSet, per_class: int | None, seed: int, checker: Checker) -> ImageSet:
    """Return the images that can be read, at most `per_class` of each class."""
    queues = _queues(images, per_class, seed)
    rows: list[int] = []
    skipped = list(images.skipped)
    for readable, unreadable in _check_all(queues, images.paths, checker):
        rows += readable
        skipped += unreadable
    notes = [*images.notes, *_note_of_repeated(images, rows), *checker.notes]
    reader = images.reader if isinstance(images.reader, ArrayReader) else checker.reader
    images = replace(images, skipped=skipped, notes=notes, reader=reader)
    if not rows:
        raise FileNotFoundError(_nothing_readable(images))
    return images.select(sorted(rows))


def _note_of_repeated(images: ImageSet, rows: list[int]) -> list[str]:
    """Return notes on files in several rows: under different labels, or under the same."""
    first: dict[Path, int] = {}
    with_other_labels: list[str] = []
    with_the_same: list[str] = []
    for row in rows:
        path = images.paths[row]
        before = first.setdefault(path, row)
        if before == row:
            continue
        is_same = np.array_equal(images.labels[before], images.labels[row])
        (with_the_same if is_same else with_other_labels).append(path.name)
    notes = []
    if with_other_labels:
        notes.append(f"files in several rows, under different labels: {quote(with_other_labels)}")
    if with_the_same:
        notes.append(f"files in several rows: {quote(with_the_same)}")
    return notes


def _queues(images: ImageSet, per_class: int | None, seed: int) -> list[_Queue]:
    """Return a queue for each class, or one queue if all images are loaded."""
    if per_class is None:
        return [_Queue(np.arange(len(images)), len(images))]
    if images.labels.ndim == 2:
        raise ValueError(
            "per_class= counts images with one label each: select some of those with several by "
            "images.select(indices)"
        )
    queues = []
    for label in np.unique(images.labels):
        rows = np.flatnonzero(images.labels == label)
        name = "" if label == NO_LABEL else images.class_names[label]
        queues.append(_draw(name, rows, per_class, seed))
    return queues


def _draw(name: str, rows: np.ndarray, per_class: int, seed: int) -> _Queue:
    """Return the queue of a class, in an order that depends only on its name and `seed`."""
    if per_class >= len(rows):
        return _Queue(rows, quota=len(rows))
    generator = np.random.default_rng([seed, *os.fsencode(name)])
    order = generator.permutation(len(rows))
    return _Queue(rows[order], quota=per_class)


class _Checked(NamedTuple):
    """The result of a queue: its readable images, and (path, reason) of the others tried."""

    readable: list[int]
    unreadable: list[tuple[Path, str]]


def _check_all(queues: list[_Queue], paths: list[Path], checker: Checker) -> list[_Checked]:
    """Return the result of each queue."""
    total = sum(queue.quota for queue in queues)
    with (
        ThreadPoolExecutor(THREADS) as pool,
        warnings.catch_warnings(),
        progress(total, "Checking images", "image") as bar,
    ):
        warnings.simplefilter("ignore", UserWarning)
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        return [_check(queue, paths, checker, pool, bar) for queue in queues]


def _check(
    queue: _Queue, paths: list[Path], checker: Checker, pool: ThreadPoolExecutor, bar: tqdm
) -> _Checked:
    """Try the images of a queue until it has as many readable ones as its quota says."""
    readable: list[int] = []
    unreadable: list[tuple[Path, str]] = []
    untried = queue.rows
    while len(untried) and len(readable) < queue.quota:
        missing = queue.quota - len(readable)
        trial = untried[:missing]
        untried = untried[missing:]
        files = [paths[row] for row in trial]
        for row, path, reason in zip(trial, files, pool.map(checker.reason, files), strict=True):
            if reason is None:
                readable.append(row)
            else:
                unreadable.append((path, reason))
            bar.update()
    return _Checked(readable, unreadable)


def _nothing_readable(images: ImageSet) -> str:
    """Return the message for a set in which no image can be read."""
    where = f"the classes {quote(images.class_names)}" if images.class_names else "it"
    reasons = "; ".join(f"{path.name}: {reason}" for path, reason in images.skipped[:3])
    return (
        f"no readable image in {images.root}: looked for {names_of_formats()} in {where}; files "
        f"skipped: {len(images.skipped)} ({reasons})"
    )
