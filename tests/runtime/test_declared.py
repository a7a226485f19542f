"""Declared configurations: what is written is read back, and everything that is wrong is named with its line."""

# ruff: noqa: RUF009 - option() gives dataclass fields, as field() does

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path

# ruff: noqa: RUF009 - option() gives dataclass fields, as field() does
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterspan.runtime.declared import ConfigError, ConfigFault, annotated_example, option, read_declared


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True, slots=True)
class Limits:
    low: int = option("The least.", default=0)
    high: float = option("The most.", default=1.5)


@dataclass(frozen=True, slots=True)
class Item:
    name: str = option("What it is called.", example="first")
    colour: Colour = option("Its colour.", default=Colour.RED)


@dataclass(frozen=True, slots=True)
class Whole:
    folder: Path = option("Where it lies.", example=Path("/somewhere"))
    label: str = option("What people read.", default="")
    is_open: bool = option("Whether it is open.", default=False)
    since: datetime | None = option("From when on.", default=None, example=datetime(2026, 1, 1, tzinfo=UTC))
    words: tuple[str, ...] = option("Some words.", default=(), example=("a", "b"))
    limits: Limits = option("Its limits", default=Limits())
    items: tuple[Item, ...] = option("What it holds; repeat", default=())


plain = st.text(st.characters(codec="ascii", categories=("L", "N", "Z"), exclude_characters='"\\'), max_size=8)
times = st.datetimes(datetime(2000, 1, 1), datetime(2090, 1, 1)).map(  # noqa: DTZ001 (the zone is UTC, one line below)
    lambda time: time.replace(microsecond=0, tzinfo=UTC)
)
wholes = st.builds(
    Whole,
    plain.map(lambda text: Path("/") / text),
    plain,
    st.booleans(),
    st.none() | times,
    st.lists(plain, max_size=3).map(tuple),
    st.builds(Limits, st.integers(-(2**40), 2**40), st.integers(-1000, 1000).map(lambda number: number / 8)),
    st.lists(st.builds(Item, plain, st.sampled_from(Colour)), max_size=3).map(tuple),
)


def written(whole):
    """A person's TOML for it."""
    quoted = ", ".join(f'"{word}"' for word in whole.words)
    lines = [
        f'folder = "{whole.folder}"',
        f'label = "{whole.label}"',
        f"is_open = {str(whole.is_open).lower()}",
        f"words = [{quoted}]",
        *([f"since = {whole.since.isoformat()}"] if whole.since else []),
        "[limits]",
        f"low = {whole.limits.low}",
        f"high = {whole.limits.high}",
    ]
    for item in whole.items:
        lines += ["[[items]]", f'name = "{item.name}"', f'colour = "{item.colour}"']
    return "\n".join(lines)


def faults_of(text):
    with pytest.raises(ConfigError) as caught:
        read_declared(Whole, text)
    assert str(caught.value) == "\n".join(map(str, caught.value.faults))
    return [(fault.line, fault.name) for fault in caught.value.faults], str(caught.value)


@given(wholes)
def test_what_is_written_is_read_back(whole):
    assert read_declared(Whole, written(whole)) == whole


def test_what_is_left_out_has_its_default():
    assert read_declared(Whole, 'folder = "/x"') == Whole(Path("/x"))


@given(wholes, st.data())
def test_one_wrong_line_anywhere_is_named_with_its_number(whole, data):
    lines = written(whole).splitlines()
    number = data.draw(st.sampled_from([place for place, line in enumerate(lines) if "=" in line]))
    key = lines[number].partition(" =")[0]
    lines[number] = f"{key} = {{ a = 1 }}"
    (found,), _ = faults_of("\n".join(lines))
    assert found[0] == number + 1
    assert found[1].rpartition(".")[2] == key


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("label = 5", "label: is 5; text in quotes is expected"),
        ("is_open = 1", "is_open: is 1; true or false is expected"),
        ("since = 2026-01-01T00:00:00", "since: has no offset; write"),
        ("since = 5", "since: is 5; a time is expected"),
        ("words = 'a'", r"words: is a list: write [ … ]"),
        ("items = 1", "items: is a list: write [[items]]"),
        ("limits = 1", "limits: is a table: put its fields under its own [header]"),
        ("limits = { low = true }", "limits.low: is True; a whole number is expected"),
        ("limits = { high = 'x' }", "limits.high: is 'x'; a number is expected"),
        ("lable = 'x'", "lable: is not known; did you mean label?"),
        ("zzz = 1", "zzz: is not known; the fields here are folder, label"),
        ("items = [{ name = 'a', colour = 'green' }]", "items[0].colour: is 'green'; one of red, blue is expected"),
        ("items = [{}]", "items[0].name: is missing: What it is called."),
    ],
)
def test_a_wrong_value_is_told_with_what_is_expected(line, words):
    _, told = faults_of(f'folder = "/x"\n{line}')
    assert words in told


def test_all_faults_are_told_at_once_in_order_of_lines():
    text = 'label = 1\n[limits]\nlow = "x"\n[[items]]\nname = "a"\n[[items]]\ncolour = "red"\nname = 2\n'
    found, _ = faults_of(text)
    assert found == [(None, "folder"), (1, "label"), (3, "limits.low"), (8, "items[1].name")]


def test_a_missing_field_of_a_table_is_told_at_the_line_of_its_header():
    found, _ = faults_of('folder = "/x"\n\n[[items]]\nname = "a"\n\n[[items]]\ncolour = "red"\n')
    assert found == [(6, "items[1].name")]


def test_text_that_is_no_toml_is_told_with_its_line():
    found, told = faults_of('folder = "/x"\nlabel = \n')
    assert found == [(2, "")]
    assert told.startswith("line 2: is no TOML: ")


def test_a_fault_without_a_line_or_a_name_leaves_them_out():
    assert str(ConfigFault(None, "zone", "is not one")) == "zone: is not one"
    assert str(ConfigFault(3, "", "is not one")) == "line 3: is not one"


def test_the_annotated_example_is_read_as_it_stands_and_with_every_line_in_use():
    example = annotated_example(Whole)
    assert read_declared(Whole, example) == Whole(Path("/somewhere"), items=(Item("first"),))
    bare = [
        line.removeprefix("# ") if line.startswith("# ") and " = " in line else line for line in example.split("\n")
    ]
    full = read_declared(Whole, "\n".join(bare))
    since = datetime(2026, 1, 1, tzinfo=UTC)
    assert full == Whole(Path("/somewhere"), since=since, words=("a", "b"), items=(Item("first"),))
    assert full.since.utcoffset() == timedelta(0)
    assert [
        text for text in ("Where it lies.", "Its colour.", "Its limits", "What it holds") if text not in example
    ] == []
