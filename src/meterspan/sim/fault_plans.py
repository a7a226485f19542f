"""The bad day of a district, as a fault plan: which fault at which hour, and its target.

Strategy: hours are local wall time of the first day where the run lasts a day, and the same shares of the run where it
is shorter, so that a test of three hours meets the same faults. Everything here can be healed without a visit, except
the meter exchange, which is one.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from meterspan.quantities import DAY_S, QUARTER_S
from meterspan.sim.faults import Fault, FaultKind, FaultPlan

__all__ = ["Places", "bad_day", "quiet_day", "restless_hours"]

REPLAYED_FRAMES: Final = 5


@dataclass(frozen=True, slots=True)
class Places:
    """The targets of faults; lists have at least one entry.

    Attributes:
        access_points: names of the access points.
        direct: electricity meters that are read over G1 by themselves.
        wired: electricity meters that are heard on their P1 port only; may be none.
        radios: radio meters.

    """

    access_points: tuple[str, ...]
    direct: tuple[str, ...]
    wired: tuple[str, ...]
    radios: tuple[str, ...]


def bad_day(places: Places, start: float, end: float, *, zone: str) -> FaultPlan:
    """Plan the faults of the run from ``start`` to ``end`` (UTC seconds); for repeated days see `quiet_day`.

    Args:
        places: the targets of faults.
        start: UTC seconds.
        end: UTC seconds.
        zone: IANA time zone of the hours.

    """
    hour = _Hours(start, end, zone)
    last = places.access_points[-1]
    middle = places.access_points[len(places.access_points) // 2]
    mistyped = places.radios[0]
    replayed = places.radios[-1]
    exchanged = places.direct[0]
    drifting = places.direct[-1]
    unreachable = places.direct[len(places.direct) // 2]
    power_fails = hour.after_mark(15.0, 120)
    wire_shaken = hour.after_mark(10.0, 60)
    return FaultPlan.of(
        [
            Fault(FaultKind.WRONG_KEY, mistyped, start, hour.at(6.2)),
            Fault(FaultKind.REPLAY, replayed, hour.at(9.4), hour.at(9.4), REPLAYED_FRAMES),
            Fault(FaultKind.LOST_FRAMES, middle, hour.at(17), hour.at(20), 0.12),
            *(
                Fault(FaultKind.DAMAGED_FRAMES, meter, wire_shaken, wire_shaken + 780, 0.4)
                for meter in places.wired[:2]
            ),
            Fault(FaultKind.OUTAGE, last, hour.at(3), hour.at(5)),
            Fault(FaultKind.OUTAGE, unreachable, hour.at(13), hour.at(14.5)),
            Fault(FaultKind.POWER_OUTAGE, middle, power_fails, power_fails + 480),
            Fault(FaultKind.EXCHANGE, exchanged, hour.noon(), hour.noon()),
            Fault(FaultKind.CLOCK_DRIFT, drifting, hour.at(5), hour.at(9), 3_000.0),
        ]
    )


def quiet_day(places: Places, start: float, end: float, *, zone: str, number: int) -> FaultPlan:
    """Plan the few faults of a usual day; ``number`` turns them from one place to the next.

    Args:
        places: the targets of faults.
        start: UTC seconds.
        end: UTC seconds.
        zone: IANA time zone of the hours.
        number: of the day; it selects the targets.

    """
    hour = _Hours(start, end, zone)
    point = places.access_points[number % len(places.access_points)]
    meter = places.direct[number % len(places.direct)]
    radio = places.radios[number % len(places.radios)]
    return FaultPlan.of(
        [
            Fault(FaultKind.OUTAGE, point, hour.at(2.5), hour.at(3.2)),
            Fault(FaultKind.OUTAGE, meter, hour.at(8), hour.at(8.6)),
            Fault(FaultKind.REPLAY, radio, hour.at(11.3), hour.at(11.3), REPLAYED_FRAMES),
            Fault(FaultKind.OUTAGE, meter, hour.at(18), hour.at(18.8)),
        ]
    )


def restless_hours(places: Places, start: float, end: float) -> FaultPlan:
    """Plan an outage each hour for the running demo: another meter is not reached around the time of its read."""
    first = -(-start // 3_600)
    hours = range(int(first), int(end // 3_600) + 1)
    return FaultPlan.of(
        [
            Fault(
                FaultKind.OUTAGE, places.direct[hour % len(places.direct)], 3_600.0 * hour - 120, 3_600.0 * hour + 2_400
            )
            for hour in hours
        ]
    )


class _Hours:
    """Hours of a run's first local day."""

    def __init__(self, start: float, end: float, zone: str) -> None:
        self._start = start
        self._scale = min(1.0, (end - start) / DAY_S)
        self._midnight = datetime.fromtimestamp(start, UTC).astimezone(ZoneInfo(zone))

    def at(self, hour: float) -> float:
        """Return UTC seconds of a local hour."""
        if self._scale < 1.0:
            return float(round(self._start + 3_600 * hour * self._scale))
        wall = self._midnight.replace(tzinfo=None) + timedelta(hours=hour)
        return wall.replace(tzinfo=self._midnight.tzinfo).timestamp()

    def noon(self) -> float:
        """Return the mark at or after noon."""
        return float(-(-self.at(12) // QUARTER_S) * QUARTER_S)

    def after_mark(self, hour: float, later_s: float) -> float:
        """Return an instant so much later than the mark at or after an hour."""
        return float(-(-self.at(hour) // QUARTER_S) * QUARTER_S) + later_s
