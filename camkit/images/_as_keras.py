"""Reading files as `keras.utils.image_dataset_from_directory` does, by TensorFlow's own functions.

Keras decodes and resizes with TensorFlow on every backend. Its decoder of JPEG files and its
resizing without antialiasing give other numbers than Pillow, and it ignores the orientation in
EXIF.
"""

import os
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from camkit.images._as_arrays import ArrayReader
from camkit.images.decoding import FileReader, checked_channels, explain_file

# The files that Keras looks for; it passes over all others.
SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png")

_CROPPING = ("bilinear", "nearest", "bicubic", "lanczos3", "lanczos5")
_INTERPOLATIONS = (*_CROPPING, "area", "gaussian", "mitchellcubic")


@dataclass(frozen=True)
class KerasReader:
    """Reads files as Keras does.

    Attributes:
        interpolation: How images are resized, as Keras calls it.
        crop_to_aspect_ratio: Whether the middle of the image that has the aspect ratio of the size
            is taken, in place of stretching the whole.
        pad_to_aspect_ratio: Whether black margins give the image that aspect ratio.
        extent: (height, width) whose aspect ratio is meant; None for that of the size.

    Raises:
        ValueError: Keras does not read files in this way.
        ImportError: TensorFlow is not installed.
    """

    interpolation: str = "bilinear"
    crop_to_aspect_ratio: bool = False
    pad_to_aspect_ratio: bool = False
    extent: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        """Check the settings, and that TensorFlow is installed."""
        known = _CROPPING if self.crop_to_aspect_ratio else _INTERPOLATIONS
        if self.interpolation not in known:
            cropping = " to crop" if self.crop_to_aspect_ratio else ""
            raise ValueError(
                f"interpolation is {self.interpolation!r}: Keras takes {', '.join(known)}{cropping}"
            )
        if self.crop_to_aspect_ratio and self.pad_to_aspect_ratio:
            raise ValueError(
                "crop_to_aspect_ratio and pad_to_aspect_ratio exclude each other: pass one of them"
            )
        if find_spec("tensorflow") is None:
            raise ImportError(
                "keras.utils.image_dataset_from_directory reads files by TensorFlow, whatever the "
                "backend: pip install 'camkit[tensorflow]'"
            )

    def __call__(
        self, path: str | os.PathLike, size: tuple[int, int] | None = None, *, channels: int = 3
    ) -> np.ndarray:
        """Return the image (height, width, channels) in a file.

        It is float32 and not rounded, 0 to 255 or slightly beyond for some interpolations; without
        a size it is uint8, at the size of the file.

        Raises:
            OSError: TensorFlow cannot read the file; the message says why.
        """
        import tensorflow as tf

        checked_channels(channels)
        path = Path(path)
        try:
            # Keras' datasets are read by the CPU, too. A GPU resizes to slightly other numbers.
            with tf.device("CPU"):
                image = tf.io.decode_image(
                    path.read_bytes(), channels=channels, expand_animations=False
                ).numpy()
                return self._in_shape(image, size)
        except Exception as error:
            reason = explain_file(path, error) or f"TensorFlow, which Keras reads by, says {error}"
            raise OSError(f"{path} cannot be read as Keras does: {reason}") from error

    def seen_at(self, size: tuple[int, int]) -> "KerasReader":
        """Return the reader of what a model sees that takes images of this size."""
        return replace(self, extent=size)

    def settings(self) -> dict[str, str | bool]:
        """Return the settings that distinguish this reader from others, as JSON has them."""
        settings = asdict(self)
        del settings["extent"]
        return settings

    def _in_shape(self, image: np.ndarray, size: tuple[int, int] | None) -> np.ndarray:
        """Return a decoded image, cropped or padded and resized."""
        import tensorflow as tf

        extent = self.extent or size
        if extent is None:
            return image
        if self.crop_to_aspect_ratio:
            image = _cropped(image, *extent)
        if self.pad_to_aspect_ratio:
            if size == extent:
                # Keras resizes the image before it pads it.
                resized = tf.image.resize_with_pad(image, *size, method=self.interpolation)
                return resized.numpy().astype("float32")
            image = _padded(image, *extent)
        if size is None:
            return image
        resized = tf.image.resize(image, size, method=self.interpolation)
        return resized.numpy().astype("float32")


def _cropped(image: np.ndarray, target_height: int, target_width: int) -> np.ndarray:
    """Return the middle of an image, in the aspect ratio of a target."""
    height, width = image.shape[:2]
    # Keras computes in single precision, which decides how some sizes are rounded.
    crop_height = int(np.float32(width * target_height) / np.float32(target_width))
    crop_width = int(np.float32(height * target_width) / np.float32(target_height))
    crop_height = max(min(height, crop_height), 1)
    crop_width = max(min(width, crop_width), 1)
    top = (height - crop_height) // 2
    left = (width - crop_width) // 2
    return image[top : top + crop_height, left : left + crop_width]


def _padded(image: np.ndarray, target_height: int, target_width: int) -> np.ndarray:
    """Return an image with black margins, in the aspect ratio of a target."""
    height, width = image.shape[:2]
    scale = max(height / target_height, width / target_width)
    margin_height = max(round(scale * target_height) - height, 0)
    margin_width = max(round(scale * target_width) - width, 0)
    top = margin_height // 2
    left = margin_width // 2
    margins = ((top, margin_height - top), (left, margin_width - left), (0, 0))
    return np.pad(image, margins)


# How the files of a set become arrays.
Reader = FileReader | KerasReader | ArrayReader
