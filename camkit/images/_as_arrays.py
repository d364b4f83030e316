"""Reading the files that arrays were written to: a model is given the values of the arrays.

Such a file is a PNG file, which anything can show. Where its 256 levels lose something, the values
themselves stand in a chunk of the file.
"""

import os
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from camkit.images.decoding import FileReader

# A chunk that programs may pass over and that is not registered. Programs that change the picture
# drop it.
_CHUNK = b"caMK"

_FLOAT = np.dtype("<f4")


@dataclass(frozen=True)
class ArrayReader:
    """Reads files of arrays whose values are not those of the picture.

    Attributes:
        black: The value that is shown as 0.
        white: The value that is shown as 255.
    """

    black: float
    white: float

    def __call__(
        self, path: str | os.PathLike, size: tuple[int, int] | None = None, *, channels: int = 3
    ) -> np.ndarray:
        """Return the image (height, width, channels) in a file.

        With a size it is float32 and has the values of the array; without one it is the picture,
        uint8. Colours are made gray, and transparency is laid on white, by the picture.

        Raises:
            OSError: The file cannot be read; the message says why.
        """
        path = Path(path)
        picture = FileReader()(path, channels=channels)
        if size is None:
            return picture
        values = _stored(path)
        if values is None or values.shape[2] not in (1, channels):
            levels = 255 / (self.white - self.black)
            values = picture.astype(np.float32) / np.float32(levels) + np.float32(self.black)
        height, width = size
        return _resized(np.broadcast_to(values, picture.shape), height, width)

    def seen_at(self, size: tuple[int, int]) -> FileReader:
        """Return the reader of the pictures, which show what a model is given at any size."""
        return FileReader()

    def settings(self) -> dict[str, float]:
        """Return the settings that distinguish this reader from others, as JSON has them."""
        return asdict(self)


def save(picture: np.ndarray, values: np.ndarray | None, path: Path) -> None:
    """Write a picture as PNG, with the fastest compression, and its values if it loses some."""
    info = PngInfo()
    if values is not None:
        info.add(_CHUNK, zlib.compress(values.astype(_FLOAT).tobytes(), level=1))
    Image.fromarray(picture).save(path, compress_level=1, pnginfo=info)


def _stored(path: Path) -> np.ndarray | None:
    """Return the values (H, W, C) that a file has beside its picture, or None."""
    with Image.open(path, formats=["PNG"]) as image:
        for name, content, *_ in getattr(image, "private_chunks", []):
            if name == _CHUNK:
                values = np.frombuffer(zlib.decompress(content), _FLOAT)
                return values.reshape(image.height, image.width, -1).astype(np.float32)
    return None


def _resized(values: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return values (H, W, C) at another size, bilinear with antialiasing."""
    if values.shape[:2] == (height, width):
        return np.array(values)
    bilinear = Image.Resampling.BILINEAR
    channels = [Image.fromarray(channel) for channel in np.moveaxis(values, -1, 0)]
    resized = [np.asarray(each.resize((width, height), bilinear)) for each in channels]
    return np.stack(resized, axis=-1)
