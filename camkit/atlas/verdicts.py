"""The verdicts of reviewers in a CSV file: one row for each image and reviewer, written at once.

The columns are path, true, predicted, verdict, comment and reviewer. Other columns are left as they
are, and so are the rows of other images.
"""

import io
import os
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from camkit._files import any_bytes, in_turn, write_whole

NEEDED = ("path", "true", "predicted", "verdict")
COLUMNS = (*NEEDED, "comment", "reviewer")
KEY = ["path", "reviewer"]

# The fields that a reviewer fills in, and their values before that.
BLANK = {"verdict": "not reviewed", "comment": ""}

# A spreadsheet would run a cell that begins like this as a formula. So it is written with an
# apostrophe before it.
FORMULA = re.compile(r"^'*[=+\-@\t\r]")

SEPARATORS = ",;\t"


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
        table = _read_csv(self.file)
        missing = sorted(set(NEEDED) - set(table.columns))
        if missing:
            raise ValueError(
                f"{self.file} has the columns {list(table.columns)}: a table of verdicts also has "
                f"{', '.join(missing)}; choose another file"
            )
        for column in ("comment", "reviewer"):
            if column not in table:
                table[column] = ""
        table = table.map(_without_apostrophe)
        return table.drop_duplicates(KEY, keep="last").set_index(KEY)

    @any_bytes()
    def save(
        self, row: Mapping[str, str], seen: Mapping[str, Any] | None = None
    ) -> tuple[bool, dict[str, str]]:
        """Save a verdict; return whether it was saved, and the row that is stored now.

        Nothing is written if the stored verdict is not the one that the reviewer saw.

        Args:
            row: {path, true, predicted, verdict, comment, reviewer}.
            seen: {verdict, comment} that the reviewer saw, or None if there was none.

        Raises:
            ValueError: If the file is not a table of verdicts.
            OSError: If it cannot be written.
        """
        if self.file is None:
            _put(self._table, row)
            return True, dict(row)
        with in_turn(self.file.with_name(f".{self.file.name}.lock")):
            table = self.read()
            conflict = _conflict(table, row, seen)
            if conflict is not None:
                return False, {**row, **conflict}
            _put(table, row)
            self._write(table)
        return True, dict(row)

    def _write(self, table: pd.DataFrame) -> None:
        """Write the table, the columns of verdicts first."""
        assert self.file is not None
        plain = table.reset_index().map(_with_apostrophe)
        others = [name for name in plain.columns if name not in COLUMNS]
        text = plain[[*COLUMNS, *others]].to_csv(index=False, lineterminator="\n")
        write_whole(self.file, text.encode(errors="surrogateescape"))


def _conflict(
    table: pd.DataFrame, row: Mapping[str, str], seen: Mapping[str, Any] | None
) -> dict[str, str] | None:
    """Return the stored verdict and comment if they are not those that the reviewer saw."""
    key = (row["path"], row["reviewer"])
    if key not in table.index:
        return None
    stored = {name: table.loc[key, name] for name in BLANK}
    expected = {name: (seen or {}).get(name) or blank for name, blank in BLANK.items()}
    return None if stored == expected else stored


def _put(table: pd.DataFrame, row: Mapping[str, str]) -> None:
    """Set or add a row of the table."""
    columns = ["true", "predicted", *BLANK]
    key = (row["path"], row["reviewer"])
    table.loc[key, columns] = [row[name] for name in columns]
    # Further columns of a new row are empty.
    table.fillna("", inplace=True)


def _with_apostrophe(text: str) -> str:
    return f"'{text}" if FORMULA.match(str(text)) else text


def _without_apostrophe(text: str) -> str:
    return text[1:] if text.startswith("'") and FORMULA.match(text) else text


def _read_csv(file: Path) -> pd.DataFrame:
    """Return the table in a CSV file, all text, also as spreadsheets write it.

    These may write UTF-16, and semicolons or tabs between the cells.
    """
    data = file.read_bytes()
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
