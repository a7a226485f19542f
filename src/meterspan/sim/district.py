"""A district on virtual time: homes with their meters, access points, head end and data management, joined by octets.

Strategy: every minute all meters measure one step; radio telegrams, P1 telegrams, sessions and pushes travel over
seeded media as octets, and the machines of production receive them. Faults follow a plan. Each meter has a
reference beside it, so that every stored register can be compared with the measured one (``sim.report``).
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from hashlib import sha256
from typing import Final
from zoneinfo import ZoneInfo

from meterspan.engine.association.attempts import AttemptLedger
from meterspan.engine.association.server import ServerAssociation
from meterspan.engine.link import Link
from meterspan.engine.links import DeviceProtocol
from meterspan.engine.security import SecurityContext
from meterspan.head_end.contexts import ContextCache
from meterspan.head_end.device_log import Frame
from meterspan.head_end.inventory import Device, KeyCustody
from meterspan.head_end.planner import ReadPolicy
from meterspan.head_end.push_intake import PushIntake
from meterspan.head_end.sessions import SessionMaker
from meterspan.head_end.system import HeadEnd
from meterspan.lnap.access_point import AccessPointConfig
from meterspan.mdm import MeterDataManagement
from meterspan.meter.electricity import PROFILE_COLUMNS
from meterspan.model.cosem.device import LogicalDevice
from meterspan.model.ports import Entropy
from meterspan.model.quarantine import FrameFault, QuarantinedFrame
from meterspan.model.readings import CaptureBlock, EventSeverity, Source
from meterspan.quantities import UNITS, Commodity, Scaled, standard_offset_s
from meterspan.quantities.codes import NET_POWER
from meterspan.readings.rows import HeardTelegram
from meterspan.sim.arrivals import Arrivals
from meterspan.sim.building import RADIO, AccessPointHost, Building, Interfaces, local_meter, local_meters
from meterspan.sim.channel import MediumEffects
from meterspan.sim.clock import VirtualClock
from meterspan.sim.fault_plans import Places, bad_day, quiet_day, restless_hours
from meterspan.sim.faults import Fault, FaultKind, FaultPlan
from meterspan.sim.g1 import G1, server_link
from meterspan.sim.homes import (
    HEAD_END_TITLE,
    ElectricityPoint,
    RadioPoint,
    Reach,
    SimulatedHome,
    draw_homes,
    draw_key,
    draw_neighbours,
    electricity_config,
    electricity_keys,
    title_of,
)
from meterspan.sim.pushes import Pushes
from meterspan.sim.records import TARIFFS, access_point_record, direct_record, local_record
from meterspan.sim.state import VirtualState

__all__ = ["District", "DistrictConfig", "Happening", "midnight_after"]

STEP_S: Final = 60.0
LIVE_STEP_S: Final = 5.0
DISPLAY_EVERY_S: Final = 300
"""In history a display that is not watched receives the power every five minutes."""
TELEGRAM_S: Final = 0.5
"""Within this time a P1 telegram has reached its display."""
HOMES_PER_BUILDING: Final = 4
READOUT_S: Final = 900.0
"""How long the removed meter stays within reach after an exchange, to be read out."""
REPLAY_AGE_S: Final = 5_400.0
UNKNOWN_HEARD_MIN: Final = 3
"""An unknown device heard so often is a meter, not a damaged address."""
CELLULAR: Final = MediumEffects(latency_s=0.25, jitter_s=0.1, loss=0.01, give_up_s=30.0)
SERIAL_BRIDGE: Final = MediumEffects(latency_s=0.25, jitter_s=0.1, damage=0.01)
"""HDLC over a serial bridge: bits flip behind the TCP connection."""
POLICY: Final = ReadPolicy(clock_check_every_s=6 * 3_600)


@dataclass(frozen=True, slots=True)
class DistrictConfig:
    """The settings of a district.

    Attributes:
        start: UTC seconds of the first instant; a local midnight.
        seed: of all chance, keys and households.
        homes: how many.
        days: local days until ``end``.
        hours: instead of days: a shorter run, for tests.
        zone: where it is.
        with_faults: whether the first day is a bad one (later days are usual days).

    """

    start: float
    seed: int = 1
    homes: int = 24
    days: int = 1
    hours: float | None = None
    zone: str = "Europe/Berlin"
    with_faults: bool = True

    @property
    def end(self) -> float:
        """UTC seconds of the end: a local midnight again."""
        if self.hours is not None:
            return self.start + 3_600 * self.hours
        return midnight_after(self.start, self.zone, self.days)


@dataclass(slots=True)
class Happening:
    """A fault of the run, and the counts of its handling."""

    fault: Fault
    counts: Counter[str] = field(default_factory=Counter)


class District:
    """The simulated district.

    Args:
        config: its settings.
        data: the data management, which takes readings durably.

    """

    def __init__(self, config: DistrictConfig, data: MeterDataManagement) -> None:
        self.config = config
        self.data = data
        self.zone = ZoneInfo(config.zone)
        self.clock = VirtualClock(config.start)
        self.interfaces = Interfaces()
        self.arrivals = Arrivals(data)
        self.custody = KeyCustody(draw_key(config.seed, "head end", "master"))
        self.head_end = HeadEnd(self.arrivals, self.custody, POLICY)
        self.counters = VirtualState()
        self.homes = tuple(
            draw_homes(
                config.seed, config.homes, zone=config.zone, start=config.start, homes_per_building=HOMES_PER_BUILDING
            )
        )
        self.retired: list[tuple[SimulatedHome, ElectricityPoint]] = []
        self.happenings: list[Happening] = []
        self.plan = FaultPlan()
        self.is_live = False
        self.unknown_devices: set[str] = set()
        self._step_s = STEP_S
        self._measured_until = config.start
        self._powers: dict[str, tuple[int, int]] = {}
        self._attempts: dict[str, AttemptLedger] = {}
        self._hosts: dict[str, AccessPointHost] = {}
        self.buildings = tuple(self._build(number) for number in range(-(-config.homes // HOMES_PER_BUILDING)))
        contexts = ContextCache(self.head_end, system_title=HEAD_END_TITLE, counters=self.counters)
        maker = SessionMaker(self.head_end, contexts=contexts, entropy=drawn_entropy(config.seed), zone=self.zone)
        self.g1 = G1(
            self.clock,
            self.head_end,
            maker,
            server_of=self._server_of,
            medium_of=self._medium_of,
            interfaces=self.interfaces,
            seed=config.seed,
        )
        self.pushes = Pushes(
            self.clock,
            self.head_end,
            PushIntake(self.head_end, contexts=contexts),
            medium_of=self._medium_of,
            interfaces=self.interfaces,
            seed=config.seed + 1,
        )
        for host in self._hosts.values():
            self.pushes.attach(host)
        self._register()
        self._next_beat = self.clock.schedule(config.start, self._beat)
        if config.with_faults:
            self.plan_days()
        self.g1.attend()

    @property
    def now(self) -> float:
        """Virtual UTC seconds."""
        return self.clock.now

    def run_until(self, until: float) -> None:
        """Let the district live until ``until`` (UTC seconds)."""
        self.clock.run_until(until)

    def watch_displays(self) -> None:
        """Store the momentary values of the homes' displays from now on: a portal shows them."""
        for building in self.buildings:
            building.on_display = self._note_power

    def go_live(self) -> None:
        """Measure every few seconds from now on, and plan each further day at its midnight."""
        self.is_live = True
        self._step_s = LIVE_STEP_S
        self._next_beat.cancel()
        self._next_beat = self.clock.schedule((self.now // LIVE_STEP_S + 1) * LIVE_STEP_S, self._beat)
        if self.config.with_faults:
            self._follow(restless_hours(self._places(), self.now, self.config.end))
            self.clock.schedule(self.config.end, partial(self._plan_on, self.config.days))

    def owed(self, until: float) -> int:
        """Count the spans of values that are missing up to ``until`` (UTC seconds)."""
        targets = {self.head_end.target_of(device) for device in self.head_end.inventory}
        return sum(len(self.head_end.holes_of(target, int(until))) for target in targets)

    def point_of(self, device: str) -> ElectricityPoint | None:
        """Return an electricity meter that is installed, or removed and still within reach."""
        for _, point in self._electricity():
            if point.device == device:
                return point
        return None

    # --- building it --------------------------------------------------------------------------------------------

    def _build(self, number: int) -> Building:
        seed, start = self.config.seed, self.config.start
        homes = self.homes[HOMES_PER_BUILDING * number : HOMES_PER_BUILDING * (number + 1)]
        offset_s = standard_offset_s(ZoneInfo(self.config.zone), start)
        name = f"MSPL{number + 1:010d}"
        config = AccessPointConfig(name, title_of(2, number + 1), offset_s, local_meters(homes))
        host = AccessPointHost(config, electricity_keys(seed, name))
        self._hosts[name] = host
        building = Building(
            self.clock,
            host,
            homes,
            draw_neighbours(seed, number, start, offset_s),
            seed=seed * 10_000 + 100 * number,
            interfaces=self.interfaces,
        )
        building.on_radio = self._keep_radio_frame
        return building

    def _register(self) -> None:
        now = self.config.start
        first_day = datetime.fromtimestamp(now, self.zone).date()
        for number, building in enumerate(self.buildings, start=1):
            self.head_end.add_device(access_point_record(building.host, number, self.custody, int(now)), now)
            for home in building.homes:
                self.data.register_home(home.home_id, home.name, zone=self.config.zone)
                for point in home.points:
                    device = self._record(home, point, building.host)
                    self.head_end.add_device(device, now)
                    self.data.install_meter(
                        home.home_id,
                        device.usage_point,
                        device=device.device,
                        commodity=device.commodity,
                        at=datetime.fromtimestamp(now, UTC),
                        opening=point.registers(),
                        protocol=str(device.protocol),
                        interface=device.interface,
                        network=device.network,
                    )
                    self.data.assign_tariff(device.usage_point, TARIFFS[device.commodity], first_day=first_day)

    def _record(self, home: SimulatedHome, point: ElectricityPoint | RadioPoint, host: AccessPointHost) -> Device:
        channel = None if host.point is None else host.point.channel(point.device)
        if channel is not None:
            return local_record(home, point, channel, host.name, self.custody)
        if isinstance(point, RadioPoint):
            raise KeyError(f"{point.device} is not on the allow-list of {host.name}")
        return direct_record(home, point, self.custody)

    # --- living -------------------------------------------------------------------------------------------------

    def _beat(self) -> None:
        """Let all meters measure up to now, send due telegrams, and schedule the next step."""
        now = self.clock.now
        for building in self.buildings:
            if now > self._measured_until:
                building.measure(self._measured_until, now)
            is_shown = self.is_live or not now % DISPLAY_EVERY_S
            building.send_p1(now, only=None if is_shown else Reach.P1)
            if is_shown:
                building.send_h2()
            self._report_quarantined(building, now)
        self._measured_until = now
        self.pushes.attend()
        if self.is_live or not now % DISPLAY_EVERY_S:
            self.clock.schedule(now + TELEGRAM_S, self._store_powers)
        self._next_beat = self.clock.schedule((now // self._step_s + 1) * self._step_s, self._beat)

    def _report_quarantined(self, building: Building, now: float) -> None:
        """Pass on the access point's quarantined frames, and the unknown devices it received."""
        for frame in building.host.quarantined():
            self.head_end.quarantine_frame(frame)
        point = building.host.point
        if point is None:
            return
        for device, count in point.unknown_devices.items():
            if count >= UNKNOWN_HEARD_MIN and device not in self.unknown_devices:
                self.unknown_devices.add(device)
                reason = "not on the allow-list: a neighbour's meter, or one that is not registered yet"
                self.head_end.quarantine_frame(
                    QuarantinedFrame(now, building.host.name, FrameFault.UNKNOWN_DEVICE, reason, b"", device)
                )

    def _keep_radio_frame(self, device: str, octets: bytes, now: float) -> None:
        self.head_end.device_log.frame(device, Frame(now, sent=False, protocol="wmbus", octets=octets))

    def _note_power(self, home: SimulatedHome, heard: HeardTelegram, now: float) -> None:
        if heard.power_w is not None:
            self._powers[home.electricity.device] = (int(now), heard.power_w)

    def _store_powers(self) -> None:
        """Store the momentary power that the displays received: local values, no head end."""
        now = int(self.clock.now)
        blocks = [
            CaptureBlock.of_row(
                device, Source.LOCAL, time=at, values={NET_POWER: Scaled(power, 0, UNITS["W"])}, received_at=now
            )
            for device, (at, power) in self._powers.items()
        ]
        self._powers.clear()
        if blocks:
            self.data.take(blocks)

    # --- the other side of G1 -----------------------------------------------------------------------------------

    def _server_of(self, target: str) -> ServerAssociation | None:
        """Make the server for a new connection to a target; None where the target has no power."""
        host = self._hosts.get(target)
        if host is not None:
            return (
                None
                if host.logical is None
                else self._server(host.logical, host.context, server_link(DeviceProtocol.DLMS_WRAPPER))
            )
        point = self.point_of(target)
        if point is None:
            return None
        return self._server(point.logical, point.context, server_link(DeviceProtocol(point.reach.value)))

    def _server(self, logical: LogicalDevice, context: SecurityContext, link: Link) -> ServerAssociation:
        attempts = self._attempts.setdefault(logical.name, AttemptLedger())
        entropy = drawn_entropy(self.config.seed, f"{logical.name}/{self.clock.now}")
        return ServerAssociation(link, logical, security=lambda _role: context, attempts=attempts, entropy=entropy)

    def _medium_of(self, target: str, at: float) -> MediumEffects:
        point = self.point_of(target)
        base = SERIAL_BRIDGE if point is not None and point.reach is Reach.HDLC else CELLULAR
        return self.plan.medium(target, base, at)

    def _electricity(self) -> Iterator[tuple[SimulatedHome, ElectricityPoint]]:
        for home in self.homes:
            yield home, home.electricity
        yield from self.retired

    # --- faults ------------------------------------------------------------------------------------------------

    def plan_days(self) -> None:
        """Plan the faults of all days of the run: the first is a bad one."""
        start = self.config.start
        if self.config.hours is not None:
            self.plan_day(start, self.config.end, 0)
            return
        for number in range(self.config.days):
            end = midnight_after(start, self.config.zone, 1)
            self.plan_day(start, end, number)
            start = end

    def _plan_on(self, number: int) -> None:
        """Plan one more day at its midnight, and schedule the next."""
        start = self.clock.now
        end = midnight_after(start, self.config.zone, 1)
        self.plan_day(start, end, number)
        self._follow(restless_hours(self._places(), start, end))
        self.clock.schedule(end, partial(self._plan_on, number + 1))

    def plan_day(self, start: float, end: float, number: int) -> None:
        """Plan the faults of one day; number 0 is a bad one."""
        places = self._places()
        if number == 0:
            plan = bad_day(places, start, end, zone=self.config.zone)
        else:
            plan = quiet_day(places, start, end, zone=self.config.zone, number=number)
        self._follow(plan)

    def _places(self) -> Places:
        """Return all places where something may go wrong."""
        return Places(
            tuple(self._hosts),
            tuple(home.electricity.device for home in self.homes if home.electricity.reach is not Reach.P1),
            tuple(home.electricity.device for home in self.homes if home.electricity.reach is Reach.P1),
            tuple(radio.device for home in self.homes for radio in home.radios),
        )

    def _follow(self, plan: FaultPlan) -> None:
        """Let the faults of a plan happen too."""
        self.plan = FaultPlan.of([*self.plan.faults, *plan.faults])
        happenings = {fault: Happening(fault) for fault in plan.faults}
        self.happenings += happenings.values()
        begin: dict[FaultKind, Callable[[Happening], None]] = {
            FaultKind.WRONG_KEY: self._mistype,
            FaultKind.REPLAY: self._replay,
            FaultKind.LOST_FRAMES: self._weaken_radio,
            FaultKind.DAMAGED_FRAMES: self._shake_wire,
            FaultKind.POWER_OUTAGE: self._power_off,
            FaultKind.EXCHANGE: self._order_exchange,
            FaultKind.CLOCK_DRIFT: self._drift,
        }
        end_of: dict[FaultKind, Callable[[Happening], None]] = {
            FaultKind.WRONG_KEY: self._rekey,
            FaultKind.OUTAGE: self._count_waiting,
            FaultKind.LOST_FRAMES: self._mend_radio,
            FaultKind.DAMAGED_FRAMES: self._still_wire,
            FaultKind.POWER_OUTAGE: self._power_on,
            FaultKind.CLOCK_DRIFT: self._steady,
        }
        plan.schedule(
            self.clock,
            lambda fault: begin.get(fault.kind, _pass)(happenings[fault]),
            lambda fault: end_of.get(fault.kind, _pass)(happenings[fault]),
        )

    def _building_of(self, target: str) -> Building:
        """Return the building of an access point or of a meter."""
        for building in self.buildings:
            devices = {point.device for home in building.homes for point in home.points}
            if target == building.host.name or target in devices:
                return building
        raise KeyError(target)

    def _mistype(self, happening: Happening) -> None:
        home, radio, host = self._radio(happening.fault.target)
        wrong = bytes(octet ^ 0x5A for octet in radio.meter.config.key)
        host.install(local_meter(home, radio, wrong))

    def _rekey(self, happening: Happening) -> None:
        home, radio, host = self._radio(happening.fault.target)
        host.install(local_meter(home, radio, radio.meter.config.key))
        if host.point is not None:
            kept = host.point.quarantine.newest(len(host.point.quarantine))
            happening.counts["kept aside"] = sum(frame.device == radio.device for frame in kept)
            happening.counts["reopened"] = host.point.reopen(radio.device)
        self.head_end.note(
            radio.device,
            "re-keyed",
            "The key was corrected at the access point",
            self.clock.now,
            f"{happening.counts['reopened']} quarantined telegrams could be opened",
        )

    def _replay(self, happening: Happening) -> None:
        fault = happening.fault
        building = self._building_of(fault.target)
        old = building.overheard(fault.target, self.clock.now - REPLAY_AGE_S, int(fault.amount))
        before = self.head_end.quarantine.counts[FrameFault.REPLAYED]
        for octets in old:
            building.transmit(octets, "eavesdropper")
        happening.counts["sent again"] = len(old)

        def count() -> None:
            happening.counts["refused"] = self.head_end.quarantine.counts[FrameFault.REPLAYED] - before

        self.clock.schedule(self.clock.now + 2 * STEP_S, count)

    def _count_waiting(self, happening: Happening) -> None:
        """Note at the end of an outage its effects: rows in the outbox, failed sessions."""
        host = self._hosts.get(happening.fault.target)
        if host is not None:
            happening.counts["rows waiting in the outbox"] = len(host.outbox)
        happening.counts["sessions failed in a row"] = self.head_end.planner.failures(happening.fault.target)

    def _weaken_radio(self, happening: Happening) -> None:
        radio = self._building_of(happening.fault.target).radio
        radio.medium = replace(RADIO, loss=happening.fault.amount)
        happening.counts["telegrams lost"] -= radio.counts.lost

    def _mend_radio(self, happening: Happening) -> None:
        radio = self._building_of(happening.fault.target).radio
        radio.medium = RADIO
        happening.counts["telegrams lost"] += radio.counts.lost

    def _shake_wire(self, happening: Happening) -> None:
        self._building_of(happening.fault.target).disturb_wire(happening.fault.target, happening.fault.amount)

    def _still_wire(self, happening: Happening) -> None:
        self._building_of(happening.fault.target).disturb_wire(happening.fault.target, 0.0)

    def _power_off(self, happening: Happening) -> None:
        host = self._hosts[happening.fault.target]
        host.power_down()
        self.pushes.detach(host.name)
        self.head_end.note(
            host.name,
            "power",
            "Power failed; profiles and outbox were kept",
            self.clock.now,
            severity=EventSeverity.WARNING,
        )

    def _power_on(self, happening: Happening) -> None:
        host = self._hosts[happening.fault.target]
        host.power_up()
        self.pushes.attach(host)
        self.head_end.note(host.name, "power", "Power is back", self.clock.now)

    def _drift(self, happening: Happening) -> None:
        point = self.point_of(happening.fault.target)
        if point is not None:
            now, clock = self.clock.now, point.meter.clock
            clock.set(clock.time(now), now)
            clock.drift_ppm = happening.fault.amount

    def _steady(self, happening: Happening) -> None:
        point = self.point_of(happening.fault.target)
        if point is not None:
            now, clock = self.clock.now, point.meter.clock
            happening.counts["seconds ahead at the end"] = round(clock.time(now) - now)
            clock.set(clock.time(now), now)
            clock.drift_ppm = 0.0

    def _order_exchange(self, happening: Happening) -> None:
        """Exchange after the meters have measured up to this instant."""
        self.clock.schedule(self.clock.now, partial(self._exchange, happening))

    def _exchange(self, happening: Happening) -> None:
        """Exchange an electricity meter: the old one measures no more, and is read out before it leaves."""
        now, seed = self.clock.now, self.config.seed
        home = next(home for home in self.homes if home.electricity.device == happening.fault.target)
        old = home.electricity
        self.retired.append((home, old))
        old.rows[int(now)], old.removed_at = old.shown(), int(now)
        config = electricity_config(50_000 + home.number, self.zone, 0)
        new = ElectricityPoint(config, old.reach, electricity_keys(seed, config.name), now)
        home.electricity = new
        self.head_end.add_device(direct_record(home, new, self.custody), now)
        self.head_end.order(old.device, PROFILE_COLUMNS, now=now + READOUT_S / 3, deadline=now + READOUT_S)
        self.data.exchange_meter(
            home.usage_point(Commodity.ELECTRICITY),
            old_device=old.device,
            closing=old.registers(),
            new_device=new.device,
            opening=new.registers(),
            at=datetime.fromtimestamp(now, UTC),
        )
        for device, words in ((old.device, f"Exchanged for {new.device}"), (new.device, f"Replaces {old.device}")):
            self.head_end.note(device, "exchanged", words, now, f"closing {old.shown()[0]} Wh, opening 0 Wh")
        happening.counts["closing Wh"] = old.shown()[0]
        self.g1.attend()
        self.clock.schedule(now + READOUT_S, partial(self._carry_away, old.device, int(now)))

    def _carry_away(self, device: str, removed_at: int) -> None:
        """Remove the old meter once all its readings are delivered; until then the technician waits."""
        if self.head_end.holes_of(device, removed_at):
            self.clock.schedule(self.clock.now + READOUT_S / 3, partial(self._carry_away, device, removed_at))
        else:
            self.head_end.remove_device(device, removed_at, self.clock.now)

    def _radio(self, device: str) -> tuple[SimulatedHome, RadioPoint, AccessPointHost]:
        for building in self.buildings:
            for home in building.homes:
                for radio in home.radios:
                    if radio.device == device:
                        return home, radio, building.host
        raise KeyError(device)


def midnight_after(start: float, zone: str, days: int) -> float:
    """Return UTC seconds of the local midnight so many local days after ``start``."""
    local = datetime.fromtimestamp(start, ZoneInfo(zone))
    later = local.replace(tzinfo=None) + timedelta(days=days)
    return later.replace(tzinfo=ZoneInfo(zone)).timestamp()


def drawn_entropy(seed: int, name: str = "head end") -> Entropy:
    """Make an entropy source that repeats with its seed: for simulations only."""
    state = sha256(f"{seed}/{name}".encode()).digest()

    def take(size: int) -> bytes:
        nonlocal state
        octets = b""
        while len(octets) < size:
            state = sha256(state).digest()
            octets += state
        return octets[:size]

    return take


def _pass(_happening: Happening) -> None:
    """Outages act through the media, which know the plan."""
