"""An environment for a student's code, which cannot change the teacher's.

It is a Python environment of its own that sees the teacher's packages: `%pip install` writes into
it, and pip refuses to remove what lies outside. Where Linux allows it, the teacher's packages and
the project are mounted read-only besides, and the folders of the year and of the assignments are
hidden.
"""

import importlib.machinery
import os
import shutil
import site
import subprocess
import sys
import sysconfig
import tempfile
import venv
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from course import bench, sources

# Runs a command after mounts: "ro PATH" is to be read only, "hide PATH" is to be empty. The command
# has no right to undo it.
MOUNT = """
while [ "$1" != -- ]; do
    case "$1" in
        ro) mount --bind "$2" "$2" && mount -o remount,bind,ro "$2" || exit 1;;
        hide) mount -t tmpfs none "$2" || exit 1;;
    esac
    shift 2
done
shift
exec setpriv --bounding-set=-all --inh-caps=-all "$@"
"""

# The folders of the package and of the site's modules: `python -m course` has them on its path.
COURSE_PATH = (sources.CAMKIT, sources.CAMKIT.parent / "site")

# What stands beside the notebook or in the kernel's program, and what is installed from a folder.
COURSE_MODULES = ("bench", "camkit", "checks", "course", "nbgrader_config")

# Where pip and conda would write in place of the environment that they run in.
ELSEWHERE = ("PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_USER", "PYTHONUSERBASE", "PYTHONHOME")


class Environment(NamedTuple):
    """How to start a kernel: in which folder, the command but for its arguments, the variables."""

    room: Path
    command: list[str]
    variables: dict[str, str]


def make_environment(
    folder: Path, hidden: Sequence[Path] = (), modules: Sequence[Path] = ()
) -> Environment:
    """Make an environment in a temporary folder and return how to start a kernel there.

    The kernel's folder holds checks.py, which is found wherever a cell has gone, and no notebook.

    Args:
        folder: The temporary folder.
        hidden: Folders that student code finds empty, where mounts are allowed.
        modules: Python files that the student handed in, for the kernel's folder.

    Raises:
        OSError: If it cannot be made: student code would run in the teacher's environment.
    """
    place = folder / "environment"
    try:
        venv.EnvBuilder(symlinks=True, with_pip=False).create(place)
    except (Exception, SystemExit) as error:
        raise OSError(
            f"no environment for students' code can be made in {folder} ({error}): install "
            "Python's module venv; in your own a student's %pip install would change your packages"
        ) from error
    python = place / "bin" / "python"
    own = sysconfig.get_path("purelib", "venv", {"base": place, "platbase": place})
    lines = [f"import site; site.addsitedir({path!r})" for path in _package_folders()]
    (Path(own) / "teacher.pth").write_text("\n".join(lines) + "\n", encoding="utf-8")
    for name in ("pip", "pip3"):
        script = place / "bin" / name
        script.write_text(f'#!/bin/sh\nexec "{python}" -m pip "$@"\n')
        script.chmod(0o755)

    room = folder / "room"
    program = folder / "program"
    for made in (room, program):
        made.mkdir()
        shutil.copy(sources.checks_path(), made)
    for module in modules:
        shutil.copy(module, room)
    shutil.copy(bench.__file__, program)
    # -P: what lies beside the program cannot be imported.
    command = [*_mounts(hidden), str(python), "-P", str(program / "bench.py")]
    return Environment(room, command, _variables(place, folder, room))


def is_taken(module: str) -> bool:
    """Return whether Python, a library or the course has a module of this name.

    The kernel's folder stands first where modules are looked for.
    """
    name = module.casefold()
    if name in sys.stdlib_module_names or name in COURSE_MODULES:
        return True
    folders = [*teachers_folders(), *_package_folders()]
    finder = importlib.machinery.PathFinder
    return any(finder.find_spec(one, folders) for one in {name, module})


def teachers_folders() -> list[str]:
    """Return the folders of modules in PYTHONPATH, but for those of the course."""
    search_path = os.environ.get("PYTHONPATH", "")
    folders = [Path(folder).resolve() for folder in search_path.split(os.pathsep) if folder]
    return [str(folder) for folder in folders if folder not in COURSE_PATH]


def _package_folders() -> list[str]:
    """Return the folders of this process's packages."""
    folders = site.getsitepackages()
    if site.ENABLE_USER_SITE:
        folders.append(site.getusersitepackages())
    return [folder for folder in folders if os.path.isdir(folder)]


def _variables(place: Path, folder: Path, room: Path) -> dict[str, str]:
    """Return the variables of a process in the environment at `place`."""
    variables = {name: value for name, value in os.environ.items() if name not in ELSEWHERE}
    commands = [str(place / "bin"), variables.get("PATH", os.defpath)]
    modules = [str(room), variables.get("PYTHONPATH", "")]
    return variables | {
        "PATH": os.pathsep.join(commands),
        "PYTHONPATH": os.pathsep.join(filter(None, modules)),
        "VIRTUAL_ENV": str(place),
        "CONDA_PREFIX": str(place),
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "IPYTHONDIR": str(folder / "ipython"),
    }


def prefix_if_allowed(prefix: list[str]) -> list[str]:
    """Return a command prefix, [] where the system lacks its commands or does not allow them."""
    try:
        trial = subprocess.run([*prefix, "true"], capture_output=True)
    except FileNotFoundError:
        return []
    return prefix if trial.returncode == 0 else []


def _mounts(hidden: Sequence[Path]) -> list[str]:
    """Return a command prefix that mounts the teacher's folders; [] where that is not allowed."""
    arguments = []
    temporary = Path(tempfile.gettempdir()).resolve()
    for path in {Path(sys.prefix).resolve(), sources.CAMKIT.parents[1]}:
        if not temporary.is_relative_to(path):
            arguments += ["ro", str(path)]
    for path in {*hidden, sources.HERE, sources.CAMKIT}:
        arguments += ["hide", str(path)]
    return prefix_if_allowed(["unshare", "--mount", "sh", "-c", MOUNT, "sh", *arguments, "--"])
