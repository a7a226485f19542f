"""P1 telegrams: every companion standard's shapes, read and written, whole and damaged."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meterspan.quantities import UNITS, ClockStatus, ClockTime, Obis, Scaled
from meterspan.wire import ChecksumError, TruncatedError, WireError
from meterspan.wire.cursor import Trace
from meterspan.wire.p1 import (
    GENERIC,
    MAX_LINES,
    MAX_TELEGRAM_SIZE,
    PROFILES,
    CrcPolicy,
    P1Object,
    P1Profile,
    crc_of,
    fixed,
    p1_object,
    p1_time,
    read_telegram,
    write_telegram,
)
from meterspan.wire.p1.telegram import CONTINUED_MAX

BODY_5 = (
    "/TST5\\2MADE-UP-1\r\n\r\n1-3:0.2.8(50)\r\n0-0:1.0.0(240331030000S)\r\n0-0:96.1.1(5445535430303031)\r\n"
    "1-0:1.8.1(000123.456*kWh)\r\n1-0:1.7.0(01.193*kW)\r\n1-0:32.7.0(231.4*V)\r\n0-0:96.7.21(00004)\r\n"
    "1-0:99.97.0(1)(0-0:96.7.19)(200102030405W)(0000001234*s)\r\n0-0:96.13.0()\r\n"
    "0-1:24.1.0(003)\r\n0-1:24.2.1(240331020500W)(00012.345*m3)\r\n!"
)


def sealed(body: str) -> bytes:
    octets = body.encode("latin-1")
    return octets + b"%04X\r\n" % crc_of(octets)


def test_the_crc_is_arc_from_slash_to_exclamation_mark() -> None:
    assert crc_of(b"123456789") == 0xBB3D


def test_a_version_5_telegram_is_read_with_exact_values_in_base_units() -> None:
    telegram = read_telegram(sealed(BODY_5))
    assert (telegram.identification, telegram.profile.name, telegram.crc_matches) == ("TST5\\2MADE-UP-1", "dsmr5", True)
    assert telegram.faults == ()
    energy = telegram.find(Obis(1, 0, 1, 8, 1))
    assert energy is not None
    assert energy.values == (Scaled(123456, 0, UNITS["Wh"]),)
    power = telegram.find(Obis(1, 0, 1, 7, 0))
    assert power is not None
    assert power.values == (Scaled(1193, 0, UNITS["W"]),)
    gas = telegram.find(Obis(0, 1, 24, 2, 1))
    assert gas is not None
    assert gas.values[1] == Scaled(12345, -3, UNITS["m3"])


def test_s_and_w_tell_summer_from_winter_through_the_repeated_hour() -> None:
    telegram = read_telegram(sealed(BODY_5))
    assert telegram.time is not None
    assert str(telegram.time.to_utc()) == "2024-03-31 01:00:00+00:00"
    gas = telegram.find(Obis(0, 1, 24, 2, 1))
    assert gas is not None
    assert isinstance(gas.values[0], ClockTime)
    assert str(gas.values[0].to_utc()) == "2024-03-31 01:05:00+00:00"


def test_the_power_failure_log_keeps_count_reference_times_and_durations() -> None:
    log = read_telegram(sealed(BODY_5)).find(Obis(1, 0, 99, 97, 0))
    assert log is not None
    assert log.values[0] == "1"
    assert log.values[1] == Obis(0, 0, 96, 7, 19)
    assert log.values[3] == Scaled(1234, 0, UNITS["s"])


def test_dsmr_3_gas_values_on_the_next_line_belong_to_the_line_before() -> None:
    octets = (
        b"/TST5 M\r\n\r\n0-1:24.3.0(200107190000)(00)(60)(1)(0-1:24.2.1)(m3)\r\n(00001.001)\r\n0-1:24.4.0(1)\r\n!\r\n"
    )
    telegram = read_telegram(octets)
    assert telegram.profile.name == "dsmr3"
    assert telegram.profile.crc is CrcPolicy.NONE
    gas = telegram.objects[0]
    assert isinstance(gas.values[0], ClockTime)
    assert gas.values[-2:] == ("m3", "00001.001")
    assert len(telegram.objects) == 2


@pytest.mark.attack(2)
def test_a_line_is_continued_by_few_others_and_the_rest_are_faults() -> None:
    more = CONTINUED_MAX + 3
    telegram = read_telegram(b"/AAA5a\r\n\r\n1.8.0(1)\r\n" + b"(2)\r\n" * more + b"1.8.1(3)\r\n(4)\r\n!\r\n")
    assert [item.text for item in telegram.objects] == ["(1)" + "(2)" * CONTINUED_MAX, "(3)(4)"]
    assert [fault.text for fault in telegram.faults] == ["(2)"] * 3


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("0-0:98.1.0(", "the line breaks off"),
        ("0-0:98.1.0(3)(1-0:1.6.0", "the line breaks off"),
        ("1-0:1.8.0(1))(2)", "parentheses do not pair"),
        ("rubbish", "is not a data line"),
        ("999-0:1.8.0(1*kWh)", "'999-0:1.8.0' is not an OBIS code"),
    ],
)
def test_an_unreadable_line_is_a_fault_with_its_offset_and_costs_no_other_line(line: str, reason: str) -> None:
    body = BODY_5.replace("0-0:96.7.21(00004)", line)
    telegram = read_telegram(sealed(body))
    assert [fault.reason for fault in telegram.faults] == [reason]
    assert telegram.faults[0].offset == body.index(line)
    assert telegram.find(Obis(0, 1, 24, 2, 1)) is not None


@pytest.mark.parametrize(
    ("text", "value", "exponent", "unit"),
    [
        ("000123.45*W", 12345, -2, "W"),
        ("00000001.2345678*kWh", 12345678, -4, "Wh"),
        ("123.456*GJ", 123456, 6, "J"),
        ("0001.5*kVArh", 15, 2, "varh"),
        ("12*M3", 12, 0, "m3"),
        ("-001.5*kW", -15, 2, "W"),
        ("007*A", 7, 0, "A"),
    ],
)
def test_units_are_normalised_however_a_maker_spells_them(text: str, value: int, exponent: int, unit: str) -> None:
    assert p1_object(Obis(1, 0, 1, 7, 0), text).values == (Scaled(value, exponent, UNITS[unit]),)


def test_a_starred_obis_code_names_its_billing_period() -> None:
    telegram = read_telegram(b"/ESY5Q3D X\r\n\r\n1-0:1.8.0*255(1.5*kWh)\r\n1.8.0(2*kWh)\r\n!\r\n  tail\r\n")
    assert [str(item.obis) for item in telegram.objects] == ["1-0:1.8.0", "1-0:1.8.0"]
    assert telegram.profile.name == "q3d"


def test_a_wrong_crc_is_refused_and_an_override_reads_on_and_says_so() -> None:
    octets = sealed(BODY_5).replace(b"123.456", b"123.457")
    with pytest.raises(ChecksumError) as error:
        read_telegram(octets)
    assert error.value.field == "CRC"
    assert read_telegram(octets, crc=CrcPolicy.NONE).crc_matches is False


def test_a_missing_crc_is_refused_where_the_profile_requires_it() -> None:
    with pytest.raises(ChecksumError, match="missing"):
        read_telegram(BODY_5.encode() + b"\r\n")
    assert read_telegram(BODY_5.encode() + b"\r\n", crc=CrcPolicy.WHERE_PRESENT).crc_matches is None


def test_a_crc_printed_without_its_leading_zero_is_the_same_number() -> None:
    for serial in range(10_000):
        octets = BODY_5.replace("(00004)", f"({serial:05d})").encode()
        if crc_of(octets) < 0x1000:
            assert read_telegram(octets + b"%X\r\n" % crc_of(octets)).crc_matches is True
            return
    pytest.fail("no telegram with a small CRC among ten thousand")


def test_profiles_are_told_by_their_marks_and_the_generic_one_is_last() -> None:
    assert PROFILES[-1] is GENERIC
    fluvius = BODY_5.replace("1-3:0.2.8(50)", "0-0:96.1.4(50221)")
    assert read_telegram(sealed(fluvius)).profile.name == "fluvius"
    assert read_telegram(sealed(BODY_5.replace("(50)", "(42)"))).profile.name == "dsmr4"
    assert read_telegram(b"/XYZ a\r\n\r\n1-0:1.7.0(1*W)\r\n!\r\n").profile is GENERIC


def test_what_was_read_is_written_octet_by_octet() -> None:
    telegram = read_telegram(sealed(BODY_5))
    assert write_telegram(telegram.identification, telegram.objects, profile=telegram.profile) == sealed(BODY_5)


def test_numbers_are_cut_into_the_fixed_width_of_the_port() -> None:
    assert fixed(Scaled(123_456_789, -1, UNITS["Wh"]), "kWh", digits=9, decimals=3) == "012345.678*kWh"
    assert fixed(Scaled(2314, -1, UNITS["V"]), "V", digits=4, decimals=1) == "231.4*V"
    assert fixed(Scaled(7, 0, UNITS["A"]), "A", digits=3, decimals=0) == "007*A"
    with pytest.raises(ValueError, match="does not fit"):
        fixed(Scaled(10_000, 0, UNITS["A"]), "A", digits=3, decimals=0)


def test_a_time_stamp_is_written_with_its_season() -> None:
    moment = ClockTime(2024, 7, 1, None, 2, 3, 4, None, -120, ClockStatus.DAYLIGHT_SAVING_ACTIVE)
    assert p1_time(moment) == "240701020304S"
    with pytest.raises(ValueError, match="leaves fields open"):
        p1_time(ClockTime(2024))


def test_a_group_with_a_line_end_is_not_a_group() -> None:
    with pytest.raises(ValueError, match="parentheses"):
        p1_object(Obis(0, 0, 96, 13, 0), "a)\r\n!")


def test_the_trace_covers_identification_every_line_and_the_crc() -> None:
    trace = Trace()
    read_telegram(sealed(BODY_5), trace=trace)
    octets = sealed(BODY_5)
    assert all(octets[span.offset : span.offset + len(span.octets)] == span.octets for span in trace.spans)
    assert [span.field for span in trace.spans][0::13] == ["identification", "CRC"] or trace.spans[-1].field == "CRC"
    assert any("123456" in span.meaning for span in trace.spans)


def test_a_telegram_cut_anywhere_is_truncated_or_lacks_its_crc() -> None:
    octets = sealed(BODY_5)
    for size in range(1, octets.index(b"!")):
        with pytest.raises(TruncatedError):
            read_telegram(octets[:size])
    with pytest.raises(ChecksumError):
        read_telegram(octets[: octets.index(b"!") + 1])


def test_a_telegram_without_an_end_is_bounded() -> None:
    with pytest.raises(WireError, match="longer than"):
        read_telegram(b"/TST\r\n" + b"1-0:1.8.0(1*kWh)\r\n" * 2_000 + b"!\r\n")
    assert MAX_TELEGRAM_SIZE < 18 * 2_000


def test_every_bit_flip_is_refused_or_harmless_to_the_checksum() -> None:
    octets = bytearray(sealed(BODY_5))
    rng = random.Random(7)  # noqa: S311 - seeded noise
    for _ in range(300):
        place = rng.randrange(len(octets) - 6)
        octets[place] ^= 1 << rng.randrange(8)
        try:
            telegram = read_telegram(bytes(octets))
        except WireError:
            pass
        else:
            assert telegram.crc_matches is not True or telegram == read_telegram(sealed(BODY_5))
        octets = bytearray(sealed(BODY_5))


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300))
def test_any_octets_give_a_telegram_or_a_wire_error(octets: bytes) -> None:
    for candidate in (octets, b"/" + octets, b"/ABC\r\n" + octets + b"\r\n!"):
        try:
            telegram = read_telegram(candidate, crc=CrcPolicy.NONE)
        except WireError:
            continue
        assert telegram.identification is not None


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 999_999_999), st.integers(0, 6))
def test_a_written_number_reads_back_exactly(number: int, decimals: int) -> None:
    text = fixed(Scaled(number, -decimals, UNITS["m3"]), "m3", digits=16, decimals=decimals)
    (value,) = p1_object(Obis(0, 1, 24, 2, 1), text).values
    assert isinstance(value, Scaled)
    assert value.decimal == Scaled(number, -decimals, UNITS["m3"]).decimal


groups = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E, exclude_characters="()"), max_size=30)
codes = st.builds(Obis, st.integers(0, 15), st.integers(0, 4), *[st.integers(0, 255)] * 3)
lines = st.builds(lambda obis, texts: p1_object(obis, *texts), codes, st.lists(groups, min_size=1, max_size=4))


@settings(max_examples=60, deadline=None)
@given(st.lists(lines, max_size=12), st.sampled_from(PROFILES))
def test_any_lines_survive_a_telegram(objects: list[P1Object], profile: P1Profile) -> None:
    octets = write_telegram("TST5\\2X", objects, profile=profile)
    telegram = read_telegram(octets, crc=CrcPolicy.NONE)
    assert [item.text for item in telegram.objects] == [item.text for item in objects]
    assert [item.obis for item in telegram.objects] == [item.obis for item in objects]
    assert telegram.faults == ()


def test_the_profile_is_told_also_without_an_empty_line_behind_the_identification() -> None:
    assert read_telegram(sealed(BODY_5.replace("\r\n\r\n", "\r\n", 1))).profile.name == "dsmr5"


@pytest.mark.parametrize("behind", ["", "\r\n", "\n", "\r\n/NEXT5telegram\r\n"])
def test_a_telegram_keeps_its_octets_as_they_were_received(behind: str) -> None:
    whole = sealed(BODY_5.replace("\r\n", "\n")).rstrip()
    telegram = read_telegram(whole + behind.encode())
    assert telegram.octets == whole + behind.partition("/")[0].encode()


@pytest.mark.attack(2)
def test_a_telegram_of_more_lines_than_any_meter_sends_is_refused_before_one_is_read() -> None:
    """Lines that begin with a parenthesis are joined to the one before: 5,000 of them took the square of that."""
    with pytest.raises(WireError, match="has more than 1024 lines"):
        read_telegram(b"/TST5a\r\n\r\n0-0:1.0.0(1)\n" + b"()\n" * MAX_LINES + b"!\r\n")
