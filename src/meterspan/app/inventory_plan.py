"""What a configuration makes of the inventory: which meters are there, since when, which are gone; nothing is written.

A meter of the configuration that is new is added, one without an entry is removed. What a command has decided since
(``Device.is_commanded``) stands until the configuration says the same: then it decides again.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, time
from zoneinfo import ZoneInfo

from meterspan.crypto.mechanisms import Security
from meterspan.engine.links import NETWORK_TRANSPORTS, DeviceProtocol
from meterspan.head_end.inventory import ChannelPlan, Device, DeviceKeys, KeyPurpose, purposes_of
from meterspan.model.identity import split_mbus_device
from meterspan.quantities import Commodity, utc
from meterspan.runtime.config import (
    VIA,
    AccessPointEntry,
    ExchangeEntry,
    MeterEntry,
    ServeConfig,
    channels_of,
    place_of,
    protocol_of,
    usage_point_of,
)

__all__ = ["InventoryPlan", "device_of", "entry_of", "given_purposes", "missing_keys", "plan_inventory"]


@dataclass(frozen=True, slots=True)
class InventoryPlan:
    """The inventory as a configuration wants it.

    Attributes:
        declared: records of what has an entry; with the keys at rest, without those that are given now.
        others: records of what has none: gone now, gone before, or decided by a command.
        since: UTC seconds from which on a meter is installed where its record says, where that is not ``installed_at``.
        moved: usage point that a meter leaves, and when (UTC seconds).
        passed_over: meters whose entries decide nothing about where they are installed.
        faults: name and sentence of everything that cannot be.
        notes: what is odd and stops nothing.

    """

    declared: tuple[Device, ...]
    others: tuple[Device, ...]
    since: Mapping[str, int] = field(default_factory=dict)
    moved: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    passed_over: frozenset[str] = frozenset()
    faults: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()
    known: Mapping[str, Device] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "known", {device.device: device for device in (*self.declared, *self.others)})


def plan_inventory(
    config: ServeConfig, kept: Mapping[str, Device], keys: Mapping[str, DeviceKeys], now: float
) -> InventoryPlan:
    """Compare a configuration with the inventory at rest.

    Args:
        config: whose types and names were checked.
        kept: the records at rest.
        keys: given now, by device.
        now: UTC seconds.

    """
    planner = _InventoryPlanner(config, kept, keys, now)
    return planner.plan()


class _InventoryPlanner:
    """The parts of one plan while it is made."""

    def __init__(
        self, config: ServeConfig, kept: Mapping[str, Device], keys: Mapping[str, DeviceKeys], now: float
    ) -> None:
        self._config = config
        self._kept = kept
        self._keys = keys
        self._now = int(now)
        self._ends: dict[str, ExchangeEntry] = {entry.old: entry for entry in config.exchanges}
        self._starts: dict[str, ExchangeEntry] = {entry.new: entry for entry in config.exchanges}
        self._zones = {home.id: home.zone or config.zone for home in config.homes}
        self._since: dict[str, int] = {}
        self._moved: dict[str, tuple[str, int]] = {}
        self._passed_over: set[str] = set()
        self._faults: list[tuple[str, str]] = []
        self._notes: list[str] = []

    def plan(self) -> InventoryPlan:
        """Return the plan."""
        points = [self._point(index, entry) for index, entry in enumerate(self._config.access_points)]
        meters = [self._meter(index, entry) for index, entry in enumerate(self._config.meters)]
        declared = (*points, *meters)
        names = {device.device for device in declared}
        others = tuple(self._other(device) for device in self._kept.values() if device.device not in names)
        self._check_places(others)
        return InventoryPlan(
            declared,
            others,
            self._since,
            self._moved,
            frozenset(self._passed_over),
            tuple(self._faults),
            tuple(self._notes),
        )

    def _point(self, index: int, entry: AccessPointEntry) -> Device:
        device = _access_point(entry, _midnight(self._now, self._config.zone))
        self._check_keys(f"access_points[{index}] ({entry.device})", device)
        known = self._kept.get(entry.device)
        if known is None:
            return device
        return replace(device, wrapped_keys=known.wrapped_keys, installed_at=known.installed_at)

    def _meter(self, index: int, entry: MeterEntry) -> Device:
        where = f"meters[{index}] ({entry.device})"
        device = device_of(entry, _midnight(self._now, self._zones.get(entry.home, self._config.zone)))
        self._check_keys(where, device)
        exchange = self._starts.get(entry.device)
        if exchange is not None and entry.installed_at is None:
            device = replace(device, installed_at=int(exchange.at.timestamp()))
        known = self._kept.get(entry.device)
        if known is None:
            if exchange is not None and exchange.old not in self._kept and exchange.old not in self._starts:
                self._notes.append(f"exchanges: no meter {exchange.old} is known here; {entry.device} is installed")
            return device
        return self._known_meter(where, entry, replace(device, wrapped_keys=known.wrapped_keys), known)

    def _known_meter(self, where: str, entry: MeterEntry, device: Device, known: Device) -> Device:
        if entry.installed_at is None:
            device = replace(device, installed_at=known.installed_at)
        agrees = known.removed_at is None and known.usage_point == device.usage_point
        if agrees and device.installed_at != known.installed_at:
            self._notes.append(
                f"{where}.installed_at: it is installed since {utc(known.installed_at):%Y-%m-%dT%H:%MZ}, which stays;"
                " what was read from then on is settled"
            )
            return replace(device, installed_at=known.installed_at)
        exchange = self._starts.get(entry.device)
        is_put_back = exchange is not None and known.removed_at is not None and exchange.at >= utc(known.removed_at)
        if known.is_commanded and not agrees and not is_put_back:
            self._passed_over.add(entry.device)
            done = "removed" if known.removed_at is not None else f"moved to {known.usage_point}"
            when = "" if known.removed_at is None else f" on {utc(known.removed_at):%Y-%m-%d}"
            self._notes.append(
                f"{where}: it was {done}{when} by a command, which stands; change its entry, or take it out"
            )
            return replace(
                device,
                usage_point=known.usage_point,
                installed_at=known.installed_at,
                removed_at=known.removed_at,
                is_commanded=True,
            )
        if known.removed_at is not None:
            self._since[entry.device] = max(device.installed_at, known.removed_at)
        elif known.usage_point != device.usage_point and known.usage_point:
            given = 0 if entry.installed_at is None else int(entry.installed_at.timestamp())
            at = given if given > known.installed_at else self._now
            self._moved[entry.device] = known.usage_point, at
            self._since[entry.device] = at
            device = replace(device, installed_at=known.installed_at)
        return device

    def _other(self, device: Device) -> Device:
        """Return the record of a device without an entry."""
        exchange = self._ends.get(device.device)
        if exchange is not None and device.removed_at is None:
            return replace(device, removed_at=int(exchange.at.timestamp()), is_commanded=False)
        is_declared = bool(self._config.meters or self._config.access_points)
        if not is_declared or device.removed_at is not None or device.is_commanded:
            return device
        return replace(device, removed_at=self._now)

    def _check_places(self, others: Sequence[Device]) -> None:
        """Refuse a new meter in the place of one that this very configuration leaves out: it is an exchange."""
        gone = {
            device.usage_point: device.device
            for device in others
            if device.usage_point and self._kept[device.device].removed_at is None and device.removed_at is not None
        }
        for index, entry in enumerate(self._config.meters):
            old = gone.get(usage_point_of(entry))
            if old is None or old in self._ends or entry.device in self._passed_over:
                continue
            what = (
                f"{usage_point_of(entry)} has {old}, which has no entry any more. If {entry.device} took its place, say"
                f' so under [[exchanges]]: old = "{old}", new = "{entry.device}", at = the time, and closing and'
                " opening registers where they are known"
            )
            self._faults.append((f"meters[{index}] ({entry.device})", what))

    def _check_keys(self, where: str, device: Device) -> None:
        known = self._kept.get(device.device)
        missing = missing_keys(device, known, self._keys.get(device.device))
        if missing:
            self._faults.append((where, missing))


def missing_keys(device: Device, known: Device | None, given: DeviceKeys | None) -> str:
    """Return what to do about the keys that a device needs and lacks; "" where it has them all."""
    have = {purpose for purpose, key in given_purposes(given) if key}
    have |= set() if known is None else {purpose for purpose, _ in known.wrapped_keys}
    missing = [str(purpose) for purpose in purposes_of(device.security.mechanism) if purpose not in have]
    if not missing:
        return ""
    return f'has no {" and no ".join(missing)} key; add it to the key file, under [meters."{device.device}"]'


def given_purposes(keys: DeviceKeys | None) -> Iterator[tuple[KeyPurpose, bytes]]:
    """Iterate over the keys of a device by purpose; empty ones too."""
    if keys is not None:
        yield KeyPurpose.GLOBAL_UNICAST, keys.global_unicast or b""
        yield KeyPurpose.AUTHENTICATION, keys.authentication or b""
        yield KeyPurpose.PASSWORD, keys.password or b""


def _access_point(entry: AccessPointEntry, installed_at: int) -> Device:
    return Device(
        entry.device,
        Commodity.ELECTRICITY,
        protocol_of(entry.endpoint),
        place_of(entry.endpoint),
        entry.network,
        security=Security.HLS_GMAC,
        client_sap=entry.client,
        server_sap=entry.server,
        system_title=bytes.fromhex(entry.system_title),
        installed_at=installed_at,
    )


def device_of(entry: MeterEntry, installed_at: int) -> Device:
    """Return the record of a meter of the configuration; ``installed_at``, UTC seconds, where its entry has none."""
    names, profile = channels_of(entry)
    is_behind = entry.endpoint.startswith(VIA)
    return Device(
        entry.device,
        entry.commodity,
        _protocol_behind(entry.device) if is_behind else protocol_of(entry.endpoint),
        entry.endpoint.removeprefix(VIA) if is_behind else place_of(entry.endpoint),
        entry.network,
        usage_point_of(entry),
        interface=_interface(entry.device) if is_behind else "G1",
        security=Security.NONE if is_behind else entry.security,
        client_sap=entry.client,
        server_sap=entry.server,
        system_title=bytes.fromhex(entry.system_title),
        channels=tuple(ChannelPlan(obis, entry.period_s, profile) for obis in names),
        installed_at=installed_at if entry.installed_at is None else int(entry.installed_at.timestamp()),
    )


def entry_of(device: Device, home: str, *, is_behind: bool) -> MeterEntry:
    """Return the entry that a record of the inventory would have in the configuration.

    Args:
        device: the record.
        home: the home that it measures for.
        is_behind: whether its endpoint is an access point.

    """
    schemes = {transport.protocol: scheme for scheme, transport in NETWORK_TRANSPORTS.items()}
    direct = f"{schemes.get(device.protocol, 'tcp')}://{device.endpoint}" if device.endpoint else ""
    profile = device.channels[0].profile if device.channels else None
    return MeterEntry(
        device.device,
        home,
        f"{VIA}{device.endpoint}" if is_behind else direct,
        device.commodity,
        device.usage_point,
        device.network,
        Security.HLS_GMAC if is_behind else device.security,
        device.client_sap,
        device.server_sap,
        device.system_title.hex().upper(),
        tuple(str(plan.obis) for plan in device.channels),
        "" if profile is None else str(profile),
        profile.b if is_behind and profile is not None else 0,
        period_s=device.channels[0].period_s if device.channels else 900,
        installed_at=utc(device.installed_at),
    )


def _protocol_behind(device: str) -> DeviceProtocol:
    try:
        split_mbus_device(device)
    except ValueError:
        return DeviceProtocol.P1
    return DeviceProtocol.WMBUS


def _interface(device: str) -> str:
    return "M" if _protocol_behind(device) is DeviceProtocol.WMBUS else "H1"


def _midnight(now: float, zone: str) -> int:
    """Return the last midnight of a zone, UTC seconds."""
    local = ZoneInfo(zone)
    day = datetime.fromtimestamp(now, local).date()
    return int(datetime.combine(day, time(), local).timestamp())
