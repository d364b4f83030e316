"""A model with a preprocessor, as KerasHub's tasks have one, is fed as its `predict` feeds it."""

import gc
import weakref

import keras
import numpy as np
import pytest
import zoo
from keras import layers

import camkit
from camkit.models._graph import network_of
from camkit.models._preprocessor import with_preprocessor
from camkit.models._serialize import fingerprint, packed, unpacked

SIZE = (12, 10)
RAW = np.random.default_rng(0).integers(0, 256, (5, *SIZE, 3)).astype("float32")


@keras.saving.register_keras_serializable("test_preprocessor")
class Converter(layers.Layer):
    """Resizes and rescales, with the public attributes of KerasHub's preprocessors."""

    def __init__(self, image_size=SIZE, scale=1 / 50, **options):
        super().__init__(**options)
        self.image_size = image_size
        self.scale = scale

    def call(self, images):
        return keras.ops.image.resize(images, self.image_size) * self.scale - 1

    def get_config(self):
        return {**super().get_config(), "image_size": self.image_size, "scale": self.scale}


class Task(keras.Model):
    """A Functional model whose `predict` preprocesses raw images."""

    def __init__(self, **options):
        super().__init__(**options)
        self._prepare = None

    @property
    def preprocessor(self):
        return self._prepare

    @preprocessor.setter
    def preprocessor(self, value):
        # PyTorch would take nothing but a layer in the place of another one.
        self.__dict__["_prepare"] = value

    def __setattr__(self, name, value):
        # On PyTorch a model would register a layer as its part and pass the property over.
        if name == "preprocessor":
            object.__setattr__(self, name, value)
        else:
            super().__setattr__(name, value)

    def predict(self, images, **options):
        return super().predict(self.preprocessor(images), **options)


def task(shape=(*SIZE, 3), **options):
    image = keras.Input(shape)
    pooled = layers.GlobalAveragePooling2D()(zoo.volume(image))
    model = Task(inputs=image, outputs=layers.Dense(zoo.CLASSES, "softmax")(pooled))
    zoo.shake(model)
    model.preprocessor = Converter(**options)
    return model


@pytest.mark.parametrize("shape", [(*SIZE, 3), (None, None, 3)])
def test_maps_and_probabilities_are_those_of_the_prepared_images(shape):
    model = task(shape)
    out = camkit.CAM(model)(RAW)
    np.testing.assert_allclose(out.probs, model.predict(RAW, verbose=0), atol=1e-6)
    heat = camkit.grad_cam(model, RAW, 1)
    prepared = np.asarray(model.preprocessor(RAW))
    model.preprocessor = None
    np.testing.assert_allclose(out.maps, camkit.CAM(model)(prepared).maps, atol=1e-5)
    np.testing.assert_allclose(heat, camkit.grad_cam(model, prepared, 1), atol=1e-6)


def test_an_analysis_is_of_the_size_and_the_numbers_of_predict(tmp_path):
    images = camkit.load_images("mini", "Test", classes=["Lemon", "Lime"], per_class=3)
    images = images.unlabelled()
    model = task((None, None, 3))
    raw = next(images.batches(6, SIZE)).astype("float32")
    for method in (None, camkit.grad_cam):
        analysis = camkit.analyze(model, images, method=method)
        np.testing.assert_allclose(analysis.probs, model.predict(raw, verbose=0), atol=1e-6)


def test_another_preprocessor_makes_another_model():
    model = task()
    before = fingerprint(model)
    first = camkit.grad_cam(model, RAW)
    model.preprocessor.scale = 1 / 200
    assert fingerprint(model) != before
    assert not np.allclose(camkit.grad_cam(model, RAW), first)
    model.preprocessor = Converter()
    assert fingerprint(model) == before
    np.testing.assert_array_equal(camkit.grad_cam(model, RAW), first)
    model.preprocessor = None
    assert fingerprint(model) != before


def test_another_process_reads_a_model_with_its_preprocessor():
    """The class of this task does not store it."""
    model = task()
    sent = unpacked(packed(model))
    assert fingerprint(sent) == fingerprint(model)
    np.testing.assert_array_equal(camkit.CAM(sent)(RAW).probs, camkit.CAM(model)(RAW).probs)


def test_what_is_built_is_kept_as_long_as_the_model():
    model = task()
    assert with_preprocessor(model) is with_preprocessor(model)
    camkit.grad_cam(model, RAW)
    reference = weakref.ref(model)
    del model
    gc.collect()
    assert reference() is None


def test_a_model_without_one_is_itself():
    model, *_ = zoo.flat()
    assert with_preprocessor(model) is model
    model.preprocessor = "of something else"
    assert with_preprocessor(model) is model and network_of(model).input.shape[1:] == zoo.SHAPE


def test_another_size_is_that_of_the_preprocessor():
    model = task((None, None, 3))
    with pytest.raises(ValueError, match=r"resizes images to \(12, 10\), not \(24, 20\): leave"):
        camkit.CAM(model, input_size=(24, 20))
    model.preprocessor.image_size = (24, 20)
    images = np.repeat(np.repeat(RAW, 2, axis=1), 2, axis=2)
    assert camkit.CAM(model, input_size=(24, 20))(images).maps.shape[1:3] == (6, 5)
    with pytest.raises(ValueError, match=r"the model takes \(B, 24, 20, 3\)"):
        camkit.grad_cam(model, RAW)


def test_one_that_is_no_part_of_a_graph_is_refused_with_the_way_out():
    class Numbers:
        image_size = SIZE

        def __call__(self, images):
            return np.asarray(images) / 255

    model = task()
    model.preprocessor = Numbers()
    with pytest.raises(ValueError, match=r"set model\.preprocessor = None and pass images that"):
        camkit.CAM(model)


@pytest.mark.parametrize("kind", ["ViT", "ResNet"])
def test_tasks_of_keras_hub_are_read_as_they_predict(kind, tmp_path):
    hub = pytest.importorskip("keras_hub", reason="needs keras_hub")
    if kind == "ViT":
        backbone = hub.models.ViTBackbone((32, 32, 3), 16, 2, 2, 16, 32)
    else:
        backbone = hub.models.ResNetBackbone([64], [7], [64, 64], [1, 1], [1, 2], "basic_block")
    converter = getattr(hub.layers, f"{kind}ImageConverter")(
        image_size=(32, 32), scale=1 / 127.5, offset=-1
    )
    prepare = getattr(hub.models, f"{kind}ImageClassifierPreprocessor")(converter)
    model = getattr(hub.models, f"{kind}ImageClassifier")(
        backbone=backbone, num_classes=4, preprocessor=prepare
    )
    zoo.shake(model)
    images = camkit.load_images("mini", "Test", per_class=1).unlabelled()
    raw = next(images.batches(12, 32))
    method = camkit.occlusion if kind == "ViT" else camkit.grad_cam
    analysis = camkit.analyze(model, images.select(slice(0, 4)), method=method)
    logits = model.predict(raw[:4], verbose=0)
    scale = np.abs(logits).max()
    np.testing.assert_allclose(analysis.logits, logits, atol=1e-5 * scale)
    model.save(tmp_path / "task.keras")
    again = keras.models.load_model(tmp_path / "task.keras", compile=False)
    assert fingerprint(again) == fingerprint(model)
