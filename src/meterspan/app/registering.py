"""The homes, meters and tariffs of a configuration, registered in the data management: in few transactions.

Meters are registered in parts, so that a start with ten thousand of them shows how far it is.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Final
from zoneinfo import ZoneInfo

from meterspan.analytics.tariff import Tariff
from meterspan.head_end.inventory import Device
from meterspan.mdm import MeterDataManagement
from meterspan.mdm.registrations import MeterInstallation
from meterspan.model.storage.registry import HomeRow
from meterspan.runtime.config import MeterEntry, ServeConfig
from meterspan.runtime.declared import ConfigError, ConfigFault

__all__ = ["Progress", "register"]

PART: Final = 1_000
"""Meters of one step: a fraction of a second."""

Progress = Callable[[str, int, int], object]
"""Called at each step of a start: what is done, how many of them are done, and of how many."""


def register(
    data: MeterDataManagement,
    config: ServeConfig,
    devices: Mapping[str, Device],
    tariffs: Sequence[Tariff],
    progress: Progress,
) -> None:
    """Register the homes and meters of a configuration; what is registered already stays as it is.

    Args:
        data: where.
        config: names homes and meters.
        devices: the records of the meters in the inventory.
        tariffs: that meters name.
        progress: is called after each part.

    Raises:
        ConfigError: a meter contradicts what is registered, or names a tariff that is not there.

    """
    data.register_homes(
        [HomeRow(home.id, home.name or home.id, home.zone or config.zone, home.currency) for home in config.homes]
    )
    entries = [(index, meter, devices[meter.device]) for index, meter in enumerate(config.meters)]
    for first in range(0, len(entries), PART):
        part = entries[first : first + PART]
        _together(lambda part: data.install_meters([_installation(meter, device) for _, meter, device in part]), part)
        progress("meters registered", first + len(part), len(entries))
    by_name, zones = {tariff.name: tariff for tariff in tariffs}, {home.id: home.zone for home in config.homes}
    _check_tariffs(entries, by_name)

    def priced(meter: MeterEntry, device: Device) -> tuple[str, Tariff, date]:
        zone = ZoneInfo(zones[meter.home] or config.zone)
        return device.usage_point, by_name[meter.tariff], datetime.fromtimestamp(device.installed_at, zone).date()

    _together(
        lambda part: data.assign_tariffs([priced(meter, device) for _, meter, device in part]),
        [entry for entry in entries if entry[1].tariff],
    )


_Entry = tuple[int, MeterEntry, Device]


def _together(act: Callable[[Sequence[_Entry]], None], entries: Sequence[_Entry]) -> None:
    """Do something for all meters at once; where one is refused, one by one, so that the answer can name it."""
    try:
        act(entries)
    except ValueError:
        for index, meter, device in entries:
            try:
                act([(index, meter, device)])
            except ValueError as error:
                raise ConfigError([ConfigFault(None, f"meters[{index}] ({meter.device})", str(error))]) from error
        raise


def _installation(meter: MeterEntry, device: Device) -> MeterInstallation:
    return MeterInstallation.of(
        meter.home,
        device.usage_point,
        device=device.device,
        commodity=device.commodity,
        at=datetime.fromtimestamp(device.installed_at, UTC),
        period_s=meter.period_s,
        protocol=str(device.protocol),
        interface=device.interface,
        network=device.network,
    )


def _check_tariffs(entries: Sequence[_Entry], by_name: Mapping[str, Tariff]) -> None:
    """Compare the names of tariffs with those of the tariff file.

    Raises:
        ConfigError: some are not there.

    """
    what = f"the tariff file has {', '.join(by_name) or 'none'}"
    faults = [
        ConfigFault(None, f"meters[{index}].tariff", f"no tariff is called {meter.tariff!r}; {what}")
        for index, meter, _ in entries
        if meter.tariff and meter.tariff not in by_name
    ]
    if faults:
        raise ConfigError(faults)
