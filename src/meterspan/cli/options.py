"""Values of options that several commands take: time zones, OBIS codes, days; and which options go together.

Each function returns the value or raises ``typer.BadParameter`` that names the option.
"""

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Annotated, Any, TypeVar
from zoneinfo import ZoneInfo

import typer

from meterspan.model.names import name_fault
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

KeyOption = Annotated[
    str | None, typer.Option(help="Encryption key: 32 hex digits or @FILE.", envvar="METERSPAN_KEY", metavar="HEX")
]

AuthKeyOption = Annotated[
    str | None, typer.Option(help="Authentication key likewise.", envvar="METERSPAN_AUTH_KEY", metavar="HEX")
]

Use = TypeVar("Use", bound=str)

__all__ = [
    "AfterRestoreOption",
    "AuthKeyOption",
    "KeyOption",
    "RegistryOption",
    "day_option",
    "local_zone",
    "obis_option",
    "port_option",
    "require_taken",
    "zone_option",
]


def require_taken(ctx: typer.Context, use: Use, taken: Mapping[Use, frozenset[str]], always: frozenset[str]) -> None:
    """Refuse an option of the command line that this use of the command does not take.

    Args:
        ctx: of the command.
        use: what the command is used for now: an action, or the option that chooses it.
        taken: the names of the options that each use takes.
        always: the names of those that every use takes.

    Raises:
        typer.BadParameter: one is given that the use would leave unused.

    """
    for option in ctx.command.params:
        name = option.name or ""
        source = ctx.get_parameter_source(name)
        if source and source.name == "COMMANDLINE" and name not in always | taken[use]:
            others = ", ".join(other for other, names in taken.items() if name in names)
            raise typer.BadParameter(f"is for {others}; {use} does not use it", param_hint=option.opts[0])


def port_option(text: str) -> Any:
    """Return the option of a port, described by its text; 0 is a number too, for a free port."""
    return typer.Option(min=0, max=65_535, help=text)


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


def name_option(text: str | None, option: str) -> str | None:
    """Return the name of a meter or home that an option gives; raises ``typer.BadParameter`` for any other text."""
    if text is not None and (fault := name_fault(text)):
        raise typer.BadParameter(fault, param_hint=option)
    return text


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
