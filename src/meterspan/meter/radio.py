"""A battery meter on the radio: gas, water or heat over encrypted wireless M-Bus (EN 13757-4, one way).

Each telegram carries the register now and the register at the last mark of the quarter hour with its date and time
(storage 1), so one telegram heard per quarter is enough for a complete profile, and a lost one is healed by the next.
Times are the meter's standard time: battery meters know no daylight saving.
"""

import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import Enum
from functools import cache
from typing import Final

from meterspan.engine.mbus_security import Protection, build_telegram
from meterspan.meter.clock import MeterClock
from meterspan.meter.metrology import (
    BlockType,
    Flow,
    Indication,
    Metrology,
    gas_block,
    heat_block,
    water_block,
)
from meterspan.model.identity import mbus_device
from meterspan.model.ports import CounterStore, StateStore
from meterspan.quantities import CATALOGUE, UNITS, Commodity, Obis
from meterspan.quantities.codes import (
    HEAT_FLOW,
    HEAT_FLOW_TEMPERATURE,
    HEAT_POWER,
    HEAT_RETURN_TEMPERATURE,
    HEATING_WATER,
)
from meterspan.wire.mbus.address import DeviceAddress
from meterspan.wire.mbus.records import DataRecord, build_header, build_record, write_records
from meterspan.wire.mbus.transport import Ci, HeaderKind, SecurityMode, TransportHeader
from meterspan.wire.wmbus.frame import FrameFormat, LinkHeader

__all__ = ["RadioMedium", "RadioMeter", "RadioMeterConfig"]

SND_NR: Final = 0x44
"""Send, no reply: the telegram of a one-way meter (EN 13757-4, 12.5.4)."""
COUNTERS_RESERVED: Final = 256
"""Message counters of mode 7 reserved at once: one durable write for some twelve hours of telegrams."""
DUE_STORAGE: Final = 1
_INTEGER_32, _INTEGER_48, _BCD_8 = 0x04, 0x06, 0x0C
_INTEGER_16 = 0x02
_DATE_TIME = b"\x6d"


@dataclass(frozen=True, slots=True)
class _Column:
    """How one value goes on the radio: its register, data field and VIF."""

    obis: Obis
    data_field: int
    vif: bytes
    unit: str
    is_due: bool = False


class RadioMedium(Enum):
    """The medium of a radio meter; the value is its device type octet (EN 13757-7, table 13)."""

    GAS = 0x03
    HEAT = 0x04
    WATER = 0x07

    @classmethod
    def of(cls, commodity: Commodity) -> "RadioMedium":
        """Return the medium of a supply; raises ``ValueError`` for electricity, which no radio meter measures here."""
        for medium in cls:
            if medium.value in CATALOGUE[commodity].mbus_media:
                return medium
        raise ValueError(f"no radio meter measures {commodity}")

    @property
    def block(self) -> BlockType:
        """The metrological block."""
        return _BLOCKS[self]

    @property
    def columns(self) -> tuple[_Column, ...]:
        """The values of a telegram."""
        return _COLUMNS[self]


_BLOCKS = {RadioMedium.GAS: gas_block(), RadioMedium.HEAT: heat_block(), RadioMedium.WATER: water_block()}
_COLUMNS = {
    RadioMedium.GAS: (_Column(CATALOGUE[Commodity.GAS].register, _BCD_8, b"\x14", "m3", is_due=True),),
    RadioMedium.WATER: (_Column(CATALOGUE[Commodity.WATER].register, _INTEGER_32, b"\x13", "m3", is_due=True),),
    RadioMedium.HEAT: (
        _Column(CATALOGUE[Commodity.HEAT].register, _INTEGER_48, b"\x03", "Wh", is_due=True),
        _Column(HEATING_WATER, _INTEGER_32, b"\x13", "m3"),
        _Column(HEAT_POWER, _INTEGER_32, b"\x2b", "W"),
        _Column(HEAT_FLOW, _INTEGER_32, b"\x3b", "m3/h"),
        _Column(HEAT_FLOW_TEMPERATURE, _INTEGER_16, b"\x59", "°C"),
        _Column(HEAT_RETURN_TEMPERATURE, _INTEGER_16, b"\x5d", "°C"),
    ),
}


@dataclass(frozen=True, slots=True)
class RadioMeterConfig:
    """How a radio meter is built and programmed.

    Attributes:
        medium: its medium.
        manufacturer: three letters.
        number: eight digits.
        key: AES-128 key of its telegrams.
        mode: security mode 0, 5 or 7.
        version: generation of the device type.
        standard_offset_s: local standard time minus UTC.
        interval_s: seconds between telegrams, nominal; each is up to a tenth early.
        due_period_s: seconds between due marks.
        form: the frame format; STRIPPED for a receiver with its own CRC check.
        opening: register steps when it left the factory.
        seal_key: secret under which registers are sealed at rest; with b"" the seal only finds accidents.

    """

    medium: RadioMedium
    manufacturer: str
    number: str
    key: bytes = field(default=b"", repr=False)
    mode: SecurityMode = SecurityMode.AES_CBC_IV
    version: int = 1
    standard_offset_s: int = 3_600
    interval_s: float = 180.0
    due_period_s: int = 900
    form: FrameFormat = FrameFormat.A
    opening: int = 0
    seal_key: bytes = field(default=b"", repr=False)

    @property
    def address(self) -> DeviceAddress:
        """Its address on the radio."""
        return DeviceAddress.of(self.manufacturer, self.number, self.version, self.medium.value)

    @property
    def device(self) -> str:
        """Its name in inventories."""
        return mbus_device(self.address)


class RadioMeter:
    """The meter as a machine.

    Args:
        config: how it is built.
        now: true time of power-up, UTC seconds.
        counters: message counters of mode 7, persisted before use.
        state: memory through battery changes; None forgets.

    """

    def __init__(
        self, config: RadioMeterConfig, now: float, counters: CounterStore, *, state: StateStore | None = None
    ) -> None:
        self.config = config
        self.clock = MeterClock(UTC)
        self._counters = counters
        self._metrology = Metrology(
            config.medium.block,
            now,
            opening={config.medium.columns[0].obis: config.opening},
            state=state,
            seal_key=config.seal_key,
            former_seal_key=config.address.octets,
        )
        self._number = 0
        self._counter, self._counter_end = 0, 0
        self._due: tuple[DataRecord, ...] = ()
        self._next_mark = (int(self.clock.time(now)) // config.due_period_s + 1) * config.due_period_s
        self._next_send = now + self._wait()

    @property
    def device(self) -> str:
        """Its name in inventories."""
        return self.config.device

    @property
    def indication(self) -> Indication:
        """The indicated registers."""
        return self._metrology.indicate()

    def advance(self, flow: Flow | None, now: float) -> list[bytes]:
        """Measure ``flow``, constant until ``now``; returns the sent telegrams, in order."""
        sent: list[bytes] = []
        while True:
            mark_at = self.clock.true_time(self._next_mark, now)
            due = min(mark_at, self._next_send)
            if due > now:
                break
            self._metrology.advance(flow, max(due, self._metrology.time))
            if mark_at <= self._next_send:
                self._due = tuple(self._due_records(self._next_mark))
                self._next_mark += self.config.due_period_s
            else:
                sent.append(self.telegram(self._next_send))
                self._next_send += self._wait()
        self._metrology.advance(flow, now)
        return sent

    def telegram(self, now: float) -> bytes:
        """Build the telegram of this instant; every call uses up an access number and, in mode 7, a counter."""
        self._number = (self._number + 1) & 0xFF
        header = TransportHeader(Ci.RESPONSE_SHORT, HeaderKind.SHORT, None, self._number)
        protection = Protection(self.config.mode, self.config.key, self._next_counter())
        records = write_records(self.records(now))
        return build_telegram(
            LinkHeader(SND_NR, self.config.address), header, records, protection, form=self.config.form
        )

    def preserve(self) -> None:
        """Keep the registers through a loss of the battery."""
        self._metrology.preserve()

    def records(self, now: float) -> Iterable[DataRecord]:
        """Return the data records of this instant, as a telegram or a readout carries them."""
        shown = self.indication
        for column in self.config.medium.columns:
            yield _record(column, shown)
        yield build_record(_header(_INTEGER_32, _DATE_TIME), self._local(self.clock.time(now)))
        yield from self._due

    def _due_records(self, mark: int) -> Iterable[DataRecord]:
        """Build the records of a due mark; every telegram until the next mark repeats them."""
        shown = self.indication
        for column in self.config.medium.columns:
            if column.is_due:
                yield _record(column, shown, DUE_STORAGE)
        yield build_record(_header(_INTEGER_32, _DATE_TIME, DUE_STORAGE), self._local(mark))

    def _local(self, own: float) -> datetime:
        standard = datetime.fromtimestamp(own, UTC) + timedelta(seconds=self.config.standard_offset_s)
        return standard.replace(tzinfo=None, second=0, microsecond=0)

    def _next_counter(self) -> int:
        if self.config.mode is not SecurityMode.AES_CBC_DYNAMIC:
            return 0
        if self._counter == self._counter_end:
            self._counter = self._counters.reserve(f"radio/{self.device}", COUNTERS_RESERVED)
            self._counter_end = self._counter + COUNTERS_RESERVED
        self._counter += 1
        return self._counter - 1

    def _wait(self) -> float:
        """Return the time to the next telegram; individual, so that neighbours do not collide for ever."""
        share = zlib.crc32(f"{self.device}/{self._number}".encode()) % 1_000 / 1_000
        return self.config.interval_s * (1.0 - 0.1 * share)


def _record(column: _Column, shown: Indication, storage: int = 0) -> DataRecord:
    try:
        value = shown[column.obis]
        exact = value.decimal * _ratio(value.unit.symbol, column.unit)
    except KeyError:
        exact = Decimal(0)
    return build_record(_header(column.data_field, column.vif, storage), exact)


@cache
def _header(data_field: int, vif: bytes, storage: int = 0) -> bytes:
    return build_header(data_field, vif, storage=storage)


@cache
def _ratio(own: str, target: str) -> Decimal:
    """Return how many ``target`` one ``own`` is: a power of ten for all that meters count."""
    ratio = UNITS[own].factor / UNITS[target].factor
    return Decimal(ratio.numerator) / Decimal(ratio.denominator)
