"""The files that describe the project agree with each other and with the code."""

import ast
import functools
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import nbformat
import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
NEEDED = {"lessons": PROJECT["dependencies"]} | {
    name: PROJECT["dependencies"] + lines for name, lines in EXTRAS.items()
}


def parse(lines):
    requirements = [Requirement(line) for line in lines]
    return {canonicalize_name(r.name): r.specifier for r in requirements}


def locked(target=""):
    """{name: [(version, marker, number of hashes)]} of what a target installs, or of all that the lock has.

    A package may be locked at one version for each range of Pythons.
    """
    found = {}
    text = (ROOT / "requirements.lock").read_text()
    for targets, part in re.findall(r"^# --- (.*)\n((?:[^#].*\n)+)", text, re.M):
        for block in re.split(r"\n(?=[a-z0-9])", part) if target in ["", *targets.split()] else []:
            name, version, marker = re.match(
                r"([a-z0-9._-]+)==([^\s;]+)(?: ; (.*))? \\", block
            ).groups()
            found.setdefault(canonicalize_name(name), []).append(
                (version, marker, block.count("--hash=sha256:"))
            )
    return found


requires = functools.cache(metadata.requires)


def closure(lines):
    """The names of all that these requirements ask for on this machine, by what the installed packages say of themselves."""
    found, ahead = set(), [(Requirement(line), "") for line in lines]
    while ahead:
        requirement, extra = ahead.pop()
        if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
            continue
        name = canonicalize_name(requirement.name)
        for asked in {"", *requirement.extras}:
            if (name, asked) not in found:
                found.add((name, asked))
                said = EXTRAS.get(asked, []) if name == "camkit" else requires(name) or []
                ahead += [(Requirement(line), asked) for line in said]
    return {name for name, _ in found} - {"camkit"}


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


def test_the_version_is_the_same_everywhere():
    import camkit

    version = PROJECT["version"]
    assert camkit.__version__ == version
    latest, date = re.search(
        r"^## \[(.+?)\] - (\d{4}-\d\d-\d\d)$",
        (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"),
        re.M,
    ).groups()
    assert latest == version
    assert f"\nversion: {version}\ndate-released: {date}\n" in (ROOT / "CITATION.cff").read_text(
        encoding="utf-8"
    )
    assert f"pip install camkit-{version}-py3-none-any.whl" in (ROOT / "README.md").read_text(
        encoding="utf-8"
    )


def test_every_dependency_is_locked_at_a_version_that_it_allows():
    lock = locked()
    for name, specifier in parse(sum(NEEDED.values(), [])).items():
        if name == "camkit":
            continue  # an extra that takes others along
        assert name in lock, f"{name} is missing in requirements.lock: make lock"
        for version, *_ in lock[name]:
            assert specifier.contains(version), (
                f"{name}=={version} is locked, pyproject.toml asks for {specifier}"
            )


def test_binder_finds_what_it_needs():
    """By repo2docker's rules: it reads environment.yml unless there is another file that it likes better.

    Its `-e .` makes it copy the clone before it installs, and the Python of this file is the one that it takes.
    """
    assert not [
        name
        for name in (
            "binder",
            ".binder",
            "Dockerfile",
            "runtime.txt",
            "requirements.txt",
            "setup.py",
        )
        if (ROOT / name).exists()
    ]
    lines = (ROOT / "environment.yml").read_text().splitlines()
    assert "  - python=3.11" in lines and "      - -e ." in lines
    first = re.search(
        r"urlpath=lab/tree/(.*?ipynb)", (ROOT / "README.md").read_text(encoding="utf-8")
    )[1]
    assert (ROOT / first).is_file()


def test_what_builds_camkit_is_locked():
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    for name, specifier in parse(build).items():
        assert all(specifier.contains(version) for version, *_ in locked()[name])


@pytest.mark.locked
def test_a_target_installs_what_it_needs_and_nothing_more():
    """All that its packages ask for on this machine, and none besides, stands in the lock under its name."""
    makefile = (ROOT / "Makefile").read_text()
    assert f"\nENVIRONMENTS = {' '.join(NEEDED)}\n" in makefile, (
        "a target of the Makefile for each extra"
    )
    for target, lines in NEEDED.items():
        script = (
            re.search(r"awk '(.*)' requirements.lock > \$@.txt", makefile)[1]
            .replace("$(@F)", target)
            .replace("$$", "$")
        )
        taken = subprocess.run(
            ["awk", script, "requirements.lock"], cwd=ROOT, capture_output=True, text=True
        ).stdout
        names = {
            canonicalize_name(line.partition("==")[0])
            for line in re.findall(r"^[a-z0-9].*==", taken, re.M)
        }
        here = {
            name
            for name, versions in locked(target).items()
            if any(not marker or Marker(marker).evaluate() for _, marker, _ in versions)
        }
        assert here == closure(lines), target
        assert here <= names == set(locked(target)), target


def test_what_lessons_and_camkit_import_is_asked_for():
    """Only what they import, too, but for JupyterLab, in which the lessons are read."""
    sources = [
        path.read_text(encoding="utf-8")
        for path in [*ROOT.glob("camkit/**/*.py"), *ROOT.glob("notebooks/*.py")]
    ]
    for path in ROOT.glob("notebooks/*.ipynb"):
        sources += [
            cell.source
            for cell in nbformat.read(path, as_version=4).cells
            if cell.cell_type == "code"
        ]
    nodes = [node for source in sources for node in ast.walk(ast.parse(source))]
    modules = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    modules |= {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}
    of = metadata.packages_distributions()
    imported = {
        canonicalize_name(name)
        for module in modules
        for name in of.get(module.partition(".")[0], [])
    }
    assert imported - {"camkit"} - set(parse(EXTRAS["cluster"])) <= closure(PROJECT["dependencies"])
    assert set(parse(PROJECT["dependencies"])) - imported == {"jupyterlab"}


def test_the_lock_has_hashes_and_no_addresses():
    assert all(hashes for versions in locked().values() for *_, hashes in versions)
    text = (ROOT / "requirements.lock").read_text()
    assert "://" not in text and " @ " not in text and "\n-" not in text


@pytest.mark.locked
def test_the_installed_versions_are_the_locked_ones():
    lock = locked()
    for name in parse(PROJECT["dependencies"]):
        assert metadata.version(name) in [version for version, *_ in lock[name]], (
            f"{name}: see `make test`"
        )


def test_import_is_quiet_and_leaves_tensorflow_alone():
    code = "import camkit, sys; print([m for m in ('tensorflow', 'keras') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert (done.stdout, done.stderr, done.returncode) == ("[]\n", "", 0)


def test_every_public_name_is_there():
    import camkit

    assert [name for name in camkit.__all__ if getattr(camkit, name, None) is None] == []


def test_the_first_use_of_a_model_is_quiet():
    code = "import camkit; camkit.gap_classifier(camkit.backbone('MobileNetV2', weights=None), ['a', 'b'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)


def test_only_the_bottom_rooms_know_tensorflow():
    knowing = {
        path.stem
        for path in (ROOT / "camkit").glob("*.py")
        if re.search(r"^\s*(import|from) (tensorflow|keras)\b", path.read_text(), re.M)
    }
    knowing.discard("__main__")  # which loads a model from a file
    maps, learning = {"cam", "graph", "inference", "probe"}, {"models", "heads", "whole_object"}
    assert knowing <= maps | learning


def test_lessons_use_public_names_alone():
    import camkit

    for path in (ROOT / "notebooks").rglob("*.ipynb"):
        cells = nbformat.read(path, as_version=4).cells
        for cell in cells:
            solutions = (
                re.findall(r"```python\n(.*?)```", cell.source, re.S)
                if cell.cell_type == "markdown"
                else [cell.source]
            )
            for node in (node for source in solutions for node in ast.walk(ast.parse(source))):
                if (
                    isinstance(node, ast.ImportFrom)
                    and (node.module or "").partition(".")[0] == "camkit"
                ):
                    assert node.module == "camkit", f"{path.name}, {cell.id}: from {node.module}"
                    assert {alias.name for alias in node.names} <= set(camkit.__all__), (
                        f"{path.name}, {cell.id}"
                    )
                elif (
                    isinstance(node, ast.Attribute)
                    and isinstance(node.value, ast.Name)
                    and node.value.id == "camkit"
                ):
                    assert node.attr in {*camkit.__all__, "__version__"}, (
                        f"{path.name}, {cell.id}: camkit.{node.attr}"
                    )


def test_camkit_stays_small_and_narrow():
    for path in [*(ROOT / "camkit").rglob("*.py"), *(ROOT / "notebooks").rglob("*.py")]:
        wide = [
            n
            for n, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
            if len(line) > 120
        ]
        assert not wide, f"{path.name}: lines {wide} are longer than 120 characters"
    lines = {
        path.name: len(path.read_text().splitlines()) for path in (ROOT / "camkit").rglob("*.py")
    }
    assert max(lines.values()) <= 260, lines


def test_no_file_names_a_package_server_or_a_machine():
    hosts = [
        "pypi" + ".org",
        "python" + "hosted.org",
        "ana" + "conda.org",
        "/ro" + "ot/",
        "/wo" + "rk/",
        "/ho" + "me/",
    ]
    for path in tracked():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # pictures and weights
        assert not [host for host in hosts if host in text], path
        assert "\r" not in text, path
