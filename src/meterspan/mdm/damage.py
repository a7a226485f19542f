"""Damaged items of the store: named and quarantined, so that everything else stays available."""

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
    """Items quarantined by the data management; each is logged when it is found first."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._items: dict[str, dict[str, str]] = {}

    def note(self, item: str, reason: object, *, question: str = "") -> None:
        """Set an item aside, because ``question`` cannot be answered of it."""
        with self._guard:
            reasons = self._items.setdefault(item, {})
            is_new = str(reason) not in reasons.values()
            reasons[question] = str(reason)
        if is_new:
            log.warning("set aside as damaged", extra={"item": item, "reason": str(reason)})

    def clear(self, item: str, *, question: str = "") -> None:
        """Note that ``question`` is answered of an item again; it is listed while another one is not."""
        if item not in self._items:
            return
        with self._guard:
            self._items.get(item, {}).pop(question, None)
            if not self._items.get(item):
                self._items.pop(item, None)

    def listed(self) -> list[Damage]:
        """List the items that are quarantined now, by name."""
        with self._guard:
            return [Damage(item, next(iter(reasons.values()))) for item, reasons in sorted(self._items.items())]
