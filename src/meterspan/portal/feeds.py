"""Server-sent events: one poller per topic while it has subscribers, however many browsers are open.

Strategy: a topic's producer runs in the thread pool every ``period_s``; what changed goes to each listener's one-place
box, where a newer event replaces an unread older one, so a slow reader costs no memory. When a producer fails, the
streams of its topic end and the browsers connect again by themselves.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field

from anyio.to_thread import run_sync

__all__ = [
    "LISTENERS_MAX",
    "LISTENERS_PER_PEER_MAX",
    "Event",
    "Feeds",
    "FeedsFullError",
    "PeerFeedsFullError",
    "Subscription",
]

LISTENERS_MAX = 500
"""A stream holds a connection; past this a household display is more likely a runaway script."""
LISTENERS_PER_PEER_MAX = 32
"""Streams of one address: a family's devices behind one router, and no more, so that one client leaves places free."""

_RETRY_MS = 3_000

_log = logging.getLogger(__name__)


class FeedsFullError(Exception):
    """All places for listeners are taken.

    Attributes:
        listeners: how many event streams are open.

    """

    def __init__(self, listeners: int) -> None:
        super().__init__(f"{listeners} event streams are open")
        self.listeners = listeners


class PeerFeedsFullError(FeedsFullError):
    """All places for listeners of one address are taken.

    Attributes:
        listeners: how many event streams the address has open.

    """


@dataclass(frozen=True, slots=True)
class Event:
    """The present state of a topic: ``data`` is sent whenever ``mark`` differs from the last one's."""

    name: str
    data: str
    mark: str


@dataclass(slots=True, eq=False)
class _Subscriber:
    peer: str = ""
    latest: Event | None = None
    closed: bool = False
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def offer(self, event: Event) -> None:
        self.latest = event
        self.news.set()

    def close(self) -> None:
        self.closed = True
        self.news.set()


@dataclass(slots=True, eq=False)
class _Topic:
    listeners: set[_Subscriber] = field(default_factory=set)
    last: Event | None = None
    poller: asyncio.Task[None] | None = None


class Feeds:
    """All event streams of one portal.

    Args:
        period_s: seconds between polls of a topic with subscribers.
        heartbeat_s: silence after which a comment keeps proxies from closing the stream.
        listeners_max: how many streams may be open at once.
        per_peer_max: how many of them by one address.

    """

    def __init__(
        self,
        *,
        period_s: float = 2.0,
        heartbeat_s: float = 15.0,
        listeners_max: int = LISTENERS_MAX,
        per_peer_max: int = LISTENERS_PER_PEER_MAX,
    ) -> None:
        self.period_s = period_s
        self.heartbeat_s = heartbeat_s
        self.listeners_max = listeners_max
        self.per_peer_max = per_peer_max
        self._peers: Counter[str] = Counter()
        self._topics: dict[str, _Topic] = {}
        self._closed = False

    @property
    def listeners(self) -> int:
        """How many streams are open."""
        return sum(len(topic.listeners) for topic in self._topics.values())

    def listen(self, name: str, produce: Callable[[], Event], peer: str = "") -> "Subscription":
        """Subscribe to topic ``name``; ``produce`` is called while there are subscribers.

        Args:
            name: of the topic.
            produce: returns the topic's present state.
            peer: the address that the stream goes to.

        Raises:
            PeerFeedsFullError: the address has as many streams as it may have.
            FeedsFullError: no place is free, or the portal is shutting down.

        """
        if self._closed or self.listeners >= self.listeners_max:
            raise FeedsFullError(self.listeners)
        if self._peers[peer] >= self.per_peer_max:
            raise PeerFeedsFullError(self._peers[peer])
        topic = self._topics.setdefault(name, _Topic())
        listener = _Subscriber(peer)
        self._peers[peer] += 1
        topic.listeners.add(listener)
        if topic.last is not None:
            listener.offer(topic.last)
        if topic.poller is None:
            topic.poller = asyncio.create_task(self._poll(topic, produce), name=f"portal feed {name}")
            topic.poller.add_done_callback(_report)
        return Subscription(self, name, topic, listener)

    def close(self) -> None:
        """End all streams and accept no new one."""
        self._closed = True
        for topic in self._topics.values():
            for listener in topic.listeners:
                listener.close()
            if topic.poller is not None:
                topic.poller.cancel()

    async def _poll(self, topic: _Topic, produce: Callable[[], Event]) -> None:
        try:
            while True:
                event = await run_sync(produce)
                if topic.last is None or event.mark != topic.last.mark:
                    topic.last = event
                    for listener in topic.listeners:
                        listener.offer(event)
                await asyncio.sleep(self.period_s)
        finally:
            topic.poller = None
            for listener in topic.listeners:
                listener.close()

    def leave(self, name: str, topic: _Topic, listener: _Subscriber) -> None:
        """End one subscription; the last one stops the poller."""
        if listener not in topic.listeners:
            return
        topic.listeners.discard(listener)
        self._peers[listener.peer] -= 1
        if not self._peers[listener.peer]:
            del self._peers[listener.peer]
        if topic.listeners:
            return
        if topic.poller is not None:
            topic.poller.cancel()
        if self._topics.get(name) is topic:
            del self._topics[name]


@dataclass(frozen=True, slots=True, eq=False)
class Subscription:
    """One subscription; ``leave`` ends it, also when the stream was never started."""

    feeds: Feeds
    name: str
    topic: _Topic
    listener: _Subscriber

    def leave(self) -> None:
        """End the subscription; without effect when it has ended."""
        self.feeds.leave(self.name, self.topic, self.listener)

    async def events(self) -> AsyncGenerator[str, None]:
        """Yield the lines of the event stream as they arrive."""
        listener = self.listener
        try:
            yield f"retry: {_RETRY_MS}\n\n"
            while not listener.closed:
                try:
                    await asyncio.wait_for(listener.news.wait(), self.feeds.heartbeat_s)
                except TimeoutError:
                    yield ": still here\n\n"
                    continue
                listener.news.clear()
                event, listener.latest = listener.latest, None
                if event is not None:
                    yield f"event: {event.name}\ndata: {event.data}\n\n"
        finally:
            self.leave()


def _report(poller: asyncio.Task[None]) -> None:
    if not poller.cancelled() and (fault := poller.exception()) is not None:
        _log.warning("%s stopped: %r", poller.get_name(), fault)
