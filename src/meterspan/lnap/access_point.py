"""The local network access point: hears known meters, keeps what they said, serves the home and goes upstream.

Strategy: a frame is taken only from an installed meter (allow-list), only if its key opens it and only if it is not
older than what was heard before. Every new row of a channel goes into a durable outbox before anything else may happen
to it, and leaves the outbox when the head end has confirmed it; the profile of the channel stays for reads.
"""

from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from meterspan.engine.uplink import Push, pushed_item
from meterspan.engine.wmbus_receiver import Telegram, WmbusReceiver
from meterspan.lnap.channel import Channel, LocalMeter, Observation
from meterspan.lnap.hearing import instants_of, observations_of
from meterspan.model.cosem.classes import ExtendedRegister, ProfileGeneric
from meterspan.model.cosem.objects import scaler_unit
from meterspan.model.identity import mbus_device, split_mbus_device
from meterspan.model.ports import CounterStore, OutboxStore, StateStore
from meterspan.model.quarantine import Fault, Quarantine, QuarantinedFrame, fault_of
from meterspan.quantities import Commodity, Obis, Scaled, parse_unit
from meterspan.readings.mbus import rows_of_mbus
from meterspan.readings.p1 import rows_of_p1
from meterspan.readings.rows import HeardTelegram
from meterspan.wire.axdr import Data, array, read_data, structure, write_data
from meterspan.wire.errors import ReplayError, WireError
from meterspan.wire.mbus.address import DeviceAddress
from meterspan.wire.p1 import P1Telegram

__all__ = ["AccessPoint", "AccessPointConfig", "LocalState"]

CHANNELS_MAX: Final = 64
"""Meters behind one access point: a large stairwell; the M-Bus channel octet allows 255."""
STRANGERS_MAX: Final = 1_024
"""Strangers that are counted by name; what is heard beyond is counted together."""
REPEATS_KEPT: Final = 256
"""Telegrams remembered to recognise repeaters and double reception."""
CLOCK_SLACK_S: Final = 120.0
"""A telegram's minute stamp may lie this much behind the newest heard before it counts as a replay."""
PUSH_ROWS_MAX: Final = 64
"""Rows in one push: some 4 KB, a few TCP segments."""


@dataclass(frozen=True, slots=True)
class AccessPointConfig:
    """How an access point is set up.

    Attributes:
        name: COSEM logical device name, up to 16 octets.
        system_title: eight octets.
        radio_offset_s: local standard time of radio meters minus UTC.
        meters: the allow-list.

    """

    name: str
    system_title: bytes
    radio_offset_s: int = 3_600
    meters: tuple[LocalMeter, ...] = ()


@dataclass(frozen=True, slots=True)
class LocalState:
    """What the home sees of one meter (interfaces H1, H2)."""

    device: str
    commodity: Commodity
    time: int
    registers: tuple[tuple[Obis, Scaled], ...]
    instants: tuple[tuple[str, Scaled], ...]


class AccessPoint:
    """The LNAP without its media.

    Args:
        config: how it is set up.
        counters: received message counters of mode 7, persisted.
        state: profiles through a power loss.
        outbox: rows on their way upstream.

    """

    def __init__(
        self, config: AccessPointConfig, *, counters: CounterStore, state: StateStore, outbox: OutboxStore
    ) -> None:
        self.config = config
        self.quarantine = Quarantine()
        self.counts: Counter[str] = Counter()
        self.strangers: Counter[str] = Counter()
        self._counters = counters
        self._state = state
        self._outbox = outbox
        self._channels: dict[str, Channel] = {}
        self._receiver = WmbusReceiver({})
        self._repeats: deque[bytes] = deque(maxlen=REPEATS_KEPT)
        self._radio_times: dict[str, float] = {}
        for meter in config.meters:
            self.install(meter)

    @property
    def channels(self) -> tuple[Channel, ...]:
        """All channels, by number."""
        return tuple(self._channels.values())

    def channel(self, device: str) -> Channel | None:
        """Give a meter's channel, or None for a stranger."""
        return self._channels.get(device)

    def install(self, meter: LocalMeter, *, number: int | None = None) -> Channel:
        """Listen to a meter from now on; a new key replaces the old one at once.

        Args:
            meter: who it is.
            number: the channel of a meter that is new, from 1; by default the first that is free.

        Raises:
            ValueError: there are ``CHANNELS_MAX`` meters already, or the channel is taken.

        """
        known = self._channels.get(meter.device)
        if known is None:
            used = {channel.number for channel in self._channels.values()}
            asked = range(1, CHANNELS_MAX + 1) if number is None else [number]
            number = next((n for n in asked if n not in used), None)
            if number is None:
                raise ValueError(f"no channel is free; an access point has at most {CHANNELS_MAX} meters")
            known = self._channels[meter.device] = Channel(number, meter)
            self._restore(known)
        known.meter = meter
        self._rekey()
        return known

    def deinstall(self, device: str) -> None:
        """Listen to a meter no more; its key is forgotten."""
        self._channels.pop(device, None)
        self._rekey()

    def hear_radio(self, octets: bytes, now: float, source: str = "radio") -> Telegram | None:
        """Take one wireless M-Bus telegram; gives it where it came from an installed meter and could be used."""
        self.counts["radio frames"] += 1
        if octets in self._repeats:
            self.counts["repeated"] += 1
            return None
        self._repeats.append(octets)
        return self._take_radio(octets, now, source)

    def reopen(self, device: str) -> int:
        """Try telegrams of a device again that were kept aside for their key, oldest first; gives how many open now.

        A key that was typed wrongly thus costs no readings, as far as the quarantine reaches back.
        """
        kept = self.quarantine.newest(len(self.quarantine))
        mistyped = [frame for frame in kept if frame.device == device and frame.fault in _KEY_FAULTS]
        taken = [self._take_radio(frame.octets, frame.time, frame.source) for frame in reversed(mistyped)]
        opened = sum(telegram is not None for telegram in taken)
        self.counts["reopened"] += opened
        return opened

    def hear_p1(self, telegram: P1Telegram, now: float, source: str = "p1") -> str:
        """Take one P1 telegram; returns the electricity meter's name, "" where it was not taken."""
        return self.take_p1(rows_of_p1(telegram, now), now, source)

    def take_p1(self, telegram: HeardTelegram, now: float, source: str = "p1") -> str:
        """Take one P1 telegram whose rows are known; returns as ``hear_p1``."""
        self.counts["p1 telegrams"] += 1
        device = next((item for item in telegram.devices if not item.channel), None)
        if device is None:
            reason = "a P1 telegram without a register of an electricity meter"
            self._keep_aside(QuarantinedFrame(now, source, Fault.UNREADABLE, reason, telegram.octets))
            return ""
        channel = self._channels.get(device.device)
        if channel is None:
            self._note_stranger(device.device)
            return ""
        try:
            channel.instants = instants_of(device)
            for observation in observations_of(channel.meter, telegram):
                self._observe(channel, observation, now)
        except (WireError, ValueError) as error:
            self._keep_aside(QuarantinedFrame(now, source, Fault.UNREADABLE, str(error), telegram.octets))
            return ""
        return device.device

    def keep_damaged(self, octets: bytes, error: WireError, now: float, source: str) -> None:
        """Keep aside what a stream reader could not make a frame of."""
        self._keep_aside(QuarantinedFrame(now, source, fault_of(error), str(error), octets))

    def next_push(self) -> Push | None:
        """Give the oldest rows that no head end has confirmed, or None."""
        items = self._outbox.peek(PUSH_ROWS_MAX)
        if not items:
            return None
        rows = [read_data(octets) for _, octets in items]
        pushed = {Obis(*row.items[1].octets) for row in rows}
        scalers = [
            item for channel in self.channels if channel.profile_name in pushed for item in _scaler_items(channel)
        ]
        return Push(items[-1][0], array(*rows, *scalers))

    def pushed(self, through: int) -> None:
        """Note that the head end has confirmed everything up to ``through``."""
        self._outbox.discard(through)

    def local_states(self, home: str) -> Iterable[LocalState]:
        """Give what the meters of a home were last heard to say."""
        for channel in self.channels:
            latest = channel.latest
            if channel.meter.home == home and latest is not None:
                registers = tuple(zip(channel.meter.registers, latest.values, strict=True))
                instants = tuple(sorted(channel.instants.items()))
                yield LocalState(channel.meter.device, channel.meter.commodity, latest.time, registers, instants)

    def preserve(self) -> None:
        """Keep all profiles through a power loss: on the power-fail signal, and from time to time."""
        for channel in self.channels:
            self._preserve(channel)

    def _preserve(self, channel: Channel) -> None:
        scales = ";".join(f"{exponent}*{unit}" for unit, exponent in channel.scales)
        name = f"profile/{channel.meter.device}"
        self._state.save(name, scales.encode() + b"\n" + channel.rows.pack())

    def _take_radio(self, octets: bytes, now: float, source: str) -> Telegram | None:
        device = ""
        try:
            device = self._sender(octets)
            if device and device not in self._channels:
                self._note_stranger(device)
                return None
            telegram = self._receiver.read(octets)
            device = _device_of(telegram.address)
            channel = self._channels.get(device)
            if channel is None:
                self._note_stranger(device)
                return None
            offset_s, key = self.config.radio_offset_s, channel.meter.key or None
            heard = rows_of_mbus(telegram, octets, now, offset_s=offset_s, key=key)
            self._check_fresh(device, telegram, heard.own_time)
            for observation in observations_of(channel.meter, heard):
                self._observe(channel, observation, now)
        except WireError as error:
            self._keep_aside(QuarantinedFrame(now, source, fault_of(error), str(error), octets, device))
            return None
        except ValueError as error:
            self._keep_aside(QuarantinedFrame(now, source, Fault.UNREADABLE, str(error), octets, device))
            return None
        return telegram

    def _observe(self, channel: Channel, observation: Observation, now: float) -> None:
        channel.heard_at = now
        is_first = not channel.scales
        if not channel.observe(observation):
            return
        if is_first:
            self._preserve(channel)  # a queued row is worth nothing without its scale
        row = channel.newest_row
        if row is not None:
            self._outbox.append(write_data(_push_item(channel, structure(*row))))
            self.counts["rows"] += 1

    def _sender(self, octets: bytes) -> str:
        """Name the sender of a frame without CRCs or with format A's; "" where only the full reader can tell."""
        return _device_of(DeviceAddress(octets[2:10])) if len(octets) >= 12 and octets[1] in _FROM_METERS else ""

    def _check_fresh(self, device: str, telegram: Telegram, sent: int | None) -> None:
        frame = telegram.frame
        if frame is not None and frame.afl is not None and frame.afl.counter is not None:
            if not self._counters.accept(f"radio/{device}", frame.afl.counter):
                raise ReplayError(f"message counter {frame.afl.counter} was used before", None, "AFL MCR")
            return
        if sent is None:
            return
        newest = self._radio_times.get(device, sent)
        if sent < newest - CLOCK_SLACK_S:
            raise ReplayError(f"sent {newest - sent:.0f} s before one that was heard already", None, "date and time")
        self._radio_times[device] = max(newest, sent)

    def _note_stranger(self, device: str) -> None:
        self.counts["strangers"] += 1
        name = device if device in self.strangers or len(self.strangers) < STRANGERS_MAX else "others"
        self.strangers[name] += 1

    def _keep_aside(self, frame: QuarantinedFrame) -> None:
        self.counts[frame.fault] += 1
        self.quarantine.keep(frame)

    def _rekey(self) -> None:
        self._receiver.keys = dict(
            _radio_key(channel.meter) for channel in self.channels if channel.meter.key and _is_radio(channel.meter)
        )

    def _restore(self, channel: Channel) -> None:
        kept = self._state.load(f"profile/{channel.meter.device}")
        if kept is not None:
            scales, _, rows = kept.partition(b"\n")
            parts = [part.split("*", 1) for part in scales.decode().split(";") if part]
            channel.restore(rows, [(parse_unit(symbol)[0], int(exponent)) for exponent, symbol in parts])


_KEY_FAULTS = frozenset({Fault.WRONG_KEY, Fault.MISSING_KEY})
_FROM_METERS = frozenset({0x44, 0x46, 0x48, 0x08})
"""C fields of telegrams that meters send: SND-NR, SND-IR, ACC-DMD… (EN 13757-4, 12.5.4)."""


def _device_of(address: DeviceAddress) -> str:
    return mbus_device(address.manufacturer, address.id, address.medium)


def _is_radio(meter: LocalMeter) -> bool:
    try:
        split_mbus_device(meter.device)
    except ValueError:
        return False
    return True


def _radio_key(meter: LocalMeter) -> tuple[bytes, bytes]:
    manufacturer, number, medium = split_mbus_device(meter.device)
    return DeviceAddress.of(manufacturer, number, 0, medium).id_octets, meter.key


def _push_item(channel: Channel, row: Data) -> Data:
    return pushed_item(ProfileGeneric.class_id, channel.profile_name, ProfileGeneric.buffer.number, array(row))


def _scaler_items(channel: Channel) -> list[Data]:
    """Write the scale of a channel's registers beside its rows: a number without its unit is no reading."""
    attribute = ExtendedRegister.scaler_unit.number
    return [
        pushed_item(
            ExtendedRegister.class_id, channel.register_name(index), attribute, scaler_unit(Scaled(0, exponent, unit))
        )
        for index, (unit, exponent) in enumerate(channel.scales)
    ]
