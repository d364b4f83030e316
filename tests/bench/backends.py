"""CAM beside `model.predict` on each backend of Keras, each in a process of its own."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec

from measure import ROOT, Line, ratios, resnet

import camkit
from camkit._backend_choice import BACKENDS


def backends(scale):
    """Maps of 1000 classes + GAP + logits against predict, on each backend that is installed here
    or in build/backends, where `make backends` puts them.
    """
    for name in BACKENDS:
        python = python_with(name)
        if python is None:
            print(f"not measured on {name}: `make backends` installs it", flush=True)
            continue
        settings = {key: scale[key] for key in ("size", "batch", "rounds")}
        command = [python, os.path.dirname(__file__), "--child"]
        command.append(json.dumps(settings | {"task": "beside_predict"}))
        environment = os.environ | {"KERAS_BACKEND": name, "PYTHONPATH": str(ROOT)}
        child = subprocess.run(
            command, env=environment, stdout=subprocess.PIPE, text=True, check=True
        )
        value, details = json.loads(child.stdout.splitlines()[-1])
        yield Line(f"CAM / model.predict on {name}", value, "≤", None, "×", details)


def python_with(name):
    """Return the interpreter that has a backend: this one, that of `make backends`, or None."""
    if find_spec(name):
        return sys.executable
    python = ROOT / "build" / "backends" / name / "bin" / "python"
    return str(python) if python.exists() else None


def beside_predict(size, batch, rounds):
    """Print the ratio of the seconds of CAM to those of predict, on the present backend."""
    model, images = resnet(size)
    images = images[:batch]
    cam = camkit.CAM(model)
    ratio, seconds = ratios(
        lambda: cam(images),
        lambda: model.predict(images, batch_size=batch, verbose=0),
        rounds,
    )
    print(json.dumps([1 / ratio, f"{seconds} for {batch} images"]))
