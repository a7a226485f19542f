"""The keystream of Diehl and Sappel PRIOS radio modules (no standard; found from telegrams of known registers).

A linear feedback shift register of 32 bits with taps 2, 3, 12 and 32. It starts at a key XORed with the three words at
octets 2, 6 and 10 of the frame.
"""

__all__ = ["DEFAULT_KEYS", "prios_crypt", "prios_keystream"]

DEFAULT_KEYS = (0xDFD1_09E8, 0xB71F_0AE8)
"""Keys that the maker ships with; a meter that answers to them deserves a note to its owner."""
_WORDS = (2, 6, 10)


def prios_keystream(state: int, size: int) -> bytes:
    """Return ``size`` octets of the shift register that starts with ``state``."""
    octets = bytearray()
    for _ in range(size):
        for _ in range(8):
            bit = (state >> 1 ^ state >> 2 ^ state >> 11 ^ state >> 31) & 1
            state = (state << 1 | bit) & 0xFFFF_FFFF
        octets.append(state & 0xFF)
    return bytes(octets)


def prios_crypt(key: int, frame: bytes, octets: bytes) -> bytes:
    """Encrypt or decrypt: the two are the same.

    Args:
        key: 32 bits.
        frame: from its L field up to the clear octets of the payload at least.
        octets: to encrypt or decrypt.

    """
    for start in _WORDS:
        key ^= int.from_bytes(frame[start : start + 4].ljust(4, b"\0"), "big")
    return bytes(a ^ b for a, b in zip(octets, prios_keystream(key, len(octets)), strict=True))
