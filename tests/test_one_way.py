"""One way for each thing: no OBIS code and no function of the sources is written in two places; a failure of storage
is built in one place, and errors of the operating system become one at the edge of the store alone.
"""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from meterspan.model.storage import errors as storage_errors

SOURCE = Path(__file__).parents[1] / "src" / "meterspan"
TREES = {
    path.relative_to(SOURCE).as_posix(): ast.parse(path.read_text("utf-8")) for path in sorted(SOURCE.rglob("*.py"))
}
OBIS_PARTS = range(5, 7)
NODES_MAX = 24
"""Nodes of a body that may be written again: a property, a getter, one call with its result."""

LARGE = 1 << 32
"""Numbers above it are no sizes or counts of one module, but facts of a format or of the calendar."""
LARGE = 1 << 32
"""Numbers above it are no sizes or counts of one module, but facts of a format or of the calendar."""
OTHER_FILES = {"app/programs.py", "cli/__init__.py", "cli/importing.py", "cli/transfer.py", "cli/serve.py"}
"""Where an ``OSError`` beside a ``StorageError`` is of a port, or of a file that the user named."""


def test_an_obis_code_is_written_out_in_one_module_only() -> None:
    places = defaultdict(set)
    for path, tree in TREES.items():
        for code in _codes(tree):
            places[code].add(path)
    assert places["Obis(0, 0, 1, 0, 0)"] == {"quantities/codes.py"}
    assert {code: sorted(found) for code, found in places.items() if len(found) > 1} == {}


def test_no_two_functions_have_the_same_body() -> None:
    places = defaultdict(list)
    for path, tree in TREES.items():
        for function in _functions(tree):
            if body := _body(function):
                places[body].append(f"{path}:{function.lineno} {function.name}")
    assert len(places) > 1_000
    assert [found for found in places.values() if len(found) > 1] == []


def test_a_large_number_is_written_out_in_one_module_only() -> None:
    places = defaultdict(set)
    for path, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, int) and node.value > LARGE:
                places[node.value].add(path)
    found = {number: sorted(paths) for number, paths in places.items() if len(paths) > 1 and not _is_round(number)}
    assert places[253_402_300_799] == {"quantities/instants.py"}
    assert found == {}


def _is_round(number: int) -> bool:
    """Whether a number is a power of ten, or a mask: its digits say what it is."""
    return str(number).strip("0") == "1" or number & (number + 1) == 0


def test_a_failure_of_storage_is_built_in_the_module_of_failures_only() -> None:
    """``Failure.of_storage`` keeps the sort of the storage error and whether waiting helps."""
    assert [place for place, call in _calls() if "FailureKind.STORAGE" in _arguments(call)] == ["model/failures.py"]


def test_an_error_of_the_operating_system_becomes_one_of_storage_at_the_edge_of_the_store_only() -> None:
    kinds = set(storage_errors.__all__)
    makers = {
        path
        for path, handler in _handlers()
        if _caught(handler) & {"OSError", "sqlite3.Error", "PermissionError"} and _names_of(handler.body) & kinds
    }
    assert makers, "the edge is not found"
    assert {path for path in makers if not path.startswith("store/")} == set()


def test_no_program_catches_errors_of_the_operating_system_as_errors_of_the_store() -> None:
    both = {path for path, handler in _handlers() if {"StorageError", "OSError"} <= _caught(handler)}
    assert both - OTHER_FILES == set()


def test_an_sqlite_file_is_opened_by_the_store_and_the_state_only() -> None:
    importers = {path for path, tree in TREES.items() for node in ast.walk(tree) if "sqlite3" in _imported(node)}
    assert {path for path in importers if not path.startswith("store/")} == {"runtime/state.py"}


def _imported(node: ast.AST) -> set[str]:
    return {name.name for name in node.names} if isinstance(node, ast.Import) else set()


def _calls() -> Iterator[tuple[str, ast.Call]]:
    return ((path, node) for path, tree in TREES.items() for node in ast.walk(tree) if isinstance(node, ast.Call))


def _arguments(call: ast.Call) -> set[str]:
    return {ast.unparse(argument) for argument in (*call.args, *(word.value for word in call.keywords))}


def _handlers() -> Iterator[tuple[str, ast.ExceptHandler]]:
    return (
        (path, node) for path, tree in TREES.items() for node in ast.walk(tree) if isinstance(node, ast.ExceptHandler)
    )


def _caught(handler: ast.ExceptHandler) -> set[str]:
    """Return the names of the errors that a handler catches."""
    if handler.type is None:
        return set()
    types = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return {ast.unparse(type_) for type_ in types}


def _names_of(statements: list[ast.stmt]) -> set[str]:
    return {node.id for statement in statements for node in ast.walk(statement) if isinstance(node, ast.Name)}


def _codes(tree: ast.AST) -> Iterator[str]:
    """Yield the OBIS codes that are written out: ``Obis(1, 0, 1, 8, 0)``."""
    for node in ast.walk(tree):
        is_code = isinstance(node, ast.Call) and ast.unparse(node.func) == "Obis" and len(node.args) in OBIS_PARTS
        if is_code and all(isinstance(part, ast.Constant) for part in node.args):
            yield ast.unparse(node)


def _functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def _body(function: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    """Return the body with numbered parameters and local names, or "" for a short one."""
    statements = function.body[1:] if ast.get_docstring(function) is not None else function.body
    if sum(1 for statement in statements for _ in ast.walk(statement)) <= NODES_MAX:
        return ""
    arguments = function.args
    names = [item.arg for item in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
    nodes = [node for statement in statements for node in ast.walk(statement)]
    names += [node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)]
    numbers = {name: str(number) for number, name in enumerate(dict.fromkeys(names))}
    copy = ast.parse(ast.unparse(ast.Module(statements, [])))
    for node in ast.walk(copy):
        if isinstance(node, ast.Name) and node.id in numbers:
            node.id = f"name_{numbers[node.id]}"
    return ast.unparse(copy)
