"""Qundis walk-by data: one record of VIF FF 5F that packs register, due-date register, month-end register and history.

Layout of its 53 octets: seven of status, a type octet pair, the VIF of all values, two octets, then BCD registers each
behind the date that it belongs to, then twelve differences of 16 bits from month to month.
"""

from decimal import Decimal

from meterspan.model.mbus_devices.payload import (
    ALLOCATION,
    HEAT,
    WATER,
    Decoded,
    Grammar,
    Payload,
    cut,
    date_g,
    reading,
)
from meterspan.model.telegram import DecodedReading
from meterspan.wire.mbus.vif import Quantity, read_quantity

__all__ = ["GRAMMARS"]

_VIF = b"\xff\x5f"
_SIZE = 52
_NO_DIFFERENCE = -0x8000
_NO_DATE = b"\xff\xff"


def _read(payload: Payload) -> Decoded | None:
    block = next(
        (record for record in payload.records.records if record.vif == _VIF and len(record.data) > _SIZE), None
    )
    if block is None:
        return None
    octets = block.data[1:]  # behind the LVAR octet
    meaning = read_quantity(octets[9:10])
    due, month = octets[16:18], octets[22:24]
    readings = [_register(meaning, octets[12:16], 0, b""), _register(meaning, octets[18:22], 1, due)]
    readings.append(_register(meaning, octets[24:28], 17, month))
    readings += _differences(meaning, cut(octets, 28, _SIZE))
    return Decoded(tuple(item for item in readings if item is not None), replaces_records=False)


def _register(meaning: Quantity, octets: bytes, storage: int, day: bytes) -> DecodedReading | None:
    digits = octets[::-1].hex()
    if not digits.isdecimal():
        return None
    time = date_g(day) if day and day != _NO_DATE else None
    return _reading(meaning, meaning.name, int(digits), storage, time)


def _differences(meaning: Quantity, octets: bytes) -> list[DecodedReading]:
    """Read the months' differences: the second-latest month first; 8000 is a month that the meter has not seen."""
    raw = [int.from_bytes(octets[at : at + 2], "little", signed=True) for at in range(0, len(octets), 2)]
    name = f"{meaning.name} of a month"
    return [
        _reading(meaning, name, value, 18 + index, None) for index, value in enumerate(raw) if value != _NO_DIFFERENCE
    ]


def _reading(meaning: Quantity, name: str, raw: int, storage: int, time: object) -> DecodedReading:
    unit = meaning.unit.symbol if meaning.unit is not None else "1"
    value = Decimal(raw).scaleb(meaning.exponent)
    text = None if time is None else str(time)
    return reading(name, value, unit, storage=storage, time=text, obis=_REGISTERS.get(name))


_REGISTERS = {"energy": HEAT, "volume": WATER, "heat cost allocation": ALLOCATION}


GRAMMARS = (Grammar("Qundis walk-by", frozenset({"QDS", "LSE"}), _read),)
"""Q caloric, Q heat and Q water radio modules."""
