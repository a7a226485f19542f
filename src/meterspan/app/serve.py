"""What ``meterspan serve`` is: a central system, its portal and its upkeep on one event loop."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from meterspan.app.central_system import CentralSystem
from meterspan.app.explaining import explain
from meterspan.app.meter_desk import CentralMeterDesk
from meterspan.app.network_views import SharedSurvey, SurveyedViews
from meterspan.app.programs import on_reload, run_program, until_signal
from meterspan.app.registering import Progress
from meterspan.app.serving import DAMAGE_SHOWN_MAX, maintain, portal
from meterspan.app.start_check import StartPlan, StartSource, check_start
from meterspan.app.stored_numbers import GatheredNumbers
from meterspan.app.views_proxy import Call, on_loop
from meterspan.head_end.views import HeadEndViews
from meterspan.model.reasons import trouble_of
from meterspan.model.storage.errors import StorageError
from meterspan.runtime.clock import SystemClock
from meterspan.runtime.declared import ConfigError
from meterspan.runtime.inventory_file import holds_keys, inventory_path
from meterspan.runtime.master_key import load_master_key
from meterspan.runtime.services import Services

__all__ = ["CentralSystemReady", "check_source", "health_of", "reload", "run_central_system", "serve"]


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
        data: its data folder.

    """

    portal: str
    pushes: tuple[str, ...]
    meters: int
    data: str


def check_source(source: StartSource) -> StartPlan:
    """Find whatever a start now would refuse; nothing is written.

    Raises:
        ConfigError: everything that is wrong, with lines where they are known.
        OSError: the configuration cannot be read.

    """
    return check_start(source, SystemClock()())


def serve(
    source: StartSource, *, after_restore: bool = False, on_ready: Callable[[CentralSystemReady], object]
) -> None:
    """Run the central system of a configuration until it is interrupted.

    What would be refused is found before anything is written, so that a refused start leaves nothing behind.

    Args:
        source: configuration, keys and tariffs, read anew at each SIGHUP.
        after_restore: the state is of a back-up or another machine, and nothing else uses its counters.
        on_ready: called once it answers.

    Raises:
        ConfigError: everything that is wrong, with lines where they are known.
        MasterKeyError: the file of the master key cannot be used.
        StorageError: the data cannot be opened.
        ProgramStoppedError: it cannot listen, or one of its parts failed.

    """
    clock = SystemClock()
    plan = check_start(source, clock())
    config = plan.config
    for note in plan.notes:
        _log.warning("configuration: %s", note)
    secret = load_master_key(plan.master_key, config.data, wraps=lambda: holds_keys(inventory_path(config.data)))
    system = CentralSystem(
        config,
        keys=plan.keys,
        master_key=secret,
        tariffs=plan.tariffs,
        clock=clock,
        own_step_s=lambda: clock.step_s,
        after_restore=after_restore,
        is_checked=True,
        progress=_progress(clock),
    )
    try:
        run_program(run_central_system(system, source, clock, on_ready))
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


async def run_central_system(
    system: CentralSystem, source: StartSource, clock: SystemClock, on_ready: Callable[[CentralSystemReady], object]
) -> None:
    """Run a central system until it is interrupted; ``on_ready`` is called once it answers.

    Args:
        system: the central system.
        source: where its configuration is read anew.
        clock: the time.
        on_ready: called with the addresses.

    Raises:
        ExceptionGroup: of ``PortalFailedError`` or ``OSError``: it cannot listen, or one of its parts failed.

    """
    config, services = system.config, Services(system.host.troubles)
    numbers = GatheredNumbers(system.data, system.damage)
    views = HeadEndViews(system.head_end, numbers, explain, clock.utc, on_order=system.host.wake)
    loop = asyncio.get_running_loop()
    call = on_loop(loop)
    survey = SharedSurvey(views, loop)
    asked = SurveyedViews(system.head_end, views, survey, call)

    def take_configuration_anew() -> None:
        reload(system, source, call, clock())
        survey.forget()

    async def report_ready() -> None:
        await system.host.listening.wait()
        pushes = tuple(map(str, system.host.push_places))
        meters = sum(bool(device.channels) for device in system.head_end.inventory)
        on_ready(CentralSystemReady(where, pushes, meters, str(config.data)))

    async with portal(
        system.data,
        asked,
        clock=clock.utc,
        host=config.portal.host,
        port=config.portal.port,
        names=config.portal.names,
        insecure_without_login=config.portal.insecure_without_login,
        orders=asked,
        health=lambda: health_of(system),
        meter_desk=CentralMeterDesk(system, source, call, survey.forget),
    ) as where:
        await until_signal(
            on_reload(take_configuration_anew),
            services.keep("head end", system.host.run),
            services.keep("upkeep", lambda: maintain(system.data, clock.utc, system.host.troubles)),
            services.keep("sums", numbers.run),
            report_ready(),
        )


def reload(system: CentralSystem, source: StartSource, call: Call, now: float) -> None:
    """Read the configuration anew and take its meters; what is refused is logged, and everything stays as it is.

    Args:
        system: a running central system.
        source: where its configuration is.
        call: runs a function where the head end runs.
        now: UTC seconds.

    """
    try:
        plan = check_start(source, now, system.config)
        changed = system.reload(plan.config, plan.keys, plan.tariffs, call)
    except ConfigError as error:
        for fault in error.faults:
            _log.error("the configuration was not taken: %s", fault)
    except StorageError as error:
        what = "the configuration was not taken, the data cannot be used"
        system.host.troubles.note("configuration", what, error)
    except OSError as error:
        _log.error("the configuration cannot be read: %s", trouble_of(error))
    else:
        system.host.troubles.end("configuration")
        _log.info("configuration taken", extra={"meters_changed": changed})
        for note in system.not_taken(plan.config):
            _log.warning("configuration: %s", note)


def health_of(system: CentralSystem) -> dict[str, Any]:
    """Return how a running central system is: counts, what is damaged, and what does not work now."""
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
        "failing": dict(system.host.troubles.now),
    }
