"""CAM as mathematics: the identities, enlargement, overlay."""

import keras
import numpy as np
import pytest
import zoo
from keras import layers
from scipy import ndimage

import camkit


@pytest.fixture(scope="module")
def flat():
    return zoo.flat()


@pytest.fixture(scope="module")
def trained():
    """A classifier of the embedded fruit, its test images, and what CAM makes of them."""
    train, test = (
        camkit.load_images("mini", "Training", per_class=20),
        camkit.load_images("mini", "Test"),
    )
    model = camkit.gap_classifier(camkit.backbone(), train.class_names)
    camkit.train_head(model, train)
    batch = np.concatenate(list(test.batches(32, 100)))
    cam = camkit.CAM(model)
    return model, test, batch, cam, cam(batch)


# A real classifier --------------------------------------------------------------------------------

# What the network calls it, and (left, top, right, bottom) of the object at 224×224, drawn by eye.
INSIDE = {
    "bird": ("chickadee", (15, 50, 215, 195)),
    "cat": ("Egyptian cat", (40, 25, 165, 224)),
    "dragonfly": ("dragonfly", (60, 40, 200, 200)),
    "hot_dog": ("hotdog", (30, 30, 215, 150)),
    "parrot": ("macaw", (60, 25, 215, 215)),
    "sunflower": ("daisy", (45, 10, 185, 224)),
}


def test_a_real_imagenet_classifier_shows_where_it_looks_in_real_photographs(shared):
    model = keras.applications.MobileNetV2(weights=None)
    model.load_weights(shared / "keras" / "mobilenet_v2_imagenet.weights.h5")
    labels = (shared / "photos" / "imagenet_labels.txt").read_text(encoding="utf-8").splitlines()
    batch = np.stack(
        [
            camkit.read_image(shared / "photos" / f"{name}.jpg", (224, 224)) / 127.5 - 1
            for name in INSIDE
        ]
    )
    cam = camkit.CAM(model)
    out = cam(batch)
    assert np.abs(out.maps.mean(axis=(1, 2)) + cam.bias - out.logits).max() <= 1e-4
    np.testing.assert_allclose(out.probs, model.predict(batch, verbose=0), atol=1e-5)
    for n, (name, (left, top, right, bottom)) in enumerate(INSIDE.values()):
        c = out.logits[n].argmax()
        assert labels[c].split(",")[0] == name
        y, x = np.unravel_index(camkit.upsample(out.maps[n, ..., c], 224).argmax(), (224, 224))
        assert left <= x <= right and top <= y <= bottom, (
            f"the peak at ({x}, {y}) is not on the {name}"
        )


# The identities -----------------------------------------------------------------------------------


def test_real_fruits_are_pointed_at_alone_and_among_others(shared):
    """At the size that the backbone was trained at: 44 varieties, 2×2 mosaics of four of them."""
    train = camkit.load_images(shared / "fruits-360", "Training", per_class=20)
    test = camkit.load_images(shared / "fruits-360", "Test", per_class=4)
    backbone = camkit.backbone(
        "MobileNetV2", weights=shared / "keras/mobilenet_v2_imagenet_notop.weights.h5"
    )
    model = camkit.gap_classifier(backbone, train.class_names)
    camkit.train_head(model, train)
    seen = camkit.analyze(model, test)
    assert seen.maps.shape[1:3] == (7, 7)
    own = np.stack([maps[..., c] for maps, c in zip(seen.maps, seen.labels, strict=True)])
    fruit = np.stack([camkit.scenes.foreground(test[i]) for i in range(len(test))])
    peak = camkit.upsample(own, fruit.shape[1:]).reshape(len(test), -1).argmax(axis=1)
    assert fruit.reshape(len(test), -1)[np.arange(len(test)), peak].mean() >= 0.95

    pictures, wide = np.concatenate(list(test.batches(32, 224))), camkit.CAM(model, input_size=448)
    random, hits = np.random.default_rng(0), []
    for _ in range(40):
        classes = random.choice(44, 4, replace=False)
        a, b, c, d = pictures[[random.choice(np.flatnonzero(test.labels == k)) for k in classes]]
        maps = wide(np.vstack([np.hstack([a, b]), np.hstack([c, d])])[None]).maps[0]
        for place, k in enumerate(classes):
            y, x = np.unravel_index(camkit.upsample(maps[..., k], 448).argmax(), (448, 448))
            hits.append(2 * (y >= 224) + (x >= 224) == place)
    assert np.mean(hits) >= 0.98, "99.6 % of many more"


@pytest.mark.parametrize("factors", [(1, 1), (2, 3), (8, 5), (32, 32)])
def test_the_mean_of_a_map_plus_the_bias_is_the_logit_before_and_after_enlargement(flat, factors):
    cam = camkit.CAM(flat[0])
    out = cam(zoo.images(16))
    h, w = out.maps.shape[1:3]
    large = camkit.upsample(out.maps, (h * factors[0], w * factors[1]))
    assert np.abs(large.mean(axis=(1, 2), dtype="float64") + cam.bias - out.logits).max() <= 1e-4
    assert np.abs(out.gap @ cam.kernel + cam.bias - out.logits).max() <= 1e-4


def test_the_identity_holds_on_every_image_of_the_embedded_test_split(trained):
    _, test, _, cam, out = trained
    assert len(out.logits) == len(test) >= 200
    assert np.ptp(out.logits) > 5, "a trained model is not at zero"
    h, w = out.maps.shape[1:3]
    for k in (1, 2, 4, 8):
        for start in range(0, len(test), 60):
            part = slice(start, start + 60)
            large = camkit.upsample(out.maps[part], (k * h, k * w))
            assert (
                np.abs(large.mean(axis=(1, 2), dtype="float64") + cam.bias - out.logits[part]).max()
                <= 1e-4
            )


def test_the_embedded_classifier_agrees_with_keras(trained):
    model, test, batch, cam, out = trained
    np.testing.assert_allclose(out.probs, model.predict(batch, verbose=0), atol=1e-5)
    features = keras.Model(model.input, model.get_layer("gap").input).predict(batch, verbose=0)
    np.testing.assert_allclose(out.gap, features.mean(axis=(1, 2)), atol=1e-4)
    np.testing.assert_allclose(
        out.maps, np.einsum("nyxk,kc->nyxc", features, cam.kernel), atol=1e-4
    )
    assert out.maps.shape[1] >= 12 and cam.class_names == test.class_names


def test_maps_are_signed_and_their_range_is_the_models_own(flat):
    out = camkit.CAM(flat[0])(zoo.images(16))
    assert out.maps.min() < 0 < out.maps.max()


def test_weighting_first_and_enlarging_later_is_enlarging_first_and_weighting_later(flat):
    model, features, layer = flat
    volume, out = features.predict(zoo.images(), verbose=0), camkit.CAM(model)(zoo.images())
    late = np.einsum("nyxk,kc->nyxc", camkit.upsample(volume, (24, 20)), np.asarray(layer.kernel))
    np.testing.assert_allclose(camkit.upsample(out.maps, (24, 20)), late, atol=2e-5)


def test_an_image_has_the_same_map_alone_and_in_any_batch(flat):
    cam, batch = camkit.CAM(flat[0]), zoo.images(7)
    whole = cam(batch)
    for size in (1, 2, 7):
        np.testing.assert_allclose(cam(batch[:size]).maps, whole.maps[:size], atol=1e-5)


def test_integer_and_float_images_are_read_alike(flat):
    cam, batch = (
        camkit.CAM(flat[0]),
        np.random.default_rng(0).integers(0, 255, (3, *zoo.SHAPE), dtype="uint8"),
    )
    np.testing.assert_array_equal(cam(batch).maps, cam(batch.astype("float64")).maps)


def test_a_model_that_takes_integers_is_read():
    model, features, layer = zoo.flat(dtype="uint8", body=zoo.after(layers.Rescaling(1 / 100)))
    batch = np.random.default_rng(0).integers(0, 255, (3, *zoo.SHAPE), dtype="uint8")
    maps = np.einsum("nyxk,kc->nyxc", features.predict(batch, verbose=0), np.asarray(layer.kernel))
    np.testing.assert_allclose(camkit.CAM(model)(batch).maps, maps, atol=1e-4)
    assert camkit.grad_cam(model, batch).shape == maps.shape[:3]


def test_a_batch_of_the_wrong_shape_is_refused_with_both_shapes(flat):
    cam = camkit.CAM(flat[0])
    for wrong in (
        np.zeros(zoo.SHAPE),
        np.zeros((2, 24, 24, 3)),
        np.zeros((2, 24, 20, 1)),
        np.zeros(3),
    ):
        with pytest.raises(
            ValueError, match=r"batch has shape .*takes \(B, 24, 20, 3\).*images\.batches"
        ):
            cam(wrong)
    with pytest.raises(ValueError, match=r"\(B, any, any, 3\)"):
        camkit.CAM(zoo.flat(shape=(None, None, 3))[0])(np.zeros((2, 24, 24, 4)))


# Enlargement --------------------------------------------------------------------------------------


def test_enlargement_by_hand():
    """Half-pixel: centres at (i + 1/2)/2 − 1/2 = −1/4, 1/4, 3/4, 5/4; constant at the rim."""
    np.testing.assert_allclose(camkit.upsample([[0.0, 4.0]], (1, 4)), [[0, 1, 3, 4]])
    np.testing.assert_allclose(camkit.upsample([[3.0], [9.0]], (6, 1))[:, 0], [3, 3, 5, 7, 9, 9])
    square = camkit.upsample(np.array([[0.0, 4.0], [8.0, 12.0]]), 4)
    np.testing.assert_allclose(square, np.add.outer([0, 2, 6, 8], [0, 1, 3, 4]))


def test_corners_are_not_aligned():
    ramp = camkit.upsample(np.arange(4.0)[None], (1, 8))[0]
    assert not np.allclose(ramp, np.linspace(0, 3, 8))
    np.testing.assert_allclose(np.diff(ramp), [0.25, *[0.5] * 5, 0.25])


@pytest.mark.parametrize("size", [(6, 5), (12, 15), (23, 31), (96, 80), (7, 7)])
def test_enlargement_is_that_of_scipy_on_a_grid(size):
    maps = np.random.default_rng(0).normal(size=(6, 5))
    zoom = ndimage.zoom(maps, np.array(size) / maps.shape, order=1, grid_mode=True, mode="nearest")
    np.testing.assert_allclose(camkit.upsample(maps, size), zoom, atol=1e-6)


@pytest.mark.parametrize("size", [(13, 9), (50, 61), (12, 10)])
def test_enlargement_is_that_of_tensorflow(size, tf):
    maps = np.random.default_rng(0).normal(size=(3, 6, 5, 4)).astype("float32")
    np.testing.assert_allclose(camkit.upsample(maps, size), tf.image.resize(maps, size), atol=1e-5)


def pixel(row, size, i):
    """Pixel i of a row enlarged to `size` as image libraries write it, one formula at a time."""
    x = (i + 0.5) * len(row) / size - 0.5
    left = int(np.floor(x))
    first, second = (row[min(max(n, 0), len(row) - 1)] for n in (left, left + 1))
    return first + (x - left) * (second - first)


def test_enlargement_is_the_formula_of_image_libraries():
    row = np.random.default_rng(0).normal(size=9)
    for size in (9, 10, 17, 27, 100):
        wanted = [pixel(row, size, i) for i in range(size)]
        np.testing.assert_allclose(camkit.upsample(row[None], (1, size))[0], wanted, atol=1e-12)


@pytest.mark.parametrize("factor", [1, 2, 3, 7, 8, 32])
def test_the_mean_of_every_map_is_kept_at_whole_factors(factor):
    maps = np.random.default_rng(factor).normal(size=(2, 7, 6, 3)) * 50
    large = camkit.upsample(maps, (7 * factor, 6 * factor))
    np.testing.assert_allclose(large.mean(axis=(1, 2)), maps.mean(axis=(1, 2)), atol=1e-12)


def test_enlargement_is_linear_and_keeps_constants_and_bounds():
    a, b = np.random.default_rng(0).normal(size=(2, 5, 4))
    np.testing.assert_allclose(
        camkit.upsample(2 * a - b, 23),
        2 * camkit.upsample(a, 23) - camkit.upsample(b, 23),
        atol=1e-12,
    )
    np.testing.assert_allclose(camkit.upsample(np.full((3, 4), 7.0), (10, 11)), 7)
    large = camkit.upsample(a, (31, 33))
    assert a.min() <= large.min() and large.max() <= a.max()


def test_enlargement_takes_maps_batches_and_all_classes():
    maps = np.random.default_rng(0).normal(size=(3, 6, 5, 4))
    large = camkit.upsample(maps, (12, 20))
    assert large.shape == (3, 12, 20, 4)
    np.testing.assert_allclose(camkit.upsample(maps[..., 2], (12, 20)), large[..., 2], atol=1e-12)
    np.testing.assert_allclose(
        camkit.upsample(maps[1, ..., 2], (12, 20)), large[1, ..., 2], atol=1e-12
    )
    assert camkit.upsample(maps[..., 0], 12).shape == (3, 12, 12)
    for wrong in (np.zeros(3), np.zeros((1, 2, 3, 4, 5))):
        with pytest.raises(
            ValueError, match=r"maps have \d dimensions .*\(h, w\), \(B, h, w\) or \(B, h, w, C\)"
        ):
            camkit.upsample(wrong, 8)


@pytest.mark.parametrize(
    "given, found",
    [("float16", "float32"), ("float32", "float32"), ("float64", "float64"), (bool, "float32")],
)
def test_enlarged_maps_have_at_least_single_precision(given, found):
    assert camkit.upsample(np.ones((3, 3), given), 9).dtype == found


def test_enlarging_to_the_same_size_changes_nothing_and_never_the_input():
    maps = np.random.default_rng(0).normal(size=(2, 6, 5)).astype("float32")
    before = maps.copy()
    np.testing.assert_allclose(camkit.upsample(maps, (6, 5)), maps, atol=1e-6)
    camkit.upsample(maps, 50)
    np.testing.assert_array_equal(maps, before)


# Overlay ------------------------------------------------------------------------------------------


INFERNO = 255 * np.array(
    [[0.001462, 0.000466, 0.013866], [0.988362, 0.998364, 0.644924]]
)  # its two ends


def test_overlay_by_hand():
    image = np.full((1, 2, 3), 100, "uint8")
    laid = camkit.overlay(image, np.array([[-1.0, 3.0]]), alpha=0.25)
    assert laid.dtype == np.uint8 and laid.shape == image.shape
    np.testing.assert_array_equal(laid[0, 0], image[0, 0])
    np.testing.assert_array_equal(laid[0, 1], np.rint(0.75 * 100 + 0.25 * INFERNO[1]))
    np.testing.assert_array_equal(camkit.overlay(image, np.array([[0.0, 1.0]]), alpha=0), image)
    strongest = camkit.overlay(image, np.array([[0.0, 1.0]]), alpha=1)[0, 1]
    np.testing.assert_array_equal(strongest, np.rint(INFERNO[1]))


def test_what_has_no_evidence_looks_as_it_does_in_the_image():
    image = np.full((1, 4, 3), 255, "uint8")
    heat = np.array([[-2.0, 0.0, 1.0, 2.0]])
    signed = camkit.overlay(image, heat, vmin=-2, vmax=2, alpha=1, cmap="gray")[0, :, 0]
    assert signed.tolist() == [0, 255, 224, 255], "half of 255 and half of 192 in the third"
    above = camkit.overlay(image, heat, vmin=0, vmax=2, alpha=1, cmap="gray_r")[0, :, 0]
    assert above.tolist() == [255, 255, 191, 0]


def test_the_limits_of_an_overlay_are_those_given():
    image = np.zeros((4, 4, 3), "uint8")
    one, two = (
        camkit.overlay(image, np.full((2, 2), value), vmin=0, vmax=10, alpha=1)
        for value in (5.0, 10.0)
    )
    assert (one != two).any(), "two constant maps differ under the same limits"
    np.testing.assert_array_equal(two, np.broadcast_to(np.rint(INFERNO[1]), (4, 4, 3)))
    beyond = camkit.overlay(image, np.array([[-99.0, 99.0]]), vmin=0, vmax=10, alpha=1)
    np.testing.assert_array_equal(beyond[0, [0, -1]], [image[0, 0], np.rint(INFERNO[1])])


def test_an_overlay_enlarges_before_it_colours_and_takes_a_constant_map():
    image = np.random.default_rng(0).integers(0, 255, (12, 10, 3), dtype="uint8")
    heat = np.random.default_rng(0).normal(size=(3, 5))
    np.testing.assert_array_equal(
        camkit.overlay(image, heat, vmin=-1, vmax=1),
        camkit.overlay(image, camkit.upsample(heat, (12, 10)), vmin=-1, vmax=1),
    )
    flat = camkit.overlay(image, np.zeros((3, 5)))
    np.testing.assert_array_equal(flat, image)
    assert not np.shares_memory(flat, image)


def test_grad_cam_on_the_last_layer_of_the_embedded_classifier(trained):
    model, _, batch, _, out = trained
    h, w = out.maps.shape[1:3]
    batch, maps, logits = batch[::8], out.maps[::8], out.logits[::8]
    wanted = np.maximum(0, maps[np.arange(len(batch)), :, :, logits.argmax(axis=1)]) / (h * w)
    np.testing.assert_allclose(camkit.grad_cam(model, batch), wanted, atol=1e-5)
