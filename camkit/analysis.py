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

from camkit.quiet import progress

ARRAYS = ("gap", "maps", "logits", "probs")
BATCHES_PER_SHARD = 8


@dataclass
class Analysis:
    """What a model sees in N images; the arrays are read from disk as they are used.

    gap (N, K) float32 GAP features; maps (N, h, w, C) float16 signed class maps of every class, whose mean plus the
    bias is the logit; logits, probs (N, C) float32; labels, predicted (N,) class indices; paths, class_names lists of
    str; bias (C,), the head's.
    """

    folder: Path
    gap: np.ndarray
    maps: np.ndarray
    logits: np.ndarray
    probs: np.ndarray
    labels: np.ndarray
    bias: np.ndarray
    paths: list
    class_names: list
    _keep: object = field(default=None, repr=False)

    def __len__(self):
        return len(self.labels)

    @cached_property
    def predicted(self):
        return np.argmax(self.logits, axis=1)

    @cached_property
    def table(self):
        """A DataFrame with a row an image: path, true and predicted class, confidence (probability of the predicted
        class, 0..1) and margin (logit of the true class minus the highest other one: below zero for an error)."""
        rows, names = np.arange(len(self)), np.array(self.class_names, dtype=object)
        others = np.array(self.logits)
        others[rows, self.labels] = -np.inf
        return pd.DataFrame({
            "path": self.paths,
            "true": names[self.labels],
            "predicted": names[self.predicted],
            "confidence": self.probs[rows, self.predicted],
            "margin": self.logits[rows, self.labels] - others.max(axis=1),
        })

    @property
    def errors(self):
        """The rows of `table` whose predicted class is not the true one, most confident first."""
        wrong = self.table[self.predicted != self.labels]
        return wrong.sort_values("confidence", ascending=False, kind="stable")


def analyze(model, images, folder=None, *, batch_size=32, input_size=None):
    """Return the Analysis of an image set by a model with a GAP → Dense head, one forward pass an image.

    Images are stretched to the size of the model's input; `input_size` (pixels: one number or (height, width)) asks for
    another, and is needed where the model takes any.
    Memory stays bounded: results go to `folder` (default: a temporary one, kept as long as the Analysis is). Killed at
    any moment and called again, it goes on from the last whole shard and ends with the same arrays, bit for bit.
    Raises HeadError where CAM does not apply, ValueError where the classes of the model are not those of the images,
    its input size is unknown or the folder holds the analysis of another model, image set, input size or batch size.
    """
    from camkit import cam, inference

    if not len(images):
        raise ValueError(f"there is no image to analyse in {images}")
    run = cam.CAM(model, input_size=input_size)
    size = inference.fixed_size(run.input_shape, "pass input_size=224, or what it was trained at")
    labels, class_names = _labels_for(run, images)
    keep = None if folder is not None else tempfile.TemporaryDirectory(prefix="camkit-", ignore_cleanup_errors=True)
    folder = Path(keep.name if keep else folder)
    folder.mkdir(parents=True, exist_ok=True)
    about = {
        "model": inference.fingerprint(model),
        "images": _fingerprint(images),
        "input_size": list(size),
        "batch_size": batch_size,
        "class_names": class_names,
        "labels": labels.tolist(),
        "bias": run.bias.tolist(),
        "paths": [str(path) for path in images.paths],
    }
    _claim(folder, about)
    if not all((folder / f"{name}.npy").exists() for name in ARRAYS):
        _compute(run, images, folder, size, batch_size)
        _join(folder, len(images), batch_size)
    for shard in folder.glob("shard-*"):  # all are joined now
        shard.unlink()
    return load_analysis(folder, _keep=keep)


def load_analysis(folder, *, _keep=None):
    """Return the Analysis that `folder` holds. Raises ValueError where there is none, or one that is not finished."""
    folder = Path(folder)
    if not (folder / "about.json").exists():
        raise ValueError(f"{folder} holds no analysis: camkit.analyze(model, images, folder) makes one")
    about = json.loads((folder / "about.json").read_text(encoding="utf-8"))
    if not all((folder / f"{name}.npy").exists() for name in ARRAYS):
        raise ValueError(
            f"the analysis in {folder} is not finished: camkit.analyze with the same model and images goes on"
        )
    arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in ARRAYS}
    return Analysis(folder, labels=np.array(about["labels"]), bias=np.array(about["bias"], dtype="float32"),
                    paths=about["paths"], class_names=about["class_names"], _keep=_keep, **arrays)


def _labels_for(run, images):
    """Return the labels of `images` as indices of the model's classes, and the names of these."""
    names = list(images.class_names)
    if run.class_names is None:
        if len(names) != len(run.bias):
            raise ValueError(
                f"the model has {len(run.bias)} classes and carries no names, the images have {len(names)} classes "
                f"{names[:5]}: give the image set one folder for each class of the model"
            )
        return np.asarray(images.labels), names
    unknown = sorted(set(names) - set(run.class_names))
    if unknown:
        raise ValueError(f"the images have classes that the model does not know: {unknown}; it knows {run.class_names}")
    return np.array([run.class_names.index(name) for name in names], dtype=int)[images.labels], run.class_names


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
        kinds = {"model": "model", "images": "image set", "input_size": "input size", "batch_size": "batch size"}
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


def _compute(run, images, folder, size, batch_size):
    """Write the shards that are missing."""
    missing = [shard for shard in _shards(folder, len(images), batch_size) if not shard[0].exists()]
    rest = images.select(np.concatenate([np.arange(start, stop) for _, start, stop in missing] or [[]]).astype(int))
    batches = rest.batches(batch_size, size)
    with progress(len(images), "Analyzing", "image", done=len(images) - len(rest)) as bar:
        for file, start, stop in missing:
            parts = {name: [] for name in ARRAYS}
            for _ in range(start, stop, batch_size):
                batch = next(batches)
                out = run(np.resize(batch, (batch_size, *batch.shape[1:])))  # always full: compiled once, same bits
                for name in ARRAYS:
                    parts[name].append(getattr(out, name)[: len(batch)])
                bar.update(len(batch))
            arrays = {name: np.concatenate(part) for name, part in parts.items()}
            peak = np.abs(arrays["maps"]).max()
            if not peak < np.finfo("float16").max:
                raise ValueError(f"class maps reach {peak:.3g}, beyond half precision: is the model trained?")
            arrays["maps"] = arrays["maps"].astype("float16")
            _write(file, lambda stream, arrays=arrays: np.savez(stream, **arrays))


def _join(folder, n, batch_size):
    """Join the shards into one .npy for each array, holding one shard at a time."""
    shards = [file for file, _, _ in _shards(folder, n, batch_size)]
    for name in ARRAYS:
        with np.load(shards[0]) as first:
            header = {"descr": first[name].dtype.str, "fortran_order": False, "shape": (n, *first[name].shape[1:])}

        def fill(stream):
            np.lib.format.write_array_header_1_0(stream, header)
            for shard in shards:
                with np.load(shard) as part:
                    stream.write(part[name].tobytes())

        if not (folder / f"{name}.npy").exists():
            _write(folder / f"{name}.npy", fill)
