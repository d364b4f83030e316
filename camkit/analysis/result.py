"""The result of an analysis: arrays on disk that are read as they are used.

Reading a result needs neither the model nor Keras.
"""

import json
import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from camkit._files import any_bytes, present, to_path
from camkit.analysis import _flips, _label_sets
from camkit.analysis._folder import (
    ABOUT,
    NEXT,
    array_names,
    check_finite,
    is_finished,
    temporary_folder,
)
from camkit.analysis._metadata import unpack
from camkit.analysis._reading import reader_of_description
from camkit.images import ImageSet
from camkit.images._as_arrays import ArrayReader
from camkit.images._as_keras import Reader
from camkit.images._label_sets import joined_names
from camkit.images._selection import positions
from camkit.images.decoding import FileReader


@dataclass(eq=False, repr=False)
class Analysis:
    """The results of a model on N images and C classes; arrays are read from disk as they are used.

    `camkit.analyze` creates an Analysis, `camkit.load_analysis` opens one. There are two kinds. By
    CAM, `maps` holds the signed class maps of all classes in order (M = C), float16; the mean of a
    map plus the bias, and the rest if there is one, is the logit. By another method, `maps` holds
    the maps that it returns, float32, of the top five classes, or of the top four and the true one;
    then `bias` is None.

    Attributes:
        folder: The folder of the arrays.
        gap: GAP features (N, K), float32.
        maps: Maps (N, h, w, M) of the classes `map_classes`.
        logits: Scores (N, C), float32.
        probs: Probabilities (N, C), float32.
        labels: Class indices (N,), -1 where an image has no label; or, where an image may have
            several labels, a mask (N, C), bool.
        bias: The head's bias (C,), float32, or None.
        paths: The N files.
        class_names: The C names.
        map_classes: Class indices (N, M) of the maps.
        rest: What the head adds to the logits (N, C) from values that no map belongs to, float32;
            None for the usual head.
        matched_by: How the folders were matched with the classes: by "name", by "number", or by
            "order", one by one in alphabetical order, because the model carries no names. Then it
            is assumed that it was trained on folders in this order. None without labels, and for an
            analysis by version 1.0.0.
        is_multi_label: Whether the model has a sigmoid for each of several labels, so that an image
            may have any number of them. If the images have one label each nevertheless,
            `predicted`, `table` and `errors` know only the most probable one: an image counts as an
            error if that is not its folder, although the folder's label may be predicted as well.
            `predicted_labels` returns all.
        reader: How the files became arrays, `reader` of the ImageSet.
        thresholds: The least probability (C,) of a predicted label, set by `with_thresholds`; None
            for 0.5. It matters for a multi-label model only.
        input_size: (height, width) of the images that the model was given.

    Example:
        >>> import camkit
        >>> images = camkit.load_images("mini", "Test", per_class=1)
        >>> model = camkit.gap_classifier(camkit.backbone("mini"), images.class_names)
        >>> analysis = camkit.analyze(model, images)
        >>> len(analysis), analysis.gap.shape, analysis.maps.shape, analysis.logits.shape
        (12, (12, 96), (12, 13, 13, 12), (12, 12))
        >>> mean = analysis.class_map(0, 3).mean() + analysis.bias[3]
        >>> bool(abs(mean - analysis.logits[0, 3]) < 0.01)
        True
    """

    folder: Path
    gap: np.ndarray
    maps: np.ndarray
    logits: np.ndarray
    probs: np.ndarray
    labels: np.ndarray
    bias: np.ndarray | None
    paths: list[str]
    class_names: list[str]
    map_classes: np.ndarray
    rest: np.ndarray | None = None
    matched_by: str | None = None
    is_multi_label: bool = False
    metadata: pd.DataFrame | None = None
    root: Path | None = None
    reader: Reader = FileReader()
    thresholds: np.ndarray | None = None
    input_size: tuple[int, int] | None = None
    # The splits of the images, None where they are those of their folders' names.
    _splits: list[str | None] | None = field(default=None, repr=False)
    # The digests of the files that were analysed, None where they are not known.
    _digests: list[str] | None = field(default=None, repr=False)
    # The folder of images that have no lasting files; it lives as long as the analysis.
    _images: tempfile.TemporaryDirectory | None = field(default=None, repr=False)
    # A temporary folder lives as long as the analysis that reads it.
    _temporary: tempfile.TemporaryDirectory | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Find the root that the paths share, unless one is given."""
        if self.root is None and self.paths:
            folders = {os.path.dirname(os.path.dirname(path)) for path in self.paths}
            self.root = Path(os.path.commonpath(folders))

    def __repr__(self) -> str:
        """Return how many images were analysed, in how many classes, and where the arrays are."""
        method = "CAM" if self.bias is not None else "another method"
        given = ""
        if isinstance(self.reader, ArrayReader):
            given = f" given as {self.reader.black:g} to {self.reader.white:g}"
        return (
            f"Analysis({len(self)} images{given}, {len(self.class_names)} classes, "
            f"maps by {method}, folder={str(self.folder)!r})"
        )

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.labels)

    @property
    def has_label_sets(self) -> bool:
        """Return whether an image may have several labels, so that `labels` is a mask (N, C).

        Example:
            >>> import camkit
            >>> images = camkit.load_images("mini", "Test", per_class=1)
            >>> model = camkit.gap_classifier(camkit.backbone("mini"), images.class_names)
            >>> camkit.analyze(model, images).has_label_sets
            False
        """
        return self.labels.ndim == 2

    @property
    def images(self) -> ImageSet:
        """Return the images that were analysed, as an ImageSet that reads their files.

        Example:
            >>> import camkit
            >>> images = camkit.load_images("mini", "Test", per_class=1)
            >>> model = camkit.gap_classifier(camkit.backbone("mini"), images.class_names)
            >>> camkit.analyze(model, images).images.paths == images.paths
            True
        """
        paths = [Path(path) for path in self.paths]
        root = self.root or Path()
        return ImageSet(
            root,
            paths,
            self.labels,
            self.class_names,
            [],
            self.metadata,
            reader=self.reader,
            _splits=self._splits,
            _temporary=self._images,
        )

    def select(self, indices: Sequence[int] | np.ndarray | pd.Series | slice) -> "Analysis":
        """Return the analysis of the selected images, in the given order.

        `camkit.data_faults`, `camkit.write_atlas` and `camkit.error_atlas` take it as they take the
        whole. The folder remains that of the whole. A slice is read from disk as the whole is;
        other selections are copied into memory.

        Args:
            indices: Rows of `table`, a mask of N booleans, or a slice. A mask that is a column of a
                table is aligned by its index, and its missing values select nothing.

        Returns:
            An Analysis with the same classes.

        Raises:
            IndexError: There is no such image, or there is not a boolean for each image.
            ValueError: The index of a mask is not 0 to N − 1, in any order.

        Example:
            >>> import camkit
            >>> images = camkit.load_images("mini", "Test", per_class=1)
            >>> model = camkit.gap_classifier(camkit.backbone("mini"), images.class_names)
            >>> analysis = camkit.analyze(model, images)
            >>> errors = analysis.select(analysis.errors.index)
            >>> len(errors), len(analysis.select(analysis.table["correct"]))
            (11, 1)
        """
        chosen = positions(indices, len(self))
        rows = indices if isinstance(indices, slice) else chosen
        images = self.images.select(chosen)
        return replace(
            self,
            gap=self.gap[rows],
            maps=self.maps[rows],
            logits=self.logits[rows],
            probs=self.probs[rows],
            labels=self.labels[rows],
            paths=[self.paths[i] for i in chosen],
            map_classes=self.map_classes[rows],
            rest=None if self.rest is None else self.rest[rows],
            metadata=images.metadata,
            _splits=images._splits,
            _digests=None if self._digests is None else [self._digests[i] for i in chosen],
        )

    @property
    def viewer(self) -> Reader:
        """Return the reader that shows what the model has seen of a file, `viewer(path)`.

        A map covers this. It is the whole image, unless the images were read as Keras crops or pads
        them.

        Example:
            >>> import camkit
            >>> images = camkit.load_images("mini", "Test", per_class=1)
            >>> model = camkit.gap_classifier(camkit.backbone("mini"), images.class_names)
            >>> analysis = camkit.analyze(model, images)
            >>> analysis.viewer(analysis.paths[0]).shape
            (100, 100, 3)
        """
        if self.input_size is None:
            return self.reader
        return self.reader.seen_at(self.input_size)

    @cached_property
    def predicted(self) -> np.ndarray:
        """Return the classes (N,) of the highest scores.

        Example:
            >>> import camkit
            >>> images = camkit.load_images("mini", "Test", per_class=1)
            >>> model = camkit.gap_classifier(camkit.backbone("mini"), images.class_names)
            >>> analysis = camkit.analyze(model, images)
            >>> bool((analysis.predicted == analysis.probs.argmax(axis=1)).all())
            True
        """
        return np.argmax(self.logits, axis=1)

    def predicted_labels(self, threshold: float | Sequence[float] | None = None) -> np.ndarray:
        """Return which labels a multi-label model predicts: those that reach a threshold.

        Args:
            threshold: The least probability of a predicted label, one number or one for each class;
                None for the `thresholds` of the analysis, which are 0.5 unless set.

        Returns:
            A mask (N, C), bool.

        Raises:
            ValueError: There is not one threshold from 0 to 1 for each class.

        Example:
            >>> import camkit, keras
            >>> images = camkit.load_images("mini", "Test", per_class=1)
            >>> base = camkit.backbone("mini")
            >>> gap = keras.layers.GlobalAveragePooling2D()(base.output)
            >>> labels = keras.layers.Dense(3, "sigmoid")(gap)
            >>> analysis = camkit.analyze(keras.Model(base.input, labels), images.unlabelled())
            >>> analysis.is_multi_label, analysis.predicted_labels([0.5, 0.5, 0.9]).shape
            (True, (12, 3))
        """
        thresholds = self._thresholds if threshold is None else self._checked(threshold)
        return np.asarray(self.probs) >= thresholds

    def with_thresholds(self, thresholds: float | Sequence[float] | np.ndarray) -> "Analysis":
        """Return the same analysis, in which labels are predicted with other thresholds.

        `predicted_labels`, `table`, `errors`, `per_class` and the atlas follow. Nothing is written:
        `load_analysis` returns an analysis with 0.5.

        Args:
            thresholds: The least probability of a predicted label, one number or one for each
                class, such as `best_thresholds()` of a validation set.

        Raises:
            ValueError: There is not one threshold from 0 to 1 for each class, or the images have
                one label each, of which the most probable is predicted.

        Example:
            >>> import camkit, keras, numpy as np
            >>> from dataclasses import replace
            >>> images = camkit.load_images("mini", "Test", per_class=1)
            >>> base = camkit.backbone("mini")
            >>> gap = keras.layers.GlobalAveragePooling2D()(base.output)
            >>> model = keras.Model(base.input, keras.layers.Dense(12, "sigmoid")(gap))
            >>> several = replace(images, labels=np.eye(12, dtype=bool))
            >>> analysis = camkit.analyze(model, several)
            >>> int(analysis.with_thresholds(1.0).table["missed"].sum())
            12
        """
        if not self.has_label_sets:
            raise ValueError(
                "the images have one label each, of which the most probable is predicted, without "
                "a threshold: predicted_labels(threshold) returns all labels that reach one"
            )
        return replace(self, thresholds=self._checked(thresholds))

    def best_thresholds(self) -> np.ndarray:
        """Return the threshold (C,) of each class with the highest F1 on these images.

        Choose them on a validation set, `test.with_thresholds(validation.best_thresholds())`: on
        the images that they were chosen on, F1 is too high. A threshold lies halfway between two
        probabilities, or between the lowest one and 0; it is 0.5 where no image has the label.

        Raises:
            ValueError: The images have one label each.

        Example:
            >>> import camkit, keras, numpy as np
            >>> from dataclasses import replace
            >>> images = camkit.load_images("mini", "Test", per_class=1)
            >>> base = camkit.backbone("mini")
            >>> gap = keras.layers.GlobalAveragePooling2D()(base.output)
            >>> model = keras.Model(base.input, keras.layers.Dense(12, "sigmoid")(gap))
            >>> several = replace(images, labels=np.eye(12, dtype=bool))
            >>> camkit.analyze(model, several).best_thresholds().shape
            (12,)
        """
        if not self.has_label_sets:
            raise ValueError(
                "the images have one label each: thresholds are chosen on images with several "
                "labels, whose `labels` are a mask (N, C)"
            )
        return _label_sets.best_thresholds(self.probs, self.labels)

    def _checked(self, thresholds: float | Sequence[float] | np.ndarray) -> np.ndarray:
        """Return thresholds (C,). Raises ValueError if they are not one probability a class."""
        classes = len(self.class_names)
        if np.shape(thresholds) not in ((), (classes,)):
            raise ValueError(
                f"threshold is {thresholds}: pass one number, or one for each of {classes} classes"
            )
        given = np.asarray(thresholds)
        is_number = given.dtype.kind in "fiu"
        # NaN is not between them.
        if not is_number or not ((given >= 0) & (given <= 1)).all():
            raise ValueError(
                f"threshold is {thresholds!r}: pass probabilities, numbers from 0 to 1"
            )
        return np.broadcast_to(given.astype("float64"), classes)

    @property
    def _thresholds(self) -> np.ndarray:
        return self._checked(_label_sets.THRESHOLD if self.thresholds is None else self.thresholds)

    @cached_property
    def table(self) -> pd.DataFrame:
        """Return a table with a row for each image.

        The first columns are "path", as text; "true" and "predicted", names of classes;
        "confidence", the probability of the predicted class, 0 to 1; "margin", the logit of the
        true class minus the highest other one, which is negative for an error; "correct", whether
        the predicted class is the true one; "second", the class of the second highest score, and
        "second_confidence", its probability; "flip_cells", "flip_share" and "flip_to", see below;
        "file", the path below `root`, with slashes, by which a table of your own can be merged.
        Without a label, the true class is None, the margin is NaN and "correct" is NA.

        "flip_cells" is the number of cells in the flip set, the fewest cells of the class maps that
        have to contribute nothing before another class outscores the predicted one: in an error the
        true class, otherwise any. "flip_share" is their share of all cells, 0 to 1, and "flip_to"
        is the class that is predicted without them, which may be a third one. They are NA where no
        number of cells is enough, and where the maps do not add up to the logits, as those of other
        methods than CAM. `camkit.flip_set` returns the cells themselves.

        Where images have several labels, "true" and "predicted" are their names joined by "|", such
        as "Apple|Lemon", and "" for none; "confidence" is the probability of the most probable
        label; "margin" is the lowest over all classes, as `errors` explains it, and negative if
        any is wrong; "correct" tells whether all are right; "flip_cells" are the fewest cells that
        move a label, which "flip_to" names, to the other side of its threshold: in an image with
        errors one of the wrong labels, otherwise any; "missed" and "invented" count the labels that
        were not predicted, and those predicted in error.

        The columns of `metadata` follow. One that has the name of a column above is called
        "metadata_" and that name.

        Example:
            >>> import camkit
            >>> images = camkit.load_images("mini", "Test", per_class=1)
            >>> model = camkit.gap_classifier(camkit.backbone("mini"), images.class_names)
            >>> table = camkit.analyze(model, images).table
            >>> list(table.columns)[:5], table["true"][0]
            (['path', 'true', 'predicted', 'confidence', 'margin'], 'Apple Green')
            >>> table["file"][0].startswith("Test/Apple Green/")
            True
        """
        rows = np.arange(len(self))
        second = self._second()
        has_second = len(self.class_names) > 1
        flip_cells, flip_to = self._flips()
        columns = {
            "path": self.paths,
            "true": self._true_names(),
            "predicted": self._predicted_names(),
            "confidence": self.probs[rows, self.predicted],
            "margin": self._margins,
            "correct": self._correct(),
            "second": self._names_of(second),
            "second_confidence": self.probs[rows, second] if has_second else np.nan,
            "flip_cells": pd.array(flip_cells, dtype="Int64"),
            "flip_share": flip_cells / np.prod(self.maps.shape[1:-1]),
            "flip_to": self._names_of(flip_to),
            "file": self._files(),
        }
        if self.has_label_sets:
            predicted = self.predicted_labels()
            columns["missed"] = (self.labels & ~predicted).sum(axis=1)
            columns["invented"] = (predicted & ~self.labels).sum(axis=1)
        with any_bytes():
            table = pd.DataFrame(columns)
            if self.metadata is None:
                return table
            metadata = self.metadata.reset_index(drop=True)
            metadata.columns = _distinct(metadata.columns, table.columns)
            return pd.concat([table, metadata], axis=1)

    def _names_of(self, classes: np.ndarray) -> np.ndarray:
        """Return the names of classes (N,), None for -1."""
        # -1 selects the last entry.
        names = np.array([*self.class_names, None], dtype=object)
        return names[classes]

    def _true_names(self) -> np.ndarray | list[str]:
        """Return the names of the labels (N,) for the table."""
        if self.has_label_sets:
            return joined_names(self.labels, self.class_names)
        return self._names_of(self.labels)

    def _predicted_names(self) -> np.ndarray | list[str]:
        """Return the names of what is predicted (N,) for the table."""
        if self.has_label_sets:
            return joined_names(self.predicted_labels(), self.class_names)
        return self._names_of(self.predicted)

    def _correct(self) -> pd.Series:
        """Return whether the images (N,) are classified correctly, NA where there is no label."""
        if self.has_label_sets:
            is_correct = (self.predicted_labels() == self.labels).all(axis=1)
            return pd.Series(is_correct, dtype="boolean")
        correct = pd.Series(self.predicted == self.labels, dtype="boolean")
        return correct.mask(self.labels < 0)

    def _second(self) -> np.ndarray:
        """Return the classes (N,) of the second highest scores; -1 if there is one class only."""
        if len(self.class_names) < 2:
            return np.full(len(self), -1)
        logits = np.array(self.logits)
        logits[np.arange(len(self)), self.predicted] = -np.inf
        return np.argmax(logits, axis=1)

    def _flips(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the sizes of the flip sets (N,), NaN without one, and the winners (N,)."""
        if self.bias is None:
            return np.full(len(self), np.nan), np.full(len(self), -1)
        if not self.has_label_sets:
            return _flips.flips_of_classes(self.maps, self.logits, self.labels)
        margins = self._label_margins()
        predicted = self.predicted_labels()
        return _flips.flips_of_labels(self.maps, margins, self.labels, predicted)

    def _files(self) -> list[str]:
        """Return the paths below the root; a path elsewhere as it is."""
        beginning = f"{self.root}{os.sep}"
        return [path.removeprefix(beginning).replace(os.sep, "/") for path in self.paths]

    def _label_margins(self) -> np.ndarray:
        """Return by how much the logits (N, C) lie on the right side of their thresholds."""
        return _label_sets.margins(self.logits, self.labels, self._thresholds)

    @cached_property
    def _margins(self) -> np.ndarray:
        """The margins (N,) of the table."""
        if self.has_label_sets:
            return self._label_margins().min(axis=1)
        margins = np.full(len(self), np.nan, dtype=self.logits.dtype)
        labelled = np.flatnonzero(self.labels >= 0)
        labels = self.labels[labelled]
        rows = np.arange(len(labelled))
        logits = np.array(self.logits[labelled])
        true = logits[rows, labels]
        logits[rows, labels] = -np.inf
        margins[labelled] = true - logits.max(axis=1)
        return margins

    @property
    def errors(self) -> pd.DataFrame:
        """Return the rows of `table` whose predicted class is not the true one.

        The most confident errors come first. Images without a label are not counted as errors.

        Where images have several labels, an error is a pair of an image and a label, and each has a
        row, the lowest margin first. Columns: "path"; "label", the name of a class; "kind",
        "missed" for a label of the image that is not predicted, "invented" for a predicted one that
        it has not; "probability" of the label; "margin", how far its logit is from that of the
        threshold, negative; "flip_cells", the fewest cells that move it there. The index is that of
        the image in `table`, so that it may recur.

        Example:
            >>> import camkit
            >>> images = camkit.load_images("mini", "Test", per_class=1)
            >>> model = camkit.gap_classifier(camkit.backbone("mini"), images.class_names)
            >>> # An untrained head gives all classes the same score, so the first class wins.
            >>> len(camkit.analyze(model, images).errors)
            11
        """
        if self.has_label_sets:
            margins = self._label_margins()
            predicted = self.predicted_labels()
            flip_cells = np.full((self.labels != predicted).sum(), np.nan)
            if self.bias is not None:
                flip_cells = _flips.flips_of_errors(self.maps, margins, self.labels, predicted)
            with any_bytes():
                return _label_sets.errors(
                    self.paths,
                    self.class_names,
                    self.probs,
                    self.labels,
                    predicted,
                    margins,
                    flip_cells,
                )
        is_error = (self.predicted != self.labels) & (self.labels >= 0)
        errors = self.table[is_error]
        return errors.sort_values("confidence", ascending=False, kind="stable")

    @property
    def per_class(self) -> pd.DataFrame:
        """Return a table with a row for each class, by its name.

        Columns: "support", the number of images that have the label; "predicted", the number for
        which it is predicted; "precision", "recall" and "f1"; "average_precision", the area under
        the curve of precision and recall of its probabilities, in steps, as scikit-learn computes
        it. A share of nothing is NaN. Images without a label are left out. Where images have
        several labels, "threshold" is the least probability of a predicted label.

        Example:
            >>> import camkit
            >>> images = camkit.load_images("mini", "Test", per_class=2)
            >>> model = camkit.gap_classifier(camkit.backbone("mini"), images.class_names)
            >>> # An untrained head always predicts the first class.
            >>> camkit.analyze(model, images).per_class["recall"].head(2).tolist()
            [1.0, 0.0]
        """
        if self.has_label_sets:
            table = _label_sets.scores_by_class(
                self.class_names, self.probs, self.labels, self.predicted_labels()
            )
            return table.assign(threshold=self._thresholds)
        labelled = self.labels >= 0
        classes = np.arange(len(self.class_names))
        return _label_sets.scores_by_class(
            self.class_names,
            self.probs[labelled],
            self.labels[labelled, None] == classes,
            self.predicted[labelled, None] == classes,
        )

    def to_parquet(self, file: str | os.PathLike) -> Path:
        """Write `table` and the features to a Parquet file, and return its path.

        `camkit.export` has other formats.

        Args:
            file: The file, which is replaced if it exists. The ending .parquet is added if it is
                missing.

        Raises:
            ImportError: pyarrow is not installed.
            ValueError: A column of the metadata cannot be written as Parquet.
            OSError: The file cannot be written.

        Example:
            >>> import camkit, pandas as pd, tempfile
            >>> images = camkit.load_images("mini", "Test", per_class=1)
            >>> model = camkit.gap_classifier(camkit.backbone("mini"), images.class_names)
            >>> analysis = camkit.analyze(model, images)
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     file = analysis.to_parquet(folder + "/analysis.parquet")
            ...     list(pd.read_parquet(file).columns)[-2:]
            ['file', 'features']
        """
        # It draws on camkit.localize, which whoever only opens an analysis need not load.
        from camkit import export

        return export.parquet(self, file)

    def class_map(self, i: int, c: int) -> np.ndarray:
        """Return the map of class `c` in image `i`.

        Args:
            i: The image, as a row of `table`.
            c: The class index.

        Returns:
            The map (h, w), float32.

        Raises:
            ValueError: The map of this class was not stored.

        Example:
            >>> import camkit
            >>> images = camkit.load_images("mini", "Test", per_class=1)
            >>> model = camkit.gap_classifier(camkit.backbone("mini"), images.class_names)
            >>> analysis = camkit.analyze(model, images)
            >>> analysis.class_map(0, analysis.predicted[0]).shape
            (13, 13)
        """
        classes = self.map_classes[i]
        positions = np.flatnonzero(classes == c)
        if not len(positions):
            available = {int(index): self.class_names[index] for index in classes}
            raise ValueError(
                f"no map of class {c} was stored for {self.paths[i]}, only those of {available}"
            )
        return np.asarray(self.maps[i, ..., positions[0]], dtype="float32")


def _distinct(names: pd.Index, taken: pd.Index) -> pd.Index:
    """Return names for columns of metadata that are not those of other columns."""
    used = {*names, *taken}
    distinct = []
    for name in names:
        if name in taken:
            while name in used:
                name = f"metadata_{name}"
            used.add(name)
        distinct.append(name)
    return pd.Index(distinct)


def load_analysis(folder: str | os.PathLike) -> Analysis:
    """Return the finished analysis that a folder holds.

    Args:
        folder: The folder that `camkit.analyze` has filled, or an address such as
            s3://bucket/folder, which is copied to a temporary folder.

    Returns:
        The Analysis. Neither the model nor the images are needed.

    Raises:
        ValueError: The folder holds no analysis, one that is not finished, a broken file, or scores
            that are not finite.
        ImportError: An address needs camkit[cluster].

    Example:
        >>> import camkit, tempfile
        >>> images = camkit.load_images("mini", "Test", per_class=1)
        >>> model = camkit.gap_classifier(camkit.backbone("mini"), images.class_names)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     analysis = camkit.analyze(model, images, folder)
        ...     len(camkit.load_analysis(folder))
        12
    """
    folder = to_path(folder)
    files = present(folder)
    if ABOUT not in files and NEXT not in files:
        raise ValueError(
            f"{folder} holds no analysis: camkit.analyze(model, images, folder) creates one"
        )
    about = None
    if ABOUT in files:
        about = _whole(folder, ABOUT, lambda file: json.loads(file.read_text(encoding="utf-8")))
    if about is None or not is_finished(folder, about):
        raise ValueError(
            f"the analysis in {folder} is not finished: call camkit.analyze with the same model "
            "and images to continue it"
        )
    temporary = None
    if not isinstance(folder, Path):
        temporary = _download(folder, files)
        folder = Path(temporary.name)
    names = array_names(about)
    load = partial(np.load, mmap_mode="r")
    arrays = {name: _whole(folder, f"{name}.npy", load) for name in names}
    # Version 1.0.0 stored scores of any value.
    check_finite(arrays["logits"], about["paths"])
    if "map_classes" not in arrays:
        classes = np.arange(len(about["class_names"]))
        arrays["map_classes"] = np.broadcast_to(classes, (len(about["labels"]), len(classes)))
    bias = about["bias"]
    return Analysis(
        folder,
        labels=_label_sets.from_json(about["labels"], len(about["class_names"])),
        bias=None if bias is None else np.array(bias, dtype="float32"),
        paths=about["paths"],
        class_names=about["class_names"],
        matched_by=about.get("matched_by"),
        is_multi_label=about.get("multi_label", False),
        metadata=unpack(about.get("metadata")),
        root=Path(about["root"]) if "root" in about else None,
        reader=reader_of_description(about.get("reader")),
        input_size=tuple(about["input_size"]) if "input_size" in about else None,
        _splits=about.get("splits"),
        # With inputs beside the images, a digest is that of both.
        _digests=about.get("digests") if about.get("inputs") is None else None,
        _temporary=temporary,
        **arrays,
    )


def _whole(folder: Any, name: str, read: Callable[[Any], Any]) -> Any:
    """Return what a function reads of a file in the folder of an analysis.

    Raises ValueError if the file is broken.
    """
    try:
        return read(folder / name)
    except (ValueError, EOFError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(
            f"{folder / name} is broken ({reason}): restore it from a copy, or delete the folder "
            "and call camkit.analyze again"
        ) from error


def _download(folder: Any, files: set[str]) -> tempfile.TemporaryDirectory:
    """Return a temporary folder with a copy of files in a store."""
    temporary = temporary_folder()
    for name in files:
        folder.fs.get_file((folder / name).path, f"{temporary.name}/{name}")
    return temporary
