"""The part of a model that is explained: one image in, one vector of class scores out."""

from collections.abc import Mapping

import keras
import numpy as np

from camkit.models._graph import one_way


def part(
    model: keras.Model,
    inputs: Mapping[str, np.ndarray] | None = None,
    output: str | None = None,
) -> keras.Model:
    """Return a model with one image input and one output, which shares the layers of `model`.

    Args:
        model: A Keras model. One that has one input and one output is returned as it is.
        inputs: {input name: its values for one row} for every input but the image.
        output: The name of one of several outputs.

    Raises:
        HeadError: Which input is the image, or which output is meant, does not follow.
    """
    one_way(model)
    return model
