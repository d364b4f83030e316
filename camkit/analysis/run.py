"""Analysing a set of images: the whole set through the model once, streamed to disk.

The shards are computed here (`_shards`) or, with engine="ray", on the machines of a cluster
(`ray`). Killed at any moment, the work goes on from the last whole shard.
"""

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from camkit._files import in_turn, present, to_path, write_whole
from camkit.analysis import _shards
from camkit.analysis._classes import match
from camkit.analysis._folder import ABOUT, array_names, is_finished, temporary_folder
from camkit.analysis._method import identify, is_same, name_of
from camkit.analysis._reader import Method, Size, reader_of
from camkit.analysis.result import Analysis, load_analysis
from camkit.images import ImageSet

if TYPE_CHECKING:
    import keras

_LOCK = ".lock"

# What must be the same for an analysis to go on, and what it is called in an error.
_MUST_AGREE = {
    "model": "model",
    "images": "image set",
    "method": "method",
    "class_names": "list of classes",
    "input_size": "input size",
    "batch_size": "batch size",
}


def analyze(
    model: "keras.Model",
    images: ImageSet,
    folder: str | os.PathLike | None = None,
    *,
    method: Method | None = None,
    class_names: Sequence[str] | None = None,
    batch_size: int = 32,
    input_size: Size = None,
    engine: str | None = None,
) -> Analysis:
    """Return the Analysis of an image set by a model, with one forward pass per image.

    Memory stays bounded, as results are streamed to `folder`. Killed at any moment and called
    again, it goes on from the last whole shard and ends with the same arrays, bit for bit. A second
    process waits for the first. A folder that holds the analysis of another model, image set,
    method and so on is refused.

    The folders of the images are classes of the model by name (its own names or `class_names`),
    else by index where all are called 0 … C − 1, else, if the model has no names, in the order of
    their names.

    Args:
        model: A Functional or Sequential model. Without `method` it has a GAP → Dense head.
        images: The images, which are stretched to the size of the model's input.
        folder: Where the results go: a folder, or an address such as s3://bucket/name, of which the
            Analysis reads a copy here. Stores have no locks, so nobody waits there. None for a
            temporary folder that is kept as long as the Analysis.
        method: None keeps the class maps (CAM) of all classes. A method of the family, such as
            camkit.grad_cam or functools.partial(camkit.layer_cam, layer="conv3"), or a function
            `method(model, batch, targets)` that returns maps (B, h, w), keeps its maps of the top
            five classes, the true one in place of the fifth where it is not among them; the GAP
            features are then the means of the layer that it reads. A function is known by its code
            and the values that it uses, so that another one does not go on with its maps; one that
            uses an object whose state cannot be known is refused unless `folder` is None. Bytecode
            changes with Python's minor releases: on another, a function of yours (not of camkit's)
            counts as another method.
        class_names: A name for each output of the model, in order; None for the model's own.
        batch_size: How many images go through the network at once.
        input_size: The size of the images in pixels: one number or (height, width); None for the
            model's own. Needed where the model takes any size.
        engine: None computes here. "ray" (pip install 'camkit[cluster]') computes on the cluster
            that ray.init has connected to or RAY_ADDRESS names, else on this machine's cores;
            `folder` and the images are where all its machines find them under the same names. One
            engine goes on where the other was stopped.

    Returns:
        The Analysis, whose arrays lie in the folder.

    Raises:
        HeadError: CAM or the method does not apply to the model.
        ValueError: The classes of the model are not those of the images, the input size is
            unknown, the folder holds another analysis or other files, or the method cannot be told
            from others.
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
    from camkit.models._serialize import fingerprint

    if not len(images):
        raise ValueError(f"there is no image to analyse in {images}")
    if engine not in (None, "ray"):
        raise ValueError(
            f"engine is {engine!r}: None computes here, 'ray' on a cluster "
            "(pip install 'camkit[cluster]')"
        )
    if engine == "ray":
        from camkit.analysis import ray
    reader = reader_of(model, method, input_size)
    names = reader.class_names
    if class_names is not None:
        names = [str(name) for name in class_names]
    labels, names = match(images, reader.classes, names)
    about = {
        "model": fingerprint(model),
        "images": _fingerprint(images),
        "input_size": list(reader.size),
        "batch_size": batch_size,
        "method": _identity(method, folder),
        "class_names": names,
        "labels": labels.tolist(),
        "bias": None if reader.bias is None else reader.bias.tolist(),
        "paths": [str(path) for path in images.paths],
    }
    temporary = None
    if folder is None:
        temporary = temporary_folder()
        folder = temporary.name
    folder = to_path(folder)
    # A process that has waited for another here finds the work done.
    with in_turn(folder / _LOCK):
        _claim(folder, about)
        if not is_finished(folder, about):
            arrays = array_names(about)
            if engine == "ray":
                ray.compute(model, method, input_size, images, labels, folder, batch_size, arrays)
            else:
                _shards.compute(reader, images, labels, folder, batch_size, arrays)
            _shards.join(folder, len(images), batch_size, arrays)
        _shards.remove(folder)
        analysis = load_analysis(folder)
    if temporary is not None:
        analysis._temporary = temporary
    return analysis


def _identity(method: Method | None, folder: str | os.PathLike | None) -> str | None:
    """Return what is stored of a method; None for CAM."""
    if method is None:
        return None
    if folder is None:
        # Nothing goes on in a temporary folder, so a name will do.
        return name_of(method)
    return identify(method)


def _fingerprint(images: ImageSet) -> str:
    """Return a digest of the images, their order, names and labels, wherever they lie."""
    digest = hashlib.sha256(json.dumps(list(images.class_names)).encode())
    for path, label in zip(images.paths, images.labels, strict=True):
        path = Path(path)
        entry = f"{path.parent.name}/{path.name} {label} "
        digest.update(entry.encode(errors="surrogateescape"))
        with open(path, "rb") as file:
            content = hashlib.file_digest(file, "sha256")
        digest.update(content.digest())
    return digest.hexdigest()


def _claim(folder: Path, about: dict) -> None:
    """Write about.json, which may have other paths now, unless the folder holds something else.

    Raises ValueError for another analysis and for files that belong to none.
    """
    file = folder / ABOUT
    files = present(folder)
    if ABOUT in files:
        stored = json.loads(file.read_text(encoding="utf-8"))
        differences = _differences(stored, about)
        if differences:
            raise ValueError(
                f"{folder} holds the analysis of {' and '.join(differences)}: choose another "
                "folder, or delete this one"
            )
    elif files - {f"{ABOUT}.partial", _LOCK}:
        raise ValueError(
            f"{folder} holds files that are no analysis: choose an empty folder or a new one"
        )
    write_whole(file, json.dumps(about).encode())


def _differences(stored: dict, about: dict) -> list[str]:
    """Return what an analysis that was stored has of its own, such as "another model"."""
    differences = []
    for key, kind in _MUST_AGREE.items():
        if key == "method":
            agrees = is_same(stored.get(key), about[key])
        else:
            agrees = stored.get(key) == about[key]
        if not agrees:
            differences.append(f"another {kind}")
    return differences
