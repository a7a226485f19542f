"""Layouts of DLMS push lists that do not describe themselves, as data, by a text in the list and by its shape.

Sources: the Norwegian HAN specifications that NVE's requirement lets the makers publish (Kaifa KFM_001, Kamstrup
HAN-NVE), and the customer interface description of Wiener Netze. ``scaled`` lists name their values by OBIS but leave
the scalers out; ``positional`` lists give values only.
"""

from dataclasses import dataclass

from meterspan.quantities import Obis, parse_obis

__all__ = ["POSITIONAL_LISTS", "SCALED_LISTS", "PositionalList", "PushField", "ScaledList"]


@dataclass(frozen=True, slots=True)
class PushField:
    """One place of a positional list: the code, and the power of ten onto the base unit."""

    obis: Obis
    exponent: int = 0


@dataclass(frozen=True, slots=True)
class PositionalList:
    """A list whose order is fixed.

    Attributes:
        name: whose list it is.
        shape: one letter for each element: ``s`` a string, ``c`` a clock of twelve octets, ``n`` a number.
        fields: what each element is; None is not a reading.
        mark: how a string of the list starts; "" where the shape alone tells.

    """

    name: str
    shape: str
    fields: tuple[PushField | None, ...]
    mark: str = ""


@dataclass(frozen=True, slots=True)
class ScaledList:
    """The powers of ten of a list that names its values but not their scalers.

    Attributes:
        mark: how a string of the list starts.
        exponents: by value groups C and D; D alone as (-1, D). What is not listed is 0.

    """

    mark: str
    exponents: tuple[tuple[tuple[int, int], int], ...]


def _fields(codes: str) -> tuple[PushField | None, ...]:
    """Read ``1-0:1.7.0 1-0:31.7.0@-3 -`` as fields; ``-`` is no reading."""
    parts = [code.partition("@") for code in codes.split()]
    return tuple(None if code == "-" else PushField(parse_obis(code), int(power or 0)) for code, _, power in parts)


_HEAD = "1-1:0.2.129 0-0:96.1.0 0-0:96.1.7"
_POWERS = "1-0:1.7.0 1-0:2.7.0 1-0:3.7.0 1-0:4.7.0"
_ENERGIES = "1-0:1.8.0 1-0:2.8.0 1-0:3.8.0 1-0:4.8.0"
_ONE_PHASE = "1-0:31.7.0@-3 1-0:32.7.0@-1"
_THREE_PHASES = "1-0:31.7.0@-3 1-0:51.7.0@-3 1-0:71.7.0@-3 1-0:32.7.0@-1 1-0:52.7.0@-1 1-0:72.7.0@-1"

POSITIONAL_LISTS = (
    PositionalList("Kaifa HAN list 1", "n", _fields("1-0:1.7.0")),
    PositionalList("Kaifa HAN list 2, one phase", "sss" + "n" * 6, _fields(f"{_HEAD} {_POWERS} {_ONE_PHASE}")),
    PositionalList("Kaifa HAN list 2, three phases", "sss" + "n" * 10, _fields(f"{_HEAD} {_POWERS} {_THREE_PHASES}")),
    PositionalList(
        "Kaifa HAN list 3, one phase",
        "sss" + "n" * 6 + "c" + "n" * 4,
        _fields(f"{_HEAD} {_POWERS} {_ONE_PHASE} 0-0:1.0.0 {_ENERGIES}"),
    ),
    PositionalList(
        "Kaifa HAN list 3, three phases",
        "sss" + "n" * 10 + "c" + "n" * 4,
        _fields(f"{_HEAD} {_POWERS} {_THREE_PHASES} 0-0:1.0.0 {_ENERGIES}"),
    ),
    PositionalList("Wiener Netze", "cs" + "n" * 8, _fields(f"0-0:1.0.0 0-0:96.1.0 {_ENERGIES} {_POWERS}")),
    PositionalList("Wiener Netze", "css" + "n" * 8, _fields(f"0-0:1.0.0 0-0:96.1.0 0-0:42.0.0 {_ENERGIES} {_POWERS}")),
    PositionalList("Wiener Netze", "c" + "n" * 8, _fields(f"0-0:1.0.0 {_ENERGIES} {_POWERS}")),
    PositionalList("Wiener Netze", "c" + "n" * 8 + "s", _fields(f"0-0:1.0.0 {_ENERGIES} {_POWERS} 0-0:96.1.0")),
)
"""Positional lists; the first that fits is taken."""

SCALED_LISTS = (ScaledList("Kamstrup_V", (((31, 7), -2), ((51, 7), -2), ((71, 7), -2), ((-1, 8), 1))),)
"""Lists with names and without scalers (Kamstrup: energies in 10 Wh, currents in 10 mA, voltages in V)."""
