"""Maps of the attention of a transformer: which tokens do the scores come from?

These methods read the attention weights A (heads, T, T) of each keras.layers.MultiHeadAttention on
the way to the scores. A row of A says how much of each token's value one token takes. The methods
of `camkit.maps.attribution` read transformers as well.
"""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import keras
import numpy as np

from camkit.maps._rows import row_by_row
from camkit.models import _probe as probe
from camkit.models._part import part
from camkit.models._places import Grid, spread

_Targets: TypeAlias = int | Sequence[int] | np.ndarray | None
_Inputs: TypeAlias = Mapping[str, np.ndarray] | None


@row_by_row
def attention_rollout(
    model: keras.Model,
    batch: np.ndarray,
    targets: _Targets = None,
    *,
    grid: tuple[int, int] | None = None,
    inputs: _Inputs = None,
    output: str | None = None,
) -> np.ndarray:
    """Return the attention rollout: how much of each token reaches the head, whatever the class?

    With A_l, the mean of the attention weights of layer l over its heads, and half of each token
    going past the attention, Â_l = (A_l + I)/2. The map is the row of the class token in
    Â_L ⋯ Â_2 Â_1 (Abnar & Zuidema, Quantifying Attention Flow in Transformers, ACL 2020,
    section 3). Without a class token it is the mean of the rows of the tokens that the head
    averages. Neither the values of the tokens nor the scores have a part in it: the map is the same
    for all classes.

    Args:
        model: A Keras model with keras.layers.MultiHeadAttention.
        batch: Images (B, H, W, channels) in the value range that the model expects.
        targets: Checked as for the other methods, but without effect on the maps.
        grid: (height, width) of the tokens, where it cannot be known. Tokens without a place, such
            as a class token, come first and have no part in a map.
        inputs: {name: values} of the inputs beside the images: one row for all images, or one for
            each image. Images with rows of their own are explained one by one.
        output: The name of the output to explain, if the model has several.

    Returns:
        Maps of shape (B, h, w), or (B, t) for sequences, float32, ≥ 0. The sum of a map is at most
        1; the rest is the share of the tokens without a place.

    Raises:
        ValueError: The images have another size than the model takes, a target is no class, or the
            model has no such attention between the same tokens.
        HeadError: The model has no graph of layers, or its attention has a mask or a gate.

    Example:
        >>> import keras
        >>> import numpy as np
        >>> import camkit
        >>> image = keras.Input((8, 8, 3))
        >>> patches = keras.layers.Conv2D(4, 2, strides=2)(image)
        >>> tokens = keras.layers.Reshape((16, 4))(patches)
        >>> tokens = keras.layers.MultiHeadAttention(2, 2)(tokens, tokens)
        >>> pooled = keras.layers.GlobalAveragePooling1D()(tokens)
        >>> model = keras.Model(image, keras.layers.Dense(3)(pooled))
        >>> maps = camkit.attention_rollout(model, np.ones((1, 8, 8, 3)))
        >>> maps.shape, float(maps.sum().round(3))
        ((1, 4, 4), 1.0)
    """
    model = part(model, inputs, output)
    probe.choose(probe.scores(model, batch), targets)
    reading = probe.read_attention(model, batch, grid)
    read_by_head = probe.tokens_read(reading, batch)
    maps = []
    # The weights of ViT-B/16 take 22 MB for each image.
    for image in batch:
        identity = np.eye(len(read_by_head))
        rollout = identity
        for A in probe.attention_weights(reading, image[None]):
            mean_of_heads = A[0].mean(axis=0)
            A_hat = (mean_of_heads + identity) / 2
            rollout = A_hat @ rollout
        maps.append(rollout[read_by_head].mean(axis=0))
    return _on_grid(np.array(maps), reading.grid)


@row_by_row
def legrad(
    model: keras.Model,
    batch: np.ndarray,
    targets: _Targets = None,
    *,
    grid: tuple[int, int] | None = None,
    inputs: _Inputs = None,
    output: str | None = None,
) -> np.ndarray:
    """Return the LeGrad maps: attention to which tokens would raise the score?

    The map is the mean of ReLU(∂S_lc/∂A_l) over all layers l, their heads and the tokens that
    attend, at each token that is attended to (Bousselham et al., LeGrad: An Explainability Method
    for Vision Transformers via Feature Formation Sensitivity, ICCV 2025). S_lc is the logit that
    the head gives to the tokens of block l in place of those of the last block. The maps are not
    scaled to 0..1, which the paper does at the end.

    Args:
        model: A Keras model with keras.layers.MultiHeadAttention.
        batch: Images (B, H, W, channels) in the value range that the model expects.
        targets: A class index, or one for each image (default: the predicted class).
        grid: As for `attention_rollout`.
        inputs: As for `attention_rollout`.
        output: As for `attention_rollout`.

    Returns:
        Maps of shape (B, h, w), or (B, t) for sequences, float32, ≥ 0.

    Raises:
        ValueError: The images, the targets or the attention of the model do not fit, as for
            `attention_rollout`, or its blocks differ, so that the head cannot read each of them.
        HeadError: The model has no graph of layers, or its attention has a mask or a gate.

    Example:
        >>> import keras
        >>> import numpy as np
        >>> import camkit
        >>> image = keras.Input((8, 8, 3))
        >>> patches = keras.layers.Conv2D(4, 2, strides=2)(image)
        >>> tokens = keras.layers.Reshape((16, 4))(patches)
        >>> tokens = keras.layers.MultiHeadAttention(2, 2)(tokens, tokens)
        >>> pooled = keras.layers.GlobalAveragePooling1D()(tokens)
        >>> model = keras.Model(image, keras.layers.Dense(3)(pooled))
        >>> camkit.legrad(model, np.ones((1, 8, 8, 3)), targets=1).shape
        (1, 4, 4)
    """
    model = part(model, inputs, output)
    classes = probe.choose(probe.scores(model, batch), targets)
    reading = probe.read_attention(model, batch, grid)
    maps = []
    for image, c in zip(batch, classes, strict=True):
        of_layers = [
            np.maximum(0, slopes).mean(axis=(0, 1, 2))
            for slopes in probe.attention_gradients(reading, image[None], c)
        ]
        maps.append(np.mean(of_layers, axis=0))
    return _on_grid(np.array(maps), reading.grid)


def _on_grid(values: np.ndarray, grid: Grid | None) -> np.ndarray:
    """Return values of tokens (B, T) as maps (B, h, w), or as they are where there is no grid."""
    return spread(values[..., None], grid)[..., 0].astype("float32")
