"""OBIS codes read and write in both notations."""

import pytest
from hypothesis import given

from meterspan.quantities import Obis, parse_obis
from tests.strategies import obis_codes


@given(obis_codes)
def test_every_code_survives_both_notations(code: Obis) -> None:
    assert parse_obis(str(code)) == code
    assert parse_obis(".".join(map(str, bytes(code)))) == code
    assert Obis(*bytes(code)) == code


def test_an_unused_billing_period_is_left_out() -> None:
    assert str(Obis(1, 0, 1, 8, 0)) == "1-0:1.8.0"
    assert str(Obis(1, 0, 1, 8, 0, 7)) == "1-0:1.8.0*7"
    assert parse_obis("1-0:1.8.0&7") == Obis(1, 0, 1, 8, 0, 7)


@pytest.mark.parametrize("text", ["", "1.8.0", "1-0:1.8", "1-0:1.8.256", "a-b:c.d.e", "1-0:1.8.0*", "1.0.1.8.0.255.1"])
def test_what_is_no_code_is_refused_in_words(text: str) -> None:
    with pytest.raises(ValueError, match="OBIS"):
        parse_obis(text)
