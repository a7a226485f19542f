"""P1 telegrams for a person to look at: text, hex, under protection, in a row, damaged."""

from decimal import Decimal

from meterspan.readings import Decoder
from tests.readings.frames import KEY, p1_text, sealed


def test_a_p1_telegram_is_read_as_text_as_hex_and_under_dlms_protection() -> None:
    text = p1_text()
    for source in (text.decode(), text, text.hex(), text.hex(" ").upper(), sealed(text)):
        telegram = Decoder().decode(source, key=KEY)
        assert telegram.error is None
        assert [(item.value, item.unit) for item in telegram.readings if item.unit] == [(1500, "Wh"), (250, "W")]
        assert telegram.protocol == "p1"


def test_a_p1_telegram_with_a_wrong_crc_is_shown_with_its_error() -> None:
    telegram = Decoder().decode(p1_text().replace(b"001.500", b"001.600"))
    assert "CRC differs" in (telegram.error or "")
    assert telegram.readings[2].value == 1600


def test_p1_logs_histories_and_split_gas_values_become_readings_with_their_times() -> None:
    lines = (
        "/TST5 X\r\n\r\n0-1:24.1.0(003)\r\n"
        "1-0:99.97.0(2)(0-0:96.7.19)(200102030405W)(0000001234*s)(200702030405S)(0000000009*s)\r\n"
        "0-0:98.1.0(1)(1-0:1.6.0)(1-0:1.6.0)(230201000000W)(230117224500W)(04.329*kW)\r\n"
        "1-0:1.6.0(230217224500W)(03.100*kW)\r\n0-1:24.3.0(200107190000)(00)(60)(1)(0-1:24.2.1)(m3)\r\n(00001.001)\r\n"
        "0-0:96.7.21(00015)\r\n1-0:32.32.0(00002)\r\n0-0:96.13.0(48616C6C6F)\r\n!\r\n"
    )
    found = [(item.quantity, item.value, item.unit, item.time) for item in Decoder().decode(lines).readings]
    assert found[0] == ("device type", 3, "1", None)
    assert found[1:] == [
        ("power failure count", 1234, "s", "2020-01-02T02:04:05Z"),
        ("power failure count", 9, "s", "2020-07-02T01:04:05Z"),
        ("maximum demand history", 4329, "W", "2023-01-17T21:45:00Z"),
        ("active power import demand", 3100, "W", "2023-02-17T21:45:00Z"),
        ("gas volume", Decimal("1.001"), "m3", "2020-01-07T19:00:00"),
        ("power failure count", 15, "1", None),
        ("voltage sag count L1", 2, "1", None),
        ("message", "Hallo", "", None),
    ]


def test_several_p1_telegrams_in_a_row_give_the_readings_of_all() -> None:
    telegram = Decoder().decode(p1_text() + p1_text().replace(b"001.500", b"001.600") + p1_text())
    assert [item.value for item in telegram.readings if item.unit == "Wh"] == [1500, 1600, 1500]
    assert "CRC differs" in (telegram.error or "")


def test_a_p1_telegram_that_lost_its_carriage_returns_is_not_called_damaged() -> None:
    assert Decoder().decode(p1_text().replace(b"\r", b"").decode()).error is None


def test_a_count_with_a_decimal_point_is_shown_as_it_is() -> None:
    telegram = Decoder().decode("/XXX5Z\r\n\r\n0-1:24.1.0(3.5)\r\n!\r\n")
    assert [item.value for item in telegram.readings] == [Decimal("3.5")]
