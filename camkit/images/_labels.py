"""Labels: what people have for labels becomes class indices (N,) or a mask (N, C)."""

import ast
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from camkit.images.folders import quote

# The label of an image without a class.
NO_LABEL = -1

# What stands between several labels in one text. Commas and spaces do not count: they are common in
# the names of classes.
_SEPARATORS = ("|", ";")


class Labels(NamedTuple):
    """The labels of N images.

    Attributes:
        values: (N,) integers, -1 for no label; or (N, C) bool for several labels an image.
        names: The names of the C classes.
        notes: What was decided, a sentence each.
    """

    values: np.ndarray
    names: list[str]
    notes: list[str]


def labels_of(
    labels: Any,
    count: int,
    class_names: Sequence[str] | None = None,
    multi_label: bool | None = None,
) -> Labels:
    """Return the labels of `count` images.

    Args:
        labels: None; numbers (N,) or (N, 1), which are class indices; one-hot or multi-hot rows
            (N, C); names of classes, a text each; or lists of names. A text such as "cat|dog" or
            "['cat', 'dog']" holds several names.
        count: N.
        class_names: The names of the classes, in the order of the indices.
        multi_label: Whether images have several labels; None to judge by what there is.

    Raises:
        ValueError: The labels are not as many as the images, or cannot be understood.
    """
    if labels is None:
        _refuse_names(class_names)
        return Labels(np.full(count, NO_LABEL), [], [])
    values = _array_of(labels)
    if len(values) != count:
        raise ValueError(f"there are {count} images and {len(values)} labels: pass one for each")
    names = None if class_names is None else [str(name) for name in class_names]
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim == 2:
        return _of_rows(values, names, multi_label)
    if values.ndim != 1:
        raise ValueError(
            f"the labels have the shape {values.shape}: pass indices (N,) or rows of 0 and 1 (N, C)"
        )
    if values.dtype != object:
        return _of_indices(values, names, multi_label)
    if any(_is_list(value) for value in values):
        return _of_lists([_listed(value) for value in values], names, multi_label)
    return _of_texts(values, names, multi_label)


def _refuse_names(class_names: Sequence[str] | None) -> None:
    if class_names is not None:
        raise ValueError(
            "class_names names the classes of labels, and there are none: leave it out"
        )


def _array_of(labels: Any) -> np.ndarray:
    """Return labels as an array of numbers (N,) or (N, C), or of objects (N,)."""
    if isinstance(labels, pd.Series):
        labels = labels.to_numpy(dtype=object) if labels.dtype.kind not in "biuf" else labels
    if isinstance(labels, str) or not isinstance(labels, Iterable):
        raise ValueError(f"the labels are {labels!r}: pass one for each image")
    try:
        values = np.asarray(labels)
    except ValueError:
        # Lists of different lengths.
        values = None
    if values is None or values.dtype.kind not in "biuf":
        items = list(labels)
        values = np.empty(len(items), dtype=object)
        for index, item in enumerate(items):
            values[index] = _plain(item)
        values = _numbers_if_all_are(values)
    return values


def _numbers_if_all_are(values: np.ndarray) -> np.ndarray:
    """Return an array of objects as one of numbers, if it holds nothing else."""
    are_numbers = [isinstance(value, bool | int | float | np.number) for value in values]
    are_missing = [_is_missing(value) for value in values]
    if all(are_numbers) and not all(are_missing):
        return values.astype(float)
    return values


def _plain(item: Any) -> Any:
    """Return a label as a text, a number, a list of labels, or None if it is missing."""
    if isinstance(item, bytes):
        return item.decode()
    if isinstance(item, np.ndarray) and item.ndim == 0:
        return _plain(item.item())
    if isinstance(item, list | tuple | set | frozenset | np.ndarray):
        return [_plain(each) for each in (sorted(item) if isinstance(item, set) else item)]
    return None if _is_missing(item) else item


def _is_missing(item: Any) -> bool:
    """Return whether a label is none: None, NaN or an empty text."""
    if item is None or item is pd.NA or item is pd.NaT:
        return True
    if isinstance(item, float | np.floating):
        return bool(np.isnan(item))
    return isinstance(item, str) and not item.strip()


# Numbers ------------------------------------------------------------------------------------------


def _of_indices(values: np.ndarray, names: list[str] | None, multi_label: bool | None) -> Labels:
    """Return the labels of numbers (N,), each the index of a class."""
    if multi_label:
        raise ValueError(
            "the labels are one number for each image: for several labels an image pass rows of 0 "
            "and 1 (N, C), or lists of names"
        )
    missing = np.isnan(values) if values.dtype.kind == "f" else np.zeros(len(values), bool)
    values = np.where(missing, NO_LABEL, values)
    indices = values.astype(int)
    if (indices != values).any() or indices.min(initial=0) < NO_LABEL:
        odd = values[(indices != values) | (indices < NO_LABEL)][0]
        raise ValueError(
            f"a label is {odd}: labels that are numbers must be class indices 0, 1, ..."
        )
    classes = int(indices.max(initial=-1)) + 1
    names = _names_of_indices(classes) if names is None else names
    if classes > len(names):
        raise ValueError(
            f"a label is {classes - 1}, and class_names has {len(names)} names: pass one for each "
            "class, in the order of the indices"
        )
    return Labels(indices, names, _note_of_missing(indices == NO_LABEL))


def _names_of_indices(classes: int) -> list[str]:
    """Return indices as names whose order as text is that of their values: "00" to "11"."""
    width = len(str(max(classes - 1, 0)))
    return [str(index).zfill(width) for index in range(classes)]


def _of_rows(values: np.ndarray, names: list[str] | None, multi_label: bool | None) -> Labels:
    """Return the labels of rows (N, C) of 0 and 1.

    Rows with one 1 each are class indices, unless `multi_label` says that they are several labels.
    """
    is_one = values == 1
    if not (is_one | (values == 0)).all():
        odd = values[~(is_one | (values == 0))].ravel()[0]
        raise ValueError(
            f"the labels (N, {values.shape[1]}) hold {odd}: they must be 0 and 1; decide what "
            "counts as 1 first, such as labels > 0.5"
        )
    names = _names_of_indices(values.shape[1]) if names is None else names
    if len(names) != values.shape[1]:
        raise ValueError(
            f"the labels have {values.shape[1]} columns, and class_names has {len(names)} names: "
            "pass one for each"
        )
    are_one_hot = bool((is_one.sum(axis=1) == 1).all())
    if multi_label is None:
        multi_label = not are_one_hot
    if multi_label:
        return Labels(is_one, names, [])
    if not are_one_hot:
        raise ValueError(
            "multi_label is False, and some images have no label or several: leave it out, or pass "
            "rows with one 1 each"
        )
    return Labels(is_one.argmax(axis=1), names, [])


# Names --------------------------------------------------------------------------------------------


def _of_texts(values: np.ndarray, names: list[str] | None, multi_label: bool | None) -> Labels:
    """Return the labels of texts (N,), each a name or several."""
    texts = [None if value is None else _text(value) for value in values]
    separator = None if multi_label is False else _separator_of(texts)
    if separator is not None or multi_label:
        lists = [_split(text, separator) for text in texts]
        labels = _of_lists(lists, names, multi_label=True)
        if separator is None:
            return labels
        note = f"labels such as {_example(texts, separator)!r} were split at {separator!r}"
        return labels._replace(notes=[note, *labels.notes])
    present = {text for text in texts if text is not None}
    names = _checked_names(present, names)
    index = {name: i for i, name in enumerate(names)}
    labels = [NO_LABEL if text is None else index[text] for text in texts]
    return Labels(np.array(labels, int), names, _note_of_missing([text is None for text in texts]))


def _text(value: Any) -> str:
    """Return a label as a text; a whole number without a point."""
    if isinstance(value, float | np.floating) and float(value).is_integer():
        value = int(value)
    return str(value).strip()


def _separator_of(texts: Iterable[str | None]) -> str | None:
    """Return what stands between several names in a text; None if each text is one name."""
    for separator in _SEPARATORS:
        if any(text is not None and separator in text for text in texts):
            return separator
    return None


def _example(texts: Iterable[str | None], separator: str) -> str:
    return next(text for text in texts if text is not None and separator in text)


def _split(text: str | None, separator: str | None) -> list[str]:
    """Return the names in a text."""
    if text is None:
        return []
    parts = text.split(separator) if separator else [text]
    return [part.strip() for part in parts if part.strip()]


def _is_list(value: Any) -> bool:
    """Return whether a label is a list, or a list written as a text: "['cat', 'dog']"."""
    if isinstance(value, str):
        return value.startswith("[") and value.endswith("]")
    return isinstance(value, list)


def _listed(value: Any) -> list[str]:
    """Return the names in a label."""
    if value is None:
        return []
    if isinstance(value, str) and _is_list(value):
        try:
            value = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            # Without quotes: "[cat, dog]".
            value = value[1:-1].split(",")
    names = value if isinstance(value, list) else [value]
    return [_text(name) for name in names if not _is_missing(name)]


def _of_lists(lists: list[list[str]], names: list[str] | None, multi_label: bool | None) -> Labels:
    """Return the mask (N, C) of lists of names."""
    if multi_label is False:
        raise ValueError(
            "multi_label is False, and the labels are lists of names: leave it out, or pass one "
            "name for each image"
        )
    names = _checked_names({name for each in lists for name in each}, names)
    index = {name: i for i, name in enumerate(names)}
    mask = np.zeros((len(lists), len(names)), dtype=bool)
    for row, each in enumerate(lists):
        mask[row, [index[name] for name in each]] = True
    return Labels(mask, names, [])


def _checked_names(present: set[str], names: list[str] | None) -> list[str]:
    """Return the names of the classes: those given, or those present, sorted.

    Raises ValueError if some that are present are not among those given.
    """
    if names is None:
        return sorted(present)
    unknown = present - set(names)
    if unknown:
        raise ValueError(
            f"the labels have {quote(unknown)}, which class_names lacks: {quote(names)}"
        )
    return names


def _note_of_missing(is_missing: Sequence[bool] | np.ndarray) -> list[str]:
    """Return the note on images without a label."""
    count = int(np.sum(is_missing))
    if count in (0, len(is_missing)):
        return []
    return [f"{count} of {len(is_missing)} images have no label"]
