"""The data management's part of the operator's headline."""

from collections.abc import Callable, Sequence

from meterspan.mdm import MeterDataManagement
from meterspan.model.damage import Damage

__all__ = ["StoredNumbers"]


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
