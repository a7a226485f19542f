"""Push bodies: named by codes, by push objects, by layouts; scaled by physics where nothing says how."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from meterspan.engine.push_rows import PushedProfile, PushedRegister, utc_row, write_profiles
from meterspan.model.cosem.classes import ExtendedRegister
from meterspan.model.cosem.scaler_unit import ScalerUnit
from meterspan.quantities import UNITS, ClockTime, Obis
from meterspan.readings import Decoder
from meterspan.wire.axdr import (
    Data,
    array,
    double_long_unsigned,
    enum,
    integer,
    long_unsigned,
    octet_string,
    structure,
    write_data,
)
from meterspan.wire.axdr.clock import write_clock_time
from tests.readings.frames import KAMSTRUP, name, notification, values


def test_a_list_without_scalers_takes_them_from_its_makers_layout() -> None:
    assert values(Decoder().decode(notification(KAMSTRUP)))[1:] == [
        ("1-1:1.7.0", Decimal(450), "W"),
        ("1-1:31.7.0", Decimal("1.95"), "A"),
        ("1-1:32.7.0", Decimal(230), "V"),
        ("1-1:1.8.0", Decimal(12_340), "Wh"),
    ]


def test_a_list_without_names_is_told_by_its_shape() -> None:
    numbers = [double_long_unsigned(number) for number in (1_500, 0, 0, 70, 1_100, 2_200, 3_300, 2_310, 0, 2_320)]
    head = [octet_string(text) for text in (b"TST_001", b"1234567", b"MODEL3")]
    telegram = Decoder().decode(notification(structure(*head, *numbers), tagged=True))
    assert values(telegram)[3:5] == [("1-0:1.7.0", Decimal(1_500), "W"), ("1-0:2.7.0", Decimal(0), "W")]
    assert values(telegram)[7:] == [
        ("1-0:31.7.0", Decimal("1.1"), "A"),
        ("1-0:51.7.0", Decimal("2.2"), "A"),
        ("1-0:71.7.0", Decimal("3.3"), "A"),
        ("1-0:32.7.0", Decimal(231), "V"),
        ("1-0:52.7.0", Decimal(0), "V"),
        ("1-0:72.7.0", Decimal(232), "V"),
    ]
    unknown = Decoder().decode(notification(structure(*numbers[:7])))
    assert unknown.readings == ()
    assert "layout that is not known" in (unknown.error or "")


def test_without_any_layout_voltages_and_currents_are_scaled_by_physics() -> None:
    body = structure(
        name("1.0.1.7.0.255"),
        double_long_unsigned(2_300),
        name("1.0.31.7.0.255"),
        long_unsigned(1_010),
        name("1.0.32.7.0.255"),
        long_unsigned(2_305),
    )
    assert values(Decoder().decode(notification(body))) == [
        ("1-0:1.7.0", Decimal(2_300), "W"),
        ("1-0:31.7.0", Decimal("10.1"), "A"),
        ("1-0:32.7.0", Decimal("230.5"), "V"),
    ]


def test_a_list_of_push_objects_names_the_values_behind_it_also_where_it_names_itself() -> None:
    def entry(obis: str) -> Data:
        return structure(long_unsigned(3), name(obis), integer(2), long_unsigned(0))

    values_behind = (double_long_unsigned(5), double_long_unsigned(6))
    objects = (entry("1.0.1.8.0.255"), entry("1.0.2.8.0.255"))
    expected = [("1-0:1.8.0", Decimal(5), "Wh"), ("1-0:2.8.0", Decimal(6), "Wh")]
    for listed in (objects, (entry("0.0.25.9.0.255"), *objects)):
        assert values(Decoder().decode(write_data(structure(array(*listed), *values_behind)))) == expected


@pytest.mark.parametrize(
    ("powers", "raw", "amperes"),
    [
        ({"1.7": 1_000}, 451, "4.51"),
        ({"1.7": 1_000}, 4_512, "4.512"),
        ({"1.7": 1_000}, 4, "4"),
        ({"1.7": 60}, 100, "1"),
        ({"1.7": 0, "2.7": 2_300}, 1_000, "10"),
        ({"1.7": 20}, 9, "0.09"),
        ({"1.7": 90}, 1_000, "10"),
        ({"1.7": 90, "21.7": 2_200}, 1_000, "10"),
    ],
)
def test_the_resolution_of_currents_follows_from_the_power(powers: dict[str, int], raw: int, amperes: str) -> None:
    rows = [item for code, watts in powers.items() for item in (name(f"1.0.{code}.0.255"), double_long_unsigned(watts))]
    body = structure(*rows, name("1.0.31.7.0.255"), long_unsigned(raw), name("1.0.32.7.0.255"), long_unsigned(2_300))
    found = [item.value for item in Decoder().decode(notification(body)).readings if item.unit == "A"]
    assert found == [Decimal(amperes)]


def test_the_push_of_an_access_point_shows_each_row_at_its_own_time_and_scale() -> None:
    register = PushedRegister(ExtendedRegister.class_id, Obis(0, 3, 24, 2, 1), ScalerUnit(-3, UNITS["m3"]))
    rows = (utc_row(1_772_323_200, 0, [165]), utc_row(1_772_324_100, 8, [None]))
    body = write_profiles([PushedProfile(Obis(0, 3, 24, 3, 0), (register,), rows)])
    telegram = Decoder().decode(notification(body))
    assert telegram.error is None
    assert [(str(item.obis), item.value, item.unit, item.time) for item in telegram.readings if item.unit] == [
        ("0-3:24.2.1", Decimal("0.165"), "m3", "2026-03-01T00:00:00Z")
    ]


def test_a_list_of_attributes_takes_the_scale_that_is_pushed_beside_its_value_and_the_meters_clock() -> None:
    of = [(8, "0.0.1.0.0.255", 2), (3, "1.0.1.8.0.255", 2), (3, "1.0.1.8.0.255", 3)]
    listed = array(*(structure(long_unsigned(c), name(n), integer(a), long_unsigned(0)) for c, n, a in of))
    stamp = octet_string(write_clock_time(ClockTime.of(datetime(2026, 3, 2, 11, 0, tzinfo=UTC))))
    body = structure(listed, stamp, double_long_unsigned(1_234), structure(integer(3), enum(30)))
    telegram = Decoder().decode(notification(body))
    assert telegram.time == datetime(2026, 3, 2, 11, 0, tzinfo=UTC), "not the notification's, as at the head end"
    assert [(str(item.obis), item.value, item.unit) for item in telegram.readings if item.unit] == [
        ("1-0:1.8.0", Decimal(1_234_000), "Wh")
    ]
