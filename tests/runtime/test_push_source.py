"""A port for pushes hands on whole APDUs and what is no frame, over the wrapper and HDLC, and answers nothing."""

import asyncio
import contextlib

import pytest

from meterspan.engine.links import TRANSPORTS
from meterspan.runtime.clock import SystemClock
from meterspan.runtime.endpoints import Endpoint
from meterspan.runtime.media import CannotConnectError
from meterspan.runtime.push_source import PUSH_SCHEMES, pushed_apdus

PATIENCE_S = 10


def heard_at(scheme, *sent):
    """Send octets to a port, and return what is handed on of each."""

    async def story():
        ready = asyncio.get_running_loop().create_future()
        source = pushed_apdus(Endpoint(scheme, "127.0.0.1", 0), SystemClock(), on_ready=ready.set_result)
        first = asyncio.ensure_future(anext(source))
        _, writer = await asyncio.open_connection("127.0.0.1", await asyncio.wait_for(ready, PATIENCE_S))
        found = []
        for octets in sent:
            writer.write(octets)
            found.append(await asyncio.wait_for(first, PATIENCE_S))
            first = asyncio.ensure_future(anext(source))
        first.cancel()
        writer.close()
        with contextlib.suppress(asyncio.CancelledError):
            await first
        await source.aclose()
        return found

    return asyncio.run(story())


def frames(scheme, apdu):
    """Return the octets that a meter sends."""
    link = TRANSPORTS[scheme.removeprefix("push+")].push_sender()
    link.connect(0.0)
    link.send_unnumbered(apdu, 0.0)
    return link.octets_to_send()


@pytest.mark.parametrize("scheme", PUSH_SCHEMES)
def test_an_apdu_is_handed_on_whole_with_its_sender(scheme):
    apdu = bytes(range(256)) * 2
    (pushed,) = heard_at(scheme, frames(scheme, apdu))
    assert (pushed.octets, pushed.is_whole) == (apdu, True)
    assert pushed.peer.startswith("127.0.0.1:")


@pytest.mark.parametrize("scheme", PUSH_SCHEMES)
def test_octets_that_are_no_frame_are_handed_on_as_such(scheme):
    (pushed,) = heard_at(scheme, b"\x7e\xa0" + bytes(60) + b"\x7e")
    assert not pushed.is_whole


@pytest.mark.attack(2)
def test_a_flood_of_the_smallest_frames_costs_the_push_of_another_connection_nothing():
    async def story():
        ready = asyncio.get_running_loop().create_future()
        source = pushed_apdus(Endpoint("push+tcp", "127.0.0.1", 0), SystemClock(), on_ready=ready.set_result)
        first = asyncio.ensure_future(anext(source))
        port = await asyncio.wait_for(ready, PATIENCE_S)
        writers = [(await asyncio.open_connection("127.0.0.1", port))[1] for _ in range(2)]
        writers[0].write(frames("push+tcp", b"x") * 2_000)
        writers[1].write(frames("push+tcp", b"genuine"))
        heard = [(await asyncio.wait_for(first, PATIENCE_S)).octets]
        while len(heard) < 2_001:
            heard.append((await asyncio.wait_for(anext(source), PATIENCE_S)).octets)
        for writer in writers:
            writer.close()
            await writer.wait_closed()
        await source.aclose()
        return heard

    heard = asyncio.run(story())
    assert heard.count(b"genuine") == 1
    assert heard.count(b"x") == 2_000


def test_a_port_that_is_taken_is_said_in_words():
    async def story():
        source = pushed_apdus(Endpoint("push+tcp", "192.0.2.1", 1), SystemClock())
        with pytest.raises(CannotConnectError, match="cannot listen at push"):
            await anext(source)

    asyncio.run(story())
