"""The rest of the site: the reference, from the docstrings, and a page that searches it and the lessons.

pdoc reads the package; `pages` shows what it found as if it were a lesson. The search page holds all that it looks
through, since a page that was opened from disk may not read other files.
"""

import html
import importlib
import inspect
import json
import re
import textwrap
from pathlib import Path

import nbformat
from nbformat.v4 import new_markdown_cell, new_notebook
from pages import FOLDER, LESSONS, headings, markdown2html, page, page_name, plain
from pdoc import doc

import camkit

INDEX, SEARCH = "camkit.html", "search.html"
RESULTS = '<p role="status">Type a word of a heading, of the text or of the code.</p>\n<ol id="results"></ol>'


def rooms():
    """{room: {name: pdoc's doc of it}}: what is public, by the module that it is called from or was written in."""
    found = {name: {} for name in camkit.__all__ if inspect.ismodule(getattr(camkit, name))}
    for name in camkit.__all__:
        if name not in found:
            module = getattr(camkit, name).__module__
            room = module.split(".")[1]
            found[room if room in found else "cam"][f"camkit.{name}"] = read(module).members[name]
    for room, members in found.items():
        if not members:
            module = read(f"camkit.{room}")
            members |= {
                f"{module.fullname}.{name}": member
                for name, member in module.members.items()
                if isinstance(member, (doc.Function, doc.Class))
                and name[0] != "_"
                and member.taken_from[0] == module.fullname
            }
    return found


def read(module):
    return doc.Module(importlib.import_module(module))


def prose(text, parameters, places):
    """Markdown of a docstring: a parameter that begins a line begins a paragraph, F_k has an index, names are links.

    places: {name: address} of the public names.
    """
    names = "|".join(map(re.escape, parameters))
    text = re.sub(rf"\n *((?:{names})): ", r"\n\n`\1`: ", text) if names else text
    parts = re.split(r"(`[^`]+`)", text)
    for n, part in enumerate(parts):
        if n % 2:
            name = part.strip("`").removesuffix("()")
            parts[n] = f"[{part}]({places[name]})" if name in places else part
        else:
            part = re.sub(r"([\\*_$\[\]#|~])", r"\\\1", html.escape(part, quote=False))
            part = re.sub(r"(?<![\w\\])([A-Za-zα-ωΣ∂])\\_([a-z0-9]{1,2})(?!\w)", r"$\1_{\2}$", part)
            known = r"camkit(?:\.(?!html)\w+|\\_)+"
            parts[n] = re.sub(
                known,
                lambda m: (
                    f"[{m[0]}]({places[name]})"
                    if (name := m[0].replace("\\", "")) in places
                    else m[0]
                ),
                part,
            )
    return "".join(parts)


def entry(name, member, places, level=2):
    """The Markdown of a function, a class or a member: its name, how it is called, what its docstring says."""
    called = member.members.get("__init__") if isinstance(member, doc.Class) else member
    lines, parameters = [f"{'#' * level} `{member.qualname}`"], []
    if isinstance(called, doc.Function) and (called is member or "def __init__" in member.source):
        signature = (
            called.signature if called is member and level == 2 else called.signature_without_self
        )
        call = name + re.sub(r"\( | \)", lambda m: m[0].strip(), " ".join(str(signature).split()))
        lines.append(
            "```python\n" + "\n".join(textwrap.wrap(call, 88, subsequent_indent="    ")) + "\n```"
        )
        parameters = signature.parameters
    lines.append(prose(member.docstring, parameters, places))
    if isinstance(member, doc.Class):
        fields = re.findall(r"^    (\w+): [^#\n]*# (.*)$", member.source, re.M)
        lines += [f"`{field}`: {prose(said, [], places)}" for field, said in fields]
        for one in member.own_members:
            if (
                (one.name[0] != "_" or one.name == "__call__")
                and one.docstring
                and one.name not in dict(fields)
            ):
                call = f"{member.name.lower()}.{one.name}".removesuffix(".__call__")
                lines.append(entry(call, one, places, level + 1))
    return "\n\n".join(lines)


def reference():
    """{file name: notebook} of the reference: a page for each room, and one that lists them and all names."""
    found = rooms()
    places = {
        name: f"camkit.{room}.html#{member.qualname}"
        for room, members in found.items()
        for name, member in members.items()
    }
    places |= {
        name.removeprefix("camkit."): place
        for name, place in places.items()
        if name.count(".") == 1
    }
    made, listed = {}, ["# Reference", prose(camkit.__doc__.partition("\n")[0], [], places)]
    for room, members in found.items():
        title, text = re.match(
            r"(.+?)[:;.]\s+(.*)", read(f"camkit.{room}").docstring + "\n", re.S
        ).groups()
        made[f"camkit.{room}.html"] = [
            f"# {title}: `camkit.{room}`",
            prose(text[:1].upper() + text[1:], [], places),
            *(entry(name, member, places) for name, member in members.items()),
        ]
        rows = [
            f"| [`{member.qualname}`]({places[name]}) | {prose(member.docstring.splitlines()[0], [], places)} |"
            for name, member in members.items()
        ]
        listed += [
            f"## {title}",
            f"[`camkit.{room}`](camkit.{room}.html)",
            "\n".join(["| name | what it is |", "| --- | --- |", *rows]),
        ]
    return {name: notebook_of(texts) for name, texts in {INDEX: listed, **made}.items()}


def notebook_of(texts):
    return new_notebook(cells=[new_markdown_cell(text) for text in texts], metadata={"site": True})


def sections(name, notebook):
    """(address, heading, title of the page, text) of each section of a page, in order."""
    title = plain(headings(notebook)[0][2])
    text = "\n".join(
        markdown2html(cell.source) if cell.cell_type == "markdown" else html.escape(cell.source)
        for cell in notebook.cells
    )
    parts = re.split(r'<h\d id="(.*?)">(.*?)</h\d>', text)[1:]
    return [
        (f"{name}#{html.unescape(at)}", plain(heading), title, " ".join(plain(body).split()))
        for at, heading, body in zip(parts[::3], parts[1::3], parts[2::3])
    ]


def write(folder):
    """Writes the reference and the search page into `folder`, where they are not younger than all that makes them."""
    sources = [
        *FOLDER.glob("*.*"),
        *LESSONS.glob("*.ipynb"),
        *Path(camkit.__file__).parent.rglob("*.py"),
    ]
    made = Path(folder) / SEARCH
    if made.exists() and made.stat().st_mtime > max(path.stat().st_mtime for path in sources):
        return
    site = reference()
    lessons = {
        page_name(path.name): nbformat.read(path, as_version=4)
        for path in sorted(LESSONS.glob("*.ipynb"))
    }
    index = [
        section
        for name, notebook in (lessons | site).items()
        for section in sections(name, notebook)
    ]
    code = (FOLDER / "search.js").read_text(encoding="utf-8")
    data = json.dumps(index, ensure_ascii=False).replace("</", "<\\/")
    script = f'<script type="module">\n{code}\nstartSearch({data});\n</script>'
    site[SEARCH] = notebook_of(["# Search", RESULTS])
    texts = {name: page(notebook, name) for name, notebook in site.items()}
    texts[SEARCH] = texts[SEARCH].replace("</main>", f"</main>\n{script}")
    for name, text in texts.items():
        (Path(folder) / name).write_text(text, encoding="utf-8")
