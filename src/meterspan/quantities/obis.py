"""OBIS, the object identification system (IEC 62056-6-1): six octets A-B:C.D.E*F that name what a value is.

A is the medium (1 electricity, 6 heat, 7 gas, 8 cold water, 9 hot water), B the channel, C the physical
quantity, D the processing, E the tariff and F the billing period; 255 means "not used".
"""

import re
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache

__all__ = ["Medium", "Obis", "parse_obis"]

CACHED_CODES = 4_096
"""More than any system of meters uses."""


class Medium(IntEnum):
    """Value group A (IEC 62056-6-1, table 2): what flows past the meter."""

    ABSTRACT = 0
    ELECTRICITY = 1
    HEAT_COST_ALLOCATOR = 4
    COOLING = 5
    HEAT = 6
    GAS = 7
    COLD_WATER = 8
    HOT_WATER = 9
    OTHER = 15


@dataclass(frozen=True, slots=True, order=True)
class Obis:
    """One OBIS code: six value groups, each 0..255."""

    a: int
    b: int
    c: int
    d: int
    e: int
    f: int = 255

    def __post_init__(self) -> None:
        for group in (self.a, self.b, self.c, self.d, self.e, self.f):
            if not 0 <= group <= 0xFF:
                raise ValueError(f"OBIS value group {group} is not an octet")

    def __str__(self) -> str:
        """Write the code as A-B:C.D.E, with *F only where F is used."""
        text = f"{self.a}-{self.b}:{self.c}.{self.d}.{self.e}"
        return text if self.f == 0xFF else f"{text}*{self.f}"

    def __bytes__(self) -> bytes:
        """Write the six octets of a COSEM logical name."""
        return bytes((self.a, self.b, self.c, self.d, self.e, self.f))


_FULL = re.compile(r"(\d{1,3})-(\d{1,3}):(\d{1,3})\.(\d{1,3})\.(\d{1,3})(?:[*&](\d{1,3}))?")
_DOTTED = re.compile(r"(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})(?:\.(\d{1,3}))?")


@lru_cache(maxsize=CACHED_CODES)
def parse_obis(text: str) -> Obis:
    """Parse ``1-0:1.8.0``, ``1-0:1.8.0*255`` or ``1.0.1.8.0.255``; F is 255 where it is left out.

    Raises:
        ValueError: the text has another form, or a group is above 255.

    """
    match = _FULL.fullmatch(text.strip()) or _DOTTED.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not an OBIS code like 1-0:1.8.0*255 or 1.0.1.8.0.255")
    return Obis(*(255 if group is None else int(group) for group in match.groups()))
