"""Class activation maps: one forward pass for all classes."""

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import keras


class CamOutput(NamedTuple):
    """The results of one forward pass, as float32 arrays.

    B is the number of images, (h, w) the size of a map, K the number of channels and C the number
    of classes.

    Attributes:
        maps: (B, h, w, C), signed class activation maps M. Their mean over h and w, plus the
            bias and the rest, is the logit.
        gap: (B, K), GAP features, the mean of each channel.
        logits: (B, C), class scores before softmax.
        probs: (B, C) in 0..1, by the model's own softmax or sigmoid, or by softmax where the model
            ends in logits.
        rest: (B, C), what the head adds to the logits from values that no map belongs to; 0 for
            the usual head.

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
    in place of their sum). A CAM works on a private copy that is made when it is created: the model
    is not changed, and its later training has no effect on the CAM.

    Args:
        model: A Functional or Sequential Keras model with a GAP → Dense head.
        input_size: The size of the images in pixels, one number or (height, width), if it is not
            that of the model's input (the default). Larger images, for example, show several
            objects.

    Attributes:
        class_names: The names that the model carries, or None.
        kernel: Weights W (K, C), float32.
        bias: Biases b (C,), float32.
        input_shape: (height, width, channels) of the images; None where any size is accepted.

    Raises:
        HeadError: The model has no GAP → Dense head.
        ValueError: The model cannot read images of `input_size`.

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
    input_shape: tuple[int | None, ...]

    def __init__(self, model: "keras.Model", *, input_size: int | tuple[int, int] | None = None):
        """Find the head of the model, copy the layers below it, and prepare to compile the copy.

        See the class for the arguments.
        """
        # Keras and its backend are loaded when a model is first met.
        from keras import ops

        from camkit.models._backend import compile_forward
        from camkit.models._copy import feature_model
        from camkit.models._head import find_head
        from camkit.models.classifier import class_names_of

        head = find_head(model)
        kernel, bias = head.kernel, head.bias
        network = feature_model(model, head, input_size)
        activation = ops.sigmoid if head.activation == "sigmoid" else ops.softmax

        def forward(images: Any) -> tuple:
            features = ops.cast(network(images, training=False), "float32")
            maps = ops.einsum("nyxk,kc->nyxc", features, kernel)
            gap = ops.mean(features, axis=(1, 2))
            logits = ops.add(ops.matmul(gap, kernel), bias)
            return maps, gap, logits, activation(logits)

        self.class_names = class_names_of(model)
        self.kernel = kernel
        self.bias = bias
        self.input_shape = tuple(network.input_shape[1:])
        self._forward = compile_forward(forward, network)

    def __call__(self, batch: np.ndarray) -> CamOutput:
        """Return the CamOutput of a batch of images.

        Args:
            batch: Images (B, H, W, channels), in the value range that the model expects.

        Raises:
            ValueError: The shape is not one that the model accepts.
        """
        from camkit.models._batches import batch_of

        remedy = "camkit.CAM(model, input_size=...) reads another size than the model's own"
        images = batch_of(batch, self.input_shape, remedy)
        maps, gap, logits, probs = self._forward(images)
        return CamOutput(maps, gap, logits, probs, rest=np.zeros_like(logits))
