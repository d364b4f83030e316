"""What can be told of a cell's source without running it."""

import ast
import re
import warnings
from functools import lru_cache

# Lines of IPython's: magics and shell commands.
IPYTHON_LINE = re.compile(r"^([ \t]*)([%!?].*)$", re.M)


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
    """
    tree = _tree(source)
    names = set()
    for node in tree.body if tree else []:
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                names.add(name)
            case ast.Assign(targets=targets, value=ast.Lambda() | ast.Name() | ast.Attribute()):
                names.update(target.id for target in targets if isinstance(target, ast.Name))
    return frozenset(names)


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
