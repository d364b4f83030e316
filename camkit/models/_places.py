"""Places: the positions of a map, of a volume, of a sequence, and the tokens of a transformer.

A transformer cuts the image into patches and reads them row by row as a sequence of tokens. Tokens
that belong to no patch, such as a class token or registers, stand before them: the prefix.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from keras import ops

from camkit.models._graph import Call, Network, Value
from camkit.models._part import Given

# The size of an image, of a map or of a grid: (height, width).
_Size = tuple[int, int]

# Where only the number of tokens is known, at most so many are taken for a prefix: a class token, a
# distillation token and the registers of published models are six.
_LONGEST_PREFIX = 8


@dataclass(frozen=True)
class Grid:
    """Where tokens (N, T, D) lie: a grid of places, row by row.

    Attributes:
        height: The number of rows.
        width: The number of columns.
        prefix: The number of tokens before those of the grid, which have no place.
    """

    height: int
    width: int
    prefix: int


def spread(tokens: Any, grid: Grid | None) -> Any:
    """Return tokens (N, T, D) as a map (N, height, width, D), without those that have no place.

    Args:
        tokens: An array, or a tensor of the backend or of a graph; the result is of the same kind.
        grid: The grid of the tokens, or None for what is no tokens, which is returned as it is.
    """
    if grid is None:
        return tokens
    end = grid.prefix + grid.height * grid.width
    of_places = tokens[:, grid.prefix : end]
    shape = (-1, grid.height, grid.width, tokens.shape[-1])
    if isinstance(tokens, np.ndarray):
        return of_places.reshape(shape)
    return ops.reshape(of_places, shape)


def gathered(maps: np.ndarray, tokens: np.ndarray, grid: Grid) -> np.ndarray:
    """Return the tokens (n, T, D) that lie as maps (n, height, width, D), the inverse of `spread`.

    Those without a place are those of `tokens` (1, T, D).
    """
    result = np.repeat(tokens, len(maps), axis=0)
    end = grid.prefix + grid.height * grid.width
    result[:, grid.prefix : end] = maps.reshape(len(maps), -1, maps.shape[-1])
    return result


def values_with_places(network: Network) -> set[Value]:
    """Return the values (N, *places, K) of a network that keep the places of its input.

    They have more than one position, and there is a way from the input on which all values have.
    """
    placed = {network.input}
    for call in network.calls:
        # What stands in the place of another input is read from no place of the image.
        if placed.isdisjoint(call.inputs) or isinstance(call.layer, Given):
            continue
        for value in call.outputs:
            positions = value.shape[1:-1]
            if any(size != 1 for size in positions):
                placed.add(value)
    return placed


def is_tokens(network: Network, value: Value) -> bool:
    """Return whether a value is tokens (N, T, D) of a model that takes images (N, H, W, channels).

    In a model that takes sequences the same shape is time.
    """
    return len(value.shape) == 3 and len(network.input.shape) == 4


def grid_of(network: Network, value: Value, grid: _Size | None = None) -> Grid | None:
    """Return the grid of tokens, or None for a value that is no tokens, such as a map.

    The grid is that of the map (N, h, w, K) that the tokens are made of; tokens beyond h·w are the
    prefix. Where a layer cuts the patches inside, it is the grid of square patches that leaves the
    shortest prefix.

    Args:
        network: The network of the model.
        value: A value of the network.
        grid: (height, width) of the grid, if it is named.

    Raises:
        ValueError: The grid cannot be known, the named grid has more places than there are tokens,
            or a grid is named for a value that is no tokens.
    """
    if not is_tokens(network, value):
        if grid is not None:
            raise ValueError(
                f"grid={grid} is for tokens (batch, tokens, channels) of an image, and what is "
                f"read has the shape {value.shape}: leave grid out"
            )
        return None
    count = value.shape[1]
    if count is None:
        raise ValueError(
            "the number of tokens depends on the size of the image: build the model with "
            "keras.Input((height, width, channels)), all of them numbers"
        )
    behind = _tokens_behind(network, value)
    if grid is not None:
        return _named_grid(grid, count, behind)
    sizes = _sizes_on_the_way(network, value, count - behind)
    if len(sizes) != 1:
        raise ValueError(
            f"the grid of the {count} tokens cannot be known: name it, grid=(height, width) (in "
            f"the shell --grid HEIGHTxWIDTH), where height · width is {count} less the tokens "
            "without a place, such as a class token, or name a layer that returns a map (batch, "
            "height, width, channels)"
        )
    height, width = sizes.pop()
    return Grid(height, width, prefix=count - behind - height * width)


def _named_grid(grid: _Size, count: int, behind: int) -> Grid:
    """Return the grid of `count` tokens that the user names, the last ones behind it.

    Raises ValueError if it is larger.
    """
    height, width = grid
    places = height * width
    if not 1 <= places <= count - behind:
        raise ValueError(
            f"grid={grid} has {places} places and there are {count} tokens: height · width must be "
            f"{count} less the tokens without a place, such as a class token"
        )
    return Grid(height, width, prefix=count - behind - places)


def _tokens_behind(network: Network, value: Value) -> int:
    """Return the number of tokens that are joined behind those of the image, as few models do."""
    behind = 0
    for call in network.needed([network.input], [value]):
        # A layer and an operation of Keras have this name.
        is_joining = type(call.layer).__name__ == "Concatenate" and call.layer.axis in (1, -2)
        if is_joining and len(call.outputs[0].shape) == 3:
            counts = [tokens.shape[1] or 0 for tokens in call.node.arguments.args[0]]
            of_image = counts.index(max(counts))
            behind += sum(counts[of_image + 1 :])
    return behind


def _sizes_on_the_way(network: Network, value: Value, count: int) -> set[_Size]:
    """Return the sizes (h, w) that a grid of `count` tokens may have: one, if it is known."""
    if value not in values_with_places(network):
        return set()
    cuts = list(_cuts(network, value))
    if not cuts:
        return _sizes_of_square_patches(network.input.shape, count)
    known: set[_Size] = set()
    guessed: set[_Size] = set()
    for call, image in cuts:
        height, width = image.shape[1:3]
        tokens = call.outputs[0].shape[1]
        if height is None or width is None or tokens is None or tokens > count:
            continue
        if tokens == height * width:
            if _has_aspect_of(network.input.shape, (height, width)):
                known.add((height, width))
        elif tokens not in (height, width) or not _is_of_keras(call):
            # A layer of Keras that returns as many tokens as there are rows or columns has made
            # a sequence of them: such tokens have no grid.
            guessed |= _sizes_of_square_patches(image.shape, tokens)
    return _largest(known or guessed)


def _cuts(network: Network, value: Value) -> Iterator[tuple[Call, Value]]:
    """Yield the calls that make tokens of a map on the way to a value, each with that map."""
    placed = values_with_places(network)
    for call in network.needed([network.input], [value]):
        if len(call.outputs[0].shape) == 3:
            for source in call.inputs:
                if len(source.shape) == 4 and source in placed:
                    yield call, source


def _is_of_keras(call: Call) -> bool:
    """Return whether a call is of a layer or an operation of Keras itself."""
    return type(call.layer).__module__.startswith("keras.")


def _has_aspect_of(image_shape: tuple[int | None, ...], size: _Size) -> bool:
    """Return whether a map is less than twice as tall or wide as its image (N, H, W, channels) is.

    The heads of an attention layer are split by reshaping as well: with one head, its map of T×1 is
    no grid.
    """
    image_height, image_width = image_shape[1:3]
    if image_height is None or image_width is None:
        return min(size) > 1
    height, width = size
    ratio = (height * image_width) / (width * image_height)
    return 1 / 2 < ratio < 2


def _sizes_of_square_patches(image_shape: tuple[int | None, ...], count: int) -> set[_Size]:
    """Return the largest grids of square patches of an image that have at most `count` places.

    At the lower and the right margin, incomplete patches are dropped or filled up. No grid is
    returned if the prefix were too long to be one.
    """
    height, width = image_shape[1:3]
    if height is None or width is None:
        return set()
    sizes: set[_Size] = set()
    for side in range(1, min(height, width) + 1):
        dropped = (height // side, width // side)
        filled = (-(-height // side), -(-width // side))
        sizes |= {dropped, filled}
    fitting = {size for size in sizes if 0 <= count - size[0] * size[1] <= _LONGEST_PREFIX}
    return _largest(fitting)


def _largest(sizes: set[_Size]) -> set[_Size]:
    """Return the sizes with the most places."""
    most = max((height * width for height, width in sizes), default=0)
    return {size for size in sizes if size[0] * size[1] == most}
