"""The series: one number per device, OBIS code, unit and scale, given once and never used again."""

import threading
from collections.abc import Sequence

from meterspan.mdm.channels import canonical, kind_of, step_fault
from meterspan.mdm.damage import DamageList
from meterspan.model.readings import CaptureColumn, SeriesKind
from meterspan.model.storage.ports import RegistryStore
from meterspan.model.storage.readings import DamageKind
from meterspan.model.storage.registry import SeriesRow
from meterspan.quantities import UNITS, Obis, Unit, parse_obis

__all__ = ["SeriesTable", "unit_of"]


class SeriesTable:
    """The series in memory, over a ``RegistryStore``; rows are added and never changed."""

    def __init__(self, store: RegistryStore, damage: DamageList) -> None:
        self._store = store
        self._damage = damage
        self._lock = threading.Lock()
        self._rows: dict[int, SeriesRow] = {}
        self._of_device: dict[str, tuple[SeriesRow, ...]] = {}
        self._numbers: dict[tuple[str, Obis, str, int], int] = {}
        self._instants: set[int] = set()
        for row in store.series():
            try:
                self._index(row)
            except ValueError as error:
                damage.note(f"series {row.series_id} of {row.device}", error, kind=DamageKind.ROW)

    def number(self, device: str, column: CaptureColumn) -> int | None:
        """Return the number of a column's series, or None where it is new."""
        return self._numbers.get((device, column.obis, column.unit.symbol, column.exponent))

    def add(self, device: str, column: CaptureColumn) -> int:
        """Return the number of a column's series; a new one is registered durably. The device must be registered."""
        unit, exponent = canonical(column.unit, column.exponent)
        with self._lock:
            number = self._numbers.get((device, column.obis, unit.symbol, exponent))
            if number is None:
                row = self._store.add_series(device, str(column.obis), unit.symbol, exponent)
                self._index(row)
                number = row.series_id
            self._numbers[device, column.obis, column.unit.symbol, column.exponent] = number
            return number

    def of_device(self, device: str) -> Sequence[SeriesRow]:
        """Return the series of a device, in order of their numbers."""
        return self._of_device.get(device, ())

    def row(self, number: int) -> SeriesRow | None:
        """Return a series by number, or None."""
        return self._rows.get(number)

    def is_instant(self, number: int) -> bool:
        """Whether the values of a series are momentary ones."""
        return number in self._instants

    def rows(self) -> list[SeriesRow]:
        """List all series by number."""
        with self._lock:
            return list(self._rows.values())

    def __len__(self) -> int:
        """Count the series."""
        return len(self._rows)

    def _index(self, row: SeriesRow) -> None:
        obis = parse_obis(row.obis)
        if kind_of(obis, unit_of(row.unit)) is SeriesKind.INSTANT:
            self._instants.add(row.series_id)
        self._rows[row.series_id] = row
        self._of_device[row.device] = (*self._of_device.get(row.device, ()), row)
        self._numbers[row.device, obis, row.unit, row.exponent] = row.series_id
        fault = step_fault(row.unit, row.exponent)
        if fault is not None:
            self._damage.note(f"register {row.obis} of {row.device}", fault, question=f"step of series {row.series_id}")


def unit_of(symbol: str) -> Unit:
    """Return the unit of a symbol; one that the table lacks measures itself."""
    return UNITS.get(symbol) or Unit(symbol, symbol)
