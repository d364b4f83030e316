"""Finding the GAP → Dense head: what is read and what is refused; the model stays as it was."""

import gc

import keras
import numpy as np
import pytest
import zoo
from keras import layers

import camkit
from camkit.models._copy import feature_model
from camkit.models._graph import network_of
from camkit.models._head import find_head
from camkit.models._serialize import fingerprint

# `make test` reads one head of each kind, `make check-unit` all of them.
QUICK_HEADS = ("nested", "1×1 convolution before", "sigmoid", "operations", "shared layers")
HEADS = [
    pytest.param(name, marks=pytest.mark.smoke) if name in QUICK_HEADS else name
    for name in zoo.HEADS
]


def agree(model, features, layer, batch, tolerance=2e-5):
    """The CAM of a model equals plain Keras and NumPy; returns its output."""
    cam = camkit.CAM(model)
    out = cam(batch)
    volume = np.asarray(features.predict(batch, verbose=0), "float64")
    if layer is None:
        kernel, bias = np.eye(volume.shape[-1]), np.zeros(volume.shape[-1])
    else:
        kernel = np.array(layer.kernel).reshape(-1, layer.kernel.shape[-1])
        bias = np.array(layer.bias) if layer.bias is not None else np.zeros(kernel.shape[1])
    maps = np.einsum("nyxk,kc->nyxc", volume, kernel)
    scale = max(1, np.abs(maps).max())
    np.testing.assert_allclose(out.maps, maps, atol=tolerance * scale)
    np.testing.assert_allclose(
        out.gap, volume.mean(axis=(1, 2)), atol=tolerance * max(1, np.abs(volume).max())
    )
    np.testing.assert_allclose(out.logits, maps.mean(axis=(1, 2)) + bias, atol=tolerance * scale)
    np.testing.assert_array_equal(cam.kernel, kernel.astype("float32"))
    np.testing.assert_array_equal(cam.bias, bias.astype("float32"))
    np.testing.assert_array_equal(out.rest, np.zeros_like(out.logits))
    assert [array.dtype for array in out] == ["float32"] * 5
    return out


@pytest.mark.slow
@pytest.mark.parametrize("name", HEADS)
def test_every_kind_of_head_is_read(name):
    model, features, layer = zoo.HEADS[name]()
    batch = zoo.images(shape=zoo.SHAPE[:2] + (model.input_shape[-1],))
    out = agree(model, features, layer, batch)
    predicted = model.predict(batch, verbose=0)
    np.testing.assert_allclose(
        out.logits if name == "logits" else out.probs,
        predicted,
        atol=2e-5 * max(1, abs(predicted).max()),
    )
    bias = 0 if layer is None or layer.bias is None else np.array(layer.bias)
    assert np.abs(out.maps.mean(axis=(1, 2)) + bias - out.logits).max() <= 1e-4
    shapes = (
        features.output_shape[-1] if layer is None else layer.kernel.shape[-2],
        out.logits.shape[1],
    )
    assert out.gap.shape[1:] == shapes[:1] and out.maps.shape[::3] == (len(batch), shapes[1])
    assert np.ptp(out.logits, axis=0).min() > 1e-3, (
        "the images of this test must differ in their scores"
    )


def test_probabilities_of_a_model_that_ends_in_logits_are_their_softmax():
    model, *_ = zoo.flat(activation=None)
    out = camkit.CAM(model)(zoo.images())
    np.testing.assert_allclose(
        out.probs,
        keras.ops.convert_to_numpy(keras.ops.softmax(model.predict(zoo.images(), verbose=0))),
        atol=1e-6,
    )


def test_half_precision_models_are_read_to_their_own_accuracy():
    model, features, layer = zoo.mixed()
    agree(model, features, layer, zoo.images(), tolerance=5e-3)
    np.testing.assert_allclose(
        camkit.CAM(model)(zoo.images()).probs, model.predict(zoo.images(), verbose=0), atol=5e-3
    )


@pytest.mark.parametrize("name", ["flat", "Normalization", "custom layer", "no bias", "operations"])
def test_a_model_reloaded_from_a_keras_file_is_read(name, tmp_path):
    agree(*zoo.reloaded(tmp_path, zoo.HEADS[name]), zoo.images())


def test_a_model_without_a_fixed_size_takes_several():
    model, features, layer = zoo.nested(shape=(None, None, 3))
    cam = camkit.CAM(model)
    for shape in ((24, 20, 3), (40, 36, 3), (33, 57, 3)):
        batch = zoo.images(2, shape)
        maps = np.einsum(
            "nyxk,kc->nyxc", features.predict(batch, verbose=0), np.array(layer.kernel)
        )
        np.testing.assert_allclose(cam(batch).maps, maps, atol=1e-4)


@pytest.mark.parametrize("name", ["flat", "nested", "Sequential of a backbone"])
def test_a_model_of_one_size_reads_another_where_it_is_asked_for(name):
    model, features, layer = zoo.HEADS[name]()
    wide = zoo.images(2, (40, 36, 3))
    with pytest.raises(
        ValueError, match=r"takes \(B, 24, 20, 3\).*input_size=\.\.\.\) reads another size"
    ):
        camkit.CAM(model)(wide)
    out = camkit.CAM(model, input_size=(40, 36))(wide)
    network = network_of(features)
    given = {network.inputs[0]: keras.ops.convert_to_tensor(wide)}
    (F,) = network.run(given, network.outputs, lambda layer: layer)
    np.testing.assert_allclose(
        out.maps,
        np.einsum("nyxk,kc->nyxc", keras.ops.convert_to_numpy(F), np.array(layer.kernel)),
        atol=1e-4,
    )
    with pytest.raises(ValueError, match=r"takes \(B, 40, 36, 3\)"):
        camkit.CAM(model, input_size=(40, 36))(zoo.images(2))


def test_a_model_whose_layers_know_its_size_says_so():
    image = keras.Input((8, 8, 3))
    x = layers.Reshape((8, 8, 6))(layers.Conv2D(6, 3, padding="same")(image))
    model = keras.Model(image, layers.Dense(2)(layers.GlobalAveragePooling2D()(x)))
    with pytest.raises(ValueError, match=r"cannot read images of \[12, 12\], only of \(8, 8\)"):
        camkit.CAM(model, input_size=12)


def test_many_models_are_read_without_a_warning_of_tensorflow(caplog):
    """To TensorFlow more than five CAM used to look like one function traced too often."""
    for seed in range(8):
        camkit.CAM(zoo.flat()[0])(zoo.images(1, seed=seed))
    assert not caplog.records


def test_a_sequential_model_that_knows_its_size_is_read_before_its_first_call():
    with pytest.warns(UserWarning, match="input_shape"):
        first = layers.Conv2D(zoo.CHANNELS, 5, strides=4, input_shape=zoo.SHAPE)
    model = keras.Sequential(
        [first, layers.GlobalAveragePooling2D(), layers.Dense(zoo.CLASSES, "softmax")]
    )
    out = camkit.CAM(model)(zoo.images())
    np.testing.assert_allclose(out.probs, model.predict(zoo.images(), verbose=0), atol=1e-5)


def test_a_sequential_model_is_read_once_it_was_called():
    model = zoo.unbuilt()
    model(zoo.images())
    model = zoo.shake(model)
    out = camkit.CAM(model)(zoo.images())
    np.testing.assert_allclose(out.logits, model.predict(zoo.images(), verbose=0), atol=1e-5)


def test_a_pooling_that_is_shared_is_read_where_the_scores_come_from():
    """Keras knows a layer's first input; the head has the second."""
    pool, image = layers.GlobalAveragePooling2D(keepdims=True), keras.Input(zoo.SHAPE)
    first = layers.Conv2D(zoo.CHANNELS, 3, padding="same")(image)
    gated = layers.Multiply()([first, layers.Activation("sigmoid")(pool(first))])
    features = layers.ReLU()(gated)
    layer = layers.Dense(zoo.CLASSES)
    model = zoo.shake(keras.Model(image, layer(layers.Flatten()(pool(features)))))
    agree(model, keras.Model(image, features), layer, zoo.images())
    np.testing.assert_allclose(
        camkit.grad_cam(model, zoo.images(), 1),
        np.maximum(0, camkit.CAM(model)(zoo.images()).maps[..., 1]) / np.prod(zoo.SHAPE[:2]),
        atol=1e-5,
    )


@pytest.mark.parametrize("name", zoo.REFUSED)
def test_what_has_no_such_head_is_refused_with_the_reason(name):
    build, pattern = zoo.REFUSED[name]
    model = build()
    with pytest.raises(camkit.HeadError, match=pattern):
        camkit.CAM(model)


def test_a_layer_that_cannot_be_copied_is_named():
    model, *_ = zoo.flat(body=zoo.after(zoo.NoConfig(keras.ops.abs)))
    with pytest.raises(camkit.HeadError, match="no_config.*its class NoConfig needs a get_config"):
        camkit.CAM(model)


# The model handed in stays as it was --------------------------------------------------------------


def state(model):
    """All that could be changed in a model by reading it."""
    parts = {id(layer): layer for layer in [model, *model._flatten_layers()]}
    return {
        "config": model.get_config(),
        "weights": [np.array(weight).tobytes() for weight in model.weights],
        "trainable": [(layer.name, layer.trainable) for layer in parts.values()],
        "attributes": {key: sorted(vars(layer)) for key, layer in parts.items()},
        "nodes": {
            key: (len(layer._inbound_nodes), len(layer._outbound_nodes))
            for key, layer in parts.items()
        },
        "losses": len(model.losses),
        "outputs": [id(tensor) for tensor in model.outputs],
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "flat",
        "nested",
        "Sequential",
        "Sequential of a backbone",
        "nested in nested, head nested",
        "shared layers",
        "Normalization",
        "operations",
        "custom layer",
        "augmentation",
    ],
)
def test_the_model_is_never_changed(name):
    model, features, _ = zoo.HEADS[name]()
    model.layers[0].trainable = False
    batch = zoo.images()
    predicted, before = model.predict(batch, verbose=0), state(model)
    cam = camkit.CAM(model)
    cam(batch)
    camkit.grad_cam(model, batch)
    fingerprint(model)
    after = state(model)
    for key in before:
        assert before[key] == after[key], key
    np.testing.assert_array_equal(model.predict(batch, verbose=0), predicted)
    assert all(layer.output is not None for layer in features.layers)
    model.layers[-1].set_weights([np.zeros_like(w) for w in model.layers[-1].get_weights()])
    assert np.abs(cam(batch).maps).max() > 0, "the CAM is of the weights at the time it was made"


def test_the_copy_shares_no_variable_with_the_model():
    model, *_ = zoo.nested()
    copy = feature_model(model, find_head(model))
    assert not {id(weight) for weight in copy.variables} & {
        id(weight) for weight in model.variables
    }


# Folding ------------------------------------------------------------------------------------------


CONVOLUTIONS = {
    "Conv2D": lambda **options: layers.Conv2D(5, 3, padding="same", **options),
    "strided": lambda **options: layers.Conv2D(5, 3, strides=2, **options),
    "dilated": lambda **options: layers.Conv2D(5, 3, dilation_rate=2, padding="same", **options),
    "grouped": lambda **options: layers.Conv2D(6, 3, groups=3, **options),
    "depthwise": lambda **options: layers.DepthwiseConv2D(3, depth_multiplier=2, **options),
    "separable": lambda **options: layers.SeparableConv2D(5, 3, depth_multiplier=2, **options),
}


def folded(body):
    """(worst difference relative to the largest feature, normalisations left) of the copy."""
    model, features, _ = zoo.flat(body=body)
    copy = feature_model(model, find_head(model))
    ours, theirs = (net.predict(zoo.images(), verbose=0) for net in (copy, features))
    left = sum(isinstance(layer, layers.BatchNormalization) for layer in copy.layers)
    return np.abs(ours - theirs).max() / np.abs(theirs).max(), left


@pytest.mark.parametrize(
    "options",
    [{}, {"scale": False}, {"center": False}, {"scale": False, "center": False, "epsilon": 0.3}],
)
@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize("kind", CONVOLUTIONS)
def test_batch_normalisation_is_folded_into_the_convolution_before_it(kind, use_bias, options):
    def body(x):
        return layers.ReLU()(
            layers.BatchNormalization(**options)(CONVOLUTIONS[kind](use_bias=use_bias)(x))
        )

    error, left = folded(body)
    assert error < 2e-5 and left == 0


@pytest.mark.parametrize(
    "body",
    [
        lambda x: layers.BatchNormalization()(layers.Conv2D(4, 3, activation="relu")(x)),
        lambda x: layers.BatchNormalization()(
            layers.Conv2D(4, 3, activation=layers.LeakyReLU(0.2))(x)
        ),
        lambda x: layers.BatchNormalization()(layers.MaxPooling2D()(layers.Conv2D(4, 3)(x))),
        lambda x: layers.BatchNormalization()(layers.Conv2DTranspose(4, 3)(x)),
        lambda x: layers.BatchNormalization(axis=1)(layers.Conv2D(4, 3)(x)),
        lambda x: layers.BatchNormalization()(x),
    ],
    ids=[
        "relu inside",
        "leaky layer inside",
        "pooling between",
        "transposed",
        "other axis",
        "first",
    ],
)
def test_what_is_no_plain_convolution_keeps_its_batch_normalisation(body):
    error, left = folded(body)
    assert error < 2e-5 and left == 1


def test_a_convolution_with_two_readers_is_not_folded():
    def body(x):
        y = layers.Conv2D(4, 3, padding="same")(x)
        return layers.Concatenate()([layers.BatchNormalization()(y), layers.ReLU()(y)])

    error, left = folded(body)
    assert error < 2e-5 and left == 1


def test_shared_layers_are_not_folded():
    conv, norm = layers.Conv2D(3, 3, padding="same"), layers.BatchNormalization()
    error, left = folded(lambda x: norm(layers.ReLU()(norm(conv(layers.ReLU()(conv(x)))))))
    assert error < 2e-5 and left == 1


def test_features_that_end_in_batch_normalisation_or_a_convolution_are_read():
    for body in (
        lambda x: layers.BatchNormalization()(layers.Conv2D(4, 3)(x)),
        lambda x: layers.Conv2D(4, 3)(x),
    ):
        assert folded(body)[0] < 2e-5


# XLA ----------------------------------------------------------------------------------------------


@keras.saving.register_keras_serializable("camkit-tests")
class Python(layers.Layer):
    """Something that XLA cannot compile."""

    def call(self, x):
        import tensorflow as tf

        y = tf.py_function(lambda x: x.numpy() * 0.5 + 1, [x], x.dtype)
        y.set_shape(x.shape)
        return y

    def compute_output_shape(self, shape):
        return shape


@keras.saving.register_keras_serializable("camkit-tests")
class Strings(layers.Layer):
    """Numbers written as text and read again: no XLA either."""

    def call(self, x):
        import tensorflow as tf

        return tf.ensure_shape(tf.strings.to_number(tf.strings.as_string(x)), x.shape)

    def compute_output_shape(self, shape):
        return shape


@pytest.mark.parametrize("layer", [Python, Strings])
def test_what_xla_cannot_compile_runs_all_the_same(layer, tf):
    model, features, dense = zoo.flat(body=zoo.after(layer()))
    agree(model, features, dense, zoo.images())


def compiles(tf, model, *sizes):
    """Whether XLA compiles the private copy, for images of each of these sizes."""
    from camkit.models._backend import tensorflow as backend

    copy = feature_model(model, find_head(model))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tf, "function", lambda function, jit_compile, **_: lambda images: jit_compile)
        patch.setattr(backend, "_as_arrays", lambda result: result)
        run = backend.compile_forward(copy, copy)
        return [run(np.zeros((1, *size, 3), "float32")) for size in sizes]


def test_depthwise_and_grouped_convolutions_run_the_plain_graph(tf):
    size = zoo.SHAPE[:2]
    assert compiles(tf, zoo.flat()[0], size) == [True]
    for kind in ("depthwise", "separable", "grouped"):
        assert compiles(tf, zoo.flat(body=zoo.after(CONVOLUTIONS[kind]()))[0], size) == [False]


def test_maps_smaller_than_a_kernel_run_the_plain_graph(tf):
    image = keras.Input((None, None, 3))
    x = layers.Conv2D(4, 3, strides=2, padding="same", activation="relu")(image)
    x = layers.Conv2D(4, (5, 3), padding="same", activation="relu")(x)
    model = keras.Model(image, layers.Dense(2)(layers.GlobalAveragePooling2D()(x)))
    assert compiles(tf, model, (10, 6), (8, 8), (8, 6), (10, 6)) == [True, True, False, True], (
        "5×3 kernel on 5×3, 4×4, 4×3"
    )
    cam = camkit.CAM(model)
    for size in ((10, 6), (8, 6)):
        images = np.random.default_rng(0).normal(size=(2, *size, 3)).astype("float32")
        np.testing.assert_allclose(cam(images).logits, model.predict(images, verbose=0), atol=1e-5)


# keras.applications -------------------------------------------------------------------------------


WORKS, NORM, SEVERAL = (
    "works",
    "LayerNormalization → Dense: LayerNormalization divides by the spread",
    "'relu' stands between the features and the scores",
)
BETWEEN = "hard_silu. stands between the pooling and the scores"
APPLICATIONS = {  # (smallest image, what is expected)
    **{f"ConvNeXt{size}": (32, NORM) for size in ("Tiny", "Small", "Base", "Large", "XLarge")},
    **{f"DenseNet{depth}": (32, WORKS) for depth in (121, 169, 201)},
    **{f"EfficientNetB{n}": (32, WORKS) for n in range(8)},
    **{f"EfficientNetV2{size}": (32, WORKS) for size in ("B0", "B1", "B2", "B3", "S", "M", "L")},
    "InceptionResNetV2": (75, WORKS),
    "InceptionV3": (75, WORKS),
    "Xception": (71, WORKS),
    "MobileNet": (32, WORKS),
    "MobileNetV2": (32, WORKS),
    "MobileNetV3Large": (32, BETWEEN),
    "MobileNetV3Small": (32, BETWEEN),
    "NASNetLarge": (32, WORKS),
    "NASNetMobile": (32, WORKS),
    **{f"ResNet{depth}{v}": (32, WORKS) for depth in (50, 101, 152) for v in ("", "V2")},
    "VGG16": (32, SEVERAL),
    "VGG19": (32, SEVERAL),
}


def test_the_table_of_applications_is_complete():
    known = {
        name
        for name, value in vars(keras.applications).items()
        if name[0].isupper() and callable(value)
    }
    assert known == set(APPLICATIONS)


# Deep ones made of the blocks of a smaller one: their heads are read, but to save time the graph
# is not copied once more.
DEEP = {
    "DenseNet169",
    "DenseNet201",
    *(f"EfficientNetB{n}" for n in range(2, 8)),
    "EfficientNetV2M",
    "EfficientNetV2L",
    "EfficientNetV2B2",
    "EfficientNetV2B3",
    "NASNetLarge",
    "ResNet101",
    "ResNet152",
    "ResNet101V2",
    "ResNet152V2",
}


# One of each kind of architecture; the sweep builds them all.
QUICK = {"DenseNet121", "EfficientNetB0", "MobileNet", "MobileNetV3Small", "ConvNeXtTiny", "VGG16"}


def run_eagerly(function, features):
    """In the place of `compile_forward`: nothing is compiled."""

    def forward(batch):
        tensors = function(keras.ops.convert_to_tensor(batch))
        return [keras.ops.convert_to_numpy(tensor) for tensor in tensors]

    return forward


def cut_at_the_features(model, head, input_size):
    """In the place of `feature_model`: nothing is copied."""
    poolings = [each for each in model.layers if isinstance(each, layers.GlobalAveragePooling2D)]
    # The blocks of EfficientNet pool as well.
    return keras.Model(model.input, poolings[-1].input)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        name if name in QUICK else pytest.param(name, marks=pytest.mark.sweep)
        for name in APPLICATIONS
    ],
)
def test_every_classifier_of_keras_applications_works_or_is_refused(name, monkeypatch):
    size, expected = APPLICATIONS[name]
    # Compiling all of them takes minutes and says no more.
    if name not in ("ResNet50", "MobileNet"):
        monkeypatch.setattr("camkit.models._backend.compile_forward", run_eagerly)
    try:
        model = getattr(keras.applications, name)(
            weights=None, input_shape=(size, size, 3), classes=10
        )
        if expected != WORKS:
            with pytest.raises(camkit.HeadError, match=expected):
                camkit.CAM(model)
            return
        dense = next(layer for layer in reversed(model.layers) if layer.weights)
        dense.set_weights(
            [np.random.default_rng(0).normal(size=w.shape) for w in dense.get_weights()]
        )
        if name in DEEP:
            monkeypatch.setattr("camkit.models._copy.feature_model", cut_at_the_features)
        batch = np.random.default_rng(1).uniform(0, 255, (2, size, size, 3)).astype("float32")
        cam = camkit.CAM(model)
        out = cam(batch)
        np.testing.assert_allclose(out.probs, model.predict(batch, verbose=0), atol=1e-4)
        assert np.abs(out.maps.mean(axis=(1, 2)) + cam.bias - out.logits).max() <= 1e-4 * max(
            1, np.abs(out.logits).max()
        )
    finally:
        model = cam = dense = None
        keras.backend.clear_session()
        gc.collect()


def last_map_and_vector(model):
    """Return the symbolic last map of a classifier, and what its last Dense layer reads."""
    poolings = [each for each in model.layers if isinstance(each, layers.GlobalAveragePooling2D)]
    if poolings:
        last_map = poolings[-1].input
    else:
        last_map = next(each.input for each in model.layers if isinstance(each, layers.Flatten))
    return last_map, model.layers[-1].input


@pytest.mark.sweep
@pytest.mark.parametrize("name", [name for name in APPLICATIONS if name not in DEEP])
def test_grad_cam_of_every_classifier_is_a_plain_gradient(tf, name):
    size, _ = APPLICATIONS[name]
    # Two places in each direction at least, so that there is a map.
    size = max(64, size)
    try:
        keras.utils.set_random_seed(0)
        model = getattr(keras.applications, name)(
            weights=None, input_shape=(size, size, 3), classes=10, classifier_activation=None
        )
        image = np.random.default_rng(1).uniform(0, 255, (1, size, size, 3)).astype("float32")
        parts = keras.Model(model.input, last_map_and_vector(model))
        dense = model.layers[-1]
        with tf.GradientTape() as tape:
            features, vector = parts(image, training=False)
            logit = dense(tf.reshape(vector, (1, *dense.input.shape[1:])))[0, 3]
        slopes = tape.gradient(logit, features).numpy()
        alpha = slopes.mean(axis=(1, 2))
        grad_cam = np.maximum(0, np.einsum("nyxk,nk->nyx", features.numpy(), alpha))
        hires_cam = np.einsum("nyxk,nyxk->nyx", features.numpy(), slopes)
        for method, expected in ((camkit.grad_cam, grad_cam), (camkit.hires_cam, hires_cam)):
            limit = 1e-4 * np.abs(hires_cam).max()
            np.testing.assert_allclose(method(model, image, targets=3), expected, atol=limit)
    finally:
        model = parts = dense = None
        keras.backend.clear_session()
        gc.collect()
