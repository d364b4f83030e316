"""Which images of a set are selected."""

from collections.abc import Sequence

import numpy as np
import pandas as pd


def positions(indices: Sequence[int] | np.ndarray | pd.Series | slice, count: int) -> np.ndarray:
    """Return the rows (n,) of `count` images that are selected, in the given order.

    Args:
        indices: Integers, a mask of booleans, or a slice. A mask that is a column of a table is
            aligned by its index, as pandas does, and its missing values select nothing.
        count: The number of images.

    Raises:
        IndexError: There is no such image, or there is not a boolean for each image.
        ValueError: The index of a mask is not that of a table with a row for each image.
    """
    rows = np.arange(count)
    if isinstance(indices, slice):
        return rows[indices]
    chosen = np.asarray(indices)
    is_mask = pd.api.types.is_bool_dtype(getattr(indices, "dtype", chosen.dtype))
    if chosen.ndim != 1:
        raise IndexError(
            f"indices is {indices!r}: pass a list of rows such as [3], a mask or a slice"
        )
    if is_mask and len(chosen) != count:
        raise IndexError(
            f"the mask has {len(chosen)} values for {count} images: pass one for each image, or "
            "the rows themselves, such as table.index of a part of the table"
        )
    if is_mask and isinstance(indices, pd.Series):
        chosen = _in_order(indices)
    if not is_mask:
        chosen = _checked(chosen, count)
    return rows[chosen]


def _checked(chosen: np.ndarray, count: int) -> np.ndarray:
    """Return rows as integers. Raises IndexError for what is none, or none of the images."""
    # An empty list is an array of floats.
    if len(chosen) and not pd.api.types.is_integer_dtype(chosen.dtype):
        raise IndexError(
            f"indices has {chosen[0]!r}: rows are whole numbers, such as [0, 1], and a mask is of "
            "booleans"
        )
    chosen = chosen.astype(int)
    outside = chosen[(chosen < -count) | (chosen >= count)]
    if len(outside):
        raise IndexError(
            f"there is no image {outside[0]}: the {count} images have the rows 0 to {count - 1}"
        )
    return chosen


def _in_order(mask: pd.Series) -> np.ndarray:
    """Return a mask in the order of the images, to whose rows its index refers."""
    in_order = mask.sort_index()
    if not np.array_equal(in_order.index, np.arange(len(mask))):
        raise ValueError(
            f"the index of the mask is not 0 to {len(mask) - 1}, so it does not tell which value "
            "is that of which image: if they are in the order of the images, pass mask.to_numpy()"
        )
    return in_order.to_numpy(dtype=bool, na_value=False)
