"""What ``meterspan import`` does: a table is read whole, tried, and then stored whole, or nothing is.

Everything that could refuse it (lines, homes and meters, the time zone, the same file taken before) is asked before
the first reading is stored; a folder that is not there is made only then.
"""

import csv
import io
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, TextIO

from meterspan.app.transfer import opened
from meterspan.mdm import ImportReport, MeterDataManagement, RefusedLine
from meterspan.mdm.channels import kind_of
from meterspan.mdm.installations import MeterInstallation
from meterspan.mdm.table_import import (
    ReadTable,
    read_table,
    reconciled,
    report_of,
    same_import,
    take_table,
    zone_doubts,
)
from meterspan.mdm.table_reader import TableDefaults
from meterspan.mdm.tables import guarded
from meterspan.model.readings import SeriesKind
from meterspan.model.storage.readings import ImportRecord
from meterspan.model.storage.registry import HomeRow
from meterspan.model.views import Home
from meterspan.quantities import CATALOGUE, Commodity, commodity_of_obis, parse_obis, parse_unit, utc
from meterspan.store.databases import check_reachable
from meterspan.store.private_files import replacing

__all__ = [
    "ImportAnswer",
    "ImportOutcome",
    "ImportRequest",
    "InstallationRefusedError",
    "PlannedMeter",
    "RejectsExistError",
    "import_into",
    "install_planned",
    "list_imports",
    "plan_installation",
    "undo_import_of",
]

CURRENCY: Final = "EUR"
"""Of new homes; their tariffs can have another one."""
PERIOD_S: Final = 900
"""The grid of a meter whose file says nothing of it."""


class RejectsExistError(ValueError):
    """The file of rejects is there already: it might be the table itself, and is not replaced."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} is there already, and is not replaced; name a new file for the rejects")
        self.path = path


class InstallationRefusedError(ValueError):
    """The meters of a table cannot be installed at the homes that were named; nothing was stored."""


class ImportOutcome(StrEnum):
    """How an import ended."""

    TAKEN = "taken"
    """All readings, or all but the lines in the file of rejects, are stored."""
    TRIED = "tried"
    """It was asked what would be stored, and nothing was."""
    REFUSED_LINES = "refused-lines"
    """Lines were refused, so that nothing was stored."""
    DOUBTFUL_ZONE = "doubtful-zone"
    """The times are of another zone, so that nothing was stored."""
    EMPTY = "empty"
    """The table has no reading, so that nothing was stored."""
    TAKEN_BEFORE = "taken-before"
    """The same file was taken before in the same way, so that no reading was stored again."""


@dataclass(frozen=True, slots=True)
class ImportRequest:
    """How a table is to be imported.

    Attributes:
        name: of the file, for the list of imports.
        defaults: what the table leaves out.
        registry: URL of the registry's database; "" for the file of the folder.
        is_trial: say what would be stored, and store nothing.
        rejects: the new file that refused lines are written to, so that the others are taken; None takes all or
            nothing. A trial writes none.
        trusts_zone: take the times of the zone whatever speaks against it.

    """

    name: str
    defaults: TableDefaults
    registry: str = ""
    is_trial: bool = False
    rejects: Path | None = None
    trusts_zone: bool = False


@dataclass(frozen=True, slots=True)
class PlannedMeter:
    """A meter that an import installs.

    Attributes:
        device: the meter.
        home_id: where.
        commodity: the supply.
        usage_point: where in the home; made where new.
        period_s: grid of its intervals.

    """

    device: str
    home_id: str
    commodity: Commodity
    usage_point: str
    period_s: int


@dataclass(frozen=True, slots=True)
class ImportAnswer:
    """What became of a table.

    Attributes:
        outcome: how it ended.
        report: what became of its lines and readings; of a trial and a refusal, what would have.
        installed: the meters that were installed, or would be.
        doubts: what speaks against the time zone.
        before: the import that took the same file before.

    """

    outcome: ImportOutcome
    report: ImportReport
    installed: tuple[PlannedMeter, ...] = ()
    doubts: tuple[str, ...] = ()
    before: ImportRecord | None = None

    @property
    def is_stored(self) -> bool:
        """Whether readings were stored by this import."""
        return self.outcome is ImportOutcome.TAKEN


def import_into(folder: Path, lines: Iterable[str], request: ImportRequest) -> ImportAnswer:
    """Import the lines of a table into a data folder, whole or not at all; return what became of them.

    Args:
        folder: of the data; made where it is not there, once it is certain that something is stored.
        lines: CSV with a header.
        request: how.

    Raises:
        HeaderError: the header lacks a column that is not given either, or has one twice.
        InstallationRefusedError: the meters cannot be installed at the homes that were named.
        RejectsExistError: the file of rejects is there already.
        StorageError: another program has the folder open, or it cannot be read.
        OSError: the file of rejects cannot be written.

    """
    now = datetime.now(UTC)
    with _rejects(request) as rejects:
        answer = _imported(folder, lines, request, rejects.write, now)
        rejects.is_kept = answer.outcome in {ImportOutcome.TAKEN, ImportOutcome.REFUSED_LINES}
    return answer


def _imported(
    folder: Path,
    lines: Iterable[str],
    request: ImportRequest,
    note: Callable[[RefusedLine], None],
    now: datetime,
) -> ImportAnswer:
    """Import the lines of a table; see ``import_into``.

    Args:
        folder: of the data.
        lines: CSV with a header.
        request: how.
        note: called with each refused line.
        now: when.

    """
    with _opened_or_empty(folder, request.registry) as (data, is_there):
        table = read_table(data, lines, request.defaults, now=now, refused=note)
        is_whole = not table.reader.counts["refused"] or request.rejects is not None
        plan = plan_installation(data, table) if is_whole else ()
        tried = take_table(data, table, name=request.name, now=now, is_trial=True)
        placed = frozenset(device for device, _home, _commodity in _homes_of(table))
        report = report_of(data, table, tried, placed)
        report = replace(report, notes=(*report.notes, *reconciled(data, table)))
        refusal = _refusal(data, table, request, report, () if request.trusts_zone else zone_doubts(data, table, tried))
        if refusal is not None:
            if refusal.outcome is ImportOutcome.TAKEN_BEFORE and not request.is_trial:
                install_planned(data, plan, request.defaults.zone)  # where a kill ended that import before this step
            return replace(refusal, installed=plan)
        if is_there:
            return _taken(data, table, request, plan, now)
    with opened(folder, registry=request.registry) as data:
        return _taken(data, table, request, plan_installation(data, table), now)


def _refusal(
    data: MeterDataManagement,
    table: ReadTable,
    request: ImportRequest,
    report: ImportReport,
    doubts: Sequence[str],
) -> ImportAnswer | None:
    """Return the answer where nothing is to be stored; None where all is well.

    Args:
        data: what is stored.
        table: what was read.
        request: how it is to be imported.
        report: what would become of it.
        doubts: what speaks against the time zone.

    """
    before = same_import(data, table)
    if before is not None:
        return ImportAnswer(ImportOutcome.TAKEN_BEFORE, report, before=before)
    if doubts:
        return ImportAnswer(ImportOutcome.DOUBTFUL_ZONE, report, doubts=tuple(doubts))
    if not report.readings and not report.refused_count:
        return ImportAnswer(ImportOutcome.EMPTY, report)
    if report.refused_count and (request.rejects is None or not report.readings):
        return ImportAnswer(ImportOutcome.REFUSED_LINES, report)
    return ImportAnswer(ImportOutcome.TRIED, report) if request.is_trial else None


def _taken(
    data: MeterDataManagement,
    table: ReadTable,
    request: ImportRequest,
    plan: Sequence[PlannedMeter],
    now: datetime,
) -> ImportAnswer:
    """Store a table, and install its meters.

    Args:
        data: where.
        table: what was read.
        request: how it is imported.
        plan: the meters to install.
        now: when.

    """
    taken = take_table(data, table, name=request.name, now=now)
    install_planned(data, plan, request.defaults.zone)
    report = report_of(data, table, taken)
    report = replace(report, notes=(*report.notes, *reconciled(data, table, is_stored=True)))
    return ImportAnswer(ImportOutcome.TAKEN, report, tuple(plan))


@contextmanager
def _opened_or_empty(folder: Path, registry: str) -> Iterator[tuple[MeterDataManagement, bool]]:
    """Open the folder, or an empty one of a moment where it is not there; yield the data, and whether it is there."""
    if (folder / "data" / "readings").is_dir():
        with opened(folder, registry=registry) as data:
            yield data, True
        return
    if registry:
        check_reachable(registry)
    with TemporaryDirectory() as scratch, opened(Path(scratch)) as data:
        yield data, False


# --- rejects --------------------------------------------------------------------------------------------------------


class _Rejects:
    """Writes refused lines as rows of CSV; they are kept only where ``is_kept`` was set at the end."""

    def __init__(self, text: TextIO | None) -> None:
        self.is_kept = False
        self._writer = None if text is None else csv.writer(text)
        if self._writer is not None:
            self._writer.writerow(("line", "column", "reason", "remedy", "text"))

    def write(self, item: RefusedLine) -> None:
        """Add a refused line."""
        if self._writer is not None:
            self._writer.writerow((item.line, *map(guarded, (item.column, item.reason, item.remedy, item.text))))


class _UnkeptError(Exception):
    """The refused lines are not kept: the import stored nothing for another reason."""


def _rejects(request: ImportRequest) -> AbstractContextManager[_Rejects]:
    """Lend what writes the refused lines of an import; raises ``RejectsExistError``."""
    path = request.rejects
    if path is None:
        return nullcontext(_Rejects(None))
    if path.is_file():
        raise RejectsExistError(path)
    return nullcontext(_Rejects(None)) if request.is_trial else _rejects_written(path)


@contextmanager
def _rejects_written(path: Path) -> Iterator[_Rejects]:
    """Lend what writes refused lines into a new file; after an error, or where they are not kept, there is none."""
    with suppress(_UnkeptError), replacing(path) as file:
        text = io.TextIOWrapper(file, encoding="utf-8", newline="")
        rejects = _Rejects(text)
        yield rejects
        text.flush()
        text.detach()
        if not rejects.is_kept:
            raise _UnkeptError


# --- homes and meters -----------------------------------------------------------------------------------------------


def plan_installation(data: MeterDataManagement, table: ReadTable) -> tuple[PlannedMeter, ...]:
    """Return the meters of a table that are to be installed, each at the home that its lines or the defaults name.

    Raises:
        InstallationRefusedError: a home has another meter of the supply, or would get two.

    """
    planned: dict[str, PlannedMeter] = {}
    known = {home.home_id: home for home in data.homes()}
    for device, home_id, commodity in _homes_of(table):
        if device in planned:
            continue
        if data.supplies_with(device):
            _require_home(data, device, home_id, table)
            continue
        usage_point = _free_usage_point(known.get(home_id), device, home_id, commodity)
        period_s = table.reader.period_of(device) or PERIOD_S
        planned[device] = PlannedMeter(device, home_id, commodity, usage_point, period_s)
    _require_one_of_each(planned.values())
    return tuple(planned.values())


def _homes_of(table: ReadTable) -> Iterator[tuple[str, str, Commodity]]:
    """Yield each meter of a table that has a home by its lines or the defaults, with the home and what it measures."""
    for channel in table.channels:
        device, kind = channel.device, kind_of(channel.obis, channel.unit)
        default = device if table.defaults.home_each else table.defaults.home_id
        home_id = table.reader.homes.get(device) or default
        commodity = commodity_of_obis(channel.obis)
        if home_id is not None and commodity is not None and kind is not SeriesKind.INSTANT:
            yield device, home_id, commodity


def _require_home(data: MeterDataManagement, device: str, home_id: str, table: ReadTable) -> None:
    """Refuse a file that says another home of an installed meter than the registry."""
    supply = data.supplies_with(device)[0]
    if device in table.reader.homes and supply.home_id != home_id:
        raise InstallationRefusedError(f"{device} is installed at home {supply.home_id}, the file says {home_id}")


def _free_usage_point(known: Home | None, device: str, home_id: str, commodity: Commodity) -> str:
    """Return the name of the new usage point of a meter, or refuse one for a home that has its supply already.

    Args:
        known: the home as it is registered; None for a new one.
        device: the meter.
        home_id: the home.
        commodity: what the meter measures.

    """
    for point in () if known is None else known.usage_points:
        if point.commodity is commodity:
            raise InstallationRefusedError(
                f"{device} cannot be installed at home {home_id}: its {commodity} meter is {point.meter};"
                " exchange that meter, or give another --home"
            )
    return f"{home_id}-{CATALOGUE[commodity].letter}"


def _require_one_of_each(planned: Iterable[PlannedMeter]) -> None:
    meters = list(planned)
    for (home_id, commodity), count in Counter((meter.home_id, meter.commodity) for meter in meters).items():
        if count > 1:
            own = [meter.device for meter in meters if (meter.home_id, meter.commodity) == (home_id, commodity)]
            raise InstallationRefusedError(
                f"{', '.join(own[:4])}{' …' if count > 4 else ''} are {count} {commodity} meters, and home {home_id}"
                " can have one; give each its home in a column home, or --home-each"
            )


def install_planned(data: MeterDataManagement, plan: Sequence[PlannedMeter], zone: str) -> list[str]:
    """Install meters, each from its first reading on; return their names. A new home is registered in ``zone``."""
    known = {home.home_id for home in data.homes()}
    new = dict.fromkeys(meter.home_id for meter in plan if meter.home_id not in known)
    data.register_homes([HomeRow(home_id, home_id, zone, CURRENCY) for home_id in new])
    data.install_meters([_installation(data, meter) for meter in plan])
    return [meter.device for meter in plan]


def _installation(data: MeterDataManagement, meter: PlannedMeter) -> MeterInstallation:
    return MeterInstallation.of(
        meter.home_id,
        meter.usage_point,
        device=meter.device,
        commodity=meter.commodity,
        at=utc(data.first_time(meter.device) - _before_first(data, meter)),
        period_s=meter.period_s,
    )


def _before_first(data: MeterDataManagement, meter: PlannedMeter) -> int:
    """Return how long before its first reading a meter measured: the length of an interval, 0 of a register."""
    kinds = {kind_of(parse_obis(row.obis), parse_unit(row.unit)[0]) for row in data.series_of(meter.device)}
    return 0 if SeriesKind.REGISTER in kinds else meter.period_s


# --- what was imported ----------------------------------------------------------------------------------------------


def list_imports(folder: Path, *, registry: str = "") -> list[ImportRecord]:
    """List the imports of a data folder, the newest first.

    Raises:
        NoReadingsError: the folder holds no readings.
        StorageError: another program has the folder open, or it cannot be read.

    """
    with opened(folder, must_exist=True, registry=registry) as data:
        return list(reversed(data.imports()))


def undo_import_of(folder: Path, number: int, *, registry: str = "") -> ImportRecord:
    """Undo an import: its readings leave all answers; return its record.

    Args:
        folder: of the data.
        number: of the import.
        registry: URL of the registry's database; "" for the file of the folder.

    Raises:
        NoReadingsError: the folder holds no readings.
        UnknownImportError: there is none of this number.
        ImportUndoneError: it was undone before.
        StorageError: another program has the folder open, or it cannot be read.

    """
    with opened(folder, must_exist=True, registry=registry) as data:
        return data.undo_import(number, datetime.now(UTC))
