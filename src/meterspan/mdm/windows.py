"""Readings around a span, read through the port of the store: the only place where the data of a curve are read."""

from collections.abc import Sequence

import numpy as np

from meterspan.mdm.chains import EVER, NEVER, Chain
from meterspan.mdm.curves import BRACKET, CurveWindow, is_bracketed, window_of
from meterspan.model.storage.ports import ReadingSource
from meterspan.quantities import HOUR_S

__all__ = ["neighbours", "read_window"]

WIDENING = 8
"""A window that is too narrow is made so many times wider: three or four reads reach over years without a reading."""


def read_window(source: ReadingSource, chain: Chain, start: int, end: int) -> CurveWindow:
    """Read the chain's registers around ``start <= time < end``, wide enough that they bracket the span.

    Args:
        source: the readings.
        chain: the installations of the supply.
        start: UTC seconds.
        end: UTC seconds, not included.

    """
    if not chain.registers or start >= end:
        return CurveWindow({}, (EVER, NEVER))
    ids = chain.series
    first, last = chain.extent
    margin = max(4 * chain.period_s, HOUR_S)
    while True:
        low, high = max(start - margin, first), min(end + margin, last + 1)
        window = window_of(chain, source.read(ids, low, high), low, high)
        if is_bracketed(chain, window, start, end):
            return window
        margin *= WIDENING


def neighbours(source: ReadingSource, series: Sequence[int], start: int, end: int) -> tuple[int, int]:
    """Return the times between which a change in ``start <= t < end`` may be felt: some registers before and after.

    Zeros are passed over: the register after a run of them decides whether it is a dip or a reset.

    Args:
        source: the readings.
        series: numbers of the changed series.
        start: UTC seconds.
        end: UTC seconds, not included.

    """
    known = [bounds for number in series if (bounds := source.bounds(number)) is not None]
    if not known:
        return start, end - 1
    first, last = min(low for low, _high in known), max(high for _low, high in known)
    margin = HOUR_S
    while True:
        readings = source.read(series, max(start - margin, first), min(end + margin, last + 1))
        counted = np.unique(readings.time[readings.value != 0])
        before, after = counted[counted < start], counted[counted >= end]
        if (len(before) >= BRACKET or start - margin <= first) and (len(after) >= BRACKET or end + margin > last):
            return (
                int(before[-BRACKET:][0]) if len(before) else min(start, first),
                int(after[:BRACKET][-1]) if len(after) else max(end - 1, last),
            )
        margin *= WIDENING
