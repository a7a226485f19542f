"""Registrations: who is metered by what. Homes, usage points, devices, installations and tariffs.

The registry is small and held in memory; each change is written through, all rows of it or none. What is asked is
answered with one frozen record (``Supply``, ``Home``), so that an answer never sees half of a change.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from meterspan.analytics.tariff import Tariff
from meterspan.mdm.damage import IMPOSSIBLE, DamageList
from meterspan.mdm.installations import (
    Exchange,
    MeterInstallation,
    fault_of_given,
    given,
    given_ratio,
    given_widths,
)
from meterspan.mdm.supplies import Supply
from meterspan.mdm.tariffs import declaration_of, tariff_of
from meterspan.model.lookup_errors import (
    ExchangeTimeError,
    MeterPresentError,
    NotInstalledError,
    OccupiedError,
    PeriodError,
    SupplyPresentError,
    TariffUnitError,
    UnknownHomeError,
    UnknownMeterError,
    UnknownSupplyError,
    UnknownUsagePointError,
    UnknownZoneError,
)
from meterspan.model.storage.ports import RegistryStore
from meterspan.model.storage.readings import DamageKind
from meterspan.model.storage.registry import (
    DeviceRow,
    HomeRow,
    InstallationRow,
    RegistryRow,
    TariffRow,
    UsagePointRow,
)
from meterspan.model.views import Home, UsagePointView
from meterspan.quantities import Commodity, Obis, Scaled, utc

__all__ = ["Registrations"]

RowT = TypeVar("RowT")
ORDER = {commodity: number for number, commodity in enumerate(Commodity)}


class Registrations:
    """The registry in memory, over a ``RegistryStore``; safe for use from many threads.

    Args:
        store: where rows are kept.
        damage: where rows that cannot be used are named.

    """

    def __init__(self, store: RegistryStore, damage: DamageList) -> None:
        self._store = store
        self._lock = threading.RLock()
        self._revision = 0
        self._listed: tuple[Home, ...] | None = None
        self._homes: dict[str, HomeRow] = {}
        self._supplies: dict[str, Supply] = {}
        self._points_of_home: dict[str, tuple[str, ...]] = {}
        self._points_of_device: dict[str, tuple[str, ...]] = {}
        self._devices = {row.device: row for row in store.devices()}
        self._load(damage)

    def _load(self, damage: DamageList) -> None:
        """Index the stored rows; one that cannot be used is named and left out, with the rows that refer to it."""
        for home in _usable(self._store.homes(), damage, lambda row: f"home {row.home_id}", _check_home):
            self._homes[home.home_id] = home
        chains: dict[str, list[InstallationRow]] = {}
        for row in self._store.installations():
            chains.setdefault(row.usage_point, []).append(row)
            _note_given(row, damage)
        tariffs = self._load_tariffs(damage)

        def add(point: UsagePointRow) -> None:
            chain = tuple(chains.get(point.usage_point, ()))
            known = tuple(sorted(tariffs.get(point.usage_point, {}).items()))
            self._put(self._supply_of(point, chain, known, 0))

        _usable(self._store.usage_points(), damage, lambda row: f"usage point {row.usage_point}", add)

    def _load_tariffs(self, damage: DamageList) -> dict[str, dict[date, Tariff]]:
        tariffs: dict[str, dict[date, Tariff]] = {}

        def add(row: TariffRow) -> None:
            tariffs.setdefault(row.usage_point, {})[date.fromisoformat(row.first_day)] = tariff_of(row.declaration)

        _usable(self._store.tariffs(), damage, lambda row: f"tariff of {row.usage_point} from {row.first_day}", add)
        return tariffs

    def _supply_of(
        self,
        point: UsagePointRow,
        chain: tuple[InstallationRow, ...],
        tariffs: tuple[tuple[date, Tariff], ...],
        revision: int,
    ) -> Supply:
        """Join the rows of a usage point; raises a lookup or value error where they do not fit together."""
        if point.period_s <= 0:
            raise PeriodError(point.usage_point, point.period_s)
        if not chain:
            raise ValueError("no meter was ever installed")
        for row in chain:
            given_ratio(row.device, row.multiplier)
        unknown = next((row.device for row in chain if row.device not in self._devices), None)
        if unknown is not None:
            raise UnknownMeterError(unknown)
        home = self._home(point.home_id)
        return Supply(
            point.usage_point,
            point.home_id,
            Commodity(point.commodity),
            home.zone,
            home.currency,
            point.period_s,
            tariffs,
            chain,
            tuple(self._devices[row.device] for row in chain),
            revision,
        )

    # --- changes ------------------------------------------------------------------------------------------------

    def register_homes(self, rows: Sequence[HomeRow]) -> bool:
        """Add homes, or change their names, zones or currencies; return whether anything changed.

        Raises:
            UnknownZoneError: a home is in a zone that nobody knows.

        """
        with self._lock:
            changed = [row for row in rows if self._homes.get(row.home_id) != row]
            for row in changed:
                _check_home(row)
            if changed:
                self._store.save(*changed)
            self._listed = None
            for row in changed:
                self._homes[row.home_id] = row
                for supply in self.supplies_of(row.home_id):
                    self._put(replace(supply, zone=row.zone, currency=row.currency))
            return bool(changed)

    def plan_installation(self, wanted: MeterInstallation) -> bool:
        """Check an installation; return whether it changes the chain or the grid of the usage point.

        Raises:
            UnknownHomeError: the home is not registered.
            MeterPresentError: another meter is installed there; exchange it.
            SupplyPresentError: the home has another usage point of this commodity.
            OccupiedError: another meter was installed there until later.
            PeriodError: the period is not positive.

        """
        point, device = wanted.point, wanted.device.device
        with self._lock:
            self._home(point.home_id)
            if point.period_s <= 0:
                raise PeriodError(point.usage_point, point.period_s)
            commodity = Commodity(point.commodity)
            for supply in self.supplies_of(point.home_id):
                if supply.commodity is commodity and supply.usage_point != point.usage_point:
                    raise SupplyPresentError(point.home_id, commodity, supply.usage_point)
            known = self._supplies.get(point.usage_point)
            if known is None:
                return True
            if known.installations[-1].end is None and known.meter != device:
                raise MeterPresentError(point.usage_point, known.meter)
            last = known.installations[-1]
            if last.end is not None and wanted.installation.start < last.end:
                raise OccupiedError(point.usage_point, last.device, utc(last.end))
            is_same = (known.home_id, known.commodity, known.period_s) == (point.home_id, commodity, point.period_s)
            return known.installations[-1].end is not None or not is_same

    def install(self, wanted: Sequence[MeterInstallation]) -> None:
        """Install devices that do not depend on each other; raises what ``plan_installation`` raises, then none is."""
        with self._lock:
            changes = [self.plan_installation(item) for item in wanted]
            self._save_installations(wanted)
            for item in wanted:
                self._put_device(item.device)
            for item, is_change in zip(wanted, changes, strict=True):
                if is_change:
                    known = self._supplies.get(item.point.usage_point)
                    chain = self._chain_with(item)
                    tariffs = () if known is None else known.tariffs
                    self._put(self._supply_of(item.point, chain, tariffs, self._next_revision()))

    def _save_installations(self, wanted: Sequence[MeterInstallation]) -> None:
        """Write the rows that are new or changed, all or none."""
        rows: list[RegistryRow] = []
        for item in wanted:
            known = self._supplies.get(item.point.usage_point)
            if known is None or self._point_of(known) != item.point:
                rows.append(item.point)
            if self._devices.get(item.device.device) != item.device:
                rows.append(item.device)
            if self._is_begun(item):
                rows.append(item.installation)
        if rows:
            self._store.save(*rows)

    @staticmethod
    def _point_of(supply: Supply) -> UsagePointRow:
        return UsagePointRow(supply.usage_point, supply.home_id, str(supply.commodity), supply.period_s)

    def _is_begun(self, item: MeterInstallation) -> bool:
        """Whether an installation begins, and is not one that goes on."""
        known = self._supplies.get(item.point.usage_point)
        return known is None or known.installations[-1].end is not None

    def _chain_with(self, item: MeterInstallation) -> tuple[InstallationRow, ...]:
        known = self._supplies.get(item.point.usage_point)
        chain = () if known is None else known.installations
        return (*chain, item.installation) if self._is_begun(item) else chain

    def plan_exchange(self, exchange: Exchange) -> bool:
        """Check an exchange; return whether it is new (the same exchange again changes nothing).

        Raises:
            UnknownUsagePointError: the usage point is not registered.
            NotInstalledError: the old device is not the one installed there.
            ExchangeTimeError: the old device was installed then, or later.
            RegisterError: no meter has this closing or opening value, or this width.

        """
        given(exchange.old_device, exchange.closing)
        given(exchange.new_device, exchange.opening)
        given_widths(exchange.new_device, exchange.width or {})
        with self._lock:
            chain = self.supply_at(exchange.usage_point).installations
            if any(row.device == exchange.new_device and row.start == exchange.time for row in chain):
                return False
            old = next((row for row in reversed(chain) if row.device == exchange.old_device), None)
            if old is None or old.end is not None:
                raise NotInstalledError(exchange.usage_point, exchange.old_device)
            if exchange.time <= old.start:
                raise ExchangeTimeError(exchange.old_device, exchange.at)
            return True

    def exchange(self, exchange: Exchange) -> None:
        """End the old device's installation and begin the new one's; raises what ``plan_exchange`` raises."""
        with self._lock:
            if not self.plan_exchange(exchange):
                return
            supply = self.supply_at(exchange.usage_point)
            old = next(row for row in reversed(supply.installations) if row.device == exchange.old_device)
            ended = replace(old, end=exchange.time, closing=given(exchange.old_device, exchange.closing))
            width = old.width if exchange.width is None else given_widths(exchange.new_device, exchange.width)
            begun = InstallationRow(
                exchange.usage_point,
                exchange.new_device,
                exchange.time,
                None,
                old.multiplier,
                given(exchange.new_device, exchange.opening),
                {},
                width,
            )
            device = exchange.device_after(self._devices[exchange.old_device])
            self._store.save(device, ended, begun)
            self._put_device(device)
            chain = (*(ended if row is old else row for row in supply.installations), begun)
            devices = tuple(self._devices[row.device] for row in chain)
            self._put(replace(supply, installations=chain, devices=devices, revision=self._next_revision()))

    def price_meanwhile(self, usage_point: str, tariff: Tariff) -> None:
        """Price a usage point by a tariff on all days, while the registry is open: nothing is stored.

        Raises:
            UnknownUsagePointError: the usage point is not registered.
            TariffUnitError: the tariff is per another unit than the supply is counted in.

        """
        with self._lock:
            supply = self.supply_at(usage_point)
            if tariff.conversion is None and tariff.unit != supply.unit:
                raise TariffUnitError(tariff.name, tariff.unit, usage_point, supply.unit)
            self._put(replace(supply, tariffs=((date.min, tariff),)))

    def plan_removal(
        self, usage_point: str, device: str, at: int, closing: Mapping[Obis, Scaled] | None = None
    ) -> bool:
        """Check a removal; return whether it is new (the same removal again changes nothing).

        Args:
            usage_point: where.
            device: the device that is installed there.
            at: UTC seconds.
            closing: its registers.

        Raises:
            UnknownUsagePointError: the usage point is not registered.
            NotInstalledError: the device is not the one installed there.
            ExchangeTimeError: it was installed then, or later.
            RegisterError: no meter has this closing value.

        """
        given(device, closing)
        with self._lock:
            last = self.supply_at(usage_point).installations[-1]
            if last.device != device or last.end not in (None, at):
                raise NotInstalledError(usage_point, device)
            if last.end is None and at <= last.start:
                raise ExchangeTimeError(device, utc(at))
            return last.end is None

    def remove(self, usage_point: str, device: str, at: int, closing: Mapping[Obis, Scaled]) -> None:
        """End a device's installation; raises what ``plan_removal`` raises.

        Args:
            usage_point: where.
            device: the device that is installed there.
            at: UTC seconds.
            closing: its registers.

        """
        registers = given(device, closing)
        with self._lock:
            if self.plan_removal(usage_point, device, at, closing):
                supply = self.supply_at(usage_point)
                ended = replace(supply.installations[-1], end=at, closing=registers)
                self._store.save(ended)
                chain = (*supply.installations[:-1], ended)
                self._put(replace(supply, installations=chain, revision=self._next_revision()))

    def forget(self, device: str) -> None:
        """Delete a device that has no series, and its installations."""
        with self._lock:
            self._store.forget(device)
            for supply in self.supplies_with(device):
                self._without(supply, device)
            self._points_of_device.pop(device, None)
            self._devices.pop(device, None)

    def _without(self, supply: Supply, device: str) -> None:
        chain = tuple(row for row in supply.installations if row.device != device)
        if chain:
            devices = tuple(self._devices[row.device] for row in chain)
            self._put(replace(supply, installations=chain, devices=devices, revision=self._next_revision()))
            return
        del self._supplies[supply.usage_point]
        others = self._points_of_home[supply.home_id]
        self._points_of_home[supply.home_id] = tuple(name for name in others if name != supply.usage_point)

    def assign_tariffs(self, wanted: Sequence[tuple[str, Tariff, date]]) -> bool:
        """Price usage points, each by a tariff from a local day on; return whether anything changed.

        Raises:
            UnknownUsagePointError: a usage point is not registered.
            TariffUnitError: a tariff is per another unit than the supply is counted in.

        """
        with self._lock:
            changed = [item for item in wanted if self._is_new_price(*item)]
            rows = [
                TariffRow(usage_point, first_day.isoformat(), declaration_of(tariff))
                for usage_point, tariff, first_day in changed
            ]
            if rows:
                self._store.save(*rows)
            for usage_point, tariff, first_day in changed:
                supply = self.supply_at(usage_point)
                self._put(replace(supply, tariffs=tuple(sorted((dict(supply.tariffs) | {first_day: tariff}).items()))))
            return bool(changed)

    def _is_new_price(self, usage_point: str, tariff: Tariff, first_day: date) -> bool:
        supply = self.supply_at(usage_point)
        if tariff.conversion is None and tariff.unit != supply.unit:
            raise TariffUnitError(tariff.name, tariff.unit, usage_point, supply.unit)
        return dict(supply.tariffs).get(first_day) != tariff

    def add_device(self, device: str, commodity: Commodity) -> None:
        """Register a device that is read but not installed; a known one stays unchanged."""
        with self._lock:
            if device not in self._devices:
                row = DeviceRow(device, str(commodity))
                self._store.save(row)
                self._devices[device] = row

    # --- questions ----------------------------------------------------------------------------------------------

    def homes(self) -> list[Home]:
        """List all homes by id; made again only after a change, as each page of the list asks for all."""
        with self._lock:
            if self._listed is None:
                self._listed = tuple(self.home(home_id) for home_id in sorted(self._homes))
            return list(self._listed)

    def home(self, home_id: str) -> Home:
        """Return one home with its usage points; raises ``UnknownHomeError``."""
        with self._lock:
            row = self._home(home_id)
            views = [
                UsagePointView(item.usage_point, item.commodity, item.meter, item.unit)
                for item in self.supplies_of(home_id)
            ]
            return Home(row.home_id, row.name, row.zone, tuple(views), row.currency)

    def supply(self, home_id: str, commodity: Commodity) -> Supply:
        """Return a home's supply; raises ``UnknownHomeError`` or ``UnknownSupplyError``."""
        with self._lock:
            for supply in self.supplies_of(home_id):
                if supply.commodity is commodity:
                    return supply
        raise UnknownSupplyError(home_id, commodity)

    def supplies_of(self, home_id: str) -> list[Supply]:
        """List a home's supplies in the order of ``Commodity``; raises ``UnknownHomeError``."""
        with self._lock:
            self._home(home_id)
            found = [self._supplies[name] for name in self._points_of_home.get(home_id, ())]
        return sorted(found, key=lambda supply: ORDER[supply.commodity])

    def supply_at(self, usage_point: str) -> Supply:
        """Return the supply at a usage point; raises ``UnknownUsagePointError``."""
        supply = self._supplies.get(usage_point)
        if supply is None:
            raise UnknownUsagePointError(usage_point)
        return supply

    def supplies(self) -> list[Supply]:
        """List the supplies at all usage points, by name."""
        with self._lock:
            found = list(self._supplies.values())
        return sorted(found, key=lambda supply: supply.usage_point)

    def supplies_with(self, device: str) -> list[Supply]:
        """List the supplies that a device measures or measured."""
        with self._lock:
            return [self._supplies[name] for name in self._points_of_device.get(device, ())]

    def is_installed(self, device: str) -> bool:
        """Whether a device is or was installed anywhere."""
        return device in self._points_of_device

    def commodity_of(self, device: str) -> Commodity | None:
        """Return the commodity of a device, or None where its row names an unknown one."""
        row = self._devices.get(device)
        return next((commodity for commodity in Commodity if row is not None and row.commodity == commodity), None)

    @property
    def home_count(self) -> int:
        """How many homes are registered."""
        return len(self._homes)

    # --- the index ----------------------------------------------------------------------------------------------

    def _home(self, home_id: str) -> HomeRow:
        row = self._homes.get(home_id)
        if row is None:
            raise UnknownHomeError(home_id)
        return row

    def _put(self, supply: Supply) -> None:
        self._listed = None
        before = self._supplies.get(supply.usage_point)
        if before is not None and before.home_id != supply.home_id:
            others = self._points_of_home[before.home_id]
            self._points_of_home[before.home_id] = tuple(name for name in others if name != supply.usage_point)
        self._supplies[supply.usage_point] = supply
        _add(self._points_of_home, supply.home_id, supply.usage_point)
        for device in supply.device_names:
            _add(self._points_of_device, device, supply.usage_point)

    def _put_device(self, device: DeviceRow) -> None:
        if self._devices.get(device.device) == device:
            return
        self._devices[device.device] = device
        for supply in self.supplies_with(device.device):
            devices = tuple(self._devices[row.device] for row in supply.installations)
            self._put(replace(supply, devices=devices))

    def _next_revision(self) -> int:
        self._revision += 1
        return self._revision


def _add(names: dict[str, tuple[str, ...]], key: str, name: str) -> None:
    known = names.get(key, ())
    if name not in known:
        names[key] = (*known, name)


def _note_given(row: InstallationRow, damage: DamageList) -> None:
    """Name the stored opening and closing values that cannot be used; the installation counts without them."""
    for name, registers in (("opening", row.opening), ("closing", row.closing)):
        for obis, kept in registers.items():
            fault = fault_of_given(kept)
            if fault:
                damage.note(f"{name} value of {obis} of {row.device} at {row.usage_point}", fault)


def _check_home(row: HomeRow) -> None:
    try:
        ZoneInfo(row.zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise UnknownZoneError(row.zone) from error


def _usable(
    rows: Sequence[RowT], damage: DamageList, name: Callable[[RowT], str], use: Callable[[RowT], None]
) -> list[RowT]:
    """Return the rows that can be used; the others are named as damage."""
    usable = []
    for row in rows:
        try:
            use(row)
        except IMPOSSIBLE as error:
            damage.note(name(row), error, kind=DamageKind.ROW)
        else:
            usable.append(row)
    return usable
