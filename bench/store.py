"""Durable ingest: the reading store beside a typed SQLite table that is fed the same batches with the same durability.

Both commit each batch with WAL and ``synchronous=FULL``. A batch is what a collection round of METERS meters brings:
one day of quarter hours of CHANNELS registers each. Prints readings/s of both, their ratio, and octets per reading.
"""

import shutil
import sqlite3
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from meterspan.mdm import MeterDataManagement
from meterspan.model.readings import CaptureBlock, CaptureColumn, Source
from meterspan.quantities import UNITS, Obis

METERS, CHANNELS, ROWS, BATCHES = 20, 6, 96, 25
REPEATS = 3
START = 20_000 * 86_400
RATIO_GOAL, OCTETS_GOAL = 2.0, 2.0


@dataclass(frozen=True, slots=True)
class Result:
    """What one run measured."""

    readings: int
    store_per_s: float
    sqlite_per_s: float
    store_octets: float
    segment_octets: float
    sqlite_octets: float

    @property
    def ratio(self) -> float:
        """How many times faster the store takes the same batches."""
        return self.store_per_s / self.sqlite_per_s


def batches(seed=1):
    """Make batches of capture blocks: gamma-distributed increments on registers, one day per meter and batch."""
    generator = np.random.default_rng(seed)
    obis = [Obis(1, 0, 1, 8, 0), Obis(1, 0, 2, 8, 0), *(Obis(1, 0, quantity, 8, 0) for quantity in (5, 6, 7, 8))]
    registers = generator.integers(10**6, 10**8, (METERS * 5, CHANNELS))
    made = []
    for number in range(BATCHES):
        day, group = divmod(number, 5)
        times = START + day * 86_400 + np.arange(ROWS, dtype=np.int64) * 900
        blocks = []
        for meter in range(group * METERS, (group + 1) * METERS):
            rises = generator.gamma(0.7, 150, (CHANNELS, ROWS)).astype(np.int64)
            values = registers[meter][:, None] + np.cumsum(rises, axis=1)
            registers[meter] = values[:, -1]
            columns = tuple(CaptureColumn(obis[i], UNITS["Wh"], 0, values[i]) for i in range(CHANNELS))
            nothing = np.zeros(ROWS, np.int32)
            blocks.append(
                CaptureBlock(
                    f"BEN{meter:07d}", Source.SCHEDULED_READ, int(times[-1]) + 600, times, columns, nothing, nothing
                )
            )
        made.append(blocks)
    return made


def run_store(directory, made):
    """Return (seconds, octets before, octets after compaction) of the whole path: blocks in, durable."""
    with MeterDataManagement(directory) as management:
        management.take([registering_block(block) for blocks in made for block in blocks])
        began = time.perf_counter()
        for blocks in made:
            management.take(blocks)
        seconds = time.perf_counter() - began
        before = management.totals().octets
        management._journal.compact(START + 40 * 86_400)  # noqa: SLF001 - the bench closes days at once
        return seconds, before, management.totals().octets


def registering_block(block):
    """One row per meter an hour earlier, so that numbering new series is not timed (it happens once per meter)."""
    columns = tuple(CaptureColumn(c.obis, c.unit, c.exponent, c.values[:1]) for c in block.columns)
    return CaptureBlock(
        block.device,
        block.source,
        block.received_at,
        block.times[:1] - 40 * 86_400,
        columns,
        block.status[:1],
        block.quality[:1],
    )


def run_sqlite(path, made):
    """Return (seconds, octets) of a typed table WITHOUT ROWID, one row per reading, one transaction per batch."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("pragma journal_mode = wal")
    connection.execute("pragma synchronous = full")
    connection.execute(
        "create table reading (series integer, time integer, value integer, status integer, quality integer,"
        " source integer, received_at integer, primary key (series, time, value)) without rowid"
    )
    numbers = {}
    began = time.perf_counter()
    for blocks in made:
        connection.execute("begin immediate")
        for block in blocks:
            times, status, quality = block.times.tolist(), block.status.tolist(), block.quality.tolist()
            for column in block.columns:
                number = numbers.setdefault((block.device, column.obis), len(numbers) + 1)
                connection.executemany(
                    "insert or ignore into reading values (?, ?, ?, ?, ?, ?, ?)",
                    [
                        (number, at, value, state, flags, int(block.source), block.received_at)
                        for at, value, state, flags in zip(times, column.values.tolist(), status, quality, strict=True)
                    ],
                )
        connection.execute("commit")
    seconds = time.perf_counter() - began
    connection.execute("pragma wal_checkpoint(truncate)")
    connection.close()
    return seconds, path.stat().st_size


def measure():
    """Run both REPEATS times in turn and keep the best of each: the machine is shared."""
    made = batches()
    readings = METERS * CHANNELS * ROWS * BATCHES
    stores, tables = [], []
    for _ in range(REPEATS):
        scratch = Path(tempfile.mkdtemp(prefix="meterspan-bench-"))
        try:
            stores.append(run_store(scratch / "store", made))
            tables.append(run_sqlite(scratch / "table.sqlite", made))
        finally:
            shutil.rmtree(scratch)
    _seconds, journal, segments = stores[0]
    return Result(
        readings,
        readings / min(run[0] for run in stores),
        readings / min(run[0] for run in tables),
        journal / readings,
        segments / readings,
        tables[0][1] / readings,
    )


def main():
    result = measure()
    print(f"store: {result.readings:,} readings in {BATCHES} durable batches")
    print(f"  meterspan journal     {result.store_per_s:12,.0f} readings/s  {result.store_octets:6.2f} B/reading")
    print(f"  after compaction      {'':12}             {result.segment_octets:6.2f} B/reading (goal <= {OCTETS_GOAL})")
    print(f"  typed SQLite table    {result.sqlite_per_s:12,.0f} readings/s  {result.sqlite_octets:6.2f} B/reading")
    print(f"  ratio                 {result.ratio:12.1f} x (goal >= {RATIO_GOAL})")
    return result


if __name__ == "__main__":
    main()
