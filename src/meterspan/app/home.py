"""The program ``meterspan home``: a home's receivers, portal, outlets and upkeep on one loop."""

import asyncio
import json
import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec

from meterspan.app.data_folders import own_data_folder
from meterspan.app.explaining import explain
from meterspan.app.home_host import HomeConfig, HomeHost
from meterspan.app.home_views import HomeNetworkViews
from meterspan.app.meter_keys import MeterKeys
from meterspan.app.programs import run_program, until_signal
from meterspan.app.serving import DAMAGE_SHOWN_MAX, maintain, portal
from meterspan.app.stored_numbers import StoredNumbers
from meterspan.app.views_proxy import on_loop, passed_through
from meterspan.engine.links import TRANSPORTS
from meterspan.engine.security import SecurityKeys
from meterspan.lnap import kept_state
from meterspan.lnap.access_point import CHANNELS_MAX, AccessPoint
from meterspan.lnap.home_collector import UpstreamIdentity, radio_commodity
from meterspan.mdm import MeterDataManagement
from meterspan.model.identity import new_system_title
from meterspan.model.radio_protection import RadioSettings
from meterspan.runtime.clock import SystemClock
from meterspan.runtime.endpoints import Endpoint, EndpointError, parse_transport
from meterspan.runtime.lnap_upstream import LnapUpstream
from meterspan.runtime.mbus_client import MBUS_TRANSPORTS, line_of, slaves_of
from meterspan.runtime.services import Services
from meterspan.runtime.state import StateFile

__all__ = [
    "AccessPointOptions",
    "HomePlaces",
    "HomeUp",
    "LineLog",
    "health_of",
    "parse_buses",
    "radio_meters",
    "run_home",
    "serve_home",
    "upstream_identity",
]

_IDENTITY_KEPT: Final = "access point"
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
        insecure_without_login: serve the portal to other machines, although it asks nobody for a password.

    """

    host: str
    port: int
    source: Endpoint | Path | None = None
    radio: int | None = None
    buses: tuple[Endpoint, ...] = ()
    poll_every_s: float = 900.0
    outlets: Mapping[str, int] = field(default_factory=dict)
    uplink: Endpoint | None = None
    insecure_without_login: bool = False


@dataclass(frozen=True, slots=True)
class AccessPointOptions:
    """How a home is an access point; what is not chosen is made once and kept.

    Attributes:
        keys: returns the keys of the access point of this name, which it shares with the head end.
        name: COSEM logical device name.
        system_title: eight octets.

    """

    keys: Callable[[str], MeterKeys]
    name: str | None = None
    system_title: bytes | None = None


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


def parse_buses(texts: Sequence[str]) -> tuple[Endpoint, ...]:
    """Read the endpoints of wired M-Buses, each with the slaves that are read: ``?address=5,6``.

    Raises:
        EndpointError: a text is not an endpoint, names no slave or no baud rate of M-Bus, or a bus has two endpoints.

    """
    found = tuple(parse_transport(text, MBUS_TRANSPORTS) for text in texts)
    for bus in found:
        slaves_of(bus)
        line_of(bus, latency_s=0.0)
    if len({bus.place for bus in found}) < len(found):
        raise EndpointError("name all slaves of one bus in one endpoint: ?address=5,6")
    return found


def radio_meters(keys: Mapping[str, MeterKeys]) -> dict[str, RadioSettings]:
    """Return how those meters are heard that are radio meters of a supply, by device.

    Raises:
        ValueError: there are more than an access point has channels.

    """
    heard = {name: known for name, known in keys.items() if radio_commodity(name) is not None}
    if len(heard) > CHANNELS_MAX:
        raise ValueError(f"{len(heard)} radio meters; a home has at most {CHANNELS_MAX}: run another one for the rest")
    return {name: RadioSettings(known.key, known.protection, known.hourly_max) for name, known in heard.items()}


def serve_home(
    config: HomeConfig,
    places: HomePlaces,
    folder: Path,
    *,
    access_point: AccessPointOptions,
    set_aside: Sequence[str] = (),
    after_restore: bool = False,
    on_up: Callable[[HomeUp], object],
) -> None:
    """Run a home on its folder until it is interrupted.

    With an uplink or a port of G1 it is an access point too.

    Args:
        config: of the home.
        places: where it listens.
        folder: keeps its history and its state.
        access_point: used where it is one.
        set_aside: entries of the state to go on without, because they are damaged.
        after_restore: the state is of a back-up or another machine, and nothing else uses its counters.
        on_up: called once it answers.

    Raises:
        ProgramStoppedError: it could not start or run on.

    """
    state = partial(StateFile, folder / "home.sqlite", after_restore=after_restore)
    run_program(
        _opened(config, places, folder, state=state, access_point=access_point, set_aside=set_aside, on_up=on_up)
    )


async def _opened(
    config: HomeConfig,
    places: HomePlaces,
    folder: Path,
    *,
    state: Callable[[], StateFile],
    access_point: AccessPointOptions,
    set_aside: Sequence[str],
    on_up: Callable[[HomeUp], object],
) -> None:
    clock = SystemClock()
    own_data_folder(folder)
    with MeterDataManagement(folder / "data") as data, state() as kept:
        for name in set_aside:
            found = kept_state.set_aside(kept, name)
            _log.warning("an entry of the state was set aside", extra={"entry": name, "found": found})
        if places.uplink is None and "G1" not in places.outlets:
            home = HomeHost(config, data=data, state=kept, clock=clock)
            await run_home(home, places, clock, on_up=on_up)
            return
        who = upstream_identity(kept, access_point, pushes=places.uplink is not None)
        home = HomeHost(replace(config, upstream=who), data=data, state=kept, clock=clock)
        shared = access_point.keys(who.name)
        keys = SecurityKeys(shared.key, shared.auth_key)
        upstream = LnapUpstream(home.point, keys, state=kept, clock=clock, on_note=_log.info)
        await run_home(home, places, clock, upstream=upstream, on_up=on_up)


def upstream_identity(state: StateFile, options: AccessPointOptions, *, pushes: bool) -> UpstreamIdentity:
    """Return name and title of the access point: those chosen, those it had before, or new ones; they are kept.

    Args:
        state: keeps the identity between runs.
        options: the chosen ones.
        pushes: whether the access point pushes to a head end.

    """
    kept = _kept_identity(state)
    made = new_system_title(secrets.token_bytes)
    title = options.system_title or bytes.fromhex(kept.get("system_title", "")) or made
    name = options.name or kept.get("name") or f"MSPL{title.hex()[6:].upper()}"
    state.save(_IDENTITY_KEPT, json.dumps({"name": name, "system_title": title.hex()}).encode())
    return UpstreamIdentity(name, title, pushes)


def _kept_identity(state: StateFile) -> dict[str, str]:
    """Return name and title of earlier runs: a head end knows the access point by them, so no new ones are guessed."""
    try:
        return msgspec.json.decode(state.load(_IDENTITY_KEPT) or b"{}", type=dict[str, str])
    except (msgspec.DecodeError, ValueError) as error:
        what = "name and title of the access point"
        raise kept_state.DamagedEntryError(_IDENTITY_KEPT, what, error) from error


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
    services = Services(home.troubles)
    network = HomeNetworkViews(home, StoredNumbers(home.data), explain, clock.utc)
    asked = passed_through(network, on_loop(asyncio.get_running_loop()))
    async with portal(
        home.data,
        asked,
        clock=clock.utc,
        host=places.host,
        port=places.port,
        insecure_without_login=places.insecure_without_login,
        health=lambda: health_of(home),
    ) as where:
        ports = await _open_outlets(home, places, upstream)
        on_up(HomeUp(where, ports, None if upstream is None else home.point))
        running = _services(home, places, upstream) | {"upkeep": lambda: maintain(home.data, clock.utc, home.troubles)}
        await until_signal(*(services.keep(name, run) for name, run in running.items()))


class LineLog:
    """Logs a line's changes: each reason for which it is down once, and that it is up again."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._reason: str | None = None

    def is_down(self, reason: str) -> None:
        """Log that the line is down."""
        if reason != self._reason:
            _log.warning("%s is down", self._name, extra={"reason": reason})
        self._reason = reason

    def is_up(self) -> None:
        """Log that octets arrive."""
        _log.info("%s is up%s", self._name, "" if self._reason is None else " again")
        self._reason = None


def _services(
    home: HomeHost, places: HomePlaces, upstream: LnapUpstream | None
) -> dict[str, Callable[[], Awaitable[Any]]]:
    """Return what runs as long as the home does, by the name that people are told."""
    found: dict[str, Callable[[], Awaitable[Any]]] = {"storing": home.run}
    if isinstance(places.source, Endpoint):
        line = LineLog("P1 line")
        found["P1"] = partial(home.hear_port, places.source, line.is_down, line.is_up)
    elif places.source is not None:
        found["replay"] = partial(_replay, home, places.source)
    if upstream is not None:
        found["G1"] = upstream.server.run
        if places.uplink is not None:
            uplink = upstream.uplink(places.uplink)
            home.on_rows = uplink.wake
            found["uplink"] = uplink.run
    if places.radio is not None:
        found["radio"] = partial(home.hear_radio, Endpoint("udp", places.host, places.radio))
    for bus in places.buses:
        found[str(bus.place)] = partial(home.poll_wired, bus, places.poll_every_s)
    return found


async def _open_outlets(home: HomeHost, places: HomePlaces, upstream: LnapUpstream | None) -> dict[str, int]:
    """Open the ports of all interfaces; return their numbers."""
    opened = {}
    for interface, port in places.outlets.items():
        if upstream is not None and interface == "G1":
            opened[interface] = await upstream.server.listen(TRANSPORTS["tcp"], places.host, port)
        else:
            opened[interface] = await home.relay(interface, places.host, port)
    return opened


def health_of(home: HomeHost) -> dict[str, Any]:
    """Return how a running home is: its meters, what is damaged, and what does not work now."""
    heard = {meter.device: meter.count for meter in home.meters.values()}
    damaged = [item.item for item in home.data.damage()]
    return {
        "meters": heard,
        "kept_aside": home.point.quarantine.total,
        "damaged": damaged[:DAMAGE_SHOWN_MAX],
        "not_read": dict(home.wired_failures),
        "failing": dict(home.troubles.now),
    }


async def _replay(home: HomeHost, path: Path) -> None:
    count = await home.hear_file(path)
    _log.info("replayed", extra={"file": path.name, "telegrams": count})
