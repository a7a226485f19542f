"""Wired M-Bus slaves in asyncio: read one now, search a bus, or poll it again and again.

A connection lasts for one readout, search or round, as gateways serve one program at a time.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final, Protocol, TypeVar

from meterspan.engine.links import TRANSPORTS, DeviceProtocol, Transport
from meterspan.engine.mbus_link import LineSettings
from meterspan.engine.mbus_polling import MbusPoller, PolledSlave, PollEvent
from meterspan.engine.mbus_readout import (
    MbusReadout,
    ReadoutDone,
    ReadoutEvent,
    ReadoutFailed,
    SlaveAddress,
    parse_slave,
)
from meterspan.engine.mbus_search import BusSearch, SearchEnded, SearchEvent
from meterspan.model.failures import FailedError, Failure, FailureKind
from meterspan.runtime.connecting import ConnectingHost
from meterspan.runtime.endpoints import Endpoint, EndpointError
from meterspan.runtime.media import CannotConnectError, connect_stream
from meterspan.runtime.shell import UNANSWERED_OCTETS_MAX, OnOctets, StreamMachine, StreamShell
from meterspan.wire.mbus.application import BAUD_RATES

__all__ = [
    "BAUD",
    "MBUS_TRANSPORTS",
    "RETRIES",
    "MbusError",
    "bus_line",
    "line_of",
    "poll_bus",
    "read_slave",
    "search_bus",
    "slave_of",
    "slaves_of",
]

BAUD: Final = 2_400
"""The factory setting of slaves (EN 13757-2:2018, 5.2)."""
RETRIES: Final = 2
"""How often a request is repeated (EN 13757-2:2018, 5.7.4)."""
MBUS_TRANSPORTS: Final[Mapping[str, Transport]] = MappingProxyType(
    {scheme: row for scheme, row in TRANSPORTS.items() if row.protocol is DeviceProtocol.MBUS}
)
"""The transports of wired M-Bus, by scheme."""
_SERIAL_OPTIONS: Final = {"baud": str(BAUD), "format": "8E1"}

EventT = TypeVar("EventT")
EventT_co = TypeVar("EventT_co", covariant=True)


class _Started(StreamMachine[EventT_co], Protocol[EventT_co]):
    """A machine that its owner starts once the medium is there."""

    def start(self, now: float) -> None:
        """Begin."""
        ...


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
    settings = line_of(endpoint, latency_s=TRANSPORTS[endpoint.scheme].octet_timeout_s)

    def is_last(_event: ReadoutEvent) -> bool:
        return True

    readout: _Started[ReadoutEvent] = MbusReadout(slave_of(endpoint), settings)
    ending = await _ended(endpoint, readout, is_last, clock=clock, on_octets=on_octets)
    if isinstance(ending, ReadoutFailed):
        raise MbusError(ending.failure)
    return ending


async def search_bus(
    endpoint: Endpoint,
    search: BusSearch,
    on_event: Callable[[SearchEvent], None],
    *,
    clock: Callable[[], float],
    on_octets: OnOctets | None = None,
) -> None:
    """Search a bus to its end.

    Args:
        endpoint: ``mbus+tcp`` or ``mbus+serial``, with ``baud=`` of the bus.
        search: what is searched; made here, so never started before.
        on_event: called with what is found, and with the progress.
        clock: UTC seconds.
        on_octets: called with everything that passes.

    Raises:
        MbusError: there is no connection, or the search came to no end.

    """

    def is_last(event: SearchEvent) -> bool:
        on_event(event)
        return isinstance(event, SearchEnded)

    started: _Started[SearchEvent] = search
    ending = await _ended(endpoint, started, is_last, clock=clock, on_octets=on_octets)
    if isinstance(ending, SearchEnded) and ending.failure is not None:
        raise MbusError(ending.failure)


def line_of(endpoint: Endpoint, *, latency_s: float, retries: int = RETRIES, hex_digits: bool = True) -> LineSettings:
    """Return the timing of the bus behind an endpoint, as ``LineSettings`` describes it.

    Args:
        endpoint: with ``baud=`` of the bus.
        latency_s: delay that a gateway or converter adds, seconds.
        retries: how often a request is repeated.
        hex_digits: a search also probes the digits A to E.

    Raises:
        EndpointError: M-Bus does not have this baud rate.

    """
    baud = endpoint.number("baud", BAUD)
    if baud not in BAUD_RATES.values():
        raise EndpointError(f"baud={baud} is no rate of M-Bus: {', '.join(map(str, BAUD_RATES.values()))}")
    return LineSettings(baud, retries, latency_s, hex_digits)


async def _ended(
    endpoint: Endpoint,
    machine: "_Started[EventT]",
    is_last: Callable[[EventT], bool],
    *,
    clock: Callable[[], float],
    on_octets: OnOctets | None,
) -> EventT:
    """Run a machine over a connection of its own until its last event, and return that.

    Raises:
        MbusError: there is no connection.

    """
    ended: asyncio.Future[EventT] = asyncio.get_running_loop().create_future()

    def on_event(event: EventT) -> None:
        if is_last(event) and not ended.done():
            ended.set_result(event)

    shell: StreamShell[EventT] = StreamShell(machine, clock, on_event, on_octets=on_octets)
    shell.unanswered_octets_max = UNANSWERED_OCTETS_MAX
    try:
        await connect_stream(bus_line(endpoint), lambda: shell)
    except CannotConnectError as error:
        raise MbusError(Failure(FailureKind.UNREACHABLE, str(error))) from error
    try:
        machine.start(clock())
        shell.pump()
        return await ended
    finally:
        shell.close()


def bus_line(endpoint: Endpoint) -> Endpoint:
    """Return the endpoint with the format of an M-Bus line, where it is serial and says nothing else."""
    return replace(endpoint, options=_SERIAL_OPTIONS | dict(endpoint.options))


async def poll_bus(
    endpoint: Endpoint,
    *,
    every_s: float,
    clock: Callable[[], float],
    on_event: Callable[[PollEvent], None],
    on_note: Callable[[str], None],
) -> None:
    """Read all slaves that an endpoint names, in rounds, until cancelled.

    Args:
        endpoint: ``mbus+tcp`` or ``mbus+serial``, with lists of ``address=`` and ``secondary=``, and ``baud=``.
        every_s: seconds between rounds, which begin on multiples of it.
        clock: UTC seconds.
        on_event: called with the outcome of each slave.
        on_note: called with a sentence for each connection that is made, fails or ends.

    Raises:
        EndpointError: the endpoint's options are wrong.

    """
    line = line_of(endpoint, latency_s=TRANSPORTS[endpoint.scheme].octet_timeout_s)
    poller = MbusPoller(slaves_of(endpoint), every_s=every_s, settings=line)
    host: ConnectingHost[PollEvent] = ConnectingHost(
        poller, bus_line(endpoint), clock=clock, on_event=on_event, on_note=on_note
    )
    await host.run()


def slaves_of(endpoint: Endpoint) -> tuple[PolledSlave, ...]:
    """Return the slaves that an endpoint names: ``address=5,6&secondary=12345678``.

    Raises:
        EndpointError: it names none, one twice, or what is no address.

    """
    found = []
    for kind in ("address", "secondary"):
        for text in filter(None, endpoint.options.get(kind, "").split(",")):
            slave = slave_of(replace(endpoint, options={kind: text.strip()}))
            found.append(PolledSlave(f"{endpoint} {kind} {text.strip()}", slave))
    if not found:
        raise EndpointError(f"{endpoint} names no slave: append ?address=5,6 or ?secondary=12345678")
    if len({slave.name for slave in found}) < len(found):
        raise EndpointError(f"{endpoint} names a slave twice")
    return tuple(found)
