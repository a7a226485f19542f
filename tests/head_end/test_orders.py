"""The order book under any sequence of reports: an order ends once, and the newest are kept."""

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from meterspan.head_end import orders
from meterspan.head_end.orders import OrderBook, OrderRecord
from meterspan.head_end.planner import Order
from meterspan.model.failures import Failure, FailureKind
from meterspan.model.lookup_errors import UnknownOrderError
from meterspan.model.views import OrderState
from meterspan.quantities import UNITS, Obis, Scaled

IMPORT = Obis(1, 0, 1, 8, 0)
VALUES = {IMPORT: Scaled(1, 0, UNITS["Wh"])}


class Book(RuleBasedStateMachine):
    """Places orders and reports on them in any order; remembers how each ended first."""

    def __init__(self) -> None:
        super().__init__()
        self.book = OrderBook()
        self.now = 0.0
        self.ended: dict[int, tuple[OrderState, float]] = {}
        self.placed = 0

    @rule()
    def place(self) -> None:
        self.placed += 1
        self.book.placed(Order(self.placed, "MSP1", (IMPORT,), 60.0), self.now)

    @precondition(lambda self: self.placed)
    @rule(data=st.data(), report=st.sampled_from(["answered", "failed", "hopeless", "timed out"]))
    def report(self, data, report: str) -> None:
        order_id = data.draw(st.integers(1, self.placed + 1))
        self.now += 1
        state = {"answered": OrderState.ANSWERED, "hopeless": OrderState.FAILED, "timed out": OrderState.TIMED_OUT}
        if report == "answered":
            self.book.answered(order_id, VALUES, self.now)
        elif report == "timed out":
            self.book.timed_out(order_id, self.now)
        else:
            self.book.failed(order_id, Failure(FailureKind.TIMEOUT, permanent=report == "hopeless"), self.now)
        if report in state and order_id <= self.placed:
            self.ended.setdefault(order_id, (state[report], self.now))

    @invariant()
    def an_order_ends_once(self) -> None:
        for order_id in range(1, self.placed + 1):
            record = self.book.get(order_id)
            assert (record.state, record.ended_at) == self.ended.get(order_id, (OrderState.WAITING, None))
            assert bool(record.values) == (record.state is OrderState.ANSWERED)

    @invariant()
    def the_newest_stand_first(self) -> None:
        newest = [record.order.order_id for record in self.book.newest(3)]
        assert newest == list(range(self.placed, max(0, self.placed - 3), -1))


TestBook = Book.TestCase


def test_the_oldest_order_is_forgotten_beyond_the_bound(monkeypatch) -> None:
    monkeypatch.setattr(orders, "ORDERS_KEPT", 2)
    book = OrderBook()
    for number in (1, 2, 3):
        book.placed(Order(number, "MSP1", (IMPORT,), 60.0), 0.0)
    with pytest.raises(UnknownOrderError):
        book.get(1)
    assert [record.order.order_id for record in book.newest(10)] == [3, 2]
    assert isinstance(book.get(2), OrderRecord)
