"""Slices that err more than the rest are found, and none where errors do not depend on them."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from made_analyses import analysis_of, image_set
from scipy.stats import fisher_exact

import camkit
from camkit.faults.slices import _holm

COUNT = 120


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return image_set(tmp_path_factory.mktemp("slices"), labels=np.arange(COUNT) % 3)


def with_errors(images, is_error, **metadata):
    """An analysis whose errors are the given ones."""
    predicted = np.where(is_error, (images.labels + 1) % 3, images.labels)
    table = pd.DataFrame(metadata) if metadata else None
    # The logits are small, so that all probabilities are finite.
    return replace(analysis_of(images, predicted, step=0.1), metadata=table)


def test_p_by_hand(images):
    """Of 12 images of a slice 3 err, of all others none: p = C(12, 3) / C(120, 3)."""
    camera = np.where(np.arange(COUNT) < 12, "old", "new")
    is_error = np.arange(COUNT) < 3
    table = camkit.error_slices(
        with_errors(images, is_error, camera=camera), by=["metadata"], level=1
    )
    row = table.iloc[0]
    p = (12 * 11 * 10) / (120 * 119 * 118)
    assert (row["slice"], row["size"], row["errors"]) == ("camera = old", 12, 3)
    # Two slices were asked: camera = old and camera = new.
    assert len(table) == 2 and row["p"] == pytest.approx(2 * p)
    assert (row["error_rate"], row["rest_error_rate"]) == (0.25, 0)
    assert row["images"].tolist() == list(range(12))
    assert table["p"][1] == 1 and table["rest_error_rate"][1] == 0.25


def test_p_is_that_of_fishers_exact_test(images):
    draw = np.random.default_rng(0)
    is_error = draw.random(COUNT) < 0.3
    group = draw.integers(0, 2, COUNT)
    table = camkit.error_slices(
        with_errors(images, is_error, group=group), by=["metadata"], level=1
    )
    for _, row in table.iterrows():
        inside = np.isin(np.arange(COUNT), row["images"])
        counts = [
            [(inside & is_error).sum(), (inside & ~is_error).sum()],
            [(~inside & is_error).sum(), (~inside & ~is_error).sum()],
        ]
        assert row["errors"] == counts[0][0]
    raw = sorted(
        fisher_exact(
            [
                [(is_error & (group == g)).sum(), (~is_error & (group == g)).sum()],
                [(is_error & (group != g)).sum(), (~is_error & (group != g)).sum()],
            ],
            alternative="greater",
        ).pvalue
        for g in (0, 1)
    )
    np.testing.assert_allclose(table["p"], np.minimum([2 * raw[0], max(raw[1], 2 * raw[0])], 1))


def test_holms_correction_by_hand():
    corrected = _holm(np.array([0.01, 0.04, 0.03, 0.005]))
    np.testing.assert_allclose(corrected, [0.03, 0.06, 0.06, 0.02])


@pytest.mark.parametrize("kind", ["text", "number", "time", "date", "bool", "missing"])
def test_a_planted_slice_is_found_whatever_its_column_holds(images, kind):
    rows = np.arange(COUNT)
    planted = rows >= 90
    draw = np.random.default_rng(1)
    is_error = draw.random(COUNT) < np.where(planted, 0.7, 0.1)
    column, name = {
        "text": (np.where(planted, "dusk", "noon"), "x = dusk"),
        "number": (rows / 2, "x 45 to 59.5"),
        "time": (pd.Timestamp("2026-01-01") + pd.to_timedelta(rows, "D"), "x 2026-04-01"),
        "date": (
            (pd.Timestamp("2026-01-01") + pd.to_timedelta(rows, "D")).strftime("%Y-%m-%d"),
            "x 2026-04-01",
        ),
        "bool": (planted, "x = True"),
        "missing": (np.where(planted, np.nan, 1.0), "x is missing"),
    }[kind]
    table = camkit.error_slices(with_errors(images, is_error, x=column), by=["metadata"])
    assert len(table) == 1 and table["slice"][0].startswith(name)
    assert table["images"][0].tolist() == rows[planted].tolist() and table["p"][0] < 1e-6


def test_false_alarms_are_as_rare_as_they_are_said_to_be(images):
    """Of 60 sets whose errors depend on nothing, 5 % have a row, and chance on top of that."""
    draw = np.random.default_rng(2)
    alarms = 0
    for _ in range(60):
        is_error = draw.permutation(COUNT) < 30
        columns = {name: draw.integers(0, 4, COUNT) for name in "abc"}
        columns["number"] = draw.random(COUNT)
        table = camkit.error_slices(with_errors(images, is_error, **columns), by=["metadata"])
        alarms += len(table) > 0
    # Three standard deviations above the mean.
    assert alarms <= 60 * 0.05 + 3 * np.sqrt(60 * 0.05 * 0.95)


def test_small_slices_and_slices_with_two_names_are_not_asked(images):
    rows = np.arange(COUNT)
    metadata = {"id": rows.astype(str), "camera": rows < 9, "copy": rows < 60, "same": rows < 60}
    table = camkit.error_slices(
        with_errors(images, rows < 60, **metadata), by=["metadata"], level=1
    )
    # Of the camera, the nine images are too few.
    assert sorted(table["slice"]) == ["camera = False", "copy = False", "copy = True"]
    assert len(camkit.error_slices(with_errors(images, rows < 60, **metadata), smallest=61)) == 0


def test_columns_that_were_not_asked_are_told(images):
    rows = np.arange(COUNT)
    columns = {
        "name": [f"image {i}" for i in rows],
        "same": "x",
        "camera": rows % 2,
        "also camera": rows % 2,
        "day": [f"2026-02-{1 + i}" for i in rows],
    }
    table = camkit.error_slices(with_errors(images, rows < 3, **columns))
    assert table.attrs["not_asked"] == ["name", "same", "day"]


def test_clusters_of_the_features_and_sizes_of_the_pictures_are_slices(tmp_path):
    from PIL import Image

    images = image_set(tmp_path, labels=np.arange(COUNT) % 3)
    planted = np.arange(COUNT) % 4 == 0
    for path, is_planted in zip(images.paths, planted[_numbers(images)], strict=True):
        if is_planted:
            Image.open(path).resize((60, 40)).save(path)
    planted = planted[_numbers(images)]
    analysis = with_errors(images, planted)
    gap = np.random.default_rng(3).normal(size=(COUNT, 6)) + 8 * planted[:, None]
    analysis = replace(analysis, gap=gap.astype("float32"))
    by_features = camkit.error_slices(analysis, by=["features"])
    assert set(np.concatenate(list(by_features["images"]))) == set(np.flatnonzero(planted))
    by_quality = camkit.error_slices(analysis, by=["quality"])
    [first] = by_quality[by_quality["slice"] == "width = 60"]["images"]
    assert first.tolist() == np.flatnonzero(planted).tolist()


def test_dark_pictures_are_a_slice(tmp_path):
    from PIL import Image

    images = image_set(tmp_path, labels=np.arange(COUNT) % 3)
    is_dark = _numbers(images) % 4 == 0
    for path in np.array(images.paths)[is_dark]:
        Image.open(path).point(lambda level: level // 4).save(path)
    table = camkit.error_slices(with_errors(images, is_dark), by=["quality"])
    name = table["slice"][0]
    assert name.startswith("brightness of the brightest pixels 0.")
    assert table["images"][0].tolist() == np.flatnonzero(is_dark).tolist()


def _numbers(images):
    return np.array([int(path.stem) for path in images.paths])


def test_images_without_a_label_are_not_counted(images):
    rows = np.arange(COUNT)
    analysis = with_errors(images, rows < 20, half=rows < 60)
    labels = np.where(rows % 2 == 0, analysis.labels, -1)
    table = camkit.error_slices(replace(analysis, labels=labels), by=["metadata"])
    assert table["size"][0] == 30 and table["images"][0].tolist() == list(range(0, 60, 2))
    with pytest.raises(ValueError, match="no image has a label"):
        camkit.error_slices(replace(analysis, labels=np.full(COUNT, -1)))
    with pytest.raises(ValueError, match="by is 'metadata': pass a list of some of metadata, qual"):
        camkit.error_slices(analysis, by="metadata")
