"""A display keeps today's counting: it is saved from time to time, and taken up by the next run."""

import asyncio
from datetime import UTC

import pytest

from meterspan.app import display
from meterspan.app.display import SAVED_EVERY_S, feed, run_display
from meterspan.display.model import DisplayModel
from meterspan.runtime.endpoints import Endpoint
from meterspan.runtime.state import StateFile
from meterspan.wire.errors import WireError
from meterspan.wire.p1 import P1Damage

SOURCE = Endpoint("tcp", "127.0.0.1", 2001)


def test_the_state_is_saved_once_a_minute_while_telegrams_come(monkeypatch) -> None:
    now, saved = 0.0, []

    async def telegrams(place):
        nonlocal now
        for number in range(10):
            now = number * SAVED_EVERY_S / 4
            yield P1Damage(f"telegram {number}".encode(), WireError("damaged"))

    monkeypatch.setattr(display, "p1_telegrams", telegrams)

    async def run() -> list[object]:
        return [telegram async for telegram in feed(SOURCE, lambda: now, lambda: saved.append(now), UTC)]

    assert [telegram.octets for telegram in asyncio.run(run())] == [f"telegram {n}".encode() for n in range(10)]
    assert saved == [SAVED_EVERY_S, 2 * SAVED_EVERY_S]


@pytest.mark.parametrize("stored", [None, b"of another version"])
def test_todays_counting_is_saved_at_the_end_and_restored_at_the_start(tmp_path, monkeypatch, stored) -> None:
    class Shown:
        def __init__(self, model, *_rest, **_options) -> None:
            self.model = model

        def run(self) -> None:
            self.model.damaged()

    monkeypatch.setattr(display, "DisplayApp", Shown)
    with StateFile(tmp_path / "display.sqlite") as state:
        if stored is not None:
            state.save(str(SOURCE), stored)
        model = DisplayModel("Europe/Berlin", tariffs={})
        run_display(model, SOURCE, state, title="Home", dark=True)
        assert model.view(0.0).damaged == 1
        assert state.load(str(SOURCE)) == model.saved_state()
