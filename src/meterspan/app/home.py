"""The program ``meterspan home``: a home's receivers, portal, outlets and upkeep on one loop."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from meterspan.app.explaining import explain
from meterspan.app.home_host import HomeHost
from meterspan.app.home_views import HomeNetworkViews
from meterspan.app.serving import DAMAGE_SHOWN_MAX, maintain, portal, until_signal
from meterspan.app.stored_numbers import StoredNumbers
from meterspan.app.views_proxy import on_loop, passed_through
from meterspan.engine.links import TRANSPORTS
from meterspan.lnap.access_point import AccessPoint
from meterspan.runtime.clock import SystemClock
from meterspan.runtime.endpoints import Endpoint
from meterspan.runtime.lnap_upstream import LnapUpstream

__all__ = ["HomePlaces", "HomeUp", "run_home"]

_log = logging.getLogger("meterspan.home")


@dataclass(frozen=True, slots=True)
class HomePlaces:
    """The inputs and outlets of a home.

    Attributes:
        host: address to listen at.
        port: of the portal; 0 takes a free one.
        source: a P1 port, or a file to replay; None without P1.
        radio: UDP port of radio telegrams; None without radio.
        buses: wired M-Bus with the slaves to poll, one endpoint for each.
        poll_every_s: seconds between their rounds.
        outlets: TCP port by interface (``H1``, ``H2``, ``G1``); 0 takes a free one.
        uplink: the head end that gets pushes, if any.

    """

    host: str
    port: int
    source: Endpoint | Path | None = None
    radio: int | None = None
    buses: tuple[Endpoint, ...] = ()
    poll_every_s: float = 900.0
    outlets: Mapping[str, int] = field(default_factory=dict)
    uplink: Endpoint | None = None


@dataclass(frozen=True, slots=True)
class HomeUp:
    """Where a home that is up answers.

    Attributes:
        portal: address of the portal.
        ports: bound port by interface.
        point: the access point that head ends see, if it is one.

    """

    portal: str
    ports: Mapping[str, int]
    point: AccessPoint | None


async def run_home(
    home: HomeHost,
    places: HomePlaces,
    clock: SystemClock,
    *,
    upstream: LnapUpstream | None = None,
    on_up: Callable[[HomeUp], object],
) -> None:
    """Run a home until it is interrupted.

    Args:
        home: the host of its meters.
        places: where it listens.
        clock: the wall clock.
        upstream: its side towards head ends, where it is an access point.
        on_up: called once it answers.

    Raises:
        ExceptionGroup: of ``PortalFailedError``, ``CannotConnectError`` or ``OSError``.

    """
    network = HomeNetworkViews(home, StoredNumbers(home.data), explain, clock.utc)
    asked = passed_through(network, on_loop(asyncio.get_running_loop()))
    async with portal(
        home.data,
        asked,
        clock=clock.utc,
        host=places.host,
        port=places.port,
        health=lambda: _health(home),
    ) as where:
        ports = await _open_outlets(home, places, upstream)
        on_up(HomeUp(where, ports, None if upstream is None else home.point))
        await until_signal(maintain(home.data, clock.utc), *_jobs(home, places, upstream))


def _jobs(home: HomeHost, places: HomePlaces, upstream: LnapUpstream | None) -> list[Coroutine[Any, Any, Any]]:
    """Return the services that run as long as the home does."""
    jobs: list[Coroutine[Any, Any, Any]] = [home.run()]
    if isinstance(places.source, Endpoint):
        jobs.append(home.hear_port(places.source, lambda text: _log.warning("P1 line is down", extra={"reason": text})))
    elif places.source is not None:
        jobs.append(_replay(home, places.source))
    if upstream is not None:
        jobs.append(upstream.server.run())
        if places.uplink is not None:
            uplink = upstream.uplink(places.uplink)
            home.on_rows = uplink.wake
            jobs.append(uplink.run())
    if places.radio is not None:
        jobs.append(home.hear_radio(Endpoint("udp", places.host, places.radio)))
    jobs += [home.poll_wired(bus, places.poll_every_s) for bus in places.buses]
    return jobs


async def _open_outlets(home: HomeHost, places: HomePlaces, upstream: LnapUpstream | None) -> dict[str, int]:
    """Open the ports of all interfaces; return their numbers."""
    opened = {}
    for interface, port in places.outlets.items():
        if upstream is not None and interface == "G1":
            opened[interface] = await upstream.server.listen(TRANSPORTS["tcp"], places.host, port)
        else:
            opened[interface] = await home.relay(interface, places.host, port)
    return opened


def _health(home: HomeHost) -> dict[str, Any]:
    heard = {meter.device: meter.count for meter in home.meters.values()}
    damaged = [item.item for item in home.data.damage()]
    return {
        "meters": heard,
        "kept_aside": home.point.quarantine.total,
        "damaged": damaged[:DAMAGE_SHOWN_MAX],
        "not_read": dict(home.wired_failures),
    }


async def _replay(home: HomeHost, path: Path) -> None:
    count = await home.hear_file(path)
    _log.info("replayed", extra={"file": path.name, "telegrams": count})
