"""Turn a docstring with Google's sections into Markdown for the reference."""

import html
import re
import textwrap
from collections.abc import Iterator, Mapping
from typing import NamedTuple

# Sections that list names, and sections of running text.
LISTS = ("Args", "Attributes", "Raises")
TEXTS = ("Returns", "Yields", "Example", "Examples", "Note", "References")
SECTION_START = re.compile(rf"({'|'.join(LISTS + TEXTS)}):")

# An item of a list section: its name, then its description with continuation lines indented.
ITEM = re.compile(r"^([\w.*, ]+): (.*(?:\n(?:[ \t].*)?)*)", re.M)

# A doctest: its prompts and whatever stands below them up to a blank line.
DOCTEST = re.compile(r"(^>>> .*(?:\n.+)*)", re.M)

# A symbol with an index, such as F_k, W_kc or Σ_c.
SYMBOL = re.compile(r"(?<![\w\\])([A-Za-zα-ωΣ∂])\\_([a-z0-9]{1,2})(?!\w)")

# A public name outside code; its underscores are escaped.
PUBLIC_NAME = re.compile(r"camkit(?:\.(?!html)\w+|\\_)+")


class Section(NamedTuple):
    """A section of a docstring; the running text between sections has no title."""

    title: str
    body: str


def markdown(docstring: str, addresses: Mapping[str, str]) -> str:
    """Return the Markdown of a docstring.

    Args:
        docstring: The docstring without its indentation.
        addresses: {public name: address of its entry}; these names become links.
    """
    blocks = []
    for section in sections(docstring):
        if section.title:
            blocks.append(f"**{section.title}**")
        if section.title in LISTS:
            blocks.append(item_list(section.body, addresses))
        else:
            blocks += text_and_doctests(section.body, addresses)
    return "\n\n".join(blocks)


def sections(docstring: str) -> Iterator[Section]:
    """Yield the sections of a docstring in order."""
    title = ""
    lines: list[str] = []
    for line in docstring.splitlines():
        start = SECTION_START.fullmatch(line)
        returns_to_text = title and line and not line[0].isspace()
        if start or returns_to_text:
            yield Section(title, body_of(lines))
            title = start[1] if start else ""
            lines = []
        if not start:
            lines.append(line)
    yield Section(title, body_of(lines))


def body_of(lines: list[str]) -> str:
    """Return the lines of a section without their indentation and the blank lines around them."""
    return textwrap.dedent("\n".join(lines)).strip("\n")


def item_list(body: str, addresses: Mapping[str, str]) -> str:
    """Return the Markdown list of a section that describes names."""
    items = ITEM.findall(body)
    if not items:
        return text(body, addresses)
    lines = []
    for name, description in items:
        words = " ".join(description.split())
        lines.append(f"- `{name}`: {text(words, addresses)}")
    return "\n".join(lines)


def text_and_doctests(body: str, addresses: Mapping[str, str]) -> Iterator[str]:
    """Yield the Markdown of running text and of the doctests within it."""
    for part in DOCTEST.split(body):
        if part.startswith(">>> "):
            yield f"```pycon\n{part}\n```"
        elif part.strip():
            yield text(part.strip("\n"), addresses)


def text(prose: str, addresses: Mapping[str, str]) -> str:
    """Return the Markdown of plain prose: symbols have indices, and public names are links."""
    pieces = re.split(r"(`[^`]+`)", prose)
    for position, piece in enumerate(pieces):
        if piece.startswith("`"):
            pieces[position] = linked_code(piece, addresses)
        else:
            pieces[position] = linked_words(piece, addresses)
    return "".join(pieces)


def linked_code(piece: str, addresses: Mapping[str, str]) -> str:
    """Return a piece of code in backticks, as a link if it is a public name."""
    name = piece.strip("`").removesuffix("()")
    return f"[{piece}]({addresses[name]})" if name in addresses else piece


def linked_words(piece: str, addresses: Mapping[str, str]) -> str:
    """Return words outside code, in which nothing is taken for Markdown."""

    def link(match: re.Match) -> str:
        name = match[0].replace("\\", "")
        return f"[{match[0]}]({addresses[name]})" if name in addresses else match[0]

    escaped = html.escape(piece, quote=False)
    escaped = re.sub(r"([\\*_$\[\]#|~])", r"\\\1", escaped)
    escaped = SYMBOL.sub(r"$\1_{\2}$", escaped)
    return PUBLIC_NAME.sub(link, escaped)
