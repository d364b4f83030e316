"""What the atlas reads of an analysis: an index of all pictures, and for each one its maps, packed, and its neighbours.

Pictures are numbered: first those of the analysis, then those of the reference.
"""

import hashlib
import io
import json
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, ImageOps
from sklearn.cluster import KMeans
from sklearn.metrics import silhouette_score
from sklearn.neighbors import NearestNeighbors

from camkit._features import feature_space
from camkit.atlas.summary import name_of, summarize
from camkit.faults import data_faults
from camkit.images import read_image
from camkit.plots import MAP, SIGNED

PANELS = ("summary", "pairs", "classes", "review", "near", "features")
NEAR = 5  # neighbours shown
POINTS = 25_000  # in the map of features, at most
SIDE = 512  # pixels: what is larger is shown scaled down


class Record:
    """An analysis, with its reference or None, as the view asks for it; `points` (N, 2) in place of a t-SNE."""

    def __init__(self, analysis, images, reference=None, points=None, panels=PANELS):
        if len(analysis) != len(images) or any(
            str(a) != b for a, b in zip(images.paths, analysis.paths)
        ):
            raise ValueError(
                f"the analysis holds {len(analysis)} images, the image set {len(images)}, not all the "
                "same: give the images that were analysed"
            )
        if reference is not None and (
            list(reference.class_names) != list(analysis.class_names)
            or reference.gap.shape[1] != analysis.gap.shape[1]
        ):
            raise ValueError(
                "the reference has other classes or features than the analysis: analyse both by one model"
            )
        self.analysis, self.reference, self.panels = analysis, reference, panels
        self.points = None if points is None else np.asarray(points, dtype="float64")

    def at(self, i):
        """Return (analysis, row) of picture i."""
        own = len(self.analysis)
        return (self.analysis, i) if i < own else (self.reference, i - own)

    def path(self, i):
        analysis, row = self.at(i)
        return analysis.paths[row]

    @cached_property
    def _features(self):
        """Unit vectors (N, D) of the feature space: of the analysis, and of what it is compared with."""
        if self.reference is None:
            (own,) = feature_space(self.analysis.gap)
            return own, own
        return tuple(feature_space(self.analysis.gap, self.reference.gap))

    @cached_property
    def faults(self):
        """The table of camkit.data_faults; of fewer than three pictures an empty one."""
        paths = {
            *self.analysis.paths,
            *(self.reference.paths if self.reference is not None else []),
        }
        if len(paths) < 3:
            return pd.DataFrame(columns=["path", "kind", "reason", "score", "other"])
        return data_faults(self.analysis, self.reference)

    @cached_property
    def near(self):
        """(numbers (N, n), cosines (N, n)) of the most similar pictures of the reference, or of the others."""
        own, known = self._features
        alone = self.reference is None
        n = min(NEAR + alone, len(known))
        distance, found = (
            NearestNeighbors(n_neighbors=n, algorithm="brute").fit(known).kneighbors(own)
        )
        cosine = 1 - distance**2 / 2  # of unit vectors
        if alone:  # not itself, wherever its copies may stand
            itself = found == np.arange(len(own))[:, None]
            itself[~itself.any(axis=1), -1] = True
            found, cosine = (
                found[~itself].reshape(len(own), n - 1),
                cosine[~itself].reshape(len(own), n - 1),
            )
        return found + (0 if alone else len(own)), cosine

    def embed(self):
        """Return {row: (x, y)} in 0..1: the map of features, t-SNE of 25,000 drawn pictures at the most."""
        own = self._features[0]
        rows = np.arange(len(own))
        if self.points is not None:
            points = self.points
        elif len(own) < 10:  # too few for a neighbourhood
            return {}
        else:
            from openTSNE import TSNE

            if len(rows) > POINTS:
                rows = np.sort(np.random.default_rng(0).choice(rows, POINTS, replace=False))
            points = TSNE(
                perplexity=min(30, (len(rows) - 1) / 3),
                learning_rate=max(200, len(rows) / 12),
                n_jobs=-1,
                neighbors="approx",
                random_state=0,
            ).fit(own[rows].astype("float64"))
        low, reach = np.min(points, axis=0), np.ptp(points, axis=0).max() or 1
        middle = (1 - np.ptp(points, axis=0) / reach) / 2
        return dict(zip(rows.tolist(), ((points - low) / reach + middle).round(4).tolist()))

    def clusters(self):
        """Return a cluster (N,) for each picture: k-means of the features, k from 2 to 12 by the silhouette."""
        own = self._features[0]
        most = min(12, len(own) - 1)
        if most < 2:
            return None
        tried = [KMeans(k, n_init=3, random_state=0).fit_predict(own) for k in range(2, most + 1)]
        sizes = {"sample_size": 2000, "random_state": 0} if len(own) > 2000 else {}
        return max(tried, key=lambda found: silhouette_score(own, found, **sizes)).tolist()

    def index(self, verdicts=(), **more):
        """Return what is known of all pictures, as JSON can hold it; `more` is added."""
        from matplotlib import colormaps

        analysis = self.analysis
        names = [str(name) for name in analysis.class_names]
        rows = np.arange(len(analysis))
        labelled = bool((analysis.labels >= 0).any())
        index = {
            "panels": [panel for panel in self.panels if labelled or panel != "pairs"],
            "classNames": names,
            "cells": list(analysis.maps.shape[1:3]),
            "bias": None if analysis.bias is None else _rounded(analysis.bias, 4),
            "names": [name_of(path) for path in analysis.paths],
            "paths": list(analysis.paths),
            "labels": analysis.labels.tolist(),
            "predicted": analysis.predicted.tolist(),
            "confidence": _rounded(analysis.probs[rows, analysis.predicted], 6),
            "margin": _rounded(analysis.table["margin"], 3),
            "verdicts": list(verdicts),
            "nearTitle": "Nearest pictures"
            if self.reference is None
            else "Nearest pictures of the reference",
            "palette": {
                "evidence": _palette(colormaps[MAP]),
                "signed": _palette(colormaps[SIGNED]),
                "classes": _palette(colormaps["tab20"], 20),
            },
            "clusters": None,
            "points": None,
            "id": hashlib.sha256(
                "\n".join(analysis.paths).encode(errors="surrogateescape")
            ).hexdigest()[:16],
        }
        if "features" in self.panels:
            points = self.embed()
            index["points"] = [points.get(i) for i in range(len(analysis))] if points else None
            index["clusters"] = None if labelled else self.clusters()
        if "summary" in self.panels:
            index["summary"], index["suspicion"] = summarize(analysis, self.reference, self.faults)
        return index | more

    def detail(self, i, every=True):
        """Return {about, near} of picture i and maps, packed: of every class, or of the true one and the top five."""
        analysis, row = self.at(i)
        label, predicted = int(analysis.labels[row]), int(analysis.predicted[row])
        kept, maps = (
            np.asarray(analysis.map_classes[row]),
            np.asarray(analysis.maps[row], dtype="float32"),
        )
        high = float(maps.max())
        if not every:
            best = np.argsort(-np.asarray(analysis.probs[row][kept]), kind="stable")[:5]
            chosen = np.union1d(best, np.flatnonzero(kept == label))
            kept, maps = kept[chosen], maps[..., chosen]
        margin = float(analysis.table["margin"].iat[row])
        about = {
            "name": name_of(analysis.paths[row]),
            "label": label,
            "predicted": predicted,
            "confidence": round(float(analysis.probs[row, predicted]), 6),
            "high": round(high, 4),
            "margin": None if np.isnan(margin) else round(margin, 3),
        }
        near = []
        if "near" in self.panels and i < len(self.analysis):
            for j, cosine in zip(*(part[i].tolist() for part in self.near)):
                other, k = self.at(j)
                near.append(
                    {
                        "i": j,
                        "likeness": round(cosine, 3),
                        "label": int(other.labels[k]),
                        "name": name_of(other.paths[k]),
                    }
                )
        return {"about": about, "near": near}, pack(
            kept, analysis.logits[row][kept], analysis.probs[row][kept], maps
        )


def pack(classes, logits, probs, maps):
    """Return M maps (h, w, M) as bytes: float32 lows, steps, logits and probabilities, uint32 classes, uint8 cells.

    A map's value is low + step · cell with a step of 1/255 of its range: never off by more than half a step.
    """
    low, high = maps.min(axis=(0, 1)), maps.max(axis=(0, 1))
    step = ((high - low) / 255).astype("<f4")
    cells = np.rint((maps - low) / np.where(step > 0, step, 1)).clip(0, 255).astype("uint8")
    parts = [
        low.astype("<f4"),
        step,
        np.asarray(logits, "<f4"),
        np.asarray(probs, "<f4"),
        np.asarray(classes, "<u4"),
    ]
    return b"".join(part.tobytes() for part in parts) + np.moveaxis(cells, -1, 0).tobytes()


def portable(path):
    """Return (bytes, type) of a picture as any browser shows it: its file, or else upright, of SIDE pixels at most."""
    try:
        with Image.open(path) as image:
            kind = {"JPEG": "jpeg", "PNG": "png"}.get(image.format)
            if (
                kind
                and image.mode == "RGB"
                and max(image.size) <= SIDE
                and not image.getexif().get(0x0112)
            ):
                return Path(path).read_bytes(), kind
    except (OSError, SyntaxError, ValueError):
        pass  # read_image knows more kinds, or says why not
    image = Image.fromarray(read_image(path))
    kind, stream = "png" if max(image.size) <= 128 else "jpeg", io.BytesIO()
    ImageOps.contain(image, (min(SIDE, image.width), min(SIDE, image.height))).save(
        stream, kind, quality=92
    )
    return stream.getvalue(), kind


def script(value):
    """Return JSON that may stand in a script element of any page: ASCII, without an angle bracket."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def _rounded(values, digits):
    """Return numbers as a list, None in place of what is not finite."""
    return [
        round(float(value), digits) if np.isfinite(value) else None for value in np.asarray(values)
    ]


def _palette(colours, n=256):
    """Return n colours as [[r, g, b]], 0..255."""
    return (255 * colours(np.arange(n))[:, :3]).round(2).tolist()
