"""A lesson's run: its parameters reach the cells, and whatever goes wrong in it is listed."""

from types import SimpleNamespace

import pytest
import run
from lesson_files import execute, notebook_file


@pytest.mark.parametrize(
    "source, problem",
    [
        ("1 / 0", "cell one: ZeroDivisionError"),
        ("import warnings; warnings.warn('beware')", "cell one: on standard error"),
        ("import os; os.write(2, b'from C++')", "cell one: on standard error: from C++"),
        (
            "import ipywidgets\nwith ipywidgets.Output():\n    {}['key']",
            "inside a widget: KeyError",
        ),
        (
            "import ipywidgets\nslider = ipywidgets.IntSlider(1)\n"
            "ipywidgets.interactive_output(lambda x: print(1 / x), {'x': slider})\n"
            "slider.value = 0",
            "inside a widget: ZeroDivisionError",
        ),
        ("import os; os._exit(1)", "Kernel died"),
    ],
)
def test_problems_are_listed(tmp_path, source, problem):
    problems = run.problems(execute(notebook_file(tmp_path, source)))
    assert len(problems) == 1 and problems[0].startswith(problem), problems


@pytest.mark.parametrize("source", ["1 + 1", "1 / 0"])
def test_the_processor_seconds_are_those_after_the_last_cell(tmp_path, monkeypatch, source):
    """Also where it raised an error."""
    counted = iter([1.04, 2.04])  # after the cell of the parameters, and after the one below it
    monkeypatch.setattr(run, "kernel_cpu_seconds", lambda client: next(counted))
    notebook = execute(notebook_file(tmp_path, source))
    assert notebook.metadata["cpu_seconds"] == 2.0


def test_the_processor_seconds_are_those_of_the_kernel_and_of_what_it_has_ended(monkeypatch):
    times = SimpleNamespace(user=1, system=2, children_user=4, children_system=8)
    processes = {7: SimpleNamespace(cpu_times=lambda: times)}
    monkeypatch.setattr(run.psutil, "Process", processes.get)
    client = SimpleNamespace(km=SimpleNamespace(provisioner=SimpleNamespace(pid=7)))
    assert run.kernel_cpu_seconds(client) == 15


def test_a_kernel_gets_its_share_of_threads_unless_the_environment_says_more(tmp_path, monkeypatch):
    names = (
        "import os\nprint([os.environ.get(name) for name in " + repr(run.THREAD_VARIABLES) + "])"
    )
    for name in run.THREAD_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    notebook = execute(notebook_file(tmp_path, names), threads=2)
    assert notebook.cells[-1].outputs[0].text == "['7', '2', '2']\n"


def test_a_cell_that_never_ends_is_listed(tmp_path):
    problems = run.problems(
        execute(notebook_file(tmp_path, "import time; time.sleep(60)"), timeout=2)
    )
    assert "timed out" in problems[0]


def test_parameters_reach_the_cells_and_progress_is_no_problem(tmp_path):
    path = notebook_file(
        tmp_path, "from tqdm.auto import tqdm\nprint([DATASET for _ in tqdm(range(2))], BACKBONE)"
    )
    notebook = execute(path, {"DATASET": "a folder's name"})
    assert run.problems(notebook) == []
    assert [cell.id for cell in notebook.cells] == [
        "title",
        "parameters",
        "injected-parameters",
        "one",
    ]
    printed = [
        output.text for output in notebook.cells[-1].outputs if output.output_type == "stream"
    ]
    assert printed == ["""["a folder's name", "a folder's name"] mini\n"""]


def test_a_lesson_gets_the_parameters_that_it_has(tmp_path):
    path = notebook_file(tmp_path)
    assert (
        run.read(path, {"BACKBONE": "other", "UNKNOWN": "value"}).cells[2].source
        == "BACKBONE = 'other'"
    )
    assert run.read(path, {"UNKNOWN": "value"}).cells == run.read(path).cells


def test_readme_figures_are_saved(tmp_path):
    path = notebook_file(tmp_path, "import matplotlib.pyplot as plt\nplt.plot([1, 2]);")
    notebook = execute(path)
    notebook.cells[-1].metadata["tags"] = ["readme"]
    run.save(notebook, path.name, tmp_path / "pages")
    assert sorted(path.name for path in (tmp_path / "pages").iterdir()) == [
        "01-try.html",
        "01-try.ipynb",
        "figures",
    ]
    assert (tmp_path / "pages" / "figures" / "one.png").read_bytes().startswith(b"\x89PNG")
