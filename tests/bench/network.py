"""One batch through one network, beside what camkit replaces."""

import tempfile
import time

import numpy as np
from measure import SHARED, Line, ratios, resnet, write_images

import camkit


def forward(scale):
    """CAM of all classes against the model's own predict, and against the compiled forward pass
    alone.

    The bound of both is the machine's rate of multiplying matrices: where that is low, as on a
    shared machine, predict has less of it left to lose, so the first line also tells how near
    camkit comes to it.
    """
    import keras
    import tensorflow as tf

    from camkit.models._backend import compile_forward
    from camkit.models._copy import feature_model
    from camkit.models._head import find_head

    model, batch = resnet(scale["size"])
    batch = batch[: scale["batch"]]
    cam, head = camkit.CAM(model), find_head(model)
    features = feature_model(model, head)

    def classify(images):
        gap = tf.reduce_mean(tf.cast(features(images, training=False), "float32"), axis=(1, 2))
        return tf.nn.softmax(gap @ head.kernel + head.bias)

    def predict():
        return model.predict(batch, batch_size=len(batch), verbose=0)

    bare = compile_forward(classify, features)
    out = cam(batch)
    identity = np.abs(out.maps.mean(axis=(1, 2)) + cam.bias - out.logits).max()
    agreement = np.abs(out.probs - predict()).max()
    ratio, seconds = ratios(lambda: cam(batch), predict, scale["rounds"])
    convolutions = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    products = len(batch) * sum(
        np.prod(c.kernel.shape) * np.prod(c.output.shape[1:3]) for c in convolutions
    )
    square = np.ones((1024, 1024), "float32")
    sgemm, _ = ratios(
        lambda: cam(batch), lambda: [square @ square for _ in range(round(products / 1024**3))], 5
    )
    yield Line(
        "maps of 1000 classes + GAP + logits / model.predict",
        1 / ratio,
        "≤",
        0.75,
        "×",
        f"{seconds} for {len(batch)} images, {sgemm:.0%} of the speed of sgemm; probabilities "
        f"agree to {agreement:.1e}",
    )
    ratio, seconds = ratios(lambda: cam(batch), lambda: bare(batch), scale["rounds"])
    yield Line(
        "maps of 1000 classes + GAP + logits / bare compiled pass",
        1 / ratio,
        "≤",
        1.05,
        "×",
        f"{seconds} for {len(batch)} images",
    )
    yield Line(
        "|mean(M_c) + b_c − logit_c|, the largest",
        float(identity),
        "≤",
        1e-4,
        "",
        "for every class and image of that batch",
    )


def classic(scale):
    """One map of one image: weight, then enlarge, against two passes, enlarging all 2048 channels,
    then weighting.
    """
    import keras
    from scipy import ndimage

    model, batch = resnet(scale["size"])
    image, side = batch[:1], scale["size"]
    cam, kernel = camkit.CAM(model), np.asarray(model.layers[-1].kernel)
    volume = keras.Model(model.input, model.layers[-2].input)
    kept = {}

    def ours():
        out = cam(image)
        kept["ours"] = camkit.upsample(out.maps[0, :, :, out.logits[0].argmax()], side)

    def theirs():
        chosen = model.predict(image, verbose=0)[0].argmax()
        features = volume.predict(image, verbose=0)[0]
        factors = side / features.shape[0], side / features.shape[1], 1
        kept["theirs"] = (
            ndimage.zoom(features, factors, order=1, grid_mode=True, mode="nearest")
            @ kernel[:, chosen]
        )

    ratio, seconds = ratios(ours, theirs, max(2, scale["rounds"] // 5), calls=10)
    worst = np.abs(kept["ours"] - kept["theirs"]).max() / np.abs(kept["theirs"]).max()
    yield Line(
        "classic recipe / camkit, one map of one image",
        ratio,
        "≥",
        80,
        "×",
        f"{seconds}; the maps agree to {worst:.1e} of the largest value",
    )


def vis(scale):
    """One map of one image by CAM against Grad-CAM of tf-keras-vis, its object made beforehand."""
    from tf_keras_vis.gradcam import Gradcam
    from tf_keras_vis.utils.model_modifiers import ReplaceToLinear
    from tf_keras_vis.utils.scores import CategoricalScore

    model, batch = resnet(scale["size"])
    image, side = batch[:1], scale["size"]
    cam, gradcam = camkit.CAM(model), Gradcam(model, model_modifier=ReplaceToLinear(), clone=True)
    chosen = int(cam(image).logits[0].argmax())
    kept = {}

    def ours():
        out = cam(image)
        kept["ours"] = camkit.upsample(np.maximum(0, out.maps[..., chosen]), side)

    def theirs():
        kept["theirs"] = gradcam(CategoricalScore([chosen]), image, penultimate_layer=-1)

    ratio, seconds = ratios(ours, theirs, scale["rounds"])
    alike = np.corrcoef(kept["ours"].ravel(), np.asarray(kept["theirs"]).ravel())[0, 1]
    yield Line(
        "Grad-CAM of tf-keras-vis / camkit, one map of one image",
        ratio,
        "≥",
        6,
        "×",
        f"{seconds}; the maps correlate with {alike:.3f}",
    )


def family(scale):
    """Grad-CAM and its relatives against those of tf-keras-vis, one map at the size of the layer,
    all made beforehand.

    Score-CAM of the embedded backbone is 96 forward passes at 100×100 for either. Where ../shared
    holds MobileNetV2's real weights, that of a photograph is 1280 there and fewer here: silent
    channels and equal masks are scored once.
    """
    import keras
    from tf_keras_vis import gradcam, gradcam_plus_plus, scorecam

    from camkit.maps import attribution

    train = camkit.load_images("mini", "Training", per_class=10)
    small = camkit.gap_classifier(camkit.backbone(input_size=100), train.class_names)
    camkit.train_head(small, train)
    model, batch = resnet(scale["size"])
    fruit = next(train.batches(1, 100)).astype("float32")
    rounds = scale["rounds"]
    plus_plus = gradcam_plus_plus.GradcamPlusPlus
    lines = [
        (attribution.grad_cam, gradcam.Gradcam, 6, "ResNet50", model, batch[:1], rounds),
        (attribution.grad_cam_plus_plus, plus_plus, 6, "ResNet50", model, batch[:1], rounds),
        (attribution.score_cam, scorecam.Scorecam, 3, "embedded", small, fruit, rounds),
    ]
    weights = SHARED / "keras" / "mobilenet_v2_imagenet.weights.h5"
    if weights.exists() and scale["full"]:
        real = keras.applications.MobileNetV2(weights=None)
        real.load_weights(weights)
        photo = camkit.read_image(weights.parents[1] / "photos" / "bird.jpg", (224, 224))
        prepared = photo[None] / np.float32(127.5) - 1
        name = "MobileNetV2, a photograph"
        lines.append((attribution.score_cam, scorecam.Scorecam, 3, name, real, prepared, 2))
    for line in lines:
        yield beside_tf_keras_vis(*line)


def beside_tf_keras_vis(ours, rival, goal, name, network, image, rounds):
    """Return the line of one method of ours and its rival, on one image."""
    import contextlib
    import io
    import warnings

    import keras
    from scipy.stats import spearmanr
    from tf_keras_vis.utils.model_modifiers import ReplaceToLinear
    from tf_keras_vis.utils.scores import CategoricalScore

    visualizer = rival(network, model_modifier=ReplaceToLinear(), clone=True)
    pooling = next(
        layer
        for layer in visualizer.model.layers
        if isinstance(layer, keras.layers.GlobalAveragePooling2D)
    )
    layer = pooling.input._keras_history.operation
    chosen = int(network(image).numpy().argmax())
    maps = {}

    def mine():
        maps["ours"] = ours(network, image, chosen)

    def theirs():
        with (
            contextlib.redirect_stdout(io.StringIO()),
            warnings.catch_warnings(action="ignore"),
        ):
            maps["theirs"] = visualizer(
                CategoricalScore([chosen]),
                image,
                penultimate_layer=layer,
                seek_penultimate_conv_layer=False,
                expand_cam=False,
            )

    ratio, seconds = ratios(mine, theirs, rounds)
    alike = spearmanr(maps["ours"].ravel(), np.ravel(maps["theirs"]))[0]
    return Line(
        f"{ours.__name__} of tf-keras-vis / camkit, {name}",
        ratio,
        "≥",
        goal,
        "×",
        f"{seconds}; the ranks of the cells correlate with {alike:.4f}",
    )


def head(scale):
    """Five epochs of a new head: `train_head` against `fit` through the frozen backbone."""
    import keras

    with tempfile.TemporaryDirectory() as folder:
        write_images(folder, "Training", scale["train"], scale["size"])
        write_images(folder, "Test", scale["train"] // 4, scale["size"], seed=1)
        train, test = (camkit.load_images(folder, split) for split in ("Training", "Test"))
        pixels, held = (
            np.concatenate(list(part.batches(32, scale["size"]))).astype("float32")
            for part in (train, test)
        )
        backbone = camkit.backbone("ResNet50", weights=None, input_size=scale["size"])
        ours, theirs = (camkit.gap_classifier(backbone, train.class_names) for _ in range(2))
        theirs.compile(
            keras.optimizers.Adam(1e-3), "sparse_categorical_crossentropy", metrics=["accuracy"]
        )  # raw features
        start = time.perf_counter()
        camkit.train_head(ours, train, test, epochs=5)
        middle = time.perf_counter()
        theirs.fit(
            pixels,
            train.labels,
            epochs=5,
            batch_size=32,
            validation_data=(held, test.labels),
            verbose=0,
        )
        end = time.perf_counter()
        one, two = (model.evaluate(held, test.labels, verbose=0)[1] for model in (ours, theirs))
    yield Line(
        "fit through the frozen backbone / train_head, 5 epochs",
        (end - middle) / (middle - start),
        "≥",
        4.5,
        "×",
        f"{end - middle:.1f} s against {middle - start:.1f} s (reading the files included) for "
        f"{len(train)} + {len(test)} images",
    )
    yield Line(
        "difference of their test accuracies",
        100 * abs(one - two),
        "≤",
        2,
        "%",
        f"train_head {one:.1%}, fit {two:.1%}",
    )
