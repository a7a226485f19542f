"""Push, both roles (IEC 62056-6-2, 4.4.8; DataNotification, IEC 62056-5-3, 6.12): from objects to octets and back.

Strategy: a source reads its push object list off the device and ciphers the notification by general-glo, so that the
sink finds the keys by the system title in the clear. The sink opens it, refuses replays, and matches the values to the
object list: the one in the body where the meter sends it along, else the one known for the meter.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from meterspan.engine.link import ApduReceived, FrameDamaged, Link, LinkDown, LinkUp
from meterspan.engine.security import SecurityContext, is_ciphered
from meterspan.model.cosem.device import LogicalDevice
from meterspan.model.cosem.objects import AccessRefusedError
from meterspan.model.cosem.profile import read_capture_objects
from meterspan.quantities import ClockTime
from meterspan.wire.axdr import Data, DataType, null, structure
from meterspan.wire.errors import KeyMissingError, SecurityError, WireError
from meterspan.wire.xdlms import (
    ApduTag,
    CaptureObjectDefinition,
    DataNotification,
    EventNotificationRequest,
    GeneralCipheredApdu,
    LongInvokeIdAndPriority,
    read_apdu,
    write_apdu,
)

__all__ = [
    "PushEvent",
    "PushReceived",
    "PushRefused",
    "PushSink",
    "PushSource",
    "PushValue",
    "match_push",
]

CLAUSE = "IEC 62056-6-2, 4.4.8"
EVENTS_MAX = 65_536
"""Pushes that may wait to be taken, the oldest going first: some minutes of a large network."""
INVOKE_IDS = 1 << 24


class PushSource:
    """Builds the notifications of one push setup.

    Args:
        device: whose attributes are pushed.
        security: ciphers them; None pushes in the clear.

    """

    def __init__(self, device: LogicalDevice, *, security: SecurityContext | None = None) -> None:
        self._device = device
        self._security = security
        self._last_invoke_id = 0

    def notification(
        self, objects: Sequence[CaptureObjectDefinition], now: float, *, time: ClockTime | None = None
    ) -> bytes:
        """Build one notification's octets, for ``Link.send_unnumbered``.

        Args:
            objects: the push object list; what cannot be read is pushed as null-data.
            now: UTC seconds.
            time: by the meter's clock, where it is to be told.

        """
        self._last_invoke_id = (self._last_invoke_id + 1) % INVOKE_IDS
        body = structure(*(self._value(item, now) for item in objects))
        plain = write_apdu(DataNotification(LongInvokeIdAndPriority(self._last_invoke_id), body, time))
        return plain if self._security is None else self._security.protect(plain, general=True)

    def _value(self, item: CaptureObjectDefinition, now: float) -> Data:
        found = self._device.find(item.class_id, item.instance)
        if found is None:
            return null()
        try:
            value = found.read(item.attribute, now)
        except AccessRefusedError:
            return null()
        if item.data_index == 0:
            return value
        return (
            value.items[item.data_index - 1] if value.is_composite and item.data_index <= len(value.items) else null()
        )


@dataclass(frozen=True, slots=True)
class PushValue:
    """One pushed value, and what it is of; ``definition`` is None where nothing tells."""

    definition: CaptureObjectDefinition | None
    value: Data


@dataclass(frozen=True, slots=True)
class PushReceived:
    """A notification, opened and matched.

    Attributes:
        sender: the meter's system title; b"" where it came in the clear.
        source: the address that the link gives it.
        invoke_id: its number; None for an event notification.
        time: by the meter's clock, None where it says nothing.
        values: what was pushed, in order.

    """

    sender: bytes
    source: int
    invoke_id: int | None
    time: ClockTime | None
    values: tuple[PushValue, ...]


@dataclass(frozen=True, slots=True)
class PushRefused:
    """Octets that are no notification to be acted upon: for quarantine, with the reason.

    Attributes:
        octets: as they came.
        error: what is wrong: damaged, replayed, key missing or wrong.
        sender: the system title it claims; b"" where it claims none.

    """

    octets: bytes
    error: WireError
    sender: bytes = b""


PushEvent = PushReceived | PushRefused


class PushSink:
    """Receives notifications over a link, or bare by ``take``; a ``Machine`` of ``PushEvent``.

    Args:
        link: what carries the APDUs; None where the owner hands bare APDUs in.
        security_of: gives the context kept for a system title, None where the meter is unknown.
        objects_of: gives the push object lists known for a system title (b"" for what comes in the clear).
        insecure_accept_plain: also take notifications without protection; anyone can forge those.

    """

    def __init__(
        self,
        link: Link | None = None,
        *,
        security_of: Callable[[bytes], SecurityContext | None],
        objects_of: Callable[[bytes], Sequence[Sequence[CaptureObjectDefinition]]] | None = None,
        insecure_accept_plain: bool = False,
    ) -> None:
        self._link = link
        self._security_of = security_of
        self._objects_of = objects_of
        self._accepts_plain = insecure_accept_plain
        self._events: deque[PushEvent] = deque(maxlen=EVENTS_MAX)

    def receive(self, octets: bytes, now: float) -> None:
        """Take octets from the medium, in any cut; without a link, one whole APDU."""
        if self._link is None:
            self.take(octets)
            return
        self._link.receive(octets, now)
        self._pump()

    def medium_lost(self, now: float) -> None:
        """Tell that the medium below is gone."""
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
        """Take all octets that are ready for the medium (a push is not answered; the link may)."""
        return b"" if self._link is None else self._link.octets_to_send()

    def next_event(self) -> PushEvent | None:
        """Take the next event in order, or None."""
        return self._events.popleft() if self._events else None

    def take(self, octets: bytes, *, source: int = 0) -> None:
        """Take one bare APDU."""
        sender = b""
        try:
            sender = _sender_of(octets)
            self._events.append(self._open(octets, sender, source))
        except WireError as error:
            self._events.append(PushRefused(octets, error, sender))

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

    def _open(self, octets: bytes, sender: bytes, source: int) -> PushReceived:
        apdu = read_apdu(self._plain(octets, sender))
        if isinstance(apdu, DataNotification):
            values = match_push(apdu.body, self._lists(sender))
            return PushReceived(sender, source, apdu.invoke.invoke_id, apdu.time, values)
        if isinstance(apdu, EventNotificationRequest):
            attribute = apdu.attribute
            definition = CaptureObjectDefinition(attribute.class_id, attribute.instance, attribute.attribute)
            return PushReceived(sender, source, None, apdu.time, (PushValue(definition, apdu.value),))
        raise WireError(f"{type(apdu).__name__} is no notification", 0, "apdu", CLAUSE)

    def _plain(self, octets: bytes, sender: bytes) -> bytes:
        if not is_ciphered(octets):
            if not self._accepts_plain:
                raise SecurityError("came without protection", 0, "apdu", CLAUSE)
            return octets
        security = self._security_of(sender)
        if security is None:
            raise KeyMissingError(
                f"no keys for {sender.hex() or 'a sender without title'}", None, "system-title", CLAUSE
            )
        return security.unprotect(octets).octets

    def _lists(self, sender: bytes) -> Sequence[Sequence[CaptureObjectDefinition]]:
        return () if self._objects_of is None else self._objects_of(sender)


def match_push(body: Data, lists: Sequence[Sequence[CaptureObjectDefinition]] = ()) -> tuple[PushValue, ...]:
    """Match a notification's body to what it is of.

    Args:
        body: as a rule a structure of one element per push object.
        lists: known push object lists; the first of the right length is taken, where the body brings none itself.

    """
    if body.type is not DataType.STRUCTURE:
        return (PushValue(None, body),)
    own = next((found for found in map(_object_list, body.items) if len(found) == len(body.items)), None)
    known = own or next((listed for listed in lists if len(listed) == len(body.items)), None)
    if known is None:
        return tuple(PushValue(None, item) for item in body.items)
    return tuple(PushValue(definition, item) for definition, item in zip(known, body.items, strict=True))


def _object_list(data: Data) -> Sequence[CaptureObjectDefinition]:
    """Read a push object list that the body brings along; empty where this is none."""
    if data.type is not DataType.ARRAY:
        return ()
    try:
        return read_capture_objects(data)
    except WireError:
        return ()  # another array, a value of its own


def _sender_of(octets: bytes) -> bytes:
    """Give the system title that a general-ciphering APDU claims."""
    if octets[:1] not in (bytes((ApduTag.GENERAL_GLO_CIPHERING,)), bytes((ApduTag.GENERAL_DED_CIPHERING,))):
        return b""
    apdu = read_apdu(octets)
    return apdu.system_title if isinstance(apdu, GeneralCipheredApdu) else b""
