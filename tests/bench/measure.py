"""What the benchmarks share: how times are taken, and what they are taken of."""

import json
import re
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

import camkit  # noqa: F401  before Keras, so that TensorFlow's start-up is quiet

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared"


COLOURS = {
    "Apple": (200, 40, 40),
    "Lime": (50, 180, 50),
    "Plum": (70, 40, 150),
    "Lemon": (230, 210, 60),
}


FULL = {
    "full": True,
    "size": 224,
    "batch": 16,
    "rounds": 15,
    "train": 160,
    "counts": (1000, 4000, 16000),
    "overhead": 480,
    "many": 100_000,
    "page": 22_688,
    "spread": 6144,
    "class": 30,
}


QUICK = {
    "full": False,
    "size": 64,
    "batch": 4,
    "rounds": 2,
    "train": 32,
    "counts": (100, 200, 400),
    "overhead": 64,
    "many": 2000,
    "page": 400,
    "spread": 2048,
    "class": 2,
}


class Line(NamedTuple):
    """A line of the report: a value with its unit, the goal, if there is one, and what else to say.

    The goal is met where the value is at most (sign "≤") or at least ("≥") as large.
    """

    name: str
    value: float
    sign: str
    goal: float | None
    unit: str
    details: str

    @property
    def met(self):
        if self.goal is None:
            return True
        return self.value <= self.goal if self.sign == "≤" else self.value >= self.goal

    def __str__(self):
        goal = f" {self.sign} {self.goal:g}{self.unit:<3}" if self.goal is not None else ""
        verdict = "" if self.goal is None else " met" if self.met else " MISSED"
        return f"{self.name:<62} {self.value:8.3g}{self.unit:<3}{goal}{verdict}\n    {self.details}"


def ratios(ours, theirs, rounds, calls=1):
    """Return (median of theirs/ours, what to say of the seconds), both called in turn after one
    round to warm up.

    A round has so many `calls` of ours, of which it takes the mean: one call of 60 ms says little
    beside one of 5 s.
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
    """Return what `child`, `paged` or `spread` reports from a process of its own, so that its peak
    memory is its own.
    """
    command = [sys.executable, str(Path(__file__).parent), "--child"]
    command.append(json.dumps(options | {"task": task}))
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def peak_memory():
    """Return the most memory that this process has held, in MB; Linux' getrusage would tell that of
    its parent.
    """
    status = Path("/proc/self/status")
    if status.exists():
        return int(re.search(r"VmHWM:\s+(\d+) kB", status.read_text())[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
