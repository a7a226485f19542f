"""Series and events at rest: a crash-safe journal of recent batches, Parquet for closed days, a registry."""
