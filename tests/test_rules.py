"""Rules that no linter holds: exceptions to rules have reasons, broad excepts answer, nothing is unfinished."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "src").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
FILES = [*SOURCES, *TESTS, *sorted((ROOT / "bench").rglob("*.py")), *sorted((ROOT / "scripts").glob("*.py"))]
EXCEPTION_TO_A_RULE = re.compile(r"# (?:ruff: )?(?:noqa: [A-Z]+\d+(?:, ?[A-Z]+\d+)*|type: ignore\[[a-z,-]+\])(.*)")
REASON = re.compile(r"\s*(?:- |\(|# )\w")
UNFINISHED = re.compile(r"\b(TODO|FIXME|HACK|NotImplementedError)\b|#.*\bformerly\b|[\"' ]/(?:home|Users|work|root)/\w")
BROAD = {"Exception", "BaseException"}


def _lines(files: list[Path], pattern: re.Pattern[str]) -> Iterator[tuple[str, re.Match[str]]]:
    for path in files:
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
            if path != Path(__file__) and (found := pattern.search(line)):
                yield f"{path.relative_to(ROOT)}:{number}: {line.strip()}", found


def test_each_exception_to_a_rule_has_its_reason_beside_it() -> None:
    found = list(_lines(FILES, EXCEPTION_TO_A_RULE))
    assert len(found) > 50
    assert [place for place, match in found if not REASON.match(match[1])] == []


def test_no_source_is_unfinished_tells_its_history_or_knows_one_machine() -> None:
    assert [place for place, _ in _lines(SOURCES, UNFINISHED)] == []


def test_what_catches_everything_raises_it_again_logs_it_or_hands_it_on() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{handler.lineno}"
        for path in SOURCES
        for handler in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(handler, ast.ExceptHandler) and (handler.type is None or ast.unparse(handler.type) in BROAD)
        if not _is_answered(handler)
    ]
    assert found == []


def _is_answered(handler: ast.ExceptHandler) -> bool:
    nodes = [node for statement in handler.body for node in ast.walk(statement)]
    names = {node.id for node in nodes if isinstance(node, ast.Name)}
    logs = any(isinstance(node, ast.Attribute) and node.attr == "exception" for node in nodes)
    return logs or handler.name in names or any(isinstance(node, ast.Raise) for node in nodes)
