"""The views: their readouts state the analysis' numbers, their controls follow each other, verdicts are kept."""

import re

import camkit
import numpy as np
import pandas as pd
import pytest
from camkit import plots, widgets
from PIL import Image

NAMES = ["Ant", "Bee", "Cat"]
LABELS = np.array([0, 0, 0, 1, 1, 2, 2, 2])
PREDICTED = np.array([0, 1, 1, 1, 0, 2, 1, 1])  # errors: two Ants and two Cats taken for Bee, a Bee taken for Ant


@pytest.fixture
def images(tmp_path):
    for i, label in enumerate(LABELS):
        target = tmp_path / "pets" / NAMES[label] / f"{i}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((20, 30, 3), 10 * i, "uint8")).save(target)
    return camkit.load_images(tmp_path / "pets", None)


@pytest.fixture
def analysis(images, tmp_path):
    """Maps whose mean plus the bias is the logit, with the predicted class ahead by 1, 2, 3, ... in the logit."""
    maps = np.random.default_rng(0).normal(size=(8, 2, 4, 3)).astype("float16").astype("float32")
    bias = np.array([0.5, -0.25, 0.0], "float32")
    logits = np.zeros((8, 3), "float32")
    logits[np.arange(8), PREDICTED] = np.arange(1, 9)
    maps += (logits - bias - maps.mean(axis=(1, 2)))[:, None, None]
    probs = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    points = maps.mean(axis=(1, 2))
    return camkit.Analysis(tmp_path, points, maps, logits, probs, images.labels, bias, list(map(str, images.paths)), NAMES)


def numbers(text):
    return [float(found) for found in re.findall(r"[-+]\d+\.\d+", text)]


# --- class picker

def test_picker_reads_out_the_logit_of_the_picked_class(analysis, images):
    view = camkit.widgets.class_picker(analysis, images)
    for true, picture, shown in [(0, 0, 0), (0, 2, 1), (2, 1, 0)]:
        view.controls["true"].value, view.controls["picture"].value, view.controls["map"].value = true, picture, shown
        i = np.flatnonzero(LABELS == true)[picture]
        mean, bias, logit = numbers(view.text)
        assert (mean, bias, logit) == pytest.approx(
            (analysis.maps[i, ..., shown].mean(), analysis.bias[shown], analysis.logits[i, shown]), abs=0.005)
        assert view.text.startswith(f"{NAMES[true]}/{i}.png: predicted {NAMES[PREDICTED[i]]}")
        assert view.text in view._picture.value, "what is seen is the present state"


def test_picker_draws_the_picked_map_with_limits_shared_by_all_classes(analysis, images):
    view = widgets.class_picker(analysis, images)
    view.controls["map"].value = 2
    figure = view.figure()
    picture, laid_over = (np.asarray(ax.images[0].get_array()) for ax in figure.axes[:2])
    assert (picture == images[0]).all()
    top = analysis.maps[0].max()
    assert (laid_over == camkit.overlay(images[0], analysis.maps[0, ..., 2], vmin=0, vmax=top, alpha=0.55)).all()


def test_picture_slider_follows_the_class(analysis, images):
    view = widgets.class_picker(analysis, images)
    picture = view.controls["picture"]
    picture.value = 2
    view.controls["true"].value = 1
    assert (picture.value, picture.max) == (0, 1)
    assert view.text.startswith("Bee/3.png")
    view.controls["true"].value = 2
    assert (picture.value, picture.max) == (0, 2)


def test_a_change_is_drawn_once(analysis, images, monkeypatch):
    view = widgets.class_picker(analysis, images)
    view.controls["picture"].value = 1
    drawn, png = [], plots.png
    monkeypatch.setattr(plots, "png", lambda *given: drawn.append(1) or png(*given))
    view.controls["map"].value = 1
    assert len(drawn) == 1
    view._draw()
    assert len(drawn) == 1, "nothing has changed"


def test_readouts_are_text_and_no_markup(analysis, images):
    analysis.class_names = ["<b>Ant</b>", "Bee & co", "Cat"]
    value = widgets.class_picker(analysis, images)._picture.value
    assert "<b>" not in value and "&lt;b&gt;Ant" in value


def test_views_refuse_other_images(analysis, images):
    for view in (widgets.class_picker, lambda a, i: widgets.embedding_explorer(a, i, a.gap[:, :2]),
                 lambda a, i: widgets.error_review(a, i, "unused.csv")):
        with pytest.raises(ValueError, match="holds 8 images, the image set 7"):
            view(analysis, images.select(slice(7)))
        with pytest.raises(ValueError, match="not all the same"):
            view(analysis, images.select(np.arange(8)[::-1]))


# --- embedding explorer

def test_explorer_leads_from_a_point_to_its_picture_and_map(analysis, images):
    points = np.arange(16.0).reshape(8, 2)
    view = widgets.embedding_explorer(analysis, images, points)
    view.controls["highlight"].value = 2
    view.controls["point"].value = 1
    assert view.text.startswith("Cat/6.png: true Cat, predicted Bee")
    scatter, picture, laid_over = view.figure().axes[:3]
    ring = scatter.collections[-1]
    assert ring.get_offsets().tolist() == [points[6].tolist()] and ring.get_edgecolor()[0][:3].tolist() == [0, 0, 0]
    assert (np.asarray(picture.images[0].get_array()) == images[6]).all()
    heat = analysis.maps[6, ..., 1]
    expected = camkit.overlay(images[6], heat, vmin=0, vmax=max(heat.max(), 1e-6), alpha=0.55)
    assert (np.asarray(laid_over.images[0].get_array()) == expected).all()


# --- error review

def test_review_steps_through_every_error_by_pair_the_largest_first(analysis, images, tmp_path):
    view = widgets.error_review(analysis, images, tmp_path / "verdicts.csv")
    pair, error = view.controls["pair"], view.controls["error"]
    assert [label for label, _ in pair.options] == [
        "Ant taken for Bee (2)", "Cat taken for Bee (2)", "Bee taken for Ant (1)"]
    seen = []
    for _, value in pair.options:
        pair.value = value
        assert error.value == 0
        for n in range(error.max + 1):
            error.value = n
            seen.append(view.text.split(":")[0])
            i = int(seen[-1].split("/")[1].removesuffix(".png"))
            assert f"ahead by {analysis.logits[i, PREDICTED[i]] - analysis.logits[i, LABELS[i]]:.2f}" in view.text
    assert seen == ["Ant/2.png", "Ant/1.png", "Cat/7.png", "Cat/6.png", "Bee/4.png"], "the most confident first"


def test_review_draws_both_maps_with_the_same_limits_and_their_difference(analysis, images, tmp_path):
    figure = widgets.error_review(analysis, images, tmp_path / "verdicts.csv").figure()
    picture, true, predicted = (np.asarray(ax.images[0].get_array()) for ax in figure.axes[:3])
    maps = analysis.maps[2][..., [0, 1]]
    for drawn, heat in ((true, maps[..., 0]), (predicted, maps[..., 1])):
        assert (drawn == camkit.overlay(images[2], heat, vmin=0, vmax=maps.max(), alpha=0.55)).all()
    difference = next(ax for ax in figure.axes if ax.get_title() == "predicted minus true").images[0]
    assert difference.get_array().mean() + analysis.bias[1] - analysis.bias[0] == pytest.approx(3, abs=1e-3)
    low, high = difference.get_clim()
    assert low == -high, "zero is the middle of the colours"


def test_verdicts_are_written_at_once_and_found_again(analysis, images, tmp_path):
    file = tmp_path / "reviews" / "verdicts.csv"
    view = widgets.error_review(analysis, images, file)
    assert not file.exists() and "0 of 5 errors reviewed" in view.text
    view.controls["verdict"].value = "label wrong"
    assert pd.read_csv(file).to_dict("records") == [
        {"path": analysis.paths[2], "true": "Ant", "predicted": "Bee", "verdict": "label wrong"}]
    assert "Verdict: label wrong. 1 of 5 errors reviewed." in view.text
    view.controls["error"].value = 1
    assert view.controls["verdict"].value == "not reviewed", "each error has its own"
    view.controls["verdict"].value = "ambiguous"
    view.controls["error"].value = 0
    assert view.controls["verdict"].value == "label wrong"

    again = widgets.error_review(analysis, images, file)
    assert again.controls["verdict"].value == "label wrong" and "2 of 5 errors reviewed" in again.text
    again.controls["verdict"].value = "not reviewed"
    assert "1 of 5 errors reviewed" in again.text
    assert pd.read_csv(file)["verdict"].tolist() == ["not reviewed", "ambiguous"]


def test_looking_is_not_judging(analysis, images, tmp_path):
    file = tmp_path / "verdicts.csv"
    view = widgets.error_review(analysis, images, file)
    for _, value in view.controls["pair"].options:
        view.controls["pair"].value = value
        view.controls["error"].value = view.controls["error"].max
    assert not file.exists()


def test_a_table_keeps_what_others_wrote(analysis, images, tmp_path):
    file = tmp_path / "verdicts.csv"
    file.write_text(f"path,true,predicted,verdict,who\n{analysis.paths[2]},Ant,Bee,lens flare,ada\nelse.png,Ant,Bee,other,bob\n")
    view = widgets.error_review(analysis, images, file)
    assert view.controls["verdict"].value == "lens flare", "a verdict of the reader's own"
    assert "1 of 5 errors reviewed" in view.text, "the row of another image does not count"
    view.controls["error"].value = 1
    view.controls["verdict"].value = "resolution"
    table = pd.read_csv(file, keep_default_na=False)
    assert table["path"].tolist() == [analysis.paths[2], "else.png", analysis.paths[1]]
    assert table["verdict"].tolist() == ["lens flare", "other", "resolution"]
    assert table["who"].tolist() == ["ada", "bob", ""]


def test_a_table_of_something_else_is_refused_and_left_alone(analysis, images, tmp_path):
    file = tmp_path / "prices.csv"
    file.write_text("fruit,price\nlime,3\n")
    with pytest.raises(ValueError, match=r"prices.csv has the columns \['fruit', 'price'\].*name another file"):
        widgets.error_review(analysis, images, file)
    assert file.read_text() == "fruit,price\nlime,3\n"


def test_nothing_to_review_is_said(analysis, images, tmp_path):
    analysis.logits = np.eye(3, dtype="float32")[LABELS]
    view = widgets.error_review(analysis, images, tmp_path / "verdicts.csv")
    assert view.text == "No image is misclassified: there is nothing to review." and view.text in view._picture.value
