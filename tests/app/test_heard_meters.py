"""What people see of heard meters: whole values, few digits, and an order in which trouble is found."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterspan.app.heard_meters import (
    RowOrder,
    age_text,
    amount_text,
    fitting,
    label_text,
    main_readings,
    names_in_order,
    why_not_read,
)
from meterspan.app.listening import HeardMeter, Hearing, Outcome
from meterspan.model.telegram import DecodedReading, DecodedTelegram
from meterspan.quantities import Obis
from meterspan.wire.errors import UnsupportedError


def meter(outcome=Outcome.READ, readings=(), errors=()):
    hearing = Hearing(0.0, "x", "m", outcome, DecodedTelegram("wmbus", readings=readings, errors=errors))
    return HeardMeter(1, hearing, hearing if outcome is Outcome.READ else None)


def test_meters_are_in_each_order():
    meters = {"c": meter(), "a": meter(), "b": meter(Outcome.NO_KEY)}
    assert names_in_order(meters, RowOrder.NAME) == ["a", "b", "c"]
    assert names_in_order(meters, RowOrder.LAST_HEARD) == ["b", "a", "c"]
    assert names_in_order(meters, RowOrder.TROUBLE) == ["b", "a", "c"]
    assert [RowOrder.NAME.following, RowOrder.TROUBLE.following] == [RowOrder.LAST_HEARD, RowOrder.NAME]


@pytest.mark.finding("users B11")
@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        ("457.5793333333333333333333333", "m3", "457.579 m3"),
        ("0.00012345678", "m3", "0.000123 m3"),
        ("-2.66666666666", "kW", "-2.667 kW"),
        ("12.345678", "m3", "12.345678 m3"),
        ("1594553", "Wh", "1594.553 kWh"),
        ("1", "1", "1"),
        ("0E-12", "m3", "0.000000000000 m3"),
    ],
)
def test_a_value_has_the_decimals_of_a_register(value, unit, text):
    assert amount_text(DecodedReading("volume", Decimal(value), unit)) == text


def test_a_text_is_a_value():
    assert amount_text(DecodedReading("message", "hello")) == "hello"


@pytest.mark.finding("users B1")
@pytest.mark.attack(11)
@given(st.lists(st.text("0123456789", min_size=1, max_size=12), min_size=1, max_size=20), st.integers(12, 60))
def test_a_value_is_shown_whole_or_not_at_all(values, width):
    text = fitting(values, width)
    assert len(text) <= width
    shown = [part for part in text.split("   ") if not part.startswith("+")]
    hidden = next((int(part) for part in text.split("   ") if part.startswith("+")), 0)
    if "values" in text:
        assert text == f"{len(values)} values"
        assert len(values[0]) + len("   +9") >= width or len(values) > 9
    else:
        assert shown == values[: len(shown)]
        assert len(shown) + hidden == len(values)


def test_registers_are_first_and_zeros_last():
    found = main_readings(
        meter(
            readings=(
                DecodedReading("power", 5, "W"),
                DecodedReading("energy", 0, "Wh"),
                DecodedReading("energy", 7, "Wh", storage=1),
                DecodedReading("energy", 9, "Wh"),
                DecodedReading("on time", 9, "d"),
            )
        )
    )
    assert [(item.quantity, item.value) for item in found] == [("energy", 9), ("power", 5), ("energy", 0)]


def test_a_label_names_export_and_tariff():
    assert label_text(DecodedReading("energy", 1, "Wh", Obis(1, 0, 2, 8, 1), tariff=1)) == "export T1"
    assert not label_text(DecodedReading("energy", 1, "Wh", Obis(1, 0, 1, 8, 0)))


def test_what_is_not_read_has_a_reason():
    assert not why_not_read(meter())
    assert "key file" in why_not_read(meter(Outcome.NO_KEY))
    assert why_not_read(meter(Outcome.NOT_READ, errors=(UnsupportedError("of a kind"),))) == "of a kind"


def test_an_age_is_in_its_largest_unit():
    assert [age_text(span) for span in (-0.2, 5, 180, 7200)] == ["0 s", "5 s", "3 min", "2 h"]
