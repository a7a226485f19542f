"""P1 telegrams for a person to look at: text, hex, under protection, in a row, damaged; their values are the rows."""

from datetime import UTC, datetime
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from meterspan.quantities import Obis
from meterspan.readings import Decoder
from meterspan.readings.p1 import rows_of_p1
from meterspan.wire.p1 import CrcPolicy, read_telegram
from tests.readings.frames import KEY, p1_text, sealed


def test_a_p1_telegram_is_read_as_text_as_hex_and_under_dlms_protection() -> None:
    text = p1_text()
    for source in (text.decode(), text, text.hex(), text.hex(" ").upper(), sealed(text)):
        telegram = Decoder().decode(source, key=KEY)
        assert telegram.error is None
        assert [(str(item.obis), item.value, item.unit) for item in telegram.readings if item.unit] == [
            ("1-0:1.8.1", 1500, "Wh"),
            ("1-0:1.7.0", 250, "W"),
            ("1-0:1.8.0", 1500, "Wh"),
            ("1-0:16.7.0", 250, "W"),
        ]
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
    assert [item.value for item in telegram.readings if item.obis == Obis(1, 0, 1, 8, 1)] == [1500, 1600, 1500]
    assert "CRC differs" in (telegram.error or "")


def test_a_p1_telegram_that_lost_its_carriage_returns_is_not_called_damaged() -> None:
    assert Decoder().decode(p1_text().replace(b"\r", b"").decode()).error is None


def test_a_count_with_a_decimal_point_is_shown_as_it_is() -> None:
    telegram = Decoder().decode("/XXX5Z\r\n\r\n0-1:24.1.0(3.5)\r\n!\r\n")
    assert [item.value for item in telegram.readings] == [Decimal("3.5")]


def lines(*more: str) -> str:
    return "/TST5 X\r\n\r\n0-0:1.0.0(260302120000W)\r\n" + "".join(f"{line}\r\n" for line in more) + "!\r\n"


def test_a_total_that_no_line_has_is_shown_as_it_is_billed_and_says_how_it_was_calculated() -> None:
    text = lines(
        "1-0:1.8.1(000001.500*kWh)", "1-0:1.8.2(000002.250*kWh)", "1-0:1.7.0(00.250*kW)", "1-0:2.7.0(00.100*kW)"
    )
    telegram = Decoder().decode(text)
    assert [(item.quantity, str(item.obis), item.value, item.unit) for item in telegram.readings[-2:]] == [
        ("active energy import (sum of the tariffs)", "1-0:1.8.0", 3750, "Wh"),
        ("active power balance (import minus export)", "1-0:16.7.0", 150, "W"),
    ]
    assert [item.tariff for item in telegram.readings[1:]] == [1, 2, 0, 0, 0, 0]


def test_a_total_is_not_made_of_tariffs_of_which_one_cannot_be_read() -> None:
    telegram = Decoder().decode(lines("1-0:1.8.1(000001.500*kWh)", "1-0:1.8.2(000002.250*kWh"))
    assert telegram.find("1-0:1.8.0") is None
    assert "1-0:1.8.2" in (telegram.error or "")


def test_a_meter_behind_the_port_has_its_billing_code_its_own_time_and_its_name() -> None:
    gas = ("0-1:24.1.0(003)", "0-1:96.1.0(4730303031)", "0-1:24.2.1(260302115500W)(00012.345*m3)")
    found = Decoder().decode(lines(*gas)).find("7-0:3.0.0")
    assert found is not None
    assert (found.quantity, found.value, found.unit) == ("gas volume", Decimal("12.345"), "m3")
    assert (found.time, found.subunit, found.device) == ("2026-03-02T10:55:00Z", 1, "G0001")


def test_a_stamp_of_a_meter_behind_the_port_that_is_later_than_the_telegram_is_cut_to_it() -> None:
    found = Decoder().decode(lines("0-1:24.1.0(003)", "0-1:24.2.1(260302130000W)(00012.345*m3)")).find("7-0:3.0.0")
    assert found is not None
    assert found.time == "2026-03-02T11:00:00Z"


def test_a_local_stamp_without_summer_or_winter_is_no_instant_where_no_zone_is_known() -> None:
    found = Decoder().decode(lines("0-1:24.1.0(003)", "0-1:24.2.1(260302115500)(00012.345*m3)")).find("7-0:3.0.0")
    assert found is not None
    assert found.time == "2026-03-02T11:55:00"


def test_a_clock_that_is_not_believed_is_not_the_time_of_the_telegram() -> None:
    text, stated = lines("1-0:1.8.0(000001.500*kWh)"), datetime(2026, 3, 2, 11, tzinfo=UTC)
    assert Decoder().decode(text).time == stated, "a file has no time of reception"
    assert Decoder().decode(text, now=stated.timestamp() + 60).time == stated
    assert Decoder().decode(text, now=stated.timestamp() + 86_400).time is None


def test_a_value_of_a_wrong_unit_is_shown_with_an_error_and_makes_no_row() -> None:
    telegram = Decoder().decode(lines("1-0:1.8.0(000001.500*m3)"))
    assert [(item.value, item.unit) for item in telegram.readings if item.unit] == [(Decimal("1.500"), "m3")]
    assert "1-0:1.8.0 is not measured in m3" in (telegram.error or "")


CODES = ("1-0:1.8.0", "1-0:1.8.1", "1-0:1.8.2", "1-0:2.8.1", "1-0:1.7.0", "1-0:2.7.0", "1-0:16.7.0", "1-0:21.7.0")
electric = st.builds(
    "{}({:09.3f}*{})".format,
    st.sampled_from(CODES),
    st.integers(0, 10**8).map(lambda n: Decimal(n).scaleb(-3)),
    st.sampled_from(["kWh", "kW", "Wh", "m3"]),
)
behind = st.builds(
    "0-{}:24.2.1(2603021155{:02}W)({:09.3f}*m3)".format,
    st.integers(1, 4),
    st.integers(0, 59),
    st.integers(0, 10**8).map(lambda n: Decimal(n).scaleb(-3)),
)


@given(st.lists(electric | behind, max_size=12))
def test_every_row_of_a_telegram_is_shown_with_its_code_value_unit_and_time(some: list[str]) -> None:
    text = lines(*some)
    heard = rows_of_p1(read_telegram(text.encode(), crc=CrcPolicy.NONE), None)
    rows = [
        (device.device if device.channel else "", row.obis, row.value.decimal, row.value.unit.symbol, row.time)
        for device in heard.devices
        for row in device.rows
    ]
    shown = [
        (item.device, item.obis, item.value, item.unit, _seconds(item.time, heard.time))
        for item in Decoder().decode(text).readings
    ]
    assert all(row in shown for row in rows)


def _seconds(time: str | None, of_telegram: int) -> int:
    return of_telegram if time is None else int(datetime.fromisoformat(time).timestamp())


def test_only_what_is_of_no_medium_is_of_an_mbus_device() -> None:
    octets = b"/TST5a\r\n\r\n1-3:0.2.8(50)\r\n0-1:96.1.0(4B384547303034303436)\r\n!\r\n"
    telegram = Decoder().decode(octets)
    assert {str(item.obis): item.subunit for item in telegram.readings} == {"1-3:0.2.8": 0, "0-1:96.1.0": 1}
