"""The remedies: each with its idea switched off, values by hand, and what may not happen."""

import keras
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

import camkit
from camkit import scenes, whole_object
from camkit.whole_object import _heads as heads, _regions as regions
from camkit.whole_object._reader import reader_of

RNG = np.random.default_rng(0)
COLOURS = np.array([[220, 40, 40], [40, 60, 220]], np.uint8)
NAMES = (
    "adversarial_erasing",
    "cross_image",
    "ficklenet",
    "multi_dilated",
    "seeded_region_growing",
    "superpixels",
)


def squares(count, seed=0, size=40):
    """Scenes: a red or a blue square of 12 pixels on grey; its class is its colour."""
    rng = np.random.default_rng(seed)
    images = np.full((count, size, size, 3), 128, np.uint8) + rng.integers(
        0, 8, (count, size, size, 3), "uint8"
    )
    labels, masks = np.arange(count) % 2, np.zeros((count, 1, size, size), bool)
    for image, label, mask in zip(images, labels, masks, strict=True):
        y, x = rng.integers(4, size - 16, 2)
        image[y : y + 12, x : x + 12] = COLOURS[label]
        mask[0, y : y + 12, x : x + 12] = True
    return scenes.Scenes(
        images, labels[:, None], masks, np.zeros((count, 1, 4), int), ["red", "blue"]
    )


@pytest.fixture(scope="module")
def model():
    """Its features are colours, in cells of 4 pixels: red over green, blue over green, and grey."""
    inputs = keras.Input((40, 40, 3))
    conv = keras.layers.Conv2D(3, 4, strides=4, activation="relu")
    made = camkit.gap_classifier(keras.Model(inputs, conv(inputs)), ["red", "blue"])
    kernel = (
        np.array([[1, 0, 1], [-1, -1, 1], [0, 1, 1]]) / [1, 1, 3] / 16 / 255
    )  # colours to channels
    conv.set_weights([np.broadcast_to(kernel, (4, 4, 3, 3)), np.zeros(3)])
    camkit.train_head(made, squares(40, seed=1))
    return made


def mean_in_and_out(maps, masks):
    big = camkit.upsample(maps, 40)
    return np.array(
        [(m[mask].mean(), m[~mask].mean()) for m, mask in zip(big, masks[:, 0], strict=True)]
    ).T


# All ----------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.smoke) if name == "cross_image" else name
        for name in NAMES
    ],
)
def test_every_remedy_finds_a_square_and_changes_nothing(model, name):
    known, new = squares(20, seed=2), squares(6, seed=3)
    before, picture = [w.copy() for w in model.get_weights()], new.images.copy()
    locate = getattr(whole_object, name)(model, known)
    maps = locate(new.images, new.labels[:, 0])
    inside, outside = mean_in_and_out(maps, new.masks)
    assert (inside > outside + np.ptp(maps) / 10).all()
    np.testing.assert_array_equal(new.images, picture)
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_allclose(
        locate(new.images), maps, rtol=1e-4, atol=1e-4
    )  # all are classified correctly
    np.testing.assert_allclose(locate(new.images[2:3], 0), maps[2:3], rtol=1e-3, atol=1e-3)
    again = getattr(whole_object, name)(model, known)(new.images, new.labels[:, 0])
    np.testing.assert_allclose(again, maps, rtol=1e-3, atol=1e-3)


def test_a_model_is_made_ready_once_and_anew_when_its_weights_change(model):
    pictures = squares(4).images
    reader = reader_of(model)
    assert reader_of(model) is reader
    (conv,) = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    kept = conv.get_weights()
    conv.set_weights([2 * weights for weights in kept])
    try:
        np.testing.assert_allclose(
            reader_of(model).features(pictures), 2 * reader.features(pictures), rtol=1e-5
        )
    finally:
        conv.set_weights(kept)


@pytest.mark.parametrize("name", NAMES)
def test_errors_say_what_was_found(model, name):
    known, remedy = squares(4), getattr(whole_object, name)
    wrong = scenes.Scenes(
        known.images, known.labels + 1, known.masks, known.boxes, known.class_names
    )
    with pytest.raises(
        ValueError, match="4 images have 4 labels, 1 to 2: one label per image, 0 to 1 .* is needed"
    ):
        remedy(model, wrong)
    with pytest.raises(camkit.HeadError, match="global average pooling"):
        remedy(
            keras.Sequential(
                [keras.Input((40, 40, 3)), keras.layers.Flatten(), keras.layers.Dense(2)]
            ),
            known,
        )


def test_a_gray_model_is_refused_with_a_remedy_that_works():
    gray = keras.Input((40, 40, 1))
    features = keras.layers.Conv2D(4, 3, strides=2, activation="relu")(gray)
    pooled = keras.layers.GlobalAveragePooling2D()(features)
    model = keras.Model(gray, keras.layers.Dense(2)(pooled))
    with pytest.raises(camkit.HeadError, match="images of 1 channels, .*rgb_to_grayscale"):
        whole_object.superpixels(model, squares(4))
    rgb = keras.Input((40, 40, 3))
    wrapped = keras.Model(rgb, model(keras.ops.image.rgb_to_grayscale(rgb)))
    images = squares(4)
    as_gray = keras.ops.image.rgb_to_grayscale(images.images.astype("float32"))
    expected = keras.Model(gray, features).predict(as_gray, verbose=0)
    found = reader_of(wrapped).features(images.images)
    np.testing.assert_allclose(found, expected, atol=1e-5 * expected.max())
    assert whole_object.superpixels(wrapped, images)(images.images, 0).shape[0] == len(images)


def test_locators_refuse_other_sizes_and_classes(model):
    locate = whole_object.cross_image(model, squares(4))
    with pytest.raises(ValueError, match="camkit.backbone"):
        locate(np.zeros((1, 30, 30, 3), np.uint8), 0)
    with pytest.raises(ValueError, match="targets"):
        locate(squares(2).images, 2)


# One by one ---------------------------------------------------------------------------------------


def unit(maps):
    low, high = maps.min(axis=(1, 2), keepdims=True), maps.max(axis=(1, 2), keepdims=True)
    return (maps - low) / (high - low)


def own_cam(model, new):
    return camkit.CAM(model)(new.images).maps[np.arange(len(new)), ..., new.labels[:, 0]]


def test_erasing_of_one_step_is_cam_and_more_steps_only_add(model):
    known, new = squares(20, seed=2), squares(4, seed=3)
    one, two, four = (
        whole_object.adversarial_erasing(model, known, steps=n)(new.images, new.labels[:, 0])
        for n in (1, 2, 4)
    )
    np.testing.assert_allclose(one, unit(own_cam(model, new)), atol=1e-5)
    assert (two >= one - 1e-6).all() and (four >= two - 1e-6).all() and (two > one + 0.01).any()


def test_erasing_paints_what_is_above_the_threshold():
    pictures = RNG.integers(0, 256, (1, 4, 4, 3), "uint8")
    heat = np.array([[[0, 1.0], [0.5, 0]]])  # enlarged twice, the upper right corner alone is 1
    erased = regions.erase(pictures, heat, np.array([7, 8, 9]), 0.8)
    expected = pictures.copy()
    expected[0, 0, 3] = 7, 8, 9
    np.testing.assert_array_equal(erased, expected)


def test_erasing_stops_where_names_fail(model, monkeypatch):
    learnt, right = [], np.array([[1.0, 0], [0, 1], [0, 0]])  # red to red, blue to blue

    def erasing(kernels, **options):
        learnt.clear()
        layer = iter(kernels)
        monkeypatch.setattr(
            heads, "fit_softmax", lambda X, T: learnt.append(len(X)) or (next(layer), np.zeros(2))
        )
        whole_object.adversarial_erasing(model, squares(20), **options)
        return learnt

    monkeypatch.setattr(regions, "erase", lambda pictures, *_: pictures)  # so that nothing is lost
    assert erasing([right] * 9) == [16] * 4  # 16 of 20 teach, five steps with the first head
    assert erasing([right, right, right[:, ::-1], right]) == [16] * 3  # the third names none
    assert erasing([right, right[:, ::-1], right], steps=4) == [16] * 3  # as many as are asked for


@pytest.fixture
def nets(monkeypatch):
    """The networks that `heads.train_maps` was given."""
    caught = []
    train = heads.train_maps
    monkeypatch.setattr(
        heads, "train_maps", lambda net, *rest: (caught.append(net), train(net, *rest))
    )
    return caught


def test_one_dilation_is_the_map_of_its_head_and_more_are_merged_as_in_the_paper(model, nets):
    known, new = squares(20, seed=2), squares(4, seed=3)
    F = reader_of(model).features(new.images)
    own = np.arange(4), slice(None), slice(None), new.labels[:, 0]
    alone = whole_object.multi_dilated(model, known, dilations=(1,))(new.images, new.labels[:, 0])
    np.testing.assert_allclose(alone, nets[0].predict(F, verbose=0)[own], atol=1e-5)
    three = whole_object.multi_dilated(model, known, dilations=(1, 2, 4))(
        new.images, new.labels[:, 0]
    )
    first, second, third = (H[own] for H in nets[1].predict(F, verbose=0))
    np.testing.assert_allclose(three, first + (second + third) / 2, atol=1e-4)


def test_ficklenet_without_dropping_sees_always_the_same(model, nets):
    known, new = squares(20, seed=2), squares(4, seed=3)
    one, many = (
        whole_object.ficklenet(model, known, rate=0, passes=n)(new.images, new.labels[:, 0])
        for n in (1, 4)
    )
    np.testing.assert_allclose(one, many, atol=1e-4)
    F = reader_of(model).features(new.images)
    plain = nets[0].predict([F, np.ones((4, 10, 10, 25))], verbose=0)[
        np.arange(4), ..., new.labels[:, 0]
    ]
    np.testing.assert_allclose(one, unit(plain), atol=1e-4)


def test_ficklenet_that_drops_all_keeps_the_centre(model, nets):
    whole_object.ficklenet(model, squares(20, seed=2), rate=1)
    F = reader_of(model).features(squares(1).images)
    kept = np.zeros((1, 10, 10, 25), "float32")
    kept[..., 12] = 1
    other = F.copy()
    other[0, 3, 6] += 1
    changed = (
        nets[0].predict([other, kept], verbose=0) != nets[0].predict([F, kept], verbose=0)
    ).any(axis=-1)[0]
    assert changed[3, 6] and changed.sum() == 1


def test_cells_ask_cells_like_themselves():
    E = np.eye(4).reshape(2, 2, 4)
    M = np.array([[1.0, 2], [3, 4]])
    weight = np.exp(10) / (np.exp(10) + 3)  # cosine 1 against 0, three times, by 0.1
    np.testing.assert_allclose(
        heads.transfer_map(E, E, M), weight * M + (1 - weight) * (10 - M) / 3
    )
    np.testing.assert_allclose(heads.transfer_map(E[::-1], E, M)[0], heads.transfer_map(E, E, M)[1])
    np.testing.assert_allclose(
        heads.transfer_map(E, E[:1, :1].repeat(2, 0), np.array([[1.0], [3]])), np.full((2, 2), 2)
    )


def test_without_references_a_picture_asks_itself(model):
    known, new = squares(20, seed=2), squares(4, seed=3)
    maps = own_cam(model, new)
    told = whole_object.cross_image(model, known, references=0)(new.images, new.labels[:, 0])
    assert (
        abs(told.mean(axis=(1, 2)) - maps.mean(axis=(1, 2))) < 0.1 * np.ptp(maps, axis=(1, 2))
    ).all()
    assert (
        told.max(axis=(1, 2)) <= maps.max(axis=(1, 2)) + 1e-5
    ).all()  # means of what the picture says itself
    assert (told.min(axis=(1, 2)) >= maps.min(axis=(1, 2)) - 1e-5).all()


# Regions ------------------------------------------------------------------------------------------


def test_seeds_grow_over_what_is_connected_and_likely_and_no_further():
    P = np.array([[0.9, 0.9, 0.1, 0.9], [0.1, 0.1, 0.9, 0.1], [0.9, 0.1, 0.1, 0.005]])
    seeds = np.zeros((2, 1, 3, 4), bool)
    seeds[1, 0, 0, 0] = seeds[0, 0, 0, 3] = True  # the class; the ground, where the class is likely
    ground, own = regions.grow(seeds, np.stack([1 - P, P])[:, None], (0.99, 0.85))[:, 0]
    np.testing.assert_array_equal(own, [[1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]])
    np.testing.assert_array_equal(ground, [[0, 0, 0, 1], [0, 0, 0, 0], [0, 0, 0, 0]])
    P = RNG.random((1, 20, 20))
    seeds = RNG.random((2, 1, 20, 20)) < 0.02
    seeds[0] &= ~seeds[1]
    grown = regions.grow(seeds, np.stack([1 - P, P]), (0.7, 0.6))
    assert (grown >= seeds).all() and not grown.all(axis=0).any() and grown.sum() > seeds.sum()
    assert (P[grown[1] & ~seeds[1]] > 0.6).all() and (1 - P[grown[0] & ~seeds[0]] > 0.7).all()


def test_growth_stays_in_its_picture():
    seeds = np.zeros((2, 2, 3, 3), bool)
    seeds[1, 0, 1, 1] = True
    grown = regions.grow(seeds, np.stack([np.zeros((2, 3, 3)), np.ones((2, 3, 3))]), (0.99, 0.85))
    assert grown[1, 0].all() and not grown[1, 1].any()


def test_redrawn_maps_follow_colours():
    picture = np.zeros((12, 12, 3), np.uint8)
    picture[:, :6] = 200
    P = np.full((12, 12), 0.4)
    P[2:10, 1:5] = 0.8  # most of the light half
    Q = regions.redraw(P, picture)
    assert ((Q > 0.5) == (picture[..., 0] > 0)).all()
    np.testing.assert_allclose(regions.redraw(P, picture, weight=0), P, atol=1e-6)
    np.testing.assert_allclose(regions.redraw(1 - P, picture), 1 - Q, atol=1e-5)
    even = regions.redraw(np.full((5, 5), 0.5), np.full((5, 5, 3), 9, np.uint8))
    np.testing.assert_allclose(even, 0.5, atol=1e-5)


def test_regions_of_one_pixel_leave_a_map_as_it_is(monkeypatch):
    monkeypatch.setattr(regions, "SIDE", 8)
    regions._enlarging.cache_clear()
    monkeypatch.setattr(regions.segmentation, "slic", lambda *_, **__: np.arange(64).reshape(8, 8))
    part = regions.cut_regions(RNG.integers(0, 256, (8, 8, 3), "uint8"), (8, 8))
    heat = RNG.random((8, 8)).astype("float32")
    np.testing.assert_allclose(part.weights @ heat.ravel(), heat.ravel(), atol=1e-6)
    np.testing.assert_array_equal(part.sizes, np.ones(64))
    np.testing.assert_allclose(regions.object_shares(heat.ravel(), part), heat.ravel() > 0.5)
    regions._enlarging.cache_clear()


def test_regions_end_where_colours_end():
    one = squares(1)
    part = regions.cut_regions(one.images[0], (10, 10))
    mask = np.asarray(camkit.upsample(one.masks[0, 0].astype(float), 112) > 0.5)
    inside = np.bincount(part.labels.ravel(), mask.ravel()) / part.sizes
    assert (np.minimum(inside, 1 - inside) * part.sizes).sum() < 0.01 * 112**2
    assert part.sizes.sum() == 112**2
    np.testing.assert_allclose(part.weights.sum(axis=1), 1, atol=1e-5)
    assert part.unlike[inside > 0.9].min() > 0.7 > 0.1 > part.unlike[inside < 0.1].mean()


def test_refining_by_bayes_by_hand():
    part = regions.Regions(None, np.array([1, 3]), None, np.zeros((2, 3)), np.array([0.2, 0.7]))
    np.testing.assert_allclose(
        regions.refine(np.array([0.9, 0.4]), part), [0.2, 0.7]
    )  # one colour: the prior
    apart = part._replace(colours=np.array([[0.0, 0, 0], [100, 0, 0]]), unlike=np.full(2, 0.5))
    P = np.array([0.9, 0.2])  # sizes 1 and 3: object 0.9 + 0.6, ground 0.1 + 2.4
    one, other = (0.9 / 1.5, 0.1 / 2.5), (0.6 / 1.5, 2.4 / 2.5)
    np.testing.assert_allclose(regions.refine(P, apart), [a / (a + b) for a, b in (one, other)])


def test_the_rim_is_what_is_usual_there():
    picture = np.full((56, 56, 3), 200, np.uint8)
    picture[20:36, 20:36] = 40, 200, 40
    far = regions.rim_difference(picture)
    assert far[:10].max() < 0.01 and far[28, 28] > 50 and far.argmax() // 56 in range(20, 36)
    np.testing.assert_allclose(
        regions.rim_difference(np.full((9, 9, 3), 7, np.uint8)), 0, atol=1e-9
    )


# Heads --------------------------------------------------------------------------------------------


def test_a_softmax_layer_is_logistic_regression():
    X, y = RNG.normal(3, [1, 2, 0.5, 4], (90, 4)), np.arange(90) % 3
    X[:, 0] += y
    W, b = heads.fit_softmax(X, np.eye(3)[y])
    scale = X.std(axis=0) + X.std(axis=0).mean()
    known = LogisticRegression(C=0.1, tol=1e-8, max_iter=1000).fit((X - X.mean(axis=0)) / scale, y)
    np.testing.assert_allclose(W * scale[:, None], known.coef_.T, atol=2e-3)
    scores = X @ W + b
    expected = known.decision_function((X - X.mean(axis=0)) / scale)
    np.testing.assert_allclose(scores - scores.mean(axis=1, keepdims=True), expected, atol=5e-3)


def test_targets_weigh_rows():
    X, T = RNG.normal(size=(40, 3)), RNG.random((40, 2))
    twice, shared = np.concatenate([X, X]), np.concatenate([T * [1, 0], T * [0, 1]])
    for one, other in zip(heads.fit_softmax(X, T), heads.fit_softmax(twice, shared), strict=True):
        np.testing.assert_allclose(one, other, atol=2e-3)


def test_components_have_equal_spread_and_no_relation():
    F = RNG.normal(5, 1, (10, 6, 6, 3)) @ np.array([[1, 2, 0], [0, 1, 0], [0, 0, 3.0]])
    E = heads.fit_components(F, 0).project(F).reshape(-1, 3)
    spread = np.linalg.eigvalsh(np.cov(F.reshape(-1, 3).T))[::-1]
    np.testing.assert_allclose(
        np.cov(E.T), np.diag(spread / (spread + 1e-3 * spread[0])), atol=1e-4
    )
    np.testing.assert_allclose(E.mean(axis=0), 0, atol=1e-3)


def test_probabilities_against_the_ground_are_a_softmax_of_two():
    layer = np.eye(3)[:, :3], np.zeros(3)
    E = np.array([[[1.0, 2, 0]], [[0, 0, 3]]])
    np.testing.assert_allclose(
        heads.probability_against_background(E, layer, np.array([1, 0]))[:, 0],
        [np.exp(2) / (np.exp(2) + 1), 1 / (1 + np.exp(3))],
    )
