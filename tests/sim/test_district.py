"""A district lives through its bad day: everything that was measured is stored exactly once, and nothing else."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from meterspan.mdm import MeterDataManagement
from meterspan.model.quarantine import Fault
from meterspan.model.readings import CaptureBlock, CaptureColumn, Source
from meterspan.quantities import UNITS, Commodity, Obis
from meterspan.sim.district import District, DistrictConfig, midnight_after
from meterspan.sim.faults import FaultKind
from meterspan.sim.homes import Reach
from meterspan.sim.report import completeness, report, verify

BERLIN = ZoneInfo("Europe/Berlin")
DST_DAY = datetime(2026, 10, 25, tzinfo=BERLIN).timestamp()
IMPORT = Obis(1, 0, 1, 8, 0)


@pytest.fixture
def data(tmp_path):
    with MeterDataManagement(tmp_path) as management:
        yield management


def lived(data, **config):
    """A district after its run and the recovery of its gaps."""
    district = District(DistrictConfig(**{"start": DST_DAY, "homes": 4, "hours": 4.5} | config), data)
    district.run_until(district.config.end)
    while district.owed(district.config.end) and district.now < district.config.end + 7_200:
        district.run_until(district.now + 300)
    return district


def story(district, device):
    return [entry.kind for entry in district.head_end.device_log.entries(device)]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_over_the_clock_change_and_all_faults_every_register_is_stored_as_it_was_measured(data, seed):
    district = lived(data, seed=seed)
    end = district.config.end
    counted = completeness(district, end)
    assert counted.received == counted.expected > 200
    assert verify(district, end) == []
    assert data.unexplained() == []
    assert data.totals().conflicts == 0


def test_every_fault_is_seen_and_told(data):
    district = lived(data)
    faults = {happening.fault.kind: happening for happening in district.happenings}
    assert set(faults) == set(FaultKind) - {FaultKind.REGISTER_RESET}
    kept = district.head_end.quarantine.counts
    assert {Fault.WRONG_KEY, Fault.REPLAYED, Fault.DAMAGED, Fault.UNKNOWN_DEVICE} <= set(kept)
    mistyped = faults[FaultKind.WRONG_KEY]
    assert mistyped.counts["reopened"] > 10
    replayed = faults[FaultKind.REPLAY].counts
    assert 0 < replayed["refused"] <= replayed["sent again"]
    assert faults[FaultKind.LOST_FRAMES].counts["telegrams lost"] > 0
    assert {"quarantined", "re-keyed"} <= set(story(district, mistyped.fault.target))
    exchanged = faults[FaultKind.EXCHANGE].fault.target
    assert {"exchanged", "removed", "read"} <= set(story(district, exchanged))
    assert "power" in story(district, faults[FaultKind.POWER_OUTAGE].fault.target)


def test_all_interfaces_protocols_and_ways_of_delivery_are_used(data):
    district = lived(data)
    found = report(district, district.config.end, differences=[])
    assert set(found["interfaces"]) == {"G1", "H1", "H2", "M"}
    assert set(found["meters"]["by_protocol"]) == {"dlms-wrapper", "dlms-hdlc", "p1", "wmbus"}
    assert {"push", "scheduled_read"} <= set(found["first_came_by"])
    assert found["sessions"]["rows_pushed"] > 100
    assert 0.5 < found["completeness"]["before_gap_recovery"] <= 1.0
    assert found["completeness"]["after_gap_recovery"] == 1.0


def test_the_same_seed_gives_the_same_day(tmp_path):
    reports = []
    for name in ("first", "second"):
        with MeterDataManagement(tmp_path / name) as management:
            district = lived(management, homes=2, hours=2.0)
            reports.append(report(district, district.config.end, differences=verify(district, district.config.end)))
    assert reports[0] == reports[1]


def test_a_register_that_nobody_measured_is_found(data):
    district = lived(data, homes=2, hours=1.0, with_faults=False)
    device = district.homes[0].electricity.device
    end = int(district.config.end)
    nothing = np.zeros(1, np.int32)
    column = CaptureColumn(IMPORT, UNITS["Wh"], 0, np.array([1], np.int64))
    data.take([CaptureBlock(device, Source.MANUAL, end, np.array([end - 7]), (column,), nothing, nothing)])
    assert any(f"{device} {IMPORT}" in line and "stored 1" in line for line in verify(district, end))


def test_a_mark_that_is_not_stored_is_found(data):
    district = District(DistrictConfig(DST_DAY, homes=1, hours=1.0, with_faults=False), data)
    district.run_until(district.config.end)
    assert any("nothing is stored" in line for line in verify(district, district.config.end))


def test_an_access_point_that_lost_its_power_goes_on_with_what_it_kept(data):
    district = District(DistrictConfig(DST_DAY, homes=3, hours=2.0, with_faults=False), data)
    host = district.buildings[0].host
    district.run_until(DST_DAY + 2_000)
    before = host.point
    rows = {channel.meter.device: len(channel.rows) for channel in before.channels}
    host.power_down()
    district.pushes.detach(host.name)
    assert (host.point, host.logical) == (None, None)
    district.run_until(DST_DAY + 2_400)
    host.power_up()
    district.pushes.attach(host)
    assert host.point is not before
    assert {channel.meter.device: len(channel.rows) for channel in host.point.channels} == rows
    district.run_until(DST_DAY + 2 * 3_600 + 900)
    assert verify(district, DST_DAY + 2 * 3_600 - 3_600) == []


def test_a_district_that_is_live_tells_the_power_every_few_seconds(data):
    district = District(DistrictConfig(DST_DAY, homes=2, days=1), data)
    district.run_until(DST_DAY + 1_800)
    district.watch_displays()
    district.go_live()
    district.run_until(DST_DAY + 1_900)
    view = data.live("home-01", datetime.fromtimestamp(district.now, UTC))
    assert view.power_w is not None
    assert (datetime.fromtimestamp(district.now, UTC) - view.power_at).total_seconds() <= 10


def test_a_building_mixes_all_ways_of_reading(data):
    district = District(DistrictConfig(DST_DAY, homes=4, hours=1.0), data)
    assert {home.electricity.reach for home in district.homes} == set(Reach)
    for home in district.homes:
        commodities = {radio.commodity for radio in home.radios}
        assert Commodity.WATER in commodities
        assert len(commodities & {Commodity.GAS, Commodity.HEAT}) == 1


@pytest.mark.parametrize(("day", "hours"), [((2026, 10, 25), 25), ((2026, 3, 29), 23), ((2026, 7, 1), 24)])
def test_a_run_of_one_day_ends_at_the_next_local_midnight(day, hours):
    start = datetime(*day, tzinfo=BERLIN).timestamp()
    assert midnight_after(start, "Europe/Berlin", 1) == start + 3_600 * hours


def test_a_living_district_always_has_a_meter_that_is_not_reached_and_heals_it(data):
    district = District(DistrictConfig(DST_DAY, homes=2, days=1), data)
    district.run_until(DST_DAY + 600)
    district.go_live()
    district.run_until(DST_DAY + 3_600 + 1_500)
    failing = [device for device in district.head_end.inventory if district.head_end.last_failure(device.device)]
    assert len(failing) == 1  # homes 1 and 2 take turns
    district.run_until(DST_DAY + 3 * 3_600 - 300)
    assert district.head_end.last_failure(failing[0].device) is None
    assert "recovered" in story(district, failing[0].device)
