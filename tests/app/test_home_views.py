"""The operator's page of a home: a meter is late when it was silent for too long, and its story is what was noted."""

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterspan.analytics.completeness import share_received
from meterspan.app.home_views import LATE_AFTER_S, HomeNetworkViews
from meterspan.head_end.device_log import DeviceLog, Entry, Frame
from meterspan.head_end.views import LEFT_OUT_NAMED
from meterspan.model.damage import Damage
from meterspan.model.lookup_errors import UnknownMeterError
from meterspan.model.quarantine import REFUSED_ALARM_AT, FrameFault, FrameQuarantine, QuarantinedFrame, RefusalTally
from meterspan.model.views import CompletenessCell, CompletenessView, Home, MeterState, UsagePointView
from meterspan.quantities import Commodity

NOW = datetime(2026, 7, 2, 12, tzinfo=UTC)
TODAY = NOW.date()
SECOND = timedelta(seconds=1)


@dataclass
class Heard:
    interface: str
    heard_at: float


class Data:
    """What a home asks of its data management."""

    def __init__(self, devices, cells):
        self.devices, self.cells = devices, cells

    def home(self, home_id):
        points = [UsagePointView(f"P-{name}", commodity, name, "kWh") for name, commodity in self.devices.items()]
        return Home(home_id, "Home", "Europe/Berlin", tuple(points))

    def completeness(self, first, last, *, until):
        assert until == NOW
        return [
            CompletenessView(name, commodity, "home", tuple(cell for cell in self.cells if first <= cell.day <= last))
            for name, commodity in self.devices.items()
        ]


class Numbers:
    def unexplained_wh(self):
        return 7

    def readings_stored(self):
        return 42

    def damage(self):
        return [Damage(f"usage point {number}", "impossible") for number in range(7)]


def explain(octets, protocol):
    return f"{protocol} {len(octets)}", ()


def home(devices, heard=(), cells=()):
    host = SimpleNamespace(
        data=Data(devices, cells),
        config=SimpleNamespace(home_id="home"),
        meters=dict(heard),
        device_log=DeviceLog(),
        point=SimpleNamespace(quarantine=FrameQuarantine(), refusals=RefusalTally()),
    )
    return host, HomeNetworkViews(
        host, Numbers(), lambda octets, protocol: (f"{protocol} {len(octets)}", ()), lambda: NOW
    )


ONE = {"M1": Commodity.ELECTRICITY}


@given(st.sampled_from(sorted(LATE_AFTER_S)), st.integers(0, 10_000))
def test_a_meter_is_late_once_it_was_silent_for_longer_than_its_interface_ever_is(interface, silent_s):
    _, views = home(ONE, {"M1": Heard(interface, (NOW - silent_s * SECOND).timestamp())})
    (line,) = views.meters(NOW)
    assert line.state is (MeterState.LATE if silent_s > LATE_AFTER_S[interface] else MeterState.OK)
    assert bool(line.reason) == (line.state is MeterState.LATE)
    assert line.last_heard == NOW - silent_s * SECOND
    assert line.interface == interface


@pytest.mark.finding("security M10")
def test_a_meter_whose_every_telegram_is_refused_is_failing_until_one_is_taken():
    host, views = home(ONE, {"M1": Heard("M", NOW.timestamp())})
    for count in range(1, REFUSED_ALARM_AT + 3):
        host.point.refusals.refused("M1", NOW.timestamp())
        (line,) = views.meters(NOW)
        is_failing = count >= REFUSED_ALARM_AT
        assert line.state is (MeterState.FAILING if is_failing else MeterState.OK)
        assert (f"The last {count} messages" in str(line.reason)) == is_failing
    host.point.refusals.taken("M1")
    assert views.meters(NOW)[0].state is MeterState.OK


def test_a_meter_that_was_not_heard_yet_is_late_and_stands_first():
    devices = {"A": Commodity.ELECTRICITY, "B": Commodity.WATER}
    _, views = home(devices, {"A": Heard("H1", NOW.timestamp())})
    assert [(line.device, line.state, line.last_heard) for line in views.meters(NOW)] == [
        ("B", MeterState.LATE, None),
        ("A", MeterState.OK, NOW),
    ]


@given(st.lists(st.tuples(st.integers(0, 96), st.integers(0, 100)), min_size=2, max_size=2))
def test_the_headline_adds_up_today_and_yesterday_over_all_meters(days):
    cells = [CompletenessCell(TODAY - timedelta(days=ago), *counts) for ago, counts in enumerate(days)]
    devices = {"A": Commodity.ELECTRICITY, "B": Commodity.WATER}
    _, views = home(devices, {"A": Heard("H1", NOW.timestamp())}, cells)
    found = views.summary(NOW)
    (expected, received), (expected_before, received_before) = days
    assert (found.expected_today, found.received_today) == (2 * expected, 2 * received)
    assert found.completeness_today == share_received(2 * received, 2 * expected)
    assert found.completeness_yesterday == share_received(2 * received_before, 2 * expected_before)
    assert dict(found.by_state) == {MeterState.OK: 1, MeterState.LATE: 1}
    assert dict(found.by_commodity) == Counter(devices.values())
    assert (found.meters, found.unexplained_wh, found.readings_stored) == (2, 7, 42)
    assert (found.damaged, found.left_out) == (7, tuple(f"usage point {number}" for number in range(LEFT_OUT_NAMED)))
    assert [item.item for item in views.damage()][:5] == list(found.left_out)


def test_a_story_has_what_was_noted_of_the_meter_newest_first_and_its_frames_explained():
    cells = [CompletenessCell(date(2026, 7, 1), 96, 90)]
    host, views = home(ONE, {"M1": Heard("H1", NOW.timestamp())}, cells)
    host.device_log.note("M1", Entry(1.0, "heard", "First telegram"))
    host.device_log.note("M1", Entry(2.0, "late", "Silent"))
    host.device_log.frame("M1", Frame(3.0, False, "P1", b"\xab\xcd"))
    story = views.story("M1", NOW)
    assert [entry.title for entry in story.entries] == ["Silent", "First telegram"]
    assert [(frame.octets, frame.summary, frame.direction) for frame in story.frames] == [("ABCD", "P1 2", "received")]
    assert (story.status.expected, story.status.received, story.status.missing) == (96, 90, 6)
    assert story.cells == tuple(cells)


def test_a_meter_of_another_home_has_no_story():
    with pytest.raises(UnknownMeterError):
        home(ONE)[1].story("M2", NOW)


def test_frames_kept_aside_are_listed_newest_first_within_the_limit():
    host, views = home(ONE)
    for number in range(5):
        host.point.quarantine.keep(QuarantinedFrame(float(number), "radio", FrameFault.DAMAGED, "CRC", bytes([number])))
    assert [(view.octets, view.kind) for view in views.quarantine(2)] == [("04", "damaged"), ("03", "damaged")]
