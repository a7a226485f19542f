"""What ``meterspan import`` and ``export`` do with a data folder: open it, take a table in, write one out."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from meterspan.mdm import (
    Damage,
    MeterDataManagement,
    TableFormat,
    export_intervals,
    export_readings,
    open_stores,
    write_table,
)
from meterspan.model.lookup_errors import UnknownHomeError
from meterspan.model.views import Home, PeriodPoint, PeriodView
from meterspan.quantities import Commodity

__all__ = [
    "BEGINNING",
    "END",
    "Extract",
    "NoReadingsError",
    "Resolution",
    "What",
    "export",
    "export_from",
    "opened",
]

BEGINNING: Final = datetime(1980, 1, 1, tzinfo=UTC)
END: Final = datetime(2200, 1, 1, tzinfo=UTC)
"""The span of an export that names no days."""
PARQUET_ROWS: Final = 10_000
"""Rows of a Parquet file held in memory at once."""
PARQUET_PART_OCTETS_MAX: Final = 1 << 28
"""Octets of a row group, uncompressed: a million rows as writers make them by default have a third of it."""
TOTAL_COLUMNS: Final = (
    *("home", "commodity", "start", "opening", "closing", "total", "unexplained", "unit", "cost", "currency"),
    *("expected", "received"),
)


class What(StrEnum):
    """The content of an export."""

    READINGS = "readings"
    INTERVALS = "intervals"
    TOTALS = "totals"


class Resolution(StrEnum):
    """How long one total is."""

    DAY = "day"
    MONTH = "month"


class NoReadingsError(ValueError):
    """The folder is not a data folder of meterspan."""

    def __init__(self, folder: Path) -> None:
        super().__init__(f"{folder} holds no readings of meterspan; name the folder of home or serve with --data")
        self.folder = folder


@contextmanager
def opened(folder: Path, *, must_exist: bool = False, registry: str = "") -> Iterator[MeterDataManagement]:
    """Open the data management of a folder while the context lasts.

    Raises:
        NoReadingsError: the folder must exist, and holds no readings.
        StorageError: another program has it open, or it cannot be read.

    """
    if must_exist and not (folder / "data" / "readings").is_dir():
        raise NoReadingsError(folder)
    with MeterDataManagement(folder / "data", stores=partial(open_stores, registry=registry)) as data:
        yield data


# --- export ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Extract:
    """What of a data folder is exported.

    Attributes:
        what: readings, intervals or totals.
        start: first instant.
        end: first instant after it.
        home_id: only this home; None for all.
        resolution: how long one total is.

    """

    what: What
    start: datetime = BEGINNING
    end: datetime = END
    home_id: str | None = None
    resolution: Resolution = Resolution.DAY


def export_from(
    folder: Path, target: Path, extract: Extract, form: TableFormat, *, registry: str = ""
) -> tuple[int, Sequence[Damage]]:
    """Write a table of a data folder; return the number of its rows, and the damage that was left out; see ``export``.

    Args:
        folder: of the data.
        target: the file to write.
        extract: rows, homes and span.
        form: CSV, Parquet or JSON.
        registry: URL of the registry's database; "" for the file of the folder.

    Raises:
        NoReadingsError: the folder holds no readings.
        UnknownHomeError: no home has the id of the extract.
        StorageError: another program has the folder open, or it cannot be read.

    """
    with opened(folder, must_exist=True, registry=registry) as data:
        if extract.home_id is not None and extract.home_id not in {known.home_id for known in data.homes()}:
            raise UnknownHomeError(extract.home_id)
        return export(data, target, extract, form), data.damage()


def export(data: MeterDataManagement, target: Path, extract: Extract, form: TableFormat) -> int:
    """Write a table and return the number of its rows; a reader never sees half a file.

    A usage point that is damaged or impossible is left out and named by ``data.damage()``.

    Args:
        data: the readings and derived values.
        target: the file to write.
        extract: rows, homes and span.
        form: CSV, Parquet or JSON.

    """
    start, end, home_id = extract.start, extract.end, extract.home_id
    if extract.what is What.READINGS:
        return export_readings(data, target, start, end, form=form, home_id=home_id)
    if extract.what is What.INTERVALS:
        return export_intervals(data, target, start, end, form=form, home_id=home_id)
    return write_table(target, TOTAL_COLUMNS, _totals(data, extract), form)


def _totals(data: MeterDataManagement, extract: Extract) -> Iterator[dict[str, Any]]:
    """Yield a row for each home, supply, and day or month in which something is known."""
    for home in data.homes():
        if extract.home_id in {None, home.home_id}:
            for point in home.usage_points:
                rows: list[dict[str, Any]] = []
                with data.aside(point.usage_point, "export of totals"):
                    for month in _months(data, home, point.usage_point, extract):
                        rows.extend(_totals_of_month(data, home, point.commodity, month, extract))
                yield from rows


def _totals_of_month(
    data: MeterDataManagement, home: Home, commodity: Commodity, month: date, extract: Extract
) -> Iterator[dict[str, Any]]:
    view = data.month(home.home_id, commodity, month)
    same = {"home": home.home_id, "commodity": str(commodity), "unit": view.unit, "currency": view.currency}
    zone = ZoneInfo(home.zone)
    first, last = (moment.astimezone(zone).date() for moment in (extract.start, extract.end - timedelta(seconds=1)))
    due = [day for day in view.points if first <= day.start <= last]
    asked = [day for day in due if day.value is not None or view.unexplained]
    pairs = [(day, data.day(home.home_id, commodity, day.start)) for day in asked]
    known = [(day, shown) for day, shown in pairs if day.value is not None or shown.unexplained]
    days, views = [day for day, _shown in known], [shown for _day, shown in known]
    if extract.resolution is Resolution.DAY:
        for day, shown in zip(days, views, strict=True):
            yield same | _total(day.start, [day], [shown])
    elif days:
        yield same | _total(month, due, views)


def _total(start: date, days: Sequence[PeriodPoint], views: Sequence[PeriodView]) -> dict[str, Any]:
    """Sum days up so that opening + total + unexplained can be held against closing.

    ``expected`` counts days of which nothing is known too; the cost is empty where that of a day is not known.
    """
    known = [day for day in days if day.value is not None]
    values = [day.value for day in known if day.value is not None]
    costs = [day.cost for day in known if day.cost is not None]
    unexplained = [view.unexplained for view in views if view.unexplained is not None]
    return {
        "start": start.isoformat(),
        "opening": _exact(views[0].opening),
        "closing": _exact(views[-1].closing),
        "total": _exact(sum(values, Decimal(0))),
        "unexplained": _exact(sum(unexplained, Decimal(0)) if unexplained else None),
        "cost": _exact(sum(costs, Decimal(0)) if costs and len(costs) == len(known) else None),
        "expected": sum(day.expected for day in days),
        "received": sum(day.received for day in days),
    }


def _exact(amount: Decimal | None) -> str:
    return "" if amount is None else f"{amount:f}"


def _months(data: MeterDataManagement, home: Home, usage_point: str, extract: Extract) -> Iterator[date]:
    """Yield the first days of the months in which the usage point has readings."""
    devices = {row.device for row in data.installations(usage_point)}
    ids = [series.series_id for series in data.series() if series.device in devices]
    times = data.readings(ids, extract.start, extract.end).time
    if not len(times):
        return
    zone = ZoneInfo(home.zone)
    month = datetime.fromtimestamp(int(times.min()), zone).date().replace(day=1)
    newest = datetime.fromtimestamp(int(times.max()), zone).date()
    while month <= newest:
        yield month
        month = (month + timedelta(days=32)).replace(day=1)
