"""The order book: on-demand reads from being placed to their end; bounded, newest kept, the same after a restart.

An order ends with its session: answered, or failed with the session's reason. Two failures leave it waiting for the
next session: a head end that was stopped asks again, and counters that were behind are recovered once.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Final

from meterspan.head_end.planner import Order
from meterspan.model.failures import Failure, FailureKind
from meterspan.model.lookup_errors import UnknownOrderError
from meterspan.model.views import OrderState, OrderValue
from meterspan.quantities import Obis, Scaled
from meterspan.quantities.units import in_thousands
from meterspan.readings.names import meaning_of

__all__ = ["ORDERS_KEPT", "OrderBook", "OrderRecord", "order_values"]

ORDERS_KEPT: Final = 10_000
"""Orders remembered: a day of an operator's clicks, or one campaign over a town."""


@dataclass(slots=True)
class OrderRecord:
    """One on-demand read.

    Attributes:
        order: the order.
        asked_at: UTC seconds.
        values: the values read; empty while it waits, and where the meter refused every register.
        state: waiting, or its final state.
        failure: why the last session for it failed, if one did.
        ended_at: when it stopped waiting, UTC seconds.

    """

    order: Order
    asked_at: float
    values: dict[Obis, Scaled] = field(default_factory=dict)
    state: OrderState = OrderState.WAITING
    failure: Failure | None = None
    ended_at: float | None = None

    @property
    def is_waiting(self) -> bool:
        """Whether it can still be answered."""
        return self.state is OrderState.WAITING


def order_values(record: OrderRecord) -> tuple[OrderValue, ...]:
    """Return the registers of an answered order, with their names, in the units in which people read them."""
    found = []
    for obis, value in record.values.items():
        number, unit = in_thousands(value.decimal, str(value.unit))
        found.append(OrderValue(str(obis), number, unit, meaning_of(obis).quantity))
    return tuple(found)


class OrderBook:
    """Remembers orders by number; an order ends once, and later reports change nothing."""

    def __init__(self) -> None:
        self._records: OrderedDict[int, OrderRecord] = OrderedDict()
        self._changed: dict[int, None] = {}

    def placed(self, order: Order, now: float) -> None:
        """Remember a new order, forgetting the oldest beyond ``ORDERS_KEPT``."""
        self._put(OrderRecord(order, now))
        self._changed[order.order_id] = None

    def restore(self, records: Iterable[OrderRecord]) -> None:
        """Remember the orders of an earlier start, oldest first."""
        for record in records:
            self._put(record)

    def answered(self, order_id: int, values: Mapping[Obis, Scaled], now: float) -> None:
        """Note an answer."""
        record = self._waiting(order_id)
        if record is not None:
            record.values, record.failure = dict(values), None
            self._end(record, OrderState.ANSWERED, now)

    def failed(self, order_id: int, failure: Failure, now: float) -> bool:
        """Note that the session for it failed; return whether that ended it, or it waits for the next session."""
        record = self._waiting(order_id)
        if record is None or failure.kind is FailureKind.CANCELLED:
            return False
        is_recovered = failure.kind is FailureKind.COUNTER_BEHIND and record.failure is None
        record.failure = failure
        self._changed[order_id] = None
        if not is_recovered:
            self._end(record, OrderState.FAILED, now)
        return not is_recovered

    def ended(self, order_id: int, failure: Failure, now: float) -> None:
        """Note that an order is asked no more, and why."""
        record = self._waiting(order_id)
        if record is not None:
            record.failure = failure
            self._end(record, OrderState.FAILED, now)

    def timed_out(self, order_id: int, now: float) -> None:
        """Note that the deadline passed."""
        record = self._waiting(order_id)
        if record is not None:
            self._end(record, OrderState.TIMED_OUT, now)

    def get(self, order_id: int) -> OrderRecord:
        """Return an order's record.

        Raises:
            UnknownOrderError: no such order, or it was dropped because of its age.

        """
        record = self._records.get(order_id)
        if record is None:
            raise UnknownOrderError(order_id)
        return record

    def newest(self, limit: int, device: str = "") -> list[OrderRecord]:
        """Return the records of the newest orders, newest first; only those of one meter where it is named."""
        chosen = (record for record in reversed(self._records.values()) if device in ("", record.order.device))
        return list(islice(chosen, limit))

    def take_changed(self) -> list[OrderRecord]:
        """Return copies of the records that have changed since the last call, oldest first."""
        numbers, self._changed = sorted(self._changed), {}
        return [replace(self._records[number]) for number in numbers if number in self._records]

    def note_changed(self, records: Iterable[OrderRecord]) -> None:
        """Return these records at the next ``take_changed`` again: they could not be kept."""
        self._changed |= dict.fromkeys(record.order.order_id for record in records)

    def _put(self, record: OrderRecord) -> None:
        self._records[record.order.order_id] = record
        if len(self._records) > ORDERS_KEPT:
            self._records.popitem(last=False)

    def _end(self, record: OrderRecord, state: OrderState, now: float) -> None:
        record.state, record.ended_at = state, now
        self._changed[record.order.order_id] = None

    def _waiting(self, order_id: int) -> OrderRecord | None:
        record = self._records.get(order_id)
        return record if record is not None and record.is_waiting else None
