"""Values of options that several commands take: time zones, OBIS codes, days.

Each function returns the value or raises ``typer.BadParameter`` that names the option.
"""

from datetime import date
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from meterspan.quantities import Obis, parse_obis

RegistryOption = Annotated[
    str | None,
    typer.Option(
        help="PostgreSQL database of the registry [dim](an SQLite file in the data folder)[/dim].",
        envvar="METERSPAN_REGISTRY",
        metavar="URL",
    ),
]

AfterRestoreOption = Annotated[
    bool,
    typer.Option(
        "--after-restore",
        help="Once, for state of a back-up or another machine that is used nowhere else: counters jump ahead.",
    ),
]

__all__ = [
    "AfterRestoreOption",
    "RegistryOption",
    "day_option",
    "local_zone",
    "obis_option",
    "zone_option",
]


def zone_option(name: str | None, option: str = "--zone") -> ZoneInfo:
    """Return the time zone of this name, or this machine's."""
    chosen = local_zone() if name is None else name
    try:
        return ZoneInfo(chosen)
    except (KeyError, ValueError, OSError) as error:
        raise typer.BadParameter(f"{chosen!r} is no time zone like Europe/Berlin", param_hint=option) from error


def local_zone() -> str:
    """Return the IANA name of this machine's zone; UTC where it has none."""
    link = Path("/etc/localtime")
    _, found, name = str(link.resolve()).partition("zoneinfo/") if link.exists() else ("", "", "")
    return name if found else "UTC"


def obis_option(text: str, option: str) -> Obis:
    """Return the OBIS code that is written like ``1-0:1.8.0``."""
    try:
        return parse_obis(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from error


def day_option(text: str, option: str) -> date:
    """Return the day that is written like ``2026-10-25``."""
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is no day like 2026-10-25", param_hint=option) from error
