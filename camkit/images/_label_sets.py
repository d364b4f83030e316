"""The names of the labels of images that may have several."""

from collections.abc import Sequence

import numpy as np

# Between the names of the labels of one image.
SEPARATOR = "|"


def joined_names(mask: np.ndarray, names: Sequence[str]) -> list[str]:
    """Return the names of the labels of each row of a mask (N, C), such as "Apple|Lemon"."""
    columns = np.array(names, dtype=object)
    return [SEPARATOR.join(columns[row]) for row in mask]
