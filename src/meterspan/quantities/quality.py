"""Quality: one flag per rule, not one word for all (a value that passed the sum check only is not "verified")."""

from enum import IntFlag

__all__ = ["Quality"]


class Quality(IntFlag):
    """What is known about a reading or an interval; 0 is a measured value with nothing against it.

    The numbers are stored: never renumber, only append.
    """

    CLOCK_INVALID = 1 << 0
    """The meter's clock said that it is invalid or doubtful."""
    CLOCK_ADJUSTED = 1 << 1
    """The clock was set within this capture period."""
    POWER_DOWN = 1 << 2
    """The meter lost power within this capture period."""
    METER_RESET = 1 << 3
    """The register fell without a rollover that explains it."""
    ROLLOVER = 1 << 4
    """The register passed its width; the difference was taken modulo the width."""
    EXCHANGED = 1 << 5
    """The meter was exchanged within the interval; closing and opening readings were joined."""
    LATE = 1 << 6
    """Arrived after the day was first closed."""
    DUPLICATE = 1 << 7
    """The same instant was reported more than once."""
    CONFLICT = 1 << 8
    """The same instant was reported with different values."""
    SPREAD = 1 << 9
    """Not measured at its own bounds: spread from a longer register difference."""
    ESTIMATED = 1 << 10
    """Estimated by a rule named in the version."""
    EDITED = 1 << 11
    """Edited by a person named in the version."""
    MISSING = 1 << 12
    """No value: the span is known to be without data."""
    SPIKE = 1 << 13
    """Above what the connection can carry."""
    ZERO_GLITCH = 1 << 14
    """A lone fall to (near) zero between two plausible registers; kept raw, left out of the intervals."""
    SUM_CHECK = 1 << 15
    """Reported intervals do not add up to the register difference."""
    NEGATIVE = 1 << 16
    """The difference is negative and nothing explains it."""
    CRITICAL_ERROR = 1 << 17
    """The meter reported a critical error in its status word."""
    OFF_GRID = 1 << 18
    """Bounded by the registers nearest to its bounds, which were not read at them."""
