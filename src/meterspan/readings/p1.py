"""P1 telegrams as rows: the rules of the port, each of them once (interface H1).

Electricity is what the telegram says of medium 1; other supplies are M-Bus channels ``0-n:24.2.1`` with a time stamp
of their own, and ``0-n:24.1.0`` names their device type (DSMR P1, 6.12; EN 13757-7, table 13). Numbers keep the
decimals of the text: ``000223.4568*kWh`` is 2234568 x 10^-1 Wh.
"""

from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta, timezone, tzinfo
from typing import Final

from meterspan.model.failures import Failure
from meterspan.model.identity import p1_device
from meterspan.quantities import (
    CATALOGUE,
    LAST_SECOND,
    UNITS,
    ClockTime,
    Commodity,
    Medium,
    Obis,
    Quality,
    Scaled,
    Unit,
    commodity_of_mbus_medium,
    parse_obis,
    parse_unit,
    sum_of,
)
from meterspan.quantities.codes import (
    CURRENT_VALUE,
    EQUIPMENT_IDENTIFIER,
    EXPORT_POWER,
    IMPORT_POWER,
    LIMITER,
    LOGICAL_DEVICE_NAME,
    MESSAGE,
    NET_POWER,
    SERIAL_NUMBER,
    TARIFF_IN_FORCE,
)
from meterspan.readings.names import meaning_of
from meterspan.readings.rows import NOTHING_AGAINST, DeviceRows, HeardTelegram, Row, is_storable
from meterspan.wire.errors import ImplausibleError, WireError
from meterspan.wire.p1 import P1Fault, P1Object, P1Telegram

__all__ = [
    "IDENTIFICATIONS",
    "P1_REGISTERS",
    "LineNumber",
    "P1Rows",
    "SubMeter",
    "is_number",
    "is_unit",
    "numbers_of",
    "read_p1",
    "rows_of_p1",
    "stated_time",
]

CLOCK_ERROR_S_MAX: Final = 3_600
"""A clock that is further off than this is not believed; the time of reception is taken instead."""
MESSAGE_SIZE_MAX: Final = 1_024
"""Characters of a text message (DSMR P1, 6.12)."""
TARIFFS_MAX: Final = 63
"""Value group E of energy: 0 is the total, 1 to 63 are the tariffs (IEC 62056-6-1, table 11)."""
CHANNELS_MAX: Final = 4
"""M-Bus channels of a port (DSMR P1, 6.12)."""
P1_REGISTERS: Final = tuple(CATALOGUE[Commodity.ELECTRICITY].registers.values())
"""The total registers of an electricity meter: given by the port, or summed over its tariffs."""
IDENTIFICATIONS: Final = (EQUIPMENT_IDENTIFIER, SERIAL_NUMBER, Obis(1, 0, 0, 0, 0), LOGICAL_DEVICE_NAME)
"""Where the identification of the meter is, the best first."""

_PHASE_IMPORT: Final = tuple(Obis(1, 0, 21 + 20 * phase, 7, 0) for phase in range(3))
_PHASE_EXPORT: Final = tuple(Obis(1, 0, 22 + 20 * phase, 7, 0) for phase in range(3))
_ENERGY, _INSTANT = 8, 7  # value group D: time integral, instantaneous value
_GAS = 0x03  # the device type where a channel sends none, as the oldest ports do
_DIGITS_MAX: Final = 18
_TARIFF_DIGITS_MAX: Final = 4


def rows_of_p1(telegram: P1Telegram, now: float | None, zone: tzinfo | None = None) -> HeardTelegram:
    """Return the rows of a telegram: its electricity meter's, and those of the M-Bus meters behind it.

    Rows of the electricity meter are its energy registers with the totals (given, or summed over the tariffs), its
    instantaneous values, and the net power. A line that is missing or unreadable costs no other row.

    Args:
        telegram: as it was read.
        now: UTC seconds of reception; taken where the meter's clock is missing or not believed. None where it is not
            known, as of a file: then the meter's clock is believed.
        zone: of the home, for times of M-Bus meters without S or W; by default the port's standard time.

    """
    return read_p1(telegram, now, zone).heard


def read_p1(telegram: P1Telegram, now: float | None, zone: tzinfo | None = None) -> "P1Rows":
    """Return the rows of a telegram, and the lines of the meters behind it; arguments as ``rows_of_p1``."""
    lines: dict[Obis, P1Object] = {}
    for item in telegram.objects:
        lines.setdefault(item.obis, item)
    clock = _clock(telegram, now, zone)
    main = _electricity(telegram, lines, clock)
    sub_meters = tuple(_sub_meters(lines, clock))
    net = next((row.value for row in main.rows if row.obis == NET_POWER), None)
    limit = _number(lines.get(LIMITER), ("power",))
    heard = HeardTelegram(
        "p1",
        telegram.octets,
        clock.time,
        tuple(device for device in (main, *(sub.device for sub in sub_meters)) if device.rows),
        (
            *map(Failure.of_error, _faults(telegram)),
            *_implausible(lines, main.rows),
            *_implausible_channels(lines, {sub.device.channel for sub in sub_meters}),
        ),
        None if net is None else round(net.to(UNITS["W"])),
        _digits(lines.get(TARIFF_IN_FORCE)),
        _message(lines.get(MESSAGE)),
        round(limit.to(UNITS["W"])) if limit is not None and limit.value > 0 else None,
        clock.own,
    )
    return P1Rows(heard, identification_of(telegram), sub_meters)


def stated_time(telegram: P1Telegram, zone: tzinfo) -> int | None:
    """Return UTC seconds that the clock of a telegram states; None where it states none, or does not vouch for it."""
    return _instant(telegram.time, zone)


@dataclass(frozen=True, slots=True)
class SubMeter:
    """A meter behind the port: its row, and the line and the number that the row was made of."""

    device: DeviceRows
    line: P1Object
    number: "LineNumber"


@dataclass(frozen=True, slots=True)
class P1Rows:
    """The rows of a telegram.

    Attributes:
        heard: the rows, for every consumer.
        identification: of the electricity meter, "" where the telegram has none.
        sub_meters: the meters behind it.

    """

    heard: HeardTelegram
    identification: str
    sub_meters: tuple[SubMeter, ...]

    @property
    def main(self) -> tuple[Row, ...]:
        """The rows of the electricity meter."""
        return next((device.rows for device in self.heard.devices if not device.channel), ())


def _implausible(lines: Mapping[Obis, P1Object], rows: Iterable[Row]) -> Iterator[Failure]:
    found = {row.obis for row in rows}
    for obis, item in lines.items():
        if obis not in found and obis.a == Medium.ELECTRICITY and len(item.values) == 1:
            unit = _wrong_unit(item)
            if unit is not None:
                yield Failure.of_error(ImplausibleError(f"{obis} is not measured in {unit}"))


def _implausible_channels(lines: Mapping[Obis, P1Object], found: Container[int]) -> Iterator[Failure]:
    """Iterate over the registers of meters behind the port that are of another dimension than bills their commodity."""
    for channel, codes in _CHANNELS.items():
        item, commodity = _value_line(lines, codes), _commodity_of_channel(lines.get(codes.device_type))
        if item is None or commodity is None or commodity is Commodity.ELECTRICITY or channel in found:
            continue
        number = next(numbers_of(item), None)
        if number is not None and number.value.unit.dimension not in CATALOGUE[commodity].billed[:1]:
            words = f"{item.obis} of {commodity} is not measured in {number.value.unit}"
            yield Failure.of_error(ImplausibleError(words))


def _faults(telegram: P1Telegram) -> Iterator[WireError]:
    """Iterate over the lines that could not be read, as errors with offset and text."""
    for fault in telegram.faults:
        yield WireError(fault.reason, fault.offset, f"line {fault.text[:40]!r}")


def identification_of(telegram: P1Telegram) -> str:
    """Return the identification of the electricity meter, "" where the telegram has none."""
    found = (item for item in map(telegram.find, IDENTIFICATIONS) if item is not None)
    return next((name for name in (p1_device(str(item.values[0])) for item in found) if name), "")


@dataclass(frozen=True, slots=True)
class LineNumber:
    """One number of a line.

    Attributes:
        obis: what it is: the line's code, or the code that a log names before its numbers.
        value: exact.
        time: the time stamp before it, None where the line has none.
        place: its place among the numbers of a line that has several, from 0.

    """

    obis: Obis
    value: Scaled
    time: ClockTime | None = None
    place: int = 0


def numbers_of(item: P1Object) -> Iterator[LineNumber]:
    """Iterate over the numbers of a line, also where DSMR 2 and 3 write the unit in a group of its own."""
    several = sum(isinstance(value, Scaled) for value in item.values) > 1
    obis, time, unit, place = item.obis, None, "", 0
    for value in item.values:
        if isinstance(value, ClockTime):
            time = value
        elif isinstance(value, Obis):
            obis = value if several else obis
        elif isinstance(value, Scaled):
            yield LineNumber(obis, value, time, place)
            place += several
        elif unit and is_number(value):
            yield LineNumber(obis, _split_number(value, unit), time)
            unit = ""
        elif is_unit(value):
            unit = value


def is_number(text: str) -> bool:
    """Whether a group is a decimal number without a sign."""
    return text.replace(".", "", 1).isdecimal() and text.isascii() and len(text) <= _DIGITS_MAX


def is_unit(text: str) -> bool:
    """Whether a group is the symbol of a unit."""
    try:
        return bool(text) and not text[0].isdigit() and bool(parse_unit(text))
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class _TelegramClock:
    """The clock of a telegram: its time, the shift of its stamps, their quality, and the time by the meter itself."""

    time: int
    shift: int
    quality: Quality
    zone: tzinfo
    own: int | None = None

    def moment(self, time: ClockTime | None) -> int:
        """Return UTC seconds of a stamp in the telegram, never later than the telegram; its time without a stamp."""
        stated = _instant(time, self.zone)
        return self.time if stated is None else min(stated + self.shift, self.time)


def _clock(telegram: P1Telegram, now: float | None, zone: tzinfo | None) -> _TelegramClock:
    """Return the clock of a telegram.

    The telegram's own time counts where it says S or W (else it leaves an hour open), where the clock vouches for it,
    and where it is near the time of reception. In any other case the time of reception counts.
    """
    zone = zone or timezone(timedelta(minutes=-telegram.profile.standard_deviation_min))
    time = telegram.time
    stated = stated_time(telegram, zone)
    is_certain = time is not None and time.deviation_min is not None
    own = stated if is_certain else None
    if own is not None and (now is None or abs(own - now) <= CLOCK_ERROR_S_MAX):
        return _TelegramClock(own, 0, NOTHING_AGAINST, zone, own)
    heard = round(now) if now is not None else LAST_SECOND if stated is None else stated
    quality = NOTHING_AGAINST if time is None else Quality.CLOCK_INVALID
    return _TelegramClock(heard, 0 if stated is None else heard - stated, quality, zone, own)


def _instant(time: ClockTime | None, zone: tzinfo) -> int | None:
    if time is None or not time.is_valid:
        return None
    moment = time.to_utc(zone)
    return None if moment is None else int(moment.timestamp())


def _electricity(telegram: P1Telegram, lines: Mapping[Obis, P1Object], clock: _TelegramClock) -> DeviceRows:
    found = {obis: row for obis, item in lines.items() if (row := _electric_row(obis, item, telegram, clock))}
    for total in P1_REGISTERS:
        if total not in lines and (row := _sum_of_tariffs(total, telegram, lines, found)):
            found[total] = row
    power = None if NET_POWER in found else _net_power(found)
    if power is not None:
        found[NET_POWER] = Row(NET_POWER, power, clock.time, clock.quality)
    device = identification_of(telegram) or _nameless(Commodity.ELECTRICITY, 0)
    return DeviceRows(device, Commodity.ELECTRICITY, tuple(found.values()))


def _electric_row(obis: Obis, item: P1Object, telegram: P1Telegram, clock: _TelegramClock) -> Row | None:
    """Return the row of a register or instantaneous value; None for any other line (logs, maxima, stored values)."""
    if obis.a != Medium.ELECTRICITY or obis.f != CURRENT_VALUE or obis.d not in {_ENERGY, _INSTANT}:
        return None
    values = item.values
    if len(values) != 1 or not isinstance(values[0], Scaled) or not is_storable(values[0]) or _wrong_unit(item):
        return None
    width = _width(item, telegram) if obis.d == _ENERGY else None
    return Row(obis, values[0], clock.time, clock.quality, width)


def _wrong_unit(item: P1Object) -> Unit | None:
    """Return the unit of a line's number where its dimension is not that of its code: energy in m3, power in kvar."""
    value, expected = item.values[0], UNITS.get(meaning_of(item.obis).unit)
    if isinstance(value, Scaled) and expected is not None and value.unit.dimension != expected.dimension:
        return value.unit
    return None


def _sum_of_tariffs(
    total: Obis, telegram: P1Telegram, lines: Mapping[Obis, P1Object], rows: Mapping[Obis, Row]
) -> Row | None:
    """Return the total over all tariffs; None where there are none, or where one of them may be unreadable."""
    parts = [rows.get(obis) for obis in lines if _is_tariff_of(total, obis)]
    present = [row for row in parts if row is not None]
    if not present or len(present) != len(parts) or _may_hide(telegram, total):
        return None
    try:
        value = sum_of(row.value for row in present)
    except ValueError:  # energy in two units
        return None
    widths = {(row.width, row.value.exponent) for row in present}
    width = present[0].width if len(widths) == 1 else None
    return Row(total, value, present[0].time, present[0].quality, width) if is_storable(value) else None


def _is_tariff_of(total: Obis, obis: Obis) -> bool:
    return (
        obis.c == total.c
        and obis.d == total.d
        and 0 < obis.e <= TARIFFS_MAX
        and (obis.a, obis.b, obis.f) == (total.a, total.b, total.f)
    )


def _may_hide(telegram: P1Telegram, total: Obis) -> bool:
    """Whether a line that could not be read may be a tariff of this register: a sum without it would fall."""
    return any(_may_be(fault, total, is_checked=telegram.crc_matches is True) for fault in telegram.faults)


def _may_be(fault: P1Fault, total: Obis, *, is_checked: bool) -> bool:
    try:
        code = parse_obis(fault.text.partition("(")[0])
    except ValueError:
        return not is_checked
    return (code.a, code.c, code.d) == (total.a, total.c, total.d)


def _net_power(rows: Mapping[Obis, Row]) -> Scaled | None:
    """Return import minus export; the phases' where the telegram has no total, None where it has neither."""
    for imports, exports in (((IMPORT_POWER,), (EXPORT_POWER,)), (_PHASE_IMPORT, _PHASE_EXPORT)):
        taken = [rows[obis].value for obis in imports if obis in rows]
        given = [rows[obis].value for obis in exports if obis in rows]
        try:
            if taken or given:
                return sum_of([*taken, *(Scaled(-value.value, value.exponent, value.unit) for value in given)])
        except ValueError:  # power in two units
            return None
    return None


@dataclass(frozen=True, slots=True)
class _ChannelNames:
    """The OBIS codes of one channel's M-Bus meter (DSMR P1, 6.12); Belgian and the oldest Dutch ports differ."""

    device_type: Obis
    names: tuple[Obis, ...]
    values: tuple[Obis, ...]


_CHANNELS: Final = {
    n: _ChannelNames(
        Obis(0, n, 24, 1, 0),
        (Obis(0, n, 96, 1, 0), Obis(0, n, 96, 1, 1)),
        (Obis(0, n, 24, 2, 1), Obis(0, n, 24, 2, 3), Obis(0, n, 24, 3, 0)),
    )
    for n in range(1, CHANNELS_MAX + 1)
}


def _sub_meters(lines: Mapping[Obis, P1Object], clock: _TelegramClock) -> Iterator[SubMeter]:
    for channel, codes in _CHANNELS.items():
        item, commodity = _value_line(lines, codes), _commodity_of_channel(lines.get(codes.device_type))
        # an electricity meter on a channel counts what the meter of the port has counted already
        if item is None or commodity is None or commodity is Commodity.ELECTRICITY:
            continue
        supply = CATALOGUE[commodity]
        number = _last_number(item, supply.billed[:1])
        if number is None:
            continue
        name = next((lines[code] for code in codes.names if code in lines), None)
        device = p1_device(str(name.values[0])) if name is not None else ""
        row = Row(supply.register, number.value, clock.moment(number.time), clock.quality, _padded_width(item))
        yield SubMeter(DeviceRows(device or _nameless(commodity, channel), commodity, (row,), channel), item, number)


def _value_line(lines: Mapping[Obis, P1Object], codes: _ChannelNames) -> P1Object | None:
    return next((lines[code] for code in codes.values if code in lines), None)


def _commodity_of_channel(device_type: P1Object | None) -> Commodity | None:
    """Return the commodity by the line of the device type; None where that line cannot be read."""
    number = _GAS if device_type is None else _digits(device_type)
    return None if number is None else commodity_of_mbus_medium(number)


def _nameless(commodity: Commodity, channel: int) -> str:
    return f"P1 {commodity} {channel}"


def _number(item: P1Object | None, dimensions: Iterable[str]) -> Scaled | None:
    found = None if item is None else _last_number(item, dimensions)
    return None if found is None else found.value


def _last_number(item: P1Object, dimensions: Iterable[str]) -> LineNumber | None:
    """Return the last number of a line that is of one of these dimensions."""
    fitting = [
        number for number in numbers_of(item) if number.value.unit.dimension in dimensions and is_storable(number.value)
    ]
    return fitting[-1] if fitting else None


def _width(item: P1Object, telegram: P1Telegram) -> int | None:
    """Return after how many steps a register restarts at 0: where the port fixes the digits, or zeros fill them."""
    digits = _last_group(item).partition("*")[0].replace(".", "")
    return 10 ** len(digits) if telegram.profile.is_fixed_width and digits.isdecimal() else _padded_width(item)


def _padded_width(item: P1Object) -> int | None:
    digits = _last_group(item).partition("*")[0].replace(".", "")
    return 10 ** len(digits) if digits.startswith("0") and digits.isdecimal() and len(digits) > 1 else None


def _split_number(text: str, unit: str) -> Scaled:
    whole, _, fraction = text.partition(".")
    known, exponent = parse_unit(unit)
    return Scaled(int(whole + fraction), exponent - len(fraction), known)


def _digits(item: P1Object | None) -> int | None:
    text = "" if item is None else _last_group(item)
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _TARIFF_DIGITS_MAX else None


def _last_group(item: P1Object) -> str:
    return item.text.rpartition("(")[2].rstrip(")")


def _message(item: P1Object | None) -> str:
    """Return a message, which P1 writes as hex of its octets (DSMR P1, 6.12)."""
    text = "" if item is None else _last_group(item)
    try:
        octets = bytes.fromhex(text)
    except ValueError:
        octets = text.encode("latin-1", "replace")
    printable = (character if character.isprintable() else " " for character in octets.decode("utf-8", "replace"))
    return "".join(printable).strip()[:MESSAGE_SIZE_MAX]
