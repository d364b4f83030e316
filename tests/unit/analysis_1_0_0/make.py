"""How these analyses were made, by camkit 1.0.0 (the release, not the code beside this file)."""

import functools
import shutil
import sys

import keras
import numpy as np
from keras import layers

import camkit

out = "/srv/camkit/analysis-1.0.0"
shutil.rmtree(out, ignore_errors=True)
import os

os.makedirs(out)
keras.utils.set_random_seed(0)
x = i = keras.Input((32, 32, 3))
x = layers.Rescaling(1 / 127.5, offset=-1)(x)
for n, f in enumerate((8, 8, 12)):
    x = layers.Conv2D(f, 3, strides=2, padding="same", use_bias=False, name=f"conv{n}")(x)
    x = layers.BatchNormalization(name=f"norm{n}")(x)
    x = layers.Activation("relu", name=f"relu{n}")(x)
x = layers.GlobalAveragePooling2D()(x)
x = layers.Dropout(0.2)(x)
x = layers.Dense(12, activation="softmax")(x)
m = keras.Model(i, x)
m.save(f"{out}/model.keras")
m = keras.models.load_model(f"{out}/model.keras")
images = camkit.load_images("/srv/camkit/fruits", "Test", per_class=6)
print(len(images))
meth = functools.partial(camkit.layer_cam, layer="relu1")
camkit.analyze(m, images, f"{out}/cam", batch_size=3)
camkit.analyze(m, images, f"{out}/grad_cam", method=camkit.grad_cam, batch_size=3)
camkit.analyze(m, images, f"{out}/layer_cam", method=meth, batch_size=3)
# cut short: fail at third shard
from camkit import shards

real = shards.contents
n = [0]


def cut(*a, **k):
    n[0] += 1
    if n[0] == 3:
        raise KeyboardInterrupt
    return real(*a, **k)


shards.contents = cut
for name, me in (("cam-cut-short", None), ("layer_cam-cut-short", meth)):
    n[0] = 0
    try:
        camkit.analyze(m, images, f"{out}/{name}", method=me, batch_size=3)
    except KeyboardInterrupt:
        pass
