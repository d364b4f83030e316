"""Small analyses made by arithmetic, whose values a test can foretell."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

import camkit

ROOT = Path(__file__).resolve().parents[1]
NAMES = ["Ant", "Bee", "Cat"]
LABELS = np.array([0, 0, 0, 1, 1, 2, 2, 2])
# Errors: two Ants and two Cats taken for Bee, a Bee taken for Ant.
PREDICTED = np.array([0, 1, 1, 1, 0, 2, 1, 1])

# The part of each predicted class in `marked_analysis`, as x, y, width and height, and its pixels:
# rows 5 to 10, columns 6 to 18 of 20 x 30 pixels, with a hole on its edge.
BOX = [6, 5, 12, 5]
MASK = np.zeros((20, 30), dtype=bool)
MASK[5:10, 6:18] = True
MASK[5:8, 10:15] = False


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


def marked_analysis(folder):
    """An analysis with metadata, whose maps mark a part of each image, and a smaller one in it."""
    images = image_set(folder)
    analysis = analysis_of(images, cells=(20, 30), step=0.1)
    maps = np.zeros_like(analysis.maps)
    maps[np.arange(8), ..., PREDICTED] = MASK
    maps[np.arange(8), 6, 12, PREDICTED] = 1
    metadata = pd.DataFrame({"camera": ["old", None] * 4, 3: range(8)})
    return replace(analysis, maps=maps, metadata=metadata, root=images.root)
