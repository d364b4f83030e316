"""Analysing a set of images: run a model once over the whole set, and stream the results to disk.

The shards are computed here (`_shards`) or, with engine="ray", on the machines of a cluster
(`ray`). If the process is killed, the next call continues from the last complete shard.
"""

import hashlib
import json
import os
import re
import shutil
import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from camkit._class_names import names_in_order
from camkit._files import in_turn, present, to_path, write_whole
from camkit._progress import progress
from camkit.analysis import _label_sets, _reuse, _shards
from camkit.analysis._classes import Matched, check_labels, match
from camkit.analysis._folder import ABOUT, array_names, is_finished, temporary_folder
from camkit.analysis._metadata import pack
from camkit.analysis._method import difference, identify, is_same, name_of
from camkit.analysis._range import hint_of_range
from camkit.analysis._reader import Grid, Method, Reader as ModelReader, Rows, Size, reader_of
from camkit.analysis.result import Analysis, load_analysis
from camkit.images import ImageSet
from camkit.images._as_arrays import ArrayReader
from camkit.images._as_keras import KerasReader, Reader
from camkit.images._digests import digest_of
from camkit.images.decoding import THREADS

if TYPE_CHECKING:
    import keras

_LOCK = ".lock"

# A folder of images that had no lasting files, in the folder of their analysis.
_IMAGES = re.compile(r"images-[0-9a-f]{12}(\.partial)?")

# The entries of about.json that must agree to resume an analysis, and their names in messages.
_MUST_AGREE = {
    "model": "model",
    "images": "image set",
    "reader": "way of reading the files",
    "method": "method",
    "class_names": "list of classes",
    "input_size": "input size",
    "grid": "grid of tokens",
    "inputs": "choice of inputs with a row for each image",
    "batch_size": "batch size",
}
_OTHER_IMAGES = f"another {_MUST_AGREE['images']}"


def analyze(
    model: "keras.Model",
    images: ImageSet,
    folder: str | os.PathLike | None = None,
    *,
    method: Method | None = None,
    class_names: Sequence[str] | Mapping | None = None,
    inputs: Mapping[str, Any] | None = None,
    output: str | None = None,
    grid: Grid = None,
    batch_size: int = 32,
    input_size: Size = None,
    engine: str | None = None,
) -> Analysis:
    """Return the Analysis of an image set by a model, with one forward pass per image.

    Memory stays bounded, because results are streamed to `folder`. If the process is killed at any
    moment, the next call continues from the last complete shard and ends with the same arrays, bit
    for bit. A second process waits for the first.

    If images were added, removed, changed or relabelled since, the analysis that the folder holds
    is brought up to date: only images whose files are new to it are computed. This needs CAM or a
    method of camkit, a folder on this machine, and half of its images still there. A folder that
    holds any other analysis, by another model or method or with another input size, is refused.

    The folders of the images are matched with the classes of the model by name (the model's own
    names or `class_names`); else by index if all folder names are numbers 0 … C − 1; else, if the
    model has no names, one by one in the order of the folder names, as
    keras.utils.image_dataset_from_directory orders them (`matched_by` of the Analysis says which).
    Numbers are refused where their order as text, "10" before "2", is not that of their values.
    A model with one output, a sigmoid or a logit, has two classes: it gives the probability of the
    second. Images with several labels, a mask (N, C), need a model with a sigmoid for each label,
    and a column for each of its classes; labels that are unknown, NaN or -1, are refused.

    A model is given the values 0 to 255 of files, and those that arrays have. If it classifies far
    more images correctly in another usual range, a warning says so; for this, 64 images at most
    are read once more.

    Args:
        model: A Keras model, with a GAP → Dense head unless `method` is given.
        images: The images, which are stretched to the size of the model's input and read in its
            channels: gray (1), RGB (3) or RGBA (4). `images.read_as_keras()` gives the numbers of
            keras.utils.image_dataset_from_directory, and so the accuracy of `model.evaluate`.
        folder: Where the results are stored: a folder, or an address such as s3://bucket/name, of
            which the Analysis reads a local copy. Stores have no locks, so a second process does
            not wait there. None for a temporary folder that exists as long as the Analysis.
        method: None stores the class maps (CAM) of all classes. A method of the family, such as
            camkit.grad_cam or functools.partial(camkit.layer_cam, layer="conv3"), or a function
            `method(model, batch, targets)` that returns maps (B, h, w), stores its maps of the top
            five classes; the true class replaces the fifth if it is not among them. Of images with
            several labels, up to five true labels come first, then the most probable ones. The GAP
            features are then the means of the layer that functools.partial sets as `layer`, also
            for a method that reads none, such as camkit.occlusion, else of the last map. A function
            is identified by its code and the values that it uses, so that no other function
            continues its analysis. One that uses an object whose state cannot be determined is
            refused unless `folder` is None. Bytecode changes with Python's minor releases: on
            another release, your own function (unlike camkit's) counts as another method.
        class_names: A name for each class of the model, in the order of its outputs; two for a
            model with one output. None for the model's own names.
        inputs: {name: values} of the inputs beside the images, for a model with several inputs: one
            row, which holds for all images, or one row for each image, in their order.
        output: The name of the output that is explained, for a model with several outputs.
        grid: (height, width) of the tokens of a transformer, where the model does not tell it.
        batch_size: The number of images that go through the network at once.
        input_size: The size of the images in pixels, one number or (height, width); None for that
            of the model's input. It is required if the model takes images of any size.
        engine: None computes in this process. "ray" (pip install 'camkit[cluster]') computes on the
            cluster that ray.init has connected to or that RAY_ADDRESS gives, else on this machine's
            cores. All machines must find `folder` and the images under the same names. Each engine
            continues where the other was stopped.

    Returns:
        The Analysis, whose arrays are in the folder.

    Raises:
        HeadError: CAM or the method does not apply to the model.
        ValueError: There are no images, the classes of the model do not match those of the images,
            the input size is unknown, the folder holds another analysis or other files, the method
            cannot be distinguished from others, or a worker of a cluster cannot load the model.
        OSError: A file cannot be read or written, or the cluster or its workers fail.
        ImportError: An engine or an address needs camkit[cluster].

    Example:
        >>> import camkit
        >>> images = camkit.load_images("mini", "Test", per_class=1)
        >>> model = camkit.gap_classifier(camkit.backbone("mini"), images.class_names)
        >>> camkit.analyze(model, images).maps.shape
        (12, 13, 13, 12)
        >>> camkit.analyze(model, images, method=camkit.grad_cam).maps.shape
        (12, 13, 13, 5)
    """
    from camkit.models._part import part, rows_of_images
    from camkit.models._serialize import fingerprint

    _check_images(images)
    if engine not in (None, "ray"):
        raise ValueError(
            f"engine is {engine!r}: None computes in this process, 'ray' on a cluster "
            "(pip install 'camkit[cluster]')"
        )
    if engine == "ray":
        # Without Ray, this says so at once.
        import camkit.analysis.ray  # noqa: F401
    rows = rows_of_images(model, inputs, len(images))
    # The identity of the model does not depend on the row of the first image.
    zeros = {name: np.zeros_like(values[0]) for name, values in rows.items()}
    model = part(model, {**(inputs or {}), **zeros}, output)
    reader = reader_of(model, method, input_size, grid)
    names = reader.class_names
    if class_names is not None:
        names = names_in_order(class_names)
    check_labels(images, reader.is_multi_label)
    matched = match(images, reader.classes, names)
    digests = _digests(images, rows)
    identity = _fingerprint(images, digests)
    kept = _kept(images, folder, identity)
    about = {
        "model": fingerprint(model),
        "images": identity,
        "inputs": sorted(rows) or None,
        "batch_size": batch_size,
        "method": _identity(method, folder),
        "grid": None if grid is None else list(grid),
        **_about_images(images, kept, digests, folder),
        **_about_classes(matched, reader),
        "input_size": list(reader.size),
        "bias": None if reader.bias is None else reader.bias.tolist(),
        "has_rest": reader.has_rest,
    }
    temporary = None
    if folder is None:
        temporary = temporary_folder()
        folder = temporary.name
    folder = to_path(folder)
    compute = partial(
        _compute,
        engine=engine,
        model=model,
        method=method,
        input_size=input_size,
        grid=grid,
        reader=reader,
        images=images,
        labels=matched.labels,
        inputs=rows,
        arrays=array_names(about),
    )
    # A process that has waited here for another one finds the work done.
    with in_turn(folder / _LOCK):
        is_new = _bring_up_to_date(folder, about, images, kept, compute)
        analysis = load_analysis(folder)
    # The folder holds no functions.
    analysis.reader = images.reader
    if temporary is not None:
        analysis._temporary = temporary
        analysis._images = images._temporary
    if is_new and not rows and not analysis.has_label_sets:
        score = partial(_scores, model, None if method is not None else reader)
        shape = (*reader.size, reader.channels)
        hint = hint_of_range(analysis.labels, analysis.predicted, images, score, shape, batch_size)
        if hint:
            warnings.warn(hint, stacklevel=2)
    return analysis


def _bring_up_to_date(
    folder: Path, about: dict[str, Any], images: ImageSet, kept: ImageSet, compute: Callable
) -> bool:
    """Compute what the folder of an analysis lacks, and return whether that was all of it.

    Args:
        folder: The folder.
        about: What about.json is to hold.
        images: The images.
        kept: The same images where they are to last.
        compute: `compute(rows, folder, batch_size)` analyses some of the images.
    """
    _reuse.tidy(folder)
    outdated = _claim(folder, about)
    _keep(images, kept)
    is_new = outdated is None and not is_finished(folder, about)
    if is_new:
        compute(np.arange(len(images)), folder, about["batch_size"])
    elif outdated is not None:
        _reuse.update(folder, outdated, about, compute)
    _shards.remove(folder)
    _reuse.remove(folder)
    if outdated is not None:
        _remove_images(outdated, folder, kept)
    return is_new


def _about_images(
    images: ImageSet, kept: ImageSet, digests: list[bytes], folder: str | os.PathLike | None
) -> dict[str, Any]:
    """Return what about.json says of the images, whose files are to stay where `kept` has them."""
    return {
        "reader": _description(images.reader, folder),
        "paths": [str(path) for path in kept.paths],
        "digests": [digest.hex() for digest in digests],
        "root": str(kept.root),
        "splits": images.splits if any(images.splits) else None,
        "metadata": pack(images.metadata, len(images)),
    }


def _about_classes(matched: Matched, reader: ModelReader) -> dict[str, Any]:
    """Return what about.json says of the classes and the labels."""
    return {
        "class_names": matched.names,
        "labels": _label_sets.to_json(matched.labels),
        "matched_by": matched.rule,
        "multi_label": reader.is_multi_label,
    }


def _scores(model: "keras.Model", reader: ModelReader | None, batch: np.ndarray) -> np.ndarray:
    """Return the logits of a batch: by CAM, whose reader is given, or by the model alone."""
    from camkit.models._probe import scores

    if reader is None:
        return scores(model, batch)
    return reader.read(batch, np.full(len(batch), -1), {})["logits"]


def _check_images(images: Any) -> None:
    """Raise ValueError for what is no image set, or an empty one."""
    if not isinstance(images, ImageSet):
        raise ValueError(
            f"images is a {type(images).__name__}: pass the image set "
            f"camkit.load_images({_source(images)})"
        )
    if not len(images):
        raise ValueError(f"there are no images to analyse in {images}")


def _source(images: Any) -> str:
    """Return what to write for `source` of load_images, given what was passed for its result."""
    if isinstance(images, str | os.PathLike):
        return repr(str(images))
    if isinstance(images, tuple):
        return "(x, y)"
    if isinstance(images, pd.DataFrame):
        return "table"
    return "x" if hasattr(images, "__array__") else "source"


# Images that were arrays or lay in an archive -----------------------------------------------------


def _kept(images: ImageSet, folder: str | os.PathLike | None, fingerprint: str) -> ImageSet:
    """Return the set whose files are to last: a copy in the folder of temporary files.

    Each set has a folder of its own, so that an analysis that is brought up to date has its images
    until then. Raises ValueError for temporary files and a folder that is an address.
    """
    if images._temporary is None or folder is None:
        return images
    folder = to_path(folder)
    if not isinstance(folder, Path):
        raise ValueError(
            f"the images are in a temporary folder, and {folder} is the address of a store: pass "
            "images.copy_to('my-images')"
        )
    return images._copied_to(folder.resolve() / f"images-{fingerprint[:12]}")


def _keep(images: ImageSet, kept: ImageSet) -> None:
    """Copy the files of a set to their place in the folder of the analysis, if they are not there.

    A copy that was stopped is continued.
    """
    if kept is images or kept.root.exists():
        return
    unfinished = kept.root.with_name(f"{kept.root.name}.partial")
    images._copy_files(images._copied_to(unfinished.resolve()))
    os.replace(unfinished, kept.root)


def _remove_images(outdated: Mapping[str, Any], folder: Path, kept: ImageSet) -> None:
    """Delete the images that were kept for an analysis, once it has been brought up to date."""
    root = Path(outdated.get("root", folder))
    is_ours = root.parent == folder.resolve() and _IMAGES.fullmatch(root.name)
    if is_ours and not any(path.is_relative_to(root) for path in kept.paths):
        shutil.rmtree(root, ignore_errors=True)


def _compute(
    rows: np.ndarray,
    folder: Path,
    batch_size: int,
    *,
    engine: str | None,
    model: "keras.Model",
    method: Method | None,
    input_size: Size,
    grid: Grid,
    reader: ModelReader,
    images: ImageSet,
    labels: np.ndarray,
    inputs: Rows,
    arrays: tuple[str, ...],
) -> None:
    """Analyse the images `rows`, and write the arrays to a folder."""
    images = images.select(rows)
    labels = labels[rows]
    inputs = _shards.cut(inputs, rows)
    if engine == "ray":
        from camkit.analysis import ray

        ray.compute(
            model, method, input_size, grid, images, labels, inputs, folder, batch_size, arrays
        )
    else:
        _shards.compute(reader, images, labels, inputs, folder, batch_size, arrays)
    _shards.join(folder, len(images), batch_size, arrays)


def _identity(method: Method | None, folder: str | os.PathLike | None) -> str | None:
    """Return the identity of a method that is stored; None for CAM."""
    if method is None:
        return None
    if folder is None:
        # An analysis in a temporary folder is never resumed, so a name is enough.
        return name_of(method)
    return identify(method)


def _description(reader: Reader, folder: str | os.PathLike | None) -> dict[str, Any] | None:
    """Return what distinguishes a reader of files from others; None for that of `read_image`."""
    if isinstance(reader, KerasReader):
        return {"keras": reader.settings()}
    if isinstance(reader, ArrayReader):
        return {"array": reader.settings()}
    description: dict[str, Any] = {}
    # Version 1.0.0 read integers so.
    if reader.integer_white not in (None, 65535):
        description["integer_white"] = reader.integer_white
    if reader.float_white is not None:
        description["float_white"] = reader.float_white
    if reader.opener is not None:
        name = name_of(reader.opener)
        # An analysis in a temporary folder is never resumed, so a name is enough.
        identity = name if folder is None else identify(reader.opener, "image_opener")
        description |= {"opener": name, "identity": identity}
    return description or None


def _digests(images: ImageSet, rows: Rows) -> list[bytes]:
    """Return the SHA-256 digest of each image's file, and of its row where it has one."""
    digests = []
    with (
        ThreadPoolExecutor(THREADS) as pool,
        progress(len(images), "Reading images", "image") as bar,
    ):
        for index, digest in enumerate(pool.map(digest_of, images.paths)):
            for name in sorted(rows):
                row = np.ascontiguousarray(rows[name][index])
                digest = hashlib.sha256(digest + name.encode() + row.tobytes()).digest()
            digests.append(digest)
            bar.update()
    return digests


def _fingerprint(images: ImageSet, digests: list[bytes]) -> str:
    """Return a digest of the images, their order, names and labels, independent of their folder."""
    digest = hashlib.sha256(json.dumps(list(images.class_names)).encode())
    labels = _label_sets.to_json(np.asarray(images.labels))
    for path, label, content in zip(images.paths, labels, digests, strict=True):
        path = Path(path)
        entry = f"{path.parent.name}/{path.name} {label} "
        digest.update(entry.encode(errors="surrogateescape"))
        digest.update(content)
    return digest.hexdigest()


def _claim(folder: Path, about: dict) -> dict | None:
    """Write about.json, whose paths may have changed, unless the folder holds something else.

    Returns the content of about.json, and leaves it as it is, if the folder holds the analysis of
    other images, which is to be brought up to date. Otherwise returns None.

    Raises ValueError for another analysis, and for files that do not belong to an analysis.
    """
    file = folder / ABOUT
    files = present(folder)
    # A run that failed before its first shard leaves nothing to protect, such as a method of the
    # user's that is being debugged.
    images = {name for name in files if _IMAGES.fullmatch(name)}
    results = files - {ABOUT, f"{ABOUT}.partial", _LOCK} - images
    if ABOUT in files and results:
        stored = json.loads(file.read_text(encoding="utf-8"))
        if is_finished(folder, stored):
            # Only the shards of an unfinished analysis depend on the size of the batches.
            about["batch_size"] = stored["batch_size"]
        differences = _differences(stored, about)
        share = ""
        is_local = isinstance(folder, Path)
        if differences == [_OTHER_IMAGES] and is_local and _reuse.is_possible(stored, about):
            _, remaining = _reuse.known_rows(folder, stored, about)
            if remaining >= _reuse.LEAST:
                return stored
            rows = "" if about["inputs"] is None else ", each with the same row of inputs"
            share = f" ({100 * remaining:.0f} % of its images are among these{rows})"
        if differences:
            raise ValueError(
                f"{folder} holds the analysis of {' and '.join(differences)}{share}: choose "
                "another folder, or delete this one"
            )
    elif results:
        raise ValueError(
            f"{folder} holds files that are not an analysis: choose an empty folder or a new one"
        )
    write_whole(file, json.dumps(about).encode())
    return None


def _differences(stored: dict, about: dict) -> list[str]:
    """Return how a stored analysis differs from this one, such as ["another model"]."""
    differences = []
    for key, kind in _MUST_AGREE.items():
        if key == "method":
            if not is_same(stored.get(key), about[key]):
                differences.append(difference(stored.get(key), about[key]))
        elif stored.get(key) != about[key]:
            differences.append(f"another {kind}")
    return differences
