"""Why something failed, as a kind with fields, from the engine to the operator.

Strategy: the detector of a failure names its kind once; a display looks its words up by kind. No code searches
another module's sentence. ``detail`` is for the log and the expert; it is never matched.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from meterspan.model.storage.errors import StorageError
from meterspan.wire.errors import (
    ChecksumError,
    ImplausibleError,
    KeyMissingError,
    KeyWrongError,
    ReplayError,
    SecurityError,
    TruncatedError,
    UnknownLayoutError,
    UnsupportedError,
    WireError,
)

__all__ = ["FailedError", "Failure", "FailureKind", "kind_of_error"]


class FailureKind(StrEnum):
    """What kind of failure it is; the values are stored and sent, so they are never renamed."""

    # medium and link
    UNREACHABLE = "unreachable"
    """The endpoint cannot be opened: refused, no route, no such device, name not found."""
    NO_LINK = "no-link"
    """The medium is open and nobody answers the link set-up (no UA within the time-out)."""
    LINK_REFUSED = "link-refused"
    """The peer refuses the link (HDLC: DM)."""
    LINK_LOST = "link-lost"
    """The link or its medium ended under what was running."""
    WRONG_FRAMING = "wrong-framing"
    """The octets that arrive are not of this link: another protocol speaks at this port."""

    # association
    AUTHENTICATION_FAILED = "authentication-failed"
    """The peer says that our authentication failed: a wrong password or key, or too many wrong ones before."""
    AUTHENTICATION_REQUIRED = "authentication-required"
    """The peer wants an authentication that we did not offer."""
    MECHANISM_NOT_RECOGNISED = "mechanism-not-recognised"
    """The peer authenticates otherwise."""
    CONTEXT_NOT_SUPPORTED = "context-not-supported"
    """The peer wants ciphering, or does not take it."""
    PROOF_NOT_ACCEPTED = "proof-not-accepted"
    """We do not accept the peer's proof: it does not hold our key."""
    PROOF_REFUSED = "proof-refused"
    """The peer does not accept our proof: it holds another key or secret."""
    ASSOCIATION_REFUSED = "association-refused"
    """Refused for another reason; ``code`` holds the diagnostic."""

    # security
    KEY_MISSING = "key-missing"
    KEY_WRONG = "key-wrong"
    """What the peer sent does not fit our keys."""
    NOT_PROTECTED = "not-protected"
    """It has less protection than was agreed, or another sender than the peer."""
    DECIPHERING_ERROR = "deciphering-error"
    """The peer cannot open what we sent."""
    REPLAY = "replay"
    """The peer's invocation counter is not above the last accepted one."""
    COUNTER_BEHIND = "counter-behind"
    """Our invocation counter is not above what the peer has accepted; ``counter`` holds what it expects, if it said."""
    COUNTER_UNPROVED = "counter-unproved"
    """The peer expects a higher invocation counter than ours again and again, or one out of reach, and no answer under
    our key has confirmed it: our counters stay."""
    COUNTER_EXHAUSTED = "counter-exhausted"
    """All invocation counters under our key are used: nothing is sent under it any more."""

    # requests
    TIMEOUT = "timeout"
    """No answer in time, on a link that is up."""
    REFUSED = "refused"
    """The peer refuses this attribute or method; ``code`` holds the result."""
    EXCEPTION = "exception"
    """The peer answered with exception-response or confirmed-service-error; ``code`` holds it."""
    UNSUPPORTED = "unsupported"
    """The negotiated services, or this implementation, lack what is needed."""
    PROTOCOL = "protocol"
    """An answer that does not fit its request, or an APDU that cannot be read."""

    # octets
    DAMAGED = "damaged"
    """A checksum differs, or the octets end early."""
    UNREADABLE = "unreadable"
    """Well-framed octets that cannot be read as what they claim to be."""
    UNKNOWN_LAYOUT = "unknown-layout"
    """Plain values in an order that is not known: a push without names, of a meter without a known push object list."""
    UNKNOWN_DEVICE = "unknown-device"
    """The device is not on the list."""
    IMPLAUSIBLE = "implausible"
    """The values cannot be those of this meter: unit, scale, time or size."""

    # this side
    STORAGE = "storage"
    """Readings or state cannot be stored now: disk full, database locked or damaged."""
    DEADLINE = "deadline"
    """The whole job was not finished in its time."""
    CANCELLED = "cancelled"
    """Ended by this side: stopped, released, replaced."""
    INTERNAL = "internal"
    """A defect of this program; the item was quarantined."""


@dataclass(frozen=True, slots=True)
class Failure:
    """One failure.

    Attributes:
        kind: what sort it is; remedies and decisions go by it alone.
        detail: for logs and experts, in plain English; never matched by code.
        code: the standard's name of the diagnostic, result or error, "" where there is none.
        error: what is wrong with which octets, where octets are at fault.
        counter: the invocation counter that the peer expects, where it said so.
        permanent: whether trying again with the same settings is without hope, as far as the peer says so.

    """

    kind: FailureKind
    detail: str = ""
    code: str = ""
    error: WireError | None = None
    counter: int | None = None
    permanent: bool = False

    @property
    def is_answer(self) -> bool:
        """Whether something at the address did answer, so that its address and line are not the fault."""
        return self.kind in _ANSWERS

    def __str__(self) -> str:
        """Write the detail, or the kind in words where there is none."""
        return self.detail or self.kind.value.replace("-", " ")

    @classmethod
    def of_error(cls, error: WireError, detail: str = "") -> "Failure":
        """Make the failure that a wire error is."""
        return cls(kind_of_error(error), detail or str(error), error=error)

    @classmethod
    def of_storage(cls, error: StorageError) -> "Failure":
        """Make the failure that a storage error is; ``code`` holds what sort of storage error it is."""
        return cls(FailureKind.STORAGE, str(error), code=error.code, permanent=not error.is_transient)


class FailedError(Exception):
    """Something asked for did not succeed; ``failure`` is the reason."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(str(failure))
        self.failure = failure


def kind_of_error(error: WireError) -> FailureKind:
    """Return the kind of a wire error, by its type."""
    return next((kind for type_, kind in _KINDS if isinstance(error, type_)), FailureKind.UNREADABLE)


_ANSWERS: Final = frozenset(
    {
        FailureKind.LINK_REFUSED,
        FailureKind.WRONG_FRAMING,
        FailureKind.AUTHENTICATION_FAILED,
        FailureKind.AUTHENTICATION_REQUIRED,
        FailureKind.MECHANISM_NOT_RECOGNISED,
        FailureKind.CONTEXT_NOT_SUPPORTED,
        FailureKind.PROOF_NOT_ACCEPTED,
        FailureKind.PROOF_REFUSED,
        FailureKind.ASSOCIATION_REFUSED,
        FailureKind.KEY_WRONG,
        FailureKind.NOT_PROTECTED,
        FailureKind.DECIPHERING_ERROR,
        FailureKind.REPLAY,
        FailureKind.COUNTER_BEHIND,
        FailureKind.COUNTER_UNPROVED,
        FailureKind.REFUSED,
        FailureKind.EXCEPTION,
        FailureKind.UNSUPPORTED,
        FailureKind.PROTOCOL,
        FailureKind.DAMAGED,
        FailureKind.UNREADABLE,
        FailureKind.UNKNOWN_LAYOUT,
        FailureKind.IMPLAUSIBLE,
    }
)
"""Failures of which octets of the peer are the cause."""
_KINDS: tuple[tuple[type[WireError], FailureKind], ...] = (
    (KeyMissingError, FailureKind.KEY_MISSING),
    (KeyWrongError, FailureKind.KEY_WRONG),
    (ReplayError, FailureKind.REPLAY),
    (SecurityError, FailureKind.NOT_PROTECTED),
    (ChecksumError, FailureKind.DAMAGED),
    (TruncatedError, FailureKind.DAMAGED),
    (UnknownLayoutError, FailureKind.UNKNOWN_LAYOUT),
    (UnsupportedError, FailureKind.UNSUPPORTED),
    (ImplausibleError, FailureKind.IMPLAUSIBLE),
)
