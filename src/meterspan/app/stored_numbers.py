"""The data management's part of the operator's headline."""

from meterspan.mdm import MeterDataManagement

__all__ = ["StoredNumbers"]


class StoredNumbers:
    """Readings stored and energy unexplained, summed again only after a change."""

    def __init__(self, data: MeterDataManagement) -> None:
        self._data = data
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

    def _sum_up(self) -> None:
        revision = self._data.revision
        if revision != self._revision:
            totals = self._data.totals()
            self._readings, self._unexplained_wh, self._revision = totals.readings, totals.unexplained_wh, revision
