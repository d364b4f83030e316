"""Matching the folders of an image set with the classes of a model."""

from typing import NamedTuple
from unicodedata import normalize

import numpy as np

from camkit.images import ImageSet
from camkit.images.folders import quote

# A message lists at most this many class names of the images.
_MOST_FOLDERS = 5
_MOST_UNKNOWN = 12


class Matched(NamedTuple):
    """The labels of images as classes of a model.

    Attributes:
        labels: Class indices (N,), -1 where an image has none; or a mask (N, C), bool, where an
            image may have several.
        names: The names of the C classes.
        rule: How the folders were matched: by "name", by "number", or by "order"; None if the
            images have no labels.
    """

    labels: np.ndarray
    names: list[str]
    rule: str | None


def match(images: ImageSet, classes: int, names: list[str] | None) -> Matched:
    """Return the labels of images as indices of a model's classes, and the names of the classes.

    Folders are matched with classes by name; else, if all their names are numbers 0 … C − 1, by
    index; else, if the classes have no names, one by one in the order of the folders' names, which
    is that of keras.utils.image_dataset_from_directory. Numbers whose order as text is another one,
    such as "10" before "2", are refused: a model may have been trained with either order.

    Args:
        images: The images; their class names are those of the folders.
        classes: The number C of the model's classes; 2 for a model with one output p, whose second
            class has the probability p.
        names: The names of the model's classes in order; None if they are unknown.

    Raises:
        ValueError: The folders cannot be matched; the message says what to do.
    """
    if names is not None and len(names) != classes:
        raise ValueError(_wrong_number(names, classes))
    folders = list(images.class_names)
    rule, indices = _matching(folders, classes, names)
    if names is None:
        names = folders if rule == "order" else [str(c) for c in range(classes)]
    if np.ndim(images.labels) == 2:
        return Matched(_label_sets(images, indices, names), names, rule)
    # The label -1, of an image without a label, selects the last entry.
    labels = np.array([*indices, -1])[images.labels]
    return Matched(labels, names, rule)


def check_labels(images: ImageSet, is_multi_label: bool) -> None:
    """Raise ValueError if images with several labels each meet a model that predicts one.

    The same holds if it is not known of all labels whether an image has them.
    """
    labels = np.asarray(images.labels)
    if labels.ndim == 1:
        return
    if not is_multi_label:
        raise ValueError(
            "the images may have several labels, and the model predicts one: end it with a sigmoid "
            "for each label, or keras.Sequential([model, keras.layers.Activation('sigmoid')]) if "
            "it returns logits"
        )
    if labels.dtype != bool:
        raise ValueError(
            f"labels (N, C) are {labels.dtype}: pass a mask of booleans; an image of which "
            "a label is unknown (NaN, -1) cannot be judged, so decide it or leave the image out"
        )


def _label_sets(images: ImageSet, indices: list[int], names: list[str]) -> np.ndarray:
    """Return the labels of images as a mask (N, C) of the classes of a model.

    Raises ValueError if the model has classes that the images have no labels for: whether an image
    has such a label is not known.
    """
    unknown = [name for c, name in enumerate(names) if c not in indices]
    if unknown:
        raise ValueError(
            f"the images have no labels for these classes of the model: {quote(unknown)}; if no "
            "image has them, name all classes, camkit.load_images(..., class_names=[...]), or add "
            "columns of zeros; else pass images.unlabelled() (in the shell --unlabelled)"
        )
    labels = np.zeros((len(images), len(names)), dtype=bool)
    labels[:, indices] = images.labels
    return labels


def _wrong_number(names: list[str], classes: int) -> str:
    """Return the message for class names that are not as many as the classes."""
    order = "in the order of its outputs"
    if classes == 2:
        order += "; a model with one output p has two: first the name for p = 0, then for p = 1"
    return (
        f"class_names has {len(names)} names, and the model has {classes} classes: pass one for "
        f"each, {order}"
    )


def _matching(
    folders: list[str], classes: int, names: list[str] | None
) -> tuple[str | None, list[int]]:
    """Return the rule by which folders are matched, and the class of each folder.

    Raises ValueError if no rule applies.
    """
    if not folders:
        return None, []
    if names is not None:
        indices = _by_name(folders, names)
        if indices is not None:
            return "name", indices
    indices = _by_number(folders, classes)
    are_in_order = names is None and len(folders) == classes
    if indices is None and not are_in_order:
        raise ValueError(_refusal(folders, classes, names))
    if _are_numbers(folders) and not _have_one_order(folders, classes):
        raise ValueError(_two_orders(folders, classes))
    if indices is None:
        return "order", list(range(classes))
    return "number", indices


def _by_name(folders: list[str], names: list[str]) -> list[int] | None:
    """Return the class of each folder by its name, or None if a name is not that of a class."""
    # Names that come from a Mac are composed of other characters.
    folders = [normalize("NFC", folder) for folder in folders]
    names = [normalize("NFC", name) for name in names]
    if not set(folders) <= set(names):
        return None
    for folder in folders:
        if names.count(folder) > 1:
            raise ValueError(
                f"the model has several classes called {folder!r}: name the folders by index, "
                f"{_range_of_indices(len(names))}"
            )
    return [names.index(folder) for folder in folders]


def _by_number(folders: list[str], classes: int) -> list[int] | None:
    """Return the class of each folder by its number, or None if a name is not such a number."""
    if not _are_numbers(folders):
        return None
    indices = [int(folder) for folder in folders]
    are_distinct = len(set(indices)) == len(indices)
    are_classes = all(index < classes for index in indices)
    return indices if are_distinct and are_classes else None


def _are_numbers(folders: list[str]) -> bool:
    """Return whether the names of all folders are whole numbers."""
    return all(folder.isdecimal() for folder in folders)


def _have_one_order(folders: list[str], classes: int) -> bool:
    """Return whether the model's folders, named by numbers, have one order as text and as numbers.

    The set may lack folders that the model was trained on. They are taken to be named as the others
    are: if no number is padded with zeros, those of more than ten classes have two orders.
    """
    widths = {len(folder) for folder in folders}
    if len(widths) > 1:
        return False
    if len(folders) == classes or classes <= 10:
        return True
    is_padded = [len(folder) > 1 and folder.startswith("0") for folder in folders]
    return any(is_padded)


def _two_orders(folders: list[str], classes: int) -> str:
    """Return the message for numbers whose order as text is not that of their values."""
    as_text = f"sorted(map(str, range({classes})))"
    as_numbers = f"list(map(str, range({classes})))"
    if len(folders) == classes:
        as_text = "images.class_names"
        as_numbers = "sorted(images.class_names, key=int)"
    return (
        f"the folders are named by numbers {folders[:_MOST_FOLDERS]}, whose order as text is not "
        f"that of their values: pass class_names={as_text} if the model was trained on folders "
        f"sorted as text, as Keras and torchvision sort them, or class_names={as_numbers} if the "
        "values are in the order of its outputs (in the shell --class-names FILE)"
    )


def _range_of_indices(classes: int) -> str:
    """Return which indices classes have, padded so that text and numbers have one order."""
    last = str(classes - 1)
    first = "0".zfill(len(last))
    return f"{first} to {last}"


def _refusal(folders: list[str], classes: int, names: list[str] | None) -> str:
    """Return the message for folders that do not match the classes of a model."""
    known = [folder for folder in folders if folder in (names or [])]
    chosen = f"{known[:_MOST_UNKNOWN]}" if known else "[...]"
    remedy = (
        f"classes={chosen} of load_images (in the shell --classes) leaves the rest out; or pass "
        "class_names=[...] (--class-names FILE), name the folders after the "
        f"classes or by index, {_range_of_indices(classes)}, or pass images.unlabelled() "
        "(--unlabelled)"
    )
    if names is None:
        return (
            f"the model has {classes} classes and carries no names, the images have "
            f"{len(folders)} classes {folders[:_MOST_FOLDERS]}: {remedy}"
        )
    unknown = sorted(set(folders) - set(names))
    return (
        f"the images have classes that the model does not know: {unknown[:_MOST_UNKNOWN]}; it "
        f"knows {quote(names)}: {remedy}"
    )
