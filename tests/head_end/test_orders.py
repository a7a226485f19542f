"""The order book under any sequence of reports: an order ends once, and the newest are kept."""

from decimal import Decimal

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from meterspan.head_end import orders
from meterspan.head_end.orders import OrderBook, OrderRecord, order_values
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
        self.behind: set[int] = set()
        self.placed = 0
        self.kept: dict[int, OrderRecord] = {}

    @rule()
    def place(self) -> None:
        self.placed += 1
        self.book.placed(Order(self.placed, "MSP1", (IMPORT,), 60.0), self.now)

    @precondition(lambda self: self.placed)
    @rule(data=st.data(), report=st.sampled_from(["answered", "failed", "behind", "stopped", "timed out"]))
    def report(self, data, report: str) -> None:
        order_id = data.draw(st.integers(1, self.placed + 1))
        self.now += 1
        state = {"answered": OrderState.ANSWERED, "failed": OrderState.FAILED, "timed out": OrderState.TIMED_OUT}
        if report == "behind" and order_id in self.behind:
            state["behind"] = OrderState.FAILED  # counters are recovered once
        if report == "answered":
            self.book.answered(order_id, VALUES, self.now)
        elif report == "timed out":
            self.book.timed_out(order_id, self.now)
        else:
            kinds = {"behind": FailureKind.COUNTER_BEHIND, "stopped": FailureKind.CANCELLED}
            was_waiting = order_id <= self.placed and order_id not in self.ended
            ended = self.book.failed(order_id, Failure(kinds.get(report, FailureKind.TIMEOUT)), self.now)
            assert ended == (was_waiting and report in state)
            self.behind |= {order_id} if report == "behind" and was_waiting else set()
        if report in state and order_id <= self.placed:
            self.ended.setdefault(order_id, (state[report], self.now))

    @invariant()
    def an_order_ends_once(self) -> None:
        for order_id in range(1, self.placed + 1):
            record = self.book.get(order_id)
            assert (record.state, record.ended_at) == self.ended.get(order_id, (OrderState.WAITING, None))
            assert bool(record.values) == (record.state is OrderState.ANSWERED)

    @rule()
    def keep(self) -> None:
        self.kept |= {record.order.order_id: record for record in self.book.take_changed()}
        again = OrderBook()
        again.restore(self.kept[number] for number in sorted(self.kept))
        for order_id in range(1, self.placed + 1):
            assert again.get(order_id) == self.book.get(order_id), "what was kept is what is remembered"

    @invariant()
    def the_newest_stand_first(self) -> None:
        newest = [record.order.order_id for record in self.book.newest(3)]
        assert newest == list(range(self.placed, max(0, self.placed - 3), -1))


@pytest.mark.finding("security low-14")
class TestBook(Book.TestCase):
    """What is kept of orders is what is remembered of them."""


def test_the_oldest_order_is_forgotten_beyond_the_bound(monkeypatch) -> None:
    monkeypatch.setattr(orders, "ORDERS_KEPT", 2)
    book = OrderBook()
    for number in (1, 2, 3):
        book.placed(Order(number, "MSP1", (IMPORT,), 60.0), 0.0)
    with pytest.raises(UnknownOrderError):
        book.get(1)
    assert [record.order.order_id for record in book.newest(10)] == [3, 2]
    assert isinstance(book.get(2), OrderRecord)


def test_records_that_could_not_be_kept_are_returned_again() -> None:
    book = OrderBook()
    book.placed(Order(1, "MSP1", (IMPORT,), 60.0), 0.0)
    lost = book.take_changed()
    assert book.take_changed() == []
    book.note_changed(lost)
    assert book.take_changed() == lost


def test_the_orders_of_one_meter_are_listed_alone() -> None:
    book = OrderBook()
    for number, device in ((1, "MSP1"), (2, "MSP2"), (3, "MSP1")):
        book.placed(Order(number, device, (IMPORT,), 60.0), 0.0)
    assert [record.order.order_id for record in book.newest(10, "MSP1")] == [3, 1]


@pytest.mark.finding("users A5")
def test_values_have_a_name_and_the_unit_in_which_people_read_them() -> None:
    record = OrderRecord(Order(1, "MSP1", (IMPORT,), 60.0), 0.0, {IMPORT: Scaled(6_504_555, 0, UNITS["Wh"])})
    (value,) = order_values(record)
    assert (value.obis, value.value, value.unit) == ("1-0:1.8.0", Decimal("6504.555"), "kWh")
    assert value.name == "active energy import"
