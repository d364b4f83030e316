"""Verdicts come back as data: a mended set with a log of what changed, and the agreement."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_analyses import LABELS, NAMES, image_set
from sklearn.metrics import cohen_kappa_score

import camkit


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    images = image_set(tmp_path_factory.mktemp("review"))
    return replace(images, metadata=pd.DataFrame({"n": np.arange(8), "label": list("abcdefgh")}))


# What the log says of a correct label beside another verdict.
ONLY = 'and a correct label counts with "label wrong" only'


def verdicts(images, rows, reviewer=""):
    """A table of verdicts: {number of an image: (verdict, correct label)}; "Bee" is predicted."""
    table = []
    for i, (verdict, label) in rows.items():
        row = {"path": str(images.paths[i]), "true": NAMES[images.labels[i]], "predicted": "Bee"}
        entered = {"verdict": verdict, "correct_label": label, "reviewer": reviewer}
        table.append(row | entered)
    return pd.DataFrame(table)


def test_the_removed_are_gone_and_the_relabelled_are_relabelled(images):
    rows = {
        0: ("label wrong", ""),
        1: ("label wrong", "Cat"),
        2: ("ambiguous", ""),
        3: ("background", "Cat"),
        5: ("not reviewed", ""),
        6: ("Label Wrong", "Dog"),
        7: ("remove", "Ant"),
    }
    applied = camkit.load_verdicts(verdicts(images, rows)).apply(images)
    log = applied.log.drop(columns="path").values.tolist()
    assert log == [
        ["relabelled", "Ant", "Bee", "label wrong: Bee"],
        ["relabelled", "Ant", "Cat", "label wrong: Cat"],
        ["removed", "Ant", "", "ambiguous"],
        ["unchanged", "Bee", "Bee", f"background, {ONLY}"],
        ["unchanged", "Cat", "Cat", "not reviewed"],
        ["relabelled", "Cat", "Dog", "label wrong: Dog"],
        ["removed", "Cat", "", "remove"],
    ]
    kept = [0, 1, 3, 4, 5, 6]
    assert applied.log["path"].tolist() == [str(images.paths[i]) for i in rows]
    assert applied.images.paths == [images.paths[i] for i in kept]
    assert applied.images.class_names == [*NAMES, "Dog"] and images.class_names == NAMES
    assert applied.images.labels.tolist() == [1, 2, 1, 1, 2, 3]
    assert images.labels.tolist() == LABELS.tolist()
    table = applied.table
    assert list(table.columns) == ["path", "label", "n", "metadata_label"]
    assert table["label"].tolist() == ["Bee", "Cat", "Bee", "Bee", "Cat", "Dog"]
    assert table["n"].tolist() == kept == applied.images.metadata["n"].tolist()
    again = camkit.load_images(table, split=None)
    assert again.paths == applied.images.paths
    assert [again.class_names[label] for label in again.labels] == table["label"].tolist()


def test_a_correct_label_without_a_verdict_changes_nothing_and_is_no_disagreement(images):
    withdrawn = verdicts(images, {0: ("not reviewed", "Cat"), 1: ("Not reviewed", "Cat")}, "Kim")
    lee = verdicts(images, {1: ("label wrong", "Bee")}, "Lee")
    applied = camkit.load_verdicts(withdrawn, lee).apply(images)
    assert applied.log["action"].tolist() == ["unchanged", "relabelled"]
    assert applied.images.labels.tolist() == [0, 1, *images.labels[2:]]


def test_several_labels_for_an_image_that_has_one_change_nothing_and_are_told(images):
    review = camkit.load_verdicts(verdicts(images, {0: ("label wrong", "Bee|Cat")}))
    applied = review.apply(images)
    assert applied.log[["action", "after", "why"]].values.tolist() == [
        ["unchanged", "Ant", "label wrong: Bee|Cat, but an image has one label here: enter one"]
    ]
    assert applied.images.class_names == NAMES
    # The name of a class may hold the separator.
    named = replace(images, class_names=["Ant", "Bee", "Bee|Cat"])
    assert review.apply(named).images.labels[0] == 2


def test_which_verdicts_remove_is_for_the_caller_to_say(images):
    review = camkit.load_verdicts(verdicts(images, {0: ("background", ""), 1: ("ambiguous", "")}))
    assert review.apply(images, remove=["background"]).images.paths == images.paths[1:]
    assert len(review.apply(images, remove=()).images) == 8


def test_nothing_is_changed_where_reviewers_decide_differently(images):
    kim = {0: ("label wrong", "Cat"), 1: ("label wrong", ""), 2: ("ambiguous", "")}
    lee = {0: ("other", ""), 1: ("label wrong", "Bee"), 2: ("not reviewed", "")}
    tables = [verdicts(images, kim, "Kim"), verdicts(images, lee, "Lee")]
    applied = camkit.load_verdicts(*tables).apply(images)
    assert applied.log["action"].tolist() == ["disagreement", "relabelled", "removed"]
    assert applied.log["why"][0] == "Kim: label wrong: Cat; Lee: other"
    assert applied.images.labels.tolist() == [0, 1, 1, 1, 2, 2, 2]


def test_a_label_that_was_changed_since_the_review_is_left_alone(images):
    review = camkit.load_verdicts(
        verdicts(images, {0: ("label wrong", "Cat"), 1: ("other", "Bee")})
    )
    labels = np.array([1, 1, *images.labels[2:]])
    applied = review.apply(replace(images, labels=labels))
    assert applied.log["action"].tolist() == ["unchanged", "unchanged"]
    whys = ["label wrong: Cat, but its label was Ant then", f"other, {ONLY}"]
    assert applied.log["why"].tolist() == whys
    assert applied.images.labels.tolist() == labels.tolist()


def test_paths_of_another_machine_are_found_by_their_ending(images, tmp_path):
    table = verdicts(images, {0: ("label wrong", ""), 3: ("ambiguous", "")})
    table["path"] = ["D:\\fruit\\Ant\\" + images.paths[0].name, "somewhere/else.png"]
    table.to_csv(tmp_path / "theirs.csv", index=False, sep=";", encoding="utf-8-sig")
    applied = camkit.load_verdicts(tmp_path / "theirs.csv").apply(images)
    assert applied.log["action"].tolist() == ["relabelled", "not found"]
    assert applied.log["path"].tolist() == [str(images.paths[0]), "somewhere/else.png"]
    assert "no image of the set, or several, have this path" in applied.log["why"][1]


def test_sets_of_labels_and_images_without_a_label(images):
    mask = np.eye(3, dtype=bool)[images.labels]
    table = verdicts(images, {0: ("label wrong", "Ant|Cat"), 1: ("label wrong", "Dog")})
    applied = camkit.load_verdicts(table).apply(replace(images, labels=mask))
    assert applied.images.labels[:3].astype(int).tolist() == [
        [1, 0, 1, 0],
        [0, 0, 0, 1],
        [1, 0, 0, 0],
    ]
    assert applied.table["label"].tolist()[:3] == ["Ant|Cat", "Dog", "Ant"]
    table["true"] = "no label"
    applied = camkit.load_verdicts(table).apply(images.unlabelled())
    assert applied.images.labels.tolist() == [-1, 0, *[-1] * 6]
    assert applied.images.class_names == ["Dog"]


def test_labels_are_taken_away_by_no_label(images):
    mask = np.eye(3, dtype=bool)[images.labels]
    rows = {0: ("label wrong", "no label"), 1: ("label wrong", "")}
    table = verdicts(images, rows).assign(predicted="")
    applied = camkit.load_verdicts(table).apply(replace(images, labels=mask))
    assert applied.log["action"].tolist() == ["relabelled", "unchanged"]
    assert "the model predicts none: enter a correct label" in applied.log["why"][1]
    assert applied.images.labels[:2].tolist() == [[False] * 3, [True, False, False]]
    assert applied.images.class_names == NAMES
    applied = camkit.load_verdicts(table).apply(images)
    assert applied.images.labels[:2].tolist() == [-1, 0]


def test_a_blank_cell_is_no_verdict(images):
    rows = {0: ("", ""), 1: (" ", ""), 2: ("other", "")}
    review = camkit.load_verdicts(verdicts(images, rows, "Kim"), verdicts(images, rows, "Lee"))
    assert review.agreement()["images"].tolist() == [1]
    assert review.apply(images).log["why"].tolist()[:2] == ["not reviewed"] * 2
    assert review.tags([str(images.paths[0])]) == [[]]


def test_two_wrong_labels_agree_if_the_correct_ones_do(images):
    kim = {0: ("label wrong", "Cat"), 1: ("label wrong", "Bee")}
    lee = {0: ("label wrong", "Dog"), 1: ("label wrong", "")}
    review = camkit.load_verdicts(verdicts(images, kim, "Kim"), verdicts(images, lee, "Lee"))
    assert review.agreement()["same"].tolist() == [0.5]
    [[_, *stated]] = review.disagreements().values.tolist()
    assert stated == ["label wrong: Cat", "label wrong: Dog"]
    why = "Kim: label wrong: Cat; Lee: label wrong: Dog"
    assert review.apply(images).log["why"][0] == why


def test_verdicts_on_classes_with_other_names_are_refused(images):
    table = verdicts(images, {0: ("label wrong", "")}).assign(true="n0123")
    with pytest.raises(ValueError, match=r"on classes \['n0123'\], of which the image set has non"):
        camkit.load_verdicts(table).apply(images)


def test_the_agreement_of_reviewers(images):
    draw = np.random.default_rng(0)
    words = ["ambiguous", "background", "other"]
    kim = draw.choice(words, 8)
    lee = np.where(draw.random(8) < 0.5, kim, draw.choice(words, 8))
    tables = [
        verdicts(images, {i: (verdict, "") for i, verdict in enumerate(given)}, name)
        for given, name in ((kim, "Kim"), (lee, "Lee"))
    ]
    # What one has not reviewed does not count.
    tables[1].loc[7, "verdict"] = "not reviewed"
    review = camkit.load_verdicts(*tables)
    [[first, second, count, same, kappa]] = review.agreement().values.tolist()
    assert (first, second, count) == ("Kim", "Lee", 7)
    assert same == np.mean(kim[:7] == lee[:7])
    assert kappa == pytest.approx(cohen_kappa_score(kim[:7], lee[:7]))
    differ = np.flatnonzero(kim[:7] != lee[:7])
    assert sorted(review.disagreements()["path"]) == sorted(str(images.paths[i]) for i in differ)
    assert repr(review) == "Review(16 verdicts on 8 images by Kim, Lee)"


def test_files_without_reviewers_are_those_of_their_names(images, tmp_path):
    for name, verdict in (("anna", "other"), ("ben", "ambiguous")):
        table = verdicts(images, {0: (verdict, ""), 1: ("other", "")}).drop(columns="reviewer")
        # Ben's machine has the pictures elsewhere.
        table["path"] = table["path"].map(
            lambda path, n=name: f"/{n}/{'/'.join(Path(path).parts[-2:])}"
        )
        table.to_csv(tmp_path / f"{name}.csv", index=False)
    review = camkit.load_verdicts(tmp_path / "anna.csv", tmp_path / "ben.csv")
    assert review.agreement()[["first", "second", "images", "same"]].values.tolist() == [
        ["anna", "ben", 2, 0.5]
    ]
    other = review.table.assign(verdict="other")
    assert np.isnan(camkit.load_verdicts(other).agreement()["kappa"][0])
    with pytest.raises(TypeError, match="no verdicts to load"):
        camkit.load_verdicts()


def named(images):
    """The label and the split of each file."""
    names = [images.class_names[label] for label in images.labels]
    return dict(zip(images.paths, zip(names, images.splits, strict=True), strict=True))


def test_a_mended_set_that_is_copied_is_loaded_with_the_new_labels(tmp_path):
    images = camkit.load_images("mini", None, classes=["Lemon", "Lime"], per_class=3)
    corrected = {0: "Lime", 1: "Quince"}
    table = pd.DataFrame(
        {
            "path": [str(images.paths[i]) for i in corrected],
            "true": "Lemon",
            "predicted": "Lime",
            "verdict": "label wrong",
            "correct_label": list(corrected.values()),
        }
    )
    mended = camkit.load_verdicts(table).apply(images).images
    copied = mended.copy_to(tmp_path / "mended")
    assert mended.copy_to(tmp_path / "mended").paths == copied.paths
    loaded = camkit.load_images(tmp_path / "mended", None)
    assert loaded.class_names == ["Lemon", "Lime", "Quince"] and not loaded.skipped
    assert named(loaded) == named(copied)
    assert [name for name, _ in named(copied).values()] == [
        name for name, _ in named(mended).values()
    ]
    assert copied.splits == mended.splits
    assert copied.paths[1].parent.name == "Quince"
    with pytest.raises(ValueError, match="not those of the folders in .*: choose a new folder"):
        mended.copy_to(images.root)


@pytest.mark.parametrize("word", ["nonsense", "labelwrong"])
def test_a_misspelt_verdict_is_refused_with_those_there_are(images, tmp_path, word):
    table = verdicts(images, {0: ("other", ""), 3: (word, ""), 4: (word, "")}, "Kim")
    path = images.paths[3]
    expected = f"has the verdict '{word}' on {path} by Kim .1 more like it.: write one of not revi"
    with pytest.raises(ValueError, match=f"the table {expected}"):
        camkit.load_verdicts(table)
    file = tmp_path / "kim.csv"
    table.to_csv(file, sep=";", index=False)
    with pytest.raises(ValueError, match=f"{file} {expected}"):
        camkit.load_verdicts(file)
