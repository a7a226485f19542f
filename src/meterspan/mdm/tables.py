"""Readings and intervals as CSV, Parquet or JSON; readings from CSV, with every refused line named.

Import is tolerant of separators, decimal commas, column names and time formats, and strict about meaning: a line
whose instant, unit or value is not certain is refused with its number and reason, never guessed.
"""

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Any, BinaryIO, TextIO

from meterspan.analytics.tariff import exact_decimal
from meterspan.mdm.curves import Curve
from meterspan.mdm.data_management import MeterDataManagement
from meterspan.model.readings import Source
from meterspan.model.views import UsagePointView
from meterspan.quantities import (
    Direction,
    Quality,
    utc,
    utc_text,
)
from meterspan.store.private_files import replacing

__all__ = [
    "TableFormat",
    "export_intervals",
    "export_readings",
    "guarded",
    "unguarded",
    "write_table",
]

_FORMULA = re.compile(r"'*[=+\-@\t\r]")
"""What a spreadsheet takes for a formula, and such a text that was guarded before."""
_NUMBER = re.compile(r"[+-]?\d+(?:\.\d+)?")


class TableFormat(StrEnum):
    """How a table is written."""

    CSV = "csv"
    PARQUET = "parquet"
    JSON = "json"


# --- export ---------------------------------------------------------------------------------------------------------


def export_readings(
    management: MeterDataManagement,
    path: Path,
    start: datetime,
    end: datetime,
    *,
    form: TableFormat = TableFormat.CSV,
    device: str | None = None,
    home_id: str | None = None,
) -> int:
    """Write raw readings of ``start <= t < end``, all or of one device or home, and give how many.

    Values are exact decimal text in ``unit``; quality is the names of its flags.

    Args:
        management: the data management.
        path: the file to write.
        start: an aware datetime.
        end: an aware datetime, not included.
        form: CSV, Parquet or JSON.
        device: only this device.
        home_id: only devices of this home.

    """
    chosen = None if home_id is None else _devices_of(management, home_id)
    records = {
        item.series_id: item
        for item in management.series()
        if (device is None or item.device == device) and (chosen is None or item.device in chosen)
    }
    readings = management.readings(sorted(records), start, end)

    def rows() -> Iterator[dict[str, Any]]:
        for number, time, value, status, quality, source, received_at in zip(
            readings.series.tolist(),
            readings.time.tolist(),
            readings.value.tolist(),
            readings.status.tolist(),
            readings.quality.tolist(),
            readings.source.tolist(),
            readings.received_at.tolist(),
            strict=True,
        ):
            series = records[number]
            yield {
                "usage_point": series.usage_point,
                "device": series.device,
                "obis": str(series.obis),
                "time": utc_text(utc(time)),
                "value": f"{Decimal(value).scaleb(series.exponent):f}",
                "unit": series.unit.symbol,
                "status": status,
                "quality": _flags(quality),
                "source": Source(source).name.lower(),
                "received_at": utc_text(utc(received_at)),
            }

    return write_table(path, READING_COLUMNS, rows(), form)


def export_intervals(
    management: MeterDataManagement,
    path: Path,
    start: datetime,
    end: datetime,
    *,
    form: TableFormat = TableFormat.CSV,
    usage_point: str | None = None,
    home_id: str | None = None,
) -> int:
    """Write derived intervals of ``start <= t < end``, both directions, in kWh or m3, and return how many.

    A usage point that is damaged or impossible is left out and named by ``MeterDataManagement.damage``.

    Args:
        management: the data management.
        path: the file to write.
        start: an aware datetime.
        end: an aware datetime, not included.
        form: CSV, Parquet or JSON.
        usage_point: only this usage point.
        home_id: only usage points of this home.

    """

    def rows() -> Iterator[dict[str, Any]]:
        for home in management.homes():
            if home_id is not None and home.home_id != home_id:
                continue
            for point in home.usage_points:
                if usage_point is not None and point.usage_point != usage_point:
                    continue
                found: list[dict[str, Any]] = []
                with management.aside(point.usage_point, "export of intervals"):
                    for direction in Direction:
                        curve = management.curve(point.usage_point, direction, start, end)
                        found.extend(_interval_rows(point, direction, curve))
                yield from found

    return write_table(path, INTERVAL_COLUMNS, rows(), form)


def _interval_rows(point: UsagePointView, direction: Direction, curve: Curve) -> Iterator[dict[str, Any]]:
    for low, high, value, quality in zip(
        curve.start.tolist(), curve.end.tolist(), curve.value.tolist(), curve.quality.tolist(), strict=True
    ):
        known = not quality & Quality.MISSING
        yield {
            "usage_point": point.usage_point,
            "direction": str(direction),
            "start": utc_text(utc(low)),
            "end": utc_text(utc(high)),
            "value": f"{exact_decimal(value * curve.step):f}" if known else "",
            "unit": point.unit,
            "quality": _flags(quality),
        }


def _devices_of(management: MeterDataManagement, home_id: str) -> frozenset[str]:
    points = management.home(home_id).usage_points
    return frozenset(row.device for point in points for row in management.installations(point.usage_point))


READING_COLUMNS = (
    "usage_point",
    "device",
    "obis",
    "time",
    "value",
    "unit",
    "status",
    "quality",
    "source",
    "received_at",
)
INTERVAL_COLUMNS = ("usage_point", "direction", "start", "end", "value", "unit", "quality")


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]], form: TableFormat) -> int:
    """Write the table beside its place and rename: a reader never sees half a file.

    Args:
        path: the file to write.
        columns: the names of the columns, in order.
        rows: one mapping of column to value for each row.
        form: CSV, Parquet or JSON.

    """
    with replacing(path) as file:
        if form is TableFormat.PARQUET:
            return _write_parquet(file, columns, rows)
        text = io.TextIOWrapper(file, encoding="utf-8", newline="")
        count = (_write_csv if form is TableFormat.CSV else _write_json)(text, columns, rows)
        text.flush()
        text.detach()
        return count


def _write_parquet(file: BinaryIO, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> int:
    import pyarrow as pa  # noqa: PLC0415 - only Parquet files need it
    import pyarrow.parquet as pq  # noqa: PLC0415 - as above

    listed = list(rows)
    pq.write_table(pa.table({name: [row[name] for row in listed] for name in columns}), file, compression="zstd")
    return len(listed)


def _write_csv(file: TextIO, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> int:
    writer = csv.writer(file)
    writer.writerow(columns)
    count = 0
    for row in rows:
        writer.writerow([guarded(row[name]) for name in columns])
        count += 1
    return count


def _write_json(file: TextIO, _columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> int:
    file.write("[")
    count = 0
    for row in rows:
        file.write(("\n" if count == 0 else ",\n") + json.dumps(row))
        count += 1
    file.write("\n]\n")
    return count


def guarded(cell: Any) -> Any:
    """Return a cell of CSV that a spreadsheet does not run as a formula: an apostrophe goes before such a text.

    Numbers stay as they are; ``unguarded`` removes the apostrophe again.
    """
    is_formula = isinstance(cell, str) and _FORMULA.match(cell) and not _NUMBER.fullmatch(cell)
    return f"'{cell}" if is_formula else cell


def unguarded(cell: str) -> str:
    """Return the text of a cell that ``guarded`` may have written."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell[1:]) else cell


def _flags(quality: int) -> str:
    return " ".join(flag.name.lower() for flag in Quality(quality) if flag.name is not None)
