"""The files that describe the project agree with each other and with the code."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = [line for extra in PROJECT["optional-dependencies"].values() for line in extra]


def parse(lines):
    requirements = [Requirement(line) for line in lines]
    return {canonicalize_name(r.name): r.specifier for r in requirements}


def locked():
    """{name: [(version, number of hashes)]}: a package may be locked at one version for each range of Pythons."""
    found = {}
    for block in re.split(r"\n(?=[a-z0-9])", (ROOT / "requirements.lock").read_text()):
        name, version = re.match(r"([A-Za-z0-9._-]+)==([^\s;]+)", block).groups()
        found.setdefault(canonicalize_name(name), []).append((version, block.count("--hash=sha256:")))
    return found


def tracked():
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if names.returncode:
        pytest.skip("this is not a git checkout, so there is no list of the project's files")
    return [ROOT / name for name in names.stdout.split("\0") if name and (ROOT / name).exists()]


def test_conda_and_pip_name_the_same_dependencies():
    text = (ROOT / "environment.yml").read_text()
    lines = re.findall(r"^ {6}- ([^-\s].*)$", text, re.M)
    assert parse(lines) == parse(PROJECT["dependencies"])
    assert "      - -e .\n" in text
    assert f"python={PROJECT['requires-python'].removeprefix('>=')}" in text


def test_every_dependency_is_locked_at_a_version_that_it_allows():
    lock = locked()
    for name, specifier in parse(PROJECT["dependencies"] + EXTRAS).items():
        assert name in lock, f"{name} is missing in requirements.lock: make lock"
        for version, _ in lock[name]:
            assert specifier.contains(version), f"{name}=={version} is locked, pyproject.toml asks for {specifier}"


def test_what_builds_camkit_is_locked():
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    for name, specifier in parse(build).items():
        assert all(specifier.contains(version) for version, _ in locked()[name])


def test_the_lock_has_hashes_and_no_addresses():
    assert all(hashes for versions in locked().values() for _, hashes in versions)
    text = (ROOT / "requirements.lock").read_text()
    assert "://" not in text and " @ " not in text and "\n-" not in text


def test_the_installed_versions_are_the_locked_ones():
    from importlib.metadata import version

    lock = locked()
    for name in parse(PROJECT["dependencies"]):
        assert version(name) in [version for version, _ in lock[name]], f"{name}: see `make test`"


def test_import_is_quiet_and_leaves_tensorflow_alone():
    code = "import camkit, sys; print([m for m in ('tensorflow', 'keras') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert (done.stdout, done.stderr, done.returncode) == ("[]\n", "", 0)


def test_the_first_use_of_a_model_is_quiet():
    code = "import camkit; camkit.gap_classifier(camkit.backbone('MobileNetV2', weights=None), ['a', 'b'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)


def test_only_the_bottom_rooms_know_tensorflow():
    knowing = {path.stem for path in (ROOT / "camkit").glob("*.py")
               if re.search(r"^\s*(import|from) (tensorflow|keras)\b", path.read_text(), re.M)}
    knowing.discard("__main__")                     # which loads a model from a file
    maps, learning = {"cam", "graph", "inference", "probe"}, {"models", "heads", "whole_object"}
    assert knowing <= maps | learning


def test_lessons_use_public_names_alone():
    import ast

    import camkit
    import nbformat

    for path in (ROOT / "notebooks").rglob("*.ipynb"):
        cells = nbformat.read(path, as_version=4).cells
        for cell in cells:
            solutions = re.findall(r"```python\n(.*?)```", cell.source, re.S) if cell.cell_type == "markdown" else [cell.source]
            for node in (node for source in solutions for node in ast.walk(ast.parse(source))):
                if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "camkit":
                    assert node.module == "camkit", f"{path.name}, {cell.id}: from {node.module}"
                    assert {alias.name for alias in node.names} <= set(camkit.__all__), f"{path.name}, {cell.id}"
                elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "camkit":
                    assert node.attr in {*camkit.__all__, "__version__"}, f"{path.name}, {cell.id}: camkit.{node.attr}"


def test_camkit_stays_small_and_narrow():
    for path in [*(ROOT / "camkit").rglob("*.py"), *(ROOT / "notebooks").glob("*.py")]:
        wide = [n for n, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1) if len(line) > 120]
        assert not wide, f"{path.name}: lines {wide} are longer than 120 characters"
    lines = {path.name: len(path.read_text().splitlines()) for path in (ROOT / "camkit").rglob("*.py")}
    assert max(lines.values()) <= 260, lines


def test_no_file_names_a_package_server_or_a_machine():
    hosts = ["pypi" + ".org", "python" + "hosted.org", "ana" + "conda.org", "/ro" + "ot/", "/wo" + "rk/", "/ho" + "me/"]
    for path in tracked():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue                                                    # pictures and weights
        assert not [host for host in hosts if host in text], path
        assert "\r" not in text, path
