"""P1 telegrams as rows: time, totals, sub-meters, resolution and power by one rule each."""

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from typing import TypeAlias
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterspan.model.failures import FailureKind
from meterspan.quantities import UNITS, Commodity, Obis, Quality, Scaled
from meterspan.quantities.codes import NET_POWER
from meterspan.readings.p1 import TARIFFS_MAX, rows_of_p1, stated_time
from meterspan.readings.rows import DeviceRows, HeardTelegram, Row
from meterspan.wire.p1 import PROFILES, CrcPolicy, P1Profile, crc_of, p1_object, read_telegram, write_telegram

Line: TypeAlias = tuple[object, ...]

NOON = int(datetime(2025, 1, 14, 11, 0, tzinfo=UTC).timestamp())
DSMR5 = next(profile for profile in PROFILES if profile.name == "dsmr5")
IMPORT, EXPORT = Obis(1, 0, 1, 8, 0), Obis(1, 0, 2, 8, 0)


def heard(lines: Sequence[Line], profile: P1Profile = DSMR5, now: float = NOON) -> HeardTelegram:
    objects = [p1_object(Obis(*code), *groups) for code, *groups in lines]
    return rows_of_p1(read_telegram(write_telegram("TST5\\METER", objects, profile=profile)), now)


def device(telegram: HeardTelegram, commodity: Commodity) -> DeviceRows:
    return next(item for item in telegram.devices if item.commodity is commodity)


def row(telegram: HeardTelegram, obis: Obis, commodity: Commodity = Commodity.ELECTRICITY) -> Row:
    found = device(telegram, commodity).row(obis)
    assert found is not None
    return found


def billed(telegram: HeardTelegram, commodity: Commodity) -> Row:
    return next(item for _, item in device(telegram, commodity).registers())


DSMR: list[Line] = [
    ((1, 3, 0, 2, 8), "50"),
    ((0, 0, 1, 0, 0), "250114120000W"),
    ((0, 0, 96, 1, 1), "4530303031"),
    ((1, 0, 1, 8, 1), "001234.500*kWh"),
    ((1, 0, 1, 8, 2), "000100.250*kWh"),
    ((1, 0, 2, 8, 1), "000007.000*kWh"),
    ((1, 0, 2, 8, 2), "000000.000*kWh"),
    ((0, 0, 96, 14, 0), "0002"),
    ((1, 0, 1, 7, 0), "01.193*kW"),
    ((1, 0, 2, 7, 0), "00.000*kW"),
    ((0, 0, 96, 13, 0), "48656C6C6F"),
    ((0, 1, 24, 1, 0), "003"),
    ((0, 1, 96, 1, 0), "4730303031"),
    ((0, 1, 24, 2, 1), "250114110000W", "00123.456*m3"),
    ((0, 2, 24, 1, 0), "007"),
    ((0, 2, 24, 2, 1), "250114115500W", "00042.001*m3"),
    ((0, 3, 24, 1, 0), "004"),
    ((0, 3, 24, 2, 1), "250114115500W", "00036.000*GJ"),
]


@pytest.mark.parametrize("unit", ["kWh", "MWh", "kW", "GJ", "kvarh"])
def test_a_register_behind_the_port_in_another_dimension_is_no_row_and_named(unit: str) -> None:
    lines = [line if line[0] != (0, 1, 24, 2, 1) else (*line[:2], f"00123.456*{unit}") for line in DSMR]
    telegram = heard(lines)
    assert [item.commodity for item in telegram.devices] == [Commodity.ELECTRICITY, Commodity.WATER, Commodity.HEAT]
    (failure,) = telegram.failures
    assert failure.kind is FailureKind.IMPLAUSIBLE
    assert "0-1:24.2.1 of gas is not measured in" in failure.detail


def test_a_dutch_telegram_gives_power_registers_and_message() -> None:
    telegram = heard(DSMR)
    assert (telegram.time, telegram.power_w, telegram.tariff, telegram.message) == (NOON, 1193, 2, "Hello")
    assert row(telegram, IMPORT).value == Scaled(1_334_750, 0, UNITS["Wh"])
    assert row(telegram, EXPORT).value == Scaled(7_000, 0, UNITS["Wh"])
    assert row(telegram, Obis(1, 0, 1, 8, 2)).value == Scaled(100_250, 0, UNITS["Wh"])
    assert row(telegram, NET_POWER).value == Scaled(1_193, 0, UNITS["W"])
    gas = device(telegram, Commodity.GAS)
    assert (gas.device, gas.channel) == ("G0001", 1)
    assert gas.rows == (Row(Obis(7, 0, 3, 0, 0), Scaled(123_456, -3, UNITS["m3"]), NOON - 3600, width=10**8),)
    assert billed(telegram, Commodity.WATER).time == NOON - 300
    assert billed(telegram, Commodity.HEAT).value.to(UNITS["Wh"]) == 10_000_000  # 36 GJ


def test_a_number_keeps_its_decimals_finer_than_a_watt_hour() -> None:
    telegram = heard([((1, 0, 1, 8, 0), "223.4568*kWh")])
    assert row(telegram, IMPORT).value == Scaled(2_234_568, -1, UNITS["Wh"])


amounts = st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 6)), min_size=1, max_size=4)


@given(amounts)
def test_the_total_is_the_exact_sum_of_the_tariffs(parts: list[tuple[int, int]]) -> None:
    lines: list[Line] = [
        ((1, 0, 1, 8, tariff), f"{Decimal(number).scaleb(-decimals):f}*kWh")
        for tariff, (number, decimals) in enumerate(parts, 1)
    ]
    total = sum((Fraction(number, 10**decimals) for number, decimals in parts), Fraction(0))
    assert row(heard(lines), IMPORT).value.to(UNITS["Wh"]) == 1000 * total


def test_the_bound_of_the_tariffs_is_that_of_the_code_and_a_total_counts_alone() -> None:
    last = heard([((1, 0, 1, 8, 1), "1.000*kWh"), ((1, 0, 1, 8, TARIFFS_MAX), "2.000*kWh")])
    assert row(last, IMPORT).value.decimal == 3_000
    both = heard([((1, 0, 1, 8, 0), "000010.000*kWh"), ((1, 0, 1, 8, 1), "000004.000*kWh")])
    assert row(both, IMPORT).value.decimal == 10_000


@pytest.mark.parametrize("line", ["1-0:1.8.2(000100", "1-0:1.8.2(broken*kWh)", "1-#:1.8.2(000100.250*kWh)"])
def test_no_total_is_made_where_a_tariff_may_be_unreadable(line: str) -> None:
    text = f"/TST5\\METER\r\n\r\n1-0:1.8.1(001234.500*kWh)\r\n{line}\r\n1-0:2.8.1(1.000*kWh)\r\n!\r\n"
    telegram = rows_of_p1(read_telegram(text.encode(), crc=CrcPolicy.NONE), NOON)
    assert device(telegram, Commodity.ELECTRICITY).row(IMPORT) is None
    assert all(failure.kind is FailureKind.UNREADABLE for failure in telegram.failures)


def test_an_unreadable_line_of_something_else_costs_no_total() -> None:
    body = "/TST5\\METER\r\n\r\n1-0:1.8.1(001234.500*kWh)\r\nnoise\r\n!"
    text = body.encode() + b"%04X\r\n" % crc_of(body.encode())
    telegram = rows_of_p1(read_telegram(text), NOON)
    assert row(telegram, IMPORT).value.decimal == 1_234_500
    assert [failure.kind for failure in telegram.failures] == [FailureKind.UNREADABLE]


def test_power_is_that_of_the_phases_where_there_is_no_total() -> None:
    telegram = heard([((1, 0, 21, 7, 0), "00.500*kW"), ((1, 0, 42, 7, 0), "02.000*kW")])
    assert telegram.power_w == -1500
    assert telegram.time == NOON


def test_a_meter_that_tells_its_balance_is_believed() -> None:
    assert heard([((1, 0, 16, 7, 0), "-0.250*kW")]).power_w == -250


def test_captures_of_a_wrong_clock_are_moved_with_it() -> None:
    telegram = heard(
        [
            ((0, 0, 1, 0, 0), "100101001000W"),
            ((0, 1, 24, 2, 1), "100101000000W", "00001.000*m3"),
            ((0, 2, 24, 2, 1), "100101003000W", "00001.000*m3"),
        ]
    )
    times = [item.rows[0].time for item in telegram.devices]
    assert (telegram.time, *times) == (NOON, NOON - 600, NOON)


@pytest.mark.parametrize("moment", ["991231235959W", "250114180000W", "250114060000W", "100101000000W"])
def test_a_clock_far_off_is_not_believed(moment: str) -> None:
    telegram = heard([((0, 0, 1, 0, 0), moment), ((1, 0, 1, 8, 0), "000010.000*kWh")])
    assert telegram.time == NOON
    assert (row(telegram, IMPORT).time, row(telegram, IMPORT).quality) == (NOON, Quality.CLOCK_INVALID)


def test_a_time_without_summer_or_winter_leaves_an_hour_open_so_reception_counts() -> None:
    telegram = heard([((0, 0, 1, 0, 0), "250114120000"), ((1, 0, 1, 8, 0), "000010.000*kWh")], now=NOON + 20)
    assert row(telegram, IMPORT).time == NOON + 20
    assert row(telegram, IMPORT).quality is Quality.CLOCK_INVALID


def test_a_port_without_a_clock_has_nothing_against_the_time_of_reception() -> None:
    register = row(heard([((1, 0, 1, 8, 0), "000010.000*kWh")], now=NOON + 20), IMPORT)
    assert (register.time, register.quality) == (NOON + 20, Quality(0))


OLD = (
    b"/TST4METER\r\n\r\n1-0:1.8.1(00001.001*kWh)\r\n0-1:24.1.0(03)\r\n"
    b"0-1:24.3.0(%s)(00)(60)(1)(0-1:24.2.1)(m3)\r\n(00021.500)\r\n!\r\n"
)


def test_an_old_dutch_gas_value_on_its_own_line_is_read() -> None:
    gas = billed(rows_of_p1(read_telegram(OLD % b"250114110000"), NOON), Commodity.GAS)
    assert gas.value == Scaled(21_500, -3, UNITS["m3"])
    assert gas.time == NOON - 3600


def test_a_local_time_of_a_gas_meter_is_read_in_the_zone_of_the_home() -> None:
    summer = int(datetime(2025, 7, 14, 10, 20, tzinfo=UTC).timestamp())
    telegram = read_telegram(OLD % b"250714120000")
    zoned = rows_of_p1(telegram, summer, ZoneInfo("Europe/Amsterdam"))
    assert billed(zoned, Commodity.GAS).time == summer - 1200
    assert billed(rows_of_p1(telegram, summer), Commodity.GAS).time == summer, "later than the telegram: cut to it"


def test_an_electricity_meter_behind_the_meter_is_not_counted_twice() -> None:
    lines: list[Line] = [((0, 1, 24, 1, 0), "002"), ((0, 1, 24, 2, 1), "250114110000W", "00001.000*kWh")]
    assert heard(lines).devices == ()


def test_an_empty_or_strange_telegram_has_no_rows() -> None:
    assert heard([]).devices == ()
    telegram = heard(
        [
            ((0, 0, 96, 13, 0), ""),
            ((0, 0, 96, 14, 0), "zz"),
            ((0, 1, 24, 1, 0), "255"),
            ((0, 1, 24, 2, 1), "250114110000W", "1.0*m3"),
            ((0, 2, 24, 2, 1), "250114110000W", "nothing"),
        ]
    )
    assert (telegram.devices, telegram.power_w, telegram.tariff, telegram.message) == ((), None, None, "")


def test_numbers_that_no_register_holds_are_left_out() -> None:
    assert heard([((1, 0, 1, 8, 0), "9" * 18 + "." + "9" * 12 + "*kWh")]).devices == ()


def test_a_message_is_bounded_and_printable() -> None:
    assert heard([((0, 0, 96, 13, 0), "1B5B324A41" + "42" * 2000)]).message.startswith("[2JAB")
    assert len(heard([((0, 0, 96, 13, 0), "42" * 3000)]).message) == 1024


def test_a_limiter_tells_the_power_of_the_connection() -> None:
    assert heard([((0, 0, 17, 0, 0), "17.2*kW")]).limit_w == 17_200
    assert heard([((0, 0, 17, 0, 0), "0.0*kW")]).limit_w is None


@pytest.mark.finding("security M4")
def test_the_width_of_a_register_is_that_of_its_digits_where_the_port_fixes_or_fills_them() -> None:
    assert row(heard(DSMR), Obis(1, 0, 1, 8, 1)).width == 10**9
    assert row(heard(DSMR), IMPORT).width == 10**9, "a sum restarts where its parts do"
    generic = next(profile for profile in PROFILES if profile.name == "p1")
    assert row(heard([((1, 0, 1, 8, 0), "12345.678*kWh")], generic), IMPORT).width is None
    assert row(heard([((1, 0, 1, 8, 0), "012345.678*kWh")], generic), IMPORT).width == 10**9


@given(st.lists(st.sampled_from(DSMR), unique=True))
def test_a_missing_line_changes_no_row_of_another_register(lines: list[Line]) -> None:
    whole = {(item.device, found.obis): found.value for item in heard(DSMR).devices for found in item.rows}
    for item in heard(lines).devices:
        for found in item.rows:
            if found.obis not in {IMPORT, EXPORT, NET_POWER} and item.channel == 0:
                assert whole["E0001", found.obis] == found.value


@given(st.binary(max_size=300))
def test_any_octets_between_slash_and_exclamation_mark_give_rows_or_none(octets: bytes) -> None:
    text = b"/TST5\r\n" + octets.replace(b"!", b"") + b"\r\n!\r\n"
    telegram = rows_of_p1(read_telegram(text, crc=CrcPolicy.NONE), NOON)
    assert telegram.octets == text


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ((1, 0, 1, 7, 0), "00.500*kvar"),
        ((1, 0, 1, 8, 1), "001234.500*m3"),
        ((1, 0, 1, 8, 1), "001234.500*kvarh"),
        ((1, 0, 2, 8, 2), "000001.000*V"),
        ((1, 0, 32, 7, 0), "230.1*A"),
    ],
)
def test_a_number_in_a_unit_that_its_code_does_not_measure_makes_no_row_and_is_named(code: Line, text: str) -> None:
    lines = [line for line in DSMR if line[0] != code] + [(code, text)]
    found = heard(lines)
    electricity = device(found, Commodity.ELECTRICITY)
    assert electricity.row(Obis(*code)) is None
    assert {item.value.unit.dimension for _, item in electricity.registers()} <= {"energy"}
    assert [failure.kind for failure in found.failures] == [FailureKind.IMPLAUSIBLE]
    if code == (1, 0, 1, 8, 1):
        assert electricity.row(IMPORT) is None  # no total without one of its tariffs


def test_a_channel_whose_device_type_cannot_be_read_is_no_gas_meter() -> None:
    lines = [line for line in DSMR if line[0] != (0, 1, 24, 1, 0)]
    assert Commodity.GAS in {item.commodity for item in heard(lines).devices}
    unreadable = heard([*lines, ((0, 1, 24, 1, 0), "Z")])
    assert Commodity.GAS not in {item.commodity for item in unreadable.devices}


@pytest.mark.parametrize(
    ("stamp", "seconds"),
    [("250114120000W", NOON), ("250714120000S", NOON + 181 * 86_400 - 3_600), ("250114120000", NOON), ("", None)],
)
def test_the_time_that_a_telegram_states_goes_by_its_letter_and_else_by_the_zone(stamp: str, seconds: int) -> None:
    lines = f"0-0:1.0.0({stamp})\r\n" if stamp else ""
    text = f"/TST5\\METER\r\n\r\n{lines}1-0:1.8.0(000001.000*kWh)\r\n!".encode()
    telegram = read_telegram(text + f"{crc_of(text):04X}\r\n".encode())
    assert stated_time(telegram, ZoneInfo("Europe/Berlin")) == seconds
