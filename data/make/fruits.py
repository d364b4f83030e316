"""The twelve kinds of fruit: recipes that turn an individual's numbers and traits into parts.

y points to the stem, and the body has a radius of about 1. Outlines are radii and heights from the
top to the bottom. Each recipe draws its random numbers in a fixed order, which must not change: the
same seed gives the same fruit.
"""

from collections.abc import Callable

import numpy as np
from scipy.interpolate import CubicSpline
from studio import (
    Part,
    body,
    mix,
    noise,
    rgb,
    sepals,
    sphere_points,
    spots,
    step,
    tube,
    unit,
)

Random = np.random.Generator

# --- What recipes have in common ------------------------------------------------------------------


def meridians(points: np.ndarray, scale: float, stretch: float) -> np.ndarray:
    """Return points whose noise runs in streaks along the meridians."""
    from_axis = np.hypot(points[0], points[2]) + 1e-6
    x = points[0] / from_axis * scale
    z = points[2] / from_axis * scale
    return np.stack([x, points[1] * stretch, z])


def axis_spot(points: np.ndarray, radius: float, blur: float = 0.6) -> np.ndarray:
    """Return 1 near the y axis, 0 farther than `radius` from it: for the two ends of a fruit."""
    return step(radius, radius * blur, np.hypot(points[0], points[2]))


def noise_offset(rng: Random) -> np.ndarray:
    """Return where in the noise an individual lies, (3, 1), so that no two look alike."""
    return rng.uniform(-9, 9, (3, 1))


def lumpy(
    rng: Random, amount: float, lobes: int = 0, depth: float = 0.0, where: Callable | None = None
) -> Callable:
    """Return a warp for `body`: slow bumps, and ribs of some depth where `where(theta)` is 1."""
    waves = rng.normal(0, 2.2, (3, 3))
    phases = rng.uniform(0, 6.28, 4)

    def warp(direction, theta, phi):
        slow = 0
        for wave, phase in zip(waves, phases[:3], strict=True):
            along = wave[0] * direction[0] + wave[1] * direction[1] + wave[2] * direction[2]
            slow = slow + np.sin(along + phase)
        ribs = depth * np.cos(lobes * phi + phases[3]) * where(theta) if lobes else 0
        return 1 + amount / 2 * slow + ribs

    return warp


def stem(
    top: float,
    length: float,
    thick: float,
    colour: str,
    rng: Random,
    bend: float = 0.25,
    end: float = 1.3,
) -> Part:
    """Return a woody stem that rises from height `top`; `end` is how much thicker its end is."""
    direction = rng.uniform(0, 6.28)
    bark = rgb(colour)
    path = []
    for t in (0, 0.35, 0.7, 1):
        x = bend * length * t * t * np.cos(direction)
        z = bend * length * t * t * np.sin(direction)
        path.append((x, top + length * t, z))

    def paint(points):
        grain = 1 + 0.35 * noise(points * np.array([[14], [3], [14]]))
        height = (points[1] - top) / length
        return bark * grain * mix(1.25, 0.75, step(0, 1, height))

    middle = np.mean([path[0], path[-1]], 0)
    return Part(
        tube(path, [thick, thick * 0.85, thick, thick * end]),
        paint,
        gloss=0.3,
        rough=0.4,
        ball=(*middle, 0.62 * length + 2 * thick),
        name="stem",
    )


def leaves(
    count: int,
    height: Callable,
    length: float,
    width: float,
    colour: str,
    rng: Random,
    inner: float = 0.0,
    thick: float = 0.022,
    gloss: float = 0.3,
    rough: float = 0.4,
    name: str = "leaf",
) -> Part:
    """Return leaves or sepals round the stem, at height(u) where they are u away from the axis."""
    green = rgb(colour)
    offset = noise_offset(rng)

    def paint(points):
        return green * (1 + 0.35 * noise(points + offset, 5, 2))

    return Part(
        sepals(count, height, length, width, rng, inner, thick),
        paint,
        gloss=gloss,
        rough=rough,
        ball=(0, height(0), 0, 1.35 * length),
        name=name,
    )


# --- The recipes ----------------------------------------------------------------------------------

APPLE = np.array(
    [
        (0, 0.09, 0.2, 0.36, 0.55, 0.82, 0.99, 0.98, 0.82, 0.58, 0.36, 0.2, 0.1, 0),
        (0.5, 0.56, 0.74, 0.87, 0.86, 0.64, 0.2, -0.2, -0.6, -0.84, -0.92, -0.88, -0.8, -0.77),
    ]
)


def apple(
    rng: Random,
    skin: str,
    blush: str,
    cavity: float = 0.5,
    stalk: float = 0.55,
    streaks: float = 0.6,
    cover: float = 0.4,
    dots: str = "e9d9a0",
) -> list[Part]:
    """Return an apple.

    Args:
        rng: The individual's numbers.
        skin: Its colour.
        blush: The colour of the side that saw the sun.
        cavity: Height of the stem's base.
        stalk: Length of the stem, 0 for none.
        streaks: Contrast of the blush.
        cover: How far the blush goes round.
        dots: Colour of the lenticels.
    """
    width = rng.uniform(0.97, 1.05)
    height = rng.uniform(0.9, 1.0)
    outline = APPLE.copy()
    outline[1, 0] = cavity
    outline[1, 1] = cavity + 0.06
    pale = rgb(skin)
    red = rgb(blush)
    speck = rgb(dots)
    russet = mix(rgb(skin), rgb("8a6a3a"), 0.55)
    offset = noise_offset(rng)
    sunny_side = rng.uniform(0, 6.28)
    lenticel = spots(sphere_points(520, rng, 1.4))
    sizes = rng.uniform(0.006, 0.026, 520)

    def paint(p):
        broad = noise(meridians(p, 6, 1.4) + offset, 1, 2)
        fine = noise(meridians(p, 20, 1.4) + offset, 1, 2)
        streak = 0.5 * broad + 0.6 * fine
        sun = 0.5 + 0.5 * np.cos(np.arctan2(p[2], p[0]) - sunny_side)
        blushing = cover + 0.45 * sun + streaks * streak + 0.3 * noise(p + offset, 1.5)
        colour = mix(pale, red * (1 + 0.3 * streak), step(0.1, 0.85, blushing))
        from_stem = np.hypot(p[0], p[2]) + 0.08 * (1 + noise(p + offset, 6))
        hollow = step(0.3, 0.08, from_stem) * (p[1] > 0)
        colour = mix(colour, russet, 0.8 * hollow)
        distance, which = lenticel(unit(p))
        colour = mix(colour, speck, 0.5 * step(1, 0.4, distance / sizes[which]))
        return mix(colour, rgb("3a2c1c"), axis_spot(p, 0.13, 0.45) * (p[1] < 0))

    def bump(p):
        return 0.004 * noise(p, 9)

    five_lobes = lumpy(rng, 0.035, 5, 0.02, lambda theta: step(1.6, 2.9, theta))
    shape = body(outline * [[width], [height]], five_lobes)
    parts = [Part(shape, paint, bump, gloss=0.75, rough=0.10)]
    if stalk:
        parts.append(stem(cavity * height - 0.05, stalk, 0.05, "6b4a2a", rng))
    return parts


TOMATO = np.array(
    [
        (0, 0.12, 0.3, 0.55, 0.85, 1, 0.97, 0.8, 0.5, 0.2, 0),
        (0.72, 0.76, 0.88, 0.85, 0.6, 0.15, -0.25, -0.62, -0.86, -0.95, -0.95),
    ]
)


def tomato(rng: Random, skin: str = "c81d11", calyx: bool = True, ribs: float = 0.02) -> list[Part]:
    """Return a tomato with ribs of some depth, with or without sepals and stem."""
    width = rng.uniform(0.98, 1.06)
    height = rng.uniform(0.84, 0.93)
    red = rgb(skin)
    offset = noise_offset(rng)
    top = 0.79 * height

    def paint(p):
        colour = red * (1 + 0.10 * noise(p + offset, 2, 2))
        shoulder = step(0.55, 0.95, p[1] / height + 0.12 * noise(p + offset, 3))
        return mix(colour, rgb("d9772b"), 0.55 * shoulder)

    def curl(u):
        return top + 0.35 * u - 0.42 * u * u + 0.12 * u**4

    ribbed = lumpy(rng, 0.02, 5, ribs, lambda theta: step(1.3, 0.5, theta))
    parts = [Part(body(TOMATO * [[width], [height]], ribbed), paint, gloss=1.1, rough=0.04)]
    if calyx:
        parts.append(leaves(rng.integers(5, 7), curl, 0.75, 0.16, "4a7a22", rng, inner=0.1))
        parts.append(stem(top - 0.05, 0.32, 0.06, "5d7a2c", rng, bend=0.6))
    return parts


ORANGE = np.array(
    [
        (0, 0.12, 0.3, 0.6, 0.88, 1, 0.88, 0.6, 0.3, 0),
        (0.93, 0.94, 0.93, 0.79, 0.46, 0, -0.48, -0.8, -0.95, -0.97),
    ]
)
MANDARIN = np.array(
    [
        (0, 0.1, 0.22, 0.5, 0.82, 1, 0.93, 0.66, 0.35, 0.15, 0),
        (0.74, 0.77, 0.76, 0.68, 0.44, 0.05, -0.33, -0.62, -0.72, -0.68, -0.64),
    ]
)
LEMON = np.array(
    [
        (0, 0.1, 0.2, 0.42, 0.68, 0.81, 0.79, 0.66, 0.42, 0.25, 0.17, 0.08, 0),
        (1.1, 1.09, 1, 0.84, 0.55, 0.12, -0.2, -0.58, -0.86, -1, -1.14, -1.24, -1.26),
    ]
)
LIME = np.array(
    [
        (0, 0.1, 0.25, 0.5, 0.76, 0.87, 0.83, 0.68, 0.42, 0.2, 0.1, 0),
        (0.95, 0.95, 0.92, 0.8, 0.5, 0.08, -0.25, -0.58, -0.84, -0.95, -1.04, -1.06),
    ]
)


def citrus(
    rng: Random,
    outline: np.ndarray,
    skin: str,
    stain: str,
    pores: int = 2400,
    depth: float = 0.009,
    lumps: float = 0.015,
    ribs: float = 0,
    gloss: float = 0.6,
    button: float = 0.13,
    leaf: float = 0,
) -> list[Part]:
    """Return an orange, mandarin, lemon or lime.

    Args:
        rng: The individual's numbers.
        outline: Its shape.
        skin: Its colour.
        stain: The colour of patches and of the ends.
        pores: Number of dimples in the peel.
        depth: Depth of a dimple.
        lumps: How uneven its shape is.
        ribs: Depth of nine ribs below the stem.
        gloss: How strongly it reflects.
        button: Size of what is left of the stem, 0 for none.
        leaf: Length of a leaf, 0 for none.
    """
    outline = outline * rng.uniform(0.97, 1.03, (2, 1))
    peel = rgb(skin)
    stained = rgb(stain)
    offset = noise_offset(rng)
    pore = spots(sphere_points(pores, rng, 0.9))
    top = outline[1, 0]
    foot = outline[1, -1]

    def dimple(p):
        distance, _ = pore(unit(p))
        return -depth * np.exp(-pores * (distance / 1.5) ** 2)

    def paint(p):
        colour = mix(peel, stained, 0.7 * step(-0.1, 0.9, noise(p + offset, 1.3, 2)))
        ends = 0.6 * step(0.75, 1, p[1] / top) + 0.5 * step(0.9, 1, p[1] / foot)
        colour = mix(colour, stained, ends)
        navel = axis_spot(p, 0.07, 0.4) * (p[1] < 0)
        return colour * (1 + 0.12 * dimple(p) / depth) * mix(1, 0.5, navel)

    def flat(u):
        return top + 0.01 + 0 * u

    def rising(u):
        return top + 0.06 + 0.35 * u - 0.3 * u * u

    necked = lumpy(rng, lumps, 9, ribs, lambda theta: step(1.3, 0.3, theta))
    parts = [Part(body(outline, necked), paint, dimple, gloss, rough=0.12)]
    if button:
        colour = "6f7a35"
        parts.append(leaves(5, flat, button, button * 0.7, colour, rng, inner=0.5, name="stem"))
        parts.append(stem(top - 0.04, 0.07, button * 0.4, "8a7a48", rng))
    if leaf:
        parts.append(
            leaves(1, rising, leaf, 0.33, "2f6420", rng, thick=0.015, gloss=0.5, rough=0.2)
        )
    return parts


class Arc:
    """The course of a banana: an arc in the x-y plane, with its stem on the right."""

    # Places along the arc, and half the thickness there.
    KNOTS = (-1, -0.96, -0.88, -0.65, -0.2, 0.3, 0.62, 0.76, 0.86, 0.96, 1.02)
    RADII = (0.07, 0.1, 0.18, 0.31, 0.37, 0.36, 0.28, 0.165, 0.115, 0.1, 0.095)

    def __init__(self, bent: float, fatness: float):
        """Make the arc of a banana that is so strongly bent; `fatness` scales its thickness."""
        self.radius = 1.9 / bent
        self.reach = 1.55 / 1.9 * bent
        self.fine = np.linspace(-1, 1, 2000)
        self.thickness = CubicSpline(self.KNOTS, self.RADII)(self.fine) * fatness
        self.tip_x = self.radius * np.sin(self.reach)
        self.tip_y = self.radius - 0.35 - self.radius * np.cos(self.reach)

    def locate(self, p: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return where points lie: along the arc in -1..1, distance from it, angle round it."""
        x = p[0]
        y = self.radius - 0.35 - p[1]
        outward = np.hypot(x, y) - self.radius
        along = np.arctan2(x, y) / self.reach
        return along, np.hypot(outward, p[2]), np.arctan2(p[2], outward)

    def thickness_at(self, along: np.ndarray) -> np.ndarray:
        """Return half the thickness at places along the arc."""
        return np.interp(along, self.fine, self.thickness)

    def surface_points(self, along: np.ndarray, angle: np.ndarray) -> np.ndarray:
        """Return the points (3, N) on the skin at these places and angles."""
        thickness = self.thickness_at(along)
        arm = self.radius + thickness * np.cos(angle)
        x = arm * np.sin(along * self.reach)
        y = self.radius - 0.35 - arm * np.cos(along * self.reach)
        return np.stack([x, y, thickness * np.sin(angle)])


def banana(
    rng: Random, skin: str = "efc21f", ends: str = "9aa82c", bent: float = 1.0, specks: int = 70
) -> list[Part]:
    """Return a banana: a bent tube with five ridges.

    Args:
        rng: The individual's numbers.
        skin: Its colour.
        ends: The colour of its unripe ends.
        bent: How strongly it is bent.
        specks: Number of brown specks.
    """
    phase = rng.uniform(0, 6.28)
    arc = Arc(bent, rng.uniform(0.92, 1.06))

    def distance(p):
        along, from_arc, angle = arc.locate(p)
        ridges = 1 - 0.07 * np.cos(5 * angle + phase) * step(1, 0.8, np.abs(along))
        side = from_arc - arc.thickness_at(along) * ridges
        end_radius = np.where(along < 0, arc.thickness[0], arc.thickness[-1])
        in_plane = np.hypot(np.abs(p[0]) - arc.tip_x, p[1] - arc.tip_y)
        end = np.hypot(in_plane, p[2]) - end_radius
        return np.where(np.abs(along) < 1, 0.7 * side, end)

    yellow = rgb(skin)
    green = rgb(ends)
    brown = rgb("4a2f16")
    offset = noise_offset(rng)
    lowest = [[-0.75], [0], [0.01]]
    highest = [[0.6], [6.28], [0.035]]
    speck_along, speck_angle, speck_sizes = rng.uniform(lowest, highest, (3, specks))
    speck = spots(arc.surface_points(speck_along, speck_angle))

    def paint(p):
        along, _, angle = arc.locate(p)
        stem_end = step(0.5, 0.95, along + 0.1 * noise(p + offset, 3))
        unripe = 0.8 * stem_end + 0.5 * step(-0.7, -0.95, along)
        fibres = noise(p * np.array([[3], [12], [12]]) + offset, 1, 2)
        colour = mix(yellow, green, unripe) * (1 + 0.10 * fibres)
        on_ridge = np.exp(-100 * np.cos(2.5 * angle + phase / 2) ** 2)
        ridge = on_ridge * step(-0.4, 0.6, noise(p + offset, 2.5, 2))
        bruise = step(0.3, 0.75, noise(p + offset, 5, 3)) * step(-0.2, 0.5, noise(p, 1.5))
        colour = mix(colour, brown, 0.45 * ridge + 0.5 * bruise)
        far, which = speck(p)
        colour = mix(colour, brown, 0.75 * step(1.3, 0.6, far / speck_sizes[which]))
        tip = step(-0.95, -0.985, along + 0.02 * noise(p, 9)) + 0.7 * step(0.975, 1, along)
        return mix(colour, rgb("2b2018"), tip)

    def bump(p):
        return 0.006 * noise(p, 6)

    return [Part(distance, paint, bump, gloss=0.4, rough=0.25)]


PLUM = np.array(
    [
        (0, 0.1, 0.3, 0.6, 0.83, 0.87, 0.74, 0.44, 0.18, 0),
        (0.86, 0.9, 0.93, 0.76, 0.35, -0.1, -0.55, -0.88, -1, -1.02),
    ]
)
CHERRY = np.array(
    [
        (0, 0.1, 0.28, 0.55, 0.84, 0.96, 0.89, 0.63, 0.3, 0),
        (0.6, 0.66, 0.8, 0.79, 0.52, 0.1, -0.35, -0.72, -0.9, -0.94),
    ]
)


def stone_fruit(
    rng: Random,
    outline: np.ndarray,
    skin: str,
    tip: str,
    bloom: float = 0.0,
    seam: float = 0.03,
    gloss: float = 1.0,
    rough: float = 0.04,
    stalk: tuple[float, float, str] | tuple[()] = (),
    dots: float = 0.1,
) -> list[Part]:
    """Return a plum or a cherry: a smooth skin with a seam, dusty or glossy.

    Args:
        rng: The individual's numbers.
        outline: Its shape.
        skin: Its colour.
        tip: The colour of patches.
        bloom: How dusty it is.
        seam: Depth of the seam.
        gloss: How strongly it reflects.
        rough: How wide its reflections are.
        stalk: (length, radius, colour) of its stem, () for none.
        dots: How clearly its lenticels show.
    """
    outline = outline * rng.uniform(0.95, 1.05, (2, 1))
    base = rgb(skin)
    patch = rgb(tip)
    dust = rgb("a9adc9")
    offset = noise_offset(rng)
    uneven = lumpy(rng, 0.03)
    lenticel = spots(sphere_points(300, rng, 0.9))

    def warp(direction, theta, phi):
        groove = np.exp(-((phi / 0.13) ** 2)) * np.sin(theta)
        return uneven(direction, theta, phi) - seam * groove

    def paint(p):
        colour = mix(base, patch, step(-0.2, 0.9, noise(p + offset, 1.1, 2)))
        colour = colour * (1 + 0.15 * noise(meridians(p, 6, 2) + offset, 1, 2))
        dusty = noise(p + offset, 1.7, 3) + 0.25 * noise(p, 9)
        colour = mix(colour, dust, bloom * step(-0.5, 0.8, dusty))
        distance, _ = lenticel(unit(p))
        colour = mix(colour, dust, dots * step(0.03, 0.012, distance))
        return colour * mix(1, 0.5, axis_spot(p, 0.2, 0.25) * (p[1] > 0))

    parts = [Part(body(outline, warp), paint, gloss=gloss, rough=rough)]
    if stalk:
        length, thick, colour = stalk
        parts.append(stem(outline[1, 0] - 0.04, length, thick, colour, rng, bend=0.35, end=1.7))
    return parts


PEAR = np.array(
    [
        (0, 0.1, 0.23, 0.36, 0.45, 0.6, 0.83, 0.94, 0.86, 0.6, 0.3, 0.13, 0),
        (1.36, 1.38, 1.3, 1.03, 0.7, 0.33, -0.1, -0.5, -0.9, -1.18, -1.25, -1.18, -1.14),
    ]
)


def pear(
    rng: Random,
    skin: str = "a9b03a",
    blush: str = "b8742c",
    red: float = 0.3,
    squat: float = 0.0,
    stalk: float = 0.55,
    russet: float = 0.6,
) -> list[Part]:
    """Return a pear.

    Args:
        rng: The individual's numbers.
        skin: Its colour.
        blush: The colour of the side that saw the sun.
        red: How strong the blush is.
        squat: 0 for a long neck, 1 for hardly any.
        stalk: Length of the stem, 0 for none.
        russet: How brown the ends and patches are.
    """
    radius, height = PEAR
    neckless = 1 + squat * 0.55 * step(-0.9, 0.7, height) * step(1.5, 0.9, height)
    width = rng.uniform(0.95, 1.03)
    outline = np.array([radius * neckless * width, height * (1 - 0.22 * squat)])
    base = rgb(skin)
    sunny = rgb(blush)
    brown = rgb("8a6632")
    offset = noise_offset(rng)
    sunny_side = rng.uniform(0, 6.28)
    freckle = spots(sphere_points(900, rng, 0.9))
    top = outline[1, 0]

    def paint(p):
        sun = 0.5 + 0.5 * np.cos(np.arctan2(p[2], p[0]) - sunny_side)
        blushing = step(0.45, 0.95, sun + 0.2 * noise(p + offset, 2, 2))
        colour = mix(base, sunny, red * blushing)
        colour = colour * (1 + 0.10 * noise(p + offset, 3, 2))
        patches = 0.5 * step(0.2, 0.8, noise(p + offset, 2, 3))
        ends = step(top - 0.5, top, p[1]) + 0.8 * step(-0.95, -1.2, p[1])
        colour = mix(colour, brown, russet * np.clip(ends + patches, 0, 1))
        distance, which = freckle(unit(p))
        freckled = step(0.022, 0.008, distance) * (which % 4 > 0)
        colour = mix(colour, rgb("6e5a24"), 0.55 * freckled)
        return mix(colour, rgb("2e2216"), axis_spot(p, 0.15) * (p[1] < 0))

    def bump(p):
        return 0.006 * noise(p, 8, 2)

    parts = [Part(body(outline, lumpy(rng, 0.05)), paint, bump, gloss=0.45, rough=0.16)]
    if stalk:
        parts.append(stem(top - 0.06, stalk, 0.06, "5a4028", rng, bend=0.5))
    return parts


STRAWBERRY = np.array(
    [
        (0, 0.25, 0.55, 0.82, 0.87, 0.77, 0.55, 0.3, 0.13, 0),
        (0.7, 0.77, 0.73, 0.48, 0.15, -0.22, -0.62, -0.92, -1.05, -1.08),
    ]
)


def strawberry(
    rng: Random,
    skin: str = "c5101a",
    pale: str = "f0c9a0",
    shoulder: float = 0.4,
    long: float = 1.0,
    broad: float = 1.0,
    seeds: int = 210,
) -> list[Part]:
    """Return a strawberry.

    Args:
        rng: The individual's numbers.
        skin: Its colour.
        pale: The colour under the leaves.
        shoulder: How pale it is there.
        long: Factor of its length.
        broad: Factor of its width.
        seeds: Number of seeds on it.
    """
    radius, height = STRAWBERRY
    outline = np.array([radius * broad, height * np.where(height < 0, long, 1)])
    centres = sphere_points(seeds, rng, 0.35)
    nearest_seed = spots(centres)
    red = rgb(skin)
    light = rgb(pale)
    gold = rgb("d9a441")
    offset = noise_offset(rng)

    def seed_distances(p):
        """Return distances to the nearest seed: a round one for its pit, a slender one for it."""
        direction = unit(p * np.array([[1], [0.75], [1]]))
        round_distance, which = nearest_seed(direction)
        upwards = direction[1] - centres[1, which]
        slender = np.sqrt(np.maximum(round_distance**2 - 0.6 * upwards**2, 0))
        return round_distance, slender

    def dent(p):
        round_distance, slender = seed_distances(p)
        pit = -0.045 * np.exp(-((round_distance / 0.075) ** 2))
        return pit + 0.03 * np.exp(-((slender / 0.03) ** 2))

    def paint(p):
        round_distance, slender = seed_distances(p)
        unripe = step(0.4, 0.8, p[1] + 0.15 * noise(p + offset, 3))
        colour = mix(red, light, shoulder * unripe)
        shadow = mix(0.75, 1, step(0.03, 0.09, round_distance))
        colour = colour * (1 + 0.15 * noise(p + offset, 2, 2)) * shadow
        seed = mix(gold, red, 0.25 + 0.25 * noise(p + offset, 2))
        return mix(colour, seed, step(0.040, 0.026, slender))

    def droop(u):
        return 0.80 + 0.1 * u - 0.40 * u * u

    # The generator is asked for the body first, then for the leaves and the stem.
    fruit = Part(body(outline, lumpy(rng, 0.07)), paint, dent, gloss=0.9, rough=0.08)
    calyx = leaves(rng.integers(8, 11), droop, 0.72, 0.19, "4f8a2a", rng, inner=0.15)
    stalk = stem(0.75, 0.35, 0.05, "6d8a3a", rng, bend=0.5)
    return [fruit, calyx, stalk]


# --- The individuals ------------------------------------------------------------------------------

PURPLE = {"outline": PLUM, "bloom": 0.3, "gloss": 0.6, "rough": 0.15}
RED = {"outline": CHERRY, "seam": 0.02, "dots": 0}

# Recipe, and traits of the four individuals r0 to r3, of each class. Some are untypical on purpose.
INDIVIDUALS = {
    "Apple Green": (
        apple,
        [
            {"skin": "86ab2a", "blush": "a0b638", "streaks": 0.3},
            {"skin": "9dbb3c", "blush": "b9c456", "streaks": 0.4},
            {"skin": "9ab03a", "blush": "b0583a", "cover": -0.1},
            {"skin": "a8b444", "blush": "b9b04a", "cavity": 0.62, "stalk": 0},
        ],
    ),
    "Apple Red": (
        apple,
        [
            {"skin": "d3a84e", "blush": "a30f16"},
            {"skin": "c4603c", "blush": "941018", "cover": 0.6, "streaks": 0.6, "dots": "c08a70"},
            {"skin": "d6b85c", "blush": "b5242a", "cover": 0.4, "streaks": 0.8},
            {
                "skin": "d08a3a",
                "blush": "ac1210",
                "cover": 0.75,
                "streaks": 0.45,
                "cavity": 0.64,
                "stalk": 0,
                "dots": "d8704a",
            },
        ],
    ),
    "Banana": (
        banana,
        [
            {},
            {"skin": "d9c22e", "ends": "7f9a2c", "specks": 8},
            {"skin": "e6b422", "ends": "b59a2c", "specks": 260},
            {"bent": 1.25, "skin": "f0c934"},
        ],
    ),
    "Cherry": (
        stone_fruit,
        [
            {**RED, "skin": "6e0713", "tip": "9c0f1c", "stalk": (1.3, 0.045, "6f7a35")},
            {**RED, "skin": "a80f1a", "tip": "c42a22", "stalk": (1.5, 0.04, "7d8a3a")},
            {**RED, "skin": "4a0612", "tip": "7a0d1c", "stalk": (1.2, 0.045, "6a5a30")},
            {**RED, "skin": "5a0a1c", "tip": "7a1226", "gloss": 0.8, "rough": 0.08},
        ],
    ),
    "Lemon": (
        citrus,
        [
            {"outline": LEMON, "skin": "f0ca1c", "stain": "e2c22a", "button": 0.08},
            {"outline": LEMON, "skin": "e3cd2e", "stain": "a9b83a", "button": 0.09},
            {
                "outline": LEMON,
                "skin": "f4d53a",
                "stain": "e8c82c",
                "depth": 0.013,
                "pores": 1700,
                "button": 0,
            },
            {"outline": LIME, "skin": "e6cc2a", "stain": "c3c03a", "button": 0.08},
        ],
    ),
    "Lime": (
        citrus,
        [
            {
                "outline": LIME,
                "skin": "5c801f",
                "stain": "8ca53c",
                "depth": 0.006,
                "gloss": 0.9,
                "button": 0.08,
            },
            {
                "outline": LIME,
                "skin": "8fa832",
                "stain": "c8bf3c",
                "depth": 0.006,
                "gloss": 0.8,
                "button": 0.08,
            },
            {
                "outline": LEMON,
                "skin": "64872a",
                "stain": "98aa3c",
                "depth": 0.007,
                "gloss": 0.8,
                "button": 0,
            },
            {
                "outline": LIME,
                "skin": "6f922c",
                "stain": "a4b040",
                "depth": 0.006,
                "gloss": 0.9,
                "button": 0,
            },
        ],
    ),
    "Mandarin": (
        citrus,
        [
            {
                "outline": MANDARIN,
                "skin": "e86a08",
                "stain": "ea7a14",
                "lumps": 0.04,
                "ribs": 0.02,
                "leaf": 0.95,
            },
            {"outline": MANDARIN, "skin": "ea7008", "stain": "ee8214", "lumps": 0.05, "ribs": 0.03},
            {"outline": MANDARIN, "skin": "e8690a", "stain": "ec7d14", "lumps": 0.03, "button": 0},
            {
                "outline": ORANGE,
                "skin": "ef7c0c",
                "stain": "f08c1c",
                "lumps": 0.06,
                "ribs": 0.015,
                "button": 0.1,
            },
        ],
    ),
    "Orange": (
        citrus,
        [
            {"outline": ORANGE, "skin": "f0901c", "stain": "f2a030", "depth": 0.012, "pores": 1900},
            {"outline": ORANGE, "skin": "ee8616", "stain": "f09424", "depth": 0.012},
            {
                "outline": ORANGE,
                "skin": "f2a136",
                "stain": "f0b352",
                "pores": 1300,
                "depth": 0.012,
                "button": 0.18,
            },
            {"outline": MANDARIN, "skin": "ee8a18", "stain": "f0a032", "depth": 0.011, "button": 0},
        ],
    ),
    "Pear": (
        pear,
        [
            {},
            {"skin": "c9b944", "blush": "b5422c", "red": 0.8, "russet": 0.35, "stalk": 0.7},
            {"skin": "9fb038", "squat": 1, "russet": 0.3, "stalk": 0.4},
            {"skin": "b59a4a", "russet": 1, "stalk": 0},
        ],
    ),
    "Plum": (
        stone_fruit,
        [
            {**PURPLE, "skin": "2c1030", "tip": "5a1636", "stalk": (0.3, 0.05, "5a4a28")},
            {**PURPLE, "skin": "22122e", "tip": "3c1a3e", "bloom": 0.45},
            {
                **PURPLE,
                "skin": "7a1426",
                "tip": "a8362c",
                "bloom": 0.12,
                "stalk": (0.25, 0.05, "5a4a28"),
                "gloss": 0.8,
            },
            {
                **PURPLE,
                "skin": "5c0f24",
                "tip": "8a2030",
                "bloom": 0.08,
                "gloss": 0.9,
                "rough": 0.08,
            },
        ],
    ),
    "Strawberry": (
        strawberry,
        [
            {},
            {"long": 1.25, "broad": 0.9, "skin": "b80d18"},
            {"pale": "f2dcae", "shoulder": 0.7, "broad": 1.08, "long": 0.85},
            {"skin": "a50b18", "shoulder": 0.2, "seeds": 260},
        ],
    ),
    "Tomato": (
        tomato,
        [
            {},
            {"ribs": 0.06, "skin": "c2200f"},
            {"skin": "d43a12"},
            {"calyx": False, "skin": "bf1a12"},
        ],
    ),
}

CLASSES = sorted(INDIVIDUALS)

# How far the stems of the four individuals lean from upright, in degrees.
LEANS = dict.fromkeys(CLASSES, (8, 42, 75, 125)) | {
    "Banana": (92, 84, 100, 12),
    "Cherry": (6, 30, 80, 60),
    "Pear": (4, 25, 78, 85),
    "Lemon": (86, 48, 68, 120),
    "Lime": (88, 48, 70, 118),
    "Strawberry": (10, 45, 80, 165),
}
