"""The attention of a transformer: which layers have it, its weights, and what follows from them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from keras import layers, ops

from camkit.models._graph import Call, Network, Value


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
