"""Compare the tables that the lessons' last run has written with the recorded ones.

`make check-photographs` calls this after its runs: python tests/records.py [--all]
"""

import argparse
import sys
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
RECORDS = ROOT / "notebooks/records"
NEW_RECORDS = ROOT / "build/records"
KEYS = ["row", "column"]


def departures(recorded: pd.DataFrame, new: pd.DataFrame) -> list[str]:
    """Return where a new run contradicts a recorded table, a line each: [] where it agrees.

    A new value agrees if its 95 % interval and the recorded one overlap. One without an interval
    agrees if it lies in the recorded interval.

    Args:
        recorded: Lines with `row`, `column`, `value`, `low` and `high`.
        new: Those of the new run.
    """
    both = recorded.merge(new, on=KEYS, how="outer", suffixes=("", "_new"), indicator="found")
    lines = []
    for line in both.itertuples():
        place = f"{line.row}, {line.column}"
        if line.found != "both":
            where = "recorded table" if line.found == "left_only" else "new run"
            lines.append(f"{place}: only the {where} has it")
            continue
        low = line.value_new if pd.isna(line.low_new) else line.low_new
        high = line.value_new if pd.isna(line.high_new) else line.high_new
        if low > line.high or high < line.low:
            lines.append(
                f"{place}: recorded {line.value} ({line.low} to {line.high}), "
                f"now {line.value_new} ({low} to {high})"
            )
    return lines


def main() -> None:
    """Compare all recorded tables; exit with 1 where one departs or, with --all, is missing."""
    parser = argparse.ArgumentParser(description="Compare the last run with the recorded tables.")
    parser.add_argument("--all", action="store_true", help="a table that was not written fails")
    options = parser.parse_args()
    failed = False
    for file in sorted(RECORDS.glob("*.csv")):
        new = NEW_RECORDS / file.name
        if not new.exists():
            print(f"{file.name}: NOT COMPARED, no lesson wrote it in this run")
            failed |= options.all
            continue
        lines = departures(pd.read_csv(file, comment="#"), pd.read_csv(new, comment="#"))
        print(f"{file.name}: {'agrees' if not lines else 'departs'}", *lines, sep="\n  ")
        failed |= bool(lines)
    sys.exit(int(failed))


if __name__ == "__main__":
    main()
