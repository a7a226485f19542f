"""The completeness ledger: expected, received and missing per channel and day; reads are planned from its holes.

A channel expects one value per capture period; ``analytics.completeness`` has the rule which period a value fills.
Days are UTC. The received periods of a channel are kept as runs, so a long history costs what its holes cost; the sums
of a group of channels are kept beside them as values arrive.
"""

from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from meterspan.analytics.completeness import DayCount, periods_due, periods_filled
from meterspan.analytics.slot_runs import SlotRuns
from meterspan.head_end.tally import Tally
from meterspan.model.storage.stretches import Stretch
from meterspan.quantities import DAY_S, Obis

__all__ = ["DAY_S", "Channel", "Ledger"]

_NEVER = 1 << 60
"""A period after all others."""


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
    group: Hashable
    received: SlotRuns = field(default_factory=SlotRuns)

    def due(self, until: int) -> range:
        """Return the numbers of the slots due by ``until``."""
        return periods_due(self.start, until if self.end is None else min(until, self.end), self.period_s)

    @property
    def life(self) -> tuple[int, int]:
        """First slot that is ever due, and the one after the last."""
        first = periods_due(self.start, self.start, self.period_s).start
        return first, _NEVER if self.end is None else max(first, self.end // self.period_s)


class Ledger:
    """Counts received values against due ones."""

    def __init__(self) -> None:
        self._channels: dict[Channel, _Expectation] = {}
        self._by_device: dict[str, list[Channel]] = {}
        self._tallies: dict[Hashable, dict[int, Tally]] = {}

    def expect(self, channel: Channel, *, period_s: int, start: int, group: Hashable = None) -> None:
        """Expect a value of ``channel`` every ``period_s`` seconds from ``start`` (UTC seconds) on.

        Expecting a known channel again keeps what it received; a second ``start`` may only be earlier.

        Args:
            channel: the channel.
            period_s: its capture period; a channel with another one begins anew.
            start: UTC seconds.
            group: the channels that it is added up with by ``days_of_groups``; None: with none.

        Raises:
            ValueError: the period does not divide a day, so days would have no fixed number of slots.

        """
        if period_s <= 0 or DAY_S % period_s:
            raise ValueError(f"a capture period of {period_s} s does not divide a day")
        known = self._channels.get(channel)
        if known is None:
            self._by_device.setdefault(channel.device, []).append(channel)
        else:
            self._take_out(known)
        if known is None or known.period_s != period_s:
            known = self._channels[channel] = _Expectation(period_s, start, None, group)
        known.start, known.end, known.group = min(known.start, start), None, group
        self._put_in(known)

    def join(self, channel: Channel, group: Hashable) -> None:
        """Add a channel up with those of a group from now on."""
        known = self._channels.get(channel)
        if known is not None:
            self._take_out(known)
            known.group = group
            self._put_in(known)

    def retire(self, channel: Channel, end: int) -> None:
        """Expect nothing after ``end`` (the device was exchanged or removed)."""
        known = self._channels.get(channel)
        if known is not None:
            self._take_out(known)
            known.end = end
            self._put_in(known)

    def forget(self, channel: Channel) -> None:
        """Expect nothing of a channel, and forget what it received."""
        known = self._channels.pop(channel, None)
        if known is not None:
            self._take_out(known)
            self._by_device[channel.device].remove(channel)

    def record(self, channel: Channel, times: NDArray[np.int64]) -> int:
        """Note received values (UTC seconds); returns how many slots were filled for the first time.

        Values of unexpected channels are not counted.
        """
        known = self._channels.get(channel)
        if known is None:
            return 0
        if len(times) == 1:  # a push, mostly: three times faster than as a column
            slot = -(-int(times[0]) // known.period_s) - 1
            return self._fill(known, slot, slot + 1)
        return sum(self._fill(known, *run) for run in _runs(periods_filled(times, known.period_s)))

    def record_stretch(self, channel: Channel, stretch: Stretch) -> int:
        """Note values at evenly spaced times, as ``record`` does; a period apart, they cost what one costs."""
        known = self._channels.get(channel)
        if known is None or stretch.step not in {0, known.period_s}:
            return self.record(channel, stretch.times)
        slot = -(-stretch.first // known.period_s) - 1
        return self._fill(known, slot, slot + stretch.count)

    def received(self, channel: Channel) -> SlotRuns:
        """Return the slots received from a channel, due or not; empty for an unexpected one."""
        known = self._channels.get(channel)
        return SlotRuns() if known is None else known.received

    def missing(self, channel: Channel, until: int) -> list[tuple[int, int]]:
        """Return the holes up to ``until`` as spans ``(start, end]`` of UTC seconds, oldest first."""
        known = self._channels.get(channel)
        if known is None:
            return []
        due, period_s = known.due(until), known.period_s
        return [(first * period_s, stop * period_s) for first, stop in known.received.gaps(due.start, due.stop)]

    def days(self, channel: Channel, until: int, *, first: int = 0) -> Iterator[DayCount]:
        """Count each UTC day with a due value up to ``until``, from day ``first`` since 1970 on."""
        known = self._channels.get(channel)
        if known is None:
            return
        due, per_day = known.due(until), DAY_S // known.period_s
        slot = max(due.start, first * per_day)
        while slot < due.stop:
            day = slot // per_day
            stop = min((day + 1) * per_day, due.stop)
            yield DayCount(day, stop - slot, known.received.count(slot, stop))
            slot = stop

    def count(self, channel: Channel, until: int, *, since: int = 0) -> tuple[int, int]:
        """Return (expected, received) of the channel's life from ``since`` (a UTC midnight) up to ``until``.

        The length of its life costs nothing.
        """
        known = self._channels.get(channel)
        if known is None:
            return 0, 0
        due = known.due(until)
        first = max(due.start, since // known.period_s)
        return max(0, due.stop - first), known.received.count(first, max(first, due.stop))

    def days_of_groups(self, first: int, last: int, until: int) -> dict[Hashable, list[DayCount]]:
        """Count each UTC day ``first`` to ``last`` (since 1970) up to ``until``, over all channels of each group.

        It costs the days and the groups; the number of channels costs nothing.
        """
        found: dict[Hashable, list[DayCount]] = {}
        for group, tallies in self._tallies.items():
            parts = [tally.days(first, last, until // period_s) for period_s, tally in tallies.items()]
            found[group] = [
                DayCount(first + at, sum(part[at].expected for part in parts), sum(part[at].received for part in parts))
                for at in range(last - first + 1)
            ]
        return found

    @property
    def channels(self) -> tuple[Channel, ...]:
        """Every channel from which values are or were due."""
        return tuple(self._channels)

    def of_device(self, device: str) -> tuple[Channel, ...]:
        """Every channel of one device."""
        return tuple(self._by_device.get(device, ()))

    # --- the sums of groups -------------------------------------------------------------------------------------

    def _tally(self, known: _Expectation) -> Tally:
        tallies = self._tallies.setdefault(known.group, {})
        tally = tallies.get(known.period_s)
        if tally is None:
            tally = tallies[known.period_s] = Tally(known.period_s)
        return tally

    def _put_in(self, known: _Expectation, *, times: int = 1) -> None:
        """Add a channel with all that it received to the sums of its group; ``times=-1`` takes it out."""
        if known.group is None:
            return
        tally, (low, high) = self._tally(known), known.life
        (tally.enter if times > 0 else tally.leave)(low, high)
        for first, stop in known.received:
            tally.fill(max(first, low), min(stop, high), times=times)

    def _take_out(self, known: _Expectation) -> None:
        self._put_in(known, times=-1)

    def _fill(self, known: _Expectation, first: int, stop: int) -> int:
        """Note a run of received slots; return how many of them are new."""
        new = known.received.add(first, stop)
        if known.group is not None:
            tally, (low, high) = self._tally(known), known.life
            for begin, end in new:
                tally.fill(max(begin, low), min(end, high))
        return sum(end - begin for begin, end in new)


def _runs(slots: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Join rising slot numbers that follow each other."""
    if not len(slots):
        return
    breaks = np.flatnonzero(np.diff(slots) != 1) + 1
    firsts, lasts = slots[np.concatenate(([0], breaks))], slots[np.concatenate((breaks - 1, [-1]))]
    yield from zip(firsts.tolist(), (lasts + 1).tolist(), strict=True)
