"""The store keeps what it acknowledged, once, whatever happens between any two steps."""

import contextlib
import random
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meterspan.model.readings import EventSeverity, MeterEvent
from meterspan.model.storage.errors import (
    ConcurrentWriterError,
    DamagedError,
    ForeignSegmentError,
    StorageClosedError,
    StorageError,
    StorageUnavailableError,
    UnknownFormatError,
)
from meterspan.model.storage.readings import Readings
from meterspan.quantities import Quality
from meterspan.store.reading_store import FOLD_AT, ReadingStore
from tests.store import crash_child
from tests.store.contract import MANY, times_of, times_read

CHILD = Path(__file__).with_name("crash_child.py")
DAY_S = 86_400
T0 = 20_000 * DAY_S


def readings(rows, *, received_at=None):
    """Build readings from (series, time, value)."""
    columns = list(zip(*rows, strict=True)) or [(), (), ()]
    count = len(rows)
    moment = max(columns[1], default=0) if received_at is None else received_at
    nothing = np.zeros(count, np.int32)
    return Readings(
        np.array(columns[0], np.int32),
        np.array(columns[1], np.int64),
        np.array(columns[2], np.int64),
        nothing,
        nothing,
        np.full(count, 1, np.int8),
        np.full(count, moment, np.int64),
    )


def rows_of(found):
    return list(zip(found.series.tolist(), found.time.tolist(), found.value.tolist(), strict=True))


def everything(store):
    return rows_of(store.read(range(1, 100), 0, 1 << 40))


def day_rows(day, series=1, count=96, first=0):
    return [(series, T0 + day * DAY_S + 900 * index, first + index) for index in range(count)]


class CrashError(Exception):
    """What an injected fault raises."""


def test_readings_come_back_sorted_by_series_and_time(tmp_path):
    with ReadingStore(tmp_path) as store:
        store.append(readings([(2, 900, 5), (1, 1800, 7), (1, 900, 6)]))
        assert everything(store) == [(1, 900, 6), (1, 1800, 7), (2, 900, 5)]
        assert rows_of(store.read([1], 900, 1800)) == [(1, 900, 6)]
        assert rows_of(store.read([], 0, 1 << 40)) == rows_of(store.read([9], 0, 1 << 40)) == []
        assert (store.bounds(1), store.bounds(9), store.bounds(10_000)) == ((900, 1800), None, None)


def test_every_column_survives_journal_and_segment(tmp_path):
    extreme = Readings(
        np.array([1, 1, 2], np.int32),
        np.array([T0, T0 + 1, T0], np.int64),
        np.array([-(1 << 63), (1 << 63) - 1, 0], np.int64),
        np.array([-(1 << 31), (1 << 31) - 1, 3], np.int32),
        np.array([1, 2, 1 << 18], np.int32),
        np.array([1, 8, 2], np.int8),
        np.array([T0, 1 << 40, 0], np.int64),
    )
    with ReadingStore(tmp_path) as store:
        store.append(extreme)
        for _ in range(2):
            found = store.read([1, 2], 0, 1 << 40)
            for name in ("series", "time", "value", "status", "quality", "source", "received_at"):
                assert np.array_equal(getattr(found, name), getattr(extreme, name)), name
            store.compact(T0 + DAY_S)
        assert store.counts().batches == 0


def test_duplicates_are_recognised_and_conflicts_kept_beside_the_first(tmp_path):
    with ReadingStore(tmp_path) as store:
        store.append(readings([(1, 900, 5), (1, 1800, 6)]))
        receipt = store.append(readings([(1, 900, 5), (1, 1800, 9), (1, 2700, 7), (1, 2700, 7)]))
        assert (receipt.duplicates, receipt.conflicts) == (2, 1)
        assert rows_of(receipt.fresh) == [(1, 1800, 9), (1, 2700, 7)]
        found = store.read([1], 0, 9_999)
        assert rows_of(found) == [(1, 900, 5), (1, 1800, 6), (1, 1800, 9), (1, 2700, 7)]
        assert [bool(word & Quality.CONFLICT) for word in found.quality.tolist()] == [False, False, True, False]
        counts = store.counts()
        assert (counts.readings, counts.duplicates, counts.conflicts) == (4, 2, 1)


def test_duplicates_of_a_closed_day_are_recognised_in_its_segment(tmp_path):
    with ReadingStore(tmp_path) as store:
        store.append(readings(day_rows(0)))
        store.compact(T0 + DAY_S)
        receipt = store.append(readings([*day_rows(0, count=10), (1, T0 + 5, 1)]))
        assert (receipt.duplicates, receipt.late, len(receipt.fresh)) == (10, 1, 1)
        assert Quality.LATE in Quality(int(receipt.fresh.quality[0]))


def test_a_batch_id_seen_before_stores_nothing(tmp_path):
    with ReadingStore(tmp_path) as store:
        assert not store.append(readings([(1, 900, 5)]), batch_id=b"one").repeated
        assert store.append(readings([(1, 1800, 6)]), batch_id=b"one").repeated
        assert len(everything(store)) == 1
    with ReadingStore(tmp_path) as store:
        assert store.append(readings([(1, 1800, 6)]), batch_id=b"one").repeated


def test_events_are_kept_once_with_their_batch(tmp_path):
    event = MeterEvent("M1", 900, "10", "cover opened", EventSeverity.ALARM)
    with ReadingStore(tmp_path) as store:
        store.append(readings([]), [event, event])
        store.append(readings([(1, 900, 5)]), [event])
        assert store.events("M1") == [event]
        assert store.counts().events == 1


@given(
    st.lists(
        st.lists(st.tuples(st.integers(1, 4), st.integers(0, 40).map(lambda n: T0 + n * 7_000), st.integers(0, 2))),
        max_size=8,
    ),
    st.sets(st.integers(0, 7)),
)
@settings(max_examples=25, deadline=None)
def test_any_batches_with_compactions_between_are_the_set_of_their_readings(tmp_path_factory, batches, compact_after):
    with ReadingStore(tmp_path_factory.mktemp("store")) as store:
        seen = set()
        for index, rows in enumerate(batches):
            receipt = store.append(readings(rows))
            assert set(rows_of(receipt.fresh)) == set(rows) - seen
            assert receipt.duplicates == len(rows) - len(receipt.fresh)
            seen |= set(rows)
            if index in compact_after:
                store.compact(T0 + DAY_S * (1 + index))
            assert times_of(store.stretches(MANY, T0, T0 + 9 * DAY_S)) == times_read(
                store.read(MANY, T0, T0 + 9 * DAY_S)
            )
        assert everything(store) == sorted(seen)
        assert store.counts().readings == len(seen)


def test_small_batches_are_folded_without_a_change(tmp_path):
    with ReadingStore(tmp_path) as store:
        rows = [(1 + index % 3, T0 + index, index) for index in range(3 * FOLD_AT)]
        for row in rows:
            store.append(readings([row]))
        store.append(readings([(9, T0, 1)]))
        assert store.counts().batches < FOLD_AT
        assert everything(store) == sorted([*rows, (9, T0, 1)])


def test_late_readings_go_to_a_further_segment_and_are_merged_by_the_next_compaction(tmp_path):
    with ReadingStore(tmp_path) as store:
        store.append(readings(day_rows(0)))
        store.compact(T0 + DAY_S)
        store.append(readings([(1, T0 + 5, 1)]))
        store.compact(T0 + DAY_S)
        assert store.counts().segments == 2
        store.compact(T0 + DAY_S)
        assert store.counts().segments == 1
        assert everything(store) == sorted([*day_rows(0), (1, T0 + 5, 1)])
        assert len(list((tmp_path / "segments").iterdir())) == 1


def test_open_days_stay_in_the_journal(tmp_path):
    with ReadingStore(tmp_path) as store:
        store.append(readings(day_rows(0) + day_rows(1, first=96)))
        assert store.compact(T0 + DAY_S) == 96
        counts = store.counts()
        assert (counts.batches, counts.segments, store.closed_through) == (1, 1, T0 + DAY_S)
        assert len(everything(store)) == 192
        with pytest.raises(ValueError, match="midnight"):
            store.compact(T0 + 5)


STEPS = ("commit", "segment written", "segments written", "swap", "swapped", "merged", "fold")


@pytest.mark.parametrize("name", STEPS)
@pytest.mark.parametrize("occurrence", [1, 2, 4])
def test_a_fault_at_any_step_loses_and_doubles_nothing(tmp_path, name, occurrence):
    seen, fired = [], []

    def step(reached):
        seen.append(reached)
        if reached == name and seen.count(name) == occurrence and not fired:
            fired.append(reached)
            raise CrashError(reached)

    acknowledged, tried = set(), set()
    store = ReadingStore(tmp_path, step=step)
    work = [day_rows(0), day_rows(1), day_rows(2), [(1, T0 + 7, 1)], [(1, T0 + DAY_S + 7, 1)], [(1, T0 + 9, 1)]]
    work += [[(7, T0 + 3 * DAY_S + index, index)] for index in range(2 * FOLD_AT)]
    for index, rows in enumerate(work):
        tried |= set(rows)
        try:
            store.append(readings(rows))
            acknowledged |= set(rows)
            if index in {2, 3, 4, 5}:
                store.compact(T0 + 3 * DAY_S)
        except CrashError:
            break
    store.close()
    assert fired or seen.count(name) < occurrence
    with ReadingStore(tmp_path) as store:
        found = everything(store)
        assert len(found) == len(set(found))
        assert acknowledged <= set(found) <= tried
        assert store.counts().readings == len(found)
        store.compact(T0 + 3 * DAY_S)
        store.compact(T0 + 3 * DAY_S)
        assert everything(store) == found
        on_disk = {path.name for path in (tmp_path / "segments").iterdir()}
        assert len(on_disk) == store.counts().segments


def test_a_job_that_fails_takes_only_itself_back(tmp_path):
    with ReadingStore(tmp_path) as store:
        store.append(readings([(1, 900, 5)]))
        broken = readings([(1, 1800, 5)])
        with pytest.raises(ValueError, match=r"event\.text"):
            store.append(broken, [MeterEvent("M1", 1, "1", None)])
        assert everything(store) == [(1, 900, 5)]
        assert store.bounds(1) == (900, 900)
        store.append(broken)
        assert len(everything(store)) == 2


def test_many_threads_append_read_and_compact_together(tmp_path):
    with ReadingStore(tmp_path) as store:
        failures = []

        def write(series):
            try:
                for day in range(3):
                    for index in range(0, 96, 12):
                        store.append(readings(day_rows(day, series, first=day * 96)[index : index + 12]))
            except Exception as error:  # noqa: BLE001 - handed to the test
                failures.append(error)

        def look():
            try:
                before = 0
                while before < 4 * 288 and not failures:
                    found = len(everything(store))
                    assert found >= before
                    before = found
                    store.compact(T0 + 2 * DAY_S)
            except Exception as error:  # noqa: BLE001 - handed to the test
                failures.append(error)

        threads = [threading.Thread(target=write, args=(series,)) for series in range(1, 5)]
        threads.append(threading.Thread(target=look))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        assert len(set(everything(store))) == store.counts().readings == 4 * 288


def test_a_directory_has_one_owner(tmp_path):
    with ReadingStore(tmp_path), pytest.raises(ConcurrentWriterError, match="another process"):
        ReadingStore(tmp_path)
    with ReadingStore(tmp_path) as store:
        store.append(readings([(1, 900, 5)]))
    for use in (lambda: store.append(readings([(1, 900, 5)])), lambda: store.read([1], 0, 9), store.counts):
        with pytest.raises(StorageClosedError):
            use()


def test_a_newer_format_is_refused_by_name(tmp_path):
    ReadingStore(tmp_path).close()
    connection = sqlite3.connect(tmp_path / "journal.sqlite")
    connection.execute("pragma user_version = 99")
    connection.close()
    with pytest.raises(UnknownFormatError, match="format 99"):
        ReadingStore(tmp_path)


def kill_while_it_ingests(directory, kills, seed):
    """Kill -9 a child at random moments; check after each that all acknowledged batches are there once."""
    choose = random.Random(seed)  # noqa: S311 - moments of a test, not keys
    acknowledged = set()
    for _ in range(kills):
        first = max(acknowledged, default=-1) + 9
        child = subprocess.Popen(
            [sys.executable, str(CHILD), str(directory), str(first), "3"], stdout=subprocess.PIPE, text=True
        )
        assert child.stdout is not None
        line = child.stdout.readline()  # it runs: the moment is counted from here
        time.sleep(choose.uniform(0, 0.12))
        child.send_signal(signal.SIGKILL)
        rest = child.stdout.read()
        child.stdout.close()
        child.wait()
        said = (line + rest).split("\n")[:-1]  # a last line without its end was not said
        acknowledged |= {int(number) for number in said}
    with ReadingStore(directory) as store:
        found = everything(store)
        assert len(found) == len(set(found)), "doubled"
        assert store.counts().readings == len(found)
        present = set(found)
        for number in acknowledged:
            assert set(rows_of(crash_child.batch(number))) <= present, f"batch {number} was acknowledged and is gone"
        assert len(found) % crash_child.READINGS == 0, "half a batch"
    return len(acknowledged)


def test_twenty_kills_at_random_moments_lose_and_double_nothing(tmp_path):
    assert kill_while_it_ingests(tmp_path, 20, seed=1) >= 20


@pytest.mark.deep
def test_two_hundred_kills_at_random_moments_lose_and_double_nothing(tmp_path):
    assert kill_while_it_ingests(tmp_path, 200, seed=2) >= 200


# --- found by attack ------------------------------------------------------------------------------------------------


def test_segments_outlive_a_lost_journal(tmp_path):
    with ReadingStore(tmp_path) as store:
        store.append(readings(day_rows(0)))
        store.compact(T0 + DAY_S)
    (segment,) = (tmp_path / "segments").iterdir()
    for path in tmp_path.glob("journal.sqlite*"):
        path.rename(tmp_path / f"{path.name}.away")
    with pytest.raises(ForeignSegmentError, match="restore"):
        ReadingStore(tmp_path)
    assert segment.exists()
    for path in tmp_path.glob("journal.sqlite*"):
        path.unlink() if path.suffix != ".away" else path.rename(tmp_path / path.stem)
    with ReadingStore(tmp_path) as store:
        assert everything(store) == day_rows(0)


def test_a_segment_that_the_system_refuses_is_an_error_of_storage_for_the_newest_closed_time(tmp_path):
    with ReadingStore(tmp_path) as store:
        store.append(readings([(1, T0, 1)]))
        store.compact(T0 + DAY_S)
        (segment,) = (tmp_path / "segments").iterdir()
        segment.unlink()
        segment.mkdir()
        with pytest.raises(StorageUnavailableError) as caught:
            store.newest_closed()
    assert isinstance(caught.value.__cause__, OSError)


def test_a_strange_file_beside_the_segments_is_left_alone(tmp_path):
    with ReadingStore(tmp_path) as store:
        store.append(readings(day_rows(0)))
        store.compact(T0 + DAY_S)
    notes = tmp_path / "segments" / "notes.txt"
    notes.write_text("mine")
    with ReadingStore(tmp_path) as store:
        assert everything(store) == day_rows(0)
    assert notes.exists()


def test_a_damaged_or_lost_segment_is_quarantined_by_name_and_the_rest_is_read(tmp_path):
    with ReadingStore(tmp_path) as store:
        store.append(readings([*day_rows(0), *day_rows(1), *day_rows(2)]))
        store.compact(T0 + 3 * DAY_S)
    first, second, _third = sorted((tmp_path / "segments").iterdir())
    octets = bytearray(first.read_bytes())
    octets[len(octets) // 2] ^= 1
    first.write_bytes(octets)
    with ReadingStore(tmp_path) as store:
        assert everything(store) == [*day_rows(1), *day_rows(2)]
        second.unlink()
        assert everything(store) == day_rows(2)
        counts = store.counts()
        assert (counts.readings, counts.quarantined, counts.quarantined_readings) == (96, 2, 192)
    for _ in range(2):
        with ReadingStore(tmp_path) as store:
            damaged, lost = store.quarantined()
            assert (damaged.name, damaged.readings, damaged.first_time) == (first.name, 96, T0)
            assert Path(damaged.kept_at).read_bytes() == octets
            assert (lost.name, lost.kept_at) == (second.name, "")
            assert "gone" in lost.reason
            assert everything(store) == day_rows(2)
            counts = store.counts()
            assert (counts.readings, counts.quarantined, counts.quarantined_readings) == (96, 2, 192)


def test_a_segment_that_is_put_back_whole_counts_again(tmp_path):
    with ReadingStore(tmp_path) as store:
        store.append(readings(day_rows(0)))
        store.compact(T0 + DAY_S)
    (segment,) = (tmp_path / "segments").iterdir()
    backup = segment.read_bytes()
    segment.write_bytes(backup[:-1])
    with ReadingStore(tmp_path) as store:
        assert everything(store) == []
    segment.write_bytes(backup[:-2])
    with ReadingStore(tmp_path) as store:  # a backup that is damaged too changes nothing, and is not removed
        assert (everything(store), len(store.quarantined())) == ([], 1)
    segment.write_bytes(backup)
    with ReadingStore(tmp_path) as store:
        assert everything(store) == day_rows(0)
        assert (store.quarantined(), store.counts().readings) == ([], 96)


def test_a_damaged_batch_is_quarantined_by_name_and_the_rest_opens(tmp_path):
    with ReadingStore(tmp_path) as store:
        store.append(readings(day_rows(0)))
        store.append(readings(day_rows(1)))
    broken = damaged_batch(tmp_path, 1)
    for _ in range(2):
        with ReadingStore(tmp_path) as store:
            (item,) = store.quarantined()
            assert (item.name, item.readings, item.first_time) == ("batch 1", 96, T0)
            assert everything(store) == day_rows(1)
            counts = store.counts()
            assert (counts.readings, counts.quarantined, counts.quarantined_readings) == (96, 1, 96)
    with contextlib.closing(sqlite3.connect(tmp_path / "journal.sqlite")) as connection:
        assert connection.execute("select octets from quarantined").fetchall() == [(broken,)]
    with ReadingStore(tmp_path) as store:  # sent again by a sender that still has it
        assert len(store.append(readings(day_rows(0))).fresh) == 96
        assert everything(store) == [*day_rows(0), *day_rows(1)]


def test_a_batch_that_is_damaged_while_the_store_is_open_takes_nothing_else_with_it(tmp_path):
    with ReadingStore(tmp_path) as store:
        for day in range(3):
            store.append(readings(day_rows(day)))
        damaged_batch(tmp_path, 2)
        assert everything(store) == [*day_rows(0), *day_rows(2)]
        assert sum(map(len, store.pending())) == 192
        store.append(readings(day_rows(3)))
        assert store.compact(T0 + 3 * DAY_S) == 192
        assert [item.name for item in store.quarantined()] == ["batch 2"]
        assert store.counts().readings == 288


def damaged_batch(directory, seq):
    with contextlib.closing(sqlite3.connect(directory / "journal.sqlite")) as connection, connection:
        (octets,) = connection.execute("select octets from batch where seq = ?", (seq,)).fetchone()
        broken = octets[:-1] + bytes([octets[-1] ^ 0x7F])
        connection.execute("update batch set octets = ? where seq = ?", (broken, seq))
    return broken


@pytest.mark.attack(3)
@pytest.mark.finding("data D23")
@given(st.integers(0, 3), st.sampled_from(["flip", "cut", "grow", "empty"]), st.integers(0, 1 << 20))
@settings(max_examples=40, deadline=None)
def test_any_octet_of_any_batch_or_segment_may_change_and_all_others_open(tmp_path_factory, victim, change, place):
    directory = tmp_path_factory.mktemp("store")
    with ReadingStore(directory) as store:
        for day in range(4):
            store.append(readings(day_rows(day, count=8)))
        store.compact(T0 + 2 * DAY_S)
    if victim < 2:
        path = sorted((directory / "segments").iterdir())[victim]
        path.write_bytes(changed(path.read_bytes(), change, place))
    else:
        with contextlib.closing(sqlite3.connect(directory / "journal.sqlite")) as connection, connection:
            seq, octets = connection.execute("select seq, octets from batch order by first_time").fetchall()[victim - 2]
            connection.execute("update batch set octets = ? where seq = ?", (changed(octets, change, place), seq))
    with ReadingStore(directory) as store:
        found = everything(store)
        whole = [row for day in range(4) for row in day_rows(day, count=8)]
        rest = [row for day in range(4) if day != victim for row in day_rows(day, count=8)]
        counts = store.counts()
        if found == whole:  # a reserved octet
            assert counts.quarantined == 0
        else:
            assert found == rest
            assert (counts.readings, counts.quarantined, counts.quarantined_readings) == (24, 1, 8)


def changed(octets, change, place):
    if change == "flip":
        damaged = bytearray(octets)
        damaged[place // 8 % len(octets)] ^= 1 << place % 8
        return bytes(damaged)
    if change == "cut":
        return octets[: 1 + place % (len(octets) - 1)]
    return octets + b"\0" if change == "grow" else b""


@given(st.integers(0, 1 << 30), st.integers(1, 255))
@settings(max_examples=25, deadline=None)
def test_any_octet_of_the_journal_file_may_change_and_it_opens_or_says_that_it_is_damaged(
    tmp_path_factory, position, mask
):
    directory = tmp_path_factory.mktemp("store")
    with ReadingStore(directory) as store:
        for day in range(4):
            store.append(readings(day_rows(day, count=8)))
        store.compact(T0 + 2 * DAY_S)
    files = {path.name: path.read_bytes() for path in (directory / "segments").iterdir()}
    path = directory / "journal.sqlite"
    octets = bytearray(path.read_bytes())
    octets[position % len(octets)] ^= mask
    path.write_bytes(octets)
    try:
        with ReadingStore(directory) as store:
            assert set(everything(store)) <= {row for day in range(4) for row in day_rows(day, count=8)}
    except StorageError:
        pass
    kept = {
        item.name: item.read_bytes() for folder in ("segments", "quarantine") for item in folder_of(directory, folder)
    }
    assert files.items() <= kept.items(), "no segment is removed because the list of them is damaged"


def folder_of(directory, name):
    folder = directory / name
    return list(folder.iterdir()) if folder.exists() else []


def test_an_extent_that_is_damaged_is_written_anew_from_the_octets(tmp_path):
    with ReadingStore(tmp_path) as store:
        store.append(readings(day_rows(0)))
    with contextlib.closing(sqlite3.connect(tmp_path / "journal.sqlite")) as connection, connection:
        connection.execute("update batch set first_time = 0, last_time = 5, last_series = 0")
    with ReadingStore(tmp_path) as store:
        assert everything(store) == day_rows(0)


# --- days to settle -------------------------------------------------------------------------------------------------


def days_of(store):
    days = store.days_to_settle()
    return dict(zip(zip(days.series.tolist(), days.day.tolist(), strict=True), days.readings.tolist(), strict=True))


def test_days_to_settle_are_folded_without_a_change(tmp_path):
    with ReadingStore(tmp_path) as store:
        for index in range(3 * FOLD_AT):
            store.append(readings([(1 + index % 2, T0 + index, index)]))
        assert days_of(store) == {(1, 20_000): 96, (2, 20_000): 96}
        with contextlib.closing(sqlite3.connect(tmp_path / "journal.sqlite")) as connection:
            assert connection.execute("select count(*) from unsettled").fetchone()[0] <= FOLD_AT + 1


def test_a_damaged_row_of_days_to_settle_is_set_aside_and_all_open_days_are_settled_again(tmp_path):
    with ReadingStore(tmp_path) as store:
        store.append(readings([*day_rows(0, count=4), *day_rows(1, count=5)]))
        store.settled(store.days_to_settle())
        store.append(readings(day_rows(2, count=6)))
    with contextlib.closing(sqlite3.connect(tmp_path / "journal.sqlite")) as connection, connection:
        connection.execute("update unsettled set octets = x'00'")
    for _ in range(2):
        with ReadingStore(tmp_path) as store:
            assert days_of(store) == {(1, 20_000): 4, (1, 20_001): 5, (1, 20_002): 6}
            assert len(store.quarantined()) == 1


def test_twenty_kills_leave_exactly_the_days_of_what_was_stored_to_settle(tmp_path):
    kill_while_it_ingests(tmp_path, 20, seed=5)
    with ReadingStore(tmp_path) as store:
        stored = Counter((series, time // DAY_S) for series, time, _value in everything(store))
        assert days_of(store) == stored


def test_a_caller_that_gives_up_stops_nobody(tmp_path):
    block = threading.Event()
    with ReadingStore(tmp_path, step=lambda name: block.wait(10) if name == "commit" else None) as store:
        first = store.submit(readings([(1, 900, 1)]))
        second = store.submit(readings([(1, 1_800, 2)]))
        assert second.cancel()
        block.set()
        assert len(first.result(10).fresh) == 1
        assert len(store.append(readings([(1, 2_700, 3)])).fresh) == 1
        assert everything(store) == [(1, 900, 1), (1, 2_700, 3)]


def test_a_full_disk_is_an_error_and_not_an_end(tmp_path):
    noise = np.random.default_rng(1).integers(0, 1 << 60, 20_000)
    rows = [(1, 900 * index, int(value)) for index, value in enumerate(noise)]
    with ReadingStore(tmp_path) as store:
        store.append(readings(rows[:10]))
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
            with pytest.raises(StorageError):
                store.append(readings(rows))
            assert everything(store) == rows[:10]
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
            signal.signal(signal.SIGXFSZ, handler)
        store.append(readings(rows))
        assert everything(store) == rows
    with ReadingStore(tmp_path) as store:
        assert everything(store) == rows


def test_counts_are_exact_at_every_moment_while_a_batch_is_set_aside(tmp_path):
    with ReadingStore(tmp_path) as store:
        for day in range(30):
            store.append(readings(day_rows(day)))
        for seq in range(1, 30, 2):
            damaged_batch(tmp_path, seq)
        seen, is_over = set(), threading.Event()

        def count():
            while not is_over.is_set():
                counts = store.counts()
                seen.add(counts.readings + counts.quarantined_readings)

        watcher = threading.Thread(target=count)
        watcher.start()
        for day in range(30):
            store.read([1], T0 + day * DAY_S, T0 + (day + 1) * DAY_S)
        is_over.set()
        watcher.join()
        seen.add(store.counts().readings + store.counts().quarantined_readings)
    assert seen == {30 * 96}


# --- owners and copies ----------------------------------------------------------------------------------------------


@pytest.mark.finding("data D29")
def test_removing_the_lock_lets_no_second_owner_in(tmp_path):
    folder = tmp_path / "store"
    with ReadingStore(folder) as store:
        (folder / "lock").unlink()
        with pytest.raises(ConcurrentWriterError, match="another process"):
            ReadingStore(folder)
        store.append(readings([(1, T0, 5)]))
    with ReadingStore(folder) as store:
        assert store.counts().readings == 1


def copied(source: Path, target: Path, *, without: str = "") -> Path:
    shutil.copytree(source, target, ignore=shutil.ignore_patterns(*filter(None, [without])))
    return target


@pytest.mark.finding("data D29")
def test_a_copy_of_an_open_store_without_its_log_is_refused_and_with_it_is_whole(tmp_path):
    with ReadingStore(tmp_path / "store") as store:
        store.append(readings([(1, T0, 5), (1, T0 + 900, 6)]))
        bare = copied(tmp_path / "store", tmp_path / "bare", without="*-wal")
        whole = copied(tmp_path / "store", tmp_path / "whole")
    for _ in range(2):
        with pytest.raises(DamagedError, match=r"copy without journal\.sqlite-wal"):
            ReadingStore(bare)
    with ReadingStore(whole) as store:
        assert store.counts().readings == 2
    with contextlib.closing(sqlite3.connect(bare / "journal.sqlite")) as connection:
        connection.execute("delete from meta where name = 'open'")
        connection.commit()
    with ReadingStore(bare) as store:
        assert store.counts().readings == 0, "as the words said, it goes on without them"


def test_a_copy_of_a_closed_store_needs_no_log(tmp_path):
    with ReadingStore(tmp_path / "store") as store:
        store.append(readings([(1, T0, 5)]))
    assert not (tmp_path / "store" / "journal.sqlite-wal").exists()
    with ReadingStore(copied(tmp_path / "store", tmp_path / "copy")) as store:
        assert store.counts().readings == 1
