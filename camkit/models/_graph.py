"""The graph of a Keras model, which is read once and passed on.

This is the only file of camkit that uses a private name of Keras: `Function._nodes_by_depth`, which
lists the calls of layers in a graph. Nothing here changes the model.

A subclassed model has no graph: it is called on symbolic tensors, which records one. Its layers are
called as they are, so their weights are those of the model.
"""

import inspect
import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import keras
from keras import layers

from camkit.models._preprocessor import with_preprocessor

REMEDY = "camkit.gap_classifier(backbone, class_names) builds a model that CAM applies to"


class HeadError(ValueError):
    """The model has no GAP → Dense head that CAM can read.

    The message names what the model has instead, and says what to do.

    Example:
        >>> import camkit, keras
        >>> image = keras.Input((8, 8, 3))
        >>> pooled = keras.layers.GlobalMaxPooling2D()(image)
        >>> try:
        ...     camkit.CAM(keras.Model(image, keras.layers.Dense(2)(pooled)))
        ... except camkit.HeadError as error:
        ...     print(str(error)[:46])
        the head is GlobalMaxPooling2D → Dense: global
    """


@contextmanager
def random_numbers_kept() -> Iterator[None]:
    """Context manager: restore the state of Python's random numbers after the block.

    Keras draws a seed from them for every layer that it creates.
    """
    state = random.getstate()
    try:
        yield
    finally:
        random.setstate(state)


@dataclass(frozen=True, eq=False)
class Value:
    """A tensor in the graph of a model, identified by the object itself."""

    shape: tuple[int | None, ...]
    dtype: str

    @property
    def channels(self) -> int:
        """The size of the last axis. Raises ValueError if it is unknown."""
        size = self.shape[-1]
        if size is None:
            raise ValueError(f"a tensor of shape {self.shape} has an unknown number of channels")
        return size


@dataclass(frozen=True, eq=False)
class Call:
    """One call of a layer, or of another Keras operation, in the graph of a model.

    A shared layer has several calls.

    Attributes:
        layer: The layer that is called.
        inputs: The values that it reads.
        outputs: The values that it computes.
        node: Keras' record of the call.
    """

    layer: keras.Operation
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    node: Any

    def arguments(self, tensors: Mapping[Value, Any]) -> tuple[tuple, dict]:
        """Return the arguments (args, kwargs) of the call, with `tensors` for its values."""
        symbolic = self.node.input_tensors
        by_id = {
            id(tensor): tensors[value] for tensor, value in zip(symbolic, self.inputs, strict=True)
        }
        return self.node.arguments.fill_in(by_id)

    def constants(self) -> list:
        """Return what the call is given besides tensors, such as 255 for `image / 255`.

        The mode `training` is left out, since camkit always infers.
        """
        given = self.node.arguments
        settings = {name: value for name, value in given.kwargs.items() if name != "training"}
        values = keras.tree.flatten([given.args, settings])
        return [
            value
            for value in values
            if value is not None and not isinstance(value, keras.KerasTensor)
        ]


class Network:
    """The graph of a model, flat: nested models are expanded.

    So are the user's layers that hold other layers and hide what is to be explained: those that
    make vectors of maps, and those that hold an attention layer.

    `network_of` creates a Network, and stores it as long as the model exists and has the same
    graph, the same weights and the same settings of its layers.

    Attributes:
        inputs: The values that the model takes.
        outputs: The values that it returns.
        input_names: Their names: the keys, where a model takes a dictionary.
        output_names: Likewise.
        input: The first of its inputs.
        output: The first of its outputs.
        calls: All calls of layers, each after those whose values it reads.
        layers: The layers from input to output in Keras' order; a nested model is replaced by its
            layers.
        nested: The models and layers that are replaced, and the values that their calls return.
        input_layer: The InputLayer of the first input.
        expanded: The subclassed models and the layers that are replaced by the layers inside.
        compiled: A cache of the functions that were compiled for this network.
        last_map: A cache of the last map on the way to the scores, None until it is looked up.
        ending: A cache of how the outputs become scores, None until it is looked up.
        block_ends: A cache of what the blocks of a transformer return, None until it is looked up.
    """

    def __init__(self, model: keras.Model):
        self._functions: dict[int, keras.Function] = {}
        self._expansions: dict[tuple, keras.Function | None] = {}
        self._sequentials: list[tuple[keras.Sequential, list]] = []
        self.expanded: list[keras.Layer] = []
        self.calls: list[Call] = []
        self.nested: dict[keras.Operation, list[Value]] = {}
        self.compiled: dict[tuple, Callable] = {}
        self.last_map: Value | None = None
        self.ending: Any = None
        self.block_ends: list[Value] | None = None

        function = function_of(model)
        self._output_tensors = list(function.outputs)
        self.inputs = [_value_of(tensor) for tensor in function.inputs]
        self.outputs = self._add_calls(function, self.inputs)
        self.layers = list(self._layers_of(function))
        self.input_layer = next(
            layer
            for layer in function.operations
            if isinstance(layer, layers.InputLayer) and layer.output is function.inputs[0]
        )
        input_names = [tensor.name for tensor in function.inputs]
        output_names = getattr(model, "output_names", map(str, range(len(function.outputs))))
        self.input_names = _names_of(getattr(model, "input", None), input_names)
        self.output_names = _names_of(getattr(model, "output", None), list(output_names))
        self.input = self.inputs[0]
        self.output = self.outputs[0]
        self._makers: dict[Value, Call] = {}
        for call in self.calls:
            for value in call.outputs:
                self._makers[value] = call
        layers_with_weights = [*self.layers, *self.expanded]
        self._parts = _with_layers_within(layers_with_weights)
        # They are kept, since the address of a weight that is deleted may be given to another.
        self._weights = _weights_of(self._parts)
        self._settings = _settings_of(self._parts)

    def describes(self, model: keras.Model) -> bool:
        """Return whether `model` still has this graph, and layers that compute the same.

        A Sequential model may have grown. LoRA and quantization add or replace weights, which is
        another thing than new values of them.
        """
        if _is_nested(model) and not _same_tensors(model, self._output_tensors):
            return False
        if not all(_same_tensors(nested, tensors) for nested, tensors in self._sequentials):
            return False
        if self._settings != _settings_of(self._parts):
            return False
        return _are_same(self._weights, _weights_of(self._parts))

    def maker_of(self, value: Value) -> Call | None:
        """Return the call that computes a value, or None for an input of the model."""
        return self._makers.get(value)

    def backwards(self) -> Iterator[Call]:
        """Yield the calls from the output backwards, up to the first that reads several values."""
        call = self.maker_of(self.output)
        while call is not None:
            yield call
            if len(call.inputs) != 1:
                return
            call = self.maker_of(call.inputs[0])

    def needed(self, given: Iterable[Value], wanted: list[Value]) -> list[Call]:
        """Return the calls that compute the `wanted` values from those that are `given`."""
        available = set(given)
        missing = set(wanted) - available
        calls = []
        for call in reversed(self.calls):
            if not missing.isdisjoint(call.outputs):
                calls.append(call)
                missing.update(set(call.inputs) - available)
        calls.reverse()
        return calls

    def run(
        self,
        given: Mapping[Value, Any],
        wanted: list[Value],
        visit: Callable[[keras.Operation], Callable],
    ) -> list:
        """Return the tensors of the `wanted` values, computed from those that are `given`.

        Args:
            given: The values that are given, and the tensor of each, which may be symbolic.
            wanted: The values to compute. Only the calls that they need are made.
            visit: A function that returns, for a layer, the function to call in its place.
        """
        tensors = dict(given)
        for call in self.needed(given, wanted):
            args, kwargs = call.arguments(tensors)
            results = visit(call.layer)(*args, **kwargs)
            flat_results = keras.tree.flatten(results)
            for value, tensor in zip(call.outputs, flat_results, strict=True):
                tensors.setdefault(value, tensor)
        return [tensors[value] for value in wanted]

    def _add_calls(self, function: keras.Function, inputs: list[Value]) -> list[Value]:
        """Add the calls of a function that reads `inputs`, and return its outputs."""
        values = dict(zip(map(id, function.inputs), inputs, strict=True))
        for node in _nodes_of(function):
            if any(id(tensor) not in values for tensor in node.input_tensors):
                # The call belongs to what computed an input of the function, not to the function.
                continue
            arguments = [values[id(tensor)] for tensor in node.input_tensors]
            nested = self._function_of_call(node)
            if nested is not None:
                # Further tensors are keyword arguments, such as a mask.
                results = self._add_calls(nested, arguments[: len(nested.inputs)])
                self.nested.setdefault(node.operation, []).extend(results)
            else:
                results = [_value_of(tensor) for tensor in node.outputs]
                call = Call(node.operation, tuple(arguments), tuple(results), node)
                self.calls.append(call)
            values.update(zip(map(id, node.outputs), results, strict=True))
        return [values[id(tensor)] for tensor in function.outputs]

    def _layers_of(self, function: keras.Function) -> Iterator[keras.Operation]:
        """Yield the layers of a function; a nested model is replaced by its layers."""
        for operation in function.operations:
            if id(operation) in self._functions:
                yield from self._layers_of(self._functions[id(operation)])
            else:
                yield operation

    def _function_of_call(self, node: Any) -> keras.Function | None:
        """Return the graph of the model or layer that is called, or None if it is one layer."""
        layer = node.operation
        if _is_nested(layer):
            return self._nested_function(layer)
        if not _hides_layers(node):
            return None
        key = (id(layer), *(tensor.shape for tensor in node.input_tensors))
        if key not in self._expansions:
            function = _expansion(node)
            self._expansions[key] = function
            if function is not None:
                self._functions.setdefault(id(layer), function)
                self.expanded.append(layer)
        return self._expansions[key]

    def _nested_function(self, model: keras.Model) -> keras.Function:
        """Return the graph of a nested model, which is created once."""
        if id(model) not in self._functions:
            function = function_of(model)
            self._functions[id(model)] = function
            if isinstance(model, keras.Sequential):
                self._sequentials.append((model, list(function.outputs)))
        return self._functions[id(model)]


# The networks of the models that exist.
_networks: WeakKeyDictionary[keras.Model, Network] = WeakKeyDictionary()


def network_of(model: keras.Model) -> Network:
    """Return the network of a model, which is read on first use and after the model has changed.

    It begins with the model's preprocessor, if there is one.

    Raises:
        HeadError: The model has no graph of layers.
    """
    _check_is_model(model)
    model = with_preprocessor(model)
    network = _networks.get(model)
    if network is None or not network.describes(model):
        network = Network(model)
        _networks[model] = network
    return network


def one_way(model: keras.Model) -> Network:
    """Return the network of a model with one input and one output.

    Raises:
        HeadError: The model has no graph of layers, or several inputs or outputs.
    """
    network = network_of(model)
    if len(network.inputs) != 1:
        raise HeadError(
            f"the model has {len(network.inputs)} inputs, {_listed(network.input_names)}: give the "
            "values of all but the image in Python, inputs={name: one row, or a row for each image}"
        )
    if len(network.outputs) != 1:
        names = _listed(network.output_names)
        raise HeadError(
            f"the model has {len(network.outputs)} outputs, {names}: name one, output=... (in the "
            "shell --output NAME)"
        )
    return network


def no_scores(network: Network) -> HeadError:
    """Return the refusal of a network whose output is no vector of class scores."""
    if len(network.output.shape) < 2:
        return HeadError(
            "the model returns one number for each image without an axis of classes: "
            "keras.Model(model.input, keras.ops.expand_dims(model.output, -1)) has one"
        )
    return HeadError(
        f"the model returns {network.output.shape[1:]} for each image, camkit explains one score "
        "for each class: make a keras.Model that returns such scores, of a segmentation for "
        "example keras.ops.mean(model.output, (1, 2))"
    )


def _is_nested(operation: Any) -> bool:
    """Return whether an operation is a model that has its own graph."""
    return isinstance(operation, keras.Function | keras.Sequential)


def function_of(model: keras.Model) -> keras.Function:
    """Return the graph of a model as a Keras Function. Raises HeadError if it has none."""
    if isinstance(model, keras.Function):
        return model
    if not isinstance(model, keras.Sequential):
        return _function_of_subclassed(model)
    # A Sequential model that knows its input shape has no weights before its first call. Building
    # it now does what that call would do.
    if not model.built and model.layers and getattr(model.layers[0], "input_shape", None):
        model.build(model.layers[0].input_shape)
    if not model.built or not getattr(model, "inputs", None):
        raise HeadError(
            f"the Sequential model {model.name!r} has no weights yet: begin it with "
            "keras.Input((height, width, 3))"
        )
    return keras.Function(model.inputs, model.outputs)


def _check_is_model(model: Any) -> None:
    """Raise HeadError unless an object is a model of Keras 3."""
    if isinstance(model, keras.Model | keras.Function):
        return
    kind = type(model).__name__
    if isinstance(model, str | Path):
        advice = "load it first, model = camkit.models.load_model(path)"
    elif any(each.__module__.partition(".")[0] == "tf_keras" for each in type(model).__mro__):
        advice = (
            "it is a model of Keras 2 (tf_keras): model.save('model.h5') writes a file that "
            "camkit.models.load_model reads"
        )
    else:
        advice = "camkit.occlusion alone takes any function from images to scores"
    raise HeadError(f"{kind} {str(model)[:80]!r} is no Keras model: {advice}")


def _names_of(structure: Any, names: list[str]) -> list[str]:
    """Return the names of inputs or outputs: the keys of a dictionary, else the names given."""
    return sorted(structure) if isinstance(structure, dict) else names


def _listed(names: list[str]) -> str:
    """Return names in quotation marks, joined by commas."""
    return ", ".join(repr(name) for name in names)


# Models and layers without a graph ----------------------------------------------------------------


def _layers_within(layer: keras.Layer) -> Iterator[keras.Layer]:
    """Yield the layers that are attributes of a layer, alone or in a list or dictionary."""
    for attribute in list(vars(layer).values()):
        if isinstance(attribute, list | tuple):
            held = list(attribute)
        elif isinstance(attribute, dict):
            held = list(attribute.values())
        else:
            held = [attribute]
        yield from (each for each in held if isinstance(each, keras.Layer))


def holds_layers(layer: keras.Operation) -> bool:
    """Return whether a layer holds other layers."""
    return isinstance(layer, keras.Layer) and next(_layers_within(layer), None) is not None


def _hides_layers(node: Any) -> bool:
    """Return whether a call is of a subclassed model, or of a layer that hides what is explained.

    The layers of Keras itself hide nothing.
    """
    layer = node.operation
    if isinstance(layer, keras.Model):
        return True
    if type(layer).__module__.startswith("keras.") or not holds_layers(layer):
        return False
    reads_map = any(len(tensor.shape) > 2 for tensor in node.input_tensors)
    returns_map = any(len(tensor.shape) > 2 for tensor in node.outputs)
    return (reads_map and not returns_map) or _holds_attention(layer)


def _holds_attention(layer: keras.Layer, depth: int = 0) -> bool:
    """Return whether a layer holds an attention layer, at most five layers deep."""
    if type(layer).__name__.endswith("Attention"):
        return True
    if depth == 5:
        return False
    return any(_holds_attention(part, depth + 1) for part in _layers_within(layer))


def _expansion(node: Any) -> keras.Function | None:
    """Return the graph that a called layer records for symbolic tensors, or None if it cannot."""
    by_id = {id(tensor): tensor for tensor in node.input_tensors}
    args, kwargs = node.arguments.fill_in(by_id)
    try:
        function = recorded(node.operation, args, kwargs)
        # A layer that reads the size of a batch has recorded that it is unknown, and fails here.
        zeros = []
        for tensor in function.inputs:
            shape = [size or 2 for size in tensor.shape]
            zeros.append(keras.ops.zeros(shape, dtype=tensor.dtype))
        function(zeros)
    except Exception:
        # The layer runs code of the user, which may fail in any way; it stays one layer.
        return None
    return function


def recorded(layer: keras.Layer, args: tuple, kwargs: dict) -> keras.Function:
    """Return the graph that the `call` of a layer records, from symbolic arguments of its own.

    Its inputs are those of the tensors among the arguments. Raises what the call raises.
    """
    inputs = []

    def fresh(value: Any) -> Any:
        if not isinstance(value, keras.KerasTensor):
            return value
        inputs.append(keras.Input(batch_shape=value.shape, dtype=value.dtype))
        return inputs[-1]

    args, kwargs = keras.tree.map_structure(fresh, (args, kwargs))
    return keras.Function(inputs, _called(layer, *args, **kwargs))


@random_numbers_kept()
def _called(layer: keras.Layer, *args: Any, **kwargs: Any) -> Any:
    """Return what the `call` of a layer returns for symbolic tensors, at inference."""

    def cast(value: Any) -> Any:
        is_float = isinstance(value, keras.KerasTensor) and "float" in value.dtype
        return keras.ops.cast(value, layer.compute_dtype) if is_float else value

    if "training" in inspect.signature(layer.call).parameters:
        kwargs = {**kwargs, "training": False}
    args, kwargs = keras.tree.map_structure(cast, (args, kwargs))
    return layer.call(*args, **kwargs)


def _function_of_subclassed(model: keras.Model) -> keras.Function:
    """Return the graph that a subclassed model records. Raises HeadError where it does not."""
    config = model.get_build_config() or {}
    shape = config.get("input_shape")
    kind = type(model).__name__
    if shape is None:
        raise HeadError(
            f"the model {model.name!r}, a {kind}, does not know the shape of its input: call it "
            "once on a batch, model(batch), and try again"
        )
    inputs = _inputs_of_shape(shape)
    try:
        return keras.Function(inputs, _called(model, inputs))
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise HeadError(
            f"the call of {model.name!r}, a {kind}, cannot be followed on symbolic tensors "
            f"({reason[:120]}): write it with Keras layers and keras.ops; camkit.occlusion(model, "
            "batch) needs only what it returns"
        ) from error


def _inputs_of_shape(shape: Any, name: str | None = None) -> Any:
    """Return symbolic inputs of a shape (batch, …), or a dictionary or list of such shapes."""
    if isinstance(shape, dict):
        return {key: _inputs_of_shape(each, key) for key, each in shape.items()}
    if any(isinstance(each, list | tuple) for each in shape):
        return [_inputs_of_shape(each) for each in shape]
    return keras.Input(tuple(shape[1:]), name=name)


def _value_of(tensor: keras.KerasTensor) -> Value:
    """Return a new value with the shape and dtype of a symbolic tensor."""
    return Value(tensor.shape, tensor.dtype)


def operation_of(tensor: keras.KerasTensor) -> keras.Operation:
    """Return the operation that computes a symbolic tensor."""
    function = keras.Function(keras.utils.get_source_inputs(tensor), tensor)
    # They stand in the order in which Keras calls them.
    return function.operations[-1]


def _nodes_of(function: keras.Function) -> Iterator[Any]:
    """Yield Keras' records of the calls in a graph, in the order in which Keras makes them."""
    nodes_by_depth = function._nodes_by_depth
    for depth in sorted(nodes_by_depth, reverse=True):
        for node in nodes_by_depth[depth]:
            if not node.is_input:
                yield node


def _same_tensors(model: keras.Model, tensors: list) -> bool:
    """Return whether `tensors` are the outputs of a model, as the same objects."""
    return _are_same(getattr(model, "outputs", None) or [], tensors)


def _are_same(some: list, others: list) -> bool:
    """Return whether two lists hold the same objects in the same order."""
    return list(map(id, some)) == list(map(id, others))


def _with_layers_within(operations: list[keras.Operation]) -> list[keras.Operation]:
    """Return operations and all layers that they hold, each once."""
    found = dict.fromkeys(operations)
    pending = list(found)
    while pending:
        operation = pending.pop()
        if isinstance(operation, keras.Layer):
            new = [layer for layer in _layers_within(operation) if layer not in found]
            found.update(dict.fromkeys(new))
            pending.extend(new)
    return list(found)


def _weights_of(operations: list[keras.Operation]) -> list:
    """Return the weights of layers; operations have none."""
    return [weight for each in operations for weight in getattr(each, "weights", ())]


def _settings_of(operations: list[keras.Operation]) -> list[tuple]:
    """Return the activation and the precision of each layer, None where it has none."""
    return [
        (getattr(each, "activation", None), getattr(each, "dtype_policy", None))
        for each in operations
    ]
