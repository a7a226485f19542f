"""Blocks that wait together become durable together; nobody goes on before, and nobody fails for another."""

import asyncio
import threading
from contextlib import suppress

import pytest

from meterspan.runtime.group_commit import GroupCommit


class SlowSink:
    """A disk that is busy until it is let go."""

    def __init__(self):
        self.batches = []
        self.free = threading.Event()

    def take(self, blocks, events=()):
        self.free.wait(5)
        if "poison" in blocks:
            raise ValueError("cannot be stored")
        self.batches.append(list(blocks))


async def with_commit(sink, body, **options):
    commit = GroupCommit(sink, **options)
    task = asyncio.create_task(commit.run())
    try:
        return await body(commit)
    finally:
        sink.free.set()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def test_what_gathers_while_the_disk_is_busy_is_one_write():
    sink = SlowSink()

    async def body(commit):
        first = commit.submit(["a"])
        await asyncio.sleep(0.05)
        others = [commit.submit([str(number)]) for number in range(100)]
        await asyncio.sleep(0.05)
        assert not any(future.done() for future in (first, *others)), "nobody goes on before it is durable"
        sink.free.set()
        await asyncio.gather(first, *others)
        return commit.batches

    assert asyncio.run(with_commit(sink, body)) == 2
    assert [len(batch) for batch in sink.batches] == [1, 100]


def test_one_that_cannot_be_stored_fails_alone():
    sink = SlowSink()
    sink.free.set()

    async def body(commit):
        futures = [commit.submit([name]) for name in ("a", "poison", "b")]
        return await asyncio.gather(*futures, return_exceptions=True)

    first, second, third = asyncio.run(with_commit(sink, body))
    assert (first, third) == (None, None)
    assert isinstance(second, ValueError)
    assert [block for batch in sink.batches for block in batch] == ["a", "b"]


def test_what_must_be_synced_first_is_synced_before_each_batch():
    sink, order = SlowSink(), []
    sink.free.set()
    take = sink.take
    sink.take = lambda blocks, events=(): (order.append("blocks"), take(blocks))

    async def body(commit):
        await commit.submit(["a"])
        await commit.submit(["b"])

    asyncio.run(with_commit(sink, body, before=lambda: order.append("counters")))
    assert order == ["counters", "blocks", "counters", "blocks"]


def test_a_waiter_that_was_cancelled_disturbs_nobody():
    sink = SlowSink()

    async def body(commit):
        gone, stays = commit.submit(["a"]), commit.submit(["b"])
        gone.cancel()
        sink.free.set()
        await stays
        with pytest.raises(asyncio.CancelledError):
            await gone

    asyncio.run(with_commit(sink, body))
    assert sink.batches == [["a", "b"]]


def test_what_is_withdrawn_before_its_turn_is_not_written():
    sink = SlowSink()

    async def body(commit):
        begun = commit.submit(["a"])
        await asyncio.sleep(0.05)
        gone, stays = commit.submit(["b"]), commit.submit(["c"])
        commit.withdraw(begun)
        commit.withdraw(gone)
        sink.free.set()
        await stays
        assert gone.cancelled()

    asyncio.run(with_commit(sink, body))
    assert sink.batches == [["a"], ["c"]]
