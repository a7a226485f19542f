"""What ``meterspan serve`` is: a head end station, its portal and its upkeep on one event loop."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from meterspan.app.explaining import explain
from meterspan.app.serving import DAMAGE_SHOWN_MAX, maintain, portal, until_signal
from meterspan.app.station import Station
from meterspan.app.stored_numbers import StoredNumbers
from meterspan.app.views_proxy import on_loop, passed_through
from meterspan.head_end.views import HeadEndViews
from meterspan.runtime.clock import SystemClock

__all__ = ["StationUp", "run_station"]


@dataclass(frozen=True, slots=True)
class StationUp:
    """Where a station that is up answers.

    Attributes:
        portal: address of the portal.
        push: where pushes are taken.
        meters: how many meters it reads.

    """

    portal: str
    push: str
    meters: int


async def run_station(station: Station, clock: SystemClock, on_up: Callable[[StationUp], object]) -> None:
    """Run a station until it is interrupted; ``on_up`` is called once it answers.

    Raises:
        ExceptionGroup: of ``PortalFailedError`` or ``OSError``: it cannot listen, or one of its parts failed.

    """
    config = station.config
    numbers = StoredNumbers(station.data, station.damage)
    views = HeadEndViews(station.head_end, numbers, explain, clock.utc, on_order=station.host.wake)
    asked = passed_through(views, on_loop(asyncio.get_running_loop()))

    async def report_up() -> None:
        await station.host.listening.wait()
        push = f"tcp://{config.push.host}:{station.host.push_port}"
        on_up(StationUp(where, push, sum(bool(device.channels) for device in station.head_end.inventory)))

    async with portal(
        station.data,
        asked,
        clock=clock.utc,
        host=config.portal.host,
        port=config.portal.port,
        names=config.portal.names,
        orders=asked,
        health=lambda: _health(station),
    ) as where:
        await until_signal(station.host.run(), maintain(station.data, clock.utc), report_up())


def _health(station: Station) -> dict[str, Any]:
    counts = station.head_end.counts
    return {
        "meters": len(station.head_end.inventory),
        "sessions_open": station.host.open_count,
        "sessions_ok": counts.sessions_ok,
        "sessions_failed": counts.sessions_failed,
        "rows_pushed": counts.rows_pushed,
        "push_port": station.host.push_port,
        "quarantined": station.head_end.quarantine.total,
        "damaged": [item.item for item in station.damage()[:DAMAGE_SHOWN_MAX]],
    }
