"""Wrapper PDUs out of a TCP stream or a UDP datagram (IEC 62056-47, 6.3 and 5.2).

A stream has nothing to find the next PDU by but the last one's length: after a damaged header every further octet is
damage, and the reader says so once and then counts. The owner of the connection is expected to close it.
"""

from typing import Final

from meterspan.wire.cursor import Cursor
from meterspan.wire.damaged import Damaged
from meterspan.wire.errors import WireError
from meterspan.wire.wrapper.pdu import HEADER_SIZE, WrapperPdu, read_header, read_wpdu

__all__ = ["APDU_SIZE_MAX", "DATAGRAM_PDUS_MAX", "WrapperReader", "read_datagram"]

APDU_SIZE_MAX: Final = 0xFFFF
"""Longest APDU taken by default: all that the header can announce; gateways with many peers set less."""
DATAGRAM_PDUS_MAX: Final = 8
"""PDUs taken from one datagram: one is the rule (5.2), a few pushed together are seen; more only costs us time."""


class WrapperReader:
    """Cuts a stream into wrapper PDUs; holds back one unfinished PDU at most.

    Args:
        apdu_size_max: a header that announces more ends the stream.

    """

    __slots__ = ("_apdu_size_max", "_buffer", "is_broken", "octets_lost")

    def __init__(self, *, apdu_size_max: int = APDU_SIZE_MAX) -> None:
        self._apdu_size_max = apdu_size_max
        self._buffer = bytearray()
        self.is_broken = False
        """Whether a header was wrong, and with it the place of every later one."""
        self.octets_lost = 0
        """Octets received after the stream broke."""

    @property
    def pending(self) -> int:
        """How many octets are held back, waiting for more."""
        return len(self._buffer)

    def feed(self, octets: bytes) -> list[WrapperPdu | Damaged]:
        """Read octets; return the PDUs that they complete; at most one ``Damaged``, the last."""
        if self.is_broken:
            self.octets_lost += len(octets)
            return []
        self._buffer += octets
        items: list[WrapperPdu | Damaged] = []
        position = 0
        try:
            while (end := self._end_of_pdu(position)) is not None:
                items.append(read_wpdu(bytes(self._buffer[position:end])))
                position = end
        except WireError as error:
            self.is_broken = True
            items.append(Damaged(bytes(self._buffer[position : position + HEADER_SIZE]), error))
            self.octets_lost = max(len(self._buffer) - position - HEADER_SIZE, 0)
            position = len(self._buffer)
        del self._buffer[:position]
        return items

    def _end_of_pdu(self, position: int) -> int | None:
        """Where the PDU ends that begins at ``position``; None where octets are missing."""
        if len(self._buffer) - position < HEADER_SIZE:
            if len(self._buffer) - position >= 2:
                _check_version(self._buffer[position : position + 2])
            return None
        _, _, length = read_header(Cursor(bytes(self._buffer[position : position + HEADER_SIZE])))
        if length > self._apdu_size_max:
            raise WireError(f"announces {length} octets, at most {self._apdu_size_max} are taken", 6, "length")
        end = position + HEADER_SIZE + length
        return end if end <= len(self._buffer) else None


def _check_version(octets: bytes | bytearray) -> None:
    read_header(Cursor(bytes(octets) + bytes(HEADER_SIZE - 2)))


def read_datagram(octets: bytes) -> list[WrapperPdu]:
    """Read the PDUs of one UDP datagram.

    Raises:
        WireError: any of them is damaged, the datagram is empty, or it holds more than ``DATAGRAM_PDUS_MAX``.

    """
    cursor = Cursor(octets)
    wpdus = [read_wpdu(cursor)]
    while cursor.remaining:
        if len(wpdus) == DATAGRAM_PDUS_MAX:
            raise WireError(f"more than {DATAGRAM_PDUS_MAX} PDUs in one datagram", cursor.position)
        wpdus.append(read_wpdu(cursor))
    return wpdus
