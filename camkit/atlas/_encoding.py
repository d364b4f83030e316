"""Class maps, images and JSON in forms that JavaScript and any browser can read."""

import base64
import io
import json
import os
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageOps

from camkit.images._as_keras import Reader
from camkit.images.decoding import FileReader

# Larger images are scaled down to this number of pixels on their longer side.
LONGEST_SIDE = 512

# Small images are stored as PNG, so that no pixel changes.
LOSSLESS_SIDE = 128

JPEG_QUALITY = 92

# The EXIF tag that says how the camera was held.
ORIENTATION = 0x0112


def pack(
    classes: Sequence[int] | np.ndarray,
    logits: Sequence[float] | np.ndarray,
    probs: Sequence[float] | np.ndarray,
    maps: np.ndarray,
) -> bytes:
    """Return class maps in 8 bits, with the scores of their classes.

    A value is low + step · cell, with a step of 1/255 of the map's range, so it is never off by
    more than half a step. The bytes hold, for all M maps: lows, steps, logits and probabilities
    (float32), classes (uint32) and cells (uint8, h · w for each map), little-endian.

    Args:
        classes: Class indices (M,).
        logits: Their logits (M,).
        probs: Their probabilities (M,).
        maps: Class maps (h, w, M), float32.

    >>> len(pack([7], [1.0], [0.5], np.zeros((2, 2, 1), "float32")))
    24
    """
    low = maps.min(axis=(0, 1))
    high = maps.max(axis=(0, 1))
    step = ((high - low) / 255).astype("<f4")
    # A map of a single value has a step of 0, and 0 in every cell.
    divisor = np.where(step > 0, step, 1)
    cells = np.rint((maps - low) / divisor).clip(0, 255).astype("uint8")
    columns = [
        low.astype("<f4"),
        step,
        np.asarray(logits, "<f4"),
        np.asarray(probs, "<f4"),
        np.asarray(classes, "<u4"),
        np.moveaxis(cells, -1, 0),
    ]
    return b"".join(column.tobytes() for column in columns)


def browser_image(
    path: str | os.PathLike[str], reader: Reader, longest_side: float = LONGEST_SIDE
) -> tuple[bytes, str]:
    """Return the bytes of an image that any browser can show, and their type: "jpeg" or "png".

    An upright RGB image in one of these formats with sides of at most 512 pixels is passed on
    unchanged, if it is read as `camkit.read_image` does. Any other image is decoded by its reader
    and, if it is larger, scaled down to 512 pixels. It is stored as PNG up to 128 pixels, else as
    JPEG.

    Args:
        path: The file.
        reader: How it is read.
        longest_side: Another limit than 512 pixels.

    Raises:
        OSError: If the file cannot be read.
    """
    if isinstance(reader, FileReader) and reader.opener is None:
        unchanged = _fit_for_browsers(path, longest_side)
        if unchanged is not None:
            return unchanged
    image = Image.fromarray(reader(path))
    kind = "png" if max(image.size) <= LOSSLESS_SIDE else "jpeg"
    largest = (int(min(longest_side, image.width)), int(min(longest_side, image.height)))
    stream = io.BytesIO()
    ImageOps.contain(image, largest).save(stream, kind, quality=JPEG_QUALITY)
    return stream.getvalue(), kind


def _fit_for_browsers(
    path: str | os.PathLike[str], longest_side: float
) -> tuple[bytes, str] | None:
    """Return a file and "jpeg" or "png" if a browser shows it as camkit does, else None."""
    try:
        with open(path, "rb") as stream:
            image = Image.open(stream)
            kind = {"JPEG": "jpeg", "PNG": "png"}.get(image.format or "")
            is_small = max(image.size) <= longest_side
            is_upright = not image.getexif().get(ORIENTATION)
            # Such as the values of an array, which a browser does not need.
            has_more = bool(getattr(image, "private_chunks", []))
            is_plain = image.mode == "RGB" and is_upright and not has_more
            if kind is None or not is_small or not is_plain:
                return None
            stream.seek(0)
            return stream.read(), kind
    except (OSError, SyntaxError, ValueError):
        # The reader raises an error that says what is wrong.
        return None


def to_base64(data: bytes) -> str:
    """Return bytes as text in Base64."""
    return base64.b64encode(data).decode("ascii")


def picture_address(data: bytes, kind: str) -> str:
    """Return the address of a picture of a type, "jpeg" or "png", that has its data itself."""
    return f"data:image/{kind};base64,{to_base64(data)}"


def script_json(value: object) -> str:
    r"""Return JSON that is safe inside a script element: ASCII without a left angle bracket.

    >>> print(script_json({"name": "</script>"}))
    {"name":"\u003c/script>"}
    """
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c")
