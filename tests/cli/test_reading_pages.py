from decimal import Decimal

import pytest

from meterspan.cli.reading_pages import _exact, _exact_text, _span


@pytest.mark.parametrize(
    ("seconds", "text"), [(3.4, "3 s"), (119, "119 s"), (180, "3.0 min"), (7_300, "2.0 h"), (22_737_500, "263.2 days")]
)
def test_a_clock_offset_is_told_in_a_unit_that_people_read(seconds, text):
    assert _span(seconds) == text


def test_numbers_keep_all_their_digits_and_texts_stay_texts():
    assert _exact_text("12") == 12
    assert bytes(_exact_text("0.10")) == b"0.10"
    assert _exact_text("4d53") == "4d53"
    assert _exact_text("") is None
    assert _exact_text("nan") is None
    assert _exact(Decimal("1E+3")) == 1000
