"""pyproject.toml, environment.yml, the lock and the imports ask for the same packages."""

import ast
import functools
import re
import subprocess
import sys
from importlib import metadata

import nbformat
import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from repository import EXTRAS, PROJECT, PYPROJECT, ROOT, read

CORE = PROJECT["dependencies"]
TARGETS = {"core": CORE} | {name: CORE + lines for name, lines in EXTRAS.items()}
# What camkit itself imports only where somebody asks for it, and refuses in one line where it is
# missing.
OPTIONAL = {"anywidget", "traitlets", "ipywidgets", "IPython", "openTSNE", "pooch", "requests"}
OPTIONAL |= {"ray", "upath", "fsspec"}


def specifiers(lines):
    """Return {canonical name: specifier} of requirements, those of other extras resolved."""
    result = {}
    for line in lines:
        requirement = Requirement(line)
        if requirement.name == "camkit":
            for extra in requirement.extras:
                result |= specifiers(EXTRAS[extra])
        else:
            result[canonicalize_name(requirement.name)] = requirement.specifier
    return result


@functools.cache
def lock_entries():
    """Return [(targets, name, version, marker, number of hashes)] of the lock."""
    entries = []
    for targets, section in re.findall(
        r"^# --- (.*)\n((?:[^#].*\n)+)", read("requirements.lock"), re.M
    ):
        for block in re.split(r"\n(?=[a-z0-9])", section):
            pattern = r"([a-z0-9._-]+)==([^\s;]+)(?: ; (.*))? \\"
            name, version, marker = re.match(pattern, block).groups()
            hashes = block.count("--hash=sha256:")
            entries.append((targets.split(), canonicalize_name(name), version, marker, hashes))
    return entries


def locked_versions(name):
    """Return the versions of a package in the lock: one for each range of Pythons."""
    return [version for _, locked, version, *_ in lock_entries() if locked == name]


requirements_of = functools.cache(metadata.requires)


def closure(lines):
    """Return the names of all that requirements ask for here, by what the installed packages say of
    themselves.
    """
    seen = set()
    pending = [(Requirement(line), "") for line in lines]
    while pending:
        requirement, extra = pending.pop()
        if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
            continue
        name = canonicalize_name(requirement.name)
        for wanted in {"", *requirement.extras}:
            if (name, wanted) in seen:
                continue
            seen.add((name, wanted))
            if name == "camkit":
                further = EXTRAS.get(wanted, [])
            else:
                further = requirements_of(name) or []
            pending += [(Requirement(line), wanted) for line in further]
    return {name for name, _ in seen} - {"camkit"}


def imported_modules(sources):
    """Return the top-level names of all modules that these sources import, anywhere in them."""
    modules = set()
    for source in sources:
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Import):
                modules |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                modules.add(node.module)
    return {module.partition(".")[0] for module in modules}


def distributions(modules):
    """Return the canonical names of the packages that bring these modules, without the standard
    library.
    """
    providers = metadata.packages_distributions()
    return {canonicalize_name(name) for module in modules for name in providers.get(module, [])}


def sources_of(folder, pattern="**/*.py"):
    return [path.read_text(encoding="utf-8") for path in (ROOT / folder).glob(pattern)]


def lesson_sources():
    """Return the code cells of all lessons."""
    sources = []
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        cells = nbformat.read(path, as_version=4).cells
        sources += [cell.source for cell in cells if cell.cell_type == "code"]
    return sources


def test_conda_and_pip_name_the_same_dependencies():
    """environment.yml has what the lessons and the site need."""
    text = read("environment.yml")
    lines = re.findall(r"^ {6}- ([^-\s].*)$", text, re.M)
    assert specifiers(lines) == specifiers(CORE + EXTRAS["lessons"] + EXTRAS["site"])
    assert "      - -e .\n" in text
    assert f"python={PROJECT['requires-python'].removeprefix('>=')}" in text


def test_the_core_is_lean():
    assert len(CORE) <= 12
    unwanted = {"jupyterlab", "ipywidgets", "anywidget", "opentsne", "pooch", "nbconvert", "pdoc"}
    assert not unwanted & closure(CORE)


def test_the_core_asks_for_what_camkit_imports_and_for_nothing_else():
    """The standard library and the optional packages aside."""
    modules = imported_modules(sources_of("camkit"))
    required = distributions(modules - OPTIONAL - {"camkit"})
    assert required == set(specifiers(CORE))


def test_each_optional_package_of_camkit_stands_in_an_extra():
    modules = imported_modules(sources_of("camkit")) & OPTIONAL
    offered = set().union(*(closure(lines) for lines in EXTRAS.values()))
    assert distributions(modules) <= offered


def test_lessons_and_site_import_what_their_extras_bring():
    lessons = distributions(imported_modules(lesson_sources())) - {"camkit"}
    assert lessons <= closure(CORE + EXTRAS["lessons"])
    site = distributions(imported_modules(sources_of("notebooks/site"))) - {"camkit"}
    assert site <= closure(CORE + EXTRAS["site"])
    course = distributions(imported_modules(sources_of("notebooks/assignments"))) - {"camkit"}
    assert course <= closure(CORE + EXTRAS["course"])


def test_the_core_works_where_nothing_else_can_be_imported():
    """In a process that sees no package beyond the core. `make check-pythons` does it with
    none installed.
    """
    allowed = closure(CORE)
    providers = metadata.packages_distributions()
    hidden = [
        module
        for module, names in providers.items()
        if not {canonicalize_name(name) for name in names} & (allowed | {"camkit"})
    ]
    command = [sys.executable, str(ROOT / "tests" / "project" / "core.py"), *hidden]
    finished = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert finished.stdout.splitlines()[-1] == "the core works"


def test_every_dependency_is_locked_at_a_version_that_it_allows():
    for name, specifier in specifiers(sum(TARGETS.values(), [])).items():
        versions = locked_versions(name)
        assert versions, f"{name} is missing in requirements.lock: make lock"
        for version in versions:
            message = f"{name}=={version} is locked, pyproject.toml asks for {specifier}"
            assert specifier.contains(version), message


def test_what_builds_camkit_is_locked():
    build = PYPROJECT["build-system"]["requires"]
    for name, specifier in specifiers(build).items():
        assert locked_versions(name)
        assert all(specifier.contains(version) for version in locked_versions(name))


@pytest.mark.locked
def test_a_target_installs_what_it_needs_and_nothing_more():
    """All that its packages ask for on this machine, and none besides, stands in the lock under its
    name.
    """
    makefile = read("Makefile")
    assert f"\nENVIRONMENTS = {' '.join(TARGETS)}\n" in makefile, (
        "an environment for the core and for each extra"
    )
    recipe = re.search(r"awk '(.*)' requirements.lock > \$@.txt", makefile)[1]
    for target, lines in TARGETS.items():
        script = recipe.replace("$(@F)", target).replace("$$", "$")
        command = ["awk", script, "requirements.lock"]
        taken = subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout
        names = {
            canonicalize_name(line.partition("==")[0])
            for line in re.findall(r"^[a-z0-9].*==", taken, re.M)
        }
        entries = [entry for entry in lock_entries() if target in entry[0]]
        here = {
            name for _, name, _, marker, _ in entries if not marker or Marker(marker).evaluate()
        }
        assert here == closure(lines), target
        assert here <= names == {name for _, name, *_ in entries}, target


def test_the_lock_has_hashes_and_no_addresses():
    assert all(hashes for *_, hashes in lock_entries())
    text = read("requirements.lock")
    assert "://" not in text and " @ " not in text and "\n-" not in text


@pytest.mark.locked
def test_the_installed_versions_are_the_locked_ones():
    for name in specifiers(CORE):
        assert metadata.version(name) in locked_versions(name), f"{name}: see `make test`"
