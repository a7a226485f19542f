"""The proof of a district's run: any difference between what is stored and what was measured is found and told."""

import json
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from meterspan.mdm import MeterDataManagement
from meterspan.quantities import Obis
from meterspan.sim import report as reports
from meterspan.sim.district import District, DistrictConfig
from meterspan.sim.faults import FaultKind
from meterspan.sim.report import Completeness, completeness, report, verify

DST_DAY = datetime(2026, 10, 25, tzinfo=ZoneInfo("Europe/Berlin")).timestamp()
IMPORT = Obis(1, 0, 1, 8, 0)


@pytest.fixture(scope="module")
def district(tmp_path_factory):
    """A quiet hour of two homes, with what is still to be pushed at its end brought in."""
    with MeterDataManagement(tmp_path_factory.mktemp("district")) as management:
        district = District(DistrictConfig(DST_DAY, homes=2, hours=1.0, with_faults=False), management)
        while district.owed(district.config.end) and district.now < district.config.end + 3_600:
            district.run_until(max(district.config.end, district.now + 300))
        yield district


def test_a_run_without_a_difference_is_proved_by_an_empty_list(district):
    assert verify(district, district.config.end) == []
    counted = completeness(district, district.config.end)
    assert counted.received == counted.expected > 0


def lines_of(district, device):
    return [line for line in verify(district, district.config.end) if line.startswith(f"{device} {IMPORT}")]


def test_a_register_that_nobody_measured_is_found(district, monkeypatch):
    point = district.homes[0].electricity
    time, shown = next(iter(point.rows.items()))
    monkeypatch.delitem(point.rows, time)
    (line,) = lines_of(district, point.device)
    assert line.endswith(f"stored {shown[0]}, no register was shown then")


def test_a_register_that_was_measured_otherwise_is_found(district, monkeypatch):
    point = district.homes[0].electricity
    time, shown = next(iter(point.rows.items()))
    monkeypatch.setitem(point.rows, time, (shown[0] + 1, shown[1]))
    (line,) = lines_of(district, point.device)
    assert line.endswith(f"stored {shown[0]}, the meter showed {shown[0] + 1}")


def test_a_mark_that_is_not_stored_is_found_and_the_list_ends_where_more_says_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(reports, "DIFFERENCES_MAX", 3)
    with MeterDataManagement(tmp_path) as management:
        district = District(DistrictConfig(DST_DAY, homes=1, hours=1.0, with_faults=False), management)
        differences = verify(district, district.config.end)
    assert all("nothing is stored (home-01)" in line for line in differences[:3])
    assert differences[3:] == ["and more"]


def test_the_report_is_json_and_counts_what_the_head_end_and_the_data_management_count(district):
    found = json.loads(json.dumps(report(district, district.config.end, differences=["a", "b"])))
    counted = completeness(district, district.config.end)
    assert found["district"]["quarter_hours"] == 4
    assert found["completeness"]["expected"] == counted.expected
    assert found["completeness"]["missing"] == 0
    assert found["readings_stored"] == district.data.totals().readings > 0
    assert sum(found["meters"]["by_protocol"].values()) == found["meters"]["total"] == 6
    assert found["verification"] == {"differences": 2, "examples": ["a", "b"]}
    assert found["faults"] == []


def test_the_report_has_a_word_for_how_each_kind_of_fault_is_handled():
    assert set(reports._HANDLED) == set(FaultKind)


def test_completeness_is_one_only_where_nothing_is_missing():
    assert Completeness(0, 0).share is None
    assert Completeness(100_000, 99_999).share == 0.9999
    assert Completeness(4, 4).share == 1.0
    assert Completeness(4, 3).share == 0.75
