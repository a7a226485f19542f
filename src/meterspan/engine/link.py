"""The link as an application association sees it: HDLC or the TCP/UDP wrapper.

A ``Link`` is a ``Machine`` (octets and time in; octets, events, deadline out) that carries whole APDUs between two
addresses. Either link removes and adds its own framing, segmentation and headers, so that the association above does
not know which one it stands on (IEC 62056-1-0). Misuse by the caller raises ``LinkNotUpError`` or
``ValueError``; anything that the peer does becomes an event, never an exception.
"""

from collections import deque
from dataclasses import dataclass
from enum import Enum
from typing import Final, Generic, Protocol, TypeVar

from meterspan.engine.machine import EVENTS_MAX, Machine
from meterspan.model.failures import Failure
from meterspan.wire.errors import WireError

__all__ = [
    "SEND_QUEUE_OCTETS_MAX",
    "ApduReceived",
    "FrameDamaged",
    "Link",
    "LinkCore",
    "LinkCounts",
    "LinkDown",
    "LinkEvent",
    "LinkNotUpError",
    "LinkUp",
    "Role",
]

SEND_QUEUE_OCTETS_MAX: Final = 1 << 20
"""Octets that may wait to be sent, sixteen of the longest APDUs; beyond it the caller ignores back-pressure."""

ConfigT = TypeVar("ConfigT")


class Role(Enum):
    """Which side of the link this machine plays."""

    CLIENT = "client"
    """Data collection: opens the link, asks (the primary station of HDLC)."""
    SERVER = "server"
    """Meter or local access point: answers, pushes (the secondary station of HDLC)."""


@dataclass(frozen=True, slots=True)
class LinkUp:
    """The link is up: APDUs flow between ``source``, the peer, and ``destination``, this side.

    Addresses are client SAP and server (logical device) address of HDLC, or wrapper ports. A wrapper server learns its
    peer's port from the first APDU; until then ``source`` is its configured peer.
    """

    source: int
    destination: int


@dataclass(frozen=True, slots=True)
class LinkDown:
    """The link is no longer up, or could not be brought up.

    Attributes:
        failure: why; ``CANCELLED`` where this side disconnected.
        by_peer: whether the peer ended or refused it, as opposed to this side (its user, its timers).

    """

    failure: Failure
    by_peer: bool


@dataclass(frozen=True, slots=True)
class ApduReceived:
    """One whole APDU, reassembled and without the link's headers.

    Attributes:
        octets: the APDU.
        source: address of the peer that sent it.
        destination: address of this side that it was sent to.
        numbered: False for HDLC's unnumbered information (push), which needs no link.

    """

    octets: bytes
    source: int
    destination: int
    numbered: bool = True


@dataclass(frozen=True, slots=True)
class FrameDamaged:
    """Received octets that are not a frame of this link: counted, reported and skipped."""

    octets: bytes
    error: WireError


LinkEvent = LinkUp | LinkDown | ApduReceived | FrameDamaged


class LinkNotUpError(RuntimeError):
    """The caller wanted to send over a link that is not up: a local fault, not the peer's."""


@dataclass(slots=True)
class LinkCounts:
    """Counts of a link since it was made, for operators and tests."""

    octets_received: int = 0
    octets_sent: int = 0
    frames_received: int = 0
    frames_sent: int = 0
    frames_damaged: int = 0
    """Runs of octets that were no frame."""
    frames_ignored: int = 0
    """Well-formed frames for another address, or without sense in the present state."""
    frames_repeated: int = 0
    """Frames that this side had to send again."""
    octets_dropped: int = 0
    """Octets not sent because the peer does not read its answers (output bound)."""


class LinkCore(Generic[ConfigT]):
    """What every link has: its role, configuration, counts and events.

    Args:
        role: client or server.
        config: how the link is set up.

    """

    def __init__(self, role: Role, config: ConfigT) -> None:
        self._role = role
        self._config = config
        self._counts = LinkCounts()
        self._events: deque[LinkEvent] = deque()

    @property
    def role(self) -> Role:
        """Client (primary station) or server (secondary station)."""
        return self._role

    @property
    def config(self) -> ConfigT:
        """As given."""
        return self._config

    @property
    def counts(self) -> LinkCounts:
        """Counts since the link was made."""
        return self._counts

    def next_event(self) -> LinkEvent | None:
        """Return the next event in order and remove it, or None."""
        return self._events.popleft() if self._events else None

    def _note_damage(self, octets: bytes, error: WireError) -> None:
        """Count damage, and report it while the owner collects events."""
        self._counts.frames_damaged += 1
        if len(self._events) < EVENTS_MAX:
            self._events.append(FrameDamaged(octets, error))


class Link(Machine[LinkEvent], Protocol):
    """One link between this side and one peer; HDLC and wrapper are used alike."""

    @property
    def role(self) -> Role:
        """Client or server."""
        ...

    @property
    def is_up(self) -> bool:
        """Whether ``send`` may be called."""
        ...

    @property
    def is_over(self) -> bool:
        """Whether the link has ended for good, so that the medium below has nothing more to carry."""
        ...

    @property
    def counts(self) -> LinkCounts:
        """Counts since the link was made."""
        ...

    def connect(self, now: float) -> None:
        """Bring the link up; ``LinkUp`` or ``LinkDown`` follows. A server listens for its peer instead."""
        ...

    def disconnect(self, now: float) -> None:
        """Close the link in order; ``LinkDown`` follows. Without effect where the link is down already."""
        ...

    def send(self, apdu: bytes, now: float, *, answers: ApduReceived | None = None) -> None:
        """Send one APDU to the peer, or to the address of the peer that sent what it answers.

        Args:
            apdu: the APDU.
            now: UTC seconds.
            answers: what it answers; None sends to the address that was heard last.

        Raises:
            LinkNotUpError: the link is not up.
            ValueError: the APDU is longer than the configured bound, or too much waits to be sent already.

        """
        ...

    def send_unnumbered(self, apdu: bytes, now: float) -> None:
        """Send one APDU that waits for no link and no acknowledgement: push (HDLC: UI frames; wrapper: as ``send``).

        Raises:
            LinkNotUpError: the medium itself is not there (wrapper without connection).
            ValueError: as for ``send``.

        """
        ...

    def medium_lost(self, now: float) -> None:
        """Note that the medium below is gone (connection closed): ``LinkDown`` if it was up."""
        ...
