"""The data that the view reads of an analysis: an index of all images, and the details of each.

Images are numbered: first those of the analysis, then those of the reference.
"""

import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import is_bool_dtype, is_numeric_dtype
from sklearn.neighbors import NearestNeighbors

from camkit._features import analyze_again, check_same_model, feature_space
from camkit._files import any_bytes
from camkit.analysis import Analysis
from camkit.analysis.compare import compare
from camkit.atlas._embedding import cluster, embed, scale_to_unit
from camkit.atlas._encoding import LONGEST_SIDE, browser_image, pack
from camkit.atlas.comparison import describe_comparison, numbers_before
from camkit.atlas.summary import list_slices, short_name, summarize
from camkit.faults import COLUMNS as FAULT_COLUMNS, data_faults
from camkit.images import ImageSet
from camkit.plots import MAP, SIGNED

PANELS = ("summary", "pairs", "what-if", "classes", "review", "near", "features")

# Neighbours shown for each image.
NEIGHBOURS = 5

# Where not all class maps are stored, those of this many most probable classes and of the true one
# are.
TOP_CLASSES = 5

# Colours in the palette of classes; a class takes the colour of its number modulo this.
CLASS_COLOURS = 20


def checked_images(analysis: Analysis, images: object) -> ImageSet | None:
    """Return the image set that was analysed, or None for None.

    Raises:
        TypeError: If `images` is not an ImageSet.
        ValueError: If it is not the one that was analysed.
    """
    if images is None:
        return None
    if not isinstance(images, ImageSet):
        kind = type(images).__name__
        raise TypeError(
            f"images must be the ImageSet that was analysed or be left out, not a {kind}"
        )
    paths = [str(path) for path in images.paths]
    if paths == list(analysis.paths):
        return images
    remedy = "pass the images that were analysed, or leave them out"
    if [short_name(path) for path in paths] == [short_name(path) for path in analysis.paths]:
        remedy = f"if they were moved, {analyze_again(analysis)}"
    raise ValueError(
        f"the analysis holds {len(analysis)} images and the image set {len(images)}, not all "
        f"the same: {remedy}"
    )


class Record:
    """An analysis in the form in which the view reads it. The network is not run."""

    def __init__(
        self,
        analysis: Analysis,
        reference: Analysis | None = None,
        points: np.ndarray | None = None,
        panels: Sequence[str] = PANELS,
        before: Analysis | None = None,
        is_portable: bool = False,
    ) -> None:
        """Store an analysis and what is to be shown of it.

        Args:
            analysis: The analysis.
            reference: The analysis of another split, such as the training set, by the same model.
                Neighbours come from it, and data faults are looked for in both.
            points: The map of features (N, 2), in place of a t-SNE.
            panels: The parts to show, a selection of PANELS.
            before: The analysis of the same images by another model, with which it is compared.
            is_portable: Whether the view is for other machines: paths then begin with the folder
                that all images share.

        Raises:
            ValueError: If the reference has other classes or features than the analysis, there is
                not one point for each image, or `before` cannot be compared.
        """
        if reference is not None:
            check_same_model(analysis, reference)
        if points is not None and np.shape(points) != (len(analysis), 2):
            raise ValueError(
                f"points has the shape {np.shape(points)}, and the analysis holds {len(analysis)} "
                f"images: pass an array of shape {(len(analysis), 2)}"
            )
        self.analysis = analysis
        self.reference = reference
        self.points = points
        self.panels = panels
        self.is_portable = is_portable
        self.comparison = None if before is None else compare(before, analysis)

    def locate(self, i: int) -> tuple[Analysis, int]:
        """Return the analysis that holds image i, and its row there."""
        count = len(self.analysis)
        if self.reference is None or i < count:
            return self.analysis, i
        return self.reference, i - count

    def path(self, i: int) -> str:
        """Return the path of image i."""
        analysis, row = self.locate(i)
        return analysis.paths[row]

    @property
    def paths(self) -> list[str]:
        """The paths of all images, by their numbers."""
        others = [] if self.reference is None else self.reference.paths
        return [*self.analysis.paths, *others]

    @cached_property
    def _shown_paths(self) -> list[str]:
        """The paths of all images as the view shows them, by their numbers."""
        if not self.is_portable:
            return self.paths
        shared = os.path.commonpath({os.path.dirname(path) for path in self.paths})
        # With one folder at least, PathMatcher finds the images again.
        above = os.path.dirname(shared)
        return [os.path.relpath(path, above) for path in self.paths]

    def picture(self, i: int, longest_side: float = LONGEST_SIDE) -> tuple[bytes, str]:
        """Return image i for a browser, and its type, see `browser_image`."""
        analysis, row = self.locate(i)
        return browser_image(analysis.paths[row], analysis.viewer, longest_side)

    @cached_property
    def _splits(self) -> list[str | None]:
        """The splits of all images, by their numbers."""
        others = [] if self.reference is None else self.reference.images.splits
        return [*self.analysis.images.splits, *others]

    def split(self, i: int) -> str:
        """Return the split of image i in a word; "" if nothing tells splits apart."""
        if named := self._splits[i]:
            return named
        if self.reference is None:
            return ""
        return "analysed" if i < len(self.analysis) else "reference"

    @cached_property
    def features(self) -> tuple[np.ndarray, np.ndarray]:
        """Unit vectors (N, D) of the analysed images, and of the images they are compared with."""
        if self.reference is None:
            [features] = feature_space(self.analysis.gap)
            return features, features
        features, reference_features = feature_space(self.analysis.gap, self.reference.gap)
        return features, reference_features

    @cached_property
    def faults(self) -> pd.DataFrame:
        """The table of camkit.data_faults; an empty one for fewer than three images."""
        paths = set(self.analysis.paths)
        if self.reference is not None:
            paths.update(self.reference.paths)
        if len(paths) < 3:
            return pd.DataFrame(columns=FAULT_COLUMNS)
        return data_faults(self.analysis, self.reference)

    @property
    def faults_with_splits(self) -> pd.DataFrame:
        """The table of faults with the splits of both images, in columns at its end."""
        splits = {path: self.split(i) for path, i in self.numbers.items()}
        faults = self.faults
        with any_bytes():
            return faults.assign(
                split=faults["path"].map(splits), other_split=faults["other"].map(splits)
            )

    @cached_property
    def numbers(self) -> dict[str, int]:
        """The images by their paths; one in both analyses goes by its number in the first."""
        numbers: dict[str, int] = {}
        for i, path in enumerate(self.paths):
            numbers.setdefault(path, i)
        return numbers

    @cached_property
    def neighbours(self) -> tuple[np.ndarray, np.ndarray]:
        """Numbers (N, n) and cosines (N, n) of the nearest images.

        They are images of the reference or, without one, other images of the analysis; the nearest
        comes first.
        """
        features, candidates = self.features
        if self.reference is not None:
            rows, cosines = _nearest(features, candidates, NEIGHBOURS)
            return rows + len(features), cosines
        rows, cosines = _nearest(features, candidates, NEIGHBOURS + 1)
        is_other = _others(rows)
        shape = (len(rows), rows.shape[1] - 1)
        return rows[is_other].reshape(shape), cosines[is_other].reshape(shape)

    def index(self, verdicts: Iterable[dict] = (), **more: Any) -> dict[str, Any]:
        """Return the data of all images that the view needs at once, in types that JSON holds.

        Args:
            verdicts: Rows {i, verdict, comment, correctLabel, reviewer}.
            **more: Further entries.
        """
        index = self._describe_images() | self._describe_view()
        index["verdicts"] = list(verdicts)
        index["metadata"] = _filter_columns(self.analysis.metadata)
        index["comparison"] = None
        if self.comparison is not None:
            index["comparison"] = describe_comparison(self.comparison)
        index["points"] = None
        index["clusters"] = None
        if "features" in self.panels:
            index["points"] = self.map_points()
            index["clusters"] = None if self._has_labels else cluster(self.features[0])
        if "summary" in self.panels:
            summary, suspicion = summarize(self.analysis, self.faults, self.numbers)
            _add_splits(summary["faults"], self.split)
            summary["slices"] = list_slices(self.analysis) if self._has_labels else []
            index["summary"] = summary
            index["suspicion"] = suspicion
        reviewed = {row["i"] for row in index["verdicts"]}
        others = sorted(i for i in reviewed | images_of_faults(index) if i >= len(self.analysis))
        index["others"] = [{"i": i} | self._describe(i) for i in others]
        return index | more

    def _describe(self, i: int) -> dict[str, Any]:
        """Return what a line on image i needs."""
        analysis, row = self.locate(i)
        predicted = int(analysis.predicted[row])
        return {
            "name": short_name(analysis.paths[row]),
            "path": self._shown_paths[i],
            "split": self.split(i),
            **self._label(i),
            "predicted": predicted,
            "confidence": round(float(analysis.probs[row, predicted]), 6),
        }

    def _label(self, i: int) -> dict[str, Any]:
        """Return the label of image i and, where images have several, the sets of its labels."""
        analysis, row = self.locate(i)
        if not analysis.has_label_sets:
            return {"label": int(analysis.labels[row])}
        predicted = self._predicted_labels[analysis is self.reference]
        return {"label": -1, "sets": _sets(analysis.labels[row], predicted[row])}

    @cached_property
    def _predicted_labels(self) -> list[np.ndarray]:
        """Which labels are predicted (N, C), of the analysis and of the reference."""
        analyses = (self.analysis, self.reference)
        return [analysis.predicted_labels() for analysis in analyses if analysis is not None]

    @property
    def _has_labels(self) -> bool:
        return bool((self.analysis.labels >= 0).any())

    def _describe_images(self) -> dict[str, Any]:
        """Return lists with an entry for each image, by name, and "id", a digest of all paths."""
        analysis = self.analysis
        rows = np.arange(len(analysis))
        confidence = analysis.probs[rows, analysis.predicted]
        paths = "\n".join(analysis.paths).encode(errors="surrogateescape")
        labels = analysis.labels
        sets = None
        if analysis.has_label_sets:
            sets = list(map(_sets, labels, self._predicted_labels[0]))
            labels = np.full(len(analysis), -1)
        return {
            "id": hashlib.sha256(paths).hexdigest()[:16],
            "paths": self._shown_paths[: len(analysis)],
            "names": [short_name(path) for path in analysis.paths],
            "labels": labels.tolist(),
            "labelSets": sets,
            "predicted": analysis.predicted.tolist(),
            "confidence": _rounded(confidence, 6),
            "margin": _rounded(analysis.table["margin"], 3),
            "flipCells": analysis.table["flip_cells"].astype(object).replace(pd.NA, None).tolist(),
        }

    def _describe_view(self) -> dict[str, Any]:
        """Return what the view needs to draw any of the images: names, sizes and palettes."""
        analysis = self.analysis
        # The view writes a logit as the sum of the mean of its map and the bias.
        bias = analysis.bias if analysis.rest is None else None
        thresholds = analysis.thresholds
        near_title = "Nearest pictures"
        if self.reference is not None:
            near_title = "Nearest pictures of the reference"
        return {
            "panels": [panel for panel in self.panels if self._has_labels or panel != "pairs"],
            "classNames": [str(name) for name in analysis.class_names],
            "cells": list(analysis.maps.shape[1:3]),
            "bias": None if bias is None else _rounded(bias, 4),
            "additive": analysis.bias is not None,
            "multiLabel": analysis.is_multi_label,
            "thresholds": None if thresholds is None else thresholds.tolist(),
            "nearTitle": near_title,
            "palette": {
                "evidence": palette(MAP, 256),
                "signed": palette(SIGNED, 256),
                "classes": palette("tab20", CLASS_COLOURS),
            },
        }

    def map_points(self) -> Sequence[list[float] | None] | None:
        """Return the map of features: [x, y] in 0..1 for each image.

        An image that is not on the map has None. Instead of a list, None is returned if there are
        too few images for a map.
        """
        if self.points is not None:
            return scale_to_unit(np.asarray(self.points, dtype="float64"))
        points = embed(self.features[0])
        if not points:
            return None
        return [points.get(row) for row in range(len(self.analysis))]

    def detail(self, i: int, all_classes: bool = True) -> tuple[dict[str, Any], bytes]:
        """Return what belongs to image i.

        Args:
            i: The number of the image.
            all_classes: Whether to return all maps that the analysis holds, rather than only those
                of the true class and of the five most probable ones.

        Returns:
            {about, near} in types that JSON holds, and the maps in the format of `pack`.
        """
        analysis, row = self.locate(i)
        highest = np.asarray(analysis.maps[row], dtype="float32").max()
        about = self._describe(i) | _about(analysis, row, highest=float(highest))
        packed = _packed(analysis, row, all_classes, np.arange(len(analysis.class_names)))
        return {"about": about, "near": self._describe_neighbours(i)}, packed

    def detail_before(self, i: int, all_classes: bool = True) -> bytes | None:
        """Return the maps of image i by the model before, in the format of `pack`.

        Classes are numbered as those of the comparison. None without one, and for an image that the
        analysis before does not hold.
        """
        if self.comparison is None or i not in self._rows_before:
            return None
        before = self.comparison.before
        return _packed(before, self._rows_before[i], all_classes, self._numbers_before)

    @cached_property
    def _rows_before(self) -> dict[int, int]:
        """The rows of images in the analysis before, by their numbers."""
        return {} if self.comparison is None else self.comparison.table["before_row"].to_dict()

    @cached_property
    def _numbers_before(self) -> np.ndarray:
        """The numbers (C,) in the comparison of the classes of the model before."""
        if self.comparison is None:
            return np.array([], dtype=int)
        return numbers_before(self.comparison)

    @property
    def changed(self) -> set[int]:
        """The images whose answer differs from that of the model before."""
        if self.comparison is None:
            return set()
        table = self.comparison.table
        return set(table.index[table["before"] != table["after"]].tolist())

    def _describe_neighbours(self, i: int) -> list[dict[str, Any]]:
        """Return the neighbours of image i; none for an image of the reference."""
        if "near" not in self.panels or i >= len(self.analysis):
            return []
        numbers, cosines = self.neighbours
        neighbours = []
        for number, cosine in zip(numbers[i].tolist(), cosines[i].tolist(), strict=True):
            analysis, row = self.locate(number)
            neighbour = {
                "i": number,
                "likeness": round(cosine, 3),
                **self._label(number),
                "name": short_name(analysis.paths[row]),
            }
            neighbours.append(neighbour)
        return neighbours


def _nearest(
    features: np.ndarray, candidates: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return rows and cosines (N, count) of the candidates nearest to each feature vector."""
    count = min(count, len(candidates))
    search = NearestNeighbors(n_neighbors=count, algorithm="brute").fit(candidates)
    distances, rows = search.kneighbors(features)
    # Between unit vectors, |u − v|² = 2 − 2 cos.
    cosines = 1 - distances**2 / 2
    return rows, cosines


def _others(rows: np.ndarray) -> np.ndarray:
    """Return a mask of neighbours (N, n) that excludes one in each row: the image itself.

    An image with many copies may be missing among its neighbours. Then the last one is excluded.
    """
    is_itself = rows == np.arange(len(rows))[:, None]
    missing = ~is_itself.any(axis=1)
    is_itself[missing, -1] = True
    return ~is_itself


def _packed(analysis: Analysis, row: int, all_classes: bool, numbers: np.ndarray) -> bytes:
    """Return the maps of an image in the format of `pack`, with the numbers (C,) of the classes."""
    classes = np.asarray(analysis.map_classes[row])
    maps = np.asarray(analysis.maps[row], dtype="float32")
    if not all_classes:
        columns = _likely_columns(analysis, row)
        classes = classes[columns]
        maps = maps[..., columns]
    logits = analysis.logits[row][classes]
    probs = analysis.probs[row][classes]
    return pack(numbers[classes], logits, probs, maps)


def _about(analysis: Analysis, row: int, highest: float) -> dict[str, Any]:
    """Return what the captions of an image need; `highest` is the highest value of its maps."""
    margin = float(analysis._margins[row])
    return {
        "high": round(highest, 4),
        "margin": round(margin, 3) if np.isfinite(margin) else None,
    }


def _sets(labels: np.ndarray, predicted: np.ndarray) -> dict[str, list[int]]:
    """Return the true and the predicted labels of an image, given as masks (C,)."""
    return {
        "true": np.flatnonzero(labels).tolist(),
        "predicted": np.flatnonzero(predicted).tolist(),
    }


def images_of_faults(index: dict[str, Any]) -> set[int]:
    """Return the numbers of all images that appear in the faults of an index."""
    numbers: set[int] = set()
    summary = index.get("summary", {"faults": []})
    for kind in summary["faults"]:
        for row in kind["rows"]:
            numbers.add(row["i"])
            if row["other"] is not None:
                numbers.add(row["other"])
    return numbers


def _add_splits(kinds: list[dict[str, Any]], split: Callable[[int], str]) -> None:
    """Add the splits of both images to the rows of the faults."""
    for kind in kinds:
        for row in kind["rows"]:
            row["split"] = split(row["i"])
            row["otherSplit"] = "" if row["other"] is None else split(row["other"])


def _filter_columns(metadata: pd.DataFrame | None) -> list[dict[str, Any]]:
    """Return the columns of metadata by which the view filters.

    They are {name, numbers}, or {name, values, codes} for text: the different values in order, and
    the position of each image's value among them.
    """
    if metadata is None:
        return []
    columns: list[dict[str, Any]] = []
    for name in metadata.columns:
        column = metadata[name]
        if is_numeric_dtype(column) and not is_bool_dtype(column):
            numbers = _rounded(column.astype("float64"), 6)
            columns.append({"name": str(name), "numbers": numbers})
            continue
        texts = column.astype(object).where(column.notna(), "").map(str).tolist()
        values = sorted(set(texts))
        positions = {value: position for position, value in enumerate(values)}
        codes = [positions[text] for text in texts]
        columns.append({"name": str(name), "values": values, "codes": codes})
    return columns


def _likely_columns(analysis: Analysis, row: int) -> np.ndarray:
    """Return the columns of the maps of the most probable and of the true classes, in order."""
    classes = np.asarray(analysis.map_classes[row])
    probs = np.asarray(analysis.probs[row][classes])
    most_probable = np.argsort(-probs, kind="stable")[:TOP_CLASSES]
    labels = analysis.labels[row]
    is_true = np.isin(classes, np.flatnonzero(labels) if analysis.has_label_sets else labels)
    return np.union1d(most_probable, np.flatnonzero(is_true))


def _rounded(values: np.ndarray | pd.Series, digits: int) -> list[float | None]:
    """Return numbers as a list, with None in place of those that are not finite."""
    numbers = []
    for value in np.asarray(values).tolist():
        numbers.append(round(value, digits) if np.isfinite(value) else None)
    return numbers


def palette(name: str, count: int) -> list[list[float]]:
    """Return `count` colours of one of matplotlib's colour maps as [red, green, blue], 0..255."""
    from matplotlib import colormaps

    colours = colormaps[name](np.arange(count))
    return (255 * colours[:, :3]).round(2).tolist()
