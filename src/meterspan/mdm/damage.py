"""Damaged items of the store: named and quarantined, so that everything else stays available."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from meterspan.model.damage import Damage
from meterspan.model.storage.errors import DamagedError
from meterspan.model.storage.readings import DamageKind
from meterspan.store.edge import wall_time

__all__ = ["IMPOSSIBLE", "Damage", "DamageList"]

log = logging.getLogger(__name__)

IMPOSSIBLE = (ValueError, ArithmeticError, LookupError, TypeError, DamagedError)
"""What the data of one supply can raise: the supply is named and set aside, and the others are answered."""


@dataclass(slots=True)
class _Item:
    """What is known of one item: a reason for each question that fails on it."""

    kind: DamageKind
    found_at: int
    reasons: dict[str, str] = field(default_factory=dict)


class DamageList:
    """Items quarantined by the data management; each is logged when it is found first.

    Args:
        clock: UTC seconds, for when an item was found.

    """

    def __init__(self, clock: Callable[[], float] = wall_time) -> None:
        self._clock = clock
        self._guard = threading.Lock()
        self._items: dict[str, _Item] = {}

    def note(self, item: str, reason: object, *, question: str = "", kind: DamageKind = DamageKind.SUPPLY) -> None:
        """Set an item aside, because ``question`` cannot be answered of it.

        Args:
            item: its name: ``usage point MP1``, ``tariff of MP1 from 2026-01-01``.
            reason: the damage, for a person.
            question: what failed on it.
            kind: what sort of thing it is.

        """
        with self._guard:
            known = self._items.setdefault(item, _Item(kind, int(self._clock())))
            is_new = str(reason) not in known.reasons.values()
            known.reasons[question] = str(reason)
        if is_new:
            log.warning("set aside as damaged", extra={"item": item, "reason": str(reason)})

    def clear(self, item: str, *, question: str = "") -> None:
        """Note that ``question`` is answered of an item again; it is listed while another one is not."""
        if item not in self._items:
            return
        with self._guard:
            known = self._items.get(item)
            if known is None:
                return
            known.reasons.pop(question, None)
            if not known.reasons:
                del self._items[item]

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
            return [
                Damage(name, next(iter(item.reasons.values())), item.kind, item.found_at)
                for name, item in sorted(self._items.items())
            ]
