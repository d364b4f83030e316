"""The verdicts of reviewers in a CSV file: one row for each image and reviewer, written at once.

The columns are path, true, predicted, verdict, comment, reviewer and correct_label, the class that
the image should have. Files without the last three are read as well. Other columns are left as they
are, and so are the rows of other images.
"""

import io
import os
import re
import unicodedata
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from camkit._files import any_bytes, in_turn, write_whole
from camkit.images.folders import split_of

NEEDED = ("path", "true", "predicted", "verdict")
COLUMNS = (*NEEDED, "comment", "reviewer", "correct_label")
KEY = ["path", "reviewer"]

# The verdicts that a reviewer may choose, as in verdicts.js; the page shows others, too.
VERDICTS = (
    "not reviewed",
    "label wrong",
    "ambiguous",
    "background",
    "resolution",
    "other",
    "remove",
)

# The fields that a reviewer fills in, and their values before that.
BLANK = {"verdict": "not reviewed", "comment": "", "correct_label": ""}

# The same fields as the view calls them.
VIEW_NAMES = {"verdict": "verdict", "comment": "comment", "correctLabel": "correct_label"}

# A spreadsheet would run a cell that begins like this as a formula. So it is written with an
# apostrophe before it.
FORMULA = re.compile(r"^'*[=+\-@\t\r]")

SEPARATORS = ",;\t"

# The rows of a table by path and reviewer.
_Rows = dict[tuple[str, str], dict[str, str]]


class Verdicts:
    """The verdicts in a CSV file, which is read each time, since other processes may write to it.

    >>> from camkit.atlas.verdicts import Verdicts
    >>> verdicts = Verdicts()
    >>> row = {"path": "a.jpg", "true": "Apple", "predicted": "Pear", "verdict": "label wrong"}
    >>> saved, stored = verdicts.save(row | {"comment": "a pear", "reviewer": "Kim"})
    >>> saved, verdicts.read().loc[("a.jpg", "Kim"), "comment"]
    (True, 'a pear')
    """

    def __init__(self, file: str | os.PathLike[str] | None = None) -> None:
        """Open a file of verdicts.

        Args:
            file: The file, which need not exist. Without one, verdicts last as long as this object.

        Raises:
            ValueError: If the file is not a table of verdicts.
        """
        self.file = None if file is None else Path(file)
        self._table = _empty_table()
        self.read()

    @any_bytes()
    def read(self) -> pd.DataFrame:
        """Return the table of all verdicts, indexed by (path, reviewer); all columns are text.

        Raises:
            ValueError: If the file is not a table of verdicts.
        """
        if self.file is None:
            return self._table
        if not self.file.exists():
            return _empty_table()
        return read_verdicts(self.file)

    def save(
        self, row: Mapping[str, str], seen: Mapping[str, Any] | None = None
    ) -> tuple[bool, dict[str, str]]:
        """Save a verdict; return whether it was saved, and the row that is stored now.

        Nothing is written if the stored verdict is not the one that the reviewer saw.

        Args:
            row: {path, true, predicted, verdict, comment, reviewer, correct_label}; the comment and
                the correct label may be left out.
            seen: {verdict, comment, correct_label} that the reviewer saw, or None if there was
                none.

        Raises:
            ValueError: If the file is not a table of verdicts.
            OSError: If it cannot be written.
        """
        [answer] = self.save_all([(row, seen)])
        return answer

    @any_bytes()
    def save_all(
        self, changes: Iterable[tuple[Mapping[str, str], Mapping[str, Any] | None]]
    ) -> list[tuple[bool, dict[str, str]]]:
        """Save several verdicts at once, each as `save` does; return its answer for each."""
        answers: list[tuple[bool, dict[str, str]]] = []

        def put(rows: _Rows) -> _Rows:
            answers.extend(_put(rows, row, seen) for row, seen in changes)
            return rows

        self._change(put)
        return answers

    @any_bytes()
    def rename(self, paths: Iterable[str], old: str, new: str) -> list[str]:
        """Give the verdicts of reviewer `old` on images to `new`; return the paths of those moved.

        Where `new` has a verdict on an image, both stay as they are.
        """
        moved: list[str] = []

        def renamed(rows: _Rows) -> _Rows:
            moved.extend(p for p in paths if (p, old) in rows and (p, new) not in rows)
            keys = {(path, old): (path, new) for path in moved}
            return {keys.get(key, key): row for key, row in rows.items()}

        self._change(renamed)
        return moved

    def _change(self, change: Callable[[_Rows], _Rows]) -> None:
        """Replace the rows of the table by what a function makes of them."""
        if self.file is None:
            self._table = _table_of(change(self._table.to_dict("index")))
            return
        with in_turn(self.file.with_name(f".{self.file.name}.lock")):
            table = self.read()
            changed = _table_of(change(table.to_dict("index")))
            if not changed.equals(table):
                self._write(changed)

    def _write(self, table: pd.DataFrame) -> None:
        """Write the table, the columns of verdicts first."""
        assert self.file is not None
        plain = table.reset_index().map(with_apostrophe)
        others = [name for name in plain.columns if name not in COLUMNS]
        text = plain[[*COLUMNS, *others]].to_csv(index=False, lineterminator="\n")
        # By the mark at the beginning, spreadsheets know the text as UTF-8.
        write_whole(self.file, text.encode("utf-8-sig", errors="surrogateescape"))


@any_bytes()
def read_verdicts(source: str | os.PathLike[str] | pd.DataFrame) -> pd.DataFrame:
    """Return a table of verdicts, indexed by (path, reviewer); all its columns are text.

    The names of the columns and the verdicts are read in any case: "Label Wrong" is "label wrong".

    Args:
        source: A CSV file, also one that a spreadsheet has saved, or a table with its columns.

    Raises:
        ValueError: If it is not a table of verdicts.
        OSError: If the file cannot be read.

    >>> import pandas as pd
    >>> from camkit.atlas.verdicts import read_verdicts
    >>> table = pd.DataFrame({"path": ["a.jpg"], "true": ["Apple"], "predicted": ["Pear"]})
    >>> read_verdicts(table.assign(verdict="other")).index.tolist()
    [('a.jpg', '')]
    """
    if isinstance(source, pd.DataFrame):
        name = "the table"
        table = _as_text(source)
    else:
        name = str(source)
        table = _read_csv(Path(source)).map(without_apostrophe)
    # A column in the right spelling comes before one like it.
    absent = [name for name in COLUMNS if name not in table]
    table = table.rename(columns=lambda name: _spelled_as(name, absent))
    missing = sorted(set(NEEDED) - set(table.columns))
    if missing:
        raise ValueError(
            f"{name} has the columns {list(table.columns)}: a table of verdicts also has "
            f"{', '.join(missing)}; choose another file"
        )
    for column in COLUMNS:
        if column not in table:
            table[column] = ""
    is_blank = table["verdict"].str.strip() == ""
    table["verdict"] = table["verdict"].mask(is_blank, BLANK["verdict"])
    table["verdict"] = table["verdict"].map(lambda verdict: _spelled_as(verdict, VERDICTS))
    return table.drop_duplicates(KEY, keep="last").set_index(KEY)


def _spelled_as(text: Any, words: Iterable[str]) -> Any:
    """Return the one of the words that differs from a text in case alone, or else the text."""
    spellings = {word.casefold(): word for word in words}
    return spellings.get(str(text).strip().casefold(), text)


def _as_text(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table whose index is a plain one and whose cells are text; missing ones are ""."""
    if set(KEY) & set(table.index.names):
        table = table.reset_index()
    return table.astype(object).where(table.notna(), "").map(str)


class PathMatcher:
    r"""Finds images by paths of another time, another machine or relative to some folder.

    A path is that of an image if it is equal, or else if it has the longest ending in common with
    this image alone. The ending has at least the file and its folder, or is the whole path, and the
    two paths name no different splits.

    >>> from camkit.atlas.verdicts import PathMatcher
    >>> matcher = PathMatcher(["/data/Test/Apple/7.jpg", "/data/Test/Pear/7.jpg"])
    >>> matcher.find("C:\\fruit\\Test\\Pear\\7.jpg"), matcher.find("Apple/7.jpg")
    (1, 0)
    >>> matcher.find("7.jpg"), matcher.find("/data/Training/Apple/7.jpg")
    (None, None)
    """

    def __init__(self, paths: Sequence[str]) -> None:
        """Store the paths of the images; of equal ones, the first is found."""
        self._found: dict[str, int | None] = {}
        self._by_name: dict[str, list[tuple[int, list[str]]]] = {}
        for i, path in enumerate(paths):
            if path in self._found:
                continue
            self._found[path] = i
            parts = _parts(path)
            self._by_name.setdefault(parts[-1], []).append((i, parts))

    def find(self, path: str) -> int | None:
        """Return the number of the image that a path is of, or None if that is not certain."""
        if path not in self._found:
            self._found[path] = self._by_ending(_parts(path))
        return self._found[path]

    def _by_ending(self, parts: list[str]) -> int | None:
        split = split_of("/".join(parts))
        longest = 0
        found: list[int] = []
        for i, other_parts in self._by_name.get(parts[-1], []):
            length = _common_ending(parts, other_parts)
            is_enough = length >= min(2, len(parts))
            other_split = split_of("/".join(other_parts))
            if not is_enough or length < longest or _differ(split, other_split):
                continue
            found = [*found, i] if length == longest else [i]
            longest = length
        return found[0] if len(found) == 1 else None


def for_view(table: pd.DataFrame, matcher: PathMatcher) -> tuple[list[dict], list[dict]]:
    """Return the verdicts of a table as the view reads them.

    Args:
        table: The table of `read_verdicts`.
        matcher: It finds the images.

    Returns:
        The verdicts on images that are found, {i, verdict, comment, correctLabel, reviewer}; and
        the others, {path, true, predicted, …} in place of the image's number.
    """
    rows = []
    unmatched = []
    for row in table.reset_index().to_dict("records"):
        entered = {name: row[column] for name, column in VIEW_NAMES.items()}
        entry = entered | {"reviewer": row["reviewer"]}
        i = matcher.find(row["path"])
        if i is None:
            known = {name: row[name] for name in ("path", "true", "predicted")}
            unmatched.append(known | entry)
        else:
            rows.append({"i": i} | entry)
    return rows, unmatched


def _differ(split: str | None, other: str | None) -> bool:
    """Return whether two paths name two different splits."""
    return split is not None and other is not None and split != other


def _parts(path: str) -> list[str]:
    """Return the parts of a path of any system, with letters composed as most systems do."""
    plain = unicodedata.normalize("NFC", path).replace("\\", "/")
    return [part for part in plain.split("/") if part not in ("", ".")] or [""]


def _common_ending(parts: list[str], others: list[str]) -> int:
    """Return how many parts two paths have in common at their ends."""
    length = 0
    for part, other in zip(reversed(parts), reversed(others), strict=False):
        if part != other:
            break
        length += 1
    return length


def _put(
    rows: _Rows, row: Mapping[str, str], seen: Mapping[str, Any] | None
) -> tuple[bool, dict[str, str]]:
    """Set or add a row, as `Verdicts.save` says."""
    key = (row["path"], row["reviewer"])
    present = rows.get(key)
    if present is not None:
        stored = {name: present[name] for name in BLANK}
        expected = {name: (seen or {}).get(name) or blank for name, blank in BLANK.items()}
        if stored != expected:
            return False, {**row, **stored}
    entered = {name: row.get(name, "") for name in ("true", "predicted", *BLANK)}
    rows[key] = {**(present or {}), **entered}
    return True, dict(row)


def _table_of(rows: _Rows) -> pd.DataFrame:
    """Return rows as a table; cells that a row does not have are empty."""
    if not rows:
        return _empty_table()
    index = pd.MultiIndex.from_tuples(rows, names=KEY)
    return pd.DataFrame(list(rows.values()), index=index).fillna("")


def with_apostrophe(text: str) -> str:
    """Return a cell with an apostrophe before it if a spreadsheet would calculate it."""
    return f"'{text}" if FORMULA.match(str(text)) else text


def without_apostrophe(text: str) -> str:
    """Return the cell that `with_apostrophe` was given."""
    return text[1:] if text.startswith("'") and FORMULA.match(text) else text


def _read_csv(file: Path) -> pd.DataFrame:
    """Return the table in a CSV file, all text, also as spreadsheets write it.

    These may write UTF-16, and semicolons or tabs between the cells.
    """
    try:
        data = file.read_bytes()
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"there is no file {file}: pass a CSV file of verdicts that the atlas has written"
        ) from error
    is_utf16 = data[:2] in (b"\xff\xfe", b"\xfe\xff")
    try:
        text = data.decode("utf-16" if is_utf16 else "utf-8-sig", "surrogateescape")
        header = text.partition("\n")[0]
        separator = max(SEPARATORS, key=header.count)
        with warnings.catch_warnings():
            # pandas truncates rows that are longer than the header, with a warning.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            table = pd.read_csv(
                io.StringIO(text),
                sep=separator,
                index_col=False,
                dtype=str,
                keep_default_na=False,
                encoding_errors="surrogateescape",
            )
    except (ValueError, pd.errors.ParserWarning) as error:
        reason = " ".join(str(error).split())
        raise ValueError(
            f"{file} is not a table of verdicts: {reason}; fix it or choose another file"
        ) from error
    return table.fillna("")


def _empty_table() -> pd.DataFrame:
    index = pd.MultiIndex.from_arrays([[], []], names=KEY)
    return pd.DataFrame(columns=["true", "predicted", *BLANK], index=index, dtype=str)
