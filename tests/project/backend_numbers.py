"""What camkit computes on the present backend, in numbers, beside those of another backend.

python tests/project/backend_numbers.py OUT [REFERENCE]

Writes the numbers to OUT, an .npz file. With REFERENCE, such a file of another backend, it fails
unless each array is the same within 1e-4 of its largest value.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

import camkit

TOLERANCE = 1e-4
# Where a unit is at its threshold, rounding decides whether its ReLU passes a gradient on. On a
# path of 128 steps that happens at one or two, and on a white background to all its pixels at once.
# The model without kinks, "smooth", is held to TOLERANCE.
TOLERANCES = {"trained integrated_gradients": 1e-2}
FAMILY = (
    "grad_cam",
    "grad_cam_plus_plus",
    "hires_cam",
    "layer_cam",
    "eigen_cam",
    "score_cam",
    "ablation_cam",
    "occlusion",
    "integrated_gradients",
)


def smooth_model():
    """Return a model with many kinds of layers, without kinks, its weights drawn by NumPy."""
    # After camkit, which chooses the backend where nobody has.
    import keras
    from keras import layers

    image = keras.Input((48, 44, 3))
    x = layers.Rescaling(1 / 127.5, offset=-1)(image)
    x = layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(x)
    x = layers.BatchNormalization()(x)
    x = layers.Activation("swish")(x)
    y = layers.DepthwiseConv2D(3, padding="same")(x)
    y = layers.BatchNormalization()(y)
    x = layers.Add()([x, layers.Activation("tanh")(y)])
    x = layers.AveragePooling2D(2)(x)
    x = layers.SeparableConv2D(12, 3, padding="same", activation="softplus")(x)
    x = layers.Conv2DTranspose(10, 3, strides=2, padding="same", activation="gelu")(x)
    x = layers.GlobalAveragePooling2D()(x)
    model = keras.Model(image, layers.Dense(4, "softmax")(x))
    random = np.random.default_rng(0)
    for weight in model.weights:
        fan_in = np.prod(weight.shape[:-1])
        weight.assign(random.normal(scale=1.5 / np.sqrt(fan_in), size=weight.shape))
        if "variance" in weight.path:
            weight.assign(random.uniform(0.5, 2, weight.shape))
    return model


def of_models():
    """Return the numbers of CAM and the family on a smooth model and on one that is trained."""
    numbers = {}
    train = camkit.load_images("mini", "Training", per_class=5)
    trained = camkit.gap_classifier(camkit.backbone("mini"), train.class_names)
    history = camkit.train_head(trained, train, epochs=3)
    for name, values in history.history.items():
        numbers[f"train_head {name}"] = np.array(values)
    numbers["train_head kernel"] = trained.get_layer("logits").get_weights()[0]

    photographs = next(train.batches(3, 100)).astype("float32")
    tiles = np.random.default_rng(1).uniform(0, 255, (3, 6, 4, 3)).astype("float32")
    drawn = tiles.repeat(8, axis=1).repeat(11, axis=2)
    models = {"smooth": (smooth_model(), drawn), "trained": (trained, photographs)}
    for kind, (model, batch) in models.items():
        for name, array in camkit.CAM(model)(batch)._asdict().items():
            numbers[f"{kind} CAM {name}"] = array
        for name in FAMILY:
            numbers[f"{kind} {name}"] = getattr(camkit, name)(model, batch, 1)
        numbers[f"{kind} predict"] = model.predict(batch, verbose=0)
    return numbers, trained


def of_analyses(model, folder):
    """Return the numbers of analyses and of faults; write a page, and train some remedies."""
    numbers = {}
    images = camkit.load_images("mini", "Test", per_class=5)
    for name, method in {"CAM": None, "grad_cam": camkit.grad_cam}.items():
        analysis = camkit.analyze(model, images, folder / name, method=method)
        numbers |= of_analysis(f"analyze by {name}", analysis)
    page = camkit.write_atlas(analysis, images, folder / "page")
    assert (folder / "page" / "index.html").is_file(), page
    # Each backend draws other first weights, so that the numbers of remedies differ.
    batch = next(images.batches(2, 100))
    for remedy in (camkit.whole_object.superpixels, camkit.whole_object.adversarial_erasing):
        assert np.isfinite(remedy(model, images)(batch)).all()
    return numbers


def of_analysis(name, analysis):
    """Return the numbers of an analysis, and of its faults in the order of their paths."""
    numbers = {f"{name}: {key}": getattr(analysis, key) for key in ("probs", "logits", "gap")}
    numbers[f"{name}: map"] = analysis.class_map(0, 0)
    faults = camkit.data_faults(analysis).sort_values(["kind", "path", "other"])
    numbers[f"{name}: scores of faults"] = faults["score"].to_numpy(dtype=float)
    return numbers


def of_the_shell(model, folder):
    """Return the numbers of an analysis that the shell makes of a saved model."""
    model.save(folder / "model.keras")
    images = Path(camkit.load_images("mini", "Test").paths[0]).parents[2]
    run = folder / "run"
    shell("analyze", folder / "model.keras", images, "--out", run)
    shell("atlas", run, "--out", folder / "atlas")
    shell("faults", run, "--csv", folder / "faults.csv")
    return of_analysis("shell", camkit.load_analysis(run))


def shell(*arguments):
    command = [sys.executable, "-m", "camkit", *map(str, arguments)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def compare(numbers, reference):
    """Print how far each array is from its reference, and return the names that are too far."""
    missing = set(reference) - set(numbers)
    too_far = sorted(missing)
    for name, array in numbers.items():
        expected = reference[name]
        error = np.inf
        if array.shape == expected.shape:
            largest = max(np.abs(expected).max(), np.finfo("float32").tiny)
            error = np.abs(array - expected).max() / largest
        print(f"  {error:.0e}  {name}")
        if not error <= TOLERANCES.get(name, TOLERANCE):
            too_far.append(name)
    return too_far


def main(out, reference=None):
    import keras

    keras.utils.set_random_seed(0)
    with tempfile.TemporaryDirectory() as name:
        numbers, model = of_models()
        numbers |= of_analyses(model, Path(name))
        numbers |= of_the_shell(model, Path(name))
    np.savez(out, **numbers)
    backend = keras.backend.backend()
    print(f"{len(numbers)} arrays computed on {backend}: {out}")
    if reference is not None:
        too_far = compare(numbers, np.load(reference))
        if too_far:
            sys.exit(f"{backend} differs from {reference}: {', '.join(too_far)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
