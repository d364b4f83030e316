"""A whole image set through the model once, streamed to disk; everything after that reads the result.

A folder holds `about.json` and, while the work goes on, one `shard-NNNNN.npz` for every 256 images or so, which appears
whole or not at all. At the end they are joined into `gap.npy`, `maps.npy`, `logits.npy` and `probs.npy`. The shards are
computed here, or (engine="ray") on the machines of a cluster.
"""

import hashlib
import json
import os
import tempfile
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from camkit._files import any_bytes, in_turn, place, present, write_whole
from camkit.analysis import _reader as reading
from camkit.analysis import _shards as shards
from camkit.images import ImageSet

ARRAYS = ("gap", "maps", "logits", "probs")


@dataclass
class Analysis:
    """What a model sees in N images; the arrays are read from disk as they are used.

    gap (N, K) float32 GAP features; maps (N, h, w, M) maps of the classes map_classes (N, M): float16 signed class maps
    of all classes in order, whose mean plus the bias (C,) is the logit, or else, with bias None, float32 maps as a
    method makes them, of the top five classes, or four and the true one; logits, probs (N, C) float32; labels (N,)
    class indices, -1 where a picture has none; predicted (N,) class indices; paths, class_names lists of str.
    """

    folder: Path
    gap: np.ndarray
    maps: np.ndarray
    logits: np.ndarray
    probs: np.ndarray
    labels: np.ndarray
    bias: np.ndarray | None
    paths: list
    class_names: list
    map_classes: np.ndarray
    _keep: object = field(default=None, repr=False)

    def __len__(self):
        return len(self.labels)

    @property
    def images(self):
        """The ImageSet that was analysed, as it lies on disk now."""
        paths = [Path(path) for path in self.paths]
        root = Path(os.path.commonpath([path.parent.parent for path in paths]))
        return ImageSet(root, paths, self.labels, self.class_names, [])

    @cached_property
    def predicted(self):
        return np.argmax(self.logits, axis=1)

    @cached_property
    @any_bytes()
    def table(self):
        """A DataFrame with a row an image: path, true and predicted class, confidence (probability of the predicted
        class, 0..1) and margin (logit of the true class minus the highest other one: below zero for an error). Without
        a label the true class is None and the margin NaN."""
        rows, names = (
            np.arange(len(self)),
            np.array([*self.class_names, None], dtype=object),
        )  # None for -1
        others = np.array(self.logits)
        others[rows, self.labels] = -np.inf
        return pd.DataFrame(
            {
                "path": self.paths,
                "true": names[self.labels],
                "predicted": names[self.predicted],
                "confidence": self.probs[rows, self.predicted],
                "margin": np.where(
                    self.labels < 0, np.nan, self.logits[rows, self.labels] - others.max(axis=1)
                ),
            }
        )

    @property
    def errors(self):
        """The rows of `table` whose predicted class is not the true one, most confident first; labelled ones only."""
        wrong = self.table[(self.predicted != self.labels) & (self.labels >= 0)]
        return wrong.sort_values("confidence", ascending=False, kind="stable")

    def class_map(self, i, c):
        """The map (h, w) float32 of class `c` in picture `i`. Raises ValueError where that class was not kept."""
        at = np.flatnonzero(self.map_classes[i] == c)
        if not len(at):
            kept = {int(k): self.class_names[k] for k in self.map_classes[i]}
            raise ValueError(
                f"no map of class {c} was kept for {self.paths[i]}, only those of {kept}"
            )
        return np.asarray(self.maps[i, ..., at[0]], dtype="float32")


def analyze(
    model,
    images,
    folder=None,
    *,
    method=None,
    class_names=None,
    batch_size=32,
    input_size=None,
    engine=None,
):
    """Return the Analysis of an image set by a model, one forward pass an image.

    Without `method` the model has a GAP → Dense head, and the maps are those of CAM, of all classes. With one of the
    family, such as camkit.grad_cam or functools.partial(camkit.layer_cam, layer="conv3"), they are its maps of the top
    five classes, the true one in place of the fifth where it is not among them; the GAP features are the means of the
    layer that it reads.
    The folders of the images are classes of the model by name (its own names or `class_names`, one for each output in
    order), else by index where all are called 0 … C − 1, else, if the model has no names, in the order of their names.
    Images are stretched to the size of the model's input; `input_size` (pixels: one number or (height, width)) asks for
    another, and is needed where the model takes any.
    Memory stays bounded: results go to `folder` (default: a temporary one, kept as long as the Analysis is). Killed at
    any moment and called again, it goes on from the last whole shard and ends with the same arrays, bit for bit. A
    second process waits for the first.
    With engine="ray" (pip install camkit[cluster]) the shards are computed on the cluster that ray.init has connected
    to or RAY_ADDRESS names, else on this machine's cores; `folder` and the images are where all its machines find them
    under the same names. A folder may be an address, such as s3://bucket/name: the Analysis then reads a copy here, and
    nobody waits, since such stores have no locks. One engine goes on where the other was stopped.
    Raises HeadError where CAM or the method does not apply, ValueError where the classes of the model are not those of
    the images, its input size is unknown or the folder holds the analysis of another model, image set and so on;
    OSError, ValueError or ImportError where the cluster, its workers or the extra fail.
    """
    from camkit.models import _copy as inference

    if not len(images):
        raise ValueError(f"there is no image to analyse in {images}")
    if engine not in (None, "ray"):
        raise ValueError(
            f"engine is {engine!r}: None computes here, 'ray' on a cluster (pip install camkit[cluster])"
        )
    if engine:
        from camkit.analysis import ray as cluster
    reader = reading.reader_of(model, method, input_size)
    names = reader.class_names if class_names is None else [str(name) for name in class_names]
    labels, class_names = reading.match(images, reader.classes, names)
    keep = (
        None
        if folder is not None
        else tempfile.TemporaryDirectory(prefix="camkit-", ignore_cleanup_errors=True)
    )
    folder = place(keep.name if keep else folder)
    about = {
        "model": inference.fingerprint(model),
        "images": _fingerprint(images),
        "input_size": list(reader.size),
        "batch_size": batch_size,
        "method": reading.described(method),
        "class_names": class_names,
        "labels": labels.tolist(),
        "bias": None if reader.bias is None else reader.bias.tolist(),
        "paths": [str(path) for path in images.paths],
    }
    with in_turn(folder / ".lock"):  # who waited finds the work done
        _claim(folder, about)
        names = _arrays(about)
        if not {f"{name}.npy" for name in names} <= present(folder):
            if engine:
                cluster.compute(
                    model, method, input_size, images, labels, folder, batch_size, names
                )
            else:
                shards.compute(reader, images, labels, folder, batch_size, names)
            shards.join(folder, len(images), batch_size, names)
        for name in present(folder):  # all are joined now
            if name.startswith("shard-"):
                (folder / name).unlink()
        return load_analysis(folder, _keep=keep)


def load_analysis(folder, *, _keep=None):
    """Return the Analysis that `folder` holds. Raises ValueError where there is none, or one that is not finished."""
    folder = place(folder)
    found = present(folder)
    if "about.json" not in found:
        raise ValueError(
            f"{folder} holds no analysis: camkit.analyze(model, images, folder) makes one"
        )
    about = json.loads((folder / "about.json").read_text(encoding="utf-8"))
    if not {f"{name}.npy" for name in _arrays(about)} <= found:
        raise ValueError(
            f"the analysis in {folder} is not finished: camkit.analyze with the same model and images goes on"
        )
    if not isinstance(folder, Path):  # of a store: brought here
        _keep = tempfile.TemporaryDirectory(prefix="camkit-", ignore_cleanup_errors=True)
        for name in found:
            folder.fs.get_file((folder / name).path, f"{_keep.name}/{name}")
        folder = Path(_keep.name)
    arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in _arrays(about)}
    classes = len(about["class_names"])
    arrays.setdefault(
        "map_classes", np.broadcast_to(np.arange(classes), (len(about["labels"]), classes))
    )
    bias = None if about["bias"] is None else np.array(about["bias"], dtype="float32")
    return Analysis(
        folder,
        labels=np.array(about["labels"]),
        bias=bias,
        paths=about["paths"],
        class_names=about["class_names"],
        _keep=_keep,
        **arrays,
    )


def _arrays(about):
    """Return the names of the arrays that such an analysis keeps in files."""
    return ARRAYS if about.get("method") is None else (*ARRAYS, "map_classes")


def _fingerprint(images):
    """Return a digest of the pictures, their order, names and labels."""
    digest = hashlib.sha256(json.dumps(list(images.class_names)).encode())
    for path, label in zip(images.paths, images.labels):
        digest.update(
            f"{Path(path).parent.name}/{Path(path).name} {label} ".encode(errors="surrogateescape")
        )
        with open(path, "rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def _claim(folder, about):
    """Write about.json, or check that the one that is there says the same."""
    file, there = folder / "about.json", present(folder)
    if file.name in there:
        found = json.loads(file.read_text(encoding="utf-8"))
        kinds = {
            "model": "model",
            "images": "image set",
            "method": "method",
            "class_names": "list of classes",
            "input_size": "input size",
            "batch_size": "batch size",
        }
        other = [f"another {kind}" for key, kind in kinds.items() if found.get(key) != about[key]]
        if other:
            raise ValueError(
                f"{folder} holds the analysis of {' and '.join(other)}: name another folder, or delete this one"
            )
    elif there - {"about.json.partial", ".lock"}:
        raise ValueError(
            f"{folder} holds files that are no analysis: name an empty folder or a new one"
        )
    write_whole(file, json.dumps(about).encode())
