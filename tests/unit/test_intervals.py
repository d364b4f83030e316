"""Intervals by what is drawn."""

import numpy as np
import pytest

import camkit


def test_images_of_one_group_are_drawn_together():
    """Copies of an image bring nothing: with their group named, the interval stays as it was."""
    values = np.random.default_rng(1).random(20)
    alone = camkit.interval(values)
    copied = camkit.interval(np.repeat(values, 9), np.repeat(np.arange(20), 9))
    assert np.allclose(copied, alone)
    unaware = camkit.interval(np.repeat(values, 9))
    assert unaware.high - unaware.low < 0.5 * (alone.high - alone.low)


def test_it_is_as_wide_as_the_standard_error_says():
    values = np.random.default_rng(2).normal(size=400)
    mean, low, high = camkit.interval(values)
    error = values.std() / np.sqrt(len(values))
    assert mean == pytest.approx(values.mean())
    assert (low, high) == pytest.approx((mean - 1.96 * error, mean + 1.96 * error), abs=0.2 * error)


def test_repetitions_are_drawn_as_well():
    """Ten images, three seeds: what differs by seed alone has an interval of the seeds."""
    by_seed = np.repeat([[0.0], [0.5], [1.0]], 10, axis=1)
    assert camkit.interval(by_seed) == (0.5, pytest.approx(0, abs=1e-9), pytest.approx(1))
    assert camkit.interval(by_seed.mean(axis=0)) == pytest.approx((0.5, 0.5, 0.5))


def test_a_masked_array_without_masked_values_is_an_array():
    values = np.array([0, 1, 1, 1])
    groups = np.array([5, 7, 7, 7])
    found = camkit.interval(np.ma.array(values), np.ma.array(groups))
    assert found == camkit.interval(values, groups)


def test_large_groups_count_by_their_images():
    """Two groups of 1 and 3 images: the four ways to draw them have means of 0, 0.75 and 1."""
    assert camkit.interval([0, 1, 1, 1], [5, 7, 7, 7]) == (0.75, 0, 1)


@pytest.mark.parametrize(
    "values, groups, message",
    [
        ([], None, "not \\(0,\\)"),
        ([1, np.nan], None, "finite"),
        (np.ma.array([1, 0, 1], mask=[0, 1, 0]), None, "1 of 3 values are NaN, infinite or masked"),
        ([1, 0, 1], np.ma.array([1, 2, 3], mask=[0, 0, 1]), "groups has no value for image 2"),
        (np.zeros((2, 2, 2)), None, "not \\(2, 2, 2\\)"),
        ([1, 0, 1], [1, 2], "one for each of 3 images"),
        ([1, 0, 1], ["a", "a", "a"], "all images are of one"),
    ],
)
def test_what_has_no_interval_is_refused(values, groups, message):
    with pytest.raises(ValueError, match=message):
        camkit.interval(values, groups)
