"""Configuration as frozen dataclasses: one declaration makes the TOML reader, the annotated example and the docs.

Strategy: every field is made by ``option`` with a line of text, and an example where it has no default.
``read_partly`` walks the types beside the parsed TOML and gathers every fault with its line; what is faulty has its
default in the value that it returns, so that everything else can be checked too and a file is mended in one go.
"""

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass, replace
from datetime import UTC, datetime
from difflib import get_close_matches
from enum import StrEnum
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Generic, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from meterspan.model.toml_text import tables_of

__all__ = [
    "ConfigError",
    "ConfigFault",
    "Partly",
    "annotated_example",
    "option",
    "place_of_name",
    "read_declared",
    "read_fields",
    "read_partly",
]

DeclaredT = TypeVar("DeclaredT")


@dataclass(frozen=True, slots=True)
class ConfigFault:
    """One thing that is wrong: where, and what to do; ``file`` names a file other than the configuration."""

    line: int | None
    name: str
    text: str
    file: str = ""

    def __str__(self) -> str:
        line = "" if self.line is None else f"line {self.line}"
        where = ", ".join(part for part in (self.file, line) if part)
        return ": ".join(part for part in (where, self.name, self.text) if part)


class ConfigError(ValueError):
    """A configuration cannot be used.

    Attributes:
        faults: everything that is wrong with it.

    """

    def __init__(self, faults: Sequence[ConfigFault]) -> None:
        super().__init__("\n".join(map(str, faults)))
        self.faults = tuple(faults)


@dataclass(frozen=True, slots=True)
class Partly(Generic[DeclaredT]):
    """A configuration as far as it could be read.

    Attributes:
        value: what was read, with defaults (or nothing) in place of what is faulty; None where nothing could be read.
        faults: everything that is wrong so far, in the order of the text.
        lines: of headers and keys.

    """

    value: DeclaredT | None
    faults: tuple[ConfigFault, ...]
    lines: Mapping[str, int] = field(repr=False)

    def with_faults(self, found: Iterable[tuple[str, str]]) -> "Partly[DeclaredT]":
        """Add faults as (name, text), with their lines; one at or below a name that is faulty already says no more."""
        known = {fault.name for fault in self.faults}
        more = [self.fault(name, text) for name, text in found if not _is_below(name, known)]
        faults = sorted((*self.faults, *more), key=lambda fault: (bool(fault.file), fault.line or 0))
        return replace(self, faults=tuple(faults))

    def fault(self, name: str, text: str) -> ConfigFault:
        """Return a fault of a name like ``meters[0].endpoint``, with the line of the key, or of its table."""
        place = place_of_name(name)
        while place and place not in self.lines:
            place = place.rpartition(".")[0]
        return ConfigFault(self.lines.get(place), name, text)

    def required(self) -> DeclaredT:
        """Return the value; raises ``ConfigError`` where there is a fault."""
        if self.faults or self.value is None:
            raise ConfigError(self.faults)
        return self.value


def option(
    text: str, *, default: Any = MISSING, example: Any = None, least: float | None = None, most: float | None = None
) -> Any:
    """Declare a field.

    Args:
        text: what it means in one line.
        default: its value where it is not given; without one it must be given.
        example: shown in the annotated example.
        least: the least number that is allowed.
        most: the greatest.

    """
    return field(default=default, metadata={"text": text, "example": example, "least": least, "most": most})


def read_declared(kind: type[DeclaredT], text: str) -> DeclaredT:
    """Read a configuration from TOML.

    Raises:
        ConfigError: names every error of the text.

    """
    return read_partly(kind, text).required()


def read_partly(kind: type[DeclaredT], text: str) -> Partly[DeclaredT]:
    """Read a configuration from TOML as far as it can be read."""
    try:
        tables = tables_of(text)
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"at line (\d+)", str(error))
        line = int(found[1]) if found else max(1, len(text.rstrip().splitlines()))
        what = re.sub(r" \(at .*", "", str(error))
        return Partly(None, (ConfigFault(line, "", f"is no TOML: {what}"),), {})
    return read_fields(kind, tables, _lines(text))


def read_fields(
    kind: type[DeclaredT], table: Mapping[str, object], lines: Mapping[str, int] | None = None
) -> Partly[DeclaredT]:
    """Read a table that was parsed already, as far as it can be read."""
    reader = _DeclarationReader(lines or {})
    declared = reader.table(kind, dict(table), "")
    faults = sorted(reader.faults, key=lambda fault: fault.line or 0)
    return Partly(cast("DeclaredT", declared), tuple(faults), lines or {})


def annotated_example(kind: type[Any]) -> str:
    """Write a configuration with every field, its text, and its default or example; optional fields are comments."""
    return "\n".join(_example(kind, "")).strip() + "\n"


class _DeclarationReader:
    """Turns tables into dataclasses, and collects all errors."""

    def __init__(self, lines: Mapping[str, int]) -> None:
        self.faults: list[ConfigFault] = []
        self._lines = lines
        self._known: dict[type[Any], tuple[dict[str, Any], dict[str, Field[Any]]]] = {}

    def table(self, kind: type[Any], table: object, where: str) -> Any:
        """Read one table; what is wrong in it has its default, or nothing."""
        if not isinstance(table, dict):
            self._fault(where, "is a table: put its fields under its own [header]")
            return self._filled(kind, {}, self._fields_of(kind)[0])
        hints, known = self._fields_of(kind)
        for name in table.keys() - known.keys():
            near = get_close_matches(name, known, 1)
            meant = f"did you mean {near[0]}?" if near else f"the fields here are {', '.join(known)}"
            self._fault(_join(where, name), f"is not known; {meant}")
        values = {}
        for name, item in known.items():
            place = _join(where, name)
            if name in table:
                values[name] = self.value(hints[name], table[name], place)
                self._check_range(item.metadata, values[name], place)
            elif item.default is MISSING:
                self._fault(place, f"is missing: {item.metadata['text']}", header=where)
        return self._filled(kind, values, hints)

    @staticmethod
    def _filled(kind: type[Any], values: dict[str, Any], hints: Mapping[str, Any]) -> Any:
        """Make the dataclass; a field without a value has its default, or the empty value of its type."""
        for item in fields(kind):
            if values.get(item.name) is None and item.default is MISSING:
                values[item.name] = _EMPTY.get(hints[item.name], "")
            elif values.get(item.name) is None:
                values[item.name] = item.default
        return kind(**values)

    def _check_range(self, declared: Mapping[str, Any], value: object, where: str) -> None:
        if not isinstance(value, int | float) or isinstance(value, bool):
            return
        least, most = declared.get("least"), declared.get("most")
        if least is not None and not value >= least:
            self._fault(where, f"is {value}; at least {least} is expected")
        elif most is not None and not value <= most:
            self._fault(where, f"is {value}; at most {most} is expected")

    def _fields_of(self, kind: type[Any]) -> tuple[dict[str, Any], dict[str, Field[Any]]]:
        """Return the types and the fields of a table by name; found once, as a list has thousands of tables."""
        if kind not in self._known:
            self._known[kind] = get_type_hints(kind), {item.name: item for item in fields(kind)}
        return self._known[kind]

    def value(self, hint: Any, value: object, where: str) -> Any:
        """Read one value."""
        kinds = [kind for kind in (get_args(hint) if _is_union(hint) else (hint,)) if kind is not NoneType]
        kind = kinds[0]
        if get_origin(kind) is tuple:
            return self._list(get_args(kind)[0], value, where)
        if is_dataclass(kind):
            return self.table(cast("type[Any]", kind), value, where)
        if issubclass(kind, StrEnum):
            return self._choice(kind, value, where)
        if kind is Path and isinstance(value, str):
            return Path(value).expanduser()
        if kind is datetime and isinstance(value, datetime) and value.tzinfo is None:
            return self._fault(where, "has no offset; write 2026-10-25T00:00:00+02:00 or ...Z")
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            return float(value)
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            return self._fault(where, f"is {value!r}; {_NOUNS.get(kind, kind.__name__)} is expected")
        return value

    def _list(self, kind: Any, value: object, where: str) -> Any:
        if not isinstance(value, list):
            header = f"[[{where}]]" if is_dataclass(kind) else "[ … ]"
            return self._fault(where, f"is a list: write {header}")
        items = (self.value(kind, item, f"{where}[{index}]") for index, item in enumerate(value))
        return tuple(item for item in items if item is not None)

    def _choice(self, kind: type[StrEnum], value: object, where: str) -> Any:
        try:
            return kind(str(value))
        except ValueError:
            return self._fault(where, f"is {value!r}; one of {', '.join(kind)} is expected")

    def _fault(self, where: str, text: str, *, header: str = "") -> None:
        line = self._lines.get(where, self._lines.get(header or where.rpartition(".")[0]))
        self.faults.append(ConfigFault(line, where, text))


_EMPTY: Mapping[Any, Any] = {
    str: "",
    int: 0,
    float: 0.0,
    bool: False,
    Path: Path(),
    datetime: datetime(1970, 1, 1, tzinfo=UTC),
}
"""What stands for a field that must be given and is faulty, while the others are checked."""
_NOUNS = {
    str: "text in quotes",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    datetime: "a time",
    Path: "a path in quotes",
}
_HEADER = re.compile(r"\s*(\[\[?)\s*([A-Za-z0-9_.-]+)\s*\]")
_NAMED = re.compile(r" \(.*\)")
_KEY = re.compile(r"\s*([A-Za-z0-9_-]+)\s*=")


def _lines(text: str) -> dict[str, int]:
    """Find the lines of headers and keys: ``meters[1].endpoint`` to 14."""
    found: dict[str, int] = {}
    counts: dict[str, int] = {}
    header = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if match := _HEADER.match(line):
            header = match[2]
            if match[1] == "[[":
                index = counts[header] = counts.get(header, -1) + 1
                header = f"{header}[{index}]"
            found.setdefault(header, number)
        elif match := _KEY.match(line):
            found.setdefault(_join(header, match[1]), number)
    return found


def place_of_name(name: str) -> str:
    """Return the place of a name that has the device behind its table: ``meters[0] (M1).home``."""
    return _NAMED.sub("", name)


def _is_below(name: str, known: AbstractSet[str]) -> bool:
    place = place_of_name(name)
    return any(
        place == other or place.startswith((f"{other}.", f"{other}[")) for other in map(place_of_name, known) if other
    )


def _join(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name


def _is_union(hint: Any) -> bool:
    return get_origin(hint) in (Union, UnionType)


def _example(kind: type[Any], where: str) -> Iterator[str]:
    hints = get_type_hints(kind)
    nested: list[tuple[str, type[Any], str, bool]] = []
    for item in fields(kind):
        hint = hints[item.name]
        inner = get_args(hint)[0] if get_origin(hint) is tuple else hint
        if is_dataclass(inner):
            header = _join(where, item.name)
            nested.append((header, cast("type[Any]", inner), item.metadata["text"], inner is not hint))
            continue
        shown = item.metadata["example"] if item.metadata["example"] is not None else item.default
        mark = "" if item.default is MISSING else "# "
        yield f"# {item.metadata['text']}"
        yield f"{mark}{item.name} = {_toml(shown)}" if shown is not None else f"{mark}{item.name} ="
    for header, inner, text, is_list in nested:
        yield ""
        yield f"# --- {text} ---"
        yield f"[[{header}]]" if is_list else f"[{header}]"
        yield from _example(inner, header)


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | Path):
        return f'"{value}"'
    if isinstance(value, tuple):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value)
