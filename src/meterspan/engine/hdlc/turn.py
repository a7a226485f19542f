"""The exchange of data within normal response mode (IEC 62056-46, 6.4.4.4): numbers, window, segments, the turn.

Strategy: one rule moves data. The side that holds the turn (P/F) sends unacknowledged frames, then new ones up to
the window, and passes the turn with the last frame. Every exchange of P and F shows how far the peer has got, so that
loss is repaired by sending again from there; frames seen before are dropped by number.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from meterspan.engine.hdlc.config import HdlcConfig
from meterspan.engine.link import SEND_QUEUE_OCTETS_MAX, LinkCounts, LinkDown, Role
from meterspan.engine.timers import earliest, is_due
from meterspan.model.failures import Failure, FailureKind
from meterspan.wire.hdlc import FrameKind, HdlcFrame, HdlcParameters, control_octet
from meterspan.wire.hdlc.frame import SEQUENCE_MODULUS
from meterspan.wire.hdlc.llc import LLC_SIZE, has_llc

__all__ = ["Segment", "Turn", "TurnFrame", "Verdict"]


class Segment(NamedTuple):
    """One information field, and whether more of its APDU follow."""

    octets: bytes
    segmented: bool


@dataclass(frozen=True, slots=True)
class TurnFrame:
    """A frame to send to the peer, still without addresses."""

    control: int
    information: bytes = b""
    segmented: bool = False


class Verdict(Enum):
    """The verdict on a received frame."""

    DONE = "done"
    IGNORED = "ignored"
    """A repetition, or a late answer to a question that was repeated."""
    BAD_NUMBER = "N(R) out of range"
    OVERFLOW = "APDU too long"
    """An APDU beyond the bound, or an information field longer than was agreed (6.4.4.4.3.2)."""


class Turn:
    """One side of the exchange, while the link is up.

    Args:
        role: a client holds the turn first.
        config: limits and time-outs.
        negotiated: lengths and windows in force, from the view of this side.

    Attributes:
        given_up: why the link must go down, once retries or polls are exhausted.
        has_exchanged: whether anything was sent or received but empty polls.

    """

    def __init__(self, role: Role, config: HdlcConfig, negotiated: HdlcParameters, counts: LinkCounts) -> None:
        self._role = role
        self._config = config
        self._negotiated = negotiated
        self._counts = counts
        self.given_up: LinkDown | None = None
        self.has_exchanged = False
        self._has_turn = role is Role.CLIENT
        self._frames: deque[TurnFrame] = deque()
        self._delivered: deque[bytes] = deque()
        self._send_base = 0  # V(A): N(S) of the oldest frame not acknowledged
        self._receive_next = 0  # V(R)
        self._unacknowledged: deque[Segment] = deque()
        self._queue: deque[Segment] = deque()
        self._queue_octets = 0
        self._received = bytearray()
        self._expects_segment = False
        self._answer_is_due = False
        self._peer_is_busy = False
        self._tries = self._resends = self._polls = 0
        self._response_deadline: float | None = None  # client: F is awaited; server: the application's answer is
        self._poll_deadline: float | None = None

    @property
    def has_turn(self) -> bool:
        """Whether this side may send."""
        return self._has_turn

    @property
    def numbers(self) -> tuple[int, int]:
        """N(S) of the next new frame, and V(R)."""
        return (self._send_base + len(self._unacknowledged)) % SEQUENCE_MODULUS, self._receive_next

    def send(self, segments: Sequence[Segment], now: float) -> None:
        """Queue the segments of one APDU; a server's answer goes out at once if it holds the turn.

        Raises:
            ValueError: too much waits already.

        """
        octets = sum(len(segment.octets) for segment in segments)
        if self._queue_octets + octets > SEND_QUEUE_OCTETS_MAX:
            raise ValueError(f"{self._queue_octets} octets wait to be sent already")
        self._queue.extend(segments)
        self._queue_octets += octets
        self._answer_is_due = self._role is Role.CLIENT
        self.has_exchanged = True
        self._polls = 0
        self.go_on(now)

    def receive(self, frame: HdlcFrame, now: float) -> Verdict:
        """Receive an I, RR, RNR or REJ frame of the peer."""
        if frame.kind is FrameKind.INFORMATION:
            return self._receive_information(frame, now)
        if not self._acknowledge(frame.control >> 5):
            return Verdict.BAD_NUMBER
        self._peer_is_busy = frame.kind is FrameKind.RECEIVE_NOT_READY
        self.pass_turn(frame, now)
        return Verdict.DONE

    def pass_turn(self, frame: HdlcFrame, now: float) -> None:
        """Hold the turn from here on if the frame passes it."""
        if not frame.poll_final:
            if self._role is Role.CLIENT and self._response_deadline is not None:
                self._response_deadline = now + self._config.response_timeout_s
            return
        if not self._has_turn:
            self._has_turn = True
            self._response_deadline = None
        self._tries = 0
        self.go_on(now)

    def go_on(self, now: float) -> None:
        """Send all frames that the window allows, if this side holds the turn; the last frame passes it."""
        if not self._has_turn or self.given_up is not None:
            return
        self._poll_deadline = None
        can_send = bool(self._unacknowledged or self._queue) and not self._peer_is_busy
        if can_send and self._unacknowledged and self._is_never_acknowledged():
            self._give_up("the peer answers and acknowledges nothing", by_peer=True)
        elif can_send:
            self._send_window(now)
        elif self._role is Role.CLIENT:
            self._wait_or_poll(now)
        elif not self._answer_is_due:
            self._send_supervisory(now)
        elif self._response_deadline is None:
            self._response_deadline = now + self._config.hold_s

    def advance(self, now: float) -> None:
        """Run every timer that is due."""
        if is_due(self._response_deadline, now):
            self._response_deadline = None
            self._time_out(now)
        if is_due(self._poll_deadline, now):
            self._poll_deadline = None
            self._send_supervisory(now)

    def deadline(self) -> float | None:
        """When ``advance`` must be called next, or None."""
        return earliest(self._response_deadline, self._poll_deadline)

    def next_frame(self) -> TurnFrame | None:
        """Return the next frame to send, or None."""
        return self._frames.popleft() if self._frames else None

    def next_information(self) -> bytes | None:
        """Return the next reassembled information (LLC header and APDU), or None."""
        return self._delivered.popleft() if self._delivered else None

    # --- receiving

    def _receive_information(self, frame: HdlcFrame, now: float) -> Verdict:
        is_too_long = len(frame.information) > self._negotiated.information_receive_max
        if self._role is Role.SERVER and is_too_long:  # a client takes more than was agreed: some meters send it
            return Verdict.OVERFLOW
        send_number, receive_number = frame.control >> 1 & 7, frame.control >> 5
        ahead = (send_number - self._receive_next) % SEQUENCE_MODULUS
        if self._role is Role.CLIENT and ahead >= self._negotiated.window_receive:
            return Verdict.IGNORED  # a late answer to a question that was repeated: its turn is over
        if not self._acknowledge(receive_number):
            return Verdict.BAD_NUMBER
        self._peer_is_busy = False
        if not ahead and not self._append(frame):
            return Verdict.OVERFLOW
        self.pass_turn(frame, now)
        return Verdict.IGNORED if ahead else Verdict.DONE

    def _acknowledge(self, receive_number: int) -> bool:
        """Drop what N(R) acknowledges; False where it acknowledges a frame that was never sent."""
        count = (receive_number - self._send_base) % SEQUENCE_MODULUS
        if count > len(self._unacknowledged):
            return False
        for _ in range(count):
            self._unacknowledged.popleft()
        self._send_base = receive_number
        if count:
            self._resends = 0
        return True

    def _append(self, frame: HdlcFrame) -> bool:
        """Append the next I frame in sequence; False where the APDU becomes too long."""
        self._receive_next = (self._receive_next + 1) % SEQUENCE_MODULUS
        self.has_exchanged = True
        self._polls = 0
        self._received += frame.information
        if len(self._received) > self._config.apdu_size_max + LLC_SIZE:
            return False
        self._expects_segment = frame.segmented
        if not frame.segmented:
            octets = bytes(self._received)
            self._received.clear()
            self._delivered.append(octets)
            self._answer_is_due = has_llc(octets) and self._role is Role.SERVER
        return True

    # --- sending

    def _is_never_acknowledged(self) -> bool:
        if self._role is Role.SERVER:
            return False  # the client decides how often it asks
        self._resends += 1
        return self._resends > self._config.retries_max

    def _wait_or_poll(self, now: float) -> None:
        """Ask for the next segment at once, for an answer or a busy peer later, and else keep the turn."""
        if self._expects_segment:
            self._send_supervisory(now)
        elif self._answer_is_due or self._peer_is_busy:
            self._polls += 1
            if self._polls <= self._config.polls_max:
                self._poll_deadline = now + self._config.poll_interval_s
            elif self._queue or self._unacknowledged:
                self._give_up("the peer stays busy", by_peer=True)

    def _send_window(self, now: float) -> None:
        self._counts.frames_repeated += len(self._unacknowledged)
        while self._queue and len(self._unacknowledged) < self._negotiated.window_transmit:
            segment = self._queue.popleft()
            self._queue_octets -= len(segment.octets)
            self._unacknowledged.append(segment)
        last = len(self._unacknowledged) - 1
        for index, (octets, segmented) in enumerate(self._unacknowledged):
            control = control_octet(
                FrameKind.INFORMATION,
                poll_final=index == last,
                send_number=(self._send_base + index) % SEQUENCE_MODULUS,
                receive_number=self._receive_next,
            )
            self._frames.append(TurnFrame(control, octets, segmented))
        self._yield(now)

    def _send_supervisory(self, now: float) -> None:
        control = control_octet(FrameKind.RECEIVE_READY, poll_final=True, receive_number=self._receive_next)
        self._frames.append(TurnFrame(control))
        self._yield(now)

    def _yield(self, now: float) -> None:
        self._has_turn = False
        self._poll_deadline = None
        is_client = self._role is Role.CLIENT
        self._response_deadline = now + self._config.response_timeout_s if is_client else None

    # --- timers

    def _time_out(self, now: float) -> None:
        if self._role is Role.SERVER:  # the application's answer then waits for the next poll
            self._answer_is_due = False
            self.go_on(now)
            return
        self._tries += 1
        if self._tries > self._config.retries_max:
            self._give_up(f"no response after {self._tries} attempts", by_peer=False)
        elif self._unacknowledged and not self._peer_is_busy:
            self._send_window(now)
        else:
            self._counts.frames_repeated += 1
            self._send_supervisory(now)

    def _give_up(self, detail: str, *, by_peer: bool) -> None:
        self.given_up = LinkDown(Failure(FailureKind.TIMEOUT, detail), by_peer)
