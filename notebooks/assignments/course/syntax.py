"""What can be told of a cell's source without running it."""

import ast
import re
import symtable
import warnings
from functools import lru_cache

# Lines of IPython's, as it reads them: magics, shell commands, and questions for help.
IPYTHON_LINE = re.compile(r"^([ \t]*)((?:[\w, ]+=[ \t]*)?[%!?].*|[\w.]+\?{1,2})$", re.M)


def normalized(source: str) -> str:
    r"""Return a source without blanks at the ends of its lines, and without blank lines around it.

    >>> normalized("a = 1 \r\n\r\nb = 2\n")
    'a = 1\n\nb = 2'
    """
    lines = [line.rstrip() for line in source.split("\n")]
    return "\n".join(lines).strip("\n")


def same(source: str, other: str) -> bool:
    """Return whether two sources differ in nothing but layout and comments.

    >>> same("a = 'x'  # a letter", 'a = "x"')
    True
    """
    if normalized(source) == normalized(other):
        return True
    trees = [_tree(source), _tree(other)]
    return None not in trees and ast.dump(trees[0]) == ast.dump(trees[1])


def is_python(source: str) -> bool:
    """Return whether a source can run; magics and shell commands may stand in it."""
    return _tree(source) is not None


def is_prose(source: str) -> bool:
    """Return whether a source is a text: comments, a string, or no Python at all.

    >>> is_prose("The sums swap."), is_prose("# The sums swap."), is_prose("sums = 3")
    (True, True, False)
    """
    tree = _tree(source)
    if tree is None:
        return True
    values = [node.value for node in tree.body if isinstance(node, ast.Expr)]
    texts = [value for value in values if isinstance(value, ast.Constant)]
    return len(texts) == len(tree.body)


def functions(source: str) -> frozenset[str]:
    """Return the functions and classes that a source defines, by `def` or by another name for one.

    >>> sorted(functions("def one(x): pass\\ntwo = lambda x: x\\nthree = np.mean\\nx = one(3)"))
    ['one', 'three', 'two']
    >>> sorted(functions("four: Callable = lambda x: x\\nfive: int = 5"))
    ['four']
    """
    return frozenset(_definitions(source))


def written_functions(source: str) -> frozenset[str]:
    """Return the functions that a source defines and not only declares, as stubs do.

    >>> written_functions("def one(x): raise NotImplementedError") == frozenset()
    True
    """
    definitions = _definitions(source)
    return frozenset(name for name, node in definitions.items() if not _is_stub(node))


def defines(source: str, name: str) -> bool:
    """Return whether a source gives a value to a name, other than within a function.

    >>> defines("import numpy as np\\none = two = 3", "two"), defines("def one(): two = 3", "two")
    (True, False)
    """
    tree = _tree(source)
    if tree is None:
        return False
    table = symtable.symtable(ast.unparse(tree), "<cell>", "exec")
    return name in table.get_identifiers() and table.lookup(name).is_assigned()


def declarations(source: str, given: str) -> str:
    """Return the imports, functions and constants of a source that a given one does not have.

    >>> declarations("import os, re\\nSEED = 3\\nTINY = 1e-9\\ntrain()", "import os\\nSEED = 2")
    'import os, re\\nTINY = 1e-09'
    """
    tree = _tree(source)
    other = _tree(given)
    if tree is None or other is None:
        return ""
    known = {ast.dump(node) for node in other.body}
    names = {node.id for node in ast.walk(other) if isinstance(node, ast.Name)}
    kept = []
    for node in tree.body:
        match node:
            case ast.Import() | ast.ImportFrom() | ast.FunctionDef() | ast.ClassDef():
                is_new = ast.dump(node) not in known
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant()):
                is_new = name not in names
            case _:
                is_new = False
        if is_new:
            kept.append(ast.unparse(node))
    return "\n".join(kept)


def _definitions(source: str) -> dict[str, ast.stmt]:
    """Return {name: the statement that defines it last} of functions and classes."""
    tree = _tree(source)
    definitions: dict[str, ast.stmt] = {}
    for node in tree.body if tree else []:
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                definitions[name] = node
            case ast.Assign(targets=targets, value=ast.Lambda() | ast.Name() | ast.Attribute()):
                names = [target.id for target in targets if isinstance(target, ast.Name)]
                definitions |= dict.fromkeys(names, node)
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.Lambda()):
                definitions[name] = node
    return definitions


def _is_stub(node: ast.stmt) -> bool:
    """Return whether a function does nothing but raise NotImplementedError."""
    if not isinstance(node, ast.FunctionDef):
        return False
    body = [line for line in node.body if not isinstance(line, ast.Expr)]
    return len(body) == 1 and "NotImplementedError" in ast.unparse(body[0])


@lru_cache(maxsize=4096)
def _tree(source: str) -> ast.Module | None:
    """Return the syntax tree of a source, None if it is no Python."""
    as_python = IPYTHON_LINE.sub(lambda line: f"{line[1]}_ = {line[2]!r}", source)
    for text in (source, as_python):
        try:
            # Python warns of odd escapes in strings.
            with warnings.catch_warnings(action="ignore"):
                return ast.parse(text)
        # The last two are raised where expressions are nested too deeply.
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
    return None
