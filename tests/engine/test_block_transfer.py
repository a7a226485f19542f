import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterspan.engine.block_transfer import BlockAssembly, BlockCutter
from meterspan.wire.errors import WireError
from meterspan.wire.xdlms import DataBlock


@given(st.binary(max_size=400), st.integers(1, 90))
def test_what_is_cut_is_assembled_again(octets, size):
    cutter, assembly = BlockCutter(octets), BlockAssembly(400)
    number = 0
    while not cutter.is_done:
        block = cutter.cut(size)
        number += 1
        assert block.block_number == number == cutter.number
        assert len(block.raw_data) <= size
        assert block.last_block == cutter.is_done
        assembly.take(block)
    assert assembly.octets == octets
    assert assembly.number == number


@pytest.mark.parametrize("number", [0, 1, 3, 0xFFFF_FFFF])
def test_a_block_out_of_order_is_refused(number):
    assembly = BlockAssembly(100)
    assembly.take(DataBlock(1, last_block=False, raw_data=b"a"))
    with pytest.raises(WireError, match="expected block 2, got"):
        assembly.take(DataBlock(number, last_block=False, raw_data=b"b"))
    assert assembly.octets == b"a"


def test_more_octets_than_the_limit_are_refused():
    assembly = BlockAssembly(3)
    assembly.take(DataBlock(1, last_block=False, raw_data=b"abc"))
    with pytest.raises(WireError, match="more than 3"):
        assembly.take(DataBlock(2, last_block=True, raw_data=b"d"))


def test_endless_empty_blocks_are_refused():
    with pytest.raises(WireError, match="without octets"):
        BlockAssembly(3).take(DataBlock(1, last_block=False, raw_data=b""))
    last = BlockAssembly(3)
    last.take(DataBlock(1, last_block=True, raw_data=b""))
    assert last.octets == b""


@pytest.mark.parametrize("size", [0, -1, -40])
def test_a_block_without_room_is_our_own_error_and_never_an_endless_row_of_empty_blocks(size):
    with pytest.raises(ValueError, match="carries nothing"):
        BlockCutter(b"value").cut(size)
