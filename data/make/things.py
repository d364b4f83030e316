"""Draw the images on which the embedded backbone is pretrained.

Each image holds one to four shaded objects (vases, dice, cones, mugs, gears, ...) with a procedural
texture in two colours, on white or on clutter. None is one of the twelve fruits. Random numbers are
drawn in a fixed order, which must not change: the same seed gives the same image.
"""

import os
from collections.abc import Sequence
from multiprocessing import Pool
from pathlib import Path

import numpy as np
from tqdm import tqdm

# Pixels along a side of an image and of a cell of the feature maps, cells, and objects at the most.
SIZE = 100
CELL = 8
CELLS = 13
OBJECTS = 4

# The classes of colours: dark and bright of each hue, and the greys.
HUES = 18
GREYS = (0.15, 0.5, 0.85)
COLOURS = 2 * HUES + len(GREYS)

# For each class of gloss the exponent and the strength of reflections (Phong's).
GLOSSES = ((1, 0), (14, 0.25), (60, 0.8))

Random = np.random.Generator
Map = np.ndarray


def rotation(rng: Random) -> np.ndarray:
    """Return a random rotation matrix (3, 3), from the QR decomposition of Gaussian numbers."""
    q, r = np.linalg.qr(rng.normal(size=(3, 3)))
    return q * np.sign(np.diag(r))


# --- Shapes ---------------------------------------------------------------------------------------
# Each takes x and y of the pixels in -1..1 and returns the height towards the viewer and the
# silhouette.


def inflate(t: Map, power: float = 2.0) -> Map:
    """Return the height of a cushion that is 1 at t = 0 and ends at t = 1."""
    return np.maximum(1 - np.maximum(t, 0) ** power, 0) ** 0.5


def convex(normals: np.ndarray, offsets: np.ndarray, x: Map, y: Map) -> tuple[Map, Map]:
    """Return the convex body n·p <= d, seen along z."""
    normals = np.where(np.abs(normals) < 1e-3, 1e-3, normals)
    along_x = x[..., None] * normals[:, 0]
    along_y = y[..., None] * normals[:, 1]
    planes = (offsets - along_x - along_y) / normals[:, 2]
    front = planes[..., normals[:, 2] > 0].min(-1)
    back = planes[..., normals[:, 2] < 0].max(-1)
    return front, front > back


def turned(width: Map, x: Map) -> tuple[Map, Map]:
    """Return a body of revolution about y, whose radius at every pixel is `width`."""
    return np.sqrt(np.maximum(width**2 - x**2, 0)), np.abs(x) < width


def ellipsoid(rng: Random, x: Map, y: Map) -> tuple[Map, Map]:
    """Return an ellipsoid."""
    t = np.hypot(x, y / rng.uniform(0.6, 1))
    return inflate(t), t < 1


def cushion(rng: Random, x: Map, y: Map) -> tuple[Map, Map]:
    """Return a cushion."""
    power = rng.uniform(3.5, 8)
    stretched = y / rng.uniform(0.6, 1)
    t = (np.abs(x) ** power + np.abs(stretched) ** power) ** (1 / power)
    return 0.7 * inflate(t, rng.uniform(3, 8)), t < 1


def box(rng: Random, x: Map, y: Map) -> tuple[Map, Map]:
    """Return a box."""
    half = 0.57 * np.array([1, rng.uniform(0.6, 1), rng.uniform(0.6, 1)])
    axes = rotation(rng)
    return convex(np.concatenate([axes, -axes]), np.concatenate([half, half]), x, y)


def gem(rng: Random, x: Map, y: Map) -> tuple[Map, Map]:
    """Return an octahedron."""
    corners = [[a, b, c] for a in (-1, 1) for b in (-1, 1) for c in (-1, 1)]
    normals = np.array(corners) / 3**0.5
    return convex(normals @ rotation(rng), np.full(8, 0.55), x, y)


def nut(rng: Random, x: Map, y: Map) -> tuple[Map, Map]:
    """Return a hexagonal nut."""
    angles = np.arange(6) * np.pi / 3
    sides = np.stack([np.cos(angles), np.sin(angles), 0 * angles], 1)
    ends = [[0, 0, 1], [0, 0, -1]]
    normals = np.concatenate([sides, ends]) @ rotation(rng)
    half_height = rng.uniform(0.25, 0.5)
    offsets = np.r_[np.full(6, 0.75), half_height, half_height]
    return convex(normals, offsets, x, y)


def cone(rng: Random, x: Map, y: Map) -> tuple[Map, Map]:
    """Return a cone."""
    radius = (y + 1) * rng.uniform(0.25, 0.42)
    return turned(np.where(np.abs(y) < 0.95, radius, 0), x)


def can(rng: Random, x: Map, y: Map) -> tuple[Map, Map]:
    """Return a can with two rims."""
    rim = np.abs(y) > 0.85
    radius = rng.uniform(0.4, 0.7) + np.where(rim, 0.04, 0.0)
    return turned(np.where(np.abs(y) < 0.95, radius, 0), x)


def vase(rng: Random, x: Map, y: Map) -> tuple[Map, Map]:
    """Return a vase."""
    amplitude = rng.uniform(0.1, 0.25)
    frequency = rng.uniform(2.5, 4.5)
    phase = rng.uniform(-0.5, 1.0)
    radius = rng.uniform(0.35, 0.5) + amplitude * np.sin(frequency * y + phase) - 0.1 * y
    return turned(np.where(np.abs(y) < 0.97, radius, 0), x)


def mushroom(rng: Random, x: Map, y: Map) -> tuple[Map, Map]:
    """Return a mushroom."""
    edge = rng.uniform(-0.1, 0.3)
    above = (y - edge) / (0.95 + edge)
    cap = rng.uniform(0.8, 1) * np.sqrt(np.maximum(1 - above**2, 0))
    stalk = np.where(y < 0.95, rng.uniform(0.2, 0.3), 0)
    return turned(np.where(y < edge, cap, stalk), x)


def ring(rng: Random, x: Map, y: Map) -> tuple[Map, Map]:
    """Return a tilted ring."""
    thick = rng.uniform(0.15, 0.3)
    tilt = rng.uniform(0.55, 1)
    t = np.hypot(x, y / tilt) - (1 - thick)
    return np.sqrt(np.maximum(thick**2 - t**2, 0)), np.abs(t) < thick


def gear(rng: Random, x: Map, y: Map) -> tuple[Map, Map]:
    """Return a gear with a hole."""
    radius = np.hypot(x, y)
    angle = np.arctan2(y, x)
    teeth = rng.integers(7, 13)
    t = radius / (0.85 + 0.13 * np.tanh(4 * np.sin(angle * teeth)))
    return 0.3 * inflate(t, 8), (t < 1) & (radius > rng.uniform(0.15, 0.3))


def button(rng: Random, x: Map, y: Map) -> tuple[Map, Map]:
    """Return a button with two to four holes."""
    radius = np.hypot(x, y)
    count = rng.integers(2, 5)
    start = rng.uniform(0, 6)
    from_holes = []
    for number in range(count):
        angle = start + number * 2 * np.pi / count
        from_holes.append(np.hypot(x - 0.3 * np.cos(angle), y - 0.3 * np.sin(angle)))
    rim = 0.1 * np.tanh(12 * (radius - 0.75))
    return 0.3 * inflate(radius, 6) + rim, (radius < 1) & (np.min(from_holes, 0) > 0.12)


def shell(rng: Random, x: Map, y: Map) -> tuple[Map, Map]:
    """Return a ribbed shell."""
    edge = 0.75 + 0.25 * np.cos(np.arctan2(y, x) + np.pi / 2)
    ribs = 0.06 * np.sin(rng.integers(9, 16) * 2 * np.arctan2(x, y + 1.3))
    t = np.hypot(x, y) / edge
    return inflate(t) * (0.6 + ribs), t < 1


def mug(rng: Random, x: Map, y: Map) -> tuple[Map, Map]:
    """Return a mug with a handle."""
    radius = np.where(np.abs(y) < 0.9, rng.uniform(0.5, 0.6), 0)
    cup, inside = turned(radius, x + 0.3)
    t = np.hypot(x - 0.35, y / 1.2) - 0.42
    handle = np.sqrt(np.maximum(0.12**2 - t**2, 0))
    on_handle = (np.abs(t) < 0.12) & (x > 0.2)
    return np.where(inside, cup, handle), inside | on_handle


def dumbbell(rng: Random, x: Map, y: Map) -> tuple[Map, Map]:
    """Return two balls on a bar."""
    right = rng.uniform(0.35, 0.5)
    left = rng.uniform(0.35, 0.5)
    right_ball = right**2 - (x - 0.5) ** 2 - y**2
    left_ball = left**2 - (x + 0.5) ** 2 - y**2
    bar = np.where(np.abs(x) < 0.5, 0.15**2 - y**2, -1)
    square = np.maximum(np.maximum(right_ball, left_ball), bar)
    return np.sqrt(np.maximum(square, 0)), square > 0


def blade(rng: Random, x: Map, y: Map) -> tuple[Map, Map]:
    """Return a veined leaf."""
    edge = rng.uniform(0.3, 0.5) * (1 - np.abs(x) ** 2)
    veins = 0.15 * np.abs(np.sin(8 * (x - np.abs(y))))
    return veins + 0.2 * np.abs(y), np.abs(y) < edge


def flower(rng: Random, x: Map, y: Map) -> tuple[Map, Map]:
    """Return a flower."""
    radius = np.hypot(x, y)
    petals = rng.integers(5, 9)
    t = radius / (0.75 + 0.25 * np.cos(np.arctan2(y, x) * petals))
    return np.where(radius < 0.3, 0.5 * inflate(radius / 0.4), 0.3 * inflate(t)), t < 1


def lollipop(rng: Random, x: Map, y: Map) -> tuple[Map, Map]:
    """Return a ball on a stick."""
    ball = 0.6**2 - x**2 - (y + 0.38) ** 2
    stick = np.where((y > 0) & (y < 1), 0.07**2 - x**2, -1)
    square = np.maximum(ball, stick)
    return np.sqrt(np.maximum(square, 0)), square > 0


def pebble(rng: Random, x: Map, y: Map) -> tuple[Map, Map]:
    """Return a pebble."""
    angle = np.arctan2(y, x)
    lumps = 0
    for frequency in range(2, 6):
        amplitude = rng.uniform(0, 0.25) / frequency
        lumps = lumps + amplitude * np.cos(frequency * angle + rng.uniform(0, 6))
    t = np.hypot(x, y) / (0.8 + lumps)
    return inflate(t, rng.uniform(1.5, 4)), t < 1


SHAPES = (
    ellipsoid,
    cushion,
    box,
    gem,
    nut,
    cone,
    can,
    vase,
    mushroom,
    ring,
    gear,
    button,
    shell,
    mug,
    dumbbell,
    blade,
    flower,
    lollipop,
    pebble,
)


# --- Textures -------------------------------------------------------------------------------------
# Each takes points (..., 3) and their coordinates `axes` (..., 3) in a system that is turned at
# random, and returns the share of the accent colour, mostly in 0..1, and the relief (a height).

FLAT = 0.0


def steep(values: Map, slope: float = 12) -> Map:
    """Return a steep step from 0 to 1 where the values cross 0."""
    return 0.5 + 0.5 * np.tanh(slope * values)


def plane_waves(points: np.ndarray, rng: Random, frequency: float, waves: int = 6) -> Map:
    """Return smooth noise of about unit range: random plane waves, each warping the next."""
    noise = 0
    for _ in range(waves):
        direction = frequency * rng.normal(size=3)
        phase = rng.uniform(0, 6)
        noise = np.sin(points @ direction + phase + 1.3 * noise) * 0.8
    return noise


def squared_distances(points: np.ndarray, rng: Random, count: int) -> np.ndarray:
    """Return squared distances (..., count) to random seeds: the cells of Worley's texture."""
    seeds = rng.uniform(-1, 1, (count, 3))
    seeds /= np.maximum(np.linalg.norm(seeds, axis=1, keepdims=True), 0.3)
    return (points**2).sum(-1)[..., None] - 2 * points @ seeds.T + (seeds**2).sum(-1)


def nearest_two(points: np.ndarray, rng: Random, count: int) -> tuple[Map, Map]:
    """Return the distances to the nearest and the second nearest of `count` random seeds."""
    squares = np.partition(squared_distances(points, rng, count), 1, axis=-1)[..., :2]
    distances = np.sqrt(np.maximum(squares, 0))
    return distances[..., 0], distances[..., 1]


def plain(rng: Random, points: np.ndarray, axes: np.ndarray) -> tuple[Map, Map | float]:
    """Return one colour."""
    return np.zeros(points.shape[:-1]), FLAT


def stripes(rng: Random, points: np.ndarray, axes: np.ndarray) -> tuple[Map, Map | float]:
    """Return wavy stripes."""
    straight = axes[..., 0] * rng.uniform(6, 18)
    return steep(np.sin(straight + 0.5 * plane_waves(points, rng, 1, 2)), 5), FLAT


def checks(rng: Random, points: np.ndarray, axes: np.ndarray) -> tuple[Map, Map | float]:
    """Return a chequered texture."""
    return steep(np.sin(axes * rng.uniform(5, 11)).prod(-1)), FLAT


def dots(rng: Random, points: np.ndarray, axes: np.ndarray) -> tuple[Map, Map | float]:
    """Return round dots."""
    nearest, _ = nearest_two(points, rng, rng.integers(25, 70))
    return steep(rng.uniform(0.12, 0.2) - nearest, 25), FLAT


def speckles(rng: Random, points: np.ndarray, axes: np.ndarray) -> tuple[Map, Map | float]:
    """Return fine speckles."""
    noise = plane_waves(points, rng, rng.uniform(14, 25), 4)
    return steep(noise - rng.uniform(0.3, 0.6), 5), FLAT


def clouds(rng: Random, points: np.ndarray, axes: np.ndarray) -> tuple[Map, Map | float]:
    """Return clouds."""
    return 0.5 + 0.6 * plane_waves(points, rng, rng.uniform(1.2, 3), 4), FLAT


def marble(rng: Random, points: np.ndarray, axes: np.ndarray) -> tuple[Map, Map | float]:
    """Return veins of marble."""
    straight = axes[..., 0] * rng.uniform(3, 6)
    warped = straight + 2.5 * plane_waves(points, rng, rng.uniform(1.5, 3), 4)
    return np.abs(np.sin(warped)) ** 3, FLAT


def scales(rng: Random, points: np.ndarray, axes: np.ndarray) -> tuple[Map, Map | float]:
    """Return scales with lines between them."""
    nearest, second = nearest_two(points, rng, rng.integers(50, 110))
    return steep(0.06 - (second - nearest), 20), -0.15 * nearest


def blend(rng: Random, points: np.ndarray, axes: np.ndarray) -> tuple[Map, Map | float]:
    """Return two colours that blend into one another."""
    middle = axes[..., 0] + rng.uniform(-0.4, 0.4)
    uneven = middle + 0.15 * plane_waves(points, rng, 3, 3)
    return steep(uneven, rng.uniform(1, 4)), FLAT


def rings(rng: Random, points: np.ndarray, axes: np.ndarray) -> tuple[Map, Map | float]:
    """Return concentric rings."""
    radius = np.hypot(axes[..., 0], axes[..., 1])
    return steep(np.sin(radius * rng.uniform(10, 24)), 4), FLAT


def bumps(rng: Random, points: np.ndarray, axes: np.ndarray) -> tuple[Map, Map | float]:
    """Return raised bumps."""
    nearest, _ = nearest_two(points, rng, rng.integers(40, 90))
    return 0.4 * steep(0.1 - nearest), 0.2 * np.maximum(0.16 - nearest, 0) / 0.16


def pits(rng: Random, points: np.ndarray, axes: np.ndarray) -> tuple[Map, Map | float]:
    """Return a pitted surface."""
    wave = np.abs(np.sin(axes * rng.uniform(14, 26)).prod(-1))
    return 0.35 * wave, -0.05 * wave


def patches(rng: Random, points: np.ndarray, axes: np.ndarray) -> tuple[Map, Map | float]:
    """Return patches of two colours."""
    nearest = squared_distances(points, rng, rng.integers(8, 30)).argmin(-1)
    return (nearest % 2).astype(float), FLAT


def spikes(rng: Random, points: np.ndarray, axes: np.ndarray) -> tuple[Map, Map | float]:
    """Return spikes."""
    nearest, _ = nearest_two(points, rng, rng.integers(60, 120))
    height = np.maximum(1 - nearest / 0.12, 0)
    return height, 0.25 * height


TEXTURES = (
    plain,
    stripes,
    checks,
    dots,
    speckles,
    clouds,
    marble,
    scales,
    blend,
    rings,
    bumps,
    pits,
    patches,
    spikes,
)

# What the network learns to tell of an object, and the number of classes of each.
HEADS = {
    "shape": len(SHAPES),
    "texture": len(TEXTURES),
    "base": COLOURS,
    "accent": COLOURS,
    "gloss": len(GLOSSES),
}


# --- Objects and backgrounds ----------------------------------------------------------------------


def draw_colour(rng: Random) -> tuple[np.ndarray, int]:
    """Return a random RGB colour (3,) in 0..1 and its class: hue and lightness, or a grey."""
    if rng.random() < 0.12:
        level = int(rng.integers(len(GREYS)))
        grey = GREYS[level] + rng.uniform(-0.12, 0.12) + rng.normal(0, 0.02, 3)
        return np.clip(grey, 0, 1), 2 * HUES + level
    hue = rng.uniform()
    bright = int(rng.integers(2))
    value = rng.uniform(0.68, 1) if bright else rng.uniform(0.3, 0.62)
    pure = np.clip(np.abs((hue * 6 + np.array([0, 4, 2])) % 6 - 3) - 1, 0, 1)
    saturation = rng.uniform(0.45, 1)
    return value * (1 - saturation * (1 - pure)), 2 * int(hue * HUES) + bright


def blur(values: Map, radius: int) -> Map:
    """Return an array (h, w) averaged over a box of (2 radius + 1)² pixels, twice."""
    width = 2 * radius + 1
    for _ in range(2):
        for axis in (0, 1):
            padding = [(0, 0), (0, 0)]
            padding[axis] = (radius + 1, radius)
            sums = np.cumsum(np.pad(values, padding, mode="edge"), axis)
            start = np.arange(values.shape[axis])
            values = (sums.take(start + width, axis) - sums.take(start, axis)) / width
    return values


def normalize(vectors: np.ndarray) -> np.ndarray:
    """Return vectors (..., 3) scaled to length 1."""
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def draw_object(rng: Random, pixels: int) -> tuple[np.ndarray, Map, dict[str, int]]:
    """Return an object in a square: RGB (n, n, 3), coverage (n, n), and its class for each head."""
    label = {
        "shape": int(rng.integers(len(SHAPES))),
        "texture": int(rng.integers(len(TEXTURES))),
        "gloss": int(rng.integers(len(GLOSSES))),
    }
    base, label["base"] = draw_colour(rng)
    accent, label["accent"] = draw_colour(rng)
    shape = SHAPES[label["shape"]]
    texture = TEXTURES[label["texture"]]
    if texture is plain:
        accent = base
        label["accent"] = label["base"]

    angle = rng.uniform(-np.pi, np.pi)
    axis = (np.arange(pixels) + 0.5) / pixels * 2.1 - 1.05
    grid_x, grid_y = np.meshgrid(axis, axis)
    x = grid_x * np.cos(angle) + grid_y * np.sin(angle)
    y = grid_y * np.cos(angle) - grid_x * np.sin(angle)
    z, inside = shape(rng, x, y)
    points = np.stack([x, y, z], -1) @ rotation(rng)
    share, relief = texture(rng, points, points @ rotation(rng))
    share = np.clip(share, 0, 1)[..., None]

    light, shine = light_surface(rng, z + relief, axis[1] - axis[0], label["gloss"])
    pigment = (1 - share) * base + share * accent
    tint = rng.uniform(0.93, 1.05, 3)
    rgb = pigment * light[..., None] * tint + shine[..., None]
    coverage = blur(inside.astype(float), 1) if pixels > 20 else inside.astype(float)
    return np.clip(rgb, 0, 1), coverage, label


def light_surface(rng: Random, height: Map, spacing: float, gloss: int) -> tuple[Map, Map]:
    """Return the light (n, n) on a surface of this height, and what it mirrors of the lamp."""
    slope_y, slope_x = np.gradient(height, spacing)
    normals = normalize(np.stack([-slope_x, -slope_y, np.ones_like(height)], -1))
    lamp = normalize(np.array([rng.uniform(-0.8, 0.8), rng.uniform(-0.9, 0.4), 1.0]))
    # Blinn's half vector, between the lamp and the viewer.
    half = normalize(lamp + [0, 0, 1])
    ambient = rng.uniform(0.3, 0.6)
    light = ambient + (1.08 - ambient) * np.maximum(normals @ lamp, 0)
    power, strength = GLOSSES[gloss]
    shine = strength * rng.uniform(0.7, 1.2) * np.maximum(normals @ half, 0) ** power
    return light, shine


def draw_background(rng: Random) -> np.ndarray:
    """Return a background (100, 100, 3).

    Half of them are white, the others pale or coloured with a gradient, or clutter.
    """
    kind = rng.random()
    if kind < 0.5:
        return np.ones((SIZE, SIZE, 3))
    axis = np.linspace(-1, 1, SIZE)
    x, y = np.meshgrid(axis, axis)
    slope = (x * rng.uniform(-1, 1) + y * rng.uniform(-1, 1))[..., None]
    if kind < 0.65:
        pale = rng.uniform(0.85, 1) + 0.06 * slope + rng.normal(0, 0.01, 3)
        return np.clip(pale, 0, 1)
    colour, _ = draw_colour(rng)
    if kind < 0.8:
        return np.clip(colour + 0.2 * slope, 0, 1)
    return draw_clutter(rng, x, y, colour, slope)


def draw_clutter(rng: Random, x: Map, y: Map, colour: np.ndarray, slope: Map) -> np.ndarray:
    """Return a textured background (100, 100, 3) with some rectangles on it."""
    texture = TEXTURES[rng.integers(1, len(TEXTURES))]
    points = np.stack([x, y, 0 * x], -1) * rng.uniform(0.8, 2.5) + rng.normal(size=3) * 0.3
    share, _ = texture(rng, points, points @ rotation(rng))
    share = np.clip(share, 0, 1)[..., None]
    accent, _ = draw_colour(rng)
    scene = (1 - share) * colour + share * accent + 0.15 * slope
    for _ in range(rng.integers(0, 6)):
        top, bottom = sorted(rng.integers(0, SIZE, 2))
        left, right = sorted(rng.integers(0, SIZE, 2))
        rectangle_colour, _ = draw_colour(rng)
        rectangle = np.s_[top:bottom, left:right]
        scene[rectangle] = 0.5 * scene[rectangle] + 0.5 * rectangle_colour
    return np.clip(scene, 0, 1)


# --- Images ---------------------------------------------------------------------------------------


def draw_image(seed: Sequence[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return one training image.

    Returns:
        The image, uint8 RGB (100, 100, 3); the coverage of its objects by cells of the feature
        maps, uint8 (4, 13, 13); and their classes, int8 (4, heads), -1 where there is no object.
    """
    rng = np.random.default_rng(seed)
    sizes = draw_sizes(rng)
    scene = draw_background(rng)
    owner = np.full((SIZE, SIZE), -1)
    labels = np.full((OBJECTS, len(HEADS)), -1, np.int8)
    for number, pixels in enumerate(sizes):
        rgb, coverage, label = draw_object(rng, pixels)
        top, left = find_position(rng, owner, coverage)
        if rng.random() < 0.6:
            scene = cast_shadow(rng, scene, coverage, top, left)
        square = np.s_[top : top + pixels, left : left + pixels]
        opacity = coverage[..., None]
        scene[square] = scene[square] * (1 - opacity) + rgb * opacity
        owner[square][coverage > 0.5] = number
        labels[number] = [label[head] for head in HEADS]
    scene = scene + rng.normal(0, rng.uniform(0, 0.02), scene.shape)
    cover = cover_cells(owner)
    # An object of which less than two cells are seen is none.
    labels[cover.sum((1, 2)) < 2] = -1
    image = (np.clip(scene, 0, 1) * 255 + 0.5).astype(np.uint8)
    return image, (cover * 255).astype(np.uint8), labels


def draw_sizes(rng: Random) -> list[int]:
    """Return the objects' sizes in pixels: one object, mostly large; or two to four small ones."""
    kind = rng.random()
    if kind < 0.45:
        return [int(rng.integers(76, 101))]
    if kind < 0.6:
        return [int(rng.integers(36, 76))]
    count = rng.integers(2, OBJECTS + 1)
    return [int(pixels) for pixels in rng.integers(32, 58, count)]


def find_position(rng: Random, owner: np.ndarray, coverage: Map) -> tuple[int, int]:
    """Return where (top, left) an object hides little of the others, or the last of eight tries."""
    pixels = len(coverage)
    for _ in range(8):
        top, left = rng.integers(0, SIZE - pixels + 1, 2)
        behind = owner[top : top + pixels, left : left + pixels]
        hidden = (behind >= 0) & (coverage > 0.5)
        if hidden.mean() < 0.1:
            break
    return int(top), int(left)


def cast_shadow(rng: Random, scene: np.ndarray, coverage: Map, top: int, left: int) -> np.ndarray:
    """Return the scene with the soft shadow of an object at (top, left), a little below it."""
    pixels = len(coverage)
    # A margin as wide as the object, so that a shadow may leave the image.
    shadow = np.zeros((SIZE + 2 * pixels, SIZE + 2 * pixels))
    down = pixels + top + int(pixels * rng.uniform(0.03, 0.12))
    right = pixels + left + rng.integers(-4, 5)
    shadow[down : down + pixels, right : right + pixels] = coverage
    shadow = blur(shadow[pixels:-pixels, pixels:-pixels], int(rng.integers(2, 6)))
    return scene * (1 - rng.uniform(0.2, 0.55) * shadow[..., None])


def cover_cells(owner: np.ndarray) -> np.ndarray:
    """Return the share (4, 13, 13) of each cell of the feature maps that each object covers."""
    side = CELL * CELLS
    cover = np.zeros((OBJECTS, side, side))
    cover[:, :SIZE, :SIZE] = owner == np.arange(OBJECTS)[:, None, None]
    return cover.reshape(OBJECTS, CELLS, CELL, CELLS, CELL).mean((2, 4))


def load_or_draw(count: int, seed: int, folder: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return images, coverage and classes of `count` images, drawn on all cores once and stored.

    Args:
        count: Number of images.
        seed: The set; sets of other seeds have no image in common.
        folder: Where the file is that holds them from then on.
    """
    file = folder / f"pretrain-{seed}-{count}.npz"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        seeds = [(seed, number) for number in range(count)]
        with Pool(_cores()) as pool:
            drawn = pool.imap(draw_image, seeds, chunksize=50)
            rows = list(tqdm(drawn, total=count, desc="drawing", unit="image"))
        images, cover, labels = (np.stack(column) for column in zip(*rows, strict=True))
        partial = file.with_suffix(".part.npz")
        np.savez(partial, images=images, cover=cover, labels=labels)
        partial.replace(file)
    with np.load(file) as data:
        return data["images"], data["cover"], data["labels"]


def _cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
