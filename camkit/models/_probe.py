"""Querying a Keras model: its scores, and the activations and gradients at any of its layers.

Each query is compiled on first use and evaluated with the model's current weights, so further
training is reflected. The model is not changed.
"""

import difflib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, TypeAlias

import keras
import numpy as np
from keras import layers, ops
from numpy.typing import ArrayLike

from camkit.models._backend import compile_query, gradient
from camkit.models._batches import batch_of
from camkit.models._graph import HeadError, Network, Value, one_way
from camkit.models._head import find_head, is_map, is_weighting
from camkit.models._scores import last_activations

# Stands for the predicted class among the targets.
_PREDICTED = -1

LayerOrName: TypeAlias = "layers.Layer | str | None"


class _Seen(NamedTuple):
    """A forward pass whose activations `gradients` can reuse."""

    model: keras.Model
    images: np.ndarray
    layer: LayerOrName
    maps: np.ndarray


_seen: list[_Seen] = []


def scores(
    model: keras.Model,
    images: np.ndarray,
    layer: LayerOrName = None,
    maps: np.ndarray | None = None,
) -> np.ndarray:
    """Return the logits S (B, C), read before the model's last softmax or sigmoid.

    Args:
        model: The model.
        images: Images (B, H, W, channels) in the range that the model expects.
        layer: With `maps`, the layer or its name that they replace the output of, as in
            `gradients`.
        maps: Activations (n, h, w, K). If given, `images` is one image (1, H, W, channels), and
            the logits (n, C) are those that it would have if `layer` returned these maps.

    Raises:
        ValueError: As in `gradients`.
    """
    network = one_way(model)
    if maps is None:
        return _evaluate(network, _logits, network.output, images)
    map_value = _map_value_of(model, network, layer)
    maps = np.asarray(maps, dtype="float32")
    repeated = np.repeat(images, len(maps), axis=0)
    return _evaluate(network, _logits_of_maps, map_value, repeated, maps)


def gradients(
    model: keras.Model,
    images: np.ndarray,
    targets: ArrayLike | None = None,
    layer: LayerOrName = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the activations A (B, h, w, K) of a layer and the gradients ∂S/∂A (B, h, w, K).

    S is the logit of the target class, read before the model's last softmax or sigmoid.

    Args:
        model: The model.
        images: Images (B, H, W, channels) in the range that the model expects.
        targets: One class or one for each image (default: the predicted class).
        layer: A layer or its name, the input included (default: the last map that is read).

    Raises:
        ValueError: The images have another shape than the model takes, a target is not a class, or
            the layer is unknown, ambiguous or without a map.
        HeadError: The model has no graph of layers.
    """
    network = one_way(model)
    chosen = _checked(targets, len(images), network.output.channels)
    map_value = _map_value_of(model, network, layer)
    for seen_pass in _seen:
        is_same_pass = seen_pass.model is model and seen_pass.images is images
        if is_same_pass and seen_pass.layer == layer:
            slopes = _evaluate(network, _slopes_of_maps, map_value, images, chosen, seen_pass.maps)
            return seen_pass.maps, slopes
    return _evaluate(network, _maps_and_slopes, map_value, images, chosen)


@contextmanager
def seen(
    model: keras.Model, images: np.ndarray, layer: LayerOrName = None
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Context manager: yield the logits (B, C) of images and the activations A (B, h, w, K).

    Both come from one forward pass. Inside the block, `gradients` reuses A for the same array and
    layer, so that several targets cost little more than one. Do not train the model inside it.

    Raises:
        ValueError: As in `gradients`.
    """
    network = one_way(model)
    map_value = _map_value_of(model, network, layer)
    logits, maps = _evaluate(network, _logits_and_maps, map_value, images)
    _seen.append(_Seen(model, images, layer, maps))
    try:
        yield logits, maps
    finally:
        _seen.pop()


def choose(logits: np.ndarray, targets: ArrayLike | None = None) -> np.ndarray:
    """Return the target classes (B,) of logits (B, C).

    They are `targets`, one class or one for each image; by default the predicted classes.

    Raises:
        ValueError: A target is not a class.
    """
    count, classes = logits.shape
    chosen = _checked(targets, count, classes)
    return np.where(chosen == _PREDICTED, logits.argmax(axis=1), chosen)


def input_of(model: keras.Model) -> layers.InputLayer:
    """Return the input layer of a model."""
    return one_way(model).input_layer


def _checked(targets: ArrayLike | None, count: int, classes: int) -> np.ndarray:
    """Return the targets of `count` images, int64 (count,). Raises ValueError for other numbers."""
    if targets is None:
        return np.full(count, _PREDICTED, dtype="int64")
    chosen = np.array(targets)
    are_classes = np.isin(chosen, np.arange(classes)).all()
    if chosen.shape not in ((), (count,)) or not are_classes:
        raise ValueError(
            f"targets is {targets}: one class 0..{classes - 1}, or one for each image, is needed"
        )
    return np.broadcast_to(chosen, count).astype("int64")


# The layer to read --------------------------------------------------------------------------------


def _map_value_of(model: keras.Model, network: Network, layer: LayerOrName) -> Value:
    """Return the map (N, h, w, K) that a layer returns; by default the last one that is read."""
    if layer is None:
        # Finding the head reads all its weights, and some methods ask for every few images.
        if network.last_map is None:
            network.last_map = _find_last_map(model, network)
        return network.last_map
    matches = [each for each in network.layers if each is layer or each.name == layer]
    if len(matches) != 1:
        raise ValueError(_why_no_layer(network, layer, len(matches)))
    return _output_of(network, matches[0])


def _why_no_layer(network: Network, layer: LayerOrName, count: int) -> str:
    """Return why a layer is not the one to read, as `count` have its name, and what to choose."""
    names = [each.name for each in network.layers]
    near = difflib.get_close_matches(str(layer), names, 3) or names[-3:]
    examples = " or ".join(repr(name) for name in near)
    if count == 0:
        problem = f"no layer is named {layer!r}"
    else:
        problem = f"{count} layers are named {layer!r}"
    return f"{problem}: choose one of its {len(names)}, such as {examples}"


def _find_last_map(model: keras.Model, network: Network) -> Value:
    """Return the features that the head reads, or else the last map on the way to the scores."""
    try:
        return find_head(model).features
    except HeadError:
        # Gradients need no such head.
        for call in network.backwards():
            if is_map(call.inputs[0]):
                return call.inputs[0]
    names = [
        layer.name
        for layer in network.layers
        if len(getattr(getattr(layer, "output", None), "shape", ())) == 4
    ]
    if len(names) < 2:
        raise ValueError("the model has no map (batch, height, width, channels) to read")
    raise ValueError(
        "no map (batch, height, width, channels) leads straight to the scores: name the layer to "
        f"read, such as layer={names[-1]!r}"
    )


def _output_of(network: Network, layer: keras.Operation) -> Value:
    """Return the value that a layer computes. Raises ValueError unless it is exactly one map."""
    if layer is network.input_layer:
        values = list(network.inputs)
    else:
        values = [value for call in network.calls if call.layer is layer for value in call.outputs]
    if len(values) == 1 and len(values[0].shape) == 4:
        return values[0]
    if len(values) > 1:
        reason = f"has {len(values)} maps"
    else:
        reason = "has no map (batch, height, width, channels)"
    raise ValueError(f"the layer {layer.name!r} {reason}: name one before the pooling, called once")


# Queries, which the backend compiles --------------------------------------------------------------


@dataclass(frozen=True)
class _Pass:
    """The forward pass of a network up to its logits, through the map `map_value`."""

    network: Network
    map_value: Value

    def maps(self, images: Any) -> Any:
        """Return the activations A of images."""
        # Integers have no gradient: the input is read before it is cast.
        if self.map_value is self.network.input:
            return images
        return self._run({}, images, self.map_value)

    def logits(self, images: Any, maps: Any = None) -> Any:
        """Return the logits S of images as float32, with `maps` in place of their activations."""
        given = {}
        if maps is not None:
            given[self.map_value] = ops.cast(maps, self.map_value.dtype)
        return ops.cast(self._run(given, images, self.network.output), "float32")

    def slopes(self, images: Any, targets: Any, maps: Any) -> Any:
        """Return ∂S/∂A as float32, S being the logit of the target class."""

        def target_logits(maps: Any) -> Any:
            logits = self.logits(images, maps)
            predicted = ops.cast(ops.argmax(logits, axis=1), targets.dtype)
            chosen = ops.where(targets == _PREDICTED, predicted, targets)
            return ops.take_along_axis(logits, chosen[:, None], axis=1)

        return ops.cast(gradient(target_logits, maps), "float32")

    def _run(self, given: dict[Value, Any], images: Any, wanted: Value) -> Any:
        """Return a value of the network, computed as in `predict`, without the last softmax."""
        entry = self.network.input
        given = {entry: ops.cast(images, entry.dtype), **given}
        ending = last_activations(self.network)

        def visit(layer: keras.Operation) -> Callable:
            if layer in ending:
                return partial(_call_without_activation, layer)
            if isinstance(layer, layers.Layer):
                # Augmentation inside the model is switched off.
                return partial(_call_for_inference, layer)
            return layer

        return self.network.run(given, [wanted], visit)[0]


def _call_for_inference(layer: layers.Layer, *args: Any, **kwargs: Any) -> Any:
    """Call a layer with training=False, whatever the graph says."""
    return layer(*args, **{**kwargs, "training": False})


def _call_without_activation(layer: keras.Operation, tensor: Any, **_: Any) -> Any:
    """Return what a layer computes before its activation."""
    if not is_weighting(layer):
        return tensor
    if isinstance(layer, layers.Conv2D):
        result = layer.convolution_op(tensor, layer.kernel)
    else:
        result = ops.matmul(tensor, layer.kernel)
    if layer.bias is None:
        return result
    return result + ops.cast(layer.bias, result.dtype)


def _logits(forward: _Pass, images: Any) -> Any:
    return forward.logits(images)


def _logits_of_maps(forward: _Pass, images: Any, maps: Any) -> Any:
    return forward.logits(images, maps)


def _logits_and_maps(forward: _Pass, images: Any) -> Any:
    maps = forward.maps(images)
    return forward.logits(images, maps), ops.cast(maps, "float32")


def _maps_and_slopes(forward: _Pass, images: Any, targets: Any) -> Any:
    maps = forward.maps(images)
    return ops.cast(maps, "float32"), forward.slopes(images, targets, maps)


def _slopes_of_maps(forward: _Pass, images: Any, targets: Any, maps: Any) -> Any:
    return forward.slopes(images, targets, maps)


def _evaluate(
    network: Network,
    query: Callable,
    map_value: Value,
    images: np.ndarray,
    *more: np.ndarray,
) -> Any:
    """Return the result of a query as NumPy arrays.

    The query is compiled once for each network, map and shape of the arrays.
    """
    remedy = "camkit.backbone(name, input_size=...) builds for another size"
    arrays = [batch_of(images, network.input.shape[1:], remedy), *more]
    shapes = [array.shape[1:] for array in arrays]
    key = (query, map_value, *shapes)
    if key not in network.compiled:
        function = partial(query, _Pass(network, map_value))
        network.compiled[key] = compile_query(function, *arrays)
    return network.compiled[key](*arrays)
