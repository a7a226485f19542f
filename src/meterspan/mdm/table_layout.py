"""The header of a table of readings: which column holds what, by any of the usual English and German names.

A table has one register value a line, or intervals (``von;bis;kWh``), or many value columns, each named by an OBIS
code or a meter. A unit may be in the name of its column: ``Verbrauch (kWh)``.
"""

import csv
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from meterspan.mdm.table_text import CellRefusal, obis_of, unit_of_text
from meterspan.quantities import Obis
from meterspan.quantities.codes import EXPORT_INTERVAL

__all__ = ["HeaderError", "TableLayout", "TableValues", "cells_of", "read_layout"]

LINE_MAX: Final = 32_768
"""Characters of one line; a longer one is no reading."""

_NAMES = {
    "device": {"device", "meter", "meterid", "meternumber", "serial", "serialnumber", "zaehler", "zaehlernummer"},
    "usage_point": {"usagepoint", "meteringpoint", "meterpoint", "malo", "melo", "zaehlpunkt", "ean"},
    "home": {"home", "homeid", "flat", "apartment", "wohnung", "haushalt"},
    "obis": {"obis", "obiscode", "register", "channel", "quantity", "kennzahl", "obiskennzahl"},
    "direction": {"direction", "richtung"},
    "time": {"time", "timestamp", "datetime", "utc", "zeit", "uhrzeit", "zeitstempel", "datumuhrzeit"},
    "start": {"start", "from", "begin", "starttime", "intervalstart", "periodstart", "von", "beginn", "zeitvon"},
    "end": {"end", "to", "until", "endtime", "intervalend", "periodend", "bis", "ende", "zeitbis"},
    "date": {"date", "datum", "day", "tag"},
    "value": {"value", "reading", "registervalue", "wert", "stand", "zaehlerstand", "messwert"},
    "amount": {"consumption", "usage", "verbrauch", "energieverbrauch", "menge", "bezug", "lastgang", "netzbezug"},
    "feed": {"feedin", "einspeisung", "netzeinspeisung", "production", "erzeugung"},
    "unit": {"unit", "einheit", "uom"},
    "status": {"status"},
    "quality": {"quality"},
    "source": {"source"},
    "received_at": {"receivedat"},
    "scale": {"scale"},
}
_FIELD = {spelling: name for name, spellings in _NAMES.items() for spelling in spellings}
_UNIT_IN_NAME = re.compile(r"(.*?)\s*(?:[\[(]\s*([^\])]+?)\s*[\])]|\bin\s+(\S+))\s*")
_AMOUNTS = {"value", "amount", "feed"}
_CUMULATED = {"energy", "volume"}
"""Dimensions of a column that is named by its unit alone: ``kWh``."""


class HeaderError(ValueError):
    """A header that names no table of readings; the words say what is missing, and which option stands in for it."""


@dataclass(frozen=True, slots=True)
class TableValues:
    """A column of values.

    Attributes:
        index: of the cell in a line.
        name: as the header has it.
        device: the meter that the name says; "" where another column or the import says it.
        obis: the register that the name says, or None.
        unit: the unit that the name says, or "".
        is_amount: whether the name says that a value is the consumption of an interval.

    """

    index: int
    name: str
    device: str = ""
    obis: Obis | None = None
    unit: str = ""
    is_amount: bool = False


@dataclass(frozen=True, slots=True)
class TableLayout:
    """The columns of a table.

    Attributes:
        separator: between the cells.
        names: the cells of the header.
        columns: index of each known column that holds no values: ``device``, ``time``, ``start``, …
        values: the columns of values.

    """

    separator: str
    names: tuple[str, ...]
    columns: Mapping[str, int] = field(default_factory=dict)
    values: tuple[TableValues, ...] = ()

    @property
    def has_intervals(self) -> bool:
        """Whether a line says from when to when its values are."""
        return "start" in self.columns or "end" in self.columns

    @property
    def is_export(self) -> bool:
        """Whether meterspan wrote it: scale, status and arrival of each reading are there."""
        return {"scale", "source", "received_at"} <= self.columns.keys()


def cells_of(line: str, separator: str) -> list[str]:
    """Split a line of CSV; raises ``CellRefusal`` where it is not one."""
    if "\0" in line:
        raise CellRefusal("a NUL octet: the line is damaged")
    if '"' not in line and "\r" not in line and "\n" not in line:
        return line.split(separator)
    try:
        return next(csv.reader(io.StringIO(line), delimiter=separator, strict=True), [])
    except csv.Error as error:
        raise CellRefusal(f"not a line of CSV: {error}") from error


def read_layout(header: str) -> TableLayout:
    """Read the header of a table.

    Raises:
        HeaderError: it has no columns of time and value, or one of them twice.

    """
    separator = max(";\t,|", key=header.count)
    if len(header) > LINE_MAX:
        raise HeaderError(f"the header is longer than {LINE_MAX} characters; split the table by its columns")
    try:
        names = tuple(cell.strip() for cell in cells_of(header.lstrip("\ufeff").rstrip("\r\n"), separator))
    except CellRefusal as refusal:
        raise HeaderError(f"the header is not CSV: {refusal}") from refusal
    columns: dict[str, int] = {}
    values: list[TableValues] = []
    unknown: list[TableValues] = []
    for index, name in enumerate(names):
        _place(index, name, columns, values, unknown)
    if "date" in columns and not {"time", "start", "end"} & columns.keys():
        columns["time"] = columns.pop("date")
    if not values and unknown and "device" not in columns and {"time", "start", "end"} & columns.keys():
        values = unknown
    layout = TableLayout(separator, names, columns, tuple(values))
    _require_time_and_value(layout)
    return layout


def _place(
    index: int, name: str, columns: dict[str, int], values: list[TableValues], unknown: list[TableValues]
) -> None:
    """Put a column where its name belongs."""
    text, unit = _without_unit(name)
    known = None if any(map(str.isdigit, text)) else _FIELD.get(_plain(text))
    if known in _AMOUNTS or (not text and unit):
        _add_values(values, TableValues(index, name, unit=unit, is_amount=known != "value", obis=_feed_of(known)))
    elif known is not None:
        if known in columns:
            raise HeaderError(f"two columns for the {known.replace('_', ' ')}")
        columns[known] = index
    elif _code_of(text) is not None:
        _add_values(values, TableValues(index, name, obis=_code_of(text), unit=unit))
    elif _is_unit(text) and unit_of_text(text)[0].dimension in _CUMULATED:
        _add_values(values, TableValues(index, name, unit=text, is_amount=True))
    elif text:
        unknown.append(TableValues(index, name, device=text, unit=unit))


def _add_values(values: list[TableValues], column: TableValues) -> None:
    before = next((item for item in values if item.obis == column.obis), None)
    if before is not None:
        raise HeaderError(f"two columns for the value: {before.name}, {column.name}")
    values.append(column)


def _require_time_and_value(layout: TableLayout) -> None:
    if not {"time", "start", "end"} & layout.columns.keys():
        raise HeaderError("the header has no column for the time; name it time, or start and end (von, bis)")
    if not layout.values:
        remedy = "name it value (Zählerstand), or consumption (Verbrauch) beside start and end"
        raise HeaderError(f"the header has no column for the value; {remedy}")
    if "time" in layout.columns and layout.has_intervals:
        raise HeaderError("the header has columns for the time and for start or end; remove one of them")


def _without_unit(name: str) -> tuple[str, str]:
    """Split ``Verbrauch (kWh)`` into name and unit; "" where it has none."""
    match = _UNIT_IN_NAME.fullmatch(name)
    if match is None or not _is_unit(match[2] or match[3]):
        return re.sub(r"[\[(].*", "", name).strip() or name, ""
    return match[1], match[2] or match[3]


def _is_unit(text: str) -> bool:
    try:
        unit_of_text(text)
    except CellRefusal:
        return False
    return text not in {"", "1"}


def _code_of(text: str) -> Obis | None:
    if not any(map(str.isdigit, text)):
        return None
    try:
        return obis_of(text)
    except CellRefusal:
        return None


def _feed_of(known: str | None) -> Obis | None:
    return EXPORT_INTERVAL if known == "feed" else None


def _plain(text: str) -> str:
    umlauts = text.lower().replace("ä", "ae").replace("ö", "oe").replace("ü", "ue")
    return re.sub(r"[^a-z]", "", umlauts)
