"""``meterspan serve`` and ``home`` as processes, and what pushes rows at them."""

import json
import socket
import subprocess
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from meterspan.engine.security import SecurityContext, SecurityKeys
from meterspan.model.cosem.objects import scaler_unit
from meterspan.quantities import UNITS, ClockTime, Obis, Scaled
from meterspan.wire.axdr import (
    Data,
    array,
    double_long_unsigned,
    integer,
    long_unsigned,
    octet_string,
    structure,
    unsigned,
)
from meterspan.wire.axdr.clock import write_clock_time
from meterspan.wire.errors import WireError
from meterspan.wire.wrapper import WrapperPdu, read_wpdu, write_wpdu
from meterspan.wire.xdlms import (
    DataNotification,
    DataNotificationConfirm,
    LongInvokeIdAndPriority,
    read_apdu,
    write_apdu,
)
from tests.helpers_bench import MAIN, environment
from tests.memory import MemoryState

HEAD_END_TITLE = bytes.fromhex("4D53504800000001")
PERIOD_S = 900
CONFIRM_S = 3.0


@dataclass
class RunningServer:
    process: "subprocess.Popen[str]"
    told: dict[str, Any]

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(self.told["portal"] + path, timeout=20) as answer:  # noqa: S310 - our own portal
            return json.load(answer)

    def post(self, path: str, body: object) -> Any:
        request = urllib.request.Request(  # noqa: S310 - our own portal
            self.told["portal"] + path, json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310 - our own portal
            return json.load(answer)


@contextmanager
def running(folder: Path, *arguments: str) -> Iterator[RunningServer]:
    """Start a command that serves a portal, wait until it is up, and end it."""
    with (folder / "server.log").open("a") as log:
        process = subprocess.Popen(
            [*MAIN, *arguments, "--json"],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=environment(folder) | {"METERSPAN_MASTER_KEY_FILE": str(folder / "keys" / "master.key")},
        )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise AssertionError(f"it did not start: {(folder / 'server.log').read_text()[-2_000:]}")
        yield RunningServer(process, json.loads(line))
    finally:
        if process.poll() is None:
            process.terminate()
        process.communicate(timeout=20)


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


@dataclass
class Pusher:
    """An access point that pushes rows of its meters for ever, and notes every row whose confirmation it has seen."""

    title: bytes
    keys: SecurityKeys
    channels: dict[int, str]
    port: int
    start: int
    rows_max: int
    confirmed: dict[tuple[str, int], int] = field(default_factory=dict)
    refused: int = 0
    is_over: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._context = SecurityContext(self.title, self.keys, counters=MemoryState(), peer_title=HEAD_END_TITLE)
        self._sent = 0
        self._invoke_id = 0

    def run(self) -> None:
        while not self.is_over.is_set() and self._sent < self.rows_max:
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=CONFIRM_S) as line:
                    self._push_on(line)
            except OSError:
                self.is_over.wait(0.05)

    def _push_on(self, line: socket.socket) -> None:
        while not self.is_over.is_set() and self._sent < self.rows_max:
            rows = {
                (device, self.start + PERIOD_S * (self._sent + index + 1)): self._sent + index + 1 + 1_000_000 * channel
                for channel, device in self.channels.items()
                for index in range(4)
            }
            self._invoke_id += 1
            invoke = LongInvokeIdAndPriority(self._invoke_id, confirmed=True)
            plain = write_apdu(DataNotification(invoke, self._body(rows)))
            line.sendall(write_wpdu(WrapperPdu(1, 1, self._context.protect(plain, general=True))))
            if not self._is_confirmed(line):
                return
            self.confirmed |= rows
            self._sent += 4

    def _is_confirmed(self, line: socket.socket) -> bool:
        """Wait for the confirmation of what was just sent; the head end must never use a counter twice."""
        octets = b""
        while len(octets) < 8 or len(octets) < 8 + int.from_bytes(octets[6:8], "big"):
            more = line.recv(4_096)
            if not more:
                return False
            octets += more
        try:
            confirm = read_apdu(self._context.unprotect(read_wpdu(octets).apdu).octets)
        except WireError:
            self.refused += 1
            return False
        return isinstance(confirm, DataNotificationConfirm) and confirm.invoke.invoke_id == self._invoke_id

    def _body(self, rows: dict[tuple[str, int], int]) -> Data:
        items = []
        for channel, device in self.channels.items():
            own = [(time, value) for (name, time), value in rows.items() if name == device]
            clocks = [write_clock_time(ClockTime.of(datetime.fromtimestamp(time, UTC))) for time, _ in own]
            table = [
                structure(octet_string(clock), unsigned(0), double_long_unsigned(value))
                for clock, (_, value) in zip(clocks, own, strict=True)
            ]
            profile, register = Obis(0, channel, 24, 3, 0), Obis(0, channel, 24, 2, 1)
            items += [
                structure(long_unsigned(7), octet_string(profile), integer(2), array(*table)),
                structure(
                    long_unsigned(4), octet_string(register), integer(3), scaler_unit(Scaled(0, -3, UNITS["m3"]))
                ),
            ]
        return array(*items)
