"""The worst input of each entry point: CPU and memory for a megabyte of it, over every grammar's worst.

A decoder reads all of it. A port reads until the peer is cut off, or as much as its line carries in ``FLOOD_S``: the
stream readers below the ports are shown for what a megabyte would cost that nothing bounds.
"""

import asyncio
import logging
import time
from contextlib import contextmanager, suppress
from types import SimpleNamespace

from bench.table import Line
from meterspan.wire import WireError
from tests.flooded import FLOODED, worst_of
from tests.test_cost import MESSAGES, STREAMS
from tests.worst import MIB, WORST, cost_of

SHOWN_S = 0.02
"""Entry points that cost less are one line."""
FLOOD_S = 1.0
"""How long a peer sends to a port."""


def cpu_s(read, octets):
    """Return the CPU that reading takes, in seconds."""
    began = time.process_time()
    with suppress(WireError):
        read(octets)
    return time.process_time() - began


@contextmanager
def thread_cpu():
    """Count the CPU of this thread, in seconds; the peer has a thread of its own."""
    cost, began = SimpleNamespace(spent_s=0.0), time.thread_time()
    yield cost
    cost.spent_s = time.thread_time() - began


def ports(inputs):
    """Return a line for each port: the worst of its grammar."""
    logging.disable(logging.WARNING)
    for port, flooded in FLOODED.items():
        costs = (
            (asyncio.run(flooded.run(inputs[name], FLOOD_S, thread_cpu)).spent_s, name)
            for name in worst_of(flooded.grammar, inputs)
        )
        spent, name = max(costs)
        yield Line(f"port: {port}", spent, "s CPU", note=f"of a megabyte sent in {FLOOD_S:g} s; {name}")
    logging.disable(logging.NOTSET)


def measure():
    inputs = {name: build(MIB) for name, build in WORST.items()}
    lines, cheap = [], 0
    for entry, read in {**MESSAGES, **STREAMS}.items():
        spent, name = max((cpu_s(read, octets), name) for name, octets in inputs.items())
        if spent < SHOWN_S:
            cheap += 1
            continue
        memory = cost_of(lambda read=read, octets=inputs[name]: read(octets), WireError).octets / MIB
        kind = "stream without a port, " if entry in STREAMS else ""
        lines.append(Line(entry, spent, "s CPU/MiB", note=f"{memory:.1f} MiB; {kind}{name}"))
    lines.sort(key=lambda line: -line.ours)
    lines.append(Line(f"{cheap} more entry points", SHOWN_S, "s CPU/MiB", note="at most"))
    return lines + sorted(ports(inputs), key=lambda line: -line.ours)
