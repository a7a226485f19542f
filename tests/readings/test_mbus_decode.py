"""M-Bus frames for a person to look at: wired and wireless, compact, profiles, damaged, and what nothing protects."""

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterspan.engine.mbus_security import Protection, build_telegram, seal_payload
from meterspan.engine.wmbus_receiver import InsecureWmbusReceiver
from meterspan.model.failures import FailureKind, kind_of_error
from meterspan.model.mbus_devices.factory_keys import factory_keys_of
from meterspan.model.telegram import DecodedTelegram
from meterspan.readings import Decoder
from meterspan.readings.mbus import rows_of_mbus
from meterspan.readings.mbus_decode import read_wired, wired_sender
from meterspan.wire import ChecksumError, KeyMissingError, SecurityError, Trace, UnsupportedError, WireError
from meterspan.wire.mbus import read_records
from meterspan.wire.mbus.address import DeviceAddress
from meterspan.wire.mbus.link import LinkFrame, write_link_frame
from meterspan.wire.mbus.transport import HeaderKind, SecurityMode, TransportHeader, write_transport
from meterspan.wire.wmbus import write_compact
from meterspan.wire.wmbus.frame import FrameFormat, LinkHeader
from tests.readings.frames import ADDRESS, AUTH_KEY, KEY, RECORDS, wireless

NOW = 1_772_449_220.0
METER = DeviceAddress.of("MSP", "12345678", 1, 7)
SHORT = TransportHeader(0x7A, HeaderKind.SHORT, None, 0x2A)
LONG = TransportHeader(0x72, HeaderKind.LONG, METER, 0x2A)
REGISTER = bytes.fromhex("0C13 45230100 426C5F2C")
DES_KEY = bytes.fromhex("133457799BBCDFF1")
DES = [SecurityMode.DES_IV_ZERO, SecurityMode.DES_IV]
FACTORY = Protection(SecurityMode.AES_CBC_IV, bytes(16))


@pytest.mark.parametrize("form", list(FrameFormat))
@pytest.mark.parametrize("mode", [SecurityMode.NONE, SecurityMode.AES_CBC_IV, SecurityMode.AES_CBC_DYNAMIC])
def test_wireless_telegrams_are_read_with_and_without_crcs_in_every_mode(form: FrameFormat, mode: SecurityMode) -> None:
    octets = wireless(Protection(mode, KEY, 3), form=form)
    decoder = Decoder()
    for _ in range(2):  # walked first, then by the learnt layout
        telegram = decoder.decode(octets, key=KEY)
        found = [(item.quantity, item.value, item.unit, item.storage) for item in telegram.readings]
        assert found == [
            ("volume", Decimal("57.8"), "m3", 0),
            ("volume", Decimal(100), "m3", 1),
            ("date", "2018-12-31", "", 1),
        ]
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
        LinkHeader(0x44, ADDRESS),
        TransportHeader(0x79),
        write_compact(read_records(RECORDS)),
        Protection(),
        form=FrameFormat.STRIPPED,
    )
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
    decoder, receiver = Decoder(), InsecureWmbusReceiver({})
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


def test_the_trace_explains_a_whole_wireless_frame() -> None:
    trace = Trace()
    Decoder().decode(
        wireless(Protection(SecurityMode.AES_CBC_IV, KEY), form=FrameFormat.STRIPPED), key=KEY, trace=trace
    )
    fields = [span.field for span in trace.spans]
    assert {"L field", "C field", "M and A field", "CI field", "access number", "configuration field", "data"} <= set(
        fields
    )


def test_manufacturer_data_that_nobody_knows_are_shown_as_they_stand() -> None:
    telegram = Decoder().decode(wireless(Protection(), RECORDS + bytes.fromhex("0FC0FFEE")))
    assert (telegram.readings[-1].quantity, telegram.readings[-1].value) == ("manufacturer data", "C0FFEE")


def radio(
    protection: Protection,
    *,
    data: bytes = REGISTER,
    form: FrameFormat = FrameFormat.STRIPPED,
    tail: bytes = b"",
    meter: DeviceAddress = METER,
) -> bytes:
    octets = build_telegram(LinkHeader(0x44, meter), SHORT, data, protection, form=form) + tail
    return bytes((octets[0] + len(tail),)) + octets[1:]


def cable(protection: Protection) -> bytes:
    header, sealed, _ = seal_payload(LONG, REGISTER, protection, METER)
    return write_link_frame(LinkFrame(0x08, 1, write_transport(header) + sealed))


def by_des(mode: SecurityMode) -> Protection:
    return Protection(mode, DES_KEY, day=date(2021, 12, 31))


def volumes(telegram: DecodedTelegram) -> list[str]:
    return [str(reading.value) for reading in telegram.readings if reading.quantity == "volume"]


@pytest.mark.parametrize("mode", DES)
@pytest.mark.parametrize("frame", [radio, cable])
def test_a_des_mode_is_opened_only_insecurely_and_said_to_protect_nothing(mode, frame) -> None:
    octets = frame(by_des(mode))
    telegram = Decoder(insecure=True).decode(octets, key=DES_KEY)
    assert volumes(telegram) == ["12.345"]
    assert telegram.device.id == "12345678"
    assert [type(error) for error in telegram.errors] == [SecurityError]
    assert f"security mode {int(mode)} is single DES, which protects nothing" in (telegram.error or "")
    assert kind_of_error(telegram.errors[0]) is FailureKind.NOT_PROTECTED
    refused = Decoder().decode(octets, key=DES_KEY)
    assert not refused.readings
    assert isinstance(refused.errors[0], UnsupportedError)
    assert "protects nothing" in (refused.error or "")
    assert kind_of_error(refused.errors[0]) is FailureKind.UNSUPPORTED


@pytest.mark.parametrize("frame", [radio, cable])
def test_an_aes_key_is_no_des_key(frame) -> None:
    decoder = Decoder(insecure=True)
    assert "a DES key has 8 octets, this one 16" in (decoder.decode(frame(by_des(DES[0])), key=KEY).error or "")
    assert "there is no key" in (decoder.decode(frame(by_des(DES[0]))).error or "")


@pytest.mark.parametrize("frame", [radio, cable])
def test_the_factory_key_of_zeros_is_tried_where_no_key_was_given_and_named(frame) -> None:
    telegram = Decoder(insecure=True).decode(frame(FACTORY))
    assert volumes(telegram) == ["12.345"]
    assert "opened with the factory key of zeros, which protects nothing" in (telegram.error or "")
    assert "give the meter a key of its own" in (telegram.error or "")
    assert isinstance(Decoder().decode(frame(FACTORY)).errors[0], KeyMissingError)


@pytest.mark.parametrize("form", list(FrameFormat))
def test_the_published_key_of_a_maker_opens_its_meters_alone(form: FrameFormat) -> None:
    protection = Protection(SecurityMode.AES_CBC_IV, factory_keys_of("DME")[1])
    own = radio(protection, form=form, meter=DeviceAddress.of("DME", "12345678", 1, 7))
    telegram = Decoder(insecure=True).decode(own)
    assert volumes(telegram) == ["12.345"]
    assert "the factory key of its maker, which protects nothing" in (telegram.error or "")
    assert isinstance(Decoder(insecure=True).decode(radio(protection, form=form)).errors[0], KeyMissingError)


@pytest.mark.parametrize("frame", [radio, cable])
@given(key=st.binary(min_size=16, max_size=16).filter(any))
def test_a_telegram_under_another_key_still_misses_its_key(frame, key: bytes) -> None:
    telegram = Decoder(insecure=True).decode(frame(Protection(SecurityMode.AES_CBC_IV, key)))
    assert not telegram.readings
    assert [type(error) for error in telegram.errors] == [KeyMissingError]


def test_a_key_that_was_given_is_the_only_one_that_is_tried() -> None:
    assert "does not fit" in (Decoder(insecure=True).decode(radio(FACTORY), key=KEY).error or "")


def test_a_key_of_zeros_that_was_given_is_used_as_any_other() -> None:
    telegram = Decoder(insecure=True).decode(radio(FACTORY), key=bytes(16))
    assert (volumes(telegram), telegram.error) == (["12.345"], None)


@pytest.mark.parametrize("data", ["0C1345230100 0C13452301", "0C1345230100 3F3F3F", ""])
def test_the_factory_key_is_not_believed_where_the_records_do_not_read_to_their_end(data: str) -> None:
    octets = bytes.fromhex(data)
    sealed = Protection(SecurityMode.AES_CBC_IV, bytes(16))
    full = octets.rjust(14, b"\x2f") if octets else b""
    telegram = Decoder(insecure=True).decode(radio(sealed, data=full))
    assert [type(error) for error in telegram.errors] == [KeyMissingError]


def test_clear_octets_behind_the_blocks_prove_nothing_for_or_against_the_factory_key() -> None:
    telegram = Decoder(insecure=True).decode(radio(FACTORY, tail=bytes.fromhex("5208")))
    assert volumes(telegram) == ["12.345"]
    assert [type(error).__name__ for error in telegram.errors] == ["SecurityError", "TruncatedError"]


def test_mode_7_is_not_opened_by_a_factory_key() -> None:
    octets = radio(Protection(SecurityMode.AES_CBC_DYNAMIC, bytes(16), 7))
    assert isinstance(Decoder(insecure=True).decode(octets).errors[0], KeyMissingError)


def short_length(missing: int, behind: bytes = b"\xff\xff") -> bytes:
    octets = build_telegram(LinkHeader(0x44, METER), SHORT, REGISTER, Protection(), form=FrameFormat.STRIPPED)
    return bytes((octets[0] - missing,)) + octets[1:] + behind


@pytest.mark.parametrize("missing", [1, 2])
@pytest.mark.parametrize("behind", [b"", b"\xff\xff", b"\x12"])
def test_a_record_behind_a_length_field_that_is_too_small_is_read_and_the_fault_named(
    missing: int, behind: bytes
) -> None:
    trace = Trace()
    octets = short_length(missing, behind)
    telegram = Decoder().decode(octets, as_="wmbus", trace=trace)
    assert [str(reading.value) for reading in telegram.readings] == ["12.345", "2018-12-31"]
    told = f"the length field says {octets[0]}, the records take {octets[0] + missing}"
    assert told in (telegram.error or "")
    assert [span.offset for span in trace.spans] == sorted(span.offset for span in trace.spans)


def test_a_record_whose_octets_are_not_there_stays_cut() -> None:
    telegram = Decoder().decode(short_length(2, b"")[:-1], as_="wmbus")
    assert volumes(telegram) == ["12.345"]
    assert "length field" not in (telegram.error or "")
    assert "needs 2 octets, has 0" in (telegram.error or "")


def test_a_header_that_is_cut_is_not_completed_by_what_follows() -> None:
    telegram = Decoder().decode(short_length(3), as_="wmbus")
    assert volumes(telegram) == ["12.345"]
    assert "length field" not in (telegram.error or "")


def test_a_frame_with_a_length_field_that_is_too_small_makes_no_rows_of_what_lies_behind_it() -> None:
    octets = short_length(2)
    heard = rows_of_mbus(InsecureWmbusReceiver({}).read(octets), octets, NOW)
    assert [failure.kind for failure in heard.failures] == [FailureKind.DAMAGED]


@given(octets=st.binary(max_size=80), insecure=st.booleans())
def test_any_octets_give_a_telegram(octets: bytes, insecure: bool) -> None:
    telegram = Decoder(insecure=insecure).decode(b"\x44" + octets, as_="wmbus", key=DES_KEY)
    assert all(isinstance(error, WireError) for error in telegram.errors)


def test_the_telegrams_of_one_wired_readout_are_one_with_the_records_of_all() -> None:
    first, second, other = (
        write_link_frame(LinkFrame(0x08, 5, bytes.fromhex(f"72{number}7036010701000000{records}")))
        for number, records in (
            ("78563412", "0413E80300001F"),
            ("78563412", "4413D0070000"),
            ("11111111", "0413E8030000"),
        )
    )
    telegram = read_wired(first + second)
    assert [(str(record.value), record.storage) for record in telegram.records.records] == [("1000", 0), ("2000", 1)]
    assert (telegram.address.id, telegram.records.error) == ("12345678", None)
    assert wired_sender(first + second) == telegram.address
    assert wired_sender(second[:-3]) is None
    with pytest.raises(WireError, match="several devices"):
        read_wired(first + other)
    with pytest.raises(WireError):
        read_wired(first + second[:-1])
