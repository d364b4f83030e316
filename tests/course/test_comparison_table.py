"""The table on the teachers' page: each line of the course's column is held by a test."""

import ast
from pathlib import Path

import pytest
from course import proof, sources

# The tests, by file and the beginning of a name, that hold each line.
HELD_BY = {
    "from Moodle and Canvas": {
        "test_platforms": ("test_who_handed_in_what", "test_a_roster_maps_names"),
    },
    "marks back": {"test_platforms": ("test_marks_go_back_as_canvas", "test_marks_go_back_with")},
    "feedback": {
        "test_platforms": ("test_feedback_goes_back_as_moodles_bulk_upload",),
        "test_course": ("test_feedback_goes_back_through_the_exchange",),
        "test_course_exchange": ("test_from_fetch_to_feedback",),
    },
    "isolation": {
        "test_course": ("test_whatever_is_handed_in",),
        "test_sandbox": ("test_mounts_hide_tests", "test_a_student_who_installs"),
    },
    "an endless loop costs": {"test_sandbox": ("test_loops_cost_their_steps",)},
    "cells deleted, retyped or moved": {
        "test_cells": ("test_a_right_answer_is_found_whatever_was_done", "test_answers_are_found"),
    },
    "partial credit and hints": {
        "test_course": ("test_share_gives_the_part", "test_a_check_tells_mistakes_apart"),
    },
    "tests are proved": {"test_course": ("test_wrong_answers_lose_their_points_and_no_others",)},
    "another version each year": {
        "test_course": ("test_wrong_answers_lose_their_points_and_no_others",)
    },
    "late work": {"test_platforms": ("test_lateness_costs_what_the_teachers_rule_says",)},
    "copied work": {"test_similarity": ("test_two_who_write_alike", "test_a_class_in_which")},
    "a test was wrong": {"test_sandbox": ("test_a_corrected_test_grades_anew",)},
    "written answers": {
        "test_course": ("test_what_is_graded_stays_so", "test_the_guide_lists"),
        "test_course_exchange": ("test_from_fetch_to_feedback",),
    },
    "where, and for how much": {"test_course": ("test_the_command_line_says",)},
}


@pytest.fixture(scope="module")
def table():
    """{line: the course's cell} of the table."""
    text = (sources.HERE / "teachers.md").read_text(encoding="utf-8")
    section = text.partition("## How does it compare")[2].partition("\n## ")[0]
    rows = [line.split("|")[1:-1] for line in section.splitlines() if line.startswith("|")]
    assert {len(row) for row in rows} == {6}
    return {row[0].strip(): row[1].strip() for row in rows[2:]}


def test_each_line_is_held_by_tests_that_exist(table):
    assert list(table) == list(HELD_BY)
    for line, files in HELD_BY.items():
        for file, beginnings in files.items():
            tree = ast.parse(Path(__file__).with_name(f"{file}.py").read_text(encoding="utf-8"))
            names = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
            for beginning in beginnings:
                assert any(name.startswith(beginning) for name in names), (line, beginning)


def test_the_answers_are_counted(table):
    names = [path.stem for path in sources.assignments()]
    wrong = sum(len(proof.wrong_answers(name)) for name in names)
    right = sum(len(proof.read_answers(sources.right_answers_path(name))) for name in names)
    assert (
        table["tests are proved"] == f"{wrong} wrong and {right} right answers before each release"
    )
