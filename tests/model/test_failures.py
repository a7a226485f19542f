import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import meterspan
from meterspan.model.failures import Failure, FailureKind, kind_of_error
from meterspan.model.storage.errors import StorageFullError, UnknownFormatError
from meterspan.wire.errors import (
    ChecksumError,
    KeyMissingError,
    KeyWrongError,
    ReplayError,
    TruncatedError,
    UnsupportedError,
    WireError,
)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (KeyMissingError("x"), FailureKind.KEY_MISSING),
        (KeyWrongError("x"), FailureKind.KEY_WRONG),
        (ReplayError("x"), FailureKind.REPLAY),
        (ChecksumError("x"), FailureKind.DAMAGED),
        (TruncatedError("x"), FailureKind.DAMAGED),
        (UnsupportedError("x"), FailureKind.UNSUPPORTED),
        (WireError("invocation-counter"), FailureKind.UNREADABLE),
    ],
)
def test_the_kind_of_an_error_goes_by_its_type_never_by_its_words(error: WireError, kind: FailureKind) -> None:
    assert kind_of_error(error) is kind
    failure = Failure.of_error(error)
    assert (failure.kind, failure.error) == (kind, error)
    assert str(failure) == str(error)


def test_a_failure_without_detail_reads_as_its_kind() -> None:
    assert str(Failure(FailureKind.COUNTER_BEHIND)) == "counter behind"


def test_a_storage_error_is_a_failure_of_storage_that_says_its_sort_and_whether_waiting_helps():
    full, newer = Failure.of_storage(StorageFullError("no room", "a.db")), UnknownFormatError("a.db", 9, 1)
    assert (full.kind, full.code, full.permanent, full.detail) == (FailureKind.STORAGE, "full", False, "a.db: no room")
    assert Failure.of_storage(newer).permanent


WORDS = {"reason", "detail", "message", "error", "failure", "title", "words", "summary", "args"}
"""What holds the words of a failure, as a name or an attribute."""


def _is_words(node: ast.expr) -> bool:
    match node:
        case ast.Call(func=ast.Name(id="str" | "repr"), args=[_]):
            return True
        case ast.Call(func=ast.Attribute(value=value, attr="lower" | "casefold" | "strip")):
            return _is_words(value)
        case ast.Attribute(attr=name) | ast.Name(id=name):
            return name in WORDS
    return False


def _searches(tree: ast.AST) -> Iterator[ast.expr]:
    """Find where a failure's words are searched for, or compared with, other words."""
    for node in ast.walk(tree):
        match node:
            case ast.Compare(ops=[ast.In() | ast.NotIn()], comparators=[within]) if _is_words(within):
                if isinstance(node.left, ast.Constant | ast.Name):
                    yield node
            case ast.Compare(left=ast.Attribute() | ast.Name() as left, comparators=[ast.Constant(value=str(text))]):
                if text and _is_words(left) and isinstance(node.ops[0], ast.Eq | ast.NotEq):
                    yield node
            case ast.Call(func=ast.Attribute(value=value, attr="startswith" | "endswith" | "find")):
                if _is_words(value):
                    yield node


def test_no_module_searches_the_words_of_a_failure() -> None:
    source = Path(meterspan.__file__).parent
    found = {
        (str(path.relative_to(source)), ast.unparse(node))
        for path in source.rglob("*.py")
        for node in _searches(ast.parse(path.read_text()))
    }
    assert found == set()


def test_the_search_for_searches_finds_them() -> None:
    found = [ast.unparse(node) for node in _searches(ast.parse("x = 'key' in str(error) or error.reason == 'silent'"))]
    assert found == ["'key' in str(error)", "error.reason == 'silent'"]
