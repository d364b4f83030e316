"""Pretrain the embedded backbone on rendered objects that are none of the twelve fruits.

    python data/make/pretrain.py            # about 20 minutes on 2 cores; writes data/mini-backbone.weights.h5

Every picture holds one to four shaded objects (vases, dice, cones, mugs, gears, ...) with a procedural texture in
two colours, on white or on clutter. The network learns to tell, from the features averaged over one object's
cells, its shape, texture, two colours and gloss: softmax heads on (masked) global average pooling. Cells on the
background are asked to be silent, so that later a class activation map lights on the fruit and not beside it.
"""

import argparse
import os
import sys
import time
from multiprocessing import Pool
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parents[1]
SIZE, CELL, CELLS, OBJECTS = (
    100,
    8,
    13,
    4,
)  # pixels; a map cell is 8 pixels wide; at most 4 objects a picture
SHAPES = (
    "ellipsoid",
    "cushion",
    "box",
    "gem",
    "nut",
    "cone",
    "can",
    "vase",
    "mushroom",
    "ring",
    "gear",
    "button",
    "shell",
    "mug",
    "dumbbell",
    "blade",
    "flower",
    "lollipop",
    "pebble",
)
TEXTURES = (
    "plain",
    "stripes",
    "checks",
    "dots",
    "speckles",
    "clouds",
    "marble",
    "scales",
    "blend",
    "rings",
    "bumps",
    "pits",
    "patches",
    "spikes",
)
HUES, GREYS = 18, 3
COLOURS = 2 * HUES + GREYS  # dark and bright of each hue, and the greys
GLOSS = 3
HEADS = {
    "shape": len(SHAPES),
    "texture": len(TEXTURES),
    "base": COLOURS,
    "accent": COLOURS,
    "gloss": GLOSS,
}


def rotation(rng):
    """A random 3-D rotation matrix (3, 3), from the QR decomposition of Gaussian numbers."""
    q, r = np.linalg.qr(rng.normal(size=(3, 3)))
    return q * np.sign(np.diag(r))


def convex(normals, offsets, x, y):
    """Height and silhouette of the convex body n·p <= d, seen along z."""
    normals = np.where(np.abs(normals) < 1e-3, 1e-3, normals)
    planes = (offsets - x[..., None] * normals[:, 0] - y[..., None] * normals[:, 1]) / normals[:, 2]
    front, back = planes[..., normals[:, 2] > 0].min(-1), planes[..., normals[:, 2] < 0].max(-1)
    return front, front > back


def turned(width, x):
    """Height and silhouette of a body of revolution about y with radius `width` (given at every pixel)."""
    return np.sqrt(np.maximum(width**2 - x**2, 0)), np.abs(x) < width


def shape(name, rng, x, y):
    """Height (towards the viewer) and silhouette of a shape over the square x, y in -1..1."""
    u, r, angle = rng.uniform, np.hypot(x, y), np.arctan2(y, x)
    inflate = lambda t, p=2.0: np.maximum(1 - np.maximum(t, 0) ** p, 0) ** 0.5  # noqa: E731
    if name == "ellipsoid":
        t = np.hypot(x, y / u(0.6, 1))
        return inflate(t), t < 1
    if name == "cushion":
        p = u(3.5, 8)
        t = (np.abs(x) ** p + np.abs(y / u(0.6, 1)) ** p) ** (1 / p)
        return 0.7 * inflate(t, u(3, 8)), t < 1
    if name == "box":
        half = 0.57 * np.array([1, u(0.6, 1), u(0.6, 1)])
        axes = rotation(rng)
        return convex(np.concatenate([axes, -axes]), np.concatenate([half, half]), x, y)
    if name == "gem":
        signs = np.array([[a, b, c] for a in (-1, 1) for b in (-1, 1) for c in (-1, 1)]) / 3**0.5
        return convex(signs @ rotation(rng), np.full(8, 0.55), x, y)
    if name == "nut":
        turns = np.arange(6) * np.pi / 3
        sides = np.stack([np.cos(turns), np.sin(turns), 0 * turns], 1)
        normals = np.concatenate([sides, [[0, 0, 1], [0, 0, -1]]]) @ rotation(rng)
        return convex(normals, np.r_[np.full(6, 0.75), 2 * [u(0.25, 0.5)]], x, y)
    if name == "cone":
        return turned(np.where(np.abs(y) < 0.95, (y + 1) * u(0.25, 0.42), 0), x)
    if name == "can":
        return turned(np.where(np.abs(y) < 0.95, u(0.4, 0.7) + 0.04 * (np.abs(y) > 0.85), 0), x)
    if name == "vase":
        a, b, c = u(0.1, 0.25), u(2.5, 4.5), u(-0.5, 1.0)
        return turned(
            np.where(np.abs(y) < 0.97, u(0.35, 0.5) + a * np.sin(b * y + c) - 0.1 * y, 0), x
        )
    if name == "mushroom":
        edge = u(-0.1, 0.3)
        cap = u(0.8, 1) * np.sqrt(np.maximum(1 - ((y - edge) / (0.95 + edge)) ** 2, 0))
        return turned(np.where(y < edge, cap, np.where(y < 0.95, u(0.2, 0.3), 0)), x)
    if name == "ring":
        thick, tilt = u(0.15, 0.3), u(0.55, 1)
        t = np.hypot(x, y / tilt) - (1 - thick)
        return np.sqrt(np.maximum(thick**2 - t**2, 0)), np.abs(t) < thick
    if name == "gear":
        t = r / (0.85 + 0.13 * np.tanh(4 * np.sin(angle * rng.integers(7, 13))))
        return 0.3 * inflate(t, 8), (t < 1) & (r > u(0.15, 0.3))
    if name == "button":
        n, turn = rng.integers(2, 5), u(0, 6)
        holes = [
            np.hypot(
                x - 0.3 * np.cos(turn + k * 2 * np.pi / n),
                y - 0.3 * np.sin(turn + k * 2 * np.pi / n),
            )
            for k in range(n)
        ]
        return 0.3 * inflate(r, 6) + 0.1 * np.tanh(12 * (r - 0.75)), (r < 1) & (
            np.min(holes, 0) > 0.12
        )
    if name == "shell":
        edge = 0.75 + 0.25 * np.cos(angle + np.pi / 2)
        ribs = 0.06 * np.sin(rng.integers(9, 16) * 2 * np.arctan2(x, y + 1.3))
        return inflate(r / edge) * (0.6 + ribs), r / edge < 1
    if name == "mug":
        body, inside = turned(np.where(np.abs(y) < 0.9, u(0.5, 0.6), 0), x + 0.3)
        t = np.hypot(x - 0.35, y / 1.2) - 0.42
        handle = np.sqrt(np.maximum(0.12**2 - t**2, 0))
        return np.where(inside, body, handle), inside | ((np.abs(t) < 0.12) & (x > 0.2))
    if name == "dumbbell":
        a, b = u(0.35, 0.5), u(0.35, 0.5)
        balls = np.maximum(a**2 - (x - 0.5) ** 2 - y**2, b**2 - (x + 0.5) ** 2 - y**2)
        bar = np.where(np.abs(x) < 0.5, 0.15**2 - y**2, -1)
        z = np.maximum(balls, bar)
        return np.sqrt(np.maximum(z, 0)), z > 0
    if name == "blade":
        edge = u(0.3, 0.5) * (1 - np.abs(x) ** 2)
        return 0.15 * np.abs(np.sin(8 * (x - np.abs(y)))) + 0.2 * np.abs(y), np.abs(y) < edge
    if name == "flower":
        t = r / (0.75 + 0.25 * np.cos(angle * rng.integers(5, 9)))
        return np.where(r < 0.3, 0.5 * inflate(r / 0.4), 0.3 * inflate(t)), t < 1
    if name == "lollipop":
        ball = 0.6**2 - x**2 - (y + 0.38) ** 2
        stick = np.where((y > 0) & (y < 1), 0.07**2 - x**2, -1)
        return np.sqrt(np.maximum(np.maximum(ball, stick), 0)), np.maximum(ball, stick) > 0
    lumps = sum(u(0, 0.25) / k * np.cos(k * angle + u(0, 6)) for k in range(2, 6))  # pebble
    t = r / (0.8 + lumps)
    return inflate(t, u(1.5, 4)), t < 1


def clouds(points, rng, frequency, waves=6):
    """Smooth noise of about unit range: a sum of random plane waves, one warping the next."""
    noise = 0
    for _ in range(waves):
        noise = (
            np.sin(points @ (frequency * rng.normal(size=3)) + rng.uniform(0, 6) + 1.3 * noise)
            * 0.8
        )
    return noise


def nearest(points, rng, count):
    """Distances to the nearest and second nearest of `count` random seeds (the cells of Worley's texture)."""
    seeds = rng.uniform(-1, 1, (count, 3))
    seeds /= np.maximum(np.linalg.norm(seeds, axis=1, keepdims=True), 0.3)
    square = (points**2).sum(-1)[..., None] - 2 * points @ seeds.T + (seeds**2).sum(-1)
    two = np.partition(square, 1, axis=-1)[..., :2]
    return np.sqrt(np.maximum(two, 0)), square


def texture(name, rng, points):
    """Share of the accent colour (0..1) and relief (height) of a solid texture at points (..., 3)."""
    u, flat = rng.uniform, 0.0
    steep = lambda v, k=12: 0.5 + 0.5 * np.tanh(k * v)  # noqa: E731
    axis = points @ rotation(rng)
    if name == "plain":
        return np.zeros(points.shape[:-1]), flat
    if name == "stripes":
        return steep(np.sin(axis[..., 0] * u(6, 18) + 0.5 * clouds(points, rng, 1, 2)), 5), flat
    if name == "checks":
        return steep(np.sin(axis * u(5, 11)).prod(-1)), flat
    if name == "dots":
        two, _ = nearest(points, rng, rng.integers(25, 70))
        return steep(u(0.12, 0.2) - two[..., 0], 25), flat
    if name == "speckles":
        return steep(clouds(points, rng, u(14, 25), 4) - u(0.3, 0.6), 5), flat
    if name == "clouds":
        return 0.5 + 0.6 * clouds(points, rng, u(1.2, 3), 4), flat
    if name == "marble":
        return np.abs(
            np.sin(axis[..., 0] * u(3, 6) + 2.5 * clouds(points, rng, u(1.5, 3), 4))
        ) ** 3, flat
    if name == "scales":
        two, _ = nearest(points, rng, rng.integers(50, 110))
        return steep(0.06 - (two[..., 1] - two[..., 0]), 20), -0.15 * two[..., 0]
    if name == "blend":
        return steep(axis[..., 0] + u(-0.4, 0.4) + 0.15 * clouds(points, rng, 3, 3), u(1, 4)), flat
    if name == "rings":
        return steep(np.sin(np.hypot(axis[..., 0], axis[..., 1]) * u(10, 24)), 4), flat
    if name == "bumps":
        two, _ = nearest(points, rng, rng.integers(40, 90))
        return 0.4 * steep(0.1 - two[..., 0]), 0.2 * np.maximum(0.16 - two[..., 0], 0) / 0.16
    if name == "pits":
        wave = np.sin(axis * u(14, 26)).prod(-1)
        return 0.35 * np.abs(wave), -0.05 * np.abs(wave)
    if name == "patches":
        _, square = nearest(points, rng, rng.integers(8, 30))
        return (square.argmin(-1) % 2).astype(float), flat
    two, _ = nearest(points, rng, rng.integers(60, 120))  # spikes
    return np.maximum(1 - two[..., 0] / 0.12, 0), 0.25 * np.maximum(1 - two[..., 0] / 0.12, 0)


def colour(rng):
    """A random RGB colour (3,) in 0..1 and its class: hue and lightness, or one of three greys."""
    if rng.random() < 0.12:
        level = rng.integers(GREYS)
        return np.clip(
            (0.15, 0.5, 0.85)[level] + rng.uniform(-0.12, 0.12) + rng.normal(0, 0.02, 3), 0, 1
        ), 2 * HUES + int(level)
    hue, bright = rng.uniform(), int(rng.integers(2))
    value = rng.uniform(0.3, 0.62) if not bright else rng.uniform(0.68, 1)
    rgb = np.clip(np.abs((hue * 6 + np.array([0, 4, 2])) % 6 - 3) - 1, 0, 1)
    return value * (1 - rng.uniform(0.45, 1) * (1 - rgb)), 2 * int(hue * HUES) + bright


def blur(a, radius):
    """A (h, w) array averaged over a (2 radius + 1)² box, twice."""
    for _ in range(2):
        for axis in (0, 1):
            pad = [(0, 0), (0, 0)]
            pad[axis] = (radius + 1, radius)
            c = np.cumsum(np.pad(a, pad, mode="edge"), axis)
            n = a.shape[axis]
            hi, lo = np.arange(n) + 2 * radius + 1, np.arange(n)
            a = (c.take(hi, axis) - c.take(lo, axis)) / (2 * radius + 1)
    return a


def thing(rng, pixels):
    """One object in a square of `pixels`: RGB (n, n, 3), coverage (n, n), and its label for every head."""
    label = {
        "shape": int(rng.integers(len(SHAPES))),
        "texture": int(rng.integers(len(TEXTURES))),
        "gloss": int(rng.integers(GLOSS)),
    }
    (base, label["base"]), (accent, label["accent"]) = colour(rng), colour(rng)
    name = TEXTURES[label["texture"]]
    if name == "plain":
        accent, label["accent"] = base, label["base"]
    turn, axis = rng.uniform(-np.pi, np.pi), (np.arange(pixels) + 0.5) / pixels * 2.1 - 1.05
    gx, gy = np.meshgrid(axis, axis)
    x, y = gx * np.cos(turn) + gy * np.sin(turn), gy * np.cos(turn) - gx * np.sin(turn)
    z, inside = shape(SHAPES[label["shape"]], rng, x, y)
    share, relief = texture(name, rng, np.stack([x, y, z], -1) @ rotation(rng))
    share = np.clip(share, 0, 1)[..., None]
    down, across = np.gradient(z + relief, axis[1] - axis[0])
    normal = np.stack([-across, -down, np.ones_like(z)], -1)
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    light = np.array([rng.uniform(-0.8, 0.8), rng.uniform(-0.9, 0.4), 1.0])
    light /= np.linalg.norm(light)
    half = light + [0, 0, 1]
    half /= np.linalg.norm(half)
    ambient = rng.uniform(0.3, 0.6)
    lit = ambient + (1.08 - ambient) * np.maximum(normal @ light, 0)
    power, strength = ((1, 0), (14, 0.25), (60, 0.8))[label["gloss"]]
    shine = strength * rng.uniform(0.7, 1.2) * np.maximum(normal @ half, 0) ** power
    rgb = ((1 - share) * base + share * accent) * lit[..., None] * rng.uniform(
        0.93, 1.05, 3
    ) + shine[..., None]
    return np.clip(rgb, 0, 1), blur(inside.astype(float), 1) if pixels > 20 else inside * 1.0, label


def background(rng):
    """A (100, 100, 3) background: white (half of them), pale or coloured with a gradient, or clutter."""
    kind, axis = rng.random(), np.linspace(-1, 1, SIZE)
    if kind < 0.5:
        return np.ones((SIZE, SIZE, 3))
    gx, gy = np.meshgrid(axis, axis)
    slope = (gx * rng.uniform(-1, 1) + gy * rng.uniform(-1, 1))[..., None]
    if kind < 0.65:
        return np.clip(
            rng.uniform(0.85, 1) + 0.06 * slope + rng.normal(0, 0.01, 3), 0, 1
        ) * np.ones((1, 1, 3))
    rgb, _ = colour(rng)
    if kind < 0.8:
        return np.clip(rgb + 0.2 * slope, 0, 1)
    name = TEXTURES[rng.integers(1, len(TEXTURES))]
    share, _ = texture(
        name, rng, np.stack([gx, gy, 0 * gx], -1) * rng.uniform(0.8, 2.5) + rng.normal(size=3) * 0.3
    )
    share = np.clip(share, 0, 1)[..., None]
    scene = (1 - share) * rgb + share * colour(rng)[0] + 0.15 * slope
    for _ in range(rng.integers(0, 6)):
        a, b = sorted(rng.integers(0, SIZE, 2)), sorted(rng.integers(0, SIZE, 2))
        scene[a[0] : a[1], b[0] : b[1]] = (
            0.5 * scene[a[0] : a[1], b[0] : b[1]] + 0.5 * colour(rng)[0]
        )
    return np.clip(scene, 0, 1)


def picture(seed):
    """One training picture: uint8 RGB (100, 100, 3), coverage of its objects by map cells, uint8 (4, 13, 13),
    and their labels, int8 (4, heads), -1 where there is no object."""
    rng = np.random.default_rng(seed)
    kind = rng.random()
    if kind < 0.6:  # one object, mostly large; or two to four smaller ones
        sizes = [rng.integers(76, 101) if kind < 0.45 else rng.integers(36, 76)]
    else:
        sizes = rng.integers(32, 58, rng.integers(2, OBJECTS + 1))
    scene, owner = background(rng), np.full((SIZE, SIZE), -1)
    labels = np.full((OBJECTS, len(HEADS)), -1, np.int8)
    for k, pixels in enumerate(sizes):
        rgb, cover, label = thing(rng, int(pixels))
        for _ in range(8):  # a place that hides little of the others
            top, left = rng.integers(0, SIZE - pixels + 1, 2)
            here = np.s_[top : top + pixels, left : left + pixels]
            if ((owner[here] >= 0) & (cover > 0.5)).mean() < 0.1:
                break
        if rng.random() < 0.6:
            shadow = np.zeros((SIZE + 2 * pixels, SIZE + 2 * pixels))
            down, right = (
                pixels + top + int(pixels * rng.uniform(0.03, 0.12)),
                pixels + left + rng.integers(-4, 5),
            )
            shadow[down : down + pixels, right : right + pixels] = cover
            shadow = blur(shadow[pixels:-pixels, pixels:-pixels], int(rng.integers(2, 6)))
            scene = scene * (1 - rng.uniform(0.2, 0.55) * shadow[..., None])
        scene[here] = scene[here] * (1 - cover[..., None]) + rgb * cover[..., None]
        owner[here][cover > 0.5] = k
        labels[k] = [label[head] for head in HEADS]
    scene = scene + rng.normal(0, rng.uniform(0, 0.02), scene.shape)
    side = CELL * CELLS
    cover = np.zeros((OBJECTS, side, side))
    cover[:, :SIZE, :SIZE] = owner == np.arange(OBJECTS)[:, None, None]
    cover = cover.reshape(OBJECTS, CELLS, CELL, CELLS, CELL).mean((2, 4))
    labels[cover.sum((1, 2)) < 2] = -1
    return (
        (np.clip(scene, 0, 1) * 255 + 0.5).astype(np.uint8),
        (cover * 255).astype(np.uint8),
        labels,
    )


def render(count, seed, folder):
    """Pictures, coverage and labels of `count` seeded pictures, rendered on all cores once and kept in `folder`."""
    file = folder / f"pretrain-{seed}-{count}.npz"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        start, done = time.time(), []
        with Pool(
            len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        ) as pool:
            for one in pool.imap(picture, [(seed, i) for i in range(count)], chunksize=50):
                done.append(one)
                if len(done) % 1000 == 0:
                    print(
                        f"rendered {len(done)}/{count} pictures, {time.time() - start:.0f} s",
                        flush=True,
                    )
        part = file.with_suffix(".part.npz")
        np.savez(part, **dict(zip(("images", "cover", "labels"), map(np.stack, zip(*done)))))
        part.replace(file)
    with np.load(file) as data:
        return data["images"], data["cover"], data["labels"]


def pretraining_model(backbone):
    """A model from {images, cover} to the heads' logits (n, 4, classes) and the loudness of the background (n, 1)."""
    import keras
    from keras import layers, ops

    cover = keras.Input((OBJECTS, CELLS, CELLS), name="cover")
    features = backbone.output
    share = cover / (ops.sum(cover, (2, 3), keepdims=True) + 1e-3)
    pooled = ops.einsum("nyxk,noyx->nok", features, share)  # GAP over the cells of one object
    outputs = {head: layers.Dense(n, name=head)(pooled) for head, n in HEADS.items()}
    empty, filled, loud = ops.max(cover, 1) < 0.01, ops.max(cover, 1) > 0.5, ops.mean(features, -1)
    mean = lambda on: (
        ops.sum(loud * ops.cast(on, loud.dtype), (1, 2))
        / (  # noqa: E731
            ops.sum(ops.cast(on, loud.dtype), (1, 2)) + 1e-3
        )
    )
    outputs["background"] = ops.expand_dims(mean(empty) / (mean(filled) + 1e-2), -1)
    return keras.Model([backbone.input, cover], outputs)


def level_channels(backbone, images):
    """Scale the channels of the last stage so that every GAP feature of `images` has standard deviation 1.

    A ReLU network scales: multiply what a residual stage adds up by s > 0 (gamma and beta of the normalisations
    before each sum), divide the kernels that read it by s, and only the output changes, by s. A new head then
    learns equally fast from every channel.
    """
    import keras

    convolutions = [layer for layer in backbone.layers if isinstance(layer, keras.layers.Conv2D)]
    norms = [
        layer for layer in backbone.layers if isinstance(layer, keras.layers.BatchNormalization)
    ]
    stage = [i for i, layer in enumerate(convolutions) if layer.filters == convolutions[-1].filters]
    gap = np.concatenate(
        [
            backbone(images[i : i + 64], training=False).numpy().mean((1, 2))
            for i in range(0, len(images), 64)
        ]
    )
    scale = 1 / np.maximum(gap.std(0), 0.02 * gap.std(0).mean())
    for i in stage[0::2]:  # what is added up: first unit, then branches
        norms[i].gamma.assign(norms[i].gamma.numpy() * scale)
        norms[i].beta.assign(norms[i].beta.numpy() * scale)
    for i in stage[1::2]:  # what reads the sum
        convolutions[i].kernel.assign(convolutions[i].kernel.numpy() / scale[:, None])
    return gap


def main():
    """Render, train, level the channels, and write the weights."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument(
        "--pictures", type=int, default=16000, help="training pictures (default %(default)s)"
    )
    options.add_argument(
        "--epochs", type=int, default=4, help="passes over them (default %(default)s)"
    )
    options.add_argument("--output", type=Path, default=HERE / "mini-backbone.weights.h5")
    options = options.parse_args()
    images, cover, labels = render(options.pictures, 1, HERE.parent / "build")
    held_out = render(1000, 2, HERE.parent / "build")

    sys.path.insert(0, str(HERE.parent))
    import keras

    from camkit.models.classifier import (
        _mini,
    )  # before Keras, so that TensorFlow's start-up is quiet

    keras.utils.set_random_seed(0)
    batch = 32
    steps = len(images) // batch * options.epochs

    class Batches(keras.utils.PyDataset):
        """Shuffled batches, each flipped and transposed at random."""

        def __init__(self, images, cover, labels, seed):
            super().__init__()
            self.arrays, self.rng = (images, cover, labels), np.random.default_rng(seed)
            self.on_epoch_end()

        def on_epoch_end(self):
            self.order = self.rng.permutation(len(self.arrays[0]))

        def __len__(self):
            return len(self.order) // batch

        def __getitem__(self, index):
            here = self.order[index * batch : (index + 1) * batch]
            x, c, y = (a[here] for a in self.arrays)
            c = c / np.float32(255)
            across, down = self.rng.choice([-1, 1], 2)
            x, c = x[:, ::down, ::across], c[:, :, ::down, ::across]
            if self.rng.random() < 0.5:
                x, c = x.swapaxes(1, 2), c.swapaxes(2, 3)
            x = np.clip(x * self.rng.uniform(0.9, 1.1, (batch, 1, 1, 1)).astype("float32"), 0, 255)
            targets = {head: y[..., i].astype("int32") for i, head in enumerate(HEADS)}
            return (x, c), targets | {"background": np.zeros((batch, 1), "float32")}

    backbone = _mini((None, None, 3))
    for layer in backbone.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.9  # the run is short: its averages must follow
    model = pretraining_model(backbone)
    entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=-1)
    rate = keras.optimizers.schedules.CosineDecay(
        1e-4, steps - steps // 20, 0.01, warmup_target=3e-3, warmup_steps=steps // 20
    )
    model.compile(
        keras.optimizers.AdamW(rate, weight_decay=0.01),
        {head: entropy for head in HEADS} | {"background": "mean_absolute_error"},
        loss_weights=dict.fromkeys(HEADS, 1.0) | {"background": 0.5},
        jit_compile=False,
    )
    model.fit(Batches(images, cover, labels, 0), epochs=options.epochs, verbose=2)

    x, c, y = held_out
    said = model.predict([x.astype("float32"), c / np.float32(255)], batch_size=50, verbose=0)
    for i, head in enumerate(HEADS):
        there = y[..., i] >= 0
        print(
            f"{head}: {100 * (said[head].argmax(-1) == y[..., i])[there].mean():.1f} % of new objects right"
        )
    print(f"background: {said['background'].mean():.3f} of the objects' activation")
    gap = level_channels(backbone, images[:1024].astype("float32"))
    print(
        "GAP features before levelling: mean %.3f, standard deviation %.3f to %.3f"
        % (gap.mean(), gap.std(0).min(), gap.std(0).max())
    )
    backbone.save_weights(options.output)
    print(f"wrote {options.output} ({options.output.stat().st_size / 1e6:.2f} MB)")


if __name__ == "__main__":
    main()
