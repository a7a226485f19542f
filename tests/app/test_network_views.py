"""Views of a running head end: one survey for many questions, in small steps, and answers like those of the views."""

import asyncio
import inspect
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from typing import Any

import pytest

from meterspan.app import network_views
from meterspan.app.network_views import SharedSurvey, SurveyedViews
from meterspan.app.views_proxy import on_loop
from meterspan.engine.links import DeviceProtocol
from meterspan.head_end import views as head_end_views
from meterspan.head_end.inventory import ChannelPlan, Device, KeyCustody
from meterspan.head_end.ledger import Channel
from meterspan.head_end.system import HeadEnd
from meterspan.head_end.views import HeadEndViews
from meterspan.model.lookup_errors import UnknownMeterError, UnknownOrderError
from meterspan.model.storage.stretches import Stretch
from meterspan.model.views import NetworkViews, OrderDesk
from meterspan.quantities import DAY_S, Commodity, Obis
from tests.helpers_waiting import until

IMPORT = Obis(1, 0, 1, 8, 0)
DAY = 20_000
NOW = datetime.fromtimestamp(DAY * DAY_S + 12 * 3_600, UTC)
TODAY = date(2024, 10, 4)


class Sink:
    def take(self, blocks, events=()):
        pass


class Numbers:
    def readings_stored(self):
        return 42

    def unexplained_wh(self):
        return None

    def damage(self):
        return []


def head_end_of(meters: int, *, days: int = 1) -> HeadEnd:
    """A head end whose meters were read completely but for one hour, yesterday."""
    head_end = HeadEnd(Sink(), KeyCustody(bytes(32)))
    start = (DAY - days) * DAY_S
    count = (DAY * DAY_S + 11 * 3_600 - start) // 900 - 1
    stretches = [Stretch(start + 900, 900, 8), Stretch(start + 13 * 900, 900, count - 12)]
    for number in range(meters):
        device = Device(
            f"M{number:05}",
            Commodity.ELECTRICITY,
            DeviceProtocol.DLMS_WRAPPER,
            "192.0.2.1:4059",
            f"area-{number % 3}",
            channels=(ChannelPlan(IMPORT),),
            installed_at=start,
        )
        head_end.add_device(device, NOW.timestamp())
        head_end.recall(Channel(device.device, IMPORT), stretches, NOW.timestamp() - 3_600)
    return head_end


def asked(head_end: HeadEnd, ask: Callable[[SurveyedViews, HeadEndViews], Any]) -> Any:
    """Ask in a thread, while the head end's loop runs in this one."""
    views = HeadEndViews(head_end, Numbers(), lambda *_: ("", ()), lambda: NOW)

    async def scenario() -> Any:
        loop = asyncio.get_running_loop()
        surveyed = SurveyedViews(head_end, views, SharedSurvey(views, loop), on_loop(loop))
        with ThreadPoolExecutor(8) as pool:
            return await loop.run_in_executor(pool, ask, surveyed, views)

    return asyncio.run(scenario())


def test_every_answer_is_that_of_the_views_themselves() -> None:
    head_end = head_end_of(30)
    head_end.order("M00003", [IMPORT], now=NOW.timestamp(), deadline=NOW.timestamp() + 60)
    questions: dict[str, tuple[Any, ...]] = {
        "summary": (NOW, "area-1"),
        "meters": (NOW,),
        "completeness": (date(2024, 9, 4), TODAY),
        "groups": (date(2024, 9, 4), TODAY),
        "story": ("M00002", NOW),
        "quarantine": (5,),
        "damage": (),
        "orders": (5,),
        "order_view": (1,),
    }
    named = {name for kind in (NetworkViews, OrderDesk) for name, _ in inspect.getmembers(kind, inspect.isfunction)}
    assert {name for name in named if not name.startswith("_")} == questions.keys() | {"order"}

    def both(ours: SurveyedViews, theirs: HeadEndViews) -> list[tuple[str, Any, Any]]:
        return [(name, getattr(ours, name)(*given), getattr(theirs, name)(*given)) for name, given in questions.items()]

    for name, ours, theirs in asked(head_end, both):
        assert list(ours) == list(theirs) if isinstance(theirs, list | tuple) else ours == theirs, name
    assert asked(head_end, lambda ours, _: ours.order("M00001", NOW, 60.0)).order_id == 2


def test_what_is_not_known_is_said_as_by_the_views() -> None:
    def ask(ours: SurveyedViews, _: HeadEndViews) -> None:
        with pytest.raises(UnknownMeterError):
            ours.story("nobody", NOW)
        with pytest.raises(UnknownOrderError):
            ours.order_view(7)

    asked(head_end_of(1), ask)


@pytest.mark.finding("security H5")
@pytest.mark.attack(10)
def test_many_questions_at_once_take_one_survey_and_the_loop_runs_between_its_steps(monkeypatch) -> None:
    head_end = head_end_of(1_000)
    views = HeadEndViews(head_end, Numbers(), lambda *_: ("", ()), lambda: NOW)
    surveys = []
    survey = views.survey
    monkeypatch.setattr(views, "survey", lambda now: surveys.append(now) or survey(now))
    turns = 0

    async def scenario() -> None:
        nonlocal turns
        loop = asyncio.get_running_loop()
        shared = SharedSurvey(views, loop)
        with ThreadPoolExecutor(8) as pool:
            asking = [loop.run_in_executor(pool, shared.get, NOW) for _ in range(40)]
            while not all(task.done() for task in asking):
                turns += 1
                await asyncio.sleep(0)
        assert len({id(task.result()) for task in asking}) == 1

    asyncio.run(scenario())
    assert len(surveys) == 1
    assert turns >= 1_000 // head_end_views.SURVEY_STEP


def test_no_survey_that_began_before_a_change_is_shown_after_it(monkeypatch) -> None:
    monkeypatch.setattr(network_views, "AGE_S", 3_600.0)
    head_end = head_end_of(1_000)
    views = HeadEndViews(head_end, Numbers(), lambda *_: ("", ()), lambda: NOW)
    begun = []
    survey = views.survey
    monkeypatch.setattr(views, "survey", lambda now: begun.append(now) or survey(now))

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        shared = SharedSurvey(views, loop)
        first = loop.run_in_executor(None, shared.get, NOW)
        await until(lambda: begun, every_s=0)
        shared.forget()  # while the first is under way
        before = await first
        assert len(begun) == 2, "the one under way is taken again"
        assert await loop.run_in_executor(None, shared.get, NOW) is before
        shared.forget()
        assert await loop.run_in_executor(None, shared.get, NOW) is not before

    asyncio.run(scenario())
    assert len(begun) == 3


def test_a_survey_that_is_old_is_not_shown(monkeypatch) -> None:
    monkeypatch.setattr(network_views, "AGE_S", 0.0)
    head_end = head_end_of(1)

    def ask(ours: SurveyedViews, _: HeadEndViews) -> None:
        before = ours.meters(NOW)[0].received
        head_end.recall(Channel("M00000", IMPORT), [Stretch(DAY * DAY_S - DAY_S + 9 * 900, 0, 1)], NOW.timestamp())
        assert ours.meters(NOW)[0].received == before + 1

    asked(head_end, ask)


def test_a_survey_that_fails_is_raised_to_who_asked_and_the_next_one_is_taken(monkeypatch) -> None:
    def ask(ours: SurveyedViews, views: HeadEndViews) -> None:
        good = views.survey

        def broken(now):
            yield
            raise ArithmeticError("odd")

        views.survey = broken
        with pytest.raises(ArithmeticError):
            ours.meters(NOW)
        views.survey = good
        assert len(ours.meters(NOW)) == 2

    asked(head_end_of(2), ask)


@pytest.mark.finding("security H5")
@pytest.mark.attack(10)
def test_the_map_of_all_meters_is_counted_in_parts(monkeypatch) -> None:
    monkeypatch.setattr(network_views, "CELLS_AT_ONCE", 28 * 4)
    counted = []
    rows = HeadEndViews.completeness

    def noted(self, first, last, devices=None):
        counted.append(len(devices))
        return rows(self, first, last, devices)

    monkeypatch.setattr(HeadEndViews, "completeness", noted)
    found = asked(head_end_of(10), lambda ours, _: ours.completeness(date(2024, 9, 7), TODAY))
    assert [row.device for row in found] == [f"M{number:05}" for number in range(10)]
    assert counted == [4, 4, 2]
