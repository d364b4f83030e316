"""pyproject.toml, environment.yml, the lock and the imports ask for the same packages."""

import ast
import functools
import re
import subprocess
import sys
from importlib import metadata

import nbformat
import pytest
from conftest import FOLDER_MARKS
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from repository import EXTRAS, PROJECT, PYPROJECT, ROOT, read

from camkit._backend_choice import BACKENDS as CHOICES

CORE = PROJECT["dependencies"]
# The extras that bring a backend of Keras. That of the lessons is locked and has an environment.
BACKENDS = ["tensorflow", "jax", "torch"]
UNLOCKED = ["jax", "torch"]
TARGETS = {"core": CORE}
TARGETS |= {name: CORE + lines for name, lines in EXTRAS.items() if name not in UNLOCKED}
# What camkit itself imports only where somebody asks for it, and refuses in one line where it is
# missing: {module: package that brings it}.
OPTIONAL = {
    "IPython": "ipython",
    "anywidget": "anywidget",
    "onnx": "onnx",
    "openTSNE": "opentsne",
    "pillow_heif": "pillow-heif",
    "pooch": "pooch",
    "pydicom": "pydicom",
    "pyarrow": "pyarrow",
    "ray": "ray",
    "requests": "requests",
    "traitlets": "traitlets",
    "upath": "universal-pathlib",
}
# The extras that camkit names where a package is missing.
USERS = ["notebook", "lessons", "cluster", "parquet", "heic", "medical", "playground"]
# What is asked of the packages themselves needs them installed: `make test` asks it of the targets
# whose packages it installs, `make check-sweep` of the others.
INSTALLED = ["core", "tensorflow", "notebook", "lessons", "site", "test"]
targets = pytest.mark.parametrize(
    "target",
    [
        target if target in INSTALLED else pytest.param(target, marks=pytest.mark.sweep)
        for target in TARGETS
    ],
)


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


def entries_of(target):
    """Return what the lock has for a target."""
    return [entry for entry in lock_entries() if target in entry[0]]


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


def packages_of(modules):
    """Return the names of the packages that bring these modules, each of which must be installed.
    The standard library, camkit and the project's modules beside camkit are left out.
    """
    beside = set()
    for folder in PYPROJECT["tool"]["pytest"]["ini_options"]["pythonpath"]:
        for path in (ROOT / folder).rglob("*.py"):
            beside |= {path.stem, path.parent.name}
    outside = modules - sys.stdlib_module_names - beside - {"camkit"}
    missing = outside - set(metadata.packages_distributions())
    assert not missing, f"nothing that is installed brings {missing}"
    return distributions(outside)


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
    assert len(CORE) <= 13
    requires = f"requires? {len(CORE)} (other )?packages"
    for file in ("notebooks/site/installing.md", "CHANGELOG.md", "CONTRIBUTING.md"):
        assert re.search(requires, (ROOT / file).read_text(encoding="utf-8")), file
    unwanted = {"jupyterlab", "ipywidgets", "anywidget", "opentsne", "pooch", "nbconvert", "pdoc"}
    assert not (unwanted | set(BACKENDS)) & closure(CORE)


def test_each_backend_of_keras_that_camkit_runs_on_is_an_extra():
    assert list(CHOICES) == BACKENDS
    for name in BACKENDS:
        assert list(specifiers(EXTRAS[name])) == [name]


@pytest.mark.parametrize("target", [*TARGETS, *UNLOCKED])
def test_no_extra_brings_a_second_backend(target):
    """A user's set-up has one, and those of the lessons and of the developers have TensorFlow."""
    lines = CORE + EXTRAS.get(target, [])
    assert len(set(specifiers(lines)) & set(BACKENDS)) <= 1


def test_the_core_asks_for_what_camkit_imports_and_for_nothing_else():
    """The standard library and the optional packages aside."""
    modules = imported_modules(sources_of("camkit"))
    required = packages_of(modules - set(OPTIONAL) - set(BACKENDS))
    assert required == set(specifiers(CORE))


def test_each_optional_package_of_camkit_stands_in_an_extra():
    """In one that is for users, by the lock, since `make test` does not install them all."""
    assert set(OPTIONAL) <= imported_modules(sources_of("camkit"))
    offered = {name for extra in USERS for _, name, *_ in entries_of(extra)}
    assert set(OPTIONAL.values()) <= offered


def test_lessons_and_site_import_what_their_extras_bring():
    lessons = packages_of(imported_modules(lesson_sources()))
    assert lessons <= closure(CORE + EXTRAS["lessons"])
    site = packages_of(imported_modules(sources_of("notebooks/site")))
    assert site <= closure(CORE + EXTRAS["site"])


@pytest.mark.course
def test_the_course_imports_what_its_extra_brings():
    course = packages_of(imported_modules(sources_of("notebooks/assignments")))
    assert course <= closure(CORE + EXTRAS["course"])


def folders_of_make_test():
    """Return the folders of tests that `make test` reads."""
    return re.search(r"^FOLDERS = (.*)$", read("Makefile"), re.M)[1].split()


def test_make_test_imports_what_its_extra_brings():
    """What all tests of its folders import, also those that it leaves out by their marks."""
    sources = sources_of("tests", "*.py") + sources_of("data/make")
    for folder in folders_of_make_test():
        sources += sources_of(folder)
    assert packages_of(imported_modules(sources)) <= closure(CORE + EXTRAS["test"])


@pytest.mark.sweep
def test_all_tests_and_the_benchmarks_import_what_the_extra_check_brings():
    """But for cleanlab, with which a benchmark compares where somebody has installed it, and for
    the programs of tests/exports, which have environments of their own.
    """
    exports = sources_of("tests/exports")
    sources = [source for source in sources_of("tests") if source not in exports]
    modules = imported_modules(sources) - {"cleanlab"}
    assert packages_of(modules) <= closure(CORE + EXTRAS["check"])


def test_what_make_test_does_not_read_is_marked_by_its_folder():
    files = (ROOT / "tests").rglob("test_*.py")
    folders = {path.relative_to(ROOT / "tests").parts[0] for path in files}
    read_by_make_test = {folder.removeprefix("tests/") for folder in folders_of_make_test()}
    assert folders - read_by_make_test <= set(FOLDER_MARKS)


@pytest.mark.slow
def test_the_core_works_where_nothing_else_can_be_imported():
    """In a process that sees no package beyond the core and TensorFlow. `make check-pythons` does
    it with no other one installed.
    """
    allowed = closure(CORE + EXTRAS["tensorflow"])
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


def test_the_core_and_each_extra_have_an_environment():
    assert f"\nENVIRONMENTS = {' '.join(TARGETS)}\n" in read("Makefile")


@pytest.mark.parametrize("target", TARGETS)
def test_a_target_takes_what_stands_under_its_name(target):
    recipe = re.search(r"awk '(.*)' requirements.lock > \$@.txt", read("Makefile"))[1]
    script = recipe.replace("$(@F)", target).replace("$$", "$")
    command = ["awk", script, "requirements.lock"]
    taken = subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout
    names = {
        canonicalize_name(line.partition("==")[0])
        for line in re.findall(r"^[a-z0-9].*==", taken, re.M)
    }
    assert names == {name for _, name, *_ in entries_of(target)}
    assert set(specifiers(TARGETS[target])) <= names


@pytest.mark.locked
@targets
def test_a_target_installs_what_it_needs_and_nothing_more(target):
    """All that its packages and the installation of camkit ask for on this machine, and none
    besides, stands in the lock under its name.
    """
    here = {
        name
        for _, name, _, marker, _ in entries_of(target)
        if not marker or Marker(marker).evaluate()
    }
    assert here == closure([*TARGETS[target], *PYPROJECT["build-system"]["requires"]])


def test_the_lock_has_hashes_and_no_addresses():
    assert all(hashes for *_, hashes in lock_entries())
    text = read("requirements.lock")
    assert "://" not in text and " @ " not in text and "\n-" not in text


@pytest.mark.locked
def test_the_installed_versions_are_the_locked_ones():
    for name in specifiers(CORE):
        assert metadata.version(name) in locked_versions(name), f"{name}: see `make test`"
