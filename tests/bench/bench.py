"""The benchmarks: what camkit costs beside what it replaces, as ratios measured side by side in one run.

    make bench                                            everything, about a quarter of an hour on two idle cores
    .venv/bin/python tests/bench/bench.py classic head    these parts only; --quick tries the machinery out in small

The network is ResNet50 at 224×224 with random weights, but where a line says otherwise. The rivals of one line are
called in turn, round after round, and the median of the rounds' ratios is printed beside its goal. The rounds differ:
`model.predict` alone waits up to 0.3 s for the threads of its own data pipeline in about two calls of three.
"""

import argparse
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

import camkit  # before Keras, so that TensorFlow's start-up is quiet

ROOT = Path(__file__).resolve().parents[2]
COLOURS = {
    "Apple": (200, 40, 40),
    "Lime": (50, 180, 50),
    "Plum": (70, 40, 150),
    "Lemon": (230, 210, 60),
}
FULL = {
    "size": 224,
    "batch": 16,
    "rounds": 15,
    "train": 160,
    "counts": (1000, 4000, 16000),
    "overhead": 480,
    "many": 100_000,
    "page": 22_688,
    "spread": 6144,
}
QUICK = {
    "size": 64,
    "batch": 4,
    "rounds": 2,
    "train": 32,
    "counts": (100, 200, 400),
    "overhead": 64,
    "many": 2000,
    "page": 400,
    "spread": 2048,
}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "parts", nargs="*", choices=[*PARTS, []], help="the parts to run (default: all)"
    )
    parser.add_argument("--quick", action="store_true", help="small sizes: the ratios mean nothing")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        asked = json.loads(options.child)
        return {"child": child, "paged": paged, "spread": spread}[asked.pop("task")](**asked)
    print(
        f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
        + ": the machine is busy, expect ratios that are off" * (os.getloadavg()[0] > 1),
        flush=True,
    )
    missed = 0
    for name in options.parts or PARTS:
        for line, value, sign, goal, unit, details in PARTS[name](QUICK if options.quick else FULL):
            met = value <= goal if sign == "≤" else value >= goal
            missed += not met
            print(
                f"{line:<62} {value:8.3g}{unit:<3} {sign} {goal:g}{unit:<3} {'met' if met else 'MISSED'}",
                flush=True,
            )
            print(f"{'':4}{details}", flush=True)
    sys.exit(bool(missed))


def ratios(ours, theirs, rounds, calls=1):
    """Return (median of theirs/ours, what to say of the seconds), both called in turn after one round to warm up.

    A round has so many `calls` of ours, of which it takes the mean: one call of 60 ms says little beside one of 5 s.
    """
    seconds = []
    for _ in range(rounds + 1):
        marks = [time.perf_counter()]
        for function, times in ((ours, calls), (theirs, 1)):
            for _ in range(times):
                function()
            marks.append(time.perf_counter())
        seconds.append(np.diff(marks) / (calls, 1))
    seconds = np.array(seconds[1:])
    each = (
        f"{np.median(rival):.3g} s ({rival.min():.3g} to {rival.max():.3g})" for rival in seconds.T
    )
    return np.median(seconds[:, 1] / seconds[:, 0]), " against ".join(each)


def resnet(size):
    """ResNet50 with 1000 classes and random weights, and images for it."""
    import keras

    keras.utils.set_random_seed(0)
    model = keras.applications.ResNet50(weights=None, input_shape=(size, size, 3))
    return model, np.random.default_rng(0).normal(
        scale=50, size=(FULL["batch"], size, size, 3)
    ).astype("float32")


def forward(scale):
    """CAM of all classes against the model's own predict, and against the compiled forward pass alone.

    The bound of both is the machine's rate of multiplying matrices: where that is low, as on a shared machine, predict
    has less of it left to lose, so the first line also tells how near camkit comes to it.
    """
    import keras
    import tensorflow as tf

    from camkit.models import _copy as inference
    from camkit.models import _graph as graph

    model, batch = resnet(scale["size"])
    batch = batch[: scale["batch"]]
    cam, head = camkit.CAM(model), graph.find_head(model)
    features = inference.feature_model(model, head)

    def classify(images):
        gap = tf.reduce_mean(tf.cast(features(images, training=False), "float32"), axis=(1, 2))
        return tf.nn.softmax(gap @ head.kernel + head.bias)

    def predict():
        return model.predict(batch, batch_size=len(batch), verbose=0)

    bare = inference.compiled(classify, features)
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
    yield (
        "maps of 1000 classes + GAP + logits / model.predict",
        1 / ratio,
        "≤",
        0.75,
        "×",
        f"{seconds} for {len(batch)} images, {sgemm:.0%} of the speed of sgemm; probabilities agree to {agreement:.1e}",
    )
    ratio, seconds = ratios(lambda: cam(batch), lambda: bare(batch).numpy(), scale["rounds"])
    yield (
        "maps of 1000 classes + GAP + logits / bare compiled pass",
        1 / ratio,
        "≤",
        1.05,
        "×",
        f"{seconds} for {len(batch)} images",
    )
    yield (
        "|mean(M_c) + b_c − logit_c|, the largest",
        float(identity),
        "≤",
        1e-4,
        "",
        "for every class and image of that batch",
    )


def classic(scale):
    """One map of one image: weight, then enlarge, against two passes, enlarging all 2048 channels, then weighting."""
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
    yield (
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
    yield (
        "Grad-CAM of tf-keras-vis / camkit, one map of one image",
        ratio,
        "≥",
        6,
        "×",
        f"{seconds}; the maps correlate with {alike:.3f}",
    )


def family(scale):
    """Grad-CAM and its relatives against those of tf-keras-vis, one map at the size of the layer, all made beforehand.

    Score-CAM of the embedded backbone is 96 forward passes at 100×100 for either. Where ../shared holds MobileNetV2's
    real weights, that of a photograph is 1280 there and fewer here: silent channels and equal masks are scored once.
    """
    import contextlib
    import io
    import warnings

    import keras
    from scipy.stats import spearmanr
    from tf_keras_vis import gradcam, gradcam_plus_plus, scorecam
    from tf_keras_vis.utils.model_modifiers import ReplaceToLinear
    from tf_keras_vis.utils.scores import CategoricalScore

    from camkit.maps import attribution

    train = camkit.load_images("mini", "Training", per_class=10)
    small = camkit.gap_classifier(camkit.backbone(input_size=100), train.class_names)
    camkit.train_head(small, train)
    model, batch = resnet(scale["size"])
    fruit = next(train.batches(1, 100)).astype("float32")
    lines = [
        (attribution.grad_cam, gradcam.Gradcam, 6, "ResNet50", model, batch[:1], scale["rounds"]),
        (
            attribution.grad_cam_plus_plus,
            gradcam_plus_plus.GradcamPlusPlus,
            6,
            "ResNet50",
            model,
            batch[:1],
            scale["rounds"],
        ),
        (attribution.score_cam, scorecam.Scorecam, 3, "embedded", small, fruit, scale["rounds"]),
    ]
    weights = ROOT.parent / "shared" / "keras" / "mobilenet_v2_imagenet.weights.h5"
    if weights.exists() and scale is FULL:
        real = keras.applications.MobileNetV2(weights=None)
        real.load_weights(weights)
        photo = (
            camkit.read_image(weights.parents[1] / "photos" / "bird.jpg", (224, 224))
            / np.float32(127.5)
            - 1
        )
        lines.append(
            (
                attribution.score_cam,
                scorecam.Scorecam,
                3,
                "MobileNetV2, a photograph",
                real,
                photo[None],
                2,
            )
        )
    for ours, rival, goal, name, network, image, rounds in lines:
        vis, kept = rival(network, model_modifier=ReplaceToLinear(), clone=True), {}
        gap = next(
            layer
            for layer in vis.model.layers
            if isinstance(layer, keras.layers.GlobalAveragePooling2D)
        )
        layer, chosen = gap.input._keras_history.operation, int(network(image).numpy().argmax())

        def mine():
            kept["ours"] = ours(network, image, chosen)

        def theirs():
            with (
                contextlib.redirect_stdout(io.StringIO()),
                warnings.catch_warnings(action="ignore"),
            ):
                kept["theirs"] = vis(
                    CategoricalScore([chosen]),
                    image,
                    penultimate_layer=layer,
                    seek_penultimate_conv_layer=False,
                    expand_cam=False,
                )

        ratio, seconds = ratios(mine, theirs, rounds)
        alike = spearmanr(kept["ours"].ravel(), np.ravel(kept["theirs"]))[0]
        yield (
            f"{ours.__name__} of tf-keras-vis / camkit, {name}",
            ratio,
            "≥",
            goal,
            "×",
            f"{seconds}; the ranks of the places correlate with {alike:.4f}",
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
    yield (
        "fit through the frozen backbone / train_head, 5 epochs",
        (end - middle) / (middle - start),
        "≥",
        4.5,
        "×",
        f"{end - middle:.1f} s against {middle - start:.1f} s (reading the files included) for {len(train)} + {len(test)} images",
    )
    yield (
        "difference of their test accuracies",
        100 * abs(one - two),
        "≤",
        2,
        "%",
        f"train_head {one:.1%}, fit {two:.1%}",
    )


def analyze(scale):
    """A whole image set: time and memory by its size (embedded backbone), overhead over the pass alone (ResNet50)."""
    with tempfile.TemporaryDirectory() as folder:
        counts = scale["counts"]
        write_images(folder + "/small", "Test", counts[-1], 100)
        found = {}
        for count in (counts[0], counts[1], counts[0], counts[2], counts[1], counts[0]):
            found.setdefault(count, []).append(
                started(folder=folder + "/small", name="mini", size=100, count=count)
            )
        each = {
            count: float(np.median([run["seconds"] for run in runs]))
            for count, runs in found.items()
        }
        peak = {
            count: float(np.median([run["peak"] for run in runs])) for count, runs in found.items()
        }
        for count in counts[1:]:
            yield (
                f"analyze, seconds an image, {count:,} / {counts[0]:,} images (*)",
                max(each[count] / each[counts[0]], each[counts[0]] / each[count]),
                "≤",
                1.05,
                "×",
                f"{1e3 * each[count]:.2f} ms against {1e3 * each[counts[0]]:.2f} ms",
            )
        yield (
            f"analyze, peak memory, {counts[2]:,} − {counts[0]:,} images (*)",
            peak[counts[2]] - peak[counts[0]],
            "≤",
            200,
            " MB",
            f"{peak[counts[2]]:.0f} MB against {peak[counts[0]]:.0f} MB; (*) embedded backbone at 100×100, so that 16,000 take minutes",
        )
        write_images(folder + "/large", "Test", scale["overhead"], scale["size"])
        run = started(
            folder=folder + "/large",
            name="ResNet50",
            size=scale["size"],
            count=scale["overhead"],
            bare=True,
        )
        yield (
            "analyze from JPEG files / the bare pass, an image",
            run["seconds"] / run["bare"],
            "≤",
            1.05,
            "×",
            f"{1e3 * run['seconds']:.1f} ms against {1e3 * run['bare']:.1f} ms, ResNet50 at {scale['size']}, {scale['overhead']} images",
        )


def faults(scale):
    """`data_faults` on many pictures; its label suspects against cleanlab's on the same out-of-sample probabilities.

    Labels are flipped at random in 1, 2 and 5 % of the embedded set and, where ../shared holds them, of the real
    varieties, once the pictures that bear a wrong label or two already are left out. Average precision, mean of 5 draws.
    cleanlab is no dependency: `pip install --target FOLDER --no-deps cleanlab`, and FOLDER on PYTHONPATH, brings it in.
    """
    N, C = scale["many"], 100
    noise = np.random.default_rng(0)
    labels = noise.integers(0, C, N)
    gap = (
        noise.normal(size=(N, 1280)).astype("float32")
        + 3 * noise.normal(size=(C, 1280)).astype("float32")[labels]
    )
    with tempfile.TemporaryDirectory() as folder:
        fruits = camkit.load_images("mini", None).paths
        for i in range(N):
            Path(folder, f"{i}.jpg").symlink_to(fruits[i % len(fruits)])
        maps = np.broadcast_to(np.float32(0), (N, 7, 7, C))
        made = camkit.Analysis(
            folder=None,
            gap=gap,
            maps=maps,
            logits=None,
            probs=None,
            labels=labels,
            bias=np.zeros(C),
            paths=[f"{folder}/{i}.jpg" for i in range(N)],
            class_names=list(map(str, range(C))),
            map_classes=None,
        )
        start = np.array([time.perf_counter(), time.process_time()])
        camkit.data_faults(made)
        wall, cpu = np.array([time.perf_counter(), time.process_time()]) - start
    yield (
        f"data_faults, {N:,} pictures of 1280 features",
        wall,
        "≤",
        60,
        " s",
        f"{cpu:.0f} s of the cores' time together, peak memory {peak_memory():.0f} MB",
    )
    shared = ROOT.parent / "shared"
    real, weights = (
        shared / "fruits-360",
        shared / "keras" / "mobilenet_v2_imagenet_notop.weights.h5",
    )
    sets = {"embedded": ("mini", "mini", "imagenet")}
    if real.exists() and scale is FULL:
        sets["real"] = (real, "MobileNetV2", weights)
    for name, (source, *network) in sets.items():
        yield from flips(
            name, camkit.backbone(network[0], weights=network[1]), source, 5 if scale is FULL else 1
        )


def flips(name, backbone, source, draws):
    """Yield the average precision at each share of flipped labels, and what of it cleanlab would add."""
    from sklearn.metrics import average_precision_score

    from camkit.faults import _labels as room

    try:
        from cleanlab.filter import find_label_issues
        from cleanlab.rank import get_label_quality_scores
    except ImportError:
        find_label_issues = None
    planted = json.loads((ROOT / "data" / "planted.json").read_text())
    known = [fault[key] for fault in planted for key in ("path", "other_path") if key in fault]
    known += ["/Apple Rotten 1/", "/Apple 21/"]  # the same pictures, in the real set
    images = camkit.load_images(source, None)
    images = images.select(
        [not any(one in Path(path).as_posix() for one in known) for path in images.paths]
    )
    names, labels = np.unique(np.array(images.class_names)[images.labels], return_inverse=True)
    gap = np.concatenate(
        [
            backbone.predict_on_batch(batch.astype("float32")).mean(axis=(1, 2))
            for batch in images.batches(32, backbone.input_shape[1:3])
        ]
    )
    paths, fit = [str(path) for path in images.paths], room.cross_val_predict
    for share in (0.01, 0.02, 0.05):
        values = {}
        for seed in range(draws):
            random, given, kept = np.random.default_rng(seed), labels.copy(), []
            wrong = random.permutation(len(labels))[: round(share * len(labels))]
            given[wrong] = (given[wrong] + random.integers(1, len(names), len(wrong))) % len(names)
            room.cross_val_predict = lambda *args, kept=kept, **options: (
                kept.append(fit(*args, **options)) or kept[0]
            )
            table = camkit.data_faults(
                camkit.Analysis(
                    folder=None,
                    gap=gap,
                    maps=None,
                    logits=None,
                    probs=None,
                    labels=given,
                    bias=None,
                    paths=paths,
                    class_names=list(names),
                    map_classes=None,
                )
            )
            room.cross_val_predict = fit
            place = {path: n for n, path in enumerate(table.loc[table["kind"] == "label", "path"])}
            scores = {"camkit": [-place.get(path, len(paths)) for path in paths]}
            if find_label_issues:
                probabilities = np.exp(kept[0])
                probabilities /= probabilities.sum(axis=1, keepdims=True)
                for method in (
                    "self_confidence",
                    "normalized_margin",
                    "confidence_weighted_entropy",
                ):
                    scores[method] = -get_label_quality_scores(given, probabilities, method=method)
                for rule in (
                    "prune_by_noise_rate",
                    "prune_by_class",
                    "both",
                    "confident_learning",
                    "predicted_neq_given",
                ):
                    listed = find_label_issues(
                        given,
                        probabilities,
                        filter_by=rule,
                        n_jobs=1,
                        return_indices_ranked_by="self_confidence",
                    )
                    scores[rule] = np.full(len(paths), -len(paths))
                    scores[rule][listed] = -np.arange(len(listed))
            for way, score in scores.items():
                values.setdefault(way, []).append(
                    average_precision_score(np.isin(np.arange(len(paths)), wrong), score)
                )
        ours, *theirs = ((np.mean(each), way) for way, each in values.items())
        said = (
            ", ".join(f"{way} {value:.3f}" for value, way in theirs)
            or "is not installed, NOT COMPARED"
        )
        yield (
            f"flipped labels, {share:.0%}, {name}: average precision",
            ours[0],
            "≥",
            0.9,
            "",
            f"cleanlab: {said}",
        )


def atlas(scale):
    """`write_atlas` on as many pictures as the test set of Fruits-360 has, and how long its page takes to open."""
    with tempfile.TemporaryDirectory() as folder:
        run = started("paged", folder=folder, count=scale["page"])
        line = f"write_atlas, {scale['page']:,} pictures of 131 classes"
        yield (
            line,
            run["seconds"],
            "≤",
            120,
            " s",
            f"{run['size']:.0f} MB on disk, {run['errors']} errors; {run['cpu']:.0f} s of the cores' time",
        )
        yield (
            line + ": peak memory",
            run["peak"],
            "≤",
            2000,
            " MB",
            "of a process of its own, the analysis on disk",
        )
        chromium = next(filter(None, map(shutil.which, ["chromium", "google-chrome"])), None)
        if chromium is None:
            print(
                "    no Chromium or Chrome on the PATH: HOW LONG IT TAKES TO OPEN IS NOT MEASURED"
            )
            return
        from playwright.sync_api import sync_playwright

        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=chromium, args=["--no-sandbox", "--disable-gpu"]
            )
            page, start = browser.new_page(), time.perf_counter()
            page.goto(Path(folder, "page", "index.html").as_uri())
            page.wait_for_function("document.querySelector('.told').textContent.includes('Map of')")
            yield (
                "its page, until the first maps are seen",
                time.perf_counter() - start,
                "≤",
                2,
                " s",
                "headless Chromium, from disk",
            )
            browser.close()


def paged(folder, count, classes=131):
    """Write the atlas of `count` pictures of noise features, 3 % of them errors; print seconds, MB on disk, peak memory."""
    noise, fruits = np.random.default_rng(0), camkit.load_images("mini", None).paths
    labels = np.sort(noise.integers(0, classes, count))
    paths = [
        Path(folder, "images", f"class {label:03d}", f"{i}.jpg") for i, label in enumerate(labels)
    ]
    for i, path in enumerate(paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(fruits[i % len(fruits)])
    maps = np.lib.format.open_memmap(
        Path(folder, "maps.npy"), "w+", "float16", (count, 7, 7, classes)
    )
    for start in range(0, count, 256):
        maps[start : start + 256] = noise.normal(size=maps[start : start + 256].shape)
    logits = noise.normal(size=(count, classes)).astype("float32")
    said = np.where(noise.random(count) < 0.03, noise.integers(0, classes, count), labels)
    logits[np.arange(count), said] += 8
    probs = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    gap = (
        noise.normal(size=(count, 1280)) + 2 * noise.normal(size=(classes, 1280))[labels]
    ).astype("float32")
    every = np.broadcast_to(np.arange(classes), (count, classes))
    analysis = camkit.Analysis(
        Path(folder),
        gap,
        np.load(Path(folder, "maps.npy"), mmap_mode="r"),
        logits,
        probs,
        labels,
        np.zeros(classes, "float32"),
        list(map(str, paths)),
        [f"class {c:03d}" for c in range(classes)],
        every,
    )
    start = np.array([time.perf_counter(), time.process_time()])
    camkit.write_atlas(analysis, analysis.images, Path(folder, "page"))
    wall, cpu = np.array([time.perf_counter(), time.process_time()]) - start
    size = sum(file.stat().st_size for file in Path(folder, "page").rglob("*.*")) / 1e6
    print(
        json.dumps(
            {
                "seconds": wall,
                "cpu": cpu,
                "size": size,
                "peak": peak_memory(),
                "errors": len(analysis.errors),
            }
        )
    )


def cluster(scale):
    """`analyze` on Ray: two workers on a core each against one on one core; what Ray and the driver add to a picture."""
    with tempfile.TemporaryDirectory() as folder:
        write_images(folder + "/images", "Test", scale["spread"], 100)
        rounds = [
            [
                started("spread", folder=folder, cores=cores, size=scale["size"])
                for cores in (0, 1, 2)
            ]
            for _ in range(2)
        ]
    here, one, two = (min(run["seconds"] for run in runs) for runs in zip(*rounds))
    yield (
        "two workers on a core each / one worker on one core",
        one / two,
        "≥",
        1.8,
        "×",
        f"{1e3 * one:.1f} ms an image against {1e3 * two:.1f} ms, MobileNetV2 at {scale['size']}, {scale['spread']} images",
    )
    yield (
        "one worker / engine=None on the same core, an image",
        one / here,
        "≤",
        1.1,
        "×",
        f"{1e3 * one:.1f} ms against {1e3 * here:.1f} ms",
    )
    cpu = 1e3 * min(run[2]["driver"] for run in rounds)
    yield (
        "the driver's own time, an image",
        cpu,
        "≤",
        1,
        " ms",
        "of its core, while two workers work",
    )
    start = np.median([run["start"] for runs in rounds for run in runs[1:]])
    yield (
        "until a worker computes",
        start,
        "≤",
        25,
        " s",
        "Ray Data's plan, a new process, its imports, the model's copy and its graph",
    )


def spread(folder, cores, size):
    """Analyse the pictures on so many machines of a core each, or (0) without Ray on one core; print seconds of wall and
    of the driver's processor an image, from the shard by which all workers are at work to the last, and those before the
    first shard that nobody computes."""
    import psutil

    from camkit.analysis import _shards as shards

    if not cores:
        os.sched_setaffinity(0, [0])  # before TensorFlow counts the cores
    images = camkit.load_images(folder + "/images", "Test")
    model = camkit.gap_classifier(
        camkit.backbone("MobileNetV2", weights=None, input_size=size), images.class_names
    )
    marks, begun = [], [time.perf_counter()]
    if cores:
        import ray
        from ray.cluster_utils import Cluster

        from camkit.analysis import ray as room

        made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
        for core in range(cores):
            raylet = psutil.Process(
                made.add_node(num_cpus=1).all_processes["raylet"][0].process.pid
            )
            for process in (raylet, *raylet.children(recursive=True)):
                process.cpu_affinity([core])
        ray.init(made.address, log_to_driver=False, logging_level="CRITICAL")
        rows = room._rows

        def marked(*args):
            begun.append(time.perf_counter())
            for row in rows(*args):
                beside = sum(
                    sum(process.cpu_times()[:2])
                    for process in psutil.process_iter()
                    if process.name().startswith("ray::_round")
                )
                marks.append((time.perf_counter(), time.process_time() + beside))
                yield row

        room._rows = marked
    else:
        write = shards.write_whole
        shards.write_whole = lambda *args: (
            write(*args),
            marks.append((time.perf_counter(), time.process_time())),
        )
    with tempfile.TemporaryDirectory() as out:
        camkit.analyze(model, images, Path(out, "analysis"), engine="ray" if cores else None)
    first = 2 * max(cores, 1)
    marks = np.array(marks[: len(images) // 256])  # whole shards, and no array of the joined
    marks = np.maximum.accumulate(marks)  # of a round that has ended, too
    wall, cpu = (marks[-1] - marks[first]) / (256 * (len(marks) - 1 - first))
    print(
        json.dumps(
            {
                "seconds": wall,
                "driver": cpu,
                "start": marks[0, 0] - begun[-1] - 256 * wall * max(cores, 1),
            }
        )
    )


PARTS = {
    "forward": forward,
    "classic": classic,
    "vis": vis,
    "family": family,
    "head": head,
    "analyze": analyze,
    "faults": faults,
    "atlas": atlas,
    "cluster": cluster,
}


def write_images(folder, split, count, size, seed=0):
    """Write `count` JPEGs of smooth noise about the colour of their class, in turn."""
    noise = np.random.default_rng(seed)
    for i in range(count):
        name, colour = list(COLOURS.items())[i % len(COLOURS)]
        target = Path(folder, split, name)
        target.mkdir(parents=True, exist_ok=True)
        pixels = np.clip(noise.normal(colour, 40, (12, 12, 3)), 0, 255).astype("uint8")
        Image.fromarray(pixels).resize((size, size), Image.Resampling.BILINEAR).save(
            target / f"{i:05d}_100.jpg", quality=90
        )


def started(task="child", **options):
    """Return what `child`, `paged` or `spread` reports from a process of its own, so that its peak memory is its own."""
    command = [sys.executable, __file__, "--child", json.dumps(options | {"task": task})]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def peak_memory():
    """Return the most memory that this process has held, in MB; Linux' getrusage would tell that of its parent."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(re.search(r"VmHWM:\s+(\d+) kB", status.read_text())[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def child(folder, name, size, count, bare=False):
    """Analyse `count` images; print seconds an image once the network is compiled, peak memory, the bare pass."""
    images = camkit.load_images(folder, "Test")
    images = images.select(np.linspace(0, len(images) - 1, count).astype(int))
    weights = "imagenet" if name == "mini" else None
    model = camkit.gap_classifier(
        camkit.backbone(name, weights=weights, input_size=size), images.class_names
    )
    call, marks = camkit.CAM.__call__, []

    def marked(self, batch):
        marks.append(time.perf_counter())
        kept.update(cam=self, batch=batch)
        return call(self, batch)

    kept, camkit.CAM.__call__ = {}, marked
    with tempfile.TemporaryDirectory() as result:
        camkit.analyze(model, images, Path(result, "analysis"), batch_size=32)
        end = time.perf_counter()
    report = {"seconds": (end - marks[1]) / (count - 32), "peak": peak_memory()}
    if bare:
        times = []
        for _ in range(len(marks) - 1):
            start = time.perf_counter()
            call(kept["cam"], kept["batch"])
            times.append((time.perf_counter() - start) / 32)
        report["bare"] = float(np.mean(times))
    print(json.dumps(report))


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main()
