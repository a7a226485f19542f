"""What the portal stands on: the two view protocols and a clock, with unknown things turned into problems."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

from meterspan.model.lookup_errors import UnknownHomeError, UnknownMeterError, UnknownOrderError, UnknownSupplyError
from meterspan.model.views import Home, HomeViews, LiveView, MeterStory, NetworkViews, OrderDesk, OrderView, PeriodView
from meterspan.portal.problems import ProblemError
from meterspan.quantities import Commodity

__all__ = ["Sources", "parse_month"]

_FIRST_YEAR, _LAST_YEAR = 2000, 2099


@dataclass(frozen=True, slots=True)
class Sources:
    """The views with the portal's manners: an unknown home, commodity, meter or day is a ``ProblemError``."""

    homes: HomeViews
    network: NetworkViews
    clock: Callable[[], datetime]
    orders: OrderDesk | None = None

    def home(self, home_id: str) -> Home:
        """Give one home."""
        with _unknown_home(home_id):
            return self.homes.home(home_id)

    def live(self, home_id: str) -> LiveView:
        """Give a home's live view."""
        with _unknown_home(home_id):
            return self.homes.live(home_id, self.clock())

    def day(self, home_id: str, commodity: Commodity, day: date) -> PeriodView:
        """Give one local day."""
        with _unknown_home(home_id), _absent(commodity):
            return self.homes.day(home_id, commodity, _within(day))

    def month(self, home_id: str, commodity: Commodity, month: date) -> PeriodView:
        """Give one month."""
        with _unknown_home(home_id), _absent(commodity):
            return self.homes.month(home_id, commodity, _within(month))

    def story(self, device: str) -> MeterStory:
        """Tell one meter's story."""
        try:
            return self.network.story(device, self.clock())
        except UnknownMeterError as error:
            raise _unknown_meter(device) from error

    def order(self, device: str, deadline_s: float) -> OrderView:
        """Ask for a meter to be read now."""
        try:
            return self._desk().order(device, self.clock(), deadline_s)
        except UnknownMeterError as error:
            raise _unknown_meter(device) from error

    def order_view(self, order_id: int) -> OrderView:
        """Say how an order stands."""
        try:
            return self._desk().order_view(order_id)
        except UnknownOrderError as error:
            raise ProblemError(
                404,
                "unknown-order",
                title="This order is not known",
                detail=f"No order has number {order_id}, or it is so old that it was forgotten.",
                remedy="Ask for the meter again; the answer names the new order.",
            ) from error

    def _desk(self) -> OrderDesk:
        if self.orders is None:
            raise ProblemError(
                501,
                "no-head-end",
                title="Nobody here can read a meter now",
                detail="This portal stands on meters that only speak by themselves.",
                remedy="Run a head end (meterspan serve) for meters that can be asked.",
            )
        return self.orders

    def local_today(self, home: Home) -> date:
        """Give the home's local date."""
        return self.clock().astimezone(ZoneInfo(home.zone)).date()


def _unknown_meter(device: str) -> ProblemError:
    return ProblemError(
        404,
        "unknown-meter",
        title="This meter is not in the inventory",
        detail=f"No meter is called {device!r}.",
        remedy="Take the identification from the meter list of the operator view; it is case-sensitive.",
    )


def parse_month(text: str) -> date:
    """Parse ``2026-11`` into its first day; the year 0000 counts as out of range like any other before 2000."""
    return date(max(1, int(text[:4])), int(text[5:]), 1)


@contextmanager
def _unknown_home(home_id: str) -> Iterator[None]:
    try:
        yield
    except UnknownHomeError as error:
        raise ProblemError(
            404,
            "unknown-home",
            title="This home is not known here",
            detail=f"No home is called {home_id!r}.",
            remedy="Take the name from the list of homes; it is case-sensitive.",
        ) from error


@contextmanager
def _absent(commodity: Commodity) -> Iterator[None]:
    try:
        yield
    except UnknownSupplyError as error:
        raise ProblemError(
            404,
            "no-such-supply",
            title="This home has no such supply",
            detail=f"No {commodity} is measured in this home.",
            remedy="Choose one of the home's usage points; they are listed with the home.",
        ) from error


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
