"""What ``meterspan serve`` is: a central system, its portal and its upkeep on one event loop."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from meterspan.analytics.tariff import Tariff
from meterspan.app.central_system import CentralSystem, shared_keys
from meterspan.app.explaining import explain
from meterspan.app.meter_keys import MeterKeys
from meterspan.app.network_views import SharedSurvey, SurveyedViews
from meterspan.app.registering import Progress
from meterspan.app.serving import DAMAGE_SHOWN_MAX, maintain, portal, run_program, until_signal
from meterspan.app.stored_numbers import GatheredNumbers
from meterspan.app.views_proxy import on_loop
from meterspan.head_end.inventory import DeviceKeys
from meterspan.head_end.views import HeadEndViews
from meterspan.runtime.clock import SystemClock
from meterspan.runtime.config import ServeConfig
from meterspan.runtime.declared import ConfigError
from meterspan.runtime.inventory_file import holds_keys, inventory_path
from meterspan.runtime.master_key import load_master_key
from meterspan.runtime.services import Services
from meterspan.store.databases import check_reachable

__all__ = ["CentralSystemReady", "check_keys", "check_places", "run_central_system", "serve"]


PROGRESS_S: Final = 1.0
"""A start that takes longer says how far it is, about so often."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CentralSystemReady:
    """Where a central system answers.

    Attributes:
        portal: address of the portal.
        pushes: where pushes are taken.
        meters: how many meters it reads.

    """

    portal: str
    pushes: tuple[str, ...]
    meters: int


def check_places(config: ServeConfig) -> None:
    """Check that the database of the registry can be reached, where it is not a file; nothing is written.

    Raises:
        StorageError: it cannot be reached.

    """
    if config.registry:
        check_reachable(config.registry)


def check_keys(config: ServeConfig, keys: Mapping[str, MeterKeys]) -> None:
    """Check that no two configured devices share a key.

    Raises:
        ConfigError: two do; each is named.

    """
    devices = [*(point.device for point in config.access_points), *(meter.device for meter in config.meters)]
    faults = shared_keys((device, keys[device].key) for device in devices if device in keys)
    if faults:
        raise ConfigError(faults)


def serve(
    config: ServeConfig,
    *,
    keys: Mapping[str, MeterKeys],
    tariffs: Sequence[Tariff],
    master_key: Path,
    after_restore: bool = False,
    on_ready: Callable[[CentralSystemReady], object],
) -> None:
    """Run the central system of a configuration until it is interrupted.

    Args:
        config: its configuration.
        keys: keys of meters by device; those of known devices may be left out.
        tariffs: that meters name.
        master_key: the file that holds, or will hold, the key of the keys at rest.
        after_restore: the state is of a back-up or another machine, and nothing else uses its counters.
        on_ready: called once it answers.

    Raises:
        ConfigError: the configuration contradicts the stored inventory, or lacks a key.
        MasterKeyError: the file of the master key cannot be used.
        StorageError: the data cannot be opened.
        ProgramStoppedError: it cannot listen, or one of its parts failed.

    """
    clock = SystemClock()
    known = {name: _device_keys(secrets) for name, secrets in keys.items()}
    secret = load_master_key(master_key, config.data, wraps=lambda: holds_keys(inventory_path(config.data)))
    system = CentralSystem(
        config,
        keys=known,
        master_key=secret,
        tariffs=tariffs,
        clock=clock,
        after_restore=after_restore,
        progress=_progress(clock),
    )
    try:
        run_program(run_central_system(system, clock, on_ready))
    finally:
        system.close()


def _progress(clock: Callable[[], float]) -> Progress:
    """Return what logs how far a start is, at most once a second."""
    logged_at = clock()

    def note(what: str, done: int, of: int) -> None:
        nonlocal logged_at
        if clock() - logged_at >= PROGRESS_S:
            logged_at = clock()
            _log.info("starting: %s", what, extra={"done": done, "of": of})

    return note


def _device_keys(keys: MeterKeys) -> DeviceKeys:
    return DeviceKeys(keys.key or None, keys.auth_key or None, keys.password or None)


async def run_central_system(
    system: CentralSystem, clock: SystemClock, on_ready: Callable[[CentralSystemReady], object]
) -> None:
    """Run a central system until it is interrupted; ``on_ready`` is called once it answers.

    Raises:
        ExceptionGroup: of ``PortalFailedError`` or ``OSError``: it cannot listen, or one of its parts failed.

    """
    config, services = system.config, Services()
    numbers = GatheredNumbers(system.data, system.damage)
    views = HeadEndViews(system.head_end, numbers, explain, clock.utc, on_order=system.host.wake)
    loop = asyncio.get_running_loop()
    asked = SurveyedViews(system.head_end, views, SharedSurvey(views, loop), on_loop(loop))

    async def report_ready() -> None:
        await system.host.listening.wait()
        pushes = tuple(map(str, system.host.push_places))
        on_ready(CentralSystemReady(where, pushes, sum(bool(device.channels) for device in system.head_end.inventory)))

    async with portal(
        system.data,
        asked,
        clock=clock.utc,
        host=config.portal.host,
        port=config.portal.port,
        names=config.portal.names,
        insecure_without_login=config.portal.insecure_without_login,
        orders=asked,
        health=lambda: _health(system, services),
    ) as where:
        await until_signal(
            services.keep("head end", system.host.run),
            services.keep("upkeep", lambda: maintain(system.data, clock.utc)),
            services.keep("sums", numbers.run),
            report_ready(),
        )


def _health(system: CentralSystem, services: Services) -> dict[str, Any]:
    counts = system.head_end.counts
    return {
        "meters": len(system.head_end.inventory),
        "sessions_open": system.host.open_count,
        "sessions_ok": counts.sessions_ok,
        "sessions_failed": counts.sessions_failed,
        "rows_pushed": counts.rows_pushed,
        "pushes": [str(place) for place in system.host.push_places],
        "quarantined": system.head_end.quarantine.total,
        "damaged": [item.item for item in system.damage()[:DAMAGE_SHOWN_MAX]],
        "failing": dict(services.failing),
    }
