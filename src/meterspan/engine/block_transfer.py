"""Service-specific block transfer (IEC 62056-5-3, 6.6 to 6.8): one value cut into blocks, and blocks made one value.

Both directions are shared by both roles: a server cuts answers of GET, a client parameters of SET and ACTION. Blocks
count from 1, in order and without gaps; the sum of their octets is bounded.
"""

from meterspan.wire.errors import WireError
from meterspan.wire.xdlms import DataBlock

__all__ = ["BLOCK_OVERHEAD_OCTETS", "BlockAssembly", "BlockCutter"]

CLAUSE = "IEC 62056-5-3, 6.6"
BLOCK_OVERHEAD_OCTETS = 12
"""Beside the raw data of a block: tag, choice, invoke-id, last-block, number (4), result choice, length (3)."""


class BlockCutter:
    """Cuts a long value into blocks."""

    def __init__(self, octets: bytes) -> None:
        self._octets = octets
        self._sent = 0
        self._number = 0
        self._last: DataBlock | None = None

    @property
    def number(self) -> int:
        """Number of the last block cut; 0 before the first."""
        return self._number

    @property
    def last(self) -> DataBlock | None:
        """The block cut last, for a peer that has not received it; None before the first."""
        return self._last

    @property
    def is_done(self) -> bool:
        """Whether the last block was cut."""
        return self._number > 0 and self._sent >= len(self._octets)

    def cut(self, size: int) -> DataBlock:
        """Cut the next block of at most ``size`` octets.

        Raises:
            ValueError: ``size`` is below 1: such blocks would never end.

        """
        if size < 1:
            raise ValueError(f"a block of {size} octets carries nothing")
        raw = self._octets[self._sent : self._sent + size]
        self._sent += len(raw)
        self._number += 1
        self._last = DataBlock(self._number, self._sent >= len(self._octets), raw)
        return self._last


class BlockAssembly:
    """Assembles a value from its blocks.

    Args:
        limit: octets that all blocks together may have.

    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._parts: list[bytes] = []
        self._size = 0

    @property
    def number(self) -> int:
        """Number of the block taken last; 0 before the first."""
        return len(self._parts)

    @property
    def octets(self) -> bytes:
        """The octets of all blocks so far."""
        return b"".join(self._parts)

    def take(self, block: DataBlock) -> None:
        """Add the next block.

        Raises:
            WireError: it is out of order, empty without being the last, or more than the limit.

        """
        if block.block_number != self.number + 1:
            reason = f"expected block {self.number + 1}, got {block.block_number}"
            raise WireError(reason, None, "block-number", CLAUSE)
        if not block.raw_data and not block.last_block:
            raise WireError("a block without octets that is not the last", None, "raw-data", CLAUSE)
        if self._size + len(block.raw_data) > self._limit:
            raise WireError(f"more than {self._limit} octets in blocks", None, "raw-data", CLAUSE)
        self._parts.append(block.raw_data)
        self._size += len(block.raw_data)
