"""The order book: on-demand reads from being placed to being answered or timed out; bounded, newest kept."""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from meterspan.head_end.planner import Order
from meterspan.model.failures import Failure
from meterspan.model.lookup_errors import UnknownOrderError
from meterspan.model.views import OrderState
from meterspan.quantities import Obis, Scaled

__all__ = ["OrderBook", "OrderRecord"]

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


class OrderBook:
    """Remembers orders by number; an order ends once, and later reports change nothing."""

    def __init__(self) -> None:
        self._records: OrderedDict[int, OrderRecord] = OrderedDict()

    def placed(self, order: Order, now: float) -> None:
        """Remember a new order, forgetting the oldest beyond ``ORDERS_KEPT``."""
        self._records[order.order_id] = OrderRecord(order, now)
        if len(self._records) > ORDERS_KEPT:
            self._records.popitem(last=False)

    def answered(self, order_id: int, values: Mapping[Obis, Scaled], now: float) -> None:
        """Note an answer."""
        record = self._waiting(order_id)
        if record is not None:
            record.values, record.failure = dict(values), None
            record.state, record.ended_at = OrderState.ANSWERED, now

    def failed(self, order_id: int, failure: Failure, now: float) -> None:
        """Note that a session for it failed, which ends it where trying again is without hope."""
        record = self._waiting(order_id)
        if record is not None:
            record.failure = failure
            if failure.permanent:
                record.state, record.ended_at = OrderState.FAILED, now

    def timed_out(self, order_id: int, now: float) -> None:
        """Note that the deadline passed."""
        record = self._waiting(order_id)
        if record is not None:
            record.state, record.ended_at = OrderState.TIMED_OUT, now

    def get(self, order_id: int) -> OrderRecord:
        """Return an order's record.

        Raises:
            UnknownOrderError: no such order, or it was dropped because of its age.

        """
        record = self._records.get(order_id)
        if record is None:
            raise UnknownOrderError(order_id)
        return record

    def newest(self, limit: int) -> list[OrderRecord]:
        """Return the records of the newest orders, newest first."""
        return list(islice(reversed(self._records.values()), limit))

    def _waiting(self, order_id: int) -> OrderRecord | None:
        record = self._records.get(order_id)
        return record if record is not None and record.is_waiting else None
