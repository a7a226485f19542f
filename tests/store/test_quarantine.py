"""What is set aside is hidden at once, counted apart, and never deleted."""

from meterspan.store.journal import BatchRow, SegmentRow
from meterspan.store.quarantine import StoreQuarantine, batch_name

BATCH = BatchRow(7, 96, 10, 20, 1, 1)


def test_a_batch_is_hidden_once_and_described_by_its_row(tmp_path):
    quarantine = StoreQuarantine(tmp_path, tmp_path / "journal.sqlite")
    item = quarantine.of_batch(BATCH, "the checksum is wrong")
    assert quarantine.add(item)
    assert not quarantine.add(item)
    assert quarantine.hides(batch_name(7))
    assert not quarantine.hides(batch_name(8))
    assert (item.readings, item.first_time, item.last_time, quarantine.items()) == (96, 10, 20, [item])


def test_what_was_moved_before_is_hidden_again_and_counts_once_it_is_put_back(tmp_path):
    quarantine = StoreQuarantine(tmp_path, tmp_path / "journal.sqlite")
    item = quarantine.of_days(3, "cut")
    later = StoreQuarantine(tmp_path, tmp_path / "journal.sqlite")
    later.load([item])
    assert later.hides(item.name)
    later.forget(item.name)
    assert (later.hides(item.name), later.items()) == (False, [])


def test_a_segment_is_moved_with_its_octets_and_one_that_is_gone_has_no_place(tmp_path):
    quarantine = StoreQuarantine(tmp_path, tmp_path / "journal.sqlite")
    path = tmp_path / "2026-03-01-00000001.parquet"
    path.write_bytes(b"damaged")
    row = SegmentRow(path.name, 5, 96, 7)
    kept = tmp_path / "quarantine" / path.name
    item = quarantine.of_segment(row, "changed", path)
    assert (item.kept_at, item.first_time, item.last_time) == (str(kept), 5 * 86_400, 6 * 86_400 - 1)
    assert (kept.read_bytes(), path.exists()) == (b"damaged", False)
    assert quarantine.of_segment(row, "changed", path).kept_at == str(kept), "another reader was faster"
    gone = SegmentRow("2026-03-02-00000002.parquet", 6, 96, 7)
    assert quarantine.of_segment(gone, "is gone", tmp_path / gone.name).kept_at == ""


def test_a_segment_that_cannot_be_moved_stays_in_its_place(tmp_path):
    (tmp_path / "quarantine").write_text("a file where the folder should be")
    quarantine = StoreQuarantine(tmp_path, tmp_path / "journal.sqlite")
    path = tmp_path / "2026-03-01-00000001.parquet"
    path.write_bytes(b"damaged")
    item = quarantine.of_segment(SegmentRow(path.name, 5, 96, 7), "changed", path)
    assert (item.kept_at, path.read_bytes()) == (str(path), b"damaged")
