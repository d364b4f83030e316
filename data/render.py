"""Render the embedded image set: twelve kinds of fruit, each turning on a white table.

Every fruit is a function that turns an individual's random numbers and traits into parts (body, stem, leaves) for the
studio: y points to the stem, and the body has a radius of about 1. The same seed gives the same bytes.

    python data/render.py                        write data/mini-fruits, data/planted.json and data/manifest.json
    python data/render.py --contact-sheet PATH   paste four pictures of each turn onto one sheet
    python data/render.py --manifest             write data/manifest.json alone
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
from tqdm import tqdm

from studio import (SIZE, Part, Pose, body, mix, noise, photograph, rgb, sepals, sphere_points, spots, step, tube, turn,
                    unit)

HERE = Path(__file__).parent
FRAMES = range(0, 360, 24)               # degrees; every third frame belongs to Test


# --- The fruits ------------------------------------------------------------------------------------------------------

def meridians(p, scale, stretch):
    """Points whose noise runs in streaks along the meridians."""
    rho = np.hypot(p[0], p[2]) + 1e-6
    return np.stack([p[0] / rho * scale, p[1] * stretch, p[2] / rho * scale])


def lumpy(rng, amount, lobes=0, depth=0.0, where=lambda theta: 1.0):
    """A warp for `body`: slow bumps, and `lobes` ribs of some depth where `where(theta)` is 1."""
    waves, phase = rng.normal(0, 2.2, (3, 3)), rng.uniform(0, 6.28, 4)

    def warp(d, theta, phi):
        slow = sum(np.sin(k[0] * d[0] + k[1] * d[1] + k[2] * d[2] + f) for k, f in zip(waves, phase))
        return 1 + amount / 2 * slow + (depth * np.cos(lobes * phi + phase[3]) * where(theta) if lobes else 0)
    return warp


def stem(top, length, thick, colour, rng, bend=0.25, end=1.3):
    """A woody stem that rises from height `top`."""
    way = rng.uniform(0, 6.28)
    path = [(bend * length * t * t * np.cos(way), top + length * t, bend * length * t * t * np.sin(way))
            for t in (0, 0.35, 0.7, 1)]
    bark = rgb(colour)

    def paint(p):
        return bark * (1 + 0.35 * noise(p * np.array([[14], [3], [14]]))) * mix(1.25, 0.75, step(0, 1, (p[1] - top) / length))
    ball = (*np.mean([path[0], path[-1]], 0), 0.62 * length + 2 * thick)
    return Part(tube(path, [thick, thick * 0.85, thick, thick * end]), paint, None, 0.3, 0.4, ball)


def leaf_green(colour, rng):
    base, shift = rgb(colour), rng.uniform(-9, 9, (3, 1))
    return lambda p: base * (1 + 0.35 * noise(p + shift, 5, 2))


def pores(count, depth, size, rng):
    """A bump of `count` dimples, as in the peel of citrus fruit."""
    nearest = spots(sphere_points(count, rng, 0.9))
    return lambda p: -depth * np.exp(-(nearest(unit(p))[0] / size) ** 2)


def apple(rng, skin, blush, cavity=0.5, stalk=0.55, streaks=0.6, cover=0.4, dots="e9d9a0"):
    w, h = rng.uniform(0.97, 1.05), rng.uniform(0.9, 1.0)
    outline = [(0, cavity), (.09, cavity + .06), (.2, .74), (.36, .87), (.55, .86), (.82, .64), (.99, .2), (.98, -.2),
               (.82, -.6), (.58, -.84), (.36, -.92), (.2, -.88), (.1, -.8), (0, -.77)]
    outline = [(r * w, y * h) for r, y in outline]
    ground, red, speck = rgb(skin), rgb(blush), rgb(dots)
    shift, side = rng.uniform(-9, 9, (3, 1)), rng.uniform(0, 6.28)
    nearest, sizes = spots(sphere_points(520, rng, 1.4)), rng.uniform(0.006, 0.026, 520)

    def paint(p):
        streak = noise(meridians(p, 6, 1.2) + shift, 1, 2) * 0.5 + noise(meridians(p, 20, 1.5) + shift, 1, 2) * 0.6
        sun = 0.5 + 0.5 * np.cos(np.arctan2(p[2], p[0]) - side)
        t = cover + 0.45 * sun + streaks * streak + 0.3 * noise(p + shift, 1.5)
        colour = mix(ground, red * (1 + 0.3 * streak), step(0.1, 0.85, t))
        rho = np.hypot(p[0], p[2])
        hollow = step(0.3, 0.08, rho + 0.08 * noise(p + shift, 6)) * (p[1] > 0)
        colour = mix(colour, mix(ground, rgb("8a6a3a"), 0.55), hollow * 0.8)              # russet in the stem's cavity
        far, which = nearest(unit(p))
        colour = mix(colour, speck, 0.5 * step(1, 0.4, far / sizes[which]))
        return mix(colour, rgb("3a2c1c"), step(0.13, 0.06, rho) * (p[1] < 0))
    parts = [Part(body(outline, lumpy(rng, 0.035, 5, 0.03, lambda t: step(1.6, 2.9, t))), paint,
                  lambda p: 0.004 * noise(p, 9), 0.75, 0.10)]
    if stalk:
        parts.append(stem(cavity * h - 0.05, stalk, 0.05, "6b4a2a", rng))
    return parts


def tomato(rng, skin="c81d11", calyx=True, ribs=0.02):
    w, h = rng.uniform(0.98, 1.06), rng.uniform(0.84, 0.93)
    outline = [(0, .72), (.12, .76), (.3, .88), (.55, .85), (.85, .6), (1, .15), (.97, -.25), (.8, -.62), (.5, -.86), (.2, -.95), (0, -.95)]
    base, shift = rgb(skin), rng.uniform(-9, 9, (3, 1))

    def paint(p):
        colour = base * (1 + 0.10 * noise(p + shift, 2, 2))
        return mix(colour, rgb("d9772b"), 0.55 * step(0.55, 0.95, p[1] / h + 0.12 * noise(p + shift, 3)))
    parts = [Part(body([(r * w, y * h) for r, y in outline], lumpy(rng, 0.02, 5, ribs, lambda t: step(1.3, 0.5, t))), paint,
                  None, 1.1, 0.03)]
    if calyx:
        green = leaf_green("4a7a22", rng)
        top = 0.79 * h
        parts += [Part(sepals(rng.integers(5, 7), lambda u: top + 0.35 * u - 0.42 * u * u + 0.12 * u ** 4, 0.75, 0.16, rng, 0.1),
                       green, None, 0.3, 0.4, (0, top, 0, 0.95)),
                  stem(top - 0.05, 0.32, 0.06, "5d7a2c", rng, 0.6)]
    return parts


def citrus(rng, outline, skin, stain, count=2400, depth=0.009, lumps=0.015, gloss=0.6, button=0.13, leaf=0, ribs=0):
    """Orange, mandarin, lemon and lime: a dimpled peel, a button where the stem was, perhaps a leaf."""
    w, h = rng.uniform(0.97, 1.03), rng.uniform(0.97, 1.03)
    base, other, shift = rgb(skin), rgb(stain), rng.uniform(-9, 9, (3, 1))
    dimple = pores(count, depth, 1.5 / count ** 0.5, rng)
    top, foot = outline[0][1] * h, outline[-1][1] * h

    def paint(p):
        colour = mix(base, other, step(-0.1, 0.9, noise(p + shift, 1.3, 2)) * 0.7)
        colour = mix(colour, other, 0.6 * step(0.75, 1.0, p[1] / top) + 0.5 * step(0.9, 1, p[1] / foot))
        return colour * (1 + 0.12 * dimple(p) / depth) * mix(1, 0.5, step(0.07, 0.03, np.hypot(p[0], p[2])) * (p[1] < 0))
    warp = lumpy(rng, lumps, 9, ribs, lambda t: step(1.3, 0.3, t))
    parts = [Part(body([(r * w, y * h) for r, y in outline], warp), paint, dimple, gloss, 0.12)]
    if button:
        parts.append(Part(sepals(5, lambda u: top + 0.01 + 0 * u, button, button * 0.7, rng, 0.5), leaf_green("6f7a35", rng),
                          None, 0.2, 0.4, (0, top, 0, button * 1.5)))
        parts.append(stem(top - 0.04, 0.07, button * 0.4, "8a7a48", rng))
    if leaf:
        parts.append(Part(sepals(1, lambda u: top + 0.06 + 0.35 * u - 0.3 * u * u, leaf, 0.33, rng, 0, 0.015),
                          leaf_green("2f6420", rng), None, 0.5, 0.2, (0, top, 0, leaf * 1.3)))
    return parts


ORANGE = [(0, .93), (.12, .94), (.3, .93), (.6, .79), (.88, .46), (1, 0), (.88, -.48), (.6, -.8), (.3, -.95), (0, -.97)]
MANDARIN = [(0, .74), (.1, .77), (.22, .76), (.5, .68), (.82, .44), (1, .05), (.93, -.33), (.66, -.62), (.35, -.72),
            (.15, -.68), (0, -.64)]
LEMON = [(0, 1.1), (.1, 1.09), (.2, 1.0), (.42, .84), (.68, .55), (.81, .12), (.79, -.2), (.66, -.58), (.42, -.86),
         (.25, -1.0), (.17, -1.14), (.08, -1.24), (0, -1.26)]
LIME = [(0, .95), (.1, .95), (.25, .92), (.5, .8), (.76, .5), (.87, .08), (.83, -.25), (.68, -.58), (.42, -.84), (.2, -.95),
        (.1, -1.04), (0, -1.06)]


def banana(rng, skin="efc21f", ends="9aa82c", bent=1.0, specks=70):
    """A bent tube with five ridges; it lies in the x-y plane, its stem on the right."""
    ring, reach, phase = 1.9 / bent, 1.55 / 1.9 * bent, rng.uniform(0, 6.28)
    thick = CubicSpline([-1, -.96, -.88, -.65, -.2, .3, .62, .76, .86, .96, 1.02],
                        np.array([.07, .1, .18, .31, .37, .36, .28, .165, .11, .105, .12]) * rng.uniform(0.92, 1.06))
    fine = np.linspace(-1, 1, 2000)
    thick = thick(fine)

    def along(p):
        x, y = p[0], ring - 0.35 - p[1]
        s = np.arctan2(x, y) / reach
        rho, z = np.hypot(x, y) - ring, p[2]
        return s, np.hypot(rho, z), np.arctan2(z, rho)

    def distance(p):
        s, rho, psi = along(p)
        surface = np.interp(s, fine, thick) * (1 - 0.07 * np.cos(5 * psi + phase) * step(1, 0.8, np.abs(s)))
        past = np.maximum(np.abs(s) - 1, 0) * reach * ring
        side = rho - surface
        return 0.7 * np.where(past > 0, np.hypot(np.maximum(side, 0), past * 0.8), side)
    base, green, brown, shift = rgb(skin), rgb(ends), rgb("4a2f16"), rng.uniform(-9, 9, (3, 1))
    s, psi = rng.uniform(-0.75, 0.6, specks), rng.uniform(0, 6.28, specks)
    r, radius = np.interp(s, fine, thick), rng.uniform(0.01, 0.035, specks)
    arm = ring + r * np.cos(psi)
    nearest = spots(np.stack([arm * np.sin(s * reach), ring - 0.35 - arm * np.cos(s * reach), r * np.sin(psi)]))

    def paint(p):
        s, rho, psi = along(p)
        colour = mix(base, green, 0.8 * step(0.5, 0.95, s + 0.1 * noise(p + shift, 3)) + 0.5 * step(-0.7, -0.95, s))
        colour = colour * (1 + 0.10 * noise(p * np.array([[3], [12], [12]]) + shift, 1, 2))
        ridge = np.exp(-((np.cos(2.5 * psi + phase / 2)) / 0.10) ** 2) * step(-0.4, 0.6, noise(p + shift, 2.5, 2))
        colour = mix(colour, brown, 0.45 * ridge + 0.5 * step(0.3, 0.75, noise(p + shift, 5, 3)) * step(-.2, .5, noise(p, 1.5)))
        far, which = nearest(p)
        colour = mix(colour, brown, 0.75 * step(1.3, 0.6, far / radius[np.minimum(which, specks - 1)]))
        return mix(colour, rgb("2b2018"), step(0.035, 0, s + 0.985 + 0.02 * noise(p, 9)) + 0.7 * step(0.975, 1, s))
    return [Part(distance, paint, lambda p: 0.006 * noise(p, 6), 0.4, 0.25)]


def stone_fruit(rng, outline, skin, tip, bloom=0.0, seam=0.03, gloss=1.0, rough=0.04, stalk=(), speckle=0.1):
    """Plum and cherry: a smooth skin with a seam, a dusty bloom or a high gloss, and a stem (length, thickness)."""
    w, h = rng.uniform(0.95, 1.05), rng.uniform(0.96, 1.05)
    base, other, dust, shift = rgb(skin), rgb(tip), rgb("a9adc9"), rng.uniform(-9, 9, (3, 1))
    uneven = lumpy(rng, 0.03)
    nearest = spots(sphere_points(300, rng, 0.9))

    def warp(d, theta, phi):
        return uneven(d, theta, phi) - seam * np.exp(-(phi / 0.13) ** 2) * np.sin(theta)

    def paint(p):
        colour = mix(base, other, step(-0.2, 0.9, noise(p + shift, 1.1, 2)))
        colour = colour * (1 + 0.15 * noise(meridians(p, 6, 2) + shift, 1, 2))
        colour = mix(colour, dust, bloom * step(-0.5, 0.8, noise(p + shift, 1.7, 3) + 0.25 * noise(p, 9)))
        colour = mix(colour, dust, speckle * step(0.03, 0.012, nearest(unit(p))[0]))
        return mix(colour, colour * 0.5, step(0.2, 0.05, np.hypot(p[0], p[2])) * (p[1] > 0))
    parts = [Part(body([(r * w, y * h) for r, y in outline], warp), paint, None, gloss, rough)]
    if stalk:
        parts.append(stem(outline[0][1] * h - 0.04, *stalk, rng, 0.35, 1.7))
    return parts


PLUM = [(0, .86), (.1, .9), (.3, .93), (.6, .76), (.83, .35), (.87, -.1), (.74, -.55), (.44, -.88), (.18, -1.0), (0, -1.02)]
CHERRY = [(0, .6), (.1, .66), (.28, .8), (.55, .79), (.84, .52), (.96, .1), (.89, -.35), (.63, -.72), (.3, -.9), (0, -.94)]


def pear(rng, skin="a9b03a", blush="b8742c", red=0.3, squat=0.0, stalk=0.55, russet=0.6):
    outline = np.array([(0, 1.36), (.1, 1.38), (.23, 1.3), (.36, 1.03), (.45, .7), (.6, .33), (.83, -.1), (.94, -.5),
                        (.86, -.9), (.6, -1.18), (.3, -1.25), (.13, -1.18), (0, -1.14)])
    outline[:, 0] *= rng.uniform(0.95, 1.03) * (1 + squat * 0.55 * step(-0.9, 0.7, outline[:, 1]) * step(1.5, 0.9, outline[:, 1]))
    outline[:, 1] *= 1 - 0.22 * squat
    top = outline[0, 1]
    base, sun_side, brown, shift = rgb(skin), rgb(blush), rgb("8a6632"), rng.uniform(-9, 9, (3, 1))
    side, nearest = rng.uniform(0, 6.28), spots(sphere_points(900, rng, 0.9))

    def paint(p):
        sun = 0.5 + 0.5 * np.cos(np.arctan2(p[2], p[0]) - side)
        colour = mix(base, sun_side, red * step(0.45, 0.95, sun + 0.2 * noise(p + shift, 2, 2)))
        colour = colour * (1 + 0.10 * noise(p + shift, 3, 2))
        patch = step(top - 0.5, top, p[1]) + 0.8 * step(-0.95, -1.2, p[1]) + 0.5 * step(0.2, 0.8, noise(p + shift, 2, 3))
        colour = mix(colour, brown, russet * np.clip(patch, 0, 1))
        far, which = nearest(unit(p))
        colour = mix(colour, rgb("6e5a24"), 0.55 * step(0.022, 0.008, far) * (which % 4 > 0))
        return mix(colour, rgb("2e2216"), step(0.15, 0.09, np.hypot(p[0], p[2])) * (p[1] < 0))
    parts = [Part(body(outline, lumpy(rng, 0.05, 3, 0.02)), paint, lambda p: 0.006 * noise(p, 8, 2), 0.45, 0.16)]
    if stalk:
        parts.append(stem(top - 0.06, stalk, 0.06, "5a4028", rng, 0.5))
    return parts


def strawberry(rng, skin="c5101a", pale="f0c9a0", shoulder=0.5, long=1.0, broad=1.0, seeds=210):
    outline = [(0, .7), (.25, .77), (.55, .73), (.82, .48), (.87, .15), (.77, -.22), (.55, -.62), (.3, -.92), (.13, -1.05), (0, -1.08)]
    outline = [(r * broad, y * (long if y < 0 else 1)) for r, y in outline]
    stretch = np.array([[1], [0.75], [1]])
    centres = sphere_points(seeds, rng, 0.35)
    nearest = spots(centres)
    red, light, gold, shift = rgb(skin), rgb(pale), rgb("d9a441"), rng.uniform(-9, 9, (3, 1))

    def achene(p):
        q = unit(p * stretch)
        far, which = nearest(q)
        fall = (q - centres[:, which])[1]
        return far, np.sqrt(np.maximum(far * far - fall * fall * 0.6, 0))                 # round pit, slender seed

    def dent(p):
        far, slim = achene(p)
        return -0.045 * np.exp(-(far / 0.075) ** 2) + 0.03 * np.exp(-(slim / 0.03) ** 2)

    def paint(p):
        far, slim = achene(p)
        colour = mix(red, light, shoulder * step(0.35, 0.75, p[1] + 0.15 * noise(p + shift, 3)))
        colour = colour * (1 + 0.15 * noise(p + shift, 2, 2)) * mix(0.75, 1, step(0.03, 0.09, far))
        return mix(colour, mix(gold, red, 0.25 + 0.25 * noise(p + shift, 2)), step(0.040, 0.026, slim))
    green = leaf_green("4f8a2a", rng)
    return [Part(body(outline, lumpy(rng, 0.07)), paint, dent, 0.9, 0.08),
            Part(sepals(rng.integers(8, 11), lambda u: 0.80 + 0.1 * u - 0.40 * u * u, 0.72, 0.19, rng, 0.15), green,
                 None, 0.3, 0.4, (0, .75, 0, 1.0)),
            stem(0.75, 0.35, 0.05, "6d8a3a", rng, 0.5)]


# What is special about the four individuals of each class, r0 to r3. Some are untypical on purpose.
PURPLE, RED = dict(outline=PLUM, bloom=.3, gloss=.6, rough=.15), dict(outline=CHERRY, seam=.02, speckle=0)
INDIVIDUALS = {
    "Apple Green": (apple, [
        dict(skin="86ab2a", blush="a0b638", streaks=.3), dict(skin="9dbb3c", blush="b9c456", streaks=.4),
        dict(skin="9ab03a", blush="b0583a", cover=-.1), dict(skin="a8b444", blush="b9b04a", cavity=.62, stalk=0)]),
    "Apple Red": (apple, [
        dict(skin="d3a84e", blush="a30f16"), dict(skin="b8443a", blush="7d0a14", cover=.7, streaks=.4),
        dict(skin="d6b85c", blush="b5242a", cover=.2, streaks=.8),
        dict(skin="cc5a2e", blush="b3140f", cover=.9, streaks=.2, cavity=.64, stalk=0, dots="d8704a")]),
    "Banana": (banana, [
        dict(), dict(skin="d9c22e", ends="7f9a2c", specks=8), dict(skin="e6b422", ends="b59a2c", specks=260),
        dict(bent=1.25, skin="f0c934")]),
    "Cherry": (stone_fruit, [
        dict(RED, skin="6e0713", tip="9c0f1c", stalk=(1.3, .045, "6f7a35")),
        dict(RED, skin="a80f1a", tip="c42a22", stalk=(1.5, .04, "7d8a3a")),
        dict(RED, skin="4a0612", tip="7a0d1c", stalk=(1.2, .045, "6a5a30")),
        dict(RED, skin="5a0a1c", tip="7a1226", gloss=.8, rough=.08)]),
    "Lemon": (citrus, [
        dict(outline=LEMON, skin="f0ca1c", stain="e2c22a", button=.08),
        dict(outline=LEMON, skin="e3cd2e", stain="a9b83a", button=.09),
        dict(outline=LEMON, skin="f4d53a", stain="e8c82c", depth=.013, count=1700, button=0),
        dict(outline=LIME, skin="e6cc2a", stain="c3c03a", button=.08)]),
    "Lime": (citrus, [
        dict(outline=LIME, skin="55791c", stain="86a03a", depth=.006, gloss=.9, button=.08),
        dict(outline=LIME, skin="8fa832", stain="c8bf3c", depth=.006, gloss=.8, button=.08),
        dict(outline=LEMON, skin="64872a", stain="98aa3c", depth=.007, gloss=.8, button=0),
        dict(outline=LIME, skin="6f922c", stain="a4b040", depth=.006, gloss=.9, button=0)]),
    "Mandarin": (citrus, [
        dict(outline=MANDARIN, skin="ee760a", stain="ee8a1c", lumps=.04, ribs=.02, leaf=.95),
        dict(outline=MANDARIN, skin="f0820f", stain="f29a2a", lumps=.05, ribs=.03),
        dict(outline=MANDARIN, skin="e8690a", stain="ec7d14", lumps=.03, button=0),
        dict(outline=ORANGE, skin="ef7c0c", stain="f08c1c", lumps=.06, ribs=.015, button=.1)]),
    "Orange": (citrus, [
        dict(outline=ORANGE, skin="ee8512", stain="f09a24", depth=.012, count=1900),
        dict(outline=ORANGE, skin="e9780e", stain="ee8a1a", depth=.012),
        dict(outline=ORANGE, skin="f2a136", stain="f0b352", count=1300, depth=.012, button=.18),
        dict(outline=MANDARIN, skin="ee8a18", stain="f0a032", depth=.011, button=0)]),
    "Pear": (pear, [
        dict(), dict(skin="c9b944", blush="b5422c", red=.8, russet=.35, stalk=.7),
        dict(skin="9fb038", squat=1, russet=.3, stalk=.4), dict(skin="b59a4a", russet=1, stalk=0)]),
    "Plum": (stone_fruit, [
        dict(PURPLE, skin="2c1030", tip="5a1636", stalk=(.3, .05, "5a4a28")),
        dict(PURPLE, skin="22122e", tip="3c1a3e", bloom=.45),
        dict(PURPLE, skin="7a1426", tip="a8362c", bloom=.12, stalk=(.25, .05, "5a4a28"), gloss=.8),
        dict(PURPLE, skin="5c0f24", tip="8a2030", bloom=.08, gloss=.9, rough=.08)]),
    "Strawberry": (strawberry, [
        dict(), dict(long=1.25, broad=.9, skin="b80d18"), dict(pale="f2dcae", shoulder=.7, broad=1.08, long=.85),
        dict(skin="a50b18", shoulder=.2, seeds=260)]),
    "Tomato": (tomato, [
        dict(), dict(ribs=.06, skin="c2200f"), dict(skin="d43a12"), dict(calyx=False, skin="bf1a12")]),
}
CLASSES = sorted(INDIVIDUALS)
LEANS = dict.fromkeys(CLASSES, (8, 42, 75, 125)) | {
    "Banana": (92, 84, 100, 12), "Cherry": (6, 30, 80, 60), "Pear": (4, 25, 78, 85), "Strawberry": (10, 45, 80, 165)}


def render(class_name, axis, frame, seed=0):
    """Image uint8 (100, 100, 3) of one fruit, and its mask bool (100, 100).

    axis: 0..3, the individual and the way it lies; frame: degrees that it has turned."""
    make, traits = INDIVIDUALS[class_name]
    rng = np.random.default_rng([seed, CLASSES.index(class_name), axis])
    lean = LEANS[class_name][axis] + rng.uniform(-6, 6)
    lie = turn(0, lean) @ turn(1, rng.uniform(0, 360))
    spin = turn(1, frame + rng.uniform(0, 360))
    height = np.radians((58 if class_name == "Banana" else 28) + rng.uniform(-6, 6))   # end-on, a banana is a riddle
    studio_axes = np.array([[0, 1, 0], [0, np.sin(height), np.cos(height)], [-.6, .75, .55]]).T
    pose = Pose(*(unit((spin @ lie).T @ studio_axes).T[:, :, None]))
    exposure, warmth = rng.uniform(0.9, 1.06), rng.uniform(-0.02, 0.02)
    return photograph(make(rng, **traits[axis]), pose, exposure, (1 + warmth, 1, 1 - warmth))


# --- The image set ---------------------------------------------------------------------------------------------------

# Pairs that a tired sorter might exchange.
SLIPS = [("Apple Green", "Pear"), ("Apple Red", "Tomato"), ("Cherry", "Plum"), ("Lemon", "Lime"), ("Mandarin", "Orange"),
         ("Strawberry", "Tomato")]


def split(frame):
    """The split of a frame: every third of a turn is kept for testing."""
    return "Test" if frame // 24 % 3 == 1 else "Training"


def plan(seed=0):
    """The set as {path: (class, axis, frame) to render}, and the list of its planted faults.

    Four pictures stand under a wrong label: they were taken between two frames of their own turn and replace a picture
    of the folder that they fell into. Two pictures stand under two labels, byte for byte."""
    def path(name, axis, frame):
        return f"{split(frame)}/{name}/r{axis}_{frame}_100.jpg"
    pictures = {path(*key): key for key in ((n, a, f) for n in CLASSES for a in range(4) for f in FRAMES)}
    rng, faults = np.random.default_rng([seed, 6]), []
    slips = [rng.permutation(SLIPS[i]).tolist() for i in rng.permutation(6)]
    for (true, wrong), kind, part in zip(slips, ["wrong label"] * 4 + ["two labels"] * 2,
                                         ["Test", "Test", "Test", "Training", "Test", "Training"]):
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


def write_picture(job):
    """Render one picture; write it and its mask."""
    path, key = job
    image, mask = render(*key)
    target = HERE / "mini-fruits" / path
    stencil = (HERE / "mini-fruits/Masks" / path).with_suffix(".png")
    for file in (target, stencil):
        file.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(jpeg(image))
    Image.fromarray(mask).convert("1").save(stencil, optimize=True)


def write_manifest():
    """List every data file with its size and checksum, by licence and the script that made it, in manifest.json."""
    def entries(files):
        return {f.relative_to(HERE).as_posix(): [f.stat().st_size, hashlib.sha256(f.read_bytes()).hexdigest()]
                for f in sorted(files) if f.is_file()}
    groups = [("data/render.py", [*HERE.glob("mini-fruits/**/*"), HERE / "planted.json"]),
              ("data/pretrain.py", [HERE / "mini-backbone.weights.h5"])]
    listed = [{"source": source, "licence": "CC0-1.0", "files": entries(files)} for source, files in groups]
    text = json.dumps({"columns": ["bytes", "sha256"], "groups": listed}, indent=1)
    text = re.sub(r"\[\s+(\d+),\s+(\S+)\s+\]", r"[\1, \2]", text)
    (HERE / "manifest.json").write_text(text + "\n")


def contact_sheet(target, frames=(0, 96, 192, 288), zoom=2):
    """Paste some frames of every turn onto one sheet, a class in each row."""
    paths = [HERE / f"mini-fruits/{split(f)}/{name}/r{axis}_{f}_100.jpg"
             for name in CLASSES for axis in range(4) for f in frames]
    pictures = np.stack([np.asarray(Image.open(path)) for path in paths])
    sheet = pictures.reshape(len(CLASSES), -1, SIZE, SIZE, 3).transpose(0, 2, 1, 3, 4).reshape(len(CLASSES) * SIZE, -1, 3)
    Image.fromarray(sheet).resize((sheet.shape[1] * zoom, sheet.shape[0] * zoom), Image.LANCZOS).save(target)


def main():
    """Do what the command line asks for; by default, write the whole image set."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--contact-sheet", metavar="PATH", help="write a sheet of the pictures, and nothing else")
    parser.add_argument("--manifest", action="store_true", help="write manifest.json, and nothing else")
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
