"""Fixed layouts of single device families: B Meters, BFW, Zenner."""

from decimal import Decimal

from meterspan.model.mbus_devices.payload import (
    ALLOCATION,
    WATER,
    Decoded,
    Field,
    Grammar,
    Payload,
    calendar_date,
    cut,
    fields_reader,
    reading,
)

__all__ = ["GRAMMARS"]

_HYDROCLIMA = (
    Field("mean radiator temperature", 9, 2, "°C", -2, signed=True, null=-0x8000),
    Field("mean room temperature", 11, 2, "°C", -2, signed=True, null=-0x8000),
    Field("room temperature", 13, 2, "°C", -2, signed=True, null=-0x8000, function="maximum"),
    Field("mean radiator temperature", 17, 2, "°C", -2, 1, signed=True, null=-0x8000),
    Field("mean room temperature", 19, 2, "°C", -2, 1, signed=True, null=-0x8000),
    Field("heat cost allocation", 21, 2, "hca", 0, 1),
    Field("heat cost allocation", 23, 2, "hca", 0, 2),
    Field("heat cost allocation", 25, 2, "hca", 0, 3),
    Field("heat cost allocation", 27, 2, "hca", 0, 4),
    Field("room temperature", 29, 2, "°C", -2, 1, signed=True, null=-0x8000),
    Field("room temperature", 31, 2, "°C", -2, 2, signed=True, null=-0x8000),
    Field("room temperature", 33, 2, "°C", -2, 3, signed=True, null=-0x8000),
    Field("heat cost allocation total", 44, 3, "hca", obis=ALLOCATION),
)
"""B Meters Hydroclima, frame version 11, behind DIF 0F."""
_HYDROCLIMA_FRAME = 0x11

_BATTERY_V = {0x00: "3.7", 0x0A: "3.05", 0x0B: "3.2"}
"""Voltages of the Hydrodigit's battery octet that are known; other codes are left out."""
_WITHOUT_MONTHS = 0x17
"""This generation sets the bit of the months and does not send them."""
_HAS_FRAUD_DATE, _HAS_MONTHS, _HAS_LEAK_DATE = 0x02, 0x80, 0x18


def _hydroclima(payload: Payload) -> Decoded | None:
    if payload.tail[:1] != bytes((_HYDROCLIMA_FRAME,)):
        return None
    return fields_reader(*_HYDROCLIMA, tail=True)(payload)


def _hydrodigit(payload: Payload) -> Decoded | None:
    """Read what follows DIF 0F: contents, battery, dates as the contents say, back flow, registers at month ends."""
    octets = payload.tail
    if len(octets) < 6:
        return None
    contents, at = octets[0], 2
    at += 3 * bool(contents & _HAS_FRAUD_DATE) + 3 * bool(contents & _HAS_LEAK_DATE)
    readings = [
        reading("back-flow volume", Decimal(int.from_bytes(cut(octets, at, at + 4), "little")).scaleb(-3), "m3")
    ]
    if octets[1] in _BATTERY_V:
        readings.append(reading("battery voltage", Decimal(_BATTERY_V[octets[1]]), "V"))
    has_months = contents & _HAS_MONTHS and payload.version != _WITHOUT_MONTHS
    months = octets[at + 4 : at + 40] if has_months else b""
    for index in range(len(months) // 3):
        raw = months[3 * index : 3 * index + 3]
        if raw != b"\xff\xff\xff":
            value = Decimal(int.from_bytes(raw, "little")).scaleb(-2)
            readings.append(reading("volume at month end", value, "m3", storage=index + 1, time=f"--{index + 1:02d}"))
    return Decoded(tuple(readings), replaces_records=False)


def _bfw(payload: Payload) -> Decoded | None:
    """Read the BFW 240 radio allocator: past and running period, 18 months in 12 bits each from the end, BCD date."""
    octets = payload.octets
    if len(octets) != 40 or octets[:2] != b"\x2f\x2f":
        return None
    day = octets[37:40].hex()
    today = calendar_date(2000 + int(day[4:]), int(day[2:4]), int(day[:2])) if day.isdecimal() else None
    readings = [
        reading("heat cost allocation", int.from_bytes(octets[6:8], "big"), "hca", time=today, obis=ALLOCATION),
        reading("heat cost allocation of the past period", int.from_bytes(octets[4:6], "big"), "hca", storage=1),
    ]
    for pair in range(9):
        older, middle, newer = octets[34 - 3 * pair : 37 - 3 * pair]
        for step, value in enumerate((newer | (middle & 0x0F) << 8, older | middle >> 4 << 8)):
            readings.append(reading("heat cost allocation of a month", value, "hca", storage=2 + 2 * pair + step))
    return Decoded(tuple(readings))


_zenner = fields_reader(
    Field("volume", 4, 4, "m3", -3, 1, divisor=256, obis=WATER),
    Field("volume", 8, 4, "m3", -3, divisor=256, obis=WATER),
    tail=True,
    minimum=12,
)

GRAMMARS = (
    Grammar("B Meters Hydroclima", frozenset({"BMP", "BMT"}), _hydroclima, media=frozenset({0x08})),
    Grammar("B Meters Hydrodigit", frozenset({"BMT", "BMP"}), _hydrodigit, media=frozenset({0x06, 0x07, 0x16})),
    Grammar("BFW 240 radio", frozenset({"BFW"}), _bfw, media=frozenset({0x08}), versions=frozenset({0x02})),
    Grammar("Zenner 0B", frozenset({"ZRI"}), _zenner, versions=frozenset({0x0B})),
)
"""Families with one layout each."""
