"""The Grad-CAM family: values by hand, identities on a GAP head, what every method must bear."""

import functools
import gc
import weakref

import keras
import numpy as np
import pytest
import zoo
from keras import layers
from scipy import ndimage
from scipy.special import expit, softmax
from scipy.stats import spearmanr

import camkit
from camkit.maps import attribution
from camkit.models import _probe as probe

AT_LAYERS = [
    "grad_cam",
    "grad_cam_plus_plus",
    "hires_cam",
    "layer_cam",
    "eigen_cam",
    "score_cam",
    "ablation_cam",
]
ALL = [*AT_LAYERS, "occlusion", "integrated_gradients"]
SIGNED = ["hires_cam", "occlusion", "integrated_gradients"]


def explain(name, model, batch, targets=None, **options):
    """Return the maps of a method; of occlusion with small squares, as the images are small."""
    if name == "occlusion":
        options = {"window": 8, "stride": 4}
    return getattr(attribution, name)(model, batch, targets, **options)


@pytest.fixture(scope="module")
def flat():
    return zoo.flat()


@pytest.fixture(scope="module")
def unpooled():
    """Return a model with the head Flatten → ReLU → Dense, which CAM refuses."""
    return zoo.shake(
        zoo.stack(layers.Flatten(), layers.Dense(6, "relu"), layers.Dense(zoo.CLASSES, "softmax"))
    )


# By hand ------------------------------------------------------------------------------------------

# The features, (3, 3, 2), of two channels.
F_0 = np.array([[1, 2, 0], [0, 3, 0], [0, 0, 0]], dtype="float32")
F_1 = np.array([[0, 0, 1], [0, 0, 2], [4, 0, 1]], dtype="float32")
F = np.stack([F_0, F_1], axis=-1)

# The gradient of S_0 in each channel. Its means are 1/3 and −1/3.
G_0 = np.array([[2, -1, 0], [2, 1, 0], [0, 0, -1]], dtype="float32")
G_1 = np.array([[0, 1, 0], [0, -2, 1], [1, 0, -4]], dtype="float32")
G = np.stack([G_0, G_1], axis=-1)


# Models are cached, so that what was traced for one method serves the next.
@functools.cache
def linear(activation="softmax", bias=5.0):
    """Return a model with S_0 = Σ F G + 5 and S_1 = 0, which reads the features as its image.

    S_0 of F is 10, and P_0 is the sigmoid of S_0.
    """
    image = keras.Input((3, 3, 2))
    dense = layers.Dense(2, activation)
    model = keras.Model(
        image, dense(layers.Flatten()(layers.Activation("linear", name="volume")(image)))
    )
    dense.set_weights([np.stack([G.ravel(), np.zeros(18)], axis=1), np.array([bias, 0.0])])
    return model


BY_HAND = {
    # α = 1/3, −1/3.
    "grad_cam": np.maximum(0, F_0 - F_1) / 3,
    # Σ F_k = 6 and 8. The positive g of channel 0 are 2, 2, 1: w = 2/14 + 2/14 + 1/8. Those of
    # channel 1 are three times 1: w = 3/10.
    "grad_cam_plus_plus": (2 / 7 + 1 / 8) * F_0 + 0.3 * F_1,
    "hires_cam": np.array([[2, -2, 0], [0, 3, 2], [4, 0, -4]]),
    "layer_cam": np.array([[2, 0, 0], [0, 3, 2], [4, 0, 0]]),
    # The channels have no position in common, hence FᵀF = diag(14, 22) and v₁ = (0, 1).
    "eigen_cam": F_1,
    # S_0 is 10, of which channel 0 gives 2 − 2 + 3 and channel 1 gives 2 + 4 − 4.
    "ablation_cam": 0.3 * F_0 + 0.2 * F_1,
    # F_0 seen through F_0/3 scores (2 − 4 + 9)/3 + 5, F_1 through F_1/4 (4 + 16 − 4)/4 + 5, and
    # nothing scores 5.
    "score_cam": (expit(5 + 7 / 3) - expit(5)) * F_0 + (expit(9) - expit(5)) * F_1,
    # The score is linear, so each pixel adds Σ_k F_k G_k.
    "integrated_gradients": np.array([[2, -2, 0], [0, 3, 2], [4, 0, -4]]),
}


@pytest.mark.parametrize("activation", ["softmax", None])
@pytest.mark.parametrize("name", BY_HAND)
def test_each_method_on_a_volume_worked_out_by_hand(name, activation):
    maps = explain(name, linear(activation), F[None])
    assert maps.dtype == np.float32
    np.testing.assert_allclose(maps, BY_HAND[name][None], rtol=2e-5, atol=1e-6)
    if name in AT_LAYERS:
        at_layer = explain(name, linear(activation), F[None], 0, layer="volume")
        np.testing.assert_allclose(at_layer, maps, rtol=1e-5)


def test_a_negative_score_does_not_turn_the_map_of_ablation_round():
    negative = linear(bias=-15.0)  # S_0 = −10
    maps = attribution.ablation_cam(negative, F[None], 0)
    np.testing.assert_allclose(maps[0], BY_HAND["ablation_cam"], rtol=1e-5)
    zero = linear(bias=-5.0)  # S_0 = 0, of which no channel has a share
    np.testing.assert_array_equal(attribution.ablation_cam(zero, F[None], 0), 0)


def test_occlusion_by_hand():
    """A square takes its pixels to the mean colour, (2/3, 8/9)."""
    mean = F.mean(axis=(0, 1))
    np.testing.assert_allclose(mean, [2 / 3, 8 / 9])
    changes = np.sum(G * (mean - F), axis=-1, dtype="float64")
    P = expit(10)

    # A square of one pixel.
    lost = P - expit(10 + changes)
    ours = attribution.occlusion(linear(), F[None], window=1, stride=1)
    np.testing.assert_allclose(ours[0], lost, rtol=2e-3)
    assert lost[2, 0] == pytest.approx(P - expit(10 + 8 / 9 - 4)), "G of the corner is (0, 1)"

    # A square of 2×2 pixels. A pixel is the mean of the squares that cover it.
    squares = np.empty((2, 2))
    for y, x in np.ndindex(2, 2):
        squares[y, x] = P - expit(10 + changes[y : y + 2, x : x + 2].sum())
    expected = [
        [squares[0, 0], squares[0].mean(), squares[0, 1]],
        [squares[:, 0].mean(), squares.mean(), squares[:, 1].mean()],
        [squares[1, 0], squares[1].mean(), squares[1, 1]],
    ]
    ours = attribution.occlusion(linear(), F[None], window=2, stride=1)
    np.testing.assert_allclose(ours[0], expected, rtol=2e-3)


@pytest.mark.parametrize(
    "size, window, stride, starts", [(10, 4, 3, [0, 3, 6]), (9, 4, 3, [0, 3, 5]), (4, 4, 4, [0])]
)
def test_the_squares_of_occlusion_cover_every_pixel_and_stay_inside(size, window, stride, starts):
    covered = attribution._windows(size, window, stride)
    assert covered.any(axis=0).all()
    np.testing.assert_array_equal(covered.argmax(axis=1), starts)
    np.testing.assert_array_equal(covered.sum(axis=1), window)


@pytest.mark.parametrize("window, stride", [(25, 4), (4, 5), (4, 0), (0, 0)])
def test_squares_that_leave_gaps_or_do_not_fit_are_refused(flat, window, stride):
    with pytest.raises(
        ValueError, match=rf"window={window}, stride={stride}: 1 ≤ stride ≤ window ≤ 2\d"
    ):
        attribution.occlusion(flat[0], zoo.images(1), window=window, stride=stride)


def test_integrated_gradients_of_the_paper_s_example():
    """ReLU(ReLU(x) − 1 − ReLU(y)) at (3, 1) has 3/2 and −1/2.

    Sundararajan et al. 2017, remarks on their figure 3.
    """
    model = keras.Sequential(
        [
            keras.Input((1, 2, 1)),
            layers.Flatten(),
            layers.Dense(2, "relu"),
            layers.Dense(1, "relu"),
            layers.Dense(2),
        ]
    )
    model.set_weights(
        [
            np.eye(2),
            np.zeros(2),
            np.array([[1.0], [-1.0]]),
            np.array([-1.0]),
            np.array([[1.0, 0.0]]),
            np.zeros(2),
        ]
    )
    maps = attribution.integrated_gradients(model, np.array([[[[3.0], [1.0]]]]), 0)
    # The slopes 3 and −1 begin at t = 1/2, where half a step of t = u² is:
    half_step = np.sqrt(1 / 2) / attribution.STEPS
    np.testing.assert_allclose(maps[0], [[1.5, -0.5]], atol=3.1 * half_step)


def test_integrated_gradients_are_complete(flat, unpooled):
    for model in (flat[0], unpooled):
        batch = zoo.images()
        gains = probe.scores(model, batch) - probe.scores(model, np.zeros_like(batch))
        for c in range(zoo.CLASSES):
            gain = gains[:, c]
            maps = attribution.integrated_gradients(model, batch, c)
            tolerance = 0.02 * np.abs(gain).max()
            np.testing.assert_allclose(maps.sum(axis=(1, 2)), gain, atol=tolerance)


# On the last layer of a GAP head ------------------------------------------------------------------

HEADS = [
    "flat",
    "nested",
    "nested in nested, head nested",
    "Sequential of a backbone",
    "no bias",
    "logits",
    "sigmoid",
    "1×1 convolution before",
    "3×3 convolution before",
    "1×1 convolution after",
    "shared layers",
    "operations",
]


@pytest.mark.parametrize("name", HEADS)
def test_the_family_and_the_class_map_on_the_last_layer_of_a_gap_head(name):
    model, feature_model, _ = zoo.HEADS[name]()
    batch = zoo.images()
    cam = camkit.CAM(model)
    out = cam(batch)
    features = feature_model.predict(batch, verbose=0)
    n = np.arange(len(batch))
    logits = probe.scores(model, batch)
    hw = out.maps.shape[1] * out.maps.shape[2]

    def positive_sum(weights):
        return np.maximum(0, np.einsum("nyxk,nk->nyx", features, weights))

    for targets in (None, 2, [0, 3, 1, 1, 2]):
        chosen = np.broadcast_to(targets, len(batch))
        if targets is None:
            chosen = out.logits.argmax(axis=1)
        M = out.maps[n, :, :, chosen]
        w = cam.kernel.T[chosen]
        S = logits[n, chosen][:, None, None]
        positive_w = np.maximum(0, w)
        expected = {
            "grad_cam": np.maximum(0, M) / hw,
            "hires_cam": M / hw,
            "layer_cam": positive_sum(positive_w) / hw,
            "ablation_cam": positive_sum(w * out.gap),
            "grad_cam_plus_plus": positive_sum(positive_w / (2 + w * out.gap)),
        }
        for method, maps in expected.items():
            ours = explain(method, model, batch, targets)
            if method == "ablation_cam":
                ours = ours * np.abs(S)
            tolerance = 2e-5 * max(1, maps.max())
            np.testing.assert_allclose(ours, maps, atol=tolerance, err_msg=method)


@pytest.mark.parametrize("name", ["flat", "nested", "sigmoid", "Dropout between", "augmentation"])
def test_ablation_in_closed_form_is_ablation_by_forward_passes(name):
    model, feature_model, _ = zoo.HEADS[name]()
    last = feature_model.layers[-1]
    batch = zoo.images()
    for targets in (None, 1):
        quick = attribution.ablation_cam(model, batch, targets)
        slow = attribution.ablation_cam(model, batch, targets, layer=last)
        np.testing.assert_allclose(quick, slow, atol=2e-5 * slow.max())
        assert slow.max() > 0.01


# Elsewhere ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "tail", [[], [layers.AveragePooling2D((3, 2))]], ids=["Flatten", "pooling, Flatten"]
)
def test_hires_cam_adds_up_to_the_score_where_the_tail_is_linear_and_grad_cam_differs(tail):
    model = zoo.shake(zoo.stack(*tail, layers.Flatten(), layers.Dense(zoo.CLASSES, "softmax")))
    batch = zoo.images()
    bias = model.layers[-1].bias.numpy()
    last = model.layers[-3 - len(tail)]
    logits = probe.scores(model, batch)
    for c in range(zoo.CLASSES):
        maps = attribution.hires_cam(model, batch, c, layer=last)
        np.testing.assert_allclose(maps.sum(axis=(1, 2)), logits[:, c] - bias[c], atol=1e-4)
    grad = attribution.grad_cam(model, batch, layer=last)
    hires = attribution.hires_cam(model, batch, layer=last)
    for grad_map, hires_map in zip(grad, hires, strict=True):
        assert spearmanr(grad_map.ravel(), hires_map.ravel())[0] < 0.9
    assert (grad[hires < 0] > 0).any(), "Grad-CAM lights up positions that lower the score"


def test_ablation_elsewhere_is_the_loss_of_each_channel(unpooled):
    batch = zoo.images(3)
    last = unpooled.layers[-4]
    volume = keras.Model(unpooled.input, last.output).predict(batch, verbose=0)
    (V, v), (W, b) = (layer.get_weights() for layer in unpooled.layers[-2:])

    def score(volume):
        return np.maximum(0, volume.reshape(len(volume), -1) @ V + v) @ W + b

    alpha = np.empty((3, zoo.CHANNELS))
    S = score(volume)[:, 2]
    for k in range(zoo.CHANNELS):
        without = volume * (np.arange(zoo.CHANNELS) != k)
        alpha[:, k] = (S - score(without)[:, 2]) / np.abs(S)
    expected = np.maximum(0, np.einsum("nyxk,nk->nyx", volume, alpha))
    for layer in (None, last):
        ours = attribution.ablation_cam(unpooled, batch, 2, layer=layer)
        np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-5)


def test_ablation_leaves_what_goes_round_the_layer_as_it_is():
    image = keras.Input(zoo.SHAPE)
    around = layers.Conv2D(5, 3, strides=4, activation="relu")(image)
    inner = layers.Conv2D(5, 3, padding="same", activation="relu", name="inner")
    joined = layers.Concatenate()([layers.Add()([around, inner(around)]), around])
    model = zoo.shake(keras.Model(image, layers.Dense(2)(layers.Flatten()(layers.ReLU()(joined)))))
    batch, (W, b) = zoo.images(2), model.layers[-1].get_weights()
    a, B = keras.Model(image, [around, inner.output]).predict(batch, verbose=0)

    def score(B):
        return np.concatenate([a + B, a], axis=-1).reshape(len(a), -1) @ W[:, 1] + b[1]

    S = score(B)
    alpha = np.empty((len(B), 5))
    for k in range(5):
        without = B * (np.arange(5) != k)
        alpha[:, k] = (S - score(without)) / np.abs(S)
    expected = np.maximum(0, np.einsum("nyxk,nk->nyx", B, alpha))
    ours = attribution.ablation_cam(model, batch, 1, layer="inner")
    np.testing.assert_allclose(ours, expected, rtol=1e-3, atol=1e-5)
    assert expected.max() > 0.1


@pytest.mark.parametrize("name", ["Flatten", "sigmoid", "logits"])
def test_score_cam_and_occlusion_are_what_the_model_makes_of_altered_images(name, unpooled):
    """The model's own probabilities count, or softmax where it stops at logits."""
    model = unpooled
    feature_model = keras.Model(unpooled.input, unpooled.layers[-4].output)
    if name != "Flatten":
        model, feature_model, _ = zoo.HEADS[name]()
    batch = zoo.images(2)
    targets = [3, 0]
    height, width = zoo.SHAPE[:2]

    def P(images):
        output = model.predict(images, verbose=0)
        return softmax(output, axis=1) if name == "logits" else output

    features = feature_model.predict(batch, verbose=0)
    assert (np.ptp(features, axis=(1, 2)) > 0).sum() >= 12, "few channels are silent"
    nothing = P(np.zeros_like(batch[:1]))
    score_maps = attribution.score_cam(model, batch, targets)
    occlusion_maps = attribution.occlusion(model, batch, targets, window=12, stride=12)
    for n, c in enumerate(targets):
        H = camkit.upsample(features[n : n + 1], (height, width))[0]
        H = np.moveaxis(H, -1, 0)
        lowest = H.min(axis=(1, 2), keepdims=True)
        spread = np.ptp(H, axis=(1, 2), keepdims=True)
        H = (H - lowest) / np.maximum(spread, 1e-9)
        alpha = P(H[..., None] * batch[n])[:, c] - nothing[0, c]
        expected = np.maximum(0, features[n] @ alpha)
        assert np.ptp(expected) > 1e-3
        tolerance = 1e-5 * max(1, expected.max())
        np.testing.assert_allclose(score_maps[n], expected, atol=tolerance)

        # Squares of 12 pixels cover an image of 24×20 in four quarters, which overlap sideways.
        covered = np.repeat(batch[n : n + 1], 4, axis=0)
        quarters = (np.s_[:12, :12], np.s_[:12, 8:], np.s_[12:, :12], np.s_[12:, 8:])
        for image, quarter in zip(covered, quarters, strict=True):
            image[quarter] = batch[n].mean(axis=(0, 1))
        lost = P(batch[n : n + 1])[0, c] - P(covered)[:, c]
        ours = occlusion_maps[n]
        corners = [ours[0, 0], ours[0, -1], ours[-1, 0], ours[-1, -1]]
        np.testing.assert_allclose(corners, lost, atol=1e-5)
        np.testing.assert_allclose(ours[0, 10], lost[:2].mean(), atol=1e-5)


def test_eigen_cam_is_the_best_map_of_one_pattern(flat):
    """Of all matrices of rank one, u vᵀ with the map u = F v is the nearest to F."""
    model, feature_model, _ = flat
    batch = zoo.images()
    maps = attribution.eigen_cam(model, batch, 1)
    features = feature_model.predict(batch, verbose=0)
    for u, F_n in zip(maps, features, strict=True):
        u = u.ravel()
        rows = F_n.reshape(len(u), -1)
        v = u @ rows / (u @ u)
        rest = np.sum((rows - np.outer(u, v)) ** 2)
        singular_values = np.linalg.svd(rows, compute_uv=False)
        np.testing.assert_allclose(rest, np.sum(singular_values[1:] ** 2), rtol=1e-4)
    assert maps.min() >= 0, "no map has a negative value"
    np.testing.assert_array_equal(maps, attribution.eigen_cam(model, batch, 3))


@functools.cache
def twins():
    """Return a nested model, a flat one of the same layers, and these layers."""
    nested, base, _ = zoo.nested()
    dense = layers.Dense(zoo.CLASSES)
    flat = keras.Model(base.input, dense(layers.GlobalAveragePooling2D()(base.output)))
    dense.set_weights(nested.layers[-1].get_weights())
    return nested, flat, base.layers


@pytest.mark.parametrize("name", AT_LAYERS)
def test_every_layer_of_nested_models_too(name):
    nested, flat, inner = twins()
    batch = zoo.images(2)
    for layer in (inner[1], inner[2], inner[4].name, inner[-1].name):
        maps = explain(name, nested, batch, [1, 2], layer=layer)
        expected = explain(name, flat, batch, [1, 2], layer=layer)
        np.testing.assert_allclose(maps, expected, atol=1e-5 * np.abs(expected).max())
        assert len(maps) == 2
        assert maps.dtype == np.float32
        assert np.ptp(maps) > 0


def test_the_image_is_a_layer_as_well(flat):
    """HiResCAM there is gradient times image."""
    model = flat[0]
    batch = zoo.images()
    image, gradients = probe.gradients(model, batch, 1, model.layers[0])
    np.testing.assert_array_equal(image, batch)
    step = np.zeros_like(batch)
    step[:, 5, 7, 1] = 1e-2
    rise = probe.scores(model, batch + step) - probe.scores(model, batch - step)
    np.testing.assert_allclose(gradients[:, 5, 7, 1], rise[:, 1] / 2e-2, atol=2e-3)
    maps = attribution.hires_cam(model, batch, 1, layer=model.layers[0].name)
    np.testing.assert_allclose(maps, np.sum(batch * gradients, axis=-1), atol=1e-6)


def test_the_input_that_nested_models_share_is_one_layer():
    image = keras.Input(zoo.SHAPE)
    pooled = []
    for size in (1, 3):
        branch = keras.Model(image, layers.Conv2D(4, size)(image))
        pooled.append(layers.GlobalAveragePooling2D()(branch(image)))
    scores = layers.Dense(zoo.CLASSES)(layers.Concatenate()(pooled))
    model = zoo.shake(keras.Model(image, scores))
    batch = zoo.images(2)
    gained = probe.scores(model, batch) - probe.scores(model, np.zeros_like(batch))
    maps = attribution.integrated_gradients(model, batch, 1)
    np.testing.assert_allclose(maps.sum(axis=(1, 2)), gained[:, 1], atol=1e-5)


# Layers that say nothing --------------------------------------------------------------------------


@functools.cache
def plain(kernel, *bias):
    """Return a convolution of two channels without ReLU, then GAP and a head of two classes.

    Class 0 has the weights 1 and 2, class 1 has −1 and 0.5.
    """
    image = keras.Input((24, 24, 3))
    conv, head = layers.Conv2D(2, 4, strides=4, name="conv"), layers.Dense(2, "softmax")
    model = keras.Model(image, head(layers.GlobalAveragePooling2D()(conv(image))))
    conv.set_weights([np.full((4, 4, 3, 2), kernel), np.array(bias)])
    head.set_weights([np.array([[1.0, -1.0], [2.0, 0.5]]), np.zeros(2)])
    return model


@pytest.mark.parametrize("layer", [None, "conv"])
@pytest.mark.parametrize("name", AT_LAYERS)
def test_layers_that_say_nothing_give_zeros_and_never_nan(name, layer):
    batch = np.abs(zoo.images(2, (24, 24, 3)))
    zeros = np.zeros((2, 6, 6))
    silent = explain(name, plain(0.0, 0.0, 0.0), batch, 0, layer=layer)
    np.testing.assert_array_equal(silent, zeros, "silent")

    # As strong at every position.
    same = explain(name, plain(0.0, 3.0, 1.0), batch, 0, layer=layer)
    assert np.isfinite(same).all()
    spread = np.ptp(same, axis=(1, 2))
    assert spread.max() <= 1e-6 * np.abs(same).max(), "no position stands out"
    if name == "score_cam":
        np.testing.assert_array_equal(same, zeros, "a mask that lets nothing through")

    negative = explain(name, plain(-0.01, -0.3, -0.1), batch, 0, layer=layer)
    assert np.isfinite(negative).all()
    if name in ("grad_cam", "grad_cam_plus_plus", "layer_cam"):
        np.testing.assert_array_equal(
            negative, zeros, "all-negative, under weights that are positive"
        )
    elif name == "hires_cam":
        assert negative.max() < 0, "signed: every position speaks against the class"
    else:
        assert negative.min() >= 0, (
            "negative maps times weights that are negative too, and a map without a class"
        )


@pytest.mark.parametrize("name", ["occlusion", "integrated_gradients"])
def test_images_that_say_nothing_give_zeros(name):
    model, blank = plain(0.3, 0.0, 0.0), np.zeros((1, 24, 24, 3), "float32")
    np.testing.assert_array_equal(explain(name, model, blank, 1), np.zeros((1, 24, 24)))
    if name == "occlusion":
        np.testing.assert_allclose(explain(name, model, blank + 7, 1), 0, atol=1e-6)


def test_gradients_so_small_that_their_squares_vanish_still_count_in_grad_cam_plus_plus():
    model = linear.__wrapped__(bias=0.0)
    model.layers[-1].set_weights([1e-30 * w for w in model.layers[-1].get_weights()])
    maps = attribution.grad_cam_plus_plus(model, F[None], 0)
    positive = 1e-30 * np.maximum(0, G).sum(axis=(0, 1)) / 2  # α → 1/2
    np.testing.assert_allclose(maps[0], F @ positive, rtol=1e-5)


# What every method must bear ----------------------------------------------------------------------


@functools.cache
def precisions():
    """The same model in half and in single precision."""
    return zoo.mixed()[0], zoo.flat(activation=None, after=[layers.Activation("softmax")])[0]


@pytest.mark.parametrize("name", ALL)
def test_mixed_precision(name):
    """The maps are those of single precision, to the accuracy of half precision."""
    half, single = precisions()
    assert half.layers[1].compute_dtype == "float16"
    maps = explain(name, half, zoo.images(), 1)
    expected = explain(name, single, zoo.images(), 1)
    assert maps.dtype == np.float32
    np.testing.assert_allclose(maps, expected, atol=0.03 * np.abs(expected).max())


@functools.cache
def wide():
    image = keras.Input(zoo.SHAPE)
    features = layers.GlobalAveragePooling2D()(zoo.volume(image))
    return zoo.shake(keras.Model(image, layers.Dense(300, "softmax")(features)))


@pytest.mark.parametrize("name", ALL)
def test_a_batch_of_one_and_several_hundred_classes(name):
    model = wide()
    batch = zoo.images(3)
    targets = [299, 0, 171]
    together = explain(name, model, batch, targets)
    size = (6, 5) if name in AT_LAYERS else zoo.SHAPE[:2]
    assert together.shape == (3, *size)
    assert together.dtype == np.float32
    for n, c in enumerate(targets):
        alone = explain(name, model, batch[n : n + 1], c)
        # The weights of Score-CAM are differences of probabilities that are nearly equal.
        tolerance = 1e-3 if name == "score_cam" else 1e-5
        largest = np.abs(together[n]).max()
        np.testing.assert_allclose(alone[0], together[n], atol=tolerance * largest)
    if name == "hires_cam":
        M = camkit.CAM(model)(batch).maps[np.arange(3), :, :, targets]
        np.testing.assert_allclose(together, M / np.prod(size), atol=1e-5)
    predicted = probe.scores(model, batch).argmax(axis=1)
    by_default = explain(name, model, batch)
    np.testing.assert_array_equal(by_default, explain(name, model, batch, predicted))
    assert (together.min() < 0) == (name in SIGNED)


@pytest.mark.parametrize("name", ALL)
def test_what_does_not_fit_is_refused(name, flat):
    model = flat[0]
    batch = zoo.images()
    for wrong in (zoo.images(2, (24, 24, 3)), batch[0], batch[..., :1]):
        with pytest.raises(
            ValueError,
            match=r"the batch has shape \(.*\), the model takes \(B, 24, 20, 3\): images\.batches",
        ):
            explain(name, model, wrong)
    with pytest.raises(ValueError, match="a dict that NumPy can make no array of numbers of"):
        explain(name, model, {"image": 1})
    with pytest.raises(ValueError, match=r"shape \(0, 24, 20, 3\): at least one image is needed"):
        explain(name, model, batch[:0])
    with pytest.raises(ValueError, match="the batch holds NaN or infinite values"):
        explain(name, model, np.full_like(batch, np.nan))
    with pytest.raises(ValueError, match="targets is 4: one class 0..3, or one for each image"):
        explain(name, model, batch, 4)
    if name in AT_LAYERS:
        with pytest.raises(ValueError, match="no layer is named 'nowhere'"):
            explain(name, model, batch, layer="nowhere")
    if name != "occlusion":
        with pytest.raises(camkit.HeadError, match="does not know the shape of its input"):
            explain(name, zoo.Subclassed(), batch)


def test_a_layer_that_is_called_twice_has_no_one_map():
    conv = layers.Conv2D(3, 3, padding="same", name="twice")
    model, *_ = zoo.flat(body=lambda x: zoo.volume(conv(conv(x))))
    with pytest.raises(ValueError, match="'twice' is called 2 times: name another, such as layer="):
        attribution.grad_cam(model, zoo.images(), layer="twice")


@pytest.mark.parametrize(
    "name",
    [
        "flat",
        "nested",
        "Sequential of a backbone",
        "shared layers",
        "Normalization",
        "augmentation",
    ],
)
def test_the_model_is_never_changed_and_its_training_followed(name):
    model, _, layer = zoo.HEADS[name]()
    batch = zoo.images(2)

    def state():
        parts = model._flatten_layers()
        return (
            [np.array(weight).tobytes() for weight in model.weights],
            model.get_config(),
            model.losses,
            [(part.name, part.trainable, sorted(vars(part))) for part in parts],
            [
                (len(part._inbound_nodes), len(part._outbound_nodes))
                for part in model._flatten_layers()
            ],
        )

    predicted, before = model.predict(batch, verbose=0), state()
    maps = {method: explain(method, model, batch, 1) for method in ALL}
    assert state() == before
    np.testing.assert_array_equal(model.predict(batch, verbose=0), predicted)
    layer.set_weights([2 * w for w in layer.get_weights()])
    np.testing.assert_allclose(
        attribution.hires_cam(model, batch, 1), 2 * maps["hires_cam"], rtol=1e-4, atol=1e-6
    )


def test_a_sequential_model_may_grow():
    model = zoo.HEADS["Sequential"]()[0]
    assert probe.scores(model, zoo.images()).shape == (5, zoo.CLASSES)
    model.pop()
    model.add(layers.Dense(9, "softmax"))
    expected = model.predict(zoo.images(), verbose=0)
    np.testing.assert_allclose(
        softmax(probe.scores(model, zoo.images()), axis=1), expected, atol=1e-5
    )


def test_what_was_traced_is_forgotten_with_the_model():
    model = zoo.flat()[0]
    for method in ("grad_cam", "score_cam"):
        explain(method, model, zoo.images(1))
    left = weakref.ref(model)
    del model
    gc.collect()
    assert left() is None


@pytest.mark.parametrize("name", ["score_cam", "ablation_cam", "occlusion", "integrated_gradients"])
def test_altered_images_are_scored_in_chunks_of_bounded_size(name, unpooled, monkeypatch):
    batch = zoo.images(2)
    whole = explain(name, unpooled, batch, 1)
    sizes = []

    def recorded(function):
        def record(model, images, *rest):
            replaced = [x for x in rest if isinstance(x, np.ndarray) and x.ndim == 4]
            sizes.append(max(len(x) for x in [images, *replaced]))
            return function(model, images, *rest)

        return record

    for function in (probe.scores, probe.scores_of_features, probe.gradients):
        monkeypatch.setattr(probe, function.__name__, recorded(function))
    pixels = zoo.SHAPE[0] * zoo.SHAPE[1]
    monkeypatch.setattr(attribution, "PIXELS", 3 * pixels)
    in_chunks = explain(name, unpooled, batch, 1)
    np.testing.assert_allclose(in_chunks, whole, atol=1e-5 * np.abs(whole).max())
    assert max(sizes) == 3

    monkeypatch.setattr(attribution, "PIXELS", 1)
    sizes.clear()
    explain(name, unpooled, batch[:1], 1)
    assert set(sizes) == {1}, "at least one at a time"


def test_equal_masks_are_scored_once(monkeypatch):
    """Channels that differ in scale only, and silent ones, let the same image through."""
    image = keras.Input((6, 6, 1))
    conv = layers.Conv2D(5, 2, strides=2, activation="relu")
    model = keras.Model(image, layers.Dense(2)(layers.GlobalAveragePooling2D()(conv(image))))
    conv.set_weights([np.ones((2, 2, 1, 5)) * [1, 2, 4, -1, -2], np.zeros(5)])
    model.layers[-1].set_weights([np.random.default_rng(0).normal(size=(5, 2)), np.zeros(2)])
    counts = []
    scores = probe.scores

    def counted(model, images, *rest):
        counts.append(len(images))
        return scores(model, images, *rest)

    monkeypatch.setattr(probe, "scores", counted)
    batch = np.random.default_rng(1).integers(1, 9, (1, 6, 6, 1)).astype("float32")
    attribution.score_cam(model, batch, 1)
    assert sum(counts) == 1 + 2, "the image itself, the one mask that differs, and nothing"


# Several layers -----------------------------------------------------------------------------------


def test_fusion_takes_the_highest_of_the_scaled_maps():
    late = np.array([[[8.0, -8.0]]])  # (1, 1, 2)
    early = np.array([[[0.0, 0.0, 0.0, 0.02], [0.0, 0.01, 0.0, 0.0]]])  # (1, 2, 4)
    top = np.tanh(2)
    half = np.tanh(1)
    # The late map enlarged: 1, 3/4, 1/4, 0 of the highest value.
    enlarged = top * np.array([1, 0.75, 0.25, 0])
    expected = np.array([[enlarged, enlarged]])
    expected[0, 0, 3] = top
    expected[0, 1, 1] = max(half, 0.75 * top)
    fused = attribution.fuse([late, early], (2, 4))
    np.testing.assert_allclose(fused, expected, rtol=1e-6)
    rescaled = attribution.fuse([1e-4 * late, 1e5 * early], (2, 4))
    np.testing.assert_allclose(rescaled, expected, rtol=1e-6)


def test_a_layer_without_evidence_adds_nothing_to_a_fusion():
    maps = np.random.default_rng(0).uniform(0, 3, (2, 4, 4))
    alone = attribution.fuse([maps], 8)
    for nothing in (np.zeros((2, 3, 3)), np.full((2, 3, 3), -5.0)):
        np.testing.assert_array_equal(attribution.fuse([maps, nothing], 8), alone)
        np.testing.assert_array_equal(attribution.fuse([nothing], 5), np.zeros((2, 5, 5)))
    assert alone.min() >= 0
    assert alone.max() <= np.tanh(2)


def test_fused_maps_of_a_model(flat):
    model = flat[0]
    batch = zoo.images(2)
    names = [layer.name for layer in model.layers if isinstance(layer, layers.ReLU)]
    maps = [attribution.layer_cam(model, batch, 1, layer=name) for name in names]
    fused = attribution.fuse(maps, zoo.SHAPE[:2])
    assert fused.shape == (2, *zoo.SHAPE[:2])
    for maps_of_layer in maps:
        assert (fused >= attribution.fuse([maps_of_layer], zoo.SHAPE[:2])).all()


# Real pictures and other programs -----------------------------------------------------------------


@pytest.fixture(scope="module")
def trained():
    """Return a classifier of the embedded fruit that ends in logits, and images to explain.

    The results are the model, its last layer with a map, the images and their predicted classes.
    """
    train = camkit.load_images("mini", "Training", per_class=10)
    test = camkit.load_images("mini", "Test", per_class=1)
    model = camkit.gap_classifier(camkit.backbone("mini", input_size=100), train.class_names)
    camkit.train_head(model, train)
    batch = next(test.batches(len(test), 100)).astype("float32")
    gap, dense = model.get_layer("gap"), layers.Dense(len(train.class_names))
    logits = keras.Model(model.input, dense(gap.output))
    dense.set_weights(model.get_layer("logits").get_weights())
    layer = gap.input._keras_history.operation
    predicted = probe.scores(logits, batch).argmax(axis=1)
    return logits, layer, batch, predicted


warned = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning:tf_keras_vis", "ignore:The structure of `inputs`"
)


def theirs(method, trained, n):
    """Return the map of tf-keras-vis, at the size of the layer and as it comes."""
    from tf_keras_vis import gradcam, gradcam_plus_plus, scorecam
    from tf_keras_vis.utils.scores import CategoricalScore

    kind = {
        "grad_cam": gradcam.Gradcam,
        "grad_cam_plus_plus": gradcam_plus_plus.GradcamPlusPlus,
        "score_cam": scorecam.Scorecam,
    }
    model, layer, batch, chosen = trained
    maps = kind[method](model)(
        CategoricalScore([int(chosen[n])]),
        batch[n : n + 1],
        penultimate_layer=layer,
        seek_penultimate_conv_layer=False,
        expand_cam=False,
        normalize_cam=False,
    )
    return np.asarray(maps)[0]


def alike(method, trained, n):
    """Return the rank correlation of our map and that of tf-keras-vis."""
    model, _, batch, chosen = trained
    ours = explain(method, model, batch[n : n + 1], chosen[n])
    return spearmanr(ours.ravel(), theirs(method, trained, n).ravel())[0]


@warned
@pytest.mark.parametrize("method", ["grad_cam", "grad_cam_plus_plus"])
def test_agreement_with_tf_keras_vis(method, trained, tf):
    assert min(alike(method, trained, n) for n in range(6)) >= 0.99


@pytest.mark.slow
@warned
def test_agreement_with_tf_keras_vis_of_score_cam(trained, monkeypatch, tf):
    """The programs are equal except for two things.

    There P_c(0) is not subtracted, and masks are enlarged with aligned corners, half a cell off.
    Both count only where hardly anything of the class is left when the image is masked.
    """
    model, layer, batch, chosen = trained
    assert np.median([alike("score_cam", trained, n) for n in range(6)]) >= 0.99

    def with_aligned_corners(maps, size):
        factors = (1, size[0] / maps.shape[1], size[1] / maps.shape[2])
        return ndimage.zoom(maps, factors, order=1, mode="nearest")

    monkeypatch.setattr(attribution, "upsample", with_aligned_corners)
    nothing = softmax(probe.scores(model, 0 * batch[:1])[0].astype("float64"))
    for n in range(6):
        image = batch[n : n + 1]
        c = chosen[n]
        features, _ = probe.gradients(model, image, layer=layer)
        ours = attribution.score_cam(model, image, c)[0]
        expected = theirs("score_cam", trained, n) - nothing[c] * features[0].sum(axis=-1)
        np.testing.assert_allclose(ours, np.maximum(0, expected), atol=2e-3 * expected.max())


def photographs(shared, names):
    """Return MobileNetV2 with its real weights, and photographs as it reads them."""
    model = keras.applications.MobileNetV2(weights=None)
    model.load_weights(shared / "keras" / "mobilenet_v2_imagenet.weights.h5")
    pixels = np.array(
        [camkit.read_image(shared / "photos" / f"{name}.jpg", (224, 224)) for name in names]
    )
    return model, pixels / 127.5 - 1


PHOTOGRAPHS = {  # (left, top, right, bottom) of the object at 224×224, drawn by eye
    "bird": (15, 50, 215, 195),
    "cat": (40, 25, 165, 224),
    "dragonfly": (60, 40, 200, 200),
    "hot_dog": (30, 30, 215, 150),
    "parrot": (60, 25, 215, 215),
    "sunflower": (45, 10, 185, 224),
}


def test_on_real_photographs_the_family_points_at_the_object(shared):
    model, batch = photographs(shared, PHOTOGRAPHS)
    for method in (
        "grad_cam",
        "grad_cam_plus_plus",
        "hires_cam",
        "layer_cam",
        "ablation_cam",
        "eigen_cam",
    ):
        maps = camkit.upsample(getattr(attribution, method)(model, batch), 224)
        for (name, box), heat in zip(PHOTOGRAPHS.items(), maps, strict=True):
            left, top, right, bottom = box
            y, x = np.unravel_index(heat.argmax(), heat.shape)
            assert left <= x <= right and top <= y <= bottom, (
                f"{method}: the peak at ({x}, {y}) is not on the {name}"
            )


def test_integrated_gradients_of_a_real_photograph_are_complete_within_3_percent(shared):
    # Equal steps of t miss 6 % here.
    model, batch = photographs(shared, ["parrot"])
    logits = probe.scores(model, batch)
    c = logits[0].argmax()
    gain = logits[0, c] - probe.scores(model, 0 * batch)[0, c]
    maps = attribution.integrated_gradients(model, batch)
    np.testing.assert_allclose(maps.sum(), gain, rtol=0.03)
