"""Tariffs as TOML: the declaration that an operator writes and the registry keeps.

    [[tariff]]
    name = "Day and night"
    currency = "EUR"
    unit = "kWh"
    standing_charge_per_day = "0.32"
    tax = "0.19"
    bands = [ { name = "day", price = "0.3120" }, { name = "night", price = "0.2240" } ]
    windows = [ { band = "night", start = "22:00", end = "06:00" } ]

Numbers are text or plain TOML numbers, read exactly.
"""

from collections.abc import Mapping
from datetime import date, time
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from meterspan.analytics.tariff import ALL_WEEK, Band, GasConversion, Tariff, TariffWindow
from meterspan.model.toml_text import tables_of

__all__ = ["declaration_of", "parse_tariffs", "read_tariffs", "tariff_of"]


def read_tariffs(path: Path) -> list[Tariff]:
    """Read the tariffs of a TOML file.

    Raises:
        ValueError: the text is not TOML, or a tariff of it is incomplete; says which field.

    """
    return parse_tariffs(path.read_text(encoding="utf-8"))


def parse_tariffs(text: str) -> list[Tariff]:
    """Parse the tariffs of a TOML text; raises ``ValueError`` as ``read_tariffs`` does."""
    declarations = tables_of(text, parse_float=Decimal).get("tariff", [])
    if not isinstance(declarations, list) or not all(isinstance(item, dict) for item in declarations):
        raise ValueError("write a table [[tariff]] for each tariff")
    return [tariff_of(declaration) for declaration in declarations]


def tariff_of(declaration: Mapping[str, Any]) -> Tariff:
    """Build a tariff from its declaration.

    Raises:
        ValueError: a field is missing, unknown or not what it should be.

    """
    name = declaration.get("name", "without a name")
    unknown = set(declaration) - set(_FIELDS)
    if unknown:
        raise ValueError(f"tariff {name!r} has unknown fields: {', '.join(sorted(unknown))}")
    try:
        conversion = declaration.get("conversion")
        return Tariff(
            name=str(declaration["name"]),
            currency=str(declaration["currency"]),
            unit=str(declaration["unit"]),
            bands=tuple(Band(str(band["name"]), _number(band["price"])) for band in declaration["bands"]),
            windows=tuple(_window(window) for window in declaration.get("windows", ())),
            standing_charge_per_day=_number(declaration.get("standing_charge_per_day", 0)),
            tax=_number(declaration.get("tax", 0)),
            holidays=frozenset(_date(day) for day in declaration.get("holidays", ())),
            conversion=None
            if conversion is None
            else GasConversion(_number(conversion["calorific_value"]), _number(conversion.get("state_number", 1))),
        )
    except KeyError as error:
        raise ValueError(f"tariff {name!r} lacks {error.args[0]!r}") from error
    except (TypeError, AttributeError) as error:
        raise ValueError(f"tariff {name!r}: {error}") from error


def declaration_of(tariff: Tariff) -> dict[str, Any]:
    """Write a tariff as its declaration, all numbers as text; ``tariff_of`` reads it back."""
    declaration: dict[str, Any] = {
        "name": tariff.name,
        "currency": tariff.currency,
        "unit": tariff.unit,
        "bands": [{"name": band.name, "price": str(band.price)} for band in tariff.bands],
        "windows": [_window_declaration(window) for window in tariff.windows],
        "standing_charge_per_day": str(tariff.standing_charge_per_day),
        "tax": str(tariff.tax),
        "holidays": sorted(day.isoformat() for day in tariff.holidays),
    }
    if tariff.conversion is not None:
        declaration["conversion"] = {
            "calorific_value": str(tariff.conversion.calorific_value),
            "state_number": str(tariff.conversion.state_number),
        }
    return declaration


_FIELDS = ("name", "currency", "unit", "bands", "windows", "standing_charge_per_day", "tax", "holidays", "conversion")


def _window(window: Mapping[str, Any]) -> TariffWindow:
    season = window.get("season")
    return TariffWindow(
        band=str(window["band"]),
        start=_time(window.get("start", "00:00")),
        end=_time(window.get("end", "00:00")),
        weekdays=frozenset(int(day) for day in window.get("weekdays", ALL_WEEK)),
        season=None if season is None else (_month_day(season[0]), _month_day(season[1])),
        holidays=window.get("holidays"),
    )


def _window_declaration(window: TariffWindow) -> dict[str, Any]:
    declaration: dict[str, Any] = {
        "band": window.band,
        "start": window.start.isoformat(),
        "end": window.end.isoformat(),
        "weekdays": sorted(window.weekdays),
    }
    if window.season is not None:
        declaration["season"] = [f"{month:02d}-{day:02d}" for month, day in window.season]
    if window.holidays is not None:
        declaration["holidays"] = window.holidays
    return declaration


def _number(value: Any) -> Decimal:
    if isinstance(value, (str, int, Decimal)) and not isinstance(value, bool):
        try:
            return Decimal(value)
        except InvalidOperation as error:
            raise ValueError(f"{value!r} is not a number") from error
    raise ValueError(f"{value!r} is not an exact number")


def _time(value: Any) -> time:
    return value if isinstance(value, time) else time.fromisoformat(str(value))


def _date(value: Any) -> date:
    return value if isinstance(value, date) else date.fromisoformat(str(value))


def _month_day(value: Any) -> tuple[int, int]:
    month, day = str(value).split("-")
    date(2024, int(month), int(day))  # a leap year: 02-29 is a season's bound, 02-30 is an error
    return int(month), int(day)
