"""Scenes: the mask of a fruit on white, and composed pictures whose truth is what they show."""

import io

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

import camkit
from camkit import scenes

ROWS, COLUMNS = np.mgrid[:100, :100]


def disc(radius, x=50, y=50):
    return np.hypot(COLUMNS - x, ROWS - y) <= radius


def painted(mask, colour=(200, 40, 30)):
    return np.where(mask[..., None], colour, 255).astype(np.uint8)


def jpeg(image, quality=75):
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "JPEG", quality=quality)
    return np.asarray(Image.open(stream))


def overlap(one, other):
    return (one & other).sum() / (one | other).sum()


class Shapes(list):
    """An image set of plain shapes in plain colours, one a class."""

    def __init__(self, *images):
        super().__init__(images)
        self.labels = np.arange(len(images))
        self.class_names = [f"shape {i}" for i in self.labels]


DISCS = Shapes(
    painted(disc(40)),
    painted(disc(40), (20, 120, 30)),
    painted(disc(40), (30, 30, 200)),
    painted(disc(40), (120, 20, 90)),
)
BAR = Shapes(painted((abs(ROWS - 50) < 10) & (abs(COLUMNS - 50) < 40)))


@pytest.fixture(scope="module")
def fruits():
    return camkit.load_images("mini", "Test", per_class=4)


@pytest.fixture
def on_black(monkeypatch):
    monkeypatch.setitem(
        scenes.BACKGROUNDS, "white", lambda rng, size: np.zeros((size, size, 3), np.uint8)
    )


# The object on white -------------------------------------------------------------------------------------------------


def test_the_foreground_is_the_exact_mask_of_the_embedded_set():
    images = camkit.load_images("mini", "Test")
    exact = [
        np.asarray(
            Image.open(images.root / "Masks" / path.relative_to(images.root).with_suffix(".png"))
        )
        for path in images.paths
    ]
    found = [overlap(scenes.foreground(images[i]), mask) for i, mask in enumerate(exact)]
    assert np.mean(found) > 0.985 and min(found) > 0.965


def test_what_the_object_encloses_is_object():
    whole = disc(30)
    highlight, hole = disc(6, 40, 40), disc(8, 60, 60)
    assert np.array_equal(scenes.foreground(painted(whole & ~highlight & ~hole)), whole)


def test_a_thin_stem_is_kept_and_a_soft_shadow_is_not():
    """A stem two pixels wide; a shadow that darkens the ground by half, gently."""
    fruit = disc(25) | ((abs(COLUMNS - 50.5) < 1) & (ROWS > 5) & (ROWS < 50))
    shadow = 130 * np.exp(-(np.hypot(COLUMNS - 70, (ROWS - 75) * 2) ** 2) / 800)
    image = np.where(fruit[..., None], (90, 60, 20), 255 - shadow[..., None]).astype(np.uint8)
    assert image[~fruit].min() < 140
    assert np.array_equal(scenes.foreground(image), fruit)


def test_an_object_at_the_frame_leaves_the_ground_beyond_it():
    bar = (abs(ROWS - 50) < 20) & (COLUMNS > -1)  # from frame to frame: two grounds
    assert np.array_equal(scenes.foreground(painted(bar)), bar)
    assert np.array_equal(scenes.foreground(painted(disc(40, 0, 0))), disc(40, 0, 0))


@pytest.mark.parametrize("colour", [(200, 40, 30), (250, 240, 190), (40, 40, 40), (225, 220, 215)])
def test_noise_of_jpeg_moves_the_outline_by_less_than_a_pixel(colour):
    found = scenes.foreground(jpeg(painted(disc(30), colour)))
    assert not (found & ~disc(31)).any() and not (disc(29) & ~found).any()


def test_white_alone_has_no_foreground_and_no_white_is_refused():
    assert not scenes.foreground(np.full((20, 30, 3), 255, np.uint8)).any()
    with pytest.raises(
        ValueError, match=r"no pixel at the border of this image \(20, 30, 3\) is white .* on white"
    ):
        scenes.foreground(np.full((20, 30, 3), 200, np.uint8))
    with pytest.raises(ValueError, match="no pixel at the border"):
        scenes.foreground(255 - painted(disc(30), (0, 0, 0)))  # white inside does not count


def test_real_fruits_are_found_in_one_piece_from_side_to_side(shared):
    images = camkit.load_images(shared / "fruits-360", "Test", per_class=1)
    for i in range(len(images)):
        mask = scenes.foreground(images[i])
        pieces, _ = ndimage.label(mask, np.ones((3, 3)))
        rows, columns = np.nonzero(mask)
        assert np.bincount(pieces[mask]).max() > 0.995 * mask.sum(), images.paths[i]
        assert max(np.ptp(rows), np.ptp(columns)) >= 93 and 0.2 < mask.mean() < 0.85, images.paths[
            i
        ]
        assert images[i][~mask].min(axis=-1).mean() > 240, images.paths[i]


# Scenes --------------------------------------------------------------------------------------------------------------


def test_a_seed_gives_one_truth_whatever_count_and_background(fruits):
    first = scenes.compose(fruits, 4, size=96, objects=3, layout="overlap", seed=5)
    again = scenes.compose(fruits, 2, size=96, objects=3, layout="overlap", seed=5)
    other = scenes.compose(fruits, 4, size=96, objects=3, layout="overlap", seed=6)
    np.testing.assert_array_equal(first.images[:2], again.images)
    assert not np.array_equal(first.masks, other.masks)
    for background in ("clutter", "photos"):
        laid = scenes.compose(
            fruits, 4, size=96, objects=3, layout="overlap", background=background, seed=5
        )
        for name in ("labels", "masks", "boxes"):
            np.testing.assert_array_equal(getattr(laid, name), getattr(first, name))
        inside = np.array(
            [ndimage.binary_erosion(mask.any(axis=0), iterations=3) for mask in first.masks]
        )
        edges = np.array(
            [ndimage.binary_dilation(mask.any(axis=0), iterations=3) for mask in first.masks]
        )
        np.testing.assert_array_equal(
            laid.images[inside], first.images[inside]
        )  # the same fruits in full
        assert (laid.images[~edges] != first.images[~edges]).any(axis=-1).mean() > 0.95


@pytest.mark.parametrize("layout", ["apart", "overlap"])
def test_the_masks_are_what_the_picture_shows_of_each_class(layout):
    """Four colours, one a class: who a pixel belongs to is seen in it."""
    laid = scenes.compose(DISCS, 12, size=120, objects=4, layout=layout, seed=1)
    colours = np.array([DISCS[k][50, 50] for k in range(4)], int)
    shown = np.argmin(
        abs(laid.images[:, None].astype(int) - colours[None, :, None, None]).sum(axis=-1), axis=1
    )
    for picture, labels, masks, who in zip(laid.images, laid.labels, laid.masks, shown):
        assert sorted(labels) == [0, 1, 2, 3]
        assert masks.sum(axis=0).max() == 1  # a pixel has one owner at the most
        for label, mask in zip(labels, masks):
            core = ndimage.binary_erosion(mask, iterations=2)
            assert core.any() and (who[core] == label).all()
        assert (picture[~ndimage.binary_dilation(masks.any(axis=0), iterations=3)] == 255).all()


def test_boxes_bound_the_masks(fruits):
    laid = scenes.compose(fruits, 5, size=128, objects=6, layout="overlap", background="clutter")
    for mask, box in zip(laid.masks.reshape(-1, 128, 128), laid.boxes.reshape(-1, 4)):
        rows, columns = np.nonzero(mask)
        assert list(box) == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]


def test_boxes_apart_do_not_meet(fruits):
    laid = scenes.compose(fruits, 10, size=128, objects=9)
    for boxes in laid.boxes:
        covered = np.zeros((128, 128), int)
        for x0, y0, x1, y1 in boxes:
            covered[y0:y1, x0:x1] += 1
        assert covered.max() == 1


def test_what_lies_before_stays_in_sight():
    cutout, rng = scenes._cutout(DISCS[0]), np.random.default_rng(0)
    before = np.zeros((2, 60, 60), bool)
    before[0, 20:40, 20:40] = before[1, 50:58, 50:58] = True
    before[0, 20:30, 20:40] = False  # half of it is hidden already
    areas, left, lengths = np.array([400, 64]), [], []
    for _ in range(60):
        sprite, x, y = scenes._place_at_random(rng, cutout, 1, before, areas, "overlap")
        shape = np.zeros((60, 60), bool)
        shape[y : y + sprite.height, x : x + sprite.width] = scenes._silhouette(sprite)
        left.append((before & ~shape).sum(axis=(1, 2)))
        lengths.append(np.ptp(np.nonzero(shape)[1]) + 1)
    assert (np.array(left) >= areas / 3).all() and np.min(left, axis=0)[0] < 200
    assert min(lengths) < 0.35 * 60 < max(lengths)  # shrunk where there is no room


def test_a_lone_object_is_at_random_place_scale_and_rotation():
    laid = scenes.compose(BAR, 120, size=100)
    x0, y0, x1, y1 = laid.boxes[:, 0].T
    longest = np.maximum(x1 - x0, y1 - y0)
    assert 34 <= longest.min() < 40 and 75 < longest.max() <= 81
    assert abs(longest.mean() - 57.5) < 4  # uniform from 35 to 80
    room = 100 - np.column_stack([x1 - x0, y1 - y0])
    share = np.column_stack([x0, y0]) / room
    assert share.min() < 0.1 and share.max() > 0.9 and abs(share.mean() - 0.5) < 0.08
    upright = np.mean(y1 - y0 > x1 - x0)
    assert 0.3 < upright < 0.7  # the bar itself lies
    slanted = laid.masks.sum(axis=(1, 2, 3)) / np.prod(100 - room, axis=1) < 0.6
    assert slanted.mean() > 0.5


def test_several_objects_share_the_room_of_one():
    laid = scenes.compose(DISCS, 40, size=200, objects=4)
    sides = (laid.boxes[..., 2:] - laid.boxes[..., :2]).max(axis=-1)
    assert 34 <= sides.min() < 42 and 74 < sides.max() <= 81 and abs(sides.mean() - 57.5) < 4


def test_a_mosaic_shows_its_objects_upright_in_their_cells(fruits):
    laid = scenes.compose(fruits, 3, size=200, objects=4, layout="mosaic")
    originals = [scenes.foreground(fruits[i]) for i in range(len(fruits))]
    for masks, boxes, labels in zip(laid.masks, laid.boxes, laid.labels):
        for k, (mask, (x0, y0, x1, y1), label) in enumerate(zip(masks, boxes, labels)):
            left, top = 100 * (k % 2), 100 * (k // 2)
            assert abs(max(x1 - x0, y1 - y0) - 90) <= 2
            assert abs((x0 + x1) / 2 - left - 50) <= 1.5 and abs((y0 + y1) / 2 - top - 50) <= 1.5
            best = max(
                overlap(mask[y0:y1, x0:x1], _fit(originals[i], (y1 - y0, x1 - x0)))
                for i in np.flatnonzero(fruits.labels == label)
            )
            assert best > 0.95


def _fit(mask, size):
    """What a mask bounds, stretched to a size (h, w)."""
    rows, columns = np.nonzero(mask)
    inner = Image.fromarray(mask[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1])
    return np.asarray(inner.resize(size[::-1]))


def test_edges_are_antialiased(on_black):
    """A red disc on black has pixels from black to red alone, and those between are a rim of one pixel."""
    laid = scenes.compose(Shapes(painted(disc(40))), 10, size=224)
    for picture, mask in zip(laid.images.astype(float), laid.masks[:, 0]):
        share = picture[..., 0] / 200
        assert np.abs(picture - share[..., None] * (200, 40, 30)).max() < 8
        clear = abs(share - 0.5) > 0.01
        np.testing.assert_array_equal(mask[clear], share[clear] > 0.5)
        diameter = np.sqrt(mask.sum() * 4 / np.pi)
        assert 0.7 < ((share > 0.2) & (share < 0.8)).sum() / (np.pi * diameter) < 1.2
        assert max(abs(np.ptp(n) + 1 - diameter) for n in np.nonzero(mask)) <= 3  # still round


def test_no_white_of_the_old_ground_is_left_at_the_edge(on_black):
    """White adds to green and blue, which a red disc has little of; JPEG has smeared it into the outline."""
    for colour in ((200, 40, 30), (30, 40, 200)):
        laid = scenes.compose(Shapes(jpeg(painted(disc(40), colour))), 10, size=224)
        assert np.delete(laid.images, np.argmax(colour), axis=-1).max() < 100


def test_photographs_come_from_the_wheel_of_scikit_image(monkeypatch):
    from skimage.data import _fetchers

    monkeypatch.setattr(_fetchers, "_image_fetcher", None)  # what would download
    scenes._photographs.cache_clear()
    pictures = scenes._photographs()
    assert len(pictures) == len(scenes.PHOTOS) and all(
        p.mode == "RGB" and min(p.size) >= 300 for p in pictures
    )


@pytest.mark.parametrize("background", ["clutter", "photos"])
def test_grounds_differ_and_are_not_white(background):
    laid = scenes.compose(DISCS, 8, size=64, background=background)
    for one, other in zip(range(7), range(1, 8)):
        both = ~ndimage.binary_dilation(laid.masks[[one, other], 0].any(axis=0), iterations=3)
        assert (laid.images[one][both] != laid.images[other][both]).any(axis=-1).mean() > 0.9
    bare = laid.images[~laid.masks[:, 0]]
    assert (bare.min(axis=-1) > 235).mean() < 0.2 and bare.std() > 30


def test_scenes_are_a_set_that_yields_batches(fruits):
    laid = scenes.compose(fruits, 5, size=64)
    assert len(laid) == 5 and laid.class_names == fruits.class_names
    np.testing.assert_array_equal(np.concatenate(list(laid.batches(2, 64))), laid.images)
    small = list(laid.batches(3, (16, 32)))
    assert [batch.shape for batch in small] == [(3, 16, 32, 3), (2, 16, 32, 3)]
    means = np.concatenate(small).mean(axis=(1, 2, 3))
    np.testing.assert_allclose(means, laid.images.mean(axis=(1, 2, 3)), atol=1)


def test_a_head_learns_from_scenes():
    laid, others = scenes.compose(DISCS, 40, size=64), scenes.compose(DISCS, 20, size=64, seed=1)
    model = camkit.gap_classifier(camkit.backbone("mini", input_size=64), DISCS.class_names)
    history = camkit.train_head(model, laid, others, epochs=15)
    assert history.history["val_accuracy"][-1] > 0.9


def test_what_cannot_be_is_refused():
    with pytest.raises(
        ValueError, match="background is 'grey': it must be one of 'white', 'clutter', 'photos'"
    ):
        scenes.compose(DISCS, 1, background="grey")
    with pytest.raises(ValueError, match="layout is 'grid': it must be"):
        scenes.compose(DISCS, 1, layout="grid")
    for wrong in ({"objects": 0}, {"objects": 10}, {"objects": 3, "layout": "mosaic"}):
        with pytest.raises(ValueError, match="1 to 9, and 1, 4 or 9 in a mosaic"):
            scenes.compose(DISCS, 1, **wrong)
    with pytest.raises(
        ValueError, match="5 objects of different classes are requested, but the images have 4 classes"
    ):
        scenes.compose(DISCS, 1, objects=5)
    with pytest.raises(ValueError, match="all white"):
        scenes.compose(Shapes(painted(disc(0) & False)), 1)
