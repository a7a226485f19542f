"""The decoder: every kind of frame, through every wrapping, whole and damaged; own plaintext under test keys."""

import random
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meterspan.crypto.suites import SuiteKeys, protect
from meterspan.engine.mbus_security import Protection, build_telegram
from meterspan.engine.wmbus_receiver import WmbusReceiver
from meterspan.model.telegram import DecodedReading, DecodedTelegram
from meterspan.quantities import ClockTime, Obis
from meterspan.readings import Decoder, Format, recognise
from meterspan.readings.job import Job
from meterspan.wire import ChecksumError, Trace, UnsupportedError
from meterspan.wire.axdr import (
    Data,
    array,
    double_long_unsigned,
    enum,
    integer,
    long,
    long_unsigned,
    null,
    octet_string,
    structure,
    visible_string,
    write_data,
)
from meterspan.wire.hdlc import HdlcAddress, HdlcFrame, write_frame
from meterspan.wire.mbus import read_records
from meterspan.wire.mbus.address import DeviceAddress
from meterspan.wire.mbus.link import LinkFrame, write_link_frame
from meterspan.wire.mbus.transport import HeaderKind, SecurityMode, TransportHeader
from meterspan.wire.p1 import crc_of
from meterspan.wire.sml import (
    Integer,
    SmlCloseResponse,
    SmlEntry,
    SmlGetListResponse,
    SmlMessage,
    SmlOpenResponse,
    SmlTag,
    write_file,
)
from meterspan.wire.sml import write_frame as write_sml_frame
from meterspan.wire.wmbus import write_compact
from meterspan.wire.wmbus.frame import FrameFormat, LinkHeader
from meterspan.wire.xdlms import (
    CipheredContent,
    DataNotification,
    GeneralBlockTransfer,
    GeneralCipheredApdu,
    LongInvokeIdAndPriority,
    SecurityControl,
    write_apdu,
)
from meterspan.wire.xdlms.codes import ApduTag

KEY, AUTH_KEY = bytes(range(16)), bytes(range(0xD0, 0xE0))
TITLE = b"TST\x01\x02\x03\x04\x05"
IMPORT = Obis(1, 0, 1, 8, 0)
MOMENT = ClockTime(2024, 5, 6, 1, 7, 8, 9, None, -120)


def values(telegram: DecodedTelegram) -> list[tuple[str, object, str]]:
    return [(str(item.obis), item.value, item.unit) for item in telegram.readings]


def named(obis: str, value: Data, scaler: int, unit: int) -> Data:
    return structure(name(obis), value, structure(integer(scaler), enum(unit)))


def name(obis: str) -> Data:
    return octet_string(bytes(int(part) for part in obis.split(".")))


SELF_DESCRIBING = array(
    structure(name("1.1.0.2.129.255"), visible_string("TST_V1")),
    structure(name("0.0.96.1.0.255"), visible_string("7777")),
    named("1.0.1.7.0.255", double_long_unsigned(1_234), 0, 27),
    named("1.0.31.7.0.255", long(93), -1, 33),
    named("1.0.32.7.0.255", long_unsigned(2_310), -1, 35),
    named("1.0.1.8.0.255", double_long_unsigned(12_345), 1, 30),
)
EXPECTED = [
    ("1-1:0.2.129", "TST_V1", ""), ("0-0:96.1.0", "7777", ""), ("1-0:1.7.0", Decimal(1234), "W"),
    ("1-0:31.7.0", Decimal("9.3"), "A"), ("1-0:32.7.0", Decimal(231), "V"), ("1-0:1.8.0", Decimal(123450), "Wh"),
]  # fmt: skip


def notification(body: Data, *, tagged: bool = False) -> bytes:
    return write_apdu(DataNotification(LongInvokeIdAndPriority(5), body, MOMENT, tagged))


def sealed(plain: bytes, *, counter: int = 7, control: int = 0x30, keys: SuiteKeys | None = None) -> bytes:
    keys = keys or SuiteKeys(KEY, AUTH_KEY)
    payload = protect(plain, control, system_title=TITLE, invocation_counter=counter, keys=keys)
    content = CipheredContent(SecurityControl(control), counter, payload)
    return write_apdu(GeneralCipheredApdu(ApduTag.GENERAL_GLO_CIPHERING, TITLE, content))


def hdlc(*segments: bytes) -> bytes:
    frames = [
        HdlcFrame(HdlcAddress(0x10), HdlcAddress(1), 0x13, segment, index < len(segments) - 1)
        for index, segment in enumerate(segments)
    ]
    return b"".join(map(write_frame, frames))


LLC = b"\xe6\xe7\x00"


@pytest.mark.parametrize("tagged", [False, True])
def test_a_push_that_names_its_values_is_read_through_any_transport(tagged: bool) -> None:
    apdu = notification(SELF_DESCRIBING, tagged=tagged)
    wrapper = bytes.fromhex("00010001 0010".replace(" ", "")) + len(apdu).to_bytes(2, "big") + apdu
    blocks = [
        write_apdu(GeneralBlockTransfer(index + 1, 0, part, last_block=last))
        for index, (part, last) in enumerate([(apdu[:50], False), (apdu[50:90], False), (apdu[90:], True)])
    ]
    frames = {
        "llc": LLC + apdu,
        "apdu": apdu,
        "hdlc": hdlc(LLC + apdu),
        "segments": hdlc(LLC + apdu[:40], apdu[40:77], apdu[77:]),
        "wrapper": wrapper,
        "blocks": b"".join(blocks),
        "blocks in hdlc": b"".join(
            hdlc(LLC + block) if index == 0 else hdlc(block) for index, block in enumerate(blocks)
        ),
        "m-bus": b"".join(
            write_link_frame(LinkFrame(0x53, 0xFF, bytes((index | (0x10 if index else 0), 1, 0x67)) + part))
            for index, part in enumerate([apdu[:90], apdu[90:]])
        ),
        "hex text": LLC.hex(" ").encode() + b" " + apdu.hex(" ").encode(),
    }
    for transport, octets in frames.items():
        telegram = Decoder().decode(octets)
        assert (values(telegram), telegram.error) == (EXPECTED, None), transport
        assert str(telegram.time) == "2024-05-06 05:08:09+00:00"
        assert (telegram.device.id, telegram.device.version) == ("7777", "TST_V1")


def test_two_frames_in_one_input_give_the_readings_of_both_in_order() -> None:
    octets = hdlc(LLC + notification(SELF_DESCRIBING)) * 2
    assert values(Decoder().decode(octets)) == EXPECTED * 2


@pytest.mark.parametrize("control", [0x20, 0x30])
def test_protected_pushes_are_opened_with_one_key_or_both(control: int) -> None:
    octets = hdlc(LLC + sealed(notification(SELF_DESCRIBING), control=control))
    for auth_key in (None, AUTH_KEY):
        telegram = Decoder().decode(octets, key=KEY, auth_key=auth_key)
        assert (values(telegram), telegram.error) == (EXPECTED, None)


def test_a_missing_and_a_wrong_key_are_told_apart() -> None:
    octets = sealed(notification(SELF_DESCRIBING))
    assert "no key was given" in (Decoder().decode(octets).error or "")
    wrong = Decoder().decode(octets, key=bytes(16)).error or ""
    assert "does not fit" in wrong
    assert "does not fit" in (Decoder().decode(octets, key=KEY, auth_key=bytes(16)).error or "")
    assert "suite 0 has 16 octets" in (Decoder().decode(octets, key=b"short").error or "")
    assert TITLE.hex().upper() in wrong


def test_no_plaintext_is_shown_under_a_tag_that_does_not_fit() -> None:
    octets = bytearray(sealed(notification(SELF_DESCRIBING)))
    octets[-20] ^= 1
    telegram = Decoder().decode(bytes(octets), key=KEY, auth_key=AUTH_KEY)
    assert telegram.readings == ()


def p1_text() -> bytes:
    lines = b"1-3:0.2.8(50)\r\n0-0:96.1.1(54455354)\r\n1-0:1.8.1(000001.500*kWh)\r\n1-0:1.7.0(00.250*kW)\r\n"
    body = b"/TST5\\2X\r\n\r\n" + lines + b"!"
    return body + b"%04X\r\n" % crc_of(body)


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
        ("gas volume", Decimal("1.001"), "m3", "2020-01-07T19:00:00"), ("power failure count", 15, "1", None),
        ("voltage sag count L1", 2, "1", None), ("message", "Hallo", "", None),
    ]  # fmt: skip


def sml_capture(power: Integer, maker: bytes = b"TST") -> bytes:
    server = bytes.fromhex("0A01545354000000002A")
    entries = (
        SmlEntry(bytes.fromhex("0100603201FF"), maker),
        SmlEntry(bytes.fromhex("0100010800FF"), Integer(98_765, 4, signed=False), 30, -1),
        SmlEntry(bytes.fromhex("0100100700FF"), power, 27, -2),
    )
    messages = (
        SmlMessage(b"1", SmlTag.OPEN_RESPONSE, SmlOpenResponse(b"", server)),
        SmlMessage(b"2", SmlTag.GET_LIST_RESPONSE, SmlGetListResponse(server, entries)),
        SmlMessage(b"3", SmlTag.CLOSE_RESPONSE, SmlCloseResponse()),
    )
    return write_file(messages)


def test_sml_is_read_with_and_without_its_transport_frame_and_between_damage() -> None:
    file = sml_capture(Integer(-700, 2, signed=True))
    frame = write_sml_frame(file)
    expected = [("1-0:96.50.1", "TST", ""), ("1-0:1.8.0", Decimal("9876.5"), "Wh"), ("1-0:16.7.0", Decimal(-7), "W")]
    assert values(Decoder().decode(file)) == expected
    assert values(Decoder().decode(frame)) == expected
    bad = frame.replace(b"\x00\x01\x81\xcd", b"\x00\x01\x81\xce")
    telegram = Decoder().decode(frame + bad + frame)
    assert values(telegram) == expected * 2
    assert "CRC differs" in (telegram.error or "")
    assert (telegram.device.id, telegram.device.manufacturer) == ("1TST0000000042", "TST")


def test_the_unsigned_power_work_round_is_off_told_by_model_and_flagged() -> None:
    octets = write_sml_frame(sml_capture(Integer(-700, 2, signed=True), b"DZG"))
    assert Decoder().decode(octets).readings[2].value == -7
    fixed = Decoder(fix_unsigned_power=True).decode(octets).readings[2]
    assert fixed.value == Decimal(65_536 - 700) / 100
    assert "unsigned" in fixed.quantity
    other = write_sml_frame(sml_capture(Integer(-700, 2, signed=True), b"EMH"))
    assert Decoder(fix_unsigned_power=True).decode(other).readings[2].value == -7


ADDRESS = DeviceAddress.of("TST", "12345678", 0x01, 0x07)
RECORDS = bytes.fromhex("0413C8E100004413A0860100426C5F2C")
HEADER = TransportHeader(0x7A, HeaderKind.SHORT, access_number=5)


def wireless(protection: Protection, payload: bytes = RECORDS, form: FrameFormat = FrameFormat.A) -> bytes:
    return build_telegram(LinkHeader(0x44, ADDRESS), HEADER, payload, protection, form=form)


@pytest.mark.parametrize("form", list(FrameFormat))
@pytest.mark.parametrize("mode", [SecurityMode.NONE, SecurityMode.AES_CBC_IV, SecurityMode.AES_CBC_DYNAMIC])
def test_wireless_telegrams_are_read_with_and_without_crcs_in_every_mode(form: FrameFormat, mode: SecurityMode) -> None:
    octets = wireless(Protection(mode, KEY, 3), form=form)
    decoder = Decoder()
    for _ in range(2):  # walked first, then by the learnt layout
        telegram = decoder.decode(octets, key=KEY)
        found = [(item.quantity, item.value, item.unit, item.storage) for item in telegram.readings]
        assert found == [
            ("volume", Decimal("57.8"), "m3", 0), ("volume", Decimal(100), "m3", 1), ("date", "2018-12-31", "", 1),
        ]  # fmt: skip
        assert (telegram.device.id, telegram.device.manufacturer, telegram.device.medium) == (
            "12345678",
            "TST",
            "water",
        )


def test_wireless_key_problems_and_cut_frames_say_what_is_wrong() -> None:
    octets = wireless(Protection(SecurityMode.AES_CBC_IV, KEY), form=FrameFormat.STRIPPED)
    assert "there is no key" in (Decoder().decode(octets).error or "")
    assert "does not fit" in (Decoder().decode(octets, key=AUTH_KEY).error or "")
    plain = wireless(Protection(), form=FrameFormat.STRIPPED)
    cut = Decoder().decode(plain[:-3])
    assert "L field counts" in (cut.error or "")
    assert [item.value for item in cut.readings] == [Decimal("57.8"), Decimal(100)]
    assert Decoder().decode(plain[:-1].hex() + "0").readings


def test_a_wired_frame_is_read_and_a_wrong_checksum_or_a_cut_is_named() -> None:
    long_header = TransportHeader(0x72, HeaderKind.LONG, ADDRESS, 1)
    payload = bytes((0x72,)) + ADDRESS.long_header + bytes((1, 0, 0, 0)) + RECORDS
    octets = write_link_frame(LinkFrame(0x08, 1, payload))
    telegram = Decoder().decode(octets)
    assert telegram.protocol == "mbus"
    assert [item.value for item in telegram.readings][:2] == [Decimal("57.8"), Decimal(100)]
    assert long_header.address == ADDRESS
    broken = bytearray(octets)
    broken[-2] ^= 1
    shown = Decoder().decode(bytes(broken))
    assert "checksum" in (shown.error or "")
    assert shown.readings == telegram.readings
    assert Decoder().decode(b"\xff\x00" + bytes(broken) + b"\x11" + octets).readings == telegram.readings * 2
    cut = Decoder().decode(octets[:-8])
    assert cut.error
    assert cut.readings == telegram.readings[:1]
    assert Decoder().decode(b"\xe5").error


def test_compact_frames_are_read_once_a_full_frame_has_taught_their_layout() -> None:
    compact = build_telegram(
        LinkHeader(0x44, ADDRESS), TransportHeader(0x79), write_compact(read_records(RECORDS)), Protection(),
        form=FrameFormat.STRIPPED,
    )  # fmt: skip
    decoder = Decoder()
    assert "no full frame has taught" in (decoder.decode(compact).error or "")
    decoder.decode(wireless(Protection()))
    assert [item.value for item in decoder.decode(compact).readings][:2] == [Decimal("57.8"), Decimal(100)]


def test_a_compact_frame_with_a_wrong_check_is_named_and_shown_but_opened_for_nobody_else() -> None:
    body = bytearray(write_compact(read_records(RECORDS)))
    body[4] ^= 1  # the first octet of the data
    compact = build_telegram(
        LinkHeader(0x44, ADDRESS), TransportHeader(0x79), bytes(body), Protection(), form=FrameFormat.STRIPPED
    )
    decoder, receiver = Decoder(), WmbusReceiver({})
    decoder.decode(wireless(Protection()))
    receiver.read(wireless(Protection()))
    shown = decoder.decode(compact)
    assert "CRC of the full frame differs" in (shown.error or "")
    assert [item.value for item in shown.readings][:2] == [Decimal("57.801"), Decimal(100)]
    with pytest.raises(ChecksumError):
        receiver.read(compact)


def test_a_compact_profile_gives_one_reading_per_value_with_its_date() -> None:
    profile = bytes.fromhex("8204 6C 5F2C840413 102700008D049313 0A 34FE E8030000 D0070000".replace(" ", ""))
    telegram = Decoder().decode(wireless(Protection(), profile))
    found = [(item.value, item.storage, item.time) for item in telegram.readings if item.unit == "m3"]
    assert found == [(Decimal(10), 8, "2018-12-31"), (Decimal(1), 9, "2018-11-30"), (Decimal(2), 10, "2018-10-31")]


KAMSTRUP = structure(
    visible_string("Kamstrup_V0001"),
    name("1.1.0.0.5.255"), visible_string("1234567"),
    name("1.1.1.7.0.255"), double_long_unsigned(450),
    name("1.1.31.7.0.255"), double_long_unsigned(195),
    null(), null(),
    name("1.1.32.7.0.255"), long_unsigned(230),
    name("1.1.1.8.0.255"), double_long_unsigned(1_234),
)  # fmt: skip


def test_a_list_without_scalers_takes_them_from_its_makers_layout() -> None:
    assert values(Decoder().decode(notification(KAMSTRUP)))[1:] == [
        ("1-1:1.7.0", Decimal(450), "W"), ("1-1:31.7.0", Decimal("1.95"), "A"), ("1-1:32.7.0", Decimal(230), "V"),
        ("1-1:1.8.0", Decimal(12_340), "Wh"),
    ]  # fmt: skip


def test_a_list_without_names_is_told_by_its_shape() -> None:
    numbers = [double_long_unsigned(number) for number in (1_500, 0, 0, 70, 1_100, 2_200, 3_300, 2_310, 0, 2_320)]
    head = [octet_string(text) for text in (b"TST_001", b"1234567", b"MODEL3")]
    telegram = Decoder().decode(notification(structure(*head, *numbers), tagged=True))
    assert values(telegram)[3:5] == [("1-0:1.7.0", Decimal(1_500), "W"), ("1-0:2.7.0", Decimal(0), "W")]
    assert values(telegram)[7:] == [
        ("1-0:31.7.0", Decimal("1.1"), "A"), ("1-0:51.7.0", Decimal("2.2"), "A"),
        ("1-0:71.7.0", Decimal("3.3"), "A"),
        ("1-0:32.7.0", Decimal(231), "V"), ("1-0:52.7.0", Decimal(0), "V"), ("1-0:72.7.0", Decimal(232), "V"),
    ]  # fmt: skip
    unknown = Decoder().decode(notification(structure(*numbers[:7])))
    assert unknown.readings == ()
    assert "layout that is not known" in (unknown.error or "")


def test_without_any_layout_voltages_and_currents_are_scaled_by_physics() -> None:
    body = structure(
        name("1.0.1.7.0.255"), double_long_unsigned(2_300),
        name("1.0.31.7.0.255"), long_unsigned(1_010),
        name("1.0.32.7.0.255"), long_unsigned(2_305),
    )  # fmt: skip
    assert values(Decoder().decode(notification(body))) == [
        ("1-0:1.7.0", Decimal(2_300), "W"), ("1-0:31.7.0", Decimal("10.1"), "A"), ("1-0:32.7.0", Decimal("230.5"), "V"),
    ]  # fmt: skip


def test_a_list_of_push_objects_names_the_values_behind_it_also_where_it_names_itself() -> None:
    def entry(obis: str) -> Data:
        return structure(long_unsigned(3), name(obis), integer(2), long_unsigned(0))

    values_behind = (double_long_unsigned(5), double_long_unsigned(6))
    objects = (entry("1.0.1.8.0.255"), entry("1.0.2.8.0.255"))
    expected = [("1-0:1.8.0", Decimal(5), "Wh"), ("1-0:2.8.0", Decimal(6), "Wh")]
    for listed in (objects, (entry("0.0.25.9.0.255"), *objects)):
        assert values(Decoder().decode(write_data(structure(array(*listed), *values_behind)))) == expected


def test_swapped_tags_and_untagged_descriptors_of_the_field_are_read() -> None:
    good = write_data(array(named("1.0.31.7.0.255", long(155), -2, 33)))
    swapped = good.replace(b"\x09\x06", b"\x06\x09")
    assert values(Decoder().decode(swapped)) == [("1-0:31.7.0", Decimal("1.55"), "A")]
    bare = bytes.fromhex("0202 1601 0102 0202 0003 0100010800FF 02 06 0000002A 0202 0001 0000600E00FF 02 0902 5432")
    assert values(Decoder().decode(bare)) == [("1-0:1.8.0", Decimal(42), "Wh"), ("0-0:96.14.0", "T2", "")]


def test_a_clock_without_deviation_is_shown_as_it_stands() -> None:
    local = DataNotification(LongInvokeIdAndPriority(1), SELF_DESCRIBING, ClockTime(2024, 5, 6, 1, 7, 8, 9, None, None))
    telegram = Decoder().decode(write_apdu(local))
    assert telegram.time is None
    assert telegram.readings[0] == DecodedReading("clock", "2024-05-06T07:08:09", "", Obis(0, 0, 1, 0, 0))


def test_an_hdlc_frame_with_a_wrong_check_is_named_and_read_as_far_as_it_goes() -> None:
    octets = bytearray(hdlc(LLC + notification(SELF_DESCRIBING)))
    octets[-2] ^= 0x55
    telegram = Decoder().decode(bytes(octets))
    assert telegram.error
    assert values(telegram) == EXPECTED


@pytest.mark.parametrize(
    ("start", "kind"),
    [
        ("7EA01E0100011012", Format.HDLC), ("0001000100100003", None), ("E6E7000F40000000", Format.DLMS),
        ("DB08", Format.DLMS),
        ("0F40000000", Format.DLMS), ("0209060100", Format.COSEM),
        ("68030368080172", Format.MBUS), ("760501", Format.SML_FILE),
        ("1B1B1B1B01010101", Format.SML), ("1044789A30373938", Format.WMBUS), ("E5", Format.MBUS),
        ("", None), ("FFFFFFFF", None),
    ],
)  # fmt: skip
def test_frames_are_recognised_by_their_first_octets_or_refused(start: str, kind: Format | None) -> None:
    octets = bytes.fromhex(start)
    octets += bytes(12) if kind in {Format.HDLC, Format.WMBUS} else b""
    if kind is not None:
        assert recognise(octets) is kind
    else:
        with pytest.raises(UnsupportedError):
            recognise(octets)


def test_as_overrides_the_recogniser_and_an_unknown_name_is_an_error() -> None:
    apdu = notification(SELF_DESCRIBING)
    assert values(Decoder().decode(apdu, as_="dlms")) == EXPECTED
    assert Decoder().decode(apdu, as_="sml-file").error
    assert "no format is called" in (Decoder().decode(apdu, as_="morse").error or "")


def test_the_trace_explains_a_whole_wireless_frame() -> None:
    trace = Trace()
    Decoder().decode(
        wireless(Protection(SecurityMode.AES_CBC_IV, KEY), form=FrameFormat.STRIPPED), key=KEY, trace=trace
    )
    fields = [span.field for span in trace.spans]
    assert {"L field", "C field", "M and A field", "CI field", "access number", "configuration field", "data"} <= set(
        fields
    )


SAMPLES = (
    hdlc(LLC + notification(SELF_DESCRIBING)), p1_text(), write_sml_frame(sml_capture(Integer(1, 2, signed=True))),
    wireless(Protection(), form=FrameFormat.STRIPPED), sealed(notification(KAMSTRUP)),
)  # fmt: skip


def test_damaged_frames_always_give_an_answer() -> None:
    rng, decoder = random.Random(5), Decoder()  # noqa: S311 - seeded noise
    for sample in SAMPLES:
        for size in range(0, len(sample), 3):
            assert isinstance(decoder.decode(sample[:size], key=KEY), DecodedTelegram)
        for _ in range(150):
            octets = bytearray(sample)
            for _ in range(rng.randrange(1, 5)):
                octets[rng.randrange(len(octets))] = rng.randrange(256)
            assert isinstance(decoder.decode(bytes(octets), key=KEY), DecodedTelegram)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=200), st.sampled_from([None, *Format]))
def test_any_octets_under_any_name_give_an_answer(octets: bytes, kind: Format | None) -> None:
    assert isinstance(Decoder().decode(octets, key=KEY, as_=kind), DecodedTelegram)


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=200))
def test_any_text_gives_an_answer(text: str) -> None:
    assert isinstance(Decoder().decode(text), DecodedTelegram)


def test_an_hdlc_frame_is_read_without_its_flags_and_behind_noise() -> None:
    frame = hdlc(LLC + notification(SELF_DESCRIBING))
    assert values(Decoder().decode(frame[1:-1])) == EXPECTED
    assert values(Decoder().decode(b"\xff\x03" + frame)) == EXPECTED


@pytest.mark.parametrize("size", range(170, 240, 7))
def test_protected_pushes_of_any_size_are_not_taken_for_wireless_telegrams(size: int) -> None:
    body = structure(octet_string(bytes(size)), named("1.0.1.7.0.255", double_long_unsigned(7), 0, 27))
    telegram = Decoder().decode(sealed(notification(body)), key=KEY)
    assert values(telegram) == [("1-0:1.7.0", Decimal(7), "W")]


def test_several_p1_telegrams_in_a_row_give_the_readings_of_all() -> None:
    telegram = Decoder().decode(p1_text() + p1_text().replace(b"001.500", b"001.600") + p1_text())
    assert [item.value for item in telegram.readings if item.unit == "Wh"] == [1500, 1600, 1500]
    assert "CRC differs" in (telegram.error or "")


def test_a_p1_telegram_that_lost_its_carriage_returns_is_not_called_damaged() -> None:
    assert Decoder().decode(p1_text().replace(b"\r", b"").decode()).error is None


@pytest.mark.parametrize(
    "pattern", [b"\x7e\xa0\x20", b"\x7e", b"\x1b\x1b\x1b\x1b\x01\x01\x01\x01", b"\n/", b"/A\n!", b"\xe5"]
)
def test_long_patterns_take_time_in_proportion_to_their_length(pattern: bytes) -> None:
    octets = pattern * (200_000 // len(pattern))
    for kind in (None, *Format):
        assert isinstance(Decoder().decode(octets, as_=kind), DecodedTelegram)


def test_manufacturer_data_that_nobody_knows_are_shown_as_they_stand() -> None:
    telegram = Decoder().decode(wireless(Protection(), RECORDS + bytes.fromhex("0FC0FFEE")))
    assert (telegram.readings[-1].quantity, telegram.readings[-1].value) == ("manufacturer data", "C0FFEE")


def test_keys_never_show_in_what_is_printed_of_a_decoding() -> None:
    assert KEY.hex() not in repr(Job(KEY, AUTH_KEY))
    assert str(KEY) not in repr(Job(KEY, AUTH_KEY))


def test_the_trace_of_a_push_counts_octets_of_the_frame_up_to_the_protection() -> None:
    octets = hdlc(LLC + notification(SELF_DESCRIBING))
    trace = Trace()
    Decoder().decode(octets, trace=trace)
    assert all(octets[span.offset : span.offset + len(span.octets)] == span.octets for span in trace.spans)
    assert {"HCS", "LLC", "data-notification", "date-time"} <= {span.field for span in trace.spans}
    covered = sum(len(span.octets) for span in trace.spans if span.field != "information")
    assert covered == len(octets)


def test_a_damaged_block_does_not_cost_the_readings_of_the_frame_before() -> None:
    octets = hdlc(LLC + notification(SELF_DESCRIBING)) + hdlc(LLC + b"\xe0\x80\x00\x01")
    telegram = Decoder().decode(octets)
    assert values(telegram) == EXPECTED
    assert telegram.error


@pytest.mark.parametrize(
    ("powers", "raw", "amperes"),
    [
        ({"1.7": 1_000}, 451, "4.51"), ({"1.7": 1_000}, 4_512, "4.512"), ({"1.7": 1_000}, 4, "4"),
        ({"1.7": 60}, 100, "1"), ({"1.7": 0, "2.7": 2_300}, 1_000, "10"), ({"1.7": 20}, 9, "0.09"),
        ({"1.7": 90}, 1_000, "10"), ({"1.7": 90, "21.7": 2_200}, 1_000, "10"),
    ],
)  # fmt: skip
def test_the_resolution_of_currents_follows_from_the_power(powers: dict[str, int], raw: int, amperes: str) -> None:
    rows = [item for code, watts in powers.items() for item in (name(f"1.0.{code}.0.255"), double_long_unsigned(watts))]
    body = structure(*rows, name("1.0.31.7.0.255"), long_unsigned(raw), name("1.0.32.7.0.255"), long_unsigned(2_300))
    found = [item.value for item in Decoder().decode(notification(body)).readings if item.unit == "A"]
    assert found == [Decimal(amperes)]
