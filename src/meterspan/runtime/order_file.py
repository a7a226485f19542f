"""The order book at rest, in SQLite through SQLAlchemy Core: who ordered which read, when, and how it ended.

It is the record of the operators' orders too, so it holds as many of the newest as the order book.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from meterspan.head_end.orders import ORDERS_KEPT, OrderRecord
from meterspan.head_end.planner import Order
from meterspan.model.failures import Failure, FailureKind
from meterspan.model.storage.readings import QuarantinedItem
from meterspan.model.views import OrderState
from meterspan.quantities import Scaled, parse_obis, parse_unit
from meterspan.store.databases import Database, file_url, read_only_url
from meterspan.store.left_out import LeftOutRows, common_tables

__all__ = ["METADATA", "OrderFile", "check_orders", "order_path"]

SCHEMA_VERSION: Final = 1
METADATA = common_tables()
ORDERS = sa.Table(
    "ordered_read",
    METADATA,
    sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("device", sa.Text, nullable=False),
    sa.Column("registers", sa.JSON, nullable=False),
    sa.Column("author", sa.Text, nullable=False),
    sa.Column("asked_at", sa.Float, nullable=False),
    sa.Column("deadline", sa.Float, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("ended_at", sa.Float),
    sa.Column("answer", sa.JSON, nullable=False),
    sa.Column("failure", sa.JSON, nullable=False),
)


def order_path(data: Path) -> Path:
    """Return the order book of a data folder."""
    return data / "orders.sqlite"


def check_orders(path: Path) -> None:
    """Check that an order book can be opened, where there is one; nothing is written.

    Raises:
        UnknownFormatError: a later version of meterspan wrote it.
        StorageError: it cannot be opened now.

    """
    if path.exists():
        Database(read_only_url(path), METADATA, version=SCHEMA_VERSION, is_read_only=True).close()


class OrderFile:
    """The orders of a head end; safe for use from many threads.

    Args:
        path: the SQLite file; made where it does not exist, readable by its owner only.

    Raises:
        UnknownFormatError: a later version of meterspan wrote it.
        StorageError: it cannot be opened now.

    """

    def __init__(self, path: Path) -> None:
        database = Database(file_url(path), METADATA, version=SCHEMA_VERSION)
        self._database, self._left_out = database, LeftOutRows(database)

    def close(self) -> None:
        """Release the file."""
        self._database.close()

    def quarantined(self) -> list[QuarantinedItem]:
        """List records that are damaged and left out; found by ``records``."""
        return self._left_out.items()

    def records(self) -> list[OrderRecord]:
        """Return the newest orders, oldest first."""
        newest = sa.select(ORDERS).order_by(ORDERS.c.number.desc()).limit(ORDERS_KEPT)
        found = [self._record(row) for row in reversed(self._left_out.read(ORDERS, newest))]
        return [record for record in found if record is not None]

    def save(self, records: Iterable[OrderRecord]) -> None:
        """Add or replace records, all or none, and forget the oldest beyond ``ORDERS_KEPT``.

        Raises:
            StorageError: they cannot be stored now.

        """
        rows = [_values(record) for record in records]
        if not rows:
            return
        with self._database.writing() as connection:
            for row in rows:
                self._left_out.keep_copy(connection, ORDERS, row)
            self._database.upsert(connection, ORDERS, rows)
            connection.execute(sa.delete(ORDERS).where(ORDERS.c.number <= rows[-1]["number"] - ORDERS_KEPT))

    def _record(self, row: dict[str, Any]) -> OrderRecord | None:
        try:
            return _record(row)
        except (ValueError, TypeError, KeyError) as error:
            self._left_out.note(ORDERS, (row["number"],), f"{type(error).__name__}: {error}")
            return None


def _values(record: OrderRecord) -> dict[str, Any]:
    order, failure = record.order, record.failure
    return {
        "number": order.order_id,
        "device": order.device,
        "registers": [str(obis) for obis in order.obis],
        "author": order.author,
        "asked_at": record.asked_at,
        "deadline": order.deadline,
        "state": str(record.state),
        "ended_at": record.ended_at,
        "answer": {
            str(obis): [value.value, value.exponent, value.unit.symbol] for obis, value in record.values.items()
        },
        "failure": {} if failure is None else {"kind": str(failure.kind), "detail": failure.detail},
    }


def _record(row: dict[str, Any]) -> OrderRecord:
    obis = tuple(parse_obis(name) for name in row["registers"])
    order = Order(row["number"], row["device"], obis, row["deadline"], row["author"])
    kept = row["failure"]
    return OrderRecord(
        order,
        row["asked_at"],
        {
            parse_obis(name): Scaled(value, exponent, parse_unit(unit)[0])
            for name, (value, exponent, unit) in row["answer"].items()
        },
        OrderState(row["state"]),
        Failure(FailureKind(kept["kind"]), str(kept["detail"])) if kept else None,
        row["ended_at"],
    )
