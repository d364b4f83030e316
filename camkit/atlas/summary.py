"""The summary of an analysis: accuracy with its interval, calibration, classes, data faults."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import binomtest
from sklearn.metrics import precision_recall_fscore_support
from threadpoolctl import threadpool_limits

from camkit._files import any_bytes
from camkit.analysis import Analysis
from camkit.analysis._label_sets import micro_f1
from camkit.faults.slices import error_slices

# Bins of the reliability diagram.
BINS = 10

# The number of faults of each kind that are shown; the table has them all.
LISTED = 24

MEANING = {
    "copy": "The same picture, perhaps saved again, resized, mirrored or cropped: keep one.",
    "label": "Similar pictures point to another class than the label: look at it, then relabel.",
    "background": "This class has another background than the others: does the model rely on it?",
    "twin": "Very similar to one with another label: one object, shot twice?",
    "overlap": "Pictures of two classes look like the other one: can a person tell them apart?",
    "stranger": "Not similar to any other picture: does it belong here?",
    "group": "Pictures that belong together are in both splits: put them into one.",
    "dark": "Hardly anything is brighter than black: can a person name it?",
    "bright": "Hardly anything is darker than white: can a person name it?",
    "blurry": "The edges are weaker than those of other pictures: out of focus?",
    "uniform": "Nearly a single colour: is there anything to see?",
    "odd size": "Far larger or smaller than the others: does it come from another source?",
    "odd shape": "Far longer than wide, or wider than long: it is squeezed for the model.",
    "gray": "Without colour, unlike most pictures: does it come from another source?",
}


def short_name(path: str | os.PathLike[str]) -> str:
    """Return the name under which an image is shown: its folder and its file.

    >>> from camkit.atlas.summary import short_name
    >>> short_name("photographs/Test/Apple/7.jpg")
    'Apple/7.jpg'
    """
    return "/".join(Path(path).parts[-2:])


def calibration(confidence: np.ndarray, correct: np.ndarray) -> tuple[float, list[dict[str, Any]]]:
    """Return the expected calibration error and the bins of the reliability diagram.

    The error is Σ n/N · |accuracy − confidence| over ten bins of equal width (Guo et al., On
    Calibration of Modern Neural Networks, ICML 2017).

    Args:
        confidence: Probabilities (N,) of the predicted classes, 0..1.
        correct: Whether these are the true classes (N,), bool.

    Returns:
        The error, and for each bin that is not empty {low, high, n, confidence, accuracy}.

    >>> import numpy as np
    >>> from camkit.atlas.summary import calibration
    >>> error, bins = calibration(np.array([0.65, 0.75, 0.95]), np.array([True, False, True]))
    >>> round(error, 2), [bin["n"] for bin in bins]
    (0.38, [1, 1, 1])
    """
    edges = np.linspace(0, 1, BINS + 1)
    numbers = np.clip(np.digitize(confidence, edges, right=True) - 1, 0, BINS - 1)
    error = 0.0
    bins = []
    for number in np.unique(numbers):
        members = numbers == number
        mean_confidence = float(confidence[members].mean())
        accuracy = float(correct[members].mean())
        count = int(members.sum())
        error += count * abs(accuracy - mean_confidence)
        bins.append(
            {
                "low": float(edges[number]),
                "high": float(edges[number + 1]),
                "n": count,
                "confidence": mean_confidence,
                "accuracy": accuracy,
            }
        )
    return error / len(confidence), bins


@any_bytes()
def summarize(
    analysis: Analysis, faults: pd.DataFrame, numbers: dict[str, int]
) -> tuple[dict[str, Any], list[float]]:
    """Return the summary of an analysis, and how suspicious each label is.

    Args:
        analysis: The analysis.
        faults: The table of camkit.data_faults of it and its reference, if there is one.
        numbers: The numbers of all images by their paths.

    Returns:
        {lines, bins, classes, faults} in types that JSON holds, where bins and classes are None if
        there are no labels; and for each image a score 0..1, that of the fault "label", 0 if it has
        none.
    """
    labelled = analysis.labels >= 0
    if analysis.has_label_sets:
        summary = _summarize_label_sets(analysis)
    elif labelled.any():
        summary = _summarize_labelled(analysis, labelled)
    else:
        summary = _summarize_unlabelled(analysis)
    summary["faults"] = _list_faults(faults, numbers)
    return summary, _suspicion(analysis, faults)


def _summarize_unlabelled(analysis: Analysis) -> dict[str, Any]:
    mean = np.asarray(analysis.probs).max(axis=1).mean()
    predicted = len(np.unique(analysis.predicted))
    lines = [
        f"{len(analysis)} pictures without labels",
        f"{predicted} of {len(analysis.class_names)} classes are predicted, with a mean confidence "
        f"of {_percent(mean)}.",
    ]
    return {"lines": lines, "bins": None, "classes": None}


def _summarize_labelled(analysis: Analysis, labelled: np.ndarray) -> dict[str, Any]:
    truth = analysis.labels[labelled]
    predicted = analysis.predicted[labelled]
    rows = np.flatnonzero(labelled)
    confidence = np.asarray(analysis.probs)[rows, predicted].astype("float64")
    correct = truth == predicted
    error, bins = calibration(confidence, correct)
    lines = [
        f"{_percent(correct.mean())} correct",
        _accuracy_line(correct),
        _calibration_line(confidence.mean(), correct.mean(), error),
    ]
    if analysis.is_multi_label:
        labels = analysis.predicted_labels()[rows, truth]
        lines.append(
            "The model has a sigmoid for each label, and only the most probable label counts here; "
            f"the folder's label has a probability of 0.5 or more in {_percent(labels.mean())}."
        )
    if analysis.matched_by == "order":
        lines.append(
            "The model carries no class names: the folders were matched in alphabetical order."
        )
    unlabelled = len(analysis) - len(rows)
    if unlabelled:
        lines.append(f"{unlabelled} more pictures have no label.")
    return {"lines": lines, "bins": bins, "classes": _class_rows(truth, predicted)}


def _summarize_label_sets(analysis: Analysis) -> dict[str, Any]:
    """Return the summary where images have several labels: lines and classes, no reliability."""
    scores = analysis.per_class
    table = analysis.table
    missed, invented = table[["missed", "invented"]].sum()
    errors = (~table["correct"]).sum()
    mean = scores["average_precision"].mean()
    lines = [
        f"micro F1 {_percent(micro_f1(scores, missed, invented))}",
        f"{missed} labels are missed and {invented} invented, in {errors} of {len(table)} "
        f"pictures. The mean average precision (AP) of the labels is {_percent(mean)}.",
        _threshold_line(scores["threshold"]),
    ]
    if analysis.matched_by == "order":
        lines.append("The model carries no class names: the labels were matched in their order.")
    rows = []
    for c, score in enumerate(scores.itertuples()):
        row = {
            "class": c,
            "n": int(score.support),
            "recall": _number_or_none(score.recall),
            "precision": _number_or_none(score.precision),
            "averagePrecision": _number_or_none(score.average_precision),
        }
        rows.append(row)
    return {"lines": lines, "bins": None, "classes": sorted(rows, key=_by_recall)}


def _threshold_line(thresholds: pd.Series) -> str:
    low = thresholds.min()
    high = thresholds.max()
    if low == high:
        return f"A label is predicted if its probability is {low:.3g} or more."
    return f"Each label is predicted from its own threshold, between {low:.3g} and {high:.3g}."


def _accuracy_line(correct: np.ndarray) -> str:
    """Return the number of errors and the 95 % interval of the accuracy (Wilson)."""
    interval = binomtest(int(correct.sum()), len(correct)).proportion_ci(method="wilson")
    errors = (~correct).sum()
    return (
        f"{errors} of {len(correct)} pictures are misclassified. On other pictures of this kind, "
        f"the accuracy lies between {_percent(interval.low)} and {_percent(interval.high)} "
        "(95 % interval, Wilson)."
    )


def _calibration_line(mean_confidence: float, accuracy: float, error: float) -> str:
    tendency = "overconfident" if mean_confidence > accuracy else "underconfident"
    return (
        f"Mean confidence {_percent(mean_confidence)}, expected calibration error "
        f"{_percent(error)}: on the whole the model is {tendency}."
    )


def _class_rows(truth: np.ndarray, predicted: np.ndarray) -> list[dict[str, Any]]:
    """Return {class, n, recall, precision} for each class that occurs, lowest recall first.

    The recall of a class without images is None, and so is the precision of one that is never
    predicted.
    """
    classes = np.unique(np.concatenate([truth, predicted]))
    precision, recall, _, counts = precision_recall_fscore_support(
        truth, predicted, labels=classes, zero_division=np.nan
    )
    rows = []
    for k, c in enumerate(classes.tolist()):
        row = {
            "class": c,
            "n": int(counts[k]),
            "recall": _number_or_none(recall[k]),
            "precision": _number_or_none(precision[k]),
        }
        rows.append(row)
    return sorted(rows, key=_by_recall)


def _number_or_none(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _by_recall(row: dict[str, Any]) -> tuple[float, float]:
    """Return the key that sorts rows by recall, then by precision; those without recall last."""
    recall = np.inf if row["recall"] is None else row["recall"]
    return recall, row["precision"] or 0


def _list_faults(table: pd.DataFrame, numbers: dict[str, int]) -> list[dict[str, Any]]:
    """Return the faults by kind: {kind, count, meaning, rows}.

    A row is {i, other, reason, name, suggestion}, the last a class in place of the label or "".
    """
    kinds = []
    for kind, faults in table.groupby("kind", observed=True):
        faults = faults.drop_duplicates("path")
        rows = []
        for fault in faults.head(LISTED).itertuples():
            row = {
                "i": numbers[fault.path],
                "other": numbers.get(fault.other),
                "reason": fault.reason,
                "name": short_name(fault.path),
                "suggestion": "" if pd.isna(fault.suggestion) else fault.suggestion,
            }
            rows.append(row)
        kinds.append({"kind": kind, "count": len(faults), "meaning": MEANING[kind], "rows": rows})
    return kinds


def list_slices(analysis: Analysis) -> list[dict[str, Any]]:
    """Return the slices that err more than the rest: {name, size, errors, share, rest, p, images}.

    They are those of camkit.error_slices by the metadata and by the features, for which no file is
    read. Of more than 24, the first are returned.
    """
    # See _embedding.py on threads.
    with threadpool_limits(1, user_api="openmp"):
        table = error_slices(analysis, by=["metadata", "features"])
    slices = []
    for row in table.head(LISTED).itertuples():
        entry = {
            "name": row.slice,
            "size": int(row.size),
            "errors": int(row.errors),
            "share": float(row.error_rate),
            "rest": float(row.rest_error_rate),
            "p": float(row.p),
            "images": row.images.tolist(),
        }
        slices.append(entry)
    return slices


def _suspicion(analysis: Analysis, table: pd.DataFrame) -> list[float]:
    """Return the score of the fault "label" for each image, 0 for those that have none."""
    faults = table[table["kind"] == "label"].drop_duplicates("path")
    scores = faults.set_index("path")["score"]
    suspicion = pd.Series(analysis.paths).map(scores)
    return suspicion.fillna(0.0).astype(float).round(4).tolist()


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
