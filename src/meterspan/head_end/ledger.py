"""The completeness ledger: expected, received and missing per channel and day; reads are planned from its holes.

A channel expects one value per capture period; ``analytics.completeness`` has the rule which period a value fills.
Days are UTC.
One Python integer per channel and day is the bit map of received slots, so a million channels stay cheap.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from meterspan.analytics.completeness import DayCount, periods_due, periods_filled
from meterspan.quantities import DAY_S, Obis

__all__ = ["DAY_S", "Channel", "Ledger"]


@dataclass(frozen=True, slots=True, order=True)
class Channel:
    """One measured quantity of one device."""

    device: str
    obis: Obis


@dataclass(slots=True)
class _Expectation:
    """The values due from one channel: one per ``period_s`` in the span ``start < t <= end``."""

    period_s: int
    start: int
    end: int | None
    received: dict[int, int]
    filled: int = 0
    """Slots received, of all days."""
    low: int = 1 << 40
    """First day with a received slot."""
    high: int = -1
    """Last day with one."""


class Ledger:
    """Counts received values against due ones."""

    def __init__(self) -> None:
        self._channels: dict[Channel, _Expectation] = {}
        self._by_device: dict[str, list[Channel]] = {}

    def expect(self, channel: Channel, *, period_s: int, start: int) -> None:
        """Expect a value of ``channel`` every ``period_s`` seconds from ``start`` (UTC seconds) on.

        Expecting a known channel again keeps what it received; a second ``start`` may only be earlier.

        Raises:
            ValueError: the period does not divide a day, so days would have no fixed number of slots.

        """
        if period_s <= 0 or DAY_S % period_s:
            raise ValueError(f"a capture period of {period_s} s does not divide a day")
        known = self._channels.get(channel)
        if known is None or known.period_s != period_s:
            self._channels[channel] = _Expectation(period_s, start, None, {})
            if known is None:
                self._by_device.setdefault(channel.device, []).append(channel)
        else:
            known.start = min(known.start, start)
            known.end = None

    def retire(self, channel: Channel, end: int) -> None:
        """Expect nothing after ``end`` (the device was exchanged or removed)."""
        known = self._channels.get(channel)
        if known is not None:
            known.end = end

    def forget(self, channel: Channel) -> None:
        """Expect nothing of a channel, and forget what it received."""
        if self._channels.pop(channel, None) is not None:
            self._by_device[channel.device].remove(channel)

    def record(self, channel: Channel, times: NDArray[np.int64]) -> int:
        """Note received values (UTC seconds); returns how many slots were filled for the first time.

        Values of unexpected channels are not counted.
        """
        known = self._channels.get(channel)
        if known is None:
            return 0
        filled = 0
        per_day = DAY_S // known.period_s
        for slot in periods_filled(times, known.period_s).tolist():
            day, bit = divmod(slot, per_day)
            before = known.received.get(day, 0)
            after = before | 1 << bit
            if after != before:
                known.received[day] = after
                known.low, known.high = min(known.low, day), max(known.high, day)
                filled += 1
        known.filled += filled
        return filled

    def missing(self, channel: Channel, until: int) -> list[tuple[int, int]]:
        """Return the holes up to ``until`` as spans ``(start, end]`` of UTC seconds, oldest first."""
        known = self._channels.get(channel)
        if known is None:
            return []
        holes: list[tuple[int, int]] = []
        for day, due in self._due_days(known, until):
            open_slots = due & ~known.received.get(day, 0)
            base = day * DAY_S
            while open_slots:
                bit = (open_slots & -open_slots).bit_length() - 1
                length = _trailing_ones(open_slots >> bit)
                start, end = base + bit * known.period_s, base + (bit + length) * known.period_s
                if holes and holes[-1][1] == start:
                    holes[-1] = (holes[-1][0], end)
                else:
                    holes.append((start, end))
                open_slots &= ~(((1 << length) - 1) << bit)
        return holes

    def days(self, channel: Channel, until: int, *, first: int = 0) -> Iterator[DayCount]:
        """Count each UTC day with a due value up to ``until``, from day ``first`` since 1970 on."""
        known = self._channels.get(channel)
        if known is None:
            return
        for day, due in self._due_days(known, until, first):
            yield DayCount(day, due.bit_count(), (due & known.received.get(day, 0)).bit_count())

    def count(self, channel: Channel, until: int) -> tuple[int, int]:
        """Return (expected, received) of the channel's whole life up to ``until``; its length costs nothing."""
        known = self._channels.get(channel)
        if known is None:
            return 0, 0
        due = _due_slots(known, until)
        return len(due), known.filled - _filled_outside(known, due)

    @property
    def channels(self) -> tuple[Channel, ...]:
        """Every channel from which values are or were due."""
        return tuple(self._channels)

    def of_device(self, device: str) -> tuple[Channel, ...]:
        """Every channel of one device."""
        return tuple(self._by_device.get(device, ()))

    @staticmethod
    def _due_days(known: _Expectation, until: int, first: int = 0) -> Iterator[tuple[int, int]]:
        """Yield (day, bit map of the slots due by ``until``), from day ``first`` on."""
        per_day = DAY_S // known.period_s
        due = _due_slots(known, until)
        slot = max(due.start, first * per_day)
        while slot < due.stop:
            day, bit = divmod(slot, per_day)
            count = min(per_day - bit, due.stop - slot)
            yield day, ((1 << count) - 1) << bit
            slot += count


def _due_slots(known: _Expectation, until: int) -> range:
    """Return the numbers of the slots due by ``until``."""
    return periods_due(known.start, until if known.end is None else min(until, known.end), known.period_s)


def _filled_outside(known: _Expectation, due: range) -> int:
    """Count received slots that are not due: of a clock that runs ahead, or before the installation."""
    if not known.filled:
        return 0
    per_day = DAY_S // known.period_s
    if not due:
        return known.filled
    first, last = due.start // per_day, (due.stop - 1) // per_day
    days = {*range(known.low, first + 1), *range(last, known.high + 1)}
    outside = 0
    for day in days:
        low, high = max(due.start - day * per_day, 0), min(due.stop - day * per_day, per_day)
        mask = ((1 << high) - 1) & ~((1 << low) - 1) if high > low else 0
        outside += (known.received.get(day, 0) & ~mask).bit_count()
    return outside


def _trailing_ones(bits: int) -> int:
    return (~bits & (bits + 1)).bit_length() - 1
