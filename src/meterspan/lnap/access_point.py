"""The local network access point: receives known meters' telegrams, stores their rows, serves the home and head ends.

Strategy: a telegram is accepted only from an installed meter (allow-list), only with the protection that this meter
requires, and only if ``RadioTrust`` believes it; until then nothing is learnt from it. Every new row of a channel goes
into a durable outbox before anything else may happen to it, and leaves the outbox when the head end has confirmed it;
the profile of the channel stays for reads. A row in the outbox is a typed record with its own scale; it becomes A-XDR
when it is pushed.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from meterspan.engine.push_rows import PushedProfile, PushedRegister, utc_row, write_profiles
from meterspan.engine.uplink import Push
from meterspan.engine.wmbus_receiver import Telegram, WmbusReceiver
from meterspan.lnap.channel import LocalMeter, MBusChannel, Observation, RegisterScale
from meterspan.lnap.hearing import instants_of, observations_of
from meterspan.lnap.kept_state import DamagedEntryError, set_aside
from meterspan.lnap.outbox import ALL_ITEMS, ConvertedRows, OldChannel, OutboxRow, RowBatch, RowOutbox
from meterspan.lnap.radio_trust import RadioTrust
from meterspan.model.cosem.classes import ExtendedRegister
from meterspan.model.cosem.profile import Row
from meterspan.model.cosem.scaler_unit import ScalerUnit
from meterspan.model.identity import mbus_device, split_mbus_device
from meterspan.model.ports import CounterStore, OutboxStore, StateStore
from meterspan.model.quarantine import FrameFault, FrameQuarantine, QuarantinedFrame, RefusalTally, fault_of
from meterspan.model.radio_protection import RadioPrecedence, RadioProtection
from meterspan.model.storage.errors import StorageError
from meterspan.quantities import UNITS, Commodity, Obis, Scaled, parse_unit
from meterspan.readings.mbus import rows_of_mbus
from meterspan.readings.mbus_decode import read_wired, wired_sender
from meterspan.readings.p1 import rows_of_p1
from meterspan.readings.rows import HeardTelegram
from meterspan.wire.errors import WireError
from meterspan.wire.mbus.address import DeviceAddress
from meterspan.wire.p1 import P1Telegram

__all__ = ["AccessPoint", "AccessPointConfig", "LocalState"]

CHANNELS_MAX: Final = 64
"""Meters behind one access point: a large stairwell; the M-Bus channel octet allows 255."""
UNKNOWN_DEVICES_MAX: Final = 1_024
"""Unknown devices counted individually; all others are counted together."""
REPEATS_KEPT: Final = 256
"""Telegrams remembered to recognise repeaters and double reception."""
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
    """The values of one meter for the home (interfaces H1, H2)."""

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
        outbox: durable; rows on their way upstream.

    """

    def __init__(
        self, config: AccessPointConfig, *, counters: CounterStore, state: StateStore, outbox: OutboxStore
    ) -> None:
        self.config = config
        self.quarantine = FrameQuarantine()
        self.refusals = RefusalTally()
        self.counts: Counter[str] = Counter()
        self.unknown_devices: Counter[str] = Counter()
        self.set_aside: list[DamagedEntryError] = []
        """Damaged entries of the state that were set aside; the access point goes on without them."""
        self._counters = counters
        self._state = state
        self._outbox = RowOutbox(outbox)
        self._converted = False
        self._channels: dict[str, MBusChannel] = {}
        self._receiver = WmbusReceiver({})
        self._repeats: deque[bytes] = deque(maxlen=REPEATS_KEPT)
        self._trust = RadioTrust(counters, state)
        for meter in config.meters:
            self.install(meter)

    @property
    def channels(self) -> tuple[MBusChannel, ...]:
        """All channels, by number."""
        return tuple(self._channels.values())

    def channel(self, device: str) -> MBusChannel | None:
        """Return a meter's channel, or None for an unknown device."""
        return self._channels.get(device)

    def install(self, meter: LocalMeter, *, number: int | None = None) -> MBusChannel:
        """Listen to a meter from now on and return its channel; a new key replaces the old one at once.

        Args:
            meter: the meter.
            number: the channel of a new meter, from 1; by default the first free one.

        Raises:
            DamagedEntryError: what is remembered of its telegrams cannot be read.
            ValueError: there are ``CHANNELS_MAX`` meters already, or the channel is taken.

        """
        known = self._channels.get(meter.device)
        if known is None:
            used = {channel.number for channel in self._channels.values()}
            asked = range(1, CHANNELS_MAX + 1) if number is None else [number]
            number = next((n for n in asked if n not in used), None)
            if number is None:
                raise ValueError(f"no channel is free; an access point has at most {CHANNELS_MAX} meters")
            known = self._channels[meter.device] = MBusChannel(number, meter)
            self._restore(known)
            self._trust.restore(meter.device)
        known.meter = meter
        self._rekey()
        return known

    def hear_radio(self, octets: bytes, now: float, source: str = "radio") -> Telegram | None:
        """Process one wireless M-Bus telegram; return it where an installed meter sent it and it could be used."""
        self.counts["radio frames"] += 1
        if octets in self._repeats:
            self.counts["repeated"] += 1
            return None
        telegram = self._take_radio(octets, now, source)
        if telegram is not None:
            self._repeats.append(octets)
        return telegram

    def precedence(self, octets: bytes) -> RadioPrecedence:
        """Return what a telegram proves before it is processed: many can be looked at while one is processed."""
        if self._receiver.is_genuine(octets):
            return RadioPrecedence.PROVED
        device = self._sender(octets)
        is_installed = bool(device) and self._radio_channel(device) is not None
        return RadioPrecedence.INSTALLED if is_installed else RadioPrecedence.UNKNOWN

    def reopen(self, device: str) -> int:
        """Process the quarantined telegrams of a device again whose key was at fault; return how many open now.

        The readings behind a mistyped key are recovered thus, as far as the quarantine reaches back.
        """
        kept = self.quarantine.newest(len(self.quarantine))
        mistyped = [frame for frame in kept if frame.device == device and frame.fault in _KEY_FAULTS]
        opened = sum(self._take_again(frame) for frame in reversed(mistyped))
        self.counts["reopened"] += opened
        return opened

    def read_wired(self, octets: bytes, key: bytes, now: float, source: str = "wired") -> HeardTelegram | None:
        """Read one readout of wired M-Bus; return its rows, None where it was quarantined.

        Args:
            octets: its frames as they were received, one after the other.
            key: opens them; b"" for those in the clear.
            now: UTC seconds.
            source: where the slave is.

        """
        self.counts["wired readouts"] += 1
        sender = wired_sender(octets)
        device = "" if sender is None else mbus_device(sender)
        try:
            telegram = read_wired(octets, key or None)
            heard = rows_of_mbus(
                telegram, octets, now, offset_s=self.config.radio_offset_s, key=key or None, protocol="mbus"
            )
            if not heard.devices:
                failure = heard.failures[0]
                raise failure.error or WireError(str(failure))
        except WireError as error:
            self.keep_damaged(octets, error, now, source, device)
            return None
        return heard

    def take_wired(self, heard: HeardTelegram, now: float, source: str = "wired") -> bool:
        """Capture the rows of a readout; return whether they are of an installed meter and could be used."""
        device = heard.devices[0].device
        channel = self._channels.get(device)
        if channel is None:
            self._note_unknown(device)
            return False
        try:
            for observation in observations_of(channel.meter, heard):
                self._observe(channel, observation, now)
        except (WireError, ValueError) as error:
            fault = fault_of(error) if isinstance(error, WireError) else FrameFault.UNREADABLE
            self.quarantine_frame(QuarantinedFrame(now, source, fault, str(error), heard.octets, device))
            return False
        self.refusals.taken(device)
        return True

    def hear_p1(self, telegram: P1Telegram, now: float, source: str = "p1") -> str:
        """Process one P1 telegram; return the electricity meter's name, "" where it was not accepted."""
        return self.take_p1(rows_of_p1(telegram, now), now, source)

    def take_p1(self, telegram: HeardTelegram, now: float, source: str = "p1") -> str:
        """Process one P1 telegram that was read already; return as ``hear_p1``."""
        self.counts["p1 telegrams"] += 1
        device = next((item for item in telegram.devices if not item.channel), None)
        if device is None:
            reason = "a P1 telegram without a register of an electricity meter"
            self.quarantine_frame(QuarantinedFrame(now, source, FrameFault.UNREADABLE, reason, telegram.octets))
            return ""
        channel = self._channels.get(device.device)
        if channel is None:
            self._note_unknown(device.device)
            return ""
        try:
            channel.instants = instants_of(device)
            for observation in observations_of(channel.meter, telegram):
                self._observe(channel, observation, now)
        except (WireError, ValueError) as error:
            self.quarantine_frame(QuarantinedFrame(now, source, FrameFault.UNREADABLE, str(error), telegram.octets))
            return ""
        return device.device

    def keep_damaged(self, octets: bytes, error: WireError, now: float, source: str, device: str = "") -> None:
        """Quarantine octets that could not be read as a frame, or as a readout.

        Args:
            octets: as received.
            error: why they are not a frame.
            now: UTC seconds.
            source: the port that received them.
            device: the sender, where it is known.

        """
        self.quarantine_frame(QuarantinedFrame(now, source, fault_of(error), str(error), octets, device))

    def quarantine_frame(self, frame: QuarantinedFrame) -> None:
        """Keep and count a frame that could not be used."""
        self.counts[frame.fault] += 1
        self.quarantine.keep(frame)
        if frame.device in self._channels:
            self.refusals.refused(frame.device, frame.time)

    def next_push(self) -> Push | None:
        """Return the oldest rows that no head end has confirmed, or None."""
        self.convert_outbox()
        while (batch := self._outbox.peek(PUSH_ROWS_MAX)) is not None:
            through, profiles = self._profiles(batch)
            if profiles:
                return Push(through, write_profiles(profiles))
            self._outbox.discard(through)
        return None

    def convert_outbox(self) -> ConvertedRows:
        """Replace rows that an earlier version of meterspan queued; call it once all known meters are installed.

        It happens at the latest before the first row of this run is queued, or the first one is pushed.
        """
        if self._converted:
            return ConvertedRows()
        self._converted = True
        done = self._outbox.convert(self.old_channels())
        self.counts["rows of unknown channels"] += done.unknown
        self._recall_queued()
        return done

    def old_channels(self) -> dict[Obis, OldChannel]:
        """Return how rows of an earlier version's outbox are to be understood, by logical name of their profile."""
        found = {}
        for channel in self.channels:
            scales = tuple(scale for scale in channel.scales if scale is not None)
            if len(scales) == len(channel.scales):
                found[channel.profile_name] = OldChannel(channel.meter.device, channel.meter.registers, scales)
        return found

    def pushed(self, through: int) -> None:
        """Remove the rows up to number ``through``: the head end has confirmed them."""
        self._outbox.discard(through)

    def local_states(self, home: str) -> Iterable[LocalState]:
        """Return the newest values of the meters of a home."""
        for channel in self.channels:
            latest = channel.latest
            if channel.meter.home == home and latest is not None:
                registers = channel.values_of(latest)
                instants = tuple(sorted(channel.instants.items()))
                yield LocalState(channel.meter.device, channel.meter.commodity, latest.time, registers, instants)

    def preserve(self) -> None:
        """Save all profiles: on the power-fail signal, and from time to time."""
        for channel in self.channels:
            self._preserve(channel)

    def _preserve(self, channel: MBusChannel) -> None:
        scales = ";".join("-" if scale is None else f"{scale[1]}*{scale[0]}" for scale in channel.scales)
        self._state.save(_profile_key(channel), scales.encode() + b"\n" + channel.rows.pack())

    def _take_again(self, frame: QuarantinedFrame) -> bool:
        channel = self._channels.get(frame.device)
        if channel is None or wired_sender(frame.octets) is None:
            return self._take_radio(frame.octets, frame.time, frame.source) is not None
        heard = self.read_wired(frame.octets, channel.meter.key, frame.time, frame.source)
        return heard is not None and self.take_wired(heard, frame.time, frame.source)

    def _take_radio(self, octets: bytes, now: float, source: str) -> Telegram | None:
        device = ""
        try:
            device = self._sender(octets)
            if device and self._radio_channel(device) is None:
                self._note_unknown(device)
                return None
            telegram = self._receiver.read(octets)
            device = mbus_device(telegram.address)
            channel = self._radio_channel(device)
            if channel is None:
                self._note_unknown(device)
                return None
            offset_s, key = self.config.radio_offset_s, channel.meter.key or None
            heard = rows_of_mbus(telegram, octets, now, offset_s=offset_s, key=key)
            self._trust.believe(channel.meter, telegram, heard, now)
            for observation in observations_of(channel.meter, heard):
                self._observe(channel, observation, now)
        except WireError as error:
            self.quarantine_frame(QuarantinedFrame(now, source, fault_of(error), str(error), octets, device))
            return None
        except ValueError as error:
            self.quarantine_frame(QuarantinedFrame(now, source, FrameFault.UNREADABLE, str(error), octets, device))
            return None
        self.refusals.taken(device)
        return telegram

    def _radio_channel(self, device: str) -> MBusChannel | None:
        channel = self._channels.get(device)
        return None if channel is None or channel.meter.is_wired else channel

    def _observe(self, channel: MBusChannel, observation: Observation, now: float) -> None:
        self.convert_outbox()
        channel.heard_at = now
        before = channel.scales
        if not channel.observe(observation):
            return
        values = channel.values_of(observation)
        try:
            self._outbox.append(OutboxRow(channel.meter.device, observation.time, observation.status, values))
        except StorageError:
            channel.release(observation.time)
            raise
        self.counts["rows"] += 1
        self._state.save(_captured_key(channel), _written_periods(channel))
        if channel.scales != before:
            self._preserve(channel)

    def _recall_queued(self) -> None:
        """Note the rows that are queued already, so that a restart captures none of them again."""
        batch = self._outbox.peek(ALL_ITEMS)
        for row in () if batch is None else batch.rows:
            channel = self._channels.get(row.device)
            if channel is not None:
                channel.recall(row.time)

    def _profiles(self, batch: RowBatch) -> tuple[int, list[PushedProfile]]:
        """Return the rows that one push can hold: one scale per register; and the number that they reach."""
        groups: dict[str, tuple[MBusChannel, dict[Obis, ScalerUnit], list[OutboxRow]]] = {}
        through = batch.through
        for number, row in zip(batch.numbers, batch.rows, strict=True):
            channel = self._channels.get(row.device)
            if channel is None:
                self.counts["rows of removed meters"] += 1
                continue
            scales = {obis: ScalerUnit(value.exponent, value.unit) for obis, value in row.values}
            _, known, rows = groups.setdefault(row.device, (channel, {}, []))
            if any(known.get(obis, scale) != scale for obis, scale in scales.items()):
                through = number - 1
                break
            known.update(scales)
            rows.append(row)
        return through, [_profile(channel, scales, rows) for channel, scales, rows in groups.values() if rows]

    def _sender(self, octets: bytes) -> str:
        """Return the sender of a frame without CRCs or of format A; "" where only the full reader can find it."""
        return mbus_device(DeviceAddress(octets[2:10])) if len(octets) >= 12 and octets[1] in _FROM_METERS else ""

    def _note_unknown(self, device: str) -> None:
        self.counts["unknown devices"] += 1
        is_counted = device in self.unknown_devices or len(self.unknown_devices) < UNKNOWN_DEVICES_MAX
        self.unknown_devices[device if is_counted else "others"] += 1

    def _rekey(self) -> None:
        meters = [(_id_octets(channel.meter), channel.meter) for channel in self.channels if _is_radio(channel.meter)]
        self._receiver.keys = {number: meter.key for number, meter in meters if meter.key}
        self._receiver.required = {
            number: meter.protection for number, meter in meters if meter.protection is not _DEFAULT
        }

    def _restore(self, channel: MBusChannel) -> None:
        """Load what was kept of a channel; what is damaged is set aside, for head ends and outbox have its rows."""
        self._restore_entry(channel, _profile_key(channel), _restore_profile, "the kept rows")
        self._restore_entry(channel, _captured_key(channel), _restore_captured, "the captured periods")

    def _restore_entry(
        self, channel: MBusChannel, name: str, restore: Callable[[MBusChannel, bytes], None], what: str
    ) -> None:
        octets = self._state.load(name)
        try:
            if octets:
                restore(channel, octets)
        except (ValueError, KeyError, OverflowError) as error:
            set_aside(self._state, name)
            self.set_aside.append(DamagedEntryError(name, f"{what} of {channel.meter.device}", error))


def _restore_profile(channel: MBusChannel, octets: bytes) -> None:
    scales, _, rows = octets.partition(b"\n")
    channel.restore(rows, [_read_scale(part) for part in scales.decode().split(";") if part])


def _restore_captured(channel: MBusChannel, octets: bytes) -> None:
    periods = [int(period) for period in octets.split()]
    for period in periods:
        channel.recall(period * channel.meter.period_s)


_DEFAULT = RadioProtection.ENCRYPTED
_KEY_FAULTS = frozenset({FrameFault.WRONG_KEY, FrameFault.MISSING_KEY})
_FROM_METERS = frozenset({0x44, 0x46, 0x48, 0x08})
"""C fields of telegrams that meters send: SND-NR, SND-IR, ACC-DMD… (EN 13757-4, 12.5.4)."""


def _is_radio(meter: LocalMeter) -> bool:
    try:
        split_mbus_device(meter.device)
    except ValueError:
        return False
    return True


def _id_octets(meter: LocalMeter) -> bytes:
    manufacturer, number, medium = split_mbus_device(meter.device)
    return DeviceAddress.of(manufacturer, number, 0, medium).id_octets


def _profile(channel: MBusChannel, scales: dict[Obis, ScalerUnit], rows: list[OutboxRow]) -> PushedProfile:
    """Write the rows of one channel at the scales that they have; a register without any value has no scale."""
    known = [scales.get(obis, _NO_SCALE) for obis in channel.meter.registers]
    registers = tuple(
        PushedRegister(ExtendedRegister.class_id, channel.register_name(index), scale)
        for index, scale in enumerate(known)
    )
    return PushedProfile(channel.profile_name, registers, tuple(_pushed_row(channel, row) for row in rows))


def _pushed_row(channel: MBusChannel, row: OutboxRow) -> Row:
    values = dict(row.values)
    numbers = [values[obis].value if obis in values else None for obis in channel.meter.registers]
    return utc_row(row.time, row.status, numbers)


def _read_scale(text: str) -> RegisterScale | None:
    exponent, _, symbol = text.partition("*")
    return (parse_unit(symbol)[0], int(exponent)) if symbol else None


def _profile_key(channel: MBusChannel) -> str:
    return f"profile/{channel.meter.device}"


def _captured_key(channel: MBusChannel) -> str:
    return f"captured/{channel.meter.device}"


def _written_periods(channel: MBusChannel) -> bytes:
    return " ".join(map(str, sorted(channel.captured_periods))).encode()


_NO_SCALE = ScalerUnit(0, UNITS["1"])
