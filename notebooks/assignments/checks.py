"""The assignments' checks: they say what was found and which known mistake leads there.

This file is handed out beside the notebooks and needs NumPy alone. Grading uses the teacher's copy.
"""

import os
import sys
from collections.abc import Callable, Mapping, Sequence

import numpy as np

# Numbers are the same if they agree to rounding.
RELATIVE_TOLERANCE = 1e-4
ABSOLUTE_TOLERANCE = 1e-6

# Where nbgrader runs a notebook, a test gets no points if anything was written on standard error
# while it ran, a library's warning, say. So nothing is.
if os.environ.get("NBGRADER_EXECUTION"):
    sys.stderr = sys.stdout
    os.dup2(1, 2)


class Mistake(AssertionError):
    """An answer that is not right yet.

    A notebook shows its message alone, without the lines that led there.
    """

    def _render_traceback_(self) -> list[str]:
        """Return what IPython shows in place of a traceback."""
        return [str(self)]


def agree(got: object, want: object, mistakes: Mapping[str, object] | Sequence[tuple] = ()) -> None:
    """Raise Mistake unless `got` is `want`, to rounding; the message names the mistake behind it.

    Args:
        got: What the student's function returns.
        want: What is right.
        mistakes: {what was done wrong: the value that it gives}.

    Raises:
        Mistake: If `got` is not `want`.

    >>> agree([1.0, 2.0], [1, 2])
    >>> agree(6, 2, {"That is the sum.": 6})
    Traceback (most recent call last):
        ...
    checks.Mistake: That is the sum.
    Yours is 6, right is 2.
    """
    if got is None:
        raise Mistake("Your function returns nothing. Does it end with `return`?")
    got = np.asarray(got)
    want = np.asarray(want)
    if got.dtype.kind not in "biuf":
        raise Mistake(f"Your function returns {got.dtype} where numbers are wanted.")
    for mistake, value in dict(mistakes).items():
        if got.shape == np.shape(value) and _are_close(got, value).all():
            raise Mistake(f"{mistake}\n{_describe_difference(got, want)}")
    if got.shape != want.shape:
        raise Mistake(_describe_difference(got, want))
    differs = ~_are_close(got, want)
    if differs.any():
        count = f"{differs.sum()} of {differs.size} values differ{_describe_multiple(got, want)}."
        raise Mistake(f"{count}\n{_describe_difference(got, want)}")


def _are_close(got: np.ndarray, want: object) -> np.ndarray:
    """Return for each value whether it is right, to rounding."""
    return np.isclose(got, want, rtol=RELATIVE_TOLERANCE, atol=ABSOLUTE_TOLERANCE)


def _describe_difference(got: np.ndarray, want: np.ndarray) -> str:
    """Return the shapes in words if they differ, else the first value that does."""
    if got.shape != want.shape:
        return f"The shape of your result is {got.shape}, it should be {want.shape}."
    differing = np.argwhere(~_are_close(got, want))
    position = tuple(int(index) for index in differing[0])
    subject = f"At {list(position)} yours" if position else "Yours"
    return f"{subject} is {float(got[position]):.4g}, right is {float(want[position]):.4g}."


def _describe_multiple(got: np.ndarray, want: np.ndarray) -> str:
    """Return " (…)" if all of `got` is one multiple of `want`, else ""."""
    ratios = got[want != 0] / want[want != 0]
    if ratios.size <= 1 or got[want == 0].any():
        return ""
    ratio = ratios[0]
    if not np.isfinite(ratio) or ratio == 0:
        return ""
    if not np.allclose(ratios, ratio, rtol=RELATIVE_TOLERANCE):
        return ""
    return f" (all are {ratio:.4g} times what is right)"


def share(points: float, cases: Sequence[Callable[[], object]]) -> float:
    """Return `points` times the share of the cases that raise nothing.

    nbgrader reads it as the value of a test cell's last line, so it is a Python float. What the
    other cases raise is printed, a line each, for the student's feedback.

    Args:
        points: The points of the step.
        cases: Functions of no arguments.

    >>> share(2, [lambda: agree(1, 1), lambda: agree(2, 3)])
    On other numbers, case 2 of 2: Mistake: 1 of 1 values differ.
    Yours is 2, right is 3.
    1.0
    """
    passed = 0
    for number, case in enumerate(cases, 1):
        try:
            case()
            passed += 1
        except Exception as error:
            message = f"{type(error).__name__}: {error}"
            print(f"On other numbers, case {number} of {len(cases)}: {message}")
    return round(float(points * passed / len(cases)), 2)
