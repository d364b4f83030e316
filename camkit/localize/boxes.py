"""Boxes around the parts of a map, and how well they fit the true boxes.

A box is x0, y0, x1, y1 in pixels, end exclusive.
"""

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from camkit.localize._grid import Arrays, scaled, touching

# One threshold per 8-bit score; Choe et al. quantise maps to 8 bits.
THRESHOLDS = np.arange(1, 256) / 255


def boxes(heat: np.ndarray, threshold: float) -> np.ndarray:
    """Return the boxes of the connected parts of {s >= threshold}, the largest first.

    s is the map scaled to 0..1. Pixels that touch at a corner are connected. The size of a part is
    its number of pixels; of equally large parts the upper one comes first, then the left one. So
    `boxes(heat, 0.2)[:1]` is the box of the largest part, with the threshold of Zhou et al. (CVPR
    2016, section 3.2).

    Args:
        heat: A map (H, W).
        threshold: The lowest scaled value of a part, 0..1.

    Returns:
        The boxes (n, 4) int.

    Raises:
        ValueError: A value of the map is not finite.

    Example:
        >>> import numpy as np
        >>> from camkit.localize import boxes
        >>> boxes(np.array([[0, 0, 0, 9], [7, 8, 0, 0]]), 0.5)
        array([[0, 1, 2, 2],
               [3, 0, 4, 1]])
    """
    mask = scaled(heat) >= threshold
    eight_neighbours = np.ones((3, 3))
    labels, count = ndimage.label(mask, eight_neighbours)
    part_boxes = np.empty((count, 4), int)
    slices = ndimage.find_objects(labels)
    for box, (rows, columns) in zip(part_boxes, slices, strict=True):
        box[0] = columns.start
        box[1] = rows.start
        box[2] = columns.stop
        box[3] = rows.stop
    pixel_counts = np.bincount(labels.ravel())
    # Label 0 stands for all pixels below the threshold.
    sizes = pixel_counts[1:]
    x0, y0, _, _ = part_boxes.T
    order = np.lexsort((x0, y0, -sizes))
    return part_boxes[order]


def iou(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the intersection over union of each box with each of the others.

    Args:
        first: Boxes (n, 4).
        second: Boxes (m, 4).

    Returns:
        The ratios (n, m), 0..1.

    Example:
        >>> from camkit.localize import iou
        >>> iou([[0, 0, 4, 4]], [[0, 0, 4, 4], [2, 0, 6, 4]]).round(2)
        array([[1.  , 0.33]])
    """
    first = np.reshape(first, (-1, 1, 4))
    second = np.reshape(second, (1, -1, 4))
    start, end = np.split(first, 2, axis=-1)
    other_start, other_end = np.split(second, 2, axis=-1)
    common_start = np.maximum(start, other_start)
    common_end = np.minimum(end, other_end)
    intersection = _area(common_start, common_end)
    area = _area(start, end)
    other_area = _area(other_start, other_end)
    union = area + other_area - intersection
    return intersection / union


def _area(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Return the areas (...) of boxes from corner to corner (..., 2); 0 where they are empty."""
    sides = np.maximum(end - start, 0)
    return sides.prod(axis=-1)


def filled(boxes: np.ndarray, size: int | tuple[int, int]) -> np.ndarray:
    """Return the mask of all pixels that lie in at least one of the boxes.

    Args:
        boxes: Boxes (n, 4), rounded to whole pixels.
        size: The size in pixels, an int for a square or (H, W).

    Returns:
        The mask (H, W) bool.

    Example:
        >>> from camkit.localize import filled
        >>> filled([[1, 0, 3, 1]], (2, 4)).astype(int)
        array([[0, 1, 1, 0],
               [0, 0, 0, 0]])
    """
    height, width = np.broadcast_to(size, 2)
    mask = np.zeros((height, width), bool)
    whole_pixels = np.rint(boxes).astype(int)
    for x0, y0, x1, y1 in whole_pixels:
        mask[y0:y1, x0:x1] = True
    return mask


def best_ious(maps: Arrays, boxes: Arrays, *, largest: bool = False) -> np.ndarray:
    """Return the best IoU of a box of each map with a true box, at each of THRESHOLDS.

    `(best_ious(maps, boxes) >= 0.5).mean(axis=0)` is the accuracy at each threshold. To choose a
    threshold on some images and measure on others, take the argmax on the former as the column of
    the latter.

    Args:
        maps: Maps (N, H, W), or a list of N maps, each of its own size.
        boxes: A list of N arrays (n, 4), the true boxes of each image.
        largest: Whether only the largest part of a map has a box, rather than every part.

    Returns:
        The best IoU (N, 255), 0..1; 0 where a map has no box.

    Raises:
        ValueError: The numbers of maps and of lists of boxes differ, or a value is not finite.

    Example:
        >>> import numpy as np
        >>> from camkit.localize import best_ious, THRESHOLDS
        >>> heat = np.array([[0.0, 0.5, 1.0, 0.0]])
        >>> best = best_ious([heat], [[[1, 0, 3, 1]]])
        >>> best[0, THRESHOLDS < 0.5].max(), best[0, THRESHOLDS > 0.5].max()
        (np.float64(1.0), np.float64(0.5))
    """
    best = np.zeros((len(maps), len(THRESHOLDS)))
    for row, heat, true_boxes in zip(best, maps, boxes, strict=True):
        # The number of thresholds that each pixel reaches.
        scores = scaled(heat)
        level = np.searchsorted(THRESHOLDS, scores, side="right")
        reached, areas, part_boxes = parts(level)
        if largest:
            first = _largest_of_each_level(reached, areas, part_boxes)
            reached = reached[first]
            part_boxes = part_boxes[first]
        ious = iou(part_boxes, true_boxes)
        best_of_part = ious.max(axis=1, initial=0)
        threshold_numbers = reached - 1
        np.maximum.at(row, threshold_numbers, best_of_part)
    return best


def _largest_of_each_level(
    reached: np.ndarray, areas: np.ndarray, part_boxes: np.ndarray
) -> np.ndarray:
    """Return the index of the largest part of each level; of equals the upper, then the left."""
    x0, y0, _, _ = part_boxes.T
    order = np.lexsort((x0, y0, -areas, reached))
    levels = reached[order]
    _, first = np.unique(levels, return_index=True)
    return order[first]


def max_box_acc(
    maps: Arrays,
    boxes: Arrays,
    ious: Sequence[float] = (0.3, 0.5, 0.7),
    *,
    largest: bool = False,
) -> tuple[float, np.ndarray]:
    """Return the share of images where a box of the map fits a true one, at the best threshold.

    By default this is MaxBoxAccV2: every part of a map has a box, any pair of such a box and a true
    one with IoU >= δ counts, and each δ has its own best threshold. With `ious=(0.5,)` and
    `largest=True` it is MaxBoxAcc (Choe et al., Evaluating Weakly Supervised Object Localization
    Methods Right, CVPR 2020, section 4.1; for V2 their code). Their code departs from their text:
    its boxes are a pixel longer, its areas are those within contours, and holes have boxes, too.
    This function follows the text.

    Args:
        maps: Maps (N, H, W), or a list of N maps, each of its own size.
        boxes: A list of N arrays (n, 4), the true boxes of each image.
        ious: The values of δ.
        largest: Whether only the largest part of a map has a box, rather than every part.

    Returns:
        The mean of the accuracies, and the accuracies (len(ious),), 0..1.

    Raises:
        ValueError: The numbers of maps and of lists of boxes differ, or a value is not finite.

    Example:
        >>> import numpy as np
        >>> from camkit.localize import max_box_acc
        >>> heat = np.array([[0.0, 0.5, 1.0, 0.0]])
        >>> mean, accuracies = max_box_acc([heat, heat], [[[1, 0, 3, 1]], [[0, 0, 4, 1]]])
        >>> mean, accuracies.tolist()
        (0.8333333333333334, [1.0, 1.0, 0.5])
    """
    best = best_ious(maps, boxes, largest=largest)
    accuracies = []
    for least in ious:
        fits = best >= least
        accuracy_by_threshold = fits.mean(axis=0)
        accuracies.append(accuracy_by_threshold.max())
    accuracies = np.array(accuracies)
    mean = float(accuracies.mean())
    return mean, accuracies


# Connected parts at every level at once -----------------------------------------------------------


def parts(level: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the connected parts of {level >= t} for all t >= 1 at once.

    Each pixel belongs to the peak reached by steepest ascent. The pixels of one peak form a basin.
    Above any t a basin is connected, and two basins merge at their highest saddle. So areas and
    boxes are summed per basin for all t, and then merged by union-find from the highest saddle
    down. This is ten times as fast as labelling the parts of each level separately.

    Args:
        level: (H, W) integers, 0 to 255. Pixels that touch at a corner are connected.

    Returns:
        Three arrays for M parts: t (M,), area in pixels (M,) and box x0, y0, x1, y1 (M, 4).

    Example:
        >>> import numpy as np
        >>> from camkit.localize import parts
        >>> t, area, box = parts(np.array([[2, 1, 2]]))
        >>> for row in zip(t.tolist(), area.tolist(), box.tolist()):
        ...     print(row)
        (1, 3, [0, 0, 3, 1])
        (2, 1, [0, 0, 1, 1])
        (2, 1, [2, 0, 3, 1])
    """
    basins = _basins(level)
    areas, reaches = _measure_basins(level, basins)
    saddles = _saddles(level, basins)
    _merge_basins(areas, reaches, saddles)
    exists = areas > 0
    exists[:, 0] = False
    basin, t = np.nonzero(exists)
    area = areas[basin, t]
    reach = reaches[:, basin, t]
    signs = np.array([-1, -1, 1, 1])
    box = reach.T * signs
    return t, area, box


def _basins(level: np.ndarray) -> np.ndarray:
    """Return the number of the basin (H, W) of each pixel."""
    # Rank the pixels by level and position, so that no two are equally high. NumPy sorts uint8 by
    # counting, which is several times as fast as a comparison sort.
    bytes_of_level = level.astype(np.uint8)
    order = np.argsort(bytes_of_level, axis=None, kind="stable")
    positions = np.arange(level.size)
    rank = np.empty(level.size, int)
    rank[order] = positions
    rank_image = rank.reshape(level.shape)
    highest = ndimage.maximum_filter(rank_image, 3, mode="nearest")

    # The pixel that each pixel climbs to: first one step, then twice as far in each round, up to
    # the peak.
    target = order[highest.ravel()]
    further = target[target]
    while not np.array_equal(target, further):
        target = further
        further = target[target]
    is_peak = target == positions
    peaks = np.flatnonzero(is_peak)
    basins = np.searchsorted(peaks, target)
    return basins.reshape(level.shape)


def _measure_basins(level: np.ndarray, basins: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the area (P, L) and reach (4, P, L) of each of P basins in {level >= t}, for all t.

    The reach is −x0, −y0, x1, y1 of the box: with these signs all four sides are maxima.
    """
    basin_count = int(basins.max()) + 1
    level_count = int(level.max()) + 1
    # A cell for each level of each basin.
    cell_count = level_count * basin_count
    cell_image = level_count * basins + level
    cell = cell_image.ravel()
    y, x = np.indices(level.shape).reshape(2, -1)
    areas = np.bincount(cell, minlength=cell_count)
    reaches = np.full((4, cell_count), -level.size)
    sides = (-x, -y, x + 1, y + 1)
    for reach, side in zip(reaches, sides, strict=True):
        np.maximum.at(reach, cell, side)

    # So far each level is counted separately. Accumulate all levels >= t, from the highest down.
    areas = areas.reshape(basin_count, level_count)
    reaches = reaches.reshape(4, basin_count, level_count)
    areas_down = np.flip(areas, axis=-1)
    areas_above = areas_down.cumsum(axis=-1)
    reaches_down = np.flip(reaches, axis=-1)
    reaches_above = np.maximum.accumulate(reaches_down, axis=-1)
    areas = np.flip(areas_above, axis=-1)
    reaches = np.flip(reaches_above, axis=-1)
    return areas, reaches


def _saddles(level: np.ndarray, basins: np.ndarray) -> list[list[int]]:
    """Return the highest saddle between any two basins that touch, from the highest to level 1.

    A saddle is a list of its level and the two basins.
    """
    saddles = []
    pairs_of_levels = touching(level)
    pairs_of_basins = touching(basins)
    for levels, sides in zip(pairs_of_levels, pairs_of_basins, strict=True):
        height = np.minimum(*levels)
        low_basin = np.minimum(*sides)
        high_basin = np.maximum(*sides)
        between_basins = low_basin != high_basin
        is_saddle = between_basins & (height > 0)
        columns = np.stack([height, low_basin, high_basin])
        saddles.append(columns[:, is_saddle])
    saddles = np.concatenate(saddles, axis=1)
    order = np.argsort(-saddles[0], kind="stable")
    saddles = saddles[:, order]

    # Keep the first saddle of each pair of basins, which is the highest.
    _, low_basins, high_basins = saddles
    pair = low_basins * level.size + high_basins
    _, first = np.unique(pair, return_index=True)
    first.sort()
    highest = saddles[:, first]
    return highest.T.tolist()


def _merge_basins(areas: np.ndarray, reaches: np.ndarray, saddles: list[list[int]]) -> None:
    """Merge areas and reaches of basins in place, from the highest saddle down."""
    root = np.arange(len(areas))
    for height, first, second in saddles:
        first = _find_root(root, first)
        second = _find_root(root, second)
        if first == second:
            continue
        # Up to the height of the saddle, the second basin is part of the first one.
        root[second] = first
        shared = slice(height + 1)
        areas[first, shared] += areas[second, shared]
        areas[second, shared] = 0
        reach = reaches[:, first, shared]
        other_reach = reaches[:, second, shared]
        np.maximum(reach, other_reach, out=reach)


def _find_root(root: np.ndarray, basin: int) -> int:
    """Return the basin into which `basin` has been merged, and shorten the path to it."""
    while root[basin] != basin:
        parent = root[basin]
        root[basin] = root[parent]
        basin = root[basin]
    return basin
