"""Wired M-Bus slaves in asyncio: read one now, or again and again.

A connection lasts for one readout, as gateways serve one program at a time.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from dataclasses import replace
from typing import Final

from meterspan.engine.links import TRANSPORTS
from meterspan.engine.mbus_link import LineSettings
from meterspan.engine.mbus_readout import (
    MbusReadout,
    ReadoutDone,
    ReadoutEvent,
    ReadoutFailed,
    SlaveAddress,
    parse_slave,
)
from meterspan.model.failures import FailedError, Failure, FailureKind
from meterspan.runtime.endpoints import Endpoint, EndpointError
from meterspan.runtime.media import CannotConnectError, connect_stream
from meterspan.runtime.shell import OnOctets, StreamShell

__all__ = ["BAUD", "MbusError", "mbus_telegrams", "read_slave", "slave_of"]

BAUD: Final = 2_400
"""The factory setting of slaves (EN 13757-2:2018, 5.2)."""
_SERIAL_OPTIONS: Final = {"baud": str(BAUD), "format": "8E1"}


class MbusError(FailedError):
    """A slave could not be read; ``failure`` is the reason."""


def slave_of(endpoint: Endpoint) -> SlaveAddress:
    """Return the slave that an endpoint names by ``address=`` or ``secondary=``.

    Raises:
        EndpointError: it is no address.

    """
    try:
        return parse_slave(endpoint.options.get("address"), endpoint.options.get("secondary"))
    except ValueError as error:
        raise EndpointError(str(error)) from error


async def read_slave(
    endpoint: Endpoint, *, clock: Callable[[], float], on_octets: OnOctets | None = None
) -> ReadoutDone:
    """Read all telegrams of the slave that an endpoint names.

    Args:
        endpoint: ``mbus+tcp`` or ``mbus+serial``, with ``address=`` or ``secondary=``, and ``baud=`` of the bus.
        clock: UTC seconds.
        on_octets: called with everything that passes.

    Raises:
        EndpointError: its options are wrong.
        MbusError: there is no connection, or no answer that can be read.

    """
    transport = TRANSPORTS[endpoint.scheme]
    settings = LineSettings(endpoint.number("baud", BAUD), latency_s=transport.octet_timeout_s)
    readout = MbusReadout(slave_of(endpoint), settings)
    ended: asyncio.Future[ReadoutEvent] = asyncio.get_running_loop().create_future()

    def on_event(event: ReadoutEvent) -> None:
        if not ended.done():
            ended.set_result(event)

    shell: StreamShell[ReadoutEvent] = StreamShell(readout, clock, on_event, on_octets=on_octets)
    line = replace(endpoint, options=_SERIAL_OPTIONS | dict(endpoint.options))
    try:
        await connect_stream(line, lambda: shell)
    except CannotConnectError as error:
        raise MbusError(Failure(FailureKind.UNREACHABLE, str(error))) from error
    try:
        readout.start(clock())
        shell.pump()
        ending = await ended
    finally:
        shell.close()
    if isinstance(ending, ReadoutFailed):
        raise MbusError(ending.failure)
    return ending


async def mbus_telegrams(
    endpoint: Endpoint,
    clock: Callable[[], float],
    *,
    every_s: float,
    on_failure: Callable[[Failure], None] = lambda _failure: None,
) -> AsyncGenerator[tuple[bytes, str, float], None]:
    """Read a slave for ever: the octets of each telegram, where it was read, and when.

    Args:
        endpoint: as ``read_slave`` takes it.
        clock: UTC seconds.
        every_s: seconds between readouts, counted from multiples of it, so that readouts are on marks of the clock.
        on_failure: called with every readout that fails; the next one follows in its time.

    Raises:
        EndpointError: the endpoint's options are wrong.

    """
    while True:
        try:
            done = await read_slave(endpoint, clock=clock)
        except MbusError as error:
            on_failure(error.failure)
        else:
            for frame in done.frames:
                yield frame, str(endpoint), clock()
        await asyncio.sleep(every_s - clock() % every_s)
