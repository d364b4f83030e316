"""Images that are read as `keras.utils.image_dataset_from_directory` reads them."""

import pickle

import keras
import numpy as np
import pytest
from PIL import Image

import camkit
from camkit.images import _as_keras

pytestmark = pytest.mark.usefixtures("tf")

CROPPED = ("bilinear", "nearest", "bicubic", "lanczos3", "lanczos5")


def photograph(height, width, channels=3, seed=0):
    """Smooth colours under noise, uint8."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (4, 5, channels), dtype=np.uint8)
    smooth = np.stack(
        [
            Image.fromarray(coarse[..., c]).resize((width, height), Image.Resampling.BICUBIC)
            for c in range(channels)
        ],
        axis=-1,
    )
    noise = rng.integers(-40, 41, smooth.shape)
    return (smooth + noise).clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Panoramas, noise, photographs with an orientation, small JPEGs and every kind of PNG."""
    root = tmp_path_factory.mktemp("photographs")
    lying = Image.Exif()
    lying[0x0112] = 6
    files = {
        "a/panorama.jpg": (photograph(60, 180), {"quality": 90}),
        "a/tower.jpeg": (photograph(203, 61, seed=1), {"quality": 70}),
        "a/large.jpg": (photograph(600, 800, seed=2), {"quality": 95}),
        "a/lying.jpg": (photograph(90, 120, seed=3), {"exif": lying}),
        "a/small.JPG": (photograph(32, 48, seed=4), {"quality": 75}),
        "b/gray.jpg": (photograph(70, 50, 1, seed=5)[..., 0], {}),
        "b/rgba.png": (photograph(50, 64, 4, seed=6), {}),
        "b/sixteen.png": (photograph(40, 40, 1, seed=7)[..., 0].astype(np.uint16) * 250, {}),
        "b/animated.gif": (photograph(44, 31, seed=8), {"save_all": True}),
        "b/paper.bmp": (photograph(21, 33, seed=9), {}),
    }
    for name, (pixels, options) in files.items():
        path = root / name
        path.parent.mkdir(exist_ok=True)
        image = Image.fromarray(pixels)
        if name.endswith(".gif"):
            options = {"save_all": True, "append_images": [image.rotate(90)]}
        image.save(path, **options)
    Image.fromarray(photograph(20, 20)).save(root / "a" / "skipped.webp")
    Image.fromarray(photograph(20, 20)).save(root / "b" / "skipped.tif")
    return root


def by_keras(folder, size, **options):
    """The batch of a Keras dataset over the whole folder, and its files."""
    colours = {1: "grayscale", 3: "rgb", 4: "rgba"}
    dataset = keras.utils.image_dataset_from_directory(
        folder,
        image_size=size,
        shuffle=False,
        batch_size=64,
        verbose=False,
        color_mode=colours[options.pop("channels", 3)],
        **options,
    )
    [(batch, labels)] = list(dataset)
    return batch.numpy(), labels.numpy(), dataset


@pytest.mark.parametrize("interpolation", _as_keras._INTERPOLATIONS)
@pytest.mark.parametrize("shape", ["stretch", "crop", "pad"])
def test_batches_are_those_of_keras(folder, shape, interpolation):
    if shape == "crop" and interpolation not in CROPPED:
        return
    options = {"interpolation": interpolation}
    if shape != "stretch":
        options[f"{shape}_to_aspect_ratio"] = True
    expected, labels, dataset = by_keras(folder, (37, 52), **options)
    images = camkit.load_images(folder).read_as_keras(**options)
    assert [str(path) for path in images.paths] == dataset.file_paths
    assert images.class_names == dataset.class_names and images.labels.tolist() == labels.tolist()
    [batch] = images.batches(64, (37, 52))
    assert batch.dtype == np.float32
    np.testing.assert_array_equal(batch, expected)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_channels_are_those_of_keras(tmp_path, channels):
    for name in ("a/0.png", "a/1.png", "b/0.png"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(photograph(30, 30, 4)).save(path)
    expected, _, _ = by_keras(tmp_path, (16, 20), channels=channels)
    images = camkit.load_images(tmp_path).read_as_keras()
    [batch] = images.batches(9, (16, 20), channels=channels)
    np.testing.assert_array_equal(batch, expected)


@pytest.mark.parametrize("height", range(97, 131, 3))
def test_a_crop_has_the_edges_of_keras(tmp_path, height):
    path = tmp_path / "a" / "0.png"
    path.parent.mkdir()
    Image.fromarray(photograph(height, 113)).save(path)
    for size in [(7, 3), (50, 49), (224, 223)]:
        expected, _, _ = by_keras(tmp_path, size, crop_to_aspect_ratio=True)
        images = camkit.load_images(tmp_path).read_as_keras(crop_to_aspect_ratio=True)
        np.testing.assert_array_equal(next(images.batches(1, size)), expected)


@pytest.fixture(scope="module")
def model(folder):
    """A model whose two classes are each the more probable one in half of the images."""
    model = camkit.gap_classifier(camkit.backbone("mini"), ["a", "b"])
    kernel, bias = model.weights[-2:]
    kernel.assign(np.random.default_rng(0).normal(size=kernel.shape))
    logits = camkit.analyze(model, camkit.load_images(folder).read_as_keras()).logits
    bias.assign(-np.median(logits, axis=0))
    return model


@pytest.mark.parametrize("options", [{}, {"crop_to_aspect_ratio": True}])
def test_an_analysis_has_the_scores_and_the_accuracy_of_keras(folder, model, options, tmp_path):
    _, labels, dataset = by_keras(folder, (100, 100), **options)
    expected = model.predict(dataset, verbose=0)
    images = camkit.load_images(folder)
    analysis = camkit.analyze(model, images.read_as_keras(**options), tmp_path / "out")
    np.testing.assert_allclose(analysis.probs, expected, atol=1e-5)
    accuracy = (expected.argmax(axis=1) == labels).mean()
    assert analysis.table["correct"].mean() == accuracy
    assert set(analysis.predicted) == {0, 1}
    by_camkit = camkit.analyze(model, images.select(np.isin(images.paths, analysis.images.paths)))
    assert np.abs(by_camkit.logits - analysis.logits).max() > 1


def test_an_analysis_is_read_again_as_it_was_read(folder, model, tmp_path):
    images = camkit.load_images(folder).read_as_keras(crop_to_aspect_ratio=True)
    camkit.analyze(model, images, tmp_path / "out")
    stored = camkit.load_analysis(tmp_path / "out")
    assert stored.reader == images.reader == stored.images.reader
    again = camkit.analyze(model, stored.images, tmp_path / "other")
    np.testing.assert_array_equal(again.logits, stored.logits)
    with pytest.raises(ValueError, match="the analysis of another way of reading the files"):
        camkit.analyze(model, camkit.load_images(folder).read_as_keras(), tmp_path / "out")
    with pytest.raises(ValueError, match="the analysis of another .* way of reading the files"):
        camkit.analyze(model, camkit.load_images(folder), tmp_path / "out")


def test_the_view_is_what_the_model_has_seen(folder):
    path = folder / "a" / "panorama.jpg"
    cropping = _as_keras.KerasReader(crop_to_aspect_ratio=True)
    padding = _as_keras.KerasReader(pad_to_aspect_ratio=True)
    whole = _as_keras.KerasReader()(path)
    assert whole.shape == (60, 180, 3) and whole.dtype == np.uint8
    np.testing.assert_array_equal(cropping.seen_at((10, 10))(path), whole[:, 60:120])
    padded = padding.seen_at((10, 10))(path)
    assert padded.shape == (180, 180, 3) and not padded[:60].any() and not padded[120:].any()
    np.testing.assert_array_equal(padded[60:120], whole)
    np.testing.assert_array_equal(cropping(path), whole)
    # A part of the model's input is that part of the view.
    seen = cropping.seen_at((20, 40))(path)
    assert seen.shape == (60, 120, 3) and cropping.seen_at((20, 40))(path, (8, 8)).shape == (
        8,
        8,
        3,
    )


def test_the_page_shows_what_the_model_has_seen(folder, model, tmp_path):
    images = camkit.load_images(folder).read_as_keras(crop_to_aspect_ratio=True)
    analysis = camkit.analyze(model, images)
    page = camkit.write_atlas(analysis, tmp_path / "page")
    sizes = []
    for picture in sorted((page.parent / "pictures").iterdir()):
        with Image.open(picture) as image:
            sizes.append(image.size)
    assert sizes and all(width == height for width, height in sizes)


def test_the_reader_goes_to_other_processes(folder):
    reader = _as_keras.KerasReader("area", pad_to_aspect_ratio=True)
    assert pickle.loads(pickle.dumps(reader)) == reader


def test_files_that_keras_passes_over_are_told(folder):
    images = camkit.load_images(folder)
    read = images.read_as_keras()
    assert len(images) == 12 and len(read) == 10
    assert {path.name: reason for path, reason in read.skipped} == {
        "skipped.webp": "Keras reads files that end in .bmp, .gif, .jpeg, .jpg, .png",
        "skipped.tif": "Keras reads files that end in .bmp, .gif, .jpeg, .jpg, .png",
    }


def test_what_keras_would_not_do_is_refused(folder, monkeypatch, tmp_path):
    images = camkit.load_images(folder)
    with pytest.raises(ValueError, match="interpolation is 'cubic': Keras takes bilinear, nearest"):
        images.read_as_keras(interpolation="cubic")
    with pytest.raises(ValueError, match="'area': Keras takes .*, lanczos5 to crop"):
        images.read_as_keras(interpolation="area", crop_to_aspect_ratio=True)
    with pytest.raises(ValueError, match="exclude each other: pass one of them"):
        images.read_as_keras(crop_to_aspect_ratio=True, pad_to_aspect_ratio=True)
    with pytest.raises(ValueError, match="opened by an image_opener, .*: load them without one"):
        camkit.load_images(folder, image_opener=Image.open).read_as_keras()
    with pytest.raises(OSError, match="skipped.tif cannot be read as Keras does: TensorFlow, "):
        _as_keras.KerasReader()(folder / "b" / "skipped.tif")
    with pytest.raises(OSError, match="gone.png cannot be read as Keras does: not a file"):
        _as_keras.KerasReader()(tmp_path / "gone.png")
    monkeypatch.setattr(_as_keras, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"by TensorFlow, .*: pip install 'camkit\[tensorflow\]'"):
        images.read_as_keras()
