"""The meaning of a failure for an operator and the remedy: one text for each kind; no other code decides by words."""

from collections.abc import Mapping
from typing import Final

from meterspan.model.failures import Failure, FailureKind

__all__ = ["REMEDIES", "advice"]

_KEYS = "check its keys in the inventory"

REMEDIES: Final[Mapping[FailureKind, str]] = {
    FailureKind.UNREACHABLE: "its address does not answer; check the address, the network and its power",
    FailureKind.NO_LINK: "the line is open and the meter does not answer; check its HDLC address and its power",
    FailureKind.LINK_REFUSED: "the meter refuses the link; another client may hold it",
    FailureKind.LINK_LOST: "the connection broke off during the session; check the network if this stays",
    FailureKind.WRONG_FRAMING: "another protocol answers at this address; check the endpoint's scheme and port",
    FailureKind.AUTHENTICATION_FAILED: "wrong key or password: the meter did not accept the proof; check the inventory",
    FailureKind.AUTHENTICATION_REQUIRED: "the meter requires authentication; set its security in the inventory",
    FailureKind.MECHANISM_NOT_RECOGNISED: "the meter authenticates otherwise; check its security in the inventory",
    FailureKind.CONTEXT_NOT_SUPPORTED: "ciphering does not fit the meter; check its security in the inventory",
    FailureKind.PROOF_NOT_ACCEPTED: f"wrong key: the meter's message could not be opened; {_KEYS}",
    FailureKind.PROOF_REFUSED: "wrong key or password: the meter did not accept the proof; check the inventory",
    FailureKind.ASSOCIATION_REFUSED: "the meter refuses the association; check client and server addresses",
    FailureKind.KEY_MISSING: "there is no key for this meter; add it to the inventory",
    FailureKind.KEY_WRONG: f"wrong key: the meter's message could not be opened; {_KEYS}",
    FailureKind.NOT_PROTECTED: "the meter answered without the agreed protection; check its security policy",
    FailureKind.DECIPHERING_ERROR: f"wrong key: the meter could not open our message; {_KEYS}",
    FailureKind.REPLAY: (
        "the meter sent a counter that it has used before: it was reset or exchanged, or someone replays its answers"
    ),
    FailureKind.COUNTER_BEHIND: "the meter has seen higher counters than ours; they are recovered at the next session",
    FailureKind.TIMEOUT: "the meter stopped answering; check the network if this stays",
    FailureKind.REFUSED: "the meter refuses to show this; check the rights of the client in the inventory",
    FailureKind.EXCEPTION: "the meter could not serve the request; it is asked again",
    FailureKind.UNSUPPORTED: "the meter does not offer the service that is needed",
    FailureKind.PROTOCOL: "the meter's answer does not fit the request; report the frames of its story",
    FailureKind.DAMAGED: "what arrived is damaged; check the line or the radio",
    FailureKind.UNREADABLE: "what arrived cannot be read; report the frames of its story",
    FailureKind.UNKNOWN_DEVICE: "the device is not in the inventory; add it",
    FailureKind.IMPLAUSIBLE: "the values cannot be of this meter; check whether it was exchanged",
    FailureKind.STORAGE: "its readings could not be stored; make room on the disk or look at the log",
    FailureKind.DEADLINE: "the session took too long; the rest is read at the next one",
    FailureKind.CANCELLED: "the session was ended from this side; it is held again",
    FailureKind.INTERNAL: "a defect of this program; report the log",
}
"""By kind, in the words of the operator's pages."""


def advice(failure: Failure) -> str:
    """Return the meaning and the remedy of a failure, followed by the detected fault."""
    meaning = REMEDIES[failure.kind]
    return f"{meaning} ({failure.detail})" if failure.detail else meaning
