"""Two analyses of the same images: which are mended and broken, what chance explains, where the
evidence moved.
"""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_analyses import LABELS, NAMES, PREDICTED, analysis_of, image_set
from PIL import Image
from scipy.special import comb
from scipy.stats import norm, ttest_rel
from sklearn.metrics import accuracy_score, precision_score, recall_score

import camkit
from camkit.analysis.compare import CHANGES, _interval, _mcnemar

# Of the five errors of PREDICTED, images 1 and 6 are mended, 2 and 7 stay, 4 gets another answer;
# image 5 is broken.
AFTER = np.array([0, 0, 1, 1, 2, 0, 2, 1])


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return image_set(tmp_path_factory.mktemp("pets"))


@pytest.fixture(scope="module")
def before(images):
    return analysis_of(images, step=0.1)


@pytest.fixture(scope="module")
def after(images):
    return analysis_of(images, AFTER, step=0.1)


@pytest.fixture(scope="module")
def comparison(before, after):
    return camkit.compare(before, after)


def test_changes_by_hand(comparison):
    assert comparison.table["change"].tolist() == [
        "both right",
        "mended",
        "both wrong, same answer",
        "both right",
        "both wrong, changed answer",
        "broken",
        "mended",
        "both wrong, same answer",
    ]
    assert comparison.counts.to_dict() == dict(zip(CHANGES, [2, 2, 1, 2, 1, 0, 0], strict=True))
    row = comparison.table.iloc[4]
    assert (row["true"], row["before"], row["after"]) == ("Bee", "Ant", "Cat")
    assert comparison.only_before == comparison.only_after == comparison.notes == []


def test_probabilities_are_those_of_the_true_class(comparison, before, after):
    rows = np.arange(8)
    np.testing.assert_array_equal(comparison.table["p_before"], before.probs[rows, LABELS])
    np.testing.assert_array_equal(comparison.table["p_after"], after.probs[rows, LABELS])


def test_accuracy_is_that_of_scikit_learn(comparison):
    accuracy = comparison.accuracy
    assert accuracy["before"] == accuracy_score(LABELS, PREDICTED)
    assert accuracy["after"] == accuracy_score(LABELS, AFTER)
    assert accuracy["difference"] == pytest.approx(accuracy["after"] - accuracy["before"])
    # Of three changed images two are mended: a fair coin does that or better, or worse, always.
    assert accuracy["p"] == 1


def test_classes_are_scored_as_scikit_learn_does(comparison):
    table = comparison.per_class.loc[NAMES]
    for side, answers in (("before", PREDICTED), ("after", AFTER)):
        recall = recall_score(LABELS, answers, average=None)
        precision = precision_score(LABELS, answers, average=None)
        np.testing.assert_allclose(table[f"recall_{side}"], recall)
        np.testing.assert_allclose(table[f"precision_{side}"], precision)
    assert table["support"].tolist() == [3, 2, 3]
    assert table["mended"].tolist() == [1, 0, 1] and table["broken"].tolist() == [0, 0, 1]


# By statsmodels.stats.contingency_tables.mcnemar 0.15.0, exact=True, and with exact=False and the
# correction for continuity.
PUBLISHED = [
    (15, 5, 0.04138946533203125, 0.04417134490844271),
    (3, 9, 0.14599609375, 0.14891467317876161),
    (0, 7, 0.015625, 0.02334220201289086),
    (40, 20, 0.01348929373119186, 0.014171388254012323),
    (150, 86, 3.7159361395713866e-05, 4.114562281345944e-05),
]


@pytest.mark.parametrize(("mended", "broken", "exact", "corrected"), PUBLISHED)
def test_mcnemars_test_is_that_of_statsmodels(mended, broken, exact, corrected):
    assert _mcnemar(mended, broken) == _mcnemar(broken, mended) == pytest.approx(exact, rel=1e-12)
    # The approximation by chi square with the correction is near to it where enough have changed.
    if mended + broken >= 12:
        assert corrected == pytest.approx(exact, rel=0.12)


def test_nothing_changed_is_no_evidence():
    assert _mcnemar(0, 0) == 1
    low, high = _interval(0, 0, 100)
    assert low == -high < 0


def test_interval_by_hand():
    """150 and 86 of 1600 changed their minds: one more of each, of 1602."""
    difference = 64 / 1602
    deviation = np.sqrt((238 / 1602 - difference**2) / 1602)
    expected = difference + norm.ppf(0.975) * deviation * np.array([-1, 1])
    np.testing.assert_allclose(_interval(150, 86, 1600), expected, rtol=1e-6)
    low, high = _interval(1, 0, 1)
    assert high == 1 and -1 <= low < 0


@pytest.mark.parametrize(("p_mended", "p_broken"), [(0.1, 0.1), (0.2, 0.05), (0.02, 0.3), (0, 0.2)])
def test_the_interval_covers_the_difference_in_95_percent(p_mended, p_broken):
    """By the probabilities of all outcomes for 40 images."""
    n = 40
    covered = 0.0
    for mended in range(n + 1):
        for broken in range(n + 1 - mended):
            ways = comb(n, mended) * comb(n - mended, broken)
            rest = (1 - p_mended - p_broken) ** (n - mended - broken)
            low, high = _interval(mended, broken, n)
            if low <= p_mended - p_broken <= high:
                covered += ways * p_mended**mended * p_broken**broken * rest
    assert covered > 0.94


def test_images_are_found_by_content_wherever_they_lie(images, before, tmp_path):
    """In another order, in other folders, under other names; what is in one alone is listed."""
    names = {}
    for i, path in enumerate(images.paths[1:], 1):
        target = tmp_path / NAMES[LABELS[i]] / f"{9 - i}.png"
        target.parent.mkdir(exist_ok=True)
        shutil.copy(path, target)
        names[str(target)] = i
    Image.new("RGB", (30, 20)).save(tmp_path / "Ant" / "new.png")
    moved = camkit.load_images(tmp_path, None)
    rows = [names.get(str(path), 0) for path in moved.paths]
    comparison = camkit.compare(before, analysis_of(moved, AFTER[rows], step=0.1))
    assert comparison.only_before == [str(images.paths[0])]
    assert comparison.only_after == [str(tmp_path / "Ant" / "new.png")]
    assert comparison.notes == ["Left out: 1 picture of before alone and 1 picture of after alone."]
    assert [names[path] for path in comparison.table["path"]] == comparison.table[
        "before_row"
    ].tolist()
    assert comparison.counts.tolist() == [1, 2, 1, 2, 1, 0, 0]
    assert comparison.table["path"].tolist() == [
        moved.paths[i].as_posix() for i in comparison.table.index
    ]


def test_copies_are_matched_by_their_folder_and_name(images, tmp_path):
    """One picture under two labels: each label meets itself, in any order."""
    for name in NAMES[:2]:
        (tmp_path / name).mkdir()
        shutil.copy(images.paths[0], tmp_path / name / "copy.png")
    twice = camkit.load_images(tmp_path, None)
    both = analysis_of(twice, np.array([0, 0]), names=NAMES[:2])
    comparison = camkit.compare(both, both.select([1, 0]))
    assert comparison.table["before_row"].tolist() == [1, 0]
    # Of one copy alone, the image is found all the same, and the other label is told.
    note = camkit.compare(both.select([0]), both.select([1])).notes[0]
    assert note == "1 picture with another label in each: both are judged by that of after."


def test_classes_go_by_name_and_a_class_that_one_lacks_is_told(images, before):
    """The model before has no Cat and Bee first; Ant and Bee are compared as ever."""
    has_label = LABELS < 2
    old = analysis_of(images, np.where(PREDICTED == 0, 1, 0), names=["Bee", "Ant"], step=0.1)
    old.labels = np.where(has_label, 1 - LABELS, -1)
    comparison = camkit.compare(old, before)
    assert comparison.class_names == NAMES
    table = comparison.table
    assert table.loc[table["true"] != "Cat", "change"].isin(CHANGES[:1] + CHANGES[3:4]).all()
    assert table.loc[table["true"] == "Cat", "p_before"].isna().all()
    assert comparison.notes == ["The model of before knows no Cat, and so errs on 3 pictures."]
    assert np.isnan(comparison.shares_on_object(np.ones((8, 4, 4), bool))["before"][5])
    reverse = camkit.compare(before, old)
    assert reverse.class_names == ["Bee", "Ant", "Cat"]
    assert reverse.table["true"].tolist() == [NAMES[label] for label in LABELS]


def test_labels_of_after_judge_both(before, after):
    relabelled = replace(after, labels=np.where(np.arange(8) == 2, 1, LABELS))
    comparison = camkit.compare(before, relabelled)
    assert comparison.table["change"][2] == "both right"
    assert comparison.notes == [
        "1 picture with another label in each: both are judged by that of after."
    ]


def test_images_without_labels_have_answers_only(before, after):
    unlabelled = np.full(8, -1)
    comparison = camkit.compare(
        replace(before, labels=unlabelled), replace(after, labels=unlabelled)
    )
    assert comparison.counts.tolist() == [0, 0, 0, 0, 0, 4, 4]
    assert comparison.table["true"].isna().all() and comparison.accuracy[1:].isna().all()
    assert "only the answers are compared" in repr(comparison)


def test_label_sets_are_compared_image_by_image(images, before, after):
    """An image is right if all labels are; the table counts those that are not."""
    labels = np.eye(3, dtype=bool)[LABELS]
    labels[0] = [True, True, False]
    labels[3] = False
    probs = [np.eye(3)[predicted] for predicted in (PREDICTED, AFTER)]
    probs[1][0] = [0.9, 0.9, 0]
    probs[1][3] = 0
    sides = [
        replace(side, labels=labels, probs=prob, is_multi_label=True)
        for side, prob in zip((before, after), probs, strict=True)
    ]
    comparison = camkit.compare(*sides)
    table = comparison.table
    assert table["change"][0] == table["change"][3] == "mended"
    assert table["true"][0] == table["after"][0] == "Ant|Bee" and table["after"][3] == ""
    assert table["wrong_before"].tolist() == [1, 2, 2, 1, 2, 0, 2, 2]
    assert table["wrong_after"].tolist() == [0, 0, 2, 0, 2, 2, 0, 2]
    assert comparison.counts["mended"] == 4
    assert comparison.per_class.loc["Bee", "mended"] == 1
    assert "with all labels correct" in repr(comparison)
    with pytest.raises(ValueError, match="several labels in after and one label each in the other"):
        camkit.compare(before, sides[1])


def test_what_cannot_be_compared_is_refused(before, images, tmp_path):
    other = analysis_of(image_set(tmp_path, labels=LABELS[::-1]), step=0.1)
    for path in other.paths:
        Image.new("RGB", (9, 9), (len(path), 0, 0)).save(path)
    with pytest.raises(ValueError, match="no image is in both analyses, such as .* of before and"):
        camkit.compare(before, other)
    with pytest.raises(ValueError, match="no class in common, before has Ant, Bee, Cat and after"):
        camkit.compare(before, replace(before, class_names=["x", "y", "z"]))
    with pytest.raises(TypeError, match=r"after must be an analysis, not 'b': pass camkit.load_an"):
        camkit.compare(before, "b")


def test_the_remedy_for_other_class_names_holds(tmp_path):
    """The same images in folders of other names are compared once these are the same, too."""
    names = ["Lemon", "Lime"]
    images = camkit.load_images("mini", "Test", per_class=1, classes=names)
    for name, path in zip(images.class_names, images.paths, strict=True):
        for folder in (tmp_path / "other" / f"{name} 1", tmp_path / "same" / name):
            folder.mkdir(parents=True)
            shutil.copy(path, folder)
    model = camkit.gap_classifier(camkit.backbone("mini"), names)

    def analysed(folder, class_names):
        return camkit.analyze(model, camkit.load_images(folder), class_names=class_names)

    before = analysed(tmp_path / "same", names)
    after = analysed(tmp_path / "other", ["Lemon 1", "Lime 1"])
    with pytest.raises(
        ValueError, match="analyse both with the same class_names=..., on images in"
    ):
        camkit.compare(before, after)
    assert len(camkit.compare(before, analysed(tmp_path / "same", names))) == 2


def test_in_words(comparison):
    assert repr(comparison).splitlines() == [
        "Comparison of 8 pictures",
        "37.5 % correct before, 50.0 % after: +12.5 points (95 % interval −33.4 to +53.4).",
        "2 mended, 1 broken: chance alone divides them at least so unequally with p = 1.000 "
        "(McNemar's exact test).",
        "2 both right; 2 mended; 1 broken; 2 both wrong, same answer; 1 both wrong, changed "
        "answer.",
    ]
    assert json.dumps(comparison.table.to_dict("records"), default=str)


def test_a_loss_has_a_minus(before, after):
    assert ": −12.5 points (95 % interval −53.4 to +33.4)." in repr(camkit.compare(after, before))


def test_files_that_must_be_read_are_told_if_they_are_missing(before, tmp_path):
    moved = analysis_of(image_set(tmp_path))
    Path(moved.paths[3]).unlink()
    with pytest.raises(FileNotFoundError, match=r"1 of 8 images is missing, such as .*3\.png: put"):
        camkit.compare(before, moved)


def test_in_words_when_nothing_changed_or_one_side_has_more(before):
    same = camkit.compare(before, before)
    assert same.sentences[1:] == ["No answer changed from right to wrong or back."]
    some = before.select([0, 1, 2])
    assert camkit.compare(before, some).notes == ["Left out: 5 pictures of before alone."]


# Where the evidence lies --------------------------------------------------------------------------


def with_maps(analysis, maps):
    return replace(analysis, maps=np.broadcast_to(maps[..., None], (8, 2, 4, 3)))


def test_the_share_on_the_object_by_hand(before, after):
    """On the object are two cells with an evidence of 1, and half of one with 2."""
    maps = np.array([[1, 1, 2, -9], [0, 0, 0, 4]], dtype="float32")
    mask = np.zeros((4, 8), bool)
    mask[:2, :5] = True
    comparison = camkit.compare(
        with_maps(before, np.array([maps] * 8)), with_maps(after, np.array([-maps] * 8))
    )
    shares = comparison.shares_on_object([mask] * 8)
    np.testing.assert_allclose(shares["before"], (1 + 1 + 2 / 2) / 8)
    # Reversed, the only evidence is outside.
    np.testing.assert_allclose(shares["after"], 0)
    moved = comparison.evidence([mask] * 8).loc["all images"]
    assert moved["images"] == 8 and moved["difference"] == moved["low"] == -0.375
    with pytest.raises(ValueError, match="there are 7 masks and 8 images: pass one each"):
        comparison.evidence([mask] * 7)


def test_the_interval_of_the_evidence_is_that_of_paired_samples(comparison):
    masks = np.random.default_rng(0).random((8, 20, 30)) < 0.5
    shares = comparison.shares_on_object(masks)
    table = comparison.evidence(masks)
    interval = ttest_rel(shares["after"], shares["before"]).confidence_interval()
    np.testing.assert_allclose(table.loc["all images", ["low", "high"]].astype(float), interval)
    assert table["images"].tolist() == [8, 2, 2, 1, 2, 1]
    # A single image has no interval.
    assert np.isnan(table.loc["broken", "low"])


def test_objects_on_white_are_found():
    images = camkit.load_images("mini", "Test", per_class=1)
    analysis = analysis_of(images, np.arange(12), names=images.class_names)
    blind = replace(analysis, maps=np.ones_like(analysis.maps))
    shares = camkit.compare(blind, blind).shares_on_object()
    # A map that is the same everywhere has the share of the area.
    areas = [camkit.scenes.foreground(image).mean() for image in images]
    np.testing.assert_allclose(shares["before"], areas, atol=0.03)


def test_images_that_are_not_on_white_have_no_share(comparison, tmp_path):
    with pytest.raises(ValueError, match=r"these are no images of an object .* as .*0.png: pass"):
        comparison.evidence()
    images = camkit.load_images("mini", "Test", per_class=1, classes=["Lemon", "Lime", "Plum"])
    for i, path in enumerate(images.paths):
        (tmp_path / str(i)).mkdir()
        shutil.copy(path, tmp_path / str(i) / "a.png")
    Image.new("RGB", (100, 100), "green").save(tmp_path / "1" / "a.png")
    analysis = analysis_of(camkit.load_images(tmp_path), np.arange(3), names=["0", "1", "2"])
    compared = camkit.compare(analysis, analysis)
    with pytest.warns(UserWarning, match=r"1 of 3 images are no images of an .* as .*1.a.png, and"):
        shares = compared.shares_on_object()
    assert shares["before"].isna().tolist() == [False, True, False]


def test_stored_digests_are_those_of_what_was_analysed(images, tmp_path):
    """Images that are gone are matched, also of a selection."""
    import keras

    entry = keras.Input((20, 20, 3))
    pooled = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 10, strides=10)(entry))
    model = keras.Model(entry, keras.layers.Dense(3)(pooled))
    camkit.analyze(model, images.copy_to(tmp_path / "images"), tmp_path / "before")
    after = camkit.analyze(model, images)
    shutil.rmtree(tmp_path / "images")
    before = camkit.load_analysis(tmp_path / "before").select([5, 3])
    comparison = camkit.compare(before, after)
    assert comparison.table.index.tolist() == [3, 5]
    assert comparison.table["before_row"].tolist() == [1, 0]
    assert len(comparison.only_after) == 6
