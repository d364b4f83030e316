"""The attention of a transformer: which layers have it, its weights, and what follows from them."""

from dataclasses import dataclass
from typing import Any

from keras import layers, ops

from camkit.models._graph import Call, Network, Value

# What a call of MultiHeadAttention may set beside what it reads, and what that does not change.
_HARMLESS = {"training": None, "return_attention_scores": None, "use_causal_mask": False}


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


def weights_of(layer: layers.MultiHeadAttention, query: Any, key: Any) -> Any:
    """Return the attention weights A (N, heads, T, S) of a layer: softmax(Q Kᵀ / √d) of each head.

    Args:
        layer: The layer, called without a mask.
        query: Tokens (N, T, D).
        key: Tokens (N, S, D).
    """
    Q = layer.query_dense(query) / layer.key_dim**0.5
    K = layer.key_dense(key)
    return ops.softmax(ops.einsum("nthd,nshd->nhts", Q, K), axis=-1)


def output_of(layer: layers.MultiHeadAttention, weights: Any, value: Any) -> Any:
    """Return what a layer returns (N, T, D), given its attention weights A (N, heads, T, S).

    Args:
        layer: The layer.
        weights: The weights A.
        value: Tokens (N, S, D), whose values the weights mix.
    """
    V = layer.value_dense(value)
    mixed = ops.einsum("nhts,nshd->nthd", weights, V)
    return layer.output_dense(mixed)
