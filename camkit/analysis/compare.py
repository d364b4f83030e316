"""Two models on the same images: what the second one mends, what it breaks, where it looks."""

import warnings
from collections import defaultdict, deque
from collections.abc import Hashable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from camkit import scenes
from camkit._features import check_files
from camkit._files import any_bytes
from camkit._progress import progress
from camkit.analysis.result import Analysis
from camkit.images._digests import digest_of
from camkit.images._label_sets import joined_names
from camkit.images.decoding import THREADS
from camkit.maps.arrays import coverage

# What became of an image. The last two are those of images without a label.
CHANGES = (
    "both right",
    "mended",
    "broken",
    "both wrong, same answer",
    "both wrong, changed answer",
    "no label, same answer",
    "no label, changed answer",
)
_RIGHT, _MENDED, _BROKEN, _WRONG, _WRONG_CHANGED, _UNLABELLED, _UNLABELLED_CHANGED = range(7)

# The side in pixels at which objects are told from their background.
_SIDE = 64

# The quantile of the normal distribution for an interval of 95 %.
_Z = 1.959964

# A message lists at most this many names.
_MOST_NAMES = 5


@dataclass(frozen=True, eq=False, repr=False)
class Comparison:
    """What changed between two analyses of the same images, on the N images that both hold.

    `camkit.compare` creates it. Printed, it says the differences in words.

    Attributes:
        before: The first analysis.
        after: The second one.
        table: A row for each image that both hold, in the order of `after`, whose row in
            `after.table` is the index. Columns: "path", in `after`; "true", the name of the label;
            "before" and "after", the names of the predicted classes; "change", one of CHANGES,
            categorical; "p_before" and "p_after", the probability of the true class, NaN where
            there is none; "before_row", the image's row in `before.table`. Where images have
            several labels, the names are joined by "|", an image is right if all of its labels are,
            and in place of the probabilities, "wrong_before" and "wrong_after" count the labels
            that were missed or invented.
        class_names: The names of all classes: those of `after`, then those of `before` alone.
        only_before: The paths of the images that `before` alone holds.
        only_after: The paths of those that `after` alone holds.
        notes: Sentences on what the two do not have in common.

    Example:
        >>> import camkit
        >>> images = camkit.load_images("mini", "Test", per_class=2)
        >>> model = camkit.gap_classifier(camkit.backbone("mini"), images.class_names)
        >>> before = camkit.analyze(model, images)
        >>> history = camkit.train_head(model, images)
        >>> comparison = camkit.compare(before, camkit.analyze(model, images))
        >>> int(comparison.counts["broken"]), bool(comparison.accuracy["difference"] > 0.5)
        (0, True)
    """

    before: Analysis
    after: Analysis
    table: pd.DataFrame
    class_names: list[str]
    only_before: list[str]
    only_after: list[str]
    notes: list[str]
    # The masks (N, C) of the labels that both are judged by, over `class_names`.
    _truth: np.ndarray
    _sides: tuple["_Side", "_Side"]

    def __len__(self) -> int:
        """Return the number of images that both analyses hold."""
        return len(self.table)

    def __repr__(self) -> str:
        """Return the comparison in words, a line for each sentence."""
        head = f"Comparison of {_pictures(len(self))}"
        counts = [f"{count} {change}" for change, count in self.counts.items() if count]
        return "\n".join([head, *self.sentences, f"{'; '.join(counts)}."])

    @property
    def counts(self) -> pd.Series:
        """Return the number of images of each of CHANGES.

        Example:
            >>> import camkit
            >>> images = camkit.load_images("mini", "Test", per_class=1)
            >>> model = camkit.gap_classifier(camkit.backbone("mini"), images.class_names)
            >>> analysis = camkit.analyze(model, images)
            >>> int(camkit.compare(analysis, analysis).counts["both wrong, same answer"])
            11
        """
        return self.table["change"].value_counts(sort=False)

    @property
    def accuracy(self) -> pd.Series:
        """Return how the share of right images changed, and whether chance explains it.

        Entries: "images", the number with a label; "before" and "after", the shares that are right;
        "difference", after − before; "low" and "high", its interval of 95 % by Bonett and Price,
        "Adjusted Wald confidence interval for a difference of binomial proportions based on paired
        data", Journal of Educational and Behavioral Statistics 2012; "p", by McNemar's exact test
        (two-sided, binomial): the probability that chance alone divides the mended and the broken
        images at least so unequally. For both, images must be independent: frames of one video
        count too much. NaN if no image has a label.

        Where images have several labels, the images are compared, each right only if all of its
        labels are, since the labels of one image are not independent.

        Example:
            >>> import camkit
            >>> images = camkit.load_images("mini", "Test", per_class=1)
            >>> model = camkit.gap_classifier(camkit.backbone("mini"), images.class_names)
            >>> analysis = camkit.analyze(model, images)
            >>> accuracy = camkit.compare(analysis, analysis).accuracy
            >>> float(accuracy["difference"]), float(accuracy["p"])
            (0.0, 1.0)
        """
        right, mended, broken, wrong, wrong_changed, *_ = self.counts
        images = right + mended + broken + wrong + wrong_changed
        values = dict.fromkeys(("before", "after", "difference", "low", "high", "p"), np.nan)
        if images:
            low, high = _interval(mended, broken, images)
            values = {
                "before": (right + broken) / images,
                "after": (right + mended) / images,
                "difference": (mended - broken) / images,
                "low": low,
                "high": high,
                "p": _mcnemar(mended, broken),
            }
        return pd.Series({"images": images, **values}, dtype=float)

    @property
    def per_class(self) -> pd.DataFrame:
        """Return a table with a row for each class that occurs, the most broken first.

        Columns: "support", the number of images with the label; "recall_before" and "recall_after";
        "precision_before" and "precision_after"; "mended" and "broken", the images with the label
        for which it is predicted now and was not before, and the reverse. Rows are ordered by
        broken − mended. A share of nothing is NaN.

        Example:
            >>> import camkit
            >>> images = camkit.load_images("mini", "Test", per_class=1)
            >>> model = camkit.gap_classifier(camkit.backbone("mini"), images.class_names)
            >>> analysis = camkit.analyze(model, images)
            >>> camkit.compare(analysis, analysis).per_class["recall_after"].sum()
            np.float64(1.0)
        """
        truth = self._truth
        before, after = (side.answers for side in self._sides)
        columns = {
            "support": truth.sum(axis=0),
            "recall_before": _share(truth & before, truth),
            "recall_after": _share(truth & after, truth),
            "precision_before": _share(truth & before, before),
            "precision_after": _share(truth & after, after),
            "mended": (truth & ~before & after).sum(axis=0),
            "broken": (truth & before & ~after).sum(axis=0),
        }
        table = pd.DataFrame(columns, index=pd.Index(self.class_names, name="class"))
        occurs = np.any(truth | before | after, axis=0)
        gain = table["mended"] - table["broken"]
        order = gain[occurs].sort_values(kind="stable").index
        return table.loc[order]

    def shares_on_object(self, masks: Sequence[np.ndarray] | None = None) -> pd.DataFrame:
        """Return which share of the evidence for the true class lies on the object, image by image.

        That is the sum of the positive values of the class map on the object, divided by that of
        all. It is taken at the cells of the map: a cell that the object covers in part counts by
        the part. The zero of a class map is a convention of the head, so compare models whose heads
        are of one kind.

        Args:
            masks: A mask (H, W), bool, of the object in each image of `table`, in its order. None
                for `camkit.scenes.foreground`, which reads images of one object on white; how many
                are none is told in a warning.

        Returns:
            A table with the index of `table` and the columns "before" and "after", 0 to 1. NaN
            where the image has not exactly one label, is not of an object on white, or a map of it
            is not stored or has no positive value.

        Raises:
            ValueError: There is not one mask for each image, or no image is on white.
            OSError: An image cannot be read.

        Example:
            >>> import camkit
            >>> images = camkit.load_images("mini", "Test", per_class=1)
            >>> model = camkit.gap_classifier(camkit.backbone("mini"), images.class_names)
            >>> analysis = camkit.analyze(model, images)
            >>> shares = camkit.compare(analysis, analysis).shares_on_object()
            >>> list(shares.columns), len(shares)
            (['before', 'after'], 12)
        """
        if masks is None:
            masks = self._foregrounds()
        if len(masks) != len(self):
            raise ValueError(f"there are {len(masks)} masks and {len(self)} images: pass one each")
        labels = _only_labels(self._truth)
        columns = {}
        for name, side in zip(("before", "after"), self._sides, strict=True):
            entries = zip(masks, side.rows, side.class_of(labels), strict=True)
            columns[name] = [_share_on(mask, side.analysis, row, c) for mask, row, c in entries]
        return pd.DataFrame(columns, index=self.table.index, dtype=float)

    def evidence(self, masks: Sequence[np.ndarray] | None = None) -> pd.DataFrame:
        """Return where the evidence moved: the mean share of it on the object, before and after.

        Args:
            masks: As in `shares_on_object`, which tells the share of each image.

        Returns:
            A table with a row for "all images" and for each change that occurs, and the columns
            "images", the number for which both shares are known; "before" and "after", the mean
            shares; "difference", after − before; "low" and "high", its interval of 95 % by
            Student's t over the images.

        Raises:
            ValueError: There is not one mask for each image, or no image is on white.
            OSError: An image cannot be read.

        Example:
            >>> import camkit
            >>> images = camkit.load_images("mini", "Test", per_class=2)
            >>> model = camkit.gap_classifier(camkit.backbone("mini"), images.class_names)
            >>> history = camkit.train_head(model, images)
            >>> analysis = camkit.analyze(model, images)
            >>> float(camkit.compare(analysis, analysis).evidence().loc["all images", "difference"])
            0.0
        """
        shares = self.shares_on_object(masks).dropna()
        rows = {"all images": _paired(shares)}
        changes = self.table["change"].loc[shares.index]
        for change, of_change in shares.groupby(changes, observed=True):
            rows[change] = _paired(of_change)
        return pd.DataFrame(rows).T

    def _foregrounds(self) -> list[np.ndarray | None]:
        """Return the masks of the objects, None for an image that is not on white.

        Warns of such images. Raises ValueError if there are no others.
        """
        check_files(self.after)
        read = partial(self.after.viewer, size=(_SIDE, _SIDE))
        paths = self.table["path"].tolist()
        masks: list[np.ndarray | None] = []
        with (
            ThreadPoolExecutor(THREADS) as pool,
            progress(len(paths), "Finding the objects", "image") as bar,
        ):
            for image in pool.map(read, paths):
                masks.append(_foreground(image))
                bar.update()
        others = [path for path, mask in zip(paths, masks, strict=True) if mask is None]
        if others:
            remedy = "pass a mask of the object in each image"
            what = f"no images of an object on white, such as {others[0]}"
            if len(others) == len(paths):
                raise ValueError(f"these are {what}: {remedy}")
            count = f"{len(others)} of {len(paths)} images"
            warnings.warn(f"{count} are {what}, and have no share: {remedy}", stacklevel=3)
        return masks

    @property
    def sentences(self) -> list[str]:
        """Return the comparison in words: how much better, whether by chance, and the notes.

        Example:
            >>> import camkit
            >>> images = camkit.load_images("mini", "Test", per_class=1)
            >>> model = camkit.gap_classifier(camkit.backbone("mini"), images.class_names)
            >>> analysis = camkit.analyze(model, images)
            >>> camkit.compare(analysis, analysis).sentences[0]
            '8.3 % correct before, 8.3 % after: +0.0 points (95 % interval −19.8 to +19.8).'
        """
        return [*self._sentences_on_accuracy(), *self.notes]

    def _sentences_on_accuracy(self) -> list[str]:
        accuracy = self.accuracy
        if not accuracy["images"]:
            return ["No picture has a label, so that only the answers are compared."]
        correct = "with all labels correct" if self.after.has_label_sets else "correct"
        shares = f"{_percent(accuracy['before'])} {correct} before, {_percent(accuracy['after'])}"
        difference, low, high = accuracy[["difference", "low", "high"]]
        mended, broken = self.counts[["mended", "broken"]]
        first = f"{shares} after: {in_points(difference, low, high)}."
        if not mended + broken:
            return [first, "No answer changed from right to wrong or back."]
        return [
            first,
            f"{mended} mended, {broken} broken: chance alone divides them at least so unequally "
            f"with {_chance(accuracy['p'])} (McNemar's exact test).",
        ]


@any_bytes()
def compare(before: Analysis, after: Analysis) -> Comparison:
    """Return what changed between two analyses of the same images.

    The models may differ in anything: weights, architecture, input size, method of the maps, and
    classes, which are matched by name. Images are matched by the content of their files, wherever
    these lie and in whatever order; of copies, by folder and name as well. Images that one analysis
    alone holds are left out and listed.

    Where an image has another label in each, both answers are judged by that of `after`, and a note
    says so. A class that one model lacks is told in a note, too: that model is wrong on its images.
    Where images have several labels, an image is right if all of its labels are.

    Args:
        before: The analysis by the first model.
        after: The analysis by the second one.

    Returns:
        A Comparison.

    Raises:
        TypeError: One of them is no analysis, but a path, for example.
        ValueError: The analyses have no image or no class in common, or images have several labels
            in one of them only.
        OSError: An image is missing or cannot be read, which only analyses by version 1.0.0 and
            those with `inputs` need.

    Example:
        >>> import camkit
        >>> images = camkit.load_images("mini", "Test", per_class=2)
        >>> model = camkit.gap_classifier(camkit.backbone("mini"), images.class_names)
        >>> before = camkit.analyze(model, images)
        >>> history = camkit.train_head(model, images)
        >>> comparison = camkit.compare(before, camkit.analyze(model, images))
        >>> list(comparison.table.columns)[:5]
        ['path', 'true', 'before', 'after', 'change']
    """
    _check_is_analysis("before", before)
    _check_is_analysis("after", after)
    if before.has_label_sets != after.has_label_sets:
        several = "after" if after.has_label_sets else "before"
        raise ValueError(
            f"images have several labels in {several} and one label each in the other: analyse "
            "both with labels of one kind"
        )
    rows_before, rows_after = _matched_rows(before, after)
    names = _all_names(before, after)
    sides = (_Side(before, rows_before, names), _Side(after, rows_after, names))
    truth, differs = _truth(*sides)
    only_before = np.delete(np.arange(len(before)), rows_before)
    only_after = np.delete(np.arange(len(after)), rows_after)
    left_out = (len(only_before), len(only_after))
    return Comparison(
        before,
        after,
        _table(sides, truth, names),
        names,
        [before.paths[i] for i in only_before],
        [after.paths[i] for i in only_after],
        _notes(sides, names, truth, differs, left_out),
        truth,
        sides,
    )


def _check_is_analysis(name: str, value: object) -> None:
    """Raise TypeError for anything other than an analysis, such as the path of one."""
    if not isinstance(value, Analysis):
        raise TypeError(
            f"{name} must be an analysis, not {value!r:.80}: pass camkit.load_analysis(folder) or "
            "what camkit.analyze returns"
        )


# The images ---------------------------------------------------------------------------------------


def _matched_rows(before: Analysis, after: Analysis) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows (N,) in `before` and in `after` of the images that both hold.

    Copies are matched by folder and file name first, then in their order. Raises ValueError if
    there is no such image.
    """
    contents = _contents(before)
    contents_after = _contents(after)
    pairs = _pairs(_with_names(contents, before), _with_names(contents_after, after))
    matched = set(pairs.values())
    rest = {row: content for row, content in contents.items() if row not in matched}
    rest_after = {row: content for row, content in contents_after.items() if row not in pairs}
    pairs |= _pairs(rest, rest_after)
    if not pairs:
        raise ValueError(
            f"no image is in both analyses, such as {before.paths[0]} of before and "
            f"{after.paths[0]} of after: analyse the same files with both models"
        )
    rows = sorted(pairs)
    return np.array([pairs[row] for row in rows]), np.array(rows)


def _contents(analysis: Analysis) -> dict[int, str]:
    """Return a digest of the file of each image by its row: of what was analysed.

    Version 1.0.0 stored none, and with inputs they are not of the file alone. There it is that of
    the file that the path names now.
    """
    digests = analysis._digests
    if digests is None:
        check_files(analysis)
        digests = [digest_of(path).hex() for path in analysis.paths]
    return dict(enumerate(digests))


def _with_names(contents: dict[int, str], analysis: Analysis) -> dict[int, tuple[str, ...]]:
    """Return the digest, folder and file name of each image by its row."""
    keys = {}
    for row, content in contents.items():
        keys[row] = (content, *Path(analysis.paths[row]).parts[-2:])
    return keys


def _pairs(keys: Mapping[int, Hashable], keys_after: Mapping[int, Hashable]) -> dict[int, int]:
    """Return {row in after: row in before} of images with equal keys, each used once."""
    waiting: dict[Hashable, deque[int]] = defaultdict(deque)
    for row, key in keys.items():
        waiting[key].append(row)
    pairs = {}
    for row, key in keys_after.items():
        if waiting[key]:
            pairs[row] = waiting[key].popleft()
    return pairs


# Labels and answers -------------------------------------------------------------------------------


def _all_names(before: Analysis, after: Analysis) -> list[str]:
    """Return the names of the classes of both. Raises ValueError if they share none."""
    names = [str(name) for name in after.class_names]
    names_before = [str(name) for name in before.class_names]
    if set(names).isdisjoint(names_before):
        raise ValueError(
            f"the analyses have no class in common, before has {_listed(names_before)} and after "
            f"{_listed(names)}: analyse both with the same class_names=..., on images in folders "
            "of these names"
        )
    return [*names, *(name for name in names_before if name not in names)]


class _Side:
    """One of the two analyses on the N images that both hold, with all C classes of both.

    Attributes:
        analysis: The analysis.
        rows: The rows (N,) of the images in it.
        columns: For each of its classes the position among all classes.
        labels: Masks (N, C), bool, of the labels that it has.
        answers: Masks (N, C), bool, of what is predicted.
        knows_labels: A mask that broadcasts to (N, C) of the labels that it can tell.
    """

    def __init__(self, analysis: Analysis, rows: np.ndarray, names: Sequence[str]) -> None:
        positions = {name: position for position, name in enumerate(names)}
        self.analysis = analysis
        self.rows = rows
        self.columns = [positions[str(name)] for name in analysis.class_names]
        self.labels = np.zeros((len(rows), len(names)), dtype=bool)
        self.answers = self.labels.copy()
        if analysis.has_label_sets:
            self.labels[:, self.columns] = analysis.labels[rows]
            self.answers[:, self.columns] = analysis.predicted_labels()[rows]
            self.knows_labels = np.isin(np.arange(len(names)), self.columns)[None]
        else:
            classes = np.arange(len(analysis.class_names))
            self.labels[:, self.columns] = analysis.labels[rows, None] == classes
            self.answers[:, self.columns] = analysis.predicted[rows, None] == classes
            self.knows_labels = np.any(self.labels, axis=1)[:, None]

    def class_of(self, only_labels: np.ndarray) -> np.ndarray:
        """Return the classes (N,) in this analysis of labels (N,), -1 where it lacks the class."""
        # -1 selects the last entry.
        classes = np.full(self.labels.shape[1] + 1, -1)
        classes[self.columns] = np.arange(len(self.columns))
        return classes[only_labels]

    def probabilities(self, only_labels: np.ndarray) -> np.ndarray:
        """Return the probabilities (N,) of labels (N,), NaN for -1 and where it lacks the class."""
        classes = self.class_of(only_labels)
        probs = np.asarray(self.analysis.probs)[self.rows, classes]
        return np.where(classes >= 0, probs, np.nan)


def _truth(before: _Side, after: _Side) -> tuple[np.ndarray, np.ndarray]:
    """Return the labels (N, C) that both are judged by, and whether those of before differ (N,)."""
    truth = np.where(after.knows_labels, after.labels, before.labels)
    differs = (before.labels != truth) & before.knows_labels
    return truth, differs.any(axis=1)


def _only_labels(truth: np.ndarray) -> np.ndarray:
    """Return the only label (N,) of each image, -1 where it has none or several."""
    return np.where(truth.sum(axis=1) == 1, truth.argmax(axis=1), -1)


def _table(sides: tuple[_Side, _Side], truth: np.ndarray, names: Sequence[str]) -> pd.DataFrame:
    """Return the table of a Comparison."""
    before, after = sides
    changes = _changes(before.answers, after.answers, truth, after.analysis.has_label_sets)
    columns = {
        "path": [after.analysis.paths[row] for row in after.rows],
        "true": joined_names(truth, names),
        "before": joined_names(before.answers, names),
        "after": joined_names(after.answers, names),
        "change": pd.Categorical.from_codes(changes, CHANGES),
    }
    if after.analysis.has_label_sets:
        columns["wrong_before"] = (before.answers != truth).sum(axis=1)
        columns["wrong_after"] = (after.answers != truth).sum(axis=1)
    else:
        labels = _only_labels(truth)
        columns["true"] = np.where(labels < 0, None, columns["true"])
        columns["p_before"] = before.probabilities(labels)
        columns["p_after"] = after.probabilities(labels)
    columns["before_row"] = before.rows
    return pd.DataFrame(columns, index=after.rows)


def _changes(
    before: np.ndarray, after: np.ndarray, truth: np.ndarray, has_label_sets: bool
) -> np.ndarray:
    """Return for each image the position of its change in CHANGES."""
    is_same = (before == after).all(axis=1)
    was_right = (before == truth).all(axis=1)
    is_right = (after == truth).all(axis=1)
    # Of several labels an image may have none, and that may be right.
    has_label = truth.any(axis=1) | has_label_sets
    conditions = {
        _UNLABELLED: ~has_label & is_same,
        _UNLABELLED_CHANGED: ~has_label,
        _RIGHT: was_right & is_right,
        _MENDED: is_right,
        _BROKEN: was_right,
        _WRONG: is_same,
    }
    return np.select(list(conditions.values()), list(conditions), _WRONG_CHANGED)


def _notes(
    sides: tuple[_Side, _Side],
    names: Sequence[str],
    truth: np.ndarray,
    differs: np.ndarray,
    left_out: tuple[int, int],
) -> list[str]:
    """Return sentences on what the analyses do not have in common."""
    notes = []
    for word, side in zip(("before", "after"), sides, strict=True):
        lacking = np.delete(np.arange(len(names)), side.columns).tolist()
        if lacking:
            listed = _listed([names[c] for c in lacking])
            errors = truth[:, lacking].any(axis=1).sum()
            consequence = f", and so errs on {_pictures(errors)}" if errors else ""
            notes.append(f"The model of {word} knows no {listed}{consequence}.")
    if differs.any():
        count = _pictures(differs.sum())
        notes.append(f"{count} with another label in each: both are judged by that of after.")
    if any(left_out):
        parts = [
            f"{_pictures(count)} of {word} alone"
            for word, count in zip(("before", "after"), left_out, strict=True)
            if count
        ]
        notes.append(f"Left out: {' and '.join(parts)}.")
    return notes


# Where the evidence lies --------------------------------------------------------------------------


def _foreground(image: np.ndarray) -> np.ndarray | None:
    """Return the mask of the object in an image on white, None for other images."""
    try:
        return scenes.foreground(image)
    except ValueError:
        return None


def _share_on(mask: np.ndarray | None, analysis: Analysis, row: int, c: int) -> float:
    """Return the share of the positive values of a class map on a mask, NaN if there is none."""
    if mask is None or c not in analysis.map_classes[row]:
        return np.nan
    evidence = np.maximum(analysis.class_map(row, c), 0)
    total = evidence.sum()
    on_mask = (evidence * coverage(mask, evidence.shape)).sum()
    return on_mask / total if total > 0 else np.nan


def _paired(shares: pd.DataFrame) -> dict[str, float]:
    """Return the mean shares, and their difference with its interval by Student's t."""
    from scipy.stats import t

    difference = shares["after"] - shares["before"]
    mean = difference.mean()
    reach = t.ppf(0.975, len(shares) - 1) * difference.sem()
    return {
        "images": len(shares),
        "before": shares["before"].mean(),
        "after": shares["after"].mean(),
        "difference": mean,
        "low": mean - reach,
        "high": mean + reach,
    }


# Statistics and words -----------------------------------------------------------------------------


def _interval(mended: int, broken: int, images: int) -> tuple[float, float]:
    """Return the 95 % interval of (mended − broken) / images of Bonett and Price (2012)."""
    n = images + 2
    p12 = (mended + 1) / n
    p21 = (broken + 1) / n
    difference = p12 - p21
    reach = _Z * np.sqrt((p12 + p21 - difference**2) / n)
    return float(max(difference - reach, -1)), float(min(difference + reach, 1))


def _mcnemar(mended: int, broken: int) -> float:
    """Return p of McNemar's exact test: each changed image is mended or broken by a fair coin."""
    from scipy.stats import binomtest

    if not mended + broken:
        return 1.0
    return float(binomtest(int(mended), int(mended + broken)).pvalue)


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Return the share (C,) of the marked entries of `whole` (N, C) that `part` marks, too."""
    count = whole.sum(axis=0)
    share = np.full(len(count), np.nan)
    return np.divide((part & whole).sum(axis=0), count, out=share, where=count > 0)


def in_points(difference: float, low: float, high: float) -> str:
    """Return a difference of shares and its interval of 95 % in words.

    Example:
        >>> from camkit.analysis.compare import in_points
        >>> in_points(-0.019, -0.05, 0.012)
        '−1.9 points (95 % interval −5.0 to +1.2)'
    """
    words = f"{100 * difference:+.1f} points (95 % interval {100 * low:+.1f} to {100 * high:+.1f})"
    return words.replace("-", "−")


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _chance(p: float) -> str:
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def _pictures(count: int) -> str:
    return f"{count} picture" if count == 1 else f"{count} pictures"


def _listed(names: Sequence[str]) -> str:
    more = ", ..." if len(names) > _MOST_NAMES else ""
    return ", ".join(names[:_MOST_NAMES]) + more
