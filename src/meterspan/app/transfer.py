"""What ``meterspan export`` does with a data folder: open it, and write a table of what it holds."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from meterspan.analytics.tariff import Tariff, exact_decimal
from meterspan.app.data_folders import own_data_folder
from meterspan.mdm import (
    CellKind,
    Damage,
    MeterDataManagement,
    TableColumn,
    TableFormat,
    export_intervals,
    export_readings,
    open_stores,
    write_table,
)
from meterspan.model.lookup_errors import UnknownHomeError
from meterspan.model.views import Home, PeriodPoint, PeriodView
from meterspan.quantities import Commodity, utc
from meterspan.store.working_copy import readable

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
"""The span of an export of totals or intervals that names no days: a clock that was never set has no month."""
EVER: Final = datetime(1, 1, 2, tzinfo=UTC)
FOREVER: Final = datetime(9999, 12, 30, tzinfo=UTC)
"""The span of all readings, whatever their clock said."""
TOTAL_COLUMNS: Final = (
    TableColumn("home"),
    TableColumn("commodity"),
    TableColumn("start", CellKind.DAY),
    TableColumn("end", CellKind.DAY),
    TableColumn("partial"),
    TableColumn("opening", CellKind.EXACT),
    TableColumn("closing", CellKind.EXACT),
    TableColumn("total", CellKind.EXACT),
    TableColumn("unexplained", CellKind.EXACT),
    TableColumn("unit"),
    TableColumn("cost_net", CellKind.EXACT),
    TableColumn("cost_gross", CellKind.EXACT),
    TableColumn("currency"),
    TableColumn("tariff"),
    TableColumn("expected", CellKind.WHOLE),
    TableColumn("received", CellKind.WHOLE),
)
"""``end`` is the last local day; ``partial`` says that the asked span begins or ends within the month."""


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
def opened(
    folder: Path, *, must_exist: bool = False, registry: str = "", is_only_read: bool = False
) -> Iterator[MeterDataManagement]:
    """Open the data management of a folder while the context lasts.

    Args:
        folder: as ``--data`` names it.
        must_exist: refuse a folder without readings.
        registry: URL of the registry's database, "" for its file.
        is_only_read: nothing is going to be stored, so that a folder without the right to write will do.

    Raises:
        NoReadingsError: the folder must exist, and holds no readings.
        StorageError: another program has it open, or it cannot be read.

    """
    if must_exist and not (folder / "data" / "readings").is_dir():
        raise NoReadingsError(folder)
    own_data_folder(folder, is_only_read=is_only_read)
    stores = partial(open_stores, registry=registry)
    lend = readable if is_only_read else nullcontext
    with lend(folder / "data") as place, MeterDataManagement(place, stores=stores) as data:
        yield data


# --- export ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Extract:
    """What of a data folder is exported.

    Attributes:
        what: readings, intervals or totals.
        first: first local day; None for the first of all.
        last: last local day, included; None for the last of all.
        home_id: only this home; None for all.
        resolution: how long one total is.
        tariffs: price totals by these instead of the tariffs of the folder.
        zone: IANA name of the zone of the days; None: each home's own.

    """

    what: What
    first: date | None = None
    last: date | None = None
    home_id: str | None = None
    resolution: Resolution = Resolution.DAY
    tariffs: Mapping[Commodity, Tariff] = field(default_factory=dict)
    zone: str | None = None

    def span(self, zones: Collection[str]) -> tuple[datetime, datetime]:
        """Return the first instant and the first one after it; of readings all that are stored, where no day is named.

        Args:
            zones: of the homes that are exported.

        Raises:
            ValueError: a day is named, no zone, and the homes have several.

        """
        start, end = (EVER, FOREVER) if self.what is What.READINGS else (BEGINNING, END)
        if self.first is None and self.last is None:
            return start, end
        if self.zone is None and len(set(zones)) > 1:
            named = ", ".join(sorted(set(zones)))
            raise ValueError(f"the homes lie in several time zones ({named}): say --zone or --home")
        place = ZoneInfo(self.zone or next(iter(zones), "UTC"))
        if self.first is not None and self.first > EVER.date():
            start = datetime.combine(self.first, time(), place)
        if self.last is not None and self.last < FOREVER.date():
            end = datetime.combine(self.last + timedelta(days=1), time(), place)
        return start, end


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
    with opened(folder, must_exist=True, registry=registry, is_only_read=True) as data:
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
    if extract.what is not What.TOTALS:
        home_id = extract.home_id
        start, end = extract.span([home.zone for home in data.homes() if home_id in {None, home.home_id}])
        write = export_readings if extract.what is What.READINGS else export_intervals
        return write(data, target, start, end, form=form, home_id=home_id)
    for home in data.homes() if extract.tariffs else ():
        for point in home.usage_points:
            if point.commodity in extract.tariffs:
                data.price_meanwhile(point.usage_point, extract.tariffs[point.commodity])
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
    zone, (start, end) = ZoneInfo(home.zone), extract.span([home.zone])
    first, last = (moment.astimezone(zone).date() for moment in (start, end - timedelta(seconds=1)))
    due = [day for day in view.points if first <= day.start <= last]
    asked = [day for day in due if day.value is not None or view.unexplained]
    pairs = [(day, data.day(home.home_id, commodity, day.start)) for day in asked]
    known = [(day, shown) for day, shown in pairs if day.value is not None or shown.unexplained]
    days, views = [day for day, _shown in known], [shown for _day, shown in known]
    if extract.resolution is Resolution.DAY:
        for day, shown in zip(days, views, strict=True):
            yield same | _total([day], [shown], is_partial=False)
    elif days:
        yield same | _total(due, views, is_partial=len(due) < len(view.points))


def _total(days: Sequence[PeriodPoint], views: Sequence[PeriodView], *, is_partial: bool) -> dict[str, Any]:
    """Sum days up so that opening + total + unexplained can be held against closing.

    ``expected`` counts days of which nothing is known too; a cost is None where that of a day is not known.

    Args:
        days: all days of the total.
        views: those of which something is known.
        is_partial: whether the month has more days.

    """
    known = [day for day in days if day.value is not None]
    values = [day.value for day in known if day.value is not None]
    gross = [day.cost for day in known if day.cost is not None]
    is_priced = bool(gross) and len(gross) == len(known)
    net = [_net(view) for view in views if view.cost is not None]
    unexplained = [view.unexplained for view in views if view.unexplained is not None]
    names = dict.fromkeys(view.tariff.name for view in views if view.tariff is not None)
    return {
        "start": days[0].start,
        "end": days[-1].start,
        "partial": "partial" if is_partial else "",
        "opening": views[0].opening,
        "closing": views[-1].closing,
        "total": sum(values, Decimal(0)),
        "unexplained": sum(unexplained, Decimal(0)) if unexplained else None,
        "cost_net": sum(net, Decimal(0)) if is_priced else None,
        "cost_gross": sum(gross, Decimal(0)) if is_priced else None,
        "tariff": ", ".join(names),
        "expected": sum(day.expected for day in days),
        "received": sum(day.received for day in days),
    }


def _net(view: PeriodView) -> Decimal:
    """Return the cost of a day without the tax that was added to the declared prices."""
    tax = Decimal(0) if view.tariff is None else view.tariff.tax
    return exact_decimal(Fraction(view.cost or 0) / (1 + Fraction(tax)))


def _months(data: MeterDataManagement, home: Home, usage_point: str, extract: Extract) -> Iterator[date]:
    """Yield the first days of the months in which the usage point has readings."""
    devices = {row.device for row in data.installations(usage_point)}
    ids = [series.series_id for series in data.series() if series.device in devices]
    times = data.readings(ids, *extract.span([home.zone])).time
    if not len(times):
        return
    zone = ZoneInfo(home.zone)
    month, newest = (utc(int(at)).astimezone(zone).date() for at in (times.min(), times.max()))
    month = month.replace(day=1)
    while month <= newest:
        yield month
        month = (month + timedelta(days=32)).replace(day=1)
