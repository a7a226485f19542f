"""Series and events at rest: a crash-safe journal of recent batches, Parquet for closed days, a registry."""

from meterspan.store.columns import Readings
from meterspan.store.errors import (
    ConcurrentWriter,
    DamagedBatch,
    DamagedSegment,
    ForeignSegment,
    StoreClosed,
    StoreError,
    UnknownFormat,
)
from meterspan.store.reading_store import ReadingStore, Receipt, StoreCounts
from meterspan.store.registry import Registry

__all__ = [
    "ConcurrentWriter",
    "DamagedBatch",
    "DamagedSegment",
    "ForeignSegment",
    "ReadingStore",
    "Readings",
    "Receipt",
    "Registry",
    "StoreClosed",
    "StoreCounts",
    "StoreError",
    "UnknownFormat",
]
