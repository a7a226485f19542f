"""A tariff's declaration goes through TOML and the registry without losing a digit."""

import json
from datetime import date, time
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterspan.analytics.tariff import Band, GasConversion, Tariff, TariffWindow
from meterspan.mdm.tariffs import declaration_of, parse_tariffs, read_tariffs, tariff_of

TEXT = """
[[tariff]]
name = "Day and night"
currency = "EUR"
unit = "kWh"
standing_charge_per_day = "0.32"
tax = 0.19
holidays = [2026-12-25]
bands = [ { name = "day", price = 0.3120 }, { name = "night", price = "0.2240" } ]
windows = [ { band = "night", start = 22:00:00, end = "06:00", weekdays = [1, 2], season = ["10-01", "03-31"] } ]
"""


def test_toml_is_read_exactly(tmp_path):
    path = tmp_path / "tariffs.toml"
    path.write_text(TEXT)
    (tariff,) = read_tariffs(path)
    assert tariff.bands[0] == Band("day", Decimal("0.3120"))
    assert (tariff.tax, tariff.holidays) == (Decimal("0.19"), frozenset({date(2026, 12, 25)}))
    assert tariff.windows == (
        TariffWindow("night", time(22), time(6), weekdays=frozenset({1, 2}), season=((10, 1), (3, 31))),
    )


@given(st.decimals(0, 10, places=6), st.booleans(), st.sampled_from((None, True, False)))
def test_a_declaration_reads_back_through_json(price, with_gas, holidays):
    tariff = Tariff(
        "x",
        "CHF",
        "kWh",
        (Band("a", price), Band("b", Decimal(1))),
        (TariffWindow("b", time(1), time(2), holidays=holidays),),
        conversion=GasConversion(Decimal("11.207")) if with_gas else None,
    )
    assert tariff_of(json.loads(json.dumps(declaration_of(tariff)))) == tariff


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (('name = "Day and night"\n', ""), "lacks 'name'"),
        (("tax = 0.19", "vat = 0.19"), "unknown fields: vat"),
        (('price = "0.2240"', 'price = "dear"'), "not a number"),
        (('band = "night"', 'band = "dusk"'), "no band of it"),
        (('"10-01"', '"02-30"'), "day"),
        (("bands = [", "bands = 5 #"), "not iterable"),
    ],
)
def test_a_wrong_declaration_says_what_is_wrong(change, reason):
    with pytest.raises(ValueError, match=reason):
        parse_tariffs(TEXT.replace(*change))
