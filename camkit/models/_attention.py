"""The attention of a transformer: which layers have it, its weights, and what follows from them."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from keras import layers, ops

from camkit.models._graph import Call, Network, Value
from camkit.models._part import Given


@dataclass(frozen=True)
class Attention:
    """One call of keras.layers.MultiHeadAttention.

    Attributes:
        call: The call.
        query: The tokens (N, T, D) that ask.
        value: The tokens (N, S, D) whose values are mixed.
        key: The tokens (N, S, D) whose keys are compared with the queries.
    """

    call: Call
    query: Value
    value: Value
    key: Value


def attentions_of(network: Network, wanted: Value) -> list[Attention]:
    """Return the calls of MultiHeadAttention on the way to a value, in the order of the calls."""
    return [
        _attention_of(call)
        for call in network.needed([network.input], [wanted])
        if isinstance(call.layer, layers.MultiHeadAttention)
    ]


def _attention_of(call: Call) -> Attention:
    """Return the Attention of a call of MultiHeadAttention."""
    # With each value in its own place, the arguments tell which of them is the key.
    args, kwargs = call.arguments({value: value for value in call.inputs})
    names = ("query", "value", "key")
    arguments = dict(zip(names, args, strict=False)) | kwargs
    key = arguments.get("key")
    if key is None:
        key = arguments["value"]
    return Attention(call, arguments["query"], arguments["value"], key)


def block_ends(network: Network, attentions: list[Attention]) -> list[Value]:
    """Return the tokens (N, T, D) that each block of a transformer returns, of one attention each.

    All that the image adds to the scores passes through such tokens. Between two attentions they
    are the last of this kind, and in the last block those at the same place: what comes after them,
    such as a last normalization, belongs to the head. A network of one attention has one block,
    which ends in the scores.

    Raises:
        ValueError: The blocks differ in their form, or have other tokens, so that the head cannot
            read each of them.
    """
    if len(attentions) == 1:
        return [network.output]
    passages = _passages(network, attentions[-1].call.outputs[0].shape)
    starts = [network.calls.index(attention.call) for attention in attentions]
    *between, last = [
        [call for call in passages if start <= network.calls.index(call) < stop]
        for start, stop in pairwise([*starts, len(network.calls)])
    ]
    last = last[: len(between[0])]
    forms = [[type(call.layer).__name__ for call in block] for block in (*between, last)]
    if not forms[0] or any(form != forms[0] for form in forms):
        shown = " and ".join(dict.fromkeys(" → ".join(form) or "nothing" for form in forms))
        raise ValueError(
            f"the head is to read a score after each block, and the blocks differ: {shown} follow "
            "their attention; camkit.attention_rollout and camkit.grad_cam read such a model"
        )
    return [block[-1].outputs[0] for block in (*between, last)]


def _passages(network: Network, shape: tuple[int | None, ...]) -> list[Call]:
    """Return the calls whose result has a shape, and on which all that the image adds depends."""
    passages = []
    for call in network.needed([network.input], [network.output]):
        value = call.outputs[0]
        if value.shape == shape:
            after = network.needed([value], [network.output])
            if not any(_reads_image(network, each) for each in after):
                passages.append(call)
    return passages


def _reads_image(network: Network, call: Call) -> bool:
    """Return whether a call reads the image, and not only the number of images."""
    return network.input in call.inputs and not isinstance(call.layer, Given)


def opened(layer: layers.MultiHeadAttention, change: Callable) -> Callable:
    """Return a function that does what a layer does, and shows its attention weights on the way.

    The weights are A = softmax(Q Kᵀ / √d) (N, heads, T, S), the result is A V W + b, where Q, K and
    V are the tokens as the layer projects them for each head, and W and b project what the heads
    return. A mask or a gate is not followed.

    Args:
        layer: The layer.
        change: A function that is called with A and returns the weights to go on with.
    """

    def call(query: Any, value: Any, key: Any = None, **_: Any) -> Any:
        Q = layer.query_dense(query)
        K = layer.key_dense(value if key is None else key)
        V = layer.value_dense(value)
        A = ops.softmax(ops.einsum("nthd,nshd->nhts", Q, K) / layer.key_dim**0.5, axis=-1)
        A = change(A)
        return layer.output_dense(ops.einsum("nhts,nshd->nthd", A, V))

    return call
