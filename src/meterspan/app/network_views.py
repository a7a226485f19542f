"""The operator's views of a head end that runs: asked in threads, and never so long on its loop that a session waits.

Strategy: the state of all meters is looked at in small steps on the loop (a ``Survey``), at most once in ``AGE_S`` and
only while somebody asks; sorting, sums and sentences are made in the thread that asks. Small questions run on the loop
as a whole; long ones in parts.
"""

import asyncio
from collections.abc import Sequence
from datetime import date, datetime
from typing import Final

from meterspan.app.views_proxy import Call
from meterspan.head_end.system import HeadEnd
from meterspan.head_end.views import HeadEndViews, Survey, order_view
from meterspan.model.views import (
    CompletenessView,
    DamageView,
    GroupCompleteness,
    MeterStatus,
    MeterStory,
    NetworkSummary,
    OrderView,
    QuarantineView,
)

__all__ = ["SharedSurvey", "SurveyedViews"]

AGE_S: Final = 2.0
"""A survey younger than this answers further questions."""
CELLS_AT_ONCE: Final = 3_000
"""Meter-days of the completeness map that are counted in one go: some milliseconds."""
ANSWER_S: Final = 30.0
"""How long a page waits for a survey."""


class SharedSurvey:
    """The newest survey of a head end, made anew on its loop when somebody asks and it is old.

    Args:
        views: look at the meters.
        loop: of the head end.

    """

    def __init__(self, views: HeadEndViews, loop: asyncio.AbstractEventLoop) -> None:
        self._views = views
        self._loop = loop
        self._newest: Survey | None = None
        self._newest_at = 0.0
        self._changed_at = float("-inf")
        self._running: asyncio.Task[Survey] | None = None
        self._begun = 0.0

    def get(self, now: datetime) -> Survey:
        """Return a survey that is at most ``AGE_S`` old; called in another thread than the loop's.

        Raises:
            TimeoutError: the loop is too busy.

        """
        newest, taken = self._newest, self._newest_at
        if newest is not None and taken >= self._changed_at and 0 <= self._loop.time() - taken < AGE_S:
            return newest
        return asyncio.run_coroutine_threadsafe(self._fresh(now), self._loop).result(ANSWER_S)

    def forget(self) -> None:
        """Answer no question with a survey that began before now: meters were changed; called in any thread."""
        self._changed_at = self._loop.time()

    async def _fresh(self, now: datetime) -> Survey:
        """Join the survey under way, or begin one; one that a change came into is taken again."""
        while True:
            if self._running is None:
                self._begun = self._loop.time()
                self._running = asyncio.create_task(self._take(now, self._begun), name="survey")
            begun = self._begun
            survey = await asyncio.shield(self._running)
            if begun >= self._changed_at:
                return survey

    async def _take(self, now: datetime, begun: float) -> Survey:
        steps = self._views.survey(now)
        try:
            while True:
                next(steps)
                await asyncio.sleep(0)
        except StopIteration as end:
            survey: Survey = end.value
            self._newest, self._newest_at = survey, begun
            return survey
        finally:
            self._running = None


class SurveyedViews:
    """``NetworkViews`` and ``OrderDesk`` over a head end on another thread's loop.

    Args:
        head_end: the head end.
        views: its views.
        survey: its surveys.
        call: runs a question on its loop.

    """

    def __init__(self, head_end: HeadEnd, views: HeadEndViews, survey: SharedSurvey, call: Call) -> None:
        self._head_end = head_end
        self._views = views
        self._survey = survey
        self._call = call

    def summary(self, now: datetime, network: str = "") -> NetworkSummary:
        """Return the headline numbers."""
        return self._views.summary_of(self._survey.get(now), network)

    def meters(self, now: datetime) -> Sequence[MeterStatus]:
        """List all meters, worst first."""
        return self._survey.get(now).meters

    def completeness(self, first: date, last: date, devices: Sequence[str] | None = None) -> Sequence[CompletenessView]:
        """Return the completeness of these UTC days, a row per meter."""
        if devices is None:
            devices = self._call(lambda: [device.device for device in self._head_end.inventory if device.channels])
        step = max(1, CELLS_AT_ONCE // max(1, (last - first).days + 1))
        rows: list[CompletenessView] = []
        for at in range(0, len(devices), step):
            rows += self._rows(first, last, devices[at : at + step])
        return rows

    def _rows(self, first: date, last: date, devices: Sequence[str]) -> Sequence[CompletenessView]:
        return self._call(lambda: self._views.completeness(first, last, devices))

    def groups(self, first: date, last: date) -> Sequence[GroupCompleteness]:
        """Return the completeness of these UTC days by network and commodity."""
        return self._call(lambda: self._views.groups(first, last))

    def story(self, device: str, now: datetime) -> MeterStory:
        """Return one meter's story; raises ``UnknownMeterError``."""
        return self._views.story_of(self._call(lambda: self._views.story_records(device, now)))

    def quarantine(self, limit: int = 100) -> Sequence[QuarantineView]:
        """List quarantined frames, newest first."""
        return self._call(lambda: self._views.quarantine(limit))

    def damage(self) -> Sequence[DamageView]:
        """List damaged or impossible items at rest, stored items first."""
        return self._views.damage()

    def order(self, device: str, now: datetime, deadline_s: float, author: str = "") -> OrderView:
        """Order a read of all registers of a meter; raises what ``HeadEndViews.order`` raises.

        Args:
            device: the meter.
            now: the present.
            deadline_s: seconds until it counts as timed out.
            author: who orders it.

        """
        return self._call(lambda: self._views.order(device, now, deadline_s, author))

    def orders(self, limit: int = 100, device: str = "") -> Sequence[OrderView]:
        """List the newest orders, newest first; only those of one meter where it is named."""
        return [order_view(record) for record in self._call(lambda: self._head_end.orders.newest(limit, device))]

    def order_view(self, order_id: int) -> OrderView:
        """Return the state of an order; raises ``UnknownOrderError``."""
        return self._call(lambda: self._views.order_view(order_id))
