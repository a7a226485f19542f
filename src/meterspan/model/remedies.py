"""The meaning of a failure and its remedy: one sentence for each kind, the same in portal, JSON and command line.

The sentences here are English. The portal's catalogues have them in other languages, under the same keys
(``portal/catalogue``, tables ``remedy`` and ``situation``); ``ENGLISH`` fills what a catalogue lacks.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final

from meterspan.model import damage, notes
from meterspan.model.failures import Failure, FailureKind

__all__ = [
    "ENGLISH",
    "NO_REASON",
    "REMEDIES",
    "SITUATIONS",
    "Phrase",
    "Reason",
    "Situation",
    "reason_of",
    "tell",
]

REMEDIES: Final[Mapping[FailureKind, str]] = {
    FailureKind.UNREACHABLE: "its address does not answer; check the address, the port, the network and its power",
    FailureKind.NO_LINK: "the line is open and the meter does not answer; check its link addresses and its power",
    FailureKind.LINK_REFUSED: "the meter refuses the link; another client may hold it",
    FailureKind.LINK_LOST: "the connection broke off during the session; check the network if this stays",
    FailureKind.WRONG_FRAMING: "another protocol answers at this address; check the endpoint's scheme and port",
    FailureKind.AUTHENTICATION_FAILED: (
        "wrong key or password: the meter did not accept the proof; most meters lock for a while after wrong ones"
    ),
    FailureKind.AUTHENTICATION_REQUIRED: "the meter requires authentication; set its security",
    FailureKind.MECHANISM_NOT_RECOGNISED: "the meter authenticates otherwise; check its security",
    FailureKind.CONTEXT_NOT_SUPPORTED: "ciphering does not fit the meter; check its security and the client address",
    FailureKind.PROOF_NOT_ACCEPTED: "wrong key: the meter's message could not be opened; check its keys",
    FailureKind.PROOF_REFUSED: "wrong key or password: the meter did not accept the proof; check its keys",
    FailureKind.ASSOCIATION_REFUSED: "the meter refuses the association; check client and server addresses",
    FailureKind.KEY_MISSING: "there is no key for this meter; add it",
    FailureKind.KEY_WRONG: "wrong key: the meter's message could not be opened; check its keys",
    FailureKind.NOT_PROTECTED: "the meter answered without the agreed protection; check its security policy",
    FailureKind.DECIPHERING_ERROR: (
        "wrong key: the meter could not open our message; check its keys and our system title"
    ),
    FailureKind.REPLAY: (
        "the meter sent a counter that it has used before: it was reset or exchanged, or someone replays its answers"
    ),
    FailureKind.COUNTER_BEHIND: "the meter has seen higher counters than ours; they are recovered at the next session",
    FailureKind.COUNTER_UNPROVED: (
        "it asks for counters that no answer under the meter's key confirms; see who answers at its address"
    ),
    FailureKind.COUNTER_EXHAUSTED: "all invocation counters under its key are used; change the key",
    FailureKind.TIMEOUT: "the meter stopped answering; check its address, and the network if this stays",
    FailureKind.REFUSED: "the meter refuses to show this; check the rights of the client",
    FailureKind.EXCEPTION: "the meter could not serve the request; it is asked again, or ask for less at once",
    FailureKind.UNSUPPORTED: "the meter does not offer the service that is needed",
    FailureKind.PROTOCOL: "the meter's answer does not fit the request; report its frames",
    FailureKind.DAMAGED: "what arrived is damaged; check the line or the radio",
    FailureKind.UNREADABLE: "what arrived cannot be read; report its frames",
    FailureKind.UNKNOWN_LAYOUT: (
        "the order of the pushed values is not known; let a session read the push setup, or set push_objects"
    ),
    FailureKind.UNKNOWN_DEVICE: "the device is not in the inventory; add it",
    FailureKind.IMPLAUSIBLE: "the values cannot be of this meter; check whether it was exchanged",
    FailureKind.STORAGE: "readings or counters could not be stored; make room on the disk or look at the log",
    FailureKind.DEADLINE: "the session took too long; the rest is read at the next one",
    FailureKind.CANCELLED: "the session was ended from this side; it is held again",
    FailureKind.INTERNAL: "a defect of this program; report the log",
}
"""By kind; no other code decides by words."""


class Situation(StrEnum):
    """How it stands with a meter or an order that is not simply well."""

    NONE = "none"
    """Nothing is to be said."""
    FAILED = "failed"
    """The last attempt failed; the failure says why."""
    NEVER_HEARD = "never-heard"
    NEVER_REACHED = "never-reached"
    """Never heard, and the last session failed."""
    NOT_TRIED = "not-tried"
    """No session was held with it since the start; the first is ``at`` a time."""
    BEING_TRIED = "being-tried"
    """Its first session is under way, or waits for a free place."""
    NOT_DUE = "not-due"
    """It sends by itself, and nothing is due of it yet."""
    NOT_READ = "not-read"
    """It answers, and no session has read anything yet."""
    NOT_REACHED = "not-reached"
    """Several sessions in a row failed."""
    SESSION_FAILED = "session-failed"
    """The last session failed; more are held."""
    VALUES_DUE = "values-due"
    """``count`` values are missing."""
    PUSHES_DUE = "pushes-due"
    """``count`` values are missing of a meter that sends by itself."""
    REMOVED = "removed"
    UNHEARD = "unheard"
    """A meter that sends by itself was not heard since the start."""
    SILENT = "silent"
    """A meter that sends by itself is silent for ``count`` minutes."""
    ALL_REFUSED = "all-refused"
    """The last ``count`` messages in the meter's name were refused, and none was taken since."""


SITUATIONS: Final[Mapping[Situation, str]] = {
    Situation.NONE: "",
    Situation.FAILED: "{why}",
    Situation.NEVER_HEARD: "Never heard; check its installation, address and keys.",
    Situation.NEVER_REACHED: "Never heard{through}: {why}",
    Situation.NOT_TRIED: "Not tried yet{through}; the next attempt is at {at}.",
    Situation.BEING_TRIED: "Being tried for the first time{through}.",
    Situation.NOT_DUE: "It sends by itself; nothing is due of it yet.",
    Situation.NOT_READ: "It answers{through}, and was not read yet: {why}",
    Situation.NOT_REACHED: "Not reached{through}: {why}",
    Situation.SESSION_FAILED: "The last session{through} failed: {why}",
    Situation.VALUES_DUE: "{count} values are due; they are asked for again.",
    Situation.PUSHES_DUE: "{count} values are missing; it sends by itself, and cannot be asked for them.",
    Situation.REMOVED: "Exchanged or removed; its readings stay.",
    Situation.UNHEARD: "Not heard since the start; check its cable, radio or key.",
    Situation.SILENT: "Silent for {count} minutes; check its cable or radio.",
    Situation.ALL_REFUSED: "The last {count} messages in its name were refused; see the quarantine and check its key.",
}
"""``{through}`` is the text ``through`` where an access point lies between, else nothing."""

ENGLISH: Final[Mapping[str, str]] = {
    **{f"remedy.{kind}": text for kind, text in REMEDIES.items()},
    **{f"situation.{situation}": text for situation, text in SITUATIONS.items()},
    "situation.through": " through {point}",
    **damage.ENGLISH,
    **notes.ENGLISH,
}
"""Every sentence by its key in the catalogues."""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a meter or an order is as it is, for any language.

    Attributes:
        situation: how it stands.
        failure: kind of the failure behind it, None where there is none.
        detail: of the failure, for the expert: plain English, never translated.
        through: the access point that lies between, "" where none does.
        count: of values or minutes, where the situation counts something.
        at: an aware UTC time, where the situation has one.

    """

    situation: Situation = Situation.NONE
    failure: FailureKind | None = None
    detail: str = ""
    through: str = ""
    count: int | None = None
    at: datetime | None = None

    def __bool__(self) -> bool:
        """Whether there is something to say."""
        return self.situation is not Situation.NONE

    def __str__(self) -> str:
        """Write it in English."""
        return tell(self)


NO_REASON: Final = Reason()


@dataclass(frozen=True, slots=True)
class Phrase:
    """A sentence of the catalogues by its key.

    Attributes:
        key: of the sentence.
        values: what its places are filled with; times are local, and the sentence says how they are written.

    """

    key: str
    values: tuple[tuple[str, "PhraseValue"], ...] = ()

    def __str__(self) -> str:
        """Write it in English."""
        return tell(self)


PhraseValue = str | int | Decimal | datetime | Phrase


def reason_of(failure: Failure | None, situation: Situation = Situation.FAILED, *, through: str = "") -> Reason:
    """Return the reason that a failure is; ``NO_REASON`` where nothing failed."""
    return NO_REASON if failure is None else Reason(situation, failure.kind, failure.detail, through)


def tell(reason: Reason | Phrase, texts: Mapping[str, str] = ENGLISH) -> str:
    """Return a reason in the language of ``texts``, which have the keys of ``ENGLISH``."""
    if isinstance(reason, Phrase):
        return texts[reason.key].format(**{name: _written(value, texts) for name, value in reason.values})
    why = "" if reason.failure is None else texts[f"remedy.{reason.failure}"]
    why = f"{why} ({reason.detail})" if why and reason.detail else why
    through = texts["situation.through"].format(point=reason.through) if reason.through else ""
    return texts[f"situation.{reason.situation}"].format(
        why=why,
        through=through,
        count=reason.count,
        at="" if reason.at is None else f"{reason.at:%Y-%m-%d %H:%M:%S} UTC",
    )


def _written(value: PhraseValue, texts: Mapping[str, str]) -> str | int | datetime:
    """Return a value as a sentence takes it: an amount with the decimal mark of its language."""
    if isinstance(value, Phrase):
        return tell(value, texts)
    return f"{value:f}".replace(".", texts["note.decimal_mark"]) if isinstance(value, Decimal) else value
