"""Registrations are checked, written through whole, and answered as frozen records; damaged rows are named."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest

from meterspan.analytics.tariff import Band, Tariff
from meterspan.mdm.damage import DamageList
from meterspan.mdm.installations import (
    Exchange,
    MeterInstallation,
)
from meterspan.mdm.registrations import Registrations
from meterspan.model.lookup_errors import (
    ExchangeTimeError,
    MeterPresentError,
    NotInstalledError,
    PeriodError,
    RegisterError,
    SupplyPresentError,
    TariffUnitError,
    UnknownHomeError,
    UnknownSupplyError,
    UnknownUsagePointError,
    UnknownZoneError,
)
from meterspan.model.storage.registry import DeviceRow, HomeRow, InstallationRow, TariffRow, UsagePointRow
from meterspan.quantities import UNITS, Commodity, Obis, Scaled
from tests.store.memory_backends import MemoryRegistry

AT = datetime(2026, 1, 1, tzinfo=UTC)
ENERGY = Obis(1, 0, 1, 8, 0)
TARIFF = Tariff("t", "EUR", "kWh", (Band("all", Decimal("0.3")),))


def home(name="h1", zone="Europe/Berlin"):
    return HomeRow(name, name, zone, "EUR")


def installed(
    registrations, name="h1", *, usage_point="MP1", device="M1", commodity=Commodity.ELECTRICITY, period_s=900
):
    wanted = MeterInstallation(
        UsagePointRow(usage_point, name, str(commodity), period_s),
        DeviceRow(device, str(commodity)),
        InstallationRow(usage_point, device, int(AT.timestamp()), None, 1, {}, {}, {}),
    )
    registrations.install([wanted])


def exchange(new="M2", days=1, **fields):
    return Exchange("MP1", AT + timedelta(days=days), "M1", {}, new, {}, **fields)


@pytest.fixture
def store():
    return MemoryRegistry({})


@pytest.fixture
def registrations(store):
    made = Registrations(store, DamageList())
    made.register_homes([home()])
    installed(made)
    return made


def test_all_that_is_registered_is_there_after_opening_again(store, registrations):
    registrations.assign_tariffs([("MP1", TARIFF, date(2026, 1, 1))])
    registrations.exchange(exchange(network="AP1"))
    again = Registrations(store, DamageList())
    assert again.homes() == registrations.homes()
    (one,), (other,) = again.supplies(), registrations.supplies()
    assert one == replace(other, revision=0)
    assert [device.network for device in one.devices] == ["", "AP1"]
    assert one.tariff(date(2026, 2, 1)) == TARIFF


def test_a_record_that_was_asked_for_never_changes(registrations):
    before = registrations.supply("h1", Commodity.ELECTRICITY)
    registrations.exchange(exchange())
    registrations.assign_tariffs([("MP1", TARIFF, date(2026, 1, 1))])
    registrations.register_homes([home(zone="UTC")])
    after = registrations.supply("h1", Commodity.ELECTRICITY)
    assert (before.meter, before.tariffs, before.zone) == ("M1", (), "Europe/Berlin")
    assert (after.meter, len(after.tariffs), after.zone) == ("M2", 1, "UTC")


def test_only_changes_of_the_chain_or_the_grid_make_a_new_revision(registrations):
    revisions = [registrations.supply_at("MP1").revision]
    for change in (
        lambda: registrations.assign_tariffs([("MP1", TARIFF, date(2026, 1, 1))]),
        lambda: registrations.register_homes([home(zone="UTC")]),
        lambda: installed(registrations),
        lambda: installed(registrations, period_s=3_600),
        lambda: registrations.exchange(exchange()),
        lambda: registrations.exchange(exchange()),
    ):
        change()
        revisions.append(registrations.supply_at("MP1").revision)
    assert [after > before for before, after in pairwise(revisions)] == [False, False, False, True, True, False]


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda made: made.register_homes([home("h9", "Mars/Olympus")]), UnknownZoneError),
        (lambda made: made.home("h9"), UnknownHomeError),
        (lambda made: made.supply("h9", Commodity.GAS), UnknownHomeError),
        (lambda made: made.supply("h1", Commodity.GAS), UnknownSupplyError),
        (lambda made: made.supply_at("MP9"), UnknownUsagePointError),
        (lambda made: installed(made, "h9"), UnknownHomeError),
        (lambda made: installed(made, device="M9"), MeterPresentError),
        (lambda made: installed(made, usage_point="MP9", device="M9"), SupplyPresentError),
        (lambda made: installed(made, usage_point="MP9", commodity=Commodity.GAS, period_s=0), PeriodError),
        (lambda made: made.exchange(replace(exchange(), usage_point="MP9")), UnknownUsagePointError),
        (lambda made: made.exchange(replace(exchange(), old_device="M9")), NotInstalledError),
        (lambda made: made.exchange(exchange(days=0)), ExchangeTimeError),
        (lambda made: made.assign_tariffs([("MP1", replace(TARIFF, unit="m3"), date(2026, 1, 1))]), TariffUnitError),
    ],
    ids=[
        "zone",
        "home",
        "home of a supply",
        "supply",
        "usage point",
        "home of a meter",
        "another meter",
        "another usage point",
        "period",
        "usage point of an exchange",
        "another old meter",
        "time",
        "unit",
    ],
)
def test_a_change_that_contradicts_what_is_registered_changes_nothing(registrations, store, change, error):
    before = registrations.supplies(), registrations.homes(), store.usage_points(), store.installations()
    with pytest.raises(error):
        change(registrations)
    assert before == (registrations.supplies(), registrations.homes(), store.usage_points(), store.installations())


def test_a_usage_point_moves_to_another_home_with_its_meter(registrations):
    registrations.register_homes([home("h2")])
    installed(registrations, "h2")
    assert [point.usage_point for point in registrations.home("h2").usage_points] == ["MP1"]
    assert registrations.home("h1").usage_points == ()


@pytest.mark.parametrize(
    ("row", "item"),
    [
        (home("h2", "Mars/Olympus"), "home h2"),
        (UsagePointRow("MP2", "h1", "steam", 900), "usage point MP2"),
        (UsagePointRow("MP2", "h1", "gas", 0), "usage point MP2"),
        (UsagePointRow("MP2", "h1", "gas", 900), "usage point MP2"),
        (TariffRow("MP1", "2026-01-01", {"name": "x"}), "tariff of MP1 from 2026-01-01"),
        (TariffRow("MP1", "soon", {}), "tariff of MP1 from soon"),
    ],
    ids=["zone", "commodity", "period", "no meter", "declaration", "day"],
)
def test_a_row_that_cannot_be_used_is_named_and_the_rest_opens(registrations, store, row, item):
    store.save(row)
    damage = DamageList()
    again = Registrations(store, damage)
    assert [found.item for found in damage.listed()] == [item]
    assert [point.usage_point for point in again.home("h1").usage_points] == ["MP1"]


def test_an_exchange_with_an_impossible_register_is_refused_and_nothing_is_written(registrations, store):
    before = store.installations()
    for field in ("closing", "opening"):
        with pytest.raises(RegisterError, match="its step of"):
            registrations.exchange(replace(exchange(), **{field: {ENERGY: Scaled(1, -127, UNITS["Wh"])}}))
    with pytest.raises(RegisterError, match="begin anew"):
        registrations.exchange(exchange(width={ENERGY: 0}))
    assert store.installations() == before


def test_a_stored_value_that_no_meter_shows_is_named_and_the_usage_point_opens(registrations, store):
    opening = {"1-0:1.8.0": [1, -127, "Wh"], "1-0:2.8.0": ["many"], "1-0:1.8.1": [5, 0, "Wh"]}
    store.save(InstallationRow("MP1", "M1", 500, None, 1, opening, {}, {}))
    damage = DamageList()
    again = Registrations(store, damage)
    assert [found.item for found in damage.listed()] == [
        "opening value of 1-0:1.8.0 of M1 at MP1",
        "opening value of 1-0:2.8.0 of M1 at MP1",
    ]
    assert again.supply_at("MP1").meter == "M1"
