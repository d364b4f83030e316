"""What users see of the package: every public function is typed and has an example; the code reads
at sight.
"""

import ast
import builtins
import doctest
import inspect

import nodes
import pytest
from repository import ROOT

import camkit

PARTS = ("export", "localize", "whole_object", "scenes", "plots")


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


def documented(value):
    """Return the docstrings with examples of a public object and of its public methods."""
    members = []
    if inspect.isclass(value):
        members = [member for key, member in vars(value).items() if not key.startswith("_")]
    texts = [inspect.getdoc(each) or "" for each in (value, *members)]
    return [text for text in texts if ">>> " in text]


def missing_names(code):
    """Return the names that code reads and that it neither imports nor assigns."""
    read = set()
    defined = set(dir(builtins))
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            read.add(node.id)
        elif isinstance(node, ast.Name):
            defined.add(node.id)
        elif isinstance(node, ast.alias):
            imported = node.asname or node.name
            defined.add(imported.split(".")[0])
        elif isinstance(node, ast.arg):
            defined.add(node.arg)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef | ast.ExceptHandler):
            defined.add(node.name)
    return read - defined


@public
def test_every_example_runs_when_it_is_pasted(name):
    """It imports or assigns every name that it uses, and stands below a heading."""
    for text in documented(PUBLIC[name]):
        examples = doctest.DocTestParser().get_examples(text)
        code = "".join(example.source for example in examples)
        assert missing_names(code) == set(), f"{name}:\n{code}"
        heading = text[: text.index(">>> ")].splitlines()[-2]
        assert heading == "Example:", f"{name} ends {heading!r} before its example"


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
