"""Arrays and sets of batches: written once as PNG files, which lose nothing and can be shown."""

import hashlib
import itertools
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from PIL import Image

from camkit._progress import progress
from camkit.images._as_arrays import ArrayReader, save
from camkit.images._labels import labels_of
from camkit.images.decoding import THREADS, FileReader
from camkit.images.folders import quote
from camkit.images.image_set import ImageSet

# How many images of an array are converted at once.
_CHUNK = 256

_CHANNELS = (1, 3, 4)

# Values up to here, if they exceed 1, are neither 0 to 1 nor 0 to 255: those of a set that is
# nearly black, or of one with another white.
_DARKEST_WHITE = 16

# Grey levels are whole up to this: what single precision makes of a division by 255 and back.
_WHOLE = 1e-4

# The values that are shown as black and white, where they are those of the picture.
_OF_A_PICTURE = (0, 255)

# How many elements of a dataset are compared with those of a second pass.
_COMPARED = 8

# What tells an endless tf.data.Dataset.
_ENDLESS = -1


def images_of_arrays(
    arrays: Any, labels: Any, class_names: Sequence[str] | Mapping | None, multi_label: bool | None
) -> ImageSet:
    """Return the set of arrays: (N, H, W, C), (N, H, W), or a list of images of any sizes.

    Row i of the set is arrays[i].

    Raises:
        ValueError: The arrays are no images, or their values have an unknown range.
    """
    if not isinstance(arrays, list | tuple):
        arrays = np.asarray(arrays)
        _check_batch(arrays)
    found = labels_of(labels, len(arrays), class_names, multi_label)
    writer = _Writer()
    writer.decide(arrays)
    with progress(len(arrays), "Writing images", "image") as bar:
        for start in range(0, len(arrays), _CHUNK):
            writer.write(arrays[start : start + _CHUNK])
            bar.update(len(writer.paths) - start)
    return writer.images(found.values, found.names, found.notes)


def images_of_batches(
    batches: Iterable, class_names: Sequence[str] | Mapping | None, multi_label: bool | None
) -> ImageSet:
    """Return the set of what an iterable yields: images or batches of images, or pairs with labels.

    It is read once. Memory holds one batch and all labels.

    Raises:
        ValueError: It is endless or empty, or what it yields are no images.
    """
    _refuse_endless(batches)
    if class_names is None:
        class_names = getattr(batches, "class_names", None)
    writer = _Writer()
    labels: list = []
    begin: list[bytes] = []
    with progress(None, "Writing images", "image") as bar:
        for element in _elements(batches):
            images, of_images = _pair(element)
            if len(begin) < _COMPARED:
                begin.append(_digest(images))
            writer.write(images)
            labels += [] if of_images is None else list(of_images)
            bar.update(len(images))
    if not begin:
        raise ValueError(f"the {type(batches).__name__} yields nothing: an iterator serves once")
    count = len(writer.paths)
    found = labels_of(
        labels if labels else None, count, class_names if labels else None, multi_label
    )
    notes = [*_note_of_order(batches, begin), *found.notes]
    return writer.images(found.values, found.names, notes)


def _refuse_endless(batches: Any) -> None:
    """Raise ValueError for a tf.data.Dataset that repeats without end."""
    if hasattr(batches, "cardinality") and int(batches.cardinality()) == _ENDLESS:
        raise ValueError("the dataset repeats without end: pass dataset.take(number of batches)")


def _elements(batches: Any) -> Iterator:
    """Yield the elements once; by index where iterating may have no end, as of a PyDataset."""
    if hasattr(batches, "__getitem__") and hasattr(batches, "__len__"):
        return (batches[index] for index in range(len(batches)))
    return iter(batches)


def _pair(element: Any) -> tuple[np.ndarray, Any]:
    """Return a batch of images and their labels, or None, from what a set yields."""
    labels = None
    if isinstance(element, list | tuple):
        # Weights of the samples may follow.
        element, labels = element[0], (element[1] if len(element) > 1 else None)
    _refuse_several_outputs(labels)
    images = _as_array(element)
    is_one = images.ndim == 2 or (images.ndim == 3 and images.shape[-1] in _CHANNELS)
    if is_one:
        images = images[np.newaxis]
        labels = None if labels is None else [np.asarray(labels)]
    _check_batch(images)
    return images, None if labels is None else np.asarray(labels)


def _refuse_several_outputs(labels: Any) -> None:
    """Raise ValueError for the labels of several outputs of a model."""
    if isinstance(labels, Mapping):
        name = next(iter(labels), "label")
        raise ValueError(
            f"the labels are dictionaries with {quote(labels)}: pass one entry, such as "
            f"load_images((images, labels[{name!r}]) for images, labels in batches)"
        )
    if isinstance(labels, tuple) and any(hasattr(each, "shape") for each in labels):
        raise ValueError(
            f"the labels are {len(labels)} arrays, as for {len(labels)} outputs: pass one of them, "
            "such as load_images((images, labels[0]) for images, labels in batches)"
        )


def _digest(images: np.ndarray) -> bytes:
    return hashlib.sha256(images.tobytes()).digest()


def _note_of_order(batches: Any, begin: list[bytes]) -> list[str]:
    """Return a note that says whether another pass over the batches begins with other images."""
    if hasattr(batches, "__next__"):
        return []
    again = [_digest(_pair(each)[0]) for each in itertools.islice(_elements(batches), _COMPARED)]
    if again == begin:
        return ["the images are in the order of the dataset"]
    return [
        "the dataset shuffles or augments: the images are in the order of the pass that was read, "
        "not in that of model.predict(dataset); build it with shuffle=False to compare row by row"
    ]


def _check_batch(images: np.ndarray) -> None:
    """Raise ValueError unless an array is a batch of images (N, H, W) or (N, H, W, C)."""
    shape = images.shape
    if images.dtype.kind in "OSU" and isinstance(images.flat[0], str | bytes | os.PathLike):
        raise ValueError(
            "the images are texts or paths: pass a list of paths, such as "
            "[os.fsdecode(path) for path in dataset.as_numpy_iterator()], or of (path, label)"
        )
    if images.dtype.kind not in "biuf":
        raise ValueError(f"the images are an array of {images.dtype}, not of numbers")
    if images.ndim == 3 and shape[-1] in _CHANNELS and shape[0] not in _CHANNELS:
        raise ValueError(
            f"the array {shape} is one image: pass images[np.newaxis] for a set of one"
        )
    if images.ndim == 2:
        raise ValueError(
            f"the array {shape} holds rows of numbers: pass images (N, height, width, channels), "
            "such as images.reshape(-1, 28, 28)"
        )
    is_channels_first = images.ndim == 4 and shape[1] in _CHANNELS and shape[-1] not in _CHANNELS
    if is_channels_first:
        raise ValueError(
            f"the images {shape} have their channels first: pass np.moveaxis(images, 1, -1)"
        )
    if images.ndim not in (3, 4) or (images.ndim == 4 and shape[-1] not in _CHANNELS):
        raise ValueError(
            f"the images have the shape {shape}: pass (N, height, width, channels) with 1 (gray), "
            "3 (RGB) or 4 channels (RGBA)"
        )
    if not images.size:
        raise ValueError(f"the images have the shape {shape}: there is nothing in them")


class _Writer:
    """Writes images as PNG files into a temporary folder.

    Values of 0 to 1, or of -1 to 1, are shown as 0 to 255. What their range is, all images decide,
    or the first batch of a set that is not there as a whole; what follows must not contradict it.
    """

    def __init__(self) -> None:
        self.paths: list[Path] = []
        self._temporary = TemporaryDirectory(prefix="camkit-", ignore_cleanup_errors=True)
        self._folder = Path(self._temporary.name).resolve() / "images"
        self._folder.mkdir()
        # The values that are shown as black and white.
        self._limits: tuple[float, float] | None = None
        self._is_rounded = False
        self._has_alpha = False

    def decide(self, arrays: Any) -> None:
        """Decide the range of the values of all arrays."""
        chunks = (arrays[start : start + _CHUNK] for start in range(0, len(arrays), _CHUNK))
        extremes = [_range_of(_as_array(image)) for chunk in chunks for image in _parts(chunk)]
        low, high = np.array(extremes).T
        self._limits = _limits_of(low.min(), high.max())

    def write(self, batch: Any) -> None:
        """Write a batch of images, in order."""
        images = [self._shown(_as_array(image)) for image in batch]
        start = len(self.paths)
        paths = [self._folder / f"{start + i:07}.png" for i in range(len(images))]
        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(save, *zip(*images, strict=True), paths))
        self.paths += paths

    def images(self, labels: np.ndarray, names: list[str], notes: list[str]) -> ImageSet:
        """Return the set of all images that were written."""
        return ImageSet(
            self._folder,
            self.paths,
            labels,
            names,
            skipped=[],
            notes=[*self._notes(), *notes],
            reader=self._reader(),
            _temporary=self._temporary,
        )

    def _reader(self) -> FileReader | ArrayReader:
        """Return the reader that gives a model the values of the arrays."""
        if self._limits in (None, _OF_A_PICTURE) and not self._is_rounded:
            return FileReader()
        return ArrayReader(*(self._limits or _OF_A_PICTURE))

    def _notes(self) -> list[str]:
        notes = []
        reader = self._reader()
        if isinstance(reader, ArrayReader):
            rounded = ", rounded to whole grey levels" if self._is_rounded else ""
            notes.append(
                f"a model is given the values of the arrays as they are, {reader.black:g} to "
                f"{reader.white:g}; they are shown as 0 to 255{rounded}"
            )
        if self._has_alpha:
            notes.append("a model of 3 channels is given the images of 4 channels laid on white")
        return notes

    def _shown(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Return the picture of an image, uint8 (H, W) or (H, W, C), and its values.

        The values are None where the picture has them all.
        """
        _check_batch(image[np.newaxis])
        if image.ndim == 3 and image.shape[-1] == 1:
            image = image[..., 0]
        self._has_alpha |= image.shape[-1] == 4 and image.ndim == 3
        low, high = _range_of(image)
        if self._limits is None:
            if low == high == 0:
                return np.zeros(image.shape, np.uint8), image
            self._limits = _limits_of(low, high)
        if image.dtype == np.uint8 and self._limits == _OF_A_PICTURE:
            return image, None
        black, white = self._limits
        if not black <= low <= high <= white:
            raise ValueError(
                f"values of {low:g} to {high:g} follow on values of {black:g} to {white:g}: bring "
                "all images to one range, 0 to 255 as uint8"
            )
        scaled = (image.astype(np.float32) - black) * (255 / (white - black))
        picture = np.rint(scaled)
        if np.abs(scaled - picture).max(initial=0) <= _WHOLE:
            return picture.astype(np.uint8), None
        self._is_rounded = True
        return picture.astype(np.uint8), image


def _as_array(image: Any) -> np.ndarray:
    """Return an image or a batch as an array; one of Pillow's as RGB, unless it is gray or RGBA."""
    if isinstance(image, Image.Image):
        image = image if image.mode in ("L", "RGB", "RGBA") else image.convert("RGB")
    if isinstance(image, Mapping):
        raise ValueError(
            "the images are dictionaries: pass pairs, such as "
            "load_images(((row['image'], row['label']) for row in rows))"
        )
    try:
        return np.asarray(image)
    except ValueError as error:
        raise ValueError(
            "an element of the source is no image, since its parts have different shapes: pass "
            "pairs as tuples (image, label), and a list of batches as iter(batches)"
        ) from error


def _parts(chunk: Any) -> Iterable:
    """Return what of a chunk is looked at in one go: an array as a whole, a list image by image."""
    return chunk if isinstance(chunk, list | tuple) else [chunk]


def _range_of(image: np.ndarray) -> tuple[float, float]:
    """Return the smallest and largest value; for uint8 and bool those that there may be."""
    if image.dtype == np.uint8:
        return _OF_A_PICTURE
    if image.dtype == np.bool_:
        return 0, 1
    return float(image.min()), float(image.max())


def _limits_of(low: float, high: float) -> tuple[float, float]:
    """Return which values are black and white, for values of `low` to `high`."""
    if 0 <= low <= high <= 1:
        return 0, 1
    if -1 <= low <= high <= 1:
        return -1, 1
    if 0 <= low and _DARKEST_WHITE < high <= 255:
        return _OF_A_PICTURE
    remedy = (
        f"multiply them by 255 / {high:g} if that is white, and begin a model that was trained on "
        f"them with keras.layers.Rescaling({high:g} / 255)"
    )
    if low < 0:
        remedy = (
            "pass images from before the preprocessing, and a model that begins with it, such as "
            "keras.Sequential([keras.layers.Normalization(mean=..., variance=...), model])"
        )
    if not np.isfinite([low, high]).all():
        remedy = "replace NaN and infinite values first"
    raise ValueError(
        f"the values of the images are {low:g} to {high:g}, neither 0 to 1, -1 to 1 nor 0 to 255: "
        f"{remedy}"
    )
