"""The comparison with another model in the form in which the view reads it."""

from typing import Any

import numpy as np

from camkit.analysis.compare import Comparison, compare, in_points

# At most this many images, evenly spread, say how much of the evidence lies on the object.
SAMPLE = 500


def describe_comparison(comparison: Comparison) -> dict[str, Any]:
    """Return a comparison in types that JSON holds.

    Returns:
        {lines, changes, classNames, cells, predicted, confidence, predictedSets, classes}: what
        changed in words; {name, images} for each change that occurs; the names of all classes and
        the grid of the maps before; for each image of `after` the class that was predicted before,
        -1 where `before` lacks the image, and its probability or, where images have several labels,
        the labels that were; and rows {class, before, after, mended, broken}.
    """
    table = comparison.table
    changes = []
    for name, images in table.groupby("change", observed=True):
        changes.append({"name": name, "images": images.index.tolist()})
    before = comparison.before
    numbers = numbers_before(comparison)
    rows = table["before_row"].to_numpy()
    answers = before.predicted[rows]
    count = len(comparison.after)
    predicted = np.full(count, -1)
    predicted[table.index] = numbers[answers]
    confidence = np.zeros(count)
    confidence[table.index] = np.asarray(before.probs)[rows, answers]
    return {
        "lines": _lines(comparison),
        "changes": changes,
        "classNames": comparison.class_names,
        "cells": list(before.maps.shape[1:3]),
        "predicted": predicted.tolist(),
        "confidence": confidence.round(6).tolist(),
        "predictedSets": _predicted_sets(comparison, numbers),
        "classes": _class_rows(comparison),
    }


def numbers_before(comparison: Comparison) -> np.ndarray:
    """Return the numbers (C,) in a comparison of the classes of the model before."""
    names = comparison.class_names
    return np.array([names.index(str(name)) for name in comparison.before.class_names])


def _lines(comparison: Comparison) -> list[str]:
    """Return the comparison in words, the first line to be set large."""
    difference = comparison.accuracy["difference"]
    head = f"{100 * difference:+.1f} points" if np.isfinite(difference) else "No labels"
    return [head.replace("-", "−"), *comparison.sentences, *_lines_on_evidence(comparison)]


def _lines_on_evidence(comparison: Comparison) -> list[str]:
    """Return where the evidence moved in words; nothing if no objects can be told from white."""
    step = -(-len(comparison) // SAMPLE)
    sample = comparison.after.select(comparison.table.index[::step])
    try:
        moved = compare(comparison.before, sample).evidence().loc["all images"]
    except ValueError:
        return []
    if moved["images"] < 2:
        return []
    before, after, difference, low, high = moved.drop("images")
    return [
        f"Of the evidence for the true class, {100 * before:.1f} % lay on the object before and "
        f"{100 * after:.1f} % lies there after: {in_points(difference, low, high)}, over "
        f"{moved['images']:.0f} pictures."
    ]


def _predicted_sets(comparison: Comparison, numbers: np.ndarray) -> list[list[int]] | None:
    """Return the labels of each image that were predicted before, where images have several."""
    before = comparison.before
    if not before.has_label_sets:
        return None
    predicted = before.predicted_labels()
    sets: list[list[int]] = [[] for _ in range(len(comparison.after))]
    for i, row in comparison.table["before_row"].items():
        sets[i] = numbers[predicted[row]].tolist()
    return sets


def _class_rows(comparison: Comparison) -> list[dict[str, Any]]:
    """Return {class, before, after, mended, broken} of each class that images have.

    These are the recall before and after, and the numbers of images.
    """
    rows = []
    table = comparison.per_class
    for name, row in table[table["support"] > 0].iterrows():
        entry = {
            "class": comparison.class_names.index(str(name)),
            "before": float(row["recall_before"]),
            "after": float(row["recall_after"]),
            "mended": int(row["mended"]),
            "broken": int(row["broken"]),
        }
        rows.append(entry)
    return rows
