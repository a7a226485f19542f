"""Generations: one counter over all changes of the data, and the generation of the last change of each device.

A derived value is stamped with the generation before it was derived. It holds as long as no later change touched the
readings that it depends on: values are not removed when data change. Changes are kept per hour of the readings' time,
because a reading of now leaves the curves of last month as they are.

A writer announces the devices whose readings it changes (``changing``) before it stores and notes what it changed
before it leaves. An answer that reads several times is one state of the data if none of its devices was changed or
being changed meanwhile (``unchanged``); ``held`` makes writers wait, for the answer that found no such moment.
"""

import threading
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager

from meterspan.quantities import HOUR_S

__all__ = ["Change", "Generations"]

HOURS_KEPT = 48
"""Hours of a device with a generation of their own; older ones share one, which only costs a derivation anew."""
EVER, NEVER = -(1 << 62), 1 << 62


class Change:
    """The changes of one writer; filled while ``Generations.changing`` is entered."""

    def __init__(self) -> None:
        self._hours: dict[str, set[int]] = {}
        self._whole: set[str] = set()
        self.is_noted = False
        """Whether anything changed at all."""

    def registration(self) -> None:
        """Note that something other than readings changed: a name, a tariff, an event."""
        self.is_noted = True

    def readings(self, device: str, hours: Iterable[int]) -> None:
        """Note that readings of these hours (since 1970) of a device are new."""
        self.is_noted = True
        self._hours.setdefault(device, set()).update(hours)

    def everything(self, device: str) -> None:
        """Note that all that a device ever read may count otherwise."""
        self.is_noted = True
        self._whole.add(device)

    def write_to(self, devices: "dict[str, _DeviceGenerations]", generation: int) -> None:
        """Enter the change into the devices' records."""
        for name, hours in self._hours.items():
            devices.setdefault(name, _DeviceGenerations()).change(hours, generation)
        for name in self._whole:
            devices.setdefault(name, _DeviceGenerations()).change_everything(generation)


class _DeviceGenerations:
    """Generations of the changes of one device."""

    __slots__ = ("_hours", "_old", "_old_hour", "_whole", "last")

    def __init__(self) -> None:
        self._hours: dict[int, int] = {}
        self._old_hour = EVER
        """Hours up to this one share a generation."""
        self._old = 0
        self._whole = 0
        self.last = 0

    def change(self, hours: Iterable[int], generation: int) -> None:
        self.last = generation
        for hour in hours:
            if hour <= self._old_hour:
                self._old = generation
            else:
                self._hours[hour] = generation
        if len(self._hours) > HOURS_KEPT:
            old = sorted(self._hours)[: len(self._hours) - HOURS_KEPT // 2]
            self._old_hour = old[-1]
            self._old = max(self._old, *(self._hours.pop(hour) for hour in old))

    def change_everything(self, generation: int) -> None:
        self.last = self._whole = generation

    def within(self, low: int, high: int) -> int:
        first, last = low // HOUR_S, high // HOUR_S
        touched = [number for hour, number in self._hours.items() if first <= hour <= last]
        return max([self._whole, self._old if first <= self._old_hour else 0, *touched])

    def span_since(self, generation: int) -> tuple[int, int] | None:
        if self._whole > generation:
            return EVER, NEVER
        hours = [hour for hour, number in self._hours.items() if number > generation]
        if self._old > generation:
            return EVER, max([self._old_hour, *hours]) * HOUR_S + HOUR_S - 1
        return (min(hours) * HOUR_S, max(hours) * HOUR_S + HOUR_S - 1) if hours else None


class Generations:
    """The generation of the data and of each device; safe for use from many threads."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._now = 0
        self._devices: dict[str, _DeviceGenerations] = {}
        self._changing: dict[str, int] = {}
        self._holders = 0

    @property
    def now(self) -> int:
        """The generation of the newest change that is entered as a whole; equal generations mean equal answers."""
        with self._condition:
            return self._now

    @contextmanager
    def changing(self, devices: Collection[str]) -> Iterator[Change]:
        """Announce a change of what these devices have; waits while an answer holds writers back.

        A block that ends in an exception has changed everything of its devices: its progress is unknown.
        """
        change = Change()
        with self._condition:
            self._condition.wait_for(lambda: not self._holders)
            for device in devices:
                self._changing[device] = self._changing.get(device, 0) + 1
        try:
            yield change
        except BaseException:
            for device in devices:
                change.everything(device)
            raise
        finally:
            self._changed(change, devices)

    def _changed(self, change: Change, devices: Collection[str]) -> None:
        with self._condition:
            if change.is_noted:
                self._now += 1
                change.write_to(self._devices, self._now)
            for device in devices:
                self._changing[device] -= 1
                if not self._changing[device]:
                    del self._changing[device]
            self._condition.notify_all()

    def last_change(self, devices: Iterable[str]) -> int:
        """Return the generation of the last change of any of the devices.

        It is asked most, and without the lock: a change that is being entered is of a later generation than ``now``.
        """
        newest = 0
        for name in devices:
            known = self._devices.get(name)
            if known is not None and known.last > newest:
                newest = known.last
        return newest

    def last_change_within(self, devices: Iterable[str], low: int, high: int) -> int:
        """Return the generation of the last change of readings of ``low <= time <= high`` (to the hour)."""
        with self._condition:
            known = (self._devices.get(name) for name in devices)
            return max((device.within(low, high) for device in known if device is not None), default=0)

    def span_since(self, devices: Iterable[str], generation: int) -> tuple[int, int] | None:
        """Return the span of time of all readings that changed after a generation, or None where none did."""
        with self._condition:
            known = (self._devices.get(name) for name in devices)
            spans = [
                span for device in known if device is not None and (span := device.span_since(generation)) is not None
            ]
        return (min(low for low, _high in spans), max(high for _low, high in spans)) if spans else None

    def unchanged(self, devices: Iterable[str], since: int) -> bool:
        """Whether no change of the devices began or ended after generation ``since``."""
        with self._condition:
            return not any(
                name in self._changing or ((known := self._devices.get(name)) is not None and known.last > since)
                for name in devices
            )

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let running changes end, and new ones wait until this block ends."""
        with self._condition:
            self._holders += 1
            self._condition.wait_for(lambda: not self._changing)
        try:
            yield
        finally:
            with self._condition:
                self._holders -= 1
                self._condition.notify_all()
