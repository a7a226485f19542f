from decimal import Decimal

import pytest

from meterspan.app.home_tariffs import flat_tariff, tariffs_of_file
from meterspan.portal.words import languages
from meterspan.quantities import Commodity

BANDS = 'currency = "EUR"\nbands = [ { name = "all", price = "0.11" } ]\n'


@pytest.mark.parametrize(
    ("lines", "commodity"),
    [
        ('unit = "kWh"\n', Commodity.ELECTRICITY),
        ('unit = "kWh"\nconversion = { calorific_value = "11.2" }\n', Commodity.GAS),
        ('unit = "m3"\n', Commodity.WATER),
    ],
)
def test_a_tariff_belongs_to_the_supply_that_its_unit_and_conversion_name(tmp_path, lines, commodity) -> None:
    path = tmp_path / "tariffs.toml"
    path.write_text(f'[[tariff]]\nname = "T"\n{lines}{BANDS}')
    assert {known: tariff.name for known, tariff in tariffs_of_file(path).items()} == {commodity: "T"}


@pytest.mark.finding("users C-1")
def test_a_flat_price_has_no_name_but_that_of_its_kind_which_pages_have_in_each_language() -> None:
    tariff = flat_tariff(Decimal("0.32"), "EUR")
    assert {tariff.name, tariff.bands[0].name} == {"flat"}
    for words in languages().values():
        assert words.name("tariff", tariff.name) != tariff.name
        assert words.name("band", tariff.bands[0].name) != tariff.bands[0].name


def test_a_flat_price_is_one_band_for_electricity() -> None:
    tariff = flat_tariff(Decimal("0.32"), "CHF")
    assert (tariff.unit, tariff.currency, [band.price for band in tariff.bands]) == ("kWh", "CHF", [Decimal("0.32")])
