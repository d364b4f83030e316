"""Analyses that version 1.0.0 has written open, and go on where they were cut short."""

import functools
import json
import shutil
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

import camkit
from camkit.analysis import _shards

WRITTEN = Path(__file__).resolve().parent / "analysis_1_0_0"
BATCH = 3
METHODS = {
    "cam": None,
    "grad_cam": camkit.grad_cam,
    "layer_cam": functools.partial(camkit.layer_cam, layer="relu1"),
}


@pytest.fixture(scope="module")
def model():
    return keras.models.load_model(WRITTEN / "model.keras")


@pytest.fixture(scope="module")
def images():
    return camkit.load_images("mini", "Test", per_class=6)


@pytest.fixture
def computed(monkeypatch):
    """The numbers of images in the shards that are computed."""
    counts = []
    contents = _shards.contents

    def counted(reader, batches, labels, *arguments):
        counts.append(len(labels))
        return contents(reader, batches, labels, *arguments)

    monkeypatch.setattr(_shards, "contents", counted)
    return counts


def arrays_in(folder):
    return {file.name: np.load(file) for file in sorted(folder.glob("*.npy"))}


def expect_equal(arrays, expected):
    """Within rounding, and so that another version of a library may round differently."""
    assert arrays.keys() == expected.keys()
    for name, array in arrays.items():
        assert array.dtype == expected[name].dtype
        if array.dtype.kind == "f":
            scale = float(np.abs(expected[name]).max())
            tolerance = 2e-3 if array.dtype == "float16" else 1e-5
            np.testing.assert_allclose(array, expected[name], rtol=0, atol=tolerance * scale)
        else:
            np.testing.assert_array_equal(array, expected[name])


@pytest.mark.parametrize("name", METHODS)
def test_a_finished_analysis_opens(name, images):
    analysis = camkit.load_analysis(WRITTEN / name)
    assert len(analysis) == 72 and analysis.class_names == images.class_names
    assert analysis.labels.tolist() == images.labels.tolist()
    assert analysis.maps.dtype == ("float16" if name == "cam" else "float32")
    assert (analysis.bias is None) == (name != "cam")
    last = len(analysis) - 1
    assert analysis.class_map(last, analysis.predicted[last]).dtype == "float32"
    assert len(analysis.table) == 72 and len(analysis.errors) > 0


def test_reading_an_analysis_loads_neither_keras_nor_a_backend_nor_scikit_learn():
    code = (
        "import sys, camkit\n"
        "analysis = camkit.load_analysis(sys.argv[1])\n"
        "assert camkit.Analysis is type(analysis)\n"
        "analysis.table, analysis.errors, analysis.class_map(0, analysis.predicted[0])\n"
        "analysis.images.paths\n"
        "heavy = {'keras', 'tensorflow', 'jax', 'torch', 'sklearn', 'skimage', 'scipy'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code, WRITTEN / "layer_cam"], capture_output=True, text=True
    )
    assert (ended.stdout, ended.stderr) == ("[]\n", "")


@pytest.mark.parametrize("name", METHODS)
def test_a_finished_analysis_is_done_at_once_wherever_the_images_lie_now(
    name, model, images, tmp_path, computed
):
    folder = tmp_path / name
    shutil.copytree(WRITTEN / name, folder)
    before = json.loads((folder / "about.json").read_text())
    files = {file.name: file.read_bytes() for file in folder.glob("*.npy")}
    analysis = camkit.analyze(model, images, folder, method=METHODS[name], batch_size=BATCH)
    after = json.loads((folder / "about.json").read_text())
    assert computed == []
    assert {file.name: file.read_bytes() for file in folder.glob("*.npy")} == files
    paths = [str(path) for path in images.paths]
    assert before["paths"] != paths and analysis.paths == after["paths"] == paths
    assert after["model"] == before["model"] and after["images"] == before["images"]


@pytest.mark.parametrize("name", ["cam", "layer_cam"])
def test_an_analysis_that_was_cut_short_goes_on_with_the_shard_that_is_missing(
    name, model, images, tmp_path, computed
):
    folder = tmp_path / name
    shutil.copytree(WRITTEN / f"{name}-cut-short", folder)
    with pytest.raises(ValueError, match="is not finished"):
        camkit.load_analysis(folder)
    analysis = camkit.analyze(model, images, folder, method=METHODS[name], batch_size=BATCH)
    assert computed == [24] and len(analysis) == 72
    assert {file.suffix for file in folder.iterdir()} == {".json", ".npy"}
    expect_equal(arrays_in(folder), arrays_in(WRITTEN / name))
    # The first two shards are those of version 1.0.0, bit for bit.
    for file, array in arrays_in(folder).items():
        assert array[:48].tobytes() == arrays_in(WRITTEN / name)[file][:48].tobytes()


def test_what_is_stored_is_the_public_name_of_a_method(model, images, tmp_path):
    stored = {}
    for name, method in METHODS.items():
        camkit.analyze(model, images.select([0]), tmp_path / name, method=method)
        stored[name] = json.loads((tmp_path / name / "about.json").read_text())["method"]
    assert stored == {
        "cam": None,
        "grad_cam": "camkit.grad_cam",
        "layer_cam": "camkit.layer_cam, layer='relu1'",
    }


@pytest.mark.parametrize(
    "method", [camkit.hires_cam, functools.partial(camkit.layer_cam, layer="relu2"), None]
)
def test_another_method_is_refused(model, images, tmp_path, method):
    shutil.copytree(WRITTEN / "layer_cam", tmp_path / "layer_cam")
    with pytest.raises(ValueError, match="holds the analysis of another method: choose another"):
        camkit.analyze(model, images, tmp_path / "layer_cam", method=method, batch_size=BATCH)
