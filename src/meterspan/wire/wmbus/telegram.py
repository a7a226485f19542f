"""A wireless M-Bus telegram: link layer, extended link layer, AFL, transport layer, payload (EN 13757-4 and -7).

``read_frame`` peels the layers that are in the clear and leaves the protected rest as it is: ``sealed`` where the
extended link layer is encrypted, or a ``payload`` whose header tells the security mode. Opening needs keys, and so is
the business of ``engine.mbus_security``; it comes back here with ``with_clear_link`` for the inner layers.
"""

from dataclasses import dataclass, replace

from meterspan.wire.cursor import Cursor, Trace
from meterspan.wire.errors import ChecksumError, UnsupportedError, WireError
from meterspan.wire.mbus.address import DeviceAddress
from meterspan.wire.mbus.transport import HeaderKind, TransportHeader, read_transport, write_transport
from meterspan.wire.wmbus.frame import FrameFormat, LinkHeader, pack_blocks, read_link
from meterspan.wire.wmbus.layers import (
    CI_AFL,
    ELL_CODES,
    Afl,
    ExtendedLink,
    payload_crc,
    read_afl,
    read_extended_link,
    write_afl,
    write_extended_link,
)

__all__ = ["FragmentStore", "WmbusFrame", "read_frame", "with_clear_link", "write_frame"]

CI_NETWORK = 0x81
CI_ELL_VARIABLE = 0x86
MAX_FRAGMENTED_METERS = 256
"""Meters whose fragments are kept at once; the oldest is dropped."""
MAX_MESSAGE = 16_384
"""Octets of a reassembled message (EN 13757-7:2018, 6.2 allows that many)."""


@dataclass(frozen=True, slots=True)
class WmbusFrame:
    """A telegram, read as far as it is in the clear.

    Attributes:
        format: how it was guarded.
        link: C, M and A fields.
        ell: the extended link layer.
        afl: the authentication and fragmentation layer.
        transport: CI field and transport header; None where the extended link layer seals it, or in a fragment.
        payload: application data behind the transport header, protected as the header says.
        offset: of the payload (or of what is sealed) in the frame without CRCs.
        sealed: the encrypted rest behind a session number, payload CRC first.
        message: all octets from the transport layer's CI field on, which is what a MAC covers.
        trailing: octets behind the frame (signal strength and the like).

    """

    format: FrameFormat
    link: LinkHeader
    ell: ExtendedLink | None = None
    afl: Afl | None = None
    transport: TransportHeader | None = None
    payload: bytes = b""
    offset: int = 0
    sealed: bytes | None = None
    message: bytes = b""
    trailing: bytes = b""

    @property
    def address(self) -> DeviceAddress:
        """The meter's address: of the long transport header where there is one, else of the link layer."""
        if self.transport is not None and self.transport.address is not None:
            return self.transport.address
        return self.link.address

    @property
    def ci(self) -> int | None:
        """The CI field of the transport layer, where it is in the clear."""
        return None if self.transport is None else self.transport.ci


def read_frame(octets: bytes, *, trace: Trace | None = None, form: FrameFormat | None = None) -> WmbusFrame:
    """Read a telegram of frame format A or B, with or without CRCs, as far as it is in the clear.

    ``form`` STRIPPED keeps octets that look like CRCs by chance (see ``read_link``).

    Raises:
        WireError: the frame is cut, a CRC differs, or a layer is malformed or unknown.

    """
    form, link, cursor, trailing = read_link(octets, trace=trace, form=form)
    frame = WmbusFrame(form, link, trailing=trailing)
    if not cursor.remaining:
        return frame
    if cursor.peek()[0] == CI_ELL_VARIABLE:
        raise UnsupportedError("the variable extended link layer is not read", cursor.position, "CI field")
    if cursor.peek()[0] not in ELL_CODES:
        return _inner(frame, cursor)
    ell = read_extended_link(cursor)
    frame = replace(frame, ell=ell)
    if not ell.session_number:
        return _inner(frame, cursor)
    rest = cursor.octets[cursor.offset :]
    if rest[:2] == payload_crc(rest[2:]):  # not encrypted, or by the receiver already opened
        cursor.take(2, "payload CRC")
        return _inner(frame, cursor)
    if ell.encryption == 0:
        raise ChecksumError("payload CRC differs", cursor.position, "payload CRC", "EN 13757-4:2019, 13.2.9")
    if ell.encryption != 1:
        raise UnsupportedError(f"encryption {ell.encryption} is reserved", cursor.position, "session number")
    offset = cursor.offset
    return replace(frame, sealed=cursor.rest("encrypted payload"), offset=offset)


def with_clear_link(frame: WmbusFrame, clear: bytes, *, trace: Trace | None = None) -> WmbusFrame | None:
    """Read the inner layers once the extended link layer is decrypted; None where the payload CRC does not fit.

    Args:
        frame: with ``sealed`` octets.
        clear: the same octets decrypted, payload CRC first.
        trace: collects the meaning of each octet.

    Raises:
        WireError: an inner layer is malformed.

    """
    if clear[:2] != payload_crc(clear[2:]):
        return None
    cursor = Cursor(clear, base=frame.offset, trace=trace)
    cursor.take(2, "payload CRC")
    cursor.explain("matches after decryption")
    return _inner(replace(frame, sealed=None), cursor)


def write_frame(
    link: LinkHeader,
    transport: TransportHeader | None,
    payload: bytes,
    *,
    ell: ExtendedLink | None = None,
    afl: Afl | None = None,
    form: FrameFormat = FrameFormat.STRIPPED,
    sealed: bytes | None = None,
) -> bytes:
    """Write a telegram; the payload is given as protected as the headers say.

    Args:
        link: C, M and A fields.
        transport: the transport header; None writes the payload right behind the other layers.
        payload: application data.
        ell: an extended link layer; with a session number it gets its payload CRC.
        afl: an authentication and fragmentation layer.
        form: which CRCs the frame gets.
        sealed: what stands behind the session number in place of payload CRC and inner layers.

    Raises:
        ValueError: the telegram is longer than a frame.

    """
    inner = b"" if afl is None else write_afl(afl)
    inner += (b"" if transport is None else write_transport(transport)) + payload
    if ell is not None:
        guard = payload_crc(inner) if ell.session_number else b""
        inner = write_extended_link(ell) + (guard + inner if sealed is None else sealed)
    body = bytes((link.control,)) + link.address.octets + inner
    if len(body) > 0xFF:
        raise ValueError(f"{len(body)} octets do not fit one frame")
    return pack_blocks(bytes((len(body),)) + body, form)


class FragmentStore:
    """Puts messages of several AFL fragments together (EN 13757-7:2018, 6.2); bounded in meters and in octets."""

    def __init__(self) -> None:
        self._parts: dict[bytes, list[WmbusFrame]] = {}

    def add(self, frame: WmbusFrame) -> WmbusFrame | None:
        """Return a whole frame as it is, the whole message with its last fragment, and None before that.

        A fragment out of order drops what was kept of its meter.

        Raises:
            WireError: the transport layer of the whole message is malformed.

        """
        afl = frame.afl
        if afl is None or (not afl.more_fragments and afl.fragment <= 1):
            return frame
        parts = self._parts.pop(frame.link.address.octets, [])
        if afl.fragment != len(parts) + 1 or sum(len(part.message) for part in parts) > MAX_MESSAGE:
            return None
        parts.append(frame)
        if afl.more_fragments:
            self._parts[frame.link.address.octets] = parts
            if len(self._parts) > MAX_FRAGMENTED_METERS:
                del self._parts[next(iter(self._parts))]
            return None
        first, last = parts[0].afl, afl
        merged = replace(first or last, fragment_control=0, mac=last.mac or (first.mac if first else b""))
        message = b"".join(part.message for part in parts)
        cursor = Cursor(message)
        transport = read_transport(cursor)
        return replace(
            parts[0],
            afl=merged,
            transport=transport,
            payload=message[cursor.offset :],
            offset=cursor.offset,
            message=message,
        )


def _inner(frame: WmbusFrame, cursor: Cursor) -> WmbusFrame:
    """Read AFL and transport layer."""
    if not cursor.remaining:
        return frame
    code = cursor.peek()[0]
    if code in ELL_CODES:
        raise WireError("a second extended link layer", cursor.position, "CI field", "EN 13757-4:2019, 13.2")
    afl = None
    if code == CI_AFL:
        afl = read_afl(cursor)
    message = cursor.octets[cursor.offset :]
    frame = replace(frame, afl=afl, message=message)
    if afl is not None and (afl.more_fragments or afl.fragment > 1):
        offset = cursor.position
        return replace(frame, payload=cursor.rest("fragment"), offset=offset)
    if not cursor.remaining:
        return frame
    if cursor.peek()[0] == CI_NETWORK:
        raise UnsupportedError("the network layer is not read", cursor.position, "CI field")
    transport = read_transport(cursor)
    offset = cursor.position
    payload = cursor.octets[cursor.offset : cursor.end]
    if transport.mode and transport.kind != HeaderKind.NONE and cursor.trace is not None:
        cursor.rest("protected payload")
    return replace(frame, transport=transport, payload=payload, offset=offset)
