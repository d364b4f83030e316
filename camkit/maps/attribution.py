"""Grad-CAM and its family: where in an image a model finds its classes, for any head and any layer.

All methods have one signature, `method(model, batch, targets=None, *, layer=None)`, and return one
map per image. Occlusion and integrated gradients read no layer; their maps are as large as the
images. Places are pixels of a map (h, w), tokens of a transformer, which are spread on their grid
(h, w), steps of a sequence (t,) or voxels of a volume (d, h, w): the formulas are the same.

The notation is that of the lessons: F_k(x, y) is channel k of the layer that is read, g its
gradient ∂S_c/∂F_k(x, y), and S_c the logit of the target class. It is the logit and not its softmax
P_c, because the gradient of P_c vanishes where the model is confident. M_c is the class activation
map: on the last layer of a GAP head it is the reference for all methods.

A model with one output, a sigmoid or its logit z, has S = (−z/2, z/2): their difference is z, and
maps that are linear in the gradient are half of those of z itself. Where the probabilities come
from something else than a last softmax or sigmoid, such as an average of several softmaxes or a
Lambda layer, S_c is log P_c, or the log odds log(P_c / (1 − P_c)) where each class has its own.

The model is never changed. Each call uses its current weights, so further training has an effect.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import keras
import numpy as np

from camkit.maps._rows import row_by_row
from camkit.maps.arrays import unit, upsample
from camkit.models import _probe as probe
from camkit.models._batches import array_of
from camkit.models._graph import HeadError, network_of
from camkit.models._head import Head, find_head
from camkit.models._part import part
from camkit.models._scores import probabilities

# Altered copies of an image are scored together, up to this number of pixels. That bounds the
# memory, and processor caches work best with few images.
PIXELS = 8 * 224 * 224

# Steps on the path of integrated gradients: completeness within 3 % on photographs.
STEPS = 128

_Targets: TypeAlias = int | Sequence[int] | np.ndarray | None
_Layer: TypeAlias = str | keras.Layer | None
_Grid: TypeAlias = tuple[int, int] | None
_Inputs: TypeAlias = Mapping[str, np.ndarray] | None
# Any model as a function from images (B, H, W, channels) to scores (B, C).
_Scorer: TypeAlias = Callable[[np.ndarray], np.ndarray]


# Methods that read gradients ----------------------------------------------------------------------


@row_by_row
def grad_cam(
    model: keras.Model,
    batch: np.ndarray,
    targets: _Targets = None,
    *,
    layer: _Layer = None,
    grid: _Grid = None,
    inputs: _Inputs = None,
    output: str | None = None,
) -> np.ndarray:
    """Return the Grad-CAM maps: where are the channels whose growth would raise the score?

    α_k is the mean of ∂S_c/∂F_k over the positions, and the map is ReLU(Σ_k α_k F_k) (Selvaraju et
    al., Grad-CAM, ICCV 2017, eq. 1 and 2). On the last layer of a GAP head it is ReLU(M_c)/(h·w).
    S_c is the logit; of a model with one output z it is ±z/2, so that the map is half of that of z,
    and where no last softmax or sigmoid is found it is log P_c.

    Args:
        model: A Keras model with any head; a subclassed one after its first call.
        batch: Images (B, H, W, channels) in the value range that the model expects.
        targets: A class index, or one for each image (default: the predicted class).
        layer: A layer or its name, also in a nested model, or that model. It returns a map, a
            sequence, a volume or tokens. The default is what the global average pooling reads, else
            the last of these on the way to the scores. Where the scores depend on a class token
            alone, it is what the last attention reads as values: after it, the other tokens have no
            effect.
        grid: (height, width) of the tokens of a transformer, where it cannot be known. Tokens
            without a place, such as a class token, come first and have no part in a map.
        inputs: {name: values} of the inputs beside the images: one row for all images, or one for
            each image. Images with rows of their own are explained one by one.
        output: The name of the output to explain, if the model has several.

    Returns:
        Maps of shape (B, h, w), float32, ≥ 0; (B, t) for sequences and (B, d, h, w) for volumes.

    Raises:
        ValueError: The images have another size than the model takes, a target is no class, or the
            layer is unknown or has no places.
        HeadError: The model has no graph of layers, or returns other scores than its layers give.

    Example:
        >>> import camkit
        >>> model = camkit.gap_classifier(camkit.backbone("mini"), ["apple", "lemon"])
        >>> images = camkit.load_images("mini", "Test", classes=["Lemon"], per_class=1)
        >>> camkit.grad_cam(model, images[0][None], targets=1).shape
        (1, 13, 13)
    """
    model = part(model, inputs, output)
    features, gradients = probe.gradients(model, batch, targets, layer, grid)
    alpha = gradients.mean(axis=_places(gradients))
    return _relu(_weighted_sum(alpha, features))


@row_by_row
def grad_cam_plus_plus(
    model: keras.Model,
    batch: np.ndarray,
    targets: _Targets = None,
    *,
    layer: _Layer = None,
    grid: _Grid = None,
    inputs: _Inputs = None,
    output: str | None = None,
) -> np.ndarray:
    """Return the Grad-CAM++ maps: can small things count as much as large ones?

    With g = ∂S_c/∂F_k at each position, α = g² / (2g² + g³ Σ F_k), w_k = Σ α ReLU(g), and the map
    is ReLU(Σ_k w_k F_k) (Chattopadhay et al., Grad-CAM++, WACV 2018, eq. 19, 5 and 20). The paper
    derives this for the score exp(S_c), which overflows for confident models; being a factor of the
    whole map, it is left out. So is the normalisation of α to the sum 1, which is in the authors'
    code but not in the paper.

    Args:
        model: A Keras model with any head.
        batch: Images (B, H, W, channels) in the value range that the model expects.
        targets: A class index, or one for each image (default: the predicted class).
        layer: A layer or its name (default: as for `grad_cam`).
        grid: As for `grad_cam`.
        inputs: As for `grad_cam`.
        output: As for `grad_cam`.

    Returns:
        Maps (B, h, w), or of other places as for `grad_cam`, float32, ≥ 0.

    Raises:
        ValueError: The images, the targets or the layer do not fit the model, as for `grad_cam`.
        HeadError: The model has no graph of layers.

    Example:
        >>> import camkit
        >>> model = camkit.gap_classifier(camkit.backbone("mini"), ["apple", "lemon"])
        >>> images = camkit.load_images("mini", "Test", classes=["Lemon"], per_class=1)
        >>> camkit.grad_cam_plus_plus(model, images[0][None], targets=1).shape
        (1, 13, 13)
    """
    model = part(model, inputs, output)
    features, gradients = probe.gradients(model, batch, targets, layer, grid)
    # In single precision the powers of small gradients would vanish.
    F = features.astype("float64")
    g = gradients.astype("float64")
    sum_of_F = F.sum(axis=_places(F), keepdims=True)
    alpha = _ratio(g**2, 2 * g**2 + g**3 * sum_of_F)
    weights = np.sum(alpha * _relu(g), axis=_places(g))
    maps = _relu(_weighted_sum(weights, F))
    return maps.astype("float32")


@row_by_row
def hires_cam(
    model: keras.Model,
    batch: np.ndarray,
    targets: _Targets = None,
    *,
    layer: _Layer = None,
    grid: _Grid = None,
    inputs: _Inputs = None,
    output: str | None = None,
) -> np.ndarray:
    """Return the HiResCAM maps: which positions does the score come from?

    The map is Σ_k F_k ∂S_c/∂F_k at each position, without the mean that lends a gradient to
    positions that do not have it (Draelos & Carin, Use HiResCAM instead of Grad-CAM, 2020: their
    definition of HiResCAM). Where the layers that follow are linear, the sum of a map is what S_c
    gains over the score of no features at all. On the last layer of a GAP head the map is
    M_c/(h·w).

    Args:
        model: A Keras model with any head.
        batch: Images (B, H, W, channels) in the value range that the model expects.
        targets: A class index, or one for each image (default: the predicted class).
        layer: A layer or its name (default: as for `grad_cam`).
        grid: As for `grad_cam`.
        inputs: As for `grad_cam`.
        output: As for `grad_cam`.

    Returns:
        Maps (B, h, w), or of other places as for `grad_cam`, float32, signed.

    Raises:
        ValueError: The images, the targets or the layer do not fit the model, as for `grad_cam`.
        HeadError: The model has no graph of layers.

    Example:
        >>> import numpy as np
        >>> import camkit
        >>> model = camkit.gap_classifier(camkit.backbone("mini"), ["apple", "lemon"])
        >>> images = camkit.load_images("mini", "Test", classes=["Lemon"], per_class=1)
        >>> maps = camkit.hires_cam(model, images[0][None], targets=1)
        >>> M = camkit.CAM(model)(images[0][None]).maps[..., 1]
        >>> bool(np.allclose(maps, M / (13 * 13), atol=1e-4))
        True
    """
    model = part(model, inputs, output)
    features, gradients = probe.gradients(model, batch, targets, layer, grid)
    return np.einsum("n...k,n...k->n...", features, gradients)


@row_by_row
def layer_cam(
    model: keras.Model,
    batch: np.ndarray,
    targets: _Targets = None,
    *,
    layer: _Layer = None,
    grid: _Grid = None,
    inputs: _Inputs = None,
    output: str | None = None,
) -> np.ndarray:
    """Return the LayerCAM maps: what speaks for the class in an early layer?

    In an early layer a channel as a whole means little, so each position has a weight of its own:
    the map is ReLU(Σ_k ReLU(∂S_c/∂F_k) F_k) (Jiang et al., LayerCAM, IEEE Transactions on Image
    Processing 2021: their weights for each position). On the last layer of a GAP head only the
    channels of positive weight remain: ReLU(Σ_k ReLU(w_kc) F_k)/(h·w).

    Args:
        model: A Keras model with any head.
        batch: Images (B, H, W, channels) in the value range that the model expects.
        targets: A class index, or one for each image (default: the predicted class).
        layer: A layer or its name (default: as for `grad_cam`).
        grid: As for `grad_cam`.
        inputs: As for `grad_cam`.
        output: As for `grad_cam`.

    Returns:
        Maps (B, h, w), or of other places as for `grad_cam`, float32, ≥ 0.

    Raises:
        ValueError: The images, the targets or the layer do not fit the model, as for `grad_cam`.
        HeadError: The model has no graph of layers.

    Example:
        >>> import camkit
        >>> model = camkit.gap_classifier(camkit.backbone("mini"), ["apple", "lemon"])
        >>> images = camkit.load_images("mini", "Test", classes=["Lemon"], per_class=1)
        >>> camkit.layer_cam(model, images[0][None], targets=1).shape
        (1, 13, 13)
    """
    model = part(model, inputs, output)
    features, gradients = probe.gradients(model, batch, targets, layer, grid)
    maps = np.einsum("n...k,n...k->n...", features, _relu(gradients))
    return _relu(maps)


# Methods that read activations and scores ---------------------------------------------------------


@row_by_row
def eigen_cam(
    model: keras.Model,
    batch: np.ndarray,
    targets: _Targets = None,
    *,
    layer: _Layer = None,
    grid: _Grid = None,
    inputs: _Inputs = None,
    output: str | None = None,
) -> np.ndarray:
    """Return the Eigen-CAM maps: what do most of the features do together, whatever the class?

    With the features of all positions as rows, F (h·w, K) = U Σ Vᵀ, the map is F v₁, without
    centring (Muhammad & Yeasin, Eigen-CAM, IJCNN 2020, eq. 2 and 3). A singular vector has no sign
    of its own. Where the features are ≥ 0, as after ReLU, the map has the same sign everywhere
    (Perron and Frobenius), and the positive one is meant. Therefore a map is negated if its sum is
    below 0.

    Args:
        model: A Keras model with any head.
        batch: Images (B, H, W, channels) in the value range that the model expects.
        targets: Checked as for the other methods, but without effect on the maps.
        layer: A layer or its name (default: as for `grad_cam`).
        grid: As for `grad_cam`.
        inputs: As for `grad_cam`.
        output: As for `grad_cam`.

    Returns:
        Maps (B, h, w), or of other places as for `grad_cam`, float32; ≥ 0 where the features are.

    Raises:
        ValueError: The images, the targets or the layer do not fit the model, as for `grad_cam`.
        HeadError: The model has no graph of layers.

    Example:
        >>> import numpy as np
        >>> import camkit
        >>> model = camkit.gap_classifier(camkit.backbone("mini"), ["apple", "lemon"])
        >>> images = camkit.load_images("mini", "Test", classes=["Lemon"], per_class=1)
        >>> maps = [camkit.eigen_cam(model, images[0][None], c) for c in (0, 1)]
        >>> np.array_equal(maps[0], maps[1])
        True
    """
    model = part(model, inputs, output)
    features, _ = probe.gradients(model, batch, targets, layer, grid)
    count, channels = len(features), features.shape[-1]
    rows = features.reshape(count, -1, channels)
    decomposition = np.linalg.svd(rows, full_matrices=False)
    v_1 = decomposition.Vh[:, 0]
    maps = _weighted_sum(v_1, features)
    total = maps.sum(axis=tuple(range(1, maps.ndim)), keepdims=True)
    return np.where(total < 0, -maps, maps)


@row_by_row
def score_cam(
    model: keras.Model,
    batch: np.ndarray,
    targets: _Targets = None,
    *,
    layer: _Layer = None,
    grid: _Grid = None,
    inputs: _Inputs = None,
    output: str | None = None,
) -> np.ndarray:
    """Return the Score-CAM maps: how sure is the model of what it sees through a channel alone?

    H_k is F_k enlarged to the image and scaled to 0..1, α_k = P_c(image · H_k) − P_c(0), and the
    map is ReLU(Σ_k α_k F_k) (Wang et al., Score-CAM, CVPR Workshops 2020, eq. 6 to 10, with the
    probability as in section 3.2). A channel that is the same everywhere lets nothing through and
    has no weight. There is one forward pass for each distinct mask.

    Args:
        model: A Keras model with any head.
        batch: Images (B, H, W, channels) in the value range that the model expects.
        targets: A class index, or one for each image (default: the predicted class).
        layer: A layer or its name (default: as for `grad_cam`).
        grid: As for `grad_cam`.
        inputs: As for `grad_cam`.
        output: As for `grad_cam`.

    Returns:
        Maps (B, h, w), or of other places as for `grad_cam`, float32, ≥ 0.

    Raises:
        ValueError: The images, the targets or the layer do not fit the model, as for `grad_cam`.
        HeadError: The model has no graph of layers.

    Example:
        >>> import numpy as np
        >>> import camkit
        >>> model = camkit.gap_classifier(
        ...     camkit.backbone("mini", input_size=32), ["apple", "lemon"]
        ... )
        >>> images = np.random.default_rng(0).uniform(0, 255, (1, 32, 32, 3))
        >>> camkit.score_cam(model, images, targets=1).shape
        (1, 4, 4)
    """
    model = part(model, inputs, output)
    logits = probe.scores(model, batch)
    classes = probe.choose(logits, targets)
    features, _ = probe.gradients(model, batch, classes, layer, grid)
    images = np.asarray(batch, dtype="float32")
    alpha = np.array(
        [
            _score_cam_weights(model, image, channels, c)
            for image, channels, c in zip(images, features, classes, strict=True)
        ]
    )
    maps = _relu(_weighted_sum(alpha, features))
    return maps.astype("float32")


def _score_cam_weights(
    model: keras.Model, image: np.ndarray, features: np.ndarray, c: int
) -> np.ndarray:
    """Return α_k = P_c(image · H_k) − P_c(0) of features (*places, K), as (K,)."""
    if features.ndim != image.ndim:
        raise ValueError(
            f"Score-CAM cannot enlarge features of {features.shape[:-1]} places to an input of "
            f"{image.shape[:-1]}: name a layer whose features have as many axes as the input"
        )
    channels = np.moveaxis(features, -1, 0)
    nothing = np.zeros_like(channels[:1])
    masks = np.concatenate([_unit(channels), nothing])
    # Channels that differ only in scale have the same mask, which is scored once.
    distinct, index = np.unique(masks, axis=0, return_inverse=True)
    P = np.empty(len(distinct))
    for chunk in _chunks(len(distinct), image):
        H = upsample(distinct[chunk], image.shape[:-1])
        H = _unit(H)[..., None]
        P[chunk] = _probability(model, image * H, c)
    P_of_masks = P[index.ravel()]
    P_of_nothing = P_of_masks[-1]
    return P_of_masks[:-1] - P_of_nothing


@row_by_row
def ablation_cam(
    model: keras.Model,
    batch: np.ndarray,
    targets: _Targets = None,
    *,
    layer: _Layer = None,
    grid: _Grid = None,
    inputs: _Inputs = None,
    output: str | None = None,
) -> np.ndarray:
    """Return the Ablation-CAM maps: how much of the score is lost without a channel?

    α_k = (S_c − S_c without F_k) / |S_c|, and the map is ReLU(Σ_k α_k F_k) (Desai & Ramaswamy,
    Ablation-CAM, WACV 2020, eq. 3 and 4, except for the absolute value: a negative score would
    reverse the map). On the last layer of a GAP head the loss is w_kc · mean(F_k). Elsewhere the
    layers that follow run once for each channel that is not zero everywhere.

    Args:
        model: A Keras model with any head.
        batch: Images (B, H, W, channels) in the value range that the model expects.
        targets: A class index, or one for each image (default: the predicted class).
        layer: A layer or its name (default: as for `grad_cam`).
        grid: As for `grad_cam`.
        inputs: As for `grad_cam`.
        output: As for `grad_cam`.

    Returns:
        Maps (B, h, w), or of other places as for `grad_cam`, float32, ≥ 0.

    Raises:
        ValueError: The images, the targets or the layer do not fit the model, as for `grad_cam`.
        HeadError: The model has no graph of layers.

    Example:
        >>> import camkit
        >>> model = camkit.gap_classifier(camkit.backbone("mini"), ["apple", "lemon"])
        >>> images = camkit.load_images("mini", "Test", classes=["Lemon"], per_class=1)
        >>> camkit.ablation_cam(model, images[0][None], targets=1).shape
        (1, 13, 13)
    """
    model = part(model, inputs, output)
    logits = probe.scores(model, batch)
    classes = probe.choose(logits, targets)
    features, _ = probe.gradients(model, batch, classes, layer, grid)
    S = np.take_along_axis(logits, classes[:, None], axis=1)
    head = _gap_head(model, features) if layer is None else None
    if head is None:
        loss = np.zeros((len(features), features.shape[-1]), dtype="float32")
        for n, c in enumerate(classes):
            loss[n] = _losses_without(model, batch[n], features[n], c, layer, grid, S[n])
    else:
        weights = head.kernel.T[classes]
        loss = weights * features.mean(axis=_places(features))
    alpha = _ratio(loss, np.abs(S))
    return _relu(_weighted_sum(alpha, features))


def _gap_head(model: keras.Model, features: np.ndarray) -> Head | None:
    """Return the head that averages these features (B, *places, K) and nothing else, or None."""
    try:
        head = find_head(model)
    except HeadError:
        return None
    if len(head.parts) > 1 or head.rest:
        return None
    # Tokens without a place may be averaged as well.
    averaged = head.features.shape[1:-1]
    spread_tokens = features.shape[1:-1]
    if len(averaged) < len(spread_tokens) and averaged != (math.prod(spread_tokens),):
        return None
    return head


def _losses_without(
    model: keras.Model,
    image: np.ndarray,
    features: np.ndarray,
    c: int,
    layer: _Layer,
    grid: _Grid,
    score: np.ndarray,
) -> np.ndarray:
    """Return S_c − S_c without F_k (K,) of an image with the features (*places, K) at a layer.

    `score` is S_c (1,). A channel that is zero everywhere loses nothing and is not run.
    """
    channels = np.arange(features.shape[-1])
    rows = features.reshape(-1, len(channels))
    active = np.flatnonzero(rows.any(axis=0))
    loss = np.zeros(len(channels), dtype="float32")
    for chunk in _chunks(len(active), image):
        removed = active[chunk]
        remain = channels != removed[:, None]
        without = rows * remain[:, None]
        without = without.reshape(-1, *features.shape)
        logits = probe.scores_of_features(model, image[None], without, layer, grid)
        loss[removed] = score - logits[:, c]
    return loss


@row_by_row
def occlusion(
    model: keras.Model | Callable,
    batch: np.ndarray,
    targets: _Targets = None,
    *,
    window: int | None = None,
    stride: int | None = None,
    inputs: _Inputs = None,
    output: str | None = None,
) -> np.ndarray:
    """Return the occlusion maps: how much surer is the model with a region than without it?

    A square in the mean colour of the image moves over it. The value of a pixel is P_c − P_c with a
    square, averaged over the squares that cover the pixel (Zeiler & Fergus, Visualizing and
    Understanding Convolutional Networks, ECCV 2014, section 4.2; with the probability, because a
    square, which belongs to no class, moves all logits). There is one forward pass for each square.

    Any function from a batch of images to scores can be explained, because only its results are
    read. What a function or a subclassed model returns (B, C) is taken for P as it is, so that
    logits stay logits. One column (B, 1) belongs to the second of two classes: if all its values
    for the batch are in 0..1, they are probabilities p, and the first class has 1 − p; else the
    first class has the score with the opposite sign.

    Args:
        model: A Keras model with any head, or a function from a batch of images to scores (B, C).
        batch: Images (B, H, W, channels) in the value range that the model expects.
        targets: A class index, or one for each image (default: the predicted class).
        window: The side of the square in pixels (default: a seventh of the image's shorter side).
        stride: The step of the square in pixels (default: half of the window). The last square ends
            where the image ends.
        inputs: As for `grad_cam`.
        output: As for `grad_cam`.

    Returns:
        Maps of shape (B, H, W), float32, signed; (B, t) for sequences and (B, d, h, w) for volumes.

    Raises:
        ValueError: The squares leave gaps or do not fit into the image, the images have another
            size than the model takes, a target is no class, or a function returns no scores (B, C).
        HeadError: The model returns other scores than its layers give.

    Example:
        >>> import camkit
        >>> model = camkit.gap_classifier(camkit.backbone("mini"), ["apple", "lemon"])
        >>> images = camkit.load_images("mini", "Test", classes=["Lemon"], per_class=1)
        >>> camkit.occlusion(model, images[0][None], targets=1, window=50).shape
        (1, 100, 100)

        A function in place of a model:

        >>> def brightness(batch):
        ...     return batch.mean(axis=(1, 2)) / 255
        >>> camkit.occlusion(brightness, images[0][None], targets=1).shape
        (1, 100, 100)
    """
    score = _scorer(model, inputs, output)
    images = array_of(batch)
    P = score(images)
    classes = probe.choose(P, targets)
    _check_has_places(images)
    sides = images.shape[1:-1]
    if window is None:
        window = max(1, round(min(sides) / 7))
    if stride is None:
        stride = max(1, window // 2)
    windows = [_windows(side, window, stride) for side in sides]
    maps = []
    for image, P_of_image, c in zip(images, P, classes, strict=True):
        loss = P_of_image[c] - _occluded_scores(score, image, c, windows)
        total = _sums_over_squares(loss, windows)
        squares_per_pixel = _sums_over_squares(np.ones_like(loss), windows)
        maps.append(total / squares_per_pixel)
    return np.array(maps, dtype="float32")


def _occluded_scores(
    score: _Scorer, image: np.ndarray, c: int, windows: list[np.ndarray]
) -> np.ndarray:
    """Return P_c (i, j) of an image whose rows i and columns j are covered by its mean colour.

    `windows` has for each axis of the image the array (n, side), bool, that `_windows` returns; the
    result has as many axes.
    """
    axes = tuple(range(len(windows)))
    mean_colour = image.mean(axis=axes)
    shape = [len(window) for window in windows]
    positions = np.indices(shape).reshape(len(shape), -1)
    P = np.empty(positions.shape[1])
    for chunk in _chunks(len(P), image):
        square = np.ones(1, dtype=bool)
        for axis, window in enumerate(windows):
            covered = window[positions[axis, chunk]]
            covered = np.expand_dims(covered, axes[1 : axis + 1])
            square = square[..., None] & covered
        occluded = np.where(square[..., None], mean_colour, image)
        P[chunk] = score(occluded)[:, c]
    return P.reshape(shape)


def _sums_over_squares(values: np.ndarray, windows: list[np.ndarray]) -> np.ndarray:
    """Return, for each pixel, the sum of the values (i, j, …) of the squares that cover it."""
    for window in windows:
        # The first axis, of squares, gives way to a last one, of pixels.
        values = np.tensordot(values, window, axes=(0, 0))
    return values


def _windows(size: int, window: int, stride: int) -> np.ndarray:
    """Return which pixels of a side each window covers, as (n, size) bool.

    The last window ends where the side ends. Raises ValueError where windows leave gaps or do not
    fit.
    """
    if not 1 <= stride <= window <= size:
        raise ValueError(
            f"window={window}, stride={stride}: "
            f"1 ≤ stride ≤ window ≤ {size} (the image's side) is needed"
        )
    last = size - window
    starts = np.arange(0, last + stride, stride)
    starts = np.minimum(starts, last)[:, None]
    pixels = np.arange(size)
    return (starts <= pixels) & (pixels < starts + window)


@row_by_row
def integrated_gradients(
    model: keras.Model,
    batch: np.ndarray,
    targets: _Targets = None,
    *,
    inputs: _Inputs = None,
    output: str | None = None,
) -> np.ndarray:
    """Return the integrated gradients: what does each pixel add to the score?

    The map is x ∫₀¹ ∂S_c/∂x (t·x) dt on the straight path from the image 0 to the image x, summed
    over the colours (Sundararajan et al., Axiomatic Attribution for Deep Networks, ICML 2017,
    eq. 1). Except for the error of the steps, the sum of a map is S_c(x) − S_c(0): completeness,
    their proposition 1. The integral is taken at the midpoints of 128 steps of u = √t, because the
    score changes fastest where the image is faint: equal steps of t, as in their eq. 3, miss up to
    a tenth of it.

    Args:
        model: A Keras model with any head.
        batch: Images (B, H, W, channels) in the value range that the model expects.
        targets: A class index, or one for each image (default: the predicted class).
        inputs: As for `grad_cam`.
        output: As for `grad_cam`.

    Returns:
        Maps of shape (B, H, W), float32, signed; (B, t) for sequences and (B, d, h, w) for volumes.

    Raises:
        ValueError: The images have another size than the model takes, or a target is no class.
        HeadError: The model has no graph of layers.

    Example:
        >>> import numpy as np
        >>> import camkit
        >>> model = camkit.gap_classifier(
        ...     camkit.backbone("mini", input_size=32), ["apple", "lemon"]
        ... )
        >>> images = np.random.default_rng(0).uniform(0, 255, (1, 32, 32, 3))
        >>> camkit.integrated_gradients(model, images, targets=1).shape
        (1, 32, 32)
    """
    model = part(model, inputs, output)
    logits = probe.scores(model, batch)
    classes = probe.choose(logits, targets)
    images = np.asarray(batch, dtype="float32")
    _check_has_places(images)
    maps = []
    for x, c in zip(images, classes, strict=True):
        attribution = x * _integral_of_gradients(model, x, c)
        maps.append(attribution.sum(axis=-1))
    return np.array(maps)


def _integral_of_gradients(model: keras.Model, x: np.ndarray, c: int) -> np.ndarray:
    """Return ∫₀¹ ∂S_c/∂x (t·x) dt of an image x (*places, channels), as an array of its shape.

    With t = u² and dt = 2u du it is the integral of 2u ∂S_c/∂x (u²·x) over u.
    """
    input_layer = probe.input_of(model)
    midpoints = (np.arange(STEPS, dtype="float32") + 0.5) / STEPS
    integral = np.zeros_like(x)
    for chunk in _chunks(STEPS, x):
        u = midpoints[chunk].reshape(-1, *[1] * x.ndim)
        _, gradients = probe.gradients(model, u**2 * x, c, input_layer)
        summands = 2 * u * gradients
        integral += summands.sum(axis=0) / STEPS
    return integral


# Several layers -----------------------------------------------------------------------------------


def fuse(maps_of_layers: Sequence[np.ndarray], size: int | tuple[int, ...]) -> np.ndarray:
    """Return maps that combine those of several layers: the highest of them at each pixel.

    The positive part of each map is scaled to tanh(2 M / max M) and enlarged, so that an early
    layer, whose values are small, counts as well (Jiang et al., LayerCAM, 2021, who scale the early
    layers only). A map without a positive value adds nothing.

    Args:
        maps_of_layers: An array (B, h, w) for each layer, each of any size.
        size: The size of the result, an int or (H, W); (T,) for maps (B, t) of sequences and
            (D, H, W) for maps (B, d, h, w) of volumes.

    Returns:
        Maps of shape (B, *size), 0..1.

    Example:
        >>> import numpy as np
        >>> import camkit
        >>> late = np.array([[[0.0, 8.0]]])
        >>> early = np.array([[[0.02, 0.0, 0.0, 0.0]]])
        >>> camkit.fuse([late, early], size=(1, 4)).round(2)
        array([[[0.96, 0.24, 0.72, 0.96]]])
    """
    enlarged = []
    for maps in maps_of_layers:
        positive = _relu(maps)
        places = tuple(range(1, positive.ndim))
        highest = positive.max(axis=places, keepdims=True)
        scaled = np.tanh(2 * _ratio(positive, highest))
        enlarged.append(upsample(scaled, size))
    return np.max(enlarged, axis=0)


# Shared steps -------------------------------------------------------------------------------------


def _relu(x: np.ndarray) -> np.ndarray:
    """Return x where it is positive, else 0."""
    return np.maximum(0, x)


def _weighted_sum(alpha: np.ndarray, features: np.ndarray) -> np.ndarray:
    """Return Σ_k α_k F_k (B, *places) of weights (B, K) and features (B, *places, K)."""
    return np.einsum("n...k,nk->n...", features, alpha)


def _check_has_places(images: np.ndarray) -> None:
    """Raise ValueError unless a batch is (B, *places, channels)."""
    if images.ndim < 3:
        raise ValueError(
            f"the batch has shape {images.shape}: an image needs places, as in (B, H, W, channels) "
            "or (B, t, channels), to have a map of its input; camkit.grad_cam explains a model of "
            "words at the vectors that its Embedding returns"
        )


def _places(features: np.ndarray) -> tuple[int, ...]:
    """Return the axes of the places of features (B, *places, K)."""
    return tuple(range(1, features.ndim - 1))


def _unit(maps: np.ndarray) -> np.ndarray:
    """Return each map of (n, *places) scaled to 0..1; a constant map becomes 0."""
    rows = maps.reshape(len(maps), 1, -1)
    return unit(rows).reshape(maps.shape)


def _probability(model: keras.Model, images: np.ndarray, c: int) -> np.ndarray:
    """Return P_c (n,) of images (n, *places, channels)."""
    logits = probe.scores(model, images)
    return probabilities(model, logits)[:, c]


def _scorer(model: Any, inputs: _Inputs, output: str | None) -> _Scorer:
    """Return a function from images (B, *places, channels) to the scores P (B, C) of any model."""
    if _is_function(model):
        if inputs or output is not None:
            raise ValueError(
                "inputs= and output= are those of a Keras model: of another one explain a function "
                "of the images alone, such as lambda images: model(images, table)[0]"
            )
        return _scorer_of_function(model)
    model = part(model, inputs, output)
    return lambda images: probabilities(model, probe.scores(model, images))


def _scorer_of_function(function: Callable) -> _Scorer:
    """Return a function from images to the scores (B, C), C ≥ 2, that another function returns."""
    sum_of_scores = None

    def score(images: np.ndarray) -> np.ndarray:
        nonlocal sum_of_scores
        scores = _returned_scores(function, images)
        if scores.shape[1] > 1:
            return scores
        # The first batch tells what one column holds, for all altered copies of its images.
        if sum_of_scores is None:
            are_probabilities = np.all((scores >= 0) & (scores <= 1))
            sum_of_scores = 1.0 if are_probabilities else 0.0
        return np.concatenate([sum_of_scores - scores, scores], axis=1)

    return score


def _is_function(model: Any) -> bool:
    """Return whether only the results of a model can be read, as those of a plain function."""
    if not callable(model) or isinstance(model, keras.Function | keras.Sequential):
        return False
    try:
        network_of(model)
    except HeadError:
        return True
    return False


def _returned_scores(function: Callable, images: np.ndarray) -> np.ndarray:
    """Return what a function or a layer returns for images, as float64 (B, C)."""
    settings = {"training": False} if isinstance(function, keras.Layer) else {}
    returned = function(images, **settings)
    # Functions of a SavedModel return a dictionary.
    if isinstance(returned, Mapping) and len(returned) == 1:
        (returned,) = returned.values()
    if isinstance(returned, Mapping | tuple):
        raise ValueError(
            f"the model returned {len(returned)} arrays: a function that returns one of them, "
            "lambda images: model(images)[...], can be explained"
        )
    scores = np.asarray(keras.ops.convert_to_numpy(returned), dtype="float64")
    if scores.ndim != 2 or len(scores) != len(images):
        raise ValueError(
            f"the model returned an array of shape {scores.shape} for {len(images)} images: one "
            "row of class scores for each image, (B, C), is needed"
        )
    return scores


def _ratio(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return a / b, and 0 where b is 0."""
    a, b = np.broadcast_arrays(a, b)
    return np.divide(a, b, out=np.zeros_like(a), where=b != 0)


def _chunks(count: int, image: np.ndarray) -> Iterator[slice]:
    """Yield slices of `count` altered copies of an image (*places, channels), ≤ PIXELS at once."""
    pixels = math.prod(image.shape[:-1])
    step = max(1, PIXELS // pixels)
    for start in range(0, count, step):
        yield slice(start, start + step)
