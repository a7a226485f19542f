"""A supply: its unit is that of its commodity, its tariff that of the day, its meter the one installed last."""

from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterspan.analytics.tariff import Band, Tariff
from meterspan.mdm.supplies import Supply
from meterspan.model.storage.registry import InstallationRow
from meterspan.quantities import CATALOGUE, Commodity

FIRST = date(2026, 1, 1)


def supply(commodity=Commodity.ELECTRICITY, *, tariffs=(), devices=("M1",)):
    chain = tuple(InstallationRow("MP1", name, number, None, 1, {}, {}, {}) for number, name in enumerate(devices))
    return Supply("MP1", "h1", commodity, "Europe/Berlin", "EUR", 900, tariffs, chain, ())


def tariff(name):
    return Tariff(name, "EUR", "kWh", (Band("all", Decimal("0.3")),))


@given(st.lists(st.integers(0, 30), unique=True).map(sorted), st.integers(-5, 40))
def test_the_tariff_of_a_day_is_the_last_one_that_began_by_then(starts, asked):
    tariffs = tuple((FIRST + timedelta(days=start), tariff(str(start))) for start in starts)
    found = supply(tariffs=tariffs).tariff(FIRST + timedelta(days=asked))
    begun = [start for start in starts if start <= asked]
    assert (found and found.name) == (str(begun[-1]) if begun else None)


@given(st.lists(st.sampled_from(["M1", "M2", "M3"]), min_size=1, max_size=5))
def test_a_supply_knows_its_last_meter_and_the_names_of_all(devices):
    found = supply(devices=tuple(devices))
    assert (found.meter, found.device_names) == (devices[-1], frozenset(devices))


@pytest.mark.parametrize("commodity", Commodity)
def test_people_read_it_in_the_unit_of_its_commodity(commodity):
    assert supply(commodity).unit == CATALOGUE[commodity].display_unit
