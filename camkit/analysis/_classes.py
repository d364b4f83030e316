"""Matching the folders of an image set with the classes of a model."""

import numpy as np

from camkit.images import ImageSet
from camkit.images.folders import quote

# A message lists at most this many class names of the images.
_MOST_FOLDERS = 5
_MOST_UNKNOWN = 12


def match(images: ImageSet, classes: int, names: list[str] | None) -> tuple[np.ndarray, list[str]]:
    """Return the labels of images as indices of a model's classes, and the names of the classes.

    Folders are matched with classes by name; else, if all their names are numbers 0 … C − 1, by
    index; else, if the classes have no names, one by one in the order of the folders' names.

    Args:
        images: The images; their class names are those of the folders.
        classes: The number C of the model's classes.
        names: The names of the model's classes in order; None if they are unknown.

    Returns:
        The labels (N,), -1 where an image has none, and the C names.

    Raises:
        ValueError: The folders cannot be matched; the message says what to do.
    """
    if names is not None and len(names) != classes:
        raise ValueError(
            f"class_names has {len(names)} names, and the model has {classes} classes: pass one "
            "for each, in the order of its outputs"
        )
    folders = list(images.class_names)
    indices = None
    if names is not None:
        indices = _by_name(folders, names)
    if indices is None:
        indices = _by_number(folders, classes)
    if indices is None and names is None and _are_in_order(folders, classes):
        indices = list(range(classes))
        names = folders
    if indices is None:
        raise ValueError(_refusal(folders, classes, names))
    # The label -1, of an image without a label, selects the last entry.
    labels = np.array([*indices, -1])[images.labels]
    return labels, names or [str(c) for c in range(classes)]


def _by_name(folders: list[str], names: list[str]) -> list[int] | None:
    """Return the class of each folder by its name, or None if a name is not that of a class."""
    if not set(folders) <= set(names):
        return None
    for folder in folders:
        if names.count(folder) > 1:
            raise ValueError(
                f"the model has several classes called {folder!r}: name the folders by index"
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


def _are_in_order(folders: list[str], classes: int) -> bool:
    """Return whether there is a folder for each class, in an order that leaves no doubt."""
    if len(folders) != classes:
        return False
    # Folders "1", "10", "2" are sorted as text, but are meant to be in the order of their numbers.
    return not _are_numbers(folders) or folders == sorted(folders, key=int)


def _are_numbers(folders: list[str]) -> bool:
    """Return whether the names of all folders are whole numbers."""
    return all(folder.isdecimal() for folder in folders)


def _refusal(folders: list[str], classes: int, names: list[str] | None) -> str:
    """Return the message for folders that do not match the classes of a model."""
    if classes == 1 and len(folders) == 2:
        remedy = (
            "its only output says yes or no; replace the last layer, of kernel w and bias b, by a "
            "Dense layer of two outputs with kernel (0, w), bias (0, b) and softmax, which gives "
            "the same probabilities"
        )
    else:
        remedy = (
            "pass class_names=[...] (in the shell --class-names FILE), name the folders after the "
            f"classes or by index 0 to {classes - 1}, or pass images.unlabelled() (--unlabelled)"
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
