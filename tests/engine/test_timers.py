from hypothesis import given
from hypothesis import strategies as st

from meterspan.engine.timers import earliest, is_due

TIMES = st.none() | st.floats(0, 1e10)


@given(st.lists(TIMES), st.floats(0, 1e10))
def test_a_timer_is_due_from_its_deadline_on_and_the_earliest_is_never_after_one_that_is_due(deadlines, now):
    first = earliest(*deadlines)
    assert is_due(first, now) == any(is_due(deadline, now) for deadline in deadlines)
    assert first is None or first in deadlines


def test_nothing_is_due_where_there_is_no_deadline():
    assert earliest() is None
    assert not is_due(None, 1e10)
    assert is_due(5.0, 5.0)
