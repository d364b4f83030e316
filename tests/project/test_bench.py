"""The benchmark of the judge tells whether two of its tables rank methods alike."""

import importlib

import pytest
from repository import ROOT

HEADER = """## A network

41 photographs, {day}, Python 3.11.7; 3 minutes of the cores' time.

| method | layer | road | marks | verdict |
| --- | --- | --- | --- | --- |
"""
FIRST = {
    "hires_cam": "0.40 [0.35, 0.45] | 0.99 [0.98, 1.00]",
    "layer_cam": "0.38 [0.34, 0.44] | 0.70 [0.68, 0.72]",
    "centre": "0.30 [0.25, 0.34] | 0.50 [0.50, 0.50]",
    "random": "-0.01 [-0.06, 0.04] | 0.50 [0.50, 0.50]",
}


@pytest.fixture
def judge(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "tests" / "bench")
    return importlib.import_module("judge")


def section(rows, day="2026-01-01"):
    return HEADER.format(day=day) + "\n".join(
        f"| {method} | last | {values} | passes |" for method, values in rows.items()
    )


def test_the_values_of_a_table(judge):
    values = judge.values_of(section(FIRST))
    assert values.loc[("random", "last"), "road"].tolist() == [-0.01, -0.06, 0.04]
    assert values["marks", "low"].tolist() == [0.98, 0.68, 0.5, 0.5]


@pytest.mark.parametrize(
    "changed, pairs",
    [
        ({}, 0),
        # The intervals of the first two overlap in "road".
        ({"layer_cam": "0.42 [0.38, 0.46] | 0.70 [0.68, 0.72]"}, 0),
        # This row falls below "centre", from which it was not apart, nor is it now.
        ({"layer_cam": "0.29 [0.24, 0.35] | 0.70 [0.68, 0.72]"}, 0),
        # It was above "centre" by its interval, and now it is below.
        ({"hires_cam": "0.29 [0.24, 0.35] | 0.99 [0.98, 1.00]"}, 1),
        # It exchanges its place with another one in "marks": apart in both tables.
        ({"layer_cam": "0.38 [0.34, 0.44] | 0.40 [0.38, 0.42]"}, 2),
    ],
)
def test_rows_that_are_apart_stay_in_order(judge, changed, pairs):
    old = section(FIRST)
    new = section(FIRST | changed, "2026-01-02")
    for first, second in ((old, new), (new, old)):
        found, answer = judge.compared(first, second)
        assert found == pairs
        same = answer.partition("same ranking within intervals: ")[2].partition("; no mean")[0]
        assert same == "yes" or same.startswith(f"no, {pairs} pairs in ")
        assert (same == "yes") == (pairs == 0)
    assert answer.startswith("Compared with the run of 2026-01-02: ")


def test_rows_that_one_table_lacks_are_passed_over(judge):
    more = FIRST | {"eigen_cam": "0.90 [0.80, 0.95] | 0.50 [0.50, 0.50]"}
    assert judge.compared(section(FIRST), section(more))[0] == 0
