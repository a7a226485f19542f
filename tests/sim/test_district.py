"""A district lives through its bad day: everything that was measured is stored exactly once, and nothing else."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from meterspan.mdm import MeterDataManagement
from meterspan.model.quarantine import FrameFault
from meterspan.quantities import Obis
from meterspan.sim.district import District, DistrictConfig, midnight_after
from meterspan.sim.faults import FaultKind
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


@pytest.fixture(scope="module")
def bad_day(tmp_path_factory):
    """A district after its bad day; only looked at by tests."""
    with MeterDataManagement(tmp_path_factory.mktemp("district")) as management:
        yield lived(management)


@pytest.mark.parametrize("seed", [2, 3])
def test_over_the_clock_change_and_all_faults_every_register_is_stored_as_it_was_measured(data, seed):
    assert_all_is_stored(lived(data, seed=seed))


def test_so_it_is_on_the_bad_day_that_all_others_look_at(bad_day):
    assert_all_is_stored(bad_day)


def assert_all_is_stored(district):
    end = district.config.end
    counted = completeness(district, end)
    assert counted.received == counted.expected > 200
    assert verify(district, end) == []
    assert district.data.unexplained() == []
    assert district.data.totals().conflicts == 0


def test_every_fault_is_seen_and_told(bad_day):
    district = bad_day
    faults = {happening.fault.kind: happening for happening in district.happenings}
    assert set(faults) == set(FaultKind) - {FaultKind.REGISTER_RESET}
    kept = district.head_end.quarantine.counts
    assert {FrameFault.WRONG_KEY, FrameFault.REPLAYED, FrameFault.DAMAGED, FrameFault.UNKNOWN_DEVICE} <= set(kept)
    mistyped = faults[FaultKind.WRONG_KEY]
    assert mistyped.counts["reopened"] > 10
    replayed = faults[FaultKind.REPLAY].counts
    assert 0 < replayed["refused"] <= replayed["sent again"]
    assert faults[FaultKind.LOST_FRAMES].counts["telegrams lost"] > 0
    assert {"quarantined", "re-keyed"} <= set(story(district, mistyped.fault.target))
    exchanged = faults[FaultKind.EXCHANGE].fault.target
    assert {"exchanged", "removed", "read"} <= set(story(district, exchanged))
    assert "power" in story(district, faults[FaultKind.POWER_OUTAGE].fault.target)


def test_all_interfaces_protocols_and_ways_of_delivery_are_used(bad_day):
    district = bad_day
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


def test_a_district_that_is_live_tells_the_power_every_few_seconds(data):
    district = District(DistrictConfig(DST_DAY, homes=2, days=1), data)
    district.run_until(DST_DAY + 1_800)
    district.watch_displays()
    district.go_live()
    district.run_until(DST_DAY + 1_900)
    view = data.live("home-01", datetime.fromtimestamp(district.now, UTC))
    assert view.power_w is not None
    assert (datetime.fromtimestamp(district.now, UTC) - view.power_at).total_seconds() <= 10


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


def test_no_key_of_the_district_is_in_a_story_in_quarantine_in_a_record_or_on_disk(bad_day, tmp_path_factory):
    head_end, folder = bad_day.head_end, tmp_path_factory.getbasetemp()
    opened = [head_end.custody.keys_of(device) for device in head_end.inventory]
    secrets = {
        key
        for keys in opened
        for key in (keys.global_unicast, keys.authentication, keys.password, keys.radio)
        if key is not None
    }
    assert len(secrets) > len(opened)
    records = [head_end.quarantine.newest(500)]
    for device in head_end.inventory:
        records += [device, head_end.device_log.entries(device.device), head_end.device_log.frames(device.device)]
    files = [path.read_bytes() for path in folder.glob("district*/**/*") if path.is_file()]
    assert files
    shown = repr(records).encode() + b"".join(files)
    octets = b"".join(frame.octets for frame in head_end.quarantine.newest(500))
    leaks = [
        key for key in secrets for form in (key, key.hex().encode(), repr(key)[2:-1].encode()) if form in shown + octets
    ]
    assert leaks == []
