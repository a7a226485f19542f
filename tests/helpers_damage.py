"""Memory of a long run over damaged input."""

import tracemalloc
from collections.abc import Iterable


def growth(steps: Iterable[object], count: int) -> tuple[int, int]:
    """Run ``count`` steps; return the octets of memory that the second half added, and the most ever used."""
    half = 0
    tracemalloc.start()
    try:
        for number, _ in enumerate(steps):
            if number == count // 2:
                half, _ = tracemalloc.get_traced_memory()
        end, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return end - half, peak
