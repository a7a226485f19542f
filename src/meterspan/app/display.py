"""What ``meterspan display`` is: a display model fed from a P1 port, which keeps today's counting across restarts."""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing, suppress
from datetime import tzinfo
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from meterspan.analytics.tariff import Tariff
from meterspan.display.app import DisplayApp, Fed
from meterspan.display.model import DisplayModel
from meterspan.quantities import Commodity
from meterspan.readings.p1 import rows_of_p1
from meterspan.runtime.clock import SystemClock
from meterspan.runtime.endpoints import Endpoint
from meterspan.runtime.p1_source import p1_telegrams
from meterspan.runtime.state import StateFile
from meterspan.wire.p1 import P1Damage

__all__ = ["feed", "run_display", "show_home"]

SAVED_EVERY_S: Final = 60.0
"""Today's counting is saved this often, and at the end: a display that is unplugged loses a minute of it."""


def show_home(
    source: Endpoint,
    folder: Path,
    *,
    zone: str,
    tariffs: Mapping[Commodity, Tariff],
    contract_w: int | None,
    title: str,
    dark: bool,
) -> None:
    """Show the home of a P1 port until its reader leaves.

    Args:
        source: the port.
        folder: keeps today's counting, in ``display.sqlite``.
        zone: IANA time zone of the home.
        tariffs: of the home, by supply.
        contract_w: power of the connection, W.
        title: name of the home.
        dark: which theme to begin with.

    """
    model = DisplayModel(zone, tariffs=dict(tariffs), contract_w=contract_w)
    with StateFile(folder / "display.sqlite") as state:
        run_display(model, source, state, title=title, dark=dark)


def run_display(model: DisplayModel, source: Endpoint, state: StateFile, *, title: str, dark: bool) -> None:
    """Show a home until its reader leaves.

    Args:
        model: the shown values, without history.
        source: the P1 port.
        state: where today's counting is saved, by source.
        title: name of the home.
        dark: which theme to begin with.

    """
    clock = SystemClock()
    saved = state.load(str(source))
    if saved is not None:
        with suppress(ValueError):  # another version wrote it: today is counted again
            model.restore(saved)

    def save() -> None:
        state.save(str(source), model.saved_state())

    DisplayApp(model, feed(source, clock, save, ZoneInfo(model.zone)), clock, title=title, dark=dark).run()
    save()


async def feed(
    source: Endpoint, clock: Callable[[], float], save: Callable[[], None], zone: tzinfo
) -> AsyncGenerator[Fed, None]:
    """Yield the rows of each telegram of a P1 port, and call ``save`` every ``SAVED_EVERY_S``.

    Args:
        source: the port.
        clock: UTC seconds.
        save: saves today's counting.
        zone: of the home.

    """
    due = clock() + SAVED_EVERY_S
    async with aclosing(p1_telegrams(source)) as telegrams:
        async for telegram in telegrams:
            yield telegram if isinstance(telegram, P1Damage) else rows_of_p1(telegram, clock(), zone)
            if clock() >= due:
                save()
                due = clock() + SAVED_EVERY_S
