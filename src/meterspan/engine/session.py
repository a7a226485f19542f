"""Sessions: a script of requests run over one association, from connecting to releasing, under one deadline.

Strategy: a script is a generator that yields requests and receives their results, so that reading plans are plain
sequential code without I/O. The ``Session`` machine associates, feeds the script, releases, and ends in exactly one
event, ``SessionDone`` or ``SessionFailed``, after which the medium may be closed.
"""

from collections import deque
from collections.abc import Generator
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeAlias, TypeVar

from meterspan.engine.association.client import ClientAssociation
from meterspan.engine.association.records import (
    Action,
    ActionDone,
    ApduRefused,
    Associated,
    AssociationEvent,
    AssociationRefused,
    AssociationState,
    Failure,
    Get,
    GetDone,
    GetList,
    LinkLost,
    Notification,
    Released,
    Request,
    RequestFailed,
    Set,
    SetDone,
)
from meterspan.wire.axdr import Data
from meterspan.wire.errors import WireError
from meterspan.wire.xdlms import ActionResult, DataAccessResult

__all__ = [
    "AskTime",
    "RefusedError",
    "RequestFailedError",
    "Script",
    "ScriptError",
    "ScriptRequest",
    "ScriptResponse",
    "Session",
    "SessionDone",
    "SessionEvent",
    "SessionFailed",
    "Sleep",
    "Stage",
    "ask_time",
    "fetch",
    "fetch_each",
    "fetch_encoded",
    "perform",
    "put",
]

SESSION_TIMEOUT_S = 300.0
"""A whole session's patience by default: a month of profile over a slow power line network."""
ResultT = TypeVar("ResultT")


@dataclass(frozen=True, slots=True)
class Sleep:
    """Let time pass before the next request."""

    seconds: float


@dataclass(frozen=True, slots=True)
class AskTime:
    """Ask this side's clock: sent back at once, as UTC seconds."""


ScriptRequest: TypeAlias = Request | Sleep | AskTime
ScriptResponse: TypeAlias = GetDone | SetDone | ActionDone | float | None
Script: TypeAlias = Generator[ScriptRequest, ScriptResponse, ResultT]
"""What yields requests, is sent each one's result (None after ``Sleep``), and returns what it was run for."""


class ScriptError(Exception):
    """A script cannot go on; ``reason`` says why in words."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class RefusedError(ScriptError):
    """The meter refused to read, write or run something; ``result`` is its code."""

    def __init__(self, what: str, result: DataAccessResult | ActionResult) -> None:
        super().__init__(f"{what}: {result.text}")
        self.result = result


class RequestFailedError(ScriptError):
    """A request got no answer; ``failure`` says why."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.reason)
        self.failure = failure


class Stage(StrEnum):
    """How far a failed session got."""

    LINK = "link"
    ASSOCIATION = "association"
    REQUEST = "request"
    DEADLINE = "deadline"


@dataclass(frozen=True, slots=True)
class SessionDone(Generic[ResultT]):
    """The script ran to its end, and the association is released."""

    result: ResultT
    duration_s: float


@dataclass(frozen=True, slots=True)
class SessionFailed:
    """The session ended without a result.

    Attributes:
        reason: in words, for an operator.
        stage: how far it got.
        permanent: whether the meter says that trying again is without hope.
        invocation_counter: the counter that the meter expects, where it said so (see ``read_invocation_counter``).
        duration_s: how long it took.

    """

    reason: str
    stage: Stage
    permanent: bool = False
    invocation_counter: int | None = None
    duration_s: float = 0.0


SessionEvent: TypeAlias = SessionDone[ResultT] | SessionFailed | Notification | ApduRefused


class Session(Generic[ResultT]):
    """Runs one script; a ``Machine`` of ``SessionEvent``.

    Args:
        association: idle; owned from here on.
        script: what to do once associated.
        timeout_s: for the whole session, releasing included.

    """

    def __init__(
        self, association: ClientAssociation, script: Script[ResultT], *, timeout_s: float = SESSION_TIMEOUT_S
    ) -> None:
        self._association = association
        self._script = script
        self._timeout_s = timeout_s
        self._events: deque[SessionEvent[ResultT]] = deque()
        self._started = 0.0
        self._deadline: float | None = None
        self._wake: float | None = None
        self._ending: SessionDone[ResultT] | SessionFailed | None = None
        self._stage = Stage.LINK
        self._is_over = False

    @property
    def association(self) -> ClientAssociation:
        """The association below."""
        return self._association

    @property
    def is_over(self) -> bool:
        """Whether the last event is out or waiting: the medium may be closed."""
        return self._is_over

    def start(self, now: float) -> None:
        """Connect and associate; the medium below must be there."""
        self._started = now
        self._deadline = now + self._timeout_s
        self._association.associate(now)
        self._pump(now)

    def cancel(self, now: float, reason: str = "cancelled") -> None:
        """End the session now, in order where it is possible."""
        if not self._is_over:
            self._fail(reason, self._stage, now)
            self._pump(now)

    def medium_lost(self, now: float) -> None:
        """Tell that the medium below is gone."""
        self._association.medium_lost(now)
        self._pump(now)

    def receive(self, octets: bytes, now: float) -> None:
        """Take octets from the medium, in any cut."""
        self._association.receive(octets, now)
        self._pump(now)

    def advance(self, now: float) -> None:
        """Let time pass."""
        self._association.advance(now)
        self._pump(now)
        if self._wake is not None and now >= self._wake:
            self._wake = None
            self._feed(None, now)
        if self._deadline is not None and now >= self._deadline:
            self._deadline = None
            self._run_out(now)
        self._pump(now)

    def deadline(self) -> float | None:
        """When ``advance`` must be called next, or None."""
        candidates = (self._association.deadline(), self._wake, self._deadline)
        return min((due for due in candidates if due is not None), default=None)

    def octets_to_send(self) -> bytes:
        """Take all octets that are ready for the medium."""
        return self._association.octets_to_send()

    def next_event(self) -> SessionEvent[ResultT] | None:
        """Take the next event in order, or None."""
        return self._events.popleft() if self._events else None

    def _pump(self, now: float) -> None:
        if self._stage is Stage.LINK and self._association.link.is_up:
            self._stage = Stage.ASSOCIATION
        while (event := self._association.next_event()) is not None:
            self._take(event, now)

    def _take(self, event: AssociationEvent, now: float) -> None:
        match event:
            case Associated():
                self._stage = Stage.REQUEST
                self._feed(None, now)
            case GetDone() | SetDone() | ActionDone():
                self._feed(event, now)
            case RequestFailed():
                self._feed(RequestFailedError(event.failure), now)
            case AssociationRefused():
                self._ending = self._ending or SessionFailed(
                    event.reason, Stage.ASSOCIATION, event.permanent, event.invocation_counter, now - self._started
                )
                self._finish(now)
            case Released() | LinkLost():
                self._ending = self._ending or self._failure(f"the link was lost: {event.reason}", self._stage, now)
                self._finish(now)
            case Notification() | ApduRefused():
                self._events.append(event)

    def _feed(self, response: ScriptResponse | ScriptError, now: float) -> None:
        """Let the script take a response, and carry out what it asks next."""
        if self._ending is not None:
            return
        try:
            asked = self._script.throw(response) if isinstance(response, ScriptError) else self._script.send(response)
            while isinstance(asked, AskTime):
                asked = self._script.send(now)
        except StopIteration as stop:
            self._ending = SessionDone(stop.value, now - self._started)
            self._association.release(now)
            return
        except (ScriptError, WireError) as error:
            counter = error.failure.invocation_counter if isinstance(error, RequestFailedError) else None
            self._fail(str(error), Stage.REQUEST, now, invocation_counter=counter)
            return
        if isinstance(asked, Sleep):
            self._wake = now + asked.seconds
        else:
            self._association.request(asked, now)

    def _failure(
        self, reason: str, stage: Stage, now: float, *, invocation_counter: int | None = None
    ) -> SessionFailed:
        return SessionFailed(
            reason, stage, invocation_counter=invocation_counter, duration_s=max(0.0, now - self._started)
        )

    def _fail(self, reason: str, stage: Stage, now: float, *, invocation_counter: int | None = None) -> None:
        self._ending = self._ending or self._failure(reason, stage, now, invocation_counter=invocation_counter)
        self._script.close()
        self._wake = None
        if self._association.state is AssociationState.IDLE:
            self._finish(now)
        else:
            self._association.release(now)

    def _run_out(self, now: float) -> None:
        """End at the deadline, without waiting for an orderly release of a silent peer."""
        if self._is_over:
            return
        reason = f"not finished within {self._timeout_s:g} s ({self._stage})"
        self._fail(reason, Stage.DEADLINE, now)
        self._association.medium_lost(now)
        self._pump(now)
        self._finish(now)

    def _finish(self, now: float) -> None:
        if self._is_over:
            return
        self._is_over = True
        self._deadline = self._wake = None
        self._script.close()
        ending = self._ending or self._failure("ended", self._stage, now)
        self._events.append(ending)


def ask_time() -> Script[float]:
    """Give this side's time now, UTC seconds."""
    response = yield AskTime()
    if not isinstance(response, float):
        raise ScriptError("there is no clock")
    return response


def fetch(request: Get) -> Script[Data]:
    """Read one attribute.

    Raises:
        RefusedError: the meter refuses.
        RequestFailedError: there is no answer.

    """
    response = yield request
    result = _only(response, request)
    if isinstance(result, Data):
        return result
    raise ScriptError(f"{_named(request)}: came encoded")


def fetch_encoded(request: Get) -> Script[bytes]:
    """Read one attribute as its A-XDR octets; ``request.encoded`` must be set.

    Raises:
        RefusedError: the meter refuses.
        RequestFailedError: there is no answer.

    """
    response = yield request
    result = _only(response, request)
    if isinstance(result, bytes):
        return result
    raise ScriptError(f"{_named(request)}: came read")


def fetch_each(*requests: Get) -> Script[tuple[Data | DataAccessResult, ...]]:
    """Read several attributes; a refused one is its result.

    Raises:
        RequestFailedError: there is no answer.

    """
    if not requests:
        return ()
    response = yield GetList(requests)
    if not isinstance(response, GetDone):
        raise ScriptError("answered by something else")
    return tuple(result for result in response.results if not isinstance(result, bytes))


def put(request: Set) -> Script[None]:
    """Write one attribute.

    Raises:
        RefusedError: the meter refuses.
        RequestFailedError: there is no answer.

    """
    response = yield request
    if not isinstance(response, SetDone):
        raise ScriptError("answered by something else")
    if response.results[0] != DataAccessResult.SUCCESS:
        raise RefusedError(f"write {request.logical_name} attribute {request.attribute}", response.results[0])


def perform(request: Action) -> Script[Data | None]:
    """Run a method and give what it returns.

    Raises:
        RefusedError: the meter refuses.
        RequestFailedError: there is no answer.

    """
    response = yield request
    if not isinstance(response, ActionDone):
        raise ScriptError("answered by something else")
    if response.result != ActionResult.SUCCESS:
        raise RefusedError(f"run {request.logical_name} method {request.method}", response.result)
    return response.value if isinstance(response.value, Data) else None


def _only(response: ScriptResponse, request: Get) -> Data | bytes:
    if not isinstance(response, GetDone) or len(response.results) != 1:
        raise ScriptError("answered by something else")
    result = response.results[0]
    if isinstance(result, DataAccessResult):
        raise RefusedError(_named(request), result)
    return result


def _named(request: Get) -> str:
    return f"read {request.logical_name} attribute {request.attribute}"
