"""What serve and home share: a portal that says why it cannot listen, upkeep that is tried again."""

import asyncio
import socket
import threading

import httpx
import pytest

from meterspan.app import serving
from meterspan.app.programs import PortalFailedError
from meterspan.app.serving import maintain, portal
from meterspan.model.storage.errors import StorageFullError
from meterspan.runtime.troubles import Troubles
from tests.helpers_waiting import until
from tests.portal.sample_views import NOW, SampleHomes, SampleNetwork


def _portal(port: int):
    return portal(
        SampleHomes(), SampleNetwork(), clock=lambda: NOW, host="127.0.0.1", port=port, health=lambda: {"meters": 30}
    )


def test_the_portal_answers_while_the_context_lasts_and_its_health_is_counted() -> None:
    async def scenario() -> str:
        async with _portal(0) as where, httpx.AsyncClient() as client:
            health = (await client.get(f"{where}/healthz")).json()
            assert health == {"status": "ok", "meters": 30}
            assert len((await client.get(f"{where}/api/v1/homes")).json()) == 3
            return where

    where = asyncio.run(scenario())
    with pytest.raises(httpx.ConnectError):
        httpx.get(where)


@pytest.mark.finding("users C-7")
def test_a_taken_port_is_said_once_with_what_to_do(capfd: pytest.CaptureFixture[str]) -> None:
    async def scenario(port: int) -> None:
        async with _portal(port):
            raise AssertionError("it listens at a port that is taken")

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(PortalFailedError, match="choose --port"):
            asyncio.run(scenario(taken.getsockname()[1]))
    assert capfd.readouterr().err == "", "the words of the exception are all that is said"


@pytest.mark.attack(3)
@pytest.mark.finding("data D20")
@pytest.mark.parametrize("error", [StorageFullError("no room"), OverflowError("an odd reading")])
def test_upkeep_that_fails_is_tried_again(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "MAINTAIN_EVERY_S", 0.001)
    outcomes = [error, error, None]
    done, troubles, told = threading.Event(), Troubles(), []

    class Data:
        def maintain(self, _now: object) -> None:
            told.append(dict(troubles.now))
            outcome = outcomes.pop(0) if outcomes else None
            if outcome is not None:
                raise outcome
            done.set()

    async def scenario() -> None:
        upkeep = asyncio.create_task(maintain(Data(), lambda: NOW, troubles))
        await asyncio.to_thread(done.wait)
        await until(lambda: not troubles.now)
        assert not upkeep.done()
        upkeep.cancel()

    asyncio.run(asyncio.wait_for(scenario(), 20))
    trouble = {"closing of days": str(error)}
    assert told[:3] == [{}, trouble, trouble]


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", ""])  # noqa: S104 - refused, not bound
def test_a_portal_that_other_machines_reach_needs_the_insecure_option(host: str) -> None:
    async def scenario() -> None:
        async with portal(
            SampleHomes(), SampleNetwork(), clock=lambda: NOW, host=host, port=0, health=dict[str, object]
        ):
            raise AssertionError("it listens to other machines without log-in")

    with pytest.raises(PortalFailedError, match="no log-in"):
        asyncio.run(scenario())


def test_the_insecure_option_lets_the_portal_listen_to_all() -> None:
    async def scenario() -> int:
        everywhere = "0.0.0.0"  # noqa: S104 - what the option is for
        async with (
            portal(
                SampleHomes(),
                SampleNetwork(),
                clock=lambda: NOW,
                host=everywhere,
                port=0,
                insecure_without_login=True,
                health=dict[str, object],
            ) as where,
            httpx.AsyncClient() as client,
        ):
            return (await client.get(f"{where}/healthz")).status_code

    assert asyncio.run(scenario()) == 200
