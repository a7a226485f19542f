"""What a registry answers when a name is not known to it, or a registration contradicts what is registered.

UnknownNameError (LookupError)          a name that is not registered
├── UnknownHomeError
├── UnknownSupplyError                  the home is known and has no such commodity
├── UnknownUsagePointError
├── UnknownMeterError
├── UnknownOrderError
└── UnknownImportError
RegistrationError (ValueError)          a registration that contradicts what is registered
├── UnknownZoneError
├── MeterPresentError                   another meter is installed at the usage point
├── SupplyPresentError                  the home has this commodity at another usage point
├── NotInstalledError                   the meter to be exchanged is not the one installed
├── ExchangeTimeError                   the exchange or removal is before the installation
├── OccupiedError                       another meter was installed there until a later time
├── MeasuredError                       the meter has given readings, so it is removed and not deleted
├── PeriodError                         the grid of the intervals is not a positive number of seconds
├── RegisterError                       no meter has this opening or closing value, or this width
├── RatioError                          the transformer ratio is not a positive number
├── TariffUnitError                     the tariff is per another unit than the supply is counted in
└── ImportUndoneError                   the import was undone before

Callers dispatch on the type and read the fields; nobody reads the sentence.
"""

from datetime import datetime

from meterspan.quantities import Commodity

__all__ = [
    "ExchangeTimeError",
    "ImportUndoneError",
    "MeasuredError",
    "MeterPresentError",
    "NotInstalledError",
    "OccupiedError",
    "PeriodError",
    "RatioError",
    "RegisterError",
    "RegistrationError",
    "SupplyPresentError",
    "TariffUnitError",
    "UnknownHomeError",
    "UnknownImportError",
    "UnknownMeterError",
    "UnknownNameError",
    "UnknownOrderError",
    "UnknownSupplyError",
    "UnknownUsagePointError",
    "UnknownZoneError",
]


class UnknownNameError(LookupError):
    """A name that is not registered."""


class UnknownHomeError(UnknownNameError):
    """No home has this id."""

    def __init__(self, home_id: str) -> None:
        super().__init__(f"no home is called {home_id!r}")
        self.home_id = home_id


class UnknownSupplyError(UnknownNameError):
    """The home is known, and no such commodity is measured in it."""

    def __init__(self, home_id: str, commodity: Commodity) -> None:
        super().__init__(f"home {home_id!r} has no {commodity}")
        self.home_id = home_id
        self.commodity = commodity


class UnknownUsagePointError(UnknownNameError):
    """No usage point has this name."""

    def __init__(self, usage_point: str) -> None:
        super().__init__(f"usage point {usage_point!r} is not registered")
        self.usage_point = usage_point


class UnknownMeterError(UnknownNameError):
    """No meter has this identification."""

    def __init__(self, device: str) -> None:
        super().__init__(f"no meter is called {device!r}")
        self.device = device


class UnknownOrderError(UnknownNameError):
    """No order has this number, or it was dropped because of its age."""

    def __init__(self, order_id: int) -> None:
        super().__init__(f"no order has number {order_id}")
        self.order_id = order_id


class UnknownImportError(UnknownNameError):
    """No import has this number."""

    def __init__(self, number: int) -> None:
        super().__init__(f"no import has number {number}")
        self.number = number


class RegistrationError(ValueError):
    """A registration that contradicts what is registered; nothing was changed."""


class UnknownZoneError(RegistrationError):
    """The zone is not an IANA name."""

    def __init__(self, zone: str) -> None:
        super().__init__(f"{zone!r} is not a time zone; use an IANA name like Europe/Berlin")
        self.zone = zone


class MeterPresentError(RegistrationError):
    """Another meter is installed at the usage point: it is exchanged, not installed over."""

    def __init__(self, usage_point: str, device: str) -> None:
        super().__init__(f"{device} is installed at {usage_point}; exchange it")
        self.usage_point = usage_point
        self.device = device
        """The meter that is installed."""


class SupplyPresentError(RegistrationError):
    """The home has this commodity at another usage point."""

    def __init__(self, home_id: str, commodity: Commodity, usage_point: str) -> None:
        super().__init__(f"home {home_id} has its {commodity} at {usage_point} already")
        self.home_id = home_id
        self.commodity = commodity
        self.usage_point = usage_point
        """Where the home has it."""


class NotInstalledError(RegistrationError):
    """The meter is not installed at the usage point, or was removed from it."""

    def __init__(self, usage_point: str, device: str) -> None:
        super().__init__(f"{device} is not installed at {usage_point}")
        self.usage_point = usage_point
        self.device = device


class ExchangeTimeError(RegistrationError):
    """A meter can leave only after it was installed."""

    def __init__(self, device: str, at: datetime) -> None:
        super().__init__(f"{device} was not installed before {at.isoformat()}; it can leave only later")
        self.device = device
        self.at = at


class OccupiedError(RegistrationError):
    """Another meter was installed at the usage point until a later time."""

    def __init__(self, usage_point: str, device: str, until: datetime) -> None:
        super().__init__(f"{device} was installed at {usage_point} until {until.isoformat()}; install it from then on")
        self.usage_point = usage_point
        self.device = device
        """The meter that was installed."""
        self.until = until


class MeasuredError(RegistrationError):
    """A meter that has given readings is removed, not deleted: bills refer to them."""

    def __init__(self, device: str) -> None:
        super().__init__(f"{device} has given readings, and bills may refer to them; remove it instead")
        self.device = device


class PeriodError(RegistrationError):
    """The grid of a usage point's intervals is a positive number of seconds."""

    def __init__(self, usage_point: str, period_s: int) -> None:
        super().__init__(f"{period_s} s cannot be the period of {usage_point}")
        self.usage_point = usage_point
        self.period_s = period_s


class RegisterError(RegistrationError):
    """A register was given that no meter shows: its integer, step, unit or width is impossible."""

    def __init__(self, device: str, register: str, reason: str) -> None:
        super().__init__(f"{register} of {device} cannot be registered: {reason}")
        self.device = device
        self.register = register
        """OBIS code as text."""
        self.reason = reason


class RatioError(RegistrationError):
    """The transformer ratio is not a positive number, or one that no transformer has."""

    def __init__(self, device: str, multiplier: int) -> None:
        super().__init__(f"{multiplier} cannot be the transformer ratio of {device}")
        self.device = device
        self.multiplier = multiplier


class TariffUnitError(RegistrationError):
    """The tariff is per another unit than the supply is counted in, and has no conversion."""

    def __init__(self, tariff: str, unit: str, usage_point: str, counted: str) -> None:
        super().__init__(f"tariff {tariff!r} is per {unit}, {usage_point} counts {counted}")
        self.tariff = tariff
        self.unit = unit
        self.usage_point = usage_point
        self.counted = counted


class ImportUndoneError(RegistrationError):
    """The import was undone before; nothing was changed."""

    def __init__(self, number: int, undone_at: int) -> None:
        super().__init__(f"import {number} was undone before")
        self.number = number
        self.undone_at = undone_at
