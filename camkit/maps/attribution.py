"""Grad-CAM and its family: where in an image a model finds its classes, for any head and any layer.

All have one signature, (model, batch, targets=None, *, layer=None), and return one map an image, (B, h, w) float32.
`batch` (B, H, W, channels) has the value range that the model expects; `targets` is a class index or one for each
image (default: the predicted class); `layer` a layer or its name, also in a nested model (default: what the global
average pooling reads, else the last map). F_k(x, y) is channel k of that layer and S_c the logit of the target class,
not its softmax P_c, whose gradient vanishes where the model is confident. M_c is the class activation map, which on
the last layer of a GAP head is the measure of them all. The model stays as it was, and its training is followed.
All raise ValueError for images of another size than the model takes, for targets that are no class and for a layer
that is unknown or has no map, HeadError where the model has no graph of layers.
"""

import numpy as np

from camkit.maps.arrays import unit, upsample
from camkit.models import _graph as graph
from camkit.models import _probe as probe

PIXELS = (
    8 * 224 * 224
)  # of the altered images that are scored together: they bound the memory, and caches like few
STEPS = 128  # on the way of integrated gradients: completeness within 3 % on photographs


def grad_cam(model, batch, targets=None, *, layer=None):
    """Return the Grad-CAM maps, ≥ 0: where are the channels whose growth would raise the score?

    α_k = mean over places of ∂S_c/∂F_k, and ReLU(Σ_k α_k F_k) (Selvaraju et al., Grad-CAM, ICCV 2017, eq. 1 and 2).
    On the last layer of a GAP head it is ReLU(M_c)/(h·w).
    """
    features, gradients = probe.gradients(model, batch, targets, layer)
    alpha = gradients.mean(axis=(1, 2))
    return np.maximum(0, np.einsum("nyxk,nk->nyx", features, alpha))


def grad_cam_plus_plus(model, batch, targets=None, *, layer=None):
    """Return the Grad-CAM++ maps, ≥ 0: can small things count as much as large ones?

    With g = ∂S_c/∂F_k place by place: α = g² / (2g² + g³ Σ F_k), w_k = Σ α ReLU(g) and ReLU(Σ_k w_k F_k) (Chattopadhay
    et al., Grad-CAM++, WACV 2018, eq. 19, 5 and 20). That is derived for the score exp(S_c), which overflows for sure
    models: as a factor of a whole map it is left out. So is the scaling of α to the sum 1, which the authors' program
    has and their text has not.
    """
    features, g = (
        array.astype("float64") for array in probe.gradients(model, batch, targets, layer)
    )
    alpha = _ratio(g**2, 2 * g**2 + g**3 * features.sum(axis=(1, 2), keepdims=True))
    weights = np.sum(alpha * np.maximum(0, g), axis=(1, 2))
    return np.maximum(0, np.einsum("nyxk,nk->nyx", features, weights)).astype("float32")


def hires_cam(model, batch, targets=None, *, layer=None):
    """Return the HiResCAM maps, signed: which places does the score come from?

    Σ_k F_k ∂S_c/∂F_k place by place, without the mean that lends a gradient to places where it is not (Draelos & Carin,
    Use HiResCAM instead of Grad-CAM, 2020: their definition of HiResCAM). Where the layers that follow are linear, the
    sum of a map is what S_c gains over the score of no features at all; on the last layer of a GAP head it is
    M_c/(h·w).
    """
    features, gradients = probe.gradients(model, batch, targets, layer)
    return np.einsum("nyxk,nyxk->nyx", features, gradients)


def layer_cam(model, batch, targets=None, *, layer=None):
    """Return the LayerCAM maps, ≥ 0: what speaks for the class in an early layer, whose channels mean little?

    ReLU(Σ_k ReLU(∂S_c/∂F_k) F_k) place by place (Jiang et al., LayerCAM, IEEE Transactions on Image Processing 2021:
    their weights for each place). On the last layer of a GAP head only channels of positive weight stay:
    ReLU(Σ_k ReLU(w_kc) F_k)/(h·w).
    """
    features, gradients = probe.gradients(model, batch, targets, layer)
    return np.maximum(0, np.einsum("nyxk,nyxk->nyx", features, np.maximum(0, gradients)))


def eigen_cam(model, batch, targets=None, *, layer=None):
    """Return the Eigen-CAM maps, the same for every class: what do most of the features do together?

    With the features of all places as rows, F (h·w, K) = U Σ Vᵀ, it is F v₁, not centred (Muhammad & Yeasin, Eigen-CAM,
    IJCNN 2020, eq. 2 and 3). A singular vector has no sign of its own. Of features ≥ 0, as ReLU leaves them, the map
    has one sign everywhere (Perron and Frobenius), and plus is meant; so all maps are turned until their sum is ≥ 0.
    """
    features, _ = probe.gradients(model, batch, targets, layer)
    places = features.reshape(len(features), -1, features.shape[-1])
    maps = np.einsum("nyxk,nk->nyx", features, np.linalg.svd(places, full_matrices=False).Vh[:, 0])
    return np.where(maps.sum(axis=(1, 2), keepdims=True) < 0, -maps, maps)


def score_cam(model, batch, targets=None, *, layer=None):
    """Return the Score-CAM maps, ≥ 0: how sure is the model of what it sees through a channel alone?

    H_k is F_k enlarged to the image and scaled to 0..1, α_k = P_c(image · H_k) − P_c(0), and ReLU(Σ_k α_k F_k) (Wang et
    al., Score-CAM, CVPR Workshops 2020, eq. 6 to 10, with the probability as of section 3.2). A channel that is the
    same everywhere lets nothing through and weighs nothing. One forward pass for each mask that differs.
    """
    logits = probe.scores(model, batch)
    chosen = probe.choose(logits, targets)
    features, _ = probe.gradients(model, batch, chosen, layer)
    alpha = []
    for image, maps, c in zip(np.asarray(batch, dtype="float32"), features, chosen):
        nothing = np.zeros((1, *maps.shape[:2]), dtype="float32")
        masks, same = np.unique(
            np.concatenate([unit(maps.transpose(2, 0, 1)), nothing]), axis=0, return_inverse=True
        )
        P = np.empty(len(masks))
        for some in _chunks(len(masks), image):
            H = unit(upsample(masks[some], image.shape[:2]))[..., None]
            P[some] = probe.probabilities(model, probe.scores(model, image * H))[:, c]
        P = P[same.ravel()]
        alpha.append(P[:-1] - P[-1])
    return np.maximum(0, np.einsum("nyxk,nk->nyx", features, alpha)).astype("float32")


def ablation_cam(model, batch, targets=None, *, layer=None):
    """Return the Ablation-CAM maps, ≥ 0: how much of the score is lost without a channel?

    α_k = (S_c − S_c without F_k) / |S_c|, and ReLU(Σ_k α_k F_k) (Desai & Ramaswamy, Ablation-CAM, WACV 2020, eq. 3 and
    4, but for the bars: a negative score would turn the map round). On the last layer of a GAP head the loss is
    w_kc · mean(F_k); elsewhere the layers that follow run once for each channel that is not silent.
    """
    logits = probe.scores(model, batch)
    chosen = probe.choose(logits, targets)
    features, _ = probe.gradients(model, batch, chosen, layer)
    S = np.take_along_axis(logits, chosen[:, None], axis=1)
    try:
        head = graph.find_head(model) if layer is None else None
    except graph.HeadError:
        head = None
    if head:
        lost = head.kernel.T[chosen] * features.mean(axis=(1, 2))
    else:
        lost = np.zeros((len(features), features.shape[-1]), dtype="float32")
        for n, (image, maps, c) in enumerate(zip(batch, features, chosen)):
            active = np.flatnonzero(maps.any(axis=(0, 1)))
            for some in _chunks(len(active), image):
                without = maps * (active[some, None] != np.arange(maps.shape[-1]))[:, None, None]
                lost[n, active[some]] = (
                    S[n] - probe.scores(model, image[None], layer, without)[:, c]
                )
    return np.maximum(0, np.einsum("nyxk,nk->nyx", features, _ratio(lost, np.abs(S))))


def occlusion(model, batch, targets=None, *, window=32, stride=16):
    """Return the occlusion maps (B, H, W), signed: how much surer is the model with a place than without it?

    A square of `window` pixels in the mean colour of the image goes over it by `stride` pixels; the value of a pixel is
    the mean of P_c − P_c with the square, over the squares that cover it (Zeiler & Fergus, Visualizing and
    Understanding Convolutional Networks, ECCV 2014, section 4.2; the probability, since a square of no class moves all
    logits). One forward pass a square. Raises ValueError as well where squares leave gaps or do not fit.
    """
    logits = probe.scores(model, batch)
    chosen = probe.choose(logits, targets)
    rows, columns = (_windows(size, window, stride) for size in np.shape(batch)[1:3])
    tops, lefts = np.indices((len(rows), len(columns))).reshape(2, -1)
    maps = []
    for image, P, c in zip(
        np.asarray(batch, dtype="float32"), probe.probabilities(model, logits), chosen
    ):
        lost = np.empty(len(tops))
        for some in _chunks(len(tops), image):
            square = (rows[tops[some], :, None] & columns[lefts[some], None, :])[..., None]
            altered = np.where(square, image.mean(axis=(0, 1)), image)
            lost[some] = P[c] - probe.probabilities(model, probe.scores(model, altered))[:, c]
        total = np.einsum("iy,ij,jx->yx", rows, lost.reshape(len(rows), -1), columns)
        maps.append(total / np.outer(rows.sum(axis=0), columns.sum(axis=0)))
    return np.array(maps, dtype="float32")


def integrated_gradients(model, batch, targets=None):
    """Return the integrated gradients (B, H, W), signed: what does each pixel add to the score?

    x ∫₀¹ ∂S_c/∂x (t·x) dt on the straight way from the image 0 to the image x, summed over the colours (Sundararajan et
    al., Axiomatic Attribution for Deep Networks, ICML 2017, eq. 1). But for the steps, the sum of a map is
    S_c(x) − S_c(0): completeness, their proposition 1. The integral is taken at the midpoints of 128 steps of u = √t:
    the score changes fastest where the image is faint, and equal steps of t, as in their eq. 3, miss up to a tenth.
    """
    chosen = probe.choose(probe.scores(model, batch), targets)
    maps = []
    for image, c in zip(np.asarray(batch, dtype="float32"), chosen):
        mean = np.zeros_like(image)
        for some in _chunks(STEPS, image):
            u = (np.arange(STEPS, dtype="float32")[some, None, None, None] + 0.5) / STEPS
            _, slopes = probe.gradients(model, u**2 * image, c, probe.input_of(model))
            mean += np.sum(2 * u * slopes, axis=0) / STEPS  # t = u², dt = 2u du
        maps.append(np.sum(image * mean, axis=-1))
    return np.array(maps)


def fuse(maps_of_layers, size):
    """Return maps (B, H, W) in 0..1 that unite those of several layers: at each place the highest of them.

    `maps_of_layers` holds an array (B, h, w) for each layer, of any size; `size` is an int or (H, W). The positive part
    of each map is scaled to tanh(2 M / max M) and enlarged, so that an early layer, whose values are small, has its say
    (Jiang et al., LayerCAM, 2021, who scale the early layers only).
    """
    positive = [np.maximum(0, maps) for maps in maps_of_layers]
    scaled = [np.tanh(2 * _ratio(maps, maps.max(axis=(1, 2), keepdims=True))) for maps in positive]
    return np.max([upsample(maps, size) for maps in scaled], axis=0)


def _ratio(a, b):
    """Return a / b, and 0 where b is 0."""
    a, b = np.broadcast_arrays(a, b)
    return np.divide(a, b, out=np.zeros_like(a), where=b != 0)


def _chunks(count, image):
    """Yield slices of `count` altered copies of an image (H, W, channels), as many at a time as PIXELS allows."""
    step = max(1, PIXELS // (image.shape[0] * image.shape[1]))
    return (slice(start, start + step) for start in range(0, count, step))


def _windows(size, window, stride):
    """Return which pixels (n, size) of one side each window covers; the last one ends where the side ends."""
    if not 1 <= stride <= window <= size:
        raise ValueError(
            f"window={window}, stride={stride}: 1 ≤ stride ≤ window ≤ {size} (the image's side) is needed"
        )
    starts = np.minimum(np.arange(0, size - window + stride, stride), size - window)[:, None]
    return (starts <= np.arange(size)) & (np.arange(size) < starts + window)
