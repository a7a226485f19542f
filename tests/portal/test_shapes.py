from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterspan.model.remedies import NO_REASON
from meterspan.model.views import (
    CompletenessCell,
    CompletenessView,
    FrameView,
    GroupCompleteness,
    IntervalPoint,
    MeterState,
    MeterStatus,
    SpanView,
)
from meterspan.portal import shapes
from meterspan.quantities import Commodity, Quality
from tests.portal.sample_views import NOW, SampleHomes

DAY = SampleHomes().day("lindenhof-3", Commodity.ELECTRICITY, date(2026, 11, 20))


MEASURED = Quality(0)


def point(value: str | None, quality: Quality = MEASURED, end: datetime = NOW) -> IntervalPoint:
    return IntervalPoint(end - timedelta(minutes=15), end, Decimal(value) if value else None, "night", None, quality)


def test_bands_are_coloured_from_cheapest_to_dearest():
    assert shapes.band_slots(DAY) == {"night": "low", "standard": "mid", "peak": "high"}


def test_a_lone_band_is_flat_and_many_bands_end_in_peak():
    flat = SampleHomes().day("lindenhof-3", Commodity.GAS, date(2026, 11, 20))
    assert shapes.band_slots(flat) == {"flat": "flat"}
    many = replace(DAY, intervals=(), bands=tuple(f"b{n}" for n in range(6)))
    assert list(shapes.band_slots(many).values()) == ["low", "mid", "high", "peak", "peak", "peak"]


def test_bands_without_a_tariff_still_get_slots():
    assert set(shapes.band_slots(replace(DAY, tariff=None))) == {"night", "standard", "peak"}


@pytest.mark.parametrize(
    ("interval", "state"),
    [
        (point("1"), "measured"),
        (point("1", Quality.LATE), "measured"),
        (point("1", Quality.SPREAD), "estimated"),
        (point("1", Quality.ESTIMATED | Quality.EDITED), "edited"),
        (point("1", Quality.CLOCK_INVALID), "doubtful"),
        (point(None), "missing"),
        (point(None, end=NOW + timedelta(minutes=1)), "future"),
    ],
)
def test_an_interval_is_said_to_be_what_it_is(interval, state):
    assert shapes.states_of(replace(DAY, intervals=(interval,)), NOW) == (state,)


def test_what_has_not_arrived_yet_today_is_awaited_and_what_lies_before_known_values_is_missing():
    quarters = [NOW - timedelta(minutes=15 * n) for n in range(5, 0, -1)]
    values = (None, "1", None, None, None)
    running = replace(
        DAY,
        start=NOW - timedelta(hours=18),
        end=NOW + timedelta(hours=6),
        intervals=tuple(point(value, end=end) for value, end in zip(values, quarters, strict=True)),
    )
    assert shapes.states_of(running, NOW) == ("missing", "measured", "awaited", "awaited", "awaited")
    over = NOW + timedelta(hours=7)
    assert shapes.states_of(running, over) == ("missing", "measured", "missing", "missing", "missing")


def test_the_proof_holds_only_when_the_sums_agree_to_the_last_digit():
    proof = shapes.prove(DAY)
    assert proof.holds
    assert proof.intervals == proof.difference
    assert not shapes.prove(replace(DAY, closing=DAY.closing + Decimal("0.001"))).holds
    assert shapes.prove(replace(DAY, closing=DAY.closing + Decimal("0.001"), unexplained=Decimal("0.001"))).holds
    assert shapes.prove(replace(DAY, opening=None)) is None


def test_the_proof_holds_for_heat_that_has_no_end_in_kwh():
    third = (Decimal(1) / 3).quantize(Decimal("1E-12"))
    points = tuple(replace(point, value=third) for point in DAY.intervals)
    exact = (Decimal(len(points)) / 3).quantize(Decimal("1E-12"))
    view = replace(DAY, intervals=points, opening=Decimal(0), closing=exact)
    assert shapes.prove(view).holds
    assert not shapes.prove(replace(view, closing=exact + Decimal("1E-9"))).holds


def test_windows_lie_in_the_elapsed_day():
    windows = DAY.tariff.windows
    assert shapes.share_of_day(windows[0], DAY.start, DAY.end) == (0.0, 25.0)
    assert sum(shapes.share_of_day(window, DAY.start, DAY.end)[1] for window in windows) == pytest.approx(100, abs=0.05)
    autumn = SampleHomes().day("lindenhof-3", Commodity.ELECTRICITY, date(2026, 10, 25))
    assert shapes.share_of_day(autumn.tariff.windows[0], autumn.start, autumn.end) == (0.0, 28.0)


@pytest.mark.parametrize(
    ("expected", "received", "level"),
    [
        (0, 0, "idle"),
        (96, 96, "full"),
        (96, 97, "full"),
        (96, 95, "most"),
        (96, 90, "some"),
        (96, 50, "half"),
        (96, 1, "few"),
        (96, 0, "none"),
    ],
)
def test_a_map_cell_has_the_step_of_its_share(expected, received, level):
    assert shapes.cell_level(CompletenessCell(date(2026, 11, 1), expected, received)) == level


def status(device: str, missing: int = 0, network: str = "N", commodity: Commodity = Commodity.GAS) -> MeterStatus:
    """A meter that misses so many of the values of four weeks."""
    state = MeterState.LATE if missing else MeterState.OK
    return MeterStatus(
        device,
        commodity,
        "",
        "",
        network,
        "",
        state,
        NO_REASON,
        None,
        24,
        24 - missing,
        missing,
        missing_lately=missing,
    )


def planned(meters: list[MeterStatus], page: int = 1) -> tuple[shapes.MapPlan, tuple[shapes.MapGroup, ...]]:
    """Plan the map of meters over one day, and draw it."""
    day = date(2026, 11, 1)
    rows = {
        meter.device: CompletenessView(
            meter.device, meter.commodity, meter.network, (CompletenessCell(day, meter.expected, meter.received),)
        )
        for meter in meters
    }
    plan = shapes.plan_map(GroupCompleteness.of(list(rows.values())), meters, page)
    return plan, plan.drawn([rows[device] for device in plan.devices])


def test_the_map_is_grouped_and_every_group_adds_up():
    meters = [status("b", 4), status("a10"), status("a9"), status("c", network="M")]
    plan, drawn = planned([*meters, status("d", 24, commodity=Commodity.ELECTRICITY)])
    assert not plan.is_overview
    assert [(group.whole.network, group.whole.commodity.value, group.whole.meters) for group in drawn] == [
        ("M", "gas", 1),
        ("N", "electricity", 1),
        ("N", "gas", 3),
    ]
    assert drawn[2].whole.cells == (CompletenessCell(date(2026, 11, 1), 72, 68),)
    assert [member.device for member in drawn[2].rows] == ["a9", "a10", "b"]


@pytest.mark.finding("users F-size")
@pytest.mark.attack(10)
def test_a_large_network_is_shown_page_by_page_with_most_gaps_first():
    meters = [status(f"m{number}", number % 24 if number % 10 == 0 else 0) for number in range(1_000)]
    pages = [planned(meters, page) for page in range(1, 21)]
    assert all(len(group.rows) <= 50 for _, (group,) in pages)
    shown = [row for _, (group,) in pages for row in group.rows]
    assert {row.device for row in shown} == {meter.device for meter in meters}
    gaps = [row.cells[0].missing for row in shown]
    assert gaps == sorted(gaps, reverse=True)
    assert pages[0][0].parts.pages == 20


@pytest.mark.finding("users F-size")
@pytest.mark.attack(10)
def test_many_networks_are_shown_page_by_page_without_arbitrary_meters():
    meters = [status(f"m{number}", number % 20 if number < 40 else 0, f"N{number % 500}") for number in range(2_000)]
    plan, drawn = planned(meters)
    assert plan.is_overview
    assert len(drawn) == 50
    assert not any(group.rows for group in drawn)
    missing = [group.whole.missing for group in drawn]
    assert missing == sorted(missing, reverse=True)
    assert {group.whole.network for page in range(1, 11) for group in planned(meters, page)[1]} == {
        f"N{number}" for number in range(500)
    }


def test_an_octet_belongs_to_its_narrowest_span():
    frame = FrameView(
        NOW, "received", "x", "AABBCCDD", "", (SpanView(0, "AABBCC", "all", ""), SpanView(1, "BB", "inner", ""))
    )
    assert shapes.octet_runs(frame) == (
        shapes.OctetRun("AA", 0),
        shapes.OctetRun("BB", 1),
        shapes.OctetRun("CC", 0),
        shapes.OctetRun("DD", None),
    )


spans = st.builds(
    lambda offset, width: SpanView(offset, "00" * width, "f", ""), st.integers(-3, 40), st.integers(0, 12)
)


@given(st.binary(max_size=32), st.lists(spans, max_size=12))
def test_runs_give_every_octet_of_the_frame_once_and_in_order(octets, spans_of):
    frame = FrameView(NOW, "received", "x", octets.hex().upper(), "", tuple(spans_of))
    assert "".join(run.octets for run in shapes.octet_runs(frame)).replace(" ", "") == frame.octets


def test_months_follow_each_other_over_the_year():
    assert shapes.month_before(date(2026, 1, 31)) == date(2025, 12, 1)
    assert shapes.month_after(date(2026, 12, 31)) == date(2027, 1, 1)


@pytest.mark.parametrize(
    ("part", "whole", "share"), [("1", "4", 25.0), ("5", "4", 100.0), ("-1", "4", 0.0), ("1", "0", None)]
)
def test_a_share_is_drawn_within_its_bar(part, whole, share):
    assert shapes.percent(Decimal(part), Decimal(whole)) == share


def test_a_share_of_the_unknown_is_not_drawn():
    assert shapes.percent(None, Decimal(4)) is None
    assert shapes.percent(Decimal(1), None) is None


def test_a_total_counts_what_it_lacks_by_now_and_not_what_is_to_come():
    homes = SampleHomes()
    day = homes.day("lindenhof-3", Commodity.ELECTRICITY, date(2026, 11, 18))
    assert shapes.holes_of(day, NOW, NOW.date()) == shapes.Holes(5, 0)
    today = homes.day("lindenhof-3", Commodity.ELECTRICITY, NOW.date())
    assert shapes.holes_of(today, NOW, NOW.date()) == shapes.Holes(0, 0)
    month = homes.month("lindenhof-3", Commodity.ELECTRICITY, date(2026, 11, 1))
    assert shapes.holes_of(month, NOW, NOW.date()) == shapes.Holes(0, 1)
    gone = replace(month, points=(replace(month.points[0], value=None), *month.points[1:]))
    assert shapes.holes_of(gone, NOW, NOW.date()) == shapes.Holes(1, 1)
