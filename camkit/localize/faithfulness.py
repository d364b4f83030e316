"""Faithfulness: does a map show what the model uses, and does it depend on the model's weights?

Images are uint8 (N, H, W, 3), maps (N, H, W) as large as the images. A model is given as a function
`predict(images) -> scores (N, C)`, which receives float32 images in batches of BATCH.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import islice
from typing import Any

import numpy as np
from scipy import ndimage, sparse, stats
from scipy.sparse.linalg import splu
from skimage import color, filters

from camkit.localize._grid import Arrays, matched, touching
from camkit.localize._weights import layers_from_output, restored, shuffled
from camkit.maps.arrays import coverage, upsample

# The mean colour of ImageNet.
GREY = 123.675, 116.28, 103.53

# The number of images in each call of `predict`.
BATCH = 32

# The weight of a neighbour of an imputed pixel, in the order of `touching`.
BESIDE = 1 / 6
ACROSS_CORNER = 1 / 12
NEIGHBOUR_WEIGHTS = (BESIDE, BESIDE, ACROSS_CORNER, ACROSS_CORNER)

# Where whole cells are removed, the fill is solved with so many points along the side of a cell,
# and then enlarged: it is smooth, and so solved a hundred times as fast.
POINTS_PER_CELL = 3


def baselines(images: np.ndarray, seed: int = 0) -> dict[str, np.ndarray]:
    """Return maps that depend on no model, as baselines that a map has to beat.

    A fourth baseline, the share of the image that the object covers, is
    `masks.mean(axis=(1, 2))`.

    Args:
        images: Images uint8 (N, H, W, 3).
        seed: Draws the random maps.

    Returns:
        Maps (N, H, W) by name: "centre", a Gaussian whose σ is a quarter of the image; "random",
        noise as coarse as a 7×7 map; "edges", Sobel's gradient.

    Example:
        >>> import numpy as np
        >>> from camkit.localize import baselines
        >>> images = np.zeros((2, 28, 28, 3), "uint8")
        >>> maps = baselines(images)
        >>> {name: heat.shape for name, heat in maps.items()}
        {'centre': (2, 28, 28), 'random': (2, 28, 28), 'edges': (2, 28, 28)}
    """
    rng = np.random.default_rng(seed)
    height, width = images.shape[1:3]
    y, x = np.ogrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    centre = np.exp(-2 * (x**2 + y**2))
    noise_sigma = (height / 14, width / 14)
    random = []
    edges = []
    for image in images:
        noise = rng.normal(size=(height, width))
        random.append(ndimage.gaussian_filter(noise, noise_sigma, mode="wrap"))
        edges.append(filters.sobel(color.rgb2gray(image)))
    return {
        "centre": np.broadcast_to(centre, images.shape[:3]),
        "random": np.stack(random),
        "edges": np.stack(edges),
    }


def insertion_deletion(
    predict: Callable[[np.ndarray], np.ndarray],
    images: np.ndarray,
    maps: Arrays,
    targets: int | Sequence[int],
    *,
    steps: int = 50,
    seed: int = 0,
) -> np.ndarray:
    """Return the target's scores as pixels are inserted or deleted, those highest in the map first.

    Insertion starts from the image blurred over 11×11 pixels; deletion ends in GREY. With a
    faithful map the first curve rises and the second one falls at once. The area under a curve is
    `np.trapezoid(curve, dx=1 / steps)` (Petsiuk et al., RISE, BMVC 2018).

    Args:
        predict: A function from float32 images (32, H, W, 3) to scores (32, C).
        images: Images uint8 (N, H, W, 3).
        maps: Maps (N, H, W), or a list of N maps.
        targets: A class, or one for each image.
        steps: The number of steps; each changes the same share of the pixels.
        seed: Draws the order of pixels of equal value.

    Returns:
        The scores (2, N, steps + 1): of insertion, then of deletion.

    Raises:
        ValueError: Numbers or sizes of maps and images differ.

    Example:
        >>> import numpy as np
        >>> from camkit.localize import insertion_deletion
        >>> image = np.zeros((1, 8, 8, 3), "uint8")
        >>> image[:, 2:4, 2:4] = 255
        >>> def predict(batch):
        ...     return batch[:, 2:4, 2:4].mean(axis=(1, 2)) / 255
        >>> faithful = image[..., 0]
        >>> insertion, deletion = insertion_deletion(predict, image, faithful, 0, steps=16)
        >>> deletion[0, :2].round(2)
        array([1.  , 0.48], dtype=float32)
    """

    def variants() -> Iterator[np.ndarray]:
        for rank, image in matched(_ranks(maps, seed), images):
            sigma = (5, 5, 0)
            blurred = ndimage.gaussian_filter(image.astype(float), sigma, radius=sigma)
            for start, end in ((blurred, image), (image, GREY)):
                for step in range(steps + 1):
                    is_changed = rank < step * rank.size / steps
                    yield np.where(is_changed[..., None], end, start)

    targets = np.broadcast_to(targets, len(images))
    return _scores(predict, variants(), targets, steps + 1)


def road(
    predict: Callable[[np.ndarray], np.ndarray],
    images: np.ndarray,
    maps: Arrays,
    targets: int | Sequence[int] | np.ndarray,
    *,
    shares: Sequence[float] = (0.1, 0.3, 0.5, 0.7, 0.9),
    cells: int | None = None,
    seed: int = 0,
) -> np.ndarray:
    """Return the target's scores without the most and without the least relevant pixels (ROAD).

    Pixels are removed by `impute`, which leaves little of their outline behind. With a faithful map
    the first scores fall and the second ones stay. If `predict` returns one-hot rows, the means are
    the accuracies of the paper (Rong et al., A Consistent and Efficient Evaluation Strategy for
    Attribution Methods, ICML 2022).

    Args:
        predict: A function from float32 images (32, H, W, 3) to scores (32, C).
        images: Images uint8 (N, H, W, 3).
        maps: Maps (N, H, W), or a list of N maps.
        targets: A class, or one for each image.
        shares: The shares of the pixels that are removed, 0 to less than 1.
        cells: If given, whole cells are removed: each image is divided into so many rows and
            columns, and a cell is as relevant as the mean of the map over it. So maps of different
            resolutions can be compared; pixel by pixel, a map as fine as dust removes nothing that
            its neighbours do not tell.
        seed: Draws the noise and the order of pixels of equal value.

    Returns:
        The scores (2, N, len(shares)): without the most, then without the least relevant pixels.

    Raises:
        ValueError: Numbers or sizes of maps and images differ, or a share removes all pixels.

    Example:
        >>> import numpy as np
        >>> from camkit.localize import road
        >>> image = np.zeros((1, 8, 8, 3), "uint8")
        >>> image[:, 2:4, 2:4] = 255
        >>> def predict(batch):
        ...     return batch[:, 2:4, 2:4].mean(axis=(1, 2)) / 255
        >>> faithful = image[..., 0]
        >>> most, least = road(predict, image, faithful, 0, shares=(0.1, 0.9))
        >>> bool(most[0, 0] < 0.1), least[0].tolist()
        (True, [1.0, 1.0])
    """

    def variants() -> Iterator[np.ndarray]:
        rng = np.random.default_rng([seed, 1])
        fill = impute if cells is None else _impute_cells
        for rank, image in ranked:
            reverse_rank = rank.size - 1 - rank
            for order in (rank, reverse_rank):
                for share in shares:
                    removed = order < int(share * rank.size)
                    yield fill(image, removed, rng)

    if cells is None:
        ranked = matched(_ranks(maps, seed), images)
    else:
        means = (coverage(heat, (cells, cells)) for heat, _ in matched(maps, images))
        ranked = zip(_ranks(means, seed), images, strict=True)
    targets = np.broadcast_to(targets, len(images))
    return _scores(predict, variants(), targets, len(shares))


def impute(
    image: np.ndarray, removed: np.ndarray, rng: np.random.Generator, noise: float = 2.55
) -> np.ndarray:
    """Return an image whose removed pixels are the weighted mean of their neighbours, plus noise.

    All eight neighbours count, removed or not: one across a side with the weight 1/6, one across a
    corner with 1/12. That is a sparse linear system, which is solved exactly. Its fill is smooth
    and hardly reveals which pixels were removed (noisy linear imputation; Rong et al., A Consistent
    and Efficient Evaluation Strategy for Attribution Methods, ICML 2022).

    Args:
        image: An image (H, W, 3).
        removed: The pixels to fill, (H, W) bool.
        rng: Draws the noise.
        noise: The standard deviation of the noise; by default a hundredth of the range 0 to 255.

    Returns:
        The image (H, W, 3) float64.

    Raises:
        ValueError: All pixels are removed.

    Example:
        >>> import numpy as np
        >>> from camkit.localize import impute
        >>> image = np.full((3, 3, 3), 90)
        >>> image[1, 1] = 0
        >>> removed = image[..., 0] == 0
        >>> impute(image, removed, np.random.default_rng(0), noise=0)[1, 1].round(6)
        array([90., 90., 90.])
    """
    if removed.all():
        raise ValueError(
            f"all {removed.size} pixels are removed: imputation needs some that remain"
        )
    if not removed.any():
        return image.astype(float)
    unknown = np.flatnonzero(removed)
    weights = _neighbour_weights(removed.shape)[unknown]
    pixels = image.astype(float).reshape(removed.size, -1)
    pixels[unknown] = 0

    # Σ_j w_ij (p_i − p_j) = 0 for each removed pixel i, over its neighbours j.
    total = sparse.diags_array(weights.sum(axis=1))
    system = (total - weights[:, unknown]).tocsc()
    # The system is symmetric and diagonally dominant, so it needs no pivoting.
    symmetric = {"SymmetricMode": True}
    solver = splu(system, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0, options=symmetric)
    fill = solver.solve(weights @ pixels)
    pixels[unknown] = fill + rng.normal(0, noise, fill.shape)
    return pixels.reshape(image.shape)


def _impute_cells(
    image: np.ndarray, removed: np.ndarray, rng: np.random.Generator, noise: float = 2.55
) -> np.ndarray:
    """Return an image (H, W, 3) whose removed cells (n, n) are filled in as `impute` does."""
    size = image.shape[:2]
    count = len(removed)
    small_size = (count * POINTS_PER_CELL, count * POINTS_PER_CELL)
    channels = np.moveaxis(image, -1, 0)
    small = np.stack([coverage(channel, small_size) for channel in channels], axis=-1)
    holes = np.kron(removed, np.ones((POINTS_PER_CELL, POINTS_PER_CELL))) > 0
    fill = impute(small, holes, rng, noise=0)
    fill = np.moveaxis(upsample(np.moveaxis(fill, -1, 0), size), 0, -1)
    rows, columns = (np.arange(side) * count // side for side in size)
    is_removed = removed[np.ix_(rows, columns)]
    filled = fill + rng.normal(0, noise, fill.shape)
    return np.where(is_removed[..., None], filled, image)


def randomization(
    explain: Callable[[Any], np.ndarray], model: Any, *, steps: int | None = None, seed: int = 0
) -> tuple[list[str], np.ndarray]:
    """Return how similar maps stay as layers lose their weights, from the output down.

    This is cascading weight randomisation, a sanity check: a map that stays similar does not show
    what the model has learned. Each array of weights is shuffled, which needs no initialiser and
    preserves the range of values; the paper draws new weights instead (Adebayo et al., Sanity
    Checks for Saliency Maps, NeurIPS 2018). The weights are restored at the end, also after an
    error.

    Args:
        explain: A function that takes the model and computes maps (N, h, w) with its current
            weights.
        model: A model whose `layers` have `get_weights`, `set_weights` and `name`, or layers of
            their own.
        steps: The number of comparisons, evenly spread over the layers; by default one after each
            layer.
        seed: Draws the order of the weights.

    Returns:
        The names of S layers, and the rank correlations (S, N), −1..1, of the first maps with those
        after shuffling all layers from the output down to names[s].

    Example:
        >>> from camkit.localize import randomization
        >>> import camkit
        >>> images = camkit.load_images("mini", "Test", per_class=1)
        >>> batch = next(images.batches(2, 100))
        >>> model = camkit.gap_classifier(camkit.backbone("mini"), images.class_names)
        >>> def explain(model):
        ...     return camkit.CAM(model)(batch).maps[..., 0]
        >>> names, correlations = randomization(explain, model, steps=2)
        >>> names[0], correlations.shape
        ('logits', (2, 2))
    """
    layers = layers_from_output(model)
    stop_count = steps or len(layers)
    stops = np.linspace(1, len(layers), stop_count).round()
    stops = stops.astype(int)
    rng = np.random.default_rng(seed)
    names = []
    correlations = []
    first = explain(model)
    with restored(layers) as learned:
        for count, (layer, weights) in enumerate(zip(layers, learned, strict=True), 1):
            layer.set_weights(shuffled(weights, rng))
            if count in stops:
                names.append(layer.name)
                correlations.append(rank_correlation(first, explain(model)))
    return names, np.array(correlations)


def rank_correlation(maps: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return Spearman's rank correlation of each map with another map.

    Args:
        maps: Maps (N, h, w).
        others: The maps (N, h, w) that they are compared with.

    Returns:
        The correlations (N,), −1..1; 0 where one of the two maps is constant.

    Example:
        >>> import numpy as np
        >>> from camkit.localize import rank_correlation
        >>> heat = np.array([[[1, 2], [3, 4]]])
        >>> rank_correlation(heat, heat**3).round(6), rank_correlation(heat, 0 * heat)
        (array([1.]), array([0.]))
    """
    ranks = _row_ranks(maps)
    other_ranks = _row_ranks(others)
    ranges = np.minimum(np.ptp(ranks, axis=1), np.ptp(other_ranks, axis=1))
    rows = ranges != 0
    correlations = np.zeros(len(ranks))
    if rows.any():
        result = stats.pearsonr(ranks[rows], other_ranks[rows], axis=1)
        correlations[rows] = result.statistic
    return correlations


def _row_ranks(maps: np.ndarray) -> np.ndarray:
    """Return the ranks (N, h·w) of the values of each map; equal values have their mean rank."""
    values = np.reshape(maps, (len(maps), -1))
    return stats.rankdata(values, axis=1)


@lru_cache(maxsize=4)
def _neighbour_weights(size: tuple[int, int]) -> sparse.csr_array:
    """Return the weights (H·W, H·W) of each pixel's neighbours, in an image of this size."""
    count = size[0] * size[1]
    index = np.arange(count).reshape(size)
    values = []
    rows = []
    columns = []
    for (pixels, neighbours), weight in zip(touching(index), NEIGHBOUR_WEIGHTS, strict=True):
        values.append(np.full(pixels.size, weight))
        rows.append(pixels.ravel())
        columns.append(neighbours.ravel())
    values = np.concatenate(values)
    positions = np.concatenate(rows), np.concatenate(columns)
    weights = sparse.coo_array((values, positions), (count, count))
    return (weights + weights.T).tocsr()


def _ranks(maps: Iterable[np.ndarray], seed: int) -> Iterator[np.ndarray]:
    """Yield the ranks (H, W) of each map's pixels, 0 the highest; ties are in random order."""
    rng = np.random.default_rng([seed, 0])
    for heat in maps:
        values = np.ravel(heat).astype(float)
        shuffled = rng.permutation(values.size)
        descending = np.argsort(-values[shuffled], kind="stable")
        order = shuffled[descending]
        yield np.argsort(order).reshape(np.shape(heat))


def _scores(
    predict: Callable[[np.ndarray], np.ndarray],
    variants: Iterator[np.ndarray],
    targets: np.ndarray,
    count: int,
) -> np.ndarray:
    """Return the target's scores (2, N, count) of two series of variants of each image.

    The variants come image by image, first one series and then the other. Only BATCH of them are in
    memory at a time.
    """
    targets_of_variants = np.repeat(targets, 2 * count)
    scores = []
    for start in range(0, len(targets_of_variants), BATCH):
        batch = np.stack(list(islice(variants, BATCH)))
        batch = batch.astype("float32")
        batch_targets = targets_of_variants[start : start + BATCH]
        # The batch is always full, since a compiled function is recompiled for another size.
        full_batch = np.resize(batch, (BATCH, *batch.shape[1:]))
        predicted = np.asarray(predict(full_batch))
        scores.append(predicted[np.arange(len(batch)), batch_targets])
    scores = np.concatenate(scores).reshape(-1, 2, count)
    return scores.swapaxes(0, 1)
