"""No text of a meter, a file or a peer commands the terminal, and commands print through one place."""

import ast
import io
import json
import logging
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from meterspan.cli.logs import _JsonLines, _Plain
from meterspan.cli.terminal import Terminal, cell, plain
from meterspan.model.plain_text import printable

SOURCES = sorted((Path(__file__).parents[2] / "src" / "meterspan").rglob("*.py"))
COMMANDS = [path for path in SOURCES if path.parent.name == "cli"]
HOSTILE = "\x1b]0;PWNED\x07\x1b[2J\x9b31m\x7f\r\u202egnp"
PRINTERS = {"print", "add_row", "add_column", "Panel"}
OWN = {
    "demo.py": {
        "url",
        "verdict",
        "found['meters']['total']",
        "found['unexplained']['energy_wh']",
        "found['run_time_s']",
    }
    | {"_percent(complete['before_gap_recovery'])", "_percent(complete['after_gap_recovery'])"}
    | {"found['verification']['differences']"},
    "meter.py": {"_zone_name(now, zone)", "meaning_of(obis).quantity", "tariff"},
    "reading_pages.py": {"ciphered", "classes"},
}
"""Words and numbers of the program itself, by the module that prints them."""


def shown(*printed, **options):
    file = io.StringIO()
    Terminal(file=file, width=60, **options).print(*printed)
    return file.getvalue()


def commands_in(text):
    return [letter for letter in text if letter != "\n" and letter in HOSTILE and not letter.isprintable()]


def table_of(text):
    table = Table(title=text)
    table.add_column(text)
    table.add_row(text)
    return table


@pytest.mark.parametrize(
    "made", [str, Text, Panel, table_of, lambda text: Panel(Text("x"), title=text)], ids=lambda made: made.__name__
)
def test_no_control_character_of_a_text_reaches_the_terminal(made):
    seen = shown(made(HOSTILE))
    assert commands_in(seen) == []
    assert "\ufffd" in seen


def test_styles_and_movements_of_the_program_itself_stay():
    file = io.StringIO()
    console = Terminal(file=file, force_terminal=True, color_system="standard", width=60)
    console.print("[red]fault[/red]")
    with Live(console=console, auto_refresh=False) as live:
        live.update(Text(HOSTILE), refresh=True)
        live.update(Text("two\nlines"), refresh=True)
    seen = file.getvalue()
    assert "\x1b[31mfault\x1b[0m" in seen
    assert "\x1b]0;" not in seen
    assert "\x1b[2K" in seen


@pytest.mark.parametrize("made", [plain, cell])
def test_a_name_stays_one_line(made):
    table = Table.grid()
    table.add_row(made("MSP1\nMSP2  ok"))
    assert shown(table).count("\n") == 1
    assert "MSP1\ufffdMSP2" in shown(table)


def test_a_text_that_is_no_constant_is_printed_as_one_line():
    found = [
        f"{path.name}:{node.lineno}: {ast.unparse(node)}"
        for path in COMMANDS
        if path.name not in {"terminal.py", "decode.py"}  # these two replace the letters themselves
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) == "Text"
        and not all(isinstance(argument, ast.Constant) for argument in node.args)
    ]
    assert found == []


@given(st.text(st.characters(codec="utf-8"), max_size=40).filter(str.isprintable))
def test_a_printable_text_is_shown_as_it_is(text):
    assert printable(text) == text
    assert Terminal(file=io.StringIO(), width=400).render_str(plain(text), emoji=False).plain == text


@pytest.mark.parametrize("text", ["[/bold]x", "[/]", "[bold", "[link=http://x]here"])
def test_brackets_of_a_text_are_no_style_and_no_error(text):
    assert text in shown(plain(text))
    assert "x" in shown("[/bold]x")


@pytest.mark.parametrize("form", [_Plain(), _JsonLines()], ids=["plain", "json"])
def test_a_log_line_stays_one_line_and_commands_nothing(form):
    record = logging.LogRecord("meterspan", logging.INFO, "", 0, "refused", (), None)
    record.reason = f"{HOSTILE}\nforged  info  line"
    line = form.format(record)
    assert commands_in(line) == []
    assert "\n" not in line


def test_json_logs_stay_json():
    record = logging.LogRecord("meterspan", logging.INFO, "", 0, "refused", (), None)
    record.reason = HOSTILE
    assert json.loads(_JsonLines().format(record))["event"] == "refused"


def test_commands_print_through_the_terminal_alone():
    found = [
        f"{path.name}:{node.lineno}"
        for path in COMMANDS
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Console"
    ]
    assert found == []


def _is_safe(path, value):
    if value.format_spec is not None or ast.unparse(value.value) in OWN.get(path.name, ()):
        return True
    call = value.value
    name = getattr(call.func, "id", "") if isinstance(call, ast.Call) else ""
    return name in {"plain", "len"}


def _printed(path):
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        name = getattr(node.func, "attr", getattr(node.func, "id", "")) if isinstance(node, ast.Call) else ""
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and name == "print":
            continue  # not rich's
        if name in PRINTERS and not any(item.arg == "markup" for item in node.keywords):
            yield from (argument for argument in node.args if isinstance(argument, ast.JoinedStr))


def test_what_is_put_into_a_printed_text_is_a_number_or_plain():
    found = [
        f"{path.name}:{value.lineno}: {ast.unparse(value)}"
        for path in COMMANDS
        for text in _printed(path)
        for value in text.values
        if isinstance(value, ast.FormattedValue) and not _is_safe(path, value)
    ]
    assert found == []
