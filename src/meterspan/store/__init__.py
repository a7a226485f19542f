"""Series and events at rest: a crash-safe journal of recent batches, Parquet for closed days, a registry."""

from meterspan.store.reading_store import ReadingStore
from meterspan.store.registry import Registry

__all__ = ["ReadingStore", "Registry"]
