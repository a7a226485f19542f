"""The homes, meters, exchanges and tariffs of a configuration, registered in the data management or in a rehearsal.

Meters are registered in parts, so that a start with ten thousand of them shows how far it is. What is registered
already stays as it is, so that a start that was cut off is finished by the next one.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Final, Protocol
from zoneinfo import ZoneInfo

from meterspan.analytics.tariff import Tariff
from meterspan.app.inventory_plan import InventoryPlan
from meterspan.head_end.inventory import Device
from meterspan.mdm.installations import Exchange, MeterInstallation
from meterspan.model.lookup_errors import UnknownNameError, UnknownUsagePointError
from meterspan.model.storage.registry import HomeRow, InstallationRow
from meterspan.quantities import Obis, Scaled, utc
from meterspan.runtime.config import ExchangeEntry, MeterEntry, ServeConfig, registers_of
from meterspan.runtime.declared import ConfigError, ConfigFault

__all__ = ["Installer", "Progress", "chain_at", "installation_of", "register"]

PART: Final = 1_000
"""Meters of one step: a fraction of a second."""

Progress = Callable[[str, int, int], object]
"""Called at each step of a start: what is done, how many of them are done, and of how many."""


class Installer(Protocol):
    """Where meters are registered: the data management, or its rehearsal."""

    def register_homes(self, homes: Sequence[HomeRow]) -> None:
        """Register homes, or change them."""
        ...

    def install_meters(self, wanted: Sequence[MeterInstallation]) -> None:
        """Install devices at usage points."""
        ...

    def exchange(self, wanted: Exchange) -> None:
        """Put one device in the place of another."""
        ...

    def remove_meter(
        self, usage_point: str, *, device: str, at: datetime, closing: Mapping[Obis, Scaled] | None = None
    ) -> None:
        """End a device's installation.

        Args:
            usage_point: where it is installed.
            device: the meter.
            at: aware instant of the removal.
            closing: its registers at that instant.

        """
        ...

    def delete_meter(self, device: str) -> None:
        """Delete a device that never gave a reading."""
        ...

    def assign_tariffs(self, wanted: Sequence[tuple[str, Tariff, date]]) -> None:
        """Price usage points."""
        ...

    def installations(self, usage_point: str) -> Sequence[InstallationRow]:
        """List the installations at a usage point, oldest first; raises ``UnknownUsagePointError``."""
        ...


def chain_at(installer: Installer, usage_point: str) -> Sequence[InstallationRow]:
    """Return the installations at a usage point, oldest first; none where it is not registered."""
    try:
        return installer.installations(usage_point)
    except UnknownUsagePointError:
        return ()


def register(
    installer: Installer, config: ServeConfig, plan: InventoryPlan, tariffs: Sequence[Tariff], progress: Progress
) -> None:
    """Register the homes and meters of a configuration.

    Args:
        installer: where.
        config: names homes and meters.
        plan: the records of the meters, and when which one is installed.
        tariffs: that meters name.
        progress: is called after each part.

    Raises:
        ConfigError: everything that contradicts what is registered, and each tariff that is not there.

    """
    faults: list[ConfigFault] = []
    installer.register_homes(
        [HomeRow(home.id, home.name or home.id, home.zone or config.zone, home.currency) for home in config.homes]
    )
    exchanged = {entry.old for entry in config.exchanges}
    for device in plan.others:
        if device.removed_at is not None and device.device not in exchanged:
            _end(installer, device.usage_point, device.device, device.removed_at)
    for name, (usage_point, at) in plan.moved.items():
        _end(installer, usage_point, name, at)
    for index, entry in sorted(enumerate(config.exchanges), key=lambda item: item[1].at):
        faults += _exchanged(installer, index, entry, plan)
    entries = [item for item in enumerate(config.meters) if item[1].device not in plan.passed_over]
    for first in range(0, len(entries), PART):
        part = entries[first : first + PART]
        faults += _together(
            lambda part: installer.install_meters([_installation(installer, meter, plan) for _, meter in part]), part
        )
        progress("meters registered", first + len(part), len(entries))
    faults += _priced(installer, config, plan, tariffs, entries)
    if faults:
        raise ConfigError(faults)


_Entry = tuple[int, MeterEntry]


def _end(installer: Installer, usage_point: str, device: str, at: int) -> None:
    """End an installation that goes on; one that has ended stays as it is."""
    chain = chain_at(installer, usage_point)
    if chain and chain[-1].device == device and chain[-1].end is None:
        installer.remove_meter(usage_point, device=device, at=utc(max(at, chain[-1].start)))


def _exchanged(installer: Installer, index: int, entry: ExchangeEntry, plan: InventoryPlan) -> list[ConfigFault]:
    old, new = plan.known.get(entry.old), plan.known.get(entry.new)
    at = int(entry.at.timestamp())
    if old is None or new is None:
        return []
    if any(row.device == entry.new and row.start == at for row in chain_at(installer, old.usage_point)):
        return []
    try:
        installer.exchange(
            Exchange(
                old.usage_point,
                utc(at),
                entry.old,
                registers_of(entry.closing),
                entry.new,
                registers_of(entry.opening),
                protocol=str(new.protocol),
                interface=new.interface,
                network=new.network,
            )
        )
    except (ValueError, UnknownNameError) as error:
        return [ConfigFault(None, f"exchanges[{index}]", str(error))]
    return []


def _together(act: Callable[[Sequence[_Entry]], None], entries: Sequence[_Entry]) -> list[ConfigFault]:
    """Do something for all meters at once; where one is refused, one by one, so that each refusal has its name."""
    try:
        act(entries)
    except (ValueError, UnknownNameError):
        faults = []
        for index, meter in entries:
            try:
                act([(index, meter)])
            except (ValueError, UnknownNameError) as error:
                faults.append(ConfigFault(None, f"meters[{index}] ({meter.device})", str(error)))
        return faults
    return []


def _installation(installer: Installer, meter: MeterEntry, plan: InventoryPlan) -> MeterInstallation:
    device = plan.known[meter.device]
    since = plan.since.get(device.device, device.installed_at)
    if meter.installed_at is None:
        ends = [row.end for row in chain_at(installer, device.usage_point) if row.end is not None]
        since = max([since, *ends])
    return installation_of(device, meter.home, since, meter.period_s)


def installation_of(device: Device, home: str, since: int, period_s: int) -> MeterInstallation:
    """Return the installation of a device of the inventory.

    Args:
        device: its record, which names the usage point.
        home: the home there.
        since: UTC seconds from which on it is installed.
        period_s: grid of the usage point's intervals, in seconds.

    """
    return MeterInstallation.of(
        home,
        device.usage_point,
        device=device.device,
        commodity=device.commodity,
        at=datetime.fromtimestamp(since, UTC),
        period_s=period_s,
        protocol=str(device.protocol),
        interface=device.interface,
        network=device.network,
    )


def _priced(
    installer: Installer,
    config: ServeConfig,
    plan: InventoryPlan,
    tariffs: Sequence[Tariff],
    entries: Sequence[_Entry],
) -> list[ConfigFault]:
    by_name, zones = {tariff.name: tariff for tariff in tariffs}, {home.id: home.zone for home in config.homes}
    what = f"the tariff file has {', '.join(by_name) or 'none'}"
    faults = [
        ConfigFault(None, f"meters[{index}].tariff", f"no tariff is called {meter.tariff!r}; {what}")
        for index, meter in entries
        if meter.tariff and meter.tariff not in by_name
    ]

    def priced(meter: MeterEntry) -> tuple[str, Tariff, date]:
        zone, device = ZoneInfo(zones[meter.home] or config.zone), plan.known[meter.device]
        return device.usage_point, by_name[meter.tariff], datetime.fromtimestamp(device.installed_at, zone).date()

    known = [(index, meter) for index, meter in entries if meter.tariff in by_name and meter.home in zones]
    return faults + _together(lambda part: installer.assign_tariffs([priced(meter) for _, meter in part]), known)
