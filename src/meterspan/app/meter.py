"""What ``meterspan meter`` is: a seeded household joined to a metering device, on real sockets, with its state kept."""

import asyncio
import fcntl
import os
import secrets
import signal
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeVar
from zoneinfo import ZoneInfo

from meterspan.app.meter_keys import MeterKeys
from meterspan.app.programs import together
from meterspan.engine.links import TRANSPORTS
from meterspan.engine.security import SecurityKeys
from meterspan.engine.uplink import RETRIES_MAX, RETRY_FIRST_S, Uplink
from meterspan.meter.electricity import ElectricityMeter, ElectricityMeterConfig
from meterspan.meter.metrology import CorruptStateError, Indication
from meterspan.meter.push import MeterPush
from meterspan.meter.radio import RadioMedium, RadioMeter, RadioMeterConfig
from meterspan.model.cosem.standard_objects import PushDelivery, PushService
from meterspan.model.identity import MANUFACTURER
from meterspan.quantities import Commodity, standard_offset_s
from meterspan.runtime.clock import SystemClock
from meterspan.runtime.dlms_server import HostLimits
from meterspan.runtime.endpoints import Endpoint
from meterspan.runtime.meter_host import ElectricityHost, FlowSource, MeterTime, RadioHost, kept_time
from meterspan.runtime.services import Services
from meterspan.runtime.state import StateFile
from meterspan.runtime.uplink_host import UplinkHost
from meterspan.sim.daily_life import Equipment, Heating
from meterspan.sim.households import Flows, Household
from meterspan.store.private_files import make_private_file, make_private_folder, open_own
from meterspan.wire.mbus.transport import SecurityMode

__all__ = [
    "BenchMeter",
    "ElectricityPlaces",
    "MeterRunsError",
    "MeterStateError",
    "RadioPlaces",
    "RunningBenchMeter",
    "meter_name",
    "owned",
    "run_bench",
    "run_until",
]

_DUE_PERIOD_S: Final = 900
_SEAL_KEPT: Final = "seal key"
_SEAL_KEY_SIZE: Final = 32
_LIVE_STEP_S, _HISTORY_STEP_S = 10.0, 60.0
_OPENING: Final = {Commodity.GAS: 120_000, Commodity.WATER: 350_000, Commodity.HEAT: 9_000_000}
FlowT = TypeVar("FlowT")


class MeterRunsError(Exception):
    """Another program runs this meter: two would measure twice and mix their counters."""


class MeterStateError(Exception):
    """The registers at rest cannot be trusted; the words name their file."""


@contextmanager
def owned(folder: Path, name: str) -> Iterator[Path]:
    """Return the state file of a meter, which no other program can own meanwhile.

    Raises:
        MeterRunsError: another program owns it.

    """
    make_private_folder(folder)
    make_private_file(folder / f"{name}.lock")
    with os.fdopen(open_own(folder / f"{name}.lock", os.O_RDWR), "r+b") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise MeterRunsError(f"{name} is running already") from error
        yield folder / f"{name}.sqlite"


def meter_name(commodity: Commodity, seed: int) -> str:
    """Return the name of the meter of this seed: a logical device name, or an M-Bus device."""
    if commodity is Commodity.ELECTRICITY:
        return f"{MANUFACTURER}1{seed:010d}"
    return RadioMeterConfig(RadioMedium.of(commodity), MANUFACTURER, _number(seed), b"", SecurityMode.NONE).device


def _number(seed: int) -> str:
    return f"{10_000_000 + seed:08d}"


@dataclass(frozen=True, slots=True)
class ElectricityPlaces:
    """Where an electricity meter is heard.

    Attributes:
        ports: where DLMS is served, by name; port 0 takes a free one.
        host: address of the P1 port.
        p1_port: TCP port of P1 telegrams; None without.
        uplink: the head end that gets each captured row, if any.
        timeout_s: how long a silent client is kept.

    """

    ports: Mapping[str, Endpoint]
    host: str
    p1_port: int | None = None
    uplink: Endpoint | None = None
    timeout_s: float = 180.0


@dataclass(frozen=True, slots=True)
class RadioPlaces:
    """How a radio meter is heard.

    Attributes:
        receiver: where its telegrams go, as datagrams.
        interval_s: between telegrams.
        mode: their security.
        ports: where it is a slave of wired M-Bus, by name; port 0 takes a free one.

    """

    receiver: Endpoint
    interval_s: float
    mode: SecurityMode
    ports: Mapping[str, Endpoint] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RunningBenchMeter:
    """A meter whose ports are open.

    Attributes:
        household: whose consumption it measures.
        ports: bound TCP port by name.
        places: where it is heard, as people write it, by name.
        run: runs it until it is cancelled.
        close: closes its ports, and saves its state.
        indication: its registers now.
        now: its own time, UTC seconds.

    """

    household: Household
    ports: Mapping[str, int]
    places: Mapping[str, str]
    run: Callable[[], Coroutine[Any, Any, None]]
    close: Callable[[], Awaitable[None]]
    indication: Callable[[], Indication]
    now: Callable[[], float]


@dataclass(slots=True)
class BenchMeter:
    """One meter on the bench.

    Attributes:
        commodity: its commodity.
        seed: which household, and which meter number.
        zone: of its clock.
        history_s: how much of a load profile a new meter starts with.
        speed: its seconds per second.
        start: UTC time at which a new meter begins its life; now by default.
        on_note: called with a sentence for each event on its ports.
        clock: the wall clock.

    """

    commodity: Commodity
    seed: int
    zone: ZoneInfo
    history_s: float = 0.0
    speed: float = 1.0
    start: datetime | None = None
    on_note: Callable[[str], None] = lambda _text: None
    clock: SystemClock = field(default_factory=SystemClock)

    @property
    def name(self) -> str:
        """Its name."""
        return meter_name(self.commodity, self.seed)

    async def open_electricity(
        self, state: StateFile, keys: MeterKeys, places: ElectricityPlaces, *, pv_kw: float | None = None
    ) -> RunningBenchMeter:
        """Open the ports of the electricity meter.

        Args:
            state: keeps registers, profile and counters.
            keys: the keys that clients must hold.
            places: where it listens.
            pv_kw: peak power of its solar modules; the household's own by default.

        Raises:
            OSError: a port cannot be opened.
            CorruptStateError: the registers at rest cannot be trusted.

        """
        config = ElectricityMeterConfig(
            self.name,
            MANUFACTURER.encode() + self.seed.to_bytes(5, "big"),
            self.zone,
            opening_wh=2_500_000 + self.seed * 7_919 % 5_000_000,
            seal_key=_seal_key(state),
        )
        begin, kept = self._begin(), kept_time(state)
        device = ElectricityMeter(config, begin - self.history_s if kept is None else max(begin, kept), state=state)
        household = self._household(pv_kw)
        time = self._time(begin, kept)
        host = ElectricityHost(
            device,
            keys=SecurityKeys(keys.key, keys.auth_key),
            password=keys.password,
            state=state,
            time=time,
            clock=self.clock,
            supply=_supply(household, Flows.electricity),
            limits=HostLimits(inactivity_timeout_s=places.timeout_s, silence_s=min(30.0, places.timeout_s)),
            delivery=None if places.uplink is None else _delivery(places.uplink),
            on_note=self.on_note,
        )
        if kept is not None:
            host.pass_over(time())
        host.advance()
        opened, shown = await _listen(host, places)
        run = host.run
        if places.uplink is not None:
            uplink = self._pushing(device, host, state, places.uplink)

            def run() -> Coroutine[Any, Any, None]:
                return together(host.run(), Services().keep("uplink", uplink.run))

        return RunningBenchMeter(household, opened, shown, run, host.close, lambda: device.indication, time)

    async def open_radio(self, state: StateFile, key: bytes, places: RadioPlaces) -> RunningBenchMeter:
        """Open the sockets of the radio meter; ``key`` is the AES key of its telegrams.

        Raises:
            OSError: a socket cannot be opened.
            CorruptStateError: the registers at rest cannot be trusted.

        """
        begin, kept = self._begin(), kept_time(state)
        config = RadioMeterConfig(
            RadioMedium.of(self.commodity),
            MANUFACTURER,
            _number(self.seed),
            key,
            places.mode,
            interval_s=places.interval_s,
            standard_offset_s=standard_offset_s(self.zone, begin),
            opening=_OPENING[self.commodity] + self.seed * 101,
            seal_key=_seal_key(state),
        )
        start = begin - _DUE_PERIOD_S if kept is None else max(begin, kept)  # so that there is a due value at once
        time = self._time(begin, kept)
        device = RadioMeter(config, start, state, state=state)
        household = self._household(None)
        host = RadioHost(
            device,
            state=state,
            time=time,
            clock=self.clock,
            supply=_supply(household, lambda flows, step: flows.piped(self.commodity, step)),
            receiver=places.receiver,
            on_sent=lambda octets: self.on_note(f"sent {len(octets)} octets to {places.receiver}"),
        )
        if kept is not None:
            host.pass_over(time())
        host.advance()
        await host.open()
        opened, shown = {}, {"radio": str(places.receiver)}
        for kind, wanted in places.ports.items():
            opened[kind] = await host.listen(TRANSPORTS[wanted.scheme], wanted)
            shown[kind] = str(replace(wanted, port=opened[kind]))
        return RunningBenchMeter(household, opened, shown, host.run, host.close, lambda: device.indication, time)

    def _pushing(
        self, device: ElectricityMeter, host: ElectricityHost, state: StateFile, endpoint: Endpoint
    ) -> UplinkHost:
        """Push what is captured from here on; a new meter's history is left to reads."""
        rows = MeterPush(device, state.outbox("push"), state=state)
        link = TRANSPORTS[endpoint.scheme].push_sender()
        machine = Uplink(rows, host.security.context(), link, is_confirmed=is_confirmed(endpoint))
        uplink = UplinkHost(machine, endpoint, clock=self.clock, on_note=self.on_note)

        def captured() -> None:
            rows.collect()
            uplink.wake()

        def asked(now: float) -> None:
            rows.push_now(now)
            uplink.wake()

        host.on_captured = captured
        host.on_push_asked = asked
        rows.collect()
        return uplink

    def _begin(self) -> float:
        return self.clock() if self.start is None else self.start.replace(tzinfo=UTC).timestamp()

    def _time(self, begin: float, kept: float | None) -> MeterTime:
        return MeterTime(self.clock, begin if kept is None else max(begin, kept), speed=self.speed)

    def _household(self, pv_kw: float | None) -> Household:
        drawn = Household.drawn(self.seed, zone=self.zone.key)
        heating = {Commodity.GAS: Heating.GAS, Commodity.HEAT: Heating.DISTRICT}.get(self.commodity)
        own = drawn.equipment
        if heating is None and pv_kw is None:
            return drawn
        equipment = Equipment(
            own.heating if heating is None else heating,
            own.pv_kw if pv_kw is None else pv_kw,
            own.ev,
            own.dryer,
            own.dishwasher,
            own.garden,
        )
        return Household(self.seed, drawn.profile, zone=self.zone.key, equipment=equipment)


def is_confirmed(endpoint: Endpoint) -> bool:
    """Whether the receiver of pushes is asked to confirm them: unless the endpoint says ``confirm=no``."""
    return endpoint.options.get("confirm", "yes") != "no"


def _delivery(endpoint: Endpoint) -> PushDelivery:
    service = _PUSH_SERVICES[endpoint.scheme]
    return PushDelivery(service, endpoint.place, RETRIES_MAX, int(RETRY_FIRST_S))


_PUSH_SERVICES: Final = {"tcp": PushService.TCP, "udp": PushService.UDP, "hdlc+tcp": PushService.HDLC}


def _seal_key(state: StateFile) -> bytes:
    """Return the secret that seals a meter's registers: made at its first start, known to no other."""
    kept = state.load(_SEAL_KEPT)
    if kept is None:
        kept = secrets.token_bytes(_SEAL_KEY_SIZE)
        state.save(_SEAL_KEPT, kept)
    return kept


async def _listen(host: ElectricityHost, places: ElectricityPlaces) -> tuple[dict[str, int], dict[str, str]]:
    """Open the ports; return their numbers, and where they are as people write it."""
    opened, shown = {}, {}
    for kind, wanted in places.ports.items():
        opened[kind] = await host.listen(TRANSPORTS[wanted.scheme], wanted.host, wanted.port)
        shown[kind] = str(replace(wanted, port=opened[kind]))
    if places.p1_port is not None:
        opened["p1"] = await host.listen_p1(places.host, places.p1_port)
        shown["p1"] = str(Endpoint("tcp", places.host, opened["p1"]))
    return opened, shown


def _supply(household: Household, pick: Callable[[Flows, int], FlowT]) -> FlowSource[FlowT]:
    def supply(start: float, end: float) -> Iterable[tuple[FlowT, float]]:
        step_s = _LIVE_STEP_S if end - start <= 3_600 else _HISTORY_STEP_S
        flows = household.flows(start, end, step_s)
        for step in range(len(flows)):
            yield pick(flows, step), float(flows.edges[step + 1])

    return supply


Shown = Callable[[RunningBenchMeter], AbstractContextManager[Callable[[], object] | None]]
"""Announces an open meter; gives what paints it each second, or None where nothing is painted."""


def run_bench(
    bench: BenchMeter,
    folder: Path,
    keys: MeterKeys,
    places: ElectricityPlaces | RadioPlaces,
    *,
    pv_kw: float | None = None,
    after_restore: bool = False,
    shown: Shown,
) -> None:
    """Run a meter until SIGINT or SIGTERM.

    Args:
        bench: the meter.
        folder: keeps registers, profile and counters.
        keys: the keys that clients must hold; ``key`` alone is that of a radio meter.
        places: where it is heard: a radio meter's, or an electricity meter's.
        pv_kw: peak power of its solar modules; the household's own by default.
        after_restore: the state is of a back-up or another machine, and nothing else uses its counters.
        shown: announces the meter once its ports are open.

    Raises:
        MeterRunsError: another program runs this meter.
        MeterStateError: the registers at rest cannot be trusted.
        OSError: a port cannot be opened.
        CannotConnectError: likewise.

    """

    async def run(state: StateFile) -> None:
        if isinstance(places, ElectricityPlaces):
            running = await bench.open_electricity(state, keys, places, pv_kw=pv_kw)
        else:
            running = await bench.open_radio(state, keys.key, places)
        stopped = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stopped.set)
        with shown(running) as paint:
            await run_until(stopped, running, paint)

    with owned(folder, bench.name) as path, StateFile(path, after_restore=after_restore) as kept:
        try:
            asyncio.run(run(kept))
        except CorruptStateError as error:
            raise MeterStateError(f"{path}: {error}") from error


async def run_until(
    stopped: asyncio.Event, meter: RunningBenchMeter, paint: Callable[[], object] | None = None
) -> None:
    """Run a meter until ``stopped`` is set or it fails; ``paint`` is called every second.

    The ports are closed and the state is saved in any case; an exception of the meter is raised again.
    """
    task = asyncio.create_task(meter.run())
    waiting = asyncio.create_task(stopped.wait())
    try:
        while not task.done() and not waiting.done():
            if paint is not None:
                paint()
            seconds = None if paint is None else 1.0
            await asyncio.wait((task, waiting), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
        task.cancel()
        await asyncio.wait((task, waiting))
        await meter.close()
    if not task.cancelled():
        task.result()
