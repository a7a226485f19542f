"""The rows of an access point on their way to a receiver: durable, compact, exact, and not encoded for any protocol.

Layout of an item: one octet with the format's number, then a MessagePack array (device, time, status, values), each
value an array (OBIS octets, integer, power of ten, unit symbol). Every row has its own scale, so a register that
becomes finer needs no agreement with rows that wait already. Items of meterspan 0.1 are A-XDR profile rows without a
scale (first octet 02); ``convert`` replaces them once, at the start, with the scales that were kept beside them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from meterspan.model.cosem.classes import ProfileGeneric
from meterspan.model.cosem.view import fields_of, read_logical_name
from meterspan.model.ports import OutboxStore
from meterspan.quantities import UNITS, Obis, Scaled, Unit, unit_of_code
from meterspan.wire.axdr import Data, DataType, read_data
from meterspan.wire.errors import UnsupportedError, WireError

__all__ = ["ALL_ITEMS", "ConvertedRows", "OldChannel", "OutboxRow", "RowBatch", "RowOutbox", "read_row", "write_row"]

FORMAT: Final = b"\x01"
OLD_FORMAT: Final = bytes((DataType.STRUCTURE,))
ALL_ITEMS: Final = 1 << 20
"""More than any outbox holds: 64 channels of sixty days of quarter hours are a third of it."""


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """Registers of one device at one instant.

    Attributes:
        device: identification of the meter.
        time: UTC seconds of the values.
        status: the device's status octet.
        values: exact values by OBIS code.

    """

    device: str
    time: int
    status: int
    values: tuple[tuple[Obis, Scaled], ...]


@dataclass(frozen=True, slots=True)
class RowBatch:
    """The oldest rows of an outbox; ``through`` is the number to discard once the receiver has them all."""

    through: int
    rows: tuple[OutboxRow, ...]
    numbers: tuple[int, ...]
    """The number of each row."""
    damaged: int = 0
    """Items that could not be read; they are removed with the batch."""


@dataclass(frozen=True, slots=True)
class OldChannel:
    """How items of the old format are to be understood: registers in the order of the columns, with their scales."""

    device: str
    registers: tuple[Obis, ...]
    scales: tuple[tuple[Unit, int], ...]


@dataclass(frozen=True, slots=True)
class ConvertedRows:
    """The result of a conversion: rows written in the new format, and items of channels that are no longer known."""

    rows: int = 0
    unknown: int = 0


class RowOutbox:
    """Rows in an ``OutboxStore``.

    Args:
        store: keeps the items durably.

    """

    def __init__(self, store: OutboxStore) -> None:
        self._store = store

    def append(self, row: OutboxRow) -> int:
        """Append a row durably and return its number."""
        return self._store.append(write_row(row))

    def peek(self, count: int) -> RowBatch | None:
        """Return up to ``count`` of the oldest rows without removing them, or None where there are none."""
        items = self._store.peek(count)
        if not items:
            return None
        rows = [(number, row) for number, octets in items if (row := _read_or_none(octets)) is not None]
        return RowBatch(
            items[-1][0],
            tuple(row for _, row in rows),
            tuple(number for number, _ in rows),
            len(items) - len(rows),
        )

    def discard(self, through: int) -> None:
        """Remove all rows up to and including number ``through``."""
        self._store.discard(through)

    def convert(self, channels: Mapping[Obis, OldChannel]) -> ConvertedRows:
        """Replace items of the old format; call it before anything is appended, and before a scale may change.

        Items keep their order. A crash in between converts the first ones again: a receiver knows them by their time.

        Args:
            channels: by logical name of the profile that the rows were captured for.

        """
        items = self._store.peek(ALL_ITEMS)
        if not any(octets[:1] == OLD_FORMAT for _, octets in items):
            return ConvertedRows()
        rows = unknown = 0
        for _, octets in items:
            if octets[:1] != OLD_FORMAT:
                self._store.append(octets)
                continue
            found = _read_old(octets, channels)
            unknown += not found
            for row in found:
                self.append(row)
                rows += 1
        self._store.discard(items[-1][0])
        return ConvertedRows(rows, unknown)


def write_row(row: OutboxRow) -> bytes:
    """Write a row as an item of an outbox."""
    values = [(bytes(obis), value.value, value.exponent, value.unit.symbol) for obis, value in row.values]
    return FORMAT + _ENCODER.encode((row.device, row.time, row.status, values))


def read_row(octets: bytes) -> OutboxRow:
    """Read an item of an outbox.

    Raises:
        WireError: it is damaged, or of another format.

    """
    if octets[:1] != FORMAT:
        raise UnsupportedError(f"format {octets[:1].hex() or 'of nothing'} of an outbox item", 0, "format")
    try:
        device, time, status, values = _DECODER.decode(octets[1:])
        exact = tuple((Obis(*obis), Scaled(value, exponent, _unit(unit))) for obis, value, exponent, unit in values)
    except (msgspec.DecodeError, KeyError, TypeError, ValueError) as error:
        raise WireError(f"damaged outbox item: {error}", None, "row") from error
    if not (_fits(time, 64) and _fits(status, 32) and all(_fits(value.value, 64) for _, value in exact)):
        raise WireError("damaged outbox item: a number is larger than any row has", None, "row")
    return OutboxRow(device, time, status, exact)


def _fits(number: int, bits: int) -> bool:
    """Whether a number is one of so many bits, with its sign."""
    return -(1 << bits - 1) <= number < 1 << bits - 1


def _unit(symbol: str) -> Unit:
    return UNITS.get(symbol) or unit_of_code(int(symbol.removeprefix("dlms:")))


def _read_or_none(octets: bytes) -> OutboxRow | None:
    try:
        return read_row(octets)
    except WireError:
        return None


def _read_old(octets: bytes, channels: Mapping[Obis, OldChannel]) -> list[OutboxRow]:
    """Read an item of meterspan 0.1: (class, logical name, attribute, rows); empty where its channel is not known."""
    try:
        class_id, name, _attribute, rows = fields_of(read_data(octets), 4, "pushed value")
        channel = channels.get(read_logical_name(name))
        if class_id.integer != ProfileGeneric.class_id or channel is None:
            return []
        return [row for item in rows.items if (row := _old_row(item, channel)) is not None]
    except WireError:
        return []


def _old_row(item: Data, channel: OldChannel) -> OutboxRow | None:
    clock, status, *numbers = fields_of(item, 2 + len(channel.scales), "profile row")
    moment = clock.clock_time.to_utc()
    if moment is None:
        return None
    values = tuple(
        (obis, Scaled(number.integer, exponent, unit))
        for obis, (unit, exponent), number in zip(channel.registers, channel.scales, numbers, strict=True)
    )
    return OutboxRow(channel.device, int(moment.timestamp()), status.integer, values)


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(tuple[str, int, int, list[tuple[bytes, int, int, str]]])
