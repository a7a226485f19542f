"""The meter's calendar clock: it may drift, be set and be invalid; it never changes measured values.

Three times are kept apart: true time (UTC seconds, given as ``now``), the clock's own time (true time plus its error),
and the local calendar that clients see (the clock's time in the meter's zone).
"""

from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo

from meterspan.quantities import ClockStatus, ClockTime

__all__ = ["MeterClock"]


@dataclass(slots=True)
class MeterClock:
    """A calendar clock.

    Attributes:
        zone: the local calendar.
        error_s: seconds that the clock is ahead of true time.
        drift_ppm: how much faster it runs than true time; zero for a clock with a good crystal.
        is_valid: False from a power loss without reserve until it is set.

    """

    zone: tzinfo
    error_s: float = 0.0
    drift_ppm: float = 0.0
    is_valid: bool = True
    _drift_from: float | None = None

    def time(self, now: float) -> float:
        """Return the clock's own time, UTC seconds."""
        if self._drift_from is None:
            self._drift_from = now
        return now + self.error_s + (now - self._drift_from) * self.drift_ppm * 1e-6

    def true_time(self, own: float, now: float) -> float:
        """Return the true time at which the clock shows ``own``, by its present error."""
        return own - (self.time(now) - now)

    def indicate(self, now: float) -> ClockTime:
        """Return the local date and time with deviation and status."""
        return self.local(self.time(now))

    def local(self, own: float) -> ClockTime:
        """Write a time of this clock (UTC seconds) as local date and time."""
        moment = datetime.fromtimestamp(own, UTC).astimezone(self.zone)
        status = ClockStatus.DAYLIGHT_SAVING_ACTIVE if moment.dst() else ClockStatus(0)
        if not self.is_valid:
            status |= ClockStatus.INVALID_VALUE
        return ClockTime.of(moment, status)

    def set(self, own: float, now: float) -> float:
        """Set the clock to ``own`` (UTC seconds); returns the step in seconds."""
        step = own - self.time(now)
        self.error_s = own - now
        self._drift_from = now
        self.is_valid = True
        return step
