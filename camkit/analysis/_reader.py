"""Running a model over batches of images: class maps by CAM or by another method."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from camkit.images.decoding import checked_channels

if TYPE_CHECKING:
    import keras

# A method computes maps for this many classes of each image.
TOP_CLASSES = 5

# So many images of the first batch are also read by the model itself.
_CHECKED = 4

_WHICH_SIZE = "pass input_size=224 (in the shell --size 224), or the size that it was trained at"

Method = Callable[..., np.ndarray]
Size = int | tuple[int, int] | None
Grid = tuple[int, int] | None
Rows = Mapping[str, np.ndarray]

# (height, width, channels) of images; None where any size is accepted.
Shape = tuple[int | None, int | None, int]


class Reader(NamedTuple):
    """How a model is run.

    Attributes:
        read: `read(batch, labels, rows)` returns the arrays {name: array} that are stored for a
            batch (B, H, W, channels). `rows` {input: (B, ...)} are those of the inputs beside the
            image that have a row for each image.
        size: (height, width) of the images.
        channels: The number of channels of the images: 1, 3 or 4.
        classes: The number C of classes.
        class_names: The names that the model carries, or None.
        bias: (C,) if the mean of a map plus the rest and the bias is the logit, else None.
        has_rest: Whether there is a rest, for which the arrays have a name.
        precision: The dtype in which the maps are stored.
        is_multi_label: Whether each class has a sigmoid of its own.
    """

    read: Callable[[np.ndarray, np.ndarray, Rows], dict[str, np.ndarray]]
    size: tuple[int, int]
    channels: int
    classes: int
    class_names: list[str] | None
    bias: np.ndarray | None
    has_rest: bool
    precision: str
    is_multi_label: bool


def reader_of(
    model: "keras.Model", method: Method | None, input_size: Size, grid: Grid = None
) -> Reader:
    """Return the Reader of a model, by CAM or by `method` if one is given.

    `grid` is that of the tokens of a transformer, where it cannot be known.
    On its first batch it checks that the scores are those of the model itself.
    """
    shape = _image_shape(model)
    if method is None:
        reader = by_cam(model, input_size, shape, grid)
    else:
        reader = by_method(model, method, input_size, shape, grid)
    return reader._replace(read=_checked(model, reader, shape))


def _checked(
    model: "keras.Model", reader: Reader, shape: Shape
) -> Callable[..., dict[str, np.ndarray]]:
    """Return the function `read` of a reader, with a check of its first scores."""
    from camkit.models._scores import check_scores

    height, width, _ = shape
    # CAM reads other sizes than the model itself, whose scores are then unknown.
    is_unchecked = height in (None, reader.size[0]) and width in (None, reader.size[1])

    def read(batch: np.ndarray, labels: np.ndarray, rows: Rows) -> dict[str, np.ndarray]:
        nonlocal is_unchecked
        arrays = reader.read(batch, labels, rows)
        if is_unchecked:
            for images in _row_by_row(model, batch[:_CHECKED], rows):
                check_scores(model, batch[images], arrays["logits"][images])
            is_unchecked = False
        return arrays

    return read


def _row_by_row(model: "keras.Model", batch: np.ndarray, rows: Rows) -> Iterator[slice]:
    """Give a model the row of each image of a batch in turn, and yield where the image stands.

    Without rows, yield the whole batch at once.
    """
    from camkit.models._part import give, row_at

    if not rows:
        yield slice(len(batch))
        return
    for index in range(len(batch)):
        give(model, row_at(rows, index))
        yield slice(index, index + 1)


def by_cam(model: "keras.Model", input_size: Size, shape: Shape, grid: Grid) -> Reader:
    """Return the Reader that computes the maps of all classes by CAM.

    Raises HeadError if the model has no GAP → Dense head.
    """
    from camkit.maps.attribution import grad_cam
    from camkit.maps.cam import CAM, with_family
    from camkit.models._batches import fixed_size
    from camkit.models._graph import HeadError
    from camkit.models._head import find_head
    from camkit.models._scores import is_multi_label

    try:
        # CAM names the remedy by how it is called without an analysis.
        find_head(model)
    except HeadError as error:
        call = "method=camkit.grad_cam (in the shell --method grad_cam)"
        read_by_family = partial(by_method, model, grad_cam, input_size, shape, grid)
        raise with_family(error, call, read_by_family) from None
    cam = CAM(model, input_size=input_size, grid=grid)

    def read(batch: np.ndarray, labels: np.ndarray, rows: Rows) -> dict[str, np.ndarray]:
        return cam(batch, inputs=rows)._asdict()

    return Reader(
        read,
        size=fixed_size(cam.input_shape, _WHICH_SIZE),
        channels=shape[2],
        classes=len(cam.bias),
        class_names=cam.class_names,
        bias=cam.bias,
        has_rest=cam.has_rest,
        precision="float16",
        is_multi_label=is_multi_label(model),
    )


def by_method(
    model: "keras.Model", method: Method, input_size: Size, shape: Shape, grid: Grid
) -> Reader:
    """Return the Reader that computes the maps of the top classes of each image by a method.

    `method(model, batch, targets)` returns maps (B, h, w). The features are those of the layer that
    it reads: those of its keywords `layer` and `grid` if functools.partial sets them. A `grid` that
    is given is passed on to it, if it takes one. Raises HeadError and ValueError as the family of
    methods does.
    """
    from camkit.models import _probe
    from camkit.models._graph import one_way
    from camkit.models._scores import is_multi_label, probabilities
    from camkit.models.classifier import class_names_of

    if not callable(method):
        raise ValueError(
            f"method is {method!r}: pass the function itself, such as method=camkit.grad_cam"
        )
    layer = keyword_of(method, "layer")
    method = _without_needless_layer(method, layer)
    _check_call(method)
    size = _size_for_method(shape, input_size)
    if grid is None:
        grid = keyword_of(method, "grid")
    elif _takes(method, grid=grid):
        method = partial(method, grid=grid)
    blank = np.zeros((1, *size, shape[2]), dtype="float32")
    _probe.check_reading(model, blank, layer, grid)

    def read_images(batch: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
        with _probe.seen(model, batch, layer, grid) as (logits, features):
            map_classes = top(logits, labels)
            maps = [method(model, batch, targets) for targets in map_classes.T]
        places = tuple(range(1, features.ndim - 1))
        return {
            "maps": _stack(maps, count=len(batch)),
            "map_classes": map_classes,
            "gap": features.mean(axis=places),
            "logits": logits,
            "probs": probabilities(model, logits).astype("float32"),
        }

    def read(batch: np.ndarray, labels: np.ndarray, rows: Rows) -> dict[str, np.ndarray]:
        batch = np.asarray(batch, dtype="float32")
        # A method is called with a model of one input: images with rows of their own come singly.
        parts = [
            read_images(batch[images], labels[images]) for images in _row_by_row(model, batch, rows)
        ]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    return Reader(
        read,
        size=size,
        channels=shape[2],
        classes=_probe.classes_of(one_way(model)),
        class_names=class_names_of(model),
        bias=None,
        has_rest=False,
        precision="float32",
        is_multi_label=is_multi_label(model),
    )


def _without_needless_layer(method: Method, layer: Any) -> Method:
    """Return a method without the keyword `layer` if it reads none, such as occlusion.

    The features alone are then read at this layer.
    """
    if not isinstance(method, partial) or layer is None or _takes(method.func, layer=layer):
        return method
    keywords = {name: value for name, value in method.keywords.items() if name != "layer"}
    return partial(method.func, *method.args, **keywords)


def _check_call(method: Method) -> None:
    """Raise ValueError if a method does not take a model, a batch and targets."""
    function = getattr(method, "func", method)
    keywords = getattr(method, "keywords", {})
    try:
        inspect.signature(function).bind(None, None, None, **keywords)
    except TypeError as error:
        name = getattr(function, "__name__", repr(function))
        raise ValueError(
            f"{name} cannot be called as method(model, batch, targets): {error}"
        ) from None


def _takes(method: Method, **keywords: Any) -> bool:
    """Return whether a method can be called with these keywords."""
    try:
        inspect.signature(method).bind(None, None, None, **keywords)
    except TypeError:
        return False
    return True


def keyword_of(method: Method | None, name: str) -> Any:
    """Return a keyword that functools.partial sets in a method, or None."""
    keywords = getattr(method, "keywords", {})
    return keywords.get(name)


def _image_shape(model: "keras.Model") -> Shape:
    """Return (height, width, channels) of the images that a model takes.

    Raises HeadError if it takes something else or has channels first, and ValueError if no file has
    so many channels.
    """
    from camkit.models._graph import HeadError, one_way

    network = one_way(model)
    shape = network.input.shape[1:]
    if len(shape) != 3:
        raise HeadError(
            f"the model takes arrays of shape {shape}, and camkit.analyze reads images (height, "
            "width, channels): pass arrays to camkit.CAM or camkit.grad_cam, whose maps have the "
            "places of the features"
        )
    formats = {getattr(layer, "data_format", None) for layer in network.layers}
    if "channels_first" in formats:
        raise HeadError(
            "the model is channels_first: camkit reads images (height, width, channels)"
        )
    height, width, channels = shape
    return height, width, checked_channels(channels)


def _size_for_method(shape: Shape, input_size: Size) -> tuple[int, int]:
    """Return (height, width) of the images for a method, which runs the model as it is.

    Raises ValueError if the size is unknown, or if it is not the model's.
    """
    from camkit.models._batches import fixed_size

    asked: Any = shape[:2] if input_size is None else input_size
    size = np.broadcast_to(asked, 2).tolist()
    size = fixed_size(size, _WHICH_SIZE)
    for fixed, wanted in zip(shape[:2], size, strict=True):
        if fixed not in (None, wanted):
            raise ValueError(
                f"a method reads the model as it is, at {shape[:2]}: leave out input_size={size}"
            )
    return size


def _stack(maps: list[np.ndarray], count: int) -> np.ndarray:
    """Return the maps (B, h, w) of each class as one array (B, h, w, classes)."""
    stacked = np.stack(maps, axis=-1)
    if stacked.ndim != 4 or len(stacked) != count:
        raise ValueError(
            f"the method returned {stacked.shape[:-1]} for {count} images: (B, h, w) is needed"
        )
    return stacked


def top(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the classes (B, TOP_CLASSES) of the highest logits (B, C), highest first.

    If the label of an image is not among them, it replaces the last one. Of labels (B, C), a mask,
    the true ones come first, so that maps of all true and predicted labels are there if they are no
    more than TOP_CLASSES.
    """
    if labels.ndim == 2:
        order = np.lexsort((-logits, ~labels), axis=1)
        return order[:, :TOP_CLASSES]
    order = np.argsort(-logits, axis=1, kind="stable")
    classes = order[:, :TOP_CLASSES]
    is_among = (classes == labels[:, None]).any(axis=1)
    is_missing = (labels >= 0) & ~is_among
    classes[is_missing, -1] = labels[is_missing]
    return classes
