"""The data management: takes readings durably, keeps who is metered by what, and answers what people ask.

Registers are stored as they came; intervals are derived by the conservation law and kept in versions. All public
methods may be called from any thread.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Self

from meterspan.analytics.tariff import Tariff
from meterspan.model.readings import CaptureBlock, Commodity, MeterEvent, Series
from meterspan.model.views import Completeness, Home, LiveView, PeriodView
from meterspan.quantities import Interval, Obis, Quality, Scaled

__all__ = ["IntervalVersion", "MeterDataManagement", "Totals"]


@dataclass(frozen=True, slots=True)
class Totals:
    """What the data management holds."""

    readings: int
    """Distinct (series, time, value) stored."""
    duplicates: int
    """Readings that came again and were recognised."""
    conflicts: int
    """Readings that contradict one already stored; both are kept."""
    series: int
    homes: int
    events: int
    unexplained_wh: int
    """Sum of the absolute unexplained register differences of energy registers, in Wh."""


@dataclass(frozen=True, slots=True)
class IntervalVersion:
    """One version of one interval."""

    version: int
    start: datetime
    end: datetime
    value: Scaled | None
    quality: Quality
    created_at: datetime
    reason: str
    rule: str
    author: str


class MeterDataManagement:
    """The data management over one directory; also the ``ReadingSink`` of head end and access points."""

    def __init__(self, directory: Path) -> None:
        raise NotImplementedError

    def __enter__(self) -> Self:
        raise NotImplementedError

    def __exit__(self, *_exc: object) -> None:
        raise NotImplementedError

    def close(self) -> None:
        """Close files; what was taken stays."""
        raise NotImplementedError

    @property
    def revision(self) -> int:
        """Grow with every change; equal revisions mean equal answers."""
        raise NotImplementedError

    # --- taking -------------------------------------------------------------------------------------------------

    def take(self, blocks: Sequence[CaptureBlock], events: Sequence[MeterEvent] = ()) -> None:
        """Take a batch durably: when the call returns, it survives ``kill -9``."""
        raise NotImplementedError

    # --- registration -------------------------------------------------------------------------------------------

    def register_home(self, home_id: str, name: str, *, zone: str, currency: str = "EUR") -> None:
        """Register a home, or change its name, zone or currency."""
        raise NotImplementedError

    def install_meter(
        self, home_id: str, usage_point: str, *, device: str, commodity: Commodity, at: datetime,
        opening: Mapping[Obis, Scaled] | None = None, period_s: int = 900,
        register_width: Mapping[Obis, int] | None = None, multiplier: int = 1,
        protocol: str = "", interface: str = "", network: str = "",
    ) -> None:  # fmt: skip
        """Install a device at a usage point of a home (made where new) from ``at``; the same call again changes nothing."""
        raise NotImplementedError

    def exchange_meter(
        self, usage_point: str, *, old_device: str, closing: Mapping[Obis, Scaled],
        new_device: str, opening: Mapping[Obis, Scaled], at: datetime, register_width: Mapping[Obis, int] | None = None,
    ) -> None:  # fmt: skip
        """Exchange the device: closing and opening registers join the two chains so that no energy is lost."""
        raise NotImplementedError

    def assign_tariff(self, usage_point: str, tariff: Tariff, *, first_day: date) -> None:
        """Price the usage point by ``tariff`` from the local day ``first_day`` on."""
        raise NotImplementedError

    # --- views (HomeViews) --------------------------------------------------------------------------------------

    def homes(self) -> Sequence[Home]:
        """List all homes."""
        raise NotImplementedError

    def home(self, home_id: str) -> Home:
        """Give one home."""
        raise NotImplementedError

    def live(self, home_id: str, now: datetime) -> LiveView:
        """Give power now, today's consumption and cost."""
        raise NotImplementedError

    def day(self, home_id: str, commodity: Commodity, day: date) -> PeriodView:
        """Give one local day's intervals."""
        raise NotImplementedError

    def month(self, home_id: str, commodity: Commodity, month: date) -> PeriodView:
        """Give the days of the month that ``month`` lies in."""
        raise NotImplementedError

    # --- the operator's numbers ---------------------------------------------------------------------------------

    def totals(self) -> Totals:
        """Give what is held."""
        raise NotImplementedError

    def completeness(self, first: date, last: date) -> Sequence[Completeness]:
        """Count expected and received registers of each device's billing register per UTC day."""
        raise NotImplementedError

    def events(self, device: str) -> Sequence[MeterEvent]:
        """List a device's events in order of time."""
        raise NotImplementedError

    def series(self) -> Sequence[Series]:
        """List all series."""
        raise NotImplementedError

    # --- versions and upkeep ------------------------------------------------------------------------------------

    def settle(self, now: datetime) -> int:
        """Bring the stored interval versions of closed UTC days up to date; give how many versions were made."""
        raise NotImplementedError

    def versions(self, usage_point: str, interval: Interval) -> Sequence[IntervalVersion]:
        """List all versions of the intervals inside ``interval``, oldest first."""
        raise NotImplementedError

    def maintain(self, now: datetime) -> None:
        """Settle, then compact closed UTC days into Parquet."""
        raise NotImplementedError
