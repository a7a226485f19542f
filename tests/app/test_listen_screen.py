"""The live screen of listen: every value whole, every row within reach, and as quick with ten thousand meters."""

import asyncio
import os
import pty
import select
import socket
import sys
import time
from decimal import Decimal

import pytest
from textual.widgets import Static

from meterspan.app import listening as listening_module
from meterspan.app.listen_screen import ListenScreen, has_screen
from meterspan.app.listening import Hearing, Listening, Outcome
from meterspan.model.telegram import DecodedReading, DecodedTelegram, DeviceIdentity
from meterspan.quantities import Obis
from meterspan.runtime.endpoints import parse_endpoint
from meterspan.runtime.media import CannotConnectError
from meterspan.wire.errors import KeyWrongError
from meterspan.wire.mbus.transport import SecurityMode
from tests.helpers_bench import MAIN, environment
from tests.helpers_radio import radio_telegram

PLACE = parse_endpoint("udp://127.0.0.1:7373", ["udp"])
LONG = "radio converter (system side)"


def telegram(number):
    registers = tuple(
        DecodedReading("energy", 1_594_553 + tariff, "Wh", Obis(1, 0, 1, 8, tariff), tariff=tariff)
        for tariff in range(5)
    )
    others = tuple(DecodedReading(f"voltage L{phase}", Decimal("230.1"), "V") for phase in (1, 2, 3))
    temperature = DecodedReading("flow temperature", Decimal("21.3333333333333333"), "°C")
    return DecodedTelegram("p1", DeviceIdentity(str(number), "MSP", LONG), readings=(*registers, *others, temperature))


class SilentListening(Listening):
    """A listening without sources: the test says what was heard."""

    async def run(self, seconds):
        await self._stop.wait()

    def hear(self, name, outcome=Outcome.READ, decoded=None, age=0.0):
        at = self.clock() - age
        self.listener._note(Hearing(at, "udp://127.0.0.1:9", name, outcome, decoded or telegram(1)))


def heard(count):
    found = SilentListening([PLACE])
    for number in range(count):
        found.hear(f"MSP-{number:08d}-31", age=count - number)
    return found


def text_of(app, selector):
    return str(app.query_one(selector, Static).render())


def drive(listening, script, size=(80, 24)):
    async def run():
        app = ListenScreen(listening)
        async with app.run_test(size=size) as pilot:
            await pilot.pause(0.1)
            await script(app, pilot)
            await pilot.press("q")
        await app.ended()

    asyncio.run(run())


def lines_of(app):
    return [line for line in text_of(app, "#rows").split("\n") if line.strip()]


def shown(app):
    return [next(word for word in line.split() if word.startswith("MSP")) for line in lines_of(app)]


@pytest.mark.finding("users B1")
@pytest.mark.attack(11)
@pytest.mark.parametrize("size", [(80, 24), (120, 40), (60, 20)])
def test_a_row_fits_the_terminal_and_has_whole_values(size):
    async def script(app, pilot):
        for line in lines_of(app):
            assert len(line) <= size[0] - 2
            assert "1594.553 kWh" in line
            assert "+" in line
            assert "…" not in line.partition("1594.553")[2]
        assert len(app.export_screenshot()) > 1000

    drive(heard(60), script, size)


@pytest.mark.finding("users B1")
@pytest.mark.attack(11)
def test_every_row_can_be_reached_by_keys():
    async def script(app, pilot):
        seen = set(shown(app))
        assert len(seen) < 60
        for _ in range(12):
            await pilot.press("pagedown")
            seen |= set(shown(app))
        assert len(seen) == 60
        assert "60 of 60" in text_of(app, "#place")
        await pilot.press("home", "down", "down", "up")
        assert "2 of 60" in text_of(app, "#place")
        await pilot.press("end")
        assert shown(app)[-1] == "MSP-00000059-31"

    drive(heard(60), script)


@pytest.mark.finding("users B1")
def test_the_selected_meter_shows_all_its_values_and_its_last_failure():
    listening = heard(3)
    wrong = DecodedTelegram("wmbus", errors=(KeyWrongError("the key does not fit"),))
    listening.hear("MSP-00000001-31", Outcome.WRONG_KEY, wrong)
    listening.hear("MSP-00000001-31")

    async def script(app, pilot):
        await pilot.press("down", "enter")
        await pilot.pause(0.1)
        values = text_of(app, "#values")
        expected = [LONG, "wrong key", "s ago: the key does not fit", "energy T4", "1594.557 kWh", "voltage L3"]
        for words in (*expected, "21.333 °C"):
            assert words in values
        assert not app.query_one("#rows").display
        await pilot.press("escape")
        assert app.query_one("#rows").display

    drive(listening, script)


def test_what_is_not_read_and_what_was_heard_last_are_found_with_a_key():
    listening = heard(50)
    listening.hear("MSP-00000040-31", Outcome.NO_KEY, DecodedTelegram("wmbus"))
    listening.hear("MSP-00000020-31")

    async def script(app, pilot):
        await pilot.press("s")
        assert shown(app)[:2] == ["MSP-00000020-31", "MSP-00000040-31"]
        listening.hear("MSP-00000007-31")
        app.paint()
        assert shown(app)[0] == "MSP-00000007-31"
        await pilot.press("s")
        assert shown(app)[0] == "MSP-00000040-31"
        assert "no key" in lines_of(app)[0]
        await pilot.press("d", "s")
        assert app.theme == "meterspan-light"

    drive(listening, script)


def test_the_selection_stays_with_its_meter_and_the_mouse_selects():
    listening = heard(9)

    async def script(app, pilot):
        await pilot.click("#rows", offset=(5, 4))
        assert "5 of 9" in text_of(app, "#place")
        listening.hear("MSP-00000000-01")
        app.paint()
        assert "6 of 10" in text_of(app, "#place")

    drive(listening, script)


@pytest.mark.attack(11)
def test_no_text_of_a_meter_commands_the_terminal():
    listening = SilentListening([PLACE])
    evil = DecodedTelegram(
        "p1", DeviceIdentity("1", "\x1b]0;x", "gas\x9b2J"), readings=(DecodedReading("text\x1b[2J", "a\x1b[31m"),)
    )
    listening.hear("MSP\x1b[2J", decoded=evil)
    listening.trouble["x"] = "\x1b[2J"

    async def script(app, pilot):
        for selector in ("#rows", "#values", "#trouble"):
            assert "\x1b" not in text_of(app, selector)
            assert "\ufffd" in text_of(app, selector)

    drive(listening, script)


@pytest.mark.attack(11)
def test_ten_thousand_meters_are_painted_as_quickly_as_a_screen_full(monkeypatch):
    monkeypatch.setattr(listening_module, "METERS_MAX", 10_000)
    listening = heard(10_000)

    async def script(app, pilot):
        assert len(shown(app)) < 24
        before = time.process_time()
        for _ in range(20):
            app.paint()
        assert time.process_time() - before < 2.0
        await pilot.press("end")
        assert "10000 of 10000" in text_of(app, "#place")

    drive(listening, script)


def test_nothing_heard_yet_is_said_and_keys_do_no_harm():
    async def script(app, pilot):
        assert "nothing heard yet" in text_of(app, "#rows")
        await pilot.press("down", "enter", "pagedown", "s")

    drive(SilentListening([PLACE]), script)


def test_a_port_that_is_taken_ends_the_screen():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        place = parse_endpoint(f"udp://127.0.0.1:{other.getsockname()[1]}", ["udp"])

        async def run():
            app = ListenScreen(Listening([place]))
            async with app.run_test() as pilot:
                await pilot.pause(0.3)
            await app.ended()

        with pytest.raises(CannotConnectError):
            asyncio.run(run())


def test_without_a_terminal_there_is_no_screen():
    assert not has_screen()


def test_telegrams_of_a_pipe_are_shown_and_keys_come_from_the_terminal(tmp_path):
    """The function ``show_listening`` reads keys from the terminal while standard input is a pipe that stays open."""
    given, feed = os.pipe()
    child, terminal = pty.fork()
    if not child:
        os.dup2(given, 0)
        os.execve(sys.executable, [*MAIN, "listen", "-"], environment(tmp_path) | {"TERM": "xterm-256color"})  # noqa: S606 - in the child of the terminal: it becomes our own program
    os.write(feed, radio_telegram(mode=SecurityMode.NONE).hex().encode() + b"\n")
    seen = _until(terminal, b"123.456 m3")
    os.write(terminal, b"q")
    seen += _until(terminal, b"1 read")
    _pid, status = os.waitpid(child, 0)
    os.close(feed)
    os.close(given)
    os.close(terminal)
    assert (b"MSP-10000001-07" in seen, os.waitstatus_to_exitcode(status)) == (True, 0)


def _until(terminal, words):
    seen = b""
    for _ in range(200):
        if select.select([terminal], [], [], 0.1)[0]:
            try:
                seen += os.read(terminal, 65536)
            except OSError:
                break
        if words in seen:
            break
    return seen


@pytest.mark.attack(11)
@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_a_count_and_its_outcome_are_in_one_line(width):
    async def script(app, pilot):
        lines = text_of(app, "#top").split("\n")
        assert max(map(len, lines)) <= width - 2
        for outcome in Outcome:
            assert any(f"1 {outcome}" in line for line in lines)

    listening = SilentListening([PLACE])
    for number, outcome in enumerate(Outcome):
        listening.hear(f"MSP-{number}", outcome)
    drive(listening, script, size=(width, 24))
