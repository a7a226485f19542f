"""What any backend of the store's ports must do; ``test_contract.py`` runs it for each that there is.

A backend is opened by ``open(place)`` as often as wanted: what was stored through one opening is there in the next.
"""

import itertools
import threading
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from meterspan.model.lookup_errors import ImportUndoneError, UnknownImportError
from meterspan.model.readings import EventSeverity, MeterEvent
from meterspan.model.storage.errors import StorageClosedError, StorageError
from meterspan.model.storage.readings import ImportRecord, Readings, SettledIntervals, UnsettledDays
from meterspan.model.storage.registry import (
    DeviceRow,
    HomeRow,
    InstallationRow,
    TariffRow,
    UsagePointRow,
    VersionRow,
)
from meterspan.quantities import DAY_S, Quality
from tests.store.memory_backends import MemoryJournal

DAY = 20_000
T0 = DAY * DAY_S


def readings(rows, received_at=T0):
    series, times, values = (np.array([row[index] for row in rows], np.int64) for index in range(3))
    zero = np.zeros(len(rows), np.int32)
    arrived = np.full(len(rows), received_at, np.int64)
    return Readings(series.astype(np.int32), times, values, zero, zero, zero.astype(np.int8), arrived)


def rows_of(found):
    return list(zip(found.series.tolist(), found.time.tolist(), found.value.tolist(), strict=True))


def days_of(journal):
    days = journal.days_to_settle()
    return list(zip(days.series.tolist(), days.day.tolist(), days.readings.tolist(), strict=True))


IMPORT_STEPS = st.tuples(
    st.sampled_from(["append", "import", "undo", "undo"]),
    st.lists(st.tuples(st.integers(1, 2), st.sampled_from([T0, T0 + 900, T0 + DAY_S]), st.integers(5, 7)), max_size=4),
)


MANY = [1, 2, 3, 4, *range(1_000, 1_100)]
"""Series enough that the times of whole segments are asked for."""


def times_of(stretches):
    """Each series with all its times and the newest arrival."""
    return {
        number: (sorted(time for row in rows for time in row.times.tolist()), received_at)
        for number, rows, received_at in stretches.by_series()
    }


def times_read(found):
    """The same out of readings."""
    told = {}
    for number, time, received_at in zip(
        found.series.tolist(), found.time.tolist(), found.received_at.tolist(), strict=True
    ):
        times, newest = told.get(number, (set(), received_at))
        told[number] = (times | {time}, max(newest, received_at))
    return {number: (sorted(times), newest) for number, (times, newest) in told.items()}


def state_of(journal):
    """All that is read, without which of several contradicting values is the one that is marked."""
    found = journal.read([1, 2], T0, T0 + 2 * DAY_S)
    assert times_of(journal.stretches(MANY, T0, T0 + 2 * DAY_S)) == times_read(found)
    conflict = int(Quality.CONFLICT)
    marks = Counter()
    for series, time, quality in zip(found.series.tolist(), found.time.tolist(), found.quality.tolist(), strict=True):
        marks[series, time] += bool(quality & conflict)
    columns = (found.received_at.tolist(), (found.quality & ~conflict).tolist(), found.source.tolist())
    bounds = [journal.bounds(series) for series in (1, 2)]
    return rows_of(found), columns, marks, bounds, journal.counts().readings


class JournalContract:
    """A ``ReadingJournal``."""

    @pytest.fixture
    def opened(self, place):
        journal = self.open(place)
        yield journal
        journal.close()

    @pytest.fixture
    def fresh_place(self, place):
        numbers = itertools.count()
        return lambda: {} if isinstance(place, dict) else place / str(next(numbers))

    def reopened(self, journal, place):
        journal.close()
        return self.open(place)

    def test_readings_come_back_sorted_and_cut_to_the_span(self, opened):
        opened.append(readings([(2, T0, 5), (1, T0 + 900, 7), (1, T0, 6)]))
        assert rows_of(opened.read([2, 1], T0, T0 + 901)) == [(1, T0, 6), (1, T0 + 900, 7), (2, T0, 5)]
        assert rows_of(opened.read([1], T0, T0 + 900)) == [(1, T0, 6)]
        assert rows_of(opened.read([9], T0, T0 + 900)) == rows_of(opened.read([], T0, T0 + 9)) == []
        assert (opened.bounds(1), opened.bounds(9)) == ((T0, T0 + 900), None)

    def test_duplicates_are_counted_and_conflicts_kept_and_marked(self, opened):
        opened.append(readings([(1, T0, 5)]))
        receipt = opened.append(readings([(1, T0, 5), (1, T0, 6), (1, T0 + 9, 7)]))
        assert (receipt.duplicates, receipt.conflicts, rows_of(receipt.fresh)) == (1, 1, [(1, T0, 6), (1, T0 + 9, 7)])
        marked = [bool(word & Quality.CONFLICT) for word in opened.read([1], T0, T0 + 10).quality.tolist()]
        assert marked == [False, True, False]
        counts = opened.counts()
        assert (counts.readings, counts.duplicates, counts.conflicts) == (3, 1, 1)

    def test_a_batch_named_before_stores_nothing(self, opened, place):
        assert not opened.append(readings([(1, T0, 5)]), batch_id=b"a").repeated
        journal = self.reopened(opened, place)
        assert journal.append(readings([(1, T0 + 9, 6)]), batch_id=b"a").repeated
        assert rows_of(journal.read([1], T0, T0 + 99)) == [(1, T0, 5)]
        journal.close()

    def test_all_of_it_is_there_after_reopening(self, opened, place):
        event = MeterEvent("M1", T0, "10", "cover opened", EventSeverity.ALARM)
        opened.append(readings([(1, T0, 5)]), [event, event])
        journal = self.reopened(opened, place)
        assert rows_of(journal.read([1], T0, T0 + 1)) == [(1, T0, 5)]
        assert (journal.events("M1"), journal.events("M2"), journal.bounds(1)) == ([event], [], (T0, T0))
        assert sum(map(len, journal.pending())) == 1
        journal.close()

    def test_closed_days_answer_as_before_and_late_readings_are_marked(self, opened):
        opened.append(readings([(1, T0 + 900 * index, index) for index in range(150)]))
        assert (opened.closed_through, opened.newest_closed()) == (None, None)
        assert opened.compact(T0 + DAY_S) == 96
        assert (opened.closed_through, opened.newest_closed()) == (T0 + DAY_S, T0 + 95 * 900)
        receipt = opened.append(readings([(1, T0 + 900, 1), (1, T0 + 901, 1)]))
        assert (receipt.duplicates, receipt.late) == (1, 1)
        assert Quality(int(receipt.fresh.quality[0])) & Quality.LATE
        for _ in range(2):
            opened.compact(T0 + DAY_S)
            assert len(opened.read([1], T0, T0 + 2 * DAY_S)) == opened.counts().readings == 151
        with pytest.raises(ValueError, match="midnight"):
            opened.compact(T0 + 5)

    @pytest.mark.attack(10)
    def test_the_times_of_closed_open_and_late_readings_are_those_that_are_read(self, opened, place):
        def check(journal):
            days = []
            found = journal.stretches(MANY, T0, T0 + 3 * DAY_S, lambda done, days_: days.append((done, days_)))
            assert times_of(found) == times_read(journal.read(MANY, T0, T0 + 3 * DAY_S))
            assert not days or days[-1][0] == days[-1][1]
            return found

        assert len(check(opened)) == 0
        opened.append(readings([(1, T0 + 900 * index, index) for index in range(250)], T0 + 5))
        opened.append(readings([(2, T0 + DAY_S * index, index) for index in range(3)], T0 + 9))
        opened.compact(T0 + 2 * DAY_S)
        assert len(check(opened)) == 2, "evenly spaced times are one stretch, over days and the end of what is closed"
        opened.append(readings([(1, T0 + 901, 1), (1, T0, 7)], T0 + 99))
        check(opened)
        for _ in range(2):
            opened.compact(T0 + 2 * DAY_S)
            check(opened)
        journal = self.reopened(opened, place)
        check(journal)
        journal.close()

    def test_days_to_settle_are_noted_with_their_batch_and_outlive_reopening_and_compaction(self, opened, place):
        opened.append(readings([(1, T0, 1), (1, T0 + 9, 2), (2, T0 + DAY_S, 3)]))
        opened.append(readings([(1, T0 + 9, 2)]))  # a duplicate changes no day
        opened.compact(T0 + 2 * DAY_S)
        journal = self.reopened(opened, place)
        assert days_of(journal) == [(1, DAY, 2), (2, DAY + 1, 1)]
        journal.close()

    def test_settled_days_are_forgotten_and_days_noted_meanwhile_are_not(self, opened, place):
        opened.append(readings([(1, T0, 1), (1, T0 + DAY_S, 2), (3, T0, 3)]))
        listed = opened.days_to_settle()
        opened.append(readings([(1, T0 + 60, 1), (4, T0, 4)]))
        opened.note_unsettled(UnsettledDays.of([3], [DAY]))
        opened.settled(listed)
        expected = [(1, DAY, 1), (3, DAY, 0), (4, DAY, 1)]
        assert days_of(opened) == expected
        journal = self.reopened(opened, place)
        assert days_of(journal) == expected
        journal.settled(journal.days_to_settle())
        journal.settled(listed)  # a second time changes nothing
        assert days_of(journal) == []
        journal.close()

    def test_a_part_of_the_list_may_be_settled(self, opened):
        opened.note_unsettled(UnsettledDays.of([1, 2, 3], [DAY, DAY, DAY]))
        listed = opened.days_to_settle()
        opened.settled(listed[listed.series == 2])
        assert days_of(opened) == [(1, DAY, 0), (3, DAY, 0)]

    def test_many_threads_append_and_nothing_is_lost_or_doubled(self, opened):
        def write(series):
            for index in range(20):
                opened.append(readings([(series, T0 + index, index), (series, T0 + index, index)]))

        threads = [threading.Thread(target=write, args=(series,)) for series in range(1, 5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        expected = [(series, T0 + index, index) for series, index in itertools.product(range(1, 5), range(20))]
        assert rows_of(opened.read(range(1, 5), T0, T0 + 99)) == expected
        assert days_of(opened) == [(series, DAY, 20) for series in range(1, 5)]

    def test_an_import_is_taken_whole_and_counted_and_a_trial_stores_nothing(self, opened):
        opened.append(readings([(1, T0, 5), (1, T0 + 900, 6)]))
        parts = [readings([(1, T0, 5), (1, T0 + 900, 7)], T0 + 1), readings([(1, T0 + 1_800, 8)], T0 + 1)]
        asked = ImportRecord(0, "in.csv", b"digest", T0 + 1)
        tried = opened.take_import(asked, parts, is_trial=True)
        assert (tried.number, tried.readings, tried.duplicates, tried.conflicts) == (0, 2, 1, 1)
        assert (len(opened.read([1], T0, T0 + DAY_S)), opened.imports(), opened.counts().readings) == (2, [], 2)
        receipts = []
        taken = opened.take_import(asked, iter(parts), note=receipts.append)
        assert taken == replace(tried, number=1) == opened.imports()[0]
        assert (taken.first_time, taken.last_time, len(receipts)) == (T0, T0 + 1_800, 2)
        assert len(opened.read([1], T0, T0 + DAY_S)) == opened.counts().readings == 4
        assert opened.series_of_import(1) == [1]

    def test_an_import_that_fails_stores_nothing(self, opened):
        def parts():
            yield readings([(1, T0, 5)])
            raise RuntimeError("the file ends")

        with pytest.raises(RuntimeError, match="the file ends"):
            opened.take_import(ImportRecord(0, "in.csv", b"digest", T0), parts())
        assert (opened.imports(), opened.bounds(1), opened.counts().readings) == ([], None, 0)

    def test_an_undone_import_is_named_and_its_days_are_settled_again(self, opened, place):
        opened.take_import(ImportRecord(0, "in.csv", b"digest", T0), [readings([(1, T0, 5)])])
        opened.settled(opened.days_to_settle())
        undone = opened.undo_import(1, T0 + 99)
        assert (undone.undone_at, opened.imports()) == (T0 + 99, [undone])
        assert (len(opened.read([1], T0, T0 + 9)), opened.bounds(1), opened.counts().readings) == (0, None, 0)
        assert [row[:2] for row in days_of(opened)] == [(1, DAY)]
        with pytest.raises(ImportUndoneError):
            opened.undo_import(1, T0 + 100)
        with pytest.raises(UnknownImportError):
            opened.undo_import(2, T0 + 100)
        journal = self.reopened(opened, place)
        assert (journal.bounds(1), sum(map(len, journal.pending())), journal.newest_closed()) == (None, 0, None)
        journal.close()

    @pytest.mark.attack(8)
    @pytest.mark.finding("users D-3")
    @given(steps=st.lists(IMPORT_STEPS, max_size=9), closed=st.integers(0, 9))
    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
    def test_what_is_read_after_an_undone_import_is_what_is_read_without_it(self, fresh_place, steps, closed):
        """Whatever came before, between and after, from wherever, closed, reopened or not."""
        place, other = fresh_place(), {}
        mine, truth = self.open(place), MemoryJournal(other)
        numbers = 0
        for index, (kind, rows) in enumerate(steps):
            batch = readings(rows, T0 + index)
            if kind == "append" and rows:
                assert mine.append(batch).duplicates == truth.append(batch).duplicates
            elif kind == "import":
                numbers += 1
                asked = ImportRecord(0, "in.csv", bytes([index]), T0 + index)
                assert mine.take_import(asked, [batch]) == truth.take_import(asked, [batch])
            elif kind == "undo" and numbers:
                number = index % numbers + 1
                if truth.imports()[number - 1].undone_at is None:
                    assert mine.undo_import(number, T0 + index) == truth.undo_import(number, T0 + index)
            if index == closed:
                mine.compact(T0 + DAY_S)
                truth.compact(T0 + DAY_S)
                mine.close()
                mine = self.open(place)
            assert state_of(mine) == state_of(truth)
        mine.close()

    def test_nothing_is_quarantined_where_nothing_is_damaged(self, opened):
        opened.append(readings([(1, T0, 1)]))
        assert opened.quarantined() == []
        assert (opened.counts().quarantined, opened.counts().quarantined_readings) == (0, 0)

    def test_after_close_every_call_is_a_storage_error(self, opened):
        opened.close()
        opened.close()
        for use in (lambda: opened.append(readings([(1, T0, 1)])), lambda: opened.read([1], 0, 9), opened.counts):
            with pytest.raises(StorageClosedError):
                use()


ONE = SettledIntervals(np.array([T0]), np.array([T0 + 900]), np.array([5]), np.array([0], np.int32))


def version(number, day=DAY):
    return VersionRow("MP1", day, number, T0, "first", "rule", "author", "1/1000", ONE)


class RegistryContract:
    """A ``RegistryStore``."""

    @pytest.fixture
    def opened(self, place):
        registry = self.open(place)
        registry.save(
            HomeRow("h1", "Elm Street 1", "Europe/Berlin", "EUR"),
            UsagePointRow("MP1", "h1", "electricity", 900),
            DeviceRow("B", "electricity"),
            DeviceRow("A", "electricity"),
        )
        yield registry
        registry.close()

    def test_rows_come_back_in_order_after_reopening(self, opened, place):
        first = InstallationRow("MP1", "A", 0, T0, 1, {"1-0:1.8.0": [5, 0, "Wh"]}, {"1-0:1.8.0": [9, 0, "Wh"]}, {})
        second = InstallationRow("MP1", "B", T0, None, 40, {}, {}, {"1-0:1.8.0": 1_000})
        opened.save(second, first)
        tariff = TariffRow("MP1", "2026-01-01", {"name": "flat", "bands": [{"price": "0.30"}]})
        opened.save(tariff)
        opened.close()
        registry = self.open(place)
        assert registry.homes() == [HomeRow("h1", "Elm Street 1", "Europe/Berlin", "EUR")]
        assert registry.usage_points() == [UsagePointRow("MP1", "h1", "electricity", 900)]
        assert [row.device for row in registry.devices()] == ["A", "B"]
        assert registry.installations() == [first, second]
        assert registry.tariffs() == [tariff]
        assert registry.quarantined() == []
        registry.close()

    def test_a_row_saved_again_is_replaced(self, opened):
        opened.save(HomeRow("h1", "Oak Street 2", "Europe/Zurich", "CHF"))
        assert [row.name for row in opened.homes()] == ["Oak Street 2"]

    def test_rows_are_saved_all_or_none(self, opened):
        with pytest.raises(ValueError, match=r"(?i)foreign key"):
            opened.save(HomeRow("h2", "Oak", "UTC", "EUR"), UsagePointRow("MP2", "nobody", "gas", 3_600))
        assert [row.home_id for row in opened.homes()] == ["h1"]

    def test_series_are_numbered_once_each(self, opened, place):
        first = opened.add_series("A", "1-0:1.8.0", "Wh", 0)
        with pytest.raises(ValueError, match=r"(?i)unique"):
            opened.add_series("A", "1-0:1.8.0", "Wh", 0)
        second = opened.add_series("A", "1-0:1.8.0", "Wh", 3)
        assert second.series_id > first.series_id > 0
        opened.close()
        registry = self.open(place)
        assert registry.series() == [first, second]
        registry.close()

    def test_versions_are_listed_by_day_and_number_and_never_changed(self, opened):
        opened.save_versions([version(2), version(1), version(1, DAY + 1)])
        opened.save_versions([])
        found = opened.versions("MP1", DAY, DAY + 1)
        assert [(row.day, row.version) for row in found] == [(DAY, 1), (DAY, 2), (DAY + 1, 1)]
        assert found[0].intervals.value.tolist() == [5]
        assert len(opened.versions("MP1", DAY, DAY)) == 2
        assert opened.versions("MP1", DAY + 2, DAY + 9) == opened.versions("MP9", DAY, DAY) == []
        with pytest.raises(ValueError, match=r"(?i)unique"):
            opened.save_versions([version(3), version(1)])
        assert len(opened.versions("MP1", DAY, DAY)) == 2, "all or none"

    def test_a_closed_registry_fails_with_a_storage_error_or_opens_anew(self, opened):
        opened.close()
        try:
            assert len(opened.homes()) == 1
        except StorageError as error:
            assert isinstance(error, StorageClosedError)  # noqa: PT017 - either is within the contract
