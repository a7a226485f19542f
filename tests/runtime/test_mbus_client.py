"""Wired M-Bus over a real socket: a simulated slave behind a TCP gateway is read once and again and again."""

import asyncio

import pytest

from meterspan.engine.mbus_link import MbusSlave
from meterspan.model.failures import FailureKind
from meterspan.readings import Decoder
from meterspan.runtime.clock import SystemClock
from meterspan.runtime.endpoints import Endpoint, EndpointError
from meterspan.runtime.mbus_client import MbusError, mbus_telegrams, read_slave
from meterspan.runtime.media import listen_stream
from meterspan.runtime.shell import StreamShell
from meterspan.wire.mbus.address import DeviceAddress
from meterspan.wire.mbus.records import build_header, build_record

IDENTITY = DeviceAddress.of("MSP", "12345678", 1, 4)
RECORDS = [build_record(build_header(0x04, b"\x13"), 12), build_record(build_header(0x02, b"\x59"), 55)]


async def gateway(port=0):
    def slave():
        return StreamShell(MbusSlave(5, IDENTITY, lambda: RECORDS), SystemClock(), lambda _event: None)

    return await listen_stream("tcp", "127.0.0.1", port, slave)


def at(port, **options):
    return Endpoint("mbus+tcp", "127.0.0.1", port, options=options)


@pytest.mark.parametrize("options", [{}, {"address": "5"}, {"secondary": "12345678"}], ids=str)
def test_a_slave_is_read_over_tcp_and_decoded(options):
    async def story():
        listener = await gateway()
        try:
            return await read_slave(at(listener.port, **options), clock=SystemClock())
        finally:
            listener.close()

    done = asyncio.run(story())
    telegram = Decoder().decode(b"".join(done.frames))
    assert (telegram.device.id, telegram.device.manufacturer, telegram.error) == ("12345678", "MSP", None)
    assert [(float(reading.value), reading.unit) for reading in telegram.readings] == [(12.0, "m3"), (55.0, "°C")]


def test_telegrams_come_again_and_again_and_a_failure_does_not_end_them():
    async def story():
        failures, heard = [], []
        listener = await gateway()
        place = at(listener.port, address="5")

        async def listen():
            async for octets, peer, _now in mbus_telegrams(
                place, SystemClock(), every_s=0.05, on_failure=failures.append
            ):
                heard.append((octets[:1], peer))

        async def until(is_so):
            while not is_so():  # noqa: ASYNC110 - the generator reports by what it yields
                await asyncio.sleep(0.01)

        task = asyncio.create_task(listen())
        await until(lambda: heard)
        listener.close()
        await until(lambda: failures)
        listener, before = await gateway(place.port), len(heard)
        await until(lambda: len(heard) > before)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        listener.close()
        assert {failure.kind for failure in failures} <= {FailureKind.UNREACHABLE, FailureKind.LINK_LOST}
        assert set(heard) == {(b"\x68", str(place))}

    asyncio.run(asyncio.wait_for(story(), 20))


def test_a_closed_port_and_a_silent_slave_are_failures_with_a_kind():
    async def story():
        listener = await gateway()
        port = listener.port
        with pytest.raises(MbusError) as silent:
            await read_slave(at(port, secondary="99999999", baud="38400"), clock=SystemClock())
        listener.close()
        await asyncio.sleep(0.01)
        with pytest.raises(MbusError) as closed:
            await read_slave(at(port), clock=SystemClock())
        return silent.value.failure.kind, closed.value.failure.kind

    assert asyncio.run(story()) == (FailureKind.TIMEOUT, FailureKind.UNREACHABLE)


def test_wrong_options_are_refused_before_anything_is_sent():
    for options in ({"address": "400"}, {"secondary": "12"}, {"baud": "fast"}):
        with pytest.raises(EndpointError):
            asyncio.run(read_slave(at(1, **options), clock=SystemClock()))
