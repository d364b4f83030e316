"""The three functions that each backend has, and the choice of the backend."""

import os
import subprocess
import sys

import keras
import numpy as np
import onnx
import pytest
import zoo
from keras import layers, ops
from onnx.reference import ReferenceEvaluator
from repository import child_environment

from camkit.maps._onnx import onnx_features
from camkit.models._backend import compile_forward, compile_query, gradient


def dense(value):
    """Return a model from three numbers to their weighted sum, with this value of all weights."""
    model = keras.Sequential([keras.Input((3,)), layers.Dense(1, use_bias=False)])
    give(model, value)
    return model


def give(model, value):
    model.set_weights([np.full(w.shape, value) for w in model.get_weights()])


def as_arrays(function):
    """Return a function of tensors as one of arrays, without compiling it."""
    return lambda array: ops.convert_to_numpy(function(ops.convert_to_tensor(array)))


def test_a_model_becomes_an_onnx_file_with_the_same_features():
    image = keras.Input((8, 8, 3))
    convolution = layers.Conv2D(4, 3, strides=2, padding="same", activation="relu")(image)
    pooled = layers.GlobalAveragePooling2D()(convolution)
    model = keras.Model(image, layers.Dense(3, activation="softmax")(pooled))
    features = onnx_features(model)
    evaluator = ReferenceEvaluator(onnx.load_from_string(features.content))
    batch = np.random.default_rng(0).integers(0, 256, (1, 8, 8, 3)).astype("float32")
    [found] = evaluator.run(None, {evaluator.input_names[0]: batch})
    logits = found.mean(axis=(1, 2)) @ features.cam.kernel + features.cam.bias
    np.testing.assert_allclose(logits, features.cam(batch).logits, rtol=1e-4, atol=1e-4)


# The functions ------------------------------------------------------------------------------------


def test_the_gradient_is_the_slope_of_the_sum():
    """Of Σ x³ sin(y), by central differences in double precision."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 4, 3))

    def function(tensor):
        return tensor**3 * ops.sin(ops.convert_to_tensor(y.astype("float32")))

    found = as_arrays(lambda tensor: gradient(function, tensor))(x.astype("float32"))
    step = 1e-4
    expected = ((x + step) ** 3 - (x - step) ** 3) / (2 * step) * np.sin(y)
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("function", [lambda tensor: tensor[:, 0], lambda tensor: ops.ones((2, 3))])
def test_the_gradient_is_zero_where_nothing_depends_on_the_tensor(function):
    found = as_arrays(lambda tensor: gradient(function, tensor))(np.ones((2, 3), "float32"))
    assert found[:, 1:].tolist() == [[0, 0], [0, 0]]


def test_a_query_reads_the_current_weights_and_takes_batches_of_any_length():
    model = dense(1.0)
    batch = np.arange(6, dtype="float32").reshape(2, 3)
    query = compile_query(lambda images: (model(images), gradient(model, images)), batch)
    sums, slopes = query(batch)
    assert sums.tolist() == [[3], [12]]
    assert slopes.tolist() == [[1, 1, 1], [1, 1, 1]]
    give(model, 2.0)
    sums, slopes = query(batch[:1])
    assert sums.tolist() == [[6]]
    assert slopes.tolist() == [[2, 2, 2]]


def test_a_query_takes_integers():
    query = compile_query(
        lambda table, indices: ops.take_along_axis(table, indices[:, None], axis=1),
        np.zeros((2, 3), "float32"),
        np.zeros(2, "int64"),
    )
    table = np.arange(9, dtype="float32").reshape(3, 3)
    assert query(table, np.array([2, 0, 1])).tolist() == [[2], [3], [7]]


def test_results_are_arrays_that_can_be_written_to():
    model = zoo.flat()[0]
    forward = compile_forward(lambda images: {"scores": model(images)}, model)
    for count in (5, 2):
        scores = forward(zoo.images(count))["scores"]
        assert type(scores) is np.ndarray and scores.shape == (count, zoo.CLASSES)
        scores[:] = 0


def test_nothing_compiled_changes_a_model():
    model = zoo.shake(keras.Sequential([keras.Input((3,)), layers.BatchNormalization()]))
    before = model.get_weights()
    compile_query(model, np.ones((2, 3), "float32"))(np.ones((4, 3), "float32"))
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


# The choice ---------------------------------------------------------------------------------------

# In the place of Keras is a module that prints the backend, and in that of a backend an empty one.
CHOOSE = """
import sys
for name in {"tensorflow", "jax", "torch"} - set(sys.argv[1].split()):
    sys.modules[name] = None
import camkit
try:
    import keras
except ImportError as error:
    print(error)
"""


# Keras, of which the backend of NumPy needs something else that is not installed.
KERAS = """
import os, pathlib
settings = pathlib.Path(os.environ["KERAS_HOME"], "keras.json")
text = settings.read_text() if settings.exists() else ""
if "numpy" in (os.environ.get("KERAS_BACKEND") or text):
    import no_such_module
print(os.environ.get("KERAS_BACKEND"))
"""


@pytest.fixture
def choose(tmp_path):
    """Return a function that tells what camkit says where these backends are installed."""
    for name in ("tensorflow", "jax", "torch"):
        (tmp_path / f"{name}.py").touch()
    (tmp_path / "keras.py").write_text(KERAS)
    home = tmp_path / "home"
    home.mkdir()

    def run(installed, backend="", settings=None):
        if settings is not None:
            (home / "keras.json").write_text(settings)
        environment = child_environment()
        environment["PYTHONPATH"] = os.pathsep.join([str(tmp_path), environment["PYTHONPATH"]])
        environment |= {"KERAS_HOME": str(home), "KERAS_BACKEND": backend}
        command = [sys.executable, "-c", CHOOSE, installed]
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        assert done.stderr == ""
        return done.stdout.removesuffix("\n")

    return run


@pytest.mark.parametrize(
    "installed, expected",
    [("tensorflow jax torch", "tensorflow"), ("jax torch", "jax"), ("torch", "torch")],
)
def test_without_a_choice_keras_runs_on_what_is_installed(choose, installed, expected):
    assert choose(installed) == expected
    # Keras writes this file when it is first imported.
    assert choose(installed, settings='{"backend": "tensorflow"}') == expected


def test_the_choice_of_the_user_counts(choose):
    everything = "tensorflow jax torch"
    assert choose(everything, "torch") == "torch"
    # Keras reads the name in its settings by itself.
    assert choose(everything, settings='{"backend": "jax"}') == ""
    assert choose(everything, "torch", settings='{"backend": "jax"}') == "torch"
    assert choose(everything, settings="{") == "tensorflow"


def test_what_is_not_installed_is_named_with_a_remedy(choose):
    assert choose("tensorflow", "jax") == (
        "KERAS_BACKEND is 'jax', which is not installed: pip install 'camkit[jax]', or set the "
        "environment variable KERAS_BACKEND=tensorflow"
    )
    assert choose("jax torch", "pytorch") == (
        "KERAS_BACKEND is 'pytorch', which is not installed: set the environment variable "
        "KERAS_BACKEND=jax"
    )
    in_settings = choose("tensorflow", settings='{"backend": "torch"}')
    assert in_settings.startswith("the backend in ") and "keras.json is 'torch', " in in_settings
    assert choose("", settings="{}") == (
        "Keras needs tensorflow or jax or torch, and none is installed: pip install "
        "'camkit[tensorflow]'"
    )


def test_a_backend_that_camkit_does_not_run_on_is_refused_where_keras_fails_on_it(choose):
    refusal = (
        "camkit runs on Keras' backends tensorflow, jax, torch, not on 'numpy': set the "
        "environment variable KERAS_BACKEND=tensorflow before Keras is imported (No module named "
        "'no_such_module')"
    )
    assert choose("tensorflow", "numpy") == refusal
    assert choose("tensorflow", settings='{"backend": "numpy"}') == refusal
    assert choose("tensorflow", "openvino").startswith("KERAS_BACKEND is 'openvino', which is not")


def test_a_backend_that_is_chosen_after_camkit_is_imported_counts():
    """It is chosen where Keras is first imported, and Keras may be imported first, too."""
    code = "import os, camkit; print('keras' in sys.modules, os.environ.get('KERAS_BACKEND'))"
    environment = child_environment()
    environment.pop("KERAS_BACKEND", None)
    command = [sys.executable, "-c", f"import sys; {code}"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.stdout == "False None\n"
