"""The registry: homes, usage points, devices, installations, series, tariffs and interval versions (SQLAlchemy Core).

SQLite by default; any database that SQLAlchemy knows by URL. The full schema of each version is in ``schemas/``,
so that old files stay readable and a change of the tables cannot go unnoticed.
"""

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, Self, TypeVar

import sqlalchemy as sa

from meterspan.model.storage.errors import DamagedBatchError
from meterspan.model.storage.readings import QuarantinedItem, SettledIntervals
from meterspan.model.storage.registry import (
    DeviceRow,
    HomeRow,
    InstallationRow,
    RegistryRow,
    SeriesRow,
    TariffRow,
    UsagePointRow,
    VersionRow,
)
from meterspan.store.columns import read_intervals, write_intervals
from meterspan.store.databases import Database, file_url, read_only_url
from meterspan.store.left_out import LeftOutRows, common_tables

__all__ = ["Registry"]

SCHEMA_VERSION = 2

RowT = TypeVar("RowT")

METADATA = common_tables()

HOMES = sa.Table(
    "home",
    METADATA,
    sa.Column("home_id", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("zone", sa.Text, nullable=False),
    sa.Column("currency", sa.Text, nullable=False),
)
USAGE_POINTS = sa.Table(
    "usage_point",
    METADATA,
    sa.Column("usage_point", sa.Text, primary_key=True),
    sa.Column("home_id", sa.ForeignKey("home.home_id"), nullable=False, index=True),
    sa.Column("commodity", sa.Text, nullable=False),
    sa.Column("period_s", sa.Integer, nullable=False),
)
DEVICES = sa.Table(
    "device",
    METADATA,
    sa.Column("device", sa.Text, primary_key=True),
    sa.Column("commodity", sa.Text, nullable=False),
    sa.Column("protocol", sa.Text, nullable=False),
    sa.Column("interface", sa.Text, nullable=False),
    sa.Column("network", sa.Text, nullable=False),
)
INSTALLATIONS = sa.Table(
    "installation",
    METADATA,
    sa.Column("usage_point", sa.ForeignKey("usage_point.usage_point"), primary_key=True),
    sa.Column("start", sa.BigInteger, primary_key=True),
    sa.Column("device", sa.ForeignKey("device.device"), nullable=False, index=True),
    sa.Column("end", sa.BigInteger),
    sa.Column("multiplier", sa.Integer, nullable=False),
    sa.Column("opening", sa.JSON, nullable=False),
    sa.Column("closing", sa.JSON, nullable=False),
    sa.Column("width", sa.JSON, nullable=False),
)
SERIES = sa.Table(
    "series",
    METADATA,
    sa.Column("series_id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("device", sa.ForeignKey("device.device"), nullable=False),
    sa.Column("obis", sa.Text, nullable=False),
    sa.Column("unit", sa.Text, nullable=False),
    sa.Column("exponent", sa.Integer, nullable=False),
    sa.UniqueConstraint("device", "obis", "unit", "exponent"),
    sqlite_autoincrement=True,
)
TARIFFS = sa.Table(
    "tariff",
    METADATA,
    sa.Column("usage_point", sa.ForeignKey("usage_point.usage_point"), primary_key=True),
    sa.Column("first_day", sa.Text, primary_key=True),
    sa.Column("declaration", sa.JSON, nullable=False),
)
VERSIONS = sa.Table(
    "interval_version",
    METADATA,
    sa.Column("usage_point", sa.ForeignKey("usage_point.usage_point"), primary_key=True),
    sa.Column("day", sa.Integer, primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("rule", sa.Text, nullable=False),
    sa.Column("author", sa.Text, nullable=False),
    sa.Column("step", sa.Text, nullable=False),
    sa.Column("octets", sa.LargeBinary, nullable=False),
)


class Registry:
    """The registry in one database.

    Raises:
        UnknownFormatError: a newer release wrote it.

    """

    def __init__(self, url: str, *, is_read_only: bool = False) -> None:
        self._database = Database(url, METADATA, version=SCHEMA_VERSION, is_read_only=is_read_only)
        self._left_out = LeftOutRows(self._database)
        self._is_bare = is_read_only and not self._database.has_table(HOMES)

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open or make the registry in an SQLite file."""
        return cls(file_url(path))

    @classmethod
    def looked_at(cls, path: Path) -> Self:
        """Open the registry in an SQLite file to read it; the file stays as it is."""
        return cls(read_only_url(path), is_read_only=True)

    def close(self) -> None:
        """Release all connections."""
        self._database.close()

    def quarantined(self) -> list[QuarantinedItem]:
        """List rows that are damaged, or refer to such a row, and are left out; found when they are read."""
        return self._left_out.items()

    def homes(self) -> list[HomeRow]:
        """List homes by id."""
        return self._read(HomeRow, HOMES, sa.select(HOMES).order_by(HOMES.c.home_id))

    def usage_points(self) -> list[UsagePointRow]:
        """List usage points by name."""
        return self._read(UsagePointRow, USAGE_POINTS, sa.select(USAGE_POINTS).order_by(USAGE_POINTS.c.usage_point))

    def devices(self) -> list[DeviceRow]:
        """List devices by identification."""
        return self._read(DeviceRow, DEVICES, sa.select(DEVICES).order_by(DEVICES.c.device))

    def installations(self) -> list[InstallationRow]:
        """List installations by usage point and time."""
        columns = INSTALLATIONS.c
        shown = (columns[field.name] for field in fields(InstallationRow))
        query = sa.select(*shown).order_by(columns.usage_point, columns.start)
        return self._read(InstallationRow, INSTALLATIONS, query)

    def series(self) -> list[SeriesRow]:
        """List series by number."""
        return self._read(SeriesRow, SERIES, sa.select(SERIES).order_by(SERIES.c.series_id))

    def highest_series(self) -> int:
        """Return the highest number that was given to a series, 0 where none was."""
        with self._database.reading() as connection:
            return connection.execute(sa.select(sa.func.max(SERIES.c.series_id))).scalar() or 0

    def tariffs(self) -> list[TariffRow]:
        """List tariff assignments by usage point and day."""
        return self._read(TariffRow, TARIFFS, sa.select(TARIFFS).order_by(*TARIFFS.primary_key.columns))

    def versions(self, usage_point: str, first_day: int, last_day: int) -> list[VersionRow]:
        """List interval versions of the UTC days, by day and version."""
        columns = VERSIONS.c
        query = (
            sa.select(VERSIONS)
            .where(columns.usage_point == usage_point, columns.day.between(first_day, last_day))
            .order_by(columns.day, columns.version)
        )
        return [self._version(values) for values in self._left_out.read(VERSIONS, query)]

    def save(self, *rows: RegistryRow) -> None:
        """Add or replace rows, all or none, kind by kind: what others refer to is written first.

        Raises:
            ValueError: a row refers to one that is not there.

        """
        with self._database.writing() as connection:
            for kind, table in _TABLES.items():
                self._save(connection, table, [_values(row) for row in rows if type(row) is kind])

    def forget(self, device: str) -> None:
        """Delete a device without series and its installations, and the usage points where no other ever was.

        Raises:
            ValueError: the device has series, so readings may refer to them.

        """
        points = sa.select(INSTALLATIONS.c.usage_point).where(INSTALLATIONS.c.device == device)
        with self._database.writing() as connection:
            names = connection.execute(points).scalars().all()
            connection.execute(sa.delete(INSTALLATIONS).where(INSTALLATIONS.c.device == device))
            left = sa.select(INSTALLATIONS.c.usage_point).where(INSTALLATIONS.c.usage_point.in_(names))
            bare = set(names) - set(connection.execute(left).scalars().all())
            for table in (VERSIONS, TARIFFS, USAGE_POINTS):
                connection.execute(sa.delete(table).where(table.c.usage_point.in_(bare)))
            connection.execute(sa.delete(DEVICES).where(DEVICES.c.device == device))

    def save_versions(self, rows: Sequence[VersionRow]) -> None:
        """Add versions, all or none; one that is there is never changed.

        Raises:
            ValueError: a version of the same usage point, day and number is there.

        """
        if rows:
            with self._database.writing() as connection:
                connection.execute(sa.insert(VERSIONS), [_version_values(row) for row in rows])

    def add_series(self, device: str, obis: str, unit: str, exponent: int) -> SeriesRow:
        """Add a new series durably and return it with its number; numbers are never used again.

        Args:
            device: the name of the device.
            obis: the OBIS code as text.
            unit: the unit of the steps.
            exponent: power of ten of one step.

        Raises:
            ValueError: the series is there, or its device is not.

        """
        values = {"device": device, "obis": obis, "unit": unit, "exponent": exponent}
        with self._database.writing() as connection:
            number = connection.execute(sa.insert(SERIES).values(values).returning(SERIES.c.series_id)).scalar_one()
        return SeriesRow(number, device, obis, unit, exponent)

    def _read(self, kind: type[RowT], table: sa.Table, query: sa.Select[Any]) -> list[RowT]:
        if self._is_bare:
            return []
        return [kind(**values) for values in self._left_out.read(table, query)]

    def _version(self, values: dict[str, Any]) -> VersionRow:
        octets = values.pop("octets")
        try:
            return VersionRow(**values, intervals=read_intervals(octets))
        except (DamagedBatchError, TypeError) as error:
            key = tuple(values[column.name] for column in VERSIONS.primary_key.columns)
            self._left_out.note(VERSIONS, key, str(error))
            return VersionRow(**values, intervals=SettledIntervals.empty(), is_damaged=True)

    def _save(self, connection: sa.Connection, table: sa.Table, rows: Sequence[dict[str, Any]]) -> None:
        for values in rows:
            self._left_out.keep_copy(connection, table, values)
        self._database.upsert(connection, table, rows)


_TABLES: dict[type, sa.Table] = {
    HomeRow: HOMES,
    UsagePointRow: USAGE_POINTS,
    DeviceRow: DEVICES,
    InstallationRow: INSTALLATIONS,
    TariffRow: TARIFFS,
}
"""In the order of their references."""


def _values(row: Any) -> dict[str, Any]:
    return {name: getattr(row, name) for name in row.__dataclass_fields__}


def _version_values(row: VersionRow) -> dict[str, Any]:
    values = _values(row)
    del values["is_damaged"]
    return values | {"octets": write_intervals(values.pop("intervals"))}
