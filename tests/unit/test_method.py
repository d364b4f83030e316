"""A method is known by what it does, so that nobody is given the maps of another one."""

import dataclasses
import enum
import functools
import json
import re
import subprocess
import sys
import textwrap
import types
from pathlib import Path

import keras
import numpy as np
import pytest
import zoo
from keras import layers

import camkit
from camkit._identity import public_name
from camkit.analysis._method import UnknownState, identify, is_same

ROOT = Path(__file__).resolve().parents[2]


def run(code, **names):
    """Return the variables of a piece of code, as a notebook's cell would leave them."""
    variables = {"__name__": "__main__", "camkit": camkit, "np": np, **names}
    exec(compile(textwrap.dedent(code), "<cell>", "exec"), variables)
    return variables


def method_of(code, **names):
    return run(code, **names)["method"]


# What analyze does --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def images():
    return camkit.load_images("mini", "Test", per_class=1).unlabelled()


@pytest.fixture(scope="module")
def model():
    top = [layers.Flatten(), layers.Dense(zoo.CLASSES)]
    return zoo.shake(zoo.stack(*top))


def test_another_lambda_is_not_given_the_maps_of_the_first(model, images, tmp_path):
    first = camkit.analyze(
        model, images, tmp_path, method=lambda m, x, t: camkit.grad_cam(m, x, t), batch_size=4
    )
    maps = np.array(first.maps)
    with pytest.raises(ValueError, match=r"another method \(the code of '<lambda>', or a"):
        camkit.analyze(
            model, images, tmp_path, method=lambda m, x, t: camkit.hires_cam(m, x, t), batch_size=4
        )
    again = camkit.analyze(
        model, images, tmp_path, method=lambda m, x, t: camkit.grad_cam(m, x, t), batch_size=4
    )
    np.testing.assert_array_equal(again.maps, maps)


def test_a_function_that_was_edited_in_a_notebook_is_another(model, images, tmp_path):
    code = (
        "def method(model, batch, targets):\n    return {} * camkit.grad_cam(model, batch, targets)"
    )
    camkit.analyze(model, images, tmp_path, method=method_of(code.format(1)), batch_size=4)
    camkit.analyze(model, images, tmp_path, method=method_of(code.format(1)), batch_size=4)
    changed = (
        r"holds the analysis of another method \(the code of 'method', or a value it uses, has"
    )
    with pytest.raises(ValueError, match=changed):
        camkit.analyze(model, images, tmp_path, method=method_of(code.format(2)), batch_size=4)
    with pytest.raises(ValueError, match="holds the analysis of another method: choose another"):
        camkit.analyze(model, images, tmp_path, method=camkit.hires_cam, batch_size=4)


class Scaled:
    """A callable class, as a user writes it."""

    def __init__(self, factor):
        self.factor = factor

    def __call__(self, model, batch, targets):
        return self.factor * camkit.grad_cam(model, batch, targets)


def test_two_objects_of_one_class_are_two_methods(model, images, tmp_path):
    camkit.analyze(model, images, tmp_path, method=Scaled(1), batch_size=4)
    camkit.analyze(model, images, tmp_path, method=Scaled(1), batch_size=4)
    with pytest.raises(ValueError, match="another method"):
        camkit.analyze(model, images, tmp_path, method=Scaled(2), batch_size=4)


def test_what_cannot_be_known_is_refused_in_one_line_where_it_could_be_mixed_up(
    model, images, tmp_path
):
    session = np.random.default_rng(0)

    def method(model, batch, targets):
        maps = camkit.grad_cam(model, batch, targets)
        return maps + session.normal(size=maps.shape)

    with pytest.raises(
        ValueError,
        match=r"the variable 'session' is an object of numpy\.random\._generator\.Generator, whose "
        r"state camkit cannot determine; pass a plain function with its options as keyword",
    ) as refusal:
        camkit.analyze(model, images, tmp_path / "out", method=method)
    assert "\n" not in str(refusal.value) and not (tmp_path / "out").exists()
    assert len(camkit.analyze(model, images, method=method)) == len(images)


# What tells methods apart -------------------------------------------------------------------------

LAYERED = "import functools\nmethod = functools.partial(camkit.layer_cam, layer={})"
FACTORY = """
    def make(factor):
        def method(model, batch, targets):
            return factor * camkit.grad_cam(model, batch, targets)
        return method
    method = make({})
"""
GLOBAL = """
    factor = {}
    def method(model, batch, targets):
        return factor * camkit.grad_cam(model, batch, targets)
"""
HELPER = """
    def smooth(maps):
        return maps + {}
    def method(model, batch, targets):
        return smooth(camkit.grad_cam(model, batch, targets))
"""
DEFAULT = "def method(model, batch, targets, factor={}):\n    return factor"
KEYWORD = "def method(model, batch, targets, *, factor={}):\n    return factor"
NESTED = """
    def method(model, batch, targets):
        return [target + {} for target in targets] + [(lambda x: x * 2)(targets)]
"""
OBJECT = """
    class Method:
        scale = {0}
        def __init__(self, factor):
            self.factor = factor
        def __call__(self, model, batch, targets):
            return self.factor
    method = Method({1})
"""
CLASS_CODE = """
    class Base:
        @staticmethod
        def share(): return {0}
        @property
        def half(self): return {1}
    class Method(Base):
        def __call__(self, model, batch, targets):
            return self.share() * self.half
    method = Method()
"""
BOUND = """
    class Methods:
        def __init__(self, factor): self.factor = factor
        def run(self, model, batch, targets): return self.factor
    method = Methods({}).run
"""
SLOTTED = """
    class Method:
        __slots__ = ("factor",)
        def __call__(self, model, batch, targets): return self.factor
    method = Method()
    method.factor = {}
"""
DATACLASS = """
    import dataclasses
    @dataclasses.dataclass(frozen=True)
    class Method:
        factor: float = 1.0
        names: tuple = ()
        def __call__(self, model, batch, targets): return self.factor
    method = Method({})
"""
ARRAY = """
    weights = np.{}
    method = lambda model, batch, targets: weights
"""
CALLED = "method = lambda model, batch, targets: camkit.{}(model, batch, targets)"
CONSTANT_SET = "method = lambda model, batch, targets: 'a' in {}"
CACHED = """
    import functools
    @functools.lru_cache
    def table(n): return n + {}
    method = lambda model, batch, targets: table(3)
"""


@pytest.mark.parametrize(
    "code, one, other",
    [
        (LAYERED, ["'conv3'"], ["'conv4'"]),
        (FACTORY, [1], [2]),
        (FACTORY, [1], [1.0]),
        (FACTORY, [1], [True]),
        (FACTORY, ["[1, {'a': 2}]"], ["[1, {'a': 3}]"]),
        (FACTORY, ["{'x', 'y', 'z'}"], ["{'x', 'y'}"]),
        (GLOBAL, [1], [2]),
        (HELPER, [1], [2]),
        (DEFAULT, [1], [2]),
        (KEYWORD, [1], [2]),
        (NESTED, [1], [2]),
        (OBJECT, [1, 1], [2, 1]),
        (OBJECT, [1, 1], [1, 2]),
        (CLASS_CODE, [1, 1], [2, 1]),
        (CLASS_CODE, [1, 1], [1, 2]),
        (BOUND, [1], [2]),
        (SLOTTED, [1], [2]),
        (DATACLASS, [1], [2]),
        (ARRAY, ["zeros(3)"], ["ones(3)"]),
        (ARRAY, ["zeros(3)"], ["zeros((3, 1))"]),
        (ARRAY, ["zeros(3)"], ["zeros(3, 'float32')"]),
        (CALLED, ["grad_cam"], ["hires_cam"]),
        (CONSTANT_SET, ["{'a', 'b', 'c'}"], ["{'a', 'b', 'd'}"]),
        (CACHED, [1], [2]),
    ],
)
def test_methods_that_differ_are_told_apart_and_those_that_do_not_are_not(code, one, other):
    first, again = method_of(code.format(*one)), method_of(code.format(*one))
    assert identify(first) == identify(again)
    assert identify(first) != identify(method_of(code.format(*other)))


def test_lines_comments_and_files_do_not_matter():
    plain = method_of("def method(m, x, t):\n    return camkit.grad_cam(m, x, t) + 1")
    spaced = method_of(
        "# a remark\n\n\ndef method(m, x, t):\n    # why\n\n    return camkit.grad_cam(m, x, t) + 1"
    )
    assert identify(plain) == identify(spaced)


def test_what_a_function_does_not_use_does_not_matter():
    assert identify(method_of(GLOBAL.format(1))) == identify(
        method_of(GLOBAL.format(1), another="unused", images=object())
    )
    # An attribute of the same name as a global is not the global.
    code = "def method(m, x, t):\n    return x.images"
    assert identify(method_of(code, images=1)) == identify(method_of(code, images=object()))


def test_functions_that_call_themselves_or_each_other_come_to_an_end():
    code = """
    def even(n): return n == 0 or odd(n - 1)
    def odd(n): return n != {} and even(n - 1)
    method = lambda model, batch, targets: even(len(batch))
    """
    assert identify(method_of(code.format(0))) != identify(method_of(code.format(1)))


def test_what_a_module_of_the_users_holds_is_followed():
    code = "method = lambda model, batch, targets: helpers.smooth(batch)"

    def helpers(step):
        module = types.ModuleType("helpers_of_mine")
        exec(f"def smooth(maps):\n    return maps + {step}", module.__dict__)
        return module

    identities = [identify(method_of(code, helpers=helpers(step))) for step in (1, 1, 2)]
    assert identities[0] == identities[1] != identities[2]


def test_layers_and_models_are_known_by_their_weights():
    def model(seed):
        keras.utils.set_random_seed(seed)
        return keras.Sequential([keras.Input((3,)), layers.Dense(2)])

    code = "method = lambda m, batch, targets: other(batch)"
    same, again, another = (identify(method_of(code, other=model(seed))) for seed in (0, 0, 1))
    assert same == again != another
    same, again, another = (
        identify(method_of(code, other=model(seed).layers[0])) for seed in (0, 0, 1)
    )
    assert same == again != another


def test_settings_of_many_kinds_are_known():
    class Side(enum.Enum):
        LEFT = 1
        RIGHT = 2

    values = [
        None,
        ...,
        1 + 2j,
        b"x",
        range(3),
        range(4),
        slice(1),
        Path("a"),
        re.compile("a"),
        re.compile("a", re.IGNORECASE),
        np.dtype("float32"),
        np.float32(1),
        Side.LEFT,
        Side.RIGHT,
        np.exp,
        np.mean,
        len,
        types.SimpleNamespace(a=1),
        types.SimpleNamespace(a=2),
        functools.partial(max, 1),
        functools.partial(max, 2),
        Scaled,
        dict,
    ]
    code = "method = lambda model, batch, targets: setting"
    identities = [identify(method_of(code, setting=value)) for value in values]
    assert len(set(identities)) == len(values)
    assert identities == [identify(method_of(code, setting=value)) for value in values]


@pytest.mark.parametrize(
    "value, place",
    [
        (object(), "builtins.object"),
        (np.random.default_rng(0), "Generator"),
        (np.array([object()]), "numpy.ndarray"),
        (open, None),
        ([1, object()], "builtins.object"),
        ({"key": {1, object}}, None),
        (Scaled(object()), "the attribute of a Scaled 'factor'"),
        (np.ma.masked_array([1], [True]), "MaskedArray"),
        (camkit.load_images("mini", classes="Lime"), "ImageSet"),
        (dataclasses.make_dataclass("Mine", ["x"])(object()), "object"),
    ],
)
def test_objects_whose_state_is_hidden_are_named(value, place):
    method = method_of("method = lambda model, batch, targets: setting", setting=value)
    if place is None:
        assert identify(method) == identify(method)
        return
    with pytest.raises(UnknownState, match="the global|the attribute") as refusal:
        identify(method)
    assert place in str(refusal.value) and "leave out the folder" in str(refusal.value)


class Subclassed(keras.Model):
    """A model without a graph of layers."""

    def call(self, x):
        return x


class Secretive(layers.Layer):
    """A layer that does not tell its settings."""

    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def get_config(self):
        raise NotImplementedError


@pytest.mark.parametrize("value", [Subclassed(), Secretive(2)])
def test_models_and_layers_that_hide_their_settings_are_named(value):
    method = method_of("method = lambda model, batch, targets: setting(batch)", setting=value)
    with pytest.raises(UnknownState, match=f"'setting' is an object of .*{type(value).__name__}"):
        identify(method)


# How methods are stored ---------------------------------------------------------------------------


def test_methods_of_camkit_go_by_their_public_name():
    for name in ("grad_cam", "layer_cam", "hires_cam", "score_cam", "eigen_cam", "occlusion"):
        assert identify(getattr(camkit, name)) == f"camkit.{name}"
    layer = layers.Dense(3, name="dense")
    settings = functools.partial(camkit.layer_cam, layer=layer)
    assert identify(settings) == "camkit.layer_cam, layer='dense'"
    several = functools.partial(camkit.occlusion, stride=4, patch=(8, 8), layer=None)
    assert identify(several) == "camkit.occlusion, layer=None, patch=(8, 8), stride=4"
    one, other = (
        functools.partial(camkit.occlusion, baseline=np.full(5000, value)) for value in (0, 1)
    )
    assert identify(one) != identify(other)
    assert re.fullmatch(r"camkit\.occlusion, baseline=[0-9a-f]{64}", identify(one))


def test_what_is_installed_has_its_public_name():
    assert public_name(camkit.grad_cam) == "camkit.grad_cam"
    assert public_name(keras.activations.gelu) == "keras.activations.gelu"
    assert public_name(keras.initializers.HeNormal) == "keras.initializers.HeNormal"
    assert public_name(np.mean) == "numpy.mean"
    assert public_name(lambda: None) is None


def test_all_arguments_of_partial_count():
    one, other = (functools.partial(Scaled(1), value) for value in (1, 2))
    assert identify(one) != identify(other)

    def model(seed):
        keras.utils.set_random_seed(seed)
        return keras.Sequential([keras.Input((3,)), layers.Dense(2)], name="reference")

    one, again, other = (
        identify(functools.partial(Scaled(1), reference=model(seed))) for seed in (0, 0, 1)
    )
    assert one == again != other
    with pytest.raises(UnknownState, match="the argument 'session' is an object of builtins"):
        identify(functools.partial(camkit.grad_cam, session=object()))


def test_names_of_version_1_0_0_are_read():
    assert is_same("camkit.attribution.grad_cam", "camkit.grad_cam")
    assert is_same("camkit.attribution.layer_cam, layer='relu1'", "camkit.layer_cam, layer='relu1'")
    assert is_same(None, None) and not is_same(None, "camkit.grad_cam")
    assert not is_same("camkit.attribution.grad_cam", "camkit.hires_cam")
    assert not is_same("__main__.<lambda>", identify(lambda m, x, t: x))


IN_ANOTHER_PROCESS = """
import json
import camkit, numpy as np
from camkit.analysis._method import identify

names = {"a", "bc", "def", "g"}
table = {"weights": np.arange(5), "names": names}

class Method:
    def __init__(self, factor):
        self.factor = factor
    def __call__(self, model, batch, targets, *, shift=0.5):
        if shift in (0.5, 1) and "x" in {"x", "y", "z"}:
            return self.factor * camkit.grad_cam(model, batch, targets)
        return table

def make(factor):
    return lambda model, batch, targets: factor * table["weights"]

print(json.dumps([identify(Method(2)), identify(make({1.5})), identify(Method(2).__call__)]))
"""


def test_the_identity_is_the_same_in_the_next_process(tmp_path):
    """Text is hashed with another seed there; code comes from a file, then from its cache."""
    script = tmp_path / "mine.py"
    script.write_text(IN_ANOTHER_PROCESS)
    commands = [[script], ["-c", IN_ANOTHER_PROCESS], ["-c", "import mine"], ["-c", "import mine"]]
    outputs = []
    for command in commands:
        ended = subprocess.run(
            [sys.executable, *command],
            capture_output=True,
            text=True,
            env={"PYTHONPATH": f"{ROOT}:{tmp_path}", "PATH": ""},
        )
        assert ended.returncode == 0, ended.stderr
        outputs.append(json.loads(ended.stdout))
    assert len(set(outputs[0])) == 3
    assert all(output == outputs[0] for output in outputs)
