"""Home views: a home for its consumer. Power now, today, a day, a month; each of one state of the data."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import TypeVar
from zoneinfo import ZoneInfo

from meterspan.analytics.calendar import day_bounds, days_of_month, local_day, sums_between
from meterspan.analytics.tariff import bands_of_day, exact_decimal
from meterspan.mdm.curve_book import CurveBook
from meterspan.mdm.damage import IMPOSSIBLE, DamageList
from meterspan.mdm.generations import Generations
from meterspan.mdm.periods import covers, day_cost, day_view, gross_price, is_known_at_all, known_share, month_view
from meterspan.mdm.power import LIVE_AHEAD_S, LIVE_S, interval_means, minute_means, power_now
from meterspan.mdm.registrations import Registrations
from meterspan.mdm.settlement import Settlement
from meterspan.mdm.snapshots import Snapshot, consistent
from meterspan.mdm.supplies import Supply
from meterspan.model.storage.errors import DamagedSupplyError
from meterspan.model.views import Home, LiveView, PeriodView, PowerView, TodayView
from meterspan.quantities import Commodity, Direction, known_sum, utc, utc_seconds

__all__ = ["HomeAnswers"]

ResultT = TypeVar("ResultT")

POWER_SHOWN_S = 7_200
"""The power line of a page shows two hours."""


class HomeAnswers:
    """``HomeViews`` over registrations, curves and settled versions; safe for use from many threads.

    Args:
        registrations: who is metered by what.
        curves: the consumption by time.
        settlement: which versions intervals have.
        generations: which readings changed when.
        damage: where a supply that cannot be shown is named.
        newest: returns the UTC seconds of the newest reading.

    """

    def __init__(
        self,
        registrations: Registrations,
        curves: CurveBook,
        settlement: Settlement,
        *,
        generations: Generations,
        damage: DamageList,
        newest: Callable[[], int],
    ) -> None:
        self._registrations = registrations
        self._curves = curves
        self._settlement = settlement
        self._generations = generations
        self._damage = damage
        self._newest = newest

    def homes(self) -> Sequence[Home]:
        """List all homes."""
        return self._registrations.homes()

    def home(self, home_id: str) -> Home:
        """Return one home; raises ``UnknownHomeError``."""
        return self._registrations.home(home_id)

    def live(self, home_id: str, now: datetime) -> LiveView:
        """Return power now, today's consumption and cost; a damaged supply is named as damage and left out."""
        return self._ask(lambda snapshot: self._live(snapshot, home_id, now))

    def day(self, home_id: str, commodity: Commodity, day: date) -> PeriodView:
        """Return one local day's intervals (92, 96 or 100 quarters, or the meter's own period)."""

        def ask(snapshot: Snapshot, supply: Supply) -> PeriodView:
            start, end = day_bounds(day, supply.zone)
            curve = self._curves.curve(snapshot, supply, Direction.IMPORT, start, end)
            changed = [
                (low, high, row.version)
                for row in self._settlement.rows(supply, start, end)
                if row.version > 1
                for low, high in zip(row.intervals.start.tolist(), row.intervals.end.tolist(), strict=True)
            ]
            return day_view(supply, curve, day, changed)

        return self._of_supply(home_id, commodity, ask)

    def month(self, home_id: str, commodity: Commodity, month: date) -> PeriodView:
        """Return the days of the month that contains ``month``."""

        def ask(snapshot: Snapshot, supply: Supply) -> PeriodView:
            midnights = sorted({edge for day in days_of_month(month) for edge in day_bounds(day, supply.zone)})
            newest = self._newest()
            curve = self._curves.curve(snapshot, supply, Direction.IMPORT, *midnights)
            return month_view(supply, curve, month, seen_until=newest)

        return self._of_supply(home_id, commodity, ask)

    def power(self, home_id: str, now: datetime) -> PowerView:
        """Return the power of the last two hours; without points where the electricity is damaged or not metered."""
        return self._ask(lambda snapshot: self._power(snapshot, home_id, now))

    def _power(self, snapshot: Snapshot, home_id: str, now: datetime) -> PowerView:
        high = utc_seconds(now)
        low = high - POWER_SHOWN_S
        nothing = PowerView(home_id, utc(low), now)
        supplies = {supply.commodity: supply for supply in self._registrations.supplies_of(home_id)}
        supply = supplies.get(Commodity.ELECTRICITY)
        if supply is None:
            return nothing
        try:
            heard = minute_means(self._curves.momentary(snapshot, supply, low, high + 1), low, high)
            edges = low - low % supply.period_s, high + -high % supply.period_s
            bought = self._curves.curve(snapshot, supply, Direction.IMPORT, *edges)
            counts_export = self._curves.chain(supply, Direction.EXPORT).registers
            sold = self._curves.curve(snapshot, supply, Direction.EXPORT, *edges)
        except IMPOSSIBLE:
            if not snapshot.holds:
                raise  # it was changed meanwhile, and is asked again
            return nothing  # ``live`` names it as damage
        return replace(nothing, heard=heard, means=interval_means(bought, sold if counts_export else None))

    def _of_supply(
        self, home_id: str, commodity: Commodity, ask: Callable[[Snapshot, Supply], PeriodView]
    ) -> PeriodView:
        """Return the answer for one supply; one that is damaged is named, and raises ``DamagedSupplyError``."""

        def answer(snapshot: Snapshot) -> PeriodView:
            supply = self._registrations.supply(home_id, commodity)
            item = f"usage point {supply.usage_point}"
            try:
                view = ask(snapshot, supply)
            except IMPOSSIBLE as error:
                if not snapshot.holds:
                    raise  # it was changed meanwhile, and is asked again
                self._damage.note(item, error, question="history")
                raise DamagedSupplyError(f"{item}: {error}") from error
            self._damage.clear(item, question="history")
            return view

        return self._ask(answer)

    def _ask(self, ask: Callable[[Snapshot], ResultT]) -> ResultT:
        return consistent(self._generations, ask)

    # --- now ----------------------------------------------------------------------------------------------------

    def _live(self, snapshot: Snapshot, home_id: str, now: datetime) -> LiveView:
        home = self._registrations.home(home_id)
        instant = utc_seconds(now)
        today = local_day(instant, home.zone)
        views: list[TodayView] = []
        left_out: list[Commodity] = []
        band, price, band_until = "", None, None
        power: tuple[int, int] | None = None
        for supply in self._registrations.supplies_of(home_id):
            item = f"usage point {supply.usage_point}"
            try:
                if supply.commodity is Commodity.ELECTRICITY:
                    band, price, band_until = _band_now(supply, today, instant)
                    power = power_now(self._curves.momentary(snapshot, supply, *_around(instant)))
                views.append(self._today(snapshot, supply, today, now))
            except IMPOSSIBLE as error:
                if not snapshot.holds:
                    raise  # it was changed meanwhile, and is asked again
                self._damage.note(item, error, question="live")
                left_out.append(supply.commodity)
            else:
                self._damage.clear(item, question="live")
        return LiveView(
            home_id,
            now,
            None if power is None else power[0],
            None if power is None else utc(power[1]),
            band,
            price,
            band_until,
            tuple(views),
            known_sum(view.cost for view in views),
            home.currency,
            tuple(left_out),
        )

    def _today(self, snapshot: Snapshot, supply: Supply, today: date, now: datetime) -> TodayView:
        midnight, following = day_bounds(today, supply.zone)
        curve = self._curves.curve(snapshot, supply, Direction.IMPORT, midnight, following)
        bill = day_cost(supply, curve, today)
        is_known = is_known_at_all(curve)
        share, same_time = None, None
        if is_known and curve.last is not None:
            seen = min(utc_seconds(now), curve.last, following)
            share = known_share(curve, midnight, seen)
            if share == 1:  # a hole of today would show as less used than yesterday
                same_time = self._yesterday(snapshot, supply, today, seen)
        return TodayView(
            supply.commodity,
            exact_decimal(curve.total) if is_known else None,
            supply.unit,
            bill.total if bill is not None and is_known else None,
            same_time,
            None if curve.last is None else utc(curve.last),
            share,
        )

    def _yesterday(self, snapshot: Snapshot, supply: Supply, today: date, seen: int) -> Decimal | None:
        """Return what was used yesterday up to the local time of ``seen``, None where a part of it is not known.

        ``seen`` is the last reading: a late meter did not save energy.
        """
        day = today - timedelta(days=1)
        low, high = day_bounds(day, supply.zone)
        before = self._curves.curve(snapshot, supply, Direction.IMPORT, low, high)
        wall = utc(seen).astimezone(ZoneInfo(supply.zone)).replace(year=day.year, month=day.month, day=day.day)
        until = min(max(utc_seconds(wall), low), high)
        if not covers(before, low, until):  # a hole of yesterday would show as more used today
            return None
        used = sums_between(before.start, before.end, before.value, (low, until))
        return exact_decimal(int(used.sum()) * before.step)


def _around(now: int) -> tuple[int, int]:
    """Return the span in which a momentary value is of now."""
    return now - LIVE_S, now + LIVE_AHEAD_S + 1


def _band_now(supply: Supply, today: date, now: int) -> tuple[str, Decimal | None, datetime | None]:
    """Return the tariff band at an instant, its price, and when another band begins."""
    tariff = supply.tariff(today)
    if tariff is None:
        return "", None, None
    spans = list(bands_of_day(tariff, today, supply.zone))
    spans.extend(bands_of_day(tariff, today + timedelta(days=1), supply.zone))
    at = next(index for index, span in enumerate(spans) if span.start <= now < span.end)
    change = next((span.start for span in spans[at:] if span.band != spans[at].band), None)
    return spans[at].band, gross_price(tariff, spans[at].band), None if change is None else utc(change)
