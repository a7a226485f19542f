"""HDLC addresses of IEC 62056-46, 6.4.2: one octet for a client; one, two or four for a server.

Each octet holds seven bits of address and, in its lowest bit, whether the address ends here. A server address is the
upper part (logical device) and, in the longer forms, the lower part (physical device). Three octets have no meaning in
the standard; they are read all the same, as meters answer to what they were asked with.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Self

from meterspan.wire.cursor import Cursor
from meterspan.wire.errors import WireError

__all__ = ["ADDRESS_SIZE_MAX", "ALL_STATIONS_1", "ALL_STATIONS_2", "HdlcAddress", "read_address", "write_address"]

ADDRESS_SIZE_MAX = 4
"""The longest form (6.4.2.2); a longer chain of octets is no address."""

ALL_STATIONS_1 = 0x7F
"""All-station (broadcast) address in seven bits (table 6)."""
ALL_STATIONS_2 = 0x3FFF
"""All-station (broadcast) address in fourteen bits (table 7)."""

_ADDRESSES_KEPT = 1_024
"""Addresses whose octets are read once: a line has a few, and no input makes more be kept."""
_CLAUSE = "IEC 62056-46, 6.4.2"
_UPPER_BITS = {1: 7, 2: 7, 3: 14, 4: 14}
_LOWER_BITS = {1: 0, 2: 7, 3: 7, 4: 14}


@dataclass(frozen=True, slots=True)
class HdlcAddress:
    """One address, with the form in which it is written.

    Attributes:
        upper: client SAP, or the server's logical device.
        lower: the server's physical device; None in the one-octet form.
        size: how many octets it takes, 1 to 4.

    """

    upper: int
    lower: int | None = None
    size: int = 1

    def __post_init__(self) -> None:
        if self.size not in _UPPER_BITS:
            raise ValueError(f"an HDLC address has 1 to {ADDRESS_SIZE_MAX} octets, not {self.size}")
        if (self.lower is None) != (self.size == 1):
            raise ValueError("the one-octet form has no lower address, every other form has one")
        if (
            not 0 <= self.upper < 1 << _UPPER_BITS[self.size]
            or not 0 <= (self.lower or 0) < 1 << _LOWER_BITS[self.size]
        ):
            raise ValueError(f"address {self.upper}/{self.lower} does not fit {self.size} octets")

    @classmethod
    def server(cls, logical: int, physical: int | None = None) -> Self:
        """Make a server's address in the shortest form that holds it."""
        if physical is None:
            return cls(logical)
        size = 2 if logical <= 0x7F and physical <= 0x7F else 4
        return cls(logical, physical, size)

    @property
    def is_all_stations(self) -> bool:
        """Whether this is a broadcast: every server listens, none answers."""
        last = self.upper if self.lower is None else self.lower
        return last == (ALL_STATIONS_2 if _LOWER_BITS[self.size] == 14 else ALL_STATIONS_1)

    def __str__(self) -> str:
        return str(self.upper) if self.lower is None else f"{self.upper}/{self.lower}"


def read_address(octets: bytes | Cursor, name: str = "address") -> HdlcAddress:
    """Read an address of one to four octets.

    Raises:
        WireError: the octets end, or the fourth still announces another.

    """
    cursor = octets if isinstance(octets, Cursor) else Cursor(octets)
    size = 1
    for octet in cursor.peek(ADDRESS_SIZE_MAX):
        if octet & 1:
            break
        size += 1
    if size > ADDRESS_SIZE_MAX:
        raise WireError("the address does not end after 4 octets", cursor.position, name, _CLAUSE)
    address = _address_of(cursor.take(size, name))
    if cursor.trace is not None:
        cursor.explain(str(address))
    return address


@lru_cache(maxsize=_ADDRESSES_KEPT)
def _address_of(raw: bytes) -> HdlcAddress:
    value = 0
    for octet in raw:
        value = value << 7 | octet >> 1
    lower_bits = _LOWER_BITS[len(raw)]
    return HdlcAddress(value >> lower_bits, value & ((1 << lower_bits) - 1) if lower_bits else None, len(raw))


def write_address(address: HdlcAddress) -> bytes:
    """Write an address in its own form."""
    value = address.upper << _LOWER_BITS[address.size] | (address.lower or 0)
    septets = [value >> 7 * place & 0x7F for place in reversed(range(address.size))]
    return bytes([septet << 1 for septet in septets[:-1]] + [septets[-1] << 1 | 1])
