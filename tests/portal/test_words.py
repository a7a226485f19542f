"""The portal's words: complete in every language, and chosen as the browser asks."""

import re
from pathlib import Path
from textwrap import dedent

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterspan import portal
from meterspan.model.failures import FailureKind
from meterspan.model.quarantine import FrameFault
from meterspan.model.remedies import ENGLISH, Reason, Situation
from meterspan.portal.operator_pages import TABS
from meterspan.portal.words import (
    Words,
    WordsError,
    catalogues,
    languages,
    load_words,
    read_page_words,
    words_for,
)

weights = st.one_of(st.none(), st.integers(0, 1000))
wishes = st.lists(st.tuples(st.sampled_from(["de", "en", "fr", "de-AT", "EN-gb"]), weights), max_size=6)
gaps = st.sampled_from(["", " ", "\t"])


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("de-AT,de;q=0.9,en;q=0.8", "de"),
        ("en-GB", "en"),
        ("fr,de;q=0.4", "de"),
        ("fr", "en"),
        ("", "en"),
        ("de;q=0,en;q=0.1", "en"),
        ("de;q=x", "en"),
        ("en;q=0.2, de;q=0.3", "de"),
        ("," * 9000, "en"),
    ],
)
def test_the_language_is_what_the_reader_likes_best(header, language):
    assert words_for(header).language == language


PLACES = re.compile(r"\{\w+\}")


@pytest.mark.parametrize("language", sorted(set(catalogues()) - {"en"}))
def test_a_catalogue_has_every_text_of_the_english_one_with_the_same_places(language):
    english, other = catalogues()["en"], catalogues()[language]
    assert set(english) - set(other) == set()
    assert {
        key for key in english if sorted(PLACES.findall(english[key])) != sorted(PLACES.findall(other[key]))
    } == set()


@pytest.mark.parametrize("language", sorted(catalogues()))
@pytest.mark.parametrize("kind", list(FailureKind))
def test_every_failure_has_its_remedy_in_every_language(language, kind):
    table = catalogues()[language]
    assert len(table[f"remedy.{kind}"]) > 20
    assert language == "en" or table[f"remedy.{kind}"] != ENGLISH[f"remedy.{kind}"]
    told = languages()[language].tell(Reason(Situation.NOT_REACHED, kind, "octet 14", "LNAP 1"))
    assert table[f"remedy.{kind}"] in told
    assert "(octet 14)" in told
    assert "LNAP 1" in told


@pytest.mark.parametrize("language", sorted(set(catalogues()) - {"en"}))
def test_every_reason_of_the_quarantine_is_named_in_every_other_language(language):
    named = {key for key in catalogues()[language] if key.startswith("operator.quarantine_kind.")}
    assert named == {f"operator.quarantine_kind.{fault}" for fault in FrameFault}


@given(wishes, gaps, gaps)
def test_the_known_language_with_the_highest_weight_is_chosen_the_first_of_equals(wished, before, after):
    """RFC 9110, 12.5.4, with the white space that 12.4.2 allows around the semicolon."""
    items = [tag if weight is None else f"{tag}{before};{after}q={weight / 1000:g}" for tag, weight in wished]
    acceptable = [
        (1000 if weight is None else weight, -rank, tag.partition("-")[0].lower())
        for rank, (tag, weight) in enumerate(wished)
    ]
    known = [choice for choice in acceptable if choice[2] in languages() and choice[0]]
    assert words_for(",".join(items)).language == (max(known)[2] if known else "en")


@given(st.text())
def test_any_header_gives_a_catalogue(header):
    assert words_for(header) in languages().values()


def test_a_weight_that_is_no_number_is_no_wish():
    assert words_for("de;q=nan, de;q=x").language == "en"
    assert words_for("fr;q=nan, en;q=0.1, de;q=0.9").language == "de"


def test_a_text_is_filled_in_and_a_key_of_no_catalogue_is_a_fault():
    words = Words("en", {"greet": "Hello {name}", "band.night": "Night rate", "js.a": "A", "js.b": "B", "jsx": "C"})
    assert words("greet", name="you") == "Hello you"
    with pytest.raises(KeyError):
        words("missing")
    assert words.name("band", "Night") == "Night rate"
    assert words.name("band", "happy hour") == "happy hour"
    assert words.part("js") == {"a": "A", "b": "B"}


def _kinds_of_problems():
    source = "\n".join(path.read_text("utf-8") for path in Path(portal.__file__).parent.glob("*.py"))
    return sorted(set(re.findall(r'(?:ProblemError|_kind)\(\s*[\w.]+,\s*"([a-z-]+)"', source)))


@pytest.mark.parametrize("language", sorted(set(catalogues()) - {"en"}))
def test_every_kind_of_problem_has_its_title_and_remedy_in_every_language(language):
    kinds = _kinds_of_problems()
    assert {"unknown-home", "fault", "storage", "busy", "no-head-end"} <= set(kinds)
    told = catalogues()[language]
    keys = {f"problem.{kind}.{part}" for kind in kinds for part in ("title", "remedy")}
    assert keys - told.keys() == set()
    assert {key for key in told if key.startswith("problem.")} - keys == set(), "of a problem that is no more"
    assert languages()["en"].of_problem("busy", "title", "The head end is busy") == "The head end is busy"


TEMPLATES = sorted((Path(portal.__file__).parent / "templates").glob("*.html"))
PAGES_WITH_WORDS = [path for path in TEMPLATES if read_page_words(path.stem, path.read_text("utf-8"))]


def test_the_words_of_a_page_begin_with_its_name_and_are_those_that_its_template_has():
    template = (
        '{#- words\n[en]\ntitle = "Queue"\n[en.state]\n"timed out" = "late"\n-#}\n<h1>{{ t("queue.title") }}</h1>'
    )
    assert read_page_words("queue", template) == {"en": {"queue.title": "Queue", "queue.state.timed out": "late"}}
    assert read_page_words("queue", "<h1></h1>") == {}
    assert len(PAGES_WITH_WORDS) >= 10


@pytest.mark.parametrize("path", PAGES_WITH_WORDS, ids=lambda path: path.stem)
def test_a_page_uses_each_of_its_words(path):
    _, _, markup = path.read_text("utf-8").partition("-#}")
    spoken = re.findall(r't(?:\.name)?\("([^"]+)"', markup)
    spoken += [tab.word for tab in TABS]
    stems = tuple(key for key in re.findall(r't\("([^"]+)" ~', markup))
    groups = tuple(f"{kind}." for kind in re.findall(r't\.name\("([^"]+)"', markup))
    keys = set(read_page_words(path.stem, path.read_text("utf-8"))["en"])
    assert {key for key in keys if key not in spoken and not key.startswith((*stems, *groups))} == set()


@pytest.fixture
def folder(tmp_path):
    """Return a portal's folder with two languages, one shared word and one page."""
    for name in ("catalogue", "templates"):
        (tmp_path / name).mkdir()
    (tmp_path / "catalogue" / "en.toml").write_text('[list]\nfind = "Find"\n', "utf-8")
    (tmp_path / "catalogue" / "de.toml").write_text('[list]\nfind = "Suchen"\n', "utf-8")
    (tmp_path / "templates" / "queue.html").write_text(page(en='title = "Queue"', de='title = "Schlange"'), "utf-8")
    return tmp_path


def page(body='{{ t("queue.title") }}', **tables):
    words = "\n".join(f"[{language}]\n{table}" for language, table in tables.items())
    return f"{{#- words\n{words}\n-#}}\n{body}\n"


def test_the_words_of_pages_and_catalogues_are_read_together(folder):
    assert load_words(folder) == {
        "en": {"list.find": "Find", "queue.title": "Queue"},
        "de": {"list.find": "Suchen", "queue.title": "Schlange"},
    }


@pytest.mark.parametrize(
    ("template", "told"),
    [
        (page(en='title = "Q"\nlead = "L"', de='title = "S"'), "queue.html: missing in de: queue.lead"),
        (page(en='title = "Q"', de='title = "S"\nlead = "L"'), "queue.html: missing in en: queue.lead"),
        (page(en='title = "Q"'), "queue.html: missing in de: queue.title"),
        (page(en='title = "Q"', de='title = "S"', fr='title = "F"'), "no catalogue is in the language fr"),
        (page(en='title = "Q"\ntitle = "R"', de='title = "S"'), "queue.html: Cannot overwrite a value"),
        (page('{{ t("queue.titel") }}', en='title = "Q"', de='title = "S"'), "no file has: queue.titel"),
        ('{#- words\nen = "Queue"\n-#}', "queue.html: en is not the table of a language"),
    ],
)
def test_a_word_that_is_missing_doubled_or_unknown_is_an_error_at_load(folder, template, told):
    (folder / "templates" / "queue.html").write_text(template, "utf-8")
    with pytest.raises(WordsError, match=re.escape(told)):
        load_words(folder)


@pytest.mark.parametrize("language", ["en", "de"])
def test_a_key_of_a_page_that_a_catalogue_has_too_is_an_error_at_load(folder, language):
    with (folder / "catalogue" / f"{language}.toml").open("a", encoding="utf-8") as catalogue:
        catalogue.write(
            dedent("""
            [queue]
            title = "Again"
        """)
        )
    with pytest.raises(WordsError, match=re.escape(f"the catalogue {language}.toml has these keys too: queue.title")):
        load_words(folder)


def test_a_catalogue_that_is_not_toml_is_an_error_with_its_name(folder):
    (folder / "catalogue" / "de.toml").write_text("[list\n", "utf-8")
    with pytest.raises(WordsError, match=r"^de\.toml: "):
        load_words(folder)


def test_a_large_count_is_written_in_groups_and_a_year_is_not():
    assert words_for("en")("list.span", first=1, last=2026, found=10_000) == "1\u20132026 of 10,000"
    assert words_for("de")("list.span", first=1, last=50, found=1_234_567) == "1\u201350 von 1.234.567"
