"""Who lives in a household, with which machines, and what they do on one local day: a diary of loads and taps.

Strategy: everything is drawn from (seed, day), in local minutes by the habits of that day, and converted to UTC at the
end, so that a day has 23, 24 or 25 hours, by its zone.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "PEOPLE",
    "WATER_WH_PER_L_K",
    "DayEvents",
    "Diary",
    "Equipment",
    "Habits",
    "Heating",
    "People",
    "Residents",
    "midnights_of",
    "offset_change",
]

Floats = NDArray[np.float64]

WATER_WH_PER_L_K = 1.163
TAP_RISE_K = 28.0
"""Tap water at 38 °C from mains water at 10 °C."""


class Residents(StrEnum):
    """Who lives there."""

    SINGLE = "single"
    COUPLE = "couple"
    FAMILY = "family"
    RETIRED = "retired"


class Heating(StrEnum):
    """The heating of the house and its tap water."""

    GAS = "gas"
    DISTRICT = "district heating"
    HEAT_PUMP = "heat pump"
    NONE = "none"
    """Heated by somebody else: the house's central boiler."""


@dataclass(frozen=True, slots=True)
class Equipment:
    """The special equipment of a household.

    Attributes:
        heating: the source of heat.
        pv_kw: peak power of the modules, kW; 0 without modules.
        ev: whether an electric car is charged at home.
        dryer: whether there is a tumble dryer.
        dishwasher: whether there is a dishwasher.
        garden: whether a garden is watered in summer.

    """

    heating: Heating = Heating.GAS
    pv_kw: float = 0.0
    ev: bool = False
    dryer: bool = False
    dishwasher: bool = True
    garden: bool = False


@dataclass(frozen=True, slots=True)
class People:
    """The people of a household, with the usual minutes of their day since midnight, local time."""

    persons: int
    wake_min: float
    wake_weekend_min: float
    leave_min: float | None
    """None: usually somebody is at home by day."""
    home_min: float
    sleep_min: float
    screens_w: float


PEOPLE = {
    Residents.SINGLE: People(1, 400, 520, 460, 1065, 1385, 90),
    Residents.COUPLE: People(2, 390, 500, 455, 1035, 1375, 130),
    Residents.FAMILY: People(4, 375, 465, 465, 840, 1360, 250),
    Residents.RETIRED: People(2, 425, 440, None, 0, 1345, 140),
}


@dataclass(frozen=True, slots=True, eq=False)
class DayEvents:
    """Events of one local day: constant rates from start to end, in UTC seconds; they may outlast the day."""

    load: Floats
    """Rows (start, end, W)."""
    water: Floats
    """Rows (start, end, L/s)."""
    hot: Floats
    """Rows (start, end, W of heat for tap water)."""


@dataclass(frozen=True, slots=True)
class Habits:
    """One day's rhythm in local minutes since midnight; ``sleep`` may be after midnight.

    Attributes:
        wake: somebody gets up.
        leave: the last one goes out.
        back: the first one comes back; equal to ``leave`` where all stay at home.
        sleep: the last one goes to bed.
        away: the household is on holiday.
        at_home: somebody is at home all day.

    """

    wake: float
    leave: float
    back: float
    sleep: float
    away: bool
    at_home: bool


class Diary:
    """Draws the events of one local day.

    Args:
        seed: of the household.
        day: the local day.
        habits: of the household on that day.
        people: who lives there.
        equipment: their machines.
        zone: of their clocks.

    """

    def __init__(
        self, seed: int, day: date, habits: Habits, *, people: People, equipment: Equipment, zone: ZoneInfo
    ) -> None:
        self._seed = seed
        self._day = day
        self._habits = habits
        self._people = people
        self._equipment = equipment
        self._zone = zone
        self._draw = np.random.default_rng([seed, day.toordinal(), 2])
        self._load: list[tuple[float, float, float]] = []
        self._water: list[tuple[float, float, float]] = []
        self._hot: list[tuple[float, float, float]] = []

    def write(self) -> DayEvents:
        """Draw the whole day and convert it to UTC."""
        if not self._habits.away:
            self._live()
        start, end = midnights_of(self._day, self._zone)
        shift_at = np.inf if end - start == 86_400 else offset_change(start, end, self._zone)
        shift_s = end - start - 86_400

        def utc(rows: list[tuple[float, float, float]]) -> Floats:
            table = np.array(rows, dtype=np.float64).reshape(-1, 3)
            begin = start + table[:, 0]
            begin = np.where(begin >= shift_at, begin + shift_s, begin)
            return np.column_stack((begin, begin + table[:, 1], table[:, 2]))

        return DayEvents(utc(self._load), utc(self._water), utc(self._hot))

    def _live(self) -> None:
        self._morning()
        self._meals()
        self._screens()
        self._water_use()
        self._washing()
        self._cleaning()
        if self._equipment.ev:
            self._charge_car()

    # times in local minutes, durations in seconds

    def _run(self, minute: float, duration_s: float, power_w: float) -> None:
        if duration_s > 0:
            self._load.append((60 * minute, duration_s, power_w))

    def _tap(self, minute: float, litres: float, l_min: float, *, hot: float = 0.0) -> None:
        duration_s = 60 * litres / l_min
        self._water.append((60 * minute, duration_s, litres / duration_s))
        if hot and self._equipment.heating is not Heating.HEAT_PUMP:
            heat_wh = hot * litres * WATER_WH_PER_L_K * TAP_RISE_K
            self._hot.append((60 * minute, duration_s, heat_wh * 3600 / duration_s))

    def _uniform(self, low: float, high: float) -> float:
        return low + (high - low) * float(self._draw.random())

    def _chance(self, share: float) -> bool:
        return bool(self._draw.random() < share)

    def _at_home_minute(self) -> float:
        """Draw a minute at which somebody is up and at home."""
        habits = self._habits
        morning, rest = max(0.0, habits.leave - habits.wake), max(0.0, habits.sleep - habits.back)
        position = self._uniform(0, morning + rest)
        return habits.wake + position if position < morning else habits.back + position - morning

    def _morning(self) -> None:
        wake = self._habits.wake + 8
        for person in range(self._people.persons):
            at = wake + person * self._uniform(6, 16)
            if self._chance(0.75):
                self._run(at + 4, self._uniform(60, 170), self._uniform(900, 1100))  # coffee
            if person < 2 and self._chance(0.5):
                self._run(at + 7, self._uniform(90, 200), 2050)  # kettle
            if person < 2 and self._chance(0.4):
                self._run(at + 9, 150, 850)  # toaster
            if self._chance(0.3):
                self._run(at - 2, self._uniform(120, 360), 1250)  # hair dryer

    def _meals(self) -> None:
        habits, persons = self._habits, self._people.persons
        if habits.leave > 780 or habits.back < 800:
            self._cook(self._uniform(705, 765), persons * (0.5 if habits.at_home else 0.35))
        dinner = max(habits.back + 25, self._uniform(1080, 1150))
        if dinner < habits.sleep - 60 and self._chance(0.88):
            self._cook(dinner, persons)
        for _ in range(int(self._draw.poisson(0.7 + 0.4 * persons))):
            self._run(self._at_home_minute(), self._uniform(80, 220), 2050)  # kettle
        for _ in range(int(self._draw.poisson(0.8))):
            self._run(self._at_home_minute(), self._uniform(60, 240), 1250)  # microwave

    def _cook(self, minute: float, persons: float) -> None:
        scale = 0.65 + 0.12 * persons
        for _ in range(1 if persons < 2 else 2):
            at, power = minute + self._uniform(0, 6), self._uniform(1200, 1900)
            self._run(at, 240 * scale, power)  # brings to the boil, then clocks
            for _ in range(int(self._uniform(6, 14) * scale)):
                at += self._uniform(1.1, 1.9)
                self._run(at + 3, self._uniform(15, 40), power)
        if self._chance(0.22 + 0.05 * persons):
            at = minute - 8
            self._run(at, 600, 2300)
            for _ in range(int(self._uniform(8, 18))):
                at += 2.5
                self._run(at + 9, self._uniform(30, 60), 2300)
        if self._chance(0.6):
            self._run(minute, 60 * self._uniform(15, 30), 130)  # hood

    def _screens(self) -> None:
        habits, people = self._habits, self._people
        evening = max(habits.back + 20, self._uniform(1125, 1185))
        self._run(evening, max(0.0, 60 * (habits.sleep - evening - self._uniform(0, 35))), people.screens_w)
        if habits.at_home:
            self._run(self._uniform(520, 560), 60 * self._uniform(200, 440), self._uniform(55, 110))  # desk
        if habits.leave - habits.wake > 120 and self._chance(0.5):
            self._run(habits.wake + 40, 60 * self._uniform(40, 120), 0.7 * people.screens_w)
        if self._people.persons > 2:
            self._run(habits.back + self._uniform(10, 50), 60 * self._uniform(60, 200), self._uniform(60, 150))

    def _water_use(self) -> None:
        habits, persons = self._habits, self._people.persons
        at_home = habits.at_home or habits.leave > 900
        for _ in range(int(self._draw.poisson((5.2 if at_home else 4.1) * persons))):
            at = self._at_home_minute()
            self._tap(at, self._uniform(5.0, 7.5), 7)  # toilet
            self._tap(at + 1.5, self._uniform(0.6, 2), 4, hot=0.3)
        for person in range(persons):
            if self._chance(0.78):
                early = self._chance(0.65)
                at = (habits.wake + 2 + 9 * person if early else habits.sleep - 50 - 12 * person) + self._uniform(0, 6)
                self._tap(at, self._uniform(4, 8.5) * 8.5, 8.5, hot=0.95)  # shower
            for at in (habits.wake + 6 + 8 * person, habits.sleep - 15 - 4 * person):
                self._tap(at + self._uniform(0, 5), self._uniform(0.8, 2.5), 4, hot=0.4)  # teeth
        if self._chance(0.06 * persons):
            self._tap(habits.sleep - 120, self._uniform(110, 150), 11, hot=0.9)  # bath
        for _ in range(int(self._draw.poisson(3.5 + 3.2 * persons))):
            self._tap(self._at_home_minute(), self._uniform(0.4, 4.2), self._uniform(4, 8), hot=0.35)  # kitchen
        summer = self._day.month in {5, 6, 7, 8, 9}
        if self._equipment.garden and summer and self._chance(0.3):
            self._tap(self._uniform(1170, 1230), self._uniform(50, 180), 13)

    def _washing(self) -> None:
        habits, persons, equipment = self._habits, self._people.persons, self._equipment
        free = self._day.weekday() >= 5
        if self._chance(min(0.85, (0.11 + 0.12 * persons) * (1.5 if free else 0.8))):
            at = habits.wake + self._uniform(40, 200) if free or habits.at_home else habits.back + self._uniform(5, 70)
            self._run(at + 4, 60 * self._uniform(10, 18), 2050)
            for turn in range(12):
                self._run(at + 22 + 4 * turn, 150, self._uniform(120, 240))
            self._run(at + 78, 420, 420)  # spin
            for fill in (0.5, 30, 46, 62):
                self._tap(at + fill, self._uniform(9, 13), 8)
            if equipment.dryer and self._chance(0.75):
                for turn in range(int(self._uniform(8, 14))):
                    self._run(at + 95 + 5.5 * turn, 280, self._uniform(650, 850))  # heat pump dryer
        if equipment.dishwasher and self._chance(min(0.95, 0.2 + 0.2 * persons)):
            at = min(max(habits.back + 90, 1170), habits.sleep - 20) + self._uniform(0, 30)
            self._run(at, 6600, 65)
            self._run(at + 8, 60 * self._uniform(9, 13), 1900)
            self._run(at + 72, 60 * self._uniform(7, 11), 1900)
            for fill in (1, 30, 60):
                self._tap(at + fill, 3.6, 4)
        elif not equipment.dishwasher:
            self._tap(habits.sleep - self._uniform(90, 160), self._uniform(7, 14), 7, hot=0.8)

    def _cleaning(self) -> None:
        if self._chance(0.25):
            self._run(self._at_home_minute(), 60 * self._uniform(8, 25), 750)  # vacuum cleaner
        if self._chance(0.08 * self._people.persons):
            self._run(self._at_home_minute(), 60 * self._uniform(15, 35), 1100)  # iron

    def _charge_car(self) -> None:
        if self._chance(0.42):
            power = 11_000.0 if self._seed % 2 else 3_700.0
            energy_wh = self._uniform(6_000, 22_000)
            back = self._habits.back if self._habits.back < 1380 else 1080
            self._run(back + self._uniform(3, 15), 3600 * energy_wh / power, power)


def midnights_of(day: date, zone: ZoneInfo) -> tuple[float, float]:
    """Return the UTC seconds of local midnight and the next one."""
    after = day + timedelta(days=1)
    return (
        datetime(day.year, day.month, day.day, tzinfo=zone).timestamp(),
        datetime(after.year, after.month, after.day, tzinfo=zone).timestamp(),
    )


def offset_change(start: float, end: float, zone: ZoneInfo) -> float:
    """Return the UTC second at which the offset of the zone changes between two midnights, to the quarter hour."""
    before = datetime.fromtimestamp(start, UTC).astimezone(zone).utcoffset()
    for time in np.arange(start, end, 900.0).tolist():
        if datetime.fromtimestamp(time, UTC).astimezone(zone).utcoffset() != before:
            return float(time)
    return end
