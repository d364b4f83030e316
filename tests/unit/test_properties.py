"""Identities on drawn cases: enlargement, boxes and measures. The draws are the same each time."""

import numpy as np
import pytest
from hypothesis import Phase, assume, given, settings, strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

import camkit
from camkit.localize import boxes, max_box_acc, pxap

steady = settings(deadline=None, derandomize=True, max_examples=25, database=None)
sides = st.integers(1, 9)


@st.composite
def maps(draw, ndim):
    """Maps (B, h, w) or (B, h, w, C) of sixteenths, with which sums and products are exact."""
    shape = [
        draw(st.integers(1, 3)),
        draw(sides),
        draw(sides),
        *[draw(st.integers(1, 4))] * (ndim == 4),
    ]
    return draw(arrays(np.int16, shape, elements=st.integers(-800, 800))) / 16


@steady
@given(st.integers(3, 4).flatmap(maps), st.integers(1, 6), st.integers(1, 6))
def test_enlarging_keeps_means_at_whole_factors(one, tall, wide):
    large = camkit.upsample(one, (one.shape[1] * tall, one.shape[2] * wide))
    assert large.mean(axis=(1, 2)) == pytest.approx(one.mean(axis=(1, 2)), abs=1e-9)
    assert one.min() - 1e-9 <= large.min() and large.max() <= one.max() + 1e-9


@steady
@given(maps(4), sides, sides, st.integers(0, 99))
def test_enlarging_is_linear_and_commutes_with_the_weighing_by_classes(
    features, height, width, seed
):
    rng, size = np.random.default_rng(seed), (height * 3, width * 2)
    kernel, other = rng.normal(size=(features.shape[-1], 3)), rng.normal(size=features.shape)
    assert camkit.upsample(features @ kernel, size) == pytest.approx(
        camkit.upsample(features, size) @ kernel, abs=1e-9
    )
    assert camkit.upsample(2 * features - other, size) == pytest.approx(
        2 * camkit.upsample(features, size) - camkit.upsample(other, size), abs=1e-9
    )


@steady
@given(maps(3), st.integers(-8, 8), st.integers(-99, 99), st.integers(0, 20), st.integers(0, 99))
def test_boxes_and_their_measures_do_not_see_scale_or_offset(heat, power, offset, threshold, seed):
    """Maps are scaled by their range. Powers of two are exact, so that the results are equal."""
    rng, rescaled = np.random.default_rng(seed), heat * 2.0**power + offset
    for one, same in zip(heat, rescaled, strict=True):
        assert np.array_equal(boxes(one, threshold / 20), boxes(same, threshold / 20))
    truth = [
        np.array([[0, 0, rng.integers(1, heat.shape[2] + 1), rng.integers(1, heat.shape[1] + 1)]])
        for _ in heat
    ]
    for one, same in zip(max_box_acc(heat, truth), max_box_acc(rescaled, truth), strict=True):
        assert np.array_equal(one, same)
    masks = rng.random(heat.shape) < 0.5
    masks[0, 0, 0] = True
    assert pxap(heat, masks) == pxap(rescaled, masks)
    order = rng.permutation(len(heat))
    assert pxap(heat[order], masks[order]) == pytest.approx(pxap(heat, masks), abs=1e-12), (
        "the order is nothing to it"
    )


PREPROCESSING = {
    "none": [],
    "scale": [("Rescaling", {"scale": 1 / 127.5, "offset": -1})],
    "normal": [("Normalization", {"mean": [120.0] * 3, "variance": [3000.0] * 3})],
}
gap_models = st.fixed_dictionaries(
    {
        "seed": st.integers(0, 99),
        "before": st.sampled_from(sorted(PREPROCESSING)),
        "layers": st.lists(
            st.tuples(
                st.integers(1, 5), st.lists(st.sampled_from([1, 3, 5]), min_size=1, max_size=3)
            ),
            min_size=1,
            max_size=3,
        ),  # [(channels, [kernel size of a branch])]
        "join": st.sampled_from(["Add", "Concatenate", "Maximum"]),
        "activation": st.sampled_from(["relu", "gelu", "tanh", "swish"]),
        "dtype": st.sampled_from(["float32", "float16", "mixed_float16"]),
        "outputs": st.integers(1, 4),
        "answer": st.sampled_from(["softmax", "sigmoid", "linear"]),
    }
)


def built(drawn):
    """The Keras model that was drawn, with its GAP → Dense head in float32."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(drawn["seed"])
    x = inputs = keras.Input((12, 12, 3))
    for name, options in PREPROCESSING[drawn["before"]]:
        x = getattr(layers, name)(**options)(x)
    for width, sizes in drawn["layers"]:
        ways = [
            layers.Conv2D(
                width, size, padding="same", activation=drawn["activation"], dtype=drawn["dtype"]
            )(x)
            for size in sizes
        ]
        x = (
            ways[0]
            if len(ways) == 1
            else getattr(layers, drawn["join"])(dtype=drawn["dtype"])(ways)
        )
    head = layers.Dense(
        drawn["outputs"], activation=drawn["answer"], bias_initializer="normal", dtype="float32"
    )
    return keras.Model(inputs, head(layers.GlobalAveragePooling2D()(x)))


@settings(
    steady, max_examples=8, phases=[Phase.generate]
)  # a model takes a second to build and trace
@given(gap_models)
def test_maps_average_to_the_logits_of_any_gap_model(drawn):
    # A softmax over one output is always 1.
    assume(drawn["outputs"] > 1 or drawn["answer"] != "softmax")
    model = built(drawn)
    rng = np.random.default_rng(0)
    batch = rng.integers(0, 256, (2, 12, 12, 3), dtype=np.uint8)
    out = camkit.CAM(model)(batch)
    (bias,) = model.layers[-1].get_weights()[1:]
    if drawn["outputs"] == 1:
        # One output is two classes.
        bias = np.concatenate([-bias, bias]) / 2
    assert out.maps.shape == (2, 12, 12, len(bias))
    close = 1e-5 * (1 + float(np.abs(out.maps).max()))
    assert out.maps.mean(axis=(1, 2)) + bias == pytest.approx(out.logits, abs=close)


def test_the_analysis_of_a_permuted_set_is_the_permuted_analysis(tmp_path):
    """Bit for bit: a picture is computed alike wherever it stands, since every batch is full."""
    rng = np.random.default_rng(0)
    for i in range(23):
        (tmp_path / f"{i % 3}").mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (12, 12, 3), dtype=np.uint8)).save(
            tmp_path / f"{i % 3}" / f"{i}.png"
        )
    images = camkit.load_images(tmp_path, None)
    model = built(
        {
            "seed": 0,
            "before": "scale",
            "layers": [(4, [3]), (5, [1, 3])],
            "join": "Add",
            "activation": "relu",
            "dtype": "float32",
            "outputs": 3,
            "answer": "softmax",
        }
    )
    one = camkit.analyze(model, images, batch_size=4)
    for seed in range(2):
        order = np.random.default_rng(seed).permutation(len(images))
        other = camkit.analyze(model, images.select(order), batch_size=4)
        assert other.paths == [one.paths[i] for i in order] and np.array_equal(
            other.labels, one.labels[order]
        )
        for name in ("gap", "maps", "logits", "probs"):
            assert np.array_equal(getattr(other, name), getattr(one, name)[order]), name
