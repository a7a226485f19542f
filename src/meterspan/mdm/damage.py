"""Damaged items of the store: named and quarantined, so that everything else stays available."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from meterspan.model.storage.errors import DamagedError

__all__ = ["IMPOSSIBLE", "Damage", "DamageList"]

log = logging.getLogger(__name__)

IMPOSSIBLE = (ValueError, ArithmeticError, LookupError, TypeError, DamagedError)
"""What the data of one supply can raise: the supply is named and set aside, and the others are answered."""


@dataclass(frozen=True, slots=True)
class Damage:
    """One item that is damaged or impossible."""

    item: str
    """The item: ``usage point MP1``, ``tariff of MP1 from 2026-01-01``, ``batch 17``."""
    reason: str
    """The damage, for a person."""


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

    @contextmanager
    def aside(self, item: str, *, question: str = "") -> Iterator[None]:
        """Run a block that answers a question of one item; what is impossible ends the block and is named."""
        try:
            yield
        except IMPOSSIBLE as error:
            self.note(item, error, question=question)
        else:
            self.clear(item, question=question)

    def listed(self) -> list[Damage]:
        """List the items that are quarantined now, by name."""
        with self._guard:
            return [Damage(item, next(iter(reasons.values()))) for item, reasons in sorted(self._items.items())]
