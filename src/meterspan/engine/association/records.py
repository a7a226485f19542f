"""The inputs and outputs of an association: settings, requests and events."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

from meterspan.engine.association.agreement import Agreement
from meterspan.model.cosem.device import CURRENT_ASSOCIATION, SERVER_CONFORMANCE
from meterspan.model.failures import Failure
from meterspan.quantities import Obis
from meterspan.wire.acse import AuthenticationMechanism
from meterspan.wire.axdr import Data
from meterspan.wire.errors import WireError
from meterspan.wire.xdlms import (
    Access,
    ActionOutcome,
    ActionResult,
    Conformance,
    CosemAttributeDescriptor,
    CosemMethodDescriptor,
    DataAccessResult,
    DataNotification,
    EventNotificationRequest,
)

__all__ = [
    "CLIENT_CONFORMANCE",
    "Action",
    "ActionDone",
    "ActionList",
    "ActionListDone",
    "ApduRefused",
    "Associated",
    "AssociationEvent",
    "AssociationRefused",
    "AssociationSettings",
    "Encoded",
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
]


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


CLIENT_CONFORMANCE = SERVER_CONFORMANCE | Conformance.DATA_NOTIFICATION | Conformance.EVENT_NOTIFICATION
"""What the client machine can do: what the server machine can, and take its notifications."""


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
        response_timeout_s: how long an answer may take, counted again for each block.
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
    """Read one attribute, or what ``access`` selects of it: ``Get(Register.value.at(name))``.

    With ``encoded`` the result is ``Encoded``: for profiles, which are read by column.
    """

    attribute: CosemAttributeDescriptor
    access: Access | None = None
    encoded: bool = False


@dataclass(frozen=True, slots=True)
class GetList:
    """Read several attributes in one request."""

    items: tuple[Get, ...]


@dataclass(frozen=True, slots=True)
class Set:
    """Write one attribute: ``Set(Clock.time.at(name), clock(moment))``."""

    attribute: CosemAttributeDescriptor
    value: Data


@dataclass(frozen=True, slots=True)
class SetList:
    """Write several attributes in one request."""

    items: tuple[Set, ...]


@dataclass(frozen=True, slots=True)
class Action:
    """Run one method: ``Action(Clock.shift_time.at(name), long(30))``."""

    method: CosemMethodDescriptor
    parameter: Data | None = None


@dataclass(frozen=True, slots=True)
class ActionList:
    """Run several methods in one request, in order; each runs whatever becomes of the others."""

    items: tuple[Action, ...]


Request: TypeAlias = Get | GetList | Set | SetList | Action | ActionList


@dataclass(frozen=True, slots=True)
class Associated:
    """The association is there (after HLS, where it is used), under these terms."""

    agreement: Agreement


@dataclass(frozen=True, slots=True)
class AssociationRefused:
    """The association was not established; ``failure`` is the reason."""

    failure: Failure


@dataclass(frozen=True, slots=True)
class Encoded:
    """A value as its A-XDR octets, not decoded: the answer to a ``Get`` with ``encoded``."""

    octets: bytes


@dataclass(frozen=True, slots=True)
class GetDone:
    """The values in the order asked; a refused one is its ``DataAccessResult``."""

    request_id: int
    results: tuple[Data | DataAccessResult | Encoded, ...]


@dataclass(frozen=True, slots=True)
class SetDone:
    """What became of each written attribute, in order."""

    request_id: int
    results: tuple[DataAccessResult, ...]


@dataclass(frozen=True, slots=True)
class ActionDone:
    """The result of the method, and its return value."""

    request_id: int
    result: ActionResult
    value: Data | DataAccessResult | None = None


@dataclass(frozen=True, slots=True)
class ActionListDone:
    """What became of each method, and what it returned, in order."""

    request_id: int
    outcomes: tuple[ActionOutcome, ...]


@dataclass(frozen=True, slots=True)
class RequestFailed:
    """A request has no answer and will get none."""

    request_id: int
    failure: Failure


@dataclass(frozen=True, slots=True)
class Released:
    """The association has ended.

    Attributes:
        failure: why; None where it was released in order.
        peer: the client, at a server, whose link may carry more associations than this one.

    """

    failure: Failure | None = None
    peer: int | None = None


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
    | ActionListDone
    | RequestFailed
    | Released
    | LinkLost
    | Notification
    | ApduRefused
)
