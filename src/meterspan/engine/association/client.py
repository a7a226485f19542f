"""The client of an application association, over any link (IEC 62056-5-3, 6 and 7).

Strategy: one state table (``records``), one exchange at a time (``exchange``), one answer timer. Requests queue and are
carried out in order; each ends in exactly one event. What the peer sends amiss becomes ``ApduRefused`` or fails the
request it answers, never an exception.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import replace

from meterspan.crypto.mechanisms import HLS_MECHANISMS, mechanism_of
from meterspan.engine.association import failures
from meterspan.engine.association.exchange import Done, Exchange, Step, Terms, exchange_for
from meterspan.engine.association.records import (
    ApduRefused,
    Associated,
    AssociationEvent,
    AssociationRefused,
    AssociationSettings,
    AssociationState,
    LinkLost,
    Notification,
    QueueFullError,
    Release,
    Released,
    Request,
    RequestFailed,
    Trigger,
    next_state,
)
from meterspan.engine.link import ApduReceived, FrameDamaged, Link, LinkDown, LinkUp
from meterspan.engine.security import PROTECTION_OCTETS, SecurityContext, check_proof, is_ciphered, prove
from meterspan.model.cosem.classes import AssociationLN
from meterspan.model.failures import Failure, FailureKind
from meterspan.wire.acse import (
    ACSE_TAGS,
    AUTHENTICATION_REQUIREMENT,
    Aare,
    Aarq,
    ApplicationContext,
    AssociationResult,
    AuthenticationMechanism,
    AuthenticationValue,
    ReleaseRequestReason,
    Rlre,
    Rlrq,
    read_acse,
    write_acse,
)
from meterspan.wire.axdr import Data, octet_string
from meterspan.wire.errors import SecurityError, UnsupportedError, WireError
from meterspan.wire.xdlms import (
    ActionRequestNormal,
    ActionResponseNormal,
    ActionResult,
    Apdu,
    ConfirmedServiceError,
    CosemMethodDescriptor,
    DataNotification,
    EventNotificationRequest,
    ExceptionResponse,
    InitiateRequest,
    InitiateResponse,
    InvokeIdAndPriority,
    read_apdu,
    write_apdu,
)

__all__ = ["REQUESTS_QUEUED_MAX", "ClientAssociation"]

CLAUSE = "IEC 62056-5-3, 6.2"
REQUESTS_QUEUED_MAX = 1_024
"""Requests that may wait: more than any reading plan of one meter holds."""
EVENTS_MAX = 4_096
"""Events that may wait to be taken; a caller that leaves more does not take them at all."""
CHALLENGE_OCTETS = 16
"""Length of CtoS: 8 to 64 are legal; 16 are beyond guessing and every meter takes them."""
RELEASE_TIMEOUT_S = 5.0
"""How long RLRE may take: some meters just drop the link, so a longer wait only costs time."""
APDU_MAX = 0xFFFF


class ClientAssociation:
    """One client association; a ``Machine`` of ``AssociationEvent``.

    Args:
        link: what carries the APDUs; the association owns it from here on.
        settings: how to associate.
        security: keys and counters; needed where the context is ciphered or the mechanism is GMAC.
        entropy: gives random octets, for challenge and dedicated key.

    Raises:
        ValueError: the settings need a security context, or name a mechanism that is not implemented.

    """

    def __init__(
        self,
        link: Link,
        settings: AssociationSettings,
        *,
        security: SecurityContext | None = None,
        entropy: Callable[[int], bytes],
    ) -> None:
        mechanism = mechanism_of(settings.mechanism)
        if mechanism is None:
            raise ValueError(f"authentication mechanism {settings.mechanism.text} is not implemented")
        if (settings.ciphered or mechanism.needs_keys) and security is None:
            raise ValueError("a ciphered context and HLS-GMAC need a security context")
        self._mechanism = mechanism
        self._link = link
        self._settings = settings
        self._security = security
        self._entropy = entropy
        self._state = AssociationState.IDLE
        self._events: deque[AssociationEvent] = deque()
        self._waiting: deque[tuple[int, Request]] = deque()
        self._running: Exchange | None = None
        self._answer_deadline: float | None = None
        self._farewell: AssociationEvent | None = None
        self._associated: Associated | None = None
        self._initiate = b""
        self._challenge = b""
        self._peer = 0
        self._last_request_id = 0
        self._last_invoke_id = 0

    @property
    def state(self) -> AssociationState:
        """Where the association stands."""
        return self._state

    @property
    def link(self) -> Link:
        """The link below."""
        return self._link

    @property
    def associated(self) -> Associated | None:
        """The terms of the association, while it stands."""
        return self._associated

    def associate(self, now: float) -> None:
        """Bring the link up and associate; ``Associated``, ``AssociationRefused`` or ``LinkLost`` follows.

        Raises:
            RuntimeError: the association is not idle.

        """
        if self._state is not AssociationState.IDLE:
            raise RuntimeError(f"cannot associate while {self._state.value}")
        self._move(Trigger.CONNECT)
        self._answer_deadline = now + self._settings.response_timeout_s
        self._link.connect(now)
        self._pump(now)

    def request(self, request: Request, now: float) -> int:
        """Queue a request and give its id; one of its done events or ``RequestFailed`` follows.

        Raises:
            QueueFullError: more than ``REQUESTS_QUEUED_MAX`` wait already.

        """
        if len(self._waiting) >= REQUESTS_QUEUED_MAX:
            raise QueueFullError(f"{REQUESTS_QUEUED_MAX} requests wait already")
        self._last_request_id += 1
        request_id = self._last_request_id
        if self._state in (AssociationState.IDLE, AssociationState.RELEASING):
            self._emit(RequestFailed(request_id, Failure(FailureKind.CANCELLED, "there is no association")))
            return request_id
        self._waiting.append((request_id, request))
        self._start_next(now)
        self._pump(now)
        return request_id

    def release(self, now: float) -> None:
        """End the association and the link in order; ``Released`` follows. What waits fails as lost."""
        if self._state in (AssociationState.IDLE, AssociationState.RELEASING):
            return
        was_associated = self._state is AssociationState.ASSOCIATED
        self._fail_all(Failure(FailureKind.CANCELLED, "the association was released"))
        self._move(Trigger.RELEASE)
        self._farewell = Released()
        if was_associated and self._settings.release is not Release.LINK_ONLY:
            self._send_rlrq(now)
        else:
            self._drop_link(now)
        self._pump(now)

    def medium_lost(self, now: float) -> None:
        """Tell that the medium below is gone."""
        self._link.medium_lost(now)
        self._pump(now)

    def receive(self, octets: bytes, now: float) -> None:
        """Take octets from the medium, in any cut."""
        self._link.receive(octets, now)
        self._pump(now)

    def advance(self, now: float) -> None:
        """Let time pass."""
        self._link.advance(now)
        self._pump(now)
        if self._answer_deadline is not None and now >= self._answer_deadline:
            self._answer_deadline = None
            self._time_out(now)
            self._pump(now)

    def deadline(self) -> float | None:
        """When ``advance`` must be called next, or None."""
        deadlines = [due for due in (self._link.deadline(), self._answer_deadline) if due is not None]
        return min(deadlines, default=None)

    def octets_to_send(self) -> bytes:
        """Take all octets that are ready for the medium."""
        return self._link.octets_to_send()

    def next_event(self) -> AssociationEvent | None:
        """Take the next event in order, or None."""
        return self._events.popleft() if self._events else None

    # The link's events.

    def _pump(self, now: float) -> None:
        while (event := self._link.next_event()) is not None:
            match event:
                case LinkUp():
                    self._peer = event.source
                    self._link_up(now)
                case LinkDown():
                    self._link_down(event)
                case ApduReceived():
                    self._take_apdu(event, now)
                case FrameDamaged():
                    self._emit(ApduRefused(event.octets, event.error))

    def _link_up(self, now: float) -> None:
        if next_state(self._state, Trigger.LINK_UP) is None:
            return
        self._move(Trigger.LINK_UP)
        self._send_aarq(now)

    def _link_down(self, event: LinkDown) -> None:
        if self._state is AssociationState.IDLE:
            return
        farewell = self._farewell
        self._move(Trigger.LINK_DOWN)
        self._end(replace(event.failure, detail=f"the link went down: {event.failure}"))
        self._emit(LinkLost(event.failure, event.by_peer) if farewell is None else farewell)

    def _end(self, failure: Failure) -> None:
        self._fail_all(failure)
        self._associated = None
        self._farewell = None
        self._answer_deadline = None
        if self._security is not None:
            self._security.forget_dedicated_key()

    def _take_apdu(self, event: ApduReceived, now: float) -> None:
        try:
            if event.octets[:1] and event.octets[0] in ACSE_TAGS:
                self._take_acse(event.octets, now)
            else:
                self._take_service(event, now)
        except WireError as error:
            self._refuse_apdu(event, error, now)

    def _refuse_apdu(self, event: ApduReceived, error: WireError, now: float) -> None:
        """Deal with octets that cannot be acted upon: they end what waits for them, and are shown."""
        self._emit(ApduRefused(event.octets, error))
        failure = failures.of_apdu_error(error)
        if self._state in (AssociationState.ASSOCIATING, AssociationState.AUTHENTICATING):
            self._refused(failure, now)
        elif self._state is AssociationState.RELEASING:
            self._drop_link(now)  # whatever it was, nothing better is to come
        elif self._running is not None and event.octets[:1] not in _UNASKED and not isinstance(error, _LateAnswerError):
            self._fail_running(failure, now)

    # Association.

    def _send_aarq(self, now: float) -> None:
        settings, security = self._settings, self._security
        is_hls = settings.mechanism in HLS_MECHANISMS
        has_mechanism = settings.mechanism is not AuthenticationMechanism.LOWEST
        self._challenge = self._entropy(CHALLENGE_OCTETS) if is_hls else b""
        value = self._challenge if is_hls else settings.secret
        needs_title = settings.ciphered or self._mechanism.needs_keys
        aarq = Aarq(
            ApplicationContext.LN_CIPHERED if settings.ciphered else ApplicationContext.LN,
            user_information=self._user_information(),
            calling_ap_title=security.system_title if security is not None and needs_title else None,
            mechanism=settings.mechanism if has_mechanism else None,
            authentication_value=AuthenticationValue(value) if has_mechanism else None,
            sender_requirements=AUTHENTICATION_REQUIREMENT if has_mechanism else None,
        )
        self._send(write_acse(aarq), now)

    def _user_information(self) -> bytes:
        """Build the initiate request, ciphered where the context is; kept for RLRQ."""
        settings, security = self._settings, self._security
        key = None
        if settings.ciphered and settings.use_dedicated_key and security is not None:
            key = self._entropy(security.keys.suite.key_size)
            security.use_dedicated_key(key)
        self._initiate = write_apdu(InitiateRequest(settings.conformance, settings.max_pdu, key))
        return security.protect(self._initiate) if settings.ciphered and security is not None else self._initiate

    def _take_acse(self, octets: bytes, now: float) -> None:
        apdu = read_acse(octets)
        if isinstance(apdu, Aare) and self._state is AssociationState.ASSOCIATING:
            self._take_aare(apdu, now)
        elif isinstance(apdu, Rlre) and self._state is AssociationState.RELEASING:
            self._drop_link(now)
        else:
            raise WireError(f"{type(apdu).__name__} while {self._state.value}", 0, "acse", CLAUSE)

    def _take_aare(self, aare: Aare, now: float) -> None:
        if aare.result != AssociationResult.ACCEPTED:
            self._refused(failures.of_aare(aare, self._fault_of(aare)), now)
            return
        if self._security is not None and aare.responding_ap_title is not None:
            self._security.learn_peer(aare.responding_ap_title)
        initiate = self._read_initiate(aare.user_information)
        if isinstance(initiate, ConfirmedServiceError):
            failure = Failure(FailureKind.ASSOCIATION_REFUSED, str(initiate), str(initiate), permanent=True)
            self._refused(failure, now)
            return
        self._associated = Associated(
            self._peer,
            self._settings.mechanism,
            self._settings.ciphered,
            initiate.conformance & self._settings.conformance,
            initiate.max_pdu_size,
            self._security.peer_title if self._security is not None else b"",
        )
        if self._settings.mechanism in HLS_MECHANISMS:
            self._answer_challenge(aare, now)
        else:
            self._accepted(Trigger.ACCEPTED, now)

    def _read_initiate(self, octets: bytes | None) -> InitiateResponse | ConfirmedServiceError:
        if octets is None:
            raise WireError("carries no initiate response", None, "user-information", CLAUSE)
        plain = octets
        if self._settings.ciphered and self._security is not None and octets[:1] != _CONFIRMED_SERVICE_ERROR:
            plain = self._security.unprotect(octets).octets
        apdu = read_apdu(plain)
        if not isinstance(apdu, InitiateResponse | ConfirmedServiceError):
            raise WireError(f"{type(apdu).__name__} is no initiate response", None, "user-information", CLAUSE)
        return apdu

    def _fault_of(self, aare: Aare) -> ConfirmedServiceError | None:
        """Read the confirmed-service-error that a refusal may carry."""
        try:
            initiate = self._read_initiate(aare.user_information)
        except WireError:
            return None  # a refusal needs no user information
        return initiate if isinstance(initiate, ConfirmedServiceError) else None

    def _answer_challenge(self, aare: Aare, now: float) -> None:
        """Send pass 3 of HLS: f(StoC) to the association object."""
        if aare.authentication_value is None or not aare.authentication_value.octets:
            raise WireError("carries no challenge", None, "responding-authentication-value", CLAUSE)
        stoc = aare.authentication_value.octets
        if stoc == self._challenge:
            self._refuse_proof(
                SecurityError("echoes our own challenge", None, "responding-authentication-value", CLAUSE), now
            )
            return
        self._move(Trigger.CHALLENGED)
        method = CosemMethodDescriptor(
            AssociationLN.class_id, self._settings.association_object, AssociationLN.reply_to_hls_authentication.number
        )
        settings = self._settings
        proof = prove(settings.mechanism, stoc, secret=settings.secret, security=self._security)
        request = ActionRequestNormal(self._next_invoke(), method, octet_string(proof))
        self._send_service(request, now)

    def _refuse_proof(self, error: SecurityError, now: float) -> None:
        self._refused(Failure(FailureKind.PROOF_NOT_ACCEPTED, str(error), error=error), now)

    def _take_proof(self, apdu: Apdu, now: float) -> None:
        if not isinstance(apdu, ActionResponseNormal):
            raise WireError(f"{type(apdu).__name__} in place of the server's proof", None, "apdu", CLAUSE)
        outcome = apdu.outcome
        if outcome.result != ActionResult.SUCCESS or not isinstance(outcome.returned, Data):
            self._refused(failures.of_proof_result(outcome.result), now)
            return
        settings, returned = self._settings, outcome.returned.octets
        try:
            check_proof(settings.mechanism, returned, self._challenge, secret=settings.secret, security=self._security)
        except SecurityError as error:
            self._refuse_proof(error, now)
            return
        self._accepted(Trigger.ACCEPTED, now)

    def _accepted(self, trigger: Trigger, now: float) -> None:
        self._move(trigger)
        self._answer_deadline = None
        if self._associated is not None:
            self._emit(self._associated)
        self._start_next(now)

    def _refused(self, failure: Failure, now: float) -> None:
        self._move(Trigger.REFUSED)
        self._fail_all(failure)
        self._associated = None
        self._move(Trigger.RELEASE)
        self._farewell = AssociationRefused(failure)
        self._drop_link(now)

    def _send_rlrq(self, now: float) -> None:
        information = None
        if self._settings.ciphered and self._security is not None and self._settings.release is Release.RLRQ:
            information = self._security.protect(self._initiate)
        self._send(write_acse(Rlrq(ReleaseRequestReason.NORMAL, information)), now)
        self._answer_deadline = now + RELEASE_TIMEOUT_S

    def _drop_link(self, now: float) -> None:
        self._answer_deadline = None
        if self._link.is_up or self._state is AssociationState.CONNECTING:
            self._link.disconnect(now)
            return
        self._link.disconnect(now)
        if next_state(self._state, Trigger.LINK_DOWN) is not None:
            self._link_down(LinkDown(Failure(FailureKind.NO_LINK, "the link was not up"), by_peer=False))

    def _time_out(self, now: float) -> None:
        waited = f"{self._settings.response_timeout_s:g} s"
        match self._state:
            case AssociationState.CONNECTING:
                self._farewell = AssociationRefused(Failure(FailureKind.NO_LINK, f"no link within {waited}"))
                self._move(Trigger.RELEASE)
                self._drop_link(now)
            case AssociationState.ASSOCIATING | AssociationState.AUTHENTICATING:
                self._refused(Failure(FailureKind.TIMEOUT, f"no answer within {waited}"), now)
            case AssociationState.ASSOCIATED:
                self._fail_running(Failure(FailureKind.TIMEOUT, f"no answer within {waited}"), now)
            case AssociationState.RELEASING:
                self._drop_link(now)
            case AssociationState.IDLE:
                pass

    # Services.

    def _take_service(self, event: ApduReceived, now: float) -> None:
        plain = self._plain(event.octets)
        unread = None if self._running is None else self._running.answer_unread(plain)
        if self._running is not None and unread is not None:
            self._step(self._running, unread, now)
            return
        apdu = read_apdu(plain)
        if isinstance(apdu, DataNotification | EventNotificationRequest):
            self._emit(Notification(apdu, event.source))
        elif isinstance(apdu, ExceptionResponse | ConfirmedServiceError):
            self._take_fault(apdu, now)
        elif self._state is AssociationState.AUTHENTICATING:
            self._take_proof(apdu, now)
        elif self._running is not None:
            self._take_answer(self._running, apdu, now)
        else:
            raise _LateAnswerError(f"{type(apdu).__name__} answers nothing", None, "apdu", CLAUSE)

    def _plain(self, octets: bytes) -> bytes:
        if is_ciphered(octets):
            if self._security is None:
                raise SecurityError("is ciphered, and there are no keys", 0, "apdu", CLAUSE)
            return self._security.unprotect(octets).octets
        if self._settings.ciphered and octets[:1] not in _CLEAR_TAGS:
            raise SecurityError("came without protection in a ciphered association", 0, "apdu", CLAUSE)
        return octets

    def _take_fault(self, apdu: ExceptionResponse | ConfirmedServiceError, now: float) -> None:
        if self._state in (AssociationState.ASSOCIATING, AssociationState.AUTHENTICATING):
            self._refused(failures.of_fault(apdu), now)
        elif self._running is not None:
            self._fail_running(failures.of_fault(apdu), now)

    def _take_answer(self, running: Exchange, apdu: Apdu, now: float) -> None:
        invoke = getattr(apdu, "invoke", None)
        if not isinstance(invoke, InvokeIdAndPriority):
            raise UnsupportedError(f"{type(apdu).__name__} is no answer", None, "apdu", CLAUSE)
        if invoke.invoke_id != running.invoke.invoke_id:
            raise _LateAnswerError(f"answers {invoke}, {running.invoke} is due", None, "invoke-id", CLAUSE)
        self._step(running, running.answer(apdu), now)

    def _step(self, running: Exchange, step: Step, now: float) -> None:
        """Send what the exchange wants sent, or finish it."""
        if isinstance(step, Done):
            self._running = None
            self._answer_deadline = None
            self._emit(step)
            self._start_next(now)
            return
        self._running = running
        self._send_service(step, now)

    def _start_next(self, now: float) -> None:
        while self._running is None and self._waiting and self._state is AssociationState.ASSOCIATED:
            request_id, request = self._waiting.popleft()
            exchange = exchange_for(request, request_id, self._next_invoke())
            step = exchange.start(self._terms())
            if isinstance(step, Done):
                self._emit(step)
            else:
                self._step(exchange, step, now)

    def _terms(self) -> Terms:
        agreed = self._associated
        assert agreed is not None  # noqa: S101 - our own invariant: only called while associated
        limit = min(agreed.max_pdu or APDU_MAX, APDU_MAX)
        overhead = PROTECTION_OCTETS if self._settings.ciphered else 0
        return Terms(agreed.conformance, limit - overhead, self._settings.max_response_octets)

    def _next_invoke(self) -> InvokeIdAndPriority:
        self._last_invoke_id = (self._last_invoke_id + 1) & 0x0F
        return InvokeIdAndPriority(self._last_invoke_id, high_priority=self._settings.priority_high)

    def _send_service(self, apdu: Apdu, now: float) -> None:
        octets = write_apdu(apdu)
        if self._settings.ciphered and self._security is not None:
            octets = self._security.protect(
                octets,
                dedicated=self._security.has_dedicated_key,
                general=self._settings.use_general_protection,
            )
        self._send(octets, now)

    def _send(self, octets: bytes, now: float) -> None:
        """Send an APDU; where the link is down already, its ``LinkDown`` waits and ends what is under way."""
        if not self._link.is_up:
            return
        try:
            self._link.send(octets, now)
        except ValueError:  # longer than the link carries, or the server takes nothing: the link's bound is reached
            self._link.disconnect(now)
            return
        self._answer_deadline = now + self._settings.response_timeout_s

    def _fail_running(self, failure: Failure, now: float) -> None:
        running, self._running = self._running, None
        self._answer_deadline = None
        if running is not None:
            self._emit(RequestFailed(running.request_id, failure))
        self._start_next(now)

    def _fail_all(self, failure: Failure) -> None:
        ids = [] if self._running is None else [self._running.request_id]
        ids += [request_id for request_id, _ in self._waiting]
        self._running = None
        self._waiting.clear()
        for request_id in ids:
            self._emit(RequestFailed(request_id, failure))

    def _move(self, trigger: Trigger) -> None:
        following = next_state(self._state, trigger)
        assert following is not None, f"{trigger.value} while {self._state.value}"  # noqa: S101 - our own invariant
        self._state = following

    def _emit(self, event: AssociationEvent) -> None:
        if len(self._events) >= EVENTS_MAX and isinstance(event, ApduRefused | Notification):
            return  # only what the peer sends unasked can pile up
        self._events.append(event)


class _LateAnswerError(WireError):
    """An answer to a request that is no longer under way: shown, and nothing fails by it."""


_CONFIRMED_SERVICE_ERROR = b"\x0e"
_UNASKED = frozenset({b"", b"\x0f", b"\xc2"})
"""Notifications answer nothing, so a bad one fails nothing."""
_CLEAR_TAGS = frozenset({_CONFIRMED_SERVICE_ERROR, b"\xd8"})
"""Faults come in the clear: the server may have been unable to open the request."""
