"""What to do about a failure on the bench, in terms of the options of ``meterspan read``: one text for each kind."""

from collections.abc import Mapping
from typing import Final

from meterspan.model.failures import FailureKind

__all__ = ["HINTS", "MBUS_HINTS", "NEED_NO_HINT"]

HINTS: Final[Mapping[FailureKind, str]] = {
    FailureKind.UNREACHABLE: "is the meter at this address? check host and port, or the name of the serial device",
    FailureKind.NO_LINK: "the meter does not answer: check --server and --physical, and baud of a serial line",
    FailureKind.LINK_REFUSED: "the meter refuses the link: another client may hold it; wait, or check --client",
    FailureKind.LINK_LOST: "the meter closed the connection: does it expect another --client or --auth?",
    FailureKind.WRONG_FRAMING: "this port does not use the wrapper: try hdlc+tcp://; a P1 port is for meterspan listen",
    FailureKind.AUTHENTICATION_FAILED: (
        "the meter refuses our password or key; most meters lock for a while after wrong ones"
    ),
    FailureKind.AUTHENTICATION_REQUIRED: "this client must authenticate: try --auth lls or --auth hls5",
    FailureKind.MECHANISM_NOT_RECOGNISED: "this client authenticates otherwise: try another --auth",
    FailureKind.CONTEXT_NOT_SUPPORTED: "this client requires ciphering, or none: try another --auth or --client",
    FailureKind.PROOF_NOT_ACCEPTED: "the answer does not fit our keys: --key or --auth-key is wrong",
    FailureKind.PROOF_REFUSED: "--auth-key or --key is wrong",
    FailureKind.KEY_MISSING: "give --key and --auth-key, or --keys FILE",
    FailureKind.KEY_WRONG: "the answer does not fit our keys: --key or --auth-key is wrong",
    FailureKind.NOT_PROTECTED: "the meter answers with less protection than agreed: is it the meter you mean?",
    FailureKind.DECIPHERING_ERROR: (
        "the meter cannot open our messages: is --key or --auth-key wrong, or another --title due?"
    ),
    FailureKind.REPLAY: (
        "the meter counts lower than before: was it reset, or is this a replay? --state DIR starts with new counters"
    ),
    FailureKind.COUNTER_BEHIND: "our counter is behind the meter's: leave out --no-recover",
    FailureKind.TIMEOUT: "is it the right --server, --physical and --client? Slow networks need a longer --timeout",
    FailureKind.REFUSED: "this client may not read it: --view shows the rights",
    FailureKind.EXCEPTION: "the meter could not serve the request: try again, or ask for less with --register",
    FailureKind.DAMAGED: "received frames are damaged: check the line, and baud and parity of a serial one",
    FailureKind.DEADLINE: "it took too long: ask for less with --register, --from and --to",
    FailureKind.STORAGE: "our counters cannot be stored: make room on the disk, or give another --state DIR",
}

MBUS_HINTS: Final[Mapping[FailureKind, str]] = {
    FailureKind.UNREACHABLE: HINTS[FailureKind.UNREACHABLE],
    FailureKind.TIMEOUT: "is it the right address= or secondary=, and baud= of the bus? Is the bus powered?",
    FailureKind.LINK_LOST: "the gateway closed the connection: does another program use it? most serve one at a time",
    FailureKind.DAMAGED: "do several slaves answer at this address? secondary= selects one of them",
    FailureKind.UNKNOWN_DEVICE: "two slaves may hold the selection: write all 16 digits of secondary=",
}
"""The same for a slave of wired M-Bus, where other options apply."""

NEED_NO_HINT: Final = frozenset(
    {
        FailureKind.ASSOCIATION_REFUSED,  # the command names the client and mechanism tried
        FailureKind.UNSUPPORTED,  # the failure names what is missing, and no option helps
        FailureKind.PROTOCOL,  # a fault of the meter or of this program: --trace shows it
        FailureKind.UNREADABLE,  # likewise
        FailureKind.UNKNOWN_DEVICE,  # there is no list of devices on the bench
        FailureKind.IMPLAUSIBLE,  # values are shown as they are on the bench
        FailureKind.CANCELLED,  # the user did it
        FailureKind.INTERNAL,  # a defect of this program
    }
)
"""Kinds that need no words of their own."""
