"""The portal's words in each language, chosen by ``Accept-Language``.

The words of one page are in its template, in a comment of TOML at its start: a table per language, and the key of a
word begins with the name of the page. Words that several pages share are in a catalogue file per language; English
fills the gaps of another catalogue. The English sentences of failures and damage are those of ``model.remedies`` and
``model.damage``, which the command line prints too.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

from meterspan.model import remedies
from meterspan.model.remedies import Phrase, Reason
from meterspan.model.toml_text import tables_of

__all__ = ["Words", "WordsError", "catalogues", "languages", "load_words", "read_page_words", "words_for"]

_FALLBACK = "en"
GROUPED_FROM = 10_000
"""A number of five digits is read in groups; a year is not."""
_GROUPS = {"de": "."}
"""What stands between groups of three digits, where it is no comma."""
_HEADER_MAX = 200
"""Enough for any browser's list of languages."""
_WEIGHT = re.compile(r"[01](\.[0-9]{0,3})?")
"""RFC 9110, 12.4.2."""
_PAGE_WORDS = re.compile(r"\A\{#- words\n(.*?)-#\}", re.DOTALL)
_SPOKEN = re.compile(r"""\bt\(["']([^"']+)["'][,)]""")
"""A key that a template writes out; keys that it puts together are checked where they are rendered."""


class WordsError(ValueError):
    """A word is missing, is there twice, or stands in a file that cannot be read; the text names file and key."""


@dataclass(frozen=True, slots=True)
class Words:
    """The words of one language.

    Attributes:
        language: BCP 47 tag, for the ``lang`` attribute.
        entries: key to text; ``{name}`` marks a value.

    """

    language: str
    entries: Mapping[str, str]

    def __call__(self, key: str, **values: object) -> str:
        """Return the text of ``key`` with ``values`` filled in; raises ``KeyError`` for a key of no catalogue."""
        return self.entries[key].format(**{name: self._written(value) for name, value in values.items()})

    def _written(self, value: object) -> object:
        """Write a large count in groups of three digits, as the scripts of a page do."""
        if not isinstance(value, int) or abs(value) < GROUPED_FROM:
            return value
        return f"{value:,}".replace(",", _GROUPS.get(self.language, ","))

    def name(self, kind: str, word: str) -> str:
        """Name a word that comes with the data (a tariff band, a quarantine kind), or give it back as it is."""
        return self.entries.get(f"{kind}.{word.lower()}", word)

    def register(self, obis: str, name: str) -> str:
        """Name a register by its OBIS code; by ``name``, or the code, where the catalogue has none."""
        return self.entries.get(f"register.{obis}", name or obis)

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
    """Read the words of each language, those of the pages too, with the gaps of its catalogue."""
    tables = load_words(files("meterspan.portal"))
    tables[_FALLBACK] |= remedies.ENGLISH
    return tables


def load_words(portal: Traversable) -> dict[str, dict[str, str]]:
    """Read the catalogues and the words of the templates in a folder.

    Raises:
        WordsError: a page lacks a word in a language, two files have the same key, or a template uses an unknown key.

    """
    tables = {
        entry.name.removesuffix(".toml"): _flatten(_parse(entry.read_text("utf-8"), entry.name))
        for entry in portal.joinpath("catalogue").iterdir()
        if entry.name.endswith(".toml")
    }
    templates = {
        entry.name.removesuffix(".html"): entry.read_text("utf-8")
        for entry in portal.joinpath("templates").iterdir()
        if entry.name.endswith(".html")
    }
    for page, template in templates.items():
        _add_page(tables, page, read_page_words(page, template))
    for page, template in templates.items():
        if unknown := sorted(set(_SPOKEN.findall(template)) - tables[_FALLBACK].keys()):
            raise WordsError(f"{page}.html uses keys that no file has: {', '.join(unknown)}")
    return tables


def read_page_words(page: str, template: str) -> dict[str, dict[str, str]]:
    """Return the words at the start of a template by language and key; empty where it has none.

    Raises:
        WordsError: they are not TOML with a table for each language.

    """
    block = _PAGE_WORDS.match(template)
    if block is None:
        return {}
    words: dict[str, dict[str, str]] = {}
    for language, table in _parse(block[1], f"{page}.html").items():
        if not isinstance(table, Mapping):
            raise WordsError(f"{page}.html: {language} is not the table of a language")
        words[language] = _flatten(table, f"{page}.")
    return words


def _add_page(tables: dict[str, dict[str, str]], page: str, words: Mapping[str, Mapping[str, str]]) -> None:
    """Add the words of a page, which has all of them in each language of the catalogues."""
    if not words:
        return
    if strange := sorted(words.keys() - tables.keys()):
        raise WordsError(f"{page}.html: no catalogue is in the language {', '.join(strange)}")
    keys = {key for table in words.values() for key in table}
    for language, table in tables.items():
        if missing := sorted(keys - words.get(language, {}).keys()):
            raise WordsError(f"{page}.html: missing in {language}: {', '.join(missing)}")
        if doubled := sorted(keys & table.keys()):
            raise WordsError(f"{page}.html: the catalogue {language}.toml has these keys too: {', '.join(doubled)}")
        table.update(words[language])


def _parse(text: str, name: str) -> dict[str, object]:
    try:
        return tables_of(text)
    except tomllib.TOMLDecodeError as error:
        raise WordsError(f"{name}: {error}") from error


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
