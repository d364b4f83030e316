"""The playground as files: what is written, and what is refused in one line."""

import json
from functools import cache

import engine
import keras
import numpy as np
import pytest
from keras import layers

import camkit
from camkit._cli import main
from camkit.atlas import page, playground
from camkit.maps import _onnx


def small_model(channels=3, size=8):
    """Return a small model with a GAP → Dense head, whose weights are random."""
    image = keras.Input((size, size, channels))
    features = layers.Conv2D(4, 3, strides=2, padding="same", activation="relu")(image)
    pooled = layers.GlobalAveragePooling2D()(features)
    return keras.Model(image, layers.Dense(3, activation="softmax")(pooled))


# A model is read once for all tests, which takes a second.
FEATURES_OF = cache(_onnx.onnx_features)


@pytest.fixture
def unconverted(monkeypatch):
    """Have models converted to some bytes; tests/browser converts and runs them."""
    monkeypatch.setattr(_onnx, "_converted", lambda copy: b"onnx")
    monkeypatch.setattr(_onnx, "onnx_features", FEATURES_OF)


def test_the_engine_is_what_was_published():
    sums = (engine.FOLDER / "SHA256SUMS").read_text()
    assert engine.sums(engine.stored()) == sums
    assert b"ONNX Runtime Web v" + engine.VERSION.encode() in engine.stored()[engine.MODULE]


def test_an_engine_with_other_sums_is_not_written(monkeypatch, tmp_path):
    (tmp_path / "SHA256SUMS").write_text((engine.FOLDER / "SHA256SUMS").read_text())
    monkeypatch.setattr(engine, "FOLDER", tmp_path)
    monkeypatch.setattr(engine, "published", lambda: {engine.MODULE: b"other", engine.WASM: b""})
    with pytest.raises(SystemExit, match="nothing is written"):
        engine.main()
    assert [file.name for file in tmp_path.iterdir()] == ["SHA256SUMS"]


def test_what_a_page_needs_to_know_of_a_model(unconverted):
    model = small_model()
    features = _onnx.onnx_features(model)
    assert features.input_shape == (8, 8, 3)
    assert features.feature_shape == (4, 4, 4)
    assert features.activation == "softmax"
    cam = camkit.CAM(model)
    np.testing.assert_array_equal(features.cam.kernel, cam.kernel)
    np.testing.assert_array_equal(features.cam.bias, cam.bias)


def test_the_folder_is_written_anew_and_no_other_is(unconverted, tmp_path):
    model = small_model()
    page = camkit.write_playground(model, tmp_path / "page")
    assert page == tmp_path / "page" / "index.html"
    files = {file.name for file in page.parent.rglob("*") if file.is_file()}
    assert files == {"index.html", "engine.js", "model.js"}
    (page.parent / "data" / "left.js").touch()
    camkit.write_playground(model, tmp_path / "page", class_names=["a", "b", "</script>"])
    assert not (page.parent / "data" / "left.js").exists()
    written = (page.parent / "data" / "model.js").read_text()
    data = json.loads(written.removeprefix("window.camkitPlayground=").removesuffix(";"))
    assert data["model"]["heads"][0]["classNames"] == ["a", "b", "</script>"]
    assert "</script>" not in written
    assert [example["name"] for example in data["examples"]][:2] == ["Apple Green", "Apple Red"]
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").touch()
    with pytest.raises(ValueError, match="something other than a playground"):
        camkit.write_playground(model, tmp_path / "other")
    with pytest.raises(ValueError, match="there are 2 class names and the model has 3 classes"):
        camkit.write_playground(model, tmp_path / "page", class_names=["a", "b"])


def test_what_no_page_computes_is_refused(tmp_path):
    with pytest.raises(camkit.HeadError, match=r"gray \(1\) or RGB images \(3\)"):
        camkit.write_playground(small_model(channels=4), tmp_path)
    with pytest.raises(ValueError, match=r"images of any size .* input_size=\(height, width\)"):
        camkit.write_playground(small_model(size=None), tmp_path)
    tokens = keras.Input((8, 8, 3))
    patches = layers.Reshape((16, 4))(layers.Conv2D(4, 2, strides=2)(tokens))
    pooled = layers.GlobalAveragePooling1D()(layers.LayerNormalization()(patches))
    model = keras.Model(tokens, layers.Dense(3, activation="softmax")(pooled))
    with pytest.raises(camkit.HeadError, match="averages the tokens of a transformer"):
        camkit.write_playground(model, tmp_path)
    flat = keras.Model(tokens, layers.Dense(3, activation="softmax")(layers.Flatten()(tokens)))
    with pytest.raises(camkit.HeadError, match="Flatten"):
        camkit.write_playground(flat, tmp_path)
    table = keras.Input((4,))
    both = layers.Concatenate()([layers.GlobalAveragePooling2D()(tokens), table])
    two = keras.Model([tokens, table], layers.Dense(3, activation="softmax")(both))
    with pytest.raises(camkit.HeadError, match="2 inputs, and a page gives a model one image and"):
        camkit.write_playground(two, tmp_path)


def test_examples_of_images_with_several_labels(tmp_path):
    image = np.zeros((2, 2, 3), "uint8")
    labels = np.array([[0, 0, 0], [1, 1, 0], [1, 0, 0], [0, 0, 1]])
    images = camkit.load_images(([image] * 4, labels), class_names=["cat", "dog", "owl"])
    examples = playground._examples(images)
    assert [example["name"] for example in examples] == ["cat|dog", "owl"]
    with pytest.raises(TypeError, match=r"must be an ImageSet or be left out, not 'own': pass cam"):
        camkit.write_playground(small_model(), tmp_path / "page", images="own")


def graph_of(node):
    """Return an ONNX file of one node, which has two outputs at most."""
    from onnx import TensorProto, helper

    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("x", "y")]
    return helper.make_graph([node], "graph", values[:1], values[1:])


def test_an_operation_that_no_engine_runs_is_refused():
    helper = pytest.importorskip("onnx").helper
    known = helper.make_node("Relu", ["x"], ["y"])
    _onnx._check_operations(helper.make_model(graph_of(known)).SerializeToString())
    foreign = helper.make_node("PyFunc", ["x"], ["y"])
    custom = helper.make_node("Relu", ["x"], ["y"], domain="own")
    branch = helper.make_node("If", ["x"], ["y"], then_branch=graph_of(foreign))
    for node, name in [(foreign, "PyFunc"), (custom, "Relu"), (branch, "PyFunc")]:
        model = helper.make_model(graph_of(node))
        with pytest.raises(ValueError, match=f"the model computes {name}, which ONNX does not"):
            _onnx._check_operations(model.SerializeToString())
    # A function that the file itself holds is no foreign operation.
    imports = [helper.make_opsetid("", 20), helper.make_opsetid("own", 1)]
    function = helper.make_function("own", "Relu", ["x"], ["y"], [known], imports)
    model = helper.make_model(graph_of(custom), functions=[function])
    _onnx._check_operations(model.SerializeToString())


@pytest.mark.parametrize(
    "raised, expected, message",
    [
        (ImportError("no tf2onnx"), ImportError, r"pip install 'camkit\[playground\]'"),
        (KeyError("FFT"), ValueError, "Keras cannot convert the model to ONNX: KeyError: 'FFT'"),
    ],
)
def test_what_keras_does_not_convert_is_refused(monkeypatch, tmp_path, raised, expected, message):
    def export(*args, **options):
        raise raised

    monkeypatch.setattr(keras.Model, "export", export)
    with pytest.raises(expected, match=message):
        camkit.write_playground(small_model(), tmp_path / "page")
    assert not (tmp_path / "page").exists()


def test_the_command(unconverted, tmp_path, capsys):
    small_model().save(tmp_path / "model.keras")
    (tmp_path / "names.txt").write_text("0 Apple\n1 Lime\n2 Pear\n")
    names = ["--class-names", str(tmp_path / "names.txt")]
    out = ["--out", str(tmp_path / "page"), "--json"]
    assert main(["playground", str(tmp_path / "model.keras"), *out, *names]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["result"] == {"page": str(tmp_path / "page" / "index.html")}
    assert '"classNames":["Apple","Lime","Pear"]' in (tmp_path / "page/data/model.js").read_text()


@pytest.fixture(scope="module")
def analysed():
    """Return a model and its analysis of three images."""
    images = camkit.load_images("mini", "Test", per_class=1, classes=["Lemon", "Lime", "Plum"])
    model = small_model()
    return model, camkit.analyze(model, images)


def test_an_atlas_holds_the_model_and_pictures_that_it_can_read(unconverted, analysed, tmp_path):
    model, analysis = analysed
    data = camkit.write_atlas(analysis, tmp_path / "atlas", model=model).parent / "data"
    assert (data / "play.js").read_text().startswith('window.camkitPlay={"onnx":')
    assert (data / "engine.js").stat().st_size > 4_000_000
    assert (data / "pictures-00000.js").read_text().count("data:image/jpeg;base64,") == 3
    assert '"play":{}' in (data / "index.js").read_text()
    single = camkit.write_atlas(analysis, tmp_path / "atlas.html", single=True, model=model)
    assert "window.camkitEngine=" in single.read_text()
    plain = camkit.write_atlas(analysis, tmp_path / "plain")
    assert not list(plain.parent.rglob("engine.js")) and not list(plain.parent.rglob("pictures-*"))
    assert '"play"' not in (plain.parent / "data" / "index.js").read_text()


def test_a_model_that_is_too_large_for_one_file_is_refused(
    unconverted, analysed, tmp_path, monkeypatch
):
    model, analysis = analysed
    single = {"single": True, "model": model}
    monkeypatch.setattr(page, "SINGLE_BYTES", 4_000_000)
    told = (
        r"the model and its engine take 4\.9 MB, too much for one file of 4 MB: leave out model, "
    )
    with pytest.raises(ValueError, match=told):
        camkit.write_atlas(analysis.select([0]), tmp_path / "atlas.html", **single)
    # The engine alone fits, but not with the view.
    monkeypatch.setattr(page, "SINGLE_BYTES", len(playground.engine_script()) + 20_000)
    told = (
        r"^1 image comes to more than 4 MB, .*: the model and its engine take .*; leave out model"
    )
    with pytest.raises(ValueError, match=told):
        camkit.write_atlas(analysis.select([0]), tmp_path / "atlas.html", **single)


def test_another_model_than_that_of_the_analysis_is_refused(unconverted, analysed, tmp_path):
    model, analysis = analysed
    # The least probable class of the one is the most probable one of the other.
    other = keras.models.clone_model(model)
    *first, kernel, bias = model.get_weights()
    other.set_weights([*first, -kernel, -bias])
    with pytest.raises(ValueError, match="pass the model that was analysed"):
        camkit.write_atlas(analysis, tmp_path / "atlas", model=other)
    assert not (tmp_path / "atlas").exists()


def test_an_atlas_tells_why_the_model_does_not_run(monkeypatch, analysed, tmp_path):
    model, analysis = analysed

    def refuse(copy):
        raise ValueError("Keras cannot convert the model to ONNX: reason")

    monkeypatch.setattr(_onnx, "_converted", refuse)
    with pytest.warns(UserWarning, match="the atlas does not hold the model: Keras cannot convert"):
        page = camkit.write_atlas(analysis, tmp_path / "atlas", model=model)
    index = (page.parent / "data" / "index.js").read_text()
    assert '"play":{"refusal":"Keras cannot convert the model to ONNX: reason"}' in index
    assert not (page.parent / "data" / "engine.js").exists()


def test_a_widget_hands_over_the_model_and_its_copy_has_none(unconverted, analysed, monkeypatch):
    model, analysis = analysed
    widget = camkit.error_atlas(analysis, model=model)
    sent = []
    monkeypatch.setattr(widget, "send", lambda content, buffers: sent.append(content))
    widget._receive(widget, {"kind": "play", "number": 7}, [])
    assert sent[0]["number"] == 7
    assert sent[0]["play"]["model"]["inputShape"] == (8, 8, 3)
    assert sorted(sent[0]["play"]["engine"]) == ["module", "wasm", "worker"]
    assert json.loads(widget.index)["play"] == {}
    bundle, _ = widget._repr_mimebundle_()
    assert "&quot;play&quot;:" not in bundle["text/html"]


def test_the_command_of_the_atlas_takes_the_model(unconverted, analysed, tmp_path, capsys):
    model, _ = analysed
    images = camkit.load_images("mini", "Test", per_class=1, classes=["Lemon", "Lime", "Plum"])
    camkit.analyze(model, images, tmp_path / "analysis")
    model.save(tmp_path / "model.keras")
    options = ["--model", str(tmp_path / "model.keras"), "--out", str(tmp_path / "atlas")]
    assert main(["atlas", str(tmp_path / "analysis"), *options]) == 0
    assert (tmp_path / "atlas" / "data" / "play.js").exists()
    assert capsys.readouterr().err == ""
