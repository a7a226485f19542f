"""The link over TCP or UDP: IEC 62056-47's wrapper, both roles.

TCP has done the connecting, so ``connect`` is up at once, and a server is up with the first octets it receives. What is
left is the framing, the ports, and peers that fall silent within a PDU or for good. In a stream a wrong header
ends the link for good, as no later PDU can be found; a wrong datagram is one wrong datagram. A PDU for another wPort is
not answered: no application process has that address (IEC 62056-47, 6.2).
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from meterspan.engine.link import (
    SEND_QUEUE_OCTETS_MAX,
    ApduReceived,
    LinkCore,
    LinkDown,
    LinkNotUpError,
    LinkUp,
    Role,
)
from meterspan.engine.timers import earliest, is_due
from meterspan.model.failures import Failure, FailureKind
from meterspan.wire.damaged import Damaged
from meterspan.wire.errors import WireError
from meterspan.wire.wrapper import WrapperPdu, WrapperReader, read_datagram, write_wpdu

__all__ = ["INACTIVITY_TIMEOUT_S", "PARTIAL_TIMEOUT_S", "WrapperConfig", "WrapperLink"]

PARTIAL_TIMEOUT_S: Final = 30.0
"""An incomplete PDU without a new octet for this long will not end: TCP repeats sooner, even over cellular nets."""
INACTIVITY_TIMEOUT_S: Final = 180.0
"""Default of COSEM's TCP-UDP setup, inactivity_time_out (IEC 62056-6-2, class 41)."""


@dataclass(frozen=True, slots=True)
class WrapperConfig:
    """How one wrapper link is set up.

    Attributes:
        source: this side's wPort: client SAP (16 is the public client) or logical device (1 is the management one).
        destination: the peer's wPort; a server answers the wPort that asked, and pushes to this one.
        ports: wPorts of this side at which APDUs are taken beside ``source``: further logical devices of a server.
        is_listener: a server takes what is sent to any wPort: it listens to pushes, whose senders choose it.
        apdu_size_max: octets of the longest APDU taken or sent.
        partial_timeout_s: how long a PDU may stay incomplete without a new octet.
        inactivity_timeout_s: how long a server keeps a link on which no whole PDU arrives; None keeps it for ever.
        is_datagram: over UDP: one ``receive`` and one ``octets_to_send`` is one datagram.

    """

    source: int
    destination: int
    ports: frozenset[int] = frozenset()
    is_listener: bool = False
    apdu_size_max: int = 0xFFFF
    partial_timeout_s: float = PARTIAL_TIMEOUT_S
    inactivity_timeout_s: float | None = INACTIVITY_TIMEOUT_S
    is_datagram: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.apdu_size_max <= 0xFFFF:
            raise ValueError("an APDU in a wrapper has 1 to 65535 octets")
        if not all(0 <= port <= 0xFFFF for port in (self.source, self.destination, *self.ports)):
            raise ValueError("a wPort has sixteen bits")


class WrapperLink(LinkCore[WrapperConfig]):
    """One wrapper link; a ``Link``."""

    def __init__(self, role: Role, config: WrapperConfig) -> None:
        super().__init__(role, config)
        self._reader = WrapperReader(apdu_size_max=config.apdu_size_max)
        self._output: deque[bytes] = deque()
        self._output_octets = 0
        self._is_up = self._is_over = False
        self._own_port = config.source
        self._peer_port = config.destination
        self._partial_deadline: float | None = None
        self._inactivity_deadline: float | None = None

    @property
    def is_up(self) -> bool:
        """Whether ``send`` may be called."""
        return self._is_up

    @property
    def is_over(self) -> bool:
        """Whether a stream has ended here: its connection has nothing more to carry, and its owner closes it."""
        return self._is_over

    def connect(self, now: float) -> None:
        """Start on a connection that the medium has made: ``LinkUp`` at once, in either role."""
        if self._is_up:
            return
        self._is_up, self._is_over = True, False
        self._reader = WrapperReader(apdu_size_max=self._config.apdu_size_max)
        self._own_port, self._peer_port = self._config.source, self._config.destination
        self._output.clear()
        self._output_octets = 0
        self._note_activity(now)
        self._events.append(LinkUp(self._peer_port, self._own_port))

    def disconnect(self, now: float) -> None:  # noqa: ARG002 - one signature for every link
        """Close the link; the owner of the connection closes it when the waiting octets are sent."""
        self._go_down(Failure(FailureKind.CANCELLED, "disconnected"), by_peer=False)

    def medium_lost(self, now: float) -> None:  # noqa: ARG002 - one signature for every link
        """Note that the connection is gone."""
        self._output.clear()
        self._output_octets = 0
        self._go_down(Failure(FailureKind.LINK_LOST, "the connection was closed"), by_peer=True)

    def send(self, apdu: bytes, now: float, *, answers: ApduReceived | None = None) -> None:  # noqa: ARG002 - one signature for every link
        """Send one APDU; a server answers from the port that was addressed to the port that asked.

        Args:
            apdu: the APDU.
            now: UTC seconds.
            answers: the APDU whose ports are exchanged; None answers the one received last.

        Raises:
            LinkNotUpError: not connected.
            ValueError: the APDU is too long, or too much waits already.

        """
        own, peer = (self._own_port, self._peer_port) if answers is None else (answers.destination, answers.source)
        self._send(WrapperPdu(own, peer, apdu))

    def send_unnumbered(self, apdu: bytes, now: float) -> None:  # noqa: ARG002 - one signature for every link
        """Send one APDU from the configured port to the configured port: push.

        Raises:
            LinkNotUpError: not connected.
            ValueError: the APDU is too long, or too much waits already.

        """
        self._send(WrapperPdu(self._config.source, self._config.destination, apdu))

    def receive(self, octets: bytes, now: float) -> None:
        """Process octets of the stream in any cut, or one whole datagram."""
        self._counts.octets_received += len(octets)
        if not self._is_up:
            if self._role is Role.CLIENT or self._is_over:
                self._counts.frames_ignored += 1
                return
            self.connect(now)
        items = _datagram_items(octets) if self._config.is_datagram else self._reader.feed(octets)
        self._take_items(items, now)
        self._partial_deadline = now + self._config.partial_timeout_s if self._is_up and self._reader.pending else None

    def advance(self, now: float) -> None:
        """End the link when its peer has been silent for too long."""
        if is_due(self._partial_deadline, now):
            held = self._reader.pending
            words = f"the peer stopped after {held} octets of a PDU"
            self._go_down(Failure(FailureKind.TIMEOUT, words), by_peer=True)
        elif is_due(self._inactivity_deadline, now):
            words = f"no APDU for {self._config.inactivity_timeout_s:g} s"
            self._go_down(Failure(FailureKind.TIMEOUT, words), by_peer=False)

    def deadline(self) -> float | None:
        """When ``advance`` must be called next, or None."""
        return earliest(self._partial_deadline, self._inactivity_deadline)

    def octets_to_send(self) -> bytes:
        """Return all octets that are ready (a stream), or the next datagram, and remove them; b"" if none."""
        if not self._output:
            return b""
        if self._config.is_datagram:
            octets = self._output.popleft()
        else:
            octets = b"".join(self._output)
            self._output.clear()
        self._output_octets -= len(octets)
        self._counts.octets_sent += len(octets)
        return octets

    def _send(self, wpdu: WrapperPdu) -> None:
        if not self._is_up:
            raise LinkNotUpError("the wrapper link is not connected")
        if not 1 <= len(wpdu.apdu) <= self._config.apdu_size_max:
            raise ValueError(f"an APDU of {len(wpdu.apdu)} octets; 1 to {self._config.apdu_size_max} can be sent")
        octets = write_wpdu(wpdu)
        if self._output_octets + len(octets) > SEND_QUEUE_OCTETS_MAX:
            raise ValueError(f"{self._output_octets} octets wait to be sent already")
        self._output.append(octets)
        self._output_octets += len(octets)
        self._counts.frames_sent += 1

    def _take_items(self, items: Iterable[WrapperPdu | Damaged], now: float) -> None:
        for item in items:
            if isinstance(item, WrapperPdu):
                self._take_wpdu(item, now)
                continue
            self._note_damage(item.octets, item.error)
            if not self._config.is_datagram:
                words = f"the stream is broken: {item.error}"
                self._go_down(Failure(FailureKind.WRONG_FRAMING, words, error=item.error), by_peer=True)

    def _take_wpdu(self, wpdu: WrapperPdu, now: float) -> None:
        self._counts.frames_received += 1
        if not self._is_ours(wpdu.destination):
            self._counts.frames_ignored += 1
            return
        if self._role is Role.SERVER:
            self._own_port, self._peer_port = wpdu.destination, wpdu.source
        self._note_activity(now)
        self._events.append(ApduReceived(wpdu.apdu, wpdu.source, wpdu.destination))

    def _is_ours(self, port: int) -> bool:
        return self._config.is_listener or port == self._config.source or port in self._config.ports

    def _note_activity(self, now: float) -> None:
        timeout_s = self._config.inactivity_timeout_s
        if self._role is Role.SERVER and timeout_s is not None:
            self._inactivity_deadline = now + timeout_s

    def _go_down(self, failure: Failure, *, by_peer: bool) -> None:
        if not self._is_up:
            return
        self._is_up, self._is_over = False, not self._config.is_datagram
        self._partial_deadline = self._inactivity_deadline = None
        self._events.append(LinkDown(failure, by_peer))


def _datagram_items(octets: bytes) -> list[WrapperPdu | Damaged]:
    try:
        return [*read_datagram(octets)]
    except WireError as error:
        return [Damaged(octets, error)]
