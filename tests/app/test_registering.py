"""Many homes are registered in few transactions, the start says how far it is, and what is refused is named."""

from decimal import Decimal
from pathlib import Path

import pytest

from meterspan.analytics.tariff import Band, Tariff
from meterspan.app import registering
from meterspan.app.central_system import CentralSystem
from meterspan.runtime.config import read_config
from meterspan.runtime.declared import ConfigError
from meterspan.store.databases import Database

NOW = 1_790_000_000.0
TARIFF = Tariff("flat", "EUR", "kWh", (Band("all", Decimal("0.3")),))


def homes(folder: Path, count: int, more: str = ""):
    """A configuration of homes with a meter for electricity and one for water each."""
    text = f'data = "{folder}"\n' + "".join(f'[[homes]]\nid = "h{number}"\n' for number in range(count))
    for number in range(count):
        for commodity in ("electricity", "water"):
            text += (
                f'[[meters]]\ndevice = "{commodity}{number}"\nhome = "h{number}"\ncommodity = "{commodity}"\n'
                'endpoint = "tcp://192.0.2.1:4059"\nsecurity = "none"\n'
            ) + ('tariff = "flat"\n' if commodity == "electricity" else "")
    return read_config(text + more)


def opened(config, progress=lambda *_: None, tariffs=(TARIFF,)):
    return CentralSystem(config, keys={}, master_key=bytes(32), tariffs=tariffs, clock=lambda: NOW, progress=progress)


@pytest.fixture
def written(monkeypatch):
    """Collect the names of the databases that are written to, once per transaction."""
    names: list[str] = []
    writing = Database.writing

    def noted(self):
        names.append(Path(self.name).name)
        return writing(self)

    monkeypatch.setattr(Database, "writing", noted)
    return names


@pytest.mark.finding("users F-size")
@pytest.mark.attack(10)
def test_a_start_writes_as_often_for_many_homes_as_for_few(tmp_path, written):
    counts = []
    for count in (2, 60):
        written.clear()
        opened(homes(tmp_path / str(count), count)).close()
        counts.append(len(written))
    assert counts[0] == counts[1] < 10


@pytest.mark.attack(10)
def test_a_further_start_of_the_same_configuration_writes_no_registration(tmp_path, written):
    config = homes(tmp_path / "data", 5)
    first = opened(config)
    known = first.data.homes()
    first.close()
    written.clear()
    again = opened(config)
    assert again.data.homes() == known
    again.close()
    assert written.count("registry.sqlite") == 1  # its version is compared


def test_the_start_says_how_many_meters_are_registered(tmp_path, monkeypatch):
    monkeypatch.setattr(registering, "PART", 4)
    steps = []
    opened(homes(tmp_path / "data", 5), lambda *step: steps.append(step)).close()
    assert [step for step in steps if step[0] == "meters registered"] == [
        ("meters registered", done, 10) for done in (4, 8, 10)
    ]


def test_a_second_meter_of_one_commodity_in_a_home_is_named_and_those_before_it_are_registered(tmp_path):
    more = (
        '[[meters]]\ndevice = "M9"\nhome = "h1"\nusage_point = "other"\nendpoint = "tcp://192.0.2.1:4059"\n'
        'security = "none"\n'
    )
    with pytest.raises(ConfigError) as refused:
        opened(homes(tmp_path / "data", 2, more))
    assert [fault.name for fault in refused.value.faults] == ["meters[4] (M9)"]
    opened(homes(tmp_path / "data", 2)).close()


def test_every_tariff_that_is_not_in_the_file_is_named(tmp_path):
    with pytest.raises(ConfigError) as refused:
        opened(homes(tmp_path / "data", 3), tariffs=())
    assert [fault.name for fault in refused.value.faults] == [f"meters[{index}].tariff" for index in (0, 2, 4)]


def test_a_tariff_in_another_unit_is_refused_with_the_meter_that_names_it(tmp_path):
    of_gas = Tariff("flat", "EUR", "m3", (Band("all", Decimal("0.3")),))
    with pytest.raises(ConfigError) as refused:
        opened(homes(tmp_path / "data", 2), tariffs=(of_gas,))
    assert [fault.name for fault in refused.value.faults] == ["meters[0] (electricity0)", "meters[2] (electricity1)"]
