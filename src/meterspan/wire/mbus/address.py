"""Who a device is: manufacturer, identification number, version and device type (EN 13757-7:2018, 7.5).

Kept as the eight octets in wireless order (manufacturer first), which is also what the IVs of mode 5 begin with.
"""

from dataclasses import dataclass
from typing import Self

__all__ = ["MEDIA", "DeviceAddress", "pack_manufacturer", "parse_manufacturer"]

ADDRESS_SIZE = 8


@dataclass(frozen=True, slots=True)
class DeviceAddress:
    """An address as eight octets: manufacturer (2), id (4), version (1), medium (1).

    Attributes:
        octets: in wireless order, least significant octet of each field first.

    """

    octets: bytes

    def __str__(self) -> str:
        """Write manufacturer, id, version and medium: ``KAM-12345678-1B-16``."""
        return f"{self.manufacturer}-{self.id}-{self.version:02X}-{self.medium:02X}"

    @classmethod
    def of(cls, manufacturer: str, number: str, version: int, medium: int) -> Self:
        """Build from three letters, eight (hexadecimal) digits, version and medium.

        Args:
            manufacturer: three letters.
            number: identification number, eight hexadecimal digits.
            version: of the device, one octet.
            medium: device type code, one octet (EN 13757-7, table 13).

        Raises:
            ValueError: a part does not fit.

        """
        octets = bytes.fromhex(number)[::-1]
        if len(octets) != 4:
            raise ValueError(f"{number!r} is not eight digits")
        return cls(pack_manufacturer(manufacturer) + octets + bytes((version, medium)))

    @classmethod
    def of_long_header(cls, octets: bytes) -> Self:
        """Build from the order of wired M-Bus: id, manufacturer, version, medium."""
        return cls(octets[4:6] + octets[0:4] + octets[6:8])

    @property
    def long_header(self) -> bytes:
        """The octets in the order of wired M-Bus: id, manufacturer, version, medium."""
        return self.octets[2:6] + self.octets[0:2] + self.octets[6:8]

    @property
    def manufacturer(self) -> str:
        """Three letters."""
        return parse_manufacturer(self.octets[0:2])

    @property
    def id_octets(self) -> bytes:
        """The identification number as transmitted."""
        return self.octets[2:6]

    @property
    def id(self) -> str:
        """Eight digits (BCD; a wildcard or a bad digit stays as a letter)."""
        return self.octets[5:1:-1].hex().upper()

    @property
    def version(self) -> int:
        """The manufacturer's version (generation) of the device type."""
        return self.octets[6]

    @property
    def medium(self) -> int:
        """The device type code."""
        return self.octets[7]

    @property
    def medium_name(self) -> str:
        """The device type in words."""
        return MEDIA.get(self.octets[7], f"reserved {self.octets[7]:02X}")


def parse_manufacturer(octets: bytes) -> str:
    """Read the three letters out of two octets (EN 13757-7:2018, 7.5.2); the top bit is not part of them."""
    code = int.from_bytes(octets, "little")
    return "".join(chr(64 + (code >> shift & 0x1F)) for shift in (10, 5, 0))


def pack_manufacturer(letters: str) -> bytes:
    """Pack three letters into two octets.

    Raises:
        ValueError: not three letters from @ to _.

    """
    if len(letters) != 3 or any(not 64 <= ord(letter) < 96 for letter in letters):
        raise ValueError(f"{letters!r} is not a manufacturer of three capital letters")
    high, middle, low = (ord(letter) - 64 for letter in letters)
    return (high << 10 | middle << 5 | low).to_bytes(2, "little")


MEDIA: dict[int, str] = {
    0x00: "other", 0x01: "oil", 0x02: "electricity", 0x03: "gas", 0x04: "heat", 0x05: "steam", 0x06: "warm water",
    0x07: "water", 0x08: "heat cost allocator", 0x09: "compressed air", 0x0A: "cooling outlet", 0x0B: "cooling inlet",
    0x0C: "heat inlet", 0x0D: "heat and cooling", 0x0E: "bus system", 0x0F: "unknown", 0x10: "irrigation water",
    0x11: "water data logger", 0x12: "gas data logger", 0x13: "gas converter", 0x14: "calorific value",
    0x15: "hot water", 0x16: "cold water", 0x17: "dual register water", 0x18: "pressure", 0x19: "A/D converter",
    0x1A: "smoke detector", 0x1B: "room sensor", 0x1C: "gas detector", 0x1D: "carbon monoxide detector",
    0x1E: "heat detector", 0x1F: "sensor", 0x20: "electricity breaker", 0x21: "valve", 0x25: "customer unit",
    0x28: "waste water", 0x29: "garbage", 0x2A: "carbon dioxide", 0x31: "communication controller",
    0x32: "unidirectional repeater", 0x33: "bidirectional repeater", 0x36: "radio converter, system side",
    0x37: "radio converter, meter side", 0x38: "wired adapter",
}  # fmt: skip
"""Device types in words (EN 13757-7:2018, table 13)."""
