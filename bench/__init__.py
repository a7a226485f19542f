"""Benchmarks beside the peers; ``scripts/bench`` lists them."""
