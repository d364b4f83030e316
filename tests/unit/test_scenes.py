"""Scenes: the mask of a fruit on white, and composed images whose truth is what they show."""

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


def iou(mask_a, mask_b):
    intersection = (mask_a & mask_b).sum()
    union = (mask_a | mask_b).sum()
    return intersection / union


def in_reach(mask, pixels):
    """Return the pixels of a mask and those near it."""
    return ndimage.binary_dilation(mask, iterations=pixels)


def interior(mask, pixels):
    """Return the pixels of a mask that are not near its edge."""
    return ndimage.binary_erosion(mask, iterations=pixels)


def bounds(mask):
    """Return x0, y0, x1, y1 of a mask, end exclusive."""
    rows, columns = np.nonzero(mask)
    return [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]


class Shapes(list):
    """An image set of plain shapes in plain colours, each a class of its own."""

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


# The object on white ------------------------------------------------------------------------------


def test_the_foreground_is_the_exact_mask_of_the_embedded_set():
    images = camkit.load_images("mini", "Test")
    ious = []
    for i, path in enumerate(images.paths):
        name = path.relative_to(images.root).with_suffix(".png")
        exact = np.asarray(Image.open(images.root / "Masks" / name))
        ious.append(iou(scenes.foreground(images[i]), exact))
    assert np.mean(ious) > 0.985
    assert min(ious) > 0.965


def test_what_the_object_encloses_is_object():
    whole = disc(30)
    highlight, hole = disc(6, 40, 40), disc(8, 60, 60)
    assert np.array_equal(scenes.foreground(painted(whole & ~highlight & ~hole)), whole)


def test_a_thin_stem_is_kept_and_a_soft_shadow_is_not():
    """A stem two pixels wide; a shadow that darkens the background by half, gently."""
    stem = (abs(COLUMNS - 50.5) < 1) & (ROWS > 5) & (ROWS < 50)
    fruit = disc(25) | stem
    distance = np.hypot(COLUMNS - 70, (ROWS - 75) * 2)
    shadow = 130 * np.exp(-(distance**2) / 800)
    image = np.where(fruit[..., None], (90, 60, 20), 255 - shadow[..., None]).astype(np.uint8)
    assert image[~fruit].min() < 140
    assert np.array_equal(scenes.foreground(image), fruit)


def test_an_object_at_the_frame_leaves_the_background_beyond_it():
    # From frame to frame, with background on both sides.
    bar = (abs(ROWS - 50) < 20) & (COLUMNS > -1)
    assert np.array_equal(scenes.foreground(painted(bar)), bar)
    corner = disc(40, 0, 0)
    assert np.array_equal(scenes.foreground(painted(corner)), corner)


@pytest.mark.parametrize("colour", [(200, 40, 30), (250, 240, 190), (40, 40, 40), (225, 220, 215)])
def test_noise_of_jpeg_moves_the_outline_by_less_than_a_pixel(colour):
    mask = scenes.foreground(jpeg(painted(disc(30), colour)))
    assert not (mask & ~disc(31)).any()
    assert not (disc(29) & ~mask).any()


def test_white_alone_has_no_foreground_and_no_white_is_refused():
    assert not scenes.foreground(np.full((20, 30, 3), 255, np.uint8)).any()
    with pytest.raises(
        ValueError, match=r"no pixel at the border of this image \(20, 30, 3\) is white .* on white"
    ):
        scenes.foreground(np.full((20, 30, 3), 200, np.uint8))
    with pytest.raises(ValueError, match="no pixel at the border"):
        # White inside does not count.
        scenes.foreground(255 - painted(disc(30), (0, 0, 0)))


def test_real_fruits_are_found_in_one_piece_from_side_to_side(shared):
    images = camkit.load_images(shared / "fruits-360", "Test", per_class=1)
    for i in range(len(images)):
        path = images.paths[i]
        mask = scenes.foreground(images[i])
        pieces, _ = ndimage.label(mask, np.ones((3, 3)))
        sizes = np.bincount(pieces[mask])
        assert sizes.max() > 0.995 * mask.sum(), path
        x0, y0, x1, y1 = bounds(mask)
        assert max(x1 - x0, y1 - y0) >= 94, path
        assert 0.2 < mask.mean() < 0.85, path
        background = images[i][~mask]
        assert background.min(axis=-1).mean() > 240, path


# Scenes -------------------------------------------------------------------------------------------


def test_a_seed_gives_one_truth_whatever_count_and_background(fruits):
    settings = {"size": 96, "objects": 3, "layout": "overlap"}
    on_white = scenes.compose(fruits, 4, seed=5, **settings)
    fewer = scenes.compose(fruits, 2, seed=5, **settings)
    another_seed = scenes.compose(fruits, 4, seed=6, **settings)
    np.testing.assert_array_equal(on_white.images[:2], fewer.images)
    assert not np.array_equal(on_white.masks, another_seed.masks)
    objects = on_white.masks.any(axis=1)
    inside = np.array([interior(mask, 3) for mask in objects])
    outside = np.array([~in_reach(mask, 3) for mask in objects])
    for background in ("clutter", "photos"):
        composed = scenes.compose(fruits, 4, background=background, seed=5, **settings)
        for name in ("labels", "masks", "boxes"):
            np.testing.assert_array_equal(getattr(composed, name), getattr(on_white, name))
        # The same fruits in full, on another background.
        np.testing.assert_array_equal(composed.images[inside], on_white.images[inside])
        differs = (composed.images[outside] != on_white.images[outside]).any(axis=-1)
        assert differs.mean() > 0.95


@pytest.mark.parametrize("layout", ["apart", "overlap"])
def test_the_masks_are_what_the_image_shows_of_each_class(layout):
    """Four colours, one for each class, show which class a pixel belongs to."""
    composed = scenes.compose(DISCS, 12, size=120, objects=4, layout=layout, seed=1)
    colours = np.array([DISCS[k][50, 50] for k in range(4)], int)
    for image, labels, masks in zip(composed.images, composed.labels, composed.masks, strict=True):
        distances = [abs(image.astype(int) - colour).sum(axis=-1) for colour in colours]
        shown = np.argmin(distances, axis=0)
        assert sorted(labels) == [0, 1, 2, 3]
        assert masks.sum(axis=0).max() == 1, "a pixel shows one object at most"
        for label, mask in zip(labels, masks, strict=True):
            core = interior(mask, 2)
            assert core.any()
            assert (shown[core] == label).all()
        background = image[~in_reach(masks.any(axis=0), 3)]
        assert (background == 255).all()


def test_boxes_bound_the_masks(fruits):
    composed = scenes.compose(
        fruits, 5, size=128, objects=6, layout="overlap", background="clutter"
    )
    masks = composed.masks.reshape(-1, 128, 128)
    boxes = composed.boxes.reshape(-1, 4)
    for mask, box in zip(masks, boxes, strict=True):
        assert list(box) == bounds(mask)


def test_boxes_apart_do_not_meet(fruits):
    composed = scenes.compose(fruits, 10, size=128, objects=9)
    for boxes in composed.boxes:
        covered = np.zeros((128, 128), int)
        for x0, y0, x1, y1 in boxes:
            covered[y0:y1, x0:x1] += 1
        assert covered.max() == 1


def test_what_lies_before_stays_visible():
    cutout = scenes._cutout(DISCS[0])
    rng = np.random.default_rng(0)
    earlier = np.zeros((2, 60, 60), bool)
    # Half of the first object is hidden already.
    earlier[0, 30:40, 20:40] = True
    earlier[1, 50:58, 50:58] = True
    areas = np.array([400, 64])
    visible = []
    lengths = []
    for _ in range(60):
        sprite, x, y = scenes._place_at_random(rng, cutout, 1, earlier, areas, "overlap")
        covered = np.zeros((60, 60), bool)
        covered[y : y + sprite.height, x : x + sprite.width] = scenes._silhouette(sprite)
        visible.append((earlier & ~covered).sum(axis=(1, 2)))
        x0, _, x1, _ = bounds(covered)
        lengths.append(x1 - x0)
    visible = np.array(visible)
    assert (visible >= areas / 3).all()
    assert visible[:, 0].min() < 200
    assert min(lengths) < 0.35 * 60 < max(lengths), "shrunk where there is no room"


def test_a_lone_object_has_a_random_position_scale_and_rotation():
    composed = scenes.compose(BAR, 120, size=100)
    x0, y0, x1, y1 = composed.boxes[:, 0].T
    widths = x1 - x0
    heights = y1 - y0
    longest = np.maximum(widths, heights)
    assert 34 <= longest.min() < 40
    assert 75 < longest.max() <= 81
    assert abs(longest.mean() - 57.5) < 4, "uniform from 35 to 80"
    share = np.concatenate([x0 / (100 - widths), y0 / (100 - heights)])
    assert share.min() < 0.1
    assert share.max() > 0.9
    assert abs(share.mean() - 0.5) < 0.08
    # The bar itself is wider than high. Where it is oblique it fills little of its box.
    upright = heights > widths
    assert 0.3 < upright.mean() < 0.7
    filled = composed.masks.sum(axis=(1, 2, 3)) / (widths * heights)
    assert (filled < 0.6).mean() > 0.5


def test_several_objects_share_the_room_of_one():
    composed = scenes.compose(DISCS, 40, size=200, objects=4)
    sides = composed.boxes[..., 2:] - composed.boxes[..., :2]
    longest = sides.max(axis=-1)
    assert 34 <= longest.min() < 42
    assert 74 < longest.max() <= 81
    assert abs(longest.mean() - 57.5) < 4


def test_a_mosaic_shows_its_objects_upright_in_their_cells(fruits):
    composed = scenes.compose(fruits, 3, size=200, objects=4, layout="mosaic")
    originals = [scenes.foreground(fruits[i]) for i in range(len(fruits))]
    for i in range(len(composed)):
        for k, label in enumerate(composed.labels[i]):
            x0, y0, x1, y1 = composed.boxes[i, k]
            row, column = divmod(k, 2)
            assert abs(max(x1 - x0, y1 - y0) - 90) <= 2
            assert abs((x0 + x1) / 2 - (100 * column + 50)) <= 1.5
            assert abs((y0 + y1) / 2 - (100 * row + 50)) <= 1.5
            visible = composed.masks[i, k, y0:y1, x0:x1]
            ious = [
                iou(visible, fitted(originals[n], visible.shape))
                for n in np.flatnonzero(fruits.labels == label)
            ]
            assert max(ious) > 0.95


def fitted(mask, size):
    """Return the part of a mask in its box, stretched to a size (h, w)."""
    height, width = size
    x0, y0, x1, y1 = bounds(mask)
    inner = Image.fromarray(mask[y0:y1, x0:x1])
    return np.asarray(inner.resize((width, height)))


def test_edges_are_antialiased(on_black):
    """A red disc on black has pixels from black to red alone; mixed ones are a rim of one pixel."""
    composed = scenes.compose(Shapes(painted(disc(40))), 10, size=224)
    for image, mask in zip(composed.images.astype(float), composed.masks[:, 0], strict=True):
        share = image[..., 0] / 200
        red = share[..., None] * (200, 40, 30)
        assert np.abs(image - red).max() < 8
        clear = abs(share - 0.5) > 0.01
        np.testing.assert_array_equal(mask[clear], share[clear] > 0.5)
        diameter = np.sqrt(mask.sum() * 4 / np.pi)
        mixed = (share > 0.2) & (share < 0.8)
        assert 0.7 < mixed.sum() / (np.pi * diameter) < 1.2
        x0, y0, x1, y1 = bounds(mask)
        assert abs(x1 - x0 - diameter) <= 3, "still round"
        assert abs(y1 - y0 - diameter) <= 3, "still round"


def test_no_white_of_the_former_background_is_left_at_the_edge(on_black):
    """White adds to the channels of which a red disc has little; JPEG has smeared it inwards."""
    for colour in ((200, 40, 30), (30, 40, 200)):
        composed = scenes.compose(Shapes(jpeg(painted(disc(40), colour))), 10, size=224)
        other_channels = np.delete(composed.images, np.argmax(colour), axis=-1)
        assert other_channels.max() < 100


def test_photographs_come_from_the_wheel_of_scikit_image(monkeypatch):
    from skimage.data import _fetchers

    # Without what would download.
    monkeypatch.setattr(_fetchers, "_image_fetcher", None)
    scenes._photographs.cache_clear()
    photographs = scenes._photographs()
    assert len(photographs) == len(scenes.PHOTOS)
    for photograph in photographs:
        assert photograph.mode == "RGB"
        assert min(photograph.size) >= 300


@pytest.mark.parametrize("background", ["clutter", "photos"])
def test_backgrounds_differ_and_are_not_white(background):
    composed = scenes.compose(DISCS, 8, size=64, background=background)
    masks = composed.masks[:, 0]
    for i in range(7):
        bare = ~in_reach(masks[i] | masks[i + 1], 3)
        differs = composed.images[i][bare] != composed.images[i + 1][bare]
        assert differs.any(axis=-1).mean() > 0.9
    pixels = composed.images[~masks]
    white = pixels.min(axis=-1) > 235
    assert white.mean() < 0.2
    assert pixels.std() > 30


def test_scenes_are_a_set_that_yields_batches(fruits):
    composed = scenes.compose(fruits, 5, size=64)
    assert len(composed) == 5 and composed.class_names == fruits.class_names
    np.testing.assert_array_equal(np.concatenate(list(composed.batches(2, 64))), composed.images)
    small = list(composed.batches(3, (16, 32)))
    assert [batch.shape for batch in small] == [(3, 16, 32, 3), (2, 16, 32, 3)]
    means = np.concatenate(small).mean(axis=(1, 2, 3))
    np.testing.assert_allclose(means, composed.images.mean(axis=(1, 2, 3)), atol=1)


def test_a_head_learns_from_scenes():
    train = scenes.compose(DISCS, 40, size=64)
    validation = scenes.compose(DISCS, 20, size=64, seed=1)
    model = camkit.gap_classifier(camkit.backbone("mini", input_size=64), DISCS.class_names)
    history = camkit.train_head(model, train, validation, epochs=15)
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
        ValueError,
        match="5 objects of different classes are requested, but the images have 4 classes",
    ):
        scenes.compose(DISCS, 1, objects=5)
    with pytest.raises(ValueError, match="all white"):
        scenes.compose(Shapes(np.full((100, 100, 3), 255, np.uint8)), 1)
