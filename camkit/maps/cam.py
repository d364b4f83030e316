"""Class activation maps: one forward pass for all classes."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from camkit.maps.arrays import upsample

if TYPE_CHECKING:
    import keras

    from camkit.models._graph import HeadError
    from camkit.models._head import Head
    from camkit.models._places import Grid

# Maps are weighted sums of features: (N, time, K), (N, height, width, K) or volumes.
_WEIGHTED_SUM = {3: "ntk,kc->ntc", 4: "nyxk,kc->nyxc", 5: "nzyxk,kc->nzyxc"}


class CamOutput(NamedTuple):
    """The results of one forward pass, as float32 arrays.

    B is the number of images, (h, w) the size of a map, K the number of channels and C the number
    of classes. A model of one output, such as a sigmoid, has C = 2 classes.

    Attributes:
        maps: (B, h, w, C), signed class activation maps M. Their mean over h and w, plus the
            rest and the bias, is the logit. A model of sequences has (B, t, C), one of volumes
            (B, d, h, w, C).
        gap: (B, K), GAP features, the mean of each channel.
        logits: (B, C), class scores before softmax or sigmoid. A model with one output, of logit z,
            has (−z/2, z/2), whose softmax is (1 − p, p).
        probs: (B, C) in 0..1, by the model's own softmax or sigmoid, or by softmax where the model
            ends in logits.
        rest: (B, C), what the head adds to the logits from values that no map belongs to, such as
            those of a max pooling beside the average, or a class token; 0 for the usual head.

    Example:
        >>> import camkit, numpy as np
        >>> model = camkit.gap_classifier(camkit.backbone("mini"), ["apple", "lime"])
        >>> out = camkit.CAM(model)(np.zeros((1, 100, 100, 3)))
        >>> out.gap.shape, out.logits.shape
        ((1, 96), (1, 2))
    """

    maps: np.ndarray
    gap: np.ndarray
    logits: np.ndarray
    probs: np.ndarray
    rest: np.ndarray


class CAM:
    """Class activation maps of every class from one forward pass of a model with GAP → Dense head.

    M_c(x, y) = Σ_k F_k(x, y) · W_kc, so that mean(M_c) + b_c is the logit of class c (Zhou et al.,
    Learning Deep Features for Discriminative Localization, CVPR 2016, eq. 1 and 2, with the mean
    in place of their sum). What else a head may hold:

    - Folded into W and b, exactly: Dense layers and 1×1 convolutions without activation, also with
      LoRA or with weights alone in int4, batch normalisation at inference, Rescaling,
      Normalization, Dropout and noise, reshaping, casts, temperatures and other operations with
      constants, sums, means, differences and concatenations of such values, parts of a vector.
    - The pooling: GlobalAveragePooling, AveragePooling over the whole map, keras.ops.mean over the
      places, several poolings of one or more maps.
    - The rest: values beside the pooling, such as those of a max pooling or of another input.
    - Two classes: one sigmoid or one logit z has the scores −z/2 and z/2.
    - Refused, as no map adds up to the scores: a hidden layer with an activation, layer
      normalisation, Flatten, max pooling alone, one token alone, an average of probabilities,
      layers in int8 or float8, which round what they read.

    F may be a map, the tokens of a transformer, a sequence or a volume. Where the head reads
    several maps of different sizes, all are enlarged to the largest before they are added; what
    bilinear enlargement changes in the mean of a map, at factors that are not whole, is subtracted
    from it everywhere. What the head reads beside them is the rest r of each image. So the logit is
    always mean(M_c) + r_c + b_c.

    A CAM works on a private copy that is made when it is created: the model is not changed, and its
    later training has no effect on the CAM. The copy's probabilities for random images are compared
    with those of the model.

    Args:
        model: A Keras model with a GAP → Dense head.
        inputs: {name: values} of the inputs beside the image, for a model with several inputs: one
            row for all images, or one for each image of the batch.
        output: The name of the output that is explained, for a model with several outputs.
        grid: (height, width) of the tokens of a transformer, where the model does not tell it.
        input_size: The size of the images in pixels, one number or (height, width), if it is not
            that of the model's input (the default). Larger images, for example, show several
            objects.

    Attributes:
        class_names: The names that the model carries, or None.
        kernel: Weights W (K, C), float32.
        bias: Biases b (C,), float32.
        has_rest: Whether the rest can be other than 0.
        input_shape: (height, width, channels) of the images; None where any size is accepted.

    Raises:
        HeadError: The model has no GAP → Dense head, or the copy does not return its probabilities.
        ValueError: The model cannot read images of `input_size`, or the grid does not fit.

    Example:
        >>> import camkit, numpy as np
        >>> images = camkit.load_images("mini", classes=["Lemon", "Lime"], per_class=2)
        >>> model = camkit.gap_classifier(camkit.backbone("mini"), images.class_names)
        >>> cam = camkit.CAM(model)
        >>> out = cam(next(images.batches(4, 100)))
        >>> out.maps.shape
        (4, 13, 13, 2)
        >>> bool(np.allclose(out.maps.mean(axis=(1, 2)) + cam.bias, out.logits, atol=1e-4))
        True
    """

    class_names: list[str] | None
    kernel: np.ndarray
    bias: np.ndarray
    has_rest: bool
    input_shape: tuple[int | None, ...]

    def __init__(
        self,
        model: "keras.Model",
        *,
        inputs: Mapping[str, np.ndarray] | None = None,
        output: str | None = None,
        grid: tuple[int, int] | None = None,
        input_size: int | tuple[int, int] | None = None,
    ):
        """Find the head of the model, copy the layers below it, and prepare to compile the copy.

        See the class for the arguments.
        """
        # Keras and its backend are loaded when a model is first met.
        from camkit.models._backend import compile_forward
        from camkit.models._copy import feature_model
        from camkit.models._graph import HeadError, network_of
        from camkit.models._head import find_head
        from camkit.models._part import own_tables_of, part, row_at, tables_of
        from camkit.models._places import grid_of
        from camkit.models._probe import check_reading
        from camkit.models._scores import random_images
        from camkit.models.classifier import class_names_of

        tables = tables_of(model, inputs)
        explained = part(model, row_at(tables, 0), output)
        try:
            head = find_head(explained)
        except HeadError as error:

            def read_by_family() -> None:
                check_reading(explained, random_images(network_of(explained)), grid=grid)

            raise with_family(error, "camkit.grad_cam(model, batch)", read_by_family) from None
        copy = feature_model(explained, head, input_size)
        network = network_of(explained)
        grids = [grid_of(network, each.features, grid) for each in head.parts]
        forward = _forward_pass(copy, head, grids)
        _check(explained, copy, forward)

        self.class_names = class_names_of(model)
        self.kernel = np.concatenate([each.kernel for each in head.parts])
        self.bias = head.bias
        self.has_rest = bool(head.rest) or any(grid and grid.prefix > 0 for grid in grids)
        self.input_shape = tuple(copy.inputs[0].shape[1:])
        self._tables = {**own_tables_of(explained), **tables}
        self._forward = compile_forward(forward, copy)

    def __call__(
        self, batch: np.ndarray, *, inputs: Mapping[str, np.ndarray] | None = None
    ) -> CamOutput:
        """Return the CamOutput of a batch of images.

        Args:
            batch: Images (B, H, W, channels), in the value range that the model expects.
            inputs: {name: values} of inputs beside the image that differ from those that the CAM
                was created with: one row, or one for each image of this batch.

        Raises:
            ValueError: The shape is not one that the model accepts, or an input has another number
                of rows than there are images.
        """
        from camkit.models._batches import batch_of
        from camkit.models._part import rows_of_batch

        remedy = "camkit.CAM(model, input_size=...) reads another size than the model's own"
        images = batch_of(batch, self.input_shape, remedy)
        rows = rows_of_batch(self._tables, inputs or {}, len(images))
        maps, gap, logits, probs, *rest = self._forward(images, *rows.values())
        total = _sum_of_maps(maps) if isinstance(maps, list) else maps
        return CamOutput(total, gap, logits, probs, rest[0] if rest else np.zeros_like(logits))


def with_family(error: "HeadError", call: str, read: Callable[[], object]) -> "HeadError":
    """Return the refusal of a head, with what the family can do for the model as its first remedy.

    Args:
        error: The refusal. If its remedy is not that for other heads, it is returned as it is.
        call: How Grad-CAM is called.
        read: A function that reads the model as Grad-CAM does. If that needs more, such as the name
            of a layer, the message of its ValueError says so.
    """
    from camkit.models._graph import REMEDY, HeadError

    reason, remedy, _ = str(error).partition(f"; {REMEDY}")
    if not remedy:
        return error
    try:
        read()
    except ValueError as refusal:
        return HeadError(f"{reason}; nor does {call} read it as it is: {refusal}{remedy}")
    except Exception:
        # Where the model itself does not run, Keras fails in any way.
        return error
    return HeadError(f"{reason}; {call} reads this model as it is{remedy}")


def _forward_pass(
    copy: "keras.Model", head: "Head", grids: Sequence["Grid | None"]
) -> Callable[[Any], tuple]:
    """Return the function from images to (maps, gap, logits, probs), and the rest if there is one.

    It also takes what the copy takes beside the images.

    Args:
        copy: The copy of the model up to what the head reads.
        head: The head. Several parts have a list of maps.
        grids: For each part, the grid that tokens are spread on, None for a map.
    """
    from keras import ops

    activation = ops.sigmoid if head.activation == "sigmoid" else ops.softmax

    def forward(images: Any, *rows: Any) -> tuple:
        tensors = copy([images, *rows] if rows else images, training=False)
        tensors = tensors if isinstance(tensors, list) else [tensors]
        tensors = [ops.cast(tensor, "float32") for tensor in tensors]
        maps, gaps, rest = [], [], []
        logits = head.bias
        for part, grid, features in zip(head.parts, grids, tensors, strict=False):
            places = tuple(range(1, len(features.shape) - 1))
            gap = ops.mean(features, axis=places)
            share = ops.matmul(gap, part.kernel)
            maps.append(_maps_of(features, part.kernel, grid))
            gaps.append(gap)
            if grid is not None and grid.height * grid.width < features.shape[1]:
                rest.append(ops.subtract(share, ops.mean(maps[-1], axis=(1, 2))))
            logits = ops.add(share, logits)
        for part, vector in zip(head.rest, tensors[len(head.parts) :], strict=True):
            flat = ops.reshape(vector, (-1, len(part.kernel)))
            share = ops.matmul(flat, part.kernel)
            rest.append(share)
            logits = ops.add(share, logits)
        several = len(maps) > 1
        result = (
            maps if several else maps[0],
            ops.concatenate(gaps, axis=-1) if several else gaps[0],
            logits,
            activation(logits),
        )
        return (*result, sum(rest)) if rest else result

    return forward


def _maps_of(features: Any, kernel: np.ndarray, grid: "Grid | None") -> Any:
    """Return the class activation maps of features (N, *places, K).

    Those of tokens are maps (N, h, w, C) on the grid; the mean over the grid and the tokens without
    a place is kept, to which these add nothing.
    """
    from keras import ops

    from camkit.models._places import spread

    if grid is None:
        return ops.einsum(_WEIGHTED_SUM[len(features.shape)], features, kernel)
    share_of_places = grid.height * grid.width / features.shape[1]
    maps = ops.einsum(_WEIGHTED_SUM[4], spread(features, grid), kernel)
    return maps * share_of_places


def _sum_of_maps(several: list[np.ndarray]) -> np.ndarray:
    """Return the sum of maps (B, *places, C), all enlarged to the largest with their means."""
    sizes = [maps.shape[1:-1] for maps in several]
    largest = tuple(max(lengths) for lengths in zip(*sizes, strict=True))
    return np.sum([_enlarged(maps, largest) for maps in several], axis=0)


def _enlarged(maps: np.ndarray, size: Any) -> np.ndarray:
    """Return maps (B, *places, C) enlarged to a size, with the means that they had."""
    if maps.shape[1:-1] == size:
        return maps
    places = tuple(range(1, maps.ndim - 1))
    large = upsample(maps, size)
    change = large.mean(axis=places, keepdims=True) - maps.mean(axis=places, keepdims=True)
    return (large - change).astype("float32")


def _check(model: "keras.Model", copy: "keras.Model", forward: Callable) -> None:
    """Check that the copy returns the probabilities of the model, on random images.

    Where the copy reads another size than the model, there is nothing to compare it with.
    """
    from keras import ops

    from camkit.models._graph import network_of
    from camkit.models._part import own_tables_of, rows_of_batch
    from camkit.models._scores import check_scores, random_images

    if copy.inputs[0].shape[1:] == tuple(network_of(model).input.shape[1:]):
        images = random_images(network_of(model))
        rows = rows_of_batch(own_tables_of(model), {}, len(images))
        arrays = [images, *rows.values()]
        logits = forward(*map(ops.convert_to_tensor, arrays))[2]
        check_scores(model, images, ops.convert_to_numpy(logits))
