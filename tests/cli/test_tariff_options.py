from decimal import Decimal

import pytest
import typer

from meterspan.cli.tariff_options import tariffs_by_commodity
from meterspan.quantities import Commodity

TARIFFS = """
[[tariff]]
name = "Day and night"
currency = "EUR"
unit = "kWh"
bands = [ { name = "day", price = "0.31" }, { name = "night", price = "0.22" } ]
windows = [ { band = "night", start = "22:00", end = "06:00" } ]

[[tariff]]
name = "Gas"
currency = "EUR"
unit = "kWh"
bands = [ { name = "all", price = "0.11" } ]
conversion = { calorific_value = "11.2" }
"""


def test_tariffs_of_a_file_go_to_their_supplies(tmp_path):
    path = tmp_path / "tariffs.toml"
    path.write_text(TARIFFS)
    found = tariffs_by_commodity(None, "EUR", path)
    assert {commodity: tariff.name for commodity, tariff in found.items()} == {
        Commodity.ELECTRICITY: "Day and night",
        Commodity.GAS: "Gas",
    }
    assert tariffs_by_commodity("0.5", "CHF", path)[Commodity.ELECTRICITY].bands[0].price == Decimal("0.5")


def test_what_is_no_price_or_tariff_is_refused(tmp_path):
    with pytest.raises(typer.BadParameter, match="is no number"):
        tariffs_by_commodity("cheap", "EUR", None)
    with pytest.raises(typer.BadParameter, match="no such file"):
        tariffs_by_commodity(None, "EUR", tmp_path / "none.toml")
