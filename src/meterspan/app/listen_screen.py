"""The live screen of ``meterspan listen``: a row for each meter, and all values of the one that is selected.

Strategy: only the rows that fit the terminal are drawn, twice a second and after a key, so that the number of meters
does not matter. A value is shown whole or not at all; the panel below the rows has all values of the selected meter.
"""

import asyncio
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import ClassVar, Final

from rich.text import Text
from textual.app import App, ComposeResult
from textual.containers import Horizontal, VerticalScroll
from textual.events import Click, MouseScrollDown, MouseScrollUp
from textual.theme import Theme
from textual.widgets import Static

from meterspan.app.heard_meters import (
    RowOrder,
    age_text,
    amount_text,
    fitting,
    label_text,
    main_readings,
    names_in_order,
    why_not_read,
)
from meterspan.app.listening import HeardMeter, Hearing, KeyFile, Listening, Outcome
from meterspan.display.app import DARK, LIGHT
from meterspan.model.plain_text import one_line
from meterspan.model.telegram import DecodedReading
from meterspan.runtime.endpoints import Endpoint

__all__ = ["ListenScreen", "has_screen", "show_listening"]

PAINTED_EVERY_S: Final = 0.5
FRESH_S: Final = 5.0
SHORT: Final = 24
"""A value of more letters has its own lines in the panel."""
WIDE: Final = 100
"""From this width on there is a column for the medium, and more room for names."""
_LAST: Final = max(map(len, Outcome))
"""Letters of the longest outcome."""
_KEYS: Final = (
    ("↑↓", "select"),
    ("s", "sort"),
    ("enter", "all values"),
    ("d", "light"),
    ("q", "end"),
)


def has_screen() -> bool:
    """Whether there is a terminal to show meters at and to read keys from."""
    if not (sys.stdout.isatty() and sys.__stderr__ is not None and sys.__stderr__.isatty()):
        return False
    try:
        os.close(os.open("/dev/tty", os.O_RDWR))
    except OSError:
        return False
    return True


def show_listening(places: Sequence[Endpoint | None], key_file: KeyFile | None, *, seconds: float | None) -> Listening:
    """Listen as ``listen_at`` does, on a live screen; return what was heard.

    Args:
        places: the sources; None is standard input.
        key_file: keys of meters; it is read again when it changes.
        seconds: how long; None until the reader leaves.

    Raises:
        CannotConnectError: a port cannot be opened.

    """
    listening = Listening(places, key_file)
    with _keys_of_terminal():
        asyncio.run(_shown(listening, seconds))
    return listening


async def _shown(listening: Listening, seconds: float | None) -> None:
    screen = ListenScreen(listening, seconds)
    await screen.run_async()
    await screen.ended()


@contextmanager
def _keys_of_terminal() -> Iterator[None]:
    """Read keys from the terminal also where standard input is a pipe with telegrams; ``sys.stdin`` is that pipe."""
    if sys.stdin.isatty():
        yield
        return
    given, pipe = sys.stdin, os.dup(0)
    terminal = os.open("/dev/tty", os.O_RDWR)
    os.dup2(terminal, 0)
    os.close(terminal)
    sys.stdin = os.fdopen(pipe, encoding="utf-8", errors="replace")
    try:
        yield
    finally:
        os.dup2(pipe, 0)
        sys.stdin = given


class ListenScreen(App[None]):
    """Shows a listening while it lasts.

    Args:
        listening: the sources and what was heard at them; the screen begins and ends it.
        seconds: how long; None until the reader leaves.

    """

    CSS = """
    Screen { background: $background; color: $foreground; }
    #top { height: auto; max-height: 3; background: $panel; padding: 0 1; }
    #heads { height: 1; padding: 0 1; color: $secondary; }
    #rows { height: 1fr; padding: 0 1; }
    #detail {
        height: 40%; min-height: 6; background: $surface; border: round $panel; padding: 0 1;
        border-title-color: $primary; border-subtitle-color: $secondary; scrollbar-size-vertical: 1;
    }
    #values { height: auto; width: 1fr; }
    #trouble { height: auto; max-height: 4; padding: 0 1; color: $warning; }
    #foot { height: 1; background: $panel; padding: 0 1; color: $secondary; }
    #keys { width: 1fr; }
    #place { width: auto; }
    .opened #heads, .opened #rows { display: none; }
    .opened #detail { height: 1fr; }
    """
    BINDINGS: ClassVar = [
        ("q", "quit", "end"),
        ("ctrl+c", "quit", "end"),
        ("d", "toggle_theme", "light or dark"),
        ("s", "sort", "sort"),
        ("enter", "open", "all values"),
        ("escape", "shut", "back"),
        ("up", "move(-1)", "up"),
        ("down", "move(1)", "down"),
        ("pageup", "move_page(-1)", "page up"),
        ("pagedown", "move_page(1)", "page down"),
        ("home", "move(-1000000)", "first"),
        ("end", "move(1000000)", "last"),
    ]
    ENABLE_COMMAND_PALETTE = False

    def __init__(self, listening: Listening, seconds: float | None = None) -> None:
        super().__init__()
        self._listening = listening
        self._seconds = seconds
        self._hearing: asyncio.Task[None] | None = None
        self._order = RowOrder.NAME
        self._selected = ""
        """The name of a meter; "" selects the first row, whichever meter is there."""
        self._top = 0
        self._names: list[str] = []
        self._colours = _Colours(DARK)

    def compose(self) -> ComposeResult:
        """Lay the screen out."""
        yield Static("", id="top")
        yield Static("", id="heads")
        yield _Rows("", id="rows")
        detail = VerticalScroll(Static("", id="values"), id="detail")
        detail.can_focus = False
        yield detail
        yield Static("", id="trouble")
        with Horizontal(id="foot"):
            keys = [part for key, word in _KEYS for part in ((key, "bold"), f" {word}   ")]
            yield Static(Text.assemble(*keys), id="keys")
            yield Static("", id="place")

    def on_mount(self) -> None:
        """Begin to listen and to paint."""
        self.register_theme(DARK)
        self.register_theme(LIGHT)
        self.theme = DARK.name
        self._hearing = asyncio.create_task(self._listening.run(self._seconds))
        self._hearing.add_done_callback(lambda _task: self.exit())
        self.set_interval(PAINTED_EVERY_S, self.paint)
        self.call_after_refresh(self.paint)

    async def ended(self) -> None:
        """End the listening and wait for its end.

        Raises:
            CannotConnectError: a port cannot be opened.

        """
        self._listening.end()
        if self._hearing is not None:
            await self._hearing

    def action_toggle_theme(self) -> None:
        """Go from dark to light and back."""
        self.theme = LIGHT.name if self.theme == DARK.name else DARK.name
        self.call_after_refresh(self.paint)

    def action_sort(self) -> None:
        """Go to the next order of the rows, and to its first row."""
        self._order = self._order.following
        self._selected, self._top = "", 0
        self.paint()

    def action_open(self) -> None:
        """Show the selected meter alone, or all meters again."""
        self.screen.toggle_class("opened")
        self.call_after_refresh(self.paint)

    def action_shut(self) -> None:
        """Show all meters again."""
        self.screen.remove_class("opened")
        self.call_after_refresh(self.paint)

    def action_move(self, rows: int) -> None:
        """Select the meter so many rows below; scroll the values where one meter is shown alone."""
        if self.screen.has_class("opened"):
            self.query_one("#detail").scroll_relative(y=rows, animate=False)
            return
        place = max(0, min(len(self._names) - 1, self._place() + rows))
        self.select(place)

    def action_move_page(self, pages: int) -> None:
        """Go a page up or down."""
        self.action_move(pages * max(1, self._height() - 1))

    def select(self, place: int) -> None:
        """Select the meter of a row; the first row stays selected whichever meter comes there."""
        self._selected = self._names[place] if 0 < place < len(self._names) else ""
        self.query_one("#detail").scroll_home(animate=False)
        self.paint()

    def select_shown(self, line: int) -> None:
        """Select the meter of a line of the rows that are shown."""
        if self._top + line < len(self._names):
            self.select(self._top + line)

    def on_resize(self) -> None:
        """Fit the rows to the new size."""
        self.call_after_refresh(self.paint)

    def paint(self) -> None:
        """Show what was heard until now."""
        meters = self._listening.listener.meters
        self._names = names_in_order(meters, self._order)
        self._colours = _Colours(LIGHT if self.theme == LIGHT.name else DARK)
        place, height = self._place(), self._height()
        self._top = max(0, min(self._top, len(self._names) - height))
        self._top = min(max(self._top, place - height + 1), place)
        self.query_one("#top", Static).update(_title(self._listening, self.size.width - 2, self._colours))
        self._paint_rows(meters, place, height)
        self._paint_detail(meters.get(self._names[place]) if self._names else None)
        trouble = _trouble(self._listening)
        line = self.query_one("#trouble", Static)
        line.update(trouble)
        line.display = bool(trouble)
        where = f"{place + 1} of {len(self._names)}, {self._order}" if self._names else ""
        self.query_one("#place", Static).update(where)

    def _paint_rows(self, meters: "dict[str, HeardMeter]", place: int, height: int) -> None:
        rows = self.query_one("#rows", Static)
        width = max(20, rows.content_size.width)
        if not self._names:
            rows.update(Text("nothing heard yet", self._colours.quiet))
            return
        names = self._names[self._top : self._top + height]
        layout = _Columns(width, names, self._colours)
        now = self._listening.clock()
        lines = [layout.row(name, meters[name], now) for name in names]
        lines[place - self._top].stylize(self._colours.selected)
        self.query_one("#heads", Static).update(layout.heads())
        rows.update(Text("\n").join(lines))

    def _paint_detail(self, meter: HeardMeter | None) -> None:
        panel, values = self.query_one("#detail"), self.query_one("#values", Static)
        panel.display = meter is not None
        if meter is None:
            return
        panel.border_title = Text(one_line(meter.last.name))
        values.update(_detail(meter, self._listening.clock(), max(20, panel.content_size.width - 1), self._colours))
        hidden = panel.max_scroll_y - panel.scroll_offset.y
        is_opened = self.screen.has_class("opened")
        keys = "↓ more   enter: back" if is_opened else f"{hidden} lines more: enter"
        panel.border_subtitle = keys if hidden else ("enter: back" if is_opened else "")

    def _place(self) -> int:
        """Return the row of the selected meter; the first where it is forgotten."""
        return self._names.index(self._selected) if self._selected in self._names else 0

    def _height(self) -> int:
        return max(1, self.query_one("#rows").content_size.height)


class _Colours:
    """The theme's colours as plain values for Rich."""

    def __init__(self, theme: Theme) -> None:
        good, doubt, bad = theme.success or "", theme.warning or "", theme.error or ""
        self.fresh = good
        self.quiet = theme.secondary or ""
        self.selected = f"on {'#24456b' if theme.dark else '#c9def7'}"
        self.of = {
            Outcome.READ: good,
            Outcome.NO_KEY: doubt,
            Outcome.WRONG_KEY: bad,
            Outcome.DAMAGED: bad,
            Outcome.NOT_PROTECTED: bad,
            Outcome.NOT_READ: doubt,
        }


class _Rows(Static):
    """The rows of meters, for the mouse."""

    app: "ListenScreen"

    def on_click(self, event: Click) -> None:
        self.app.select_shown(event.y)

    def on_mouse_scroll_up(self, _event: MouseScrollUp) -> None:
        self.app.action_move(-3)

    def on_mouse_scroll_down(self, _event: MouseScrollDown) -> None:
        self.app.action_move(3)


class _Columns:
    """The columns of the rows that are shown at a width."""

    def __init__(self, width: int, names: Sequence[str], colours: _Colours) -> None:
        self._colours = colours
        is_wide = width >= WIDE - 2
        longest = max((len(one_line(name)) for name in names), default=0)
        self._name = max(5, min(longest, 28 if is_wide else 18, width // 3))
        self._medium = 14 if is_wide else 0
        self._count = 9 if is_wide else 5 if width >= 60 else 0
        self._values = max(8, width - 6 - self._name - self._medium - self._count - _LAST - 2 * 3 - 2 * self._parts)

    @property
    def _parts(self) -> int:
        return bool(self._medium) + bool(self._count)

    def heads(self) -> Text:
        """Return the names of the columns."""
        count = "telegrams" if self._count == 9 else "count"
        return self._line("heard", "meter", "medium", "values", count, "last")

    def row(self, name: str, meter: HeardMeter, now: float) -> Text:
        """Return the row of a meter."""
        age, colour = now - meter.last.at, self._colours.of[meter.last.outcome]
        values = fitting(map(_labelled, main_readings(meter)), self._values)
        text = self._line(
            Text(age_text(age), f"bold {self._colours.fresh}" if age < FRESH_S else self._colours.quiet),
            name,
            meter.last.telegram.device.medium,
            values or Text(why_not_read(meter), self._colours.quiet),
            str(meter.count),
            Text(meter.last.outcome, colour),
        )
        text.no_wrap = True
        return text

    def _line(self, *texts: str | Text) -> Text:
        age, name, medium, values, count, last = texts
        cells = [_cell(age, 6, is_right=True), _cell(name, self._name)]
        cells += [_cell(medium, self._medium)] if self._medium else []
        cells += [_cell(values, self._values)]
        cells += [_cell(count, self._count, is_right=True)] if self._count else []
        return Text("  ").join([*cells, _cell(last, _LAST)])


def _cell(content: str | Text, width: int, *, is_right: bool = False) -> Text:
    plain = Text(one_line(content.plain), content.style) if isinstance(content, Text) else Text(one_line(content))
    plain.truncate(width, overflow="ellipsis")
    plain.align("right" if is_right else "left", width)
    return plain


def _labelled(reading: DecodedReading) -> str:
    return f"{label_text(reading)} {amount_text(reading)}".lstrip()


def _title(listening: Listening, width: int, colours: _Colours) -> Text:
    outcomes = listening.listener.outcomes
    parts = [Text("listening", "bold")]
    parts += [Text("-" if place is None else str(place), colours.quiet) for place in listening.places]
    parts += [Text(f"{outcomes[outcome]} {outcome}", colours.of[outcome]) for outcome in Outcome if outcomes[outcome]]
    return _in_lines(parts, width)


def _in_lines(parts: Sequence[Text], width: int) -> Text:
    """Join texts by two spaces, and by a new line where the next one does not fit whole."""
    joined, used = Text(), 0
    for part in parts:
        if used and used + 2 + part.cell_len > width:
            joined.append("\n")
            used = 0
        elif used:
            joined.append("  ")
            used += 2
        joined.append_text(part)
        used += part.cell_len
    return joined


def _trouble(listening: Listening) -> Text:
    lines = [Text(one_line(text)) for text in listening.trouble.values()]
    if listening.listener.last_damage:
        lines.append(Text(f"last damage: {one_line(listening.listener.last_damage)}", "dim"))
    return Text("\n").join(lines)


def _detail(meter: HeardMeter, now: float, width: int, colours: _Colours) -> Text:
    """Return all that is known of a meter."""
    device = meter.last.telegram.device
    facts = [
        device.medium,
        device.manufacturer,
        f"from {meter.last.source}",
        f"{meter.count} telegram{'s' * (meter.count > 1)}",
    ]
    lines = [Text("  ".join(one_line(fact) for fact in facts if fact), colours.quiet)]
    lines += [] if meter.failed is None else [_failure(meter, meter.failed, now, colours)]
    if meter.read is not None:
        age = age_text(now - meter.read.at)
        lines.append(Text(f"values of {age} ago", colours.quiet))
        entries = [_entry(item) for item in meter.read.telegram.readings]
        lines += _grid([entry for entry in entries if len(entry[1]) <= SHORT], width, colours)
        lines += [line for entry in entries if len(entry[1]) > SHORT for line in _grid([entry], width, colours)]
    return Text("\n").join(lines)


def _failure(meter: HeardMeter, failed: Hearing, now: float, colours: _Colours) -> Text:
    is_last = meter.last is failed
    why = failed.telegram.error or (why_not_read(meter) if is_last else "")
    text = f"{failed.outcome} {age_text(now - failed.at)} ago: {why}"
    return Text(one_line(text), colours.of[failed.outcome] if is_last else colours.quiet)


def _entry(reading: DecodedReading) -> tuple[str, str]:
    parts = [reading.quantity, label_text(reading)]
    parts += [f"storage {reading.storage}"] if reading.storage else []
    parts += [reading.function] if reading.function != "instantaneous" else []
    return one_line(" ".join(part for part in parts if part)), one_line(amount_text(reading))


def _grid(entries: Sequence[tuple[str, str]], width: int, colours: _Colours) -> list[Text]:
    """Return names and values in as many columns as fit, read downwards; what is wider than a column folds."""
    if not entries:
        return []
    names = max(len(name) for name, _amount in entries)
    widest = max(len(amount) for _name, amount in entries)
    columns = max(1, (width + 3) // (names + 2 + widest + 3))
    height = -(-len(entries) // columns)
    return [
        Text("   ").join(
            Text.assemble(
                (name.ljust(names), colours.quiet), "  ", (amount.ljust(widest) if columns > 1 else amount, "bold")
            )
            for name, amount in entries[line::height]
        )
        for line in range(height)
    ]
