"""Objects that every server of ours has, built in one place: name, invocation counter, security and push setup, clock.

Logical names are those of the Blue Book (IEC 62056-6-2, clause 6); what the public client may see of them is one table.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone, tzinfo
from enum import IntEnum
from typing import Final

from meterspan.model.cosem.classes import AssociationLN, Clock, DataObject, PushSetup, SAPAssignment, SecuritySetup
from meterspan.model.cosem.declaration import Attribute
from meterspan.model.cosem.device import PUBLIC_CLIENT, AssociationDefinition, Grant, association_name
from meterspan.model.cosem.objects import Bound, CosemObject, Getter, Invoker
from meterspan.model.cosem.profile import write_capture_objects
from meterspan.quantities import ClockTime, Obis
from meterspan.quantities.codes import CLOCK, INVOCATION_COUNTER, LOGICAL_DEVICE_NAME, SERIAL_NUMBER
from meterspan.quantities.instants import saving_changes, utc
from meterspan.wire.axdr import (
    Data,
    array,
    double_long_unsigned,
    enum,
    octet_string,
    structure,
)
from meterspan.wire.axdr.clock import write_clock_time
from meterspan.wire.xdlms import CaptureObjectDefinition

__all__ = [
    "LIST_ELEMENT",
    "PUSH_SETUP",
    "SECURITY_SETUP",
    "PushDelivery",
    "PushService",
    "clock_values",
    "data_object",
    "no_counter",
    "no_title",
    "public_association",
    "push_setup",
    "security_setup",
]

SECURITY_SETUP: Final = Obis(0, 0, 43, 0, 0)
PUSH_SETUP: Final = Obis(0, 0, 25, 9, 0)
LIST_ELEMENT: Final = CaptureObjectDefinition(PushSetup.class_id, PUSH_SETUP, PushSetup.push_object_list.number)
"""The push object list as an element of itself: a push that brings it explains itself."""
_AUTHENTICATED_AND_ENCRYPTED = 3
_SUITE_0 = 0
_XDLMS_APDU = 0
"""Message type: an xDLMS APDU in A-XDR (4.4.8)."""


class PushService(IntEnum):
    """Transport services of a push destination (IEC 62056-6-2, 4.4.8)."""

    TCP = 0
    UDP = 1
    FTP = 2
    SMTP = 3
    SMS = 4
    HDLC = 5
    M_BUS = 6


@dataclass(frozen=True, slots=True)
class PushDelivery:
    """Where a device pushes, and how often it tries: attributes 3, 6 and 7 of its push setup.

    Attributes:
        service: how pushes are carried.
        destination: where they go, as ``host:port``; "" where nothing is pushed.
        retries_max: tries after the first, until the next push is due.
        repetition_delay_s: the least wait between two tries.

    """

    service: PushService = PushService.TCP
    destination: str = ""
    retries_max: int = 0
    repetition_delay_s: int = 0


def data_object(name: Obis, value: Data | Getter) -> CosemObject:
    """Build a Data object."""
    return CosemObject(DataObject, name, {DataObject.value: value})


def no_counter(_now: float) -> Data:
    """Return the invocation counter of a server that has accepted none."""
    return double_long_unsigned(0)


def public_association() -> AssociationDefinition:
    """Offer the public client (16, no security) names, clock and invocation counter, to read."""
    shown = (
        (DataObject.class_id, LOGICAL_DEVICE_NAME),
        (DataObject.class_id, SERIAL_NUMBER),
        (DataObject.class_id, INVOCATION_COUNTER),
        (Clock.class_id, CLOCK),
        (AssociationLN.class_id, None),
        (SAPAssignment.class_id, None),
    )
    return AssociationDefinition(PUBLIC_CLIENT, association_name(1), tuple(Grant(*place) for place in shown))


def no_title(_now: float) -> Data:
    """Return the client title of a server that has had no client with one."""
    return octet_string(b"")


def security_setup(system_title: bytes, client_title: Getter = no_title) -> CosemObject:
    """Build the security setup of suite 0 that wants every message authenticated and encrypted.

    Args:
        system_title: the server's own.
        client_title: gives the title of the client that associated last.

    """
    values: dict[Attribute, Bound] = {
        SecuritySetup.security_policy: _AUTHENTICATED_AND_ENCRYPTED,
        SecuritySetup.security_suite: _SUITE_0,
        SecuritySetup.client_system_title: client_title,
        SecuritySetup.server_system_title: system_title,
    }
    return CosemObject(SecuritySetup, SECURITY_SETUP, values)


def push_setup(
    objects: Sequence[CaptureObjectDefinition], delivery: PushDelivery | None = None, push: Invoker | None = None
) -> CosemObject:
    """Build the push setup of a device: at any time, at once, as often as ``delivery`` says.

    Args:
        objects: the push object list.
        delivery: where pushes go; None where the device pushes nothing.
        push: sends a push now (method 1); None where the device cannot.

    """
    chosen = PushDelivery() if delivery is None else delivery
    destination = structure(enum(chosen.service), octet_string(chosen.destination.encode()), enum(_XDLMS_APDU))
    values: dict[Attribute, Bound] = {
        PushSetup.push_object_list: write_capture_objects(objects),
        PushSetup.send_destination_and_method: destination,
        PushSetup.communication_window: array(),
        PushSetup.randomisation_start_interval: 0,
        PushSetup.number_of_retries: chosen.retries_max,
        PushSetup.repetition_delay: chosen.repetition_delay_s,
    }
    return CosemObject(PushSetup, PUSH_SETUP, values, invokers={} if push is None else {PushSetup.push: push})


def clock_values(
    *, time: Getter, time_zone: Data | Getter, status: Data | Getter, zone: tzinfo | None, base: int
) -> dict[Attribute, Bound]:
    """Return the attributes of a clock object.

    Args:
        time: gives attribute 2.
        time_zone: minutes from local standard time to UTC.
        status: the clock status octet.
        zone: whose daylight saving the clock follows: its begin and end of the present year; None for none.
        base: clock_base: 1 is an internal crystal, 0 is not defined.

    """
    return {
        Clock.time: time,
        Clock.time_zone: time_zone,
        Clock.status: status,
        Clock.daylight_savings_begin: lambda now: octet_string(_saving_change(zone, now, 0)),
        Clock.daylight_savings_end: lambda now: octet_string(_saving_change(zone, now, 1)),
        Clock.daylight_savings_deviation: lambda now: _saving_min(zone, now),
        Clock.daylight_savings_enabled: lambda now: _saving_of(zone, now) is not None,
        Clock.clock_base: base,
    }


def _saving_of(zone: tzinfo | None, now: float) -> tuple[datetime, datetime] | None:
    return None if zone is None else saving_changes(zone, utc(now).astimezone(zone).year)


def _saving_change(zone: tzinfo | None, now: float, place: int) -> bytes:
    """Return begin (0) or end (1) of daylight saving, in the local time that ends with it; open where there is none."""
    changes = _saving_of(zone, now)
    if zone is None or changes is None:
        return write_clock_time(ClockTime())
    before = (changes[place] - timedelta(seconds=1)).astimezone(zone)
    moment = changes[place].astimezone(timezone(before.utcoffset() or timedelta()))
    return write_clock_time(replace(ClockTime.of(moment), status=None))


def _saving_min(zone: tzinfo | None, now: float) -> int:
    changes = _saving_of(zone, now)
    if zone is None or changes is None:
        return 0
    return int((changes[0].astimezone(zone).dst() or timedelta()).total_seconds() // 60)
