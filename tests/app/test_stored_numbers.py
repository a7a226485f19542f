import asyncio
import threading
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from meterspan.app.stored_numbers import GatheredNumbers, StoredNumbers
from meterspan.model.damage import Damage


class CountingData:
    """Data management that counts how often it sums up."""

    def __init__(self) -> None:
        self.revision = 1
        self.sums = 0

    def damage(self) -> list[Damage]:
        return [Damage("batch 7", "cut")]

    def totals(self) -> SimpleNamespace:
        self.sums += 1
        return SimpleNamespace(readings=100 * self.revision, unexplained_wh=self.revision)


def test_the_headline_is_summed_up_once_for_each_change() -> None:
    data = CountingData()
    numbers = StoredNumbers(data)
    assert [numbers.readings_stored(), numbers.unexplained_wh(), numbers.readings_stored()] == [100, 1, 100]
    assert data.sums == 1
    data.revision = 2
    assert [numbers.unexplained_wh(), numbers.readings_stored()] == [2, 200]
    assert data.sums == 2


def test_damage_is_that_of_the_data_or_of_the_whole_station() -> None:
    assert StoredNumbers(CountingData()).damage() == [Damage("batch 7", "cut")]
    assert StoredNumbers(CountingData(), list).damage() == []


class PartedData:
    """Data management of usage points with so much unexplained energy."""

    def __init__(self, *parts: int) -> None:
        self.revision = 1
        self.parts = parts
        self.stored = 100
        self.asked_in: list[int] = []
        self.asked = threading.Event()

    def readings_stored(self) -> int:
        return self.stored

    def unexplained_wh(self) -> Iterator[int]:
        for part in self.parts:
            self.asked_in.append(threading.get_ident())
            self.asked.set()
            yield part


def test_the_gathered_sum_is_not_known_until_all_usage_points_are_in_it() -> None:
    data = PartedData(1, 2, 4)
    numbers = GatheredNumbers(data, list)
    assert (numbers.unexplained_wh(), numbers.readings_stored()) == (None, 100)
    numbers.gather()
    assert numbers.unexplained_wh() == 7
    data.parts = (8,)
    numbers.gather()
    assert numbers.unexplained_wh() == 7, "nothing has changed"
    data.revision = 2
    numbers.gather()
    assert numbers.unexplained_wh() == 8


def test_of_nothing_stored_nothing_is_known() -> None:
    data = PartedData(0)
    data.stored = 0
    numbers = GatheredNumbers(data, list)
    numbers.gather()
    assert numbers.unexplained_wh() is None


@pytest.mark.finding("security H5")
def test_the_sum_is_made_in_another_thread_and_ends_with_the_program() -> None:
    data = PartedData(*range(100_000))
    numbers = GatheredNumbers(data, list)

    async def scenario() -> None:
        job = asyncio.create_task(numbers.run())
        await asyncio.to_thread(data.asked.wait, 5)
        job.cancel()
        with pytest.raises(asyncio.CancelledError):
            await job

    asyncio.run(scenario())
    assert 0 < len(data.asked_in) < 100_000
    assert threading.get_ident() not in data.asked_in
