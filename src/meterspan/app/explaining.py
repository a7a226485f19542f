"""Frames in words for a meter's story: one line that says what it is, and every octet range with its meaning.

No key is used here: a story may be read by anybody who operates the network, so what is ciphered stays ciphered.
"""

from meterspan.engine.frame_trace import Direction, FrameTracer
from meterspan.engine.links import DeviceProtocol, transport_of
from meterspan.model.views import SpanView
from meterspan.readings import Decoder
from meterspan.wire import Trace

__all__ = ["explain"]

SPANS_MAX = 200
"""Ranges shown of one frame; a load profile in the clear has thousands."""


def explain(octets: bytes, protocol: str) -> tuple[str, tuple[SpanView, ...]]:
    """Give a frame's summary and its octet ranges; octets that are no frame are said to be so, never an error."""
    trace = Trace()
    telegram = Decoder().decode(octets, trace=trace)
    spans = tuple(
        SpanView(span.offset, span.octets.hex(" ").upper(), span.field, span.meaning)
        for span in trace.spans[:SPANS_MAX]
    )
    transport = transport_of(DeviceProtocol(protocol)) if protocol in set(DeviceProtocol) else None
    if transport is not None:
        tracer = FrameTracer(transport.cutter)
        frames = tracer.feed(Direction.SENT, octets, 0.0)
        summary = "; ".join(f"{frame.link}: {_says(frame.says)}" if frame.says else frame.link for frame in frames)
        return summary or "part of a frame", spans
    identity = telegram.device
    device = " ".join(part for part in (identity.manufacturer, identity.id, identity.medium) if part)
    return f"{telegram.protocol} telegram of {device or 'an unknown device'}: {_content(telegram.error)}", spans


def _says(words: str) -> str:
    """Frames are explained one by one: a segment alone is no APDU, and that is no fault of it."""
    return "part of an APDU" if words.startswith("cannot be read") else words


def _content(error: str | None) -> str:
    if error is None:
        return "readable"
    return "enciphered; opened at the access point" if "key" in error else error
