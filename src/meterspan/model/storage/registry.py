"""The rows of a registry: homes, usage points, devices, installations, series, tariffs and interval versions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from meterspan.model.storage.readings import SettledIntervals

__all__ = [
    "DeviceRow",
    "HomeRow",
    "InstallationRow",
    "RegistryRow",
    "SeriesRow",
    "TariffRow",
    "UsagePointRow",
    "VersionRow",
]


@dataclass(frozen=True, slots=True)
class HomeRow:
    """One consumer's premises."""

    home_id: str
    name: str
    zone: str
    currency: str


@dataclass(frozen=True, slots=True)
class UsagePointRow:
    """One supply of a home, with the grid of its intervals."""

    usage_point: str
    home_id: str
    commodity: str
    period_s: int


@dataclass(frozen=True, slots=True)
class DeviceRow:
    """One meter; the texts say how it is reached."""

    device: str
    commodity: str
    protocol: str = ""
    interface: str = ""
    network: str = ""


@dataclass(frozen=True, slots=True)
class InstallationRow:
    """One device at one usage point.

    ``opening`` and ``closing`` map an OBIS text to [integer, exponent, unit symbol]; ``width`` maps it to the number
    of steps of the series after which the register begins anew.
    """

    usage_point: str
    device: str
    start: int
    end: int | None
    multiplier: int
    opening: Mapping[str, Sequence[Any]]
    closing: Mapping[str, Sequence[Any]]
    width: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class SeriesRow:
    """One channel of a device at one scale."""

    series_id: int
    device: str
    obis: str
    unit: str
    exponent: int


@dataclass(frozen=True, slots=True)
class TariffRow:
    """A tariff's declaration, in force at a usage point from a local day (ISO date) on."""

    usage_point: str
    first_day: str
    declaration: Mapping[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class VersionRow:
    """What one version says of one UTC day of a usage point: all intervals (version 1) or the changed ones."""

    usage_point: str
    day: int
    version: int
    created_at: int
    reason: str
    rule: str
    author: str
    step: str
    """Size of one step in the display unit, as a fraction: ``1/1000``."""
    intervals: SettledIntervals
    is_damaged: bool = False
    """The intervals do not read back (they are empty here); the number stays taken, so settle the day again."""


RegistryRow = HomeRow | UsagePointRow | DeviceRow | InstallationRow | TariffRow
"""Rows that ``RegistryStore.save`` adds or replaces."""
