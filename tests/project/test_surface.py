"""What users see of the package: every public function is typed and has an example; the code reads
at sight.
"""

import ast
import inspect

import nodes
import pytest
from repository import ROOT

import camkit

PARTS = ("localize", "whole_object", "scenes", "plots")


def public_objects():
    """Return {name: object} of all public functions and classes: those of camkit and of the parts
    that it names.
    """
    result = {}
    for name in camkit.__all__:
        value = getattr(camkit, name)
        if inspect.isclass(value) or inspect.isroutine(value):
            result[name] = value
    for part in PARTS:
        module = getattr(camkit, part)
        for name in dir(module):
            value = getattr(module, name)
            callable_here = inspect.isclass(value) or inspect.isroutine(value)
            if callable_here and not name.startswith("_"):
                if value.__module__.startswith(f"camkit.{part}"):
                    result[f"{part}.{name}"] = value
    return result


PUBLIC = public_objects()
public = pytest.mark.parametrize("name", PUBLIC)


def routines(value):
    """Return the functions whose hints a user reads: itself, or the public methods that a class
    defines.
    """
    if not inspect.isclass(value):
        return [value]
    members = [member for member in vars(value).values() if inspect.isfunction(member)]
    generated = "<string>"  # where a dataclass or named tuple has its own methods from
    written = [member for member in members if member.__code__.co_filename != generated]
    named = ("__init__", "__call__", "__getitem__", "__len__")
    return [
        member
        for member in written
        if not member.__name__.startswith("_") or member.__name__ in named
    ]


@public
def test_every_parameter_and_result_is_typed(name):
    for routine in routines(PUBLIC[name]):
        signature = inspect.signature(routine)
        untyped = [
            parameter.name
            for parameter in signature.parameters.values()
            if parameter.annotation is inspect.Parameter.empty and parameter.name != "self"
        ]
        assert untyped == [], f"{name}: {routine.__qualname__}"
        if routine.__name__ != "__init__":
            assert signature.return_annotation is not inspect.Signature.empty, routine.__qualname__


@public
def test_every_docstring_has_an_example(name):
    assert ">>> " in (inspect.getdoc(PUBLIC[name]) or ""), f"{name} has no example"


@public
def test_every_docstring_begins_with_a_verb(name):
    """Such as "Return ...": an imperative that says what comes back."""
    value = PUBLIC[name]
    if not inspect.isclass(value):
        first = inspect.getdoc(value).split()[0]
        nominal = first in ("A", "An", "All", "How", "The", "What", "Where", "Which")
        assert first.istitle() and not nominal and not first.endswith("s"), f"{name}: {first}"


def test_the_code_of_the_package_reads_at_sight():
    """At most 4.5 expression nodes in a line: `python tests/project/nodes.py camkit` has them file
    by file.
    """
    assert nodes.mean([ROOT / "camkit"]) <= 4.5


def test_the_stub_names_what_the_package_exports():
    """Editors and type checkers read `__init__.pyi`, Python the names that it lists."""
    tree = ast.parse((ROOT / "camkit" / "__init__.pyi").read_text(encoding="utf-8"))
    imported = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            imported |= {alias.asname for alias in node.names}
    assert imported == set(camkit.__all__)
