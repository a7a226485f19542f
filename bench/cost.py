"""The worst input of each entry point: CPU and memory for a megabyte of it, over every grammar's worst."""

import time
from contextlib import suppress

from bench.table import Line
from meterspan.wire import WireError
from tests.test_cost import MESSAGES, STREAMS
from tests.worst import MIB, WORST, cost_of

SHOWN_S = 0.02
"""Entry points that cost less are one line."""


def cpu_s(read, octets):
    """Return the CPU that reading takes, in seconds."""
    began = time.process_time()
    with suppress(WireError):
        read(octets)
    return time.process_time() - began


def measure():
    inputs = {name: build(MIB) for name, build in WORST.items()}
    lines, cheap = [], 0
    for entry, read in {**MESSAGES, **STREAMS}.items():
        spent, name = max((cpu_s(read, octets), name) for name, octets in inputs.items())
        if spent < SHOWN_S:
            cheap += 1
            continue
        memory = cost_of(lambda read=read, octets=inputs[name]: read(octets), WireError).octets / MIB
        kind = "stream, " if entry in STREAMS else ""
        lines.append(Line(entry, spent, "s CPU/MiB", note=f"{memory:.1f} MiB; {kind}{name}"))
    lines.sort(key=lambda line: -line.ours)
    return [*lines, Line(f"{cheap} more entry points", SHOWN_S, "s CPU/MiB", note="at most")]
