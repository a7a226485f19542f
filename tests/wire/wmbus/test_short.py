"""The short path reads what the layered reader reads, and leaves everything else to it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterspan.engine.mbus_security import Protection, build_telegram
from meterspan.wire.mbus.address import DeviceAddress
from meterspan.wire.mbus.transport import HeaderKind, TransportHeader
from meterspan.wire.wmbus import read_frame
from meterspan.wire.wmbus.frame import FrameFormat, LinkHeader
from meterspan.wire.wmbus.short import read_short, without_crcs

ADDRESS = DeviceAddress.of("TST", "12345678", 0x01, 0x07)


def frame(payload: bytes, access: int = 5, status: int = 0, form: FrameFormat = FrameFormat.STRIPPED) -> bytes:
    header = TransportHeader(0x7A, HeaderKind.SHORT, None, access, status, 0)
    return build_telegram(LinkHeader(0x44, ADDRESS), header, payload, Protection(), form=form)


@given(st.binary(min_size=1, max_size=100), st.integers(0, 255), st.integers(0, 255))
def test_the_short_path_gives_the_fields_of_the_layered_reader(payload: bytes, access: int, status: int) -> None:
    octets = frame(payload, access, status)
    layered = read_frame(octets, form=FrameFormat.STRIPPED)
    found = read_short(octets)
    assert found is not None
    address, id_octets, number, mode, size, rest, header, _ = found
    assert (address, id_octets) == (layered.address.octets, layered.address.id_octets)
    assert layered.transport is not None
    assert (number, mode, size) == (access, layered.transport.mode, 0)
    assert (rest, header) == (layered.payload, layered.transport)


@pytest.mark.parametrize("form", FrameFormat)
def test_crcs_are_removed_from_either_format(form: FrameFormat) -> None:
    assert without_crcs(frame(b"\x0c\x13\x01\x02\x03\x04" * 5, form=form)) == frame(b"\x0c\x13\x01\x02\x03\x04" * 5)


@given(st.binary(max_size=60))
def test_frames_without_a_short_header_are_left_to_the_layered_reader(octets: bytes) -> None:
    found = read_short(octets)
    assert (found is not None) == (len(octets) > 15 and octets[10] == 0x7A)
