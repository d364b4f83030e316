"""All that writes, under faults of the disk, of the clock and of the machine: whatever happened,
the next call ends with the same bytes, and where there is an error it names the folder and the
remedy.

`make check-stress` tries a part; `make crashes` all of it. What was tried and what happened is a
page: build/crashes.html.
"""

import json
import os
import re
import subprocess
import sys
from collections import Counter

import pytest
from repository import ROOT, child_environment

CHILD = ROOT / "tests" / "stress" / "crashes" / "child.py"
ALL = bool(os.environ.get("CRASHES_ALL"))
QUICK = {  # the part of the attempts, and the faults, where not all are tried
    "analyze": ("0.1",),
    "analyze again": ("0.1",),
    "download and unpacking": ("0.1",),
    "write_atlas": ("0.1",),
    "verdicts": ("0.1",),
    "course build": ("0.02", "killed_before_every_change", "no_file_larger_than_a_limit"),
}
WRITERS = (
    [*QUICK, "analyze on Ray", "grading"] if ALL else [*QUICK]
)  # which test_cluster.py and test_course.py kill once
ROOM, LEAVE = (
    r"\S.* cannot be written to: .*; make room there or choose another folder and call again",
    (
        r"\w+: .*(FOLDER|PARENT) cannot be written to: .*it was moved or deleted meanwhile: leave "
        r"it where it is and call"
    ),
)
ENDS = {  # as which the attempts may end
    "killed at random moments": "killed",
    "killed before every change": "killed",
    "no file larger than a limit": rf"OSError: {ROOM}.*",
    "disk full": rf"OSError: {ROOM}.*",
    "folder read only": r"(PermissionError|OSError): (FOLDER|PARENT) cannot be written to: .*; "
    r"allow writing there .*",
    "folder vanished": rf"done|{LEAVE}.*",
    "two at once": "(done|killed) and done",
    "clock jumps": "done",
    "names of 255 bytes": r"done|OSError: PARENT cannot be written to: .*; "
    r"choose a shorter name and call again.*",
    "workers killed at random moments": "done",  # of a cluster
}


@pytest.fixture(scope="module")
def found():
    """{writer: {fault: [what happened]}}, which becomes the page."""
    found = {}
    yield found
    write_page(found)


@pytest.mark.parametrize("writer", WRITERS)
def test_after_every_fault_the_next_call_ends_with_the_same_bytes(writer, found):
    command = [sys.executable, CHILD, writer, *(("1",) if ALL else QUICK[writer])]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=14_400 if ALL else 1200,
        env=child_environment(),
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found[writer] = json.loads(done.stdout)["faults"]
    assert ALL or QUICK[writer][1:] or list(found[writer]) == list(ENDS)[:-1]
    for fault, trials in found[writer].items():
        odd = [
            trial
            for trial in trials
            if not re.fullmatch(ENDS[fault], trial["end"], re.S)
            or not trial["same"]
            or trial["lost"]
            or trial["half"]
            or trial.get("changed")
            or not trial.get("alike", True)
        ]
        assert not odd, f"{writer}, {fault}: {json.dumps(odd[:3], indent=1)}"
        assert trials or fault == "disk full", f"{writer}, {fault}: nothing was tried"


def write_page(found):
    """Write build/crashes.html: a row for each writer and fault, from what the tests saw."""
    import pages
    from nbformat.v4 import new_markdown_cell, new_notebook

    part = (
        "all that `make crashes` tries"
        if ALL
        else "the part that `make check-stress` tries; `make crashes` tries all"
    )
    lines = [
        "# What happens when the disk or the machine fails",
        "Each writer under each fault, each attempt a process of its own: "
        f"{part}. Written by `tests/stress/test_writers.py` from what it saw.",
        "",
        "FOLDER is what is written, PARENT the folder that it lies in. The last column counts "
        "after how many of the "
        "attempts the next call ended with the same bytes as a run that nothing disturbed; some "
        "were killed twice "
        "before it.",
        "",
    ]
    for writer, faults in found.items():
        lines += [
            f"## {writer}",
            "",
            "| fault | tried | what happened | same bytes after |",
            "| --- | --- | --- | --- |",
        ]
        for fault, trials in faults.items():
            ends = Counter()
            for trial in trials:
                ends[re.sub(r" \([^()]*\)", "", trial["end"])] += trial.get("times", 1)
            told = (
                "; ".join(f"{times} × {plain(end)}" for end, times in ends.most_common())
                or "could not be tried here"
            )
            lines.append(
                f"| {fault} | {ends.total()} | {told} | "
                f"{sum(trial['same'] for trial in trials)} of {len(trials)} |"
            )
        lines.append("")
    page = pages.page(new_notebook(cells=[new_markdown_cell("\n".join(lines))]), "crashes.html")
    (ROOT / "build").mkdir(exist_ok=True)
    (ROOT / "build" / "crashes.html").write_text(page, encoding="utf-8")


def plain(text):
    return re.sub(r"([\\`*_{}\[\]<>()#+!|~$&])", r"\\\1", " ".join(text.split()))
