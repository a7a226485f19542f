"""The parts of a head end that a configuration fixes."""

import time
from pathlib import Path

from meterspan.app.central_system import CentralSystem
from meterspan.model.cosem.scaler_unit import ScalerUnit
from meterspan.quantities import UNITS, Obis
from meterspan.runtime.config import read_config
from meterspan.wire.xdlms import CaptureObjectDefinition

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
