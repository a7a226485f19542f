"""A living district: it catches up with the present in slices, lives in it, and reports a fault to its owner."""

import threading
from datetime import UTC, datetime

import pytest

from meterspan.app import living
from meterspan.app.living import SETTLE_EVERY_S, SLICE_S, LivingDistrict

PRESENT = 1_792_800_000.0
PATIENCE_S = 10


class Clock:
    """A wall clock that a test moves."""

    def __init__(self):
        self.time = PRESENT

    def __call__(self):
        return self.time

    def utc(self):
        return datetime.fromtimestamp(self.time, UTC)


class District:
    """What a thread asks of a district; it notes the slices."""

    def __init__(self, behind_s, fail_at=None):
        self.now = PRESENT - behind_s
        self.data = self
        self.slices = []
        self.maintained = []
        self.is_live = self.is_watched = False
        self.fail_at = fail_at
        self.reached = threading.Condition()

    def watch_displays(self):
        self.is_watched = True

    def go_live(self):
        self.is_live = True

    def run_until(self, until):
        if self.fail_at is not None and until >= self.fail_at:
            raise RuntimeError("the district broke")
        with self.reached:
            self.slices.append(until - self.now)
            self.now = until
            self.reached.notify_all()

    def maintain(self, now):
        self.maintained.append(now)


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch):
    monkeypatch.setattr(living, "PAUSE_S", 0.01)


def test_it_catches_up_in_slices_that_keep_no_page_waiting_and_then_goes_live():
    district, progress = District(10 * SLICE_S), []
    home = LivingDistrict(district, Clock(), on_progress=progress.append)
    assert home.now() == datetime.fromtimestamp(PRESENT - 10 * SLICE_S, UTC)
    home.start()
    assert home.caught_up.wait(PATIENCE_S)
    home.stop()
    assert (district.is_watched, district.is_live, district.now) == (True, True, PRESENT)
    assert max(district.slices) <= SLICE_S
    assert progress == sorted(progress)
    assert progress[-1] == PRESENT
    assert home.now() == datetime.fromtimestamp(PRESENT, UTC)


def test_it_follows_the_wall_clock_in_slices_also_after_a_long_sleep_of_the_machine():
    district, clock = District(0), Clock()
    home = LivingDistrict(district, clock)
    home.start()
    assert home.caught_up.wait(PATIENCE_S)
    clock.time += 5 * SLICE_S
    with district.reached:
        assert district.reached.wait_for(lambda: district.now == clock.time, PATIENCE_S)
    home.stop()
    assert max(district.slices) <= SLICE_S


def test_while_a_page_has_the_lock_nothing_changes():
    district = District(10 * SLICE_S)
    home = LivingDistrict(district, Clock())
    with home.lock:
        home.start()
        assert not home.caught_up.wait(0.05)
        assert district.slices == []
    assert home.caught_up.wait(PATIENCE_S)
    home.stop()


def test_what_has_passed_is_settled_every_few_hours():
    district = District(2.5 * SETTLE_EVERY_S)
    home = LivingDistrict(district, Clock())
    home.start()
    assert home.caught_up.wait(PATIENCE_S)
    home.stop()
    first = PRESENT - 1.5 * SETTLE_EVERY_S
    assert [time.timestamp() for time in district.maintained] == [first, first + SETTLE_EVERY_S]


def test_a_fault_ends_the_thread_and_is_kept_for_its_owner():
    home = LivingDistrict(District(10 * SLICE_S, fail_at=PRESENT - SLICE_S), Clock())
    home.start()
    home._thread.join(PATIENCE_S)
    assert "the district broke" in str(home.fault)
    assert not home.caught_up.is_set()
