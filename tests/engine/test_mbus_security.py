"""Opening and sealing: modes 5 and 7, the encrypted link layer, and what is said when a key is missing or wrong."""

from dataclasses import replace

import pytest

from meterspan.engine.mbus_security import Protection, build_telegram, open_frame, open_payload, open_transport
from meterspan.wire import KeyMissingError, KeyWrongError, Trace, TruncatedError, UnsupportedError, WireError
from meterspan.wire.mbus import read_records
from meterspan.wire.mbus.address import DeviceAddress
from meterspan.wire.mbus.transport import HeaderKind, SecurityMode, TransportHeader
from meterspan.wire.wmbus import ExtendedLink, FrameFormat, LinkHeader, read_frame, write_frame

METER = DeviceAddress.of("MSP", "12345678", 0x01, 0x07)
ADAPTER = DeviceAddress.of("MSP", "87654321", 0x02, 0x31)
LINK = LinkHeader(0x44, METER)
SHORT = TransportHeader(0x7A, HeaderKind.SHORT, None, 0x2A)
LONG = TransportHeader(0x72, HeaderKind.LONG, METER, 0x2A)
DATA = bytes.fromhex("0413E8030000023BC800")
KEY = bytes(range(16))
WRONG = bytes(16)
MODES = [SecurityMode.NONE, SecurityMode.AES_CBC_IV, SecurityMode.AES_CBC_DYNAMIC]
SEALED_LINK = ExtendedLink(0x8D, 0x20, 7, None, bytes.fromhex("04030220"))


def telegram(mode, *, header=SHORT, link=LINK, ell=None, form=FrameFormat.A):
    return build_telegram(link, header, DATA, Protection(mode, KEY, 77), ell=ell, form=form)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("header", [SHORT, LONG])
@pytest.mark.parametrize("ell", [None, ExtendedLink(0x8C, 0x20, 7), SEALED_LINK])
@pytest.mark.parametrize("form", list(FrameFormat))
def test_a_built_telegram_opens_with_its_key(mode, header, ell, form):
    link = LINK if header is SHORT else LinkHeader(0x44, ADAPTER)
    opened = open_frame(read_frame(telegram(mode, header=header, link=link, ell=ell, form=form)), KEY)
    assert [record.value for record in read_records(opened.payload).records] == [1000, 200]
    assert opened.address == METER
    assert opened.transport.mode == mode


@pytest.mark.parametrize("mode", MODES[1:])
@pytest.mark.parametrize("ell", [None, SEALED_LINK])
def test_a_missing_key_and_a_wrong_key_are_different_errors(mode, ell):
    frame = read_frame(telegram(mode, ell=ell))
    with pytest.raises(KeyMissingError):
        open_payload(frame, None)
    with pytest.raises(KeyWrongError):
        open_payload(frame, WRONG)
    with pytest.raises(KeyWrongError, match="16 octets"):
        open_payload(frame, b"short")


@pytest.mark.parametrize("key", [None, KEY])
@pytest.mark.parametrize("mode", MODES[1:])
def test_a_payload_that_was_opened_before_is_read_as_it_stands(mode, key):
    header = replace(SHORT, configuration=mode << 8 | 0x10, extension=b"\x10" if mode == 7 else b"")
    clear = b"\x2f\x2f" + DATA + b"\x2f\x2f\x2f\x2f"
    frame = read_frame(write_frame(LINK, header, clear))
    if mode == SecurityMode.AES_CBC_DYNAMIC and key is not None:
        with pytest.raises(WireError, match="message counter"):
            open_payload(frame, key)
    else:
        assert open_payload(frame, key) == clear


def test_octets_behind_the_encrypted_blocks_stay_as_they_are():
    octets = telegram(SecurityMode.AES_CBC_IV, form=FrameFormat.STRIPPED) + b"\x01\xfd\x08\x05"
    octets = bytes((len(octets) - 1,)) + octets[1:]
    assert open_payload(read_frame(octets), KEY).endswith(b"\x01\xfd\x08\x05")


def test_encrypted_blocks_that_are_cut_say_so():
    octets = telegram(SecurityMode.AES_CBC_IV, form=FrameFormat.STRIPPED)[:-1]
    with pytest.raises(TruncatedError):
        open_payload(read_frame(bytes((len(octets) - 1,)) + octets[1:]), KEY)


@pytest.mark.parametrize("mode", [1, 2, 3, 4, 8, 9, 10, 13, 6])
def test_a_mode_that_is_not_handled_is_named_and_the_header_is_kept(mode):
    header = replace(SHORT, configuration=mode << 8 | 0x10, extension=b"\0" if mode in (8, 9, 10, 13) else b"")
    frame = read_frame(write_frame(LINK, header, bytes(16)))
    assert frame.transport == header
    with pytest.raises(UnsupportedError, match=f"security mode {mode} "):
        open_payload(frame, KEY)


def test_a_changed_message_fails_its_mac():
    octets = bytearray(telegram(SecurityMode.AES_CBC_DYNAMIC, form=FrameFormat.STRIPPED))
    octets[-1] ^= 1
    with pytest.raises(KeyWrongError, match="MAC"):
        open_payload(read_frame(bytes(octets)), KEY)


def test_a_wired_long_header_needs_no_link_address():
    frame = read_frame(telegram(SecurityMode.AES_CBC_IV, header=LONG))
    assert open_transport(frame.transport, frame.payload, KEY)[2:12] == DATA
    short = read_frame(telegram(SecurityMode.AES_CBC_IV))
    with pytest.raises(WireError, match="address"):
        open_transport(short.transport, short.payload, KEY)


def test_an_old_wired_signature_is_no_mode():
    header = replace(SHORT, configuration=0xB627)
    assert open_transport(header, DATA, None) == DATA


def test_what_decryption_uncovers_is_explained():
    trace = Trace()
    frame = read_frame(telegram(SecurityMode.NONE, ell=SEALED_LINK, form=FrameFormat.STRIPPED), trace=trace)
    open_frame(frame, KEY, trace=trace)
    assert "access number" in [span.field for span in trace.spans]


def test_more_than_fifteen_blocks_and_other_modes_are_not_sealed():
    with pytest.raises(ValueError, match="blocks"):
        build_telegram(LINK, SHORT, bytes(240), Protection(SecurityMode.AES_CBC_IV, KEY))
    with pytest.raises(ValueError, match="not written"):
        build_telegram(LINK, SHORT, DATA, Protection(SecurityMode.AES_GCM, KEY))
