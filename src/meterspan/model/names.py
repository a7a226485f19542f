"""What can name a device, home, usage point or network: one rule for configurations, commands and files."""

from typing import Final

__all__ = ["name_fault"]

NAME_LETTERS_MAX: Final = 128
"""Identifications of devices and usage points have 33 at most; an address in the portal holds several names."""
NAME_WITHOUT: Final = "/?#%\\"
"""What ends a part of an address, or has a meaning in it."""


def name_fault(text: str) -> str:
    """Return why a text cannot name a device, home, usage point or network, in words; "" where it can.

    A name is part of addresses in the portal, of file names and of lines of logs.
    """
    if not text:
        return "is empty"
    if len(text) > NAME_LETTERS_MAX:
        return f"has {len(text)} letters; a name has {NAME_LETTERS_MAX} at most"
    odd = sorted({letter for letter in text if letter in NAME_WITHOUT or not letter.isprintable()})
    if odd:
        return f"{text!r} has {' '.join(map(repr, odd))}; a name has no control characters and none of {NAME_WITHOUT}"
    if text in {".", ".."} or text != text.strip():
        return f"{text!r} is no name: dots alone, or a space at an end"
    return ""
