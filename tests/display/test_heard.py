from datetime import UTC, datetime
from fractions import Fraction

import pytest

from meterspan.display.heard import hear
from meterspan.quantities import Commodity, Direction, Obis
from meterspan.wire.p1 import PROFILES, p1_object, read_telegram, write_telegram

NOON = int(datetime(2025, 1, 14, 11, 0, tzinfo=UTC).timestamp())
DSMR5 = next(profile for profile in PROFILES if profile.name == "dsmr5")


def told(lines, profile=DSMR5, now=NOON):
    objects = [p1_object(Obis(*code), *groups) for code, *groups in lines]
    octets = write_telegram("TST5\\METER", objects, profile=profile)
    return hear(read_telegram(octets), now)


DSMR = [
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


def test_a_dutch_telegram_gives_power_registers_and_message():
    heard = told(DSMR)
    assert (heard.at, heard.power_w, heard.tariff, heard.message) == (NOON, 1193, 2, "Hello")
    by_key = {(register.commodity, register.direction): register for register in heard.registers}
    assert by_key[Commodity.ELECTRICITY, Direction.IMPORT].value == Fraction("1334.75")
    assert by_key[Commodity.ELECTRICITY, Direction.EXPORT].value == 7
    gas = by_key[Commodity.GAS, Direction.IMPORT]
    assert (gas.value, gas.at, gas.meter, gas.channel) == (Fraction("123.456"), NOON - 3600, "4730303031", 1)
    assert by_key[Commodity.WATER, Direction.IMPORT].at == NOON - 300
    assert by_key[Commodity.HEAT, Direction.IMPORT].value == 10_000  # 36 GJ


def test_a_total_register_and_phase_powers_do_as_well():
    heard = told([
        ((1, 0, 1, 8, 0), "000010.000*kWh"),
        ((1, 0, 1, 8, 1), "000004.000*kWh"),
        ((1, 0, 21, 7, 0), "00.500*kW"),
        ((1, 0, 42, 7, 0), "02.000*kW"),
    ])  # fmt: skip
    assert heard.registers[0].value == 10
    assert heard.power_w == -1500
    assert heard.at == NOON


def test_captures_of_a_wrong_clock_are_moved_with_it():
    heard = told([
        ((0, 0, 1, 0, 0), "100101001000W"),
        ((0, 1, 24, 2, 1), "100101000000W", "00001.000*m3"),
        ((0, 2, 24, 2, 1), "100101003000W", "00001.000*m3"),
    ])  # fmt: skip
    assert (heard.at, heard.registers[0].at, heard.registers[1].at) == (NOON, NOON - 600, NOON)


@pytest.mark.parametrize("moment", ["991231235959W", "250114180000W", "250114060000W", "100101000000W"])
def test_a_clock_far_off_is_not_believed(moment):
    heard = told([((0, 0, 1, 0, 0), moment), ((1, 0, 1, 8, 0), "000010.000*kWh")])
    assert heard.at == NOON
    assert heard.registers[0].at == NOON


def test_an_old_dutch_gas_value_on_its_own_line_is_read():
    text = (
        b"/TST4METER\r\n\r\n1-0:1.8.1(00001.001*kWh)\r\n0-1:24.1.0(03)\r\n"
        b"0-1:24.3.0(250114110000)(00)(60)(1)(0-1:24.2.1)(m3)\r\n(00021.500)\r\n!\r\n"
    )
    heard = hear(read_telegram(text), NOON)
    gas = next(register for register in heard.registers if register.commodity is Commodity.GAS)
    assert gas.value == Fraction("21.5")
    assert gas.at == NOON - 3600


def test_an_empty_or_strange_telegram_says_nothing():
    assert told([]).registers == ()
    heard = told([
        ((0, 0, 96, 13, 0), ""),
        ((0, 0, 96, 14, 0), "zz"),
        ((0, 1, 24, 1, 0), "255"),
        ((0, 1, 24, 2, 1), "250114110000W", "1.0*m3"),
        ((0, 2, 24, 2, 1), "250114110000W", "nothing"),
    ])  # fmt: skip
    assert (heard.registers, heard.power_w, heard.tariff, heard.message) == ((), None, None, "")


def test_a_message_is_bounded_and_printable():
    assert told([((0, 0, 96, 13, 0), "1B5B324A41" + "42" * 2000)]).message.startswith("[2JAB")
    assert len(told([((0, 0, 96, 13, 0), "42" * 3000)]).message) == 1024


def test_a_limiter_tells_the_power_of_the_connection():
    assert told([((0, 0, 17, 0, 0), "17.2*kW")]).limit_w == 17_200
    assert told([((0, 0, 17, 0, 0), "0.0*kW")]).limit_w is None
