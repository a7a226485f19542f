"""The push side of a meter or access point: notifications out of an outbox, one at a time (G1).

Strategy: one DataNotification is in flight; its confirmation empties the outbox up to there and the next one is sent.
A head end that has seen higher counters says so under our key, and the rows are sent again above them. Without a
confirmation within the time-out they are sent again with a new counter; after a lost connection the uplink waits,
longer each time, before it asks its owner for another. Rows are never dropped here, unless the owner says that nobody
confirms; events (EventNotificationRequest) have no confirmation in the standard. The outbox is read only after
``wake``, ``connect`` or a confirmation: ``deadline`` and idle timers do not touch the disk.
"""

from collections import deque
from dataclasses import dataclass
from typing import Final, Protocol

from meterspan.engine.link import ApduReceived, FrameDamaged, Link, LinkDown, LinkNotUpError, LinkUp
from meterspan.engine.machine import WantsConnection
from meterspan.engine.push import INVOKE_IDS
from meterspan.engine.security import CounterExhaustedError, SecurityContext
from meterspan.model.failures import Failure, FailureKind
from meterspan.model.storage.errors import StorageError
from meterspan.wire.axdr import Data
from meterspan.wire.errors import WireError
from meterspan.wire.xdlms import (
    DataNotification,
    DataNotificationConfirm,
    EventNotificationRequest,
    ExceptionResponse,
    LongInvokeIdAndPriority,
    read_apdu,
    write_apdu,
)

__all__ = ["Push", "PushRows", "RowsConfirmed", "Uplink", "UplinkEvent", "UplinkFailed"]

CONFIRM_TIMEOUT_S: Final = 30.0
RETRY_FIRST_S: Final = 5.0
RETRY_MAX_S: Final = 600.0
SENT_AT_ONCE_MAX: Final = 64
"""Notifications that nobody confirms, sent in one go; the next ones follow when the time is looked at again."""
RETRIES_MAX: Final = 255
"""Tries after the first, at a growing pause up to ``RETRY_MAX_S``: a day and a half; then the next ``wake`` counts."""
_DOUBLINGS_MAX: Final = 16
"""By then ``RETRY_MAX_S`` is long reached."""


@dataclass(frozen=True, slots=True)
class Push:
    """What to push upstream.

    Attributes:
        through: the outbox number of its last item.
        body: of a DataNotification, or an event that is sent as it is.

    """

    through: int
    body: Data | EventNotificationRequest


class PushRows(Protocol):
    """An outbox of rows to push."""

    def next_push(self) -> Push | None:
        """Return the oldest rows that no head end has confirmed, or None.

        Raises:
            StorageError: the outbox cannot be read now.

        """
        ...

    def pushed(self, through: int) -> None:
        """Remove the rows up to number ``through``: the head end has confirmed them.

        Raises:
            StorageError: the outbox cannot be written now.

        """
        ...


@dataclass(frozen=True, slots=True)
class RowsConfirmed:
    """The head end has everything up to this outbox number."""

    through: int


@dataclass(frozen=True, slots=True)
class UplinkFailed:
    """Rows could not be read, sent or removed now; the uplink tries again by itself."""

    failure: Failure


UplinkEvent = WantsConnection | RowsConfirmed | UplinkFailed


class Uplink:
    """Pushes rows; a ``Machine`` of ``UplinkEvent``.

    Args:
        rows: the outbox.
        security: the context towards the head end.
        link: carries the APDUs (``Transport.push_sender``); it is connected again after each loss.
        is_confirmed: the receiver confirms; otherwise what was sent has left the outbox, as with many receivers.

    """

    def __init__(self, rows: PushRows, security: SecurityContext, link: Link, *, is_confirmed: bool = True) -> None:
        self.is_confirmed = is_confirmed
        """Whether the receiver confirms."""
        self._rows = rows
        self._security = security
        self._link = link
        self._events: deque[UplinkEvent] = deque()
        self._may_have_rows = True
        """Whether the outbox may hold rows that are not in ``_push``; only then is it read."""
        self._push: Push | None = None
        """The oldest rows, kept until they are confirmed."""
        self._invoke_id = 0
        self._in_flight = False
        self._has_caught_up = False
        """Whether our counter was raised since the last confirmation."""
        self._confirm_by: float | None = None
        self._has_medium = False
        self._asked = False
        self._retry_at = 0.0
        self._failures = 0

    @property
    def has_medium(self) -> bool:
        """Whether a connection is in use; False once the uplink has given it up: close it."""
        return self._has_medium

    def wake(self, now: float) -> None:
        """Note that there may be new rows."""
        self._may_have_rows = True
        if self._has_given_up:
            self._failures = 0
        self._go_on(now)

    def connect(self, now: float) -> None:
        """Use the connection that the owner has made."""
        self._asked = False
        self._has_medium = True
        self._retry_at = now
        self._link.connect(now)
        self._take_link_events(now)
        self._go_on(now)

    def medium_lost(self, now: float) -> None:
        """Note that the connection is gone, or could not be made."""
        self._link.medium_lost(now)
        while self._link.next_event() is not None:
            pass
        self._fail(now)

    def receive(self, octets: bytes, now: float) -> None:
        """Process octets in any cut."""
        self._link.receive(octets, now)
        self._take_link_events(now)
        self._go_on(now)

    def advance(self, now: float) -> None:
        """Let time pass."""
        self._link.advance(now)
        self._take_link_events(now)
        if self._confirm_by is not None and now >= self._confirm_by:
            self._unsend()
            self._failures += 1
        self._go_on(now)

    def deadline(self) -> float | None:
        """When ``advance`` must be called next, or None."""
        times = (self._link.deadline(), self._confirm_by, self._next_try())
        return min((time for time in times if time is not None), default=None)

    def octets_to_send(self) -> bytes:
        """Return all octets that are ready for the connection."""
        return self._link.octets_to_send()

    def next_event(self) -> UplinkEvent | None:
        """Return the next event, or None."""
        return self._events.popleft() if self._events else None

    @property
    def _has_given_up(self) -> bool:
        return self._failures > RETRIES_MAX

    def _next_try(self) -> float | None:
        is_idle = (self._push is None and not self._may_have_rows) or self._has_given_up
        if is_idle or self._asked or self._in_flight:
            return None
        return self._retry_at

    def _go_on(self, now: float) -> None:
        for _ in range(SENT_AT_ONCE_MAX):
            if self._in_flight or self._has_given_up or now < self._retry_at or not self._load(now):
                return
            if not self._has_medium:
                self._ask()
                return
            self._send(now)

    def _ask(self) -> None:
        if not self._asked:
            self._asked = True
            self._events.append(WantsConnection())

    def _load(self, now: float) -> bool:
        """Read the oldest rows where they are not known; False where there are none to push now."""
        if self._push is None and self._may_have_rows:
            try:
                self._push = self._rows.next_push()
            except StorageError as error:
                self._report(Failure.of_storage(error), now)
                return False
            self._may_have_rows = self._push is not None
        return self._push is not None

    def _send(self, now: float) -> None:
        if self._push is None:
            return
        try:
            sealed = self._security.protect(write_apdu(self._notification(self._push.body)), general=True)
            self._link.send_unnumbered(sealed, now)
        except StorageError as error:
            self._report(Failure.of_storage(error), now)
        except CounterExhaustedError as error:
            self._report(error.failure, now)
        except (LinkNotUpError, ValueError) as error:
            self._report(Failure(FailureKind.INTERNAL, str(error)), now)
        else:
            self._sent(self._push, now)

    def _notification(self, body: Data | EventNotificationRequest) -> DataNotification | EventNotificationRequest:
        if isinstance(body, EventNotificationRequest):
            return body
        self._invoke_id = (self._invoke_id + 1) % INVOKE_IDS
        return DataNotification(LongInvokeIdAndPriority(self._invoke_id, confirmed=self.is_confirmed), body)

    def _sent(self, push: Push, now: float) -> None:
        if not self.is_confirmed or isinstance(push.body, EventNotificationRequest):
            self._confirmed(push.through, now)
            return
        self._in_flight = True
        self._confirm_by = now + CONFIRM_TIMEOUT_S

    def _take_link_events(self, now: float) -> None:
        while (event := self._link.next_event()) is not None:
            match event:
                case ApduReceived():
                    self._take_confirmation(event.octets, now)
                case LinkDown():
                    self._fail(now)
                case LinkUp():
                    pass
                case FrameDamaged():
                    self._unsend()

    def _take_confirmation(self, octets: bytes, now: float) -> None:
        """Process a confirmation; anything else, or one for another notification, changes nothing."""
        try:
            confirm = read_apdu(self._security.unprotect(octets).octets)
        except WireError:
            return  # the time-out sends the rows again; the head end recognises what it has
        except StorageError as error:
            self._report(Failure.of_storage(error), now)
            return
        if isinstance(confirm, ExceptionResponse) and confirm.invocation_counter is not None:
            self._catch_up(confirm.invocation_counter, now)
            return
        if not self._in_flight or self._push is None or not isinstance(confirm, DataNotificationConfirm):
            return
        if confirm.invoke.invoke_id == self._invoke_id:
            self._confirmed(self._push.through, now)

    def _catch_up(self, counter: int, now: float) -> None:
        """Send the rows again above the counter that the head end expects; it has said so under our key.

        The second time in a row waits: it did not help.
        """
        if not self._in_flight:
            return
        try:
            self._security.raise_counter(counter)
        except StorageError as error:
            self._report(Failure.of_storage(error), now)
        except CounterExhaustedError as error:
            self._report(error.failure, now)
        else:
            self._unsend()
            self._retry_at = now + RETRY_FIRST_S if self._has_caught_up else now
            self._has_caught_up = True

    def _confirmed(self, through: int, now: float) -> None:
        self._unsend()
        try:
            self._rows.pushed(through)
        except StorageError as error:
            self._report(Failure.of_storage(error), now)
            return  # they are sent again; the head end recognises them
        self._push = None
        self._may_have_rows = True
        self._failures = 0
        self._has_caught_up = False
        self._events.append(RowsConfirmed(through))

    def _unsend(self) -> None:
        self._in_flight = False
        self._confirm_by = None

    def _report(self, failure: Failure, now: float) -> None:
        self._unsend()
        self._retry_at = now + RETRY_FIRST_S
        self._events.append(UplinkFailed(failure))

    def _fail(self, now: float) -> None:
        self._unsend()
        self._asked = self._has_medium = False
        self._retry_at = now + min(RETRY_FIRST_S * 2 ** min(self._failures, _DOUBLINGS_MAX), RETRY_MAX_S)
        self._failures += 1
