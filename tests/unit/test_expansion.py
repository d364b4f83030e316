"""Models without a graph of layers, several inputs and outputs, and what is no model at all."""

from pathlib import Path

import keras
import numpy as np
import pytest
import zoo
from keras import layers

import camkit
from camkit.models._graph import network_of
from camkit.models._part import part
from camkit.models._serialize import fingerprint

C = zoo.CLASSES


class Net(keras.Model):
    """A model as in most tutorials: no graph, a weight of its own, Dropout, a scaled image."""

    def __init__(self, last="softmax"):
        super().__init__()
        self.conv = layers.Conv2D(6, 3, activation="relu", name="inner_conv")
        self.norm = layers.BatchNormalization()
        self.pool = layers.GlobalAveragePooling2D()
        self.drop = layers.Dropout(0.5)
        self.dense = layers.Dense(C, last)
        self.shift = self.add_weight(shape=(6,), name="shift")

    def call(self, x, training=False):
        x = self.norm(self.conv(x / 2 - 1), training=training) + self.shift
        return self.dense(self.drop(self.pool(x), training=training))


class Block(layers.Layer):
    """A layer that holds a whole network."""

    def __init__(self):
        super().__init__()
        self.net = [layers.Conv2D(6, 3, activation="relu"), layers.GlobalAveragePooling2D()]

    def call(self, x):
        for layer in self.net:
            x = layer(x)
        return x


class Raw(keras.Model):
    """A model that calls functions of the backend on its tensors."""

    def __init__(self, mean):
        super().__init__()
        self.mean = mean
        self.dense = layers.Dense(C)

    def call(self, x):
        return self.dense(self.mean(x, (1, 2)))


def subclassed(last="softmax"):
    net = Net(last)
    net(zoo.images(1))
    return zoo.shake(net)


def wrapped():
    image = keras.Input(zoo.SHAPE)
    return zoo.shake(keras.Model(image, Net()(image)))


def in_a_layer():
    image = keras.Input(zoo.SHAPE)
    return zoo.shake(keras.Model(image, layers.Dense(C, "softmax")(Block()(image))))


def exact(model, **options):
    out = camkit.CAM(model, **options)(zoo.images())
    np.testing.assert_allclose(out.probs, model.predict(zoo.images(), verbose=0), atol=1e-5)
    return out


@pytest.mark.parametrize("build", [subclassed, wrapped, in_a_layer])
def test_a_model_without_a_graph_is_read_layer_by_layer(build):
    model = build()
    out = exact(model)
    assert out.maps.shape == (5, 22, 18, C), "the map of the convolution, not of the image"
    target = out.maps[..., 1].clip(0) / (22 * 18)
    np.testing.assert_allclose(camkit.grad_cam(model, zoo.images(), 1), target, atol=1e-6)


def test_layers_inside_have_names_and_their_weights_are_those_of_the_model():
    model = wrapped()
    before = camkit.grad_cam(model, zoo.images(), 1, layer="inner_conv")
    assert before.shape == (5, 22, 18)
    cam, first = camkit.CAM(model), fingerprint(model)
    maps = cam(zoo.images()).maps
    net = model.layers[-1]
    net.shift.assign(net.shift + 1.0)
    assert fingerprint(model) != first
    exact(model)
    np.testing.assert_array_equal(cam(zoo.images()).maps, maps, "the copy is not trained")


def test_what_cannot_be_followed_is_refused_and_occluded(tf):
    model = Raw(tf.reduce_mean)
    with pytest.raises(camkit.HeadError, match="does not know the shape.*call it once on a batch"):
        camkit.CAM(model)
    model(zoo.images(1))
    with pytest.raises(camkit.HeadError, match="'raw.*a Raw, cannot be followed.*occlusion"):
        camkit.CAM(model)
    assert camkit.occlusion(model, zoo.images(1), window=12, stride=12).shape == (1, 24, 20)


def test_mixed_precision_inside_a_subclassed_model():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = subclassed()
    finally:
        keras.config.set_dtype_policy(before)
    out = camkit.CAM(model)(zoo.images())
    np.testing.assert_allclose(out.probs, model.predict(zoo.images(), verbose=0), atol=5e-3)


class Plain(layers.Layer):
    """A layer as in most tutorials: it takes no settings, and hands on none."""

    def __init__(self):
        super().__init__()
        self.conv = layers.Conv2D(5, 3, activation="relu")

    def call(self, x):
        return self.conv(x)


class Verbose(layers.Layer):
    """A layer that writes more into its configuration than it takes."""

    def __init__(self, factor, **options):
        super().__init__(**options)
        self.factor = factor

    def call(self, x):
        return self.factor * x

    def get_config(self):
        return {**super().get_config(), "factor": self.factor, "size": 9}


class Broken(layers.Layer):
    """A layer whose get_config fails."""

    def call(self, x):
        return 2 * x

    def get_config(self):
        raise TypeError("missing 1 required positional argument")


@pytest.mark.parametrize("layer", [Plain, lambda: Verbose(3.0)])
def test_layers_with_incomplete_configurations_are_copied(layer):
    image = keras.Input(zoo.SHAPE)
    gap = layers.GlobalAveragePooling2D()(layer()(image))
    exact(zoo.shake(keras.Model(image, layers.Dense(C, "softmax")(gap))))


def test_a_model_with_a_broken_configuration_has_a_fingerprint_and_gradients():
    image = keras.Input(zoo.SHAPE)
    gap = layers.GlobalAveragePooling2D()(zoo.volume(Broken()(image)))
    model = zoo.shake(keras.Model(image, layers.Dense(C)(gap)))
    first = fingerprint(model)
    assert fingerprint(model) == first
    zoo.shake(model, seed=1)
    assert fingerprint(model) != first
    assert camkit.grad_cam(model, zoo.images()).shape == (5, 6, 5)
    with pytest.raises(camkit.HeadError, match="'broken.*' cannot be copied.*camkit.grad_cam"):
        camkit.CAM(model)


# Several inputs and outputs -----------------------------------------------------------------------


def with_table():
    """A model of an image and a table, of two outputs."""
    image = keras.Input(zoo.SHAPE, name="image")
    table = keras.Input((3,), name="table")
    gap = layers.GlobalAveragePooling2D()(zoo.volume(image))
    joined = layers.Concatenate()([gap, layers.Dense(4, "relu")(table)])
    kind = layers.Dense(C, "softmax", name="kind")(joined)
    ripe = layers.Dense(1, "sigmoid", name="ripe")(joined)
    return zoo.shake(keras.Model([image, table], [kind, ripe]))


def test_the_other_inputs_are_given_and_the_output_is_named():
    model = with_table()
    row = [0.5, -1.0, 2.0]
    kind, ripe = model.predict([zoo.images(), np.tile(row, (5, 1))], verbose=0)
    cam = camkit.CAM(model, inputs={"table": row}, output="kind")
    out = cam(zoo.images())
    np.testing.assert_allclose(out.probs, kind, atol=1e-6)
    total = out.maps.mean(axis=(1, 2)) + out.rest + cam.bias
    np.testing.assert_allclose(total, out.logits, atol=1e-5)
    assert np.ptp(out.rest, axis=0).max() < 1e-6, "the table is the same for all images"
    out = camkit.CAM(model, inputs={"table": [row]}, output="ripe")(zoo.images())
    np.testing.assert_allclose(out.probs[:, 1:], ripe, atol=1e-6)


def test_another_row_is_another_answer_of_the_same_part():
    model = with_table()
    first = part(model, {"table": [1, 2, 3]}, "kind")
    assert part(model, {"table": [3, 2, 1]}, "kind") is first
    table = np.tile([3.0, 2, 1], (5, 1))
    expected = model.predict([zoo.images(), table], verbose=0)[0]
    np.testing.assert_allclose(first.predict(zoo.images(), verbose=0), expected, atol=1e-6)


@pytest.mark.parametrize(
    "options, pattern",
    [
        ({}, r"2 inputs, 'image', 'table'.*inputs="),
        ({"inputs": {"table": [1, 2, 3]}}, r"output=None.*\['kind', 'ripe'\]"),
        ({"inputs": {"table": [1, 2]}, "output": "kind"}, r"'table' takes one row of shape \(3,\)"),
        ({"inputs": {"tabel": [1]}, "output": "kind"}, "no input 'tabel'.*'image', 'table'"),
        ({"inputs": {"table": [1, 2, 3]}, "output": "size"}, "output='size'.*name one"),
    ],
)
def test_what_is_not_said_of_inputs_and_outputs_is_asked_for(options, pattern):
    with pytest.raises(ValueError, match=pattern):
        camkit.CAM(with_table(), **options)


def test_inputs_and_outputs_in_dictionaries():
    image = keras.Input(zoo.SHAPE, name="images")
    gap = layers.GlobalAveragePooling2D()(zoo.volume(image))
    outputs = {"a": layers.Dense(C)(gap), "b": layers.Dense(2)(gap)}
    model = zoo.shake(keras.Model({"images": image}, outputs))
    found = camkit.CAM(model, output="b")(zoo.images()).logits
    answer = model.predict({"images": zoo.images()}, verbose=0)["b"]
    np.testing.assert_allclose(found, answer, atol=1e-5)


class OfDictionary(keras.Model):
    """A subclassed model that takes a dictionary."""

    def __init__(self):
        super().__init__()
        self.conv = layers.Conv2D(6, 3)
        self.dense = layers.Dense(C)

    def call(self, inputs):
        return self.dense(layers.GlobalAveragePooling2D()(self.conv(inputs["images"])))


@pytest.mark.filterwarnings("error::UserWarning")
def test_a_dictionary_of_one_image():
    given = {"images": zoo.images()}
    subclassed = OfDictionary()
    subclassed(given)
    image = keras.Input(zoo.SHAPE, name="images")
    gap = layers.GlobalAveragePooling2D()(zoo.volume(image))
    functional = keras.Model({"images": image}, layers.Dense(C)(gap))
    for model in (zoo.shake(subclassed), zoo.shake(functional)):
        answer = keras.ops.convert_to_numpy(model(given))
        np.testing.assert_allclose(camkit.CAM(model)(zoo.images()).logits, answer, atol=1e-5)
        assert camkit.grad_cam(model, zoo.images(), 1).any()


# No model -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "thing, pattern",
    [
        ("model.keras", "str 'model.keras' is no Keras model: load it first"),
        (Path("model.h5"), "'model.h5' is no Keras model: load it first"),
        (None, "NoneType 'None' is no Keras model"),
        (layers.Dense(2), "Dense .* is no Keras model"),
    ],
)
def test_what_is_no_model_is_named(thing, pattern):
    for explain in (camkit.CAM, network_of):
        with pytest.raises(camkit.HeadError, match=pattern):
            explain(thing)
