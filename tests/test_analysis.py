"""Analysing an image set: the same as CAM in one go, resumed wherever it was killed, mixed with nothing else."""

import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import zoo
from keras import layers
from PIL import Image

import camkit
from camkit import analysis as module

NAMES = ["Apple", "Lime", "Plum", "Snow"]
COUNT, BATCH = 43, 2                                        # shards of 16, 16 and 11 images


def write_images(root, count, names=NAMES, seed=0):
    """Random pictures, a folder a class, every class in its turn."""
    noise = np.random.default_rng(seed)
    for i in range(count):
        folder = Path(root) / names[i % len(names)]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(noise.integers(0, 256, (24, 20, 3), dtype="uint8")).save(folder / f"{i:05d}.png")


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
    return camkit.analyze(model, images, tmp_path_factory.mktemp("whole") / "analysis", batch_size=BATCH)


def arrays_of(folder):
    return {name: (Path(folder) / f"{name}.npy").read_bytes() for name in module.ARRAYS}


# The same as CAM ------------------------------------------------------------------------------------------------------


def test_an_analysis_is_the_cam_of_the_whole_set(model, images, whole):
    out = camkit.CAM(model)(np.stack([images[i] for i in range(len(images))]))
    np.testing.assert_allclose(whole.gap, out.gap, atol=1e-5)
    np.testing.assert_allclose(whole.logits, out.logits, atol=1e-5)
    np.testing.assert_allclose(whole.probs, out.probs, atol=1e-6)
    np.testing.assert_allclose(whole.maps, out.maps, atol=np.abs(out.maps).max() * 2**-11 + 1e-5)
    assert (whole.maps.dtype, whole.gap.dtype, whole.logits.dtype) == ("float16", "float32", "float32")
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
    """Half precision keeps 11 binary digits of each value of a map; single precision keeps the scores."""
    means = np.asarray(whole.maps, "float64").mean(axis=(1, 2)) + whole.bias
    assert np.abs(means - whole.logits).max() <= np.abs(whole.maps).max() * 2**-11


def test_every_image_is_read_once_in_order(model, images, monkeypatch):
    seen = []
    read = camkit.images.read_image
    monkeypatch.setattr(camkit.images, "read_image", lambda path, size=None: seen.append(path) or read(path, size))
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
    with pytest.raises(ValueError, match="images of any size and does not say .*: pass input_size=224"):
        camkit.analyze(zoo.flat(shape=(None, None, 3))[0], images)


def test_the_arrays_are_read_from_disk_not_held(whole):
    assert all(isinstance(getattr(whole, name), np.memmap) for name in module.ARRAYS)


def test_a_finished_analysis_is_loaded_without_model_or_images(whole):
    again = camkit.load_analysis(whole.folder)
    for name in (*module.ARRAYS, "labels", "predicted", "bias"):
        np.testing.assert_array_equal(getattr(again, name), getattr(whole, name))
    assert (again.paths, again.class_names) == (whole.paths, whole.class_names)
    assert again.table.equals(whole.table)


def test_a_finished_analysis_runs_no_network_again(model, images, whole, monkeypatch):
    monkeypatch.setattr(camkit.CAM, "__call__", None)
    before = arrays_of(whole.folder)
    camkit.analyze(model, images, whole.folder, batch_size=BATCH)
    assert arrays_of(whole.folder) == before


# Killed and started again -----------------------------------------------------------------------------------------------


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
def test_killed_at_every_file_in_turn_it_goes_on_to_the_same_bytes(model, images, whole, tmp_path, monkeypatch, where, spoil):
    """Dying at the n-th file written, renamed or deleted, for every n, once with half the file on the disk."""
    cam, wanted, folder, deaths = camkit.CAM(model), arrays_of(whole.folder), tmp_path / "analysis", 0
    monkeypatch.setattr(camkit.cam, "CAM", lambda _, input_size: cam)  # made once, to save time
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
            with pytest.raises(ValueError, match="not finished: camkit.analyze with the same|holds no analysis"):
                camkit.load_analysis(folder)
    assert deaths >= 2 and arrays_of(folder) == wanted
    assert {path.name for path in folder.iterdir()} == {"about.json", *(f"{name}.npy" for name in module.ARRAYS)}
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
        found = sorted(path.name for path in Path(folder).iterdir()) if Path(folder).exists() else []
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


def test_killed_by_the_system_at_random_moments_it_ends_with_the_same_bytes(model, images, whole, tmp_path):
    model.save(tmp_path / "model.keras")
    command = [sys.executable, "-c", SURVIVE, images.root, tmp_path / "model.keras", tmp_path / "analysis", str(BATCH), "1"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(camkit.__file__).parents[1], timeout=600)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[0]) >= 3
    assert arrays_of(tmp_path / "analysis") == arrays_of(whole.folder)
    assert sorted(path.suffix for path in (tmp_path / "analysis").iterdir()) == [".json", *[".npy"] * 4]


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
    monkeypatch.setattr(module, "_join", lambda *_: (_ for _ in ()).throw(Killed))
    with pytest.raises(Killed):
        camkit.analyze(model, images, folder, batch_size=BATCH)
    monkeypatch.undo()
    (folder / "shard-00001.npz").unlink()
    seen, read = [], camkit.images.read_image
    monkeypatch.setattr(camkit.images, "read_image", lambda path, size=None: seen.append(path) or read(path, size))
    camkit.analyze(model, images, folder, batch_size=BATCH)
    assert sorted(seen) == sorted(images.paths[16:32])
    assert arrays_of(folder) == arrays_of(whole.folder)


def test_a_reloaded_model_goes_on_with_the_analysis_of_the_saved_one(model, images, whole, tmp_path):
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    before = os.stat(whole.folder / "maps.npy").st_mtime_ns
    assert camkit.analyze(again, images, whole.folder, batch_size=BATCH).table.equals(whole.table)
    assert os.stat(whole.folder / "maps.npy").st_mtime_ns == before


# Nothing is mixed -------------------------------------------------------------------------------------------------------


def test_the_folder_of_another_model_set_or_size_is_refused(model, images, whole, tmp_path):
    before = arrays_of(whole.folder)
    fewer, other = images.select(slice(1, None)), tmp_path / "images"
    write_images(other, COUNT, seed=1)
    same = {"model": model, "images": images, "batch_size": BATCH}
    for found, changes in (
        ("another model", {"model": named_model(seed=1)}),
        ("another image set", {"images": fewer}),
        ("another image set", {"images": images.select(np.arange(COUNT)[::-1])}),
        ("another image set", {"images": camkit.load_images(other)}),
        ("another batch size", {"batch_size": BATCH + 1}),
        ("another input size", {"input_size": 2 * np.array(zoo.SHAPE[:2])}),
        ("another model and another image set", {"model": named_model(seed=1), "images": fewer}),
    ):
        with pytest.raises(ValueError, match=f"{whole.folder} holds the analysis of {found}: name another folder, or"):
            camkit.analyze(**(same | changes), folder=whole.folder)
    assert arrays_of(whole.folder) == before


def test_a_picture_that_was_changed_in_place_makes_another_set(model, tmp_path):
    write_images(tmp_path / "images", 8)
    images = camkit.load_images(tmp_path / "images")
    camkit.analyze(model, images, tmp_path / "analysis", batch_size=4)
    Image.new("RGB", (20, 24), "red").save(images.paths[5])
    with pytest.raises(ValueError, match="another image set"):
        camkit.analyze(model, images, tmp_path / "analysis", batch_size=4)


def test_images_that_moved_are_the_same_images(model, tmp_path):
    write_images(tmp_path / "here", 8)
    camkit.analyze(model, camkit.load_images(tmp_path / "here"), tmp_path / "analysis", batch_size=4)
    (tmp_path / "here").rename(tmp_path / "there")
    moved = camkit.load_images(tmp_path / "there")
    assert camkit.analyze(model, moved, tmp_path / "analysis", batch_size=4).paths == [str(path) for path in moved.paths]


def test_a_folder_with_other_files_is_refused_and_left_alone(model, images, tmp_path):
    (tmp_path / "holiday.txt").write_text("mine")
    with pytest.raises(ValueError, match="holds files that are no analysis: name an empty folder"):
        camkit.analyze(model, images, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["holiday.txt"]


def test_a_folder_without_an_analysis_is_not_loaded(tmp_path):
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(ValueError, match=r"holds no analysis: camkit\.analyze\(model, images, folder\) makes one"):
            camkit.load_analysis(folder)


def test_models_without_a_head_and_sets_without_an_image_are_refused(model, images, tmp_path):
    with pytest.raises(camkit.HeadError, match="Flatten"):
        camkit.analyze(zoo.REFUSED["Flatten → Dense"][0](), images, tmp_path / "analysis")
    with pytest.raises(ValueError, match="there is no image to analyse in ImageSet"):
        camkit.analyze(model, images.select([]), tmp_path / "analysis")
    assert not (tmp_path / "analysis").exists()


def test_maps_beyond_half_precision_are_refused(images, tmp_path):
    model = named_model()
    weights = model.get_layer("logits").get_weights()
    model.get_layer("logits").set_weights([1e6 * weights[0], weights[1]])
    with pytest.raises(ValueError, match=r"class maps reach .*beyond half precision: is the model trained"):
        camkit.analyze(model, images, tmp_path / "analysis")
    model.get_layer("logits").set_weights([np.nan * weights[0], weights[1]])
    with pytest.raises(ValueError, match="class maps reach nan"):
        camkit.analyze(model, images, tmp_path / "other")


# Classes, table, errors -------------------------------------------------------------------------------------------------


def test_labels_are_those_of_the_model_where_the_images_have_fewer_classes(images):
    names = ["Plum", "Zebra", "Apple", "Snow", "Lime"]
    result = camkit.analyze(named_model(names), images, batch_size=16)
    assert result.class_names == names
    assert [names[label] for label in result.labels] == [images.class_names[label] for label in images.labels]
    assert result.table["true"].tolist() == [Path(path).parent.name for path in result.paths]


def test_classes_that_the_model_does_not_know_are_refused(images):
    with pytest.raises(ValueError, match=r"the model does not know: \['Lime', 'Snow'\]; it knows \['Apple', 'Plum', 'x'\]"):
        camkit.analyze(named_model(["Apple", "Plum", "x"]), images)
    model, *_ = zoo.flat()
    with pytest.raises(ValueError, match="the model has 4 classes and carries no names, the images have 3"):
        camkit.analyze(model, camkit.load_images(images.root, classes=NAMES[:3]))
    assert camkit.analyze(model, images, batch_size=16).class_names == NAMES


def by_hand(tmp_path):
    """An Analysis with scores chosen so that all of its table can be said beforehand."""
    probs = np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.25, 0.25, 0.5], [0.6, 0.3, 0.1], [0.05, 0.9, 0.05]], "float32")
    folder = tmp_path / "analysis"
    folder.mkdir()
    arrays = {"gap": np.zeros((5, 2)), "maps": np.zeros((5, 2, 2, 3), "float16"), "logits": np.log(probs), "probs": probs}
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    about = {"labels": [0, 0, 2, 2, 0], "bias": [0, 0, 0], "paths": list("abcde"), "class_names": ["x", "y", "z"]}
    (folder / "about.json").write_text(json.dumps(about))
    return camkit.load_analysis(folder)


def test_the_table_by_hand(tmp_path):
    table = by_hand(tmp_path).table
    assert list(table.columns) == ["path", "true", "predicted", "confidence", "margin"]
    assert table["path"].tolist() == list("abcde")
    assert table["true"].tolist() == ["x", "x", "z", "z", "x"]
    assert table["predicted"].tolist() == ["x", "y", "z", "x", "y"]
    np.testing.assert_allclose(table["confidence"], [0.7, 0.8, 0.5, 0.6, 0.9], rtol=1e-6)
    np.testing.assert_allclose(table["margin"], np.log([7 / 2, 1 / 8, 2, 1 / 6, 1 / 18]), rtol=1e-5)


def test_errors_are_the_misclassified_most_confident_first(tmp_path):
    result = by_hand(tmp_path)
    assert result.errors["path"].tolist() == ["e", "b", "d"] and result.errors.index.tolist() == [4, 1, 3]
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


# Memory -----------------------------------------------------------------------------------------------------------------


PEAK = """
import resource, sys
import keras, camkit
images = camkit.load_images(sys.argv[1])
model = keras.models.load_model(sys.argv[2])
camkit.analyze(model, images.select(list(range(len(images))) * int(sys.argv[4])), sys.argv[3], batch_size=16)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_memory_does_not_grow_with_the_number_of_images(images, tmp_path):
    """1,720 images have 124 MB of maps more than 172: less than half of that may show."""
    image = keras.Input(zoo.SHAPE)
    base = keras.Model(image, layers.Conv2D(16, 3, padding="same")(image))
    model = camkit.gap_classifier(base, [*NAMES, *(f"c{i}" for i in range(71))])
    model.save(tmp_path / "model.keras")
    peaks = []
    for times in (4, 40):
        command = [sys.executable, "-c", PEAK, images.root, tmp_path / "model.keras", tmp_path / f"{times}", str(times)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=Path(camkit.__file__).parents[1], timeout=600)
        assert done.returncode == 0, done.stderr
        peaks.append(int(done.stdout) / 1024)
    size = os.stat(tmp_path / "40" / "maps.npy").st_size / 2**20
    assert size > 100 and peaks[1] - peaks[0] < size / 2
