"""Draw the images on which the embedded backbone is pretrained.

Each image holds one to four shaded objects (vases, dice, cones, mugs, gears, ...) with a procedural
texture in two colours, on white or on clutter. None is one of the twelve fruits. Random numbers are
drawn in a fixed order, which must not change: the same seed gives the same image.
"""

import itertools
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
    numbers = rng.normal(size=(3, 3))
    q, r = np.linalg.qr(numbers)
    signs = np.sign(np.diag(r))
    return q * signs


# --- Shapes ---------------------------------------------------------------------------------------
# Each takes x and y of the pixels in -1..1 and returns the height towards the viewer and the
# silhouette.


def inflate(t: Map, power: float = 2.0) -> Map:
    """Return the height of a cushion that is 1 at t = 0 and ends at t = 1."""
    from_middle = np.maximum(t, 0)
    square = 1 - from_middle**power
    return positive_root(square)


def positive_root(square: Map) -> Map:
    """Return the square root of values, 0 where they are negative."""
    return np.maximum(square, 0) ** 0.5


def convex(normals: np.ndarray, offsets: np.ndarray, x: Map, y: Map) -> tuple[Map, Map]:
    """Return the convex body n·p <= d, seen along z."""
    is_tiny = np.abs(normals) < 1e-3
    normals = np.where(is_tiny, 1e-3, normals)
    normal_x, normal_y, normal_z = normals.T
    along_x = x[..., None] * normal_x
    along_y = y[..., None] * normal_y
    left_over = offsets - along_x - along_y
    planes = left_over / normal_z
    front_planes = planes[..., normal_z > 0]
    back_planes = planes[..., normal_z < 0]
    front = front_planes.min(-1)
    back = back_planes.max(-1)
    return front, front > back


def turned(width: Map, x: Map) -> tuple[Map, Map]:
    """Return a body of revolution about y, whose radius at every pixel is `width`."""
    square = width**2 - x**2
    inside = np.abs(x) < width
    return positive_root(square), inside


def ellipsoid(rng: Random, x: Map, y: Map) -> tuple[Map, Map]:
    """Return an ellipsoid."""
    stretched = y / rng.uniform(0.6, 1)
    t = np.hypot(x, stretched)
    return inflate(t), t < 1


def cushion(rng: Random, x: Map, y: Map) -> tuple[Map, Map]:
    """Return a cushion."""
    power = rng.uniform(3.5, 8)
    stretched = y / rng.uniform(0.6, 1)
    sum_of_powers = np.abs(x) ** power + np.abs(stretched) ** power
    t = sum_of_powers ** (1 / power)
    edge = rng.uniform(3, 8)
    return 0.7 * inflate(t, edge), t < 1


def box(rng: Random, x: Map, y: Map) -> tuple[Map, Map]:
    """Return a box."""
    height = rng.uniform(0.6, 1)
    depth = rng.uniform(0.6, 1)
    half = 0.57 * np.array([1, height, depth])
    axes = rotation(rng)
    normals = np.concatenate([axes, -axes])
    offsets = np.concatenate([half, half])
    return convex(normals, offsets, x, y)


def gem(rng: Random, x: Map, y: Map) -> tuple[Map, Map]:
    """Return an octahedron."""
    corners = list(itertools.product((-1, 1), repeat=3))
    normals = np.array(corners) / 3**0.5
    turned_normals = normals @ rotation(rng)
    offsets = np.full(8, 0.55)
    return convex(turned_normals, offsets, x, y)


def nut(rng: Random, x: Map, y: Map) -> tuple[Map, Map]:
    """Return a hexagonal nut."""
    angles = np.arange(6) * np.pi / 3
    sides = np.zeros((6, 3))
    sides[:, 0] = np.cos(angles)
    sides[:, 1] = np.sin(angles)
    ends = [[0, 0, 1], [0, 0, -1]]
    normals = np.concatenate([sides, ends])
    turned_normals = normals @ rotation(rng)
    offsets = np.full(8, 0.75)
    offsets[6:] = rng.uniform(0.25, 0.5)
    return convex(turned_normals, offsets, x, y)


def cone(rng: Random, x: Map, y: Map) -> tuple[Map, Map]:
    """Return a cone."""
    slope = rng.uniform(0.25, 0.42)
    radius = (y + 1) * slope
    return turned(cut_off(radius, y, 0.95), x)


def cut_off(radius: Map, y: Map, end: float) -> Map:
    """Return the radius up to a distance `end` from the middle, and 0 beyond it."""
    return np.where(np.abs(y) < end, radius, 0)


def can(rng: Random, x: Map, y: Map) -> tuple[Map, Map]:
    """Return a can with two rims."""
    on_rim = np.abs(y) > 0.85
    rim = np.where(on_rim, 0.04, 0.0)
    radius = rng.uniform(0.4, 0.7) + rim
    return turned(cut_off(radius, y, 0.95), x)


def vase(rng: Random, x: Map, y: Map) -> tuple[Map, Map]:
    """Return a vase."""
    amplitude = rng.uniform(0.1, 0.25)
    frequency = rng.uniform(2.5, 4.5)
    phase = rng.uniform(-0.5, 1.0)
    wave = amplitude * np.sin(frequency * y + phase)
    mean_radius = rng.uniform(0.35, 0.5)
    radius = mean_radius + wave - 0.1 * y
    return turned(cut_off(radius, y, 0.97), x)


def mushroom(rng: Random, x: Map, y: Map) -> tuple[Map, Map]:
    """Return a mushroom."""
    edge = rng.uniform(-0.1, 0.3)
    above = (y - edge) / (0.95 + edge)
    cap_radius = rng.uniform(0.8, 1)
    cap = cap_radius * positive_root(1 - above**2)
    stalk_radius = rng.uniform(0.2, 0.3)
    stalk = np.where(y < 0.95, stalk_radius, 0)
    width = np.where(y < edge, cap, stalk)
    return turned(width, x)


def ring(rng: Random, x: Map, y: Map) -> tuple[Map, Map]:
    """Return a tilted ring."""
    thick = rng.uniform(0.15, 0.3)
    tilt = rng.uniform(0.55, 1)
    from_middle = np.hypot(x, y / tilt)
    from_circle = from_middle - (1 - thick)
    return turned(thick, from_circle)


def gear(rng: Random, x: Map, y: Map) -> tuple[Map, Map]:
    """Return a gear with a hole."""
    radius = np.hypot(x, y)
    angle = np.arctan2(y, x)
    teeth = rng.integers(7, 13)
    wave = np.sin(angle * teeth)
    edge = 0.85 + 0.13 * np.tanh(4 * wave)
    t = radius / edge
    hole = rng.uniform(0.15, 0.3)
    inside = (t < 1) & (radius > hole)
    return 0.3 * inflate(t, 8), inside


def button(rng: Random, x: Map, y: Map) -> tuple[Map, Map]:
    """Return a button with two to four holes."""
    radius = np.hypot(x, y)
    count = rng.integers(2, 5)
    start = rng.uniform(0, 6)
    from_holes = []
    for number in range(count):
        angle = start + number * 2 * np.pi / count
        hole_x = 0.3 * np.cos(angle)
        hole_y = 0.3 * np.sin(angle)
        from_holes.append(np.hypot(x - hole_x, y - hole_y))
    from_nearest_hole = np.min(from_holes, 0)
    rim = 0.1 * np.tanh(12 * (radius - 0.75))
    height = 0.3 * inflate(radius, 6) + rim
    inside = (radius < 1) & (from_nearest_hole > 0.12)
    return height, inside


def shell(rng: Random, x: Map, y: Map) -> tuple[Map, Map]:
    """Return a ribbed shell."""
    angle = np.arctan2(y, x) + np.pi / 2
    edge = 0.75 + 0.25 * np.cos(angle)
    from_hinge = np.arctan2(x, y + 1.3)
    count = rng.integers(9, 16)
    ribs = 0.06 * np.sin(count * 2 * from_hinge)
    radius = np.hypot(x, y)
    t = radius / edge
    height = inflate(t) * (0.6 + ribs)
    return height, t < 1


def mug(rng: Random, x: Map, y: Map) -> tuple[Map, Map]:
    """Return a mug with a handle."""
    radius = rng.uniform(0.5, 0.6)
    width = cut_off(radius, y, 0.9)
    cup, in_cup = turned(width, x + 0.3)
    from_middle = np.hypot(x - 0.35, y / 1.2)
    from_circle = from_middle - 0.42
    handle, in_ring = turned(0.12, from_circle)
    in_handle = in_ring & (x > 0.2)
    height = np.where(in_cup, cup, handle)
    return height, in_cup | in_handle


def dumbbell(rng: Random, x: Map, y: Map) -> tuple[Map, Map]:
    """Return two balls on a bar."""
    right = rng.uniform(0.35, 0.5)
    left = rng.uniform(0.35, 0.5)
    right_x = x - 0.5
    left_x = x + 0.5
    right_ball = right**2 - right_x**2 - y**2
    left_ball = left**2 - left_x**2 - y**2
    rod = 0.15**2 - y**2
    bar = np.where(np.abs(x) < 0.5, rod, -1)
    balls = np.maximum(right_ball, left_ball)
    square = np.maximum(balls, bar)
    return positive_root(square), square > 0


def blade(rng: Random, x: Map, y: Map) -> tuple[Map, Map]:
    """Return a veined leaf."""
    half_width = rng.uniform(0.3, 0.5)
    edge = half_width * (1 - np.abs(x) ** 2)
    from_midrib = np.abs(y)
    wave = np.sin(8 * (x - from_midrib))
    veins = 0.15 * np.abs(wave)
    height = veins + 0.2 * from_midrib
    return height, from_midrib < edge


def flower(rng: Random, x: Map, y: Map) -> tuple[Map, Map]:
    """Return a flower."""
    radius = np.hypot(x, y)
    petals = rng.integers(5, 9)
    angle = np.arctan2(y, x)
    edge = 0.75 + 0.25 * np.cos(angle * petals)
    t = radius / edge
    middle = 0.5 * inflate(radius / 0.4)
    outside = 0.3 * inflate(t)
    height = np.where(radius < 0.3, middle, outside)
    return height, t < 1


def lollipop(rng: Random, x: Map, y: Map) -> tuple[Map, Map]:
    """Return a ball on a stick."""
    ball_y = y + 0.38
    ball = 0.6**2 - x**2 - ball_y**2
    below = (y > 0) & (y < 1)
    rod = 0.07**2 - x**2
    stick = np.where(below, rod, -1)
    square = np.maximum(ball, stick)
    return positive_root(square), square > 0


def pebble(rng: Random, x: Map, y: Map) -> tuple[Map, Map]:
    """Return a pebble."""
    angle = np.arctan2(y, x)
    lumps = 0
    for frequency in range(2, 6):
        amplitude = rng.uniform(0, 0.25) / frequency
        phase = rng.uniform(0, 6)
        wave = np.cos(frequency * angle + phase)
        lumps = lumps + amplitude * wave
    radius = np.hypot(x, y)
    t = radius / (0.8 + lumps)
    power = rng.uniform(1.5, 4)
    return inflate(t, power), t < 1


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
        along = points @ direction
        wave = np.sin(along + phase + 1.3 * noise)
        noise = wave * 0.8
    return noise


def squared_distances(points: np.ndarray, rng: Random, count: int) -> np.ndarray:
    """Return squared distances (..., count) to random seeds: the cells of Worley's texture."""
    seeds = rng.uniform(-1, 1, (count, 3))
    length = np.linalg.norm(seeds, axis=1, keepdims=True)
    seeds /= np.maximum(length, 0.3)
    squared_points = (points**2).sum(-1, keepdims=True)
    squared_seeds = (seeds**2).sum(-1)
    product = 2 * points @ seeds.T
    return squared_points - product + squared_seeds


def nearest_two(points: np.ndarray, rng: Random, count: int) -> tuple[Map, Map]:
    """Return the distances to the nearest and the second nearest of `count` random seeds."""
    squares = squared_distances(points, rng, count)
    ordered = np.partition(squares, 1, axis=-1)
    nearest = positive_root(ordered[..., 0])
    second = positive_root(ordered[..., 1])
    return nearest, second


def plain(rng: Random, points: np.ndarray, axes: np.ndarray) -> tuple[Map, Map | float]:
    """Return one colour."""
    return np.zeros(points.shape[:-1]), FLAT


def stripes(rng: Random, points: np.ndarray, axes: np.ndarray) -> tuple[Map, Map | float]:
    """Return wavy stripes."""
    straight = axes[..., 0] * rng.uniform(6, 18)
    bends = 0.5 * plane_waves(points, rng, 1, 2)
    wave = np.sin(straight + bends)
    return steep(wave, 5), FLAT


def checks(rng: Random, points: np.ndarray, axes: np.ndarray) -> tuple[Map, Map | float]:
    """Return a chequered texture."""
    frequency = rng.uniform(5, 11)
    waves = np.sin(axes * frequency)
    return steep(waves.prod(-1)), FLAT


def dots(rng: Random, points: np.ndarray, axes: np.ndarray) -> tuple[Map, Map | float]:
    """Return round dots."""
    count = rng.integers(25, 70)
    nearest, _ = nearest_two(points, rng, count)
    radius = rng.uniform(0.12, 0.2)
    return steep(radius - nearest, 25), FLAT


def speckles(rng: Random, points: np.ndarray, axes: np.ndarray) -> tuple[Map, Map | float]:
    """Return fine speckles."""
    frequency = rng.uniform(14, 25)
    noise = plane_waves(points, rng, frequency, 4)
    threshold = rng.uniform(0.3, 0.6)
    return steep(noise - threshold, 5), FLAT


def clouds(rng: Random, points: np.ndarray, axes: np.ndarray) -> tuple[Map, Map | float]:
    """Return clouds."""
    frequency = rng.uniform(1.2, 3)
    noise = plane_waves(points, rng, frequency, 4)
    return 0.5 + 0.6 * noise, FLAT


def marble(rng: Random, points: np.ndarray, axes: np.ndarray) -> tuple[Map, Map | float]:
    """Return veins of marble."""
    straight = axes[..., 0] * rng.uniform(3, 6)
    frequency = rng.uniform(1.5, 3)
    bends = 2.5 * plane_waves(points, rng, frequency, 4)
    wave = np.sin(straight + bends)
    return np.abs(wave) ** 3, FLAT


def scales(rng: Random, points: np.ndarray, axes: np.ndarray) -> tuple[Map, Map | float]:
    """Return scales with lines between them."""
    count = rng.integers(50, 110)
    nearest, second = nearest_two(points, rng, count)
    from_line = second - nearest
    share = steep(0.06 - from_line, 20)
    return share, -0.15 * nearest


def blend(rng: Random, points: np.ndarray, axes: np.ndarray) -> tuple[Map, Map | float]:
    """Return two colours that blend into one another."""
    middle = axes[..., 0] + rng.uniform(-0.4, 0.4)
    noise = plane_waves(points, rng, 3, 3)
    uneven = middle + 0.15 * noise
    slope = rng.uniform(1, 4)
    return steep(uneven, slope), FLAT


def rings(rng: Random, points: np.ndarray, axes: np.ndarray) -> tuple[Map, Map | float]:
    """Return concentric rings."""
    radius = np.hypot(axes[..., 0], axes[..., 1])
    frequency = rng.uniform(10, 24)
    wave = np.sin(radius * frequency)
    return steep(wave, 4), FLAT


def bumps(rng: Random, points: np.ndarray, axes: np.ndarray) -> tuple[Map, Map | float]:
    """Return raised bumps."""
    count = rng.integers(40, 90)
    nearest, _ = nearest_two(points, rng, count)
    share = 0.4 * steep(0.1 - nearest)
    within = np.maximum(0.16 - nearest, 0)
    relief = 0.2 * within / 0.16
    return share, relief


def pits(rng: Random, points: np.ndarray, axes: np.ndarray) -> tuple[Map, Map | float]:
    """Return a pitted surface."""
    frequency = rng.uniform(14, 26)
    waves = np.sin(axes * frequency)
    wave = np.abs(waves.prod(-1))
    return 0.35 * wave, -0.05 * wave


def patches(rng: Random, points: np.ndarray, axes: np.ndarray) -> tuple[Map, Map | float]:
    """Return patches of two colours."""
    count = rng.integers(8, 30)
    squares = squared_distances(points, rng, count)
    nearest = squares.argmin(-1)
    is_odd = nearest % 2
    return is_odd.astype(float), FLAT


def spikes(rng: Random, points: np.ndarray, axes: np.ndarray) -> tuple[Map, Map | float]:
    """Return spikes."""
    count = rng.integers(60, 120)
    nearest, _ = nearest_two(points, rng, count)
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
        lightness = GREYS[level] + rng.uniform(-0.12, 0.12)
        grey = lightness + rng.normal(0, 0.02, 3)
        return np.clip(grey, 0, 1), 2 * HUES + level
    hue = rng.uniform()
    bright = int(rng.integers(2))
    lowest, highest = (0.68, 1) if bright else (0.3, 0.62)
    value = rng.uniform(lowest, highest)
    saturation = rng.uniform(0.45, 1)
    colour = value * (1 - saturation * (1 - pure_colour(hue)))
    colour_class = 2 * int(hue * HUES) + bright
    return colour, colour_class


def pure_colour(hue: float) -> np.ndarray:
    """Return the RGB colour (3,) of a hue in 0..1, saturated and bright."""
    from_red = hue * 6 + np.array([0, 4, 2])
    from_opposite = np.abs(from_red % 6 - 3)
    return np.clip(from_opposite - 1, 0, 1)


def blur(values: Map, radius: int) -> Map:
    """Return an array (h, w) averaged over a box of (2 radius + 1)² pixels, twice."""
    width = 2 * radius + 1
    for _ in range(2):
        for axis in (0, 1):
            padding = [(0, 0), (0, 0)]
            padding[axis] = (radius + 1, radius)
            padded = np.pad(values, padding, mode="edge")
            sums = np.cumsum(padded, axis)
            start = np.arange(values.shape[axis])
            up_to_end = sums.take(start + width, axis)
            up_to_start = sums.take(start, axis)
            values = (up_to_end - up_to_start) / width
    return values


def normalize(vectors: np.ndarray) -> np.ndarray:
    """Return vectors (..., 3) scaled to length 1."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / lengths


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
    cosine = np.cos(angle)
    sine = np.sin(angle)
    middles = np.arange(pixels) + 0.5
    axis = middles / pixels * 2.1 - 1.05
    grid_x, grid_y = np.meshgrid(axis, axis)
    x = grid_x * cosine + grid_y * sine
    y = grid_y * cosine - grid_x * sine
    z, inside = shape(rng, x, y)
    surface = np.stack([x, y, z], -1)
    points = surface @ rotation(rng)
    texture_axes = points @ rotation(rng)
    share, relief = texture(rng, points, texture_axes)
    share = np.clip(share, 0, 1)[..., None]

    height = z + relief
    spacing = axis[1] - axis[0]
    light, shine = light_surface(rng, height, spacing, label["gloss"])
    pigment = (1 - share) * base + share * accent
    tint = rng.uniform(0.93, 1.05, 3)
    diffuse = pigment * light[..., None] * tint
    rgb = diffuse + shine[..., None]
    coverage = inside.astype(float)
    if pixels > 20:
        coverage = blur(coverage, 1)
    return np.clip(rgb, 0, 1), coverage, label


def light_surface(rng: Random, height: Map, spacing: float, gloss: int) -> tuple[Map, Map]:
    """Return the light (n, n) on a surface of this height, and what it mirrors of the lamp."""
    slope_y, slope_x = np.gradient(height, spacing)
    upwards = np.ones_like(height)
    normals = normalize(np.stack([-slope_x, -slope_y, upwards], -1))
    lamp_x = rng.uniform(-0.8, 0.8)
    lamp_y = rng.uniform(-0.9, 0.4)
    lamp = normalize(np.array([lamp_x, lamp_y, 1.0]))
    # Blinn's half vector, between the lamp and the viewer.
    half = normalize(lamp + [0, 0, 1])
    ambient = rng.uniform(0.3, 0.6)
    facing_lamp = np.maximum(normals @ lamp, 0)
    light = ambient + (1.08 - ambient) * facing_lamp
    power, strength = GLOSSES[gloss]
    strength = strength * rng.uniform(0.7, 1.2)
    facing_half = np.maximum(normals @ half, 0)
    shine = strength * facing_half**power
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
    slope_x = x * rng.uniform(-1, 1)
    slope_y = y * rng.uniform(-1, 1)
    slope = (slope_x + slope_y)[..., None]
    if kind < 0.65:
        lightness = rng.uniform(0.85, 1)
        tint = rng.normal(0, 0.01, 3)
        pale = lightness + 0.06 * slope + tint
        return np.clip(pale, 0, 1)
    colour, _ = draw_colour(rng)
    if kind < 0.8:
        gradient = colour + 0.2 * slope
        return np.clip(gradient, 0, 1)
    return draw_clutter(rng, x, y, colour, slope)


def draw_clutter(rng: Random, x: Map, y: Map, colour: np.ndarray, slope: Map) -> np.ndarray:
    """Return a textured background (100, 100, 3) with some rectangles on it."""
    texture = TEXTURES[rng.integers(1, len(TEXTURES))]
    plane = np.stack([x, y, np.zeros_like(x)], -1)
    scale = rng.uniform(0.8, 2.5)
    shift = 0.3 * rng.normal(size=3)
    points = plane * scale + shift
    texture_axes = points @ rotation(rng)
    share, _ = texture(rng, points, texture_axes)
    share = np.clip(share, 0, 1)[..., None]
    accent, _ = draw_colour(rng)
    pigment = (1 - share) * colour + share * accent
    scene = pigment + 0.15 * slope
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
        behind = scene[square] * (1 - opacity)
        scene[square] = behind + rgb * opacity
        owner[square][coverage > 0.5] = number
        labels[number] = [label[head] for head in HEADS]
    grain = rng.uniform(0, 0.02)
    scene = scene + rng.normal(0, grain, scene.shape)
    cover = cover_cells(owner)
    cells_seen = cover.sum((1, 2))
    # An object of which less than two cells are seen is none.
    labels[cells_seen < 2] = -1
    bright = np.clip(scene, 0, 1) * 255
    image = (bright + 0.5).astype(np.uint8)
    coverage_bytes = (cover * 255).astype(np.uint8)
    return image, coverage_bytes, labels


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
    side = SIZE + 2 * pixels
    canvas = np.zeros((side, side))
    below = int(pixels * rng.uniform(0.03, 0.12))
    aside = rng.integers(-4, 5)
    down = pixels + top + below
    right = pixels + left + aside
    canvas[down : down + pixels, right : right + pixels] = coverage
    sharp = canvas[pixels:-pixels, pixels:-pixels]
    radius = int(rng.integers(2, 6))
    shadow = blur(sharp, radius)
    strength = rng.uniform(0.2, 0.55)
    return scene * (1 - strength * shadow[..., None])


def cover_cells(owner: np.ndarray) -> np.ndarray:
    """Return the share (4, 13, 13) of each cell of the feature maps that each object covers."""
    side = CELL * CELLS
    cover = np.zeros((OBJECTS, side, side))
    numbers = np.arange(OBJECTS)[:, None, None]
    cover[:, :SIZE, :SIZE] = owner == numbers
    cells = cover.reshape(OBJECTS, CELLS, CELL, CELLS, CELL)
    return cells.mean((2, 4))


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
