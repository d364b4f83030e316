"""Alignment of an image with another one of which it may be a crop.

A window of an image is given by (scale_y, shift_y, scale_x, shift_x). With coordinates from -1 to
1, it holds the positions scale·y + shift, so that (1, 0, 1, 0) is the whole image and
(0.9, 0, 0.9, 0) what is left if a twentieth is cut off at each side.
"""

import numpy as np

# A window has at least this share of each side.
LEAST_SCALE = 0.6

# The normal equations are damped by this share of their trace.
DAMPING = 1e-3


def stretch(images: np.ndarray, windows: np.ndarray) -> np.ndarray:
    """Return the windows (P, 4) of images (P, S, S), each stretched to S×S."""
    rows = _interpolation(windows[:, 0], windows[:, 1], images.shape[1])
    columns = _interpolation(windows[:, 2], windows[:, 3], images.shape[2])
    return rows @ images @ columns.transpose(0, 2, 1)


def align(
    images: np.ndarray, crops: np.ndarray, windows: np.ndarray, rounds: int = 5
) -> np.ndarray:
    """Return the windows of images that are most similar to their crops.

    This is the inverse compositional algorithm of Baker and Matthews ("Lucas-Kanade 20 Years On",
    IJCV 2004) for a scale and a shift of each axis.

    Args:
        images: (P, S, S) float32.
        crops: (P, S, S) float32.
        windows: (P, 4) float32, from which the search starts.
        rounds: The number of steps.

    Returns:
        The windows (P, 4), float32.
    """
    side = crops.shape[1]
    position = _positions(side)
    # Changes of a crop with the scales and shifts, per unit of the coordinates.
    along_y = np.gradient(crops, axis=1) * side / 2
    along_x = np.gradient(crops, axis=2) * side / 2
    slopes = [along_y * position[:, None], along_y, along_x * position, along_x]
    jacobian = np.stack(slopes, axis=1).reshape(len(crops), 4, side * side)
    hessian = jacobian @ jacobian.transpose(0, 2, 1)
    trace = np.trace(hessian, axis1=1, axis2=2)
    damping = DAMPING * (trace + 1)
    hessian += damping[:, None, None] * np.eye(4, dtype="float32")
    steps = np.linalg.solve(hessian, jacobian)

    for _ in range(rounds):
        difference = stretch(images, windows) - crops
        step = steps @ difference.reshape(len(crops), side * side, 1)
        windows = _compose(windows, step[..., 0])
    return windows


def _positions(side: int) -> np.ndarray:
    """Return the coordinates (S,) of the centres of pixels, from -1 to 1."""
    return ((np.arange(side, dtype="float32") + 0.5) / side) * 2 - 1


def _interpolation(scale: np.ndarray, shift: np.ndarray, side: int) -> np.ndarray:
    """Return matrices (P, S, S) that interpolate an axis linearly within windows."""
    position = scale[:, None] * _positions(side) + shift[:, None]
    index = (position + 1) / 2 * side - 0.5
    index = index.clip(0, side - 1)
    distance = np.abs(index[:, :, None] - np.arange(side, dtype="float32"))
    return (1 - distance).clip(min=0).astype("float32")


def _compose(windows: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Return windows after a step (P, 4) that would move the crops; they stay within the images."""
    scale = windows[:, ::2] / (1 + steps[:, ::2].clip(-0.5, 0.5))
    scale = scale.clip(LEAST_SCALE, 1)
    shift = windows[:, 1::2] - scale * steps[:, 1::2]
    shift = shift.clip(scale - 1, 1 - scale)
    return np.stack([scale, shift], axis=2).reshape(-1, 4).astype("float32")
