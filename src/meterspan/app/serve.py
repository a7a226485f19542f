"""What ``meterspan serve`` is: a central system, its portal and its upkeep on one event loop."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from meterspan.app.central_system import CentralSystem
from meterspan.app.explaining import explain
from meterspan.app.serving import DAMAGE_SHOWN_MAX, maintain, portal, until_signal
from meterspan.app.stored_numbers import StoredNumbers
from meterspan.app.views_proxy import on_loop, passed_through
from meterspan.head_end.views import HeadEndViews
from meterspan.runtime.clock import SystemClock

__all__ = ["CentralSystemReady", "run_central_system"]


@dataclass(frozen=True, slots=True)
class CentralSystemReady:
    """Where a central system answers.

    Attributes:
        portal: address of the portal.
        push: where pushes are taken.
        meters: how many meters it reads.

    """

    portal: str
    push: str
    meters: int


async def run_central_system(
    system: CentralSystem, clock: SystemClock, on_ready: Callable[[CentralSystemReady], object]
) -> None:
    """Run a central system until it is interrupted; ``on_ready`` is called once it answers.

    Raises:
        ExceptionGroup: of ``PortalFailedError`` or ``OSError``: it cannot listen, or one of its parts failed.

    """
    config = system.config
    numbers = StoredNumbers(system.data, system.damage)
    views = HeadEndViews(system.head_end, numbers, explain, clock.utc, on_order=system.host.wake)
    asked = passed_through(views, on_loop(asyncio.get_running_loop()))

    async def report_ready() -> None:
        await system.host.listening.wait()
        push = f"tcp://{config.push.host}:{system.host.push_port}"
        on_ready(CentralSystemReady(where, push, sum(bool(device.channels) for device in system.head_end.inventory)))

    async with portal(
        system.data,
        asked,
        clock=clock.utc,
        host=config.portal.host,
        port=config.portal.port,
        names=config.portal.names,
        orders=asked,
        health=lambda: _health(system),
    ) as where:
        await until_signal(system.host.run(), maintain(system.data, clock.utc), report_ready())


def _health(system: CentralSystem) -> dict[str, Any]:
    counts = system.head_end.counts
    return {
        "meters": len(system.head_end.inventory),
        "sessions_open": system.host.open_count,
        "sessions_ok": counts.sessions_ok,
        "sessions_failed": counts.sessions_failed,
        "rows_pushed": counts.rows_pushed,
        "push_port": system.host.push_port,
        "quarantined": system.head_end.quarantine.total,
        "damaged": [item.item for item in system.damage()[:DAMAGE_SHOWN_MAX]],
    }
