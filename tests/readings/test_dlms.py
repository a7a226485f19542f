"""Pushes: through every transport, protected or not, damaged or whole."""

from decimal import Decimal

import pytest

from meterspan.model.telegram import DecodedReading
from meterspan.quantities import ClockTime, Obis
from meterspan.readings import Decoder
from meterspan.wire import Trace
from meterspan.wire.axdr import (
    double_long_unsigned,
    octet_string,
    structure,
)
from meterspan.wire.mbus.link import LinkFrame, write_link_frame
from meterspan.wire.xdlms import (
    DataNotification,
    GeneralBlockTransfer,
    LongInvokeIdAndPriority,
    write_apdu,
)
from tests.readings.frames import (
    AUTH_KEY,
    EXPECTED,
    KEY,
    LLC,
    SELF_DESCRIBING,
    TITLE,
    hdlc,
    named,
    notification,
    sealed,
    values,
)


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


def test_an_hdlc_frame_is_read_without_its_flags_and_behind_noise() -> None:
    frame = hdlc(LLC + notification(SELF_DESCRIBING))
    assert values(Decoder().decode(frame[1:-1])) == EXPECTED
    assert values(Decoder().decode(b"\xff\x03" + frame)) == EXPECTED


@pytest.mark.parametrize("size", range(170, 240, 7))
def test_protected_pushes_of_any_size_are_not_taken_for_wireless_telegrams(size: int) -> None:
    body = structure(octet_string(bytes(size)), named("1.0.1.7.0.255", double_long_unsigned(7), 0, 27))
    telegram = Decoder().decode(sealed(notification(body)), key=KEY)
    assert values(telegram) == [("1-0:1.7.0", Decimal(7), "W")]


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


@pytest.mark.parametrize("size", [2, 3, 20])
def test_a_frame_that_is_cut_off_has_one_reason(size: int) -> None:
    telegram = Decoder().decode(hdlc(LLC + notification(SELF_DESCRIBING))[:size])
    assert [str(error) for error in telegram.errors] == [f"the frame is cut off, at octet {size}"]
