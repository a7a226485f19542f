"""Configuration as frozen dataclasses: one declaration makes the TOML reader, the annotated example and the docs.

Strategy: every field is made by ``option`` with a line of text, and an example where it has no default.
``read_declared`` walks the types beside the parsed TOML and gathers every fault with its line, so that a file is
mended in one go.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass
from datetime import datetime
from difflib import get_close_matches
from enum import StrEnum
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

__all__ = ["ConfigError", "ConfigFault", "annotated_example", "option", "read_declared"]

DeclaredT = TypeVar("DeclaredT")


@dataclass(frozen=True, slots=True)
class ConfigFault:
    """One thing that is wrong: where, and what to do."""

    line: int | None
    name: str
    text: str

    def __str__(self) -> str:
        where = "" if self.line is None else f"line {self.line}: "
        return f"{where}{self.name}: {self.text}" if self.name else f"{where}{self.text}"


class ConfigError(ValueError):
    """A configuration cannot be used.

    Attributes:
        faults: everything that is wrong with it.

    """

    def __init__(self, faults: Sequence[ConfigFault]) -> None:
        super().__init__("\n".join(map(str, faults)))
        self.faults = tuple(faults)


def option(text: str, *, default: Any = MISSING, example: Any = None) -> Any:
    """Declare a field: what it means in one line, its default, and an example where it helps."""
    return field(default=default, metadata={"text": text, "example": example})


def read_declared(kind: type[DeclaredT], text: str) -> DeclaredT:
    """Read a configuration from TOML.

    Raises:
        ConfigError: names every error of the text.

    """
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"at line (\d+)", str(error))
        what = re.sub(r" \(at .*", "", str(error))
        raise ConfigError([ConfigFault(int(found[1]) if found else None, "", f"is no TOML: {what}")]) from error
    reader = _DeclarationReader(_lines(text))
    declared = reader.table(kind, tables, "")
    if reader.faults:
        raise ConfigError(sorted(reader.faults, key=lambda fault: fault.line or 0))
    return cast("DeclaredT", declared)


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
        """Read one table; None where something in it is wrong."""
        if not isinstance(table, dict):
            self._fault(where, "is a table: put its fields under its own [header]")
            return None
        hints, known = self._fields_of(kind)
        for name in table.keys() - known.keys():
            near = get_close_matches(name, known, 1)
            meant = f"did you mean {near[0]}?" if near else f"the fields here are {', '.join(known)}"
            self._fault(_join(where, name), f"is not known; {meant}")
        before = len(self.faults)
        values = {name: self.value(hints[name], table[name], _join(where, name)) for name in known if name in table}
        for name, item in known.items():
            if name not in table and item.default is MISSING:
                self._fault(_join(where, name), f"is missing: {item.metadata['text']}", header=where)
        return kind(**values) if len(self.faults) == before else None

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
        return tuple(self.value(kind, item, f"{where}[{index}]") for index, item in enumerate(value))

    def _choice(self, kind: type[StrEnum], value: object, where: str) -> Any:
        try:
            return kind(str(value))
        except ValueError:
            return self._fault(where, f"is {value!r}; one of {', '.join(kind)} is expected")

    def _fault(self, where: str, text: str, *, header: str = "") -> None:
        line = self._lines.get(where, self._lines.get(header or where.rpartition(".")[0]))
        self.faults.append(ConfigFault(line, where, text))


_NOUNS = {
    str: "text in quotes",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    datetime: "a time",
    Path: "a path in quotes",
}
_HEADER = re.compile(r"\s*(\[\[?)\s*([A-Za-z0-9_.-]+)\s*\]")
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
