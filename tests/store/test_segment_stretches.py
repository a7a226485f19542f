"""The times of segments beside them: made with the segment, made again where they are gone or damaged."""

import os

import numpy as np
import pytest

from meterspan.quantities import DAY_S
from meterspan.store.reading_store import ReadingStore
from tests.store.contract import MANY, T0, readings, times_of


def stored(folder):
    with ReadingStore(folder) as store:
        store.append(readings([(1, T0 + 900 * index, index) for index in range(200)]))
        store.compact(T0 + 2 * DAY_S)
        assert len(list((folder / "stretches").iterdir())) == 2
        return times_of(store.stretches(MANY, T0, T0 + 3 * DAY_S))


HARMS = {"changed": bytes.upper, "cut": lambda octets: octets[:-3], "empty": lambda _: b"", "gone": None}


@pytest.mark.attack(3)
def test_a_pipe_or_a_link_in_the_place_of_a_file_is_replaced_and_delays_nothing(tmp_path):
    expected = stored(tmp_path)
    first, second = (tmp_path / "stretches").iterdir()
    first.unlink()
    os.mkfifo(first)
    (tmp_path / "elsewhere").write_bytes(second.read_bytes())
    second.unlink()
    second.symlink_to(tmp_path / "elsewhere")
    with ReadingStore(tmp_path) as store:
        assert times_of(store.stretches(MANY, T0, T0 + 3 * DAY_S)) == expected
    assert all(path.is_file() and not path.is_symlink() for path in (first, second))


@pytest.mark.attack(3)
def test_a_pipe_in_the_place_of_a_segment_is_damage_and_delays_nothing(tmp_path):
    stored(tmp_path)
    first = min((tmp_path / "segments").iterdir())
    first.unlink()
    os.mkfifo(first)
    with ReadingStore(tmp_path) as store:
        store.read(MANY, T0, T0 + 3 * DAY_S)
        (item,) = store.quarantined()
    assert "no ordinary file" in item.reason


@pytest.mark.parametrize("harm", HARMS.values(), ids=HARMS)
def test_a_file_that_is_damaged_or_gone_is_made_again(tmp_path, harm):
    expected = stored(tmp_path)
    for path in (tmp_path / "stretches").iterdir():
        if harm is None:
            path.unlink()
        else:
            path.write_bytes(harm(path.read_bytes()))
    with ReadingStore(tmp_path) as store:
        assert times_of(store.stretches(MANY, T0, T0 + 3 * DAY_S)) == expected
        assert store.quarantined() == []
    kept = [path.read_bytes() for path in (tmp_path / "stretches").iterdir()]
    assert len(kept) == 2
    assert all(octets.startswith(b"MST\n") for octets in kept)


def test_where_nothing_can_be_kept_the_answer_is_the_same(tmp_path):
    expected = stored(tmp_path)
    for path in (tmp_path / "stretches").iterdir():
        path.unlink()
    (tmp_path / "stretches").rmdir()
    (tmp_path / "stretches").write_text("in its way", encoding="utf-8")
    with ReadingStore(tmp_path) as store:
        assert times_of(store.stretches(MANY, T0, T0 + 3 * DAY_S)) == expected


def test_files_of_segments_that_were_merged_are_removed(tmp_path):
    stored(tmp_path)
    with ReadingStore(tmp_path) as store:
        store.append(readings([(1, T0 + 1, 5)]))
        for _ in range(2):
            store.compact(T0 + 2 * DAY_S)
        store.stretches(MANY, T0, T0 + 3 * DAY_S)
        assert len(list((tmp_path / "stretches").iterdir())) == store.counts().segments


def test_a_damaged_segment_without_its_file_is_named_and_its_day_left_out(tmp_path):
    stored(tmp_path)
    for path in (tmp_path / "stretches").iterdir():
        path.unlink()
    first = min((tmp_path / "segments").iterdir())
    first.write_bytes(first.read_bytes()[:-9])
    with ReadingStore(tmp_path) as store:
        times, _ = times_of(store.stretches(MANY, T0, T0 + 3 * DAY_S))[1]
        assert times == [T0 + 900 * index for index in range(96, 200)]
        assert len(store.quarantined()) == 1


def test_a_year_is_read_without_its_segments(tmp_path, monkeypatch):
    with ReadingStore(tmp_path) as store:
        for day in range(30):
            rows = [(number, T0 + day * DAY_S + 900 * slot, slot) for number in MANY for slot in range(0, 96, 8)]
            store.append(readings(rows))
        store.compact(T0 + 30 * DAY_S)
    with ReadingStore(tmp_path) as store:
        monkeypatch.setattr(store, "_whole", None)
        monkeypatch.setattr(store, "_of_segments", None)
        found = store.stretches(MANY, T0, T0 + 31 * DAY_S)
        assert len(found) == len(MANY)
        assert np.array_equal(found.count, np.full(len(MANY), 30 * 12))


@pytest.mark.attack(3)
def test_the_times_of_another_segment_are_not_believed(tmp_path):
    expected = stored(tmp_path)
    first, second = sorted((tmp_path / "stretches").iterdir())
    first.write_bytes(second.read_bytes())
    with ReadingStore(tmp_path) as store:
        assert times_of(store.stretches(MANY, T0, T0 + 3 * DAY_S)) == expected


@pytest.mark.attack(5)
def test_a_link_in_the_place_of_a_file_is_replaced_and_what_is_behind_it_stays(tmp_path):
    expected = stored(tmp_path / "data")
    behind = tmp_path / "other"
    behind.write_bytes(b"not ours")
    for path in (tmp_path / "data" / "stretches").iterdir():
        path.unlink()
        path.symlink_to(behind)
    with ReadingStore(tmp_path / "data") as store:
        assert times_of(store.stretches(MANY, T0, T0 + 3 * DAY_S)) == expected
    assert behind.read_bytes() == b"not ours"
    assert not any(path.is_symlink() for path in (tmp_path / "data" / "stretches").iterdir())
