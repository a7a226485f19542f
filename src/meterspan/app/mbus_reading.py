"""What ``meterspan read`` finds out about a wired M-Bus slave: all its telegrams, as readings."""

import asyncio
from collections.abc import Callable

from meterspan.engine.frame_trace import FrameDirection, FrameTracer, TracedFrame
from meterspan.engine.links import TRANSPORTS
from meterspan.model.telegram import DecodedTelegram
from meterspan.readings import Decoder, Format
from meterspan.runtime.clock import SystemClock
from meterspan.runtime.endpoints import Endpoint
from meterspan.runtime.mbus_client import read_slave
from meterspan.runtime.shell import OnOctets

__all__ = ["frames_to", "read_bus", "read_mbus"]


def read_bus(
    endpoint: Endpoint, *, key: bytes | None = None, on_frame: Callable[[TracedFrame], None] | None = None
) -> DecodedTelegram:
    """Run ``read_mbus`` on an event loop of its own; its arguments, answer and errors are the same."""
    return asyncio.run(read_mbus(endpoint, key=key, on_frame=on_frame))


async def read_mbus(
    endpoint: Endpoint, *, key: bytes | None = None, on_frame: Callable[[TracedFrame], None] | None = None
) -> DecodedTelegram:
    """Read a slave and decode its telegrams; several telegrams make one answer.

    Args:
        endpoint: of a scheme of wired M-Bus.
        key: opens telegrams that are encrypted.
        on_frame: called with every frame that passes.

    Raises:
        EndpointError: its options are wrong.
        MbusError: it cannot be read.

    """
    done = await read_slave(endpoint, clock=SystemClock(), on_octets=frames_to(on_frame, endpoint))
    return Decoder().decode(b"".join(done.frames), key=key, as_=Format.MBUS)


def frames_to(on_frame: Callable[[TracedFrame], None] | None, endpoint: Endpoint) -> OnOctets | None:
    """Return what cuts the octets of a line into frames and passes them on; None without a taker."""
    if on_frame is None:
        return None
    tracer = FrameTracer(TRANSPORTS[endpoint.scheme].cutter)

    def on_octets(direction: FrameDirection, octets: bytes, now: float) -> None:
        for frame in tracer.feed(direction, octets, now):
            on_frame(frame)

    return on_octets
