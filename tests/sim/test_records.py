"""Inventory records of a district: they say how each device is really reached, and hold its keys wrapped."""

import pytest

from meterspan.crypto.mechanisms import Security
from meterspan.head_end.inventory import KeyCustody
from meterspan.lnap.access_point import AccessPointConfig
from meterspan.quantities import CATALOGUE, Commodity
from meterspan.sim.building import AccessPointHost, local_meters
from meterspan.sim.homes import RadioPoint, Reach, draw_homes, electricity_keys, title_of
from meterspan.sim.records import TARIFFS, access_point_record, direct_record, local_record

START = 1_792_800_000.0
CUSTODY = KeyCustody(bytes(16))


@pytest.fixture(scope="module")
def building():
    homes = tuple(draw_homes(1, 4, zone="Europe/Berlin", start=START, homes_per_building=4))
    config = AccessPointConfig("MSPL1", title_of(2, 1), 3_600, local_meters(homes))
    return AccessPointHost(config, electricity_keys(1, "MSPL1")), homes


def test_an_access_point_is_called_with_its_own_keys_and_owes_nothing(building):
    host, _ = building
    record = access_point_record(host, 1, CUSTODY, int(START))
    opened = CUSTODY.keys_of(record)
    assert (record.device, record.system_title, record.channels) == (host.name, host.config.system_title, ())
    assert (opened.global_unicast, opened.authentication) == (host.keys.unicast, host.keys.authentication)
    assert record.security is Security.HLS_GMAC


def test_a_meter_that_is_read_by_itself_is_recorded_with_its_protocol_keys_and_registers(building):
    _, homes = building
    direct = [home for home in homes if home.electricity.reach is not Reach.P1]
    assert len(direct) == 3
    for home in direct:
        point = home.electricity
        record = direct_record(home, point, CUSTODY)
        opened = CUSTODY.keys_of(record)
        assert record.protocol.value == point.reach.value
        assert record.usage_point == home.usage_point(Commodity.ELECTRICITY)
        assert {plan.obis for plan in record.channels} == set(point.registers())
        assert (opened.global_unicast, opened.authentication) == (point.keys.unicast, point.keys.authentication)
        assert record.system_title == point.meter.config.system_title


def test_a_meter_that_an_access_point_hears_hangs_on_it_and_has_a_radio_key_only_if_it_sends_by_radio(building):
    host, homes = building
    heard = [(home, point) for home in homes for point in home.points if host.point.channel(point.device)]
    assert len(heard) == 2 * len(homes) + 1
    for home, point in heard:
        channel = host.point.channel(point.device)
        record = local_record(home, point, channel, host.name, CUSTODY)
        radio_key = point.meter.config.key if isinstance(point, RadioPoint) else None
        assert CUSTODY.keys_of(record).radio == radio_key
        assert (record.interface, str(record.protocol)) == (("M", "wmbus") if radio_key else ("H1", "p1"))
        assert record.endpoint == record.network == host.name
        assert {plan.profile for plan in record.channels} == {channel.profile_name}
        assert {plan.obis for plan in record.channels} == set(channel.meter.registers)


@pytest.mark.parametrize("commodity", Commodity)
def test_every_commodity_has_a_tariff_in_a_unit_that_its_register_converts_to(commodity):
    tariff = TARIFFS[commodity]
    assert tariff.unit == CATALOGUE[commodity].display_unit or tariff.conversion is not None
    assert {window.band for window in tariff.windows} <= {band.name for band in tariff.bands}
