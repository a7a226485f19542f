"""The server of application associations, over any link (IEC 62056-5-3, 6 and 7).

Strategy: ``ServerAssociation`` holds the link and the events; each pair of client and logical device has one
``ServedAssociation``. An AARQ is checked whole (``claims``) before it takes the place of the association that its
client has: one that is refused changes nothing. Refusals follow the standard: AARE with a diagnostic,
exception-response for what cannot be deciphered, is replayed or is not allowed.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from meterspan.crypto.hls import password_fits
from meterspan.crypto.mechanisms import HLS_MECHANISMS
from meterspan.engine.association.acceptance import CHALLENGE_MAX, CHALLENGE_MIN
from meterspan.engine.association.agreement import Agreement
from meterspan.engine.association.attempts import AttemptLedger
from meterspan.engine.association.claims import (
    APDU_MIN,
    AarqRefusal,
    Claim,
    SecurityOf,
    fault_of_error,
    fault_of_initiate,
    know_client,
    mismatch_of,
    open_initiate,
)
from meterspan.engine.association.core import CHALLENGE_OCTETS, CLAUSE, Association
from meterspan.engine.association.failures import kind_of_diagnostic
from meterspan.engine.association.records import ApduRefused, Associated, AssociationRefused, LinkLost, Released
from meterspan.engine.association.served import NOT_POSSIBLE, ServedAssociation
from meterspan.engine.association.states import SERVER_TABLE, AssociationState, ServerMove
from meterspan.engine.link import ApduReceived, Link, LinkDown, LinkUp
from meterspan.engine.security import CounterExhaustedError
from meterspan.engine.timers import earliest
from meterspan.model.cosem.device import LogicalDevice
from meterspan.model.failures import Failure, FailureKind
from meterspan.wire.acse import (
    Aare,
    Aarq,
    AcseApdu,
    AssociationResult,
    AuthenticationMechanism,
    ReleaseResponseReason,
    Rlre,
    Rlrq,
    UserDiagnostic,
    acse_name,
    write_acse,
)
from meterspan.wire.errors import ReplayError, SecurityError, UnsupportedError, WireError
from meterspan.wire.xdlms import ExceptionResponse, InitiateRequest, ServiceFault, StateFault, write_apdu

__all__ = ["APDU_MIN", "ASSOCIATIONS_MAX", "IDLE_TIMEOUT_S", "SecurityOf", "ServerAssociation", "ServerLimits"]

IDLE_TIMEOUT_S: Final = 300.0
"""An association without a request for so long is forgotten, and its link taken down with the last one."""
ASSOCIATIONS_MAX: Final = 8
"""Associations on one link at a time: a gateway speaks for a few clients, and each holds a block transfer."""

_Key = tuple[int, int]
"""Client and logical device: what names an association on a link."""
_FURTHEST: Final = (AssociationState.ASSOCIATED, AssociationState.AUTHENTICATING)


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """Limits of a server.

    Attributes:
        max_pdu: octets of the longest APDU taken, announced to the client; none longer is sent either.
        idle_timeout_s: see ``IDLE_TIMEOUT_S``.
        associations_max: see ``ASSOCIATIONS_MAX``.

    """

    max_pdu: int = 0xFFFF
    idle_timeout_s: float = IDLE_TIMEOUT_S
    associations_max: int = ASSOCIATIONS_MAX


class ServerAssociation(Association[ServerMove]):
    """The associations over one link, one for each client and logical device; a ``Machine`` of ``AssociationEvent``.

    Args:
        link: carries the APDUs; the association owns it from here on.
        device: the logical device served.
        others: further logical devices of the same meter.
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
        others: Iterable[LogicalDevice] = (),
        security: SecurityOf | None = None,
        entropy: Callable[[int], bytes],
        attempts: AttemptLedger | None = None,
        limits: ServerLimits | None = None,
    ) -> None:
        super().__init__(link, entropy, table=SERVER_TABLE, link_down=ServerMove.LINK_DOWN)
        self._devices = {item.sap: item for item in (device, *others)}
        self._security_of = security
        self._attempts = AttemptLedger() if attempts is None else attempts
        self._limits = ServerLimits() if limits is None else limits
        self._served: dict[_Key, ServedAssociation] = {}
        self._idle_end: float | None = None
        self.peer = ""
        """Address of the client, where the medium has one: failed authentications are counted by it."""

    @property
    def state(self) -> AssociationState:
        """The state of the association that has come furthest; of the link where there is none."""
        states = {served.state for served in self._served.values()}
        return next((state for state in _FURTHEST if state in states), self._state)

    @property
    def agreements(self) -> tuple[Agreement, ...]:
        """The terms of all clients that are associated, in the order of their associations."""
        associated = AssociationState.ASSOCIATED
        return tuple(served.agreement for served in self._served.values() if served.state is associated)

    @property
    def agreement(self) -> Agreement | None:
        """The terms of the client that has associated last, None where no client is associated."""
        return self.agreements[-1] if self.agreements else None

    @property
    def is_over(self) -> bool:
        """Whether the link has ended for good: the owner closes the connection below it."""
        return self._link.is_over

    def connect(self, now: float) -> None:
        """Listen: the medium below is there."""
        self._link.connect(now)
        self._pump(now)

    # The link.

    def _link_came_up(self, event: LinkUp, now: float) -> None:  # noqa: ARG002 - one signature for both roles
        if self._may(ServerMove.LINK_UP):
            self._move(ServerMove.LINK_UP)

    def _link_went_down(self, event: LinkDown) -> None:
        was_served = bool(self._served)
        for key in list(self._served):
            self._forget(key)
        self._idle_end = None
        if was_served:
            self._emit(LinkLost(event.failure, event.by_peer))

    def _give_up(self, failure: Failure, now: float) -> None:
        if not self._served:
            self._emit(AssociationRefused(failure))
        super()._give_up(failure, now)

    def _time_out(self, now: float) -> None:
        """End idle associations, and the link with the last of them."""
        failure = Failure(FailureKind.TIMEOUT, f"no request for {self._limits.idle_timeout_s:g} s")
        for key in [key for key, served in self._served.items() if served.idle_end <= now]:
            self._forget(key)
            self._emit(Released(failure, key[0]))
        if not self._served and self._may(ServerMove.INACTIVE):
            self._move(ServerMove.INACTIVE)
            self._link.disconnect(now)
        self._arm()

    def _arm(self) -> None:
        """Wake when the first association has been idle for too long, or the link without any."""
        ends = [served.idle_end for served in self._served.values()]
        self._timer = earliest(*ends) if ends else self._idle_end

    def _take_apdu(self, event: ApduReceived, now: float) -> None:
        if not event.numbered or not event.octets:  # no client pushes to a server
            return
        if event.destination not in self._devices:  # silence, as HDLC has it: no station has this address
            error = WireError(f"there is no logical device {event.destination}", None, "destination", CLAUSE)
            self._emit(ApduRefused(event.octets, error))
            return
        if self._idle_end is None:
            self._idle_end = now + self._limits.idle_timeout_s
        try:
            super()._take_apdu(event, now)
        except CounterExhaustedError as error:
            self._run_out(event, error, now)
        self._arm()

    def _refuse_apdu(self, event: ApduReceived, error: WireError, now: float) -> None:
        self._answer(event, write_apdu(_exception_for(error)), now)

    def _run_out(self, event: ApduReceived, error: CounterExhaustedError, now: float) -> None:
        """End the association for which no invocation counter is left; the others on the link go on."""
        was_served = self._forget(_key_of(event))
        self._emit(Released(error.failure, event.source) if was_served else AssociationRefused(error.failure))
        self._answer(event, write_apdu(NOT_POSSIBLE), now)

    def _answer(self, event: ApduReceived, octets: bytes, now: float) -> None:
        self._send(octets, now, answers=event)

    # Association.

    def _take_acse(self, apdu: AcseApdu, event: ApduReceived, now: float) -> None:
        if isinstance(apdu, Aarq):
            self._take_aarq(apdu, event, now)
        elif isinstance(apdu, Rlrq):
            self._take_rlrq(apdu, event, now)
        else:
            raise WireError(f"{acse_name(apdu)} while {self.state.value}", 0, "acse", CLAUSE)

    def _take_aarq(self, aarq: Aarq, event: ApduReceived, now: float) -> None:
        claim = self._claim_of(aarq, event, now)
        if isinstance(claim, AarqRefusal):
            self._refuse(aarq, event, claim, now)
            return
        try:
            initiate = open_initiate(aarq, claim.cipher)
        except ReplayError:
            raise  # exception-response says which counter is due
        except WireError as error:
            self._emit(ApduRefused(event.octets, error))
            self._refuse(aarq, event, fault_of_error(error), now)
            return
        refusal = fault_of_initiate(initiate, claim.definition) or self._refusal_of(aarq, event, claim, now)
        if refusal is None:
            self._accept(aarq, event, self._agree(aarq, event, claim, initiate), now)
        elif initiate.response_allowed:
            self._refuse(aarq, event, refusal, now)

    def _claim_of(self, aarq: Aarq, event: ApduReceived, now: float) -> Claim | AarqRefusal:
        """Check client, mechanism and context before any octet is deciphered."""
        definition = self._devices[event.destination].association(event.source)
        if definition is None:
            return AarqRefusal.by_user(UserDiagnostic.NO_REASON_GIVEN)
        mismatch = mismatch_of(aarq, definition)
        if mismatch is not None:
            return mismatch
        if self._attempts.is_waiting(self.peer, event.source, now):
            return AarqRefusal.by_user(UserDiagnostic.AUTHENTICATION_FAILURE)
        claim = know_client(aarq, event.source, definition, self._security_of)
        return claim or AarqRefusal.by_user(UserDiagnostic.CALLING_AP_TITLE_NOT_RECOGNIZED)

    def _refusal_of(self, aarq: Aarq, event: ApduReceived, claim: Claim, now: float) -> AarqRefusal | None:
        """Return why a client whose offer is in order is refused all the same, or None."""
        mechanism = claim.definition.mechanism
        given = b"" if aarq.authentication_value is None else aarq.authentication_value.octets
        if mechanism in HLS_MECHANISMS:
            is_right = CHALLENGE_MIN <= len(given) <= CHALLENGE_MAX
        else:
            is_right = mechanism is AuthenticationMechanism.LOWEST or self._is_password_right(given, claim, now)
        if not is_right:
            return AarqRefusal.by_user(UserDiagnostic.AUTHENTICATION_FAILURE)
        if _key_of(event) not in self._served and self._is_full:
            return AarqRefusal.by_user(UserDiagnostic.NO_REASON_GIVEN)
        return None

    @property
    def _is_full(self) -> bool:
        return len(self._served) >= self._limits.associations_max

    def _is_password_right(self, given: bytes, claim: Claim, now: float) -> bool:
        if password_fits(given, claim.definition.secret):
            self._attempts.succeeded(self.peer, claim.client)
            return True
        self._attempts.failed(self.peer, claim.client, now)
        return False

    def _agree(self, aarq: Aarq, event: ApduReceived, claim: Claim, initiate: InitiateRequest) -> ServedAssociation:
        is_hls = claim.definition.mechanism in HLS_MECHANISMS
        challenge = b"" if aarq.authentication_value is None else aarq.authentication_value.octets
        return ServedAssociation(
            claim,
            self._devices[event.destination],
            initiate,
            receive_max=self._limits.max_pdu,
            ctos=challenge if is_hls else b"",
            stoc=self._entropy(CHALLENGE_OCTETS) if is_hls else b"",
        )

    def _accept(self, aarq: Aarq, event: ApduReceived, served: ServedAssociation, now: float) -> None:
        """Put an association in the place of the one that its client has, and answer."""
        answer = served.aare(aarq)
        is_hls = served.agreement.mechanism in HLS_MECHANISMS
        self._replace(_key_of(event), served)
        served.move(ServerMove.CHALLENGED if is_hls else ServerMove.ACCEPTED)
        self._note_use(served, now)
        if served.agreement.is_confirmed:
            self._answer(event, answer, now)
        if not is_hls:
            self._emit(Associated(served.agreement))

    def _replace(self, key: _Key, served: ServedAssociation) -> None:
        old = self._served.pop(key, None)
        if old is not None:
            old.move(ServerMove.AGAIN)
            if old.claim.security is not served.claim.security:
                old.forget()
        self._served[key] = served

    def _note_use(self, served: ServedAssociation, now: float) -> None:
        self._idle_end = served.idle_end = now + self._limits.idle_timeout_s

    def _refuse(self, aarq: Aarq, event: ApduReceived, refusal: AarqRefusal, now: float) -> None:
        """Refuse an AARQ; an association that its client has goes on."""
        is_transient = self._is_full or self._attempts.is_waiting(self.peer, event.source, now)
        result = AssociationResult.REJECTED_TRANSIENT if is_transient else AssociationResult.REJECTED_PERMANENT
        information = None if refusal.fault is None else write_apdu(refusal.fault)
        aare = Aare(aarq.application_context, result, refusal.diagnostic, information)
        self._answer(event, write_acse(aare), now)
        code = refusal.diagnostic.code
        kind = kind_of_diagnostic(code) if isinstance(code, UserDiagnostic) else FailureKind.ASSOCIATION_REFUSED
        words = f"client {event.source}: {refusal}"
        self._emit(AssociationRefused(Failure(kind, words, code.text, permanent=not is_transient)))

    def _take_rlrq(self, rlrq: Rlrq, event: ApduReceived, now: float) -> None:
        key = _key_of(event)
        served = self._served.get(key)
        if served is None:  # its association was ended already
            self._answer(event, write_acse(Rlre(ReleaseResponseReason.NORMAL)), now)
            return
        try:
            answer = served.release(rlrq)
        except WireError as error:
            self._emit(ApduRefused(event.octets, error))
            if rlrq.user_information is None:  # a client that knows no protected release must not wait; nothing ends
                self._answer(event, write_acse(Rlre(ReleaseResponseReason.NOT_FINISHED)), now)
            return
        self._answer(event, answer, now)
        self._forget(key)
        self._emit(Released(peer=event.source))

    def _forget(self, key: _Key) -> bool:
        """Drop all that belongs to an association; False where there is none."""
        served = self._served.pop(key, None)
        if served is None:
            return False
        served.forget()
        return True

    # Services.

    def _take_service(self, event: ApduReceived, now: float) -> None:
        served = self._served.get(_key_of(event))
        if served is None:
            reason = f"client {event.source} has no association here"
            self._emit(ApduRefused(event.octets, WireError(reason, 0, "apdu", CLAUSE)))
            self._answer(event, write_apdu(NOT_POSSIBLE), now)
            return
        opened = served.open(event.octets)
        if served.state is AssociationState.AUTHENTICATING:
            answer, is_right = served.take_proof(opened)
            self._answer(event, answer, now)
            if is_right:
                self._attempts.succeeded(self.peer, event.source)
                self._note_use(served, now)
                self._emit(Associated(served.agreement))
            elif is_right is not None:
                self._fail_proof(event, now)
            return
        served_octets = served.serve(opened, now)
        self._note_use(served, now)
        if served_octets is not None and served.agreement.is_confirmed:
            self._answer(event, served_octets, now)

    def _fail_proof(self, event: ApduReceived, now: float) -> None:
        """Count a wrong proof, and end the association that it was for."""
        self._attempts.failed(self.peer, event.source, now)
        self._forget(_key_of(event))
        words = f"client {event.source}: wrong proof"
        self._emit(AssociationRefused(Failure(FailureKind.PROOF_NOT_ACCEPTED, words)))


def _key_of(event: ApduReceived) -> _Key:
    return event.source, event.destination


def _exception_for(error: WireError) -> ExceptionResponse:
    """Return the answer to an unusable APDU (IEC 62056-5-3, 6.17)."""
    match error:
        case ReplayError() if error.expected is not None:
            fault = ServiceFault.INVOCATION_COUNTER_ERROR
            return ExceptionResponse(StateFault.SERVICE_NOT_ALLOWED, fault, error.expected)
        case ReplayError():
            return NOT_POSSIBLE  # the last counter was used: no further one can be named, only new keys help
        case SecurityError():
            return ExceptionResponse(StateFault.SERVICE_NOT_ALLOWED, ServiceFault.DECIPHERING_ERROR)
        case UnsupportedError():
            return ExceptionResponse(StateFault.SERVICE_UNKNOWN, ServiceFault.SERVICE_NOT_SUPPORTED)
        case _:
            return NOT_POSSIBLE
