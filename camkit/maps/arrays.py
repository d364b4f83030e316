"""Maps as arrays: enlarge them, scale them and lay them over an image.

NumPy only: neither Keras nor a backend is loaded, and matplotlib only for the colours of an
overlay.
"""

import numpy as np


def upsample(maps: np.ndarray, size: int | tuple[int, ...]) -> np.ndarray:
    """Return maps enlarged by half-pixel linear interpolation along each axis of their places.

    At whole factors the mean of each map stays what it was, so that mean(M_c) + b_c is the logit
    before and after. Aligning the corners instead would shift the map. The number of axes of places
    is that of `size`: two for maps of images, one for maps of sequences, three for those of
    volumes.

    Args:
        maps: Maps of shape (h, w), (B, h, w) or (B, h, w, C), of any real dtype; (t,), (B, t) or
            (B, t, C) with a `size` of one number, (d, h, w), (B, d, h, w) or (B, d, h, w, C) with
            a `size` of three.
        size: The size in pixels: an int for a square, (H, W), (T,) or (D, H, W).

    Returns:
        The enlarged maps, for example of shape (H, W), (B, H, W) or (B, H, W, C). They are float32,
        or float64 for float64 and for integers of 32 bits or more.

    Raises:
        ValueError: `size` does not have one to three numbers, or `maps` does not have as many axes
            as `size`, or one or two more.

    Example:
        >>> import numpy as np
        >>> import camkit
        >>> camkit.upsample(np.array([[0.0, 4.0]]), (1, 4))
        array([[0., 1., 3., 4.]])
        >>> one_sequence = np.array([[0.0, 4.0]])
        >>> camkit.upsample(one_sequence, (4,))
        array([[0., 1., 3., 4.]])
    """
    maps = np.asarray(maps)
    sizes = (size, size) if isinstance(size, int | np.integer) else tuple(size)
    _check_axes(maps, sizes)
    dtype = np.result_type(maps.dtype, "float32")
    maps = maps.astype(dtype)
    # One map alone has no axis before its places.
    first = 0 if maps.ndim == len(sizes) else 1
    matrices = []
    for axis, length in enumerate(sizes, start=first):
        matrix = _interpolation(maps.shape[axis], length, dtype)
        matrices.append(matrix)
    if len(sizes) == 2:
        rows, columns = matrices
        if maps.ndim == 4:
            return np.einsum("Yy,nyxc,Xx->nYXc", rows, maps, columns, optimize=True)
        # Map by map: one large product would wake threads of BLAS, which stay busy afterwards.
        return rows @ maps @ columns.T
    for axis, matrix in enumerate(matrices, start=first):
        enlarged = np.tensordot(matrix, maps, axes=(1, axis))
        maps = np.moveaxis(enlarged, 0, axis)
    return maps


def _check_axes(maps: np.ndarray, sizes: tuple[int, ...]) -> None:
    """Raise ValueError unless maps have places for the sizes, alone or with batch and classes."""
    shapes = {
        1: "(t,), (B, t) or (B, t, C)",
        2: "(h, w), (B, h, w) or (B, h, w, C)",
        3: "(d, h, w), (B, d, h, w) or (B, d, h, w, C)",
    }
    axes = len(sizes)
    if axes not in shapes:
        raise ValueError(f"size is {sizes}: one, two or three numbers are needed")
    if not axes <= maps.ndim <= axes + 2:
        raise ValueError(
            f"maps have {maps.ndim} dimensions {maps.shape}: {shapes[axes]} is needed for the size "
            f"{sizes}"
        )


def _interpolation(n: int, size: int, dtype: np.dtype) -> np.ndarray:
    """Return the matrix (size, n) of linear interpolation between n pixel centres.

    Beyond the outermost centres the value is constant.
    """
    centres = (np.arange(size) + 0.5) * n / size - 0.5
    centres = np.clip(centres, 0, n - 1)
    distance = np.abs(centres[:, None] - np.arange(n))
    weights = np.maximum(0, 1 - distance)
    return weights.astype(dtype)


def rescale(maps: np.ndarray, low: float | np.ndarray, high: float | np.ndarray) -> np.ndarray:
    """Return (maps − low) / (high − low), so that `low` becomes 0 and `high` becomes 1.

    Where `high` is not above `low`, as for a constant map, the difference is not divided.

    Args:
        maps: Maps of any shape.
        low: The value that becomes 0, a number or an array that broadcasts to `maps`.
        high: The value that becomes 1, likewise.

    Returns:
        The scaled maps, of the shape of `maps`. Values outside `low`..`high` lie outside 0..1.

    Example:
        >>> import numpy as np
        >>> from camkit.maps import arrays
        >>> arrays.rescale(np.array([[2.0, 4.0, 10.0]]), low=2, high=10)
        array([[0.  , 0.25, 1.  ]])
    """
    shifted = maps - low
    span = np.where(high > low, high - low, 1)
    return shifted / span.astype(shifted.dtype)


def coverage(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return the share of each cell of a map that a mask covers.

    Args:
        mask: The mask (H, W), bool, or a share of each of its own cells, 0 to 1.
        size: (h, w) of the map.

    Returns:
        The shares (h, w), float32, 0 to 1.

    Example:
        >>> import numpy as np
        >>> from camkit.maps import arrays
        >>> arrays.coverage(np.array([[True, True, True, False]]), (1, 2))
        array([[1. , 0.5]], dtype=float32)
    """
    from PIL import Image

    height, width = size
    image = Image.fromarray(np.asarray(mask, dtype="float32"))
    return np.asarray(image.resize((width, height), Image.Resampling.BOX))


def unit(maps: np.ndarray) -> np.ndarray:
    """Return each map scaled to 0..1 (Score-CAM, eq. 8); a constant map becomes 0.

    Args:
        maps: Maps of shape (…, h, w).

    Returns:
        The scaled maps, of the same shape.

    Example:
        >>> import numpy as np
        >>> from camkit.maps import arrays
        >>> arrays.unit(np.array([[[1.0, 2.0, 5.0]], [[7.0, 7.0, 7.0]]]))
        array([[[0.  , 0.25, 1.  ]],
        <BLANKLINE>
               [[0.  , 0.  , 0.  ]]])
    """
    h_and_w = (-2, -1)
    low = maps.min(axis=h_and_w, keepdims=True)
    high = maps.max(axis=h_and_w, keepdims=True)
    return rescale(maps, low, high)


def overlay(
    image: np.ndarray,
    heat: np.ndarray,
    *,
    vmin: float | None = None,
    vmax: float | None = None,
    alpha: float = 0.85,
    cmap: str = "inferno",
) -> np.ndarray:
    """Return an image with a coloured map laid over it, the more opaque the stronger the evidence.

    The weight of the colours grows linearly from 0 at `vmin` to `alpha` at `vmax`. If the limits
    are symmetric (`vmin == -vmax`), as for signed maps, it grows with the absolute value from 0.
    So what has no evidence looks as it does in the image.

    Args:
        image: The image, uint8 of shape (H, W, 3); grey ones (H, W) or (H, W, 1) and ones with
            opacity (H, W, 4), which are laid on white, as well.
        heat: The map (h, w), of any size; it is first enlarged to the image.
        vmin: The value that takes the lowest colour (default: the lowest value of `heat`).
        vmax: The value that takes the highest colour (default: the highest value of `heat`). Give
            both limits where images are compared.
        alpha: The weight of the strongest colours, 0..1; the image has the rest.
        cmap: The name of a matplotlib colour map.

    Returns:
        The overlay, uint8 of shape (H, W, 3).

    Raises:
        ValueError: The image has another shape.

    Example:
        >>> import numpy as np
        >>> import camkit
        >>> image = np.full((2, 4, 3), 255, dtype="uint8")
        >>> camkit.overlay(image, np.array([[0.0, 1.0]]), alpha=1)[0, [0, 3]]
        array([[255, 255, 255],
               [252, 255, 164]], dtype=uint8)
    """
    from matplotlib import colormaps

    image = _with_three_colours(image)
    heat = upsample(heat, image.shape[:2])
    low = heat.min() if vmin is None else vmin
    high = heat.max() if vmax is None else vmax
    share = rescale(heat, low, high)
    share = np.clip(share, 0, 1)
    colours = colormaps[cmap](share)
    # Drop the opacity of the colour map, and scale to the range of pixels.
    colours = 255 * colours[..., :3]
    is_signed = low < 0 and low == -high
    strength = np.abs(2 * share - 1) if is_signed else share
    weight = alpha * strength[..., None]
    mixed = (1 - weight) * image + weight * colours
    return np.rint(mixed).astype("uint8")


def _with_three_colours(image: np.ndarray) -> np.ndarray:
    """Return an image (H, W), (H, W, 1), (H, W, 3) or (H, W, 4) as (H, W, 3)."""
    image = np.asarray(image)
    if image.ndim == 2:
        image = image[..., None]
    channels = image.shape[-1]
    if image.ndim != 3 or channels not in (1, 3, 4):
        raise ValueError(
            f"the image has shape {image.shape}: (H, W), or (H, W, 1, 3 or 4) is needed"
        )
    if channels == 1:
        return np.repeat(image, 3, axis=-1)
    if channels == 3:
        return image
    opacity = image[..., 3:] / 255
    return opacity * image[..., :3] + (1 - opacity) * 255
