"""The one rule for text that others wrote: nothing in it commands a terminal, a log or a page."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterspan.model.plain_text import one_line, printable

SOURCE = Path(__file__).parents[2] / "src" / "meterspan"
COMMANDS = (
    *map(chr, (*range(10), *range(11, 32), *range(0x7F, 0xA0))),
    *map(chr, (0x61C, *range(0x200B, 0x2010), 0x2028, 0x2029, *range(0x202A, 0x202F), *range(0x2066, 0x206A))),
    "\ufeff",
    "\U000e0041",
    "\ud800",
)
OWN_USE = {"app/bench_reading.py"}
"""Asks whether octets are text; shows none."""


@pytest.mark.attack(12)
@pytest.mark.parametrize("letter", COMMANDS, ids=lambda letter: f"{ord(letter):04x}")
def test_no_letter_that_commands_is_shown(letter: str) -> None:
    assert printable(f"a{letter}b\n") == "a\ufffdb\n"
    assert one_line(f"a{letter}b\n") == "a\ufffdb\ufffd"


@given(st.text(max_size=60))
def test_every_text_keeps_its_length_and_is_printable_but_for_spaces_and_line_feeds(text: str) -> None:
    shown = printable(text)
    assert len(shown) == len(text)
    assert all(letter.isprintable() or letter == "\n" or letter.isspace() for letter in shown)
    assert printable(shown) == shown
    assert "\n" not in one_line(text)


@pytest.mark.parametrize(
    "text", ["", "Mühlweg 12, 3. Stock, ½ m³ „Süd“ ß ẞ", "1\u00a0234\u202f567,8 kWh", "電気\nガス"]
)
def test_letters_and_spaces_of_every_language_stay(text: str) -> None:
    assert printable(text) == text


@pytest.mark.attack(12)
def test_no_other_module_has_a_rule_of_its_own() -> None:
    found = {
        path.relative_to(SOURCE).as_posix()
        for path in SOURCE.rglob("*.py")
        if "\\ufffd" in path.read_text("utf-8").lower()
    }
    assert found == {"model/plain_text.py"} | OWN_USE
