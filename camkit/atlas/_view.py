"""The view as text: its stylesheet, and its ES modules joined into one.

A page on disk may not import modules, and a notebook accepts only one. So the modules in `view/`
are joined here. They follow four rules, which make that easy:

- an import stands at the start of a line and reads `import { name, other } from "./module.js";`;
- only declarations are exported (`export function`, `export class`, `export const`), and the entry
  may have an `export default`;
- no name is declared at the top level of two modules;
- imports form no circle.
"""

import re
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).with_name("view")

IMPORT = re.compile(r'^import \{[^}]*\} from "\./([\w-]+\.js)";\n', re.MULTILINE)
DECLARATION = re.compile(
    r"^(export )?((?:async function|function|class|const|let) (\w+))", re.MULTILINE
)
LEFT_OVER = re.compile(r"^(import |export (?!default )).*", re.MULTILINE)


@cache
def stylesheet() -> str:
    """Return the CSS of the view."""
    sheets = ("atlas.css", "play.css")
    return "".join((FOLDER / name).read_text(encoding="utf-8") for name in sheets)


@cache
def joined(entry: str, folder: Path = FOLDER) -> str:
    """Return a module and everything that it imports, joined into one module.

    Args:
        entry: The file name of the module.
        folder: The folder of the modules.

    Returns:
        JavaScript without imports, each module after those that it imports. Its only export is the
        entry's default export, if it has one.

    Raises:
        ValueError: If a module does not follow the rules above.

    >>> joined("csv.js").splitlines()[0]
    '// Tables as text.'
    """
    sources: dict[str, str] = {}
    _collect(entry, folder, sources, importers=())
    _check_names(sources)
    return "\n".join(_without_module_syntax(name, source) for name, source in sources.items())


def _collect(name: str, folder: Path, sources: dict[str, str], importers: tuple[str, ...]) -> None:
    """Add the module `name` to `sources`, after those that it imports."""
    if name in importers:
        circle = " → ".join([*importers, name])
        raise ValueError(f"the modules of the view import one another in a circle: {circle}")
    if name in sources:
        return
    source = (folder / name).read_text(encoding="utf-8")
    for imported in IMPORT.findall(source):
        _collect(imported, folder, sources, (*importers, name))
    sources[name] = source


def _check_names(sources: dict[str, str]) -> None:
    """Raise ValueError if two modules declare the same name at the top level."""
    declared: dict[str, str] = {}
    for module, source in sources.items():
        for _, _, name in DECLARATION.findall(source):
            if name in declared:
                raise ValueError(f"{declared[name]} and {module} both declare {name}: rename one")
            declared[name] = module


def _without_module_syntax(name: str, source: str) -> str:
    """Return the source of a module without its imports and the word `export`."""
    source = IMPORT.sub("", source)
    source = DECLARATION.sub(r"\2", source)
    if left_over := LEFT_OVER.search(source):
        raise ValueError(f"{name} has a line that cannot be joined: {left_over[0]}")
    return source
