"""What the assignments' checks are written with: they say what was found and which known mistake leads there.

It is handed out beside the notebooks, needs NumPy alone, and grading puts back the teacher's copy.
"""

import os
import sys

import numpy as np

if os.environ.get("NBGRADER_EXECUTION"):
    # Where nbgrader runs a notebook, a test has no points once anything was written on standard error while it ran, a
    # library's warning, say. So there is none.
    sys.stderr = sys.stdout
    os.dup2(1, 2)


class Mistake(AssertionError):
    """An answer that is not right yet; a notebook shows its message alone, without the lines that led there."""

    def _render_traceback_(self):  # which IPython asks for
        return [str(self)]


def agree(got, want, mistakes=()):
    """Raises Mistake unless `got` is `want`, to rounding; the message names the mistake that leads to `got`.

    mistakes: {what was done: the value that it gives}.
    """
    if got is None:
        raise Mistake("Your function returns nothing. Does it end with `return`?")
    got, want = np.asarray(got), np.asarray(want)
    if got.dtype.kind not in "biuf":
        raise Mistake(f"Your function returns {got.dtype} where numbers are wanted.")
    for mistake, value in dict(mistakes).items():
        if got.shape == np.shape(value) and np.allclose(got, value, rtol=1e-4, atol=1e-6):
            raise Mistake(f"{mistake}\n{_first(got, want)}")
    if got.shape != want.shape:
        raise Mistake(_first(got, want))
    off = ~np.isclose(got, want, rtol=1e-4, atol=1e-6)
    if off.any():
        raise Mistake(
            f"{off.sum()} of {off.size} values differ{_times(got, want)}.\n{_first(got, want)}"
        )


def _first(got, want):
    """The first value that differs, in words."""
    if got.shape != want.shape:
        return f"The shape of your result is {got.shape}, it should be {want.shape}."
    at = tuple(int(n) for n in np.argwhere(~np.isclose(got, want, rtol=1e-4, atol=1e-6))[0])
    return f"{f'At {list(at)} yours' if at else 'Yours'} is {float(got[at]):.4g}, right is {float(want[at]):.4g}."


def _times(got, want):
    """ " (…)" where all of `got` is one multiple of `want`, else ""."""
    ratio = got[want != 0] / want[want != 0]
    alike = (
        ratio.size > 1
        and np.allclose(ratio, ratio.flat[0], rtol=1e-4)
        and np.isfinite(ratio[0])
        and ratio[0] != 0
    )
    alike = alike and not got[want == 0].any()
    return f" (all are {ratio.flat[0]:.4g} times what is right)" if alike else ""


def share(points, cases):
    """`points` × the share of the cases that raise nothing, as nbgrader reads it: a Python float, last in its cell.

    cases: functions of no arguments. What the others raise is printed, a line each, for the student's feedback.
    """
    passed = 0
    for number, case in enumerate(cases, 1):
        try:
            case()
            passed += 1
        except Exception as error:
            print(
                f"On other numbers, case {number} of {len(cases)}: {type(error).__name__}: {error}"
            )
    return round(float(points * passed / len(cases)), 2)
