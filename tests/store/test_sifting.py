"""New readings, duplicates and conflicts, against a plain count of sets."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from meterspan.model.storage.readings import Readings
from meterspan.quantities import Quality
from meterspan.store.sifting import marked_late, sift

rows = st.lists(st.tuples(st.integers(1, 2), st.integers(0, 4), st.integers(0, 2)), max_size=15)


def readings(rows):
    columns = [np.array([row[index] for row in rows], np.int64) for index in range(3)]
    zero = np.zeros(len(rows), np.int32)
    return Readings(columns[0].astype(np.int32), *columns[1:], zero, zero, zero.astype(np.int8), columns[1])


def rows_of(found):
    return list(zip(found.series.tolist(), found.time.tolist(), found.value.tolist(), strict=True))


@given(st.sets(st.tuples(st.integers(1, 2), st.integers(0, 4), st.integers(0, 2))), rows)
def test_fresh_are_the_first_of_each_that_are_not_known_and_conflicts_are_marked(known, batch):
    receipt, _stored = sift(readings(sorted(known)), readings(batch))
    expected, instants, conflicts = [], {row[:2] for row in known}, []
    for row in batch:
        if row not in known and row not in expected:
            expected.append(row)
            conflicts.append(row[:2] in instants)
            instants.add(row[:2])
    assert rows_of(receipt.fresh) == expected
    assert receipt.duplicates == len(batch) - len(expected)
    marked = [bool(word & Quality.CONFLICT) for word in receipt.fresh.quality.tolist()]
    assert (marked, receipt.conflicts) == (conflicts, sum(conflicts))


@given(rows, st.integers(-1, 6))
def test_readings_of_closed_days_are_marked_late_and_all_are_kept(batch, closed_through):
    found, count = marked_late(readings(batch), closed_through)
    assert rows_of(found) == batch
    late = [bool(word & Quality.LATE) for word in found.quality.tolist()]
    assert late == [time < closed_through for _series, time, _value in batch]
    assert count == sum(late)
