"""What is stored and cannot be used: named and set aside, so that everything else answers."""

import logging
import threading
from dataclasses import dataclass

__all__ = ["Damage", "DamageList"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Damage:
    """One item that is damaged or impossible."""

    item: str
    """What it is: ``usage point MP1``, ``tariff of MP1 from 2026-01-01``, ``batch 17``."""
    reason: str
    """What is wrong, for a person."""


class DamageList:
    """Items set aside by the data management; each is logged when it is found first."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._items: dict[str, str] = {}

    def note(self, item: str, reason: object) -> None:
        """Set an item aside."""
        with self._guard:
            is_new = self._items.get(item) != str(reason)
            self._items[item] = str(reason)
        if is_new:
            log.warning("set aside as damaged", extra={"item": item, "reason": str(reason)})

    def clear(self, item: str) -> None:
        """Forget an item that can be used again."""
        if item in self._items:
            with self._guard:
                self._items.pop(item, None)

    def listed(self) -> list[Damage]:
        """List the items that are set aside now, by name."""
        with self._guard:
            return [Damage(item, reason) for item, reason in sorted(self._items.items())]
