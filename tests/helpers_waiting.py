"""Waiting for what no event tells: counts and lists that another task of the loop, or a thread, changes."""

import asyncio
from collections.abc import Callable


async def until(question: Callable[[], object], *, within_s: float = 20, every_s: float = 0.01) -> None:
    """Wait until the answer is true; raises ``TimeoutError``."""
    async with asyncio.timeout(within_s):
        while not question():  # noqa: ASYNC110 - an answer may change without an event
            await asyncio.sleep(every_s)
