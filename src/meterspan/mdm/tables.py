"""Readings and intervals as CSV, Parquet or JSON; readings from CSV, with every refused line named.

Import is tolerant of separators, decimal commas, column names and time formats, and strict about meaning: a line
whose instant, unit or value is not certain is refused with its number and reason, never guessed.
"""

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from pathlib import Path
from typing import Any, BinaryIO, Final, TextIO
from zoneinfo import ZoneInfo

from meterspan.analytics.tariff import exact_decimal
from meterspan.mdm.channels import canonical
from meterspan.mdm.curves import Curve
from meterspan.mdm.data_management import MeterDataManagement
from meterspan.model.lookup_errors import UnknownUsagePointError
from meterspan.model.readings import CaptureBlock, Source
from meterspan.model.views import UsagePointView
from meterspan.quantities import (
    CATALOGUE,
    Commodity,
    Direction,
    Obis,
    Quality,
    Unit,
    parse_obis,
    parse_unit,
    utc,
    utc_text,
)
from meterspan.store.private_files import replacing

__all__ = [
    "ImportReport",
    "RefusedLine",
    "TableFormat",
    "export_intervals",
    "export_readings",
    "guarded",
    "import_csv",
    "unguarded",
    "write_table",
]

MAX_LINE = 4_096
"""Characters of one line; a longer one is no reading."""
MAX_DECIMALS, MAX_MAGNITUDE = 6, 11
"""Decimals and power of ten of a value: together they stay inside 63 bits."""
FIRST_YEAR, LAST_YEAR = 1980, 2200
"""A time outside is no time of a meter."""
BATCH_LINES = 50_000


_FORMULA = re.compile(r"'*[=+\-@\t\r]")
"""What a spreadsheet takes for a formula, and such a text that was guarded before."""
_NUMBER = re.compile(r"[+-]?\d+(?:\.\d+)?")


class TableFormat(StrEnum):
    """How a table is written."""

    CSV = "csv"
    PARQUET = "parquet"
    JSON = "json"


# --- export ---------------------------------------------------------------------------------------------------------


def export_readings(
    management: MeterDataManagement,
    path: Path,
    start: datetime,
    end: datetime,
    *,
    form: TableFormat = TableFormat.CSV,
    device: str | None = None,
    home_id: str | None = None,
) -> int:
    """Write raw readings of ``start <= t < end``, all or of one device or home, and give how many.

    Values are exact decimal text in ``unit``; quality is the names of its flags.

    Args:
        management: the data management.
        path: the file to write.
        start: an aware datetime.
        end: an aware datetime, not included.
        form: CSV, Parquet or JSON.
        device: only this device.
        home_id: only devices of this home.

    """
    chosen = None if home_id is None else _devices_of(management, home_id)
    records = {
        item.series_id: item
        for item in management.series()
        if (device is None or item.device == device) and (chosen is None or item.device in chosen)
    }
    readings = management.readings(sorted(records), start, end)

    def rows() -> Iterator[dict[str, Any]]:
        for number, time, value, status, quality, source, received_at in zip(
            readings.series.tolist(),
            readings.time.tolist(),
            readings.value.tolist(),
            readings.status.tolist(),
            readings.quality.tolist(),
            readings.source.tolist(),
            readings.received_at.tolist(),
            strict=True,
        ):
            series = records[number]
            yield {
                "usage_point": series.usage_point,
                "device": series.device,
                "obis": str(series.obis),
                "time": utc_text(utc(time)),
                "value": f"{Decimal(value).scaleb(series.exponent):f}",
                "unit": series.unit.symbol,
                "status": status,
                "quality": _flags(quality),
                "source": Source(source).name.lower(),
                "received_at": utc_text(utc(received_at)),
            }

    return write_table(path, READING_COLUMNS, rows(), form)


def export_intervals(
    management: MeterDataManagement,
    path: Path,
    start: datetime,
    end: datetime,
    *,
    form: TableFormat = TableFormat.CSV,
    usage_point: str | None = None,
    home_id: str | None = None,
) -> int:
    """Write derived intervals of ``start <= t < end``, both directions, in kWh or m3, and return how many.

    A usage point that is damaged or impossible is left out and named by ``MeterDataManagement.damage``.

    Args:
        management: the data management.
        path: the file to write.
        start: an aware datetime.
        end: an aware datetime, not included.
        form: CSV, Parquet or JSON.
        usage_point: only this usage point.
        home_id: only usage points of this home.

    """

    def rows() -> Iterator[dict[str, Any]]:
        for home in management.homes():
            if home_id is not None and home.home_id != home_id:
                continue
            for point in home.usage_points:
                if usage_point is not None and point.usage_point != usage_point:
                    continue
                found: list[dict[str, Any]] = []
                with management.aside(point.usage_point, "export of intervals"):
                    for direction in Direction:
                        curve = management.curve(point.usage_point, direction, start, end)
                        found.extend(_interval_rows(point, direction, curve))
                yield from found

    return write_table(path, INTERVAL_COLUMNS, rows(), form)


def _interval_rows(point: UsagePointView, direction: Direction, curve: Curve) -> Iterator[dict[str, Any]]:
    for low, high, value, quality in zip(
        curve.start.tolist(), curve.end.tolist(), curve.value.tolist(), curve.quality.tolist(), strict=True
    ):
        known = not quality & Quality.MISSING
        yield {
            "usage_point": point.usage_point,
            "direction": str(direction),
            "start": utc_text(utc(low)),
            "end": utc_text(utc(high)),
            "value": f"{exact_decimal(value * curve.step):f}" if known else "",
            "unit": point.unit,
            "quality": _flags(quality),
        }


def _devices_of(management: MeterDataManagement, home_id: str) -> frozenset[str]:
    points = management.home(home_id).usage_points
    return frozenset(row.device for point in points for row in management.installations(point.usage_point))


READING_COLUMNS = (
    "usage_point",
    "device",
    "obis",
    "time",
    "value",
    "unit",
    "status",
    "quality",
    "source",
    "received_at",
)
INTERVAL_COLUMNS = ("usage_point", "direction", "start", "end", "value", "unit", "quality")


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]], form: TableFormat) -> int:
    """Write the table beside its place and rename: a reader never sees half a file.

    Args:
        path: the file to write.
        columns: the names of the columns, in order.
        rows: one mapping of column to value for each row.
        form: CSV, Parquet or JSON.

    """
    with replacing(path) as file:
        if form is TableFormat.PARQUET:
            return _write_parquet(file, columns, rows)
        text = io.TextIOWrapper(file, encoding="utf-8", newline="")
        count = (_write_csv if form is TableFormat.CSV else _write_json)(text, columns, rows)
        text.flush()
        text.detach()
        return count


def _write_parquet(file: BinaryIO, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> int:
    import pyarrow as pa  # noqa: PLC0415 - only Parquet files need it
    import pyarrow.parquet as pq  # noqa: PLC0415 - as above

    listed = list(rows)
    pq.write_table(pa.table({name: [row[name] for row in listed] for name in columns}), file, compression="zstd")
    return len(listed)


def _write_csv(file: TextIO, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> int:
    writer = csv.writer(file)
    writer.writerow(columns)
    count = 0
    for row in rows:
        writer.writerow([guarded(row[name]) for name in columns])
        count += 1
    return count


def _write_json(file: TextIO, _columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> int:
    file.write("[")
    count = 0
    for row in rows:
        file.write(("\n" if count == 0 else ",\n") + json.dumps(row))
        count += 1
    file.write("\n]\n")
    return count


def guarded(cell: Any) -> Any:
    """Return a cell of CSV that a spreadsheet does not run as a formula: an apostrophe goes before such a text.

    Numbers stay as they are; ``unguarded`` removes the apostrophe again.
    """
    is_formula = isinstance(cell, str) and _FORMULA.match(cell) and not _NUMBER.fullmatch(cell)
    return f"'{cell}" if is_formula else cell


def unguarded(cell: str) -> str:
    """Return the text of a cell that ``guarded`` may have written."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell[1:]) else cell


def _flags(quality: int) -> str:
    return " ".join(flag.name.lower() for flag in Quality(quality) if flag.name is not None)


# --- import ---------------------------------------------------------------------------------------------------------


REFUSED_KEPT: Final = 1_000
"""Refused lines that are kept with their text: fewer show all kinds of fault in a file."""


@dataclass(frozen=True, slots=True)
class RefusedLine:
    """A line that was not taken."""

    line: int
    """Counted from 1, the header included."""
    reason: str
    text: str


@dataclass(slots=True)
class ImportReport:
    """What became of every line: ``lines == accepted + blank + refused_count`` (the header is not a line of data)."""

    lines: int = 0
    accepted: int = 0
    blank: int = 0
    refused_count: int = 0
    refused: list[RefusedLine] = field(default_factory=list)
    """The first ``REFUSED_KEPT`` of the refused lines."""

    def refuse(self, line: RefusedLine) -> None:
        """Count a refused line, and keep it where it is one of the first."""
        self.refused_count += 1
        if len(self.refused) < REFUSED_KEPT:
            self.refused.append(line)


class _Refusal(ValueError):  # noqa: N818 - not an error of ours: the reason a line is refused
    """Why a line is refused."""


@dataclass(frozen=True, slots=True)
class _TableRow:
    number: int
    text: str
    device: str
    obis: Obis
    time: int
    value: Decimal
    unit: Unit
    exponent: int


_NAMES = {
    "device": {"device", "meter", "meterid", "meternumber", "serial", "serialnumber", "zaehler", "zaehlernummer"},
    "usage_point": {"usagepoint", "meteringpoint", "meterpoint", "malo", "melo", "zaehlpunkt", "ean"},
    "obis": {"obis", "obiscode", "register", "channel", "quantity"},
    "time": {"time", "timestamp", "datetime", "utc", "zeit", "uhrzeit", "zeitstempel"},
    "date": {"date", "datum"},
    "value": {"value", "reading", "registervalue", "wert", "stand", "zaehlerstand"},
    "unit": {"unit", "einheit", "uom"},
}
_QUANTITIES = {
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
_FORMATS = (
    "%d.%m.%Y %H:%M:%S",
    "%d.%m.%Y %H:%M",
    "%d.%m.%Y",
    "%Y/%m/%d %H:%M:%S",
    "%Y/%m/%d %H:%M",
    "%d-%m-%Y %H:%M:%S",
    "%d-%m-%Y %H:%M",
)
_THOUSANDS = re.compile(r"[+-]?\d{1,3}(?:[.,]\d{3})+")


def import_csv(
    management: MeterDataManagement,
    text: Iterable[str],
    *,
    zone: str,
    received_at: datetime,
    device: str | None = None,
    obis: Obis | None = None,
    unit: str | None = None,
) -> ImportReport:
    """Import readings from CSV lines with a header; accepted readings are durable when the call returns.

    Columns, by any of their usual names: device or usage point, OBIS code or quantity, time, value, unit. What the
    file does not have is given here. Times with an offset or ``Z`` are taken as they are; times without are local to
    ``zone``: one that the spring change skips is refused; one in the repeated autumn hour is its first pass, unless
    the same register had that local time or a later one of the repeated hour before, then its second.

    Args:
        management: where the readings go.
        text: lines, with or without their ends; a file open for reading will do.
        zone: IANA name for times without an offset.
        received_at: when the import happens.
        device: the meter, where the file names none.
        obis: the register, where the file names none.
        unit: the unit (``kWh``), where the file names none.

    Raises:
        ValueError: the header lacks a column that is not given either, or has one twice.

    """
    report = ImportReport()
    lines = iter(enumerate(text, 1))
    header_number, header = next(((number, line) for number, line in lines if line.strip("\ufeff \t\r\n")), (0, ""))
    if not header_number:
        raise ValueError("the file has no header line")
    separator = max(";\t,|", key=header.count)
    if len(header) > MAX_LINE:
        raise ValueError(f"the header is longer than {MAX_LINE} characters")
    try:
        columns = _columns(_cells(header.lstrip("\ufeff").rstrip("\r\n"), separator))
    except _Refusal as refusal:
        raise ValueError(f"the header is not CSV: {refusal}") from refusal
    for name, given in (("device", device), ("obis", obis), ("unit", unit), ("time", None), ("value", None)):
        has_point = name == "device" and "usage_point" in columns
        if name not in columns and given is None and not has_point:
            words = {"obis": "register (obis)"}.get(name, name)
            remedy = f"; give --{name}" if name in {"device", "obis", "unit"} else ""
            raise ValueError(f"the header has no column for the {words}{remedy}")
    reader = _TableReader(management, columns, separator, ZoneInfo(zone), device, obis, unit)
    batch: list[_TableRow] = []
    for number, line in lines:
        report.lines += 1
        if not line.strip(f"{separator} \t\r\n"):
            report.blank += 1
            continue
        try:
            batch.append(reader.read(number, line.rstrip("\r\n")))
        except _Refusal as refusal:
            report.refuse(RefusedLine(number, str(refusal), line.rstrip("\r\n")[:MAX_LINE]))
        if len(batch) >= BATCH_LINES:
            report.accepted += _take(management, batch, received_at)
            batch = []
    report.accepted += _take(management, batch, received_at)
    return report


@dataclass(slots=True)
class _TableReader:
    """Turns lines into readings; remembers where each register is within a repeated hour."""

    management: MeterDataManagement
    columns: Mapping[str, int]
    separator: str
    zone: ZoneInfo
    device: str | None
    obis: Obis | None
    unit: str | None
    repeated: dict[tuple[str, Obis], datetime] = field(default_factory=dict)
    folded: set[tuple[str, Obis, datetime]] = field(default_factory=set)

    def read(self, number: int, text: str) -> _TableRow:
        if len(text) > MAX_LINE:
            raise _Refusal(f"longer than {MAX_LINE} characters")
        cells = _cells(text, self.separator)
        found = {name: unguarded(cells[index].strip()) for name, index in self.columns.items() if index < len(cells)}
        obis = self._obis(found.get("obis", ""))
        unit, exponent = self._unit(found.get("unit", ""))
        value = _number(found.get("value", ""), self.separator)
        moment = found.get("time", "")
        if "date" in self.columns and moment:
            moment = f"{found.get('date', '')} {moment}"
        device = found.get("device") or self.device or ""
        if not device:
            device = self._installed(found.get("usage_point", ""), moment)
        time = self._instant(moment, (device, obis))
        return _TableRow(number, text, device, obis, time, value, unit, exponent)

    def _obis(self, text: str) -> Obis:
        if not text:
            if self.obis is None:
                raise _Refusal("no OBIS code or quantity")
            return self.obis
        try:
            return _QUANTITIES.get(re.sub(r"[^a-z]", "", text.lower())) or parse_obis(text)
        except ValueError as error:
            raise _Refusal(str(error)) from error

    def _unit(self, text: str) -> tuple[Unit, int]:
        symbol = text or self.unit or ""
        if not symbol:
            raise _Refusal("no unit")
        try:
            return canonical(*parse_unit(symbol))
        except ValueError as error:
            raise _Refusal(str(error)) from error

    def _installed(self, usage_point: str, moment: str) -> str:
        if not usage_point:
            raise _Refusal("neither device nor usage point")
        try:
            chain = self.management.installations(usage_point)
        except UnknownUsagePointError as error:
            raise _Refusal(str(error)) from error
        wall = _wall(moment)
        at = int((wall if wall.tzinfo else wall.replace(tzinfo=self.zone)).timestamp())
        fitting = [row.device for row in chain if row.start <= at and (row.end is None or at < row.end)]
        if not fitting:
            raise _Refusal(f"no meter was installed at {usage_point} then")
        return fitting[0]

    def _instant(self, text: str, register: tuple[str, Obis]) -> int:
        wall = _wall(text)
        if wall.tzinfo is not None:
            return int(wall.timestamp())
        first, second = (wall.replace(tzinfo=self.zone, fold=fold) for fold in (0, 1))
        if first.utcoffset() == second.utcoffset():
            self.repeated.pop(register, None)
            return int(first.timestamp())
        if first.astimezone(UTC).astimezone(self.zone).replace(tzinfo=None) != wall:
            raise _Refusal(f"{text} does not exist in {self.zone.key}: the clock skips it")
        before = self.repeated.get(register)
        second_pass = (*register, wall.replace(minute=0, second=0))
        if before is not None and wall <= before:
            self.folded.add(second_pass)
        self.repeated[register] = wall
        return int((second if second_pass in self.folded else first).timestamp())


def _cells(line: str, separator: str) -> list[str]:
    if "\0" in line:
        raise _Refusal("a NUL octet: the line is damaged")
    try:
        return next(csv.reader(io.StringIO(line), delimiter=separator, strict=True), [])
    except csv.Error as error:
        raise _Refusal(f"not a line of CSV: {error}") from error


def _columns(header: Sequence[str]) -> dict[str, int]:
    """Find the columns; raises ``ValueError`` where two could be meant. The time of day may be in another column."""
    found: dict[str, int] = {}
    for index, cell in enumerate(header):
        plain = re.sub(r"[^a-z]", "", cell.lower().replace("ä", "ae"))
        for name, spellings in _NAMES.items():
            if plain in spellings:
                if name in found:
                    raise ValueError(f"two columns for the {name.replace('_', ' ')}: {header[found[name]]}, {cell}")
                found[name] = index
    if "date" in found and "time" not in found:
        found["time"] = found.pop("date")
    return found


def _wall(text: str) -> datetime:
    plain = text.strip()
    if not plain:
        raise _Refusal("no time")
    moment = _parsed(plain)
    if moment is None:
        raise _Refusal(f"{plain!r} is not a time like 2026-03-29T02:15:00+02:00 or 29.03.2026 02:15")
    if not FIRST_YEAR <= moment.year <= LAST_YEAR:
        raise _Refusal(f"{plain!r} is not a time of a meter")
    return moment


def _parsed(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        pass
    for form in _FORMATS:
        try:
            return datetime.strptime(text, form)  # noqa: DTZ007 - local by the caller's zone
        except ValueError:
            continue
    return None


def _number(text: str, separator: str) -> Decimal:
    plain = text.replace(" ", "").replace("\u00a0", "").replace("'", "")
    if not plain:
        raise _Refusal("no value")
    if "," in plain and "." in plain:
        thousands = "," if plain.rindex(",") < plain.rindex(".") else "."
        plain = plain.replace(thousands, "")
    if "," in plain:
        if separator == "," and _THOUSANDS.fullmatch(plain):
            raise _Refusal(f"{text!r} may mean thousands or decimals")
        plain = plain.replace(",", ".")
    if not plain.isascii() or "_" in plain:
        raise _Refusal(f"{text!r} is not a number")
    try:
        value = Decimal(plain)
    except InvalidOperation as error:
        raise _Refusal(f"{text!r} is not a number") from error
    exponent = value.as_tuple().exponent
    if not isinstance(exponent, int) or -exponent > MAX_DECIMALS or value.adjusted() > MAX_MAGNITUDE:
        raise _Refusal(f"{text!r} is not a number that a register can show")
    return value


def _take(management: MeterDataManagement, batch: Sequence[_TableRow], received_at: datetime) -> int:
    """Store the lines, per register at its finest scale in the batch."""
    groups: dict[tuple[str, Obis, str, int], list[_TableRow]] = {}
    for line in batch:
        groups.setdefault((line.device, line.obis, line.unit.symbol, line.exponent), []).append(line)
    blocks = []
    for (device, obis, _symbol, exponent), lines in groups.items():
        decimals = max(max(0, -int(line.value.as_tuple().exponent)) for line in lines)
        blocks.append(
            CaptureBlock.of_rows(
                device,
                Source.IMPORT_FILE,
                channels=[(obis, lines[0].unit, exponent - decimals)],
                rows=[(line.time, 0, [int(line.value.scaleb(decimals))]) for line in lines],
                received_at=int(received_at.timestamp()),
            )
        )
    if blocks:
        management.take(blocks)
    return len(batch)
