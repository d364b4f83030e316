"""Names of classes: what people pass for `class_names` becomes a list, by index."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np


def names_in_order(class_names: Sequence[str] | Mapping) -> list[str]:
    """Return names of classes in the order of their indices.

    Args:
        class_names: The names in this order; or a dictionary of the index of each name, as
            `class_indices` of Keras, or of the name of each index.

    Raises:
        ValueError: They have no order.
    """
    has_no_order = isinstance(class_names, str | set | frozenset)
    if has_no_order or not isinstance(class_names, Iterable):
        kind = "text" if isinstance(class_names, str) else type(class_names).__name__
        raise ValueError(
            f"class_names is the {kind} {class_names!r}: pass a list of the names, in the order of "
            "the indices"
        )
    if isinstance(class_names, Mapping):
        return _names_in_mapping(class_names)
    return [str(name) for name in class_names]


def _names_in_mapping(class_names: Mapping) -> list[str]:
    """Return the names in {name: index} or {index: name}, by index."""
    by_index = class_names
    if all(isinstance(index, int | np.integer) for index in class_names.values()):
        by_index = {index: name for name, index in class_names.items()}
    # JSON writes indices that are keys as texts.
    by_index = {str(index): str(name) for index, name in by_index.items()}
    expected = [str(index) for index in range(len(class_names))]
    if sorted(by_index) != sorted(expected):
        raise ValueError(
            f"class_names is {dict(class_names)!r}: give each index from 0 to "
            f"{len(class_names) - 1} one name"
        )
    return [by_index[index] for index in expected]
