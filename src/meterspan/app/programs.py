"""How a program of meterspan runs: on one event loop, until a signal ends it in order."""

import asyncio
import signal
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import uvloop

from meterspan.model.reasons import trouble_of
from meterspan.model.storage.errors import StorageError
from meterspan.runtime.defects import note_defect
from meterspan.runtime.limits import raise_open_files
from meterspan.runtime.media import CannotConnectError

__all__ = [
    "PortalFailedError",
    "ProgramStoppedError",
    "on_reload",
    "reasons_of",
    "run_program",
    "together",
    "until_signal",
]


class PortalFailedError(Exception):
    """The portal did not start; the words say why."""


class ProgramStoppedError(Exception):
    """A program could not run on: a port is taken, a disk is full, one of its parts failed.

    Attributes:
        reasons: a sentence for each failure.

    """

    def __init__(self, reasons: Sequence[str]) -> None:
        super().__init__("; ".join(reasons))
        self.reasons = tuple(reasons)


def run_program(program: Coroutine[Any, Any, None]) -> None:
    """Run a program on an event loop of its own until it ends.

    Raises:
        ProgramStoppedError: it could not start or run on; a defect is raised as it is.

    """
    raise_open_files()
    failures: BaseExceptionGroup[BaseException] | None = None
    try:
        uvloop.run(program)
    except* (PortalFailedError, CannotConnectError, StorageError, OSError) as group:
        failures = group
    if failures is not None:
        raise ProgramStoppedError(reasons_of(failures)) from failures


async def until_signal(*jobs: Coroutine[Any, Any, Any]) -> None:
    """Run jobs until SIGINT or SIGTERM comes, then cancel them; a job that fails ends all, and raises."""
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(job) for job in jobs]
            await stopped.wait()
            for task in tasks:
                task.cancel()
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


async def on_reload(act: Callable[[], None]) -> None:
    """Act in another thread each time SIGHUP comes, one after the other, until cancelled."""
    loop, asked = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGHUP, asked.set)
    try:
        while True:
            await asked.wait()
            asked.clear()
            try:
                await asyncio.to_thread(act)
            except Exception as error:  # noqa: BLE001 - a reload must not end the program; it is logged with its trace
                note_defect("a defect kept the configuration from being taken", error)
    finally:
        loop.remove_signal_handler(signal.SIGHUP)


async def together(*jobs: Coroutine[Any, Any, None]) -> None:
    """Run jobs until one of them ends or fails, and end the others with it."""
    tasks = [asyncio.create_task(job) for job in jobs]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


def reasons_of(group: BaseExceptionGroup[BaseException]) -> list[str]:
    """Return the errors of all groups, in words."""
    found: list[str] = []
    for error in group.exceptions:
        found += reasons_of(error) if isinstance(error, BaseExceptionGroup) else [trouble_of(error)]
    return found
