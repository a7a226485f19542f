"""The HDLC link of IEC 62056-46, 6.4.4, in normal response mode: the client is the primary station, the server answers.

Strategy: ``TRANSITIONS`` gives the action for each stimulus in each state, for both roles: that is setting up and
releasing. While the link is up, a ``Turn`` of its own moves the data; a new link begins with a new one.
"""

from collections import deque
from typing import Final, assert_never

from meterspan.engine.hdlc.addressing import is_of_another_link, is_ours
from meterspan.engine.hdlc.config import HdlcConfig
from meterspan.engine.hdlc.table import STIMULUS_OF_KIND, TRANSITIONS, LinkAction, State, Stimulus
from meterspan.engine.hdlc.turn import Segment, Turn, Verdict
from meterspan.engine.link import (
    SEND_QUEUE_OCTETS_MAX,
    ApduReceived,
    LinkCore,
    LinkDown,
    LinkEvent,
    LinkNotUpError,
    LinkUp,
    Role,
)
from meterspan.engine.timers import earliest, is_due
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
from meterspan.wire.hdlc.llc import LLC_COMMAND, LLC_RESPONSE, LLC_SIZE, has_llc

__all__ = ["OUTPUT_OCTETS_MAX", "HdlcLink"]

OUTPUT_OCTETS_MAX: Final = 1 << 18
"""Octets made for a medium that does not accept them; beyond it frames are dropped as if lost, for polls are cheap."""

_STANDARD: Final = HdlcParameters()
_DISCONNECTED: Final = LinkDown(Failure(FailureKind.CANCELLED, "disconnected"), by_peer=False)
_LOST: Final = LinkDown(Failure(FailureKind.LINK_LOST, "the connection was closed"), by_peer=True)

_MODE_COMMANDS: Final = frozenset({FrameKind.SET_NORMAL_RESPONSE_MODE, FrameKind.DISCONNECT})

# FRMR's reasons, ISO/IEC 13239, 5.5.3.4.2: bits w, x, y, z of the third octet of its information.
_FRMR_REASONS: Final = {Stimulus.UNKNOWN: 0x01, Stimulus.OVERFLOW: 0x04, Stimulus.BAD_NUMBER: 0x08}


class HdlcLink(LinkCore[HdlcConfig]):
    """One HDLC link; a ``Link``."""

    def __init__(self, role: Role, config: HdlcConfig) -> None:
        super().__init__(role, config)
        self._reader = HdlcReader()
        self._output = bytearray()
        self._state = State.NDM
        self._down = _DISCONNECTED
        self._own_address = config.source
        self._peer_address = config.destination
        self._unnumbered_in = bytearray()
        self._unnumbered_source: HdlcAddress | None = None
        self._unnumbered_out: deque[HdlcFrame] = deque()
        self._octet_deadline: float | None = None
        self._answer_deadline: float | None = None  # of UA, while setting up or releasing
        self._inactivity_deadline: float | None = None
        self._tries = 0
        self._negotiated = _STANDARD
        self._turn: Turn | None = None

    # --- the owner's view

    @property
    def state(self) -> State:
        """The state of the link."""
        return self._state

    @property
    def is_up(self) -> bool:
        """Whether ``send`` may be called."""
        return self._turn is not None

    @property
    def is_over(self) -> bool:
        """False: a line carries another link after each."""
        return False

    @property
    def negotiated(self) -> HdlcParameters:
        """The limits in force, from the view of this side; the standard's defaults while down."""
        return self._negotiated

    def connect(self, now: float) -> None:
        """Set normal response mode (client); a server listens already, and a link that is up stays so."""
        self._step(Stimulus.CONNECT, now)

    def disconnect(self, now: float) -> None:
        """Disconnect: a client by DISC; a server at once, answering DM from then on."""
        self._step(Stimulus.DISCONNECT, now, down=_DISCONNECTED)

    def medium_lost(self, now: float) -> None:
        """Note that the medium is gone: nothing more can be sent, and partial frames are dropped."""
        self._reader = HdlcReader()
        self._octet_deadline = None
        self._step(Stimulus.MEDIUM_LOST, now, down=_LOST)
        self._output.clear()

    def send(self, apdu: bytes, now: float, *, answers: ApduReceived | None = None) -> None:  # noqa: ARG002 - one signature for every link
        """Send one APDU, in as many segments as the negotiated length asks for.

        Args:
            apdu: the APDU.
            now: UTC seconds.
            answers: what it answers; without effect, as the link has one client at a time.

        Raises:
            LinkNotUpError: the link is not up.
            ValueError: the APDU is too long, or too much waits already.

        """
        if self._turn is None:
            raise LinkNotUpError(f"the HDLC link is in {self._state.value}")
        self._turn.send(self._segments_of(apdu, self._negotiated.information_transmit_max), now)
        self._follow(self._turn, now)

    def send_unnumbered(self, apdu: bytes, now: float) -> None:
        """Send one APDU in UI frames to the configured destination: push; it needs no link, and none acknowledges it.

        Raises:
            ValueError: the APDU is too long, or too much waits already.

        """
        segments = self._segments_of(apdu, self._config.parameters.information_transmit_max)
        waiting = sum(len(frame.information) for frame in self._unnumbered_out)
        if waiting + len(apdu) > SEND_QUEUE_OCTETS_MAX:
            raise ValueError(f"{waiting} octets wait to be sent already")
        # Without a link nobody has polled: F is set, as in the pushes of meters in the field, and receivers expect it.
        is_final = self._role is Role.SERVER and self._turn is None
        control = control_octet(FrameKind.UNNUMBERED_INFORMATION, poll_final=is_final)
        source, destination = self._config.source, self._config.destination
        self._unnumbered_out.extend(
            HdlcFrame(destination, source, control, octets, segmented) for octets, segmented in segments
        )
        if self._turn is None or self._turn.has_turn:
            self._send_unnumbered()
        if self._turn is not None:
            self._turn.go_on(now)
            self._follow(self._turn, now)

    def receive(self, octets: bytes, now: float) -> None:
        """Receive octets from the line, in any cut."""
        self._counts.octets_received += len(octets)
        self._read(self._reader.feed(octets), now)
        self._octet_deadline = now + self._config.octet_timeout_s if self._reader.pending else None

    def advance(self, now: float) -> None:
        """Run every timer that is due."""
        if is_due(self._octet_deadline, now):
            self._octet_deadline = None
            self._read(self._reader.flush(), now)
        if is_due(self._answer_deadline, now):
            self._answer_deadline = None
            self._try_again(now)
        if self._turn is not None:
            self._turn.advance(now)
            self._follow(self._turn, now)
        if is_due(self._inactivity_deadline, now):
            words = f"no frame for {self._config.inactivity_timeout_s:g} s"
            self._step(Stimulus.INACTIVE, now, down=LinkDown(Failure(FailureKind.TIMEOUT, words), by_peer=False))

    def deadline(self) -> float | None:
        """When ``advance`` must be called next, or None."""
        turn = None if self._turn is None else self._turn.deadline()
        return earliest(self._octet_deadline, self._answer_deadline, turn, self._inactivity_deadline)

    def octets_to_send(self) -> bytes:
        """Return all octets that are ready for the line; b"" if none."""
        octets = bytes(self._output)
        self._output.clear()
        self._counts.octets_sent += len(octets)
        return octets

    # --- from octets to stimuli

    def _read(self, items: list[HdlcFrame | Damaged], now: float) -> None:
        for item in items:
            if isinstance(item, Damaged):
                self._note_damage(item.octets, item.error)
            else:
                self._counts.frames_received += 1
                self._receive_frame(item, now)

    def _receive_frame(self, frame: HdlcFrame, now: float) -> None:
        if not is_ours(frame, self._role, self._config) or _is_silent_command(frame, self._role):
            self._counts.frames_ignored += 1
            return
        if self._role is Role.SERVER and self.is_up and frame.kind is not FrameKind.UNNUMBERED_INFORMATION:
            if is_of_another_link(frame, own=self._own_address, peer=self._peer_address):
                self._counts.frames_ignored += 1  # one link at a time: DM is the answer to the other client
                self._answer_dm(frame)
                return
            self._note_activity(now)
        if not self._step(STIMULUS_OF_KIND[frame.kind], now, frame=frame):
            self._counts.frames_ignored += 1

    def _step(
        self, stimulus: Stimulus, now: float, *, frame: HdlcFrame | None = None, down: LinkDown | None = None
    ) -> bool:
        """Carry out the table's action; False where it has none.

        Args:
            stimulus: what happened.
            now: UTC seconds.
            frame: of a stimulus that is a frame, or the fault of one.
            down: why the link goes down, where the stimulus is not a frame.

        """
        transition = TRANSITIONS.get((self._role, self._state, stimulus))
        if transition is None:
            return False
        action, self._state = transition
        if frame is None:
            self._act(action, now, self._down if down is None else down)
        else:
            self._act_on_frame(action, stimulus, frame, now)
        return True

    def _act(self, action: LinkAction, now: float, down: LinkDown) -> None:
        """Carry out a request of the owner or a timer."""
        match action:
            case LinkAction.SEND_SNRM:
                self._tries = 0
                words = f"no response after {self._config.retries_max + 1} attempts"
                self._down = LinkDown(Failure(FailureKind.NO_LINK, words), by_peer=False)
                self._send_snrm(now)
            case LinkAction.REPEAT_SNRM:
                self._send_snrm(now)
            case LinkAction.SEND_DISC:
                self._leave(down, now)
            case LinkAction.REPEAT_DISC:
                self._command(FrameKind.DISCONNECT, now)
            case LinkAction.GO_DOWN:
                self._go_down(down)
            case _:
                raise AssertionError(f"{action} needs a frame")

    def _act_on_frame(self, action: LinkAction, stimulus: Stimulus, frame: HdlcFrame, now: float) -> None:
        match action:
            case LinkAction.EXCHANGE:
                self._exchange(frame, now)
            case LinkAction.RECEIVE_UNNUMBERED:
                self._receive_unnumbered(frame, now)
            case LinkAction.COME_UP:
                self._begin(frame)
                self._emit(LinkUp(frame.source.upper, self._config.source.upper))
            case LinkAction.ACCEPT:
                self._accept(frame, now)
            case LinkAction.ACCEPT_AGAIN:
                self._accept_again(frame, now)
            case LinkAction.RELEASE:
                self._answer(frame, FrameKind.UNNUMBERED_ACKNOWLEDGE)
                self._go_down_by_peer(FailureKind.LINK_LOST, "the client disconnected")
            case LinkAction.ANSWER_DM:
                self._answer_dm(frame)
            case LinkAction.REJECT_FRAME:
                self._reject(frame, stimulus)
            case LinkAction.NOTE_REFUSAL:
                has_exchanged = self._turn is not None and self._turn.has_exchanged
                kind = FailureKind.LINK_LOST if has_exchanged else FailureKind.LINK_REFUSED
                self._go_down_by_peer(kind, f"the server is in disconnected mode ({frame.kind.short})")
            case LinkAction.NOTE_REJECTION:
                reason = frame.information.hex() or "no reason given"
                self._go_down_by_peer(FailureKind.PROTOCOL, f"the server rejected a frame ({reason})")
            case LinkAction.SEND_DISC:
                too_long = Failure(FailureKind.PROTOCOL, "the peer's APDU is too long")
                self._leave(LinkDown(too_long, by_peer=True), now)
            case LinkAction.GO_DOWN:
                self._go_down(self._down)
            case LinkAction.SEND_SNRM | LinkAction.REPEAT_SNRM | LinkAction.REPEAT_DISC:
                raise AssertionError(f"no frame causes {action}")
            case _:
                assert_never(action)

    # --- setting up and taking down

    def _send_snrm(self, now: float) -> None:
        own = self._config.parameters
        self._command(FrameKind.SET_NORMAL_RESPONSE_MODE, now, b"" if own == _STANDARD else write_parameters(own))

    def _leave(self, down: LinkDown, now: float) -> None:
        """Send DISC; the link is down once it is acknowledged, or its retries are exhausted."""
        self._turn = None
        self._tries = 0
        self._down = down
        self._command(FrameKind.DISCONNECT, now)

    def _command(self, kind: FrameKind, now: float, information: bytes = b"") -> None:
        self._transmit(control_octet(kind, poll_final=True), information)
        self._answer_deadline = now + self._config.response_timeout_s

    def _try_again(self, now: float) -> None:
        self._tries += 1
        if self._tries > self._config.retries_max:
            self._step(Stimulus.EXHAUSTED, now)
            return
        self._counts.frames_repeated += 1
        self._step(Stimulus.TIMEOUT, now)

    def _begin(self, frame: HdlcFrame) -> None:
        """Reset numbers, queues and timers of normal response mode (6.4.4.3)."""
        self._answer_deadline = None
        self._negotiated = self._negotiate(frame)
        self._turn = Turn(self._role, self._config, self._negotiated, self._counts)

    def _negotiate(self, frame: HdlcFrame) -> HdlcParameters:
        """Return the lesser of what one side sends and the other can receive (6.4.4.4.3).

        Some servers write this field wrongly; the link then comes up with the defaults, which all stations support.
        """
        own, peer = self._config.parameters, _STANDARD
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

    def _accept(self, frame: HdlcFrame, now: float) -> None:
        is_broadcast = frame.destination.is_all_stations
        self._own_address = self._config.source if is_broadcast else frame.destination
        self._peer_address = frame.source
        self._begin(frame)
        self._note_activity(now)
        self._answer(frame, FrameKind.UNNUMBERED_ACKNOWLEDGE, write_parameters(self._negotiated))
        self._emit(LinkUp(frame.source.upper, self._own_address.upper))

    def _accept_again(self, frame: HdlcFrame, now: float) -> None:
        has_exchanged = self._turn is not None and self._turn.has_exchanged
        if has_exchanged or frame.destination != self._own_address:
            again = Failure(FailureKind.LINK_LOST, "the client set the mode again")
            self._emit(LinkDown(again, by_peer=True))
            self._accept(frame, now)
        else:  # our UA was lost
            self._answer(frame, FrameKind.UNNUMBERED_ACKNOWLEDGE, write_parameters(self._negotiated))

    def _answer_dm(self, frame: HdlcFrame) -> None:
        if frame.poll_final:
            self._answer(frame, FrameKind.DISCONNECTED_MODE)

    def _answer(self, frame: HdlcFrame, kind: FrameKind, information: bytes = b"") -> None:
        """Answer one command with an unnumbered response, from the address that it called."""
        source = self._config.source if frame.destination.is_all_stations else frame.destination
        self._write(HdlcFrame(frame.source, source, control_octet(kind, poll_final=True), information))

    def _reject(self, frame: HdlcFrame, stimulus: Stimulus) -> None:
        send_next, receive_next = (0, 0) if self._turn is None else self._turn.numbers
        reason = bytes([frame.control, receive_next << 5 | send_next << 1, _FRMR_REASONS[stimulus]])
        self._answer(frame, FrameKind.FRAME_REJECT, reason)
        self._go_down_by_peer(FailureKind.PROTOCOL, f"a frame was rejected: {stimulus.value}")

    def _go_down_by_peer(self, kind: FailureKind, detail: str) -> None:
        self._go_down(LinkDown(Failure(kind, detail), by_peer=True))

    def _go_down(self, down: LinkDown) -> None:
        self._turn = None
        self._negotiated = _STANDARD
        self._answer_deadline = self._inactivity_deadline = None
        self._own_address, self._peer_address = self._config.source, self._config.destination
        self._send_unnumbered()
        self._emit(down)

    # --- data

    def _exchange(self, frame: HdlcFrame, now: float) -> None:
        turn = self._turn
        if turn is None:
            return
        verdict = turn.receive(frame, now)
        self._deliver_all(turn, frame)
        match verdict:
            case Verdict.IGNORED:
                self._counts.frames_ignored += 1
            case Verdict.BAD_NUMBER:
                if not self._step(Stimulus.BAD_NUMBER, now, frame=frame):
                    self._counts.frames_ignored += 1
            case Verdict.OVERFLOW:
                self._step(Stimulus.OVERFLOW, now, frame=frame)
            case Verdict.DONE:
                pass
        self._follow(turn, now)

    def _follow(self, turn: Turn, now: float) -> None:
        """Send the frames of the turn; close the link if the turn has given up."""
        if turn is not self._turn:
            return
        if turn.has_turn:
            self._send_unnumbered()
        while (item := turn.next_frame()) is not None:
            self._send_unnumbered()
            self._transmit(item.control, item.information, segmented=item.segmented)
        if turn.given_up is not None:
            self._step(Stimulus.EXHAUSTED, now, down=turn.given_up)

    def _deliver_all(self, turn: Turn, frame: HdlcFrame) -> None:
        while (octets := turn.next_information()) is not None:
            self._deliver(octets, frame, is_numbered=True)

    def _receive_unnumbered(self, frame: HdlcFrame, now: float) -> None:
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
        if self._role is Role.SERVER and self._turn is not None and frame.source == self._peer_address:
            self._turn.pass_turn(frame, now)
            self._follow(self._turn, now)

    def _deliver(self, octets: bytes, frame: HdlcFrame, *, is_numbered: bool) -> None:
        if not has_llc(octets):  # some meters use one of them both ways
            self._note_damage(octets, WireError("no LLC header", 0, "LLC", "IEC 62056-46, 5.3.2"))
            return
        self._emit(ApduReceived(octets[LLC_SIZE:], frame.source.upper, frame.destination.upper, is_numbered))

    # --- helpers

    def _segments_of(self, apdu: bytes, size_max: int) -> list[Segment]:
        """Cut LLC header and APDU into information fields."""
        if not 1 <= len(apdu) <= self._config.apdu_size_max:
            raise ValueError(f"an APDU of {len(apdu)} octets; 1 to {self._config.apdu_size_max} can be sent")
        octets = (LLC_COMMAND if self._role is Role.CLIENT else LLC_RESPONSE) + apdu
        starts = range(0, len(octets), size_max)
        return [Segment(octets[at : at + size_max], at + size_max < len(octets)) for at in starts]

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

    def _emit(self, event: LinkEvent) -> None:
        self._events.append(event)


def _is_silent_command(frame: HdlcFrame, role: Role) -> bool:
    """Whether a frame sets or releases the mode without asking for the answer (P = 0): no station may answer then."""
    return role is Role.SERVER and frame.kind in _MODE_COMMANDS and not frame.poll_final
