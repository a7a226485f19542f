"""The central system of one configuration: head end, data management and state, joined; what ``serve`` runs.

Strategy: the configuration is compared with the inventory at rest; new devices are added, missing ones are marked as
removed, and keys are kept wrapped from their first start on. The ledger is rebuilt from what the data management holds.
"""

import logging
import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import fields, replace
from datetime import UTC, datetime
from functools import partial
from typing import Final
from zoneinfo import ZoneInfo

from meterspan.analytics.tariff import Tariff
from meterspan.app.data_folders import own_data_folder
from meterspan.app.inventory_plan import InventoryPlan, given_purposes, plan_inventory
from meterspan.app.meter_changes import act_on, plan_change, register_texts, view_of
from meterspan.app.registering import Progress, register
from meterspan.app.start_check import check_folder, rehearse, shared_keys, unicast_keys
from meterspan.app.views_proxy import Call
from meterspan.head_end.contexts import ContextCache
from meterspan.head_end.inventory import Device, DeviceKeys, KeyCustody, purposes_of
from meterspan.head_end.ledger import Channel
from meterspan.head_end.planner import NetworkPolicy, ReadPolicy
from meterspan.head_end.push_intake import PushIntake
from meterspan.head_end.sessions import SessionMaker
from meterspan.head_end.system import HeadEnd
from meterspan.mdm import MeterDataManagement, open_stores
from meterspan.model.damage import Damage
from meterspan.model.identity import parse_system_title
from meterspan.model.lookup_errors import RegistrationError, UnknownNameError
from meterspan.model.meter_changes import (
    ChangeKind,
    ChangeRefusedError,
    ChangeView,
    ChangeWish,
    InstallationView,
    MeterChange,
)
from meterspan.quantities import DAY_S, utc
from meterspan.runtime.config import MeterEntry, ServeConfig, push_objects_of, push_places_of
from meterspan.runtime.head_end_host import HeadEndHost, HeadEndHostConfig
from meterspan.runtime.inventory_file import InventoryFile, inventory_path
from meterspan.runtime.order_file import OrderFile, order_path
from meterspan.runtime.state import StateFile

__all__ = ["CentralSystem"]

_log = logging.getLogger("meterspan.head_end")

RELOADED: Final = frozenset({"homes", "meters", "access_points", "exchanges", "keys", "tariffs"})
"""Parts of the configuration that a running system takes."""


class CentralSystem:
    """Head end and data management of one operator.

    Args:
        config: its configuration.
        keys: keys of meters by device; those of known devices may be left out.
        master_key: opens and wraps the keys at rest.
        tariffs: that meters name.
        clock: UTC seconds.
        own_step_s: returns the seconds by which the machine's clock was stepped since the start.
        after_restore: the state is of a back-up or another machine, and nothing else uses its counters.
        is_checked: whether ``check_folder`` has just found the folder fit for this configuration.
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
        own_step_s: Callable[[], float] = lambda: 0.0,
        after_restore: bool = False,
        is_checked: bool = False,
        progress: Progress = lambda _what, _done, _of: None,
    ) -> None:
        self.config = config
        self.notes: tuple[str, ...] = ()
        """What is odd about the configuration and stops nothing."""
        self._clock = clock
        self._changing = threading.Lock()
        if not is_checked:
            check_folder(config, keys, tariffs, master_key=master_key, now=clock())
        self._progress = progress
        own_data_folder(config.data)
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
            self._start(keys, tariffs, clock())
            self.head_end.restore_orders(self._orders.records(), clock())
        except BaseException:
            self.close()
            raise
        zone = ZoneInfo(config.zone)
        title = parse_system_title(config.system_title)
        contexts = ContextCache(self.head_end, system_title=title, counters=self.state, state=self.state)
        maker = SessionMaker(
            self.head_end,
            contexts=contexts,
            entropy=secrets.token_bytes,
            zone=zone,
            state=self.state,
            clock_set_max_s=config.reading.clock_set_max_s,
            own_step_s=own_step_s,
        )
        self.pushes = PushIntake(
            self.head_end, contexts=contexts, zone=zone, state=self.state, insecure_plain=_insecure_plain(config)
        )
        """Opens what meters push; its host listens for it."""
        self.host = HeadEndHost(
            self.head_end,
            maker,
            pushes=self.pushes,
            config=_host_config(config),
            clock=clock,
            keep_orders=self._orders.save,
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

    def _start(self, keys: Mapping[str, DeviceKeys], tariffs: Sequence[Tariff], now: float) -> None:
        self._finish_changes()
        stored = self._stored()
        plan = plan_inventory(self.config, stored, keys, now)
        devices = self._saved(plan, stored, keys)
        register(self.data, self.config, plan, tariffs, self._progress)
        for device in sorted(devices, key=lambda device: bool(device.channels)):  # access points first
            self.head_end.add_device(device, now)
        for entry in self.config.meters:
            self._give_push_objects(entry)
        self._recall(now)
        for device in devices:
            if device.removed_at is not None:
                self.head_end.remove_device(device.device, device.removed_at, now)
        self.notes = plan.notes

    def _stored(self) -> dict[str, Device]:
        return {device.device: device for device in self._inventory.devices()}

    def _saved(self, plan: InventoryPlan, stored: Mapping[str, Device], keys: Mapping[str, DeviceKeys]) -> list[Device]:
        """Save the records of a plan, with the keys that are given now; return all of them."""
        bound = {name: self.head_end.custody.bound(device) for name, device in stored.items()}
        declared = [self._keyed(device, keys.get(device.device), bound.get(device.device)) for device in plan.declared]
        others = [replace(device, wrapped_keys=bound[device.device].wrapped_keys) for device in plan.others]
        devices = [*declared, *others]
        self._inventory.save(device for device in devices if stored.get(device.device) != device)
        return devices

    def _keyed(self, device: Device, given: DeviceKeys | None, known: Device | None) -> Device:
        """Wrap what was given, where it differs from what is kept: wrapping anew would change nothing but the file."""
        custody, kept = self.head_end.custody, {} if known is None else dict(known.wrapped_keys)
        for purpose, key in given_purposes(given):
            if key and (purpose not in kept or custody.unwrap(kept[purpose], device.device, purpose) != key):
                kept[purpose] = custody.wrap(key, device.device, purpose)
        needed = purposes_of(device.security.mechanism)
        wrapped = tuple(sorted((purpose, octets) for purpose, octets in kept.items() if purpose in needed))
        return replace(device, wrapped_keys=wrapped)

    def _give_push_objects(self, entry: MeterEntry) -> None:
        objects, scales = push_objects_of(entry)
        if objects:
            self.head_end.layouts.learn_objects(entry.device, objects)
            self.head_end.learn_scalers(entry.device, scales)

    # --- changes while it runs -----------------------------------------------------------------------------------

    def reload(self, config: ServeConfig, keys: Mapping[str, DeviceKeys], tariffs: Sequence[Tariff], call: Call) -> int:
        """Apply the homes, meters, exchanges and tariffs of a configuration; return how many records changed.

        Args:
            config: the configuration; what else is in it counts from the next start on.
            keys: keys of meters by device.
            tariffs: that meters name.
            call: runs a function where the head end runs.

        Raises:
            ConfigError: everything that is refused; then nothing was changed.

        """
        with self._changing:
            now, stored = self._clock(), self._stored()
            taken = replace(
                self.config,
                homes=config.homes,
                meters=config.meters,
                access_points=config.access_points,
                exchanges=config.exchanges,
                zone=self.config.zone,
            )
            plan = rehearse(
                taken, stored, keys, tariffs, custody=self.head_end.custody, rehearsal=self.data.rehearsal(), now=now
            )
            devices = self._saved(plan, stored, keys)
            register(self.data, taken, plan, tariffs, self._progress)
            before, self.config = self.config, taken
            changed = [device for device in devices if stored.get(device.device) != device]
            call(lambda: self._take(changed, now))
            call(lambda: self._take_push_options(before))
            return len(changed)

    def _take_push_options(self, before: ServeConfig) -> None:
        """Let the intake have what the entries of meters now say about pushes, on its loop."""
        self.pushes.allow_insecure_plain(_insecure_plain(self.config))
        given = {entry.device: entry.push_objects for entry in before.meters}
        for entry in self.config.meters:
            if entry.push_objects != given.get(entry.device, ()):
                self._give_push_objects(entry)

    def not_taken(self, config: ServeConfig) -> list[str]:
        """Name the parts of a configuration that differ from those that run, and count from the next start on."""
        names = (field.name for field in fields(ServeConfig) if field.name not in RELOADED)
        return [
            f"{name} counts from the next start on"
            for name in names
            if getattr(config, name) != getattr(self.config, name)
        ]

    def change(self, wish: ChangeWish, keys: Mapping[str, DeviceKeys], call: Call) -> ChangeView:
        """Make a change of a meter: tried in a rehearsal, then noted, then made.

        Args:
            wish: what is asked for.
            keys: keys of meters by device, for new ones.
            call: runs a function where the head end runs.

        Raises:
            UnknownMeterError: no such meter.
            ChangeRefusedError: it cannot be made; nothing was changed.

        """
        with self._changing:
            now, stored = self._clock(), self._stored()
            step = plan_change(wish, self.config, stored, data=self.data, keys=keys, now=now)
            try:
                act_on(self.data.rehearsal(), step.change)
            except (RegistrationError, UnknownNameError) as error:
                raise ChangeRefusedError([str(error)]) from error
            devices = [
                self._keyed(device, keys.get(device.device), stored.get(device.device)) for device in step.devices
            ]
            self._refuse_shared_keys(stored, devices)
            number = self._inventory.begin_change(step.change, int(now), wish.author, devices)
            self._finish(number, step.change)
            call(lambda: self._take(devices, now, step.deleted))
            _log.info("meter changed", extra={"change": step.change.kind, "meter": wish.device, "author": wish.author})
            return view_of(number, int(now), wish.author, step.change)

    def _refuse_shared_keys(self, stored: Mapping[str, Device], changed: Sequence[Device]) -> None:
        devices = ({**stored} | {device.device: device for device in changed}).values()
        faults = shared_keys(unicast_keys(devices, {}, self.head_end.custody))
        if faults:
            raise ChangeRefusedError([str(fault) for fault in faults])

    def changes(self, limit: int) -> list[ChangeView]:
        """List the changes of meters by command, newest first."""
        return [view_of(*item) for item in self._inventory.changes(limit)]

    def installations(self, device: str) -> list[InstallationView]:
        """List the installations at the usage points that a meter measures or measured, oldest first."""
        homes = {item.usage_point: home.home_id for home in self.data.homes() for item in home.usage_points}
        return [
            InstallationView(
                row.usage_point,
                homes.get(row.usage_point, ""),
                row.device,
                utc(row.start),
                None if row.end is None else utc(row.end),
                register_texts(row.opening),
                register_texts(row.closing),
            )
            for row in self.data.installations_with(device)
        ]

    def _finish_changes(self) -> None:
        """Make what was noted and not made before the last end of the program."""
        for number, _time, _author, change in reversed(self._inventory.changes(only_begun=True)):
            self._finish(number, change)

    def _finish(self, number: int, change: MeterChange) -> None:
        act_on(self.data, change)
        self._inventory.end_change(number, change.device if change.kind is ChangeKind.DELETE else "")

    def _take(self, changed: Sequence[Device], now: float, deleted: str = "") -> None:
        """Let the head end have changed records, on its loop."""
        fresh = {device.device for device in changed if self.head_end.inventory.get(device.device) is None}
        for device in sorted(changed, key=lambda device: bool(device.channels)):
            self.head_end.add_device(device, now)
        if fresh:
            self._recall(now, fresh)
        for device in changed:
            if device.removed_at is not None:
                self.head_end.remove_device(device.device, device.removed_at, now)
        if deleted:
            self.head_end.delete_device(deleted)
        self.host.wake()

    # --- the ledger ----------------------------------------------------------------------------------------------

    def _recall(self, now: float, only: AbstractSet[str] | None = None) -> None:
        """Rebuild the ledger from the data (docs/decisions.md, 4), or the part of some devices."""
        channels = {item for item in self.head_end.ledger.channels if only is None or item.device in only}
        series = {
            item.series_id: Channel(item.device, item.obis)
            for item in self.data.series()
            if Channel(item.device, item.obis) in channels
        }
        oldest = min((device.installed_at for device in self.head_end.inventory), default=0)
        start, end = datetime.fromtimestamp(oldest, UTC), datetime.fromtimestamp(now + DAY_S, UTC)

        def progress(done: int, days: int) -> None:
            self._progress("days recalled", done, days)

        found = self.data.stretches(sorted(series), start, end, progress)
        for number, stretches, heard_at in found.by_series():
            self.head_end.recall(series[number], stretches, heard_at)


def _insecure_plain(config: ServeConfig) -> list[str]:
    return [meter.device for meter in config.meters if meter.insecure_plain_pushes]


def _policy(config: ServeConfig) -> ReadPolicy:
    reading = config.reading
    return ReadPolicy(
        read_every_s=reading.every_s,
        spread_s=reading.spread_s,
        settle_s=reading.settle_s,
        retry_first_s=reading.retry_first_s,
        retry_max_s=reading.retry_max_s,
    )


def _host_config(config: ServeConfig) -> HeadEndHostConfig:
    return HeadEndHostConfig(
        sessions_max=config.reading.sessions_max,
        connect_timeout_s=config.reading.connect_timeout_s,
        push_places=push_places_of(config.push),
        push_connections_max=config.push.connections_max,
    )
