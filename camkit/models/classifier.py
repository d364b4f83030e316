"""Models: backbones with their preprocessing inside, the GAP classifier, training its head."""

import os
import re
import sys
import warnings
from pathlib import Path

import keras
import numpy as np
from keras import layers

from camkit._progress import progress
from camkit._resources import carried
from camkit.models import _copy as inference
from camkit.models import _graph as graph

STEP = 1.92  # how far a step of Adam moves a logit, about: the learning rate of the head is this over the K channels
TRAINED_AT = {  # pixels: the side of the images that the weights were trained on, for all others 224
    "mini": 100,
    "InceptionV3": 299,
    "InceptionResNetV2": 299,
    "Xception": 299,
    "NASNetLarge": 331,
    "EfficientNetB1": 240,
    "EfficientNetB2": 260,
    "EfficientNetB3": 300,
    "EfficientNetB4": 380,
    "EfficientNetB5": 456,
    "EfficientNetB6": 528,
    "EfficientNetB7": 600,
    "EfficientNetV2B1": 240,
    "EfficientNetV2B2": 260,
    "EfficientNetV2B3": 300,
    "EfficientNetV2S": 384,
    "EfficientNetV2M": 480,
    "EfficientNetV2L": 480,
}


def backbone(name="mini", *, weights="imagenet", input_size=None, output_stride=None):
    """Return a frozen feature extractor: uint8-range RGB images (N, S, S, 3) in, features F (N, h, w, K) out.

    `name` is "mini" (embedded, 96 channels, stride 8) or a model of keras.applications, such as "ResNet50". The
    preprocessing that it was trained with is its first layer, so 0..255 is the only range to feed. `weights` is
    "imagenet" (for "mini": its own embedded weights), None (random) or the path of a weights file without top.
    `input_size` (pixels) is the side S of its images, by default that of the images which its weights were trained on
    (224 for most, 100 for "mini"): smaller ones leave maps of few places, and features that it never learnt.
    `output_stride` (pixels of the image to one position of the map; by default the backbone's own) makes the maps finer
    by dilated convolution, and slower.
    Raises ValueError for an unknown name or an impossible stride, OSError where the weights are not to be had.
    """
    size = TRAINED_AT.get(name, 224) if input_size is None else input_size
    shape = (size, size, 3)
    if name == "mini":
        model = _mini(shape)
        if weights is not None:
            _load(
                model,
                carried("data") / "mini-backbone.weights.h5" if weights == "imagenet" else weights,
            )
    else:
        model = _application(name, shape, weights)
    if output_stride is not None:
        inputs = keras.Input(shape)
        outputs, _ = inference.call_copy(model, inputs, inference.dilation(model, output_stride))
        model = keras.Model(inputs, outputs, name=model.name)
    model.trainable = False
    return model


def _application(name, shape, weights):
    """Return a keras.applications model without its top, with its preprocessing as the first layer."""
    build = getattr(keras.applications, str(name), None)
    if not callable(build):
        known = sorted(
            n for n, value in vars(keras.applications).items() if n[0].isupper() and callable(value)
        )
        raise ValueError(
            f'no backbone is called {name!r}: choose "mini" or one of {", ".join(known)}'
        )
    try:
        plain = build(
            include_top=False,
            weights="imagenet" if weights == "imagenet" else None,
            input_shape=shape,
        )
    except Exception as error:
        url = re.search(r"https?://\S+/([^/\s:]+)", str(error))
        if weights != "imagenet" or url is None:
            raise
        folder = Path(os.environ.get("KERAS_HOME", Path.home() / ".keras"), "models")
        raise OSError(
            f"the ImageNet weights of {name} could not be downloaded: Keras looks for {url[1]} in {folder}, "
            "put it there or pass weights=PATH with a local copy"
        ) from error
    if weights not in ("imagenet", None):
        _load(plain, weights)
    inputs = keras.Input(shape)
    x = _preprocessing(sys.modules[build.__module__].preprocess_input, inputs)
    outputs, _ = inference.call_copy(plain, x)
    return keras.Model(inputs, outputs, name=plain.name)


def _preprocessing(preprocess, x):
    """Return RGB images as `preprocess` makes them: it is affine in a pixel's channels, hence one 1×1 convolution."""
    probe = np.concatenate([np.zeros((1, 3)), 255 * np.eye(3)]).reshape(4, 1, 1, 3)
    offset, *columns = np.array(preprocess(probe.copy())).reshape(4, 3)
    kernel = (np.stack(columns) - offset) / 255
    if np.allclose(kernel, np.eye(3)) and np.allclose(offset, 0):
        return x
    layer = layers.Conv2D(3, 1, name="preprocessing")
    x = layer(x)
    layer.set_weights([kernel.reshape(1, 1, 3, 3), offset])
    return x


def _load(model, path):
    """Load weights from a file into `model`; the error names both where they do not fit."""
    if not Path(path).is_file():
        raise OSError(
            f"there is no weights file {path}: give the path of a .weights.h5 or .h5 file without top"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", UserWarning
            )  # hundreds of them, before the error that says the same
            model.load_weights(path)
    except Exception as error:
        raise ValueError(
            f"the weights in {path} are not those of {model.name} without its top: {error}"
        ) from error


def _mini(input_shape):
    """The embedded backbone: a small residual network of stride 8, 96 GAP features (pretrained by data/make/pretrain.py)."""

    def unit(x, filters, strides=1, activation="relu"):
        x = layers.Conv2D(filters, 3, strides=strides, padding="same", use_bias=False)(x)
        x = layers.BatchNormalization()(x)
        return layers.Activation(activation)(x) if activation else x

    x = inputs = keras.Input(input_shape)
    x = layers.Rescaling(1 / 127.5, offset=-1.0)(x)
    for filters, residuals in ((32, 0), (48, 1), (96, 2)):
        x = unit(x, filters, strides=2)
        for _ in range(residuals):
            x = layers.Activation("relu")(
                layers.Add()([x, unit(unit(x, filters), filters, activation=None)])
            )
    return keras.Model(inputs, x, name="mini")


def gap_classifier(backbone, class_names):
    """Return a plain Keras model: `backbone`, global average pooling, one Dense layer ("logits"), softmax.

    The logits are W·mean(F) + b, so that class activation maps come with it (Zhou et al. 2016). The head begins at
    zero, which is equal odds for all classes. `class_names` travel with the model, written into its name, the one place
    for a text that a plain Keras file keeps and every Keras reads in safe mode. The layers of the backbone are shared,
    not copied, and trainable if they were. Raises ValueError where it has no feature map or the names are not unique.
    """
    class_names = [str(name) for name in class_names]
    if len(class_names) < 2 or len(set(class_names)) < len(class_names):
        raise ValueError(f"class_names must be two or more different names, found {class_names}")
    if len(backbone.output.shape) != 4:
        raise ValueError(
            f"{backbone.name} ends in shape {backbone.output.shape}: a feature map (N, h, w, K) is needed, so build it "
            "with include_top=False and pooling=None"
        )
    x = layers.GlobalAveragePooling2D(name="gap")(backbone.output)
    x = layers.Dense(len(class_names), kernel_initializer="zeros", name="logits")(x)
    x = layers.Activation("softmax", dtype="float32", name="probabilities")(x)
    model = keras.Model(backbone.input, x, name=_as_model_name(class_names))
    rate = STEP / backbone.output.shape[-1]
    model.compile(
        keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    model.optimizer.build(
        model.trainable_variables
    )  # so that one saved before any training loads without a warning
    return model


def _as_model_name(class_names):
    """Return the names as one that TensorFlow accepts: joined by >, spaces as _, other characters as .hex."""
    coded = [
        re.sub(r"^ |[^A-Za-z0-9 ]", lambda m: f".{ord(m[0]):x}.", name).replace(" ", "_")
        for name in class_names
    ]
    return ">".join(["classes", *coded])


def class_names_of(model):
    """Return the class names that a model of gap_classifier carries, None for any other model."""
    first, *coded = model.name.split(">")
    if first != "classes" or not coded:
        return None
    return [
        re.sub(r"\.([0-9a-f]+)\.", lambda m: chr(int(m[1], 16)), name.replace("_", " "))
        for name in coded
    ]


def train_head(model, train, validation=None, *, epochs=5, seed=0):
    """Return the Keras History of training the Dense layer of a GAP classifier on an image set.

    The images pass once, at the size of the model's input, through everything below the head, which is left as it is;
    the head then learns from their GAP features for `epochs` epochs (Adam, batches of 32) and is put back into `model`,
    the one thing here that changes. It learns on centred and scaled features, so that few steps suffice whatever the
    range of a backbone's channels; centring and scaling are then folded into its weights, exactly.
    Without `validation`, a fifth of the training images of each class, drawn by `seed`, is set aside for it.
    Raises HeadError where there is no GAP → Dense head, ValueError where classes and head do not match or the model
    takes images of any size.
    """
    head = graph.find_head(model)
    if not isinstance(head.at, layers.GlobalAveragePooling2D) or not isinstance(
        head.layer, layers.Dense
    ):
        raise graph.HeadError(
            "train_head trains a Dense layer after global average pooling: " + graph.REMEDY
        )
    sets = [train] if validation is None else [train, validation]
    for images in sets:
        _check_classes(model, head, images)
    gap, *rest = _gap_features(model, head, *sets)
    fit = np.arange(len(train))
    if validation is None:
        check = _holdout(train.labels, np.random.default_rng(seed))
        fit, held = np.setdiff1d(fit, check), (gap[check], train.labels[check])
    else:
        held = rest[0], validation.labels
    mean, spread = gap[fit].mean(axis=0) * head.layer.use_bias, gap[fit].std(axis=0)
    scale = spread + max(
        spread.mean(), 1e-6
    )  # the mean keeps a nearly silent channel from being shouted up
    gap, held = (gap - mean) / scale, ((held[0] - mean) / scale, held[1])
    dense = layers.Dense(len(head.bias), "softmax", head.layer.use_bias, kernel_initializer="zeros")
    trained = keras.Sequential([keras.Input(gap.shape[1:]), dense])
    rate = STEP / gap.shape[1]
    trained.compile(
        keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    random, cuts = np.random.default_rng(seed), range(32, len(fit), 32)

    def batches():  # shuffled here, so that no global seed is touched
        while True:
            for some in np.split(random.permutation(fit), cuts):
                yield gap[some], train.labels[some]

    with progress(epochs, "Training the head", "epoch") as bar:

        def show(epoch, logs):
            bar.set_postfix({name: f"{value:.3f}" for name, value in logs.items()}, refresh=False)
            bar.update()

        history = trained.fit(
            batches(),
            steps_per_epoch=len(cuts) + 1,
            epochs=epochs,
            shuffle=False,
            validation_data=held,
            callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=show)],
            verbose=0,
        )
    kernel, *bias = trained.get_weights()
    kernel = kernel / scale[:, None]
    head.layer.set_weights([kernel, *(offset - mean @ kernel for offset in bias)])
    return history


def _check_classes(model, head, images):
    """Raise ValueError unless the classes of `images` are those of the model's head, in the same order."""
    names = class_names_of(model)
    if len(images.class_names) != len(head.bias) or names not in (None, list(images.class_names)):
        raise ValueError(
            f"the model has {len(head.bias)} classes {names or ''}, the images have {len(images.class_names)}: "
            f"{list(images.class_names) or 'no labels'}; build it with gap_classifier(backbone, images.class_names)"
        )


def _holdout(labels, random):
    """Return the indices of a fifth of each class, rounded down but for classes of two to four, which lend one."""
    taken = []
    for label in np.unique(labels):
        members = random.permutation(np.flatnonzero(labels == label))
        taken.append(members[: max(len(members) // 5, int(len(members) > 1))])
    return np.sort(np.concatenate(taken))


def _gap_features(model, head, *sets, batch_size=32):
    """Return the GAP features (N, K) of each image set: one pass through everything below the head."""
    features = inference.feature_model(model, head)
    shape = features.input_shape[1:]
    size = inference.fixed_size(
        shape, "begin it with keras.Input((224, 224, 3)), as camkit.backbone does"
    )
    average = inference.compiled(
        lambda x: keras.ops.mean(
            keras.ops.cast(features(x, training=False), "float32"), axis=(1, 2)
        ),
        features,
    )
    gap = []
    with progress(sum(map(len, sets)), "GAP features", "image") as bar:
        for images in sets:
            parts = []
            for batch in images.batches(batch_size, size):
                full = np.resize(
                    batch, (batch_size, *batch.shape[1:])
                )  # one shape, so that XLA compiles once
                parts.append(average(full.astype("float32")).numpy()[: len(batch)])
                bar.update(len(batch))
            gap.append(np.concatenate(parts))
    return gap
