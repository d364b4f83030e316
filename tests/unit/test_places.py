"""Tokens as places: the grid that they lie on, the tokens without a place, what is refused."""

import keras
import numpy as np
import pytest
import zoo
from keras import layers, ops

from camkit.models._graph import network_of
from camkit.models._places import Grid, grid_of, spread


def tokens_of(model, name="final_norm"):
    """Return the network of a model and the value that one of its layers returns."""
    network = network_of(model)
    call = next(call for call in network.calls if call.layer.name == name)
    return network, call.outputs[0]


class Patches(layers.Layer):
    """A layer that cuts patches inside, as those of older examples do."""

    def __init__(self, side, **options):
        super().__init__(**options)
        self.side = side

    def call(self, images):
        cut = ops.image.extract_patches(images, self.side)
        _, height, width, channels = cut.shape
        return ops.reshape(cut, (-1, height * width, channels))


def cut_of(shape, *steps):
    """Return a network and the tokens that the steps make of an image."""
    image = keras.Input(shape)
    x = image
    for step in steps:
        x = step(x)
    network = network_of(keras.Model(image, x))
    return network, network.output


@pytest.mark.parametrize("cut", [zoo.patches_by_convolution, zoo.patches_by_operation])
@pytest.mark.parametrize("prefix", [0, 1, 5])
def test_the_grid_is_that_of_the_patches_and_what_is_left_is_the_prefix(cut, prefix):
    model = zoo.transformer(prefix=prefix, cut=cut)
    assert grid_of(*tokens_of(model)) == Grid(6, 5, prefix)


@pytest.mark.parametrize("as_layer", [True, False])
def test_tokens_that_are_joined_behind_those_of_the_image_are_no_prefix(as_layer):
    def join(x):
        first, last = x[:, :1], x[:, :3]
        if as_layer:
            return layers.Concatenate(axis=1)([first, x, last])
        return ops.concatenate([first, x, last], axis=1)

    network, tokens = cut_of(zoo.SHAPE, zoo.patches_by_convolution, join)
    assert tokens.shape[1] == 34
    assert grid_of(network, tokens) == Grid(6, 5, 1)
    assert grid_of(network, tokens, (3, 10)) == Grid(3, 10, 1)


@pytest.mark.parametrize("heads", [1, 2])
def test_the_heads_of_attention_are_no_grid(heads):
    """They are split by reshaping tokens to (N, T, heads, width), and joined by the reverse."""

    def split_and_join(x):
        apart = ops.reshape(x, (-1, x.shape[1], heads, zoo.WIDTH // heads))
        return ops.reshape(apart, (-1, x.shape[1], zoo.WIDTH))

    network, tokens = cut_of(zoo.SHAPE, zoo.patches_by_convolution, split_and_join)
    assert grid_of(network, tokens) == Grid(6, 5, 0)


@pytest.mark.parametrize(
    "shape, side, prefix, expected",
    [
        ((24, 20, 3), 4, 0, Grid(6, 5, 0)),
        ((24, 20, 3), 4, 1, Grid(6, 5, 1)),
        # The margin is dropped.
        ((27, 22, 3), 4, 5, Grid(6, 5, 5)),
        # As many tokens as rows.
        ((16, 16, 3), 4, 0, Grid(4, 4, 0)),
        ((224, 224, 3), 16, 1, Grid(14, 14, 1)),
    ],
)
def test_patches_that_a_layer_cuts_inside_are_squares(shape, side, prefix, expected):
    steps = [Patches(side)]
    if prefix:
        steps.append(zoo.PrefixTokens(prefix))
    assert grid_of(*cut_of(shape, *steps)) == expected


def test_patches_cut_by_two_reshapes_are_squares():
    def cut(x):
        apart = ops.reshape(x, (-1, 6, 4, 5, 4, 3))
        return ops.reshape(ops.transpose(apart, (0, 1, 3, 2, 4, 5)), (-1, 30, 48))

    assert grid_of(*cut_of(zoo.SHAPE, cut)) == Grid(6, 5, 0)


@pytest.mark.parametrize(
    "steps",
    [
        # Columns, as a recurrent layer reads them.
        [layers.Reshape((24, 60))],
        # Every second token.
        [zoo.patches_by_convolution, layers.MaxPooling1D(2)],
        [Patches(2), layers.MaxPooling1D(2)],
        # Learned queries, which have no place.
        [layers.Flatten(), layers.Dense(47 * 2), layers.Reshape((47, 2))],
    ],
    ids=["columns", "pooled tokens", "pooled tokens of a layer", "no patches"],
)
def test_what_has_no_certain_grid_is_refused_and_can_be_named(steps):
    network, tokens = cut_of(zoo.SHAPE, *steps)
    count = tokens.shape[1]
    message = rf"grid of the {count} tokens cannot be known: name it, grid=\(height, width\)"
    with pytest.raises(ValueError, match=message):
        grid_of(network, tokens)
    assert grid_of(network, tokens, (3, 5)) == Grid(3, 5, count - 15)


def test_a_named_grid_is_checked():
    network, tokens = tokens_of(zoo.transformer(prefix=1))
    assert grid_of(network, tokens, (5, 6)) == Grid(5, 6, 1)
    with pytest.raises(ValueError, match=r"grid=\(6, 6\) has 36 places and there are 31 tokens"):
        grid_of(network, tokens, (6, 6))


def test_what_is_not_tokens_of_an_image_has_no_grid():
    for model in (zoo.flat()[0], zoo.over_time()):
        network = network_of(model)
        for call in network.calls:
            assert grid_of(network, call.outputs[0]) is None
    time = network.calls[0].outputs[0]
    with pytest.raises(ValueError, match=r"is for tokens .* shape \(None, 8, 7\): leave grid out"):
        grid_of(network, time, (2, 4))


def test_tokens_of_images_of_any_size_are_refused():
    with pytest.raises(ValueError, match="the number of tokens depends on the size of the image"):
        grid_of(*cut_of((None, None, 3), zoo.patches_by_convolution))


@pytest.mark.parametrize("kind", [np.asarray, ops.convert_to_tensor])
def test_tokens_are_spread_row_by_row_and_the_prefix_is_left_out(kind):
    tokens = np.arange(2 * 8 * 3, dtype="float32").reshape(2, 8, 3)
    maps = np.asarray(spread(kind(tokens), Grid(2, 3, prefix=2)))
    assert maps.shape == (2, 2, 3, 3)
    np.testing.assert_array_equal(maps[:, 1, 2], tokens[:, -1])
    np.testing.assert_array_equal(maps[1, 0, 0], tokens[1, 2])
