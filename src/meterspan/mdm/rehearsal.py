"""A rehearsal of registrations: what the data management would refuse is refused here, and nothing is written.

It has the methods of ``MeterDataManagement`` by which meters are registered, over a copy in memory, so that a whole
configuration or a change of a meter can be checked before the first row of it is stored.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Final

from meterspan.analytics.tariff import Tariff
from meterspan.mdm.damage import DamageList
from meterspan.mdm.installations import Exchange, MeterInstallation
from meterspan.mdm.registrations import Registrations
from meterspan.model.lookup_errors import MeasuredError, UnknownUsagePointError
from meterspan.model.storage.ports import RegistryRows
from meterspan.model.storage.readings import QuarantinedItem
from meterspan.model.storage.registry import (
    DeviceRow,
    HomeRow,
    InstallationRow,
    RegistryRow,
    SeriesRow,
    TariffRow,
    UsagePointRow,
    VersionRow,
)
from meterspan.quantities import Obis, Scaled, utc_seconds

__all__ = ["NO_ROWS", "Rehearsal"]


class _NoRows:
    """A registry that does not exist yet."""

    def homes(self) -> list[HomeRow]:
        return []

    def usage_points(self) -> list[UsagePointRow]:
        return []

    def devices(self) -> list[DeviceRow]:
        return []

    def installations(self) -> list[InstallationRow]:
        return []

    def tariffs(self) -> list[TariffRow]:
        return []

    def series(self) -> list[SeriesRow]:
        return []


NO_ROWS: Final[RegistryRows] = _NoRows()


class _Unwritten:
    """A ``RegistryStore`` whose rows are read from another and whose writes are left out."""

    def __init__(self, rows: RegistryRows) -> None:
        self._rows = rows

    def homes(self) -> list[HomeRow]:
        return self._rows.homes()

    def usage_points(self) -> list[UsagePointRow]:
        return self._rows.usage_points()

    def devices(self) -> list[DeviceRow]:
        return self._rows.devices()

    def installations(self) -> list[InstallationRow]:
        return self._rows.installations()

    def series(self) -> list[SeriesRow]:
        return self._rows.series()

    def tariffs(self) -> list[TariffRow]:
        return self._rows.tariffs()

    def versions(self, usage_point: str, first_day: int, last_day: int) -> list[VersionRow]:  # noqa: ARG002 - the port's
        return []

    def save(self, *rows: RegistryRow) -> None:
        """Write nothing: the registrations in memory have the rows."""

    def forget(self, device: str) -> None:
        """Delete nothing, likewise."""

    def save_versions(self, rows: Sequence[VersionRow]) -> None:
        """Write nothing: a rehearsal settles no day."""

    def add_series(self, device: str, obis: str, unit: str, exponent: int) -> SeriesRow:
        raise ValueError(f"a rehearsal takes no readings: {device} {obis} {exponent} {unit}")

    def quarantined(self) -> list[QuarantinedItem]:
        return []

    def close(self) -> None:
        """Leave the registry to its owner."""


class Rehearsal:
    """Registrations in memory, equal to those of ``rows`` at first.

    Args:
        rows: where the registrations are read from, once.

    """

    def __init__(self, rows: RegistryRows) -> None:
        self._registrations = Registrations(_Unwritten(rows), DamageList())
        self._measured = {row.device for row in rows.series()}

    def register_homes(self, homes: Sequence[HomeRow]) -> None:
        """Register homes, or change them; raises ``UnknownZoneError``."""
        self._registrations.register_homes(homes)

    def install_meters(self, wanted: Sequence[MeterInstallation]) -> None:
        """Install devices one after the other, with the refusals of ``MeterDataManagement.install_meter``."""
        for item in wanted:
            self._registrations.install([item])

    def exchange(self, wanted: Exchange) -> None:
        """Exchange a device, with the refusals of ``MeterDataManagement.exchange``."""
        self._registrations.exchange(wanted)

    def remove_meter(
        self, usage_point: str, *, device: str, at: datetime, closing: Mapping[Obis, Scaled] | None = None
    ) -> None:
        """Remove a device, with the refusals of ``MeterDataManagement.remove_meter``.

        Args:
            usage_point: where it is installed.
            device: the meter.
            at: aware instant of the removal.
            closing: its registers at that instant.

        """
        self._registrations.remove(usage_point, device, utc_seconds(at), closing or {})

    def delete_meter(self, device: str) -> None:
        """Delete a device, with the refusals of ``MeterDataManagement.delete_meter``."""
        if device in self._measured:
            raise MeasuredError(device)
        self._registrations.forget(device)

    def assign_tariffs(self, wanted: Sequence[tuple[str, Tariff, date]]) -> None:
        """Price usage points, with the refusals of ``MeterDataManagement.assign_tariff``."""
        self._registrations.assign_tariffs(wanted)

    def installations(self, usage_point: str) -> Sequence[InstallationRow]:
        """List the installations at a usage point, oldest first; empty where it is not registered."""
        try:
            return self._registrations.supply_at(usage_point).installations
        except UnknownUsagePointError:
            return ()
