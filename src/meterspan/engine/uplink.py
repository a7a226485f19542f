"""The push side of a meter or access point: rows out of an outbox, one confirmed notification at a time (G1).

Strategy: one DataNotification is in flight; its confirmation empties the outbox up to there and the next one goes out.
No confirmation within the time-out means sending the same rows again with a new counter; a lost connection means
waiting, longer each time, before the owner is asked for another. Rows are never dropped here.
"""

from collections import deque
from dataclasses import dataclass
from typing import Final, Protocol

from meterspan.engine.link import ApduReceived, LinkDown, LinkUp, Role
from meterspan.engine.security import SecurityContext
from meterspan.engine.wrapper_link import WrapperConfig, WrapperLink
from meterspan.quantities import Obis
from meterspan.wire.axdr import Data, integer, long_unsigned, octet_string, structure
from meterspan.wire.errors import WireError
from meterspan.wire.xdlms import (
    DataNotification,
    DataNotificationConfirm,
    LongInvokeIdAndPriority,
    read_apdu,
    write_apdu,
)

__all__ = ["Push", "PushRows", "RowsConfirmed", "Uplink", "UplinkEvent", "WantsConnection", "pushed_item"]

CONFIRM_TIMEOUT_S: Final = 30.0
RETRY_FIRST_S: Final = 5.0
RETRY_MAX_S: Final = 600.0
LOGICAL_DEVICE_PORT: Final = 1
_INVOKE_IDS = 1 << 24


@dataclass(frozen=True, slots=True)
class Push:
    """Rows to push upstream: the outbox number they reach up to, and the notification's body."""

    through: int
    body: Data


class PushRows(Protocol):
    """Who has rows to push."""

    def next_push(self) -> Push | None:
        """Give the oldest rows that no head end has confirmed, or None."""
        ...

    def pushed(self, through: int) -> None:
        """Note that the head end has confirmed everything up to ``through``."""
        ...


@dataclass(frozen=True, slots=True)
class WantsConnection:
    """There are rows to push and no connection: the owner makes one and calls ``connect``, or ``medium_lost``."""


@dataclass(frozen=True, slots=True)
class RowsConfirmed:
    """The head end has everything up to this outbox number."""

    through: int


UplinkEvent = WantsConnection | RowsConfirmed


class Uplink:
    """Pushes rows; a ``Machine`` of ``UplinkEvent``.

    Args:
        rows: whose outbox is emptied.
        security: the context towards the head end.

    """

    def __init__(self, rows: PushRows, security: SecurityContext) -> None:
        self._rows = rows
        self._security = security
        self._link = WrapperLink(
            Role.CLIENT, WrapperConfig(LOGICAL_DEVICE_PORT, LOGICAL_DEVICE_PORT, inactivity_timeout_s=None)
        )
        self._events: deque[UplinkEvent] = deque()
        self._in_flight: tuple[int, Push] | None = None
        self._confirm_by: float | None = None
        self._retry_at = 0.0
        self._failures = 0
        self._asked = False
        self._invoke_id = 0

    @property
    def is_up(self) -> bool:
        """Whether there is a connection."""
        return self._link.is_up

    def wake(self, now: float) -> None:
        """Note that there may be new rows."""
        self._go_on(now)

    def connect(self, now: float) -> None:
        """Take the connection that the owner has made."""
        self._asked = False
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
        """Take octets in any cut."""
        self._link.receive(octets, now)
        self._take_link_events(now)
        self._go_on(now)

    def advance(self, now: float) -> None:
        """Let time pass."""
        self._link.advance(now)
        self._take_link_events(now)
        if self._confirm_by is not None and now >= self._confirm_by:
            self._in_flight = self._confirm_by = None
        self._go_on(now)

    def deadline(self) -> float | None:
        """When ``advance`` must be called next, or None."""
        waits_for_retry = not self._link.is_up and not self._asked and self._rows.next_push() is not None
        times = (self._link.deadline(), self._confirm_by, self._retry_at if waits_for_retry else None)
        return min((time for time in times if time is not None), default=None)

    def octets_to_send(self) -> bytes:
        """Take all octets that are ready for the connection."""
        return self._link.octets_to_send()

    def next_event(self) -> UplinkEvent | None:
        """Take the next event, or None."""
        return self._events.popleft() if self._events else None

    def _go_on(self, now: float) -> None:
        if self._in_flight is not None:
            return
        push = self._rows.next_push()
        if push is None:
            return
        if not self._link.is_up:
            if not self._asked and now >= self._retry_at:
                self._asked = True
                self._events.append(WantsConnection())
            return
        self._invoke_id = (self._invoke_id + 1) % _INVOKE_IDS
        invoke = LongInvokeIdAndPriority(self._invoke_id, confirmed=True)
        plain = write_apdu(DataNotification(invoke, push.body))
        self._link.send(self._security.protect(plain, general=True), now)
        self._in_flight = (self._invoke_id, push)
        self._confirm_by = now + CONFIRM_TIMEOUT_S

    def _take_link_events(self, now: float) -> None:
        while (event := self._link.next_event()) is not None:
            match event:
                case ApduReceived():
                    self._take_confirmation(event.octets)
                case LinkDown():
                    self._fail(now)
                case LinkUp():
                    pass
                case _:
                    self._in_flight = self._confirm_by = None

    def _take_confirmation(self, octets: bytes) -> None:
        """Take a confirmation; anything else, or one that is not for what is in flight, changes nothing."""
        try:
            confirm = read_apdu(self._security.unprotect(octets).octets)
        except WireError:
            return  # the time-out sends the rows again; the head end recognises what it has
        if self._in_flight is None or not isinstance(confirm, DataNotificationConfirm):
            return
        invoke_id, push = self._in_flight
        if confirm.invoke.invoke_id == invoke_id:
            self._rows.pushed(push.through)
            self._in_flight = self._confirm_by = None
            self._failures = 0
            self._events.append(RowsConfirmed(push.through))

    def _fail(self, now: float) -> None:
        self._in_flight = self._confirm_by = None
        self._asked = False
        self._retry_at = now + min(RETRY_FIRST_S * 2**self._failures, RETRY_MAX_S)
        self._failures = min(self._failures + 1, 16)


def pushed_item(class_id: int, logical_name: Obis, attribute: int, value: Data) -> Data:
    """Write one pushed value so that it says itself what it is; a body is an array of these."""
    return structure(long_unsigned(class_id), octet_string(logical_name), integer(attribute), value)
