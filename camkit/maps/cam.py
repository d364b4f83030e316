"""Class activation maps: one forward pass for all classes.

Arrays only at the surface; Keras and TensorFlow are loaded when a model is first met.
"""

from typing import NamedTuple

import numpy as np


class CamOutput(NamedTuple):
    """What one forward pass yields for a batch of B images, h×w positions, K channels and C classes."""

    maps: (
        np.ndarray
    )  # (B, h, w, C) signed class activation maps M; mean over h, w plus bias is the logit
    gap: np.ndarray  # (B, K) GAP features, the mean of each channel
    logits: np.ndarray  # (B, C) class scores before softmax
    probs: (
        np.ndarray
    )  # (B, C) in 0..1, by the model's own softmax or sigmoid (softmax where it stops at logits)


class CAM:
    """Class activation maps of every class from one forward pass of a model with a GAP → Dense head.

    M_c(x, y) = Σ_k F_k(x, y) · W_kc, so that mean(M_c) + b_c is the logit of class c (Zhou et al., Learning Deep
    Features for Discriminative Localization, CVPR 2016, eq. 1 and 2, with the mean in place of their sum).
    It works on a private copy, made when it is built: the model is not changed, later training is not followed. Images
    are read at the size of the model's input; `input_size` (pixels: one number or (height, width)) asks for another,
    such as that of a picture with several objects.

    Attributes: `class_names` (list, or None where the model carries none), `kernel` (K, C), `bias` (C), `input_shape`
    (height, width, channels; None where any size goes). Raises HeadError where the model has no such head, ValueError
    where it cannot read images of `input_size`.
    """

    def __init__(self, model, *, input_size=None):
        import tensorflow as tf

        from camkit.models import _copy as inference
        from camkit.models import _graph as graph
        from camkit.models import classifier as models

        head = graph.find_head(model)
        features = inference.feature_model(model, head, input_size)
        kernel, bias = self.kernel, self.bias = head.kernel, head.bias
        self.class_names = models.class_names_of(model)
        self.input_shape = tuple(features.input_shape[1:])
        activation = tf.nn.sigmoid if head.activation == "sigmoid" else tf.nn.softmax

        def forward(images):
            volume = tf.cast(features(images, training=False), "float32")
            maps = tf.einsum("nyxk,kc->nyxc", volume, kernel)
            gap = tf.reduce_mean(volume, axis=(1, 2))
            logits = tf.matmul(gap, kernel) + bias
            return maps, gap, logits, activation(logits)

        self._forward = inference.compiled(forward, features)

    def __call__(self, batch):
        """Return the CamOutput of a batch of images (B, H, W, channels), in the value range that the model expects.

        Raises ValueError where the shape is not what the model takes.
        """
        from camkit.models import _graph as graph

        another = "camkit.CAM(model, input_size=...) reads another size than the model's own"
        batch = graph.batch_of(batch, self.input_shape, another)
        return CamOutput(*(output.numpy() for output in self._forward(batch)))
