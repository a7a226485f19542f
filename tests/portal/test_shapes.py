from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterspan.model.views import CompletenessCell, CompletenessView, FrameView, IntervalPoint, SpanView
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


def row(device: str, received: int, network: str = "N") -> CompletenessView:
    return CompletenessView(device, Commodity.GAS, network, (CompletenessCell(date(2026, 11, 1), 24, received),))


def test_the_map_is_grouped_and_every_group_adds_up():
    rows = [row("b", 20), row("a", 24), row("c", 24, "M"), replace(row("d", 0), commodity=Commodity.ELECTRICITY)]
    drawn = shapes.group_map(rows)
    assert drawn.folded == 0
    assert [(group.network, group.commodity.value, group.meters) for group in drawn.groups] == [
        ("M", "gas", 1),
        ("N", "electricity", 1),
        ("N", "gas", 2),
    ]
    assert drawn.groups[2].total == (CompletenessCell(date(2026, 11, 1), 48, 44),)
    assert [member.device for member in drawn.groups[2].rows] == ["a", "b"]


def test_a_large_map_shows_the_worst_rows_and_folds_the_complete_ones():
    rows = [row(f"m{n:04}", 24 if n % 10 else n % 24) for n in range(1000)]
    (group,) = shapes.group_map(rows, rows_max=51).groups
    assert len(group.rows) == 50
    assert group.folded == 950
    assert all(member.cells[0].missing for member in group.rows)
    (few,) = shapes.group_map(rows, rows_max=500).groups
    assert len(few.rows) == sum(1 for member in rows if member.cells[0].missing)


def test_a_map_of_many_networks_shows_the_worst_networks_within_its_bound():
    rows = [row(f"m{n:04}", n % 20 if n < 40 else 24, f"N{n % 500:03}") for n in range(2000)]
    drawn = shapes.group_map(rows, rows_max=60)
    assert len(drawn.groups) + sum(len(group.rows) for group in drawn.groups) <= 60
    assert drawn.folded == 480
    assert all(group.total[0].missing for group in drawn.groups)
    assert drawn.groups == tuple(sorted(drawn.groups, key=lambda group: group.network))


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
