"""How one HDLC link is set up: addresses, limits, time-outs, tolerance."""

from dataclasses import dataclass
from enum import Enum
from typing import Final

from meterspan.wire.hdlc import HdlcAddress, HdlcParameters
from meterspan.wire.hdlc.parameters import INFORMATION_MAX

__all__ = ["AddressMatching", "HdlcConfig"]

_DEFAULTS: Final = HdlcParameters()


class AddressMatching(Enum):
    """How closely the addresses of received frames are compared."""

    STRICT = "strict"
    """Logical and physical address as configured."""
    TOLERANT = "tolerant"
    """Also without the physical address, with another logical device of the same meter, or with both exchanged."""
    ANY = "any"
    """Every frame on the line is for this side: a point-to-point line, or a listener to push."""


@dataclass(frozen=True, slots=True)
class HdlcConfig:
    """How one HDLC link is set up; defaults are those of COSEM's HDLC setup (IEC 62056-6-2, class 23), if any.

    Attributes:
        source: this side's address.
        destination: the peer's address; a server answers the client that asked, and pushes to this one.
        parameters: this side's own limits, to be negotiated.
        logical_devices: further upper addresses at which a server is reached.
        matching: how closely addresses are compared.
        apdu_size_max: octets of the longest APDU received or sent.
        response_timeout_s: how long a client waits for a frame with F set before it repeats.
        retries_max: how often it repeats before it closes the link.
        hold_s: how long a server keeps the turn for its application's answer; less than the client's time-out.
        poll_interval_s: how long a client waits before it asks again for an answer that was not ready.
        polls_max: how often it asks again.
        inactivity_timeout_s: how long a server keeps a link without frames; None keeps it for ever.
        octet_timeout_s: how long a frame may stay incomplete; on serial lines 0.025 is usual, TCP needs more.

    """

    source: HdlcAddress
    destination: HdlcAddress
    parameters: HdlcParameters = _DEFAULTS
    logical_devices: frozenset[int] = frozenset()
    matching: AddressMatching = AddressMatching.TOLERANT
    apdu_size_max: int = 0xFFFF
    response_timeout_s: float = 3.0
    retries_max: int = 3
    hold_s: float = 1.5
    poll_interval_s: float = 0.25
    polls_max: int = 120
    inactivity_timeout_s: float | None = 120.0
    octet_timeout_s: float = 1.0

    def __post_init__(self) -> None:
        limits = (self.parameters.information_transmit_max, self.parameters.information_receive_max)
        if max(limits) > INFORMATION_MAX:
            raise ValueError(f"an information field has {INFORMATION_MAX} octets at most")
        if self.apdu_size_max < 1 or self.retries_max < 0 or self.polls_max < 0:
            raise ValueError("sizes and counts are not negative")
