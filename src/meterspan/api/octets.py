"""Octets as users of the API give them."""

from typing import Any

__all__ = ["octets_of", "plain_octets"]


def octets_of(key: Any) -> bytes:
    """Return a key given as octets or as hexadecimal digits.

    Raises:
        TypeError: it is neither.
        ValueError: the text is not hexadecimal.

    """
    return bytes.fromhex(key) if isinstance(key, str) else plain_octets(key)


def plain_octets(octets: Any) -> bytes:
    """Return octets of any type of the language; raises ``TypeError`` for a number, which is no octets."""
    if not isinstance(octets, bytes | bytearray | memoryview):
        raise TypeError(f"octets or text are expected, not {type(octets).__name__}")
    return bytes(octets)
