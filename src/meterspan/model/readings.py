"""Readings: what is collected from meters, and the series that it belongs to.

Registers are the truth; intervals are derived between registers, or reported by the meter and checked against them.
Times are UTC seconds since 1970 (``int``); values are integers, scaled by the series' power of ten.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Self

import numpy as np
from numpy.typing import NDArray

from meterspan.quantities import Commodity, Direction, Obis, Scaled, Unit

__all__ = [
    "CaptureBlock",
    "CaptureColumn",
    "EventSeverity",
    "MeterEvent",
    "Series",
    "SeriesKind",
    "Source",
]


class SeriesKind(StrEnum):
    """What the values of a series are."""

    REGISTER = "register"
    """A cumulative register: only differences are consumption."""
    INTERVAL = "interval"
    """The quantity of one capture period, stamped at its end."""
    INSTANT = "instant"
    """A momentary value: power, voltage, temperature."""


class Source(IntEnum):
    """How a reading was obtained; the numbers are stored: never renumber, only append."""

    SCHEDULED_READ = 1
    ON_DEMAND_READ = 2
    PUSH = 3
    GAP_RECOVERY = 4
    LOCAL = 5
    """Heard on the local network (H1, M) without a head end."""
    IMPORT_FILE = 6
    MANUAL = 7
    EXCHANGE = 8
    """Closing or opening reading of a meter exchange."""


@dataclass(frozen=True, slots=True)
class Series:
    """One channel of one device at one usage point.

    Attributes:
        series_id: number given by the registry; stable for ever.
        usage_point: where the supply is measured; survives meter exchanges.
        device: the meter's identification, e.g. ``LGZ1030655`` or the M-Bus ``manufacturer-id-version-medium``.
        obis: what is measured.
        unit: base unit of the scaled value.
        exponent: the stored integer times 10^exponent is the value in ``unit``.
        commodity: the supply.
        kind: register, interval or instant.
        direction: import or export.
        multiplier: transformer ratio applied to consumption, not to the stored register.
        register_width: the register counts modulo this many integer steps; None where unknown.
        period_s: capture period in seconds; None where readings come when they come.

    """

    series_id: int
    usage_point: str
    device: str
    obis: Obis
    unit: Unit
    exponent: int
    commodity: Commodity
    kind: SeriesKind = SeriesKind.REGISTER
    direction: Direction = Direction.IMPORT
    multiplier: int = 1
    register_width: int | None = None
    period_s: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class CaptureColumn:
    """One captured channel: integers of one unit and scaler, one per time of the block."""

    obis: Obis
    unit: Unit
    exponent: int
    values: NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class CaptureBlock:
    """What one collection from one device brought: rows by time, columns by OBIS (a lone reading is one row).

    Attributes:
        device: identification of the meter.
        source: how it was collected.
        received_at: UTC seconds when the last octet was here.
        times: UTC seconds of each row, as the meter's clock gave them.
        columns: the captured channels.
        status: the device's status word per row (0: nothing to say).
        quality: ``Quality`` bits per row known at collection (clock invalid, …).

    """

    device: str
    source: Source
    received_at: int
    times: NDArray[np.int64]
    columns: tuple[CaptureColumn, ...]
    status: NDArray[np.int32]
    quality: NDArray[np.int32]

    def __post_init__(self) -> None:
        rows = len(self.times)
        lengths = {len(column.values) for column in self.columns} | {len(self.status), len(self.quality)}
        if lengths != {rows}:
            raise ValueError(f"a block of {rows} rows has columns of {sorted(lengths)} values")

    @classmethod
    def of_row(
        cls,
        device: str,
        source: Source,
        *,
        time: int,
        values: Mapping[Obis, Scaled],
        received_at: int = 0,
        status: int = 0,
        quality: int = 0,
    ) -> Self:
        """Make the block of one row: registers of one device at one instant.

        Args:
            device: identification of the meter.
            source: how the row was collected.
            time: UTC seconds of the values.
            values: exact values by OBIS code; each becomes a column of its unit and exponent.
            received_at: UTC seconds when the last octet was here.
            status: the device's status word.
            quality: ``Quality`` bits known at collection.

        """
        channels = [(obis, value.unit, value.exponent) for obis, value in values.items()]
        row = (time, status, [value.value for value in values.values()])
        block = cls.of_rows(device, source, channels=channels, rows=[row], received_at=received_at)
        block.quality[:] = quality
        return block

    @classmethod
    def of_rows(
        cls,
        device: str,
        source: Source,
        *,
        channels: Sequence[tuple[Obis, Unit, int]],
        rows: Sequence[tuple[int, int, Sequence[int]]],
        received_at: int = 0,
    ) -> Self:
        """Make the block of some rows of the same channels, with nothing against them.

        Args:
            device: identification of the meter.
            source: how the rows were collected.
            channels: OBIS code, unit and exponent of each column.
            rows: UTC seconds, status word, and an integer for each channel.
            received_at: UTC seconds when the last octet was here.

        """
        columns = tuple(
            CaptureColumn(obis, unit, exponent, np.array([values[index] for _, _, values in rows], np.int64))
            for index, (obis, unit, exponent) in enumerate(channels)
        )
        times = np.array([time for time, _, _ in rows], np.int64)
        status = np.array([word for _, word, _ in rows], np.int32)
        return cls(device, source, received_at, times, columns, status, np.zeros(len(rows), np.int32))


class EventSeverity(IntEnum):
    """How much an event matters to the operator."""

    INFO = 0
    WARNING = 1
    ALARM = 2


@dataclass(frozen=True, slots=True)
class MeterEvent:
    """An entry of a meter's event log, or something that an entity noticed about a meter.

    Attributes:
        device: identification of the meter.
        time: UTC seconds.
        code: the event code of the meter's log, or a lower-case name given by the entity that noticed.
        text: the event in words.
        severity: how much it matters.

    """

    device: str
    time: int
    code: str
    text: str
    severity: EventSeverity = EventSeverity.INFO
