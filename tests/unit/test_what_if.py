"""Flip sets are the smallest there are, and the head says the same without the cells."""

import dataclasses
import functools
import itertools

import keras
import numpy as np
import pandas as pd
import pytest

import camkit
from camkit.analysis import _flips
from camkit.maps.what_if import MEANS

both_means = pytest.mark.parametrize("mean_over", MEANS)


def random_maps(seed, classes=3, places=(3, 3)):
    """Return signed maps and logits in which the biases matter."""
    draw = np.random.default_rng(seed)
    maps = draw.normal(size=(*places, classes))
    axes = tuple(range(len(places)))
    return maps, maps.mean(axis=axes) + 0.4 * draw.normal(size=classes)


@functools.cache
def subsets(size):
    """Return all subsets of `size` cells as masks (2^size, size), the smallest first."""
    masks = np.array(list(itertools.product([False, True], repeat=size)))
    return masks[np.argsort(masks.sum(axis=1), kind="stable")]


def logits_of_subsets(maps, logits, mean_over):
    """Return the logits (2^P, C) without each subset of the cells, from the definition.

    Without all cells, the mean over those that are left is NaN.
    """
    flat = maps.reshape(-1, maps.shape[-1])
    constant = logits - flat.mean(axis=0)
    left = ~subsets(len(flat))
    with np.errstate(invalid="ignore"):
        divisor = len(flat) if mean_over == "all" else left.sum(axis=1, keepdims=True)
        return left.astype(float) @ flat / divisor + constant


@both_means
@pytest.mark.parametrize("seed", range(60))
def test_no_smaller_subset_flips_a_pair(seed, mean_over):
    maps, logits = random_maps(seed)
    predicted = logits.argmax()
    every = logits_of_subsets(maps, logits, mean_over)
    for target in set(range(3)) - {predicted}:
        lead = every[:, predicted] - every[:, target]
        sizes = subsets(9).sum(axis=1)[lead < -1e-12]
        flip = camkit.flip_set(maps, logits, int(target), mean_over=mean_over)
        if not len(sizes):
            assert flip is None
            continue
        assert flip.count == sizes[0]
        assert flip.logits[target] > flip.logits[predicted]
        assert flip.winner == flip.logits.argmax()


@both_means
@pytest.mark.parametrize("seed", range(60))
def test_no_smaller_subset_changes_the_answer(seed, mean_over):
    maps, logits = random_maps(seed, classes=4)
    predicted = logits.argmax()
    every = logits_of_subsets(maps, logits, mean_over)
    rivals = np.delete(every, predicted, axis=1).max(axis=1)
    sizes = subsets(9).sum(axis=1)[rivals - every[:, predicted] > 1e-12]
    flip = camkit.flip_set(maps, logits, mean_over=mean_over)
    assert (flip is None) == (len(sizes) == 0)
    if flip is not None:
        assert flip.count == sizes[0] and flip.winner != predicted
        assert flip.share == flip.count / 9


@both_means
@pytest.mark.parametrize("places", [(7,), (2, 4), (2, 2, 2)])
def test_logits_without_cells_are_those_of_the_definition(places, mean_over):
    maps, logits = random_maps(1, places=places)
    size = int(np.prod(places))
    every = logits_of_subsets(maps, logits, mean_over)[:-1]
    for cells, expected in zip(subsets(size), every, strict=False):
        struck = camkit.strike(maps, logits, cells.reshape(places), mean_over=mean_over)
        np.testing.assert_allclose(struck, expected, atol=1e-12)


def test_by_hand():
    # Lead 3 − 1 = 2; the difference map is 8, 3, 0, −3 (mean 2). Striking out 8 takes away 2, which
    # is a tie and no flip; 8 and 3 take away 2.75. Of those that are left, −3 alone remains below.
    maps = np.array([[8.0, 0.0], [4.0, 1.0], [2.0, 2.0], [-2.0, 1.0]])
    logits = np.array([3.0, 1.0])
    flip = camkit.flip_set(maps, logits, 1)
    assert flip.cells.tolist() == [True, True, False, False]
    assert flip.logits.tolist() == [0.0, 0.75] and (flip.winner, flip.count) == (1, 2)
    # Mean over the last two: 0 and 1.5; before 3 and 1, and no bias.
    left = camkit.strike(maps, logits, flip.cells, mean_over="remaining")
    assert left.tolist() == [0.0, 1.5]


def test_a_third_class_may_win():
    # Class 1 outscores class 0 without the first cell, and so does class 2, by more.
    maps = np.array([[9.0, 0.0, 0.0], [0.0, 3.0, 6.0], [0.0, 0.0, 0.0]])
    flip = camkit.flip_set(maps, np.array([3.0, 1.0, 2.0]), target=1)
    assert flip.cells.tolist() == [True, False, False]
    assert flip.logits.tolist() == [0.0, 1.0, 2.0] and flip.winner == 2


def test_equal_cells_are_taken_in_their_order_and_equal_classes_by_their_logits():
    maps = np.array([[4.0, 0.0, 0.0], [4.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    flip = camkit.flip_set(maps, np.array([2.0, 1.25, 1.5]))
    assert flip.cells.tolist() == [True, False, False, False] and flip.winner == 2


def test_where_no_cells_are_enough():
    # The bias of class 0 alone keeps it ahead.
    maps = np.array([[1.0, 0.0], [1.0, 0.0]])
    assert camkit.flip_set(maps, np.array([5.0, 0.0])) is None
    assert camkit.flip_set(maps[:1], np.array([5.0, 0.0]), mean_over="remaining") is None
    assert camkit.flip_set(maps[:, :1], np.array([5.0])) is None


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"target": 0}, "other than the predicted one, 0"),
        ({"target": 2}, "choose a class of 0 to 1"),
        ({"mean_over": "some"}, "choose from all, remaining"),
        ({"maps": np.zeros((2, 2, 2, 3))}, "maps .h, w, C. of one image"),
        ({"maps": np.array([[np.nan, 0.0]])}, "not finite"),
    ],
)
def test_what_cannot_be_answered_is_refused(changed, message):
    given = {"maps": np.array([[1.0, 0.0]]), "logits": np.array([1.0, 0.0])} | changed
    with pytest.raises(ValueError, match=message):
        camkit.flip_set(**given)


def test_masks_are_checked():
    maps, logits = random_maps(0)
    with pytest.raises(ValueError, match="a mask .bool. of the shape of the places"):
        camkit.strike(maps, logits, np.array([0, 1]))
    with pytest.raises(ValueError, match="leave one, or use mean_over"):
        camkit.strike(maps, logits, np.ones((3, 3), bool), mean_over="remaining")


def head_of(features, activation):
    """Return a model from features to GAP, batch normalisation and scores."""
    inputs = keras.Input(features)
    pooling = {3: "2D", 2: "1D", 4: "3D"}[len(features)]
    gap = getattr(keras.layers, f"GlobalAveragePooling{pooling}")()(inputs)
    normal = keras.layers.BatchNormalization()(gap)
    units = 1 if activation == "one sigmoid" else 3
    name = "sigmoid" if activation == "one sigmoid" else activation
    model = keras.Model(inputs, keras.layers.Dense(units, name)(normal))
    draw = np.random.default_rng(2)
    for weight in model.weights:
        values = draw.normal(size=weight.shape)
        weight.assign(np.abs(values) + 0.5 if "variance" in weight.path else values)
    return model


@pytest.mark.parametrize(
    ("features", "activation"),
    [
        ((4, 3, 5), "softmax"),
        ((4, 3, 5), "one sigmoid"),
        ((6, 5), "sigmoid"),
        ((2, 2, 3, 5), "softmax"),
    ],
    ids=["image", "one sigmoid", "sequence of labels", "volume"],
)
def test_the_head_says_the_same_of_features_without_the_cells(features, activation):
    model = head_of(features, activation)
    draw = np.random.default_rng(3)
    values = draw.normal(size=(1, *features)).astype("float32")
    cells = draw.random(features[:-1]) < 0.4
    cam = camkit.CAM(model)
    out = cam(values)
    without = np.where(cells[None, ..., None], 0, values).astype("float32")
    struck = camkit.strike(out.maps[0], out.logits[0], cells)
    np.testing.assert_allclose(struck, cam(without).logits[0], atol=1e-5)
    # The mean over the places that are left is that of a sequence of them.
    kept = values[:, ~cells]
    logits = kept.mean(axis=1) @ cam.kernel + cam.bias
    struck = camkit.strike(out.maps[0], out.logits[0], cells, mean_over="remaining")
    np.testing.assert_allclose(struck, logits[0], atol=1e-5)


@pytest.fixture(scope="module")
def analysis():
    """Return an analysis with errors: the head has random weights."""
    images = camkit.load_images("mini", "Test", per_class=4)
    model = camkit.gap_classifier(camkit.backbone("mini"), images.class_names)
    draw = np.random.default_rng(0)
    head = model.get_layer("logits")
    head.set_weights([draw.normal(size=weight.shape) for weight in head.get_weights()])
    return camkit.analyze(model, images)


def checked_flips(analysis):
    """Return the table after comparing its flips with `camkit.flip_set`, image by image."""
    table = analysis.table
    cells = np.prod(analysis.maps.shape[1:3])
    for i, row in table.iterrows():
        is_error = analysis.labels[i] not in (-1, analysis.predicted[i])
        target = int(analysis.labels[i]) if is_error else None
        maps = np.asarray(analysis.maps[i], "float32")
        flip = camkit.flip_set(maps, analysis.logits[i], target)
        if flip is None:
            assert row["flip_cells"] is pd.NA and pd.isna(row["flip_to"])
            assert np.isnan(row["flip_share"])
            continue
        assert row["flip_cells"] == flip.count
        assert row["flip_to"] == analysis.class_names[flip.winner]
        assert row["flip_share"] == flip.count / cells
    return table


def test_the_table_has_the_flip_sets_of_all_images(analysis, monkeypatch):
    # Some are right, some are errors, and some have no label.
    labels = np.array(analysis.labels)
    labels[::3] = analysis.predicted[::3]
    labels[1::6] = -1
    mixed = dataclasses.replace(analysis, labels=labels)
    table = checked_flips(mixed)
    assert table["flip_cells"].notna().sum() > 10
    assert set(table["correct"].dropna()) == {True, False} and table["correct"].isna().any()
    # Chunks of images change nothing.
    monkeypatch.setattr(_flips, "CHUNK_VALUES", 10_000)
    pd.testing.assert_frame_equal(dataclasses.replace(mixed).table, table)


def test_the_table_where_no_cells_are_enough(analysis):
    ahead = analysis.logits + 1e3 * np.eye(12, dtype="float32")[analysis.predicted]
    table = checked_flips(dataclasses.replace(analysis, logits=ahead))
    assert table["flip_cells"].isna().all()


def test_maps_of_other_methods_have_no_flip_set(analysis):
    # Those have no bias, since they do not add up to the logits.
    table = dataclasses.replace(analysis, bias=None).table
    assert table[["flip_cells", "flip_share", "flip_to"]].isna().all(axis=None)


def test_labels_and_their_thresholds(analysis):
    draw = np.random.default_rng(1)
    thresholds = draw.uniform(0.2, 0.8, 12)
    scores = np.asarray(analysis.logits, "float64") / 10
    probs = (1 / (1 + np.exp(-scores))).astype("float32")
    labels = probs >= thresholds
    labels[::2] ^= draw.random(labels[::2].shape) < 0.2
    several = dataclasses.replace(
        analysis,
        labels=labels,
        logits=scores.astype("float32"),
        maps=np.asarray(analysis.maps) / 10,
        probs=probs,
        is_multi_label=True,
        thresholds=thresholds,
    )
    limit = np.log(thresholds / (1 - thresholds))
    counts = np.full(labels.shape, np.inf)
    for i, c in np.ndindex(*labels.shape):
        pair = np.stack([several.class_map(i, c), np.zeros((13, 13))], axis=-1)
        flip = camkit.flip_set(pair, [scores[i, c], limit[c]])
        counts[i, c] = np.inf if flip is None else flip.count
    is_wrong = labels != (probs >= thresholds)
    competing = np.where(is_wrong | ~is_wrong.any(axis=1, keepdims=True), counts, np.inf)
    fewest = competing.min(axis=1)
    table = several.table
    assert (
        table["flip_cells"].fillna(-1).tolist() == np.where(np.isinf(fewest), -1, fewest).tolist()
    )
    for i, name in enumerate(table["flip_to"]):
        if not pd.isna(name):
            assert competing[i, several.class_names.index(name)] == fewest[i]
    for i, row in several.errors.iterrows():
        expected = counts[i, several.class_names.index(row["label"])]
        assert np.isinf(expected) if pd.isna(row["flip_cells"]) else row["flip_cells"] == expected
    assert len(several.errors) > 10
