"""Group commit: many sessions and pushes share one durable write, off the event loop.

Strategy: one worker thread owns all writes of readings. While it is busy with one batch the next one gathers, so that
the more is waiting, the fewer syncs each reading costs. A caller continues only when its own blocks are durable.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Final

from meterspan.model.ports import ReadingSink
from meterspan.model.readings import CaptureBlock
from meterspan.model.storage.errors import StorageError

__all__ = ["GroupCommit"]

BATCH_MAX: Final = 1_024
"""Submissions in one write: a full round of sessions; the wait of the first stays below a second."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    blocks: Sequence[CaptureBlock]
    durable: asyncio.Future[None]


class GroupCommit:
    """Makes blocks durable in batches.

    Each caller bounds its waiting blocks: a session ends with one submission, a push connection pauses.

    Args:
        sink: where blocks go; only called by the worker thread.
        before: runs in the worker thread ahead of each batch, e.g. to sync the counters of the blocks.

    """

    def __init__(self, sink: ReadingSink, *, before: Callable[[], None] = lambda: None) -> None:
        self._sink = sink
        self._before = before
        self._waiting: dict[asyncio.Future[None], Sequence[CaptureBlock]] = {}
        self._woken = asyncio.Event()
        self.batches = 0
        """Durable writes so far."""

    def submit(self, blocks: Sequence[CaptureBlock]) -> asyncio.Future[None]:
        """Add blocks to the next batch; the future is done when they survive ``kill -9``."""
        durable: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[durable] = blocks
        self._woken.set()
        return durable

    def withdraw(self, durable: asyncio.Future[None]) -> None:
        """Forget blocks that nobody waits for any more; those that are being written already are written."""
        self._waiting.pop(durable, None)
        durable.cancel()

    async def run(self) -> None:
        """Write until cancelled; the batch that is being written is finished."""
        with ThreadPoolExecutor(1, thread_name_prefix="group commit") as worker:
            while True:
                await self._woken.wait()
                self._woken.clear()
                while self._waiting:
                    await self._write(self._next_batch(), worker)

    def _next_batch(self) -> list[_Waiting]:
        first = list(islice(self._waiting, BATCH_MAX))
        return [_Waiting(self._waiting.pop(durable), durable) for durable in first]

    async def _write(self, batch: Sequence[_Waiting], worker: ThreadPoolExecutor) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(worker, self._take, [block for item in batch for block in item.blocks])
        except StorageError as error:  # the others would meet the same, after the same wait
            for item in batch:
                _fail(item.durable, error)
            return
        except Exception as error:  # noqa: BLE001 - the one who waits decides what its failure means
            if len(batch) == 1:
                _fail(batch[0].durable, error)
                return
            for item in batch:  # one that cannot be stored must not take the others with it
                await self._write([item], worker)
            return
        self.batches += 1
        for item in batch:
            if not item.durable.done():
                item.durable.set_result(None)

    def _take(self, blocks: Sequence[CaptureBlock]) -> None:
        self._before()
        if blocks:
            self._sink.take(blocks)


def _fail(durable: asyncio.Future[None], error: Exception) -> None:
    if not durable.done():
        durable.set_exception(error)
