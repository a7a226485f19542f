"""Primary master and slave of wired M-Bus (EN 13757-2:2018, 5.7 and EN 13757-3:2018, clause 12).

Both are machines of the one shape. The master runs one request after the other: it keeps a frame count bit per slave,
repeats after a timeout in bit times, reads on while "more records follow", selects by secondary address and searches
a bus by narrowing wildcards. The slave answers from pages of records that a callable provides.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from fractions import Fraction
from typing import Final

from meterspan.wire.errors import WireError
from meterspan.wire.mbus.address import DeviceAddress
from meterspan.wire.mbus.application import BAUD_RATES, ApplicationMessage, Selection, read_application, write_selection
from meterspan.wire.mbus.link import (
    ACKNOWLEDGE,
    MAX_FRAME,
    RSP_UD,
    Address,
    ControlField,
    FrameReader,
    LinkFrame,
    PrimaryFunction,
    write_link_frame,
)
from meterspan.wire.mbus.records import DIF_MORE_FOLLOWS, DataRecord, write_records
from meterspan.wire.mbus.transport import Ci, HeaderKind, TransportHeader, write_transport

__all__ = [
    "Acknowledged",
    "AddressSet",
    "BaudRateSet",
    "Collision",
    "DataRead",
    "DataReceived",
    "Failed",
    "Found",
    "LineFault",
    "LineSettings",
    "MasterEvent",
    "MbusMaster",
    "MbusSlave",
    "Probing",
    "Request",
    "RequestKind",
    "SearchFinished",
    "SlaveEvent",
]

BITS_PER_OCTET = 11
"""Start, eight data, even parity and stop bit."""
ANSWER_BIT_TIMES = 330
ANSWER_S = 0.050
"""A slave answers within 330 bit times and 50 ms (EN 13757-2:2018, 5.7.6)."""
SLAVE_DELAY_BIT_TIMES = 11
"""A slave answers no sooner (EN 13757-2:2018, 5.7.6)."""
GAP_BIT_TIMES = 33
"""A pause that long ends a frame, whole or not."""
MAX_REQUESTS = 1_024
"""Requests waiting in a master: four for each of the 250 slaves of a segment."""
MAX_PAGES = 64
"""Telegrams of one readout; the longest that devices are known to give have some ten."""
MAX_PAGE = 234
"""Octets of records per telegram of a slave: 255 less C, A, CI, long header and DIF 1F, rounded down."""
ID_DIGITS = 8
DECIMAL_DIGITS = "0123456789"
HEX_DIGITS = "0123456789ABCDE"
"""F is the wildcard (EN 13757-3:2018, 12.3)."""
OCTETS_HEARD_MAX: Final = 2 * MAX_FRAME
"""Octets of an answer that are kept for the case that it is damaged; of octets that a slave hears at once, its last
frame is among these: the segment is half-duplex, and a master that sends on has given up its request."""
DAMAGED_PROBES_MAX: Final = 32
"""A search ends after so many damaged answers in a row: devices that differ in one digit give nine at most, noise any
number of them."""


@dataclass(frozen=True, slots=True)
class LineSettings:
    """Timing of a segment.

    Attributes:
        baud_rate: bits per second, 300 to 38400.
        retries: how often a request is repeated after silence or a damaged answer (EN 13757-2 asks for two).
        latency_s: delay that a gateway adds to an answer, seconds.
        hex_digits: a search also probes the digits A to E, which some devices have in their numbers.

    """

    baud_rate: int = 2_400
    retries: int = 2
    latency_s: float = 0.0
    hex_digits: bool = True

    def bits(self, count: int) -> float:
        """Return the seconds that so many bits take."""
        return count / self.baud_rate


class RequestKind(Enum):
    """The requests of a master; the value is the C field without frame count bits."""

    INITIALISE = "SND_NKE"
    READ = "REQ_UD2"
    SEND = "SND_UD"
    SELECT = "SND_UD select"


_FUNCTIONS = {
    RequestKind.INITIALISE: PrimaryFunction.SND_NKE,
    RequestKind.READ: PrimaryFunction.REQ_UD2,
    RequestKind.SEND: PrimaryFunction.SND_UD,
    RequestKind.SELECT: PrimaryFunction.SND_UD,
}
_TAKES_ACKNOWLEDGE = frozenset({RequestKind.INITIALISE, RequestKind.SEND, RequestKind.SELECT})
_COUNTED = frozenset({RequestKind.READ, RequestKind.SEND})
"""Requests that toggle the frame count bit; a selection carries 0 and restarts the count."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request of a master.

    Attributes:
        kind: the service.
        address: the primary address, 253 for the selected slave.
        payload: CI field and data of SEND and SELECT.
        is_first_only: a READ ends with the first telegram of the readout.

    """

    kind: RequestKind
    address: int
    payload: bytes | None = None
    is_first_only: bool = False


class LineFault(Enum):
    """Why a request failed."""

    SILENCE = "no answer"
    DAMAGED = "damaged answer"


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The slave answered E5."""

    request: Request


@dataclass(frozen=True, slots=True)
class DataRead:
    """The slave answered with data.

    Attributes:
        request: the request that was answered.
        address: the primary address in the answer.
        messages: one per telegram of the readout.
        frames: the octets of each of them.
        is_complete: False where the slave kept repeating a telegram or never ended the readout.
        access_demand: the slave has alarm data (class 1) to be asked for.

    """

    request: Request
    address: int
    messages: tuple[ApplicationMessage, ...]
    frames: tuple[bytes, ...]
    is_complete: bool = True
    access_demand: bool = False


@dataclass(frozen=True, slots=True)
class Failed:
    """All tries of a request failed; ``octets`` is what was received instead of an answer, as far as it is kept."""

    request: Request
    fault: LineFault
    octets: bytes = b""


@dataclass(frozen=True, slots=True)
class Probing:
    """A search asks for the devices whose number begins with ``digits``; ``share`` of all numbers is behind it."""

    digits: str
    share: Fraction


@dataclass(frozen=True, slots=True)
class Found:
    """A search found a device; ``primary`` is its primary address."""

    address: DeviceAddress
    primary: int


@dataclass(frozen=True, slots=True)
class Collision:
    """A search met devices that it cannot tell apart: the same identification number."""

    digits: str


@dataclass(frozen=True, slots=True)
class SearchFinished:
    """A search ended; not ``is_complete`` where the bus gave nothing but damaged answers, so that it was left."""

    found: tuple[DeviceAddress, ...]
    is_complete: bool = True


MasterEvent = Acknowledged | DataRead | Failed | Probing | Found | Collision | SearchFinished


class MbusMaster:
    """The primary master of a segment."""

    def __init__(self, settings: LineSettings | None = None) -> None:
        self.settings = LineSettings() if settings is None else settings
        self._waiting: deque[Request] = deque()
        self._events: deque[MasterEvent] = deque()
        self._out = bytearray()
        self._reader = FrameReader()
        self._counts: dict[int, bool] = {}
        self._current: Request | None = None
        self._tries = 0
        self._heard = bytearray()
        self._deadline: float | None = None
        self._latest = 0.0
        """Until when octets that are no answer postpone the deadline, so that a line that is never silent ends too."""
        self._pages: list[ApplicationMessage] = []
        self._page_octets: list[bytes] = []
        self._frames: list[bytes] = []
        self._search: _Search | None = None

    def initialise(self, address: int, now: float) -> None:
        """Reset a slave's link (SND_NKE); at 253, deselect."""
        self._queue(Request(RequestKind.INITIALISE, address), now)

    def read(self, address: int, now: float, *, is_first_only: bool = False) -> None:
        """Read a slave's data (REQ_UD2): all telegrams of it, or the first, which identifies it."""
        self._queue(Request(RequestKind.READ, address, is_first_only=is_first_only), now)

    def send(self, address: int, payload: bytes, now: float) -> None:
        """Send CI field and data (SND_UD)."""
        self._queue(Request(RequestKind.SEND, address, payload), now)

    def select(self, selection: Selection, now: float) -> None:
        """Select a slave by its secondary address; its address is 253 afterwards."""
        self._queue(Request(RequestKind.SELECT, Address.NETWORK_LAYER, write_selection(selection)), now)

    def search(self, now: float, digits: str = "") -> None:
        """Search all devices whose identification number begins so; ends with ``SearchFinished``.

        Raises:
            ValueError: a search is under way, or these are not up to eight digits 0 to E.

        """
        if self._search is not None:
            raise ValueError("a search is under way")
        if len(digits) > ID_DIGITS or any(digit not in HEX_DIGITS for digit in digits):
            raise ValueError(f"{digits!r} is not the beginning of an identification number")
        alphabet = HEX_DIGITS if self.settings.hex_digits else DECIMAL_DIGITS
        self._search = _Search([digits], [], alphabet, len(digits))
        self._next_probe(now)

    def receive(self, octets: bytes, now: float) -> None:
        """Process octets from the segment, in any cut."""
        if self._current is None:
            return
        self._heard += octets[: OCTETS_HEARD_MAX - len(self._heard)]
        for frame in self._reader.receive(octets):
            if self._answers(frame):
                self._reader.reset()
                self._take(frame, now)
                return
        if octets and self._deadline is not None:
            gap = now + self.settings.bits(GAP_BIT_TIMES) + self.settings.latency_s
            self._deadline = min(max(self._deadline, gap), self._latest)

    def advance(self, now: float) -> None:
        """Repeat or give up a request whose answer is overdue."""
        if self._deadline is None or now < self._deadline or self._current is None:
            return
        if self._current.address == Address.BROADCAST:  # a broadcast is not answered: done when sent
            request, self._current, self._deadline = self._current, None, None
            self._finish(Acknowledged(request), now)
            return
        damaged = bool(self._heard)
        if self._tries <= self.settings.retries and not (self._search is not None and damaged):
            self._transmit(now)
            return
        request, self._current, self._deadline = self._current, None, None
        fault = LineFault.DAMAGED if damaged else LineFault.SILENCE
        self._finish(Failed(request, fault, bytes(self._heard)), now)

    def deadline(self) -> float | None:
        """When ``advance`` must be called next."""
        return self._deadline

    def octets_to_send(self) -> bytes:
        """Return all octets that are ready for the segment, and remove them."""
        octets = bytes(self._out)
        self._out.clear()
        return octets

    def next_event(self) -> MasterEvent | None:
        """Return the next event in order and remove it, or None."""
        return self._events.popleft() if self._events else None

    def _queue(self, request: Request, now: float) -> None:
        if len(self._waiting) >= MAX_REQUESTS:
            raise ValueError(f"{MAX_REQUESTS} requests are waiting already")
        self._waiting.append(request)
        self._start(now)

    def _start(self, now: float) -> None:
        if self._current is None and self._waiting:
            self._current = self._waiting.popleft()
            self._pages, self._page_octets, self._frames = [], [], []
            self._tries = 0
            self._transmit(now)

    def _transmit(self, now: float) -> None:
        """Send the current request; a repetition keeps the frame count bit (5.7.4)."""
        request = self._current
        if request is None:
            raise AssertionError("nothing to transmit")
        self._tries += 1
        self._heard.clear()
        self._reader.reset()
        control = ControlField.PRIMARY | _FUNCTIONS[request.kind]
        if request.kind != RequestKind.INITIALISE:
            control |= ControlField.FRAME_COUNT_VALID
        if request.kind in _COUNTED and self._counts.get(request.address, True):
            control |= ControlField.FRAME_COUNT_BIT
        octets = write_link_frame(LinkFrame(control, request.address, request.payload))
        self._out += octets
        line = self.settings
        sending = line.bits(BITS_PER_OCTET * len(octets))
        self._deadline = now + sending + line.bits(ANSWER_BIT_TIMES) + ANSWER_S + line.latency_s
        self._latest = self._deadline + line.bits(BITS_PER_OCTET * OCTETS_HEARD_MAX) + line.latency_s

    def _answers(self, frame: LinkFrame) -> bool:
        """Whether the frame answers the current request: echoes and frames of other devices do not."""
        request = self._current
        if request is None:
            return False
        if frame.is_acknowledge:
            return request.kind in _TAKES_ACKNOWLEDGE
        if (
            frame.is_primary
            or frame.function != RSP_UD
            or frame.payload is None
            or request.kind is not RequestKind.READ
        ):
            return False
        return request.address in (Address.NETWORK_LAYER, Address.TEST, frame.address)

    def _take(self, frame: LinkFrame, now: float) -> None:
        request = self._current
        if request is None:
            raise AssertionError("an answer needs a request")
        self._count(request)
        self._deadline = None
        if frame.payload is None or frame.address is None:
            self._current = None
            self._finish(Acknowledged(request), now)
            return
        try:
            message = read_application(frame.payload)
        except WireError:
            self._current = None
            self._finish(Failed(request, LineFault.DAMAGED, bytes(self._heard)), now)
            return
        repeated = message.payload in self._page_octets
        if not repeated:
            self._pages.append(message)
            self._page_octets.append(message.payload)
            self._frames.append(write_link_frame(frame))  # as it was received: no part of a frame has two forms
        more = message.records.more_follows and not request.is_first_only
        if more and not repeated and len(self._pages) < MAX_PAGES:
            self._tries = 0
            self._transmit(now)
            return
        self._current = None
        is_complete = not more
        read = DataRead(
            request, frame.address, tuple(self._pages), tuple(self._frames), is_complete, frame.access_demand
        )
        self._finish(read, now)

    def _count(self, request: Request) -> None:
        """Toggle the frame count bit after an answer; SND_NKE and a selection start it at 1 (5.7.4)."""
        if request.kind in _COUNTED:
            self._counts[request.address] = not self._counts.get(request.address, True)
        else:
            self._counts[request.address] = True

    def _finish(self, event: Acknowledged | DataRead | Failed, now: float) -> None:
        if self._search is None:
            self._events.append(event)
            self._start(now)
        else:
            self._judge_probe(self._search, event, now)

    def _next_probe(self, now: float) -> None:
        search = self._search
        if search is None:
            return
        if not search.stack or search.damaged_in_row > DAMAGED_PROBES_MAX:
            self._search = None
            self._events.append(SearchFinished(tuple(search.found), is_complete=not search.stack))
            self._start(now)
            return
        self._events.append(Probing(search.stack[-1], search.share))
        digits = search.stack[-1].ljust(ID_DIGITS, "F")
        selection = Selection(bytes.fromhex(digits)[::-1] + b"\xff" * 4)
        select = Request(RequestKind.SELECT, Address.NETWORK_LAYER, write_selection(selection))
        self._waiting.appendleft(select)
        self._start(now)

    def _judge_probe(self, search: "_Search", event: Acknowledged | DataRead | Failed, now: float) -> None:
        """Read one answer to a probe: no device, one device, or several (12.4)."""
        if isinstance(event, Acknowledged):
            self._waiting.appendleft(Request(RequestKind.READ, Address.NETWORK_LAYER, is_first_only=True))
            self._start(now)
            return
        digits = search.stack.pop()
        is_damaged = (isinstance(event, Failed) and event.fault == LineFault.DAMAGED) or _is_of_another(event, digits)
        search.damaged_in_row = search.damaged_in_row + 1 if is_damaged else 0
        if not is_damaged and isinstance(event, DataRead) and event.messages[0].transport.address is not None:
            address = event.messages[0].transport.address
            search.found.append(address)
            self._events.append(Found(address, event.address))
        elif is_damaged or isinstance(event, DataRead):
            if len(digits) < ID_DIGITS:
                search.stack.extend(digits + digit for digit in reversed(search.alphabet))
                self._next_probe(now)
                return
            self._events.append(Collision(digits))
        search.share += Fraction(1, len(search.alphabet) ** (len(digits) - search.digits_given))
        self._next_probe(now)


def _is_of_another(event: Acknowledged | DataRead | Failed, digits: str) -> bool:
    """Whether a slave answers that was not selected, and may hide those that were."""
    address = event.messages[0].transport.address if isinstance(event, DataRead) else None
    return address is not None and not address.id.startswith(digits)


@dataclass(slots=True)
class _Search:
    """A search under way.

    Attributes:
        stack: beginnings of numbers that are still to be probed.
        found: the devices found.
        alphabet: the digits that numbers have.
        digits_given: how many digits the search began with.
        share: of all numbers, what is behind the search.
        damaged_in_row: answers that were damaged, or of a slave that was not selected, since the last one that was not.

    """

    stack: list[str]
    found: list[DeviceAddress]
    alphabet: str
    digits_given: int
    share: Fraction = Fraction(0)
    damaged_in_row: int = 0


@dataclass(frozen=True, slots=True)
class DataReceived:
    """The master sent data (SND_UD) that the slave's owner has to act on."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class AddressSet:
    """The master gave the slave a new primary address."""

    address: int


@dataclass(frozen=True, slots=True)
class BaudRateSet:
    """The master asks for another baud rate."""

    baud_rate: int


SlaveEvent = DataReceived | AddressSet | BaudRateSet
Provider = Callable[[], Sequence[DataRecord]]
"""Returns a slave's records as they are now."""


class MbusSlave:
    """A slave: one meter on a segment.

    Args:
        address: the primary address.
        identity: the secondary address.
        records: returns the records at the start of each readout.
        settings: timing of the segment.
        fabrication_number: for enhanced selection, 4 octets.

    """

    def __init__(
        self,
        address: int,
        identity: DeviceAddress,
        records: Provider,
        *,
        settings: LineSettings | None = None,
        fabrication_number: bytes = b"",
    ) -> None:
        self.address = address
        self.identity = identity
        self.settings = LineSettings() if settings is None else settings
        self.status = 0
        self.is_selected = False
        self._records = records
        self._fabrication_number = fabrication_number
        self._reader = FrameReader()
        self._events: deque[SlaveEvent] = deque()
        self._out = bytearray()
        self._pending: tuple[float, bytes] | None = None
        self._heard_at: float | None = None
        self._counts: dict[bool, bool | None] = {}
        self._pages: list[bytes] = []
        self._page = 0
        self._access_number = 0
        self._last = b""

    def receive(self, octets: bytes, now: float) -> None:
        """Process octets from the segment, in any cut."""
        if self._heard_at is not None and now - self._heard_at > self.settings.bits(GAP_BIT_TIMES) + ANSWER_S:
            self._reader.reset()
        self._heard_at = now
        for frame in self._reader.receive(octets[-OCTETS_HEARD_MAX:]):
            if frame.is_primary and frame.address is not None:
                answer = self._serve(frame, frame.address)
                if answer and frame.address != Address.BROADCAST:
                    self._pending = (now + self.settings.bits(SLAVE_DELAY_BIT_TIMES), answer)

    def advance(self, now: float) -> None:
        """Send an answer that is due."""
        if self._pending is not None and now >= self._pending[0]:
            self._out += self._pending[1]
            self._pending = None

    def deadline(self) -> float | None:
        """When ``advance`` must be called next."""
        return None if self._pending is None else self._pending[0]

    def octets_to_send(self) -> bytes:
        """Return all octets that are ready for the segment, and remove them."""
        octets = bytes(self._out)
        self._out.clear()
        return octets

    def next_event(self) -> SlaveEvent | None:
        """Return the next event in order and remove it, or None."""
        return self._events.popleft() if self._events else None

    def medium_lost(self, now: float) -> None:  # noqa: ARG002 - one signature for all machines
        """Drop the frame and the request under way: the connection is closed."""
        self._reader.reset()
        self._pending = None

    def _serve(self, frame: LinkFrame, address: int) -> bytes:
        """Act on a master's frame and give the answer, b"" for none."""
        selecting = address == Address.NETWORK_LAYER
        if frame.ci == Ci.SELECTION and selecting:
            return self._select(frame.payload or b"")
        if selecting and not self.is_selected:
            return b""
        if not selecting and address not in (self.address, Address.TEST, Address.BROADCAST):
            return b""
        function = frame.function
        if function == PrimaryFunction.SND_NKE:
            self._counts[selecting] = None
            self._restart()
            self.is_selected = self.is_selected and not selecting
            return write_link_frame(ACKNOWLEDGE)
        repeated = self._is_repeated(frame, is_secondary=selecting)
        if function == PrimaryFunction.REQ_UD2:
            return self._respond(repeated=repeated)
        if function == PrimaryFunction.SND_UD:
            if not repeated and frame.payload:
                self._act(frame.payload)
            return write_link_frame(ACKNOWLEDGE)
        return write_link_frame(ACKNOWLEDGE) if function == PrimaryFunction.REQ_UD1 else b""

    def _select(self, payload: bytes) -> bytes:
        try:
            selection = read_application(payload).selection
        except WireError:
            return b""
        self.is_selected = selection is not None and selection.matches(self.identity, self._fabrication_number)
        if not self.is_selected:
            return b""
        self._counts[True] = None
        self._restart()
        return write_link_frame(ACKNOWLEDGE)

    def _is_repeated(self, frame: LinkFrame, *, is_secondary: bool) -> bool:
        """Whether the frame count bit shows that the master did not receive the last answer (5.7.4)."""
        if frame.control is None or not frame.control & ControlField.FRAME_COUNT_VALID:
            return False
        if frame.address == Address.BROADCAST:  # is not answered, so never repeated
            return False
        last = self._counts.get(is_secondary)
        self._counts[is_secondary] = frame.frame_count_bit
        return last is not None and last == frame.frame_count_bit

    def _respond(self, *, repeated: bool) -> bytes:
        if repeated and self._last:
            return self._last
        if self._page >= len(self._pages):
            self._pages = _paginate(self._records())
            self._page = 0
        body = self._pages[self._page]
        self._page += 1
        header = TransportHeader(Ci.RESPONSE_LONG, HeaderKind.LONG, self.identity, self._access_number, self.status)
        self._access_number = (self._access_number + 1) & 0xFF
        self._last = write_link_frame(LinkFrame(RSP_UD, self.address, write_transport(header) + body))
        return self._last

    def _act(self, payload: bytes) -> None:
        ci = payload[0]
        if ci == Ci.APPLICATION_RESET:
            self._restart()
        elif ci in BAUD_RATES:
            self._events.append(BaudRateSet(BAUD_RATES[ci]))
        elif payload[:3] == SET_ADDRESS and len(payload) == len(SET_ADDRESS) + 1:
            self.address = payload[3]
            self._counts[False] = None
            self._events.append(AddressSet(self.address))
        else:
            self._events.append(DataReceived(payload))
            if len(self._events) > MAX_REQUESTS:
                self._events.popleft()

    def _restart(self) -> None:
        """Begin the next readout with its first telegram."""
        self._pages, self._page, self._last = [], 0, b""


SET_ADDRESS = bytes((Ci.COMMAND, 0x01, 0x7A))
"""CI 51 with one record: bus address, 8 bits (EN 13757-3:2018, 12.2)."""


def _paginate(records: Sequence[DataRecord]) -> list[bytes]:
    """Cut records into telegrams; all but the last end with DIF 1F."""
    pages = [bytearray()]
    for record in records:
        octets = write_records([record])
        if len(pages[-1]) + len(octets) > MAX_PAGE and pages[-1]:
            pages.append(bytearray())
        pages[-1] += octets
    return [bytes(page) + bytes((DIF_MORE_FOLLOWS,)) for page in pages[:-1]] + [bytes(pages[-1])]
