"""Images with several labels, from the analysis onwards."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.metrics import average_precision_score, f1_score, precision_recall_fscore_support

import camkit

NAMES = ["Ant", "Bee", "Cat"]
LABELS = np.array([[1, 0, 1], [0, 1, 0], [1, 1, 0], [0, 0, 0]], dtype=bool)
PROBS = np.array(
    [[0.9, 0.2, 0.3], [0.65, 0.7, 0.1], [0.8, 0.4, 0.2], [0.1, 0.3, 0.45]], dtype="float32"
)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Four pictures of noise with up to two of three labels."""
    folder = tmp_path_factory.mktemp("pictures")
    paths = []
    for i in range(len(LABELS)):
        pixels = np.random.default_rng(i).integers(0, 256, (8, 12, 3), "uint8")
        paths.append(folder / f"{i}.png")
        Image.fromarray(pixels).save(paths[-1])
    return camkit.ImageSet(folder, paths, LABELS, NAMES, [])


@pytest.fixture
def made(pictures):
    """An analysis with the probabilities above, made by arithmetic."""
    logits = np.log(PROBS / (1 - PROBS))
    maps = np.ones((4, 2, 2, 3), "float32") * logits[:, None, None]
    every = np.broadcast_to(np.arange(3), (4, 3))
    return camkit.Analysis(
        pictures.root,
        gap=np.random.default_rng(2).normal(size=(4, 6)).astype("float32"),
        maps=maps,
        logits=logits,
        probs=PROBS,
        labels=LABELS,
        bias=np.zeros(3, "float32"),
        paths=[str(path) for path in pictures.paths],
        class_names=NAMES,
        map_classes=every,
        is_multi_label=True,
    )


@pytest.fixture(scope="module")
def model():
    """A small convolution with a sigmoid for each label."""
    import keras

    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 12, 3))
    features = keras.layers.Conv2D(4, 3, activation="relu")(inputs)
    pooled = keras.layers.GlobalAveragePooling2D()(features)
    return keras.Model(inputs, keras.layers.Dense(3, "sigmoid")(pooled))


def test_a_row_of_the_table_counts_missed_and_invented_labels(made):
    table = made.table.drop(columns="path")
    assert list(table["true"]) == ["Ant|Cat", "Bee", "Ant|Bee", ""]
    assert list(table["predicted"]) == ["Ant", "Ant|Bee", "Ant", ""]
    assert list(table["missed"]) == [1, 0, 1, 0] and list(table["invented"]) == [0, 1, 0, 0]
    assert np.allclose(table["confidence"], [0.9, 0.7, 0.8, 0.45])
    # The lowest margin: of Cat, missed at 0.3; Ant, invented at 0.65; Bee, missed at 0.4; none.
    expected = [np.log(3 / 7), -np.log(65 / 35), np.log(4 / 6), np.log(55 / 45)]
    assert np.allclose(table["margin"], expected, atol=1e-6)
    assert list(table["correct"]) == [False, False, False, True]


def test_errors_are_pairs_of_an_image_and_a_label_the_worst_first(made):
    errors = made.errors
    assert list(errors.columns) == ["path", "label", "kind", "probability", "margin", "flip_cells"]
    assert list(errors.index) == [0, 1, 2]
    assert list(errors["label"]) == ["Cat", "Ant", "Bee"]
    assert list(errors["kind"]) == ["missed", "invented", "missed"]
    assert np.allclose(errors["probability"], [0.3, 0.65, 0.4])
    assert list(errors["path"]) == made.paths[:3]


def test_tables_survive_csv(made, tmp_path):
    for name in ("table", "errors"):
        table = getattr(made, name).reset_index(drop=True)
        # The maps are 0, so that no cell decides anything, and a missing number is an empty text.
        table = table.drop(columns=[column for column in table if column.startswith("flip_")])
        table.to_csv(tmp_path / "t.csv", index=False)
        again = pd.read_csv(tmp_path / "t.csv", keep_default_na=False)
        pd.testing.assert_frame_equal(
            again, table, check_dtype=False, check_column_type=False, rtol=1e-5
        )


def test_scores_of_each_class_are_those_of_scikit_learn(made):
    scores = made.per_class
    expected = precision_recall_fscore_support(
        LABELS, made.predicted_labels(), zero_division=np.nan
    )
    for name, values in zip(("precision", "recall", "f1", "support"), expected, strict=True):
        assert np.allclose(scores[name][:2], values[:2], equal_nan=True), name
    # Cat is never predicted: no precision, but an F1 of 0.
    assert np.isnan(scores["precision"]["Cat"]) and scores["f1"]["Cat"] == 0
    # By hand: Ant's two images rank first; Bee's are first and second; Cat's is the second of four.
    assert np.allclose(scores["average_precision"], [1, 1, 0.5])
    for c, name in enumerate(NAMES):
        value = average_precision_score(LABELS[:, c], PROBS[:, c])
        assert scores["average_precision"][name] == value
    assert list(scores["threshold"]) == [0.5] * 3 and list(scores["predicted"]) == [3, 1, 0]


def test_a_class_that_no_image_has_is_scored_by_nan(made):
    none = replace(made, labels=LABELS & np.array([True, True, False]))
    row = none.per_class.loc["Cat"]
    assert row["support"] == 0 and np.isnan(row[["recall", "average_precision", "f1"]]).all()


def test_thresholds_of_best_f1(made):
    best = made.best_thresholds()
    # Ant: 0.9 and 0.8 are right, 0.65 is not; Bee: 0.7, 0.4 | 0.3; Cat: 0.45 is wrong, 0.3 right.
    assert np.allclose(best, [0.725, 0.35, 0.25])
    by_best = made.with_thresholds(best)
    assert list(by_best.table["missed"]) == [0, 0, 0, 0]
    assert list(by_best.errors["kind"]) == ["invented"]
    assert np.allclose(by_best.per_class["threshold"], best)
    # The analysis that they were derived from is left as it was.
    assert list(made.table["missed"]) == [1, 0, 1, 0]
    assert np.array_equal(by_best.predicted_labels(0.5), made.predicted_labels())


def test_no_other_threshold_has_a_higher_f1():
    from camkit.analysis import _label_sets

    random = np.random.default_rng(0)
    probs = random.integers(1, 20, (60, 5)).astype("float32") / 20
    labels = random.random((60, 5)) < probs
    best = _label_sets.best_thresholds(probs, labels)
    for c in range(5):
        reached = f1_score(labels[:, c], probs[:, c] >= best[c])
        others = [f1_score(labels[:, c], probs[:, c] >= t) for t in np.linspace(0, 0.96, 97)]
        assert reached >= max(others)


def test_thresholds_that_do_not_apply_are_refused(made):
    with pytest.raises(ValueError, match="one for each of 3 classes"):
        made.with_thresholds([0.5, 0.5])
    for odd in ("x", True, [True, False, True]):
        with pytest.raises(ValueError, match="threshold is .*: pass probabilities, numbers from 0"):
            made.with_thresholds(odd)
    one_each = replace(made, labels=np.array([0, 1, 0, 2]))
    for call in (lambda: one_each.with_thresholds(0.4), one_each.best_thresholds):
        with pytest.raises(ValueError, match="one label each"):
            call()


def test_scores_of_each_class_where_images_have_one_label(made):
    one_each = replace(made, labels=np.array([0, 1, 0, -1]))
    scores = one_each.per_class
    assert list(scores["support"]) == [2, 1, 0] and list(scores["predicted"]) == [2, 1, 0]
    assert list(scores["recall"][:2]) == [1, 1] and "threshold" not in scores


def test_analyze_keeps_label_sets_on_disk(pictures, model, tmp_path):
    analysis = camkit.analyze(model, pictures, tmp_path / "a", batch_size=3)
    assert analysis.has_label_sets and analysis.matched_by == "order"
    assert analysis.labels.dtype == bool and np.array_equal(analysis.labels, LABELS)
    assert json.loads((tmp_path / "a" / "about.json").read_text())["labels"][0] == [0, 2]
    assert np.array_equal(analysis.images.labels, LABELS)
    again = camkit.analyze(model, pictures, tmp_path / "a", batch_size=3)
    assert np.array_equal(again.probs, analysis.probs)
    other = camkit.analyze(model, replace(pictures, labels=~LABELS), tmp_path / "a")
    assert np.array_equal(other.labels, ~LABELS) and np.array_equal(other.probs, analysis.probs)


def test_labels_are_matched_by_the_names_of_the_columns(pictures, model):
    swapped = replace(pictures, labels=LABELS[:, ::-1], class_names=NAMES[::-1])
    analysis = camkit.analyze(model, swapped, class_names=NAMES)
    assert analysis.matched_by == "name" and np.array_equal(analysis.labels, LABELS)


def test_by_a_method_true_labels_have_their_maps(pictures):
    from camkit.analysis._reader import top

    logits = np.array([[5.0, 4, 3, 2, 1, 0, -1]])
    labels = np.zeros((1, 7), bool)
    assert top(logits, labels).tolist() == [[0, 1, 2, 3, 4]]
    labels[0, [6, 1]] = True
    assert top(logits, labels).tolist() == [[1, 6, 0, 2, 3]]
    labels[:] = True
    assert top(logits, labels).tolist() == [[0, 1, 2, 3, 4]]


def test_analyze_by_a_method(pictures, model):
    analysis = camkit.analyze(model, pictures, method=camkit.grad_cam, batch_size=3)
    assert analysis.map_classes[0].tolist()[:2] in ([0, 2], [2, 0])
    assert analysis.class_map(0, 2).shape == analysis.maps.shape[1:3]


def test_what_analyze_refuses(pictures, model):
    import keras

    logits = keras.Model(model.input, keras.layers.Dense(3)(model.layers[-2].output))
    with pytest.raises(ValueError, match="Sequential.*sigmoid") as refusal:
        camkit.analyze(logits, pictures)
    assert "\n" not in str(refusal.value)
    # The remedy that the message names.
    ended = keras.Sequential([logits, keras.layers.Activation("sigmoid")])
    assert camkit.analyze(ended, pictures).has_label_sets

    unknown = LABELS.astype(float)
    unknown[0, 0] = np.nan
    with pytest.raises(ValueError, match="unknown"):
        camkit.analyze(model, replace(pictures, labels=unknown))
    fewer = replace(pictures, labels=LABELS[:, :2], class_names=NAMES[:2])
    with pytest.raises(ValueError, match=r"no labels for .*'Cat'.*class_names="):
        camkit.analyze(model, fewer, class_names=NAMES)


def test_what_takes_one_label_an_image_refuses_several(pictures, model):
    import keras

    backbone = keras.Model(model.input, model.layers[1].output)
    classifier = camkit.gap_classifier(backbone, NAMES)
    with pytest.raises(ValueError, match="binary_crossentropy"):
        camkit.train_head(classifier, pictures)
    with pytest.raises(ValueError, match="several labels"):
        camkit.scenes.compose(pictures, 1)
    with pytest.raises(ValueError, match="one colour"):
        camkit.plots.embedding(None, np.zeros((4, 2)), LABELS, NAMES)
    with pytest.raises(ValueError, match="one label per image"):
        camkit.whole_object.superpixels(classifier, pictures)


def test_the_shell_tells_scores(made, pictures):
    from camkit._cli import _summary

    assert _summary(made, pictures) == (
        "of 3 classes, several a picture: mean average precision 83.3 %, micro F1 66.7 %, "
        "2 labels missed and 1 invented"
    )


@pytest.fixture(scope="module")
def clean():
    """Sixty images whose features are the sum of a direction for each of their labels, and noise.

    No label set is rare, so that each has neighbours.
    """
    random = np.random.default_rng(5)
    labels = np.tile(
        np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [0, 0, 0]], bool), (12, 1)
    )
    directions = np.linalg.qr(random.normal(size=(16, 16)))[0][:3]
    gap = 6 * labels @ directions + random.normal(size=(60, 16))
    return labels, gap.astype("float32")


def analysis_of(labels, gap, folder):
    """An analysis of pictures of noise with these labels and features."""
    paths = []
    for i in range(len(labels)):
        pixels = np.random.default_rng(i).integers(0, 256, (8, 12, 3), "uint8")
        paths.append(str(folder / f"{i:02d}.png"))
        Image.fromarray(pixels).save(paths[-1])
    zeros = np.zeros(labels.shape, "float32")
    maps = np.zeros((len(labels), 2, 2, 3), "float32")
    every = np.broadcast_to(np.arange(3), labels.shape)
    return camkit.Analysis(
        folder, gap, maps, zeros, zeros + 0.5, labels, zeros[0], paths, NAMES, every
    )


def test_wrong_labels_are_pairs_of_an_image_and_a_class(clean, tmp_path):
    labels, gap = clean
    spoilt = labels.copy()
    planted = [(0, 0), (7, 2), (16, 0)]
    for i, c in planted:
        spoilt[i, c] = ~spoilt[i, c]
    faults = camkit.data_faults(analysis_of(spoilt, gap, tmp_path))
    wrong = faults[faults["kind"] == "label"]
    numbers = [int(path[-6:-4]) for path in wrong["path"]]
    found = list(zip(numbers, wrong["reason"], strict=True))
    for i, c in planted:
        reasons = [reason for image, reason in found if image == i]
        assert any(NAMES[c] in reason for reason in reasons), (i, found)
        is_added = spoilt[i, c]
        assert any(("no label of the image" in reason) != is_added for reason in reasons)
    assert {i for i, _ in found} == {i for i, _ in planted}
    assert (wrong["score"] > 0.5).all()


def test_copies_under_other_label_sets(clean, tmp_path):
    labels, gap = clean
    gap = gap.copy()
    gap[1] = gap[0]
    analysis = analysis_of(labels, gap, tmp_path)
    (tmp_path / "01.png").write_bytes((tmp_path / "00.png").read_bytes())
    faults = camkit.data_faults(analysis)
    copies = faults[faults["kind"] == "copy"].set_index("path")
    assert list(copies["reason"].items()) == [(analysis.paths[1], "same image labelled Ant")]
    # Backgrounds are compared class by class, of images with one label.
    assert "background" not in set(faults["kind"])


def test_an_analysis_and_its_reference_have_labels_of_one_kind(clean, tmp_path):
    labels, gap = clean
    several = analysis_of(labels, gap, tmp_path)
    paths = [f"{path} of training" for path in several.paths]
    one_each = replace(several, labels=labels.argmax(axis=1), paths=paths)
    with pytest.raises(ValueError, match="labels of one kind"):
        camkit.data_faults(several, one_each)


def test_the_atlas_has_all_labels_of_a_picture(made):
    from camkit.atlas.record import Record

    index = Record(made, panels=["summary", "pairs"]).index()
    assert index["labels"] == [-1] * 4
    assert index["labelSets"][0] == {"true": [0, 2], "predicted": [0]}
    assert index["labelSets"][3] == {"true": [], "predicted": []}
    lines = index["summary"]["lines"]
    assert lines[0] == "micro F1 66.7 %"
    assert lines[1].startswith("2 labels are missed and 1 invented, in 3 of 4 pictures.")
    assert lines[2] == "A label is predicted if its probability is 0.5 or more."
    rows = {row["class"]: row for row in index["summary"]["classes"]}
    assert rows[2]["precision"] is None and rows[2]["averagePrecision"] == 0.5
    about = Record(made).detail(1)[0]["about"]
    assert about["sets"] == {"true": [1], "predicted": [0, 1]}


def test_the_atlas_tells_thresholds(made):
    from camkit.atlas.summary import summarize

    tuned = made.with_thresholds(made.best_thresholds())
    summary, _ = summarize(tuned, camkit.data_faults(tuned), {path: 0 for path in made.paths})
    assert summary["lines"][2] == (
        "Each label is predicted from its own threshold, between 0.25 and 0.725."
    )


def test_verdicts_name_all_labels(made, tmp_path):
    view = camkit.error_atlas(made, verdicts=tmp_path / "verdicts.csv", panels=["review"])
    entry = {"verdict": "other", "comment": "", "correctLabel": "", "reviewer": "Kim"}
    view._save([{"i": 0, "entry": entry, "seen": None}])
    row = pd.read_csv(tmp_path / "verdicts.csv").iloc[0]
    assert (row["true"], row["predicted"]) == ("Ant|Cat", "Ant")


def test_the_shell_writes_an_atlas_by_thresholds(pictures, model, tmp_path, capsys):
    from camkit._cli import main

    for name in ("test", "validation"):
        camkit.analyze(model, pictures, tmp_path / name)
    options = ["--validation", str(tmp_path / "validation"), "--out", str(tmp_path / "page")]
    assert main(["atlas", str(tmp_path / "test"), *options]) == 0
    assert "index.html" in capsys.readouterr().out
    data = (tmp_path / "page" / "data" / "index.js").read_text(encoding="ascii")
    assert "from its own threshold" in data and '"labelSets"' in data.replace(" ", "")


def test_images_with_rare_label_sets_are_no_twins(tmp_path):
    random = np.random.default_rng(0)
    labels = random.random((60, 3)) < 0.5
    labels[:7] = np.array(list(np.ndindex(2, 2, 2)))[1:] == 1
    # Images of two sets are as close as those of one.
    gap = random.normal(size=(60, 5)).astype("float32")
    faults = camkit.data_faults(analysis_of(labels, gap, tmp_path))
    assert "twin" not in set(faults["kind"])
