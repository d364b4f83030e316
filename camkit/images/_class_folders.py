"""Where images are to lie so that their folders tell their labels."""

from collections.abc import Sequence
from pathlib import Path, PurePath
from tempfile import TemporaryDirectory

import numpy as np

from camkit.images.decoding import FileReader
from camkit.images.folders import find_set, role_of


def class_places(
    paths: Sequence[Path],
    places: Sequence[Path],
    labels: np.ndarray,
    names: Sequence[str],
    splits: Sequence[str | None],
) -> list[Path]:
    """Return a place for each image, in a folder of its class, below a new root.

    An image stays at its place if this lies in a folder of its class; a folder of another class is
    replaced. Where loading would not find the labels and splits there, all images go to
    split/class/name. An image whose place is taken gets its number at the end of its name.

    Args:
        paths: The N files.
        places: Where they lie below the root of the set.
        labels: (N,) their labels.
        names: The names of the classes.
        splits: The split of each image, None for none.

    Raises:
        ValueError: Some images have no label, or a class has a name that folders of classes cannot
            have.
    """
    if (labels < 0).any():
        raise ValueError(
            f"{(labels < 0).sum()} of {len(labels)} images have no label, so that no folder of a "
            "class is theirs: copy images.select(images.labels >= 0), and "
            "images.select(images.labels < 0) to another folder"
        )
    of_images = [names[label] for label in labels]
    odd = [name for name in set(of_images) if PurePath(name).parts != (name,) or name == ".."]
    if odd:
        raise ValueError(f"the class {odd[0]!r} cannot be the name of a folder: rename it")
    classes = set(names)
    mended = [
        _with_class(place, name, classes) for place, name in zip(places, of_images, strict=True)
    ]
    found = [place for place in mended if place is not None]
    if len(found) == len(paths) and _is_read_so(found, of_images, splits):
        return _distinct(paths, places, found)
    folders = _split_folders(paths, splits)
    plain = [
        Path(folders.get(split, ""), name, path.name)
        for path, name, split in zip(paths, of_images, splits, strict=True)
    ]
    if not _is_read_so(plain, of_images, splits):
        raise ValueError(
            f"a folder for each of the classes {sorted(set(of_images))[:5]} would not be read as "
            "these classes: rename those that are called as splits, masks or hidden folders"
        )
    return _distinct(paths, places, plain)


def _with_class(place: Path, name: str, names: set[str]) -> Path | None:
    """Return a place whose last folder of a class is that of a name; None if it has no such one."""
    parts = list(place.parts)
    of_classes = [i for i, part in enumerate(parts[:-1]) if part in names]
    if not of_classes:
        return None
    parts[of_classes[-1]] = name
    return Path(*parts)


def _split_folders(paths: Sequence[Path], splits: Sequence[str | None]) -> dict[str | None, str]:
    """Return the name of the folder of each split: the one that it has, or its own name."""
    folders: dict[str | None, str] = {}
    for path, split in zip(paths, splits, strict=True):
        if split is not None:
            present = path.parent.parent.name
            folders.setdefault(split, present if role_of(present) == split else split)
    return folders


def _is_read_so(places: Sequence[Path], names: Sequence[str], splits: Sequence[str | None]) -> bool:
    """Return whether `load_images` would find these classes and splits at these places.

    A folder with an empty file for each folder of images tells it. A split of its own name, such as
    "unseen", is none unless it is requested.
    """
    expected: dict[Path, tuple[str, str | None]] = {}
    for place, name, split in zip(places, names, splits, strict=True):
        told = (name, split if split and role_of(split) else None)
        if expected.setdefault(place.parent, told) != told:
            return False
    with TemporaryDirectory() as temporary:
        root = Path(temporary).resolve()
        for folder in expected:
            (root / folder).mkdir(parents=True, exist_ok=True)
            (root / folder / "0.png").touch()
        layout = find_set(root, None, FileReader())
        found = {
            file.parent.relative_to(root): (each.name, each.split)
            for each in layout.classes
            for file in each.files
        }
    return found == expected


def _distinct(paths: Sequence[Path], before: Sequence[Path], places: list[Path]) -> list[Path]:
    """Return places of which no two are one, unless their files are; some get other names."""
    taken: dict[Path, Path] = {}
    distinct = list(places)
    # Images that stay where they are keep their names.
    order = sorted(range(len(paths)), key=lambda i: before[i] != places[i])
    for i in order:
        place = places[i]
        while taken.setdefault(place, paths[i]) != paths[i]:
            place = place.with_stem(f"{place.stem}-{i}")
        distinct[i] = place
    return distinct
