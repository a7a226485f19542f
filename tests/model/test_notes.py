"""Notes on a period: every kind has its sentence in every language, and no language has a word of another."""

import re
from datetime import datetime
from decimal import Decimal

import pytest

from meterspan.model.notes import COUNTED, ENGLISH, REGISTERS, UNEXPLAINED
from meterspan.model.remedies import Phrase, tell
from meterspan.portal.words import catalogues

VALUES = {
    "before": "M1",
    "after": "M2",
    "at": datetime(2026, 3, 4, 5, 6),  # noqa: DTZ001 - a wall clock's time
    "start": datetime(2026, 3, 4, 5, 6),  # noqa: DTZ001 - a wall clock's time
    "end": datetime(2026, 3, 4, 7, 8),  # noqa: DTZ001 - a wall clock's time
    "amount": Decimal("1.5"),
    "unit": "kWh",
    "why": Phrase("note.reset"),
    "count": 3,
    "hours": Decimal(25),
    "device": "M1",
    "what": "1-0:1.8.0",
    "reason": "too large",
}
KINDS = {f"note.{kind}" for table in (COUNTED, REGISTERS, UNEXPLAINED) for kind in table.values()}


@pytest.mark.parametrize("language", sorted(catalogues()))
@pytest.mark.parametrize("key", sorted(ENGLISH))
def test_a_note_is_told_in_every_language_with_all_its_values(language, key):
    table = catalogues()[language]
    places = re.findall(r"\{(\w+)", ENGLISH[key])
    assert sorted(re.findall(r"\{(\w+)", table[key])) == sorted(places)
    told = tell(Phrase(key, tuple((name, VALUES[name]) for name in places)), table)
    assert told
    assert "{" not in told
    assert language == "en" or told != str(Phrase(key, tuple((name, VALUES[name]) for name in places)))


def test_every_kind_of_note_has_a_sentence():
    assert ENGLISH.keys() >= KINDS


@pytest.mark.finding("users F-tech")
def test_a_note_has_the_times_and_the_decimal_mark_of_its_language():
    places = ("amount", "unit", "start", "end", "why")
    phrase = Phrase("note.unexplained", tuple((name, VALUES[name]) for name in places))
    assert "1.5 kWh unexplained between 2026-03-04 05:06" in str(phrase)
    assert "1,5 kWh ohne Erklärung zwischen 04.03.2026 05:06" in tell(phrase, catalogues()["de"])
