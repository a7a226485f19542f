"""A home's use of the telegrams of its meters: rows to store, meters installed and exchanged, lines for displays.

Strategy: of each P1 telegram the power is kept every few seconds and the registers once a minute and at every mark; the
access point captures radio meters, and the port's main meter too where a head end wants it. Rows of P1 wait in memory
until they are delivered: registers repeat every ten seconds, so power lost in between costs nothing that is billed.
Rows of radio meters wait in the access point's outbox. No sockets, clocks or databases: time and ports come in.
"""

import json
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from meterspan.analytics.tariff import exact_decimal
from meterspan.lnap.access_point import CHANNELS_MAX, PUSH_ROWS_MAX, AccessPoint, AccessPointConfig
from meterspan.lnap.channel import LocalMeter
from meterspan.lnap.delivery import TwoOutboxes, blocks_of
from meterspan.lnap.kept_state import DamagedEntryError
from meterspan.lnap.meter_places import MeterExchanged, MeterFirstHeard, MeterPlaces, PlaceEvent, RegistersHeard
from meterspan.lnap.outbox import RowOutbox
from meterspan.lnap.wired_meters import WiredHeard, WiredMeterNotRead, WiredMeters
from meterspan.model.failures import Failure, FailureKind
from meterspan.model.identity import mbus_device, split_mbus_device
from meterspan.model.mbus_devices import commodity_of_device
from meterspan.model.ports import CounterStore, OutboxStore, StateStore
from meterspan.model.quarantine import FrameFault, QuarantinedFrame, fault_of
from meterspan.model.radio_protection import RadioSettings
from meterspan.model.readings import CaptureBlock, Source
from meterspan.quantities import (
    CATALOGUE,
    Commodity,
    Obis,
    Scaled,
    standard_offset_s,
    utc,
    utc_text,
)
from meterspan.quantities.codes import NET_POWER
from meterspan.readings.p1 import P1_REGISTERS, rows_of_p1
from meterspan.readings.rows import DeviceRows, HeardTelegram, Row
from meterspan.wire.p1 import P1Damage, P1Telegram

__all__ = [
    "Delivery",
    "DisplayLine",
    "FrameHeard",
    "HomeCollector",
    "HomeEvent",
    "HomeMeter",
    "HomePorts",
    "MeterHeard",
    "TelegramQuarantined",
    "UpstreamIdentity",
    "radio_commodity",
]

POWER_EVERY_S: Final = 5
REGISTERS_EVERY_S: Final = 60
HEARD_AGAIN_S: Final = 3_600.0
"""A meter that was silent for so long is reported when it is heard again."""
METERS_MAX: Final = 64
"""Meters remembered as heard; then the longest silent one goes, as a port may name another meter in each telegram."""
SPANS_KNOWN: Final = 32
"""Capture spans remembered for each register; a telegram repeated later gives equal rows, which the store knows."""
ROWS_WAITING_MAX: Final = 100_000
"""Rows of P1 that wait for the store: four days of a full disk; the oldest go first."""
CHANNELS_KEPT: Final = "channels"
_RULES_AT: Final = 1_767_225_600
"""UTC seconds of 1 January 2026: its time zone rules give the standard time of radio meters."""


@dataclass(frozen=True, slots=True)
class UpstreamIdentity:
    """The access point as a head end knows it.

    Attributes:
        name: COSEM logical device name.
        system_title: eight octets.
        pushes: rows are queued for a head end.

    """

    name: str
    system_title: bytes
    pushes: bool


_NOT_UPSTREAM: Final = UpstreamIdentity("MSPHOME", b"MSPLHOME", pushes=False)


@dataclass(frozen=True, slots=True)
class HomePorts:
    """The collector's ports to the world.

    Attributes:
        counters: received message counters.
        state: named states.
        home: outbox of rows for the home's own store.
        uplink: outbox of rows for a head end.

    """

    counters: CounterStore
    state: StateStore
    home: OutboxStore
    uplink: OutboxStore


@dataclass(slots=True)
class HomeMeter:
    """One meter of the home since the start of the program.

    Attributes:
        device: its identification.
        commodity: its commodity.
        interface: H1 or M.
        heard_at: UTC seconds.
        count: telegrams.

    """

    device: str
    commodity: Commodity
    interface: str
    heard_at: float
    count: int = 0


@dataclass(frozen=True, slots=True)
class MeterHeard:
    """A meter is heard for the first time since the start, or again after an hour of silence."""

    device: str
    interface: str
    time: float


@dataclass(frozen=True, slots=True)
class FrameHeard:
    """A telegram for a meter's event log, as it was received; one a minute and meter."""

    device: str
    interface: str
    time: float
    octets: bytes


@dataclass(frozen=True, slots=True)
class DisplayLine:
    """Octets for the displays of one interface: the telegram itself (H1), or a line of JSON (H2)."""

    interface: str
    octets: bytes


@dataclass(frozen=True, slots=True)
class TelegramQuarantined:
    """A telegram that cannot be used: why, and the octets as they were received."""

    failure: Failure
    frame: QuarantinedFrame


HomeEvent = PlaceEvent | MeterHeard | FrameHeard | DisplayLine | TelegramQuarantined | WiredMeterNotRead


@dataclass(frozen=True, slots=True)
class Delivery:
    """Rows for the home's store; give it back to ``HomeCollector.delivered`` once they are durable.

    Attributes:
        blocks: the rows.
        waiting: how many of them waited in memory.
        through: number in the outbox that they reach; None where the outbox had none.

    """

    blocks: tuple[CaptureBlock, ...]
    waiting: int
    through: int | None


class HomeCollector:
    """Collects the rows of one home's meters.

    Args:
        home_id: short name; prefix of its usage points.
        zone: of the home.
        radio_meters: its radio meters by device; no other one is accepted.
        upstream: identity of its access point; None without a head end.
        ports: memory.

    Raises:
        DamagedEntryError: the kept state cannot be read.

    """

    def __init__(
        self,
        home_id: str,
        zone: ZoneInfo,
        radio_meters: Mapping[str, RadioSettings],
        upstream: UpstreamIdentity | None,
        *,
        ports: HomePorts,
    ) -> None:
        self.meters: dict[str, HomeMeter] = {}
        self.places = MeterPlaces(home_id, ports.state)
        self.rows_lost = 0
        """Rows of P1 that were dropped because the store took nothing for too long."""
        self._home_id = home_id
        self._zone = zone
        self._radio_meters = radio_meters
        self._upstream = upstream
        self._state = ports.state
        self._events: deque[HomeEvent] = deque()
        self._waiting: deque[CaptureBlock] = deque()
        self._framed: dict[str, float] = {}
        self._noted: dict[str, dict[Obis, deque[int]]] = {}
        self._rows = RowOutbox(ports.home)
        self.point = self._access_point(ports)
        keys = {device: radio.key for device, radio in radio_meters.items()}
        self.wired = WiredMeters(home_id, keys, ports.state)
        self._channels = _read_channels(ports.state)
        for meter in self._known_meters():
            self._give_channel(meter)
        for store in (ports.home, ports.uplink):
            RowOutbox(store).convert(self.point.old_channels())

    def next_event(self) -> HomeEvent | None:
        """Return the next event, or None."""
        if self._events:
            return self._events.popleft()
        return self.places.next_event()

    def hear_p1(self, item: P1Telegram | P1Damage, now: float, source: str) -> None:
        """Process one telegram of the P1 port.

        Args:
            item: the telegram, or octets that are not one.
            now: UTC seconds of reception.
            source: where it was received, for the quarantine.

        """
        if isinstance(item, P1Damage):
            frame = QuarantinedFrame(now, source, fault_of(item.error), str(item.error), item.octets)
            self._quarantine(Failure.of_error(item.error), frame)
            return
        heard = rows_of_p1(item, now, self._zone)
        self._events.append(DisplayLine("H1", heard.octets))
        self._events.append(DisplayLine("H2", _line(self._home_id, heard)))
        if not any(list(device.registers()) for device in heard.devices):
            reason = "no register of a known kind of meter"
            frame = QuarantinedFrame(now, source, FrameFault.UNREADABLE, reason, heard.octets)
            self._quarantine(Failure(FailureKind.UNREADABLE, reason), frame)
            return
        for device in heard.devices:
            self._hear_device(device, heard, now, is_checked=item.crc_matches is True)
        if self._upstream is not None:
            self._capture_main(heard, now, source)

    def hear_radio(self, octets: bytes, now: float, source: str) -> None:
        """Process one wireless M-Bus telegram; arguments as ``hear_p1``."""
        telegram = self.point.hear_radio(octets, now, source)
        if telegram is None:
            return
        address = telegram.address
        device = mbus_device(address)
        channel = self.point.channel(device)
        if channel is None:
            return
        commodity = channel.meter.commodity
        self._note_heard(device, commodity, "M", now, octets)
        if channel.latest is not None:
            registers = dict(channel.values_of(channel.latest))
            self.places.hear(RegistersHeard(device, commodity, "M", channel.latest.time, registers), now)

    def hear_wired(self, octets: bytes, now: float, source: str) -> None:
        """Process one readout of wired M-Bus: its frames, one after the other; ``source`` is the slave's name."""
        heard = self.wired.hear(octets, now, source, point=self.point, install=self._give_channel)
        if isinstance(heard, WiredMeterNotRead):
            self._events.append(heard)
        if not isinstance(heard, WiredHeard) or heard.channel.latest is None:
            return
        meter, latest = heard.channel.meter, heard.channel.latest
        self._note_heard(meter.device, meter.commodity, "M", now, octets)
        known = self.places.last_heard.get(f"{self._home_id}-{CATALOGUE[meter.commodity].letter}")
        has_place = known is not None and heard.replaces == known.device
        registers = dict(heard.channel.values_of(latest))
        self.places.hear(RegistersHeard(meter.device, meter.commodity, "M", latest.time, registers, has_place), now)

    def wired_failed(self, failure: Failure, octets: bytes, now: float, source: str) -> None:
        """Process a readout of wired M-Bus that failed; arguments as ``WiredMeters.fail`` takes them.

        Args:
            failure: why.
            octets: a damaged answer, b"" for none.
            now: UTC seconds.
            source: the slave's name.

        """
        event = self.wired.fail(failure, octets, now, source, point=self.point)
        if event is not None:
            self._events.append(event)

    def delivery(self, now: float) -> Delivery | None:
        """Return the rows to store now, or None where there are none.

        Of the access point's rows only those of M-Bus meters are: P1 was kept finer already.
        """
        batch = self._rows.peek(PUSH_ROWS_MAX)
        rows = [] if batch is None else [row for row in batch.rows if self._is_stored(row.device)]
        waiting = tuple(self._waiting)
        if not waiting and batch is None:
            return None
        blocks = (*waiting, *blocks_of(rows, received_at=int(now)))
        return Delivery(blocks, len(waiting), None if batch is None else batch.through)

    def delivered(self, delivery: Delivery) -> None:
        """Note that the rows of a delivery are durable."""
        lost = max(0, delivery.waiting - len(self._waiting))
        for _ in range(delivery.waiting - lost):
            self._waiting.popleft()
        if delivery.through is not None:
            self._rows.discard(delivery.through)
            self.point.preserve()

    def acknowledge(self, event: MeterFirstHeard | MeterExchanged) -> None:
        """Note that an installation or exchange is registered durably."""
        self.places.acknowledge(event)

    def preserve(self) -> None:
        """Save what is only in memory: on shutdown."""
        self.point.preserve()
        self.places.save()

    def _is_stored(self, device: str) -> bool:
        return device in self._radio_meters or device in self.wired

    def _access_point(self, ports: HomePorts) -> AccessPoint:
        who = self._upstream or _NOT_UPSTREAM
        outbox = TwoOutboxes(ports.uplink, ports.home) if who.pushes else ports.home
        config = AccessPointConfig(who.name, who.system_title, standard_offset_s(self._zone, _RULES_AT))
        return AccessPoint(config, counters=ports.counters, state=ports.state, outbox=outbox)

    def _known_meters(self) -> list[LocalMeter]:
        """List the meters on the allow-list, the wired ones, and those of the port that a head end knows already."""
        found = []
        for device, radio in self._radio_meters.items():
            commodity = radio_commodity(device)
            if commodity is not None:
                registers = (CATALOGUE[commodity].register,)
                found.append(
                    LocalMeter(
                        device,
                        commodity,
                        self._home_id,
                        registers,
                        radio.key,
                        protection=radio.protection,
                        hourly_max=radio.hourly_max,
                    )
                )
        found += [meter for meter in self.wired.known() if meter.device not in self._radio_meters]
        if self._upstream is not None:
            found += [self._port_meter(device) for device in self._channels if radio_commodity(device) is None]
        return found

    def _port_meter(self, device: str) -> LocalMeter:
        return LocalMeter(device, Commodity.ELECTRICITY, self._home_id, P1_REGISTERS)

    def _give_channel(self, meter: LocalMeter) -> None:
        """Assign a meter its earlier channel, or an unused one: a head end identifies it by its channel."""
        number = self._channels.get(meter.device)
        if number is None:
            taken = set(self._channels.values())
            number = next((n for n in range(1, CHANNELS_MAX + 1) if n not in taken), None)
            self._channels[meter.device] = self.point.install(meter, number=number).number
            self._state.save(CHANNELS_KEPT, json.dumps(self._channels).encode())
            return
        self.point.install(meter, number=number)

    def _capture_main(self, heard: HeardTelegram, now: float, source: str) -> None:
        """Let the access point capture the meter of the P1 port too, for the head end."""
        main = next((device for device in heard.devices if not device.channel), None)
        if main is None:
            return
        try:
            if self.point.channel(main.device) is None:
                self._give_channel(self._port_meter(main.device))
        except ValueError as error:
            frame = QuarantinedFrame(now, source, FrameFault.UNREADABLE, str(error), heard.octets, main.device)
            self._quarantine(Failure(FailureKind.IMPLAUSIBLE, str(error)), frame)
            return
        self.point.take_p1(heard, now, source)

    def _hear_device(self, device: DeviceRows, heard: HeardTelegram, now: float, *, is_checked: bool) -> None:
        self._note_heard(device.device, device.commodity, "H1", now, heard.octets)
        every_s = REGISTERS_EVERY_S if device.commodity is Commodity.ELECTRICITY else 1
        times: dict[int, dict[Obis, Scaled]] = {}
        is_kept = False
        for _, row in device.registers():
            times.setdefault(row.time, {})[row.obis] = row.value
            if self._is_due(device.device, row, every_s):
                self._keep(device.device, row, now)
                is_kept = True
        for time, registers in sorted(times.items()):
            is_main = not device.channel and device.commodity is Commodity.ELECTRICITY
            registers_heard = RegistersHeard(
                device.device, device.commodity, "H1", time, registers, is_main, is_checked
            )
            self.places.hear(registers_heard, now)
        if is_kept:
            self.places.save()
        power = device.row(NET_POWER)
        if power is not None and self._is_due(device.device, power, POWER_EVERY_S):
            self._keep(device.device, power, now)

    def _is_due(self, device: str, row: Row, every_s: int) -> bool:
        """Whether a value is kept: the first of each span, so that marks are always met; none twice."""
        span = row.time // every_s
        known = self._noted.setdefault(device, {}).setdefault(row.obis, deque(maxlen=SPANS_KNOWN))
        if span in known:
            return False
        known.append(span)
        return True

    def _keep(self, device: str, row: Row, now: float) -> None:
        if len(self._waiting) >= ROWS_WAITING_MAX:
            self._waiting.popleft()
            self.rows_lost += 1
        self._waiting.append(
            CaptureBlock.of_row(
                device,
                Source.LOCAL,
                time=row.time,
                values={row.obis: row.value},
                received_at=int(now),
                quality=int(row.quality),
            )
        )

    def _note_heard(self, device: str, commodity: Commodity, interface: str, now: float, octets: bytes) -> None:
        if device not in self.meters and len(self.meters) >= METERS_MAX:
            self._forget(min(self.meters.values(), key=lambda meter: meter.heard_at).device)
        meter = self.meters.setdefault(device, HomeMeter(device, commodity, interface, now))
        is_new = not meter.count or now - meter.heard_at > HEARD_AGAIN_S
        meter.heard_at, meter.count = now, meter.count + 1
        if is_new:
            self._events.append(MeterHeard(device, interface, now))
        if is_new or now - self._framed.get(device, 0.0) >= REGISTERS_EVERY_S:
            self._framed[device] = now
            self._events.append(FrameHeard(device, interface, now, octets))

    def _forget(self, device: str) -> None:
        del self.meters[device]
        self._framed.pop(device, None)
        self._noted.pop(device, None)

    def _quarantine(self, failure: Failure, frame: QuarantinedFrame) -> None:
        self.point.quarantine.keep(frame)
        self._events.append(TelegramQuarantined(failure, frame))


def _read_channels(state: StateStore) -> dict[str, int]:
    """Read the channel of each meter: a head end identifies a meter by it, so a damaged list is not made up anew."""
    try:
        channels = msgspec.json.decode(state.load(CHANNELS_KEPT) or b"{}", type=dict[str, int])
    except (msgspec.DecodeError, ValueError) as error:
        raise DamagedEntryError(CHANNELS_KEPT, "the channels of the home's meters", error) from error
    numbers = sorted(channels.values())
    if len(set(numbers)) < len(numbers) or not all(1 <= number <= CHANNELS_MAX for number in numbers):
        raise DamagedEntryError(CHANNELS_KEPT, "the channels of the home's meters", f"numbers {numbers}")
    return channels


def radio_commodity(device: str) -> Commodity | None:
    """Return what a radio meter measures, by its name; None for no radio meter, or one that bills nothing."""
    try:
        manufacturer, _, medium = split_mbus_device(device)
    except ValueError:
        return None
    return commodity_of_device(manufacturer, medium)


def _line(home_id: str, heard: HeardTelegram) -> bytes:
    """Write a telegram as a line for displays (H2)."""
    registers = [
        {
            "commodity": device.commodity,
            "direction": direction,
            "meter": device.device,
            "value": f"{_shown(device.commodity, row.value):f}",
            "unit": CATALOGUE[device.commodity].display_unit,
            "time": utc_text(utc(row.time)),
        }
        for device in heard.devices
        for direction, row in device.registers()
    ]
    line = {"home": home_id, "time": utc_text(utc(heard.time)), "power_w": heard.power_w, "registers": registers}
    return json.dumps(line).encode() + b"\n"


def _shown(commodity: Commodity, value: Scaled) -> Decimal:
    """Return a value in the unit that people read, with the decimals of its register where they stay decimals."""
    supply = CATALOGUE[commodity]
    shown = exact_decimal(supply.in_display_unit(value))
    step = exact_decimal(supply.in_display_unit(Scaled(1, value.exponent, value.unit)))
    return shown.quantize(step) if step.as_tuple().digits == (1,) else shown
