"""The optional layers between link and transport layer of wireless M-Bus.

Extended link layer: EN 13757-4:2019, 13.2 (CI 8C to 8F). Authentication and fragmentation layer: EN 13757-7:2018,
clause 6 (CI 90). Both only frame what follows; their keys are dealt with above.
"""

from dataclasses import dataclass

from meterspan.wire.checksum import crc_16_en_13757
from meterspan.wire.cursor import Cursor
from meterspan.wire.errors import WireError
from meterspan.wire.mbus.address import DeviceAddress

__all__ = ["Afl", "ExtendedLink", "payload_crc", "read_afl", "read_extended_link", "write_afl", "write_extended_link"]

CI_ELL_SHORT = 0x8C
CI_ELL_SHORT_ENCRYPTED = 0x8D
CI_ELL_LONG = 0x8E
CI_ELL_LONG_ENCRYPTED = 0x8F
CI_AFL = 0x90
ELL_CODES = frozenset({CI_ELL_SHORT, CI_ELL_SHORT_ENCRYPTED, CI_ELL_LONG, CI_ELL_LONG_ENCRYPTED})

MAC_SIZES = {0: 0, 3: 2, 4: 4, 5: 8, 6: 12, 7: 16, 8: 12}
"""Octets of the MAC by the authentication type of the MCL field (EN 13757-7:2018, table 6)."""
FCL_MORE, FCL_MCL, FCL_ML, FCL_MCR, FCL_MAC, FCL_KI = 0x4000, 0x2000, 0x1000, 0x0800, 0x0400, 0x0200


@dataclass(frozen=True, slots=True)
class ExtendedLink:
    """The extended link layer.

    Attributes:
        ci: 8C, 8D, 8E or 8F.
        communication_control: the CC field.
        access_number: counts telegrams.
        partner: M2 and A2 of 8E and 8F.
        session_number: 4 octets of 8D and 8F as transmitted; b"" else.

    """

    ci: int
    communication_control: int
    access_number: int
    partner: DeviceAddress | None = None
    session_number: bytes = b""

    @property
    def is_encrypted(self) -> bool:
        """Whether the session number announces AES-CTR (EN 13757-4:2019, 13.2.8)."""
        return bool(self.session_number) and self.session_number[3] >> 5 == 1

    @property
    def encryption(self) -> int:
        """The ENC field: 0 none, 1 AES-128-CTR, others reserved."""
        return self.session_number[3] >> 5 if self.session_number else 0


@dataclass(frozen=True, slots=True)
class Afl:
    """The authentication and fragmentation layer.

    Attributes:
        fragment_control: the FCL field, 16 bits.
        message_control: the MCL field, None where absent.
        key_information: the KI field, 2 octets.
        counter: the message counter MCR.
        mac: the MAC, b"" where absent.
        message_length: the ML field.

    """

    fragment_control: int
    message_control: int | None = None
    key_information: bytes = b""
    counter: int | None = None
    mac: bytes = b""
    message_length: int | None = None

    @property
    def fragment(self) -> int:
        """The fragment number, from 1 on; 0 where the message is not fragmented."""
        return self.fragment_control & 0xFF

    @property
    def more_fragments(self) -> bool:
        """Whether another fragment follows."""
        return bool(self.fragment_control & FCL_MORE)

    @property
    def authenticated_prefix(self) -> bytes:
        """What the MAC covers in front of the message: MCL, MCR and ML (EN 13757-7:2018, 6.3.9)."""
        octets = b"" if self.message_control is None else bytes((self.message_control,))
        octets += b"" if self.counter is None else self.counter.to_bytes(4, "little")
        return octets + (b"" if self.message_length is None else self.message_length.to_bytes(2, "little"))


def payload_crc(octets: bytes) -> bytes:
    """Return the CRC of the extended link layer's payload as transmitted, least significant octet first."""
    return crc_16_en_13757(octets).to_bytes(2, "little")


def read_extended_link(cursor: Cursor) -> ExtendedLink:
    """Read an extended link layer up to its session number; the payload CRC and the payload follow.

    Raises:
        TruncatedError: the layer is cut.

    """
    ci = cursor.u8("CI field")
    cursor.explain("extended link layer")
    control = cursor.u8("CC field")
    access_number = cursor.u8("ELL access number")
    partner = None
    if ci in (CI_ELL_LONG, CI_ELL_LONG_ENCRYPTED):
        partner = DeviceAddress(cursor.take(8, "M2 and A2 field"))
        cursor.explain(str(partner))
    session = cursor.take(4, "session number") if ci in (CI_ELL_SHORT_ENCRYPTED, CI_ELL_LONG_ENCRYPTED) else b""
    link = ExtendedLink(ci, control, access_number, partner, session)
    if session:
        cursor.explain(f"encryption {link.encryption}, session {session[0] & 15}")
    return link


def write_extended_link(link: ExtendedLink) -> bytes:
    """Write an extended link layer; the payload CRC and the payload are the caller's."""
    octets = bytes((link.ci, link.communication_control, link.access_number))
    return octets + (b"" if link.partner is None else link.partner.octets) + link.session_number


def read_afl(cursor: Cursor) -> Afl:
    """Read an authentication and fragmentation layer.

    Raises:
        WireError: the layer is cut, or its length field disagrees with its fields.

    """
    cursor.u8("CI field")
    cursor.explain("authentication and fragmentation layer")
    inner = cursor.sub(cursor.u8("AFL length"), "AFL")
    control = inner.little(2, "fragmentation control FCL")
    inner.explain(f"fragment {control & 255}{', more follow' if control & FCL_MORE else ''}")
    message_control = inner.u8("message control MCL") if control & FCL_MCL else None
    key_information = inner.take(2, "key information KI") if control & FCL_KI else b""
    counter = inner.little(4, "message counter MCR") if control & FCL_MCR else None
    mac = b""
    if control & FCL_MAC:
        size = MAC_SIZES.get((message_control or 0) & 0x0F)
        if not size:
            raise WireError("no MAC length for this authentication type", inner.position, "MAC", "EN 13757-7:2018, 6.3")
        mac = inner.take(size, "MAC")
    length = inner.little(2, "message length ML") if control & FCL_ML else None
    inner.finish("AFL")
    return Afl(control, message_control, key_information, counter, mac, length)


def write_afl(afl: Afl) -> bytes:
    """Write an authentication and fragmentation layer; which fields are there, the FCL is made to say."""
    control = afl.fragment_control & (FCL_MORE | 0xFF)
    fields = bytearray()
    if afl.message_control is not None:
        control |= FCL_MCL
        fields.append(afl.message_control)
    if afl.key_information:
        control |= FCL_KI
        fields += afl.key_information
    if afl.counter is not None:
        control |= FCL_MCR
        fields += afl.counter.to_bytes(4, "little")
    if afl.mac:
        control |= FCL_MAC
        fields += afl.mac
    if afl.message_length is not None:
        control |= FCL_ML
        fields += afl.message_length.to_bytes(2, "little")
    octets = control.to_bytes(2, "little") + fields
    return bytes((CI_AFL, len(octets))) + octets
