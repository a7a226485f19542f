"""The page for contributors names files that exist, and its examples touch no file beyond its lists."""

import re
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "contributing.md"


def _sections() -> dict[str, str]:
    parts = re.split(r"^## (.+)$", PAGE.read_text("utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def _blocks(text: str, kind: str) -> list[list[str]]:
    return [
        block.strip().splitlines() for block in re.findall(rf"^```{kind}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    ]


def _listed(text: str) -> list[str]:
    """Return the patterns of a section's list of files, the ones in brackets too."""
    return [line.split()[0].strip("[]") for block in _blocks(text, "files") for line in block]


SECTIONS = _sections()
EXAMPLES = [(title, example) for title, text in SECTIONS.items() for example in _blocks(text, "example")]


def test_every_way_to_extend_has_its_section() -> None:
    things = ("driver", "COSEM class", "transport", "page", "command", "security suite", "backend of the store")
    assert list(SECTIONS) == [f"A {thing}" for thing in things]


@pytest.mark.parametrize("title", SECTIONS)
def test_the_files_of_a_section_exist_and_are_at_most_four_without_those_for_special_cases(title: str) -> None:
    (block,) = _blocks(SECTIONS[title], "files")
    for line in block:
        pattern, _, words = line.partition(" ")
        assert list(ROOT.glob(pattern.strip("[]"))), f"{pattern} names no file"
        assert words.strip(), f"{pattern} does not say what is written there"
    needed = {line.split()[0] for line in block if not line.startswith("[")}
    kinds = {re.sub(r"(templates|catalogue)/.*", "words and template", path) for path in needed}
    assert 1 <= len(kinds) <= 4


@pytest.mark.parametrize(("title", "example"), EXAMPLES, ids=[example[0] for _, example in EXAMPLES])
def test_an_example_touches_files_that_exist_and_are_in_the_list(title: str, example: list[str]) -> None:
    head, *touched = example
    assert re.search(r"commit [0-9a-f]{7,40}\b", head), f"{head!r} names no commit"
    patterns = _listed(SECTIONS[title])
    for path in touched:
        assert (ROOT / path).is_file(), f"{path} is gone"
        assert any(fnmatchcase(path, pattern) for pattern in patterns), f"{path} is not in the list of {title!r}"


def test_tests_that_the_page_names_exist() -> None:
    for named in re.findall(r"`(tests/[\w./*]+)`", PAGE.read_text("utf-8")):
        assert list(ROOT.glob(named)), f"{named} is gone"
