"""The assignments' checks: they say what was found and which known mistake leads there.

This file is handed out beside the notebooks and needs NumPy alone. Grading uses the teacher's copy.
"""

import os
import sys
from collections.abc import Callable, Iterator, Mapping, MappingView, Sequence
from dataclasses import fields, is_dataclass
from inspect import unwrap
from numbers import Real

# By name, so that what a notebook puts in the place of `np.asarray` changes nothing here.
from numpy import allclose, argwhere, asarray, errstate, finfo, float16, isfinite, ndarray, shape

# Numbers are the same if they agree to rounding.
RELATIVE_TOLERANCE = 1e-4
ABSOLUTE_TOLERANCE = 1e-6

# What `tell_calls` says: grading finds it, and tells the teacher.
LEFT_TO_LIBRARY = "Your function leaves its work to"

# Grading calls this after each call of a student's function, and before results are compared.
AFTER_CALL: Callable[[], object] | None = None

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
    if AFTER_CALL:
        AFTER_CALL()
    if got is None:
        raise Mistake("Your function returns nothing. Does it end with `return`?")
    got = _numbers(got)
    want = _numbers(want)
    if got.size == 1 and not want.ndim:
        # A number in a list is this number.
        got = got.reshape(())
    # The mistakes may be worked out from what the function has changed in place.
    if got.shape == want.shape and _are_close(got, want).all():
        return
    for mistake, value in dict(mistakes).items():
        if got.shape == shape(value) and _are_close(got, _numbers(value)).all():
            raise Mistake(f"{mistake}\n{_describe_difference(got, want)}")
    if got.shape != want.shape:
        raise Mistake(_describe_difference(got, want))
    differs = ~_are_close(got, want)
    count = f"{differs.sum()} of {differs.size} values differ{_describe_multiple(got, want)}."
    raise Mistake(f"{count}\n{_describe_difference(got, want)}")


def _numbers(value: object) -> ndarray:
    """Return the numbers in an array, a list, a table or a tensor."""
    try:
        numbers = asarray(plain(value))
    except ValueError as error:
        raise Mistake(f"Your function returns parts that make no array: {error}") from error
    if numbers.dtype.kind == "O" and all(isinstance(number, Real) for number in numbers.flat):
        # Fractions, or a table without rows.
        numbers = numbers.astype(float)
    if numbers.dtype.kind == "O" and not numbers.ndim:
        name = type(value).__name__
        raise Mistake(f"Your function returns a {name}: return an array, a list or a tuple.")
    if numbers.dtype.kind not in "biuf":
        raise Mistake(f"Your function returns {numbers.dtype} where numbers are wanted.")
    return numbers


def plain(value: object) -> object:
    """Return a tensor or a table as an array, in lists and tuples, too; all else as it is.

    What can only be gone through, such as a generator or a dictionary's values, becomes a list. A
    named tuple or a dataclass becomes a tuple.

    >>> plain((1, [2, 3])), plain(map(abs, [-1, 2]))
    ((1, [2, 3]), [1, 2])
    """
    if isinstance(value, (Iterator, MappingView)):
        value = list(value)
    if is_dataclass(value) and not isinstance(value, type):
        value = tuple(getattr(value, field.name) for field in fields(value))
    if isinstance(value, (list, tuple)):
        parts = [plain(part) for part in value]
        return parts if isinstance(value, list) else tuple(parts)
    if hasattr(value, "detach"):
        # A tensor of PyTorch, which is no array while it has a gradient.
        return value.detach().cpu().numpy()
    if hasattr(value, "__array__"):
        return asarray(value)
    return value


def _are_close(got: ndarray, want: ndarray) -> ndarray:
    """Return for each value whether it is right, to rounding.

    Arrays' own operators do it: NumPy's `isclose` calls functions that a notebook can replace.
    """
    relative = RELATIVE_TOLERANCE
    if got.dtype == float16:
        # A number of half precision is this far from its neighbours.
        relative = 2 * float(finfo(float16).eps)
    got = got.astype(float)
    want = want.astype(float)
    with errstate(invalid="ignore"):
        distance = (got - want).__abs__()
        is_near = distance <= ABSOLUTE_TOLERANCE + relative * want.__abs__()
    return (is_near & isfinite(want)) | (got == want)


def _describe_difference(got: ndarray, want: ndarray) -> str:
    """Return the shapes in words if they differ, else the first value that does."""
    if got.shape != want.shape:
        return f"The shape of your result is {got.shape}, it should be {want.shape}."
    differing = argwhere(~_are_close(got, want))
    position = tuple(int(index) for index in differing[0])
    subject = f"At {list(position)} yours" if position else "Yours"
    return f"{subject} is {float(got[position]):.4g}, right is {float(want[position]):.4g}."


def _describe_multiple(got: ndarray, want: ndarray) -> str:
    """Return " (…)" if all of `got` is one multiple of `want`, else ""."""
    ratios = got[want != 0] / want[want != 0]
    if ratios.size <= 1 or got[want == 0].any():
        return ""
    ratio = ratios[0]
    if not isfinite(ratio) or ratio == 0:
        return ""
    if not allclose(ratios, ratio, rtol=RELATIVE_TOLERANCE):
        return ""
    return f" (all are {ratio:.4g} times what is right)"


def call(function: Callable, *arguments: object) -> object:
    """Return what a function gives for copies of its arguments.

    The function may work in place, and the test still has its numbers. Tensors and tables that it
    returns are arrays here.

    >>> call(lambda numbers: numbers.pop(), [1, 2])
    2
    """
    # A generator runs while it is gone through.
    result = plain(function(*_copied(arguments)))
    if AFTER_CALL:
        AFTER_CALL()
    return result


def flat(value: object) -> object:
    """Return all numbers of a result in one row, whatever lists and pairs hold them.

    >>> flat((1, [2, 3]))
    [1, 2, 3]
    """
    if value is None:
        return None
    if type(value) in (list, tuple):
        return [number for part in value for number in flat(part) or []]
    return _numbers(value).ravel().tolist()


def _copied(value: object) -> object:
    """Return a copy of an array, or of what holds arrays; all else, such as a model, as it is."""
    if isinstance(value, ndarray):
        return value.copy()
    if type(value) in (list, tuple):
        return type(value)(_copied(part) for part in value)
    if type(value) is dict:
        return {key: _copied(part) for key, part in value.items()}
    return value


def tell_calls(function: Callable, arguments: Sequence, unwanted: Sequence[Callable]) -> None:
    """Print a line if a function leaves its work to a library's function.

    Args:
        function: The student's function.
        arguments: Arguments to try it with.
        unwanted: The library's functions, in Python.
    """
    codes = {unwrap(library).__code__: library for library in unwanted}
    called = set()

    def notice(frame, event, argument):
        if event == "call" and frame.f_code in codes:
            called.add(codes[frame.f_code].__qualname__)

    before = sys.getprofile()
    sys.setprofile(notice)
    try:
        call(function, *arguments)
    finally:
        sys.setprofile(before)
    if called:
        print(
            f"{LEFT_TO_LIBRARY} {', '.join(sorted(called))}. Write it yourself, as the text asks."
        )


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
