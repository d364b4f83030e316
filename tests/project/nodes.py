"""How dense code is: python tests/project/nodes.py PATH ... prints the expression nodes per line of
each file.

Counted are the nodes of expressions, without those of type hints and docstrings, per line of code,
without docstrings, comments and blank lines.
"""

import ast
import io
import sys
import tokenize
from pathlib import Path

BLANK = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
}


def docstring(node):
    """Return the statement that is a module's, class's or function's docstring, or None."""
    if not isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
        return None
    if ast.get_docstring(node) is None:
        return None
    return node.body[0]


def hints(node):
    """Return the expressions that are a node's type hints."""
    values = [getattr(node, "annotation", None), getattr(node, "returns", None)]
    return [value for value in values if value is not None]


def measure(path):
    """Return (number of expression nodes, number of lines of code) of a Python file."""
    source = Path(path).read_text(encoding="utf-8")
    tree = ast.parse(source)
    ignored_lines = set()
    ignored_nodes = set()
    for node in ast.walk(tree):
        text = docstring(node)
        if text is not None:
            ignored_lines |= set(range(text.lineno, text.end_lineno + 1))
            ignored_nodes.add(text.value)
        for hint in hints(node):
            ignored_nodes |= set(ast.walk(hint))
    lines = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in BLANK:
            lines |= set(range(token.start[0], token.end[0] + 1))
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.expr)]
    counted = [node for node in nodes if node not in ignored_nodes]
    return len(counted), len(lines - ignored_lines)


def python_files(paths):
    """Return all Python files among and below these paths."""
    files = []
    for path in map(Path, paths):
        files += sorted(path.rglob("*.py")) if path.is_dir() else [path]
    return files


def mean(paths):
    """Return the expression nodes per line of code of all files among and below these paths."""
    counts = [measure(path) for path in python_files(paths)]
    nodes = sum(count for count, _ in counts)
    lines = sum(count for _, count in counts)
    return nodes / lines


if __name__ == "__main__":
    for file in python_files(sys.argv[1:]):
        nodes, lines = measure(file)
        print(f"{nodes / max(lines, 1):5.2f} {lines:5d} {file}")
    print(f"{mean(sys.argv[1:]):5.2f}       all")
