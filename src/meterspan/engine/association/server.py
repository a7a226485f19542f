"""The server of application associations, over any link (IEC 62056-5-3, 6 and 7).

Strategy: ``Association`` holds link, state and events. The client's address names the association (``LogicalDevice``);
what belongs to one association is one record, ``_Served``, dropped as a whole. Requests go, deciphered, to a
``Dispatcher`` that owns objects and rights. Refusals follow the standard: AARE with a diagnostic, exception-response
for what cannot be deciphered, replayed or is not allowed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from meterspan.crypto.hls import password_fits
from meterspan.crypto.mechanisms import HLS_MECHANISMS, mechanism_of
from meterspan.engine.association.agreement import APDU_MAX, Agreement
from meterspan.engine.association.attempts import AttemptLedger
from meterspan.engine.association.core import CHALLENGE_OCTETS, CLAUSE, Association
from meterspan.engine.association.dispatch import Dispatcher
from meterspan.engine.association.failures import kind_of_diagnostic
from meterspan.engine.association.own_objects import association_objects
from meterspan.engine.association.records import ApduRefused, Associated, AssociationRefused, LinkLost, Released
from meterspan.engine.association.states import SERVER_TABLE, AssociationState, ServerMove
from meterspan.engine.link import ApduReceived, Link, LinkDown, LinkUp
from meterspan.engine.security import Opened, SecurityContext, check_proof, is_ciphered, prove
from meterspan.model.cosem.classes import AssociationLN1
from meterspan.model.cosem.device import CURRENT_ASSOCIATION, AssociationDefinition, LogicalDevice
from meterspan.model.failures import Failure, FailureKind
from meterspan.quantities import Obis
from meterspan.wire.acse import (
    AUTHENTICATION_REQUIREMENT,
    Aare,
    Aarq,
    AcseApdu,
    ApplicationContext,
    AssociationResult,
    AuthenticationMechanism,
    AuthenticationValue,
    Diagnostic,
    ReleaseResponseReason,
    Rlre,
    Rlrq,
    UserDiagnostic,
    write_acse,
)
from meterspan.wire.axdr import octet_string
from meterspan.wire.errors import KeyMissingError, ReplayError, SecurityError, UnsupportedError, WireError
from meterspan.wire.xdlms import (
    DLMS_VERSION,
    ActionHead,
    ActionOutcome,
    ActionRequestNormal,
    ActionResponseNormal,
    ActionResult,
    Apdu,
    ApduTag,
    ConfirmedService,
    ConfirmedServiceError,
    ExceptionResponse,
    InitiateRequest,
    InitiateResponse,
    SecurityControl,
    ServiceErrorCategory,
    ServiceFault,
    StateFault,
    read_apdu,
    read_request_head,
    write_apdu,
)

__all__ = ["APDU_MIN", "IDLE_TIMEOUT_S", "SecurityOf", "ServerAssociation", "ServerLimits"]

APDU_MIN: Final = 64
"""The smallest client-max-receive-pdu-size served: protection and a block's header leave some twenty octets."""
IDLE_TIMEOUT_S: Final = 300.0
"""An association without a request for so long is forgotten, and its link taken down."""
CHALLENGE_MIN: Final = 8
CHALLENGE_MAX: Final = 64
"""Bounds of a challenge (IEC 62056-5-3, 5.7.4.3)."""

SecurityOf = Callable[[AssociationDefinition], SecurityContext | None]
"""Makes the security context of one new association."""

_OPEN = frozenset({AssociationState.ASSOCIATING, AssociationState.AUTHENTICATING, AssociationState.ASSOCIATED})
"""States in which an AARQ is accepted."""
_INITIATE_REQUEST = bytes((ApduTag.INITIATE_REQUEST,))
_NOT_POSSIBLE = ExceptionResponse(StateFault.SERVICE_NOT_ALLOWED, ServiceFault.OPERATION_NOT_POSSIBLE)


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """Limits of a server.

    Attributes:
        max_pdu: octets of the longest APDU taken, announced to the client; none longer is sent either.
        idle_timeout_s: see ``IDLE_TIMEOUT_S``.

    """

    max_pdu: int = 0xFFFF
    idle_timeout_s: float = IDLE_TIMEOUT_S


@dataclass(frozen=True, slots=True)
class _Claim:
    """Who asks for an association, checked before any octet is deciphered."""

    client: int
    definition: AssociationDefinition
    security: SecurityContext | None

    @property
    def cipher(self) -> SecurityContext | None:
        """The protection of services; None in an association without ciphering."""
        return self.security if self.definition.ciphered else None


@dataclass(frozen=True, slots=True)
class _Served:
    """One association: who it is with, its terms, what serves it, and the challenges of HLS (b"" without)."""

    claim: _Claim
    agreement: Agreement
    dispatcher: Dispatcher
    ctos: bytes = b""
    stoc: bytes = b""


class ServerAssociation(Association[ServerMove]):
    """The associations over one link, one at a time; a ``Machine`` of ``AssociationEvent``.

    Args:
        link: carries the APDUs; the association owns it from here on.
        device: the logical device served.
        security: makes the security context of an association; None where no association needs one.
        entropy: returns so many random octets, for challenges.
        attempts: failed authentications, shared by all links of the device.
        limits: bounds on requests and time.

    """

    def __init__(
        self,
        link: Link,
        device: LogicalDevice,
        *,
        security: SecurityOf | None = None,
        entropy: Callable[[int], bytes],
        attempts: AttemptLedger | None = None,
        limits: ServerLimits | None = None,
    ) -> None:
        super().__init__(link, entropy, table=SERVER_TABLE, link_down=ServerMove.LINK_DOWN)
        self._device = device
        self._security_of = security
        self._attempts = AttemptLedger() if attempts is None else attempts
        self._limits = ServerLimits() if limits is None else limits
        self._served: _Served | None = None
        self._idle_end: float | None = None
        self.peer = ""
        """Address of the client, where the medium has one: failed authentications are counted by it."""

    @property
    def agreement(self) -> Agreement | None:
        """The terms of the association while it is associated, None otherwise."""
        is_associated = self._state is AssociationState.ASSOCIATED
        return self._served.agreement if is_associated and self._served is not None else None

    @property
    def security(self) -> SecurityContext | None:
        """The security context of the association, where it has one."""
        return None if self._served is None else self._served.claim.security

    def connect(self, now: float) -> None:
        """Listen: the medium below is there."""
        self._link.connect(now)
        self._pump(now)

    # The link.

    def _link_came_up(self, event: LinkUp, now: float) -> None:  # noqa: ARG002 - one signature for both roles
        if self._may(ServerMove.LINK_UP):
            self._move(ServerMove.LINK_UP)

    def _link_went_down(self, event: LinkDown) -> None:
        was_served = self._served is not None
        self._forget()
        if was_served:
            self._emit(LinkLost(event.failure, event.by_peer))

    def _give_up(self, failure: Failure, now: float) -> None:
        if self._served is None:
            self._emit(AssociationRefused(failure))
        super()._give_up(failure, now)

    def _time_out(self, now: float) -> None:
        """End an idle association."""
        if not self._may(ServerMove.INACTIVE):
            return
        words = f"no request for {self._limits.idle_timeout_s:g} s"
        self._emit(Released(Failure(FailureKind.TIMEOUT, words)))
        self._move(ServerMove.INACTIVE)
        self._forget()
        self._link.disconnect(now)

    def _take_apdu(self, event: ApduReceived, now: float) -> None:
        if event.numbered and event.octets:  # no client pushes to a server
            self._idle_end, self._timer = self._timer, now + self._limits.idle_timeout_s
            super()._take_apdu(event, now)

    def _refuse_apdu(self, event: ApduReceived, error: WireError, now: float) -> None:  # noqa: ARG002 - one signature
        if self._idle_end is not None:
            self._timer = self._idle_end  # what cannot be used keeps no association alive
        self._send(write_apdu(_exception_for(error)), now)

    # Association.

    def _take_acse(self, apdu: AcseApdu, event: ApduReceived, now: float) -> None:
        if isinstance(apdu, Aarq) and self._state in _OPEN:
            self._take_aarq(apdu, event.source, now)
        elif isinstance(apdu, Rlrq) and self._state in _OPEN:
            self._take_rlrq(now)
        else:
            raise WireError(f"{type(apdu).__name__} while {self._state.value}", 0, "acse", CLAUSE)

    def _take_aarq(self, aarq: Aarq, client: int, now: float) -> None:
        if self._may(ServerMove.AGAIN):
            self._move(ServerMove.AGAIN)
        self._forget()
        claim = self._check_claim(aarq, client, now)
        if isinstance(claim, UserDiagnostic):
            self._refuse(aarq, client, claim, now)
            return
        initiate = _open_initiate(aarq, claim.cipher)
        fault = _initiate_fault(initiate, claim.definition)
        if fault is not None:
            self._refuse(aarq, client, UserDiagnostic.NO_REASON_GIVEN, now, fault=fault)
        elif claim.definition.mechanism in HLS_MECHANISMS:
            self._challenge(aarq, claim, initiate, now)
        elif self._is_password_right(aarq, claim, now):
            served = self._serve(claim, initiate)
            self._move(ServerMove.ACCEPTED)
            self._send_aare(aarq, served, Diagnostic(), now)
            self._emit(Associated(served.agreement))
        else:
            self._refuse(aarq, client, UserDiagnostic.AUTHENTICATION_FAILURE, now)

    def _check_claim(self, aarq: Aarq, client: int, now: float) -> _Claim | UserDiagnostic:
        """Check client, mechanism and context before any octet is deciphered."""
        definition = self._device.association(client)
        if definition is None:
            return UserDiagnostic.NO_REASON_GIVEN
        if aarq.application_context != _context_of(definition):
            return UserDiagnostic.APPLICATION_CONTEXT_NAME_NOT_SUPPORTED
        offered = AuthenticationMechanism.LOWEST if aarq.mechanism is None else aarq.mechanism
        if offered != definition.mechanism:
            required = offered is AuthenticationMechanism.LOWEST
            return (
                UserDiagnostic.AUTHENTICATION_MECHANISM_NAME_REQUIRED
                if required
                else UserDiagnostic.AUTHENTICATION_MECHANISM_NAME_NOT_RECOGNISED
            )
        if self._attempts.is_waiting(self.peer, client, now):
            return UserDiagnostic.AUTHENTICATION_FAILURE
        return self._know_client(aarq, client, definition)

    def _know_client(self, aarq: Aarq, client: int, definition: AssociationDefinition) -> _Claim | UserDiagnostic:
        """Make the security context of an association that needs one, for the title that the client claims."""
        mechanism = mechanism_of(definition.mechanism)
        if not definition.ciphered and (mechanism is None or not mechanism.needs_keys):
            return _Claim(client, definition, None)
        security = None if self._security_of is None else self._security_of(definition)
        if security is None or aarq.calling_ap_title is None:
            return UserDiagnostic.CALLING_AP_TITLE_NOT_RECOGNIZED
        security.forget_dedicated_key()  # an owner may reuse one context
        try:
            security.learn_peer(aarq.calling_ap_title)
        except WireError:
            return UserDiagnostic.CALLING_AP_TITLE_NOT_RECOGNIZED
        return _Claim(client, definition, security)

    def _serve(self, claim: _Claim, initiate: InitiateRequest, *, ctos: bytes = b"", stoc: bytes = b"") -> _Served:
        """Agree on the terms and begin to serve them."""
        definition, security = claim.definition, claim.security
        agreement = Agreement(
            claim.client,
            definition.mechanism,
            _context_of(definition),
            initiate.conformance & definition.conformance,
            min(initiate.max_pdu_size or APDU_MAX, self._limits.max_pdu),
            b"" if security is None else security.system_title,
            b"" if security is None else security.peer_title,
            claim.cipher is not None and claim.cipher.has_dedicated_key,
        )
        own = association_objects(
            self._device, definition, agreement, receive_max=self._limits.max_pdu, state=lambda: self._state
        )
        dispatcher = Dispatcher(self._device, definition, agreement=agreement, own=own)
        self._served = _Served(claim, agreement, dispatcher, ctos, stoc)
        return self._served

    def _is_password_right(self, aarq: Aarq, claim: _Claim, now: float) -> bool:
        if claim.definition.mechanism is AuthenticationMechanism.LOWEST:
            return True
        given = b"" if aarq.authentication_value is None else aarq.authentication_value.octets
        if password_fits(given, claim.definition.secret):
            self._attempts.succeeded(self.peer, claim.client)
            return True
        self._attempts.failed(self.peer, claim.client, now)
        return False

    def _challenge(self, aarq: Aarq, claim: _Claim, initiate: InitiateRequest, now: float) -> None:
        """Begin HLS: keep CtoS, send StoC."""
        ctos = b"" if aarq.authentication_value is None else aarq.authentication_value.octets
        if not CHALLENGE_MIN <= len(ctos) <= CHALLENGE_MAX:
            self._refuse(aarq, claim.client, UserDiagnostic.AUTHENTICATION_FAILURE, now)
            return
        served = self._serve(claim, initiate, ctos=ctos, stoc=self._entropy(CHALLENGE_OCTETS))
        self._move(ServerMove.CHALLENGED)
        self._send_aare(aarq, served, Diagnostic(code=UserDiagnostic.AUTHENTICATION_REQUIRED), now)

    def _send_aare(self, aarq: Aarq, served: _Served, diagnostic: Diagnostic, now: float) -> None:
        agreement, cipher = served.agreement, served.claim.cipher
        initiate = write_apdu(InitiateResponse(agreement.conformance, self._limits.max_pdu))
        is_hls = bool(served.stoc)
        aare = Aare(
            aarq.application_context,
            AssociationResult.ACCEPTED,
            diagnostic,
            initiate if cipher is None else cipher.protect(initiate),
            responding_ap_title=agreement.own_title or None,
            mechanism=agreement.mechanism if is_hls else None,
            authentication_value=AuthenticationValue(served.stoc) if is_hls else None,
            responder_requirements=AUTHENTICATION_REQUIREMENT if is_hls else None,
        )
        self._send(write_acse(aare), now)

    def _refuse(
        self, aarq: Aarq, client: int, code: UserDiagnostic, now: float, *, fault: ConfirmedServiceError | None = None
    ) -> None:
        """Refuse an AARQ.

        Args:
            aarq: the refused request.
            client: who sent it.
            code: the diagnostic.
            now: UTC seconds.
            fault: why the initiate request cannot be served, where that is the reason.

        """
        is_waiting = self._attempts.is_waiting(self.peer, client, now)
        result = AssociationResult.REJECTED_TRANSIENT if is_waiting else AssociationResult.REJECTED_PERMANENT
        information = None if fault is None else write_apdu(fault)
        self._send(write_acse(Aare(aarq.application_context, result, Diagnostic(code=code), information)), now)
        words = f"client {client}: {code.text if fault is None else fault}"
        self._emit(AssociationRefused(Failure(kind_of_diagnostic(code), words, code.text, permanent=not is_waiting)))
        self._forget()

    def _take_rlrq(self, now: float) -> None:
        self._send(write_acse(Rlre(ReleaseResponseReason.NORMAL)), now)
        if self._may(ServerMove.RELEASED):  # else its association was ended already
            self._move(ServerMove.RELEASED)
            self._forget()
            self._emit(Released())

    def _forget(self) -> None:
        """Drop all that belongs to the association."""
        if self._served is not None and self._served.claim.security is not None:
            self._served.claim.security.forget_dedicated_key()
        self._served = None

    # Services.

    def _take_service(self, event: ApduReceived, now: float) -> None:
        served = self._served
        if served is None:
            self._refuse_service(event, f"a service while {self._state.value}", now)
            return
        if event.source != served.agreement.peer:
            self._refuse_service(event, f"client {event.source} has no association here", now)
            return
        opened = _open(event.octets, served.claim.cipher)
        if self._state is AssociationState.AUTHENTICATING:
            self._take_proof(served, opened, now)
            return
        is_authenticated = bool(opened.control & SecurityControl.AUTHENTICATION)
        apdu = served.dispatcher.read(opened.octets, authenticated=is_authenticated)
        response = served.dispatcher.handle(apdu, now, authenticated=is_authenticated)
        if response is not None:
            self._answer(served, response, opened, now)

    def _refuse_service(self, event: ApduReceived, reason: str, now: float) -> None:
        self._emit(ApduRefused(event.octets, WireError(reason, 0, "apdu", CLAUSE)))
        self._send(write_apdu(_NOT_POSSIBLE), now)

    def _answer(self, served: _Served, apdu: Apdu, request: Opened, now: float) -> None:
        """Answer with the protection that the request had."""
        octets, cipher = write_apdu(apdu), served.claim.cipher
        if cipher is not None and not isinstance(apdu, ExceptionResponse):
            octets = cipher.protect(octets, dedicated=request.is_dedicated, general=request.is_general)
        self._send(octets, now)

    def _take_proof(self, served: _Served, opened: Opened, now: float) -> None:
        """Process pass 3 of HLS and answer with pass 4; nothing else is read or served before."""
        definition, client = served.claim.definition, served.claim.client
        apdu = read_apdu(opened.octets) if _is_reply(opened.octets, definition) else None
        if not isinstance(apdu, ActionRequestNormal):
            self._send(write_apdu(_NOT_POSSIBLE), now)
            return
        proof = b"" if apdu.parameters is None else apdu.parameters.octets
        if not _is_proof_right(served, proof):
            self._attempts.failed(self.peer, client, now)
            outcome = ActionOutcome(ActionResult.OTHER_REASON)
            self._answer(served, ActionResponseNormal(apdu.invoke, outcome), opened, now)
            self._move(ServerMove.REFUSED)
            self._emit(AssociationRefused(Failure(FailureKind.PROOF_NOT_ACCEPTED, f"client {client}: wrong proof")))
            self._forget()
            return
        self._attempts.succeeded(self.peer, client)
        self._move(ServerMove.ACCEPTED)
        own = prove(definition.mechanism, served.ctos, secret=definition.secret, security=served.claim.security)
        outcome = ActionOutcome(ActionResult.SUCCESS, octet_string(own))
        self._answer(served, ActionResponseNormal(apdu.invoke, outcome), opened, now)
        self._emit(Associated(served.agreement))


def _context_of(definition: AssociationDefinition) -> ApplicationContext:
    return ApplicationContext.LN_CIPHERED if definition.ciphered else ApplicationContext.LN


def _exception_for(error: WireError) -> ExceptionResponse:
    """Return the answer to an unusable APDU (IEC 62056-5-3, 6.17)."""
    match error:
        case ReplayError():
            fault = ServiceFault.INVOCATION_COUNTER_ERROR
            return ExceptionResponse(StateFault.SERVICE_NOT_ALLOWED, fault, error.expected or 0)
        case SecurityError():
            return ExceptionResponse(StateFault.SERVICE_NOT_ALLOWED, ServiceFault.DECIPHERING_ERROR)
        case UnsupportedError():
            return ExceptionResponse(StateFault.SERVICE_UNKNOWN, ServiceFault.SERVICE_NOT_SUPPORTED)
        case _:
            return _NOT_POSSIBLE


def _open_initiate(aarq: Aarq, cipher: SecurityContext | None) -> InitiateRequest:
    if aarq.user_information is None:
        raise WireError("carries no initiate request", None, "user-information", CLAUSE)
    octets = aarq.user_information if cipher is None else cipher.unprotect(aarq.user_information).octets
    if octets[:1] != _INITIATE_REQUEST:  # nothing else is read before there is an association
        raise WireError(f"{octets[:1].hex()} begins no initiate request", None, "user-information", CLAUSE)
    apdu = read_apdu(octets)
    if not isinstance(apdu, InitiateRequest):
        raise WireError(f"{type(apdu).__name__} is no initiate request", None, "user-information", CLAUSE)
    if apdu.dedicated_key is not None and cipher is not None:
        cipher.use_dedicated_key(apdu.dedicated_key)
    return apdu


def _initiate_fault(initiate: InitiateRequest, definition: AssociationDefinition) -> ConfirmedServiceError | None:
    """Return why an initiate request cannot be served (IEC 62056-5-3, 7.3), or None."""
    code = None
    if initiate.dlms_version < DLMS_VERSION:
        code = 1
    elif not initiate.conformance & definition.conformance:
        code = 2
    elif 0 < initiate.max_pdu_size < APDU_MIN:
        code = 3
    if code is None:
        return None
    return ConfirmedServiceError(ConfirmedService.INITIATE, ServiceErrorCategory.INITIATE, code)


def _open(octets: bytes, cipher: SecurityContext | None) -> Opened:
    if cipher is not None:
        return cipher.unprotect(octets)
    if is_ciphered(octets):
        raise KeyMissingError("is ciphered in an association without ciphering", 0, "apdu", CLAUSE)
    return Opened(octets, SecurityControl(0), is_dedicated=False, is_general=False, system_title=b"")


def _is_reply(octets: bytes, definition: AssociationDefinition) -> bool:
    """Whether an APDU is pass 3 of HLS, by what stands before its parameter."""
    head = read_request_head(octets)
    if not isinstance(head, ActionHead) or head.is_list:
        return False
    replies = (AssociationLN1.reply_to_hls_authentication.at(name) for name in _names_of(definition))
    return head.targets[0] in replies


def _names_of(definition: AssociationDefinition) -> tuple[Obis, ...]:
    return CURRENT_ASSOCIATION, definition.logical_name


def _is_proof_right(served: _Served, proof: bytes) -> bool:
    definition, security = served.claim.definition, served.claim.security
    try:
        check_proof(definition.mechanism, proof, served.stoc, secret=definition.secret, security=security)
    except WireError:
        return False
    return True
