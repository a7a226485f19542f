"""Views called from one thread and answered in another: one proxy for every view protocol.

Strategy: a stand-in has the type of what it stands for and forwards every method through a ``Call``, which decides
where the method runs: under a lock, or on an event loop. Results and exceptions pass through unchanged.
"""

import asyncio
import threading
from collections.abc import Callable
from typing import Any, Final, Protocol, TypeVar, cast

__all__ = ["Call", "on_loop", "passed_through", "under_lock"]

ANSWER_S: Final = 30.0
"""How long a page waits for the loop: a network of a hundred thousand meters is summed up in seconds."""

ResultT = TypeVar("ResultT")
ViewsT = TypeVar("ViewsT")


class Call(Protocol):
    """Runs a question where the answer is safe, and returns the answer or raises what the question raised."""

    def __call__(self, question: Callable[[], ResultT], /) -> ResultT:
        """Run ``question``."""
        ...


def passed_through(views: ViewsT, call: Call) -> ViewsT:
    """Return a stand-in for ``views`` whose every method runs inside ``call``."""
    return cast("ViewsT", _PassedThrough(views, call))


def under_lock(lock: threading.Lock) -> Call:
    """Return a call that holds ``lock`` while the question runs in the caller's own thread."""

    def ask(question: Callable[[], ResultT], /) -> ResultT:
        with lock:
            return question()

    return ask


def on_loop(loop: asyncio.AbstractEventLoop, *, answer_s: float = ANSWER_S) -> Call:
    """Return a call that runs the question on ``loop``, for callers in other threads.

    It raises ``TimeoutError`` when the loop is busy for longer than ``answer_s``; then the question is not asked.
    """

    def ask(question: Callable[[], ResultT], /) -> ResultT:
        given_up = threading.Event()

        async def answer() -> ResultT:
            if given_up.is_set():
                raise TimeoutError  # its caller has given up
            return question()

        try:
            return asyncio.run_coroutine_threadsafe(answer(), loop).result(answer_s)
        finally:
            given_up.set()

    return ask


class _PassedThrough:
    """Forwards every call; attributes are looked up on each use, so nothing is cached."""

    def __init__(self, views: object, call: Call) -> None:
        self._views = views
        self._call = call

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._views, name)

        def ask(*arguments: Any, **named: Any) -> Any:
            return self._call(lambda: method(*arguments, **named))

        return ask
