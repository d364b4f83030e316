"""Small analyses made by arithmetic, whose values a test can foretell."""

from pathlib import Path

import numpy as np
from PIL import Image

import camkit

ROOT = Path(__file__).resolve().parents[1]
NAMES = ["Ant", "Bee", "Cat"]
LABELS = np.array([0, 0, 0, 1, 1, 2, 2, 2])
# Errors: two Ants and two Cats taken for Bee, a Bee taken for Ant.
PREDICTED = np.array([0, 1, 1, 1, 0, 2, 1, 1])


def image_set(folder, labels=LABELS, names=NAMES):
    """Pictures of noise, 30 x 20, and their set."""
    for i, label in enumerate(labels):
        target = folder / names[label] / f"{i}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.random.default_rng(i).integers(0, 256, (20, 30, 3), "uint8")).save(
            target
        )
    return camkit.load_images(folder, None)


def analysis_of(images, predicted=PREDICTED, names=NAMES, cells=(2, 4), step=1.0):
    """Maps whose mean plus the bias is the logit, the predicted class ahead by 1, 2, 3, ... steps
    in the logit.
    """
    n, c = len(images), len(names)
    maps = np.random.default_rng(1).normal(size=(n, *cells, c)).astype("float16").astype("float32")
    bias = np.linspace(0.5, -0.5, c).astype("float32")
    logits = np.zeros((n, c), "float32")
    logits[np.arange(n), predicted] = step * np.arange(1, n + 1)
    maps += (logits - bias - maps.mean(axis=(1, 2)))[:, None, None]
    probs = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    gap = np.random.default_rng(2).normal(size=(n, 6)).astype("float32")
    paths = [str(path) for path in images.paths]
    every = np.broadcast_to(np.arange(c), (n, c))
    return camkit.Analysis(
        images.root, gap, maps, logits, probs, images.labels, bias, paths, list(names), every
    )
