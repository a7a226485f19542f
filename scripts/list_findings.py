"""Compare the list of findings with the tests that are marked with them: ``list-findings [--write]``.

Each row of docs/findings.md names a finding, what was wrong, and its state; the last column lists the tests marked
``@pytest.mark.finding("…")``, and is written by this script.
"""

import ast
import re
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "findings.md"
STATES = re.compile(r"mended [0-9a-f]{7}(, [0-9a-f]{7})*|(answered|open): .+")


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the page.

    Attributes:
        line: its number in the page, from 0.
        name: of the finding, such as ``security C1``.
        wrong: what was wrong.
        state: ``mended`` with commits, ``answered:`` or ``open:`` with a reason.
        tests: as the page lists them.

    """

    line: int
    name: str
    wrong: str
    state: str
    tests: str

    def __str__(self) -> str:
        """Return the row as the page has it."""
        return f"| {self.name} | {self.wrong} | {self.state} | {self.tests} |"


def rows(text: str) -> Iterator[Row]:
    """Yield the rows of the page's tables."""
    for number, line in enumerate(text.splitlines()):
        cells = [cell.strip() for cell in line.strip().strip("|").split(" | ")]
        if line.startswith("| ") and len(cells) == 4 and cells[0] != "Finding":
            yield Row(number, *cells)


@cache
def marked() -> Mapping[str, list[str]]:
    """Return the tests of each finding, ``path::name``, in the order of their paths."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                for mark in node.decorator_list:
                    for name in _names(mark):
                        found[name].append(f"{path.relative_to(ROOT / 'tests')}::{node.name}")
    return found


def written(text: str) -> str:
    """Return the page with the tests that exist."""
    lines, tests = text.splitlines(), marked()
    for row in rows(text):
        lines[row.line] = str(replace(row, tests=", ".join(f"`{test}`" for test in tests.get(row.name, [])) or "-"))
    return "\n".join(lines) + "\n"


def faults(text: str) -> list[str]:
    """Return what does not fit between the page and the tests, a sentence each."""
    listed = {row.name: row for row in rows(text)}
    tests = marked()
    found = [
        f"{name} is marked in {', '.join(tests[name])}, and is not on the page" for name in tests if name not in listed
    ]
    for row in listed.values():
        if not STATES.fullmatch(row.state):
            found.append(f"{row.name}: the state is `{row.state}`")
        elif row.state.startswith("mended") and row.name not in tests:
            found.append(f"{row.name} is mended, and no test is marked with it")
    if len(listed) < len(list(rows(text))):
        found.append("a finding is listed twice")
    if written(text) != text:
        found.append("the tests on the page are not those that exist: run scripts/list-findings --write")
    return found


def _names(mark: ast.expr) -> list[str]:
    if not (isinstance(mark, ast.Call) and isinstance(mark.func, ast.Attribute) and mark.func.attr == "finding"):
        return []
    return [str(argument.value) for argument in mark.args if isinstance(argument, ast.Constant)]


def main() -> int:
    """Print the findings by state, and what does not fit; with ``--write``, write the tests first."""
    text = PAGE.read_text("utf-8")
    if "--write" in sys.argv:
        text = written(text)
        PAGE.write_text(text, "utf-8")
    states = [row.state.split(":")[0].split(" ")[0] for row in rows(text)]
    print(", ".join(f"{states.count(state)} {state}" for state in ("mended", "answered", "open")))
    for fault in (told := faults(text)):
        print(fault)
    return 1 if told else 0


if __name__ == "__main__":
    sys.exit(main())
