"""Folders: find an image set on disk, its splits and its class folders."""

import os
import re
import shlex
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from camkit._resources import carried
from camkit.images.decoding import FileReader, names_of_formats, suffixes
from camkit.images.fruits360 import fetch_fruits_360

MINI = carried("data") / "mini-fruits"
_EMBEDDED = {"mini": MINI, "photographs": carried("data") / "photographs"}

# The names that a split may have, preferred ones first.
SPLITS = {
    "training": ("training", "train"),
    "test": ("test", "testing", "tst", "evaluation", "eval", "holdout"),
    "validation": ("validation", "valid", "val", "dev"),
}
# Which splits a request for one may give, in this order.
_FALLBACKS = {
    "training": ["training"],
    "test": ["test", "validation"],
    "validation": ["validation"],
}
_ROLES = {name: role for role, names in SPLITS.items() for name in names}

# Words that say nothing else beside the name of a split, as in "training_set" and "seg_train".
_PLAIN_WORDS = {"set", "data", "dataset", "split", "folder", "images", "imgs", "seg"}

# The endings of the files that are read as tables.
TABLES = (".csv", ".tsv", ".parquet", ".pq")

# The endings of archives, of which those in folders and other archives are not read.
_ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".7z", ".rar")

# Files that often lie beside images; they are skipped without being reported.
SIDECARS = {".txt", ".csv", ".tsv", ".json", ".xml", ".yaml", ".yml", ".md", ".html", ".ini", ".db"}

# Files of images that may need a package to be read; they make a folder that of a class.
_UNREAD = {
    ".heic",
    ".heif",
    ".avif",
    ".jxl",
    ".dcm",
    ".dng",
    ".nef",
    ".cr2",
    ".arw",
    ".psd",
    ".exr",
}

# Folders that Synology, QNAP, Windows and Linux make, in lower case.
_OF_SYSTEMS = {
    "@eadir",
    "@tmp",
    "@__thumb",
    "@recycle",
    "@recently-snapshot",
    "#recycle",
    "#snapshot",
    "$recycle.bin",
    "system volume information",
    "lost+found",
}

# The endings of folders that photograph programs keep their previews in.
_OF_PROGRAMS = (".lrdata", ".lrcat-data", ".photoslibrary", ".aplibrary", ".cocatalog")

# Folders of images, and what lies beside them for each image but is none to classify.
_PICTURES = {"images", "image", "imgs", "img", "jpegimages", "pictures", "photos"}
_MASKS = {
    "masks",
    "mask",
    "labels",
    "annotations",
    "segmentation",
    "segmentations",
    "segmentationclass",
    "segmentationobject",
    "groundtruth",
    "ground_truth",
    "gt",
    "trimaps",
}

# Those of them that no class is called, also where no folder of images lies beside them.
_NO_CLASSES = {"masks", "annotations", "segmentations", "groundtruth", "ground_truth", "trimaps"}

# A mask beside its image: "cat_mask" or "cat_mask_1" beside "cat".
_MASK_OF = re.compile(r"(.+)_mask(?:_\d+)?")

# A set may lie up to this many levels below the given folder.
_LEVELS = 3

# A message lists at most this many names.
_MOST_NAMES = 12

# How many files without the suffix of an image are opened to see whether they are images.
_OPENED = 8


class ClassFolder(NamedTuple):
    """The files of one class in one split.

    Attributes:
        folder: The folder.
        name: The name of the class.
        split: "training", "test" or "validation"; None in a set without splits.
        above: The folders between the classes and that of the set or split, such as "patient1".
        files: What should be images, in this folder and those below it, sorted.
    """

    folder: Path
    name: str
    split: str | None
    above: str
    files: list[Path]


class Layout(NamedTuple):
    """Where the images of a set lie.

    Attributes:
        root: The folder of the set.
        classes: The class folders of the requested split.
        class_names: The names of the classes of all splits, sorted.
        files: The images of a set without classes; empty if it has classes.
        skipped: (path, reason) of what is no image of the split.
        notes: What was decided, a sentence each.
    """

    root: Path
    classes: list[ClassFolder]
    class_names: list[str]
    files: list[Path]
    skipped: list[tuple[Path, str]]
    notes: list[str]


def find_set(
    folder: Path,
    split: str | None,
    reader: FileReader,
    classes: Iterable[str] | None = None,
) -> Layout:
    """Return the layout of the image set in a folder.

    Args:
        folder: The folder, which exists.
        split: "Training", "Test", "Validation", the name of another split's folder, or None for
            all.
        reader: What opens the files whose names do not tell that they are images.
        classes: The names of the classes, or of some, if they are known. They also tell at which
            level of nested folders the classes are.

    Raises:
        FileNotFoundError: There is no set, or no such split.
        ValueError: The split is unknown, or the folder holds several sets.

    Example:
        >>> from camkit.images.decoding import FileReader
        >>> from camkit.images.folders import MINI, find_set
        >>> layout = find_set(MINI, "Test", FileReader())
        >>> layout.root == MINI, len(layout.classes), layout.classes[0].name
        (True, 12, 'Apple Green')
    """
    top = _Folder(folder, reader)
    wanted = {unicodedata.normalize("NFC", str(name)) for name in classes or ()}
    layout = _layout(top, split, wanted)
    return layout._replace(skipped=[*_foreign_above(top, layout.root), *layout.skipped])


def _layout(top: "_Folder", split: str | None, classes: set[str]) -> Layout:
    """Return the layout of the image set in a folder or below."""
    root = _search(top, _has_splits)
    if root is not None:
        return _split_layout(root, split, classes)
    root = _search(top, _has_splits_in_classes)
    if root is not None:
        return _class_first_layout(root, split)
    root = _search(top, _has_splits_without_classes)
    if root is not None:
        return _split_layout(root, split, classes)
    check_split(split)
    return _plain_layout(top, classes)


def _foreign_above(top: "_Folder", root: Path) -> list[tuple[Path, str]]:
    """Return what is left out of the folders above the root of a set."""
    foreign = []
    while top.path != root:
        foreign += top.foreign
        top = next(inner for inner in top.folders if root.is_relative_to(inner.path))
    return foreign


def existing(source: str | os.PathLike) -> Path:
    """Return the file or folder that a source stands for, as an absolute path.

    Args:
        source: "mini", "photographs", "fruits-360" or a path.

    Raises:
        FileNotFoundError: There is none.
        OSError: Fruits-360 cannot be downloaded.

    Example:
        >>> from camkit.images.folders import existing
        >>> existing("mini").name
        'mini-fruits'
    """
    embedded = _EMBEDDED.get(os.fspath(source))
    if embedded is not None:
        path = embedded
    elif source == "fruits-360":
        path = fetch_fruits_360()
    else:
        path = Path(source).expanduser()
    # The paths that an analysis stores must be valid from any working directory.
    path = path.resolve()
    if path.exists():
        return path
    if embedded is not None:
        remedy = "the embedded images come with camkit: install it again"
    else:
        remedy = (
            "source must be a folder of images, 'mini', 'photographs' or 'fruits-360', a table or "
            "a .zip file"
        )
    raise FileNotFoundError(f"{path} is missing: {remedy}")


# Splits -------------------------------------------------------------------------------------------


def role_of(name: str) -> str | None:
    """Return which split a name is that of.

    Args:
        name: Such as "Train", "test_set", "seg_train", "val2017" or "evaluation".

    Returns:
        "training", "test" or "validation"; None if it is no name of a split.

    Example:
        >>> from camkit.images.folders import role_of
        >>> role_of("test_set"), role_of("val2017"), role_of("test of fruits")
        ('test', 'validation', None)
    """
    words = [word for word in _words(name) if word not in _PLAIN_WORDS]
    return _ROLES.get(words[0]) if len(words) == 1 else None


def _words(name: str) -> list[str]:
    """Return the words of a name in lower case: ["seg", "train"] of "seg_train"."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    words = re.findall(r"[^\W\d_]+", re.sub(r"hold[^a-z]?out", "holdout", spaced.lower()))
    # "trainset" is "train set", and "testdata" is "test data".
    shorter = [word.removesuffix("set").removesuffix("data") for word in words]
    return [short if short in _ROLES else word for short, word in zip(shorter, words, strict=True)]


def _word_of_split(name: str) -> str | None:
    """Return the word in the name of a split that makes it one, such as "train", or None."""
    return next((word for word in _words(name) if word in _ROLES), None)


def _role_in(name: str) -> str | None:
    """Return the role of the name of a split, which may have other words, too, or None."""
    return _ROLES.get(_word_of_split(name) or "")


def _roles(names: list[str]) -> dict[str, str]:
    """Return the roles of those names that are names of splits.

    Names that differ only by that of a split are some, too: "asl_train" and "asl_test".
    """
    roles = {}
    siblings: dict[tuple[str, ...], list[str]] = {}
    for name in names:
        role = role_of(name)
        words = _words(name)
        if role is not None:
            roles[name] = role
        elif sum(word in _ROLES for word in words) == 1:
            others = tuple(word for word in words if word not in _ROLES)
            siblings.setdefault(others, []).append(name)
    for alike in siblings.values():
        of_alike = {name: _ROLES[str(_word_of_split(name))] for name in alike}
        if len(set(of_alike.values())) > 1:
            roles.update(of_alike)
    return roles


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
    return role_of(Path(path).parent.parent.name)


def check_split(split: str | None) -> None:
    """Raise ValueError for what is no name of a split.

    Example:
        >>> from camkit.images.folders import check_split
        >>> check_split("Training")
    """
    if split is not None and role_of(str(split)) is None:
        raise ValueError(
            f"split is {split!r}: it must be 'Training', 'Test', 'Validation', the name of a "
            "folder beside theirs, or None for all"
        )


def named_split(split: str | None, names: Iterable[str], where: str) -> set[str]:
    """Return which of the names of splits are meant by one.

    Args:
        split: "Training", "Test", "Validation", one of the names, or None for all. "Test" falls
            back on a validation split.
        names: The names that there are, such as those of folders.
        where: Where they were found, for messages.

    Raises:
        FileNotFoundError: None is meant.
        ValueError: `split` is no name of a split.

    Example:
        >>> from camkit.images.folders import named_split
        >>> named_split("Test", ["train", "evaluation"], "the folder")
        {'evaluation'}
    """
    names = set(names)
    if split is None:
        return names
    exact = {name for name in names if name.lower() == str(split).lower()}
    if exact:
        return exact
    check_split(split)
    wanted: tuple[str, ...] = ()
    for role in _FALLBACKS[str(role_of(str(split)))]:
        wanted += SPLITS[role]
    for word in wanted:
        chosen = {name for name in names if _word_of_split(name) == word}
        if chosen:
            return chosen
    raise FileNotFoundError(f"no {split} in {where}, only {quote(names)}")


# A folder and what is in it -----------------------------------------------------------------------


class _Folder:
    """A folder, which is read when it is asked."""

    def __init__(
        self, path: Path, reader: FileReader, parents: frozenset[Path] = frozenset()
    ) -> None:
        self.path = path
        self._reader = reader
        self.name = path.name
        self._parents = parents | {path.resolve()}
        # Folders that are none of images: (path, reason).
        self.foreign: list[tuple[Path, str]] = []
        # Why files in it that the user's own opener was tried on are no images.
        self.failures: list[str] = []

    @cached_property
    def _entries(self) -> list[os.DirEntry] | None:
        """The visible entries, sorted by name; None if the folder cannot be read."""
        try:
            with os.scandir(self.path) as entries:
                visible = [entry for entry in entries if not entry.name.startswith((".", "__"))]
        except OSError:
            return None
        return sorted(visible, key=lambda entry: entry.name)

    @cached_property
    def folders(self) -> list["_Folder"]:
        """The folders in it that may hold images of the set; the others are in `foreign`."""
        inner = []
        for entry in self._entries or []:
            # Unlike Path.is_dir, this is False for a link to itself.
            if os.path.isdir(entry):
                path = Path(entry)
                reason = self._reason_against(path)
                if reason is None:
                    inner.append(_Folder(path, self._reader, self._parents))
                else:
                    self.foreign.append((path, reason))
        pictures = [folder for folder in inner if folder.name.lower() in _PICTURES]
        if any(folder.has_images for folder in pictures):
            masks = [folder for folder in inner if folder.name.lower() in _MASKS]
            for folder in masks:
                reason = f"taken for masks or annotations, beside {pictures[0].name!r}"
                self.foreign.append((folder.path, reason))
            inner = [folder for folder in inner if folder not in masks]
        return inner

    def _reason_against(self, path: Path) -> str | None:
        """Return why a folder holds no images of the set, or None."""
        if path.name.lower() in _OF_SYSTEMS or path.suffix.lower() in _OF_PROGRAMS:
            return "a folder of the system or another program"
        if path.is_symlink() and path.resolve() in self._parents:
            return "a link to a folder that holds it"
        # Unlike Path.is_file, this is False where the folder may not be entered.
        if os.path.isfile(path / "about.json"):
            return "an analysis of camkit"
        if os.path.isfile(path / "index.html") and os.path.isfile(path / "data" / "index.js"):
            return "an error atlas of camkit"
        return None

    @cached_property
    def files(self) -> list[Path]:
        """The files in it that should be images, without sidecars; itself if it cannot be read."""
        if self._entries is None:
            return [self.path]
        paths = [Path(entry) for entry in self._entries if not os.path.isdir(entry)]
        paths = [path for path in paths if path.suffix.lower() not in SIDECARS]
        stems = {path.stem for path in paths}
        files = []
        for path in paths:
            mask = _MASK_OF.fullmatch(path.stem)
            if mask and mask[1] in stems:
                self.foreign.append((path, f"a mask of {mask[1]!r}"))
            else:
                files.append(path)
        return files

    @cached_property
    def has_images_itself(self) -> bool:
        """Whether files of images lie in it, not in a folder below. True if it cannot be read."""
        if self._entries is None:
            return True
        known = suffixes() | _UNREAD
        others = [path for path in self.files if path.suffix.lower() not in known]
        return len(others) < len(self.files) or any(map(self._opens, others[:_OPENED]))

    def _opens(self, path: Path) -> bool:
        """Return whether a file begins as an image does, whatever its name is."""
        if not os.path.isfile(path):
            return False
        try:
            with self._reader.opened(path):
                return True
        except Exception as error:
            if self._reader.opener is not None:
                self.failures.append(f"{path.name}: {self._reader.explained(path, error)}")
            return False

    @cached_property
    def with_images(self) -> list["_Folder"]:
        """The folders in it that hold images at any depth."""
        return [folder for folder in self.folders if folder.has_images]

    @cached_property
    def has_images(self) -> bool:
        """Whether images lie in it, at any depth."""
        return self.has_images_itself or any(folder.has_images for folder in self.folders)

    @property
    def tables(self) -> list[Path]:
        """The tables in it."""
        paths = [Path(entry) for entry in self._entries or []]
        return [path for path in paths if path.suffix.lower() in TABLES]

    def walk_all(self) -> Iterator["_Folder"]:
        """Yield the folder and all below it."""
        yield self
        for folder in self.folders:
            yield from folder.walk_all()

    def walk(self) -> Iterator["_Folder"]:
        """Yield the folder and all below it that hold images."""
        yield self
        for folder in self.with_images:
            yield from folder.walk()


def _search(folder: _Folder, holds_set: Callable[[_Folder], bool]) -> _Folder | None:
    """Return the only folder, at `folder` or up to _LEVELS below it, that holds a set, or None."""
    level = [folder]
    for _ in range(1 + _LEVELS):
        matches = [inner for inner in level if holds_set(inner)]
        if len(matches) > 1:
            paths = [inner.path for inner in matches]
            raise ValueError(f"{folder.path} holds several image sets: pass one of {quote(paths)}")
        if matches:
            return matches[0]
        level = [inner for outer in level for inner in outer.folders]
    return None


# Layouts ------------------------------------------------------------------------------------------


def _splits_in(folder: _Folder) -> dict[str, _Folder]:
    """Return the folders of splits in a folder, by name.

    A folder of such a name that holds no folders is not a split but a class, called "train" say;
    unless all folders with images are such, which then have no classes.
    """
    roles = _roles([inner.name for inner in folder.folders])
    named = [inner for inner in folder.folders if inner.name in roles]
    with_classes = [inner for inner in named if inner.folders]
    if any(inner.with_images for inner in with_classes):
        return {inner.name: inner for inner in with_classes}
    if all(inner.name in roles for inner in folder.with_images):
        return {inner.name: inner for inner in named if inner.has_images}
    return {}


def _has_splits(folder: _Folder) -> bool:
    """Return whether a folder holds splits, with class folders in at least one."""
    return any(inner.with_images for inner in _splits_in(folder).values())


def _has_splits_without_classes(folder: _Folder) -> bool:
    """Return whether a folder holds two splits or more, and nothing else, without classes."""
    return len({_role_in(name) for name in _splits_in(folder)}) > 1


def _split_layout(root: _Folder, split: str | None, classes: set[str]) -> Layout:
    """Return the layout of a set whose splits hold class folders, or images without classes."""
    splits = _splits_in(root)
    splits |= _called(split, root)
    try:
        chosen = named_split(split, splits, str(root.path))
    except FileNotFoundError as error:
        hint = _flat_split(root, split) or _other_split(root, splits)
        raise FileNotFoundError(f"{error}{hint}") from None
    builder = _Builder(root, classes)
    files = []
    for name, folder in splits.items():
        inner = _see_through(folder)
        builder.add_classes(inner, name, is_chosen=name in chosen)
        if name in chosen and not inner.with_images:
            files += inner.files
    roles = {_role_in(name) for name in chosen}
    beside = []
    for folder in root.with_images:
        if folder.name not in splits and not _has_splits(folder):
            # One with splits of its own, such as masks, is another set.
            builder.skipped.append((folder.path, f"beside the splits {quote(splits)}"))
            beside.append(folder.name)
        elif folder.name in set(splits) - chosen and _role_in(folder.name) in roles:
            reason = f"another split of this kind: split={folder.name!r}"
            builder.skipped.append((folder.path, reason))
    builder.skipped += root.foreign
    builder.notes += _note_of_others(split, splits, beside)
    return builder.layout(files)


def _note_of_others(split: str | None, splits: Iterable[str], beside: Sequence[str]) -> list[str]:
    """Return a note on folders beside the splits if all splits were requested, which they miss."""
    if split is not None or not beside:
        return []
    (name, *_) = sorted(beside)
    return [
        f"all splits are {quote(splits)}, without {quote(beside)} beside them: split={name!r} (in "
        f"the shell --split {shlex.quote(name)}) loads that folder"
    ]


def _flat_split(root: _Folder, split: str | None) -> str:
    """Return a hint at a folder of the split that has no class folders, or an empty text."""
    role = role_of(str(split))
    for folder in root.with_images:
        if role_of(folder.name) == role:
            return f"; {str(folder.path)!r} has images without class folders: pass it for these"
    return ""


def _other_split(root: _Folder, splits: dict[str, _Folder]) -> str:
    """Return a hint at folders whose names do not tell that they are splits, or an empty text."""
    others = [f"split={each.name!r}" for each in root.with_images if each.name not in splits]
    return f"; beside it is {' or '.join(others[:_MOST_NAMES])}" if others else ""


def _called(split: str | None, folder: _Folder) -> dict[str, _Folder]:
    """Return the folder in a folder whose name a split is, if no role is, by its name."""
    if split is None or role_of(str(split)) is not None:
        return {}
    wanted = str(split).lower()
    return {inner.name: inner for inner in folder.with_images if inner.name.lower() == wanted}


def _has_splits_in_classes(folder: _Folder) -> bool:
    """Return whether the splits lie in the class folders, as in cat/train and cat/test."""
    inside = [_splits_of_class(inner) for inner in folder.with_images]
    with_splits = [splits for splits in inside if splits]
    roles = {role_of(name) for splits in with_splits for name in splits}
    # The only folder is no class but a level more, such as "images".
    return len(roles) > 1 and len(inside) > 1 and 2 * len(with_splits) > len(inside)


def _splits_of_class(folder: _Folder) -> dict[str, _Folder]:
    """Return the folders of splits in a class folder, by name: those that hold the images."""
    named = [inner for inner in folder.folders if role_of(inner.name) is not None]
    return {inner.name: inner for inner in named if inner.has_images_itself}


def _class_first_layout(root: _Folder, split: str | None) -> Layout:
    """Return the layout of a set with splits in its class folders."""
    splits_of = {
        folder: _splits_of_class(folder) | _called(split, folder) for folder in root.with_images
    }
    names = {name for splits in splits_of.values() for name in splits}
    chosen = named_split(split, names, f"the class folders of {root.path}")
    builder = _Builder(root)
    builder.notes.append(f"the splits {quote(names)} lie in the class folders")
    builder.leave_empty_out(root)
    beside = set()
    for folder, splits in splits_of.items():
        for name, inner in splits.items():
            builder.add_class(inner, folder.name, name, is_chosen=name in chosen)
        for inner in folder.with_images:
            if inner.name not in splits:
                builder.skipped.append((inner.path, f"beside the splits {quote(names)}"))
                beside.add(inner.name)
        for path in folder.files if folder.has_images_itself else []:
            builder.skipped.append((path, f"beside the splits {quote(names)}"))
    builder.notes += _note_of_others(split, names, sorted(beside))
    return builder.layout()


def _plain_layout(top: _Folder, classes: set[str]) -> Layout:
    """Return the layout of a set without splits: of class folders, or of images."""
    root = top
    for _ in range(_LEVELS):
        # A folder that holds nothing but another one is a level more of a downloaded copy.
        if len(root.with_images) != 1 or root.with_images[0].has_images_itself:
            break
        root = root.with_images[0]
    builder = _Builder(root, classes)
    if not root.with_images:
        if not root.has_images_itself:
            raise FileNotFoundError(_nothing_found(top))
        return builder.layout(root.files + [folder.path for folder in root.folders])
    (first, *others) = root.with_images
    if not others and first.name.lower() in _PICTURES and not first.with_images:
        builder.notes.append(f"{first.name!r} is the folder of the images, not a class")
        builder.leave_empty_out(root)
        return builder.layout(first.files)
    root = builder.seen_through_pictures(root)
    _check_table_beside(root, classes)
    builder.add_classes(root, None, is_chosen=True)
    return builder.layout()


def _check_table_beside(root: _Folder, classes: set[str]) -> None:
    """Raise ValueError if a table beside folders of images tells their classes rather than they.

    These are a single folder, and parts such as "images_001".
    """
    names = [folder.name for folder in root.with_images]
    words = {tuple(_words(name)) for name in names}
    are_parts = len(words) == 1 and (len(names) == 1 or bool(_PICTURES & set(*words)))
    if are_parts and root.tables and not classes & set(names):
        raise ValueError(
            f"{root.path} holds images in {quote(names)} alone, beside the table "
            f"{quote(path.name for path in root.tables)}: pass the table for its labels, such as "
            f"{str(root.tables[0])!r}, or classes={_listing(root.with_images)} (in the shell "
            "--classes) if these are the classes"
        )


def _levels(folders: list[_Folder]) -> list[list[_Folder]]:
    """Return folders, those in them, and so on, a list for each level; all hold images."""
    levels = [folders]
    while len(levels) <= _LEVELS and any(folder.with_images for folder in levels[-1]):
        levels.append([inner for folder in levels[-1] for inner in folder.with_images])
    return levels


def _level_of_classes(levels: list[list[_Folder]], parent: _Folder, classes: set[str]) -> int:
    """Return at which level the folders are classes: the first one where some are called so.

    Raises ValueError if no class is known and the names do not tell.
    """
    for number, level in enumerate(levels):
        if any(unicodedata.normalize("NFC", folder.name) in classes for folder in level):
            return number
    readings = [levels[0]]
    for number in range(1, len(levels)):
        has_own_digits = all(map(_has_digits, levels[:number])) or not _has_digits(levels[number])
        if _recur(levels[number - 1]) and has_own_digits:
            readings.append(levels[number])
    if len(readings) > 1:
        given = [f"classes={_listing(level)}" for level in readings]
        raise ValueError(
            f"{parent.path} has folders of the same names in several others, and either may be the "
            f"classes: pass {' or '.join(given)} (in the shell --classes NAME NAME ...), or the "
            f"path of one that holds the classes, such as {str(readings[-2][0].path)!r}"
        )
    return 0


def _recur(folders: list[_Folder]) -> bool:
    """Return whether the folders in these, or most of them, have the same names again and again."""
    if any(folder.has_images_itself for folder in folders):
        return False
    counts = Counter(inner.name for folder in folders for inner in folder.with_images)
    recurring = [name for name, count in counts.items() if count > 1]
    return len(counts) > 1 and 2 * len(recurring) >= len(counts)


def _has_digits(folders: list[_Folder]) -> bool:
    """Return whether names have digits, as those of dates, cameras and patients do."""
    return any(re.search(r"\d", folder.name) for folder in folders)


def _listing(folders: list[_Folder]) -> str:
    """Return the names of folders as a list of Python, of which a long one is cut short."""
    names = sorted({folder.name for folder in folders})
    listed = ", ".join(map(repr, names[:_MOST_NAMES]))
    return f"[{listed}]" if len(names) <= _MOST_NAMES else f"[{listed}, ...] (all {len(names)})"


def _see_through(folder: _Folder) -> _Folder:
    """Return the folder that holds a split's class folders.

    It is the split's own, or one in it that is called so again, or "images".
    """
    while len(folder.with_images) == 1 and not folder.has_images_itself:
        (inner,) = folder.with_images
        is_doubled = inner.name.lower() == folder.name.lower()
        if not is_doubled and inner.name.lower() not in _PICTURES:
            break
        folder = inner
    return folder


class _Builder:
    """Gathers the class folders of a set."""

    def __init__(self, root: _Folder, wanted: Iterable[str] = ()) -> None:
        self.root = root
        # The names of classes that are asked for; none if all are.
        self.wanted = set(wanted)
        self.classes: list[tuple[_Folder, str, str | None, str, bool]] = []
        self.skipped: list[tuple[Path, str]] = []
        self.notes: list[str] = []

    def add_classes(self, parent: _Folder, split: str | None, *, is_chosen: bool) -> None:
        """Add all folders with images in a folder as classes, or those some levels below."""
        outer = [parent]
        if parent.with_images:
            levels = _levels(self._candidates(parent, is_chosen=is_chosen))
            level = _level_of_classes(levels, parent, self.wanted)
            for folder in levels[level]:
                above = os.path.relpath(folder.path.parent, parent.path)
                above = "" if above == os.curdir else above
                self.add_class(folder, folder.name, split, above, is_chosen=is_chosen)
            outer += [folder for each in levels[:level] for folder in each]
        if not is_chosen:
            return
        for folder in outer:
            if parent.with_images:
                known = suffixes()
                beside = [path for path in folder.files if path.suffix.lower() in known]
                self.skipped += [(path, "outside the class folders") for path in beside]
            self.leave_empty_out(folder)

    def add_class(
        self, folder: _Folder, name: str, split: str | None, above: str = "", *, is_chosen: bool
    ) -> None:
        """Add a folder of a class."""
        self.classes.append((folder, name, split, above, is_chosen))

    def seen_through_pictures(self, root: _Folder) -> _Folder:
        """Return the folder "images" of a root if it alone holds class folders, else the root."""
        nested = [folder for folder in root.with_images if folder.with_images]
        if len(nested) != 1 or nested[0].name.lower() not in _PICTURES:
            return root
        if nested[0].has_images_itself or nested[0].name in self.wanted:
            return root
        others = [folder for folder in root.with_images if folder is not nested[0]]
        reason = f"beside {nested[0].name!r}, the folder of the classes"
        self.skipped += [(folder.path, reason) for folder in others]
        self.leave_empty_out(root)
        self.root = nested[0]
        return self.root

    def _candidates(self, parent: _Folder, *, is_chosen: bool) -> list[_Folder]:
        """Return the folders in a folder that may be classes; report the others."""
        folders = []
        for folder in parent.with_images:
            reason = self._reason_against(folder, parent)
            if reason is None:
                folders.append(folder)
            elif is_chosen:
                self.skipped.append((folder.path, reason))
        return folders

    def _reason_against(self, folder: _Folder, parent: _Folder) -> str | None:
        """Return why a folder is no class beside others, or None."""
        others = {each.name for each in parent.with_images} - {folder.name}
        inside = {inner.name for inner in folder.with_images}
        if folder.name in self.wanted:
            return None
        if folder.name.lower() in _NO_CLASSES and len(others) > 1:
            return "taken for masks or annotations; classes=[...] with its name loads it"
        if len(inside) > 1 and inside <= others:
            return f"holds the classes {quote(inside)} again"
        return None

    def leave_empty_out(self, parent: _Folder) -> None:
        """Report the folders in a folder that hold no images of the set."""
        empty = [folder for folder in parent.folders if not folder.has_images]
        self.skipped += [(folder.path, "a folder without images") for folder in empty]
        self.skipped += parent.foreign

    def layout(self, files: Iterable[Path] = ()) -> Layout:
        """Return what was gathered."""
        files = list(files)
        if files and not self.classes and self.root.tables:
            tables = quote(path.name for path in self.root.tables)
            self.notes.append(
                f"{tables} beside the images may hold their labels: pass the table in place of the "
                "folder (unpack an archive before)"
            )
        names, notes = _class_names([(name, split) for _, name, split, *_ in self.classes])
        chosen = []
        nested: set[str] = set()
        for folder, name, split, above, is_chosen in self.classes:
            if is_chosen:
                inside = self._files_of(folder)
                nested |= {inner.name for inner in folder.with_images}
                # The folder of a split may have any name if it is asked for by this.
                role = None if split is None else _role_in(split) or split
                chosen.append(ClassFolder(folder.path, names[name], role, above, inside))
        if nested:
            notes.append(
                f"images in folders below a class folder count as its own: {quote(nested)}"
            )
        return Layout(
            self.root.path,
            chosen,
            sorted(set(names.values())),
            files,
            self.skipped,
            [*self.notes, *notes],
        )

    def _files_of(self, folder: _Folder) -> list[Path]:
        """Return what should be images in a class folder and below; report what is left out."""
        files = []
        for inner in folder.walk():
            files += inner.files
            # A folder without images is tried as a file, which says what it is.
            files += [each.path for each in inner.folders if not each.has_images]
            self.skipped += inner.foreign
        return sorted(files)


def _class_names(found: list[tuple[str, str | None]]) -> tuple[dict[str, str], list[str]]:
    """Return the name of the class of each folder's name, and notes on names that became one.

    Names are one class if they differ by Unicode normalisation alone, as those from a Mac do; or by
    case alone, if they never stand in the same split.
    """
    composed = {name: unicodedata.normalize("NFC", name) for name, _ in found}
    splits: dict[str, set] = {}
    spellings: dict[str, list[str]] = {}
    for name, split in found:
        splits.setdefault(composed[name], set()).add(split)
    for name in sorted(splits):
        spellings.setdefault(name.casefold(), []).append(name)
    notes = []
    for name in sorted(set(composed.values())):
        if sum(other == name for other in composed.values()) > 1:
            notes.append(f"{name!r} is spelt in two ways of Unicode, and is one class")
    for alike in spellings.values():
        total = sum(len(splits[name]) for name in alike)
        together = set().union(*(splits[name] for name in alike))
        if len(alike) > 1 and total == len(together):
            notes.append(f"{quote(alike)} differ by case alone, in different splits: one class")
            first = _spelling_in_training(alike, splits)
            composed = {key: first if name in alike else name for key, name in composed.items()}
    return composed, notes


def _spelling_in_training(alike: list[str], splits: dict[str, set]) -> str:
    """Return the spelling of a class in the training split, or else the first."""
    for name in alike:
        if any(split and _role_in(split) == "training" for split in splits[name]):
            return name
    return alike[0]


def _nothing_found(folder: _Folder) -> str:
    """Return the message for a folder without any image."""
    content = quote(entry.name for entry in folder._entries or [])
    below = list(folder.walk_all())
    failures = [failure for inner in below for failure in inner.failures]
    hint = "".join(f"; {failure}" for failure in failures[:1])
    files = [path for inner in below for path in inner.files]
    archives = [path.name for path in files if path.name.lower().endswith(_ARCHIVES)]
    if archives:
        hint += f"; unpack {quote(archives)} and pass the folder"
    return (
        f"no image set in {folder.path}: looked for folders Training and Test, for class folders "
        f"with images ({names_of_formats()}), and for images in it; found {content}{hint}"
    )


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
