"""Recorded tables: lessons show them, a run on the same data writes them anew, and both agree."""

import re

import numpy as np
import pandas as pd
import pytest
import records
import workbook
from lesson_files import LESSONS, read_page
from repository import ROOT

import camkit

RECORDED = sorted((ROOT / "notebooks/records").glob("*.csv"))
each_table = pytest.mark.parametrize("file", RECORDED, ids=lambda path: path.stem)


def lines(*rows):
    return pd.DataFrame(rows, columns=["row", "column", "value", "low", "high"])


@pytest.fixture
def folders(monkeypatch, tmp_path):
    """Empty folders in place of those of the project: (recorded tables, new ones)."""
    found = tmp_path / "records", tmp_path / "new"
    found[0].mkdir()
    for module in workbook, records:
        monkeypatch.setattr(module, "RECORDS", found[0])
        monkeypatch.setattr(module, "NEW_RECORDS", found[1])
    return found


@each_table
def test_a_recorded_table_says_where_it_is_from_and_has_intervals(file):
    text = file.read_text(encoding="utf-8")
    *title, run = [line for line in text.splitlines() if line.startswith("# ")]
    assert title and re.match(r"# Recorded on 20\d\d-\d\d-\d\d with Keras \d.*\.$", run)
    table = pd.read_csv(file, comment="#")
    assert list(table) == ["row", "column", "value", "low", "high"] and len(table) > 0
    assert (table.low <= table.value).all() and (table.value <= table.high).all()
    assert not table.duplicated(["row", "column"]).any()


@each_table
def test_a_lesson_shows_a_recorded_table_and_writes_it_anew(file):
    sources = [lesson.read_text(encoding="utf-8") for lesson in LESSONS]
    for call in "recorded", "record":
        assert sum(rf"{call}(\"{file.stem}\"" in source for source in sources) == 1, call


def test_a_table_is_written_and_shown_with_its_digits_and_what_it_is(folders, monkeypatch):
    shown = []
    monkeypatch.setattr(workbook, "display", lambda bundle, raw: shown.append(bundle))
    gain = {"b": camkit.Interval(0.5, 0.25, 0.75), "a": camkit.Interval(-0.1, -0.304, 0.1)}
    workbook.record("gains", pd.DataFrame({"gain": gain}))
    written = (folders[1] / "gains.csv").read_text(encoding="utf-8")
    assert "row,column,value,low,high\nb,gain,0.50,0.25,0.75\na,gain,-0.10,-0.30,0.10" in written

    (folders[0] / "gains.csv").write_text("# Gain on <b>.\n" + written, encoding="utf-8")
    values = workbook.recorded("gains")
    assert values["b", "gain"] == (0.5, 0.25, 0.75) and values["a", "gain"].low == -0.3
    soup, _ = read_page(shown[0]["text/html"])
    assert soup.caption.text.strip().startswith("Gain on <b>. Recorded on 20")
    assert [cell.text for cell in soup.select("tbody th")] == ["b", "a"]
    cells = [cell.text for cell in soup.select("td")]
    assert cells == ["0.50 (0.25 to 0.75)", "−0.10 (−0.30 to 0.10)"]

    workbook.record("gains", pd.DataFrame({"gain": gain}))
    again = (folders[1] / "gains.csv").read_text(encoding="utf-8").splitlines()
    assert again[0] == "# Gain on <b>." and again[1].startswith("# Recorded on")
    assert again[2] == "row,column,value,low,high"


@pytest.mark.parametrize(
    ("new", "agrees"),
    [
        ((0.6, 0.4, 0.8), True),
        ((0.9, 0.7, 1.0), True),
        ((0.9, 0.71, 1.0), False),
        ((0.1, 0.0, 0.29), False),
        ((0.3, np.nan, np.nan), True),
        ((0.29, np.nan, np.nan), False),
    ],
)
def test_values_agree_where_intervals_overlap(new, agrees):
    recorded = lines(("CAM", "V2", 0.5, 0.3, 0.7))
    found = records.departures(recorded, lines(("CAM", "V2", *new)))
    assert (found == []) == agrees
    if not agrees:
        assert found[0].startswith("CAM, V2: recorded 0.5 (0.3 to 0.7), now 0")


def test_lines_that_only_one_table_has_are_named():
    recorded = lines(("CAM", "V2", 0.5, 0.3, 0.7), ("rim", "V2", 0.5, 0.3, 0.7))
    new = lines(("CAM", "V2", 0.5, 0.3, 0.7), ("centre", "V2", 0.5, 0.3, 0.7))
    assert sorted(records.departures(recorded, new)) == [
        "centre, V2: only the new run has it",
        "rim, V2: only the recorded table has it",
    ]


def test_the_comparison_fails_with_the_numbers(folders, monkeypatch, capsys):
    old = lines(("CAM", "V2", 0.5, 0.3, 0.7))
    folders[1].mkdir()
    for name in "one", "two":
        old.to_csv(folders[0] / f"{name}.csv", index=False)

    def compare(*options):
        monkeypatch.setattr("sys.argv", ["records.py", *options])
        with pytest.raises(SystemExit) as ended:
            records.main()
        return ended.value.code, capsys.readouterr().out

    old.to_csv(folders[1] / "one.csv", index=False)
    code, text = compare()
    assert code == 0 and "one.csv: agrees" in text and "two.csv: NOT COMPARED" in text
    assert compare("--all")[0] == 1
    lines(("CAM", "V2", 0.9, 0.8, 0.95)).to_csv(folders[1] / "two.csv", index=False)
    code, text = compare()
    assert code == 1 and "CAM, V2: recorded 0.5 (0.3 to 0.7), now 0.9 (0.8 to 0.95)" in text
