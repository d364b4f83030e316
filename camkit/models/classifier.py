"""The GAP classifier: a backbone with a linear head, its class names, training the head."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import keras
import numpy as np
from keras import layers, ops

from camkit._class_names import names_in_order
from camkit._progress import progress
from camkit.models._backend import compile_forward
from camkit.models._batches import batches_of, fixed_size
from camkit.models._copy import feature_model
from camkit.models._graph import REMEDY, HeadError
from camkit.models._head import Head, find_head

if TYPE_CHECKING:
    from camkit.images.image_set import ImageSet

# Roughly how far a step of Adam moves a logit. The learning rate of a head is this divided by its
# number of channels K.
STEP = 1.92
_BATCH_SIZE = 32


def gap_classifier(backbone: keras.Model, class_names: Sequence[str] | Mapping) -> keras.Model:
    """Return a plain Keras model: `backbone`, global average pooling, Dense ("logits"), softmax.

    The logits are W·mean(F) + b, so the model has class activation maps (Zhou et al., 2016). The
    head starts at zero, so that all classes are equally probable. The layers of the backbone are
    shared, not copied, and remain trainable if they are.

    Args:
        backbone: A model from images to a feature map (N, h, w, K).
        class_names: Two or more different names, in the order of the outputs. They are stored in
            the name of the model, the only text that a plain Keras file preserves and that every
            version of Keras reads in safe mode.

    Returns:
        A compiled model that ends in the layers "gap", "logits" and "probabilities".

    Raises:
        ValueError: The backbone has no feature map, or there are not two or more different names.

    Example:
        >>> import camkit
        >>> model = camkit.gap_classifier(camkit.backbone("mini"), ["apple", "lime"])
        >>> model.output_shape
        (None, 2)
    """
    class_names = names_in_order(class_names)
    if len(class_names) < 2 or len(set(class_names)) < len(class_names):
        raise ValueError(f"class_names must be two or more different names, found {class_names}")
    if len(backbone.output.shape) != 4:
        raise ValueError(
            f"{backbone.name} ends in shape {backbone.output.shape}: a feature map (N, h, w, K) is "
            "needed, so build it with include_top=False and pooling=None"
        )
    pool = layers.GlobalAveragePooling2D(name="gap")
    dense = layers.Dense(len(class_names), kernel_initializer="zeros", name="logits")
    softmax = layers.Activation("softmax", dtype="float32", name="probabilities")

    gap = pool(backbone.output)
    logits = dense(gap)
    probabilities = softmax(logits)
    model = keras.Model(backbone.input, probabilities, name=_as_model_name(class_names))
    _compile(model, channels=backbone.output.shape[-1])
    # So a model that is saved before any training loads without a warning.
    model.optimizer.build(model.trainable_variables)
    return model


def class_names_of(model: keras.Model) -> list[str] | None:
    """Return the class names stored in a model of `gap_classifier`, or None for any other model.

    Example:
        >>> import camkit
        >>> model = camkit.gap_classifier(camkit.backbone("mini"), ["Apple Red", "樱桃"])
        >>> camkit.models.class_names_of(model)
        ['Apple Red', '樱桃']
    """
    first, *coded_names = model.name.split(">")
    if first != "classes" or not coded_names:
        return None
    return [_decoded(name) for name in coded_names]


def train_head(
    model: keras.Model,
    train: "ImageSet",
    validation: "ImageSet | None" = None,
    *,
    epochs: int = 5,
    seed: int = 0,
) -> keras.callbacks.History:
    """Return the Keras History of training the Dense layer of a GAP classifier on an image set.

    The images pass once, at the size of the model's input, through all layers below the head, which
    are not changed. The head then learns from their GAP features (Adam, batches of 32), and its
    weights are written back to `model`, the only change. It learns on centred and scaled features,
    so that few steps suffice whatever the range of a backbone's channels; centring and scaling are
    then folded into its weights exactly.

    Args:
        model: A model that ends in global average pooling and a Dense layer.
        train: The images to learn from, with the classes of the model in the same order.
        validation: Images for validation. Without them, a fifth of the training images of each
            class, drawn by `seed`, is set aside.
        epochs: The number of times that the head sees the features of all images.
        seed: Draws the order of the images, and those that are set aside.

    Raises:
        HeadError: The model has no GAP → Dense head.
        ValueError: Classes and head do not match, images have several labels, or the model takes
            images of any size.

    Example:
        >>> import camkit
        >>> train = camkit.load_images("mini", "Training", classes=["Lemon", "Lime"], per_class=10)
        >>> model = camkit.gap_classifier(camkit.backbone("mini"), train.class_names)
        >>> history = camkit.train_head(model, train, epochs=3)
        >>> len(history.history["val_accuracy"])
        3
    """
    head = find_head(model)
    if not isinstance(head.layer, layers.Dense):
        raise HeadError(f"train_head trains a Dense layer after global average pooling: {REMEDY}")
    sets = [train] if validation is None else [train, validation]
    for images in sets:
        _check_classes(model, head, images)
    gaps = _gap_features(model, head, *sets)

    if validation is None:
        learnt, checked = _split(gaps[0], train.labels, seed)
    else:
        learnt = _Features(gaps[0], train.labels)
        checked = _Features(gaps[1], validation.labels)
    mean, scale = _centre_and_scale(learnt.gap, head.layer.use_bias)
    trained, history = _fit_dense(
        head.layer,
        learnt.standardised(mean, scale),
        checked.standardised(mean, scale),
        epochs,
        seed,
    )
    weights = _for_plain_features(trained.get_weights(), mean, scale)
    head.layer.set_weights(weights)
    return history


def _compile(model: keras.Model, channels: int) -> None:
    """Compile a classifier with a learning rate that suits a head with this many channels."""
    optimizer = keras.optimizers.Adam(STEP / channels)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])


# Class names --------------------------------------------------------------------------------------


def _as_model_name(class_names: list[str]) -> str:
    """Return class names as one name that TensorFlow accepts, joined by >."""
    return ">".join(["classes", *map(_coded, class_names)])


def _coded(name: str) -> str:
    """Return a class name in letters and digits: spaces as _, other characters as .hex."""
    # A name that begins with _ would not be accepted.
    coded = re.sub(r"^ |[^A-Za-z0-9 ]", lambda match: f".{ord(match[0]):x}.", name)
    return coded.replace(" ", "_")


def _decoded(coded_name: str) -> str:
    """Return the class name that `_coded` has encoded."""
    spaced = coded_name.replace("_", " ")
    return re.sub(r"\.([0-9a-f]+)\.", lambda match: chr(int(match[1], 16)), spaced)


def _check_classes(model: keras.Model, head: Head, images: "ImageSet") -> None:
    """Raise ValueError unless the classes of `images` are those of the head, in the same order."""
    # The labels of scenes with one object are a column.
    if np.shape(images.labels)[1:] not in ((), (1,)):
        raise ValueError(
            "train_head trains a softmax on one label an image, and these have several: end the "
            "model with Dense(C, activation='sigmoid'), compile it with 'binary_crossentropy' and "
            "call model.fit"
        )
    names = class_names_of(model)
    count = len(head.bias)
    same_names = names is None or names == list(images.class_names)
    if len(images.class_names) != count or not same_names:
        raise ValueError(
            f"the model has {count} classes {names or ''}, the images have "
            f"{len(images.class_names)}: {list(images.class_names) or 'no labels'}; build it with "
            "gap_classifier(backbone, images.class_names)"
        )


# Training -----------------------------------------------------------------------------------------


class _Features(NamedTuple):
    """GAP features of images and their labels."""

    # (N, K)
    gap: np.ndarray
    # (N,)
    labels: np.ndarray

    def standardised(self, mean: np.ndarray, scale: np.ndarray) -> "_Features":
        """Return the features minus `mean`, divided by `scale`, both (K,)."""
        return _Features((self.gap - mean) / scale, self.labels)


def _split(gap: np.ndarray, labels: np.ndarray, seed: int) -> tuple[_Features, _Features]:
    """Return the features to learn from, and those of a fifth of each class for validation."""
    random = np.random.default_rng(seed)
    held_out = _holdout(labels, random)
    learnt = np.setdiff1d(np.arange(len(labels)), held_out)
    return _Features(gap[learnt], labels[learnt]), _Features(gap[held_out], labels[held_out])


def _holdout(labels: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Return the indices of a fifth of each class, rounded down; of two to four images, one."""
    held_out = []
    for label in np.unique(labels):
        members = random.permutation(np.flatnonzero(labels == label))
        count = len(members) // 5
        if count == 0 and len(members) > 1:
            count = 1
        held_out.append(members[:count])
    return np.sort(np.concatenate(held_out))


def _gap_features(model: keras.Model, head: Head, *sets: "ImageSet") -> list[np.ndarray]:
    """Return the GAP features (N, K) of each image set, by one pass through the layers below."""
    features = feature_model(model, head)
    remedy = "begin it with keras.Input((224, 224, 3)), as camkit.backbone does"
    size = fixed_size(features.input_shape[1:], remedy)

    def average(images: Any) -> Any:
        volume = ops.cast(features(images, training=False), "float32")
        places = tuple(range(1, len(volume.shape) - 1))
        return ops.mean(volume, axis=places)

    forward = compile_forward(average, features)
    gaps = []
    with progress(sum(map(len, sets)), "GAP features", "image") as bar:
        for images in sets:
            parts = []
            for batch in batches_of(images, _BATCH_SIZE, (*size, features.input_shape[-1])):
                # All batches have one shape, so that XLA compiles once.
                full_shape = (_BATCH_SIZE, *batch.shape[1:])
                full = np.resize(batch, full_shape).astype("float32")
                gap = forward(full)
                parts.append(gap[: len(batch)])
                bar.update(len(batch))
            gaps.append(np.concatenate(parts))
    return gaps


def _centre_and_scale(gap: np.ndarray, uses_bias: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return the offset (K,) and the scale (K,) that standardise GAP features.

    The offset is 0 if the head has no bias that could compensate for it.
    """
    mean = gap.mean(axis=0)
    if not uses_bias:
        mean = np.zeros_like(mean)
    spread = gap.std(axis=0)
    # Adding the mean over all channels keeps a nearly constant one from being amplified.
    scale = spread + max(spread.mean(), 1e-6)
    return mean, scale


def _for_plain_features(
    weights: list[np.ndarray], mean: np.ndarray, scale: np.ndarray
) -> list[np.ndarray]:
    """Return the kernel (and bias) for raw GAP features, given those for standardised ones."""
    kernel = weights[0] / scale[:, None]
    biases = [bias - mean @ kernel for bias in weights[1:]]
    return [kernel, *biases]


def _fit_dense(
    like: layers.Dense, learnt: _Features, checked: _Features, epochs: int, seed: int
) -> tuple[keras.Model, keras.callbacks.History]:
    """Fit a softmax layer with the units of `like` to features; return it and its history."""
    count, channels = learnt.gap.shape
    dense = layers.Dense(like.units, "softmax", use_bias=like.use_bias, kernel_initializer="zeros")
    model = keras.Sequential([keras.Input((channels,)), dense])
    _compile(model, channels)
    steps = math.ceil(count / _BATCH_SIZE)

    with progress(epochs, "Training the head", "epoch") as bar:

        def show(epoch: int, logs: dict) -> None:
            values = {name: f"{value:.3f}" for name, value in logs.items()}
            bar.set_postfix(values, refresh=False)
            bar.update()

        history = model.fit(
            _endless_batches(learnt, seed),
            steps_per_epoch=steps,
            epochs=epochs,
            shuffle=False,
            validation_data=tuple(checked),
            callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=show)],
            verbose=0,
        )
    return model, history


def _endless_batches(features: _Features, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield batches of features and labels without end, in a new order for each epoch.

    The order is drawn here and not by Keras, so that no global seed is changed.
    """
    random = np.random.default_rng(seed)
    while True:
        order = random.permutation(len(features.labels))
        for start in range(0, len(order), _BATCH_SIZE):
            indices = order[start : start + _BATCH_SIZE]
            yield features.gap[indices], features.labels[indices]
