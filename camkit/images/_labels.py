"""Labels: what people have for labels becomes class indices (N,) or a mask (N, C)."""

import ast
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from camkit._class_names import names_in_order
from camkit.images.folders import quote

# The label of an image without a class.
NO_LABEL = -1

# What stands between several labels in one text. Commas and spaces do not count: they are common in
# the names of classes.
_SEPARATORS = ("|", ";")

# What may stand between several labels, and is asked about.
_POSSIBLE_SEPARATORS = (",", "/")

# How NumPy and Python write arrays, sets and texts: "array(['cat'], dtype=object)", "set()". NumPy
# puts no commas between texts.
_WRITTEN = re.compile(r"(?:array|frozenset|set)\((.*?)(?:,\s*dtype=\S+)?\)", re.DOTALL)
_QUOTED = r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\""""
_WITHOUT_COMMA = re.compile(rf"({_QUOTED})\s+(?=['\"])")
_NUMBERS = re.compile(r"\[[\s\d.]+\]")


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
    class_names: Sequence[str] | Mapping | None = None,
    multi_label: bool | None = None,
) -> Labels:
    """Return the labels of `count` images.

    Args:
        labels: None; numbers (N,) or (N, 1), which are class indices; one-hot or multi-hot rows
            (N, C); names of classes, a text each; or lists of names. A text such as "cat|dog" or
            "['cat', 'dog']" holds several names.
        count: N.
        class_names: The names of the classes, in the order of the indices, or a dictionary of names
            and indices.
        multi_label: Whether images have several labels; None to judge by what there is.

    Raises:
        ValueError: The labels are not as many as the images, or cannot be understood.
    """
    if labels is None:
        _refuse_names(class_names)
        return Labels(np.full(count, NO_LABEL), [], [])
    values = _array_of(labels)
    texts = values.tolist() if values.dtype == object else []
    written = [value for value in texts if isinstance(value, str) and _is_list(value)]
    if written:
        note = f"labels such as {written[0]!r} were read as lists of names"
        found = labels_of(list(map(_read, values)), count, class_names, multi_label)
        return found._replace(notes=[note, *found.notes])
    if len(values) != count:
        raise ValueError(f"there are {count} images and {len(values)} labels: pass one for each")
    names = None if class_names is None else _distinct(names_in_order(class_names))
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


def _refuse_names(class_names: Sequence[str] | Mapping | None) -> None:
    if class_names is not None:
        raise ValueError(
            "class_names names the classes of labels, and there are none: leave it out"
        )


def _distinct(names: list[str]) -> list[str]:
    """Return names of classes. Raises ValueError if one is there twice."""
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise ValueError(f"class_names has {twice[0]!r} twice: give each class a name of its own")
    return names


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
        lists = [None if text is None else _split(text, separator) for text in texts]
        labels = _of_lists(lists, names, multi_label=True)
        if separator is None:
            return labels
        note = f"labels such as {_example(texts, separator)!r} were split at {separator!r}"
        return labels._replace(notes=[note, *labels.notes])
    present = {text for text in texts if text is not None}
    index = _indices(present, names)
    labels = [NO_LABEL if text is None else index[text] for text in texts]
    notes = _note_of_missing([text is None for text in texts])
    if multi_label is None:
        notes += _note_of_unsplit(present)
    return Labels(np.array(labels, int), sorted(index) if names is None else names, notes)


def _note_of_unsplit(names: set[str]) -> list[str]:
    """Return a note on names that seem to be several, since other names have the same parts."""
    for separator in _POSSIBLE_SEPARATORS:
        parts = {name: _split(name, separator) for name in names}
        counts = Counter(part for each in parts.values() for part in each)
        for name in sorted(names):
            if len(parts[name]) > 1 and all(counts[part] > 1 for part in parts[name]):
                return [
                    f"labels such as {name!r} are taken for one name each; if they are several, "
                    f"put | in place of {separator!r}"
                ]
    return []


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


def _split(text: str, separator: str | None) -> list[str]:
    """Return the names in a text."""
    parts = text.split(separator) if separator else [text]
    return [part.strip() for part in parts if part.strip()]


def _is_list(value: Any) -> bool:
    """Return whether a label is a list, or one written as a text: "['cat', 'dog']"."""
    return isinstance(value, list) or (isinstance(value, str) and _written_list(value) is not None)


def _written_list(text: str) -> list | None:
    """Return the list that a text holds, as Python, NumPy, JSON and SQL write it, or None."""
    text = text.strip()
    if wrapped := _WRITTEN.fullmatch(text):
        text = wrapped[1] or "[]"
    if not text.startswith(("[", "{", "(")):
        return None
    if _NUMBERS.fullmatch(text):
        text = f"[{','.join(text[1:-1].split())}]"
    try:
        value = ast.literal_eval(_WITHOUT_COMMA.sub(r"\1, ", text))
    except (ValueError, SyntaxError):
        # Without quotes: "[cat, dog]". What stands in round brackets may be part of a name.
        is_closed = text[0] + text[-1] in ("[]", "{}")
        return [part.strip() for part in text[1:-1].split(",")] if is_closed else None
    if isinstance(value, dict) and value:
        raise ValueError(f"a label is the dictionary {text}: pass lists of names")
    return list(value) if isinstance(value, list | tuple | set | dict) else None


def _read(value: Any) -> Any:
    """Return a label as a list if it is one, written as a text, else as it is."""
    written = _written_list(value) if isinstance(value, str) else None
    return value if written is None else written


def _listed(value: Any) -> list[str] | None:
    """Return the names in a label, or None if it is missing."""
    if value is None:
        return None
    names = value if isinstance(value, list) else [value]
    return [_text(name) for name in names if not _is_missing(name)]


def _of_lists(
    lists: Sequence[list[str] | None], names: list[str] | None, multi_label: bool | None
) -> Labels:
    """Return the mask (N, C) of lists of names, None where there is no list."""
    if multi_label is False:
        raise ValueError(
            "multi_label is False, and the labels are lists of names: leave it out, or pass one "
            "name for each image"
        )
    index = _indices({name for each in lists for name in each or []}, names)
    names = sorted(index) if names is None else names
    mask = np.zeros((len(lists), len(names)), dtype=bool)
    for row, each in enumerate(lists):
        mask[row, [index[name] for name in each or []]] = True
    notes = _note_of_missing([each is None for each in lists])
    return Labels(mask, names, [f"{note}, which counts as none of the classes" for note in notes])


def _indices(present: set[str], names: list[str] | None) -> dict[str, int]:
    """Return the index of each name that is present: among those given, or those present, sorted.

    Texts such as "0" and "2" that are none of the names given are indices themselves. Raises
    ValueError if some that are present are not among those given.
    """
    index = {name: i for i, name in enumerate(sorted(present) if names is None else names)}
    unknown = present - set(index)
    if unknown == present and all(name.isdecimal() for name in present):
        index = {name: int(name) for name in present}
        unknown = {name for name in present if index[name] >= len(names or [])}
    if unknown:
        raise ValueError(
            f"the labels have {quote(unknown)}, which class_names lacks: {quote(names or [])}"
        )
    return index


def _note_of_missing(is_missing: Sequence[bool] | np.ndarray) -> list[str]:
    """Return the note on images without a label."""
    count = int(np.sum(is_missing))
    if count in (0, len(is_missing)):
        return []
    return [f"{count} of {len(is_missing)} images have no label"]
