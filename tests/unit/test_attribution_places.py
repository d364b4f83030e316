"""The Grad-CAM family on tokens, sequences and volumes, and what it reads by default."""

import keras
import numpy as np
import pytest
import zoo
from keras import layers, ops
from test_attribution import ALL, AT_LAYERS, explain

import camkit
from camkit.maps import attribution
from camkit.models import _probe as probe
from camkit.models._backend import compile_query, gradient
from camkit.models._graph import network_of


def sequences(n=3):
    return np.random.default_rng(0).normal(size=(n, 16, 3)).astype("float32")


def volumes(n=2):
    return np.random.default_rng(0).normal(size=(n, 6, 8, 10, 1)).astype("float32")


def cut(model, name):
    """Return models from the image to a layer, and from there to the logits."""
    start = model.get_layer(name).output
    dense = model.layers[-1]
    logits = ops.matmul(dense.input, dense.kernel) + dense.bias
    return keras.Model(model.input, start), keras.Model(start, logits)


def slopes_by_hand(model, name, batch, c):
    """Return the output of a layer and ∂S_c at it."""
    below, above = cut(model, name)
    values = below.predict(batch, verbose=0)
    slopes = compile_query(lambda x: gradient(lambda x: above(x)[:, c], x), values)
    return values, slopes(values)


def read_name(model, batch):
    """Return the name of the layer that the family reads by default."""
    reading = probe.read(model, batch)
    return reading.network.maker_of(reading.value).layer.name


# Tokens -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def by_gap():
    """Return a transformer that averages its tokens, which are places alone."""
    return zoo.transformer("gap")


@pytest.fixture(scope="module")
def by_token():
    """Return a transformer that reads a class token, and has four registers."""
    return zoo.transformer("token", prefix=5)


def test_grad_cam_and_hires_cam_of_averaged_tokens_are_the_class_map(by_gap):
    """M = tokens · kernel: ReLU(M)/T and M/T, and hires_cam adds up to the score less the bias."""
    batch = zoo.images(3)
    tokens = keras.Model(by_gap.input, by_gap.get_layer("final_norm").output)
    kernel, bias = by_gap.layers[-1].get_weights()
    M = tokens.predict(batch, verbose=0).reshape(3, 6, 5, zoo.WIDTH) @ kernel[:, 2]
    np.testing.assert_allclose(camkit.grad_cam(by_gap, batch, 2), np.maximum(0, M) / 30, atol=1e-6)
    maps = camkit.hires_cam(by_gap, batch, 2)
    np.testing.assert_allclose(maps, M / 30, atol=1e-6)
    S = probe.scores(by_gap, batch)[:, 2]
    np.testing.assert_allclose(maps.sum(axis=(1, 2)) + bias[2], S, atol=1e-5)


@pytest.mark.parametrize("head, prefix", [("gap", 0), ("gap", 2), ("token", 1), ("flatten", 0)])
def test_maps_of_tokens_are_those_of_a_plain_gradient_without_the_prefix(head, prefix):
    model = zoo.transformer(head, prefix)
    batch = zoo.images(2)
    for name in ("block_0", None):
        if name is None and head == "token":
            continue
        values, slopes = slopes_by_hand(model, name or "final_norm", batch, 1)
        check_maps(model, batch, name, values[:, prefix:], slopes[:, prefix:])


def check_maps(model, batch, layer, tokens, slopes):
    """Compare the maps of class 1 with those of tokens (2, 30, D) and their slopes."""
    F = tokens.reshape(2, 6, 5, -1)
    g = slopes.reshape(2, 6, 5, -1)
    hires = np.sum(F * g, axis=-1)
    alpha = g.mean(axis=(1, 2))
    grad = np.maximum(0, np.einsum("nyxk,nk->nyx", F, alpha))
    for method, expected in ((camkit.hires_cam, hires), (camkit.grad_cam, grad)):
        ours = method(model, batch, 1, layer=layer)
        np.testing.assert_allclose(ours, expected, atol=3e-3 * np.abs(hires).max())


def test_with_a_class_token_the_map_is_that_of_what_the_last_attention_reads(by_token):
    """The gradient at what it reads, while the tokens that go past it stay as they are."""
    batch = zoo.images(2)
    layer = by_token.get_layer
    outputs = [layer("block_0").output, layer("block_1_norm").output]
    x, normed = keras.Model(by_token.input, outputs).predict(batch, verbose=0)
    kernel, bias = (ops.convert_to_tensor(weight) for weight in by_token.layers[-1].weights)

    def S(normed, x):
        seen = x + layer("block_1_attention")(normed, normed)
        hidden = layer("block_1_hidden")(layer("block_1_second_norm")(seen))
        tokens = layer("final_norm")(seen + layer("block_1_output")(hidden))
        return (ops.matmul(tokens[:, 0], kernel) + bias)[:, 1]

    def slopes(normed, x):
        return gradient(lambda normed: S(normed, x), normed)

    g = compile_query(slopes, normed, x)(normed, x)
    check_maps(by_token, batch, None, normed[:, 5:], g[:, 5:])


def test_after_the_last_attention_a_class_token_alone_has_an_effect(by_token):
    batch = zoo.images(2)
    assert read_name(by_token, batch) == "block_1_norm"
    for late in ("block_1_seen", "block_1", "final_norm"):
        np.testing.assert_array_equal(camkit.hires_cam(by_token, batch, layer=late), 0)
    assert camkit.hires_cam(by_token, batch).any()


def test_attention_that_keras_does_not_know_is_passed_as_well():
    """Without a MultiHeadAttention, the tokens are tried backwards from the head."""
    image = keras.Input(zoo.SHAPE)
    x = zoo.PrefixTokens(1)(zoo.patches_by_convolution(image))
    x = layers.Dense(zoo.WIDTH, name="mixed")(x)
    scores = layers.Dot(axes=2)([x, x])
    x = layers.Dot(axes=(2, 1))([layers.Softmax()(scores), x])
    x = layers.LayerNormalization()(x)
    model = zoo.shake(keras.Model(image, layers.Dense(4)(x[:, 0])))
    assert read_name(model, zoo.images(1)) == "mixed"


def test_the_heads_of_attention_by_operations_are_not_taken_for_a_map():
    image = keras.Input(zoo.SHAPE)
    x = zoo.PrefixTokens(1)(zoo.patches_by_convolution(image))
    projected = layers.Dense(zoo.WIDTH, name="projected")(x)
    V = ops.transpose(ops.reshape(projected, (-1, 31, 2, 4)), (0, 2, 1, 3))
    A = ops.softmax(ops.matmul(V, ops.transpose(V, (0, 1, 3, 2))))
    joined = ops.reshape(ops.transpose(ops.matmul(A, V), (0, 2, 1, 3)), (-1, 31, zoo.WIDTH))
    model = zoo.shake(keras.Model(image, layers.Dense(4)(joined[:, 0])))
    assert read_name(model, zoo.images(1)) == "projected"
    assert camkit.grad_cam(model, zoo.images(1)).shape == (1, 6, 5)


def test_weights_that_tokens_are_pooled_with_are_no_map_of_their_own():
    """Compact transformers average their tokens with weights that are computed from them."""
    image = keras.Input(zoo.SHAPE)
    x = layers.LayerNormalization(name="tokens_read")(zoo.patches_by_convolution(image))
    weights = ops.softmax(layers.Dense(1)(x), axis=1)
    pooled = ops.matmul(ops.transpose(weights, (0, 2, 1)), x)
    model = zoo.shake(keras.Model(image, layers.Dense(4)(ops.squeeze(pooled, 1))))
    assert read_name(model, zoo.images(1)) == "tokens_read"


def test_ablation_of_tokens_leaves_those_without_a_place_as_they_are(by_token):
    batch = zoo.images(2)
    below, above = cut(by_token, "block_0")
    tokens = below.predict(batch, verbose=0)
    S = above.predict(tokens, verbose=0)[:, 2]
    alpha = np.empty((2, zoo.WIDTH))
    for k in range(zoo.WIDTH):
        without = tokens.copy()
        without[:, 5:, k] = 0
        alpha[:, k] = (S - above.predict(without, verbose=0)[:, 2]) / np.abs(S)
    features = tokens[:, 5:].reshape(2, 6, 5, zoo.WIDTH)
    expected = np.maximum(0, np.einsum("nyxk,nk->nyx", features, alpha))
    ours = camkit.ablation_cam(by_token, batch, 2, layer="block_0")
    np.testing.assert_allclose(ours, expected, rtol=1e-3, atol=1e-5 * expected.max())


def test_a_named_grid_is_the_shape_of_the_map(by_gap):
    batch = zoo.images(1)
    maps = camkit.grad_cam(by_gap, batch, 1)
    named = camkit.grad_cam(by_gap, batch, 1, grid=(3, 10))
    np.testing.assert_array_equal(named, maps.reshape(1, 3, 10))
    with pytest.raises(ValueError, match=r"grid=\(2, 2\) is for tokens .*leave grid out"):
        camkit.grad_cam(zoo.flat()[0], batch, grid=(2, 2))


@pytest.mark.parametrize("name", ALL)
def test_every_method_returns_maps_of_the_places(name, by_token):
    for model, batch, places in (
        (by_token, zoo.images(2), (6, 5)),
        (zoo.over_time(), sequences(2), (8,)),
        (zoo.over_volumes(), volumes(2), (3, 4, 5)),
    ):
        if name not in AT_LAYERS:
            places = batch.shape[1:-1]
        options = {"window": 3} if name == "occlusion" else {}
        maps = getattr(attribution, name)(model, batch, 1, **options)
        assert maps.shape == (2, *places)
        assert maps.dtype == np.float32
        assert np.isfinite(maps).all()


# Sequences and volumes ----------------------------------------------------------------------------


@pytest.mark.parametrize("build, inputs", [(zoo.over_time, sequences), (zoo.over_volumes, volumes)])
def test_the_family_and_the_class_map_of_sequences_and_volumes(build, inputs):
    model = build()
    batch = inputs()
    features = keras.Model(model.input, model.layers[-3].output).predict(batch, verbose=0)
    kernel, bias = model.layers[-1].get_weights()
    places = features.shape[1:-1]
    M = features @ kernel[:, 2]
    axes = tuple(range(1, M.ndim))
    gap = features.mean(axis=axes)
    S = gap @ kernel[:, 2] + bias[2]

    def positive_sum(weights):
        return np.maximum(0, np.einsum("n...k,nk->n...", features, weights))

    w = np.broadcast_to(kernel[:, 2], gap.shape)
    expected = {
        "grad_cam": np.maximum(0, M) / np.prod(places),
        "hires_cam": M / np.prod(places),
        "layer_cam": positive_sum(np.maximum(0, w)) / np.prod(places),
        "ablation_cam": positive_sum(w * gap / np.abs(S)[:, None]),
    }
    for name, maps in expected.items():
        ours = explain(name, model, batch, 2)
        np.testing.assert_allclose(ours, maps, atol=2e-5 * np.abs(maps).max(), err_msg=name)


def test_occlusion_of_a_sequence_by_hand():
    """A window of two steps in the mean of the sequence, moved by one."""
    sequence = np.array([[[1.0], [5.0], [0.0]]])

    def scores(batch):
        weighted = batch[:, :, 0] @ [3.0, 1.0, 2.0]
        return np.stack([0 * weighted, weighted], axis=1)

    # The mean is 2: the first two steps lose 3·(1 − 2) + 1·(5 − 2), the last 3 + 2·(0 − 2).
    maps = attribution.occlusion(scores, sequence, 1, window=2, stride=1)
    np.testing.assert_allclose(maps, [[0, -0.5, -1]])


# Functions in place of models ---------------------------------------------------------------------


def test_occlusion_of_a_subclassed_model_is_that_of_its_layers():
    inner = zoo.flat()[0]

    class Wrapper(keras.Model):
        def call(self, images, training=False):
            return inner(images, training=training)

    batch = zoo.images(2)
    expected = explain("occlusion", inner, batch, 1)
    for model in (Wrapper(), inner.predict, lambda images: inner(images)):
        ours = explain("occlusion", model, batch, 1)
        np.testing.assert_allclose(ours, expected, atol=1e-5)


def test_one_column_of_a_function_belongs_to_the_second_class():
    batch = zoo.images(2)

    def probability(images):
        return 1 / (1 + np.exp(-images.sum(axis=(1, 2, 3), keepdims=False)[:, None] / 100))

    def score(images):
        return 5 + probability(images)

    of_second = explain("occlusion", probability, batch, 1)
    np.testing.assert_allclose(explain("occlusion", probability, batch, 0), -of_second)
    np.testing.assert_allclose(explain("occlusion", score, batch, 1), of_second, atol=1e-6)
    predicted = np.ravel(probability(batch) > 0.5).astype(int)
    np.testing.assert_array_equal(
        explain("occlusion", probability, batch),
        explain("occlusion", probability, batch, predicted),
    )


def test_the_images_tell_what_one_column_holds_for_their_altered_copies():
    batch = zoo.images(1)

    def score(images):
        change = np.abs(images - batch).sum(axis=(1, 2, 3))
        return 0.5 + change[:, None]

    assert score(batch + 1) > 1
    of_second = explain("occlusion", score, batch, 1)
    np.testing.assert_allclose(explain("occlusion", score, batch, 0), -of_second)


def test_a_function_that_returns_no_scores_is_refused():
    with pytest.raises(ValueError, match=r"array of shape \(2,\) for 2 images: one row of class"):
        attribution.occlusion(lambda images: images.mean(axis=(1, 2, 3)), zoo.images(2))
    with pytest.raises(ValueError, match="returned 2 arrays: a function that returns one"):
        attribution.occlusion(lambda images: {"a": images[:, 0, 0], "b": images}, zoo.images(2))


def test_a_function_of_a_saved_model_returns_a_dictionary():
    batch = zoo.images(1)

    def scores(images):
        return images.mean(axis=(1, 2))

    expected = explain("occlusion", scores, batch, 1)
    ours = explain("occlusion", lambda images: {"output_0": scores(images)}, batch, 1)
    np.testing.assert_array_equal(ours, expected)


@pytest.mark.parametrize("side, window, stride", [(224, 32, 16), (28, 4, 2), (3, 1, 1)])
def test_the_default_window_is_a_seventh_of_the_image(side, window, stride):
    seen = []

    def scores(images):
        seen.append(len(images))
        return np.zeros((len(images), 2))

    attribution.occlusion(scores, np.zeros((1, side, side, 1)), 0)
    steps = -(-(side - window) // stride) + 1
    assert sum(seen) == 1 + steps**2


# What is read by default --------------------------------------------------------------------------


def test_the_input_is_no_feature_map():
    image = keras.Input(zoo.SHAPE)
    model = zoo.shake(keras.Model(image, layers.Dense(2)(layers.Flatten()(image))))
    with pytest.raises(ValueError, match="'flatten.*', a Flatten, reads the image.*occlusion"):
        camkit.grad_cam(model, zoo.images(1))
    assert explain("occlusion", model, zoo.images(1)).shape == (1, 24, 20)


def test_beside_a_branch_that_reads_the_image_itself_the_map_is_read():
    model = zoo.shake(zoo.joined())
    network = network_of(model)
    assert probe.read(model, zoo.images(1)).value is not network.input
    assert camkit.grad_cam(model, zoo.images(1)).shape == (1, 6, 5)


def test_of_several_maps_one_is_to_be_named_and_the_names_work():
    image = keras.Input(zoo.SHAPE)
    one = layers.Conv2D(3, 3, name="one")(image)
    other = layers.Conv2D(3, 5, name="other")(image)
    pooled = [layers.GlobalMaxPooling2D()(one), layers.GlobalMaxPooling2D()(other)]
    model = zoo.shake(keras.Model(image, layers.Dense(2)(layers.Concatenate()(pooled))))
    with pytest.raises(ValueError, match="from 2 maps: name .* layer='o.*' or layer='o.*'"):
        camkit.grad_cam(model, zoo.images(1))
    for name in ("one", "other"):
        assert camkit.grad_cam(model, zoo.images(1), layer=name).any()


@pytest.mark.parametrize("name", ["grad_cam", "integrated_gradients", "occlusion"])
def test_a_model_with_channels_first_is_refused(name):
    batch = np.zeros((1, 3, 24, 24), dtype="float32")
    with pytest.raises(camkit.HeadError, match="channels_first.*channels_last"):
        getattr(attribution, name)(zoo.channels_first(), batch)


def test_a_model_that_returns_maps_is_refused():
    model = zoo.stack(layers.Conv2D(4, 1, activation="softmax"))
    with pytest.raises(camkit.HeadError, match=r"make a keras\.Model that returns such scores"):
        camkit.CAM(model)
    for name in ("grad_cam", "integrated_gradients", "occlusion"):
        with pytest.raises(camkit.HeadError, match=r"\(6, 5, 4\) for each image.*one score for"):
            explain(name, model, zoo.images(1))


def test_a_model_without_an_axis_of_classes_is_refused_and_can_be_given_one():
    model = zoo.stack(layers.GlobalAveragePooling2D(), layers.Dense(1))
    flat = keras.Model(model.input, keras.ops.squeeze(model.output, -1))
    with pytest.raises(camkit.HeadError, match=r"keras\.ops\.expand_dims\(model\.output, -1\)"):
        camkit.grad_cam(flat, zoo.images(1))
    mended = keras.Model(flat.input, keras.ops.expand_dims(flat.output, -1))
    maps = camkit.grad_cam(model, zoo.images(1), 1)
    np.testing.assert_allclose(camkit.grad_cam(mended, zoo.images(1), 1), maps, rtol=1e-5)


@pytest.mark.parametrize("name", ["integrated_gradients", "occlusion"])
def test_an_input_without_places_has_no_map(name):
    words = keras.Input((20,), dtype="int32")
    vectors = layers.Embedding(9, 4, mask_zero=True)(words)
    model = keras.Model(words, layers.Dense(3)(layers.GlobalAveragePooling1D()(vectors)))
    batch = np.arange(40).reshape(2, 20) % 9
    with pytest.raises(ValueError, match=r"shape \(2, 20\): an image needs places"):
        explain(name, model, batch)
    assert camkit.grad_cam(model, batch).shape == (2, 20)
    with pytest.raises(camkit.HeadError, match="averages over a mask"):
        camkit.CAM(model)


# Several inputs and outputs -----------------------------------------------------------------------


def with_table(rows=None):
    """Return a classifier of an image and a table of four numbers, or with these numbers inside."""
    image = keras.Input(zoo.SHAPE, name="image")
    table = keras.Input((4,), name="table")
    numbers = table if rows is None else ops.zeros_like(image[:, 0, 0, :1]) + rows
    pooled = layers.GlobalAveragePooling2D()(zoo.volume(image))
    both = layers.Concatenate()([pooled, numbers])
    scores = layers.Dense(zoo.CLASSES)(layers.Dense(6, "relu")(both))
    inputs = image if rows is not None else [image, table]
    return zoo.shake(keras.Model(inputs, scores))


@pytest.mark.parametrize("name", ALL)
def test_of_several_inputs_the_others_are_given(name):
    row = np.array([1.0, -2.0, 0.5, 3.0], dtype="float32")
    batch = zoo.images(2)
    expected = explain(name, with_table(row), batch, 1)
    options = {"window": 8, "stride": 4} if name == "occlusion" else {}
    method = getattr(attribution, name)
    ours = method(with_table(), batch, 1, inputs={"table": row}, **options)
    np.testing.assert_allclose(ours, expected, atol=1e-5 * np.abs(expected).max())
    with pytest.raises(camkit.HeadError, match="the model has 2 inputs, 'image', 'table'"):
        method(with_table(), batch, 1, **options)


@pytest.mark.parametrize("name", ALL)
def test_one_of_several_outputs_is_named(name):
    image = keras.Input(zoo.SHAPE)
    pooled = layers.GlobalAveragePooling2D()(zoo.volume(image))
    kind = layers.Dense(4, "softmax", name="kind")(pooled)
    ripe = layers.Dense(1, "sigmoid", name="ripe")(pooled)
    model = zoo.shake(keras.Model(image, [kind, ripe]))
    batch = zoo.images(2)
    options = {"window": 8, "stride": 4} if name == "occlusion" else {}
    method = getattr(attribution, name)
    for output, tensor in (("kind", kind), ("ripe", ripe)):
        expected = explain(name, keras.Model(image, tensor), batch, 1)
        ours = method(model, batch, 1, output=output, **options)
        np.testing.assert_allclose(ours, expected, atol=1e-5 * np.abs(expected).max())
    with pytest.raises(
        camkit.HeadError, match="2 outputs, 'kind', 'ripe': name one, .*--output NAME"
    ):
        method(model, batch, 1, **options)


def test_a_second_image_is_not_where_the_map_is_read():
    image, other = keras.Input(zoo.SHAPE, name="image"), keras.Input(zoo.SHAPE, name="other")
    conv = layers.Conv2D(3, 3, activation="relu")
    pooled = [layers.GlobalMaxPooling2D()(conv(each)) for each in (image, other)]
    scores = layers.Dense(2)(layers.Concatenate()(pooled))
    model = zoo.shake(keras.Model([image, other], scores))
    batch = zoo.images(2)
    maps = camkit.grad_cam(model, batch, 1, inputs={"other": batch[1]})
    assert maps.shape == (2, 22, 18)
    swapped = camkit.grad_cam(model, batch, 1, inputs={"image": batch[1]})
    assert swapped.shape == (2, 22, 18)


def test_a_map_inside_a_model_of_images_without_channels():
    """What the model takes (24, 20) is a sequence; its features are a map."""
    image = keras.Input(zoo.SHAPE[:2])
    x = zoo.volume(layers.Reshape((*zoo.SHAPE[:2], 1))(image))
    model = zoo.shake(keras.Model(image, layers.Dense(4)(layers.GlobalAveragePooling2D()(x))))
    batch = zoo.images(2)[..., 0]
    assert camkit.grad_cam(model, batch).shape == (2, 6, 5)
    with pytest.raises(ValueError, match=r"cannot enlarge features of \(6, 5\) places .*\(24,\)"):
        camkit.score_cam(model, batch)
