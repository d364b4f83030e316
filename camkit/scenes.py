"""Scenes: pictures whose truth is known, made of any images on white: fruits cut out, turned, scaled and laid anew.

`foreground` finds the object; `compose` lays objects on white, on clutter or on photographs, and keeps the label, the
mask and the box of each.
"""

from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage
from skimage import data, filters, segmentation

LIGHT, COLOUR, DARK = (
    235,
    60,
    110,
)  # ground is lighter than the first; no shadow is as colourful or dark as the rest
SCALE = 0.35, 0.8  # longest side of a lone object's box, in sides of the picture
VISIBLE = 1 / 3  # the share of an object that others leave in sight
PHOTOS = (
    "astronaut",
    "chelsea",
    "coffee",
    "hubble_deep_field",
    "immunohistochemistry",
    "rocket",
    "stereo_motorcycle",
)


def foreground(image):
    """The mask (H, W) bool of the object in an image on white, uint8 (H, W, 3): with its stem, without its shadow.

    Two floods, from the white ground at the border and from the strongest colours, rise over the picture's gradient and
    meet at the steepest edge between them: the outline, as a shadow's edge is gentle and JPEG's noise low (Beucher &
    Meyer, The morphological approach to segmentation: the watershed transformation, 1993). What the object encloses, a
    highlight or a hole, counts as object. Raises ValueError where no white reaches the border.
    """
    light, dark = image.max(axis=-1).astype(float), image.min(axis=-1).astype(float)
    white = (
        ndimage.label(np.pad(dark > LIGHT, 1, constant_values=True))[0][1:-1, 1:-1] == 1
    )  # joined round the frame
    if not white.any():
        raise ValueError(
            f"no pixel at the border of this image {image.shape} is white (every channel above {LIGHT} of "
            "255): foreground takes pictures of one object on white"
        )
    strange = np.maximum((light - dark) / COLOUR, (255 - light) / (255 - DARK))
    seeds = np.where(white, 1, 2 * (strange >= min(1, 0.9 * strange.max())))
    gradient = np.max(
        [filters.sobel(channel) for channel in np.moveaxis(image.astype(float), -1, 0)], axis=0
    )
    return segmentation.watershed(gradient, seeds) == 2


@dataclass(frozen=True, eq=False, repr=False)
class Scenes:
    """N pictures with n objects each, and the truth about them; a set that `train_head` takes where n is 1.

    images (N, S, S, 3) uint8; labels (N, n) index class_names; masks (N, n, S, S) bool: what is in sight of an object;
    boxes (N, n, 4) int: x0, y0, x1, y1 of the mask, end exclusive. Objects are in the order in which they were laid: a
    later one hides an earlier one.
    """

    images: np.ndarray
    labels: np.ndarray
    masks: np.ndarray
    boxes: np.ndarray
    class_names: list

    def __len__(self):
        return len(self.images)

    def batches(self, batch_size, size):
        """Yield the pictures in order as uint8 (B, h, w, 3), B <= batch_size, stretched to `size` (int or h,w)."""
        size = (size, size) if np.ndim(size) == 0 else tuple(size)
        for start in range(0, len(self), batch_size):
            batch = self.images[start : start + batch_size]
            yield (
                np.stack([_stretched(image, size) for image in batch])
                if size != batch.shape[1:3]
                else batch
            )


def compose(images, count, *, size=224, objects=1, background="white", layout="apart", seed=0):
    """The Scenes of `count` pictures, `size` pixels wide and high, of `objects` (1 to 9) objects of different classes.

    images: a set on white with `labels` and `class_names`, such as load_images yields; an image i is images[i].
    background: "white"; "clutter", a gradient with stripes, shapes and noise; "photos", pieces of photographs that
    scikit-image ships. layout: "apart", boxes do not touch; "overlap", a third of each object at least stays in sight;
    both at random places, turned at random, the longest side of a box 0.35/√objects to 0.8/√objects of the picture's;
    "mosaic", n×n objects upright in the centres of n×n cells that they fill to nine tenths.

    Picture i depends on images, size, objects, layout, background, seed and i, not on count; with another background it
    shows the same objects at the same places. Edges are antialiased and carry no white of their old ground. Raises
    ValueError for what is unknown or impossible here.
    """
    side = round(objects**0.5)
    classes = np.unique(images.labels)
    if background not in GROUNDS:
        raise ValueError(
            f"background is {background!r}: it must be one of {', '.join(map(repr, GROUNDS))}"
        )
    if layout not in ("apart", "overlap", "mosaic"):
        raise ValueError(f"layout is {layout!r}: it must be 'apart', 'overlap' or 'mosaic'")
    if not 1 <= objects <= 9 or (layout == "mosaic" and side**2 != objects):
        raise ValueError(f"objects is {objects}: it must be 1 to 9, and 1, 4 or 9 in a mosaic")
    if objects > len(classes):
        raise ValueError(
            f"{objects} objects of different classes are asked, the images have {len(classes)} classes: "
            "ask for fewer or load more classes"
        )
    cut = lru_cache(maxsize=1024)(lambda index: _cutout(images[index]))
    scenes = Scenes(
        np.empty((count, size, size, 3), np.uint8),
        np.empty((count, objects), int),
        np.zeros((count, objects, size, size), bool),
        np.empty((count, objects, 4), int),
        list(images.class_names),
    )
    for i in range(count):
        rng, areas = np.random.default_rng([seed, i]), np.empty(objects)
        canvas = Image.fromarray(GROUNDS[background](np.random.default_rng([seed, i, 1]), size))
        scenes.labels[i] = rng.permutation(classes)[:objects]
        for k, label in enumerate(scenes.labels[i]):
            cutout = cut(rng.choice(np.flatnonzero(images.labels == label)))
            if layout == "mosaic":
                sprite = _sprite(cutout, 0, 0.9 * size / side)
                middle = (np.array([k % side, k // side]) + 0.5) * size / side
                x, y = np.rint(middle - np.array(sprite.size) / 2).astype(int).tolist()
            else:
                sprite, x, y = _place(rng, cutout, objects, scenes.masks[i, :k], areas[:k], layout)
            canvas.paste(sprite, (x, y), sprite)
            window = scenes.masks[i, :, y : y + sprite.height, x : x + sprite.width]
            window[k] = shape = _shape(sprite)
            window[:k] &= ~shape
            areas[k] = shape.sum()
        scenes.images[i] = canvas
        scenes.boxes[i] = [_box(mask) for mask in scenes.masks[i]]
    return scenes


def _cutout(image):
    """The object of an image on white as RGBA, with a rim of 4 pixels; its edge is soft and of the object's colours."""
    mask = np.pad(foreground(image), 4)
    if not mask.any():
        raise ValueError(f"an image {image.shape} is all white: compose needs an object in each")
    image = np.pad(image, ((4, 4), (4, 4), (0, 0)), constant_values=255)
    inward = ndimage.minimum_filter(
        np.where(mask[..., None], image, 255), (5, 5, 1)
    )  # white mixes in at the edge
    colours = np.where(ndimage.binary_erosion(mask, iterations=2)[..., None], image, inward)
    alpha = np.rint(255 * ndimage.gaussian_filter(mask.astype(float), 0.7)).astype(np.uint8)
    x0, y0, x1, y1 = _box(mask)
    return Image.fromarray(np.dstack([colours, alpha])).crop((x0 - 4, y0 - 4, x1 + 4, y1 + 4))


def _sprite(cutout, angle, length):
    """A cutout turned by `angle` degrees, then scaled: `length` pixels are the longest side of the object's box."""
    turned = cutout.rotate(angle, Image.Resampling.BICUBIC, expand=True)
    x0, y0, x1, y1 = turned.getchannel("A").point(lambda a: 255 * (a > 127)).getbbox()
    factor = length / max(x1 - x0, y1 - y0)
    rim = np.array([x0 - 2, y0 - 2, x1 + 2, y1 + 2])
    width, height = np.rint((rim[2:] - rim[:2]) * factor).astype(int)
    sprite = turned.resize((width, height), Image.Resampling.BICUBIC, tuple(rim))
    steep = max(1, 1.2 * factor)  # enlarged edges are soft: a pixel and a half is enough
    sprite.putalpha(
        sprite.getchannel("A").point(lambda a: min(max(round(steep * (a - 127.5) + 127.5), 0), 255))
    )
    return sprite


def _place(rng, cutout, objects, masks, areas, layout):
    """A sprite turned and scaled at random, and the x, y of a place for it; smaller where 50 places would not do.

    masks (k, S, S): what is in sight of the objects before it; areas (k,): their pixels when nothing hid them.
    """
    size = masks.shape[-1]
    angle, length = rng.uniform(0, 360), size * rng.uniform(*SCALE) / objects**0.5
    boxes = np.array([_box(mask) for mask in masks]).reshape(-1, 4)
    while True:
        sprite = _sprite(cutout, angle, length)
        shape = _shape(sprite)
        for x, y in rng.integers(0, size + 1 - np.array(sprite.size), (50, 2)):
            right, bottom = x + sprite.width, y + sprite.height
            if layout == "apart":
                beside = (boxes[:, :2] >= (right, bottom)) | (boxes[:, 2:] <= (x, y))
                good = beside.any(axis=1)
            else:
                hidden = np.sum(masks[:, y:bottom, x:right] & shape, axis=(1, 2))
                good = masks.sum(axis=(1, 2)) - hidden >= VISIBLE * areas
            if good.all():
                return sprite, x, y
        length *= 0.9


def _shape(sprite):
    """The pixels (h, w) bool of which a sprite covers half at least."""
    return np.asarray(sprite.getchannel("A")) > 127


def _box(mask):
    """The box x0, y0, x1, y1 of a mask, end exclusive."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return columns[0], rows[0], columns[-1] + 1, rows[-1] + 1


def _white(rng, size):
    return np.full((size, size, 3), 255, np.uint8)


def _clutter(rng, size):
    """A picture (S, S, 3) uint8: a gradient, up to 40 shapes, noise and stripes, all of random sizes and colours."""
    ground = _enlarged(
        rng.integers(0, 256, (2, 2, 3)), 2 * size
    )  # halved in the end, for smooth outlines
    pen = ImageDraw.Draw(ground)
    for kind in rng.integers(0, 4, rng.integers(10, 41)):
        colour = tuple(rng.integers(0, 256, 3).tolist())
        (x, y, *end), radius = rng.uniform(0, 2 * size, 4), size * rng.uniform(0.02, 0.5)
        turn, flat = rng.uniform(0, 360), rng.uniform(0.4, 1)
        around = x - radius, y - flat * radius, x + radius, y + flat * radius
        if kind == 0:
            pen.ellipse(around, colour)
        elif kind == 1:
            pen.regular_polygon((x, y, radius), int(rng.integers(3, 8)), turn, colour)
        elif kind == 2:
            pen.arc(around, turn, turn + rng.uniform(30, 360), colour, int(radius / 4) + 1)
        else:
            pen.line((x, y, *end), colour, int(radius / 4) + 1)
    picture = np.asarray(ground.reduce(2), np.float32)
    for cells in (8, 64):
        noise = np.asarray(_enlarged(rng.integers(0, 256, (cells, cells, 3)), size), np.float32)
        picture += np.float32(rng.uniform(0, 0.3)) * (noise - 128)
    way, length = rng.uniform(0, 2 * np.pi), rng.uniform(4, 40)
    steps = np.arange(size, dtype=np.float32) * np.float32(2 * np.pi / length)
    stripes = np.sin(np.cos(way) * steps + np.sin(way) * steps[:, None])
    picture += stripes[..., None] * rng.uniform(-30, 30, 3).astype(np.float32)
    grey = picture.mean(axis=-1, keepdims=True)
    picture = grey + np.float32(rng.uniform(0.2, 1)) * (picture - grey)
    return np.clip(picture, 0, 255).astype(np.uint8)


def _enlarged(pixels, size):
    """A picture `size` pixels wide and high that interpolates `pixels` (h, w, 3)."""
    return Image.fromarray(pixels.astype(np.uint8)).resize((size, size), Image.Resampling.BILINEAR)


@cache
def _photographs():
    """The photographs, RGB."""
    pictures = (getattr(data, name)() for name in PHOTOS)
    return [
        Image.fromarray(picture[0] if isinstance(picture, tuple) else picture)
        for picture in pictures
    ]


def _photo(rng, size):
    """A square piece (S, S, 3) uint8 of a photograph, mirrored or not."""
    photo = _photographs()[rng.integers(len(PHOTOS))]
    side = rng.uniform(0.4, 1) * min(photo.size)
    x, y = rng.uniform(0, 1, 2) * (np.array(photo.size) - side)
    piece = np.asarray(
        photo.resize((size, size), Image.Resampling.BICUBIC, (x, y, x + side, y + side))
    )
    return piece[:, :: rng.choice((-1, 1))]


def _stretched(image, size):
    """An image uint8 stretched to `size` (h, w) as read_image does it."""
    return np.asarray(Image.fromarray(image).resize((size[1], size[0]), Image.Resampling.BILINEAR))


GROUNDS = {"white": _white, "clutter": _clutter, "photos": _photo}
