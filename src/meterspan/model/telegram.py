"""What a frame says once it is decoded: the device, its readings, or what is wrong (the decode contract)."""

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from meterspan.quantities import Obis, parse_obis
from meterspan.wire.errors import WireError

__all__ = ["DecodedReading", "DecodedTelegram", "DeviceIdentity"]


@dataclass(frozen=True, slots=True)
class DeviceIdentity:
    """Who sent the frame; fields that the frame does not carry are empty."""

    id: str = ""
    manufacturer: str = ""
    medium: str = ""
    version: str = ""


@dataclass(frozen=True, slots=True)
class DecodedReading:
    """One value in its unit, never a scaled raw integer.

    Attributes:
        quantity: what it is in the field's words: ``energy``, ``volume``, ``power``, ``flow temperature``, ``on time``.
        value: exact number, or text.
        unit: symbol of the unit table (``Wh``, ``m3``, ``°C``, ``1`` …), "" for text.
        obis: the OBIS code, where the frame or a profile tells it.
        time: the instant or date the value belongs to (ISO 8601), None where the frame tells none.
        storage: storage number; 0 is current.
        tariff: tariff number; 0 is total.
        subunit: the device's sub-unit.
        function: ``instantaneous``, ``maximum``, ``minimum`` or ``error``.
        device: whose value it is, where that is another device than the telegram's: a meter behind a P1 port.

    """

    quantity: str
    value: int | Decimal | str
    unit: str = ""
    obis: Obis | None = None
    time: str | None = None
    storage: int = 0
    tariff: int = 0
    subunit: int = 0
    function: str = "instantaneous"
    device: str = ""


@dataclass(frozen=True, slots=True)
class DecodedTelegram:
    """A decoded frame, or as much of it as could be read with the error that ended the reading.

    Attributes:
        protocol: ``p1``, ``dlms-push``, ``mbus``, ``wmbus``, ``sml``, …
        device: who sent it.
        time: the frame's own time stamp, where it has one.
        readings: all values, in the order of the frame.
        errors: what is wrong and where (octet, field), in the order in which it was found.

    """

    protocol: str
    device: DeviceIdentity = field(default_factory=DeviceIdentity)
    time: datetime | None = None
    readings: tuple[DecodedReading, ...] = ()
    errors: tuple[WireError, ...] = ()

    def find(self, obis: Obis | str) -> DecodedReading | None:
        """Return the current reading of an OBIS code, given as ``Obis`` or as text like ``1-0:1.8.0``, or None.

        Raises:
            ValueError: the text is not an OBIS code.

        """
        wanted = parse_obis(obis) if isinstance(obis, str) else obis
        found = [reading for reading in self.readings if reading.obis == wanted]
        return next((reading for reading in found if reading.storage == 0), found[0] if found else None)

    @property
    def error(self) -> str | None:
        """The errors in words, each once; None where nothing is wrong."""
        return "; ".join(dict.fromkeys(map(str, self.errors))) or None
