"""The central system of one configuration: head end, data management and state, joined; what ``serve`` runs.

Strategy: the configuration is compared with the inventory at rest; new devices are added, missing ones are marked as
removed, and keys are kept wrapped from their first start on. The ledger is rebuilt from what the data management holds.
"""

import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np

from meterspan.analytics.tariff import Tariff
from meterspan.app.registering import Progress, register
from meterspan.crypto.mechanisms import Security
from meterspan.engine.links import DeviceProtocol
from meterspan.head_end.contexts import ContextCache
from meterspan.head_end.inventory import ChannelPlan, Device, DeviceKeys, KeyCustody, KeyPurpose, purposes_of
from meterspan.head_end.ledger import Channel
from meterspan.head_end.planner import NetworkPolicy, ReadPolicy
from meterspan.head_end.push_intake import PushIntake
from meterspan.head_end.sessions import SessionMaker
from meterspan.head_end.system import HeadEnd
from meterspan.mdm import MeterDataManagement, open_stores
from meterspan.model.damage import Damage
from meterspan.model.identity import parse_system_title, split_mbus_device
from meterspan.quantities import CATALOGUE, DAY_S, Commodity
from meterspan.runtime.config import (
    VIA,
    AccessPointEntry,
    MeterEntry,
    ServeConfig,
    channels_of,
    place_of,
    protocol_of,
    push_objects_of,
    push_places_of,
)
from meterspan.runtime.declared import ConfigError, ConfigFault
from meterspan.runtime.head_end_host import HeadEndHost, HeadEndHostConfig
from meterspan.runtime.inventory_file import InventoryFile, inventory_path
from meterspan.runtime.order_file import OrderFile, order_path
from meterspan.runtime.state import StateFile
from meterspan.wire.errors import WireError

__all__ = ["CentralSystem", "shared_keys"]

SERIES_AT_ONCE: Final = 512
"""Series whose readings are looked at together when the ledger is rebuilt: some tens of megabytes for a year."""


class CentralSystem:
    """Head end and data management of one operator.

    Args:
        config: its configuration.
        keys: keys of meters by device; those of known devices may be left out.
        master_key: opens and wraps the keys at rest.
        tariffs: that meters name.
        clock: UTC seconds.
        after_restore: the state is of a back-up or another machine, and nothing else uses its counters.
        progress: is called at each step of the start, which takes seconds where there are many meters.

    Raises:
        ConfigError: the configuration contradicts the stored inventory or lacks a key, or keys at rest do not open.
        ConcurrentWriterError: another process has the data folder open.

    """

    def __init__(
        self,
        config: ServeConfig,
        *,
        keys: Mapping[str, DeviceKeys],
        master_key: bytes,
        tariffs: Sequence[Tariff],
        clock: Callable[[], float],
        after_restore: bool = False,
        progress: Progress = lambda _what, _done, _of: None,
    ) -> None:
        self.config = config
        self._progress = progress
        self.data = MeterDataManagement(config.data / "data", stores=partial(open_stores, registry=config.registry))
        try:
            self.state = StateFile(config.data / "head_end.sqlite", after_restore=after_restore)
        except BaseException:
            self.data.close()
            raise
        self._inventory = InventoryFile(inventory_path(config.data))
        self._orders = OrderFile(order_path(config.data))
        custody = KeyCustody(master_key)
        networks = {item.name: NetworkPolicy(item.sessions_max, item.starts_per_s_max) for item in config.networks}
        self.head_end = HeadEnd(self.data, custody, _policy(config), networks)
        try:
            self._take_inventory(keys, tariffs, clock())
            self.head_end.restore_orders(self._orders.records(), clock())
        except BaseException:
            self.close()
            raise
        zone = ZoneInfo(config.zone)
        title = parse_system_title(config.system_title)
        contexts = ContextCache(self.head_end, system_title=title, counters=self.state, state=self.state)
        maker = SessionMaker(self.head_end, contexts=contexts, entropy=secrets.token_bytes, zone=zone, state=self.state)
        limits = HeadEndHostConfig(
            sessions_max=config.reading.sessions_max,
            connect_timeout_s=config.reading.connect_timeout_s,
            push_places=push_places_of(config.push),
            push_connections_max=config.push.connections_max,
        )
        intake = PushIntake(
            self.head_end,
            contexts=contexts,
            zone=zone,
            state=self.state,
            insecure_plain=[meter.device for meter in config.meters if meter.insecure_plain_pushes],
        )
        self.host = HeadEndHost(
            self.head_end, maker, pushes=intake, config=limits, clock=clock, keep_orders=self._orders.save
        )

    def close(self) -> None:
        """Close all files; stored data stay."""
        self.data.close()
        self.state.close()
        self._inventory.close()
        self._orders.close()

    def damage(self) -> list[Damage]:
        """List the damaged items that are left out, in data and inventory."""
        items = [*self._inventory.quarantined(), *self._orders.quarantined()]
        return [*self.data.damage(), *map(Damage.of, items)]

    # --- the inventory -------------------------------------------------------------------------------------------

    def _take_inventory(self, keys: Mapping[str, DeviceKeys], tariffs: Sequence[Tariff], now: float) -> None:
        stored = {device.device: device for device in self._inventory.devices()}
        kept = {name: self._bound(device) for name, device in stored.items()}
        declared = list(self._declared(kept, keys, now))
        names = {device.device for device in declared}
        is_declared = bool(self.config.meters or self.config.access_points)
        gone = [
            replace(device, removed_at=int(now)) if is_declared and device.removed_at is None else device
            for device in kept.values()
            if device.device not in names
        ]
        self._refuse_shared_keys((*declared, *gone))
        self._inventory.save(device for device in (*declared, *gone) if stored.get(device.device) != device)
        devices = sorted((*declared, *gone), key=lambda device: bool(device.channels))  # access points first
        for device in devices:
            self.head_end.add_device(device, now)
        for entry in self.config.meters:
            self._give_push_objects(entry)
        devices_by_name = {device.device: device for device in devices}
        register(self.data, self.config, devices_by_name, tariffs, self._progress)
        self._recall(now)
        for device in devices:
            if device.removed_at is not None:
                self.head_end.remove_device(device.device, device.removed_at, now)

    def _give_push_objects(self, entry: MeterEntry) -> None:
        objects, scales = push_objects_of(entry)
        if objects:
            self.head_end.layouts.learn_objects(entry.device, objects)
            self.head_end.learn_scalers(entry.device, scales)

    def _refuse_shared_keys(self, devices: Sequence[Device]) -> None:
        custody = self.head_end.custody
        keys = [
            (device.device, custody.keys_of(device).global_unicast or b"")
            for device in devices
            if device.removed_at is None
        ]
        faults = shared_keys(keys)
        if faults:
            raise ConfigError(faults)

    def _bound(self, device: Device) -> Device:
        """Return a stored record with its keys bound to it, after checking that the master key opens all of them."""
        try:
            bound = self.head_end.custody.bound(device)
            self.head_end.custody.keys_of(bound)
        except WireError as error:
            reason = (
                f"its keys at rest were wrapped under another master key, or changed ({error}); give the one of the"
                " first start, or a backup of the inventory"
            )
            raise ConfigError([ConfigFault(None, f"device {device.device}", reason)]) from error
        return bound

    def _declared(self, kept: Mapping[str, Device], keys: Mapping[str, DeviceKeys], now: float) -> Iterator[Device]:
        for point in self.config.access_points:
            yield self._keyed(_access_point(point, now), kept, keys, is_dated=False)
        for meter in self.config.meters:
            yield self._keyed(_meter(meter, now), kept, keys, is_dated=meter.installed_at is not None)

    def _keyed(
        self, device: Device, kept: Mapping[str, Device], keys: Mapping[str, DeviceKeys], *, is_dated: bool
    ) -> Device:
        """Return the record with its keys (given now, or stored), and its known installation where none is given."""
        known = kept.get(device.device)
        wrapped = self._wrapped(device, keys.get(device.device), known)
        needed = purposes_of(device.security.mechanism)
        missing = [str(purpose) for purpose in needed if purpose not in dict(wrapped)]
        if missing:
            what = f'has no {" and no ".join(missing)} key; add it to the key file, under [meters."{device.device}"]'
            raise ConfigError([ConfigFault(None, f"device {device.device}", what)])
        if known is None:
            return replace(device, wrapped_keys=wrapped)
        installed_at = device.installed_at if is_dated else known.installed_at
        return replace(device, wrapped_keys=wrapped, installed_at=installed_at)

    def _wrapped(
        self, device: Device, given: DeviceKeys | None, known: Device | None
    ) -> tuple[tuple[KeyPurpose, bytes], ...]:
        """Wrap what was given, where it differs from what is kept: wrapping anew would change nothing but the file."""
        custody, kept = self.head_end.custody, {} if known is None else dict(known.wrapped_keys)
        if given is not None:
            for purpose, key in _purposes(given):
                if key and (purpose not in kept or custody.unwrap(kept[purpose], device.device, purpose) != key):
                    kept[purpose] = custody.wrap(key, device.device, purpose)
        needed = purposes_of(device.security.mechanism)
        return tuple(sorted((purpose, octets) for purpose, octets in kept.items() if purpose in needed))

    # --- the ledger ----------------------------------------------------------------------------------------------

    def _recall(self, now: float) -> None:
        """Rebuild the ledger from the data (docs/decisions.md, 4)."""
        channels = set(self.head_end.ledger.channels)
        series = {
            item.series_id: Channel(item.device, item.obis)
            for item in self.data.series()
            if Channel(item.device, item.obis) in channels
        }
        ids = sorted(series)
        oldest = min((device.installed_at for device in self.head_end.inventory), default=0)
        start, end = datetime.fromtimestamp(oldest, UTC), datetime.fromtimestamp(now + DAY_S, UTC)
        for first in range(0, len(ids), SERIES_AT_ONCE):
            readings = self.data.readings(ids[first : first + SERIES_AT_ONCE], start, end)
            self._progress("series recalled", min(first + SERIES_AT_ONCE, len(ids)), len(ids))
            if not len(readings):  # numbered before a crash, without a first reading
                continue
            numbers, heads = np.unique(readings.series, return_index=True)
            ends = [*heads.tolist()[1:], len(readings.series)]
            for number, head, stop in zip(numbers.tolist(), heads.tolist(), ends, strict=True):
                heard_at = float(readings.received_at[head:stop].max())
                self.head_end.recall(series[number], readings.time[head:stop], heard_at)


def shared_keys(keys: Iterable[tuple[str, bytes]]) -> list[ConfigFault]:
    """List the devices that share a unicast key with one before them; empty keys are left out.

    What we send to one of them is authentic for the other too, as neither is named in it: a recorded command could be
    played to the wrong meter (docs/decisions.md, 42).

    Args:
        keys: device and its unicast key.

    """
    first: dict[bytes, str] = {}
    faults = []
    for device, key in keys:
        other = first.setdefault(key, device)
        if key and other != device:
            reason = (
                f"has the unicast key of {other}: what is sent to one could be played to the other; give each meter a"
                " key of its own, in the meter and in the key file"
            )
            faults.append(ConfigFault(None, f"device {device}", reason))
    return faults


def _policy(config: ServeConfig) -> ReadPolicy:
    reading = config.reading
    return ReadPolicy(
        read_every_s=reading.every_s,
        spread_s=reading.spread_s,
        settle_s=reading.settle_s,
        retry_first_s=reading.retry_first_s,
        retry_max_s=reading.retry_max_s,
    )


def _access_point(entry: AccessPointEntry, now: float) -> Device:
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
        installed_at=_day_of(now),
    )


def _meter(entry: MeterEntry, now: float) -> Device:
    names, profile = channels_of(entry)
    is_behind = entry.endpoint.startswith(VIA)
    return Device(
        entry.device,
        entry.commodity,
        _protocol_behind(entry.device) if is_behind else protocol_of(entry.endpoint),
        entry.endpoint.removeprefix(VIA) if is_behind else place_of(entry.endpoint),
        entry.network,
        entry.usage_point or f"{entry.home}-{CATALOGUE[entry.commodity].letter}",
        interface=_interface(entry.device) if is_behind else "G1",
        security=Security.NONE if is_behind else entry.security,
        client_sap=entry.client,
        server_sap=entry.server,
        system_title=bytes.fromhex(entry.system_title),
        channels=tuple(ChannelPlan(obis, entry.period_s, profile) for obis in names),
        installed_at=_day_of(now) if entry.installed_at is None else int(entry.installed_at.timestamp()),
    )


def _protocol_behind(device: str) -> DeviceProtocol:
    try:
        split_mbus_device(device)
    except ValueError:
        return DeviceProtocol.P1
    return DeviceProtocol.WMBUS


def _interface(device: str) -> str:
    return "M" if _protocol_behind(device) is DeviceProtocol.WMBUS else "H1"


def _purposes(keys: DeviceKeys) -> Iterator[tuple[KeyPurpose, bytes]]:
    yield KeyPurpose.GLOBAL_UNICAST, keys.global_unicast or b""
    yield KeyPurpose.AUTHENTICATION, keys.authentication or b""
    yield KeyPurpose.PASSWORD, keys.password or b""


def _day_of(now: float) -> int:
    return int(now) - int(now) % DAY_S
