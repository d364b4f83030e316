"""Backbones with their preprocessing, the GAP classifier and its class names, training the head."""

import json
import random
import subprocess
import sys
import urllib.error
from collections import Counter

import keras
import numpy as np
import pytest
import zoo
from keras import layers
from PIL import Image

import camkit
from camkit._resources import carried
from camkit.images.decoding import FileReader
from camkit.models import backbones, classifier
from camkit.models._head import find_head

NAMES = ["Apple Red 1", "樱桃", "a/b", "under_score", "dot.ted", " leading space", "Ünï>cödé (x)"]
COLOURS = {
    "Apple": (200, 30, 30),
    "Lime": (40, 190, 40),
    "Plum": (60, 30, 160),
    "Snow": (235, 235, 235),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Small images, a folder a class, that colour alone tells apart."""
    root = tmp_path_factory.mktemp("colours")
    noise = np.random.default_rng(0)
    for split, count in (("Training", 25), ("Test", 10)):
        for name, colour in COLOURS.items():
            (root / split / name).mkdir(parents=True)
            for i in range(count):
                pixels = np.clip(colour + noise.normal(0, 20, (24, 20, 3)), 0, 255).astype("uint8")
                Image.fromarray(pixels).save(root / split / name / f"{i}_100.png")
    return root


@pytest.fixture(scope="module")
def train(folder):
    return camkit.load_images(folder, "Training")


@pytest.fixture(scope="module")
def test(folder):
    return camkit.load_images(folder, "Test")


def small(names=tuple(COLOURS), seed=0):
    """A GAP classifier on a small random backbone that takes 0..255."""
    image = keras.Input(zoo.SHAPE)
    base = zoo.shake(
        keras.Model(image, zoo.volume(layers.Rescaling(1 / 100, offset=-1)(image), 16)), seed
    )
    base.trainable = False
    return camkit.gap_classifier(base, names)


# Backbones ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, mode",
    [
        ("resnet", "caffe"),
        ("vgg16", "caffe"),
        ("mobilenet_v2", "tf"),
        ("xception", "tf"),
        ("resnet_v2", "tf"),
        ("densenet", "torch"),
        ("efficientnet", None),
        ("mobilenet_v3", None),
        ("convnext", None),
    ],
)
def test_the_preprocessing_inside_is_that_of_keras(name, mode):
    pixels = (
        np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3), dtype="uint8").astype("float32")
    )
    preprocess = getattr(keras.applications, name).preprocess_input
    image = keras.Input((16, 16, 3))
    inside = backbones._preprocessing(preprocess, image)
    if mode is None:
        assert inside is image
    else:
        wanted = keras.applications.imagenet_utils.preprocess_input(pixels.copy(), mode=mode)
        np.testing.assert_allclose(
            keras.Model(image, inside).predict(pixels, verbose=0), wanted, atol=1e-4
        )
        np.testing.assert_allclose(preprocess(pixels.copy()), wanted, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name, module",
    [
        ("ResNet50", "resnet50"),
        ("MobileNetV2", "mobilenet_v2"),
        pytest.param("EfficientNetB0", "efficientnet", marks=pytest.mark.sweep),
    ],
)
def test_a_backbone_is_the_application_with_its_preprocessing_in_front(name, module, tmp_path):
    plain = getattr(keras.applications, name)(
        include_top=False, weights=None, input_shape=(64, 64, 3)
    )
    plain.save_weights(tmp_path / "local.weights.h5")
    backbone = camkit.backbone(name, weights=tmp_path / "local.weights.h5", input_size=64)
    pixels = (
        np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), dtype="uint8").astype("float32")
    )
    wanted = plain.predict(
        getattr(keras.applications, module).preprocess_input(pixels.copy()), verbose=0
    )
    np.testing.assert_allclose(
        backbone.predict(pixels, verbose=0), wanted, atol=1e-4 * np.abs(wanted).max()
    )
    assert backbone.count_params() - plain.count_params() in (0, 12)
    assert not backbone.trainable and not backbone.trainable_weights
    assert not any(isinstance(layer, keras.Model) for layer in backbone.layers), "the model is flat"


class Asked(Exception):
    """Raised with the size that keras.applications would take by default."""


@pytest.mark.parametrize(
    "name",
    [
        name
        for name, value in vars(keras.applications).items()
        if name[0].isupper() and callable(value)
    ],
)
def test_a_backbone_sees_images_at_the_size_that_it_was_trained_at(name, monkeypatch):
    """It is Keras' own default, which its models ask for before they build anything.

    MobileNetV3 says 224 in its text alone.
    """
    build = getattr(keras.applications, name)
    if name.startswith("MobileNetV3"):
        assert "(224, 224, 3)" in build.__doc__ and name not in backbones.TRAINED_AT
        return
    if name == "NASNetMobile" and keras.backend.backend() == "torch":
        pytest.skip("Keras does not build NASNetMobile on PyTorch")

    def asked(*args, default_size, **options):
        raise Asked(default_size)

    monkeypatch.setattr(keras.src.applications.imagenet_utils, "obtain_input_shape", asked)
    with pytest.raises(Asked) as size:
        build(weights=None)
    assert backbones.TRAINED_AT.get(name, 224) == size.value.args[0]


def test_the_size_of_the_images_travels_with_the_model(train):
    assert camkit.backbone().input_shape == (None, 100, 100, 3)
    assert camkit.backbone("MobileNetV2", weights=None).input_shape == (None, 224, 224, 3)
    model = camkit.gap_classifier(camkit.backbone(input_size=60), train.class_names)
    camkit.train_head(model, train, epochs=1)
    with pytest.raises(ValueError, match=r"takes \(B, 60, 60, 3\)"):
        camkit.CAM(model)(np.zeros((1, 100, 100, 3)))
    assert model.input_shape == (None, 60, 60, 3)


def test_a_model_that_takes_any_size_is_not_trained(train):
    model = zoo.flat(shape=(None, None, 3))[0]
    with pytest.raises(
        ValueError, match=r"images of any size .*: begin it with keras.Input\(\(224, 224, 3\)\)"
    ):
        camkit.train_head(model, train)


@pytest.mark.slow
def test_many_heads_are_trained_without_a_warning_of_tensorflow(train, caplog):
    few = train.select(slice(None, None, 10))
    for seed in range(7):
        camkit.train_head(small(seed=seed), few, epochs=1)
    assert not caplog.records


def test_the_embedded_backbone_is_small_frozen_and_fine(tmp_path):
    backbone = camkit.backbone()
    pixels = np.random.default_rng(0).integers(0, 256, (2, 100, 100, 3), dtype="uint8")
    features = backbone.predict(pixels, verbose=0)
    assert features.shape[1] >= 12 and features.shape[2] >= 12 and features.min() == 0
    assert not backbone.trainable_weights
    assert (carried("data") / "mini-backbone.weights.h5").stat().st_size <= 2 * 2**20
    for ours, theirs in zip(
        backbone.get_weights(), camkit.backbone(weights="imagenet").get_weights(), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)
    backbone.save_weights(tmp_path / "own.weights.h5")
    again = camkit.backbone(weights=str(tmp_path / "own.weights.h5"), input_size=100)
    np.testing.assert_array_equal(again.predict(pixels, verbose=0), features)
    assert not np.allclose(camkit.backbone(weights=None).predict(pixels, verbose=0), features)


def test_the_embedded_backbone_has_what_the_lessons_need():
    """A frozen backbone that never saw these fruits, with a new head.

    It is right on most, not on all, and for the right reason.
    """
    train, test = camkit.load_images("mini", "Training"), camkit.load_images("mini", "Test")
    model = camkit.gap_classifier(camkit.backbone(), train.class_names)
    camkit.train_head(model, train)
    seen = camkit.analyze(model, test)
    assert 0.88 <= (seen.predicted == seen.labels).mean() <= 0.98
    enlarged = camkit.upsample(np.asarray(seen.maps)[np.arange(len(test)), ..., seen.labels], 100)
    masks = [
        Image.open(str(path).replace("mini-fruits", "mini-fruits/Masks").replace(".jpg", ".png"))
        for path in test.paths
    ]
    on_fruit = [
        np.asarray(mask).ravel()[heat.argmax()] for mask, heat in zip(masks, enlarged, strict=True)
    ]
    assert np.mean(np.array(on_fruit) > 0) > 0.8, "the map of the true class peaks on the fruit"


@pytest.mark.slow
@pytest.mark.parametrize(
    "name, stride, finer, size",
    [
        ("mini", 8, 4, 96),
        ("mini", 8, 4, 100),
        ("MobileNetV2", 32, 8, 96),
        ("MobileNetV2", 32, 8, 100),
        ("ResNet50", 32, 16, 100),
        pytest.param("ResNet50", 32, 16, 96, marks=pytest.mark.sweep),
    ],
)
def test_a_finer_output_stride_keeps_the_features_at_the_old_positions(
    name, stride, finer, size, tmp_path
):
    if name == "mini":
        weights = carried("data") / "mini-backbone.weights.h5"
    else:
        weights = tmp_path / "shaken.weights.h5"
        plain = getattr(keras.applications, name)(
            include_top=False, weights=None, input_shape=(size, size, 3)
        )
        zoo.shake(plain).save_weights(weights)
    coarse = camkit.backbone(name, weights=weights, input_size=size)
    dilated = camkit.backbone(name, weights=weights, input_size=size, output_stride=finer)
    pixels = np.random.default_rng(0).integers(0, 256, (1, size, size, 3)).astype("float32")
    old, new, step = (
        coarse.predict(pixels, verbose=0),
        dilated.predict(pixels, verbose=0),
        stride // finer,
    )
    assert new.shape[1] == -(-size // finer) and old.shape[1] == -(-size // stride)
    shifted = [new[:, shift::step, shift::step] for shift in range(step)]
    same = [
        np.allclose(part, old, atol=1e-4 * np.abs(old).max())
        for part in shifted
        if part.shape == old.shape
    ]
    assert same.count(True) == 1, "at one position of each step, and at that alone"


def test_an_impossible_output_stride_is_refused():
    for stride, nearest in ((3, 2), (16, 8)):
        with pytest.raises(
            ValueError,
            match=f"output stride of mini cannot be {stride}: {nearest} is the nearest below",
        ):
            camkit.backbone("mini", output_stride=stride)


def test_an_unknown_backbone_is_refused_with_the_names_known():
    for name in ("ResNet5", "resnet50", "", None):
        with pytest.raises(ValueError, match="no backbone is called .*mini.*MobileNetV2.*ResNet50"):
            camkit.backbone(name)


def test_without_a_network_the_error_says_what_is_missing_and_where(monkeypatch, tmp_path):
    def refuse(*_, **__):
        raise urllib.error.URLError("no network")

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    monkeypatch.setattr("keras.src.utils.file_utils.urlretrieve", refuse)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr("keras.src.backend.config._KERAS_DIR", str(tmp_path))
    with pytest.raises(OSError) as error:
        camkit.backbone("ResNet50")
    said = str(error.value)
    for part in (
        "ResNet50",
        "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5",
        str(tmp_path / "models"),
        "weights=PATH",
    ):
        assert part in said


def test_weights_that_do_not_fit_are_refused(tmp_path):
    with pytest.raises(OSError, match=r"no weights file .*missing\.h5.*\.weights\.h5"):
        camkit.backbone("MobileNetV2", weights=tmp_path / "missing.h5")
    small().save_weights(tmp_path / "other.weights.h5")
    for name in ("mini", "MobileNetV2"):
        with pytest.raises(
            ValueError, match=r"weights in .*other\.weights\.h5 are not those of (mini|mobilenetv2)"
        ):
            camkit.backbone(name, weights=tmp_path / "other.weights.h5", input_size=32)
    (tmp_path / "text.weights.h5").write_text("hello")
    with pytest.raises(ValueError, match=r"text\.weights\.h5 are not those of mini"):
        camkit.backbone(weights=tmp_path / "text.weights.h5")


def test_weights_that_fit_in_part_are_refused(tmp_path):
    whole = camkit.backbone(weights=None)
    part = keras.Model(whole.input, whole.layers[-6].output)
    part.save_weights(tmp_path / "part.weights.h5")
    with pytest.raises(ValueError, match=r"part\.weights\.h5 are not those of mini"):
        camkit.backbone(weights=tmp_path / "part.weights.h5")


# The classifier -----------------------------------------------------------------------------------


def test_a_new_classifier_gives_equal_odds_and_is_plain_keras():
    model = small()
    np.testing.assert_allclose(model.predict(zoo.images(), verbose=0), 1 / len(COLOURS))
    assert type(model) is type(keras.Model(model.input, model.output))
    assert [layer.name for layer in model.layers[-3:]] == ["gap", "logits", "probabilities"]
    assert len(model.trainable_weights) == 2 and not any(
        isinstance(layer, keras.Model) for layer in model.layers
    )
    assert camkit.CAM(model).class_names == list(COLOURS)


def test_class_names_must_be_two_or_more_and_different():
    for names in ([], ["one"], ["same", "other", "same"]):
        with pytest.raises(ValueError, match="two or more different names, found"):
            small(names)


@pytest.mark.parametrize("size", [0, -3, 48.5, "a", (64, 64)])
def test_a_size_that_is_none_is_refused(size):
    for make in (camkit.backbone, camkit.imagenet_classifier):
        with pytest.raises(ValueError, match="pass the side of the images in pixels") as error:
            make(input_size=size)
        assert str(error.value).startswith(f"input_size is {size!r}: ")


def test_a_backbone_without_a_map_is_refused():
    with pytest.raises(ValueError, match=r"include_top=False and pooling=None"):
        camkit.gap_classifier(zoo.backbone(pooling="avg"), ["a", "b"])


@pytest.mark.parametrize(
    "names", [NAMES, ["", "x"], ["a b", "a_b", "a.20.b", "a>b", "classes"], ["\n", "\t", "'\"\\"]]
)
def test_class_names_travel_in_the_name_of_the_model(names):
    assert classifier.class_names_of(small(names)) == names


def test_other_models_have_no_class_names():
    image = keras.Input((2, 2, 3))
    for name in ("classes", "functional_1", "classes_x>", "resnet50"):
        model = keras.Model(image, layers.ReLU()(image), name=name)
        assert classifier.class_names_of(model) is None or name == "classes_x>"


READ = """
import json, sys, warnings
warnings.simplefilter("error")
import keras
import numpy as np
model = keras.models.load_model(sys.argv[1], safe_mode=True)
assert not [m for m in sys.modules if m.startswith("camkit")]
before = model.predict(np.load(sys.argv[2]), verbose=0)
model.fit(np.load(sys.argv[2]), np.arange(len(before)) % before.shape[1], verbose=0)
np.save(sys.argv[3], before)
import camkit
print(json.dumps([camkit.models.class_names_of(model), type(model).__name__]))
"""


@pytest.mark.slow
def test_a_saved_classifier_is_read_by_plain_keras_without_a_warning(tmp_path):
    model = zoo.shake(small(NAMES))
    np.save(tmp_path / "images.npy", zoo.images())
    model.save(tmp_path / "model.keras")
    command = [
        sys.executable,
        "-c",
        READ,
        *(str(tmp_path / name) for name in ("model.keras", "images.npy", "probs.npy")),
    ]
    done = subprocess.run(command, capture_output=True, text=True, cwd=carried("data").parent)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [NAMES, "Functional"]
    assert "Warning" not in done.stderr and "WARNING:tensorflow" not in done.stderr, done.stderr
    np.testing.assert_allclose(
        np.load(tmp_path / "probs.npy"), model.predict(zoo.images(), verbose=0), atol=1e-6
    )


# Training the head --------------------------------------------------------------------------------


def seeds():
    """The state of every global source of randomness, as far as it can be read."""
    from keras.src.backend.common import global_state

    generator = global_state.get_global_attribute("global_seed_generator")
    return [
        random.getstate(),
        [str(part) for part in np.random.get_state()],
        None if generator is None else np.asarray(generator.state).tolist(),
    ]


def test_training_learns_and_reports_every_epoch(train, test):
    model = small()
    history = camkit.train_head(model, train, epochs=20)
    assert set(history.history) == {
        "accuracy",
        "loss",
        "val_accuracy",
        "val_loss",
    } and history.epoch == list(range(20))
    assert all(len(values) == 20 for values in history.history.values())
    assert history.history["loss"][-1] < history.history["loss"][0] < np.log(len(COLOURS)) + 0.5
    accuracy = (
        model.predict(np.concatenate(list(test.batches(32, (24, 20)))), verbose=0).argmax(1)
        == test.labels
    ).mean()
    assert accuracy >= 0.95
    assert (
        model.evaluate(np.concatenate(list(test.batches(32, (24, 20)))), test.labels, verbose=0)[1]
        >= 0.95
    )


def test_training_is_that_of_its_seed_and_touches_no_other(train):
    first, again, other = small(), small(), small()
    keras.utils.set_random_seed(5)
    before = seeds()
    camkit.train_head(first, train, epochs=2)
    assert seeds() == before
    np.random.seed(99)
    keras.utils.set_random_seed(7)
    camkit.train_head(again, train, epochs=2)
    camkit.train_head(other, train, epochs=2, seed=1)
    for a, b in zip(first.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(first.get_weights()[-2], other.get_weights()[-2])


def test_training_changes_the_head_and_nothing_else(train):
    model = small()
    before, config, trainable = (
        model.get_weights(),
        model.get_config(),
        [layer.trainable for layer in model.layers],
    )
    camkit.train_head(model, train, epochs=1)
    after = model.get_weights()
    for a, b in zip(before[:-2], after[:-2], strict=True):
        np.testing.assert_array_equal(a, b)
    assert all((a != b).any() for a, b in zip(before[-2:], after[-2:], strict=True))
    assert (model.get_config(), [layer.trainable for layer in model.layers]) == (config, trainable)
    assert int(model.optimizer.iterations) == 0


def test_a_fifth_of_each_class_is_set_aside_for_validation():
    labels = np.repeat([0, 1, 2, 3, 4], [25, 14, 5, 2, 1])
    held = classifier._holdout(labels, np.random.default_rng(0))
    assert np.bincount(labels[held], minlength=5).tolist() == [5, 2, 1, 1, 0]
    assert len(np.unique(held)) == len(held)
    assert not np.array_equal(held, classifier._holdout(labels, np.random.default_rng(1)))


class Watched(keras.Sequential):
    """A model that notes what it is trained on."""

    seen = []

    def fit(self, batches, steps_per_epoch, epochs, validation_data, **options):
        epochs_of_batches = [[next(batches) for _ in range(steps_per_epoch)] for _ in range(epochs)]
        for epoch in epochs_of_batches:
            Watched.seen.append((*map(np.concatenate, zip(*epoch, strict=True)), *validation_data))
        return super().fit(
            (batch for epoch in epochs_of_batches for batch in epoch),
            steps_per_epoch=steps_per_epoch,
            epochs=epochs,
            validation_data=validation_data,
            **options,
        )


def test_validation_images_are_training_images_that_the_head_never_learns_from(train, monkeypatch):
    monkeypatch.setattr(keras, "Sequential", Watched)
    monkeypatch.setattr(Watched, "seen", [])
    camkit.train_head(small(), train, epochs=3)
    assert len(Watched.seen) == 3
    for x, y, held, labels in Watched.seen:
        rows = {row.tobytes() for row in x}
        assert (
            len(rows) == len(x) == 80
            and len(held) == 20
            and not rows & {row.tobytes() for row in held}
        )
        assert np.bincount(labels).tolist() == [5] * 4 and np.bincount(y).tolist() == [20] * 4
        assert {row.tobytes() for row in held} == {row.tobytes() for row in Watched.seen[0][2]}
    assert not np.array_equal(Watched.seen[0][0], Watched.seen[1][0]), (
        "the order changes from epoch to epoch"
    )


def test_images_for_validation_may_be_given(train, test, monkeypatch):
    monkeypatch.setattr(keras, "Sequential", Watched)
    monkeypatch.setattr(Watched, "seen", [])
    camkit.train_head(small(), train, test, epochs=1)
    x, _, held, labels = Watched.seen[0]
    assert (
        len(x) == len(train) and labels.tolist() == test.labels.tolist() and len(held) == len(test)
    )


def test_every_image_passes_once_whatever_the_epochs(train, monkeypatch):
    reads = Counter()
    read = FileReader.__call__

    def counted(reader, path, **options):
        reads[path] += 1
        return read(reader, path, **options)

    monkeypatch.setattr(FileReader, "__call__", counted)
    camkit.train_head(small(), train, epochs=7)
    assert reads == Counter(train.paths)


def test_training_on_features_is_as_good_as_fitting_the_whole_model(train, test):
    ours, theirs = small(), small()
    camkit.train_head(ours, train, epochs=20)
    pixels = np.concatenate(list(train.batches(32, (24, 20)))).astype("float32")
    order = np.random.default_rng(0).permutation(len(train))
    theirs.fit(pixels[order], train.labels[order], epochs=20, verbose=0)
    probe = np.concatenate(list(test.batches(32, (24, 20)))).astype("float32")
    one, two = (
        (model.predict(probe, verbose=0).argmax(1) == test.labels).mean()
        for model in (ours, theirs)
    )
    assert min(one, two) >= 0.95 and abs(one - two) <= 0.05


@pytest.mark.slow
@pytest.mark.parametrize("name", ["nested", "Dropout between", "no bias", "logits"])
def test_any_model_with_a_dense_head_can_be_trained(name, train):
    model, features, layer = zoo.HEADS[name]()
    kept = features.get_weights()
    camkit.train_head(model, train, epochs=100 if name == "no bias" else 25)
    for a, b in zip(kept, features.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    pixels = np.concatenate(list(train.batches(32, (24, 20)))).astype("float32")
    assert (model.predict(pixels, verbose=0).argmax(1) == train.labels).mean() > 0.9


def test_a_head_without_bias_is_trained_without_one(train, monkeypatch):
    monkeypatch.setattr(keras, "Sequential", Watched)
    model, _, layer = zoo.flat(use_bias=False)
    history = camkit.train_head(model, train, epochs=2)
    (gap,) = classifier._gap_features(model, find_head(model), train)
    held = classifier._holdout(train.labels, np.random.default_rng(0))
    accuracy = ((gap[held] @ np.asarray(layer.kernel)).argmax(1) == train.labels[held]).mean()
    assert accuracy == pytest.approx(history.history["val_accuracy"][-1], abs=1e-6)


def test_the_reported_validation_accuracy_is_that_of_the_trained_model(train):
    model = small()
    history = camkit.train_head(model, train, epochs=2)
    held = classifier._holdout(train.labels, np.random.default_rng(0))
    pixels = np.concatenate(list(train.select(held).batches(32, (24, 20))))
    accuracy = (model.predict(pixels, verbose=0).argmax(1) == train.labels[held]).mean()
    assert accuracy == pytest.approx(history.history["val_accuracy"][-1], abs=1e-6)


def test_classes_that_are_not_those_of_the_model_are_refused(train, test):
    three = camkit.load_images(train.root, "Training", classes=["Apple", "Lime", "Plum"])
    for model, images in (
        (small(), three),
        (small(["Lime", "Apple", "Plum", "Snow"]), train),
        (small(["a", "b"]), train),
        (zoo.flat(shape=(24, 20, 3))[0], three),
    ):
        with pytest.raises(
            ValueError,
            match=r"the model has \d classes .*images have \d.*gap_classifier\(backbone, images",
        ):
            camkit.train_head(model, images)
    with pytest.raises(ValueError, match="the images have 3"):
        camkit.train_head(small(), train, three)


def test_a_head_that_is_no_dense_layer_is_not_trained(train):
    for name in ("1×1 convolution before", "1×1 convolution after", "3×3 convolution before"):
        with pytest.raises(
            camkit.HeadError, match="trains a Dense layer after global average pooling"
        ):
            camkit.train_head(zoo.HEADS[name]()[0], train)
    with pytest.raises(camkit.HeadError, match="Flatten"):
        camkit.train_head(zoo.REFUSED["Flatten → Dense"][0](), train)


def test_gap_features_are_the_mean_of_the_features(train):
    model = small()
    (gap,) = classifier._gap_features(model, find_head(model), train.select(slice(0, 45)))
    pixels = np.concatenate(list(train.select(slice(0, 45)).batches(32, (24, 20)))).astype(
        "float32"
    )
    features = keras.Model(model.input, model.get_layer("gap").input).predict(pixels, verbose=0)
    np.testing.assert_allclose(gap, features.mean(axis=(1, 2)), atol=1e-5)
