"""The sources of the portal: the view protocols and a clock.

Exceptions of the views pass through; ``problems`` turns them into answers by type.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

from meterspan.model.meter_changes import InstallationView, MeterDesk
from meterspan.model.views import (
    Home,
    HomeViews,
    LiveView,
    MeterStory,
    NetworkViews,
    OrderDesk,
    OrderView,
    PeriodView,
    PowerView,
)
from meterspan.portal.problems import ProblemError
from meterspan.quantities import Commodity

__all__ = ["Sources", "parse_month"]

_FIRST_YEAR, _LAST_YEAR = 2000, 2099


@dataclass(frozen=True, slots=True)
class Sources:
    """The views at the present time; a day out of range and an order without a head end are ``ProblemError``s."""

    homes: HomeViews
    network: NetworkViews
    clock: Callable[[], datetime]
    orders: OrderDesk | None = None
    meter_desk: MeterDesk | None = None
    is_time_lapse: Callable[[], bool] = lambda: False
    """Whether the clock runs faster than time: pages say so."""

    def home(self, home_id: str) -> Home:
        """Return one home."""
        return self.homes.home(home_id)

    def live(self, home_id: str) -> LiveView:
        """Return a home's live view."""
        return self.homes.live(home_id, self.clock())

    def power(self, home_id: str) -> PowerView:
        """Return a home's power of the last hours."""
        return self.homes.power(home_id, self.clock())

    def day(self, home_id: str, commodity: Commodity, day: date) -> PeriodView:
        """Return one local day."""
        return self.homes.day(home_id, commodity, _within(day))

    def month(self, home_id: str, commodity: Commodity, month: date) -> PeriodView:
        """Return one month."""
        return self.homes.month(home_id, commodity, _within(month))

    def story(self, device: str) -> MeterStory:
        """Return one meter's story."""
        return self.network.story(device, self.clock())

    def order(self, device: str, deadline_s: float, author: str) -> OrderView:
        """Ask for a meter to be read now."""
        return self.desk.order(device, self.clock(), deadline_s, author)

    def orders_of(self, device: str, limit: int) -> Sequence[OrderView]:
        """List the newest orders of a meter, newest first; none where there is no head end."""
        return () if self.orders is None else self.orders.orders(limit, device)

    @property
    def desk(self) -> OrderDesk:
        """Where meters are asked; raises a ``ProblemError`` where there is no head end."""
        if self.orders is None:
            raise ProblemError(
                501,
                "no-head-end",
                title="Meters cannot be read on demand here",
                detail="The meters of this portal send by themselves and accept no requests.",
                remedy="Run a head end (meterspan serve) for meters that can be asked.",
            )
        return self.orders

    @property
    def changes(self) -> MeterDesk:
        """Where meters are changed; raises a ``ProblemError`` where there is no head end."""
        if self.meter_desk is None:
            raise ProblemError(
                501,
                "no-meter-desk",
                title="Meters cannot be changed here",
                detail="This portal has no head end that keeps an inventory.",
                remedy="Run a head end (meterspan serve), or change the meters where this program is configured.",
            )
        return self.meter_desk

    def installations(self, device: str) -> Sequence[InstallationView]:
        """List the installations where a meter measures or measured; none where there is no head end."""
        return () if self.meter_desk is None else self.meter_desk.installations(device)

    def local_today(self, home: Home) -> date:
        """Return the home's local date."""
        return self.clock().astimezone(ZoneInfo(home.zone)).date()


def parse_month(text: str) -> date:
    """Parse ``2026-11`` into its first day; the year 0000 counts as out of range like any other before 2000."""
    return date(max(1, int(text[:4])), int(text[5:]), 1)


def _within(day: date) -> date:
    if not _FIRST_YEAR <= day.year <= _LAST_YEAR:
        raise ProblemError(
            422,
            "date-out-of-range",
            title="This date is out of range",
            detail=f"{day.isoformat()} is not within {_FIRST_YEAR} to {_LAST_YEAR}.",
            remedy="Ask for a day of the metering era.",
        )
    return day
