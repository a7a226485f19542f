"""M-Bus frames for a person: what nothing protects is shown with a warning, and read beyond a short length field."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterspan.engine.mbus_security import Protection, build_telegram, seal_payload
from meterspan.model.failures import FailureKind, kind_of_error
from meterspan.model.mbus_devices.factory_keys import factory_keys_of
from meterspan.model.telegram import DecodedTelegram
from meterspan.readings import Decoder
from meterspan.readings.any_rows import rows_of
from meterspan.wire import KeyMissingError, SecurityError, Trace, UnsupportedError, WireError
from meterspan.wire.mbus.address import DeviceAddress
from meterspan.wire.mbus.link import LinkFrame, write_link_frame
from meterspan.wire.mbus.transport import HeaderKind, SecurityMode, TransportHeader, write_transport
from meterspan.wire.wmbus.frame import FrameFormat, LinkHeader

NOW = 1_772_449_220.0
METER = DeviceAddress.of("MSP", "12345678", 1, 7)
SHORT = TransportHeader(0x7A, HeaderKind.SHORT, None, 0x2A)
LONG = TransportHeader(0x72, HeaderKind.LONG, METER, 0x2A)
REGISTER = bytes.fromhex("0C13 45230100 426C5F2C")
DES_KEY, KEY = bytes.fromhex("133457799BBCDFF1"), bytes(range(16))
DES = [SecurityMode.DES_IV_ZERO, SecurityMode.DES_IV]
FACTORY = Protection(SecurityMode.AES_CBC_IV, bytes(16))


def wireless(
    protection: Protection, *, data: bytes = REGISTER, form: FrameFormat = FrameFormat.STRIPPED, tail: bytes = b"",
    meter: DeviceAddress = METER,
) -> bytes:  # fmt: skip
    octets = build_telegram(LinkHeader(0x44, meter), SHORT, data, protection, form=form) + tail
    return bytes((octets[0] + len(tail),)) + octets[1:]


def wired(protection: Protection) -> bytes:
    header, sealed, _ = seal_payload(LONG, REGISTER, protection, METER)
    return write_link_frame(LinkFrame(0x08, 1, write_transport(header) + sealed))


def by_des(mode: SecurityMode) -> Protection:
    return Protection(mode, DES_KEY, day=date(2021, 12, 31))


def volumes(telegram: DecodedTelegram) -> list[str]:
    return [str(reading.value) for reading in telegram.readings if reading.quantity == "volume"]


@pytest.mark.parametrize("mode", DES)
@pytest.mark.parametrize("frame", [wireless, wired])
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
    with pytest.raises(UnsupportedError, match="protects nothing") as caught:
        rows_of(octets, NOW, key=DES_KEY)
    assert kind_of_error(caught.value) is FailureKind.UNSUPPORTED


@pytest.mark.parametrize("frame", [wireless, wired])
def test_an_aes_key_is_no_des_key(frame) -> None:
    decoder = Decoder(insecure=True)
    assert "a DES key has 8 octets, this one 16" in (decoder.decode(frame(by_des(DES[0])), key=KEY).error or "")
    assert "there is no key" in (decoder.decode(frame(by_des(DES[0]))).error or "")


@pytest.mark.parametrize("frame", [wireless, wired])
def test_the_factory_key_of_zeros_is_tried_where_no_key_was_given_and_named(frame) -> None:
    telegram = Decoder(insecure=True).decode(frame(FACTORY))
    assert volumes(telegram) == ["12.345"]
    assert "opened with the factory key of zeros, which protects nothing" in (telegram.error or "")
    assert "give the meter a key of its own" in (telegram.error or "")
    assert isinstance(Decoder().decode(frame(FACTORY)).errors[0], KeyMissingError)
    with pytest.raises(KeyMissingError):
        rows_of(frame(FACTORY), NOW)


@pytest.mark.parametrize("form", list(FrameFormat))
def test_the_published_key_of_a_maker_opens_its_meters_alone(form: FrameFormat) -> None:
    protection = Protection(SecurityMode.AES_CBC_IV, factory_keys_of("DME")[1])
    own = wireless(protection, form=form, meter=DeviceAddress.of("DME", "12345678", 1, 7))
    telegram = Decoder(insecure=True).decode(own)
    assert volumes(telegram) == ["12.345"]
    assert "the factory key of its maker, which protects nothing" in (telegram.error or "")
    assert isinstance(Decoder(insecure=True).decode(wireless(protection, form=form)).errors[0], KeyMissingError)


@pytest.mark.parametrize("frame", [wireless, wired])
@given(key=st.binary(min_size=16, max_size=16).filter(any))
def test_a_telegram_under_another_key_still_misses_its_key(frame, key: bytes) -> None:
    telegram = Decoder(insecure=True).decode(frame(Protection(SecurityMode.AES_CBC_IV, key)))
    assert not telegram.readings
    assert [type(error) for error in telegram.errors] == [KeyMissingError]


def test_a_key_that_was_given_is_the_only_one_that_is_tried() -> None:
    assert "does not fit" in (Decoder(insecure=True).decode(wireless(FACTORY), key=KEY).error or "")


def test_a_key_of_zeros_that_was_given_is_used_as_any_other() -> None:
    telegram = Decoder(insecure=True).decode(wireless(FACTORY), key=bytes(16))
    assert (volumes(telegram), telegram.error) == (["12.345"], None)


@pytest.mark.parametrize("data", ["0C1345230100 0C13452301", "0C1345230100 3F3F3F", ""])
def test_the_factory_key_is_not_believed_where_the_records_do_not_read_to_their_end(data: str) -> None:
    octets = bytes.fromhex(data)
    sealed = Protection(SecurityMode.AES_CBC_IV, bytes(16))
    full = octets.rjust(14, b"\x2f") if octets else b""
    telegram = Decoder(insecure=True).decode(wireless(sealed, data=full))
    assert [type(error) for error in telegram.errors] == [KeyMissingError]


def test_clear_octets_behind_the_blocks_prove_nothing_for_or_against_the_factory_key() -> None:
    telegram = Decoder(insecure=True).decode(wireless(FACTORY, tail=bytes.fromhex("5208")))
    assert volumes(telegram) == ["12.345"]
    assert [type(error).__name__ for error in telegram.errors] == ["SecurityError", "TruncatedError"]


def test_mode_7_is_not_opened_by_a_factory_key() -> None:
    octets = wireless(Protection(SecurityMode.AES_CBC_DYNAMIC, bytes(16), 7))
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
    heard = rows_of(short_length(2), NOW)
    assert [failure.kind for failure in heard.failures] == [FailureKind.DAMAGED]


@given(octets=st.binary(max_size=80), insecure=st.booleans())
def test_any_octets_give_a_telegram(octets: bytes, insecure: bool) -> None:
    telegram = Decoder(insecure=insecure).decode(b"\x44" + octets, as_="wmbus", key=DES_KEY)
    assert all(isinstance(error, WireError) for error in telegram.errors)
