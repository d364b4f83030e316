"""What a manager reads of an analysis: accuracy with its interval, calibration, every class, faults in the data."""

from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from camkit._files import any_bytes

BINS = 10  # of the reliability diagram
LISTED = 24  # faults of a kind that are shown; the table has them all
MEANING = {
    "copy": "The same picture under two labels, or in both splits: keep one.",
    "label": "Another class is likelier than the label, asked of pictures that are like it: look, then relabel.",
    "background": "The ground of this class is unlike the others' grounds: does the model read the ground?",
    "twin": "Very like a picture of another label, or in the other split: two frames of one thing?",
    "stranger": "Like no other picture: does it belong here?",
}


def name_of(path):
    """Return the name of a picture as it is shown: folder/file."""
    return "/".join(Path(path).parts[-2:])


def calibration(confidence, right):
    """Return the expected calibration error and its bins [{low, high, n, confidence, accuracy}], empty ones left out.

    confidence, right (N,): probabilities of the predicted classes and whether these are true. Ten bins of equal width;
    the error is Σ n/N · |accuracy − confidence| (Guo et al., On Calibration of Modern Neural Networks, ICML 2017).
    """
    edges = np.linspace(0, 1, BINS + 1)
    place = np.clip(np.digitize(confidence, edges, right=True) - 1, 0, BINS - 1)
    bins = [
        {
            "low": float(edges[b]),
            "high": float(edges[b + 1]),
            "n": int((place == b).sum()),
            "confidence": float(confidence[place == b].mean()),
            "accuracy": float(right[place == b].mean()),
        }
        for b in np.unique(place)
    ]
    return sum(b["n"] * abs(b["accuracy"] - b["confidence"]) for b in bins) / len(confidence), bins


@any_bytes()
def summarize(analysis, reference, faults):
    """Return the summary as JSON holds it, and the suspicion (N,) 0..1 against each label; `faults` is the table."""
    labelled = analysis.labels >= 0
    truth, predicted = analysis.labels[labelled], analysis.predicted[labelled]
    confidence = np.asarray(analysis.probs)[np.flatnonzero(labelled), predicted].astype("float64")
    found, suspicion = _faults(analysis, reference, faults)
    summary = {"faults": found, "bins": None, "classes": None}
    if not len(truth):
        mean = np.asarray(analysis.probs).max(axis=1).mean()
        summary["lines"] = [
            f"{len(analysis)} pictures without labels",
            f"{len(np.unique(analysis.predicted))} of {len(analysis.class_names)} classes are "
            f"predicted, with a mean confidence of {_percent(mean)}.",
        ]
        return summary, suspicion
    right = truth == predicted
    interval = binomtest(int(right.sum()), len(right)).proportion_ci(method="wilson")
    error, summary["bins"] = calibration(confidence, right)
    summary["lines"] = [
        f"{_percent(right.mean())} right",
        f"{(~right).sum()} of {len(right)} pictures are misclassified; with other pictures of the kind, "
        f"accuracy lies between {_percent(interval.low)} and {_percent(interval.high)} (95 % interval, Wilson).",
        f"Mean confidence {_percent(confidence.mean())}, expected calibration error {_percent(error)}: on the whole "
        f"the model is {'too sure' if confidence.mean() > right.mean() else 'not sure enough'} of itself.",
    ]
    if (~labelled).any():
        summary["lines"].append(f"{(~labelled).sum()} more pictures have no label.")
    rows = []
    for c in np.unique(np.concatenate([truth, predicted])):
        own, said = truth == c, predicted == c
        rows.append(
            {
                "class": int(c),
                "n": int(own.sum()),
                "recall": float(right[own].mean()) if own.any() else None,
                "precision": float(right[said].mean()) if said.any() else None,
            }
        )
    summary["classes"] = sorted(
        rows, key=lambda row: (row["recall"] is None, row["recall"], row["precision"] or 0)
    )
    return summary, suspicion


def _faults(analysis, reference, table):
    """Return the data's faults by kind with the pictures' numbers, and the suspicion against each label."""
    paths = [*analysis.paths, *(reference.paths if reference is not None else [])]
    number = {path: i for i, path in reversed(list(enumerate(paths)))}
    kinds = []
    for kind, rows in table.groupby("kind", observed=True):
        rows = rows.drop_duplicates("path")
        kinds.append(
            {
                "kind": kind,
                "count": len(rows),
                "meaning": MEANING[kind],
                "rows": [
                    {
                        "i": number[row.path],
                        "other": number.get(row.other),
                        "reason": row.reason,
                        "name": name_of(row.path),
                    }
                    for row in rows.head(LISTED).itertuples()
                ],
            }
        )
    score = table[table["kind"] == "label"].drop_duplicates("path").set_index("path")["score"]
    return kinds, pd.Series(analysis.paths).map(score).fillna(0.0).astype(float).round(4).tolist()


def _percent(share):
    return f"{100 * share:.1f} %"
