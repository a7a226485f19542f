"""The client of an application association, over any link (IEC 62056-5-3, 6 and 7).

Strategy: ``Association`` holds link, state and events; here are the client's moves, one pending request at a time
(``pending_request``) and one answer timer. Requests queue and are carried out in order; each ends in exactly one event.
A malformed APDU becomes ``ApduRefused`` or fails the request it answers; it never raises.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

from meterspan.crypto.mechanisms import mechanism_of
from meterspan.engine.association import failures
from meterspan.engine.association.acceptance import check_aare, check_initiate, context_asked
from meterspan.engine.association.agreement import Agreement
from meterspan.engine.association.core import CHALLENGE_OCTETS, CLAUSE, Association
from meterspan.engine.association.pending_request import Done, PendingRequest, Step, pending_request_for
from meterspan.engine.association.records import (
    Associated,
    AssociationEvent,
    AssociationRefused,
    AssociationSettings,
    LinkLost,
    Notification,
    QueueFullError,
    Release,
    Released,
    Request,
    RequestFailed,
)
from meterspan.engine.association.states import CLIENT_TABLE, AssociationState, ClientMove
from meterspan.engine.link import ApduReceived, Link, LinkDown, LinkUp
from meterspan.engine.security import SecurityContext, check_proof, is_ciphered, prove
from meterspan.model.cosem.classes import AssociationLN
from meterspan.model.failures import Failure, FailureKind
from meterspan.wire.acse import (
    AUTHENTICATION_REQUIREMENT,
    Aare,
    Aarq,
    AcseApdu,
    AssociationResult,
    AuthenticationMechanism,
    AuthenticationValue,
    ReleaseRequestReason,
    Rlre,
    Rlrq,
    acse_name,
    write_acse,
)
from meterspan.wire.acse.apdu import RLRE_TAG
from meterspan.wire.axdr import Data, octet_string
from meterspan.wire.errors import SecurityError, UnsupportedError, WireError
from meterspan.wire.xdlms import (
    ActionRequestNormal,
    ActionResponseNormal,
    ActionResult,
    Apdu,
    ApduTag,
    ConfirmedServiceError,
    DataNotification,
    EventNotificationRequest,
    ExceptionResponse,
    InitiateRequest,
    InitiateResponse,
    InvokeIdAndPriority,
    apdu_name,
    read_apdu,
    write_apdu,
)

__all__ = ["REQUESTS_QUEUED_MAX", "ClientAssociation"]

REQUESTS_QUEUED_MAX: Final = 1_024
"""Requests that may wait: more than any reading plan of one meter holds."""
RELEASE_TIMEOUT_S: Final = 5.0
"""How long RLRE may take: some meters just drop the link, so a longer wait only costs time."""

_ASSOCIATING = frozenset({AssociationState.ASSOCIATING, AssociationState.AUTHENTICATING})
_NO_REQUESTS = frozenset({AssociationState.IDLE, AssociationState.RELEASING})


@dataclass(frozen=True, slots=True)
class _Offer:
    """The offer of one AARQ: the plain initiate request, repeated in RLRQ, and CtoS (b"" without HLS)."""

    initiate: bytes = field(default=b"", repr=False)
    challenge: bytes = field(default=b"", repr=False)
    has_dedicated_key: bool = False


class ClientAssociation(Association[ClientMove]):
    """One client association; a ``Machine`` of ``AssociationEvent``.

    Args:
        link: carries the APDUs; the association owns it from here on.
        settings: how to associate.
        security: keys and counters; needed where the context is ciphered or the mechanism is GMAC.
        entropy: returns so many random octets, for challenge and dedicated key.

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
        super().__init__(link, entropy, table=CLIENT_TABLE, link_down=ClientMove.LINK_DOWN)
        self._mechanism = mechanism
        self._settings = settings
        self._security = security
        self._cipher = security if settings.ciphered else None
        self._waiting: deque[tuple[int, Request]] = deque()
        self._running: PendingRequest | None = None
        self._farewell: AssociationEvent | None = None
        self._agreed: Agreement | None = None
        self._offer = _Offer()
        self._peer = 0
        self._last_request_id = 0
        self._last_invoke_id = 0

    @property
    def agreement(self) -> Agreement | None:
        """The terms of the association while it is associated, None otherwise."""
        return self._agreed if self._state is AssociationState.ASSOCIATED else None

    def associate(self, now: float) -> None:
        """Bring the link up and associate; ``Associated``, ``AssociationRefused`` or ``LinkLost`` follows.

        Raises:
            RuntimeError: the association is not idle.

        """
        if not self._may(ClientMove.CONNECT):
            raise RuntimeError(f"cannot associate while {self._state.value}")
        self._move(ClientMove.CONNECT)
        self._timer = now + self._settings.response_timeout_s
        self._link.connect(now)
        self._pump(now)

    def request(self, request: Request, now: float) -> int:
        """Queue a request and return its id; one of its done events or ``RequestFailed`` follows.

        Raises:
            QueueFullError: more than ``REQUESTS_QUEUED_MAX`` wait already.

        """
        if len(self._waiting) >= REQUESTS_QUEUED_MAX:
            raise QueueFullError(f"{REQUESTS_QUEUED_MAX} requests wait already")
        self._last_request_id += 1
        request_id = self._last_request_id
        if self._state in _NO_REQUESTS:
            self._emit(RequestFailed(request_id, Failure(FailureKind.CANCELLED, "there is no association")))
            return request_id
        self._waiting.append((request_id, request))
        self._attempt(self._start_next, now)
        self._pump(now)
        return request_id

    def release(self, now: float) -> None:
        """End the association and the link in order; ``Released`` follows. Waiting requests fail as cancelled."""
        if not self._may(ClientMove.RELEASE):
            return
        was_associated = self._state is AssociationState.ASSOCIATED
        self._fail_all(Failure(FailureKind.CANCELLED, "the association was released"))
        self._move(ClientMove.RELEASE)
        self._farewell = Released()
        if was_associated and self._settings.release is not Release.LINK_ONLY:
            self._attempt(self._send_rlrq, now)
        else:
            self._drop_link(now)
        self._pump(now)

    # The link.

    def _link_came_up(self, event: LinkUp, now: float) -> None:
        if self._may(ClientMove.LINK_UP):
            self._peer = event.source
            self._move(ClientMove.LINK_UP)
            self._send_aarq(now)

    def _link_went_down(self, event: LinkDown) -> None:
        farewell, self._farewell = self._farewell, None
        self._fail_all(replace(event.failure, detail=f"the link went down: {event.failure}"))
        self._agreed, self._offer = None, _Offer()
        if self._security is not None:
            self._security.forget_dedicated_key()
        self._emit(LinkLost(event.failure, event.by_peer) if farewell is None else farewell)

    def _give_up(self, failure: Failure, now: float) -> None:
        if isinstance(self._farewell, Released):
            self._farewell = Released(failure)
        super()._give_up(failure, now)

    def _drop_link(self, now: float) -> None:
        self._timer = None
        was_up = self._link.is_up
        self._link.disconnect(now)
        if not was_up:
            self._take_link_down(LinkDown(Failure(FailureKind.NO_LINK, "the link was not up"), by_peer=False))

    def _refuse_apdu(self, event: ApduReceived, error: WireError, now: float) -> None:
        """Fail the request or the association that an unusable APDU was meant for."""
        failure = failures.of_apdu_error(error)
        is_late = event.octets[:1] in _UNASKED or isinstance(error, _LateAnswerError)
        if self._state in _ASSOCIATING:
            self._refused(failure, now)
        elif self._state is AssociationState.RELEASING:
            self._refuse_farewell(event, now)
        elif self._running is not None and not is_late:
            self._fail_running(failure, now)

    def _refuse_farewell(self, event: ApduReceived, now: float) -> None:
        """Wait on for the RLRE of the server where this one is not its; anything else will not become one."""
        if event.octets[:1] != _RLRE:
            self._drop_link(now)

    # Association.

    def _send_aarq(self, now: float) -> None:
        settings = self._settings
        self._offer = self._make_offer()
        has_mechanism = settings.mechanism is not AuthenticationMechanism.LOWEST
        value = self._offer.challenge or settings.secret
        aarq = Aarq(
            context_asked(ciphered=settings.ciphered),
            user_information=self._sealed_initiate(),
            calling_ap_title=self._own_title() or None,
            mechanism=settings.mechanism if has_mechanism else None,
            authentication_value=AuthenticationValue(value) if has_mechanism else None,
            sender_requirements=AUTHENTICATION_REQUIREMENT if has_mechanism else None,
        )
        self._send_for_answer(write_acse(aarq), now)

    def _make_offer(self) -> _Offer:
        settings = self._settings
        challenge = self._entropy(CHALLENGE_OCTETS) if self._mechanism.is_hls else b""
        key = None
        if self._cipher is not None and settings.use_dedicated_key:
            key = self._entropy(self._cipher.keys.suite.key_size)
            self._cipher.use_dedicated_key(key)
        initiate = write_apdu(InitiateRequest(settings.conformance, settings.max_pdu, key))
        return _Offer(initiate, challenge, key is not None)

    def _own_title(self) -> bytes:
        needs_title = self._settings.ciphered or self._mechanism.needs_keys
        return self._security.system_title if self._security is not None and needs_title else b""

    def _sealed_initiate(self) -> bytes:
        return self._offer.initiate if self._cipher is None else self._cipher.protect(self._offer.initiate)

    def _take_acse(self, apdu: AcseApdu, event: ApduReceived, now: float) -> None:  # noqa: ARG002 - one signature
        if isinstance(apdu, Aare) and self._state is AssociationState.ASSOCIATING:
            self._take_aare(apdu, now)
        elif isinstance(apdu, Rlre) and self._state is AssociationState.RELEASING:
            self._take_rlre(apdu, now)
        else:
            raise WireError(f"{acse_name(apdu)} while {self._state.value}", 0, "acse", CLAUSE)

    def _take_aare(self, aare: Aare, now: float) -> None:
        if aare.result != AssociationResult.ACCEPTED:
            self._refused(failures.of_aare(aare, self._fault_of(aare)), now)
            return
        check_aare(aare, self._mechanism, self._security, ciphered=self._settings.ciphered)
        initiate = self._read_initiate(aare.user_information)
        if isinstance(initiate, ConfirmedServiceError):
            self._refused(failures.of_initiate_fault(initiate), now)
            return
        check_initiate(initiate)
        agreed = self._agreed = self._agree(initiate)
        if self._mechanism.is_hls:
            self._answer_challenge(aare, now)
        else:
            self._accepted(agreed, now)

    def _agree(self, initiate: InitiateResponse) -> Agreement:
        settings = self._settings
        return Agreement(
            self._peer,
            settings.mechanism,
            context_asked(ciphered=settings.ciphered),
            initiate.conformance & settings.conformance,
            initiate.max_pdu_size,
            self._own_title(),
            b"" if self._security is None else self._security.peer_title,
            has_dedicated_key=self._offer.has_dedicated_key,
            is_general=settings.use_general_protection,
        )

    def _read_initiate(self, octets: bytes | None) -> InitiateResponse | ConfirmedServiceError:
        if octets is None:
            raise WireError("carries no initiate response", None, "user-information", CLAUSE)
        plain = octets
        if self._cipher is not None and octets[:1] != _CONFIRMED_SERVICE_ERROR:
            plain = self._cipher.unprotect(octets).octets
        if plain[:1] not in _INITIATE_ANSWERS:  # nothing else is read before there is an association
            raise WireError(f"{plain[:1].hex()} begins no initiate response", None, "user-information", CLAUSE)
        apdu = read_apdu(plain)
        if not isinstance(apdu, InitiateResponse | ConfirmedServiceError):
            raise WireError(f"{apdu_name(apdu)} is no initiate response", None, "user-information", CLAUSE)
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
        stoc = b"" if aare.authentication_value is None else aare.authentication_value.octets
        if stoc == self._offer.challenge:
            error = SecurityError("echoes our own challenge", None, "responding-authentication-value", CLAUSE)
            self._refuse_proof(error, now)
            return
        method = AssociationLN.reply_to_hls_authentication.at(self._settings.association_object)
        proof = prove(self._settings.mechanism, stoc, secret=self._settings.secret, security=self._security)
        reply = ActionRequestNormal(self._next_invoke(), method, octet_string(proof))
        agreed = self._agreed
        if agreed is not None and len(write_apdu(reply)) > agreed.apdu_max:
            words = f"the server's PDU of {agreed.max_pdu} octets has no room for the client's proof"
            self._refused(Failure(FailureKind.UNSUPPORTED, words, permanent=True), now)
            return
        self._move(ClientMove.CHALLENGED)
        self._send_service(reply, now)

    def _take_proof(self, agreed: Agreement, apdu: Apdu, now: float) -> None:
        """Process pass 4 of HLS."""
        if not isinstance(apdu, ActionResponseNormal):
            raise WireError(f"{apdu_name(apdu)} in place of the server's proof", None, "apdu", CLAUSE)
        outcome, settings = apdu.outcome, self._settings
        if outcome.result != ActionResult.SUCCESS or not isinstance(outcome.returned, Data):
            self._refused(failures.of_proof_result(outcome.result), now)
            return
        proof, ctos = outcome.returned.octets, self._offer.challenge
        try:
            check_proof(
                settings.mechanism,
                proof,
                ctos,
                secret=settings.secret,
                security=self._security,
                is_ciphered=self._cipher is not None,
            )
        except SecurityError as error:
            self._refuse_proof(error, now)
            return
        self._accepted(agreed, now)

    def _refuse_proof(self, error: SecurityError, now: float) -> None:
        self._refused(Failure(FailureKind.PROOF_NOT_ACCEPTED, str(error), error=error), now)

    def _accepted(self, agreed: Agreement, now: float) -> None:
        self._move(ClientMove.ACCEPTED)
        self._timer = None
        if self._security is not None and (self._cipher is not None or self._mechanism.is_hls):
            self._security.confirm_tried_counter()
        self._emit(Associated(agreed))
        self._start_next(now)

    def _refused(self, failure: Failure, now: float) -> None:
        self._move(ClientMove.REFUSED)
        self._fail_all(failure)
        self._farewell = AssociationRefused(failure)
        self._drop_link(now)

    def _send_rlrq(self, now: float) -> None:
        is_repeated = self._cipher is not None and self._settings.release is Release.RLRQ
        information = self._sealed_initiate() if is_repeated else None
        self._send(write_acse(Rlrq(ReleaseRequestReason.NORMAL, information)), now)
        self._timer = now + RELEASE_TIMEOUT_S

    def _take_rlre(self, rlre: Rlre, now: float) -> None:
        """End the link at the answer of the server.

        In a ciphered association the answer carries the ciphered initiate response. Many meters send a bare RLRE, and
        as this side has left the association already, that is enough; one that cannot be opened is not the server's.
        """
        if self._cipher is not None and rlre.user_information is not None:
            self._read_initiate(rlre.user_information)
        self._drop_link(now)

    def _time_out(self, now: float) -> None:
        waited = f"{self._settings.response_timeout_s:g} s"
        match self._state:
            case AssociationState.CONNECTING:
                self._farewell = AssociationRefused(Failure(FailureKind.NO_LINK, f"no link within {waited}"))
                self._move(ClientMove.RELEASE)
                self._drop_link(now)
            case AssociationState.ASSOCIATING | AssociationState.AUTHENTICATING:
                words = f"no answer within {waited}: is there a logical device {self._peer}?"
                self._refused(Failure(FailureKind.TIMEOUT, words), now)
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
        elif self._state is AssociationState.AUTHENTICATING and self._agreed is not None:
            self._take_proof(self._agreed, apdu, now)
        elif self._running is not None:
            self._take_answer(self._running, apdu, now)
        else:
            raise _LateAnswerError(f"{apdu_name(apdu)} answers nothing", None, "apdu", CLAUSE)

    def _plain(self, octets: bytes) -> bytes:
        if is_ciphered(octets):
            if self._security is None:
                raise SecurityError("is ciphered, and there are no keys", 0, "apdu", CLAUSE)
            return self._security.unprotect(octets).octets
        if self._cipher is not None and octets[:1] not in _CLEAR_TAGS:
            raise SecurityError("is not protected in a ciphered association", 0, "apdu", CLAUSE)
        return octets

    def _take_fault(self, apdu: ExceptionResponse | ConfirmedServiceError, now: float) -> None:
        if self._state in _ASSOCIATING:
            self._refused(failures.of_fault(apdu), now)
        elif self._running is not None:
            self._fail_running(failures.of_fault(apdu), now)

    def _take_answer(self, running: PendingRequest, apdu: Apdu, now: float) -> None:
        invoke = getattr(apdu, "invoke", None)
        if not isinstance(invoke, InvokeIdAndPriority):
            raise UnsupportedError(f"{apdu_name(apdu)} is no answer", None, "apdu", CLAUSE)
        if invoke.invoke_id != running.invoke.invoke_id:
            raise _LateAnswerError(f"answers {invoke}, {running.invoke} is due", None, "invoke-id", CLAUSE)
        self._step(running, running.answer(apdu), now)

    def _step(self, running: PendingRequest, step: Step, now: float) -> None:
        """Send the pending request's next APDU, or finish it."""
        if isinstance(step, Done):
            self._running = None
            self._timer = None
            self._emit(step)
            self._start_next(now)
            return
        self._running = running
        self._send_service(step, now)

    def _start_next(self, now: float) -> None:
        agreed = self.agreement
        while self._running is None and self._waiting and agreed is not None:
            request_id, request = self._waiting.popleft()
            answer_max = self._settings.max_response_octets
            pending = pending_request_for(request, request_id, self._next_invoke(), agreed, answer_max=answer_max)
            step = pending.start()
            if isinstance(step, Done):
                self._emit(step)
            else:
                self._step(pending, step, now)

    def _next_invoke(self) -> InvokeIdAndPriority:
        self._last_invoke_id = (self._last_invoke_id + 1) & 0x0F
        return InvokeIdAndPriority(self._last_invoke_id, high_priority=self._settings.priority_high)

    def _send_service(self, apdu: Apdu, now: float) -> None:
        octets = write_apdu(apdu)
        if self._cipher is not None:
            general = self._settings.use_general_protection
            octets = self._cipher.protect(octets, dedicated=self._offer.has_dedicated_key, general=general)
        self._send_for_answer(octets, now)

    def _send_for_answer(self, octets: bytes, now: float) -> None:
        self._send(octets, now)
        self._timer = now + self._settings.response_timeout_s

    def _fail_running(self, failure: Failure, now: float) -> None:
        running, self._running = self._running, None
        self._timer = None
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


class _LateAnswerError(WireError):
    """An answer to a request that is no longer under way: reported; no request fails."""


_CONFIRMED_SERVICE_ERROR = bytes((ApduTag.CONFIRMED_SERVICE_ERROR,))
_RLRE = bytes((RLRE_TAG,))
_INITIATE_ANSWERS = frozenset({bytes((ApduTag.INITIATE_RESPONSE,)), _CONFIRMED_SERVICE_ERROR})
_UNASKED = frozenset({b"", bytes((ApduTag.DATA_NOTIFICATION,)), bytes((ApduTag.EVENT_NOTIFICATION_REQUEST,))})
"""Notifications answer nothing, so a bad one fails nothing."""
_CLEAR_TAGS = frozenset({_CONFIRMED_SERVICE_ERROR, bytes((ApduTag.EXCEPTION_RESPONSE,))})
"""Faults are sent in the clear: the server may have been unable to open the request."""
