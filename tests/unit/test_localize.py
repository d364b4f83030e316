"""Measures: values worked out by hand, perfect, random and constant maps, invariance."""

import numpy as np
import pytest
from scipy import ndimage, stats

import camkit
from camkit import localize
from camkit.localize import THRESHOLDS

RNG = np.random.default_rng(0)
MODES = np.array(
    [
        [0.0, 0.0, 0.0, 0.0, 0.0],
        [0.0, 0.4, 0.4, 0.4, 0.6],
        [0.0, 0.4, 1.0, 0.8, 0.6],
        [0.0, 0.4, 0.4, 0.4, 0.6],
    ]
)


def upto(value):
    """The column of the last threshold at which a pixel of this value is kept."""
    return np.searchsorted(THRESHOLDS, value, side="right") - 1


def blob(height, width, box):
    heat = np.zeros((height, width))
    x0, y0, x1, y1 = box
    heat[y0:y1, x0:x1] = 1
    return heat


# Scaling and baselines ----------------------------------------------------------------------------


def test_a_map_runs_from_zero_to_one_and_a_constant_one_is_zero():
    np.testing.assert_array_equal(localize.scaled([[-2, 0], [2, 6]]), [[0, 0.25], [0.5, 1]])
    np.testing.assert_array_equal(localize.scaled(np.full((2, 3), 7)), np.zeros((2, 3)))
    for bad in (np.nan, np.inf):
        with pytest.raises(ValueError, match=r"a map \(1, 2\) ranges from .* finite"):
            localize.scaled([[0, bad]])


def test_baselines_are_what_they_are_called():
    images = np.full((3, 30, 50, 3), 200, np.uint8)
    images[:, 10:20, 10:20] = 30
    maps = localize.baselines(images)
    assert list(maps) == ["centre", "random", "edges"] and {m.shape for m in maps.values()} == {
        (3, 30, 50)
    }
    centre = maps["centre"][0]
    np.testing.assert_allclose(centre, centre[::-1, ::-1])
    assert np.unravel_index(centre.argmax(), centre.shape) in [
        (14, 24),
        (14, 25),
        (15, 24),
        (15, 25),
    ]
    np.testing.assert_allclose(centre[0, 0], np.exp(-4))  # a corner is 2 σ off in x and in y
    square = blob(30, 50, (10, 10, 20, 20)) > 0
    rim = ndimage.binary_dilation(square) & ~ndimage.binary_erosion(square)
    assert (maps["edges"][0][rim] > 0).mean() > 0.9 and not maps["edges"][0][:5].any()
    random = localize.baselines(np.zeros((1, 224, 224, 3), np.uint8))["random"][0]
    beside, far = (
        np.corrcoef(random[:, :-n].ravel(), random[:, n:].ravel())[0, 1] for n in (8, 64)
    )
    assert beside > 0.8 and abs(far) < 0.4  # as coarse as 32 pixels
    many = (
        localize.baselines(np.zeros((600, 20, 20, 3), np.uint8))["random"]
        .reshape(600, -1)
        .argmax(axis=1)
    )
    quarters = np.bincount(many // 20 // 10 * 2 + many % 20 // 10, minlength=4)
    rim = np.isin(many // 20, (0, 19)) | np.isin(many % 20, (0, 19))
    assert quarters.min() > 110 and abs(rim.mean() - 76 / 400) < 0.06  # its peak may lie anywhere
    again = localize.baselines(images, seed=1)["random"]
    assert (
        abs(localize.rank_correlation(maps["random"], again)).max()
        < 0.5
        < abs(maps["random"] / again - 1).max()
    )


# Boxes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "threshold, expected",
    [
        (0.0, (0, 0, 5, 4)),
        (0.2, (1, 1, 5, 4)),
        (0.5, (2, 1, 5, 4)),
        (0.8, (2, 2, 4, 3)),
        (0.9, (2, 2, 3, 3)),
        (1.0, (2, 2, 3, 3)),
    ],
)
def test_the_box_of_a_map_by_hand(threshold, expected):
    np.testing.assert_array_equal(localize.boxes(MODES, threshold), [expected])
    np.testing.assert_array_equal(
        localize.boxes(3 - 5 * (1 - MODES), threshold), [expected]
    )  # any affine map


def test_a_threshold_belongs_to_what_it_keeps():
    heat = np.array([[0, 0.5, 1]])
    np.testing.assert_array_equal(localize.boxes(heat, 0.5), [[1, 0, 3, 1]])
    np.testing.assert_array_equal(localize.boxes(heat, 0.5 + 1e-9), [[2, 0, 3, 1]])


def test_parts_come_largest_first_and_corners_connect():
    heat = np.zeros((6, 9))
    heat[0, 8] = heat[5, 0] = heat[5, 8] = 1  # three of one pixel: upper, then left
    heat[1, 1] = heat[2, 2] = heat[3, 3] = 1  # one of three, through corners
    heat[5, 3:5] = 1
    np.testing.assert_array_equal(
        localize.boxes(heat, 0.5),
        [[1, 1, 4, 4], [3, 5, 5, 6], [8, 0, 9, 1], [0, 5, 1, 6], [8, 5, 9, 6]],
    )


def test_a_constant_map_has_no_box_but_at_threshold_zero():
    assert localize.boxes(np.ones((4, 5)), 0.1).shape == (0, 4)
    np.testing.assert_array_equal(localize.boxes(np.ones((4, 5)), 0), [[0, 0, 5, 4]])


def test_overlaps_by_hand():
    """4×4 boxes: shifted by 2 they share 8 of 24, one inside 4 of 16, side by side nothing."""
    found = localize.iou([[0, 0, 4, 4], [2, 0, 6, 4]], [[0, 0, 4, 4], [1, 1, 3, 3], [4, 0, 8, 4]])
    np.testing.assert_allclose(found, [[1, 1 / 4, 0], [1 / 3, 2 / 18, 8 / 24]])
    assert localize.iou(np.empty((0, 4)), [[0, 0, 1, 1]]).shape == (0, 1)


def test_boxes_are_filled():
    mask = localize.filled([[1, 0, 3, 2], [2, 1, 4, 3]], (3, 5))
    np.testing.assert_array_equal(mask, [[0, 1, 1, 0, 0], [0, 1, 1, 1, 0], [0, 0, 1, 1, 0]])
    assert localize.filled([], 4).shape == (4, 4) and not localize.filled([], 4).any()


MAPS = {
    "smooth": camkit.upsample(RNG.normal(size=(5, 5)), 40),
    "two sizes": camkit.upsample(RNG.normal(size=(7, 4)), (30, 45)),
    "flat below": camkit.upsample(np.maximum(0, RNG.normal(size=(6, 6))), 33),
    "noise": RNG.random((16, 24)),
    "steps": RNG.integers(0, 4, (20, 20)).astype(float),
    "two values": (RNG.random((20, 20)) > 0.6).astype(float),
    "a line": RNG.normal(size=(1, 30)),
    "constant": np.ones((6, 7)),
}


@pytest.mark.parametrize("name", MAPS)
@pytest.mark.parametrize("largest", [False, True])
def test_all_thresholds_at_once_are_one_after_the_other(name, largest):
    heat = MAPS[name]
    height, width = heat.shape
    truth = np.array(
        [
            [0, 0, width, height],
            [width // 4, 0, width // 2 + 1, height],
            [width - 3, 0, width, height],
        ]
    )
    wanted = []
    for threshold in THRESHOLDS:
        found = localize.boxes(heat, threshold)[: 1 if largest else None]
        wanted.append(localize.iou(found, truth).max(initial=0))
    np.testing.assert_array_equal(localize.best_ious([heat], [truth], largest=largest), [wanted])


@pytest.mark.parametrize("name", MAPS)
def test_the_parts_of_all_levels_are_those_of_each(name):
    level = np.searchsorted(THRESHOLDS, localize.scaled(MAPS[name]), side="right")
    wanted = []
    for t in range(1, 256):
        labels, _ = ndimage.label(level >= t, np.ones((3, 3)))
        for k, (y, x) in enumerate(ndimage.find_objects(labels), 1):
            wanted.append((t, (labels == k).sum(), x.start, y.start, x.stop, y.stop))
    found = np.column_stack(localize.parts(level))
    assert sorted(map(tuple, found.tolist())) == sorted(wanted)


def test_a_perfect_map_localizes_perfectly_at_every_threshold():
    boxes = [[[3, 4, 13, 16]], [[0, 0, 5, 5]]]
    maps = np.stack([blob(20, 20, box[0]) for box in boxes])
    assert (localize.best_ious(maps, boxes) == 1).all()
    mean, accuracies = localize.max_box_acc(maps, boxes)
    assert mean == 1 and list(accuracies) == [1, 1, 1]
    assert localize.max_box_acc(maps, boxes, ious=(0.5,), largest=True)[0] == 1


def test_accuracies_by_hand():
    """Four maps find 10×10 at the true corner: the truth is 10×10, 10×14, 10×20 and 10×40."""
    maps = np.stack([blob(60, 60, (5, 5, 15, 15))] * 4)
    boxes = [[[5, 5, 15, 5 + height]] for height in (10, 14, 20, 40)]
    mean, accuracies = localize.max_box_acc(maps, boxes)  # IoU 1, 10/14, 1/2 and 1/4
    assert list(accuracies) == [3 / 4, 3 / 4, 2 / 4] and mean == pytest.approx(2 / 3)
    assert list(localize.max_box_acc(maps, boxes, ious=(0.25, 10 / 14, 0.72))[1]) == [
        1,
        2 / 4,
        1 / 4,
    ]


def test_every_iou_has_its_own_best_threshold_common_to_all_pictures():
    """Boxes of 4×4, 6×6 and 8×8 about one middle, at thresholds that differ between images."""

    def rings(*values):
        heat = np.zeros((20, 20))
        for half, value in zip((4, 3, 2), values, strict=True):
            heat[10 - half : 10 + half, 10 - half : 10 + half] = value
        return heat

    maps = np.stack([rings(0.2, 0.5, 1), rings(0.4, 0.7, 1)])
    true = [[[7, 7, 13, 13]]] * 2  # IoU 16/36, 1 and 36/64
    best = localize.best_ious(maps, true)
    for row, (low, high) in zip(best, ((0.2, 0.5), (0.4, 0.7)), strict=True):
        columns = [0, upto(low), upto(low) + 1, upto(high), upto(high) + 1, 254]
        np.testing.assert_allclose(row[columns], [36 / 64, 36 / 64, 1, 1, 16 / 36, 16 / 36])
    mean, accuracies = localize.max_box_acc(maps, true)
    assert list(accuracies) == [1, 1, 1]  # between 0.4 and 0.5 both have the box itself
    apart = np.stack([rings(0.1, 0.2, 1), rings(0.4, 0.7, 1)])  # no threshold has both
    assert list(localize.max_box_acc(apart, true)[1]) == [
        1,
        1,
        0.5,
    ]  # between 0.1 and 0.2: 1 and 36/64


def test_a_threshold_chosen_on_some_pictures_is_used_on_others():
    narrow, wide = (
        blob(20, 20, (8, 8, 12, 12)) + 0.5 * blob(20, 20, (4, 4, 16, 16)),
        blob(20, 20, (4, 4, 16, 16)),
    )
    there = localize.best_ious([narrow] * 3, [[[8, 8, 12, 12]]] * 3)
    threshold = (there >= 0.5).mean(axis=0).argmax()
    assert THRESHOLDS[threshold] > 1 / 3  # narrow scaled: 1/3 around, 1 inside
    here = localize.best_ious([narrow, wide], [[[4, 4, 16, 16]]] * 2)
    assert (here >= 0.5).mean(axis=0).max() == 1 and (here[:, threshold] >= 0.5).mean() == 0.5


def test_several_true_boxes_and_several_parts_meet_in_their_best_pair():
    heat = blob(20, 30, (0, 0, 10, 10)) + blob(20, 30, (20, 0, 24, 4))
    true = [[[20, 0, 24, 4], [12, 12, 20, 20]]]
    assert localize.max_box_acc([heat], true)[0] == 1  # the small part is the second object
    assert localize.max_box_acc([heat], true, largest=True)[0] == 0  # the large one is none
    assert localize.max_box_acc([heat], [[[0, 0, 10, 10], *true[0]]], largest=True)[0] == 1


def test_a_constant_map_finds_nothing_and_a_picture_without_boxes_has_nothing_to_find():
    assert localize.max_box_acc(np.ones((2, 9, 9)), [[[0, 0, 9, 9]]] * 2) == (
        0,
        pytest.approx([0, 0, 0]),
    )
    assert localize.max_box_acc([blob(9, 9, (1, 1, 4, 4))], [np.empty((0, 4))])[0] == 0


@pytest.mark.parametrize("change", [lambda s: 7 * s - 3, np.sqrt, np.square, np.exp])
def test_localization_does_not_change_with_the_scale_of_maps(change):
    """An increasing function of all maps moves the best threshold, not what it is worth."""
    maps = RNG.integers(0, 5, (12, 6, 6)).repeat(4, 1).repeat(4, 2) / 4.0
    maps[:, 0, :2] = 0, 1
    boxes = [[[4, 4, 16, 20]]] * 12
    masks = np.stack([localize.filled(box, 24) for box in boxes])
    np.testing.assert_array_equal(
        localize.max_box_acc(change(maps), boxes)[1], localize.max_box_acc(maps, boxes)[1]
    )
    assert localize.pxap(change(maps), masks) == pytest.approx(
        localize.pxap(maps, masks), abs=1e-12
    )
    np.testing.assert_array_equal(
        localize.pointing_game(change(maps), masks), localize.pointing_game(maps, masks)
    )
    np.testing.assert_allclose(localize.rank_correlation(change(maps), maps), 1)


def test_numbers_must_agree():
    with pytest.raises(ValueError, match="shorter"):
        localize.max_box_acc(np.zeros((2, 4, 4)), [[[0, 0, 1, 1]]])
    with pytest.raises(
        ValueError, match=r"a map is \(7, 7\) and its image or mask \(9, 9\): camkit.upsample"
    ):
        localize.pxap(np.zeros((2, 7, 7)), np.ones((2, 9, 9), bool))


# Pixels -------------------------------------------------------------------------------------------


def test_average_precision_by_hand():
    """Scores 1, 0.8, 0.6, 0: object, none, object, none. P·ΔR = 1·1/2 + 2/3·1/2."""
    heat, mask = np.array([[1, 0.8, 0.6, 0]]), np.array([[True, False, True, False]])
    assert localize.pxap([heat], [mask]) == pytest.approx(1 / 2 + 1 / 3)
    tied = np.array([[1, 1, 0.5, 0]])  # object and none tied: P(1) = 1/2
    assert localize.pxap([tied], [mask]) == pytest.approx(1 / 2 * 1 / 2 + 2 / 3 * 1 / 2)


def test_pixels_of_all_pictures_meet_at_common_thresholds():
    """Each map ranks its pixels correctly, but 0.6 is object in one and not in the other."""
    maps, masks = (
        [np.array([[1, 0.6, 0]]), np.array([[1, 0.6, 0]])],
        [np.array([[1, 1, 0]]), np.array([[1, 0, 0]])],
    )
    assert [localize.pxap([m], [t]) for m, t in zip(maps, masks, strict=True)] == [1, 1]
    assert localize.pxap(maps, masks) == pytest.approx(2 / 3 + 3 / 4 * 1 / 3)


def test_a_perfect_map_has_one_and_a_constant_or_random_one_the_share_of_the_object():
    masks = RNG.random((6, 50, 60)) < RNG.uniform(0.1, 0.5, (6, 1, 1))
    assert localize.pxap(masks.astype(float), masks) == 1
    assert localize.pxap(2 - masks.astype(float), masks) < masks.mean() + 1e-12
    assert localize.pxap(np.ones(masks.shape), masks) == pytest.approx(masks.mean())
    assert localize.pxap(RNG.random(masks.shape), masks) == pytest.approx(masks.mean(), abs=0.02)


def test_pxap_is_scikit_learns_average_precision_on_its_grid():
    from sklearn.metrics import average_precision_score

    maps = RNG.integers(0, 1001, (4, 20, 30)) / 1000
    maps[:, 0, :2] = 0, 1
    masks = RNG.random(maps.shape) < maps**2
    assert localize.pxap(maps, masks) == pytest.approx(
        average_precision_score(masks.ravel(), maps.ravel()), abs=1e-12
    )


def test_counts_give_the_value_of_each_picture_and_of_a_draw():
    maps, masks = RNG.random((3, 12, 12)), RNG.random((3, 12, 12)) < 0.3
    counts = localize.pixel_counts(maps, masks)
    assert counts.shape == (3, 2, 1001) and counts.sum() == maps.size
    np.testing.assert_array_equal(counts[:, 1].sum(axis=-1), masks.sum(axis=(1, 2)))
    each = [localize.pxap([heat], [mask]) for heat, mask in zip(maps, masks, strict=True)]
    np.testing.assert_allclose(localize.average_precision(counts), each)
    drawn = [0, 0, 2]
    pooled = localize.average_precision(counts[drawn].sum(axis=0))
    assert pooled == pytest.approx(localize.pxap(maps[drawn], masks[drawn]))


def test_no_object_at_all_is_refused_and_in_one_picture_is_nan():
    nothing = np.zeros((2, 5, 5), bool)
    with pytest.raises(ValueError, match="none of the 2 masks holds an object"):
        localize.pxap(RNG.random((2, 5, 5)), nothing)
    assert np.isnan(
        localize.average_precision(localize.pixel_counts(RNG.random((2, 5, 5)), nothing))
    ).all()


def test_pointing_by_hand():
    heat, mask = np.zeros((20, 20)), localize.filled([[5, 5, 10, 10]], 20)
    heat[7, 12] = 3  # the last column of the object is 9
    hits = [localize.pointing_game([heat], [mask], tolerance)[0] for tolerance in (0, 2, 3)]
    assert hits == [0, 0, 1]
    heat[9, 9] = 3.5
    assert localize.pointing_game([heat], [mask])[0] == 1
    corner = np.zeros((20, 20))
    corner[13, 12] = 1  # 3 to the right and 4 below: 5 pixels off
    assert [localize.pointing_game([corner], [mask], tolerance)[0] for tolerance in (4.9, 5)] == [
        0,
        1,
    ]


def test_pointing_shares_ties_and_chance_is_the_share_of_the_object():
    mask = localize.filled([[0, 0, 4, 2]], (4, 8))
    heat = np.zeros((4, 8))
    heat[0, 3] = heat[0, 4] = heat[3, 0] = heat[3, 7] = 1  # one of four on the object
    assert localize.pointing_game([heat, np.ones((4, 8))], [mask, mask]).tolist() == [1 / 4, 1 / 4]
    assert localize.pointing_game([heat], [np.zeros((4, 8), bool)], 99)[0] == 0
    maps, masks = (
        RNG.random((400, 10, 10)),
        np.broadcast_to(localize.filled([[0, 0, 10, 3]], 10), (400, 10, 10)),
    )
    assert localize.pointing_game(maps, masks).mean() == pytest.approx(0.3, abs=0.07)


# Faithfulness -------------------------------------------------------------------------------------


IMAGES = RNG.integers(0, 256, (3, 12, 16, 3), dtype=np.uint8)
IMAGES[:, 2:8, 3:9] = (255, 0, 0)  # what the predictor below looks for
TRUE = np.stack([localize.filled([[3, 2, 9, 8]], (12, 16))] * 3).astype(float)


def redness(batch):
    """Scores (N, 2): what share of 36 pixels at that place is pure red, and what is not."""
    assert batch.dtype == np.float32 and len(batch) == localize.BATCH
    red = (np.abs(batch[:, 2:8, 3:9] - (255, 0, 0)).max(axis=-1) < 0.01).mean(axis=(1, 2))
    return np.stack([red, 1 - red], axis=1)


def test_deletion_and_insertion_of_a_map_whose_curves_are_known():
    """36 of 192 pixels count. True map: gone, or back, after 36; reversed: after all others."""
    insertion, deletion = localize.insertion_deletion(
        redness, IMAGES, TRUE, 0, steps=16
    )  # 12 pixels a step
    np.testing.assert_allclose(deletion, [[max(0, 1 - k / 3) for k in range(17)]] * 3)
    assert (
        (deletion[:, 3:] == 0).all()
        and (insertion[:, 3:] == 1).all()
        and (insertion[:, :2] < 0.9).all()
    )
    back, gone = localize.insertion_deletion(redness, IMAGES, -TRUE, 0, steps=16)
    np.testing.assert_allclose(gone, [[min(1, (16 - k) / 3) for k in range(17)]] * 3)
    assert (back[:, :13] < 1).all() and (back[:, 16] == 1).all()
    areas = [np.trapezoid(curves, dx=1 / 16).mean() for curves in (deletion, gone)]
    np.testing.assert_allclose(
        areas, [1.5 / 16, 14.5 / 16]
    )  # 1/2 + 2/3 + 1/3 steps, and its mirror


def test_the_scores_are_those_of_each_pictures_target():
    first, second = (
        localize.insertion_deletion(redness, IMAGES, TRUE, targets, steps=4)
        for targets in (0, [1, 0, 1])
    )
    np.testing.assert_allclose(second[:, 1], first[:, 1])
    np.testing.assert_allclose(second[:, [0, 2]], 1 - first[:, [0, 2]])


def test_deletion_ends_in_grey_and_insertion_in_the_picture():
    seen = []

    def watch(batch):
        seen.append(batch.copy())
        return np.zeros((len(batch), 1))

    localize.insertion_deletion(watch, IMAGES[:1], TRUE[:1], 0, steps=2)
    blurred, half, back, whole, less, grey = seen[0][:6]
    np.testing.assert_array_equal(back, IMAGES[0])
    np.testing.assert_array_equal(whole, IMAGES[0])
    np.testing.assert_allclose(
        grey, np.broadcast_to(np.array(localize.GREY, "float32"), grey.shape)
    )
    changed = (less != whole).any(axis=-1)
    assert changed.sum() == 96 and changed[TRUE[0] > 0].all()
    assert ((half == IMAGES[0]).all(axis=-1) == changed).mean() > 0.99
    step = np.zeros((1, 40, 40, 3), np.uint8)
    step[0, :, 20:] = 242
    seen.clear()
    localize.insertion_deletion(watch, step, np.zeros((1, 40, 40)), 0, steps=1)
    weights = np.exp(-(np.arange(-5, 6) ** 2) / 50)
    wanted = np.convolve(
        np.pad(step[0, 20, :, 0], 5, mode="edge"), weights / weights.sum(), "valid"
    )
    np.testing.assert_allclose(seen[0][0, 20, :, 0], wanted, atol=1e-3)


def test_equals_are_taken_in_an_order_that_the_seed_draws():
    flat = np.zeros((3, 12, 16))
    one, again, other = (
        localize.insertion_deletion(redness, IMAGES, flat, 0, steps=16, seed=seed)[1]
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(one, again)
    assert not np.array_equal(one, other)
    np.testing.assert_allclose(
        one, [1 - np.arange(17) / 16] * 3, atol=0.25
    )  # chance: a straight line


def test_faithfulness_does_not_change_with_the_scale_of_maps():
    maps = RNG.normal(size=(3, 12, 16))
    for measure in (localize.insertion_deletion, localize.road):
        np.testing.assert_array_equal(
            measure(redness, IMAGES, maps, 0), measure(redness, IMAGES, np.exp(3 * maps), 0)
        )
        np.testing.assert_array_equal(
            measure(redness, IMAGES, TRUE, 0), measure(redness, IMAGES, TRUE > 0, 0)
        )


def test_a_pixel_is_imputed_by_hand():
    """Beside 1/6, across 1/12. In a corner the three neighbours count 1/6, 1/6, 1/12 of 5/12."""
    image = np.zeros((3, 3, 3))
    image[..., 0] = [[0, 60, 24], [30, 99, 12], [48, 6, 120]]
    middle = np.zeros((3, 3), bool)
    middle[1, 1] = True
    filled = localize.impute(image, middle, np.random.default_rng(0), noise=0)
    assert filled[1, 1, 0] == pytest.approx((60 + 30 + 12 + 6) / 6 + (0 + 24 + 48 + 120) / 12)
    np.testing.assert_array_equal(filled[~middle], image[~middle])
    corner = np.zeros((3, 3), bool)
    corner[0, 0] = True
    assert localize.impute(image, corner, np.random.default_rng(0), noise=0)[
        0, 0, 0
    ] == pytest.approx((60 / 6 + 30 / 6 + 99 / 12) / (5 / 12))


def test_what_is_imputed_is_the_mean_of_what_is_imputed_beside_it():
    image, removed = RNG.integers(0, 256, (14, 11, 3)), RNG.random((14, 11)) < 0.7
    filled = localize.impute(image, removed, np.random.default_rng(0), noise=0)
    weights = np.array([[1, 2, 1], [2, 0, 2], [1, 2, 1]]) / 12
    sums = np.stack(
        [ndimage.correlate(filled[..., c], weights, mode="constant") for c in range(3)], axis=-1
    )
    mean = sums / ndimage.correlate(np.ones((14, 11)), weights, mode="constant")[..., None]
    np.testing.assert_allclose(filled[removed], mean[removed], atol=1e-9)
    np.testing.assert_array_equal(filled[~removed], image[~removed])


def test_imputation_continues_a_constant_and_adds_its_noise():
    image, removed = np.full((60, 60, 3), 90), np.zeros((60, 60), bool)
    removed[5:55, 5:55] = True
    np.testing.assert_allclose(
        localize.impute(image, removed, np.random.default_rng(0), noise=0), 90
    )
    noise = localize.impute(image, removed, np.random.default_rng(0))[removed] - 90
    assert abs(noise.mean()) < 0.1 and noise.std() == pytest.approx(2.55, rel=0.03)
    np.testing.assert_array_equal(
        localize.impute(image, removed & False, np.random.default_rng(0)), image
    )
    with pytest.raises(ValueError, match="all 3600 pixels are removed"):
        localize.impute(image, ~(removed & False), np.random.default_rng(0))


def test_road_removes_the_shares_it_is_told_from_either_end():
    """36 of 192 pixels count: 0.1 takes 19 of them or none; 0.9 leaves 20: none of them, or 20."""
    most, least = localize.road(redness, IMAGES, TRUE, 0, shares=(0, 0.1, 0.5, 0.9))
    np.testing.assert_allclose(most, [[1, 17 / 36, 0, 0]] * 3)
    np.testing.assert_allclose(least, [[1, 1, 1, 20 / 36]] * 3)
    np.testing.assert_allclose(
        localize.road(redness, IMAGES, -TRUE, 0, shares=(0.1, 0.5)),
        [[[1, 1]] * 3, [[17 / 36, 0]] * 3],
    )


def test_road_is_drawn_by_its_seed():
    def brightness(batch):
        return batch.mean(axis=(1, 2))

    one, again, other = (
        localize.road(brightness, IMAGES, TRUE, 0, seed=seed) for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(one, again)
    assert one.shape == (2, 3, 5) and (one != other).all()


# Randomization ------------------------------------------------------------------------------------


class Layer:
    """What `randomization` knows of a layer."""

    def __init__(self, name, *weights):
        self.name, self.weights = name, [np.array(w, float) for w in weights]

    def get_weights(self):
        return [w.copy() for w in self.weights]

    def set_weights(self, weights):
        self.weights = [w.copy() for w in weights]


class Model:
    """What `randomization` knows of a model; nested."""

    def __init__(self):
        values = np.random.default_rng(5)
        self.inner = [Layer("low", values.random((30, 4)) + 1), Layer("relu")]
        self.layers = [
            type("Nested", (), {"layers": self.inner, "name": "nested"})(),
            Layer("high", values.random(40), values.random(3)),
            Layer("softmax"),
        ]


def test_weights_are_lost_from_the_top_down_and_come_back():
    model, seen = Model(), []
    before = [layer.get_weights() for layer in (model.inner[0], model.layers[1])]

    def explain(model):
        state = [layer.get_weights() for layer in (model.inner[0], model.layers[1])]
        seen.append(
            [
                [np.array_equal(*pair) for pair in zip(*pairs, strict=True)]
                for pairs in zip(before, state, strict=True)
            ]
        )
        for was, now in zip(before, state, strict=True):
            for one, other in zip(was, now, strict=True):  # shuffled: the same values elsewhere
                assert one.shape == other.shape and sorted(one.ravel()) == sorted(other.ravel())
        return state[0][0].reshape(2, 6, 10)

    names, correlations = localize.randomization(explain, model)
    assert names == ["high", "low"] and correlations.shape == (2, 2)
    assert seen == [[[True], [True, True]], [[True], [False, False]], [[False], [False, False]]]
    np.testing.assert_allclose(correlations[0], 1)  # this map does not read the upper layer
    assert abs(correlations[1]).max() < 0.5
    assert localize.randomization(explain, model, steps=1)[0] == ["high"]
    for layer, weights in zip((model.inner[0], model.layers[1]), before, strict=True):
        assert all(np.array_equal(*pair) for pair in zip(layer.get_weights(), weights, strict=True))


def test_weights_come_back_where_a_map_cannot_be_made():
    model, calls = Model(), []
    before = model.layers[1].get_weights()

    def explain(model):
        calls.append(1)
        if len(calls) > 1:
            raise RuntimeError("no map")
        return np.zeros((1, 2, 2))

    with pytest.raises(RuntimeError, match="no map"):
        localize.randomization(explain, model)
    assert all(
        np.array_equal(*pair) for pair in zip(model.layers[1].get_weights(), before, strict=True)
    )


def test_randomization_of_a_keras_model_tells_cam_from_an_edge_detector():
    images = camkit.load_images("mini", "Test", per_class=1)
    batch = next(images.batches(4, 100))
    model = camkit.gap_classifier(camkit.backbone("mini"), images.class_names)
    top = [layer for layer in model.layers if layer.get_weights()][-1]
    top.set_weights([RNG.normal(size=w.shape) for w in top.get_weights()])
    before = model.get_weights()
    names, cam = localize.randomization(lambda m: camkit.CAM(m)(batch).maps[..., 0], model, steps=2)
    edges = localize.baselines(batch)["edges"]
    _, same = localize.randomization(lambda m: edges, model, steps=2)
    assert names[0] == top.name and len(names) == 2
    assert (same > 1 - 1e-9).all() and abs(cam[-1]).mean() < 0.6
    assert all(np.array_equal(*pair) for pair in zip(before, model.get_weights(), strict=True))


def test_rank_correlation_is_scipys_and_nought_for_a_constant_map():
    maps, others = RNG.integers(0, 9, (4, 5, 6)), RNG.random((4, 5, 6))
    wanted = [stats.spearmanr(a, b, axis=None).statistic for a, b in zip(maps, others, strict=True)]
    np.testing.assert_allclose(localize.rank_correlation(maps, others), wanted)
    np.testing.assert_allclose(localize.rank_correlation(others, -(others**3)), -1)
    assert localize.rank_correlation(np.ones((1, 3, 3)), others[:1, :3, :3])[0] == 0
