"""DataNotification, its confirmation, and EventNotificationRequest (IEC 62056-5-3, 6.12, 6.14 and annex A).

The date-time of a DataNotification is an OCTET STRING of 0 or 12 octets; some meters put the A-XDR tag 09 in front of
it, which a length of 9 would otherwise mean: both are read, and written as received.
"""

from dataclasses import dataclass

from meterspan.quantities import ClockTime
from meterspan.wire.axdr import (
    Data,
    read_clock_time,
    read_data,
    read_flag,
    read_octets,
    write_clock_time,
    write_data,
    write_octets,
)
from meterspan.wire.cursor import Cursor
from meterspan.wire.errors import WireError
from meterspan.wire.xdlms.codes import ApduTag
from meterspan.wire.xdlms.common import (
    CosemAttributeDescriptor,
    LongInvokeIdAndPriority,
    read_attribute,
    read_long_invoke_id,
    write_attribute,
    write_long_invoke_id,
)

__all__ = ["DataNotification", "DataNotificationConfirm", "EventNotificationRequest"]

CLAUSE = "IEC 62056-5-3, annex A"
_TAGGED_TIME = b"\x09\x0c"
_TIME_SIZE = 12


@dataclass(frozen=True, slots=True)
class DataNotification:
    """What a meter pushes.

    Attributes:
        invoke: its number.
        body: as a rule a structure, one element per push object.
        time: when it was sent, by the meter's clock; None where it says nothing.
        time_tagged: the date-time carries an A-XDR tag, against the standard.

    """

    invoke: LongInvokeIdAndPriority
    body: Data
    time: ClockTime | None = None
    time_tagged: bool = False


@dataclass(frozen=True, slots=True)
class DataNotificationConfirm:
    """The client has the notification of this number."""

    invoke: LongInvokeIdAndPriority
    time: ClockTime | None = None


@dataclass(frozen=True, slots=True)
class EventNotificationRequest:
    """An attribute that changed, sent unasked."""

    attribute: CosemAttributeDescriptor
    value: Data
    time: ClockTime | None = None


def read_data_notification(cursor: Cursor) -> DataNotification:
    """Read what follows the tag of a data-notification."""
    invoke, time, tagged = _read_head(cursor)
    return DataNotification(invoke, read_data(cursor, "notification-body"), time, tagged)


def write_data_notification(notification: DataNotification) -> bytes:
    """Write a data-notification, tag first."""
    tag = b"\x09" if notification.time_tagged and notification.time is not None else b""
    head = bytes((ApduTag.DATA_NOTIFICATION,)) + write_long_invoke_id(notification.invoke)
    return head + tag + _write_time(notification.time) + write_data(notification.body)


def read_data_notification_confirm(cursor: Cursor) -> DataNotificationConfirm:
    """Read what follows the tag of a data-notification-confirm."""
    invoke, time, _ = _read_head(cursor)
    return DataNotificationConfirm(invoke, time)


def write_data_notification_confirm(confirm: DataNotificationConfirm) -> bytes:
    """Write a data-notification-confirm, tag first."""
    head = bytes((ApduTag.DATA_NOTIFICATION_CONFIRM,))
    return head + write_long_invoke_id(confirm.invoke) + _write_time(confirm.time)


def read_event_notification(cursor: Cursor) -> EventNotificationRequest:
    """Read what follows the tag of an event-notification-request."""
    time = _read_time(cursor, "time") if read_flag(cursor, "time given") else None
    attribute = read_attribute(cursor)
    return EventNotificationRequest(attribute, read_data(cursor, "attribute-value"), time)


def write_event_notification(event: EventNotificationRequest) -> bytes:
    """Write an event-notification-request, tag first."""
    time = b"\x00" if event.time is None else b"\x01" + _write_time(event.time)
    head = bytes((ApduTag.EVENT_NOTIFICATION_REQUEST,))
    return head + time + write_attribute(event.attribute) + write_data(event.value)


def _read_head(cursor: Cursor) -> tuple[LongInvokeIdAndPriority, ClockTime | None, bool]:
    invoke = read_long_invoke_id(cursor)
    tagged = cursor.peek(2) == _TAGGED_TIME
    if tagged:
        cursor.u8("date-time tag")
        cursor.explain("octet-string, against the standard")
    return invoke, _read_time(cursor, "date-time"), tagged


def _read_time(cursor: Cursor, name: str) -> ClockTime | None:
    position = cursor.position
    octets = read_octets(cursor, name)
    if not octets:
        return None
    if len(octets) != _TIME_SIZE:
        raise WireError(f"a date-time has {_TIME_SIZE} octets, not {len(octets)}", position, name, CLAUSE)
    time = read_clock_time(octets)
    if cursor.trace is not None:
        cursor.explain(str(time))
    return time


def _write_time(time: ClockTime | None) -> bytes:
    return write_octets(b"" if time is None else write_clock_time(time))
