"""Text as Markdown that shows it unchanged."""

import re


def escape(text: str) -> str:
    r"""Return Markdown that shows `text` on one line exactly as it is.

    >>> print(escape("2 * 3"))
    2 \* 3
    """
    one_line = text.replace("\n", " ")
    return re.sub(r"([\\`*_{}\[\]<>()#+.!|$&~-])", r"\\\1", one_line)


def code_block(text: str) -> str:
    """Return a fenced block that shows `text` as it is, whatever backquotes it contains."""
    longest_run = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest_run + 1)
    return f"{fence}text\n{text}\n{fence}"


def block_quote(text: str) -> str:
    """Return Markdown `text` as a quotation.

    >>> block_quote("One line.")
    '> One line.'
    """
    lines = text.strip().splitlines()
    return "\n".join(f"> {line}" for line in lines)
