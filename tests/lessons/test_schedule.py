"""The series of lessons: which begins when, what the log says, and what fails the whole."""

import sys
import threading
from pathlib import Path
from subprocess import CompletedProcess

import pytest
import run
import schedule
from lesson_files import notebook_file
from nbformat.v4 import new_code_cell, new_notebook, new_output
from pages import number


def lesson(name, seconds=30, shares_model=False):
    return schedule.Lesson(Path(name), cells=1, seconds=seconds, shares_model=shares_model)


def ended(*outputs):
    """An executed notebook whose one cell has these outputs."""
    cell = new_code_cell("", id="one", outputs=list(outputs))
    return new_notebook(cells=[cell], metadata={"seconds": 1.0})


def names(lessons):
    return [lesson.path.name for lesson in lessons]


@pytest.fixture
def series(tmp_path, monkeypatch):
    """Return a function: names of lessons and what runs one -> (failures, folder of the pages)."""
    monkeypatch.setattr(run, "LESSONS", tmp_path)
    monkeypatch.setattr(schedule, "cores", lambda: 2)
    monkeypatch.setattr(schedule, "write_reference", lambda folder: None)
    monkeypatch.setattr(schedule, "write_front", lambda folder: [])

    def run_series(lesson_names, run_one):
        monkeypatch.setattr(run, "run", run_one)
        paths = [notebook_file(tmp_path, name=name) for name in lesson_names]
        folder = tmp_path / "pages"
        return schedule.Series(paths, None, folder).run(), folder

    return run_series


def test_the_core_comes_first_and_then_the_longest():
    seconds = {"09": 50, "10": 90, "03b": 2, "01": 5, "03": 1, "00": 1, "scale": 70}
    lessons = [lesson(f"{number}-name.ipynb", each) for number, each in seconds.items()]
    ordered = names(schedule.in_order(lessons))
    in_words = [name.partition("-")[0] for name in ordered]
    assert in_words == ["00", "03", "01", "10", "scale", "09", "03b"]


def test_who_shares_the_model_waits_for_the_lesson_that_makes_it():
    lessons = [lesson(f"0{n}.ipynb", shares_model=n > 1) for n in range(4)] + [lesson("9.ipynb")]
    plan = schedule.Schedule(lessons, at_a_time=2)
    first, second = plan.begin_next(), plan.begin_next()
    assert names([first, second]) == ["00.ipynb", "01.ipynb"]
    assert plan.begin_next() is None, "two at a time"
    plan.end(first)
    maker = plan.begin_next()
    plan.end(second)
    assert names([maker, plan.begin_next()]) == ["02.ipynb", "9.ipynb"], "03 has to wait"
    plan.end(maker)
    assert plan.begin_next().path.name == "03.ipynb"


def test_lesson_2_makes_the_model_anew_and_nobody_reads_it_meanwhile():
    lessons = [lesson(f"{number}-name.ipynb", shares_model=True) for number in ("01", "02", "03")]
    plan = schedule.Schedule(lessons, at_a_time=2)
    maker = plan.begin_next()
    assert maker.path.name == "02-name.ipynb" and plan.begin_next() is None
    plan.end(maker)
    assert names([plan.begin_next(), plan.begin_next()]) == ["03-name.ipynb", "01-name.ipynb"]
    without = schedule.Schedule([lessons[0], lessons[2]], at_a_time=2)
    assert without.maker.path.name == "03-name.ipynb", "the first that begins"


def test_the_lessons_that_share_the_model_are_those_that_read_it():
    paths = sorted(run.LESSONS.glob("*.ipynb"))
    lessons = [schedule.Lesson.read(path, None) for path in paths]
    sharing = {number(each.path.name) for each in lessons if each.shares_model}
    alone = {"00", "08b", "09", "11", "12", "12b", "13b", "14", "scale"}
    assert sharing == {number(each.path.name) for each in lessons} - alone
    assert schedule.Schedule(lessons, 2).maker.path.name.startswith("02")


def test_what_is_left_follows_the_pace_so_far():
    plan = schedule.Schedule([lesson("00.ipynb", 10), lesson("01.ipynb", 40)], at_a_time=1)
    assert plan.what_is_left() == "2 lessons left, about 50 s"
    first = plan.begin_next()
    plan.end(first)
    plan.compare(first, seconds=20)
    assert plan.what_is_left() == "1 lesson left, about 80 s"
    plan.end(plan.begin_next())
    assert plan.what_is_left() == "no lesson left"


def test_two_lessons_run_at_a_time(series):
    both = threading.Barrier(2)

    def run_one(*_, threads, **__):
        both.wait(timeout=60)
        return ended() if threads == 1 else 1 / 0

    failures, folder = series(["00-a.ipynb", "01-b.ipynb"], run_one)
    assert failures == []
    assert sorted(page.name for page in folder.glob("*.html")) == ["01-b.html", "index.html"]


def test_the_log_tells_of_the_pages_and_of_what_is_left(series, capsys):
    _, folder = series(["00-a.ipynb", "09-b.ipynb", "10-c.ipynb"], lambda *_, **__: ended())
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "3 lessons left, about 45 s, 2 at a time"
    pages = [line for line in lines if f" s  {folder}" in line]
    assert len(pages) == 3 and pages[-1].endswith("(no lesson left)")


def test_the_front_page_comes_before_the_lessons(series, tmp_path, monkeypatch):
    notebook_file(tmp_path)
    order = []
    monkeypatch.setattr(schedule, "write_front", lambda folder: order.append(folder) or ["front"])
    monkeypatch.setattr(run, "run", lambda path, *_, **__: order.append(path.name) or ended())
    monkeypatch.setattr(sys, "argv", ["site", "--out", str(tmp_path / "pages")])
    with pytest.raises(SystemExit, match="1 problem:\nfront"):
        schedule.main()
    assert order == [tmp_path / "pages", "01-try.ipynb"]


@pytest.mark.parametrize("code", [0, 1])
def test_a_front_page_is_announced_or_its_error_listed(tmp_path, monkeypatch, capsys, code):
    asked = []

    def run_process(command, **_):
        asked.append(command[1:])
        return CompletedProcess(command, code, stderr="Traceback\nOSError: the disk is full\n")

    monkeypatch.setattr(schedule.subprocess, "run", run_process)
    failures = schedule.write_front(tmp_path)
    assert asked == [[str(Path(schedule.__file__).with_name("front.py")), str(tmp_path)]]
    if code:
        assert failures == ["front page, OSError: the disk is full"]
    else:
        page = tmp_path / "index.html"
        said = f"{page} is ready: play while the lessons run ({page.as_uri()})\n"
        assert (failures, capsys.readouterr().out) == ([], said)


def test_the_others_go_on_where_a_lesson_dies(series, capsys):
    def run_one(path, *_, **__):
        if path.name == "00-a.ipynb":
            raise RuntimeError("no kernel")
        return ended(new_output("stream", name="stderr", text="beware"))

    failures, folder = series(["00-a.ipynb", "01-b.ipynb"], run_one)
    assert sorted(failures) == [
        "00-a.ipynb, RuntimeError: no kernel",
        "01-b.ipynb, cell one: on standard error: beware",
    ]
    assert [page.name for page in folder.glob("*.html")] == ["01-b.html"]
    assert "failed  00-a.ipynb" in capsys.readouterr().out


def test_a_reference_that_fails_is_listed(series, monkeypatch):
    monkeypatch.setattr(schedule, "write_reference", lambda folder: {}["key"])
    failures, _ = series(["00-a.ipynb"], lambda *_, **__: ended())
    assert failures == ["reference, KeyError: 'key'"]


def test_an_interrupted_run_ends_its_kernels(series, monkeypatch):
    """The real runner, whose lesson would take an hour."""
    running = threading.Event()
    real_run = run.run

    def run_one(path, *rest, **options):
        notebook = run.read(path)
        notebook.cells.append(new_code_cell("import time; time.sleep(3600)", id="long"))
        path.write_text(schedule.run.nbformat.writes(notebook))
        running.set()
        return real_run(path, *rest, **options)

    def interrupt(*_, **__):
        running.wait()
        raise KeyboardInterrupt

    monkeypatch.setattr(schedule, "wait", interrupt)
    with pytest.raises(KeyboardInterrupt):
        series(["00-a.ipynb"], run_one)


@pytest.mark.parametrize("count, title", [(1, "1 problem:"), (2, "2 problems:")])
def test_the_end_of_a_run_counts_its_problems(series, tmp_path, monkeypatch, count, title):
    wrong = [new_output("stream", name="stderr", text="beware")] * count
    notebook_file(tmp_path)
    monkeypatch.setattr(run, "run", lambda *_, **__: ended(*wrong))
    monkeypatch.setattr(sys, "argv", ["site", "--out", str(tmp_path / "pages")])
    with pytest.raises(SystemExit) as end:
        schedule.main()
    problem = "01-try.ipynb, cell one: on standard error: beware"
    assert end.value.code.split("\n") == ["", title, *[problem] * count]


@pytest.mark.parametrize(
    "given", ["photographs", "photographs/", "./photographs", "../{}/photographs"]
)
def test_a_run_finds_a_folder_from_where_it_begins(series, tmp_path, monkeypatch, given):
    """Not from the lessons' folder, where they run; a name that is no folder there stays a name."""
    notebook_file(tmp_path)
    (tmp_path / "photographs").mkdir()
    asked = []
    monkeypatch.setattr(run, "run", lambda _, parameters, **__: asked.append(parameters) or ended())
    boxes = given.format(tmp_path.name)
    arguments = ["--out", "pages", "--dataset", "fruits-360", "--boxes", boxes]
    monkeypatch.setattr(sys, "argv", ["site", *arguments])
    monkeypatch.chdir(tmp_path)
    schedule.main()
    assert asked == [{"DATASET": "fruits-360", "BOXES": str(tmp_path / "photographs")}]
