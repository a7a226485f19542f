"""Lines of a table, read into columns of readings: packed part by part, so that memory follows the packed size.

A line is refused as a whole where its instant, unit or value is not certain. What the lines say about the clock (a
repeated hour, an hour that the clock skips, a step back) is counted, because together they tell a wrong time zone.
"""

import contextlib
import json
import zlib
from array import array
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np

from meterspan.mdm.channels import kind_of, step_fault
from meterspan.mdm.imports import FileChannel
from meterspan.mdm.table_layout import LINE_MAX, HeaderError, TableLayout, TableValues, cells_of
from meterspan.mdm.table_text import (
    STEPS_MAX,
    CellRefusal,
    decimal_mark_of,
    exact_number,
    flags_of,
    obis_of,
    require_unit_of,
    source_of,
    unit_of_text,
    wall_time_of,
    whole_number,
)
from meterspan.mdm.tables import unguarded
from meterspan.model.names import name_fault
from meterspan.model.readings import SeriesKind, Source
from meterspan.model.storage.readings import Readings
from meterspan.quantities import DAY_S, UNITS, Direction, Obis, Unit, utc_seconds
from meterspan.quantities.codes import EXPORT_INTERVAL, IMPORT_INTERVAL
from meterspan.store.columns import read_batch, write_batch

__all__ = ["ClockSigns", "RefusedLine", "TableDefaults", "TableReader"]

PART_ROWS: Final = 50_000
HELD_PART_LINES: Final = 1_000
HELD_PART_LETTERS: Final = 1 << 20
"""Waiting lines that are packed together."""
_USUAL_MARK: Final = {",": ".", ";": ","}
"""The decimal mark by the separator of the cells: spreadsheets write the one that is not the other."""
REFUSED_KEPT: Final = 1_000
"""Refused lines that are kept with their text: fewer show all kinds of fault in a file."""
REFUSED_TEXT_MAX: Final = 4_096
"""Characters of a refused line that are kept; the file of rejects has it whole."""
AHEAD_MAX_S: Final = DAY_S
"""A reading further ahead of now is refused."""
SPAN_MAX_S: Final = 400 * DAY_S
"""The longest interval of one value: a year and a little."""
_EXPONENT_MAX: Final = 30
_INT32_MAX: Final = (1 << 31) - 1


@dataclass(frozen=True, slots=True)
class RefusedLine:
    """A line that was not taken."""

    line: int
    """Counted from 1, the header included."""
    reason: str
    text: str
    column: str = ""
    """The column of the cell that is wrong, as the header names it; "" where it is the line as a whole."""
    remedy: str = ""
    """What the owner of the file can do; "" where the reason says it."""


@dataclass(frozen=True, slots=True)
class TableDefaults:
    """What a table may leave out.

    Attributes:
        zone: IANA name for times without an offset.
        device: the meter, where the file names none.
        obis: the register, where the file names none.
        unit: the unit (``kWh``), where the file names none.
        home_id: where new meters are installed, where the file names no home; None installs none.
        home_each: install each new meter at a home of its own name, where the file names no home.

    """

    zone: str
    device: str | None = None
    obis: Obis | None = None
    unit: str | None = None
    home_id: str | None = None
    home_each: bool = False


@dataclass(slots=True)
class ClockSigns:
    """What the local times of a file show of the clock that wrote them.

    Attributes:
        single_passes: how often a register went through a repeated autumn hour once only.
        steps_back: how often a register's local times step back by so many seconds, and the first time after such a
            step.

    """

    single_passes: int = 0
    steps_back: dict[int, tuple[int, str]] = field(default_factory=dict)

    def step_back(self, seconds: int, text: str) -> None:
        """Count a step back."""
        count, first = self.steps_back.get(seconds, (0, text))
        self.steps_back[seconds] = count + 1, first


@dataclass(slots=True)
class _PendingRows:
    """Columns of rows that wait to be packed."""

    channel: "array[int]" = field(default_factory=lambda: array("i"))
    time: "array[int]" = field(default_factory=lambda: array("q"))
    value: "array[int]" = field(default_factory=lambda: array("q"))
    status: "array[int]" = field(default_factory=lambda: array("i"))
    quality: "array[int]" = field(default_factory=lambda: array("i"))
    source: "array[int]" = field(default_factory=lambda: array("b"))
    received_at: "array[int]" = field(default_factory=lambda: array("q"))

    def packed(self) -> bytes:
        columns = (self.channel, self.time, self.value, self.status, self.quality, self.source, self.received_at)
        return write_batch(Readings(*(np.array(column) for column in columns)))


class _OrderedSpans:
    """Spans of time that do not overlap, in order."""

    def __init__(self) -> None:
        self._starts, self._ends = array("q"), array("q")

    def add(self, start: int, end: int, *, at_end: bool = False) -> bool:
        """Add a span; ``at_end`` adds it only behind all others. Return whether it is there now."""
        if not self._ends or start >= self._ends[-1]:
            self._starts.append(start)
            self._ends.append(end)
        elif at_end:
            return False
        else:
            at = bisect_right(self._starts, start)
            self._starts.insert(at, start)
            self._ends.insert(at, end)
        return True

    def overlapped(self, start: int, end: int) -> tuple[int, int] | None:
        """Return the first span that has an instant in common with this one, or None."""
        at = bisect_right(self._ends, start)
        found = at < len(self._starts) and self._starts[at] < end
        return (self._starts[at], self._ends[at]) if found else None


class _TakenSpans:
    """The intervals of a register; files with the newest line first cost the same: their spans are kept negated."""

    def __init__(self) -> None:
        self._rising, self._falling = _OrderedSpans(), _OrderedSpans()

    def add(self, start: int, end: int) -> None:
        """Add an interval that overlaps none; the same one again adds nothing."""
        if self._overlapping(start, end) is None:
            rises = self._rising.add(start, end, at_end=True)
            if not rises and not self._falling.add(-end, -start, at_end=True):
                self._rising.add(start, end)

    def overlapped(self, start: int, end: int) -> tuple[int, int] | None:
        """Return another interval that has an instant in common with this one, or None."""
        found = self._overlapping(start, end)
        return None if found == (start, end) else found

    def _overlapping(self, start: int, end: int) -> tuple[int, int] | None:
        found = self._falling.overlapped(-end, -start)
        return self._rising.overlapped(start, end) if found is None else (-found[1], -found[0])


class _HeldLines:
    """Lines that wait, packed, so that memory follows the packed size."""

    def __init__(self) -> None:
        self._packed: list[bytes] = []
        self._part: list[tuple[int, str]] = []
        self._letters = 0

    def add(self, number: int, line: str) -> None:
        """Add a line."""
        self._part.append((number, line))
        self._letters += len(line)
        if len(self._part) >= HELD_PART_LINES or self._letters >= HELD_PART_LETTERS:
            self._packed.append(zlib.compress(json.dumps(self._part).encode(), 1))
            self._part, self._letters = [], 0

    def __iter__(self) -> Iterator[tuple[int, str]]:
        for packed in self._packed:
            yield from ((number, line) for number, line in json.loads(zlib.decompress(packed)))
        yield from self._part


class TableReader:
    """Reads the lines of one table; ``parts`` are the rows, ``channels`` what their numbers mean.

    Args:
        layout: the columns.
        defaults: what the table leaves out.
        now: UTC seconds: the arrival of rows that name none; a row after it is refused.
        meter_at: returns the meter at a usage point at an instant; raises ``CellRefusal``.

    Raises:
        HeaderError: a column is missing that is not given either.

    """

    def __init__(
        self, layout: TableLayout, defaults: TableDefaults, now: int, meter_at: Callable[[str, int], str]
    ) -> None:
        self.layout = layout
        self.channels: dict[FileChannel, int] = {}
        self.homes: dict[str, str] = {}
        """The home of each device that the file names one for."""
        self.spans: dict[tuple[str, Obis], dict[int, array[int]]] = {}
        """The ends of the intervals of a device by their length in seconds."""
        self._codes: dict[str, list[Obis]] = {}
        """The codes of each device that has intervals."""
        self._taken: dict[tuple[str, Obis], _TakenSpans] = {}
        self.signs = ClockSigns()
        self.refused: list[RefusedLine] = []
        self.counts: Counter[str] = Counter()
        """``lines``, ``blank``, ``refused``, ``readings``."""
        self._defaults, self._now, self._meter_at = defaults, now, meter_at
        self._zone = ZoneInfo(defaults.zone)
        self._mark = "." if layout.is_export else ""
        """The decimal mark that a number of the file shows; "" as long as none does."""
        self._part = _PendingRows()
        self._packed: list[bytes] = []
        self._last: dict[tuple[str, Obis], datetime] = {}
        self._repeated: dict[tuple[str, Obis], datetime] = {}
        self._folded: set[tuple[str, Obis, datetime]] = set()
        self._named: set[str] = set()
        """Names of meters and homes that were looked at."""
        self._falls: dict[tuple[str, Obis], bool] = {}
        """Whether the lines of a register go back in time: the newest is the first."""
        _require_columns(layout, defaults)

    def read(self, lines: Iterable[tuple[int, str]], refused: Callable[[RefusedLine], None] | None = None) -> None:
        """Read numbered lines; ``refused`` is called with each one that is refused."""
        for number, line in self._in_turn(lines):
            self.counts["lines"] += 1
            if not line.strip(f"{self.layout.separator} \t\r\n"):
                self.counts["blank"] += 1
                continue
            text = line.rstrip("\r\n")
            try:
                self._read_line(text)
            except OverflowError:
                self._refuse(RefusedLine(number, "its time is before the first or after the last day", text), refused)
            except CellRefusal as refusal:
                item = RefusedLine(number, str(refusal), text[:LINE_MAX], refusal.column, refusal.remedy)
                self._refuse(item, refused)
        self._pack()

    def _in_turn(self, lines: Iterable[tuple[int, str]]) -> Iterator[tuple[int, str]]:
        """Yield lines; from one with ``1.000`` on they wait until a number shows the decimal mark, or for the end."""
        held: _HeldLines | None = None
        for number, line in lines:
            is_open = not self._mark and self._look_for_mark(line)
            if held is not None and self._mark:
                yield from held
                held = None
            elif held is None and is_open and not self._mark:
                held = _HeldLines()
            if held is None:
                yield number, line
            else:
                held.add(number, line)
        yield from held or ()

    def _look_for_mark(self, line: str) -> bool:
        """Note the decimal mark that a line shows; return whether a number may mean thousands or decimals."""
        is_open = False
        with contextlib.suppress(CellRefusal):
            cells = cells_of(line[:LINE_MAX].rstrip("\r\n"), self.layout.separator)
            for column in self.layout.values:
                cell = unguarded(cells[column.index].strip()) if column.index < len(cells) else ""
                mark = "" if cell.isdigit() else decimal_mark_of(cell)
                is_open |= mark is None
                self._mark = self._mark or mark or ""
        return is_open

    def _refuse(self, item: RefusedLine, refused: Callable[[RefusedLine], None] | None) -> None:
        self.counts["refused"] += 1
        if len(self.refused) < REFUSED_KEPT:
            self.refused.append(replace(item, text=item.text[:REFUSED_TEXT_MAX]))
        if refused is not None:
            refused(item)

    def note_lengths(self, period_of: Callable[[str], int | None]) -> None:
        """Add the length of each interval that is not as long as the grid of its meter's usage point.

        Args:
            period_of: returns the grid in seconds, or None where the meter is not installed: then the most common
                length of its intervals in the file will be its grid.

        """
        for (device, obis), by_length in self.spans.items():
            period = period_of(device) or self.period_of(device)
            channel = FileChannel(device, obis, UNITS["s"], 0)
            facts = (0, 0, int(Source.IMPORT_FILE), self._now)
            for length, ends in by_length.items():
                for end in ends if length != period else ():
                    self._keep(channel, end, length, facts, 0)
                    self.counts["readings"] -= 1  # not a value of the file: how long one is
        self._pack()

    def period_of(self, device: str) -> int | None:
        """Return the most common length of a device's intervals, at most a day; None where it has none."""
        counts = Counter[int]()
        for obis in self._codes.get(device, ()):
            counts.update({length: len(ends) for length, ends in self.spans[device, obis].items()})
        common = max(counts, key=lambda length: (counts[length], -length), default=None)
        return None if common is None else min(common, DAY_S)

    def parts(self) -> Iterator[Readings]:
        """Yield the rows; their series is the number of their channel."""
        yield from map(read_batch, self._packed)

    # --- one line -----------------------------------------------------------------------------------------------

    def _read_line(self, text: str) -> None:
        if len(text) > LINE_MAX:
            raise CellRefusal(f"longer than {LINE_MAX} characters")
        cells = cells_of(text, self.layout.separator)
        if not self.layout.is_export:  # an export has the names as they are
            cells = [cell.strip() for cell in cells]
        found = {name: unguarded(cells[index]) for name, index in self.layout.columns.items() if index < len(cells)}
        rows = [
            self._row(column, found, unguarded(cells[column.index]) if column.index < len(cells) else "")
            for column in self.layout.values
            if len(self.layout.values) == 1 or (column.index < len(cells) and cells[column.index].strip())
        ]
        if not rows:
            raise CellRefusal("no value")
        for channel, time, value, facts, length in rows:
            self._keep(channel, time, value, facts, length)

    def _row(
        self, column: TableValues, found: Mapping[str, str], text: str
    ) -> tuple[FileChannel, int, int, tuple[int, int, int, int], int]:
        """Read one value of a line: what it is, its time, its steps, what an export says of it, its length."""
        is_amount = self.layout.has_intervals or column.is_amount
        with _blaming(self._name("obis") or column.name):
            obis = self._obis(column, found, is_amount=is_amount)
        with _blaming(self._name("unit") or column.name):
            unit, power = self._unit(column.unit or found.get("unit", ""))
            require_unit_of(obis, unit)
        with _blaming(column.name):
            steps, exponent = exact_number(text, self._mark, _USUAL_MARK.get(self.layout.separator, ""))
        device = found.get("device") or column.device or self._defaults.device or ""
        self._require_name(self._name("device") or column.name, device)
        with _blaming(self._name("time") or self._name("end") or self._name("start")):
            if not device:
                device = self._installed(found)
            time, length = self._instants(found, (device, obis))
            if not self.layout.is_export and time > self._now + AHEAD_MAX_S:
                raise CellRefusal("it is in the future", "correct the time; is the year right?")
            if length:
                self._require_apart((device, obis), time - length, time)
        with _blaming(column.name):
            channel, value = self._scaled((device, obis), (unit, power), (steps, exponent), found)
            if value < 0 and not self.layout.is_export:
                _require_kind_below_0(text, kind_of(obis, unit))
        if found.get("home"):
            self._require_name(self._name("home"), found["home"])
            self._note_home(device, found["home"])
        return channel, time, value, self._facts(found), length

    def _require_apart(self, register: tuple[str, Obis], start: int, end: int) -> None:
        """Refuse an interval over a part of one in an earlier line; the same interval again is a reading twice."""
        taken = self._taken.get(register)
        other = None if taken is None else taken.overlapped(start, end)
        if other is not None:
            low, high = (datetime.fromtimestamp(at, self._zone).strftime("%Y-%m-%d %H:%M") for at in other)
            raise CellRefusal(f"it overlaps the interval from {low} to {high} of an earlier line", "which one counts?")

    def _keep(self, channel: FileChannel, time: int, value: int, facts: tuple[int, int, int, int], length: int) -> None:
        if len(self._part.time) >= PART_ROWS and time != self._part.time[-1]:
            self._pack()  # values of one instant stay together: which came first is told by their arrival
        number = self.channels.setdefault(channel, len(self.channels))
        part = self._part
        part.channel.append(number)
        part.time.append(time)
        part.value.append(value)
        for column, fact in zip((part.status, part.quality, part.source, part.received_at), facts, strict=True):
            column.append(fact)
        self.counts["readings"] += 1
        if length:
            if (channel.device, channel.obis) not in self.spans:
                self.spans[channel.device, channel.obis] = {}
                self._codes.setdefault(channel.device, []).append(channel.obis)
            self.spans[channel.device, channel.obis].setdefault(length, array("q")).append(time)
            self._taken.setdefault((channel.device, channel.obis), _TakenSpans()).add(time - length, time)

    def _pack(self) -> None:
        if len(self._part.time):
            self._packed.append(self._part.packed())
            self._part = _PendingRows()

    def _name(self, field_name: str) -> str:
        index = self.layout.columns.get(field_name)
        return "" if index is None else self.layout.names[index]

    # --- the cells ----------------------------------------------------------------------------------------------

    def _obis(self, column: TableValues, found: Mapping[str, str], *, is_amount: bool) -> Obis:
        text = found.get("obis", "")
        obis = column.obis or (obis_of(text) if text else self._defaults.obis)
        if obis is None and not is_amount:
            raise CellRefusal("no OBIS code or quantity", "give --obis")
        if obis is None:
            obis = EXPORT_INTERVAL if found.get("direction", "") == Direction.EXPORT else IMPORT_INTERVAL
        if self.layout.has_intervals and kind_of(obis, UNITS["Wh"]) is not SeriesKind.INTERVAL:
            raise CellRefusal(
                f"{obis} is a register, and the line has the consumption from one time to another",
                f"leave --obis out for {IMPORT_INTERVAL}, or give registers with one column for the time",
            )
        return obis

    def _unit(self, text: str) -> tuple[Unit, int]:
        symbol = text or self._defaults.unit or ""
        if not symbol:
            raise CellRefusal("no unit", "give --unit")
        unit, power = unit_of_text(symbol)
        if self.layout.has_intervals and unit.dimension != "energy":
            raise CellRefusal(
                f"intervals are taken in kWh of electricity, not in {symbol}", "give registers of other supplies"
            )
        return unit, power

    def _installed(self, found: Mapping[str, str]) -> str:
        usage_point = found.get("usage_point", "")
        if not usage_point:
            raise CellRefusal("neither device nor usage point", "give --device")
        wall = wall_time_of(self._text_of(found, "time" if "time" in found else "end" if "end" in found else "start"))
        return self._meter_at(usage_point, int((wall if wall.tzinfo else wall.replace(tzinfo=self._zone)).timestamp()))

    def _scaled(
        self, register: tuple[str, Obis], counted: tuple[Unit, int], number: tuple[int, int], found: Mapping[str, str]
    ) -> tuple[FileChannel, int]:
        """Return the channel of a value and its steps: of the scale that the file names, else with its decimals."""
        (unit, power), (steps, exponent) = counted, number
        own, is_exact = power + exponent, bool(found.get("scale"))
        if is_exact:
            scale = whole_number(found["scale"], -_EXPONENT_MAX, _EXPONENT_MAX)
            steps, own = _in_scale(steps, own, scale), scale
        else:
            while steps % 10 == 0 and exponent < 0 and step_fault(unit.symbol, own) is not None:
                steps, own, exponent = steps // 10, own + 1, exponent + 1
        if not -STEPS_MAX - 1 <= steps <= STEPS_MAX:
            raise CellRefusal("it is not a number that a register can show")
        if not is_exact and step_fault(unit.symbol, own) is not None:
            raise CellRefusal(str(step_fault(unit.symbol, own)))
        return FileChannel(*register, unit, own, is_exact), steps

    def _facts(self, found: Mapping[str, str]) -> tuple[int, int, int, int]:
        """Return status, quality, source and arrival."""
        if not self.layout.is_export:
            return 0, 0, int(Source.IMPORT_FILE), self._now
        status, received = found.get("status", ""), found.get("received_at", "")
        with _blaming("status"):
            word = whole_number(status, -_INT32_MAX - 1, _INT32_MAX) if status else 0
        with _blaming("received_at"):
            arrived = utc_seconds(_aware(self._wall(received))) if received else self._now
        with _blaming("quality"):
            flags = flags_of(found.get("quality", ""))
        return word, flags, source_of(found.get("source", "")), arrived

    def _require_name(self, column: str, text: str) -> None:
        """Refuse what cannot name a meter or home; a text that was looked at before is known."""
        if not text or text in self._named or self.layout.is_export:  # an export has the names as they are
            return
        with _blaming(column):
            if fault := name_fault(text):
                raise CellRefusal(fault, "give it another name")
        self._named.add(text)

    def _note_home(self, device: str, home: str) -> None:
        before = self.homes.setdefault(device, home)
        if before != home:
            refusal = CellRefusal(f"{device} is at home {before} in an earlier line", "give each meter one home")
            refusal.column = self._name("home")
            raise refusal

    # --- times --------------------------------------------------------------------------------------------------

    def _text_of(self, found: Mapping[str, str], name: str) -> str:
        text = found.get(name, "")
        return f"{found.get('date', '')} {text}" if "date" in self.layout.columns and text else text

    def _instants(self, found: Mapping[str, str], register: tuple[str, Obis]) -> tuple[int, int]:
        """Return the time of a value, the end of an interval, and the length of an interval or 0."""
        if not self.layout.has_intervals:
            return self._instant(self._text_of(found, "time"), register), 0
        texts = self._text_of(found, "start"), self._text_of(found, "end")
        if not all(texts):
            raise CellRefusal("an interval needs its start and its end", "name both columns: start and end")
        walls = [self._wall(text) for text in texts]
        if "date" in self.layout.columns and walls[1] <= walls[0]:
            walls[1] += timedelta(days=1)  # from 23:45 to 00:00: the date is that of the start
        end = self._local(walls[1], texts[1], register)
        length = end - self._start(walls[0], texts[0], end)
        if not 0 < length <= SPAN_MAX_S:
            raise CellRefusal("the interval ends before it begins" if length <= 0 else "the interval is too long")
        return end, length

    def _instant(self, text: str, register: tuple[str, Obis]) -> int:
        return self._local(self._wall(text), text, register)

    def _wall(self, text: str) -> datetime:
        return wall_time_of(text, is_any_year=self.layout.is_export)

    def _start(self, wall: datetime, text: str, end: int) -> int:
        """Return the start of an interval: in a repeated hour the pass that is next to its end."""
        if wall.tzinfo is not None:
            return int(wall.timestamp())
        passes = [int(wall.replace(tzinfo=self._zone, fold=fold).timestamp()) for fold in (0, 1)]
        if not self._exists(wall):
            raise self._skipped(text)
        return max((at for at in passes if at < end), default=passes[0])

    def _local(self, wall: datetime, text: str, register: tuple[str, Obis]) -> int:
        if wall.tzinfo is not None:
            return int(wall.timestamp())
        before = self._last.get(register)
        self._last[register] = wall
        first, second = (wall.replace(tzinfo=self._zone, fold=fold) for fold in (0, 1))
        if first.utcoffset() == second.utcoffset():
            if before is not None and wall != before:
                if timedelta() < before - wall <= timedelta(hours=1):
                    self.signs.step_back(int((before - wall).total_seconds()), text)
                self._leave_repeated_hour(wall, register)
                self._falls[register] = wall < before
            return int(first.timestamp())
        if not self._exists(wall):
            raise self._skipped(text)
        return self._of_repeated_hour(wall, register)

    def _leave_repeated_hour(self, wall: datetime, register: tuple[str, Obis]) -> None:
        last = self._repeated.pop(register, None)
        if last is None or (*register, last.replace(minute=0, second=0)) in self._folded:
            return
        self.signs.single_passes += timedelta() < wall - last <= timedelta(hours=1)

    def _of_repeated_hour(self, wall: datetime, register: tuple[str, Obis]) -> int:
        """Return the instant of a time that the autumn change repeats: the pass is told by the order of the lines."""
        falls = self._falls.get(register, False)
        before = self._repeated.get(register)
        other_pass = (*register, wall.replace(minute=0, second=0))
        if before is not None and (wall >= before if falls else wall <= before):
            self._folded.add(other_pass)
        self._repeated[register] = wall
        fold = int((other_pass in self._folded) != falls)
        return int(wall.replace(tzinfo=self._zone, fold=fold).timestamp())

    def _exists(self, wall: datetime) -> bool:
        return wall.replace(tzinfo=self._zone).astimezone(UTC).astimezone(self._zone).replace(tzinfo=None) == wall

    def _skipped(self, text: str) -> CellRefusal:
        return CellRefusal(
            f"{text} does not exist in {self._zone.key}: the clock skips it",
            "the times are those of another clock: give --zone UTC, or Etc/GMT-1 for winter time all year",
        )


class _blaming:  # noqa: N801 - read as a clause: with _blaming("value")
    """Name the column of a cell that is refused inside."""

    __slots__ = ("_column",)

    def __init__(self, column: str) -> None:
        self._column = column

    def __enter__(self) -> None:
        return

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, CellRefusal) and not error.column:
            error.column = self._column


def _require_kind_below_0(text: str, kind: SeriesKind) -> None:
    if kind is SeriesKind.REGISTER:
        raise CellRefusal(f"{text!r} is less than 0, and a register never is", "is it a difference?")
    if kind is SeriesKind.INTERVAL:
        raise CellRefusal(f"{text!r} is less than 0, and a consumption never is", "name a column for the feed-in")


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _in_scale(steps: int, own: int, scale: int) -> int:
    """Return the steps of a scale; raises ``CellRefusal`` where the value is between two of them."""
    if own >= scale:
        return steps * int(10 ** (own - scale)) if own - scale <= 2 * _EXPONENT_MAX else STEPS_MAX + 1
    per_step: int = 10 ** (scale - own)
    whole, rest = divmod(steps, per_step)
    if rest:
        raise CellRefusal(f"the value has more decimals than its scale of 10^{scale}")
    return whole


def _require_columns(layout: TableLayout, defaults: TableDefaults) -> None:
    """Refuse a table without a column that is not given either."""
    columns, values = layout.columns, layout.values
    lacks = [
        ("device", "device" in columns or "usage_point" in columns or all(item.device for item in values)),
        ("obis", "obis" in columns or layout.has_intervals or all(item.obis or item.is_amount for item in values)),
        ("unit", "unit" in columns or all(item.unit for item in values)),
    ]
    given = {"device": defaults.device, "obis": defaults.obis, "unit": defaults.unit}
    for name, is_there in lacks:
        if not is_there and given[name] is None:
            words = {"obis": "register (obis)"}.get(name, name)
            raise HeaderError(f"the header has no column for the {words}; give --{name}")
    ambiguous = next((item for item in values if item.is_amount), None)
    if ambiguous is not None and not layout.has_intervals and "obis" not in columns and defaults.obis is None:
        remedy = "name the time start and end, or give --obis 1-0:1.29.0 for intervals that end at the time"
        raise HeaderError(f"{ambiguous.name!r} is the consumption of an interval, and the time is one only; {remedy}")
