"""What ``meter`` and ``home`` share to push rows to a head end."""

import os
import secrets
from pathlib import Path
from typing import Final

import typer
from rich.console import Console

from meterspan.app.meter_keys import MeterKeys
from meterspan.cli.key_files import append_keys, parse_key, read_key_file
from meterspan.cli.terminal import plain
from meterspan.crypto.suites import KEY_SIZE
from meterspan.engine.links import NETWORK_TRANSPORTS
from meterspan.model.identity import parse_system_title
from meterspan.runtime.endpoints import Endpoint, EndpointError, parse_endpoint

__all__ = ["name_option", "push_endpoint", "title_option", "upstream_keys"]

NAME_MIN: Final = 4
NAME_MAX: Final = 16
"""Octets of a COSEM logical device name (IEC 62056-6-2, 4.1.8.2)."""


def push_endpoint(text: str | None) -> Endpoint | None:
    """Read where the head end takes pushes, if anywhere: ``HOST:PORT``, or an endpoint of another transport.

    Raises:
        typer.BadParameter: it is no such place.

    """
    if text is None:
        return None
    try:
        return parse_endpoint(text if "://" in text else f"tcp://{text}", list(NETWORK_TRANSPORTS))
    except EndpointError as error:
        raise typer.BadParameter(str(error), param_hint="--push") from error


def name_option(text: str | None) -> str | None:
    """Return the COSEM device name that was chosen, if any.

    Raises:
        typer.BadParameter: it is no such name.

    """
    if text is not None and not (NAME_MIN <= len(text) <= NAME_MAX and text.isascii()):
        raise typer.BadParameter(
            f"a COSEM device name has {NAME_MIN} to {NAME_MAX} letters or digits", param_hint="--name"
        )
    return text


def title_option(text: str | None) -> bytes | None:
    """Return the system title that was chosen, if any.

    Raises:
        typer.BadParameter: the text is not a system title.

    """
    if text is None:
        return None
    try:
        return parse_system_title(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--system-title") from error


def upstream_keys(name: str, path: Path, console: Console) -> MeterKeys:
    """Return the access point's keys: from the environment, from a key file, or made up and added to the file."""
    given = MeterKeys(
        parse_key(os.environ.get("METERSPAN_KEY"), "METERSPAN_KEY"),
        parse_key(os.environ.get("METERSPAN_AUTH_KEY"), "METERSPAN_AUTH_KEY"),
    )
    filed = read_key_file(path).get(name) if path.exists() else None
    known = filed or MeterKeys()
    keys = MeterKeys(
        given.key or known.key or secrets.token_bytes(KEY_SIZE),
        given.auth_key or known.auth_key or secrets.token_bytes(KEY_SIZE),
    )
    if filed is None and not (given.key and given.auth_key):
        append_keys(path, name, keys)
        console.print(f"[dim]keys of {plain(name)} are in[/dim] {plain(path)}", soft_wrap=True)
    return keys
