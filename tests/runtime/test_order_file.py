"""The order book at rest: every order comes back as it was, the newest are kept, a damaged one hides no other."""

import sqlite3
import stat
from contextlib import closing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meterspan.head_end.orders import OrderRecord
from meterspan.head_end.planner import Order
from meterspan.model.failures import Failure, FailureKind
from meterspan.model.views import OrderState
from meterspan.quantities import UNITS, Obis, Scaled
from meterspan.runtime import order_file
from meterspan.runtime.order_file import OrderFile
from tests.strategies import obis_codes

texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
seconds = st.floats(0, 2**40)
values = st.builds(
    Scaled, st.integers(-(2**60), 2**60), st.integers(-9, 9), st.sampled_from([UNITS["Wh"], UNITS["m3"]])
)


@st.composite
def records(draw, number):
    """Any record that the order book may hold."""
    return OrderRecord(
        Order(number, draw(texts), tuple(draw(st.lists(obis_codes, max_size=3))), draw(seconds), draw(texts)),
        draw(seconds),
        draw(st.dictionaries(obis_codes, values, max_size=3)),
        draw(st.sampled_from(OrderState)),
        draw(st.none() | st.builds(Failure, st.sampled_from(FailureKind), texts)),
        draw(st.none() | seconds),
    )


def record(number):
    return OrderRecord(Order(number, "MSP1", (Obis(1, 0, 1, 8, 0),), 60.0, "anna"), 0.0)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "orders.sqlite"


def read(path):
    with closing(OrderFile(path)) as file:
        return file.records(), [item.name for item in file.quarantined()]


@settings(max_examples=12)
@given(st.data())
def test_every_order_comes_back_as_it_was_and_the_newest_report_counts(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("orders") / "orders.sqlite"
    newest = {}
    with closing(OrderFile(path)) as file:
        for _ in range(data.draw(st.integers(0, 3))):
            batch = [data.draw(records(number)) for number in sorted(data.draw(st.sets(st.integers(1, 9))))]
            file.save(batch)
            newest |= {item.order.order_id: item for item in batch}
    assert read(path) == ([newest[number] for number in sorted(newest)], [])


def test_the_oldest_are_forgotten_beyond_the_bound(path, monkeypatch):
    monkeypatch.setattr(order_file, "ORDERS_KEPT", 2)
    with closing(OrderFile(path)) as file:
        for number in (1, 2, 3):
            file.save([record(number)])
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("select number from ordered_read order by number").fetchall() == [(2,), (3,)]


def test_a_damaged_order_is_named_and_hides_no_other(path):
    with closing(OrderFile(path)) as file:
        file.save([record(1), record(2)])
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("update ordered_read set state = 'eaten' where number = 1")
    assert read(path) == ([record(2)], ["ordered_read 1"])


def test_only_its_owner_may_read_it(path):
    with closing(OrderFile(path)) as file:
        file.save([record(1)])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
