"""Damaged items at rest: what each is, what is lost with it, and what to do, in one table for portal and command line.

The sentences here are English; the portal's catalogues have them in other languages (tables ``damage_loss`` and
``damage_remedy``).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Self

from meterspan.model.storage.readings import DamageKind, QuarantinedItem

__all__ = ["ENGLISH", "LOSSES", "REMEDIES", "Damage"]

LOSSES: Final[Mapping[DamageKind, str]] = {
    DamageKind.BATCH: (
        "Its readings are missing from every answer; registers read before and after keep the totals right."
    ),
    DamageKind.SEGMENT: (
        "Its readings are missing from every answer; registers of the days around it keep the totals right."
    ),
    DamageKind.DAYS: "Nothing is lost: every day that is not closed is settled again.",
    DamageKind.ROW: "What it registers, and what refers to it, is left out; its readings are kept.",
    DamageKind.SUPPLY: "Its readings are kept; its consumption and cost are left out of every sum.",
}
REMEDIES: Final[Mapping[DamageKind, str]] = {
    DamageKind.BATCH: (
        "A head end reads these rows again while the meters keep them; else import them, or restore a backup."
    ),
    DamageKind.SEGMENT: "Put a whole copy of the file from a backup into readings/segments, and start again.",
    DamageKind.DAYS: "There is nothing to do.",
    DamageKind.ROW: "Register it again, by a start with its configuration, or restore the database from a backup.",
    DamageKind.SUPPLY: "Look at its registers and installations: no meter can have one of them.",
}
ENGLISH: Final[Mapping[str, str]] = {
    **{f"damage_loss.{kind}": text for kind, text in LOSSES.items()},
    **{f"damage_remedy.{kind}": text for kind, text in REMEDIES.items()},
}
"""Every sentence by its key in the catalogues."""


@dataclass(frozen=True, slots=True)
class Damage:
    """One item that is damaged or impossible; it is left out of all answers.

    Attributes:
        item: its name: ``usage point MP1``, ``batch 17``, a file, table and key of a row.
        reason: the damage, for a person.
        kind: what sort of thing it is.
        found_at: UTC seconds when it was found; None where that is not known.
        kept_at: where its octets are kept, "" where nothing had to be moved.
        readings: how many readings are missing with it; None where that is not known.
        first_time: UTC seconds of the span that they lie in, None where that is not known.
        last_time: UTC seconds.

    """

    item: str
    reason: str
    kind: DamageKind = DamageKind.SUPPLY
    found_at: int | None = field(default=None, compare=False)
    kept_at: str = ""
    readings: int | None = None
    first_time: int | None = None
    last_time: int | None = None

    @classmethod
    def of(cls, item: QuarantinedItem) -> Self:
        """Return what a store has quarantined."""
        counted = item.readings if item.kind in {DamageKind.BATCH, DamageKind.SEGMENT} else None
        span = item.first_time, item.last_time
        return cls(item.name, item.reason, item.kind, item.found_at, item.kept_at, counted, *span)
