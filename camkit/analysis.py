"""A whole image set through the model once, streamed to disk; everything after that reads the result.

A folder holds `about.json` and, while the work goes on, one `shard-NNNNN.npz` for every 256 images or so, which appears
whole or not at all. At the end they are joined into `gap.npy`, `maps.npy`, `logits.npy` and `probs.npy`.
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

from camkit import reading
from camkit.images import ImageSet
from camkit.quiet import progress

ARRAYS = ("gap", "maps", "logits", "probs")
BATCHES_PER_SHARD = 8


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
    def table(self):
        """A DataFrame with a row an image: path, true and predicted class, confidence (probability of the predicted
        class, 0..1) and margin (logit of the true class minus the highest other one: below zero for an error). Without
        a label the true class is None and the margin NaN."""
        rows, names = np.arange(len(self)), np.array([*self.class_names, None], dtype=object)  # None for -1
        others = np.array(self.logits)
        others[rows, self.labels] = -np.inf
        return pd.DataFrame({
            "path": self.paths,
            "true": names[self.labels],
            "predicted": names[self.predicted],
            "confidence": self.probs[rows, self.predicted],
            "margin": np.where(self.labels < 0, np.nan, self.logits[rows, self.labels] - others.max(axis=1)),
        })

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
            raise ValueError(f"no map of class {c} was kept for {self.paths[i]}, only those of {kept}")
        return np.asarray(self.maps[i, ..., at[0]], dtype="float32")


def analyze(model, images, folder=None, *, method=None, class_names=None, batch_size=32, input_size=None):
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
    any moment and called again, it goes on from the last whole shard and ends with the same arrays, bit for bit.
    Raises HeadError where CAM or the method does not apply, ValueError where the classes of the model are not those of
    the images, its input size is unknown or the folder holds the analysis of another model, image set and so on.
    """
    from camkit import inference

    if not len(images):
        raise ValueError(f"there is no image to analyse in {images}")
    reader = reading.by_cam(model, input_size) if method is None else reading.by_method(model, method, input_size)
    names = reader.class_names if class_names is None else [str(name) for name in class_names]
    labels, class_names = reading.match(images, reader.classes, names)
    keep = None if folder is not None else tempfile.TemporaryDirectory(prefix="camkit-", ignore_cleanup_errors=True)
    folder = Path(keep.name if keep else folder)
    folder.mkdir(parents=True, exist_ok=True)
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
    _claim(folder, about)
    if not all((folder / f"{name}.npy").exists() for name in _arrays(about)):
        _compute(reader, images, labels, folder, batch_size, _arrays(about))
        _join(folder, len(images), batch_size, _arrays(about))
    for shard in folder.glob("shard-*"):  # all are joined now
        shard.unlink()
    return load_analysis(folder, _keep=keep)


def load_analysis(folder, *, _keep=None):
    """Return the Analysis that `folder` holds. Raises ValueError where there is none, or one that is not finished."""
    folder = Path(folder)
    if not (folder / "about.json").exists():
        raise ValueError(f"{folder} holds no analysis: camkit.analyze(model, images, folder) makes one")
    about = json.loads((folder / "about.json").read_text(encoding="utf-8"))
    if not all((folder / f"{name}.npy").exists() for name in _arrays(about)):
        raise ValueError(
            f"the analysis in {folder} is not finished: camkit.analyze with the same model and images goes on"
        )
    arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in _arrays(about)}
    classes = len(about["class_names"])
    arrays.setdefault("map_classes", np.broadcast_to(np.arange(classes), (len(about["labels"]), classes)))
    bias = None if about["bias"] is None else np.array(about["bias"], dtype="float32")
    return Analysis(folder, labels=np.array(about["labels"]), bias=bias, paths=about["paths"],
                    class_names=about["class_names"], _keep=_keep, **arrays)


def _arrays(about):
    """Return the names of the arrays that such an analysis keeps in files."""
    return ARRAYS if about.get("method") is None else (*ARRAYS, "map_classes")


def _fingerprint(images):
    """Return a digest of the pictures, their order, names and labels."""
    digest = hashlib.sha256(json.dumps(list(images.class_names)).encode())
    for path, label in zip(images.paths, images.labels):
        digest.update(f"{Path(path).parent.name}/{Path(path).name} {label} ".encode(errors="surrogateescape"))
        with open(path, "rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def _claim(folder, about):
    """Write about.json, or check that the one that is there says the same."""
    file = folder / "about.json"
    if file.exists():
        found = json.loads(file.read_text(encoding="utf-8"))
        kinds = {"model": "model", "images": "image set", "method": "method", "class_names": "list of classes",
                 "input_size": "input size", "batch_size": "batch size"}
        other = [f"another {kind}" for key, kind in kinds.items() if found.get(key) != about[key]]
        if other:
            raise ValueError(
                f"{folder} holds the analysis of {' and '.join(other)}: name another folder, or delete this one"
            )
    elif any(entry.name != "about.json.partial" for entry in folder.iterdir()):
        raise ValueError(f"{folder} holds files that are no analysis: name an empty folder or a new one")
    _write(file, json.dumps(about).encode())


def _write(file, data):
    """Write a file that appears whole or not at all; `data` is bytes or a function that writes to the open file."""
    partial = file.with_name(file.name + ".partial")
    with open(partial, "wb") as stream:
        stream.write(data) if isinstance(data, bytes) else data(stream)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(partial, file)


def _shards(folder, n, batch_size):
    """Return [(file, start, stop)] of the shards that n images make."""
    step = batch_size * BATCHES_PER_SHARD
    return [(folder / f"shard-{start // step:05d}.npz", start, min(start + step, n)) for start in range(0, n, step)]


def _compute(reader, images, labels, folder, batch_size, names):
    """Write the shards that are missing, with the arrays of these names."""
    missing = [shard for shard in _shards(folder, len(images), batch_size) if not shard[0].exists()]
    rest = images.select(np.concatenate([np.arange(start, stop) for _, start, stop in missing] or [[]]).astype(int))
    batches = rest.batches(batch_size, reader.size)
    with progress(len(images), "Analyzing", "image", done=len(images) - len(rest)) as bar:
        for file, start, stop in missing:
            parts = {name: [] for name in names}
            for first in range(start, stop, batch_size):
                batch, own = next(batches), np.resize(labels[first:first + batch_size], batch_size)
                out = reader.read(np.resize(batch, (batch_size, *batch.shape[1:])), own)  # full: same graph, same bits
                for name in names:
                    parts[name].append(out[name][: len(batch)])
                bar.update(len(batch))
            arrays = {name: np.concatenate(part) for name, part in parts.items()}
            peak = np.abs(arrays["maps"]).max()
            if not peak < np.finfo(reader.precision).max:
                raise ValueError(f"class maps reach {peak:.3g}, beyond {reader.precision}: is the model trained?")
            arrays["maps"] = arrays["maps"].astype(reader.precision)
            _write(file, lambda stream, arrays=arrays: np.savez(stream, **arrays))


def _join(folder, n, batch_size, names):
    """Join the shards into one .npy for each array, holding one shard at a time."""
    shards = [file for file, _, _ in _shards(folder, n, batch_size)]
    for name in names:
        with np.load(shards[0]) as first:
            header = {"descr": first[name].dtype.str, "fortran_order": False, "shape": (n, *first[name].shape[1:])}

        def fill(stream):
            np.lib.format.write_array_header_1_0(stream, header)
            for shard in shards:
                with np.load(shard) as part:
                    stream.write(part[name].tobytes())

        if not (folder / f"{name}.npy").exists():
            _write(folder / f"{name}.npy", fill)
