"""Folders: find an image set on disk, its splits and its class folders."""

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from camkit._resources import carried
from camkit.images.decoding import formats, suffixes
from camkit.images.fruits360 import fetch_fruits_360

MINI = carried("data") / "mini-fruits"

# The names that the folder of a split may have, preferred ones first.
SPLITS = {
    "training": ("training", "train"),
    "test": ("test", "validation", "valid", "val"),
    "validation": ("validation", "valid", "val"),
}
_OTHER_NAMES = {"train": "training", "val": "validation", "valid": "validation"}

# Files that often lie beside images; they are skipped without being reported.
SIDECARS = {".txt", ".csv", ".tsv", ".json", ".xml", ".yaml", ".yml", ".md", ".html", ".ini", ".db"}

# A set may lie up to this many levels below the given folder.
_LEVELS = 3

# A message lists at most this many names.
_MOST_NAMES = 12


class Layout(NamedTuple):
    """Where the images of a set lie.

    Attributes:
        root: The folder of the set.
        chosen: The folders of the requested split; the root in a set without splits.
        splits: All folders that hold class folders: those of all splits, or the root. Empty if the
            images lie in the root itself, without classes.
    """

    root: Path
    chosen: list[Path]
    splits: list[Path]


def find_set(source: str | os.PathLike, split: str | None) -> Layout:
    """Return the layout of an image set.

    Args:
        source: "mini", "fruits-360" or a folder, as for `camkit.load_images`.
        split: "Training", "Test", "Validation", or None for all.

    Returns:
        The set's root, the folders of the split, and all folders that hold class folders.

    Raises:
        FileNotFoundError: There is no set, or no such split.
        ValueError: The split is unknown, or the folder holds several sets.
        OSError: Fruits-360 cannot be downloaded.

    Example:
        >>> from camkit.images.folders import find_set
        >>> layout = find_set("mini", "Test")
        >>> layout.chosen[0].name, len(layout.splits)
        ('Test', 2)
    """
    role = _role_of(split)
    folder = _existing(source)
    root = _search(folder, _has_splits)
    if root is not None:
        return _split_layout(root, split, role)
    root = _search(folder, _has_class_folders)
    if root is not None:
        return Layout(root, chosen=[root], splits=[root])
    if holds_images(folder):
        return Layout(folder, chosen=[folder], splits=[])
    content = quote(entry.name for entry in _scan(folder))
    raise FileNotFoundError(
        f"no image set in {folder}: looked for folders Training and Test, for class folders with "
        f"images ({', '.join(formats())}), at most three levels down, and for images in it; found "
        f"{content}"
    )


def split_of(path: str | os.PathLike) -> str | None:
    """Return the split that a file of a set with class folders belongs to, by its folders' names.

    Args:
        path: The file, such as "fruits/Test/Lime/1.jpg".

    Returns:
        "training", "test" or "validation", whatever their folder is called; None if the folder of
        the class lies in no folder of a split.

    Example:
        >>> from camkit.images.folders import split_of
        >>> split_of("fruits/Train/Lime/1.jpg"), split_of("fruits/Lime/1.jpg")
        ('training', None)
    """
    name = Path(path).parent.parent.name.lower()
    name = _OTHER_NAMES.get(name, name)
    return name if name in SPLITS else None


def _role_of(split: str | None) -> str | None:
    """Return the key of SPLITS for the name of a split, or None for all splits."""
    if split is None:
        return None
    role = str(split).lower()
    role = _OTHER_NAMES.get(role, role)
    if role not in SPLITS:
        raise ValueError(
            f"split is {split!r}: it must be 'Training', 'Test', 'Validation' or None for all"
        )
    return role


def _existing(source: str | os.PathLike) -> Path:
    """Return the folder that a source stands for, as an absolute path."""
    if source == "mini":
        folder = MINI
    elif source == "fruits-360":
        folder = fetch_fruits_360()
    else:
        folder = Path(source).expanduser()
    # The paths that an analysis stores must be valid from any working directory.
    folder = folder.resolve()
    if folder.is_dir():
        return folder
    state = "a file" if folder.exists() else "missing"
    if source == "mini":
        remedy = "the embedded images come with camkit: install it again"
    else:
        remedy = "source must be a folder of images, 'mini' or 'fruits-360'"
    raise FileNotFoundError(f"{folder} is {state}: {remedy}")


def _search(folder: Path, holds_set: Callable[[Path], bool]) -> Path | None:
    """Return the only folder, at `folder` or up to _LEVELS below it, that holds a set, or None."""
    level = [folder]
    for _ in range(1 + _LEVELS):
        matches = [inner for inner in level if holds_set(inner)]
        if len(matches) > 1:
            raise ValueError(f"{folder} holds several image sets: pass one of {quote(matches)}")
        if matches:
            return matches[0]
        level = [inner for outer in level for inner in folders(outer)]
    return None


def _split_layout(root: Path, split: str | None, role: str | None) -> Layout:
    """Return the layout of a set with split folders.

    Raises FileNotFoundError if there is no folder for this split.
    """
    by_name = _split_folders(root)
    splits = list(by_name.values())
    if role is None:
        return Layout(root, chosen=splits, splits=splits)
    for name in SPLITS[role]:
        if name in by_name:
            return Layout(root, chosen=[by_name[name]], splits=splits)
    present = quote(folder.name for folder in splits)
    raise FileNotFoundError(f"no {split} in {root}, only {present}")


def _split_folders(folder: Path) -> dict[str, Path]:
    """Return the split folders in a folder by their lower-case names.

    A folder of such a name that holds no folders is not a split but a class, called "train" say.
    """
    names = {name for synonyms in SPLITS.values() for name in synonyms}
    splits = {}
    for inner in folders(folder):
        name = inner.name.lower()
        if name in names and folders(inner):
            splits[name] = inner
    return splits


def _has_splits(folder: Path) -> bool:
    """Return whether a folder holds split folders."""
    return bool(_split_folders(folder))


def _has_class_folders(folder: Path) -> bool:
    """Return whether a folder holds folders with images."""
    return any(holds_images(inner) for inner in folders(folder))


def _scan(folder: Path) -> list[os.DirEntry]:
    """Return the entries of a folder, sorted by name, without hidden ones."""
    with os.scandir(folder) as entries:
        visible = [entry for entry in entries if not entry.name.startswith((".", "__"))]
    return sorted(visible, key=lambda entry: entry.name)


def folders(folder: Path) -> list[Path]:
    """Return the folders in a folder, sorted by name; none if it cannot be read.

    Hidden folders are skipped.

    Example:
        >>> from camkit.images.folders import folders, MINI
        >>> [path.name for path in folders(MINI / "Test")][:2]
        ['Apple Green', 'Apple Red']
    """
    try:
        return [Path(entry) for entry in _scan(folder) if entry.is_dir()]
    except OSError:
        return []


def candidates(folder: Path) -> list[Path]:
    """Return the entries of a folder that should be images, sorted by name.

    Hidden files and sidecar files (see SIDECARS) are skipped. For a folder that cannot be read, the
    list holds the folder itself, so that it is reported.

    Example:
        >>> from camkit.images.folders import candidates, MINI
        >>> candidates(MINI / "Test" / "Lime")[0].name
        'r0_168_100.jpg'
    """
    try:
        paths = [Path(entry) for entry in _scan(folder)]
    except OSError:
        return [folder]
    return [path for path in paths if path.suffix.lower() not in SIDECARS]


def holds_images(folder: Path) -> bool:
    """Return whether a folder holds files with the suffix of an image format.

    Example:
        >>> from camkit.images.folders import holds_images, MINI
        >>> holds_images(MINI / "Test" / "Lime"), holds_images(MINI)
        (True, False)
    """
    known = suffixes()
    return any(path.suffix.lower() in known for path in candidates(folder))


def quote(names: Iterable) -> str:
    """Return up to a dozen names in quotes, sorted, and how many more there are.

    Example:
        >>> from camkit.images.folders import quote
        >>> quote(["Pear", "Apple"])
        "'Apple', 'Pear'"
    """
    sorted_names = sorted(map(str, names))
    if not sorted_names:
        return "nothing"
    text = ", ".join(map(repr, sorted_names[:_MOST_NAMES]))
    surplus = len(sorted_names) - _MOST_NAMES
    if surplus > 0:
        text += f" and {surplus} more"
    return text
