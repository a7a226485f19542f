import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterspan.wire import UnsupportedError
from meterspan.wire.damaged import Damaged
from meterspan.wire.wrapper import WrapperPdu, WrapperReader, write_wpdu
from tests.strategies import wrapper_ports

FIRST = WrapperPdu(16, 1, b"first")
SECOND = WrapperPdu(16, 1, b"")


def feed_cut(reader, octets, cut):
    return [item for at in range(0, len(octets), cut) for item in reader.feed(octets[at : at + cut])]


@given(
    st.lists(st.builds(WrapperPdu, wrapper_ports, wrapper_ports, st.binary(max_size=30)), max_size=6),
    st.integers(1, 60),
)
def test_pdus_come_out_however_they_are_cut(wpdus, cut):
    reader = WrapperReader()
    assert feed_cut(reader, b"".join(map(write_wpdu, wpdus)), cut) == wpdus
    assert reader.pending == 0


def test_trailing_octets_wait_for_the_rest():
    reader = WrapperReader()
    octets = write_wpdu(FIRST) + write_wpdu(SECOND)
    assert reader.feed(octets[:-1]) == [FIRST]
    assert reader.pending == 7
    assert reader.feed(octets[-1:]) == [SECOND]


@pytest.mark.parametrize("cut", [1, 2, 100])
def test_a_wrong_version_breaks_the_stream_once_and_for_all(cut):
    reader = WrapperReader()
    *good, damaged = feed_cut(reader, write_wpdu(FIRST) + b"\x7e\xa0" + write_wpdu(SECOND), cut)
    assert good == [FIRST]
    assert isinstance(damaged, Damaged)
    assert isinstance(damaged.error, UnsupportedError)
    assert reader.is_broken
    assert reader.feed(write_wpdu(FIRST)) == []
    assert reader.octets_lost >= len(write_wpdu(FIRST))


def test_a_length_above_the_bound_breaks_the_stream_before_its_octets_come():
    reader = WrapperReader(apdu_size_max=100)
    (damaged,) = reader.feed(bytes.fromhex("0001001000010065"))
    assert (damaged.error.field, damaged.error.offset) == ("length", 6)
    assert reader.pending == 0


@given(st.binary(max_size=200), st.integers(1, 50))
def test_any_octets_end_in_pdus_or_one_damage_and_bounded_memory(octets, cut):
    reader = WrapperReader(apdu_size_max=64)
    items = feed_cut(reader, octets, cut)
    assert all(isinstance(item, WrapperPdu) for item in items[:-1])
    assert reader.pending < 8 + 64
