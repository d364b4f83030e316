"""Decoding: read a file as an upright image, or say why it cannot be read."""

import logging
import os
import warnings
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from camkit._quiet import held_back

# How many threads decode images at once.
THREADS = 4

# `Image.init` registers all formats that Pillow has. Those listed need no other program. EPS is not
# among them, since Pillow would hand it to Ghostscript.
Image.init()
FORMATS = ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "JPEG2000"]
if "AVIF" in Image.OPEN:
    FORMATS.append("AVIF")

# White in an integer image of 16 or 32 bits, and in an image of 8 bits.
_WHITE_16_BIT = 65535
_WHITE_8_BIT = 255

# Pillow's names of the images that a model may take, by their number of channels.
_MODES = {1: "L", 3: "RGB", 4: "RGBA"}

# Pillow warns of "Corrupt EXIF data" and the like, and logs errors that it also raises.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
logging.getLogger("PIL").addHandler(logging.NullHandler())

_WHAT_AN_OPENER_RETURNS = (
    "and must return a Pillow image or a uint8 array (H, W), (H, W, 3) or (H, W, 4)"
)

# Returns the image in a file: a Pillow image, or uint8 (H, W), (H, W, 3) or (H, W, 4).
Opener = Callable[[Path], Image.Image | np.ndarray]


@dataclass(frozen=True)
class FileReader:
    """Reads files as `read_image` does.

    Attributes:
        opener: A function that opens the files, `image_opener` of `camkit.load_images`; None for
            Pillow.
    """

    opener: Opener | None = None

    def __call__(
        self, path: str | os.PathLike, size: tuple[int, int] | None = None, *, channels: int = 3
    ) -> np.ndarray:
        """Return the image in a file, see `read_image`."""
        mode = _MODES[checked_channels(channels)]
        path = Path(path)
        try:
            with self.opened(path) as opened:
                if size is not None:
                    _reduce(opened, size)
                image = _upright(opened, mode)
        except Exception as error:
            raise OSError(f"{path} cannot be read: {self.explained(path, error)}") from error
        if size is not None:
            height, width = size
            image = image.resize((width, height), Image.Resampling.BILINEAR)
        return np.array(image).reshape(image.height, image.width, channels)

    def seen_at(self, size: tuple[int, int]) -> "FileReader":
        """Return this reader, since images are stretched to any size as a whole."""
        return self

    def opened(self, path: Path) -> Image.Image:
        """Return the image in a file, not yet decoded."""
        if self.opener is None:
            return Image.open(path, formats=formats())
        # The opener may keep its image, which is decoded and turned here.
        return _as_image(self.opener(path)).copy()

    def check(self, path: Path) -> str | None:
        """Return why a file is not a complete image, or None if it is one.

        The reason is in words, such as "empty" or "truncated or damaged: ...". A JPEG file is read
        to its end, but decoded only at an eighth of its size.
        """
        try:
            # Opening a pipe would block until another process writes to it.
            if not (path.is_file() or path.is_dir()):
                raise FileNotFoundError(path)
            with self.opened(path) as image:
                eighth = (image.width // 8, image.height // 8)
                image.draft(None, eighth)
                _upright(image, "RGB")
        except Exception as error:
            return self.explained(path, error)
        return None

    def explained(self, path: Path, error: Exception) -> str:
        """Return the reason why a file cannot be read, in words."""
        reason = explain_file(path, error)
        if reason is not None:
            return reason
        if self.opener is not None and not isinstance(error, MemoryError):
            name = getattr(self.opener, "__name__", type(self.opener).__name__)
            return f"image_opener {name} fails: {type(error).__name__}: {error}"
        return _explain(error)


def formats() -> list[str]:
    """Return Pillow's names of the formats that are read.

    They are FORMATS, and those of plugins that have been registered from outside of Pillow.

    Example:
        >>> from camkit.images.decoding import formats
        >>> formats()[:3]
        ['JPEG', 'PNG', 'GIF']
    """
    added = []
    for name, (factory, _) in Image.OPEN.items():
        if not getattr(factory, "__module__", "").startswith("PIL."):
            added.append(name)
    return FORMATS + [name for name in added if name not in FORMATS]


def suffixes() -> set[str]:
    """Return the suffixes of the formats that are read, such as ".png".

    Example:
        >>> from camkit.images.decoding import suffixes
        >>> ".png" in suffixes(), ".eps" in suffixes()
        (True, False)
    """
    read = formats()
    return {suffix for suffix, name in Image.registered_extensions().items() if name in read}


def read_image(
    path: str | os.PathLike, size: tuple[int, int] | None = None, *, channels: int = 3
) -> np.ndarray:
    """Return the image in a file as uint8, turned upright by its EXIF orientation.

    Transparency is laid on white, except in RGBA; an animation gives its first frame; gray is the
    luminance 0.299 R + 0.587 G + 0.114 B, as Keras reads it; 16-bit gray is divided by 257. Samples
    of 32 bits have no fixed range: white is 65535 for integers, and for floats the first of 1, 255
    and 65535 that is no less than the largest sample. A sample that is larger still is itself
    white.

    If `size` is given, a JPEG file is decoded at 1/2, 1/4 or 1/8 of its own size where that divides
    it and leaves twice the `size` or more. A photograph then differs by 0.3 grey levels on average
    from one that was decoded whole, and by 4 at most; an image of noise by 0.8 and 6.

    Args:
        path: The file.
        size: (height, width) that the image is stretched to, bilinear with antialiasing; None
            keeps the size of the file.
        channels: 1 for gray, 3 for RGB, 4 for RGBA.

    Returns:
        The pixels (H, W, channels), uint8, 0 to 255.

    Raises:
        ValueError: There are no images of so many channels.
        OSError: The file cannot be read; the message says why.

    Example:
        >>> import camkit
        >>> path = camkit.load_images("mini", "Test").paths[0]
        >>> camkit.read_image(path, size=(50, 80)).shape
        (50, 80, 3)
    """
    return FileReader()(path, size, channels=channels)


def checked_channels(channels: int | None) -> int:
    """Return a number of channels that files are read in. Raises ValueError for any other one."""
    if channels not in _MODES:
        raise ValueError(
            f"the model takes images of {channels} channels, and files are read as gray (1), RGB "
            "(3) or RGBA (4): pass arrays of your own to camkit.CAM or camkit.grad_cam"
        )
    return channels


def _as_image(content: Image.Image | np.ndarray) -> Image.Image:
    """Return what an opener has returned as a Pillow image. Raises TypeError for anything else."""
    if isinstance(content, Image.Image):
        return content
    if not isinstance(content, np.ndarray):
        raise TypeError(f"it returned a {type(content).__name__}, {_WHAT_AN_OPENER_RETURNS}")
    if content.ndim == 3 and content.shape[2] == 1:
        content = content[..., 0]
    is_image = content.ndim == 2 or (content.ndim == 3 and content.shape[2] in _MODES)
    if content.dtype != np.uint8 or not is_image or not content.size:
        raise TypeError(f"it returned {content.dtype} {content.shape}, {_WHAT_AN_OPENER_RETURNS}")
    return Image.fromarray(content)


def _reduce(image: Image.Image, size: tuple[int, int]) -> None:
    """Have an opened JPEG file decoded at a fraction of its size that leaves twice `size`.

    Other files are left as they are.
    """
    # The image may yet be turned, so that height and width change places.
    least = 2 * max(size)
    for scale in (8, 4, 2):
        is_divisible = image.width % scale == 0 and image.height % scale == 0
        reduced = (image.width // scale, image.height // scale)
        # If the fraction did not divide the size, the image would be shifted by part of a pixel.
        if is_divisible and min(reduced) >= least:
            image.draft(None, reduced)
            return


def _upright(image: Image.Image, mode: str) -> Image.Image:
    """Return an opened image as an upright 8-bit image of a mode: L, RGB or RGBA."""
    _load(image)
    try:
        ImageOps.exif_transpose(image, in_place=True)
    except Exception:
        # The EXIF block is damaged, but the pixels are intact. Pillow turns the image before it
        # rewrites the block, so an image that can be turned has been turned.
        pass
    if image.mode.startswith(("I", "F")):
        image = _to_8_bit(image)
    elif image.has_transparency_data and mode != "RGBA":
        image = _on_white(image)
    return image.convert(mode)


def _load(image: Image.Image) -> None:
    """Decode the pixels of an opened image."""
    # libtiff writes its messages to standard error.
    silence = held_back(drop=True) if image.format == "TIFF" else nullcontext()
    with silence:
        image.load()


def _to_8_bit(image: Image.Image) -> Image.Image:
    """Return an image of 16- or 32-bit samples as 8-bit gray."""
    samples = np.array(image, dtype=np.float32)
    # All steps work in place: an image may have 89 million pixels.
    np.nan_to_num(samples, copy=False, posinf=0, neginf=0)
    samples.clip(0, None, out=samples)
    samples *= _WHITE_8_BIT / _white_of(image.mode, samples.max())
    np.rint(samples, out=samples)
    return Image.fromarray(samples.astype(np.uint8))


def _white_of(mode: str, largest: float) -> float:
    """Return the sample value that is white in an image whose largest sample is `largest`."""
    ranges = (1, _WHITE_8_BIT, _WHITE_16_BIT) if mode == "F" else (_WHITE_16_BIT,)
    for white in ranges:
        if largest <= white:
            return white
    return largest


def _on_white(image: Image.Image) -> Image.Image:
    """Return an image with its transparent parts laid on white."""
    image = image.convert("RGBA")
    background = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(background, image)


def _explain(error: Exception) -> str:
    """Return the reason why Pillow cannot decode a file, in words."""
    if isinstance(error, UnidentifiedImageError):
        return f"not an image of a known kind ({', '.join(formats())})"
    if isinstance(error, (Image.DecompressionBombError, Image.DecompressionBombWarning)):
        return (
            f"a decompression bomb: more than {Image.MAX_IMAGE_PIXELS:,} pixels; if you trust it, "
            "set PIL.Image.MAX_IMAGE_PIXELS = None before"
        )
    if isinstance(error, MemoryError):
        return "it needs more memory than is available"
    return f"truncated or damaged: {error}"


def explain_file(path: Path, error: Exception) -> str | None:
    """Return what is wrong with a file before its content matters, or None."""
    if isinstance(error, PermissionError):
        return "no permission to read it"
    if path.is_dir():
        return "a folder, not an image"
    if path.is_symlink() and not path.is_file():
        return "a broken link"
    if not path.is_file():
        return "not a file"
    if path.stat().st_size == 0:
        return "empty"
    return None
