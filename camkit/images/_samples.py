"""Samples of 16 and 32 bits: which of their values is white in an image of 8 bits."""

import os
import struct
from collections.abc import Sequence
from typing import IO, NamedTuple

import numpy as np
from PIL import Image
from PIL.ImageFile import ImageFile
from PIL.TiffImagePlugin import TiffImageFile

_WHITE_8_BIT = 255
_WHITE_16_BIT = 65535

# The samples that are white in integers of 8, 10, 12, 14 and 16 bits, and in floats.
_INTEGER_WHITES = (_WHITE_8_BIT, 1023, 4095, 16383, _WHITE_16_BIT)
_FLOAT_WHITES = (1, *_INTEGER_WHITES)

# A file is clipped if this share of its samples is the largest, and this share of white.
_CLIPPED = 0.001
_NEARLY_WHITE = 0.99

# Tags of a TIFF file.
_BITS_PER_SAMPLE = 258
_MAX_SAMPLE_VALUE = 281

# Colours whose upper 8 bits reach no further have 14 significant bits at most.
_DARKEST_COLOUR = 63

# Keys of `info` of a Pillow image: the sample that is white; the least one that may be white; and
# whether Pillow drops the lower 8 bits of its colours. Files may hold texts under other keys.
_WHITE = "camkit.white"
_LEAST_WHITE = "camkit.least_white"
_IS_DEEP_COLOUR = "camkit.is_deep_colour"


class Depth(NamedTuple):
    """What is known of an image whose samples have 16 or 32 bits.

    Attributes:
        is_float: Whether the samples are floats.
        largest: The largest sample.
        least_white: The least sample that may be white, by what the file says; 0 if nothing.
        own_white: The white that the file shows by itself, since its brightest samples are clipped
            right below it; None if it does not.
        is_clipped_at_0: Whether samples are negative or no numbers, which are read as black.
    """

    is_float: bool
    largest: float
    least_white: float
    own_white: float | None
    is_clipped_at_0: bool


def has_depth(image: Image.Image) -> bool:
    """Return whether the samples of an image have more than 8 bits."""
    return image.mode.startswith(("I", "F"))


def depth_of(image: Image.Image) -> Depth | None:
    """Return the depth of a decoded image; None if its samples have a known range."""
    if not has_depth(image) or _WHITE in image.info:
        return None
    samples = np.asarray(image)
    least_white = image.info.get(_LEAST_WHITE, 0)
    is_clipped_at_0 = bool(not (samples >= 0).all() or np.isinf(samples).any())
    if image.mode == "F":
        largest = samples.max(initial=0, where=np.isfinite(samples))
        return Depth(True, float(largest), least_white, None, is_clipped_at_0)
    largest = samples.max(initial=0)
    white = _least_of(_INTEGER_WHITES, largest)
    is_clipped = np.mean(samples == largest) >= _CLIPPED
    own_white = white if is_clipped and largest >= _NEARLY_WHITE * white else None
    return Depth(False, float(largest), least_white, own_white, is_clipped_at_0)


def white_of(depths: Sequence[Depth]) -> float:
    """Return the white of images that belong together, all of floats or all of integers.

    It is the least of 255, 1023, 4095, 16383 and 65535 (for floats 1 as well) that no
    sample exceeds, else the largest sample. A file may say how many bits are significant. Then
    white is no less; and if a sample is beyond, samples have been scaled to the full 16 bits, as
    PNG wants it.
    """
    largest = max(depth.largest for depth in depths)
    least_white = max(depth.least_white for depth in depths)
    if 0 < least_white < largest <= _WHITE_16_BIT:
        return _WHITE_16_BIT
    whites = _FLOAT_WHITES if depths[0].is_float else _INTEGER_WHITES
    return _least_of(whites, max(largest, least_white))


def to_8_bit(image: Image.Image, white: float | None) -> Image.Image:
    """Return an image of 16- or 32-bit samples as 8-bit gray.

    Args:
        image: The decoded image.
        white: The sample that is white in the set that it belongs to; None for an image by itself.
    """
    depth = depth_of(image)
    if depth is None:
        white = image.info[_WHITE]
    else:
        white = depth.own_white or white or white_of([depth])
    samples = np.array(image, dtype=np.float32)
    # All steps work in place: an image may have 89 million pixels.
    np.nan_to_num(samples, copy=False, posinf=0, neginf=0)
    samples.clip(0, white, out=samples)
    samples *= _WHITE_8_BIT / white
    np.rint(samples, out=samples)
    return Image.fromarray(samples.astype(np.uint8))


def note_depth(image: Image.Image, stream: IO[bytes]) -> None:
    """Store what an opened file says of the range of its samples in `info` of its image."""
    tiles = image.tile if isinstance(image, ImageFile) else []
    if image.mode in ("RGB", "RGBA") and ";16" in str(tiles):
        image.info[_IS_DEEP_COLOUR] = True
    if not has_depth(image) or image.mode == "F":
        return
    if image.format in ("PPM", "JPEG2000"):
        # Pillow scales these to the full range.
        image.info[_WHITE] = _WHITE_16_BIT
    elif image.format == "PNG":
        image.info[_LEAST_WHITE] = 2 ** _significant_bits(stream) - 1
    elif isinstance(image, TiffImageFile):
        (bits, *_) = image.tag_v2[_BITS_PER_SAMPLE]
        if bits < 16:
            image.info[_WHITE] = 2**bits - 1
        else:
            largest = np.max(image.tag_v2.get(_MAX_SAMPLE_VALUE, 0))
            image.info[_LEAST_WHITE] = _least_of(_INTEGER_WHITES, largest) if largest else 0


def is_dark_colour(image: Image.Image) -> bool:
    """Return whether a decoded image had colours of 16 bits of which Pillow left nearly nothing."""
    return _IS_DEEP_COLOUR in image.info and np.asarray(image).max() <= _DARKEST_COLOUR


def _significant_bits(stream: IO[bytes]) -> int:
    """Return the number of significant bits that the chunk sBIT of a PNG file has, 0 without it."""
    position = stream.tell()
    stream.seek(8)
    bits = 0
    header = stream.read(8)
    while len(header) == 8:
        length, kind = struct.unpack(">I4s", header)
        if kind == b"sBIT":
            bits = int.from_bytes(stream.read(1))
        if kind in (b"sBIT", b"PLTE", b"IDAT"):
            break
        # A checksum follows on the content.
        stream.seek(length + 4, os.SEEK_CUR)
        header = stream.read(8)
    stream.seek(position)
    return bits


def _least_of(whites: Sequence[float], largest: float) -> float:
    """Return the least of these values that is not exceeded, else the largest sample."""
    for white in whites:
        if largest <= white:
            return white
    return largest
