"""What would change the answer: scores without some cells, and the fewest cells that decide.

NumPy only. The score of a class is the mean of its map plus a constant, so striking cells out
changes every score by a known amount, and the network is not run again.
"""

from dataclasses import dataclass

import numpy as np

# The two meanings of striking a cell out, which `mean_over` chooses from.
MEANS = ("all", "remaining")


@dataclass(frozen=True, eq=False)
class FlipSet:
    """The fewest cells without which another class outscores the predicted one.

    Attributes:
        cells: Mask of the cells, bool, of the shape of the places, such as (h, w).
        logits: Logits (C,) without these cells, float64.
        winner: The class that is predicted without them.

    Example:
        >>> import numpy as np, camkit
        >>> maps = np.array([[[4.0, 0.0], [0.0, 2.0]]])
        >>> flip = camkit.flip_set(maps, np.array([2.0, 1.0]))
        >>> flip.count, flip.share, flip.cells.tolist(), flip.winner
        (1, 0.5, [[True, False]], 1)
    """

    cells: np.ndarray
    logits: np.ndarray
    winner: int

    @property
    def count(self) -> int:
        """Return the number of cells.

        Example:
            >>> import numpy as np, camkit
            >>> camkit.flip_set(np.array([[4.0, 0.0], [0.0, 2.0]]), np.array([2.0, 1.0])).count
            1
        """
        return int(self.cells.sum())

    @property
    def share(self) -> float:
        """Return the number of cells as a share of all, 0..1.

        Example:
            >>> import numpy as np, camkit
            >>> camkit.flip_set(np.array([[4.0, 0.0], [0.0, 2.0]]), np.array([2.0, 1.0])).share
            0.5
        """
        return self.count / self.cells.size


def strike(
    maps: np.ndarray, logits: np.ndarray, cells: np.ndarray, *, mean_over: str = "all"
) -> np.ndarray:
    """Return the logits of one image without some cells of its class maps.

    A logit is mean(M_c) + b_c. Striking out the cells S leaves one of two logits:

    - "all": the cells contribute nothing, as if the features there were 0. The mean is taken over
      all P cells still: logit_c − Σ_S M_c / P.
    - "remaining": the mean is taken over the cells that are left, as if the image ended there:
      logit_c + mean of M_c over the others − mean(M_c).

    Both are exact for the class maps of `camkit.CAM`: they are what the head returns for features
    without these cells. They are not what the network returns for an image in which pixels are
    painted over, since a painted image has other features everywhere. The maps of an analysis are
    in half precision, so that its results have about three digits. What a head adds from elsewhere
    (biases, `CamOutput.rest`) stays as it is.

    Args:
        maps: Class maps (*places, C) of one image, such as (h, w, C), (t, C) or (d, h, w, C): one
            of `CamOutput.maps` or of the `maps` of an analysis by CAM.
        logits: The logits (C,) of the image.
        cells: Mask (*places) of the cells that are struck out, bool.
        mean_over: "all" or "remaining".

    Returns:
        The logits (C,), float64.

    Raises:
        ValueError: The shapes do not belong together, a value is not finite, there is no such
            `mean_over`, or no cell remains to take the mean over.

    Example:
        >>> import numpy as np, camkit
        >>> # Four cells in a row, two classes; the biases are 0.
        >>> maps = np.array([[8.0, 0.0], [0.0, 4.0], [0.0, 0.0], [0.0, 0.0]])
        >>> cells = np.array([True, False, False, True])
        >>> camkit.strike(maps, np.array([2.0, 1.0]), cells)
        array([0., 1.])
        >>> camkit.strike(maps, np.array([2.0, 1.0]), cells, mean_over="remaining")
        array([0., 2.])
    """
    maps, logits = _checked(maps, logits, mean_over)
    cells = np.asarray(cells)
    if cells.dtype != bool or cells.shape != maps.shape[:-1]:
        raise ValueError(
            f"cells are {cells.dtype} {cells.shape}: a mask (bool) of the shape of the places, "
            f"{maps.shape[:-1]}, is needed"
        )
    struck = maps[cells].sum(axis=0)
    if mean_over == "all":
        return logits - struck / cells.size
    left = maps[~cells]
    if not len(left):
        raise ValueError(
            "all cells are struck out, so that none remains to take the mean over: leave one, or "
            'use mean_over="all"'
        )
    places = tuple(range(cells.ndim))
    return logits + left.mean(axis=0) - maps.mean(axis=places)


def flip_set(
    maps: np.ndarray,
    logits: np.ndarray,
    target: int | None = None,
    *,
    mean_over: str = "all",
) -> FlipSet | None:
    """Return the fewest cells without which another class outscores the predicted one.

    The lead of the predicted class p over a class t is mean(M_p − M_t) + b_p − b_t. The cells with
    the largest M_p − M_t take away most of it: of k cells, no others leave a smaller lead. With
    `mean_over="remaining"` the sum that is left is divided by P − k, whichever cells these are, so
    that it holds there, too. The answer is therefore exact, without a search: sort the cells of the
    difference map, and strike out the first k that are enough. That map is the one of Finer-CAM
    with γ = 1 (Zhang et al., Finer-CAM: Spotting the Difference Reveals Finer Details for Visual
    Explanation, CVPR 2025, arXiv:2501.11309), before its ReLU.

    Without these cells p is not predicted any more. Where there are more than two classes, a third
    one may then be ahead of `target`: `winner` tells.

    Args:
        maps: Class maps (*places, C) of one image, as for `camkit.strike`.
        logits: The logits (C,) of the image. The predicted class p is that of the highest one.
        target: The class t that is to outscore it, such as the true class of an error; None for the
            class that takes the fewest cells, and of several the one with the highest logit.
        mean_over: What striking a cell out means, "all" or "remaining"; see `camkit.strike`.

    Returns:
        The FlipSet, or None where no cells are enough, since the biases alone, or every cell, are
        in favour of p.

    Raises:
        ValueError: As for `camkit.strike`, or `target` is p or no class.

    Example:
        >>> import numpy as np, camkit
        >>> maps = np.array([[8.0, 0.0], [2.0, 0.0], [0.0, 4.0], [0.0, 0.0]])
        >>> flip = camkit.flip_set(maps, np.array([2.5, 1.0]), target=1)
        >>> flip.cells, flip.logits
        (array([ True, False, False, False]), array([0.5, 1. ]))
        >>> # A label of a multi-label model and its threshold, the logit 0, are a pair as well.
        >>> pair = np.stack([maps[:, 0], np.zeros(4)], axis=-1)
        >>> camkit.flip_set(pair, np.array([1.5, 0.0])).count
        1
    """
    maps, logits = _checked(maps, logits, mean_over)
    predicted = int(logits.argmax())
    others = np.delete(np.arange(len(logits)), predicted)
    if target is not None:
        if target not in others:
            raise ValueError(
                f"target is {target}: choose a class of 0 to {len(logits) - 1} other than the "
                f"predicted one, {predicted}"
            )
        others = np.array([target])
    flat = maps.reshape(-1, len(logits))
    differences = (flat[:, [predicted]] - flat[:, others]).T
    leads = logits[predicted] - logits[others]
    counts = fewest_cells(differences, leads, mean_over)
    # Of classes that take equally many cells, the one that was closest comes first.
    order = np.lexsort((leads, counts))
    if not len(order) or np.isnan(counts[order[0]]):
        return None
    chosen = order[0]
    cells = largest_cells(differences[[chosen]], counts[[chosen]]).reshape(maps.shape[:-1])
    logits = strike(maps, logits, cells, mean_over=mean_over)
    return FlipSet(cells, logits, int(logits.argmax()))


def fewest_cells(differences: np.ndarray, leads: np.ndarray, mean_over: str = "all") -> np.ndarray:
    """Return how many cells have to be struck out until a lead falls below 0.

    Args:
        differences: Difference maps (n, P) of n pairs of classes, M_p − M_t.
        leads: Their leads (n,), the logit of p minus that of t.
        mean_over: "all" or "remaining"; see `camkit.strike`.

    Returns:
        The numbers of cells (n,), float64; NaN where no number is enough.

    Example:
        >>> import numpy as np
        >>> from camkit.maps.what_if import fewest_cells
        >>> fewest_cells(np.array([[1.0, 4.0], [1.0, 1.0]]), np.array([1.0, 3.0]))
        array([ 1., nan])
    """
    total_count = differences.shape[1]
    largest_first = np.sort(differences, axis=1)[:, ::-1]
    struck = np.cumsum(largest_first, axis=1, dtype="float64")
    leads = np.asarray(leads, "float64")[:, None]
    if mean_over == "all":
        left = leads - struck / total_count
    else:
        total = struck[:, -1:]
        remaining = total_count - np.arange(1, total_count + 1)
        # The mean over no cell at all never decides.
        mean_left = np.full(struck.shape, np.inf)
        np.divide(total - struck, remaining, out=mean_left, where=remaining > 0)
        left = leads + mean_left - total / total_count
    is_enough = left < 0
    first = is_enough.argmax(axis=1) + 1.0
    return np.where(is_enough.any(axis=1), first, np.nan)


def largest_cells(maps: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return masks (n, P) of the `counts` (n,) largest cells of maps (n, P).

    Of equal cells, the first in the order of the places count as larger; NaN counts no cell.

    Example:
        >>> import numpy as np
        >>> from camkit.maps.what_if import largest_cells
        >>> largest_cells(np.array([[5.0, 7.0, 7.0]]), np.array([1]))
        array([[False,  True, False]])
    """
    order = np.argsort(-maps, axis=1, kind="stable")
    ranks = np.empty_like(order)
    np.put_along_axis(ranks, order, np.arange(maps.shape[1])[None], axis=1)
    return ranks < counts[:, None]


def _checked(maps: np.ndarray, logits: np.ndarray, mean_over: str) -> tuple[np.ndarray, np.ndarray]:
    """Return maps (*places, C) and logits (C,) as float64; raise ValueError if they do not fit."""
    maps = np.asarray(maps, "float64")
    logits = np.asarray(logits, "float64")
    if mean_over not in MEANS:
        raise ValueError(f"there is no mean over {mean_over!r}: choose from {', '.join(MEANS)}")
    if maps.ndim < 2 or logits.shape != maps.shape[-1:]:
        raise ValueError(
            f"the maps are {maps.shape} and the logits {logits.shape}: maps (h, w, C) of one image "
            "and its logits (C,) are needed"
        )
    if not (np.isfinite(maps).all() and np.isfinite(logits).all()):
        raise ValueError("maps or logits are not finite: pass those that camkit.CAM returns")
    return maps, logits
