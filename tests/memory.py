"""The ports in memory, for unit tests: what ``runtime.state`` keeps on disk."""

from collections.abc import Sequence


class MemoryState:
    """Counters and named states of one entity; survives the entity, not the test."""

    def __init__(self) -> None:
        self.next: dict[str, int] = {}
        self.highest: dict[str, int] = {}
        self.kept: dict[str, bytes] = {}

    def reserve(self, name: str, count: int) -> int:
        first = self.next.get(name, 1)
        self.next[name] = first + count
        return first

    def accept(self, name: str, value: int) -> bool:
        if value <= self.highest.get(name, 0):
            return False
        self.highest[name] = value
        return True

    def accepted(self, name: str) -> int:
        return self.highest.get(name, 0)

    def load(self, name: str) -> bytes | None:
        return self.kept.get(name)

    def save(self, name: str, octets: bytes) -> None:
        self.kept[name] = octets


class MemoryOutbox:
    """An outbox that survives its entity, not the test."""

    def __init__(self) -> None:
        self.items: list[tuple[int, bytes]] = []
        self.count = 0

    def append(self, octets: bytes) -> int:
        self.count += 1
        self.items.append((self.count, octets))
        return self.count

    def peek(self, count: int) -> Sequence[tuple[int, bytes]]:
        return self.items[:count]

    def discard(self, through: int) -> None:
        self.items = [item for item in self.items if item[0] > through]
