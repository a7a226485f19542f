"""The states of an association and the moves between them, one table per role (IEC 62056-5-3, 6.2).

A client and a server are in the same states, on moves of their own: the moves of a role are an enumeration, so that a
server cannot make a client's move. A move that is not in the table is illegal. ``docs/cosem.md`` shows the tables.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Final

__all__ = ["CLIENT_TABLE", "SERVER_TABLE", "AssociationState", "ClientMove", "ServerMove", "transition_table"]


class AssociationState(Enum):
    """The state of an association; one enumeration for both roles."""

    IDLE = "idle"
    """No link."""
    CONNECTING = "connecting"
    """The link is being brought up."""
    ASSOCIATING = "associating"
    """The link is up; the AARQ is sent (client) or awaited (server)."""
    AUTHENTICATING = "authenticating"
    """The AARE carried a challenge; passes 3 and 4 of HLS are due."""
    ASSOCIATED = "associated"
    RELEASING = "releasing"
    """RLRQ is sent, or the link is being taken down."""


class ClientMove(Enum):
    """The moves of a client."""

    CONNECT = "connect"
    LINK_UP = "link up"
    CHALLENGED = "AARE: authentication required"
    ACCEPTED = "AARE or proof accepted"
    REFUSED = "refused, by the server or by us"
    RELEASE = "release"
    LINK_DOWN = "link down"


class ServerMove(Enum):
    """The moves of a server."""

    LINK_UP = "link up"
    CHALLENGED = "AARE with our challenge sent"
    ACCEPTED = "AARQ or proof accepted"
    REFUSED = "proof not accepted"
    AGAIN = "AARQ in an association"
    RELEASED = "RLRQ answered"
    INACTIVE = "no request for too long"
    LINK_DOWN = "link down"


_S = AssociationState
_C = ClientMove
CLIENT_TABLE: Final[Mapping[tuple[AssociationState, ClientMove], AssociationState]] = {
    (_S.IDLE, _C.CONNECT): _S.CONNECTING,
    (_S.CONNECTING, _C.LINK_UP): _S.ASSOCIATING,
    (_S.CONNECTING, _C.RELEASE): _S.RELEASING,
    (_S.CONNECTING, _C.LINK_DOWN): _S.IDLE,
    (_S.ASSOCIATING, _C.CHALLENGED): _S.AUTHENTICATING,
    (_S.ASSOCIATING, _C.ACCEPTED): _S.ASSOCIATED,
    (_S.ASSOCIATING, _C.REFUSED): _S.RELEASING,
    (_S.ASSOCIATING, _C.RELEASE): _S.RELEASING,
    (_S.ASSOCIATING, _C.LINK_DOWN): _S.IDLE,
    (_S.AUTHENTICATING, _C.ACCEPTED): _S.ASSOCIATED,
    (_S.AUTHENTICATING, _C.REFUSED): _S.RELEASING,
    (_S.AUTHENTICATING, _C.RELEASE): _S.RELEASING,
    (_S.AUTHENTICATING, _C.LINK_DOWN): _S.IDLE,
    (_S.ASSOCIATED, _C.RELEASE): _S.RELEASING,
    (_S.ASSOCIATED, _C.LINK_DOWN): _S.IDLE,
    (_S.RELEASING, _C.LINK_DOWN): _S.IDLE,
}
"""Every legal move of a client."""

_V = ServerMove
SERVER_TABLE: Final[Mapping[tuple[AssociationState, ServerMove], AssociationState]] = {
    (_S.IDLE, _V.LINK_UP): _S.ASSOCIATING,
    (_S.ASSOCIATING, _V.CHALLENGED): _S.AUTHENTICATING,
    (_S.ASSOCIATING, _V.ACCEPTED): _S.ASSOCIATED,
    (_S.ASSOCIATING, _V.INACTIVE): _S.RELEASING,
    (_S.ASSOCIATING, _V.LINK_DOWN): _S.IDLE,
    (_S.AUTHENTICATING, _V.ACCEPTED): _S.ASSOCIATED,
    (_S.AUTHENTICATING, _V.REFUSED): _S.ASSOCIATING,
    (_S.AUTHENTICATING, _V.AGAIN): _S.ASSOCIATING,
    (_S.AUTHENTICATING, _V.RELEASED): _S.ASSOCIATING,
    (_S.AUTHENTICATING, _V.INACTIVE): _S.RELEASING,
    (_S.AUTHENTICATING, _V.LINK_DOWN): _S.IDLE,
    (_S.ASSOCIATED, _V.AGAIN): _S.ASSOCIATING,
    (_S.ASSOCIATED, _V.RELEASED): _S.ASSOCIATING,
    (_S.ASSOCIATED, _V.INACTIVE): _S.RELEASING,
    (_S.ASSOCIATED, _V.LINK_DOWN): _S.IDLE,
    (_S.RELEASING, _V.LINK_DOWN): _S.IDLE,
}
"""Every legal move of a server."""


def transition_table() -> str:
    """Write both tables as one Markdown table, for the documentation."""
    lines = ["| role | state | move | next state |", "|---|---|---|---|"]
    lines += [_row("client", state, move, after) for (state, move), after in CLIENT_TABLE.items()]
    lines += [_row("server", state, move, after) for (state, move), after in SERVER_TABLE.items()]
    return "\n".join(lines)


def _row(role: str, state: AssociationState, move: Enum, after: AssociationState) -> str:
    return f"| {role} | {state.value} | {move.value} | {after.value} |"
