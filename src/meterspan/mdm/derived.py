"""The one cache of derived values: curves, counted days, unexplained differences, momentary values.

A value is kept under its usage point, the revision of its chain of installations, and what it is. It is never removed
because data changed: its ``stamp`` is its generation, and the reader compares. Where there is no room,
the value that was asked for longest ago goes.
"""

import threading
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

__all__ = ["Derived", "Kept"]

MAX_OCTETS = 256 << 20
"""Octets of all kept values: the curves of 3,000 months of quarter hours, or a million counted days."""
OVERHEAD = 256
"""Octets of a key with its entry, about."""


@dataclass(frozen=True, slots=True)
class Kept:
    """One derived value.

    Attributes:
        stamp: generation before it was derived.
        basis: which registers billed when it was derived.
        low: UTC seconds of the first instant whose readings may change it.
        high: the last such instant.
        value: the derived value; never changed after.
        octets: its size, about.

    """

    stamp: int
    basis: Hashable
    low: int
    high: int
    value: Any
    octets: int = 0


class Derived:
    """A bounded map from keys to kept values, for many threads."""

    def __init__(self, max_octets: int = MAX_OCTETS) -> None:
        self._guard = threading.Lock()
        self._kept: OrderedDict[Hashable, Kept] = OrderedDict()
        self._octets = 0
        self._max_octets = max_octets

    def __len__(self) -> int:
        """Count the kept values."""
        return len(self._kept)

    def get(self, key: Hashable) -> Kept | None:
        """Return the value kept under a key, or None; the caller compares its stamp."""
        with self._guard:
            found = self._kept.get(key)
            if found is not None:
                self._kept.move_to_end(key)
            return found

    def put(self, key: Hashable, kept: Kept) -> None:
        """Keep a value; one of a later stamp stays."""
        with self._guard:
            before = self._kept.get(key)
            if before is not None:
                if before.stamp > kept.stamp:
                    return
                self._octets -= before.octets + OVERHEAD
            self._kept[key] = kept
            self._kept.move_to_end(key)
            self._octets += kept.octets + OVERHEAD
            while self._octets > self._max_octets and len(self._kept) > 1:
                _key, oldest = self._kept.popitem(last=False)
                self._octets -= oldest.octets + OVERHEAD
