"""Views are records: the one thing that they work out, and that every protocol is answered by what is shipped."""

from datetime import date
from typing import Protocol

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterspan.app.home_views import HomeNetworkViews
from meterspan.head_end.views import HeadEndViews
from meterspan.mdm import MeterDataManagement
from meterspan.model.views import CompletenessCell, HomeViews, MeterState, NetworkViews, OrderDesk, OrderState

counts = st.integers(0, 200)


@given(counts, counts)
def test_what_is_missing_of_a_day_is_never_less_than_nothing(expected, received):
    cell = CompletenessCell(date(2026, 1, 1), expected, received)
    assert cell.missing == (expected - received if received < expected else 0)


@pytest.mark.parametrize(
    ("protocol", "answerer"),
    [
        (HomeViews, MeterDataManagement),
        (NetworkViews, HeadEndViews),
        (NetworkViews, HomeNetworkViews),
        (OrderDesk, HeadEndViews),
    ],
)
def test_every_question_of_a_view_is_answered_by_who_is_asked(protocol, answerer):
    assert issubclass(protocol, Protocol)
    questions = {name for name in vars(protocol) if not name.startswith("_")}
    assert questions
    assert {name for name in questions if not callable(getattr(answerer, name, None))} == set()


@pytest.mark.parametrize("states", [MeterState, OrderState])
def test_a_state_is_one_lower_case_word_or_two_so_that_pages_can_name_it(states):
    assert all(state == state.lower() and len(state.split()) <= 2 for state in states)
