"""What the access point shows upstream (G1): per M-Bus channel a client object, registers and a profile.

Built along IEC 62056-6-2, 4.8.3: M-BusClient 0-n:24.1.0, extended registers 0-n:24.2.e and profile 0-n:24.3.0. A head
end can therefore tell by the client object whose value it reads, and never takes it for the access point's own.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from meterspan.lnap.access_point import AccessPoint
from meterspan.lnap.channel import Channel
from meterspan.model.cosem.classes import (
    Clock,
    Data,
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
    sap_assignment,
)
from meterspan.model.cosem.objects import Bound, CosemObject, Getter, scaler_unit
from meterspan.model.cosem.profile import CLOCK_COLUMN, profile_object
from meterspan.model.cosem.standard_objects import (
    CLOCK,
    INVOCATION_COUNTER,
    LOGICAL_DEVICE_NAME,
    SECURITY_SETUP,
    clock_values,
    data_object,
    no_counter,
    public_association,
    push_setup,
    security_setup,
)
from meterspan.model.identity import split_mbus_device
from meterspan.quantities import UNITS, ClockTime, Obis, Scaled
from meterspan.wire.acse import AuthenticationMechanism
from meterspan.wire.axdr import Data as Value
from meterspan.wire.axdr import (
    array,
    long,
    long64_unsigned,
    null,
    octet_string,
    unsigned,
)
from meterspan.wire.axdr.clock import write_clock_time
from meterspan.wire.mbus.address import pack_manufacturer
from meterspan.wire.xdlms import CaptureObjectDefinition

__all__ = ["LnapAccess", "logical_device"]

ELECTRICITY_DEVICE_TYPE: Final = 0x02
"""Device type octet of electricity (EN 13757-7, table 13), for meters that are heard on P1."""


@dataclass(frozen=True, slots=True)
class LnapAccess:
    """What the associations need.

    Attributes:
        invocation_counter: gives the highest invocation counter accepted from the management client.

    """

    invocation_counter: Getter = no_counter


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
            MANAGEMENT_CLIENT, Obis(0, 0, 40, 0, 2), (Grant(),), AuthenticationMechanism.HLS_GMAC,
            ciphered=True, security_setup=SECURITY_SETUP,
        ),
    )  # fmt: skip


def _own(point: AccessPoint, access: LnapAccess) -> list[CosemObject]:
    def time(now: float) -> Value:
        return octet_string(write_clock_time(_clock_time(now)))

    clock = clock_values(time=time, time_zone=long(0), status=unsigned(0), saving_min=0, base=0)
    return [
        data_object(LOGICAL_DEVICE_NAME, octet_string(point.config.name.encode())),
        data_object(INVOCATION_COUNTER, access.invocation_counter),
        CosemObject(Clock, CLOCK, clock),
        push_setup((ProfileGeneric.class_id, channel.profile_name) for channel in point.channels),
        security_setup(point.config.system_title),
    ]


def _channel(channel: Channel) -> list[CosemObject]:
    registers = [_register(channel, index) for index in range(len(channel.meter.registers))]
    return [_client(channel), *registers, _profile(channel)]


def _client(channel: Channel) -> CosemObject:
    manufacturer, number, medium = _identity(channel)
    values: dict[Attribute, Bound] = {
        MBusClient.mbus_port_reference: Obis(0, 0, 24, 6, 0),
        MBusClient.capture_definition: array(),
        MBusClient.capture_period: channel.meter.period_s,
        MBusClient.primary_address: 0,
        MBusClient.identification_number: number,
        MBusClient.manufacturer_id: manufacturer,
        MBusClient.device_version: 0,
        MBusClient.device_type: medium,
        MBusClient.access_number: 0,
        MBusClient.status: lambda _now: 0 if channel.latest is None else channel.latest.status,
        MBusClient.alarm: 0,
    }
    return CosemObject(MBusClient, Obis(0, channel.number, 24, 1, 0), values)


def _identity(channel: Channel) -> tuple[int, int, int]:
    """Give manufacturer, identification number (BCD as the standard has it) and device type."""
    try:
        manufacturer, number, medium = split_mbus_device(channel.meter.device)
    except ValueError:
        letters, digits = channel.meter.device[:3], channel.meter.device[-8:]
        number = "".join(digit for digit in digits if digit.isdigit()).rjust(8, "0")
        return int.from_bytes(pack_manufacturer(letters), "little"), int(number, 16), ELECTRICITY_DEVICE_TYPE
    return int.from_bytes(pack_manufacturer(manufacturer), "little"), int(number, 16), medium


def _register(channel: Channel, index: int) -> CosemObject:
    def value(_now: float) -> Value:
        latest = channel.latest
        return null() if latest is None else long64_unsigned(latest.values[index].value)

    def shape(_now: float) -> Value:
        unit, exponent = channel.scales[index] if channel.scales else (UNITS["1"], 0)
        return scaler_unit(Scaled(0, exponent, unit))

    def captured(_now: float) -> Value:
        latest = channel.latest
        return octet_string(write_clock_time(ClockTime() if latest is None else _clock_time(latest.time)))

    values: dict[Attribute, Bound] = {
        ExtendedRegister.value: value,
        ExtendedRegister.scaler_unit: shape,
        ExtendedRegister.status: unsigned(0),
        ExtendedRegister.capture_time: captured,
    }
    return CosemObject(ExtendedRegister, channel.register_name(index), values)


def _profile(channel: Channel) -> CosemObject:
    status = CaptureObjectDefinition(Data.class_id, Obis(0, channel.number, 96, 10, 1), Data.value.number, 0)
    columns = (
        CLOCK_COLUMN,
        status,
        *(
            CaptureObjectDefinition(
                ExtendedRegister.class_id, channel.register_name(index), ExtendedRegister.value.number, 0
            )
            for index in range(len(channel.meter.registers))
        ),
    )
    return profile_object(
        channel.profile_name,
        columns,
        channel.rows,
        capacity=channel.rows.capacity,
        period_s=channel.meter.period_s,
        zone=UTC,
    )


def _clock_time(now: float) -> ClockTime:
    return ClockTime.of(datetime.fromtimestamp(now, UTC))
