"""Notes on a day or a month of a supply: one sentence for each kind of thing that happened to its data.

The sentences here are English; the portal's catalogues have them in other languages, under the same keys.
"""

from collections.abc import Mapping
from typing import Final

from meterspan.quantities import Quality

__all__ = ["COUNTED", "ENGLISH", "REGISTERS", "UNEXPLAINED"]

COUNTED: Final[Mapping[Quality, str]] = {
    Quality.ESTIMATED: "estimated",
    Quality.LATE: "late",
    Quality.CONFLICT: "conflict",
    Quality.ROLLOVER: "rollover",
    Quality.MISSING: "missing",
}
"""What is said of the number of intervals that have a flag, by the last part of its key."""
REGISTERS: Final[Mapping[Quality, str]] = {Quality.ZERO_GLITCH: "fell", Quality.SPIKE: "rose"}
"""What is said of the number of registers that were left out."""
UNEXPLAINED: Final[Mapping[Quality, str]] = {
    Quality.METER_RESET: "reset",
    Quality.NEGATIVE: "negative",
    Quality.SPIKE: "spike",
}
"""Why a register difference is explained by no consumption."""

ENGLISH: Final[Mapping[str, str]] = {
    "note.decimal_mark": ".",
    "note.long_day": "Clocks were put back: this day has {hours} hours.",
    "note.short_day": "Clocks were put forward: this day has {hours} hours.",
    "note.exchanged": "Meter {before} was exchanged for {after} on {at:%Y-%m-%d %H:%M}.",
    "note.unexplained": ("{amount} {unit} unexplained between {start:%Y-%m-%d %H:%M} and {end:%Y-%m-%d %H:%M}: {why}."),
    "note.reset": "register fell without a rollover that explains it",
    "note.negative": "register difference is negative and nothing explains it",
    "note.spike": "register rose more than the connection can carry",
    "note.estimated": ("{count} intervals estimated: registers were more than a period apart; their sum is measured."),
    "note.late": "{count} intervals changed by readings that came after the day was closed.",
    "note.conflict": "{count} intervals with contradicting registers at one instant.",
    "note.rollover": "{count} intervals in which the register passed its width.",
    "note.missing": "{count} intervals without any data.",
    "note.of_intervals": "The total is the sum of the meter's intervals: no register is known that checks them.",
    "note.fell": "{count} registers fell for a moment and came back; they are kept raw and not counted.",
    "note.rose": "{count} registers rose for a moment and came back; they are kept raw and not counted.",
    "note.refused": "{device}: {what} is kept and not billed: {reason}.",
}
"""Every sentence by its key in the catalogues."""
