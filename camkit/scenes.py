"""Scenes: images whose truth is known, composed of objects cut out of images on white.

`foreground` finds the object of an image on white. `compose` cuts such objects out, turns and
scales them, lays them on white, on clutter or on photographs, and records label, mask and box of
each.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Protocol

import numpy as np
from PIL import Image, ImageDraw
from PIL.Image import Resampling
from scipy import ndimage
from skimage import data, filters, segmentation

# Photographs that scikit-image ships, for backgrounds.
PHOTOS = (
    "astronaut",
    "chelsea",
    "coffee",
    "hubble_deep_field",
    "immunohistochemistry",
    "rocket",
    "stereo_motorcycle",
)

LAYOUTS = ("apart", "overlap", "mosaic")

# White background is above this value, of 255, in every channel.
_WHITE = 235

# No shadow on white is as colourful (highest minus lowest channel) or as dark (highest channel).
_COLOURFUL = 60
_DARK = 110

# The pixels around the object of a cutout, where its soft edge ends.
_RIM = 4

# An object covers a pixel whose opacity is above this value, of 255.
_OPAQUE = 127

# The longest side of a lone object's box, as a share of the image's side.
_SCALE = (0.35, 0.8)

# An object becomes smaller by _SHRINKAGE after each _TRIALS random positions that do not fit.
_TRIALS = 50
_SHRINKAGE = 0.9

# The share of an object's pixels that the others leave visible.
_VISIBLE = 1 / 3

# The longest side of an object's box in a mosaic, as a share of its cell.
_FILLED = 0.9

_Box = tuple[int, int, int, int]


class _ImagesOnWhite(Protocol):
    """What `compose` reads: uint8 images (H, W, 3) by index, their labels and the class names."""

    labels: np.ndarray
    class_names: list[str]

    def __getitem__(self, index: int) -> np.ndarray: ...


# The object in an image on white ------------------------------------------------------------------


def foreground(image: np.ndarray) -> np.ndarray:
    """Return the mask of the object in an image on white: with its stem, without its shadow.

    Two floods, from the white background at the border and from the strongest colours, rise over
    the gradient of the image and meet at the steepest edge between them. That is the outline, as
    the edge of a shadow is gentle and the noise of JPEG low (Beucher & Meyer, The morphological
    approach to segmentation: the watershed transformation, 1993). What the object encloses, such as
    a highlight or a hole, counts as object.

    Args:
        image: The image, uint8 of shape (H, W, 3).

    Returns:
        The mask, bool of shape (H, W).

    Raises:
        ValueError: No white pixel is at the border.

    Example:
        >>> import numpy as np
        >>> from camkit import scenes
        >>> image = np.full((20, 20, 3), 255, dtype="uint8")
        >>> image[5:15, 5:15] = [200, 40, 30]
        >>> int(scenes.foreground(image).sum())
        100
    """
    lightest = image.max(axis=-1).astype(float)
    darkest = image.min(axis=-1).astype(float)
    white = _connected_to_border(darkest > _WHITE)
    if not white.any():
        raise ValueError(
            f"no pixel at the border of this image {image.shape} is white (every channel above "
            f"{_WHITE} of 255): foreground takes images of one object on white"
        )
    colourfulness = (lightest - darkest) / _COLOURFUL
    darkness = (255 - lightest) / (255 - _DARK)
    strength = np.maximum(colourfulness, darkness)
    strong = strength >= min(1, 0.9 * strength.max())

    background_flood = 1
    object_flood = 2
    seeds = np.zeros(white.shape, dtype=int)
    seeds[strong] = object_flood
    seeds[white] = background_flood
    channels = np.moveaxis(image.astype(float), -1, 0)
    gradients = [filters.sobel(channel) for channel in channels]
    steepest = np.max(gradients, axis=0)
    floods = segmentation.watershed(steepest, seeds)
    return floods == object_flood


def _connected_to_border(mask: np.ndarray) -> np.ndarray:
    """Return the part of a mask (H, W) that is connected to the frame around it."""
    framed = np.pad(mask, 1, constant_values=True)
    parts, _ = ndimage.label(framed)
    frame = parts[0, 0]
    return parts[1:-1, 1:-1] == frame


def _cutout(image: np.ndarray) -> Image.Image:
    """Return the object of an image on white as RGBA, with a rim of 4 transparent pixels.

    Its edge is soft and has colours of the object, without white.
    """
    mask = foreground(image)
    if not mask.any():
        raise ValueError(f"an image {image.shape} is all white: compose needs an object in each")
    rim = (_RIM, _RIM)
    mask = np.pad(mask, rim)
    image = np.pad(image, (rim, rim, (0, 0)), constant_values=255)

    # White is mixed into the colours at the edge: the darkest in the neighbourhood replace them.
    on_white = np.where(mask[..., None], image, 255)
    darkest = ndimage.minimum_filter(on_white, (5, 5, 1))
    interior = ndimage.binary_erosion(mask, iterations=2)
    colours = np.where(interior[..., None], image, darkest)

    opacity = 255 * ndimage.gaussian_filter(mask.astype(float), 0.7)
    opacity = np.rint(opacity).astype(np.uint8)
    cutout = Image.fromarray(np.dstack([colours, opacity]))
    x0, y0, x1, y1 = _box(mask)
    box = (x0 - _RIM, y0 - _RIM, x1 + _RIM, y1 + _RIM)
    return cutout.crop(box)


def _box(mask: np.ndarray) -> _Box:
    """Return the box x0, y0, x1, y1 of a mask (H, W), end exclusive."""
    rows = np.flatnonzero(mask.any(axis=1))
    columns = np.flatnonzero(mask.any(axis=0))
    x0 = columns[0]
    y0 = rows[0]
    x1 = columns[-1] + 1
    y1 = rows[-1] + 1
    return x0, y0, x1, y1


# Composed images ----------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False, repr=False)
class Scenes:
    """N images of S×S pixels with n objects each, and the truth about them.

    Objects are in the order in which they were laid: a later one hides an earlier one. With n = 1
    it is an image set that `camkit.train_head` takes.

    Attributes:
        images: The images, uint8 of shape (N, S, S, 3).
        labels: The class of each object as an index of `class_names`, int of shape (N, n).
        masks: The visible pixels of each object, bool of shape (N, n, S, S).
        boxes: x0, y0, x1, y1 of each mask in pixels, end exclusive, int of shape (N, n, 4).
        class_names: The name of each class.

    Example:
        >>> import numpy as np
        >>> import camkit
        >>> images = camkit.load_images("mini", "Test", per_class=1)
        >>> scenes = camkit.scenes.compose(images, 2, size=96, objects=4)
        >>> mask, box = scenes.masks[0, 0], scenes.boxes[0, 0]
        >>> columns = np.flatnonzero(mask.any(axis=0))
        >>> bool(columns.min() == box[0]), bool(columns.max() + 1 == box[2])
        (True, True)
    """

    images: np.ndarray
    labels: np.ndarray
    masks: np.ndarray
    boxes: np.ndarray
    class_names: list[str]

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.images)

    def batches(self, batch_size: int, size: int | tuple[int, int]) -> Iterator[np.ndarray]:
        """Yield the images in order, in batches.

        Args:
            batch_size: The number of images in a batch; the last may have fewer.
            size: The size that images are stretched to, an int or (h, w).

        Yields:
            Batches of shape (B, h, w, 3), uint8.

        Example:
            >>> import camkit
            >>> images = camkit.load_images("mini", "Test", per_class=1)
            >>> scenes = camkit.scenes.compose(images, 3, size=96)
            >>> [batch.shape for batch in scenes.batches(2, 48)]
            [(2, 48, 48, 3), (1, 48, 48, 3)]
        """
        height, width = np.broadcast_to(size, 2).tolist()
        for start in range(0, len(self), batch_size):
            batch = self.images[start : start + batch_size]
            if batch.shape[1:3] != (height, width):
                batch = np.stack([_stretched(image, height, width) for image in batch])
            yield batch


def _stretched(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return a uint8 image stretched to a size, as `read_image` does it."""
    stretched = Image.fromarray(image)
    stretched = stretched.resize((width, height), Resampling.BILINEAR)
    return np.asarray(stretched)


def compose(
    images: _ImagesOnWhite,
    count: int,
    *,
    size: int = 224,
    objects: int = 1,
    background: str = "white",
    layout: str = "apart",
    seed: int = 0,
) -> Scenes:
    """Return images composed of objects of different classes, with their labels, masks and boxes.

    Image i depends on `images`, `size`, `objects`, `layout`, `background`, `seed` and i, not on
    `count`. With another background it shows the same objects at the same positions. Edges are
    antialiased and have no white from the background that they were cut from.

    Args:
        images: Images of one object on white with `labels` and `class_names`, such as `load_images`
            returns; image i is `images[i]`.
        count: The number of images to compose.
        size: The side of the composed images in pixels.
        objects: The number of objects in each, 1 to 9.
        background: "white"; "clutter", a gradient with stripes, shapes and noise; or "photos",
            pieces of photographs that scikit-image ships.
        layout: "apart", where boxes do not touch; "overlap", where at least a third of each object
            stays visible; or "mosaic", where n×n objects stand upright in the centres of n×n cells,
            which they fill to nine tenths. In the first two, positions and angles are random, and
            the longest side of a box is 0.35/√objects to 0.8/√objects of the side of the image;
            shorter where no position fits.
        seed: The seed of all random choices.

    Returns:
        The composed images and the truth about them.

    Raises:
        ValueError: The background or the layout is unknown, the number of objects is impossible
            here, an image has no object or no white at its border, or images have several labels.

    Example:
        >>> import camkit
        >>> images = camkit.load_images("mini", "Test", per_class=1)
        >>> scenes = camkit.scenes.compose(images, 2, size=96, objects=4, background="clutter")
        >>> scenes.images.shape, scenes.masks.shape, scenes.boxes.shape
        ((2, 96, 96, 3), (2, 4, 96, 96), (2, 4, 4))
    """
    if np.ndim(images.labels) != 1:
        raise ValueError("compose cuts out one object an image, and these have several labels each")
    classes = np.unique(images.labels)
    _check(objects, background, layout, len(classes))

    @lru_cache(maxsize=1024)
    def cutout_of(index: int) -> Image.Image:
        return _cutout(images[index])

    scenes = Scenes(
        images=np.empty((count, size, size, 3), np.uint8),
        labels=np.empty((count, objects), int),
        masks=np.zeros((count, objects, size, size), bool),
        boxes=np.empty((count, objects, 4), int),
        class_names=list(images.class_names),
    )
    draw_background = BACKGROUNDS[background]
    for i in range(count):
        rng = np.random.default_rng([seed, i])
        # The background draws its own numbers, so that the objects do not depend on it.
        background_rng = np.random.default_rng([seed, i, 1])
        canvas = Image.fromarray(draw_background(background_rng, size))
        masks = scenes.masks[i]
        areas = np.empty(objects)
        labels = rng.permutation(classes)[:objects]
        for k, label in enumerate(labels):
            of_class = np.flatnonzero(images.labels == label)
            cutout = cutout_of(rng.choice(of_class))
            if layout == "mosaic":
                sprite, x, y = _place_in_cell(cutout, k, objects, size)
            else:
                earlier = masks[:k]
                sprite, x, y = _place_at_random(rng, cutout, objects, earlier, areas[:k], layout)
            canvas.paste(sprite, (x, y), sprite)
            silhouette = _silhouette(sprite)
            window = _window(masks, silhouette, x, y)
            window[k] = silhouette
            window[:k] &= ~silhouette
            areas[k] = silhouette.sum()
        scenes.images[i] = canvas
        scenes.labels[i] = labels
        scenes.boxes[i] = [_box(mask) for mask in masks]
    return scenes


def _check(objects: int, background: str, layout: str, classes: int) -> None:
    """Raise ValueError where settings of `compose` are unknown or impossible with the classes."""
    if background not in BACKGROUNDS:
        names = ", ".join(map(repr, BACKGROUNDS))
        raise ValueError(f"background is {background!r}: it must be one of {names}")
    if layout not in LAYOUTS:
        names = ", ".join(map(repr, LAYOUTS))
        raise ValueError(f"layout is {layout!r}: it must be one of {names}")
    is_square = objects in (1, 4, 9)
    if not 1 <= objects <= 9 or (layout == "mosaic" and not is_square):
        raise ValueError(f"objects is {objects}: it must be 1 to 9, and 1, 4 or 9 in a mosaic")
    if objects > classes:
        raise ValueError(
            f"{objects} objects of different classes are requested, but the images have {classes} "
            "classes: request fewer objects or load more classes"
        )


def _sprite(cutout: Image.Image, angle: float, length: float) -> Image.Image:
    """Return a cutout turned by `angle` degrees and scaled.

    `length` is the longest side of the object's box in pixels.
    """
    turned = cutout.rotate(angle, Resampling.BICUBIC, expand=True)
    x0, y0, x1, y1 = _box(_silhouette(turned))
    width = x1 - x0
    height = y1 - y0
    factor = length / max(width, height)

    # A margin of two pixels on each side holds the soft edge.
    box = (x0 - 2, y0 - 2, x1 + 2, y1 + 2)
    width = round((width + 4) * factor)
    height = round((height + 4) * factor)
    sprite = turned.resize((width, height), Resampling.BICUBIC, box)

    # An enlarged edge is soft. A steeper opacity leaves a pixel and a half of it.
    steepness = max(1, 1.2 * factor)

    def steeper(opacity: int) -> int:
        centred = steepness * (opacity - 127.5)
        return min(max(round(centred + 127.5), 0), 255)

    opacity = sprite.getchannel("A")
    sprite.putalpha(opacity.point(steeper))
    return sprite


def _silhouette(sprite: Image.Image) -> np.ndarray:
    """Return the pixels (h, w) bool of which a sprite covers at least half."""
    return np.asarray(sprite.getchannel("A")) > _OPAQUE


def _place_in_cell(
    cutout: Image.Image, k: int, objects: int, size: int
) -> tuple[Image.Image, int, int]:
    """Return a sprite upright in the centre of cell k of a mosaic, and its position x, y."""
    side = round(objects**0.5)
    sprite = _sprite(cutout, 0, _FILLED * size / side)
    row, column = divmod(k, side)
    centre_x = (column + 0.5) * size / side
    centre_y = (row + 0.5) * size / side
    x = round(centre_x - sprite.width / 2)
    y = round(centre_y - sprite.height / 2)
    return sprite, x, y


def _place_at_random(
    rng: np.random.Generator,
    cutout: Image.Image,
    objects: int,
    masks: np.ndarray,
    areas: np.ndarray,
    layout: str,
) -> tuple[Image.Image, int, int]:
    """Return a sprite turned and scaled at random, and a position x, y where it fits.

    It becomes smaller where 50 positions do not fit. `masks` (k, S, S) are the visible pixels of
    the objects before it, `areas` (k,) the number of their pixels when nothing hid them.
    """
    size = masks.shape[-1]
    angle = rng.uniform(0, 360)
    scale = rng.uniform(*_SCALE)
    length = size * scale / objects**0.5
    boxes = np.empty((len(masks), 4), int)
    for k, mask in enumerate(masks):
        boxes[k] = _box(mask)
    while True:
        sprite = _sprite(cutout, angle, length)
        silhouette = _silhouette(sprite)
        end = size + 1 - np.array(sprite.size)
        positions = rng.integers(0, end, (_TRIALS, 2))
        for x, y in positions.tolist():
            if layout == "apart":
                box = (x, y, x + sprite.width, y + sprite.height)
                fits = _is_apart(boxes, box)
            else:
                fits = _leaves_visible(masks, areas, silhouette, x, y)
            if fits:
                return sprite, x, y
        length *= _SHRINKAGE


def _is_apart(boxes: np.ndarray, box: _Box) -> bool:
    """Return whether a box touches none of boxes (k, 4)."""
    x0, y0, x1, y1 = box
    after = boxes[:, :2] >= (x1, y1)
    before = boxes[:, 2:] <= (x0, y0)
    touches_none = (after | before).any(axis=1)
    return bool(touches_none.all())


def _leaves_visible(
    masks: np.ndarray, areas: np.ndarray, silhouette: np.ndarray, x: int, y: int
) -> bool:
    """Return whether a silhouette at x, y leaves a third of each earlier object visible.

    `masks` and `areas` are those of `_place_at_random`.
    """
    covered = _window(masks, silhouette, x, y) & silhouette
    hidden = covered.sum(axis=(1, 2))
    visible = masks.sum(axis=(1, 2)) - hidden
    enough = visible >= _VISIBLE * areas
    return bool(enough.all())


def _window(masks: np.ndarray, silhouette: np.ndarray, x: int, y: int) -> np.ndarray:
    """Return the view (k, h, w) of masks (k, S, S) under a silhouette (h, w) at x, y."""
    height, width = silhouette.shape
    rows = slice(y, y + height)
    columns = slice(x, x + width)
    return masks[:, rows, columns]


# Backgrounds --------------------------------------------------------------------------------------


def _white(rng: np.random.Generator, size: int) -> np.ndarray:
    """Return a white image (S, S, 3) uint8."""
    return np.full((size, size, 3), 255, np.uint8)


def _clutter(rng: np.random.Generator, size: int) -> np.ndarray:
    """Return a gradient, up to 40 shapes, noise and stripes of random sizes and colours.

    The image is (S, S, 3) uint8.
    """
    image = _shapes_on_gradient(rng, size)
    for cells in (8, 64):
        image += _noise(rng, size, cells)
    image += _stripes(rng, size)
    grey = image.mean(axis=-1, keepdims=True)
    saturation = np.float32(rng.uniform(0.2, 1))
    image = grey + saturation * (image - grey)
    return np.clip(image, 0, 255).astype(np.uint8)


def _shapes_on_gradient(rng: np.random.Generator, size: int) -> np.ndarray:
    """Return 10 to 40 shapes on a gradient between four colours, as (S, S, 3) float32."""
    corners = rng.integers(0, 256, (2, 2, 3))
    # Drawn at twice the size, so that outlines are smooth.
    canvas = _enlarged(corners, 2 * size)
    pen = ImageDraw.Draw(canvas)
    shapes = rng.integers(10, 41)
    for kind in rng.integers(0, 4, shapes):
        _draw_shape(rng, pen, kind, size)
    return np.asarray(canvas.reduce(2), np.float32)


def _draw_shape(rng: np.random.Generator, pen: ImageDraw.ImageDraw, kind: int, size: int) -> None:
    """Draw an ellipse (kind 0), a polygon (1), an arc (2) or a line (3) on 2S×2S pixels."""
    colour = tuple(rng.integers(0, 256, 3).tolist())
    x, y, end_x, end_y = rng.uniform(0, 2 * size, 4)
    radius = size * rng.uniform(0.02, 0.5)
    angle = rng.uniform(0, 360)
    flatness = rng.uniform(0.4, 1)
    half_height = flatness * radius
    box = (x - radius, y - half_height, x + radius, y + half_height)
    line_width = int(radius / 4) + 1
    if kind == 0:
        pen.ellipse(box, colour)
    elif kind == 1:
        sides = int(rng.integers(3, 8))
        pen.regular_polygon((x, y, radius), sides, angle, colour)
    elif kind == 2:
        end = angle + rng.uniform(30, 360)
        pen.arc(box, angle, end, colour, line_width)
    else:
        pen.line((x, y, end_x, end_y), colour, line_width)


def _noise(rng: np.random.Generator, size: int, cells: int) -> np.ndarray:
    """Return noise of cells×cells colours, of random strength around 0, as (S, S, 3) float32."""
    pixels = rng.integers(0, 256, (cells, cells, 3))
    noise = np.asarray(_enlarged(pixels, size), np.float32)
    strength = np.float32(rng.uniform(0, 0.3))
    return strength * (noise - 128)


def _stripes(rng: np.random.Generator, size: int) -> np.ndarray:
    """Return a wave of random direction, length and colour around 0, as (S, S, 3)."""
    direction = rng.uniform(0, 2 * np.pi)
    wavelength = rng.uniform(4, 40)
    wavenumber = np.float32(2 * np.pi / wavelength)
    phase = wavenumber * np.arange(size, dtype=np.float32)
    across = np.cos(direction) * phase
    down = np.sin(direction) * phase
    wave = np.sin(across + down[:, None])
    colour = rng.uniform(-30, 30, 3).astype(np.float32)
    return wave[..., None] * colour


def _enlarged(pixels: np.ndarray, size: int) -> Image.Image:
    """Return an image of size×size pixels that interpolates `pixels` (h, w, 3)."""
    image = Image.fromarray(pixels.astype(np.uint8))
    return image.resize((size, size), Resampling.BILINEAR)


def _photo(rng: np.random.Generator, size: int) -> np.ndarray:
    """Return a square piece of a photograph, mirrored or not, as (S, S, 3) uint8."""
    photo = _photographs()[rng.integers(len(PHOTOS))]
    share = rng.uniform(0.4, 1)
    side = share * min(photo.size)
    room = np.array(photo.size) - side
    x, y = room * rng.uniform(0, 1, 2)
    box = (x, y, x + side, y + side)
    piece = photo.resize((size, size), Resampling.BICUBIC, box)
    direction = rng.choice((-1, 1))
    return np.asarray(piece)[:, ::direction]


@cache
def _photographs() -> list[Image.Image]:
    """Return the photographs named in PHOTOS, RGB."""
    photographs = []
    for name in PHOTOS:
        pixels = getattr(data, name)()
        if isinstance(pixels, tuple):
            # A stereo pair and its disparities: the left image.
            pixels = pixels[0]
        photographs.append(Image.fromarray(pixels))
    return photographs


# The functions that `compose` calls with a random generator and the side of the image in pixels.
BACKGROUNDS: dict[str, Callable[[np.random.Generator, int], np.ndarray]] = {
    "white": _white,
    "clutter": _clutter,
    "photos": _photo,
}
