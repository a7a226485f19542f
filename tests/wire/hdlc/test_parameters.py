import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterspan.wire import Cursor, Trace, WireError
from meterspan.wire.hdlc import HdlcParameters, read_parameters, write_parameters
from tests.strategies import hdlc_parameters

DEFAULTS_IN_FULL = bytes.fromhex("818012 050180 060180 070400000001 080400000001")


def test_defaults_read_and_write_in_the_one_octet_form():
    assert read_parameters(DEFAULTS_IN_FULL) == HdlcParameters()
    assert write_parameters(HdlcParameters()) == DEFAULTS_IN_FULL


def test_the_two_octet_form_means_the_same():
    assert read_parameters(bytes.fromhex("818014 05020080 06020080 070400000001 080400000001")) == HdlcParameters()


def test_an_empty_field_and_absent_parameters_are_the_defaults():
    assert read_parameters(b"") == HdlcParameters()
    assert read_parameters(bytes.fromhex("818000")) == HdlcParameters()
    assert read_parameters(bytes.fromhex("818003 080107")) == HdlcParameters(window_receive=7)


def test_lengths_above_255_take_two_octets():
    octets = write_parameters(HdlcParameters(1024, 2030, 3, 7))
    assert octets == bytes.fromhex("818014 05020400 060207EE 070400000003 080400000007")
    assert read_parameters(octets) == HdlcParameters(1024, 2030, 3, 7)


@given(hdlc_parameters())
def test_all_parameters_survive_a_round_trip_unknown_ones_included(parameters):
    assert read_parameters(write_parameters(parameters)) == parameters


@pytest.mark.parametrize(
    ("octets", "field"),
    [
        ("80", "format identifier"),
        ("8181", "group identifier"),
        ("818003 050100", "maximum information field length, transmit"),
        ("818003 070108", "window size, transmit"),
        ("818003 080100", "window size, receive"),
        ("818007 05050000000080", "maximum information field length, transmit"),
        ("818002 0500", "maximum information field length, transmit"),
        ("818003 05018000", "parameter negotiation"),
        ("818004 050180", "parameter group"),
    ],
)
def test_a_damaged_field_names_what_is_wrong(octets, field):
    with pytest.raises(WireError) as caught:
        read_parameters(bytes.fromhex(octets))
    assert caught.value.field == field


@given(st.one_of(st.binary(max_size=30), st.binary(max_size=20).map(lambda tail: DEFAULTS_IN_FULL[:9] + tail)))
def test_any_octets_give_parameters_or_a_wire_error(octets):
    try:
        parameters = read_parameters(octets)
    except WireError:
        return
    assert read_parameters(write_parameters(parameters)) == parameters


def test_each_parameter_is_explained():
    trace = Trace()
    read_parameters(Cursor(DEFAULTS_IN_FULL, trace=trace))
    assert b"".join(span.octets for span in trace.spans) == DEFAULTS_IN_FULL
    assert "window size, receive" in {span.meaning for span in trace.spans}


@pytest.mark.parametrize("bad", [{"window_transmit": 0}, {"window_receive": 8}, {"information_receive_max": 0}])
def test_limits_out_of_range_cannot_be_made(bad):
    with pytest.raises(ValueError, match=r"window|information"):
        HdlcParameters(**bad)
