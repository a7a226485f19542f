"""What every benchmark gives: lines of ours beside a peer's, measured in the same run; and how to measure."""

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[1]
PEER_PYTHON = ROOT / ".venv" / "peers" / "bin" / "python"
MEASURE_S = 2.0


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the table; ``peer`` is None where there is nothing to compare with."""

    what: str
    ours: float
    unit: str
    peer_name: str = ""
    peer: float | None = None
    goal: float | None = None
    note: str = ""

    @property
    def ratio(self):
        return None if not self.peer else self.ours / self.peer


def rate(function, *, seconds=MEASURE_S, each=1):
    """Return how often per second of CPU a function runs, times ``each``; a first run warms it up."""
    function()
    runs, began = 0, time.process_time()
    while (spent := time.process_time() - began) < seconds:
        function()
        runs += 1
    return runs * each / spent


def peer(program, *arguments):
    """Run a peer in its own process and environment; gives the rate it prints, None where it is not installed."""
    if not PEER_PYTHON.exists():
        return None
    done = subprocess.run(
        [PEER_PYTHON, ROOT / "bench" / "peers" / program, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if done.returncode:
        print(f"{program}: {done.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
        return None
    return json.loads(done.stdout.splitlines()[-1])["per_s"]


def show(lines, title):
    """Print the table; the wide column is the last, so that a pipe loses nothing."""
    table = Table(title=title, title_justify="left")
    for name, justify in (
        ("what", "left"),
        ("ours", "right"),
        ("", "left"),
        ("peer", "right"),
        ("", "left"),
        ("ratio", "right"),
        ("goal", "right"),
        ("", "left"),
    ):
        table.add_column(name, justify=justify, no_wrap=True)
    for line in lines:
        is_met = line.goal is None or line.ratio is None or line.ratio >= line.goal
        table.add_row(
            line.what,
            _number(line.ours),
            line.unit,
            _number(line.peer),
            line.peer_name,
            "" if line.ratio is None else f"{line.ratio:,.2f} x",
            "" if line.goal is None else f">= {line.goal:g} x",
            line.note if is_met else f"NOT MET {line.note}",
        )
    Console(width=200).print(table)


def _number(value):
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:,.2f}"
