"""When the values of a compact profile were: counted from the date of its base record (EN 13757-3:2018, annex F)."""

from datetime import date, datetime, timedelta

from meterspan.wire.mbus import Profile

__all__ = ["profile_times"]

_SECONDS = {"s": 1, "min": 60, "h": 3_600}


def profile_times(profile: Profile, base: date | None) -> list[str | None]:
    """Return the time of every value in ISO 8601; None where base or spacing leave it open.

    Args:
        profile: as taken apart.
        base: the date, or date and time, of the base record's storage number.

    """
    sign = -1 if profile.is_inverse else 1
    return [_time(base, sign * (index + 1), profile) for index in range(len(profile.records))]


def _time(base: date | None, steps: int, profile: Profile) -> str | None:
    if base is None or not profile.spacing:
        return None
    if profile.unit == "month":
        return _months_from(base, steps).isoformat()
    if profile.unit == "d":
        return (base + timedelta(days=steps * profile.spacing)).isoformat()
    if profile.unit in _SECONDS and isinstance(base, datetime):
        return (base + timedelta(seconds=steps * profile.spacing * _SECONDS[profile.unit])).isoformat()
    return None


def _months_from(base: date, steps: int) -> date:
    """Step by months; the last day of a month stays the last."""
    is_last = (base + timedelta(days=1)).day == 1
    month = base.year * 12 + base.month - 1 + steps
    last = date((month + 1) // 12, (month + 1) % 12 + 1, 1) - timedelta(days=1)
    return last if is_last else last.replace(day=min(base.day, last.day))
