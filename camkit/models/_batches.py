"""Checking images against a model: the shape of a batch, the size of an image."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike


def batch_of(images: ArrayLike, shape: Sequence[int | None], remedy: str) -> np.ndarray:
    """Return images as a float32 array (B, *shape).

    Args:
        images: The images, as an array or anything that NumPy converts to one.
        shape: (height, width, channels) that the model takes; None stands for any number.
        remedy: The advice that ends the error message.

    Raises:
        ValueError: The images have another shape, or are no numbers.
    """
    batch = array_of(images)
    if not fits(batch.shape[1:], shape) or batch.ndim == 0:
        wanted = ", ".join("any" if size is None else str(size) for size in shape)
        if batch.ndim == 4 and batch.shape[-1] != shape[-1]:
            raise ValueError(
                f"the batch has shape {batch.shape}, the model takes (B, {wanted}): "
                f"images.batches(batch_size, size, channels={shape[-1]}) reads files as gray (1), "
                "RGB (3) or RGBA (4)"
            )
        raise ValueError(
            f"the batch has shape {batch.shape}, the model takes (B, {wanted}): "
            "images.batches(batch_size, size) yields batches of one size, image[None] makes a "
            f"batch of one, {remedy}"
        )
    return batch


def array_of(images: ArrayLike) -> np.ndarray:
    """Return images as a float32 array. Raises ValueError if they are no numbers."""
    try:
        return np.asarray(images, dtype="float32")
    except (TypeError, ValueError):
        raise ValueError(
            f"the batch is a {type(images).__name__} that NumPy can make no array of numbers of: "
            "pass the images as one array, and what other inputs take as inputs={name: values}"
        ) from None


def batches_of(images: Any, batch_size: int, shape: Sequence[int | None]) -> Iterator[np.ndarray]:
    """Return the batches of an image set in the form that a model takes.

    Args:
        images: An ImageSet or, for models of RGB images, anything with its method `batches`.
        batch_size: The number of images in a batch.
        shape: (height, width, channels) that the model takes.
    """
    size = tuple(shape[:2])
    if shape[2] == 3:
        return images.batches(batch_size, size)
    return images.batches(batch_size, size, channels=shape[2])


def fixed_size(shape: Sequence[int | None], remedy: str) -> tuple[int, int]:
    """Return (height, width) of the images that a model takes.

    Args:
        shape: (height, width, ...) of the model's input; None stands for any number.
        remedy: The advice that ends the error message.

    Raises:
        ValueError: The model takes images of any size.
    """
    height, width = shape[:2]
    if height is None or width is None:
        raise ValueError(
            f"the model takes images of any size and does not say which it was made for: {remedy}"
        )
    return height, width


def fits(shape: Sequence[int], wanted: Sequence[int | None]) -> bool:
    """Return whether a shape has the wanted sizes, where None stands for any."""
    if len(shape) != len(wanted):
        return False
    pairs = zip(shape, wanted, strict=True)
    return all(want is None or size == want for size, want in pairs)
