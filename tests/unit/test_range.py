"""A model that is given another range of values than it was trained on is told."""

import warnings

import keras
import numpy as np
import pytest
from keras import layers

import camkit
from camkit.images import load_images

LABELS = np.arange(32) % 2
NAMES = {"class_names": ["dark", "bright"]}


def model_of(threshold, pool=layers.GlobalAveragePooling2D):
    """A model that calls an image bright if the mean of its values is beyond a threshold."""
    model = keras.Sequential(
        [keras.Input((4, 4, 1)), layers.Conv2D(1, 1, use_bias=False), pool(), layers.Dense(2)]
    )
    mean = 1 if pool is layers.GlobalAveragePooling2D else 1 / 16
    kernel = np.full((model.layers[-1].input.shape[1], 1), mean) * [[0.0, 1.0]]
    model.layers[0].set_weights([np.ones((1, 1, 1, 1))])
    model.layers[-1].set_weights([kernel, np.array([threshold, 0.0])])
    return model


@pytest.fixture(scope="module")
def x():
    """Images with values of 0 to 255: those of the second class are bright."""
    return (
        np.random.default_rng(0).integers(20, 90, (32, 4, 4, 1)) + 120 * LABELS[:, None, None, None]
    )


def told(model, images, **given):
    """What `analyze` warns of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        camkit.analyze(model, images, **given)
    return [str(each.message) for each in caught if "values of" in str(each.message)]


@pytest.mark.parametrize(
    "values, threshold, given, wanted, layer",
    [
        (lambda x: x, 0.5, "0 to 255", "0 to 1", "1 / 255"),
        (lambda x: x, 0.0, "0 to 255", "-1 to 1", "1 / 127.5, offset=-1"),
        (lambda x: x / 255, 127.5, "0 to 1", "0 to 255", "255"),
        (lambda x: x / 127.5 - 1, 127.5, "-1 to 1", "0 to 255", "127.5, offset=127.5"),
    ],
)
def test_another_range_is_told_with_the_remedy(x, values, threshold, given, wanted, layer):
    images = load_images((values(x), LABELS), **NAMES)
    [line] = told(model_of(threshold), images)
    assert line == (
        f"the model is given values of {given} and classifies 16 of 32 images correctly; of "
        f"{wanted} it would be 32. If it was trained on those, begin it with "
        f"keras.layers.Rescaling({layer})"
    )
    rescaling = eval(f"layers.Rescaling({layer})")
    remedied = keras.Sequential([keras.Input((4, 4, 1)), rescaling, model_of(threshold)])
    assert told(remedied, images) == []
    assert (camkit.analyze(remedied, images).predicted == LABELS).all()


def test_a_method_is_told_too_and_a_right_range_or_few_images_are_not(x):
    images = load_images((x, LABELS), **NAMES)
    flat = model_of(0.5, layers.Flatten)
    assert len(told(flat, images, method=camkit.grad_cam, batch_size=5)) == 1
    assert told(model_of(127.5), images) == []
    assert told(model_of(0.5), images.select(range(16))) == []
    assert told(model_of(0.5), images.unlabelled()) == []


def test_a_finished_analysis_is_not_tried_again(x, tmp_path):
    images = load_images((x, LABELS), **NAMES)
    assert len(told(model_of(0.5), images, folder=tmp_path)) == 1
    assert told(model_of(0.5), images, folder=tmp_path) == []


def test_an_analysis_of_arrays_says_what_the_model_was_given(x):
    images = load_images((x / 255, LABELS), **NAMES)
    assert repr(camkit.analyze(model_of(0.5), images)).startswith(
        "Analysis(32 images given as 0 to 1, 2 classes"
    )
