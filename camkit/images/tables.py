"""Tables: images by a column of paths, labels by another, and the rest as metadata."""

import os
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import islice, takewhile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from pandas.api.types import is_bool_dtype, is_numeric_dtype

from camkit.images._labels import labels_of
from camkit.images.decoding import suffixes
from camkit.images.folders import TABLES, named_split, quote, role_of
from camkit.images.image_set import ImageSet

# What stands between the columns of a .csv file: the one that its first line has most of.
_SEPARATORS = (",", ";", "\t", "|")

# How Excel says what stands between the columns, in a line before that of their names.
_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?\s*')

# How 1.5 is written where tables have semicolons between their columns, and the entry of `attrs`
# that says that a table has.
_MAY_HAVE_DECIMAL_COMMAS = "camkit: may have decimal commas"
_DECIMAL_COMMA = r"-?(0|[1-9]\d*|[1-9]\d{0,2}(\.\d{3})+)(,\d+)?"

# What looks like a number of some country.
_DIGITS = r"-?\d[\d.,]*"

# Columns whose names say what they hold, in lower case.
_LABELS = ("label", "labels", "class", "classes", "class_name", "category", "target")
_SPLITS = ("split", "subset", "set", "data set", "dataset", "data_set", "partition")
# Columns that may tell splits in words of their own.
_POSSIBLE_SPLITS = ("fold", "is_valid", "is_val", "is_test", "is_train")

# How many values of a column are tried as paths, and how many missing files a message names.
_TRIED = 20
_MOST_MISSING = 3

# A message lists at most this many cells of the first line.
_MOST_NAMED = 5


def read_table(file: str | os.PathLike) -> pd.DataFrame:
    r"""Return the table in a file.

    Numbers keep their leading zeros, as do texts such as "NA": a column is read as numbers only
    where that loses nothing.

    Args:
        file: A .csv or .tsv file (UTF-8; columns separated by commas, semicolons, tabs or
            bars), or a
            .parquet file.

    Returns:
        A DataFrame.

    Raises:
        ValueError: The file is not UTF-8, or no table.
        ImportError: A Parquet file needs camkit[parquet].
        OSError: The file cannot be read.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from camkit.images.tables import read_table
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = Path(folder, "fruits.csv")
        ...     _ = file.write_text("id,ripe\n007,1\n")
        ...     read_table(file)["id"].tolist()
        ['007']
    """
    file = Path(file)
    if file.suffix.lower() in (".parquet", ".pq"):
        return _read_parquet(file)
    try:
        with open(file, encoding="utf-8-sig") as stream:
            first_line = stream.readline()
        told = _SEPARATOR_LINE.fullmatch(first_line)
        separator = told[1] if told else max(_SEPARATORS, key=first_line.count)
        texts = pd.read_csv(
            file,
            sep=separator,
            skiprows=1 if told else 0,
            dtype=str,
            keep_default_na=False,
            encoding="utf-8-sig",
        )
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{file} is not UTF-8: save it as UTF-8, or pass "
            "load_images(pandas.read_csv(file, encoding=...), root=...)"
        ) from error
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise ValueError(f"{file} cannot be read as a table: {error}") from error
    table = texts.apply(_numbers_where_nothing_is_lost)
    table.attrs[_MAY_HAVE_DECIMAL_COMMAS] = separator == ";"
    return table


def _read_parquet(file: Path) -> pd.DataFrame:
    try:
        return pd.read_parquet(file)
    except ImportError as error:
        raise ImportError(
            f"reading {file} needs the package pyarrow: pip install 'camkit[parquet]'"
        ) from error


def _numbers_where_nothing_is_lost(column: pd.Series) -> pd.Series:
    """Return a column of texts as numbers, unless one of them has leading zeros or is a word."""
    values = column.where(column.str.strip() != "")
    has_zeros = values.str.match(r"-?0\d").eq(True)
    numbers = pd.to_numeric(values, errors="coerce")
    is_word = numbers.isna() & values.notna()
    if has_zeros.any() or is_word.any() or values.isna().all():
        return values
    return numbers


def images_of_table(
    table: pd.DataFrame,
    split: str | None,
    folder: Path,
    *,
    is_searched: bool = False,
    path_column: str | None = None,
    label_column: str | Sequence[str] | None = None,
    class_names: Sequence[str] | Mapping | None = None,
    multi_label: bool | None = None,
) -> ImageSet:
    """Return the images that a table lists, in its order.

    Args:
        table: A DataFrame with a row for each image.
        split: The split to choose where a column tells it, as for `camkit.load_images`.
        folder: Where relative paths start.
        is_searched: Whether files are also searched for below `folder`, by their names.
        path_column: The column of the paths; None for the only one whose texts are files.
        label_column: The column of the labels, or several columns of 0 and 1; None for the one that
            is called so, the only other one, or the only ones of 0 and 1.
        class_names: The names of the classes, where labels are indices.
        multi_label: Whether images have several labels; None to judge by the column.

    Returns:
        An ImageSet whose files are not yet checked. The columns that are neither paths nor labels
        are its metadata.

    Raises:
        ValueError: A column is missing or cannot be guessed.
        FileNotFoundError: No file of the table exists, or there is no such split.

    Example:
        >>> import camkit, pandas
        >>> from camkit.images.tables import images_of_table
        >>> images = camkit.load_images("mini", "Test", per_class=1)
        >>> table = pandas.DataFrame({"file": images.paths, "label": images.labels, "camera": "A"})
        >>> listed = images_of_table(table, None, images.root, class_names=images.class_names)
        >>> listed.paths == images.paths, list(listed.metadata)
        (True, ['camera'])
    """
    if not len(table):
        raise ValueError(f"the table has no rows, only the columns {quote(table.columns)}")
    if not table.columns.is_unique:
        raise ValueError(f"the table has several columns of one name: {quote(table.columns)}")
    finder = _Finder(folder, is_searched)
    columns, notes = _columns_of(table, finder, path_column, label_column)
    labels = _labels_in(table, columns.label, class_names)
    found = labels_of(labels, len(table), class_names, multi_label)
    names = found.names
    if class_names is None:
        names = _names_of_columns(columns.label) or names
    metadata = table.drop(columns=[columns.path, *_listed(columns.label)]).reset_index(drop=True)
    if table.attrs.get(_MAY_HAVE_DECIMAL_COMMAS):
        notes += _read_decimal_commas(metadata)
    words = None if columns.split is None else list(table[columns.split].astype(str))
    paths = [finder.path(value) for value in table[columns.path]]
    notes += _note_of_files(table[columns.path], paths)
    images = ImageSet(
        folder,
        paths,
        found.values,
        names,
        skipped=[],
        metadata=metadata if len(metadata.columns) else None,
        notes=[*notes, *found.notes],
        _splits=None if words is None else [role_of(word) for word in words],
    )
    if words is not None and split is not None:
        chosen = named_split(split, words, f"the column {columns.split!r}")
        images = images.select(np.array([word in chosen for word in words]))
    return _without_unclear(images, finder)


def images_of_paths(
    paths: Iterable,
    labels: Any,
    folder: Path,
    class_names: Sequence[str] | Mapping | None,
    multi_label: bool | None,
) -> ImageSet:
    """Return the images at a list of paths, in its order, not yet checked.

    Args:
        paths: The files; relative ones start at `folder`.
        labels: A label for each, as for `camkit.load_images`; None for none.
        folder: Where relative paths start.
        class_names: The names of the classes, where labels are indices.
        multi_label: Whether images have several labels; None to judge by the labels.

    Raises:
        ValueError: The labels are not as many as the paths, or cannot be understood.

    Example:
        >>> from pathlib import Path
        >>> from camkit.images.tables import images_of_paths
        >>> images_of_paths(["a.jpg", "b.jpg"], ["cat", "dog"], Path(), None, None).class_names
        ['cat', 'dog']
    """
    finder = _Finder(folder, is_searched=False)
    files = [finder.path(path) for path in paths]
    found = labels_of(labels, len(files), class_names, multi_label)
    return ImageSet(folder, files, found.values, found.names, [], notes=found.notes)


# Columns ------------------------------------------------------------------------------------------


class _Columns(NamedTuple):
    """The columns of a table that are not only metadata.

    Attributes:
        path: That of the paths.
        label: That of the labels, a list of those of 0 and 1, or None.
        split: That of the splits, which is metadata too, or None.
    """

    path: str
    label: str | Sequence[str] | None
    split: str | None


def _columns_of(
    table: pd.DataFrame,
    finder: "_Finder",
    path: str | None,
    label: str | Sequence[str] | None,
) -> tuple[_Columns, list[str]]:
    """Return the columns of a table, those that are not given guessed, and notes on them."""
    notes = []
    if path is None:
        path = _guess_path(table, finder)
        notes.append(f"paths from the column {path!r}")
    _check_columns(table, [path])
    rest = table.drop(columns=path)
    split = _split_column(rest)
    if label is None:
        label = _guess_label(rest.drop(columns=split or []))
        notes += _note_of_labels(label)
    labels = _listed(label)
    _check_columns(table, labels)
    if split in labels:
        split = None
    notes += _note_of_unknown_splits(rest.drop(columns=labels), split)
    if split is not None:
        notes.append(f"splits from the column {split!r}")
    return _Columns(path, _without_needless_list(label, table), split), notes


def _check_columns(table: pd.DataFrame, columns: Iterable) -> None:
    """Raise ValueError for a column that the table lacks."""
    missing = [column for column in columns if column not in table.columns]
    if missing:
        raise ValueError(
            f"the table has no column {quote(missing)}; its columns are {quote(table.columns)}"
        )


def _guess_path(table: pd.DataFrame, finder: "_Finder") -> str:
    """Return the column whose texts are files. Raises an error if columns name different files."""
    texts = [column for column in table if not is_numeric_dtype(table[column])]
    files = {}
    for column in texts:
        named = _files(table[column], finder)
        if named is not None:
            files[column] = named
    if not files:
        raise FileNotFoundError(_no_files(table, texts, finder))
    # An identifier, or a name beside a path, is found to be the same file; the path says it best.
    column = max(files, key=lambda column: len(files[column]))
    # Few values of other columns are the names of files, such as numbers.
    rivals = [
        other
        for other in files
        if 2 * len(files[other]) >= len(files[column]) and not _agree(files[column], files[other])
    ]
    if rivals:
        raise ValueError(
            f"the columns {quote([column, *rivals])} hold files: name the one of the images, "
            f"path_column={column!r} (in the shell --columns {column},LABEL)"
        )
    name = Path(str(column))
    if name.suffix and finder.path(name).is_file():
        raise ValueError(
            f"the first line of the table is {_first_line(table)}, not the names of columns: "
            "pass load_images(pandas.read_csv(file, header=None, names=[...]), root=...)"
        )
    return column


def _first_line(table: pd.DataFrame) -> str:
    """Return the first names of the columns in quotes, in their order."""
    names = [repr(str(name)) for name in table.columns[:_MOST_NAMED]]
    more = ", ..." if len(table.columns) > _MOST_NAMED else ""
    return ", ".join(names) + more


def _no_files(table: pd.DataFrame, texts: list, finder: "_Finder") -> str:
    """Return the message for a table of which no column holds files, given those of texts."""
    tried = "none holds text"
    if texts:
        tried = f"such as {quote(table[texts[0]].astype(str).head(_MOST_MISSING))}"
    return (
        f"no column of the table holds files below {finder.folder} ({tried}); its columns "
        f"are {quote(table.columns)}: name the folder that the paths start from, root=..., or the "
        "column, path_column=..."
    )


def _files(column: pd.Series, finder: "_Finder") -> dict[int, Path] | None:
    """Return the files that may be images, by their rows, that the first texts of a column name.

    They may be none if several files have the name of a text; None if no text is that of a file.
    """
    tried = _tried(column, finder)
    is_unclear = any(path in finder.unclear for _, path in tried)
    files = {
        row: path for row, path in tried if path.is_file() and path.suffix.lower() not in TABLES
    }
    return files if files or is_unclear else None


def _tried(column: pd.Series, finder: "_Finder") -> list[tuple[int, Path]]:
    """Return the first texts of a column, read as paths, with their rows."""
    texts = (
        (row, finder.path(value))
        for row, value in enumerate(column)
        if isinstance(value, str | os.PathLike)
    )
    return list(islice(texts, _TRIED))


def _agree(files: dict[int, Path], others: dict[int, Path]) -> bool:
    """Return whether two columns name the same files, in the rows where both name some."""
    return all(files[row] == others[row] for row in files.keys() & others.keys())


def _guess_label(rest: pd.DataFrame) -> str | list[str] | None:
    """Return the column of the labels, or the columns of 0 and 1, or None if there is none.

    Raises ValueError if several columns may be meant.
    """
    if rest.columns.empty:
        return None
    called_so = [column for column in rest if str(column).lower() in _LABELS]
    if len(called_so) == 1:
        return called_so[0]
    if len(rest.columns) == 1:
        return rest.columns[0]
    indicators = [column for column in rest if _is_indicator(rest[column])]
    if len(indicators) == len(rest.columns):
        return indicators
    raise ValueError(
        f"which column holds the labels is not clear: name it, label_column=..., or several of 0 "
        f"and 1, label_column=[...] (in the shell --columns PATH,LABEL,...), among "
        f"{quote(called_so or rest.columns)}"
    )


def _is_indicator(column: pd.Series) -> bool:
    """Return whether a column holds 0 and 1 alone, or the words true and false."""
    column = _without_words(column)
    is_number = is_numeric_dtype(column) or is_bool_dtype(column)
    return bool(is_number and column.isin([0, 1]).all())


def _without_words(column: pd.Series) -> pd.Series:
    """Return a column of the words true and false as booleans, and any other as it is."""
    if is_numeric_dtype(column):
        return column
    words = column.astype(str).str.lower()
    return words == "true" if words.isin(["true", "false"]).all() else column


def _note_of_labels(label_column: str | list[str] | None) -> list[str]:
    columns = _listed(label_column)
    if len(columns) > 1:
        return [f"labels from the columns {quote(columns)}"]
    return [f"labels from the column {column!r}" for column in columns]


def _listed(label_column: Any) -> list:
    """Return the names of the columns of labels: none, one, or those of a list."""
    if label_column is None:
        return []
    return list(label_column) if _is_list(label_column) else [label_column]


def _is_list(label_column: Any) -> bool:
    return isinstance(label_column, list | tuple | pd.Index)


def _without_needless_list(label_column: Any, table: pd.DataFrame) -> Any:
    """Return the only column in a list, unless it holds 0 and 1, or what else was given."""
    columns = _listed(label_column)
    return (
        columns[0] if len(columns) == 1 and not _is_indicator(table[columns[0]]) else label_column
    )


def _names_of_columns(label_column: Any) -> list[str]:
    """Return the classes that columns of 0 and 1 are called after, none for another column."""
    if not _is_list(label_column):
        return []
    names = [str(name) for name in label_column]
    return [f"not {names[0]}", *names] if len(names) == 1 else names


def _split_column(table: pd.DataFrame) -> str | None:
    """Return the column that tells the split of each image, or None."""
    for column in table:
        if str(column).lower() in _SPLITS:
            roles = [role_of(str(value)) for value in table[column].unique()]
            if None not in roles:
                return column
    return None


def _note_of_unknown_splits(table: pd.DataFrame, split_column: str | None) -> list[str]:
    """Return a note on a column that is called as those of splits are, if none tells them."""
    for column in table if split_column is None else []:
        if str(column).lower() in (*_SPLITS, *_POSSIBLE_SPLITS):
            values = quote(sorted(set(table[column].astype(str))))
            return [
                f"the column {column!r} holds {values}, which are no names of splits: rows of all "
                f"are loaded; choose some by images.select(images.metadata[{column!r}] == ...)"
            ]
    return []


def _labels_in(
    table: pd.DataFrame,
    label_column: str | Sequence[str] | None,
    class_names: Sequence[str] | Mapping | None,
) -> Any:
    """Return the labels in a column, or in several columns of 0 and 1.

    Numbers are names, as for `flow_from_dataframe`, unless `class_names` says what they mean.
    """
    if label_column is None:
        return None
    if _is_list(label_column):
        return _indicators(table[list(label_column)])
    column = table[label_column]
    if class_names is not None and is_numeric_dtype(column):
        return column.to_numpy()
    if not is_numeric_dtype(column):
        return column
    texts = np.full(len(column), None, dtype=object)
    for row, value in enumerate(column):
        if not pd.isna(value):
            texts[row] = f"{value:g}" if isinstance(value, float) else str(value)
    return texts


def _indicators(columns: pd.DataFrame) -> np.ndarray:
    """Return columns of 0 and 1 as an array (N, C)."""
    columns = columns.apply(_without_words)
    for name in columns:
        if not _is_indicator(columns[name]):
            odd = columns[name][~columns[name].isin([0, 1])].iloc[0]
            raise ValueError(
                f"the column {name!r} holds {odd}: columns of labels must hold 0 and 1; decide "
                "what counts as 1 first, such as table[columns] = table[columns] == 1 if nothing "
                "else does, and load_images(table, root=..., label_column=columns)"
            )
    return columns.to_numpy(dtype=int)


def _read_decimal_commas(metadata: pd.DataFrame) -> list[str]:
    """Make numbers of columns of texts such as "1,5" and "1.229,50", and return notes on them.

    Labels such as "1,5" stay what they are, since they may be two.
    """
    read = []
    unread = []
    for name in metadata.select_dtypes(["object", "string"]):
        texts = metadata[name].dropna()
        if not texts.str.contains(",").any():
            continue
        if texts.str.fullmatch(_DECIMAL_COMMA).all():
            plain = metadata[name].str.replace(".", "", regex=False)
            plain = plain.str.replace(",", ".", regex=False)
            metadata[name] = pd.to_numeric(plain)
            read.append(name)
        elif texts.str.fullmatch(_DIGITS).all():
            unread.append(name)
    notes = []
    if read:
        notes.append(f"numbers with decimal commas in the columns {quote(read)}")
    if unread:
        notes.append(
            f"the columns {quote(unread)} stay texts, since not all of their values are numbers "
            "with a decimal comma, such as 1.229,50"
        )
    return notes


# Files --------------------------------------------------------------------------------------------


class _Finder:
    """Finds the files that values of a table mean.

    Attributes:
        folder: Where relative paths start.
        unclear: For paths whose name several files have, these files.
    """

    def __init__(self, folder: Path, is_searched: bool) -> None:
        self.folder = folder
        self.unclear: dict[Path, list[Path]] = {}
        self._is_searched = is_searched

    def path(self, value: Any) -> Path:
        """Return the file that a value means: at this path, or else the only one of this name.

        Names may differ by case or suffix, or lack the suffix of an image. If there is no such
        file, the path is returned as it stands, and the image is skipped as missing; so it is for
        several, which are listed in `unclear`.
        """
        text = _tidy(value)
        composed = unicodedata.normalize("NFC", text)
        decomposed = unicodedata.normalize("NFD", text)
        for spelling in dict.fromkeys([str(value), text, composed, decomposed]):
            path = self.folder / spelling
            if path.is_file():
                return path
        path = self.folder / text
        matches = self._matches(path) if self._is_searched else []
        if len(matches) > 1:
            self.unclear[path] = matches
        return matches[0] if len(matches) == 1 else path

    def _matches(self, path: Path) -> list[Path]:
        """Return the files whose name is that of a path, those that resemble it most."""
        matches = self._below.get(_key(path.name), [])
        if not matches and path.suffix.lower() in suffixes():
            matches = self._below.get(_key(path.stem), [])
        likeness = {match: _likeness(match, path) for match in matches}
        return [match for match in matches if likeness[match] == max(likeness.values())]

    @cached_property
    def _below(self) -> dict[str, list[Path]]:
        """All images below the folder by their names, with and without suffix."""
        below: dict[str, list[Path]] = {}
        known = suffixes()
        for folder, _, files in os.walk(self.folder):
            for name in files:
                path = Path(folder, name)
                if path.suffix.lower() in known and not name.startswith("."):
                    for key in (path.name, path.stem):
                        below.setdefault(_key(key), []).append(path)
        return below


def _tidy(value: Any) -> str:
    """Return the path that a value is, without spaces around it and with slashes."""
    return str(value).strip().replace("\\", "/")


def _key(name: str) -> str:
    """Return what names have in common that differ by case or Unicode normalisation alone."""
    return unicodedata.normalize("NFC", name).casefold()


def _likeness(file: Path, path: Path) -> tuple[int, bool]:
    """Return in how many folders from the last on a file is like a path, and whether by name."""
    pairs = zip(file.parts[-2::-1], path.parts[-2::-1], strict=False)
    folders = takewhile(lambda pair: _key(pair[0]) == _key(pair[1]), pairs)
    return len(list(folders)), _is_named(file, path.name)


def _is_named(file: Path, name: str) -> bool:
    """Return whether a name is that of a file, with or without its suffix."""
    names = (unicodedata.normalize("NFC", each) for each in (file.name, file.stem))
    return unicodedata.normalize("NFC", name) in names


def _note_of_files(values: Iterable, paths: list[Path]) -> list[str]:
    """Return a note on files that are not called as the values of a table are, if there are any."""
    names = [Path(_tidy(value)).name for value in values]
    others = [
        f"{path.name!r} for {name!r}"
        for name, path in zip(names, paths, strict=True)
        if not _is_named(path, name)
    ]
    if not others:
        return []
    more = f" and {len(others) - 1} more" if len(others) > 1 else ""
    return [f"files whose names have another case or suffix than the table: {others[0]}{more}"]


def _without_unclear(images: ImageSet, finder: _Finder) -> ImageSet:
    """Return the images but those whose path may mean several files, which are skipped."""
    skipped = []
    for path in images.paths:
        if path in finder.unclear:
            files = quote(file.relative_to(finder.folder) for file in finder.unclear[path])
            skipped.append((path, f"the name of several files: {files}"))
    is_clear = np.array([path not in finder.unclear for path in images.paths], bool)
    return replace(images.select(is_clear), skipped=skipped)
