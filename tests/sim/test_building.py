"""A building: what its access point hears, what outlives a power failure, and what an eavesdropper keeps."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterspan.lnap.access_point import AccessPointConfig
from meterspan.mdm import MeterDataManagement
from meterspan.model.quarantine import FrameFault
from meterspan.quantities import Commodity
from meterspan.readings.p1 import P1_REGISTERS
from meterspan.sim.building import AccessPointHost, Building, Interfaces, local_meter, local_meters
from meterspan.sim.clock import VirtualClock
from meterspan.sim.district import District, DistrictConfig
from meterspan.sim.homes import Reach, draw_homes, draw_neighbours, electricity_keys, title_of
from meterspan.sim.report import verify

DST_DAY = datetime(2026, 10, 25, tzinfo=ZoneInfo("Europe/Berlin")).timestamp()


@pytest.fixture
def data(tmp_path):
    with MeterDataManagement(tmp_path) as management:
        yield management


@pytest.fixture
def building():
    """A building of four homes around an access point that knows their meters, with two meters of next door."""
    homes = tuple(draw_homes(1, 4, zone="Europe/Berlin", start=DST_DAY, homes_per_building=4))
    config = AccessPointConfig("MSPL1", title_of(2, 1), 3_600, local_meters(homes))
    host = AccessPointHost(config, electricity_keys(1, "MSPL1"))
    neighbours = draw_neighbours(1, 0, DST_DAY, 3_600)
    return Building(VirtualClock(DST_DAY), host, homes, neighbours, seed=7, interfaces=Interfaces())


def live(building, minutes, *, first=0):
    """Let time pass; gives what the access point took by radio, as (device, octets)."""
    took = []
    building.on_radio = lambda device, octets, _now: took.append((device, octets))
    for minute in range(first, first + minutes):
        start = DST_DAY + 60 * minute
        building.measure(start, start + 60)
        building._clock.run_until(start + 60)
    return took


def test_an_access_point_that_lost_its_power_goes_on_with_what_it_kept(data):
    district = District(DistrictConfig(DST_DAY, homes=3, hours=2.0, with_faults=False), data)
    host = district.buildings[0].host
    district.run_until(DST_DAY + 2_000)
    before = host.point
    rows = {channel.meter.device: len(channel.rows) for channel in before.channels}
    host.power_down()
    district.pushes.detach(host.name)
    assert (host.point, host.logical) == (None, None)
    district.run_until(DST_DAY + 2_400)
    host.power_up()
    district.pushes.attach(host)
    assert host.point is not before
    assert {channel.meter.device: len(channel.rows) for channel in host.point.channels} == rows
    district.run_until(DST_DAY + 2 * 3_600 + 900)
    assert verify(district, DST_DAY + 2 * 3_600 - 3_600) == []


def test_the_access_point_takes_the_meters_of_its_list_and_only_counts_those_of_next_door(building):
    took = live(building, 20)
    own = {radio.device for home in building.homes for radio in home.radios}
    assert {device for device, _ in took} == own
    unknown = building.host.point.unknown_devices
    assert {point.device for point in building.neighbours} <= set(unknown)
    assert not own & set(unknown)


def test_what_is_quarantined_is_handed_on_once_oldest_first(building):
    home = building.homes[0]
    building.host.install(local_meter(home, home.radios[0], bytes(16)))
    handed_on = []
    for minutes in (0, 10):
        live(building, 10, first=minutes)
        handed_on += building.host.quarantined()
        assert building.host.quarantined() == ()
    wrong = [frame for frame in handed_on if frame.fault is FrameFault.WRONG_KEY]
    assert {frame.device for frame in wrong} == {home.radios[0].device}
    assert len(wrong) > 5
    times = [frame.time for frame in handed_on]
    assert times == sorted(set(times))


def test_without_power_nothing_is_heard_nothing_is_shown_and_nothing_breaks(building):
    building.host.power_down()
    assert live(building, 10) == []
    building.send_p1(DST_DAY + 600)
    building.send_h2()
    assert (building.host.logical, building.host.quarantined()) == (None, ())


def test_a_meter_that_is_listed_again_keeps_its_channel_and_takes_its_new_key(building):
    host, home = building.host, building.homes[1]
    names = [meter.device for meter in host.config.meters]
    host.install(local_meter(home, home.radios[0], bytes(16)))
    assert [meter.device for meter in host.config.meters] == names
    took = live(building, 10)
    assert home.radios[0].device not in {device for device, _ in took}
    host.install(local_meter(home, home.radios[0], home.radios[0].meter.config.key))
    assert home.radios[0].device in {device for device, _ in live(building, 10, first=10)}


def test_the_allow_list_has_every_radio_meter_and_each_p1_port_and_a_mistyped_key_only_where_it_is_said(building):
    wrong = building.homes[0].radios[0].device
    listed = {meter.device: meter for meter in local_meters(building.homes, frozenset({wrong}))}
    for home in building.homes:
        for radio in home.radios:
            assert (listed[radio.device].key == radio.meter.config.key) == (radio.device != wrong)
            assert listed[radio.device].registers == (radio.obis,)
        meter = home.electricity
        assert (meter.device in listed) == (meter.reach is Reach.P1)
    (wired,) = [meter for meter in listed.values() if meter.commodity is Commodity.ELECTRICITY]
    assert wired.registers == P1_REGISTERS


def test_an_eavesdropper_has_the_newest_old_telegrams_of_one_device(building):
    device = building.homes[0].radios[1].device
    live(building, 20)
    before = DST_DAY + 600
    sent = [frame for frame in building.radio.trace if frame.sender == device]
    old = [frame.octets for frame in sent if frame.at < before]
    assert 0 < len(old) < len(sent)
    assert building.overheard(device, before, 2) == old[-2:]


def test_a_display_hears_every_home_also_those_that_the_access_point_does_not_listen_to(building):
    heard = []
    building.on_display = lambda home, telegram, _now: heard.append((home.home_id, telegram))
    live(building, 1)
    building.send_p1(DST_DAY + 60)
    building._clock.run_until(DST_DAY + 61)
    assert [home_id for home_id, _ in heard] == [home.home_id for home in building.homes]
    wired = [home for home in building.homes if home.electricity.reach is Reach.P1]
    for home in wired:
        assert home.electricity.rows[int(DST_DAY + 60)] == home.electricity.shown()
    building.send_p1(DST_DAY + 120, only=Reach.P1)
    building._clock.run_until(DST_DAY + 121)
    assert len(heard) == len(building.homes) + len(wired)


def test_on_a_shaken_wire_telegrams_are_damaged_and_quarantined(building):
    (wired,) = [home.electricity.device for home in building.homes if home.electricity.reach is Reach.P1]
    building.disturb_wire(wired, 1.0)
    for count in range(8):
        building.send_p1(DST_DAY + 10 * count, only=Reach.P1)
        building._clock.run_until(DST_DAY + 10 * count + 5)
    sources = [frame.source for frame in building.host.quarantined()]
    assert len(sources) >= 6
    assert all("P1 of home-" in source for source in sources)


@given(st.lists(st.tuples(st.sampled_from(["M", "G1", "H1"]), st.integers(0, 300), st.integers(1, 5))))
def test_messages_and_octets_add_up_by_interface(notes):
    interfaces = Interfaces()
    for interface, octets, messages in notes:
        interfaces.note(interface, octets, messages)
    for interface in ("M", "G1", "H1"):
        own = [(octets, messages) for name, octets, messages in notes if name == interface]
        assert interfaces.octets[interface] == sum(octets for octets, _ in own)
        assert interfaces.messages[interface] == sum(messages for _, messages in own)
