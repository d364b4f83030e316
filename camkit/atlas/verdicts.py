"""The verdicts of reviewers, in a CSV file: one row for each picture and reviewer, written at once and never lost.

Columns: path, true, predicted, verdict, comment, reviewer; others stay as they are, and so do rows of other pictures.
"""

import io
import re
import warnings
from pathlib import Path

import pandas as pd

from camkit._files import any_bytes, in_turn, write_whole

NEEDED = ("path", "true", "predicted", "verdict")
COLUMNS = (*NEEDED, "comment", "reviewer")
UNSAID = {
    "verdict": "not reviewed",
    "comment": "",
}  # what a reviewer may write, and where nobody has
FORMULA = re.compile(r"^'*[=+\-@\t\r]")


class Verdicts:
    """What a CSV file holds; it is read anew each time, since others may write to it, too. Without a file nothing is
    kept beyond this object. Raises ValueError where the file is no such table."""

    def __init__(self, file=None):
        self.file = None if file is None else Path(file)
        self._table = _empty()
        self.read()

    @any_bytes()
    def read(self):
        """Return the table of all verdicts, indexed by (path, reviewer)."""
        if self.file is None:
            return self._table
        if not self.file.exists():
            return _empty()
        table = _parsed(self.file)
        if missing := set(NEEDED) - set(table.columns):
            raise ValueError(
                f"{self.file} has the columns {list(table.columns)}: a table of verdicts also has "
                f"{', '.join(sorted(missing))}; name another file"
            )
        for column in ("comment", "reviewer"):
            if column not in table:
                table[column] = ""
        table = table.map(
            lambda text: text[1:] if text.startswith("'") and FORMULA.match(text) else text
        )
        return table.drop_duplicates(["path", "reviewer"], keep="last").set_index(
            ["path", "reviewer"]
        )

    @any_bytes()
    def keep(self, row, seen=None):
        """Write a row {path, true, predicted, verdict, comment, reviewer} and return (True, row); return (False, the
        row that is there) and write nothing if it differs from `seen`, the row that the reviewer saw (None: none)."""
        if self.file is None:
            return True, self._put(self._table, row)
        with in_turn(self.file.with_name(f".{self.file.name}.lock")):
            table = self.read()
            key = row["path"], row["reviewer"]
            there = table.loc[key] if key in table.index else None
            known = {name: (seen or {}).get(name) or unsaid for name, unsaid in UNSAID.items()}
            if there is not None and any(there[name] != known[name] for name in UNSAID):
                return False, {**row, **{name: there[name] for name in UNSAID}}
            self._put(table, row)
            plain = table.reset_index().map(
                lambda text: f"'{text}" if FORMULA.match(str(text)) else text
            )
            plain = plain[[*COLUMNS, *(name for name in plain.columns if name not in COLUMNS)]]
            write_whole(
                self.file,
                plain.to_csv(index=False, lineterminator="\n").encode(errors="surrogateescape"),
            )
        return True, row

    @staticmethod
    def _put(table, row):
        table.loc[(row["path"], row["reviewer"]), ["true", "predicted", *UNSAID]] = [
            row["true"],
            row["predicted"],
            *(row[name] for name in UNSAID),
        ]
        table.fillna("", inplace=True)  # further columns of a new row
        return row


def _parsed(file):
    """The table in a CSV file, all text, also as spreadsheets write it: in UTF-16, with semicolons or tabs."""
    data = file.read_bytes()
    try:
        text = data.decode(
            "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig", "surrogateescape"
        )
        separator = max(",;\t", key=text.partition("\n")[0].count)
        with warnings.catch_warnings():
            warnings.simplefilter(
                "error", pd.errors.ParserWarning
            )  # of rows longer than the header
            return pd.read_csv(
                io.StringIO(text),
                sep=separator,
                index_col=False,
                dtype=str,
                keep_default_na=False,
                encoding_errors="surrogateescape",
            ).fillna("")
    except (ValueError, pd.errors.ParserWarning) as error:
        raise ValueError(
            f"{file} is no table of verdicts: {' '.join(str(error).split())}; mend it or name another "
            "file"
        ) from error


def _empty():
    index = pd.MultiIndex.from_arrays([[], []], names=["path", "reviewer"])
    return pd.DataFrame(columns=["true", "predicted", *UNSAID], index=index, dtype=str)
