"""What differs between P1 ports of the countries: speed, CRC policy and the clock's standard time, as data.

A profile is recognised by marks of the telegram itself: the version object, or the maker's flag of the
identification line. An unknown port gets ``GENERIC``, which checks a CRC where the telegram has one.
"""

from dataclasses import dataclass
from enum import Enum

__all__ = ["GENERIC", "PROFILES", "CrcPolicy", "P1Profile"]


class CrcPolicy(Enum):
    """What to make of the four hexadecimal digits after ``!``."""

    NONE = "none"
    """The port has no CRC; digits that stand there mean something else or are wrong by design."""
    WHERE_PRESENT = "where present"
    """Checked where the telegram has one; not required."""
    REQUIRED = "required"
    """A telegram without it is damaged."""


@dataclass(frozen=True, slots=True)
class P1Profile:
    """One companion standard of the P1 port.

    Attributes:
        name: short name, as in configurations.
        title: the document that defines it.
        crc: the CRC policy.
        baud: speed of the serial line.
        framing: data bits, parity and stop bits.
        marks: any of these (OBIS text, start of the value) tells the profile.
        identifications: any of these starts of the identification line tells the profile.
        standard_deviation_min: minutes from the clock's standard ("W") time to UTC.
        is_fixed_width: the standard fixes the digits of each number, so that a register's width is known.

    """

    name: str
    title: str
    crc: CrcPolicy
    baud: int = 115_200
    framing: str = "8N1"
    marks: tuple[tuple[str, str], ...] = ()
    identifications: tuple[str, ...] = ()
    standard_deviation_min: int = -60
    is_fixed_width: bool = False


GENERIC = P1Profile("p1", "IEC 62056-21 mode D readout", CrcPolicy.WHERE_PRESENT)

# Order matters: the first profile with a mark in the telegram wins.
PROFILES = (
    P1Profile("fluvius", "e-MUCS-P1 (Belgium)", CrcPolicy.REQUIRED, marks=(("0-0:96.1.4", "5"),), is_fixed_width=True),
    P1Profile("smarty", "Smarty P1 (Luxembourg)", CrcPolicy.REQUIRED, marks=(("0-0:42.0.0", ""),), is_fixed_width=True),
    P1Profile("dsmr5", "DSMR / ESMR P1 5.0", CrcPolicy.REQUIRED, marks=(("1-3:0.2.8", "5"),), is_fixed_width=True),
    P1Profile("dsmr4", "DSMR P1 4.x", CrcPolicy.REQUIRED, marks=(("1-3:0.2.8", "4"),), is_fixed_width=True),
    P1Profile("q3d", "EasyMeter Q3D readout", CrcPolicy.NONE, 9_600, "7E1", identifications=("ESY5Q3D",)),
    P1Profile(
        "dsmr3", "DSMR P1 2.2 and 3.0", CrcPolicy.NONE, 9_600, "7E1", marks=(("0-1:24.3.0", ""),), is_fixed_width=True
    ),
    GENERIC,
)
"""Every known profile, the generic one last."""
