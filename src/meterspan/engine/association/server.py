"""The server of application associations, over any link (IEC 62056-5-3, 6 and 7).

Strategy: the client's address names the association (``LogicalDevice``); the same state table as the client's decides
what is legal; requests go, deciphered, to a ``Dispatcher`` that owns objects and rights. Refusals follow the standard:
AARE with a diagnostic, exception-response for what cannot be deciphered, replayed or is not allowed.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from meterspan.crypto.hls import password_fits
from meterspan.crypto.mechanisms import HLS_MECHANISMS, mechanism_of
from meterspan.engine.association.attempts import AttemptLedger
from meterspan.engine.association.failures import kind_of_diagnostic
from meterspan.engine.association.records import (
    ApduRefused,
    Associated,
    AssociationEvent,
    AssociationRefused,
    AssociationState,
    LinkLost,
    Released,
    Trigger,
    next_state,
)
from meterspan.engine.dispatch import Dispatcher, DispatchTerms
from meterspan.engine.link import ApduReceived, FrameDamaged, Link, LinkDown, LinkUp
from meterspan.engine.security import PROTECTION_OCTETS, Opened, SecurityContext, check_proof, is_ciphered, prove
from meterspan.model.cosem.classes import AssociationLN1
from meterspan.model.cosem.device import CURRENT_ASSOCIATION, AssociationDefinition, LogicalDevice
from meterspan.model.cosem.objects import CosemObject
from meterspan.model.cosem.view import write_object_list
from meterspan.model.failures import Failure, FailureKind
from meterspan.quantities import Obis
from meterspan.wire.acse import (
    ACSE_TAGS,
    AUTHENTICATION_REQUIREMENT,
    Aare,
    Aarq,
    ApplicationContext,
    AssociationResult,
    AuthenticationMechanism,
    AuthenticationValue,
    Diagnostic,
    ReleaseResponseReason,
    Rlre,
    Rlrq,
    UserDiagnostic,
    read_acse,
    write_acse,
)
from meterspan.wire.axdr import (
    Data,
    bit_string,
    integer,
    long_unsigned,
    octet_string,
    structure,
    unsigned,
)
from meterspan.wire.errors import KeyMissingError, ReplayError, SecurityError, UnsupportedError, WireError
from meterspan.wire.xdlms import (
    DLMS_VERSION,
    ActionOutcome,
    ActionRequestNormal,
    ActionResponseNormal,
    ActionResult,
    Apdu,
    ConfirmedService,
    ConfirmedServiceError,
    Conformance,
    ExceptionResponse,
    InitiateRequest,
    InitiateResponse,
    SecurityControl,
    ServiceErrorCategory,
    ServiceFault,
    StateFault,
    read_apdu,
    write_apdu,
)

__all__ = ["APDU_MIN", "IDLE_TIMEOUT_S", "SecurityOf", "ServerAssociation", "ServerLimits"]

CLAUSE = "IEC 62056-5-3, 6.2"
APDU_MIN = 64
"""The smallest client-max-receive-pdu-size served: protection and a block's header leave some twenty octets."""
IDLE_TIMEOUT_S = 300.0
"""An association without a request for so long is forgotten, and its link taken down."""
EVENTS_MAX = 1_024
"""Events kept for an owner that does not take them; the oldest go first."""
CHALLENGE_OCTETS = 16
CHALLENGE_MIN = 8
CHALLENGE_MAX = 64
"""Bounds of a challenge (IEC 62056-5-3, 5.7.4.3)."""
CONNECTED = 2
NON_ASSOCIATED, PENDING = 0, 1
"""association_status of Association LN."""


SecurityOf = Callable[[AssociationDefinition], SecurityContext | None]
"""Makes the security context of one new association."""


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """What a server takes.

    Attributes:
        max_pdu: octets of the longest APDU taken, announced to the client; none longer is sent either.
        idle_timeout_s: see ``IDLE_TIMEOUT_S``.

    """

    max_pdu: int = 0xFFFF
    idle_timeout_s: float = IDLE_TIMEOUT_S


class ServerAssociation:
    """The associations over one link, one at a time; a ``Machine`` of ``AssociationEvent``.

    Args:
        link: what carries the APDUs; owned from here on.
        device: the logical device served.
        security: makes the security context of an association; None where no association needs one.
        entropy: gives random octets, for challenges.
        attempts: failed authentications, shared by all links of the device.
        limits: what is taken.

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
        self._link = link
        self._device = device
        self._security_of = security
        self._entropy = entropy
        self._attempts = AttemptLedger() if attempts is None else attempts
        self._limits = ServerLimits() if limits is None else limits
        self._state = AssociationState.IDLE
        self._events: deque[AssociationEvent] = deque(maxlen=EVENTS_MAX)
        self._idle_deadline: float | None = None
        self._client = 0
        self._definition: AssociationDefinition | None = None
        self._security: SecurityContext | None = None
        self._dispatcher: Dispatcher | None = None
        self._associated: Associated | None = None
        self._stoc = b""
        self._ctos = b""

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
        return self._associated if self._state is AssociationState.ASSOCIATED else None

    @property
    def security(self) -> SecurityContext | None:
        """The security context of the association, where it has one."""
        return self._security

    def connect(self, now: float) -> None:
        """Listen: the medium below is there."""
        self._link.connect(now)
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
        if self._idle_deadline is not None and now >= self._idle_deadline:
            self._idle_deadline = None
            words = f"no request for {self._limits.idle_timeout_s:g} s"
            self._emit(Released(Failure(FailureKind.TIMEOUT, words)))
            self._move(Trigger.RELEASE)
            self._forget()
            self._link.disconnect(now)
            self._pump(now)

    def deadline(self) -> float | None:
        """When ``advance`` must be called next, or None."""
        deadlines = [due for due in (self._link.deadline(), self._idle_deadline) if due is not None]
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
                    self._link_up()
                case LinkDown():
                    self._link_down(event)
                case ApduReceived():
                    self._take_apdu(event, now)
                case FrameDamaged():
                    self._emit(ApduRefused(event.octets, event.error))

    def _link_up(self) -> None:
        if next_state(self._state, Trigger.LINK_UP) is not None:
            self._move(Trigger.LINK_UP)

    def _link_down(self, event: LinkDown) -> None:
        was_associated = self._associated is not None
        if self._state is not AssociationState.IDLE:
            self._move(Trigger.LINK_DOWN)
        self._forget()
        self._idle_deadline = None
        if was_associated:
            self._emit(LinkLost(event.failure, event.by_peer))

    def _take_apdu(self, event: ApduReceived, now: float) -> None:
        if not event.numbered or not event.octets:
            return  # a server is pushed nothing
        self._link_up()
        self._idle_deadline = now + self._limits.idle_timeout_s
        try:
            if event.octets[0] in ACSE_TAGS:
                self._take_acse(event, now)
            else:
                self._take_service(event, now)
        except WireError as error:
            self._emit(ApduRefused(event.octets, error))
            self._send_plain(self._exception_for(error), now)

    def _exception_for(self, error: WireError) -> ExceptionResponse:
        """Say to the client what is wrong with its APDU (IEC 62056-5-3, 6.17)."""
        match error:
            case ReplayError():
                expected = 0 if self._security is None else self._security.last_received + 1
                fault = ServiceFault.INVOCATION_COUNTER_ERROR
                return ExceptionResponse(StateFault.SERVICE_NOT_ALLOWED, fault, expected)
            case SecurityError():
                return ExceptionResponse(StateFault.SERVICE_NOT_ALLOWED, ServiceFault.DECIPHERING_ERROR)
            case UnsupportedError():
                return ExceptionResponse(StateFault.SERVICE_UNKNOWN, ServiceFault.SERVICE_NOT_SUPPORTED)
            case _:
                return ExceptionResponse(StateFault.SERVICE_NOT_ALLOWED, ServiceFault.OPERATION_NOT_POSSIBLE)

    # Association.

    def _take_acse(self, event: ApduReceived, now: float) -> None:
        apdu = read_acse(event.octets)
        if isinstance(apdu, Aarq):
            self._take_aarq(apdu, event.source, now)
        elif isinstance(apdu, Rlrq) and self._state in (AssociationState.ASSOCIATED, AssociationState.AUTHENTICATING):
            self._take_rlrq(now)
        elif isinstance(apdu, Rlrq) and self._state is AssociationState.ASSOCIATING:
            self._send(write_acse(Rlre(ReleaseResponseReason.NORMAL)), now)  # its association was ended already
        else:
            raise WireError(f"{type(apdu).__name__} while {self._state.value}", 0, "acse", CLAUSE)

    def _take_aarq(self, aarq: Aarq, client: int, now: float) -> None:
        if next_state(self._state, Trigger.AGAIN) is not None:
            self._move(Trigger.AGAIN)
        self._forget()
        self._client = client
        refusal = self._check_offer(aarq, client, now)
        if refusal is not None:
            self._refuse(aarq, refusal, now)
            return
        initiate = self._open_initiate(aarq)
        fault = _initiate_fault(initiate, self._required_definition)
        if fault is not None:
            self._refuse(aarq, UserDiagnostic.NO_REASON_GIVEN, now, fault=fault)
            return
        self._agree(initiate)
        if self._required_definition.mechanism in HLS_MECHANISMS:
            self._challenge(aarq, now)
        elif self._is_password_right(aarq, now):
            self._move(Trigger.ACCEPTED)
            self._send_aare(aarq, Diagnostic(), now)
            self._report()
        else:
            self._refuse(aarq, UserDiagnostic.AUTHENTICATION_FAILURE, now)

    def _check_offer(self, aarq: Aarq, client: int, now: float) -> UserDiagnostic | None:
        """Check who asks for what, before any octet is deciphered."""
        definition = self._device.association(client)
        if definition is None:
            return UserDiagnostic.NO_REASON_GIVEN
        self._definition = definition
        context = ApplicationContext.LN_CIPHERED if definition.ciphered else ApplicationContext.LN
        if aarq.application_context != context:
            return UserDiagnostic.APPLICATION_CONTEXT_NAME_NOT_SUPPORTED
        offered = AuthenticationMechanism.LOWEST if aarq.mechanism is None else aarq.mechanism
        if offered != definition.mechanism:
            required = offered is AuthenticationMechanism.LOWEST
            return (
                UserDiagnostic.AUTHENTICATION_MECHANISM_NAME_REQUIRED
                if required
                else UserDiagnostic.AUTHENTICATION_MECHANISM_NAME_NOT_RECOGNISED
            )
        if self._attempts.is_locked(client, now):
            return UserDiagnostic.AUTHENTICATION_FAILURE
        return self._learn_client(aarq, definition)

    def _learn_client(self, aarq: Aarq, definition: AssociationDefinition) -> UserDiagnostic | None:
        mechanism = mechanism_of(definition.mechanism)
        needs_security = definition.ciphered or (mechanism is not None and mechanism.needs_keys)
        self._security = self._security_of(definition) if needs_security and self._security_of is not None else None
        if not needs_security:
            return None
        if self._security is None or aarq.calling_ap_title is None:
            return UserDiagnostic.CALLING_AP_TITLE_NOT_RECOGNIZED
        try:
            self._security.learn_peer(aarq.calling_ap_title)
        except WireError:
            return UserDiagnostic.CALLING_AP_TITLE_NOT_RECOGNIZED
        return None

    def _open_initiate(self, aarq: Aarq) -> InitiateRequest:
        if aarq.user_information is None:
            raise WireError("carries no initiate request", None, "user-information", CLAUSE)
        octets = aarq.user_information
        if self._required_definition.ciphered:
            octets = self._required_security.unprotect(octets).octets
        apdu = read_apdu(octets)
        if not isinstance(apdu, InitiateRequest):
            raise WireError(f"{type(apdu).__name__} is no initiate request", None, "user-information", CLAUSE)
        if apdu.dedicated_key is not None and self._required_definition.ciphered:
            self._required_security.use_dedicated_key(apdu.dedicated_key)
        return apdu

    def _agree(self, initiate: InitiateRequest) -> None:
        definition = self._required_definition
        conformance = initiate.conformance & definition.conformance
        limit = min(initiate.max_pdu_size or 0xFFFF, self._limits.max_pdu)
        overhead = PROTECTION_OCTETS if definition.ciphered else 0
        own = self._association_objects(definition, conformance, limit)
        terms = DispatchTerms(conformance, limit - overhead)
        self._dispatcher = Dispatcher(self._device, definition, terms=terms, own=own)
        title = b"" if self._security is None else self._security.peer_title
        self._associated = Associated(
            self._client, definition.mechanism, definition.ciphered, conformance, limit, title
        )

    def _is_password_right(self, aarq: Aarq, now: float) -> bool:
        definition = self._required_definition
        if definition.mechanism is AuthenticationMechanism.LOWEST:
            return True
        given = b"" if aarq.authentication_value is None else aarq.authentication_value.octets
        if password_fits(given, definition.secret):
            self._attempts.succeeded(self._client)
            return True
        self._attempts.failed(self._client, now)
        return False

    def _challenge(self, aarq: Aarq, now: float) -> None:
        """Begin HLS: keep CtoS, send StoC."""
        value = b"" if aarq.authentication_value is None else aarq.authentication_value.octets
        if not CHALLENGE_MIN <= len(value) <= CHALLENGE_MAX:
            self._refuse(aarq, UserDiagnostic.AUTHENTICATION_FAILURE, now)
            return
        self._ctos = value
        self._stoc = self._entropy(CHALLENGE_OCTETS)
        self._move(Trigger.CHALLENGED)
        self._send_aare(aarq, Diagnostic(code=UserDiagnostic.AUTHENTICATION_REQUIRED), now)

    def _send_aare(self, aarq: Aarq, diagnostic: Diagnostic, now: float) -> None:
        definition = self._required_definition
        agreed = self._associated
        assert agreed is not None  # noqa: S101 - our own invariant: _agree ran before
        initiate = write_apdu(InitiateResponse(agreed.conformance, self._limits.max_pdu))
        is_hls = definition.mechanism in HLS_MECHANISMS
        aare = Aare(
            aarq.application_context,
            AssociationResult.ACCEPTED,
            diagnostic,
            self._required_security.protect(initiate) if definition.ciphered else initiate,
            responding_ap_title=None if self._security is None else self._security.system_title,
            mechanism=definition.mechanism if is_hls else None,
            authentication_value=AuthenticationValue(self._stoc) if is_hls else None,
            responder_requirements=AUTHENTICATION_REQUIREMENT if is_hls else None,
        )
        self._send(write_acse(aare), now)

    def _refuse(
        self, aarq: Aarq, code: UserDiagnostic, now: float, *, fault: ConfirmedServiceError | None = None
    ) -> None:
        is_locked = self._attempts.is_locked(self._client, now)
        result = AssociationResult.REJECTED_TRANSIENT if is_locked else AssociationResult.REJECTED_PERMANENT
        information = None if fault is None else write_apdu(fault)
        aare = Aare(aarq.application_context, result, Diagnostic(code=code), information)
        self._send(write_acse(aare), now)
        words = f"client {self._client}: {code.text if fault is None else fault}"
        self._emit(AssociationRefused(Failure(kind_of_diagnostic(code), words, code.text, permanent=not is_locked)))
        self._forget()

    def _take_rlrq(self, now: float) -> None:
        self._move(Trigger.RELEASE)
        self._send(write_acse(Rlre(ReleaseResponseReason.NORMAL)), now)
        self._move(Trigger.RELEASED)
        self._forget()
        self._emit(Released())

    def _forget(self) -> None:
        """Drop all that belongs to the association."""
        if self._security is not None:
            self._security.forget_dedicated_key()
        self._definition = self._security = self._dispatcher = self._associated = None
        self._stoc = self._ctos = b""

    # Services.

    def _take_service(self, event: ApduReceived, now: float) -> None:
        if self._state not in (AssociationState.ASSOCIATED, AssociationState.AUTHENTICATING):
            self._refuse_service(event, f"a service while {self._state.value}", now)
            return
        if event.source != self._client:
            self._refuse_service(event, f"client {event.source} has no association here", now)
            return
        opened = self._open(event.octets)
        apdu = read_apdu(opened.octets)
        if self._state is AssociationState.AUTHENTICATING:
            self._take_proof(apdu, opened, now)
            return
        assert self._dispatcher is not None  # noqa: S101 - our own invariant: set while associated
        is_authenticated = bool(opened.control & SecurityControl.AUTHENTICATION)
        response = self._dispatcher.handle(apdu, now, authenticated=is_authenticated)
        if response is not None:
            self._answer(response, opened, now)

    def _refuse_service(self, event: ApduReceived, reason: str, now: float) -> None:
        self._emit(ApduRefused(event.octets, WireError(reason, 0, "apdu", CLAUSE)))
        fault = ExceptionResponse(StateFault.SERVICE_NOT_ALLOWED, ServiceFault.OPERATION_NOT_POSSIBLE)
        self._send_plain(fault, now)

    def _open(self, octets: bytes) -> Opened:
        if self._required_definition.ciphered:
            return self._required_security.unprotect(octets)
        if is_ciphered(octets):
            raise KeyMissingError("is ciphered in an association without ciphering", 0, "apdu", CLAUSE)
        return Opened(octets, SecurityControl(0), is_dedicated=False, is_general=False, system_title=b"")

    def _answer(self, apdu: Apdu, request: Opened, now: float) -> None:
        """Answer with the protection that the request had."""
        if isinstance(apdu, ExceptionResponse) or not self._required_definition.ciphered:
            self._send_plain(apdu, now)
            return
        sealed = self._required_security.protect(
            write_apdu(apdu), dedicated=request.is_dedicated, general=request.is_general
        )
        self._send(sealed, now)

    def _take_proof(self, apdu: Apdu, opened: Opened, now: float) -> None:
        """Take pass 3 of HLS and answer with pass 4; nothing else is served before."""
        is_reply = (
            isinstance(apdu, ActionRequestNormal)
            and apdu.method.class_id == AssociationLN1.class_id
            and apdu.method.method == AssociationLN1.reply_to_hls_authentication.number
            and apdu.method.instance in (CURRENT_ASSOCIATION, self._required_definition.logical_name)
        )
        if not is_reply or not isinstance(apdu, ActionRequestNormal):
            fault = ExceptionResponse(StateFault.SERVICE_NOT_ALLOWED, ServiceFault.OPERATION_NOT_POSSIBLE)
            self._send_plain(fault, now)
            return
        proof = b"" if apdu.parameters is None else apdu.parameters.octets
        if not self._is_proof_right(proof):
            self._attempts.failed(self._client, now)
            outcome = ActionOutcome(ActionResult.OTHER_REASON)
            self._answer(ActionResponseNormal(apdu.invoke, outcome), opened, now)
            self._move(Trigger.REFUSED)
            words = f"client {self._client}: wrong proof"
            self._emit(AssociationRefused(Failure(FailureKind.PROOF_NOT_ACCEPTED, words)))
            self._forget()
            return
        self._attempts.succeeded(self._client)
        self._move(Trigger.ACCEPTED)
        outcome = ActionOutcome(ActionResult.SUCCESS, octet_string(self._prove()))
        self._answer(ActionResponseNormal(apdu.invoke, outcome), opened, now)
        self._report()

    def _is_proof_right(self, proof: bytes) -> bool:
        definition = self._required_definition
        try:
            check_proof(definition.mechanism, proof, self._stoc, secret=definition.secret, security=self._security)
        except WireError:
            return False
        return True

    def _prove(self) -> bytes:
        definition = self._required_definition
        return prove(definition.mechanism, self._ctos, secret=definition.secret, security=self._security)

    # The association's own objects.

    def _association_objects(
        self, definition: AssociationDefinition, conformance: Conformance, limit: int
    ) -> dict[Obis, CosemObject]:
        """Build the Association LN object under its own name and as the current association."""
        names = {CURRENT_ASSOCIATION, definition.logical_name}
        objects: dict[Obis, CosemObject] = {}

        def view(_now: float) -> Data:
            return write_object_list(self._device.view(definition, objects.values()))

        cls = AssociationLN1
        for name in names:
            objects[name] = CosemObject(
                cls,
                name,
                {
                    cls.object_list: view,
                    cls.associated_partners_id: structure(
                        integer(_signed(self._client)), long_unsigned(self._device.sap)
                    ),
                    cls.application_context_name: octet_string(_context_name(definition)),
                    cls.xdlms_context_info: _context_info(conformance, self._limits.max_pdu, limit),
                    cls.authentication_mechanism_name: octet_string(_mechanism_name(definition)),
                    cls.association_status: lambda _now: self._status,
                    cls.security_setup_reference: (
                        octet_string(bytes(6) if definition.security_setup is None else definition.security_setup)
                    ),
                },
            )
        return objects

    @property
    def _status(self) -> int:
        return CONNECTED if self._state is AssociationState.ASSOCIATED else PENDING

    @property
    def _required_definition(self) -> AssociationDefinition:
        assert self._definition is not None  # noqa: S101 - our own invariant: an AARQ was taken
        return self._definition

    @property
    def _required_security(self) -> SecurityContext:
        assert self._security is not None  # noqa: S101 - our own invariant: checked with the AARQ
        return self._security

    def _send_plain(self, apdu: Apdu, now: float) -> None:
        self._send(write_apdu(apdu), now)

    def _send(self, octets: bytes, now: float) -> None:
        if not self._link.is_up:
            return
        try:
            self._link.send(octets, now)
        except ValueError:  # the client asks without end and takes nothing: the link's bound is reached
            self._link.disconnect(now)

    def _report(self) -> None:
        if self._associated is not None:
            self._emit(self._associated)

    def _move(self, trigger: Trigger) -> None:
        following = next_state(self._state, trigger)
        assert following is not None, f"{trigger.value} while {self._state.value}"  # noqa: S101 - our own invariant
        self._state = following

    def _emit(self, event: AssociationEvent) -> None:
        self._events.append(event)


def _initiate_fault(initiate: InitiateRequest, definition: AssociationDefinition) -> ConfirmedServiceError | None:
    """Say why an initiate request cannot be served (IEC 62056-5-3, 7.3), or None."""
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


_DLMS_UA = bytes.fromhex("6085740508")


def _context_name(definition: AssociationDefinition) -> bytes:
    context = ApplicationContext.LN_CIPHERED if definition.ciphered else ApplicationContext.LN
    return _DLMS_UA + bytes((1, context))


def _mechanism_name(definition: AssociationDefinition) -> bytes:
    return _DLMS_UA + bytes((2, definition.mechanism))


def _context_info(conformance: Conformance, receive_max: int, send_max: int) -> Data:
    return structure(
        bit_string(f"{int(conformance):024b}"),
        long_unsigned(receive_max),
        long_unsigned(send_max),
        unsigned(DLMS_VERSION),
        integer(0),
        octet_string(b""),
    )


def _signed(client: int) -> int:
    """Fold a client SAP into the integer of eight bits that associated_partners_id has."""
    return (client & 0xFF) - 0x100 if client & 0x80 else client & 0x7F
