"""Fingerprints of models: the same in every process and version, and no two models alike."""

import hashlib
import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import keras
import numpy as np
import pytest
import zoo
from keras import layers

from camkit.models._serialize import fingerprint


def test_a_fingerprint_outlives_saving_and_tells_models_apart(tmp_path):
    model, *_ = zoo.flat()
    digest = fingerprint(model)
    assert fingerprint(zoo.reloaded(tmp_path, lambda: (model,))[0]) == digest
    assert fingerprint(zoo.flat()[0]) == digest, "names of layers do not count"
    assert fingerprint(zoo.flat(use_bias=False)[0]) != digest
    weights = model.get_weights()
    weights[0].flat[3] += 1e-6
    model.set_weights(weights)
    assert fingerprint(model) != digest


# Older versions of Keras cannot load the file.
@pytest.mark.locked
def test_the_constants_of_operations_count(tmp_path):
    def divided_by(image_range):
        keras.utils.set_random_seed(0)
        image = keras.Input((8, 8, 3))
        scaled = keras.ops.clip(image / image_range, 0, 1) - np.array([0.5, 0.4, 0.3], "float32")
        pooled = keras.layers.GlobalAveragePooling2D()(scaled)
        return keras.Model(image, keras.layers.Dense(2)(pooled))

    digest = fingerprint(divided_by(255))
    assert fingerprint(divided_by(255)) == digest != fingerprint(divided_by(127.5))
    divided_by(255).save(tmp_path / "m.keras")
    assert fingerprint(keras.models.load_model(tmp_path / "m.keras")) == digest


def test_a_model_has_the_fingerprint_that_version_1_0_0_gave_it():
    folder = Path(__file__).parent / "analysis_1_0_0"
    model = keras.models.load_model(folder / "model.keras")
    for about in folder.glob("*/about.json"):
        assert fingerprint(model) == json.loads(about.read_text(encoding="utf-8"))["model"]


@keras.saving.register_keras_serializable("camkit-tests")
class Apply(layers.Layer):
    """A layer whose settings are a function, or anything else."""

    def __init__(self, function, **options):
        super().__init__(**options)
        # A .keras file holds a function by its name.
        if isinstance(function, dict):
            function = keras.saving.deserialize_keras_object(function)
        self.function = function

    def call(self, x):
        return self.function(x)

    def get_config(self):
        return {**super().get_config(), "function": self.function}


@keras.saving.register_keras_serializable("camkit-tests")
def halved(x, by=2.0, power=lambda x: x**1):
    return power(x) / by


def fingerprint_of(*functions):
    return fingerprint(zoo.flat(body=zoo.after(*map(Apply, functions)))[0])


ELSEWHERE = """
import sys
import keras
import test_fingerprint
from camkit.models._serialize import fingerprint
print(fingerprint(keras.models.load_model(sys.argv[1])))
"""


def test_a_model_that_holds_functions_has_one_fingerprint_in_every_process(tmp_path):
    body = zoo.after(Apply(keras.activations.gelu), Apply(halved))
    model, *_ = zoo.flat(body=body)
    model.save(tmp_path / "model.keras")
    command = [sys.executable, "-c", ELSEWHERE, str(tmp_path / "model.keras")]
    child = subprocess.run(
        command,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert child.stdout.strip() == fingerprint(model), child.stderr


def test_functions_are_told_apart_by_what_they_do():
    def scaled(factor):
        return lambda x: x * factor

    def again(factor):
        return lambda x: x * factor

    def recursive(x, depth=2):
        return recursive(x + 1, depth - 1) if depth else x

    def even(x, depth=2):
        return odd(x, depth - 1) if depth else x

    def odd(x, depth=2):
        return even(x, depth - 1) if depth else -x

    class Method:
        def __init__(self, factor):
            self.factor = factor

        def __call__(self, x):
            return x * self.factor

        def get_config(self):
            return {"factor": self.factor}

        def times(self, x):
            return x * self.factor

    assert fingerprint_of(scaled(2.0)) == fingerprint_of(again(2.0)), "lines do not count"
    assert fingerprint_of(recursive) == fingerprint_of(recursive)
    assert fingerprint_of(even) == fingerprint_of(even) != fingerprint_of(odd)
    functions = [
        scaled(2.0),
        scaled(3.0),
        lambda x: x + 2.0,
        lambda x: x - 2.0,
        lambda x: keras.ops.cos(x),
        lambda x: keras.ops.sin(x),
        keras.activations.relu,
        keras.activations.gelu,
        partial(halved, by=3.0),
        partial(halved, by=4.0),
        Method(2.0).times,
        Method(3.0).times,
    ]
    assert len({fingerprint_of(function) for function in functions}) == len(functions)


def test_the_globals_that_a_function_uses_count():
    def with_global(factor):
        variables = {"factor": factor, "unused": object()}
        exec("def scaled(x):\n    return x * factor", variables)
        return variables["scaled"]

    assert fingerprint_of(with_global(2.0)) == fingerprint_of(with_global(2.0))
    assert fingerprint_of(with_global(2.0)) != fingerprint_of(with_global(3.0))


def test_layers_that_share_a_setting_are_like_those_that_hold_equal_ones():
    """A model that was loaded from a file holds equal ones."""
    shared = partial(halved, by=3.0)
    equal = partial(halved, by=3.0)
    assert fingerprint_of(shared, shared) == fingerprint_of(shared, equal)


def holding(value):
    return lambda x: x if value else -x


def test_models_and_layers_that_a_function_uses_count_with_their_weights():
    def dense(seed):
        keras.utils.set_random_seed(seed)
        layer = layers.Dense(3)
        layer.build((None, 3))
        return layer

    def in_model(seed):
        return keras.Sequential([keras.Input((3,)), dense(seed)])

    for make in (dense, in_model):
        first, again, other = (fingerprint_of(holding(make(seed))) for seed in (0, 0, 1))
        assert first == again != other


def test_a_function_may_use_the_model_that_it_belongs_to():
    def model(factor):
        def scaled(x):
            return x * factor if holder else x

        holder = []
        whole = zoo.flat(body=zoo.after(Apply(scaled)))[0]
        whole.set_weights([np.full(w.shape, 0.5) for w in whole.get_weights()])
        holder.append(whole)
        return whole

    assert fingerprint(model(2.0)) == fingerprint(model(2.0)) != fingerprint(model(3.0))


class Subclassed(keras.Model):
    """A model without a graph of layers."""

    def call(self, x):
        return x


@pytest.mark.parametrize("make", [object, Subclassed])
def test_what_cannot_be_known_is_not_taken_for_another(make, monkeypatch):
    first, second = make(), make()
    digest = fingerprint_of(holding(first))
    assert fingerprint_of(holding(first)) == digest
    assert fingerprint_of(holding(second)) != digest
    # In another process, another object may have the address.
    monkeypatch.setattr("camkit.models._serialize._PROCESS", "another")
    assert fingerprint_of(holding(first)) != digest


def test_objects_of_keras_count_by_their_settings():
    initializers = [keras.initializers.Constant(value) for value in (1.0, 1.0, 2.0)]
    digests = [fingerprint_of(holding(initializer)) for initializer in initializers]
    assert digests[0] == digests[1] != digests[2]


def test_plain_settings_that_json_cannot_hold_count_by_their_text():
    """As in version 1.0.0, whose analyses go on."""

    class Held(layers.Layer):
        def call(self, x):
            return x

        def get_config(self):
            return {
                "value": np.float32(0.5),
                "path": Path("a"),
                "bytes": b"x",
                "kind": np.dtype("int8"),
            }

    image = keras.Input((2, 2, 3))
    held = Held(name="held")
    digest = hashlib.sha256()
    for layer in (keras.Model(image, held(image))).layers:
        config = {key: value for key, value in layer.get_config().items() if key != "name"}
        text = json.dumps([type(layer).__name__, config], default=str, sort_keys=True)
        digest.update(text.encode())
    assert fingerprint(keras.Model(image, held(image))) == digest.hexdigest()
