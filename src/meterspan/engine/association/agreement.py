"""The agreed terms of one association (IEC 62056-5-3, 6.2): one record for both roles."""

from dataclasses import dataclass

from meterspan.engine.block_transfer import BLOCK_OVERHEAD_OCTETS
from meterspan.wire.acse import ApplicationContext, AuthenticationMechanism
from meterspan.wire.axdr import write_length
from meterspan.wire.xdlms import Conformance

__all__ = ["APDU_MAX", "Agreement", "plain_max"]

APDU_MAX = 0xFFFF
"""Octets of the longest APDU; it applies where the peer's limit is 0."""
SEALED_OCTETS = 17
"""Beside the ciphertext of a protected APDU: security control, invocation counter (4), GCM tag (12)."""
TITLE_OCTETS = 9
"""The system title of general ciphering, with its length."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """The terms of one association, seen from one side.

    Attributes:
        peer: client SAP or server address at the other end.
        mechanism: how the client authenticates.
        context: referencing by logical name, with or without ciphering.
        conformance: the negotiated services.
        max_pdu: octets of the longest APDU that the peer takes; 0 is no limit.
        own_title: our system title, b"" where the association needs none.
        peer_title: the peer's system title, b"" where it sent none.
        has_dedicated_key: whether services are ciphered under a dedicated key.
        is_general: whether services are protected by general ciphering.
        is_confirmed: whether the server answers: the client allowed a response.

    """

    peer: int
    mechanism: AuthenticationMechanism
    context: ApplicationContext
    conformance: Conformance
    max_pdu: int
    own_title: bytes = b""
    peer_title: bytes = b""
    has_dedicated_key: bool = False
    is_general: bool = False
    is_confirmed: bool = True

    @property
    def ciphered(self) -> bool:
        """Whether the context is one with ciphering."""
        return self.context is ApplicationContext.LN_CIPHERED

    @property
    def apdu_max(self) -> int:
        """Octets of the longest plain APDU that the peer takes; below 1 where the protection leaves no room."""
        limit = min(self.max_pdu or APDU_MAX, APDU_MAX)
        return plain_max(limit, is_general=self.is_general) if self.ciphered else limit

    @property
    def block_max(self) -> int:
        """Octets of raw data in one block; below 1 where the peer's PDU has no room for any."""
        return self.apdu_max - BLOCK_OVERHEAD_OCTETS


def plain_max(size: int, *, is_general: bool) -> int:
    """Return the octets of the longest plain APDU whose protected form has no more than ``size`` octets.

    It is below 1 where the protection leaves no room (IEC 62056-5-3, 5.7.2.4.2: tag, length, control, counter, tag).
    """
    head = 1 + (TITLE_OCTETS if is_general else 0)
    rooms = (size - head - length_octets for length_octets in (1, 2, 3))
    return max(room for room in rooms if head + len(write_length(max(0, room))) + room <= size) - SEALED_OCTETS
