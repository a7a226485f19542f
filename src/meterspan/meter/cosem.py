"""The COSEM objects of an electricity meter, and the access rights of its clients.

Reading goes through ``ElectricityMeter.indication``; what a client may write is the clock, the limiter's thresholds
and the switch. No object has a setter that leads to a register.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from meterspan.meter.electricity import PROFILE_COLUMNS, ElectricityMeter
from meterspan.meter.push import PUSH_OBJECTS
from meterspan.meter.supply import SwitchTrigger
from meterspan.meter.tariff_switch import ACTIVATION
from meterspan.model.cosem.classes import (
    Clock,
    DataObject,
    DisconnectControl,
    IecHdlcSetup,
    Limiter,
    Register,
    RegisterActivation,
    SingleActionSchedule,
    TcpUdpSetup,
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
from meterspan.model.cosem.objects import (
    AccessRefusedError,
    ActionRefusedError,
    Bound,
    CosemObject,
    Getter,
    scaler_unit,
)
from meterspan.model.cosem.profile import CLOCK_COLUMN, profile_object
from meterspan.model.cosem.standard_objects import (
    SECURITY_SETUP,
    PushDelivery,
    clock_values,
    data_object,
    no_counter,
    no_title,
    public_association,
    push_setup,
    security_setup,
)
from meterspan.quantities import SHIFT_MAX_S, UNITS, Obis, Scaled
from meterspan.quantities.codes import (
    CLOCK,
    EVENT_CODE,
    EVENT_LOG,
    EXPORT_POWER,
    FIRMWARE,
    FIRMWARE_CHECKSUM,
    IMPORT_POWER,
    INVOCATION_COUNTER,
    LIMITER,
    LOAD_PROFILE,
    LOGICAL_DEVICE_NAME,
    PROFILE_STATUS,
    SERIAL_NUMBER,
)
from meterspan.wire.acse import AuthenticationMechanism
from meterspan.wire.axdr import (
    Data,
    array,
    double_long_unsigned,
    integer,
    long,
    long_unsigned,
    octet_string,
    structure,
    unsigned,
)
from meterspan.wire.axdr.clock import write_clock_time
from meterspan.wire.xdlms import ActionResult, CaptureObjectDefinition, DataAccessResult

__all__ = ["READER_CLIENT", "MeterAccess", "logical_device"]

READER_CLIENT: Final = 2
"""Client SAP of the reader: reads with a password (LLS), changes nothing."""

_SPEED_9600 = 5
"""comm_speed of 9,600 baud (IEC 62056-6-2, 4.7.2)."""


@dataclass(frozen=True, slots=True)
class MeterAccess:
    """Secrets and counters of a meter's associations.

    Attributes:
        reader_password: LLS secret of the reader client.
        invocation_counter: returns the highest invocation counter accepted from the management client.
        delivery: where pushes go; None where the meter pushes nothing.
        push_now: sends the present values at the meter's time; None where the meter pushes nothing.
        client_title: returns the system title of the management client that associated last.

    """

    reader_password: bytes = field(default=b"", repr=False)
    invocation_counter: Getter = no_counter
    delivery: PushDelivery | None = None
    push_now: Callable[[float], None] | None = None
    client_title: Getter = no_title


def logical_device(meter: ElectricityMeter, access: MeterAccess, *, sap: int = 1) -> LogicalDevice:
    """Build the meter's management logical device with its three associations.

    The public client (16) sees names, clock and the invocation counter; the reader (2, LLS) reads everything; the
    management client (1, HLS-GMAC, ciphered) may also set the settable attributes.
    """
    device = LogicalDevice(sap, meter.config.name, objects=_objects(meter, access), associations=_associations(access))
    device.add(sap_assignment([device]))
    return device


def _associations(access: MeterAccess) -> tuple[AssociationDefinition, ...]:
    return (
        public_association(),
        AssociationDefinition(
            READER_CLIENT, association_name(2), (Grant(),), AuthenticationMechanism.LLS, access.reader_password
        ),
        AssociationDefinition(
            MANAGEMENT_CLIENT,
            association_name(3),
            (Grant(write=True, invoke=True),),
            AuthenticationMechanism.HLS_GMAC,
            ciphered=True,
            security_setup=SECURITY_SETUP,
        ),
    )


def _objects(meter: ElectricityMeter, access: MeterAccess) -> list[CosemObject]:
    return [
        *_identification(meter),
        _clock(meter),
        *_registers(meter),
        *_profiles(meter),
        *meter.config.tariffs.objects(),
        _register_activation(meter),
        *_supply(meter),
        *_communication(),
        _push_setup(access),
        *_security(meter, access),
    ]


def _identification(meter: ElectricityMeter) -> list[CosemObject]:
    name = meter.config.name.encode()
    return [
        data_object(LOGICAL_DEVICE_NAME, octet_string(name)),
        data_object(SERIAL_NUMBER, octet_string(name[-8:])),
        data_object(FIRMWARE, octet_string(f"{meter.software.name} {meter.software.version}".encode())),
        data_object(FIRMWARE_CHECKSUM, octet_string(bytes.fromhex(meter.software.checksum))),
        data_object(PROFILE_STATUS, lambda _now: unsigned(meter.status)),
        data_object(EVENT_CODE, lambda _now: unsigned(_newest_event(meter))),
    ]


def _clock(meter: ElectricityMeter) -> CosemObject:
    def time(now: float) -> Data:
        return octet_string(write_clock_time(meter.clock.indicate(now)))

    def set_time(value: Data, now: float) -> None:
        moment = value.clock_time.to_utc(meter.config.zone)
        if moment is None:
            raise AccessRefusedError(DataAccessResult.TYPE_UNMATCHED)
        meter.set_clock(moment.timestamp(), now)

    def shift(value: Data, now: float) -> None:
        if abs(value.integer) > SHIFT_MAX_S:
            raise ActionRefusedError(ActionResult.OTHER_REASON)
        meter.set_clock(meter.clock.time(now) + value.integer, now)

    def zone(now: float) -> Data:
        local = datetime.fromtimestamp(now, UTC).astimezone(meter.config.zone)
        offset, dst = local.utcoffset(), local.dst()
        minutes = 0 if offset is None else int((offset - (dst or offset * 0)).total_seconds() // 60)
        return long(-minutes)

    values = clock_values(
        time=time,
        time_zone=zone,
        status=lambda now: unsigned(meter.clock.indicate(now).status or 0),
        zone=meter.config.zone,
        base=1,
    )
    return CosemObject(Clock, CLOCK, values, {Clock.time: set_time}, {Clock.shift_time: shift})


def _registers(meter: ElectricityMeter) -> list[CosemObject]:
    totals = {item.obis: item.value for item in meter.indication.registers}
    return [_register(meter, obis, shape) for obis, shape in (totals | _INSTANTS).items()]


def _register(meter: ElectricityMeter, obis: Obis, shape: Scaled) -> CosemObject:
    def value(_now: float) -> Data:
        try:
            return double_long_unsigned(max(0, meter.register(obis)))
        except KeyError:
            return double_long_unsigned(0)

    return CosemObject(Register, obis, {Register.value: value, Register.scaler_unit: scaler_unit(shape)})


def _profiles(meter: ElectricityMeter) -> list[CosemObject]:
    columns = (
        CLOCK_COLUMN,
        CaptureObjectDefinition(DataObject.class_id, PROFILE_STATUS, DataObject.value.number, 0),
        *(CaptureObjectDefinition(Register.class_id, obis, Register.value.number, 0) for obis in PROFILE_COLUMNS),
    )
    log = (CLOCK_COLUMN, CaptureObjectDefinition(DataObject.class_id, EVENT_CODE, DataObject.value.number, 0))
    return [
        profile_object(name, captured, rows, capacity=rows.capacity, period_s=period_s, zone=meter.config.zone)
        for name, captured, period_s, rows in (
            (LOAD_PROFILE, columns, meter.config.capture_period_s, meter.profile),
            (EVENT_LOG, log, 0, meter.events),
        )
    ]


def _register_activation(meter: ElectricityMeter) -> CosemObject:
    tariffs = sorted({tariff for _, tariff in meter.config.tariffs.windows})
    pairs = [(quantity, tariff) for tariff in tariffs for quantity in (1, 2)]
    assignment = array(
        *(structure(long_unsigned(Register.class_id), octet_string(Obis(1, 0, c, 8, e))) for c, e in pairs)
    )
    masks = array(
        *(
            structure(octet_string(bytes([tariff])), array(unsigned(2 * place + 1), unsigned(2 * place + 2)))
            for place, tariff in enumerate(tariffs)
        )
    )

    def active(now: float) -> Data:
        return octet_string(bytes([meter.config.tariffs.tariff(meter.clock.time(now), meter.config.zone)]))

    values: dict[Attribute, Bound] = {
        RegisterActivation.register_assignment: assignment,
        RegisterActivation.mask_list: masks,
        RegisterActivation.active_mask: active,
    }
    return CosemObject(RegisterActivation, ACTIVATION, values)


def _supply(meter: ElectricityMeter) -> list[CosemObject]:
    def operate(trigger: SwitchTrigger, now: float) -> None:
        if not meter.operate(trigger, now):
            raise ActionRefusedError(ActionResult.TEMPORARY_FAILURE)

    def set_threshold(value: Data, _now: float) -> None:
        meter.limiter.threshold_w = value.integer

    def set_duration(value: Data, _now: float) -> None:
        meter.limiter.over_duration_s = value.integer

    switch = CosemObject(
        DisconnectControl,
        Obis(0, 0, 96, 3, 10),
        {
            DisconnectControl.output_state: lambda _now: meter.switch.is_connected,
            DisconnectControl.control_state: lambda _now: meter.switch.state,
            DisconnectControl.control_mode: lambda _now: meter.switch.mode,
        },
        invokers={
            DisconnectControl.remote_disconnect: lambda _value, now: operate(SwitchTrigger.REMOTE_DISCONNECT, now),
            DisconnectControl.remote_reconnect: lambda _value, now: operate(SwitchTrigger.REMOTE_RECONNECT, now),
        },
    )
    monitored = structure(long_unsigned(Register.class_id), octet_string(IMPORT_POWER), integer(Register.value.number))

    def threshold(_now: float) -> Data:
        return double_long_unsigned(meter.limiter.threshold_w)

    limiter = CosemObject(
        Limiter,
        LIMITER,
        {
            Limiter.monitored_value: monitored,
            Limiter.threshold_active: threshold,
            Limiter.threshold_normal: threshold,
            Limiter.min_over_threshold_duration: lambda _now: meter.limiter.over_duration_s,
        },
        {
            Limiter.threshold_normal: set_threshold,
            Limiter.min_over_threshold_duration: set_duration,
        },
    )
    return [switch, limiter]


def _communication() -> list[CosemObject]:
    hdlc: dict[Attribute, Bound] = {
        IecHdlcSetup.comm_speed: _SPEED_9600,
        IecHdlcSetup.window_size_transmit: 1,
        IecHdlcSetup.window_size_receive: 1,
        IecHdlcSetup.max_info_field_length_transmit: 128,
        IecHdlcSetup.max_info_field_length_receive: 128,
        IecHdlcSetup.inter_octet_time_out: 25,
        IecHdlcSetup.inactivity_time_out: 120,
        IecHdlcSetup.device_address: 0x11,
    }
    tcp: dict[Attribute, Bound] = {
        TcpUdpSetup.tcp_udp_port: 4059,
        TcpUdpSetup.ip_reference: b"",
        TcpUdpSetup.mss: 1_460,
        TcpUdpSetup.nb_of_sim_conn: 1,
        TcpUdpSetup.inactivity_time_out: 180,
    }
    end_of_billing_script = structure(octet_string(Obis(0, 0, 10, 0, 1)), long_unsigned(1))
    end_of_day = structure(octet_string(b"\x00\x00\x00\x00"), octet_string(b"\xff\xff\xff\xff\xff"))
    return [
        CosemObject(IecHdlcSetup, Obis(0, 0, 22, 0, 0), hdlc),
        CosemObject(TcpUdpSetup, Obis(0, 0, 25, 0, 0), tcp),
        CosemObject(
            SingleActionSchedule,
            Obis(0, 0, 15, 0, 0),
            {
                SingleActionSchedule.executed_script: end_of_billing_script,
                SingleActionSchedule.type: 1,
                SingleActionSchedule.execution_time: array(end_of_day),
            },
        ),
    ]


def _push_setup(access: MeterAccess) -> CosemObject:
    push_now = access.push_now
    if push_now is None:
        return push_setup(PUSH_OBJECTS, access.delivery)
    return push_setup(PUSH_OBJECTS, access.delivery, lambda _value, now: push_now(now))


def _security(meter: ElectricityMeter, access: MeterAccess) -> list[CosemObject]:
    return [
        data_object(INVOCATION_COUNTER, access.invocation_counter),
        security_setup(meter.config.system_title, access.client_title),
    ]


def _newest_event(meter: ElectricityMeter) -> int:
    """Return the code of the event logged last, 0 of a meter that has logged none."""
    newest = meter.events.newest()
    return newest[2] if newest else 0


_INSTANTS = {
    IMPORT_POWER: Scaled(0, 0, UNITS["W"]),
    EXPORT_POWER: Scaled(0, 0, UNITS["W"]),
    **{Obis(1, 0, 32 + 20 * phase, 7, 0): Scaled(0, -1, UNITS["V"]) for phase in range(3)},
    **{Obis(1, 0, 31 + 20 * phase, 7, 0): Scaled(0, -2, UNITS["A"]) for phase in range(3)},
}
"""Instantaneous registers, whose values are 0 until the meter has sensed something."""
