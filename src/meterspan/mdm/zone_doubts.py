"""What speaks against the time zone of an import: the clock changes in the file, and what is stored already.

A table with local times and a wrong zone is shifted by whole hours, or has a day of 23 or 25 hours too many. Each
doubt is a sentence that says what was seen, and what to do.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

from meterspan.mdm.imports import FileConflict
from meterspan.mdm.table_reader import ClockSigns
from meterspan.quantities import HOUR_S, utc, utc_text

__all__ = ["doubts_of_clock", "doubts_of_shift"]

HOURS_MOST: Final = 14
"""No zone is further from UTC."""
STEPS_MOST: Final = 2
"""Steps back of one register that may be changes of the clock; more are lines without an order."""
CONFLICTS_LEAST: Final = 4
SHARE_LEAST: Final = 0.8
"""So many of the conflicts must be the stored value of one other hour: measured registers rise, and do not repeat."""

ValuesNear = Callable[[FileConflict, int], Sequence[tuple[int, int]]]
"""Returns (seconds after the conflict, value in its steps) of what is stored up to some seconds around a conflict."""


def doubts_of_clock(signs: ClockSigns, zone: str, registers: int) -> list[str]:
    """Return what the local times of a file say against a zone.

    Args:
        signs: what was seen.
        zone: IANA name of the zone that the times were read in.
        registers: how many registers the file has.

    """
    doubts = []
    steps = [step for seconds, step in signs.steps_back.items() if seconds <= HOUR_S]
    if steps and sum(count for count, _text in steps) <= STEPS_MOST * registers and not signs.single_passes:
        doubts.append(
            f"the times step back at {steps[0][1]}, as a clock does in autumn, and the clock of {zone} does not there:"
            " give --zone with the zone of the meter, like Europe/Berlin"
        )
    if signs.single_passes:
        doubts.append(
            f"the hour that {zone} repeats in autumn comes once only: the clock of the file has no summer time; give"
            " --zone UTC, or Etc/GMT-1 for winter time all year"
        )
    return doubts


def doubts_of_shift(conflicts: Sequence[FileConflict], values_near: ValuesNear, zone: str) -> list[str]:
    """Return the sentence that the values of a file are the stored ones of another hour; none where they are not.

    Args:
        conflicts: readings of the file that contradict stored ones.
        values_near: returns what is stored around a conflict.
        zone: IANA name of the zone that the times were read in.

    """
    votes: Counter[int] = Counter()
    asked = conflicts[:200]
    for conflict in asked:
        near = values_near(conflict, HOURS_MOST * HOUR_S)
        votes.update({shift for shift, value in near if value == conflict.value and shift and not shift % HOUR_S})
    best = max(votes, key=lambda shift: (votes[shift], -abs(shift)), default=0)
    if len(asked) < CONFLICTS_LEAST or votes[best] < SHARE_LEAST * len(asked):
        return []
    hours, where = abs(best) // HOUR_S, "later" if best > 0 else "earlier"
    doubt = (
        f"the values from {utc_text(utc(conflicts[0].time))} on are those that are stored {hours} h {where}:"
        f" {zone} is the wrong zone of this file, or was of the one before; give --zone, or undo that one"
    )
    return [doubt]
