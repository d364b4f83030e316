"""Write the rest of the site: the reference, from the docstrings, and a page that searches it.

pdoc reads the package; `pages` shows the result as if it were a lesson. One script holds the search
with all that it searches, since a page that was opened from disk may run a script beside it and
read no other file.
"""

import html
import importlib
import inspect
import json
import re
import textwrap
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import nbformat
from docstrings import markdown
from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell, new_notebook
from pages import FOLDER, LESSONS, headings, markdown2html, page, page_name, plain
from pdoc import doc

import camkit
from camkit.atlas._view import joined

INDEX = "camkit.html"
# Pages beside the reference: {file: (Markdown file, the words of the link to it)}. The tests write
# the tables of kinds and sources, `make bench PARTS=judge` that of the judge.
BESIDE = {
    "camkit.glossary.html": (
        "glossary.md",
        "Glossary: the terms of the lessons, in English and Chinese",
    ),
    "camkit.notation.html": (
        "notation.md",
        "Notation: what each letter means, and its name in the code",
    ),
    "camkit.references.html": (
        "references.md",
        "References: the papers that the lessons build on",
    ),
    "camkit.territory.html": (
        "territory.md",
        "A map of the territory: which explanation for which question",
    ),
    "camkit.installing.html": (
        "installing.md",
        "Installing: extras, backends, Binder and Colab, and the lessons on Fruits-360",
    ),
    "camkit.your-model.html": (
        "your-model.md",
        "Your own model and photographs: what camkit takes, in Python and in the shell",
    ),
    "camkit.kinds.html": (
        "kinds.md",
        "What camkit reads: each kind of model, and what becomes of it",
    ),
    "camkit.sources.html": (
        "sources.md",
        "What camkit loads: folders, tables, arrays and datasets, and what becomes of each",
    ),
    "camkit.judged.html": (
        "judged.md",
        "Which map can be trusted: the judge on real networks and photographs",
    ),
    "camkit.playground.html": (
        "playground.md",
        "The playground: which engine runs the model in a page, and how exact it is",
    ),
}
SEARCH = "search.html"
RESULTS = (
    '<div class="found">'
    '<p role="status">Type a word of a heading, of the text or of the code.</p>'
    "<ol></ol></div>"
)
SEARCH_SCRIPT = "search.js"

# A field of a class, described by a comment beside it.
FIELD = re.compile(r"^    (\w+): [^#\n]*# (.*)$", re.M)

# In a signature: where Keras keeps a class, which users know by its short name, and the modules of
# the classes of camkit and of paths.
PRIVATE_KERAS = re.compile(r"\bkeras\.src\.(?:\w+\.)+(?=[A-Z])")
MODULE_OF_CLASS = re.compile(r"\b(?:camkit|pathlib)\.(?:\w+\.)*(?=[A-Z])")

# The first sentence of a module's docstring, which is its title, and the rest.
TITLE = re.compile(r"(.+?)[:;.]\s+(.*)", re.S)


class Name(NamedTuple):
    """A public name: what users call it, its part of camkit, and what pdoc knows of it."""

    called: str
    part: str
    member: doc.Doc

    @property
    def address(self) -> str:
        """The address of its entry."""
        return f"camkit.{self.part}.html#{self.member.qualname}"


class Result(NamedTuple):
    """A section of a page, as the search knows it."""

    address: str
    heading: str
    page_title: str
    text: str


def public_names() -> list[Name]:
    """Return the public names, part by part of the package.

    A part's names are those that `camkit` itself has from it. A part of which it has none shows all
    that it makes public, called by the part's name.
    """
    parts = []
    names = []
    for name in camkit.__all__:
        value = getattr(camkit, name)
        if inspect.ismodule(value):
            parts.append(name)
        else:
            part = value.__module__.split(".")[1]
            member = read(value.__module__).members[name]
            names.append(Name(f"camkit.{name}", part, member))
    parts_with_names = {name.part for name in names}
    for part in parts:
        if part not in parts_with_names:
            names += names_of_part(part)
    return sorted(names, key=lambda name: parts.index(name.part))


def names_of_part(part: str) -> Iterator[Name]:
    """Yield the public functions and classes of a part of camkit that were written in it."""
    package = f"camkit.{part}"
    for name, value in inspect.getmembers(importlib.import_module(package)):
        is_callable = inspect.isfunction(value) or inspect.isclass(value)
        if name.startswith("_") or not is_callable:
            continue
        module = value.__module__
        if module == package or module.startswith(f"{package}."):
            member = read(module).members[name]
            yield Name(f"{package}.{name}", part, member)


def read(module: str) -> doc.Module:
    """Return what pdoc knows of a module."""
    return doc.Module(importlib.import_module(module))


def reference() -> dict[str, NotebookNode]:
    """Return the pages of the reference as notebooks, by file name.

    There is a page for each part of camkit, one that lists the parts and all names, and the pages
    beside them.
    """
    names = public_names()
    addresses = {}
    for name in names:
        addresses[name.called] = name.address
        addresses[name.member.qualname] = name.address

    first_line = camkit.__doc__.partition("\n")[0]
    index = ["# Reference", markdown(first_line, addresses)]
    notebooks = {}
    for page_file, (source, words) in BESIDE.items():
        text = (FOLDER / source).read_text(encoding="utf-8")
        notebooks[page_file] = notebook_of([linked_on_the_site(text)])
        index.append(f"[{words}]({page_file})")
    parts = dict.fromkeys(name.part for name in names)
    for part in parts:
        of_part = [name for name in names if name.part == part]
        page_file = f"camkit.{part}.html"
        title, text = part_docstring(part)
        cells = [f"# {title}: `camkit.{part}`", markdown(text, addresses)]
        for name in of_part:
            cells.append(entry(name.called, name.member, addresses))
        notebooks[page_file] = notebook_of(cells)
        index.append(f"## {title}")
        index.append(f"[`camkit.{part}`]({page_file})")
        index.append(table(of_part, addresses))
    return {INDEX: notebook_of(index), **notebooks}


def linked_on_the_site(text: str) -> str:
    """Return a page's Markdown with links to pages of the site in place of files of the clone."""
    for page_file, (source, _) in BESIDE.items():
        text = text.replace(f"]({source}", f"]({page_file}")
    return text.replace("](../", "](")


def part_docstring(part: str) -> tuple[str, str]:
    """Return the title of a part of camkit and what else its docstring says."""
    docstring = read(f"camkit.{part}").docstring
    title, text = TITLE.match(docstring + "\n").groups()
    return title, text[:1].upper() + text[1:]


def table(names: list[Name], addresses: dict[str, str]) -> str:
    """Return the Markdown table of names with the first lines of their docstrings."""
    rows = ["| name | what it is |", "| --- | --- |"]
    for name in names:
        first_line = name.member.docstring.partition("\n")[0]
        link = f"[`{name.member.qualname}`]({name.address})"
        rows.append(f"| {link} | {markdown(first_line, addresses)} |")
    return "\n".join(rows)


def entry(call: str, member: doc.Doc, addresses: dict[str, str], level: int = 2) -> str:
    """Return the Markdown of a function, a class or a member of a class.

    Args:
        call: The name by which it is called.
        member: What pdoc knows of it.
        addresses: {public name: address of its entry}.
        level: The level of its heading.
    """
    blocks = [f"{'#' * level} `{member.qualname}`"]
    signature = signature_of(member)
    if signature is not None:
        blocks.append(f"```python\n{wrapped(call + signature)}\n```")
    blocks.append(markdown(member.docstring, addresses))
    if isinstance(member, doc.Class):
        fields = dict(FIELD.findall(member.source))
        for field, comment in fields.items():
            blocks.append(f"`{field}`: {markdown(comment, addresses)}")
        for method in documented_methods(member, fields):
            instance = member.name.lower()
            method_call = f"{instance}.{method.name}".removesuffix(".__call__")
            blocks.append(entry(method_call, method, addresses, level + 1))
    return "\n\n".join(blocks)


def signature_of(member: doc.Doc) -> str | None:
    """Return how a function or class is called, None for what is not called or made by a user."""
    if isinstance(member, doc.Class):
        makes = member.members.get("__init__")
        if makes is None or "def __init__" not in member.source:
            return None
        signature = makes.signature_without_self
    elif isinstance(member, doc.Function):
        is_method = "." in member.qualname
        signature = member.signature_without_self if is_method else member.signature
    else:
        return None
    words = " ".join(str(signature).split())
    words = PRIVATE_KERAS.sub("keras.", words)
    words = MODULE_OF_CLASS.sub("", words)
    return words.replace("( ", "(").replace(" )", ")")


def wrapped(call: str) -> str:
    """Return a call on lines that are not too wide for a page."""
    return "\n".join(textwrap.wrap(call, 88, subsequent_indent="    "))


def documented_methods(member: doc.Class, fields: Iterable[str]) -> Iterator[doc.Doc]:
    """Yield the public members of a class that have a docstring and are no fields."""
    for method in member.own_members:
        is_public = not method.name.startswith("_") or method.name == "__call__"
        # Python itself writes this docstring for the fields of a named tuple.
        is_field = method.name in fields or method.docstring.startswith("Alias for field")
        if is_public and method.docstring and not is_field:
            yield method


def notebook_of(texts: list[str]) -> NotebookNode:
    """Return a notebook of Markdown cells that is a page of the site."""
    cells = [new_markdown_cell(text) for text in texts]
    return new_notebook(cells=cells, metadata={"site": True})


def results(page_file: str, notebook: NotebookNode) -> list[Result]:
    """Return the sections of a page in order."""
    title = plain(headings(notebook)[0].html)
    cells = []
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cells.append(markdown2html(cell.source))
        else:
            cells.append(html.escape(cell.source))
    # The parts are what stands before the first heading, then of each heading its anchor, its
    # text and what stands below it.
    parts = re.split(r'<h\d id="(.*?)">(.*?)</h\d>', "\n".join(cells))
    anchors = parts[1::3]
    titles = parts[2::3]
    bodies = parts[3::3]
    sections = []
    for anchor, heading, body in zip(anchors, titles, bodies, strict=True):
        address = f"{page_file}#{html.unescape(anchor)}"
        words = " ".join(plain(body).split())
        sections.append(Result(address, plain(heading), title, words))
    return sections


def search_page() -> str:
    """Return the page that searches the lessons and the reference."""
    text = page(notebook_of(["# Search", RESULTS]), SEARCH)
    return text.replace("</main>", f'</main>\n<script src="{SEARCH_SCRIPT}"></script>')


def search_script(site: dict[str, NotebookNode]) -> str:
    """Return the script of all search boxes, with the sections of the lessons and of the site."""
    notebooks = {}
    for path in sorted(LESSONS.glob("*.ipynb")):
        notebooks[page_name(path.name)] = nbformat.read(path, as_version=4)
    sections = []
    for page_file, notebook in (notebooks | site).items():
        sections += results(page_file, notebook)
    data = json.dumps(sections, ensure_ascii=False)
    code = joined(SEARCH_SCRIPT, FOLDER)
    return f'(() => {{\n"use strict";\n{code}\nstartSearch({data});\n}})();\n'


def write(folder: Path) -> None:
    """Write the reference and the search, unless they are younger than all their sources."""
    folder = Path(folder)
    last = folder / SEARCH
    if last.exists() and last.stat().st_mtime > youngest_source():
        return
    site = reference()
    folder.mkdir(parents=True, exist_ok=True)
    for name, notebook in site.items():
        (folder / name).write_text(page(notebook, name), encoding="utf-8")
    (folder / SEARCH_SCRIPT).write_text(search_script(site), encoding="utf-8")
    last.write_text(search_page(), encoding="utf-8")


def youngest_source() -> float:
    """Return when the last change of a source of the reference and the search was."""
    package = Path(camkit.__file__).parent
    code = [*package.rglob("*.py"), *package.rglob("*.pyi")]
    sources = [*FOLDER.glob("*.*"), *LESSONS.glob("*.ipynb"), *code]
    return max(source.stat().st_mtime for source in sources)
