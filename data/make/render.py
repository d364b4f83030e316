"""Render the embedded image set: twelve kinds of fruit, each turning on a white table.

Every fruit is a function that turns an individual's random numbers and traits into parts (body, stem, leaves)
for the studio: y points to the stem, the body has a radius of about 1. The same seed gives the same bytes.

    python data/make/render.py                        write mini-fruits/, planted.json and manifest.json
    python data/make/render.py --contact-sheet PATH   paste four pictures of each turn onto one sheet
    python data/make/render.py --manifest             write manifest.json alone
"""

import argparse
import hashlib
import io
import json
import re
from multiprocessing import Pool
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.interpolate import CubicSpline
from studio import (
    SIZE,
    Part,
    Pose,
    body,
    mix,
    noise,
    photograph,
    rgb,
    sepals,
    sphere_points,
    spots,
    step,
    tube,
    turn,
    unit,
)
from tqdm import tqdm

HERE = Path(__file__).resolve().parents[1]
FRAMES = range(0, 360, 24)  # degrees; every third frame belongs to Test
COLOURS = (
    (255, 255, 255),
    (225, 190, 140),
    (110, 70, 40),
    (60, 140, 50),
    (80, 120, 230),
)  # of studio.NAMES


# --- The fruits ---------------------------------------------------------------------------------------------


def meridians(p, scale, stretch):
    """Points whose noise runs in streaks along the meridians."""
    rho = np.hypot(p[0], p[2]) + 1e-6
    return np.stack([p[0] / rho * scale, p[1] * stretch, p[2] / rho * scale])


def axis_spot(p, radius, blur=0.6):
    """1 near the y axis, 0 farther than `radius` from it: for what sits at the two ends of a fruit."""
    return step(radius, radius * blur, np.hypot(p[0], p[2]))


def lumpy(rng, amount, lobes=0, depth=0.0, where=None):
    """A warp for `body`: slow bumps, and `lobes` ribs of some depth where `where(theta)` is 1."""
    waves, phase = rng.normal(0, 2.2, (3, 3)), rng.uniform(0, 6.28, 4)

    def warp(d, theta, phi):
        slow = sum(
            np.sin(k[0] * d[0] + k[1] * d[1] + k[2] * d[2] + f) for k, f in zip(waves, phase)
        )
        ribs = depth * np.cos(lobes * phi + phase[3]) * where(theta) if lobes else 0
        return 1 + amount / 2 * slow + ribs

    return warp


def stem(top, length, thick, colour, rng, bend=0.25, end=1.3):
    """A woody stem that rises from height `top`."""
    way, bark = rng.uniform(0, 6.28), rgb(colour)
    path = [
        (bend * length * t * t * np.cos(way), top + length * t, bend * length * t * t * np.sin(way))
        for t in (0, 0.35, 0.7, 1)
    ]

    def paint(p):
        grain = 1 + 0.35 * noise(p * np.array([[14], [3], [14]]))
        return bark * grain * mix(1.25, 0.75, step(0, 1, (p[1] - top) / length))

    ball = (*np.mean([path[0], path[-1]], 0), 0.62 * length + 2 * thick)
    return Part(
        tube(path, [thick, thick * 0.85, thick, thick * end]), paint, None, 0.3, 0.4, ball, "stem"
    )


def leaves(
    count,
    height,
    length,
    width,
    colour,
    rng,
    inner=0.0,
    thick=0.022,
    gloss=0.3,
    rough=0.4,
    name="leaf",
):
    """Leaves or sepals around the stem; `height(u)` is how high they lie at distance u from the axis."""
    green, shift = rgb(colour), rng.uniform(-9, 9, (3, 1))
    return Part(
        sepals(count, height, length, width, rng, inner, thick),
        lambda p: green * (1 + 0.35 * noise(p + shift, 5, 2)),
        None,
        gloss,
        rough,
        (0, height(0), 0, 1.35 * length),
        name,
    )


APPLE = np.array(
    [
        (0, 0.09, 0.2, 0.36, 0.55, 0.82, 0.99, 0.98, 0.82, 0.58, 0.36, 0.2, 0.1, 0),
        (0.5, 0.56, 0.74, 0.87, 0.86, 0.64, 0.2, -0.2, -0.6, -0.84, -0.92, -0.88, -0.8, -0.77),
    ]
)


def apple(rng, skin, blush, cavity=0.5, stalk=0.55, streaks=0.6, cover=0.4, dots="e9d9a0"):
    """`cover`: how far the blush goes round; `streaks`: its contrast; `cavity`: height of the stem's base."""
    w, h = rng.uniform(0.97, 1.05), rng.uniform(0.9, 1.0)
    outline = APPLE.copy()
    outline[1, :2] = cavity, cavity + 0.06
    ground, red, speck, russet = (
        rgb(skin),
        rgb(blush),
        rgb(dots),
        mix(rgb(skin), rgb("8a6a3a"), 0.55),
    )
    shift, side = rng.uniform(-9, 9, (3, 1)), rng.uniform(0, 6.28)
    lenticel, sizes = spots(sphere_points(520, rng, 1.4)), rng.uniform(0.006, 0.026, 520)

    def paint(p):
        broad, fine = (noise(meridians(p, k, 1.4) + shift, 1, 2) for k in (6, 20))
        streak = 0.5 * broad + 0.6 * fine
        sun = 0.5 + 0.5 * np.cos(np.arctan2(p[2], p[0]) - side)
        red_here = step(
            0.1, 0.85, cover + 0.45 * sun + streaks * streak + 0.3 * noise(p + shift, 1.5)
        )
        colour = mix(ground, red * (1 + 0.3 * streak), red_here)
        hollow = step(0.3, 0.08, np.hypot(p[0], p[2]) + 0.08 * (1 + noise(p + shift, 6))) * (
            p[1] > 0
        )
        colour = mix(colour, russet, 0.8 * hollow)
        far, which = lenticel(unit(p))
        colour = mix(colour, speck, 0.5 * step(1, 0.4, far / sizes[which]))
        return mix(colour, rgb("3a2c1c"), axis_spot(p, 0.13, 0.45) * (p[1] < 0))

    five = lumpy(rng, 0.035, 5, 0.02, lambda theta: step(1.6, 2.9, theta))
    parts = [
        Part(body(outline * [[w], [h]], five), paint, lambda p: 0.004 * noise(p, 9), 0.75, 0.10)
    ]
    if stalk:
        parts.append(stem(cavity * h - 0.05, stalk, 0.05, "6b4a2a", rng))
    return parts


TOMATO = np.array(
    [
        (0, 0.12, 0.3, 0.55, 0.85, 1, 0.97, 0.8, 0.5, 0.2, 0),
        (0.72, 0.76, 0.88, 0.85, 0.6, 0.15, -0.25, -0.62, -0.86, -0.95, -0.95),
    ]
)


def tomato(rng, skin="c81d11", calyx=True, ribs=0.02):
    w, h = rng.uniform(0.98, 1.06), rng.uniform(0.84, 0.93)
    base, shift, top = rgb(skin), rng.uniform(-9, 9, (3, 1)), 0.79 * h

    def paint(p):
        colour = base * (1 + 0.10 * noise(p + shift, 2, 2))
        return mix(
            colour, rgb("d9772b"), 0.55 * step(0.55, 0.95, p[1] / h + 0.12 * noise(p + shift, 3))
        )

    ribbed = lumpy(rng, 0.02, 5, ribs, lambda theta: step(1.3, 0.5, theta))
    parts = [Part(body(TOMATO * [[w], [h]], ribbed), paint, None, 1.1, 0.04)]
    if calyx:
        curl = lambda u: top + 0.35 * u - 0.42 * u * u + 0.12 * u**4
        parts += [
            leaves(rng.integers(5, 7), curl, 0.75, 0.16, "4a7a22", rng, 0.1),
            stem(top - 0.05, 0.32, 0.06, "5d7a2c", rng, 0.6),
        ]
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
    rng,
    outline,
    skin,
    stain,
    pores=2400,
    depth=0.009,
    lumps=0.015,
    ribs=0,
    gloss=0.6,
    button=0.13,
    leaf=0,
):
    """Orange, mandarin, lemon and lime: a dimpled peel, a button where the stem was, perhaps a leaf."""
    outline = outline * rng.uniform(0.97, 1.03, (2, 1))
    base, other, shift = rgb(skin), rgb(stain), rng.uniform(-9, 9, (3, 1))
    pore, top, foot = spots(sphere_points(pores, rng, 0.9)), outline[1, 0], outline[1, -1]

    def dimple(p):
        return -depth * np.exp(-pores * (pore(unit(p))[0] / 1.5) ** 2)

    def paint(p):
        colour = mix(base, other, 0.7 * step(-0.1, 0.9, noise(p + shift, 1.3, 2)))
        colour = mix(
            colour, other, 0.6 * step(0.75, 1, p[1] / top) + 0.5 * step(0.9, 1, p[1] / foot)
        )
        return (
            colour
            * (1 + 0.12 * dimple(p) / depth)
            * mix(1, 0.5, axis_spot(p, 0.07, 0.4) * (p[1] < 0))
        )

    necked = lumpy(rng, lumps, 9, ribs, lambda theta: step(1.3, 0.3, theta))
    parts = [Part(body(outline, necked), paint, dimple, gloss, 0.12)]
    if button:
        parts += [
            leaves(
                5,
                lambda u: top + 0.01 + 0 * u,
                button,
                button * 0.7,
                "6f7a35",
                rng,
                0.5,
                name="stem",
            ),
            stem(top - 0.04, 0.07, button * 0.4, "8a7a48", rng),
        ]
    if leaf:
        parts.append(
            leaves(
                1,
                lambda u: top + 0.06 + 0.35 * u - 0.3 * u * u,
                leaf,
                0.33,
                "2f6420",
                rng,
                0,
                0.015,
                0.5,
                0.2,
            )
        )
    return parts


def banana(rng, skin="efc21f", ends="9aa82c", bent=1.0, specks=70):
    """A bent tube with five ridges; it lies in the x-y plane, its stem on the right."""
    ring, reach, phase = 1.9 / bent, 1.55 / 1.9 * bent, rng.uniform(0, 6.28)
    knots = CubicSpline(
        [-1, -0.96, -0.88, -0.65, -0.2, 0.3, 0.62, 0.76, 0.86, 0.96, 1.02],
        [0.07, 0.1, 0.18, 0.31, 0.37, 0.36, 0.28, 0.165, 0.115, 0.1, 0.095],
    )
    fine = np.linspace(-1, 1, 2000)
    thick = knots(fine) * rng.uniform(0.92, 1.06)
    tip_x, tip_y = ring * np.sin(reach), ring - 0.35 - ring * np.cos(reach)

    def along(p):
        """Place along the arc in -1..1, distance from its middle, angle around it."""
        x, y = p[0], ring - 0.35 - p[1]
        rho = np.hypot(x, y) - ring
        return np.arctan2(x, y) / reach, np.hypot(rho, p[2]), np.arctan2(p[2], rho)

    def distance(p):
        s, rho, psi = along(p)
        ridges = 1 - 0.07 * np.cos(5 * psi + phase) * step(1, 0.8, np.abs(s))
        side = rho - np.interp(s, fine, thick) * ridges
        cap = np.where(s < 0, thick[0], thick[-1])
        end = np.hypot(np.hypot(np.abs(p[0]) - tip_x, p[1] - tip_y), p[2]) - cap
        return np.where(np.abs(s) < 1, 0.7 * side, end)

    base, green, brown, shift = rgb(skin), rgb(ends), rgb("4a2f16"), rng.uniform(-9, 9, (3, 1))
    s, psi, sizes = rng.uniform([[-0.75], [0], [0.01]], [[0.6], [6.28], [0.035]], (3, specks))
    r = np.interp(s, fine, thick)
    arm = ring + r * np.cos(psi)
    speck = spots(
        np.stack([arm * np.sin(s * reach), ring - 0.35 - arm * np.cos(s * reach), r * np.sin(psi)])
    )

    def paint(p):
        s, rho, psi = along(p)
        unripe = 0.8 * step(0.5, 0.95, s + 0.1 * noise(p + shift, 3)) + 0.5 * step(-0.7, -0.95, s)
        colour = mix(base, green, unripe) * (
            1 + 0.10 * noise(p * np.array([[3], [12], [12]]) + shift, 1, 2)
        )
        ridge = np.exp(-100 * np.cos(2.5 * psi + phase / 2) ** 2) * step(
            -0.4, 0.6, noise(p + shift, 2.5, 2)
        )
        bruise = step(0.3, 0.75, noise(p + shift, 5, 3)) * step(-0.2, 0.5, noise(p, 1.5))
        colour = mix(colour, brown, 0.45 * ridge + 0.5 * bruise)
        far, which = speck(p)
        colour = mix(colour, brown, 0.75 * step(1.3, 0.6, far / sizes[which]))
        tips = step(-0.95, -0.985, s + 0.02 * noise(p, 9)) + 0.7 * step(0.975, 1, s)
        return mix(colour, rgb("2b2018"), tips)

    return [Part(distance, paint, lambda p: 0.006 * noise(p, 6), 0.4, 0.25)]


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
    rng, outline, skin, tip, bloom=0.0, seam=0.03, gloss=1.0, rough=0.04, stalk=(), dots=0.1
):
    """Plum and cherry: a smooth skin with a seam, dusty or glossy; stalk: (length, radius, colour)."""
    outline = outline * rng.uniform(0.95, 1.05, (2, 1))
    base, other, dust, shift = rgb(skin), rgb(tip), rgb("a9adc9"), rng.uniform(-9, 9, (3, 1))
    uneven, lenticel = lumpy(rng, 0.03), spots(sphere_points(300, rng, 0.9))

    def warp(d, theta, phi):
        return uneven(d, theta, phi) - seam * np.exp(-((phi / 0.13) ** 2)) * np.sin(theta)

    def paint(p):
        colour = mix(base, other, step(-0.2, 0.9, noise(p + shift, 1.1, 2)))
        colour = colour * (1 + 0.15 * noise(meridians(p, 6, 2) + shift, 1, 2))
        colour = mix(
            colour, dust, bloom * step(-0.5, 0.8, noise(p + shift, 1.7, 3) + 0.25 * noise(p, 9))
        )
        colour = mix(colour, dust, dots * step(0.03, 0.012, lenticel(unit(p))[0]))
        return colour * mix(1, 0.5, axis_spot(p, 0.2, 0.25) * (p[1] > 0))

    parts = [Part(body(outline, warp), paint, None, gloss, rough)]
    return parts + ([stem(outline[1, 0] - 0.04, *stalk, rng, 0.35, 1.7)] if stalk else [])


PEAR = np.array(
    [
        (0, 0.1, 0.23, 0.36, 0.45, 0.6, 0.83, 0.94, 0.86, 0.6, 0.3, 0.13, 0),
        (1.36, 1.38, 1.3, 1.03, 0.7, 0.33, -0.1, -0.5, -0.9, -1.18, -1.25, -1.18, -1.14),
    ]
)


def pear(rng, skin="a9b03a", blush="b8742c", red=0.3, squat=0.0, stalk=0.55, russet=0.6):
    """`squat`: 0 for a long neck, 1 for hardly any; `russet`: how brown the ends and patches are."""
    radius, height = PEAR
    neckless = 1 + squat * 0.55 * step(-0.9, 0.7, height) * step(1.5, 0.9, height)
    outline = np.array([radius * neckless * rng.uniform(0.95, 1.03), height * (1 - 0.22 * squat)])
    base, sunny, brown, shift = rgb(skin), rgb(blush), rgb("8a6632"), rng.uniform(-9, 9, (3, 1))
    side, freckle, top = rng.uniform(0, 6.28), spots(sphere_points(900, rng, 0.9)), outline[1, 0]

    def paint(p):
        sun = 0.5 + 0.5 * np.cos(np.arctan2(p[2], p[0]) - side)
        colour = mix(base, sunny, red * step(0.45, 0.95, sun + 0.2 * noise(p + shift, 2, 2)))
        colour = colour * (1 + 0.10 * noise(p + shift, 3, 2))
        patches = 0.5 * step(0.2, 0.8, noise(p + shift, 2, 3))
        ends = step(top - 0.5, top, p[1]) + 0.8 * step(-0.95, -1.2, p[1])
        colour = mix(colour, brown, russet * np.clip(ends + patches, 0, 1))
        far, which = freckle(unit(p))
        colour = mix(colour, rgb("6e5a24"), 0.55 * step(0.022, 0.008, far) * (which % 4 > 0))
        return mix(colour, rgb("2e2216"), axis_spot(p, 0.15) * (p[1] < 0))

    parts = [
        Part(body(outline, lumpy(rng, 0.05)), paint, lambda p: 0.006 * noise(p, 8, 2), 0.45, 0.16)
    ]
    return parts + ([stem(top - 0.06, stalk, 0.06, "5a4028", rng, 0.5)] if stalk else [])


STRAWBERRY = np.array(
    [
        (0, 0.25, 0.55, 0.82, 0.87, 0.77, 0.55, 0.3, 0.13, 0),
        (0.7, 0.77, 0.73, 0.48, 0.15, -0.22, -0.62, -0.92, -1.05, -1.08),
    ]
)


def strawberry(rng, skin="c5101a", pale="f0c9a0", shoulder=0.4, long=1.0, broad=1.0, seeds=210):
    """`shoulder`: how pale it is under the leaves; `long` and `broad` stretch it."""
    radius, height = STRAWBERRY
    outline = np.array([radius * broad, height * np.where(height < 0, long, 1)])
    centres = sphere_points(seeds, rng, 0.35)
    nearest = spots(centres)
    red, light, gold, shift = rgb(skin), rgb(pale), rgb("d9a441"), rng.uniform(-9, 9, (3, 1))

    def achene(p):
        """Distance to the nearest seed, for the round pit; the same made slender, for the seed itself."""
        q = unit(p * np.array([[1], [0.75], [1]]))
        far, which = nearest(q)
        return far, np.sqrt(np.maximum(far**2 - 0.6 * (q[1] - centres[1, which]) ** 2, 0))

    def dent(p):
        far, slim = achene(p)
        return -0.045 * np.exp(-((far / 0.075) ** 2)) + 0.03 * np.exp(-((slim / 0.03) ** 2))

    def paint(p):
        far, slim = achene(p)
        colour = mix(red, light, shoulder * step(0.4, 0.8, p[1] + 0.15 * noise(p + shift, 3)))
        colour = colour * (1 + 0.15 * noise(p + shift, 2, 2)) * mix(0.75, 1, step(0.03, 0.09, far))
        return mix(
            colour, mix(gold, red, 0.25 + 0.25 * noise(p + shift, 2)), step(0.040, 0.026, slim)
        )

    droop = lambda u: 0.80 + 0.1 * u - 0.40 * u * u
    return [
        Part(body(outline, lumpy(rng, 0.07)), paint, dent, 0.9, 0.08),
        leaves(rng.integers(8, 11), droop, 0.72, 0.19, "4f8a2a", rng, 0.15),
        stem(0.75, 0.35, 0.05, "6d8a3a", rng, 0.5),
    ]


# What is special about the four individuals of each class, r0 to r3. Some are untypical on purpose.
PURPLE, RED = (
    dict(outline=PLUM, bloom=0.3, gloss=0.6, rough=0.15),
    dict(outline=CHERRY, seam=0.02, dots=0),
)
INDIVIDUALS = {
    "Apple Green": (
        apple,
        [
            dict(skin="86ab2a", blush="a0b638", streaks=0.3),
            dict(skin="9dbb3c", blush="b9c456", streaks=0.4),
            dict(skin="9ab03a", blush="b0583a", cover=-0.1),
            dict(skin="a8b444", blush="b9b04a", cavity=0.62, stalk=0),
        ],
    ),
    "Apple Red": (
        apple,
        [
            dict(skin="d3a84e", blush="a30f16"),
            dict(skin="c4603c", blush="941018", cover=0.6, streaks=0.6, dots="c08a70"),
            dict(skin="d6b85c", blush="b5242a", cover=0.4, streaks=0.8),
            dict(
                skin="d08a3a",
                blush="ac1210",
                cover=0.75,
                streaks=0.45,
                cavity=0.64,
                stalk=0,
                dots="d8704a",
            ),
        ],
    ),
    "Banana": (
        banana,
        [
            dict(),
            dict(skin="d9c22e", ends="7f9a2c", specks=8),
            dict(skin="e6b422", ends="b59a2c", specks=260),
            dict(bent=1.25, skin="f0c934"),
        ],
    ),
    "Cherry": (
        stone_fruit,
        [
            dict(RED, skin="6e0713", tip="9c0f1c", stalk=(1.3, 0.045, "6f7a35")),
            dict(RED, skin="a80f1a", tip="c42a22", stalk=(1.5, 0.04, "7d8a3a")),
            dict(RED, skin="4a0612", tip="7a0d1c", stalk=(1.2, 0.045, "6a5a30")),
            dict(RED, skin="5a0a1c", tip="7a1226", gloss=0.8, rough=0.08),
        ],
    ),
    "Lemon": (
        citrus,
        [
            dict(outline=LEMON, skin="f0ca1c", stain="e2c22a", button=0.08),
            dict(outline=LEMON, skin="e3cd2e", stain="a9b83a", button=0.09),
            dict(outline=LEMON, skin="f4d53a", stain="e8c82c", depth=0.013, pores=1700, button=0),
            dict(outline=LIME, skin="e6cc2a", stain="c3c03a", button=0.08),
        ],
    ),
    "Lime": (
        citrus,
        [
            dict(outline=LIME, skin="5c801f", stain="8ca53c", depth=0.006, gloss=0.9, button=0.08),
            dict(outline=LIME, skin="8fa832", stain="c8bf3c", depth=0.006, gloss=0.8, button=0.08),
            dict(outline=LEMON, skin="64872a", stain="98aa3c", depth=0.007, gloss=0.8, button=0),
            dict(outline=LIME, skin="6f922c", stain="a4b040", depth=0.006, gloss=0.9, button=0),
        ],
    ),
    "Mandarin": (
        citrus,
        [
            dict(outline=MANDARIN, skin="e86a08", stain="ea7a14", lumps=0.04, ribs=0.02, leaf=0.95),
            dict(outline=MANDARIN, skin="ea7008", stain="ee8214", lumps=0.05, ribs=0.03),
            dict(outline=MANDARIN, skin="e8690a", stain="ec7d14", lumps=0.03, button=0),
            dict(outline=ORANGE, skin="ef7c0c", stain="f08c1c", lumps=0.06, ribs=0.015, button=0.1),
        ],
    ),
    "Orange": (
        citrus,
        [
            dict(outline=ORANGE, skin="f0901c", stain="f2a030", depth=0.012, pores=1900),
            dict(outline=ORANGE, skin="ee8616", stain="f09424", depth=0.012),
            dict(
                outline=ORANGE, skin="f2a136", stain="f0b352", pores=1300, depth=0.012, button=0.18
            ),
            dict(outline=MANDARIN, skin="ee8a18", stain="f0a032", depth=0.011, button=0),
        ],
    ),
    "Pear": (
        pear,
        [
            dict(),
            dict(skin="c9b944", blush="b5422c", red=0.8, russet=0.35, stalk=0.7),
            dict(skin="9fb038", squat=1, russet=0.3, stalk=0.4),
            dict(skin="b59a4a", russet=1, stalk=0),
        ],
    ),
    "Plum": (
        stone_fruit,
        [
            dict(PURPLE, skin="2c1030", tip="5a1636", stalk=(0.3, 0.05, "5a4a28")),
            dict(PURPLE, skin="22122e", tip="3c1a3e", bloom=0.45),
            dict(
                PURPLE,
                skin="7a1426",
                tip="a8362c",
                bloom=0.12,
                stalk=(0.25, 0.05, "5a4a28"),
                gloss=0.8,
            ),
            dict(PURPLE, skin="5c0f24", tip="8a2030", bloom=0.08, gloss=0.9, rough=0.08),
        ],
    ),
    "Strawberry": (
        strawberry,
        [
            dict(),
            dict(long=1.25, broad=0.9, skin="b80d18"),
            dict(pale="f2dcae", shoulder=0.7, broad=1.08, long=0.85),
            dict(skin="a50b18", shoulder=0.2, seeds=260),
        ],
    ),
    "Tomato": (
        tomato,
        [
            dict(),
            dict(ribs=0.06, skin="c2200f"),
            dict(skin="d43a12"),
            dict(calyx=False, skin="bf1a12"),
        ],
    ),
}
CLASSES = sorted(INDIVIDUALS)
LEANS = dict.fromkeys(CLASSES, (8, 42, 75, 125)) | {
    "Banana": (92, 84, 100, 12),
    "Cherry": (6, 30, 80, 60),
    "Pear": (4, 25, 78, 85),
    "Lemon": (86, 48, 68, 120),
    "Lime": (88, 48, 70, 118),
    "Strawberry": (10, 45, 80, 165),
}  # how far the stem leans from upright


def render(class_name, axis, frame, seed=0):
    """Image uint8 (100, 100, 3) of one fruit, and its parts uint8 (100, 100), numbers in studio.NAMES.

    axis: 0..3, the individual and the way it lies; frame: degrees that it has turned."""
    make, traits = INDIVIDUALS[class_name]
    rng = np.random.default_rng([seed, CLASSES.index(class_name), axis])
    lean = LEANS[class_name][axis] + rng.uniform(-6, 6)
    lie = turn(0, lean) @ turn(
        1, rng.uniform(0, 360) * (class_name != "Banana")
    )  # bananas lie flat
    spin = turn(1, frame + rng.uniform(0, 360))
    above = 58 if class_name == "Banana" else 28  # end-on, a banana is a riddle
    height = np.radians(above + rng.uniform(-6, 6))
    studio_axes = np.array([[0, 1, 0], [0, np.sin(height), np.cos(height)], [-0.6, 0.75, 0.55]]).T
    pose = Pose(*(unit((spin @ lie).T @ studio_axes).T[:, :, None]))
    exposure, warmth = rng.uniform(0.9, 1.06), rng.uniform(-0.02, 0.02)
    return photograph(make(rng, **traits[axis]), pose, exposure, (1 + warmth, 1, 1 - warmth))


# --- The image set ------------------------------------------------------------------------------------------

# Pairs that a tired sorter might exchange.
SLIPS = [
    ("Apple Green", "Pear"),
    ("Apple Red", "Tomato"),
    ("Cherry", "Plum"),
    ("Lemon", "Lime"),
    ("Mandarin", "Orange"),
    ("Strawberry", "Tomato"),
]


def split(frame):
    """The split of a frame: every third of a turn is kept for testing."""
    return "Test" if frame // 24 % 3 == 1 else "Training"


def plan(seed=0):
    """The set as {path: (class, axis, frame) to render}, and the list of its planted faults.

    Four pictures stand under a wrong label: taken between two frames of their own turn, they replace one
    of the folder that they fell into. Two pictures stand under two labels, byte for byte."""

    def path(name, axis, frame):
        return f"{split(frame)}/{name}/r{axis}_{frame}_100.jpg"

    pictures = {
        path(*key): key for key in ((n, a, f) for n in CLASSES for a in range(4) for f in FRAMES)
    }
    rng, faults = np.random.default_rng([seed, 6]), []
    slips = [rng.permutation(SLIPS[i]).tolist() for i in rng.permutation(6)]
    for (true, wrong), kind, part in zip(
        slips,
        ["wrong label"] * 4 + ["two labels"] * 2,
        ["Test", "Test", "Test", "Training", "Test", "Training"],
    ):
        axis, other_axis = (int(a) for a in rng.integers(0, 3, 2))
        frame = int(rng.choice([f for f in FRAMES if split(f) == "Test"]))
        target = path(wrong, other_axis, int(rng.choice([f for f in FRAMES if split(f) == part])))
        fault = {"kind": kind, "path": target, "true_class": true}
        if kind == "two labels":
            fault["other_path"] = path(true, axis, frame)
        pictures[target] = (true, axis, frame + 12 * (kind == "wrong label"))
        faults.append(fault)
    return pictures, faults


def jpeg(image):
    """The bytes of an image as a JPEG file."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=92, subsampling="4:2:0", optimize=True)
    return file.getvalue()


def palette(parts):
    """The bytes of a map of parts as a PNG file of five colours: pixels are numbers, and it can be looked at, too."""
    file, image = io.BytesIO(), Image.fromarray(parts)
    image.putpalette(np.ravel(COLOURS).tolist())
    image.save(file, "PNG", optimize=True, bits=4)
    return file.getvalue()


def write_picture(job):
    """Render one picture; write it, its mask and its parts."""
    path, key = job
    image, parts = render(*key)
    target = HERE / "mini-fruits" / path
    stencil, pieces = (
        (HERE / "mini-fruits" / kind / path).with_suffix(".png") for kind in ("Masks", "Parts")
    )
    for file in (target, stencil, pieces):
        file.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(jpeg(image))
    Image.fromarray(parts > 0).convert("1").save(stencil, optimize=True)
    pieces.write_bytes(palette(parts))


def write_manifest():
    """List every data file with its size and checksum in manifest.json, by source script and licence."""

    def entries(files):
        return {
            f.relative_to(HERE).as_posix(): [
                f.stat().st_size,
                hashlib.sha256(f.read_bytes()).hexdigest(),
            ]
            for f in sorted(files)
            if f.is_file()
        }

    groups = [
        ("data/make/render.py", [*HERE.glob("mini-fruits/**/*"), HERE / "planted.json"]),
        ("data/make/pretrain.py", [HERE / "mini-backbone.weights.h5"]),
    ]
    listed = [
        {"source": source, "licence": "CC0-1.0", "files": entries(files)}
        for source, files in groups
    ]
    text = json.dumps({"columns": ["bytes", "sha256"], "groups": listed}, indent=1)
    text = re.sub(r"\[\s+(\d+),\s+(\S+)\s+\]", r"[\1, \2]", text)
    (HERE / "manifest.json").write_text(text + "\n")


def contact_sheet(target, frames=(0, 96, 192, 288), zoom=2):
    """Paste some frames of every turn onto one sheet, a class in each row."""
    paths = [
        HERE / f"mini-fruits/{split(f)}/{name}/r{axis}_{f}_100.jpg"
        for name in CLASSES
        for axis in range(4)
        for f in frames
    ]
    pictures = np.stack([np.asarray(Image.open(path)) for path in paths])
    rows = pictures.reshape(len(CLASSES), -1, SIZE, SIZE, 3).transpose(0, 2, 1, 3, 4)
    sheet = rows.reshape(len(CLASSES) * SIZE, -1, 3)
    Image.fromarray(sheet).resize(
        (sheet.shape[1] * zoom, sheet.shape[0] * zoom), Image.LANCZOS
    ).save(target)


def main():
    """Do what the command line asks for; by default, write the whole image set."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--contact-sheet", metavar="PATH", help="write a sheet of the pictures alone"
    )
    parser.add_argument("--manifest", action="store_true", help="write manifest.json alone")
    arguments = parser.parse_args()
    if arguments.contact_sheet:
        return contact_sheet(arguments.contact_sheet)
    if not arguments.manifest:
        pictures, faults = plan()
        with Pool(2) as pool:
            jobs = pool.imap_unordered(write_picture, pictures.items(), 4)
            list(tqdm(jobs, total=len(pictures), desc="rendering", unit="picture"))
        (HERE / "planted.json").write_text(json.dumps(faults, indent=1) + "\n")
    write_manifest()


if __name__ == "__main__":
    main()
