"""The access point's objects upstream (G1): per M-Bus channel a client object, registers and a profile.

Built along IEC 62056-6-2, 4.8.3: M-BusClient 0-n:24.1.0, extended registers 0-n:24.2.e and profile 0-n:24.3.0. A head
end can therefore tell by the client object whose value it reads, and never takes it for the access point's own.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction

from meterspan.lnap.access_point import AccessPoint
from meterspan.lnap.channel import MBusChannel, RowsAtScale
from meterspan.model.cosem.classes import (
    Clock,
    DataObject,
    ExtendedRegister,
    MBusClient,
    ProfileGeneric,
)
from meterspan.model.cosem.declaration import Attribute
from meterspan.model.cosem.device import (
    MANAGEMENT_CLIENT,
    AssociationDefinition,
    Grant,
    LogicalDevice,
    association_name,
    sap_assignment,
)
from meterspan.model.cosem.objects import Bound, CosemObject, Getter, scaler_unit
from meterspan.model.cosem.profile import CLOCK_COLUMN, profile_object
from meterspan.model.cosem.standard_objects import (
    LIST_ELEMENT,
    SECURITY_SETUP,
    clock_values,
    data_object,
    no_counter,
    no_title,
    public_association,
    push_setup,
    security_setup,
)
from meterspan.model.identity import mbus_client_identity
from meterspan.quantities import UNITS, ClockTime, Obis, Scaled
from meterspan.quantities.codes import CLOCK, INVOCATION_COUNTER, LOGICAL_DEVICE_NAME
from meterspan.wire.acse import AuthenticationMechanism
from meterspan.wire.axdr import (
    Data,
    array,
    long,
    long64_unsigned,
    null,
    octet_string,
    unsigned,
)
from meterspan.wire.axdr.clock import write_clock_time
from meterspan.wire.xdlms import CaptureObjectDefinition

__all__ = ["LnapAccess", "logical_device"]


@dataclass(frozen=True, slots=True)
class LnapAccess:
    """The keys and counters of the associations.

    Attributes:
        invocation_counter: returns the highest invocation counter accepted from the management client.
        client_title: returns the system title of the management client that associated last.

    """

    invocation_counter: Getter = no_counter
    client_title: Getter = no_title


def logical_device(point: AccessPoint, access: LnapAccess, *, sap: int = 1) -> LogicalDevice:
    """Build the access point's logical device from the meters installed now.

    The public client (16) sees names, clock and invocation counter; the management client (1, HLS-GMAC, ciphered) reads
    everything. Nothing behind an access point can be written from upstream.
    """
    objects = [*_own(point, access)]
    for channel in point.channels:
        objects += _channel(channel)
    device = LogicalDevice(sap, point.config.name, objects=objects, associations=_associations())
    device.add(sap_assignment([device]))
    return device


def _associations() -> tuple[AssociationDefinition, ...]:
    return (
        public_association(),
        AssociationDefinition(
            MANAGEMENT_CLIENT,
            association_name(2),
            (Grant(),),
            AuthenticationMechanism.HLS_GMAC,
            ciphered=True,
            security_setup=SECURITY_SETUP,
        ),
    )


def _own(point: AccessPoint, access: LnapAccess) -> list[CosemObject]:
    def time(now: float) -> Data:
        return octet_string(write_clock_time(_clock_time(now)))

    clock = clock_values(time=time, time_zone=long(0), status=unsigned(0), zone=None, base=0)
    return [
        data_object(LOGICAL_DEVICE_NAME, octet_string(point.config.name.encode())),
        data_object(INVOCATION_COUNTER, access.invocation_counter),
        CosemObject(Clock, CLOCK, clock),
        push_setup(_push_objects(point)),
        security_setup(point.config.system_title, access.client_title),
    ]


def _push_objects(point: AccessPoint) -> list[CaptureObjectDefinition]:
    """List what the access point pushes: each channel's rows with the scales of its registers.

    A push carries those of them that have rows, behind the list of just these.
    """
    objects = [LIST_ELEMENT]
    for channel in point.channels:
        buffer = ProfileGeneric.buffer.number
        objects.append(CaptureObjectDefinition(ProfileGeneric.class_id, channel.profile_name, buffer))
        scaler = ExtendedRegister.scaler_unit.number
        names = map(channel.register_name, range(len(channel.meter.registers)))
        objects += [CaptureObjectDefinition(ExtendedRegister.class_id, name, scaler) for name in names]
    return objects


def _channel(channel: MBusChannel) -> list[CosemObject]:
    rows = RowsAtScale(channel)
    registers = [_register(channel, index, rows) for index in range(len(channel.meter.registers))]
    return [_client(channel), *registers, _profile(channel, rows)]


def _client(channel: MBusChannel) -> CosemObject:
    identity = mbus_client_identity(channel.meter.device)
    values: dict[Attribute, Bound] = {
        MBusClient.mbus_port_reference: Obis(0, 0, 24, 6, 0),
        MBusClient.capture_definition: array(),
        MBusClient.capture_period: channel.meter.period_s,
        MBusClient.primary_address: 0,
        MBusClient.identification_number: identity.number,
        MBusClient.manufacturer_id: identity.manufacturer,
        MBusClient.device_version: 0,
        MBusClient.device_type: identity.medium,
        MBusClient.access_number: 0,
        MBusClient.status: lambda _now: 0 if channel.latest is None else channel.latest.status,
        MBusClient.alarm: 0,
    }
    return CosemObject(MBusClient, Obis(0, channel.number, 24, 1, 0), values)


def _register(channel: MBusChannel, index: int, rows: RowsAtScale) -> CosemObject:
    def value(_now: float) -> Data:
        return _value_at(rows, index, None if channel.latest is None else channel.latest.values[index])

    def captured(_now: float) -> Data:
        latest = channel.latest
        return octet_string(write_clock_time(ClockTime() if latest is None else _clock_time(latest.time)))

    values: dict[Attribute, Bound] = {
        ExtendedRegister.value: value,
        ExtendedRegister.scaler_unit: _scaler(rows, index),
        ExtendedRegister.status: unsigned(0),
        ExtendedRegister.capture_time: captured,
    }
    return CosemObject(ExtendedRegister, channel.register_name(index), values)


def _scaler(rows: RowsAtScale, index: int) -> Data:
    unit, exponent = rows.scales[index] or (UNITS["1"], 0)
    return scaler_unit(Scaled(0, exponent, unit))


def _value_at(rows: RowsAtScale, index: int, value: Scaled | None) -> Data:
    """Return a value in whole steps of the association's scale; null-data where it has none."""
    scale = rows.scales[index]
    if value is None or scale is None:
        return null()
    exact = value.to(scale[0]) / Fraction(10) ** scale[1]
    return long64_unsigned(int(exact)) if exact.denominator == 1 and exact >= 0 else null()


def _profile(channel: MBusChannel, rows: RowsAtScale) -> CosemObject:
    status = CaptureObjectDefinition(
        DataObject.class_id, Obis(0, channel.number, 96, 10, 1), DataObject.value.number, 0
    )
    columns = (
        CLOCK_COLUMN,
        status,
        *(
            CaptureObjectDefinition(
                ExtendedRegister.class_id, channel.register_name(index), ExtendedRegister.value.number
            )
            for index in range(len(channel.meter.registers))
        ),
    )
    return profile_object(
        channel.profile_name,
        columns,
        rows,
        capacity=channel.rows.capacity,
        period_s=channel.meter.period_s,
        zone=UTC,
    )


def _clock_time(now: float) -> ClockTime:
    return ClockTime.of(datetime.fromtimestamp(now, UTC))
