"""Regions of a picture: its colours say where an object ends, as a classifier says where it is.

Arrays only. Pictures are uint8 (H, W, 3), maps (h, w) of any size; P is a probability 0..1 of the object.
"""

from functools import cache
from typing import NamedTuple

import numpy as np
from PIL import Image
from scipy import ndimage, sparse
from scipy.special import expit, logit
from skimage import color, segmentation

from camkit.maps.arrays import unit, upsample

SIDE = 112  # pixels: the side of the picture that is cut into regions


def cells(picture, size):
    """A picture uint8 (H, W, 3), or a map (H, W), at `size` (h, w): each cell the mean of its pixels."""
    picture = np.asarray(picture)
    picture = (
        picture.clip(0, 255).astype("uint8") if picture.ndim == 3 else picture.astype("float32")
    )
    return np.asarray(Image.fromarray(picture).resize(size[::-1], Image.Resampling.BOX))


def erased(pictures, maps, colour, threshold):
    """Pictures (B, H, W, 3) that have one colour (3,) where their map (B, h, w), enlarged and scaled, exceeds this."""
    gone = unit(upsample(maps, pictures.shape[1:3]))[..., None] > threshold
    return np.where(gone, colour, pictures).astype(pictures.dtype)


def unlike_rim(picture):
    """How far the colour of each pixel (H, W) is from the usual one at the rim, in CIE Lab; a little smoothed.

    A cue for ground that knows no network and no names: people put things in the middle of plain grounds.
    """
    lab = color.rgb2lab(picture)
    rim = np.concatenate([lab[0], lab[-1], lab[:, 0], lab[:, -1]])
    return ndimage.gaussian_filter(
        np.linalg.norm(lab - np.median(rim, axis=0), axis=-1), len(lab) / 56
    )


def redraw(P, picture, *, weight=5):
    """Probabilities (h, w) that follow colours: P after five steps of a conditional random field over its cells.

    Cells of a picture (h, w, 3) are alike, A_ij, by a Gaussian of their distance (σ 0.15 of the side) and of that of
    their colours (σ 10 in CIE Lab); rows of A add up to 1. logit Q_i = logit P_i + weight · Σ_j A_ij (2 Q_j − 1), the
    mean field of two labels (Krähenbühl & Koltun, Efficient Inference in Fully Connected CRFs, NIPS 2011).
    """
    y, x = np.indices(P.shape) / (0.15 * len(P))
    X = np.dstack([y, x, color.rgb2lab(picture) / 10]).reshape(-1, 5).astype("float32")
    half = (X**2).sum(axis=1) / 2
    A = np.exp(np.minimum(X @ X.T - half - half[:, None], 0))
    np.fill_diagonal(A, 0)
    A /= A.sum(axis=1, keepdims=True) + 1e-6  # a cell like no other keeps its P
    Q = P = np.clip(P.ravel(), 1e-4, 1 - 1e-4).astype("float32")
    for _ in range(5):
        Q = expit(logit(P) + weight * (A @ (2 * Q - 1)))
    return Q.reshape(y.shape)


def grow(seeds, P, thresholds):
    """Seeds (2, N, h, w) bool of two kinds, and what is connected to them and likely: P (2, N, h, w) above a threshold.

    Corners connect, and no kind takes the other's seeds. Thresholds (2,) exceed one half, so that what is likely for
    one kind is not for the other (Huang et al., CVPR 2018: the similarity criterion of seeded region growing).
    """
    likely = (P > np.reshape(thresholds, (2, 1, 1, 1))) & ~seeds[::-1]
    within = np.zeros((3, 3, 3), bool)
    within[1] = True  # neighbours within a picture, not between pictures
    return np.stack(
        [ndimage.binary_propagation(s, within, mask=s | more) for s, more in zip(seeds, likely)]
    )


class Regions(NamedTuple):
    """The n regions of a picture, and what belongs to each."""

    labels: np.ndarray  # (SIDE, SIDE) int: the region of each pixel
    sizes: np.ndarray  # (n,) pixels
    weights: (
        np.ndarray
    )  # (n, h·w): times a map (h, w), the means over the regions of the map enlarged
    colours: np.ndarray  # (n, 3) CIE Lab
    unlike: np.ndarray  # (n,) how unlike the rim, 0..1


def cut(picture, size):
    """The Regions of a picture for maps of `size` cells: some 150 superpixels of like colour (SLIC)."""
    picture = cells(picture, (SIDE, SIDE))
    labels = segmentation.slic(picture, 150, compactness=10, start_label=0)
    sizes = np.bincount(labels.ravel())
    inside = sparse.csr_array(
        (1 / sizes[labels].ravel(), (labels.ravel(), np.arange(labels.size))), dtype="float32"
    )
    unlike = unit(unlike_rim(picture)).ravel()
    lab = color.rgb2lab(picture).reshape(-1, 3)
    return Regions(labels, sizes, inside @ _enlarging(size), inside @ lab, inside @ unlike)


@cache
def _enlarging(size):
    """The matrix (SIDE², h·w) that enlarges a map."""
    n = size[0] * size[1]
    return upsample(np.eye(n, dtype="float32").reshape(n, *size), SIDE).reshape(n, -1).T


def shares(P, part):
    """The share (h·w,) of each cell that objects cover, where regions of P (n,) above one half are objects."""
    mass = part.sizes[:, None] * part.weights
    return (P > 0.5) @ mass / mass.sum(axis=0)


def refine(P, part):
    """P (n,) of regions by Bayes' rule: the prior is how unlike the rim they are, the likelihood that of their colours.

    A colour is as likely in the object as the share of the object, P times size, that is of like colour (σ 10 in CIE
    Lab), and likewise in the ground (Wang et al., CVPR 2018: saliency-guided refinement).
    """
    apart = np.linalg.norm(part.colours[:, None] - part.colours, axis=-1)
    alike = np.exp(-(apart**2) / 200) * part.sizes
    inside, outside = (alike @ p / max(part.sizes @ p, 1e-6) for p in (P, 1 - P))
    prior = np.clip(part.unlike, 0.05, 0.95)  # no cue is that sure
    return prior * inside / (prior * inside + (1 - prior) * outside)
