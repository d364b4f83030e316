"""Grad-CAM and its family: where in an image a model finds its classes, for any head and any layer.

All methods have one signature, `method(model, batch, targets=None, *, layer=None)`, and return one
map per image. Occlusion and integrated gradients read no layer; their maps are as large as the
images.

The notation is that of the lessons: F_k(x, y) is channel k of the layer that is read, g its
gradient ∂S_c/∂F_k(x, y), and S_c the logit of the target class. It is the logit and not its softmax
P_c, because the gradient of P_c vanishes where the model is confident. M_c is the class activation
map: on the last layer of a GAP head it is the reference for all methods.

The model is never changed. Each call uses its current weights, so further training has an effect.
"""

from collections.abc import Iterator, Sequence
from typing import TypeAlias

import keras
import numpy as np

from camkit.maps.arrays import unit, upsample
from camkit.models import _probe as probe
from camkit.models._graph import HeadError
from camkit.models._head import Head, find_head
from camkit.models._scores import probabilities as probabilities_of

# Altered copies of an image are scored together, up to this number of pixels. That bounds the
# memory, and processor caches work best with few images.
PIXELS = 8 * 224 * 224

# Steps on the path of integrated gradients: completeness within 3 % on photographs.
STEPS = 128

_Targets: TypeAlias = int | Sequence[int] | np.ndarray | None
_Layer: TypeAlias = str | keras.Layer | None


# Methods that read gradients ----------------------------------------------------------------------


def grad_cam(
    model: keras.Model,
    batch: np.ndarray,
    targets: _Targets = None,
    *,
    layer: _Layer = None,
) -> np.ndarray:
    """Return the Grad-CAM maps: where are the channels whose growth would raise the score?

    α_k is the mean of ∂S_c/∂F_k over the positions, and the map is ReLU(Σ_k α_k F_k) (Selvaraju et
    al., Grad-CAM, ICCV 2017, eq. 1 and 2). On the last layer of a GAP head it is ReLU(M_c)/(h·w).

    Args:
        model: A Functional or Sequential Keras model with any head.
        batch: Images (B, H, W, channels) in the value range that the model expects.
        targets: A class index, or one for each image (default: the predicted class).
        layer: A layer or its name, also in a nested model (default: what the global average pooling
            reads, else the last map).

    Returns:
        Maps of shape (B, h, w), float32, ≥ 0.

    Raises:
        ValueError: The images have another size than the model takes, a target is no class, or the
            layer is unknown or has no map.
        HeadError: The model has no graph of layers.

    Example:
        >>> import camkit
        >>> model = camkit.gap_classifier(camkit.backbone("mini"), ["apple", "lemon"])
        >>> images = camkit.load_images("mini", "Test", classes=["Lemon"], per_class=1)
        >>> camkit.grad_cam(model, images[0][None], targets=1).shape
        (1, 13, 13)
    """
    features, gradients = probe.gradients(model, batch, targets, layer)
    alpha = gradients.mean(axis=(1, 2))
    return _relu(_weighted_sum(alpha, features))


def grad_cam_plus_plus(
    model: keras.Model,
    batch: np.ndarray,
    targets: _Targets = None,
    *,
    layer: _Layer = None,
) -> np.ndarray:
    """Return the Grad-CAM++ maps: can small things count as much as large ones?

    With g = ∂S_c/∂F_k at each position, α = g² / (2g² + g³ Σ F_k), w_k = Σ α ReLU(g), and the map
    is ReLU(Σ_k w_k F_k) (Chattopadhay et al., Grad-CAM++, WACV 2018, eq. 19, 5 and 20). The paper
    derives this for the score exp(S_c), which overflows for confident models; being a factor of the
    whole map, it is left out. So is the normalisation of α to the sum 1, which is in the authors'
    code but not in the paper.

    Args:
        model: A Functional or Sequential Keras model with any head.
        batch: Images (B, H, W, channels) in the value range that the model expects.
        targets: A class index, or one for each image (default: the predicted class).
        layer: A layer or its name (default: as for `grad_cam`).

    Returns:
        Maps of shape (B, h, w), float32, ≥ 0.

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
    features, gradients = probe.gradients(model, batch, targets, layer)
    # In single precision the powers of small gradients would vanish.
    F = features.astype("float64")
    g = gradients.astype("float64")
    sum_of_F = F.sum(axis=(1, 2), keepdims=True)
    alpha = _ratio(g**2, 2 * g**2 + g**3 * sum_of_F)
    weights = np.sum(alpha * _relu(g), axis=(1, 2))
    maps = _relu(_weighted_sum(weights, F))
    return maps.astype("float32")


def hires_cam(
    model: keras.Model,
    batch: np.ndarray,
    targets: _Targets = None,
    *,
    layer: _Layer = None,
) -> np.ndarray:
    """Return the HiResCAM maps: which positions does the score come from?

    The map is Σ_k F_k ∂S_c/∂F_k at each position, without the mean that lends a gradient to
    positions that do not have it (Draelos & Carin, Use HiResCAM instead of Grad-CAM, 2020: their
    definition of HiResCAM). Where the layers that follow are linear, the sum of a map is what S_c
    gains over the score of no features at all. On the last layer of a GAP head the map is
    M_c/(h·w).

    Args:
        model: A Functional or Sequential Keras model with any head.
        batch: Images (B, H, W, channels) in the value range that the model expects.
        targets: A class index, or one for each image (default: the predicted class).
        layer: A layer or its name (default: as for `grad_cam`).

    Returns:
        Maps of shape (B, h, w), float32, signed.

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
    features, gradients = probe.gradients(model, batch, targets, layer)
    return np.einsum("nyxk,nyxk->nyx", features, gradients)


def layer_cam(
    model: keras.Model,
    batch: np.ndarray,
    targets: _Targets = None,
    *,
    layer: _Layer = None,
) -> np.ndarray:
    """Return the LayerCAM maps: what speaks for the class in an early layer?

    In an early layer a channel as a whole means little, so each position has a weight of its own:
    the map is ReLU(Σ_k ReLU(∂S_c/∂F_k) F_k) (Jiang et al., LayerCAM, IEEE Transactions on Image
    Processing 2021: their weights for each position). On the last layer of a GAP head only the
    channels of positive weight remain: ReLU(Σ_k ReLU(w_kc) F_k)/(h·w).

    Args:
        model: A Functional or Sequential Keras model with any head.
        batch: Images (B, H, W, channels) in the value range that the model expects.
        targets: A class index, or one for each image (default: the predicted class).
        layer: A layer or its name (default: as for `grad_cam`).

    Returns:
        Maps of shape (B, h, w), float32, ≥ 0.

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
    features, gradients = probe.gradients(model, batch, targets, layer)
    maps = np.einsum("nyxk,nyxk->nyx", features, _relu(gradients))
    return _relu(maps)


# Methods that read activations and scores ---------------------------------------------------------


def eigen_cam(
    model: keras.Model,
    batch: np.ndarray,
    targets: _Targets = None,
    *,
    layer: _Layer = None,
) -> np.ndarray:
    """Return the Eigen-CAM maps: what do most of the features do together, whatever the class?

    With the features of all positions as rows, F (h·w, K) = U Σ Vᵀ, the map is F v₁, without
    centring (Muhammad & Yeasin, Eigen-CAM, IJCNN 2020, eq. 2 and 3). A singular vector has no sign
    of its own. Where the features are ≥ 0, as after ReLU, the map has the same sign everywhere
    (Perron and Frobenius), and the positive one is meant. Therefore a map is negated if its sum is
    below 0.

    Args:
        model: A Functional or Sequential Keras model with any head.
        batch: Images (B, H, W, channels) in the value range that the model expects.
        targets: Checked as for the other methods, but without effect on the maps.
        layer: A layer or its name (default: as for `grad_cam`).

    Returns:
        Maps of shape (B, h, w), float32; ≥ 0 where the features are.

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
    features, _ = probe.gradients(model, batch, targets, layer)
    count, _, _, channels = features.shape
    rows = features.reshape(count, -1, channels)
    decomposition = np.linalg.svd(rows, full_matrices=False)
    v_1 = decomposition.Vh[:, 0]
    maps = _weighted_sum(v_1, features)
    total = maps.sum(axis=(1, 2), keepdims=True)
    return np.where(total < 0, -maps, maps)


def score_cam(
    model: keras.Model,
    batch: np.ndarray,
    targets: _Targets = None,
    *,
    layer: _Layer = None,
) -> np.ndarray:
    """Return the Score-CAM maps: how sure is the model of what it sees through a channel alone?

    H_k is F_k enlarged to the image and scaled to 0..1, α_k = P_c(image · H_k) − P_c(0), and the
    map is ReLU(Σ_k α_k F_k) (Wang et al., Score-CAM, CVPR Workshops 2020, eq. 6 to 10, with the
    probability as in section 3.2). A channel that is the same everywhere lets nothing through and
    has no weight. There is one forward pass for each distinct mask.

    Args:
        model: A Functional or Sequential Keras model with any head.
        batch: Images (B, H, W, channels) in the value range that the model expects.
        targets: A class index, or one for each image (default: the predicted class).
        layer: A layer or its name (default: as for `grad_cam`).

    Returns:
        Maps of shape (B, h, w), float32, ≥ 0.

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
    logits = probe.scores(model, batch)
    classes = probe.choose(logits, targets)
    features, _ = probe.gradients(model, batch, classes, layer)
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
    """Return α_k = P_c(image · H_k) − P_c(0) for each channel of features (h, w, K), as (K,)."""
    channels = features.transpose(2, 0, 1)
    nothing = np.zeros_like(channels[:1])
    masks = np.concatenate([unit(channels), nothing])
    # Channels that differ only in scale have the same mask, which is scored once.
    distinct, index = np.unique(masks, axis=0, return_inverse=True)
    P = np.empty(len(distinct))
    for chunk in _chunks(len(distinct), image):
        H = upsample(distinct[chunk], image.shape[:2])
        H = unit(H)[..., None]
        P[chunk] = _probability(model, image * H, c)
    P_of_masks = P[index.ravel()]
    P_of_nothing = P_of_masks[-1]
    return P_of_masks[:-1] - P_of_nothing


def ablation_cam(
    model: keras.Model,
    batch: np.ndarray,
    targets: _Targets = None,
    *,
    layer: _Layer = None,
) -> np.ndarray:
    """Return the Ablation-CAM maps: how much of the score is lost without a channel?

    α_k = (S_c − S_c without F_k) / |S_c|, and the map is ReLU(Σ_k α_k F_k) (Desai & Ramaswamy,
    Ablation-CAM, WACV 2020, eq. 3 and 4, except for the absolute value: a negative score would
    reverse the map). On the last layer of a GAP head the loss is w_kc · mean(F_k). Elsewhere the
    layers that follow run once for each channel that is not zero everywhere.

    Args:
        model: A Functional or Sequential Keras model with any head.
        batch: Images (B, H, W, channels) in the value range that the model expects.
        targets: A class index, or one for each image (default: the predicted class).
        layer: A layer or its name (default: as for `grad_cam`).

    Returns:
        Maps of shape (B, h, w), float32, ≥ 0.

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
    logits = probe.scores(model, batch)
    classes = probe.choose(logits, targets)
    features, _ = probe.gradients(model, batch, classes, layer)
    S = np.take_along_axis(logits, classes[:, None], axis=1)
    head = _gap_head(model) if layer is None else None
    if head is None:
        loss = np.zeros((len(features), features.shape[-1]), dtype="float32")
        for n, c in enumerate(classes):
            loss[n] = _losses_without(model, batch[n], features[n], c, layer, S[n])
    else:
        weights = head.kernel.T[classes]
        loss = weights * features.mean(axis=(1, 2))
    alpha = _ratio(loss, np.abs(S))
    return _relu(_weighted_sum(alpha, features))


def _gap_head(model: keras.Model) -> Head | None:
    """Return the GAP → Dense head of a model, or None if it has none."""
    try:
        return find_head(model)
    except HeadError:
        return None


def _losses_without(
    model: keras.Model,
    image: np.ndarray,
    features: np.ndarray,
    c: int,
    layer: _Layer,
    score: np.ndarray,
) -> np.ndarray:
    """Return S_c − S_c without F_k (K,) of an image with the features (h, w, K) at a layer.

    `score` is S_c (1,). A channel that is zero everywhere loses nothing and is not run.
    """
    channels = np.arange(features.shape[-1])
    active = np.flatnonzero(features.any(axis=(0, 1)))
    loss = np.zeros(len(channels), dtype="float32")
    for chunk in _chunks(len(active), image):
        removed = active[chunk]
        remain = channels != removed[:, None]
        without = features * remain[:, None, None, :]
        logits = probe.scores(model, image[None], layer, without)
        loss[removed] = score - logits[:, c]
    return loss


def occlusion(
    model: keras.Model,
    batch: np.ndarray,
    targets: _Targets = None,
    *,
    window: int = 32,
    stride: int = 16,
) -> np.ndarray:
    """Return the occlusion maps: how much surer is the model with a region than without it?

    A square in the mean colour of the image moves over it. The value of a pixel is P_c − P_c with a
    square, averaged over the squares that cover the pixel (Zeiler & Fergus, Visualizing and
    Understanding Convolutional Networks, ECCV 2014, section 4.2; with the probability, because a
    square, which belongs to no class, moves all logits). There is one forward pass for each square.

    Args:
        model: A Functional or Sequential Keras model with any head.
        batch: Images (B, H, W, channels) in the value range that the model expects.
        targets: A class index, or one for each image (default: the predicted class).
        window: The side of the square in pixels.
        stride: The step of the square in pixels. The last square ends where the image ends.

    Returns:
        Maps of shape (B, H, W), float32, signed.

    Raises:
        ValueError: The squares leave gaps or do not fit into the image, the images have another
            size than the model takes, or a target is no class.
        HeadError: The model has no graph of layers.

    Example:
        >>> import camkit
        >>> model = camkit.gap_classifier(camkit.backbone("mini"), ["apple", "lemon"])
        >>> images = camkit.load_images("mini", "Test", classes=["Lemon"], per_class=1)
        >>> camkit.occlusion(model, images[0][None], targets=1, window=50, stride=50).shape
        (1, 100, 100)
    """
    logits = probe.scores(model, batch)
    classes = probe.choose(logits, targets)
    images = np.asarray(batch, dtype="float32")
    height, width = images.shape[1:3]
    rows = _windows(height, window, stride)
    columns = _windows(width, window, stride)
    squares_per_pixel = np.outer(rows.sum(axis=0), columns.sum(axis=0))
    probabilities = probabilities_of(model, logits)
    maps = []
    for image, P, c in zip(images, probabilities, classes, strict=True):
        P_occluded = _occluded_probabilities(model, image, c, rows, columns)
        loss = P[c] - P_occluded
        total = np.einsum("iy,ij,jx->yx", rows, loss, columns)
        maps.append(total / squares_per_pixel)
    return np.array(maps, dtype="float32")


def _occluded_probabilities(
    model: keras.Model, image: np.ndarray, c: int, rows: np.ndarray, columns: np.ndarray
) -> np.ndarray:
    """Return P_c (i, j) of an image whose rows i and columns j are covered by its mean colour.

    `rows` (i, H) and `columns` (j, W) are bool, as `_windows` returns them.
    """
    mean_colour = image.mean(axis=(0, 1))
    shape = (len(rows), len(columns))
    i, j = np.indices(shape).reshape(2, -1)
    P = np.empty(len(i))
    for chunk in _chunks(len(i), image):
        covered_rows = rows[i[chunk]]
        covered_columns = columns[j[chunk]]
        square = covered_rows[:, :, None, None] & covered_columns[:, None, :, None]
        occluded = np.where(square, mean_colour, image)
        P[chunk] = _probability(model, occluded, c)
    return P.reshape(shape)


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


def integrated_gradients(
    model: keras.Model, batch: np.ndarray, targets: _Targets = None
) -> np.ndarray:
    """Return the integrated gradients: what does each pixel add to the score?

    The map is x ∫₀¹ ∂S_c/∂x (t·x) dt on the straight path from the image 0 to the image x, summed
    over the colours (Sundararajan et al., Axiomatic Attribution for Deep Networks, ICML 2017,
    eq. 1). Except for the error of the steps, the sum of a map is S_c(x) − S_c(0): completeness,
    their proposition 1. The integral is taken at the midpoints of 128 steps of u = √t, because the
    score changes fastest where the image is faint: equal steps of t, as in their eq. 3, miss up to
    a tenth of it.

    Args:
        model: A Functional or Sequential Keras model with any head.
        batch: Images (B, H, W, channels) in the value range that the model expects.
        targets: A class index, or one for each image (default: the predicted class).

    Returns:
        Maps of shape (B, H, W), float32, signed.

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
    logits = probe.scores(model, batch)
    classes = probe.choose(logits, targets)
    images = np.asarray(batch, dtype="float32")
    maps = []
    for x, c in zip(images, classes, strict=True):
        attribution = x * _integral_of_gradients(model, x, c)
        maps.append(attribution.sum(axis=-1))
    return np.array(maps)


def _integral_of_gradients(model: keras.Model, x: np.ndarray, c: int) -> np.ndarray:
    """Return ∫₀¹ ∂S_c/∂x (t·x) dt of an image x (H, W, channels), an array of its shape.

    With t = u² and dt = 2u du it is the integral of 2u ∂S_c/∂x (u²·x) over u.
    """
    input_layer = probe.input_of(model)
    midpoints = (np.arange(STEPS, dtype="float32") + 0.5) / STEPS
    integral = np.zeros_like(x)
    for chunk in _chunks(STEPS, x):
        u = midpoints[chunk, None, None, None]
        _, gradients = probe.gradients(model, u**2 * x, c, input_layer)
        summands = 2 * u * gradients
        integral += summands.sum(axis=0) / STEPS
    return integral


# Several layers -----------------------------------------------------------------------------------


def fuse(maps_of_layers: Sequence[np.ndarray], size: int | tuple[int, int]) -> np.ndarray:
    """Return maps that combine those of several layers: the highest of them at each pixel.

    The positive part of each map is scaled to tanh(2 M / max M) and enlarged, so that an early
    layer, whose values are small, counts as well (Jiang et al., LayerCAM, 2021, who scale the early
    layers only). A map without a positive value adds nothing.

    Args:
        maps_of_layers: An array (B, h, w) for each layer, each of any size.
        size: The size of the result, an int or (H, W).

    Returns:
        Maps of shape (B, H, W), 0..1.

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
        highest = positive.max(axis=(1, 2), keepdims=True)
        scaled = np.tanh(2 * _ratio(positive, highest))
        enlarged.append(upsample(scaled, size))
    return np.max(enlarged, axis=0)


# Shared steps -------------------------------------------------------------------------------------


def _relu(x: np.ndarray) -> np.ndarray:
    """Return x where it is positive, else 0."""
    return np.maximum(0, x)


def _weighted_sum(alpha: np.ndarray, features: np.ndarray) -> np.ndarray:
    """Return Σ_k α_k F_k (B, h, w) of weights (B, K) and features (B, h, w, K)."""
    return np.einsum("nyxk,nk->nyx", features, alpha)


def _probability(model: keras.Model, images: np.ndarray, c: int) -> np.ndarray:
    """Return P_c (n,) of images (n, H, W, channels)."""
    logits = probe.scores(model, images)
    return probabilities_of(model, logits)[:, c]


def _ratio(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return a / b, and 0 where b is 0."""
    a, b = np.broadcast_arrays(a, b)
    return np.divide(a, b, out=np.zeros_like(a), where=b != 0)


def _chunks(count: int, image: np.ndarray) -> Iterator[slice]:
    """Yield slices of `count` altered copies of an image (H, W, channels), ≤ PIXELS at a time."""
    height, width = image.shape[:2]
    step = max(1, PIXELS // (height * width))
    for start in range(0, count, step):
        yield slice(start, start + step)
