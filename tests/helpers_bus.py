"""A simulated segment of wired M-Bus behind a TCP gateway that runs beside the test."""

import asyncio
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal

from meterspan.engine.mbus_link import LineSettings, MbusSlave, SlaveEvent
from meterspan.runtime.clock import SystemClock
from meterspan.runtime.media import listen_stream
from meterspan.runtime.shell import StreamShell
from meterspan.sim.mbus_segment import MbusSegment
from meterspan.wire.mbus.address import DeviceAddress
from meterspan.wire.mbus.records import DataRecord, build_header, build_record

FAST = LineSettings(38_400)
VOLUME, ENERGY = b"\x13", b"\x06"
"""VIF of litres and of kilowatt-hours."""
STEPS = {VOLUME: Decimal("0.001"), ENERGY: Decimal(1_000)}
WATER, HEAT, GAS = 0x07, 0x04, 0x03


def register(steps: int, vif: bytes = VOLUME, storage: int = 0) -> DataRecord:
    return build_record(build_header(0x04, vif, storage=storage), steps * STEPS[vif])


def bus_slave(
    primary: int, number: str, medium: int = WATER, records: Sequence[DataRecord] = (), maker: str = "MSP"
) -> MbusSlave:
    """Make a slave; its records are ``records``, which may change while it runs, or its number as a volume."""
    identity = DeviceAddress.of(maker, number, 1, medium)
    return MbusSlave(primary, identity, lambda: records or [register(int(number) // 1_000)], settings=FAST)


@contextmanager
def running_bus(slaves: Sequence[MbusSlave], port: int = 0) -> Iterator[int]:
    """Serve a segment over TCP in a thread of its own; yields the port."""
    segment = MbusSegment(slaves)
    loop = asyncio.new_event_loop()
    lines: list[StreamShell[SlaveEvent]] = []

    def line() -> StreamShell[SlaveEvent]:
        lines.append(StreamShell(segment, SystemClock(), lambda _event: None))
        return lines[-1]

    async def close() -> None:
        for one in lines:
            one.close()
        listener.close()
        await asyncio.sleep(0)

    listener = loop.run_until_complete(listen_stream("tcp", "127.0.0.1", port, line))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield listener.port
    finally:
        asyncio.run_coroutine_threadsafe(close(), loop).result(5)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
