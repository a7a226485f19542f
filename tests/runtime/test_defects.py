"""A defect is told with its trace, and no flood of it fills a log."""

from meterspan.runtime import defects


def test_a_defect_is_traced_once_a_minute_and_counted_in_between(monkeypatch, caplog):
    monkeypatch.setattr(defects, "_places", {})
    now = 0.0
    monkeypatch.setattr(defects.time, "monotonic", lambda: now)
    for second in range(130):
        now = float(second)
        defects.note_defect("a datagram met a defect", ValueError("odd"), peer="a")
    assert [getattr(record, "left_out", 0) for record in caplog.records] == [0, 59, 59]
    assert all(record.exc_info for record in caplog.records)
    for number in range(2_000):
        defects.note_defect(f"place {number}", ValueError())
    assert len(defects._places) == defects.PLACES_KEPT
