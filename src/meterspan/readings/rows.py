"""What every telegram becomes: the rows of its devices, beside the octets as they were received.

Strategy: each protocol has one function that turns octets, or a telegram already read, into a ``HeardTelegram``. Every
consumer (decoder, listener, home, access point, head end, display) takes its values from there, so that a telegram
gives every consumer the same OBIS code, value, unit and time.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from meterspan.model.failures import Failure
from meterspan.model.readings import CaptureBlock, Source
from meterspan.quantities import CATALOGUE, Commodity, Direction, Obis, Quality, Scaled

__all__ = ["STORED_MAX", "DeviceRows", "HeardTelegram", "Row", "is_storable"]

STORED_MAX = 2**63 - 1
"""Stored values are signed 64-bit integers."""
EXPONENT_MAX = 127
"""The scaler of COSEM is one signed octet (IEC 62056-6-2, 4.3.2)."""
NOTHING_AGAINST = Quality(0)


@dataclass(frozen=True, slots=True)
class Row:
    """One value of one device at one instant.

    Attributes:
        obis: the quantity.
        value: exact, at the resolution of the telegram.
        time: UTC seconds, by the device's stamp, or of reception where it sends none.
        quality: its flags, e.g. ``CLOCK_INVALID`` where the device's clock is not plausible.
        width: the register counts modulo this many steps of ``value``; None where the telegram has none.

    """

    obis: Obis
    value: Scaled
    time: int
    quality: Quality = NOTHING_AGAINST
    width: int | None = None


@dataclass(frozen=True, slots=True)
class DeviceRows:
    """The rows of one device in one telegram.

    Attributes:
        device: its identification, as ``model.identity`` names devices.
        commodity: the supply that it measures.
        rows: in the order of the telegram; each OBIS code at most once for each instant.
        channel: the M-Bus channel behind the meter that sent the telegram, 0 for that meter itself.

    """

    device: str
    commodity: Commodity
    rows: tuple[Row, ...]
    channel: int = 0

    def row(self, obis: Obis) -> Row | None:
        """Return the newest row of an OBIS code, or None."""
        found = [row for row in self.rows if row.obis == obis]
        return max(found, key=lambda row: row.time, default=None)

    def registers(self) -> Iterator[tuple[Direction, Row]]:
        """Iterate over the total registers that bill this commodity, each with its direction."""
        directions = _DIRECTIONS[self.commodity]
        for row in self.rows:
            direction = directions.get(row.obis)
            if direction is not None:
                yield direction, row

    def blocks(
        self, source: Source, received_at: int, *, only: Iterable[Obis] | None = None
    ) -> tuple[CaptureBlock, ...]:
        """Return a one-row block for each instant and quality, oldest first.

        Args:
            source: how the rows were collected.
            received_at: UTC seconds of reception.
            only: the OBIS codes to keep; all by default.

        """
        kept = None if only is None else frozenset(only)
        found: dict[tuple[int, Quality], dict[Obis, Scaled]] = {}
        for row in self.rows:
            if kept is None or row.obis in kept:
                found.setdefault((row.time, row.quality), {}).setdefault(row.obis, row.value)
        return tuple(
            CaptureBlock.of_row(
                self.device, source, time=time, values=values, received_at=received_at, quality=int(quality)
            )
            for (time, quality), values in sorted(found.items(), key=lambda item: item[0])
        )


@dataclass(frozen=True, slots=True)
class HeardTelegram:
    """One telegram: its octets and its rows.

    Attributes:
        protocol: ``p1``, ``wmbus`` or ``mbus``.
        octets: as they were received.
        time: UTC seconds: the telegram's own clock where it is believed, else the time of reception.
        devices: the rows of each device.
        failures: what could not be used, in the order of the telegram.
        power_w: import minus export in W, None where the telegram has none.
        tariff: the number of the active tariff, None where the telegram has none.
        message: text of the supplier, "" for none.
        limit_w: power at which the switch opens, in W, None where there is none.
        own_time: UTC seconds by the device's own clock, plausible or not; None where the telegram has none.

    """

    protocol: str
    octets: bytes = field(repr=False)
    time: int
    devices: tuple[DeviceRows, ...] = ()
    failures: tuple[Failure, ...] = ()
    power_w: int | None = None
    tariff: int | None = None
    message: str = ""
    limit_w: int | None = None
    own_time: int | None = None

    def device(self, name: str) -> DeviceRows | None:
        """Return the rows of a device, or None where the telegram has none of it."""
        return next((item for item in self.devices if item.device == name), None)


def is_storable(value: Scaled) -> bool:
    """Whether a value fits the store: a signed 64-bit integer and a scaler of one octet."""
    return -STORED_MAX <= value.value <= STORED_MAX and -EXPONENT_MAX <= value.exponent <= EXPONENT_MAX


_DIRECTIONS: Mapping[Commodity, Mapping[Obis, Direction]] = {
    commodity: {obis: direction for direction, obis in supply.registers.items()}
    for commodity, supply in CATALOGUE.items()
}
