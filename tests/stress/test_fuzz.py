"""What strangers send: broken and hostile files end in pixels, in a reason or in one clear error,
and nothing else.

A tenth of it runs in `make check-stress`; `make fuzz` runs all of it. Files are drawn by SEED and
their number, so that a finding is there again: fuzz.images.mutated(SEED, number).
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from fuzz import archives, images, models, notebooks
from repository import ROOT, child_environment

ALL = bool(os.environ.get("FUZZ_ALL"))
SEED = 0
SHARE = 1 if ALL else 10
CHILD = ROOT / "tests" / "stress" / "fuzz" / "child.py"
PICTURES = 10_000 // SHARE
ARCHIVES = 1_000 // SHARE
MODELS = 300 // SHARE
STUDENTS = 100 // SHARE


def told_by_child(what, folder, megabytes, seconds=300):
    """Return what a child process with so much memory and time found, having said nothing else."""
    done = subprocess.run(
        [sys.executable, CHILD, str(megabytes), what, folder],
        capture_output=True,
        text=True,
        timeout=seconds,
        env=child_environment(),
    )
    assert (done.returncode, done.stderr) == (0, ""), (
        f"ended with {done.returncode}: {done.stderr[-2000:]}"
    )
    return json.loads(done.stdout)["found"]


REASONS = re.compile(
    r"empty|not an image of a known kind \(.+\)|a decompression bomb: more than 89,478,485 pixels|"
    r"it needs more memory than is available|truncated or damaged: \S.*",
    re.S,
)


@pytest.mark.parametrize("first", range(0, PICTURES, 500))
def test_every_picture_ends_as_pixels_or_as_a_reason(tmp_path, first):
    """Memory: four threads with a picture of the 89 million pixels that Pillow allows."""
    (tmp_path / "class").mkdir()
    for index in range(first, first + 500):
        suffix, data = images.mutated(SEED, index)
        (tmp_path / "class" / f"{index}.{suffix}").write_bytes(data)
    found = told_by_child("pictures", tmp_path, megabytes=4000)
    shapes = [end for end in found.values() if isinstance(end, list)]
    odd = {
        name: end
        for name, end in found.items()
        if isinstance(end, str) and not REASONS.fullmatch(end)
    }
    assert len(found) == 500 and not odd
    assert 100 < len(shapes) < 400, "the mutations break too little or too much to tell anything"


def test_every_archive_is_the_set_or_one_clear_error(tmp_path):
    for index in range(ARCHIVES):
        (tmp_path / f"{index}.zip").write_bytes(archives.mutated(SEED, index))
    found = told_by_child("archives", tmp_path, megabytes=1000)
    unpacked = [name for name, end in found.items() if end == "unpacked"]
    for name, end in found.items():
        left = {
            path.relative_to(tmp_path / name).parts[:1] for path in (tmp_path / name).rglob("*")
        } - {(".lock",)}
        if end == "unpacked":
            assert left == {("fruits-360-2025.03.09.0",)}
            pictures = [
                path
                for path in (tmp_path / name).rglob("*")
                if path.is_file() and path.name != ".lock"
            ]
            assert len(pictures) == 6 and {path.suffix for path in pictures} == {".jpg"}
        else:
            assert not left, f"{name} left {left}"
            assert re.match(
                r"OSError: the archive from \S+ is damaged: \S.* call again to download it again",
                end,
                re.S,
            ), end
    assert not [path for path in tmp_path.rglob("*") if path.is_symlink() or "evil" in path.name]
    assert {path.name for path in tmp_path.iterdir()} == set(found) and len(found) == ARCHIVES
    assert not list(Path("/tmp").glob("evil*")) and not list(tmp_path.parent.glob("evil*"))
    assert 0.1 < len(unpacked) / ARCHIVES < 0.5, (
        "the mutations break too little or too much to tell anything"
    )


def test_no_model_file_runs_code_or_writes_outside(tmp_path):
    """What the shell says of a model that it cannot read or run is one line, which names the file
    and what to do.
    """
    suffix, data = images.wholes()[0]
    for name in ("one", "two"):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        (tmp_path / "pictures" / name / f"0.{suffix}").write_bytes(data)
    for index in range(MODELS):
        (tmp_path / f"{index}.keras").touch()  # the child has Keras, and fills them
    found = told_by_child("models", tmp_path, megabytes=8000, seconds=3600)
    assert len(found) == MODELS + 1 and found["whole"][0] == 0
    for name, (code, said) in found.items():
        last = said.strip().splitlines()[-1]
        clear = re.match(
            rf"error: {tmp_path / name}.keras (cannot be loaded|was loaded and does not run): \S",
            last,
        )
        assert code == 0 and re.search("images? of", last) or code == 1 and clear, (
            f"{name} ended with {code}: {said}"
        )
        assert "DID" not in said and "Traceback" not in said, f"{name}: {said}"
    assert not Path(models.CANARY).exists() and not list(tmp_path.parent.glob("evil*"))
    assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == {*found, "pictures"}
    assert 0.1 < sum(not code for code, _ in found.values()) / len(found) < 0.6, (
        "they break too little or too much"
    )


def test_every_notebook_that_is_handed_in_is_read_or_set_aside_with_a_line(tmp_path):
    released = json.loads(
        (ROOT / "notebooks" / "assignments" / "1-gap-equation.ipynb").read_text(encoding="utf-8")
    )
    for index in range(STUDENTS):
        (tmp_path / f"{index}").mkdir()
        for name, data in notebooks.mutated(SEED, index, released):
            (tmp_path / f"{index}" / os.fsdecode(name)).write_bytes(data)
    found = told_by_child("notebooks", tmp_path, megabytes=3000, seconds=1200)
    assert len(found) == STUDENTS
    odd = {
        name: end
        for name, end in found.items()
        if isinstance(end, str) or not end[0] and not end[1]
    }
    assert not odd, "neither read nor set aside with a line"
    assert 0.1 < sum(bool(read) for read, _ in found.values()) / STUDENTS < 0.9, (
        "they break too little or too much"
    )
