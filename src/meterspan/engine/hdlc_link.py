"""The HDLC link of IEC 62056-46, 6.4.4, in normal response mode: the client is the primary station, the server answers.

Strategy: ``TRANSITIONS`` says what each stimulus does in each state, for both roles. Within NRM one rule moves data:
who holds the turn (P/F) sends what is unacknowledged, then what is new up to the window, and passes the turn with the
last frame. As every exchange of P and F tells how far the peer has got, loss is repaired by sending again from
there; frames seen before are dropped by number.
"""

from collections import deque
from dataclasses import dataclass
from enum import Enum
from typing import Final

from meterspan.engine.link import (
    ApduReceived,
    FrameDamaged,
    LinkCounts,
    LinkDown,
    LinkEvent,
    LinkNotUpError,
    LinkUp,
    Role,
)
from meterspan.model.failures import Failure, FailureKind
from meterspan.wire.damaged import Damaged
from meterspan.wire.errors import WireError
from meterspan.wire.hdlc import (
    FrameKind,
    HdlcAddress,
    HdlcFrame,
    HdlcParameters,
    HdlcReader,
    control_octet,
    read_parameters,
    write_frame,
    write_parameters,
)
from meterspan.wire.hdlc.frame import SEQUENCE_MODULUS
from meterspan.wire.hdlc.llc import LLC_COMMAND, LLC_RESPONSE, LLC_SIZE, has_llc
from meterspan.wire.hdlc.parameters import INFORMATION_MAX

__all__ = [
    "EVENTS_MAX",
    "OUTPUT_OCTETS_MAX",
    "SEND_QUEUE_OCTETS_MAX",
    "TRANSITIONS",
    "AddressMatching",
    "HdlcConfig",
    "HdlcLink",
    "State",
    "Stimulus",
    "transition_table",
]

SEND_QUEUE_OCTETS_MAX: Final = 1 << 20
"""What may wait for its turn: a caller that exceeds it does not watch its peer."""
OUTPUT_OCTETS_MAX: Final = 1 << 18
"""Octets made for a medium that does not take them; beyond it answers are dropped as if lost, as polls are cheap."""
EVENTS_MAX: Final = 4096
"""Events kept for an owner that does not take them; further damage is then counted only."""


_DEFAULTS: Final = HdlcParameters()


class AddressMatching(Enum):
    """How closely the addresses of received frames are looked at."""

    STRICT = "strict"
    """Logical and physical address as configured."""
    TOLERANT = "tolerant"
    """Also without the physical address, with another logical device of the same meter, or with both exchanged."""
    ANY = "any"
    """Every frame on the line is for this side: a point-to-point line, or a listener to push."""


@dataclass(frozen=True, slots=True)
class HdlcConfig:
    """How one HDLC link is set up; defaults are those of COSEM's HDLC setup (IEC 62056-6-2, class 23), if any.

    Attributes:
        source: this side's address.
        destination: the peer's address; a server answers whoever asked, and pushes to this one.
        parameters: this side's own limits, to be negotiated.
        logical_devices: further upper addresses at which a server is reached.
        matching: how closely addresses are looked at.
        apdu_size_max: octets of the longest APDU taken or sent.
        response_timeout_s: how long a client waits for a frame with F set before it repeats.
        retries_max: how often it repeats before it gives the link up.
        hold_s: how long a server keeps the turn for its application's answer; less than the client's patience.
        poll_interval_s: how long a client waits before it asks again for an answer that was not ready.
        polls_max: how often it asks again.
        inactivity_timeout_s: how long a server keeps a link without frames; None keeps it for ever.
        octet_timeout_s: how long a frame may stand unfinished; on serial lines 0.025 is usual, TCP needs more.

    """

    source: HdlcAddress
    destination: HdlcAddress
    parameters: HdlcParameters = _DEFAULTS
    logical_devices: frozenset[int] = frozenset()
    matching: AddressMatching = AddressMatching.TOLERANT
    apdu_size_max: int = 0xFFFF
    response_timeout_s: float = 3.0
    retries_max: int = 3
    hold_s: float = 1.5
    poll_interval_s: float = 0.25
    polls_max: int = 120
    inactivity_timeout_s: float | None = 120.0
    octet_timeout_s: float = 1.0

    def __post_init__(self) -> None:
        limits = (self.parameters.information_transmit_max, self.parameters.information_receive_max)
        if max(limits) > INFORMATION_MAX:
            raise ValueError(f"an information field has {INFORMATION_MAX} octets at most")
        if self.apdu_size_max < 1 or self.retries_max < 0 or self.polls_max < 0:
            raise ValueError("sizes and counts are not negative")


class State(Enum):
    """States of the link, 6.4.4.1."""

    NDM = "NDM"
    """Normal disconnected mode."""
    AWAITING_UA = "awaiting UA"
    """The client has sent SNRM."""
    NRM = "NRM"
    """Normal response mode: the link is up."""
    AWAITING_RELEASE = "awaiting release"
    """The client has sent DISC."""


class Stimulus(Enum):
    """What can happen to a link: frames, requests of the owner, and timers."""

    SNRM = "SNRM"
    DISC = "DISC"
    UA = "UA"
    DM = "DM"
    FRMR = "FRMR"
    I = "I"  # noqa: E741 - the standard's name
    RR = "RR"
    RNR = "RNR"
    REJ = "REJ"
    UI = "UI"
    UNKNOWN = "unknown control"
    BAD_NUMBER = "N(R) out of range"
    OVERFLOW = "APDU too long"
    CONNECT = "connect"
    DISCONNECT = "disconnect"
    MEDIUM_LOST = "medium lost"
    TIMEOUT = "timeout"
    EXHAUSTED = "retries exhausted"
    INACTIVE = "inactivity"


_C, _S = Role.CLIENT, Role.SERVER
_NDM, _AWAITING_UA, _NRM, _RELEASE = State

TRANSITIONS: Final[dict[tuple[Role, State, Stimulus], tuple[str, State]]] = {
    (_C, _NDM, Stimulus.CONNECT): ("send_snrm", _AWAITING_UA),
    (_C, _NDM, Stimulus.UI): ("take_unnumbered", _NDM),
    (_C, _AWAITING_UA, Stimulus.UA): ("come_up", _NRM),
    (_C, _AWAITING_UA, Stimulus.DM): ("note_refusal", _NDM),
    (_C, _AWAITING_UA, Stimulus.FRMR): ("note_refusal", _NDM),
    (_C, _AWAITING_UA, Stimulus.UI): ("take_unnumbered", _AWAITING_UA),
    (_C, _AWAITING_UA, Stimulus.TIMEOUT): ("repeat_snrm", _AWAITING_UA),
    (_C, _AWAITING_UA, Stimulus.EXHAUSTED): ("go_down", _NDM),
    (_C, _AWAITING_UA, Stimulus.DISCONNECT): ("send_disc", _RELEASE),
    (_C, _AWAITING_UA, Stimulus.MEDIUM_LOST): ("go_down", _NDM),
    (_C, _NRM, Stimulus.I): ("take_information", _NRM),
    (_C, _NRM, Stimulus.RR): ("take_supervisory", _NRM),
    (_C, _NRM, Stimulus.RNR): ("take_supervisory", _NRM),
    (_C, _NRM, Stimulus.REJ): ("take_supervisory", _NRM),
    (_C, _NRM, Stimulus.UI): ("take_unnumbered", _NRM),
    (_C, _NRM, Stimulus.DM): ("note_refusal", _NDM),
    (_C, _NRM, Stimulus.FRMR): ("note_rejection", _NDM),
    (_C, _NRM, Stimulus.TIMEOUT): ("repeat_turn", _NRM),
    (_C, _NRM, Stimulus.EXHAUSTED): ("go_down", _NDM),
    (_C, _NRM, Stimulus.OVERFLOW): ("send_disc", _RELEASE),
    (_C, _NRM, Stimulus.DISCONNECT): ("send_disc", _RELEASE),
    (_C, _NRM, Stimulus.MEDIUM_LOST): ("go_down", _NDM),
    (_C, _RELEASE, Stimulus.UA): ("go_down", _NDM),
    (_C, _RELEASE, Stimulus.DM): ("go_down", _NDM),
    (_C, _RELEASE, Stimulus.UI): ("take_unnumbered", _RELEASE),
    (_C, _RELEASE, Stimulus.TIMEOUT): ("repeat_disc", _RELEASE),
    (_C, _RELEASE, Stimulus.EXHAUSTED): ("go_down", _NDM),
    (_C, _RELEASE, Stimulus.MEDIUM_LOST): ("go_down", _NDM),
    (_S, _NDM, Stimulus.SNRM): ("accept", _NRM),
    (_S, _NDM, Stimulus.DISC): ("answer_dm", _NDM),
    (_S, _NDM, Stimulus.I): ("answer_dm", _NDM),
    (_S, _NDM, Stimulus.RR): ("answer_dm", _NDM),
    (_S, _NDM, Stimulus.RNR): ("answer_dm", _NDM),
    (_S, _NDM, Stimulus.REJ): ("answer_dm", _NDM),
    (_S, _NDM, Stimulus.UNKNOWN): ("answer_dm", _NDM),
    (_S, _NDM, Stimulus.UI): ("take_unnumbered", _NDM),
    (_S, _NRM, Stimulus.SNRM): ("accept_again", _NRM),
    (_S, _NRM, Stimulus.DISC): ("release", _NDM),
    (_S, _NRM, Stimulus.I): ("take_information", _NRM),
    (_S, _NRM, Stimulus.RR): ("take_supervisory", _NRM),
    (_S, _NRM, Stimulus.RNR): ("take_supervisory", _NRM),
    (_S, _NRM, Stimulus.REJ): ("take_supervisory", _NRM),
    (_S, _NRM, Stimulus.UI): ("take_unnumbered", _NRM),
    (_S, _NRM, Stimulus.UNKNOWN): ("reject_frame", _NDM),
    (_S, _NRM, Stimulus.BAD_NUMBER): ("reject_frame", _NDM),
    (_S, _NRM, Stimulus.OVERFLOW): ("reject_frame", _NDM),
    (_S, _NRM, Stimulus.TIMEOUT): ("end_hold", _NRM),
    (_S, _NRM, Stimulus.INACTIVE): ("go_down", _NDM),
    (_S, _NRM, Stimulus.DISCONNECT): ("go_down", _NDM),
    (_S, _NRM, Stimulus.MEDIUM_LOST): ("go_down", _NDM),
}
"""(role, state, stimulus) to (action, next state). What is not here is passed over; frames are counted as ignored."""


def transition_table() -> str:
    """Write ``TRANSITIONS`` as a Markdown table, for the documentation."""
    lines = ["| role | state | stimulus | action | next state |", "|---|---|---|---|---|"]
    lines += [
        f"| {role.value} | {state.value} | {stimulus.value} | {action.replace('_', ' ')} | {following.value} |"
        for (role, state, stimulus), (action, following) in TRANSITIONS.items()
    ]
    return "\n".join(lines)


_STIMULUS_OF_KIND: Final = {kind: Stimulus.__members__.get(kind.short, Stimulus.UNKNOWN) for kind in FrameKind}

# FRMR's reasons, ISO/IEC 13239, 5.5.3.4.2: bits w, x, y, z of the third octet of its information.
_FRMR_REASONS: Final = {Stimulus.UNKNOWN: 0x01, Stimulus.OVERFLOW: 0x04, Stimulus.BAD_NUMBER: 0x08}


class HdlcLink:
    """One HDLC link; a ``Link``."""

    def __init__(self, role: Role, config: HdlcConfig) -> None:
        self._role = role
        self._config = config
        self._counts = LinkCounts()
        self._reader = HdlcReader()
        self._events: deque[LinkEvent] = deque()
        self._output = bytearray()
        self._state = State.NDM
        self._stimulus = Stimulus.DISCONNECT
        self._down_reason = (Failure(FailureKind.CANCELLED), False)
        self._own_address = config.source
        self._peer_address = config.destination
        self._unnumbered_in = bytearray()
        self._unnumbered_source: HdlcAddress | None = None
        self._unnumbered_out: deque[HdlcFrame] = deque()
        self._octet_deadline: float | None = None
        self._reset(HdlcParameters())

    def _reset(self, negotiated: HdlcParameters) -> None:
        """Start numbers, queues and timers of NRM afresh (6.4.4.3)."""
        self._negotiated = negotiated
        self._send_base = 0  # V(A): N(S) of the oldest frame not acknowledged
        self._receive_next = 0  # V(R)
        self._unacknowledged: deque[tuple[bytes, bool]] = deque()
        self._queue: deque[tuple[bytes, bool]] = deque()
        self._queue_octets = 0
        self._received = bytearray()
        self._expects_segment = False
        self._has_turn = self._role is Role.CLIENT
        self._answer_is_due = False
        self._peer_is_busy = False
        self._is_busy = False
        self._dropped_while_busy = False
        self._has_exchanged = False
        self._tries = self._resends = self._polls = 0
        self._response_deadline: float | None = None  # client: F is awaited; server: the application's answer is
        self._poll_deadline: float | None = None
        self._inactivity_deadline: float | None = None

    # --- what the owner sees

    @property
    def role(self) -> Role:
        """Client (primary station) or server (secondary station)."""
        return self._role

    @property
    def config(self) -> HdlcConfig:
        """As given."""
        return self._config

    @property
    def state(self) -> State:
        """The state of the link."""
        return self._state

    @property
    def is_up(self) -> bool:
        """Whether ``send`` may be called."""
        return self._state is State.NRM

    @property
    def counts(self) -> LinkCounts:
        """What has passed so far."""
        return self._counts

    @property
    def negotiated(self) -> HdlcParameters:
        """The limits in force, from the view of this side; the standard's defaults while down."""
        return self._negotiated

    def connect(self, now: float) -> None:
        """Set normal response mode (client); a server listens already, and a link that is up stays so."""
        self._step(Stimulus.CONNECT, now)

    def disconnect(self, now: float) -> None:
        """Disconnect: a client by DISC; a server at once, answering DM from then on."""
        self._note_down(FailureKind.CANCELLED, "disconnected", by_peer=False)
        self._step(Stimulus.DISCONNECT, now)

    def medium_lost(self, now: float) -> None:
        """Tell the link that the medium is gone: nothing more can be sent, and what came in part is forgotten."""
        self._reader = HdlcReader()
        self._octet_deadline = None
        self._note_down(FailureKind.LINK_LOST, "the connection was closed", by_peer=True)
        self._step(Stimulus.MEDIUM_LOST, now)
        self._output.clear()

    def send(self, apdu: bytes, now: float) -> None:
        """Send one APDU, in as many segments as the negotiated length asks for.

        Raises:
            LinkNotUpError: the link is not up.
            ValueError: the APDU is too long, or too much waits already.

        """
        if not self.is_up:
            raise LinkNotUpError(f"the HDLC link is in {self._state.value}")
        segments = self._segments_of(apdu, self._negotiated.information_transmit_max)
        if self._queue_octets + len(apdu) > SEND_QUEUE_OCTETS_MAX:
            raise ValueError(f"{self._queue_octets} octets wait to be sent already")
        self._queue.extend(segments)
        self._queue_octets += sum(len(octets) for octets, _ in segments)
        self._answer_is_due = self._role is Role.CLIENT
        self._has_exchanged = True
        self._polls = 0
        self._use_turn(now)

    def send_unnumbered(self, apdu: bytes, now: float) -> None:
        """Send one APDU in UI frames to the configured destination: push; it needs no link, and none acknowledges it.

        Raises:
            ValueError: the APDU is too long, or too much waits already.

        """
        segments = self._segments_of(apdu, self._config.parameters.information_transmit_max)
        waiting = sum(len(frame.information) for frame in self._unnumbered_out)
        if waiting + len(apdu) > SEND_QUEUE_OCTETS_MAX:
            raise ValueError(f"{waiting} octets wait to be sent already")
        control = control_octet(FrameKind.UNNUMBERED_INFORMATION)
        source, destination = self._config.source, self._config.destination
        self._unnumbered_out.extend(
            HdlcFrame(destination, source, control, octets, segmented) for octets, segmented in segments
        )
        if self._state is not State.NRM or self._has_turn:
            self._send_unnumbered()
        self._use_turn(now)

    def set_busy(self, now: float, *, is_busy: bool) -> None:
        """Say whether this side cannot take I frames for now (RNR), or can again (RR)."""
        self._is_busy = is_busy
        if not is_busy:
            self._use_turn(now)

    def receive(self, octets: bytes, now: float) -> None:
        """Take octets from the line, in any cut."""
        self._counts.octets_received += len(octets)
        self._take_items(self._reader.feed(octets), now)
        self._octet_deadline = now + self._config.octet_timeout_s if self._reader.pending else None

    def advance(self, now: float) -> None:
        """Run every timer that is due."""
        if _is_due(self._octet_deadline, now):
            self._octet_deadline = None
            self._take_items(self._reader.flush(), now)
        if _is_due(self._response_deadline, now):
            self._response_deadline = None
            self._time_out(now)
        if _is_due(self._poll_deadline, now):
            self._poll_deadline = None
            self._send_supervisory(now)
        if _is_due(self._inactivity_deadline, now):
            self._down_reason = (
                Failure(FailureKind.TIMEOUT, f"no frame for {self._config.inactivity_timeout_s:g} s"),
                False,
            )
            self._step(Stimulus.INACTIVE, now)

    def deadline(self) -> float | None:
        """When ``advance`` must be called next, or None."""
        timers = (self._octet_deadline, self._response_deadline, self._poll_deadline, self._inactivity_deadline)
        return min((due for due in timers if due is not None), default=None)

    def octets_to_send(self) -> bytes:
        """Take all octets that are ready for the line; b"" if none."""
        octets = bytes(self._output)
        self._output.clear()
        self._counts.octets_sent += len(octets)
        return octets

    def next_event(self) -> LinkEvent | None:
        """Take the next event in order, or None."""
        return self._events.popleft() if self._events else None

    # --- from octets to stimuli

    def _take_items(self, items: list[HdlcFrame | Damaged], now: float) -> None:
        for item in items:
            if isinstance(item, Damaged):
                self._note_damage(item.octets, item.error)
            else:
                self._counts.frames_received += 1
                self._take_frame(item, now)

    def _take_frame(self, frame: HdlcFrame, now: float) -> None:
        if not self._is_ours(frame):
            self._counts.frames_ignored += 1
            return
        if self._role is Role.SERVER and self.is_up and frame.kind is not FrameKind.UNNUMBERED_INFORMATION:
            if self._is_of_another_link(frame):
                self._counts.frames_ignored += 1  # one link at a time: the other client is told so
                self._answer_dm(frame, now)
                return
            self._note_activity(now)
        if not self._step(_STIMULUS_OF_KIND[frame.kind], now, frame):
            self._counts.frames_ignored += 1

    def _step(self, stimulus: Stimulus, now: float, frame: HdlcFrame | None = None) -> bool:
        """Do what the table says; False where it says nothing."""
        transition = TRANSITIONS.get((self._role, self._state, stimulus))
        if transition is None:
            return False
        action, self._state = transition
        self._stimulus = stimulus
        getattr(self, f"_{action}")(frame, now)
        return True

    def _is_ours(self, frame: HdlcFrame) -> bool:
        if self._config.matching is AddressMatching.ANY:
            return True
        if self._role is Role.CLIENT:
            return frame.destination.upper == self._config.source.upper and self._is_same_server(
                frame.source, self._config.destination
            )
        if frame.destination.is_all_stations:  # nobody answers a broadcast (6.4.2.3)
            return frame.kind is FrameKind.UNNUMBERED_INFORMATION
        return any(
            self._is_same_server(frame.destination, own)
            for own in (self._config.source, *map(self._logical_device, self._config.logical_devices))
        )

    def _is_of_another_link(self, frame: HdlcFrame) -> bool:
        """Whether another client sent it, or it is for another logical device; SNRM may move a client between those."""
        is_moved = frame.destination.upper != self._own_address.upper
        return frame.source.upper != self._peer_address.upper or (
            is_moved and frame.kind is not FrameKind.SET_NORMAL_RESPONSE_MODE
        )

    def _logical_device(self, upper: int) -> HdlcAddress:
        return HdlcAddress(upper, self._config.source.lower, self._config.source.size)

    def _is_same_server(self, found: HdlcAddress, expected: HdlcAddress) -> bool:
        if (found.upper, found.lower) == (expected.upper, expected.lower):
            return True
        if self._config.matching is AddressMatching.STRICT:
            return False
        if found.lower is None or expected.lower is None:
            return found.upper == expected.upper
        if self._role is Role.SERVER:
            return False
        is_same_meter = found.lower == expected.lower
        return is_same_meter or (found.upper, found.lower) == (expected.lower, expected.upper)

    # --- actions of the table: setting up and taking down

    def _send_snrm(self, _frame: HdlcFrame | None, now: float) -> None:
        self._reset(HdlcParameters())
        self._down_reason = (
            Failure(FailureKind.NO_LINK, f"no response after {self._config.retries_max + 1} attempts"),
            False,
        )
        self._repeat_snrm(None, now)

    def _repeat_snrm(self, _frame: HdlcFrame | None, now: float) -> None:
        own = self._config.parameters
        information = b"" if own == HdlcParameters() else write_parameters(own)
        self._command(FrameKind.SET_NORMAL_RESPONSE_MODE, now, information)

    def _negotiate(self, frame: HdlcFrame) -> HdlcParameters:
        """Take the lesser of what one side sends and the other can take (6.4.4.4.3).

        Some servers write this field wrongly; the link then comes up with the defaults, which all stations take.
        """
        own, peer = self._config.parameters, _DEFAULTS
        try:
            peer = read_parameters(frame.information)
        except WireError as error:
            self._note_damage(frame.information, error)
        return HdlcParameters(
            min(own.information_transmit_max, peer.information_receive_max),
            min(own.information_receive_max, peer.information_transmit_max),
            min(own.window_transmit, peer.window_receive),
            min(own.window_receive, peer.window_transmit),
        )

    def _send_disc(self, _frame: HdlcFrame | None, now: float) -> None:
        self._reset(self._negotiated)
        if self._stimulus is Stimulus.OVERFLOW:
            self._note_down(FailureKind.PROTOCOL, "the peer's APDU is too long", by_peer=True)
        self._repeat_disc(None, now)

    def _repeat_disc(self, _frame: HdlcFrame | None, now: float) -> None:
        self._command(FrameKind.DISCONNECT, now)

    def _command(self, kind: FrameKind, now: float, information: bytes = b"") -> None:
        self._transmit(control_octet(kind, poll_final=True), information)
        self._response_deadline = now + self._config.response_timeout_s

    def _come_up(self, frame: HdlcFrame, now: float) -> None:  # noqa: ARG002 - one signature for every action
        self._reset(self._negotiate(frame))
        self._emit(LinkUp(frame.source.upper, self._config.source.upper))

    def _accept(self, frame: HdlcFrame, now: float) -> None:
        self._own_address, self._peer_address = frame.destination, frame.source
        if frame.destination.is_all_stations:
            self._own_address = self._config.source
        self._reset(self._negotiate(frame))
        self._note_activity(now)
        self._answer(frame, FrameKind.UNNUMBERED_ACKNOWLEDGE, write_parameters(self._negotiated))
        self._emit(LinkUp(frame.source.upper, self._own_address.upper))

    def _accept_again(self, frame: HdlcFrame, now: float) -> None:
        if self._has_exchanged or frame.destination != self._own_address:
            words = "the client set the mode again"
            self._emit(LinkDown(Failure(FailureKind.LINK_LOST, words), by_peer=True))
            self._accept(frame, now)
        else:  # our UA was lost
            self._answer(frame, FrameKind.UNNUMBERED_ACKNOWLEDGE, write_parameters(self._negotiated))

    def _release(self, frame: HdlcFrame, now: float) -> None:
        self._answer(frame, FrameKind.UNNUMBERED_ACKNOWLEDGE)
        self._note_down(FailureKind.LINK_LOST, "the client disconnected", by_peer=True)
        self._go_down(frame, now)

    def _answer_dm(self, frame: HdlcFrame, now: float) -> None:  # noqa: ARG002 - one signature for every action
        if frame.poll_final:
            self._answer(frame, FrameKind.DISCONNECTED_MODE)

    def _answer(self, frame: HdlcFrame, kind: FrameKind, information: bytes = b"") -> None:
        """Answer one command with an unnumbered response, from the address that it called."""
        source = self._config.source if frame.destination.is_all_stations else frame.destination
        self._write(HdlcFrame(frame.source, source, control_octet(kind, poll_final=True), information))

    def _reject_frame(self, frame: HdlcFrame, now: float) -> None:
        numbers = (self._receive_next << 5) | (self._send_base + len(self._unacknowledged)) % SEQUENCE_MODULUS << 1
        self._answer(frame, FrameKind.FRAME_REJECT, bytes([frame.control, numbers, _FRMR_REASONS[self._stimulus]]))
        self._note_down(FailureKind.PROTOCOL, f"a frame was rejected: {self._stimulus.value}", by_peer=True)
        self._go_down(frame, now)

    def _note_rejection(self, frame: HdlcFrame, now: float) -> None:
        self._down_reason = (
            Failure(
                FailureKind.PROTOCOL, f"the server rejected a frame ({frame.information.hex() or 'no reason given'})"
            ),
            True,
        )
        self._go_down(frame, now)

    def _note_refusal(self, frame: HdlcFrame, now: float) -> None:
        kind = FailureKind.LINK_LOST if self._has_exchanged else FailureKind.LINK_REFUSED
        self._note_down(kind, f"the server is in disconnected mode ({frame.kind.short})", by_peer=True)
        self._go_down(frame, now)

    def _note_down(self, kind: FailureKind, words: str, *, by_peer: bool) -> None:
        self._down_reason = (Failure(kind, words), by_peer)

    def _go_down(self, _frame: HdlcFrame | None, now: float) -> None:  # noqa: ARG002 - one signature for every action
        self._reset(HdlcParameters())
        self._own_address, self._peer_address = self._config.source, self._config.destination
        self._send_unnumbered()
        failure, by_peer = self._down_reason
        self._emit(LinkDown(failure, by_peer))

    # --- actions of the table: data

    def _take_information(self, frame: HdlcFrame, now: float) -> None:
        send_number, receive_number = frame.control >> 1 & 7, frame.control >> 5
        ahead = (send_number - self._receive_next) % SEQUENCE_MODULUS
        if self._role is Role.CLIENT and ahead >= self._negotiated.window_receive:
            self._counts.frames_ignored += 1  # a late answer to a question that was repeated: its turn is over
            return
        if not self._acknowledge(receive_number):
            self._take_bad_number(frame, now)
            return
        self._peer_is_busy = False
        if ahead:
            self._counts.frames_ignored += 1
        elif self._is_busy:
            self._dropped_while_busy = True
        elif not self._take_segment(frame):
            self._step(Stimulus.OVERFLOW, now, frame)
            return
        self._pass_turn(frame, now)

    def _take_supervisory(self, frame: HdlcFrame, now: float) -> None:
        if not self._acknowledge(frame.control >> 5):
            self._take_bad_number(frame, now)
            return
        self._peer_is_busy = frame.kind is FrameKind.RECEIVE_NOT_READY
        self._pass_turn(frame, now)

    def _take_bad_number(self, frame: HdlcFrame, now: float) -> None:
        if not self._step(Stimulus.BAD_NUMBER, now, frame):
            self._counts.frames_ignored += 1

    def _acknowledge(self, receive_number: int) -> bool:
        """Drop what N(R) acknowledges; False where it acknowledges what was never sent."""
        count = (receive_number - self._send_base) % SEQUENCE_MODULUS
        if count > len(self._unacknowledged):
            return False
        for _ in range(count):
            self._unacknowledged.popleft()
        self._send_base = receive_number
        if count:
            self._resends = 0
        return True

    def _take_segment(self, frame: HdlcFrame) -> bool:
        """Take the next I frame in sequence; False where the APDU becomes too long."""
        self._receive_next = (self._receive_next + 1) % SEQUENCE_MODULUS
        self._has_exchanged = True
        self._polls = 0
        self._received += frame.information
        if len(self._received) > self._config.apdu_size_max + LLC_SIZE:
            return False
        self._expects_segment = frame.segmented
        if not frame.segmented:
            octets = bytes(self._received)
            self._received.clear()
            self._answer_is_due = self._deliver(octets, frame, is_numbered=True) and self._role is Role.SERVER
        return True

    def _take_unnumbered(self, frame: HdlcFrame, now: float) -> None:
        if frame.source != self._unnumbered_source:
            self._unnumbered_in.clear()
        self._unnumbered_source = frame.source
        self._unnumbered_in += frame.information
        octets = bytes(self._unnumbered_in)
        if len(octets) > self._config.apdu_size_max + LLC_SIZE:
            self._unnumbered_in.clear()
            self._note_damage(frame.information, WireError("the APDU is too long", None, "information"))
        elif not frame.segmented:
            self._unnumbered_in.clear()
            self._deliver(octets, frame, is_numbered=False)
        if self._role is Role.SERVER and self.is_up and frame.source == self._peer_address:
            self._pass_turn(frame, now)

    def _deliver(self, octets: bytes, frame: HdlcFrame, *, is_numbered: bool) -> bool:
        if not has_llc(octets):  # some meters use one of them both ways
            self._note_damage(octets, WireError("no LLC header", 0, "LLC", "IEC 62056-46, 5.3.2"))
            return False
        self._emit(ApduReceived(octets[LLC_SIZE:], frame.source.upper, frame.destination.upper, is_numbered))
        return True

    def _pass_turn(self, frame: HdlcFrame, now: float) -> None:
        """Take the turn if the frame gives it."""
        if not frame.poll_final:
            if self._role is Role.CLIENT and self._response_deadline is not None:
                self._response_deadline = now + self._config.response_timeout_s
            return
        if not self._has_turn:
            self._has_turn = True
            self._response_deadline = None
        self._tries = 0
        self._use_turn(now)

    def _use_turn(self, now: float) -> None:
        """Send what can be sent, if it is our turn; the last frame passes the turn."""
        if not self._has_turn or not self.is_up:
            return
        self._poll_deadline = None
        self._send_unnumbered()
        can_send = (self._unacknowledged or self._queue) and not self._peer_is_busy
        if can_send and self._role is Role.CLIENT and self._unacknowledged:
            self._resends += 1
            if self._resends > self._config.retries_max:
                self._note_down(FailureKind.TIMEOUT, "the peer answers and takes nothing", by_peer=True)
                self._step(Stimulus.EXHAUSTED, now)
                return
        if can_send:
            self._send_window(now)
        elif self._role is Role.CLIENT:
            self._wait_or_poll(now)
        elif not self._answer_is_due:
            self._send_supervisory(now)
        elif self._response_deadline is None:
            self._response_deadline = now + self._config.hold_s

    def _wait_or_poll(self, now: float) -> None:
        """Ask for the next segment at once, for an answer or a peer that was busy later, and else keep the turn."""
        if self._is_busy:
            return
        if self._expects_segment or self._dropped_while_busy:
            self._dropped_while_busy = False
            self._send_supervisory(now)
        elif self._answer_is_due or self._peer_is_busy:
            self._polls += 1
            if self._polls <= self._config.polls_max:
                self._poll_deadline = now + self._config.poll_interval_s
            elif self._queue or self._unacknowledged:
                self._note_down(FailureKind.TIMEOUT, "the peer stays busy", by_peer=True)
                self._step(Stimulus.EXHAUSTED, now)

    def _send_window(self, now: float) -> None:
        self._counts.frames_repeated += len(self._unacknowledged)
        while self._queue and len(self._unacknowledged) < self._negotiated.window_transmit:
            segment = self._queue.popleft()
            self._queue_octets -= len(segment[0])
            self._unacknowledged.append(segment)
        last = len(self._unacknowledged) - 1
        for index, (octets, segmented) in enumerate(self._unacknowledged):
            number = (self._send_base + index) % SEQUENCE_MODULUS
            control = control_octet(
                FrameKind.INFORMATION,
                poll_final=index == last,
                send_number=number,
                receive_number=self._receive_next,
            )
            self._transmit(control, octets, segmented=segmented)
        self._yield_turn(now)

    def _send_supervisory(self, now: float) -> None:
        kind = FrameKind.RECEIVE_NOT_READY if self._is_busy else FrameKind.RECEIVE_READY
        self._transmit(control_octet(kind, poll_final=True, receive_number=self._receive_next))
        self._yield_turn(now)

    def _yield_turn(self, now: float) -> None:
        self._has_turn = False
        self._poll_deadline = None
        is_client = self._role is Role.CLIENT
        self._response_deadline = now + self._config.response_timeout_s if is_client else None

    def _end_hold(self, _frame: HdlcFrame | None, now: float) -> None:
        """Give the turn back without the application's answer, which then waits for the next poll."""
        self._answer_is_due = False
        self._use_turn(now)

    def _time_out(self, now: float) -> None:
        if self._role is Role.CLIENT:
            self._tries += 1
            if self._tries > self._config.retries_max:
                if self._state is State.NRM:
                    self._down_reason = (
                        Failure(FailureKind.TIMEOUT, f"no response after {self._tries} attempts"),
                        False,
                    )
                self._step(Stimulus.EXHAUSTED, now)
                return
            self._counts.frames_repeated += not self._unacknowledged
        self._step(Stimulus.TIMEOUT, now)

    def _repeat_turn(self, _frame: HdlcFrame | None, now: float) -> None:
        if self._unacknowledged and not self._peer_is_busy:
            self._send_window(now)
        else:
            self._send_supervisory(now)

    # --- helpers

    def _segments_of(self, apdu: bytes, size_max: int) -> list[tuple[bytes, bool]]:
        """Cut LLC header and APDU into information fields; each with whether more follow."""
        if not 1 <= len(apdu) <= self._config.apdu_size_max:
            raise ValueError(f"an APDU of {len(apdu)} octets; 1 to {self._config.apdu_size_max} can be sent")
        octets = (LLC_COMMAND if self._role is Role.CLIENT else LLC_RESPONSE) + apdu
        return [(octets[at : at + size_max], at + size_max < len(octets)) for at in range(0, len(octets), size_max)]

    def _transmit(self, control: int, information: bytes = b"", *, segmented: bool = False) -> None:
        self._write(HdlcFrame(self._peer_address, self._own_address, control, information, segmented))

    def _send_unnumbered(self) -> None:
        while self._unnumbered_out:
            self._write(self._unnumbered_out.popleft())

    def _write(self, frame: HdlcFrame) -> None:
        octets = write_frame(frame)
        if len(self._output) + len(octets) > OUTPUT_OCTETS_MAX:
            self._counts.octets_dropped += len(octets)
            return
        self._output += octets
        self._counts.frames_sent += 1

    def _note_activity(self, now: float) -> None:
        timeout_s = self._config.inactivity_timeout_s
        self._inactivity_deadline = None if timeout_s is None else now + timeout_s

    def _note_damage(self, octets: bytes, error: WireError) -> None:
        self._counts.frames_damaged += 1
        if len(self._events) < EVENTS_MAX:
            self._emit(FrameDamaged(octets, error))

    def _emit(self, event: LinkEvent) -> None:
        self._events.append(event)


def _is_due(deadline: float | None, now: float) -> bool:
    return deadline is not None and now >= deadline
