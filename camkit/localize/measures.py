"""Measures: does a map find the object, does it show what the model uses, does it depend on the model's weights?

Arrays only. Maps (N, H, W) are as large as the pictures; boxes are x0, y0, x1, y1 in pixels, end exclusive. What needs
a model takes a function `predict(images) -> (N, C)` scores. Where it can be, a measure is one value a picture, so that
an interval is a bootstrap over pictures.
"""

from itertools import islice

import numpy as np
from scipy import ndimage, stats
from skimage import color, filters

from camkit.localize._grid import impute, parts
from camkit.maps.arrays import rescale

THRESHOLDS = (
    np.arange(1, 256) / 255
)  # all that differ on 8-bit scores, which the code of Choe et al. rounds down to
SCORES = np.arange(1001) / 1000  # their grid for pixels
GREY = 123.675, 116.28, 103.53  # the mean colour of ImageNet
BATCH = 32  # pictures in each call of `predict`


def scaled(heat):
    """A map (H, W) scaled to 0..1; zeros where it is constant. Raises ValueError where a value is not finite."""
    heat = np.asarray(heat, float)
    low, high = heat.min(), heat.max()
    if not np.isfinite(high - low):
        raise ValueError(
            f"a map {heat.shape} runs from {low} to {high}: measures need finite values"
        )
    return rescale(heat, low, high)


def baselines(images, seed=0):
    """{name: maps (N, H, W)} that know no model, for pictures uint8 (N, H, W, 3): what a map has to beat.

    "centre": a Gaussian, σ a quarter of the picture; "random": noise as coarse as a 7×7 map; "edges": Sobel's gradient.
    The fourth baseline, the share of the picture that the object covers, is masks.mean(axis=(1, 2)).
    """
    (height, width), rng = images.shape[1:3], np.random.default_rng(seed)
    y, x = np.ogrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    noise = (rng.normal(size=(height, width)) for _ in images)
    return {
        "centre": np.broadcast_to(np.exp(-2 * (x**2 + y**2)), images.shape[:3]),
        "random": np.stack(
            [ndimage.gaussian_filter(one, (height / 14, width / 14), mode="wrap") for one in noise]
        ),
        "edges": np.stack([filters.sobel(color.rgb2gray(image)) for image in images]),
    }


def boxes(heat, threshold):
    """The boxes (n, 4) of the connected parts of {s >= threshold}, s the map (H, W) scaled to 0..1, the largest first.

    Corners connect; size is the number of pixels; of equals the upper, then the left one leads. So boxes(…)[:1] is the
    box of the largest part (Zhou et al., CVPR 2016, section 3.2: threshold 0.2).
    """
    labels, _ = ndimage.label(scaled(heat) >= threshold, np.ones((3, 3)))
    found = np.array(
        [(x.start, y.start, x.stop, y.stop) for y, x in ndimage.find_objects(labels)], int
    ).reshape(-1, 4)
    return found[np.lexsort((found[:, 0], found[:, 1], -np.bincount(labels.ravel())[1:]))]


def iou(one, other):
    """Intersection over union (n, m), 0..1, of boxes (n, 4) and (m, 4)."""
    one, other = np.reshape(one, (-1, 1, 4)), np.reshape(other, (1, -1, 4))
    sides = np.minimum(one[..., 2:], other[..., 2:]) - np.maximum(one[..., :2], other[..., :2])
    common = np.maximum(sides, 0).prod(axis=-1)
    area, other_area = ((box[..., 2:] - box[..., :2]).prod(axis=-1) for box in (one, other))
    return common / (area + other_area - common)


def filled(boxes, size):
    """The mask (H, W) bool of what lies in any of the boxes (n, 4); `size` is an int or (H, W)."""
    mask = np.zeros((size, size) if np.ndim(size) == 0 else size, bool)
    for x0, y0, x1, y1 in np.rint(boxes).astype(int):
        mask[y0:y1, x0:x1] = True
    return mask


def best_ious(maps, boxes, *, largest=False):
    """The best IoU (N, 255) of a box found and a true one, for each map at each of THRESHOLDS; 0 where none is found.

    maps (N, H, W), or a list of N of their own sizes; boxes: a list of N (n, 4). Every part of a map has a box, or only
    the largest. (best_ious(…) >= 0.5).mean(axis=0) is the accuracy at each threshold: its argmax on some pictures is
    the column to read on others.
    """
    best = np.zeros((len(maps), len(THRESHOLDS)))
    for row, heat, truth in zip(best, maps, boxes, strict=True):
        reached, area, found = parts(np.searchsorted(THRESHOLDS, scaled(heat), side="right"))
        if largest:
            order = np.lexsort((found[:, 0], found[:, 1], -area, reached))
            order = order[np.unique(reached[order], return_index=True)[1]]
            reached, found = reached[order], found[order]
        np.maximum.at(row, reached - 1, iou(found, truth).max(axis=1, initial=0))
    return best


def max_box_acc(maps, boxes, ious=(0.3, 0.5, 0.7), *, largest=False):
    """(mean, one accuracy an IoU): the share of pictures where a box found fits a true one, at the best threshold.

    By default MaxBoxAccV2: every part of a map has a box, any pair of a found and a true one with IoU >= δ will do, and
    each δ has its own best threshold. With ious=(0.5,), largest=True it is MaxBoxAcc (Choe et al., Evaluating Weakly
    Supervised Object Localization Methods Right, CVPR 2020, section 4.1, and for V2 its code; where that departs from
    the text, in boxes a pixel longer, areas within contours and boxes of holes too, this keeps to the text).
    """
    best = best_ious(maps, boxes, largest=largest)
    accuracies = np.array([(best >= iou).mean(axis=0).max() for iou in ious])
    return float(accuracies.mean()), accuracies


def pixel_counts(maps, masks):
    """Pixels (N, 2, 1001) of each picture, off and on the object, by the highest of SCORES that their map reaches."""
    counts = []
    for heat, mask in _pairs(maps, masks):
        score = np.searchsorted(SCORES, scaled(heat), side="right") - 1
        counts.append(
            np.bincount(
                (score + len(SCORES) * mask.astype(bool)).ravel(), minlength=2 * len(SCORES)
            )
        )
    return np.reshape(counts, (-1, 2, len(SCORES)))


def average_precision(counts):
    """Average precision (…), 0..1, of pixel counts (…, 2, 1001); NaN where there is no object.

    Σ P(τ)·(R(τ) − R(τ')), τ from high to low, P and R the precision and recall of {s >= τ} (Choe et al., section 4.1).
    Counts summed over pictures give PxAP, over pictures drawn with replacement a bootstrap of it.
    """
    off, on = np.moveaxis(np.asarray(counts)[..., ::-1].cumsum(axis=-1), -2, 0)
    with np.errstate(invalid="ignore"):
        recall = on / on[..., -1:]
    return (on / np.maximum(on + off, 1) * np.diff(recall, prepend=0)).sum(axis=-1)


def pxap(maps, masks):
    """PxAP, 0..1, of maps and masks (N, H, W): average precision over the pixels of all pictures, at common thresholds.

    1 where all objects rank above all else; what a constant map has, the share of pixels on objects, is chance. Raises
    ValueError where no mask holds an object.
    """
    counts = pixel_counts(maps, masks).sum(axis=0)
    if not counts[1].any():
        raise ValueError(
            f"none of the {len(masks)} masks holds an object: a mask is True where the object is"
        )
    return float(average_precision(counts))


def pointing_game(maps, masks, tolerance=0):
    """Hits (N,), 0 or 1: whether the highest point is within `tolerance` pixels of the object; their mean is accuracy.

    Of points equally high the share that hits is counted, so that a constant map has what chance has (Zhang et al.,
    Top-Down Neural Attention by Excitation Backprop, IJCV 2018: 15 pixels, and the mean of the classes' accuracies).
    """
    hits = []
    for heat, mask in _pairs(maps, masks):
        near = (
            ndimage.distance_transform_edt(np.logical_not(mask)) <= tolerance
            if np.any(mask)
            else mask
        )
        hits.append(near[heat == heat.max()].mean())
    return np.array(hits)


def insertion_deletion(predict, images, maps, targets, *, steps=50, seed=0):
    """(insertion, deletion): the target's scores (N, steps + 1) as pixels come or go, those highest in the map first.

    images uint8 (N, H, W, 3); targets: a class, or one for each picture. Insertion starts from the picture blurred over
    11×11 pixels, deletion ends in GREY: a true map makes the first rise and the second fall at once. The area under a
    curve is np.trapezoid(…, dx=1 / steps). `seed` draws the order of equals (Petsiuk et al., RISE, BMVC 2018).
    """

    def variants():
        for rank, image in _pairs(_ranks(maps, seed), images):
            blurred = ndimage.gaussian_filter(image.astype(float), (5, 5, 0), radius=(5, 5, 0))
            for start, end in ((blurred, image), (image, GREY)):
                for step in range(steps + 1):
                    yield np.where(rank[..., None] < step * rank.size / steps, end, start)

    return _scores(predict, variants(), np.broadcast_to(targets, len(images)), steps + 1)


def road(predict, images, maps, targets, *, shares=(0.1, 0.3, 0.5, 0.7, 0.9), seed=0):
    """(most, least): the target's scores (N, len(shares)) without shares of the pixels, most or least relevant first.

    Pixels are removed by `impute`, which leaves little of their outline behind. A true map makes the first fall and the
    second stay. Where `predict` gives one-hot rows, the means are the accuracies of the paper (Rong et al., ICML 2022).
    `seed` draws the noise and the order of equals.
    """

    def variants():
        rng = np.random.default_rng([seed, 1])
        for rank, image in _pairs(_ranks(maps, seed), images):
            for order in (rank, rank.size - 1 - rank):
                for share in shares:
                    yield impute(image, order < int(share * rank.size), rng)

    return _scores(predict, variants(), np.broadcast_to(targets, len(images)), len(shares))


def randomization(explain, model, *, steps=None, seed=0):
    """(names, correlations (S, N)): how alike maps stay when the layers from the top to names[s] lose what they learnt.

    explain(model) makes maps (N, h, w) anew. From the top down each array of weights is shuffled: that needs no
    initialiser and keeps the range; the paper draws it anew (Adebayo et al., Sanity Checks for Saliency Maps, NeurIPS
    2018: cascading randomization). `rank_correlation` compares the maps after each layer, or after `steps` of them,
    spread evenly; a map that stays alike does not show what was learned. The model's `layers` have `get_weights`,
    `set_weights` and `name`, or layers of their own; its weights are put back in the end.
    """
    layers = [layer for layer in _leaves(model) if layer.get_weights()][::-1]
    stops = np.linspace(1, len(layers), steps or len(layers)).round()
    kept, rng = [layer.get_weights() for layer in layers], np.random.default_rng(seed)
    first, names, found = explain(model), [], []
    try:
        for i, (layer, weights) in enumerate(zip(layers, kept), 1):
            layer.set_weights([rng.permutation(w.ravel()).reshape(w.shape) for w in weights])
            if i in stops:
                names.append(layer.name)
                found.append(rank_correlation(first, explain(model)))
    finally:
        for layer, weights in zip(layers, kept):
            layer.set_weights(weights)
    return names, np.array(found)


def rank_correlation(maps, others):
    """Spearman's rank correlation (N,), −1..1, of maps (N, h, w) with others; 0 where one of two is constant."""
    ranks, other = (stats.rankdata(np.reshape(m, (len(m), -1)), axis=1) for m in (maps, others))
    ranks, other = (r - r.mean(axis=1, keepdims=True) for r in (ranks, other))
    spread = np.sqrt((ranks**2).sum(axis=1) * (other**2).sum(axis=1))
    return (ranks * other).sum(axis=1) / np.where(spread > 0, spread, 1)


def _leaves(model):
    """The layers of a model, those of nested models in their place."""
    return [
        leaf
        for layer in model.layers
        for leaf in (_leaves(layer) if hasattr(layer, "layers") else [layer])
    ]


def _pairs(maps, pictures):
    """Yield each map (H, W) and its picture or mask. Raises ValueError where their numbers or sizes differ."""
    for heat, picture in zip(maps, pictures, strict=True):
        if np.shape(heat) != np.shape(picture)[:2]:
            raise ValueError(
                f"a map is {np.shape(heat)} and its picture or mask {np.shape(picture)[:2]}: "
                "camkit.upsample(maps, size) enlarges maps"
            )
        yield np.asarray(heat), np.asarray(picture)


def _ranks(maps, seed):
    """Yield the ranks (H, W) of each map's pixels: 0 is the highest, equals are in a random order."""
    rng = np.random.default_rng([seed, 0])
    for heat in maps:
        heights, shuffled = np.ravel(heat).astype(float), rng.permutation(np.size(heat))
        order = shuffled[np.argsort(-heights[shuffled], kind="stable")]
        yield np.argsort(order).reshape(np.shape(heat))


def _scores(predict, variants, targets, count):
    """The scores (2, N, count) of the target in 2 · count variants of each of N pictures, BATCH of them in memory."""
    scores, targets = [], np.repeat(targets, 2 * count)
    for start in range(0, len(targets), BATCH):
        batch = np.stack(list(islice(variants, BATCH))).astype("float32")
        full = np.resize(
            batch, (BATCH, *batch.shape[1:])
        )  # always full: a compiled function compiles once
        scores.append(
            np.asarray(predict(full))[np.arange(len(batch)), targets[start : start + BATCH]]
        )
    return np.concatenate(scores).reshape(-1, 2, count).swapaxes(0, 1)
