"""What ``meter`` and ``home`` share to push rows to a head end."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import typer

from meterspan.runtime.endpoints import Endpoint, EndpointError, parse_endpoint

__all__ = ["push_endpoint", "together"]


def push_endpoint(text: str) -> Endpoint:
    """Read where the head end takes pushes, ``HOST:PORT``.

    Raises:
        typer.BadParameter: it is no such place.

    """
    try:
        return parse_endpoint(f"tcp://{text.removeprefix('tcp://')}", ["tcp"])
    except EndpointError as error:
        raise typer.BadParameter(str(error), param_hint="--push") from error


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
