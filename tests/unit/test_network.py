"""A model is read once; one file touches private names of Keras, one folder imports backends."""

import ast
import gc
import weakref
from importlib.util import find_spec, module_from_spec
from pathlib import Path

import keras
import numpy as np
import pytest
import zoo
from keras import layers

import camkit
from camkit.models import _probe as probe
from camkit.models._graph import Network
from camkit.models._serialize import fingerprint


@pytest.fixture
def models_read(monkeypatch):
    """The models whose graph was read, in order, as often as it was."""
    models = []
    read = Network.__init__

    def noting(network, model):
        models.append(model)
        read(network, model)

    monkeypatch.setattr(Network, "__init__", noting)
    return models


def times(models, model):
    """How often a model is among others; Keras' models are compared by identity."""
    return sum(other is model for other in models)


@pytest.mark.parametrize("name", ["flat", "nested", "Sequential", "Sequential of a backbone"])
def test_a_model_is_read_once_whatever_is_done_with_it(name, models_read):
    model, *_ = zoo.HEADS[name]()
    camkit.CAM(model)
    assert times(models_read, model) == 1
    camkit.CAM(model, input_size=40)
    camkit.grad_cam(model, zoo.images())
    camkit.grad_cam(model, zoo.images(), 1)
    camkit.ablation_cam(model, zoo.images(2))
    fingerprint(model)
    assert times(models_read, model) == 1


def test_a_first_grad_cam_reads_one_model_once(models_read):
    model, *_ = zoo.nested()
    camkit.grad_cam(model, zoo.images())
    assert len(models_read) == 1


@pytest.mark.parametrize("method", [None, camkit.grad_cam])
def test_an_analysis_reads_a_model_once(method, models_read):
    images = camkit.load_images("mini", "Test", classes=["Lemon", "Lime"], per_class=2)
    model = camkit.gap_classifier(camkit.backbone("mini"), images.class_names)
    camkit.analyze(model, images, method=method)
    assert times(models_read, model) == 1


def test_a_sequential_model_that_grows_is_read_anew(models_read):
    pool, dense = layers.GlobalAveragePooling2D(), layers.Dense(zoo.CLASSES)
    model = keras.Sequential([keras.Input(zoo.SHAPE), layers.Conv2D(3, 3), pool, dense])
    first = camkit.grad_cam(model, zoo.images(), 1)
    model.pop()
    with pytest.raises(camkit.HeadError, match="GAP features, not class scores"):
        camkit.CAM(model)
    model.add(layers.Dense(zoo.CLASSES, use_bias=False))
    np.testing.assert_allclose(
        camkit.CAM(model)(zoo.images()).logits, model.predict(zoo.images(), verbose=0), atol=1e-5
    )
    assert not np.array_equal(camkit.grad_cam(model, zoo.images(), 1), first)
    assert times(models_read, model) == 3, "once with each of its last layers"


def test_a_nested_sequential_model_that_grows_is_read_anew():
    inner = keras.Sequential([keras.Input(zoo.SHAPE), layers.Conv2D(5, 3, padding="same")])
    image = keras.Input(zoo.SHAPE)
    pooled = layers.GlobalAveragePooling2D()(inner(image))
    model = zoo.shake(keras.Model(image, layers.Dense(zoo.CLASSES)(pooled)))
    camkit.CAM(model)
    inner.add(layers.ReLU())
    np.testing.assert_allclose(
        camkit.CAM(model)(zoo.images()).logits, model.predict(zoo.images(), verbose=0), atol=1e-5
    )


def with_lora(model):
    scores = model.layers[-1]
    scores.enable_lora(2)
    scores.lora_kernel_b.assign(np.ones(scores.lora_kernel_b.shape))


def with_tanh(model):
    model.get_layer("convolution").activation = keras.activations.tanh


@pytest.mark.parametrize("change", [with_lora, with_tanh, lambda model: model.quantize("int8")])
@pytest.mark.filterwarnings("ignore:.*does not have a `quantize` method")
def test_a_model_whose_layers_compute_something_else_is_read_anew(change):
    image = keras.Input(zoo.SHAPE)
    volume = layers.Conv2D(5, 3, activation="relu", name="convolution")(image)
    scores = layers.Dense(zoo.CLASSES)(layers.GlobalAveragePooling2D()(volume))
    model = zoo.shake(keras.Model(image, scores))
    before = probe.scores(model, zoo.images())
    change(model)
    after = probe.scores(model, zoo.images())
    assert not np.array_equal(after, before)
    np.testing.assert_allclose(after, model.predict(zoo.images(), verbose=0), atol=1e-4)


@pytest.mark.parametrize("name", ["flat", "nested", "Sequential", "Lambda"])
def test_a_model_that_was_read_can_be_forgotten(name):
    model = zoo.HEADS[name]()[0]
    cam = camkit.CAM(model)
    camkit.grad_cam(model, zoo.images())
    left = weakref.ref(model)
    del model
    gc.collect()
    assert left() is None
    assert cam(zoo.images()).logits.shape == (5, zoo.CLASSES)


# What the package may touch -----------------------------------------------------------------------

PACKAGE = Path(camkit.__file__).parent
NAMED_TUPLE = {"_asdict", "_replace", "_fields", "_make"}
# argparse has no public name for the type of what add_subparsers returns.
TYPES = {"_SubParsersAction"}
BY_NAME = {"getattr", "setattr", "hasattr", "delattr"}
# Keras decodes files by TensorFlow on every backend, and so does what reads them as Keras does.
DECODES_AS_KERAS = "images/_as_keras.py"


def trees():
    """{path within the package: its syntax tree}."""
    return {
        file.relative_to(PACKAGE).as_posix(): ast.parse(file.read_text(encoding="utf-8"))
        for file in sorted(PACKAGE.rglob("*.py"))
    }


def is_private(name):
    return name.startswith("_") and not name.endswith("__")


def names_made(tree):
    """The private names that a file makes: functions, classes, variables, attributes, modules."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr


def names_used(tree):
    """The attributes that a file reads, by a dot or by getattr and the like."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") in BY_NAME:
            if isinstance(node.args[1], ast.Constant):
                yield node.args[1].value


def test_one_file_alone_touches_private_names_of_others():
    parsed = trees()
    ours = {name for tree in parsed.values() for name in names_made(tree)}
    ours |= {Path(path).stem for path in parsed}
    foreign = {
        (path, name)
        for path, tree in parsed.items()
        for name in names_used(tree)
        if is_private(name) and name not in ours | NAMED_TUPLE | TYPES
    }
    assert foreign == {("models/_graph.py", "_nodes_by_depth")}


def packages_imported(tree):
    """The packages that a file imports, at its top or within a function."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module.split(".")[0]


def test_the_folder_of_backends_alone_imports_one():
    for path, tree in trees().items():
        if not path.startswith("models/_backend/"):
            imported = {"tensorflow", "jax", "torch"} & set(packages_imported(tree))
            assert imported == ({"tensorflow"} if path == DECODES_AS_KERAS else set()), path


def test_a_backend_that_has_no_file_is_refused(monkeypatch):
    found = find_spec("camkit.models._backend")
    monkeypatch.setattr(keras.backend, "backend", lambda: "openvino")
    with pytest.raises(ImportError, match="not on 'openvino': set .*KERAS_BACKEND="):
        found.loader.exec_module(module_from_spec(found))
