"""The agreed terms of one association (IEC 62056-5-3, 6.2): one record for both roles."""

from dataclasses import dataclass

from meterspan.engine.block_transfer import BLOCK_OVERHEAD_OCTETS
from meterspan.engine.security import PROTECTION_OCTETS
from meterspan.wire.acse import ApplicationContext, AuthenticationMechanism
from meterspan.wire.xdlms import Conformance

__all__ = ["APDU_MAX", "Agreement"]

APDU_MAX = 0xFFFF
"""Octets of the longest APDU; it applies where the peer's limit is 0."""


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

    """

    peer: int
    mechanism: AuthenticationMechanism
    context: ApplicationContext
    conformance: Conformance
    max_pdu: int
    own_title: bytes = b""
    peer_title: bytes = b""
    has_dedicated_key: bool = False

    @property
    def ciphered(self) -> bool:
        """Whether the context is one with ciphering."""
        return self.context is ApplicationContext.LN_CIPHERED

    @property
    def apdu_max(self) -> int:
        """Octets of the longest plain APDU that the peer takes; below 1 where the protection leaves no room."""
        return min(self.max_pdu or APDU_MAX, APDU_MAX) - (PROTECTION_OCTETS if self.ciphered else 0)

    @property
    def block_max(self) -> int:
        """Octets of raw data in one block; below 1 where the peer's PDU has no room for any."""
        return self.apdu_max - BLOCK_OVERHEAD_OCTETS
