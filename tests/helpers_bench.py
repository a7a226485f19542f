"""meterspan's commands as processes, as a user starts them, with a folder of their own for all state."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typer.testing import CliRunner, Result

from meterspan.cli import app

STYLE_MARKS = re.compile(r"\[/?(?:red|green|yellow|cyan|blue|bold|dim|italic)\b[^]]*\]")
MAIN = [sys.executable, "-c", "from meterspan.cli import main; main()"]


def environment(folder: Path) -> dict[str, str]:
    return os.environ | {
        "XDG_STATE_HOME": str(folder / "state"),
        "COLUMNS": "120",
        "TERM": "dumb",
        "NO_COLOR": "1",
        "TZ": "UTC",
    }


@dataclass
class RunningMeter:
    process: "subprocess.Popen[str]"
    name: str
    ports: dict[str, int]
    said: str = ""
    """What it wrote, once it has ended."""

    def place(self, kind: str) -> str:
        scheme = {"wrapper": "tcp", "hdlc": "hdlc+tcp", "p1": "tcp"}.get(kind, kind)
        return f"{scheme}://127.0.0.1:{self.ports[kind]}"


@contextmanager
def running_meter(folder: Path, *options: str) -> Iterator[RunningMeter]:
    """Start ``meterspan meter``, wait until its ports are open, and end it."""
    process = subprocess.Popen(
        [*MAIN, "meter", "--json", "--keys", str(folder / "keys.toml"), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(folder),
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise AssertionError(f"the meter did not start: {process.communicate()[1]}")
        told = json.loads(line)
        meter = RunningMeter(process, told["meter"], told["ports"], line)
        yield meter
        process.terminate()
        meter.said += "".join(process.communicate(timeout=10))
    finally:
        if process.poll() is None:
            process.terminate()
            process.communicate(timeout=10)


def run(
    folder: Path, *arguments: str, stdin: str | None = None, columns: int = 120
) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end; none shows the marks that style its terminal."""
    done = subprocess.run(
        [*MAIN, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=environment(folder) | {"COLUMNS": str(columns)},
        timeout=30,
        input=stdin,
    )
    assert STYLE_MARKS.findall(done.stdout + done.stderr) == []
    return done


def run_here(*arguments: str) -> Result:
    """Run a command that ends at once within this process: what it refuses, it refuses before it starts anything."""
    return CliRunner(env={"COLUMNS": "300", "TERM": "dumb", "NO_COLOR": "1"}).invoke(app, list(arguments))


def read_json(folder: Path, *arguments: str) -> Any:
    """Run ``meterspan read … --json`` and give its document."""
    done = run(folder, "read", "--json", *arguments)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def register(document: Any, obis: str) -> int:
    """Return a register's value out of a reading."""
    return next(entry["value"] for entry in document["registers"] if entry["obis"] == obis)
