"""The portal's words: one catalogue file per language, chosen by ``Accept-Language``; English fills every gap.

The English sentences of failures and damage are those of ``model.remedies`` and ``model.damage``, which the command
line prints too.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from meterspan.model import remedies
from meterspan.model.remedies import Phrase, Reason

__all__ = ["Words", "catalogues", "languages", "words_for"]

_FALLBACK = "en"
_HEADER_MAX = 200
"""Enough for any browser's list of languages."""
_WEIGHT = re.compile(r"[01](\.[0-9]{0,3})?")
"""RFC 9110, 12.4.2."""


@dataclass(frozen=True, slots=True)
class Words:
    """The catalogue of one language.

    Attributes:
        language: BCP 47 tag, for the ``lang`` attribute.
        entries: key to text; ``{name}`` marks a value.

    """

    language: str
    entries: Mapping[str, str]

    def __call__(self, key: str, **values: object) -> str:
        """Return the text of ``key`` with ``values`` filled in; raises ``KeyError`` for a key of no catalogue."""
        return self.entries[key].format(**values)

    def name(self, kind: str, word: str) -> str:
        """Name a word that comes with the data (a tariff band, a quarantine kind), or give it back as it is."""
        return self.entries.get(f"{kind}.{word.lower()}", word)

    def tell(self, reason: Reason | Phrase) -> str:
        """Return a sentence of failures or damage."""
        return remedies.tell(reason, self.entries)

    def of_problem(self, kind: str, part: str, english: str) -> str:
        """Return title or remedy of a kind of problem; ``english`` where the catalogue has none."""
        return self.entries.get(f"problem.{kind}.{part}", english)

    def part(self, prefix: str) -> dict[str, str]:
        """Return the entries under ``prefix.`` for the page's own scripts."""
        return {
            key.removeprefix(f"{prefix}."): text for key, text in self.entries.items() if key.startswith(f"{prefix}.")
        }


@cache
def languages() -> dict[str, Words]:
    """Load all catalogues."""
    tables = catalogues()
    return {tag: Words(tag, {**tables[_FALLBACK], **table}) for tag, table in tables.items()}


def catalogues() -> dict[str, dict[str, str]]:
    """Read the catalogue of each language as it is, with its gaps."""
    tables = {
        entry.name.removesuffix(".toml"): _flatten(tomllib.loads(entry.read_text("utf-8")))
        for entry in files("meterspan.portal").joinpath("catalogue").iterdir()
        if entry.name.endswith(".toml")
    }
    tables[_FALLBACK] |= remedies.ENGLISH
    return tables


def words_for(accept_language: str) -> Words:
    """Choose the catalogue a reader likes best (RFC 9110, 12.5.4), English where none fits."""
    choices: list[tuple[float, int, str]] = []
    for rank, item in enumerate(accept_language[:_HEADER_MAX].split(",")):
        tag, _, weight = "".join(item.split()).lower().partition(";q=")
        if _WEIGHT.fullmatch(weight or "1"):
            choices.append((-float(weight or 1), rank, tag.partition("-")[0]))
    known = languages()
    return next((known[tag] for weight, _, tag in sorted(choices) if tag in known and weight < 0), known[_FALLBACK])


def _flatten(table: Mapping[str, object], prefix: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for key, value in table.items():
        if isinstance(value, Mapping):
            flat |= _flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = str(value)
    return flat
