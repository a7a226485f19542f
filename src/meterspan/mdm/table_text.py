"""The cells of a table of readings: times, numbers, units, OBIS codes and flags as people and programs write them.

A cell that may mean two things is refused, never guessed: every function raises ``CellRefusal`` with what to do.
"""

import contextlib
import re
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Final

from meterspan.mdm.channels import canonical
from meterspan.model.readings import Source
from meterspan.quantities import (
    CATALOGUE,
    UNITS,
    Commodity,
    Direction,
    Obis,
    Quality,
    Unit,
    parse_obis,
    parse_unit,
)
from meterspan.quantities.registers import unit_fault

__all__ = [
    "CellRefusal",
    "decimal_mark_of",
    "exact_number",
    "flags_of",
    "obis_of",
    "require_unit_of",
    "source_of",
    "unit_of_text",
    "wall_time_of",
    "whole_number",
]

DECIMALS_MAX: Final = 9
"""A thousand-millionth of a kilowatt-hour; finer steps are no register's."""
STEPS_MAX: Final = (1 << 63) - 1
REASON_MAX: Final = 200
"""Characters of a reason: it quotes a cell, which may be as long as a line."""
FIRST_YEAR, LAST_YEAR = 1900, 2400
"""A time outside is no time of a meter, whatever its clock says."""

_DAY_FIRST = re.compile(r"(\d\d?)\.(\d\d?)\.(\d{4})(?: +(\d\d?):(\d\d)(?::(\d\d))?)?", re.ASCII)
_CLOCK_TIMES = (
    "%d.%m.%y %H:%M",
    "%d.%m.%y",
    "%Y/%m/%d %H:%M:%S",
    "%Y/%m/%d %H:%M",
    "%d-%m-%Y %H:%M:%S",
    "%d-%m-%Y %H:%M",
)
_MIDNIGHT_AT_END = re.compile(r"(.*\D)24:00(?::00)?")
_GROUPED = re.compile(r"[+-]?\d{1,3}(?:(?:,\d{3})+(?:\.\d*)?|(?:\.\d{3})+(?:,\d*)?)", re.ASCII)
"""Groups of three digits behind commas or points; one group alone may be decimals."""
_UNGROUPED = re.compile(
    r"[+-]?(?:\d*|\d{1,3}([ '\u00a0\u202f])\d{3}(?:\1\d{3})*)(?:[.,]\d*)?(?:[eE][+-]?\d+)?", re.ASCII
)
"""No groups, or groups behind spaces or apostrophes, which are no decimal marks."""
_DIGITS_AND_MARKS = re.compile(r"[+-]?[\d., '\u00a0\u202f]*\d[\d., '\u00a0\u202f]*", re.ASCII)
_SPACES = re.compile(r"[\s']")
_SPECIAL = re.compile(r"[+-]?(?:s?nan\d*|inf(?:inity)?)", re.ASCII | re.IGNORECASE)
_SHORT_CODE = re.compile(r"\d{1,3}\.\d{1,3}\.\d{1,3}")
_WORDS = {
    name: CATALOGUE[commodity].registers[direction]
    for commodity, direction, names in (
        (Commodity.ELECTRICITY, Direction.IMPORT, ("import", "energy", "electricity", "consumption")),
        (Commodity.ELECTRICITY, Direction.EXPORT, ("export", "feedin")),
        (Commodity.GAS, Direction.IMPORT, ("gas",)),
        (Commodity.WATER, Direction.IMPORT, ("water",)),
        (Commodity.HEAT, Direction.IMPORT, ("heat",)),
    )
    for name in names
}
"""Words for a register where a file has no OBIS code."""
_FLAGS = {flag.name.lower(): int(flag) for flag in Quality if flag.name is not None}
_SOURCES = {source.name.lower(): int(source) for source in Source}


class CellRefusal(ValueError):  # noqa: N818 - not an error of ours: the reason a line is refused
    """Why a line is refused.

    Args:
        reason: what is wrong.
        remedy: what the owner of the file can do; "" where the reason says it.

    """

    def __init__(self, reason: str, remedy: str = "") -> None:
        super().__init__(reason if len(reason) <= REASON_MAX else f"{reason[:REASON_MAX]}…")
        self.remedy = remedy
        self.column = ""
        """The column of the cell, as the header has it; "" where it is the line as a whole."""


# --- times ----------------------------------------------------------------------------------------------------------


def wall_time_of(text: str, *, is_any_year: bool = False) -> datetime:
    """Return the time that is written: aware where it has an offset; 24:00 is midnight at the end of the day.

    ``is_any_year`` takes the times of an export, of whatever year a meter's clock was in.
    """
    plain = text.strip()
    if not plain:
        raise CellRefusal("no time")
    moment = _parsed(plain)
    if moment is None:
        raise CellRefusal(f"{plain!r} is not a time like 2026-03-29T02:15:00+02:00 or 29.03.2026 02:15")
    if not is_any_year and not FIRST_YEAR <= moment.year <= LAST_YEAR:
        raise CellRefusal(f"{plain!r} is not a time of a meter")
    return moment


def _parsed(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        pass
    german = _DAY_FIRST.fullmatch(text)
    if german is not None:
        first, month, year, hour, minute, second = (int(group or 0) for group in german.groups())
        with contextlib.suppress(ValueError):
            return datetime(year, month, first, hour, minute, second)  # noqa: DTZ001 - local by the caller's zone
    at_end = _MIDNIGHT_AT_END.fullmatch(text)
    if at_end is not None:
        day = _parsed(f"{at_end[1]}00:00")
        return None if day is None or day.year > LAST_YEAR else day + timedelta(days=1)
    for form in _CLOCK_TIMES:
        try:
            return datetime.strptime(text, form)  # noqa: DTZ007 - local by the caller's zone
        except ValueError:
            continue
    return None


# --- numbers --------------------------------------------------------------------------------------------------------


def decimal_mark_of(text: str) -> str | None:
    """Return the mark before the decimals that a number shows for certain, "" where it has none.

    None where a mark may stand before thousands or before decimals: ``1.000``, ``12,345``.

    Raises:
        CellRefusal: it is not a number, or its thousands are not groups of three digits.

    """
    plain = text.strip()
    if _GROUPED.fullmatch(plain):
        first = min((plain.index(mark), mark) for mark in ".," if mark in plain)[1]
        other = "." if first == "," else ","
        if other in plain or plain.count(first) > 1:
            return other
        return first if plain.lstrip("+-").startswith("0") else None
    if _UNGROUPED.fullmatch(plain):
        return next((mark for mark in ".," if mark in plain), "")
    if _DIGITS_AND_MARKS.fullmatch(plain):
        raise CellRefusal(f"{text!r} is not a number: thousands are groups of three digits, of one mark")
    raise CellRefusal(f"{text!r} is not a number")


def exact_number(text: str, mark: str, usual: str = "") -> tuple[int, int]:
    """Return a number as an integer and a power of ten, with the decimals that are written.

    Args:
        text: with decimal point or comma, and with thousands.
        mark: the decimal mark that other numbers of the file show for certain; "" where none does.
        usual: the decimal mark where nothing shows one; "" where there is no usual one.

    Raises:
        CellRefusal: it is no number, it may be one of two, or its decimal mark is not that of the file.

    """
    if text.isascii() and text.isdigit() and len(text) <= 18:
        return int(text), 0
    if not text.strip():
        raise CellRefusal("no value")
    if _SPECIAL.fullmatch(text.strip()):
        raise CellRefusal(f"{text!r} is not a number that a register can show")
    own = decimal_mark_of(text)
    if own is None and not mark and usual not in text:
        usual = ""
    decimals = own or mark or usual
    if own is None and not decimals:
        raise CellRefusal(f"{text!r} may mean thousands or decimals", "write 1000 for thousands, 1.0 for decimals")
    if own and mark and own != mark:
        words = {",": "a decimal comma", ".": "a decimal point"}
        raise CellRefusal(f"{text!r} has {words[own]}, and other values have {words[mark]}", "write all in one way")
    thousands = "." if decimals == "," else ","
    try:
        value = Decimal(_SPACES.sub("", text).replace(thousands, "").replace(",", "."))
    except InvalidOperation as error:
        raise CellRefusal(f"{text!r} is not a number") from error
    return _in_steps(value, text)


def _in_steps(value: Decimal, text: str) -> tuple[int, int]:
    exponent = value.as_tuple().exponent
    if not isinstance(exponent, int) or not -DECIMALS_MAX <= exponent <= DECIMALS_MAX:
        raise CellRefusal(f"{text!r} is not a number that a register can show")
    digits = int("".join(map(str, value.as_tuple().digits)))
    steps = digits * 10 ** max(exponent, 0)
    return -steps if value.is_signed() else steps, min(exponent, 0)


def whole_number(text: str, least: int, most: int) -> int:
    """Return an integer of a range."""
    plain = text.strip()
    if not re.fullmatch(r"[+-]?\d{1,19}", plain, re.ASCII) or not least <= int(plain) <= most:
        raise CellRefusal(f"{text!r} is not a whole number from {least} to {most}")
    return int(plain)


# --- what is measured -----------------------------------------------------------------------------------------------


@lru_cache(maxsize=1_024)
def unit_of_text(symbol: str) -> tuple[Unit, int]:
    """Return the unit of a symbol and its power of ten, whatever the case where that leaves one unit."""
    try:
        return canonical(*parse_unit(symbol))
    except ValueError as error:
        found = _ANY_CASE.get(symbol.lower(), set())
        if len(found) == 1:
            return canonical(*parse_unit(next(iter(found))))
        raise CellRefusal(str(error), "write kWh, Wh, m3, L, MJ …") from error


_ANY_CASE: dict[str, set[str]] = {}
for _symbol in (*UNITS, "kWh", "MWh", "kvarh", "kVAh", "kW", "MJ", "GJ", "m³"):
    _ANY_CASE.setdefault(_symbol.lower(), set()).add(_symbol)


@lru_cache(maxsize=1_024)
def obis_of(text: str) -> Obis:
    """Return the register that a cell names: an OBIS code, one of electricity without medium, or a word for it."""
    word = _WORDS.get(re.sub(r"[^a-z]", "", text.lower())) if not any(map(str.isdigit, text)) else None
    if word is not None:
        return word
    try:
        return parse_obis(f"1-0:{text.strip()}" if _SHORT_CODE.fullmatch(text.strip()) else text)
    except ValueError as error:
        raise CellRefusal(str(error), "write 1-0:1.8.0, or leave the column out and give --obis") from error


def require_unit_of(obis: Obis, unit: Unit) -> None:
    """Refuse a unit that a register of this code cannot have: cubic metres of electricity."""
    fault = unit_fault(obis, unit)
    if fault:
        raise CellRefusal(fault, "correct the code or the unit")


# --- what an export says beside the value ---------------------------------------------------------------------------


@lru_cache(maxsize=1_024)
def flags_of(text: str) -> int:
    """Return the quality bits of the names of flags."""
    unknown = [name for name in text.split() if name not in _FLAGS]
    if unknown:
        raise CellRefusal(f"{unknown[0]!r} is no flag of quality")
    return sum({_FLAGS[name] for name in text.split()})


@lru_cache(maxsize=64)
def source_of(text: str) -> int:
    """Return the number of the source of a reading; that of an import where the cell is empty."""
    if text and text not in _SOURCES:
        raise CellRefusal(f"{text!r} is no source of readings")
    return _SOURCES[text] if text else int(Source.IMPORT_FILE)
