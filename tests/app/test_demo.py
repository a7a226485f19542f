"""The parts of a demo: its data folder, its port, its days."""

import socket
from datetime import UTC, date, datetime

import pytest

from meterspan.app.demo import free_port, fresh_data, midnight_before
from meterspan.model.lookup_errors import UnknownHomeError
from meterspan.model.storage.errors import ConcurrentWriterError
from meterspan.quantities import Commodity


def test_a_second_demo_on_one_directory_is_refused_and_an_old_one_is_replaced(tmp_path):
    folder = tmp_path / "demo"
    first = fresh_data(folder)
    first.register_home("h", "Home", zone="Europe/Berlin")
    with pytest.raises(ConcurrentWriterError):
        fresh_data(folder)
    first.close()
    second = fresh_data(folder)
    assert list(second.homes()) == []
    with pytest.raises(UnknownHomeError):
        second.day("h", Commodity.WATER, date(2026, 1, 1))
    second.close()


def test_a_taken_port_is_passed_over():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert free_port(port) != port


@pytest.mark.parametrize(
    ("days", "midnight"), [(0, "2026-10-26T23:00"), (1, "2026-10-25T23:00"), (2, "2026-10-24T22:00")]
)
def test_a_demo_begins_at_a_local_midnight_also_over_a_clock_change(days, midnight):
    now = datetime(2026, 10, 27, 9, 30, tzinfo=UTC).timestamp()
    assert datetime.fromtimestamp(midnight_before(now, days), UTC) == datetime.fromisoformat(f"{midnight}:00+00:00")
