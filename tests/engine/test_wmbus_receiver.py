"""The receiver: keys by address, the short path equal to the layered one, learnt formats, fragments."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterspan.engine.mbus_security import Protection, build_telegram
from meterspan.engine.wmbus_receiver import InsecureWmbusReceiver, WmbusReceiver
from meterspan.model.radio_protection import RadioProtection
from meterspan.wire import KeyMissingError, KeyWrongError, SecurityError, Trace, UnsupportedError, WireError
from meterspan.wire.mbus import read_records
from meterspan.wire.mbus.address import DeviceAddress
from meterspan.wire.mbus.transport import HeaderKind, SecurityMode, TransportHeader
from meterspan.wire.wmbus import (
    ExtendedLink,
    FormatStore,
    FrameFormat,
    LinkHeader,
    format_of,
    write_compact,
    write_frame,
)
from meterspan.wire.wmbus.frame import frame_crc
from tests.strategies import mbus_record_octets

METER = DeviceAddress.of("MSP", "12345678", 0x01, 0x07)
LINK = LinkHeader(0x44, METER)
SHORT = TransportHeader(0x7A, HeaderKind.SHORT, None, 0x2A)
KEY = bytes(range(16))
KEYS = {METER.id_octets: KEY}
DATA = bytes.fromhex("0413E8030000023BC800")
CORPUS = Path(__file__).parents[3] / "shared" / "corpora" / "wmbus" / "wmbusmeters.jsonl"


def telegram(data=DATA, mode=SecurityMode.AES_CBC_IV, access_number=0x2A, form=FrameFormat.STRIPPED):
    return build_telegram(LINK, replace(SHORT, access_number=access_number), data, Protection(mode, KEY, 1), form=form)


def receiver_of(mode, keys=KEYS, formats=None):
    """Return a receiver of a meter that sends in this mode and no better."""
    if mode:
        return WmbusReceiver(keys, formats)
    return WmbusReceiver({}, formats, required={METER.id_octets: RadioProtection.INSECURE_PLAIN})


def plain(read):
    return read.address, read.header, read.payload, read.records


@given(st.lists(mbus_record_octets(), max_size=3), st.sampled_from([SecurityMode.NONE, SecurityMode.AES_CBC_IV]))
def test_the_short_path_gives_what_the_layered_path_gives(parts, mode):
    receiver = receiver_of(mode)
    octets = telegram(b"".join(parts), mode)
    layered = receiver.read(octets, trace=Trace())
    first, second = receiver.read(octets), receiver.read(octets)
    assert plain(layered) == plain(first) == plain(second)


def test_the_second_telegram_of_a_device_type_takes_the_short_path():
    receiver = WmbusReceiver(KEYS)
    assert receiver.read(telegram()).frame is not None
    second = receiver.read(telegram(bytes.fromhex("0413E9030000023BC900"), access_number=0x2B))
    assert second.frame is None
    assert [record.value for record in second.records.records] == [1001, 201]
    assert second.header.access_number == 0x2B


@pytest.mark.parametrize("form", list(FrameFormat))
@pytest.mark.parametrize("mode", [SecurityMode.NONE, SecurityMode.AES_CBC_IV, SecurityMode.AES_CBC_DYNAMIC])
def test_every_format_and_mode_is_read(form, mode):
    receiver = receiver_of(mode, {METER.octets: KEY})
    for _ in range(2):
        read = receiver.read(telegram(mode=mode, form=form))
        assert [record.value for record in read.records.records] == [1000, 200]


@pytest.mark.parametrize("traced", [False, True])
@pytest.mark.parametrize("mode", [SecurityMode.NONE, SecurityMode.AES_CBC_IV])
def test_a_frame_without_crcs_that_ends_like_format_b_by_chance_is_read_whole(mode, traced):
    octets = telegram(bytes.fromhex("02FD08") + b"\0\0", mode)
    octets += b"\x04\x13" + b"\1\2\3\4" if mode else b""
    octets = bytes((len(octets) - 1,)) + octets[1:-2]
    octets += frame_crc(octets)
    read = InsecureWmbusReceiver(KEYS).read(octets, trace=Trace() if traced else None)
    assert read.records.error is None
    assert read.records.records[-1].data.endswith(octets[-2:])


def test_a_missing_and_a_wrong_key_are_told():
    with pytest.raises(KeyMissingError):
        WmbusReceiver({}).read(telegram())
    with pytest.raises(KeyWrongError):
        WmbusReceiver({METER.id_octets: bytes(16)}).read(telegram())


def test_a_wrong_telegram_does_not_spoil_the_next():
    receiver = WmbusReceiver(KEYS)
    for octets in (telegram()[:-1], b"", telegram(bytes.fromhex("0413E80300"))):
        try:
            receiver.read(octets)
        except WireError:
            continue
    assert receiver.read(telegram()).records.records[0].value == 1000


@pytest.mark.parametrize("mode", [SecurityMode.NONE, SecurityMode.AES_CBC_IV])
def test_full_frames_teach_the_formats_of_compact_frames(mode):
    receiver = receiver_of(mode)
    records = read_records(DATA)
    header = TransportHeader(0x7B, HeaderKind.SHORT, None, 0x2C)
    compact = build_telegram(LINK, header, write_compact(records), Protection(mode, KEY))
    with pytest.raises(UnsupportedError):
        receiver.read(compact)
    receiver.read(telegram(mode=mode))
    assert receiver.read(compact).records.records == records.records
    restarted = receiver_of(mode, formats=FormatStore.from_bytes(receiver.formats.to_bytes()))
    assert restarted.read(compact).records.records == records.records


def test_a_format_frame_teaches_too():
    receiver = receiver_of(SecurityMode.NONE)
    headers = format_of(read_records(DATA))
    signature = write_compact(read_records(DATA))[:2]
    receiver.read(write_frame(LINK, TransportHeader(0x69), bytes((len(headers) + 2,)) + signature + headers))
    compact = receiver.read(write_frame(LINK, TransportHeader(0x79), write_compact(read_records(DATA))))
    assert compact.payload == DATA


def test_application_data_that_are_no_records_are_kept_as_octets():
    read = receiver_of(SecurityMode.NONE).read(write_frame(LINK, TransportHeader(0xA2), b"\x01\x02\x03"))
    assert read.records.records == ()
    assert read.payload == b"\x01\x02\x03"
    assert read.header.ci == 0xA2


@given(st.binary(max_size=80))
def test_any_octets_give_a_telegram_or_a_wire_error(octets):
    try:
        WmbusReceiver(KEYS).read(octets)
    except WireError as error:
        assert error.reason  # noqa: PT017 - either way out is right


def test_every_bit_flip_of_a_telegram_is_a_telegram_or_a_wire_error():
    receiver = WmbusReceiver(KEYS)
    whole = telegram()
    receiver.read(whole)
    for bit in range(8 * len(whole)):
        octets = bytearray(whole)
        octets[bit // 8] ^= 1 << bit % 8
        try:
            receiver.read(bytes(octets))
        except WireError:
            continue


@pytest.mark.skipif(not CORPUS.exists(), reason="the corpora are not beside the repository")
def test_captured_telegrams_are_read_or_refused_with_a_reason():
    unread = 0
    rows = [json.loads(line) for line in CORPUS.read_text().splitlines()]
    for row in rows:
        for text in row["hex"] if isinstance(row["hex"], list) else [row["hex"]]:
            try:
                octets = bytes.fromhex(text)
                address = octets[4:8]
                key = bytes.fromhex(row["key"] or "")
                InsecureWmbusReceiver({address: key} if key else {}).read(octets)
            except (WireError, ValueError):
                unread += 1
    assert unread < len(rows) / 4


@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("required", [{}, {METER.id_octets: RadioProtection.INSECURE_PLAIN}])
def test_a_telegram_in_the_clear_is_refused_on_both_paths_where_a_key_is_known(times, required):
    receiver = WmbusReceiver(KEYS, required=required)
    for _ in range(times):
        with pytest.raises(SecurityError):
            receiver.read(telegram(mode=SecurityMode.NONE))
        receiver.read(telegram())
    with pytest.raises(SecurityError):
        WmbusReceiver({}).read(telegram(mode=SecurityMode.NONE))


def test_an_encrypted_telegram_is_refused_on_both_paths_where_it_must_be_authenticated():
    receiver = WmbusReceiver(KEYS, required={METER.octets: RadioProtection.AUTHENTICATED})
    for _ in range(2):
        with pytest.raises(SecurityError):
            receiver.read(telegram())
    assert receiver.read(telegram(mode=SecurityMode.AES_CBC_DYNAMIC)).records.records


def test_both_paths_leave_out_the_octets_in_the_clear_behind_the_encrypted_ones():
    receiver, lenient = WmbusReceiver(KEYS), InsecureWmbusReceiver(KEYS)
    octets = telegram() + b"\x0c\x13\x99\x99\x99\x99"
    octets = bytes((len(octets) - 1,)) + octets[1:]
    for _ in range(2):
        assert [record.value for record in receiver.read(octets).records.records] == [1000, 200]
        assert [record.value for record in lenient.read(octets).records.records] == [1000, 200, 99_999_999]


@pytest.mark.attack(1)
def test_nothing_is_learnt_from_a_telegram_that_is_refused():
    receiver = WmbusReceiver(KEYS)
    headers = format_of(read_records(DATA))
    signature = write_compact(read_records(DATA))[:2]
    forged = [
        telegram(mode=SecurityMode.NONE),
        write_frame(LINK, TransportHeader(0x69), bytes((len(headers) + 2,)) + signature + headers),
    ]
    before = receiver.formats.to_bytes()
    for octets in forged * 2:
        with pytest.raises(SecurityError):
            receiver.read(octets)
    assert receiver.formats.to_bytes() == before
    assert len(receiver._layouts) == 0


def test_a_link_layer_opened_with_one_meters_key_says_nothing_about_another_meter():
    other = DeviceAddress.of("MSP", "87654321", 0x01, 0x07)
    ell = ExtendedLink(0x8D, 0x20, 7, None, bytes.fromhex("04030220"))
    long = TransportHeader(0x72, HeaderKind.LONG, other, 0x2A)
    octets = build_telegram(LINK, long, DATA, Protection(SecurityMode.NONE, KEY), ell=ell)
    with pytest.raises(SecurityError):
        WmbusReceiver({METER.id_octets: KEY, other.id_octets: bytes(16)}).read(octets)


@pytest.mark.parametrize("form", list(FrameFormat))
@pytest.mark.parametrize("mode", [SecurityMode.NONE, SecurityMode.AES_CBC_IV, SecurityMode.AES_CBC_DYNAMIC])
def test_a_telegram_is_genuine_where_the_key_of_its_meter_opens_it(form, mode):
    octets = telegram(mode=mode, form=form)
    assert WmbusReceiver(KEYS).is_genuine(octets) is (mode is not SecurityMode.NONE)
    assert not WmbusReceiver({}).is_genuine(octets)
    assert not WmbusReceiver({METER.id_octets: bytes(16)}).is_genuine(octets)


def test_a_telegram_below_the_protection_of_its_meter_is_not_genuine():
    receiver = WmbusReceiver(KEYS, required={METER.id_octets: RadioProtection.AUTHENTICATED})
    assert not receiver.is_genuine(telegram())
    assert receiver.is_genuine(telegram(mode=SecurityMode.AES_CBC_DYNAMIC))


@given(st.binary(max_size=80))
def test_any_octets_are_genuine_or_not(octets):
    assert not WmbusReceiver(KEYS).is_genuine(octets)
    WmbusReceiver(KEYS).is_genuine(telegram()[:10] + octets)
