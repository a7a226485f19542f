"""A head end sees each meter of an access point at one scale per association, and no value at a wrong one."""

import pytest

from meterspan.lnap.access_point import AccessPoint, AccessPointConfig
from meterspan.lnap.channel import LocalMeter, Observation
from meterspan.lnap.cosem import LnapAccess, logical_device
from meterspan.model.cosem.classes import ExtendedRegister, ProfileGeneric
from meterspan.quantities import UNITS, Commodity, Obis, Scaled
from meterspan.wire.axdr import DataType
from tests.helpers_cosem import differing_rights
from tests.memory import MemoryOutbox, MemoryState

START = 20_000 * 86_400
REGISTER, PROFILE = Obis(0, 1, 24, 2, 1), Obis(0, 1, 24, 3, 0)


def point():
    meter = LocalMeter("MSP1000000001", Commodity.ELECTRICITY, "home", (Obis(1, 0, 1, 8, 0),))
    state = MemoryState()
    config = AccessPointConfig("MSPLNAP000001", b"MSPL\0\0\0\1", meters=(meter,))
    return AccessPoint(config, counters=state, state=state, outbox=MemoryOutbox())


@pytest.mark.attack(6)
@pytest.mark.finding("dlms D9")
def test_every_right_that_an_access_point_shows_is_held():
    device = logical_device(point(), LnapAccess())
    for definition in device.associations:
        assert differing_rights(device, definition.client_sap, START) == []


def read(device, class_id, name, attribute):
    return device.find(class_id, name).read(attribute, START)


def scaler(device):
    return read(device, ExtendedRegister.class_id, REGISTER, 3).items[0].integer


def value(device):
    return read(device, ExtendedRegister.class_id, REGISTER, 2)


def rows(device):
    return [row.items[2].integer for row in read(device, ProfileGeneric.class_id, PROFILE, 2).items]


def test_a_scale_that_becomes_finer_is_seen_from_the_next_association_on():
    access_point = point()
    channel = access_point.channel("MSP1000000001")
    channel.observe(Observation(START, (Scaled(5, 0, UNITS["Wh"]),)))
    during = logical_device(access_point, LnapAccess())
    assert (scaler(during), value(during).integer, rows(during)) == (0, 5, [5])
    channel.observe(Observation(START + 900, (Scaled(61, -1, UNITS["Wh"]),)))
    channel.observe(Observation(START + 1_800, (Scaled(70, -1, UNITS["Wh"]),)))
    assert (scaler(during), value(during).integer, rows(during)) == (0, 7, [5, 7])
    after = logical_device(access_point, LnapAccess())
    assert (scaler(after), value(after).integer, rows(after)) == (-1, 70, [50, 61, 70])


def test_a_register_without_a_value_has_null_data_and_its_first_scale_comes_with_the_next_association():
    access_point = point()
    before = logical_device(access_point, LnapAccess())
    assert value(before).type is DataType.NULL
    access_point.channel("MSP1000000001").observe(Observation(START, (Scaled(5, -1, UNITS["Wh"]),)))
    assert value(before).type is DataType.NULL
    assert rows(before) == []
    assert rows(logical_device(access_point, LnapAccess())) == [5]
