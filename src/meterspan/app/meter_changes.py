"""Changes of meters by command: what one makes of inventory and registry, and how it is said.

``plan_change`` turns a wish into records and one ``MeterChange``; ``act_on`` makes that change in a rehearsal or in the
data management. Both know nothing of who asks: the command line, the portal's API and the next start use them.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from meterspan.app.inventory_plan import device_of, entry_of, missing_keys
from meterspan.app.registering import Installer, installation_of
from meterspan.engine.links import DeviceProtocol
from meterspan.head_end.inventory import Device, DeviceKeys
from meterspan.mdm import MeterDataManagement
from meterspan.mdm.installations import Exchange, MeterInstallation
from meterspan.model.lookup_errors import UnknownMeterError, UnknownUsagePointError
from meterspan.model.meter_changes import ChangeKind, ChangeRefusedError, ChangeView, ChangeWish, MeterChange
from meterspan.model.names import name_fault
from meterspan.model.storage.registry import InstallationRow
from meterspan.quantities import CATALOGUE, Commodity, utc
from meterspan.quantities.units import in_thousands
from meterspan.runtime.config import (
    VIA,
    AccessPointEntry,
    HomeEntry,
    MeterEntry,
    ServeConfig,
    check_meter,
    registers_of,
    usage_point_of,
)
from meterspan.runtime.declared import read_fields

__all__ = ["ChangeStep", "act_on", "plan_change", "register_texts", "view_of"]

TURN_S: Final = 5
"""So far ahead of the clock may the last of some orders of one second be."""


@dataclass(frozen=True, slots=True)
class ChangeStep:
    """One change, ready to be made.

    Attributes:
        change: in the registry.
        devices: records of the inventory as they are afterwards; with the keys at rest.
        deleted: the device whose record goes, "" where none does.

    """

    change: MeterChange
    devices: tuple[Device, ...] = ()
    deleted: str = ""


@dataclass(frozen=True, slots=True)
class _ChangeCase:
    """What a wish meets."""

    wish: ChangeWish
    config: ServeConfig
    stored: Mapping[str, Device]
    data: MeterDataManagement
    keys: Mapping[str, DeviceKeys] = field(repr=False)
    at: int

    @property
    def known(self) -> Device:
        device = self.stored.get(self.wish.device)
        if device is None:
            raise UnknownMeterError(self.wish.device)
        return device

    @property
    def is_declared(self) -> bool:
        return any(entry.device == self.wish.device for entry in self.config.meters)


def plan_change(
    wish: ChangeWish,
    config: ServeConfig,
    stored: Mapping[str, Device],
    *,
    data: MeterDataManagement,
    keys: Mapping[str, DeviceKeys],
    now: float,
) -> ChangeStep:
    """Return what a wish changes.

    Args:
        wish: what is asked for.
        config: of the central system; names homes and access points.
        stored: the records of the inventory.
        data: names the installations.
        keys: of meters by device, for new ones.
        now: UTC seconds.

    Raises:
        UnknownMeterError: no such meter.
        ChangeRefusedError: it cannot be made.

    """
    at = _after_installation(wish, data, _instant(wish, now))
    for name in ("closing", "opening"):
        _require_registers(wish, name)
    return _PLANS[wish.kind](_ChangeCase(wish, config, stored, data, keys, at))


def _instant(wish: ChangeWish, now: float) -> int:
    """Return when a change holds from, UTC seconds: now where that is not said."""
    if wish.at is None:
        return int(now)
    at = int(wish.at.timestamp())
    if at < 0:
        raise ChangeRefusedError([f"{wish.at.isoformat()} is before 1970; say when it was done"])
    if at > now + 1:
        raise ChangeRefusedError([f"{wish.at.isoformat()} is to come; say when it was done"])
    return at


def _after_installation(wish: ChangeWish, data: MeterDataManagement, at: int) -> int:
    """Return when a change of now holds from: a meter that was installed in this second leaves in the next one."""
    place = data.place_of(wish.device)
    if wish.at is not None or place is None or place.end is not None or wish.kind is ChangeKind.DELETE:
        return at
    return place.start + 1 if at <= place.start < at + TURN_S else at


def _require_registers(wish: ChangeWish, name: str, commodity: Commodity | None = None) -> None:
    """Refuse closing or opening registers that a meter cannot have."""
    try:
        registers_of(getattr(wish, name), commodity)
    except ValueError as error:
        raise ChangeRefusedError([f"{name}: {error}"]) from error


def act_on(installer: Installer, change: MeterChange) -> None:
    """Make a change of the registry, or try it in a rehearsal; made again, it changes nothing.

    Raises:
        RegistrationError: it contradicts what is registered.
        UnknownNameError: it names what is not registered.

    """
    _ACTS[change.kind](installer, change)


def view_of(number: int, time: int, author: str, change: MeterChange) -> ChangeView:
    """Return a change as it is shown.

    Args:
        number: of the change.
        time: when it was ordered, UTC seconds.
        author: who ordered it.
        change: what was changed.

    """
    text = _TEXTS[change.kind].format(change=change)
    given = [
        f"{name} {', '.join(texts)}" for name, texts in (("last:", change.closing), ("first:", change.opening)) if texts
    ]
    words = "; ".join([text, *given])
    return ChangeView(number, utc(time), author, change.kind, change.device, utc(change.at), words, change.notes)


def register_texts(kept: Mapping[str, Sequence[Any]]) -> tuple[str, ...]:
    """Return registers of an installation as people write them: ``1-0:1.8.0 6504.555 kWh``."""
    texts = []
    for name, (value, exponent, symbol) in kept.items():
        number, unit = in_thousands(Decimal(value).scaleb(exponent), symbol)
        texts.append(f"{name} {number:f} {unit}")
    return tuple(texts)


_TEXTS = {
    ChangeKind.ADD: "{change.device} was installed at {change.usage_point} of {change.home}",
    ChangeKind.EXCHANGE: "{change.new_device} took the place of {change.device} at {change.usage_point}",
    ChangeKind.MOVE: "{change.device} was moved from {change.usage_point} to {change.new_usage_point} of {change.home}",
    ChangeKind.REMOVE: "{change.device} was removed from {change.usage_point}; its readings stay",
    ChangeKind.DELETE: "{change.device} was deleted; it had never given a reading",
}


# --- plans ----------------------------------------------------------------------------------------------------------


def _add(case: _ChangeCase) -> ChangeStep:
    entry = _new_entry(case, MeterEntry("", "", ""))
    if entry.device in case.stored:
        known = case.stored[entry.device]
        if known.removed_at is None:
            raise ChangeRefusedError([f"{entry.device} is here already, at {known.usage_point}; move or exchange it"])
    case = replace(case, at=_vacant(case, usage_point_of(entry)))
    device = replace(device_of(entry, case.at), installed_at=case.at, is_commanded=True)
    device = _with_keys(case, device)
    _require_registers(case.wish, "opening", device.commodity)
    change = _change(case, device, ChangeKind.ADD, entry.home)
    return ChangeStep(replace(change, opening=tuple(case.wish.opening)), (device,))


def _vacant(case: _ChangeCase, usage_point: str) -> int:
    """Return when a meter is added: where one has left in this second, it takes its place as it leaves."""
    if case.wish.at is not None:
        return case.at
    try:
        latest = case.data.installations(usage_point)[-1].end or 0
    except UnknownUsagePointError:
        return case.at
    return latest if case.at < latest <= case.at + TURN_S else case.at


def _exchange(case: _ChangeCase) -> ChangeStep:
    old = case.known
    if old.removed_at is not None:
        raise ChangeRefusedError(
            [f"{old.device} was removed on {utc(old.removed_at):%Y-%m-%d}; add the new meter instead"]
        )
    place = _place(case)
    for name in ("closing", "opening"):
        _require_registers(case.wish, name, old.commodity)
    home = _home_of(case, place.usage_point)
    is_behind = old.endpoint in case.stored
    entry = _new_entry(case, replace(entry_of(old, home, is_behind=is_behind), system_title="", installed_at=None))
    if entry.device == old.device or not entry.device:
        raise ChangeRefusedError(["say which meter takes its place: its device name"])
    if entry.device in case.stored and case.stored[entry.device].removed_at is None:
        raise ChangeRefusedError([f"{entry.device} is at {case.stored[entry.device].usage_point} already; move it"])
    new = device_of(replace(entry, usage_point=place.usage_point), case.at)
    new = _with_keys(case, replace(new, installed_at=case.at, is_commanded=True))
    gone = replace(old, removed_at=case.at, is_commanded=True)
    change = replace(
        _change(case, new, ChangeKind.EXCHANGE, home),
        device=old.device,
        new_device=new.device,
        closing=tuple(case.wish.closing),
        opening=tuple(case.wish.opening),
    )
    notes = [*_unknown_registers(case, old.device, "closing"), *_unknown_registers(case, new.device, "opening")]
    if case.is_declared:
        notes.append(f"{old.device} has an entry in the configuration, which is passed over from now on; take it out")
    return ChangeStep(replace(change, notes=tuple(notes)), (gone, new))


def _move(case: _ChangeCase) -> ChangeStep:
    known, place = case.known, _place(case)
    _require_registers(case.wish, "closing", known.commodity)
    home = case.wish.home or _home_of(case, place.usage_point)
    if home not in {item.home_id for item in case.data.homes()}:
        raise ChangeRefusedError([f"there is no home {home!r}; declare it under [[homes]]"])
    target = case.wish.usage_point or f"{home}-{CATALOGUE[known.commodity].letter}"
    if fault := name_fault(target):
        raise ChangeRefusedError([f"usage_point: {fault}"])
    if target == place.usage_point:
        raise ChangeRefusedError([f"{known.device} is at {target} already"])
    moved = replace(known, usage_point=target, is_commanded=True)
    change = replace(
        _change(case, moved, ChangeKind.MOVE, home),
        usage_point=place.usage_point,
        new_usage_point=target,
        closing=tuple(case.wish.closing),
        opening=tuple(case.wish.closing),
    )
    notes = _unknown_registers(case, known.device, "closing")
    if case.is_declared:
        notes.append(f"the entry of {known.device} in the configuration names another home; change it")
    return ChangeStep(replace(change, notes=tuple(notes)), (moved,))


def _remove(case: _ChangeCase) -> ChangeStep:
    known, place = case.known, _place(case)
    _require_registers(case.wish, "closing", known.commodity)
    gone = replace(known, removed_at=case.at, is_commanded=True)
    change = replace(
        _change(case, gone, ChangeKind.REMOVE, ""), usage_point=place.usage_point, closing=tuple(case.wish.closing)
    )
    notes = _unknown_registers(case, known.device, "closing")
    if case.is_declared:
        notes.append(f"{known.device} has an entry in the configuration, which is passed over from now on; take it out")
    return ChangeStep(replace(change, notes=tuple(notes)), (gone,))


def _delete(case: _ChangeCase) -> ChangeStep:
    known = case.known
    if case.is_declared:
        raise ChangeRefusedError([f"{known.device} has an entry in the configuration; take it out first"])
    behind = [device.device for device in case.stored.values() if device.endpoint == known.device]
    if behind:
        raise ChangeRefusedError([f"{', '.join(behind)} are read through {known.device}"])
    return ChangeStep(_change(case, known, ChangeKind.DELETE, ""), deleted=known.device)


_PLANS: Mapping[ChangeKind, Callable[[_ChangeCase], ChangeStep]] = {
    ChangeKind.ADD: _add,
    ChangeKind.EXCHANGE: _exchange,
    ChangeKind.MOVE: _move,
    ChangeKind.REMOVE: _remove,
    ChangeKind.DELETE: _delete,
}


def _change(case: _ChangeCase, device: Device, kind: ChangeKind, home: str) -> MeterChange:
    return MeterChange(
        kind,
        device.device,
        case.at,
        device.usage_point,
        home,
        commodity=str(device.commodity),
        period_s=device.channels[0].period_s if device.channels else 900,
        protocol=str(device.protocol),
        interface=device.interface,
        network=device.network,
    )


def _new_entry(case: _ChangeCase, base: MeterEntry) -> MeterEntry:
    """Return the entry of a new meter: the fields that are given, on those of ``base``."""
    given = {"home": base.home, "endpoint": base.endpoint, "device": ""} | dict(case.wish.entry or {})
    found = read_fields(MeterEntry, given)
    faults = [str(fault) for fault in found.faults]
    if found.value is None or faults:
        raise ChangeRefusedError(faults)
    names = given.keys() & set(MeterEntry.__dataclass_fields__)
    entry = replace(base, **{name: getattr(found.value, name) for name in names})
    unused = [f"{name}: {text}" for name, text in _unused(entry, base, case.wish.entry or {})]
    if unused:
        raise ChangeRefusedError(unused)
    faults = [f"{name}: {text}" for name, text in check_meter(entry, _with_homes(case))]
    if not entry.device:
        faults.append("device: is missing")
    if faults:
        raise ChangeRefusedError(faults)
    return entry


def _unused(entry: MeterEntry, base: MeterEntry, given: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """Find the given fields that this change would not use: a field is used or refused, never left out.

    Args:
        entry: of the new meter.
        base: of the meter whose place it takes; without a device where it takes none.
        given: the fields as they were given.

    """
    for name, text in _BY_CONFIGURATION.items():
        if name in given and getattr(entry, name) != getattr(base, name):
            yield name, text
    is_behind = entry.endpoint.startswith(VIA)
    if "mbus_channel" in given and entry.mbus_channel and not is_behind:
        yield "mbus_channel", "is of a meter that is read through an access point"
    if "security" in given and is_behind:
        yield "security", "is of a meter that is read directly; one behind an access point has that of the access point"
    for name, text in _OF_THE_PLACE.items() if base.device else ():
        if name in given and getattr(entry, name) != getattr(base, name):
            yield name, f"{text} {getattr(base, name)}"


_BY_CONFIGURATION: Final = {
    "push_objects": "is taken from the configuration alone",
    "insecure_plain_pushes": "is taken from the configuration alone",
    "installed_at": "is the time of the change; say it there",
    "tariff": "is taken from the configuration alone; give the meter an entry there",
}
"""Fields that no command sets, and what to do."""
_OF_THE_PLACE: Final = {
    "home": "the new meter measures for the home of the old one,",
    "usage_point": "the new meter is where the old one was, at",
    "commodity": "the old meter measures",
}
"""What a meter has from the place where it is put."""


def _with_homes(case: _ChangeCase) -> ServeConfig:
    """Return the configuration with the homes and access points that are known here, declared or not."""
    homes = tuple(HomeEntry(item.home_id) for item in case.data.homes())
    points = tuple(
        AccessPointEntry(device.device, device.system_title.hex())
        for device in case.stored.values()
        if not device.channels
    )
    return replace(case.config, homes=homes, access_points=points)


def _with_keys(case: _ChangeCase, device: Device) -> Device:
    known = case.stored.get(device.device)
    missing = missing_keys(device, known, case.keys.get(device.device))
    if missing:
        raise ChangeRefusedError([f"{device.device} {missing}"])
    return device if known is None else replace(device, wrapped_keys=known.wrapped_keys)


def _place(case: _ChangeCase) -> InstallationRow:
    """Return where the meter is installed now."""
    row = case.data.place_of(case.wish.device)
    if case.known.removed_at is not None or row is None or row.end is not None:
        raise ChangeRefusedError([f"{case.wish.device} is not installed anywhere"])
    return row


def _home_of(case: _ChangeCase, usage_point: str) -> str:
    return next(
        home.home_id for home in case.data.homes() if any(item.usage_point == usage_point for item in home.usage_points)
    )


def _unknown_registers(case: _ChangeCase, device: str, name: str) -> list[str]:
    if getattr(case.wish, name):
        return []
    words = (
        "between its last reading and the change" if name == "closing" else "between the change and its first reading"
    )
    return [f"no {name} registers of {device} were given: what was consumed {words} is not known"]


# --- acts -----------------------------------------------------------------------------------------------------------


def _installation(change: MeterChange, usage_point: str) -> MeterInstallation:
    device = Device(
        change.new_device or change.device,
        Commodity(change.commodity),
        DeviceProtocol(change.protocol),
        "",
        change.network,
        usage_point,
        change.interface,
    )
    found = installation_of(device, change.home, change.at, change.period_s)
    opening = registers_of(change.opening)
    return found if not opening else found.with_opening(opening)


def _act_add(installer: Installer, change: MeterChange) -> None:
    installer.install_meters([_installation(change, change.usage_point)])


def _act_exchange(installer: Installer, change: MeterChange) -> None:
    installer.exchange(
        Exchange(
            change.usage_point,
            datetime.fromtimestamp(change.at, UTC),
            change.device,
            registers_of(change.closing),
            change.new_device,
            registers_of(change.opening),
            protocol=change.protocol,
            interface=change.interface,
            network=change.network,
        )
    )


def _act_move(installer: Installer, change: MeterChange) -> None:
    _end(installer, change)
    installer.install_meters([_installation(change, change.new_usage_point)])


def _act_remove(installer: Installer, change: MeterChange) -> None:
    _end(installer, change)


def _end(installer: Installer, change: MeterChange) -> None:
    installer.remove_meter(
        change.usage_point,
        device=change.device,
        at=datetime.fromtimestamp(change.at, UTC),
        closing=registers_of(change.closing),
    )


def _act_delete(installer: Installer, change: MeterChange) -> None:
    installer.delete_meter(change.device)


_ACTS: Mapping[ChangeKind, Callable[[Installer, MeterChange], None]] = {
    ChangeKind.ADD: _act_add,
    ChangeKind.EXCHANGE: _act_exchange,
    ChangeKind.MOVE: _act_move,
    ChangeKind.REMOVE: _act_remove,
    ChangeKind.DELETE: _act_delete,
}
