"""What is derived from a window, or brought up to date piecewise, is what the whole history gives."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meterspan.analytics.calendar import day_bounds
from meterspan.analytics.conserve import conserve, installation_of
from meterspan.mdm import MeterDataManagement
from meterspan.mdm.chains import EVER, NEVER, chain_of
from meterspan.mdm.curves import derive, window_of
from meterspan.mdm.versions import compose
from meterspan.model.readings import CaptureBlock, CaptureColumn, Source
from meterspan.model.storage.readings import Readings
from meterspan.model.storage.registry import InstallationRow, SeriesRow
from meterspan.quantities import UNITS, Commodity, Direction, Obis, Scaled

ENERGY = Obis(1, 0, 1, 8, 0)
START = datetime(2026, 3, 27, tzinfo=UTC)
T0 = int(START.timestamp())
HOUR = 3_600


@st.composite
def histories(draw):
    """Draw registers over some days with gaps, resets and dips, and the batches they arrive in, in any order."""
    time, register = T0, draw(st.integers(0, 10_000))
    readings = []
    for _ in range(draw(st.integers(3, 30))):
        time += draw(st.sampled_from((HOUR, HOUR, HOUR, HOUR + 90, 5 * HOUR, 31 * HOUR)))
        happens = draw(st.sampled_from(("", "", "", "", "", "reset", "zero", "rise")))
        register = draw(st.integers(0, 50)) if happens == "reset" else register + draw(st.integers(0, 900))
        readings.append((time, {"zero": 0, "rise": register + 99_000}.get(happens, register)))
    batch_of = [draw(st.integers(0, 3)) for _ in readings]
    return readings, [
        [reading for reading, number in zip(readings, batch_of, strict=True) if number == wanted] for wanted in range(4)
    ]


def block(rows):
    times = np.array([time for time, _value in rows], np.int64)
    nothing = np.zeros(len(rows), np.int32)
    column = CaptureColumn(ENERGY, UNITS["Wh"], 0, np.array([value for _time, value in rows], np.int64))
    return CaptureBlock("M1", Source.PUSH, int(times.max()), times, (column,), nothing, nothing)


def test_a_late_reading_that_turns_a_dip_into_a_reset_is_seen_through_the_zeros(tmp_path):
    with MeterDataManagement(tmp_path) as mdm:
        mdm.register_home("h1", "x", zone="UTC")
        mdm.install_meter(
            "h1", "MP1", device="M1", commodity=Commodity.ELECTRICITY, at=START - timedelta(days=9), period_s=HOUR
        )
        mdm.take([block([(T0, 1_951), (T0 + HOUR, 0), (T0 + 32 * HOUR, 0), (T0 + 45 * HOUR, 2_435)])])
        assert mdm.totals().unexplained_wh == 0
        mdm.take([block([(T0 + 33 * HOUR, 26)])])
        assert mdm.totals().unexplained_wh == 1_951


@given(histories())
@settings(max_examples=15, deadline=None)
def test_windows_and_updates_give_what_the_whole_history_gives(tmp_path_factory, history):
    readings, batches = history
    with MeterDataManagement(tmp_path_factory.mktemp("mdm")) as mdm:
        mdm.register_home("h1", "x", zone="UTC")
        mdm.install_meter(
            "h1", "MP1", device="M1", commodity=Commodity.ELECTRICITY, at=START - timedelta(days=9), period_s=HOUR
        )
        for batch in batches:
            if batch:
                mdm.take([block(batch)])
                mdm.totals()
                mdm.settle(START + timedelta(days=200))
        whole = conserve([installation_of(readings, start=T0 - 9 * 86_400)], period_s=HOUR)
        assert sorted((item.start, item.end, item.value) for item in whole.unexplained) == sorted(
            (int(item.start.timestamp()), int(item.end.timestamp()), int(item.value * 1_000))
            for item in mdm.unexplained()
        )
        day = T0 // 86_400
        total = 0
        settled = {}
        while day * 86_400 <= readings[-1][0]:
            low, high = START + timedelta(days=day - T0 // 86_400), START + timedelta(days=day + 1 - T0 // 86_400)
            curve = mdm.curve("MP1", Direction.IMPORT, low, high)
            inside = (whole.start >= int(low.timestamp())) & (whole.end <= int(high.timestamp()))
            assert curve.value.tolist() == whole.value[inside].tolist()
            assert curve.quality.tolist() == whole.quality[inside].tolist()
            total += int(curve.value.sum())
            for row in mdm._registry.versions("MP1", day, day):
                settled.setdefault(day, []).append(row)
            day += 1
        assert total + whole.unexplained_total == whole.difference
        standing = {}
        for rows in settled.values():
            standing |= compose(rows)
        assert {start: int(entry[1] * 1_000) for start, entry in sorted(standing.items()) if entry[1]} == {
            start: value for start, value in zip(whole.start.tolist(), whole.value.tolist(), strict=True) if value
        }


# --- found by attack ------------------------------------------------------------------------------------------------

TOTAL, DAY_RATE, NIGHT_RATE = ENERGY, Obis(1, 0, 1, 8, 1), Obis(1, 0, 1, 8, 2)


def registers(device, start, *columns, period=900, received_at=None):
    """Columns are (obis, values), one value per period."""
    blocks = []
    for obis, values in columns:
        times = T0 + start + period * np.arange(len(values), dtype=np.int64)
        nothing = np.zeros(len(values), np.int32)
        column = CaptureColumn(obis, UNITS["Wh"], 0, np.array(values, np.int64))
        arrived = int(times.max()) if received_at is None else received_at
        blocks.append(CaptureBlock(device, Source.PUSH, arrived, times, (column,), nothing, nothing))
    return blocks


@pytest.fixture
def mdm(tmp_path):
    with MeterDataManagement(tmp_path) as management:
        management.register_home("h1", "x", zone="UTC")
        management.install_meter(
            "h1", "MP1", device="M1", commodity=Commodity.ELECTRICITY, at=START - timedelta(days=9)
        )
        yield management


def by_days(mdm, days):
    spans = [(START + timedelta(days=day), START + timedelta(days=day + 1)) for day in range(-1, days)]
    return sum(mdm.curve("MP1", Direction.IMPORT, *span).total for span in spans)


def whole(mdm, days):
    return mdm.curve("MP1", Direction.IMPORT, START - timedelta(days=1), START + timedelta(days=days)).total


def test_a_total_that_comes_late_leaves_what_the_tariff_registers_counted(mdm):
    count = 960
    mdm.take(
        registers(
            "M1", 0, (DAY_RATE, [1_000 + 10 * at for at in range(count)]), (NIGHT_RATE, [5 * at for at in range(count)])
        )
    )
    before = by_days(mdm, 11)
    mdm.take(registers("M1", 900 * count, (TOTAL, [1_000 + 15 * count])))
    assert by_days(mdm, 11) == before == whole(mdm, 11)


def test_a_meter_that_changes_from_tariff_registers_to_a_total_keeps_its_history(mdm):
    count = 961
    mdm.take(
        registers(
            "M1", 0, (DAY_RATE, [1_000 + 10 * at for at in range(count)]), (NIGHT_RATE, [5 * at for at in range(count)])
        )
    )
    mdm.take(registers("M1", 900 * (count - 1), (TOTAL, [1_000 + 15 * (count - 1 + at) for at in range(960)])))
    assert by_days(mdm, 21) == whole(mdm, 21) == Fraction(15 * (960 + 959), 1_000)
    view = mdm.day("h1", Commodity.ELECTRICITY, (START + timedelta(days=10)).date())
    assert view.closing - view.opening == view.total


def test_a_tariff_register_that_is_rarely_read_is_spread_over_the_days_between(mdm):
    mdm.take(registers("M1", 0, (DAY_RATE, [1_000 + 10 * at for at in range(961)])))
    mdm.take(registers("M1", 0, (NIGHT_RATE, [500, 5_500]), period=9 * 86_400))
    assert by_days(mdm, 11) == whole(mdm, 11) == Fraction(9_600 + 5_000, 1_000)


def test_a_removed_meter_that_goes_on_sending_hides_nothing_of_the_new_one(mdm):
    mdm.take(registers("M1", 0, (TOTAL, [1_000 + 25 * at for at in range(96 * 4 + 1)])))
    mdm.exchange_meter(
        "MP1",
        old_device="M1",
        closing={TOTAL: Scaled(10_600, 0, UNITS["Wh"])},
        new_device="M2",
        opening={TOTAL: Scaled(0, 0, UNITS["Wh"])},
        at=START + timedelta(days=4),
    )
    mdm.take(registers("M1", 4 * 86_400, (TOTAL, [10_600] * 960)))
    mdm.take(registers("M2", 11 * 86_400, (TOTAL, [70_000 + 25 * at for at in range(10)])))
    assert by_days(mdm, 14) == whole(mdm, 14) == Fraction(9_600 + 70_000 + 225, 1_000)
    assert mdm.live("h1", START + timedelta(days=9)).today[0].last_reading is None


def test_shown_registers_are_those_that_were_counted(mdm):
    mdm.take(registers("M1", 0, (TOTAL, [1_000 + 25 * at for at in range(97)])))
    mdm.take(registers("M1", 86_400, (TOTAL, [7])))  # a contradiction at midnight
    mdm.take(registers("M1", 86_400 - 60, (TOTAL, [0])))  # and a dip before it
    mdm.take(registers("M1", 86_400 + 900, (TOTAL, [1_000 + 25 * 97])))
    view = mdm.day("h1", Commodity.ELECTRICITY, START.date())
    assert (view.total, view.opening, view.closing) == (Decimal("2.4"), 1, Decimal("3.4"))


def test_35_mwh_that_came_and_went_are_no_consumption(mdm):
    mdm.take(registers("M1", 0, (TOTAL, [1_000 + 25 * at for at in range(97)])))
    mdm.take(registers("M1", 43_200 + 300, (TOTAL, [35_000_000])))
    view = mdm.day("h1", Commodity.ELECTRICITY, START.date())
    assert (view.total, view.unexplained) == (Decimal("2.4"), 0)
    assert any("rose for a moment" in str(note) for note in view.notes)


def test_registers_beyond_any_meter_are_not_counted(mdm):
    mdm.take(registers("M1", 0, (TOTAL, [1_000, -(2**63), 2**63 - 1, 1_025])))
    mdm.take(registers("M1", 5 * 900, (TOTAL, [2**62, 2**62 + 5])))
    assert whole(mdm, 1) == Fraction(25, 1_000)
    assert mdm.unexplained() == []


def mad_block(device, exponent, value, *, obis=TOTAL, unit="Wh"):
    """Make a block of one register, half a day after the start."""
    times = np.array([T0 + 43_200], np.int64)
    nothing = np.zeros(1, np.int32)
    column = CaptureColumn(obis, UNITS[unit], exponent, np.array([value], np.int64))
    return CaptureBlock(device, Source.PUSH, T0 + 43_205, times, (column,), nothing, nothing)


@pytest.mark.parametrize("exponent", [-128, -127, 127])
def test_a_register_in_impossible_steps_is_stored_named_and_leaves_the_day_as_it_was(mdm, exponent):
    mdm.take(registers("M1", 0, (TOTAL, [1_000 + 25 * at for at in range(97)])))
    before = mdm.day("h1", Commodity.ELECTRICITY, START.date())
    mdm.take([mad_block("M1", exponent, 5)])
    after = mdm.day("h1", Commodity.ELECTRICITY, START.date())
    assert (after.total, after.opening, after.closing) == (before.total, before.opening, before.closing)
    assert [str(note) for note in after.notes if note not in before.notes] == [
        f"M1: 1-0:1.8.0 is kept and not billed: its step of 10^{exponent} Wh is not between 1e-09 and 1e+06 kWh."
    ]
    assert len(mdm.readings([1, 2], START, START + timedelta(days=2))) == 98
    assert [item.item for item in mdm.damage()] == ["register 1-0:1.8.0 of M1"]


def test_a_ratio_does_not_carry_a_register_out_of_63_bits(tmp_path):
    with MeterDataManagement(tmp_path) as mdm:
        mdm.register_home("h1", "x", zone="UTC")
        mdm.install_meter(
            "h1", "MP1", device="M1", commodity=Commodity.ELECTRICITY, at=START - timedelta(days=9), multiplier=1_000
        )
        mdm.take(registers("M1", 0, (TOTAL, [1_000, 1_025, 2**54])))
        assert whole(mdm, 1) == 25


# --- the registers at the ends of a span ----------------------------------------------------------------------------

ZONES = ("UTC", "Europe/Berlin", "Asia/Kathmandu", "America/St_Johns", "Africa/Cairo")
DAYS = [START.date() + timedelta(days=offset) for offset in range(-1, 4)]  # with the spring change of Berlin


class Meter:
    """One usage point whose curve is derived from all that was read, without a store."""

    def __init__(self, period_s):
        self.period_s = period_s
        self.series, self.installations, self.columns = [], [], []

    def install(self, device, start, end=None, *, multiplier=1, opening=None, closing=None):
        def given(value):
            return {} if value is None else {str(TOTAL): [value, 0, "Wh"]}

        self.installations.append(
            InstallationRow("MP1", device, start, end, multiplier, given(opening), given(closing), {})
        )

    def read(self, device, obis, rows):
        number = len(self.series) + 1
        self.series.append(SeriesRow(number, device, str(obis), "Wh", 0))
        self.columns.extend((number, time, value) for time, value in rows)

    def curve(self, low, high):
        extents = {}
        for number, time, _value in self.columns:
            first, last = extents.get(number, (time, time))
            extents[number] = min(first, time), max(last, time)
        chain = chain_of(
            self.installations,
            lambda device: [row for row in self.series if row.device == device],
            extents.get,
            commodity=Commodity.ELECTRICITY,
            direction=Direction.IMPORT,
            period_s=self.period_s,
        )
        number, time, value = (np.array(column, np.int64) for column in zip(*self.columns, strict=True))
        zeros = np.zeros(len(time), np.int32)
        readings = Readings(number.astype(np.int32), time, value, zeros, zeros, zeros.astype(np.int8), time)
        return derive(chain, window_of(chain, readings.sorted(), EVER, NEVER), (low, high))

    def day(self, day, zone):
        return self.curve(*day_bounds(day, zone))


SEEN = st.lists(
    st.tuples(
        st.sampled_from((1, 1, 1, 1, 1, 1, 3)),
        st.sampled_from((0, 0, 0, 0, 7, -7, 400, -400)),
        st.sampled_from(("", "", "", "", "", "", "reset", "zero", "rise", "conflict")),
        st.integers(0, 900),
    ),
    min_size=24,
    max_size=48,
)


@st.composite
def meters(draw):
    """Draw one meter with one to three tariffs, read beside the grid, with gaps, resets, dips and contradictions."""
    meter = Meter(draw(st.sampled_from((900, 3_600, 86_400))))
    meter.install("M1", T0 - 9 * 86_400, multiplier=draw(st.sampled_from((1, 40))))
    step = draw(st.sampled_from((3_600, 7_200, 21_600)))
    for tariff in draw(st.sampled_from(((0,), (1,), (1, 2), (1, 2, 3)))):
        begin, register, rows = T0 - 86_400, 5_000, []
        for periods, beside, happens, more in draw(SEEN):
            begin += step * periods
            register = more // 20 if happens == "reset" else register + more
            shown = {"zero": 0, "rise": register + 99_000}.get(happens, register)
            rows.append((begin + beside, shown))
            if happens == "conflict":
                rows.append((begin + beside, 110 * more))
        meter.read("M1", Obis(1, 0, 1, 8, tariff), rows)
    return meter


def unexplained(curve):
    return sum(item.value for item in curve.unexplained) * curve.step


@given(meters(), st.sampled_from(ZONES))
@settings(max_examples=50, deadline=None)
def test_opening_and_total_and_unexplained_are_the_closing_and_the_opening_of_the_next_day(meter, zone):
    curves = [meter.day(day, zone) for day in DAYS]
    (installation,) = meter.installations
    values = {value for _number, _time, value in meter.columns}
    for curve, day in zip(curves, DAYS, strict=True):
        if curve.opening is not None and curve.closing is not None:
            assert curve.opening + curve.total + unexplained(curve) == curve.closing
        if curve.closing is not None:
            end = day_bounds(day, zone)[1]
            near = [time for _number, time, _value in meter.columns if 2 * abs(time - end) <= meter.period_s]
            assert near
            if len(meter.series) == 1:
                assert curve.closing / curve.step / installation.multiplier in values
    for before, after in pairwise(curves):
        assert before.closing is None or before.closing == after.opening


@given(st.sampled_from(("UTC", "Europe/Berlin", "Africa/Cairo")), st.sampled_from((900, 3_600)), st.integers(0, 500))
@settings(max_examples=20, deadline=None)
def test_a_day_whose_midnights_were_read_shows_exactly_these_registers(zone, period_s, step):
    meter = Meter(period_s)
    meter.install("M1", T0 - 9 * 86_400)
    rows = [(T0 - 2 * 86_400 + at * period_s, 1_000 + at * step) for at in range(9 * 86_400 // period_s)]
    meter.read("M1", TOTAL, rows)
    for day in DAYS[:-1]:
        low, high = day_bounds(day, zone)
        curve = meter.curve(low, high)
        assert (curve.opening, curve.closing) == (dict(rows)[low] * curve.step, dict(rows)[high] * curve.step)


@pytest.mark.parametrize("last", [0, 900, 43_200, 86_400 - 451])
def test_the_register_at_the_end_of_a_day_is_unknown_until_it_is_read(last):
    meter = Meter(900)
    meter.install("M1", T0 - 86_400)
    meter.read("M1", TOTAL, [(T0 - 900, 75), (T0, 100), (T0 + last, 118)][: 2 if not last else 3])
    curve = meter.day(START.date(), "UTC")
    assert (curve.opening, curve.closing) == (Fraction(100, 1_000), None)


def test_a_reset_belongs_to_the_day_that_ends_with_the_register_after_it():
    meter = Meter(900)
    meter.install("M1", T0 - 86_400)
    late = T0 + 86_400 + 300  # the nearest to midnight
    meter.read("M1", TOTAL, [(T0, 5_000), (late - 1_200, 5_100), (late, 40), (late + 900, 50), (late + 2 * 86_400, 60)])
    day, following = (meter.day(START.date() + timedelta(days=offset), "UTC") for offset in (0, 1))
    assert (day.opening, day.closing, day.total) == (5, Fraction(40, 1_000), Fraction(100, 1_000))
    assert (unexplained(day), unexplained(following)) == (Fraction(-5_060, 1_000), 0)
    assert following.opening == day.closing


def test_a_midnight_inside_an_interval_has_no_register():
    meter = Meter(3_600)
    meter.install("M1", T0 - 86_400)
    meter.read("M1", TOTAL, [(T0 - 43_200 + at * 3_600, 100 * at) for at in range(60)])
    curve = meter.day(START.date(), "Asia/Kathmandu")
    assert (curve.opening, curve.closing, curve.total) == (None, None, Fraction(24 * 100, 1_000))


def exchanged(at, *, after):
    """Return a meter that is exchanged at an instant; both count 25 Wh a quarter hour, the new one from 0."""
    meter = Meter(900)
    meter.install("M1", T0 - 86_400, at, closing=9_000)
    meter.install("M2", at, opening=0)
    old = [(T0 + quarter * 900, 5_000 + 25 * quarter) for quarter in range(-4, 97) if T0 + quarter * 900 < at]
    meter.read("M1", TOTAL, [*old, (at, 9_000)])
    meter.read("M2", TOTAL, [(at, 0), *((time, 7) for time in after)])
    return meter


def test_at_an_exchange_at_midnight_the_old_meter_closes_the_day_and_the_new_one_opens_the_next():
    meter = exchanged(T0 + 86_400, after=[T0 + 86_400 + 900 * at for at in range(1, 98)])
    day, following = (meter.day(START.date() + timedelta(days=offset), "UTC") for offset in (0, 1))
    assert (day.opening, day.closing) == (5, 9)
    assert (following.opening, following.closing) == (0, Fraction(7, 1_000))


def test_the_opening_value_of_a_new_meter_is_not_the_register_at_the_end_of_the_day():
    meter = exchanged(T0 + 43_200, after=[])
    assert meter.day(START.date(), "UTC").closing is None
    meter = exchanged(T0 + 43_200, after=[T0 + 86_400])
    assert meter.day(START.date(), "UTC").closing == Fraction(7, 1_000)


def test_a_transformer_ratio_is_part_of_the_registers_as_it_is_of_the_consumption():
    meter = Meter(900)
    meter.install("M1", T0 - 86_400, multiplier=40)
    meter.read("M1", TOTAL, [(T0 - 900, 75), (T0, 100), (T0 + 86_400, 340)])
    curve = meter.day(START.date(), "UTC")
    assert (curve.opening, curve.total, curve.closing) == (4, Fraction("9.6"), Fraction("13.6"))
