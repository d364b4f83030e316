"""Models: backbones with their preprocessing inside, the GAP classifier, training its head."""

from pathlib import Path

DATA = Path(__file__).resolve().parent.parent / "data"


def _mini(input_shape):
    """The embedded backbone: a small residual network of stride 8, 128 GAP features (pretrained by data/pretrain.py)."""
    import keras
    from keras import layers

    def unit(x, filters, strides=1, activation="relu"):
        x = layers.Conv2D(filters, 3, strides=strides, padding="same", use_bias=False)(x)
        x = layers.BatchNormalization()(x)
        return layers.Activation(activation)(x) if activation else x

    x = inputs = keras.Input(input_shape)
    x = layers.Rescaling(1 / 127.5, offset=-1.0)(x)
    for filters in (32, 64, 128):
        x = unit(x, filters, strides=2)
        if filters > 32:
            x = layers.Activation("relu")(layers.Add()([x, unit(unit(x, filters), filters, activation=None)]))
    return keras.Model(inputs, x, name="mini")
