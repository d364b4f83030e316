"""Shared steps of the measures: scaled maps, maps with their images, and pixels that touch."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from camkit.maps.arrays import unit

# One array of all images, or a list of arrays of different sizes.
Arrays = np.ndarray | Sequence[np.ndarray]


def scaled(heat: np.ndarray) -> np.ndarray:
    """Return a map scaled to 0..1; zeros where it is constant.

    Args:
        heat: A map (H, W), signed or not.

    Returns:
        The map (H, W) float64, 0..1.

    Raises:
        ValueError: A value is not finite.

    Example:
        >>> from camkit.localize import scaled
        >>> scaled([[-2, 0], [2, 6]])
        array([[0.  , 0.25],
               [0.5 , 1.  ]])
    """
    heat = np.asarray(heat, float)
    low = heat.min()
    high = heat.max()
    if not np.isfinite(high - low):
        raise ValueError(
            f"a map {heat.shape} ranges from {low} to {high}: measures need finite values"
        )
    return unit(heat)


def matched(
    maps: Iterable[np.ndarray], images: Iterable[np.ndarray]
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield each map (H, W) with its image or mask.

    Raises ValueError if their numbers or sizes differ.
    """
    for heat, image in zip(maps, images, strict=True):
        heat = np.asarray(heat)
        image = np.asarray(image)
        if heat.shape != image.shape[:2]:
            raise ValueError(
                f"a map is {heat.shape} and its image or mask {image.shape[:2]}: "
                "camkit.upsample(maps, size) enlarges maps"
            )
        yield heat, image


def touching(grid: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield all pairs of touching pixels of a grid (H, W), as two arrays for each direction.

    The four directions are: side by side, one above the other, and the two diagonals.
    """
    upper = grid[:-1]
    lower = grid[1:]
    yield grid[:, 1:], grid[:, :-1]
    yield lower, upper
    yield lower[:, 1:], upper[:, :-1]
    yield lower[:, :-1], upper[:, 1:]
