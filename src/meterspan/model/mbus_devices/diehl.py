"""Diehl and Sappel PRIOS, the payload of IZAR water modules (CI A0 to A7).

Layout: four clear octets (the low half of the first gives the sending period), then octets under a keystream: 4B,
total and month-end register in litres, date of the latter. The keystream is the output of a linear feedback shift
register of 32 bits with taps 2, 3, 12 and 32, found from telegrams of known registers; it starts at a default key
XORed with the three words at octets 2, 6 and 10 of the frame.
"""

from decimal import Decimal

from meterspan.model.mbus_devices.payload import Decoded, Grammar, Payload, date_g, reading
from meterspan.wire import KeyWrongError

__all__ = ["GRAMMARS", "prios_keystream"]

DEFAULT_KEYS = (0xDFD1_09E8, 0xB71F_0AE8)
"""Keys that the maker ships with; quirk 43: a meter that answers to them is worth a note to its owner."""
CHECK = 0x4B
CLEAR_SIZE = 4
_WORDS = (2, 6, 10)
_NORMAL_ADDRESS = frozenset({"SAP"})


def prios_keystream(state: int, size: int) -> bytes:
    """Give ``size`` octets of the shift register that starts with ``state``."""
    octets = bytearray()
    for _ in range(size):
        for _ in range(8):
            bit = (state >> 1 ^ state >> 2 ^ state >> 11 ^ state >> 31) & 1
            state = (state << 1 | bit) & 0xFFFF_FFFF
        octets.append(state & 0xFF)
    return bytes(octets)


def _read(payload: Payload) -> Decoded | None:
    frame = _frame(payload)
    clear, sealed = payload.at(0, CLEAR_SIZE), payload.octets[CLEAR_SIZE : CLEAR_SIZE + 11]
    plain = next((octets for octets in _candidates(frame, sealed, payload.key) if octets[:1] == bytes((CHECK,))), None)
    if plain is None:
        raise KeyWrongError("no default key opens the payload, nor the one given", CLEAR_SIZE, "payload")
    readings = [reading("volume", Decimal(int.from_bytes(plain[1:5], "little")).scaleb(-3), "m3")]
    if len(plain) >= 11:
        month_end = Decimal(int.from_bytes(plain[5:9], "little")).scaleb(-3)
        readings.append(reading("volume", month_end, "m3", storage=1, time=date_g(plain[9:11])))
    readings.append(reading("transmission period", 1 << ((clear[0] & 0x0F) + 2), "s"))
    readings.append(reading("remaining battery life", Decimal(clear[1] & 0x1F) / 2, "a"))
    number = b"" if payload.manufacturer in _NORMAL_ADDRESS else payload.address[4:8]
    return Decoded(tuple(readings), meter_id=number[::-1].hex().upper())


def _frame(payload: Payload) -> bytes:
    """Rebuild the octets that the key is mixed with: they begin with L and C field, which no word covers."""
    return bytes(2) + payload.address + bytes((payload.ci or 0,)) + payload.octets


def _candidates(frame: bytes, sealed: bytes, key: bytes | None) -> list[bytes]:
    mixed = 0
    for start in _WORDS:
        mixed ^= int.from_bytes(frame[start : start + 4].ljust(4, b"\0"), "big")
    own = () if key is None or len(key) != 8 else (int.from_bytes(key[:4], "big") ^ int.from_bytes(key[4:], "big"),)
    streams = (prios_keystream(word ^ mixed, len(sealed)) for word in (*own, *DEFAULT_KEYS))
    return [bytes(a ^ b for a, b in zip(sealed, stream, strict=True)) for stream in streams]


GRAMMARS = (
    Grammar("Diehl PRIOS", frozenset({"SAP", "DME", "HYD", "SPX"}), _read, frozenset(range(0xA0, 0xA8))),
)  # fmt: skip
"""IZAR radio modules."""
