"""Record of how these analyses were made. It runs with camkit 1.0.0, not with the code beside it.

Run as `python make.py IMAGES OUT`: IMAGES is a folder with the embedded images, OUT the new folder.
"""

import functools
import sys
from pathlib import Path

import keras
from keras import layers

import camkit
from camkit import shards

BATCH = 3
FILTERS = (8, 8, 12)
LAYER_CAM = functools.partial(camkit.layer_cam, layer="relu1")


def make_model():
    """Return a small convolutional classifier of twelve classes, untrained."""
    keras.utils.set_random_seed(0)
    image = keras.Input((32, 32, 3))
    x = layers.Rescaling(1 / 127.5, offset=-1)(image)
    for i, filters in enumerate(FILTERS):
        convolution = layers.Conv2D(
            filters, 3, strides=2, padding="same", use_bias=False, name=f"conv{i}"
        )
        x = convolution(x)
        x = layers.BatchNormalization(name=f"norm{i}")(x)
        x = layers.Activation("relu", name=f"relu{i}")(x)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dropout(0.2)(x)
    return keras.Model(image, layers.Dense(12, activation="softmax")(x))


def analyze_cut_short(model, images, folder, method):
    """Begin an analysis that is interrupted before its third shard."""
    contents = shards.contents
    computed = []

    def interrupted(*arguments):
        if len(computed) == 2:
            raise KeyboardInterrupt
        computed.append(contents(*arguments))
        return computed[-1]

    shards.contents = interrupted
    try:
        camkit.analyze(model, images, folder, method=method, batch_size=BATCH)
    except KeyboardInterrupt:
        pass
    finally:
        shards.contents = contents


def main(source, out):
    """Write the model, three finished analyses and two that were cut short."""
    out.mkdir()
    make_model().save(out / "model.keras")
    model = keras.models.load_model(out / "model.keras")
    images = camkit.load_images(source, "Test", per_class=6)
    methods = {"cam": None, "grad_cam": camkit.grad_cam, "layer_cam": LAYER_CAM}
    for name, method in methods.items():
        camkit.analyze(model, images, out / name, method=method, batch_size=BATCH)
    for name in ("cam", "layer_cam"):
        analyze_cut_short(model, images, out / f"{name}-cut-short", methods[name])


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
