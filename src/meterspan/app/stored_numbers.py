"""The data management's part of the operator's headline.

``StoredNumbers`` sums up when it is asked, for a home; ``GatheredNumbers`` beside the program, for a network.
"""

import asyncio
import threading
from collections.abc import Callable, Sequence
from typing import Final

from meterspan.mdm import MeterDataManagement
from meterspan.model.damage import Damage

__all__ = ["GatheredNumbers", "StoredNumbers"]

GATHER_EVERY_S: Final = 60.0
REST_S: Final = 0.002
"""Rest after each usage point: the loop and the pages go first."""


class StoredNumbers:
    """Readings stored, energy unexplained and items damaged; sums are made again only after a change.

    Args:
        data: the data management.
        damage: lists damaged items; those of the data management where it is not given.

    """

    def __init__(self, data: MeterDataManagement, damage: Callable[[], Sequence[Damage]] | None = None) -> None:
        self._data = data
        self._damage = data.damage if damage is None else damage
        self._revision = -1
        self._readings = 0
        self._unexplained_wh: int | None = None

    def readings_stored(self) -> int:
        """How many readings are stored."""
        self._sum_up()
        return self._readings

    def unexplained_wh(self) -> int | None:
        """Energy that no interval explains, Wh; None while nothing is stored that could be compared."""
        self._sum_up()
        return self._unexplained_wh

    def damage(self) -> Sequence[Damage]:
        """List damaged or impossible items that are left out of all numbers."""
        return self._damage()

    def _sum_up(self) -> None:
        revision = self._data.revision
        if revision != self._revision:
            totals = self._data.totals()
            self._readings, self._revision = totals.readings, revision
            self._unexplained_wh = totals.unexplained_wh if totals.readings else None


class GatheredNumbers:
    """Readings stored, energy unexplained and items damaged of many meters: nobody waits for a sum.

    Args:
        data: the data management.
        damage: lists damaged items.

    """

    def __init__(self, data: MeterDataManagement, damage: Callable[[], Sequence[Damage]]) -> None:
        self._data = data
        self._damage = damage
        self._gathered_at = -1
        self._stopped = threading.Event()
        self._unexplained_wh: int | None = None

    def readings_stored(self) -> int:
        """How many readings are stored."""
        return self._data.readings_stored()

    def unexplained_wh(self) -> int | None:
        """Energy that no interval explains when it was summed up last, Wh; None while it is not known."""
        return self._unexplained_wh

    def damage(self) -> Sequence[Damage]:
        """List damaged or impossible items that are left out of all numbers."""
        return self._damage()

    async def run(self) -> None:
        """Sum up the unexplained energy from time to time, off the loop, until cancelled."""
        self._stopped.clear()
        try:
            while True:
                await asyncio.to_thread(self.gather)
                await asyncio.sleep(GATHER_EVERY_S)
        finally:
            self._stopped.set()

    def gather(self) -> None:
        """Sum up the unexplained energy where the data have changed since the last time."""
        revision = self._data.revision
        if revision == self._gathered_at or not self._data.readings_stored():
            return
        total = 0
        for part in self._data.unexplained_wh():
            total += part
            if self._stopped.wait(REST_S):
                return
        self._unexplained_wh, self._gathered_at = total, revision
