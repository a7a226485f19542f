"""A supply: all that is registered of one usage point, as one frozen record that an answer rests on."""

from dataclasses import dataclass, field
from datetime import date

from meterspan.analytics.tariff import Tariff
from meterspan.model.storage.registry import DeviceRow, InstallationRow
from meterspan.quantities import CATALOGUE, Commodity

__all__ = ["Supply"]


@dataclass(frozen=True, slots=True)
class Supply:
    """One usage point with its home, chain of installations and tariffs, as registered at one moment.

    Attributes:
        usage_point: where the supply is measured.
        home_id: the home that it belongs to.
        commodity: the measured commodity.
        zone: IANA name of the home's time zone.
        currency: of the home.
        period_s: grid of the intervals in seconds.
        tariffs: (first local day, tariff), in order of the days.
        installations: the chain of installations, oldest first.
        devices: the device of each installation.
        revision: grows with each change of the chain or the grid; values derived of another one do not count.
        device_names: identifications of all devices of the chain.

    """

    usage_point: str
    home_id: str
    commodity: Commodity
    zone: str
    currency: str
    period_s: int
    tariffs: tuple[tuple[date, Tariff], ...]
    installations: tuple[InstallationRow, ...]
    devices: tuple[DeviceRow, ...]
    revision: int = 0
    device_names: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "device_names", frozenset(row.device for row in self.installations))

    @property
    def unit(self) -> str:
        """The unit in which people read the supply: kWh or m3."""
        return CATALOGUE[self.commodity].display_unit

    @property
    def meter(self) -> str:
        """Identification of the device installed last."""
        return self.installations[-1].device

    def tariff(self, day: date) -> Tariff | None:
        """Return the tariff in force on a local day."""
        return next((tariff for first, tariff in reversed(self.tariffs) if first <= day), None)
