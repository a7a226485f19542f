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


def test_tests_which_no_type_checker_reads_ignore_no_type() -> None:
    assert [place for place, _ in _lines(TESTS, re.compile("# type: ignore"))] == []


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


SHOWN = (
    "app/display.py",
    "app/home_views.py",
    "app/stored_numbers.py",
    "display",
    "head_end/views.py",
    "mdm/home_views.py",
    "mdm/operator_numbers.py",
    "mdm/periods.py",
    "mdm/power.py",
    "model/views.py",
    "portal",
)
"""What answers and shows: here no 0 may come from nothing known; sums of figures are ``quantities.known_sum``."""
ZERO_IS_KNOWN = {
    "display/app.py:_hours": "the foot of the scale, drawn where something is known",
    "display/model.py:_share_out": "adds to what was counted",
    "display/model.py:_total": "its caller has counters",
    "display/model.py:cost": "of what was counted; None without prices for all of it",
    "display/model.py:view": "without a tariff there is no price that tax could be in",
    "mdm/operator_numbers.py:_totals": "stored_numbers answers None while nothing is stored",
    "mdm/operator_numbers.py:_unexplained_wh_of": "likewise",
    "mdm/periods.py:day_cost": "days with a standing charge, a count",
    "mdm/power.py:interval_means": "a meter without an export register sells nothing",
    "portal/drawings.py:chart_of": "the height of a column; without parts there is no bar",
    "portal/paging.py:first": "number of a row",
}
"""Functions in which a 0 stands for something known, with the reason."""


def test_no_0_stands_for_what_is_not_known() -> None:
    root = ROOT / "src" / "meterspan"
    paths = [
        path for name in SHOWN for path in ([root / name] if name.endswith(".py") else (root / name).rglob("*.py"))
    ]
    found = {
        f"{path.relative_to(root)}:{function.name}": f"{node.lineno}: {ast.unparse(node)}"
        for path in paths
        for function in _outer_functions(ast.parse(path.read_text("utf-8")))
        for node in ast.walk(function)
        if _makes_0_of_nothing(node)
    }
    assert {place: text for place, text in found.items() if place not in ZERO_IS_KNOWN} == {}
    assert ZERO_IS_KNOWN.keys() - found.keys() == set()


def _outer_functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Yield the functions and methods of a module, without those that lie in another one."""
    for node in tree.body:
        for part in [node, *getattr(node, "body", ())]:
            if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef) and (
                part is node or isinstance(node, ast.ClassDef)
            ):
                yield part


def _makes_0_of_nothing(node: ast.AST) -> bool:
    match node:
        case ast.BoolOp(op=ast.Or(), values=[*_, last]):
            return _is_0(last)
        case ast.IfExp(body=body, orelse=otherwise):
            return _is_0(body) or _is_0(otherwise)
        case ast.Call(func=ast.Attribute(attr="get"), args=[_, default]):
            return _is_0(default)
        case ast.Call(func=ast.Name(id="sum"), args=[_, start]):
            return _is_0(start)
        case ast.Call(keywords=keywords):
            return any(word.arg == "default" and _is_0(word.value) for word in keywords)
    return False


def _is_0(node: ast.AST) -> bool:
    match node:
        case ast.Constant(value=value):
            return value in {0, "0"} and not isinstance(value, bool)
        case ast.Call(func=ast.Name(id="Decimal" | "Fraction"), args=[value]):
            return _is_0(value)
    return False


def test_pages_write_figures_by_their_macros_alone() -> None:
    templates = (ROOT / "src" / "meterspan" / "portal" / "templates").glob("*.html")
    wild = re.compile(r"\|\s*(exact|rounded)\b")
    assert [
        path.name for path in templates if path.name != "macros.html" and wild.search(path.read_text("utf-8"))
    ] == []
