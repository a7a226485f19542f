"""What ``meterspan scan`` finds out about a wired M-Bus: its slaves, how each is read, and where several collide."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Final

from meterspan.app.mbus_reading import frames_to
from meterspan.engine.frame_trace import TracedFrame
from meterspan.engine.mbus_search import (
    PRIMARY_ADDRESSES,
    SearchEvent,
    SearchProgress,
    SlaveFound,
    SlavesCollided,
    primary_search,
    secondary_search,
)
from meterspan.runtime.clock import SystemClock
from meterspan.runtime.endpoints import Endpoint, EndpointError
from meterspan.runtime.mbus_client import line_of, search_bus
from meterspan.wire.mbus.address import DeviceAddress

__all__ = ["BusScan", "ScanRequest", "parse_addresses", "read_place", "run_scan", "scan_bus", "secondary_address"]

WAIT_S: Final = 0.5
"""A gateway in the same network, or a USB converter, adds less to an answer."""
RETRIES: Final = 1
"""Silence is the rule in a search, and each retry of it takes as long as the first try."""


@dataclass(frozen=True, slots=True)
class ScanRequest:
    """What is searched.

    Attributes:
        endpoint: of the bus.
        addresses: the primary addresses to ask; None searches by secondary address.
        digits: how the identification numbers begin, in a search by secondary address.
        hex_digits: numbers may have the digits A to E.
        wait_s: delay that the gateway adds to an answer, seconds.
        retries: how often silence is asked again.

    """

    endpoint: Endpoint
    addresses: tuple[int, ...] | None = tuple(PRIMARY_ADDRESSES)
    digits: str = ""
    hex_digits: bool = True
    wait_s: float = WAIT_S
    retries: int = RETRIES


@dataclass(slots=True)
class BusScan:
    """The findings of a search, while it runs and after it.

    Attributes:
        on_progress: called with what is asked for, and the share that was searched.
        slaves: those found.
        collisions: where several slaves answered.

    """

    on_progress: Callable[[str, Fraction], None] = lambda _asking, _share: None
    slaves: list[SlaveFound] = field(default_factory=list)
    collisions: list[SlavesCollided] = field(default_factory=list)

    def note(self, event: SearchEvent) -> None:
        """Note an event of the search."""
        match event:
            case SlaveFound():
                self.slaves.append(event)
            case SlavesCollided():
                self.collisions.append(event)
            case SearchProgress():
                self.on_progress(event.asking, event.share)
            case _:
                pass


def run_scan(request: ScanRequest, scan: BusScan, *, on_frame: Callable[[TracedFrame], None] | None = None) -> None:
    """Run ``scan_bus`` on an event loop of its own; its arguments and errors are the same."""
    asyncio.run(scan_bus(request, scan, on_frame=on_frame))


async def scan_bus(
    request: ScanRequest, scan: BusScan, *, on_frame: Callable[[TracedFrame], None] | None = None
) -> None:
    """Search a bus; ``scan`` gets what is found as it is found.

    Args:
        request: what is searched.
        scan: gets the findings.
        on_frame: called with every frame that passes.

    Raises:
        EndpointError: the endpoint's options are wrong.
        MbusError: there is no connection, or the search came to no end.
        ValueError: an address is not a primary address, or a digit is not a digit.

    """
    endpoint = request.endpoint
    if {"address", "secondary"} & set(endpoint.options):
        raise EndpointError("a search is for all slaves of the bus: leave address= and secondary= out")
    line = line_of(endpoint, latency_s=request.wait_s, retries=request.retries, hex_digits=request.hex_digits)
    by_primary = request.addresses is not None
    search = primary_search(request.addresses or (), line) if by_primary else secondary_search(request.digits, line)
    await search_bus(endpoint, search, scan.note, clock=SystemClock(), on_octets=frames_to(on_frame, endpoint))


def parse_addresses(text: str) -> tuple[int, ...]:
    """Read primary addresses as a user writes them: ``1-20,30``.

    Raises:
        ValueError: the text is not a list of primary addresses.

    """
    found: list[int] = []
    for part in text.split(","):
        first, _, last = part.strip().partition("-")
        ends = (first, last or first)
        if not all(end.isdecimal() and int(end) in PRIMARY_ADDRESSES for end in ends) or int(ends[0]) > int(ends[1]):
            raise ValueError(f"{text!r} is no list of primary addresses like 1-20,30: 0 to {PRIMARY_ADDRESSES[-1]}")
        found += range(int(ends[0]), int(ends[1]) + 1)
    return tuple(found)


def secondary_address(identity: DeviceAddress) -> str:
    """Return a secondary address as ``secondary=`` takes it: number, manufacturer, version and medium, 16 digits."""
    return identity.id + identity.long_header[4:].hex().upper()


def read_place(endpoint: Endpoint, slave: SlaveFound, *, by_primary: bool) -> str:
    """Return the endpoint under which ``meterspan read`` reads a slave."""
    way = f"address={slave.primary}"
    if slave.identity is not None and not by_primary:
        way = f"secondary={secondary_address(slave.identity)}"
    baud = f"baud={endpoint.options['baud']}&" if "baud" in endpoint.options else ""
    return f"{endpoint}?{baud}{way}"
