"""The files that describe the project agree with each other and with the code."""

import ast
import re
import subprocess
import sys

import nbformat
from repository import PROJECT, PYPROJECT, ROOT, read, tracked

import camkit


def run_python(code):
    """Return (standard output, standard error, return code) of code in a process of its own."""
    command = [sys.executable, "-c", code]
    finished = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    return finished.stdout, finished.stderr, finished.returncode


def test_the_version_is_the_same_everywhere():
    version = PROJECT["version"]
    assert camkit.__version__ == version
    release = re.search(r"^## \[(\d.+?)\] - (\d{4}-\d\d-\d\d)$", read("CHANGELOG.md"), re.M)
    latest, date = release.groups()
    assert latest == version
    assert f"\nversion: {version}\ndate-released: {date}\n" in read("CITATION.cff")
    wheel = f'pip install "camkit-{version}-py3-none-any.whl[lessons]"'
    assert wheel in read("notebooks/site/installing.md")


def test_binder_finds_what_it_needs():
    """By repo2docker's rules: it reads environment.yml unless there is another file that it likes
    better.

    Its `-e .` makes it copy the clone before it installs, and the Python of this file is the one
    that it takes.
    """
    preferred = "binder .binder Dockerfile runtime.txt requirements.txt setup.py"
    assert not [name for name in preferred.split() if (ROOT / name).exists()]
    lines = read("environment.yml").splitlines()
    assert "  - python=3.11" in lines and "      - -e ." in lines
    first = re.search(r"urlpath=lab/tree/(.*?ipynb)", read("notebooks/site/installing.md"))[1]
    assert (ROOT / first).is_file()


def test_import_is_quiet_and_leaves_tensorflow_alone():
    code = "import camkit, sys; print([m for m in ('tensorflow', 'keras') if m in sys.modules])"
    assert run_python(code) == ("[]\n", "", 0)


def test_the_first_use_of_a_model_is_quiet():
    code = (
        "import camkit\n"
        "camkit.gap_classifier(camkit.backbone('MobileNetV2', weights=None), ['a', 'b'])"
    )
    assert run_python(code) == ("", "", 0)


def test_every_public_name_is_there():
    assert [name for name in camkit.__all__ if getattr(camkit, name, None) is None] == []


def python_of(cell):
    """Return the sources in a cell: its code, or the solutions folded away in its text."""
    if cell.cell_type == "markdown":
        return re.findall(r"```python\n(.*?)```", cell.source, re.S)
    return [cell.source]


def test_lessons_use_public_names_alone():
    public = set(camkit.__all__)
    for path in (ROOT / "notebooks").rglob("*.ipynb"):
        for cell in nbformat.read(path, as_version=4).cells:
            where = f"{path.name}, {cell.id}"
            for source in python_of(cell):
                for node in ast.walk(ast.parse(source)):
                    if isinstance(node, ast.ImportFrom):
                        module = node.module or ""
                        if module.partition(".")[0] == "camkit":
                            assert module == "camkit", f"{where}: from {module}"
                            assert {alias.name for alias in node.names} <= public, where
                    elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                        if node.value.id == "camkit":
                            assert node.attr in public | {"__version__"}, (
                                f"{where}: camkit.{node.attr}"
                            )


def test_no_file_names_a_package_server_or_a_machine():
    hosts = ["pypi" + ".org", "python" + "hosted.org", "ana" + "conda.org"]
    folders = ["/ro" + "ot/", "/wo" + "rk/", "/ho" + "me/"]
    for path in tracked():
        if path.is_relative_to(ROOT / "camkit" / "atlas" / "engine"):
            continue  # the files of others, as they were published
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # images and weights
        assert not [name for name in hosts + folders if name in text], path
        assert "\r" not in text, path


# --- the commands


def targets():
    """Return {target: what `make help` says of it}."""
    finished = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
    return dict(re.findall(r"^  make ([a-z-]+) +(.+)$", finished.stdout, re.M))


def test_help_lists_every_target():
    declared = set(re.findall(r"^\.PHONY: (.*)$", read("Makefile"), re.M))
    names = {name for line in declared for name in line.split()}
    assert names == set(targets())


def test_the_documents_name_targets_that_exist():
    documents = ["README.md", "CONTRIBUTING.md", "notebooks/site/installing.md"]
    for document in [*documents, ".github/pull_request_template.md"]:
        named = set(re.findall(r"(?:^|`)make ([a-z][a-z-]*)", read(document), re.M))
        assert named <= set(targets()), document


def test_make_test_and_the_parts_of_check_leave_no_test_out():
    """Each mark that `make test` leaves out has its part, and `make help` lists all parts."""
    makefile = read("Makefile")
    parts = re.search(r"^PARTS_OF_CHECK = (.*)$", makefile, re.M)[1].split()
    listed = {name.removeprefix("check-") for name in targets() if name.startswith("check-")}
    assert set(parts) == listed
    left_out = re.search(r"^QUICK = smoke or not \((.*)\)$", makefile, re.M)[1].split(" or ")
    for mark in left_out:
        recipes = re.findall(rf"^\t\$\(PYTEST\) .*-m \"?{mark}\b", makefile, re.M)
        assert recipes, f"no part runs the tests marked {mark}"
    registered = {
        line.partition(":")[0] for line in PYPROJECT["tool"]["pytest"]["ini_options"]["markers"]
    }
    # Those in tests/exports have environments of their own.
    assert registered == {*left_out, "smoke", "locked", "exports"}
    assert '/bin/python -m pytest "tests/exports/' in makefile


def test_ci_runs_the_readmes_command_and_every_part_of_check():
    script = read(".ci/run")
    assert "make test" in script and "make test" in read("README.md")
    for part in targets():
        if part.startswith("check-") or part in ("backends", "fuzz", "crashes", "course-proof"):
            assert re.search(rf"\b{part}\b", script), f"{part} is missing in .ci/run"


def test_the_workflow_runs_what_ci_runs_on_every_python_that_is_supported():
    workflow = read(".github/workflows/check.yml")
    assert ".ci/run" in workflow
    for version in ("3.11", "3.12", "3.13"):
        assert f'"{version}"' in workflow
    assert f'python-version: "{PROJECT["requires-python"].removeprefix(">=")}"' in workflow


def test_no_test_asserts_a_time():
    """On a machine half as fast everything must still pass: clocks are for tests/bench alone."""
    clocks = {"perf_counter", "process_time", "thread_time", "monotonic", "timeit"}
    for path in (ROOT / "tests").rglob("*.py"):
        # Of the stress tests, one kills writers at random moments of the time that they take.
        if "bench" in path.parts or path.parts[-2:] == ("crashes", "child.py"):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            named = getattr(node, "attr", getattr(node, "id", None))
            assert named not in clocks, f"{path}, line {node.lineno}"
