"""The images that are searched for faults, and the form of a fault."""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from camkit._features import check_same_model, feature_space
from camkit.images._label_sets import joined_names

if TYPE_CHECKING:
    from camkit import Analysis


class Fault(NamedTuple):
    """One suspected fault: a row of the table, with images as indices."""

    image: int
    kind: str
    reason: str
    score: float
    other: int


class Images:
    """The images of an analysis and of its reference, each path once.

    Attributes:
        paths: (N,) object array of file names.
        labels: (N,) int; -1 where an image has no label. Where images have several labels, it is a
            number for each set of labels that occurs.
        label_sets: (N, C) bool where images have several labels, else None.
        splits: (N,) int, a number for each split: images of the analysis and of the reference are
            in different splits, and so are those in folders such as Training and Test.
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
        is_first = ~table["path"].duplicated().to_numpy()
        table = table[is_first]
        if len(table) < 3:
            raise ValueError(f"{len(table)} images cannot be compared: pass three or more")
        self.paths = table["path"].to_numpy()
        labels = _joined_labels(self._analyses)[is_first]
        self.labels = labels
        self.label_sets: np.ndarray | None = None
        if labels.ndim == 2:
            _, self.labels = np.unique(labels, axis=0, return_inverse=True)
            self.label_sets = labels
        by_split = table.groupby(["source", "split"], dropna=False)
        self.splits = by_split.ngroup().to_numpy()
        self.class_names = list(analysis.class_names)
        (self.features,) = feature_space(gap[is_first])
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

    def label_name(self, i: int) -> str:
        """Return the name of the label of image i, or those of its labels, such as "Apple|Lime"."""
        if self.label_sets is None:
            return self.class_names[self.labels[i]]
        [names] = joined_names(self.label_sets[[i]], self.class_names)
        return names or "nothing"

    def most_similar(self, i: int, candidates: np.ndarray) -> int:
        """Return the index, among the candidates, of the image most similar to image i."""
        cosines = self.features[candidates] @ self.features[i]
        return candidates[cosines.argmax()]


def percent(share: float, digits: int = 0) -> str:
    """Return a share 0..1 as a percentage, such as "12 %"."""
    return f"{100 * share:.{digits}f} %"


def _joined_labels(analyses: "list[Analysis]") -> np.ndarray:
    """Return the labels of all images, (N,) or (N, C). Raises ValueError for both kinds."""
    if len({analysis.has_label_sets for analysis in analyses}) > 1:
        raise ValueError(
            "either the analysis or the reference has one label an image, the other several: give "
            "both labels of one kind"
        )
    return np.concatenate([analysis.labels for analysis in analyses])


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
