"""The list of findings and the tests that prove them mended agree."""

import importlib.util
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
REVIEWS = {
    "security": [f"C{n}" for n in range(1, 5)]
    + [f"H{n}" for n in range(1, 10)]
    + [f"M{n}" for n in range(1, 11)]
    + [f"low-{n}" for n in range(1, 15)],
    "dlms": [f"D{n}" for n in range(1, 17)],
    "users": [f"A{n}" for n in range(1, 17)]
    + [f"B{n}" for n in range(1, 13)]
    + [f"{part}-{n}" for part in "CD" for n in range(1, 10)]
    + ["E", *(f"F{n}" for n in range(1, 7)), "F-size", "F-tech"],
    "data": [f"D{n}" for n in range(1, 36)],
}


@cache
def _page():
    spec = importlib.util.spec_from_file_location("list_findings", ROOT / "scripts/list_findings.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_finding_is_listed_in_order_with_its_state_and_its_tests():
    page = _page()
    text = page.PAGE.read_text("utf-8")
    assert page.faults(text) == []
    assert [row.name for row in page.rows(text)] == [
        f"{review} {name}" for review, names in REVIEWS.items() for name in names
    ]


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda text: text.replace("| security C1 |", "| security C99 |"), "security C1 is marked in"),
        (lambda text: re.sub(r"mended [0-9a-f]{7}", "mended", text, count=1), "the state is `mended"),
        (lambda text: re.sub(r"`[^`]+::[^`]+`", "`a::b`", text, count=1), "the tests on the page are not"),
        (lambda text: re.sub(r"(\| security M10 \|[^|]+\|)[^|]+\|", r"\1 mended 1234567 |", text), ""),
    ],
)
def test_the_comparison_sees_each_kind_of_difference(change, fault):
    page = _page()
    text = page.PAGE.read_text("utf-8")
    assert fault in " ".join(page.faults(change(text)))


def test_each_property_is_of_one_of_the_twelve_classes():
    texts = [path.read_text("utf-8") for path in (ROOT / "tests").rglob("test_*.py")]
    numbers = [
        number
        for text in texts
        for found in re.findall(r"mark\.attack\(([^)]*)\)", text)
        for number in found.split(",")
    ]
    assert {int(number) for number in numbers} <= set(range(1, 13))


def test_the_commits_that_mended_exist():
    if shutil.which("git") is None or not (ROOT / ".git").exists() or (ROOT / ".git" / "shallow").exists():
        pytest.skip("the history is not here")
    page = _page()
    commits = {
        commit
        for row in page.rows(page.PAGE.read_text("utf-8"))
        for commit in re.findall(r"\b[0-9a-f]{7}\b", row.state)
    }
    asked = "\n".join(sorted(commits))
    done = subprocess.run(
        ["git", "cat-file", "--batch-check"], cwd=ROOT, input=asked, capture_output=True, text=True, check=True
    )
    assert [line for line in done.stdout.splitlines() if " commit " not in line] == []
