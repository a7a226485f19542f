"""The sums of a group are the sums of its channels, whatever happens to them, and cost as much for many as for one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterspan.head_end.ledger import Channel, Ledger
from meterspan.head_end.tally import DAYS_COUNTED, Tally
from meterspan.quantities import DAY_S, Obis

BASE = 20_000
CHANNELS = [Channel(f"M{number}", Obis(1, 0, 1, 8, 0)) for number in range(3)]

moves = st.lists(
    st.one_of(
        st.tuples(
            st.just("expect"), st.integers(0, 2), st.integers(0, 300), st.sampled_from([900, 3_600]), st.booleans()
        ),
        st.tuples(st.just("record"), st.integers(0, 2), st.sets(st.integers(-10, 400), max_size=30)),
        st.tuples(st.just("retire"), st.integers(0, 2), st.integers(0, 400)),
    ),
    max_size=14,
)


@pytest.mark.attack(10)
@given(moves, st.integers(0, 400))
def test_the_days_of_a_group_are_the_sum_of_the_days_of_its_channels(changes, until):
    ledger, groups = Ledger(), {}
    for what, number, *rest in changes:
        channel = CHANNELS[number]
        if what == "expect":
            start, period_s, is_first = rest
            groups[channel] = "first" if is_first else "second"
            ledger.expect(channel, period_s=period_s, start=BASE * DAY_S + 900 * start, group=groups[channel])
        elif what == "record":
            ledger.record(channel, np.array([BASE * DAY_S + 900 * slot for slot in rest[0]], np.int64))
        else:
            ledger.retire(channel, BASE * DAY_S + 900 * rest[0])
    limit = BASE * DAY_S + 900 * until
    found = ledger.days_of_groups(BASE - 1, BASE + 5, limit)
    for group in set(groups.values()):
        mine = [channel for channel, of in groups.items() if of == group]
        for count in found[group]:
            days = [day for channel in mine for day in ledger.days(channel, limit) if day.day == count.day]
            assert count.expected == sum(day.expected for day in days)
            assert count.received == sum(day.received for day in days)


def test_values_at_impossible_times_open_no_counters():
    tally = Tally(900)
    tally.fill(-(1 << 50), -(1 << 50) + 96)
    tally.fill(DAYS_COUNTED * 96, 1 << 50)
    assert tally.days(0, 0, 1 << 40)[0].received == 0
    assert not tally._chunks


def test_a_meter_installed_in_1970_costs_one_entry_and_no_days():
    ledger = Ledger()
    ledger.expect(CHANNELS[0], period_s=900, start=0, group="g")
    day = BASE * DAY_S
    ledger.record(CHANNELS[0], np.arange(day + 900, day + DAY_S + 1, 900))
    assert ledger.missing(CHANNELS[0], day + DAY_S) == [(0, day)]
    (count,) = ledger.days_of_groups(BASE, BASE, day + DAY_S)["g"]
    assert (count.expected, count.received) == (96, 96)
