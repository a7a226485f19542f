"""The idiom of a proprietary payload: which devices it is for, and how its octets become readings.

A ``Grammar`` matches by maker, device type, version and CI field, never by a single meter. Most are a list of ``Field``
(offset, size, unit, power of ten, OBIS code); the others have a reader of their own. A reading with the OBIS code of
``WATER``, ``HEAT`` or ``GAS`` is the register that bills the device: it is stored and billed like any other meter's.
A grammar declares how its payload is sealed; opening is the engine's. Facts come from the makers' documents where
there are some, else from comparing telegrams with what the meter showed.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from enum import Enum
from types import MappingProxyType
from typing import Literal, TypeAlias

from meterspan.model.telegram import DecodedReading
from meterspan.quantities import CATALOGUE, Commodity, Obis
from meterspan.wire import TruncatedError, WireError
from meterspan.wire.mbus import Records

__all__ = [
    "ALLOCATION",
    "GAS",
    "HEAT",
    "WATER",
    "Decoded",
    "Field",
    "Grammar",
    "Payload",
    "Reader",
    "Seal",
    "calendar_date",
    "cut",
    "date_g",
    "date_packed",
    "fields_reader",
    "reading",
]

DIVIDED_DECIMALS = 9
"""Decimals of a number that is divided: each keeps one scale, whatever its digits."""
GAS = CATALOGUE[Commodity.GAS].register
HEAT = CATALOGUE[Commodity.HEAT].register
WATER = CATALOGUE[Commodity.WATER].register
ALLOCATION = Obis(4, 0, 1, 0, 0)
"""Units of a heat cost allocator (IEC 62056-6-1, 7.2): named, but no commodity by themselves."""


class Seal(Enum):
    """How a maker seals a payload of its own."""

    NONE = "none"
    MODE_5 = "AES-128 as security mode 5"
    """Octets 2 to 17 are one block as in security mode 5; octet 0 is the access number; plain octet 0 is 2F."""
    PRIOS = "PRIOS"
    """From octet 4 on, the keystream of ``crypto.prios``; plain octet 0 is 4B."""


@dataclass(frozen=True, slots=True)
class Payload:
    """What a grammar reads.

    Attributes:
        manufacturer: three letters.
        version: version octet of the address.
        medium: device type octet of the address.
        address: the eight octets of the address, in wireless order.
        ci: the CI field, None where the link layer is the last one.
        octets: application data in the clear.
        records: the data records found in them.
        plain: the sealed octets, opened; b"" where the grammar declares no seal.

    """

    manufacturer: str
    version: int
    medium: int
    address: bytes
    ci: int | None
    octets: bytes
    records: Records
    plain: bytes = b""

    @property
    def tail(self) -> bytes:
        """What follows the data records as manufacturer data."""
        return self.records.manufacturer_data or b""

    def at(self, start: int, stop: int) -> bytes:
        """Cut octets out of the application data.

        Raises:
            TruncatedError: they are not all there.

        """
        return cut(self.octets, start, stop)


@dataclass(frozen=True, slots=True)
class Decoded:
    """What a grammar found.

    Attributes:
        readings: the values.
        error: what could not be read, or None.
        replaces_records: the octets are no data records; those that were read from them are dropped.
        meter_id: the identification, where it does not stand where the standard has it.

    """

    readings: tuple[DecodedReading, ...] = ()
    error: WireError | None = None
    replaces_records: bool = True
    meter_id: str = ""


Reader: TypeAlias = Callable[[Payload], Decoded | None]
"""Reads a payload; gives None where it is not of this layout after all."""


@dataclass(frozen=True, slots=True)
class Grammar:
    """A payload layout and the devices that send it; None matches anything.

    Attributes:
        name: of the device family.
        manufacturers: three letters each.
        read: reads the payload; None where it is not of this layout after all.
        cis: CI fields.
        media: device type octets.
        versions: version octets.
        seal: how the payload is protected beyond the standard.
        commodities: what the device types measure that the standard has no commodity for.

    """

    name: str
    manufacturers: frozenset[str]
    read: Reader
    cis: frozenset[int] | None = None
    media: frozenset[int] | None = None
    versions: frozenset[int] | None = None
    seal: Seal = Seal.NONE
    commodities: Mapping[int, Commodity] = field(default_factory=lambda: MappingProxyType({}))

    def matches(self, payload: Payload) -> bool:
        """Whether the telegram is of one of the devices."""
        return (
            payload.manufacturer in self.manufacturers
            and (self.cis is None or payload.ci in self.cis)
            and (self.media is None or payload.medium in self.media)
            and (self.versions is None or payload.version in self.versions)
        )


@dataclass(frozen=True, slots=True)
class Field:
    """One number at a fixed place.

    Attributes:
        quantity: in words.
        offset: of its first octet.
        size: octets.
        unit: symbol of the unit table.
        exponent: power of ten onto the unit.
        storage: storage number of the reading.
        order: octet order.
        signed: whether it may be negative.
        divisor: the raw number is divided by it (meters that count in thirds or 256ths of a litre).
        null: the raw number that says "no value".
        function: as in ``DecodedReading``.
        obis: the code of a register.

    """

    quantity: str
    offset: int
    size: int
    unit: str
    exponent: int = 0
    storage: int = 0
    order: Literal["little", "big"] = "little"
    signed: bool = False
    divisor: int = 1
    null: int | None = None
    function: str = "instantaneous"
    obis: Obis | None = None

    def read(self, octets: bytes) -> DecodedReading | None:
        """Read the number; None where it says that there is none."""
        data = cut(octets, self.offset, self.offset + self.size)
        raw = int.from_bytes(data, self.order, signed=self.signed)
        if raw == self.null:
            return None
        value = Decimal(raw).scaleb(self.exponent) if self.divisor == 1 else self._divided(raw)
        return reading(self.quantity, value, self.unit, storage=self.storage, function=self.function, obis=self.obis)

    def _divided(self, raw: int) -> Decimal:
        """Return raw / divisor with nine decimals more, which is exact for 256ths."""
        return (
            (Decimal(raw * 10**DIVIDED_DECIMALS) / self.divisor)
            .to_integral_value()
            .scaleb(self.exponent - DIVIDED_DECIMALS)
        )


def fields_reader(*fields: Field, tail: bool = False, minimum: int = 0) -> Reader:
    """Build the reader of a fixed layout; ``tail`` reads the manufacturer data behind the records, and keeps those."""

    def read(payload: Payload) -> Decoded | None:
        octets = payload.tail if tail else payload.octets
        if len(octets) < minimum:
            return None
        found = (field.read(octets) for field in fields)
        return Decoded(tuple(item for item in found if item is not None), replaces_records=not tail)

    return read


def reading(
    quantity: str,
    value: Decimal | int | str,
    unit: str = "",
    *,
    storage: int = 0,
    time: date | str | None = None,
    function: str = "instantaneous",
    obis: Obis | None = None,
) -> DecodedReading:
    """Build a reading; arguments as the fields of ``DecodedReading``.

    Args:
        quantity: the measured quantity, one word.
        value: the exact number in ``unit``, or a text.
        unit: the unit; "" for a text.
        storage: storage number; 0 is the present value.
        time: the time of the value, as sent by the meter.
        function: instantaneous, minimum, maximum or error.
        obis: the OBIS code, where the telegram names one.

    """
    return DecodedReading(quantity, value, unit, obis, None if time is None else str(time), storage, function=function)


def cut(octets: bytes, start: int, stop: int) -> bytes:
    """Cut octets out.

    Raises:
        TruncatedError: they are not all there.

    """
    if stop > len(octets):
        raise TruncatedError(f"needs {stop} octets, has {len(octets)}", len(octets), "proprietary payload")
    return octets[start:stop]


def date_g(octets: bytes) -> date | None:
    """Read a date of type G (EN 13757-3, annex A); None where the octets are not a date."""
    year = octets[0] >> 5 | (octets[1] & 0xF0) >> 1
    return calendar_date(2000 + year, octets[1] & 0x0F, octets[0] & 0x1F)


def date_packed(octets: bytes) -> date | None:
    """Read a date of 16 bits little-endian: 5 of the day, 4 of the month, then the year."""
    raw = int.from_bytes(octets[:2], "little")
    return calendar_date(2000 + (raw >> 9 & 0x3F), raw >> 5 & 0x0F, raw & 0x1F)


def calendar_date(year: int, month: int, day: int) -> date | None:
    """Return the date, or None where there is no such day."""
    try:
        return date(year, month, day)
    except ValueError:
        return None
