"""What the lessons share: predictions, quizzes and checks of a reader's own answers."""

import numpy as np
import pytest
import workbook
from chromium import needs_chromium
from lesson_files import read_page
from PIL import Image
from sklearn.linear_model import LogisticRegression

import camkit


@pytest.fixture
def shown(monkeypatch):
    """The cards that were displayed, as (HTML, text)."""
    cards = []
    monkeypatch.setattr(
        workbook,
        "display",
        lambda bundle, raw: cards.append((bundle["text/html"], bundle["text/plain"])),
    )
    return cards


def test_fruits_are_told_apart_by_class_and_turn():
    test = camkit.load_images("mini", "Test", classes=["Lemon", "Lime"])
    fruits = workbook.fruits_of(test)
    assert len(fruits) == len(test) == 40
    assert sorted(set(fruits)) == [
        f"{name} r{turn}" for name in test.class_names for turn in range(4)
    ]


def test_file_names_tell_turns_and_frames(tmp_path):
    (tmp_path / "Lime").mkdir()
    image = Image.fromarray(np.zeros((32, 32, 3), np.uint8))
    for name in ("r0_48_100.jpg", "r_7_100.jpg", "12_100.jpg", "photo.jpg"):
        image.save(tmp_path / "Lime" / name)
    images = camkit.load_images(tmp_path, split=None)
    turns, frames = workbook.turns_of(images)
    read = {path.name: pair for path, *pair in zip(images.paths, turns, frames, strict=True)}
    assert read["r0_48_100.jpg"] == ["r0", "48"] and read["r_7_100.jpg"] == ["r", "7"]
    assert read["12_100.jpg"] == ["", "12"] and read["photo.jpg"] == ["", "photo"]


def test_a_dozen_classes_lie_evenly_among_all(tmp_path):
    image = Image.fromarray(np.zeros((32, 32, 3), np.uint8))
    for split in ("Training", "Test"):
        for c in range(25):
            (tmp_path / split / f"class {c:02}").mkdir(parents=True)
            image.save(tmp_path / split / f"class {c:02}" / "0_100.jpg")
    train, test = workbook.dozen(str(tmp_path))
    assert train.class_names == test.class_names == [f"class {c:02}" for c in range(0, 25, 2)]
    assert len(train) == len(test) == 13
    train, test = workbook.dozen("mini")
    assert len(train.class_names) == 12 and len(train) == 12 * 40 and len(test) == 12 * 20


def test_a_prediction_lists_its_options(shown):
    prediction = workbook.predict("Is 1 < 2?", ["yes", "no"])
    (card, text) = shown[0]
    soup, fetched = read_page(card)
    assert soup.legend.text == "Is 1 < 2?" == prediction.question and not fetched
    assert [choice["value"] for choice in soup.select("input[type=radio]")] == ["yes", "no"]
    assert text == "Is 1 < 2?\n( ) yes\n( ) no"


def test_answers_are_among_the_options(shown):
    prediction = workbook.predict("Is 1 < 2?", ["yes", "no"])
    with pytest.raises(ValueError, match="'perhaps' is not among the answers to 'Is 1 < 2\\?'"):
        workbook.score({prediction: "perhaps"})
    with pytest.raises(ValueError, match="'c' is not among the answers \\['a', 'b'\\]"):
        workbook.quiz("Which?", {"a": "No.", "b": "Yes."}, right="c")


def test_each_answer_of_a_quiz_opens_its_reply(shown):
    workbook.quiz("Which?", {"a": "No.", "b": "Yes."}, right="b")
    soup, _ = read_page(shown[0][0])
    replies = {each.summary.text: each.div.text for each in soup.select("details")}
    assert replies == {"a": "✗ No.", "b": "✓ Yes."}


@pytest.mark.parametrize("answer", [..., None])
def test_an_exercise_that_is_not_done_is_no_error(answer, capsys):
    workbook.check(answer, 2)
    assert capsys.readouterr().out.startswith("○ Not answered yet")


def test_a_check_names_the_mistake(capsys):
    right = np.array([1.0, 2.0])
    workbook.check(right + 1e-9, right, {"That is the sum.": 3})
    workbook.check(3, right, {"That is the sum.": 3})
    workbook.check(right * 2, right)
    workbook.check(92.5, 0.925)
    lines = capsys.readouterr().out.splitlines()
    assert "✗ This is 100 times what is right: give a share, not a percentage." in lines
    assert lines[:2] == ["✓ Right.", "✗ That is the sum."]
    assert any("2 of 2 values differ" in line for line in lines)


@needs_chromium
def test_a_prediction_is_kept_and_compared(shown, browser, tmp_path):
    page = browser.new_page()
    first = workbook.predict("Is 1 < 2?", ["yes", "no"])
    second = workbook.predict("Is 2 < 1?", ["yes", "no"])
    workbook.score({first: "yes", second: "no"})
    workbook.quiz("Which?", {"a": "No.", "b": "Yes."}, right="b")
    file = tmp_path / "page.html"
    file.write_text("<meta charset=utf-8>" + "".join(card for card, _ in shown), encoding="utf-8")
    page.goto(file.as_uri())
    assert page.locator("table").inner_text().count("–") == 2
    page.get_by_role("group", name="Is 1 < 2?").get_by_label("yes").check()
    page.get_by_role("group", name="Is 2 < 1?").get_by_label("yes").check()
    page.reload()
    assert page.get_by_text("Of 2 predictions, 1 came true.").is_visible()
    rows = page.locator("tbody tr").all_inner_texts()
    assert [row.split("\t")[2] for row in rows] == ["✓ yes", "✗ yes"]
    assert page.get_by_role("group", name="Is 1 < 2?").get_by_label("yes").is_checked()
    page.get_by_text("b", exact=True).click()
    assert page.get_by_text("✓ Yes.").is_visible() and page.get_by_text("✗ No.").is_hidden()


@pytest.mark.parametrize("classes", [2, 3])
def test_a_fitted_head_has_a_column_for_each_class_and_learns(classes):
    rng = np.random.default_rng(0)
    labels = np.arange(60) % classes
    pooled = rng.normal(size=(60, 4)) + 4 * np.eye(4)[labels]
    kernel, bias = workbook.fit_head(pooled, labels)
    assert kernel.shape == (4, classes) and bias.shape == (classes,)
    assert ((pooled @ kernel + bias).argmax(axis=1) == labels).all()


def test_the_head_of_two_classes_has_the_odds_of_the_machine():
    rng = np.random.default_rng(0)
    pooled = rng.normal(size=(40, 3))
    labels = pooled[:, 0] > 0
    machine = LogisticRegression()
    kernel, bias = workbook.fit_head(pooled, labels, machine)
    scale = pooled.std(axis=0) + pooled.std(axis=0).mean()
    odds = machine.decision_function((pooled - pooled.mean(axis=0)) / scale)
    scores = pooled @ kernel + bias
    np.testing.assert_allclose(scores[:, 1] - scores[:, 0], odds)


def test_resamples_are_means_of_what_chance_draws():
    weights = workbook.resamples(50)
    assert weights.shape == (1001, 50) and (weights >= 0).all()
    np.testing.assert_allclose(weights.sum(axis=1), 1)
    np.testing.assert_array_equal(weights[0], 1 / 50)
    values = np.random.default_rng(1).normal(size=50)
    spread = (weights[1:] @ values).std()
    assert 0.9 < spread / (values.std() / np.sqrt(50)) < 1.1


def test_intervals_are_written_without_leading_zeros():
    assert workbook.as_text(camkit.Interval(0.254, -0.004, 1.0)) == ".25 (.00 to 1.00)"
    draws = np.concatenate([[0.5], np.linspace(-0.4, 0.6, 1000)])
    assert workbook.as_text(draws, "{:+.2f} ({:+.2f} to {:+.2f})") == "+.50 (−.38 to +.57)"
    values = np.array([0.0, 1.0, 1.0, 1.0])
    assert workbook.mean_as_text(values) == workbook.as_text(camkit.interval(values))


def test_a_head_is_right_where_the_true_class_has_the_highest_score():
    head = (np.array([[1.0, -1.0], [0.0, 2.0]]), np.array([0.0, 0.5]))
    # The scores are (1, −0.5), (0, 2.5) and (3, −0.5).
    pooled = np.array([[1.0, 0.0], [0.0, 1.0], [3.0, 1.0]])
    assert workbook.right(head, pooled, np.array([0, 0, 0])).tolist() == [1, 0, 1]
    assert workbook.right(head, pooled, 1).tolist() == [0, 1, 0]


def test_what_is_unlike_the_rim_stands_out():
    image = np.full((40, 40, 3), 200, np.uint8)
    assert np.allclose(workbook.unlike_rim(image), 0, atol=1e-6)
    image[15:25, 15:25] = (200, 30, 30)
    heat = workbook.unlike_rim(image)
    assert heat.shape == (40, 40) and heat[20, 20] > 50 and heat[2, 2] < 1e-3


def test_features_are_those_of_stretched_images():
    backbone = camkit.backbone("mini", weights=None)
    images = [np.full((50, 70, 3), value, np.uint8) for value in (0, 128, 255)]
    found = workbook.features(backbone, images)
    square = workbook.stretched(images, backbone.input_shape[1])
    assert found.shape[0] == 3 and np.allclose(found, backbone.predict(square, verbose=0))


def test_images_of_any_size_are_stretched_to_one():
    wide = np.zeros((2, 4, 3), "uint8")
    wide[:, 2:] = 200
    square = workbook.stretched([wide, wide[:, :1]], 2)
    assert square.shape == (2, 2, 2, 3) and square.dtype == np.uint8
    assert not square[1].any() and square[0, 0, 0, 0] < 100 < square[0, 0, 1, 0]
