"""Import of a table: read to its end, held against what is stored, and then taken whole or not at all.

Import is tolerant of separators, decimal commas, column names and time formats, and strict about meaning: a line whose
instant, unit or value is not certain is refused with its number and reason, never guessed.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal

from meterspan.analytics.tariff import exact_decimal
from meterspan.mdm.channels import billing_registers, direction_of, interval_registers, kind_of
from meterspan.mdm.curves import Curve
from meterspan.mdm.data_management import MeterDataManagement
from meterspan.mdm.imports import FileChannel, FileConflict, TakenImport, rows_by_number
from meterspan.mdm.table_layout import HeaderError, read_layout
from meterspan.mdm.table_reader import RefusedLine, TableDefaults, TableReader
from meterspan.mdm.table_text import CellRefusal
from meterspan.mdm.zone_doubts import doubts_of_clock, doubts_of_shift
from meterspan.model.lookup_errors import UnknownUsagePointError
from meterspan.model.readings import SeriesKind
from meterspan.model.storage.readings import ImportRecord
from meterspan.quantities import Commodity, Direction, Obis, commodity_of_obis, utc, utc_seconds, utc_text

__all__ = [
    "ImportReport",
    "ReadTable",
    "import_csv",
    "read_table",
    "reconciled",
    "report_of",
    "same_import",
    "take_table",
    "zone_doubts",
]


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What became of every line: ``lines == accepted + blank + refused_count`` (the header is not a line of data).

    Attributes:
        lines: lines of data.
        accepted: lines without a fault.
        blank: lines without a cell.
        refused_count: lines with a fault.
        refused: the first of them.
        readings: values of the accepted lines.
        taken: those of ``readings`` that are new.
        duplicates: those that are stored already with the same value.
        conflicts: those of ``taken`` that contradict a stored value; both are kept.
        named_conflicts: the first of them.
        record: the import; None where nothing was stored.
        channels: the registers of the file.
        first_time: UTC seconds of the first reading; None without one.
        last_time: UTC seconds of the last one.
        notes: what the owner of the file should know, one sentence each.

    """

    lines: int = 0
    accepted: int = 0
    blank: int = 0
    refused_count: int = 0
    refused: Sequence[RefusedLine] = field(default_factory=list)
    readings: int = 0
    taken: int = 0
    duplicates: int = 0
    conflicts: int = 0
    named_conflicts: tuple[FileConflict, ...] = ()
    record: ImportRecord | None = None
    channels: tuple[FileChannel, ...] = ()
    first_time: int | None = None
    last_time: int | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ReadTable:
    """A table that was read to its end, and not stored."""

    reader: TableReader
    digest: bytes
    """SHA-256 of the lines, and of what stood in for what they leave out."""
    defaults: TableDefaults

    @property
    def channels(self) -> tuple[FileChannel, ...]:
        """What the rows of each number are."""
        return tuple(self.reader.channels)


def read_table(
    management: MeterDataManagement,
    lines: Iterable[str],
    defaults: TableDefaults,
    *,
    now: datetime,
    refused: Callable[[RefusedLine], None] | None = None,
) -> ReadTable:
    """Read a table of CSV with a header, and store nothing.

    Columns, by any of their usual names: device or usage point, OBIS code or quantity, time, value, unit; or start, end
    and consumption. What the file does not have is given in ``defaults``. Times with an offset or ``Z`` are taken as
    they are; times without are local to the zone: one that the spring change skips is refused; one in the repeated
    autumn hour is of the first pass, unless the order of the register's lines says that it is of the second.

    Args:
        management: knows which meter is at a usage point.
        lines: lines, with or without their ends; a file open for reading will do.
        defaults: what the file leaves out.
        now: when the import happens.
        refused: called with each line that is refused.

    Raises:
        HeaderError: the header lacks a column that is not given either, or has one twice.

    """
    read_as = defaults.zone, defaults.device, defaults.obis, defaults.unit
    digest = hashlib.sha256(repr(read_as).encode())
    numbered = _numbered(lines, digest.update)
    header = next(((number, line) for number, line in numbered if line.strip("\ufeff \t\r\n")), None)
    if header is None:
        raise HeaderError("the file has no header line")
    layout = read_layout(header[1])
    reader = TableReader(layout, defaults, utc_seconds(now), lambda point, at: _meter_at(management, point, at))
    reader.read(numbered, refused)
    reader.note_lengths(lambda device: _period_of(management, device))
    return ReadTable(reader, digest.digest(), defaults)


def _numbered(lines: Iterable[str], note: Callable[[bytes], None]) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(lines, 1):
        note(line.rstrip("\r\n").encode("utf-8", "surrogatepass"))
        note(b"\n")
        yield number, line


def same_import(management: MeterDataManagement, table: ReadTable) -> ImportRecord | None:
    """Return the import of the same lines with the same defaults that still counts, or None."""
    found = (record for record in management.imports() if record.digest == table.digest and record.undone_at is None)
    return next(found, None)


def take_table(
    management: MeterDataManagement, table: ReadTable, *, name: str, now: datetime, is_trial: bool = False
) -> TakenImport:
    """Store all readings of a table, or count what would be stored.

    Args:
        management: where the readings go.
        table: what was read.
        name: of the file.
        now: when the import happens.
        is_trial: store nothing.

    """
    take = management.try_import if is_trial else management.take_import
    return take(name, table.digest, table.channels, table.reader.parts(), at=now)


def zone_doubts(management: MeterDataManagement, table: ReadTable, tried: TakenImport) -> list[str]:
    """Return what speaks against the zone in which a table was read."""
    zone = table.defaults.zone
    registers = len({(channel.device, channel.obis) for channel in table.channels})
    doubts = doubts_of_clock(table.reader.signs, zone, registers)
    return doubts or doubts_of_shift(tried.conflicts, lambda item, span: _near(management, item, span), zone)


def report_of(
    management: MeterDataManagement, table: ReadTable, taken: TakenImport, placed: frozenset[str] = frozenset()
) -> ImportReport:
    """Return what became of a table, with what its owner should know.

    Args:
        management: what is stored.
        table: what was read.
        taken: what became of its rows.
        placed: the meters that have a home given, so that none has to be named for them.

    """
    counts, record = table.reader.counts, taken.record
    report = ImportReport(
        counts["lines"],
        counts["lines"] - counts["blank"] - counts["refused"],
        counts["blank"],
        counts["refused"],
        table.reader.refused,
        counts["readings"],
        record.readings,
        record.duplicates,
        record.conflicts,
        taken.conflicts,
        record if record.number else None,
        _registers(table.channels),
        record.first_time,
        record.last_time,
    )
    notes = [*_notes_of_registers(management, report.channels, placed)]
    return replace(report, notes=tuple(notes))


def import_csv(
    management: MeterDataManagement,
    text: Iterable[str],
    *,
    zone: str,
    received_at: datetime,
    device: str | None = None,
    obis: Obis | None = None,
    unit: str | None = None,
    takes_rest: bool = False,
    name: str = "",
) -> ImportReport:
    """Import readings from CSV lines with a header; they are durable when the call returns.

    Args:
        management: where the readings go.
        text: lines, with or without their ends.
        zone: IANA name for times without an offset.
        received_at: when the import happens.
        device: the meter, where the file names none.
        obis: the register, where the file names none.
        unit: the unit (``kWh``), where the file names none.
        takes_rest: take the other lines where some are refused; else nothing is stored then.
        name: of the file.

    Raises:
        HeaderError: the header lacks a column that is not given either, or has one twice.

    """
    table = read_table(management, text, TableDefaults(zone, device, obis, unit), now=received_at)
    is_trial = bool(table.reader.counts["refused"]) and not takes_rest
    taken = take_table(management, table, name=name, now=received_at, is_trial=is_trial)
    return report_of(management, table, taken)


# --- what is registered -----------------------------------------------------------------------------------------------


def _meter_at(management: MeterDataManagement, usage_point: str, at: int) -> str:
    try:
        chain = management.installations(usage_point)
    except UnknownUsagePointError as error:
        raise CellRefusal(str(error), "give --device, or install a meter there") from error
    fitting = [row.device for row in chain if row.start <= at and (row.end is None or at < row.end)]
    if not fitting:
        raise CellRefusal(f"no meter was installed at {usage_point} then")
    return fitting[0]


def _period_of(management: MeterDataManagement, device: str) -> int | None:
    """Return the grid of a meter's usage point, or None where it is not installed."""
    supplies = management.supplies_with(device)
    return supplies[0].period_s if supplies else None


def _near(management: MeterDataManagement, item: FileConflict, span: int) -> Sequence[tuple[int, int]]:
    channel = item.channel
    numbers = [
        series.series_id
        for series in management.series_of(channel.device)
        if series.obis == str(channel.obis)
        and (series.unit, series.exponent) == (channel.unit.symbol, channel.exponent)
    ]
    found = management.readings(numbers, utc(item.time - span), utc(item.time + span + 1))
    return list(zip((found.time - item.time).tolist(), found.value.tolist(), strict=True))


def _registers(channels: Sequence[FileChannel]) -> tuple[FileChannel, ...]:
    """Return one channel of each register: the one of the finest scale."""
    found: dict[tuple[str, Obis, str], FileChannel] = {}
    for item in sorted(channels, key=lambda item: -item.exponent):
        found[item.device, item.obis, item.unit.symbol] = item
    return tuple(found[key] for key in sorted(found))


def _notes_of_registers(
    management: MeterDataManagement, channels: Sequence[FileChannel], placed: frozenset[str]
) -> Iterator[str]:
    """Name the meters that are installed nowhere, and the registers that bill nothing."""
    by_device: dict[str, list[FileChannel]] = {}
    for channel in channels:
        by_device.setdefault(channel.device, []).append(channel)
    for device, own in by_device.items():
        if device not in placed and not management.supplies_with(device):
            yield f"{device} is installed nowhere, so that no home has a total of it; give --home"
        yield from _notes_of_unbilled(device, own)


def _notes_of_unbilled(device: str, channels: Sequence[FileChannel]) -> Iterator[str]:
    billed: set[str] = set()
    rows = [_RegisterName(str(channel.obis), channel.unit.symbol) for channel in channels]
    for commodity in Commodity:
        for direction in Direction:
            chosen = billing_registers(rows, commodity, direction) or interval_registers(rows, direction)
            billed.update(row.obis for group in chosen for row in group)
    for channel in channels:
        is_counted = kind_of(channel.obis, channel.unit) is not SeriesKind.INSTANT
        if is_counted and str(channel.obis) not in billed and commodity_of_obis(channel.obis) is not None:
            yield f"{channel.obis} of {device} is stored, and bills nothing: it is no register that meterspan bills"


@dataclass(frozen=True, slots=True)
class _RegisterName:
    obis: str
    unit: str


def reconciled(management: MeterDataManagement, table: ReadTable, *, is_stored: bool = False) -> Iterator[str]:
    """Yield a sentence for each meter with intervals in a table: how their sum fits to its registers, and what counts.

    Args:
        management: what is stored.
        table: what was read.
        is_stored: whether the table is stored, so that what counts is known.

    """
    for (device, obis), amount in _amounts(table).items():
        direction = direction_of(obis)
        spans = table.reader.spans.get((device, obis), {})
        if not spans:
            continue
        start = min(min(ends) - length for length, ends in spans.items())
        end = max(max(ends) for ends in spans.values())
        for supply in management.supplies_with(device):
            curve = management.curve(supply.usage_point, direction, utc(start), utc(end))
            yield _reconciled(device, amount, curve, (start, end), is_stored=is_stored)


def _reconciled(device: str, amount: Decimal, curve: Curve, span: tuple[int, int], *, is_stored: bool) -> str:
    """Return how the sum of a meter's intervals fits to what counts.

    Args:
        device: the meter.
        amount: the sum of the table, in Wh.
        curve: what counts in the span.
        span: from when to when, in UTC seconds.
        is_stored: whether the table is in the curve.

    """
    where = f"{device}, {utc_text(utc(span[0]))} to {utc_text(utc(span[1]))}"
    summed = f"{where}: the intervals sum up to {_plain(amount.scaleb(-3))} kWh"
    counted = exact_decimal(curve.total) if curve.of_intervals and is_stored else amount.scaleb(-3)
    if counted != amount.scaleb(-3):
        others = "others that are stored lie in the same span or overlap them"
        return f"{summed}, and {_plain(counted)} kWh count: {others}; no register is known that checks them"
    if curve.of_intervals or not len(curve.start):
        return f"{summed}; no register is known that checks them"
    measured = exact_decimal(curve.total)
    difference = measured - amount.scaleb(-3)
    if not difference:
        return f"{summed}, as its registers do"
    unexplained = f"{_plain(difference)} kWh are unexplained; the registers count"
    return f"{summed}, its registers to {_plain(measured)} kWh: {unexplained}"


def _plain(amount: Decimal) -> str:
    return f"{amount.normalize():f}"


def _amounts(table: ReadTable) -> Mapping[tuple[str, Obis], Decimal]:
    """Return the sum of a table's interval values by device and code, in Wh."""
    sums: dict[tuple[str, Obis], Decimal] = {}
    channels = table.channels
    for part in table.reader.parts():
        for position, rows in rows_by_number(part.series):
            item = channels[position]
            if kind_of(item.obis, item.unit) is SeriesKind.INTERVAL:
                amount = Decimal(int(part.value[rows].sum())).scaleb(item.exponent)
                sums[item.device, item.obis] = sums.get((item.device, item.obis), Decimal(0)) + amount
    return sums
