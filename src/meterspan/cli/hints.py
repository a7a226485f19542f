"""The options of ``meterspan read`` that help against a failure; its sentence is that of ``model.remedies``."""

from collections.abc import Mapping
from typing import Final

from meterspan.model.failures import FailureKind
from meterspan.model.remedies import REMEDIES

__all__ = ["MBUS_OPTIONS", "NEED_NO_OPTION", "OPTIONS", "hints_for"]

OPTIONS: Final[Mapping[FailureKind, str]] = {
    FailureKind.NO_LINK: "--server, --physical, baud=",
    FailureKind.LINK_REFUSED: "--client",
    FailureKind.LINK_LOST: "--client, --auth",
    FailureKind.WRONG_FRAMING: "hdlc+tcp://; a P1 port is for meterspan listen",
    FailureKind.AUTHENTICATION_FAILED: "--password, --key, --auth-key",
    FailureKind.AUTHENTICATION_REQUIRED: "--auth lls, --auth hls5",
    FailureKind.MECHANISM_NOT_RECOGNISED: "--auth",
    FailureKind.CONTEXT_NOT_SUPPORTED: "--auth, --client",
    FailureKind.PROOF_NOT_ACCEPTED: "--key, --auth-key",
    FailureKind.PROOF_REFUSED: "--auth-key, --key",
    FailureKind.ASSOCIATION_REFUSED: "--client, --auth",
    FailureKind.KEY_MISSING: "--key and --auth-key, or --keys FILE",
    FailureKind.KEY_WRONG: "--key, --auth-key",
    FailureKind.DECIPHERING_ERROR: "--key, --auth-key, --title",
    FailureKind.REPLAY: "--state DIR starts with new counters",
    FailureKind.COUNTER_BEHIND: "leave out --no-recover",
    FailureKind.TIMEOUT: "--server, --physical, --client; --timeout for slow networks",
    FailureKind.REFUSED: "--view shows the rights",
    FailureKind.EXCEPTION: "--register reads less",
    FailureKind.DAMAGED: "baud= of a serial line",
    FailureKind.DEADLINE: "--register, --from and --to read less",
    FailureKind.STORAGE: "--state DIR",
}

MBUS_OPTIONS: Final[Mapping[FailureKind, str]] = {
    FailureKind.TIMEOUT: "address= or secondary=, baud=",
    FailureKind.DAMAGED: "secondary= selects one of several slaves at an address",
    FailureKind.UNKNOWN_DEVICE: "all 16 digits of secondary= select one slave",
}
"""The same for a slave of wired M-Bus."""

NEED_NO_OPTION: Final = frozenset(
    {
        FailureKind.UNREACHABLE,  # the endpoint is wrong, or the meter is off: the sentence says it
        FailureKind.COUNTER_UNPROVED,  # another device may answer at the address; no option makes it safe
        FailureKind.COUNTER_EXHAUSTED,  # the key must be changed first
        FailureKind.NOT_PROTECTED,  # another meter may answer; no option makes it safe
        FailureKind.UNSUPPORTED,  # the failure names what is missing
        FailureKind.PROTOCOL,  # a fault of the meter or of this program: --trace shows it
        FailureKind.UNREADABLE,  # likewise
        FailureKind.UNKNOWN_LAYOUT,  # nothing is pushed to the bench
        FailureKind.UNKNOWN_DEVICE,  # there is no list of devices on the bench
        FailureKind.IMPLAUSIBLE,  # values are shown as they are on the bench
        FailureKind.CANCELLED,  # the user did it
        FailureKind.INTERNAL,  # a defect of this program
    }
)
"""Kinds that no option helps against."""


def hints_for(kind: FailureKind, options: Mapping[FailureKind, str]) -> list[str]:
    """Return the sentence of a failure and the options that help."""
    return [REMEDIES[kind], *([f"options: {options[kind]}"] if kind in options else [])]
