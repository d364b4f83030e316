"""What the lessons share: predictions, quizzes and checks of a reader's own answers."""

import numpy as np
import pytest
import workbook
from chromium import needs_chromium
from lesson_files import read_page
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


def test_images_of_any_size_are_stretched_to_one():
    wide = np.zeros((2, 4, 3), "uint8")
    wide[:, 2:] = 200
    square = workbook.stretched([wide, wide[:, :1]], 2)
    assert square.shape == (2, 2, 2, 3) and square.dtype == np.uint8
    assert not square[1].any() and square[0, 0, 0, 0] < 100 < square[0, 0, 1, 0]
