"""The inventory at rest: device records and their wrapped keys, in SQLite through SQLAlchemy Core.

Keys are stored only as ``KeyCustody`` wrapped them. A device is never deleted: it is marked as removed.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from meterspan.crypto.mechanisms import Security
from meterspan.engine.links import DeviceProtocol
from meterspan.head_end.inventory import ChannelPlan, Device, KeyPurpose
from meterspan.model.meter_changes import MeterChange
from meterspan.model.storage.readings import QuarantinedItem
from meterspan.quantities import Commodity, parse_obis
from meterspan.store.databases import Database, file_url, read_only_url
from meterspan.store.inspection import inspected
from meterspan.store.left_out import LeftOutRows, common_tables

__all__ = ["InventoryFile", "holds_keys", "inventory_path"]

SCHEMA_VERSION: Final = 3
METADATA = common_tables()
DEVICES = sa.Table(
    "device",
    METADATA,
    sa.Column("device", sa.Text, primary_key=True),
    sa.Column("commodity", sa.Text, nullable=False),
    sa.Column("protocol", sa.Text, nullable=False),
    sa.Column("endpoint", sa.Text, nullable=False),
    sa.Column("network", sa.Text, nullable=False),
    sa.Column("usage_point", sa.Text, nullable=False),
    sa.Column("interface", sa.Text, nullable=False),
    sa.Column("security", sa.Text, nullable=False),
    sa.Column("client_sap", sa.Integer, nullable=False),
    sa.Column("server_sap", sa.Integer, nullable=False),
    sa.Column("system_title", sa.LargeBinary, nullable=False),
    sa.Column("channels", sa.JSON, nullable=False),
    sa.Column("installed_at", sa.BigInteger, nullable=False),
    sa.Column("removed_at", sa.BigInteger),
)
COMMANDED = sa.Table("commanded", METADATA, sa.Column("device", sa.ForeignKey("device.device"), primary_key=True))
"""Devices about whose installation a command has decided."""
CHANGES = sa.Table(
    "meter_change",
    METADATA,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("time", sa.BigInteger, nullable=False),
    sa.Column("author", sa.Text, nullable=False),
    sa.Column("is_done", sa.Boolean, nullable=False),
    sa.Column("change", sa.JSON, nullable=False),
)
"""The changes of meters by command, never deleted: what was ordered by whom, and whether the registry has it."""
KEYS = sa.Table(
    "wrapped_key",
    METADATA,
    sa.Column("device", sa.ForeignKey("device.device"), primary_key=True),
    sa.Column("purpose", sa.Text, primary_key=True),
    sa.Column("octets", sa.LargeBinary, nullable=False),
)


def inventory_path(data: Path) -> Path:
    """Return the inventory of a data folder."""
    return data / "inventory.sqlite"


def holds_keys(path: Path) -> bool:
    """Return whether an inventory holds wrapped keys; one that is not there holds none, and is not made.

    Raises:
        StorageError: it cannot be read.

    """
    if not path.exists():
        return False
    with inspected(path) as file:
        tables = file.connection.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (KEYS.name,))
        if tables.fetchone() is None:
            return False
        return file.connection.execute(f"SELECT 1 FROM {KEYS.name} LIMIT 1").fetchone() is not None  # noqa: S608 - our own name


class InventoryFile:
    """The device records of a head end.

    Args:
        path: the SQLite file; made where it does not exist, readable by its owner only.
        is_read_only: leave the file as it is; it must be there.

    Raises:
        UnknownFormatError: a later version of meterspan wrote it.
        StorageError: it cannot be opened now.

    """

    def __init__(self, path: Path, *, is_read_only: bool = False) -> None:
        url = read_only_url(path) if is_read_only else file_url(path)
        self._database = Database(url, METADATA, version=SCHEMA_VERSION, is_read_only=is_read_only)
        self._left_out = LeftOutRows(self._database)

    def close(self) -> None:
        """Release the file."""
        self._database.close()

    def quarantined(self) -> list[QuarantinedItem]:
        """List records that are damaged and left out; found by ``devices``."""
        return self._left_out.items()

    def devices(self) -> list[Device]:
        """Return all devices whose records read back, in the order of their names."""
        rows = self._left_out.read(DEVICES, sa.select(DEVICES).order_by(DEVICES.c.device))
        commanded = self._commanded()
        keys: dict[str, list[tuple[KeyPurpose, bytes]]] = {}
        for key in self._left_out.read(KEYS, sa.select(KEYS).order_by(KEYS.c.device, KEYS.c.purpose)):
            try:
                keys.setdefault(key["device"], []).append((KeyPurpose(key["purpose"]), bytes(key["octets"])))
            except (ValueError, TypeError) as error:
                self._left_out.note(KEYS, (key["device"], key["purpose"]), str(error))
        found = [self._device(values, tuple(keys.get(values["device"], ()))) for values in rows]
        return [replace(device, is_commanded=device.device in commanded) for device in found if device is not None]

    def _commanded(self) -> set[str]:
        if not self._database.has_table(COMMANDED):  # of an earlier release, and only read
            return set()
        return {row["device"] for row in self._left_out.read(COMMANDED, sa.select(COMMANDED))}

    def save(self, devices: Iterable[Device]) -> None:
        """Add or replace device records with their keys, all or none."""
        with self._database.writing() as connection:
            self._save(connection, list(devices))

    def begin_change(self, change: MeterChange, time: int, author: str, devices: Iterable[Device]) -> int:
        """Note a change of meters and save their records, all or none; return the number of the change.

        Args:
            change: what changes.
            time: UTC seconds of the command.
            author: who gave it.
            devices: the records as they are afterwards.

        """
        row = {"time": time, "author": author, "is_done": False, "change": change.as_json()}
        with self._database.writing() as connection:
            self._save(connection, list(devices))
            return int(connection.execute(sa.insert(CHANGES).values(row).returning(CHANGES.c.number)).scalar_one())

    def end_change(self, number: int, deleted: str = "") -> None:
        """Note that a change is done; the record of a ``deleted`` device goes with its keys."""
        with self._database.writing() as connection:
            connection.execute(sa.update(CHANGES).where(CHANGES.c.number == number).values(is_done=True))
            for table in (KEYS, COMMANDED, DEVICES) if deleted else ():
                connection.execute(sa.delete(table).where(table.c.device == deleted))

    def changes(self, limit: int = 1_000, *, only_begun: bool = False) -> list[tuple[int, int, str, MeterChange]]:
        """List changes as number, time, author and change, newest first; only those that are not done where asked."""
        query = sa.select(CHANGES).order_by(CHANGES.c.number.desc()).limit(limit)
        found = []
        for row in self._left_out.read(CHANGES, query.where(~CHANGES.c.is_done) if only_begun else query):
            try:
                found.append((row["number"], row["time"], row["author"], MeterChange.of_json(row["change"])))
            except (ValueError, TypeError, KeyError) as error:
                self._left_out.note(CHANGES, (row["number"],), str(error))
        return found

    def _save(self, connection: sa.Connection, records: Sequence[Device]) -> None:
        rows = [_values(device) for device in records]
        keys = [
            {"device": device.device, "purpose": str(purpose), "octets": octets}
            for device in records
            for purpose, octets in device.wrapped_keys
        ]
        for values in rows:
            self._left_out.keep_copy(connection, DEVICES, values)
        for table in (KEYS, COMMANDED) if rows else ():
            of_device = sa.delete(table).where(table.c.device == sa.bindparam("of_device"))
            connection.execute(of_device, [{"of_device": device.device} for device in records])
        self._database.upsert(connection, DEVICES, rows)
        commanded = [{"device": device.device} for device in records if device.is_commanded]
        for table, values_of in ((KEYS, keys), (COMMANDED, commanded)):
            if values_of:
                connection.execute(sa.insert(table), values_of)

    def _device(self, values: dict[str, Any], keys: tuple[tuple[KeyPurpose, bytes], ...]) -> Device | None:
        try:
            return _device(dict(values), keys)
        except (ValueError, TypeError) as error:
            self._left_out.note(DEVICES, (values["device"],), str(error))
            return None


def _values(device: Device) -> dict[str, Any]:
    values: dict[str, Any] = {column.name: getattr(device, column.name) for column in DEVICES.columns}
    for name in ("commodity", "protocol", "security"):
        values[name] = str(values[name])
    values["channels"] = [
        [str(plan.obis), plan.period_s, None if plan.profile is None else str(plan.profile)] for plan in device.channels
    ]
    return values


def _device(values: dict[str, Any], keys: tuple[tuple[KeyPurpose, bytes], ...]) -> Device:
    channels = tuple(
        ChannelPlan(parse_obis(obis), period_s, None if profile is None else parse_obis(profile))
        for obis, period_s, profile in values.pop("channels")
    )
    values["system_title"] = bytes(values["system_title"])
    return Device(
        **values
        | {
            "commodity": Commodity(values["commodity"]),
            "protocol": DeviceProtocol(values["protocol"]),
            "security": Security(values["security"]),
            "channels": channels,
            "wrapped_keys": keys,
        }
    )
