"""Series and events at rest: a crash-safe journal of recent batches, Parquet for closed days, a registry.

``reading_store.ReadingStore`` and ``registry.Registry`` are the backends of the ports in ``model.storage.ports``.
Nothing is imported here: who keeps a state file needs ``edge`` alone, and not Arrow, DuckDB and SQLAlchemy with it.
"""
