"""Wired M-Bus over a real socket: a simulated slave behind a TCP gateway is read once, and polled."""

import asyncio

import pytest

from meterspan.engine.mbus_link import MbusSlave
from meterspan.engine.mbus_polling import SlaveNotRead, SlaveRead
from meterspan.model.failures import FailureKind
from meterspan.readings import Decoder
from meterspan.runtime.clock import SystemClock
from meterspan.runtime.endpoints import Endpoint, EndpointError
from meterspan.runtime.mbus_client import MbusError, poll_bus, read_slave, slaves_of
from meterspan.runtime.media import listen_stream
from meterspan.runtime.shell import StreamShell
from meterspan.wire.mbus.address import DeviceAddress
from meterspan.wire.mbus.records import build_header, build_record
from tests.helpers_waiting import until

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


def test_a_bus_is_polled_again_and_again_and_a_gateway_that_is_away_does_not_end_it():
    async def story():
        outcomes, notes = [], []
        listener = await gateway()
        place = at(listener.port, address="5", baud="38400")
        polling = poll_bus(place, every_s=0.1, clock=SystemClock(), on_event=outcomes.append, on_note=notes.append)

        def read():
            return [event for event in outcomes if isinstance(event, SlaveRead)]

        task = asyncio.create_task(polling)
        await until(lambda: len(read()) >= 2)
        listener.close()
        await until(lambda: any(isinstance(event, SlaveNotRead) for event in outcomes))
        listener, before = await gateway(place.port), len(read())
        await until(lambda: len(read()) > before)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        listener.close()
        failed = {event.failure.kind for event in outcomes if isinstance(event, SlaveNotRead)}
        assert failed <= {FailureKind.UNREACHABLE, FailureKind.LINK_LOST}
        assert {(event.slave, event.octets[:1], event.is_complete) for event in read()} == {
            (f"{place} address 5", b"\x68", True)
        }
        assert any(note.startswith("no connection") for note in notes)

    asyncio.run(asyncio.wait_for(story(), 20))


def test_an_endpoint_names_many_slaves_each_by_its_own_name():
    found = slaves_of(at(10_001, address="5, 6", secondary="12345678"))
    place = "mbus+tcp://127.0.0.1:10001"
    assert [slave.name for slave in found] == [
        f"{place} address 5",
        f"{place} address 6",
        f"{place} secondary 12345678",
    ]
    assert [slave.address.primary for slave in found] == [5, 6, 253]


@pytest.mark.parametrize(
    ("options", "words"),
    [({}, "names no slave"), ({"address": "5,5"}, "twice"), ({"address": "5,300"}, "0 to 250")],
)
def test_an_endpoint_without_slaves_or_with_one_twice_is_refused(options, words):
    with pytest.raises(EndpointError, match=words):
        slaves_of(at(10_001, **options))


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
    for options in ({"address": "400"}, {"secondary": "12"}, {"baud": "fast"}, {"baud": "115200"}):
        with pytest.raises(EndpointError):
            asyncio.run(read_slave(at(1, **options), clock=SystemClock()))
