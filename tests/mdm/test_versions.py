"""Versions of intervals under any sequence of settlements: laid over each other they are what was settled last."""

from fractions import Fraction
from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from meterspan.mdm.curves import Curve
from meterspan.mdm.versions import AUTHOR, RULE, IntervalVersion, changed_intervals, compose
from meterspan.model.storage.registry import VersionRow
from meterspan.quantities import Quality, utc

DAY = 20_000
START = DAY * 86_400
MISSING = int(Quality.MISSING)
STEP = Fraction(1, 1_000)


@st.composite
def curves(draw):
    """A curve of one day: intervals of one or more quarters of an hour, with holes between them."""
    rows, quarter = [], 0
    while quarter < 12:
        length = draw(st.integers(1, 3))
        if draw(st.booleans()):
            rows.append((quarter, quarter + length, draw(st.integers(0, 3)), draw(st.sampled_from((0, 2)))))
        quarter += length
    columns = list(zip(*rows, strict=True)) or [(), (), (), ()]
    start, end, value = (np.array(column, np.int64) for column in columns[:3])
    return Curve(START + 900 * start, START + 900 * end, value, np.array(columns[3], np.int32), STEP)


def settle(history, curve):
    """Settle a curve as a new version, if anything changed; gives the history with it."""
    changed = changed_intervals(compose(history), curve)
    if not len(changed.start):
        return history
    row = VersionRow("MP1", DAY, len(history) + 1, START, "late data", RULE, AUTHOR, str(STEP), changed)
    return [*history, row]


def shown(curve):
    columns = curve.start.tolist(), curve.end.tolist(), curve.value.tolist(), curve.quality.tolist()
    return {start: (end, value * STEP, quality) for start, end, value, quality in zip(*columns, strict=True)}


def measured(standing):
    """What stands and is not known to be without data."""
    return {start: entry for start, entry in standing.items() if entry[2] != MISSING}


@settings(max_examples=60)
@given(st.lists(curves(), min_size=1, max_size=5))
def test_after_every_settlement_the_versions_show_what_was_settled_last(days):
    history = []
    for curve in days:
        history = settle(history, curve)
        standing = compose(history)
        assert measured(standing) == shown(curve)
        spans = sorted((start, end) for start, (end, _, _) in standing.items())
        assert all(end <= after for (_, end), (after, _) in pairwise(spans))


@settings(max_examples=60)
@given(st.lists(curves(), min_size=1, max_size=4))
def test_what_is_settled_again_unchanged_adds_nothing(days):
    history = []
    for curve in days:
        history = settle(history, curve)
        assert settle(history, curve) == history


@given(curves(), curves())
def test_a_version_holds_only_what_changed(before, after):
    history = settle([], before)
    changed = changed_intervals(compose(history), after)
    old, new = shown(before), shown(after)
    told = dict(zip(changed.start.tolist(), changed.quality.tolist(), strict=True))
    assert {start for start, quality in told.items() if quality != MISSING} == {
        start for start, entry in new.items() if old.get(start) != entry
    }


@given(curves())
def test_a_version_unpacks_into_its_intervals_in_exact_units_inside_the_span_that_is_asked_for(curve):
    history = settle([], curve)
    for row in history:
        found = IntervalVersion.of(row, START, START + 86_400, "kWh")
        assert [(item.start, item.value.decimal) for item in found] == [
            (utc(start), value) for start, value in zip(curve.start.tolist(), curve.value.tolist(), strict=True)
        ]
        assert {item.value.unit.symbol for item in found} <= {"Wh"}
        assert IntervalVersion.of(row, START + 86_400, START + 2 * 86_400, "kWh") == []
