"""Measures of maps: do they find the object, and do they show what the model uses and has learned?

Functions take and return arrays. Maps (N, H, W) are as large as the images; boxes are x0, y0, x1,
y1 in pixels, end exclusive. Measures that need a model take a function `predict(images)` that
returns scores (N, C). Where possible, a measure is one value per image, so that a confidence
interval is a bootstrap over images.
"""

from camkit.localize._grid import scaled
from camkit.localize.boxes import (
    THRESHOLDS,
    best_ious,
    boxes,
    filled,
    iou,
    max_box_acc,
    parts,
)
from camkit.localize.faithfulness import (
    BATCH,
    GREY,
    baselines,
    impute,
    insertion_deletion,
    randomization,
    rank_correlation,
    road,
)
from camkit.localize.pixels import (
    SCORES,
    average_precision,
    pixel_counts,
    pointing_game,
    pxap,
)

__all__ = [
    "BATCH",
    "GREY",
    "SCORES",
    "THRESHOLDS",
    "average_precision",
    "baselines",
    "best_ious",
    "boxes",
    "filled",
    "impute",
    "insertion_deletion",
    "iou",
    "max_box_acc",
    "parts",
    "pixel_counts",
    "pointing_game",
    "pxap",
    "randomization",
    "rank_correlation",
    "road",
    "scaled",
]
