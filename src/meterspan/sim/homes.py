"""The homes of a district: a household each, an electricity meter with its P1 port, and radio meters.

Strategy: ``draw_homes`` makes everything from the seed: who lives there, how the electricity meter is reached (over the
wrapper, over HDLC, or only through its P1 port), which radio meters hang in the cellar, and every key. A ``FlowTape``
returns the flow of each step, so that meters measure whole steps of constant flow.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import tzinfo
from enum import StrEnum
from hashlib import blake2b
from typing import Final
from zoneinfo import ZoneInfo

from meterspan.engine.security import SecurityContext, SecurityKeys
from meterspan.meter.cosem import MeterAccess, logical_device
from meterspan.meter.electricity import PROFILE_COLUMNS, ElectricityMeter, ElectricityMeterConfig
from meterspan.meter.metrology import Metrology, electricity_block
from meterspan.meter.radio import RadioMedium, RadioMeter, RadioMeterConfig
from meterspan.model.cosem.device import LogicalDevice
from meterspan.model.identity import MANUFACTURER
from meterspan.quantities import CATALOGUE, UNITS, Commodity, Obis, Scaled, standard_offset_s
from meterspan.sim.daily_life import Heating
from meterspan.sim.households import Flows, Household
from meterspan.sim.state import VirtualState
from meterspan.sim.weather import Weather
from meterspan.wire.axdr import double_long_unsigned
from meterspan.wire.mbus.transport import SecurityMode

__all__ = [
    "HEAD_END_TITLE",
    "ElectricityPoint",
    "FlowTape",
    "RadioPoint",
    "Reach",
    "SimulatedHome",
    "draw_homes",
    "draw_key",
    "title_of",
]

HEAD_END_TITLE: Final = b"MSP\x48\0\0\0\1"
CHUNK_STEPS: Final = 360
"""Steps of flow that are computed at once: six hours of minutes."""
WARM_UP_S: Final = 1_800
"""Radio meters run this long before the first day, so that their first telegram already knows a due mark."""


class Reach(StrEnum):
    """How the electricity meter of a home is read."""

    WRAPPER = "dlms-wrapper"
    HDLC = "dlms-hdlc"
    P1 = "p1"


_REACHES = (Reach.WRAPPER, Reach.HDLC, Reach.P1, Reach.WRAPPER)
"""Of the homes of a building, one after another."""
_MODES = (SecurityMode.AES_CBC_IV, SecurityMode.AES_CBC_DYNAMIC)


class FlowTape:
    """The flows of a household, step after step.

    Args:
        household: whose flows.

    """

    __slots__ = ("_flows", "_start", "_step_s", "household")

    def __init__(self, household: Household) -> None:
        self.household = household
        self._flows: Flows | None = None
        self._start = self._step_s = 0.0

    def step(self, start: float, end: float) -> tuple[Flows, int]:
        """Return the flows and the place in them of the step from ``start`` to ``end`` (UTC seconds)."""
        step_s = end - start
        if self._flows is not None and step_s == self._step_s:
            index = round((start - self._start) / step_s)
            if 0 <= index < len(self._flows) and float(self._flows.edges[index]) == start:
                return self._flows, index
        self._start, self._step_s = start, step_s
        self._flows = self.household.flows(start, start + CHUNK_STEPS * step_s, step_s)
        return self._flows, 0


@dataclass(slots=True)
class Reference:
    """A test bench's meter in series with a household's: the registers that it must have shown at each mark.

    Attributes:
        rows: by mark of the meter's own clock (UTC seconds), its registers.

    """

    metrology: Metrology
    rows: dict[int, tuple[int, ...]] = field(default_factory=dict)

    def totals(self) -> tuple[int, ...]:
        """Return import and export, Wh."""
        shown = self.metrology.indicate()
        return tuple(shown[obis].value for obis in PROFILE_COLUMNS)


class ElectricityPoint:
    """An electricity meter where it is installed.

    Args:
        config: how the meter is built.
        reach: how it is read.
        keys: unicast and authentication key of its management association.
        now: UTC seconds of the installation.

    """

    def __init__(self, config: ElectricityMeterConfig, reach: Reach, keys: SecurityKeys, now: float) -> None:
        self.reach = reach
        self.keys = keys
        self.state = VirtualState()
        self.meter = ElectricityMeter(config, now, state=self.state)
        opening = {PROFILE_COLUMNS[0]: config.opening_wh}
        self.reference = Reference(Metrology(electricity_block(1), now, opening=opening))
        self.rows: dict[int, tuple[int, ...]] = {}
        """The values that must be stored of this meter, by time; ``opening`` and ``closing`` registers are in it."""
        self._logical: LogicalDevice | None = None
        self.context = SecurityContext(config.system_title, keys, counters=self.state, peer_title=HEAD_END_TITLE)
        self.installed_at = int(now)
        self.removed_at: int | None = None
        self.rows[int(now)] = self.shown()

    @property
    def device(self) -> str:
        """Its name in inventories."""
        return self.meter.config.name

    @property
    def logical(self) -> LogicalDevice:
        """Its COSEM device; made on first use."""
        if self._logical is None:
            access = MeterAccess(
                invocation_counter=lambda _now: double_long_unsigned(max(0, self.context.last_received))
            )
            self._logical = logical_device(self.meter, access)
        return self._logical

    def shown(self) -> tuple[int, ...]:
        """Return import and export in Wh as this meter sends them: P1 has no total, its readers add the tariffs."""
        shown = self.meter.indication
        if self.reach is not Reach.P1:
            return tuple(shown[obis].value for obis in PROFILE_COLUMNS)
        return tuple(shown[Obis(1, 0, c, 8, 1)].value + shown[Obis(1, 0, c, 8, 2)].value for c in (1, 2))

    def registers(self) -> dict[Obis, Scaled]:
        """Return the registers as an installer notes them down."""
        return {obis: Scaled(value, 0, UNITS["Wh"]) for obis, value in zip(PROFILE_COLUMNS, self.shown(), strict=True)}

    def truth(self) -> dict[int, tuple[int, ...]]:
        """Return the values that may be stored of this meter: by time, import and export in Wh."""
        return self.rows if self.reach is Reach.P1 else {**self.reference.rows, **self.rows}

    def measure(self, flows: Flows, index: int, now: float) -> None:
        """Let one step flow, and note what every mark that it passes must show."""
        flow = flows.electricity(index)
        captured = self.meter.advance(flow, now)
        metrology = self.reference.metrology
        if captured:
            count = len(self.meter.profile)
            for row in self.meter.profile.entries(count - captured + 1, count):
                moment = row[0].clock_time.to_utc()
                if moment is not None:
                    mark = int(moment.timestamp())
                    metrology.advance(flow, max(self.meter.clock.true_time(mark, now), metrology.time))
                    self.reference.rows[mark] = self.reference.totals()
        metrology.advance(flow, now)


class RadioPoint:
    """A radio meter where it is installed.

    Args:
        commodity: its commodity.
        config: how it is built.
        now: UTC seconds from which on it counts; it has been on the air for half an hour then.

    """

    def __init__(self, commodity: Commodity, config: RadioMeterConfig, now: float) -> None:
        self.commodity = commodity
        self.state = VirtualState()
        self.meter = RadioMeter(config, now - WARM_UP_S, self.state, state=self.state)
        self.meter.advance(None, now)
        self.installed_at = int(now)
        self.rows: dict[int, tuple[int, ...]] = {int(now): self.shown()}

    @property
    def device(self) -> str:
        """Its name in inventories."""
        return self.meter.device

    @property
    def obis(self) -> Obis:
        """Its billing register."""
        return self.meter.config.medium.columns[0].obis

    def shown(self) -> tuple[int, ...]:
        """Return its register in its own steps."""
        return (self.meter.indication[self.obis].value,)

    def registers(self) -> dict[Obis, Scaled]:
        """Return the register as an installer notes it down."""
        return {self.obis: self.meter.indication[self.obis]}

    def truth(self) -> dict[int, tuple[int, ...]]:
        """Return the values that may be stored of this meter: by time, its register in its own steps."""
        return self.rows

    def measure(self, flows: Flows, index: int, now: float) -> list[bytes]:
        """Measure one step; returns the sent telegrams."""
        sent = self.meter.advance(flows.piped(self.commodity, index), now)
        if not now % self.meter.config.due_period_s:
            self.rows[int(now)] = self.shown()
        return sent


@dataclass(slots=True)
class SimulatedHome:
    """One home with its meters.

    Attributes:
        home_id: in the data management.
        name: as its people call it.
        number: from 1, over the whole district.
        tape: the flows.
        electricity: the meter installed now.
        radios: gas or heat, and water.

    """

    home_id: str
    name: str
    number: int
    tape: FlowTape
    electricity: ElectricityPoint
    radios: list[RadioPoint]

    @property
    def points(self) -> "tuple[ElectricityPoint | RadioPoint, ...]":
        """All meters installed now."""
        return (self.electricity, *self.radios)

    def usage_point(self, commodity: Commodity) -> str:
        """Name the point where a supply of this home is measured."""
        return f"DE-{self.number:04d}-{CATALOGUE[commodity].letter}"


def title_of(kind: int, number: int) -> bytes:
    """Make a system title: manufacturer, kind of device, number."""
    return MANUFACTURER.encode() + bytes([kind]) + number.to_bytes(4, "big")


def draw_key(seed: int, name: str, purpose: str) -> bytes:
    """Draw an AES-128 key."""
    return blake2b(f"{seed}/{name}/{purpose}".encode(), digest_size=16, person=b"meterspan sim").digest()


def electricity_config(number: int, zone: tzinfo, opening_wh: int) -> ElectricityMeterConfig:
    """Build the configuration of electricity meter ``number``."""
    return ElectricityMeterConfig(f"MSP1{number:010d}", title_of(1, number), zone, opening_wh=opening_wh)


def electricity_keys(seed: int, name: str) -> SecurityKeys:
    """Draw the keys of an electricity meter or an access point."""
    return SecurityKeys(draw_key(seed, name, "unicast"), draw_key(seed, name, "authentication"))


def draw_homes(seed: int, count: int, *, zone: str, start: float, homes_per_building: int) -> Iterator[SimulatedHome]:
    """Draw the homes of a district from its seed.

    Args:
        seed: of all random draws.
        count: how many homes.
        zone: IANA time zone of the homes.
        start: UTC seconds at which the meters are installed.
        homes_per_building: homes behind one access point.

    """
    weather = Weather(seed)
    offset_s = standard_offset_s(ZoneInfo(zone), start)
    for index in range(count):
        number = index + 1
        household = _household(seed, index, zone, weather)
        heat = Commodity.HEAT if household.equipment.heating is Heating.DISTRICT else Commodity.GAS
        reach = _REACHES[index % homes_per_building % len(_REACHES)]
        opening = 0 if reach is Reach.P1 else _drawn(seed, f"{number}/E", 900_000, 9_000_000)
        config = electricity_config(number, ZoneInfo(zone), opening)
        yield SimulatedHome(
            f"home-{number:02d}",
            f"{_STREETS[index // homes_per_building % len(_STREETS)]}, flat {index % homes_per_building + 1}",
            number,
            FlowTape(household),
            ElectricityPoint(config, reach, electricity_keys(seed, config.name), start),
            [
                RadioPoint(commodity, _radio_config(seed, number, commodity, offset_s), start)
                for commodity in (heat, Commodity.WATER)
            ],
        )


def draw_neighbours(seed: int, building: int, start: float, offset_s: int) -> Sequence[RadioPoint]:
    """Draw meters of next door that the access point receives and must not store.

    Args:
        seed: of all random draws.
        building: number of the building.
        start: UTC seconds at which the meters are installed.
        offset_s: local standard time minus UTC, seconds.

    """
    return [
        RadioPoint(
            Commodity.WATER, _radio_config(seed, 9_000 + 10 * building + number, Commodity.WATER, offset_s), start
        )
        for number in range(2)
    ]


def _household(seed: int, index: int, zone: str, weather: Weather) -> Household:
    """Draw until the house is heated by gas or by the district: each home has a meter for one of them."""
    for attempt in range(100):
        household = Household.drawn(seed * 1_000 + index + 100_000 * attempt, zone=zone, weather=weather)
        if household.equipment.heating in {Heating.GAS, Heating.DISTRICT}:
            return household
    raise ValueError(f"no household with gas or district heating in a hundred draws of seed {seed}")


def _radio_config(seed: int, number: int, commodity: Commodity, offset_s: int) -> RadioMeterConfig:
    place = 10 * number + list(Commodity).index(commodity)
    name = f"{10_000_000 + 137 * place:08d}"
    return RadioMeterConfig(
        RadioMedium.of(commodity),
        MANUFACTURER,
        name,
        draw_key(seed, name, "radio"),
        _MODES[place % 2],
        standard_offset_s=offset_s,
        interval_s=150.0,
        opening=_drawn(seed, name, 10_000, 900_000),
    )


def _drawn(seed: int, name: str, low: int, high: int) -> int:
    return low + int.from_bytes(draw_key(seed, name, "opening")[:4], "big") % (high - low)


_STREETS = (
    "Linden Street 3",
    "Mill Lane 12",
    "Station Road 7",
    "Garden Row 21",
    "Harbour Street 5",
    "School Lane 9",
    "Market Square 2",
    "Bridge Street 16",
)
