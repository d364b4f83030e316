"""Grad-CAM as mathematics: the identity with CAM, layers of any graph, targets, refusals."""

import keras
import numpy as np
import pytest
import zoo
from keras import layers

import camkit
from camkit.models._backend import gradient


@pytest.fixture(scope="module")
def flat():
    return zoo.flat()


@pytest.mark.parametrize("name", zoo.HEADS)
def test_grad_cam_on_the_last_layer_is_the_positive_part_of_the_class_map(name):
    model, *_ = zoo.HEADS[name]()
    batch = zoo.images(shape=zoo.SHAPE[:2] + (model.input_shape[-1],))
    out = camkit.CAM(model)(batch)
    count, h, w, classes = out.maps.shape
    for target in (None, *range(classes)):
        chosen = out.logits.argmax(axis=1) if target is None else np.full(count, target)
        M = out.maps[np.arange(count), :, :, chosen]
        expected = np.maximum(0, M) / (h * w)
        np.testing.assert_allclose(camkit.grad_cam(model, batch, target), expected, atol=1e-5)


def by_hand(model, layer, batch, targets):
    """Return Grad-CAM of the model cut at `layer`, its last Dense made linear."""
    dense = model.layers[-1]
    tail = keras.Model(layer.output, dense.input)

    def scores(maps):
        logits = keras.ops.matmul(tail(maps, training=False), dense.kernel) + dense.bias
        return logits * keras.ops.one_hot(np.array(targets), zoo.CLASSES)

    return grad_cam_of(scores, keras.Model(model.input, layer.output)(batch, training=False))


def grad_cam_of(scores, maps):
    """Return Grad-CAM of a function whose sum is the score, at these maps."""
    alpha = keras.ops.convert_to_numpy(gradient(scores, maps)).mean(axis=(1, 2))
    maps = keras.ops.convert_to_numpy(maps)
    return np.maximum(0, np.einsum("nyxk,nk->nyx", maps, alpha))


def test_grad_cam_at_every_layer_with_a_map_is_that_of_the_model_cut_there(flat):
    model = flat[0]
    batch = zoo.images()
    targets = np.array([0, 3, 1, 1, 2])
    for layer in model.layers[1:-2]:
        ours = camkit.grad_cam(model, batch, targets, layer=layer.name)
        np.testing.assert_allclose(ours, by_hand(model, layer, batch, targets), atol=1e-5)
        np.testing.assert_array_equal(ours, camkit.grad_cam(model, batch, targets, layer=layer))
        assert ours.dtype == np.float32
        assert ours.shape == (5, *layer.output.shape[1:3])


def test_grad_cam_finds_layers_in_nested_models():
    model, features, _ = zoo.nested()
    dense = layers.Dense(zoo.CLASSES)
    flat = keras.Model(features.input, dense(layers.GlobalAveragePooling2D()(features.output)))
    dense.set_weights(model.layers[-1].get_weights())
    inner = features.layers[1]
    ours = camkit.grad_cam(model, zoo.images(), 2, layer=inner.name)
    np.testing.assert_allclose(ours, by_hand(flat, inner, zoo.images(), [2] * 5), atol=1e-5)


def test_grad_cam_applies_where_cam_does_not():
    model = zoo.shake(
        zoo.stack(layers.Flatten(), layers.Dense(6, "relu"), layers.Dense(4, "softmax"))
    )
    with pytest.raises(camkit.HeadError):
        camkit.CAM(model)
    last = model.layers[-4]
    np.testing.assert_allclose(
        camkit.grad_cam(model, zoo.images(), 1),
        by_hand(model, last, zoo.images(), [1] * 5),
        atol=1e-5,
    )


@pytest.mark.parametrize(
    "name",
    [
        "flat",
        "Activation",
        "Softmax layer",
        "sigmoid",
        "sigmoid as Activation",
        "1×1 convolution after",
        "1×1 convolution before",
        "activations as layers",
    ],
)
def test_gradients_are_the_logits_even_where_softmax_is_saturated(name):
    """Softmax of a confident model has no gradient; the map depends on the weights alone."""
    model, _, layer = zoo.HEADS[name]()
    small = camkit.grad_cam(model, zoo.images(), 1)
    layer.set_weights([1000 * w for w in layer.get_weights()])
    probs = model.predict(zoo.images(), verbose=0)
    assert np.isin(np.round(probs, 12), (0, 1)).all()
    confident = camkit.grad_cam(model, zoo.images(), 1)
    np.testing.assert_allclose(confident, 1000 * small, rtol=1e-3, atol=1e-2)
    assert small.max() > 1e-3


def test_hidden_softmax_and_sigmoid_stay_where_they_are():
    """Only those at the very end are left out: attention and gates inside belong to the model."""
    image = keras.Input(zoo.SHAPE)
    x = layers.Conv2D(6, 3, padding="same", activation="sigmoid")(image)
    x = layers.Conv2D(4, 3, strides=2, padding="same")(layers.Activation("softmax")(x))
    model = zoo.shake(keras.Model(image, layers.Softmax()(layers.GlobalAveragePooling2D()(x))))
    for index in (1, 2):
        rest = keras.Sequential(model.layers[index + 1 : -1])
        maps = keras.Model(image, model.layers[index].output)(zoo.images())
        expected = grad_cam_of(lambda maps, rest=rest: rest(maps)[:, 3], maps)
        ours = camkit.grad_cam(model, zoo.images(), 3, layer=model.layers[index])
        np.testing.assert_allclose(ours, expected, atol=1e-6)


def test_targets_are_the_predicted_class_one_class_or_one_for_each_image(flat):
    model = flat[0]
    batch = zoo.images()
    predicted = model.predict(batch, verbose=0).argmax(axis=1)
    by_default = camkit.grad_cam(model, batch)
    np.testing.assert_array_equal(by_default, camkit.grad_cam(model, batch, predicted))
    of_class = [camkit.grad_cam(model, batch, c) for c in range(zoo.CLASSES)]
    targets = [0, 1, 2, 3, 0]
    mixed = camkit.grad_cam(model, batch, targets)
    expected = [of_class[c][n] for n, c in enumerate(targets)]
    np.testing.assert_allclose(mixed, expected, atol=1e-7)
    np.testing.assert_allclose(camkit.grad_cam(model, batch, np.int64(2)), of_class[2], atol=1e-7)


@pytest.mark.parametrize("targets", [4, -1, [0, 1, 2, 3, 4], [0, 1], [[0]] * 5])
def test_targets_that_are_no_class_are_refused(flat, targets):
    with pytest.raises(ValueError, match="target"):
        camkit.grad_cam(flat[0], zoo.images(), targets)


def test_an_unknown_layer_is_refused_with_names_near_to_it(flat):
    name = flat[0].layers[1].name
    refusal = f"no layer is named '{name}x': choose one of the .*{name}"
    with pytest.raises(ValueError, match=refusal):
        camkit.grad_cam(flat[0], zoo.images(), layer=name + "x")


def test_a_nested_model_is_a_layer_whose_map_is_what_it_returns():
    model, features, _ = zoo.nested(name="backbone")
    batch = zoo.images()
    last = model.get_layer("backbone").layers[-1].name
    wanted = camkit.grad_cam(model, batch, 1, layer=last)
    for layer in ("backbone", model.get_layer("backbone")):
        np.testing.assert_array_equal(camkit.grad_cam(model, batch, 1, layer=layer), wanted)
        kept = camkit.eigen_cam(model, batch, layer=layer)
        np.testing.assert_array_equal(kept, camkit.eigen_cam(model, batch, layer=last))
    with pytest.raises(ValueError, match="'backbone2': choose one of the .*such as 'backbone'"):
        camkit.grad_cam(model, batch, layer="backbone2")


def test_a_nested_model_that_is_called_twice_has_no_one_map():
    model, *_ = zoo.shared_layers()
    block = next(layer for layer in model.layers if isinstance(layer, keras.Sequential))
    with pytest.raises(ValueError, match="is called 2 times: name another, such as layer="):
        camkit.grad_cam(model, zoo.images(), layer=block)


def test_only_layers_that_return_maps_are_proposed(flat):
    model = flat[0]
    with pytest.raises(ValueError, match="no layer is named 'zzz'") as refusal:
        camkit.grad_cam(model, zoo.images(), layer="zzz")
    _, _, proposals = str(refusal.value).partition("such as ")
    for name in proposals.split(" or "):
        layer = model.get_layer(name.strip("'"))
        assert len(layer.output.shape) == 4


def test_a_name_that_two_nested_layers_have_is_refused():
    model, *_ = zoo.twin_names()
    with pytest.raises(ValueError, match="3 layers are named 'conv': choose one of the"):
        camkit.grad_cam(model, zoo.images(), layer="conv")


def test_a_layer_without_a_map_is_refused(flat):
    last = flat[0].layers[-3].name
    for layer in (flat[0].layers[-1], flat[0].layers[-2]):
        with pytest.raises(
            ValueError,
            match=f"returns no map, no sequence and no tokens: name .* layer='{last}'",
        ):
            camkit.grad_cam(flat[0], zoo.images(), layer=layer)


def test_grad_cam_of_a_model_without_a_graph_is_refused():
    with pytest.raises(camkit.HeadError, match="does not know the shape of its input"):
        camkit.grad_cam(zoo.Subclassed(), zoo.images())


def test_grad_cam_of_half_precision_models():
    model, *_ = zoo.mixed()
    out = camkit.CAM(model)(zoo.images())
    h, w = out.maps.shape[1:3]
    expected = np.maximum(0, out.maps[..., 1]) / (h * w)
    ours = camkit.grad_cam(model, zoo.images(), 1)
    np.testing.assert_allclose(ours, expected, atol=5e-3 * expected.max())
