"""Models that Keras 2 wrote, built anew with the layers of Keras 3.

Keras 2 describes a graph in another way than Keras 3: by nodes [name, call, output, keywords], with
TensorFlow functions as layers (TFOpLambda) and with settings that Keras 3 no longer has. The graph
is built here by calling the layers of Keras 3 in turn. What has no exact equal is refused.
"""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import keras
import numpy as np

from camkit.models._graph import operation_of

# Settings that Keras 3 no longer has, with the value for which they change nothing. `None` stands
# for any value: how a recurrent layer or batch normalization computes, not what.
_FORMER_SETTINGS = {
    "fused": None,
    "groups": 1,
    "implementation": None,
    "input_length": None,
    "key_shape": None,
    "noise_shape": None,
    "query_shape": None,
    "ragged": False,
    "renorm": False,
    "time_major": False,
    "value_shape": None,
    "virtual_batch_size": None,
}

# Classes of models: their description holds layers.
_MODELS = ("Functional", "Model", "Sequential")

# Layers of Keras 2 that are calls of a TensorFlow function: {function: function of keras.ops}.
_OPERATIONS = {
    "__operators__.add": "add",
    "__operators__.getitem": "getitem",
    "abs": "abs",
    "cast": "cast",
    "clip_by_value": "clip",
    "concat": "concatenate",
    "expand_dims": "expand_dims",
    "image.resize": "image.resize",
    "math.abs": "abs",
    "math.add": "add",
    "math.divide": "true_divide",
    "math.exp": "exp",
    "math.log": "log",
    "math.maximum": "maximum",
    "math.minimum": "minimum",
    "math.multiply": "multiply",
    "math.negative": "negative",
    "math.pow": "power",
    "math.reduce_max": "max",
    "math.reduce_mean": "mean",
    "math.reduce_min": "min",
    "math.reduce_std": "std",
    "math.reduce_sum": "sum",
    "math.reduce_variance": "var",
    "math.rsqrt": "rsqrt",
    "math.sigmoid": "sigmoid",
    "math.sqrt": "sqrt",
    "math.square": "square",
    "math.subtract": "subtract",
    "math.tanh": "tanh",
    "math.truediv": "true_divide",
    "nn.bias_add": "add",
    "nn.elu": "elu",
    "nn.gelu": "gelu",
    "nn.leaky_relu": "leaky_relu",
    "nn.relu": "relu",
    "nn.relu6": "relu6",
    "nn.silu": "silu",
    "nn.softmax": "softmax",
    "reshape": "reshape",
    "squeeze": "squeeze",
    "stack": "stack",
    "transpose": "transpose",
}

# Keywords of these functions that have another name in keras.ops.
_KEYWORDS = {
    "alpha": "negative_slope",
    "bias": "x2",
    "clip_value_max": "x_max",
    "clip_value_min": "x_min",
    "method": "interpolation",
    "perm": "axes",
    "shape": "newshape",
    "y": "x2",
}

# Keywords that say nothing, with the value for which that is so.
_IDLE_KEYWORDS = {
    "antialias": False,
    "beta": 1.0,
    "data_format": "NHWC",
    "name": None,
    "preserve_aspect_ratio": False,
}


# The module of a function of keras.applications, in any release of Keras 2.
_APPLICATION = re.compile(r"(?:^|\.)(?:tf_)?keras\.(?:\w+\.)*applications\.(\w+)$")


class UnreadableLayer(ValueError):
    """A model of Keras 2 has a layer that has no exact equal in Keras 3; its message says which."""


@keras.saving.register_keras_serializable("camkit")
def hard_sigmoid_of_keras_2(x: Any) -> Any:
    """Return clip(0.2 x + 0.5, 0, 1): what "hard_sigmoid" means in Keras 2.

    In Keras 3 the same word means clip(x / 6 + 0.5, 0, 1).
    """
    return keras.ops.clip(0.2 * x + 0.5, 0.0, 1.0)


# Configuration ------------------------------------------------------------------------------------


def build(description: dict, trust: bool) -> keras.Layer:
    """Return the model or layer that a description of Keras 2 {"class_name", "config"} tells of.

    Its weights are still to be read. Custom objects are those of the surrounding
    `keras.saving.custom_object_scope`.

    Args:
        description: The description.
        trust: Whether code in the description (of a Lambda layer) may run.

    Raises:
        UnreadableLayer: A layer has no exact equal in Keras 3.
    """
    class_name = description["class_name"]
    config = description["config"]
    if class_name == "Sequential":
        return _sequential(config, description.get("build_config") or {}, trust)
    if class_name in _MODELS and "layers" in config:
        return _Graph(config, trust).model()
    return _layer(description, trust)


def _sequential(config: dict | list, build_config: dict, trust: bool) -> keras.Sequential:
    """Return the Sequential of a configuration; the first releases of Keras 2 wrote a list."""
    settings: dict[str, Any] = {"layers": config} if isinstance(config, list) else config
    descriptions = settings["layers"]
    model = keras.Sequential(name=_name(settings.get("name")))
    # With an input first, the layers form a graph.
    shape = settings.get("build_input_shape") or build_config.get("input_shape")
    if descriptions and descriptions[0]["class_name"] != "InputLayer":
        shape = descriptions[0]["config"].get("batch_input_shape", shape)
        if shape is not None:
            model.add(keras.Input(batch_shape=shape))
    for description in descriptions:
        model.add(build(description, trust))
    return model


def _layer(description: dict, trust: bool) -> keras.Layer:
    """Return the layer of Keras 3 that a description of Keras 2 tells of."""
    mended = _mended(description, trust)
    return keras.saving.deserialize_keras_object(mended, safe_mode=not trust)


def _mended(node: Any, trust: bool) -> Any:
    """Return a description of Keras 2 with the names and settings that Keras 3 knows."""
    if isinstance(node, list):
        return [_mended(part, trust) for part in node]
    if not isinstance(node, dict):
        return node
    if "class_name" not in node or not isinstance(node.get("config"), dict):
        return {key: _mended(value, trust) for key, value in node.items()}
    class_name = node["class_name"]
    if class_name in _MODELS:
        return keras.saving.serialize_keras_object(build(node, trust))
    config = _mended(node["config"], trust)
    registered_name = node.get("registered_name") or class_name
    module = _public_module(class_name)
    if module is not None and keras.saving.get_registered_object(registered_name) is None:
        registered_name = None
        config = _mended_settings(class_name, config)
    return {
        "module": module,
        "class_name": class_name,
        "config": config,
        "registered_name": registered_name,
    }


def _public_module(class_name: str) -> str | None:
    """Return the module of Keras that has a class, or None."""
    for module in (keras.layers, keras.initializers, keras.regularizers, keras.constraints):
        if isinstance(getattr(module, class_name, None), type):
            return module.__name__
    return None


def _mended_settings(class_name: str, config: dict) -> dict:
    """Return the settings of a layer of Keras 2 as the layer of Keras 3 takes them."""
    settings = {}
    for key, value in config.items():
        # The weights of the file replace what an initializer gives.
        if not _is_former(key, value) and not key.endswith("_initializer"):
            settings[key] = value
    if class_name.startswith("SpatialDropout"):
        settings.pop("trainable", None)
    shape = settings.pop("batch_input_shape", None)
    if class_name == "InputLayer":
        settings["batch_shape"] = shape
    if "name" in settings:
        settings["name"] = _name(settings["name"])
    axis = settings.get("axis")
    if isinstance(axis, list) and len(axis) == 1:
        settings["axis"] = axis[0]
    if isinstance(settings.get("dtype"), dict):
        settings["dtype"] = settings["dtype"]["config"]["name"]
    for key, value in settings.items():
        function = _function_named(key, value)
        if function is not None:
            settings[key] = keras.saving.serialize_keras_object(function)
    return _mended_lambda(settings) if class_name == "Lambda" else settings


def _function_named(key: str, value: Any) -> Callable | None:
    """Return the function that a setting names and Keras 3 does not know, or None.

    Keras 3 has another hard_sigmoid, and looks for a function of the user's only where it is
    described in full.
    """
    if value == "hard_sigmoid":
        return hard_sigmoid_of_keras_2
    if key.endswith("activation") and isinstance(value, str):
        return keras.saving.get_registered_object(value)
    return None


def _is_former(key: str, value: Any) -> bool:
    """Return whether a setting is one that Keras 3 does not need."""
    if value is None and key.endswith(("_regularizer", "_constraint")):
        return True
    return key in _FORMER_SETTINGS and _FORMER_SETTINGS[key] in (None, value)


def _mended_lambda(settings: dict) -> dict:
    """Return the settings of a Lambda layer as Keras 3 writes them.

    A function of keras.applications is taken from Keras by its module, so that no code of the file
    is needed for it.
    """
    kept = {}
    for key in ("name", "trainable", "dtype", "arguments", "output_shape", "mask"):
        if settings.get(key) is not None:
            kept[key] = settings[key]
    function = settings["function"]
    application = _APPLICATION.search(settings.get("module") or "")
    if application:
        function = {
            "module": f"keras.applications.{application[1]}",
            "class_name": "function",
            "config": "preprocess_input",
            "registered_name": "preprocess_input",
        }
    elif isinstance(function, list):
        code, defaults, closure = function
        config = {"code": code, "defaults": defaults, "closure": closure}
        function = {"class_name": "__lambda__", "config": config}
    elif isinstance(function, str):
        function = {
            "module": "builtins",
            "class_name": "function",
            "config": function,
            "registered_name": "function",
        }
    return {**kept, "function": function}


def _name(name: str | None) -> str | None:
    """Return the name of a layer as Keras 3 allows it, without a slash."""
    return None if name is None else name.replace("/", "_")


# Graph --------------------------------------------------------------------------------------------


class _Call(NamedTuple):
    """A call of a layer: its name, how often it was called before, and with what."""

    name: str
    number: int
    argument: Any
    keywords: dict


class _Graph:
    """The graph of a Functional model of Keras 2.

    Attributes:
        layers: {name: layer, or function of keras.ops}.
        outputs: {(name, number of the call): its outputs}.
    """

    def __init__(self, config: dict, trust: bool) -> None:
        self._config = config
        # Keras 2 counts the own outputs of a nested model as its first call.
        self._first_call: dict[str, int] = {}
        self.layers: dict[str, Any] = {}
        self.outputs: dict[tuple[str, int], list] = {}
        for description in config["layers"]:
            name = description["name"]
            is_model = description["class_name"] in _MODELS
            self._first_call[name] = 1 if is_model else 0
            self.layers[name] = _operation_or_layer(description, trust)

    def model(self) -> keras.Model:
        """Return the model of Keras 3 that computes the same."""
        waiting = list(self._calls())
        while waiting:
            later = []
            for call in waiting:
                if self._is_ready([call.argument, call.keywords]):
                    self._run(call)
                else:
                    later.append(call)
            if len(later) == len(waiting):
                raise ValueError("the layers of the model form a loop")
            waiting = later
        name = _name(self._config.get("name"))
        inputs = self._of(self._config["input_layers"])
        outputs = self._of(self._config["output_layers"])
        model = keras.Model(_only(inputs), _only(outputs), name=name)
        # The weights in a .keras file are counted in this order.
        order = [layer for layer in self.layers.values() if isinstance(layer, keras.Layer)]
        if model.layers != order:
            raise ValueError("the layers come in another order than in the file")
        return model

    def _calls(self) -> Iterator[_Call]:
        """Yield the calls of all layers."""
        for description in self._config["layers"]:
            name = description["name"]
            if description["class_name"] == "InputLayer":
                self.outputs[name, 0] = [self.layers[name].output]
            for index, node in enumerate(description["inbound_nodes"]):
                # A TensorFlow function of one tensor has a node without the outer list.
                tensors = node if isinstance(node[0], list) else [node]
                argument = _only([_argument(tensor) for tensor in tensors])
                keywords = tensors[0][3] if len(tensors[0]) > 3 else {}
                yield _Call(name, index + self._first_call[name], argument, keywords)

    def _is_reference(self, node: Any) -> bool:
        """Return whether a part of the configuration stands for an output [name, call, output]."""
        if not isinstance(node, list) or len(node) != 3 or not isinstance(node[0], str):
            return False
        return node[0] in self.layers

    def _is_ready(self, node: Any) -> bool:
        """Return whether all outputs that a part of the configuration refers to are computed."""
        if self._is_reference(node):
            return (node[0], node[1]) in self.outputs
        if isinstance(node, dict):
            node = list(node.values())
        return not isinstance(node, list) or all(self._is_ready(part) for part in node)

    def _of(self, node: Any) -> Any:
        """Return a part of the configuration with the tensors that it refers to."""
        if self._is_reference(node):
            name, index, position = node
            return self.outputs[name, index][position]
        if isinstance(node, list):
            return [self._of(part) for part in node]
        if isinstance(node, dict):
            return {key: self._of(value) for key, value in node.items()}
        return node

    def _run(self, call: _Call) -> None:
        """Call a layer."""
        argument = self._of(call.argument)
        result = self.layers[call.name](argument, **self._of(call.keywords))
        self.outputs[call.name, call.number] = keras.tree.flatten(result)


def _argument(tensor: list) -> Any:
    """Return the reference [name, call, output], or the constant, that begins a node."""
    name, index, value = tensor[:3]
    return value if name == "_CONSTANT_VALUE" else [name, index, value]


def _only(values: Any) -> Any:
    """Return the only value of a list of one, anything else as it is."""
    return values[0] if isinstance(values, list) and len(values) == 1 else values


def _operation_or_layer(description: dict, trust: bool) -> Callable:
    """Return the layer of a description, or the function that stands for a TensorFlow function."""
    class_name = description["class_name"]
    if class_name == "TensorFlowOpLayer":
        operation = re.search(r'op: "(\w+)"', str(description["config"].get("node_def")))
        name = operation[1] if operation else description["name"]
        raise UnreadableLayer(f"the TensorFlow operation {name} (TensorFlowOpLayer)")
    if class_name in ("TFOpLambda", "SlicingOpLambda"):
        return _operation(description["config"])
    return build(description, trust)


def _operation(config: dict) -> Callable:
    """Return the function of keras.ops that computes what a TensorFlow function does.

    Raises:
        UnreadableLayer: There is none.
    """
    function = config["function"]
    if function not in _OPERATIONS:
        raise UnreadableLayer(f"the TensorFlow function tf.{function} (TFOpLambda)")

    def call(x: Any, **keywords: Any) -> Any:
        try:
            result = _called(function, _array(x), _settings_of_call(keywords))
        except TypeError as error:
            text = ", ".join(keywords)
            raise UnreadableLayer(f"the TensorFlow function tf.{function} with {text}") from error
        operation = operation_of(result)
        if not isinstance(operation, keras.layers.Layer):
            operation.name = _name(config["name"])
        return result

    return call


def _settings_of_call(keywords: dict) -> dict:
    """Return the keywords of a TensorFlow function as keras.ops names them.

    Raises TypeError if one of them has no equal there.
    """
    settings = {}
    for key, value in keywords.items():
        if key not in _IDLE_KEYWORDS:
            settings[_KEYWORDS.get(key, key)] = value
        elif value != _IDLE_KEYWORDS[key]:
            raise TypeError(key)
    if "x2" in settings:
        settings["x2"] = _array(settings["x2"])
    return settings


def _array(value: Any) -> Any:
    """Return a list of numbers as an array of float32, anything else as it is."""
    parts = keras.tree.flatten(value)
    if isinstance(value, list) and not any(isinstance(part, keras.KerasTensor) for part in parts):
        return np.asarray(value, dtype="float32")
    return value


def _called(function: str, x: Any, settings: dict) -> Any:
    """Return what a TensorFlow function returns for x and settings, computed by keras.ops."""
    if function == "__operators__.getitem":
        return x[tuple(_slice(part) for part in settings["slice_spec"])]
    if function == "nn.gelu":
        settings = {"approximate": False, **settings}
    operation = keras.ops
    for name in _OPERATIONS[function].split("."):
        operation = getattr(operation, name)
    return operation(x, **settings)


def _slice(part: Any) -> Any:
    """Return an index from the configuration of a SlicingOpLambda."""
    if isinstance(part, dict):
        if part.get("class_name") == "__ellipsis__":
            return Ellipsis
        return slice(part["start"], part["stop"], part["step"])
    return part


# Weights ------------------------------------------------------------------------------------------


def read_hdf5_weights(model: keras.Model, group: h5py.Group) -> None:
    """Read the weights of a model from the group "model_weights" of a legacy HDF5 file.

    Each layer has a group of its own, and a nested model has all of its weights in one, where they
    are matched by the names of the layer and of the weight, or else by their order.

    Raises:
        ValueError: The weights are not those of the model.
    """
    for layer in model.layers:
        variables = layer.trainable_weights + layer.non_trainable_weights
        if not variables:
            continue
        arrays = _arrays_of(group, layer.name)
        order = _order(list(arrays), [variable.path for variable in variables])
        if len(arrays) != len(variables):
            raise ValueError(
                f"{layer.name} has {len(variables)} weights, the file {len(arrays)} for it"
            )
        for variable, name in zip(variables, order, strict=True):
            dataset = arrays[name]
            if dataset.shape != variable.shape:
                raise ValueError(
                    f"{variable.path} has the shape {variable.shape}, in the file {dataset.shape}"
                )
            variable.assign(np.asarray(dataset))
        _finalize(layer)


def _finalize(layer: keras.Layer) -> None:
    """Let the Normalization layers in a layer compute with the statistics that were read."""
    if isinstance(layer, keras.layers.Normalization):
        layer.finalize_state()
    for part in getattr(layer, "layers", []):
        _finalize(part)


def _arrays_of(group: h5py.Group, layer_name: str) -> dict[str, h5py.Dataset]:
    """Return the weights {name: dataset} of a layer, in the order of the file."""
    names = {_name(name): name for name in _texts(group, "layer_names")}
    if layer_name not in names:
        raise ValueError(f"the file has no weights for {layer_name}")
    of_layer = group[names[layer_name]]
    arrays = {}
    for name in _texts(of_layer, "weight_names"):
        dataset = of_layer[name]
        if dataset.file != group.file or dataset.external or dataset.is_virtual:
            raise ValueError(f"the weights {name} point to another file")
        arrays[name] = dataset
    return arrays


def _texts(group: h5py.Group, attribute: str) -> list[str]:
    """Return a list of texts from the attributes of a group; a long one is split up."""
    if attribute in group.attrs:
        texts = list(group.attrs[attribute])
    else:
        texts = []
        while f"{attribute}{len(texts)}" in group.attrs:
            texts.append(group.attrs[f"{attribute}{len(texts)}"])
        texts = [text for part in texts for text in part]
    return [text.decode() if isinstance(text, bytes) else str(text) for text in texts]


def _order(names: list[str], paths: list[str]) -> list[str]:
    """Return the names of weights in a file in the order of the paths of variables.

    Both are compared by their last two parts: the layer and the weight. If they do not agree,
    because a layer was renamed after it was built, the order of the file holds, as it does for
    Keras.
    """
    by_key: dict[str, list[str]] = {}
    for name in names:
        by_key.setdefault(_key(name), []).append(name)
    order = []
    for path in paths:
        same = by_key.get(_key(path))
        if not same:
            return names
        order.append(same.pop(0))
    return order


def _key(name: str) -> str:
    """Return the last two parts of the name of a weight: those of the layer and the weight."""
    without_output = re.sub(r":\d+$", "", name)
    return "/".join(without_output.split("/")[-2:])


def read_archive_weights(model: keras.Model, file: Path) -> None:
    """Read the weights of a model from model.weights.h5 of a .keras file of Keras 2."""
    with h5py.File(file, "r+") as weights:
        _publish(weights)
    model.load_weights(file)


def _publish(group: h5py.Group) -> None:
    """Rename the groups of parts of a layer that Keras 2 holds under a private name."""
    for name in list(group):
        # A link may lead to another file, which is not to be changed.
        is_own = isinstance(group.get(name, getlink=True), h5py.HardLink)
        if is_own and isinstance(group[name], h5py.Group):
            _publish(group[name])
            if name.startswith("_") and name[1:] not in group:
                group.move(name, name[1:])
