"""The parts of a head end that a configuration fixes."""

import time
from pathlib import Path

import pytest

from meterspan.app.central_system import CentralSystem
from meterspan.head_end.inventory import DeviceKeys
from meterspan.model.cosem.scaler_unit import ScalerUnit
from meterspan.quantities import UNITS, Obis
from meterspan.runtime.config import read_config
from meterspan.runtime.declared import ConfigError
from meterspan.wire.axdr import octet_string, structure, unsigned
from meterspan.wire.xdlms import CaptureObjectDefinition, DataNotification, LongInvokeIdAndPriority, write_apdu

METER = """
[[homes]]
id = "h"
[[meters]]
device = "M1"
home = "h"
endpoint = ""
security = "none"
system_title = "4D5350000000002A"
push_objects = ["8/0-0:1.0.0/2", "3/1-0:1.8.0/2 kWh"]
"""


def test_a_push_object_list_that_is_given_names_the_plain_values_of_a_meter(tmp_path: Path) -> None:
    config = read_config(f'data = "{tmp_path}"\n{METER}')
    system = CentralSystem(config, keys={}, master_key=bytes(32), tariffs=(), clock=time.time)
    try:
        energy = Obis(1, 0, 1, 8, 0)
        assert system.head_end.layouts.objects_of("M1") == (
            CaptureObjectDefinition(8, Obis(0, 0, 1, 0, 0), 2),
            CaptureObjectDefinition(3, energy, 2),
        )
        assert system.head_end.scalers_of("M1") == {energy: ScalerUnit(3, UNITS["Wh"])}
    finally:
        system.close()


def test_a_reload_takes_what_the_entries_of_meters_say_about_pushes(tmp_path: Path) -> None:
    text = f'data = "{tmp_path}"\n{METER}'
    more = "insecure_plain_pushes = true\n"
    system = CentralSystem(read_config(text + more), keys={}, master_key=bytes(32), tariffs=(), clock=time.time)
    name, energy = octet_string(b"M1"), unsigned(5)
    push = write_apdu(DataNotification(LongInvokeIdAndPriority(3), structure(name, energy)))
    named = text.replace("8/0-0:1.0.0/2", "1/0-0:42.0.0/2")
    try:
        taken = []
        for config in (text + more, named + more, named):
            system.reload(read_config(config), {}, (), lambda question: question())
            taken.append(system.pushes.take(push, "peer", time.time()) is not None)
        assert taken == [False, True, False]
    finally:
        system.close()


TWO = """
[[homes]]
id = "h"
[[homes]]
id = "g"
[[meters]]
device = "M1"
home = "h"
endpoint = "tcp://127.0.0.1:1"
[[meters]]
device = "M2"
home = "g"
endpoint = "tcp://127.0.0.1:2"
"""


@pytest.mark.finding("dlms D3")
@pytest.mark.attack(4)
def test_two_meters_with_one_key_are_refused_by_name_with_the_remedy(tmp_path: Path) -> None:
    config = read_config(f'data = "{tmp_path}"\n{TWO}')
    same = {name: DeviceKeys(bytes(range(16)), bytes([number] * 16)) for number, name in enumerate(("M1", "M2"))}
    with pytest.raises(ConfigError, match=r"device M2.*key of M1.*a key of its own") as caught:
        CentralSystem(config, keys=same, master_key=bytes(32), tariffs=(), clock=time.time)
    assert bytes(range(16)).hex() not in str(caught.value)
    own = same | {"M2": DeviceKeys(bytes(range(1, 17)), bytes(16))}
    CentralSystem(config, keys=own, master_key=bytes(32), tariffs=(), clock=time.time).close()


@pytest.mark.finding("dlms D3")
def test_a_key_that_comes_to_be_shared_later_is_refused_too(tmp_path: Path) -> None:
    config = read_config(f'data = "{tmp_path}"\n{TWO}')
    keys = {name: DeviceKeys(bytes([number] * 16), bytes(16)) for number, name in enumerate(("M1", "M2"), 1)}
    CentralSystem(config, keys=keys, master_key=bytes(32), tariffs=(), clock=time.time).close()
    with pytest.raises(ConfigError, match="M1"):
        CentralSystem(config, keys={"M2": keys["M1"]}, master_key=bytes(32), tariffs=(), clock=time.time)
    CentralSystem(config, keys={}, master_key=bytes(32), tariffs=(), clock=time.time).close()
