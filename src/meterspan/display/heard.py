"""What a display takes from a P1 telegram (interface H1): registers, power, tariff, messages; nothing goes back.

Electricity registers are A=1 objects of the telegram; other supplies come as M-Bus channels ``0-n:24.2.1`` with
their own time stamp, and ``0-n:24.1.0`` says what they are (DSMR P1 companion standard, 6.12; EN 13757-3 device types).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta, timezone
from fractions import Fraction

from meterspan.quantities import UNITS, ClockTime, Commodity, Direction, Obis, Scaled
from meterspan.wire.p1 import P1Object, P1Telegram

__all__ = ["Heard", "HeardRegister", "hear"]

MESSAGE_OCTETS_MAX = 1024
"""A text message of DSMR P1 has up to 1,024 characters."""
CLOCK_ERROR_S_MAX = 3600
"""A meter's clock that is further off than this is not believed: the display's own stands in."""


@dataclass(frozen=True, slots=True)
class HeardRegister:
    """One register at one instant.

    Attributes:
        commodity: the supply.
        direction: import or export.
        meter: identification of the meter; a change of it is a meter exchange.
        value: in kWh (electricity, heat) or m3 (gas, water), exact.
        at: UTC seconds at which the meter says it held; that of the telegram where it says nothing.
        width: the register counts modulo this much of the unit; None where unknown.
        channel: M-Bus channel, 0 for the meter that has the port; hot and cold water lie on two.

    """

    commodity: Commodity
    direction: Direction
    meter: str
    value: Fraction
    at: int
    width: Fraction | None = None
    channel: int = 0


@dataclass(frozen=True, slots=True)
class Heard:
    """All that one telegram says to a display.

    Attributes:
        at: UTC seconds of the telegram.
        registers: what was counted.
        power_w: import minus export, W; None where the telegram has none.
        tariff: the active tariff's number, None where not told.
        message: text from the supplier, "" for none.
        limit_w: the power at which the switch opens, None where there is none.

    """

    at: int
    registers: tuple[HeardRegister, ...]
    power_w: int | None = None
    tariff: int | None = None
    message: str = ""
    limit_w: int | None = None


def hear(telegram: P1Telegram, now: float) -> Heard:
    """Take what a display shows from a telegram; lines that are missing or unreadable cost nothing else.

    Args:
        telegram: as it was read.
        now: UTC seconds of reception; stands in where the meter's clock is missing or invalid.

    """
    claimed = _instant(telegram.time, telegram)
    believed = claimed is not None and abs(claimed - now) <= CLOCK_ERROR_S_MAX
    at = claimed if claimed is not None and believed else round(now)
    shift = 0 if claimed is None else at - claimed  # the captures were stamped by the same clock
    objects = {item.obis: item for item in telegram.objects}
    limit = _number(objects.get(_LIMIT), "W")
    return Heard(
        at,
        (*_electricity(objects, at), *_channels(telegram, objects, at, shift)),
        _power(objects),
        _digits(objects.get(_TARIFF)),
        _message(objects.get(_MESSAGE)),
        round(limit) if limit else None,
    )


_EQUIPMENT = (Obis(0, 0, 96, 1, 1), Obis(0, 0, 96, 1, 0), Obis(1, 0, 0, 0, 0))
_TARIFF = Obis(0, 0, 96, 14, 0)
_MESSAGE = Obis(0, 0, 96, 13, 0)
_LIMIT = Obis(0, 0, 17, 0, 0)
_IMPORT_POWER, _EXPORT_POWER = Obis(1, 0, 1, 7, 0), Obis(1, 0, 2, 7, 0)
_PHASE_IMPORT = tuple(Obis(1, 0, 21 + 20 * phase, 7, 0) for phase in range(3))
_PHASE_EXPORT = tuple(Obis(1, 0, 22 + 20 * phase, 7, 0) for phase in range(3))
_DIRECTIONS = ((Direction.IMPORT, 1), (Direction.EXPORT, 2))
_TARIFFS_MAX = 9
_CHANNELS_MAX = 4  # DSMR P1, 6.12: up to four M-Bus channels
_ELECTRICITY_WIDTH = Fraction(1_000_000)
"""F9(3,3) kWh: the register shows six digits before the point."""
_MEDIA = {
    3: Commodity.GAS, 4: Commodity.HEAT, 6: Commodity.WATER, 7: Commodity.WATER, 12: Commodity.HEAT, 13: Commodity.HEAT,
}  # fmt: skip


def _electricity(objects: dict[Obis, P1Object], at: int) -> Iterator[HeardRegister]:
    meter = next((_text(objects[obis]) for obis in _EQUIPMENT if obis in objects), "")
    for direction, quantity in _DIRECTIONS:
        total = _number(objects.get(Obis(1, 0, quantity, 8, 0)), "Wh")
        if total is None:
            tariffs = [_number(objects.get(Obis(1, 0, quantity, 8, tariff)), "Wh") for tariff in range(1, _TARIFFS_MAX)]
            present = [value for value in tariffs if value is not None]
            if not present:
                continue
            total = sum(present, Fraction(0))
        yield HeardRegister(Commodity.ELECTRICITY, direction, meter, total / 1000, at, _ELECTRICITY_WIDTH)


def _channels(telegram: P1Telegram, objects: dict[Obis, P1Object], at: int, shift: int) -> Iterator[HeardRegister]:
    for channel in range(1, _CHANNELS_MAX + 1):
        found = next(
            (
                item
                for code in (Obis(0, channel, 24, 2, 1), Obis(0, channel, 24, 2, 3), Obis(0, channel, 24, 3, 0))
                if (item := objects.get(code)) is not None
            ),
            None,
        )
        commodity = _MEDIA.get(_digits(objects.get(Obis(0, channel, 24, 1, 0))) or 3)
        if found is None or commodity is None:
            continue
        value = _number(found, "Wh" if commodity is Commodity.HEAT else "m3")
        if value is None:
            continue
        time = found.values[0] if isinstance(found.values[0], ClockTime) else None
        meter = objects.get(Obis(0, channel, 96, 1, 0)) or objects.get(Obis(0, channel, 96, 1, 1))
        captured = _instant(time, telegram)
        yield HeardRegister(
            commodity,
            Direction.IMPORT,
            "" if meter is None else _text(meter),
            value / 1000 if commodity is Commodity.HEAT else value,
            at if captured is None else min(captured + shift, at),
            channel=channel,
        )


def _power(objects: dict[Obis, P1Object]) -> int | None:
    """Give import minus export; the sum of the phases where the total is missing."""
    imported = _number(objects.get(_IMPORT_POWER), "W")
    exported = _number(objects.get(_EXPORT_POWER), "W")
    if imported is None and exported is None:
        taken = [value for obis in _PHASE_IMPORT if (value := _number(objects.get(obis), "W")) is not None]
        given = [value for obis in _PHASE_EXPORT if (value := _number(objects.get(obis), "W")) is not None]
        if not taken and not given:
            return None
        imported, exported = sum(taken, Fraction(0)), sum(given, Fraction(0))
    return round((imported or Fraction(0)) - (exported or Fraction(0)))


def _instant(time: ClockTime | None, telegram: P1Telegram) -> int | None:
    """Give UTC seconds; a time without S or W is the port's standard time."""
    if time is None or not time.is_valid:
        return None
    standard = timezone(timedelta(minutes=-telegram.profile.standard_deviation_min))
    moment = time.to_utc() or time.to_utc(standard)
    return None if moment is None else int(moment.timestamp())


def _number(item: P1Object | None, unit: str) -> Fraction | None:
    """Give the line's last number in ``unit``; DSMR 2 and 3 write unit and number in groups of their own."""
    if item is None:
        return None
    target = UNITS[unit]
    for value in reversed(item.values):
        if isinstance(value, Scaled) and value.unit.dimension == target.dimension:
            return value.to(target)
    if unit in item.values and isinstance(item.values[-1], str):
        try:
            return Fraction(item.values[-1])
        except ValueError:
            return None
    return None


def _digits(item: P1Object | None) -> int | None:
    text = "" if item is None else _text(item)
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 4 else None


def _text(item: P1Object) -> str:
    """Give the line's last group as text."""
    return item.text.rpartition("(")[2].rstrip(")")


def _message(item: P1Object | None) -> str:
    """Give a message, which P1 writes as hex of its octets (DSMR P1, 6.12)."""
    text = "" if item is None else _text(item)
    try:
        octets = bytes.fromhex(text)
    except ValueError:
        octets = text.encode("latin-1", "replace")
    printable = (character if character.isprintable() else " " for character in octets.decode("utf-8", "replace"))
    return "".join(printable).strip()[:MESSAGE_OCTETS_MAX]
