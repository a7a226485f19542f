"""One way to name a device, for meter, access point and head end alike.

A DLMS meter is its logical device name. An M-Bus meter is manufacturer, identification number and medium, which stay
when a firmware changes the version octet (EN 13757-7, 7.5). A meter on a P1 port is what the port calls it. How an
access point shows a device in the M-BusClient object of its channel is one function too, for both ends.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from meterspan.crypto.suites import SYSTEM_TITLE_SIZE
from meterspan.quantities import CATALOGUE, Commodity
from meterspan.wire.mbus.address import DeviceAddress, pack_manufacturer

__all__ = [
    "MANUFACTURER",
    "MBusClientIdentity",
    "mbus_client_identity",
    "mbus_device",
    "new_system_title",
    "p1_device",
    "parse_system_title",
    "split_mbus_device",
]

(ELECTRICITY_MEDIUM,) = CATALOGUE[Commodity.ELECTRICITY].mbus_media
"""Device type octet of electricity (EN 13757-7, table 13), for meters that are heard on P1."""
MANUFACTURER: Final = "MSP"
"""The three letters that meterspan's own meters, access points and readers bear (EN 13757-7, 7.5.2)."""
NO_MANUFACTURER: Final = 0
HEX_DIGITS_MIN: Final = 8
"""Shorter identifications are never sent as hexadecimal digits of their letters."""
_DIGITS: Final = 8


def mbus_device(address: DeviceAddress) -> str:
    """Name an M-Bus meter by manufacturer, identification (eight digits) and device type: ``MSP-12345678-03``."""
    return f"{address.manufacturer}-{address.id}-{address.medium:02X}"


def split_mbus_device(device: str) -> tuple[str, str, int]:
    """Split a name into manufacturer, identification and medium.

    Raises:
        ValueError: it is not the name of an M-Bus meter.

    """
    parts = device.split("-")
    if len(parts) != 3 or len(parts[0]) != 3 or len(parts[1]) != 8:
        raise ValueError(f"{device!r} is not an M-Bus meter like MSP-12345678-03")
    return parts[0], parts[1], int(parts[2], 16)


def new_system_title(random_octets: Callable[[int], bytes]) -> bytes:
    """Return a new system title of meterspan: its three letters, and octets of ``random_octets(count)``."""
    letters = MANUFACTURER.encode()
    return letters + random_octets(SYSTEM_TITLE_SIZE - len(letters))


def parse_system_title(text: str) -> bytes:
    """Return the octets of a system title that is written as hexadecimal digits.

    Raises:
        ValueError: the text is not one.

    """
    try:
        title = bytes.fromhex(text)
    except ValueError:
        title = b""
    if len(title) != SYSTEM_TITLE_SIZE:
        raise ValueError(f"{text!r} is no system title: 8 octets, 16 hexadecimal digits")
    return title


@dataclass(frozen=True, slots=True)
class MBusClientIdentity:
    """How an M-BusClient object identifies its meter (IEC 62056-6-2, 4.8.3, attributes 6, 7 and 9).

    Attributes:
        number: identification number, eight digits in BCD.
        manufacturer: the packed manufacturer, 0 where the device's name does not begin with three capital letters.
        medium: device type.

    """

    number: int
    manufacturer: int
    medium: int


def mbus_client_identity(device: str) -> MBusClientIdentity:
    """Return how a device is identified behind an access point.

    A device that is not an M-Bus meter has the first three letters and the last eight digits of its name.
    """
    try:
        letters, digits, medium = split_mbus_device(device)
        number = int(digits, 16)
    except ValueError:
        letters, medium = device[:3], ELECTRICITY_MEDIUM
        decimals = "".join(digit for digit in device[-_DIGITS:] if digit.isascii() and digit.isdigit())
        number = int(decimals or "0", 16)
    return MBusClientIdentity(number, _packed(letters), medium)


def _packed(letters: str) -> int:
    try:
        return int.from_bytes(pack_manufacturer(letters), "little")
    except ValueError:
        return NO_MANUFACTURER


def p1_device(text: str) -> str:
    """Return the name of a meter on a P1 port: the port writes it as hex of its letters (DSMR P1, 6.12), or as it is.

    Returns "" where nothing printable is left.
    """
    name = text.strip()
    if len(name) >= HEX_DIGITS_MIN:
        try:
            plain = bytes.fromhex(name).decode("ascii")
        except ValueError:
            plain = name
        name = plain.strip() if plain.isprintable() else name
    return name if name.isprintable() else ""
