"""A household's P1 port (interface H1): DSMR 5 telegrams of its electricity meter, with its other meters behind it.

Strategy: each meter is a ``Metrology`` block fed with the household's flows; the port writes what the blocks indicate.
M-Bus channels are captured on the full five minutes, as DSMR 5 meters do; Dutch meters have no total register, so the
telegram carries tariff 1 (low) and 2 (normal) only (DSMR P1 companion standard 5.0.2, 6.12).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from meterspan.meter.metrology import (
    BlockType,
    Flow,
    Indication,
    Metrology,
    electricity_block,
    gas_block,
    heat_block,
    water_block,
)
from meterspan.model.readings import Commodity
from meterspan.quantities import ClockTime, Obis, Scaled
from meterspan.sim.households import Flows, Heating, Household
from meterspan.wire.p1 import PROFILES, P1Object, fixed, p1_object, p1_time, write_telegram

__all__ = ["P1Channel", "P1Port", "p1_lines"]

CAPTURE_S = 300
"""DSMR 5 captures M-Bus meters each five minutes (DSMR P1 5.0.2, 6.12: "last 5-minute value")."""
IDENTIFICATION = "MSP5\\2M550E-1000"
LOW_TARIFF_UNTIL_H, LOW_TARIFF_FROM_H = 7, 23
"""The Dutch low tariff: nights from 23 to 7 and weekends."""


@dataclass(frozen=True, slots=True)
class P1Channel:
    """One M-Bus meter behind the port.

    Attributes:
        number: M-Bus channel, 1..4.
        commodity: what it measures.
        meter: its equipment identifier.
        value: register at ``captured``.
        captured: UTC seconds.

    """

    number: int
    commodity: Commodity
    meter: str
    value: Scaled
    captured: int


def p1_lines(
    indication: Indication,
    *,
    time: datetime,
    meter: str,
    tariff: int,
    channels: tuple[P1Channel, ...] = (),
    message: str = "",
) -> list[P1Object]:
    """Write the lines of a DSMR 5 telegram.

    Args:
        indication: of an electricity block with two tariffs.
        time: local time of the telegram, with its zone.
        meter: equipment identifier.
        tariff: the active tariff, 1 or 2.
        channels: the M-Bus meters.
        message: text for the consumer, up to 1,024 characters.

    """
    zone = time.tzinfo
    lines = [
        p1_object(Obis(1, 3, 0, 2, 8), "50"),
        p1_object(Obis(0, 0, 1, 0, 0), p1_time(ClockTime.of(time))),
        p1_object(Obis(0, 0, 96, 1, 1), _hex(meter)),
    ]
    lines += [p1_object(code, fixed(indication[code], "kWh", digits=9, decimals=3)) for code in _ENERGY]
    lines.append(p1_object(Obis(0, 0, 96, 14, 0), f"{tariff:04d}"))
    lines += [p1_object(code, fixed(indication[code], "kW", digits=5, decimals=3)) for code in _POWER]
    lines.append(p1_object(Obis(0, 0, 96, 13, 0), _hex(message)))
    for code, value in indication.instants:
        if code.c in _VOLTAGES:
            lines.append(p1_object(code, fixed(value, "V", digits=4, decimals=1)))
        elif code.c in _CURRENTS:
            lines.append(p1_object(code, fixed(value, "A", digits=3, decimals=0)))
    for channel in channels:
        captured = ClockTime.of(datetime.fromtimestamp(channel.captured, UTC).astimezone(zone))
        device, unit, digits = _DEVICES[channel.commodity]
        lines += [
            p1_object(Obis(0, channel.number, 24, 1, 0), f"{device:03d}"),
            p1_object(Obis(0, channel.number, 96, 1, 0), _hex(channel.meter)),
            p1_object(
                Obis(0, channel.number, 24, 2, 1),
                p1_time(captured),
                fixed(channel.value, unit, digits=digits, decimals=3),
            ),
        ]
    return lines


class P1Port:
    """The P1 port of a simulated household.

    Args:
        household: who lives there.
        start: UTC seconds from which its meters measure.
        meter: identifier of the electricity meter; those behind it are derived from it.
        opening: registers at the start, in register steps, by commodity and code.
        phases: 1 or 3.

    """

    def __init__(
        self,
        household: Household,
        start: float,
        *,
        meter: str = "E0001000000000001",
        opening: Mapping[Commodity, Mapping[Obis, int]] | None = None,
        phases: int = 3,
    ) -> None:
        self.message = ""
        self._household = household
        self._zone: ZoneInfo = household.zone
        self._meter = meter
        self._phases = phases
        self._time = start
        opened = opening or {}
        self._blocks = {
            commodity: Metrology(block, start, opening=opened.get(commodity))
            for commodity, block in _blocks_of(household)
        }
        self._captured: dict[Commodity, tuple[int, Scaled]] = {}
        self._see(household.flows(start, start + 1.0), start)
        self._capture(int(start))

    def telegram(self, at: float) -> bytes:
        """Measure on until ``at`` (UTC seconds) and give the telegram of that instant.

        Raises:
            ValueError: ``at`` is before the last telegram.

        """
        self._measure(at)
        time = datetime.fromtimestamp(at, UTC).astimezone(self._zone)
        channels = tuple(
            P1Channel(number, commodity, f"{commodity.value[0].upper()}{self._meter[1:]}", value, captured)
            for number, (commodity, (captured, value)) in enumerate(self._captured.items(), start=1)
        )
        indication = self._blocks[Commodity.ELECTRICITY].indicate()
        lines = p1_lines(
            indication, time=time, meter=self._meter, tariff=self._tariff(at), channels=channels, message=self.message
        )
        return write_telegram(IDENTIFICATION, lines, profile=_DSMR5)

    def telegrams(self, start: float, end: float, period_s: float = 10.0) -> Iterator[bytes]:
        """Give the telegrams from ``start`` up to and including ``end``, one each ``period_s``."""
        for count in range(int((end - start) // period_s) + 1):
            yield self.telegram(start + count * period_s)

    def _measure(self, until: float) -> None:
        """Feed the blocks in steps of at most 10 s, cut at each capture and so at each tariff change."""
        if until < self._time:
            raise ValueError(f"the port is at {self._time}, and {until} is past")
        while self._time < until:
            capture = (int(self._time) // CAPTURE_S + 1) * CAPTURE_S
            end = min(until, float(capture))
            self._advance(self._household.flows(self._time, end, 10.0))
            self._time = end
            if end == capture:
                self._capture(capture)

    def _advance(self, flows: Flows) -> None:
        for step in range(len(flows)):
            self._see(flows, float(flows.edges[step + 1]), step)

    def _see(self, flows: Flows, until: float, step: int = 0) -> None:
        """Let every block measure one step; a step of no length only sets what is indicated as instantaneous."""
        tariff = self._tariff(float(flows.edges[step]))
        for commodity, block in self._blocks.items():
            selected = tariff if commodity is Commodity.ELECTRICITY else 1
            block.advance(self._flow(flows, commodity, step), until, tariff=selected)

    def _flow(self, flows: Flows, commodity: Commodity, step: int) -> Flow:
        match commodity:
            case Commodity.ELECTRICITY:
                return flows.electricity(step, self._phases)
            case Commodity.GAS:
                return flows.gas(step)
            case Commodity.WATER:
                return flows.water(step)
            case Commodity.HEAT:
                return flows.heat(step)

    def _capture(self, at: int) -> None:
        for commodity, block in self._blocks.items():
            if commodity is not Commodity.ELECTRICITY:
                self._captured[commodity] = (at, block.indicate().registers[0].value)

    def _tariff(self, at: float) -> int:
        local = datetime.fromtimestamp(at, UTC).astimezone(self._zone)
        night = not LOW_TARIFF_UNTIL_H <= local.hour < LOW_TARIFF_FROM_H
        return 1 if night or local.isoweekday() >= 6 else 2


_DSMR5 = next(profile for profile in PROFILES if profile.name == "dsmr5")
_ENERGY = tuple(Obis(1, 0, quantity, 8, tariff) for tariff in (1, 2) for quantity in (1, 2))
_POWER = (Obis(1, 0, 1, 7, 0), Obis(1, 0, 2, 7, 0))
_VOLTAGES, _CURRENTS = frozenset({32, 52, 72}), frozenset({31, 51, 71})
_DEVICES = {Commodity.GAS: (3, "m3", 8), Commodity.WATER: (7, "m3", 8), Commodity.HEAT: (4, "GJ", 8)}
"""EN 13757-3 device type, unit and digits on the port."""


def _blocks_of(household: Household) -> Iterator[tuple[Commodity, BlockType]]:
    yield Commodity.ELECTRICITY, electricity_block(2)
    if household.equipment.heating is Heating.GAS:
        yield Commodity.GAS, gas_block()
    if household.equipment.heating is Heating.DISTRICT:
        yield Commodity.HEAT, heat_block()
    yield Commodity.WATER, water_block()


def _hex(text: str) -> str:
    return text.encode().hex().upper()
