"""Run an assignment's cells: the student's in the notebook, the tests beside it.

A test takes the student's functions from the notebook and nothing else: it has a namespace,
builtins and checks of its own, and what the given cells have defined. So a trial cell with
`sum = 0`, `from numpy import *` or `checks.agree = print` has no effect beyond itself.

This file is also the program of the kernel (see `main`), where no other module of the course can be
imported: it needs the standard library, NumPy and, as a kernel, ipykernel.
"""

import ast
import builtins
import importlib
import importlib.util
import io
import math
import os
import sys
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

HIDDEN_TESTS = "### BEGIN HIDDEN TESTS"

# The kinds of cells; grading writes one into the first line of what it sends to the kernel.
GIVEN = "# course: given"
TEST = "# course: test"
OWN = "# course: own"

# What is printed where a cell has replaced a library's function.
REPLACED = "It replaces functions of libraries, which were put back: "

# Drawing replaces functions of its own, and no test needs them.
NOT_WATCHED = ("matplotlib",)


def load_checks(path: Path) -> ModuleType:
    """Return the teacher's checks, loaded under a name that no notebook imports."""
    spec = importlib.util.spec_from_file_location("_checks_of_the_course", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def imported_by(tests: Iterable[str]) -> list[str]:
    """Return the modules that tests import, among names of what may be one.

    >>> imported_by(["from scipy.special import softmax", "import numpy as np"])
    ['numpy', 'scipy.special', 'scipy.special.softmax']
    """
    names = set()
    for source in tests:
        with suppress(SyntaxError):
            for node in ast.walk(ast.parse(source)):
                if isinstance(node, ast.Import):
                    names |= {alias.name for alias in node.names}
                elif isinstance(node, ast.ImportFrom) and node.module:
                    names |= {node.module, *(f"{node.module}.{one.name}" for one in node.names)}
    return sorted(name for name in names if name.partition(".")[0] != "checks")


def execute(source: str, namespace: dict) -> object:
    """Run source code and return the value of its last line, as a cell does; None without one."""
    body = ast.parse(source).body
    last = body.pop() if body and isinstance(body[-1], ast.Expr) else None
    exec(compile(ast.Module(body, []), "<cell>", "exec"), namespace)
    if last is None:
        return None
    return eval(compile(ast.Expression(last.value), "<cell>", "eval"), namespace)


class Guarded(ModuleType):
    """The class of a module while a test runs: nothing in it is replaced, by no thread either."""

    def __setattr__(self, name: str, value: object) -> None:
        """Set an attribute that is new.

        Raises:
            AttributeError: If there is one of this name.
        """
        if name in vars(self):
            raise AttributeError(f"{self.__name__}.{name} is not to be replaced while a test runs")
        super().__setattr__(name, value)


class Attempt(NamedTuple):
    """What came of a test: the value of its last line, or the error, and what was printed."""

    value: object
    error: Exception | None
    printed: str

    @property
    def points(self) -> float:
        """The points as nbgrader counts them: all, unless there is an error or a number."""
        if self.error:
            return -math.inf
        return self.value if isinstance(self.value, (int, float)) else math.inf

    def give(self) -> object:
        """Print what was printed, and raise the error or return the value."""
        print(self.printed, end="")
        if self.error:
            raise self.error
        return self.value


class Bench:
    """A notebook's namespace, and what tests use in place of it.

    Args:
        namespace: The variables of the notebook.
        checks: The teacher's checks, as `load_checks` returns them.
        given: The names that the given cells have bound so far.
    """

    def __init__(self, namespace: dict, checks: ModuleType, given: dict | None = None) -> None:
        import numpy

        self.namespace = namespace
        self.checks = checks
        self.given = dict(given or {})
        self.is_testing = False
        self._bound_by_tests: dict[str, object] = {}
        self._not_students = (dict(namespace), self.given, self._bound_by_tests)
        self._originals: dict[ModuleType, tuple[tuple[str, object], ...]] = {}
        self._builtins = dict(vars(builtins))
        self._builtins["__import__"] = self._import
        checks.AFTER_CALL = self.put_back
        for module in (builtins, numpy, numpy.linalg, numpy.random, checks):
            self.watch(module)

    def _import(self, name: str, *arguments, **options) -> ModuleType:
        """Import a module for a test: its checks are the teacher's."""
        return self.checks if name == "checks" else __import__(name, *arguments, **options)

    def watch(self, module: ModuleType) -> None:
        """Remember the public functions of a module, and of the teacher's checks all."""
        if module not in self._originals and not module.__name__.startswith(NOT_WATCHED):
            is_checks = module is self.checks
            # No dictionary: a cell could find it, and change what is put back.
            self._originals[module] = tuple(
                (name, value)
                for name, value in vars(module).items()
                if is_checks or (callable(value) and (name[0] != "_" or name == "__import__"))
            )

    def watch_imports(self, names: Iterable[str]) -> None:
        """Import modules and remember their functions; one that is missing is left to its test."""
        for name in names:
            with suppress(Exception):
                self.watch(importlib.import_module(name))

    def put_back(self) -> list[str]:
        """Put back the functions of libraries that were replaced, and return their names."""
        replaced = []
        for module, functions in self._originals.items():
            current = vars(module)
            for name, function in functions:
                if current.get(name) is not function:
                    current[name] = function
                    replaced.append(f"{module.__name__}.{name}")
        return replaced

    @contextmanager
    def _testing(self) -> Iterator[None]:
        """Context manager: run a test, with functions of libraries as they were, and guarded."""
        modules = [module for module in self._originals if type(module) is ModuleType]
        for module in modules:
            module.__class__ = Guarded
        self.put_back()
        self.is_testing = True
        try:
            yield
        finally:
            self.is_testing = False
            for module in modules:
                module.__class__ = ModuleType
            self.put_back()

    @contextmanager
    def given_cell(self) -> Iterator[None]:
        """Context manager: run a given cell, which finds what given cells have defined.

        What the student has put in the place of builtins or of given names is back afterwards.
        """
        namespace = self.namespace
        shadowed = self._shadowed()
        for name in shadowed:
            del namespace[name]
        namespace.update(self.given)
        before = dict(namespace)
        try:
            yield
        finally:
            for name, value in namespace.items():
                if not name.startswith("_") and before.get(name, before) is not value:
                    self._give(name, value)
            namespace.update(
                {name: value for name, value in shadowed.items() if name not in namespace}
            )

    def _give(self, name: str, value: object) -> None:
        """Note a name that a given cell has bound."""
        self.given[name] = value
        if isinstance(value, ModuleType):
            self.watch(value)

    def _shadowed(self) -> dict[str, object]:
        """Return the student's names that hide builtins."""
        return {
            name: value
            for name, value in self.namespace.items()
            if name in self._builtins and not name.startswith("__") and name not in self.given
        }

    def run_test(self, source: str) -> object:
        """Run a test and return the value of its last line.

        Where names of the student's hide builtins or given names, the better of two runs counts:
        one with these names, which an answer may need, and one without them, since an answer may
        call `sum` where a trial cell has said `sum = 0`.
        """
        hidden = self._hidden()
        if not hidden:
            return self._run_test(source)
        runs = [self._attempt(source)]
        for name in hidden:
            del self.namespace[name]
        self.namespace.update(self.given)
        try:
            runs.append(self._attempt(source))
        finally:
            self.namespace.update(hidden)
        return max(runs, key=lambda run: run.points).give()

    def _attempt(self, source: str) -> "Attempt":
        """Run a test and return what came of it, unless it was interrupted."""
        printed = io.StringIO()
        try:
            with redirect_stdout(printed):
                value = self._run_test(source)
        except Exception as error:
            return Attempt(None, error, printed.getvalue())
        return Attempt(value, None, printed.getvalue())

    def _hidden(self) -> dict[str, object]:
        """Return the student's names that hide builtins or what given cells have defined."""
        namespace = self.namespace
        names = self._shadowed().keys() | (self.given.keys() & namespace.keys())
        hidden = {}
        for name in names:
            # The kernel begins with an `exit` of its own.
            others = [known[name] for known in self._not_students if name in known]
            if all(namespace[name] is not other for other in others):
                hidden[name] = namespace[name]
        return hidden

    def _run_test(self, source: str) -> object:
        """Run a test once.

        Names that its visible part defines are the notebook's, too, as they are for students.
        """
        visible, _, hidden = source.partition(HIDDEN_TESTS)
        with self._testing():
            shadowed = self._shadowed()
            names = {name: value for name, value in self.namespace.items() if name not in shadowed}
            names |= self.given | {"__builtins__": self._builtins}
            before = dict(names)
            try:
                value = execute(visible, names)
                for name, bound in names.items():
                    if before.get(name, before) is bound:
                        continue
                    if getattr(bound, "__module__", None) != self.checks.__name__:
                        self.namespace[name] = bound
                        self._bound_by_tests[name] = bound
                return execute(hidden, names) if hidden else value
            except BaseException as error:
                # The kernel keeps the error, and with it what a function filled the memory with.
                traceback.clear_frames(error.__traceback__)
                raise


# --- the kernel

# The modules that tests import, for the kernel: what a cell replaces there is put back.
IMPORTS_VARIABLE = "COURSE_TEST_IMPORTS"

# Audit events by which code gets at the frames that call it, or at any object.
LOOKS = (
    "sys._getframe",
    "sys._current_frames",
    "sys.setprofile",
    "sys.settrace",
    "gc.get_objects",
    "gc.get_referrers",
    "gc.get_referents",
)
FRAME_ATTRIBUTES = ("tb_frame", "gi_frame", "cr_frame", "ag_frame")
# What hands its caller a frame.
LOOKERS = ("inspect", "logging")
LOOKED = "Your code looks at the program that grades it"


def refuse_to_be_looked_at(bench: Bench) -> None:
    """Let no code of a cell look, while a test runs, for what that test knows."""
    is_busy = False

    def hook(event: str, arguments: tuple) -> None:
        nonlocal is_busy
        is_look = event in LOOKS or (
            event == "object.__getattr__" and arguments[1] in FRAME_ATTRIBUTES
        )
        if not is_look or is_busy or not bench.is_testing:
            return
        is_busy = True
        try:
            frame = sys._getframe(1)
        finally:
            is_busy = False
        if frame.f_globals.get("__name__") in LOOKERS:
            frame = frame.f_back
        if frame.f_globals is bench.namespace:
            raise RuntimeError(LOOKED)

    sys.addaudithook(hook)


def main() -> None:
    """Run a kernel for a notebook, whose folder is the current one."""
    from ipykernel.ipkernel import IPythonKernel
    from ipykernel.kernelapp import IPKernelApp

    folder = os.getcwd()
    checks_path = Path(__file__).with_name("checks.py")
    names_of_imports = os.environ.pop(IMPORTS_VARIABLE, "").split()

    class Kernel(IPythonKernel):
        """A kernel that runs tests on a bench, and in which a cell leaves no mess."""

        async def do_execute(
            self, code: str, silent: bool, store_history: bool = True, *rest, **more
        ):
            """Run a cell, whose first line is its kind."""
            kind, _, source = code.partition("\n")
            with _surroundings(bench, kind, source) as runs:
                keeps = store_history and kind != TEST
                return await super().do_execute(runs, silent, keeps, *rest, **more)

    @contextmanager
    def _surroundings(bench: Bench, kind: str, source: str) -> Iterator[str]:
        """Context manager: yield what the kernel is to run for a cell."""
        namespace = bench.namespace
        try:
            if kind == TEST:

                def run_test() -> object:
                    # The source of a test is in no variable of the notebook and not in its history.
                    del namespace["__test__"]
                    return bench.run_test(source)

                namespace["__test__"] = run_test
                yield "__test__()"
            elif kind == GIVEN:
                with bench.given_cell():
                    yield source
            else:
                bench.watch_imports(names_of_imports)
                names_of_imports.clear()
                yield source
        finally:
            namespace.pop("__test__", None)
            os.chdir(folder)
            replaced = bench.put_back()
            if replaced:
                print(REPLACED + ", ".join(replaced))

    app = IPKernelApp.instance(kernel_class=Kernel)
    app.initialize(sys.argv[1:])
    shell = app.kernel.shell
    # `exit()` in a cell ends nothing: the kernel would go a moment later, in the midst of another.
    shell.ask_exit = lambda: None
    bench = Bench(shell.user_ns, load_checks(checks_path))
    bench.watch(importlib.import_module("checks"))
    refuse_to_be_looked_at(bench)
    app.start()


if __name__ == "__main__":
    main()
