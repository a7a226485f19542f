"""General block transfer (IEC 62056-5-3, 6.13 and annex A): any APDU cut into numbered, acknowledged blocks."""

from dataclasses import dataclass

from meterspan.wire.axdr import read_octets, write_octets
from meterspan.wire.cursor import Cursor
from meterspan.wire.xdlms.codes import ApduTag

__all__ = ["GeneralBlockTransfer"]

LAST_BLOCK = 0x80
STREAMING = 0x40
WINDOW = 0x3F


@dataclass(frozen=True, slots=True)
class GeneralBlockTransfer:
    """One block.

    Attributes:
        block_number: number of this block, from 1.
        block_number_ack: last block received in order from the other side.
        block_data: a piece of the APDU.
        last_block: the APDU ends with this block.
        streaming: more blocks follow without an acknowledgement between.
        window: how many blocks the sender can take in a row, 0..63.

    """

    block_number: int
    block_number_ack: int
    block_data: bytes
    last_block: bool = False
    streaming: bool = False
    window: int = 1


def read_block_transfer(cursor: Cursor) -> GeneralBlockTransfer:
    """Read what follows the tag of a general-block-transfer."""
    control = cursor.u8("block-control")
    last_block, streaming, window = bool(control & LAST_BLOCK), bool(control & STREAMING), control & WINDOW
    if cursor.trace is not None:
        cursor.explain(f"{'last block, ' * last_block}{'streaming, ' * streaming}window {window}")
    number = cursor.big(2, "block-number")
    acknowledged = cursor.big(2, "block-number-ack")
    return GeneralBlockTransfer(number, acknowledged, read_octets(cursor, "block-data"), last_block, streaming, window)


def write_block_transfer(block: GeneralBlockTransfer) -> bytes:
    """Write a general-block-transfer, tag first.

    Raises:
        ValueError: the window is above 63.

    """
    if not 0 <= block.window <= WINDOW:
        raise ValueError(f"a window of {block.window} blocks is outside 0..{WINDOW}")
    control = LAST_BLOCK * block.last_block | STREAMING * block.streaming | block.window
    numbers = block.block_number.to_bytes(2, "big") + block.block_number_ack.to_bytes(2, "big")
    return bytes((ApduTag.GENERAL_BLOCK_TRANSFER, control)) + numbers + write_octets(block.block_data)
