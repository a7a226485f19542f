"""The configuration of ``serve``: what types cannot say is checked, and every fault names its entry."""

import re
from datetime import UTC, datetime

import pytest

from meterspan.engine.links import DeviceProtocol
from meterspan.model.cosem.scaler_unit import ScalerUnit
from meterspan.model.names import name_fault
from meterspan.quantities import CATALOGUE, UNITS, Commodity, Obis
from meterspan.runtime.config import (
    MeterEntry,
    ServeConfig,
    channels_of,
    place_of,
    protocol_of,
    push_objects_of,
    read_config,
)
from meterspan.runtime.declared import ConfigError, annotated_example
from meterspan.runtime.endpoints import EndpointError
from meterspan.wire.xdlms import CaptureObjectDefinition

METER = '[[meters]]\ndevice = "M1"\nhome = "h"\n'
POINT = '[[access_points]]\ndevice = "AP"\nsystem_title = "4D53504C00000001"\n'
HOME = 'data = "d"\n[[homes]]\nid = "h"\n'


def faults(text):
    """What is wrong with a configuration, one text per fault."""
    try:
        read_config(text)
    except ConfigError as error:
        return [re.sub(r"^line \d+: ", "", str(fault)) for fault in error.faults]
    return []


def meter(more):
    """The faults of one meter, without the words before its own field."""
    prefix = "meters[0] (M1)."
    return [fault.removeprefix(prefix) for fault in faults(HOME + POINT + METER + more)]


def test_the_optional_lines_of_the_example_are_valid_too():
    lines = annotated_example(ServeConfig).splitlines()
    bare = [line.removeprefix("# ") if line.startswith("# ") and " = " in line else line for line in lines]
    needs_driver = ("#", "registry = ")  # the driver of PostgreSQL need not be installed
    config = read_config("\n".join(line for line in bare if not line.startswith(needs_driver)))
    assert config.portal.port == 8080
    assert config.meters[0].installed_at == datetime(2026, 10, 25, tzinfo=UTC)


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ('endpoint = "tcp://10.0.0.1:4059"', ""),
        ('endpoint = "hdlc+tcp://10.0.0.1:4059"', ""),
        ('endpoint = "via:AP"\nmbus_channel = 1', ""),
        ('endpoint = "via:AP"\nprofile = "0-1:24.3.0"', ""),
        ('endpoint = ""\nsystem_title = "4D5350000000002A"', ""),
        ('endpoint = "serial:///dev/ttyUSB0"', "endpoint: "),
        ('endpoint = "10.0.0.1"', "endpoint: '10.0.0.1' is no endpoint"),
        ('endpoint = ""', "endpoint: say where it is read, or under which system_title it pushes"),
        ('endpoint = "via:AP"', "mbus_channel: say which channel of the access point it is"),
        ('endpoint = "via:XX"\nmbus_channel = 1', "endpoint: there is no such access point"),
        ('endpoint = ""\nsystem_title = "4D53"', "system_title: '4D53' is no system title"),
        ('endpoint = ""\nsystem_title = "4D535000000000ZZ"', "system_title: '4D535000000000ZZ' is no system title"),
        ('endpoint = "tcp://1.2.3.4:1"\nperiod_s = 7000', "period_s: 7000 s does not divide a day"),
        ('endpoint = "tcp://1.2.3.4:1"\nperiod_s = 0', "period_s: 0 s does not divide a day"),
        ('endpoint = "tcp://1.2.3.4:1"\nchannels = ["power"]', "channels: "),
        ('endpoint = "tcp://1.2.3.4:1"\nprofile = "power"', "channels: "),
        ('endpoint = "tcp://1.2.3.4:1"\npush_objects = ["8/0-0:1.0.0/2", "3/1-0:1.8.0/2 kWh"]', ""),
        ('endpoint = "tcp://1.2.3.4:1"\npush_objects = ["1-0:1.8.0"]', "push_objects: '1-0:1.8.0' is not class/OBIS/"),
        ('endpoint = "tcp://1.2.3.4:1"\npush_objects = ["3/1-0:1.8.0/2 apples"]', "push_objects: "),
    ],
)
def test_a_meter_is_sound_or_its_one_fault_is_named_with_its_field(entry, told):
    found = meter(entry)
    assert len(found) == bool(told)
    assert all(fault.startswith(told) for fault in found)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            HOME + METER.replace('"h"', '"g"') + 'endpoint = "tcp://1.2.3.4:1"',
            "meters[0] (M1).home: there is no home 'g'; declare it under [[homes]]",
        ),
        ('data = "d"\nzone = "Mars/Base"', "zone: 'Mars/Base' is no time zone"),
        ('data = "d"\nzone = "/etc/passwd"', "zone: '/etc/passwd' is no time zone"),
        (HOME + 'zone = "Mars/Base"', "homes[0].zone: 'Mars/Base' is no time zone"),
        (f'system_title = "00"\n{HOME}', "system_title: '00' is no system title"),
        (HOME + POINT.replace("4D", ""), "access_points[0].system_title: '53504C00000001' is no system title"),
        (HOME + POINT + 'endpoint = "via:AP"', "access_points[0].endpoint: "),
        (
            HOME + POINT + METER.replace("M1", "AP") + 'endpoint = "tcp://1.2.3.4:1"',
            "meters[0].device: AP is declared twice, first in access_points[0].device",
        ),
    ],
)
def test_names_that_do_not_fit_together_are_told(text, told):
    (found,) = faults(text)
    assert found.startswith(told)


@pytest.mark.attack(8)
@pytest.mark.parametrize("name", ["a/b", "../x?y#z", "50%", "a\\b", "..", "a\nb", "a\x1bb", " a", "n" * 129])
def test_a_name_that_no_address_or_line_holds_is_refused_wherever_one_is_given(name):
    odd = '"' + name.replace("\\", "\\\\").replace("\n", "\\n").replace("\x1b", "\\u001b") + '"'
    places = {
        "homes[0].id": f'data = "d"\n[[homes]]\nid = {odd}\n',
        "networks[0].name": f'data = "d"\n[[networks]]\nname = {odd}\n',
        "access_points[0].device": f"{HOME}{POINT.replace(chr(34) + 'AP' + chr(34), odd)}",
        "access_points[0].network": f"{HOME}{POINT}network = {odd}\n",
    }
    for place, text in places.items():
        assert [fault.partition(": ")[0] for fault in faults(text)] == [place]
    for field in ("usage_point", "network"):
        assert [fault.partition(": ")[0] for fault in meter(f'endpoint = "tcp://1.2.3.4:1"\n{field} = {odd}')] == [
            field
        ]
    assert name_fault(name)


@pytest.mark.parametrize(
    "name", ["LGZ1030655933512", "MSP-12345678-07", "DE0001234567890123456789012345678", "Haus 3 Süd"]
)
def test_identifications_of_devices_and_usage_points_are_names(name):
    assert name_fault(name) == ""


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00+14:00", "1700-01-01T00:00:00Z", "9999-12-31T23:59:59-12:00"])
def test_a_time_at_which_no_meter_was_installed_is_refused(moment):
    (fault,) = meter(f'endpoint = "tcp://1.2.3.4:1"\ninstalled_at = {moment}')
    assert fault.startswith("installed_at: ")
    assert fault.endswith("is no time at which a meter was installed")


def test_a_portal_for_other_machines_needs_the_option_that_calls_it_insecure():
    text = 'data = "d"\n[portal]\nhost = "192.0.2.7"\n'
    (found,) = faults(text)
    assert found.startswith("portal.host: 192.0.2.7 lets other machines in")
    assert "insecure_without_login" in found
    assert faults(text + "insecure_without_login = true\n") == []


def test_every_fault_is_told_at_once():
    text = f'zone = "x"\n{HOME}zone = "y"\n{POINT}{METER}endpoint = ""\nperiod_s = 7\n'
    assert len(faults(text)) == 4


@pytest.mark.parametrize("commodity", Commodity)
def test_a_meter_owes_the_registers_of_its_supply_unless_it_names_its_own(commodity):
    owed, profile = channels_of(MeterEntry("M1", "h", "tcp://1.2.3.4:1", commodity))
    supply = CATALOGUE[commodity]
    assert (set(owed), profile) == (set(supply.registers.values()), supply.profile)
    assert owed[0] == supply.register
    own = MeterEntry("M1", "h", "tcp://1.2.3.4:1", commodity, channels=("1-0:1.8.1",), profile="1-0:99.2.0")
    assert channels_of(own) == ((Obis(1, 0, 1, 8, 1),), Obis(1, 0, 99, 2, 0))


def test_a_meter_behind_an_access_point_is_captured_in_the_profile_of_its_channel():
    entry = MeterEntry("M1", "h", "via:AP", Commodity.WATER, mbus_channel=3)
    assert channels_of(entry)[1] == Obis(0, 3, 24, 3, 0)
    own = MeterEntry("M1", "h", "via:AP", Commodity.WATER, mbus_channel=3, profile="1-0:99.2.0")
    assert channels_of(own)[1] == Obis(1, 0, 99, 2, 0)


@pytest.mark.parametrize(
    ("endpoint", "protocol", "place"),
    [
        ("tcp://10.0.0.1:4059", DeviceProtocol.DLMS_WRAPPER, "10.0.0.1:4059"),
        ("hdlc+tcp://[fe80::1]:4059", DeviceProtocol.DLMS_HDLC, "[fe80::1]:4059"),
        ("", DeviceProtocol.DLMS_WRAPPER, ""),
    ],
)
def test_the_inventory_keeps_how_and_where_a_meter_is_read(endpoint, protocol, place):
    assert (protocol_of(endpoint), place_of(endpoint)) == (protocol, place)


def test_an_endpoint_without_sessions_has_no_place():
    with pytest.raises(EndpointError):
        place_of("serial:///dev/ttyUSB0")


def test_a_given_push_object_list_has_its_attributes_in_order_and_the_scales_that_it_names():
    text = HOME + METER + 'endpoint = "tcp://1.2.3.4:1"\npush_objects = ["8/0-0:1.0.0/2", "3/1-0:1.8.0/2 kWh"]'
    (entry,) = read_config(text).meters
    energy = Obis(1, 0, 1, 8, 0)
    objects, scales = push_objects_of(entry)
    assert objects == (CaptureObjectDefinition(8, Obis(0, 0, 1, 0, 0), 2), CaptureObjectDefinition(3, energy, 2))
    assert scales == {energy: ScalerUnit(3, UNITS["Wh"])}
