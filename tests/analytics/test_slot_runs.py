"""Runs of slots are the set of their numbers, whatever is added in whatever order."""

from hypothesis import given
from hypothesis import strategies as st

from meterspan.analytics.slot_runs import SlotRuns

spans = st.lists(
    st.tuples(st.integers(-20, 60), st.integers(0, 12)).map(lambda pair: (pair[0], sum(pair))), max_size=25
)


def numbers(runs):
    return {number for first, stop in runs for number in range(first, stop)}


@given(spans)
def test_what_is_added_is_there_once_and_add_returns_what_was_new(added):
    runs, known = SlotRuns(), set()
    for first, stop in added:
        wanted = set(range(first, stop))
        assert numbers(runs.add(first, stop)) == wanted - known
        known |= wanted
        assert numbers(runs) == known
        assert len(runs) == len(known)
    edges = [edge for run in runs for edge in run]
    assert edges == sorted(set(edges)), "runs that touch are one run"


@given(spans, st.integers(-25, 80), st.integers(-25, 80))
def test_gaps_and_count_of_a_span_make_up_the_span(added, first, stop):
    runs = SlotRuns()
    for span in added:
        runs.add(*span)
    span = set(range(first, stop))
    assert numbers(runs.gaps(first, stop)) == span - numbers(runs)
    assert runs.count(first, stop) == len(span & numbers(runs))


def test_a_complete_history_is_one_run_however_long_it_is():
    runs = SlotRuns()
    for slot in range(10_000):
        runs.add(slot, slot + 1)
    assert list(runs) == [(0, 10_000)]
