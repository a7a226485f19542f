"""Readings and derived intervals of a data folder, written as a table.

An exported table of readings holds all that is stored of them, so that an import elsewhere makes the same readings.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Context, Decimal
from pathlib import Path
from typing import Any, Final

from meterspan.analytics.tariff import exact_decimal
from meterspan.mdm.curves import Curve
from meterspan.mdm.data_management import MeterDataManagement
from meterspan.mdm.tables import CellKind, TableColumn, TableFormat, write_table
from meterspan.model.readings import Source
from meterspan.model.views import UsagePointView
from meterspan.quantities import Direction, Quality, utc

__all__ = ["export_intervals", "export_readings"]

DIGITS_OF_STEPS: Final = 19
"""Digits of an integer of 63 bits."""
_EXACT: Final = Context(prec=200)

INTERVAL_COLUMNS: Final = (
    TableColumn("usage_point"),
    TableColumn("direction"),
    TableColumn("start", CellKind.TIME),
    TableColumn("end", CellKind.TIME),
    TableColumn("value", CellKind.EXACT),
    TableColumn("unit"),
    TableColumn("quality"),
)


def _reading_columns(exponents: Sequence[int]) -> tuple[TableColumn, ...]:
    """Return the columns of readings of these scales: a value has the decimals of the finest one."""
    places = max((-exponent for exponent in exponents), default=0)
    digits = DIGITS_OF_STEPS + max((*exponents, 0)) + max(places, 0)
    return (
        TableColumn("usage_point"),
        TableColumn("device"),
        TableColumn("obis"),
        TableColumn("time", CellKind.TIME),
        TableColumn("value", CellKind.EXACT, max(places, 0), digits),
        TableColumn("unit"),
        TableColumn("scale", CellKind.WHOLE),
        TableColumn("status", CellKind.WHOLE),
        TableColumn("quality"),
        TableColumn("source"),
        TableColumn("received_at", CellKind.TIME),
    )


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

    Values are exact decimals in ``unit``, with the ``scale`` (power of ten) of their steps; quality is the names of its
    flags. An import of the table stores the same readings again.

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
                "time": utc(time),
                "value": scaled(value, series.exponent),
                "unit": series.unit.symbol,
                "scale": series.exponent,
                "status": status,
                "quality": _flags(quality),
                "source": Source(source).name.lower(),
                "received_at": utc(received_at),
            }

    return write_table(path, _reading_columns([item.exponent for item in records.values()]), rows(), form)


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
            "start": utc(low),
            "end": utc(high),
            "value": exact_decimal(value * curve.step) if known else None,
            "unit": point.unit,
            "quality": _flags(quality),
        }


def _devices_of(management: MeterDataManagement, home_id: str) -> frozenset[str]:
    points = management.home(home_id).usage_points
    return frozenset(row.device for point in points for row in management.installations(point.usage_point))


def scaled(steps: int, exponent: int) -> Decimal:
    """Return steps as an exact decimal, however many digits they have."""
    return Decimal(steps).scaleb(exponent, _EXACT)


def _flags(quality: int) -> str:
    return " ".join(flag.name.lower() for flag in Quality(quality) if flag.name is not None)
