"""Octets as users of the API give them."""

__all__ = ["octets_of"]


def octets_of(key: bytes | str) -> bytes:
    """Return a key given as octets or as hexadecimal digits.

    Raises:
        ValueError: the text is not hexadecimal.

    """
    return bytes.fromhex(key) if isinstance(key, str) else bytes(key)
