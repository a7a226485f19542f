from types import SimpleNamespace

from meterspan.app.stored_numbers import StoredNumbers
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
