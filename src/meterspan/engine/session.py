"""Sessions: a script of requests run over one association, from connecting to releasing, under one deadline.

Strategy: a script is a generator that yields requests and receives their results, so that reading plans are plain
sequential code without I/O. The ``Session`` machine associates, feeds the script, releases, and ends in exactly one
event, ``SessionDone`` or ``SessionFailed``, after which the medium may be closed.
"""

from collections import deque
from collections.abc import Generator
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Generic, TypeAlias, TypeVar

from meterspan.engine.association.client import ClientAssociation
from meterspan.engine.association.failures import of_result
from meterspan.engine.association.records import (
    Action,
    ActionDone,
    ActionList,
    ActionListDone,
    ApduRefused,
    Associated,
    AssociationEvent,
    AssociationRefused,
    Encoded,
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
from meterspan.engine.association.states import AssociationState
from meterspan.engine.machine import EVENTS_MAX
from meterspan.engine.timers import earliest
from meterspan.model.failures import FailedError, Failure, FailureKind
from meterspan.wire.axdr import Data
from meterspan.wire.errors import WireError
from meterspan.wire.xdlms import ActionOutcome, ActionResult, DataAccessResult

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
    "perform_each",
    "put",
]

SESSION_TIMEOUT_S = 300.0
"""Time for a whole session by default: a month of profile over a slow power line network."""
ResultT = TypeVar("ResultT")


@dataclass(frozen=True, slots=True)
class Sleep:
    """Let time pass before the next request."""

    seconds: float


@dataclass(frozen=True, slots=True)
class AskTime:
    """Read this side's clock: answered at once, in UTC seconds."""


ScriptRequest: TypeAlias = Request | Sleep | AskTime
ScriptResponse: TypeAlias = GetDone | SetDone | ActionDone | ActionListDone | float | None
Script: TypeAlias = Generator[ScriptRequest, ScriptResponse, ResultT]
"""A generator that yields requests, receives each one's result (None after ``Sleep``), and returns its result."""


class ScriptError(FailedError):
    """A script cannot continue; ``failure`` is the reason."""


class RefusedError(ScriptError):
    """The meter refused to read, write or run something; ``result`` is its code."""

    def __init__(self, what: str, result: DataAccessResult | ActionResult) -> None:
        super().__init__(of_result(what, result))
        self.result = result


class RequestFailedError(ScriptError):
    """A request got no answer."""


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
        failure: why; its ``counter`` is for ``SecurityContext.try_counter``.
        stage: how far it got.
        duration_s: how long it took.

    """

    failure: Failure
    stage: Stage
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

    def start(self, now: float) -> None:
        """Connect and associate; the medium below must be there."""
        self._started = now
        self._deadline = now + self._timeout_s
        self._association.associate(now)
        self._pump(now)

    def cancel(self, now: float, words: str = "cancelled") -> None:
        """End the session now, in order where it is possible; ``words`` say why."""
        if not self._is_over:
            self._fail(Failure(FailureKind.CANCELLED, words), self._stage, now)
            self._pump(now)

    def medium_lost(self, now: float) -> None:
        """Note that the medium below is gone."""
        self._association.medium_lost(now)
        self._pump(now)

    def receive(self, octets: bytes, now: float) -> None:
        """Process octets from the medium, in any cut."""
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
        return earliest(*candidates)

    def octets_to_send(self) -> bytes:
        """Return all octets that are ready for the medium, and remove them."""
        return self._association.octets_to_send()

    def next_event(self) -> SessionEvent[ResultT] | None:
        """Return the next event in order and remove it, or None."""
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
            case GetDone() | SetDone() | ActionDone() | ActionListDone():
                self._feed(event, now)
            case RequestFailed():
                self._feed(RequestFailedError(event.failure), now)
            case AssociationRefused():
                self._ending = self._ending or self._failed(event.failure, Stage.ASSOCIATION, now)
                self._finish(now)
            case Released() | LinkLost():
                failure = event.failure or Failure(FailureKind.CANCELLED, "released")
                lost = replace(failure, detail=f"the link was lost: {failure}")
                self._ending = self._ending or self._failed(lost, self._stage, now)
                self._finish(now)
            case Notification() | ApduRefused():
                if len(self._events) < EVENTS_MAX:
                    self._events.append(event)

    def _feed(self, response: ScriptResponse | ScriptError, now: float) -> None:
        """Pass a response to the script, and carry out its next request."""
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
        except ScriptError as error:
            self._fail(error.failure, Stage.REQUEST, now)
            return
        except WireError as error:
            self._fail(Failure.of_error(error), Stage.REQUEST, now)
            return
        if isinstance(asked, Sleep):
            self._wake = now + asked.seconds
        else:
            self._association.request(asked, now)

    def _failed(self, failure: Failure, stage: Stage, now: float) -> SessionFailed:
        return SessionFailed(failure, stage, max(0.0, now - self._started))

    def _fail(self, failure: Failure, stage: Stage, now: float) -> None:
        self._ending = self._ending or self._failed(failure, stage, now)
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
        words = f"not finished within {self._timeout_s:g} s ({self._stage})"
        self._fail(Failure(FailureKind.DEADLINE, words), Stage.DEADLINE, now)
        self._association.medium_lost(now)
        self._pump(now)
        self._finish(now)

    def _finish(self, now: float) -> None:
        if self._is_over:
            return
        self._is_over = True
        self._deadline = self._wake = None
        self._script.close()
        self._events.append(self._ending or self._failed(Failure(FailureKind.CANCELLED, "ended"), self._stage, now))


def ask_time() -> Script[float]:
    """Return this side's time now, UTC seconds."""
    response = yield AskTime()
    if not isinstance(response, float):
        raise ScriptError(Failure(FailureKind.INTERNAL, "there is no clock"))
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
    raise ScriptError(Failure(FailureKind.INTERNAL, f"{_named(request)}: the answer is raw octets"))


def fetch_encoded(request: Get) -> Script[bytes]:
    """Read one attribute as its A-XDR octets; ``request.encoded`` must be set.

    Raises:
        RefusedError: the meter refuses.
        RequestFailedError: there is no answer.

    """
    response = yield request
    result = _only(response, request)
    if isinstance(result, Encoded):
        return result.octets
    raise ScriptError(Failure(FailureKind.INTERNAL, f"{_named(request)}: the answer is decoded"))


def fetch_each(*requests: Get) -> Script[tuple[Data | DataAccessResult, ...]]:
    """Read several attributes, none of them ``encoded``; returns one result for each, in order.

    Raises:
        RequestFailedError: there is no answer.
        ScriptError: a result is not decoded, or one is missing.

    """
    if not requests:
        return ()
    response = yield GetList(requests)
    if not isinstance(response, GetDone) or len(response.results) != len(requests):
        raise _misanswered()
    return tuple(map(_decoded, response.results))


def put(request: Set) -> Script[None]:
    """Write one attribute.

    Raises:
        RefusedError: the meter refuses.
        RequestFailedError: there is no answer.

    """
    response = yield request
    if not isinstance(response, SetDone):
        raise _misanswered()
    if response.results[0] != DataAccessResult.SUCCESS:
        raise RefusedError(
            f"write {request.attribute.instance} attribute {request.attribute.attribute}", response.results[0]
        )


def perform(request: Action) -> Script[Data | None]:
    """Run a method and return its result.

    Raises:
        RefusedError: the meter refuses.
        RequestFailedError: there is no answer.

    """
    response = yield request
    if not isinstance(response, ActionDone):
        raise _misanswered()
    if response.result != ActionResult.SUCCESS:
        raise RefusedError(f"run {request.method.instance} method {request.method.method}", response.result)
    return response.value if isinstance(response.value, Data) else None


def perform_each(*requests: Action) -> Script[tuple[ActionOutcome, ...]]:
    """Run several methods, and return the outcome of each, in order; a refused one ends nothing.

    Raises:
        RequestFailedError: there is no answer.

    """
    if not requests:
        return ()
    response = yield ActionList(requests)
    if not isinstance(response, ActionListDone) or len(response.outcomes) != len(requests):
        raise _misanswered()
    return response.outcomes


def _only(response: ScriptResponse, request: Get) -> Data | Encoded:
    if not isinstance(response, GetDone) or len(response.results) != 1:
        raise _misanswered()
    result = response.results[0]
    if isinstance(result, DataAccessResult):
        raise RefusedError(_named(request), result)
    return result


def _decoded(result: Data | DataAccessResult | Encoded) -> Data | DataAccessResult:
    if isinstance(result, Encoded):
        raise ScriptError(Failure(FailureKind.INTERNAL, "the answer is raw octets"))
    return result


def _named(request: Get) -> str:
    return f"read {request.attribute.instance} attribute {request.attribute.attribute}"


def _misanswered() -> ScriptError:
    """Return the error of a request that got the answer of another: a defect of the code that runs the script."""
    return ScriptError(Failure(FailureKind.INTERNAL, "the answer is of another request"))
