"""The transport layer of wired and wireless M-Bus: CI field, short and long header, configuration field.

EN 13757-7:2018, 7.3 to 7.7. The CI field tells whether a header stands in front of the application data; the
configuration field in it tells the security mode and how many 16-octet blocks are encrypted.
"""

from dataclasses import dataclass
from enum import IntEnum

from meterspan.wire.cursor import Cursor
from meterspan.wire.errors import UnsupportedError
from meterspan.wire.mbus.address import ADDRESS_SIZE, DeviceAddress

__all__ = [
    "CI_NAMES",
    "DES_MODES",
    "Ci",
    "HeaderKind",
    "SecurityMode",
    "TransportHeader",
    "header_kind",
    "read_transport",
    "write_transport",
]

BLOCK = 16
MODE_FIELD = slice(8, 13)
"""Bits of the configuration field that hold the mode."""


class HeaderKind(IntEnum):
    """What stands between the CI field and the application data (EN 13757-7:2018, 7.4)."""

    NONE = 0
    SHORT = 1
    LONG = 2


class SecurityMode(IntEnum):
    """Security modes of the configuration field (EN 13757-7:2018, table 19)."""

    NONE = 0
    MANUFACTURER = 1
    DES_IV_ZERO = 2
    DES_IV = 3
    AES_IV_ZERO = 4
    AES_CBC_IV = 5
    AES_CBC_DYNAMIC = 7
    AES_CTR_CMAC = 8
    AES_GCM = 9
    AES_CCM = 10
    TLS = 13


_MODES = frozenset(int(mode) for mode in SecurityMode)
DES_MODES = frozenset({int(SecurityMode.DES_IV_ZERO), int(SecurityMode.DES_IV)})
"""Single DES: deprecated, and without protection today."""


class Ci(IntEnum):
    """CI field codes that this package reads or writes (EN 13757-7:2018, table 2)."""

    APPLICATION_RESET = 0x50
    COMMAND = 0x51
    SELECTION = 0x52
    COMMAND_SHORT = 0x5A
    COMMAND_LONG = 0x5B
    FORMAT_NONE = 0x69
    FORMAT_SHORT = 0x6A
    FORMAT_LONG = 0x6B
    CLOCK_ABSOLUTE = 0x6C
    CLOCK_RELATIVE = 0x6D
    ERROR_SHORT = 0x6E
    ERROR_LONG = 0x6F
    ERROR = 0x70
    ALARM = 0x71
    RESPONSE_LONG = 0x72
    COMPACT_LONG = 0x73
    ALARM_SHORT = 0x74
    ALARM_LONG = 0x75
    RESPONSE_LONG_REVERSED = 0x76
    RESPONSE_NONE = 0x78
    COMPACT_NONE = 0x79
    RESPONSE_SHORT = 0x7A
    COMPACT_SHORT = 0x7B
    TRANSPORT_LONG_TO_METER = 0x80
    TRANSPORT_SHORT = 0x8A
    TRANSPORT_LONG = 0x8B


_SHORT = frozenset({0x5A, 0x61, 0x65, 0x67, 0x6A, 0x6E, 0x74, 0x7A, 0x7B, 0x7D, 0x7F, 0x8A, 0xC1, 0xC4})
_LONG = frozenset(
    {0x53, 0x55, 0x5B, 0x5F, 0x60, 0x64, 0x68, 0x6B, 0x6C, 0x6D, 0x6F, 0x72, 0x73, 0x75, 0x76, 0x7C, 0x7E, 0x80,
     0x8B, 0xC0, 0xC2, 0xC3, 0xC5}
)  # fmt: skip
_EXTENDED_MODES = frozenset({7, 8, 9, 10, 13})
"""Modes whose configuration field has an extension octet (EN 13757-7:2018, 7.7)."""

CI_NAMES: dict[int, str] = {
    0x50: "application reset or select", 0x51: "command", 0x52: "selection of device",
    0x53: "application reset, long header",
    0x54: "request of selected application", 0x55: "request of selected application, long header",
    0x5A: "command, short header", 0x5B: "command, long header", 0x60: "COSEM data, long header",
    0x61: "COSEM data, short header", 0x64: "OBIS data, long header", 0x65: "OBIS data, short header",
    0x66: "selected application", 0x67: "selected application, short header",
    0x68: "selected application, long header", 0x69: "format frame", 0x6A: "format frame, short header",
    0x6B: "format frame, long header", 0x6C: "clock synchronisation, absolute", 0x6D: "clock synchronisation, relative",
    0x6E: "application error, short header", 0x6F: "application error, long header", 0x70: "application error",
    0x71: "alarm", 0x72: "response, long header", 0x73: "compact frame, long header", 0x74: "alarm, short header",
    0x75: "alarm, long header", 0x76: "response, long header, most significant octet first",
    0x78: "response, no header",
    0x79: "compact frame, no header", 0x7A: "response, short header", 0x7B: "compact frame, short header",
    0x7C: "COSEM response, long header", 0x7D: "COSEM response, short header", 0x7E: "OBIS response, long header",
    0x7F: "OBIS response, short header", 0x80: "transport layer to the device, long header", 0x81: "network layer",
    0x86: "extended link layer, variable", 0x8A: "transport layer, short header", 0x8B: "transport layer, long header",
    0x8C: "extended link layer, short", 0x8D: "extended link layer with encryption, short",
    0x8E: "extended link layer, long", 0x8F: "extended link layer with encryption, long",
    0x90: "authentication and fragmentation layer",
}  # fmt: skip
"""CI field codes in words."""


@dataclass(frozen=True, slots=True)
class TransportHeader:
    """CI field and what it announces.

    Attributes:
        ci: the CI field.
        kind: whether the fields below are there.
        address: of the meter, in a long header.
        access_number: counts telegrams.
        status: the status octet.
        configuration: the configuration field, 16 bits.
        extension: its extension octets, where the mode has them.

    """

    ci: int
    kind: HeaderKind = HeaderKind.NONE
    address: DeviceAddress | None = None
    access_number: int = 0
    status: int = 0
    configuration: int = 0
    extension: bytes = b""

    @property
    def mode(self) -> int:
        """The security mode, 0 where there is no configuration field."""
        return self.configuration >> MODE_FIELD.start & 0x1F

    @property
    def encrypted_size(self) -> int:
        """How many octets of application data are encrypted, in modes 2, 3, 5 and 7 (EN 13757-7:2018, 7.7)."""
        if self.mode in DES_MODES:  # the low octet counts octets
            return self.configuration & 0xFF
        return BLOCK * (self.configuration >> 4 & 0x0F)

    @property
    def announces_encryption(self) -> bool:
        """Whether payload octets are said to be encrypted.

        A reserved mode says nothing: before EN 13757-7 the configuration field was a signature of free use.
        """
        mode = self.mode
        if mode in (SecurityMode.AES_CBC_IV, SecurityMode.AES_CBC_DYNAMIC):
            return self.encrypted_size > 0
        return mode in _MODES and mode != SecurityMode.NONE

    @property
    def key_derivation(self) -> int:
        """Mode 7: 0 the key is used itself, 1 keys are derived per message (EN 13757-7:2018, 7.7.6)."""
        return self.extension[0] >> 4 & 3 if self.extension else 0


def header_kind(ci: int) -> HeaderKind:
    """Return the kind of transport header that a CI field announces."""
    if ci in _SHORT:
        return HeaderKind.SHORT
    return HeaderKind.LONG if ci in _LONG else HeaderKind.NONE


def read_transport(cursor: Cursor) -> TransportHeader:
    """Read the CI field and the header that it announces.

    Raises:
        TruncatedError: the header is cut.

    """
    ci = cursor.u8("CI field")
    cursor.explain(CI_NAMES.get(ci, "manufacturer specific" if 0xA0 <= ci <= 0xB7 else ""))
    kind = header_kind(ci)
    if kind == HeaderKind.NONE:
        return TransportHeader(ci)
    address = None
    if kind == HeaderKind.LONG:
        octets = cursor.take(ADDRESS_SIZE, "address")
        if ci == Ci.RESPONSE_LONG_REVERSED:  # mode 2 of EN 1434-3: each field most significant octet first
            octets = octets[3::-1] + octets[5:3:-1] + octets[6:8]
        address = DeviceAddress.of_long_header(octets)
        cursor.explain(f"{address}, {address.medium_name}")
    access_number = cursor.u8("access number")
    status = cursor.u8("status")
    cursor.explain(status_text(status))
    configuration = cursor.little(2, "configuration field")
    mode = configuration >> MODE_FIELD.start & 0x1F
    cursor.explain(f"security mode {mode}, {configuration >> 4 & 15} encrypted blocks" if mode else "not encrypted")
    extension = cursor.take(1, "configuration field extension") if mode in _EXTENDED_MODES else b""
    return TransportHeader(ci, kind, address, access_number, status, configuration, extension)


def write_transport(header: TransportHeader) -> bytes:
    """Write the CI field and its header.

    Raises:
        UnsupportedError: a long header without an address.

    """
    if header.kind == HeaderKind.NONE:
        return bytes((header.ci,))
    octets = bytes((header.access_number, header.status)) + header.configuration.to_bytes(2, "little")
    octets += header.extension
    if header.kind == HeaderKind.SHORT:
        return bytes((header.ci,)) + octets
    if header.address is None:
        raise UnsupportedError("a long header needs an address", None, "address", "EN 13757-7:2018, 7.4")
    address = header.address.long_header
    if header.ci == Ci.RESPONSE_LONG_REVERSED:
        address = address[3::-1] + address[5:3:-1] + address[6:8]
    return bytes((header.ci,)) + address + octets


def status_text(status: int) -> str:
    """Return a status octet in words (EN 13757-7:2018, table 14)."""
    words = [_APPLICATION_STATUS[status & 3]] + [text for bit, text in _STATUS_BITS.items() if status & bit]
    if status & 0xE0:
        words.append(f"manufacturer specific {status & 0xE0:02X}")
    return ", ".join(word for word in words if word) or "no error"


_APPLICATION_STATUS = ("", "application busy", "application error", "abnormal condition")
_STATUS_BITS = {0x04: "power low", 0x08: "permanent error", 0x10: "temporary error"}
