"""A command parses, calls and prints: what a program is made of (hosts, stores, engines, threads, loops) is in ``app``.

The rule is read from the source of each module of ``cli``: the modules and names that it imports, and what it makes.
"""

import ast
import inspect
from dataclasses import is_dataclass
from enum import Enum
from importlib import import_module
from pathlib import Path
from types import FunctionType

import pytest

CLI = Path(__file__).parents[2] / "src" / "meterspan" / "cli"
MODULES = sorted(path.name for path in CLI.glob("*.py"))
MACHINERY = {
    *("asyncio", "concurrent", "multiprocessing", "queue", "sched", "select", "selectors", "signal", "socket"),
    *(
        "socketserver",
        "sqlite3",
        "subprocess",
        "threading",
        "anyio",
        "fastapi",
        "httpx",
        "serial_asyncio",
        "sqlalchemy",
    ),
    *("starlette", "textual", "uvicorn", "uvloop"),
}
"""Modules by which a program runs, stores or communicates."""
READERS = {
    *("meterspan.mdm.tariffs", "meterspan.model", "meterspan.crypto.mechanisms", "meterspan.quantities"),
    *("meterspan.readings.names", "meterspan.runtime.config", "meterspan.runtime.declared", "meterspan.wire"),
    *("meterspan.runtime.endpoints", "meterspan.model.reasons", "meterspan.store.private_files"),
}
"""Where functions come from that a command may call beside those of ``app``: they read and write text and values, and
see to who else may read a file of keys."""


def tree_of(module: str) -> ast.Module:
    return ast.parse((CLI / module).read_text(encoding="utf-8"))


def imported(module: str) -> dict[str, object]:
    """What a module imports of meterspan, outside of ``cli``, by the name that it has there."""
    found: dict[str, object] = {}
    for node in ast.walk(tree_of(module)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("meterspan"):
            place = import_module(node.module or "")
            names = (
                {} if (node.module or "").startswith("meterspan.cli") else {a.asname or a.name: a for a in node.names}
            )
            found |= {name: getattr(place, alias.name) for name, alias in names.items()}
    return found


def is_value(kind: type) -> bool:
    """Whether a class is a record, an enumeration or an error: made of values, without a life of its own."""
    return is_dataclass(kind) or issubclass(kind, Enum | BaseException)


@pytest.mark.parametrize("module", MODULES)
def test_a_command_imports_nothing_that_runs_stores_or_communicates(module):
    names = {
        name.split(".")[0]
        for node in ast.walk(tree_of(module))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert names & MACHINERY == set()


@pytest.mark.parametrize("module", MODULES)
def test_a_command_awaits_nothing(module):
    kinds = (ast.AsyncFunctionDef, ast.Await, ast.AsyncFor, ast.AsyncWith)
    assert [node.lineno for node in ast.walk(tree_of(module)) if isinstance(node, kinds)] == []


@pytest.mark.parametrize("module", MODULES)
def test_a_command_calls_functions_of_app_or_of_modules_that_read_text(module):
    functions = {name: found.__module__ for name, found in imported(module).items() if isinstance(found, FunctionType)}
    strange = {
        name: place
        for name, place in functions.items()
        if not place.startswith("meterspan.app.")
        and not any(place == reader or place.startswith(f"{reader}.") for reader in READERS)
    }
    assert strange == {}


@pytest.mark.parametrize("module", MODULES)
def test_a_command_makes_records_only(module):
    """No class that it calls, or a method of which it calls, is a host, a store, an engine or another living thing."""
    kinds = {name: kind for name, kind in imported(module).items() if inspect.isclass(kind) and not is_value(kind)}
    made = {
        name.id
        for node in ast.walk(tree_of(module))
        if isinstance(node, ast.Call)
        for name in (node.func, getattr(node.func, "value", None))
        if isinstance(name, ast.Name) and name.id in kinds
    }
    assert made == set()
