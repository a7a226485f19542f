"""What is derived from a window, or brought up to date piecewise, is what the whole history gives."""

from datetime import UTC, datetime, timedelta

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from meterspan.analytics.conserve import conserve, installation_of
from meterspan.mdm import MeterDataManagement
from meterspan.mdm.versions import compose
from meterspan.model.readings import CaptureBlock, CaptureColumn, Commodity, Direction, Source
from meterspan.quantities import UNITS, Obis

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
        happens = draw(st.sampled_from(("", "", "", "", "", "reset", "zero")))
        register = draw(st.integers(0, 50)) if happens == "reset" else register + draw(st.integers(0, 900))
        readings.append((time, 0 if happens == "zero" else register))
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
