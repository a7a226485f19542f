"""Append and settle without end, until killed: the smallest data management over the store's ports.

Usage: settle_child.py DIRECTORY FIRST. Prints the number of each batch that was stored.
"""

import sys
from pathlib import Path

import numpy as np

from meterspan.model.storage.readings import Readings, SettledIntervals
from meterspan.model.storage.registry import DeviceRow, HomeRow, UsagePointRow, VersionRow
from meterspan.quantities import DAY_S
from meterspan.store.reading_store import ReadingStore
from meterspan.store.registry import Registry

DAY = 20_000
METERS = 3


def batch(number):
    """Make one reading per meter; every seven batches a new day begins."""
    series = np.arange(1, METERS + 1, dtype=np.int32)
    time = np.full(METERS, (DAY + number // 7) * DAY_S + number % 7 * 900, np.int64)
    zero = np.zeros(METERS, np.int32)
    return Readings(series, time, np.full(METERS, number, np.int64), zero, zero, zero.astype(np.int8), time)


def settle(store, registry):
    """Write a version for every noted day whose number of readings changed; then forget the note."""
    days = store.days_to_settle()
    made = []
    for series, day in zip(days.series.tolist(), days.day.tolist(), strict=True):
        count = len(store.read([series], day * DAY_S, (day + 1) * DAY_S))
        known = registry.versions(f"MP{series}", day, day)
        if not known or known[-1].intervals.value.tolist() != [count]:
            whole = np.array([day * DAY_S]), np.array([(day + 1) * DAY_S])
            content = SettledIntervals(*whole, np.array([count]), np.array([0], np.int32))
            made.append(VersionRow(f"MP{series}", day, len(known) + 1, 0, "", "", "", "1", content))
    registry.save_versions(made)
    store.settled(days)
    return len(made)


def register(registry):
    """Register a usage point for each meter."""
    registry.save(HomeRow("h1", "Elm", "UTC", "EUR"))
    for number in range(1, METERS + 1):
        registry.save(UsagePointRow(f"MP{number}", "h1", "water", 900), DeviceRow(f"D{number}", "water"))


def main(directory, first):
    """Store, settle, now and then compact."""
    registry = Registry.open(directory / "registry.sqlite")
    register(registry)
    with ReadingStore(directory / "readings") as store:
        tell("up")
        number = first
        while True:
            store.append(batch(number))
            tell(number)
            if number % 3 == 0:
                settle(store, registry)
            if number % 14 == 0:
                store.compact((DAY + number // 7) * DAY_S)
            number += 1


def tell(what):
    """Write one line that the parent reads."""
    sys.stdout.write(f"{what}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
