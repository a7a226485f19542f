"""The meter's own tariff programme: which tariff register counts at which local hour (IEC 62056-6-2, 4.5.5).

The activity calendar that clients read and the selection of metrology use the same table of day
windows. It has one season and no special days; the object shows exactly what is done.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo

from meterspan.model.cosem.classes import ActivityCalendar, ScriptTable
from meterspan.model.cosem.declaration import Attribute
from meterspan.model.cosem.objects import Bound, CosemObject
from meterspan.quantities import ClockTime, Obis
from meterspan.wire.axdr import Data, array, enum, integer, long_unsigned, octet_string, structure, unsigned
from meterspan.wire.axdr.clock import write_clock_time, write_time_of_day

__all__ = ["TariffSwitch"]

CALENDAR = Obis(0, 0, 13, 0, 0)
TARIFF_SCRIPTS = Obis(0, 0, 10, 0, 100)
ACTIVATION = Obis(0, 0, 14, 0, 0)
_WRITE_ATTRIBUTE = 1  # service_id of an action specification (4.5.2)


@dataclass(frozen=True, slots=True)
class TariffSwitch:
    """A daily programme.

    Attributes:
        windows: (local minute of the day, tariff number), ascending, the first at minute 0.
        name: the calendar's name, 1 to 8 letters.

    """

    windows: tuple[tuple[int, int], ...] = ((0, 2), (6 * 60, 1), (22 * 60, 2))
    name: str = "HT-NT"

    def __post_init__(self) -> None:
        minutes = [minute for minute, _ in self.windows]
        if not minutes or minutes[0] != 0 or minutes != sorted(set(minutes)) or minutes[-1] >= 24 * 60:
            raise ValueError(f"day windows must start at minute 0 and ascend within the day: {minutes}")

    def tariff(self, own: float, zone: tzinfo) -> int:
        """Return the tariff at a time of the meter's clock (UTC seconds)."""
        local = datetime.fromtimestamp(own, UTC).astimezone(zone)
        minute = local.hour * 60 + local.minute
        return next(tariff for start, tariff in reversed(self.windows) if start <= minute)

    def objects(self) -> tuple[CosemObject, CosemObject]:
        """Build the activity calendar and the script table that it runs."""
        day = array(structure(unsigned(1), array(*(self._action(minute, tariff) for minute, tariff in self.windows))))
        week = array(structure(octet_string(b"W"), *(unsigned(1) for _ in range(7))))
        start = write_clock_time(ClockTime(None, 1, 1, None, 0, 0, 0, 0))
        season = array(structure(octet_string(b"S"), octet_string(start), octet_string(b"W")))
        calendar: dict[Attribute, Bound] = {
            ActivityCalendar.calendar_name_active: self.name.encode(),
            ActivityCalendar.season_profile_active: season,
            ActivityCalendar.week_profile_table_active: week,
            ActivityCalendar.day_profile_table_active: day,
        }
        scripts = array(*(structure(long_unsigned(tariff), array(self._select(tariff))) for tariff in self._tariffs()))
        return (
            CosemObject(ActivityCalendar, CALENDAR, calendar),
            CosemObject(ScriptTable, TARIFF_SCRIPTS, {ScriptTable.scripts: scripts}),
        )

    def _tariffs(self) -> list[int]:
        return sorted({tariff for _, tariff in self.windows})

    @staticmethod
    def _action(minute: int, tariff: int) -> Data:
        at = write_time_of_day(ClockTime(hour=minute // 60, minute=minute % 60, second=0, hundredths=0))
        return structure(octet_string(at), octet_string(TARIFF_SCRIPTS), long_unsigned(tariff))

    @staticmethod
    def _select(tariff: int) -> Data:
        service, register_activation, active_mask = enum(_WRITE_ATTRIBUTE), long_unsigned(6), integer(4)
        mask = octet_string(bytes([tariff]))
        return structure(service, register_activation, octet_string(ACTIVATION), active_mask, mask)
