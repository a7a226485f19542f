"""The in-home display in a terminal (TR 50572, simple external consumer display): power now, today, its cost.

Strategy: the shell hands in an iterator of telegrams and a clock; each telegram goes into the ``DisplayModel``, and
once a second its view is painted. The app holds no reference to the port, so nothing can be sent to the meter.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from decimal import ROUND_HALF_UP, Decimal
from itertools import pairwise
from typing import ClassVar, Final

from rich.markup import escape
from rich.text import Text
from textual.app import App, ComposeResult
from textual.containers import Horizontal, Vertical
from textual.theme import Theme
from textual.widgets import Static

from meterspan.display.big_number import BigNumber
from meterspan.display.model import Connection, DisplayModel, DisplayView, HourBar, SupplyToday
from meterspan.readings.rows import HeardTelegram
from meterspan.wire.p1 import P1Damage

__all__ = ["DisplayApp", "Fed"]

Fed = HeardTelegram | P1Damage
"""The input of the shell: the rows of telegrams, or damage on the line."""

DARK: Final = Theme(
    name="meterspan-dark",
    dark=True,
    primary="#5eb1ff",
    secondary="#8b9bb4",
    accent="#ffb454",
    foreground="#e8edf5",
    background="#0e131b",
    surface="#151c27",
    panel="#1e2836",
    success="#57d18c",
    warning="#ffb454",
    error="#ff6b6b",
)
LIGHT: Final = Theme(
    name="meterspan-light",
    dark=False,
    primary="#0a66c2",
    secondary="#5a6b85",
    accent="#b35c00",
    foreground="#17202e",
    background="#f3f6fa",
    surface="#ffffff",
    panel="#e3e9f1",
    success="#0b7a43",
    warning="#b35c00",
    error="#c62828",
)

HIGH_SHARE: Final = 0.8
"""From this share of the contract power on, the gauge warns; from 1.0 on it alarms."""
SCALE_W_DEFAULT: Final = 6_000
"""Full gauge where no contract power is known."""

_CURRENCIES = {"EUR": "€", "GBP": "£", "USD": "$", "CHF": "CHF"}
_EIGHTHS = " ▁▂▃▄▅▆▇█"


class DisplayApp(App[None]):
    """Shows received telegrams.

    Args:
        model: the display's state.
        feed: telegrams as they are heard; its end is shown as a closed port.
        clock: returns the present instant in UTC seconds.
        title: the home's name.
        dark: the theme to begin with.

    """

    CSS = """
    Screen { background: $background; color: $foreground; }
    #top { height: 1; background: $panel; padding: 0 1; }
    #name { width: 1fr; text-style: bold; }
    #when { width: auto; color: $secondary; padding-right: 2; }
    #link { width: auto; }
    #now { height: 11; }
    .card {
        background: $surface; border: round $panel; padding: 0 1; height: 1fr;
        border-title-color: $secondary; border-subtitle-color: $secondary;
    }
    #power { width: 34; }
    #watts { width: 1fr; color: $primary; text-align: center; height: 5; padding-top: 1; }
    #watts.exporting { color: $success; }
    #watts.high { color: $warning; }
    #watts.alarm { color: $error; }
    #watts.unknown { color: $secondary; }
    #today { width: 1fr; }
    #charts { height: 1fr; min-height: 7; }
    #hours { width: 1fr; }
    #curve { width: 22; }
    #news { height: 1; padding: 0 1; color: $secondary; }
    #keys { height: 1; padding: 0 1; background: $panel; color: $secondary; }
    """
    BINDINGS: ClassVar = [("q", "quit", "quit"), ("d", "toggle_theme", "light or dark")]
    ENABLE_COMMAND_PALETTE = False

    def __init__(
        self,
        model: DisplayModel,
        feed: AsyncIterator[Fed],
        clock: Callable[[], float],
        *,
        title: str = "Home",
        dark: bool = True,
    ) -> None:
        super().__init__()
        self._model = model
        self._feed = feed
        self._clock = clock
        self._title = title
        self._dark = dark
        self._ended = ""

    def compose(self) -> ComposeResult:
        """Lay the screen out."""
        with Horizontal(id="top"):
            yield Static(Text(self._title), id="name")
            yield Static("", id="when")
            yield Static("", id="link")
        with Horizontal(id="now"):
            with Vertical(id="power", classes="card"):
                yield BigNumber("", id="watts")
                yield Static("", id="gauge")
                yield Static("", id="band")
            yield Static("", id="today", classes="card")
        with Horizontal(id="charts"):
            yield Static("", id="hours", classes="card")
            yield Static("", id="curve", classes="card")
        yield Static("", id="news")
        yield Static(Text.assemble(("d", "bold"), " light or dark   ", ("q", "bold"), " quit"), id="keys")

    def on_mount(self) -> None:
        """Begin to listen and to paint."""
        self.register_theme(DARK)
        self.register_theme(LIGHT)
        self.theme = DARK.name if self._dark else LIGHT.name
        self.query_one("#power").border_title = "Power now"
        self.query_one("#today").border_title = "Today"
        self.query_one("#hours").border_title = "Electricity today"
        self.query_one("#curve").border_title = "Last hour"
        self.run_worker(self._listen(), exit_on_error=True)
        self.set_interval(1.0, self.paint)
        self.call_after_refresh(self.paint)

    def action_toggle_theme(self) -> None:
        """Go from light to dark and back."""
        self.theme = LIGHT.name if self.theme == DARK.name else DARK.name
        self.paint()

    def on_resize(self) -> None:
        """Fit the charts to the new size."""
        self.call_after_refresh(self.paint)

    def paint(self) -> None:
        """Show the model's view of the present instant."""
        view = self._model.view(self._clock())
        colors = self._colors()
        self._paint_top(view, colors)
        self._paint_power(view, colors)
        self._paint_card("#today", lambda width, height: _today(view, colors, width=width, height=height))
        self._paint_card("#hours", lambda width, height: _hours(view, colors, width=width, height=height))
        self._paint_card("#curve", lambda width, height: _curve(view, colors, width=width, height=height))
        self.query_one("#hours", Static).border_subtitle = _legend(view, colors)
        self.query_one("#power").border_subtitle = _tax(view)
        self.query_one("#news", Static).update(_news(view, colors))

    async def _listen(self) -> None:
        async for item in self._feed:
            if isinstance(item, P1Damage):
                self._model.damaged()
            else:
                self._model.heard(item, self._clock())
            self.paint()
        self._ended = "port closed"
        self.paint()

    def _colors(self) -> "_Colors":
        theme = LIGHT if self.theme == LIGHT.name else DARK
        return _Colors(theme)

    def _paint_card(self, selector: str, draw: Callable[[int, int], Text]) -> None:
        card = self.query_one(selector, Static)
        width, height = card.content_size
        card.update(draw(max(18, width), max(4, height)))

    def _paint_top(self, view: DisplayView, colors: "_Colors") -> None:
        self.query_one("#when", Static).update(f"{view.at:%a %-d %b  %H:%M}")
        self.query_one("#link", Static).update(_link(view, colors, self._ended))

    def _paint_power(self, view: DisplayView, colors: "_Colors") -> None:
        digits = self.query_one("#watts", BigNumber)
        digits.show("---" if view.power_w is None else f"{abs(view.power_w):,}", "W")
        level = _level(view)
        for name in ("exporting", "high", "alarm", "unknown"):
            digits.set_class(name == level, name)
        gauge = self.query_one("#gauge", Static)
        gauge.update(_gauge(view, colors, max(16, gauge.content_size.width)))
        self.query_one("#band", Static).update(_band(view, colors))


class _Colors:
    """The theme's colours as plain values for Rich."""

    def __init__(self, theme: Theme) -> None:
        self.text = theme.foreground or ""
        self.quiet = theme.secondary or ""
        self.main = theme.primary
        self.accent = theme.accent or ""
        self.good = theme.success or ""
        self.warning = theme.warning or ""
        self.bad = theme.error or ""
        self.track = theme.panel or ""

    def of_level(self, level: str) -> str:
        return {"exporting": self.good, "high": self.warning, "alarm": self.bad, "unknown": self.quiet}.get(
            level, self.main
        )


def _level(view: DisplayView) -> str:
    """Name how the power is: exporting, high, alarm, unknown, or "" for ordinary."""
    if view.power_w is None or view.connection is not Connection.LIVE:
        return "unknown"
    if view.power_w < 0:
        return "exporting"
    if view.power_share is None:
        return ""
    if view.power_share >= 1:
        return "alarm"
    return "high" if view.power_share >= HIGH_SHARE else ""


def _link(view: DisplayView, colors: _Colors, ended: str) -> Text:
    if ended:
        return Text(f"○ {ended}", colors.bad)
    age = "" if view.age_s is None else _age(view.age_s)
    match view.connection:
        case Connection.WAITING:
            return Text("○ waiting for the meter", colors.quiet)
        case Connection.LIVE:
            return Text(f"● live, {age} ago", colors.good)
        case Connection.STALE:
            return Text(f"◐ stale, {age} ago", colors.warning)
        case Connection.LOST:
            return Text(f"○ no telegram for {age}", colors.bad)


def _gauge(view: DisplayView, colors: _Colors, width: int) -> Text:
    if view.power_w is None:
        return Text("┄" * width + "\n", colors.track).append("power not known", colors.quiet)
    full = view.contract_w or SCALE_W_DEFAULT
    share = min(1.0, abs(view.power_w) / full)
    filled = round(share * width)
    color = colors.of_level(_level(view))
    text = Text("━" * filled, color)
    text.append("━" * (width - filled) + "\n", colors.track)
    way = "to the grid" if view.power_w < 0 else "from the grid"
    text.append(way, color)
    if view.contract_w is not None and view.power_share is not None:
        text.append(f"  {abs(view.power_share):.0%} of {view.contract_w / 1000:g} kW", colors.quiet)
    return text


def _band(view: DisplayView, colors: _Colors) -> Text:
    band = view.band
    if band is None:
        return Text("")
    sign = _sign(view.currency)
    text = Text()
    text.append(f"{band.name}", f"bold {colors.accent}")
    if band.price is not None:
        text.append(f"  {sign}{_price(band.price)}/kWh", colors.text)
    if band.until is not None and band.next_price is not None:
        text.append(f"\n{band.until:%H:%M} {band.next_name} {sign}{_price(band.next_price)}", colors.quiet)
    return text


def _tax(view: DisplayView) -> str:
    """Return what the prices include."""
    if view.band is None or view.band.price is None:
        return ""
    return f"prices with {view.tax:.0%} tax" if view.tax else "no tax added"


def _today(view: DisplayView, colors: _Colors, *, width: int, height: int) -> Text:
    if not view.today:
        return Text("\nNothing heard yet.\nIs the P1 cable in, and the port switched on?", colors.quiet)
    text = Text()
    sign = _sign(view.currency)
    for supply in view.today:
        _supply_line(text, supply, colors, width=width, sign=sign)
    if view.cost_today is not None:
        text.append("\n" * max(0, height - 2 - text.plain.count("\n")))  # the sum is at the foot
        text.append("─" * width + "\n", colors.track)
        total = f"{sign}{_places(view.cost_today, 2)}"
        lacking = [str(supply.commodity) for supply in view.today if supply.cost is None]
        lacking += ["standing charge"] if view.has_standing else []
        label = f"Cost so far, without {', '.join(lacking)}" if lacking else "Cost so far"
        room = width - len(total) - 1
        label = label if len(label) <= room else f"{label[: room - 1]}…"
        text.append(label.ljust(width - len(total)), colors.text)
        text.append(total, f"bold {colors.text}")
    return text


def _supply_line(text: Text, supply: SupplyToday, colors: _Colors, *, width: int, sign: str) -> None:
    amount = "---" if supply.consumed is None else _places(supply.consumed, 2 if supply.unit == "kWh" else 3)
    cost = "" if supply.cost is None else f"{sign}{_places(supply.cost, 2)}"
    since = "" if supply.since is None else f"since {supply.since:%H:%M}"
    line = f"{supply.commodity.capitalize():<11}", f"{amount:>8} ", f"{supply.unit.replace('m3', 'm³'):<4}"
    room = width - sum(map(len, line)) - len(cost)
    text.append(line[0], colors.quiet).append(line[1], f"bold {colors.text}").append(line[2], colors.quiet)
    text.append(since.ljust(max(0, room))[: max(0, room)], colors.quiet).append(cost + "\n", colors.text)
    notes = [] if supply.exported is None else [f"{_places(supply.exported, 2)} kWh exported"]
    notes += [supply.note] if supply.note else []
    if notes:
        text.append(f"  {', '.join(notes)}"[:width] + "\n", colors.accent if supply.note else colors.good)


def _hours(view: DisplayView, colors: _Colors, *, width: int, height: int) -> Text:
    """Draw a bar per hour of the local day, with a scale on the left and hours below."""
    rows = height - 1
    values = [bar.value for bar in view.hours]
    known = [value for value in values if value is not None]
    if not known:
        return Text("nothing of today is known yet", colors.quiet)
    top = _round_up(max(known) or Decimal(1))
    margin = 4
    column = max(1, min(4, (width - margin) // max(1, len(values))))
    of_band = _band_colors(view.bands, colors)
    text = Text()
    for row in range(rows, 0, -1):
        label = f"{_plain(top)}" if row == rows else ("0" if row == 1 else "")
        text.append(f"{label:>{margin - 1}} ", colors.quiet)
        for bar in view.hours:
            text.append(_cell(bar.value, top, row, rows) * max(1, column - 1), _bar_color(bar, colors, of_band))
            if column > 1:
                text.append(" ")
        text.append("\n")
    text.append(" " * margin)
    for index, bar in enumerate(view.hours):
        every = 3 if column > 1 else 6
        label = f"{bar.start:%H}" if index % every == 0 else ""
        text.append(label[:column].ljust(column) if column >= 2 else (label[:1] or " "), colors.quiet)
    return text


def _curve(view: DisplayView, colors: _Colors, *, width: int, height: int) -> Text:
    """Draw the power of the last hour as bars of a few minutes each; what flowed into the grid is of another colour."""
    rows = height - 2
    bars = _grouped(view.minutes_w, width)
    known = [abs(bar) for bar in bars if bar is not None]
    if not known:
        return Text("no power heard yet", colors.quiet)
    peak = max(known)
    text = Text(f"peak {_kilowatts(peak)}\n", colors.quiet)
    for row in range(rows, 0, -1):
        for bar in bars:
            cell = _cell(None if bar is None else Decimal(abs(bar)), Decimal(max(1, peak)), row, rows)
            text.append(cell, colors.track if bar is None else colors.good if bar < 0 else colors.main)
        text.append("\n")
    return text.append("-60 min" + "now".rjust(width - 7), colors.quiet)


def _grouped(minutes: tuple[int | None, ...], count: int) -> list[int | None]:
    """Return the means of ``count`` groups of minutes."""
    edges = [round(index * len(minutes) / count) for index in range(count + 1)]
    groups = [[value for value in minutes[low:high] if value is not None] for low, high in pairwise(edges)]
    return [round(sum(group) / len(group)) if group else None for group in groups]


def _cell(value: Decimal | None, top: Decimal, row: int, rows: int) -> str:
    if value is None:
        return "·" if row == 1 else " "
    eighths = int(value / top * rows * 8)
    if value > 0:
        eighths = max(1, eighths)
    return _EIGHTHS[min(8, max(0, eighths - 8 * (row - 1)))]


def _bar_color(bar: HourBar, colors: _Colors, of_band: Mapping[str, str]) -> str:
    return colors.track if bar.value is None else of_band.get(bar.band, colors.main)


def _band_colors(bands: Sequence[str], colors: _Colors) -> dict[str, str]:
    """Return the colour of each band, which is the same on all days: the dearest and the cheapest are set apart."""
    if len(bands) < 2:
        return dict.fromkeys(bands, colors.main)
    between = dict.fromkeys(bands[1:-1], colors.text)
    return {bands[0]: colors.main, **between, bands[-1]: colors.accent}


def _legend(view: DisplayView, colors: _Colors) -> str:
    of_band = _band_colors(view.bands, colors)
    if len(of_band) < 2:
        return "kWh"
    return "kWh" + "".join(f"  [{color}]■[/] {escape(name)}" for name, color in of_band.items())


def _news(view: DisplayView, colors: _Colors) -> Text:
    if view.messages:
        text = Text("✉ ", colors.accent)
        return text.append(view.messages[0], colors.text)
    if view.damaged:
        word = "telegram" if view.damaged == 1 else "telegrams"
        return Text(f"{view.damaged} damaged {word} left out; check the cable", colors.quiet)
    return Text("No messages", colors.quiet)


def _sign(currency: str) -> str:
    sign = _CURRENCIES.get(currency, currency)
    return f"{sign} " if len(sign) > 1 else sign


def _places(value: Decimal, places: int) -> str:
    return f"{value.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP):f}"


def _price(value: Decimal) -> str:
    return f"{value.quantize(Decimal('0.0001'), ROUND_HALF_UP).normalize():f}"


def _plain(value: Decimal) -> str:
    return f"{value.normalize():f}"


def _kilowatts(power_w: int) -> str:
    return f"{power_w} W" if power_w < 1000 else f"{power_w / 1000:.1f} kW"


def _round_up(value: Decimal) -> Decimal:
    """Return the next of 1, 2, 5 times a power of ten: a scale that people read."""
    power = Decimal(1).scaleb(value.adjusted())
    return next(step * power for step in (Decimal(1), Decimal(2), Decimal(5), Decimal(10)) if step * power >= value)


def _age(seconds: int) -> str:
    if seconds < 120:
        return f"{seconds} s"
    return f"{seconds // 60} min" if seconds < 7200 else f"{seconds // 3600} h"
