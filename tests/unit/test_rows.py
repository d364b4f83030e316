"""Images with a row of their own in another input: by CAM, the family and analyses."""

import functools

import keras
import numpy as np
import pytest
import zoo
from keras import layers, ops

import camkit
from camkit.models._backend import compile_query, gradient

COUNT = 5
IMAGES = zoo.images(COUNT)
TABLE = np.random.default_rng(3).normal(scale=2, size=(COUNT, 3))


def with_table(hidden=False, scale=1.0):
    """Return a model of an image and a row of three numbers, with or without a hidden layer."""
    image = keras.Input(zoo.SHAPE, name="image")
    table = keras.Input((3,), name="table")
    pooled = layers.GlobalAveragePooling2D()(zoo.volume(layers.Rescaling(scale)(image)))
    joined = layers.Concatenate()([pooled, layers.Dense(4, "relu")(table)])
    if hidden:
        joined = layers.Dense(6, "relu")(joined)
    scores = layers.Dense(zoo.CLASSES, name="scores")(joined)
    return zoo.shake(keras.Model([image, table], layers.Softmax()(scores)))


@pytest.fixture(scope="module")
def linear():
    return with_table()


@pytest.fixture(scope="module")
def hidden():
    return with_table(hidden=True)


def predicted(model, images, table):
    return model.predict([images, table], verbose=0)


# CAM ----------------------------------------------------------------------------------------------


def test_cam_reads_a_row_for_each_image(linear):
    cam = camkit.CAM(linear, inputs={"table": TABLE})
    out = cam(IMAGES)
    np.testing.assert_allclose(out.probs, predicted(linear, IMAGES, TABLE), atol=1e-6)
    total = out.maps.mean(axis=(1, 2)) + out.rest + cam.bias
    np.testing.assert_allclose(total, out.logits, atol=1e-5)
    assert np.ptp(out.rest, axis=0).min() > 0.5, "each image has the rest of its own row"


def test_a_batch_may_have_other_rows_than_the_cam_was_created_with(linear):
    cam = camkit.CAM(linear, inputs={"table": TABLE[0]})
    for some in (slice(2), slice(1, 5)):
        out = cam(IMAGES[some], inputs={"table": TABLE[some]})
        expected = predicted(linear, IMAGES[some], TABLE[some])
        np.testing.assert_allclose(out.probs, expected, atol=1e-6)
    # Without others, the row of the beginning holds for all.
    for inputs in (None, {"table": TABLE[:1]}):
        expected = predicted(linear, IMAGES, np.repeat(TABLE[:1], COUNT, axis=0))
        np.testing.assert_allclose(cam(IMAGES, inputs=inputs).probs, expected, atol=1e-6)


def test_a_second_image_may_differ_from_image_to_image():
    """What it adds to the scores has no place in the first one: it is the rest."""
    first = keras.Input(zoo.SHAPE, name="first")
    second = keras.Input(zoo.SHAPE, name="second")
    base = keras.Model(first, zoo.volume(first))
    pooled = [layers.GlobalAveragePooling2D()(base(each)) for each in (first, second)]
    scores = layers.Dense(zoo.CLASSES)(layers.Concatenate()(pooled))
    model = zoo.shake(keras.Model([first, second], scores))
    others = zoo.images(COUNT, seed=1)
    out = camkit.CAM(model, inputs={"second": others})(IMAGES)
    np.testing.assert_allclose(out.logits, predicted(model, IMAGES, others), atol=1e-5)
    alike = camkit.CAM(model, inputs={"second": others[0]})(IMAGES)
    np.testing.assert_allclose(out.maps, alike.maps, atol=1e-6)


def test_rows_of_integers_and_of_single_numbers():
    image = keras.Input(zoo.SHAPE, name="image")
    place = keras.Input((), dtype="int32", name="place")
    pooled = layers.GlobalAveragePooling2D()(zoo.volume(image))
    joined = layers.Concatenate()([pooled, layers.Embedding(6, 2)(place)])
    model = zoo.shake(keras.Model([image, place], layers.Dense(zoo.CLASSES)(joined)))
    places = np.array([0, 5, 1, 1, 4])
    out = camkit.CAM(model, inputs={"place": places})(IMAGES)
    np.testing.assert_allclose(out.logits, predicted(model, IMAGES, places), atol=1e-5)


# The family ---------------------------------------------------------------------------------------


def by_gradient(model, images, table, target):
    """Return F and ∂S/∂F of the features of images with their rows, by Keras' own layers."""
    features = next(
        each for each in model.layers if isinstance(each, layers.GlobalAveragePooling2D)
    )
    read = keras.Model(model.inputs, features.input)
    F = read.predict([images, table], verbose=0)
    of_features = keras.Model([features.input, model.inputs[1]], model.get_layer("scores").output)

    def slopes(F, table):
        return gradient(lambda F: of_features([F, table])[:, target], F)

    table = table.astype("float32")
    return F, compile_query(slopes, F, table)(F, table)


def test_grad_cam_of_images_with_rows_is_that_of_a_plain_gradient(hidden):
    F, slopes = by_gradient(hidden, IMAGES, TABLE, target=2)
    alpha = slopes.mean(axis=(1, 2), keepdims=True)
    expected = np.maximum(0, np.sum(alpha * F, axis=-1))
    maps = camkit.grad_cam(hidden, IMAGES, 2, inputs={"table": TABLE})
    np.testing.assert_allclose(maps, expected, atol=1e-5 * np.abs(expected).max())
    maps = camkit.hires_cam(hidden, IMAGES, 2, inputs={"table": TABLE})
    expected = np.sum(slopes * F, axis=-1)
    np.testing.assert_allclose(maps, expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("name", ["score_cam", "ablation_cam", "occlusion", "eigen_cam"])
@pytest.mark.parametrize("targets", [None, 1, [0, 1]])
def test_each_image_is_explained_with_its_row(hidden, name, targets):
    method = getattr(camkit, name)
    options = {"window": 8, "stride": 8} if name == "occlusion" else {}
    maps = method(hidden, IMAGES[:2], targets, inputs={"table": TABLE[:2]}, **options)
    for index in (0, 1):
        image = IMAGES[index : index + 1]
        target = targets[index] if isinstance(targets, list) else targets
        alone = method(hidden, image, target, inputs={"table": TABLE[index]}, **options)
        np.testing.assert_array_equal(maps[index : index + 1], alone)


def test_one_row_is_that_of_all_images(hidden):
    row = TABLE[0]
    expected = camkit.grad_cam(hidden, IMAGES, 1, inputs={"table": np.tile(row, (COUNT, 1))})
    for inputs in (row, row[None], row.tolist()):
        maps = camkit.grad_cam(hidden, IMAGES, 1, inputs={"table": inputs})
        np.testing.assert_allclose(maps, expected, atol=1e-5 * np.abs(expected).max())


# What is refused ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "table, words",
    [
        (TABLE[:2], "'table' has 2 rows for 5 images: give one row for all of them, or one for"),
        (TABLE[:0], r"'table' takes one row of shape \(3,\) .* have the shape \(0, 3\)"),
        (TABLE[:, :2], r"'table' takes one row of shape \(3,\) .* have the shape \(5, 2\)"),
        (TABLE[0, :2], r"'table' takes one row of shape \(3,\) .* have the shape \(2,\)"),
    ],
)
def test_another_number_of_rows_is_refused_with_both_numbers(linear, table, words):
    inputs = {"table": table}
    with pytest.raises(ValueError, match=words):
        camkit.CAM(linear, inputs=inputs)(IMAGES)
    with pytest.raises(ValueError, match=words):
        camkit.grad_cam(linear, IMAGES, inputs=inputs)


def test_rows_that_are_nan_are_refused_with_their_numbers(linear):
    table = TABLE.copy()
    table[[1, 3], 2] = np.nan
    with pytest.raises(ValueError, match=r"'table' has NaN in the rows \[1, 3\]: fill the missing"):
        camkit.CAM(linear, inputs={"table": table})


def test_inputs_and_targets_that_do_not_exist_are_refused(linear):
    cam = camkit.CAM(linear, inputs={"table": TABLE})
    with pytest.raises(ValueError, match=r"no input 'tabel', its inputs are \['table'\]"):
        cam(IMAGES, inputs={"tabel": TABLE})
    for targets in ([1, 2], zoo.CLASSES):
        with pytest.raises(ValueError, match="one class 0..3, or one for each image"):
            camkit.grad_cam(linear, IMAGES, targets, inputs={"table": TABLE})
    with pytest.raises(ValueError, match="explain a function of the images alone"):
        camkit.occlusion(lambda images: images.mean((1, 2)), IMAGES, inputs={"table": TABLE})


# Analyses -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def photographs():
    """Return seven images: two batches of four, the last one short."""
    images = camkit.load_images("mini", "Test", classes=["Banana", "Lemon"], per_class=4)
    return images.select(slice(7)).unlabelled()


def user_method(model, batch, targets):
    """Return the probabilities that a method of the user's reads, as maps of one place."""
    probabilities = ops.convert_to_numpy(model(batch))
    return probabilities[np.arange(len(batch)), targets].reshape(-1, 1, 1)


@pytest.mark.parametrize("method", [None, camkit.grad_cam, user_method])
def test_an_analysis_reads_a_row_for_each_image(photographs, tmp_path, method):
    model = with_table(scale=1 / 100)
    table = np.random.default_rng(4).normal(scale=2, size=(7, 3))
    (batch,) = photographs.batches(7, zoo.SHAPE[:2])
    expected = predicted(model, batch.astype("float32"), table)
    options = {"method": method, "batch_size": 4}
    analyze = functools.partial(camkit.analyze, model, photographs, tmp_path / "out", **options)
    analysis = analyze(inputs={"table": table})
    np.testing.assert_allclose(analysis.probs, expected, atol=1e-4)
    assert np.ptp(expected, axis=0).max() > 0.3
    if method is user_method:
        best = np.take_along_axis(expected, analysis.map_classes, axis=1)
        np.testing.assert_allclose(analysis.maps[:, 0, 0], best, atol=1e-4)
    # The rows belong to the identity of an analysis: the same go on, others are refused.
    analyze(inputs={"table": table.tolist()})
    with pytest.raises(ValueError, match="the analysis of another image set"):
        analyze(inputs={"table": table + 1})
    with pytest.raises(ValueError, match="another choice of inputs with a row for each image"):
        analyze(inputs={"table": table[0]})
    with pytest.raises(ValueError, match="'table' has 6 rows for 7 images"):
        analyze(inputs={"table": table[:6]})


def test_an_analysis_is_brought_up_to_date_by_images_and_their_rows(photographs, tmp_path):
    """An image that has another row than before is analysed again, and no other one."""
    model = with_table(scale=1 / 100)
    table = np.random.default_rng(4).normal(scale=2, size=(7, 3))
    camkit.analyze(model, photographs, tmp_path / "out", inputs={"table": table}, batch_size=4)
    moved = table.copy()
    moved[2] = -table[2]
    order = [2, 0, 5, 1, 6]
    some = photographs.select(order)
    rows = {"table": moved[order]}
    analysis = camkit.analyze(model, some, tmp_path / "out", inputs=rows)
    (batch,) = some.batches(5, zoo.SHAPE[:2])
    expected = predicted(model, batch.astype("float32"), moved[order])
    np.testing.assert_allclose(analysis.probs, expected, atol=1e-4)
