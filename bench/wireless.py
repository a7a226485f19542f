"""Wireless M-Bus in mode 5, telegram in and JSON out, beside the least that sixty lines of plain Python reach."""

import json
import subprocess
import sys

from bench.inputs import as_file, radio_telegrams
from bench.table import ROOT, Line, rate, show
from meterspan.engine.wmbus_receiver import WmbusReceiver

METERS = (1, 200, 2_000, 10_000)
TELEGRAMS = 20_000
GOAL = 0.6


def measure():
    lines = []
    for meters in METERS:
        telegrams, keys = radio_telegrams(meters, TELEGRAMS)
        task = as_file({"telegrams": telegrams, "keys": {name.hex(): key.hex() for name, key in keys.items()}})
        receiver = WmbusReceiver(keys)

        def decode(receiver=receiver, telegrams=telegrams):
            for text in telegrams:
                shown = to_json(receiver, text)
            return shown

        assert json.loads(decode())["volume"] == (1_000 + TELEGRAMS - 1) / 1_000
        floor = run_floor(task)
        ours = rate(decode, each=TELEGRAMS)
        lines.append(Line(f"wireless mode 5, {meters:,} meters", ours, "telegrams/s", "floor", floor, GOAL))
    flat = lines[-1].ours / lines[0].ours
    lines.append(Line("  10,000 meters against one", flat, "x", note="flat is 1"))
    return lines


def to_json(receiver, text):
    """Decode one telegram of hexadecimal digits to JSON with quantities in their units."""
    telegram = receiver.read(bytes.fromhex(text))
    shown = {"id": telegram.address.id_octets[::-1].hex()}
    for record in telegram.records.records:
        shown[record.quantity] = float(record.decimal)
    return json.dumps(shown)


def run_floor(task):
    done = subprocess.run(
        [sys.executable, ROOT / "bench" / "floor.py", task], capture_output=True, text=True, timeout=120, check=True
    )
    return json.loads(done.stdout)["per_s"]


def main():
    show(measure(), "wireless M-Bus")


if __name__ == "__main__":
    main()
