"""A service that fails runs again, alone; only what says that the program was started wrongly ends it."""

import ast
import asyncio
from pathlib import Path

import pytest

import meterspan
from meterspan.model.storage.errors import StorageFullError
from meterspan.runtime import services
from meterspan.runtime.media import CannotConnectError
from meterspan.runtime.services import Services


class Flaky:
    """A service that fails as it is told, and then runs to its end."""

    def __init__(self, *errors):
        self.errors, self.runs = list(errors), 0

    async def __call__(self):
        self.runs += 1
        if self.errors:
            raise self.errors.pop(0)


def kept(service, name="radio"):
    """Keep a service; return the pauses before it ran again, and what was failing in each."""
    pauses = []

    async def pause(seconds):
        pauses.append((seconds, dict(running.failing)))

    running = Services(pause=pause)
    asyncio.run(running.keep(name, service))
    assert running.failing == {}
    return pauses


@pytest.mark.attack(3)
@pytest.mark.parametrize("error", [RuntimeError("odd"), StorageFullError("no room"), KeyError("x"), RecursionError()])
def test_a_service_that_fails_runs_again_and_is_named_meanwhile(error):
    service = Flaky(error)
    assert kept(service) == [(1.0, {"radio": str(error) or type(error).__name__})]
    assert service.runs == 2


def test_pauses_grow_up_to_a_minute():
    assert [seconds for seconds, _ in kept(Flaky(*[RuntimeError()] * 9))] == [1, 2, 4, 8, 16, 32, 60, 60, 60]


@pytest.mark.parametrize("error", [CannotConnectError("taken"), OSError("taken")])
def test_a_refusal_at_the_start_ends_the_program(error):
    with pytest.raises(type(error), match="taken"):
        asyncio.run(Services().keep("radio", Flaky(error)))


def test_a_refusal_later_is_tried_again():
    assert len(kept(Flaky(RuntimeError(), CannotConnectError("taken"), OSError("taken")))) == 3


def test_a_refusal_after_a_long_run_is_tried_again(monkeypatch):
    moments = iter([0.0, services.STARTING_S, 100.0])
    monkeypatch.setattr(services.time, "monotonic", lambda: next(moments, 1_000.0))
    assert len(kept(Flaky(OSError("gone")))) == 1


def test_cancelling_ends_a_service():
    async def scenario():
        running = asyncio.create_task(Services().keep("radio", asyncio.Event().wait))
        await asyncio.sleep(0)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(scenario())


TASKS_ARE_MADE_IN = {
    "api/simulated.py": "one meter, for as long as the caller's context",
    "app/demo.py": "the portal of the demo, which ends with its district",
    "app/listening.py": "one for each source of `listen`, which raises what they raise",
    "app/listen_screen.py": "the screen, for as long as the listening",
    "app/network_views.py": "a sum in the background; where it fails it is made again",
    "app/meter.py": "the meter itself: where it cannot measure or save, it must not go on",
    "app/programs.py": "the services, each kept running",
    "app/serving.py": "the portal's server, whose end ends the program",
    "portal/feeds.py": "one for each topic; its failure closes the topic's listeners",
    "runtime/head_end_host.py": "sessions, each of which reports its own failure",
}
PORTS_ARE_OPENED_IN = {
    "runtime/media.py": "every stream port; a connection that cannot be made closes no port",
    "runtime/meter_host.py": "the radio's sending side",
    "runtime/push_ports.py": "the port of pushes in datagrams",
    "runtime/radio.py": "the radio's receiving side",
}


@pytest.mark.attack(3)
@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ({"create_task", "ensure_future", "TaskGroup", "gather"}, TASKS_ARE_MADE_IN),
        ({"create_server", "create_datagram_endpoint", "start_server"}, PORTS_ARE_OPENED_IN),
    ],
    ids=["tasks", "ports"],
)
def test_tasks_are_made_and_ports_opened_only_where_a_failure_is_theirs_alone(names, expected):
    folder = Path(meterspan.__file__).parent
    found = set()
    for path in folder.rglob("*.py"):
        calls = (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call))
        if any(isinstance(call.func, ast.Attribute) and call.func.attr in names for call in calls):
            found.add(path.relative_to(folder).as_posix())
    assert found == set(expected)
