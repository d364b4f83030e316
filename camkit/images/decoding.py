"""Decoding: read a file as an upright image, or say why it cannot be read."""

import logging
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from io import BufferedReader
from operator import index
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from camkit._quiet import held_back
from camkit.images._dicom import IS_ONE_OF_SEVERAL, IS_WINDOWLESS, NoImageError, open_dicom
from camkit.images._digests import remember
from camkit.images._samples import has_depth, note_depth, to_8_bit

# How many threads decode images at once.
THREADS = 4

# `Image.init` registers all formats that Pillow has. Those listed need no other program. EPS is not
# among them, since Pillow would hand it to Ghostscript.
Image.init()
FORMATS = ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "JPEG2000"]
if "AVIF" in Image.OPEN:
    FORMATS.append("AVIF")

# Pillow's names of the images that a model may take, by their number of channels.
_MODES = {1: "L", 3: "RGB", 4: "RGBA"}

# Pillow warns of "Corrupt EXIF data" and the like, and logs errors that it also raises.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
logging.getLogger("PIL").addHandler(logging.NullHandler())

# How a DICOM file begins: 128 bytes of any content, and its mark.
_LENGTH_OF_HEAD = 132

# What files of HEIC photographs are called at their beginning, after the mark "ftyp"; the last two
# may be AVIF as well.
_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs")
_HEIF_BRANDS = (*_HEIC_BRANDS, b"mif1", b"msf1")

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
        integer_white: The sample that is white in files of 16 or 32 bits; None if each file decides
            it by itself.
        float_white: The same for floats.
    """

    opener: Opener | None = None
    integer_white: float | None = None
    float_white: float | None = None

    def __call__(
        self, path: str | os.PathLike, size: tuple[int, int] | None = None, *, channels: int = 3
    ) -> np.ndarray:
        """Return the image in a file, see `read_image`."""
        mode = _MODES[checked_channels(channels)]
        image, _ = self.decoded(Path(path), size, mode)
        if size is not None:
            height, width = size
            image = image.resize((width, height), Image.Resampling.BILINEAR)
        return np.array(image).reshape(image.height, image.width, channels)

    def decoded(
        self, path: Path, size: tuple[int, int] | None = None, mode: str = "RGB"
    ) -> tuple[Image.Image, tuple[int, int]]:
        """Return the upright image in a file, and the (width, height) that the file says.

        With a size (height, width), a JPEG file may be decoded at a fraction of its own size that
        leaves twice that or more. Raises OSError if the file cannot be read.
        """
        try:
            with self.opened(path) as opened:
                extent = opened.size
                if size is not None:
                    _reduce(opened, size)
                return self.upright(opened, mode), extent
        except Exception as error:
            raise OSError(f"{path} cannot be read: {self.explained(path, error)}") from error

    def seen_at(self, size: tuple[int, int]) -> "FileReader":
        """Return this reader, since images are stretched to any size as a whole."""
        return self

    @contextmanager
    def opened(self, path: Path, *, keeps_digest: bool = False) -> Iterator[Image.Image]:
        """Context manager: open the image in a file, which is not yet decoded.

        Args:
            path: The file.
            keeps_digest: Whether the file is read to its end afterwards, for `digest_of`.
        """
        if self.opener is not None:
            # The opener may keep its image, which is decoded and turned here.
            yield _as_image(self.opener(path)).copy()
            return
        with open(path, "rb") as stream:
            with _open(path, stream) as image:
                yield image
            if keeps_digest:
                remember(path, stream)

    def upright(self, image: Image.Image, mode: str) -> Image.Image:
        """Return an opened image as an upright 8-bit image of a mode: L, RGB or RGBA."""
        white = self.float_white if image.mode == "F" else self.integer_white
        return _upright(image, mode, white)

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


def names_of_formats() -> str:
    """Return the names of all formats that are read, some by packages of the extras.

    Example:
        >>> from camkit.images.decoding import names_of_formats
        >>> names_of_formats().endswith(", HEIC, DICOM")
        True
    """
    return ", ".join([*formats(), "HEIC", "DICOM"])


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
    path: str | os.PathLike, size: int | tuple[int, int] | None = None, *, channels: int = 3
) -> np.ndarray:
    """Return the image in a file as uint8, turned upright by its EXIF orientation.

    Transparency is laid on white, except in RGBA; an animation, a file of several pages and a film
    give their first image; gray is the luminance 0.299 R + 0.587 G + 0.114 B, as Keras reads it.

    HEIC needs pip install 'camkit[heic]'. DICOM needs 'camkit[medical]', and is shown as its window
    and its rescaling say; without a window, from its smallest to its largest value.

    Gray of 16 or 32 bits is scaled to 8. Its white is the least of 255, 1023, 4095, 16383 and 65535
    that no sample exceeds, so that 10 or 12 bits in a file of 16 are not nearly black; for floats
    1 may be white as well; and beyond them it is the largest sample. Negative samples and NaN are
    black. A file may say that more bits are significant. In a set of `camkit.load_images`, all
    files decide together, so that a dark image stays darker than a bright one; only a file that is
    clipped right below a smaller white keeps its own.

    If `size` is given, a JPEG file is decoded at 1/2, 1/4 or 1/8 of its own size where that divides
    it and leaves twice the `size` or more. A photograph then differs by 0.3 grey levels on average
    from one that was decoded whole, and by 4 at most; an image of noise by 0.8 and 6.

    Args:
        path: The file.
        size: (height, width) that the image is stretched to, bilinear with antialiasing, or one
            number for both; None keeps the size of the file.
        channels: 1 for gray, 3 for RGB, 4 for RGBA.

    Returns:
        The pixels (H, W, channels), uint8, 0 to 255.

    Raises:
        ValueError: There are no images of so many channels or of such a size.
        OSError: The file cannot be read; the message says why.

    Example:
        >>> import camkit
        >>> path = camkit.load_images("mini", "Test").paths[0]
        >>> camkit.read_image(path, size=(50, 80)).shape
        (50, 80, 3)
    """
    return FileReader()(path, _height_and_width(size), channels=channels)


def _height_and_width(size: int | tuple[int, int] | None) -> tuple[int, int] | None:
    """Return a size as (height, width), None for None. Raises ValueError for any other one."""
    if size is None:
        return None
    try:
        height, width = map(index, np.broadcast_to(size, 2).tolist())
    except (TypeError, ValueError):
        height = width = 0
    if height < 1 or width < 1:
        raise ValueError(f"size={size!r} is no size in pixels: pass (height, width) or one number")
    return height, width


def checked_channels(channels: int | None) -> int:
    """Return a number of channels that files are read in. Raises ValueError for any other one."""
    if channels not in _MODES:
        raise ValueError(
            f"files are read as gray (1), RGB (3) or RGBA (4), not in {channels} channels: for a "
            "model that takes these, pass arrays of your own to camkit.CAM or camkit.grad_cam"
        )
    return channels


def _open(path: Path, stream: BufferedReader) -> Image.Image:
    """Return the image in an opened file, not yet decoded."""
    head = stream.read(_LENGTH_OF_HEAD)
    stream.seek(0)
    if head.endswith(b"DICM") or path.suffix.lower() == ".dcm":
        return open_dicom(stream)
    brand = head[8:12] if head[4:8] == b"ftyp" else None
    if brand in _HEIF_BRANDS and "HEIF" not in Image.OPEN:
        _register_heif(brand)
    try:
        image = Image.open(stream, formats=formats())
    except UnidentifiedImageError:
        if brand in _HEIC_BRANDS:
            raise OSError("an incomplete HEIC file") from None
        raise
    note_depth(image, stream)
    return image


def _register_heif(brand: bytes) -> None:
    """Register the plugin for HEIC files, since one of this brand is to be opened."""
    try:
        import pillow_heif
    except ImportError:
        # Some files of these brands are AVIF.
        if brand in _HEIC_BRANDS:
            raise ImportError("HEIC, which pip install 'camkit[heic]' lets camkit read") from None
        return
    pillow_heif.register_heif_opener()


def is_one_of_several(image: Image.Image) -> bool:
    """Return whether the file of an opened image holds several frames or pages."""
    # The others of a camera's MPO file are a preview or what a second lens sees.
    is_animated = getattr(image, "is_animated", False) and image.format != "MPO"
    return is_animated or image.info.get(IS_ONE_OF_SEVERAL, False)


def is_windowless(image: Image.Image) -> bool:
    """Return whether an image is of a DICOM file that does not say what is black and white."""
    return image.info.get(IS_WINDOWLESS, False)


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


def _upright(image: Image.Image, mode: str, white: float | None) -> Image.Image:
    """Return an opened image as an upright 8-bit image; `white` as for `to_8_bit`."""
    _load(image)
    try:
        ImageOps.exif_transpose(image, in_place=True)
    except Exception:
        # The EXIF block is damaged, but the pixels are intact. Pillow turns the image before it
        # rewrites the block, so an image that can be turned has been turned.
        pass
    if has_depth(image):
        image = to_8_bit(image, white)
    elif image.has_transparency_data and mode != "RGBA":
        image = _on_white(image)
    return image.convert(mode)


def _load(image: Image.Image) -> None:
    """Decode the pixels of an opened image."""
    # libtiff writes its messages to standard error.
    silence = held_back(drop=True) if image.format == "TIFF" else nullcontext()
    with silence:
        image.load()


def _on_white(image: Image.Image) -> Image.Image:
    """Return an image with its transparent parts laid on white."""
    image = image.convert("RGBA")
    background = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(background, image)


def _explain(error: Exception) -> str:
    """Return the reason why Pillow cannot decode a file, in words."""
    if isinstance(error, UnidentifiedImageError):
        return f"not an image of a known kind ({names_of_formats()})"
    if isinstance(error, (ImportError, NoImageError)):
        return str(error)
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
