"""One home as a running program: its meters on P1, radio and wires into a data management of its own, no head end.

Strategy: ``lnap.home_collector`` decides; this host moves octets in and events out. Rows are stored every two seconds;
what cannot be stored or registered now stays with the collector and is tried again. The home's displays are served
over H1 (P1 text) and H2 (JSON lines).
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar
from zoneinfo import ZoneInfo

from meterspan.analytics.tariff import Tariff
from meterspan.engine.links import DeviceProtocol
from meterspan.engine.machine import WantsConnection
from meterspan.engine.mbus_polling import PollEvent, RoundEnded, SlaveNotRead, SlaveRead
from meterspan.head_end.device_log import DeviceLog, Entry, Frame
from meterspan.lnap.access_point import AccessPoint
from meterspan.lnap.home_collector import (
    Delivery,
    DisplayLine,
    FrameHeard,
    HomeCollector,
    HomeEvent,
    HomeMeter,
    HomePorts,
    MeterHeard,
    TelegramQuarantined,
    UpstreamIdentity,
)
from meterspan.lnap.meter_places import MeterExchanged, MeterFirstHeard, SecondMeterHeard
from meterspan.lnap.wired_meters import WiredMeterNotRead
from meterspan.mdm import MeterDataManagement
from meterspan.mdm.installations import possible_registers
from meterspan.model.failures import FailureKind
from meterspan.model.lookup_errors import RegistrationError
from meterspan.model.radio_protection import RadioSettings
from meterspan.model.readings import EventSeverity
from meterspan.model.storage.errors import StorageError
from meterspan.quantities import Commodity, utc
from meterspan.readings.p1 import stated_time
from meterspan.runtime.defects import note_defect
from meterspan.runtime.endpoints import Endpoint
from meterspan.runtime.isolating_sink import IsolatingSink, RefusedRow
from meterspan.runtime.mbus_client import poll_bus
from meterspan.runtime.p1_source import p1_telegrams
from meterspan.runtime.radio import radio_telegrams
from meterspan.runtime.relay import Relay
from meterspan.runtime.state import StateFile
from meterspan.runtime.troubles import Troubles
from meterspan.wire.p1 import P1Damage, P1Reader, P1Telegram

__all__ = ["PROTOCOLS", "HomeConfig", "HomeHost"]

FLUSH_EVERY_S: Final = 2.0
UNPROVED_TELEGRAMS_PER_S: Final = 200.0
"""Telegrams that prove nothing, processed in a second: ten times the meters within earshot, a tenth of the CPU."""
FILE_CHUNK: Final = 2_048
"""A reader queues 64 telegrams and drops older ones; so few octets never hold more."""
FLUSH_EVERY_TELEGRAMS: Final = 4_096
PROTOCOLS: Final = {"H1": "p1", "M": "wmbus"}

_log = logging.getLogger("meterspan.home")

HeardT = TypeVar("HeardT")


@dataclass(frozen=True, slots=True)
class HomeConfig:
    """One home.

    Attributes:
        home_id: short name.
        name: that people read.
        zone: IANA time zone.
        currency: of its tariffs.
        tariffs: by commodity.
        radio_meters: its radio meters by device; no other one is accepted.
        upstream: identity of its access point on G1; None without a head end.

    """

    home_id: str
    name: str
    zone: str
    currency: str
    tariffs: Mapping[Commodity, Tariff]
    radio_meters: Mapping[str, RadioSettings]
    upstream: UpstreamIdentity | None = None


class HomeHost:
    """Runs one home.

    Args:
        config: of the home.
        data: stores the received rows.
        state: counters, outboxes and named states.
        clock: UTC seconds.

    """

    def __init__(
        self, config: HomeConfig, *, data: MeterDataManagement, state: StateFile, clock: Callable[[], float]
    ) -> None:
        self.config = config
        self.data = data
        self.device_log = DeviceLog()
        self.on_rows: Callable[[], None] = lambda: None
        """Called when the access point has captured rows."""
        self.troubles = Troubles(clock)
        """What does not work now."""
        self._clock = clock
        self._zone = ZoneInfo(config.zone)
        self._refused: deque[RefusedRow] = deque()
        self._sink = IsolatingSink(data, self._refused.append)
        self._relays = {"H1": Relay(), "H2": Relay()}
        self._unregistered: list[MeterFirstHeard | MeterExchanged] = []
        """Decisions that could not be stored yet."""
        data.register_home(config.home_id, config.name, zone=config.zone, currency=config.currency)
        ports = HomePorts(state, state, state.outbox("home"), state.outbox("uplink"))
        self._collector = HomeCollector(config.home_id, self._zone, config.radio_meters, config.upstream, ports=ports)
        for damage in self.point.set_aside:
            _log.error("a damaged entry of the state was set aside", extra={"reason": str(damage)})
        self._pump()

    @property
    def meters(self) -> Mapping[str, HomeMeter]:
        """The meters heard since the start, by device."""
        return self._collector.meters

    @property
    def point(self) -> AccessPoint:
        """The home's access point."""
        return self._collector.point

    async def hear_port(
        self, endpoint: Endpoint, on_trouble: Callable[[str], None], on_up: Callable[[], None] = lambda: None
    ) -> None:
        """Read a P1 port until cancelled; it is connected again whenever it is lost.

        Args:
            endpoint: ``tcp`` or ``serial``.
            on_trouble: called with a sentence when the line is down.
            on_up: called when octets arrive, at first and after each time that it was down.

        """
        async with aclosing(p1_telegrams(endpoint, on_trouble=on_trouble, on_up=on_up)) as telegrams:
            async for item in telegrams:
                self.hear_p1(item, self._clock(), str(endpoint))

    async def hear_file(self, path: Path) -> int:
        """Read the P1 telegrams of a file, each at its own time; return how many."""
        reader, count = P1Reader(), 0
        with path.open("rb") as file:
            while chunk := file.read(FILE_CHUNK):
                reader.receive(chunk)
                while (item := reader.next_telegram()) is not None:
                    self.hear_p1(item, self._time_of(item), path.name)
                    count += 1
                    if count % FLUSH_EVERY_TELEGRAMS == 0:
                        await self.flush()
        await self.flush()
        return count

    def _time_of(self, item: P1Telegram | P1Damage) -> float:
        """Return when a telegram of a file was sent; now where it does not say so."""
        stated = None if isinstance(item, P1Damage) else stated_time(item, self._zone)
        return self._clock() if stated is None else stated

    async def hear_radio(self, endpoint: Endpoint) -> None:
        """Receive radio telegrams until cancelled."""
        hearing = radio_telegrams(
            endpoint, self._clock, precedence=self.point.precedence, unproved_per_s=UNPROVED_TELEGRAMS_PER_S
        )
        async with aclosing(hearing) as telegrams:
            async for octets, peer, now in telegrams:
                self._hear(PROTOCOLS["M"], self._collector.hear_radio, octets, now, peer)

    async def poll_wired(self, endpoint: Endpoint, every_s: float) -> None:
        """Read the meters of a wired M-Bus in rounds until cancelled; ``endpoint`` names them all.

        Raises:
            EndpointError: its options are wrong.

        """
        await poll_bus(endpoint, every_s=every_s, clock=self._clock, on_event=self.take_poll, on_note=_log.debug)

    def take_poll(self, event: PollEvent) -> None:
        """Process an outcome of the polling of a wired M-Bus."""
        match event:
            case SlaveRead():
                self._hear(DeviceProtocol.MBUS, self._collector.hear_wired, event.octets, self._clock(), event.slave)
            case SlaveNotRead():
                self._collector.wired_failed(event.failure, event.octets, self._clock(), event.slave)
                self._pump()
            case WantsConnection() | RoundEnded():
                pass

    @property
    def wired_failures(self) -> Mapping[str, FailureKind]:
        """The slaves of wired M-Bus whose last readout failed, and how."""
        return self._collector.wired.failing

    def hear_p1(self, item: P1Telegram | P1Damage, now: float, source: str) -> None:
        """Process one telegram of the P1 port."""
        self._hear(PROTOCOLS["H1"], self._collector.hear_p1, item, now, source)

    async def flush(self) -> None:
        """Store the received rows; rows that cannot be stored now are kept and tried again."""
        try:
            self._register_again()
            delivery = self._collector.delivery(self._clock())
            if delivery is not None and delivery.blocks:
                await asyncio.to_thread(self._sink.take, delivery.blocks)
            if delivery is not None:
                self._delivered(delivery)
            self.troubles.end("readings")
        except StorageError as error:
            self.troubles.note("readings", "readings could not be stored; they are kept", error)
        while self._refused:
            self.point.quarantine_frame(self._refused.popleft().quarantined())

    async def run(self) -> None:
        """Store received rows until cancelled, and then the rest."""
        try:
            while True:
                await asyncio.sleep(FLUSH_EVERY_S)
                await self.flush()
        except asyncio.CancelledError:
            for relay in self._relays.values():
                relay.close()
            self._store_the_rest()
            raise

    def _store_the_rest(self) -> None:
        """Store what is left when the home ends; the outbox keeps what cannot be stored."""
        try:
            delivery = self._collector.delivery(self._clock())
            if delivery is not None:
                self._sink.take(delivery.blocks)
                self._delivered(delivery)
            self._collector.preserve()
        except StorageError as error:
            self.troubles.note("last readings", "the last readings could not be stored", error)

    async def relay(self, interface: str, host: str, port: int) -> int:
        """Serve displays: ``H1`` gets P1 telegrams, ``H2`` a JSON line per telegram; return the port."""
        return await self._relays[interface].listen(host, port)

    def _delivered(self, delivery: Delivery) -> None:
        self._collector.delivered(delivery)
        if delivery.through is not None:
            self.on_rows()

    def _hear(
        self, protocol: str, hear: Callable[[HeardT, float, str], None], heard: HeardT, now: float, source: str
    ) -> None:
        """Pass a telegram on; without room to store it is lost, and the next one repeats its registers.

        A telegram that meets a defect of this program is lost as well; the home goes on.
        """
        name = f"{protocol} telegrams"
        before = self._taken() if name in self.troubles.now else 0
        try:
            hear(heard, now, source)
            if name in self.troubles.now and self._taken() > before:
                self.troubles.end(name)
        except StorageError as error:
            self.troubles.note(name, f"a telegram of {source} could not be processed", error)
        except Exception as error:  # noqa: BLE001 - one telegram ends no home, whatever it meets
            note_defect("a telegram met a defect of this program", error, source=source)
        self._pump()

    def _taken(self) -> int:
        """Return how many telegrams of the home's own meters were taken; one of a neighbour proves no storage."""
        return sum(meter.count for meter in self.meters.values())

    def _pump(self) -> None:
        while (event := self._collector.next_event()) is not None:
            try:
                self._apply(event)
            except Exception as error:  # noqa: BLE001 - one event ends no home; it is logged with its trace
                note_defect("an event met a defect of this program", error, event=type(event).__name__)
        for alarm in self.point.refusals.take_alarms():
            _log.warning("none of its telegrams was taken", extra={"meter": alarm.device, "refused": alarm.count})
            entry = Entry(alarm.time, "quarantined", str(alarm), severity=EventSeverity.ALARM, is_proved=False)
            self.device_log.note(alarm.device, entry)

    def _apply(self, event: HomeEvent) -> None:
        match event:
            case DisplayLine():
                self._relays[event.interface].send(event.octets)
            case FrameHeard():
                protocol = self._protocol(event.device, event.interface)
                frame = Frame(event.time, sent=False, protocol=protocol, octets=event.octets)
                self.device_log.frame(event.device, frame)
            case MeterHeard():
                self._note(event.device, event.time, "heard", f"Heard on {event.interface}")
            case WiredMeterNotRead():
                _log.warning("not read", extra={"source": event.source, "reason": str(event.failure)})
                if event.device:
                    self._note(
                        event.device, event.time, "not-read", f"Not read: {event.failure}", EventSeverity.WARNING
                    )
            case SecondMeterHeard():
                self._note(event.device, event.time, "second", f"Not billed: {event.failure}")
            case TelegramQuarantined():
                _log.debug("quarantined", extra={"reason": str(event.failure), "source": event.frame.source})
            case MeterFirstHeard() | MeterExchanged():
                self._register(event)

    def _protocol(self, device: str, interface: str) -> str:
        return DeviceProtocol.MBUS if device in self._collector.wired else PROTOCOLS[interface]

    def _register(self, event: MeterFirstHeard | MeterExchanged) -> None:
        """Register a decision; one that contradicts the registry is noted, and reported again after a restart.

        What fails otherwise is tried again with the next rows.
        """
        try:
            self._install(event) if isinstance(event, MeterFirstHeard) else self._exchange(event)
            self._collector.acknowledge(event)
        except RegistrationError as error:
            device = event.device if isinstance(event, MeterFirstHeard) else event.new_device
            self._note(device, event.time, "refused", f"Not registered: {error}", EventSeverity.WARNING)
        except StorageError as error:
            self.troubles.note("meters", "a meter could not be registered; it is tried again", error)
            self._unregistered.append(event)
        except Exception as error:  # noqa: BLE001 - a decision is not lost; it is logged with its trace
            self.troubles.keep("meters", error)
            note_defect("a defect kept a meter from being registered; it is tried again", error)
            self._unregistered.append(event)

    def _register_again(self) -> None:
        events, self._unregistered = self._unregistered, []
        for event in events:
            self._register(event)
        if not self._unregistered:
            self.troubles.end("meters")

    def _install(self, event: MeterFirstHeard) -> None:
        moment = utc(event.time)
        self.data.install_meter(
            self.config.home_id,
            event.usage_point,
            device=event.device,
            commodity=event.commodity,
            at=moment,
            period_s=event.period_s,
            protocol=self._protocol(event.device, event.interface),
            interface=event.interface,
            network=self.config.home_id,
        )
        tariff = self.config.tariffs.get(event.commodity)
        if tariff is not None:
            self.data.assign_tariff(event.usage_point, tariff, first_day=moment.astimezone(self._zone).date())
        self._note(event.device, event.time, "installed", f"Heard for the first time, at {event.usage_point}")

    def _exchange(self, event: MeterExchanged) -> None:
        self.data.exchange_meter(
            event.usage_point,
            old_device=event.old_device,
            closing=possible_registers(event.closing),
            new_device=event.new_device,
            opening=possible_registers(event.opening),
            at=utc(event.time),
            protocol=self._protocol(event.new_device, event.interface),
            interface=event.interface,
        )
        self._note(event.new_device, event.time, "exchanged", f"Replaced {event.old_device}")

    def _note(
        self, device: str, time: float, kind: str, title: str, severity: EventSeverity = EventSeverity.INFO
    ) -> None:
        self.device_log.note(device, Entry(time, kind, title, severity=severity))
