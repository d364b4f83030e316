"""Images of poor quality: dark, bright, blurry, uniform, of an odd size or shape, gray.

Measures and limits are those of cleanvision 0.3.7 (`cleanvision.issue_managers.image_property`),
and a measure that holds for more than half of the images says nothing of a single one
(`max_prevalence` of `Imagelab.report`). There are four differences. A file of gray samples is
measured as the same image in RGB. Images are gray if no pixel has a colour, whatever the mode of
the file. An image of an odd size is also a fifth larger or smaller than the median. And an image
is also blurry if it has far weaker edges than the others: on a plain background, cleanvision finds
no blur.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd
from PIL import Image, ImageFilter, ImageStat

from camkit.faults._images import Fault, percent

# An image is dark if 99 % of its pixels are darker than this share of white.
DARK = 0.32

# An image is bright if 95 % of its pixels are brighter than this share of white.
BRIGHT = 0.95

# The entropy in bits below which an image is uniform. A photograph has 6 to 9.
LEAST_ENTROPY = 3.0

# The longer side at which edges are measured, and the sharpness below which an image is blurry.
BLUR_SIDE = 64
LEAST_SHARPNESS = 0.29

# An image whose edges are weaker than usual by more than so many interquartile ranges (on
# logarithms) is blurry among the others.
BLUR_RANGES = 3

# The share of its range above which the histogram's deviation counts as sharpness: an image with
# few levels, such as a drawing, is not blurry for having few edges.
LEAST_DEVIATION = 0.18

# The shorter side is at least this share of the longer one.
LEAST_RATIO = 0.35

# Sizes are usual within so many interquartile ranges of the quartiles, and within a fifth of the
# median.
SIZE_RANGES = 3
SIZE_FACTOR = 1.2

# The channels of a gray image differ by at most this many levels.
GRAY_LEVELS = 2

# The longer side at which brightness is measured.
SIDE = 256

# A measure for more than this share of the images says nothing of a single one.
MOST = 0.5

QUALITY = ["dark", "bright", "blurry", "uniform", "odd size", "odd shape", "gray"]


class Measures(NamedTuple):
    """What is measured of an image.

    Attributes:
        width: The width in the file, in pixels.
        height: The height in the file.
        dark: The brightness that 99 % of the pixels do not exceed, 0..1.
        bright: The brightness that 95 % of the pixels exceed, 0..1.
        sharpness: The strength of edges at 64 pixels, 0..1.
        detail: The deviation of edges at 64 pixels, as a share of that of the image.
        entropy: The entropy of the histogram of all channels, in bits.
        spread: The largest difference of the channels of a pixel, in levels.
    """

    width: int
    height: int
    dark: float
    bright: float
    sharpness: float
    detail: float
    entropy: float
    spread: int


def measure(image: Image.Image, extent: tuple[int, int]) -> Measures:
    """Return the measures of an RGB image whose file has the given (width, height)."""
    small = image.copy()
    small.thumbnail((SIDE, SIDE), Image.Resampling.BILINEAR)
    pixels = np.asarray(small, "float32")
    red, green, blue = np.moveaxis(pixels, 2, 0)
    brightness = np.sqrt(0.241 * red**2 + 0.691 * green**2 + 0.068 * blue**2) / 255
    bright, dark = np.percentile(brightness, (5, 99))
    spread = pixels.max(axis=2) - pixels.min(axis=2)
    width, height = extent
    sharpness, detail = _sharpness(image)
    return Measures(
        width,
        height,
        float(dark),
        float(bright),
        sharpness,
        detail,
        image.entropy(),
        int(spread.max()),
    )


def _sharpness(image: Image.Image) -> tuple[float, float]:
    """Return the sharpness and the detail of an RGB image, see `Measures`."""
    reduction = max(image.width, image.height) / BLUR_SIDE
    if reduction > 1:
        width = max(int(image.width // reduction), 1)
        height = max(int(image.height // reduction), 1)
        image = image.resize((width, height))
    gray = image.convert("L")
    edges = gray.filter(ImageFilter.FIND_EDGES)
    edge_deviation = np.sqrt(ImageStat.Stat(edges).var[0])
    edge_strength = 1 - np.exp(-0.01 * edge_deviation)
    levels = 1 - np.exp(-0.01 * np.std(gray.histogram()))
    if levels <= LEAST_DEVIATION:
        levels = 0

    # The filter copies pixels at the rim, which are no edges.
    inside = np.asarray(edges)[1:-1, 1:-1]
    contrast = np.asarray(gray).std()
    detail = inside.std() / contrast if inside.size and contrast else np.nan
    return float(min(edge_strength + levels, 1)), float(detail)


def find_poor_quality(measures: pd.DataFrame) -> Iterator[Fault]:
    """Yield the images of poor quality.

    Args:
        measures: A table with a row for each image and the columns of `Measures`.
    """
    size = np.sqrt(measures["width"] * measures["height"])
    medians = measures.median().to_dict() | {"size": size.median()}
    shape = measures[["width", "height"]].agg(["min", "max"], axis=1)
    ratio = shape["min"] / shape["max"]
    is_uniform = measures["entropy"] < LEAST_ENTROPY
    is_blurry = (measures["sharpness"] < LEAST_SHARPNESS) | _lacks_detail(measures["detail"])
    # For each kind: which images, their scores 0..1, and the reason in words.
    found = {
        "dark": (measures["dark"] < DARK, 1 - measures["dark"]),
        "bright": (measures["bright"] > BRIGHT, measures["bright"]),
        "blurry": (is_blurry & ~is_uniform, 1 - measures["detail"].clip(0, 1)),
        "uniform": (is_uniform, 1 - measures["entropy"] / 10),
        "odd size": (_has_odd_size(size), _relative_difference(size, medians["size"])),
        "odd shape": (ratio < LEAST_RATIO, 1 - ratio),
        "gray": (
            (measures["spread"] <= GRAY_LEVELS) & ~is_uniform,
            pd.Series(1.0, measures.index),
        ),
    }
    for kind, (is_listed, score) in found.items():
        if is_listed.mean() > MOST:
            continue
        for i in np.flatnonzero(is_listed).tolist():
            reason = _reason(kind, measures.iloc[i], medians)
            yield Fault(i, kind, reason, float(score.iloc[i]))


def _has_odd_size(size: pd.Series) -> pd.Series:
    """Return which sizes are far from the others."""
    low, median, high = size.quantile([0.25, 0.5, 0.75])
    reach = SIZE_RANGES * (high - low)
    is_far = (size < low - reach) | (size > high + reach)
    return is_far & ((size > median * SIZE_FACTOR) | (size < median / SIZE_FACTOR))


def _lacks_detail(detail: pd.Series) -> pd.Series:
    """Return which images have far less detail than the others."""
    # An image without contrast has none, and nothing is known of its edges.
    logarithm = np.log(detail.clip(lower=1e-6))
    low, high = logarithm.quantile([0.25, 0.75])
    return logarithm < low - BLUR_RANGES * (high - low)


def _relative_difference(size: pd.Series, median: float) -> pd.Series:
    """Return the difference of sizes from the median, as a share of the larger one."""
    larger = size.clip(lower=median)
    smaller = size.clip(upper=median)
    return 1 - smaller / larger


def _reason(kind: str, measures: pd.Series, medians: dict[str, float]) -> str:
    """Return why an image is listed, in words."""
    extent = f"{measures['width']:.0f}×{measures['height']:.0f} pixels"
    usual = f"{medians['width']:.0f}×{medians['height']:.0f}"
    detail = percent(measures["detail"])
    reasons = {
        "dark": f"99 % of the pixels are darker than {percent(measures['dark'])} of white",
        "bright": f"95 % of the pixels are brighter than {percent(measures['bright'])} of white",
        "blurry": f"edges are {detail} of the contrast, usually {percent(medians['detail'])}",
        "uniform": f"entropy {measures['entropy']:.1f} bits, usually {medians['entropy']:.1f}",
        "odd size": f"{extent}, usually {usual}",
        "odd shape": f"{extent}, usually {usual}",
        "gray": "no pixel has a colour, unlike in most images",
    }
    return reasons[kind]
