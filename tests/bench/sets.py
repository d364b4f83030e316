"""Whole image sets: their analysis, their faults, their page."""

import json
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np
from measure import ROOT, Line, peak_memory, started, write_images

import camkit


def analyze(scale):
    """A whole image set: time and memory by its size (embedded backbone), overhead over the pass
    alone (ResNet50).
    """
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
            yield Line(
                f"analyze, seconds an image, {count:,} / {counts[0]:,} images (*)",
                max(each[count] / each[counts[0]], each[counts[0]] / each[count]),
                "≤",
                1.05,
                "×",
                f"{1e3 * each[count]:.2f} ms against {1e3 * each[counts[0]]:.2f} ms",
            )
        yield Line(
            f"analyze, peak memory, {counts[2]:,} − {counts[0]:,} images (*)",
            peak[counts[2]] - peak[counts[0]],
            "≤",
            200,
            " MB",
            f"{peak[counts[2]]:.0f} MB against {peak[counts[0]]:.0f} MB; (*) embedded backbone at "
            f"100×100, so that 16,000 take minutes",
        )
        write_images(folder + "/large", "Test", scale["overhead"], scale["size"])
        run = started(
            folder=folder + "/large",
            name="ResNet50",
            size=scale["size"],
            count=scale["overhead"],
            bare=True,
        )
        yield Line(
            "analyze from JPEG files / the bare pass, an image",
            run["seconds"] / run["bare"],
            "≤",
            1.05,
            "×",
            f"{1e3 * run['seconds']:.1f} ms against {1e3 * run['bare']:.1f} ms, ResNet50 at "
            f"{scale['size']}, {scale['overhead']} images",
        )


def child(folder, name, size, count, bare=False):
    """Analyse `count` images; print seconds an image once the network is compiled, peak memory, the
    bare pass.
    """
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


def faults(scale):
    """`data_faults` on many pictures; its label suspects against cleanlab's on the same
    out-of-sample probabilities.

    Labels are flipped at random in 1, 2 and 5 % of the embedded set and, where ../shared holds
    them, of the real varieties, once the pictures that bear a wrong label or two already are left
    out. Average precision, mean of 5 draws. cleanlab is no dependency: `pip install --target FOLDER
    --no-deps cleanlab`, and FOLDER on PYTHONPATH, brings it in.
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
    yield Line(
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
    if real.exists() and scale["full"]:
        sets["real"] = (real, "MobileNetV2", weights)
    for name, (source, *network) in sets.items():
        yield from flips(
            name, camkit.backbone(network[0], weights=network[1]), source, 5 if scale["full"] else 1
        )


def flips(name, backbone, source, draws):
    """Yield the average precision at each share of flipped labels, and what of it cleanlab would
    add.
    """
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
        yield Line(
            f"flipped labels, {share:.0%}, {name}: average precision",
            ours[0],
            "≥",
            0.9,
            "",
            f"cleanlab: {said}",
        )


def atlas(scale):
    """`write_atlas` on as many pictures as the test set of Fruits-360 has, and how long its page
    takes to open.
    """
    with tempfile.TemporaryDirectory() as folder:
        run = started("paged", folder=folder, count=scale["page"])
        line = f"write_atlas, {scale['page']:,} pictures of 131 classes"
        yield Line(
            line,
            run["seconds"],
            "≤",
            120,
            " s",
            f"{run['size']:.0f} MB on disk, {run['errors']} errors; {run['cpu']:.0f} s of the "
            f"cores' time",
        )
        yield Line(
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
            status = "document.querySelector('.status').textContent"
            page.wait_for_function(f"{status}.includes('Map of')")
            yield Line(
                "its page, until the first maps are seen",
                time.perf_counter() - start,
                "≤",
                2,
                " s",
                "headless Chromium, from disk",
            )
            browser.close()


def paged(folder, count, classes=131):
    """Write the atlas of `count` pictures of noise features, 3 % of them errors; print seconds, MB
    on disk, peak memory.
    """
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
    camkit.write_atlas(analysis, Path(folder, "page"))
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
