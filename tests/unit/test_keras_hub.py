"""Every image classifier of KerasHub that is built without a download is read rightly or refused.

The truth is `predict`, which applies the classifier's own preprocessor to photographs of any size,
and a plain gradient of what the classifier returns.
"""

import keras
import numpy as np
import pytest
from scipy.special import softmax
from test_kinds import close, gradient, refusal
from zoo import shake

import camkit

keras_hub = pytest.importorskip("keras_hub", reason="needs KerasHub: pip install keras-hub")

pytestmark = pytest.mark.sweep

SIZE = 64
CLASSES = 3
IMAGE = {"image_shape": (SIZE, SIZE, 3)}
TRANSFORMER = {"patch_size": 16, "num_layers": 2, "num_heads": 2, "hidden_dim": 16, **IMAGE}
MOBILE_V5 = {
    "stackwise_block_types": [["er"], ["uir", "uir"]],
    "stackwise_num_blocks": [1, 2],
    "stackwise_num_filters": [[8], [12, 12]],
    "stackwise_strides": [[2], [2, 1]],
    "stackwise_act_layers": [["relu"], ["relu", "relu"]],
    "stackwise_exp_ratios": [[4.0], [6.0, 6.0]],
    "stackwise_se_ratios": [[0.0], [0.0, 0.0]],
    "stackwise_dw_kernel_sizes": [[0], [5, 5]],
    "stackwise_dw_start_kernel_sizes": [[0], [0, 0]],
    "stackwise_dw_end_kernel_sizes": [[0], [0, 0]],
    "stackwise_exp_kernel_sizes": [[3], [0, 0]],
    "stackwise_pw_kernel_sizes": [[1], [0, 0]],
    "stackwise_num_heads": [[0], [0, 0]],
    "stackwise_key_dims": [[0], [0, 0]],
    "stackwise_value_dims": [[0], [0, 0]],
    "stackwise_kv_strides": [[0], [0, 0]],
    "stackwise_use_cpe": [[False], [False, False]],
    "use_msfa": False,
    **IMAGE,
}
MOBILE = {
    "stackwise_expansion": [[8, 12], [16, 24]],
    "stackwise_num_blocks": [2, 2],
    "stackwise_num_filters": [[8, 8], [12, 12]],
    "stackwise_kernel_size": [[3, 3], [5, 5]],
    "stackwise_num_strides": [[2, 1], [2, 1]],
    "stackwise_se_ratio": [[None, None], [0.25, 0.25]],
    "stackwise_activation": [["relu", "relu"], ["hard_swish", "hard_swish"]],
    "stackwise_padding": [[1, 1], [2, 2]],
    "output_num_filters": 24,
    "depthwise_filters": 8,
    "depthwise_stride": 2,
    "depthwise_residual": False,
    "last_layer_filter": 24,
    "squeeze_and_excite": 0.5,
    **IMAGE,
}
CSP = {
    "stem_filters": 8,
    "stem_kernel_size": 3,
    "stem_strides": 1,
    "stackwise_depth": [1, 2],
    "stackwise_strides": [1, 2],
    "stackwise_num_filters": [8, 16],
    "block_type": "dark_block",
    "stage_type": "csp",
    "down_growth": True,
    "bottle_ratio": [0.5],
    "block_ratio": [1.0],
    "expand_ratio": [2.0],
    **IMAGE,
}
EFFICIENT = {
    "stackwise_kernel_sizes": [3, 3],
    "stackwise_num_repeats": [1, 2],
    "stackwise_input_filters": [8, 8],
    "stackwise_output_filters": [8, 16],
    "stackwise_expansion_ratios": [1, 6],
    "stackwise_squeeze_and_excite_ratios": [0.25, 0.25],
    "stackwise_strides": [1, 2],
    "stackwise_block_types": ["v1", "fused"],
    "stackwise_width_coefficients": [1.0, 1.0],
    "stackwise_depth_coefficients": [1.0, 1.0],
    "stackwise_force_input_filters": [0, 0],
    "stackwise_nores_option": [False, False],
    "num_features": 24,
    "input_shape": (SIZE, SIZE, 3),
}
HG = {
    "depths": [1, 1],
    "embedding_size": 8,
    "hidden_sizes": [16, 24],
    "stem_channels": [3, 8, 8],
    "hidden_act": "relu",
    "use_learnable_affine_block": False,
    "stackwise_stage_filters": [(8, 8, 16, 1, 1, 3), (16, 8, 24, 1, 1, 3)],
    "apply_downsample": [False, True],
    "use_lightweight_conv_block": [False, True],
    **IMAGE,
}
MIT = {
    "layerwise_depths": [1, 1],
    "num_layers": 2,
    "layerwise_num_heads": [1, 1],
    "layerwise_sr_ratios": [2, 1],
    "max_drop_path_rate": 0.1,
    "layerwise_patch_sizes": [7, 3],
    "layerwise_strides": [4, 2],
    "hidden_dims": [8, 16],
    **IMAGE,
}
RESNET = {
    "input_conv_filters": [64],
    "input_conv_kernel_sizes": [7],
    "stackwise_num_filters": [64, 8],
    "stackwise_num_blocks": [1, 1],
    "stackwise_num_strides": [1, 2],
    **IMAGE,
}
SWIN = {
    "embed_dim": 8,
    "depths": [1, 1],
    "num_heads": [2, 2],
    "window_size": 4,
    **IMAGE,
}

# What is built: (classifier, settings of its backbone, settings of its head).
CLASSIFIERS = {
    "CSPNet": ("CSPNet", CSP, {}),
    "DeiT": ("DeiT", {**TRANSFORMER, "intermediate_dim": 24}, {}),
    "DenseNet": ("DenseNet", {"stackwise_num_repeats": [1, 2], "growth_rate": 8, **IMAGE}, {}),
    "EfficientNet": ("EfficientNet", EFFICIENT, {}),
    "HGNetV2": ("HGNetV2", HG, {"head_filters": 24}),
    "MiT": ("MiT", MIT, {}),
    "MobileNet": ("MobileNet", MOBILE, {"num_features": 32}),
    "MobileNetV5": ("MobileNetV5", MOBILE_V5, {"head_hidden_size": 32}),
    "ResNet": ("ResNet", {**RESNET, "block_type": "basic_block"}, {}),
    "ResNet, softmax": (
        "ResNet",
        {**RESNET, "block_type": "bottleneck_block", "use_pre_activation": True},
        {"activation": "softmax"},
    ),
    "SwinTransformer": ("SwinTransformer", SWIN, {}),
    "VGG": (
        "VGG",
        {"stackwise_num_repeats": [1, 1], "stackwise_num_filters": [8, 16], **IMAGE},
        {"pooling_hidden_dim": 24},
    ),
    "ViT, class token": ("ViT", {**TRANSFORMER, "mlp_dim": 24}, {"pooling": "token"}),
    "ViT, mean of tokens": (
        "ViT",
        {**TRANSFORMER, "mlp_dim": 24, "use_class_token": False},
        {"pooling": "gap"},
    ),
    "Xception": (
        "Xception",
        {"stackwise_conv_filters": [[8, 8], [12, 16]], "stackwise_pooling": [True, False], **IMAGE},
        {},
    ),
}


def built(name, preprocessor=True):
    """Return a classifier with random weights; its preprocessor scales and resizes photographs."""
    kind, of_backbone, of_head = CLASSIFIERS[name]
    classifier_class = getattr(keras_hub.models, f"{kind}ImageClassifier")
    backbone = classifier_class.backbone_cls(**of_backbone)
    preprocessor_class = classifier_class.preprocessor_cls
    converter = preprocessor_class.image_converter_cls(
        image_size=(SIZE, SIZE), scale=1 / 127.5, offset=-1.0
    )
    of_head = {"preprocessor": preprocessor_class(image_converter=converter), **of_head}
    return shake(classifier_class(backbone=backbone, num_classes=CLASSES, **of_head))


def test_every_classifier_of_keras_hub_is_in_the_list():
    names = [name for name in dir(keras_hub.models) if name.endswith("ImageClassifier")]
    known = {f"{kind}ImageClassifier" for kind, *_ in CLASSIFIERS.values()}
    assert set(names) - {"ImageClassifier"} == known


# What CAM says of a classifier, None where it reads it.
CLASS_TOKEN = "class token"
REFUSED = {
    "DeiT": CLASS_TOKEN,
    "MobileNet": "stands between",
    "MobileNetV5": "ConvNormAct",
    "SwinTransformer": "name it, grid=",
    "ViT, class token": CLASS_TOKEN,
}

# The grid of tokens, where it has to be named.
GRIDS = {"SwinTransformer": {"grid": (8, 8)}}


def photographs():
    """Return two images in 0..255, as the classifiers expect them."""
    return np.random.default_rng(0).uniform(0, 255, (2, SIZE, SIZE, 3)).astype("float32")


def probabilities(classifier, batch):
    """Return the probabilities (B, C) that a classifier itself gives of photographs."""
    answers = classifier.predict(batch, verbose=0)
    return answers if classifier.activation == "softmax" else softmax(answers, axis=1)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_cam_of_a_classifier_is_right_or_refused(name):
    classifier = built(name)
    batch = photographs()
    if name in REFUSED:
        assert REFUSED[name] in refusal(lambda _: camkit.CAM(classifier), {})
        return
    cam = camkit.CAM(classifier)
    out = cam(batch)
    np.testing.assert_allclose(out.probs, probabilities(classifier, batch), atol=1e-4)
    close(out.maps.mean(axis=(1, 2)) + out.rest + cam.bias, out.logits, 1e-4)
    if name not in SOFTMAX:
        close(out.logits, classifier.predict(batch, verbose=0), 1e-4)


SOFTMAX = ("ResNet, softmax",)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_the_family_reads_a_classifier_as_a_plain_gradient_does(name):
    """Where the last map is that which the backbone returns.

    The tokens that a class token reads are inside the backbone: there, the map is only not blank.
    """
    classifier = built(name)
    batch = photographs()
    options = dict(GRIDS.get(name, {}))
    if name == "VGG":
        # Its head is a model of its own, with convolutions before the pooling.
        options["layer"] = classifier.backbone.layers[-1].name
    hires = camkit.hires_cam(classifier, batch, 1, **options)
    if REFUSED.get(name) == CLASS_TOKEN:
        assert hires.shape == (2, 4, 4) and hires.any()
        return
    if name in SOFTMAX:
        classifier.output_dense.activation = keras.activations.linear
    features, head = split(classifier)
    volume = features(batch / 127.5 - 1, training=False)
    slopes = gradient(lambda tensor: head(tensor)[:, 1], volume)
    expected = np.sum(np.asarray(volume) * slopes, axis=-1)
    if expected.ndim == 2:
        expected = expected[:, -hires[0].size :].reshape(hires.shape)
    largest = np.abs(expected).max()
    assert largest > 0
    close(hires / largest, expected / largest, 1e-4)


def split(classifier):
    """Return two models: from the images to the last map or tokens, and from there to the output.

    The map is what stands before the pooling, also where the head begins with convolutions.
    """
    layers = classifier.operations
    after_backbone = layers[layers.index(classifier.backbone) + 1]
    pooling = [layer for layer in layers if "GlobalAverage" in type(layer).__name__]
    read = pooling[-1].input if pooling else after_backbone.input
    features = keras.Model(classifier.input, read)
    head = keras.Model(read, classifier.output)
    return features, head
