"""The architecture page tells the truth: each place exists, and what has one place stands in no other."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "meterspan"
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
TABLE = PAGE.split("## The one place of each thing")[1].split("\n\n")[2]
ROWS = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in TABLE.splitlines()[2:]]
THINGS = {row[0].strip("| "): row for row in ROWS}


def test_the_table_was_found() -> None:
    assert len(THINGS) > 25


@pytest.mark.parametrize("thing", THINGS)
def test_the_place_of_a_thing_exists_and_holds_the_name_that_is_given(thing: str) -> None:
    marked = re.findall(r"`([^`]+)`", THINGS[thing][1])
    paths = [word for word in marked if word.endswith(".py")]
    assert paths
    text = "".join((SOURCE / path).read_text(encoding="utf-8") for path in paths)
    for name in marked:
        assert name.endswith(".py") or re.search(rf"\b{name.rpartition('.')[2]}\b", text), name


@pytest.mark.parametrize("thing", [thing for thing, row in THINGS.items() if "`" in row[-1]])
def test_what_has_one_place_stands_in_no_other_module(thing: str) -> None:
    places = re.findall(r"`([^`]+\.py)`", THINGS[thing][1])
    folders = {str(Path(place).parent) for place in places}
    for mark in re.findall(r"`([^`]+)`", THINGS[thing][-1]):
        found = {path.relative_to(SOURCE) for path in SOURCE.rglob("*.py") if mark in path.read_text(encoding="utf-8")}
        assert {str(path.parent) for path in found} <= folders, (mark, found)
