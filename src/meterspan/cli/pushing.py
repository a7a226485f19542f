"""What ``meter`` and ``home`` share to push rows to a head end."""

import json
import os
import secrets
from pathlib import Path
from typing import Final

import typer
from rich.console import Console

from meterspan.app.meter_keys import MeterKeys
from meterspan.cli.key_files import append_keys, parse_key, read_key_file
from meterspan.crypto.suites import KEY_SIZE
from meterspan.engine.links import NETWORK_TRANSPORTS
from meterspan.engine.security import SecurityKeys
from meterspan.lnap.home_collector import UpstreamIdentity
from meterspan.model.identity import MANUFACTURER, parse_system_title
from meterspan.runtime.endpoints import Endpoint, EndpointError, parse_endpoint
from meterspan.runtime.state import StateFile

__all__ = ["push_endpoint", "upstream_identity", "upstream_keys"]

NAME_MAX: Final = 16
"""Octets of a COSEM logical device name (IEC 62056-6-2, 4.1.8.2)."""
_IDENTITY_KEPT: Final = "access point"


def push_endpoint(text: str) -> Endpoint:
    """Read where the head end takes pushes: ``HOST:PORT``, or an endpoint of another transport.

    Raises:
        typer.BadParameter: it is no such place.

    """
    try:
        return parse_endpoint(text if "://" in text else f"tcp://{text}", list(NETWORK_TRANSPORTS))
    except EndpointError as error:
        raise typer.BadParameter(str(error), param_hint="--push") from error


def upstream_identity(
    state: StateFile, *, name: str | None, system_title: str | None, pushes: bool
) -> UpstreamIdentity:
    """Return name and title of the access point: those given, those it had before, or new ones.

    Args:
        state: keeps the identity between runs.
        name: COSEM device name, None for the kept or a new one.
        system_title: 16 hexadecimal digits, None for the kept or a new one.
        pushes: whether the access point pushes to a head end.

    Raises:
        typer.BadParameter: the name or the title is invalid.

    """
    kept = json.loads(state.load(_IDENTITY_KEPT) or b"{}")
    made = (MANUFACTURER.encode() + secrets.token_bytes(5)).hex()
    title = (system_title or kept.get("system_title") or made).lower()
    chosen = name or kept.get("name") or f"MSPL{title[6:].upper()}"
    if not 4 <= len(chosen) <= NAME_MAX or not chosen.isascii():
        raise typer.BadParameter(f"a COSEM device name has 4 to {NAME_MAX} letters or digits", param_hint="--name")
    try:
        octets = parse_system_title(title)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--system-title") from error
    state.save(_IDENTITY_KEPT, json.dumps({"name": chosen, "system_title": title}).encode())
    return UpstreamIdentity(chosen, octets, pushes)


def upstream_keys(name: str, path: Path, console: Console) -> SecurityKeys:
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
        console.print(f"[dim]keys of {name} are in[/dim] {path}", soft_wrap=True)
    return SecurityKeys(keys.key, keys.auth_key)
