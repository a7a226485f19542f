"""One association as its server holds it: terms, protection, what serves it, and its state (IEC 62056-5-3, 6.2).

Strategy: it takes deciphered or whole APDUs of its own client and returns the answer as octets; it knows neither the
link nor the other associations on it. Each move is one of ``SERVER_TABLE``.
"""

from typing import Final

from meterspan.engine.association.agreement import APDU_MAX, Agreement
from meterspan.engine.association.claims import Claim, context_of, read_initiate
from meterspan.engine.association.dispatch import Dispatcher
from meterspan.engine.association.own_objects import association_objects
from meterspan.engine.association.states import SERVER_TABLE, AssociationState, ServerMove
from meterspan.engine.security import Opened, SecurityContext, check_proof, is_ciphered, prove
from meterspan.model.cosem.classes import AssociationLN1
from meterspan.model.cosem.device import CURRENT_ASSOCIATION, LogicalDevice
from meterspan.wire.acse import (
    AUTHENTICATION_REQUIREMENT,
    Aare,
    Aarq,
    AssociationResult,
    AuthenticationValue,
    Diagnostic,
    ReleaseResponseReason,
    Rlre,
    Rlrq,
    UserDiagnostic,
    write_acse,
)
from meterspan.wire.axdr import octet_string
from meterspan.wire.errors import KeyMissingError, WireError
from meterspan.wire.xdlms import (
    ActionHead,
    ActionOutcome,
    ActionRequestNormal,
    ActionResponseNormal,
    ActionResult,
    Apdu,
    ExceptionResponse,
    InitiateRequest,
    InitiateResponse,
    InvokeIdAndPriority,
    SecurityControl,
    ServiceFault,
    StateFault,
    read_apdu,
    read_request_head,
    write_apdu,
)

__all__ = ["NOT_POSSIBLE", "ServedAssociation"]

CLAUSE: Final = "IEC 62056-5-3, 6.2"
NOT_POSSIBLE: Final = ExceptionResponse(StateFault.SERVICE_NOT_ALLOWED, ServiceFault.OPERATION_NOT_POSSIBLE)
"""The answer to a service without an association, or before the client has proved itself."""


class ServedAssociation:
    """One association.

    Args:
        claim: the client and what it is offered.
        device: the logical device served.
        initiate: the client's proposal.
        receive_max: octets of the longest APDU taken.
        ctos: the client's challenge of HLS; b"" without.
        stoc: our challenge; b"" without.

    Attributes:
        idle_end: UTC seconds at which it is forgotten, if its client asks nothing before.

    """

    def __init__(
        self,
        claim: Claim,
        device: LogicalDevice,
        initiate: InitiateRequest,
        *,
        receive_max: int,
        ctos: bytes = b"",
        stoc: bytes = b"",
    ) -> None:
        self.claim = claim
        self.idle_end = 0.0
        self._receive_max = receive_max
        self._ctos, self._stoc = ctos, stoc
        self._state = AssociationState.ASSOCIATING
        self._agreement = _agree(claim, initiate, receive_max)
        own = association_objects(
            device, claim.definition, self._agreement, receive_max=receive_max, state=lambda: self._state
        )
        self._dispatcher = Dispatcher(device, claim.definition, agreement=self._agreement, own=own)

    @property
    def state(self) -> AssociationState:
        """Where the association is."""
        return self._state

    @property
    def agreement(self) -> Agreement:
        """Its terms, agreed or still to be confirmed by the client's proof."""
        return self._agreement

    def move(self, move: ServerMove) -> None:
        """Make a move of the server's table."""
        self._state = SERVER_TABLE[self._state, move]

    def aare(self, aarq: Aarq) -> bytes:
        """Write the AARE that accepts; with HLS it asks for the client's proof.

        Raises:
            CounterExhaustedError: no invocation counter is left to protect it.

        """
        is_hls = bool(self._stoc)
        code = UserDiagnostic.AUTHENTICATION_REQUIRED if is_hls else UserDiagnostic.NULL
        aare = Aare(
            aarq.application_context,
            AssociationResult.ACCEPTED,
            Diagnostic(code=code),
            self._initiate_response(),
            responding_ap_title=self._agreement.own_title or None,
            mechanism=self._agreement.mechanism if is_hls else None,
            authentication_value=AuthenticationValue(self._stoc) if is_hls else None,
            responder_requirements=AUTHENTICATION_REQUIREMENT if is_hls else None,
        )
        return write_acse(aare)

    def release(self, rlrq: Rlrq) -> bytes:
        """Release the association and return RLRE.

        In a ciphered association RLRQ carries the ciphered initiate request and RLRE the ciphered initiate response,
        so that nobody without the key ends it (IEC 62056-5-3, 6.3).

        Raises:
            WireError: RLRQ is not protected as the association is; nothing has changed.
            CounterExhaustedError: no invocation counter is left to protect RLRE.

        """
        cipher = self.claim.cipher
        if cipher is not None:
            read_initiate(rlrq.user_information, cipher)
        answer = write_acse(Rlre(ReleaseResponseReason.NORMAL, None if cipher is None else self._initiate_response()))
        self.move(ServerMove.RELEASED)
        return answer

    def open(self, octets: bytes) -> Opened:
        """Remove the protection of an APDU.

        Raises:
            WireError: it is not protected as the association is, replayed, or not of the client.

        """
        cipher = self.claim.cipher
        if cipher is not None:
            return cipher.unprotect(octets)
        if is_ciphered(octets):
            raise KeyMissingError("is ciphered in an association without ciphering", 0, "apdu", CLAUSE)
        return Opened(octets, SecurityControl(0), is_dedicated=False, is_general=False, system_title=b"")

    def serve(self, request: Opened, now: float) -> bytes | None:
        """Serve one request; None where it wants no answer.

        Raises:
            WireError: it is malformed, or of an unknown tag.
            CounterExhaustedError: no invocation counter is left to protect the answer.

        """
        is_authenticated = bool(request.control & SecurityControl.AUTHENTICATION)
        apdu = self._dispatcher.read(request.octets, authenticated=is_authenticated)
        answer = self._dispatcher.handle(
            apdu, now, authenticated=is_authenticated, general=request.is_general and self._agreement.ciphered
        )
        return None if answer is None else self._protected(answer, request)

    def take_proof(self, request: Opened) -> tuple[bytes, bool | None]:
        """Process pass 3 of HLS; nothing else is read or served before.

        Returns:
            The answer, and whether the proof was right; None where the APDU is no proof.

        Raises:
            CounterExhaustedError: no invocation counter is left to prove or protect.

        """
        apdu = read_apdu(request.octets) if self._is_reply(request.octets) else None
        if not isinstance(apdu, ActionRequestNormal):
            return write_apdu(NOT_POSSIBLE), None
        proof = b"" if apdu.parameters is None else apdu.parameters.octets
        if not self._is_right(proof):
            self.move(ServerMove.REFUSED)
            return self._outcome(apdu.invoke, ActionOutcome(ActionResult.OTHER_REASON), request), False
        definition = self.claim.definition
        own = prove(definition.mechanism, self._ctos, secret=definition.secret, security=self.claim.security)
        answer = self._outcome(apdu.invoke, ActionOutcome(ActionResult.SUCCESS, octet_string(own)), request)
        self.move(ServerMove.ACCEPTED)
        return answer, True

    def forget(self) -> None:
        """Drop the keys of this association alone."""
        if self.claim.security is not None:
            self.claim.security.forget_dedicated_key()

    def _initiate_response(self) -> bytes:
        initiate = write_apdu(InitiateResponse(self._agreement.conformance, self._receive_max))
        return initiate if self.claim.cipher is None else self.claim.cipher.protect(initiate)

    def _outcome(self, invoke: InvokeIdAndPriority, outcome: ActionOutcome, request: Opened) -> bytes:
        return self._protected(ActionResponseNormal(invoke, outcome), request)

    def _protected(self, apdu: Apdu, request: Opened) -> bytes:
        """Write an answer with the protection that the request had."""
        octets, cipher = write_apdu(apdu), self.claim.cipher
        if cipher is None or isinstance(apdu, ExceptionResponse):
            return octets
        return cipher.protect(octets, dedicated=request.is_dedicated, general=request.is_general)

    def _is_reply(self, octets: bytes) -> bool:
        """Whether an APDU is pass 3 of HLS, by what stands before its parameter."""
        head = read_request_head(octets)
        if not isinstance(head, ActionHead) or head.is_list:
            return False
        names = (CURRENT_ASSOCIATION, self.claim.definition.logical_name)
        return head.targets[0] in [AssociationLN1.reply_to_hls_authentication.at(name) for name in names]

    def _is_right(self, proof: bytes) -> bool:
        definition = self.claim.definition
        try:
            check_proof(
                definition.mechanism,
                proof,
                self._stoc,
                secret=definition.secret,
                security=self.claim.security,
                is_ciphered=definition.ciphered,
            )
        except WireError:
            return False
        return True


def _agree(claim: Claim, initiate: InitiateRequest, receive_max: int) -> Agreement:
    definition, security = claim.definition, claim.security
    return Agreement(
        claim.client,
        definition.mechanism,
        context_of(definition),
        initiate.conformance & definition.offered,
        min(initiate.max_pdu_size or APDU_MAX, receive_max),
        b"" if security is None else security.system_title,
        b"" if security is None else security.peer_title,
        has_dedicated_key=_has_dedicated_key(claim.cipher),
        is_confirmed=initiate.response_allowed,
    )


def _has_dedicated_key(cipher: SecurityContext | None) -> bool:
    return cipher is not None and cipher.has_dedicated_key
