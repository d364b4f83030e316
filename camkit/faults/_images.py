"""The images that are searched for faults, and the form of a fault."""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
from PIL import Image

from camkit._features import check_files, check_same_model, deviation_of, feature_space
from camkit.images._label_sets import joined_names
from camkit.images.decoding import FileReader

if TYPE_CHECKING:
    from camkit import Analysis


class Fault(NamedTuple):
    """One suspected fault: a row of the table, with images as indices."""

    image: int
    kind: str
    reason: str
    score: float
    # The index of the image that it is compared with, -1 if there is none.
    other: int = -1
    # The class that is more probable than the label, -1 if there is none, and its probability.
    suggestion: int = -1
    probability: float = float("nan")


class Images:
    """The images of an analysis and of its reference, each path once for each label and split.

    Attributes:
        paths: (N,) object array of file names.
        labels: (N,) int; -1 where an image has no label. Where images have several labels, it is a
            number for each set of labels that occurs.
        label_sets: (N, C) bool where images have several labels, else None.
        splits: (N,) int, a number for each split: images of the analysis and of the reference are
            in different splits, and so are those in folders such as Training and Test.
        ranks: (N,) int, 0 for the images of the reference, 1 for those of a training split and 2
            for the others: of two copies, that of the lower rank is kept.
        class_names: The names of the classes.
        features: (N, D) float32, unit vectors of the standardised features; the product of two is
            the cosine of two images.
    """

    def __init__(self, analysis: "Analysis", reference: "Analysis | None") -> None:
        self._analyses = [analysis]
        if reference is not None:
            check_same_model(analysis, reference)
            self._analyses.append(reference)
        tables = [_table_of(analysis, source) for source, analysis in enumerate(self._analyses)]
        table = pd.concat(tables)
        gap = np.concatenate([analysis.gap for analysis in self._analyses])
        labels = _joined_labels(self._analyses)
        self._is_first = _is_first_of_its_kind(table, labels)
        table = table[self._is_first]
        if len(table) < 3:
            raise ValueError(f"{len(table)} images cannot be compared: pass three or more")
        self.paths = table["path"].to_numpy()
        labels = labels[self._is_first]
        self.labels = labels
        self.label_sets: np.ndarray | None = None
        if labels.ndim == 2:
            _, self.labels = np.unique(labels, axis=0, return_inverse=True)
            self.label_sets = labels
        by_split = table.groupby(["source", "split"], dropna=False)
        self.splits = by_split.ngroup().to_numpy()
        of_training = (table["split"] == "training").to_numpy()
        of_analysis = (table["source"] == 0).to_numpy()
        self.ranks = np.where(of_analysis, np.where(of_training, 1, 2), 0)
        self.class_names = list(analysis.class_names)
        self._gap = gap[self._is_first]
        self._deviation = deviation_of(self._gap)
        (self.features,) = feature_space(self._gap)
        self._sources = table["source"].to_numpy()
        self._rows = table["row"].to_numpy()

    def has_maps_of_all_classes(self) -> bool:
        """Return whether both analyses hold the class activation maps of all classes."""
        for analysis in self._analyses:
            # Without a bias the maps are those of another method, for the top classes only.
            if analysis.maps is None or analysis.bias is None:
                return False
        return True

    def maps(self, i: int) -> np.ndarray:
        """Return the class activation maps (h, w, C) float32 of image i."""
        analysis = self._analyses[self._sources[i]]
        row = self._rows[i]
        return np.asarray(analysis.maps[row], "float32")

    def read(self, i: int, size: tuple[int, int] | None = None) -> np.ndarray:
        """Return image i as the model has seen it, (H, W, 3), 0 to 255."""
        analysis = self._analyses[self._sources[i]]
        return analysis.viewer(self.paths[i], size)

    def metadata_of(self, column: str) -> np.ndarray:
        """Return a column of the metadata (N,). Raises ValueError if an analysis lacks it."""
        values = []
        for analysis in self._analyses:
            metadata = analysis.metadata
            if metadata is None or column not in metadata.columns:
                present = "it has none"
                if metadata is not None:
                    present = f"its columns are {list(metadata.columns)}"
                raise ValueError(
                    f"no column {column!r} in the metadata of an analysis, {present}: load the "
                    "images with their metadata and analyse them again"
                )
            values.append(metadata[column])
        return pd.concat(values).to_numpy()[self._is_first]

    def decoded(self, i: int, size: tuple[int, int]) -> tuple[Image.Image, tuple[int, int]]:
        """Return the RGB image in file i, and its (width, height).

        It may be decoded at a fraction of its size that leaves twice `size` or more. Unlike `read`,
        this leaves nothing out that a model does not see.
        """
        analysis = self._analyses[self._sources[i]]
        reader = analysis.reader
        if not isinstance(reader, FileReader):
            reader = FileReader(getattr(reader, "opener", None))
        return reader.decoded(Path(self.paths[i]), size)

    def check_files(self) -> None:
        """Raise FileNotFoundError, which says what to do, if images are missing."""
        check_files(*self._analyses)

    def digest(self, i: int) -> bytes:
        """Return what only images with the same pixels have in common."""
        pixels = self.read(i)
        content = f"{pixels.shape}".encode() + pixels.tobytes()
        return hashlib.sha256(content).digest()

    def has_two_labels(self, i: int, j: int) -> bool:
        """Return whether images i and j have different labels."""
        label = self.labels[i]
        other_label = self.labels[j]
        are_labelled = label > -1 and other_label > -1
        return bool(are_labelled and label != other_label)

    def label_name(self, i: int) -> str:
        """Return the name of the label of image i, or those of its labels, such as "Apple|Lime"."""
        if self.label_sets is None:
            return self.class_names[self.labels[i]]
        [names] = joined_names(self.label_sets[[i]], self.class_names)
        return names or "nothing"

    def distances(self, i: int, others: np.ndarray) -> np.ndarray:
        """Return the distances of image i from others, in features of unit deviation."""
        difference = (self._gap[others] - self._gap[i]) / self._deviation
        return np.linalg.norm(difference, axis=1)

    def most_similar(self, i: int, candidates: np.ndarray) -> int:
        """Return the index, among the candidates, of the image most similar to image i."""
        cosines = self.features[candidates] @ self.features[i]
        return candidates[cosines.argmax()]


def percent(share: float, digits: int = 0) -> str:
    """Return a share 0..1 as a percentage, such as "12 %"."""
    return f"{100 * share:.{digits}f} %"


def probable(probability: float, digits: int = 0) -> str:
    """Return a probability 0..1 as a percentage that is not rounded to 0 or 100.

    >>> from camkit.faults._images import probable
    >>> probable(0.999), probable(0.12), probable(0.0001, digits=1)
    ('more than 99 %', '12 %', 'less than 0.1 %')
    """
    step = 10.0**-digits
    if 100 * probability > 100 - step / 2:
        return f"more than {percent(1 - step / 100, digits)}"
    if 100 * probability < step / 2:
        return f"less than {percent(step / 100, digits)}"
    return percent(probability, digits)


def _joined_labels(analyses: "list[Analysis]") -> np.ndarray:
    """Return the labels of all images, (N,) or (N, C). Raises ValueError for both kinds."""
    if len({analysis.has_label_sets for analysis in analyses}) > 1:
        raise ValueError(
            "either the analysis or the reference has one label an image, the other several: give "
            "both labels of one kind"
        )
    return np.concatenate([analysis.labels for analysis in analyses])


def _is_first_of_its_kind(table: pd.DataFrame, labels: np.ndarray) -> np.ndarray:
    """Return whether no row before has the same path, label and split.

    A row without a label is like any other of its path, and so are all rows of a path if the splits
    of some are not known.
    """
    is_repeated = table["path"].duplicated().to_numpy()
    if not is_repeated.any():
        return ~is_repeated
    _, number = np.unique(labels, axis=0, return_inverse=True)
    label = pd.Series(number.ravel(), index=table.index)
    if labels.ndim == 1:
        label = label.where(labels > -1)
        label = label.fillna(label.groupby(table["path"].to_numpy()).transform("first"))
    table = table.assign(label=label)
    columns = ["path", "label"]
    if table["split"].notna().all():
        columns.append("split")
    return ~table.duplicated(columns).to_numpy()


def _table_of(analysis: "Analysis", source: int) -> pd.DataFrame:
    splits = analysis.images.splits
    if None in splits:
        # A folder that is called "test" is then that of a class, say, and separates no splits.
        splits = [None] * len(splits)
    columns = {
        "path": analysis.paths,
        "source": source,
        "split": splits,
        "row": np.arange(len(analysis.labels)),
    }
    return pd.DataFrame(columns)
