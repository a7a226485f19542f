"""Codes of the standard event log, 0-0:99.98.0, and their words (DSMR P3 companion standard, table of events)."""

from enum import IntEnum

from meterspan.model.readings import EventSeverity

__all__ = ["EventCode", "event_severity", "event_words"]


class EventCode(IntEnum):
    """Codes of the standard event log."""

    POWER_DOWN = 1
    POWER_UP = 2
    DAYLIGHT_SAVING_CHANGED = 3
    CLOCK_ADJUSTED_OLD = 4
    CLOCK_ADJUSTED_NEW = 5
    CLOCK_INVALID = 6
    DISCONNECTED_REMOTELY = 62
    RECONNECTED_REMOTELY = 63
    DISCONNECTED_LOCALLY = 64
    LIMITER_EXCEEDED = 65


def event_words(code: int) -> str:
    """Return the words of a code, "" where the code is not in the table."""
    return EventCode(code).name.lower().replace("_", " ") if code in _CODES else ""


def event_severity(code: int) -> EventSeverity:
    """Return how much an event matters to the operator; a code that is not in the table is a warning."""
    return EventSeverity.INFO if code in _ROUTINE else EventSeverity.WARNING


_CODES = frozenset(map(int, EventCode))
_ROUTINE = frozenset(
    {
        EventCode.POWER_UP,
        EventCode.DAYLIGHT_SAVING_CHANGED,
        EventCode.CLOCK_ADJUSTED_OLD,
        EventCode.CLOCK_ADJUSTED_NEW,
        EventCode.RECONNECTED_REMOTELY,
    }
)
