"""A simulated electricity meter as a real server, for library users: bring the load, read it over its protocols."""

import asyncio
import secrets
import tempfile
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Final

from meterspan.engine.links import TRANSPORTS
from meterspan.engine.security import SecurityKeys
from meterspan.meter.electricity import ElectricityMeter, ElectricityMeterConfig
from meterspan.meter.metrology import ElectricityFlow
from meterspan.quantities import Obis, Scaled
from meterspan.runtime.clock import SystemClock
from meterspan.runtime.endpoints import parse_transport
from meterspan.runtime.meter_host import ElectricityHost, MeterTime
from meterspan.runtime.state import StateFile

__all__ = ["RunningMeter", "SimulatedMeter"]

LIVE_STEP_S: Final = 10.0
HISTORY_STEP_S: Final = 60.0
"""How long the load is taken as constant, now and in history."""
NO_HISTORY: Final = timedelta(0)

Load = float | Callable[[datetime], float]
"""Watts from the network, negative into it; or a function that returns them at an instant (UTC)."""


@dataclass(frozen=True, slots=True)
class SimulatedMeter:
    """An electricity meter with clock, load profile, event log, switch and DLMS/COSEM objects, read like a real one.

    Its public client (16) sees names and clock, the reader (2) reads with ``password`` (``lls``), and the management
    client (1) with the two keys (``hls5``).

    Attributes:
        name: logical device name, 4 to 16 characters, the first three a manufacturer.
        load_w: the measured load, W.
        opening_wh: import register to begin with.
        history: how much load profile it begins with.
        capture_period: between rows of its load profile.
        zone: of its clock.
        password: of the reader.
        key: global unicast encryption key; made up where none is given.
        auth_key: authentication key likewise.

    """

    name: str = "MSP1000000001"
    load_w: Load = 500.0
    opening_wh: int = 0
    history: timedelta = NO_HISTORY
    capture_period: timedelta = timedelta(minutes=15)
    zone: tzinfo = UTC
    password: bytes = field(default=b"password", repr=False)
    key: bytes = field(default_factory=lambda: secrets.token_bytes(16), repr=False)
    auth_key: bytes = field(default_factory=lambda: secrets.token_bytes(16), repr=False)

    @asynccontextmanager
    async def serve(self, endpoint: str = "tcp://127.0.0.1:0") -> AsyncIterator["RunningMeter"]:
        """Run the meter for the time of the context.

        Args:
            endpoint: where it serves DLMS: ``tcp://``, ``udp://`` or ``hdlc+tcp://``; port 0 takes a free one.

        Raises:
            EndpointError: the address cannot be served.
            OSError: the port is taken.

        """
        wanted = parse_transport(endpoint, is_own=True)
        clock = SystemClock()
        now = clock()
        with tempfile.TemporaryDirectory() as folder, StateFile(Path(folder) / "meter.sqlite") as state:
            meter = ElectricityMeter(self._config(), now - self.history.total_seconds(), state=state)
            host = ElectricityHost(
                meter,
                keys=SecurityKeys(self.key, self.auth_key),
                password=self.password,
                state=state,
                time=MeterTime(clock, now),
                clock=clock,
                supply=self._supply,
            )
            host.advance()
            port = await host.listen(TRANSPORTS[wanted.scheme], wanted.host, wanted.port)
            living = asyncio.create_task(host.run())
            try:
                yield RunningMeter(str(replace(wanted, port=port)), meter, host)
            finally:
                living.cancel()
                await asyncio.wait((living,))
                await host.close()

    def _config(self) -> ElectricityMeterConfig:
        title = (self.name[:3].encode() + self.name[-5:].encode()).ljust(8, b"0")
        period_s = int(self.capture_period.total_seconds())
        return ElectricityMeterConfig(
            self.name, title, self.zone, capture_period_s=period_s, opening_wh=self.opening_wh
        )

    def _supply(self, start: float, end: float) -> Iterable[tuple[ElectricityFlow, float]]:
        step_s = LIVE_STEP_S if end - start <= 3_600 else HISTORY_STEP_S
        while start < end:
            until = min(start + step_s, end)
            watts = self.load_w(datetime.fromtimestamp(start, UTC)) if callable(self.load_w) else self.load_w
            yield ElectricityFlow((round(watts * 1_000),)), until
            start = until


class RunningMeter:
    """A meter that is being served.

    Attributes:
        endpoint: where to read it.

    """

    def __init__(self, endpoint: str, meter: ElectricityMeter, host: ElectricityHost) -> None:
        self.endpoint = endpoint
        self._meter = meter
        self._host = host

    def registers(self) -> Mapping[Obis, Scaled]:
        """Return the registers of the meter now: every reading of it must agree with them."""
        self._host.advance()
        return {item.obis: item.value for item in self._meter.indication.registers}
