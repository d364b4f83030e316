"""Which folder of images is which class of a model."""

import numpy as np

from camkit.images import ImageSet
from camkit.images.folders import quote

# A message lists at most so many class names of the images.
_MOST_FOLDERS = 5
_MOST_UNKNOWN = 12


def match(images: ImageSet, classes: int, names: list[str] | None) -> tuple[np.ndarray, list[str]]:
    """Return the labels of images as indices of a model's classes, and the names of the classes.

    Folders are classes by name; else, where all are called by numbers 0 … C − 1, by index; else,
    where the model has no names, one by one in the order of their names.

    Args:
        images: The images; their class names are those of the folders.
        classes: The number C of the model's classes.
        names: The names of the model's classes in order; None if nobody knows them.

    Returns:
        The labels (N,), -1 where an image has none, and the C names.

    Raises:
        ValueError: The folders cannot be matched; the message names the ways out.
    """
    if names is not None and len(names) != classes:
        raise ValueError(
            f"class_names are {len(names)}, the model has {classes} classes: give one for each, in "
            "the order of its outputs"
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
    # An image without a label has the label -1, which takes the last entry.
    labels = np.array([*indices, -1])[images.labels]
    return labels, names or [str(c) for c in range(classes)]


def _by_name(folders: list[str], names: list[str]) -> list[int] | None:
    """Return the class of each folder by its name, or None if some are no classes."""
    if not set(folders) <= set(names):
        return None
    for folder in folders:
        if names.count(folder) > 1:
            raise ValueError(
                f"the model has several classes of the name {folder!r}: name the folders by index"
            )
    return [names.index(folder) for folder in folders]


def _by_number(folders: list[str], classes: int) -> list[int] | None:
    """Return the class of each folder by its number, or None if some are no numbers of classes."""
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
    # Folders "1", "10", "2" are sorted as text, where the classes are meant to go by number.
    return not _are_numbers(folders) or folders == sorted(folders, key=int)


def _are_numbers(folders: list[str]) -> bool:
    """Return whether all folders are called by whole numbers."""
    return all(folder.isdecimal() for folder in folders)


def _refusal(folders: list[str], classes: int, names: list[str] | None) -> str:
    """Return the message for folders that are not the classes of a model."""
    if classes == 1 and len(folders) == 2:
        remedy = (
            "its one output says yes or no; a Dense layer of two, with the kernel (0, w) and the "
            "bias (0, b) for its w and b, and softmax says the same as two classes"
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
