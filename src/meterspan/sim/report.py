"""The proof of a district's run: every stored register against the truth, and the outcome of each fault.

``verify`` compares three things exactly: each stored register with that of the meter (or the reference beside it)
at that time, each due mark with the stored values, and each local day's consumption with the difference of the
true registers. It does not depend on the way of the readings.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from meterspan.analytics.completeness import share_received
from meterspan.model.readings import SeriesKind, Source
from meterspan.quantities import QUARTER_S, Commodity, Obis, utc
from meterspan.sim.district import District, Happening, midnight_after
from meterspan.sim.faults import FaultKind
from meterspan.sim.homes import ElectricityPoint, RadioPoint, SimulatedHome

__all__ = ["Completeness", "completeness", "report", "verify"]

DIFFERENCES_MAX: Final = 50
"""More differences than this say nothing that the first ones did not."""


@dataclass(frozen=True, slots=True)
class Completeness:
    """Values expected and received up to an instant."""

    expected: int
    received: int

    @property
    def share(self) -> float | None:
        """Return 0..1, exactly 1 only where nothing is missing; None where nothing was due."""
        share = share_received(self.received, self.expected)
        return None if share is None else float(share)


def completeness(district: District, until: float) -> Completeness:
    """Count the values due from all channels up to ``until`` (UTC seconds), by the head end's ledger."""
    ledger = district.head_end.ledger
    counts = [ledger.count(channel, int(until)) for channel in ledger.channels]
    return Completeness(sum(count[0] for count in counts), sum(count[1] for count in counts))


def verify(district: District, until: float) -> list[str]:
    """List every difference between stored and measured values up to ``until``; an empty list is the proof."""
    differences: list[str] = []
    for difference in _differences(district, until):
        differences.append(difference)
        if len(differences) >= DIFFERENCES_MAX:
            differences.append("and more")
            break
    return differences


def report(district: District, until: float, *, differences: Sequence[str]) -> dict[str, Any]:
    """Build the report of a run as JSON values.

    Args:
        district: the run.
        until: UTC seconds up to which everything was due.
        differences: what ``verify`` found.

    """
    head_end, totals = district.head_end, district.data.totals()
    unexplained = district.data.unexplained()
    devices = [device for device in head_end.inventory if device.channels]
    after = completeness(district, until)
    before = Completeness(after.expected, after.received - district.arrivals.first[Source.GAP_RECOVERY])
    config = district.config
    return {
        "district": {
            "seed": config.seed,
            "homes": config.homes,
            "access_points": len(district.buildings),
            "zone": config.zone,
            "from": utc(config.start).isoformat(),
            "until": utc(until).isoformat(),
            "quarter_hours": round((until - config.start) / QUARTER_S),
        },
        "meters": {
            "total": len(devices),
            "by_commodity": dict(sorted(Counter(str(device.commodity) for device in devices).items())),
            "by_protocol": dict(sorted(Counter(str(device.protocol) for device in devices).items())),
        },
        "completeness": {
            "expected": after.expected,
            "before_gap_recovery": before.share,
            "after_gap_recovery": after.share,
            "missing": after.expected - after.received,
        },
        "unexplained": {
            "energy_wh": totals.unexplained_wh,
            "volume_l": int(sum((abs(item.value) for item in unexplained if item.unit == "m3"), Decimal(0)) * 1_000),
        },
        "readings_stored": totals.readings,
        "duplicates_recognised": totals.duplicates,
        "conflicts": totals.conflicts,
        "first_came_by": {
            source.name.lower(): count for source, count in sorted(district.arrivals.first.items()) if count
        },
        "interfaces": {
            name: {"messages": district.interfaces.messages[name], "octets": district.interfaces.octets[name]}
            for name in sorted(district.interfaces.messages)
        },
        "radio": _radio(district),
        "sessions": {
            "ok": head_end.counts.sessions_ok,
            "failed": head_end.counts.sessions_failed,
            "rows_pushed": head_end.counts.rows_pushed,
            "orders_answered": head_end.counts.orders_answered,
        },
        "quarantine": {str(fault): count for fault, count in sorted(head_end.quarantine.counts.items())},
        "faults": [_happened(happening) for happening in district.happenings],
        "verification": {"differences": len(differences), "examples": list(differences[:10])},
    }


def _differences(district: District, until: float) -> Iterator[str]:
    for home in district.homes:
        for point in home.points:
            yield from _of_point(district, home, point, point.installed_at, int(until))
    for home, point in district.retired:
        yield from _of_point(district, home, point, point.installed_at, point.removed_at or int(until))
    yield from _of_days(district, until)


def _of_point(
    district: District, home: SimulatedHome, point: ElectricityPoint | RadioPoint, start: int, end: int
) -> Iterator[str]:
    truth = point.truth()
    for place, obis in enumerate(point.registers()):
        stored = _stored(district, point.device, obis, start, end)
        for time, value in stored.items():
            true = truth.get(time)
            if true is None or true[place] != value:
                shown = "no register was shown then" if true is None else f"the meter showed {true[place]}"
                yield f"{point.device} {obis} at {utc(time).isoformat()}: stored {value}, {shown}"
        marks = set(range((start // QUARTER_S + 1) * QUARTER_S, end + 1, QUARTER_S))
        for mark in sorted(marks - stored.keys()):
            yield f"{point.device} {obis} at {utc(mark).isoformat()}: nothing is stored ({home.home_id})"


def _stored(district: District, device: str, obis: Obis, start: int, end: int) -> dict[int, int]:
    """Return the stored register by time, in the meter's own steps (Wh, litres, ten litres of gas)."""
    found: dict[int, int] = {}
    for series in district.data.series():
        if (series.device, series.obis) == (device, obis) and series.kind is SeriesKind.REGISTER:
            readings = district.data.readings([series.series_id], utc(start), utc(end + 1))
            found |= dict(zip(readings.time.tolist(), readings.value.tolist(), strict=True))
    return found


def _of_days(district: District, until: float) -> Iterator[str]:
    """Compare each whole local day of each supply with the difference of the true registers."""
    start, zone = district.config.start, district.config.zone
    while (end := midnight_after(start, zone, 1)) <= until:
        day = datetime.fromtimestamp(start, district.zone).date()
        for home in district.homes:
            for point in home.points:
                commodity = point.commodity if isinstance(point, RadioPoint) else Commodity.ELECTRICITY
                true = _consumed(district, home, point, int(start), int(end))
                view = district.data.day(home.home_id, commodity, day)
                if view.total != true:
                    yield f"{home.home_id} {commodity} on {day}: {view.total} {view.unit} shown, {true} measured"
        start = end


def _consumed(
    district: District, home: SimulatedHome, point: ElectricityPoint | RadioPoint, start: int, end: int
) -> Decimal:
    """Return the consumption of a span in kWh or m3, over all meters that were installed there."""
    chain: list[ElectricityPoint | RadioPoint] = [point]
    if isinstance(point, ElectricityPoint):
        chain += [old for other, old in district.retired if other is home]
    total = Decimal(0)
    for meter in chain:
        truth = meter.truth()
        inside = [time for time in truth if start <= time <= end]
        if inside:
            step = next(iter(meter.registers().values()))
            steps = truth[max(inside)][0] - truth[min(inside)][0]
            total += Decimal(steps).scaleb(step.exponent - 3)  # Wh to kWh, litres to m3
    return total


def _radio(district: District) -> dict[str, Any]:
    counts: Counter[str] = Counter()
    for building in district.buildings:
        air = building.radio.counts
        counts.update({"sent": air.sent, "lost": air.lost, "damaged": air.damaged})
    return {**counts, "strangers_recognised": len(district.unknown_devices)}


def _happened(happening: Happening) -> dict[str, Any]:
    fault = happening.fault
    return {
        "kind": str(fault.kind),
        "target": fault.target,
        "from": utc(fault.start).isoformat(),
        "until": utc(fault.end).isoformat(),
        "handled": _HANDLED[fault.kind],
        **dict(sorted(happening.counts.items())),
    }


_HANDLED: Final = {
    FaultKind.LOST_FRAMES: "each telegram repeats the register of the last quarter hour: the next one heard heals it",
    FaultKind.DAMAGED_FRAMES: "the checksum differs; quarantined, the next telegram carries the register",
    FaultKind.OUTAGE: "rows wait in the outbox and in profiles; holes of the ledger are read when the way is back",
    FaultKind.WRONG_KEY: "telegrams are quarantined; once the key is right they are opened and stored",
    FaultKind.REPLAY: "message counter or time stamp is older than one received before: refused and quarantined",
    FaultKind.EXCHANGE: "closing and opening register join two chains; the old meter is read out before it leaves",
    FaultKind.CLOCK_DRIFT: "the clock check shifts it; rows around are flagged",
    FaultKind.REGISTER_RESET: "the difference is reported as unexplained",
    FaultKind.POWER_OUTAGE: "profiles, counters and outbox survive it; the first telegram after it has the due mark",
}
