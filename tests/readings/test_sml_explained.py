"""SML in words: every octet of every message, with the quantity and unit of each value."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterspan.readings.sml_explained import explain_file, explain_frame
from meterspan.wire import Trace
from meterspan.wire.sml import (
    Integer,
    SmlCloseResponse,
    SmlEntry,
    SmlGetListResponse,
    SmlMessage,
    SmlOpenResponse,
    SmlTag,
    SmlTime,
    SmlTimeKind,
    SmlUnknown,
    find_frames,
    write_file,
    write_frame,
)
from tests.readings.test_explained import covers

ENERGY = bytes.fromhex("0100010800FF")


def file(*entries, time=None):
    body = SmlGetListResponse(b"\x0aABC", entries, sensor_time=time)
    return write_file(
        [
            SmlMessage(b"1", SmlTag.OPEN_RESPONSE, SmlOpenResponse(b"f", b"\x0aABC", version=1)),
            SmlMessage(b"2", SmlTag.GET_LIST_RESPONSE, body),
            SmlMessage(b"3", SmlTag.CLOSE_RESPONSE, SmlCloseResponse()),
        ]
    )


def explained(octets):
    trace = Trace()
    explain_file(octets, 0, trace)
    return trace.spans


@pytest.mark.attack(11)
@pytest.mark.finding("users B2")
def test_a_list_is_explained_with_codes_units_times_and_values():
    octets = file(
        SmlEntry(ENERGY, Integer(172_433, 4, signed=False), 30, -1), time=SmlTime(SmlTimeKind.TIMESTAMP, 1_700_000_000)
    )
    spans = explained(octets)
    assert b"".join(span.octets for span in spans) == octets
    said = [(span.field, span.meaning) for span in spans]
    for expected in (
        ("kind of message", "00000101 open response"),
        ("list response", "list of 7"),
        ("OBIS code", "1-0:1.8.0 active energy import"),
        ("unit", "30: Wh"),
        ("scaler", "-1: times 10^-1"),
        ("value", "active energy import 17243.3 Wh"),
        ("what it counts", "timestamp"),
        ("time stamp", "1700000000: 2023-11-14 22:13:20"),
        ("list signature", "not given"),
        ("end of message", ""),
    ):
        assert expected in said


@pytest.mark.attack(11)
@given(
    st.lists(
        st.builds(
            SmlEntry,
            st.binary(min_size=6, max_size=6),
            st.one_of(
                st.binary(max_size=20),
                st.booleans(),
                st.builds(Integer, st.integers(0, 99), st.just(2), signed=st.booleans()),
            ),
            st.none() | st.integers(0, 255),
            st.integers(-9, 9),
        ),
        max_size=5,
    )
)
def test_every_octet_of_any_file_is_explained_once_and_in_order(entries):
    octets = file(*entries)
    spans = explained(octets)
    assert covers(spans, octets)
    assert b"".join(span.octets for span in spans) == octets


def test_a_body_that_is_not_known_and_a_list_of_another_length_are_walked_by_place():
    octets = write_file([SmlMessage(b"1", 0x0700, SmlUnknown((Integer(1, 1, signed=False), (b"x", None))))])
    assert b"".join(span.octets for span in explained(octets)) == octets


@given(st.binary(max_size=60), st.integers(0, 200))
def test_damage_ends_the_explanation_and_leaves_no_octet_out(noise, cut):
    octets = file()[:cut] + noise
    assert b"".join(span.octets for span in explained(octets)) == octets


def test_a_frame_is_explained_with_its_escapes_fill_and_check():
    stream = b"\x00\x01" + write_frame(file())
    ((offset, frame),) = find_frames(stream)
    trace = Trace()
    explain_frame(stream, offset, frame.size, frame.file, trace)
    assert covers(trace.spans, stream)
    assert b"".join(span.octets for span in trace.spans) == stream[2:]


def test_a_file_with_an_escape_of_its_own_is_explained_as_it_stands():
    stream = write_frame(file(SmlEntry(ENERGY, b"\x1b\x1b\x1b\x1b")))
    ((offset, frame),) = find_frames(stream)
    trace = Trace()
    explain_frame(stream, offset, frame.size, frame.file, trace)
    assert b"".join(span.octets for span in trace.spans) == stream
