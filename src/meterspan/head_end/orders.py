"""The order book: on-demand reads from being placed to being answered or timed out; bounded, newest kept."""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from meterspan.head_end.planner import Order
from meterspan.model.lookup_errors import UnknownOrderError
from meterspan.quantities import Obis, Scaled

__all__ = ["OrderBook", "OrderRecord"]

ORDERS_KEPT: Final = 10_000
"""Orders remembered: a day of an operator's clicks, or one campaign over a town."""


@dataclass(slots=True)
class OrderRecord:
    """One on-demand read.

    Attributes:
        order: what was asked.
        asked_at: UTC seconds.
        values: what came; empty while it waits, and where the meter refused every register.
        is_answered: whether a session has answered it.
        is_timed_out: whether its deadline passed first.

    """

    order: Order
    asked_at: float
    values: dict[Obis, Scaled] = field(default_factory=dict)
    is_answered: bool = False
    is_timed_out: bool = False


class OrderBook:
    """Remembers orders by number."""

    def __init__(self) -> None:
        self._records: OrderedDict[int, OrderRecord] = OrderedDict()

    def placed(self, order: Order, now: float) -> None:
        """Remember a new order, forgetting the oldest beyond ``ORDERS_KEPT``."""
        self._records[order.order_id] = OrderRecord(order, now)
        if len(self._records) > ORDERS_KEPT:
            self._records.popitem(last=False)

    def answered(self, order_id: int, values: Mapping[Obis, Scaled]) -> None:
        """Note an answer; one that comes after the deadline changes nothing."""
        record = self._records.get(order_id)
        if record is not None and not record.is_timed_out:
            record.values, record.is_answered = dict(values), True

    def timed_out(self, order_id: int) -> None:
        """Note that the deadline passed."""
        record = self._records.get(order_id)
        if record is not None:
            record.is_timed_out = True

    def get(self, order_id: int) -> OrderRecord:
        """Give an order's record.

        Raises:
            UnknownOrderError: no such order, or it was dropped because of its age.

        """
        record = self._records.get(order_id)
        if record is None:
            raise UnknownOrderError(order_id)
        return record
