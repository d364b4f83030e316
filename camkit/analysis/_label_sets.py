"""Images with several labels: the table, the errors and the best thresholds of an analysis.

The labels of N images are a mask (N, C). A label is predicted if its probability reaches the
threshold of its class.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

# The threshold of a label unless another one is set.
THRESHOLD = 0.5


def to_json(labels: np.ndarray) -> list:
    """Return labels (N,), or the classes of each row of a mask (N, C), in types that JSON holds."""
    if labels.ndim == 1:
        return labels.tolist()
    return [np.flatnonzero(row).tolist() for row in labels]


def from_json(entries: list, class_count: int) -> np.ndarray:
    """Return labels (N,), or a mask (N, C) where the entry of each image is a list of classes."""
    if not isinstance(entries[0], list):
        return np.array(entries)
    labels = np.zeros((len(entries), class_count), dtype=bool)
    for row, classes in zip(labels, entries, strict=True):
        row[classes] = True
    return labels


def margins(logits: np.ndarray, labels: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """Return by how much logits (N, C) lie on the right side of their thresholds.

    That is the logit minus that of the threshold where an image has the label, and the negative of
    it where it has not.
    """
    # Whoever only opens an analysis does not wait for SciPy.
    from scipy.special import logit

    distance = np.asarray(logits) - logit(thresholds).astype("float32")
    return np.where(labels, distance, -distance)


def errors(
    paths: Sequence[str],
    names: Sequence[str],
    probs: np.ndarray,
    labels: np.ndarray,
    predicted: np.ndarray,
    margin: np.ndarray,
    flip_cells: np.ndarray,
) -> pd.DataFrame:
    """Return a row for each label that was missed or invented, the lowest margin first."""
    rows, classes = np.nonzero(labels != predicted)
    is_missed = labels[rows, classes]
    columns = {
        "path": [paths[row] for row in rows.tolist()],
        "label": np.array(names, dtype=object)[classes],
        "kind": np.where(is_missed, "missed", "invented").astype(object),
        "probability": np.asarray(probs)[rows, classes],
        "margin": margin[rows, classes],
        "flip_cells": pd.array(flip_cells, dtype="Int64"),
    }
    return pd.DataFrame(columns, index=rows).sort_values("margin", kind="stable")


def best_thresholds(probs: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return for each class the threshold (C,) with the highest F1."""
    pairs = zip(np.asarray(probs).T, labels.T, strict=True)
    return np.array([_best_threshold(of_class, truth) for of_class, truth in pairs])


def _best_threshold(probs: np.ndarray, truth: np.ndarray) -> float:
    """Return the threshold of one class: halfway between the last label kept and the next one.

    Of several equally good ones it is the highest. Without an image that has the label no threshold
    is better than another one.
    """
    if not truth.any():
        return THRESHOLD
    order = np.argsort(-probs, kind="stable")
    ranked = probs[order].astype("float64")
    hits = truth[order].cumsum()
    kept = np.arange(1, len(ranked) + 1)
    f1 = 2 * hits / (kept + truth.sum())
    # Images of equal probability are kept together.
    following = np.append(ranked[1:], 0.0)
    f1[following == ranked] = -1
    best = f1.argmax()
    return (ranked[best] + following[best]) / 2


def scores_by_class(
    names: Sequence[str], probs: np.ndarray, labels: np.ndarray, predicted: np.ndarray
) -> pd.DataFrame:
    """Return support, precision, recall, F1 and average precision of each class, from masks."""
    from sklearn.metrics import average_precision_score

    support = labels.sum(axis=0)
    predictions = predicted.sum(axis=0)
    hits = (labels & predicted).sum(axis=0)
    average_precision = np.full(len(names), np.nan)
    for c in np.flatnonzero(support):
        average_precision[c] = average_precision_score(labels[:, c], probs[:, c])
    columns = {
        "support": support,
        "predicted": predictions,
        "precision": _share(hits, predictions),
        "recall": _share(hits, support),
        "f1": _share(2 * hits, support + predictions),
        "average_precision": average_precision,
    }
    return pd.DataFrame(columns, index=pd.Index(names, name="class"))


def micro_f1(scores: pd.DataFrame, missed: int, invented: int) -> float:
    """Return the F1 of all labels of all classes together, given `scores_by_class` and the errors.

    It is 1 if there is no label and none is predicted.
    """
    total = scores["support"].sum() + scores["predicted"].sum()
    return 1 - (missed + invented) / total if total else 1.0


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Return part / whole, NaN where the whole is 0."""
    return np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0)
