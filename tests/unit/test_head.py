"""Heads: all that is affine between pooling and scores is folded; the rest is reported, or refused.

Each model is compared with itself: the logits are what it returns, and they are the mean of the
maps, the rest and the bias.
"""

import keras
import numpy as np
import pytest
import zoo
from keras import layers, ops
from kinds import gap, in_turn
from scipy.special import expit

import camkit
from camkit.models._head import find_head

C = zoo.CLASSES
K = zoo.CHANNELS


def model_of(head, shape=zoo.SHAPE, body=zoo.volume):
    """A model with random weights; `head` is a function from its volume to its outputs."""
    image = keras.Input(shape)
    return zoo.shake(keras.Model(image, head(body(image))))


def exact(model, shape=zoo.SHAPE, logits=True, **options):
    """Assert that CAM is exact for a model; return the CAM and its output."""
    batch = zoo.images(shape=shape)
    cam = camkit.CAM(model, **options)
    out = cam(batch)
    scale = max(1, np.abs(out.logits).max())
    places = tuple(range(1, out.maps.ndim - 1))
    total = out.maps.mean(axis=places, dtype="float64") + out.rest + cam.bias
    np.testing.assert_allclose(total, out.logits, atol=1e-5 * scale)
    answer = model.predict(batch, verbose=0).reshape(len(batch), -1)
    if answer.shape[1] == 1:
        np.testing.assert_allclose(out.logits[:, 0], -out.logits[:, 1], atol=1e-6 * scale)
        z = out.logits[:, 1:] - out.logits[:, :1]
        np.testing.assert_allclose(out.probs[:, 1:], expit(z), atol=1e-6)
        np.testing.assert_allclose(z if logits else expit(z), answer, atol=2e-6 * scale)
    else:
        found = out.logits if logits else out.probs
        np.testing.assert_allclose(found, answer, atol=2e-6 * scale)
    return cam, out


def normalization():
    return layers.Normalization(mean=list(range(K)), variance=[1.0 + k for k in range(K)])


# By hand ------------------------------------------------------------------------------------------


def set_weights(layer, *weights):
    layer.set_weights([np.array(weight) for weight in weights])


def test_batch_normalisation_after_the_pooling_by_hand():
    """One channel: y = 2 (x − 3) / √(8 + 1) + 5, then the logits are 6 y + 1 and −y."""
    image = keras.Input((2, 1, 1))
    norm, dense = layers.BatchNormalization(epsilon=1.0), layers.Dense(2)
    model = keras.Model(image, dense(norm(gap()(image * 1.0))))
    set_weights(norm, [2.0], [5.0], [3.0], [8.0])
    set_weights(dense, [[6.0, -1.0]], [1.0, 0.0])
    head = find_head(model)
    np.testing.assert_allclose(head.kernel, [[4, -2 / 3]], rtol=1e-6)
    np.testing.assert_allclose(head.bias, [6 * 3 + 1, -3], rtol=1e-6)
    cam = camkit.CAM(model)
    out = cam([[[[1.0]], [[2.0]]]])
    np.testing.assert_allclose(out.maps[0, :, 0, 0], [4, 8], rtol=1e-6)
    np.testing.assert_allclose(out.logits, [[25, -4]], rtol=1e-6)


def test_one_output_is_two_classes_of_opposite_halves():
    image = keras.Input((1, 2, 1))
    dense = layers.Dense(1, "sigmoid")
    model = keras.Model(image, dense(gap()(image * 1.0)))
    set_weights(dense, [[4.0]], [1.0])
    cam = camkit.CAM(model)
    out = cam([[[[0.0], [3.0]]]])
    np.testing.assert_allclose(cam.kernel, [[-2, 2]])
    np.testing.assert_allclose(cam.bias, [-0.5, 0.5])
    np.testing.assert_allclose(out.maps[0, 0], [[0, 0], [-6, 6]])
    np.testing.assert_allclose(out.logits, [[-3.5, 3.5]])
    np.testing.assert_allclose(out.probs, [[1 - expit(7), expit(7)]], atol=1e-7)


def test_two_volumes_of_different_sizes_by_hand():
    """A map of 1×2 is added to one of 1×3: its mean is kept at a factor that is not whole."""
    image = keras.Input((1, 3, 1))
    small = layers.Cropping2D(((0, 0), (0, 1)))(image)
    dense = layers.Dense(2, use_bias=False)
    both = layers.Concatenate()([gap()(image), gap()(small)])
    model = keras.Model(image, dense(both))
    set_weights(dense, [[1.0, 0.0], [0.0, 1.0]])
    out = camkit.CAM(model)([[[[0.0], [4.0], [8.0]]]])
    np.testing.assert_allclose(out.gap, [[4, 2]])
    np.testing.assert_allclose(out.maps[0, 0, :, 0], [0, 4, 8], atol=1e-6)
    np.testing.assert_allclose(out.maps[0, 0, :, 1], [0, 2, 4], atol=1e-6)
    np.testing.assert_allclose(out.logits, [[4, 2]])


# What folds ---------------------------------------------------------------------------------------


def average_window(x):
    return layers.Flatten()(layers.AveragePooling2D(x.shape[1:3])(x))


def twice(x):
    """Two Dense layers of one pooling, added."""
    pooled = gap()(x)
    return layers.Dense(C)(pooled) + layers.Dense(C)(pooled)


def combined(x):
    """Sums, means, differences and parts of affine values."""
    pooled = gap()(x)
    a, b, c = (layers.Dense(C)(pooled) for _ in range(3))
    mean = layers.Average()([a, b])
    return layers.Subtract()([layers.Add()([mean, c]), 2 * a]) - b[:, :1]


FOLDED = {
    "BatchNormalization": in_turn(gap(), layers.BatchNormalization(), layers.Dense(C)),
    "the head of keras.io's EfficientNet": in_turn(
        gap(), layers.BatchNormalization(), layers.Dropout(0.2), layers.Dense(C)
    ),
    "BatchNormalization without scale": in_turn(
        gap(), layers.BatchNormalization(scale=False, center=False), layers.Dense(C)
    ),
    "BatchNormalization of the logits": in_turn(
        gap(), layers.Dense(C), layers.BatchNormalization()
    ),
    "BatchNormalization of a pooling that keeps dimensions": in_turn(
        gap(keepdims=True), layers.BatchNormalization(), layers.Conv2D(C, 1), layers.Flatten()
    ),
    "Rescaling": in_turn(gap(), layers.Rescaling(3.0, offset=0.5), layers.Dense(C)),
    "Rescaling of each channel": in_turn(
        gap(), layers.Rescaling([1.0 + k for k in range(K)]), layers.Dense(C)
    ),
    "Normalization": in_turn(gap(), normalization(), layers.Dense(C)),
    "Dense → Dense": in_turn(gap(), layers.Dense(9), layers.Dense(C)),
    "three Dense": in_turn(
        gap(), layers.Dense(9), layers.Dense(5, use_bias=False), layers.Dense(C)
    ),
    "EinsumDense": in_turn(gap(), layers.EinsumDense("ab,bc->ac", C, bias_axes="c")),
    "Dropout and noise": in_turn(
        gap(), layers.GaussianNoise(1.0), layers.AlphaDropout(0.5), layers.Dense(C)
    ),
    "ActivityRegularization": in_turn(gap(), layers.ActivityRegularization(0.1), layers.Dense(C)),
    "two 1×1 convolutions after": in_turn(
        gap(keepdims=True), layers.Conv2D(9, 1), layers.Conv2D(C, 1), layers.Flatten()
    ),
    "two 1×1 convolutions before": in_turn(layers.Conv2D(9, 1), layers.Conv2D(C, 1), gap()),
    "temperature": in_turn(gap(), layers.Dense(C), lambda z: z / 2.5),
    "factors and terms": in_turn(
        gap(), lambda x: 1 - 3 * x, layers.Dense(C), lambda z: -(z - np.arange(4.0)) * 0.5
    ),
    "a trainable temperature": in_turn(gap(), layers.Dense(C), lambda z: z / keras.Variable(0.5)),
    "a matrix": in_turn(gap(), lambda x: ops.matmul(x, np.arange(28.0).reshape(K, C)) / 9),
    "Activation linear": in_turn(gap(), layers.Dense(C), layers.Activation("linear")),
    "a cast": in_turn(gap(), layers.Dense(C), lambda z: ops.cast(z, "float32")),
    "AveragePooling2D → Flatten": in_turn(average_window, layers.Dense(C)),
    "ops.mean": in_turn(lambda x: ops.mean(x, (1, 2)), layers.Dense(C)),
    "ops.mean, negative axes": in_turn(lambda x: ops.mean(x, (-2, -3)), layers.Dense(C)),
    "ops.mean twice": in_turn(lambda x: ops.mean(ops.mean(x, 1), 1), layers.Dense(C)),
    "ops.mean that keeps dimensions": in_turn(
        lambda x: ops.mean(x, (1, 2), keepdims=True),
        lambda x: ops.squeeze(x, (1, 2)),
        layers.Dense(C),
    ),
    "cells in a row": in_turn(
        layers.Reshape((30, K)), layers.GlobalAveragePooling1D(), layers.Dense(C)
    ),
    "two Dense of one pooling": twice,
    "sums, means, differences": combined,
    "one logit": in_turn(gap(), layers.Dense(1)),
    "one logit, Dense → Dense": in_turn(gap(), layers.Dense(5), layers.Dense(1)),
}


@pytest.mark.parametrize("name", FOLDED)
def test_what_is_affine_after_the_pooling_is_folded(name):
    _, out = exact(model_of(FOLDED[name]))
    assert out.maps.shape[1:3] == (6, 5)
    np.testing.assert_array_equal(out.rest, 0)


def test_folded_weights_are_not_rounded_on_the_way():
    """The kernel is that of double precision, rounded once."""
    model = model_of(FOLDED["three Dense"])
    kernels = [layer.get_weights()[0].astype("float64") for layer in model.layers[-3:]]
    expected = np.linalg.multi_dot(kernels).astype("float32")
    np.testing.assert_array_equal(find_head(model).kernel, expected)


def test_a_part_of_the_logits_folds_in_a_model_from_a_file(tmp_path):
    """There Keras has the key of x[:, 1:] as a list."""
    model_of(combined).save(tmp_path / "model.keras")
    exact(keras.models.load_model(tmp_path / "model.keras"))


PROBABILITIES = {
    "softmax of keras.ops": lambda z: ops.softmax(z),
    "softmax of keras.activations": lambda z: keras.activations.softmax(z),
    "Activation of keras.ops": layers.Activation(ops.softmax),
    "softmax in single precision": layers.Activation("softmax", dtype="float32"),
    "softmax → linear": in_turn(layers.Softmax(), layers.Activation("linear", dtype="float32")),
    "softmax → cast": in_turn(layers.Softmax(), lambda p: ops.cast(p, "float32")),
    "sigmoid of keras.ops": lambda z: ops.sigmoid(z),
    "temperature → softmax": lambda z: ops.softmax(z / 3),
}


@pytest.mark.parametrize("name", PROBABILITIES)
def test_the_last_activation_is_known_however_it_is_written(name):
    exact(model_of(in_turn(gap(), layers.Dense(C), PROBABILITIES[name])), logits=False)


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_a_dense_layer_has_the_last_activation_itself(activation):
    exact(model_of(in_turn(gap(), layers.Dense(C, activation))), logits=False)


def test_the_last_activation_may_be_a_function_of_tensorflow(tf):
    for activation in (tf.nn.softmax, tf.nn.sigmoid):
        exact(model_of(in_turn(gap(), layers.Dense(C, activation))), logits=False)
        for last in (layers.Activation(activation), layers.Lambda(activation)):
            exact(model_of(in_turn(gap(), layers.Dense(C), last)), logits=False)


@pytest.mark.parametrize("last", [layers.Activation("sigmoid"), lambda z: ops.sigmoid(z)])
def test_one_sigmoid_is_two_classes(last):
    cam, out = exact(model_of(in_turn(gap(), layers.Dense(1), last)), logits=False)
    assert out.maps.shape == (5, 6, 5, 2)
    np.testing.assert_array_equal(cam.kernel[:, 0], -cam.kernel[:, 1])


# Several volumes, and what stands beside them -----------------------------------------------------


def two_sizes(x):
    """Volumes of 6×5 and 3×3."""
    late = layers.Conv2D(4, 3, strides=2, padding="same", activation="relu")(x)
    return layers.Dense(C)(layers.Concatenate()([gap()(x), gap()(late)]))


def test_volumes_that_are_concatenated_are_added_at_the_size_of_the_largest():
    cam, out = exact(model_of(two_sizes))
    assert out.maps.shape == (5, 6, 5, C)
    assert cam.kernel.shape == (K + 4, C)
    np.testing.assert_allclose(out.gap @ cam.kernel + cam.bias, out.logits, atol=1e-5)


def beside_maximum(x):
    return layers.Dense(C)(layers.Concatenate()([gap()(x), layers.GlobalMaxPooling2D()(x)]))


def test_what_stands_beside_the_pooling_is_the_rest():
    model = model_of(beside_maximum)
    cam, out = exact(model)
    largest = keras.Model(model.input, model.layers[-3].output).predict(zoo.images(), verbose=0)
    kernel = model.layers[-1].get_weights()[0]
    np.testing.assert_allclose(out.rest, largest @ kernel[K:], atol=1e-5)
    np.testing.assert_array_equal(cam.kernel, kernel[:K])


def test_a_skip_beside_a_hidden_layer_is_the_map_and_the_hidden_layer_the_rest():
    def head(x):
        pooled = gap()(x)
        hidden = layers.Dense(5, "relu")(pooled)
        return layers.Dense(C)(hidden) + layers.Dense(C)(pooled)

    _, out = exact(model_of(head))
    assert np.abs(out.rest).max() > 0.01


# Time and volumes ---------------------------------------------------------------------------------


def test_sequences_have_maps_over_time():
    def body(x):
        return layers.Conv1D(6, 3, activation="relu")(x)

    head = in_turn(layers.GlobalAveragePooling1D(), layers.Dense(C))
    _, out = exact(model_of(head, (9, 2), body), (9, 2))
    assert out.maps.shape == (5, 7, C)


def test_volumes_have_maps_over_space():
    def body(x):
        return layers.Conv3D(6, 3, activation="relu")(x)

    head = in_turn(layers.GlobalAveragePooling3D(), layers.BatchNormalization(), layers.Dense(C))
    _, out = exact(model_of(head, (5, 6, 7, 2), body), (5, 6, 7, 2))
    assert out.maps.shape == (5, 3, 4, 5, C)


# Tokens -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", [0, 1, 3])
def test_the_mean_of_tokens_has_maps_on_their_grid(prefix):
    """The share of tokens without a place is the rest, which is 0 if there are none."""
    model = zoo.transformer(prefix=prefix)
    _, out = exact(model, logits=False)
    before = keras.Model(model.input, model.get_layer("pooling").input)
    tokens = before.predict(zoo.images(), verbose=0)
    kernel, _ = model.get_layer("scores").get_weights()
    _, height, width, _ = out.maps.shape
    assert height * width + prefix == tokens.shape[1]
    spread = (tokens @ kernel)[:, prefix:].reshape(out.maps.shape)
    count = tokens.shape[1]
    np.testing.assert_allclose(out.maps, spread * (height * width / count), atol=1e-5)
    np.testing.assert_allclose(
        out.rest, (tokens @ kernel)[:, :prefix].sum(axis=1) / count, atol=1e-5
    )


def test_tokens_behind_those_of_the_image_are_the_rest():
    def head(x):
        cells = layers.Reshape((30, K))(x)
        tokens = layers.Concatenate(axis=1)([cells, ops.max(cells, axis=1, keepdims=True)])
        return layers.Dense(C)(layers.GlobalAveragePooling1D()(tokens))

    _, out = exact(model_of(head))
    assert out.maps.shape == (5, 6, 5, C)
    assert np.abs(out.rest).max() > 0.001


def test_a_grid_that_is_named_is_taken_and_checked():
    model = zoo.transformer()
    height, width = camkit.CAM(model)(zoo.images()).maps.shape[1:3]
    assert camkit.CAM(model, grid=(width, height))(zoo.images()).maps.shape[1:3] == (width, height)
    with pytest.raises(ValueError, match="grid=.*tokens"):
        camkit.CAM(model, grid=(99, 99))


def test_tokens_without_those_that_have_no_place():
    def head(x):
        cells = layers.Reshape((30, K))(x)
        tokens = layers.Concatenate(axis=1)([ops.max(cells, axis=1, keepdims=True), cells])
        return layers.Dense(C)(ops.mean(tokens[:, 1:], axis=1))

    _, out = exact(model_of(head))
    assert out.maps.shape == (5, 6, 5, C)


# Quantised and LoRA kernels -----------------------------------------------------------------------


def test_kernels_that_are_quantised_alone_are_exact():
    model = model_of(in_turn(gap(), layers.Dense(C)))
    model.layers[-1].quantize("int4")
    exact(model)


@pytest.mark.parametrize("mode", ["int8", "float8"])
def test_a_head_that_rounds_what_it_reads_is_refused(mode):
    model = model_of(in_turn(gap(), layers.Dense(C, "softmax")))
    model.layers[-1].quantize(mode)
    with pytest.raises(camkit.HeadError, match=f"{mode}.*rounds.*before quantize"):
        camkit.CAM(model)


def test_lora_on_the_head_and_on_a_convolution_before_batch_normalisation():
    model = model_of(in_turn(gap(), layers.Dense(C)))
    model.layers[1].enable_lora(2)
    model.layers[-1].enable_lora(2)
    exact(zoo.shake(model))


# Refusals -----------------------------------------------------------------------------------------


def ensemble(x):
    pooled = gap()(x)
    return layers.Average()([layers.Dense(C, "softmax")(pooled) for _ in range(2)])


def attention_pooling(x):
    cells = layers.Reshape((30, K))(x)
    weights = ops.softmax(layers.Dense(1)(cells), axis=1)
    return layers.Dense(C)(ops.sum(weights * cells, axis=1))


REFUSED = {
    "hidden Dense": (
        in_turn(gap(), layers.Dense(9, "relu"), layers.Dense(C)),
        "'relu' stands between the pooling and the scores",
    ),
    "LayerNormalization": (
        in_turn(gap(), layers.LayerNormalization(), layers.Dense(C)),
        "LayerNormalization → Dense: .*spread",
    ),
    "Flatten": (in_turn(layers.Flatten(), layers.Dense(C)), "Flatten → Dense: CAM needs global"),
    "Flatten → hidden": (
        in_turn(layers.Flatten(), layers.Dense(9, "relu"), layers.Dense(C)),
        "'relu' stands between the features and the scores.*Flatten",
    ),
    "maximum": (
        in_turn(layers.GlobalMaxPooling2D(), layers.Dense(C)),
        "global max pooling keeps one position",
    ),
    "attention pooling": (attention_pooling, "Sum → Dense: Sum is no global average pooling"),
    "ensemble": (ensemble, "probabilities come from Average"),
    "a custom layer": (
        in_turn(gap(), layers.Dense(3), zoo.Scale(2.0)),
        "the head is Scale: Scale cannot stand between the pooling and the scores",
    ),
    "Lambda": (
        in_turn(layers.Lambda(lambda x: ops.mean(x, (1, 2))), layers.Dense(C)),
        "Lambda → Dense: what a Lambda does cannot be read",
    ),
    "a cast to integers": (
        in_turn(gap(), lambda x: ops.cast(ops.cast(x, "int32"), "float32"), layers.Dense(C)),
        "Cast cannot stand between the pooling and the scores",
    ),
    "softmax over one output": (
        in_turn(gap(), layers.Dense(1, "softmax")),
        "softmax over one output, which is always 1",
    ),
    "segmentation": (in_turn(layers.Conv2D(C, 1)), "returns .*for each image.*segmentation"),
    "softmax of all places": (in_turn(layers.Conv2D(C, 1), layers.Softmax()), "segmentation"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_head_that_no_map_adds_up_to_is_refused_with_the_reason(name):
    head, pattern = REFUSED[name]
    with pytest.raises(camkit.HeadError, match=pattern):
        camkit.CAM(model_of(head))


def test_a_network_that_cannot_be_looked_into_is_refused_and_occluded(tf, tmp_path):
    model_of(in_turn(gap(), layers.Dense(C, "softmax"))).export(tmp_path, verbose=False)
    image = keras.Input(zoo.SHAPE)
    closed = layers.TFSMLayer(tmp_path, call_endpoint="serving_default", name="closed")
    model = keras.Model(image, closed(image))
    with pytest.raises(camkit.HeadError, match="inside 'closed', a TFSMLayer.*camkit.occlusion"):
        camkit.CAM(model)
    # The model returns a dictionary of one output.
    answer = model.predict(zoo.images(1), verbose=0)
    (probabilities,) = answer.values() if isinstance(answer, dict) else (answer,)
    maps = camkit.occlusion(model, zoo.images(1), window=12, stride=12)
    assert maps.shape == (1, 24, 20)
    assert np.abs(maps).max() <= probabilities.max() + 1e-6


def test_probabilities_that_the_model_does_not_return_are_refused():
    """An activation that is none of those that its name says."""

    def softmax(z):
        return ops.softmax(2 * z)

    model = model_of(in_turn(gap(), layers.Dense(C), layers.Activation(softmax)))
    with pytest.raises(camkit.HeadError, match="probabilities that camkit reads differ by up to"):
        camkit.CAM(model)
