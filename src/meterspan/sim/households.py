"""Seeded households that look like households: people who get up, cook, wash, go out, and houses that cool down.

Strategy: one local day at a time. A day's events (kettle, shower, tumble dryer) are drawn from (seed, day) and become
a cumulative, piecewise linear curve beside curves on the minute (lights, heating, sun); flows are differences of
these curves at any grid. So an answer depends on (seed, time) only, energy is the same at every resolution, history
costs milliseconds per day, and a day has 23, 24 or 25 hours, by its zone.
"""

import math
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from meterspan.meter.metrology import ElectricityFlow, HeatFlow, VolumeFlow
from meterspan.quantities import Commodity
from meterspan.sim.daily_life import (
    PEOPLE,
    WATER_WH_PER_L_K,
    DayEvents,
    Diary,
    Equipment,
    Habits,
    Heating,
    Residents,
    midnights_of,
    offset_change,
)
from meterspan.sim.weather import Weather, hash_noise, smooth_noise

__all__ = ["Flows", "Household"]

Floats = NDArray[np.float64]

GAS_WH_PER_L = 10.4
"""Heat of combustion of a litre of natural gas at the meter, Wh (about 10.4 kWh/m3)."""
BOILER_EFFICIENCY = 0.92

_DAYS_KEPT_MAX = 8


@dataclass(frozen=True, slots=True, eq=False)
class Flows:
    """What flowed in each step of a grid; all arrays have one entry per step, ``edges`` one more.

    Attributes:
        edges: UTC seconds of the grid.
        power_w: mean electric power, positive from the network, negative into it.
        pv_w: mean power of the modules (already taken off ``power_w``).
        water_l: litres of water.
        gas_l: litres (dm3) of gas.
        heat_w: mean heat from the district network.
        supply_c: flow temperature of the district network, °C.
        return_c: return temperature, °C.

    """

    edges: Floats
    power_w: Floats
    pv_w: Floats
    water_l: Floats
    gas_l: Floats
    heat_w: Floats
    supply_c: Floats
    return_c: Floats

    def __len__(self) -> int:
        """How many steps the grid has."""
        return len(self.power_w)

    def electricity(self, step: int, phases: int = 3) -> ElectricityFlow:
        """Return one step as the sensors of an electricity meter see it: big loads are on L1, the rest is spread."""
        total_mw = round(float(self.power_w[step]) * 1000)
        time = float(self.edges[step])
        if phases == 1:
            active: tuple[int, ...] = (total_mw,)
        else:
            second, third = round(0.31 * total_mw), round(0.24 * total_mw)
            active = (total_mw - second - third, second, third)
        voltages = tuple(
            round(
                230_000 + 1800 * math.sin(time / 5400 + 2 * phase) + 700 * math.sin(time / 97 + phase) - 0.4e-3 * power
            )
            for phase, power in enumerate(active)
        )
        currents = tuple(
            round(abs(power) / 0.96 * 1000 / voltage) for power, voltage in zip(active, voltages, strict=True)
        )
        reactive = tuple(round(0.27 * abs(power)) for power in active)  # cos phi 0.96
        return ElectricityFlow(active, voltages, currents, reactive)

    def water(self, step: int) -> VolumeFlow:
        """Return one step as a water meter sees it."""
        return VolumeFlow(self._ml_h(self.water_l, step))

    def gas(self, step: int) -> VolumeFlow:
        """Return one step as a gas meter sees it."""
        return VolumeFlow(self._ml_h(self.gas_l, step))

    def heat(self, step: int) -> HeatFlow:
        """Return one step as a heat meter sees it: the volume follows from power and temperatures."""
        power_w = float(self.heat_w[step])
        supply, back = float(self.supply_c[step]), float(self.return_c[step])
        volume_l_h = power_w / (WATER_WH_PER_L_K * (supply - back))
        return HeatFlow(round(power_w * 1000), round(volume_l_h * 1000), round(supply * 100), round(back * 100))

    def piped(self, commodity: Commodity, step: int) -> VolumeFlow | HeatFlow:
        """Return one step as a meter of gas, water or heat sees it; raises ``KeyError`` for electricity."""
        return _PIPED[commodity](self, step)

    def _ml_h(self, litres: Floats, step: int) -> int:
        span_s = float(self.edges[step + 1] - self.edges[step])
        return round(float(litres[step]) * 3_600_000 / span_s)


_PIPED: Final[Mapping[Commodity, Callable[[Flows, int], VolumeFlow | HeatFlow]]] = {
    Commodity.GAS: Flows.gas,
    Commodity.WATER: Flows.water,
    Commodity.HEAT: Flows.heat,
}


@dataclass(frozen=True, slots=True, eq=False)
class _Cumulative:
    """A cumulative, piecewise linear curve that is 0 at the start of its day."""

    times: Floats
    total: Floats

    def at(self, edges: Floats) -> Floats:
        values: Floats = np.interp(edges, self.times, self.total)
        return values


@dataclass(frozen=True, slots=True, eq=False)
class _Day:
    start: float
    end: float
    curves: tuple[_Cumulative, ...]
    """Load, sun, water, gas, heat: joules and litres."""
    minutes: Floats
    supply_c: Floats
    return_c: Floats


class Household:
    """One household with its habits, its house and its machines.

    Args:
        seed: of all chance; another seed is another household.
        profile: who lives there.
        zone: IANA name; people live by local time.
        weather: the weather around the house; households of one place share it.
        equipment: heating, sun, car.

    """

    def __init__(
        self,
        seed: int,
        profile: Residents,
        *,
        zone: str = "Europe/Berlin",
        weather: Weather | None = None,
        equipment: Equipment | None = None,
    ) -> None:
        self.seed = seed
        self.profile = profile
        self.zone = ZoneInfo(zone)
        self.weather = weather or Weather(1)
        self.equipment = equipment or Equipment()
        self._people = PEOPLE[profile]
        trait = np.random.default_rng([seed, 0xABBA])
        self._shift_min = float(trait.normal(0, 25))
        self._standby_w = float(trait.uniform(28, 65) + 12 * self._people.persons)
        self._fridge = (
            float(trait.uniform(2600, 4200)),
            float(trait.uniform(0.28, 0.42)),
            float(trait.uniform(65, 110)),
        )
        self._freezer = (float(trait.uniform(3400, 5600)), 0.35, 80.0 if trait.random() < 0.5 else 0.0)
        self._light_w = float(trait.uniform(30, 60) * (1 + 0.45 * (self._people.persons - 1)))
        self._loss_w_k = float(trait.uniform(118, 155) + 17 * self._people.persons)
        self._facing = float(np.pi + trait.normal(0, 0.5))
        self._holiday_week = int(trait.integers(24, 36))
        self._days: OrderedDict[date, _Day] = OrderedDict()
        self._events: OrderedDict[date, DayEvents] = OrderedDict()

    @classmethod
    def drawn(cls, seed: int, *, zone: str = "Europe/Berlin", weather: Weather | None = None) -> "Household":
        """Draw who lives there and what they own from the seed alone."""
        draw = np.random.default_rng([seed, 0xD1CE])
        profile = list(Residents)[int(draw.choice(4, p=(0.3, 0.25, 0.3, 0.15)))]
        heating = (Heating.GAS, Heating.DISTRICT, Heating.HEAT_PUMP)[int(draw.choice(3, p=(0.5, 0.38, 0.12)))]
        house = profile is not Residents.SINGLE and heating is not Heating.DISTRICT
        equipment = Equipment(
            heating=heating,
            pv_kw=round(float(draw.uniform(4, 9)), 1) if house and draw.random() < 0.4 else 0.0,
            ev=bool(house and draw.random() < 0.2),
            dryer=bool(draw.random() < (0.6 if profile is Residents.FAMILY else 0.25)),
            dishwasher=bool(draw.random() < (0.5 if profile is Residents.SINGLE else 0.85)),
            garden=bool(house and draw.random() < 0.6),
        )
        return cls(seed, profile, zone=zone, weather=weather, equipment=equipment)

    @property
    def persons(self) -> int:
        """How many people live there."""
        return self._people.persons

    def flows(self, start: float, end: float, step_s: float = 60.0) -> Flows:
        """Return the flows from ``start`` to ``end`` (UTC seconds) in steps of ``step_s``; the last may be shorter.

        Raises:
            ValueError: the span or the step is not positive.

        """
        if end <= start or step_s <= 0:
            raise ValueError("flows need a span of time and a step")
        edges = np.arange(start, end, step_s, dtype=np.float64)
        return self.flows_at(np.append(edges, end))

    def flows_at(self, edges: Floats) -> Flows:
        """Return the flows between these rising UTC seconds."""
        totals = np.zeros((5, len(edges)))
        supply, back = np.zeros(len(edges)), np.zeros(len(edges))
        base = np.zeros(5)
        day = datetime.fromtimestamp(float(edges[0]), self.zone).date()
        while True:
            plan = self._day(day)
            inside = slice(int(np.searchsorted(edges, plan.start)), int(np.searchsorted(edges, plan.end, side="right")))
            for index, curve in enumerate(plan.curves):
                totals[index, inside] = base[index] + curve.at(edges[inside])
                base[index] += curve.total[-1]
            supply[inside] = np.interp(edges[inside], plan.minutes, plan.supply_c)
            back[inside] = np.interp(edges[inside], plan.minutes, plan.return_c)
            if plan.end >= edges[-1]:
                break
            day += timedelta(days=1)
        spans = np.diff(edges)
        # nothing but the sun's part runs backwards; differences of sums may by 1e-12
        load, sun, water, gas, heat = np.maximum(np.diff(totals, axis=1), 0.0)
        return Flows(edges, (load - sun) / spans, sun / spans, water, gas, heat / spans, supply[:-1], back[:-1])

    def _day(self, day: date) -> _Day:
        plan = self._days.get(day)
        if plan is None:
            plan = self._days[day] = self._plan_day(day)
            if len(self._days) > _DAYS_KEPT_MAX:
                self._days.popitem(last=False)
        return plan

    def _events_of(self, day: date) -> DayEvents:
        events = self._events.get(day)
        if events is None:
            events = self._events[day] = Diary(
                self.seed, day, self.habits(day), people=self._people, equipment=self.equipment, zone=self.zone
            ).write()
            if len(self._events) > _DAYS_KEPT_MAX:
                self._events.popitem(last=False)
        return events

    def _plan_day(self, day: date) -> _Day:
        start, end = midnights_of(day, self.zone)
        yesterday, today = self._events_of(day - timedelta(days=1)), self._events_of(day)
        grid = np.arange(start, end + 1, 60.0)
        weather = self.weather.span(start, end)
        times = weather.times
        felt = np.interp(times, grid[::60], self.weather.felt_c(start, end))
        space_w = self._space_heat_w(day, times, felt)

        load_w = self._standby_w * (1 + 0.06 * smooth_noise(self.seed + 11, times, 900.0))
        load_w += _cycles(self.seed + 12, times, *self._fridge) + _cycles(self.seed + 13, times, *self._freezer)
        load_w += self._lights_w(day, times, weather.global_w_m2)
        gas_l_s, heat_w = np.zeros_like(times), np.zeros_like(times)
        hot = _cumulate(np.vstack((yesterday.hot, today.hot)), start, end)
        hot_gas, hot_heat = 0.0, 0.0
        match self.equipment.heating:
            case Heating.GAS:
                burner_w = _modulate(self.seed + 14, times, space_w, least_w=5500.0, period_s=1500.0)
                gas_l_s = burner_w / BOILER_EFFICIENCY / GAS_WH_PER_L / 3600
                hot_gas = 1 / BOILER_EFFICIENCY / GAS_WH_PER_L / 3600
                load_w += np.where(space_w > 300, 35.0, 4.0) + np.where(burner_w > 0, 40.0, 0.0)
            case Heating.DISTRICT:
                heat_w = space_w * (1 + 0.05 * smooth_noise(self.seed + 15, times, 600.0))
                hot_heat = 1.0
                load_w += np.where(space_w > 300, 25.0, 3.0)
            case Heating.HEAT_PUMP:
                running_w = _modulate(self.seed + 16, times, space_w, least_w=2800.0, period_s=2700.0)
                # coefficient of performance at 38 °C flow: falls with the outdoor temperature
                load_w += running_w / np.clip(3.9 + 0.085 * (felt - 2), 2.1, 5.2) + 12.0
                load_w += self._tank_w(day, times) / 2.6
            case Heating.NONE:
                pass

        load = _add(_cumulate(np.vstack((yesterday.load, today.load)), start, end), grid, load_w)
        sun = _Cumulative(
            grid, _running(self._sun_w(weather.tilted_w_m2(0.61, self._facing), weather.temperature_c), 60.0)
        )
        water = _cumulate(np.vstack((yesterday.water, today.water)), start, end)
        gas = _add(_Cumulative(hot.times, hot.total * hot_gas), grid, gas_l_s)
        heat = _add(_Cumulative(hot.times, hot.total * hot_heat), grid, heat_w)
        supply = np.clip(78 - 1.15 * felt, 65, 95) + 1.2 * smooth_noise(self.seed + 17, times, 2400.0)
        back = 38 + 0.12 * supply - 3 + 2.5 * smooth_noise(self.seed + 18, times, 3000.0)
        return _Day(start, end, (load, sun, water, gas, heat), times, supply, back)

    def _space_heat_w(self, day: date, times: Floats, felt: Floats) -> Floats:
        """Heat demand: losses below the heating limit, set back by night, a push in the morning, less when away."""
        minute = self._wall_minutes(day, times)
        wake = self._people.wake_min + self._shift_min
        night = (minute < wake - 45) | (minute > 1350)
        push = np.clip(1 - np.abs(minute - wake) / 60, 0, 1)
        away = self._is_away(day)
        inside_c = (15.0 if away else 20.3) - 2.6 * night
        demand = self._loss_w_k * np.clip(inside_c - 4.6 - felt, 0, None) * (1 + 0.35 * push)
        demand = demand * (1 + 0.12 * smooth_noise(self.seed + 19, times, 4 * 3600.0))
        return np.where(demand > 150, demand, 0.0)

    def _tank_w(self, day: date, times: Floats) -> Floats:
        """Heat into the hot water tank of a heat pump: one run at noon, one in the evening."""
        if self._is_away(day):
            return np.zeros_like(times)
        minute = self._wall_minutes(day, times)
        length = 18 + 9 * self._people.persons
        runs = ((minute >= 765) & (minute < 765 + length)) | ((minute >= 1290) & (minute < 1290 + length / 2))
        return np.where(runs, 5200.0, 0.0)

    def _lights_w(self, day: date, times: Floats, global_w_m2: Floats) -> Floats:
        minute = self._wall_minutes(day, times)
        habits = self.habits(day)
        before = self.habits(day - timedelta(days=1))
        awake = ((minute >= habits.wake) & (minute < habits.sleep)) | (minute < before.sleep - 1440)
        inside = ~((minute >= habits.leave) & (minute < habits.back))
        dark = np.clip(1 - global_w_m2 / 90, 0.08, 1)
        rooms = 0.45 + 0.55 * hash_noise(self.seed + 20, np.floor(times / 1020).astype(np.int64))
        rooms *= 0.8 + 0.2 * smooth_noise(self.seed + 21, times, 300.0)
        return np.where(awake & inside & (not habits.away), self._light_w * dark * rooms, 0.0)

    def _sun_w(self, plane_w_m2: Floats, air_c: Floats) -> Floats:
        module_c = air_c + 0.027 * plane_w_m2
        power = self.equipment.pv_kw * plane_w_m2 * (1 - 0.004 * (module_c - 25)) * 0.82
        clipped: Floats = np.clip(power - 4 * self.equipment.pv_kw, 0, 900 * self.equipment.pv_kw)
        return clipped

    def _wall_minutes(self, day: date, times: Floats) -> Floats:
        start, end = midnights_of(day, self.zone)
        minutes = (times - start) / 60
        if end - start != 86_400:
            minutes = np.where(
                times >= offset_change(start, end, self.zone), minutes + (86_400 - end + start) / 60, minutes
            )
        return minutes

    def _is_away(self, day: date) -> bool:
        week = day.isocalendar().week
        return week in {self._holiday_week, self._holiday_week + 1}

    def habits(self, day: date) -> Habits:
        """Return when the household wakes, goes out, comes back and sleeps on that local day."""
        people = self._people
        draw = np.random.default_rng([self.seed, day.toordinal(), 1])
        chance = float(draw.random())
        wake_shift, leave_shift, back_shift, sleep_shift = (float(shift) for shift in draw.normal(0, 1, 4))
        free = day.weekday() >= 5
        wake = (
            (people.wake_weekend_min if free else people.wake_min) + self._shift_min + (35 if free else 10) * wake_shift
        )
        sleep = people.sleep_min + self._shift_min / 2 + (50 if day.weekday() in {4, 5} else 0) + 25 * sleep_shift
        if people.leave_min is None or free:
            stays = chance < (0.45 if free else 0.5)
            leave = 600 + 70 * leave_shift
            back = leave + max(60.0, 190 + 60 * back_shift)
        else:
            stays = chance < 0.15  # ill, or working from home
            leave = max(people.leave_min + self._shift_min + 8 * leave_shift, wake + 35)
            back = people.home_min + self._shift_min / 2 + 30 * back_shift
        if stays:
            leave = back = 780.0
        return Habits(max(wake, 240.0), leave, max(back, leave), max(sleep, wake + 600), self._is_away(day), stays)


def _running(rate: Floats, step_s: float) -> Floats:
    return np.concatenate(([0.0], np.cumsum(rate * step_s)))


def _cumulate(events: Floats, start: float, end: float) -> _Cumulative:
    """Add events (start, end, rate) up to one curve over the day; events outside belong to another day."""
    begins, ends = np.clip(events[:, 0], start, end), np.clip(events[:, 1], start, end)
    times = np.concatenate(([start], begins, ends, [end]))
    steps = np.concatenate(([0.0], events[:, 2], -events[:, 2], [0.0]))
    order = np.argsort(times, kind="stable")
    times, rates = times[order], np.cumsum(steps[order])
    return _Cumulative(times, np.concatenate(([0.0], np.cumsum(rates[:-1] * np.diff(times)))))


def _add(curve: _Cumulative, grid: Floats, rate: Floats) -> _Cumulative:
    """Add a rate on the minute grid to a curve; all corners of both stay."""
    times = np.sort(np.concatenate((curve.times, grid)))
    return _Cumulative(times, curve.at(times) + np.interp(times, grid, _running(rate, 60.0)))


def _cycles(seed: int, times: Floats, period_s: float, duty: float, power_w: float) -> Floats:
    """Return the power of a compressor that clocks; each cycle has its own length of run."""
    cycle = np.floor(times / period_s)
    share = duty * (0.75 + 0.5 * hash_noise(seed, cycle.astype(np.int64)))
    phase = times / period_s - cycle
    # starts a little higher than it runs
    return np.where(phase < share, power_w * (1 + 0.25 * np.exp(-phase * period_s / 120)), 0.0)


def _modulate(seed: int, times: Floats, demand_w: Floats, *, least_w: float, period_s: float) -> Floats:
    """Return the output of a heater that cannot run below ``least_w``: it clocks there, with the same mean."""
    share = np.clip(demand_w / least_w, 0, 1)
    phase = (times / period_s + 0.15 * smooth_noise(seed, times, 4 * period_s)) % 1.0
    return np.where(phase < share, np.maximum(demand_w, least_w), 0.0) * (demand_w > 0)
