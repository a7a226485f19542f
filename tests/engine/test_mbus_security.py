"""Opening and sealing: modes 5 and 7, the encrypted link layer, and what is said when a key is missing or wrong."""

from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterspan.engine.mbus_security import (
    Protection,
    build_telegram,
    open_frame,
    open_frame_insecurely,
    open_transport,
    open_transport_insecurely,
)
from meterspan.model.radio_protection import RadioProtection
from meterspan.wire import (
    KeyMissingError,
    KeyWrongError,
    SecurityError,
    Trace,
    TruncatedError,
    UnsupportedError,
    WireError,
)
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
PLAIN, ENCRYPTED, AUTHENTICATED = RadioProtection
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
    frame = read_frame(telegram(mode, header=header, link=link, ell=ell, form=form))
    opened = open_frame_insecurely(frame, KEY)
    if mode or ell is SEALED_LINK:
        assert open_frame(frame, KEY) == opened
    else:
        with pytest.raises(SecurityError, match="not encrypted"):
            open_frame(frame, KEY)
    assert [record.value for record in read_records(opened.payload).records] == [1000, 200]
    assert opened.address == METER
    assert opened.transport.mode == mode


@pytest.mark.parametrize("mode", MODES[1:])
@pytest.mark.parametrize("ell", [None, SEALED_LINK])
def test_a_missing_key_and_a_wrong_key_are_different_errors(mode, ell):
    frame = read_frame(telegram(mode, ell=ell))
    with pytest.raises(KeyMissingError):
        open_frame_insecurely(frame, None, has_des=False)
    with pytest.raises(KeyWrongError):
        open_frame_insecurely(frame, WRONG, has_des=False)
    with pytest.raises(KeyWrongError, match="16 octets"):
        open_frame_insecurely(frame, b"short", has_des=False)


@pytest.mark.parametrize("key", [None, KEY])
@pytest.mark.parametrize("mode", MODES[1:])
def test_a_payload_that_was_opened_before_is_read_as_it_stands(mode, key):
    header = replace(SHORT, configuration=mode << 8 | 0x10, extension=b"\x10" if mode == 7 else b"")
    clear = b"\x2f\x2f" + DATA + b"\x2f\x2f\x2f\x2f"
    frame = read_frame(write_frame(LINK, header, clear))
    if mode == SecurityMode.AES_CBC_DYNAMIC and key is not None:
        with pytest.raises(WireError, match="message counter"):
            open_frame_insecurely(frame, key, has_des=False)
    else:
        assert open_frame_insecurely(frame, key, has_des=False).payload == clear


def test_octets_behind_the_encrypted_blocks_stay_as_they_are():
    octets = telegram(SecurityMode.AES_CBC_IV, form=FrameFormat.STRIPPED) + b"\x01\xfd\x08\x05"
    octets = bytes((len(octets) - 1,)) + octets[1:]
    assert open_frame_insecurely(read_frame(octets), KEY, has_des=False).payload.endswith(b"\x01\xfd\x08\x05")


def test_encrypted_blocks_that_are_cut_say_so():
    octets = telegram(SecurityMode.AES_CBC_IV, form=FrameFormat.STRIPPED)[:-1]
    with pytest.raises(TruncatedError):
        open_frame_insecurely(read_frame(bytes((len(octets) - 1,)) + octets[1:]), KEY, has_des=False)


@pytest.mark.parametrize("mode", [1, 2, 3, 4, 8, 9, 10, 13, 6])
def test_a_mode_that_is_not_handled_is_named_and_the_header_is_kept(mode):
    header = replace(SHORT, configuration=mode << 8 | 0x10, extension=b"\0" if mode in (8, 9, 10, 13) else b"")
    frame = read_frame(write_frame(LINK, header, bytes(16)))
    assert frame.transport == header
    with pytest.raises(UnsupportedError, match=f"security mode {mode} "):
        open_frame_insecurely(frame, KEY, has_des=False)


def test_a_changed_message_fails_its_mac():
    octets = bytearray(telegram(SecurityMode.AES_CBC_DYNAMIC, form=FrameFormat.STRIPPED))
    octets[-1] ^= 1
    with pytest.raises(KeyWrongError, match="MAC"):
        open_frame_insecurely(read_frame(bytes(octets)), KEY, has_des=False)


def clear_behind_2f2f(mode):
    extension = b"\x10" if mode == SecurityMode.AES_CBC_DYNAMIC else b""
    header = replace(SHORT, configuration=mode << 8 | 0x10, extension=extension)
    return write_frame(LINK, header, b"\x2f\x2f" + DATA + b"\x2f" * 4)


def altered(mac_octets=None, **afl):
    """Return a telegram in mode 7 with another AFL, of the lengths that its sender declares."""
    frame = read_frame(telegram(SecurityMode.AES_CBC_DYNAMIC))
    mac = frame.afl.mac if mac_octets is None else frame.afl.mac[:mac_octets]
    return write_frame(LINK, frame.transport, frame.payload, afl=replace(frame.afl, mac=mac, **afl))


FORGED = {
    "in mode 0": telegram(SecurityMode.NONE),
    "in mode 5, in the clear behind 2F2F": clear_behind_2f2f(SecurityMode.AES_CBC_IV),
    "in mode 7, in the clear behind 2F2F": clear_behind_2f2f(SecurityMode.AES_CBC_DYNAMIC),
    "in mode 5 without an encrypted block": write_frame(LINK, replace(SHORT, configuration=0x0500), DATA),
    "without a transport layer that has a mode": write_frame(LINK, TransportHeader(0x78), DATA),
    "in mode 7 without a MAC": altered(0),
    "in mode 7 with a MAC of two octets": altered(2, message_control=0x23),
    "in mode 7 with a MAC of four octets": altered(4, message_control=0x24),
    "with an extended link layer in the clear": write_frame(LINK, TransportHeader(0x78), DATA, ell=SEALED_LINK),
}


@pytest.mark.finding("security C1")
@pytest.mark.parametrize("octets", FORGED.values(), ids=FORGED)
def test_a_telegram_with_less_protection_than_its_key_gives_is_refused(octets):
    with pytest.raises(SecurityError):
        open_frame(read_frame(octets), KEY)
    with pytest.raises(SecurityError):
        open_frame(read_frame(octets), KEY, required=PLAIN)


def test_mode_7_without_derived_keys_has_no_mac_and_is_refused():
    frame = read_frame(telegram(SecurityMode.AES_CBC_DYNAMIC))
    with pytest.raises(SecurityError, match="derived keys"):
        open_frame(replace(frame, transport=replace(frame.transport, extension=b"\0")), KEY)


@pytest.mark.finding("security C1")
@pytest.mark.parametrize(("mode", "ell"), [(SecurityMode.AES_CBC_IV, None), (SecurityMode.NONE, SEALED_LINK)])
def test_encryption_is_not_enough_for_a_meter_that_must_be_authenticated(mode, ell):
    with pytest.raises(SecurityError, match="not authenticated"):
        open_frame(read_frame(telegram(mode, ell=ell)), KEY, required=AUTHENTICATED)
    frame = read_frame(telegram(SecurityMode.AES_CBC_DYNAMIC, ell=ell))
    assert open_frame(frame, KEY, required=AUTHENTICATED) == open_frame(frame, KEY, required=ENCRYPTED)


def test_octets_in_the_clear_behind_the_encrypted_ones_are_not_returned_in_mode_5():
    octets = telegram(SecurityMode.AES_CBC_IV, form=FrameFormat.STRIPPED) + b"\x0c\x13\x99\x99\x99\x99"
    frame = read_frame(bytes((len(octets) - 1,)) + octets[1:])
    assert open_frame(frame, KEY).payload == open_frame(read_frame(telegram(SecurityMode.AES_CBC_IV)), KEY).payload
    assert open_frame_insecurely(frame, KEY).payload.endswith(b"\x99" * 4)


@pytest.mark.parametrize("mode", MODES)
def test_a_meter_without_a_key_is_read_in_the_clear_only_where_it_may_be(mode):
    frame = read_frame(telegram(mode))
    if mode:
        with pytest.raises(KeyMissingError):
            open_frame(frame, None, required=PLAIN)
        return
    assert open_frame(frame, None, required=PLAIN).payload == DATA
    with pytest.raises(SecurityError):
        open_frame(frame, None)


@pytest.mark.attack(1)
@given(st.data())
def test_a_changed_authenticated_telegram_is_refused_or_says_the_same(data):
    octets = telegram(SecurityMode.AES_CBC_DYNAMIC, form=FrameFormat.STRIPPED)
    bits = data.draw(st.sets(st.integers(8 * 10, 8 * len(octets) - 1), min_size=1, max_size=4))
    changed = bytearray(octets)
    for bit in bits:
        changed[bit // 8] ^= 1 << bit % 8
    try:
        opened = open_frame(read_frame(bytes(changed), form=FrameFormat.STRIPPED), KEY)
    except WireError:
        return
    assert opened.payload == open_frame(read_frame(octets), KEY).payload, "the fragment number is not authenticated"


def test_a_wired_telegram_in_the_clear_is_refused_where_a_key_is_given():
    with pytest.raises(SecurityError):
        open_transport(LONG, DATA, KEY)
    assert open_transport(LONG, DATA, None) == DATA


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
    open_frame_insecurely(frame, KEY, trace=trace)
    assert "access number" in [span.field for span in trace.spans]


def test_more_than_fifteen_blocks_and_other_modes_are_not_sealed():
    with pytest.raises(ValueError, match="blocks"):
        build_telegram(LINK, SHORT, bytes(240), Protection(SecurityMode.AES_CBC_IV, KEY))
    with pytest.raises(ValueError, match="not written"):
        build_telegram(LINK, SHORT, DATA, Protection(SecurityMode.AES_GCM, KEY))


DES_KEY = bytes.fromhex("133457799BBCDFF1")
DAY = date(2021, 12, 31)
DES_MODES = [SecurityMode.DES_IV_ZERO, SecurityMode.DES_IV]
SEALED_BY_DES = {  # by another implementation of DES
    SecurityMode.DES_IV_ZERO: "7A2A00 1002 94FC8CBC2CCDCB2F15F9F6E7E95895B1",
    SecurityMode.DES_IV: "7A2A00 1003 2D3076B8E4CCBDAE8327D5718BB117CC 026CBF2C",
}


def des_telegram(mode, *, header=SHORT, link=LINK, form=FrameFormat.STRIPPED, data=DATA):
    return build_telegram(link, header, data, Protection(mode, DES_KEY, day=DAY), form=form)


@pytest.mark.parametrize("mode", DES_MODES)
def test_a_telegram_in_a_des_mode_is_written_and_read_as_the_vector_says(mode):
    octets = des_telegram(mode)
    assert octets[10:] == bytes.fromhex(SEALED_BY_DES[mode])
    opened = open_frame_insecurely(read_frame(octets), DES_KEY)
    assert opened.payload[2:11] == DATA[:9]
    assert [record.value for record in read_records(opened.payload).records][:2] == [1000, 200]


@pytest.mark.finding("users B12")
@pytest.mark.parametrize("mode", DES_MODES)
@pytest.mark.parametrize("form", list(FrameFormat))
@given(size=st.integers(0, 60), number=st.integers(0, 99_999_999))
def test_a_des_mode_opens_what_it_seals(mode, form, size, number):
    link = LinkHeader(0x44, DeviceAddress.of("MSP", f"{number:08}", 1, 7))
    data = bytes.fromhex("01FD1707") * (size // 4)
    opened = open_frame_insecurely(read_frame(des_telegram(mode, link=link, form=form, data=data)), DES_KEY)
    assert opened.payload.startswith(b"\x2f\x2f" + data)


@pytest.mark.parametrize("mode", DES_MODES)
@pytest.mark.parametrize("key", [None, DES_KEY, KEY])
def test_a_des_mode_is_refused_wherever_values_are_stored(mode, key):
    frame = read_frame(des_telegram(mode))
    with pytest.raises(UnsupportedError, match="single DES protects nothing"):
        open_frame(frame, key)
    with pytest.raises(UnsupportedError, match="single DES protects nothing"):
        open_frame_insecurely(frame, key, has_des=False)


@pytest.mark.parametrize("mode", DES_MODES)
def test_a_missing_key_and_a_key_that_is_no_des_key_are_different_errors(mode):
    frame = read_frame(des_telegram(mode))
    with pytest.raises(KeyMissingError):
        open_frame_insecurely(frame, None)
    with pytest.raises(KeyWrongError, match="8 octets, this one 16"):
        open_frame_insecurely(frame, KEY)
    with pytest.raises(KeyWrongError, match="2F2F"):
        open_frame_insecurely(frame, bytes(8))


def test_a_des_mode_counts_octets_in_whole_blocks_that_are_there():
    frame = read_frame(des_telegram(SecurityMode.DES_IV_ZERO))
    with pytest.raises(WireError, match="whole blocks"):
        open_transport_insecurely(replace(frame.transport, configuration=0x020F), frame.payload, DES_KEY)
    with pytest.raises(TruncatedError):
        open_transport_insecurely(replace(frame.transport, configuration=0x0218), frame.payload, DES_KEY)
    assert open_transport_insecurely(replace(frame.transport, configuration=0x0200), DATA, DES_KEY) == DATA
    assert open_transport_insecurely(frame.transport, b"\x2f\x2f" + DATA, DES_KEY) == b"\x2f\x2f" + DATA


def test_mode_3_needs_its_date_in_the_clear_and_the_address_of_the_meter():
    frame = read_frame(des_telegram(SecurityMode.DES_IV))
    with pytest.raises(WireError, match="date of type G"):
        open_transport_insecurely(frame.transport, frame.payload[:16], DES_KEY, METER)
    with pytest.raises(WireError, match="address"):
        open_transport_insecurely(frame.transport, frame.payload, DES_KEY)
    with pytest.raises(ValueError, match="date"):
        build_telegram(LINK, SHORT, DATA, Protection(SecurityMode.DES_IV, DES_KEY))
    long = read_frame(des_telegram(SecurityMode.DES_IV, header=LONG, link=LinkHeader(0x44, ADAPTER)))
    assert open_transport_insecurely(long.transport, long.payload, DES_KEY)[2:11] == DATA[:9]


def test_more_octets_than_a_des_mode_can_count_and_an_aes_key_are_not_sealed():
    with pytest.raises(ValueError, match="do not fit"):
        des_telegram(SecurityMode.DES_IV_ZERO, data=bytes(248))
    with pytest.raises(ValueError, match="DES key"):
        build_telegram(LINK, SHORT, DATA, Protection(SecurityMode.DES_IV_ZERO, KEY))


@pytest.mark.parametrize("mode", [*DES_MODES, SecurityMode.AES_CBC_IV, SecurityMode.AES_CBC_DYNAMIC])
@pytest.mark.parametrize("ell", [None, SEALED_LINK])
def test_what_is_opened_securely_is_opened_the_same_insecurely(mode, ell):
    if mode in DES_MODES:
        frame = read_frame(des_telegram(mode))
        assert open_frame_insecurely(frame, DES_KEY).transport == frame.transport
    else:
        frame = read_frame(telegram(mode, ell=ell))
        assert open_frame_insecurely(frame, KEY) == open_frame(frame, KEY)


@pytest.mark.parametrize("mode", DES_MODES)
@given(
    damage=st.lists(st.tuples(st.integers(0, 60), st.integers(0, 255)), min_size=1, max_size=6), cut=st.integers(0, 9)
)
def test_a_damaged_telegram_in_a_des_mode_is_a_frame_or_a_wire_error(mode, damage, cut):
    octets = bytearray(des_telegram(mode))
    for at, octet in damage:
        octets[at % len(octets)] = octet
    try:
        opened = open_frame_insecurely(read_frame(bytes(octets[: len(octets) - cut])), DES_KEY)
    except WireError:
        return
    assert opened.sealed is None
