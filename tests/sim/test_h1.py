from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from meterspan.display.heard import hear
from meterspan.display.model import DisplayModel
from meterspan.model.readings import Commodity, Direction
from meterspan.quantities import Obis
from meterspan.sim.h1 import P1Port
from meterspan.sim.households import Equipment, Heating, Household, Profile
from meterspan.sim.weather import Weather
from meterspan.wire.p1 import read_telegram

BERLIN = ZoneInfo("Europe/Berlin")
WEATHER = Weather(3)


def utc(*local):
    return datetime(*local, tzinfo=BERLIN).timestamp()


def home(**equipment):
    return Household(3, Profile.FAMILY, weather=WEATHER, equipment=Equipment(**equipment))


def test_a_telegram_reads_back_with_all_meters_of_the_home():
    start = utc(2025, 1, 14, 6)
    port = P1Port(home(), start, opening={Commodity.ELECTRICITY: {Obis(1, 0, 1, 8, 1): 1_234_567}})
    port.message = "Hello (neighbour)"
    telegram = read_telegram(port.telegram(start + 1234))
    assert (telegram.profile.name, telegram.crc_matches, telegram.faults) == ("dsmr5", True, ())
    heard = hear(telegram, start + 1234)
    assert (heard.at, heard.tariff, heard.message) == (start + 1234, 1, "Hello (neighbour)")
    assert [register.commodity for register in heard.registers if register.direction is Direction.IMPORT] == [
        Commodity.ELECTRICITY, Commodity.GAS, Commodity.WATER,
    ]  # fmt: skip
    assert heard.registers[0].value > 1234
    gas = next(register for register in heard.registers if register.commodity is Commodity.GAS)
    assert gas.at == start + 1200
    assert gas.value > 0
    assert telegram.find(Obis(1, 0, 72, 7, 0)) is not None


def test_registers_on_the_port_are_what_the_household_used():
    start, end = utc(2025, 6, 11, 5), utc(2025, 6, 11, 9)
    household = home(heating=Heating.DISTRICT, pv_kw=6.0)
    heard = hear(read_telegram(P1Port(household, start).telegram(end)), end)
    flows = household.flows(start, end, 10.0)
    used = {(register.commodity, register.direction): float(register.value) for register in heard.registers}
    assert used[Commodity.ELECTRICITY, Direction.IMPORT] == pytest.approx(
        np.clip(flows.power_w, 0, None).sum() / 360e3, abs=2e-3
    )
    assert used[Commodity.ELECTRICITY, Direction.EXPORT] == pytest.approx(
        np.clip(-flows.power_w, 0, None).sum() / 360e3, abs=2e-3
    )
    assert used[Commodity.WATER, Direction.IMPORT] == pytest.approx(flows.water_l.sum() / 1000, abs=2e-3)
    assert used[Commodity.HEAT, Direction.IMPORT] == pytest.approx(flows.heat_w.sum() / 360e3, abs=0.3)  # in MJ steps


@pytest.mark.parametrize(
    ("local", "tariff"),
    [((2025, 1, 14, 6, 59), 1), ((2025, 1, 14, 7), 2), ((2025, 1, 14, 23), 1), ((2025, 1, 18, 12), 1)],
)
def test_the_low_tariff_holds_by_night_and_at_weekends(local, tariff):
    at = utc(*local)
    assert hear(read_telegram(P1Port(home(), at).telegram(at)), at).tariff == tariff


def test_a_display_on_the_port_shows_the_household():
    start, end = utc(2025, 1, 14, 17), utc(2025, 1, 14, 18)
    household = home()
    display = DisplayModel("Europe/Berlin")
    for count, octets in enumerate(P1Port(household, start).telegrams(start, end)):
        display.heard(read_telegram(octets), start + 10 * count)
    view = display.view(end)
    flows = household.flows(start, end, 10.0)
    assert float(view.today[0].consumed) == pytest.approx(flows.power_w.sum() / 360e3, abs=3e-3)
    assert view.power_w == pytest.approx(flows.power_w[-1], abs=1)
    assert view.at == datetime.fromtimestamp(end, UTC)


def test_the_winter_hour_comes_twice_and_is_told_apart():
    first = utc(2025, 10, 26, 1) + 3600
    port = P1Port(home(), first)
    summer, winter = (read_telegram(port.telegram(at)).time for at in (first + 60, first + 3660))
    assert str(summer).startswith("2025-10-26 02:01:00+02:00")
    assert str(winter).startswith("2025-10-26 02:01:00+01:00")


def test_the_past_is_not_written_again():
    port = P1Port(home(), 1e9)
    port.telegram(1e9 + 10)
    with pytest.raises(ValueError, match="past"):
        port.telegram(1e9)
