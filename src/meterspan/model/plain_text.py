"""Text that commands nothing: the one rule for what a terminal, a log and a page show of a text that others wrote."""

from typing import Final
from unicodedata import category

__all__ = ["one_line", "printable"]

REPLACEMENT: Final = "\ufffd"
"""What is shown in place of a letter that is not shown (Unicode, 23.8)."""


def printable(text: str) -> str:
    """Return a text with U+FFFD for each letter that is no letter, mark, number, sign or space; line feeds stay.

    Control characters (ECMA-48: C0, C1, DEL), separators of lines, letters without a shape and those that turn the
    direction of writing (Unicode, UAX 9) are replaced.
    """
    if text.isprintable() or str.replace(text, "\n", "").isprintable():
        return text
    return "".join(letter if letter == "\n" or _is_shown(letter) else REPLACEMENT for letter in text)


def one_line(text: str) -> str:
    """Return a text as ``printable`` does, and line feeds as U+FFFD too."""
    return printable(text).replace("\n", REPLACEMENT)


def _is_shown(letter: str) -> bool:
    return letter.isprintable() or category(letter) == "Zs"
