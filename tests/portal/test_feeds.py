import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime

import httpx
import pytest

from meterspan.portal.feeds import Event, Feeds, FeedsFullError, PeerFeedsFullError


def counter() -> Callable[[], Event]:
    numbers = iter(range(10**9))

    def produce() -> Event:
        number = next(numbers)
        return Event("count", str(number), str(number))

    return produce


async def take(stream, count: int) -> list[str]:
    return [await anext(stream) for _ in range(count)]


def test_a_listener_gets_each_change_as_an_event():
    async def run() -> None:
        feeds = Feeds(period_s=0.001)
        stream = feeds.listen("a", counter()).events()
        retry, first, second = await take(stream, 3)
        assert retry == "retry: 3000\n\n"
        assert first.startswith("event: count\ndata: ")
        assert int(second.split()[-1]) > int(first.split()[-1])
        await stream.aclose()
        assert feeds.listeners == 0

    asyncio.run(run())


def test_what_did_not_change_is_not_sent_but_a_heartbeat_is():
    async def run() -> None:
        feeds = Feeds(period_s=0.001, heartbeat_s=0.02)
        stream = feeds.listen("a", lambda: Event("same", "1", "1")).events()
        assert await anext(stream) == "retry: 3000\n\n"
        while (line := await anext(stream)) == ": still here\n\n":
            pass  # a busy machine takes longer than a heartbeat to produce the first event
        assert line == "event: same\ndata: 1\n\n"
        assert await take(stream, 2) == [": still here\n\n"] * 2
        await stream.aclose()

    asyncio.run(run())


def test_many_listeners_share_one_poller():
    async def run() -> None:
        asked = 0

        def produce() -> Event:
            nonlocal asked
            asked += 1
            return Event("one", "1", "1")

        feeds = Feeds(period_s=60)
        streams = [feeds.listen("a", produce).events() for _ in range(20)]
        for stream in streams:
            assert (await take(stream, 2))[1] == "event: one\ndata: 1\n\n"
        late = feeds.listen("a", produce).events()
        assert (await take(late, 2))[1] == "event: one\ndata: 1\n\n"
        assert asked == 1
        feeds.close()

    asyncio.run(run())


def test_a_slow_listener_keeps_only_the_newest_event():
    async def run() -> None:
        feeds = Feeds(period_s=0.001)
        stream = feeds.listen("a", counter()).events()
        await take(stream, 2)
        await asyncio.sleep(0.2)
        skipped, following = await take(stream, 2)
        assert int(skipped.split()[-1]) > 5
        assert int(following.split()[-1]) > int(skipped.split()[-1])
        feeds.close()

    asyncio.run(run())


def test_places_for_listeners_are_bounded_and_come_back():
    async def run() -> None:
        feeds = Feeds(period_s=0.01, listeners_max=2)
        streams = [feeds.listen("a", counter()).events() for _ in range(2)]
        for stream in streams:
            await take(stream, 1)
        with pytest.raises(FeedsFullError):
            feeds.listen("b", counter())
        await streams[0].aclose()
        feeds.listen("b", counter())
        feeds.close()

    asyncio.run(run())


def test_a_failing_producer_ends_the_streams_of_its_topic_only(caplog):
    async def run() -> None:
        feeds = Feeds(period_s=0.001)

        def fail() -> Event:
            raise OSError("the disk is gone")

        healthy, broken = feeds.listen("a", counter()).events(), feeds.listen("b", fail).events()
        assert [part async for part in broken] == ["retry: 3000\n\n"]
        assert len(await take(healthy, 3)) == 3
        assert feeds.listeners == 1
        feeds.close()

    asyncio.run(run())
    assert "the disk is gone" in caplog.text


def test_close_ends_every_stream_and_admits_no_more():
    async def run() -> None:
        feeds = Feeds(period_s=60, heartbeat_s=60)
        stream = feeds.listen("a", counter()).events()
        await take(stream, 2)
        feeds.close()
        assert [part async for part in stream] == []
        with pytest.raises(FeedsFullError):
            feeds.listen("a", counter())

    asyncio.run(run())


def test_a_place_is_given_back_also_when_the_stream_was_never_begun():
    async def run() -> None:
        feeds = Feeds(period_s=60, listeners_max=1)
        subscription = feeds.listen("a", counter())
        subscription.leave()
        subscription.leave()
        assert feeds.listeners == 0
        feeds.listen("a", counter())
        feeds.close()

    asyncio.run(run())


def test_a_topic_whose_producer_failed_starts_anew_for_the_next_listener():
    async def run() -> None:
        feeds = Feeds(period_s=0.001)
        answers = iter([OSError("once"), Event("fine", "1", "1")])

        def produce() -> Event:
            answer = next(answers)
            if isinstance(answer, OSError):
                raise answer
            return answer

        held = feeds.listen("a", produce)
        await asyncio.sleep(0.1)
        assert (await take(feeds.listen("a", lambda: Event("fine", "1", "1")).events(), 2))[1].startswith("event: fine")
        held.leave()
        feeds.close()

    asyncio.run(run())


def events(response: httpx.Response) -> Iterator[dict]:
    """Yield the data of each event; the stream stays open as long as somebody holds this."""
    return (json.loads(line[6:]) for line in response.iter_lines() if line.startswith("data: "))


def test_the_live_resource_streams_a_home_over_http(streaming):
    running, feeds = streaming
    url = f"{running.url}/api/v1/homes/lindenhof-3/live"
    with httpx.stream("GET", url, headers={"Accept": "text/event-stream", "Accept-Encoding": "gzip"}) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.headers["cache-control"] == "no-store"
        assert "content-encoding" not in response.headers
        stream = events(response)
        first, second = next(stream), next(stream)
    assert first["home_id"] == "lindenhof-3"
    assert datetime.fromisoformat(second["at"]) > datetime.fromisoformat(first["at"])
    assert (
        httpx.get(f"{running.url}/api/v1/homes/nobody/live", headers={"Accept": "text/event-stream"}).status_code == 404
    )
    assert feeds.listeners <= 1


def test_one_listener_too_many_is_told_when_to_come_back(streaming):
    running, feeds = streaming
    url = f"{running.url}/api/v1/operator/events"
    with httpx.Client() as client, ExitStack() as stack:
        held = [events(stack.enter_context(client.stream("GET", url))) for _ in range(feeds.listeners_max)]
        assert [next(stream)["meters"] for stream in held] == [30] * feeds.listeners_max
        refused = client.get(url)
        assert refused.status_code == 503
        assert refused.json()["type"] == "urn:meterspan:problem:too-many-listeners"
        assert refused.headers["retry-after"] == "30"


def test_the_server_stops_at_once_while_a_browser_listens(streaming):
    running, feeds = streaming
    with httpx.stream("GET", f"{running.url}/api/v1/operator/events") as response:
        stream = events(response)
        assert next(stream)["meters"] == 30
        assert feeds.listeners == 1
        assert running.stop(timeout_s=3)


@pytest.mark.attack(2)
@pytest.mark.finding("security M9")
def test_one_address_leaves_places_for_others_and_gets_its_own_back():
    async def run() -> None:
        feeds = Feeds(period_s=0.01, listeners_max=5, per_peer_max=2)
        held = [feeds.listen(name, counter(), "192.0.2.1") for name in ("a", "b")]
        with pytest.raises(PeerFeedsFullError) as full:
            feeds.listen("c", counter(), "192.0.2.1")
        assert full.value.listeners == 2
        other = feeds.listen("a", counter(), "192.0.2.2")
        held[0].leave()
        held[0].leave()  # a second time gives no second place
        held.append(feeds.listen("a", counter(), "192.0.2.1"))
        with pytest.raises(PeerFeedsFullError):
            feeds.listen("a", counter(), "192.0.2.1")
        for subscription in (*held, other):
            subscription.leave()
        assert feeds.listeners == 0

    asyncio.run(run())
