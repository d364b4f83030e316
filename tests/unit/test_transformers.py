"""Attention rollout and LeGrad: values by hand, and what they refuse."""

import keras
import numpy as np
import pytest
import zoo
from keras import layers, ops

import camkit
from camkit.maps import transformers
from camkit.models import _probe as probe
from camkit.models._attention import attentions_of, block_ends, opened
from camkit.models._backend import compile_query, gradient
from camkit.models._graph import network_of

METHODS = [camkit.attention_rollout, camkit.legrad]


def tokens(n=2, count=7, width=6):
    return np.random.default_rng(0).normal(size=(n, count, width)).astype("float32")


def attention_scores(model, batch):
    """Return the weights of each attention layer of `zoo.transformer`, as Keras tells them."""
    weights = []
    for layer in model.layers:
        if isinstance(layer, layers.MultiHeadAttention):
            below = keras.Model(model.input, layer.input[0])
            normed = below(batch)
            _, A = layer(normed, normed, return_attention_scores=True)
            weights.append(ops.convert_to_numpy(A))
    return weights


def one_layer(head="token"):
    """Return a transformer of one attention layer and nothing after it, and its parts."""
    image = keras.Input(zoo.SHAPE)
    x = zoo.patches_by_convolution(image)
    x = zoo.PrefixTokens(1, name="prefix")(x)
    x = layers.MultiHeadAttention(2, 4, name="attention")(x, x)
    x = x[:, 0] if head == "token" else layers.GlobalAveragePooling1D()(x)
    return zoo.shake(keras.Model(image, layers.Dense(zoo.CLASSES, name="scores")(x)))


# The layer ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "settings",
    [
        {"num_heads": 2, "key_dim": 3},
        {"num_heads": 3, "key_dim": 2, "value_dim": 5, "use_bias": False},
        {"num_heads": 1, "key_dim": 4, "output_shape": 9, "dropout": 0.5},
    ],
)
def test_the_opened_layer_returns_what_the_layer_returns(settings):
    layer = layers.MultiHeadAttention(**settings)
    query, value, key = tokens(), tokens(count=5), 2 * tokens(count=5)
    expected, A = layer(query, value, key, return_attention_scores=True)
    without_key, _ = layer(query, value, return_attention_scores=True)
    seen = []
    call = opened(layer, lambda A: seen.append(A) or A)
    for ours, theirs in (
        (call(query, value, key), expected),
        (seen[0], A),
        (call(query, value), without_key),
    ):
        ours, theirs = ops.convert_to_numpy(ours), ops.convert_to_numpy(theirs)
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


# Rollout ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix, head", [(1, "token"), (3, "token"), (0, "gap"), (2, "gap")])
def test_rollout_is_the_product_of_attention_and_what_goes_past_it(prefix, head):
    model = zoo.transformer(head, prefix, blocks=3)
    batch = zoo.images(2)
    expected = []
    for A_1, A_2, A_3 in zip(*attention_scores(model, batch), strict=True):
        identity = np.eye(30 + prefix)
        A_hat = [(A.mean(axis=0) + identity) / 2 for A in (A_1, A_2, A_3)]
        product = A_hat[2] @ A_hat[1] @ A_hat[0]
        row = product[0] if head == "token" else product.mean(axis=0)
        expected.append(row[prefix:].reshape(6, 5))
    maps = camkit.attention_rollout(model, batch)
    assert maps.dtype == np.float32
    np.testing.assert_allclose(maps, expected, atol=1e-5)
    if prefix == 0:
        np.testing.assert_allclose(maps.sum(axis=(1, 2)), 1, rtol=1e-5)


def test_rollout_does_not_depend_on_the_class_or_the_head():
    model = zoo.transformer("token", 1)
    batch = zoo.images(2)
    maps = camkit.attention_rollout(model, batch, 0)
    np.testing.assert_array_equal(camkit.attention_rollout(model, batch, [3, 1]), maps)
    scores = model.get_layer("scores")
    scores.set_weights([-weight for weight in scores.get_weights()])
    np.testing.assert_array_equal(camkit.attention_rollout(model, batch), maps)


@pytest.mark.parametrize("head", ["token", "gap"])
def test_rollout_does_not_depend_on_a_head_that_says_nothing(head):
    model = zoo.transformer(head, 1, blocks=1)
    batch = zoo.images(2)
    expected = camkit.attention_rollout(model, batch)
    untrained = keras.models.clone_model(model)
    untrained.set_weights(model.get_weights())
    scores = untrained.get_layer("scores")
    scores.set_weights([np.zeros_like(weight) for weight in scores.get_weights()])
    np.testing.assert_array_equal(camkit.attention_rollout(untrained, batch), expected)
    never_positive = layers.Dense(3, "relu", bias_initializer=keras.initializers.Constant(-1e6))
    dead = layers.Dense(zoo.CLASSES)(never_positive(model.layers[-1].input))
    dead = keras.Model(model.input, dead)
    np.testing.assert_array_equal(camkit.attention_rollout(dead, batch), expected)


def test_rollout_of_tokens_that_have_no_effect_is_refused():
    model = zoo.transformer("token", 1)
    norm = model.get_layer("final_norm")
    norm.set_weights([np.zeros_like(weight) for weight in norm.get_weights()])
    with pytest.raises(ValueError, match="no token has an effect on the scores"):
        camkit.attention_rollout(model, zoo.images(1))


# LeGrad -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("head", ["token", "gap"])
def test_legrad_of_one_layer_by_hand(head):
    """S_c = Σ_t r_t (Σ_h A_h V_h W_h)_t · kernel: the slope of A_h[t, s] is r_t V_h[s] W_h kernel.

    r is 1 at the class token, or 1/T at each of T tokens.
    """
    model = one_layer(head)
    batch = zoo.images(2)
    layer = model.get_layer("attention")
    x = keras.Model(model.input, model.get_layer("prefix").output).predict(batch, verbose=0)
    V = ops.convert_to_numpy(layer.value_dense(x))
    W = ops.convert_to_numpy(layer.output_dense.kernel)
    kernel = model.layers[-1].get_weights()[0][:, 2]
    slopes = np.einsum("nshd,hdk,k->nhs", V, W, kernel)
    # One row has the slopes, or each of T rows a T-th of them: the mean over the rows is the same.
    expected = np.maximum(0, slopes).mean(axis=1) / 31
    maps = camkit.legrad(model, batch, 2)
    assert maps.dtype == np.float32
    np.testing.assert_allclose(maps, expected[:, 1:].reshape(2, 6, 5), rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("head", ["token", "gap"])
def test_legrad_reads_a_score_after_each_block(head):
    """The head reads the tokens of a block, whose attention alone is changed."""
    model = zoo.transformer(head, 1)
    batch = zoo.images(2)
    layer = model.get_layer
    x = keras.Model(model.input, layer("positions").output).predict(batch, verbose=0)
    kernel = ops.convert_to_tensor(model.layers[-1].kernel)

    def attend(layer, x, change):
        Q, K, V = layer.query_dense(x), layer.key_dense(x), layer.value_dense(x)
        A = ops.softmax(ops.einsum("nthd,nshd->nhts", Q, K) / 2)
        return layer.output_dense(ops.einsum("nhts,nshd->nthd", A + change, V))

    def block(name, x, change):
        seen = x + attend(layer(f"{name}_attention"), layer(f"{name}_norm")(x), change)
        hidden = layer(f"{name}_hidden")(layer(f"{name}_second_norm")(seen))
        return seen + layer(f"{name}_output")(hidden)

    def S(tokens):
        tokens = layer("final_norm")(tokens)
        read = tokens[:, 0] if head == "token" else ops.mean(tokens, axis=1)
        return ops.matmul(read, kernel)[:, 3]

    nothing = np.zeros((2, 2, 31, 31), dtype="float32")
    expected = []
    for name in ("block_0", "block_1"):

        def query(x, change, name=name):
            slopes = gradient(lambda change: S(block(name, x, change)), change)
            return slopes, block(name, x, change)

        slopes, x = compile_query(query, x, nothing)(x, nothing)
        expected.append(np.maximum(0, slopes).mean(axis=(1, 2))[:, 1:])
    expected = np.mean(expected, axis=0).reshape(2, 6, 5)
    maps = camkit.legrad(model, batch, 3)
    np.testing.assert_allclose(maps, expected, rtol=1e-3, atol=1e-4 * expected.max())
    assert not np.allclose(maps, camkit.legrad(model, batch, 0))


def ends(model):
    """Return the names of the layers that the blocks of a model end in."""
    network = network_of(model)
    found = block_ends(network, attentions_of(network, network.output))
    return [network.maker_of(value).layer.name for value in found]


def normalised_after(x, name):
    """A block with the normalisation after each sum, as in the first transformers."""
    attention = layers.MultiHeadAttention(2, 4)
    x = layers.LayerNormalization()(x + attention(x, x))
    hidden = layers.Dense(zoo.WIDTH)(layers.Dense(12, "gelu")(x))
    return layers.LayerNormalization(name=name)(layers.Add()([x, hidden]))


def test_a_block_ends_where_all_that_the_image_adds_passes():
    assert ends(zoo.transformer("token", 1, blocks=3)) == ["block_0", "block_1", "block_2"]
    assert ends(zoo.transformer("gap")) == ["block_0", "block_1"]
    assert ends(one_layer()) == ["scores"]
    image = keras.Input(zoo.SHAPE)
    x = zoo.patches_by_convolution(image)
    for name in ("first", "second"):
        x = normalised_after(x, name)
    x = layers.GlobalAveragePooling1D()(layers.Dropout(0.1)(x))
    assert ends(keras.Model(image, layers.Dense(4)(x))) == ["first", "second"]


def test_legrad_refuses_blocks_of_different_forms():
    image = keras.Input(zoo.SHAPE)
    x = normalised_after(zoo.patches_by_convolution(image), "first")
    x = zoo.attention_block(x, "second")
    model = keras.Model(image, layers.Dense(4)(layers.GlobalAveragePooling1D()(x)))
    with pytest.raises(
        ValueError, match="the blocks differ: .* → LayerNormalization and Add .*grad"
    ):
        camkit.legrad(model, zoo.images(1))


# Both ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_the_steps_of_a_sequence_have_no_grid(method):
    sequence = keras.Input((7, 6))
    x = layers.MultiHeadAttention(2, 3)(sequence, sequence)
    model = keras.Model(sequence, layers.Dense(2)(layers.GlobalAveragePooling1D()(x)))
    assert method(model, tokens()).shape == (2, 7)


@pytest.mark.parametrize("method", METHODS)
def test_models_without_such_attention_are_refused(method):
    with pytest.raises(ValueError, match="no keras.layers.MultiHeadAttention leads to the scores"):
        method(zoo.flat()[0], zoo.images(1))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "attend",
    [
        lambda x: layers.MultiHeadAttention(2, 4)(x, x, use_causal_mask=True),
        lambda x: layers.MultiHeadAttention(2, 4)(x, x, attention_mask=np.tri(30)[None] > 0),
    ],
    ids=["causal", "mask"],
)
def test_attention_with_a_mask_is_refused(method, attend):
    image = keras.Input(zoo.SHAPE)
    x = attend(zoo.patches_by_convolution(image))
    x = layers.Dense(4)(layers.GlobalAveragePooling1D()(x))
    model = zoo.shake(keras.Model(image, x))
    with pytest.raises(camkit.HeadError, match="multi_head_attention.* has a mask, a gate or"):
        method(model, zoo.images(1))


@pytest.mark.parametrize("method", METHODS)
def test_attention_between_different_tokens_is_refused(method):
    image = keras.Input(zoo.SHAPE)
    x = zoo.PrefixTokens(1)(zoo.patches_by_convolution(image))
    x = layers.MultiHeadAttention(2, 4)(x[:, :1], x)
    model = zoo.shake(keras.Model(image, layers.Dense(4)(layers.Flatten()(x))))
    with pytest.raises(ValueError, match=r"read tokens \[\(1,\), \(31,\)\], and only weights"):
        method(model, zoo.images(1))
    assert camkit.grad_cam(model, zoo.images(1)).shape == (1, 6, 5)


def test_a_layer_that_is_called_twice_has_weights_of_its_own_each_time():
    image = keras.Input(zoo.SHAPE)
    shared = layers.MultiHeadAttention(2, 4)
    x = zoo.patches_by_convolution(image)
    x = layers.LayerNormalization()(x + shared(x, x))
    x = shared(x, x)
    model = keras.Model(image, layers.Dense(4)(layers.GlobalAveragePooling1D()(x)))
    reading = probe.read_attention(model, zoo.images(1))
    first, second = probe.attention_weights(reading, zoo.images(1))
    assert not np.allclose(first, second)
    np.testing.assert_allclose(second.sum(axis=-1), 1, rtol=1e-5)
    with pytest.raises(ValueError, match="the blocks differ: Add → LayerNormalization and Multi"):
        transformers.legrad(model, zoo.images(1))
