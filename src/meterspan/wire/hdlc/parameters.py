"""The information field of SNRM and UA: what each side can take, IEC 62056-46, 6.4.4.4.3.

A format identifier, a group identifier, and parameters of (identifier, length, value) from the view of the sender:
its own transmit and receive limits. Values may come in one, two or four octets, and each parameter may be absent.
"""

from dataclasses import dataclass
from typing import Final

from meterspan.wire.cursor import Cursor
from meterspan.wire.errors import UnsupportedError, WireError

__all__ = [
    "INFORMATION_DEFAULT",
    "INFORMATION_MAX",
    "WINDOW_DEFAULT",
    "WINDOW_MAX",
    "HdlcParameters",
    "read_parameters",
    "write_parameters",
]

INFORMATION_DEFAULT: Final = 128
"""Octets of an information field where nothing was negotiated."""
INFORMATION_MAX: Final = 2030
"""The most that COSEM's HDLC setup allows (IEC 62056-6-2, class 23); fits eleven bits of length with any addresses."""
WINDOW_DEFAULT: Final = 1
WINDOW_MAX: Final = 7
"""Modulo 8: one number less than there are."""

_FORMAT_IDENTIFIER: Final = 0x81
_GROUP_IDENTIFIER: Final = 0x80
_INFORMATION_TRANSMIT: Final = 0x05
_INFORMATION_RECEIVE: Final = 0x06
_WINDOW_TRANSMIT: Final = 0x07
_WINDOW_RECEIVE: Final = 0x08
_NAMES: Final = {
    _INFORMATION_TRANSMIT: "maximum information field length, transmit",
    _INFORMATION_RECEIVE: "maximum information field length, receive",
    _WINDOW_TRANSMIT: "window size, transmit",
    _WINDOW_RECEIVE: "window size, receive",
}
_CLAUSE: Final = "IEC 62056-46, 6.4.4.4.3"


@dataclass(frozen=True, slots=True)
class HdlcParameters:
    """Limits of one station, as it says them of itself; the defaults are those of the standard.

    Attributes:
        information_transmit_max: octets of the longest information field that it will send.
        information_receive_max: octets of the longest information field that it can take.
        window_transmit: I frames that it will send without acknowledgement, 1 to 7.
        window_receive: I frames that it can take without acknowledging, 1 to 7.
        other: parameters that this reader does not know, as (identifier, value) in their order.

    """

    information_transmit_max: int = INFORMATION_DEFAULT
    information_receive_max: int = INFORMATION_DEFAULT
    window_transmit: int = WINDOW_DEFAULT
    window_receive: int = WINDOW_DEFAULT
    other: tuple[tuple[int, bytes], ...] = ()

    def __post_init__(self) -> None:
        if self.information_transmit_max < 1 or self.information_receive_max < 1:
            raise ValueError("an information field has room for one octet at least")
        if not 1 <= self.window_transmit <= WINDOW_MAX or not 1 <= self.window_receive <= WINDOW_MAX:
            raise ValueError(f"a window is 1 to {WINDOW_MAX} frames")

    def __str__(self) -> str:
        return (
            f"information {self.information_transmit_max} out, {self.information_receive_max} in; "
            f"window {self.window_transmit} out, {self.window_receive} in"
        )


def read_parameters(octets: bytes | Cursor) -> HdlcParameters:
    """Read the information field of SNRM or UA; an empty one gives the defaults.

    Raises:
        WireError: the field is damaged, or a value is out of its range.

    """
    cursor = octets if isinstance(octets, Cursor) else Cursor(octets)
    if not cursor.remaining:
        return HdlcParameters()
    _expect(cursor, _FORMAT_IDENTIFIER, "format identifier")
    _expect(cursor, _GROUP_IDENTIFIER, "group identifier")
    group = cursor.sub(cursor.u8("group length"), "parameter group")
    values: dict[int, int] = {}
    other: list[tuple[int, bytes]] = []
    while group.remaining:
        identifier = group.u8("parameter identifier")
        group.explain(_NAMES.get(identifier, "unknown parameter"))
        size = group.u8("parameter length")
        if identifier in _NAMES:
            values[identifier] = _read_value(group, identifier, size)
        else:
            other.append((identifier, group.take(size, "parameter value")))
    cursor.finish("parameter negotiation")
    return HdlcParameters(
        values.get(_INFORMATION_TRANSMIT, INFORMATION_DEFAULT),
        values.get(_INFORMATION_RECEIVE, INFORMATION_DEFAULT),
        values.get(_WINDOW_TRANSMIT, WINDOW_DEFAULT),
        values.get(_WINDOW_RECEIVE, WINDOW_DEFAULT),
        tuple(other),
    )


def _expect(cursor: Cursor, identifier: int, name: str) -> None:
    found = cursor.u8(name)
    if found != identifier:
        raise UnsupportedError(f"{name} {found:02X} is not {identifier:02X}", cursor.position - 1, name, _CLAUSE)


def _read_value(cursor: Cursor, identifier: int, size: int) -> int:
    name = _NAMES[identifier]
    offset = cursor.position
    if not 1 <= size <= 4:
        raise WireError(f"a value of {size} octets", offset, name, _CLAUSE)
    value = cursor.big(size, name)
    is_window = identifier in {_WINDOW_TRANSMIT, _WINDOW_RECEIVE}
    if value < 1 or (is_window and value > WINDOW_MAX):
        raise WireError(f"{value} is out of range", offset, name, _CLAUSE)
    return value


def write_parameters(parameters: HdlcParameters) -> bytes:
    """Write the information field, all four parameters in it.

    Raises:
        ValueError: the parameters do not fit one octet of group length.

    """
    group = b"".join(
        [
            _information(_INFORMATION_TRANSMIT, parameters.information_transmit_max),
            _information(_INFORMATION_RECEIVE, parameters.information_receive_max),
            bytes([_WINDOW_TRANSMIT, 4]) + parameters.window_transmit.to_bytes(4, "big"),
            bytes([_WINDOW_RECEIVE, 4]) + parameters.window_receive.to_bytes(4, "big"),
            *(bytes([identifier, len(value)]) + value for identifier, value in parameters.other),
        ]
    )
    return bytes([_FORMAT_IDENTIFIER, _GROUP_IDENTIFIER, len(group)]) + group


def _information(identifier: int, octets_max: int) -> bytes:
    size = 1 if octets_max <= 0xFF else 2 if octets_max <= 0xFFFF else 4
    return bytes([identifier, size]) + octets_max.to_bytes(size, "big")
