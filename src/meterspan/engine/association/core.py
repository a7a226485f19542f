"""The common part of client and server association: a link below, a state, one timer, events above.

Strategy: ``Association`` is the machine. It takes the link's events in order, hands each APDU to its role, moves by the
role's table, and sends without ever raising: where a counter or a row that a step needs cannot be stored, the
association ends with that failure. A role (``ClientAssociation``, ``ServerAssociation``) has its own table and handles
ACSE APDUs, service APDUs, unusable APDUs, the end of the link and the end of its timer.
"""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from enum import Enum
from typing import Generic, TypeVar

from meterspan.engine.association.agreement import Agreement
from meterspan.engine.association.records import ApduRefused, AssociationEvent, Notification
from meterspan.engine.association.states import AssociationState
from meterspan.engine.link import ApduReceived, FrameDamaged, Link, LinkDown, LinkEvent, LinkUp
from meterspan.engine.machine import EVENTS_MAX
from meterspan.engine.security import CounterExhaustedError
from meterspan.engine.timers import earliest, is_due
from meterspan.model.failures import Failure, FailureKind
from meterspan.model.storage.errors import StorageError
from meterspan.wire.acse import ACSE_TAGS, AcseApdu, read_acse
from meterspan.wire.errors import WireError

__all__ = ["CHALLENGE_OCTETS", "CLAUSE", "Association"]

CLAUSE = "IEC 62056-5-3, 6.2"
CHALLENGE_OCTETS = 16
"""Length of our challenges: 8 to 64 are legal; 16 cannot be guessed and every meter accepts them."""

MoveT = TypeVar("MoveT", bound=Enum)


class Association(ABC, Generic[MoveT]):
    """One association over one link, in either role; a ``Machine`` of ``AssociationEvent``.

    Args:
        link: carries the APDUs; the association owns it from here on.
        entropy: returns so many random octets.
        table: every legal move of the role.
        link_down: the role's move to idle.

    """

    def __init__(
        self,
        link: Link,
        entropy: Callable[[int], bytes],
        *,
        table: Mapping[tuple[AssociationState, MoveT], AssociationState],
        link_down: MoveT,
    ) -> None:
        self._table = table
        self._link_down = link_down
        self._link = link
        self._entropy = entropy
        self._state = AssociationState.IDLE
        self._events: deque[AssociationEvent] = deque()
        self._timer: float | None = None
        self._cause: Failure | None = None

    @property
    def state(self) -> AssociationState:
        """The state of the association."""
        return self._state

    @property
    def link(self) -> Link:
        """The link below."""
        return self._link

    @property
    @abstractmethod
    def agreement(self) -> Agreement | None:
        """The terms of the association while it is associated, None otherwise."""

    def medium_lost(self, now: float) -> None:
        """Note that the medium below is gone."""
        self._link.medium_lost(now)
        self._pump(now)

    def receive(self, octets: bytes, now: float) -> None:
        """Process octets from the medium, in any cut."""
        self._link.receive(octets, now)
        self._pump(now)

    def advance(self, now: float) -> None:
        """Let time pass."""
        self._link.advance(now)
        self._pump(now)
        if is_due(self._timer, now):
            self._timer = None
            self._attempt(self._time_out, now)
            self._pump(now)

    def deadline(self) -> float | None:
        """When ``advance`` must be called next, or None."""
        return earliest(self._link.deadline(), self._timer)

    def octets_to_send(self) -> bytes:
        """Return all octets that are ready for the medium, and remove them."""
        return self._link.octets_to_send()

    def next_event(self) -> AssociationEvent | None:
        """Return the next event in order and remove it, or None."""
        return self._events.popleft() if self._events else None

    # Decisions of a role.

    @abstractmethod
    def _link_came_up(self, event: LinkUp, now: float) -> None:
        """Begin where ``LinkUp`` is legal, and do nothing elsewhere."""

    @abstractmethod
    def _link_went_down(self, event: LinkDown) -> None:
        """End everything that the association had under way; it is idle already."""

    @abstractmethod
    def _take_acse(self, apdu: AcseApdu, event: ApduReceived, now: float) -> None:
        """Process an ACSE APDU; raises ``WireError`` where it is malformed or not allowed in this state."""

    @abstractmethod
    def _take_service(self, event: ApduReceived, now: float) -> None:
        """Process any other APDU; raises ``WireError`` where it is malformed or not allowed in this state."""

    @abstractmethod
    def _refuse_apdu(self, event: ApduReceived, error: WireError, now: float) -> None:
        """Answer or fail the request that an unusable APDU was meant for; ``ApduRefused`` is already emitted."""

    @abstractmethod
    def _time_out(self, now: float) -> None:
        """Handle the end of the timer."""

    # Common to both roles.

    def _pump(self, now: float) -> None:
        """Process the link's events until none is left."""
        while (event := self._link.next_event()) is not None:
            try:
                self._take(event, now)
            except (StorageError, CounterExhaustedError) as error:
                self._give_up(_failure_of(error), now)

    def _take(self, event: LinkEvent, now: float) -> None:
        match event:
            case LinkUp():
                self._link_came_up(event, now)
            case LinkDown():
                self._take_link_down(event)
            case ApduReceived():
                self._take_apdu(event, now)
            case FrameDamaged():
                self._emit(ApduRefused(event.octets, event.error))

    def _attempt(self, step: Callable[[float], None], now: float) -> None:
        """Carry a step out; where its counter or row cannot be stored, end the association: nothing is sent."""
        try:
            step(now)
        except (StorageError, CounterExhaustedError) as error:
            self._give_up(_failure_of(error), now)

    def _give_up(self, failure: Failure, now: float) -> None:
        """End the association and the link, for a failure on this side."""
        self._cause, self._timer = failure, None
        was_up = self._link.is_up
        self._link.disconnect(now)
        if not was_up:
            self._take_link_down(LinkDown(failure, by_peer=False))

    def _take_link_down(self, event: LinkDown) -> None:
        if self._state is AssociationState.IDLE:
            self._cause = None
            return
        self._move(self._link_down)
        self._timer = None
        cause, self._cause = self._cause or event.failure, None
        self._link_went_down(replace(event, failure=cause))

    def _take_apdu(self, event: ApduReceived, now: float) -> None:
        try:
            if event.octets[:1] and event.octets[0] in ACSE_TAGS:
                self._take_acse(read_acse(event.octets), event, now)
            else:
                self._take_service(event, now)
        except WireError as error:
            self._emit(ApduRefused(event.octets, error))
            self._refuse_apdu(event, error, now)

    def _send(self, octets: bytes, now: float, *, answers: ApduReceived | None = None) -> None:
        """Send an APDU. Where the link is down already, its ``LinkDown`` is waiting and ends the request under way.

        Args:
            octets: the APDU.
            now: UTC seconds.
            answers: what it answers, where one link carries more than one association.

        """
        if not self._link.is_up:
            return
        try:
            self._link.send(octets, now, answers=answers)
        except ValueError as error:  # longer than the link carries, or the peer takes nothing and its bound is reached
            self._cause = Failure(FailureKind.UNSUPPORTED, f"the link cannot send: {error}")
            self._link.disconnect(now)

    def _may(self, move: MoveT) -> bool:
        """Whether a move is legal now."""
        return (self._state, move) in self._table

    def _move(self, move: MoveT) -> None:
        self._state = self._table[self._state, move]

    def _emit(self, event: AssociationEvent) -> None:
        if len(self._events) >= EVENTS_MAX:
            if isinstance(event, ApduRefused | Notification):
                return
            self._events.popleft()
        self._events.append(event)


def _failure_of(error: StorageError | CounterExhaustedError) -> Failure:
    if isinstance(error, StorageError):
        return Failure.of_storage(error)
    return error.failure
