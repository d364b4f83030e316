"""Whole image sets: their analysis, their faults, their page."""

import dataclasses
import json
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np
from measure import Line, peak_memory, started, write_images

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


def atlas(scale):
    """`write_atlas` on as many pictures as the test set of Fruits-360 has, and how long its page
    takes to open; the same beside another model.
    """
    line = f"write_atlas, {scale['page']:,} pictures of 131 classes"
    for compared in (False, True):
        with tempfile.TemporaryDirectory() as folder:
            run = started("paged", folder=folder, count=scale["page"], compared=compared)
            name = f"{line}, before=" if compared else line
            yield Line(
                name,
                run["seconds"],
                "≤",
                240 if compared else 120,
                " s",
                f"{run['size']:.0f} MB on disk, {run['errors']} errors; {run['cpu']:.0f} s of the "
                f"cores' time",
            )
            yield Line(
                name + ": peak memory",
                run["peak"],
                "≤",
                2000,
                " MB",
                "of a process of its own, the analysis on disk",
            )
            yield from opening(Path(folder, "page", "index.html"), name)


def opening(file, name):
    """How long a page takes until its first maps are seen, in headless Chromium, from disk."""
    chromium = next(filter(None, map(shutil.which, ["chromium", "google-chrome"])), None)
    if chromium is None:
        print("    no Chromium or Chrome on the PATH: HOW LONG IT TAKES TO OPEN IS NOT MEASURED")
        return
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page()
        session = page.context.new_cdp_session(page)
        session.send("Performance.enable")
        start = time.perf_counter()
        page.goto(file.as_uri())
        status = "document.querySelector('.status').textContent"
        page.wait_for_function(f"{status}.includes('Map of')")
        seconds = time.perf_counter() - start
        metrics = session.send("Performance.getMetrics")["metrics"]
        busy = next(each["value"] for each in metrics if each["name"] == "TaskDuration")
        yield Line(
            name + ": until the first maps are seen",
            seconds,
            "≤",
            2,
            " s",
            f"headless Chromium, from disk; {busy:.2f} s of its thread's time",
        )
        browser.close()


def paged(folder, count, classes=131, compared=False):
    """Write the atlas of `count` pictures of noise features, 3 % of them errors; print seconds, MB
    on disk, peak memory. It is compared with a model that errs on other 3 %, if that is wanted.
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

    def answers():
        logits = noise.normal(size=(count, classes)).astype("float32")
        said = np.where(noise.random(count) < 0.03, noise.integers(0, classes, count), labels)
        logits[np.arange(count), said] += 8
        return logits, np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)

    logits, probs = answers()
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
    before = None
    if compared:
        other_logits, other_probs = answers()
        before = dataclasses.replace(analysis, logits=other_logits, probs=other_probs)
    start = np.array([time.perf_counter(), time.process_time()])
    camkit.write_atlas(analysis, Path(folder, "page"), before=before)
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
