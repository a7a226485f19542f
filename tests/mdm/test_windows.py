"""A window is widened until registers bracket the span; what is derived from it is what the whole history gives."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from meterspan.mdm.chains import EVER, NEVER, billing_series, chain_of
from meterspan.mdm.curves import derive, is_bracketed, window_of
from meterspan.mdm.windows import neighbours, read_window
from meterspan.model.storage.readings import Readings
from meterspan.model.storage.registry import InstallationRow, SeriesRow
from meterspan.quantities import HOUR_S, Commodity, Direction

T0 = 20_000 * 86_400
ROWS = {
    1: SeriesRow(1, "M1", "1-0:1.8.0", "Wh", 0),
    2: SeriesRow(2, "M1", "1-0:1.8.1", "Wh", 0),
    3: SeriesRow(3, "M1", "1-0:1.8.2", "Wh", 0),
}


class Source:
    """A ``ReadingSource`` over arrays; it counts how often it is read."""

    def __init__(self, rows):
        columns = zip(*rows, strict=True)
        series, time, value = (np.array(column, np.int64) for column in columns)
        zero = np.zeros(len(time), np.int32)
        self.all = Readings(series.astype(np.int32), time, value, zero, zero, zero.astype(np.int8), time).sorted()
        self.reads = 0

    def read(self, series, start, end):
        self.reads += 1
        return self.all[np.isin(self.all.series, list(series)) & (self.all.time >= start) & (self.all.time < end)]

    def bounds(self, series):
        times = self.all.time[self.all.series == series]
        return (int(times[0]), int(times[-1])) if len(times) else None


def chain(source, period_s=900):
    installations = [InstallationRow("MP1", "M1", T0 - 86_400, None, 1, {}, {}, {})]
    return chain_of(
        installations,
        lambda _device: list(ROWS.values()),
        source.bounds,
        commodity=Commodity.ELECTRICITY,
        direction=Direction.IMPORT,
        period_s=period_s,
    )


@st.composite
def registers(draw):
    time, value, rows = T0, 1_000, []
    for _ in range(draw(st.integers(1, 40))):
        time += draw(st.sampled_from((900, 900, 3_600, 40 * HOUR_S)))
        value = draw(st.sampled_from((value + 25, value + 25, value, 10)))
        rows.append((1, time, draw(st.sampled_from((value, value, value, 0)))))
    return rows


@given(registers(), st.integers(-10, 400), st.integers(1, 30))
def test_a_window_gives_what_the_whole_history_gives(rows, first_hour, hours):
    source = Source(rows)
    found = chain(source)
    low, high = T0 + first_hour * HOUR_S, T0 + (first_hour + hours) * HOUR_S
    window = read_window(source, found, low, high)
    assert is_bracketed(found, window, low, high)
    whole = window_of(found, source.read([1], EVER, NEVER), EVER, NEVER)
    one, other = derive(found, window, (low, high)), derive(found, whole, (low, high))
    for name in ("start", "end", "value", "quality"):
        assert getattr(one, name).tolist() == getattr(other, name).tolist()
    assert (one.unexplained, one.opening, one.closing, one.last) == (
        other.unexplained,
        other.opening,
        other.closing,
        other.last,
    )


def test_a_chain_without_registers_reads_nothing_and_is_empty():
    source = Source([(9, T0, 1)])
    found = chain(source)
    assert (found.registers, found.basis) == ((), ())
    assert len(derive(found, read_window(source, found, T0, T0 + 900), (T0, T0 + 900)).start) == 0
    assert source.reads == 0


def test_the_total_bills_where_it_was_read_and_tariff_registers_elsewhere():
    days = [T0 + 86_400 * day for day in range(10)]
    tariffs = [(number, time, time) for number in (2, 3) for time in days]
    source = Source([*tariffs, *((1, time, time) for time in days[5:])])
    parts = [(item.tariff, item.installation.start, item.installation.end) for item in chain(source).registers]
    assert parts == [(1, T0 - 86_400, days[5]), (2, T0 - 86_400, days[5]), (0, days[5], None)]
    assert billing_series(list(ROWS.values()), source.bounds, Commodity.ELECTRICITY) == [2, 3, 1]
    assert chain(Source(tariffs)).basis != chain(source).basis
    assert [item.tariff for item in chain(Source([*tariffs, *((1, time, 1) for time in days)])).registers] == [0]


def test_neighbours_are_three_registers_away_and_pass_over_zeros():
    source = Source([(1, T0 + 900 * at, 0 if 40 <= at < 60 else 1_000 + at) for at in range(100)])
    assert neighbours(source, [1], T0 + 900 * 60, T0 + 900 * 61) == (T0 + 900 * 37, T0 + 900 * 63)
    assert neighbours(source, [1], T0, T0 + 900) == (T0, T0 + 900 * 3)
    assert neighbours(source, [7], T0, T0 + 900) == (T0, T0 + 899)
