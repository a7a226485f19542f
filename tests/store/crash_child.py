"""A process to be killed: ingests batches, compacts now and then, and says on stdout what was acknowledged.

Batch n holds READINGS readings of series 1..3 with values that follow from n, so that the parent can check them.
"""

import sys
import threading
from pathlib import Path

import numpy as np

from meterspan.model.storage.readings import Readings
from meterspan.store.reading_store import ReadingStore

DAY_S = 86_400
START = 20_000 * DAY_S
STEP_S = 300
READINGS = 12
SERIES = 3


def batch(number):
    per_series = READINGS // SERIES
    series = np.repeat(np.arange(1, SERIES + 1, dtype=np.int32), per_series)
    ordinal = np.tile(np.arange(per_series), SERIES) + number * per_series
    time = (START + ordinal * STEP_S).astype(np.int64)
    value = (ordinal * 7 + series).astype(np.int64)
    nothing = np.zeros(READINGS, np.int32)
    return Readings(series, time, value, nothing, nothing, np.full(READINGS, 1, np.int8), time + 5)


def main(directory, first, workers):
    store = ReadingStore(Path(directory))
    lock = threading.Lock()

    def ingest(worker):
        number = first + worker
        while True:
            store.append(batch(number))
            with lock:
                sys.stdout.write(f"{number}\n")
                sys.stdout.flush()
            number += workers

    for worker in range(workers):
        threading.Thread(target=ingest, args=(worker,), daemon=True).start()
    while True:
        threading.Event().wait(0.02)
        bounds = store.bounds(1)
        if bounds is not None:
            store.compact(bounds[1] // DAY_S * DAY_S)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
