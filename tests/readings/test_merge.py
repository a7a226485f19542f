"""Several frames in one input: one answer, with the readings of all in order and the first errors."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from meterspan.model.telegram import DecodedReading, DecodedTelegram, DeviceIdentity
from meterspan.readings.merge import MAX_ERRORS, merge
from meterspan.wire.errors import WireError

readings = st.lists(st.integers(0, 9).map(lambda number: DecodedReading("value", number, "1")), max_size=3)
telegrams = st.builds(
    DecodedTelegram,
    st.sampled_from(["p1", "sml", "mbus"]),
    st.sampled_from([DeviceIdentity(), DeviceIdentity("1"), DeviceIdentity("2")]),
    st.sampled_from([None, datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)]),
    readings.map(tuple),
    st.lists(st.sampled_from("abcdefg").map(WireError), max_size=3).map(tuple),
)


@given(st.lists(telegrams, min_size=1, max_size=5))
def test_an_answer_has_all_readings_in_order_and_what_the_first_frame_that_knows_it_says(parts):
    whole = merge(parts)
    assert whole.readings == tuple(reading for part in parts for reading in part.readings)
    assert whole.device.id == next((part.device.id for part in parts if part.device.id), "")
    assert whole.time == next((part.time for part in parts if part.time), None)
    assert whole.protocol in {part.protocol for part in parts if part.readings} or not whole.readings


@given(st.lists(telegrams, min_size=2, max_size=5))
def test_each_error_is_told_once_in_order_and_not_more_than_the_bound(parts):
    told = [str(error) for part in parts for error in part.errors]
    assert [str(error) for error in merge(parts).errors] == list(dict.fromkeys(told))[:MAX_ERRORS]


@given(telegrams)
def test_one_frame_is_its_own_answer(part):
    assert merge([part]) is part


def test_no_frame_is_an_error():
    assert "nothing to decode" in (merge([]).error or "")
