"""The legality table of the HDLC link (IEC 62056-46, 6.4.4): state and stimulus to action and next state, by role.

It covers setting up, releasing, and the handling of each frame in each state; the ``Turn`` decides within normal
response mode.
"""

from enum import Enum
from typing import Final

from meterspan.engine.link import Role
from meterspan.wire.hdlc import FrameKind

__all__ = ["STIMULUS_OF_KIND", "TRANSITIONS", "LinkAction", "State", "Stimulus", "transition_table"]


class State(Enum):
    """States of the link, 6.4.4.1."""

    NDM = "NDM"
    """Normal disconnected mode."""
    AWAITING_UA = "awaiting UA"
    """The client has sent SNRM."""
    NRM = "NRM"
    """Normal response mode: the link is up."""
    AWAITING_RELEASE = "awaiting release"
    """The client has sent DISC."""


class Stimulus(Enum):
    """The stimuli of a link: frames, requests of the owner, and timers."""

    SNRM = "SNRM"
    DISC = "DISC"
    UA = "UA"
    DM = "DM"
    FRMR = "FRMR"
    I = "I"  # noqa: E741 - the standard's name
    RR = "RR"
    RNR = "RNR"
    REJ = "REJ"
    UI = "UI"
    UNKNOWN = "unknown control"
    BAD_NUMBER = "N(R) out of range"
    OVERFLOW = "APDU too long"
    CONNECT = "connect"
    DISCONNECT = "disconnect"
    MEDIUM_LOST = "medium lost"
    TIMEOUT = "timeout"
    EXHAUSTED = "retries exhausted"
    INACTIVE = "inactivity"


class LinkAction(Enum):
    """The actions of the link."""

    SEND_SNRM = "send SNRM"
    REPEAT_SNRM = "repeat SNRM"
    COME_UP = "come up"
    SEND_DISC = "send DISC"
    REPEAT_DISC = "repeat DISC"
    GO_DOWN = "go down"
    ACCEPT = "accept"
    ACCEPT_AGAIN = "accept again"
    RELEASE = "release"
    ANSWER_DM = "answer DM"
    REJECT_FRAME = "reject frame"
    NOTE_REFUSAL = "note refusal"
    NOTE_REJECTION = "note rejection"
    EXCHANGE = "exchange"
    """Hand the frame to the turn."""
    RECEIVE_UNNUMBERED = "receive unnumbered"


_C, _S = Role.CLIENT, Role.SERVER
_NDM, _AWAITING_UA, _NRM, _RELEASE = State

TRANSITIONS: Final[dict[tuple[Role, State, Stimulus], tuple[LinkAction, State]]] = {
    (_C, _NDM, Stimulus.CONNECT): (LinkAction.SEND_SNRM, _AWAITING_UA),
    (_C, _NDM, Stimulus.UI): (LinkAction.RECEIVE_UNNUMBERED, _NDM),
    (_C, _AWAITING_UA, Stimulus.UA): (LinkAction.COME_UP, _NRM),
    (_C, _AWAITING_UA, Stimulus.DM): (LinkAction.NOTE_REFUSAL, _NDM),
    (_C, _AWAITING_UA, Stimulus.FRMR): (LinkAction.NOTE_REFUSAL, _NDM),
    (_C, _AWAITING_UA, Stimulus.UI): (LinkAction.RECEIVE_UNNUMBERED, _AWAITING_UA),
    (_C, _AWAITING_UA, Stimulus.TIMEOUT): (LinkAction.REPEAT_SNRM, _AWAITING_UA),
    (_C, _AWAITING_UA, Stimulus.EXHAUSTED): (LinkAction.GO_DOWN, _NDM),
    (_C, _AWAITING_UA, Stimulus.DISCONNECT): (LinkAction.SEND_DISC, _RELEASE),
    (_C, _AWAITING_UA, Stimulus.MEDIUM_LOST): (LinkAction.GO_DOWN, _NDM),
    (_C, _NRM, Stimulus.I): (LinkAction.EXCHANGE, _NRM),
    (_C, _NRM, Stimulus.RR): (LinkAction.EXCHANGE, _NRM),
    (_C, _NRM, Stimulus.RNR): (LinkAction.EXCHANGE, _NRM),
    (_C, _NRM, Stimulus.REJ): (LinkAction.EXCHANGE, _NRM),
    (_C, _NRM, Stimulus.UI): (LinkAction.RECEIVE_UNNUMBERED, _NRM),
    (_C, _NRM, Stimulus.DM): (LinkAction.NOTE_REFUSAL, _NDM),
    (_C, _NRM, Stimulus.FRMR): (LinkAction.NOTE_REJECTION, _NDM),
    (_C, _NRM, Stimulus.EXHAUSTED): (LinkAction.GO_DOWN, _NDM),
    (_C, _NRM, Stimulus.OVERFLOW): (LinkAction.SEND_DISC, _RELEASE),
    (_C, _NRM, Stimulus.DISCONNECT): (LinkAction.SEND_DISC, _RELEASE),
    (_C, _NRM, Stimulus.MEDIUM_LOST): (LinkAction.GO_DOWN, _NDM),
    (_C, _RELEASE, Stimulus.UA): (LinkAction.GO_DOWN, _NDM),
    (_C, _RELEASE, Stimulus.DM): (LinkAction.GO_DOWN, _NDM),
    (_C, _RELEASE, Stimulus.UI): (LinkAction.RECEIVE_UNNUMBERED, _RELEASE),
    (_C, _RELEASE, Stimulus.TIMEOUT): (LinkAction.REPEAT_DISC, _RELEASE),
    (_C, _RELEASE, Stimulus.EXHAUSTED): (LinkAction.GO_DOWN, _NDM),
    (_C, _RELEASE, Stimulus.MEDIUM_LOST): (LinkAction.GO_DOWN, _NDM),
    (_S, _NDM, Stimulus.SNRM): (LinkAction.ACCEPT, _NRM),
    (_S, _NDM, Stimulus.DISC): (LinkAction.ANSWER_DM, _NDM),
    (_S, _NDM, Stimulus.I): (LinkAction.ANSWER_DM, _NDM),
    (_S, _NDM, Stimulus.RR): (LinkAction.ANSWER_DM, _NDM),
    (_S, _NDM, Stimulus.RNR): (LinkAction.ANSWER_DM, _NDM),
    (_S, _NDM, Stimulus.REJ): (LinkAction.ANSWER_DM, _NDM),
    (_S, _NDM, Stimulus.UNKNOWN): (LinkAction.ANSWER_DM, _NDM),
    (_S, _NDM, Stimulus.UI): (LinkAction.RECEIVE_UNNUMBERED, _NDM),
    (_S, _NRM, Stimulus.SNRM): (LinkAction.ACCEPT_AGAIN, _NRM),
    (_S, _NRM, Stimulus.DISC): (LinkAction.RELEASE, _NDM),
    (_S, _NRM, Stimulus.I): (LinkAction.EXCHANGE, _NRM),
    (_S, _NRM, Stimulus.RR): (LinkAction.EXCHANGE, _NRM),
    (_S, _NRM, Stimulus.RNR): (LinkAction.EXCHANGE, _NRM),
    (_S, _NRM, Stimulus.REJ): (LinkAction.EXCHANGE, _NRM),
    (_S, _NRM, Stimulus.UI): (LinkAction.RECEIVE_UNNUMBERED, _NRM),
    (_S, _NRM, Stimulus.UNKNOWN): (LinkAction.REJECT_FRAME, _NDM),
    (_S, _NRM, Stimulus.BAD_NUMBER): (LinkAction.REJECT_FRAME, _NDM),
    (_S, _NRM, Stimulus.OVERFLOW): (LinkAction.REJECT_FRAME, _NDM),
    (_S, _NRM, Stimulus.INACTIVE): (LinkAction.GO_DOWN, _NDM),
    (_S, _NRM, Stimulus.DISCONNECT): (LinkAction.GO_DOWN, _NDM),
    (_S, _NRM, Stimulus.MEDIUM_LOST): (LinkAction.GO_DOWN, _NDM),
}
"""(role, state, stimulus) to (action, next state). Anything else changes nothing; such frames count as ignored."""

STIMULUS_OF_KIND: Final = {kind: Stimulus.__members__.get(kind.short, Stimulus.UNKNOWN) for kind in FrameKind}


def transition_table() -> str:
    """Write ``TRANSITIONS`` as a Markdown table, for the documentation."""
    lines = ["| role | state | stimulus | action | next state |", "|---|---|---|---|---|"]
    lines += [
        f"| {role.value} | {state.value} | {stimulus.value} | {action.value} | {following.value} |"
        for (role, state, stimulus), (action, following) in TRANSITIONS.items()
    ]
    return "\n".join(lines)
