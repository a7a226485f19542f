"""Every answer is of one state of the data, while meters are read, exchanged, priced, settled and compacted."""

import itertools
import threading
import time
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from meterspan.analytics.tariff import Band, Tariff
from meterspan.mdm import MeterDataManagement
from meterspan.model.readings import CaptureBlock, Source
from meterspan.quantities import UNITS, Commodity, Direction, Interval, Obis, Scaled

SECONDS, SECONDS_MAX = 4, 60
ENERGY, GAS = Obis(1, 0, 1, 8, 0), Obis(7, 0, 3, 0, 0)
START = datetime(2026, 3, 1, tzinfo=UTC)
T0 = int(START.timestamp())
STEP, RESET_EVERY, EXCHANGE_EVERY = 25, 9, 40
PAIR = (Commodity.ELECTRICITY, Commodity.GAS)


class Pair:
    """An electricity and a gas meter that are read in the same batch and count alike: 25 Wh and 25 L a quarter.

    Every few quarters both lose their register, and now and then both are exchanged; a new meter begins where the old
    one ended, so that ``total + unexplained == closing - opening`` over any span.
    """

    def __init__(self, data, home):
        self.data, self.home, self.register, self.quarter, self.number = data, home, 10_000, 0, 0
        self.values = {Commodity.ELECTRICITY: (ENERGY, UNITS["Wh"], 0), Commodity.GAS: (GAS, UNITS["m3"], -3)}
        data.register_home(home, home, zone="UTC")
        for commodity in PAIR:
            data.install_meter(
                home, self.point(commodity), device=self.device(commodity), commodity=commodity, at=START
            )
        self.read()

    def point(self, commodity):
        return f"{self.home}-{commodity}"

    def device(self, commodity):
        return f"{self.home}-{commodity}-{self.number}"

    def row(self, commodity):
        obis, unit, exponent = self.values[commodity]
        return {obis: Scaled(self.register, exponent, unit)}

    @property
    def now(self):
        return START + timedelta(seconds=900 * self.quarter)

    def read(self):
        at = int(self.now.timestamp())
        self.data.take(
            [
                CaptureBlock.of_row(
                    self.device(commodity), Source.PUSH, time=at, values=self.row(commodity), received_at=at + 5
                )
                for commodity in PAIR
            ]
        )

    def step(self):
        self.quarter += 1
        self.register = 1_000 if self.quarter % RESET_EVERY == 0 else self.register + STEP
        self.read()
        if self.quarter % EXCHANGE_EVERY == 0:
            self.exchange()

    def exchange(self):
        self.number += 1
        for commodity in PAIR:
            old = f"{self.home}-{commodity}-{self.number - 1}"
            self.data.exchange_meter(
                self.point(commodity),
                old_device=old,
                closing=self.row(commodity),
                new_device=self.device(commodity),
                opening=self.row(commodity),
                at=self.now,
            )


def the_law_holds(view):
    if view.opening is not None and view.closing is not None:
        assert view.total + view.unexplained == view.closing - view.opening


def asked_of_a_day(data, home, day):
    view = data.day(home, Commodity.ELECTRICITY, day)
    the_law_holds(view)
    assert sum(point.value for point in view.intervals if point.value is not None) == view.total
    assert len(view.intervals) == 96


def asked_of_a_month(data, home, day):
    view = data.month(home, Commodity.GAS, day)
    the_law_holds(view)
    assert sum(point.value for point in view.points if point.value is not None) == view.total
    assert all(point.expected >= point.received for point in view.points)


def asked_of_now(data, home, day):
    del day
    now = data.now()
    view = data.live(home, now)
    electricity, gas = view.today
    assert (electricity.consumed, electricity.last_reading) == (gas.consumed, gas.last_reading)
    assert electricity.yesterday_same_time == gas.yesterday_same_time


def asked_of_totals(data, home, day):
    del home, day
    totals = data.totals()
    listed = data.unexplained()
    assert totals.unexplained_wh >= 0
    assert totals.damaged == 0
    by_unit = {unit: sum(item.value for item in listed if item.unit == unit) for unit in ("kWh", "m3")}
    assert by_unit["kWh"] == by_unit["m3"]


def asked_of_completeness(data, home, day):
    rows = data.completeness(day, day + timedelta(days=6))
    cells = {commodity: {} for commodity in PAIR}
    for row in rows:
        if row.device.startswith(home):
            assert all(cell.expected >= cell.received for cell in row.cells)
            for cell in row.cells:
                seen = cells[row.commodity].setdefault(cell.day, [0, 0])
                seen[0], seen[1] = seen[0] + cell.expected, seen[1] + cell.received
    assert {day: count[1] for day, count in cells[PAIR[0]].items()} == {
        day: count[1] for day, count in cells[PAIR[1]].items()
    }


def asked_of_versions(data, home, day):
    point = f"{home}-{Commodity.ELECTRICITY}"
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    found = data.versions(point, Interval(start, start + timedelta(days=1)))
    for _start, versions in itertools.groupby(found, key=lambda item: item.start):
        numbers = [item.version for item in versions]
        assert numbers == sorted(set(numbers))
    curve = data.curve(point, Direction.IMPORT, start, start + timedelta(days=1))
    assert (
        curve.opening is None
        or curve.closing is None
        or curve.total + sum(item.value * curve.step for item in curve.unexplained) == curve.closing - curve.opening
    )


def asked_of_the_registry(data, home, day):
    del day
    shown = data.home(home)
    meters = [point.meter for point in shown.usage_points]
    assert len(meters) == 2
    for point in shown.usage_points:
        chain = data.installations(point.usage_point)
        assert all(before.end == after.start for before, after in itertools.pairwise(chain))
    assert {item.usage_point for item in data.series()} <= {"", *(f"h{n}-{c}" for n in range(2) for c in PAIR)}


QUESTIONS = (
    asked_of_a_day,
    asked_of_a_month,
    asked_of_now,
    asked_of_totals,
    asked_of_completeness,
    asked_of_versions,
    asked_of_the_registry,
)


@pytest.fixture
def data(tmp_path):
    with MeterDataManagement(tmp_path) as management:
        yield management


class Clocked:
    """The data management with the time up to which its meters are read."""

    def __init__(self, data, pairs):
        self._data, self._pairs = data, pairs

    def __getattr__(self, name):
        return getattr(self._data, name)

    def now(self):
        return max(pair.now for pair in self._pairs)


def test_every_answer_is_of_one_state_while_everything_is_written(data):
    pairs = [Pair(data, f"h{number}") for number in range(2)]
    asked, stop = Clocked(data, pairs), threading.Event()
    failures, answers, steps = [], dict.fromkeys((question.__name__ for question in QUESTIONS), 0), [0]

    def guarded(run):
        def body():
            while not stop.is_set():
                try:
                    run()
                except BaseException as error:  # noqa: BLE001 - handed to the test
                    failures.append(error)
                    stop.set()

        return threading.Thread(target=body)

    def reads(pair):
        def run():
            pair.step()
            steps[0] += 1

        return run

    def strays():
        count = next(numbers)
        data.take(
            [
                CaptureBlock.of_row(
                    f"stray-{count % 5}",
                    Source.PUSH,
                    time=T0 + count,
                    values={ENERGY: Scaled(count, 0, UNITS["Wh"])},
                    received_at=T0 + count,
                )
            ]
        )

    def prices():
        tariff = Tariff("x", "EUR", "kWh", (Band("all", Decimal(next(numbers) % 7 + 1)),))
        data.assign_tariff("h0-electricity", tariff, first_day=date(2026, 3, 1))
        time.sleep(0.01)

    def upkeep():
        data.maintain(asked.now())
        time.sleep(0.05)

    def asks(question, home):
        def run():
            day = (START + timedelta(days=next(numbers) % (pairs[0].quarter // 96 + 1))).date()
            question(asked, home, day)
            answers[question.__name__] += 1

        return run

    numbers = itertools.count()
    threads = [guarded(reads(pair)) for pair in pairs]
    threads += [guarded(strays), guarded(prices), guarded(upkeep)]
    threads += [guarded(asks(question, f"h{at % 2}")) for at, question in enumerate(QUESTIONS)]
    for thread in threads:
        thread.start()
    stop.wait(SECONDS)
    latest = time.monotonic() + SECONDS_MAX  # a slow disk gets longer: each pair must have been exchanged meanwhile
    while not stop.is_set() and steps[0] <= len(pairs) * EXCHANGE_EVERY and time.monotonic() < latest:
        stop.wait(0.05)
    stop.set()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    assert min(answers.values()) > 0, answers
    assert steps[0] > EXCHANGE_EVERY
