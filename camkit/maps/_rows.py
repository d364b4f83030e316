"""Images that have rows of their own in the other inputs of a model."""

import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast

import keras
import numpy as np

from camkit.models import _probe as probe
from camkit.models._batches import array_of
from camkit.models._part import Rows, part, row_at, rows_of_images

_Method = TypeVar("_Method", bound=Callable[..., np.ndarray])


def row_by_row(method: _Method) -> _Method:
    """Return a method that also takes a row for each image, `inputs={name: rows (B, ...)}`.

    Such images are explained one by one, each by the model with its row inside.
    """

    @functools.wraps(method)
    def explain(
        model: keras.Model, batch: np.ndarray, targets: Any = None, **options: Any
    ) -> np.ndarray:
        inputs = options.get("inputs") or {}
        rows: Rows = {}
        # Occlusion also takes functions.
        if inputs and isinstance(model, keras.Model):
            rows = rows_of_images(model, inputs, len(batch))
        if not rows:
            return method(model, batch, targets, **options)
        images = array_of(batch)
        explained = part(model, {**inputs, **row_at(rows, 0)}, options.get("output"))
        chosen = probe.targets_of(explained, targets, len(images))
        maps = []
        for index in range(len(images)):
            options["inputs"] = {**inputs, **row_at(rows, index)}
            maps.append(method(model, images[index : index + 1], chosen[index], **options))
        return np.concatenate(maps)

    return cast(_Method, explain)
