import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterspan.wire import TruncatedError, WireError
from meterspan.wire.hdlc import HdlcAddress, read_address, write_address
from tests.strategies import hdlc_addresses


@pytest.mark.parametrize(
    ("octets", "address"),
    [
        ("21", HdlcAddress(16)),
        ("03", HdlcAddress(1)),
        ("0223", HdlcAddress(1, 17, 2)),
        ("00022003", HdlcAddress(1, 0x801, 4)),
        ("0002FEFF", HdlcAddress(1, 0x3FFF, 4)),
        ("020223", HdlcAddress(129, 17, 3)),
    ],
)
def test_each_form_reads_and_writes(octets, address):
    raw = bytes.fromhex(octets)
    assert read_address(raw) == address
    assert write_address(address) == raw


@given(hdlc_addresses())
def test_every_address_survives_a_round_trip(address):
    assert read_address(write_address(address)) == address


@given(st.binary(max_size=6))
def test_any_octets_give_an_address_or_a_wire_error(octets):
    try:
        address = read_address(octets)
    except WireError:
        return
    assert octets.startswith(write_address(address))


def test_an_address_that_does_not_end_is_said_so():
    with pytest.raises(WireError, match="does not end after 4 octets") as caught:
        read_address(bytes(8), "source address")
    assert caught.value.field == "source address"
    with pytest.raises(TruncatedError):
        read_address(bytes(3))


@pytest.mark.parametrize(
    ("logical", "physical", "size"), [(1, None, 1), (1, 17, 2), (1, 200, 4), (300, 1, 4), (0x3FFF, 0x3FFF, 4)]
)
def test_a_server_address_takes_its_shortest_form(logical, physical, size):
    assert HdlcAddress.server(logical, physical) == HdlcAddress(logical, physical, size)


@pytest.mark.parametrize("arguments", [(128,), (1, 2, 1), (1, None, 2), (1, 128, 2), (1 << 14, 0, 4), (1, 1, 5), (-1,)])
def test_an_address_that_cannot_be_written_cannot_be_made(arguments):
    with pytest.raises(ValueError, match=r"address|form"):
        HdlcAddress(*arguments)


def test_all_stations_is_known_in_every_form():
    assert HdlcAddress(0x7F).is_all_stations
    assert HdlcAddress(1, 0x7F, 2).is_all_stations
    assert HdlcAddress(1, 0x3FFF, 4).is_all_stations
    assert not HdlcAddress(1, 0x7F, 4).is_all_stations
    assert str(HdlcAddress(1, 17, 2)) == "1/17"
    assert str(HdlcAddress(16)) == "16"
