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
    scale_y, shift_y, scale_x, shift_x = windows.T
    side_y, side_x = images.shape[1:]
    rows = _interpolation(scale_y, shift_y, side_y)
    columns = _interpolation(scale_x, shift_x, side_x)
    stretched = rows @ images
    return stretched @ _transposed(columns)


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
    count, side, _ = crops.shape
    step_of_difference = _least_squares(crops)
    for _ in range(rounds):
        difference = stretch(images, windows) - crops
        column = difference.reshape(count, side * side, 1)
        steps = step_of_difference @ column
        windows = _compose(windows, steps[..., 0])
    return windows


def _least_squares(crops: np.ndarray) -> np.ndarray:
    """Return matrices (P, 4, S·S) that turn a difference from the crops into the best step."""
    jacobian = _jacobian(crops)
    hessian = jacobian @ _transposed(jacobian)
    trace = np.trace(hessian, axis1=1, axis2=2)
    damping = DAMPING * (trace + 1)
    identity = np.eye(4, dtype="float32")
    hessian += damping[:, None, None] * identity
    return np.linalg.solve(hessian, jacobian)


def _jacobian(crops: np.ndarray) -> np.ndarray:
    """Return the changes (P, 4, S·S) of the crops with each number of their windows."""
    count, side, _ = crops.shape
    x = _positions(side)
    y = x[:, None]
    pixels_per_unit = side / 2
    along_y = pixels_per_unit * np.gradient(crops, axis=1)
    along_x = pixels_per_unit * np.gradient(crops, axis=2)
    slopes = [
        along_y * y,
        along_y,
        along_x * x,
        along_x,
    ]
    stacked = np.stack(slopes, axis=1)
    return stacked.reshape(count, 4, side * side)


def _transposed(matrices: np.ndarray) -> np.ndarray:
    return matrices.transpose(0, 2, 1)


def _positions(side: int) -> np.ndarray:
    """Return the coordinates (S,) of the centres of pixels, from -1 to 1."""
    centres = np.arange(side, dtype="float32") + 0.5
    return (centres / side) * 2 - 1


def _interpolation(scale: np.ndarray, shift: np.ndarray, side: int) -> np.ndarray:
    """Return matrices (P, S, S) that interpolate an axis linearly within windows."""
    scale = scale[:, None]
    shift = shift[:, None]
    position = scale * _positions(side) + shift
    # The coordinates -1 and 1 are the outer edges of the first and the last pixel.
    share = (position + 1) / 2
    index = share * side - 0.5
    index = index.clip(0, side - 1)
    pixels = np.arange(side, dtype="float32")
    distance = np.abs(index[:, :, None] - pixels)
    weights = 1 - distance
    return weights.clip(min=0).astype("float32")


def _compose(windows: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Return windows after a step (P, 4) that would move the crops; they stay within the images."""
    scale = windows[:, ::2]
    shift = windows[:, 1::2]
    scale_step = steps[:, ::2]
    shift_step = steps[:, 1::2]
    scale = scale / (1 + scale_step.clip(-0.5, 0.5))
    scale = scale.clip(LEAST_SCALE, 1)
    shift = shift - scale * shift_step
    # A window of this scale touches the border at this shift.
    reach = 1 - scale
    shift = shift.clip(-reach, reach)
    pairs = np.stack([scale, shift], axis=2)
    return pairs.reshape(-1, 4).astype("float32")
