"""Which registers bill a supply over its chain of installations, and the step that all of them are counted in.

Nothing is read here: ``Extents`` returns the time of a series' first and last reading.
"""

import math
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from meterspan.mdm.channels import TOTAL_TARIFF, billing_registers, interval_registers, step_fault, unit_step
from meterspan.model.storage.registry import InstallationRow, SeriesRow
from meterspan.quantities import CATALOGUE, DAY_S, Commodity, Direction, parse_obis

__all__ = [
    "EVER",
    "MAX_STEPS",
    "NEVER",
    "Chain",
    "ChainRegister",
    "Extents",
    "RefusedRegister",
    "billing_series",
    "chain_of",
]

SAME_EXTENT_S = DAY_S
"""A total that begins and ends within a day of its tariff registers holds all that they hold."""
EVER, NEVER = -(1 << 62), 1 << 62
MAX_STEPS = 1 << 55
"""A register above is damage (36 TWh in mWh), and its differences must not leave 63 bits."""

Extents = Callable[[int], tuple[int, int] | None]
"""First and last stored time (UTC seconds) of a series by its number, or None where nothing is stored."""
SeriesOf = Callable[[str], Sequence[SeriesRow]]
"""The series of a device."""


@dataclass(frozen=True, slots=True)
class RefusedRegister:
    """A register, or the opening or closing value of one, that is stored and does not bill."""

    device: str
    what: str
    """``1-0:1.8.0``, ``opening value of 1-0:1.8.0``."""
    reason: str
    """Why, for a person."""


@dataclass(frozen=True, slots=True)
class GivenRegister:
    """A register that was read when its installation began or ended: an integer, and the size of its step."""

    value: int
    step: Fraction

    def in_steps(self, step: Fraction) -> int:
        """Return the value in a step that its own is a multiple of."""
        return int(self.value * (self.step / step))


@dataclass(frozen=True, slots=True)
class ChainRegister:
    """One register of one installation.

    Attributes:
        tariff: OBIS value group E for electricity, 0 for other supplies: registers of one tariff form one chain.
        installation: when the device was installed; cut where another register bills the rest of its time.
        channels: the series of the register, one per scale, each with the size of its step in the shown unit.
        extent: first and last stored time of the channels.
        opening: the register when the installation began, where it was given and can be used.
        closing: the register when it ended.

    """

    tariff: int
    installation: InstallationRow
    channels: tuple[tuple[SeriesRow, Fraction], ...]
    extent: tuple[int, int]
    opening: GivenRegister | None = None
    closing: GivenRegister | None = None

    @property
    def obis(self) -> str:
        """OBIS code of the register, as text."""
        return self.channels[0][0].obis


@dataclass(frozen=True, slots=True)
class Chain:
    """The registers of a supply in one direction, in order of installation."""

    registers: tuple[ChainRegister, ...]
    step: Fraction
    """Size of one step in the shown unit: the greatest that all scales are multiples of."""
    shown: str
    """``kWh`` or ``m3``."""
    period_s: int
    refused: tuple[RefusedRegister, ...] = ()
    """What is stored of the supply and does not bill."""
    intervals: tuple[ChainRegister, ...] = ()
    """Of a supply without registers: the series of the consumption of intervals."""

    @property
    def series(self) -> list[int]:
        """Numbers of all series of the chain."""
        every = (*self.registers, *self.intervals)
        return [row.series_id for register in every for row, _step in register.channels]

    @property
    def extent(self) -> tuple[int, int]:
        """First and last stored time of the chain; it must have a register."""
        return _joined(register.extent for register in self.registers)

    @property
    def basis(self) -> Hashable:
        """The billing registers by time: two chains of equal basis derive the same intervals from the same readings."""
        registers = (
            (
                register.tariff,
                register.installation.start,
                register.installation.end,
                tuple(row.series_id for row, _step in register.channels),
            )
            for register in (*self.registers, *self.intervals)
        )
        return (*registers, *self.refused)

    def first_of(self, tariff: int) -> int:
        """Return the time of the first register of a tariff, an opening register included."""
        own = [register for register in self.registers if register.tariff == tariff]
        given = [item.installation.start for item in own if item.opening is not None]
        return min(_joined(register.extent for register in own)[0], *given, NEVER)

    def last_of(self, tariff: int) -> int:
        """Return the time of the last stored register of a tariff."""
        return _joined(register.extent for register in self.registers if register.tariff == tariff)[1]


def chain_of(
    installations: Sequence[InstallationRow],
    series_of: SeriesOf,
    extents: Extents,
    *,
    commodity: Commodity,
    direction: Direction,
    period_s: int,
) -> Chain:
    """Choose the registers that bill a supply.

    Args:
        installations: the devices at the usage point, in order of time.
        series_of: the series of a device.
        extents: from when to when a series has readings.
        commodity: the supply; its catalogue entry names the shown unit.
        direction: import or export.
        period_s: grid of the usage point's intervals.

    """
    shown = CATALOGUE[commodity].display_unit
    registers: list[ChainRegister] = []
    for installation in installations:
        for part, billing in _billing(extents, installation, series_of(installation.device), commodity, direction):
            registers.extend(_registers(extents, part, billing, commodity, shown))
    intervals: list[ChainRegister] = []
    if not registers and commodity is Commodity.ELECTRICITY:
        for installation in installations:
            live = [row for row in series_of(installation.device) if extents(row.series_id) is not None]
            best = interval_registers(live, direction)
            intervals.extend(_registers(extents, installation, best, commodity, shown))
    step = _common_step([*registers, *intervals])
    refused = [*_refused_series(installations, series_of, extents), *_refused_given(registers, step, shown)]
    usable = tuple(_without_impossible(register, step) for register in registers)
    return Chain(usable, step, shown, period_s, tuple(refused), tuple(intervals))


def billing_series(
    rows: Sequence[SeriesRow], extents: Extents, commodity: Commodity, direction: Direction = Direction.IMPORT
) -> list[int]:
    """Return the numbers of the series that bill what a device measures in one direction, at all their scales.

    A meter without registers is billed by its intervals.

    Args:
        rows: all series of the device.
        extents: first and last time of each series.
        commodity: the commodity that the device measures.
        direction: import or export.

    """
    anywhere = InstallationRow("", "", EVER, None, 1, {}, {}, {})
    parts = _billing(extents, anywhere, rows, commodity, direction)
    found = [row.series_id for _part, billing in parts for channels in billing for row in channels]
    if found or commodity is not Commodity.ELECTRICITY:
        return found
    live = [row for row in rows if extents(row.series_id) is not None]
    return [row.series_id for channels in interval_registers(live, direction) for row in channels]


def _billing(
    extents: Extents,
    installation: InstallationRow,
    rows: Sequence[SeriesRow],
    commodity: Commodity,
    direction: Direction,
) -> list[tuple[InstallationRow, list[list[SeriesRow]]]]:
    """Choose the registers that bill an installation: the total where it was read, its tariff registers elsewhere.

    Where the total of a meter was read later, or for a while only, its tariff registers bill the rest: a total that
    appears must not remove what was counted before.
    """
    live = [row for row in rows if extents(row.series_id) is not None and step_fault(row.unit, row.exponent) is None]
    best = billing_registers(live, commodity, direction)
    if commodity is not Commodity.ELECTRICITY or len(best) != 1 or parse_obis(best[0][0].obis).e != TOTAL_TARIFF:
        return [(installation, best)]
    quantity = parse_obis(best[0][0].obis).c
    others = [row for row in live if (obis := parse_obis(row.obis)).c == quantity and obis.e != TOTAL_TARIFF]
    parts = billing_registers(others, commodity, direction) if others else []
    if not parts:
        return [(installation, best)]
    (first, last), (low, high) = _extent(extents, best), _extent(extents, parts)
    starts_earlier, ends_later = low < first - SAME_EXTENT_S, high > last + SAME_EXTENT_S
    if starts_earlier and ends_later:
        return [(installation, parts)]
    if starts_earlier and installation.start < first:
        before, after = replace(installation, end=first, closing={}), replace(installation, start=first, opening={})
        return [(before, parts), (after, best)]
    if ends_later and (installation.end is None or last < installation.end):
        before, after = replace(installation, end=last, closing={}), replace(installation, start=last, opening={})
        return [(before, best), (after, parts)]
    return [(installation, best)]


def _extent(extents: Extents, billing: Iterable[Sequence[SeriesRow]]) -> tuple[int, int]:
    known = [bounds for channels in billing for row in channels if (bounds := extents(row.series_id)) is not None]
    return _joined(known)


def _joined(extents: Iterable[tuple[int, int]]) -> tuple[int, int]:
    known = list(extents)
    return min(low for low, _high in known), max(high for _low, high in known)


def _registers(
    extents: Extents,
    installation: InstallationRow,
    billing: Sequence[Sequence[SeriesRow]],
    commodity: Commodity,
    shown: str,
) -> list[ChainRegister]:
    found = []
    for channels in billing:
        steps = []
        for row in channels:
            try:
                steps.append((row, unit_step(row.unit, row.exponent, shown)))
            except ValueError:
                continue  # gas counted in energy, shown in m3: another quantity
        if steps:
            tariff = parse_obis(channels[0].obis).e if commodity is Commodity.ELECTRICITY else 0
            extent = _extent(extents, [[row for row, _step in steps]])
            obis = channels[0].obis
            opening, closing = _given(installation.opening, obis, shown), _given(installation.closing, obis, shown)
            found.append(ChainRegister(tariff, installation, tuple(steps), extent, opening, closing))
    return found


def _given(given: Mapping[str, Sequence[Any]], obis: str, shown: str) -> GivenRegister | None:
    """Read the value that was given of a register; None where there is none, or none that can be used."""
    if obis not in given:
        return None
    try:
        value, exponent, unit = given[obis]
        return GivenRegister(int(value), unit_step(unit, exponent, shown))
    except (ValueError, TypeError):
        return None


def _common_step(registers: Iterable[ChainRegister]) -> Fraction:
    """Return the greatest step that all scales of the chain are multiples of; 1 for a chain without registers."""
    steps = [step for register in registers for _row, step in register.channels]
    for register in registers:
        steps.extend(item.step for item in (register.opening, register.closing) if item is not None)
    common = steps[0] if steps else Fraction(1)
    for step in steps[1:]:
        numerator = math.gcd(common.numerator * step.denominator, step.numerator * common.denominator)
        common = Fraction(numerator, common.denominator * step.denominator)
    return common


# --- what does not bill -----------------------------------------------------------------------------------------


def _is_possible(given: GivenRegister, register: ChainRegister, step: Fraction) -> bool:
    return abs(given.in_steps(step)) * register.installation.multiplier <= MAX_STEPS


def _without_impossible(register: ChainRegister, step: Fraction) -> ChainRegister:
    """Return the register without an opening or closing value that no meter counts up to."""
    if register.opening is None and register.closing is None:
        return register
    opening, closing = (
        given if given is None or _is_possible(given, register, step) else None
        for given in (register.opening, register.closing)
    )
    return replace(register, opening=opening, closing=closing)


def _refused_series(
    installations: Iterable[InstallationRow], series_of: SeriesOf, extents: Extents
) -> Iterator[RefusedRegister]:
    """Name the registers whose step is one that no meter counts in."""
    for device in dict.fromkeys(installation.device for installation in installations):
        for row in series_of(device):
            fault = step_fault(row.unit, row.exponent)
            if fault is not None and extents(row.series_id) is not None:
                yield RefusedRegister(device, row.obis, str(fault))


def _refused_given(registers: Iterable[ChainRegister], step: Fraction, shown: str) -> Iterator[RefusedRegister]:
    """Name the opening and closing values that cannot be used."""
    for register in registers:
        row = register.installation
        for name, given, used in (
            ("opening", row.opening, register.opening),
            ("closing", row.closing, register.closing),
        ):
            if register.obis in given and (used is None or not _is_possible(used, register, step)):
                reason = f"{given[register.obis]} is no register in {shown} that a meter can show"
                yield RefusedRegister(row.device, f"{name} value of {register.obis}", reason)
