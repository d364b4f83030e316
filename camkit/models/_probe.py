"""Querying a Keras model: its scores, and the activations and gradients at any of its layers.

Each query is compiled on first use and evaluated with the model's current weights, so further
training is reflected. The model is not changed.
"""

import difflib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, TypeAlias
from weakref import WeakSet

import keras
import numpy as np
from keras import layers, ops
from numpy.typing import ArrayLike

from camkit.models._attention import Attention, attentions_of, block_ends, opened
from camkit.models._backend import compile_query, gradient
from camkit.models._batches import batch_of
from camkit.models._graph import Call, HeadError, Network, Value, no_scores, one_way
from camkit.models._head import find_head
from camkit.models._kinds import is_vector, is_weighting
from camkit.models._places import (
    Grid,
    gathered,
    grid_of,
    is_tokens,
    spread,
    values_with_places,
)
from camkit.models._scores import (
    called_for_inference,
    check_scores,
    class_scores,
    ending_of,
    is_binary,
    last_activations,
)

# Stands for the predicted class among the targets.
_PREDICTED = -1

# Batches of `batches` hold at most this many values of images: eight of 224×224×3.
_VALUES = 8 * 224 * 224 * 3

LayerOrName: TypeAlias = "layers.Layer | str | None"
Size: TypeAlias = tuple[int, int] | None


class Reading(NamedTuple):
    """What is read of a model: the value of a layer, and the grid where that is tokens."""

    network: Network
    value: Value
    grid: Grid | None


class _Seen(NamedTuple):
    """A forward pass whose activations `gradients` can reuse."""

    images: np.ndarray
    reading: Reading
    activations: np.ndarray


_seen: list[_Seen] = []

# The networks whose scores were compared with the outputs of their models, without and with the
# attention that is computed apart.
_checked_networks: WeakSet[Network] = WeakSet()
_opened_networks: WeakSet[Network] = WeakSet()


def scores(model: keras.Model, images: np.ndarray) -> np.ndarray:
    """Return the logits S (B, C), read before the model's last softmax or sigmoid.

    Args:
        model: The model.
        images: Images (B, H, W, channels), or what else the model takes, in the range that it
            expects.

    Raises:
        ValueError, HeadError: As in `gradients`.
    """
    network = _checked_network(model, images)
    return _evaluate(network, _logits, network.output, images)


def scores_of_features(
    model: keras.Model,
    image: np.ndarray,
    features: np.ndarray,
    layer: LayerOrName = None,
    grid: Size = None,
) -> np.ndarray:
    """Return the logits (n, C) that an image would have if a layer returned other features.

    Args:
        model: The model.
        image: One image (1, H, W, channels).
        features: Features (n, *places, K) that replace those of the image. Tokens without a place
            stay as they are.
        layer: The layer, as in `gradients`.
        grid: The grid of its tokens, as in `gradients`.

    Raises:
        ValueError, HeadError: As in `gradients`.
    """
    reading = read(model, image, layer, grid)
    activations = np.asarray(features, dtype="float32")
    if reading.grid is not None:
        tokens = _evaluate(reading.network, _activations, reading.value, image)
        activations = gathered(activations, tokens, reading.grid)
    repeated = np.repeat(image, len(features), axis=0)
    return _evaluate(reading.network, _logits_of_activations, reading.value, repeated, activations)


def gradients(
    model: keras.Model,
    images: np.ndarray,
    targets: ArrayLike | None = None,
    layer: LayerOrName = None,
    grid: Size = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the features F (B, *places, K) of a layer and the gradients ∂S/∂F (B, *places, K).

    S is the logit of the target class, read before the model's last softmax or sigmoid. The places
    are (h, w) in a map, (t,) in a sequence, (d, h, w) in a volume. Tokens of an image are spread on
    their grid, without those that have no place.

    Args:
        model: The model.
        images: Images (B, H, W, channels), or what else the model takes, in the range that it
            expects.
        targets: One class or one for each image (default: the predicted class).
        layer: A layer or its name, the input included (default: the last places that are read).
        grid: (height, width) of the grid of tokens, where it cannot be known.

    Raises:
        ValueError: The images have another shape than the model takes, a target is not a class, or
            the layer is unknown, ambiguous or without places.
        HeadError: The model has no graph of layers, or its scores are not what it returns.
    """
    network = _checked_network(model, images)
    chosen = _checked(targets, len(images), classes_of(network))
    reading = read(model, images, layer, grid)
    for seen_pass in _seen:
        if seen_pass.images is images and seen_pass.reading == reading:
            activations = seen_pass.activations
            slopes = _evaluate(
                network, _slopes_of_activations, reading.value, images, chosen, activations
            )
            return spread(activations, reading.grid), spread(slopes, reading.grid)
    activations, slopes = _evaluate(network, _activations_and_slopes, reading.value, images, chosen)
    if len(activations) != len(images):
        raise ValueError(
            f"{len(images)} images have {len(activations)} outputs at the layer that is read, "
            "which works on parts of images: name a layer that returns one for each image"
        )
    return spread(activations, reading.grid), spread(slopes, reading.grid)


@contextmanager
def seen(
    model: keras.Model, images: np.ndarray, layer: LayerOrName = None, grid: Size = None
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Context manager: yield the logits (B, C) of images and the features F (B, *places, K).

    Both come from one forward pass. Inside the block, `gradients` reuses it for the same array and
    layer, so that several targets cost little more than one. Do not train the model inside it.

    Raises:
        ValueError, HeadError: As in `gradients`.
    """
    network = _checked_network(model, images)
    reading = read(model, images, layer, grid)
    logits, activations = _evaluate(network, _logits_and_activations, reading.value, images)
    _seen.append(_Seen(images, reading, activations))
    try:
        yield logits, spread(activations, reading.grid)
    finally:
        _seen.pop()


def check_reading(
    model: keras.Model, images: np.ndarray, layer: LayerOrName = None, grid: Size = None
) -> None:
    """Check that a layer can be read and that scores are those of the model. Nothing is compiled.

    Raises:
        ValueError, HeadError: As in `gradients`.
    """
    _checked_network(model, images)
    read(model, images, layer, grid)


def choose(logits: np.ndarray, targets: ArrayLike | None = None) -> np.ndarray:
    """Return the target classes (B,) of logits (B, C).

    They are `targets`, one class or one for each image; by default the predicted classes.

    Raises:
        ValueError: A target is not a class.
    """
    count, classes = logits.shape
    chosen = _checked(targets, count, classes)
    return np.where(chosen == _PREDICTED, logits.argmax(axis=1), chosen)


def targets_of(model: keras.Model, targets: ArrayLike | None, count: int) -> list[int | None]:
    """Return the target of each of `count` images, None for the predicted class.

    Raises ValueError if a target is not a class.
    """
    chosen = _checked(targets, count, classes_of(one_way(model))).tolist()
    return [None if target == _PREDICTED else target for target in chosen]


def batches(images: np.ndarray) -> Iterator[np.ndarray]:
    """Yield images in batches of a few million values at most, so that their gradients fit."""
    values = int(np.prod(images.shape[1:]))
    size = max(1, _VALUES // values)
    for start in range(0, len(images), size):
        yield images[start : start + size]


def last_weighting(model: keras.Model) -> Call:
    """Return the call of the last Dense layer or 1×1 convolution on the way to the scores.

    Raises ValueError if a layer that reads several values, or none at all, stands after it.
    """
    for call in one_way(model).backwards():
        if is_weighting(call.layer):
            return call
    raise ValueError("no Dense layer leads to the scores")


def last_vectors(model: keras.Model, images: np.ndarray) -> np.ndarray:
    """Return what the layer of `last_weighting` reads of images, (B, K) or (B, *places, K)."""
    network = _checked_network(model, images)
    return _evaluate(network, _activations, last_weighting(model).inputs[0], images)


def stages(model: keras.Model, images: np.ndarray, count: int) -> list[str | None]:
    """Return the names of the layers that end the last sizes of map, the last one first.

    The first is what `read` reads by default, or None where its name is not unique.

    Args:
        model: The model.
        images: Images (B, H, W, channels) in the range that it expects.
        count: The largest number of names. Sizes that no layer with weights returns, such as that
            of padding, are passed over.
    """
    network, last, _ = read(model, images)
    names: dict[Any, str] = {}
    learnt = set()
    for call in network.needed([network.input], [last]):
        size = call.outputs[0].shape[1:-1]
        if getattr(call.layer, "weights", None):
            learnt.add(size)
        if len(size) == len(last.shape) - 2 and _has_unique_name(network, call.layer):
            names[size] = call.layer.name
    own = last.shape[1:-1]
    earlier = [name for size, name in names.items() if size in learnt and size != own]
    call = network.maker_of(last)
    name = None
    if call is not None and _has_unique_name(network, call.layer):
        name = call.layer.name
    return [name, *earlier[::-1]][:count]


def input_of(model: keras.Model) -> layers.InputLayer:
    """Return the input layer of a model."""
    return one_way(model).input_layer


def classes_of(network: Network) -> int:
    """Return the number of classes C of a network: two if it has one output."""
    return 2 if is_binary(network) else network.output.channels


def _checked_network(model: keras.Model, images: np.ndarray) -> Network:
    """Return the network of a model, whose scores are compared with its outputs on first use.

    Raises HeadError where they differ, or where the outputs are no class scores.
    """
    network = one_way(model)
    if network not in _checked_networks:
        formats = {getattr(layer, "data_format", None) for layer in network.layers}
        if "channels_first" in formats:
            raise HeadError(
                "the model is channels_first, camkit reads channels_last features (B, height, "
                "width, channels)"
            )
        for layer in network.layers:
            if getattr(layer, "quantization_mode", None) == "float8":
                raise HeadError(
                    f"the layer {layer.name!r} computes in float8, which has a gradient in "
                    "training alone: explain the model as it was before quantize()"
                )
        if network.output in values_with_places(network) or len(network.output.shape) < 2:
            raise no_scores(network)
        image = _batch_for(network, images)[:1]
        # Run as it is: to compile a function for one image takes longer than the whole check.
        logits = _Pass(network, network.output).logits(ops.convert_to_tensor(image))
        check_scores(model, image, ops.convert_to_numpy(logits))
        _checked_networks.add(network)
    return network


def _batch_for(network: Network, images: np.ndarray) -> np.ndarray:
    """Return images as a float32 array.

    Raises ValueError unless they have the network's shape, finite values, and are one or more.
    """
    remedy = "camkit.backbone(name, input_size=...) builds for another size"
    batch = batch_of(images, network.input.shape[1:], remedy)
    if len(batch) == 0:
        raise ValueError(f"the batch has shape {batch.shape}: at least one image is needed")
    if not np.isfinite(batch).all():
        raise ValueError(
            "the batch holds NaN or infinite values, which no map can be read from: "
            "numpy.nan_to_num(batch) replaces them"
        )
    return batch


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


def read(
    model: keras.Model, images: np.ndarray, layer: LayerOrName = None, grid: Size = None
) -> Reading:
    """Return what is read at a layer, by default at the last places on the way to the scores.

    These are what the head averages. Where the scores depend on tokens without a place alone, such
    as a class token, they are the tokens that the last attention reads as values: after it, the
    tokens of the image have no effect on the scores.

    Raises:
        ValueError, HeadError: As in `gradients`.
    """
    network = one_way(model)
    if layer is not None:
        value = _named_value(model, network, layer)
    else:
        # Finding the head reads all its weights, and some methods ask for every few images.
        if network.last_map is None:
            network.last_map = _last_places(model, network, images, grid)
        value = network.last_map
    return Reading(network, value, grid_of(network, value, grid))


def _named_value(model: keras.Model, network: Network, layer: LayerOrName) -> Value:
    """Return the value with places that a layer or a nested model returns, the input included.

    Raises ValueError unless it is exactly one.
    """
    matches = _called(network.layers, layer) or _called(network.nested, layer)
    if len(matches) != 1:
        raise ValueError(_why_no_layer(network, layer, len(matches)))
    values = _values_of(network, matches[0])
    if len(values) == 1:
        return values[0]
    if values:
        reason = f"is called {len(values)} times"
    else:
        reason = "returns no map, no sequence and no tokens"
    examples = _names(network, _ends_of_places(network))
    raise ValueError(f"the layer {matches[0].name!r} {reason}: name another, such as {examples}")


def _called(operations: Iterable[keras.Operation], layer: LayerOrName) -> list[keras.Operation]:
    """Return those of some layers that are meant by an object or a name."""
    meant = [each for each in operations if each is layer or each.name == layer]
    # Nested models may share a layer, such as their input.
    return list(dict.fromkeys(meant))


def _values_of(network: Network, layer: keras.Operation) -> list[Value]:
    """Return the values with places that the calls of a layer or a nested model return."""
    placed = values_with_places(network)
    if layer is network.input_layer:
        return [network.input]
    if layer in network.nested:
        return [value for value in network.nested[layer] if value in placed]
    return [
        value
        for call in network.calls
        if call.layer is layer
        for value in call.outputs
        if value in placed
    ]


def _why_no_layer(network: Network, layer: LayerOrName, count: int) -> str:
    """Return why a layer is not the one to read, as `count` have its name, and what to choose."""
    placed = values_with_places(network)
    nested = [each.name for each in network.nested if _values_of(network, each)]
    names = [call.layer.name for call in network.calls if not placed.isdisjoint(call.outputs)]
    others = [name for name in dict.fromkeys(nested + names) if name != layer]
    near = difflib.get_close_matches(str(layer), others, 3) or others[-3:]
    examples = " or ".join(repr(name) for name in near)
    if count == 0:
        problem = f"no layer is named {layer!r}"
    else:
        problem = f"{count} layers are named {layer!r}"
    if not others:
        return f"{problem}: {_why_no_places(network)}"
    return f"{problem}: choose one of the {len(others)} that can be read, such as {examples}"


def _last_places(model: keras.Model, network: Network, images: np.ndarray, grid: Size) -> Value:
    """Return what `read` reads by default. Raises ValueError where that does not follow."""
    try:
        ends = [part.features for part in find_head(model).parts]
    except HeadError:
        # Gradients need no such head.
        ends = _ends_of_places(network)
    # The input is no feature map.
    ends = [value for value in ends if value is not network.input]
    if len(ends) > 1:
        ends = [value for value in ends if not _weighs_another(network, value, ends)]
    if not ends:
        raise ValueError(_why_no_places(network))
    if len(ends) > 1:
        names = _names(network, ends)
        if not names:
            raise ValueError(
                f"the scores are read from {len(ends)} maps of layers that are called several "
                "times, as for an image and its mirror image: make a keras.Model of one call"
            )
        raise ValueError(
            f"the scores are read from {len(ends)} maps: name the layer to read, such as {names} "
            "(for camkit.analyze by functools.partial(method, layer=...), also where the method is "
            "occlusion, in the shell by --layer)"
        )
    if is_tokens(network, ends[0]):
        return _tokens_that_count(network, ends[0], images, grid)
    return ends[0]


def _ends_of_places(network: Network) -> list[Value]:
    """Return the last values with places on each way from the input to the scores."""
    placed = values_with_places(network)
    ends: list[Value] = []
    reached = {network.output}
    pending = [network.output]
    while pending:
        value = pending.pop()
        call = network.maker_of(value)
        if value in placed:
            ends.append(value)
        elif call is not None:
            new = [each for each in call.inputs if each not in reached]
            reached.update(new)
            pending.extend(new)
    return ends


def _weighs_another(network: Network, value: Value, ends: list[Value]) -> bool:
    """Return whether a value has one channel, computed from another: weights to pool it with."""
    if value.channels != 1:
        return False
    calls = network.needed([network.input], [value])
    sources = {source for call in calls for source in call.inputs}
    return not sources.isdisjoint(ends)


def _why_no_places(network: Network) -> str:
    """Return why no features lead to the scores, and what to do."""
    readers = [call for call in network.calls if network.input in call.inputs]
    layer = readers[0].layer
    return (
        f"no features with places lead from the image to the scores: {layer.name!r}, a "
        f"{type(layer).__name__}, reads the image and returns none; camkit.occlusion(model, "
        "batch) explains such a model by its scores alone, camkit.analyze needs features"
    )


def _names(network: Network, values: list[Value]) -> str:
    """Return names of layers that return these values, or the nearest values before them.

    Values that nothing learnt has made of the image have no name here.
    """
    placed = values_with_places(network)
    names = []
    for value in values:
        call = network.maker_of(value)
        while call is not None and not _has_unique_name(network, call.layer):
            source = next(each for each in call.inputs if each in placed)
            call = network.maker_of(source)
        if call is not None and _is_learnt(network, call):
            names.append(f"layer={call.layer.name!r}")
    return " or ".join(dict.fromkeys(names))


def _is_learnt(network: Network, call: Call) -> bool:
    """Return whether a layer with weights has its part in what a call returns."""
    calls = network.needed([network.input], [call.outputs[0]])
    return any(getattr(each.layer, "weights", None) for each in calls)


def _has_unique_name(network: Network, layer: keras.Operation) -> bool:
    """Return whether the name of a layer tells which value is meant."""
    namesakes = _called(network.layers, layer.name)
    return len(namesakes) == 1 and len(_values_of(network, layer)) == 1


def _tokens_that_count(network: Network, end: Value, images: np.ndarray, grid: Size) -> Value:
    """Return the last tokens whose places have an effect on the scores, `end` if they have it."""
    for value in _tokens_before(network, end):
        slopes = _slopes_of_noise(network, value, images)
        # Where no token at all has an effect, the weights are those of no classifier yet.
        if spread(slopes, grid_of(network, value, grid)).any() or not slopes.any():
            return value
    return end


def _slopes_of_noise(network: Network, value: Value, images: np.ndarray) -> np.ndarray:
    """Return the gradients (1, ...) of what the head reads at a value, for noise like an image."""
    random = np.random.default_rng(0)
    noise = random.normal(size=(1, *images.shape[1:])).astype("float32")
    return _evaluate(network, _slopes_of_head, value, noise)


def _tokens_before(network: Network, end: Value) -> Iterator[Value]:
    """Yield tokens that lead to the tokens `end`, from these backwards.

    After `end` come those that the last attention reads as values, or all if there is none.
    """
    yield end
    attentions = attentions_of(network, end)
    if attentions:
        yield attentions[-1].value
    for call in reversed(network.needed([network.input], [end])):
        value = call.outputs[0]
        if is_tokens(network, value) and value.shape[1] == end.shape[1]:
            yield value


# Attention ----------------------------------------------------------------------------------------


class AttentionReading(NamedTuple):
    """The attention of a model that its scores are computed by.

    Attributes:
        network: The network of the model.
        attentions: The calls of attention layers, in their order.
        grid: The grid that the tokens lie on, or None for the steps of a sequence.
    """

    network: Network
    attentions: list[Attention]
    grid: Grid | None


def read_attention(model: keras.Model, images: np.ndarray, grid: Size = None) -> AttentionReading:
    """Return the attention layers of a model, whose weights camkit can compute.

    Raises:
        ValueError, HeadError: As in `gradients`. The model has no such layers, they read tokens of
            different numbers, or they do something else with them.
    """
    network = _checked_network(model, images)
    attentions = attentions_of(network, network.output)
    if not attentions:
        raise ValueError(
            "no keras.layers.MultiHeadAttention leads to the scores, so there are no attention "
            "weights to read; camkit.grad_cam reads any layer"
        )
    counts = {value.shape[1:-1] for each in attentions for value in (each.query, each.value)}
    if len(counts) > 1:
        raise ValueError(
            f"the attention layers read tokens {sorted(counts)}, and only weights between the same "
            "tokens can be combined; camkit.grad_cam reads any layer"
        )
    reading = AttentionReading(network, attentions, grid_of(network, attentions[0].value, grid))
    if network not in _opened_networks:
        image = _batch_for(network, images)[:1]
        logits, _ = _evaluate(network, _attention, network.output, image)
        try:
            check_scores(model, image, logits)
        except HeadError:
            names = ", ".join(dict.fromkeys(each.call.layer.name for each in attentions))
            raise HeadError(
                f"an attention layer among {names} has a mask, a gate or another rule than "
                "softmax(QKᵀ/√d)V, which camkit computes; camkit.grad_cam reads any layer"
            ) from None
        _opened_networks.add(network)
    return reading


def attention_weights(reading: AttentionReading, images: np.ndarray) -> list[np.ndarray]:
    """Return the attention weights A (B, heads, T, T) of each layer."""
    _, weights = _evaluate(reading.network, _attention, reading.network.output, images)
    return _for_each_layer(reading, weights)


def attention_gradients(
    reading: AttentionReading, images: np.ndarray, targets: ArrayLike
) -> list[np.ndarray]:
    """Return the gradients ∂S_l/∂A_l (B, heads, T, T) at each layer l.

    S_l is the target's logit that the head gives to the tokens of the block of the layer, in place
    of those of the last block.

    Raises:
        ValueError: The head cannot read what the blocks return, or a target is not a class.
    """
    network = reading.network
    if network.block_ends is None:
        network.block_ends = block_ends(network, reading.attentions)
    last = network.block_ends[-1]
    chosen = _checked(targets, len(images), classes_of(network))
    heads = sum(attention.call.layer.num_heads for attention in reading.attentions)
    _, tokens, _ = reading.attentions[0].query.shape
    shape: tuple[Any, ...] = (len(images), heads, tokens, tokens)
    nothing = np.zeros(shape, dtype="float32")
    slopes = _evaluate(network, _attention_slopes, last, images, chosen, nothing)
    return _for_each_layer(reading, slopes)


def tokens_read(reading: AttentionReading, images: np.ndarray) -> np.ndarray:
    """Return which tokens the scores are computed from after the last attention, bool (T,).

    It is the class token alone, or all tokens that the head averages. Raises ValueError if no token
    has an effect on the scores.
    """
    network = reading.network
    value = reading.attentions[-1].call.outputs[0]
    slopes = _slopes_of_noise(network, value, images)
    are_read = np.asarray(slopes.any(axis=(0, 2)))
    if not are_read.any():
        raise ValueError(
            "no token has an effect on the scores, so that which of them the head reads cannot be "
            "known: a layer after the last attention returns the same for every image"
        )
    return are_read


def _for_each_layer(reading: AttentionReading, values: np.ndarray) -> list[np.ndarray]:
    """Return values (B, heads of all layers, T, T) as one array for each layer."""
    heads = [attention.call.layer.num_heads for attention in reading.attentions]
    ends = np.cumsum(heads)
    return np.split(values, ends[:-1], axis=1)


# Queries, which the backend compiles --------------------------------------------------------------


@dataclass(frozen=True)
class _Pass:
    """The forward pass of a network up to its logits, through a value of it."""

    network: Network
    value: Value

    def activations(self, images: Any) -> Any:
        """Return the activations A of images, which the value has for them."""
        # Integers have no gradient: the input is read before it is cast.
        if self.value is self.network.input:
            return images
        return self._run({}, images, self.value)

    def logits(self, images: Any, activations: Any = None) -> Any:
        """Return the logits S of images as float32, with other activations in place of theirs."""
        given = {}
        if activations is not None:
            given[self.value] = ops.cast(activations, self.value.dtype)
        outputs = self._run(given, images, self.network.output)
        return class_scores(self.network, outputs)

    def slopes(self, images: Any, targets: Any, activations: Any) -> Any:
        """Return ∂S/∂A as float32, S being the logit of the target class."""

        def target_logits(activations: Any) -> Any:
            return _of_target(self.logits(images, activations), targets)

        return ops.cast(gradient(target_logits, activations), "float32")

    def slopes_of_head(self, images: Any, activations: Any) -> Any:
        """Return the gradients at the value of a random sum of all vectors that end in the scores.

        Where the scores are the same for every image, as with a kernel of zeros, the vectors before
        them still tell what the head reads.
        """

        def random_sum(activations: Any) -> Any:
            given = {self.value: ops.cast(activations, self.value.dtype)}
            random = np.random.default_rng(0)
            total = 0
            for value in _vectors_of_head(self.network):
                vector = ops.cast(self._run(given, images, value), "float32")
                weights = random.normal(size=vector.shape[1:]).astype("float32")
                total = total + ops.sum(ops.multiply(vector, weights))
            return total

        return ops.cast(gradient(random_sum, activations), "float32")

    def attention(self, images: Any) -> tuple[Any, list]:
        """Return the logits S of images and the attention weights A (N, heads, T, T) of layers."""
        all_weights: list[Any] = []

        def note(A: Any) -> Any:
            all_weights.append(A)
            return A

        outputs = self._run({}, images, self.network.output, partial(opened, change=note))
        return class_scores(self.network, outputs), all_weights

    def attention_slopes(self, images: Any, targets: Any, changes: Any) -> Any:
        """Return ∂S_l/∂A_l (N, heads of all layers l, T, T) as float32.

        S_l is the target's logit that the head gives to the tokens of block l. The value of this
        pass is what the last block returns; `changes` are zeros, like the result.
        """

        def sum_of_scores(changes: Any) -> Any:
            return sum(
                _of_target(self.logits(images, tokens), targets)
                for tokens in self._blocks(images, changes)
            )

        return ops.cast(gradient(sum_of_scores, changes), "float32")

    def _blocks(self, images: Any, changes: Any) -> Iterator[Any]:
        """Yield what each block returns, with changes (N, heads of all layers, T, T) of attention.

        Changes before a block have no gradient in what it returns.
        """
        first = 0

        def change(A: Any) -> Any:
            nonlocal first
            own = changes[:, first : first + A.shape[1]]
            first += A.shape[1]
            return A + ops.cast(own, A.dtype)

        given: dict[Value, Any] = {}
        for end in self.network.block_ends or []:
            tokens = self._run(given, images, end, partial(opened, change=change))
            yield tokens
            given = {end: ops.stop_gradient(tokens)}

    def _run(
        self,
        given: dict[Value, Any],
        images: Any,
        wanted: Value,
        open_attention: Callable | None = None,
    ) -> Any:
        """Return a value of the network, computed as in `predict`, without the last softmax.

        `open_attention` returns, for a layer of attention, the function to call in its place.
        """
        entry = self.network.input
        given = {entry: ops.cast(images, entry.dtype), **given}
        ending = last_activations(self.network)

        def visit(layer: keras.Operation) -> Callable:
            if layer in ending:
                return partial(_call_without_activation, layer)
            if open_attention and isinstance(layer, layers.MultiHeadAttention):
                return open_attention(layer)
            return called_for_inference(layer)

        return self.network.run(given, [wanted], visit)[0]


def _vectors_of_head(network: Network) -> Iterator[Value]:
    """Yield the vectors that the scores are computed by, one after the other, backwards."""
    for call in network.backwards():
        value = call.outputs[0]
        if not is_vector(value):
            return
        yield value


def _of_target(logits: Any, targets: Any) -> Any:
    """Return the logit (N, 1) of the target class of each image."""
    predicted = ops.cast(ops.argmax(logits, axis=1), targets.dtype)
    chosen = ops.where(targets == _PREDICTED, predicted, targets)
    return ops.take_along_axis(logits, chosen[:, None], axis=1)


def _call_without_activation(layer: keras.Operation, tensor: Any, **_: Any) -> Any:
    """Return what a layer computes before its activation."""
    if not is_weighting(layer):
        return tensor
    if not isinstance(layer, layers.Dense):
        result = layer.convolution_op(tensor, layer.kernel)
    else:
        result = ops.matmul(tensor, layer.kernel)
    if layer.bias is None:
        return result
    return result + ops.cast(layer.bias, result.dtype)


def _logits(forward: _Pass, images: Any) -> Any:
    return forward.logits(images)


def _activations(forward: _Pass, images: Any) -> Any:
    return ops.cast(forward.activations(images), "float32")


def _logits_of_activations(forward: _Pass, images: Any, activations: Any) -> Any:
    return forward.logits(images, activations)


def _logits_and_activations(forward: _Pass, images: Any) -> Any:
    activations = forward.activations(images)
    return forward.logits(images, activations), ops.cast(activations, "float32")


def _activations_and_slopes(forward: _Pass, images: Any, targets: Any) -> Any:
    activations = forward.activations(images)
    slopes = forward.slopes(images, targets, activations)
    return ops.cast(activations, "float32"), slopes


def _slopes_of_head(forward: _Pass, images: Any) -> Any:
    return forward.slopes_of_head(images, forward.activations(images))


def _slopes_of_activations(forward: _Pass, images: Any, targets: Any, activations: Any) -> Any:
    return forward.slopes(images, targets, activations)


def _attention(forward: _Pass, images: Any) -> Any:
    logits, all_weights = forward.attention(images)
    return logits, ops.cast(ops.concatenate(all_weights, axis=1), "float32")


def _attention_slopes(forward: _Pass, images: Any, targets: Any, changes: Any) -> Any:
    return forward.attention_slopes(images, targets, changes)


def _evaluate(
    network: Network,
    query: Callable,
    value: Value,
    images: np.ndarray,
    *more: np.ndarray,
) -> Any:
    """Return the result of a query as NumPy arrays.

    The query is compiled once for each network, value and shape of the arrays.
    """
    arrays = [_batch_for(network, images), *more]
    shapes = [array.shape[1:] for array in arrays]
    key = (query, value, *shapes)
    if key not in network.compiled:
        # What the outputs are may have to be tried, which a function cannot do while it is traced.
        ending_of(network)
        function = partial(query, _Pass(network, value))
        network.compiled[key] = compile_query(function, *arrays)
    return network.compiled[key](*arrays)
