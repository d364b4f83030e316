"""The kinds of models that people bring, and what camkit makes of each.

A Kind is a row of the table "What camkit reads" in the reference: a builder of a small model, one
sentence, and the outcome in each of the four columns. `tests/unit/test_kinds.py` holds each row to
its word; `python tests/kinds.py` writes the table anew.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import zoo
from keras import layers, ops
from zoo import NoConfig, Scale, shake, volume

TABLE = Path(__file__).resolve().parents[1] / "notebooks" / "site" / "kinds.md"

# Maps are 6×5: nothing is square, nothing equal by chance.
SHAPE = (24, 20, 3)
MAP = (6, 5)
CLASSES = 3
CHANNELS = 7

COLUMNS = ("cam", "family", "analyze", "shell")


@dataclass(frozen=True)
class Outcome:
    """What happens in a column.

    Attributes:
        works: Whether camkit answers, and rightly.
        words: What the refusal says. If it works with `options`, what it says without them.
        options: The keyword arguments that have to be given. A function among the values of
            `inputs` returns a row for each of the images that it is given.
    """

    works: bool = True
    words: str = ""
    options: dict[str, Any] = field(default_factory=dict)


@dataclass
class Case:
    """A model, and what is known of it without camkit.

    Attributes:
        model: The model.
        features: A model from the image to the list of the maps F that the head pools.
        head: A model from these to the scores S, before the last activation.
        answer: What the model returns: "softmax", "sigmoid" (of several labels), "logits", "log
            softmax", "one sigmoid", "one logit", or "none" for what are no probabilities.
        batch: Images for it. None for images of the model's own size.
        classes: The number of classes.
        plain: A model of one image and one answer that says what `model` says, if that is another.
        reads: Which of the maps the family reads by default.
        shape: The shape of an image, where there are no features.
        through: A model from the maps that the family reads to S, where `head` holds parts of it.
    """

    model: Any
    features: keras.Model | None = None
    head: keras.Model | None = None
    answer: str = "softmax"
    batch: np.ndarray | None = None
    classes: int = CLASSES
    plain: keras.Model | None = None
    reads: int = -1
    through: keras.Model | None = None
    shape: tuple[int, ...] = SHAPE


@dataclass(frozen=True)
class Kind:
    """A row of the table.

    Attributes:
        group: The heading that it stands under.
        name: One sentence of what it is.
        build: A function that returns a Case.
        cam: What `CAM(model)` does.
        family: What `grad_cam(model, batch)` and its relatives do.
        analyze: What `analyze(model, images)` does.
        shell: What `camkit analyze model.keras folder` does. None where no file holds the model.
        tolerance: How exact the numbers of the model itself are.
        is_slow: Whether it takes seconds.
    """

    group: str
    name: str
    build: Callable[[], Case]
    cam: Outcome
    family: Outcome
    analyze: Outcome
    shell: Outcome | None
    tolerance: float = 1e-4
    is_slow: bool = False


KINDS: list[Kind] = []


def add(
    group: str,
    name: str,
    build: Callable[[], Case],
    *outcomes: Outcome,
    shell: bool | Outcome = True,
    **more: Any,
) -> None:
    """Add a row. One outcome stands for all columns, three are CAM, the family and analyze."""
    cam, family, analyze = outcomes * 3 if len(outcomes) == 1 else outcomes
    of_shell = shell if isinstance(shell, Outcome) else analyze if shell else None
    KINDS.append(Kind(group, name, build, cam, family, analyze, of_shell, **more))


def works(group: str, name: str, build: Callable[[], Case], **more: Any) -> None:
    """Add a row that works in all columns."""
    add(group, name, build, Outcome(), **more)


def by_method(
    group: str, name: str, build: Callable[[], Case], words: str, layer: Any = None, **more: Any
) -> None:
    """Add a row that CAM refuses, and that the family and `analyze(…, method=…)` read."""
    options = {} if layer is None else {"layer": layer}
    family = Outcome(True, "name the layer" if layer else "", options)
    analyze = Outcome(True, words, {"method": "grad_cam", **options})
    add(group, name, build, Outcome(False, words), family, analyze, **more)


def refused(group: str, name: str, build: Callable[[], Case], words: str, **more: Any) -> None:
    """Add a row that is refused in all columns, in the same words."""
    add(group, name, build, Outcome(False, words), **more)


# Builders -----------------------------------------------------------------------------------------


def same(tensor: Any) -> Any:
    """Return what is given."""
    return tensor


ACTIVATIONS = {
    "softmax": layers.Softmax(),
    "sigmoid": layers.Activation("sigmoid"),
    "logits": same,
    "one sigmoid": layers.Activation("sigmoid"),
    "one logit": same,
}


def case(image, features, scores, answer="softmax", output=None, **more):
    """Return the Case of a model from `image` to `output`, with random weights.

    Args:
        image: The model's input, or inputs.
        features: The maps that the head pools, a list of tensors.
        scores: The scores before the last activation.
        answer: As in Case. It makes the output of the scores, unless that is given.
        output: The model's output.
        more: Further attributes of the Case.
    """
    if output is None:
        output = ACTIVATIONS[answer](scores)
    model = keras.Model(image, output)
    shake(model)
    # Photographs are 0..255, and the scores are to stay where softmax still tells them apart.
    kernel = next(weight for weight in model.weights if weight.path.endswith("kernel"))
    kernel.assign(kernel / 128)
    classes = scores.shape[-1]
    of_image = keras.Model(image, list(features))
    of_features = keras.Model(list(features), scores)
    return Case(model, of_image, of_features, answer, classes=classes, **more)


def of_probabilities(image, features, output, **more):
    """Return the Case of a model whose activation cannot be left out: its scores are logarithms."""
    return case(image, features, ops.log(output), output=output, **more)


def named(features):
    """Return features as the output of a layer that is called "read"."""
    return layers.Activation("linear", name="read")(features)


def gap(**options):
    """Return a global average pooling."""
    return layers.GlobalAveragePooling2D(**options)


def in_turn(*steps):
    """Return a function that applies several."""

    def apply(tensor):
        for step in steps:
            tensor = step(tensor)
        return tensor

    return apply


def head(*between, answer="softmax", body=volume, classes=CLASSES, shape=SHAPE, dense=None):
    """Return the Case of body → pooling and more → Dense → activation."""
    image = keras.Input(shape)
    features = body(image)
    x = in_turn(*(between or (gap(),)))(features)
    scores = (dense or layers.Dense(classes))(x)
    return case(image, [features], scores, answer)


def ends(*between, answer="logits", body=volume, shape=SHAPE):
    """Return the Case of body → these layers, the last of which gives the scores."""
    image = keras.Input(shape)
    features = body(image)
    return case(image, [features], in_turn(*between)(features), answer)


class Unactivated(layers.Layer):
    """What a Dense layer computes before its activation."""

    def __init__(self, dense):
        super().__init__()
        # A list in a tuple is not tracked: the weights are those of the model.
        self.dense = (lambda: dense,)

    def call(self, x):
        dense = self.dense[0]()
        return ops.matmul(x, dense.kernel) + dense.bias


def activated(activation, answer="softmax", classes=CLASSES, after=same, body=volume):
    """Return the Case of a Dense layer that has its activation inside."""
    image = keras.Input(SHAPE)
    features = body(image)
    pooled = gap()(features)
    dense = layers.Dense(classes, activation=activation)
    output = after(dense(pooled))
    return case(image, [features], Unactivated(dense)(pooled), answer, output)


def ending(activation, answer="softmax", classes=CLASSES, body=volume):
    """Return the Case of a model that ends in a function or layer of the scores."""
    image = keras.Input(SHAPE)
    features = body(image)
    scores = layers.Dense(classes)(gap()(features))
    return case(image, [features], scores, answer, activation(scores))


# Heads that are folded ----------------------------------------------------------------------------

PLAIN = "Plain heads"
works(PLAIN, "GAP → Dense(softmax)", lambda: activated("softmax"))
works(
    PLAIN,
    "GAP → Dropout → Dense, which ends in logits",
    lambda: head(gap(), layers.Dropout(0.5), answer="logits"),
)
works(PLAIN, "GAP → Dense → Activation or Softmax layer", head)
works(PLAIN, "several labels: GAP → Dense(sigmoid)", lambda: activated("sigmoid", "sigmoid"))
works(PLAIN, "1×1 convolution → GAP → softmax", lambda: ends_in_maps(1))
works(PLAIN, "3×3 convolution of a channel for each class → GAP → softmax", lambda: ends_in_maps(3))
works(
    PLAIN,
    "GAP that keeps its dimensions → 1×1 convolution → Reshape → softmax",
    lambda: ends(
        gap(keepdims=True),
        layers.Dropout(0.1),
        layers.Conv2D(CLASSES, 1),
        layers.Reshape((CLASSES,)),
        answer="softmax",
    ),
)


def ends_in_maps(size):
    """A head of a convolution before the pooling."""
    image = keras.Input(SHAPE)
    features = volume(image)
    maps = layers.Conv2D(CLASSES, size, padding="same")(features)
    read = features if size == 1 else maps
    return case(image, [read], gap()(maps))


FOLDED = "Between the pooling and the scores: folded into the weights"


def normalization():
    """A Normalization layer that knows means and variances."""
    return layers.Normalization(
        mean=np.linspace(-1, 1, CHANNELS), variance=np.linspace(1, 3, CHANNELS)
    )


works(
    FOLDED,
    "BatchNormalization → Dropout → Dense",
    lambda: head(gap(), layers.BatchNormalization(), layers.Dropout(0.2)),
)
works(
    FOLDED,
    "BatchNormalization → Dense → Dropout → Dense, no activation between",
    lambda: head(gap(), layers.BatchNormalization(), layers.Dense(5), layers.Dropout(0.2)),
)
works(
    FOLDED,
    "Dense → BatchNormalization → softmax",
    lambda: ends(gap(), layers.Dense(CLASSES), layers.BatchNormalization(), answer="softmax"),
)
works(FOLDED, "Dense → Dense without an activation", lambda: head(gap(), layers.Dense(5)))
works(FOLDED, "Rescaling", lambda: head(gap(), layers.Rescaling(0.3, 0.1)))
works(FOLDED, "Normalization", lambda: head(gap(), normalization()))
works(
    FOLDED,
    "several Dropout, GaussianNoise and Identity",
    lambda: head(
        gap(),
        layers.Dropout(0.1),
        layers.GaussianNoise(0.3),
        layers.Identity(),
        layers.Dropout(0.1),
    ),
)
works(
    FOLDED,
    'Dense(activation="linear") and ActivityRegularization',
    lambda: head(gap(), layers.Dense(5, activation="linear"), layers.ActivityRegularization(0.1)),
)
works(
    FOLDED,
    "two 1×1 convolutions before the pooling, the second of the classes",
    lambda: ends(layers.Conv2D(5, 1), layers.Conv2D(CLASSES, 1), gap(), answer="softmax"),
)
works(
    FOLDED,
    "a temperature: logits / T",
    lambda: ends(gap(), layers.Dense(CLASSES), lambda x: x / 2.5, answer="softmax"),
)
works(
    FOLDED,
    "a temperature: logits · (1/T), and an offset",
    lambda: ends(gap(), layers.Dense(CLASSES), lambda x: x * 0.4 + 1.5, answer="softmax"),
)
works(
    FOLDED,
    "two 1×1 convolutions after a pooling that keeps its dimensions",
    lambda: ends(
        gap(keepdims=True),
        layers.Conv2D(5, 1),
        layers.Conv2D(CLASSES, 1),
        layers.Flatten(),
        answer="softmax",
    ),
)

POOLINGS = "Global average pooling in other words"
works(
    POOLINGS,
    "AveragePooling2D over the whole map → Flatten",
    lambda: head(layers.AveragePooling2D(MAP), layers.Flatten()),
)
works(
    POOLINGS,
    "AveragePooling2D over the whole map → Reshape",
    lambda: head(layers.AveragePooling2D(MAP), layers.Reshape((CHANNELS,))),
)
works(POOLINGS, "keras.ops.mean(F, axis=(1, 2))", lambda: head(lambda x: ops.mean(x, axis=(1, 2))))
works(POOLINGS, "keras.ops.mean(F, axis=[1, 2])", lambda: head(lambda x: ops.mean(x, axis=[1, 2])))
works(
    POOLINGS, "keras.ops.mean(F, axis=(-3, -2))", lambda: head(lambda x: ops.mean(x, axis=(-3, -2)))
)
works(
    POOLINGS,
    "keras.ops.mean with keepdims, then Flatten",
    lambda: head(lambda x: ops.mean(x, axis=(1, 2), keepdims=True), layers.Flatten()),
)
works(
    POOLINGS,
    "one axis after the other: keras.ops.mean twice",
    lambda: head(lambda x: ops.mean(ops.mean(x, axis=1), axis=1)),
)
works(
    POOLINGS,
    "GlobalAveragePooling1D of the cells, reshaped to a list",
    lambda: head(layers.Reshape((-1, CHANNELS)), layers.GlobalAveragePooling1D()),
)


def volumes_concatenated(count):
    """GAP of several volumes of different sizes, concatenated."""
    image = keras.Input(SHAPE)
    parts = [layers.Conv2D(5, 3, strides=2, padding="same", activation="relu")(image)]
    for _ in range(count - 1):
        parts.append(layers.Conv2D(4, 3, strides=2, padding="same", activation="relu")(parts[-1]))
    parts[-1] = named(parts[-1])
    pooled = layers.Concatenate()([gap()(part) for part in parts])
    return case(image, parts, layers.Dense(CLASSES)(pooled))


def beside(other):
    """GAP concatenated with what a function makes of the image."""
    image = keras.Input(SHAPE)
    features = named(volume(image))
    value = other(image)
    scores = layers.Dense(CLASSES)(layers.Concatenate()([gap()(features), value]))
    return case(image, [features, value], scores, reads=0)


def beside_maximum():
    """GAP and global max pooling of the same features, concatenated."""
    image = keras.Input(SHAPE)
    features = volume(image)
    maximum = layers.GlobalMaxPooling2D()(features)
    scores = layers.Dense(CLASSES)(layers.Concatenate()([gap()(features), maximum]))
    built = case(image, [features, maximum], scores, reads=0)
    # A gradient reaches the features through the maximum as well.
    built.through = keras.Model([features], scores)
    return built


def at_layer(name):
    """Return the outcome of a column where the layer has to be named."""
    return Outcome(True, "name the layer to read", {"layer": name})


add(
    POOLINGS,
    "GAP of two volumes, concatenated",
    lambda: volumes_concatenated(2),
    Outcome(),
    at_layer("read"),
    Outcome(),
)
add(
    POOLINGS,
    "GAP of three volumes of several sizes, concatenated",
    lambda: volumes_concatenated(3),
    Outcome(),
    at_layer("read"),
    Outcome(),
)
works(POOLINGS, "GAP and global max pooling, concatenated: the maximum is `rest`", beside_maximum)
works(
    POOLINGS,
    "GAP and another path's Flatten, concatenated: that is `rest`",
    lambda: beside(lambda image: layers.Flatten()(layers.AveragePooling2D(8)(image))),
)


# Heads that are no weighted sum -------------------------------------------------------------------

METHOD = "Heads that are no weighted sum of the features: the family reads them"
BETWEEN = "stands between the pooling and the scores"
SPREAD = "divides by the spread of each image"
by_method(
    METHOD, "GAP → Dense(relu) → Dense", lambda: head(gap(), layers.Dense(5, "relu")), BETWEEN
)
by_method(
    METHOD, "GAP → Dense(gelu) → Dense", lambda: head(gap(), layers.Dense(5, "gelu")), BETWEEN
)
by_method(
    METHOD,
    "GAP → Dense → ReLU layer → Dense",
    lambda: head(gap(), layers.Dense(5), layers.ReLU()),
    BETWEEN,
)
by_method(METHOD, "GAP → ReLU → Dense", lambda: head(gap(), layers.ReLU()), "relu")
by_method(
    METHOD,
    "LayerNormalization after the pooling",
    lambda: head(gap(), layers.LayerNormalization()),
    SPREAD,
)
by_method(
    METHOD,
    "GroupNormalization after the pooling",
    lambda: head(gap(), layers.GroupNormalization(groups=1)),
    SPREAD,
)
by_method(
    METHOD,
    "UnitNormalization after the pooling",
    lambda: head(gap(), layers.UnitNormalization()),
    SPREAD,
)
by_method(METHOD, "Flatten → Dense", lambda: head(layers.Flatten()), "Flatten → Dense")
by_method(
    METHOD,
    "Flatten → Dense(relu) → Dense",
    lambda: head(layers.Flatten(), layers.Dense(5, "relu")),
    "Dense",
)
by_method(
    METHOD,
    "average pooling of parts of the map → Flatten",
    lambda: head(layers.Flatten(), body=in_turn(volume, layers.AveragePooling2D((3, 5)))),
    "Flatten → Dense",
)
by_method(
    METHOD,
    "global max pooling → Dense",
    lambda: head(layers.GlobalMaxPooling2D()),
    "global max pooling",
)
by_method(
    METHOD,
    "Lambda(reduce_mean) as the pooling",
    lambda: head(layers.Lambda(lambda x: ops.mean(x, axis=(1, 2)), output_shape=(CHANNELS,))),
    "Lambda",
    shell=False,
)


def attention_pooling():
    """A softmax over the cells weights them."""
    image = keras.Input(SHAPE)
    features = named(volume(image))
    cells = layers.Reshape((-1, CHANNELS))(features)
    shares = layers.Softmax(axis=1)(layers.Dense(1)(cells))
    pooled = layers.Flatten()(layers.Dot(axes=1)([shares, cells]))
    return case(image, [features], layers.Dense(CLASSES)(pooled))


by_method(METHOD, "attention pooling", attention_pooling, "Dot → Flatten")


# The last activation ------------------------------------------------------------------------------

LAST = "The last activation"
works(LAST, "keras.ops.softmax(logits)", lambda: ending(ops.softmax))
works(LAST, "keras.activations.softmax(logits)", lambda: ending(keras.activations.softmax))
works(
    LAST, "keras.activations.sigmoid(logits)", lambda: ending(keras.activations.sigmoid, "sigmoid")
)
works(LAST, "Dense(activation=keras.ops.softmax)", lambda: activated(ops.softmax))
works(LAST, "Activation(keras.ops.softmax)", lambda: ending(layers.Activation(ops.softmax)))
works(
    LAST,
    "softmax, then a cast to float32",
    lambda: activated("softmax", after=lambda x: ops.cast(x, "float32")),
)
works(
    LAST,
    'softmax, then Activation("linear")',
    lambda: activated("softmax", after=layers.Activation("linear", dtype="float32")),
)
works(LAST, "keras.layers.Lambda(softmax)", lambda: ending(layers.Lambda(ops.softmax)))
works(LAST, "keras.ops.log_softmax(logits)", lambda: ending(ops.log_softmax, "log softmax"))
works(LAST, 'Dense(activation="log_softmax")', lambda: activated("log_softmax", "log softmax"))
by_method(
    LAST,
    "softplus: scores that are no probabilities",
    lambda: ends(gap(), layers.Dense(CLASSES), layers.Activation("softplus")),
    "softplus",
)
by_method(
    LAST,
    "softmax twice",
    lambda: ends(gap(), layers.Dense(CLASSES, "softmax"), answer="softmax"),
    "'softmax' stands between",
)
by_method(LAST, "ReLU on the scores", lambda: ends(gap(), layers.Dense(CLASSES, "relu")), "relu")


def own_function():
    """A Lambda that scales and applies softmax."""
    image = keras.Input(SHAPE)
    features = volume(image)
    scores = layers.Dense(CLASSES)(gap()(features))
    return of_probabilities(image, [features], layers.Lambda(lambda x: ops.softmax(x / 2))(scores))


def of_tensorflow(build):
    """Return the Case of a function of TensorFlow's softmax."""
    import tensorflow

    return build(tensorflow.nn.softmax)


works(LAST, "Dense(activation=tf.nn.softmax)", partial(of_tensorflow, activated), shell=False)
by_method(
    LAST,
    "a Lambda of one's own function with softmax inside",
    own_function,
    "the probabilities come from Lambda",
    shell=False,
)


# One output ---------------------------------------------------------------------------------------

BINARY = "One output is two classes"
works(BINARY, "GAP → Dense(1, sigmoid)", lambda: activated("sigmoid", "one sigmoid", 1))
works(
    BINARY,
    "GAP → BatchNormalization → Dense(1, sigmoid)",
    lambda: head(gap(), layers.BatchNormalization(), answer="one sigmoid", classes=1),
)
works(
    BINARY,
    "GAP → Dense(1): one logit; a regression is read as one, too",
    lambda: head(answer="one logit", classes=1),
)
works(
    BINARY,
    "1×1 convolution of one channel → GAP → sigmoid",
    lambda: ends(layers.Conv2D(1, 1), gap(), answer="one sigmoid"),
)
by_method(
    BINARY,
    "GAP → Dense(relu) → Dense(1, sigmoid)",
    lambda: head(gap(), layers.Dense(5, "relu"), answer="one sigmoid", classes=1),
    BETWEEN,
)
by_method(
    BINARY,
    "Flatten → Dense(1), one logit",
    lambda: head(layers.Flatten(), answer="one logit", classes=1),
    "Flatten → Dense",
)


# Images -------------------------------------------------------------------------------------------

IMAGES = "Images"


def first(*steps, shape=SHAPE, **more):
    """Return the Case of a model whose body begins with these layers or functions."""
    return head(body=in_turn(*steps, volume), shape=shape, **more)


def caffe(x):
    """The preprocessing of old ImageNet models in the operations that Keras records for it."""
    return x[..., ::-1] - np.array([103.9, 116.8, 123.7], dtype="float32")


def with_batch(built, size):
    """Return a Case with images of another size."""
    generator = np.random.default_rng(0)
    channels = built.model.input_shape[-1]
    built.batch = generator.uniform(0, 255, (4, *size, channels)).astype("float32")
    return built


# Of photographs, where the model takes any size.
SIDE = 28
ANY_SIZE = Outcome(True, "any size", {"input_size": (SIDE, SIDE)})
works(IMAGES, "greyscale", lambda: head(shape=(24, 20, 1)))
works(IMAGES, "RGBA", lambda: head(shape=(24, 20, 4)))
add(
    IMAGES,
    "five channels",
    lambda: head(shape=(24, 20, 5)),
    Outcome(),
    Outcome(),
    Outcome(False, "channels"),
)
add(
    IMAGES,
    "any size",
    lambda: with_batch(head(shape=(None, None, 3)), (24, 20)),
    Outcome(),
    Outcome(),
    ANY_SIZE,
)
add(
    IMAGES,
    "any size, Resizing inside",
    lambda: with_batch(first(layers.Resizing(24, 20), shape=(None, None, 3)), (31, 33)),
    Outcome(),
    Outcome(),
    ANY_SIZE,
)
works(IMAGES, "Rescaling inside", lambda: first(layers.Rescaling(1 / 127.5, offset=-1)))
works(IMAGES, "preprocess_input inside: slices and operators", lambda: first(caffe))
works(
    IMAGES,
    "augmentation inside",
    lambda: first(
        keras.Sequential(
            [layers.RandomFlip("horizontal"), layers.RandomRotation(0.5), layers.GaussianNoise(0.9)]
        )
    ),
)
works(
    IMAGES,
    "Lambda of the images",
    lambda: first(layers.Lambda(lambda x: x / 127.5 - 1)),
    shell=False,
)


def channels_first():
    """A model of channels first, of layers that run on a CPU."""
    image = keras.Input((3, 24, 20))
    features = layers.Activation("tanh")(image)
    pooled = layers.GlobalAveragePooling2D(data_format="channels_first")(features)
    return case(image, [features], layers.Dense(CLASSES)(pooled))


refused(IMAGES, "channels_first", channels_first, "channels_first")


# Graphs -------------------------------------------------------------------------------------------

GRAPHS = "Graphs of layers"


def backbone(body=volume, shape=SHAPE, name=None):
    """Return a model from an image to its features."""
    image = keras.Input(shape)
    return keras.Model(image, body(image), name=name)


def deep():
    """The backbone in a model in a model in a model."""
    base = backbone()
    for _ in range(3):
        image = keras.Input(SHAPE)
        base = keras.Model(image, base(layers.Rescaling(0.5)(image)))
    return first_of(base)


def first_of(base):
    """Return the Case of a nested backbone."""
    image = keras.Input(SHAPE)
    features = base(image, training=False)
    return case(image, [features], layers.Dense(CLASSES)(gap()(features)))


def sequential(*start, called=True):
    """Return the Case of a Sequential model."""
    dense = layers.Dense(CLASSES)
    model = keras.Sequential([*start, gap(), dense, layers.Softmax()])
    if called:
        model(np.zeros((1, *SHAPE)))
        shake(model)
    image = keras.Input(SHAPE)
    features = image
    for layer in model.layers[:-3]:
        features = layer(features)
    scores = dense(gap()(features))
    built = case(image, [features], scores)
    return Case(model, built.features, built.head)


def attention_blocks(x):
    """Squeeze and excitation, and CBAM's attention of channels and of places."""
    x = volume(x)
    squeezed = layers.Dense(3, "relu")(gap()(x))
    x = layers.Multiply()(
        [x, layers.Reshape((1, 1, CHANNELS))(layers.Dense(CHANNELS, "sigmoid")(squeezed))]
    )
    places = layers.Concatenate()(
        [ops.mean(x, axis=-1, keepdims=True), ops.max(x, axis=-1, keepdims=True)]
    )
    return x * layers.Conv2D(1, 3, padding="same", activation="sigmoid")(places)


def residual(x):
    """A convolution that is called twice, and a sum with what it read."""
    x = volume(x)
    shared = layers.Conv2D(CHANNELS, 3, padding="same", activation="relu")
    return layers.Add()([x, shared(shared(x))])


@keras.saving.register_keras_serializable("camkit-tests")
class Block(layers.Layer):
    """A custom layer with convolutions inside."""

    def __init__(self, filters, **options):
        super().__init__(**options)
        self.filters = filters
        self.first = layers.Conv2D(filters, 3, strides=2, padding="same", activation="relu")
        self.second = layers.Conv2D(filters, 3, strides=2, padding="same", activation="relu")

    def build(self, shape):
        self.first.build(shape)
        self.second.build(self.first.compute_output_shape(shape))

    def call(self, x):
        return self.second(self.first(x))

    def get_config(self):
        return {**super().get_config(), "filters": self.filters}


def dictionaries():
    """A dict of one input and a dict of one output."""
    built = head()
    model = keras.Model({"image": built.model.input}, {"kind": built.model.output})
    return Case(model, built.features, built.head, plain=built.model)


def lists():
    """Inputs and outputs in lists of one."""
    built = head()
    model = keras.Model([built.model.input], [built.model.output])
    return Case(model, built.features, built.head, plain=built.model)


def blocked(early):
    """A gradient is stopped before or after the pooling."""
    image = keras.Input(SHAPE)
    features = volume(image)
    if early:
        features = ops.stop_gradient(features)
        pooled = gap()(features)
        return case(image, [features], layers.Dense(CLASSES)(pooled))
    pooled = gap()(features)
    dense = layers.Dense(CLASSES)
    model = keras.Model(image, layers.Softmax()(dense(ops.stop_gradient(pooled))))
    built = case(image, [features], dense(pooled))
    return Case(model, built.features, built.head)


def unused():
    """A model with layers that lead to no output."""
    image = keras.Input(SHAPE)
    features = volume(image)
    layers.Dense(9)(layers.Flatten()(features))
    return case(image, [features], layers.Dense(CLASSES)(gap()(features)))


def fitted():
    """A model that was trained, with frozen layers."""
    built = head()
    built.model.layers[1].trainable = False
    built.model.compile("sgd", "sparse_categorical_crossentropy")
    images = np.random.default_rng(0).uniform(0, 1, (4, *SHAPE))
    built.model.fit(images, np.arange(4) % CLASSES, verbose=0)
    return built


works(GRAPHS, "a nested backbone", lambda: first_of(backbone()))
works(GRAPHS, "models nested four deep", deep)
works(
    GRAPHS,
    "Sequential that begins with keras.Input",
    lambda: sequential(
        keras.Input(SHAPE), layers.Conv2D(5, 3, strides=4, activation="relu"), called=False
    ),
)
works(
    GRAPHS,
    "Sequential without keras.Input, after its first call",
    lambda: sequential(layers.Conv2D(5, 3, strides=4, activation="relu")),
)
works(
    GRAPHS,
    "Sequential of Sequentials",
    lambda: sequential(
        keras.Sequential([layers.Rescaling(0.5)]),
        keras.Sequential([layers.Conv2D(5, 3, strides=4), layers.ReLU()]),
    ),
)
works(GRAPHS, "a layer that is called twice, and a sum", lambda: head(body=residual))
works(GRAPHS, "squeeze and excitation, CBAM", lambda: head(body=attention_blocks))
works(GRAPHS, "a custom layer with convolutions inside", lambda: head(body=Block(CHANNELS)))
works(GRAPHS, "a custom layer with settings", lambda: first(Scale(1.5)))
by_method(
    GRAPHS,
    "a custom layer without get_config",
    lambda: first(NoConfig(ops.abs)),
    "get_config",
    shell=False,
)
works(GRAPHS, "a dict of one input and a dict of one output", dictionaries)
works(GRAPHS, "lists of one input and of one output", lists)
works(GRAPHS, "layers that lead to no output", unused)
works(GRAPHS, "trained, with frozen layers", fitted)
works(GRAPHS, "stop_gradient before the pooling", lambda: blocked(True))
works(GRAPHS, "stop_gradient after the pooling", lambda: blocked(False))
refused(
    GRAPHS,
    "Sequential that was never called",
    lambda: Case(keras.Sequential([layers.Conv2D(5, 3), gap(), layers.Dense(CLASSES)])),
    "no weights yet",
    shell=False,
)


# No graph -----------------------------------------------------------------------------------------

OPAQUE = "Models without a graph of layers"


@keras.saving.register_keras_serializable("camkit-tests")
class Net(keras.Model):
    """A subclassed model."""

    def __init__(self, **options):
        super().__init__(**options)
        self.convolution = layers.Conv2D(CHANNELS, 3, strides=4, activation="relu")
        self.pooling = gap()
        self.drop = layers.Dropout(0.5)
        self.dense = layers.Dense(CLASSES, "softmax")

    def features(self, x):
        return self.convolution(x / 255.0)

    def call(self, x, training=False):
        x = self.pooling(self.features(x))
        if training:
            x = self.drop(x)
        return self.dense(x)


@keras.saving.register_keras_serializable("camkit-tests")
class OwnForm(Net):
    """A subclassed model that leaves Keras on the way."""

    def features(self, x):
        return self.convolution(ops.convert_to_tensor(np.asarray(x)))


def subclassed(called=True, wrapped=False, kind=Net):
    """A subclassed model, as it is or inside a Functional one."""
    net = kind()
    if not called:
        return Case(net)
    net(np.zeros((1, *SHAPE), "float32"))
    shake(net)
    image = keras.Input(SHAPE)
    model = keras.Model(image, net(image)) if wrapped else net
    if kind is not Net:
        return Case(model)
    features = net.features(image)
    pooled = gap()(features)
    scores = Unactivated(net.dense)(pooled)
    of_image = keras.Model(image, [features])
    of_features = keras.Model([features], scores)
    return Case(model, of_image, of_features, plain=keras.Model(image, net(image)))


class Own(keras.Model):
    """A Functional model with a class of its own."""


def functional_subclass():
    """A model of a class of one's own, made of inputs and outputs."""
    built = head()
    model = Own(built.model.inputs, built.model.outputs)
    return Case(model, built.features, built.head)


works(OPAQUE, "subclassed, called once", subclassed)
works(OPAQUE, "subclassed, inside a Functional model", lambda: subclassed(wrapped=True))
refused(
    OPAQUE, "subclassed, never called", lambda: subclassed(called=False), "call it", shell=False
)
refused(OPAQUE, "subclassed, with NumPy inside", lambda: subclassed(kind=OwnForm), "", shell=False)
works(OPAQUE, "Functional of a class of one's own", functional_subclass, shell=False)


# Several inputs or outputs ------------------------------------------------------------------------

SEVERAL = "Several inputs, outputs or networks"
ROW = np.array([0.3, -1.2], "float32")


def constant(features, values):
    """Return a tensor (N, J) that always is `values`, made of features."""
    nothing = np.zeros((features.shape[-1], len(values)), "float32")
    return ops.matmul(gap()(features), nothing) + values


def with_table(hidden):
    """A photograph and a row of a table."""
    image = keras.Input(SHAPE, name="photograph")
    table = keras.Input((2,), name="table")
    features = volume(image)
    dense = layers.Dense(CLASSES)
    more = layers.Dense(4, "relu") if hidden else same

    def scores_of(row):
        return dense(layers.Concatenate()([gap()(features), more(row)]))

    model = keras.Model([image, table], layers.Softmax()(scores_of(table)))
    built = case(image, [features], scores_of(constant(features, ROW)))
    shake(model)
    return Case(model, built.features, built.head, plain=built.model)


def table_of_images(batch):
    """Return a row of two numbers for each image, which a model can compute as well."""
    return batch.mean(axis=(1, 2))[:, :2] / 128


def with_rows():
    """A photograph and a row of a table that belongs to it."""
    image = keras.Input(SHAPE, name="photograph")
    table = keras.Input((2,), name="table")
    features = volume(image)
    dense = layers.Dense(CLASSES)

    def scores_of(row):
        return dense(layers.Concatenate()([gap()(features), row]))

    row = ops.mean(image, axis=(1, 2))[:, :2] / 128
    built = case(image, [features, row], scores_of(row), reads=0)
    model = keras.Model([image, table], layers.Softmax()(scores_of(table)))
    return Case(model, built.features, built.head, plain=built.model, reads=0)


def siamese():
    """Two pictures through one backbone."""
    image = keras.Input(SHAPE, name="photograph")
    second = keras.Input(SHAPE, name="second")
    base = backbone()
    dense = layers.Dense(CLASSES)
    features = base(image)
    other = gap()(base(second))

    def scores_of(value):
        return dense(layers.Concatenate()([gap()(features), value]))

    model = shake(keras.Model([image, second], layers.Softmax()(scores_of(other))))
    with_other = np.asarray(keras.Model(second, other)(SECOND[None]))[0]
    scores = scores_of(constant(features, with_other))
    of_features = keras.Model([features], scores)
    plain = keras.Model(image, layers.Softmax()(scores))
    return Case(model, keras.Model(image, [features]), of_features, plain=plain)


SECOND = np.random.default_rng(5).uniform(0, 255, SHAPE).astype("float32")


def two_outputs(as_dict):
    """Two heads on one backbone."""
    image = keras.Input(SHAPE)
    features = volume(image)
    pooled = gap()(features)
    scores = layers.Dense(CLASSES)(pooled)
    kind = layers.Softmax(name="kind")(scores)
    age = layers.Dense(1, "sigmoid", name="age")(pooled)
    outputs = {"kind": kind, "age": age} if as_dict else [kind, age]
    built = case(image, [features], scores, output=kind)
    return Case(keras.Model(image, outputs), built.features, built.head, plain=built.model)


def ensemble(join, late, flipped=False):
    """Two networks, or one on the picture and its mirror image, joined before or after softmax."""
    image = keras.Input(SHAPE)
    both = []
    features = []
    base = backbone()
    dense = layers.Dense(CLASSES)
    for number in range(2):
        if flipped:
            read = base(image[:, :, ::-1] if number else image)
        else:
            read = volume(image)
            read = read if number else named(read)
            dense = layers.Dense(CLASSES)
        features.append(read)
        both.append(dense(gap()(read)))
    if late:
        output = join([layers.Softmax()(each) for each in both])
        return of_probabilities(image, features, output, reads=0)
    return case(image, features, join(both), reads=0)


def mirrored():
    """GAP of the picture's features and of those of its mirror image, concatenated."""
    image = keras.Input(SHAPE)
    base = backbone()
    features = base(image)
    of_mirrored = gap()(base(image[:, :, ::-1]))
    scores = layers.Dense(CLASSES)(layers.Concatenate()([gap()(features), of_mirrored]))
    return case(image, [features, of_mirrored], scores, reads=0)


TABLE_ROW = {"inputs": {"table": ROW}}
NO_VALUES = Outcome(False, "in Python, inputs=")
INPUTS = Outcome(True, "in Python, inputs=", TABLE_ROW)
NAMED = Outcome(True, "output=", {"output": "kind"})
add(
    SEVERAL,
    "photograph and table, GAP → Concatenate → Dense",
    lambda: with_table(False),
    INPUTS,
    shell=NO_VALUES,
)
add(
    SEVERAL,
    "photograph and table, a hidden layer for the table",
    lambda: with_table(True),
    INPUTS,
    shell=NO_VALUES,
)
add(
    SEVERAL,
    "photograph and table, a row for each photograph",
    with_rows,
    Outcome(True, "a row for each image", {"inputs": {"table": table_of_images}}),
    shell=NO_VALUES,
)
add(
    SEVERAL,
    "Siamese: two photographs through one backbone",
    siamese,
    Outcome(True, "inputs=", {"inputs": {"second": SECOND}}),
    shell=False,
)
add(SEVERAL, "two outputs in a list", lambda: two_outputs(False), NAMED)
add(SEVERAL, "two outputs in a dict", lambda: two_outputs(True), NAMED)
add(
    SEVERAL,
    "the sum of two networks' logits",
    lambda: ensemble(layers.Add(), False),
    Outcome(),
    at_layer("read"),
    Outcome(),
)
add(
    SEVERAL,
    "the average of two networks' logits",
    lambda: ensemble(layers.Average(), False),
    Outcome(),
    at_layer("read"),
    Outcome(),
)
by_method(
    SEVERAL,
    "the largest of two networks' logits",
    lambda: ensemble(layers.Maximum(), False),
    "Maximum",
    "read",
)
by_method(
    SEVERAL,
    "the average of two networks' probabilities",
    lambda: ensemble(layers.Average(), True),
    "the probabilities come from Average",
    "read",
)
refused(
    SEVERAL,
    "the average of the probabilities of a picture and its mirror image",
    lambda: ensemble(layers.Average(), True, flipped=True),
    "",
)
add(
    SEVERAL,
    "GAP of a picture and of its mirror image, concatenated: the mirror image is `rest`",
    mirrored,
    Outcome(),
    Outcome(),
    Outcome(),
)


# Numbers ------------------------------------------------------------------------------------------

NUMBERS = "Precision, quantisation, LoRA"


def of_precision(policy):
    """A model of another precision; the scores are float32 as Keras advises."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        return head(answer="softmax")
    finally:
        keras.config.set_dtype_policy(before)


def quantised(mode, hidden=False):
    """A model that Keras has quantised."""
    if hidden:
        built = head(gap(), layers.Dense(16, "relu"))
    else:
        built = head()
    built.model.quantize(mode)
    return built


def low_rank(convolution):
    """A model with LoRA on the Dense layer, or on a convolution before batch normalisation."""
    built = head()
    kind = layers.Conv2D if convolution else layers.Dense
    found = [layer for layer in built.model.layers if isinstance(layer, kind)]
    found[-1].enable_lora(2)
    shake(built.model)
    return built


works(NUMBERS, "mixed_float16", lambda: of_precision("mixed_float16"), tolerance=5e-3)
works(NUMBERS, "mixed_bfloat16", lambda: of_precision("mixed_bfloat16"), tolerance=3e-2)
works(NUMBERS, "bfloat16", lambda: of_precision("bfloat16"), tolerance=3e-2)
works(NUMBERS, "float64", lambda: of_precision("float64"))
by_method(NUMBERS, "int8", lambda: quantised("int8"), "computes in int8", tolerance=2e-2)
works(NUMBERS, "int4", lambda: quantised("int4"), tolerance=2e-2)
refused(NUMBERS, "float8", lambda: quantised("float8"), "float8")
works(NUMBERS, "LoRA on the Dense layer", lambda: low_rank(False))
works(NUMBERS, "LoRA on a convolution before BatchNormalization", lambda: low_rank(True))


# Other places than pixels -------------------------------------------------------------------------

PLACES = "Time, volumes, tokens"
BLOCKS = ("block_0", "block_1")
NO_IMAGES = Outcome(False, "images")


def along_time(body):
    """Steps of time (B, t, C)."""
    series = keras.Input((16, 3))
    features = body(series)
    return case(
        series, [features], layers.Dense(CLASSES)(layers.GlobalAveragePooling1D()(features))
    )


def of_volume():
    """A volume (B, d, h, w, C)."""
    scan = keras.Input((8, 12, 10, 1))
    features = layers.Conv3D(5, 3, strides=2, padding="same", activation="relu")(scan)
    return case(scan, [features], layers.Dense(CLASSES)(layers.GlobalAveragePooling3D()(features)))


def of_words():
    """Words (B, t) as numbers."""
    words = keras.Input((16,), dtype="int32")
    features = layers.Embedding(50, 6)(words)
    scores = layers.Dense(CLASSES)(layers.GlobalAveragePooling1D()(features))
    batch = np.arange(48).reshape(3, 16).astype("int32")
    return case(words, [features], scores, batch=batch)


def transformer(
    pool, prefix=0, after=same, cut=zoo.patches_by_convolution, shape=SHAPE, answer="softmax"
):
    """Return the Case of a small transformer: what `pool` reads are its maps."""
    image = keras.Input(shape)
    x = cut(image)
    if prefix:
        x = zoo.PrefixTokens(prefix)(x)
    x = zoo.Positions()(x)
    for name in BLOCKS:
        x = zoo.attention_block(x, name)
    features = after(layers.LayerNormalization()(x))
    return case(image, [features], layers.Dense(CLASSES)(pool(features)), answer)


def class_token(prefix=1):
    """Return the Case of a transformer whose head reads the first token.

    What the family reads are the tokens that the last attention reads.
    """
    image = keras.Input(SHAPE)
    tokens = zoo.PrefixTokens(prefix)(zoo.patches_by_convolution(image))
    before = zoo.attention_block(tokens, BLOCKS[0])
    last = zoo.attention_block(before, BLOCKS[1])
    scores = layers.Dense(CLASSES)(layers.LayerNormalization()(last)[:, 0])
    model = keras.Model(image, last)
    read = model.get_layer(f"{BLOCKS[1]}_norm").output
    return case(image, [read, before], scores, reads=0)


def merged(image):
    """Tokens of a hierarchical transformer, whose patches are merged once."""
    cells = layers.Conv2D(zoo.WIDTH, 2, strides=2)(image)
    tokens = layers.Reshape((-1, zoo.WIDTH))(cells)
    tokens = zoo.attention_block(tokens, "early")
    cells = layers.Reshape((12, 10, zoo.WIDTH))(tokens)
    cells = layers.Conv2D(zoo.WIDTH, 2, strides=2)(cells)
    return layers.Reshape((-1, zoo.WIDTH))(cells)


mean_of_tokens = layers.GlobalAveragePooling1D
works(PLACES, "tokens → GlobalAveragePooling1D → Dense", lambda: transformer(mean_of_tokens()))
works(
    PLACES,
    "tokens → keras.ops.mean(axis=1) → Dense",
    lambda: transformer(lambda x: ops.mean(x, axis=1)),
)
works(
    PLACES,
    "patches cut out with keras.ops.image.extract_patches",
    lambda: transformer(mean_of_tokens(), cut=zoo.patches_by_operation),
)
works(
    PLACES,
    "hierarchical tokens, merged on the way",
    lambda: transformer(mean_of_tokens(), cut=merged),
)
works(
    PLACES,
    "a class token and four registers, all tokens pooled",
    lambda: transformer(mean_of_tokens(), prefix=5),
)
works(
    PLACES,
    "registers, which are not pooled",
    lambda: transformer(mean_of_tokens(), prefix=4, after=lambda x: x[:, 4:]),
)
works(
    PLACES,
    "tokens, folded to a map → GAP → Dense",
    lambda: transformer(in_turn(layers.Reshape((*MAP, zoo.WIDTH)), gap())),
)
by_method(PLACES, "class token → Dense", class_token, "class token")
by_method(PLACES, "class token and registers → Dense", lambda: class_token(5), "class token")
by_method(PLACES, "tokens → Flatten → Dense", lambda: transformer(layers.Flatten()), "Flatten")
add(
    PLACES,
    "convolution over time → GlobalAveragePooling1D",
    lambda: along_time(layers.Conv1D(7, 3, activation="relu")),
    Outcome(),
    Outcome(),
    NO_IMAGES,
)
add(
    PLACES,
    "LSTM over time → GlobalAveragePooling1D",
    lambda: along_time(layers.LSTM(7, return_sequences=True)),
    Outcome(),
    Outcome(),
    NO_IMAGES,
)
add(PLACES, "words: Embedding → GlobalAveragePooling1D", of_words, Outcome(), Outcome(), NO_IMAGES)
add(
    PLACES,
    "convolution of a volume → GlobalAveragePooling3D",
    of_volume,
    Outcome(),
    Outcome(),
    NO_IMAGES,
)


# What is no classifier of images ------------------------------------------------------------------

OTHERS = "What is no classifier of images"


def answers(*steps, shape=SHAPE):
    """Return the Case of a model that ends in these layers."""
    image = keras.Input(shape)
    return Case(shake(keras.Model(image, in_turn(*steps)(image))), shape=shape)


class Foreign:
    """Something that looks like a model of Keras 2."""

    def __init__(self):
        type(self).__module__ = "tf_keras.src.engine.functional"


Foreign.__name__ = "Functional"
refused(
    OTHERS,
    "segmentation: a score for each pixel",
    lambda: answers(volume, layers.Conv2D(CLASSES, 1), layers.Softmax()),
    "segmentation",
)
refused(OTHERS, "a backbone that ends in its features", lambda: answers(volume), "")
by_method(
    OTHERS, "a backbone that ends in GAP", lambda: ends(gap()), "not class scores", shell=False
)
refused(
    OTHERS,
    "boxes: a list of scores for each image",
    lambda: answers(volume, layers.Reshape((-1, CHANNELS)), layers.Dense(9)),
    "",
)
by_method(
    OTHERS,
    "an embedding of unit length",
    lambda: ends(gap(), layers.Dense(4), layers.UnitNormalization()),
    "UnitNormalization",
)
refused(
    OTHERS,
    "no convolution: Flatten of the pixels → Dense",
    lambda: answers(layers.Flatten(), layers.Dense(9, "relu"), layers.Dense(CLASSES, "softmax")),
    "",
)
add(
    OTHERS,
    "a table: Dense layers on numbers",
    lambda: answers(layers.Dense(9, "relu"), layers.Dense(CLASSES, "softmax"), shape=(10,)),
    Outcome(False, "'relu' stands between"),
    Outcome(False, "no features with places"),
    Outcome(False, "arrays of shape (10,)"),
)
refused(OTHERS, "a model of Keras 2 (tf_keras)", lambda: Case(Foreign()), "Keras 2", shell=False)
refused(OTHERS, "the name of a file", lambda: Case("model.keras"), "load", shell=False)
refused(OTHERS, "None", lambda: Case(None), "None", shell=False)
refused(OTHERS, "a layer", lambda: Case(layers.Dense(3)), "", shell=False)


# Files -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class FileKind:
    """A row of the table of files. `tests/unit/test_loading.py` writes such a file and loads it.

    Attributes:
        name: One sentence of what it is.
        words: What the refusal says, empty where it is loaded as it is.
        option: The argument of `load_model` with which it is loaded, empty if there is none.
    """

    name: str
    words: str = ""
    option: str = ""


FILES = [
    FileKind("a .keras file of Keras 3"),
    FileKind("an HDF5 file (.h5) of Keras 3"),
    FileKind("a .h5 file of Keras 2: Functional, with a nested model and DepthwiseConv2D"),
    FileKind("a .h5 file of Keras 2: Sequential of Sequentials"),
    FileKind("a .h5 file of Keras 2 with TensorFlow functions that keras.ops has as well"),
    FileKind("a .keras file of Keras 2"),
    FileKind("an HDF5 file with another suffix, such as .keras"),
    FileKind("the folder that a .keras file unpacks to"),
    FileKind("an export of Teachable Machine, as a zip archive"),
    FileKind(
        "a .h5 file of Keras 2 with a TensorFlow function that keras.ops lacks",
        "which Keras 3 lacks: build the same model in Python with Keras 3",
    ),
    FileKind("classes and functions that are not registered", "pass --import MODULE", "modules"),
    FileKind(
        "the same, of Keras 2", "it needs the function halved: pass --import MODULE", "modules"
    ),
    FileKind("preprocess_input in a Lambda", "such as keras.applications.mobilenet_v2", "modules"),
    FileKind("a Lambda of one's own function", "it holds a Lambda layer", "trust"),
    FileKind("a model of KerasHub, which is not installed", "pip install keras-hub"),
    FileKind("a SavedModel folder of Keras 2", "load it with tf_keras (pip install tf_keras)"),
    FileKind("a SavedModel folder of model.export", "the function of a model and not its layers"),
    FileKind("weights alone (.weights.h5)", "it holds only weights: load them into their model"),
    FileKind("half of a file", "it is damaged or incomplete"),
]


# The table ----------------------------------------------------------------------------------------


INTRODUCTION = """# What camkit reads

Each row is a kind of model that the tests of camkit build, run and compare with what Keras itself
computes: the probabilities with `model.predict`, the maps with a plain gradient of the scores
before the last activation. None of them is answered wrongly: what cannot be read is refused in one
line that says what was found.

- **CAM**: `camkit.CAM(model)(batch)`, and `camkit.analyze(model, images)` without a method
- **family**: `camkit.grad_cam(model, batch)` and the other methods of its signature
- **analyze**: `camkit.analyze(model, images)`
- **shell**: `camkit analyze model.keras images`

"yes": it works as it stands. "with `name=`": it works with this argument, and says so without it.
"no": it is refused, and the last column quotes the words. "–": not tried, since the model is in no
file, or has a Lambda of a function of its own, which a file runs only with `--trust`.
"""


FILES_INTRODUCTION = """## Files

`camkit.models.load_model(file)` reads them, and so does the shell, where `modules=` is `--import`
and `trust=` is `--trust`. What is loaded predicts as the model did that was saved.
"""


def table() -> str:
    """Return the page "What camkit reads" as Markdown."""
    lines = [INTRODUCTION]
    for group in dict.fromkeys(kind.group for kind in KINDS):
        cells = [row(kind) for kind in KINDS if kind.group == group]
        heading = ["model", "CAM", "family", "analyze", "shell", "it says"]
        if not any(last for *_, last in cells):
            heading.pop()
        rule = ["---"] * len(heading)
        lines.append(f"## {group}\n")
        for each in [heading, rule, *cells]:
            shown = " | ".join(each[: len(heading)])
            lines.append(f"| {shown} |")
        lines.append("")
    lines.append(FILES_INTRODUCTION)
    lines += ["| file | it loads | it says |", "| --- | --- | --- |"]
    for each in FILES:
        outcome = Outcome(not each.words or bool(each.option), options=dict.fromkeys([each.option]))
        loads = cell(outcome if each.option else Outcome(outcome.works))
        words = f"“{each.words}”" if each.words else ""
        lines.append(f"| {each.name} | {loads} | {words} |")
    return "\n".join([*lines, ""])


def row(kind: Kind) -> list[str]:
    """Return the cells of a row of the table."""
    outcomes = [getattr(kind, column) for column in COLUMNS]
    words = dict.fromkeys(outcome.words for outcome in outcomes if outcome and outcome.words)
    quoted = [f"“{each}”" for each in words]
    return [kind.name, *map(cell, outcomes), ", ".join(quoted)]


def cell(outcome: Outcome | None) -> str:
    """Return what the table says of an outcome."""
    if outcome is None:
        return "–"
    if not outcome.works:
        return "no"
    if not outcome.options:
        return "yes"
    names = ", ".join(f"`{name}=`" for name in outcome.options)
    return f"with {names}"


if __name__ == "__main__":
    TABLE.write_text(table(), encoding="utf-8")
    print(TABLE)
