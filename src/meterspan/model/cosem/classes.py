"""The interface classes (IEC 62056-6-2, clause 4; DLMS UA 1000-1), as declarations in the order of their ids.

``INTERFACE_CLASSES`` is the registry by (class id, version); ``interface_class`` looks a class up and falls back to
the nearest version that is known, since later versions only append.
"""

from meterspan.model.cosem.access import AttributeAccess
from meterspan.model.cosem.declaration import Attribute, DataKind, InterfaceClass, Method

__all__ = [
    "INTERFACE_CLASSES",
    "ActivityCalendar",
    "AssociationLN",
    "AssociationLN1",
    "AssociationLN2",
    "Clock",
    "DataObject",
    "DemandRegister",
    "DisconnectControl",
    "ExtendedRegister",
    "IPv4Setup",
    "IecHdlcSetup",
    "ImageTransfer",
    "Limiter",
    "MBusClient",
    "MBusClient1",
    "ProfileGeneric",
    "PushSetup",
    "PushSetup1",
    "Register",
    "RegisterActivation",
    "RegisterMonitor",
    "SAPAssignment",
    "Schedule",
    "ScriptTable",
    "SecuritySetup",
    "SecuritySetup1",
    "SingleActionSchedule",
    "SpecialDaysTable",
    "TcpUdpSetup",
    "interface_class",
]

_RW = AttributeAccess.READ_AND_WRITE


class DataObject(InterfaceClass, class_id=1, name="Data"):
    """Any lone value: the interface class "Data" (4.3.1)."""

    value = Attribute(2, DataKind.CHOICE)


class Register(InterfaceClass, class_id=3):
    """A value with scaler and unit (4.3.2)."""

    value = Attribute(2, DataKind.CHOICE)
    scaler_unit = Attribute(3, DataKind.STRUCTURE, shape="scal_unit_type")
    reset = Method(1)


class ExtendedRegister(InterfaceClass, class_id=4):
    """A register with status and capture time (4.3.3)."""

    value = Attribute(2, DataKind.CHOICE)
    scaler_unit = Attribute(3, DataKind.STRUCTURE, shape="scal_unit_type")
    status = Attribute(4, DataKind.CHOICE)
    capture_time = Attribute(5, DataKind.OCTET_STRING, shape="date-time")
    reset = Method(1)


class DemandRegister(InterfaceClass, class_id=5):
    """Block or sliding demand (4.3.4)."""

    current_average_value = Attribute(2, DataKind.CHOICE)
    last_average_value = Attribute(3, DataKind.CHOICE)
    scaler_unit = Attribute(4, DataKind.STRUCTURE, shape="scal_unit_type")
    status = Attribute(5, DataKind.CHOICE)
    capture_time = Attribute(6, DataKind.OCTET_STRING, shape="date-time")
    start_time_current = Attribute(7, DataKind.OCTET_STRING, shape="date-time")
    period = Attribute(8, DataKind.DOUBLE_LONG_UNSIGNED)
    number_of_periods = Attribute(9, DataKind.LONG_UNSIGNED)
    reset = Method(1)
    next_period = Method(2)


class RegisterActivation(InterfaceClass, class_id=6):
    """Which tariff registers count now (4.3.5)."""

    register_assignment = Attribute(2, DataKind.ARRAY, shape="object_definition")
    mask_list = Attribute(3, DataKind.ARRAY, shape="register_act_mask")
    active_mask = Attribute(4, DataKind.OCTET_STRING, _RW)
    add_register = Method(1, DataKind.STRUCTURE, "object_definition")
    add_mask = Method(2, DataKind.STRUCTURE, "register_act_mask")
    delete_mask = Method(3, DataKind.OCTET_STRING)


class ProfileGeneric(InterfaceClass, class_id=7, version=1):
    """A buffer of captured rows: load profiles, event logs, billing periods (4.3.6)."""

    buffer = Attribute(2, DataKind.ARRAY, shape="structure of captured values")
    capture_objects = Attribute(3, DataKind.ARRAY, shape="capture_object_definition")
    capture_period = Attribute(4, DataKind.DOUBLE_LONG_UNSIGNED)
    sort_method = Attribute(5, DataKind.ENUM)
    sort_object = Attribute(6, DataKind.STRUCTURE, shape="capture_object_definition")
    entries_in_use = Attribute(7, DataKind.DOUBLE_LONG_UNSIGNED)
    profile_entries = Attribute(8, DataKind.DOUBLE_LONG_UNSIGNED)
    reset = Method(1)
    capture = Method(2)


class Clock(InterfaceClass, class_id=8):
    """The device's clock with its daylight saving rule (4.5.1)."""

    time = Attribute(2, DataKind.OCTET_STRING, _RW, "date-time")
    time_zone = Attribute(3, DataKind.LONG)
    status = Attribute(4, DataKind.UNSIGNED, shape="clock_status")
    daylight_savings_begin = Attribute(5, DataKind.OCTET_STRING, shape="date-time")
    daylight_savings_end = Attribute(6, DataKind.OCTET_STRING, shape="date-time")
    daylight_savings_deviation = Attribute(7, DataKind.INTEGER)
    daylight_savings_enabled = Attribute(8, DataKind.BOOLEAN)
    clock_base = Attribute(9, DataKind.ENUM)
    adjust_to_quarter = Method(1)
    adjust_to_measuring_period = Method(2)
    adjust_to_minute = Method(3)
    adjust_to_preset_time = Method(4)
    preset_adjusting_time = Method(5, DataKind.STRUCTURE, "preset_time, validity_interval_start, validity_interval_end")
    shift_time = Method(6, DataKind.LONG)


class ScriptTable(InterfaceClass, class_id=9):
    """Lists of actions run by number (4.5.2)."""

    scripts = Attribute(2, DataKind.ARRAY, shape="script")
    execute = Method(1, DataKind.LONG_UNSIGNED)


class Schedule(InterfaceClass, class_id=10):
    """Scripts run by date, time and weekday, each entry for itself (4.5.3)."""

    entries = Attribute(2, DataKind.ARRAY, _RW, "schedule_table_entry")
    enable_disable = Method(1, DataKind.STRUCTURE, "firstIndexA, lastIndexA, firstIndexB, lastIndexB")
    insert = Method(2, DataKind.STRUCTURE, "schedule_table_entry")
    delete = Method(3, DataKind.STRUCTURE, "firstIndex, lastIndex")


class SpecialDaysTable(InterfaceClass, class_id=11):
    """Days that follow another day profile (4.5.4)."""

    entries = Attribute(2, DataKind.ARRAY, shape="spec_day_entry")
    insert = Method(1, DataKind.STRUCTURE, "spec_day_entry")
    delete = Method(2, DataKind.LONG_UNSIGNED)


class AssociationLN(InterfaceClass, class_id=15):
    """An application association: what a client sees and may do (4.4.4), version 0."""

    object_list = Attribute(2, DataKind.ARRAY, shape="object_list_element")
    associated_partners_id = Attribute(3, DataKind.STRUCTURE, shape="client_SAP, server_SAP")
    application_context_name = Attribute(4, DataKind.CHOICE, shape="context_name_type")
    xdlms_context_info = Attribute(5, DataKind.STRUCTURE, shape="xDLMS-context-type")
    authentication_mechanism_name = Attribute(6, DataKind.CHOICE, shape="mechanism_name_type")
    secret = Attribute(7, DataKind.OCTET_STRING, AttributeAccess.NO_ACCESS)
    association_status = Attribute(8, DataKind.ENUM)
    reply_to_hls_authentication = Method(1, DataKind.OCTET_STRING)
    change_hls_secret = Method(2, DataKind.OCTET_STRING)
    add_object = Method(3, DataKind.STRUCTURE, "object_list_element")
    remove_object = Method(4, DataKind.STRUCTURE, "object_list_element")


class AssociationLN1(AssociationLN, version=1, name="AssociationLN"):
    """Version 1 adds the security setup."""

    security_setup_reference = Attribute(9, DataKind.OCTET_STRING)


class AssociationLN2(AssociationLN1, version=2, name="AssociationLN"):
    """Version 2 adds users."""

    user_list = Attribute(10, DataKind.ARRAY, shape="user_list_entry")
    current_user = Attribute(11, DataKind.STRUCTURE, shape="user_list_entry")
    add_user = Method(5, DataKind.STRUCTURE, "user_list_entry")
    remove_user = Method(6, DataKind.STRUCTURE, "user_list_entry")


class SAPAssignment(InterfaceClass, class_id=17):
    """The logical devices of a physical device (4.4.5)."""

    sap_assignment_list = Attribute(2, DataKind.ARRAY, shape="asslist_element")
    connect_logical_device = Method(1, DataKind.STRUCTURE, "asslist_element")


class ImageTransfer(InterfaceClass, class_id=18):
    """Firmware download, block by block (4.4.6)."""

    image_block_size = Attribute(2, DataKind.DOUBLE_LONG_UNSIGNED)
    image_transferred_blocks_status = Attribute(3, DataKind.BIT_STRING)
    image_first_not_transferred_block_number = Attribute(4, DataKind.DOUBLE_LONG_UNSIGNED)
    image_transfer_enabled = Attribute(5, DataKind.BOOLEAN, _RW)
    image_transfer_status = Attribute(6, DataKind.ENUM)
    image_to_activate_info = Attribute(7, DataKind.ARRAY, shape="image_to_activate_info_element")
    image_transfer_initiate = Method(1, DataKind.STRUCTURE, "image_identifier, image_size")
    image_block_transfer = Method(2, DataKind.STRUCTURE, "image_block_number, image_block_value")
    image_verify = Method(3)
    image_activate = Method(4)


class ActivityCalendar(InterfaceClass, class_id=20):
    """Seasons, weeks and days of tariff switching (4.5.5)."""

    calendar_name_active = Attribute(2, DataKind.OCTET_STRING)
    season_profile_active = Attribute(3, DataKind.ARRAY, shape="season")
    week_profile_table_active = Attribute(4, DataKind.ARRAY, shape="week_profile")
    day_profile_table_active = Attribute(5, DataKind.ARRAY, shape="day_profile")
    calendar_name_passive = Attribute(6, DataKind.OCTET_STRING, _RW)
    season_profile_passive = Attribute(7, DataKind.ARRAY, _RW, "season")
    week_profile_table_passive = Attribute(8, DataKind.ARRAY, _RW, "week_profile")
    day_profile_table_passive = Attribute(9, DataKind.ARRAY, _RW, "day_profile")
    activate_passive_calendar_time = Attribute(10, DataKind.OCTET_STRING, _RW, "date-time")
    activate_passive_calendar = Method(1)


class RegisterMonitor(InterfaceClass, class_id=21):
    """Scripts run when a value crosses a threshold (4.5.6)."""

    thresholds = Attribute(2, DataKind.ARRAY, shape="threshold")
    monitored_value = Attribute(3, DataKind.STRUCTURE, shape="value_definition")
    actions = Attribute(4, DataKind.ARRAY, shape="action_set")


class SingleActionSchedule(InterfaceClass, class_id=22):
    """One script at given times (4.5.7)."""

    executed_script = Attribute(2, DataKind.STRUCTURE, shape="script_logical_name, script_selector")
    type = Attribute(3, DataKind.ENUM)
    execution_time = Attribute(4, DataKind.ARRAY, _RW, "execution_time_date")


class IecHdlcSetup(InterfaceClass, class_id=23, version=1):
    """The HDLC data link layer's parameters (4.7.2)."""

    comm_speed = Attribute(2, DataKind.ENUM)
    window_size_transmit = Attribute(3, DataKind.UNSIGNED)
    window_size_receive = Attribute(4, DataKind.UNSIGNED)
    max_info_field_length_transmit = Attribute(5, DataKind.LONG_UNSIGNED)
    max_info_field_length_receive = Attribute(6, DataKind.LONG_UNSIGNED)
    inter_octet_time_out = Attribute(7, DataKind.LONG_UNSIGNED)
    inactivity_time_out = Attribute(8, DataKind.LONG_UNSIGNED)
    device_address = Attribute(9, DataKind.LONG_UNSIGNED)


class PushSetup(InterfaceClass, class_id=40):
    """What is pushed, where to and when (4.4.8), version 0."""

    push_object_list = Attribute(2, DataKind.ARRAY, _RW, "push_object_definition")
    send_destination_and_method = Attribute(3, DataKind.STRUCTURE, _RW, "transport_service, destination, message")
    communication_window = Attribute(4, DataKind.ARRAY, _RW, "window_element")
    randomisation_start_interval = Attribute(5, DataKind.LONG_UNSIGNED, _RW)
    number_of_retries = Attribute(6, DataKind.UNSIGNED, _RW)
    repetition_delay = Attribute(7, DataKind.LONG_UNSIGNED, _RW)
    push = Method(1)


class PushSetup1(PushSetup, version=1, name="PushSetup"):
    """Version 1 adds port, client and protection."""

    port_reference = Attribute(8, DataKind.OCTET_STRING)
    push_client_sap = Attribute(9, DataKind.INTEGER)
    push_protection_parameters = Attribute(10, DataKind.ARRAY, shape="push_protection_parameters_element")


class TcpUdpSetup(InterfaceClass, class_id=41):
    """TCP and UDP parameters of the wrapper (4.9.1)."""

    tcp_udp_port = Attribute(2, DataKind.LONG_UNSIGNED)
    ip_reference = Attribute(3, DataKind.OCTET_STRING)
    mss = Attribute(4, DataKind.LONG_UNSIGNED)
    nb_of_sim_conn = Attribute(5, DataKind.UNSIGNED)
    inactivity_time_out = Attribute(6, DataKind.LONG_UNSIGNED)


class IPv4Setup(InterfaceClass, class_id=42):
    """Internet protocol version 4 parameters (4.9.2)."""

    dl_reference = Attribute(2, DataKind.OCTET_STRING)
    ip_address = Attribute(3, DataKind.DOUBLE_LONG_UNSIGNED)
    multicast_ip_address = Attribute(4, DataKind.ARRAY, shape="double-long-unsigned")
    ip_options = Attribute(5, DataKind.ARRAY, shape="ip_options_element")
    subnet_mask = Attribute(6, DataKind.DOUBLE_LONG_UNSIGNED)
    gateway_ip_address = Attribute(7, DataKind.DOUBLE_LONG_UNSIGNED)
    use_dhcp_flag = Attribute(8, DataKind.BOOLEAN)
    primary_dns_address = Attribute(9, DataKind.DOUBLE_LONG_UNSIGNED)
    secondary_dns_address = Attribute(10, DataKind.DOUBLE_LONG_UNSIGNED)
    add_mc_ip_address = Method(1, DataKind.DOUBLE_LONG_UNSIGNED)
    delete_mc_ip_address = Method(2, DataKind.DOUBLE_LONG_UNSIGNED)
    get_nbof_mc_ip_addresses = Method(3)


class SecuritySetup(InterfaceClass, class_id=64):
    """Security policy, suite and keys (4.4.7), version 0 for suite 0."""

    security_policy = Attribute(2, DataKind.ENUM)
    security_suite = Attribute(3, DataKind.ENUM)
    client_system_title = Attribute(4, DataKind.OCTET_STRING)
    server_system_title = Attribute(5, DataKind.OCTET_STRING)
    security_activate = Method(1, DataKind.ENUM)
    global_key_transfer = Method(2, DataKind.ARRAY, "key_transfer_data")


class SecuritySetup1(SecuritySetup, version=1, name="SecuritySetup"):
    """Version 1 adds certificates, for suites 1 and 2."""

    certificates = Attribute(6, DataKind.ARRAY, shape="certificate_info")
    key_agreement = Method(3, DataKind.ARRAY, "key_agreement_data")
    generate_key_pair = Method(4, DataKind.ENUM)
    generate_certificate_request = Method(5, DataKind.ENUM)
    import_certificate = Method(6, DataKind.OCTET_STRING)
    export_certificate = Method(7, DataKind.STRUCTURE, "certificate_identification")
    remove_certificate = Method(8, DataKind.STRUCTURE, "certificate_identification")


class DisconnectControl(InterfaceClass, class_id=70):
    """The supply switch (4.5.8)."""

    output_state = Attribute(2, DataKind.BOOLEAN)
    control_state = Attribute(3, DataKind.ENUM)
    control_mode = Attribute(4, DataKind.ENUM)
    remote_disconnect = Method(1)
    remote_reconnect = Method(2)


class Limiter(InterfaceClass, class_id=71):
    """Acts when a value stays above a threshold (4.5.9)."""

    monitored_value = Attribute(2, DataKind.STRUCTURE, shape="value_definition")
    threshold_active = Attribute(3, DataKind.CHOICE)
    threshold_normal = Attribute(4, DataKind.CHOICE, _RW)
    threshold_emergency = Attribute(5, DataKind.CHOICE, _RW)
    min_over_threshold_duration = Attribute(6, DataKind.DOUBLE_LONG_UNSIGNED, _RW)
    min_under_threshold_duration = Attribute(7, DataKind.DOUBLE_LONG_UNSIGNED, _RW)
    emergency_profile = Attribute(8, DataKind.STRUCTURE, _RW, "emergency_profile")
    emergency_profile_group_id_list = Attribute(9, DataKind.ARRAY, _RW, "long-unsigned")
    emergency_profile_active = Attribute(10, DataKind.BOOLEAN)
    actions = Attribute(11, DataKind.STRUCTURE, shape="action_over_threshold, action_under_threshold")


class MBusClient(InterfaceClass, class_id=72):
    """A meter behind this one, captured over M-Bus (4.8.3), version 0."""

    mbus_port_reference = Attribute(2, DataKind.OCTET_STRING)
    capture_definition = Attribute(3, DataKind.ARRAY, shape="capture_definition_element")
    capture_period = Attribute(4, DataKind.DOUBLE_LONG_UNSIGNED)
    primary_address = Attribute(5, DataKind.UNSIGNED)
    identification_number = Attribute(6, DataKind.DOUBLE_LONG_UNSIGNED)
    manufacturer_id = Attribute(7, DataKind.LONG_UNSIGNED)
    device_version = Attribute(8, DataKind.UNSIGNED)
    device_type = Attribute(9, DataKind.UNSIGNED)
    access_number = Attribute(10, DataKind.UNSIGNED)
    status = Attribute(11, DataKind.UNSIGNED)
    alarm = Attribute(12, DataKind.UNSIGNED)
    slave_install = Method(1, DataKind.UNSIGNED)
    slave_deinstall = Method(2)
    capture = Method(3)
    reset_alarm = Method(4)
    synchronize_clock = Method(5)
    data_send = Method(6, DataKind.ARRAY, "data_definition_element")
    set_encryption_key = Method(7, DataKind.OCTET_STRING)
    transfer_key = Method(8, DataKind.OCTET_STRING)


class MBusClient1(MBusClient, version=1, name="MBusClient"):
    """Version 1 adds the configuration field and the state of the key."""

    configuration = Attribute(13, DataKind.LONG_UNSIGNED)
    encryption_key_status = Attribute(14, DataKind.ENUM)


_CLASSES: tuple[type[InterfaceClass], ...] = tuple(
    declared
    for declared in globals().values()
    if isinstance(declared, type) and issubclass(declared, InterfaceClass) and declared is not InterfaceClass
)
"""Every class that this module declares, in the order of the declarations."""
INTERFACE_CLASSES: dict[tuple[int, int], type[InterfaceClass]] = {(c.class_id, c.version): c for c in _CLASSES}
"""Every declared class by (class id, version)."""


def interface_class(class_id: int, version: int) -> type[InterfaceClass] | None:
    """Look a class up; an unknown version falls back to the nearest known one, an unknown class is None."""
    known = INTERFACE_CLASSES.get((class_id, version))
    if known is not None:
        return known
    versions = [candidate for candidate in _CLASSES if candidate.class_id == class_id]
    return min(versions, key=lambda candidate: abs(candidate.version - version), default=None)
