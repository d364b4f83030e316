"""Class activation maps: one forward pass for all classes, enlargement, overlay.

Arrays only at the surface; Keras and TensorFlow are loaded when a model is first met.
"""

from typing import NamedTuple

import numpy as np


class CamOutput(NamedTuple):
    """What one forward pass yields for a batch of B images, h×w positions, K channels and C classes."""

    maps: (
        np.ndarray
    )  # (B, h, w, C) signed class activation maps M; mean over h, w plus bias is the logit
    gap: np.ndarray  # (B, K) GAP features, the mean of each channel
    logits: np.ndarray  # (B, C) class scores before softmax
    probs: (
        np.ndarray
    )  # (B, C) in 0..1, by the model's own softmax or sigmoid (softmax where it stops at logits)


class CAM:
    """Class activation maps of every class from one forward pass of a model with a GAP → Dense head.

    M_c(x, y) = Σ_k F_k(x, y) · W_kc, so that mean(M_c) + b_c is the logit of class c (Zhou et al., Learning Deep
    Features for Discriminative Localization, CVPR 2016, eq. 1 and 2, with the mean in place of their sum).
    It works on a private copy, made when it is built: the model is not changed, later training is not followed. Images
    are read at the size of the model's input; `input_size` (pixels: one number or (height, width)) asks for another,
    such as that of a picture with several objects.

    Attributes: `class_names` (list, or None where the model carries none), `kernel` (K, C), `bias` (C), `input_shape`
    (height, width, channels; None where any size goes). Raises HeadError where the model has no such head, ValueError
    where it cannot read images of `input_size`.
    """

    def __init__(self, model, *, input_size=None):
        import tensorflow as tf

        from camkit.models import _copy as inference
        from camkit.models import _graph as graph
        from camkit.models import classifier as models

        head = graph.find_head(model)
        features = inference.feature_model(model, head, input_size)
        kernel, bias = self.kernel, self.bias = head.kernel, head.bias
        self.class_names = models.class_names_of(model)
        self.input_shape = tuple(features.input_shape[1:])
        activation = tf.nn.sigmoid if head.activation == "sigmoid" else tf.nn.softmax

        def forward(images):
            volume = tf.cast(features(images, training=False), "float32")
            maps = tf.einsum("nyxk,kc->nyxc", volume, kernel)
            gap = tf.reduce_mean(volume, axis=(1, 2))
            logits = tf.matmul(gap, kernel) + bias
            return maps, gap, logits, activation(logits)

        self._forward = inference.compiled(forward, features)

    def __call__(self, batch):
        """Return the CamOutput of a batch of images (B, H, W, channels), in the value range that the model expects.

        Raises ValueError where the shape is not what the model takes.
        """
        from camkit.models import _graph as graph

        another = "camkit.CAM(model, input_size=...) reads another size than the model's own"
        batch = graph.batch_of(batch, self.input_shape, another)
        return CamOutput(*(output.numpy() for output in self._forward(batch)))


def upsample(maps, size):
    """Return maps enlarged to `size` (an int or (H, W)) by half-pixel bilinear interpolation.

    `maps` is (h, w), (B, h, w) or (B, h, w, C). At whole factors the mean of each map stays what it was, so that
    mean(M_c) + b_c is the logit before and after; aligning the corners instead would shift the map.
    """
    maps = np.asarray(maps)
    if maps.ndim not in (2, 3, 4):
        raise ValueError(
            f"maps have {maps.ndim} dimensions {maps.shape}: (h, w), (B, h, w) or (B, h, w, C) is needed"
        )
    height, width = (size, size) if np.ndim(size) == 0 else size
    axis = 0 if maps.ndim == 2 else 1
    dtype = np.result_type(maps.dtype, "float32")
    rows, columns = (
        _interpolation(maps.shape[axis], height, dtype),
        _interpolation(maps.shape[axis + 1], width, dtype),
    )
    if maps.ndim == 4:
        return np.einsum("Yy,nyxc,Xx->nYXc", rows, maps.astype(dtype), columns, optimize=True)
    return (
        rows @ maps.astype(dtype) @ columns.T
    )  # map by map: one large product wakes threads that outstay it


def _interpolation(n, size, dtype):
    """Return the matrix (size, n) that interpolates linearly between pixel centres, constant beyond the outermost."""
    position = np.clip((np.arange(size) + 0.5) * n / size - 0.5, 0, n - 1)
    return np.maximum(0, 1 - np.abs(position[:, None] - np.arange(n))).astype(dtype)


def unit(maps):
    """Return each of maps (…, h, w) scaled to 0..1, and to 0 where it has one value only (Score-CAM, eq. 8)."""
    low, spread = maps.min(axis=(-2, -1), keepdims=True), np.ptp(maps, axis=(-2, -1), keepdims=True)
    return (maps - low) / np.where(spread > 0, spread, 1)


def overlay(image, heat, *, vmin=None, vmax=None, alpha=0.5, cmap="inferno"):
    """Return `image` (H, W, 3) uint8 with a map laid over it, as uint8 of the same shape.

    `heat` is (h, w) of any size; it is enlarged first. Colours run from `vmin` to `vmax` (default: the lowest and the
    highest value of `heat`): give both where pictures are compared. `alpha` 0..1 is the weight of the colours.
    """
    from matplotlib import colormaps

    heat = upsample(heat, image.shape[:2])
    low = heat.min() if vmin is None else vmin
    high = heat.max() if vmax is None else vmax
    share = np.clip((heat - low) / (high - low if high > low else 1), 0, 1)
    colours = 255 * colormaps[cmap](share)[..., :3]
    return np.rint((1 - alpha) * image + alpha * colours).astype("uint8")
