"""How a program runs: jobs that end together, an orderly end by signal, reasons in words."""

import asyncio
import os
import signal

import pytest

from meterspan.app.programs import ProgramStoppedError, reasons_of, run_program, together, until_signal


def test_a_signal_cancels_every_job_and_each_can_close() -> None:
    closed = []

    async def job(name: str) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            closed.append(name)

    async def scenario() -> None:
        asyncio.get_running_loop().call_later(0.05, os.kill, os.getpid(), signal.SIGTERM)
        await until_signal(job("a"), job("b"))

    asyncio.run(scenario())
    assert sorted(closed) == ["a", "b"]


def test_a_job_that_fails_ends_the_others_and_its_reason_is_told() -> None:
    async def fail() -> None:
        raise OSError("disk on fire")

    async def scenario() -> None:
        await until_signal(asyncio.Event().wait(), fail())

    with pytest.raises(ExceptionGroup) as caught:
        asyncio.run(scenario())
    assert reasons_of(caught.value) == ["disk on fire"]


@pytest.mark.parametrize("error", [None, OSError("gone")])
def test_jobs_that_belong_together_end_with_the_first(error: OSError | None) -> None:
    ended = []

    async def first() -> None:
        if error is not None:
            raise error

    async def second() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("second")

    async def scenario() -> None:
        await together(first(), second())

    if error is None:
        asyncio.run(scenario())
    else:
        with pytest.raises(OSError, match="gone"):
            asyncio.run(scenario())
    assert ended == ["second"]


def test_a_program_that_cannot_run_on_is_stopped_with_the_place_and_the_reason(tmp_path) -> None:
    async def program() -> None:
        (tmp_path / "none").read_bytes()

    with pytest.raises(ProgramStoppedError) as caught:
        run_program(program())
    assert caught.value.reasons == (f"{tmp_path / 'none'}: no such file or directory",)
