"""State that survives simulated power loss: the ports of ``model.ports`` over plain memory.

An entity is deleted and built again when its power fails and returns; its ``VirtualState`` stays with the world,
as the flash chip stays in the cabinet.
"""

from collections import deque
from collections.abc import Sequence
from itertools import islice

__all__ = ["VirtualOutbox", "VirtualState"]


class VirtualState:
    """Counters and named states of one entity, and the maker of its outboxes."""

    __slots__ = ("_accepted", "_kept", "_next", "_outboxes")

    def __init__(self) -> None:
        self._next: dict[str, int] = {}
        self._accepted: dict[str, int] = {}
        self._kept: dict[str, bytes] = {}
        self._outboxes: dict[str, VirtualOutbox] = {}

    def reserve(self, name: str, count: int) -> int:
        """Reserve the next ``count`` values of a counter and give the first; the first ever is 1.

        Raises:
            ValueError: ``count`` is not positive.

        """
        if count < 1:
            raise ValueError(f"cannot reserve {count} counter values")
        first = self._next.get(name, 1)
        self._next[name] = first + count
        return first

    def accept(self, name: str, value: int) -> bool:
        """Accept a received counter that is above all accepted before; False is a replay."""
        if value <= self._accepted.get(name, 0):
            return False
        self._accepted[name] = value
        return True

    def accepted(self, name: str) -> int:
        """Return the highest value accepted so far, 0 where there is none."""
        return self._accepted.get(name, 0)

    def load(self, name: str) -> bytes | None:
        """Return what was saved last under this name, or None."""
        return self._kept.get(name)

    def save(self, name: str, octets: bytes) -> None:
        """Replace what is kept under this name."""
        self._kept[name] = octets

    def outbox(self, name: str) -> "VirtualOutbox":
        """Return the named outbox, the same one every time."""
        return self._outboxes.setdefault(name, VirtualOutbox())


class VirtualOutbox:
    """A first-in-first-out queue (``OutboxStore``)."""

    __slots__ = ("_items", "_number")

    def __init__(self) -> None:
        self._items: deque[tuple[int, bytes]] = deque()
        self._number = 0

    def __len__(self) -> int:
        """Count the items that wait."""
        return len(self._items)

    def append(self, octets: bytes) -> int:
        """Append an item and give its number, from 1."""
        self._number += 1
        self._items.append((self._number, octets))
        return self._number

    def peek(self, count: int) -> Sequence[tuple[int, bytes]]:
        """Return up to ``count`` oldest items with their numbers."""
        return list(islice(self._items, count))

    def discard(self, through: int) -> None:
        """Remove all items up to and including number ``through``."""
        while self._items and self._items[0][0] <= through:
            self._items.popleft()
