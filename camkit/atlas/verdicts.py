"""The verdicts of reviewers, in a CSV file: one row for each picture and reviewer, written at once and never lost.

Columns: path, true, predicted, verdict, comment, reviewer; others stay as they are, and so do rows of other pictures.
"""

import os
import re
from pathlib import Path

import pandas as pd
from filelock import FileLock

NEEDED = ("path", "true", "predicted", "verdict")
SAID = ("verdict", "comment")         # what a reviewer writes; `verdict` is "not reviewed" where there is none
FORMULA = re.compile(r"^'*[=+\-@\t\r]")


class Verdicts:
    """What a CSV file holds; it is read anew each time, since others may write to it, too. Without a file nothing is
    kept beyond this object. Raises ValueError where the file is no such table."""

    def __init__(self, file=None):
        self.file = None if file is None else Path(file)
        self._table = _empty()
        self.read()

    def read(self):
        """Return the table of all verdicts, indexed by (path, reviewer)."""
        if self.file is None or not self.file.exists():
            return self._table if self.file is None else _empty()
        table = pd.read_csv(self.file, dtype=str, keep_default_na=False, encoding="utf-8-sig",
                            encoding_errors="surrogateescape")
        if missing := set(NEEDED) - set(table.columns):
            raise ValueError(f"{self.file} has the columns {list(table.columns)}: a table of verdicts also has "
                             f"{', '.join(sorted(missing))}; name another file")
        for column in ("comment", "reviewer"):
            if column not in table:
                table[column] = ""
        table = table.map(lambda text: text[1:] if text.startswith("'") and FORMULA.match(text) else text)
        return table.drop_duplicates(["path", "reviewer"], keep="last").set_index(["path", "reviewer"])

    def keep(self, row, seen=None):
        """Write a row {path, true, predicted, verdict, comment, reviewer} and return (True, row); return (False, the
        row that is there) and write nothing if it differs from `seen`, the row that the reviewer saw (None: none)."""
        if self.file is None:
            return True, self._put(self._table, row)
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(self.file.with_name(f".{self.file.name}.lock")):
            table = self.read()
            key = row["path"], row["reviewer"]
            there = table.loc[key] if key in table.index else None
            if there is not None and any(there[name] != ((seen or {}).get(name) or UNSAID[name]) for name in SAID):
                return False, {**row, **{name: there[name] for name in SAID}}
            self._put(table, row)
            partial = self.file.with_name(self.file.name + ".partial")
            plain = table.reset_index().map(lambda text: f"'{text}" if FORMULA.match(str(text)) else text)
            with open(partial, "w", encoding="utf-8", errors="surrogateescape", newline="") as stream:
                plain[[*COLUMNS, *(name for name in plain.columns if name not in COLUMNS)]].to_csv(stream, index=False)
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(partial, self.file)
        return True, row

    @staticmethod
    def _put(table, row):
        table.loc[(row["path"], row["reviewer"]), ["true", "predicted", *SAID]] = [
            row["true"], row["predicted"], *(row[name] for name in SAID)]
        table.fillna("", inplace=True)                                 # further columns of a new row
        return row


COLUMNS = (*NEEDED, "comment", "reviewer")
UNSAID = {"verdict": "not reviewed", "comment": ""}


def _empty():
    index = pd.MultiIndex.from_arrays([[], []], names=["path", "reviewer"])
    return pd.DataFrame(columns=["true", "predicted", *SAID], index=index, dtype=str)
