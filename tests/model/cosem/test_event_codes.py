"""Codes of the standard event log have words and a severity; a code that is not in the table is shown as it is."""

from hypothesis import given
from hypothesis import strategies as st

from meterspan.model.cosem.event_codes import EventCode, event_severity, event_words
from meterspan.model.readings import EventSeverity


def test_every_code_of_the_table_has_words():
    assert event_words(EventCode.LIMITER_EXCEEDED) == "limiter exceeded"
    assert all(event_words(code) for code in EventCode)


@given(st.integers(-(2**31), 2**31).filter(lambda code: code not in set(map(int, EventCode))))
def test_an_unknown_code_has_no_words_and_is_a_warning(code):
    assert event_words(code) == ""
    assert event_severity(code) is EventSeverity.WARNING


def test_what_a_meter_does_every_day_is_no_warning():
    assert event_severity(EventCode.DAYLIGHT_SAVING_CHANGED) is EventSeverity.INFO
    assert event_severity(EventCode.DISCONNECTED_LOCALLY) is EventSeverity.WARNING
