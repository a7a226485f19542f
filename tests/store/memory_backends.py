"""The store's ports in memory: they prove that the contract is one, and serve tests that need no disk.

A place is a dictionary; what was stored there outlives ``close``.
"""

import copy
import threading
from dataclasses import astuple, fields, replace

import numpy as np

from meterspan.model.lookup_errors import ImportUndoneError, UnknownImportError
from meterspan.model.storage.errors import StorageClosedError
from meterspan.model.storage.ports import unnoted, unwatched
from meterspan.model.storage.readings import COLUMNS, Readings, Receipt, StoreCounts, UnsettledDays
from meterspan.model.storage.registry import (
    DeviceRow,
    HomeRow,
    InstallationRow,
    SeriesRow,
    TariffRow,
    UsagePointRow,
)
from meterspan.model.storage.stretches import Stretches
from meterspan.quantities import DAY_S, Quality


class MemoryJournal:
    """A ``ReadingJournal`` of dictionaries, reading by reading.

    An import is undone by playing all batches again without it: what the state is then is true by definition.
    """

    def __init__(self, place):
        self._held = place
        self._lock = threading.RLock()
        self._is_closed = False
        for name, value in (("rows", {}), ("events", {}), ("ids", set()), ("days", {}), ("sums", [0, 0, 0])):
            place.setdefault(name, value)
        for name in ("log", "imports"):
            place.setdefault(name, [])
        place.setdefault("closed", None)

    def _open(self):
        if self._is_closed:
            raise StorageClosedError("the store is closed")
        return self._held

    def append(self, readings, events=(), *, batch_id=None):
        with self._lock:
            held = self._open()
            if batch_id is not None and batch_id in held["ids"]:
                return Receipt(Readings.empty(), repeated=True)
            held["ids"].add(batch_id)
            for event in events:
                held["events"].setdefault((event.device, event.time, event.code, event.text), event)
            return self._taken(readings, 0)

    def _taken(self, readings, origin):
        held = self._held
        rows = list(zip(*(getattr(readings, name).tolist() for name in COLUMNS), strict=True))
        held["log"].append((origin, held["closed"], rows))
        fresh, duplicates, conflicts, late = self._play(rows, held["closed"])
        for row in fresh:
            self._note(row[0], row[1] // DAY_S, 1)
        for index, count in enumerate((duplicates, conflicts, late)):
            held["sums"][index] += count
        return Receipt(_columns(fresh), duplicates, conflicts, late)

    def _play(self, rows, closed):
        fresh, duplicates, conflicts, late = [], 0, 0, 0
        for row in rows:
            at, value = row[:2], row[2]
            known = self._held["rows"].setdefault(at, {})
            if value in known:
                duplicates += 1
                continue
            quality = row[4] | (int(Quality.CONFLICT) if known else 0)
            conflicts += bool(known)
            if closed is not None and row[1] < closed:
                quality |= int(Quality.LATE)
                late += 1
            known[value] = (*row[:4], quality, *row[5:])
            fresh.append(known[value])
        return fresh, duplicates, conflicts, late

    def take_import(self, record, parts, *, is_trial=False, note=unnoted):
        with self._lock:
            held = self._open()
            before = copy.deepcopy(held)
            try:
                record = replace(record, number=len(held["imports"]) + 1)
                for part in parts:
                    receipt = self._taken(part, record.number)
                    times = [time for time in (record.first_time, record.last_time) if time is not None]
                    times += part.time.tolist()
                    record = replace(
                        record,
                        readings=record.readings + len(receipt.fresh),
                        duplicates=record.duplicates + receipt.duplicates,
                        conflicts=record.conflicts + receipt.conflicts,
                        first_time=min(times, default=None),
                        last_time=max(times, default=None),
                    )
                    note(receipt)
            except BaseException:
                held.update(before)
                raise
            if is_trial:
                held.update(before)
                return replace(record, number=0)
            held["imports"].append(record)
            return record

    def imports(self):
        return list(self._open()["imports"])

    def _record(self, number):
        if not 0 < number <= len(self._held["imports"]):
            raise UnknownImportError(number)
        return self._held["imports"][number - 1]

    def series_of_import(self, number):
        self._record(number)
        return sorted({row[0] for origin, _closed, rows in self._held["log"] if origin == number for row in rows})

    def undo_import(self, number, at):
        with self._lock:
            record = self._record(number)
            if record.undone_at is not None:
                raise ImportUndoneError(number, record.undone_at)
            held = self._held
            held["imports"][number - 1] = replace(record, undone_at=at)
            undone = {item.number for item in held["imports"] if item.undone_at is not None}
            held["rows"] = {}
            for origin, closed, rows in held["log"]:
                if origin not in undone:
                    self._play(rows, closed)
                elif origin == number:
                    for row in rows:
                        self._note(row[0], row[1] // DAY_S, 0)
            return held["imports"][number - 1]

    def _note(self, series, day, readings):
        known = self._held["days"].get((series, day), (0, 0))
        self._held["days"][series, day] = known[0] + readings, known[1] + 1

    def _all(self):
        with self._lock:
            return sorted(row for known in self._open()["rows"].values() for row in known.values())

    def read(self, series, start, end):
        wanted = set(series)
        return _columns([row for row in self._all() if row[0] in wanted and start <= row[1] < end])

    def stretches(self, series, start, end, progress=unwatched):
        first, last = start // DAY_S, -(-end // DAY_S)
        progress(last - first, last - first)
        return Stretches.of(self.read(series, first * DAY_S, last * DAY_S))

    def bounds(self, series):
        times = [row[1] for row in self._all() if row[0] == series]
        return (min(times), max(times)) if times else None

    def pending(self):
        yield _columns([row for row in self._all() if row[1] >= (self._held["closed"] or 0)])

    def newest_closed(self):
        return max((row[1] for row in self._all() if row[1] < (self._held["closed"] or 0)), default=None)

    def compact(self, end):
        if end % DAY_S:
            raise ValueError("days close at UTC midnight")
        before = self._held["closed"] or 0
        self._held["closed"] = max(before, end)
        return sum(before <= row[1] < end for row in self._all())

    def note_unsettled(self, days):
        with self._lock:
            for series, day in zip(days.series.tolist(), days.day.tolist(), strict=True):
                self._note(series, day, 0)

    def days_to_settle(self):
        with self._lock:
            rows = [(*key, *value) for key, value in sorted(self._open()["days"].items())]
        columns = zip(*rows, strict=True) if rows else [()] * 4
        return UnsettledDays(*(np.array(column, np.int32) for column in columns))

    def settled(self, days):
        with self._lock:
            for series, day, readings, notes in zip(
                *(getattr(days, field.name).tolist() for field in fields(days)), strict=True
            ):
                known = self._held["days"].pop((series, day), (0, 0))
                if known[1] > notes:
                    self._held["days"][series, day] = max(known[0] - readings, 0), known[1] - notes

    def events(self, device):
        found = [event for event in self._open()["events"].values() if event.device == device]
        return sorted(found, key=lambda event: (event.time, event.code))

    def counts(self):
        return StoreCounts(len(self._all()), *self._held["sums"], events=len(self._held["events"]))

    @property
    def closed_through(self):
        return self._open()["closed"]

    def quarantined(self):
        return []

    def close(self):
        self._is_closed = True


def _columns(rows):
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(COLUMNS)
    return Readings(*(np.array(column, dtype) for column, dtype in zip(columns, COLUMNS.values(), strict=True)))


_KEYS = {HomeRow: 1, UsagePointRow: 1, DeviceRow: 1, TariffRow: 2}
_REFERENCES = {
    UsagePointRow: [("home_id", HomeRow)],
    InstallationRow: [("usage_point", UsagePointRow), ("device", DeviceRow)],
    TariffRow: [("usage_point", UsagePointRow)],
}


class MemoryRegistry:
    """A ``RegistryStore`` of dictionaries."""

    def __init__(self, place):
        self._rows = place.setdefault("registry", {})
        self._versions = place.setdefault("versions", {})
        self._series = place.setdefault("series", [])

    def _of(self, kind):
        return [self._rows[key] for key in sorted(key for key in self._rows if key[0] == kind.__name__)]

    def homes(self):
        return self._of(HomeRow)

    def usage_points(self):
        return self._of(UsagePointRow)

    def devices(self):
        return self._of(DeviceRow)

    def installations(self):
        return self._of(InstallationRow)

    def tariffs(self):
        return self._of(TariffRow)

    def series(self):
        return list(self._series)

    def forget(self, device):
        if any(row.device == device for row in self._series):
            raise ValueError(f"{device} has series")
        points = {row.usage_point for row in self.installations() if row.device == device}
        kept = {row.usage_point for row in self.installations() if row.device != device}
        for key, row in list(self._rows.items()):
            is_its = getattr(row, "device", None) == device
            is_bare = isinstance(row, UsagePointRow) and row.usage_point in points - kept
            if is_its or is_bare:
                del self._rows[key]

    def versions(self, usage_point, first_day, last_day):
        keys = [key for key in self._versions if key[0] == usage_point and first_day <= key[1] <= last_day]
        return [self._versions[key] for key in sorted(keys)]

    def save(self, *rows):
        made = dict(self._rows)
        for row in rows:
            key = (row.usage_point, row.start) if isinstance(row, InstallationRow) else astuple(row)[: _KEYS[type(row)]]
            for name, kind in _REFERENCES.get(type(row), []):
                if (kind.__name__, getattr(row, name)) not in made:
                    raise ValueError(f"FOREIGN KEY: {name} {getattr(row, name)!r} is not there")
            made[type(row).__name__, *key] = row
        self._rows.clear()
        self._rows.update(made)

    def save_versions(self, rows):
        made = {(row.usage_point, row.day, row.version): row for row in rows}
        if made.keys() & self._versions.keys():
            raise ValueError("UNIQUE: a version of this number is there")
        self._versions.update(made)

    def add_series(self, device, obis, unit, exponent):
        if any(
            (row.device, row.obis, row.unit, row.exponent) == (device, obis, unit, exponent) for row in self._series
        ):
            raise ValueError("UNIQUE: this series is there")
        row = SeriesRow(len(self._series) + 1, device, obis, unit, exponent)
        self._series.append(row)
        return row

    def quarantined(self):
        return []

    def close(self):
        """Keep all of it in its place."""
