"""Push (IEC 62056-6-2, 4.4.8; DataNotification, IEC 62056-5-3, 6.12): the sink that opens and reads notifications.

Strategy: a notification is ciphered by general-glo, so that the sink finds the keys by the system title in the clear.
The sink opens it, refuses replays, and reads the body into ``PushValue``s (``engine.push_body``).
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from meterspan.engine.link import ApduReceived, FrameDamaged, Link, LinkDown, LinkUp
from meterspan.engine.push_body import PushValue, read_body
from meterspan.engine.security import SecurityContext, is_ciphered
from meterspan.model.failures import Failure
from meterspan.model.storage.errors import StorageError
from meterspan.quantities import ClockTime
from meterspan.wire.errors import KeyMissingError, SecurityError, WireError
from meterspan.wire.xdlms import (
    ApduTag,
    CaptureObjectDefinition,
    DataNotification,
    EventNotificationRequest,
    GeneralCipheredApdu,
    LongInvokeIdAndPriority,
    apdu_name,
    read_apdu,
)

__all__ = [
    "PushEvent",
    "PushReceived",
    "PushRefused",
    "PushSink",
    "PushUnstored",
    "SecurityOf",
    "open_push",
]

CLAUSE = "IEC 62056-6-2, 4.4.8"
EVENTS_MAX = 65_536
"""Pushes that may wait to be taken, the oldest going first: some minutes of a large network."""
INVOKE_IDS = 1 << 24
"""Values of a long invoke-id (IEC 62056-5-3, 6.11)."""


@dataclass(frozen=True, slots=True)
class PushReceived:
    """A notification, opened and matched.

    Attributes:
        octets: the APDU as it was received.
        sender: the meter's system title; b"" for a notification in the clear.
        source: the peer's address on the link.
        invoke: its number and whether it must be confirmed; None for an event notification.
        time: by the meter's clock, None where the notification has none.
        values: the pushed values, in order.
        objects: the push object list that the body brought; empty where it brought none.

    """

    octets: bytes
    sender: bytes
    source: int
    invoke: LongInvokeIdAndPriority | None
    time: ClockTime | None
    values: tuple[PushValue, ...]
    objects: tuple[CaptureObjectDefinition, ...] = ()

    @property
    def is_event(self) -> bool:
        """Whether it is an EventNotificationRequest."""
        return self.invoke is None


@dataclass(frozen=True, slots=True)
class PushRefused:
    """Octets that are not a valid notification: for quarantine, with the reason.

    Attributes:
        octets: as they were received.
        error: the reason: damaged, replayed, key missing or wrong.
        sender: the system title in the clear, not authenticated; b"" where there is none.

    """

    octets: bytes
    error: WireError
    sender: bytes = b""


@dataclass(frozen=True, slots=True)
class PushUnstored:
    """A notification whose counter cannot be stored now, and which is not accepted: its sender sends it again."""

    octets: bytes
    failure: Failure


PushEvent = PushReceived | PushRefused | PushUnstored


SecurityOf = Callable[[bytes], SecurityContext | None]
"""Returns the security context of a system title, None for an unknown one; raises ``WireError`` for lack of keys."""
ObjectsOf = Callable[[bytes], Sequence[Sequence[CaptureObjectDefinition]]]
"""Returns the push object lists known for a system title."""


class PushSink:
    """Receives notifications over a link; a ``Machine`` of ``PushEvent``.

    Args:
        link: carries the APDUs; None where the owner passes bare APDUs.
        security_of: the context of a system title.
        objects_of: the push object lists known for a system title (b"" for notifications in the clear).
        insecure_accept_plain: whether notifications without protection are accepted now; anyone can forge those.

    """

    def __init__(
        self,
        link: Link | None = None,
        *,
        security_of: SecurityOf,
        objects_of: ObjectsOf | None = None,
        insecure_accept_plain: Callable[[], bool] = lambda: False,
    ) -> None:
        self._link = link
        self._security_of = security_of
        self._objects_of = objects_of
        self._accepts_plain = insecure_accept_plain
        self._events: deque[PushEvent] = deque(maxlen=EVENTS_MAX)

    def receive(self, octets: bytes, now: float) -> None:
        """Process octets from the medium, in any cut; without a link, one whole APDU."""
        if self._link is None:
            self.take(octets)
            return
        self._link.receive(octets, now)
        self._pump()

    def medium_lost(self, now: float) -> None:
        """Note that the medium below is gone."""
        if self._link is not None:
            self._link.medium_lost(now)
            self._pump()

    def advance(self, now: float) -> None:
        """Let time pass."""
        if self._link is not None:
            self._link.advance(now)
            self._pump()

    def deadline(self) -> float | None:
        """When ``advance`` must be called next, or None."""
        return None if self._link is None else self._link.deadline()

    def octets_to_send(self) -> bytes:
        """Return all octets that are ready for the medium (the sink sends nothing itself; its link may)."""
        return b"" if self._link is None else self._link.octets_to_send()

    def next_event(self) -> PushEvent | None:
        """Return the next event in order, or None."""
        return self._events.popleft() if self._events else None

    def take(self, octets: bytes, *, source: int = 0) -> None:
        """Process one bare APDU."""
        try:
            opened = open_push(
                octets,
                self._security_of,
                source=source,
                objects_of=self._objects_of,
                insecure_accept_plain=self._accepts_plain(),
            )
            self._events.append(opened)
        except StorageError as error:
            self._events.append(PushUnstored(octets, Failure.of_storage(error)))
        except WireError as error:
            self._events.append(PushRefused(octets, error, _claimed_title(octets)))

    def _pump(self) -> None:
        if self._link is None:
            return
        while (event := self._link.next_event()) is not None:
            match event:
                case ApduReceived():
                    self.take(event.octets, source=event.source)
                case FrameDamaged():
                    self._events.append(PushRefused(event.octets, event.error))
                case LinkUp() | LinkDown():
                    pass


def open_push(
    octets: bytes,
    security_of: SecurityOf,
    *,
    source: int = 0,
    objects_of: ObjectsOf | None = None,
    insecure_accept_plain: bool = False,
) -> PushReceived:
    """Decipher a notification, refuse a replay, and match its values to what they are of.

    Args:
        octets: one APDU as it was received.
        security_of: the context of a system title.
        source: the peer's address on the link.
        objects_of: the push object lists known for a system title.
        insecure_accept_plain: also accept a notification without protection.

    Raises:
        WireError: it is unreadable, unprotected, of an unknown device, replayed, or under another key.

    """
    sender = _sender_of(octets)
    apdu = read_apdu(_plain(octets, sender, security_of, accepts_plain=insecure_accept_plain))
    if isinstance(apdu, DataNotification):
        body = read_body(apdu.body, () if objects_of is None else objects_of(sender))
        return PushReceived(octets, sender, source, apdu.invoke, apdu.time, body.values, body.objects)
    if isinstance(apdu, EventNotificationRequest):
        attribute = apdu.attribute
        definition = CaptureObjectDefinition(attribute.class_id, attribute.instance, attribute.attribute)
        return PushReceived(octets, sender, source, None, apdu.time, (PushValue(definition, apdu.value),))
    raise WireError(f"{apdu_name(apdu)} is not a notification", 0, "apdu", CLAUSE)


def _plain(octets: bytes, sender: bytes, security_of: SecurityOf, *, accepts_plain: bool) -> bytes:
    if not is_ciphered(octets):
        if not accepts_plain:
            raise SecurityError("a push without protection", 0, "apdu", CLAUSE)
        return octets
    security = security_of(sender)
    if security is None:
        raise KeyMissingError(f"no keys for {sender.hex() or 'a sender without title'}", None, "system-title", CLAUSE)
    return security.unprotect(octets).octets


def _sender_of(octets: bytes) -> bytes:
    """Return the system title in the clear of a general-ciphering APDU, not authenticated yet."""
    if octets[:1] not in _GENERAL_CIPHERING:
        return b""
    apdu = read_apdu(octets)
    return apdu.system_title if isinstance(apdu, GeneralCipheredApdu) else b""


def _claimed_title(octets: bytes) -> bytes:
    try:
        return _sender_of(octets)
    except WireError:
        return b""


_GENERAL_CIPHERING = frozenset({bytes((ApduTag.GENERAL_GLO_CIPHERING,)), bytes((ApduTag.GENERAL_DED_CIPHERING,))})
