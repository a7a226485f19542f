"""What ``meterspan serve`` is: a central system, its portal and its upkeep on one event loop."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from meterspan.analytics.tariff import Tariff
from meterspan.app.central_system import CentralSystem
from meterspan.app.explaining import explain
from meterspan.app.meter_keys import MeterKeys
from meterspan.app.registering import Progress
from meterspan.app.serving import DAMAGE_SHOWN_MAX, maintain, portal, run_program, until_signal
from meterspan.app.stored_numbers import StoredNumbers
from meterspan.app.views_proxy import on_loop, passed_through
from meterspan.head_end.inventory import DeviceKeys
from meterspan.head_end.views import HeadEndViews
from meterspan.runtime.clock import SystemClock
from meterspan.runtime.config import ServeConfig
from meterspan.runtime.inventory_file import holds_keys, inventory_path
from meterspan.runtime.master_key import load_master_key
from meterspan.store.databases import check_reachable

__all__ = ["CentralSystemReady", "check_places", "run_central_system", "serve"]


PROGRESS_S: Final = 1.0
"""A start that takes longer says how far it is, about so often."""

_log = logging.getLogger(__name__)


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


def check_places(config: ServeConfig) -> None:
    """Check that the database of the registry can be reached, where it is not a file; nothing is written.

    Raises:
        StorageError: it cannot be reached.

    """
    if config.registry:
        check_reachable(config.registry)


def serve(
    config: ServeConfig,
    *,
    keys: Mapping[str, MeterKeys],
    tariffs: Sequence[Tariff],
    master_key: Path,
    on_ready: Callable[[CentralSystemReady], object],
) -> None:
    """Run the central system of a configuration until it is interrupted.

    Args:
        config: its configuration.
        keys: keys of meters by device; those of known devices may be left out.
        tariffs: that meters name.
        master_key: the file that holds, or will hold, the key of the keys at rest.
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
        config, keys=known, master_key=secret, tariffs=tariffs, clock=clock, progress=_progress(clock)
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
        insecure_without_login=config.portal.insecure_without_login,
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
