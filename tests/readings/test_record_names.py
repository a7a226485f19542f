"""Names of M-Bus records: one per maker and header, kept within a bound, and a code only for the billing register."""

from decimal import Decimal

import pytest

from meterspan.quantities import CATALOGUE, Commodity, Direction
from meterspan.readings import record_names
from meterspan.readings.record_names import Maker, Names
from meterspan.wire.mbus import read_records

WATER = Maker("TST", Commodity.WATER)


def header(octets):
    (record,) = read_records(bytes.fromhex(octets)).records
    return record.header


@pytest.mark.parametrize(
    ("octets", "commodity", "direction"),
    [
        ("0413C8E10000", Commodity.WATER, Direction.IMPORT),
        ("0413C8E10000", Commodity.GAS, Direction.IMPORT),
        ("0403C8E10000", Commodity.ELECTRICITY, Direction.IMPORT),
        ("04833CC8E10000", Commodity.ELECTRICITY, Direction.EXPORT),
        ("040FC8E10000", Commodity.HEAT, Direction.IMPORT),
    ],
)
def test_the_instantaneous_total_of_the_whole_device_is_the_billing_register(octets, commodity, direction):
    named = Names().find(Maker("TST", commodity), header(octets))
    assert named.register == CATALOGUE[commodity].registers[direction]


@pytest.mark.parametrize(
    ("octets", "commodity"),
    [
        ("1413C8E10000", Commodity.WATER),  # a maximum
        ("841013C8E10000", Commodity.WATER),  # a tariff
        ("844013C8E10000", Commodity.WATER),  # a sub-unit
        ("0413C8E10000", Commodity.HEAT),  # the volume of a heat meter does not bill
        ("0403C8E10000", Commodity.WATER),  # energy of a water meter
        ("04833CC8E10000", Commodity.HEAT),  # a direction that the supply does not have
        ("042BC8E10000", Commodity.ELECTRICITY),  # a power
        ("0413C8E10000", None),  # a device that bills nothing
    ],
)
def test_any_other_record_has_a_name_and_no_code(octets, commodity):
    named = Names().find(Maker("TST", commodity), header(octets))
    assert named.register is None
    assert named.name


@pytest.mark.parametrize(
    ("octets", "function"), [("04", "instantaneous"), ("14", "maximum"), ("24", "minimum"), ("34", "error")]
)
def test_unit_exponent_and_function_are_those_of_the_header(octets, function):
    named = Names().find(WATER, header(f"{octets}13C8E10000"))
    assert (named.name, named.unit, named.exponent, named.addend) == ("volume", "m3", -3, Decimal(0))
    assert named.function == function


def test_a_header_is_named_once_per_maker_and_for_all_values(monkeypatch):
    names = Names()
    first = names.find(WATER, header("0413C8E10000"))
    assert names.find(WATER, header("041300000001")) is first
    other = names.find(Maker("TST", Commodity.HEAT), header("0413C8E10000"))
    assert (other.name, other.register) == (first.name, None)


def test_kept_names_never_pass_their_bound(monkeypatch):
    monkeypatch.setattr(record_names, "MAX_NAMES", 3)
    names = Names()
    for vif in range(0x10, 0x18):
        assert names.find(WATER, header(f"04{vif:02X}C8E10000")).exponent == vif - 0x10 - 6
        assert len(names._names) <= 3


def test_a_unit_in_plain_text_is_never_kept_because_its_text_is_not_part_of_the_header():
    names = Names()
    names.find(WATER, header("027C034B574805 00".replace(" ", "")))
    assert not names._names
