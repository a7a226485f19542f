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
        self._readings = self._unexplained_wh = 0

    def readings_stored(self) -> int:
        """How many readings are stored."""
        self._sum_up()
        return self._readings

    def unexplained_wh(self) -> int:
        """Energy that no interval explains, Wh."""
        self._sum_up()
        return self._unexplained_wh

    def damage(self) -> Sequence[Damage]:
        """List damaged or impossible items that are left out of all numbers."""
        return self._damage()

    def _sum_up(self) -> None:
        revision = self._data.revision
        if revision != self._revision:
            totals = self._data.totals()
            self._readings, self._unexplained_wh, self._revision = totals.readings, totals.unexplained_wh, revision
