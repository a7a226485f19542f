"""What passes over a link, frame by frame and in words: for ``read --trace`` and for the story of a meter.

Strategy: the octets of both directions are cut into frames again beside the link, without touching it. System titles
are learnt from AARQ and AARE as they pass, so that with the keys at hand each APDU is also told in the clear. Nothing
here is checked for replay or acted upon, and no key, password or challenge appears in the words.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from meterspan.crypto.suites import SuiteKeys, unprotect
from meterspan.wire.acse import ACSE_TAGS, Aare, Aarq, AcseApdu, read_acse
from meterspan.wire.damaged import Damaged
from meterspan.wire.errors import WireError
from meterspan.wire.hdlc import HdlcFrame, HdlcReader, without_llc, write_frame
from meterspan.wire.wrapper import WrapperPdu, WrapperReader, write_wpdu
from meterspan.wire.xdlms import CipheredApdu, GeneralCipheredApdu, apdu_text, read_apdu

__all__ = ["Direction", "FrameTracer", "TracedFrame"]

APDU_OCTETS_MAX: Final = 1 << 16
"""Segments put together for the words; of a longer APDU only the frames are shown."""


class Direction(StrEnum):
    """Which way a frame went."""

    SENT = "sent"
    RECEIVED = "received"


@dataclass(frozen=True, slots=True)
class TracedFrame:
    """One frame that passed.

    Attributes:
        at: UTC seconds.
        direction: which way.
        octets: the frame.
        link: what it is to the link.
        says: the APDU that it completes, in words; "" where it completes none.

    """

    at: float
    direction: Direction
    octets: bytes
    link: str
    says: str = ""


class FrameTracer:
    """Tells the frames of one link.

    Args:
        is_hdlc: HDLC frames, as opposed to wrapper PDUs.
        keys: tell also what is ciphered under the global keys.
        own_title: system title of the side that sends.

    """

    def __init__(self, *, is_hdlc: bool, keys: SuiteKeys | None = None, own_title: bytes = b"") -> None:
        self._readers: dict[Direction, HdlcReader | WrapperReader] = {
            direction: HdlcReader() if is_hdlc else WrapperReader() for direction in Direction
        }
        self._segments = dict.fromkeys(Direction, b"")
        self._titles = {Direction.SENT: own_title, Direction.RECEIVED: b""}
        self._keys = keys

    def feed(self, direction: Direction, octets: bytes, now: float) -> list[TracedFrame]:
        """Take octets that passed, in any cut, and give the frames that they complete."""
        return [self._tell(direction, item, now) for item in self._readers[direction].feed(octets)]

    def _tell(self, direction: Direction, item: HdlcFrame | WrapperPdu | Damaged, now: float) -> TracedFrame:
        match item:
            case Damaged():
                return TracedFrame(now, direction, item.octets, f"damaged: {item.error}")
            case WrapperPdu():
                return TracedFrame(now, direction, write_wpdu(item), str(item), self._apdu(direction, item.apdu))
            case HdlcFrame():
                whole = self._join(direction, item)
                says = self._apdu(direction, without_llc(whole)) if whole else ""
                return TracedFrame(now, direction, write_frame(item), str(item), says)

    def _join(self, direction: Direction, frame: HdlcFrame) -> bytes:
        """Put the segments of an information together; b"" until the last one is there."""
        if frame.send_number is None:
            return b""
        joined = self._segments[direction] + frame.information
        self._segments[direction] = joined[:APDU_OCTETS_MAX] if frame.segmented else b""
        return b"" if frame.segmented else joined

    def _apdu(self, direction: Direction, octets: bytes) -> str:
        try:
            if octets[:1] and octets[0] in ACSE_TAGS:
                acse = read_acse(octets)
                self._learn(direction, acse)
                return self._acse_text(direction, acse)
            return self._service_text(direction, octets)
        except WireError as error:
            return f"cannot be read: {error}"

    def _learn(self, direction: Direction, acse: AcseApdu) -> None:
        title = None
        if isinstance(acse, Aarq):
            title = acse.calling_ap_title
        elif isinstance(acse, Aare):
            title = acse.responding_ap_title
        if title:
            self._titles[direction] = title

    def _acse_text(self, direction: Direction, acse: AcseApdu) -> str:
        match acse:
            case Aarq():
                mechanism = "no authentication" if acse.mechanism is None else acse.mechanism.text
                told = f"AARQ, {acse.application_context.text}, {mechanism}"
            case Aare():
                told = f"AARE, {acse.result.text}, {acse.diagnostic}"
            case _:
                told = type(acse).__name__.upper()
        inner = acse.user_information
        return f"{told}, {self._service_text(direction, inner)}" if inner else told

    def _service_text(self, direction: Direction, octets: bytes) -> str:
        apdu = read_apdu(octets)
        if not isinstance(apdu, CipheredApdu | GeneralCipheredApdu):
            return apdu_text(apdu)
        content = apdu.content
        outside = f"{apdu.tag.text} counter {content.invocation_counter}"
        title = apdu.system_title if isinstance(apdu, GeneralCipheredApdu) else self._titles[direction]
        if self._keys is None or len(title) != 8 or "ded" in apdu.tag.text.split("-"):
            return f"{outside}, {content.security_control.text}"
        try:
            plain = unprotect(
                content.payload, int(content.security_control), system_title=title,
                invocation_counter=content.invocation_counter, keys=self._keys,
            )  # fmt: skip
        except (WireError, ValueError) as error:
            return f"{outside}, not opened: {error}"
        return f"{outside} [{apdu_text(read_apdu(plain))}]"
