"""The family of Grad-CAM: values worked out by hand, the identities on a GAP head, and what every member must bear."""

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
    """The maps of a method, on small images with small squares."""
    if name == "occlusion":
        options = {"window": 8, "stride": 4}
    return getattr(attribution, name)(model, batch, targets, **options)


@pytest.fixture(scope="module")
def flat():
    return zoo.flat()


@pytest.fixture(scope="module")
def unpooled():
    """A head of Flatten → ReLU → Dense, which CAM refuses."""
    return zoo.shake(
        zoo.stack(layers.Flatten(), layers.Dense(6, "relu"), layers.Dense(zoo.CLASSES, "softmax"))
    )


# By hand ----------------------------------------------------------------------------------------------------------------

F = np.stack(
    [[[1, 2, 0], [0, 3, 0], [0, 0, 0]], [[0, 0, 1], [0, 0, 2], [4, 0, 1]]], axis=-1
).astype("float32")
G = np.stack(
    [  # the gradient of S_0, channel by channel; its means are 1/3 and −1/3
        [[2, -1, 0], [2, 1, 0], [0, 0, -1]],
        [[0, 1, 0], [0, -2, 1], [1, 0, -4]],
    ],
    axis=-1,
).astype("float32")


@functools.cache  # as are the models below: what was traced for one method serves the next
def linear(activation="softmax", bias=5.0):
    """S_0 = Σ F G + 5, S_1 = 0, so that S_0 of F is 10 and P_0 the sigmoid of S_0. The image is the volume itself."""
    image = keras.Input((3, 3, 2))
    dense = layers.Dense(2, activation)
    model = keras.Model(
        image, dense(layers.Flatten()(layers.Activation("linear", name="volume")(image)))
    )
    dense.set_weights([np.stack([G.ravel(), np.zeros(18)], axis=1), np.array([bias, 0.0])])
    return model


BY_HAND = {
    # α = 1/3, −1/3
    "grad_cam": np.maximum(0, F[..., 0] - F[..., 1]) / 3,
    # Σ F_k = 6 and 8; the positive g of channel 0 are 2, 2, 1: w = 2/14 + 2/14 + 1/8; of channel 1 thrice 1: 3/10
    "grad_cam_plus_plus": (2 / 7 + 1 / 8) * F[..., 0] + 0.3 * F[..., 1],
    "hires_cam": np.array([[2, -2, 0], [0, 3, 2], [4, 0, -4]]),
    "layer_cam": np.array([[2, 0, 0], [0, 3, 2], [4, 0, 0]]),
    # the channels have no place in common, hence FᵀF = diag(14, 22) and v₁ = (0, 1)
    "eigen_cam": F[..., 1],
    # S_0 is 10, of which channel 0 gives 2 − 2 + 3 and channel 1 gives 2 + 4 − 4
    "ablation_cam": 0.3 * F[..., 0] + 0.2 * F[..., 1],
    # F_0 seen through F_0/3: (2 − 4 + 9)/3 + 5; F_1 through F_1/4: (4 + 16 − 4)/4 + 5; nothing: 5
    "score_cam": (expit(5 + 7 / 3) - expit(5)) * F[..., 0] + (expit(9) - expit(5)) * F[..., 1],
    # the score is linear, so each pixel adds Σ_k F_k G_k
    "integrated_gradients": np.array([[2, -2, 0], [0, 3, 2], [4, 0, -4]]),
}


@pytest.mark.parametrize("activation", ["softmax", None])
@pytest.mark.parametrize("name", BY_HAND)
def test_each_method_on_a_volume_worked_out_by_hand(name, activation):
    maps = explain(name, linear(activation), F[None])
    assert maps.dtype == np.float32
    np.testing.assert_allclose(maps, BY_HAND[name][None], rtol=2e-5, atol=1e-6)
    if name in AT_LAYERS:
        np.testing.assert_allclose(
            explain(name, linear(activation), F[None], 0, layer="volume"), maps, rtol=1e-5
        )


def test_a_negative_score_does_not_turn_the_map_of_ablation_round():
    maps = attribution.ablation_cam(linear(bias=-15.0), F[None], 0)  # S_0 = −10
    np.testing.assert_allclose(maps[0], BY_HAND["ablation_cam"], rtol=1e-5)
    np.testing.assert_array_equal(
        attribution.ablation_cam(linear(bias=-5.0), F[None], 0), 0
    )  # S_0 = 0: no share of it


def test_occlusion_by_hand():
    """A square of one pixel takes its colour to the mean, (2/3, 8/9); one of two is the mean of its neighbours' too."""
    mean = F.mean(axis=(0, 1))
    np.testing.assert_allclose(mean, [2 / 3, 8 / 9])
    lost = expit(10) - expit(10 + np.sum(G * (mean - F), axis=-1).astype("float64"))
    np.testing.assert_allclose(
        attribution.occlusion(linear(), F[None], window=1, stride=1)[0], lost, rtol=2e-3
    )
    assert lost[2, 0] == pytest.approx(expit(10) - expit(10 + 8 / 9 - 4)), (
        "G of the corner is (0, 1)"
    )
    twos = np.empty((2, 2))
    for y, x in np.ndindex(2, 2):
        part = np.s_[y : y + 2, x : x + 2]
        twos[y, x] = expit(10) - expit(10 + np.sum(G[part] * (mean - F[part]), dtype="float64"))
    wanted = [
        [twos[0, 0], twos[0].mean(), twos[0, 1]],
        [twos[:, 0].mean(), twos.mean(), twos[:, 1].mean()],
        [twos[1, 0], twos[1].mean(), twos[1, 1]],
    ]
    np.testing.assert_allclose(
        attribution.occlusion(linear(), F[None], window=2, stride=1)[0], wanted, rtol=2e-3
    )


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
    """ReLU(ReLU(x) − 1 − ReLU(y)) at (3, 1): 3/2 and −1/2 (Sundararajan et al. 2017, remarks on their figure 3)."""
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
    half = (
        np.sqrt(1 / 2) / attribution.STEPS
    )  # of a step of t = u² where the slopes 3 and −1 begin, at t = 1/2
    np.testing.assert_allclose(maps[0], [[1.5, -0.5]], atol=3.1 * half)


def test_integrated_gradients_are_complete(flat, unpooled):
    for model in (flat[0], unpooled):
        batch = zoo.images()
        for c in range(zoo.CLASSES):
            gained = (
                probe.scores(model, batch)[:, c] - probe.scores(model, np.zeros_like(batch))[:, c]
            )
            added = attribution.integrated_gradients(model, batch, c).sum(axis=(1, 2))
            np.testing.assert_allclose(added, gained, atol=0.02 * np.abs(gained).max())


# On the last layer of a GAP head --------------------------------------------------------------------------------------

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
    model, features, layer = zoo.HEADS[name]()
    batch = zoo.images()
    cam = camkit.CAM(model)
    out, volume = cam(batch), features.predict(batch, verbose=0)
    (h, w), each = out.maps.shape[1:3], np.arange(len(batch))
    for targets in (None, 2, [0, 3, 1, 1, 2]):
        chosen = (
            out.logits.argmax(axis=1) if targets is None else np.broadcast_to(targets, len(batch))
        )
        M, weights, S = (
            out.maps[each, :, :, chosen],
            cam.kernel.T[chosen],
            probe.scores(model, batch)[each, chosen],
        )
        wanted = {
            "grad_cam": np.maximum(0, M) / (h * w),
            "hires_cam": M / (h * w),
            "layer_cam": np.maximum(0, np.einsum("nyxk,nk->nyx", volume, np.maximum(0, weights)))
            / (h * w),
            "ablation_cam": np.maximum(
                0, np.einsum("nyxk,nk->nyx", volume, weights * out.gap)
            ),  # times |S|
            "grad_cam_plus_plus": np.maximum(
                0,
                np.einsum(
                    "nyxk,nk->nyx",
                    volume,
                    h * w * np.maximum(0, weights) / (2 * h * w + h * w * weights * out.gap),
                ),
            ),
        }
        for method, maps in wanted.items():
            ours = explain(method, model, batch, targets) * (
                np.abs(S)[:, None, None] if method == "ablation_cam" else 1
            )
            np.testing.assert_allclose(ours, maps, atol=2e-5 * max(1, maps.max()), err_msg=method)


@pytest.mark.parametrize("name", ["flat", "nested", "sigmoid", "Dropout between", "augmentation"])
def test_ablation_in_closed_form_is_ablation_by_forward_passes(name):
    model, features, _ = zoo.HEADS[name]()
    last, batch = features.layers[-1], zoo.images()
    for targets in (None, 1):
        quick, slow = (
            attribution.ablation_cam(model, batch, targets, layer=layer) for layer in (None, last)
        )
        np.testing.assert_allclose(quick, slow, atol=2e-5 * slow.max())
        assert slow.max() > 0.01


# Elsewhere --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "tail", [[], [layers.AveragePooling2D((3, 2))]], ids=["Flatten", "pooling, Flatten"]
)
def test_hires_cam_adds_up_to_the_score_where_the_tail_is_linear_and_grad_cam_differs(tail):
    model = zoo.shake(zoo.stack(*tail, layers.Flatten(), layers.Dense(zoo.CLASSES, "softmax")))
    batch, bias, last = zoo.images(), model.layers[-1].bias.numpy(), model.layers[-3 - len(tail)]
    for c in range(zoo.CLASSES):
        maps = attribution.hires_cam(model, batch, c, layer=last)
        np.testing.assert_allclose(
            maps.sum(axis=(1, 2)), probe.scores(model, batch)[:, c] - bias[c], atol=1e-4
        )
    grad, hires = (
        method(model, batch, layer=last) for method in (attribution.grad_cam, attribution.hires_cam)
    )
    assert max(spearmanr(a.ravel(), b.ravel())[0] for a, b in zip(grad, hires)) < 0.9
    assert (grad[hires < 0] > 0).any(), "Grad-CAM lights up places which lower the score"


def test_ablation_elsewhere_is_the_loss_of_each_channel(unpooled):
    batch = zoo.images(3)
    last = unpooled.layers[-4]
    volume = keras.Model(unpooled.input, last.output).predict(batch, verbose=0)
    (V, v), (W, b) = (layer.get_weights() for layer in unpooled.layers[-2:])

    def score(volume):
        return np.maximum(0, volume.reshape(len(volume), -1) @ V + v) @ W + b

    alpha = np.empty((3, zoo.CHANNELS))
    for k in range(zoo.CHANNELS):
        without = volume * (np.arange(zoo.CHANNELS) != k)
        alpha[:, k] = (score(volume) - score(without))[:, 2] / np.abs(score(volume)[:, 2])
    wanted = np.maximum(0, np.einsum("nyxk,nk->nyx", volume, alpha))
    for layer in (None, last):
        np.testing.assert_allclose(
            attribution.ablation_cam(unpooled, batch, 2, layer=layer), wanted, rtol=1e-4, atol=1e-5
        )


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

    alpha = (
        np.stack([score(B) - score(B * (np.arange(5) != k)) for k in range(5)], axis=1)
        / np.abs(score(B))[:, None]
    )
    wanted = np.maximum(0, np.einsum("nyxk,nk->nyx", B, alpha))
    np.testing.assert_allclose(
        attribution.ablation_cam(model, batch, 1, layer="inner"), wanted, rtol=1e-3, atol=1e-5
    )
    assert wanted.max() > 0.1


@pytest.mark.parametrize("name", ["Flatten", "sigmoid", "logits"])
def test_score_cam_and_occlusion_are_what_the_model_makes_of_altered_images(name, unpooled):
    """To the model's own probabilities, or softmax where it stops at logits."""
    model, features = unpooled, keras.Model(unpooled.input, unpooled.layers[-4].output)
    if name != "Flatten":
        model, features, _ = zoo.HEADS[name]()
    batch = zoo.images(2)

    def P(images):
        out = model.predict(images, verbose=0)
        return softmax(out, axis=1) if name == "logits" else out

    volume = features.predict(batch, verbose=0)
    assert (np.ptp(volume, axis=(1, 2)) > 0).sum() >= 12, "few channels are silent"
    for n, c in enumerate([3, 0]):
        H = np.moveaxis(camkit.upsample(volume, zoo.SHAPE[:2])[n], -1, 0)
        H = (H - H.min(axis=(1, 2), keepdims=True)) / np.maximum(
            np.ptp(H, axis=(1, 2), keepdims=True), 1e-9
        )
        alpha = P(H[..., None] * batch[n])[:, c] - P(0 * batch[:1])[0, c]
        wanted = np.maximum(0, volume[n] @ alpha)
        assert np.ptp(wanted) > 1e-3
        np.testing.assert_allclose(
            attribution.score_cam(model, batch, [3, 0])[n], wanted, atol=1e-5 * max(1, wanted.max())
        )

        covered = np.repeat(batch[n : n + 1], 4, axis=0)  # by quarters of the image, which is 24×20
        for image, part in zip(
            covered, (np.s_[:12, :12], np.s_[:12, 8:], np.s_[12:, :12], np.s_[12:, 8:])
        ):
            image[part] = batch[n].mean(axis=(0, 1))
        lost = P(batch[n : n + 1])[0, c] - P(covered)[:, c]
        ours = attribution.occlusion(model, batch, [3, 0], window=12, stride=12)[n]
        np.testing.assert_allclose(
            [ours[0, 0], ours[0, -1], ours[-1, 0], ours[-1, -1]], lost, atol=1e-5
        )
        np.testing.assert_allclose(ours[0, 10], lost[:2].mean(), atol=1e-5)


def test_eigen_cam_is_the_best_map_of_one_pattern(flat):
    """u vᵀ with the map u = F v is the nearest to F of all matrices of rank one; the map has no negative value."""
    batch = zoo.images()
    maps = attribution.eigen_cam(flat[0], batch, 1)
    for u, F in zip(
        maps.reshape(5, -1), flat[1].predict(batch, verbose=0).reshape(5, -1, zoo.CHANNELS)
    ):
        left = np.sum((F - np.outer(u, u @ F / (u @ u))) ** 2)
        np.testing.assert_allclose(
            left, np.sum(np.linalg.svd(F, compute_uv=False)[1:] ** 2), rtol=1e-4
        )
    assert maps.min() >= 0
    np.testing.assert_array_equal(maps, attribution.eigen_cam(flat[0], batch, 3))


@functools.cache
def twins():
    """A nested model, the flat one with its layers, and these layers."""
    nested, base, _ = zoo.nested()
    dense = layers.Dense(zoo.CLASSES)
    model = keras.Model(base.input, dense(layers.GlobalAveragePooling2D()(base.output)))
    dense.set_weights(nested.layers[-1].get_weights())
    return nested, model, base.layers


@pytest.mark.parametrize("name", AT_LAYERS)
def test_every_layer_of_nested_models_too(name):
    nested, model, inner = twins()
    for layer in (inner[1], inner[2], inner[4].name, inner[-1].name):
        one, two = (explain(name, m, zoo.images(2), [1, 2], layer=layer) for m in (nested, model))
        np.testing.assert_allclose(one, two, atol=1e-5 * np.abs(two).max())
        assert one.shape[0] == 2 and one.dtype == np.float32 and np.ptp(one) > 0


def test_the_image_is_a_layer_as_well(flat):
    """HiResCAM there is gradient times image."""
    batch = zoo.images()
    image, slopes = probe.gradients(flat[0], batch, 1, flat[0].layers[0])
    np.testing.assert_array_equal(image, batch)
    step = np.zeros_like(batch)
    step[:, 5, 7, 1] = 1e-2
    rise = (probe.scores(flat[0], batch + step) - probe.scores(flat[0], batch - step))[:, 1] / 2e-2
    np.testing.assert_allclose(slopes[:, 5, 7, 1], rise, atol=2e-3)
    maps = attribution.hires_cam(flat[0], batch, 1, layer=flat[0].layers[0].name)
    np.testing.assert_allclose(maps, np.sum(batch * slopes, axis=-1), atol=1e-6)


# Layers that say nothing ------------------------------------------------------------------------------------------------


@functools.cache
def plain(kernel, *bias):
    """A convolution without ReLU and GAP; class 0 weighs its two channels by 1 and 2, class 1 by −1 and 0.5."""
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
    silent = explain(name, plain(0.0, 0.0, 0.0), batch, 0, layer=layer)
    np.testing.assert_array_equal(silent, np.zeros((2, 6, 6)), "silent")

    same = explain(name, plain(0.0, 3.0, 1.0), batch, 0, layer=layer)  # as strong at every place
    assert (
        np.isfinite(same).all() and np.ptp(same, axis=(1, 2)).max() <= 1e-6 * np.abs(same).max()
    ), "no place stands out"
    if name == "score_cam":
        np.testing.assert_array_equal(same, np.zeros((2, 6, 6)), "a mask that lets nothing through")

    negative = explain(name, plain(-0.01, -0.3, -0.1), batch, 0, layer=layer)
    assert np.isfinite(negative).all()
    if name in ("grad_cam", "grad_cam_plus_plus", "layer_cam"):
        np.testing.assert_array_equal(
            negative, np.zeros((2, 6, 6)), "all-negative, under weights that are positive"
        )
    elif name == "hires_cam":
        assert negative.max() < 0, "signed: every place speaks against the class"
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


# What every method must bear ----------------------------------------------------------------------------------------


@functools.cache
def precisions():
    """The same model in half and in single precision."""
    return zoo.mixed()[0], zoo.flat(activation=None, after=[layers.Activation("softmax")])[0]


@pytest.mark.parametrize("name", ALL)
def test_mixed_precision(name):
    """As in single precision, to the accuracy of half."""
    model, twin = precisions()
    assert model.layers[1].compute_dtype == "float16"
    ours, wanted = (explain(name, m, zoo.images(), 1) for m in (model, twin))
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, wanted, atol=0.03 * np.abs(wanted).max())


@functools.cache
def wide():
    image = keras.Input(zoo.SHAPE)
    features = layers.GlobalAveragePooling2D()(zoo.volume(image))
    return zoo.shake(keras.Model(image, layers.Dense(300, "softmax")(features)))


@pytest.mark.parametrize("name", ALL)
def test_a_batch_of_one_and_several_hundred_classes(name):
    model = wide()
    batch, targets = zoo.images(3), [299, 0, 171]
    together = explain(name, model, batch, targets)
    size = (6, 5) if name in AT_LAYERS else zoo.SHAPE[:2]
    assert together.shape == (3, *size) and together.dtype == np.float32
    for n, c in enumerate(targets):
        alone = explain(name, model, batch[n : n + 1], c)
        np.testing.assert_allclose(alone[0], together[n], atol=1e-5 * np.abs(together[n]).max())
    if name == "hires_cam":
        M = camkit.CAM(model)(batch).maps[np.arange(3), :, :, targets]
        np.testing.assert_allclose(together, M / np.prod(size), atol=1e-5)
    predicted = probe.scores(model, batch).argmax(axis=1)
    np.testing.assert_array_equal(
        explain(name, model, batch), explain(name, model, batch, predicted)
    )
    assert (together.min() < 0) == (name in SIGNED)


@pytest.mark.parametrize("name", ALL)
def test_what_does_not_fit_is_refused(name, flat):
    model, batch = flat[0], zoo.images()
    for wrong in (zoo.images(2, (24, 24, 3)), batch[0], batch[..., :1]):
        with pytest.raises(
            ValueError,
            match=r"the batch has shape \(.*\), the model takes \(B, 24, 20, 3\): .*image\[None\]",
        ):
            explain(name, model, wrong)
    with pytest.raises(ValueError, match="targets is 4: one class 0..3, or one for each image"):
        explain(name, model, batch, 4)
    if name in AT_LAYERS:
        with pytest.raises(ValueError, match="0 layers are named 'nowhere'"):
            explain(name, model, batch, layer="nowhere")
    with pytest.raises(camkit.HeadError, match="neither Functional nor Sequential"):
        explain(name, zoo.Subclassed(), batch)


def test_a_layer_that_is_called_twice_has_no_one_map():
    conv = layers.Conv2D(3, 3, padding="same", name="twice")
    model, *_ = zoo.flat(body=lambda x: zoo.volume(conv(conv(x))))
    with pytest.raises(ValueError, match="the layer 'twice' has 2 maps: name one .*called once"):
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
    wanted = model.predict(zoo.images(), verbose=0)
    np.testing.assert_allclose(
        softmax(probe.scores(model, zoo.images()), axis=1), wanted, atol=1e-5
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
    batch, sizes = zoo.images(2), []
    whole = explain(name, unpooled, batch, 1)
    pixels = np.prod(zoo.SHAPE[:2])
    for ask in ("scores", "gradients"):

        def spied(model, images, *rest, ask=getattr(probe, ask)):
            sizes.append(
                max(
                    len(images),
                    *(len(x) for x in rest[1:] if isinstance(x, np.ndarray) and x.ndim == 4),
                    0,
                )
            )
            return ask(model, images, *rest)

        monkeypatch.setattr(probe, ask, spied)
    monkeypatch.setattr(attribution, "PIXELS", 3 * pixels)
    parts = explain(name, unpooled, batch, 1)
    np.testing.assert_allclose(parts, whole, atol=1e-5 * np.abs(whole).max())
    assert max(sizes) == 3
    monkeypatch.setattr(attribution, "PIXELS", 1)
    sizes.clear()
    explain(name, unpooled, batch[:1], 1)
    assert set(sizes) == {1}, "at least one at a time"


def test_equal_masks_are_scored_once(monkeypatch):
    """Channels that differ in scale only, and those that are silent, let the same image through."""
    image = keras.Input((6, 6, 1))
    conv = layers.Conv2D(5, 2, strides=2, activation="relu")
    model = keras.Model(image, layers.Dense(2)(layers.GlobalAveragePooling2D()(conv(image))))
    conv.set_weights([np.ones((2, 2, 1, 5)) * [1, 2, 4, -1, -2], np.zeros(5)])
    model.layers[-1].set_weights([np.random.default_rng(0).normal(size=(5, 2)), np.zeros(2)])
    scored = []
    monkeypatch.setattr(
        probe,
        "scores",
        lambda m, x, *rest, ask=probe.scores: (scored.append(len(x)), ask(m, x, *rest))[1],
    )
    attribution.score_cam(
        model, np.random.default_rng(1).integers(1, 9, (1, 6, 6, 1)).astype("float32"), 1
    )
    assert sum(scored) == 1 + 2, "the image itself, the one mask that differs, and nothing"


# Several layers -------------------------------------------------------------------------------------------------------


def test_fusion_takes_the_highest_of_the_scaled_maps():
    late = np.array([[[8.0, -8.0]]])  # (1, 1, 2)
    early = np.array([[[0.0, 0.0, 0.0, 0.02], [0.0, 0.01, 0.0, 0.0]]])  # (1, 2, 4)
    top, half = np.tanh(2), np.tanh(1)
    far = camkit.upsample(np.array([[top, 0.0]]), (2, 4))[0]  # 1, 3/4, 1/4, 0 of the highest value
    wanted = np.array([[far, far]])
    wanted[0, 0, 3], wanted[0, 1, 1] = top, max(half, 0.75 * top)
    np.testing.assert_allclose(attribution.fuse([late, early], (2, 4)), wanted, rtol=1e-6)
    np.testing.assert_allclose(
        attribution.fuse([1e-4 * late, 1e5 * early], (2, 4)), wanted, rtol=1e-6
    )


def test_a_layer_without_evidence_adds_nothing_to_a_fusion():
    maps = np.random.default_rng(0).uniform(0, 3, (2, 4, 4))
    alone = attribution.fuse([maps], 8)
    for nothing in (np.zeros((2, 3, 3)), np.full((2, 3, 3), -5.0)):
        np.testing.assert_array_equal(attribution.fuse([maps, nothing], 8), alone)
        np.testing.assert_array_equal(attribution.fuse([nothing], 5), np.zeros((2, 5, 5)))
    assert 0 <= alone.min() and alone.max() <= np.tanh(2)


def test_fused_maps_of_a_model(flat):
    model, batch = flat[0], zoo.images(2)
    names = [layer.name for layer in model.layers if isinstance(layer, layers.ReLU)]
    maps = [attribution.layer_cam(model, batch, 1, layer=name) for name in names]
    fused = attribution.fuse(maps, zoo.SHAPE[:2])
    assert fused.shape == (2, *zoo.SHAPE[:2])
    for one in maps:
        assert (fused >= attribution.fuse([one], zoo.SHAPE[:2])).all()


# Real pictures and other programs ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained():
    """A classifier of the embedded fruit that ends in logits, its last layer with a map, six pictures, their classes."""
    train, test = (
        camkit.load_images("mini", "Training", per_class=10),
        camkit.load_images("mini", "Test", per_class=1),
    )
    model = camkit.gap_classifier(camkit.backbone("mini", input_size=100), train.class_names)
    camkit.train_head(model, train)
    batch = next(test.batches(len(test), 100)).astype("float32")
    gap, dense = model.get_layer("gap"), layers.Dense(len(train.class_names))
    logits = keras.Model(model.input, dense(gap.output))
    dense.set_weights(model.get_layer("logits").get_weights())
    return (
        logits,
        gap.input._keras_history.operation,
        batch,
        probe.scores(logits, batch).argmax(axis=1),
    )


warned = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning:tf_keras_vis", "ignore:The structure of `inputs`"
)


def theirs(method, trained, n):
    """The map of tf-keras-vis, at the size of the layer and as it comes."""
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
    """The rank correlation of our map and that of tf-keras-vis."""
    model, _, batch, chosen = trained
    return spearmanr(
        explain(method, model, batch[n : n + 1], chosen[n]).ravel(),
        theirs(method, trained, n).ravel(),
    )[0]


@warned
@pytest.mark.parametrize("method", ["grad_cam", "grad_cam_plus_plus"])
def test_agreement_with_tf_keras_vis(method, trained):
    assert min(alike(method, trained, n) for n in range(6)) >= 0.99


@warned
def test_agreement_with_tf_keras_vis_of_score_cam(trained, monkeypatch):
    """Equal but for two things: there P_c(0) is not subtracted, and masks are enlarged corner on corner, half a cell off.

    Both count only where hardly anything is left of the class when the picture is masked.
    """
    model, layer, batch, chosen = trained
    pictures = range(6)
    assert np.median([alike("score_cam", trained, n) for n in pictures]) >= 0.99

    def corners(maps, size):
        return ndimage.zoom(
            maps, (1, size[0] / maps.shape[1], size[1] / maps.shape[2]), order=1, mode="nearest"
        )

    monkeypatch.setattr(attribution, "upsample", corners)
    nothing = softmax(probe.scores(model, 0 * batch[:1])[0].astype("float64"))
    for n in pictures:
        features, _ = probe.gradients(model, batch[n : n + 1], layer=layer)
        ours = attribution.score_cam(model, batch[n : n + 1], chosen[n])[0]
        wanted = theirs("score_cam", trained, n) - nothing[chosen[n]] * features[0].sum(axis=-1)
        np.testing.assert_allclose(ours, np.maximum(0, wanted), atol=2e-3 * wanted.max())


def photographs(shared, names):
    """MobileNetV2 with its real weights, and photographs as it reads them."""
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
        for name, heat in zip(PHOTOGRAPHS, maps):
            left, top, right, bottom = PHOTOGRAPHS[name]
            y, x = np.unravel_index(heat.argmax(), heat.shape)
            assert left <= x <= right and top <= y <= bottom, (
                f"{method}: the peak at ({x}, {y}) is not on the {name}"
            )


def test_integrated_gradients_of_a_real_photograph_are_complete_within_3_percent(shared):
    model, batch = photographs(shared, ["parrot"])  # equal steps of t miss 6 % of it
    chosen = probe.scores(model, batch).argmax(axis=1)
    gained = (probe.scores(model, batch) - probe.scores(model, 0 * batch))[[0], chosen]
    np.testing.assert_allclose(
        attribution.integrated_gradients(model, batch).sum(axis=(1, 2)), gained, rtol=0.03
    )
