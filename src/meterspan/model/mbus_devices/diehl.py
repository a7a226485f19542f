"""Diehl and Sappel PRIOS, the payload of IZAR water modules (CI A0 to A7).

Layout: four clear octets (the low half of the first gives the sending period), then octets under the keystream of
``crypto.prios``: 4B, total and month-end register in litres, date of the latter.
"""

from decimal import Decimal

from meterspan.model.mbus_devices.payload import WATER, Decoded, Grammar, Payload, Seal, cut, date_g, reading

__all__ = ["GRAMMARS"]

MONTH_END_SIZE = 11
_NORMAL_ADDRESS = frozenset({"SAP"})


def _read(payload: Payload) -> Decoded | None:
    clear, plain = payload.at(0, 4), payload.plain
    readings = [reading("volume", Decimal(int.from_bytes(cut(plain, 1, 5), "little")).scaleb(-3), "m3", obis=WATER)]
    if len(plain) >= MONTH_END_SIZE:
        month_end = Decimal(int.from_bytes(plain[5:9], "little")).scaleb(-3)
        readings.append(reading("volume", month_end, "m3", storage=1, time=date_g(plain[9:11]), obis=WATER))
    readings.append(reading("transmission period", 1 << ((clear[0] & 0x0F) + 2), "s"))
    readings.append(reading("remaining battery life", Decimal(clear[1] & 0x1F) / 2, "a"))
    number = b"" if payload.manufacturer in _NORMAL_ADDRESS else payload.address[4:8]
    return Decoded(tuple(readings), meter_id=number[::-1].hex().upper())


GRAMMARS = (
    Grammar(
        "Diehl PRIOS", frozenset({"SAP", "DME", "HYD", "SPX"}), _read, frozenset(range(0xA0, 0xA8)), seal=Seal.PRIOS
    ),
)
"""IZAR radio modules."""
