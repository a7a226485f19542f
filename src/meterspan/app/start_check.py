"""Whether a start would succeed, found without writing anything; ``serve --check``, a start and a reload ask here.

Strategy: the configuration is read as far as it can be read; keys, tariffs, master key, ports and the stored data are
looked at beside it, and meters are registered in a rehearsal. All refusals of all of these are one ``ConfigError``.
"""

import errno
import os
import re
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, TypeVar

from meterspan.analytics.tariff import Tariff
from meterspan.app.data_folders import loose_folder, why_not_ours
from meterspan.app.inventory_plan import InventoryPlan, plan_inventory
from meterspan.app.meter_keys import MeterKeys
from meterspan.app.registering import register
from meterspan.head_end.inventory import Device, DeviceKeys, KeyCustody
from meterspan.mdm import read_tariffs
from meterspan.mdm.data_management import registry_path, require_same_registry
from meterspan.mdm.rehearsal import NO_ROWS, Rehearsal
from meterspan.model.reasons import reason_of
from meterspan.model.storage.errors import StorageError
from meterspan.model.storage.ports import RegistryRows
from meterspan.runtime import state
from meterspan.runtime.config import PORT_MAX, ServeConfig, check_config, push_places_of
from meterspan.runtime.declared import ConfigError, ConfigFault, Partly, place_of_name
from meterspan.runtime.endpoints import Endpoint, EndpointError
from meterspan.runtime.inventory_file import InventoryFile, holds_keys, inventory_path
from meterspan.runtime.master_key import MasterKeyError, check_master_key
from meterspan.runtime.order_file import check_orders, order_path
from meterspan.store import journal
from meterspan.store.databases import check_reachable
from meterspan.store.directory_lock import is_in_use
from meterspan.store.inspection import inspected
from meterspan.store.registry import Registry
from meterspan.wire.errors import WireError

__all__ = [
    "StartPlan",
    "StartSource",
    "check_folder",
    "check_start",
    "device_keys",
    "read_source",
    "rehearse",
    "shared_keys",
    "unicast_keys",
]


EntryT = TypeVar("EntryT")


@dataclass(frozen=True, slots=True)
class StartSource:
    """A start as it was asked for; everything is read anew each time, so that a running system can be told to reload.

    Attributes:
        read: returns the text of the configuration; None where there is only a data folder.
        data: the folder then.
        adjust: puts the options of the command line in the place of the configuration's.
        read_keys: reads a key file; raises ``ValueError`` or ``OSError`` with words.
        master_key: where the key of the keys at rest is, unless the configuration says.

    """

    read: Callable[[], str] | None
    data: Path
    adjust: Callable[[ServeConfig], ServeConfig]
    read_keys: Callable[[Path], Mapping[str, MeterKeys]]
    master_key: Path


@dataclass(frozen=True, slots=True)
class StartPlan:
    """What a start is made of, once it was checked.

    Attributes:
        config: the configuration, with the options of the command line.
        keys: keys of meters by device.
        tariffs: that meters name.
        master_key: the file of the key of the keys at rest.
        notes: what is odd and stops nothing.

    """

    config: ServeConfig
    keys: Mapping[str, DeviceKeys] = field(repr=False)
    tariffs: Sequence[Tariff]
    master_key: Path
    notes: tuple[str, ...] = ()


def read_source(source: StartSource) -> tuple[StartPlan, Partly[ServeConfig]]:
    """Read configuration, keys and tariffs as far as they can be read; all faults so far are in the second part.

    Raises:
        ConfigError: the configuration is no TOML.
        OSError: it cannot be read.

    """
    found: Partly[ServeConfig] = Partly(ServeConfig(data=source.data), (), {})
    if source.read is not None:
        found = check_config(source.read())
    if found.value is None:
        raise ConfigError(found.faults)
    config = source.adjust(found.value)
    faults: list[ConfigFault] = []
    keys = _keys(source, config, faults)
    tariffs = _tariffs(config, faults)
    plan = StartPlan(config, keys, tariffs, config.master_key_file or source.master_key)
    return plan, Partly(config, (*found.faults, *faults), found.lines)


def check_start(source: StartSource, now: float, running: ServeConfig | None = None) -> StartPlan:
    """Find whatever a start would refuse; nothing is written.

    Args:
        source: configuration, keys and tariffs.
        now: UTC seconds.
        running: of the program that is to take it; its data, registry and master key are what it goes on with.

    Raises:
        ConfigError: everything that is wrong.
        OSError: the configuration cannot be read.

    """
    plan, found = read_source(source)
    given = plan.config
    if running is not None:
        plan = _within(plan, running, source.master_key)
    config, is_running = plan.config, is_in_use(plan.config.data / "data" / "readings")
    more = list(_places(config, is_running=is_running))
    more += list(_open_to_others(config.data))
    master_key, faults = _master_key(plan.master_key, config)
    more += faults
    notes: list[str] = []
    if config.data.is_dir() and loose_folder(config.data) and not why_not_ours(config.data):
        notes.append(f"others can use {config.data}: the start makes it its owner's alone (chmod 700)")
    sound = _sound(config, found.faults)
    try:
        notes += check_folder(
            sound.config, plan.keys, plan.tariffs, master_key=master_key, now=now, faulty=sound.left_out
        ).notes
    except ConfigError as error:
        more += [(sound.name_in_file(fault.name), fault.text) for fault in error.faults]
    found.with_faults(more).required()
    if is_running:
        notes.append(f"a program runs on {config.data}: it takes this configuration at its next start, or at SIGHUP")
    return StartPlan(given, plan.keys, plan.tariffs, plan.master_key, tuple(notes))


def _within(plan: StartPlan, running: ServeConfig, master_key: Path) -> StartPlan:
    """Return a plan on what a running program has open: that of another folder counts from the next start on."""
    key_file = running.master_key_file
    config = replace(plan.config, data=running.data, registry=running.registry, master_key_file=key_file)
    return replace(plan, config=config, master_key=key_file or master_key)


def check_folder(
    config: ServeConfig,
    keys: Mapping[str, DeviceKeys],
    tariffs: Sequence[Tariff],
    *,
    master_key: bytes | None,
    now: float,
    faulty: AbstractSet[str] = frozenset(),
) -> InventoryPlan:
    """Compare a configuration with the data folder: make all changes of a start in a rehearsal, and none on disk.

    Args:
        config: the configuration.
        keys: keys of meters by device.
        tariffs: that meters name.
        master_key: of the keys at rest; None where there is none yet.
        now: UTC seconds.
        faulty: devices whose entries are faulty, and were left out.

    Raises:
        ConfigError: everything that the folder has against it.

    """
    faults = list(_folder(config))
    if faults:
        raise ConfigError([ConfigFault(None, name, text) for name, text in faults])
    try:
        kept = {name: device for name, device in _inventory(config).items() if name not in faulty}
        rows, close = _registry_rows(config)
    except (StorageError, ValueError) as error:
        raise ConfigError([ConfigFault(None, "data", str(error))]) from error
    try:
        return rehearse(
            config,
            kept,
            keys,
            tariffs,
            custody=None if master_key is None else KeyCustody(master_key),
            rehearsal=Rehearsal(rows),
            now=now,
        )
    except StorageError as error:
        raise ConfigError([ConfigFault(None, "data", str(error))]) from error
    finally:
        close()


def rehearse(
    config: ServeConfig,
    kept: Mapping[str, Device],
    keys: Mapping[str, DeviceKeys],
    tariffs: Sequence[Tariff],
    *,
    custody: KeyCustody | None,
    rehearsal: Rehearsal,
    now: float,
) -> InventoryPlan:
    """Return what a configuration makes of an inventory, after all of it was tried in a rehearsal.

    Args:
        config: the configuration.
        kept: the records at rest.
        keys: keys of meters by device.
        tariffs: that meters name.
        custody: opens the keys at rest; None where there is no master key yet.
        rehearsal: of the registrations at rest.
        now: UTC seconds.

    Raises:
        ConfigError: everything that is refused.

    """
    plan = plan_inventory(config, kept, keys, now)
    faults = [ConfigFault(None, name, text) for name, text in (*plan.faults, *_unopened(kept, custody))]
    if not faults:
        faults += shared_keys(unicast_keys(plan.known.values(), keys, custody))
    try:
        register(rehearsal, config, plan, tariffs, lambda _what, _done, _of: None)
    except ConfigError as error:
        named = {fault.name for fault in faults}
        faults += [fault for fault in error.faults if fault.name not in named]
    if faults:
        raise ConfigError(faults)
    return plan


_NUMBERED: Final = re.compile(r"(\w+)\[(\d+)\]")


@dataclass(frozen=True, slots=True)
class _Sound:
    """The entries of a configuration that are not faulty.

    Attributes:
        config: with them alone.
        left_out: the devices of the others.
        numbers: of each list of tables, which places in the file its entries have.

    """

    config: ServeConfig
    left_out: frozenset[str]
    numbers: Mapping[str, Sequence[int]]

    def name_in_file(self, name: str) -> str:
        """Return a name like ``meters[0].endpoint`` with the place that the entry has in the file."""

        def in_file(match: re.Match[str]) -> str:
            places = self.numbers.get(match[1])
            return match[0] if places is None else f"{match[1]}[{places[int(match[2])]}]"

        return _NUMBERED.sub(in_file, name, count=1)


def _sound(config: ServeConfig, faults: Sequence[ConfigFault]) -> _Sound:
    """Leave out the entries that are faulty, so that the others can be tried."""
    places = {place_of_name(fault.name) for fault in faults if not fault.file}

    def is_sound(table: str, index: int) -> bool:
        return not any(place == table or place.startswith(f"{table}[{index}]") for place in places)

    numbers: dict[str, list[int]] = {}

    def kept(table: str, entries: tuple[EntryT, ...]) -> tuple[EntryT, ...]:
        numbers[table] = [index for index in range(len(entries)) if is_sound(table, index)]
        return tuple(entries[index] for index in numbers[table])

    homes = tuple(
        home if is_sound("homes", index) else replace(home, zone="")
        for index, home in enumerate(config.homes)
        if home.id
    )
    sound = replace(
        config,
        zone="UTC" if "zone" in places else config.zone,
        registry="" if "registry" in places else config.registry,
        homes=homes,
        access_points=kept("access_points", config.access_points),
        meters=kept("meters", config.meters),
        exchanges=kept("exchanges", config.exchanges),
    )
    return _Sound(sound, frozenset(_names(config) - _names(sound)), numbers)


def _names(config: ServeConfig) -> set[str]:
    return {point.device for point in config.access_points} | {meter.device for meter in config.meters}


def _keys(source: StartSource, config: ServeConfig, faults: list[ConfigFault]) -> dict[str, DeviceKeys]:
    if config.keys is None:
        return {}
    try:
        return {name: device_keys(keys) for name, keys in source.read_keys(config.keys).items()}
    except (ValueError, OSError) as error:
        faults.append(ConfigFault(None, "", reason_of(error), str(config.keys)))
        return {}


def device_keys(keys: MeterKeys) -> DeviceKeys:
    """Return the keys of a key file as a session needs them."""
    return DeviceKeys(keys.key or None, keys.auth_key or None, keys.password or None)


def _tariffs(config: ServeConfig, faults: list[ConfigFault]) -> Sequence[Tariff]:
    if config.tariffs is None:
        return []
    try:
        return read_tariffs(config.tariffs)
    except (ValueError, OSError) as error:
        faults.append(ConfigFault(None, "", reason_of(error), str(config.tariffs)))
        return []


def _master_key(path: Path, config: ServeConfig) -> tuple[bytes | None, list[tuple[str, str]]]:
    try:
        return check_master_key(path, config.data, wraps=lambda: holds_keys(inventory_path(config.data))), []
    except (MasterKeyError, StorageError) as error:
        return None, [("master_key_file", str(error))]


_FORMATS: Final = (
    ("data/readings/journal.sqlite", journal.FORMAT),
    ("head_end.sqlite", state.FORMAT),
)


def _folder(config: ServeConfig) -> Iterator[tuple[str, str]]:
    """Find out why the stores of a folder could not be opened."""
    place = next((path for path in (config.data, *config.data.resolve().parents) if path.exists()), config.data)
    if not place.is_dir():
        yield "data", f"{place} is not a folder"
        return
    if not os.access(place, os.W_OK | os.X_OK):
        yield "data", f"{place} cannot be written to"
        return
    for name, known in _FORMATS:
        path = config.data / name
        try:
            if path.exists():
                with inspected(path) as file:
                    file.format_up_to(known)
        except StorageError as error:
            yield "data", str(error)
    try:
        check_orders(order_path(config.data))
        require_same_registry(config.data / "data", config.registry)
    except (StorageError, ValueError) as error:
        yield "data", str(error)


def _inventory(config: ServeConfig) -> dict[str, Device]:
    path = inventory_path(config.data)
    if not path.exists():
        return {}
    with closing(InventoryFile(path, is_read_only=True)) as file:
        return {device.device: device for device in file.devices()}


def _registry_rows(config: ServeConfig) -> tuple[RegistryRows, Callable[[], None]]:
    if config.registry:
        registry = Registry(config.registry, is_read_only=True)
        return registry, registry.close
    path = registry_path(config.data / "data")
    if not path.exists():
        return NO_ROWS, lambda: None
    registry = Registry.looked_at(path)
    return registry, registry.close


def unicast_keys(
    devices: Iterable[Device], given: Mapping[str, DeviceKeys], custody: KeyCustody | None
) -> Iterator[tuple[str, bytes]]:
    """Iterate over the unicast keys of the devices that are there: as given now, else as at rest."""
    for device in devices:
        if device.removed_at is not None:
            continue
        key = given[device.device].global_unicast if device.device in given else None
        if not key and custody is not None:
            key = custody.keys_of(custody.bound(device)).global_unicast
        yield device.device, key or b""


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


def _unopened(kept: Mapping[str, Device], custody: KeyCustody | None) -> Iterator[tuple[str, str]]:
    """Find the devices whose keys at rest do not open."""
    if custody is None:
        return
    for device in kept.values():
        try:
            custody.keys_of(custody.bound(device))
        except WireError as error:
            reason = (
                f"its keys at rest were wrapped under another master key, or changed ({error}); give the one of the"
                " first start, or a backup of the inventory"
            )
            yield f"device {device.device}", reason


def _open_to_others(folder: Path) -> Iterator[tuple[str, str]]:
    """Find out whether a start would refuse the data folder because others can use it."""
    why = why_not_ours(folder)
    if why:
        yield "data", why


def _places(config: ServeConfig, *, is_running: bool) -> Iterator[tuple[str, str]]:
    """Find out whether the database of the registry answers, and whether the start could open all of its ports."""
    if config.registry:
        try:
            check_reachable(config.registry)
        except (StorageError, ValueError) as error:
            yield "registry", str(error)
    if not is_running:  # else its ports are those of the program that runs
        yield from _ports(config)


def _ports(config: ServeConfig) -> Iterator[tuple[str, str]]:
    """Open all ports together, as the start does, and close them."""
    opened: dict[tuple[str, int], str] = {}
    with ExitStack() as sockets:
        for name, place in _own_places(config):
            trouble = _trouble_at(place, sockets)
            other = opened.setdefault((place.medium, place.port), name)
            if isinstance(trouble, OSError) and trouble.errno == errno.EADDRINUSE and other != name:
                yield name, f"{place.port} is the port of {other} too; choose another"
            elif trouble is not None:
                yield name, f"cannot listen at {place.place}: {reason_of(trouble)}"


def _own_places(config: ServeConfig) -> Iterator[tuple[str, Endpoint]]:
    """Iterate over what the start listens at: the option that says so, and the place."""
    portal = Endpoint("tcp", config.portal.host, config.portal.port)
    try:
        pushes = push_places_of(config.push)
    except EndpointError:
        pushes = push_places_of(replace(config.push, places=()))  # the odd one is refused already
    names = ("portal.port", "push.port", *(f"push.places[{index}]" for index in range(len(pushes) - 1)))
    for name, place in zip(names, (portal, *pushes), strict=True):
        if 0 <= place.port <= PORT_MAX:  # another number is refused already
            yield name, place


def _trouble_at(place: Endpoint, sockets: ExitStack) -> Exception | None:
    """Open a place as asyncio does, until ``sockets`` ends; return why that cannot be, None where it can."""
    kind = socket.SOCK_DGRAM if place.medium == "udp" else socket.SOCK_STREAM
    try:
        known = socket.getaddrinfo(place.host or None, place.port, type=kind, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        return error
    reasons: list[OSError] = []
    addresses = dict.fromkeys((family, address) for family, _, _, _, address in known)
    for family, address in addresses:
        try:
            _open_at(family, kind, address, sockets)
        except OSError as error:
            reasons.append(error)
        else:
            if kind is socket.SOCK_DGRAM:
                return None  # a port for datagrams is one socket
    stops = reasons if len(reasons) == len(addresses) else [item for item in reasons if item.errno not in _NOT_HERE]
    return stops[0] if stops else None


_NOT_HERE: Final = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})
"""A name may have an address that this machine lacks: the start goes on with the others."""


def _open_at(family: int, kind: int, address: tuple[Any, ...], sockets: ExitStack) -> None:
    opened = sockets.enter_context(socket.socket(family, kind))
    if family == socket.AF_INET6:
        opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    if kind == socket.SOCK_STREAM:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    opened.bind(address)
    if kind == socket.SOCK_STREAM:
        opened.listen(1)
