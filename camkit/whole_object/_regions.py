"""Regions of an image: colours show where an object ends, as a classifier shows where it is.

Functions take and return arrays. Images are uint8 (H, W, 3), maps (h, w) of any size; probabilities
0..1 are those of the object.
"""

from functools import cache
from typing import NamedTuple

import numpy as np
from PIL import Image
from scipy import ndimage, sparse
from scipy.special import expit, logit
from skimage import color, segmentation

from camkit.maps.arrays import unit, upsample

# The side in pixels to which an image is reduced before it is cut into regions, and their number.
SIDE = 112
REGION_COUNT = 150

# Two colours are similar by a Gaussian of their distance, with this σ in CIE Lab.
COLOUR_SIGMA = 10

# Two cells of a map are near by a Gaussian of their distance, with this σ as a share of its side.
POSITION_SIGMA = 0.15

# The number of mean-field steps of the conditional random field.
STEPS = 5


def shrink(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return an image or a map reduced to cells, each the mean of its pixels.

    Args:
        image: An image uint8 (H, W, 3), or a map (H, W).
        size: (h, w).

    Returns:
        uint8 (h, w, 3), or float32 (h, w).
    """
    image = np.asarray(image)
    if image.ndim == 3:
        image = image.clip(0, 255).astype("uint8")
    else:
        image = image.astype("float32")
    height, width = size
    smaller = Image.fromarray(image).resize((width, height), Image.Resampling.BOX)
    return np.asarray(smaller)


def erase(images: np.ndarray, maps: np.ndarray, colour: np.ndarray, threshold: float) -> np.ndarray:
    """Return images painted with one colour where their map exceeds a threshold.

    Args:
        images: (B, H, W, 3).
        maps: (B, h, w), which are enlarged and scaled to 0..1.
        colour: (3,).
        threshold: 0..1.
    """
    heat = unit(upsample(maps, images.shape[1:3]))
    is_erased = heat[..., None] > threshold
    return np.where(is_erased, colour, images).astype(images.dtype)


def rim_difference(image: np.ndarray) -> np.ndarray:
    """Return the distance of each pixel's colour from the median at the rim, in CIE Lab.

    This is a cue for the background that needs neither a network nor classes: people put things in
    the middle of plain backgrounds. The map (H, W) is slightly smoothed.
    """
    lab = color.rgb2lab(image)
    columns = lab.swapaxes(0, 1)
    rim = np.concatenate([lab[0], lab[-1], columns[0], columns[-1]])
    median = np.median(rim, axis=0)
    difference = np.linalg.norm(lab - median, axis=-1)
    return ndimage.gaussian_filter(difference, len(lab) / 56)


def redraw(probability: np.ndarray, image: np.ndarray, *, weight: float = 5) -> np.ndarray:
    """Return probabilities that follow colours: five steps of a conditional random field.

    Cells of the image have the affinity A_ij, a Gaussian of their distance (σ 0.15 of the side)
    times one of the distance of their colours (σ 10 in CIE Lab); rows of A add up to 1. The mean
    field of two labels is logit Q_i = logit P_i + weight · Σ_j A_ij (2 Q_j − 1) (Krähenbühl &
    Koltun, Efficient Inference in Fully Connected CRFs, NIPS 2011).

    Args:
        probability: P (h, w).
        image: The image at the same size, uint8 (h, w, 3).
        weight: How much the neighbours count.

    Returns:
        Q (h, w) float32.
    """
    affinity = _affinity(image)
    P = np.clip(probability.ravel(), 1e-4, 1 - 1e-4).astype("float32")
    Q = P
    for _ in range(STEPS):
        votes = affinity @ (2 * Q - 1)
        Q = expit(logit(P) + weight * votes)
    return Q.reshape(probability.shape)


def _affinity(image: np.ndarray) -> np.ndarray:
    """Return the affinity A (h·w, h·w) of the cells of an image (h, w, 3); rows add up to 1."""
    height, width, _ = image.shape
    y, x = np.indices((height, width)) / (POSITION_SIGMA * height)
    colours = color.rgb2lab(image) / COLOUR_SIGMA
    points = np.dstack([y, x, colours]).reshape(-1, 5).astype("float32")
    # −|a − b|² / 2 = a·b − |a|² / 2 − |b|² / 2, which rounding must not lift above 0.
    half = (points**2).sum(axis=1) / 2
    exponent = points @ points.T - half - half[:, None]
    affinity = np.exp(np.minimum(exponent, 0))
    np.fill_diagonal(affinity, 0)
    # The term 1e-6 lets a cell unlike all others keep its probability.
    affinity /= affinity.sum(axis=1, keepdims=True) + 1e-6
    return affinity


def grow(
    seeds: np.ndarray, probabilities: np.ndarray, thresholds: tuple[float, float]
) -> np.ndarray:
    """Return seeds of two kinds, grown over connected cells that are likely of their kind.

    Cells that touch at a corner are connected, and neither kind takes the other's seeds (Huang et
    al., CVPR 2018: the similarity criterion of seeded region growing).

    Args:
        seeds: (2, N, h, w) bool.
        probabilities: (2, N, h, w) of the two kinds.
        thresholds: The probabilities from which a cell is likely. They exceed one half, so that no
            cell is likely for both kinds.

    Returns:
        The grown seeds (2, N, h, w) bool.
    """
    # Cells are neighbours within an image only, not across images.
    structure = np.zeros((3, 3, 3), bool)
    structure[1] = True
    grown = []
    for kind, threshold in enumerate(thresholds):
        others = seeds[1 - kind]
        is_likely = (probabilities[kind] > threshold) & ~others
        mask = seeds[kind] | is_likely
        grown.append(ndimage.binary_propagation(seeds[kind], structure, mask=mask))
    return np.stack(grown)


class Regions(NamedTuple):
    """The n regions of an image, and the properties of each."""

    # (SIDE, SIDE) int: the region of each pixel
    labels: np.ndarray
    # (n,) in pixels
    sizes: np.ndarray
    # (n, h·w): its product with a map (h·w) is the mean of the enlarged map over each region
    weights: np.ndarray
    # (n, 3) in CIE Lab
    colours: np.ndarray
    # (n,) the difference from the rim, 0..1
    unlike: np.ndarray

    def pool(self, cells: np.ndarray) -> np.ndarray:
        """Return the means (n, …) over the regions of maps or features (h, w, …)."""
        height, width, *channels = cells.shape
        return self.weights @ cells.reshape(height * width, *channels)


def cut_regions(image: np.ndarray, size: tuple[int, int]) -> Regions:
    """Cut an image into about 150 superpixels of similar colour (SLIC), for maps of `size`."""
    image = shrink(image, (SIDE, SIDE))
    labels = segmentation.slic(image, REGION_COUNT, compactness=10, start_label=0)
    pixel_labels = labels.ravel()
    sizes = np.bincount(pixel_labels)
    # The product of this matrix with the values of pixels is their mean over each region.
    pixels = np.arange(labels.size)
    entries = 1 / sizes[pixel_labels]
    means = sparse.csr_array((entries, (pixel_labels, pixels)), dtype="float32")
    colours = color.rgb2lab(image).reshape(-1, 3)
    unlike = unit(rim_difference(image)).ravel()
    return Regions(labels, sizes, means @ _enlarging(size), means @ colours, means @ unlike)


@cache
def _enlarging(size: tuple[int, int]) -> np.ndarray:
    """Return the matrix (SIDE², h·w) that enlarges a map."""
    height, width = size
    cell_count = height * width
    identity = np.eye(cell_count, dtype="float32")
    maps_of_one_cell = identity.reshape(cell_count, height, width)
    enlarged = upsample(maps_of_one_cell, SIDE)
    return enlarged.reshape(cell_count, -1).T


def object_shares(probability: np.ndarray, regions: Regions) -> np.ndarray:
    """Return the share (h·w,) of each cell that is covered by regions of probability above 0.5."""
    mass = regions.sizes[:, None] * regions.weights
    is_object = probability > 0.5
    return is_object @ mass / mass.sum(axis=0)


def refine(probability: np.ndarray, regions: Regions) -> np.ndarray:
    """Return the probabilities (n,) of regions after Bayes' rule.

    The prior of a region is its difference from the rim, the likelihood is that of its colour. The
    likelihood of a colour in the object is the share of the object, probability times size, that
    has a similar colour (σ 10 in CIE Lab), and likewise in the background (Wang et al., CVPR 2018:
    saliency-guided refinement).
    """
    difference = regions.colours[:, None] - regions.colours
    distance = np.linalg.norm(difference, axis=-1)
    similarity = np.exp(-(distance**2) / (2 * COLOUR_SIGMA**2))
    weights = similarity * regions.sizes

    def likelihood(membership: np.ndarray) -> np.ndarray:
        total = max(regions.sizes @ membership, 1e-6)
        return weights @ membership / total

    # The cue is never certain.
    prior = np.clip(regions.unlike, 0.05, 0.95)
    of_object = prior * likelihood(probability)
    of_background = (1 - prior) * likelihood(1 - probability)
    return of_object / (of_object + of_background)
