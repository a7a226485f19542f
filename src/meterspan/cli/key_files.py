"""Secrets as users give them: as an option, from a file (``@file``), from the environment, or in a key file.

A key file is TOML that only its owner can read, with a table for each meter; ``meter``, ``read`` and ``listen`` share
it, so that keys need not be on command lines, which every user of the machine can see.
"""

import os
import sys
import tomllib
from collections.abc import Mapping
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Final

import typer
from rich.console import Console

from meterspan.app.meter_keys import MeterKeys, append_secrets, read_secrets
from meterspan.crypto.suites import KEY_SIZE
from meterspan.model.radio_protection import RadioProtection, required_of
from meterspan.model.reasons import reason_of
from meterspan.model.toml_text import tables_of
from meterspan.quantities import Scaled, parse_unit
from meterspan.store.private_files import LoosePermissionsError

__all__ = [
    "append_keys",
    "given_keys",
    "load_key_file",
    "parse_key",
    "parse_password",
    "read_key_file",
    "state_home",
    "warn_of_visible_keys",
]

_HEADER: Final = "# Keys of meters, for meterspan. Anyone who has them can read and command the meters.\n"
_SECRET_OPTIONS: Final = frozenset({"--key", "--auth-key", "--password"})
_FIELDS: Final = frozenset({"key", "auth_key", "password", "protection", "hourly_max"})


def state_home() -> Path:
    """Return the folder for state of this user (XDG base directories)."""
    base = os.environ.get("XDG_STATE_HOME")
    return (Path(base) if base else Path.home() / ".local" / "state") / "meterspan"


def parse_key(text: str | None, option: str) -> bytes:
    """Read a key of 16 octets: 32 hexadecimal digits, or ``@file`` with them; b"" where none was given.

    Raises:
        typer.BadParameter: the text is not a key.

    """
    if not text:
        return b""
    digits = "".join(_from_file(text, option).split()).replace(":", "")
    try:
        key = bytes.fromhex(digits)
    except ValueError as error:
        raise typer.BadParameter(
            "a key is 32 hexadecimal digits, or @FILE that holds them", param_hint=option
        ) from error
    if len(key) != KEY_SIZE:
        raise typer.BadParameter(f"a key has {KEY_SIZE} octets, this one has {len(key)}", param_hint=option)
    return key


def parse_password(text: str | None, option: str = "--password") -> bytes:
    """Read a password: text, ``hex:`` with hexadecimal digits, or ``@file`` with either; b"" where none was given.

    Raises:
        typer.BadParameter: the text is not hexadecimal.

    """
    if not text:
        return b""
    given = _from_file(text, option).strip("\r\n")
    if not given.startswith("hex:"):
        return given.encode()
    try:
        return bytes.fromhex(given.removeprefix("hex:"))
    except ValueError as error:
        raise typer.BadParameter("behind hex: stand hexadecimal digits", param_hint=option) from error


def given_keys(key: str | None, auth_key: str | None, password: str | None) -> MeterKeys:
    """Read the secrets of the options ``--key``, ``--auth-key`` and ``--password``; b"" for one that was not given.

    Raises:
        typer.BadParameter: the text is not a key, or not a password.

    """
    return MeterKeys(parse_key(key, "--key"), parse_key(auth_key, "--auth-key"), parse_password(password))


def read_key_file(path: Path) -> dict[str, MeterKeys]:
    """Read a key file: secrets by the meter's name.

    Raises:
        typer.BadParameter: there is no such file, others can read it, or it is no key file; the words say where.

    """
    try:
        tables = tables_of(read_secrets(path)).get("meters", {})
    except (OSError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"{path}: {reason_of(error)}", param_hint="--keys") from error
    except LoosePermissionsError as error:
        raise typer.BadParameter(str(error), param_hint="--keys") from error
    except tomllib.TOMLDecodeError as error:
        raise typer.BadParameter(f"{path} is no TOML file: {error}", param_hint="--keys") from error
    if not isinstance(tables, dict):
        raise typer.BadParameter(f'{path}: write a table [meters."NAME"] for each meter', param_hint="--keys")
    return {name: _keys_of(path, name, table) for name, table in tables.items()}


def load_key_file(path: Path) -> dict[str, MeterKeys]:
    """Read a key file as ``read_key_file`` does, for a program that runs and reads it again.

    Raises:
        ValueError: it cannot be used; the words are those of ``read_key_file``.

    """
    try:
        return read_key_file(path)
    except typer.BadParameter as error:
        raise ValueError(error.message) from error


def append_keys(path: Path, name: str, keys: MeterKeys) -> None:
    """Add a meter to a key file, which is made where it does not exist, readable by its owner only."""
    lines = [f'\n[meters."{name}"]', f'key = "{keys.key.hex()}"']
    lines += [f'auth_key = "{keys.auth_key.hex()}"'] if keys.auth_key else []
    lines += [f'password = "hex:{keys.password.hex()}"'] if keys.password else []
    append_secrets(path, ("" if path.exists() else _HEADER) + "\n".join(lines) + "\n")


def warn_of_visible_keys(console: Console) -> None:
    """Warn where a secret is on the command line, which every user of the machine can list."""
    visible = [
        argument
        for argument, following in pairwise([*sys.argv, ""])
        if (argument in _SECRET_OPTIONS and not following.startswith("@"))
        or (argument.partition("=")[0] in _SECRET_OPTIONS and "=" in argument and "=@" not in argument)
    ]
    if visible:
        console.print(
            "[yellow]keys on a command line are visible to every user of this machine;[/yellow] prefer --keys FILE,"
            " @FILE or METERSPAN_KEY",
            highlight=False,
        )


def _keys_of(path: Path, name: str, table: object) -> MeterKeys:
    where = f"{path}, meter {name}"
    if isinstance(table, str):
        return MeterKeys(parse_key(table, where))
    if not isinstance(table, Mapping) or not table.keys() <= _FIELDS:
        raise typer.BadParameter(f"{where}: the entries are {', '.join(sorted(_FIELDS))}", param_hint="--keys")
    texts = {key: str(value) for key, value in table.items()}
    key, auth_key = parse_key(texts.get("key"), where), parse_key(texts.get("auth_key"), where)
    protection, hourly_max = _protection(texts.get("protection"), key, where), _amount(texts.get("hourly_max"), where)
    return MeterKeys(key, auth_key, parse_password(texts.get("password"), where), protection, hourly_max)


def _protection(text: str | None, key: bytes, where: str) -> RadioProtection:
    """Read the protection that a radio meter requires; ENCRYPTED where the file does not say."""
    try:
        return required_of(RadioProtection(text or RadioProtection.ENCRYPTED), has_key=bool(key))
    except ValueError as error:
        words = str(error) if text in set(RadioProtection) else f"protection is one of {', '.join(RadioProtection)}"
        raise typer.BadParameter(f"{where}: {words}", param_hint="--keys") from error


def _amount(text: str | None, where: str) -> Scaled | None:
    """Read an amount like ``2.5 m3``; None where there is no text."""
    if text is None:
        return None
    try:
        return _scaled(text)
    except (ValueError, KeyError, ArithmeticError) as error:
        words = f"hourly_max is a number and a unit, like 2.5 m3, not {text!r}"
        raise typer.BadParameter(f"{where}: {words}", param_hint="--keys") from error


def _scaled(text: str) -> Scaled:
    number, _, symbol = text.partition(" ")
    unit, scale = parse_unit(symbol.strip())
    sign, digits, exponent = Decimal(number).as_tuple()
    if sign or not symbol or not isinstance(exponent, int):
        raise ValueError(f"{text!r} is no amount with a unit")
    return Scaled(int("".join(map(str, digits))), exponent + scale, unit)


def _from_file(text: str, option: str) -> str:
    if not text.startswith("@"):
        return text
    path = Path(text[1:])
    try:
        return read_secrets(path)
    except LoosePermissionsError as error:
        raise typer.BadParameter(str(error), param_hint=option) from error
    except (OSError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"{text[1:]}: {reason_of(error)}", param_hint=option) from error
