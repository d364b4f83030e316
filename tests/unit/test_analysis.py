"""An analysis is CAM of the whole set, goes on where it was killed, and is mixed with nothing."""

import contextlib
import dataclasses
import functools
import json
import os
import re
import shutil
import subprocess
import sys
import types
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
import zoo
from keras import layers
from PIL import Image, ImageOps

import camkit
from camkit._files import any_bytes
from camkit.analysis import _reader, _shards, run
from camkit.analysis._classes import match
from camkit.analysis._folder import ARRAYS
from camkit.images.decoding import FileReader
from camkit.models import _probe as probe
from camkit.models._graph import network_of

NAMES = ["Apple", "Lime", "Plum", "Snow"]
COUNT, BATCH = 43, 2  # shards of 16, 16 and 11 images


def write_images(root, count, names=NAMES, seed=0):
    """Random pictures, a folder a class, every class in its turn."""
    noise = np.random.default_rng(seed)
    for i in range(count):
        folder = Path(root) / names[i % len(names)]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(noise.integers(0, 256, (24, 20, 3), dtype="uint8")).save(
            folder / f"{i:05d}.png"
        )


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    root = tmp_path_factory.mktemp("images")
    write_images(root, COUNT)
    return camkit.load_images(root)


def named_model(names=tuple(NAMES), seed=0):
    image = keras.Input(zoo.SHAPE)
    base = keras.Model(image, zoo.volume(layers.Rescaling(1 / 100, offset=-1)(image)))
    return zoo.shake(camkit.gap_classifier(base, names), seed)


@pytest.fixture(scope="module")
def model():
    return named_model()


@pytest.fixture(scope="module")
def whole(model, images, tmp_path_factory):
    """The analysis that nothing interrupts."""
    return camkit.analyze(
        model, images, tmp_path_factory.mktemp("whole") / "analysis", batch_size=BATCH
    )


def arrays_of(folder):
    return {name: (Path(folder) / f"{name}.npy").read_bytes() for name in ARRAYS}


# The same as CAM ----------------------------------------------------------------------------------


def test_an_analysis_is_the_cam_of_the_whole_set(model, images, whole):
    out = camkit.CAM(model)(np.stack([images[i] for i in range(len(images))]))
    np.testing.assert_allclose(whole.gap, out.gap, atol=1e-5)
    np.testing.assert_allclose(whole.logits, out.logits, atol=1e-5)
    np.testing.assert_allclose(whole.probs, out.probs, atol=1e-6)
    np.testing.assert_allclose(whole.maps, out.maps, atol=np.abs(out.maps).max() * 2**-11 + 1e-5)
    assert (whole.maps.dtype, whole.gap.dtype, whole.logits.dtype) == (
        "float16",
        "float32",
        "float32",
    )
    np.testing.assert_array_equal(whole.labels, images.labels)
    np.testing.assert_array_equal(whole.predicted, out.logits.argmax(axis=1))
    np.testing.assert_array_equal(whole.bias, camkit.CAM(model).bias)
    assert whole.paths == [str(path) for path in images.paths] and whole.class_names == NAMES
    assert len(whole) == COUNT


@pytest.mark.parametrize("batch_size", [1, 5, 64])
def test_the_batch_size_changes_rounding_only(model, images, whole, batch_size):
    other = camkit.analyze(model, images, batch_size=batch_size)
    np.testing.assert_allclose(other.logits, whole.logits, atol=1e-5)
    np.testing.assert_allclose(other.gap, whole.gap, atol=1e-5)


def test_the_identity_holds_in_what_is_kept(whole):
    """Half precision keeps 11 binary digits of values of a map; scores have single precision."""
    means = np.asarray(whole.maps, "float64").mean(axis=(1, 2)) + whole.bias
    assert np.abs(means - whole.logits).max() <= np.abs(whole.maps).max() * 2**-11


def paths_read(monkeypatch):
    """The paths of the images that are read from now on, but to try another range of values."""
    monkeypatch.setattr(run, "hint_of_range", lambda *_: "")
    seen, read = [], FileReader.__call__
    monkeypatch.setattr(
        FileReader,
        "__call__",
        lambda self, path, *size, **options: (
            seen.append(path) or read(self, path, *size, **options)
        ),
    )
    return seen


def test_every_image_is_read_once_in_order(model, images, monkeypatch):
    seen = paths_read(monkeypatch)
    camkit.analyze(model, images, batch_size=8)
    assert sorted(seen) == sorted(images.paths)


def test_without_a_folder_the_arrays_live_as_long_as_the_analysis(model, images):
    result = camkit.analyze(model, images.select(slice(0, 9)), batch_size=4)
    folder = result.folder
    assert folder.is_dir() and np.asarray(result.maps).shape[0] == 9
    del result
    assert not folder.exists()


@pytest.mark.parametrize("shape", [zoo.SHAPE, (None, None, 3)])
def test_another_size_is_read_where_it_is_asked_for(images, shape):
    model, *_ = zoo.flat(shape=shape)
    result = camkit.analyze(model, images, batch_size=8, input_size=(36, 28))
    out = camkit.CAM(model, input_size=(36, 28))(next(images.batches(len(images), (36, 28))))
    np.testing.assert_allclose(result.logits, out.logits, rtol=1e-5, atol=1e-3)


def test_a_model_that_takes_any_size_is_not_analysed_without_one(images):
    with pytest.raises(
        ValueError, match="images of any size and does not say .*: pass input_size=224"
    ):
        camkit.analyze(zoo.flat(shape=(None, None, 3))[0], images)


def test_the_arrays_are_read_from_disk_not_held(whole):
    assert all(isinstance(getattr(whole, name), np.memmap) for name in ARRAYS)


def test_a_finished_analysis_is_loaded_without_model_or_images(whole):
    again = camkit.load_analysis(whole.folder)
    for name in (*ARRAYS, "labels", "predicted", "bias"):
        np.testing.assert_array_equal(getattr(again, name), getattr(whole, name))
    assert (again.paths, again.class_names) == (whole.paths, whole.class_names)
    assert again.table.equals(whole.table)


def test_a_finished_analysis_runs_no_network_again(model, images, whole, monkeypatch):
    monkeypatch.setattr(camkit.CAM, "__call__", None)
    before = arrays_of(whole.folder)
    camkit.analyze(model, images, whole.folder, batch_size=BATCH)
    assert arrays_of(whole.folder) == before


@pytest.mark.parametrize("channels", [1, 4])
def test_images_are_read_in_the_channels_of_the_model(images, channels):
    model, *_ = zoo.flat(shape=(24, 20, channels))
    some = images.select(slice(0, 5))
    (batch,) = some.batches(5, (24, 20), channels=channels)
    expected = model.predict(batch.astype("float32"), verbose=0)
    for method in (None, camkit.grad_cam):
        analysis = camkit.analyze(model, some, method=method, batch_size=2)
        np.testing.assert_allclose(analysis.probs, expected, atol=1e-5)
    assert analysis.images[0].shape == (24, 20, 3)


def test_channels_that_no_file_has_are_refused(images):
    model, *_ = zoo.flat(shape=(24, 20, 6))
    for method in (None, camkit.grad_cam):
        with pytest.raises(
            ValueError, match="files are read as gray .1., RGB .*, not in 6 channels"
        ):
            camkit.analyze(model, images, method=method)


def test_a_head_is_trained_on_images_in_the_channels_of_the_model(images):
    image = keras.Input((24, 20, 1))
    model = camkit.gap_classifier(keras.Model(image, zoo.volume(image)), images.class_names)
    camkit.train_head(model, images, epochs=1)
    assert np.abs(model.get_layer("logits").get_weights()[0]).max() > 0
    with pytest.raises(ValueError, match=r"takes \(B, 24, 20, 1\): .*channels=1\) reads files as"):
        camkit.CAM(model)(next(images.batches(2, (24, 20))))


def test_the_progress_bar_ends_with_the_last_image(model, images, monkeypatch):
    shown = []

    @contextlib.contextmanager
    def progress(total, description, unit, done):
        shown.extend([total, done])
        yield types.SimpleNamespace(update=shown.append)

    monkeypatch.setattr(_shards, "progress", progress)
    camkit.analyze(model, images, batch_size=20)
    assert shown == [COUNT, 0, 20, 20, COUNT - 40]


# Killed and started again -------------------------------------------------------------------------


class Killed(BaseException):
    pass


def fatal(function, at, count, spoil=False):
    """`function`, but its call number `at` kills: before it does its work, or after half a file."""

    def call(*args, **options):
        count[0] += 1
        if count[0] == at:
            if spoil:
                os.ftruncate(args[0], os.fstat(args[0]).st_size // 2)
            raise Killed
        return function(*args, **options)

    return call


@pytest.mark.parametrize("where, spoil", [("fsync", True), ("replace", False), ("unlink", False)])
def test_killed_at_every_file_in_turn_it_goes_on_to_the_same_bytes(
    model, images, whole, tmp_path, monkeypatch, where, spoil
):
    """Die at each file written, renamed or deleted in turn, once with half the file on the disk."""
    cam, wanted, folder, deaths = (
        camkit.CAM(model),
        arrays_of(whole.folder),
        tmp_path / "analysis",
        0,
    )
    monkeypatch.setattr("camkit.maps.cam.CAM", lambda _, **options: cam)  # made once, to save time
    target = (Path, "unlink") if where == "unlink" else (os, where)
    for at in (1, 2, 3) * 20:  # about.json, the first file that is missing, the second
        with monkeypatch.context() as patch:
            patch.setattr(*target, fatal(getattr(*target), at, [0], spoil))
            try:
                result = camkit.analyze(model, images, folder, batch_size=BATCH)
                break
            except Killed:
                deaths += 1
        if where == "unlink":
            camkit.load_analysis(folder)
        else:
            with pytest.raises(
                ValueError,
                match="not finished: call camkit.analyze with the same|holds no analysis",
            ):
                camkit.load_analysis(folder)
    assert deaths >= 2 and arrays_of(folder) == wanted
    assert {path.name for path in folder.iterdir()} == {
        "about.json",
        *(f"{name}.npy" for name in ARRAYS),
    }
    assert result.table.equals(whole.table)


SURVIVE = """
import os, random, signal, sys, time
from pathlib import Path
import tensorflow, keras, camkit
pictures, saved, folder, batch, seed = sys.argv[1:]
images, moments, kills = camkit.load_images(pictures), random.Random(int(seed)), 0
while True:
    child = os.fork()  # TensorFlow is imported and has not run anything yet
    if not child:
        camkit.analyze(keras.models.load_model(saved), images, folder, batch_size=int(batch))
        os._exit(0)
    known, changes = None, moments.randint(1, 5)
    while not os.waitpid(child, os.WNOHANG)[0]:
        found = sorted(os.listdir(folder)) if Path(folder).exists() else []
        changes -= found != known
        known = found
        if changes == 0 and kills < 6:
            time.sleep(moments.uniform(0, 0.02))
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            kills += 1
            break
    else:
        break
print(kills, len(Path(folder, "about.json").read_text()) > 0)
"""


@pytest.mark.slow
def test_killed_by_the_system_at_random_moments_it_ends_with_the_same_bytes(
    model, images, whole, tmp_path
):
    model.save(tmp_path / "model.keras")
    command = [
        sys.executable,
        "-c",
        SURVIVE,
        images.root,
        tmp_path / "model.keras",
        tmp_path / "analysis",
        str(BATCH),
        "1",
    ]
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=Path(camkit.__file__).parents[1], timeout=600
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[0]) >= 3
    assert arrays_of(tmp_path / "analysis") == arrays_of(whole.folder)
    assert sorted(path.suffix for path in (tmp_path / "analysis").iterdir()) == [
        ".json",
        *[".npy"] * 4,
    ]


def test_half_written_files_count_for_nothing(model, images, whole, tmp_path):
    folder = tmp_path / "analysis"
    folder.mkdir()
    (folder / "about.json.partial").write_bytes(b'{"mod')
    camkit.analyze(model, images, folder, batch_size=BATCH)
    for name in ("logits", "maps"):
        (folder / f"{name}.npy").rename(folder / f"{name}.npy.partial")
        os.truncate(folder / f"{name}.npy.partial", 200)
    (folder / "shard-00001.npz.partial").write_bytes(b"PK")
    with pytest.raises(ValueError, match="not finished"):
        camkit.load_analysis(folder)
    camkit.analyze(model, images, folder, batch_size=BATCH)
    assert arrays_of(folder) == arrays_of(whole.folder)
    assert not list(folder.glob("*.partial"))


def test_a_resumed_analysis_reads_only_what_is_missing(model, images, whole, tmp_path, monkeypatch):
    folder = tmp_path / "analysis"
    monkeypatch.setattr(_shards, "join", lambda *_: (_ for _ in ()).throw(Killed))
    with pytest.raises(Killed):
        camkit.analyze(model, images, folder, batch_size=BATCH)
    monkeypatch.undo()
    (folder / "shard-00001.npz").unlink()
    seen = paths_read(monkeypatch)
    camkit.analyze(model, images, folder, batch_size=BATCH)
    assert sorted(seen) == sorted(images.paths[16:32])
    assert arrays_of(folder) == arrays_of(whole.folder)


def test_a_reloaded_model_goes_on_with_the_analysis_of_the_saved_one(
    model, images, whole, tmp_path
):
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    before = os.stat(whole.folder / "maps.npy").st_mtime_ns
    assert camkit.analyze(again, images, whole.folder, batch_size=BATCH).table.equals(whole.table)
    assert os.stat(whole.folder / "maps.npy").st_mtime_ns == before


# Nothing is mixed ---------------------------------------------------------------------------------


def test_the_folder_of_another_model_set_or_size_is_refused(model, images, whole, tmp_path):
    before = arrays_of(whole.folder)
    fewer, other = images.select(slice(1, None)), tmp_path / "images"
    write_images(other, COUNT, seed=1)
    same = {"model": model, "images": images, "batch_size": BATCH}
    for found, changes in (
        ("another model", {"model": named_model(seed=1)}),
        (
            r"another image set \(0 % of its images are among these\)",
            {"images": camkit.load_images(other)},
        ),
        (
            r"another image set \(49 % of its images are among these\)",
            {"images": images.select(slice(0, COUNT // 2))},
        ),
        ("another input size", {"input_size": 2 * np.array(zoo.SHAPE[:2])}),
        ("another model and another image set", {"model": named_model(seed=1), "images": fewer}),
    ):
        with pytest.raises(
            ValueError,
            match=f"{whole.folder} holds the analysis of {found}: choose another folder, or",
        ):
            camkit.analyze(**(same | changes), folder=whole.folder)
    assert arrays_of(whole.folder) == before


def test_another_batch_size_matters_only_until_an_analysis_is_finished(
    model, images, whole, tmp_path
):
    folder = tmp_path / "analysis"
    shutil.copytree(whole.folder, folder)
    again = camkit.analyze(model, images, folder, batch_size=BATCH + 1)
    np.testing.assert_array_equal(again.logits, whole.logits)
    (folder / "probs.npy").unlink()
    with pytest.raises(ValueError, match="holds the analysis of another batch size: choose"):
        camkit.analyze(model, images, folder, batch_size=BATCH + 1)


def test_a_picture_that_was_changed_in_place_is_another_one(model, tmp_path):
    write_images(tmp_path / "images", 8)
    images = camkit.load_images(tmp_path / "images")
    before = np.array(camkit.analyze(model, images, tmp_path / "analysis", batch_size=4).logits)
    Image.new("RGB", (20, 24), "red").save(images.paths[5])
    after = camkit.analyze(model, images, tmp_path / "analysis", batch_size=4).logits
    assert np.flatnonzero((before != after).any(axis=1)).tolist() == [5]


def test_images_that_moved_are_the_same_images(model, tmp_path):
    write_images(tmp_path / "here", 8)
    camkit.analyze(
        model, camkit.load_images(tmp_path / "here"), tmp_path / "analysis", batch_size=4
    )
    (tmp_path / "here").rename(tmp_path / "there")
    moved = camkit.load_images(tmp_path / "there")
    assert camkit.analyze(model, moved, tmp_path / "analysis", batch_size=4).paths == [
        str(path) for path in moved.paths
    ]


def test_a_folder_with_other_files_is_refused_and_left_alone(model, images, tmp_path):
    (tmp_path / "holiday.txt").write_text("mine")
    with pytest.raises(
        ValueError, match="holds files that are not an analysis: choose an empty folder"
    ):
        camkit.analyze(model, images, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["holiday.txt"]


def test_a_folder_without_an_analysis_is_not_loaded(tmp_path):
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(
            ValueError,
            match=r"holds no analysis: camkit\.analyze\(model, images, folder\) creates one",
        ):
            camkit.load_analysis(folder)


def test_images_must_be_loaded(model):
    with pytest.raises(ValueError, match="pass the image set camkit.load_images.'photographs'."):
        camkit.analyze(model, "photographs")


def test_models_without_a_head_and_sets_without_an_image_are_refused(model, images, tmp_path):
    with pytest.raises(camkit.HeadError, match="Flatten"):
        camkit.analyze(zoo.REFUSED["Flatten → Dense"][0](), images, tmp_path / "analysis")
    with pytest.raises(ValueError, match="there are no images to analyse in ImageSet"):
        camkit.analyze(model, images.select([]), tmp_path / "analysis")
    assert not (tmp_path / "analysis").exists()


def test_maps_beyond_half_precision_are_refused(images, tmp_path):
    model = named_model()
    weights = model.get_layer("logits").get_weights()
    model.get_layer("logits").set_weights([1e6 * weights[0], weights[1]])
    with pytest.raises(
        ValueError, match=r"class maps reach .*beyond float16: is the model trained"
    ):
        camkit.analyze(model, images, tmp_path / "analysis")
    model.get_layer("logits").set_weights([np.nan * weights[0], weights[1]])


@pytest.mark.parametrize("method", [None, camkit.grad_cam])
def test_scores_that_are_not_finite_are_refused_with_the_first_image(images, tmp_path, method):
    model = named_model()
    kernel, bias = model.get_layer("logits").get_weights()
    some = images.select([3, 1, 2])
    for weights in ([np.nan * kernel, bias], [kernel, bias + np.inf]):
        model.get_layer("logits").set_weights(weights)
        said = f"{re.escape(str(some.paths[0]))} has a score of .*: either weights of the model"
        with pytest.raises(ValueError, match=said):
            camkit.analyze(model, some, tmp_path / "out", method=method)
    assert not list((tmp_path / "out").glob("*.np*"))


def test_an_analysis_with_scores_that_are_not_finite_is_not_opened(images, tmp_path):
    folder = tmp_path / "analysis"
    some = images.select([3, 1, 2])
    logits = camkit.analyze(named_model(), some, folder).logits.copy()
    logits[1, 0] = np.nan
    np.save(folder / "logits.npy", logits)
    said = f"{re.escape(str(some.paths[1]))} has a score of nan: either weights of the model"
    with pytest.raises(ValueError, match=said):
        camkit.load_analysis(folder)
    with pytest.raises(ValueError, match=said):
        camkit.analyze(named_model(), some, folder)


# Any model ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def unpooled():
    """Flatten → ReLU → Dense on a volume, seven classes: CAM refuses it."""
    top = [layers.Flatten(), layers.Dense(6, "relu"), layers.Dense(7, "softmax")]
    return zoo.shake(zoo.stack(*top))


@pytest.fixture(scope="module")
def by_method(unpooled, images, tmp_path_factory):
    names = ["Lime", "a", "Snow", "Apple", "b", "Plum", "c"]
    folder = tmp_path_factory.mktemp("method") / "analysis"
    return camkit.analyze(
        unpooled, images, folder, method=camkit.hires_cam, class_names=names, batch_size=BATCH
    )


def test_hires_cam_of_a_gap_head_is_its_cam_by_the_number_of_places(model, images, whole):
    result = camkit.analyze(model, images, method=camkit.hires_cam, batch_size=BATCH)
    h, w = whole.maps.shape[1:3]
    for i in range(COUNT):
        for c in range(len(NAMES)):
            wanted = whole.class_map(i, c) / (h * w)
            np.testing.assert_allclose(
                result.class_map(i, c), wanted, atol=1e-5 + np.abs(wanted).max() * 2**-10
            )
    for name in ("gap", "logits", "probs"):
        np.testing.assert_allclose(getattr(result, name), getattr(whole, name), atol=1e-5)
    assert (
        whole.map_classes.tolist() == [[0, 1, 2, 3]] * COUNT
        and result.bias is None
        and result.maps.dtype == "float32"
    )


def test_a_model_without_a_gap_head_is_read_by_a_method(unpooled, images, by_method):
    """What is kept is what model and method give when they are called directly."""
    batch = np.stack([images[i] for i in range(COUNT)]).astype("float32")
    np.testing.assert_allclose(by_method.probs, unpooled.predict(batch, verbose=0), atol=1e-5)
    volume = keras.Model(unpooled.input, unpooled.layers[-4].output)
    np.testing.assert_allclose(
        by_method.gap, volume.predict(batch, verbose=0).mean(axis=(1, 2)), rtol=1e-4, atol=1e-4
    )
    for k in range(5):
        wanted = camkit.hires_cam(unpooled, batch, by_method.map_classes[:, k])
        np.testing.assert_allclose(
            by_method.maps[..., k], wanted, rtol=1e-4, atol=1e-4 * np.abs(wanted).max()
        )
    order = np.argsort(-by_method.logits, axis=1)
    named = [by_method.class_names[label] for label in by_method.labels]
    assert named == [Path(path).parent.name for path in by_method.paths]
    for i, (kept, own) in enumerate(zip(by_method.map_classes, by_method.labels, strict=True)):
        top = order[i, :5].tolist()
        assert kept.tolist() == (top if own in top else [*top[:4], own])
    assert any(own not in o[:5] for own, o in zip(by_method.labels, order, strict=True)), (
        "the case is among them"
    )


def test_a_class_whose_map_was_not_kept_is_named_with_those_that_were(by_method):
    for i in range(COUNT):
        kept = by_method.map_classes[i].tolist()
        assert by_method.class_map(i, by_method.labels[i]).dtype == "float32"
        np.testing.assert_array_equal(by_method.class_map(i, kept[3]), by_method.maps[i, ..., 3])
    missing = next(c for c in range(7) if c not in by_method.map_classes[0])
    with pytest.raises(
        ValueError, match=rf"no map of class {missing} was stored for .*only those of .*{kept[0]}: "
    ):
        by_method.class_map(0, missing)


def test_the_top_classes_by_hand():
    logits = np.array(
        [[1, 9, 3, 7, 5, 2, 8], [1, 9, 3, 7, 5, 2, 8], [0, 0, 0, 0, 0, 0, 0], [1, 9, 3, 7, 5, 2, 8]]
    )
    top = _reader.top(logits, np.array([0, 4, 6, -1]))
    assert top.tolist() == [[1, 6, 3, 4, 0], [1, 6, 3, 4, 2], [0, 1, 2, 3, 6], [1, 6, 3, 4, 2]]
    assert _reader.top(logits[:, :3], np.array([0, 1, 2, -1])).tolist() == [
        [1, 2, 0],
        [1, 2, 0],
        [0, 1, 2],
        [1, 2, 0],
    ]


@pytest.mark.parametrize(
    "method", [camkit.grad_cam, camkit.score_cam, camkit.eigen_cam, camkit.ablation_cam]
)
@pytest.mark.parametrize("layer", [None, "early"])
def test_the_features_are_those_of_the_layer_that_the_method_reads(images, method, layer):
    model = zoo.shake(
        keras.Sequential(
            [
                keras.Input(zoo.SHAPE),
                layers.Conv2D(5, 5, strides=4, activation="relu", name="early"),
                layers.Conv2D(6, 2, activation="relu", name="late"),
                layers.Flatten(),
                layers.Dense(zoo.CLASSES),
            ]
        )
    )
    some = images.select(slice(0, 3))
    given = method if layer is None else functools.partial(method, layer=layer)
    result = camkit.analyze(model, some, method=given, batch_size=2)
    batch = next(some.batches(3, zoo.SHAPE[:2])).astype("float32")
    F = keras.Model(model.inputs, model.get_layer(layer or "late").output).predict(batch, verbose=0)
    np.testing.assert_allclose(result.gap, F.mean(axis=(1, 2)), rtol=1e-4, atol=1e-3)
    for k in range(4):
        wanted = method(model, batch, result.map_classes[:, k], layer=layer)
        np.testing.assert_allclose(
            result.maps[..., k], wanted, rtol=1e-3, atol=1e-4 * np.abs(wanted).max() + 1e-9
        )


def test_several_targets_share_one_forward_pass(unpooled, images, monkeypatch):
    """Gradients go on from the features: the images themselves are asked for once a batch."""
    asked = []
    ask = probe._evaluate

    def counted(network, query, *arguments):
        asked.append(query.__name__)
        return ask(network, query, *arguments)

    monkeypatch.setattr(probe, "_evaluate", counted)
    unlabelled = images.unlabelled()
    result = camkit.analyze(unpooled, unlabelled, method=camkit.grad_cam, batch_size=16)
    one_batch = ["_logits_and_activations", *5 * ["_slopes_of_activations"]]
    # What is asked before is about the model: its size and whether its scores can be read.
    assert asked[-18:] == 3 * one_batch and len(asked) <= 20
    assert len(result) == COUNT
    compiled = dict(network_of(unpooled).compiled)
    camkit.analyze(unpooled, unlabelled, method=camkit.grad_cam, batch_size=5)
    assert network_of(unpooled).compiled == compiled and compiled, "nothing is compiled again"


def test_gradients_of_other_images_layers_or_models_are_not_mixed_up(unpooled, model):
    one, two = zoo.images(3), zoo.images(3, seed=1)
    wanted = [probe.gradients(unpooled, two, 1), probe.gradients(model, one, 1)]
    with probe.seen(unpooled, one) as (_, F):
        inside = [probe.gradients(unpooled, two, 1), probe.gradients(model, one, 1)]
        slopes = probe.gradients(unpooled, one, 1)
        assert slopes[0] is F
    for a, b in zip([*wanted, probe.gradients(unpooled, one, 1)], [*inside, slopes], strict=True):
        np.testing.assert_allclose(a[0], b[0], rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(a[1], b[1], rtol=1e-4, atol=1e-5 * np.abs(a[1]).max())


def transformer():
    """Patches as tokens, attention with a residual, and the average of the tokens."""
    image = keras.Input(zoo.SHAPE)
    x = layers.Reshape((-1, 8))(layers.Conv2D(8, 4, strides=4, name="patches")(image))
    x = layers.LayerNormalization()(layers.Add()([x, layers.MultiHeadAttention(2, 4)(x, x)]))
    return zoo.shake(
        keras.Model(image, layers.Dense(4, "softmax")(layers.GlobalAveragePooling1D()(x)))
    )


def test_a_transformer_is_read_at_the_grid_of_its_tokens(images):
    model, some = transformer(), images.select(slice(0, 4))
    (batch,) = some.batches(4, zoo.SHAPE[:2])
    for options in ({}, {"layer": "patches"}, {"grid": (6, 5)}):
        method = functools.partial(camkit.hires_cam, **options)
        result = camkit.analyze(model, some, method=method)
        assert result.maps.shape[1:3] == (6, 5)
        np.testing.assert_allclose(
            result.probs, model.predict(batch.astype("float32"), verbose=0), atol=1e-5
        )
        wanted = method(model, batch, result.map_classes[:, 0])
        np.testing.assert_allclose(
            result.maps[..., 0], wanted, rtol=1e-3, atol=1e-4 * np.abs(wanted).max()
        )
    tokens = keras.Sequential(
        [keras.Input((7, 8)), layers.GlobalAveragePooling1D(), layers.Dense(4)]
    )
    with pytest.raises(
        camkit.HeadError, match="takes arrays of shape .7, 8., and camkit.analyze reads"
    ):
        camkit.analyze(tokens, some, method=camkit.grad_cam)


@pytest.mark.parametrize("where, spoil", [("fsync", True), ("replace", False)])
def test_a_killed_analysis_by_a_method_goes_on_to_the_same_bytes(
    unpooled, images, by_method, tmp_path, monkeypatch, where, spoil
):
    options = {
        "method": camkit.hires_cam,
        "class_names": by_method.class_names,
        "batch_size": BATCH,
    }
    for at in (2, 3, 1) * 20:
        with monkeypatch.context() as patch:
            patch.setattr(os, where, fatal(getattr(os, where), at, [0], spoil))
            try:
                result = camkit.analyze(unpooled, images, tmp_path / "analysis", **options)
                break
            except Killed:
                pass
    for name in (*ARRAYS, "map_classes"):
        assert (tmp_path / "analysis" / f"{name}.npy").read_bytes() == (
            by_method.folder / f"{name}.npy"
        ).read_bytes()
    assert result.table.equals(by_method.table) and result.bias is None


def test_the_folder_of_another_method_or_list_of_classes_is_refused(
    unpooled, model, images, by_method, whole
):
    given = {"method": camkit.hires_cam, "class_names": by_method.class_names, "batch_size": BATCH}
    early = functools.partial(camkit.hires_cam, layer=unpooled.layers[1].name)
    for found, changes in (
        ("method", {"method": camkit.grad_cam}),
        ("method", {"method": early}),
        ("list of classes", {"class_names": by_method.class_names[::-1]}),
    ):
        with pytest.raises(
            ValueError, match=f"holds the analysis of another {found}: choose another folder"
        ):
            camkit.analyze(unpooled, images, by_method.folder, **(given | changes))
    with pytest.raises(ValueError, match="another method"):
        camkit.analyze(model, images, whole.folder, method=camkit.hires_cam, batch_size=BATCH)
    again = camkit.analyze(unpooled, images, by_method.folder, **given)
    assert again.table.equals(by_method.table)


def test_a_folder_written_before_there_were_methods_still_loads(model, images, whole, tmp_path):
    shutil.copytree(whole.folder, tmp_path / "old")
    about = json.loads((tmp_path / "old" / "about.json").read_text())
    assert about.pop("method") is None
    (tmp_path / "old" / "about.json").write_text(json.dumps(about))
    old = camkit.load_analysis(tmp_path / "old")
    assert old.table.equals(whole.table) and old.map_classes.tolist() == whole.map_classes.tolist()
    np.testing.assert_array_equal(old.class_map(3, 2), whole.class_map(3, 2))
    assert camkit.analyze(model, images, tmp_path / "old", batch_size=BATCH).table.equals(
        whole.table
    )


def test_what_no_method_can_read_is_told_before_a_folder_is_made(unpooled, images, tmp_path):
    for build, said, options in (
        (lambda: unpooled, "pass the function itself", {"method": "grad_cam"}),
        (
            lambda: unpooled,
            "cannot be called as method.model, batch, targets.: too many positional",
            {"method": lambda model, batch: batch},
        ),
        (
            lambda: unpooled,
            "integrated_gradients cannot be called as .*'steps'",
            {"method": functools.partial(camkit.integrated_gradients, steps=9)},
        ),
        (lambda: unpooled, "at .24, 20.: leave out input_size=.48, 40.", {"input_size": (48, 40)}),
        (zoo.REFUSED["no pooling"][0], "one score for each class", {}),
        (zoo.REFUSED["two inputs"][0], "2 inputs, ", {}),
        (zoo.REFUSED["subclassed"][0], "does not know the shape of its input", {}),
        (zoo.REFUSED["channels_first"][0], "channels_first", {}),
        (
            lambda: unpooled,
            r"the layer 'dense.*' returns no map",
            {"method": functools.partial(camkit.grad_cam, layer=unpooled.layers[-1].name)},
        ),
    ):
        with pytest.raises(ValueError, match=said):
            camkit.analyze(
                build(), images, tmp_path / "analysis", **({"method": camkit.grad_cam} | options)
            )
        assert not (tmp_path / "analysis").exists()


def test_the_remedy_for_a_model_without_a_head_is_named_where_it_helps(unpooled, images):
    with pytest.raises(
        camkit.HeadError,
        match=r"method=camkit\.grad_cam \(in the shell --method grad_cam\) reads this model as it",
    ) as error:
        camkit.analyze(unpooled, images)
    assert str(error.value).count("reads this model") == 1
    with pytest.raises(camkit.HeadError) as error:
        camkit.analyze(zoo.REFUSED["subclassed"][0](), images)
    assert "grad_cam" not in str(error.value)


@pytest.mark.parametrize("method", [None, camkit.hires_cam])
def test_scores_that_are_not_those_of_the_model_stop_the_analysis(
    model, images, tmp_path, monkeypatch, method
):
    """Whatever makes them differ on the user's images, nothing is stored."""
    read = camkit.CAM.__call__
    seen = probe.seen

    def doubled(cam, batch, **rows):
        out = read(cam, batch, **rows)
        return out._replace(logits=2 * out.logits)

    @contextlib.contextmanager
    def seen_doubled(*arguments):
        with seen(*arguments) as (logits, features):
            yield 2 * logits, features

    monkeypatch.setattr(camkit.CAM, "__call__", doubled)
    monkeypatch.setattr(probe, "seen", seen_doubled)
    with pytest.raises(camkit.HeadError, match="differ by up to .* from what the model returns"):
        camkit.analyze(model, images, tmp_path / "out", method=method)
    assert not list((tmp_path / "out").glob("*.np*"))


def test_an_ensemble_is_read_at_the_layer_that_its_refusal_names(images):
    """No map leads to the average of two models, and their own words say which layers do."""
    image = keras.Input(zoo.SHAPE)
    members = []
    for _ in range(2):
        features = zoo.volume(layers.Rescaling(1 / 100, -1)(image))
        members.append(layers.Dense(4, "softmax")(layers.Flatten()(features)))
    model = zoo.shake(keras.Model(image, layers.Average()(members)))
    some = images.select(slice(0, 6))
    shown = r"nor does method=camkit.grad_cam .* such as layer='(\w+)' or .*--layer"
    with pytest.raises(camkit.HeadError, match=shown) as error:
        camkit.analyze(model, some)
    (layer,) = re.search(shown, str(error.value)).groups()
    method = functools.partial(camkit.grad_cam, layer=layer)
    analysis = camkit.analyze(model, some, method=method)
    (batch,) = some.batches(6, zoo.SHAPE[:2])
    expected = model.predict(batch.astype("float32"), verbose=0)
    np.testing.assert_allclose(analysis.probs, expected, atol=1e-5)


class Hidden(layers.Layer):
    """A layer that cannot be called on symbolic tensors, with all of a network inside."""

    def build(self, shape):
        self.kernel = self.add_weight(shape=(shape[-1], 4))

    def call(self, x):
        if isinstance(x, keras.KerasTensor):
            raise TypeError("numbers only")
        return keras.ops.matmul(keras.ops.mean(x, axis=(1, 2)), self.kernel)

    def compute_output_spec(self, x):
        return keras.KerasTensor((x.shape[0], 4))


@pytest.mark.parametrize("method", [None, camkit.grad_cam, camkit.occlusion])
def test_a_model_that_hides_its_features_is_refused_with_the_way_out(images, method):
    image = keras.Input(zoo.SHAPE)
    model = zoo.shake(keras.Model(image, Hidden()(image)))
    with pytest.raises(ValueError, match=r"camkit\.occlusion\(model, batch\) "):
        camkit.analyze(model, images, method=method)
    assert camkit.occlusion(model, zoo.images(1), window=8, stride=8).shape == (1, 24, 20)


def test_no_layer_that_only_turns_the_image_is_named(images):
    """An average over an image and its mirror image, by one network that is called twice."""
    image = keras.Input(zoo.SHAPE)
    network, *_ = zoo.flat()
    both = [network(image), network(keras.ops.flip(image, axis=2))]
    model = keras.Model(image, layers.Average()(both))
    of_one_call = "layers that are called several times, .* of one call"
    with pytest.raises(ValueError, match=of_one_call):
        camkit.analyze(model, images, method=camkit.grad_cam)
    with pytest.raises(camkit.HeadError, match=f"probabilities come from Average.*{of_one_call}"):
        camkit.CAM(model)


class Halved(layers.Layer):
    """Four tokens in place of each sixteen, in a way that camkit does not know."""

    def call(self, tokens):
        return keras.ops.mean(keras.ops.reshape(tokens, (-1, 6, 4, 5)), axis=2)


def tokens_of_unknown_grid():
    """Thirty tokens of 6×5 cells become six, of which nobody says that they are 3×2 or 2×3."""
    image = keras.Input(zoo.SHAPE)
    cells = layers.Conv2D(5, 4, strides=4)(layers.Rescaling(1 / 100, -1)(image))
    tokens = Halved()(layers.Reshape((24, 5))(cells[:, :, :4]))
    return image, tokens


@pytest.mark.parametrize("method", [None, camkit.grad_cam, camkit.occlusion])
def test_the_grid_of_tokens_is_named(images, tmp_path, method):
    image, tokens = tokens_of_unknown_grid()
    pooled = layers.GlobalAveragePooling1D()(tokens)
    model = zoo.shake(keras.Model(image, layers.Dense(4, "softmax")(pooled)))
    some = images.select(slice(0, 3))
    with pytest.raises(ValueError, match=r"name it, grid=.*--grid HEIGHTxWIDTH"):
        camkit.analyze(model, some, method=method)
    analysis = camkit.analyze(model, some, tmp_path / "out", method=method, grid=(3, 2))
    (batch,) = some.batches(3, zoo.SHAPE[:2])
    if method is None:
        expected = camkit.CAM(model, grid=(3, 2))(batch).maps
        np.testing.assert_allclose(analysis.maps, expected, atol=1e-2)
    elif method is camkit.grad_cam:
        best = analysis.map_classes[:, 0]
        expected = method(model, batch.astype("float32"), best, grid=(3, 2))
        np.testing.assert_allclose(analysis.maps[..., 0], expected, atol=1e-5)
    again = camkit.analyze(model, some, tmp_path / "out", method=method, grid=[3, 2])
    np.testing.assert_array_equal(again.maps, analysis.maps)
    with pytest.raises(ValueError, match="another grid of tokens"):
        camkit.analyze(model, some, tmp_path / "out", method=method, grid=(2, 3))


def test_a_real_imagenet_classifier_on_photographs(shared, tmp_path):
    """A thousand classes from a file of names, a flat folder of photographs; HiResCAM is CAM."""
    bare = keras.applications.MobileNetV2(
        weights=shared / "keras" / "mobilenet_v2_imagenet.weights.h5"
    )
    image = keras.Input((224, 224, 3))
    model = keras.Model(image, bare(layers.Rescaling(1 / 127.5, offset=-1)(image)))
    names = (shared / "photos" / "imagenet_labels.txt").read_text().splitlines()
    photos = camkit.load_images(shared / "photos")
    assert len(photos) == 8 and photos.class_names == [] and not photos.skipped
    result = camkit.analyze(model, photos, class_names=names, batch_size=8)
    assert result.maps.shape == (8, 7, 7, 1000) and result.labels.tolist() == [-1] * 8
    stems = [path.stem for path in photos.paths]
    said = dict(zip(stems, result.table["predicted"], strict=True))
    for name, word in {
        "cat": "cat",
        "dragonfly": "dragonfly",
        "hot_dog": "hotdog",
        "parrot": "macaw",
    }.items():
        assert word in said[name], said
    means = np.asarray(result.maps, "float64").mean(axis=(1, 2)) + result.bias
    np.testing.assert_allclose(means, result.logits, atol=0.05)  # half precision of maps up to 60
    few = camkit.analyze(model, photos, class_names=names, batch_size=8, method=camkit.hires_cam)
    assert few.map_classes.tolist() == np.argsort(-result.logits, axis=1)[:, :5].tolist()
    for i, kept in enumerate(few.map_classes):
        for c in kept:
            cam = result.class_map(i, c)
            np.testing.assert_allclose(49 * few.class_map(i, c), cam, atol=0.01 * np.abs(cam).max())


# Labels -------------------------------------------------------------------------------------------


def folders(names, labels=None):
    """An image set of such folders, one picture each."""
    labels = np.arange(len(names)) if labels is None else np.array(labels)
    return camkit.ImageSet(Path("."), [Path(str(i)) for i in range(len(labels))], labels, names, [])


# The numbers of eleven classes as Keras and torchvision sort folders, and by their values.
VALUE_ORDER = [str(c) for c in range(11)]
TEXT_ORDER = sorted(VALUE_ORDER)


@pytest.mark.parametrize(
    "found, classes, names, labels, called, rule",
    [
        # By number, where text has the same order.
        (["0", "2"], 10, None, [0, 2], [str(c) for c in range(10)], "number"),
        (["0", "2"], 3, list("abc"), [0, 2], list("abc"), "number"),
        (["00", "02", "10"], 11, None, [0, 2, 10], [str(c) for c in range(11)], "number"),
        (["010", "011"], 12, None, [10, 11], [str(c) for c in range(12)], "number"),
        # Where it has not, the names decide.
        (["0", "1", "10", "2"], 11, TEXT_ORDER, [0, 1, 2, 3], TEXT_ORDER, "name"),
        (["0", "1", "10", "2"], 11, VALUE_ORDER, [0, 1, 10, 2], VALUE_ORDER, "name"),
        # Names come first.
        (["0", "1"], 2, ["1", "0"], [1, 0], ["1", "0"], "name"),
        (["b", "a"], 3, ["a", "c", "b"], [2, 0], ["a", "c", "b"], "name"),
        # No indices, but in order.
        (["1998", "2004"], 2, None, [0, 1], ["1998", "2004"], "order"),
        (["x", "y", "z"], 3, None, [0, 1, 2], ["x", "y", "z"], "order"),
        (["a <b>", "c'd"], 3, ["c'd", "苹果", "a <b>"], [2, 0], ["c'd", "苹果", "a <b>"], "name"),
        (["y"], 3, ["x", "x", "y"], [2], ["x", "x", "y"], "name"),
    ],
)
def test_folders_are_classes_by_name_by_index_or_in_order(
    found, classes, names, labels, called, rule
):
    matched = match(folders(found), classes, names)
    assert (matched.labels.tolist(), matched.names, matched.rule) == (labels, called, rule)
    matched = match(folders([], [-1, -1]), classes, names)
    assert matched.labels.tolist() == [-1, -1] and matched.rule is None
    assert matched.names == (names or [str(c) for c in range(classes)])


@pytest.mark.parametrize(
    "found, classes, names, said",
    [
        (
            ["x", "y"],
            3,
            None,
            "the model has 3 classes and carries no names, the images have 2 classes",
        ),
        (
            ["x", "y"],
            12,
            None,
            r"carries no names.*name the folders after the classes or by index, 00 to 11",
        ),
        (
            TEXT_ORDER,
            11,
            None,
            r"\['0', '1', '10', '2', '3'\].*class_names=images.class_names if .* sorted as text"
            r".* or class_names=sorted\(images.class_names, key=int\) if",
        ),
        (["1", "10", "2"], 3, None, r"class_names=images.class_names if"),
        # Of folders that are not there, the others tell nothing.
        (
            ["0", "1", "10"],
            11,
            None,
            r"class_names=sorted\(map\(str, range\(11\)\)\) if .* as text",
        ),
        (["10", "11"], 12, None, r"or class_names=list\(map\(str, range\(12\)\)\) if the values"),
        (["0", "2"], 11, None, r"order as text is not"),
        (["0", "10", "2"], 11, list("abcdefghijk"), r"order as text is not"),
        (["007", "2"], 8, None, r"order as text is not"),
        (
            ["x", "1"],
            3,
            list("abc"),
            r"does not know: \['1', 'x'\]; it knows 'a', 'b', 'c': .*pass class_names=.*unlabelled",
        ),
        (["3"], 3, list("abc"), r"does not know: \['3'\]"),
        (["02", "2"], 3, list("abc"), r"does not know"),
        (["1998", "2004"], 12, None, r"carries no names"),
        (
            ["x"],
            3,
            ["x", "x", "y"],
            "several classes called 'x': name the folders by index, 0 to 2",
        ),
        (["x"], 3, ["x", "y"], "class_names has 2 names, and the model has 3 classes"),
        (
            ["cat", "dog"],
            2,
            ["dog"],
            "class_names has 1 names, .* one output p has two: first the name for p = 0, then for",
        ),
    ],
)
def test_folders_that_are_no_classes_are_refused_with_the_remedies(found, classes, names, said):
    with pytest.raises(ValueError, match=said):
        match(folders(found), classes, names)


def test_the_rule_by_which_folders_were_matched_is_kept(model, images, whole):
    assert whole.matched_by == "name"
    analysis = camkit.analyze(zoo.flat()[0], images, method=camkit.grad_cam)
    assert analysis.matched_by == "order" and analysis.class_names == NAMES
    assert camkit.analyze(model, images.unlabelled(), batch_size=BATCH).matched_by is None


# Heads that read more than one map ----------------------------------------------------------------


def test_what_no_map_belongs_to_is_kept_as_the_rest(images, tmp_path):
    """A max pooling beside the average."""
    model = zoo.shake(zoo.joined())
    some = images.select(slice(0, 6))
    analysis = camkit.analyze(model, some, tmp_path / "out", batch_size=4)
    (batch,) = some.batches(6, zoo.SHAPE[:2])
    np.testing.assert_allclose(
        analysis.logits, model.predict(batch.astype("float32"), verbose=0), rtol=1e-5, atol=1e-3
    )
    means = np.asarray(analysis.maps, "float64").mean(axis=(1, 2))
    error = np.abs(means + analysis.rest + analysis.bias - analysis.logits)
    assert np.abs(analysis.rest).max() > 1 and error.max() <= np.abs(analysis.maps).max() * 2**-11
    again = camkit.load_analysis(tmp_path / "out")
    np.testing.assert_array_equal(again.rest, analysis.rest)
    page = camkit.write_atlas(analysis, tmp_path / "atlas")
    assert '"bias":null' in (page.parent / "data" / "index.js").read_text()


# Several inputs and outputs -----------------------------------------------------------------------


def several(images):
    """A model of an image and a table with two outputs, "kind" and "age"."""
    image, table = keras.Input(zoo.SHAPE, name="image"), keras.Input((3,), name="table")
    gap = layers.GlobalAveragePooling2D()(zoo.volume(layers.Rescaling(1 / 100, -1)(image)))
    both = layers.Concatenate()([gap, layers.Dense(2, "relu")(table)])
    kind = layers.Dense(4, "softmax", name="kind")(both)
    age = layers.Dense(1, "sigmoid", name="age")(both)
    return zoo.shake(keras.Model([image, table], [kind, age]))


@pytest.mark.parametrize("method", [None, camkit.grad_cam])
def test_one_output_of_several_is_read_with_the_other_inputs_given(images, tmp_path, method):
    model = several(images)
    some = images.select(slice(0, 7))
    (batch,) = some.batches(7, zoo.SHAPE[:2])
    row = np.array([1.0, -2.0, 3.0])
    table = np.repeat(row[None], 7, axis=0)
    kind, age = model.predict([batch.astype("float32"), table], verbose=0)
    given = {"method": method, "batch_size": 4}
    one = camkit.analyze(
        model, some, tmp_path / "out", inputs={"table": row}, output="kind", **given
    )
    np.testing.assert_allclose(one.probs, kind, atol=1e-5)
    two = camkit.analyze(model, some.unlabelled(), inputs={"table": row}, output="age", **given)
    np.testing.assert_allclose(two.probs[:, 1], age[:, 0], atol=1e-5)
    for other in ({"inputs": {"table": 2 * row}, "output": "kind"},):
        with pytest.raises(ValueError, match="another model"):
            camkit.analyze(model, some, tmp_path / "out", **other, **given)
    for options in ({}, {"output": "kind"}, {"inputs": {"table": row}}):
        with pytest.raises(camkit.HeadError, match="output|inputs"):
            camkit.analyze(model, some, **options, **given)


# One output ---------------------------------------------------------------------------------------


def two_folders(images):
    """The images of two classes as a set of two."""
    chosen = images.select(np.isin(images.labels, [1, 3]))
    labels = (chosen.labels == 3).astype(int)
    return dataclasses.replace(chosen, labels=labels, class_names=["Lime", "Snow"])


def one_output(images, activation):
    """A model of one sigmoid or one logit, which takes half of the images for the second class."""
    image = keras.Input(zoo.SHAPE)
    gap = layers.GlobalAveragePooling2D()(zoo.volume(layers.Rescaling(1 / 100, -1)(image)))
    dense = layers.Dense(1, activation)
    model = zoo.shake(keras.Model(image, dense(gap)))
    (batch,) = images.batches(len(images), zoo.SHAPE[:2])
    logits = keras.Model(image, gap).predict(batch.astype("float32"), verbose=0) @ dense.kernel
    dense.bias.assign([-np.quantile(logits, 0.48)])
    return model


@pytest.mark.parametrize("activation", ["sigmoid", None])
@pytest.mark.parametrize("method", [None, camkit.grad_cam])
def test_one_output_is_two_classes(images, activation, method):
    some = two_folders(images)
    (batch,) = some.batches(COUNT, zoo.SHAPE[:2])
    model = one_output(some, activation)
    p = model.predict(batch.astype("float32"), verbose=0)[:, 0]
    if activation is None:
        p = 1 / (1 + np.exp(-p))
    analysis = camkit.analyze(model, some, method=method, batch_size=8)
    np.testing.assert_allclose(analysis.probs, np.stack([1 - p, p], axis=1), atol=1e-6)
    assert (analysis.class_names, analysis.matched_by) == (["Lime", "Snow"], "order")
    assert analysis.maps.shape[-1] == 2 and not analysis.is_multi_label
    predicted = (p > 0.5).astype(int)
    assert 0 < predicted.sum() < len(some)
    np.testing.assert_array_equal(analysis.predicted, predicted)
    table = analysis.table
    assert table["true"].tolist() == [Path(path).parent.name for path in analysis.paths]
    np.testing.assert_allclose(table["confidence"], np.maximum(p, 1 - p), atol=1e-6)
    assert len(analysis.errors) == (predicted != some.labels).sum()
    if method is None:
        opposite = -np.asarray(analysis.maps[..., 0], "float32")
        np.testing.assert_array_equal(opposite, analysis.maps[..., 1])


@pytest.mark.parametrize("method", [None, camkit.grad_cam])
def test_one_output_without_labels_has_the_confidence_of_what_is_predicted(images, method):
    some = two_folders(images).unlabelled()
    analysis = camkit.analyze(one_output(some, "sigmoid"), some, method=method, batch_size=8)
    assert analysis.class_names == ["0", "1"] and (analysis.table["confidence"] >= 0.5).all()
    assert set(analysis.table["predicted"]) == {"0", "1"}
    named = camkit.analyze(
        one_output(some, "sigmoid"), some, class_names=["no", "yes"], method=method
    )
    assert set(named.table["predicted"]) == {"no", "yes"}


def test_the_two_classes_of_one_output_are_named_or_numbered_or_refused(images):
    some = two_folders(images)
    model = one_output(some, "sigmoid")
    turned = camkit.analyze(model, some, class_names=["Snow", "Lime"], method=camkit.grad_cam)
    straight = camkit.analyze(model, some, method=camkit.grad_cam)
    np.testing.assert_array_equal(turned.labels, 1 - straight.labels)
    np.testing.assert_array_equal(turned.probs, straight.probs)
    numbered = dataclasses.replace(some, class_names=["0", "1"])
    assert camkit.analyze(model, numbered, method=camkit.grad_cam).matched_by == "number"
    with pytest.raises(ValueError, match="has 1 names, .* has 2 classes: .* for p = 0, then for p"):
        camkit.analyze(model, some, method=camkit.grad_cam, class_names=["Snow"])
    with pytest.raises(ValueError, match="has 2 classes and carries no names, the images have 4"):
        camkit.analyze(model, images, method=camkit.grad_cam)


@pytest.mark.parametrize("method", [None, camkit.grad_cam])
def test_faults_and_the_atlas_of_one_output_are_those_of_two_classes(images, method, tmp_path):
    some = two_folders(images)
    analysis = camkit.analyze(one_output(some, "sigmoid"), some, method=method, batch_size=8)
    assert set(camkit.data_faults(analysis).columns) >= {"path", "kind"}
    page = camkit.write_atlas(analysis, tmp_path / "atlas")
    script = (page.parent / "data" / "index.js").read_text()
    assert '"classNames":["Lime","Snow"]' in script


# Several labels -----------------------------------------------------------------------------------


@pytest.mark.parametrize("method", [None, camkit.grad_cam])
def test_a_model_of_several_labels_predicts_those_that_reach_a_threshold(images, method):
    model, *_ = zoo.flat(activation="sigmoid", body=zoo.after(layers.Rescaling(1 / 100, -1)))
    analysis = camkit.analyze(model, images, method=method, batch_size=16)
    (batch,) = images.batches(COUNT, zoo.SHAPE[:2])
    expected = model.predict(batch.astype("float32"), verbose=0)
    np.testing.assert_allclose(analysis.probs, expected, atol=1e-6)
    assert analysis.is_multi_label and analysis.maps.shape[-1] == zoo.CLASSES
    assert 0 < analysis.predicted_labels().sum() != COUNT
    np.testing.assert_array_equal(analysis.predicted_labels(), analysis.probs >= 0.5)
    thresholds = [0.1, 0.9, 0.5, 0.5]
    np.testing.assert_array_equal(
        analysis.predicted_labels(thresholds), analysis.probs >= np.array(thresholds)
    )
    with pytest.raises(ValueError, match="threshold is .0.1, 0.9.: pass one number, or one for"):
        analysis.predicted_labels([0.1, 0.9])
    for wrong in (7, -0.1, float("nan"), [0.1, 0.9, 0.5, float("nan")]):
        with pytest.raises(ValueError, match="pass probabilities, numbers from 0 to 1"):
            analysis.predicted_labels(wrong)


def test_a_model_of_one_label_says_so(whole):
    assert not whole.is_multi_label
    assert whole.predicted_labels().sum(axis=1).max() <= 1


def test_pictures_without_labels_have_predictions_and_no_errors(model, images, whole):
    for method in (None, camkit.grad_cam):
        result = camkit.analyze(model, images.unlabelled(), method=method, batch_size=BATCH)
        assert result.labels.tolist() == [-1] * COUNT and len(result.errors) == 0
        assert (
            result.table["true"].tolist() == [None] * COUNT and result.table["margin"].isna().all()
        )
        assert result.table["predicted"].tolist() == whole.table["predicted"].tolist()
        np.testing.assert_allclose(result.table["confidence"], whole.table["confidence"], atol=1e-6)


def test_where_some_have_labels_the_others_are_no_errors(model, images, whole):
    some = np.where(np.arange(COUNT) % 3 == 0, -1, images.labels)
    result = camkit.analyze(model, dataclasses.replace(images, labels=some), batch_size=BATCH)
    kept = some >= 0
    assert result.labels.tolist() == some.tolist() and result.errors.equals(
        whole.errors[kept[whole.errors.index]]
    )
    assert result.table[kept].equals(whole.table[kept]) and result.table["true"][~kept].isna().all()


def test_what_learns_from_labels_refuses_pictures_without(model, images):
    with pytest.raises(ValueError, match="the images have 0: no labels"):
        camkit.train_head(model, images.unlabelled())


# Classes, table, errors ---------------------------------------------------------------------------


def test_labels_are_those_of_the_model_where_the_images_have_fewer_classes(images):
    names = ["Plum", "Zebra", "Apple", "Snow", "Lime"]
    result = camkit.analyze(named_model(names), images, batch_size=16)
    assert result.class_names == names
    assert [names[label] for label in result.labels] == [
        images.class_names[label] for label in images.labels
    ]
    assert result.table["true"].tolist() == [Path(path).parent.name for path in result.paths]


def test_classes_that_the_model_does_not_know_are_refused(images):
    with pytest.raises(
        ValueError,
        match=r"the model does not know: \['Lime', 'Snow'\]; it knows 'Apple', 'Plum', 'x': cl",
    ):
        camkit.analyze(named_model(["Apple", "Plum", "x"]), images)
    model, *_ = zoo.flat()
    with pytest.raises(
        ValueError, match="the model has 4 classes and carries no names, the images have 3"
    ):
        camkit.analyze(model, camkit.load_images(images.root, classes=NAMES[:3]))
    assert camkit.analyze(model, images, batch_size=16).class_names == NAMES


def by_hand(tmp_path):
    """An Analysis with scores chosen so that all of its table can be said beforehand."""
    probs = np.array(
        [[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.25, 0.25, 0.5], [0.6, 0.3, 0.1], [0.05, 0.9, 0.05]],
        "float32",
    )
    folder = tmp_path / "analysis"
    folder.mkdir()
    arrays = {
        "gap": np.zeros((5, 2)),
        "maps": np.zeros((5, 2, 2, 3), "float16"),
        "logits": np.log(probs),
        "probs": probs,
    }
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    about = {
        "labels": [0, 0, 2, 2, 0],
        "bias": [0, 0, 0],
        "paths": list("abcde"),
        "class_names": ["x", "y", "z"],
    }
    (folder / "about.json").write_text(json.dumps(about))
    return camkit.load_analysis(folder)


def test_the_table_by_hand(tmp_path):
    table = by_hand(tmp_path).table
    assert list(table.columns) == [
        *("path", "true", "predicted", "confidence", "margin"),
        *("correct", "second", "second_confidence"),
        *("flip_cells", "flip_share", "flip_to", "file"),
    ]
    assert table["path"].tolist() == list("abcde") == table["file"].tolist()
    assert table["true"].tolist() == ["x", "x", "z", "z", "x"]
    assert table["predicted"].tolist() == ["x", "y", "z", "x", "y"]
    np.testing.assert_allclose(table["confidence"], [0.7, 0.8, 0.5, 0.6, 0.9], rtol=1e-6)
    np.testing.assert_allclose(table["margin"], np.log([7 / 2, 1 / 8, 2, 1 / 6, 1 / 18]), rtol=1e-5)
    assert table["correct"].tolist() == [True, False, True, False, False]
    assert table["second"].tolist() == ["y", "x", "x", "y", "x"]
    np.testing.assert_allclose(table["second_confidence"], [0.2, 0.1, 0.25, 0.3, 0.05], rtol=1e-6)


def test_without_a_label_it_is_unknown_whether_an_image_is_classified_correctly(tmp_path):
    result = dataclasses.replace(by_hand(tmp_path), labels=np.array([0, 0, -1, -1, 0]))
    correct = result.table["correct"]
    assert correct.tolist()[:2] == [True, False] and correct.isna().tolist()[2:] == [1, 1, 0]
    assert len(result.table[correct]) == 1 and len(result.table[~correct]) == 2


def test_a_single_class_has_no_second(tmp_path):
    result = by_hand(tmp_path)
    result = dataclasses.replace(
        result,
        logits=result.logits[:, :1],
        probs=result.probs[:, :1],
        labels=np.zeros(5, int),
        class_names=["x"],
    )
    assert result.table["second"].isna().all() and result.table["second_confidence"].isna().all()


def test_errors_are_the_misclassified_most_confident_first(tmp_path):
    result = by_hand(tmp_path)
    assert result.errors["path"].tolist() == ["e", "b", "d"] and result.errors.index.tolist() == [
        4,
        1,
        3,
    ]
    assert (result.errors["margin"] < 0).all()
    assert (result.table.drop(result.errors.index)["margin"] > 0).all()


def test_the_table_of_a_real_analysis_agrees_with_its_arrays(whole):
    table, logits = whole.table, np.asarray(whole.logits)
    for i, row in table.iterrows():
        others = np.delete(logits[i], whole.labels[i])
        assert row["margin"] == pytest.approx(logits[i, whole.labels[i]] - others.max(), abs=1e-6)
        assert row["confidence"] == pytest.approx(whole.probs[i].max(), abs=1e-7)
    assert len(whole.errors) == (whole.predicted != whole.labels).sum() > 0
    assert whole.errors["confidence"].is_monotonic_decreasing


# Memory -------------------------------------------------------------------------------------------


PEAK = """
import resource, sys
import keras, camkit
images = camkit.load_images(sys.argv[1])
model = keras.models.load_model(sys.argv[2])
images = images.select(list(range(len(images))) * int(sys.argv[4]))
camkit.analyze(model, images, sys.argv[3], batch_size=16)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_images(images, tmp_path):
    """1,720 images have 124 MB of maps more than 172: less than half of that may show."""
    image = keras.Input(zoo.SHAPE)
    base = keras.Model(image, layers.Conv2D(16, 3, padding="same")(image))
    model = camkit.gap_classifier(base, [*NAMES, *(f"c{i}" for i in range(71))])
    model.save(tmp_path / "model.keras")
    peaks = []
    for times in (4, 40):
        command = [
            sys.executable,
            "-c",
            PEAK,
            images.root,
            tmp_path / "model.keras",
            tmp_path / f"{times}",
            str(times),
        ]
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            cwd=Path(camkit.__file__).parents[1],
            timeout=600,
        )
        assert done.returncode == 0, done.stderr
        peaks.append(int(done.stdout) / 1024)
    size = os.stat(tmp_path / "40" / "maps.npy").st_size / 2**20
    assert size > 100 and peaks[1] - peaks[0] < size / 2


def test_a_method_that_failed_before_it_stored_anything_does_not_block_its_folder(images, tmp_path):
    """The user mends it and calls again, with the same folder."""
    model = zoo.flat()[0]

    def method(model, batch, targets):
        return camkit.grad_cam(model, batch, targets)[:1]

    with pytest.raises(ValueError, match="is needed"):
        camkit.analyze(model, images, tmp_path / "out", method=method)

    def method(model, batch, targets):
        return camkit.grad_cam(model, batch, targets)

    analysis = camkit.analyze(model, images, tmp_path / "out", method=method)
    direct = camkit.analyze(model, images, method=camkit.grad_cam)
    np.testing.assert_array_equal(analysis.maps, direct.maps)
    with pytest.raises(ValueError, match="another method"):
        camkit.analyze(model, images, tmp_path / "out", method=camkit.hires_cam)


def test_an_analysis_says_in_a_line_what_it_is(images, tmp_path):
    model = zoo.flat()[0]
    text = repr(camkit.analyze(model, images, tmp_path / "out"))
    count, classes = len(images), len(images.class_names)
    assert text == (
        f"Analysis({count} images, {classes} classes, maps by CAM, "
        f"folder={str(tmp_path / 'out')!r})"
    )


# Brought up to date -------------------------------------------------------------------------------


def changed_set(images, tmp_path):
    """The images without two, with another order, with a changed one and with one more."""
    root = tmp_path / "changed"
    shutil.copytree(images.root, root)
    (root / "Apple" / "00004.png").unlink()
    (root / "Snow" / "00007.png").unlink()
    (root / "Lime" / "00001.png").rename(root / "Plum" / "00000.png")
    write_images(tmp_path / "more", 6, seed=3)
    shutil.copy(tmp_path / "more" / "Lime" / "00001.png", root / "Lime" / "zz.png")
    shutil.copy(tmp_path / "more" / "Plum" / "00002.png", root / "Plum" / "00002.png")
    return camkit.load_images(root)


@pytest.fixture
def computed(monkeypatch):
    """The files of the images that are decoded for a model."""
    files = []
    read = FileReader.__call__

    def counted(self, path, *size, **options):
        files.append(f"{path.parent.name}/{path.name}")
        return read(self, path, *size, **options)

    monkeypatch.setattr(FileReader, "__call__", counted)
    return files


def listing(folder):
    return {path.name for path in Path(folder).iterdir()}


def test_an_analysis_is_brought_up_to_date_and_only_new_images_are_computed(
    model, images, whole, tmp_path, computed
):
    folder = tmp_path / "analysis"
    shutil.copytree(whole.folder, folder)
    changed = changed_set(images, tmp_path)
    fresh = camkit.analyze(model, changed, tmp_path / "fresh", batch_size=BATCH)
    computed.clear()
    result = camkit.analyze(model, changed, folder, batch_size=5 * BATCH)
    assert sorted(computed) == ["Lime/zz.png", "Plum/00002.png"]
    assert arrays_of(folder) == arrays_of(fresh.folder)
    assert result.table.equals(fresh.table) and listing(folder) == listing(fresh.folder)
    about = [json.loads((path / "about.json").read_text()) for path in (folder, fresh.folder)]
    assert about[0] == about[1]
    computed.clear()
    camkit.analyze(model, changed, folder)
    assert computed == [] and arrays_of(folder) == arrays_of(fresh.folder)


@pytest.mark.parametrize("change", ["fewer", "other order", "other labels", "renamed"])
def test_where_no_image_is_new_none_is_computed(model, images, whole, tmp_path, computed, change):
    folder = tmp_path / "analysis"
    shutil.copytree(whole.folder, folder)
    rows = {"fewer": np.arange(1, COUNT), "other order": np.arange(COUNT)[::-1]}
    rows = rows.get(change, np.arange(COUNT))
    some = images.select(rows)
    if change == "other labels":
        some = dataclasses.replace(some, labels=some.labels[::-1])
    if change == "renamed":
        shutil.copytree(images.root, tmp_path / "renamed")
        (tmp_path / "renamed" / "Apple" / "00000.png").rename(
            tmp_path / "renamed" / "Apple" / "00001.png"
        )
        some = camkit.load_images(tmp_path / "renamed")
    result = camkit.analyze(model, some, folder, batch_size=BATCH)
    assert computed == [] and result.labels.tolist() == some.labels.tolist()
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(result, name), getattr(whole, name)[rows])
    assert result.paths == [str(path) for path in some.paths]


def test_an_analysis_cut_short_keeps_its_shards_when_an_image_is_taken_out(
    model, images, whole, tmp_path, monkeypatch, computed
):
    """As where a picture stops a run over night, and is deleted."""
    folder = tmp_path / "analysis"
    monkeypatch.setattr(_shards, "join", lambda *_: (_ for _ in ()).throw(Killed))
    with pytest.raises(Killed):
        camkit.analyze(model, images, folder, batch_size=BATCH)
    monkeypatch.setattr(_shards, "join", JOIN)
    (folder / "shard-00001.npz").unlink()
    computed.clear()
    rows = np.delete(np.arange(COUNT), 3)
    camkit.analyze(model, images.select(rows), folder, batch_size=BATCH)
    assert len(computed) == 16
    fresh = camkit.analyze(model, images.select(rows), tmp_path / "fresh", batch_size=BATCH)
    assert arrays_of(folder) == arrays_of(fresh.folder)


JOIN = _shards.join


@pytest.mark.parametrize("where, spoil", [("fsync", True), ("replace", False), ("mkdir", False)])
def test_killed_at_every_file_in_turn_it_is_brought_up_to_date_nevertheless(
    model, images, whole, tmp_path, monkeypatch, where, spoil
):
    folder = tmp_path / "analysis"
    shutil.copytree(whole.folder, folder)
    changed = changed_set(images, tmp_path)
    wanted = arrays_of(camkit.analyze(model, changed, tmp_path / "fresh", batch_size=BATCH).folder)
    before = arrays_of(folder)
    cam = camkit.CAM(model)
    monkeypatch.setattr("camkit.maps.cam.CAM", lambda _, **options: cam)
    target = (Path, "mkdir") if where == "mkdir" else (os, where)
    deaths = 0
    for at in range(1, 40):
        with monkeypatch.context() as patch:
            patch.setattr(*target, fatal(getattr(*target), at, [0], spoil))
            try:
                camkit.analyze(model, changed, folder, batch_size=BATCH)
                break
            except Killed:
                deaths += 1
        try:
            # A reader sees the old analysis or the new one, or is told to go on with it.
            result = camkit.load_analysis(folder)
            assert arrays_of(folder) == (before if len(result) == COUNT else wanted)
        except ValueError as error:
            assert "is not finished" in str(error)
    assert deaths >= 3 and arrays_of(folder) == wanted
    assert listing(folder) == {"about.json", *(f"{name}.npy" for name in ARRAYS)}


def test_what_a_method_computes_depends_on_the_label(images, tmp_path, computed):
    """The true class replaces the fifth, so an image with another label is computed anew."""
    model = zoo.flat()[0]
    some = images.select(slice(0, 8))
    camkit.analyze(model, some, tmp_path / "out", method=camkit.grad_cam)
    more = images.select(slice(0, 9))
    labels = np.array([1, *more.labels[1:]])
    more = dataclasses.replace(more, labels=labels)
    computed.clear()
    result = camkit.analyze(model, more, tmp_path / "out", method=camkit.grad_cam)
    assert computed == [f"{more.paths[i].parent.name}/{more.paths[i].name}" for i in (0, 8)]
    fresh = camkit.analyze(model, more, method=camkit.grad_cam)
    np.testing.assert_array_equal(result.maps, fresh.maps)
    np.testing.assert_array_equal(result.map_classes, fresh.map_classes)


def test_a_users_method_may_look_at_the_other_images_of_a_batch(images, tmp_path):
    model = zoo.flat()[0]

    def method(model, batch, targets):
        return camkit.grad_cam(model, batch, targets)

    camkit.analyze(model, images.select(slice(0, 8)), tmp_path / "out", method=method)
    with pytest.raises(ValueError, match="holds the analysis of another image set: choose"):
        camkit.analyze(model, images.select(slice(0, 9)), tmp_path / "out", method=method)


# Metadata, parts of an analysis -------------------------------------------------------------------


@any_bytes()
def metadata_of(count):
    """A column of each type that a table may have."""
    rows = np.arange(count)
    days = pd.Timestamp("2026-10-25 00:30", tz="Europe/Berlin") + pd.to_timedelta(rows, "h")
    return pd.DataFrame(
        {
            "camera": np.array(["old", "new", None], dtype=object)[rows % 3],
            "light": rows / 7,
            "single": (rows / 7).astype("float32"),
            "shot": rows,
            "flash": rows % 2 == 0,
            "maybe": pd.array([None if i % 5 == 0 else int(i) for i in rows], dtype="Int64"),
            "taken": days,
            "lasted": pd.to_timedelta(rows, "ms"),
            "size": pd.Categorical.from_codes(rows % 3 - 1, ["small", "large"], ordered=True),
            "tags": [["a", "b"][: i % 3] for i in rows],
            "path": [f"p{i}" for i in rows],
            0: rows[::-1],
        }
    )


def test_metadata_travel_with_the_analysis_and_keep_their_types(model, images, tmp_path):
    some = images.select(slice(0, 9))
    metadata = metadata_of(9)
    some = dataclasses.replace(some, metadata=metadata)
    analysis = camkit.analyze(model, some, tmp_path / "analysis")
    again = camkit.load_analysis(tmp_path / "analysis")
    for stored in (analysis.metadata, again.metadata, again.images.metadata):
        pd.testing.assert_frame_equal(stored, metadata)
    assert again.images.root == images.root == again.root
    table = again.table
    assert list(table.columns)[12:] == [*metadata.columns[:-2], "metadata_path", 0]
    assert table["camera"].equals(metadata["camera"])
    assert table["metadata_path"].equals(metadata["path"].rename("metadata_path"))
    assert table["file"].tolist() == [
        path.relative_to(images.root).as_posix() for path in some.paths
    ]


def test_the_metadata_of_the_last_call_count(model, images, tmp_path):
    some = images.select(slice(0, 3))
    camkit.analyze(model, some, tmp_path)
    metadata = pd.DataFrame({"camera": [1, 2, 3]}, index=[7, 7, 9])
    labelled = dataclasses.replace(some, metadata=metadata)
    assert camkit.analyze(model, labelled, tmp_path).table["camera"].tolist() == [1, 2, 3]
    assert camkit.analyze(model, some, tmp_path).metadata is None


@pytest.mark.parametrize(
    "metadata, message",
    [
        (pd.DataFrame({"a": [1, 2]}), "has 2 rows and there are 3 images: it needs a row for each"),
        (pd.DataFrame({"a": [{1}, {2}, {3}]}), "the metadata 'a' holds values of object that"),
        (
            pd.DataFrame({"a": [Path("a")] * 3}),
            r"cannot be stored: .*images.metadata\['a'\].astype",
        ),
    ],
)
def test_metadata_that_cannot_be_stored_exactly_are_refused(
    model, images, tmp_path, metadata, message
):
    some = dataclasses.replace(images.select(slice(0, 3)), metadata=metadata)
    with pytest.raises(ValueError, match=message):
        camkit.analyze(model, some, tmp_path / "analysis")
    assert not (tmp_path / "analysis").exists()


MAYBE = pd.Series([True, None, False] * 3, dtype="boolean")


@pytest.mark.parametrize(
    "indices",
    [
        [5, 0, 2],
        slice(1, 9, 3),
        np.arange(9) % 2 == 0,
        pd.Index([1, 8]),
        MAYBE,
        np.array([], int),
    ],
)
def test_a_selection_is_an_analysis_of_the_selected_images(whole, indices):
    nine = dataclasses.replace(whole.select(slice(0, 9)), metadata=metadata_of(9))
    rows = np.arange(9)[indices] if indices is not MAYBE else [0, 3, 6]
    part = nine.select(indices)
    assert len(part) == len(rows) and part.root == whole.root
    expected = nine.table.iloc[rows].reset_index(drop=True)
    # A column without any name has the type object, with None for what is NaN beside names.
    if expected["flip_to"].isna().all():
        expected["flip_to"] = pd.Series([None] * len(expected), dtype=object)
    pd.testing.assert_frame_equal(part.table, expected, check_dtype=len(part) > 0)
    for name in ("gap", "maps", "logits", "probs", "labels", "map_classes"):
        np.testing.assert_array_equal(getattr(part, name), getattr(nine, name)[rows])
    assert part.images.paths == [Path(nine.paths[i]) for i in rows]


def test_a_selection_keeps_a_temporary_folder(model, images):
    part = camkit.analyze(model, images.select(slice(0, 4))).select(slice(0, 2))
    assert part.folder.is_dir() and part.class_map(1, 0).shape == part.maps.shape[1:3]


def test_an_image_that_is_not_there_cannot_be_selected(whole):
    with pytest.raises(IndexError):
        whole.select([COUNT])


def inverted(path):
    """Open an image with black and white exchanged."""
    with Image.open(path) as image:
        return ImageOps.invert(image.convert("RGB"))


def test_an_analysis_reads_by_the_opener_of_the_set(model, images, tmp_path):
    few = camkit.load_images(images.root, per_class=1, image_opener=inverted)
    result = camkit.analyze(model, few, tmp_path / "out")
    np.testing.assert_array_equal(result.images[0], 255 - images[images.paths.index(few.paths[0])])
    plain = dataclasses.replace(few, reader=FileReader())
    with pytest.raises(ValueError, match="the analysis of another way of reading the files"):
        camkit.analyze(model, plain, tmp_path / "out")
    stored = camkit.load_analysis(tmp_path / "out")
    with pytest.raises(OSError, match="image_opener inverted fails: .* stores only its name: pass"):
        stored.images[0]
    np.testing.assert_array_equal(
        camkit.analyze(model, few, tmp_path / "out").logits, result.logits
    )
    assert camkit.analyze(model, plain).logits.tolist() != result.logits.tolist()


def test_a_method_that_reads_no_layer_is_told_where_the_features_are(images, tmp_path):
    """Occlusion reads the scores of two networks alone, an analysis stores features as well."""
    image = keras.Input(zoo.SHAPE)
    scaled = layers.Rescaling(1 / 100, -1)(image)
    both = []
    for name in ("first", "second"):
        features = layers.Conv2D(6, 3, strides=2, activation="relu", name=name)(scaled)
        pooled = layers.GlobalAveragePooling2D()(features)
        both.append(layers.Dense(4, "softmax")(pooled))
    model = zoo.shake(keras.Model(image, layers.Average()(both)))
    some = images.select(slice(0, 3))
    with pytest.raises(ValueError, match="functools.partial.method, layer=.*occlusion"):
        camkit.analyze(model, some, method=camkit.occlusion)
    options = {"window": 12, "stride": 12}
    method = functools.partial(camkit.occlusion, layer="second", **options)
    analysis = camkit.analyze(model, some, tmp_path / "out", method=method)
    (batch,) = some.batches(3, zoo.SHAPE[:2])
    batch = batch.astype("float32")
    read = keras.Model(image, model.get_layer("second").output).predict(batch, verbose=0)
    np.testing.assert_allclose(analysis.gap, read.mean(axis=(1, 2)), rtol=1e-4, atol=1e-5)
    expected = camkit.occlusion(model, batch, analysis.map_classes[:, 0], **options)
    np.testing.assert_allclose(analysis.maps[..., 0], expected, atol=1e-5)
