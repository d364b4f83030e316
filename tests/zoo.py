"""Small models with every kind of head that CAM reads or refuses, for the tests.

A builder of HEADS returns (model, features, layer): `features` is a Keras model from the image to
F, `layer` the one that weights the channels, or None where F is the class maps. A value of REFUSED
is (builder, pattern of the message).
"""

import keras
import numpy as np
from keras import layers, ops

# Maps are 6×5: nothing is square, nothing equal by chance.
SHAPE = (24, 20, 3)
CLASSES = 4
CHANNELS = 7

# Keras on PyTorch cannot slice backwards.
STEP = 1 if keras.backend.backend() == "torch" else -1


def images(n=5, shape=SHAPE, seed=0):
    return np.random.default_rng(seed).normal(size=(n, *shape)).astype("float32")


def shake(model, seed=0):
    """Give every weight a random value, batch normalisation a history, and return the model."""
    random = np.random.default_rng(seed)
    for weight in model.weights:
        if "seed" in weight.path or "count" in weight.path or "int" in weight.dtype:
            continue
        if weight.path.endswith(("variance", "gamma")):
            value = random.uniform(0.4, 2.5, weight.shape)
        else:
            fan = np.prod(weight.shape[:-1]) if len(weight.shape) > 1 else 4
            value = random.normal(size=weight.shape) * np.sqrt(2 / fan)
        weight.assign(value)
    return model


def volume(x, channels=CHANNELS, names=(None, None)):
    """Two convolutions with batch normalisation, a quarter of the size, ending in ReLU."""
    for filters, name in zip((6, channels), names, strict=True):
        x = layers.Conv2D(filters, 3, strides=2, padding="same", use_bias=name is None, name=name)(
            x
        )
        x = layers.BatchNormalization()(x)
        x = layers.ReLU()(x)
    return x


def backbone(shape=SHAPE, pooling=None, name=None, names=(None, None)):
    image = keras.Input(shape)
    x = volume(image, names=names)
    return keras.Model(image, layers.GlobalAveragePooling2D()(x) if pooling else x, name=name)


def flat(between=(), after=(), shape=SHAPE, keepdims=False, dtype=None, body=volume, **dense):
    """Body → GAP → between → Dense → after."""
    dense.setdefault("activation", "softmax")
    image = keras.Input(shape, dtype=dtype)
    features = body(image)
    x = layers.GlobalAveragePooling2D(keepdims=keepdims)(features)
    for layer in between:
        x = layer(x)
    layer = layers.Dense(CLASSES, **dense)
    x = layer(x)
    for late in after:
        x = late(x)
    return shake(keras.Model(image, x)), keras.Model(image, features), layer


def nested(shape=SHAPE, **options):
    base = backbone(shape, **options)
    image = keras.Input(shape)
    x = base(image, training=False)
    layer = layers.Dense(CLASSES, "softmax")
    x = layer(
        layers.Dropout(0.5)(x if options.get("pooling") else layers.GlobalAveragePooling2D()(x))
    )
    features = keras.Model(base.input, base.layers[-1].input) if options.get("pooling") else base
    return shake(keras.Model(image, x)), features, layer


def nested_twice():
    """The backbone in a model in the model, and the head in one of its own."""
    base = backbone()
    image = keras.Input(SHAPE)
    outer = keras.Model(image, base(layers.Rescaling(2.0)(image)))
    layer, volumes = layers.Dense(CLASSES), keras.Input(base.output_shape[1:])
    head = keras.Model(volumes, layer(layers.GlobalAveragePooling2D()(volumes)))
    image = keras.Input(SHAPE)
    return shake(keras.Model(image, layers.Softmax()(head(outer(image))))), outer, layer


def twin_names():
    """Two nested models whose layers have the same names."""
    first = keras.Sequential(
        [keras.Input(SHAPE), layers.Conv2D(3, 3, padding="same", name="conv", activation="relu")]
    )
    second = keras.Sequential(
        [keras.Input(SHAPE), layers.Conv2D(5, 3, strides=4, padding="same", name="conv")]
    )
    layer, image = layers.Dense(CLASSES, "softmax", name="conv"), keras.Input(SHAPE)
    features = second(first(image))
    model = shake(keras.Model(image, layer(layers.GlobalAveragePooling2D()(features))))
    return model, keras.Model(image, features), layer


def shared_layers():
    """A convolution that is read twice, and a nested model that is called twice."""
    conv, block = (
        layers.Conv2D(3, 3, padding="same"),
        keras.Sequential([keras.Input(SHAPE), layers.Conv2D(3, 3, padding="same")]),
    )

    def body(x):
        x = layers.BatchNormalization()(conv(conv(x)))
        return volume(layers.Add()([block(x), block(layers.Activation("tanh")(x))]))

    return flat(body=body)


def sequential(*start, base=None):
    stack = [*start] if base is None else [base]
    layer = layers.Dense(CLASSES, "softmax")
    model = keras.Sequential([*stack, layers.GlobalAveragePooling2D(), layer])
    return shake(model), keras.Model(model.inputs, model.layers[-2].input), layer


def convolutions(channels=CLASSES, activation=None, body=CHANNELS, size=1):
    """A head of a convolution before the pooling: the classes are its channels."""
    image = keras.Input(SHAPE)
    x = volume(image, body)
    layer = layers.Conv2D(channels, size, activation=activation, padding="same")
    maps = layer(x)
    out = layers.Activation("softmax")(layers.GlobalAveragePooling2D()(layers.Dropout(0.2)(maps)))
    weights = size == 1 and activation is None
    return (
        shake(keras.Model(image, out)),
        keras.Model(image, x if weights else maps),
        layer if weights else None,
    )


def late_convolution():
    """MobileNet's head: GAP that keeps dimensions, Dropout, 1×1 convolution, Reshape, softmax."""
    image = keras.Input(SHAPE)
    features, layer = volume(image), layers.Conv2D(CLASSES, 1)
    x = layer(layers.Dropout(0.1)(layers.GlobalAveragePooling2D(keepdims=True)(features)))
    return (
        shake(keras.Model(image, layers.Softmax()(layers.Reshape((CLASSES,))(x)))),
        keras.Model(image, features),
        layer,
    )


def mixed(policy="mixed_float16"):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        return flat(activation=None, after=[layers.Activation("softmax", dtype="float32")])
    finally:
        keras.config.set_dtype_policy(before)


def reloaded(folder, build=None):
    """Any model, saved and loaded in Keras' own format."""
    model = (build or flat)()[0]
    model.save(folder / "model.keras")
    model = keras.models.load_model(folder / "model.keras")
    gap = next(layer for layer in model.layers if isinstance(layer, layers.GlobalAveragePooling2D))
    return model, keras.Model(model.input, gap.input), model.layers[-1]


@keras.saving.register_keras_serializable("camkit-tests")
class Scale(layers.Layer):
    """A custom layer with a setting, a weight, a layer inside and a get_config."""

    def __init__(self, factor, **options):
        super().__init__(**options)
        self.factor = factor
        self.inner = layers.Dense(3)

    def build(self, shape):
        self.offset = self.add_weight(shape=shape[-1:], name="offset")
        self.inner.build(shape)

    def call(self, x):
        return self.factor * self.inner(x) + self.offset

    def get_config(self):
        return {**super().get_config(), "factor": self.factor}


class NoConfig(layers.Layer):
    """A custom layer that cannot say how it was made."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def call(self, x):
        return self.function(x)


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.parts = [backbone(), layers.GlobalAveragePooling2D(), layers.Dense(CLASSES)]

    def call(self, x):
        for part in self.parts:
            x = part(x)
        return x


def after(*first):
    """A body that begins with these layers or functions."""

    def body(x):
        for layer in first:
            x = layer(x)
        return volume(x)

    return body


def caffe(x):
    """The preprocessing of old ImageNet models in the operations that Keras records for it."""
    return ops.flip(x, axis=-1) / 2.0 - np.array([0.1, 0.2, 0.3], dtype="float32")


def normalization():
    layer = layers.Normalization(axis=-1)
    layer.adapt(3 + 5 * images(20))
    image = keras.Input(SHAPE)
    features = volume(layer(image))
    dense = layers.Dense(CLASSES, "softmax")
    model = keras.Model(image, dense(layers.GlobalAveragePooling2D()(features)))
    for part in model.layers[2:]:
        shake(part)
    return model, keras.Model(image, features), dense


def augmented():
    """Augmentation inside the model: it is asleep outside training."""
    augment = keras.Sequential(
        [layers.RandomFlip("horizontal"), layers.RandomRotation(0.5), layers.GaussianNoise(0.9)]
    )
    return flat(body=after(augment))


def activation_layer():
    """Activations that are layers, on convolutions before batch normalisation."""

    def body(x):
        x = layers.Conv2D(5, 3, padding="same", activation=layers.LeakyReLU(0.2))(x)
        x = layers.BatchNormalization()(x)
        return volume(x)

    return flat(body=body, activation=layers.Softmax())


# Transformers: the patches of 4×4 pixels make a grid of 6×5, as the maps above.
PATCH = 4
WIDTH = 8


@keras.saving.register_keras_serializable("camkit-tests")
class PrefixTokens(layers.Layer):
    """Learned tokens before all others, such as a class token and registers."""

    def __init__(self, count=1, **options):
        super().__init__(**options)
        self.count = count

    def build(self, shape):
        self.tokens = self.add_weight(shape=(1, self.count, shape[-1]), name="tokens")

    def call(self, x):
        tokens = ops.repeat(self.tokens, ops.shape(x)[0], axis=0)
        return ops.concatenate([tokens, x], axis=1)

    def get_config(self):
        return {**super().get_config(), "count": self.count}


@keras.saving.register_keras_serializable("camkit-tests")
class Positions(layers.Layer):
    """Tokens plus a learned vector for each position."""

    def build(self, shape):
        self.table = self.add_weight(shape=(1, *shape[1:]), name="table")

    def call(self, x):
        return x + self.table


def patches_by_convolution(image):
    cut = layers.Conv2D(WIDTH, PATCH, strides=PATCH, name="patches")(image)
    return layers.Reshape((-1, WIDTH), name="tokens")(cut)


def patches_by_operation(image):
    """Patches as the example of keras.io cuts them."""
    cut = ops.image.extract_patches(image, PATCH)
    return layers.Dense(WIDTH)(layers.Reshape((-1, cut.shape[-1]), name="tokens")(cut))


def attention_block(x, name, heads=2):
    """A block of a transformer: attention and a small network, each added to what it reads."""
    attention = layers.MultiHeadAttention(heads, WIDTH // heads, name=f"{name}_attention")
    normed = layers.LayerNormalization(name=f"{name}_norm")(x)
    x = layers.Add(name=f"{name}_seen")([x, attention(normed, normed)])
    hidden = layers.LayerNormalization(name=f"{name}_second_norm")(x)
    hidden = layers.Dense(2 * WIDTH, "gelu", name=f"{name}_hidden")(hidden)
    return layers.Add(name=name)([x, layers.Dense(WIDTH, name=f"{name}_output")(hidden)])


def transformer(head="gap", prefix=0, blocks=2, cut=patches_by_convolution, shape=SHAPE, heads=2):
    """Return a small vision transformer.

    `head` is "gap" for the mean over the tokens, which are places alone if `prefix` is 0, "token"
    for the first of the prefix tokens, or "flatten".
    """
    image = keras.Input(shape)
    x = cut(image)
    if prefix:
        x = PrefixTokens(prefix, name="prefix")(x)
    x = Positions(name="positions")(x)
    for index in range(blocks):
        x = attention_block(x, f"block_{index}", heads)
    x = layers.LayerNormalization(name="final_norm")(x)
    if head == "gap":
        x = layers.GlobalAveragePooling1D(name="pooling")(x)
    elif head == "token":
        x = x[:, 0]
    else:
        x = layers.Flatten()(x)
    return shake(keras.Model(image, layers.Dense(CLASSES, "softmax", name="scores")(x)))


def over_time(shape=(16, 3)):
    """Return a classifier of sequences (t, 3), whose features are (8, 7)."""
    sequence = keras.Input(shape)
    x = layers.Conv1D(CHANNELS, 3, strides=2, padding="same", activation="relu")(sequence)
    x = layers.GlobalAveragePooling1D()(x)
    return shake(keras.Model(sequence, layers.Dense(CLASSES, "softmax")(x)))


def over_volumes(shape=(6, 8, 10, 1)):
    """Return a classifier of volumes (d, h, w, 1), whose features are (3, 4, 5, 7)."""
    volumes = keras.Input(shape)
    x = layers.Conv3D(CHANNELS, 3, strides=2, padding="same", activation="relu")(volumes)
    x = layers.GlobalAveragePooling3D()(x)
    return shake(keras.Model(volumes, layers.Dense(CLASSES, "softmax")(x)))


HEADS = {
    "flat": flat,
    "nested": nested,
    "nested, pooling=avg": lambda: nested(pooling="avg"),
    "flat, pooling=avg": lambda: grown(backbone(pooling="avg")),
    "nested in nested, head nested": nested_twice,
    "nested, equal layer names": twin_names,
    "shared layers": shared_layers,
    "Sequential": lambda: sequential(
        keras.Input(SHAPE), layers.Conv2D(CHANNELS, 5, strides=4), layers.ReLU()
    ),
    "Sequential of a backbone": lambda: sequential(base=backbone()),
    "Dropout between": lambda: flat([layers.Dropout(0.5)]),
    "Flatten between": lambda: flat([layers.Flatten(), layers.Dropout(0.1)]),
    "pooling that keeps its dimensions": lambda: flat([layers.Flatten()], keepdims=True),
    "Reshape between": lambda: flat([layers.Reshape((CHANNELS,))], keepdims=True),
    "logits": lambda: flat(activation=None),
    "Activation": lambda: flat(activation=None, after=[layers.Activation("softmax")]),
    "Softmax layer": lambda: flat(activation=None, after=[layers.Softmax()]),
    "sigmoid": lambda: flat(activation="sigmoid"),
    "sigmoid as Activation": lambda: flat(activation=None, after=[layers.Activation("sigmoid")]),
    "no bias": lambda: flat(use_bias=False),
    "1×1 convolution before": convolutions,
    "1×1 convolution before, ReLU": lambda: convolutions(activation="relu"),
    "3×3 convolution before": lambda: convolutions(size=3),
    "1×1 convolution after": late_convolution,
    "inputs and outputs in lists": lambda: listed(),
    "gray images": lambda: flat(shape=(24, 20, 1)),
    "any size": lambda: flat(shape=(None, None, 3)),
    "nested, any size": lambda: nested(shape=(None, None, 3)),
    "operations": lambda: flat(body=after(caffe)),
    "slices": lambda: flat(body=after(lambda x: 1.0 - x[..., ::STEP][:, 1:])),
    "Rescaling": lambda: flat(body=after(layers.Rescaling(0.5, offset=-1.0))),
    "Normalization": normalization,
    "Lambda": lambda: flat(body=after(layers.Lambda(lambda x: x * 0.5 + 1))),
    "augmentation": augmented,
    "custom layer": lambda: flat(body=after(Scale(1.5))),
    "activations as layers": activation_layer,
}


def listed():
    """Inputs and outputs in lists."""
    model, features, layer = flat()
    return keras.Model([model.input], [model.output]), features, layer


def grown(base):
    """A Dense layer put on the output of a backbone, so that the model stays flat."""
    layer = layers.Dense(CLASSES, "softmax")
    model = shake(keras.Model(base.input, layer(base.output)))
    return model, keras.Model(base.input, base.layers[-1].input), layer


def stack(*above, inputs=1, outputs=1):
    """A volume and the layers above it."""
    image = [keras.Input(SHAPE) for _ in range(inputs)]
    x = volume(image[0] if inputs == 1 else layers.Add()(image))
    for layer in above:
        x = layer(x)
    return keras.Model(image, [x] * outputs if outputs > 1 else x)


def unbuilt():
    return keras.Sequential(
        [layers.Conv2D(CHANNELS, 3), layers.GlobalAveragePooling2D(), layers.Dense(CLASSES)]
    )


def joined():
    """A head that reads the features and something else."""
    image = keras.Input(SHAPE)
    both = layers.Concatenate()(
        [layers.GlobalAveragePooling2D()(volume(image)), layers.GlobalMaxPooling2D()(image)]
    )
    return keras.Model(image, layers.Dense(CLASSES)(both))


def channels_first():
    image = keras.Input((3, 24, 24))
    pool = layers.GlobalAveragePooling2D(data_format="channels_first")
    return keras.Model(
        image, layers.Dense(CLASSES, "softmax")(pool(layers.Activation("relu")(image)))
    )


GAP, DENSE = layers.GlobalAveragePooling2D, layers.Dense
REFUSED = {
    "Flatten → Dense": (
        lambda: stack(layers.Flatten(), DENSE(4, "softmax")),
        r"Flatten → Dense: CAM needs global average pooling.*; camkit\.gap_classifier",
    ),
    "Reshape → Dense": (
        lambda: stack(layers.Reshape((-1,)), DENSE(4)),
        "Reshape → Dense: CAM needs global average",
    ),
    "two Dense": (
        lambda: stack(GAP(), DENSE(9, "relu"), DENSE(4, "softmax")),
        r"Dense → Dense: 'relu' stands between the pooling.*; camkit\.gap_classifier",
    ),
    "Dense → ReLU → Dense": (
        lambda: stack(GAP(), DENSE(9), layers.ReLU(), DENSE(4)),
        "(several|ReLU|relu)",
    ),
    "global max pooling": (
        lambda: stack(layers.GlobalMaxPooling2D(), DENSE(4)),
        r"GlobalMaxPooling2D → Dense: global max pooling keeps one .*camkit\.gap_classifier",
    ),
    "LayerNormalization after": (
        lambda: stack(GAP(), layers.LayerNormalization(), DENSE(4)),
        "LayerNormalization → Dense: LayerNormalization divides by the spread",
    ),
    "activation between": (lambda: stack(GAP(), layers.ReLU(), DENSE(4)), "'?(relu|ReLU)"),
    "ReLU on the scores": (lambda: stack(GAP(), DENSE(4, "relu")), "'relu' stands between"),
    "softmax before Dense": (
        lambda: stack(GAP(), layers.Softmax(), DENSE(4)),
        "'softmax' stands between",
    ),
    "softmax twice": (
        lambda: stack(GAP(), DENSE(4, "softmax"), layers.Softmax()),
        "'softmax' stands between",
    ),
    "two inputs": (
        lambda: stack(GAP(), DENSE(4), inputs=2),
        "2 inputs, .*in Python, inputs=.name: one row, or a row for each image",
    ),
    "two outputs": (lambda: stack(GAP(), DENSE(4), outputs=2), "2 outputs, .*name one, output="),
    "subclassed": (
        Subclassed,
        "a Subclassed, does not know the shape of its input: call it once",
    ),
    "no head": (lambda: stack(GAP()), r"GAP features, not class scores: camkit\.gap_classifier"),
    "no pooling": (lambda: stack(), "returns .* for each image.*segmentation"),
    "channels_first": (channels_first, "channels_first.*channels_last"),
    "Sequential without a size": (unbuilt, r"no weights yet.*keras\.Input"),
}
