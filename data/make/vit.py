"""Train the embedded vision transformer on the embedded training images.

    python data/make/vit.py

It takes about 15 minutes on 2 cores and writes data/mini-vit.keras: one network with two heads,
one on the mean of the patch tokens and one on the class token. It learns from the 480 training
images and from scenes that are composed of their fruits at random positions, sizes and angles.

Run it with the oldest Keras that camkit takes: a version of Keras does not read newer files.
"""

import argparse
import zipfile
from pathlib import Path

# Imported before Keras: it keeps TensorFlow's start-up messages back.
import camkit

# isort: split
import keras
import numpy as np
from batches import BATCH_SIZE, ShuffledBatches
from keras import layers

DATA = Path(__file__).resolve().parents[1]

# Pixels: the sides of an image and of a patch.
IMAGE = 100
PATCH = 10
PATCHES = (IMAGE // PATCH) ** 2

WIDTH = 64
BLOCKS = 4
ATTENTION_HEADS = 4

# Scenes for each background, and how often an epoch shows each of the original images.
SCENES = {"white": 4000, "clutter": 4000}
REPEATS = 8


def vision_transformer(classes: int) -> keras.Model:
    """Return an untrained transformer from images to the logits of its two heads.

    It has the design of Dosovitskiy et al. (An Image is Worth 16×16 Words, ICLR 2021), with the
    normalisation before each part of a block. Only layers of Keras are used, so that its file
    needs no code.

    Args:
        classes: The number of classes C.

    Returns:
        A model with the outputs "mean" and "class_token", logits (N, C) each.
    """
    image = keras.Input((IMAGE, IMAGE, 3), name="image")
    scaled = layers.Rescaling(1 / 127.5, offset=-1, name="rescaling")(image)
    patches = layers.Conv2D(WIDTH, PATCH, strides=PATCH, name="patches")(scaled)
    tokens = layers.Reshape((PATCHES, WIDTH), name="patch_tokens")(patches)
    # The class token begins as zeros. What tells it and each position apart is learned next.
    tokens = layers.ZeroPadding1D((1, 0), name="with_class_token")(tokens)
    tokens = layers.EinsumDense(
        "ntd,d->ntd",
        output_shape=(PATCHES + 1, WIDTH),
        bias_axes="td",
        kernel_initializer="ones",
        bias_initializer=keras.initializers.RandomNormal(stddev=0.02),
        name="positions",
    )(tokens)
    for number in range(1, BLOCKS + 1):
        tokens = block(tokens, f"block_{number}")
    tokens = layers.LayerNormalization(epsilon=1e-6, name="tokens")(tokens)

    of_patches = layers.Cropping1D((1, 0), name="of_patches")(tokens)
    mean = layers.GlobalAveragePooling1D(name="mean_of_patches")(of_patches)
    outputs = {
        "mean": layers.Dense(classes, name="mean")(mean),
        "class_token": layers.Dense(classes, name="class_token")(tokens[:, 0]),
    }
    return keras.Model(image, outputs, name="mini_vit")


def block(tokens, name: str):
    """Return the tokens (N, T, D) after one block: attention, then two Dense layers on each."""
    normalised = layers.LayerNormalization(epsilon=1e-6, name=f"{name}_before_attention")(tokens)
    attention = layers.MultiHeadAttention(
        ATTENTION_HEADS, WIDTH // ATTENTION_HEADS, name=f"{name}_attention"
    )
    tokens = layers.Add(name=f"{name}_attended")([tokens, attention(normalised, normalised)])
    hidden = layers.LayerNormalization(epsilon=1e-6, name=f"{name}_before_dense")(tokens)
    hidden = layers.Dense(2 * WIDTH, activation="gelu", name=f"{name}_hidden")(hidden)
    hidden = layers.Dense(WIDTH, name=f"{name}_dense")(hidden)
    return layers.Add(name=name)([tokens, hidden])


class Batches(ShuffledBatches):
    """Shuffled batches of images, each flipped and transposed at random, brighter or darker."""

    def __init__(self, images: np.ndarray, labels: np.ndarray, seed: int):
        super().__init__(len(images), seed)
        self.images = images
        self.labels = labels

    def __getitem__(self, index: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        examples = self.examples(index)
        across, down = self.rng.choice([-1, 1], 2)
        images = self.images[examples, ::down, ::across].astype("float32")
        if self.rng.random() < 0.5:
            images = images.swapaxes(1, 2)
        exposure = self.rng.uniform(0.9, 1.1, (BATCH_SIZE, 1, 1, 1))
        images = np.clip(images * exposure, 0, 255)
        labels = self.labels[examples]
        return images, {"mean": labels, "class_token": labels}


def training_images(train: camkit.images.ImageSet) -> tuple[np.ndarray, np.ndarray]:
    """Return the images (N, 100, 100, 3) uint8 of one epoch and their labels (N,)."""
    originals = np.concatenate(list(train.batches(64, IMAGE)))
    images = [originals] * REPEATS
    labels = [train.labels] * REPEATS
    for seed, (background, count) in enumerate(SCENES.items()):
        scenes = camkit.scenes.compose(train, count, size=IMAGE, background=background, seed=seed)
        images.append(scenes.images)
        labels.append(scenes.labels[:, 0])
    return np.concatenate(images), np.concatenate(labels)


def train_model(model: keras.Model, images: np.ndarray, labels: np.ndarray, epochs: int) -> None:
    """Train both heads together."""
    steps = len(images) // BATCH_SIZE * epochs
    warm_up = steps // 20
    rate = keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=1e-4,
        decay_steps=steps - warm_up,
        alpha=0.01,
        warmup_target=1e-3,
        warmup_steps=warm_up,
    )
    entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    losses = {head: entropy for head in model.output}
    # Compiled is a model of the same layers, so that the file that is saved has no optimizer.
    trained = keras.Model(model.input, model.output)
    optimizer = keras.optimizers.AdamW(rate, weight_decay=0.05)
    trained.compile(optimizer, losses, jit_compile=False)
    trained.fit(Batches(images, labels, seed=0), epochs=epochs, verbose=2)


def accuracies(model: keras.Model, images: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Return the share of images that each head classifies correctly."""
    outputs = model.predict(images.astype("float32"), batch_size=60, verbose=0)
    return {head: float(np.mean(logits.argmax(-1) == labels)) for head, logits in outputs.items()}


def write(model: keras.Model, path: Path) -> None:
    """Save a model and compress its file: by a quarter, the padding between small arrays."""
    model.save(path)
    with zipfile.ZipFile(path) as stored:
        contents = {name: stored.read(name) for name in stored.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as compressed:
        for name, content in contents.items():
            compressed.writestr(name, content)


def main() -> None:
    """Train, report the accuracy on the test images, and write the network."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--epochs", type=int, default=20, help="passes over images and scenes (default %(default)s)"
    )
    parser.add_argument("--output", type=Path, default=DATA / "mini-vit.keras")
    options = parser.parse_args()
    train = camkit.load_images("mini", "Training")
    test = camkit.load_images("mini", "Test")
    images, labels = training_images(train)

    keras.utils.set_random_seed(0)
    model = vision_transformer(len(train.class_names))
    train_model(model, images, labels, options.epochs)
    test_images = np.concatenate(list(test.batches(64, IMAGE)))
    for head, share in accuracies(model, test_images, test.labels).items():
        print(f"{head}: {100 * share:.1f} % of the test images correct")
    write(model, options.output)
    print(f"wrote {options.output} ({options.output.stat().st_size / 1e3:.0f} kB)")


if __name__ == "__main__":
    main()
