"""Run benchmarks by name; ``main`` runs all of them into one table, without a name they are listed."""

import sys

from bench import cost, floods, head_end, p1, profile, size, store, wireless
from bench.table import Line, show


def store_lines():
    result = store.measure()
    octets = (
        f"{result.store_octets:.2f} B/reading, compacted {result.segment_octets:.2f} (table {result.sqlite_octets:.1f})"
    )
    return [
        Line(
            "durable ingest from batches",
            result.store_per_s,
            "readings/s",
            "typed SQLite table",
            result.sqlite_per_s,
            store.RATIO_GOAL,
            octets,
        ),
    ]


BENCHES = {
    "profile": (profile.measure, "ciphered DLMS profile to typed rows, beside Gurux"),
    "wireless": (wireless.measure, "wireless M-Bus mode 5 to JSON, beside sixty lines of plain Python"),
    "p1": (p1.measure, "P1 telegrams, beside dsmr_parser"),
    "head_end": (head_end.measure, "1,000 meters read in parallel by one head end"),
    "floods": (floods.measure, "genuine pushes and radio telegrams in a flood of forged ones"),
    "cost": (cost.measure, "a megabyte of the worst that each entry point's grammar allows"),
    "size": (size.measure, "10,000 meters: start, pages and memory with 1 and 400 days"),
    "store": (store_lines, "durable ingest, beside a typed SQLite table"),
}


def main():
    if len(sys.argv) != 2 or sys.argv[1] not in (*BENCHES, "main"):
        print("usage: scripts/bench NAME\n")
        print("  main      all of these, in one table")
        for name, (_, words) in BENCHES.items():
            print(f"  {name:<9} {words}")
        sys.exit(0 if len(sys.argv) == 1 else 2)
    chosen = BENCHES if sys.argv[1] == "main" else [sys.argv[1]]
    lines = []
    for name in chosen:
        print(f"measuring {name} …", file=sys.stderr)
        lines += BENCHES[name][0]()
    show(lines, "meterspan beside its peers, measured in this run")


if __name__ == "__main__":
    main()
