"""Frames in words for a meter's story: one line that says what it is, and every octet range with its meaning.

No key is used here: a story may be read by anybody who operates the network, so what is ciphered stays ciphered.
"""

from meterspan.engine.frame_trace import FrameDirection, FrameTracer, TracedFrame
from meterspan.engine.links import DeviceProtocol, transport_of
from meterspan.model.telegram import DecodedTelegram
from meterspan.model.views import SpanView
from meterspan.readings import Decoder
from meterspan.wire import SecurityError, Trace

__all__ = ["explain"]

SPANS_MAX = 200
"""Ranges shown of one frame; a load profile in the clear has thousands."""


def explain(octets: bytes, protocol: str) -> tuple[str, tuple[SpanView, ...]]:
    """Return a frame's summary and its octet ranges; octets that are no frame are said to be so, never an error."""
    trace = Trace()
    telegram = Decoder().decode(octets, trace=trace)
    spans = tuple(
        SpanView(span.offset, span.octets.hex(" ").upper(), span.field, span.meaning)
        for span in trace.spans[:SPANS_MAX]
    )
    transport = transport_of(DeviceProtocol(protocol)) if protocol in set(DeviceProtocol) else None
    if transport is not None:
        tracer = FrameTracer(transport.cutter)
        frames = tracer.feed(FrameDirection.SENT, octets, 0.0)
        summary = "; ".join(f"{frame.link}: {_says(frame)}" if frame.says else frame.link for frame in frames)
        return summary or "part of a frame", spans
    identity = telegram.device
    device = " ".join(part for part in (identity.manufacturer, identity.id, identity.medium) if part)
    return f"{telegram.protocol} telegram of {device or 'an unknown device'}: {_content(telegram)}", spans


def _says(frame: TracedFrame) -> str:
    """Return what a frame says; frames are explained one by one, and a segment alone is no APDU."""
    return frame.says if frame.error is None else "part of an APDU"


def _content(telegram: DecodedTelegram) -> str:
    if any(isinstance(error, SecurityError) for error in telegram.errors):
        return "enciphered; opened at the access point"
    return telegram.error or "readable"
