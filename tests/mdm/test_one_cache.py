"""What was asked before changes no answer: after any order of changes, an instance that has kept what it derived, one
that was opened again, and a new one that was fed the same without a question, all answer alike.
"""

import tempfile
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import ClassVar

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from meterspan.analytics.tariff import Band, Tariff
from meterspan.mdm import MeterDataManagement
from meterspan.model.readings import CaptureBlock, CaptureColumn, Source
from meterspan.quantities import UNITS, Commodity, Direction, Interval, Obis, Scaled
from tests.store.memory_backends import MemoryJournal, MemoryRegistry

TOTAL, DAY_RATE, EXPORT, POWER = Obis(1, 0, 1, 8, 0), Obis(1, 0, 1, 8, 1), Obis(1, 0, 2, 8, 0), Obis(1, 0, 1, 7, 0)
VOLUME = Obis(7, 0, 3, 0, 0)
UNIT = {TOTAL: "Wh", DAY_RATE: "Wh", EXPORT: "Wh", POWER: "W", VOLUME: "L"}
START = datetime(2026, 3, 27, tzinfo=UTC)
T0 = int(START.timestamp())
HOUR_S, DAYS = 3_600, 5
HOURS = st.integers(0, 24 * DAYS - 1)
POINTS = {"MPE": Commodity.ELECTRICITY, "MPG": Commodity.GAS}
DEVICES = {"MPE": [f"E{number}" for number in range(9)], "MPG": [f"G{number}" for number in range(9)]}


def at(hour):
    return START + timedelta(hours=hour)


def answers(data):
    """Return all that the data management says, but for the octets at rest: those depend on when it folds batches."""
    days = [(START + timedelta(days=number)).date() for number in range(-1, DAYS + 1)]
    said = [data.homes(), data.series(), data.unexplained(), data.damage(), data.completeness(days[0], days[-1])]
    totals = data.totals()
    said.append((totals.readings, totals.duplicates, totals.conflicts, totals.series, totals.unexplained_wh))
    for home in data.homes():
        said += [data.live(home.home_id, at(hour)) for hour in (10, 60, 24 * DAYS)]
        said += [data.power(home.home_id, at(hour)) for hour in (10, 60, 24 * DAYS)]
        for point in home.usage_points:
            said.append(data.installations(point.usage_point))
            said += [data.day(home.home_id, point.commodity, day) for day in days]
            said += [data.month(home.home_id, point.commodity, day) for day in (days[0], days[-1])]
            span = Interval(START - timedelta(days=1), at(24 * (DAYS + 1)))
            said.append(data.versions(point.usage_point, span))
            for direction in Direction:
                curve = data.curve(point.usage_point, direction, span.start, span.end)
                said.append([curve.start.tolist(), curve.end.tolist(), curve.value.tolist(), curve.quality.tolist()])
                said.append((curve.step, curve.unexplained, curve.opening, curve.closing, curve.last))
    return said


class Changes(RuleBasedStateMachine):
    """Changes the data in any order, and asks in between."""

    is_on_disk: ClassVar = False

    def __init__(self):
        super().__init__()
        self._folder = tempfile.TemporaryDirectory()
        self._places = {}
        self._opened = 0
        self.log = []
        self.data = self._open("kept")
        self.installed = {}
        self.used = dict.fromkeys(POINTS, 0)
        self.since = {}
        self.register = 50_000

    def _open(self, name):
        if self.is_on_disk:
            return MeterDataManagement(Path(self._folder.name) / name)
        place = self._places.setdefault(name, {})
        return MeterDataManagement(
            Path(self._folder.name), stores=lambda _directory: (MemoryJournal(place), MemoryRegistry(place))
        )

    def teardown(self):
        try:
            self.compare()
        finally:
            self.data.close()
            self._folder.cleanup()

    def change(self, run):
        self.log.append(run)
        run(self.data)

    @initialize()
    def a_home(self):
        self.change(lambda data: data.register_home("h", "Home", zone="Europe/Berlin"))
        self.installs("MPE", 0, 900)
        self.read("E0", TOTAL, hour=1, count=30, step_s=3_600, rises=25, happens="")

    @invariant()
    def everything_is_asked(self):
        answers(self.data)

    @rule(point=st.sampled_from(sorted(POINTS)), hour=HOURS, period_s=st.sampled_from((900, 3_600)))
    def install(self, point, hour, period_s):
        self.installs(point, hour, period_s)

    def installs(self, point, hour, period_s):
        if point in self.installed:
            return
        device = DEVICES[point][0]
        self.installed[point], self.since[point] = device, hour
        self.change(
            lambda data: data.install_meter(
                "h", point, device=device, commodity=POINTS[point], at=at(hour), period_s=period_s
            )
        )

    @precondition(lambda self: self.installed)
    @rule(number=st.integers(0, 1), hours=st.integers(1, 40), value=st.integers(0, 9_000))
    def exchange(self, number, hours, value):
        point = sorted(self.installed)[number % len(self.installed)]
        old, hour = self.installed[point], self.since[point] + hours
        if self.used[point] >= len(DEVICES[point]) - 1:
            return
        self.used[point] += 1
        new, obis = DEVICES[point][self.used[point]], TOTAL if point == "MPE" else VOLUME
        self.installed[point], self.since[point] = new, hour
        begin = {obis: Scaled(value, 0, UNITS[UNIT[obis]])}
        self.change(
            lambda data: data.exchange_meter(
                point, old_device=old, closing=begin, new_device=new, opening=begin, at=at(hour)
            )
        )

    @rule(
        device=st.sampled_from(["E0", "E0", "E0", "E1", "E1", "E2", "G0", "G1", "stray"]),
        obis=st.sampled_from((TOTAL, TOTAL, TOTAL, DAY_RATE, EXPORT, POWER)),
        hour=HOURS,
        count=st.integers(1, 30),
        step_s=st.sampled_from((900, 3_600, 7_260)),
        rises=st.sampled_from((0, 7, 25)),
        happens=st.sampled_from(("", "", "", "reset", "zero", "rise", "ahead")),
    )
    def take(self, device, obis, **what):
        self.read(device, obis, **what)

    def read(self, device, obis, *, hour, count, step_s, rises, happens):
        obis = VOLUME if device.startswith("G") else obis
        times = T0 + hour * HOUR_S + step_s * np.arange(count, dtype=np.int64)
        self.register = 10 if happens == "reset" else self.register
        values = self.register + rises * np.arange(count, dtype=np.int64)
        self.register = int(values[-1])
        values[count // 2] += {"zero": -int(values[count // 2]), "rise": 90_000}.get(happens, 0)
        received_at = int(times[0]) - 3 * 86_400 if happens == "ahead" else int(times[-1]) + 5
        zeros = np.zeros(count, np.int32)
        column = CaptureColumn(obis, UNITS[UNIT[obis]], 0, values)
        block = CaptureBlock(device, Source.PUSH, received_at, times, (column,), zeros, zeros)
        self.change(lambda data: data.take([block]))

    @precondition(lambda self: "MPE" in self.installed)
    @rule(cents=st.integers(1, 90), day=st.integers(0, DAYS))
    def price(self, cents, day):
        tariff = Tariff("t", "EUR", "kWh", (Band("all", Decimal(cents) / 100),))
        first = date(2026, 3, 27) + timedelta(days=day)
        self.change(lambda data: data.assign_tariff("MPE", tariff, first_day=first))

    @rule(hour=HOURS, closes=st.booleans())
    def settle(self, hour, closes):
        now = at(hour + 24)
        self.change(lambda data: data.maintain(now) if closes else data.settle(now))

    @rule(name=st.sampled_from(("Home", "House")), zone=st.sampled_from(("Europe/Berlin", "Asia/Kathmandu")))
    def rename(self, name, zone):
        self.change(lambda data: data.register_home("h", name, zone=zone))

    @rule()
    def reopen(self):
        before = answers(self.data)
        self.data.close()
        self.data = self._open("kept")
        assert answers(self.data) == before

    def compare(self):
        self._opened += 1
        with self._open(f"new-{self._opened}") as fresh:
            for run in self.log:
                run(fresh)
            assert answers(self.data) == answers(fresh)


class ChangesOnDisk(Changes):
    """The same over the store that ships."""

    is_on_disk: ClassVar = True


SLOW = [HealthCheck.too_slow, HealthCheck.filter_too_much]
TestOneCache = Changes.TestCase
TestOneCache.settings = settings(max_examples=8, stateful_step_count=15, deadline=None, suppress_health_check=SLOW)
TestOneCacheOnDisk = ChangesOnDisk.TestCase
TestOneCacheOnDisk.settings = settings(
    max_examples=3, stateful_step_count=12, deadline=None, suppress_health_check=SLOW
)
