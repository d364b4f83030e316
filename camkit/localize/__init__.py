"""Measures: does a map find the object, does it show what the model uses, does it depend on the model's weights?"""

from camkit.localize.measures import (
    THRESHOLDS,
    average_precision,
    baselines,
    best_ious,
    boxes,
    filled,
    insertion_deletion,
    iou,
    max_box_acc,
    pixel_counts,
    pointing_game,
    pxap,
    randomization,
    rank_correlation,
    road,
    scaled,
)

__all__ = [
    "THRESHOLDS",
    "average_precision",
    "baselines",
    "best_ious",
    "boxes",
    "filled",
    "insertion_deletion",
    "iou",
    "max_box_acc",
    "pixel_counts",
    "pointing_game",
    "pxap",
    "randomization",
    "rank_correlation",
    "road",
    "scaled",
]
