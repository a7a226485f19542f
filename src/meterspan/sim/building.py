"""A building: homes, the radio between them and their access point, and the wires of the P1 ports.

Strategy: the access point is a cabinet (``AccessPointHost``) whose power may fail: then the point is thrown away and
later built anew from what it had kept. Radio telegrams and P1 telegrams travel as octets over seeded media; what the
access point quarantines is passed to the caller.
"""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

from meterspan.engine.security import SecurityContext, SecurityKeys
from meterspan.lnap.access_point import AccessPoint, AccessPointConfig
from meterspan.lnap.channel import LocalMeter
from meterspan.lnap.cosem import LnapAccess, logical_device
from meterspan.meter.p1_port import p1_telegram
from meterspan.model.cosem.device import LogicalDevice
from meterspan.model.identity import mbus_device
from meterspan.model.quarantine import QuarantinedFrame
from meterspan.quantities import Commodity
from meterspan.readings.p1 import P1_REGISTERS, rows_of_p1
from meterspan.readings.rows import HeardTelegram
from meterspan.sim.channel import MediumEffects, Radio
from meterspan.sim.clock import VirtualClock
from meterspan.sim.homes import HEAD_END_TITLE, RadioPoint, Reach, SimulatedHome
from meterspan.sim.state import VirtualState
from meterspan.wire.axdr import double_long_unsigned
from meterspan.wire.p1 import P1Reader
from meterspan.wire.p1.reader import P1Damage

__all__ = ["AccessPointHost", "Building", "Interfaces", "local_meter", "local_meters"]

RADIO: Final = MediumEffects(latency_s=0.02, jitter_s=0.01, loss=0.05, damage=0.01)
WIRE: Final = MediumEffects(latency_s=0.06)
"""700 octets at 115,200 bit/s."""
FRAMES_OVERHEARD: Final = 2_000
"""Telegrams that an eavesdropper in the stairwell keeps to send again."""
OUTBOX: Final = "upstream"


class Interfaces:
    """Counts messages by interface of TR 50572."""

    def __init__(self) -> None:
        self.messages: Counter[str] = Counter()
        self.octets: Counter[str] = Counter()

    def note(self, interface: str, octets: int, messages: int = 1) -> None:
        """Count messages and their octets."""
        self.messages[interface] += messages
        self.octets[interface] += octets


class AccessPointHost:
    """The cabinet of an access point: its flash memory, and the point while it has power.

    Args:
        config: how the point is set up; kept up to date with its allow-list.
        keys: unicast and authentication key of its management association.

    """

    def __init__(self, config: AccessPointConfig, keys: SecurityKeys) -> None:
        self.config = config
        self.keys = keys
        self.state = VirtualState()
        self.outbox = self.state.outbox(OUTBOX)
        self.point: AccessPoint | None = None
        self._logical: LogicalDevice | None = None
        self._reported = 0
        self.context = self._secure()
        self.power_up()

    @property
    def name(self) -> str:
        """Its logical device name."""
        return self.config.name

    @property
    def logical(self) -> LogicalDevice | None:
        """Its COSEM device; None without power."""
        if self.point is not None and self._logical is None:
            access = LnapAccess(lambda _now: double_long_unsigned(max(0, self.context.last_received)))
            self._logical = logical_device(self.point, access)
        return self._logical

    def power_up(self) -> None:
        """Restart from persisted state."""
        self.point = AccessPoint(self.config, counters=self.state, state=self.state, outbox=self.outbox)
        self.context = self._secure()
        self._reported = 0

    def power_down(self) -> None:
        """Lose power: the power-fail signal leaves time to save, then all that is in memory is gone."""
        if self.point is not None:
            self.point.preserve()
        self.point, self._logical = None, None

    def install(self, meter: LocalMeter) -> None:
        """Put a meter on the allow-list, or change its key."""
        listed = {known.device: known for known in self.config.meters}
        listed[meter.device] = meter  # in its old place: channels are numbered in the order of the list
        self.config = replace(self.config, meters=tuple(listed.values()))
        if self.point is not None:
            self.point.install(meter)
            self._logical = None

    def quarantined(self) -> Sequence[QuarantinedFrame]:
        """Return the frames quarantined since the last call, oldest first."""
        if self.point is None:
            return ()
        quarantine = self.point.quarantine
        fresh = quarantine.newest(quarantine.total - self._reported)
        self._reported = quarantine.total
        return tuple(reversed(fresh))

    def _secure(self) -> SecurityContext:
        """Make the one context of sessions and pushes: counters must rise in the order of sending."""
        return SecurityContext(self.config.system_title, self.keys, counters=self.state, peer_title=HEAD_END_TITLE)


class Building:
    """Homes around one access point.

    Args:
        clock: the virtual clock.
        host: the access point.
        homes: who lives there.
        neighbours: radio meters of next door.
        seed: of all chance on radio and wires.
        interfaces: where messages are counted.

    """

    def __init__(
        self,
        clock: VirtualClock,
        host: AccessPointHost,
        homes: Sequence[SimulatedHome],
        neighbours: Sequence[RadioPoint],
        *,
        seed: int,
        interfaces: Interfaces,
    ) -> None:
        self.host = host
        self.homes = tuple(homes)
        self.neighbours = tuple(neighbours)
        self.radio = Radio(clock, RADIO, seed=seed, trace_frames=FRAMES_OVERHEARD)
        self.radio.listen(self._hear_radio)
        self.on_radio: Callable[[str, bytes, float], object] = lambda _device, _octets, _now: None
        """Called with (device, octets, time) for each telegram that the access point took."""
        self.on_display: Callable[[SimulatedHome, HeardTelegram, float], object] | None = None
        """Called for each P1 telegram that a home's display decoded; None while no display is watched."""
        self._clock = clock
        self._interfaces = interfaces
        self._wires = {home.home_id: self._wire(home, seed + home.number) for home in self.homes}

    def measure(self, start: float, end: float) -> None:
        """Let the flows from ``start`` to ``end`` (UTC seconds) pass all meters; radio meters send due telegrams."""
        for home in self.homes:
            flows, index = home.tape.step(start, end)
            home.electricity.measure(flows, index, end)
            for radio in home.radios:
                for octets in radio.measure(flows, index, end):
                    self.transmit(octets, radio.device)
        for neighbour in self.neighbours:
            flows, index = self.homes[0].tape.step(start, end)
            for octets in neighbour.measure(flows, index, end):
                self.transmit(octets, neighbour.device)

    def transmit(self, octets: bytes, sender: str) -> None:
        """Put a telegram on the air."""
        self._interfaces.note("M", len(octets))
        self.radio.transmit(octets, sender)

    def send_p1(self, now: float, *, only: Reach | None = None) -> None:
        """Let every electricity meter (or those with this reach) send its P1 telegram of ``now``."""
        for home in self.homes:
            point = home.electricity
            if only is not None and point.reach is not only:
                continue
            octets = p1_telegram(point.meter, now)
            self._interfaces.note("H1", len(octets))
            if point.reach is Reach.P1:
                point.rows[int(now)] = point.shown()
            self._wires[home.home_id].transmit(octets, point.device)

    def send_h2(self) -> None:
        """Write the access point's readings to each home, one JSON line per home."""
        if self.host.point is None:
            return
        for home in self.homes:
            states = {
                state.device: {
                    "commodity": state.commodity,
                    "time": state.time,
                    "registers": {str(obis): str(value) for obis, value in state.registers},
                    "instants": {obis: str(value) for obis, value in state.instants},
                }
                for state in self.host.point.local_states(home.home_id)
            }
            line = json.dumps({"home": home.home_id, "meters": states})
            self._interfaces.note("H2", len(line) + 1)

    def disturb_wire(self, device: str, damage: float) -> None:
        """Let bits flip on the P1 wire of an electricity meter with this chance per telegram."""
        for home in self.homes:
            if home.electricity.device == device:
                self._wires[home.home_id].medium = replace(WIRE, damage=damage)

    def overheard(self, device: str, before: float, count: int) -> list[bytes]:
        """Return old telegrams of a device, as an eavesdropper has them."""
        frames = [frame.octets for frame in self.radio.trace if frame.sender == device and frame.at < before]
        return frames[-count:]

    def _wire(self, home: SimulatedHome, seed: int) -> Radio:
        wire = Radio(self._clock, WIRE, seed=seed)
        wire.listen(partial(self._hear_p1, home, P1Reader()))
        return wire

    def _hear_p1(self, home: SimulatedHome, reader: P1Reader, octets: bytes, now: float) -> None:
        """Receive octets of a home's P1 port; an access point that listens to this port passes them on (H1)."""
        point = self.host.point
        is_watched = home.electricity.reach is Reach.P1 and point is not None
        source = f"{self.host.name}, P1 of {home.home_id}"
        reader.receive(octets)
        while (item := reader.next_telegram()) is not None:
            if isinstance(item, P1Damage):
                if is_watched and point is not None:
                    point.keep_damaged(item.octets, item.error, now, source)
                continue
            if not is_watched and self.on_display is None:
                continue
            heard = rows_of_p1(item, now)
            if is_watched and point is not None:
                point.take_p1(heard, now, source)
            if self.on_display is not None:
                self.on_display(home, heard, now)

    def _hear_radio(self, octets: bytes, now: float) -> None:
        if self.host.point is None:
            return
        telegram = self.host.point.hear_radio(octets, now, self.host.name)
        if telegram is not None:
            address = telegram.address
            self.on_radio(mbus_device(address), octets, now)


def local_meters(homes: Sequence[SimulatedHome], wrong_keys: frozenset[str] = frozenset()) -> tuple[LocalMeter, ...]:
    """Make the allow-list of a building: all radio meters, and the electricity meters that are heard on P1.

    Args:
        homes: of the building.
        wrong_keys: devices whose key somebody typed wrongly.

    """
    meters: list[LocalMeter] = []
    for home in homes:
        point = home.electricity
        if point.reach is Reach.P1:
            meters.append(LocalMeter(point.device, Commodity.ELECTRICITY, home.home_id, P1_REGISTERS))
        for radio in home.radios:
            key = radio.meter.config.key
            shown = bytes(octet ^ 0x5A for octet in key) if radio.device in wrong_keys else key
            meters.append(local_meter(home, radio, shown))
    return tuple(meters)


def local_meter(home: SimulatedHome, radio: RadioPoint, key: bytes) -> LocalMeter:
    """Make the entry of one radio meter."""
    return LocalMeter(radio.device, radio.commodity, home.home_id, (radio.obis,), key)
