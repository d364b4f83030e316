"""Model files of all ages: loaded, with the same predictions, or refused with what to do."""

import importlib.util
import json
import re
import shutil
import sys
import types
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
from keras import layers
from kinds import FILES

from camkit._cli import main
from camkit.models import load_model

STRANGERS = Path(__file__).resolve().parents[3] / "shared" / "strangers" / "models"
SIDE = 12
X = np.random.default_rng(0).uniform(0, 255, size=(3, SIDE, SIDE, 3)).astype("float32")


def randomised(model):
    """Give every weight a value of its own, so that two of one shape cannot be exchanged."""
    rng = np.random.default_rng(1)
    model.set_weights([rng.uniform(0.1, 0.6, size=weight.shape) for weight in model.get_weights()])
    return model


def stem():
    """A nested model with three weights of one shape."""
    inputs = keras.Input((SIDE, SIDE, 3), name="stem_input")
    x = layers.Conv2D(4, 3, name="conv")(inputs)
    x = layers.BatchNormalization(name="bn")(x)
    x = layers.ReLU(6.0, name="relu")(x)
    x = layers.DepthwiseConv2D(3, name="depthwise")(x)
    return keras.Model(inputs, x, name="stem")


def functional():
    inputs = keras.Input((SIDE, SIDE, 3), name="model_input")
    x = layers.Rescaling(1 / 255, name="rescaling")(inputs)
    x = stem()(x)
    x = layers.GlobalAveragePooling2D(name="gap")(x)
    return randomised(keras.Model(inputs, layers.Dense(3, name="dense")(x), name="model"))


def sequential():
    head = keras.Sequential(
        [keras.Input((4,)), layers.Dense(4, name="a"), layers.Dense(3, name="b")], name="head"
    )
    pool = layers.GlobalAveragePooling2D(name="gap")
    body = keras.Sequential([keras.Input((SIDE, SIDE, 3)), stem(), pool], name="body")
    scale = layers.Rescaling(1 / 255, name="rescaling")
    model = keras.Sequential([keras.Input((SIDE, SIDE, 3)), scale, body, head], name="teachable")
    return randomised(model)


MODELS = {"functional": functional, "sequential": sequential}


# The layout of Keras 2 ----------------------------------------------------------------------------


def described(model, module=True):
    """The description of a model as TensorFlow 2.15 writes it."""
    if isinstance(model, keras.Sequential):
        parts = [model_input(model, None)]
        parts += [described(layer, module) for layer in model.layers]
        config = {"name": model.name, "layers": parts}
        return {"class_name": "Sequential", "config": config, "module": "keras"}
    if isinstance(model, keras.Model):
        parts = [model_input(model, [])]
        before = parts[0]["name"]
        for layer in model.layers[1:]:
            entry = described(layer, module)
            entry["name"] = layer.name
            entry["inbound_nodes"] = [[[before, int(before == "stem"), 0, {}]]]
            parts.append(entry)
            before = layer.name
        config = {
            "name": model.name,
            "trainable": True,
            "layers": parts,
            "input_layers": [[parts[0]["name"], 0, 0]],
            "output_layers": [[before, 0, 0]],
        }
        entry = {"class_name": "Functional", "config": config}
        if module:
            entry["module"] = "keras.src.engine.functional"
            entry["registered_name"] = "Functional"
        return entry
    return layer_of_keras_2(layer=model, module=module)


def model_input(model, nodes):
    """The InputLayer of a model in the format of Keras 2."""
    name = f"{model.name}_input"
    shape = list(model.input_shape)
    config = {"batch_input_shape": shape, "dtype": "float32", "sparse": False, "ragged": False}
    entry = {"class_name": "InputLayer", "config": {**config, "name": name}}
    return entry if nodes is None else {**entry, "name": name, "inbound_nodes": nodes}


def layer_of_keras_2(layer, module):
    """A layer with what Keras 2 writes of it: groups of depthwise kernels, the axis as a list."""
    config = layer.get_config()
    config["dtype"] = "float32"
    if isinstance(layer, layers.DepthwiseConv2D):
        config["groups"] = 1
    if isinstance(layer, layers.BatchNormalization):
        config["axis"] = [3]
        del config["renorm"], config["synchronized"]
    if isinstance(layer, layers.Conv2D | layers.DepthwiseConv2D):
        config["batch_input_shape"] = [None, SIDE, SIDE, 3]
    entry = {"class_name": type(layer).__name__, "config": config}
    return {**entry, "module": "keras.layers", "registered_name": None} if module else entry


def names_of_weights(layer):
    """[(name in Keras 2, array)] of a layer or nested model: trained weights first."""
    weights = layer.trainable_weights + layer.non_trainable_weights
    return [("/".join(weight.path.split("/")[-2:]) + ":0", np.array(weight)) for weight in weights]


def write_hdf5(path, model, description=None, version="2.15.0"):
    """Write the .h5 file of Keras 2."""
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"] = version
        file.attrs["backend"] = "tensorflow"
        file.attrs["model_config"] = json.dumps(description or described(model, module=False))
        group = file.create_group("model_weights")
        group.attrs["layer_names"] = [layer.name.encode() for layer in model.layers]
        for layer in model.layers:
            named = names_of_weights(layer)
            of_layer = group.create_group(layer.name)
            of_layer.attrs["weight_names"] = [name.encode() for name, _ in named]
            for name, array in named:
                of_layer[name] = array
    return path


def write_archive(path, model, description=None):
    """Write the .keras file of Keras 2, whose weights lie as in that of Keras 3."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "2.15.0"}))
        archive.writestr("config.json", json.dumps(description or described(model)))
        weights = path.with_name("model.weights.h5")
        model.save_weights(weights)
        archive.write(weights, weights.name)
        weights.unlink()
    return path


WRITERS = {".h5": write_hdf5, ".keras": write_archive}


def assert_same(model, loaded):
    expected = model.predict(X, verbose=0)
    assert np.ptp(expected, axis=0).min() > 1e-3, "the images do not look alike to the model"
    np.testing.assert_allclose(loaded.predict(X, verbose=0), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("suffix", WRITERS)
def test_a_file_of_keras_2_predicts_as_the_model_did(kind, suffix, tmp_path):
    model = MODELS[kind]()
    loaded = load_model(WRITERS[suffix](tmp_path / f"model{suffix}", model))
    assert_same(model, loaded)
    assert [layer.name for layer in loaded.layers] == [layer.name for layer in model.layers]


def test_the_first_releases_of_keras_2_named_models_otherwise(tmp_path):
    """A graph was a "Model", and a Sequential was the list of its layers."""
    model = functional()
    description = described(model, module=False)
    description["class_name"] = "Model"
    description["config"]["layers"][2]["class_name"] = "Model"
    path = write_hdf5(tmp_path / "model.h5", model, description, version="2.1.6")
    assert_same(model, load_model(path))
    model = sequential()
    description = described(model, module=False)
    description["config"] = description["config"]["layers"]
    path = write_hdf5(tmp_path / "model.h5", model, description, version="2.1.6")
    assert_same(model, load_model(path))


def test_a_model_of_keras_2_is_saved_as_one_of_keras_3(tmp_path):
    model = functional()
    loaded = load_model(write_hdf5(tmp_path / "old.h5", model))
    loaded.save(tmp_path / "new.keras")
    assert_same(model, keras.models.load_model(tmp_path / "new.keras"))


def test_weights_in_another_order_are_matched_by_name(tmp_path):
    """Keras 2 lists the weights of a frozen nested model layer by layer."""
    model = functional()
    path = write_hdf5(tmp_path / "model.h5", model)
    with h5py.File(path, "r+") as file:
        names = file["model_weights/stem"].attrs["weight_names"]
        file["model_weights/stem"].attrs["weight_names"] = sorted(names)
    assert_same(model, load_model(path))


# TensorFlow functions -----------------------------------------------------------------------------


def with_functions(*calls):
    """A description of the functional model with calls [function, keywords] after its input.

    Each call takes the result of the one before it; "INPUT" is the input of the model.
    """
    description = described(functional(), module=False)
    parts = description["config"]["layers"]
    before = parts[0]["name"]
    for number, (function, keywords) in enumerate(calls):
        name = f"tf.{function}_{number}"
        kind = "SlicingOpLambda" if function.endswith("getitem") else "TFOpLambda"
        if keywords.get("y") == "INPUT":
            keywords = {"y": ["model_input", 0, 0]}
        parts.insert(
            number + 1,
            {
                "class_name": kind,
                "config": {"name": name, "trainable": True, "function": function},
                "name": name,
                "inbound_nodes": [[before, 0, 0, keywords]],
            },
        )
        before = name
    parts[len(calls) + 1]["inbound_nodes"] = [[[before, 0, 0, {}]]]
    return description


REVERSED = [{"class_name": "__ellipsis__"}, {"start": None, "stop": None, "step": -1}]
FUNCTIONS = {
    "x / 127.5 - 1": (
        [("math.truediv", {"y": 127.5, "name": None}), ("math.subtract", {"y": 1.0})],
        lambda x: x / 127.5 - 1,
    ),
    "caffe": (
        [
            ("__operators__.getitem", {"slice_spec": REVERSED}),
            ("nn.bias_add", {"bias": [-103.9, -116.8, -123.7], "data_format": "NHWC"}),
        ],
        lambda x: x[..., ::-1] - np.float32([103.9, 116.8, 123.7]),
    ),
    "x + x": ([("__operators__.add", {"y": "INPUT"})], lambda x: x + x),
    "standardised": (
        [
            ("cast", {"dtype": "float32"}),
            ("math.multiply", {"y": [0.1, 0.2, 0.3]}),
            ("clip_by_value", {"clip_value_min": 5.0, "clip_value_max": 40.0}),
        ],
        lambda x: np.clip(x * np.float32([0.1, 0.2, 0.3]), 5, 40),
    ),
    "mean - x": (
        [
            ("math.reduce_mean", {"axis": [1, 2], "keepdims": True}),
            ("math.subtract", {"y": "INPUT"}),
        ],
        lambda x: x.mean((1, 2), keepdims=True) - x,
    ),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_tensorflow_function_becomes_one_of_keras(name, tmp_path):
    """What preprocess_input of keras.applications and the operators leave in a graph."""
    calls, function = FUNCTIONS[name]
    path = write_hdf5(tmp_path / "model.h5", functional(), with_functions(*calls))
    expected = functional().predict(function(X), verbose=0)
    np.testing.assert_allclose(load_model(path).predict(X, verbose=0), expected, rtol=1e-5)


@pytest.mark.parametrize(
    "call, named",
    [
        (("image.per_image_standardization", {}), "tf.image.per_image_standardization"),
        (("nn.bias_add", {"bias": [1, 2, 3], "data_format": "NCHW"}), "tf.nn.bias_add with bias"),
        (("nn.silu", {"beta": 2.0}), "tf.nn.silu with beta"),
    ],
)
def test_another_tensorflow_function_is_named(call, named, tmp_path):
    """It is no Lambda, and to trust the file would not help."""
    path = write_hdf5(tmp_path / "model.h5", functional(), with_functions(call))
    with pytest.raises(ValueError, match=re.escape(named)) as refusal:
        load_model(path)
    assert "Lambda layer" not in str(refusal.value) and "trust" not in str(refusal.value)
    assert "Keras 2.15.0 wrote it" in str(refusal.value)


def test_an_operation_of_the_first_tensorflow_2_is_named(tmp_path):
    description = with_functions(("math.truediv", {"y": 255.0}))
    layer = description["config"]["layers"][1]
    layer["class_name"] = "TensorFlowOpLayer"
    layer["config"] = {"name": "truediv", "node_def": 'name: "truediv"\nop: "RealDiv"\ninput: "x"'}
    path = write_hdf5(tmp_path / "model.h5", functional(), description)
    with pytest.raises(ValueError, match=r"the TensorFlow operation RealDiv .TensorFlowOpLayer"):
        load_model(path)


def test_the_remedy_for_such_a_function_works(tmp_path):
    """The same model is built in Python, and reads the weights of the file."""
    model = functional()
    call = ("image.per_image_standardization", {})
    path = write_hdf5(tmp_path / "model.h5", model, with_functions(call))
    for file in (path, write_archive(tmp_path / "model.keras", model, with_functions(call))):
        again = functional()
        again.set_weights([0 * weight for weight in again.get_weights()])
        again.load_weights(file)
        assert_same(model, again)


def test_hard_sigmoid_is_that_of_keras_2(tmp_path):
    """Keras 3 has another function of the same name."""
    model = functional()
    description = described(model, module=False)
    description["config"]["layers"][-1]["config"]["activation"] = "hard_sigmoid"
    logits = model.predict(X, verbose=0)
    scale = 2 / np.abs(logits).max()
    kernel, bias = model.layers[-1].get_weights()
    model.layers[-1].set_weights([scale * kernel, scale * bias])
    loaded = load_model(write_hdf5(tmp_path / "model.h5", model, description))
    expected = np.clip(0.2 * scale * logits + 0.5, 0, 1)
    np.testing.assert_allclose(loaded.predict(X, verbose=0), expected, rtol=1e-5)


# Which file it is ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["model.keras", "model.model", "model", "model.hdf5", "model.H5"])
def test_hdf5_is_recognised_by_its_content(name, tmp_path):
    model = functional()
    write_hdf5(tmp_path / "old.h5", model)
    assert_same(model, load_model(shutil.move(tmp_path / "old.h5", tmp_path / name)))
    model.save(tmp_path / "new.h5")
    assert_same(model, load_model(shutil.move(tmp_path / "new.h5", tmp_path / name)))


@pytest.mark.parametrize("write", [write_archive, lambda path, model: model.save(path)])
def test_an_archive_is_recognised_by_its_content_and_unpacked(write, tmp_path):
    model = functional()
    write(tmp_path / "model.keras", model)
    shutil.copy(tmp_path / "model.keras", tmp_path / "model.h5")
    zipfile.ZipFile(tmp_path / "model.keras").extractall(tmp_path / "folder")
    for name in ("model.keras", "model.h5", "folder"):
        assert_same(model, load_model(tmp_path / name))


def test_an_export_of_teachable_machine_is_loaded_as_it_comes(tmp_path):
    model = sequential()
    write_hdf5(tmp_path / "keras_model.h5", model)
    with zipfile.ZipFile(tmp_path / "converted_keras.zip", "w") as archive:
        archive.write(tmp_path / "keras_model.h5", "keras_model.h5")
        archive.writestr("labels.txt", "0 Apple\n1 Lime\n2 Plum\n")
    assert_same(model, load_model(tmp_path / "converted_keras.zip"))
    assert_same(model, load_model(tmp_path))


def half_written(path):
    model = functional()
    model.save(path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def write_without_weights(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "2.15.0"}))
        archive.writestr("config.json", json.dumps(described(functional())))


def write_half_of_the_weights(path):
    write_archive(path, functional())
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    weights = members["model.weights.h5"]
    members["model.weights.h5"] = weights[: len(weights) // 2]
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def folder_with(*names):
    def write(path):
        path.mkdir()
        for name in names:
            (path / name).touch()

    return write


def write_old_weights(path):
    write_hdf5(path, functional())
    with h5py.File(path, "r+") as file:
        file.attrs["layer_names"] = file["model_weights"].attrs["layer_names"]
        del file.attrs["model_config"]


WRONG = {
    "nowhere.keras": (lambda path: None, "there is no model file"),
    "text.keras": (lambda path: path.write_text("hello"), "neither a .keras archive nor an HDF5"),
    "empty.keras": (lambda path: path.touch(), "neither a .keras archive nor an HDF5 file"),
    "short.keras": (half_written, "damaged or incomplete"),
    "short.h5": (half_written, "damaged or incomplete"),
    "bare.keras": (write_without_weights, "it has no weights"),
    "torn.keras": (write_half_of_the_weights, "damaged or incomplete"),
    "empty": (folder_with(), "a folder without a model"),
    "saved": (folder_with("saved_model.pb", "keras_metadata.pb"), "tf_keras.models.load_model"),
    "exported": (folder_with("saved_model.pb"), "the function of a model and not its layers"),
    "photographs.zip": (
        lambda path: zipfile.ZipFile(path, "w").writestr("a.txt", "hello"),
        "a zip archive without a model",
    ),
    "table.h5": (
        lambda path: h5py.File(path, "w").create_dataset("a", data=[1, 2]),
        "an HDF5 file without a model",
    ),
    "m.weights.h5": (lambda path: functional().save_weights(path), "only weights"),
    "old-weights.h5": (write_old_weights, "only weights"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_model_is_refused_in_one_line(name, tmp_path):
    write, words = WRONG[name]
    write(tmp_path / name)
    with pytest.raises(ValueError, match=words) as refusal:
        load_model(tmp_path / name)
    assert "\n" not in str(refusal.value)
    assert "this version of Keras" not in str(refusal.value), "where it is Keras that cannot"


# Classes and functions of the user, code in the file ----------------------------------------------


class Doubled(layers.Layer):
    def call(self, x):
        return 2 * x


def halved(x):
    return x / 2


@pytest.fixture
def own_module(monkeypatch):
    """The name of a module with a layer and a function that nobody has registered."""
    module = types.ModuleType("module_of_a_stranger")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    for value in (Doubled, halved):
        monkeypatch.setattr(value, "__module__", module.__name__)
        setattr(module, value.__name__, value)
    return module.__name__


def custom():
    """A model with that layer, and that function as an activation."""
    inputs = keras.Input((SIDE, SIDE, 3))
    x = Doubled()(layers.Conv2D(4, 3, activation=halved)(inputs))
    return randomised(keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling2D()(x))))


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_unregistered_classes_and_functions_are_taken_from_the_module(suffix, own_module, tmp_path):
    model = custom()
    model.save(tmp_path / f"model{suffix}")
    with pytest.raises(ValueError, match=r"it needs the (class Doubled|function halved): pass --i"):
        load_model(tmp_path / f"model{suffix}")
    assert_same(model, load_model(tmp_path / f"model{suffix}", modules=[own_module]))


def test_a_class_in_a_file_of_keras_2_is_taken_from_the_module(own_module, tmp_path):
    model = functional()
    description = described(model, module=False)
    description["config"]["layers"][1]["class_name"] = "Doubled"
    del description["config"]["layers"][1]["config"]["scale"]
    del description["config"]["layers"][1]["config"]["offset"]
    path = write_hdf5(tmp_path / "model.h5", model, description)
    with pytest.raises(ValueError, match="it needs the class Doubled: pass --import"):
        load_model(path)
    with pytest.raises(ValueError, match="class Doubled, which is not defined in math, json: pass"):
        load_model(path, modules=["math", "json"])
    loaded = load_model(path, modules=[own_module])
    expected = model.predict(2 * 255 * X, verbose=0)
    np.testing.assert_allclose(loaded.predict(X, verbose=0), expected, rtol=1e-4)


def test_what_a_module_imports_from_elsewhere_is_not_offered_to_the_file(own_module, tmp_path):
    sys.modules[own_module].rmtree = shutil.rmtree
    model = functional()
    description = described(model)
    description["config"]["layers"][-1]["config"]["activation"] = "rmtree"
    path = write_archive(tmp_path / "model.keras", model, description)
    with pytest.raises(ValueError, match="it needs the function rmtree"):
        load_model(path, modules=[own_module])


def test_a_missing_module_is_named():
    with pytest.raises(ImportError, match="no_such_module"):
        load_model(__file__, modules=["no_such_module"])


def test_preprocess_input_in_a_lambda_is_taken_from_the_module_of_the_backbone(tmp_path):
    """The file has only its name, which many modules of keras.applications share."""
    function = keras.applications.mobilenet_v2.preprocess_input
    inputs = keras.Input((SIDE, SIDE, 3))
    x = layers.Conv2D(4, 3)(layers.Lambda(function)(inputs))
    x = layers.GlobalAveragePooling2D()(x)
    model = randomised(keras.Model(inputs, layers.Dense(3)(x)))
    model.save(tmp_path / "model.keras")
    with pytest.raises(ValueError, match="such as keras.applications.mobilenet_v2"):
        load_model(tmp_path / "model.keras", trust=True)
    loaded = load_model(tmp_path / "model.keras", modules=["keras.applications.mobilenet_v2"])
    assert_same(model, loaded)


def lambda_of_keras_2(function, module):
    """A description of the functional model with a Lambda in the place of its Rescaling."""
    saved = layers.Lambda(function, name="rescaling").get_config()["function"]["config"]
    description = described(functional(), module=False)
    entry = description["config"]["layers"][1]
    entry["class_name"] = "Lambda"
    entry["config"] = {
        "name": "rescaling",
        "trainable": True,
        "dtype": "float32",
        "function": [saved["code"], saved["defaults"], saved["closure"]],
        "function_type": "lambda",
        "module": module,
        "output_shape": None,
        "output_shape_type": "raw",
        "output_shape_module": None,
        "arguments": {},
    }
    return description


def test_code_in_a_file_of_keras_2_runs_only_if_it_is_trusted(tmp_path):
    model = functional()
    description = lambda_of_keras_2(lambda x: x / 255, "__main__")
    path = write_hdf5(tmp_path / "model.h5", model, description)
    with pytest.raises(ValueError, match="it holds a Lambda layer.*pass --trust"):
        load_model(path)
    assert_same(model, load_model(path, trust=True))


def test_preprocess_input_in_a_file_of_keras_2_is_that_of_keras_3(tmp_path):
    """Its module says which, and no code of the file runs."""
    module = "keras.src.applications.mobilenet_v2"
    description = lambda_of_keras_2(lambda x: 1 / 0, module)
    loaded = load_model(write_hdf5(tmp_path / "model.h5", functional(), description))
    expected = functional().predict(255 * (X / 127.5 - 1), verbose=0)
    np.testing.assert_allclose(loaded.predict(X, verbose=0), expected, rtol=1e-4)


def test_weights_that_point_to_another_file_are_refused(tmp_path):
    path = write_hdf5(tmp_path / "model.h5", functional())
    other = write_hdf5(tmp_path / "other.h5", functional())
    with h5py.File(path, "r+") as file:
        group = file["model_weights/dense"]
        del group["dense/kernel:0"]
        group["dense/kernel:0"] = h5py.ExternalLink(other, "/model_weights/dense/dense/kernel:0")
    with pytest.raises(ValueError, match="point to another file"):
        load_model(path)


def write_of_keras_hub(path):
    """Write a model of a class of KerasHub that no release has."""
    functional().save(path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(members["config.json"])
    config["module"] = "keras_hub.src.models.no_such_model"
    members["config.json"] = json.dumps(config)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


# The kinds of files, as the reference lists them --------------------------------------------------


def saved(model, path):
    """Save a model as Keras 3 does."""
    model.save(path)
    return path, model


def unpacked(folder):
    path, model = saved(functional(), folder / "model.keras")
    zipfile.ZipFile(path).extractall(folder / "unpacked")
    return folder / "unpacked", model


def exported_by_teachable_machine(folder):
    model = sequential()
    write_hdf5(folder / "keras_model.h5", model)
    with zipfile.ZipFile(folder / "converted_keras.zip", "w") as archive:
        archive.write(folder / "keras_model.h5", "keras_model.h5")
    return folder / "converted_keras.zip", model


def of_keras_2(write, path, model, *more):
    """Write a model as Keras 2 does."""
    return write(path, model, *more), model


def with_a_function(folder, name):
    calls, function = FUNCTIONS[name]
    path = write_hdf5(folder / "model.h5", functional(), with_functions(*calls))
    image = keras.Input((SIDE, SIDE, 3))
    return path, keras.Model(image, functional()(function(image)))


def with_a_function_of_ones_own(folder):
    """A model of Keras 2 whose last layer has the activation `halved`."""
    description = described(functional(), module=False)
    description["config"]["layers"][-1]["config"]["activation"] = "halved"
    path = write_hdf5(folder / "model.h5", functional(), description)
    image = keras.Input((SIDE, SIDE, 3))
    return path, keras.Model(image, functional()(image) / 2)


def with_preprocess_input(folder):
    inputs = keras.Input((SIDE, SIDE, 3))
    x = layers.Lambda(keras.applications.mobilenet_v2.preprocess_input)(inputs)
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3)(x))
    model = randomised(keras.Model(inputs, layers.Dense(3)(x)))
    return saved(model, folder / "model.keras")


def with_own_lambda(folder):
    description = lambda_of_keras_2(lambda x: x / 255, "__main__")
    return of_keras_2(write_hdf5, folder / "model.h5", functional(), description)


def no_model(write, path):
    """Write what is refused whatever is given."""
    write(path)
    return path, None


def lacking_function(folder):
    call = ("image.per_image_standardization", {})
    path = write_hdf5(folder / "model.h5", functional(), with_functions(call))
    return path, None


# {kind: a function that writes such a file into a folder, and returns its path and its model}.
WRITTEN = {
    "a .keras file of Keras 3": lambda at: saved(functional(), at / "model.keras"),
    "an HDF5 file (.h5) of Keras 3": lambda at: saved(functional(), at / "model.h5"),
    "a .h5 file of Keras 2: Functional, with a nested model and DepthwiseConv2D": lambda at: (
        of_keras_2(write_hdf5, at / "model.h5", functional())
    ),
    "a .h5 file of Keras 2: Sequential of Sequentials": lambda at: of_keras_2(
        write_hdf5, at / "model.h5", sequential()
    ),
    "a .h5 file of Keras 2 with TensorFlow functions that keras.ops has as well": lambda at: (
        with_a_function(at, "x / 127.5 - 1")
    ),
    "a .keras file of Keras 2": lambda at: of_keras_2(
        write_archive, at / "model.keras", functional()
    ),
    "an HDF5 file with another suffix, such as .keras": lambda at: of_keras_2(
        write_hdf5, at / "model.keras", functional()
    ),
    "the folder that a .keras file unpacks to": unpacked,
    "an export of Teachable Machine, as a zip archive": exported_by_teachable_machine,
    "a .h5 file of Keras 2 with a TensorFlow function that keras.ops lacks": lacking_function,
    "classes and functions that are not registered": lambda at: saved(custom(), at / "model.keras"),
    "the same, of Keras 2": with_a_function_of_ones_own,
    "preprocess_input in a Lambda": with_preprocess_input,
    "a Lambda of one's own function": with_own_lambda,
    "a model of KerasHub, which is not installed": lambda at: no_model(
        write_of_keras_hub, at / "model.keras"
    ),
    "a SavedModel folder of Keras 2": lambda at: no_model(
        folder_with("saved_model.pb", "keras_metadata.pb"), at / "model"
    ),
    "a SavedModel folder of model.export": lambda at: no_model(
        folder_with("saved_model.pb"), at / "model"
    ),
    "weights alone (.weights.h5)": lambda at: no_model(
        lambda path: functional().save_weights(path), at / "model.weights.h5"
    ),
    "half of a file": lambda at: no_model(half_written, at / "model.keras"),
}


@pytest.mark.parametrize("kind", FILES, ids=lambda kind: kind.name)
def test_the_kinds_of_files_do_what_the_reference_says(kind, own_module, tmp_path, capsys):
    path, model = WRITTEN[kind.name](tmp_path)
    if kind.words:
        with pytest.raises(ValueError, match=re.escape(kind.words)) as refusal:
            load_model(path)
        assert "\n" not in str(refusal.value)
        capsys.readouterr()
        assert main(["analyze", str(path), "images", "--out", str(tmp_path / "out")]) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert line == f"error: {' '.join(str(refusal.value).split())}"
    options = {
        "": {},
        "modules": {"modules": [own_module, "keras.applications.mobilenet_v2"]},
        "trust": {"trust": True},
    }
    if not kind.words or kind.option:
        assert_same(model, load_model(path, **options[kind.option]))
    else:
        assert model is None


# Files that real releases of Keras wrote ----------------------------------------------------------

REFUSED = {
    "functional-savedmodel": "SavedModel folder of Keras 2",
    "hub-resnet.keras": "pip install keras-hub",
    "hub-vit.keras": "pip install keras-hub",
    "m-ViT_class_token.keras": "it needs the class Patches",
    "m-subclassed__wrapped__keras_Model_i__m_i__.keras": "it needs the class Net",
}


@pytest.mark.skipif(not STRANGERS.is_dir(), reason="the strangers' files lie beside the project")
@pytest.mark.slow
def test_files_of_real_releases_are_loaded_or_refused():
    files = [*STRANGERS.glob("keras2/*"), *STRANGERS.glob("keras3/*")]
    assert len(files) > 20
    for file in files:
        if file.name in REFUSED and not file.name.startswith("hub") or not has_keras_hub(file):
            with pytest.raises(ValueError, match=REFUSED[file.name]):
                load_model(file, trust=True)
        else:
            model = load_model(file, trust=True)
            assert len(model.outputs) == 1


def has_keras_hub(file):
    """Whether a file does without KerasHub, or it is installed."""
    return not file.name.startswith("hub") or importlib.util.find_spec("keras_hub") is not None


@pytest.mark.skipif(not STRANGERS.is_dir(), reason="the strangers' files lie beside the project")
def test_one_model_in_both_formats_of_keras_2_is_the_same():
    images = np.random.default_rng(0).uniform(0, 255, size=(2, 64, 64, 3)).astype("float32")
    old = load_model(STRANGERS / "keras2" / "functional.h5")
    new = load_model(STRANGERS / "keras2" / "functional.keras")
    np.testing.assert_array_equal(old.predict(images, verbose=0), new.predict(images, verbose=0))
