"""A stand-in forwards every method of every view protocol, and changes neither answers nor errors."""

import asyncio
import inspect
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import pytest

from meterspan.app.views_proxy import on_loop, passed_through, under_lock
from meterspan.model.views import HomeViews, NetworkViews, OrderDesk

ResultT = TypeVar("ResultT")


class Asked:
    """Answers any question with the question, or raises what it is told to."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.thread = 0

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def answer(*arguments: object, **named: object) -> object:
            self.thread = threading.get_ident()
            if self.error is not None:
                raise self.error
            return name, arguments, named

        return answer


def methods_of(protocol: type) -> Iterator[tuple[str, list[object], dict[str, object]]]:
    """Return each method of a protocol with a value for each of its parameters."""
    for name, function in inspect.getmembers(protocol, inspect.isfunction):
        if name.startswith("_"):
            continue
        parameters = [known for known in inspect.signature(function).parameters.values() if known.name != "self"]
        plain = [object() for known in parameters if known.kind is not known.KEYWORD_ONLY]
        yield name, plain, {known.name: object() for known in parameters if known.kind is known.KEYWORD_ONLY}


METHODS = [
    (f"{protocol.__name__}.{name}", name, plain, named)
    for protocol in (NetworkViews, OrderDesk, HomeViews)
    for name, plain, named in methods_of(protocol)
]


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield loop
    asyncio.run_coroutine_threadsafe(asyncio.sleep(0.05), loop).result(5)  # what was cancelled ends
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def test_all_protocols_are_walked() -> None:
    assert {title.partition(".")[0] for title, *_ in METHODS} == {"NetworkViews", "OrderDesk", "HomeViews"}
    assert len(METHODS) >= 12


@pytest.mark.parametrize(("title", "name", "plain", "named"), METHODS, ids=[method[0] for method in METHODS])
def test_each_method_passes_through_with_its_arguments(title, name, plain, named, loop) -> None:
    for call in (under_lock(threading.Lock()), on_loop(loop)):
        assert getattr(passed_through(Asked(), call), name)(*plain, **named) == (name, tuple(plain), named)


@pytest.mark.parametrize(("title", "name", "plain", "named"), METHODS, ids=[method[0] for method in METHODS])
def test_an_error_keeps_its_type_and_its_identity(title, name, plain, named, loop) -> None:
    class ParticularError(LookupError):
        pass

    for call in (under_lock(threading.Lock()), on_loop(loop)):
        error = ParticularError(name)
        with pytest.raises(ParticularError) as caught:
            getattr(passed_through(Asked(error), call), name)(*plain, **named)
        assert caught.value is error


def test_the_lock_is_held_while_a_question_is_answered_and_free_after_an_error() -> None:
    lock = threading.Lock()

    class Looking:
        def look(self) -> bool:
            return lock.locked()

        def fail(self) -> None:
            raise KeyError

    views = passed_through(Looking(), under_lock(lock))
    assert views.look()
    with pytest.raises(KeyError):
        views.fail()
    assert not lock.locked()


def test_questions_under_a_lock_never_overlap() -> None:
    class Counting:
        inside = 0

        def enter(self) -> int:
            self.inside += 1
            seen = self.inside
            threading.Event().wait(0.002)
            self.inside -= 1
            return seen

    views = passed_through(Counting(), under_lock(threading.Lock()))
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda _: views.enter(), range(40))) == {1}


def test_a_question_on_a_loop_runs_in_the_loops_thread(loop) -> None:
    asked = Asked()
    passed_through(asked, on_loop(loop)).summary()
    ran = asyncio.run_coroutine_threadsafe(_ident(), loop).result(5)
    assert asked.thread == ran != threading.get_ident()


def test_a_busy_loop_is_a_timeout_and_not_a_hang(loop) -> None:
    held, asked = threading.Event(), Asked()
    loop.call_soon_threadsafe(held.wait)
    try:
        with pytest.raises(TimeoutError):
            passed_through(asked, on_loop(loop, answer_s=0.05)).summary()
    finally:
        held.set()
    assert asyncio.run_coroutine_threadsafe(_ident(), loop).result(5)
    assert not asked.thread, "a question that nobody waits for is not asked"


async def _ident() -> int:
    return threading.get_ident()
