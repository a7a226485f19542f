"""What settlement and operator numbers rest on: one of each for a data folder, handed over as one record."""

from dataclasses import dataclass

from meterspan.mdm.curve_book import CurveBook
from meterspan.mdm.damage import DamageList
from meterspan.mdm.generations import Generations
from meterspan.mdm.registrations import Registrations
from meterspan.mdm.series_table import SeriesTable
from meterspan.model.storage.ports import ReadingJournal, RegistryStore

__all__ = ["Foundation"]


@dataclass(frozen=True, slots=True)
class Foundation:
    """The stores of a data folder, and what is kept over them.

    Attributes:
        journal: the stored readings, and the days to settle.
        registry: the stored registrations and versions.
        registrations: who is metered by what.
        series: all series, and their devices.
        curves: the intervals derived from readings.
        generations: which readings changed when.
        damage: where a supply that cannot be answered for is named.

    """

    journal: ReadingJournal
    registry: RegistryStore
    registrations: Registrations
    series: SeriesTable
    curves: CurveBook
    generations: Generations
    damage: DamageList
