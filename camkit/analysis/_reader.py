"""Reading an image set with a model: class maps by CAM or by another method, and which folder is which class."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from camkit.images.folders import quote

KEPT = 5  # classes a picture whose maps a method is asked for


class Reader(NamedTuple):
    """How a model is read; `read(batch, labels)` returns what is kept of a batch (B, H, W, channels): {name: array}."""

    read: Callable
    size: tuple  # (height, width) of the images
    classes: int
    class_names: list | None  # that the model carries
    bias: np.ndarray | None  # (C,) where mean(map) + bias is the logit
    precision: str  # of the maps as they are kept


def reader_of(model, method, input_size):
    """Return the Reader of a model: by CAM, or by `method` where one is given."""
    return by_cam(model, input_size) if method is None else by_method(model, method, input_size)


def by_cam(model, input_size):
    """Return the Reader of all class maps. Raises HeadError where there is no GAP → Dense head."""
    from camkit.maps import attribution, cam
    from camkit.models import _copy as inference
    from camkit.models import _graph as graph

    try:
        run = cam.CAM(model, input_size=input_size)
    except graph.HeadError as error:
        try:
            by_method(model, attribution.grad_cam, input_size)
        except Exception:  # it would not help
            raise error from None
        raise graph.HeadError(
            f"{error}; or pass method=camkit.grad_cam (in the shell --method grad_cam), "
            "which reads this model as it is"
        ) from None
    size = inference.fixed_size(run.input_shape, "pass input_size=224, or what it was trained at")
    return Reader(
        lambda batch, labels: run(batch)._asdict(),
        size,
        len(run.bias),
        run.class_names,
        run.bias,
        "float16",
    )


def by_method(model, method, input_size):
    """Return the Reader of the maps that `method(model, batch, targets)` makes of the top classes of each image.

    The features are those of the layer that it reads: its keyword `layer` where functools.partial gives it one.
    Raises HeadError and ValueError as the family does.
    """
    from camkit.models import (
        _copy as inference,
    )
    from camkit.models import (
        _graph as graph,
    )
    from camkit.models import (
        _probe as probe,
    )
    from camkit.models import (
        classifier as models,
    )

    if not callable(method):
        raise ValueError(
            f"method is {method!r}: pass the function itself, such as method=camkit.grad_cam"
        )
    shape = graph.one_way(model).inputs[0].shape[1:]
    if len(shape) != 3 or any(
        getattr(op, "data_format", "") == "channels_first" for op in graph.layers_of(model)
    ):
        raise graph.HeadError(
            f"the model takes {shape} or is channels_first: (height, width, channels) is read"
        )
    size = np.broadcast_to(shape[:2] if input_size is None else input_size, 2).tolist()
    size = inference.fixed_size(size, "pass input_size=224, or what it was trained at")
    if any(own not in (None, wanted) for own, wanted in zip(shape, size)):
        raise ValueError(
            f"a method reads the model as it is, at {shape[:2]}: leave out input_size={size}"
        )
    layer = getattr(method, "keywords", {}).get("layer")
    with probe.seen(model, np.zeros((1, *size, shape[2]), "float32"), layer) as (logits, _):
        if logits.ndim != 2:
            raise ValueError(
                f"the model gives {logits.shape[1:]}: one vector of class scores an image is needed"
            )

    def read(batch, labels):
        batch = np.asarray(batch, "float32")
        with probe.seen(model, batch, layer) as (logits, features):
            chosen = top(logits, labels)
            maps = np.stack([method(model, batch, targets) for targets in chosen.T], axis=-1)
        if maps.ndim != 4 or len(maps) != len(batch):
            raise ValueError(
                f"the method made {maps.shape[:-1]} of {len(batch)} images: (B, h, w) is needed"
            )
        return {
            "maps": maps,
            "map_classes": chosen,
            "gap": features.mean(axis=(1, 2)),
            "logits": logits,
            "probs": probe.probabilities(model, logits).astype("float32"),
        }

    return Reader(read, size, logits.shape[1], models.class_names_of(model), None, "float32")


def top(logits, labels):
    """Return the classes (B, KEPT) of the highest logits (B, C); the last gives way to a label not among them."""
    chosen = np.argsort(-logits, axis=1, kind="stable")[:, :KEPT]
    absent = (labels >= 0) & (chosen != labels[:, None]).all(axis=1)
    chosen[absent, -1] = labels[absent]
    return chosen


def described(method):
    """Return what tells one method from another, as text; None for CAM."""
    if method is None:
        return None
    inner = getattr(method, "func", method)
    settings = {
        key: getattr(value, "name", value) for key, value in getattr(method, "keywords", {}).items()
    }
    name = (
        f"{getattr(inner, '__module__', '')}.{getattr(inner, '__qualname__', type(inner).__name__)}"
    )
    return name + "".join(f", {key}={value!r}" for key, value in sorted(settings.items()))


def match(images, classes, names):
    """Return the labels of `images` as indices of the model's classes, -1 where there is none, and the class names.

    `names` are the model's, None where nobody knows them. Folders are classes by name; else, where all are called by
    numbers 0 … C − 1, by index; else, where the model has no names, one by one in the order of their names.
    """
    folders = list(images.class_names)
    if names is not None and len(names) != classes:
        raise ValueError(
            f"class_names are {len(names)}, the model has {classes} classes: give one for each, in the "
            "order of its outputs"
        )
    numbered = all(name.isdecimal() for name in folders)
    ordered = not numbered or folders == sorted(folders, key=int)
    if names is not None and set(folders) <= set(names):
        index = [names.index(name) for name in folders]
        if several := [name for name in folders if names.count(name) > 1]:
            raise ValueError(
                f"the model has several classes of the name {several[0]!r}: name the folders by index"
            )
    elif numbered and len({int(name) for name in folders} & set(range(classes))) == len(folders):
        index = [int(name) for name in folders]
    elif names is None and len(folders) == classes and ordered:
        names, index = folders, range(classes)
    else:
        remedy = (
            "pass class_names=[...] (in the shell --class-names FILE), name the folders after the classes or by "
            f"index 0 to {classes - 1}, or pass images.unlabelled() (--unlabelled)"
        )
        if classes == 1 and len(folders) == 2:
            remedy = (
                "its one output says yes or no; a Dense layer of two, with the kernel (0, w) and the bias (0, b) "
                "for its w and b, and softmax says the same as two classes"
            )
        if names is None:
            raise ValueError(
                f"the model has {classes} classes and carries no names, the images have {len(folders)} "
                f"classes {folders[:5]}: {remedy}"
            )
        unknown = sorted(set(folders) - set(names))
        raise ValueError(
            f"the images have classes that the model does not know: {unknown[:12]}; it knows "
            f"{quote(names)}: {remedy}"
        )
    return np.array([*index, -1])[images.labels], names or [str(c) for c in range(classes)]
