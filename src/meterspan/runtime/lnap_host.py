"""One home as a running program: its P1 port and its radio meters into a data management of its own, no head end.

Strategy: of each P1 telegram the power is kept every few seconds and the registers once a minute and at every mark; the
access point takes the radio meters. A meter that comes in place of another is an exchange, with the old one's last
register as the closing reading. What was heard is written every two seconds; registers come again, so a crash loses
nothing that is billed. The home's displays are served over H1 (P1 text) and H2 (JSON lines).
"""

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, cast
from zoneinfo import ZoneInfo

from meterspan.analytics.tariff import Tariff, exact_decimal
from meterspan.head_end.chronicle import Chronicle, Entry, Frame
from meterspan.lnap.access_point import CHANNELS_MAX, PUSH_ROWS_MAX, AccessPoint, AccessPointConfig
from meterspan.lnap.channel import LocalMeter
from meterspan.lnap.delivery import TwoOutboxes, blocks_of
from meterspan.lnap.hearing import P1_REGISTERS
from meterspan.lnap.outbox import RowOutbox
from meterspan.mdm import MeterDataManagement
from meterspan.model.identity import split_mbus_device
from meterspan.model.mbus_devices import commodity_of_device
from meterspan.model.quarantine import Fault, QuarantinedFrame
from meterspan.model.readings import CaptureBlock, EventSeverity, Source
from meterspan.quantities import CATALOGUE, UNITS, Commodity, Obis, Scaled, parse_obis, parse_unit
from meterspan.readings.p1 import NET_POWER, rows_of_p1
from meterspan.readings.rows import DeviceRows, HeardTelegram, Row
from meterspan.runtime.endpoints import Endpoint
from meterspan.runtime.p1_source import p1_telegrams
from meterspan.runtime.radio import radio_telegrams
from meterspan.runtime.state import StateFile
from meterspan.wire.p1 import P1Damage, P1Reader, P1Telegram

__all__ = ["PROTOCOLS", "HomeConfig", "HomeHost", "HomeMeter", "UpstreamIdentity", "radio_commodity"]

POWER_EVERY_S: Final = 5
REGISTERS_EVERY_S: Final = 60
FLUSH_EVERY_S: Final = 2.0
UNSENT_OCTETS_MAX: Final = 1 << 16
"""A display that is a minute behind is cut off."""
DISPLAYS_MAX: Final = 16
FILE_CHUNK: Final = 2_048
"""A reader queues 64 telegrams and drops older ones; so few octets never hold more."""
FLUSH_EVERY_TELEGRAMS: Final = 4_096
PROTOCOLS: Final = {"H1": "p1", "M": "wmbus"}
SILENT_S: Final = 3_600.0
"""A meter that was heard within this time has not been exchanged: another one of the commodity is a second meter."""
_LAST_KEPT: Final = "last registers"
_CHANNELS_KEPT: Final = "channels"


@dataclass(frozen=True, slots=True)
class HomeConfig:
    """One home.

    Attributes:
        home_id: short name.
        name: that people read.
        zone: IANA time zone.
        currency: of its tariffs.
        tariffs: by commodity.
        radio_keys: keys of its radio meters, by device; these alone are heard.
        upstream: who its access point is on G1; None where nobody is upstream.

    """

    home_id: str
    name: str
    zone: str
    currency: str
    tariffs: Mapping[Commodity, Tariff]
    radio_keys: Mapping[str, bytes]
    upstream: "UpstreamIdentity | None" = None


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


@dataclass(slots=True)
class HomeMeter:
    """One meter of the home, as it was heard.

    Attributes:
        device: its identification.
        commodity: what it measures.
        interface: H1 or M.
        heard_at: UTC seconds.
        count: telegrams since the start.

    """

    device: str
    commodity: Commodity
    interface: str
    heard_at: float
    count: int = 0


class HomeHost:
    """Runs one home.

    Args:
        config: of the home.
        data: takes what is heard.
        state: counters, outbox and the last registers.
        clock: UTC seconds.

    """

    def __init__(
        self, config: HomeConfig, *, data: MeterDataManagement, state: StateFile, clock: Callable[[], float]
    ) -> None:
        self.config = config
        self.data = data
        self.meters: dict[str, HomeMeter] = {}
        self.chronicle = Chronicle()
        self._state = state
        self._clock = clock
        self._zone = ZoneInfo(config.zone)
        self._waiting: list[CaptureBlock] = []
        self._framed: dict[str, float] = {}
        self._noted: dict[tuple[str, Obis], int] = {}
        self._last: dict[str, dict[str, Any]] = json.loads(state.load(_LAST_KEPT) or b"{}")
        self._displays: dict[str, set[asyncio.Transport]] = {"H1": set(), "H2": set()}
        data.register_home(config.home_id, config.name, zone=config.zone, currency=config.currency)
        self.on_rows: Callable[[], None] = lambda: None
        """Called when the access point has captured rows."""
        home, uplink = state.outbox("home"), state.outbox("uplink")
        self._rows = RowOutbox(home)
        who = config.upstream or UpstreamIdentity("MSPHOME", b"MSPLHOME", pushes=False)
        outbox = TwoOutboxes(uplink, home) if who.pushes else home
        self.point = AccessPoint(
            AccessPointConfig(who.name, who.system_title, _standard_offset_s(self._zone)),
            counters=state, state=state, outbox=outbox,
        )  # fmt: skip
        self._channels: dict[str, int] = json.loads(state.load(_CHANNELS_KEPT) or b"{}")
        for meter in self._allowed():
            self._give_channel(meter)
        for store in (home, uplink):
            RowOutbox(store).convert(self.point.old_channels())

    # --- hearing -------------------------------------------------------------------------------------------------

    async def hear_port(self, endpoint: Endpoint, on_trouble: Callable[[str], None]) -> None:
        """Hear a P1 port until cancelled; it is connected again whenever it is lost."""
        async with aclosing(p1_telegrams(endpoint, on_trouble=on_trouble)) as telegrams:
            async for item in telegrams:
                self.hear_p1(item, self._clock(), str(endpoint))

    async def hear_file(self, path: Path) -> int:
        """Hear the P1 telegrams of a file, each at its own time; gives how many."""
        reader, count = P1Reader(), 0
        with path.open("rb") as file:
            while chunk := file.read(FILE_CHUNK):
                reader.receive(chunk)
                while (item := reader.next_telegram()) is not None:
                    self.hear_p1(item, _own_time(item, self._zone) or self._clock(), path.name)
                    count += 1
                    if count % FLUSH_EVERY_TELEGRAMS == 0:
                        await self.flush()
        await self.flush()
        return count

    async def hear_radio(self, endpoint: Endpoint) -> None:
        """Hear radio telegrams until cancelled."""
        async with aclosing(radio_telegrams(endpoint, self._clock)) as telegrams:
            async for octets, peer, now in telegrams:
                self._take_radio(octets, peer, now)

    def hear_p1(self, item: P1Telegram | P1Damage, now: float, source: str) -> None:
        """Take one telegram of the P1 port."""
        if isinstance(item, P1Damage):
            self.point.keep_damaged(item.octets, item.error, now, source)
            return
        heard = rows_of_p1(item, now, self._zone)
        self._send("H1", heard.octets)
        self._send("H2", self._line(heard))
        if not any(True for device in heard.devices for _ in device.registers()):
            reason = "no register of a meter that we know"
            self.point.quarantine.keep(QuarantinedFrame(now, source, Fault.UNREADABLE, reason, heard.octets))
            return
        for device in heard.devices:
            self._note_heard(device.device, device.commodity, "H1", now, heard.octets)
            try:
                for _, row in device.registers():
                    self._take_register(device, row)
            except ValueError as error:  # another meter was installed by other means
                frame = QuarantinedFrame(now, source, Fault.UNREADABLE, str(error), heard.octets, device.device)
                self.point.quarantine.keep(frame)
            power = device.row(NET_POWER)
            if power is not None and self._is_due(device.device, NET_POWER, heard.time, POWER_EVERY_S):
                self._put(device.device, power)
        if self.config.upstream is not None:
            self._hear_for_upstream(heard, now, source)

    async def flush(self) -> None:
        """Make what was heard durable."""
        blocks, self._waiting = self._waiting, []
        batch = self._rows.peek(PUSH_ROWS_MAX)
        rows = () if batch is None else batch.rows
        heard = blocks_of(rows, received_at=int(self._clock()))
        blocks += [block for block in heard if block.device in self.config.radio_keys]  # P1 was taken finer already
        if blocks:
            await asyncio.to_thread(self.data.take, blocks)
        if batch is not None:
            self._rows.discard(batch.through)
            self.point.preserve()
            self.on_rows()

    async def run(self) -> None:
        """Write what is heard until cancelled, and then the rest."""
        try:
            while True:
                await asyncio.sleep(FLUSH_EVERY_S)
                await self.flush()
        finally:
            self.point.preserve()
            self.data.take(self._waiting)
            self._waiting = []

    # --- the home's displays -------------------------------------------------------------------------------------

    async def relay(self, interface: str, host: str, port: int) -> int:
        """Serve displays: ``H1`` gets P1 telegrams, ``H2`` a JSON line per telegram; gives the port."""
        readers = self._displays[interface]
        server = await asyncio.get_running_loop().create_server(lambda: _Display(readers), host, port)
        bound: int = server.sockets[0].getsockname()[1]
        return bound

    def _send(self, interface: str, octets: bytes) -> None:
        for transport in tuple(self._displays[interface]):
            transport.write(octets)
            if transport.get_write_buffer_size() > UNSENT_OCTETS_MAX:
                transport.abort()

    def _line(self, heard: HeardTelegram) -> bytes:
        registers = [
            {
                "commodity": device.commodity, "direction": direction, "meter": device.device,
                "value": f"{_shown(device.commodity, row.value):f}",
                "unit": CATALOGUE[device.commodity].display_unit, "time": _text(row.time),
            }
            for device in heard.devices
            for direction, row in device.registers()
        ]  # fmt: skip
        told = {"home": self.config.home_id, "time": _text(heard.time), "power_w": heard.power_w,
                "registers": registers}  # fmt: skip
        return json.dumps(told).encode() + b"\n"

    # --- taking --------------------------------------------------------------------------------------------------

    def _allowed(self) -> Iterator[LocalMeter]:
        for device, key in self.config.radio_keys.items():
            commodity = radio_commodity(device)
            if commodity is not None:
                yield LocalMeter(device, commodity, self.config.home_id, (CATALOGUE[commodity].register,), key)
        if self.config.upstream is not None:
            yield from (self._port_meter(device) for device in self._channels if radio_commodity(device) is None)

    def _port_meter(self, device: str) -> LocalMeter:
        return LocalMeter(device, Commodity.ELECTRICITY, self.config.home_id, P1_REGISTERS)

    def _give_channel(self, meter: LocalMeter) -> None:
        """Give a meter the channel that it had, or one that none ever had: a head end knows it by its channel."""
        known = self._channels.get(meter.device)
        taken = self._channels.values()
        number = next((n for n in range(1, CHANNELS_MAX + 1) if n not in taken), 0) if known is None else known
        self.point.install(meter, number=number or None)
        if known is None:
            self._channels[meter.device] = number
            self._state.save(_CHANNELS_KEPT, json.dumps(self._channels).encode())

    def _hear_for_upstream(self, heard: HeardTelegram, now: float, source: str) -> None:
        """Let the access point capture the meter of the P1 port too, for the head end."""
        main = next((device for device in heard.devices if not device.channel), None)
        if main is None:
            return
        try:
            if self.point.channel(main.device) is None:
                self._give_channel(self._port_meter(main.device))
        except ValueError as error:
            self.point.quarantine.keep(QuarantinedFrame(now, source, Fault.UNREADABLE, str(error), heard.octets))
            return
        self.point.take_p1(heard, now, source)

    def _take_radio(self, octets: bytes, peer: str, now: float) -> None:
        telegram = self.point.hear_radio(octets, now, peer)
        if telegram is None:
            return
        address = telegram.address
        device = f"{address.manufacturer}-{address.id}-{address.medium:02X}"
        channel = self.point.channel(device)
        if channel is None:
            return
        self._note_heard(device, channel.meter.commodity, "M", now, octets)
        if channel.latest is not None:
            registers = dict(channel.values_of(channel.latest))
            self._installed(device, channel.meter.commodity, channel.latest.time, registers)

    def _take_register(self, device: DeviceRows, row: Row) -> None:
        every = REGISTERS_EVERY_S if device.commodity is Commodity.ELECTRICITY else 1
        if not self._is_due(device.device, row.obis, row.time, every):
            return
        self._installed(device.device, device.commodity, row.time, {row.obis: row.value})
        self._put(device.device, row)

    def _is_due(self, device: str, obis: Obis, at: int, every_s: int) -> bool:
        """Return whether a value of this time is kept: the first of each span, so that marks are always met."""
        before = self._noted.get((device, obis))
        if before is not None and at // every_s == before // every_s:
            return False
        self._noted[device, obis] = at
        return True

    def _put(self, device: str, row: Row) -> None:
        self._waiting.append(
            CaptureBlock.of_row(
                device, Source.LOCAL, time=row.time, values={row.obis: row.value}, received_at=int(self._clock()),
                quality=int(row.quality),
            )
        )  # fmt: skip

    def _installed(self, device: str, commodity: Commodity, at: int, registers: Mapping[Obis, Scaled]) -> None:
        """Install a meter that is heard for the first time; one in another's place is an exchange."""
        usage_point = f"{self.config.home_id}-{CATALOGUE[commodity].letter}"
        known = self._last.get(usage_point)
        if known is None or known["device"] == device:
            if known is None:
                self._install(usage_point, device, commodity, at)
            self._remember(usage_point, device, at, {} if known is None else known["registers"], registers)
            return
        if at <= known["at"]:
            return  # late: from before the exchange
        old = self.meters.get(known["device"])
        if commodity is not Commodity.ELECTRICITY and old is not None and self._clock() - old.heard_at < SILENT_S:
            self.chronicle.note(device, Entry(at, "second", f"Not billed: {old.device} measures the {commodity} here"))
            return
        self._exchange(usage_point, known, device, at, registers)

    def _install(self, usage_point: str, device: str, commodity: Commodity, at: int) -> None:
        home, moment = self.config, datetime.fromtimestamp(at, UTC)
        meter = self.meters[device]
        self.data.install_meter(
            home.home_id, usage_point, device=device, commodity=commodity, at=moment,
            period_s=900 if commodity is Commodity.ELECTRICITY or meter.interface == "M" else 3_600,
            protocol=PROTOCOLS[meter.interface], interface=meter.interface, network=home.home_id,
        )  # fmt: skip
        tariff = home.tariffs.get(commodity)
        if tariff is not None:
            self.data.assign_tariff(usage_point, tariff, first_day=moment.astimezone(self._zone).date())
        self.chronicle.note(device, Entry(at, "installed", f"Heard for the first time, at {usage_point}"))

    def _exchange(
        self, usage_point: str, known: Mapping[str, Any], device: str, at: int, registers: Mapping[Obis, Scaled]
    ) -> None:
        closing = {
            parse_obis(text): Scaled(value, exponent, UNITS[unit])
            for text, (value, exponent, unit) in known["registers"].items()
        }
        self.data.exchange_meter(
            usage_point, old_device=known["device"], closing=closing, new_device=device, opening=registers,
            at=datetime.fromtimestamp(at, UTC),
        )  # fmt: skip
        self.chronicle.note(device, Entry(at, "exchanged", f"Came for {known['device']}"))
        self._remember(usage_point, device, at, {}, registers)

    def _remember(
        self, usage_point: str, device: str, at: int, kept: Mapping[str, Any], registers: Mapping[Obis, Scaled]
    ) -> None:
        """Keep the last registers: the closing reading, should another meter come."""
        new = {str(obis): [value.value, value.exponent, value.unit.symbol] for obis, value in registers.items()}
        self._last[usage_point] = {"device": device, "at": at, "registers": {**kept, **new}}
        self._state.save(_LAST_KEPT, json.dumps(self._last).encode())

    def _note_heard(self, device: str, commodity: Commodity, interface: str, now: float, octets: bytes) -> None:
        meter = self.meters.setdefault(device, HomeMeter(device, commodity, interface, now))
        is_new = not meter.count or now - meter.heard_at > SILENT_S
        meter.heard_at, meter.count = now, meter.count + 1
        if is_new:
            self.chronicle.note(device, Entry(now, "heard", f"Heard on {interface}", severity=EventSeverity.INFO))
        if is_new or now - self._framed.get(device, 0.0) >= REGISTERS_EVERY_S:
            self._framed[device] = now
            self.chronicle.frame(device, Frame(now, sent=False, protocol=PROTOCOLS[interface], octets=octets))


class _Display(asyncio.Protocol):
    """A display that listens; whatever it writes is dropped."""

    def __init__(self, readers: set[asyncio.Transport]) -> None:
        self._readers = readers
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        line = cast("asyncio.Transport", transport)
        if len(self._readers) >= DISPLAYS_MAX:
            line.abort()
            return
        self._transport = line
        self._readers.add(line)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        if self._transport is not None:
            self._readers.discard(self._transport)


def radio_commodity(device: str) -> Commodity | None:
    """Return what a radio meter measures, by its name; None for no radio meter, or one that bills nothing."""
    try:
        manufacturer, _, medium = split_mbus_device(device)
    except ValueError:
        return None
    return commodity_of_device(manufacturer, medium)


def _shown(commodity: Commodity, value: Scaled) -> Decimal:
    """Return a value in the unit that people read, with its decimals where the unit has the same base."""
    unit, exponent = parse_unit(CATALOGUE[commodity].display_unit)
    if value.unit is unit:
        return Decimal(value.value).scaleb(value.exponent - exponent)
    return exact_decimal(value.to(unit) / 10**exponent)


def _own_time(item: P1Telegram | P1Damage, zone: ZoneInfo) -> float | None:
    if isinstance(item, P1Damage) or item.time is None:
        return None
    moment = item.time.to_utc() or item.time.to_utc(zone)
    return None if moment is None else moment.timestamp()


def _standard_offset_s(zone: ZoneInfo) -> int:
    """Return the zone's standard time minus UTC; radio meters know no daylight saving."""
    moment = datetime(2026, 1, 1, tzinfo=zone)
    offset, shift = moment.utcoffset(), moment.dst()
    return 0 if offset is None or shift is None else int((offset - shift).total_seconds())


def _text(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
