"""Invocation counters for many contexts of one system title: durable in blocks, handed out one by one, in order.

Sessions and pushes of one device use contexts of their own; with blocks of their own, a message of one context could
carry a lower counter than the other's before it, and be refused as a replay. Here all of them draw from one block.
"""

from typing import Final

from meterspan.model.ports import CounterStore

__all__ = ["CounterBlocks"]

BLOCK: Final = 256
"""Counters reserved at once: one durable write for some sessions' messages; a crash skips the rest (decision 5)."""


class CounterBlocks:
    """A ``CounterStore`` over another that writes once per block.

    Args:
        store: durable.

    """

    def __init__(self, store: CounterStore) -> None:
        self._store = store
        self._blocks: dict[str, tuple[int, int]] = {}

    def reserve(self, name: str, count: int) -> int:
        """Return the next ``count`` values, reserved durably before, as ascending run."""
        first, end = self._blocks.get(name, (0, 0))
        if end - first < count:
            size = max(count, BLOCK)
            first = self._store.reserve(name, size)
            end = first + size
        self._blocks[name] = (first + count, end)
        return first

    def accept(self, name: str, value: int) -> bool:
        """Accept a received counter durably, or refuse it."""
        return self._store.accept(name, value)

    def accepted(self, name: str) -> int:
        """Return the highest value accepted."""
        return self._store.accepted(name)
