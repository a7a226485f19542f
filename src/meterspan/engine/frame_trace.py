"""The traffic of a link, frame by frame and in words: for ``read --trace`` and for the story of a meter.

Strategy: the octets of both directions are cut into frames again beside the link, without touching it. System titles
are read from AARQ and AARE as they pass, so that with the keys each APDU is also shown in the clear. Nothing
here is checked for replay or acted upon, and no key, password or challenge appears in the words or in the octets shown.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final, Protocol

from meterspan.crypto.suites import SuiteKeys, unprotect
from meterspan.wire.acse import ACSE_TAGS, DLMS_UA, Aare, Aarq, AcseApdu, acse_name, blanked, blanked_aarq, read_acse
from meterspan.wire.damaged import Damaged
from meterspan.wire.errors import WireError
from meterspan.wire.hdlc import FrameKind, HdlcFrame, HdlcReader, without_llc, write_frame
from meterspan.wire.mbus.link import FrameReader, write_link_frame
from meterspan.wire.wrapper import WrapperPdu, WrapperReader, write_wpdu
from meterspan.wire.xdlms import CipheredApdu, GeneralCipheredApdu, apdu_text, read_apdu

__all__ = [
    "AssociationBlanker",
    "CutFrame",
    "FrameCutter",
    "FrameDirection",
    "FrameTracer",
    "HdlcCutter",
    "MbusCutter",
    "TracedFrame",
    "WrapperCutter",
]

AARQ: Final = b"\x60"
APDU_OCTETS_MAX: Final = 1 << 16
"""Segments put together for the words; of a longer APDU only the frames are shown."""


class FrameDirection(StrEnum):
    """Which way a frame went."""

    SENT = "sent"
    RECEIVED = "received"


@dataclass(frozen=True, slots=True)
class TracedFrame:
    """One frame that passed.

    Attributes:
        at: UTC seconds.
        direction: which way.
        octets: the frame, with asterisks in place of passwords.
        link: its role on the link.
        says: the APDU that it completes, in words; "" where it completes none.
        error: why that APDU cannot be read, None where it can.

    """

    at: float
    direction: FrameDirection
    octets: bytes
    link: str
    says: str = ""
    error: WireError | None = None


@dataclass(frozen=True, slots=True)
class CutFrame:
    """One frame out of a stream.

    Attributes:
        octets: the frame as people may see it: without passwords, with the check that fits.
        link: its role on the link.
        apdu: the APDU that it completes, with everything in it; None where it completes none.

    """

    octets: bytes
    link: str
    apdu: bytes | None = field(default=None, repr=False)


class FrameCutter(Protocol):
    """Cuts the octets of one direction into frames."""

    def feed(self, octets: bytes) -> list[CutFrame]:
        """Return the frames that these octets complete, damaged ones included."""
        ...


class WrapperCutter:
    """Cuts wrapper PDUs out of a stream."""

    def __init__(self) -> None:
        self._reader = WrapperReader()

    def feed(self, octets: bytes) -> list[CutFrame]:
        """Return the PDUs that these octets complete."""
        return [_cut_wpdu(item) for item in self._reader.feed(octets)]


class HdlcCutter:
    """Cuts HDLC frames out of a stream, and puts their segments together."""

    def __init__(self) -> None:
        self._reader = HdlcReader()
        self._segments = b""
        self._last: tuple[int | None, bytes] = (None, b"")
        """Send number of the last information frame, and the segments before it: it may be sent again."""

    def feed(self, octets: bytes) -> list[CutFrame]:
        """Return the frames that these octets complete."""
        return [_damaged(item) if isinstance(item, Damaged) else self._cut(item) for item in self._reader.feed(octets)]

    def _cut(self, frame: HdlcFrame) -> CutFrame:
        if frame.kind is FrameKind.SET_NORMAL_RESPONSE_MODE:
            self._segments, self._last = b"", (None, b"")
        if frame.send_number is None:
            return CutFrame(blanked(write_frame(frame)), str(frame))
        before = self._last[1] if frame.send_number == self._last[0] else self._segments
        self._last = frame.send_number, before
        joined = before + frame.information
        self._segments = joined[:APDU_OCTETS_MAX] if frame.segmented else b""
        apdu = None if frame.segmented or not joined else without_llc(joined)
        return CutFrame(_shown_segment(frame, joined), str(frame), apdu)


def _shown_segment(frame: HdlcFrame, joined: bytes) -> bytes:
    """Write a frame with its part of a password blanked; ``joined`` is its APDU up to its end."""
    apdu = without_llc(joined)
    shown = blanked_aarq(apdu)
    if shown == apdu:
        return write_frame(frame)
    whole = joined[: len(joined) - len(apdu)] + shown
    return write_frame(replace(frame, information=whole[len(joined) - len(frame.information) :]))


class MbusCutter:
    """Cuts the link frames of wired M-Bus out of a stream; octets that are no frame are passed over."""

    def __init__(self) -> None:
        self._reader = FrameReader()

    def feed(self, octets: bytes) -> list[CutFrame]:
        """Return the frames that these octets complete."""
        return [CutFrame(write_link_frame(frame), str(frame)) for frame in self._reader.receive(octets)]


def _cut_wpdu(item: WrapperPdu | Damaged) -> CutFrame:
    return _damaged(item) if isinstance(item, Damaged) else CutFrame(_shown_wpdu(item), str(item), item.apdu)


def _shown_wpdu(wpdu: WrapperPdu) -> bytes:
    return write_wpdu(replace(wpdu, apdu=blanked_aarq(wpdu.apdu)))


def _damaged(item: Damaged) -> CutFrame:
    return CutFrame(blanked(item.octets), f"damaged: {item.error}")


class AssociationBlanker:
    """Returns the octets of one direction without passwords, at little cost once the association is made.

    Octets are cut into frames until an APDU that is no AARQ has passed, and again where another AARQ begins.
    """

    def __init__(self, cutter: Callable[[], FrameCutter]) -> None:
        self._make = cutter
        self._cutter: FrameCutter | None = cutter()

    def feed(self, octets: bytes) -> list[bytes]:
        """Return what may be shown of these octets: whole frames, or the octets as they came."""
        if self._cutter is None:
            if DLMS_UA not in octets:
                return [octets]
            self._cutter = self._make()
        cuts = self._cutter.feed(octets)
        if cuts and cuts[-1].apdu is not None and cuts[-1].apdu[:1] != AARQ:
            self._cutter = None
        return [cut.octets for cut in cuts]


class FrameTracer:
    """Describes the frames of one link.

    Args:
        cutter: makes the object that cuts one direction into frames.
        keys: describe ciphered APDUs too, with these global keys.
        own_title: system title of the side that sends.
        whole: long fields are described to their end.

    """

    def __init__(
        self,
        cutter: Callable[[], FrameCutter],
        *,
        keys: SuiteKeys | None = None,
        own_title: bytes = b"",
        whole: bool = False,
    ) -> None:
        self._whole = whole
        self._cutters = {direction: cutter() for direction in FrameDirection}
        self._titles = {FrameDirection.SENT: own_title, FrameDirection.RECEIVED: b""}
        self._keys = keys

    def feed(self, direction: FrameDirection, octets: bytes, now: float) -> list[TracedFrame]:
        """Return the frames that octets of one direction, in any cut, complete."""
        return [self._traced(direction, cut, now) for cut in self._cutters[direction].feed(octets)]

    def _traced(self, direction: FrameDirection, cut: CutFrame, now: float) -> TracedFrame:
        says, error = "", None
        if cut.apdu is not None:
            try:
                says = self._apdu(direction, cut.apdu)
            except WireError as unreadable:
                says, error = f"cannot be read: {unreadable}", unreadable
        return TracedFrame(now, direction, cut.octets, cut.link, says, error)

    def _apdu(self, direction: FrameDirection, octets: bytes) -> str:
        if octets[:1] and octets[0] in ACSE_TAGS:
            acse = read_acse(octets)
            self._learn(direction, acse)
            return self._acse_text(direction, acse)
        return self._service_text(direction, octets)

    def _learn(self, direction: FrameDirection, acse: AcseApdu) -> None:
        title = None
        if isinstance(acse, Aarq):
            title = acse.calling_ap_title
        elif isinstance(acse, Aare):
            title = acse.responding_ap_title
        if title:
            self._titles[direction] = title

    def _acse_text(self, direction: FrameDirection, acse: AcseApdu) -> str:
        match acse:
            case Aarq():
                mechanism = "no authentication" if acse.mechanism is None else acse.mechanism.text
                words = f"AARQ, {acse.application_context.text}, {mechanism}"
            case Aare():
                words = f"AARE, {acse.result.text}, {acse.diagnostic}"
            case _:
                words = acse_name(acse)
        inner = acse.user_information
        return f"{words}, {self._service_text(direction, inner)}" if inner else words

    def _service_text(self, direction: FrameDirection, octets: bytes) -> str:
        apdu = read_apdu(octets)
        if not isinstance(apdu, CipheredApdu | GeneralCipheredApdu):
            return apdu_text(apdu, whole=self._whole)
        content = apdu.content
        outside = f"{apdu.tag.text} counter {content.invocation_counter}"
        title = apdu.system_title if isinstance(apdu, GeneralCipheredApdu) else self._titles[direction]
        if self._keys is None or len(title) != 8 or "ded" in apdu.tag.text.split("-"):
            return f"{outside}, {content.security_control.text}"
        try:
            plain = unprotect(
                content.payload,
                int(content.security_control),
                system_title=title,
                invocation_counter=content.invocation_counter,
                keys=self._keys,
            )
        except (WireError, ValueError) as error:
            return f"{outside}, not opened: {error}"
        return f"{outside} [{apdu_text(read_apdu(plain), whole=self._whole)}]"
