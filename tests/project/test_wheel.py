"""The wheel and the sdist: what they hold, and camkit as it is where nobody has a clone."""

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest
from repository import PROJECT, ROOT, tracked

NAME = f"camkit-{PROJECT['version']}"
BUILD = (
    "import sys; from setuptools.build_meta import *; out = sys.argv[1]; "
    "build_sdist(out); build_wheel(out)"
)
ENVIRONMENT = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
ENVIRONMENT["JUPYTER_PATH"] = str(
    Path(sys.prefix) / "share" / "jupyter"
)  # the locked kernels and templates


def call(*command, cwd):
    done = subprocess.run(
        list(map(str, command)), cwd=cwd, env=ENVIRONMENT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The folder with wheel and sdist, built from the project's own files alone."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    for path in tracked():
        (source / path.relative_to(ROOT)).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, source / path.relative_to(ROOT))
    call(sys.executable, "-c", BUILD, out, cwd=source)
    return out


@pytest.fixture(scope="module")
def python(built, tmp_path_factory):
    """The Python of a clean environment with the wheel in it. It sees the locked packages and
    nothing of the clone.
    """
    folder = tmp_path_factory.mktemp("clean") / "venv"
    call(sys.executable, "-m", "venv", "--without-pip", folder, cwd=built)
    own = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    call(
        sys.executable,
        "-m",
        "pip",
        "--python",
        own,
        "install",
        "--no-deps",
        "--no-index",
        "--disable-pip-version-check",
        built / f"{NAME}-py3-none-any.whl",
        cwd=built,
    )
    site = call(
        own, "-Ic", "import sysconfig; print(sysconfig.get_paths()['purelib'])", cwd=built
    ).strip()
    # A folder that a .pth names has its own .pth files passed over, and with them the clone's
    # editable install.
    (Path(site) / "locked.pth").write_text(
        sysconfig.get_paths()["purelib"] + "\n", encoding="utf-8"
    )
    return own


def contents(wheel):
    with zipfile.ZipFile(wheel) as file:
        return {name: file.read(name) for name in file.namelist() if not name.endswith("/")}


@pytest.mark.slow
def test_the_wheel_holds_camkit_its_data_and_its_lessons_as_they_are(built):
    files = [path.relative_to(ROOT) for path in tracked()]
    expected = {
        f"camkit/{path}" if path.parts[0] != "camkit" else path.as_posix(): (
            ROOT / path
        ).read_bytes()
        for path in files
        if path.parts[0] in ("camkit", "data")
        and path.parts[:2] != ("data", "make")
        or path.parent in (Path("notebooks"), Path("notebooks/site"), Path("notebooks/records"))
        or path == Path("notebooks/assignments/checks.py")
    }
    held = contents(built / f"{NAME}-py3-none-any.whl")
    assert {name for name in held if not name.startswith("camkit/")} == {
        *(
            f"{NAME}.dist-info/{name}"
            for name in ("METADATA", "WHEEL", "RECORD", "top_level.txt", "entry_points.txt")
        ),
        *(
            f"{NAME}.dist-info/licenses/{folder}LICENSE"
            for folder in ("", "camkit/atlas/engine/", "data/", "notebooks/")
        ),
        f"{NAME}.dist-info/licenses/camkit/atlas/engine/ThirdPartyNotices.txt",
        f"{NAME}.dist-info/licenses/data/LICENSE-WordNet",
    }
    held = {name: content for name, content in held.items() if name.startswith("camkit/")}
    assert set(held) == set(expected)
    assert [name for name in held if held[name] != expected[name]] == []


@pytest.mark.slow
def test_the_sdist_holds_what_git_does_and_makes_the_same_wheel(built, tmp_path):
    with tarfile.open(built / f"{NAME}.tar.gz") as file:
        held = {member.name.partition("/")[2] for member in file if member.isfile()}
    own = {
        name
        for name in held
        if name in ("PKG-INFO", "setup.cfg") or name.startswith("camkit.egg-info/")
    }
    assert held - own == {path.relative_to(ROOT).as_posix() for path in tracked()}
    call(
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
        "--disable-pip-version-check",
        "--wheel-dir",
        tmp_path,
        built / f"{NAME}.tar.gz",
        cwd=tmp_path,
    )
    wheel = f"{NAME}-py3-none-any.whl"
    assert contents(tmp_path / wheel) == contents(built / wheel)


@pytest.mark.slow
def test_camkit_works_without_a_clone(python, tmp_path):
    code = (
        "import camkit, pathlib, sys\n"
        "here = pathlib.Path(camkit.__file__).resolve().parent\n"
        "images = camkit.load_images()\n"
        "model = camkit.gap_classifier(camkit.backbone('mini'), images.class_names)\n"
        "out = camkit.CAM(model)(images[0][None])\n"
        "print(here.is_relative_to(pathlib.Path(sys.prefix).resolve()), "
        "images.root.relative_to(here).as_posix(),"
        " len(images), out.gap.shape, bool(out.gap.any()), sys.argv[1] in sys.path)"
    )
    said = call(python, "-Ic", code, ROOT, cwd=tmp_path).strip()
    assert said == "True data/mini-fruits 240 (1, 96) True False"


@pytest.mark.lesson
def test_lessons_are_copied_and_run_without_a_clone(python, tmp_path):
    said = call(python, "-Im", "camkit", "lessons", "mine", cwd=tmp_path)
    lessons = list((ROOT / "notebooks").glob("*.ipynb"))
    assert said.startswith(f"{len(lessons)} lessons: jupyter lab ")
    call(python, tmp_path / "mine" / "notebooks" / "site", "00", cwd=tmp_path)
    assert (tmp_path / "mine" / "build" / "index.html").is_file()


@pytest.mark.sweep
def test_tests_pass_without_a_clone(python, tmp_path):
    """The tests of the package, against the installed one."""
    (tmp_path / "test_place.py").write_text(
        "def test_place():\n    import sys, camkit\n"
        "    assert camkit.__file__.startswith(sys.prefix)\n",
        encoding="utf-8",
    )
    command = [python, "-Im", "pytest", "-q", "-m", "not sweep", "-p", "no:cacheprovider"]
    command += ["-n", "2", "--dist", "loadfile", "-c", ROOT / "pyproject.toml"]
    output = call(*command, tmp_path / "test_place.py", ROOT / "tests" / "unit", cwd=tmp_path)
    skipped = [line for line in output.splitlines() if line.startswith("SKIPPED")]
    assert " passed" in output
    assert all("needs ../shared" in line for line in skipped), output
