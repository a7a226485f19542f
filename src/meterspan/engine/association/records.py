"""What goes into and comes out of an association: settings, requests, events, failures; and its legality table.

The states and the table are one for both roles (IEC 62056-5-3, 6.2): a client and a server pass through the same
states, on triggers seen from either side.
"""

from dataclasses import dataclass, field
from enum import Enum, StrEnum
from typing import TypeAlias

from meterspan.model.cosem.device import CURRENT_ASSOCIATION
from meterspan.model.failures import Failure
from meterspan.quantities import Obis
from meterspan.wire.acse import AuthenticationMechanism
from meterspan.wire.axdr import Data
from meterspan.wire.errors import WireError
from meterspan.wire.xdlms import (
    Access,
    ActionResult,
    Conformance,
    DataAccessResult,
    DataNotification,
    EventNotificationRequest,
)

__all__ = [
    "CLIENT_CONFORMANCE",
    "TRANSITIONS",
    "Action",
    "ActionDone",
    "ApduRefused",
    "Associated",
    "AssociationEvent",
    "AssociationRefused",
    "AssociationSettings",
    "AssociationState",
    "Get",
    "GetDone",
    "GetList",
    "LinkLost",
    "Notification",
    "QueueFullError",
    "Release",
    "Released",
    "Request",
    "RequestFailed",
    "Set",
    "SetDone",
    "SetList",
    "Trigger",
    "next_state",
]


class AssociationState(Enum):
    """Where an association stands; one enum for both roles."""

    IDLE = "idle"
    """No link."""
    CONNECTING = "connecting"
    """The link is being brought up."""
    ASSOCIATING = "associating"
    """Link up; AARQ sent (client) or awaited (server)."""
    AUTHENTICATING = "authenticating"
    """AARE with a challenge exchanged; passes 3 and 4 of HLS are due."""
    ASSOCIATED = "associated"
    RELEASING = "releasing"
    """RLRQ sent, or the link being taken down."""


class Trigger(Enum):
    """What moves an association."""

    CONNECT = "connect"
    LINK_UP = "link up"
    CHALLENGED = "AARE: authentication required"
    ACCEPTED = "AARE or HLS: accepted"
    REFUSED = "AARE or HLS: refused"
    RELEASE = "release"
    RELEASED = "RLRE, the link stays"
    AGAIN = "AARQ in an association"
    LINK_DOWN = "link down"


_S = AssociationState
_T = Trigger
TRANSITIONS: dict[tuple[AssociationState, Trigger], AssociationState] = {
    (_S.IDLE, _T.CONNECT): _S.CONNECTING,
    (_S.IDLE, _T.LINK_UP): _S.ASSOCIATING,
    (_S.CONNECTING, _T.LINK_UP): _S.ASSOCIATING,
    (_S.CONNECTING, _T.RELEASE): _S.RELEASING,
    (_S.ASSOCIATING, _T.CHALLENGED): _S.AUTHENTICATING,
    (_S.ASSOCIATING, _T.ACCEPTED): _S.ASSOCIATED,
    (_S.ASSOCIATING, _T.REFUSED): _S.ASSOCIATING,
    (_S.ASSOCIATING, _T.RELEASE): _S.RELEASING,
    (_S.AUTHENTICATING, _T.ACCEPTED): _S.ASSOCIATED,
    (_S.AUTHENTICATING, _T.REFUSED): _S.ASSOCIATING,
    (_S.AUTHENTICATING, _T.AGAIN): _S.ASSOCIATING,
    (_S.AUTHENTICATING, _T.RELEASE): _S.RELEASING,
    (_S.ASSOCIATED, _T.AGAIN): _S.ASSOCIATING,
    (_S.ASSOCIATED, _T.RELEASE): _S.RELEASING,
    (_S.RELEASING, _T.RELEASED): _S.ASSOCIATING,
    **{(state, _T.LINK_DOWN): _S.IDLE for state in _S if state is not _S.IDLE},
}
"""Every legal move; what is not here does not happen (6.2.2)."""


def next_state(state: AssociationState, trigger: Trigger) -> AssociationState | None:
    """Give the state after ``trigger``, or None where it is not legal in ``state``."""
    return TRANSITIONS.get((state, trigger))


class QueueFullError(RuntimeError):
    """The caller queued more requests than the named bound: a local fault."""


class Release(StrEnum):
    """How a client ends an association (some meters drop the link at RLRQ, or never answer it)."""

    RLRQ = "rlrq"
    """RLRQ with the ciphered initiate of the AARQ where there was one; RLRE is awaited."""
    RLRQ_BARE = "rlrq-bare"
    """RLRQ without user information."""
    LINK_ONLY = "link-only"
    """Only the link is taken down."""


CLIENT_CONFORMANCE = (
    Conformance.GET
    | Conformance.SET
    | Conformance.ACTION
    | Conformance.SELECTIVE_ACCESS
    | Conformance.MULTIPLE_REFERENCES
    | Conformance.BLOCK_TRANSFER_WITH_GET
    | Conformance.BLOCK_TRANSFER_WITH_SET
    | Conformance.BLOCK_TRANSFER_WITH_ACTION
    | Conformance.GENERAL_PROTECTION
    | Conformance.DATA_NOTIFICATION
    | Conformance.EVENT_NOTIFICATION
)
"""What the client machine can do."""


@dataclass(frozen=True, slots=True)
class AssociationSettings:
    """How a client associates.

    Attributes:
        mechanism: none, LLS (1), HLS with MD5 (3), SHA-1 (4) or GMAC (5).
        secret: the password of LLS, or the secret of MD5 and SHA-1.
        ciphered: the application context with ciphering; needs a security context.
        conformance: the services asked for.
        max_pdu: the largest APDU this client takes, announced to the server; 0 is no limit.
        use_dedicated_key: hand a fresh dedicated key to the server and cipher services with it.
        use_general_protection: general-glo/-ded-ciphering in place of the service-specific tags.
        priority_high: the priority bit of each request.
        release: how the association ends.
        association_object: where HLS pass 3 goes; some meters have it elsewhere than 0-0:40.0.0.
        response_timeout_s: how long an answer may take, counted anew for each block.
        max_response_octets: a longer answer over all its blocks is refused.

    """

    mechanism: AuthenticationMechanism = AuthenticationMechanism.LOWEST
    secret: bytes = field(default=b"", repr=False)
    ciphered: bool = False
    conformance: Conformance = CLIENT_CONFORMANCE
    max_pdu: int = 0xFFFF
    use_dedicated_key: bool = False
    use_general_protection: bool = False
    priority_high: bool = True
    release: Release = Release.RLRQ
    association_object: Obis = CURRENT_ASSOCIATION
    response_timeout_s: float = 30.0
    max_response_octets: int = 8 << 20


@dataclass(frozen=True, slots=True)
class Get:
    """Read one attribute, or what ``access`` selects of it.

    ``encoded`` gives the value as its A-XDR octets, unread: for profiles, which are read by column.
    """

    class_id: int
    logical_name: Obis
    attribute: int = 2
    access: Access | None = None
    encoded: bool = False


@dataclass(frozen=True, slots=True)
class GetList:
    """Read several attributes in one request."""

    items: tuple[Get, ...]


@dataclass(frozen=True, slots=True)
class Set:
    """Write one attribute."""

    class_id: int
    logical_name: Obis
    attribute: int
    value: Data


@dataclass(frozen=True, slots=True)
class SetList:
    """Write several attributes in one request."""

    items: tuple[Set, ...]


@dataclass(frozen=True, slots=True)
class Action:
    """Run one method."""

    class_id: int
    logical_name: Obis
    method: int
    parameter: Data | None = None


Request: TypeAlias = Get | GetList | Set | SetList | Action


@dataclass(frozen=True, slots=True)
class Associated:
    """The association stands (after HLS, where it is used).

    Attributes:
        peer: client SAP or server address at the other end.
        mechanism: how the client proved itself.
        ciphered: whether the context is one with ciphering.
        conformance: the negotiated services.
        max_pdu: the largest APDU the peer takes; 0 is no limit.
        peer_title: the peer's system title, b"" where it gave none.

    """

    peer: int
    mechanism: AuthenticationMechanism
    ciphered: bool
    conformance: Conformance
    max_pdu: int
    peer_title: bytes = b""


@dataclass(frozen=True, slots=True)
class AssociationRefused:
    """No association came about; ``failure`` says why."""

    failure: Failure


@dataclass(frozen=True, slots=True)
class GetDone:
    """The values, in the order asked; a refused one is its ``DataAccessResult``, an ``encoded`` one its octets."""

    request_id: int
    results: tuple[Data | DataAccessResult | bytes, ...]


@dataclass(frozen=True, slots=True)
class SetDone:
    """What became of each written attribute, in order."""

    request_id: int
    results: tuple[DataAccessResult, ...]


@dataclass(frozen=True, slots=True)
class ActionDone:
    """What became of the method, and what it returned."""

    request_id: int
    result: ActionResult
    value: Data | DataAccessResult | None = None


@dataclass(frozen=True, slots=True)
class RequestFailed:
    """A request has no answer and will get none."""

    request_id: int
    failure: Failure


@dataclass(frozen=True, slots=True)
class Released:
    """The association has ended; ``failure`` is None where it was released in order."""

    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class LinkLost:
    """The link ended under the association, or before it; ``by_peer`` as for ``LinkDown``."""

    failure: Failure
    by_peer: bool


@dataclass(frozen=True, slots=True)
class Notification:
    """Unsolicited: the peer pushed."""

    apdu: DataNotification | EventNotificationRequest
    peer: int


@dataclass(frozen=True, slots=True)
class ApduRefused:
    """Octets from the peer that were not acted upon: damaged, replayed, without sense here."""

    octets: bytes
    error: WireError


AssociationEvent: TypeAlias = (
    Associated
    | AssociationRefused
    | GetDone
    | SetDone
    | ActionDone
    | RequestFailed
    | Released
    | LinkLost
    | Notification
    | ApduRefused
)
