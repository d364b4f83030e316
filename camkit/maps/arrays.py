"""Maps as arrays: enlarge them, scale them and lay them over an image.

NumPy only: neither Keras nor a backend is loaded, and matplotlib only for the colours of an
overlay.
"""

import numpy as np


def upsample(maps: np.ndarray, size: int | tuple[int, int]) -> np.ndarray:
    """Return maps enlarged by half-pixel bilinear interpolation.

    At whole factors the mean of each map stays what it was, so that mean(M_c) + b_c is the logit
    before and after. Aligning the corners instead would shift the map.

    Args:
        maps: Maps of shape (h, w), (B, h, w) or (B, h, w, C), of any real dtype.
        size: The size in pixels, an int for a square or (H, W).

    Returns:
        The enlarged maps, of shape (H, W), (B, H, W) or (B, H, W, C). They are float32, or float64
        for float64 and for integers of 32 bits or more.

    Raises:
        ValueError: `maps` does not have two, three or four dimensions.

    Example:
        >>> import numpy as np
        >>> import camkit
        >>> camkit.upsample(np.array([[0.0, 4.0]]), (1, 4))
        array([[0., 1., 3., 4.]])
    """
    maps = np.asarray(maps)
    if maps.ndim not in (2, 3, 4):
        raise ValueError(
            f"maps have {maps.ndim} dimensions {maps.shape}: "
            "(h, w), (B, h, w) or (B, h, w, C) is needed"
        )
    height, width = np.broadcast_to(size, 2)
    h, w = maps.shape if maps.ndim == 2 else maps.shape[1:3]
    dtype = np.result_type(maps.dtype, "float32")
    maps = maps.astype(dtype)
    rows = _interpolation(h, height, dtype)
    columns = _interpolation(w, width, dtype)
    if maps.ndim == 4:
        return np.einsum("Yy,nyxc,Xx->nYXc", rows, maps, columns, optimize=True)
    # Map by map: one large product would wake threads of BLAS, which stay busy afterwards.
    return rows @ maps @ columns.T


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
    alpha: float = 0.5,
    cmap: str = "inferno",
) -> np.ndarray:
    """Return an image with a coloured map laid over it.

    Args:
        image: The image, uint8 of shape (H, W, 3).
        heat: The map (h, w), of any size; it is first enlarged to the image.
        vmin: The value that takes the lowest colour (default: the lowest value of `heat`).
        vmax: The value that takes the highest colour (default: the highest value of `heat`). Give
            both limits where images are compared.
        alpha: The weight of the colours, 0..1; that of the image is 1 − alpha.
        cmap: The name of a matplotlib colour map.

    Returns:
        The overlay, uint8 of shape (H, W, 3).

    Example:
        >>> import numpy as np
        >>> import camkit
        >>> image = np.full((2, 4, 3), 255, dtype="uint8")
        >>> camkit.overlay(image, np.array([[0.0, 1.0]]), alpha=1)[0, 0]
        array([0, 0, 4], dtype=uint8)
    """
    from matplotlib import colormaps

    heat = upsample(heat, image.shape[:2])
    low = heat.min() if vmin is None else vmin
    high = heat.max() if vmax is None else vmax
    share = rescale(heat, low, high)
    share = np.clip(share, 0, 1)
    colours = colormaps[cmap](share)
    # Drop the opacity of the colour map, and scale to the range of pixels.
    colours = 255 * colours[..., :3]
    mixed = (1 - alpha) * image + alpha * colours
    return np.rint(mixed).astype("uint8")
