"""The commands of the shell: what they write, what they say, and how they end."""

import functools
import importlib
import inspect
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
from keras import layers
from PIL import Image

import camkit
from camkit import _cli
from camkit._cli import _FORMATS, _METHODS, _class_names, main
from camkit._files import any_bytes

ROOT = Path(__file__).resolve().parents[2]
EMBEDDED = camkit.load_images().root


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.keras"
    classes = camkit.load_images("mini", "Test", per_class=1).class_names
    camkit.gap_classifier(camkit.backbone("mini"), classes).save(path)
    return path


@pytest.fixture(scope="module")
def analysed(model, tmp_path_factory):
    out = tmp_path_factory.mktemp("out") / "Test"
    assert main(["analyze", str(model), str(EMBEDDED), "--out", str(out)]) == 0
    return out


COMMANDS = ("analyze", "atlas", "faults", "compare", "export", "judge", "playground", "lessons")


def told(capsys, *arguments):
    """The exit code, and the lines of standard output and standard error."""
    code = main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    return code, out.splitlines(), err.splitlines()


def test_the_console_command_and_the_module_are_one():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    module, _, name = project["scripts"]["camkit"].partition(":")
    assert getattr(importlib.import_module(module), name) is main
    shown = subprocess.run(
        [sys.executable, "-m", "camkit", "--help"], capture_output=True, text=True, cwd=ROOT
    )
    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout.startswith("usage: camkit [-h] [--version] COMMAND ...")


def test_analyze_is_camkits(analysed, model):
    ours = camkit.load_analysis(analysed)
    same = camkit.analyze(keras.models.load_model(model), camkit.load_images("mini", "Test"))
    assert (
        (ours.logits == same.logits).all() and (ours.maps == same.maps).all() and len(ours) == 240
    )


def test_analyze_again_is_done_at_once_and_says_the_same(analysed, model, capsys):
    code, out, err = told(capsys, "analyze", model, EMBEDDED, "--out", analysed)
    share = (
        camkit.load_analysis(analysed).predicted == camkit.load_analysis(analysed).labels
    ).mean()
    assert (code, err) == (0, []) and out == [
        f"240 images of 12 classes, {100 * share:.1f} % correct: {analysed}"
    ]


def test_atlas_writes_the_page_and_opens_it(analysed, twelve, tmp_path, capsys, monkeypatch):
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    verdicts = tmp_path / "verdicts.csv"
    verdicts.write_text("path,true,predicted,verdict,reviewer\nLime/r0_24_100.jpg,,,other,Kim\n")
    with verdicts.open("a") as file:
        file.write("/elsewhere/1.jpg,,,other,Kim\n")
    given = ("--out", tmp_path / "page", "--verdicts", verdicts)
    code, out, [note] = told(capsys, "atlas", analysed, *given)
    assert note.startswith("note: 1 of 2 verdicts are on images that the atlas does not hold")
    assert '"reviewer":"Kim"' in (tmp_path / "page" / "data" / "index.js").read_text()
    assert (code, out, opened) == (0, [str(tmp_path / "page" / "index.html")], [])
    assert len(list((tmp_path / "page" / "pictures").iterdir())) == 240
    code, out, err = told(capsys, "atlas", twelve, "--reference", analysed, "--open")
    assert (code, err, opened) == (0, [], [(twelve / "atlas" / "index.html").as_uri()])
    code, out, err = told(capsys, "atlas", twelve, "--single")
    assert (code, out, err) == (0, [str(twelve / "atlas.html")], [])
    assert "data:image/" in (twelve / "atlas.html").read_text()


def test_notes_are_told_before_an_error(twelve, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("camkit.atlas.page.SINGLE_BYTES", 20_000)
    verdicts = tmp_path / "verdicts.csv"
    verdicts.write_text("path,true,predicted,verdict,reviewer\n/elsewhere/1.jpg,,,other,Kim\n")
    given = ("--single", "--out", tmp_path / "atlas.html", "--verdicts", verdicts)
    code, out, [note, error] = told(capsys, "atlas", twelve, *given)
    assert (code, out) == (1, [])
    assert note.startswith("note: 1 of 1 verdicts are on images that the atlas does not hold")
    assert error.startswith("error: 12 images come to more than")


def test_an_analysis_knows_its_images(analysed):
    ours, same = camkit.load_analysis(analysed).images, camkit.load_images("mini", "Test")
    assert (
        ours.paths == same.paths and (ours.labels == same.labels).all() and ours.root == same.root
    )


def test_faults_as_a_table_and_as_a_file(analysed, tmp_path, capsys, monkeypatch):
    expected = camkit.data_faults(camkit.load_analysis(analysed))
    code, out, err = told(capsys, "faults", analysed)
    assert (code, err) == (0, []) and out[0] == f"in {EMBEDDED / 'Test'}:"
    # The two images of a pair of twins stand in one line.
    twins = expected[expected["kind"] == "twin"]
    pairs = {frozenset(images) for images in twins[["path", "other"]].to_numpy().tolist()}
    assert len(out) == len(expected) - len(twins) + len(pairs) + 3
    assert "Lime/r2_312_100.jpg" in out[2] and "same image labelled Lemon" in out[2]
    assert "same image" not in out[3] and out[-1].startswith(f"{len(out) - 3} suspected (1 copy, ")
    monkeypatch.setattr(camkit, "data_faults", lambda *_, **options: expected)
    code, out, err = told(capsys, "faults", analysed, "--csv", tmp_path / "faults.csv")
    assert (code, err, len(out)) == (0, [], 1) and out[0].startswith(
        f"{len(expected)} suspected (1 copy, "
    )
    with any_bytes():  # else other texts, where pyarrow is there
        pd.testing.assert_frame_equal(
            pd.read_csv(tmp_path / "faults.csv"), expected.astype({"kind": str})
        )


@keras.saving.register_keras_serializable("test_main")
class Foreign(layers.Layer):
    def call(self, x):
        return x


def saved(path, layer):
    keras.Sequential(
        [keras.Input((8, 8, 3)), layer, layers.GlobalAveragePooling2D(), layers.Dense(2)]
    ).save(path)
    return path


def test_a_model_that_runs_code_is_refused_until_it_is_trusted(tmp_path, capsys):
    path = saved(tmp_path / "m.keras", layers.Lambda(lambda x: 2 * x))
    code, out, err = told(capsys, "analyze", path, EMBEDDED, "--out", tmp_path / "o")
    assert (
        (code, out, len(err)) == (1, [], 1)
        and "Lambda layer" in err[0]
        and "pass --trust" in err[0]
    )
    code, out, err = told(capsys, "analyze", path, EMBEDDED, "--out", tmp_path / "o", "--trust")
    assert (
        code == 1 and "the model has 2 classes and carries no names, the images have 12" in err[0]
    ), "it was loaded"


def test_a_foreign_class_is_named_with_what_to_pass(tmp_path):
    """In a process where nobody has registered the class; nothing but the one line is written."""
    path = saved(tmp_path / "m.keras", Foreign())
    ran = subprocess.run(
        [sys.executable, "-m", "camkit", "analyze", path, EMBEDDED, "--out", tmp_path / "o"],
        capture_output=True,
        text=True,
    )
    assert (ran.returncode, ran.stdout) == (1, "")
    (line,) = ran.stderr.splitlines()
    assert (
        line.startswith(f"error: {path} cannot be loaded: it needs the class ")
        and "--import MODULE" in line
    )
    assert not (tmp_path / "o").exists()


class Unregistered(layers.Layer):
    def call(self, x):
        return x


def test_modules_are_found_in_the_working_directory(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path])
    source = inspect.getsource(Unregistered)
    Path("layers_of_a_stranger.py").write_text(f"from keras import layers\n{source}")
    path = saved(tmp_path / "m.keras", Unregistered())
    given = ["analyze", path, EMBEDDED, "--out", "o", "--import", "layers_of_a_stranger"]
    code, out, err = told(capsys, *given)
    assert code == 1 and "the model has 2 classes and carries no names" in err[0], "it was loaded"


@pytest.fixture(scope="module")
def unpooled(tmp_path_factory):
    """A model of twelve classes without names, Flatten → Dense: CAM refuses it."""
    path = tmp_path_factory.mktemp("model") / "unpooled.keras"
    start = [
        keras.Input((20, 20, 3)),
        layers.Conv2D(3, 5, strides=5, name="conv"),
        layers.MaxPooling2D(name="pool"),
    ]
    keras.Sequential([*start, layers.Flatten(), layers.Dense(12)]).save(path)
    return path


def test_a_model_without_a_head_is_read_by_a_method_as_camkit_reads_it(unpooled, tmp_path, capsys):
    code, out, err = told(capsys, "analyze", unpooled, EMBEDDED, "--out", tmp_path / "cam")
    assert (code, out, len(err)) == (1, [], 1) and "(in the shell --method grad_cam)" in err[0]
    names = [f"{c} <b>" for c in "苹🍐cdefghijkl"]
    (tmp_path / "names.txt").write_text("\n".join(names) + "\n", encoding="utf-8")
    given = [
        "analyze",
        unpooled,
        EMBEDDED,
        "--out",
        tmp_path / "o",
        "--layer",
        "conv",
        "--method",
        "hires_cam",
    ]
    code, out, err = told(capsys, *given, "--class-names", tmp_path / "names.txt")
    assert (
        code == 1
        and "it knows 'c <b>'" in err[0]
        and "--unlabelled" in err[0]
        and not (tmp_path / "o").exists()
    )
    code, out, err = told(capsys, *given, "--class-names", tmp_path / "names.txt", "--unlabelled")
    assert (code, err, out) == (0, [], [f"240 images without labels: {tmp_path / 'o'}"])
    ours, images = (
        camkit.load_analysis(tmp_path / "o"),
        camkit.load_images("mini", "Test").unlabelled(),
    )
    method = functools.partial(camkit.hires_cam, layer="conv")
    same = camkit.analyze(keras.models.load_model(unpooled), images, method=method)
    assert (
        ours.class_names == names
        and (ours.maps == same.maps).all()
        and (ours.map_classes == same.map_classes).all()
    )


def small(path, units, activation):
    """A model of 20×20 images without class names."""
    start = [keras.Input((20, 20, 3)), layers.Rescaling(1 / 100), layers.Conv2D(4, 5, strides=5)]
    head = [layers.GlobalAveragePooling2D(), layers.Dense(units, activation)]
    keras.Sequential([*start, *head]).save(path)
    return path


def test_classes_by_the_order_of_the_folders_are_told(tmp_path, capsys):
    path = small(tmp_path / "m.keras", 12, "softmax")
    code, out, err = told(capsys, "analyze", path, EMBEDDED, "--out", tmp_path / "o")
    names = camkit.load_images().class_names
    shown = ", ".join(f"{c} {name}" for c, name in enumerate(names))
    assert (code, len(out)) == (0, 1) and err == [
        "classes by the order of the folder names, since the model carries none: "
        f"{shown} (--class-names FILE names them)"
    ]
    told(capsys, "atlas", tmp_path / "o")
    page = (tmp_path / "o" / "atlas" / "data" / "index.js").read_text()
    assert "the folders were matched in alphabetical order" in page


def test_an_output_of_several_is_named(tmp_path, capsys):
    image = keras.Input((20, 20, 3))
    gap = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 5, strides=5)(image))
    heads = [layers.Dense(12, "softmax", name=name)(gap) for name in ("kind", "maker")]
    keras.Model(image, heads).save(tmp_path / "m.keras")
    given = ["analyze", tmp_path / "m.keras", EMBEDDED, "--out", tmp_path / "o"]
    code, out, (line,) = told(capsys, *given)
    assert code == 1 and "2 outputs, 'kind', 'maker'" in line and "--output NAME" in line
    code, out, _ = told(capsys, *given, "--output", "maker")
    assert code == 0 and out[0].startswith("240 images of 12 classes, ")


def test_the_grid_of_tokens_is_two_numbers(tmp_path, capsys):
    path = small(tmp_path / "m.keras", 12, "softmax")
    given = ["analyze", path, EMBEDDED, "--out", tmp_path / "o", "--grid"]
    code, _, (line,) = told(capsys, *given, "4x5")
    assert code == 1 and "grid=(4, 5) is for tokens" in line
    with pytest.raises(SystemExit):
        told(capsys, *given, "4")
    assert "'4' is not HEIGHTxWIDTH, such as 14x14" in capsys.readouterr().err


def test_a_model_of_several_labels_is_not_called_wrong(tmp_path, capsys):
    path = small(tmp_path / "m.keras", 12, "sigmoid")
    code, (line,), _ = told(capsys, "analyze", path, EMBEDDED, "--out", tmp_path / "o")
    analysis = camkit.load_analysis(tmp_path / "o")
    rows = range(len(analysis))
    labelled = 100 * analysis.predicted_labels()[rows, analysis.labels].mean()
    highest = 100 * (analysis.predicted == analysis.labels).mean()
    assert code == 0 and line == (
        "240 images of 12 classes, whose label has a probability of 0.5 or more in "
        f"{labelled:.1f} % and the highest in {highest:.1f} %: {tmp_path / 'o'}"
    )


def test_a_flat_folder_is_analysed_without_labels(model, tmp_path, capsys):
    """Hostile names, a file that is no picture, and a folder in which there is nothing."""
    names = ["a b.png", "'\"<script>.png", "苹果.png", "🍐.png", "-x.png", "n" * 251 + ".png"]
    (tmp_path / "in").mkdir()
    for i, name in enumerate(names):
        Image.new("RGB", (20, 20), (40 * i, 9, 9)).save(tmp_path / "in" / name)
    (tmp_path / "in" / "broken.png").write_bytes(b"")
    code, out, err = told(capsys, "analyze", model, tmp_path / "in", "--out", tmp_path / "o")
    assert (code, out) == (0, [f"6 images without labels: {tmp_path / 'o'}"])
    assert err == [f"skipped: {tmp_path / 'in' / 'broken.png'}: empty"]
    analysis = camkit.load_analysis(tmp_path / "o")
    assert sorted(Path(path).name for path in analysis.table["path"]) == sorted(names) and not len(
        analysis.errors
    )


def test_files_are_read_as_keras_reads_them(model, tmp_path, capsys, tf):
    folder = tmp_path / "photographs"
    folder.mkdir()
    for name in ("0.png", "1.webp"):
        Image.new("RGB", (60, 20), "red").save(folder / name)
    out = tmp_path / "out"
    code, said, warned = told(
        capsys, "analyze", model, folder, "--out", out, "--read-as", "keras-crop"
    )
    assert code == 0 and said[-1].startswith("1 image ")
    assert warned == [
        f"skipped: {folder / '1.webp'}: Keras reads files that end in .bmp, .gif, .jpeg, .jpg, .png"
    ]
    analysis = camkit.load_analysis(out)
    assert analysis.viewer(analysis.paths[0]).shape == (20, 20, 3)


def test_lessons_are_copied_with_what_they_read(tmp_path, capsys):
    to = tmp_path / "new" / "my lessons"
    code, out, err = told(capsys, "lessons", to)
    assert (code, err) == (0, [])
    number = len(list((ROOT / "notebooks").glob("*.ipynb")))
    assert out == [
        f"{number} lessons: jupyter lab {to / 'notebooks'}, "
        f"or as pages: python {to / 'notebooks' / 'site'}",
        "they need pip install 'camkit[lessons]', as pages 'camkit[site]'",
    ]
    copied = {path.relative_to(to) for path in to.rglob("*") if path.is_file()}
    assert copied == {
        Path("data/mini-vit.keras"),
        Path("data/planted.json"),
        Path("notebooks/assignments/checks.py"),
        *(p.relative_to(ROOT) for p in (ROOT / "notebooks" / "records").iterdir()),
        *(p.relative_to(ROOT) for p in (ROOT / "notebooks").iterdir() if p.is_file()),
        *(p.relative_to(ROOT) for p in (ROOT / "notebooks" / "site").iterdir() if p.is_file()),
    }
    assert all((to / path).read_bytes() == (ROOT / path).read_bytes() for path in copied)
    read = set()
    for path in (to / "notebooks").glob("*.ipynb"):
        read |= set(re.findall(r"\.\./((?!build)[\w./-]+)", path.read_text(encoding="utf-8")))
    assert read == {"data/mini-vit.keras", "data/planted.json"}, (
        "what the lessons read beside camkit"
    )


def test_lessons_that_somebody_worked_on_stay(tmp_path, capsys):
    """They are reported; files that were deleted come back, and equal ones stay without a word."""
    told(capsys, "lessons", tmp_path)
    mine, gone, same = (
        tmp_path / "notebooks" / f"{name}.ipynb"
        for name in ("01-gap-equation", "03-class-activation-maps", "06-grad-cam")
    )
    mine.write_text("mine")
    gone.unlink()
    before = same.stat().st_mtime_ns
    code, out, err = told(capsys, "lessons", tmp_path)
    assert (code, len(out)) == (0, 2)
    assert err == [f"left unchanged: {mine} differs from camkit's; move it away to get a new one"]
    assert mine.read_text() == "mine" and same.stat().st_mtime_ns == before
    assert gone.read_bytes() == (ROOT / "notebooks" / gone.name).read_bytes()


def test_lessons_need_a_folder_that_can_be_written(tmp_path, capsys):
    (tmp_path / "file").write_text("mine")
    code, out, err = told(capsys, "lessons", tmp_path / "file")
    assert (code, out, len(err)) == (1, [], 1) and str(tmp_path / "file") in err[0]


@pytest.mark.parametrize(
    "given, found",
    [
        (
            ["analyze", "WEIGHTS", "x", "--out", "y"],
            "it holds only weights: load them into their model",
        ),
        (
            [
                "analyze",
                "MODEL",
                EMBEDDED,
                "--out",
                "y",
                "--method",
                "grad_cam",
                "--layer",
                "nothing",
            ],
            "no layer is named 'nothing': choose one of the",
        ),
        (
            ["analyze", "MODEL", EMBEDDED, "--out", "y", "--class-names", "nowhere.txt"],
            "is no file: --class-names takes one with a name on each line",
        ),
        (
            ["analyze", "MODEL", EMBEDDED, "--out", "y", "--class-names", __file__],
            "the model has 12 classes: pass one for",
        ),
        (["faults", "nowhere"], "nowhere holds no analysis"),
        (["analyze", "nowhere.keras", "x", "--out", "y"], "there is no model file nowhere.keras"),
        (["analyze", __file__, "x", "--out", "y"], "cannot be loaded: it is no model of Keras"),
        (["analyze", "MODEL", "nowhere", "--out", "y"], "nowhere is missing"),
        (
            ["analyze", "MODEL", "x", "--out", "y", "--import", "no_such_module"],
            "No module named 'no_such_module'",
        ),
    ],
)
def test_what_the_user_must_mend_is_one_line(model, tmp_path, capsys, given, found):
    weights = tmp_path / "m.weights.h5"
    keras.Sequential([keras.Input((3,)), layers.Dense(2)]).save_weights(weights)
    code, out, err = told(
        capsys, *[{"MODEL": model, "WEIGHTS": weights}.get(word, word) for word in given]
    )
    assert (code, out, len(err)) == (1, [], 1) and err[0].startswith("error: ") and found in err[0]


@pytest.mark.parametrize(
    "given",
    [
        ["analyze"],
        ["analyze", "m", "i"],
        ["analyze", "m", "i", "--out", "o", "--method", "guess"],
        ["faults"],
        ["lessons"],
        ["guess"],
    ],
)
def test_wrong_usage_ends_with_2(given, capsys):
    with pytest.raises(SystemExit) as end:
        main(given)
    assert end.value.code == 2


def test_without_a_command_the_help_is_an_error(capsys):
    with pytest.raises(SystemExit) as end:
        main([])
    out, err = capsys.readouterr()
    assert (end.value.code, out) == (2, "")
    with pytest.raises(SystemExit):
        main(["--help"])
    assert err == capsys.readouterr().out


def test_the_version_is_that_of_the_package(capsys):
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out == f"camkit {camkit.__version__}\n"


def test_every_method_of_the_family_can_be_named():
    """The shell knows their names without Keras: all that take a model, a batch and targets."""
    family = set()
    for name in camkit.__all__:
        value = getattr(camkit, name)
        if inspect.isfunction(value):
            parameters = list(inspect.signature(value).parameters)
            if parameters[:3] == ["model", "batch", "targets"]:
                family.add(name)
    assert set(_METHODS) == family


@pytest.mark.parametrize(
    "text, names",
    [
        ("0 Apple\n1 Lime\n", ["Apple", "Lime"]),
        ("Apple\nLime\n", ["Apple", "Lime"]),
        ("1 Apple\n2 Lime\n", ["1 Apple", "2 Lime"]),
        ("0\n1\n", ["0", "1"]),
        ("0 Red apple\n1 Lime", ["Red apple", "Lime"]),
    ],
)
def test_numbers_before_class_names_are_dropped_if_they_are_those_of_the_outputs(
    text, names, tmp_path
):
    (tmp_path / "labels.txt").write_text(text)
    assert _class_names(tmp_path / "labels.txt") == names


def interrupt(*_, **__):
    raise KeyboardInterrupt


def test_an_interrupted_analysis_says_that_it_can_be_continued(
    model, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(camkit, "analyze", interrupt)
    code, out, err = told(capsys, "analyze", model, EMBEDDED, "--out", tmp_path)
    assert (code, out, err) == (130, [], ["stopped: the same command continues"])


def test_an_interrupted_command_ends_in_one_line(analysed, capsys, monkeypatch):
    monkeypatch.setattr(camkit, "data_faults", interrupt)
    assert told(capsys, "faults", analysed) == (130, [], ["stopped"])


@pytest.mark.parametrize(
    "given",
    [["--help"], *([command, "--help"] for command in COMMANDS)],
)
def test_help_fits_a_screen(given, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as end:
        main(given)
    lines = capsys.readouterr().out.splitlines()
    assert end.value.code == 0 and len(lines) <= 24 and max(map(len, lines)) <= 80


def test_files_go_to_new_folders_and_groups_are_named(twelve, tmp_path, capsys):
    code, _, err = told(capsys, "faults", twelve, "--csv", tmp_path / "new" / "faults.csv")
    assert (code, err) == (0, []) and (tmp_path / "new" / "faults.csv").exists()
    code, _, err = told(capsys, "faults", twelve, "--group", "patient")
    assert code == 1 and "no column 'patient' in the metadata" in err[0]
    target = tmp_path / "other" / "labels.npz"
    assert told(capsys, "export", twelve, "--to", "cleanlab", "--out", target)[0] == 0
    missing = tmp_path / "missing.csv"
    code, _, [line] = told(capsys, "atlas", twelve, "--verdicts", missing)
    assert code == 1 and line.startswith(f"error: there is no file {missing}: pass a CSV file")


@pytest.mark.parametrize("name", ["about.json", "gap.npy"])
def test_a_broken_file_of_an_analysis_is_named(analysed, tmp_path, capsys, name):
    broken = tmp_path / "broken"
    shutil.copytree(analysed, broken, ignore=shutil.ignore_patterns("atlas"))
    for size in (100, 0):
        with open(broken / name, "r+b") as stream:
            stream.truncate(size)
        code, out, [line] = told(capsys, "faults", broken)
        assert (code, out) == (1, []) and line.startswith(f"error: {broken / name} is broken (")


# Exports, and what programs read ------------------------------------------------------------------


def answer(capsys, *arguments):
    """The exit code, the object on standard output, and the lines of standard error."""
    code, out, err = told(capsys, *arguments, "--json")
    [line] = out
    content = json.loads(line)
    assert list(content) == ["command", "exit_code", "error", "result"]
    assert (content["command"], content["exit_code"]) == (arguments[0], code)
    return content["error"], content["result"], err


@pytest.mark.parametrize("arguments", [["faults"], ["--help"], ["faults", "--json"]])
def test_a_command_ends_quietly_when_nobody_reads_on(twelve, monkeypatch, capsys, arguments):
    if "faults" in arguments:
        arguments = ["faults", str(twelve), *arguments[1:]]
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        code = main(arguments)
    assert code == 128 + signal.SIGPIPE and "error" not in capsys.readouterr().err


def test_the_formats_of_the_shell_are_those_of_the_package():
    assert _FORMATS == tuple(camkit.export.FORMATS)


@pytest.fixture(scope="module")
def twelve(tmp_path_factory):
    """The folder of an analysis of twelve images."""
    folder = tmp_path_factory.mktemp("small") / "analysis"
    images = camkit.load_images("mini", "Test", per_class=1)
    model = camkit.gap_classifier(camkit.backbone("mini"), images.class_names)
    camkit.analyze(model, images, folder)
    return folder


@pytest.mark.parametrize("name", _FORMATS)
def test_export_writes_each_format(name, twelve, tmp_path, capsys):
    if name == "parquet":
        pytest.importorskip("pyarrow", reason="pyarrow belongs to camkit[parquet]")
    target = tmp_path / "export"
    code, [out], err = told(capsys, "export", twelve, "--to", name, "--out", target)
    assert (code, err) == (0, []) and Path(out).exists()
    assert target in (Path(out).with_suffix(""), Path(out), Path(out).parent)


def test_export_knows_which_options_belong_to_a_format(analysed, tmp_path, capsys):
    pd.DataFrame(
        [{"path": "Lemon/1.jpg", "true": "Lemon", "predicted": "Lime", "verdict": "other"}]
    ).to_csv(tmp_path / "verdicts.csv")
    given = ("export", analysed, "--out", tmp_path / "a.parquet", "--to", "parquet")
    options = {
        ("--of", "true"): "coco, yolo, label-studio",
        ("--verdicts", tmp_path / "verdicts.csv"): "fiftyone",
        ("--verdicts", tmp_path / "missing.csv"): "fiftyone",
    }
    for option, formats in options.items():
        expected = f"error: --to parquet takes no {option[0]}, which is for {formats}: leave it out"
        assert told(capsys, *given, *option) == (1, [], [expected])


def test_every_command_answers_in_json(analysed, model, tmp_path, capsys, monkeypatch):
    error, result, err = answer(capsys, "analyze", model, EMBEDDED, "--out", analysed)
    analysis = camkit.load_analysis(analysed)
    assert error is None and err == [
        f"240 images of 12 classes, {100 * result['correct']:.1f} % correct: {analysed}"
    ]
    assert result == {
        "folder": str(analysed),
        "images": 240,
        "classes": analysis.class_names,
        "matched_by": "name",
        "correct": float(analysis.table["correct"].mean()),
        "errors": len(analysis.errors),
        "skipped": [],
    }
    page = tmp_path / "page" / "index.html"
    monkeypatch.setattr(camkit, "write_atlas", lambda *_, **options: page)
    assert answer(capsys, "atlas", analysed)[1] == {"page": str(page)}
    first, second = analysis.paths[:2]
    table = pd.DataFrame(
        {
            "path": [first, second],
            "kind": pd.Categorical(["copy"] * 2, ["copy", "label"]),
            "reason": "the same",
            "score": [1.0, float("nan")],
            "other": [second, first],
        }
    )
    monkeypatch.setattr(camkit, "data_faults", lambda *_, **options: table)
    _, result, err = answer(capsys, "faults", analysed)
    assert result["counts"] == {"copy": 2, "label": 0} and result["csv"] is None
    assert [fault["path"] for fault in result["faults"]] == [first, second]
    assert [fault["score"] for fault in result["faults"]] == [1.0, None]
    target = tmp_path / "a.npz"
    _, result, _ = answer(capsys, "export", analysed, "--to", "cleanlab", "--out", target)
    assert result == {"file": str(target), "format": "cleanlab"}
    _, result, _ = answer(capsys, "lessons", tmp_path / "lessons")
    assert result["folder"] == str(tmp_path / "lessons" / "notebooks") and result["lessons"] > 10


def test_judge_prints_the_table_and_the_verdict(model, tmp_path, capsys, monkeypatch):
    table = pd.DataFrame({"method": ["grad_cam", "centre"], "layer": ["last", ""]})
    table = table.assign(road=[0.5, 0.25], road_low=0.125, road_high=0.75, verdict="passes")
    judged = camkit.Judgement(table, "Use grad_cam.", "grad_cam", "last", ["left out: legrad"])
    given = []

    def judge(model, images, **options):
        given.append((len(images), options))
        return judged

    monkeypatch.setattr(camkit, "judge", judge)
    code, out, err = told(capsys, "judge", model, EMBEDDED, "--count", 9, "--layers", "last")
    assert given == [(9, {"layers": ["last"], "output": None})]
    assert (code, err) == (0, ["note: left out: legrad"])
    assert out[1:4] == ["at 'last'", "grad_cam  0.50 [0.12, 0.75]", "  passes"]
    assert out[-1] == "Use grad_cam."
    file = tmp_path / "new" / "judged.csv"
    error, result, _ = answer(
        capsys, "judge", model, EMBEDDED, "--csv", file, "--methods", "legrad"
    )
    assert given[1] == (48, {"layers": None, "output": None, "methods": ["legrad"]})
    assert error is None and pd.read_csv(file)["road"].tolist() == [0.5, 0.25]
    assert result["table"][1]["method"] == "centre" and result["csv"] == str(file)
    assert (result["method"], result["images"]) == ("grad_cam", 48)


@pytest.fixture(scope="module")
def twelve_blind(tmp_path_factory):
    """The folder of an analysis of the images of `twelve`, of which the last class is predicted."""
    folder = tmp_path_factory.mktemp("blind") / "analysis"
    images = camkit.load_images("mini", "Test", per_class=1)
    model = camkit.gap_classifier(camkit.backbone("mini"), images.class_names)
    [dense] = [layer for layer in model.layers if isinstance(layer, layers.Dense)]
    bias = np.arange(12) == 11
    dense.set_weights([np.zeros((96, 12)), bias])
    camkit.analyze(model, images, folder)
    return folder


def test_compare_says_what_changed_and_may_fail(twelve, twelve_blind, tmp_path, capsys):
    """An untrained model says the first class, the other one the last: one of each is right."""
    expected = camkit.compare(camkit.load_analysis(twelve), camkit.load_analysis(twelve_blind))
    assert expected.counts[["mended", "broken"]].tolist() == [1, 1]
    code, out, err = told(capsys, "compare", twelve, twelve_blind)
    assert (code, out, err) == (0, repr(expected).splitlines(), [])
    given = ("compare", twelve, twelve_blind, "--fail-on-broken")
    # One of twelve is 8.33 %.
    assert told(capsys, *given, "8.4%")[0] == 0
    error, result, err = answer(capsys, *given, "8.3%")
    assert error == (
        "1 of 12 images is broken, 8.33 %, and --fail-on-broken allows 8.3 %: --out PAGE shows them"
    )
    assert err[-1] == f"error: {error}"
    assert result["accuracy"]["difference"] == 0 and result["counts"]["broken"] == 1
    assert [row["change"] for row in result["changed"]].count("mended") == 1
    assert len(result["per_class"]) == 12 and result["per_class"][0]["class"] == "Apple Green"
    assert (result["page"], result["notes"], result["only_after"]) == (None, [], [])
    out = tmp_path / "new" / "page"
    error, result, _ = answer(capsys, *given, "1%", "--out", out)
    assert error == "1 of 12 images is broken, 8.3 %, and --fail-on-broken allows 1 %"
    assert result["page"] == str(out / "index.html")
    code, [page], _ = told(capsys, "atlas", twelve_blind, "--before", twelve, "--out", out)
    assert code == 0 and '"name":"broken"' in (out / "data" / "index.js").read_text()


@pytest.mark.parametrize(
    "broken, images, limit, told",
    [
        (60, 60, "1", "60 of 60 images are broken, 100.0 %, and --fail-on-broken allows 1 %"),
        (1, 96, "1", "1 of 96 images is broken, 1.04 %, and --fail-on-broken allows 1 %"),
        (1, 3000, "0.03", "is broken, 0.033 %, and --fail-on-broken allows 0.03 %"),
        (1, 3, "0", "is broken, 33.3 %, and --fail-on-broken allows 0 %"),
    ],
)
def test_a_share_of_broken_images_is_told_as_more_than_the_limit(broken, images, limit, told):
    result = {"counts": {"broken": broken}, "accuracy": {"images": images}, "page": None}
    with pytest.raises(_cli._LimitExceeded, match=told):
        _cli._check_broken(result, _cli._percentage(f"{limit}%"))


@pytest.mark.parametrize("limit", ["1", "0.01", "x%", "-1%", "101%", "nan%", "1/0%"])
def test_a_limit_is_a_percentage(limit, capsys):
    with pytest.raises(SystemExit) as end:
        main(["compare", "a", "b", f"--fail-on-broken={limit}"])
    assert end.value.code == 2
    assert f"'{limit}' is no percentage from 0% to 100%, such as 1%" in capsys.readouterr().err


def test_errors_are_told_in_json_and_the_exit_codes_are_the_same(analysed, capsys, monkeypatch):
    error, result, err = answer(capsys, "faults", analysed / "missing")
    assert result is None and err == [f"error: {error}"] and "holds no analysis" in error
    monkeypatch.setattr(camkit, "data_faults", interrupt)
    code, [line], _ = told(capsys, "faults", analysed, "--json")
    assert json.loads(line) == {
        "command": "faults",
        "exit_code": 130,
        "error": "stopped",
        "result": None,
    }
    assert code == 130
