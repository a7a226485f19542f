"""The inventory at rest: device records and their wrapped keys, in SQLite through SQLAlchemy Core.

Keys stand here only as ``KeyCustody`` wrapped them (RFC 3394). A device is never deleted: it is marked as removed.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import event

from meterspan.crypto.mechanisms import Security
from meterspan.engine.links import DeviceProtocol
from meterspan.head_end.inventory import ChannelPlan, Device, KeyPurpose
from meterspan.quantities import Commodity, parse_obis

__all__ = ["InventoryFile"]

SCHEMA_VERSION: Final = 1
METADATA = sa.MetaData()
SCHEMA_VERSIONS = sa.Table("schema_version", METADATA, sa.Column("version", sa.Integer, primary_key=True))
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
KEYS = sa.Table(
    "wrapped_key",
    METADATA,
    sa.Column("device", sa.ForeignKey("device.device"), primary_key=True),
    sa.Column("purpose", sa.Text, primary_key=True),
    sa.Column("octets", sa.LargeBinary, nullable=False),
)


class InventoryFile:
    """The device records of a head end.

    Args:
        path: the SQLite file; made where it does not exist, readable by its owner only.

    Raises:
        ValueError: a later version of meterspan wrote it.

    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        self._engine = sa.create_engine(f"sqlite:///{path}")
        event.listen(self._engine, "connect", _harden)
        with self._engine.begin() as connection:
            METADATA.create_all(connection)
            found = connection.execute(sa.select(sa.func.max(SCHEMA_VERSIONS.c.version))).scalar()
            if found is None:
                connection.execute(sa.insert(SCHEMA_VERSIONS).values(version=SCHEMA_VERSION))
        if found is not None and found > SCHEMA_VERSION:
            self._engine.dispose()
            raise ValueError(f"{path} has version {found}; this meterspan reads up to {SCHEMA_VERSION}: update it")

    def close(self) -> None:
        """Release the file."""
        self._engine.dispose()

    def devices(self) -> list[Device]:
        """Give all devices, in the order of their names."""
        with self._engine.connect() as connection:
            keys: dict[str, list[tuple[KeyPurpose, bytes]]] = {}
            for row in connection.execute(sa.select(KEYS).order_by(KEYS.c.device, KEYS.c.purpose)):
                keys.setdefault(row.device, []).append((KeyPurpose(row.purpose), bytes(row.octets)))
            rows = connection.execute(sa.select(DEVICES).order_by(DEVICES.c.device)).mappings().all()
        return [_device(dict(row), tuple(keys.get(row["device"], ()))) for row in rows]

    def save(self, devices: Iterable[Device]) -> None:
        """Add or replace device records with their keys, all or none."""
        with self._engine.begin() as connection:
            for device in devices:
                connection.execute(sa.delete(KEYS).where(KEYS.c.device == device.device))
                connection.execute(sa.delete(DEVICES).where(DEVICES.c.device == device.device))
                connection.execute(sa.insert(DEVICES).values(_values(device)))
                for purpose, octets in device.wrapped_keys:
                    values = {"device": device.device, "purpose": str(purpose), "octets": octets}
                    connection.execute(sa.insert(KEYS).values(values))


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


def _harden(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    for pragma in ("journal_mode = wal", "synchronous = full", "foreign_keys = on"):
        cursor.execute(f"pragma {pragma}")
    cursor.close()
