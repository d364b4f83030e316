"""The table of answers that are alike: what counts, what does not, and what chance makes."""

from itertools import combinations

import nbformat
import numpy as np
import pytest
from course import similarity, tables, year
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from test_course import marked, table

RELEASED = """
def shade(maps, low, high):
    raise NotImplementedError  # your code in place of this line
"""
LOOP = """
def shade(maps, low, high):
    result = []
    for one in maps.reshape(-1):
        share = (one - low) / (high - low)
        result.append(min(1, max(0, share)))
    return np.array(result).reshape(maps.shape)
"""
# Another's names, layout, comments and docstring.
RENAMED = '''
def shade(maps, low, high):
    """My own work."""
    out = [ ]
    for v in maps.reshape( -1 ):   # every value

        t = (v - low) / (high - low)
        out.append(min(1, max(0, t)))
    return np.array(out).reshape(maps.shape)
'''
CLIP = """
def shade(maps, low, high):
    return np.clip((maps - low) / (high - low), 0, 1)
"""


def notebook(code, text="*Your answer here.*", own=""):
    cells = [
        marked(new_code_cell(code, id="shade"), solution=True),
        new_markdown_cell("Which step of the colleague threw away what, and why?", id="question"),
        marked(new_markdown_cell(text, id="answer"), solution=True),
    ]
    return new_notebook(cells=[*cells, new_code_cell(own)] if own else cells)


def test_names_layout_and_comments_do_not_count_and_what_is_computed_does():
    loop, renamed, clip = (
        similarity.fingerprints(new_code_cell(source)) for source in (LOOP, RENAMED, CLIP)
    )
    assert loop == renamed
    assert len(loop & clip) < len(clip) / 2
    broken = similarity.code_tokens("def f(x:\n  return x.sum(")
    assert broken == ["def", "name", "(", "name", ":", "return", "name", ".", "sum", "("]


def test_what_was_handed_out_does_not_count():
    released = notebook(RELEASED)
    assert similarity.answers(released, released) == {}
    quoted = "Which step of the colleague threw away what, and why? The ReLU."
    answers = similarity.answers(notebook(LOOP, quoted), released)
    assert set(answers) == {"shade", "answer"}
    assert ("def", "name", "(", "name", ",") not in answers["shade"]
    assert answers["answer"] == {
        ("what", "and", "why", "the", "relu"),
        ("away", "what", "and", "why", "the"),
    }
    helper = similarity.answers(notebook(RELEASED, own="def helper(x): return x + 1"), released)
    assert set(helper) == {similarity.OWN_CELLS}


def letters(text):
    return frozenset((letter,) for letter in text)


def test_a_fingerprint_weighs_the_more_the_fewer_have_it():
    prints = [letters("abc"), letters("abc"), letters("abd"), letters("ae")]
    shares, rarity = similarity.compare(prints)
    # a weighs 0, b log2(4 / 3) = 0.415, c 1, d and e 2.
    assert similarity.common_weights(prints)[0, 1] == pytest.approx(1.415, abs=1e-3)
    assert shares[0, 1] == 1
    assert shares[0, 2] == pytest.approx(0.415 / (1.415 + 2.415 - 0.415), abs=1e-3)
    assert shares[0, 3] == 0
    # One of the six pairs has as much in common as the first two; the others are not alike.
    assert rarity[0, 1] == rarity[1, 0] == pytest.approx(2.585, abs=1e-3)
    assert (rarity > 0).sum() == 2


def class_of(students, *steps):
    """A class; each step is a list of {groups of students that wrote the same}, others differ."""
    answers = {student: {} for student in students}
    for number, groups in enumerate(steps):
        for student in students:
            (group,) = [group for group in groups if student in group] or [student]
            answers[student][f"step{number}"] = frozenset(
                (group, str(k)) for k in range(6)
            ) | letters("xyz")
    return answers


CLASS = "abcdefghijkl"


def test_two_who_write_alike_in_several_steps_are_listed_with_what_is_alike():
    pairs = similarity.find_pairs(class_of(CLASS, ["ab"], ["ab", "cd"], ["ab", "ef"]))
    assert (pairs[0].first, pairs[0].second) == ("a", "b")
    assert pairs[0].alike == {"step0": 1, "step1": 1, "step2": 1}
    assert pairs[0].expected < 0.05
    assert len(pairs) == 1, "chance makes two pairs that are alike in one step only"


def test_likeness_in_one_step_is_what_chance_makes_of_it():
    """However the answers of that step are dealt out, exactly one pair is as alike."""
    (pair,) = similarity.find_pairs(class_of(CLASS, ["ab"], [], []))
    assert pair.expected == 1


def test_a_class_in_which_nobody_copies_lists_about_one_pair():
    """Twenty students, eight steps, and for each step five ways to write it, by chance."""
    counts = []
    for seed in range(4):
        ways = np.random.default_rng(seed).integers(0, 5, (8, 20))
        answers = {
            f"student {n}": {
                f"step{step}": frozenset((str(step), str(ways[step, n]), str(k)) for k in range(9))
                for step in range(8)
            }
            for n in range(20)
        }
        counts.append(len(similarity.find_pairs(answers)))
    assert max(counts) <= 5 and np.mean(counts) < 2.5


def test_what_many_write_is_nobodys_likeness():
    assert similarity.find_pairs(class_of(CLASS, [CLASS], [CLASS], [CLASS])) == []
    halves = ["abcdef", "ghijkl"]
    assert similarity.find_pairs(class_of(CLASS, halves, ["acegik", "bdfhjl"])) == []
    assert similarity.find_pairs(class_of("ab", ["ab"])) == []
    assert similarity.find_pairs({}) == []


def test_a_group_that_shares_all_steps_is_listed_pair_by_pair():
    pairs = similarity.find_pairs(class_of(CLASS, *[["abc"]] * 5))
    assert [(pair.first, pair.second) for pair in pairs] == list(combinations("abc", 2))


def test_the_table_lists_pairs_of_the_years_submissions(tmp_path):
    released = notebook(RELEASED)
    words = ["relu", "evidence", "peaks", "scale", "mean", "score"]
    for number, student in enumerate(["anna", "ben", "=1+1", "dora", "emil", "finn"]):
        text = " ".join(f"{word}{number}" for word in words)
        code = f"{CLIP}\n" + "\n".join(f"x{number}.step{number}{k}(0)" for k in range(number * 9))
        if student in ("anna", "ben"):
            code = RENAMED if student == "ben" else LOOP
            text = "The ReLU threw the evidence against the class away, and stretching the size."
        path = year.tidied_path(tmp_path, "3-cam", student)
        path.parent.mkdir(parents=True)
        nbformat.write(notebook(code, text), path)
    rows = list(similarity.rows(tmp_path, {"3-cam": released}))
    assert rows[0] == list(similarity.COLUMNS)
    assert [row[:5] for row in rows[1:]] == [
        ["3-cam", "anna", "ben", cell, "100%"] for cell in ("answer", "shade")
    ]
    assert float(rows[1][5]) <= 0.5
    # Of a group the first student stands for all.
    group = {(student, "3-cam"): "Team Rot" for student in ("anna", "ben")}
    assert len(list(similarity.rows(tmp_path, {"3-cam": released}, group))) == 1
    tables.write_csv(tmp_path / "similarity.csv", rows)
    assert table(tmp_path / "similarity.csv") == rows
