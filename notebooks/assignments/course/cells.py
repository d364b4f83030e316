"""Find the cells of a released notebook again in what a student handed in.

Cells are retyped, moved, split, copied and deleted, and some programs drop nbgrader's marks. So it
is the released notebook that is graded: `restore` fills in the student's answers, wherever they
stand, and puts the student's own cells between its cells. No check and no other given cell is taken
from a submission.

A cell is found by its mark, else by its id, else because it reads as it was handed out. If the cell
for a function is blank or gone, any cell that defines this function is the answer. If the cell for
a text is blank or gone, the student's own text beside its place is, or else all the text elsewhere.
"""

import copy
import re
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import NamedTuple

from nbformat import NotebookNode, v4

from course import syntax
from course.marks import mark

# A text with fewer letters, such as a name and a number, is no answer unless it stands in place.
LONG_TEXT = 30


class Restored(NamedTuple):
    """A submission as it is graded.

    Args:
        notebook: The released notebook with the student's answers and own cells.
        answered: The grade ids of the cells that hold an answer.
        remarks: Lines on what had been deleted or changed, and on what was found elsewhere.
    """

    notebook: NotebookNode
    answered: list[str]
    remarks: list[str]


@dataclass(eq=False)
class Piece:
    """A cell of a submission.

    Args:
        cell: The cell.
        number: Which released cell it is; None if it is the student's own.
        is_unchanged: Whether it reads as a cell that was handed out.
        place: Which released cell it follows; -1 if it stands above all.
    """

    cell: NotebookNode
    number: int | None
    is_unchanged: bool
    place: int = -1

    @property
    def source(self) -> str:
        """The source of the cell."""
        return self.cell.source

    @property
    def is_filled(self) -> bool:
        """Whether a student wrote into the cell."""
        return not self.is_unchanged and self.source.strip() != ""


class Answer(NamedTuple):
    """An answer: its source, the pieces that it was taken from, and a remark, or ""."""

    source: str
    pieces: Sequence[Piece]
    remark: str = ""


def restore(submitted: NotebookNode, released: NotebookNode) -> Restored:
    """Return a submission as it is graded.

    Args:
        submitted: What a student handed in.
        released: The notebook as it was handed out.
    """
    pieces = _match(submitted, released)
    texts = _collect_texts(pieces, released)
    answers = {}
    remarks = []
    for number, original in enumerate(released.cells):
        if not mark(original).get("solution"):
            remarks.append(_remark_on_given(number, original, pieces))
            continue
        if number in texts:
            answer = _written_answer(number, original, texts[number])
        else:
            answer = _code_answer(number, original, pieces)
        if answer:
            answers[number] = answer
        remarks.append(answer.remark if answer else _remark_on_blank(number, original, pieces))
    return Restored(
        _compose(released, pieces, answers),
        [_name(released.cells[number]) for number in answers],
        _together([remark for remark in remarks if remark]),
    )


def _together(remarks: Sequence[str]) -> list[str]:
    """Return remarks in which what is said of several cells is one line."""
    names = defaultdict(list)
    for remark in remarks:
        found = re.fullmatch(r"The cell (\S+) (.*)", remark)
        name, said = found.groups() if found else ("", remark)
        names[said].append(name)
    lines = []
    for said, cells in names.items():
        if len(cells) > 1:
            lines.append(f"Each of the cells {', '.join(cells)} {said}")
        else:
            lines.append(f"The cell {cells[0]} {said}" if cells[0] else said)
    return lines


def _name(original: NotebookNode) -> str:
    return mark(original)["grade_id"]


def new_cell(cell_type: str, source: str) -> NotebookNode:
    """Return a cell of a type with a source and nothing else; of an unknown type it is a text."""
    make = {"code": v4.new_code_cell, "raw": v4.new_raw_cell}
    return make.get(cell_type, v4.new_markdown_cell)(source)


def count_known(submitted: NotebookNode, released: NotebookNode) -> int:
    """Return how many of a release's functions and checks a notebook holds, marked or not."""
    pieces = _match(submitted, released)
    known = 0
    for number, original in enumerate(released.cells):
        if mark(original).get("solution"):
            known += bool(_definitions(original, pieces))
        elif mark(original).get("grade"):
            known += any(piece.number == number for piece in pieces)
    return known


# --- which cell is which


def _match(submitted: NotebookNode, released: NotebookNode) -> list[Piece]:
    """Return the cells of a submission, each with the released cell that it is."""
    find = _finder(released)
    pieces = []
    for cell in submitted.cells:
        number = find(cell)
        is_unchanged = number is not None and syntax.same(
            cell.source, released.cells[number].source
        )
        pieces.append(Piece(cell, number, is_unchanged))
    for number, original in enumerate(released.cells):
        if not mark(original).get("solution"):
            _keep_one(number, pieces)
    _set_places(pieces, len(released.cells))
    return pieces


def _finder(released: NotebookNode) -> Callable[[NotebookNode], int | None]:
    """Return a function that finds which released cell a cell is; None if it is none."""
    by_mark = {}
    by_id = {}
    by_text: dict[str, int | None] = {}
    for number, original in enumerate(released.cells):
        by_mark[mark(original).get("grade_id", "")] = number
        by_id[original.get("id", "")] = number
        # Of two cells that read alike none is known by its text.
        text = syntax.normalized(original.source)
        by_text[text] = None if text in by_text else number

    def find(cell: NotebookNode) -> int | None:
        found = (
            by_mark.get(mark(cell).get("grade_id")),
            by_id.get(cell.get("id")),
            by_text.get(syntax.normalized(cell.source)),
        )
        return next((number for number in found if number is not None), None)

    return find


def _keep_one(number: int, pieces: Sequence[Piece]) -> None:
    """Let a given cell stand once; further copies of it are the student's own cells."""
    copies = [piece for piece in pieces if piece.number == number]
    copies.sort(key=lambda piece: (not piece.is_unchanged, not mark(piece.cell)))
    for piece in copies[1:]:
        piece.number = None


def _set_places(pieces: Sequence[Piece], count: int) -> None:
    """Note which of `count` released cells each piece follows.

    That is the released cell above the piece, unless it was moved up from below: then it is the
    last one that stands in its order.
    """
    known = [piece for piece in pieces if piece.number is not None]
    numbers = [piece.number for piece in known]
    matcher = SequenceMatcher(None, range(count), numbers, autojunk=False)
    in_order = set()
    for _, start, length in matcher.get_matching_blocks():
        in_order.update(known[start : start + length])
    last_in_order = -1
    last = -1
    for piece in pieces:
        piece.place = min(last_in_order, last)
        if piece.number is not None:
            last = piece.number
        if piece in in_order:
            last_in_order = piece.number


# --- answers that are code


def _code_answer(number: int, original: NotebookNode, pieces: Sequence[Piece]) -> Answer | None:
    """Return the answer to a cell for code, None if there is none."""
    name = _name(original)
    copies = [piece for piece in pieces if piece.number == number]
    filled = [piece for piece in copies if piece.is_filled]
    if not filled:
        definitions = _definitions(original, pieces)
        if not definitions:
            return None
        # That cell also stays where it stands, since others may need it there.
        remark = f"The cell {name} held no answer: another cell with this function was graded."
        return Answer(definitions[-1].source, [], remark)

    parts = _parts(original, filled, pieces)
    if parts:
        remark = f"The cell {name} had been split: its parts were joined."
        return Answer(_joined(parts), parts, remark)

    defining = [piece for piece in filled if _defines(piece, original)]
    best = (defining or filled)[-1]
    identical = [piece for piece in filled if syntax.same(piece.source, best.source)]
    remark = ""
    if len(identical) < len(copies):
        remark = f"There were {len(copies)} cells {name}: the last with an answer was graded."
    return Answer(best.source, identical, remark)


def _defines(piece: Piece, original: NotebookNode) -> bool:
    """Return whether a piece defines all functions of a cell for an answer."""
    return syntax.functions(original.source) <= syntax.written_functions(piece.source)


def _definitions(original: NotebookNode, pieces: Sequence[Piece]) -> list[Piece]:
    """Return all pieces that define the functions of a cell for an answer, [] if it has none."""
    if not syntax.functions(original.source):
        return []
    return [piece for piece in pieces if piece.is_filled and _defines(piece, original)]


def _parts(
    original: NotebookNode, filled: Sequence[Piece], pieces: Sequence[Piece]
) -> Sequence[Piece]:
    """Return the pieces that an answer was split into, [] if it was not.

    Some programs copy the mark to both parts, others leave it to one. A part without a mark is
    known by being no Python alone.
    """
    if len(filled) > 1:
        wanted = syntax.functions(original.source)
        versions = [piece for piece in filled if wanted <= syntax.functions(piece.source)]
        is_split = len(versions) < 2 and syntax.is_python(_joined(filled))
        return filled if is_split else []
    position = pieces.index(filled[0])
    for start in (position, position - 1):
        parts = pieces[max(start, 0) : start + 2]
        are_own = all(piece is filled[0] or piece.number is None for piece in parts)
        are_whole = all(syntax.is_python(piece.source) for piece in parts)
        if are_own and not are_whole and syntax.is_python(_joined(parts)):
            return parts
    return []


def _joined(parts: Sequence[Piece]) -> str:
    return "\n".join(piece.source for piece in parts)


# --- answers that are text


def _collect_texts(pieces: Sequence[Piece], released: NotebookNode) -> dict[int, dict[Piece, str]]:
    """Return {number of a cell for a text: the texts of its answer, by the pieces they stand in}.

    The student's own text beside a cell belongs to its answer. Which cell other text is meant for
    cannot be known: a cell without an answer gets all of it that is long enough to be one.
    """
    texts: dict[int, dict[Piece, str]] = {
        number: {}
        for number, original in enumerate(released.cells)
        if mark(original).get("solution") and original.cell_type != "code"
    }
    filled = {piece.number for piece in pieces if piece.number in texts and piece.is_filled}
    loose = {}
    for piece in pieces:
        text = _own_text(piece, released)
        number = _cell_of_text(piece, texts.keys(), filled, released)
        if text and number is not None:
            texts[number][piece] = text
        is_own = piece.number is None and piece.cell.cell_type != "code"
        if is_own and number not in filled and sum(map(str.isalnum, text)) >= LONG_TEXT:
            loose[piece] = text
    for found in texts.values():
        if not found:
            found.update(loose)
    return texts


def _cell_of_text(
    piece: Piece, written: Collection[int], filled: Collection[int | None], released: NotebookNode
) -> int | None:
    """Return the number of the cell for a text to whose answer a piece belongs by its place."""
    if piece.number in written:
        return piece.number
    if piece.number is not None:
        number = _text_below(piece.number, released)
        return None if number in filled else number
    beside = [number for number in written if piece.place in (number - 1, number)]
    # New cells are code cells, so that the text of a blank answer may stand in one.
    if not beside or (piece.cell.cell_type == "code" and beside[0] in filled):
        return None
    return beside[0]


def _text_below(number: int, released: NotebookNode) -> int | None:
    """Return the number of the cell for a text to which a given text is the question, or None."""
    for below in range(number + 1, len(released.cells)):
        if released.cells[below].cell_type != "code":
            return below if mark(released.cells[below]).get("solution") else None
    return None


def _own_text(piece: Piece, released: NotebookNode) -> str:
    """Return the text that a student wrote into a piece, "" if there is none.

    Of a given text that was changed these are the lines that are new.
    """
    if not piece.is_filled:
        return ""
    if piece.number is None:
        # Of two stubs that read alike none is known by its text.
        stubs = (syntax.normalized(cell.source) for cell in released.cells)
        if syntax.normalized(piece.source) in stubs:
            return ""
        is_text = piece.cell.cell_type != "code" or syntax.is_prose(piece.source)
        has_words = any(map(str.isalnum, piece.source))
        return piece.source if is_text and has_words and not syntax.functions(piece.source) else ""
    original = released.cells[piece.number]
    if original.cell_type == "code":
        return ""
    if mark(original).get("solution"):
        return piece.source
    given = syntax.normalized(original.source).split("\n")
    lines = syntax.normalized(piece.source).split("\n")
    return "\n".join(line for line in lines if line.strip() and line not in given)


def _written_answer(
    number: int, original: NotebookNode, texts: Mapping[Piece, str]
) -> Answer | None:
    """Return the answer to a cell for a text, None if there is none."""
    if not texts:
        return None
    name = _name(original)
    different = list(dict.fromkeys(text.strip() for text in texts.values()))
    remark = ""
    if all(piece.number != number for piece in texts):
        remark = f"The cell {name} held no answer: the text in other cells was taken for it."
    elif len(different) > 1:
        remark = f"The answer {name} stands in {len(different)} cells, which were joined."
    return Answer("\n\n".join(different), list(texts), remark)


# --- what is graded


def _remark_on_given(number: int, original: NotebookNode, pieces: Sequence[Piece]) -> str:
    """Return a remark if a locked cell was deleted or changed, else ""."""
    found = [piece for piece in pieces if piece.number == number]
    if not mark(original).get("locked") or (found and found[0].is_unchanged):
        return ""
    change = "changed" if found else "deleted"
    return f"The cell {_name(original)} had been {change}: it was put back before grading."


def _remark_on_blank(number: int, original: NotebookNode, pieces: Sequence[Piece]) -> str:
    """Return a remark if a cell without an answer was deleted, or code stands beside it."""
    name = _name(original)
    beside = [piece for piece in pieces if piece.place in (number - 1, number)]
    own = [piece for piece in beside if piece.number is None and piece.source.strip()]
    if original.cell_type == "code" and any(piece.cell.cell_type == "code" for piece in own):
        return f"The cell {name} holds no answer, nor does the code beside it define its function."
    if all(piece.number != number for piece in pieces):
        return f"The cell {name} had been deleted: no answer was found."
    return ""


def _compose(
    released: NotebookNode, pieces: Sequence[Piece], answers: Mapping[int, Answer]
) -> NotebookNode:
    """Return the released notebook with the answers, and between its cells the student's own."""
    used = {piece for answer in answers.values() for piece in answer.pieces}
    own = defaultdict(list)
    for piece in pieces:
        source = _own_source(piece, released)
        if source.strip() and piece not in used:
            place = _place_of_own(piece)
            own[place].append(_own_cell(piece.cell, source, f"own-{place + 1}-{len(own[place])}"))

    notebook = copy.deepcopy(released)
    given = notebook.cells
    notebook.cells = [*own[-1]]
    for number, cell in enumerate(given):
        if number in answers:
            cell.source = answers[number].source
            _attach(cell, [piece.cell for piece in answers[number].pieces])
        notebook.cells += [cell, *own[number]]
    return notebook


def _own_source(piece: Piece, released: NotebookNode) -> str:
    """Return what of a piece stays in the notebook as a cell of the student's own, "" if nothing.

    Of a given cell that was changed these are imports, functions and constants that were added:
    answers may need them.
    """
    if piece.number is None:
        return piece.source
    if piece.cell.cell_type != "code" or not piece.is_filled:
        return ""
    original = released.cells[piece.number]
    if mark(original).get("solution"):
        return piece.source
    return syntax.declarations(piece.source, original.source)


def _place_of_own(piece: Piece) -> int:
    """Return which released cell a piece follows; if it is a version of one, it comes before it."""
    if piece.number is None:
        return piece.place
    return min(piece.place, piece.number - 1)


def _own_cell(cell: NotebookNode, source: str, cell_id: str) -> NotebookNode:
    """Return a cell with nothing but a source and pictures, and with an id of its own."""
    own = new_cell(cell.cell_type, source)
    own.id = cell_id
    _attach(own, [cell])
    return own


def _attach(cell: NotebookNode, sources: Sequence[NotebookNode]) -> None:
    """Give a text the pictures that were pasted into the cells that it was taken from."""
    if cell.cell_type == "code":
        return
    pictures = {}
    for source in sources:
        pictures |= source.get("attachments", {})
    if pictures:
        cell.attachments = pictures
